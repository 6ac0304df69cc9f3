#version 450
// depthwise_conv2d.comp - each channel convolved with its own kernel: c = act(scale * (sum over taps of a * b) + shift).
// Forward: a = x, b = w. Backward-data, one stride phase: a = dy, b = w with its taps in reverse, no epilogue.
// One invocation makes OY x OX neighbouring outputs of four channels, so that what they share of `a` is read once. All taps are unrolled; the
// recorder cuts larger kernels. Channels run fastest over invocations.
//@ variant-and-pairs-and-half texel -DTEXEL
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
layout(constant_id = 7) const int OY = 1;
layout(constant_id = 8) const int OX = 1;
layout(constant_id = 9) const int ACCUMULATE = 0; // 1: what is there is added to the sum, before the epilogue
layout(constant_id = 12) const int SPREAD = 1;
layout(constant_id = 13) const int MERGE = 1;

layout(push_constant) uniform Push {
    int a_base, b_base, c_base;                 // vec4
    int items;                                  // invocations with work
    int grid_h, grid_w, blocks_h, blocks_w;     // outputs of a picture, and blocks of OY x OX of them
    int h, w, a_pitch, b_pitch, c_vecs;         // picture of a; vec4 per pixel of a, per tap of b, per pixel of c
    int offset_y, offset_x;                     // output (y, x) begins at row y * SY + offset_y of a, column x * SX + offset_x
    int c_n, c_y, c_x, b_tap_y, b_tap_x;        // vec4 from picture to picture, row to row, column to column of c; tap to tap of b
    int e_base, scaled, columns;
    float alpha, max_value, threshold;
} push;

TLVK_READ_BUFFER(0, a);
TLVK_READ_BUFFER(1, b);
restrict TLVK_WRITE_BUFFER(2, c);
layout(binding = 3, std430) readonly restrict buffer E { vec4 e[]; };
#include "epilogue.glsl"
#include "depthwise.glsl"

void main() {
    int item = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    if (item >= push.items)
        return;
    int block = item / push.c_vecs, vec = item - block * push.c_vecs;
    int line = block / push.blocks_w, bx = block - line * push.blocks_w;
    int n = line / push.blocks_h, by = line - n * push.blocks_h;
    int y0 = by * OY * SY + push.offset_y, x0 = bx * OX * SX + push.offset_x;
    int a_first = push.a_base + ((n * push.h + y0) * push.w + x0) * push.a_pitch;
    vec4 acc[OY * OX];
    [[unroll]] for (int i = 0; i < OY * OX; i++)
        acc[i] = vec4(0.0);
    [[unroll]] for (int ty = 0; ty < KH; ty++)
        [[unroll]] for (int tx = 0; tx < KW; tx++)
            [[unroll]] for (int part = 0; part < MERGE; part++) {
                int tap = push.b_base + ty * push.b_tap_y + tx * push.b_tap_x;
                vec4 k = MERGE == 1 ? TLVK_READ(b, tap + vec) : DEPTHWISE_GATHER(b, tap, vec, part, push.b_pitch - 1);
                [[unroll]] for (int oy = 0; oy < OY; oy++)
                    [[unroll]] for (int ox = 0; ox < OX; ox++) {
                        int y = oy * SY + ty * DY, x = ox * SX + tx * DX;
                        bool inside = uint(y0 + y) < uint(push.h) && uint(x0 + x) < uint(push.w);
                        int at = inside ? a_first + (y * push.w + x) * push.a_pitch : push.a_base;
                        vec4 v = DEPTHWISE_GATHER(a, at, vec, part, push.a_pitch - 1);
                        acc[oy * OX + ox] += (inside ? v : vec4(0.0)) * k;
                    }
            }
    Epilogue s = epilogue_of(vec, push.c_vecs);
    [[unroll]] for (int oy = 0; oy < OY; oy++)
        [[unroll]] for (int ox = 0; ox < OX; ox++) {
            int y = by * OY + oy, x = bx * OX + ox;
            if (y < push.grid_h && x < push.grid_w) {
                int at = push.c_base + n * push.c_n + y * push.c_y + x * push.c_x + vec;
                vec4 v = acc[oy * OX + ox];
                if (ACCUMULATE != 0)
                    v = TLVK_READ_BACK(c, at) + v;
                TLVK_WRITE(c, at, epilogue_apply(s, v));
            }
        }
}
