#version 450
// loss.comp - loss, gradient and metric of every row of predictions, summed per workgroup into one vec4 of partial sums.
// y is (rows, y_pitch), target (rows, t_pitch), weights (samples, 4), dy (rows, y_pitch); `rows` are those of one piece.
// Formulas: keras/src/backend/tensorflow/nn.py and keras/src/losses/losses.py; gradients as TensorFlow derives them (see engine/ops/loss.c).
//@ variant -
//@ variant few -DTEXEL
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "loss_scaling.glsl"

const uint WG = 64;
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint KIND = 0;     // the loss: KIND_*
layout(constant_id = 1) const uint LOGITS = 0;   // y holds values before softmax or sigmoid
layout(constant_id = 2) const uint METRIC = 0;   // METRIC_*
layout(constant_id = 3) const uint OUTPUT = 0;   // what makes the model's output of y, for the metric: OUTPUT_*
layout(constant_id = 4) const uint LANES = 1;    // invocations that share a row: 1, or WG where rows are long
layout(constant_id = 5) const uint GRADIENT = 0; // dy is wanted
layout(constant_id = 6) const uint WEIGHTED = 0; // weights are there
layout(constant_id = 7) const uint SOFTMAX = 0;  // row_max and row_exp are needed
layout(constant_id = 8) const uint SCALED = 0;   // mixed precision: dy is multiplied by the loss scale

const uint KIND_CATEGORICAL = 0, KIND_SPARSE = 1, KIND_BINARY = 2, KIND_SQUARED = 3;
const uint METRIC_NONE = 0, METRIC_BINARY = 1, METRIC_CATEGORICAL = 2, METRIC_SPARSE = 3, METRIC_SQUARED = 4;
const uint OUTPUT_PLAIN = 0, OUTPUT_SIGMOID = 1, OUTPUT_SOFTMAX = 2;
const float EPSILON = 1e-7;               // keras.config.epsilon()
const float NEARLY_ONE = 0.99999988079;   // the float32 nearest to 1 - 1e-7
const uint NOT_A_NUMBER = 0x7fc00000u;

layout(binding = 0) readonly buffer Y { float y[]; };
layout(binding = 1) readonly buffer Target { float target[]; };
TLVK_READ_BUFFER(2, weights); // one for each sample, in x
layout(binding = 3) buffer Dy { float dy[]; };
layout(binding = 4) buffer Partials { vec4 partials[]; }; // loss, weight, matches, squared error
TLVK_READ_BUFFER(5, scaling);

layout(push_constant) uniform Push {
    uint rows, rows_per_sample, c, y_pitch, t_pitch, rows_per_group;
    uint y_base, t_base, w_base, dy_base, partial; // vec4 units
    float smooth_scale, smooth_shift;              // smoothed target: t * scale + shift
    float gradient_scale;                          // 1 / number of values the batch's loss is the mean of
    uint scaling_base;                             // vec4 units
};

shared vec4 shared_sums[WG];
shared float shared_value[WG];
shared uint shared_index[WG];

// Sum over the invocations that share a row, in the fixed order of a tree; all of them call it together.
float row_sum(float v) {
    if (LANES == 1)
        return v;
    uint i = gl_LocalInvocationID.x;
    shared_value[i] = v;
    barrier();
    for (uint half_width = WG / 2; half_width > 0; half_width /= 2) {
        if (i < half_width)
            shared_value[i] += shared_value[i + half_width];
        barrier();
    }
    v = shared_value[0];
    barrier();
    return v;
}

// The largest value and the smallest index that has it.
uint row_argmax(float v, uint index, out float largest) {
    largest = v;
    if (LANES == 1)
        return index;
    uint i = gl_LocalInvocationID.x;
    shared_value[i] = v;
    shared_index[i] = index;
    barrier();
    for (uint half_width = WG / 2; half_width > 0; half_width /= 2) {
        if (i < half_width) {
            float other = shared_value[i + half_width];
            uint other_index = shared_index[i + half_width];
            if (other > shared_value[i] || (other == shared_value[i] && other_index < shared_index[i])) {
                shared_value[i] = other;
                shared_index[i] = other_index;
            }
        }
        barrier();
    }
    largest = shared_value[0];
    index = shared_index[0];
    barrier();
    return index;
}

