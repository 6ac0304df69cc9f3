#version 450
// y = act(scale * y + shift) per channel, in place: what stands behind an operation whose own shader has no room for it. One vec4 per invocation.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;

layout(push_constant) uniform Push {
    int base, items, vecs; // vec4: where y begins, how many there are, per pixel
    int e_base, scaled, columns;
    float alpha, max_value, threshold;
} push;
layout(binding = 0, std430) restrict buffer Y { vec4 y[]; };
layout(binding = 1, std430) readonly restrict buffer E { vec4 e[]; };
#include "epilogue.glsl"

void main() {
    int i = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    if (i >= push.items)
        return;
    Epilogue s = epilogue_of(i % push.vecs, push.vecs);
    y[push.base + i] = epilogue_apply(s, y[push.base + i]);
}
