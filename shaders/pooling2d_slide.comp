#version 450
// pooling2d_slide.comp - maximum or mean over windows; elements outside the image do not count. One invocation goes down a strip of the image for four
// channels, BX windows wide. A row of a window is reduced once, and kept for the windows below that have it too.
// With ZEROS what lies outside are zeros that count, of a maximum whose windows reach no further than the zeros around the image do.
// With INDEX the maximum also leaves, for its gradient, which element of the window it was, row-major and the first of equal ones as in TensorFlow's CPU
// kernel: one byte per channel.
//@ variant-and-pairs-and-half max_texel -DMAXIMUM=1 -DTEXEL
//@ variant max_plain -DMAXIMUM=1
//@ variant-and-pairs-and-half average_texel -DMAXIMUM=0 -DTEXEL
//@ variant average_plain -DMAXIMUM=0
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const int KH = 2;
layout(constant_id = 1) const int KW = 2;
layout(constant_id = 2) const int SY = 2;
layout(constant_id = 3) const int SX = 2;
layout(constant_id = 4) const int BX = 4;
layout(constant_id = 5) const int INDEX = 0;
layout(constant_id = 6) const int ZEROS = 0;
const int COLUMNS = (BX - 1) * SX + KW;
const int KEPT = KH > SY ? KH - SY : 0;
#define LOWEST uintBitsToFloat(0xff800000u) // -inf

TLVK_READ_BUFFER(0, x);
writeonly restrict TLVK_WRITE_BUFFER(1, y);
layout(binding = 2, std430) writeonly restrict buffer Index { uint index[]; };
// Strips are strip_h windows high; index_n: uints from sample to sample.
layout(push_constant) uniform Push { int base[3]; int items; int columns, h, w, oh, ow, top, left, blocks_h, blocks_w, strip_h, index_n; } push;

vec4 value[KH * BX]; // of the window's rows: maximum or sum
ivec4 place[KH * BX]; // and in which column the maximum is
int at_x[COLUMNS];
bool inside_x[COLUMNS];
int first_x[BX]; // first column of a window that counts

void load_row(int v, int row, int picture) {
    bool inside = uint(row) < uint(push.h);
    int at = picture + clamp(row, 0, push.h - 1) * push.w * push.columns;
    vec4 cell[COLUMNS];
    [[unroll]] for (int j = 0; j < COLUMNS; j++) {
        vec4 t = TLVK_READ(x, at + at_x[j]);
        cell[j] = inside && inside_x[j] ? t : vec4(MAXIMUM != 0 && ZEROS == 0 ? LOWEST : 0.0);
    }
    [[unroll]] for (int b = 0; b < BX; b++) {
        vec4 m = cell[b * SX];
        ivec4 p = ivec4(first_x[b]);
        [[unroll]] for (int u = 1; u < KW; u++) {
            vec4 t = cell[b * SX + u];
#if MAXIMUM
            bvec4 more = greaterThan(t, m);
            m = mix(m, t, more);
            p = mix(p, ivec4(u), more);
#else
            m += t;
#endif
        }
        value[v * BX + b] = m;
        place[v * BX + b] = p;
    }
}

void main() {
    int item = int(tlvk_group_x()) * 64 + int(gl_LocalInvocationID.x);
    if (item >= push.items)
        return;
    int block = item / push.columns, column = item - block * push.columns;
    int line = block / push.blocks_w, bx = block - line * push.blocks_w;
    int n = line / push.blocks_h, by = line - n * push.blocks_h;
    int x0 = bx * BX * SX - push.left;
    [[unroll]] for (int j = 0; j < COLUMNS; j++) {
        inside_x[j] = uint(x0 + j) < uint(push.w);
        at_x[j] = clamp(x0 + j, 0, push.w - 1) * push.columns + column;
    }
    [[unroll]] for (int b = 0; b < BX; b++)
        first_x[b] = ZEROS != 0 ? 0 : max(-(x0 + b * SX), 0);
    int picture = push.base[0] + n * push.h * push.w * push.columns;
    int oy = by * push.strip_h, end = min(oy + push.strip_h, push.oh), row = oy * SY - push.top;
    [[unroll]] for (int v = 0; v < KEPT; v++)
        load_row(v, row + v, picture);
    for (; oy < end; oy++, row += SY) {
        [[unroll]] for (int v = KEPT; v < KH; v++)
            load_row(v, row + v, picture);
        [[unroll]] for (int b = 0; b < BX; b++) {
            int ox = bx * BX + b, at = (oy * push.ow + ox) * push.columns + column;
            vec4 m = value[b];
#if MAXIMUM
            ivec4 first = ivec4(ZEROS != 0 ? 0 : max(-row, 0) * KW) + place[b];
            [[unroll]] for (int v = 1; v < KH; v++) {
                bvec4 more = greaterThan(value[v * BX + b], m);
                m = mix(m, value[v * BX + b], more);
                first = mix(first, v * KW + place[v * BX + b], more);
            }
            if (INDEX != 0 && ox < push.ow)
                index[push.base[2] * 4 + n * push.index_n + at] = uint(first.x | first.y << 8 | first.z << 16 | first.w << 24);
#else
            [[unroll]] for (int v = 1; v < KH; v++)
                m += value[v * BX + b];
            int tall = min(row + KH, push.h) - max(row, 0), wide = min(x0 + b * SX + KW, push.w) - max(x0 + b * SX, 0);
            m /= float(tall * wide);
#endif
            if (ox < push.ow)
                TLVK_WRITE(y, push.base[1] + n * push.oh * push.ow * push.columns + at, m);
        }
        [[unroll]] for (int v = 0; v < KEPT; v++)
            [[unroll]] for (int b = 0; b < BX; b++) {
                value[v * BX + b] = value[(v + SY) * BX + b];
                place[v * BX + b] = place[(v + SY) * BX + b];
            }
    }
}
