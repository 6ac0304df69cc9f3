#version 450
// optimizer_finish.comp - one workgroup: the regularization penalty and the norm of all gradients into the metrics words, and the factors that
// clip by norm. Formulas: keras/src/optimizers/base_optimizer.py, _clip_by_norm and clip_by_global_norm.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x_id = 20) in;
layout(constant_id = 20) const uint WG = 256; // 128 on devices of no more
layout(constant_id = 0) const uint CLIP = 0;        // as in optimizer_update.comp
layout(constant_id = 1) const uint REGULARIZED = 0;

const uint CLIP_NORM = 2, CLIP_GLOBAL = 3;
const uint WORD_PENALTY = 5, WORD_NORM = 6; // enum of engine/ops/loss.h

layout(binding = 0) readonly buffer Sums { vec4 sums[]; };
layout(binding = 1) buffer Factors { float factors[]; }; // squared norms before, clipping factors after; global: the one factor in [0]
layout(binding = 2) buffer Metrics { float metrics[]; };

layout(push_constant) uniform Push { uint blocks, variables, sums_base, factors_base, metrics_base; float clip; }; // bases in vec4 units

shared float shared_sum[WG];

float total(float s) {
    uint lane = gl_LocalInvocationID.x;
    shared_sum[lane] = s;
    barrier();
    for (uint half_width = WG / 2; half_width > 0; half_width /= 2) {
        if (lane < half_width)
            shared_sum[lane] += shared_sum[lane + half_width];
        barrier();
    }
    s = shared_sum[0];
    barrier();
    return s;
}

void main() {
    uint lane = gl_LocalInvocationID.x;
    if (REGULARIZED != 0) {
        float s = 0.0;
        for (uint k = lane; k < blocks; k += WG)
            s += sums[sums_base + k].y;
        s = total(s);
        if (lane == 0)
            metrics[metrics_base * 4 + WORD_PENALTY] = s;
    }
    if (CLIP >= CLIP_NORM) {
        float s = 0.0;
        for (uint v = lane; v < variables; v += WG)
            s += factors[factors_base * 4 + v];
        float norm = sqrt(total(s));
        if (CLIP == CLIP_NORM)
            for (uint v = lane; v < variables; v += WG) {
                float own = sqrt(factors[factors_base * 4 + v]);
                factors[factors_base * 4 + v] = clip / max(own, clip);
            }
        if (lane == 0) {
            metrics[metrics_base * 4 + WORD_NORM] = norm;
            // A norm that is not finite makes every gradient NaN, as Keras; told by its bits, since compilers may assume finite numbers.
            bool finite = (floatBitsToUint(norm) & 0x7f800000u) != 0x7f800000u;
            if (CLIP == CLIP_GLOBAL)
                factors[factors_base * 4] = finite ? clip / max(norm, clip) : uintBitsToFloat(0x7fc00000u);
        }
    }
}
