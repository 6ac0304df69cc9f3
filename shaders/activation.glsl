// activation.glsl - the functions of one number that stand behind a layer, and their slopes.
// `kind` is tlvk_activation_kind of tlvk.h, best a specialization constant; the parameters are those of tlvk__activation (engine/ops/op.h).
// softmax is no function of one number: it counts as linear here. Formulas: keras/src/activations/activations.py. exp is only taken of
// numbers <= 0 where its overflow could reach a result.

const int TLVK_ACT_LINEAR = 0, TLVK_ACT_RELU = 1, TLVK_ACT_RELU6 = 2, TLVK_ACT_LEAKY_RELU = 3, TLVK_ACT_ELU = 4, TLVK_ACT_SELU = 5,
    TLVK_ACT_SIGMOID = 6, TLVK_ACT_TANH = 7, TLVK_ACT_SOFTPLUS = 9, TLVK_ACT_SWISH = 10, TLVK_ACT_GELU = 11, TLVK_ACT_HARD_SIGMOID = 12,
    TLVK_ACT_GELU_TANH = 13, TLVK_ACT_HARD_SIGMOID_KERAS2 = 14, TLVK_ACT_SOFTSIGN = 15, TLVK_ACT_EXPONENTIAL = 16, TLVK_ACT_HARD_SWISH = 17;

// Klambauer et al., "Self-normalizing neural networks", 2017.
const float TLVK_SELU_ALPHA = 1.6732632423543772, TLVK_SELU_SCALE = 1.0507009873554805;

// exp(x) - 1 without cancellation near 0: Taylor's series within 0.35, where what is left out is below 2^-24 of the value.
float tlvk_expm1(float x) {
    float series = x * (1.0 + x * (0.5 + x * (0.16666667 + x * (0.041666667 + x * (8.3333333e-3 + x * (1.3888889e-3 + x * 1.9841270e-4))))));
    return abs(x) < 0.35 ? series : exp(x) - 1.0;
}

float tlvk_sigmoid(float x) {
    float e = exp(-abs(x));
    return (x >= 0.0 ? 1.0 : e) / (1.0 + e);
}

float tlvk_tanh(float x) {
    float e = tlvk_expm1(-2.0 * abs(x));
    return sign(x) * (-e / (2.0 + e));
}

float tlvk_softplus(float x) {
    float e = exp(-abs(x));
    // log(1 + e) by its series where 1 + e would round e away.
    return max(x, 0.0) + (e < 1e-3 ? e * (1.0 - e * (0.5 - e * 0.33333333)) : log(1.0 + e));
}

// erfc by the Chebyshev fit of Press et al., "Numerical Recipes", section 6.2: relative error below 1.2e-7 everywhere.
float tlvk_erfc(float x) {
    float a = abs(x), t = 1.0 / (1.0 + 0.5 * a);
    float p = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
            + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
    float r = t * exp(-a * a + p);
    return x >= 0.0 ? r : 2.0 - r;
}

float tlvk_gelu_tanh_inner(float x) {
    return 0.79788456 * (x + 0.044715 * x * x * x);
}

// The value of the activation at x.
float tlvk_activate(int kind, float alpha, float max_value, float threshold, float x) {
    switch (kind) {
    case TLVK_ACT_RELU: {
        float positive = min(x > threshold ? max(x, 0.0) : 0.0, max_value);
        return alpha == 0.0 ? positive : positive - alpha * max(threshold - x, 0.0);
    }
    case TLVK_ACT_RELU6: return clamp(x, 0.0, 6.0);
    case TLVK_ACT_LEAKY_RELU: return x > 0.0 ? x : alpha * x;
    case TLVK_ACT_ELU: return x > 0.0 ? x : alpha * tlvk_expm1(min(x, 0.0));
    case TLVK_ACT_SELU: return TLVK_SELU_SCALE * (x > 0.0 ? x : TLVK_SELU_ALPHA * tlvk_expm1(min(x, 0.0)));
    case TLVK_ACT_SIGMOID: return tlvk_sigmoid(x);
    case TLVK_ACT_TANH: return tlvk_tanh(x);
    case TLVK_ACT_SOFTPLUS: return tlvk_softplus(x);
    case TLVK_ACT_SWISH: return x * tlvk_sigmoid(x);
    case TLVK_ACT_GELU: return 0.5 * x * tlvk_erfc(-0.70710678 * x);
    case TLVK_ACT_HARD_SIGMOID: return clamp(x + 3.0, 0.0, 6.0) * (1.0 / 6.0);
    case TLVK_ACT_GELU_TANH: return x * tlvk_sigmoid(2.0 * tlvk_gelu_tanh_inner(x)); // (1 + tanh(u)) / 2 = sigmoid(2u)
    case TLVK_ACT_HARD_SIGMOID_KERAS2: return clamp(0.2 * x + 0.5, 0.0, 1.0);
    case TLVK_ACT_SOFTSIGN: return x / (1.0 + abs(x));
    case TLVK_ACT_EXPONENTIAL: return exp(x);
    case TLVK_ACT_HARD_SWISH: return x * (clamp(x + 3.0, 0.0, 6.0) * (1.0 / 6.0));
    }
    return x;
}

