#version 450
// What batch_norm_finish.comp leaves, from the moving statistics: inference mode. One vec4 of channels per invocation.
//@ variant -
//@ variant few -DTEXEL
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint HAS_GAMMA = 0;
layout(constant_id = 1) const uint HAS_BETA = 0;
TLVK_READ_BUFFER(0, gamma);
TLVK_READ_BUFFER(1, beta);
TLVK_READ_BUFFER(2, moving_mean);
TLVK_READ_BUFFER(3, moving_variance);
layout(binding = 4) writeonly buffer Stats { vec4 stats[]; };
layout(push_constant) uniform Push { uint base[5]; uint items; float epsilon; };

void main() {
    uint column = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (column >= items)
        return;
    vec4 rstd = 1.0 / sqrt(TLVK_READ(moving_variance, int(base[3] + column)) + epsilon);
    uint to = base[4] + column;
    stats[to] = TLVK_READ(moving_mean, int(base[2] + column));
    stats[to + items] = rstd;
    stats[to + 2 * items] = HAS_GAMMA != 0 ? TLVK_READ(gamma, int(base[0] + column)) * rstd : rstd;
    stats[to + 3 * items] = HAS_BETA != 0 ? TLVK_READ(beta, int(base[1] + column)) : vec4(0.0);
}
