#version 450
// optimizer_update.comp - one optimizer step of one chunk: a workgroup per block of 1024 floats, an invocation per vec4 (or two).
// Formulas: keras/src/optimizers/{adam,adamw,sgd,rmsprop}.py; order of clipping, decay and update: base_optimizer.py, _backend_apply_gradients.
//@ variant-and-pairs texel -DTEXEL
//@ variant plain
//@ variant few -DTEXEL -DFEW
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "step_params.h"
#include "optimizer.glsl"

layout(local_size_x_id = 20) in;
layout(constant_id = 20) const uint WG = 256;       // 128 on devices of no more
layout(constant_id = 0) const uint KIND = 0;        // KIND_*; AdamW is Adam with weight decay in the table
layout(constant_id = 1) const uint MOMENTUM = 0;    // SGD, RMSprop
layout(constant_id = 2) const uint NESTEROV = 0;    // SGD
layout(constant_id = 3) const uint CENTERED = 0;    // RMSprop
layout(constant_id = 4) const uint AMSGRAD = 0;     // Adam
layout(constant_id = 5) const uint REGULARIZED = 0; // the table has l1 or l2
layout(constant_id = 6) const uint CLIP = 0;        // CLIP_*

layout(constant_id = 7) const uint SCALED = 0;      // factors[] begins with what loss_scale.comp leaves; dw is multiplied by the loss scale

const uint KIND_ADAM = 0, KIND_SGD = 1, KIND_RMSPROP = 2;
const uint CLIP_NONE = 0, CLIP_VALUE = 1, CLIP_NORM = 2, CLIP_GLOBAL = 3;

TLVK_WRITE_BUFFER(0, w);
TLVK_READ_BUFFER(1, dw);
TLVK_WRITE_BUFFER(2, first);  // Adam m, SGD momentum, RMSprop velocity
TLVK_WRITE_BUFFER(3, second); // Adam v, RMSprop momentum
TLVK_WRITE_BUFFER(4, third);  // Adam largest v, RMSprop average gradient
TLVK_READ_BUFFER(5, table); // two for each block: l1, l2, weight decay, factor of the rate; number of the variable
#ifdef FEW // four storage buffers are left, w and the three parts
TLVK_READ_BUFFER(6, params);
TLVK_READ_BUFFER(7, factors);
#else
layout(binding = 6) readonly buffer Step { StepParams params[]; };
layout(binding = 7) readonly buffer Factors { float factors[]; };
#endif
#if defined(TEXEL) && !defined(FEW) // the same memory as bindings 0, 2 and 3
TLVK_READ_BUFFER_IN_PLACE(8, w_read);
TLVK_READ_BUFFER_IN_PLACE(9, first_read);
TLVK_READ_BUFFER_IN_PLACE(10, second_read);
#else
#define IN_STORAGE
#endif

layout(push_constant) uniform Push {
    uint blocks, w_base, dw_base, first_base, second_base, third_base, table_base, params_base, factors_base; // vec4 units
    float decay_1, gain_1; // Adam: beta_1, 1 - beta_1; SGD, RMSprop: momentum, unused
    float decay_2, gain_2; // Adam: beta_2, 1 - beta_2; RMSprop: rho, 1 - rho
    float epsilon, clip;
};

#ifdef IN_STORAGE
vec4 read_w(uint i) { return TLVK_READ_BACK(w, i); }
vec4 read_first(uint i) { return TLVK_READ_BACK(first, i); }
vec4 read_second(uint i) { return TLVK_READ_BACK(second, i); }
#else
vec4 read_w(uint i) { return TLVK_READ(w_read, int(i)); }
vec4 read_first(uint i) { return TLVK_READ(first_read, int(i)); }
vec4 read_second(uint i) { return TLVK_READ(second_read, int(i)); }
#endif

