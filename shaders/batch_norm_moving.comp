#version 450
// What batch_norm_finish.comp leaves, from the moving statistics: inference mode. One vec4 of channels per invocation.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint HAS_GAMMA = 0;
layout(constant_id = 1) const uint HAS_BETA = 0;
layout(binding = 0) readonly buffer Gamma { vec4 gamma[]; };
layout(binding = 1) readonly buffer Beta { vec4 beta[]; };
layout(binding = 2) readonly buffer MovingMean { vec4 moving_mean[]; };
layout(binding = 3) readonly buffer MovingVariance { vec4 moving_variance[]; };
layout(binding = 4) writeonly buffer Stats { vec4 stats[]; };
layout(push_constant) uniform Push { uint base[5]; uint items; float epsilon; };

void main() {
    uint column = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (column >= items)
        return;
    vec4 rstd = 1.0 / sqrt(moving_variance[base[3] + column] + epsilon);
    uint to = base[4] + column;
    stats[to] = moving_mean[base[2] + column];
    stats[to + items] = rstd;
    stats[to + 2 * items] = HAS_GAMMA != 0 ? gamma[base[0] + column] * rstd : rstd;
    stats[to + 3 * items] = HAS_BETA != 0 ? beta[base[1] + column] : vec4(0.0);
}
