#version 450
// scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale (+ bias * scale): a normalization in inference mode as the epilogue of
// the operation before it. One vec4 of channels per invocation.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "lanes.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint HAS_GAMMA = 0;
layout(constant_id = 1) const uint HAS_BETA = 0;
layout(constant_id = 2) const uint HAS_BIAS = 0;
layout(binding = 0) readonly buffer Gamma { vec4 gamma[]; };
layout(binding = 1) readonly buffer Beta { vec4 beta[]; };
layout(binding = 2) readonly buffer MovingMean { vec4 moving_mean[]; };
layout(binding = 3) readonly buffer MovingVariance { vec4 moving_variance[]; };
layout(binding = 4) readonly buffer Bias { vec4 bias[]; };
layout(binding = 5) writeonly buffer Scale { vec4 scale[]; };
layout(binding = 6) writeonly buffer Shift { vec4 shift[]; };
layout(push_constant) uniform Push { uint base[7]; uint items; uint c; float epsilon; };

void main() {
    uint column = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (column >= items)
        return;
    vec4 s = 1.0 / sqrt(moving_variance[base[3] + column] + epsilon);
    if (HAS_GAMMA != 0)
        s *= gamma[base[0] + column];
    vec4 offset = -moving_mean[base[2] + column];
    if (HAS_BIAS != 0)
        offset += bias[base[4] + column];
    vec4 t = (HAS_BETA != 0 ? beta[base[1] + column] : vec4(0.0)) + offset * s;
    scale[base[5] + column] = tlvk_keep_channels(s, column, c);
    shift[base[6] + column] = tlvk_keep_channels(t, column, c);
}
