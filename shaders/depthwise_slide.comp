#version 450
// depthwise_slide.comp - each channel convolved with its own kernel, taps next to each other: c = act(scale * (sum over taps of a * b) + shift).
// One invocation goes down a strip of `a` for four channels, BX steps wide, and keeps the window of rows it needs, so that every row of the strip is
// read once. A step takes in IN_Y x IN_X pixels of `a` and makes OUT_Y x OUT_X of c.
// Forward: IN is the stride, OUT 1. Backward-data (FLIP), a = dy: IN 1, OUT the stride, so that all stride phases are made together; window row v of
// output phase r meets the tap r + OUT * (window rows - 1 - v), and the last of these taps may lie behind the kernel.
//@ variant-and-pairs-and-half texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;
layout(constant_id = 1) const int KH = 3;
layout(constant_id = 2) const int KW = 3;
layout(constant_id = 3) const int IN_Y = 1;
layout(constant_id = 4) const int IN_X = 1;
layout(constant_id = 5) const int OUT_Y = 1;
layout(constant_id = 6) const int OUT_X = 1;
layout(constant_id = 7) const int BX = 1;
layout(constant_id = 8) const int FLIP = 0;
layout(constant_id = 9) const int ACCUMULATE = 0; // 1: what is there is added to the sum, before the epilogue
const int TAPS_Y = (KH + OUT_Y - 1) / OUT_Y, TAPS_X = (KW + OUT_X - 1) / OUT_X; // rows and columns of a that meet in one output
const int COLUMNS = (BX - 1) * IN_X + TAPS_X;
const int KEPT = TAPS_Y > IN_Y ? TAPS_Y - IN_Y : 0;

layout(push_constant) uniform Push {
    int a_base, b_base, c_base;              // vec4
    int items;                               // invocations with work
    int steps_h, strip_h, blocks_h, blocks_w; // steps of a picture, of a strip; strips of a picture downwards, and beside each other
    int h, w, c_h, c_w, vecs;                // pictures of a and of c; vec4 per pixel
    int a_y, a_x, c_y, c_x;                  // step 0 begins at this row and column of a, and of c
    int e_base, scaled, columns;
    float alpha, max_value, threshold;
} push;

TLVK_READ_BUFFER(0, a);
TLVK_READ_BUFFER(1, b);
restrict TLVK_WRITE_BUFFER(2, c);
layout(binding = 3, std430) readonly restrict buffer E { vec4 e[]; };
#include "epilogue.glsl"

vec4 window[TAPS_Y * COLUMNS];
int at_x[COLUMNS];
bool inside_x[COLUMNS];

void load_row(int v, int y, int picture) {
    bool inside = uint(y) < uint(push.h);
    int row = picture + clamp(y, 0, push.h - 1) * push.w * push.vecs;
    [[unroll]] for (int j = 0; j < COLUMNS; j++) {
        vec4 t = TLVK_READ(a, row + at_x[j]);
        window[v * COLUMNS + j] = inside && inside_x[j] ? t : vec4(0.0);
    }
}

void main() {
    int item = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    if (item >= push.items)
        return;
    int block = item / push.vecs, vec = item - block * push.vecs;
    int line = block / push.blocks_w, bx = block - line * push.blocks_w;
    int n = line / push.blocks_h, by = line - n * push.blocks_h;
    vec4 k[KH * KW];
    [[unroll]] for (int i = 0; i < KH * KW; i++)
        k[i] = TLVK_READ(b, push.b_base + i * push.vecs + vec);
    [[unroll]] for (int j = 0; j < COLUMNS; j++) {
        int x = bx * BX * IN_X + push.a_x + j;
        inside_x[j] = uint(x) < uint(push.w);
        at_x[j] = clamp(x, 0, push.w - 1) * push.vecs + vec;
    }
    int picture = push.a_base + n * push.h * push.w * push.vecs;
    int step = by * push.strip_h, end = min(step + push.strip_h, push.steps_h), y = step * IN_Y + push.a_y;
    [[unroll]] for (int v = 0; v < KEPT; v++)
        load_row(v, y + v, picture);
    Epilogue s = epilogue_of(vec, push.vecs);
    for (; step < end; step++, y += IN_Y) {
        [[unroll]] for (int v = KEPT; v < TAPS_Y; v++)
            load_row(v, y + v, picture);
        [[unroll]] for (int oy = 0; oy < OUT_Y; oy++)
            [[unroll]] for (int ox = 0; ox < BX * OUT_X; ox++) {
                vec4 acc = vec4(0.0);
                [[unroll]] for (int v = 0; v < TAPS_Y; v++)
                    [[unroll]] for (int u = 0; u < TAPS_X; u++) {
                        int ty = FLIP != 0 ? oy + OUT_Y * (TAPS_Y - 1 - v) : v, tx = FLIP != 0 ? ox % OUT_X + OUT_X * (TAPS_X - 1 - u) : u;
                        if (ty < KH && tx < KW)
                            acc += window[v * COLUMNS + ox / OUT_X * IN_X + u] * k[ty * KW + tx];
                    }
                int to_y = step * OUT_Y + push.c_y + oy, to_x = bx * BX * OUT_X + push.c_x + ox;
                if (uint(to_y) < uint(push.c_h) && uint(to_x) < uint(push.c_w)) {
                    int at = push.c_base + ((n * push.c_h + to_y) * push.c_w + to_x) * push.vecs + vec;
                    TLVK_WRITE(c, at, epilogue_apply(s, ACCUMULATE != 0 ? TLVK_READ_BACK(c, at) + acc : acc));
                }
            }
        [[unroll]] for (int v = 0; v < KEPT; v++)
            [[unroll]] for (int j = 0; j < COLUMNS; j++)
                window[v * COLUMNS + j] = window[(v + IN_Y) * COLUMNS + j];
    }
}