// dy/dx at x; at a kink the value TensorFlow's gradient has there.
float tlvk_activation_slope(int kind, float alpha, float max_value, float threshold, float x) {
    switch (kind) {
    case TLVK_ACT_RELU: return (x > threshold && x > 0.0 && x < max_value ? 1.0 : 0.0) + (x < threshold || (x == 0.0 && threshold == 0.0) ? alpha : 0.0);
    case TLVK_ACT_RELU6: return x > 0.0 && x < 6.0 ? 1.0 : 0.0;
    case TLVK_ACT_LEAKY_RELU: return x > 0.0 ? 1.0 : alpha;
    case TLVK_ACT_ELU: return x > 0.0 ? 1.0 : alpha * exp(min(x, 0.0));
    case TLVK_ACT_SELU: return TLVK_SELU_SCALE * (x > 0.0 ? 1.0 : TLVK_SELU_ALPHA * exp(min(x, 0.0)));
    case TLVK_ACT_SIGMOID: {
        float s = tlvk_sigmoid(x);
        return s * (1.0 - s);
    }
    case TLVK_ACT_TANH: {
        float t = tlvk_tanh(x);
        return 1.0 - t * t;
    }
    case TLVK_ACT_SOFTPLUS: return tlvk_sigmoid(x);
    case TLVK_ACT_SWISH: {
        float s = tlvk_sigmoid(x);
        return s * (1.0 + x * (1.0 - s));
    }
    case TLVK_ACT_GELU: return 0.5 * tlvk_erfc(-0.70710678 * x) + x * 0.39894228 * exp(-0.5 * x * x);
    case TLVK_ACT_HARD_SIGMOID: return abs(x) < 3.0 ? 1.0 / 6.0 : 0.0;
    case TLVK_ACT_GELU_TANH: {
        float s = tlvk_sigmoid(2.0 * tlvk_gelu_tanh_inner(x));
        return s + x * 2.0 * s * (1.0 - s) * 0.79788456 * (1.0 + 0.134145 * x * x);
    }
    case TLVK_ACT_HARD_SIGMOID_KERAS2: return abs(x) < 2.5 ? 0.2 : 0.0;
    case TLVK_ACT_SOFTSIGN: {
        float d = 1.0 + abs(x);
        return 1.0 / (d * d);
    }
    case TLVK_ACT_EXPONENTIAL: return exp(x);
    case TLVK_ACT_HARD_SWISH: return x <= -3.0 ? 0.0 : (x >= 3.0 ? 1.0 : x * (1.0 / 3.0) + 0.5);
    }
    return 1.0;
}

// dy/dx told from y = f(x) alone; only for kinds with tlvk__activation_from_output. alpha >= 0 and threshold >= 0, as the layers ask.
float tlvk_activation_slope_from_y(int kind, float alpha, float max_value, float threshold, float y) {
    switch (kind) {
    case TLVK_ACT_RELU: return y > 0.0 ? (y < max_value ? 1.0 : 0.0) : (y < 0.0 || threshold == 0.0 ? alpha : 0.0);
    case TLVK_ACT_RELU6: return y > 0.0 && y < 6.0 ? 1.0 : 0.0;
    case TLVK_ACT_LEAKY_RELU: return y > 0.0 ? 1.0 : alpha;
    case TLVK_ACT_ELU: return y > 0.0 ? 1.0 : y + alpha;
    case TLVK_ACT_SELU: return y > 0.0 ? TLVK_SELU_SCALE : y + TLVK_SELU_SCALE * TLVK_SELU_ALPHA;
    case TLVK_ACT_SIGMOID: return y * (1.0 - y);
    case TLVK_ACT_TANH: return 1.0 - y * y;
    case TLVK_ACT_SOFTPLUS: return -tlvk_expm1(-y);
    case TLVK_ACT_HARD_SIGMOID: return y > 0.0 && y < 1.0 ? 1.0 / 6.0 : 0.0;
    case TLVK_ACT_HARD_SIGMOID_KERAS2: return y > 0.0 && y < 1.0 ? 0.2 : 0.0;
    case TLVK_ACT_SOFTSIGN: {
        float d = 1.0 - abs(y);
        return d * d;
    }
    case TLVK_ACT_EXPONENTIAL: return y;
    }
    return 1.0;
}
