#version 450
// dalpha = sum of dy * min(x, 0) over samples and over the axes that alpha shares. One workgroup per vec4 of alpha; its 64 sums join in a fixed
// tree. Rows that only pad alpha become zero.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) readonly buffer Dy { vec4 dy[]; };
layout(binding = 2) buffer To { vec4 to[]; };
// n, h, w, columns of x; a_*: of alpha, whose rows come a_pitch to each of a_h.
layout(push_constant) uniform Push { uint base[3]; uint items; uint n, h, w, columns, a_h, a_w, a_pitch, a_columns, one_channel; };

shared vec4 part[64];

void main() {
    uint item = tlvk_group_x(), lane = gl_LocalInvocationID.x;
    if (item >= items)
        return;
    uint column = item % a_columns, row = item / a_columns, ay = row / a_pitch, ax = row % a_pitch;
    uint along_c = one_channel != 0 ? columns : 1, along_w = a_w == 1 ? w : 1, along_h = a_h == 1 ? h : 1;
    vec4 sum = vec4(0.0);
    if (ay < a_h && ax < a_w)
        for (uint k = lane; k < along_c * along_w * along_h * n; k += 64) {
            uint c = one_channel != 0 ? k % along_c : column, t = k / along_c;
            uint ix = a_w == 1 ? t % along_w : ax, iy = a_h == 1 ? t / along_w % along_h : ay, sample_n = t / (along_w * along_h);
            uint at = ((sample_n * h + iy) * w + ix) * columns + c;
            sum += dy[base[1] + at] * min(x[base[0] + at], vec4(0.0));
        }
    part[lane] = sum;
    for (uint reach = 32; reach > 0; reach /= 2) {
        barrier();
        if (lane < reach)
            part[lane] += part[lane + reach];
    }
    if (lane != 0)
        return;
    sum = part[0];
    if (one_channel != 0)
        sum = vec4((sum.x + sum.y) + (sum.z + sum.w), 0.0, 0.0, 0.0);
    to[base[2] + item] = ACCUMULATE != 0 ? to[base[2] + item] + sum : sum;
}
