#version 450
// y = x * scale + offset, or y += it, with one number for everything or (CHANNELS) one per channel, 8 at most. One vec4 per invocation.
//@ variant texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "lanes.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(constant_id = 1) const uint MASK = 0; // c is no multiple of 4: the offset must not show in the lanes behind it; the lists' own are 0
layout(constant_id = 2) const uint CHANNELS = 0;
TLVK_READ_BUFFER_IN_PLACE(0, x);
layout(binding = 1) buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint base[2]; uint items; uint c; uint columns; float scale[8]; float offset[8]; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    vec4 v;
    if (CHANNELS != 0) {
        uint at = i % columns * 4;
        v = TLVK_READ(x, int(base[0] + i)) * vec4(scale[at], scale[at + 1], scale[at + 2], scale[at + 3]) + vec4(offset[at], offset[at + 1], offset[at + 2], offset[at + 3]);
    } else {
        v = TLVK_READ(x, int(base[0] + i)) * scale[0] + offset[0];
    }
    if (MASK != 0)
        v = tlvk_keep_channels(v, i % columns, c);
    y[base[1] + i] = ACCUMULATE != 0 ? y[base[1] + i] + v : v;
}
