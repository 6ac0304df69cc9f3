#version 450
// y = exp(x - max) / sum(exp(x - max)) over the channels of each row. One workgroup per row; maxima and sums join in a fixed tree.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "lanes.glsl"

layout(local_size_x = 64) in;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint base[2]; uint items; uint c; uint columns; };

shared float part[64];

float join_max(float v) {
    part[gl_LocalInvocationID.x] = v;
    for (uint half_ = 32; half_ > 0; half_ /= 2) {
        barrier();
        if (gl_LocalInvocationID.x < half_)
            part[gl_LocalInvocationID.x] = max(part[gl_LocalInvocationID.x], part[gl_LocalInvocationID.x + half_]);
    }
    barrier();
    v = part[0];
    barrier();
    return v;
}

float join_sum(float v) {
    part[gl_LocalInvocationID.x] = v;
    for (uint half_ = 32; half_ > 0; half_ /= 2) {
        barrier();
        if (gl_LocalInvocationID.x < half_)
            part[gl_LocalInvocationID.x] += part[gl_LocalInvocationID.x + half_];
    }
    barrier();
    return part[0];
}

void main() {
    uint row = tlvk_group_x();
    if (row >= items)
        return;
    uint from = base[0] + row * columns, to = base[1] + row * columns;
    float top = -3.4028234e38;
    for (uint j = gl_LocalInvocationID.x; j < columns; j += 64) {
        vec4 v = x[from + j];
        for (int k = 0; k < 4; k++)
            if (4 * j + k < c)
                top = max(top, v[k]);
    }
    top = join_max(top);
    float sum = 0.0;
    for (uint j = gl_LocalInvocationID.x; j < columns; j += 64) {
        vec4 v = tlvk_keep_channels(exp(x[from + j] - top), j, c);
        sum += (v.x + v.y) + (v.z + v.w);
    }
    sum = join_sum(sum);
    for (uint j = gl_LocalInvocationID.x; j < columns; j += 64)
        y[to + j] = tlvk_keep_channels(exp(x[from + j] - top) / sum, j, c);
}
