#version 450
//@ variant storage -DTEXEL=0
//@ variant texel -DTEXEL=1
// The device's bandwidth: one vec4 read and written per invocation.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
#if TEXEL
layout(binding = 0) uniform samplerBuffer from;
#else
layout(binding = 0) readonly buffer From { vec4 from[]; };
#endif
layout(binding = 1) writeonly buffer To { vec4 to[]; };
layout(push_constant) uniform Push { uint vecs; uint loops; float factor; float term; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= vecs)
        return;
#if TEXEL
    to[i] = texelFetch(from, int(i));
#else
    to[i] = from[i];
#endif
}
