#version 450
// y = x * scale + offset, or y += it. One vec4 per invocation.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "lanes.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(constant_id = 1) const uint MASK = 0; // c is no multiple of 4: the offset must not show in the lanes behind it
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint base[2]; uint items; uint c; uint columns; float scale; float offset; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    vec4 v = x[base[0] + i] * scale + offset;
    if (MASK != 0)
        v = tlvk_keep_channels(v, i % columns, c);
    y[base[1] + i] = ACCUMULATE != 0 ? y[base[1] + i] + v : v;
}
