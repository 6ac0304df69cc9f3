/* activations.c - the activation functions themselves: names, values and slopes in double, the error a float32 device may make, and
 * their recording. Formulas: keras/src/activations/activations.py (Keras 3); Keras 2's hard_sigmoid: tf_keras/src/backend.py. */
#include "ops/activation.h"
#include "ops/elementwise.h"

#include <math.h>

static const double selu_alpha = 1.67326324235437728481704, selu_scale = 1.05070098735548049341933; /* Klambauer et al. 2017 */
static const double sqrt_half = 0.70710678118654752440, sqrt_2_over_pi = 0.79788456080286535588, inv_sqrt_2pi = 0.39894228040143267794;

static const char *const names[TLVK_ACTIVATION_COUNT] = {
    [TLVK_LINEAR] = "linear", [TLVK_RELU] = "relu", [TLVK_RELU6] = "relu6", [TLVK_LEAKY_RELU] = "leaky_relu", [TLVK_ELU] = "elu",
    [TLVK_SELU] = "selu", [TLVK_SIGMOID] = "sigmoid", [TLVK_TANH] = "tanh", [TLVK_SOFTMAX] = "softmax", [TLVK_SOFTPLUS] = "softplus",
    [TLVK_SWISH] = "swish", [TLVK_GELU] = "gelu", [TLVK_HARD_SIGMOID] = "hard_sigmoid", [TLVK_GELU_TANH] = "gelu_tanh",
    [TLVK_HARD_SIGMOID_KERAS2] = "hard_sigmoid_keras2", [TLVK_SOFTSIGN] = "softsign", [TLVK_EXPONENTIAL] = "exponential",
    [TLVK_HARD_SWISH] = "hard_swish",
};

tlvk__activation tlvk__activation_of(tlvk_activation_kind kind) {
    tlvk__activation a = {.kind = kind, .max_value = INFINITY};
    if (kind == TLVK_LEAKY_RELU)
        a.alpha = 0.2f;
    if (kind == TLVK_ELU)
        a.alpha = 1.0f;
    return a;
}

const char *tlvk__activation_name(tlvk_activation_kind kind) {
    return (unsigned)kind < TLVK_ACTIVATION_COUNT ? names[kind] : NULL;
}

bool tlvk__activation_parse(const char *name, tlvk_activation_kind *kind) {
    static const struct { const char *alias; tlvk_activation_kind kind; } aliases[] = {{"silu", TLVK_SWISH}, {"hard_silu", TLVK_HARD_SWISH}};
    for (int i = 0; i < TLVK_ACTIVATION_COUNT; i++)
        if (strcmp(names[i], name) == 0) {
            *kind = (tlvk_activation_kind)i;
            return true;
        }
    for (size_t i = 0; i < TLVK__COUNT(aliases); i++)
        if (strcmp(aliases[i].alias, name) == 0) {
            *kind = aliases[i].kind;
            return true;
        }
    return false;
}

bool tlvk__activation_elementwise(tlvk_activation_kind kind) {
    return kind != TLVK_SOFTMAX;
}

bool tlvk__activation_from_output(tlvk_activation_kind kind) {
    return kind != TLVK_SOFTMAX && kind != TLVK_SWISH && kind != TLVK_GELU && kind != TLVK_GELU_TANH && kind != TLVK_HARD_SWISH;
}

/* --- values and slopes ------------------------------------------------------------------------------------------------------------------ */

