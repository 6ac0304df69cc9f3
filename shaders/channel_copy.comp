#version 450
// Copies `c` channels of every row from one tensor to another, each beginning at a channel of its own.
// aligned: both begin at multiples of 4; one vec4 per invocation, lanes behind the last channel written as zero.
// scalar: any beginning; one float per invocation, and the last piece of a row writes `fill` zeros behind it.
//@ variant-and-half aligned_texel -DALIGNED=1 -DTEXEL
//@ variant aligned_plain -DALIGNED=1
//@ variant scalar -DALIGNED=0
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "lanes.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
#if ALIGNED
#define STORED(at) TLVK_READ_BACK(target, at)
#define STORE(at, v) TLVK_WRITE(target, at, v)
TLVK_READ_BUFFER(0, source);
TLVK_WRITE_BUFFER(1, target);
#else
layout(binding = 0) readonly buffer From { float source[]; };
layout(binding = 1) buffer To { float target[]; };
#define STORED(at) target[at]
#define STORE(at, v) target[at] = v
#endif
// Beginnings and pitches in vec4 units (aligned) or floats (scalar); row_items: invocations per row.
layout(push_constant) uniform Push { uint base[2]; uint items; uint row_items, from_pitch, from_at, to_pitch, to_at, c; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint row = i / row_items, k = i % row_items;
#if ALIGNED
    uint to = base[1] + row * to_pitch + to_at + k;
    vec4 v = tlvk_keep_channels(TLVK_READ(source, int(base[0] + row * from_pitch + from_at + k)), k, c);
#else
    uint to = 4 * base[1] + row * to_pitch + to_at + k;
    float v = k < c ? source[4 * base[0] + row * from_pitch + from_at + k] : 0.0;
#endif
    STORE(to, ACCUMULATE != 0 ? STORED(to) + v : v);
}
