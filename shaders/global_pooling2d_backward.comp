#version 450
// Gradient of the maximum over all pixels: all pixels that are it share its gradient equally, as TensorFlow's reduce_max does. Work is divided as in
// global_pooling2d.comp.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) readonly buffer Y { vec4 y[]; };
layout(binding = 2) readonly buffer Dy { vec4 dy[]; };
layout(binding = 3) buffer Dx { vec4 dx[]; };
layout(push_constant) uniform Push { uint base[4]; uint items; uint columns; uint rows; };

shared vec4 part[64];

void main() {
    uint group = tlvk_group_x(), lane = gl_LocalInvocationID.x;
    if (group >= items)
        return;
    uint blocks = (columns + 7) / 8, n = group / blocks, column = group % blocks * 8 + lane % 8;
    bool inside = column < columns;
    uint first = n * rows * columns + column;
    vec4 share = inside ? dy[base[2] + n * columns + column] : vec4(0.0);
    vec4 top = inside ? y[base[1] + n * columns + column] : vec4(0.0), count = vec4(0.0);
    if (inside)
        for (uint row = lane / 8; row < rows; row += 8)
            count += vec4(equal(x[base[0] + first + row * columns], top));
    part[lane] = count;
    for (uint reach = 32; reach >= 8; reach /= 2) {
        barrier();
        if (lane < reach)
            part[lane] += part[lane + reach];
    }
    barrier();
    share /= part[lane % 8];
    if (inside)
        for (uint row = lane / 8; row < rows; row += 8) {
            uint at = first + row * columns;
            vec4 v = share;
            v *= vec4(equal(x[base[0] + at], top));
            if (ACCUMULATE != 0)
                v += dx[base[3] + at];
            dx[base[3] + at] = v;
        }
}
