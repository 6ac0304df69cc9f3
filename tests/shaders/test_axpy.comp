#version 450
// y[i] = a * x[i] + y[i] + BIAS for i < n: the smallest shader with a read, a write, push constants and a specialization constant.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint WG = 1;
layout(constant_id = 1) const float BIAS = 0.0;

layout(binding = 0) readonly buffer X { float x[]; };
layout(binding = 1) buffer Y { float y[]; };
layout(push_constant) uniform Push { uint n; float a; };

void main() {
    uint i = tlvk_group_x() * WG + gl_LocalInvocationID.x;
    if (i < n)
        y[i] = a * x[i] + y[i] + BIAS;
}
