#version 450
// dx = y * (dy - sum(dy * y)) over the channels of each row. One workgroup per row; the sum joins in a fixed tree.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(binding = 0) readonly buffer Y { vec4 y[]; };
layout(binding = 1) readonly buffer Dy { vec4 dy[]; };
layout(binding = 2) buffer Dx { vec4 dx[]; };
layout(push_constant) uniform Push { uint base[3]; uint items; uint columns; };

shared float part[64];

void main() {
    uint row = tlvk_group_x(), lane = gl_LocalInvocationID.x;
    if (row >= items)
        return;
    uint first = row * columns;
    float sum = 0.0;
    for (uint j = lane; j < columns; j += 64)
        sum += dot(y[base[0] + first + j], dy[base[1] + first + j]);
    part[lane] = sum;
    for (uint half_ = 32; half_ > 0; half_ /= 2) {
        barrier();
        if (lane < half_)
            part[lane] += part[lane + half_];
    }
    barrier();
    sum = part[0];
    for (uint j = lane; j < columns; j += 64) {
        vec4 v = y[base[0] + first + j] * (dy[base[1] + first + j] - sum);
        if (ACCUMULATE != 0)
            v += dx[base[2] + first + j];
        dx[base[2] + first + j] = v;
    }
}
