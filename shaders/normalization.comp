#version 450
// y = (x - mean) / s, with s = max(sqrt(variance), 1e-7); INVERT: y = mean + x * s; BACKWARD: the same without the mean; or y += it.
// mean and variance are vectors of channels, whose lanes behind the last channel are zero, so that y's are. One vec4 per invocation.
//@ variant texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(constant_id = 1) const uint INVERT = 0;
layout(constant_id = 2) const uint BACKWARD = 0;
TLVK_READ_BUFFER_IN_PLACE(0, x);
layout(binding = 1) readonly buffer Mean { vec4 mean[]; };
layout(binding = 2) readonly buffer Variance { vec4 variance[]; };
layout(binding = 3) buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint base[4]; uint items; uint columns; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns;
    vec4 s = max(sqrt(variance[base[2] + column]), vec4(1e-7)), m = BACKWARD != 0 ? vec4(0.0) : mean[base[1] + column], v = TLVK_READ(x, int(base[0] + i));
    v = INVERT != 0 ? m + v * s : (v - m) / s;
    y[base[3] + i] = ACCUMULATE != 0 ? y[base[3] + i] + v : v;
}
