#version 450
// For a kernel W with columns of output channels, whose dW was taken before the scale of a normalization in inference mode:
//     dgamma = rstd * (sum over rows W * dW - mean * dbeta),   dW = dW * scale.
// One workgroup for each four columns; rows are summed by each invocation in steps of 64, then by a tree of fixed order.
//@ variant -
//@ variant few -DTEXEL
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint HAS_GAMMA = 0;
layout(binding = 0) readonly buffer W { vec4 w[]; };
TLVK_READ_BUFFER(1, scale);
TLVK_READ_BUFFER(2, moving_mean);
TLVK_READ_BUFFER(3, moving_variance);
TLVK_READ_BUFFER(4, dbeta);
layout(binding = 5) buffer Dw { vec4 dw[]; };
layout(binding = 6) buffer Dgamma { vec4 dgamma[]; };
layout(push_constant) uniform Push { uint base[7]; uint items; uint rows; float epsilon; };

shared vec4 parts[64];

void main() {
    uint column = tlvk_group_x(), lane = gl_LocalInvocationID.x;
    if (column >= items)
        return;
    vec4 s = TLVK_READ(scale, int(base[1] + column)), sum = vec4(0.0);
    for (uint row = lane; row < rows; row += 64) {
        uint i = row * items + column;
        vec4 d = dw[base[5] + i];
        sum += w[base[0] + i] * d;
        dw[base[5] + i] = d * s;
    }
    if (HAS_GAMMA == 0)
        return;
    parts[lane] = sum;
    barrier();
    for (uint half_count = 32; half_count > 0; half_count /= 2) {
        if (lane < half_count)
            parts[lane] += parts[lane + half_count];
        barrier();
    }
    if (lane == 0) {
        vec4 rstd = 1.0 / sqrt(TLVK_READ(moving_variance, int(base[3] + column)) + epsilon);
        dgamma[base[6] + column] = rstd * (parts[0] - TLVK_READ(moving_mean, int(base[2] + column)) * TLVK_READ(dbeta, int(base[4] + column)));
    }
}