// log(1 + u) for u in [0, 1] as 2 atanh(s), s = u / (2 + u) <= 1/3 (Abramowitz & Stegun 4.1.27): log itself may be wrong by 2^-21 near 1.
float log1p(float u) {
    float s = u / (2.0 + u), q = s * s;
    return 2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0 + q / 15.0)))))));
}

float sigmoid(float z) {
    float e = exp(-abs(z));
    return (z >= 0.0 ? 1.0 : e) / (1.0 + e);
}

float clipped(float p) { return clamp(p, EPSILON, NEARLY_ONE); }
float passes(float p) { return p >= EPSILON && p <= NEARLY_ONE ? 1.0 : 0.0; } // derivative of clip_by_value

uint lane;          // this invocation's first channel
uint y0, t0, d0;    // first float of the row in y, target, dy
float row_weight;   // sample weight
float row_max, row_exp; // of softmax: largest value, sum of exponentials

float smoothed(uint j) { return target[t0 + j] * smooth_scale + smooth_shift; }

void put_gradient(uint j, float g) {
    if (GRADIENT != 0)
        dy[d0 + j] = row_weight * gradient_scale * g * (SCALED != 0 ? TLVK_READ(scaling, int(scaling_base))[TLVK_SCALE] : 1.0);
}

float loss_categorical() {
    float loss = 0.0;
    if (LOGITS != 0) {
        float log_sum = log(row_exp);
        for (uint j = lane; j < c; j += LANES) {
            float x = y[y0 + j] - row_max, t = smoothed(j);
            loss += t * (log_sum - x);
            put_gradient(j, exp(x) / row_exp - t);
        }
        return loss;
    }
    float total = 0.0, dot_product = 0.0;
    for (uint j = lane; j < c; j += LANES)
        total += y[y0 + j];
    total = row_sum(total);
    for (uint j = lane; j < c; j += LANES) {
        float p = y[y0 + j] / total, t = smoothed(j);
        loss -= t * log(clipped(p));
        dot_product -= passes(p) * t; // dloss/dp * p
    }
    dot_product = row_sum(dot_product);
    for (uint j = lane; j < c; j += LANES) {
        float p = y[y0 + j] / total;
        put_gradient(j, (-smoothed(j) * passes(p) / clipped(p) - dot_product) / total);
    }
    return loss;
}

float loss_sparse() {
    float number = target[t0];
    if (!(number >= 0.0 && number < float(c))) {
        for (uint j = lane; j < c; j += LANES)
            put_gradient(j, 0.0);
        return lane == 0 ? uintBitsToFloat(NOT_A_NUMBER) : 0.0;
    }
    uint label = uint(number);
    if (LOGITS != 0) {
        for (uint j = lane; j < c; j += LANES)
            put_gradient(j, exp(y[y0 + j] - row_max) / row_exp - (j == label ? 1.0 : 0.0));
        return lane == 0 ? log(row_exp) - (y[y0 + label] - row_max) : 0.0;
    }
    float total = 0.0;
    for (uint j = lane; j < c; j += LANES)
        total += clipped(y[y0 + j]);
    total = row_sum(total);
    for (uint j = lane; j < c; j += LANES) {
        float p = y[y0 + j], q = clipped(p);
        put_gradient(j, passes(p) * (1.0 / total - (j == label ? 1.0 / q : 0.0)));
    }
    return lane == 0 ? log(total) - log(clipped(y[y0 + label])) : 0.0;
}

float loss_binary() {
    float loss = 0.0;
    for (uint j = lane; j < c; j += LANES) {
        float v = y[y0 + j], t = smoothed(j);
        if (LOGITS != 0) {
            loss += max(v, 0.0) - v * t + log1p(exp(-abs(v)));
            put_gradient(j, sigmoid(v) - t);
        } else {
            float q = clipped(v);
            loss -= t * log(q) + (1.0 - t) * log(1.0 - q);
            put_gradient(j, passes(v) * ((1.0 - t) / (1.0 - q) - t / q));
        }
    }
    return loss / float(c);
}

float loss_squared() {
    float loss = 0.0;
    for (uint j = lane; j < c; j += LANES) {
        float d = y[y0 + j] - target[t0 + j];
        loss += d * d;
        put_gradient(j, 2.0 * d);
    }
    return loss / float(c);
}

