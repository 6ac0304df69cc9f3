#version 450
// scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale (+ bias * scale): a normalization in inference mode as the epilogue of
// the operation before it. One vec4 of channels per invocation.
//@ variant -
//@ variant few -DTEXEL
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "lanes.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint HAS_GAMMA = 0;
layout(constant_id = 1) const uint HAS_BETA = 0;
layout(constant_id = 2) const uint HAS_BIAS = 0;
TLVK_READ_BUFFER(0, gamma);
TLVK_READ_BUFFER(1, beta);
TLVK_READ_BUFFER(2, moving_mean);
TLVK_READ_BUFFER(3, moving_variance);
TLVK_READ_BUFFER(4, bias);
layout(binding = 5) writeonly buffer Scale { vec4 scale[]; };
layout(binding = 6) writeonly buffer Shift { vec4 shift[]; };
layout(push_constant) uniform Push { uint base[7]; uint items; uint c; float epsilon; };

void main() {
    uint column = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (column >= items)
        return;
    vec4 s = 1.0 / sqrt(TLVK_READ(moving_variance, int(base[3] + column)) + epsilon);
    if (HAS_GAMMA != 0)
        s *= TLVK_READ(gamma, int(base[0] + column));
    vec4 offset = -TLVK_READ(moving_mean, int(base[2] + column));
    if (HAS_BIAS != 0)
        offset += TLVK_READ(bias, int(base[4] + column));
    vec4 t = (HAS_BETA != 0 ? TLVK_READ(beta, int(base[1] + column)) : vec4(0.0)) + offset * s;
    scale[base[5] + column] = tlvk_keep_channels(s, column, c);
    shift[base[6] + column] = tlvk_keep_channels(t, column, c);
}
