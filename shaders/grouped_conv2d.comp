#version 450
// grouped_conv2d.comp - a convolution whose channels fall into groups that do not meet. The pixel grid, its taps and its strides are those of
// conv2d_gemm.comp. Forward: C = y, A = x, and row i of a tap of w is the i-th channel of a column's own group. Backward-data: C = dx of one
// stride phase, A = dy, and dx's channel r of its group meets row r of w in the columns of that group.
// One invocation makes PIXELS neighbouring pixels of four channels, so that a weight is read once for all of them.
// aligned: groups of 4, 8, 12, ... channels in A and C, so that four channels of C are of one group; any: each lane has a group of its own.
//@ variant forward_aligned -DFORWARD -DALIGNED
//@ variant forward_any -DFORWARD
//@ variant data_aligned -DALIGNED
//@ variant data_any
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;
layout(constant_id = 9) const int ACCUMULATE = 0; // 1: C is added to what is there

layout(push_constant) uniform Push {
    int a_base, b_base, c_base;              // vec4
    int items, grid_h, grid_w;               // invocations; pixels of C's grid per picture
    int h, w, a_pitch, taps_h, taps_w;
    int stride_y, stride_x, offset_y, offset_x, tap_y, tap_x;
    int c_n, c_y, c_x, c_vecs;               // vec4 from picture to picture, row to row, pixel to pixel of C; columns of C in vec4
    int b_pitch, b_tap_y, b_tap_x;           // vec4 from row to row of w, from tap to tap
    int e_base, scaled, columns;
    float alpha, max_value, threshold;
    int group_a, group_c;                    // channels of a group in A and in C
} push;

#ifdef ALIGNED
layout(binding = 0, std430) readonly restrict buffer A { vec4 a[]; };
#else
layout(binding = 0, std430) readonly restrict buffer A { float a[]; };
#endif
#if defined(ALIGNED) || defined(FORWARD)
layout(binding = 1, std430) readonly restrict buffer B { vec4 b[]; };
#else
layout(binding = 1, std430) readonly restrict buffer B { float b[]; };
#endif
layout(binding = 2, std430) restrict buffer C { vec4 c[]; };
#ifdef FORWARD
layout(binding = 3, std430) readonly restrict buffer E { vec4 e[]; };
#include "epilogue.glsl"
#endif

const int PIXELS = 4;
vec4 acc[PIXELS];

// Adds one tap's share. b_at: the tap's first row of w; a_at: vec4 index of each pixel that A is read at, negative outside the picture.
void add_tap(int column, int b_at, int a_at[PIXELS]) {
    ivec4 channel = min(4 * column + ivec4(0, 1, 2, 3), ivec4(push.columns - 1));
    ivec4 group = channel / push.group_c;
#if defined(ALIGNED) && defined(FORWARD)
    for (int i = 0; i < push.group_a / 4; i++) {
        int at = b_at + 4 * i * push.b_pitch + column;
        vec4 w0 = b[at], w1 = b[at + push.b_pitch], w2 = b[at + 2 * push.b_pitch], w3 = b[at + 3 * push.b_pitch];
        [[unroll]] for (int p = 0; p < PIXELS; p++)
            if (a_at[p] >= 0) {
                vec4 v = a[a_at[p] + group.x * push.group_a / 4 + i];
                acc[p] += v.x * w0;
                acc[p] += v.y * w1;
                acc[p] += v.z * w2;
                acc[p] += v.w * w3;
            }
    }
#elif defined(ALIGNED)
    int row = b_at + (channel.x - group.x * push.group_c) * push.b_pitch + group.x * push.group_a / 4;
    for (int i = 0; i < push.group_a / 4; i++) {
        vec4 w0 = b[row + i], w1 = b[row + push.b_pitch + i], w2 = b[row + 2 * push.b_pitch + i], w3 = b[row + 3 * push.b_pitch + i];
        [[unroll]] for (int p = 0; p < PIXELS; p++)
            if (a_at[p] >= 0) {
                vec4 v = a[a_at[p] + group.x * push.group_a / 4 + i];
                acc[p] += vec4(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
            }
    }
#else
    ivec4 first = group * push.group_a;
#ifndef FORWARD
    ivec4 row = 4 * (b_at + (channel - group * push.group_c) * push.b_pitch) + first;
#endif
    for (int i = 0; i < push.group_a; i++) {
#ifdef FORWARD
        vec4 w = b[b_at + i * push.b_pitch + column];
#else
        vec4 w = vec4(b[row.x + i], b[row.y + i], b[row.z + i], b[row.w + i]);
#endif
        [[unroll]] for (int p = 0; p < PIXELS; p++)
            if (a_at[p] >= 0) {
                ivec4 at = 4 * a_at[p] + first + i;
                acc[p] += vec4(a[at.x], a[at.y], a[at.z], a[at.w]) * w;
            }
    }
#endif
}

void main() {
    int item = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    if (item >= push.items)
        return;
    int strips = (push.grid_w + PIXELS - 1) / PIXELS;
    int column = item % push.c_vecs, t = item / push.c_vecs, x0 = t % strips * PIXELS, y = t / strips % push.grid_h, n = t / (strips * push.grid_h);
    [[unroll]] for (int p = 0; p < PIXELS; p++)
        acc[p] = vec4(0.0);
    for (int ty = 0; ty < push.taps_h; ty++) {
        int ay = y * push.stride_y + push.offset_y + ty * push.tap_y;
        if (uint(ay) >= uint(push.h))
            continue;
        for (int tx = 0; tx < push.taps_w; tx++) {
            int a_at[PIXELS];
            [[unroll]] for (int p = 0; p < PIXELS; p++) {
                int ax = (x0 + p) * push.stride_x + push.offset_x + tx * push.tap_x;
                bool inside = uint(ax) < uint(push.w) && x0 + p < push.grid_w;
                a_at[p] = inside ? push.a_base + ((n * push.h + ay) * push.w + ax) * push.a_pitch : -1;
            }
            add_tap(column, push.b_base + ty * push.b_tap_y + tx * push.b_tap_x, a_at);
        }
    }
#ifdef FORWARD
    Epilogue s = epilogue_of(column, push.c_vecs);
#endif
    [[unroll]] for (int p = 0; p < PIXELS; p++) {
        int at = push.c_base + n * push.c_n + y * push.c_y + (x0 + p) * push.c_x + column;
        if (x0 + p >= push.grid_w)
            break;
#ifdef FORWARD
        c[at] = epilogue_apply(s, acc[p]);
#else
        vec4 v = mix(vec4(0.0), acc[p], lessThan(ivec4(4 * column) + ivec4(0, 1, 2, 3), ivec4(push.columns)));
        c[at] = ACCUMULATE != 0 ? c[at] + v : v;
#endif
    }
}
