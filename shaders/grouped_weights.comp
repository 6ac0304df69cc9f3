#version 450
// grouped_weights.comp - weight gradient of a convolution in groups: dw (tap, channel r of a group) x (output channel o) = sum over output
// pixels of x's channel r of o's group times dy's channel o. One invocation makes four rows of four columns over one part of the pixels;
// sum_parts.comp adds the parts in order. Rows behind a group's last channel become zero.
// aligned: groups of 4, 8, 12, ... channels on both sides.
//@ variant aligned -DALIGNED
//@ variant any
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;

layout(push_constant) uniform Push {
    int a_base, b_base, c_base;              // vec4
    int items, quads, c_vecs, columns;       // invocations; fours of rows of dw, of all taps; columns of dy and dw in vec4 and in channels
    int pixels, part_pixels, grid_h, grid_w; // output pixels: all, of a part, and per picture
    int h, w, a_pitch, tap_quads, taps_w;    // fours of rows per tap
    int stride_y, stride_x, offset_y, offset_x, tap_y, tap_x;
    int group_a, group_c;                    // channels of a group in x and in y
} push;

#ifdef ALIGNED
layout(binding = 0, std430) readonly restrict buffer A { vec4 a[]; };
#else
layout(binding = 0, std430) readonly restrict buffer A { float a[]; };
#endif
layout(binding = 1, std430) readonly restrict buffer B { vec4 b[]; };
layout(binding = 2, std430) writeonly restrict buffer C { vec4 c[]; };

void main() {
    int item = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    if (item >= push.items)
        return;
    int column = item % push.c_vecs, t = item / push.c_vecs, quad = t % push.quads, part = t / push.quads;
    int tap = quad / push.tap_quads, row = 4 * (quad - tap * push.tap_quads);
    int ty = tap / push.taps_w * push.tap_y + push.offset_y, tx = tap % push.taps_w * push.tap_x + push.offset_x;
    ivec4 group = min(4 * column + ivec4(0, 1, 2, 3), ivec4(push.columns - 1)) / push.group_c;
    vec4 sum[4] = vec4[4](vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    int pixel = part * push.part_pixels, end = min(pixel + push.part_pixels, push.pixels);
    int line = pixel / push.grid_w, x = pixel - line * push.grid_w, n = line / push.grid_h, y = line - n * push.grid_h;
    for (; pixel < end; pixel++) {
        int ay = y * push.stride_y + ty, ax = x * push.stride_x + tx;
        if (uint(ay) < uint(push.h) && uint(ax) < uint(push.w)) {
            int at = push.a_base + ((n * push.h + ay) * push.w + ax) * push.a_pitch;
            vec4 d = b[push.b_base + pixel * push.c_vecs + column];
#ifdef ALIGNED
            vec4 v = a[at + (group.x * push.group_a + row) / 4];
            [[unroll]] for (int i = 0; i < 4; i++)
                sum[i] += v[i] * d;
#else
            ivec4 first = 4 * at + group * push.group_a + row;
            [[unroll]] for (int i = 0; i < 4; i++)
                if (row + i < push.group_a)
                    sum[i] += vec4(a[first.x + i], a[first.y + i], a[first.z + i], a[first.w + i]) * d;
#endif
        }
        x++;
        if (x == push.grid_w) {
            x = 0;
            y++;
        }
        if (y == push.grid_h) {
            y = 0;
            n++;
        }
    }
    [[unroll]] for (int i = 0; i < 4; i++)
        c[push.c_base + ((part * push.quads + quad) * 4 + i) * push.c_vecs + column] = sum[i];
}
