#version 450
// The device's multiply-adds: twelve independent chains per invocation, enough to hide their latency and few enough for sixteen registers. Nothing is
// read; one number per invocation is written so that none of it may be left out.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0) readonly buffer From { vec4 unread[]; };
layout(binding = 1) writeonly buffer To { vec4 to[]; };
layout(push_constant) uniform Push { uint vecs; uint loops; float factor; float term; };

const uint CHAINS = 12, UNROLLED = 32;

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    float a[CHAINS], f = factor, t = term; // read once: lavapipe loads a push constant again where it is used
    [[unroll]] for (uint k = 0; k < CHAINS; k++)
        a[k] = float(i + k) * 1e-6;
    for (uint n = 0; n < loops; n++)
        [[unroll]] for (uint u = 0; u < UNROLLED; u++)
            [[unroll]] for (uint k = 0; k < CHAINS; k++)
                a[k] = a[k] * f + t;
    float sum = 0;
    [[unroll]] for (uint k = 0; k < CHAINS; k++)
        sum += a[k];
    if (sum == 1e30) // never, which the compiler cannot know
        to[i % vecs] = vec4(sum);
}
