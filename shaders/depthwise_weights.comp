#version 450
// depthwise_weights.comp - weight gradient of a depthwise convolution: c[part][tap][channel] = sum over the part's outputs of a * b, a = x at the
// tap, b = dy. One invocation walks one part for four channels and all KH x KW taps, OX outputs of a row at a time, so that what the taps share
// of `a` is read once. sum_parts.comp adds the parts in order.
//@ variant-and-pairs texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;
layout(constant_id = 1) const int KH = 3;
layout(constant_id = 2) const int KW = 3;
layout(constant_id = 3) const int SY = 1;
layout(constant_id = 4) const int SX = 1;
layout(constant_id = 5) const int DY = 1;
layout(constant_id = 6) const int DX = 1;
layout(constant_id = 8) const int OX = 1;
layout(constant_id = 12) const int SPREAD = 1;
const int MERGE = 1;

layout(push_constant) uniform Push {
    int a_base, b_base, c_base;          // vec4
    int parts, part_blocks, blocks;      // blocks of OX outputs: per part, and all
    int grid_h, grid_w, blocks_w;        // outputs of a picture; blocks of a row
    int h, w, a_pitch, c_vecs;           // picture of a; vec4 per pixel of a, of b
    int offset_y, offset_x;              // output (y, x) begins at row y * SY + offset_y of a, column x * SX + offset_x
    int c_part, c_first, c_tap_y;        // vec4 from part to part, to the first tap, from tap row to tap row of c
} push;

TLVK_READ_BUFFER(0, a);
TLVK_READ_BUFFER(1, b);
writeonly restrict TLVK_WRITE_BUFFER(2, c);
#include "depthwise.glsl"

void main() {
    int item = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    int part = item / push.c_vecs, vec = item - part * push.c_vecs;
    if (part >= push.parts)
        return;
    int block = part * push.part_blocks, end = min(block + push.part_blocks, push.blocks);
    int line = block / push.blocks_w, bx = block - line * push.blocks_w;
    int n = line / push.grid_h, oy = line - n * push.grid_h;
    vec4 acc[KH * KW];
    [[unroll]] for (int i = 0; i < KH * KW; i++)
        acc[i] = vec4(0.0);
    for (; block < end; block++) {
        int y0 = oy * SY + push.offset_y, x0 = bx * OX * SX + push.offset_x;
        int a_first = push.a_base + ((n * push.h + y0) * push.w + x0) * push.a_pitch;
        int b_first = push.b_base + ((n * push.grid_h + oy) * push.grid_w + bx * OX) * push.c_vecs + vec;
        [[unroll]] for (int ox = 0; ox < OX; ox++) {
            bool there = bx * OX + ox < push.grid_w;
            vec4 g = TLVK_READ(b, there ? b_first + ox * push.c_vecs : push.b_base);
            g = there ? g : vec4(0.0);
            [[unroll]] for (int ty = 0; ty < KH; ty++)
                [[unroll]] for (int tx = 0; tx < KW; tx++) {
                    int y = ty * DY, x = ox * SX + tx * DX;
                    bool inside = uint(y0 + y) < uint(push.h) && uint(x0 + x) < uint(push.w);
                    int at = inside ? a_first + (y * push.w + x) * push.a_pitch : push.a_base;
                    vec4 v = DEPTHWISE_GATHER(a, at, vec, 0, push.a_pitch - 1);
                    acc[ty * KW + tx] += (inside ? v : vec4(0.0)) * g;
                }
        }
        bx++;
        bool over = bx == push.blocks_w;
        bx = over ? 0 : bx;
        oy += over ? 1 : 0;
        over = oy == push.grid_h;
        oy = over ? 0 : oy;
        n += over ? 1 : 0;
    }
    [[unroll]] for (int ty = 0; ty < KH; ty++)
        [[unroll]] for (int tx = 0; tx < KW; tx++)
            TLVK_WRITE(c, push.c_base + part * push.c_part + push.c_first + ty * push.c_tap_y + tx * push.c_vecs + vec, acc[ty * KW + tx]);
}