static double sigmoid(double x) {
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

static double clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

static double gelu_tanh_inner(double x) {
    return sqrt_2_over_pi * (x + 0.044715 * x * x * x);
}

double tlvk__activation_value(const tlvk__activation *a, double x) {
    double alpha = a->alpha, threshold = a->threshold;
    switch (a->kind) {
    case TLVK_RELU: return fmin(x > threshold ? fmax(x, 0) : 0, a->max_value) - (alpha != 0 ? alpha * fmax(threshold - x, 0) : 0);
    case TLVK_RELU6: return clamp(x, 0, 6);
    case TLVK_LEAKY_RELU: return x > 0 ? x : alpha * x;
    case TLVK_ELU: return x > 0 ? x : alpha * expm1(x);
    case TLVK_SELU: return selu_scale * (x > 0 ? x : selu_alpha * expm1(x));
    case TLVK_SIGMOID: return sigmoid(x);
    case TLVK_TANH: return tanh(x);
    case TLVK_SOFTPLUS: return fmax(x, 0) + log1p(exp(-fabs(x)));
    case TLVK_SWISH: return x * sigmoid(x);
    case TLVK_GELU: return 0.5 * x * erfc(-x * sqrt_half);
    case TLVK_HARD_SIGMOID: return clamp(x + 3, 0, 6) / 6;
    case TLVK_GELU_TANH: return x * sigmoid(2 * gelu_tanh_inner(x)); /* (1 + tanh(u)) / 2 = sigmoid(2u) */
    case TLVK_HARD_SIGMOID_KERAS2: return clamp(0.2 * x + 0.5, 0, 1);
    case TLVK_SOFTSIGN: return x / (1 + fabs(x));
    case TLVK_EXPONENTIAL: return exp(x);
    case TLVK_HARD_SWISH: return x * clamp(x + 3, 0, 6) / 6;
    default: return x;
    }
}

double tlvk__activation_slope(const tlvk__activation *a, double x) {
    double alpha = a->alpha, threshold = a->threshold, s;
    switch (a->kind) {
    case TLVK_RELU: return (x > threshold && x > 0 && x < a->max_value ? 1 : 0) + (x < threshold || (x == 0 && threshold == 0) ? alpha : 0);
    case TLVK_RELU6: return x > 0 && x < 6 ? 1 : 0;
    case TLVK_LEAKY_RELU: return x > 0 ? 1 : alpha;
    case TLVK_ELU: return x > 0 ? 1 : alpha * exp(x);
    case TLVK_SELU: return selu_scale * (x > 0 ? 1 : selu_alpha * exp(x));
    case TLVK_SIGMOID: return sigmoid(x) * sigmoid(-x);
    case TLVK_TANH: return 4 * sigmoid(2 * x) * sigmoid(-2 * x);
    case TLVK_SOFTPLUS: return sigmoid(x);
    case TLVK_SWISH: return sigmoid(x) * (1 + x * sigmoid(-x));
    case TLVK_GELU: return 0.5 * erfc(-x * sqrt_half) + x * inv_sqrt_2pi * exp(-0.5 * x * x);
    case TLVK_HARD_SIGMOID: return fabs(x) < 3 ? 1.0 / 6 : 0;
    case TLVK_GELU_TANH:
        s = 2 * gelu_tanh_inner(x);
        return sigmoid(s) * (1 + 2 * x * sigmoid(-s) * sqrt_2_over_pi * (1 + 0.134145 * x * x));
    case TLVK_HARD_SIGMOID_KERAS2: return fabs(x) < 2.5 ? 0.2 : 0;
    case TLVK_SOFTSIGN: return 1 / ((1 + fabs(x)) * (1 + fabs(x)));
    case TLVK_EXPONENTIAL: return exp(x);
    case TLVK_HARD_SWISH: return x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5;
    default: return 1;
    }
}

/* --- error bounds ----------------------------------------------------------------------------------------------------------------------- */

/* Relative error of the device's exp, its argument's own rounding included. */
static double exp_error(double x) {
    return (8 + 6 * fabs(x)) * TLVK__U;
}

static double sigmoid_error(double x) {
    return sigmoid(x) * (exp_error(x) + 8 * TLVK__U);
}

/* Rounding and special functions at x itself. */
static double own_error(const tlvk__activation *a, double x, double y) {
    double u = TLVK__U, ax = fabs(x), alpha = fabs((double)a->alpha);
    switch (a->kind) {
    case TLVK_RELU: return a->alpha == 0 ? 0 : 3 * u * alpha * (ax + a->threshold);
    case TLVK_LEAKY_RELU: return u * fabs(y);
    case TLVK_ELU: return x > 0 ? 0 : alpha * (exp(x) * exp_error(x) + 4 * u) * fmin(1, 4 * ax);
    case TLVK_SELU: return x > 0 ? 2 * u * y : 2 * (exp(x) * exp_error(x) + 4 * u) * fmin(1, 4 * ax);
    case TLVK_SIGMOID: return sigmoid_error(x);
    case TLVK_TANH: return fmin(1, 4 * ax) * (4 * exp(-2 * ax) * exp_error(2 * x) + 12 * u);
    case TLVK_SOFTPLUS: return exp(-ax) * exp_error(x) + (ax < 7 ? 0x1p-21 : 0) + 4 * u * y;
    case TLVK_SWISH: return ax * sigmoid_error(x) + 2 * u * fabs(y);
    case TLVK_GELU: return 0.5 * ax * (erfc(ax * sqrt_half) * (2.4e-7 + exp_error(0.5 * x * x)) + (x > 0 ? 6 * u : 0)) + 2 * u * fabs(y);
    case TLVK_HARD_SIGMOID: return 6 * u;
    case TLVK_GELU_TANH: {
        double inner = 2 * gelu_tanh_inner(x);
        return ax * (sigmoid_error(inner) + sigmoid(inner) * sigmoid(-inner) * fabs(inner) * 8 * u) + 2 * u * fabs(y);
    }
    case TLVK_HARD_SIGMOID_KERAS2: return 3 * u;
    case TLVK_SOFTSIGN: return 8 * u * fabs(y);
    case TLVK_EXPONENTIAL: return y * exp_error(x);
    case TLVK_HARD_SWISH: return 6 * u * ax;
    default: return 0;
    }
}

static double own_slope_error(const tlvk__activation *a, double x, double slope) {
    double u = TLVK__U, ax = fabs(x);
    switch (a->kind) {
    case TLVK_LINEAR: case TLVK_RELU: case TLVK_RELU6: case TLVK_LEAKY_RELU: return 0;
    case TLVK_HARD_SIGMOID: case TLVK_HARD_SIGMOID_KERAS2: return u;
    case TLVK_ELU: case TLVK_SELU: case TLVK_EXPONENTIAL: return slope * exp_error(x) + 2 * u * (1 + fabs((double)a->alpha));
    case TLVK_SIGMOID: case TLVK_SOFTPLUS: return sigmoid_error(x) + 4 * u;
    case TLVK_TANH: return 2 * (4 * exp(-2 * ax) * exp_error(2 * x) + 14 * u);
    case TLVK_SOFTSIGN: return 10 * u;
    case TLVK_HARD_SWISH: return 4 * u * (1 + fmin(ax, 3));
    case TLVK_SWISH: return sigmoid_error(x) * (1 + 2 * ax) + 6 * u * (1 + ax * sigmoid(-x));
    case TLVK_GELU: return 2.4e-7 + 8 * u + (ax * 0.4 + 1) * exp(-0.5 * x * x) * exp_error(0.5 * x * x);
    default: { /* gelu_tanh */
        double inner = 2 * gelu_tanh_inner(x), s = sigmoid(inner), factor = 1 + ax * (1 + 0.14 * x * x) * 2;
        return factor * (sigmoid_error(inner) + s * (1 - s) * fabs(inner) * 10 * u + 8 * u * fmin(s, 1 - s)) + 8 * u;
    }
    }
}

/* Results below float's normal range may be flushed to zero. */
#define SMALLEST 0x1p-125

double tlvk__activation_bound(const tlvk__activation *a, double x, double e) {
    double y = tlvk__activation_value(a, x);
    double carried = fmax(fabs(tlvk__activation_value(a, x + e) - y), fabs(tlvk__activation_value(a, x - e) - y));
    /* Between the ends a smooth, not monotone function may turn; its slope at x covers that to first order. */
    carried = fmax(carried, fabs(tlvk__activation_slope(a, x)) * e) * (1 + 1e-3);
    return carried + own_error(a, x, y) + (a->kind == TLVK_LINEAR ? 0 : SMALLEST * (1 + fabs(x)));
}

double tlvk__activation_slope_bound(const tlvk__activation *a, double x, double e, bool from_output) {
    double slope = tlvk__activation_slope(a, x);
    if (from_output && a->kind != TLVK_LINEAR) {
        /* A device that sees y with its rounding sees it as if x were off by that much over the slope. */
        double y = tlvk__activation_value(a, x), off = own_error(a, x, y) + TLVK__U * fabs(y) + SMALLEST;
        e += fabs(slope) > 0 ? off / fabs(slope) : 0;
    }
    double carried = fmax(fabs(tlvk__activation_slope(a, x + e) - slope), fabs(tlvk__activation_slope(a, x - e) - slope)) * (1 + 1e-3);
    return carried + own_slope_error(a, x, slope) + SMALLEST * (1 + x * x);
}

double tlvk__activation_half_argument(const tlvk__activation *a, double x) {
    double slope = fabs(tlvk__activation_slope(a, x));
    return slope > 0 ? tlvk__half_error(fabs(tlvk__activation_value(a, x))) / slope : 0;
}

/* --- recording -------------------------------------------------------------------------------------------------------------------------- */

tlvk_status tlvk__record_activation(tlvk__recorder *r, const tlvk__activation *a, const tlvk__tensor *x, const tlvk__tensor *y, const char *layer) {
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "activation", .texel = true, .operation = "activation", .layer = layer,
        .specs = {{"KIND", (uint32_t)a->kind}, {"MASK", x->c % TLVK__LANES != 0}},
        .operands = {{x, TLVK__READ, false}, {y, TLVK__WRITE, false}}, .operand_count = 2,
        .n = x->n, .items = tlvk__sample_vec4s(x), .flops = 8.0 * (double)x->n * (double)tlvk__sample_floats(x),
        .words = {(uint32_t)x->c, (uint32_t)(x->pitch / TLVK__LANES), tlvk__float_bits(a->alpha), tlvk__float_bits(a->max_value),
                  tlvk__float_bits(a->threshold)}, .word_count = 5});
}