#ifdef FEW
float factor(uint k) { return TLVK_READ(factors, int(factors_base + k / 4))[k % 4]; }
vec2 rates() { return TLVK_READ(params, int(params_base) + 1).xy; } // learning_rate and rate lie behind 16 bytes
#else
float factor(uint k) { return factors[factors_base * 4 + k]; }
vec2 rates() {
    StepParams p = params[params_base / 4];
    return vec2(p.learning_rate, p.rate);
}
#endif

vec4 adam(vec4 g, uint i, float rate) {
    vec4 m = read_first(first_base + i), v = read_second(second_base + i);
    m += (g - m) * gain_1;
    v += (g * g - v) * gain_2;
    TLVK_WRITE(first, first_base + i, m);
    TLVK_WRITE(second, second_base + i, v);
    if (AMSGRAD != 0) {
        v = max(TLVK_READ_BACK(third, third_base + i), v);
        TLVK_WRITE(third, third_base + i, v);
    }
    return -(m * rate) / (sqrt(v) + epsilon);
}

vec4 sgd(vec4 g, uint i, float rate) {
    if (MOMENTUM == 0)
        return -(g * rate);
    vec4 m = read_first(first_base + i) * decay_1 - g * rate;
    TLVK_WRITE(first, first_base + i, m);
    return NESTEROV != 0 ? m * decay_1 - g * rate : m;
}

vec4 rmsprop(vec4 g, uint i, float rate) {
    vec4 v = decay_2 * read_first(first_base + i) + gain_2 * (g * g);
    TLVK_WRITE(first, first_base + i, v);
    vec4 under_root = v + epsilon;
    if (CENTERED != 0) {
        vec4 average = decay_2 * TLVK_READ_BACK(third, third_base + i) + gain_2 * g;
        TLVK_WRITE(third, third_base + i, average);
        under_root = v - average * average + epsilon;
    }
    vec4 increment = rate * g / sqrt(under_root);
    if (MOMENTUM != 0) {
        increment += decay_1 * read_second(second_base + i);
        TLVK_WRITE(second, second_base + i, increment);
    }
    return -increment;
}

BlockRow block_row(uint block) {
    vec4 numbers = TLVK_READ(table, int(table_base + 2 * block));
    BlockRow row = BlockRow(numbers.x, numbers.y, numbers.z, numbers.w, 0.0, uint[](0u, 0u, 0u));
    if (CLIP == CLIP_NORM)
        row.variable = TLVK_READ(table, int(table_base + 2 * block + 1)).x;
    return row;
}

void update(uint i, BlockRow row) {
    const uint head = SCALED != 0 ? 4 : 0;
    vec4 weight = read_w(w_base + i), g = TLVK_READ(dw, int(dw_base + i));
    if (SCALED != 0)
        g *= factor(1);
    if (REGULARIZED != 0)
        g = tlvk_regularized(g, weight, row);
    if (CLIP == CLIP_VALUE)
        g = clamp(g, -clip, clip);
    else if (CLIP == CLIP_NORM)
        g *= factor(head + uint(row.variable));
    else if (CLIP == CLIP_GLOBAL)
        g *= factor(head);
    vec2 p = rates();
    weight -= weight * row.weight_decay * (p.x * row.rate_factor);
    float rate = (SCALED != 0 ? p.x * factor(2) : p.y) * row.rate_factor;
    if (KIND == KIND_ADAM)
        weight += adam(g, i, rate);
    else if (KIND == KIND_SGD)
        weight += sgd(g, i, rate);
    else
        weight += rmsprop(g, i, rate);
    TLVK_WRITE(w, w_base + i, weight);
}

void main() {
    uint block = tlvk_group_x();
    if (block >= blocks)
        return;
    BlockRow row = block_row(block);
    if (SCALED != 0 && factor(0) == 0.0)
        return;
    for (uint k = gl_LocalInvocationID.x; k < TLVK_BLOCK_VEC4; k += WG)
        update(block * TLVK_BLOCK_VEC4 + k, row);
}
