#version 450
// epilogue_join.comp - scale and shift of an epilogue as one buffer: to = (scale, shift + bias * scale) by vec4.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;

layout(push_constant) uniform Push { int scale_base, shift_base, bias_base, to_base, count, biased; } push;
layout(binding = 0, std430) readonly restrict buffer Scale { vec4 scale[]; };
layout(binding = 1, std430) readonly restrict buffer Shift { vec4 shift[]; };
layout(binding = 2, std430) readonly restrict buffer Bias { vec4 bias[]; };
layout(binding = 3, std430) writeonly restrict buffer To { vec4 to[]; };

void main() {
    int i = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    if (i >= push.count)
        return;
    vec4 s = scale[push.scale_base + i], t = shift[push.shift_base + i];
    to[push.to_base + i] = s;
    to[push.to_base + push.count + i] = push.biased != 0 ? t + bias[push.bias_base + i] * s : t;
}