tlvk_status tlvk__record_activation_slope(tlvk__recorder *r, const tlvk__activation *a, const tlvk__tensor *t, bool from_x, const tlvk__tensor *dy,
                                          const tlvk__tensor *scale, const tlvk__tensor *dz, bool accumulate, const char *layer) {
    const tlvk__tensor *told = a->kind == TLVK_LINEAR ? dy : t;
    int64_t columns = dy->pitch / TLVK__LANES;
    bool sliced = tlvk__row_vecs(told) != columns || tlvk__row_vecs(dy) != columns || tlvk__row_vecs(dz) != columns;
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "activation_backward", .texel = true, .operation = "activation_backward", .layer = layer,
        .specs = {{"KIND", (uint32_t)a->kind}, {"FROM_X", from_x}, {"SCALED", scale != NULL}, {"ACCUMULATE", accumulate}, {"SLICED", sliced}},
        .operands = {{a->kind == TLVK_LINEAR ? NULL : t, TLVK__READ, false}, {dy, TLVK__READ, false}, {scale, TLVK__READ, true},
                     {dz, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 4,
        .n = dy->n, .items = tlvk__sample_vec4s(dy), .flops = 8.0 * (double)dy->n * (double)tlvk__sample_floats(dy),
        .words = {(uint32_t)columns, tlvk__float_bits(a->alpha), tlvk__float_bits(a->max_value), tlvk__float_bits(a->threshold),
                  (uint32_t)tlvk__row_vecs(told), (uint32_t)tlvk__row_vecs(dy), (uint32_t)tlvk__row_vecs(dz)}, .word_count = 7});
}

tlvk_status tlvk__record_activation_backward(tlvk__recorder *r, const tlvk__activation *a, const tlvk__tensor *y, const tlvk__tensor *dy,
                                             const tlvk__tensor *scale, const tlvk__tensor *dz, const char *layer) {
    if (!tlvk__activation_from_output(a->kind))
        return tlvk__fail(TLVK_ERROR_INTERNAL, "%s: the gradient of %s cannot be told from its output", layer, tlvk__activation_name(a->kind));
    return tlvk__record_activation_slope(r, a, y, false, dy, scale, dz, false, layer);
}
