#version 450
// y[i] = 2 * t[i] for i < n, read through a buffer of RGBA32F texels.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x_id = 0) in;

layout(binding = 0) uniform samplerBuffer t;
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint n; };

void main() {
    uint i = tlvk_group_x() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    if (i < n)
        y[i] = 2.0 * texelFetch(t, int(i));
}