void find_softmax() {
    float largest = uintBitsToFloat(0xff800000u), total = 0.0;
    for (uint j = lane; j < c; j += LANES)
        largest = max(largest, y[y0 + j]);
    row_argmax(largest, 0, row_max);
    for (uint j = lane; j < c; j += LANES)
        total += exp(y[y0 + j] - row_max);
    row_exp = row_sum(total);
}

float model_output(uint j) {
    float v = y[y0 + j];
    if (OUTPUT == OUTPUT_SIGMOID)
        return sigmoid(v);
    return OUTPUT == OUTPUT_SOFTMAX ? exp(v - row_max) / row_exp : v;
}

uint argmax_y() {
    float best = uintBitsToFloat(0xff800000u), unused;
    uint index = 0xffffffffu;
    for (uint j = lane; j < c; j += LANES)
        if (y[y0 + j] > best) {
            best = y[y0 + j];
            index = j;
        }
    index = row_argmax(best, index, unused);
    return index < c ? index : 0; // nothing above -inf: the first, as argmax
}

uint argmax_target() {
    float best = uintBitsToFloat(0xff800000u), unused;
    uint index = 0xffffffffu;
    for (uint j = lane; j < c; j += LANES)
        if (target[t0 + j] > best) {
            best = target[t0 + j];
            index = j;
        }
    index = row_argmax(best, index, unused);
    return index < c ? index : 0;
}

// This invocation's share of (matches, squared error) of the row.
vec2 row_metric() {
    vec2 m = vec2(0.0);
    if (METRIC == METRIC_BINARY) {
        for (uint j = lane; j < c; j += LANES) {
            bool positive = OUTPUT == OUTPUT_SIGMOID ? y[y0 + j] > 0.0 : model_output(j) > 0.5;
            m.x += target[t0 + j] == (positive ? 1.0 : 0.0) ? 1.0 : 0.0;
        }
    } else if (METRIC == METRIC_CATEGORICAL) {
        bool same = argmax_y() == argmax_target();
        m.x = lane == 0 && same ? 1.0 : 0.0;
    } else if (METRIC == METRIC_SPARSE) {
        bool same = float(argmax_y()) == target[t0];
        m.x = lane == 0 && same ? 1.0 : 0.0;
    } else if (METRIC == METRIC_SQUARED) {
        for (uint j = lane; j < c; j += LANES) {
            float d = model_output(j) - target[t0 + j];
            m.y += d * d;
        }
    }
    return m;
}

vec4 one_row(uint row) {
    y0 = y_base * 4 + row * y_pitch;
    t0 = t_base * 4 + row * t_pitch;
    d0 = dy_base * 4 + row * y_pitch;
    row_weight = WEIGHTED != 0 ? TLVK_READ(weights, int(w_base + row / rows_per_sample)).x : 1.0;
    if (SOFTMAX != 0)
        find_softmax();
    float loss;
    if (KIND == KIND_CATEGORICAL)
        loss = loss_categorical();
    else if (KIND == KIND_SPARSE)
        loss = loss_sparse();
    else if (KIND == KIND_BINARY)
        loss = loss_binary();
    else
        loss = loss_squared();
    if (GRADIENT != 0)
        for (uint j = c + lane; j < y_pitch; j += LANES)
            dy[d0 + j] = 0.0;
    bool counts_weight = lane == 0 && row % rows_per_sample == 0;
    return vec4(row_weight * loss, counts_weight ? row_weight : 0.0, row_metric());
}

void main() {
    uint group = tlvk_group_x(), i = gl_LocalInvocationID.x, first = group * rows_per_group;
    if (first >= rows)
        return;
    lane = i % LANES;
    uint slots = WG / LANES, slot = i / LANES;
    vec4 sums = vec4(0.0);
    for (uint k = 0; k < rows_per_group; k += slots) {
        uint row = first + k + slot;
        if (row < rows)
            sums += one_row(row);
    }
    shared_sums[i] = sums;
    barrier();
    for (uint half_width = WG / 2; half_width > 0; half_width /= 2) {
        if (i < half_width)
            shared_sums[i] += shared_sums[i + half_width];
        barrier();
    }
    if (i == 0)
        partials[partial + group] = shared_sums[0];
}
