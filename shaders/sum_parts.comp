#version 450
// sum_parts.comp - to[i] = (ACCUMULATE ? to[i] : 0) + sum over parts of from[part][i], parts in ascending order, by vec4.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;
layout(constant_id = 9) const int ACCUMULATE = 0;

layout(push_constant) uniform Push {
    int from_base, to_base; // vec4
    int count, parts, apart; // vec4 of a part, how many parts, vec4 from one to the next
} push;
layout(binding = 0, std430) readonly restrict buffer From { vec4 from[]; };
layout(binding = 1, std430) restrict buffer To { vec4 to[]; };

void main() {
    int i = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    if (i >= push.count)
        return;
    vec4 sum = vec4(0.0);
    for (int part = 0; part < push.parts; part++)
        sum += from[push.from_base + part * push.apart + i];
    if (ACCUMULATE != 0)
        sum += to[push.to_base + i];
    to[push.to_base + i] = sum;
}
