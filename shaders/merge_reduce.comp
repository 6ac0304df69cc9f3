#version 450
// dx = factor * sum of dy (times another operand) over the axes along which x was broadcast. One workgroup per vec4 of dx; its 64 sums join in a
// fixed tree.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(constant_id = 1) const uint MULTIPLY = 0;
layout(binding = 0) readonly buffer Dy { vec4 dy[]; };
layout(binding = 1) readonly buffer Other { vec4 other[]; };
layout(binding = 2) buffer Dx { vec4 dx[]; };
// x_*: sizes of dx, columns in vec4 units; *: of dy. other_stride as in merge.comp. one_channel: x has one channel, dy more.
layout(push_constant) uniform Push {
    uint base[3]; uint items; uint x_columns, x_w, x_h, columns, w, h; uint one_channel; uint other_stride[4]; float factor;
};

shared vec4 part[64];

void main() {
    uint item = tlvk_group_x(), lane = gl_LocalInvocationID.x;
    if (item >= items)
        return;
    uint x_column = item % x_columns, t = item / x_columns, x_x = t % x_w, x_y = t / x_w % x_h, n = t / (x_w * x_h);
    // How many of each axis fall on this element of dx.
    uint along_c = one_channel != 0 ? columns : 1, along_w = x_w == 1 ? w : 1, along_h = x_h == 1 ? h : 1;
    vec4 sum = vec4(0.0);
    for (uint k = lane; k < along_c * along_w * along_h; k += 64) {
        uint column = one_channel != 0 ? k % along_c : x_column, x = x_w == 1 ? k / along_c % along_w : x_x, y = x_h == 1 ? k / (along_c * along_w) : x_y;
        vec4 v = dy[base[0] + ((n * h + y) * w + x) * columns + column];
        if (MULTIPLY != 0) {
            vec4 q = other[base[1] + n * other_stride[0] + y * other_stride[1] + x * other_stride[2] + column * other_stride[3]];
            v *= other_stride[3] == 0 ? q.xxxx : q;
        }
        sum += v;
    }
    part[lane] = sum;
    for (uint reach = 32; reach > 0; reach /= 2) {
        barrier();
        if (lane < reach)
            part[lane] += part[lane + reach];
    }
    if (lane != 0)
        return;
    sum = part[0] * factor;
    if (one_channel != 0)
        sum = vec4((sum.x + sum.y) + (sum.z + sum.w), 0.0, 0.0, 0.0);
    dx[base[2] + item] = ACCUMULATE != 0 ? dx[base[2] + item] + sum : sum;
}
