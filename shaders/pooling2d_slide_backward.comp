#version 450
// pooling2d_slide_backward.comp - gradient of pooling, gathered. One invocation goes down a strip of windows for four channels, BX wide; each step makes
// the SY x SX pixels of dx that begin where a window does, from the windows over them: pixel r of a step meets row r + SY * i of the window i above it.
// Maximum: the gradient of a window goes to the element that pooling2d_slide.comp has kept. Mean: an equal share to each element inside the image.
//@ variant-and-pairs max_texel -DMAXIMUM=1 -DTEXEL
//@ variant max_plain -DMAXIMUM=1
//@ variant-and-pairs average_texel -DMAXIMUM=0 -DTEXEL
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
layout(constant_id = 5) const int ACCUMULATE = 0;
const int ROWS = (KH + SY - 1) / SY, ACROSS = (KW + SX - 1) / SX; // windows over a pixel
const int COLUMNS = BX + ACROSS - 1;

TLVK_READ_BUFFER(0, dy);
layout(binding = 1, std430) readonly restrict buffer Index { uint index[]; };
restrict TLVK_WRITE_BUFFER(2, dx);
// Step 0 is window first_y, first_x; there are steps_h of them downwards.
layout(push_constant) uniform Push {
    int base[3]; int items; int columns, h, w, oh, ow, top, left, blocks_h, blocks_w, strip_h, index_n, steps_h, first_y, first_x;
} push;

vec4 share[ROWS * COLUMNS];
ivec4 place[ROWS * COLUMNS];

void load_row(int v, int oy, int ox, int n, int column) {
    [[unroll]] for (int j = 0; j < COLUMNS; j++) {
        bool inside = uint(oy) < uint(push.oh) && uint(ox + j) < uint(push.ow);
        int at = (clamp(oy, 0, push.oh - 1) * push.ow + clamp(ox + j, 0, push.ow - 1)) * push.columns + column;
        vec4 g = TLVK_READ(dy, push.base[0] + n * push.oh * push.ow * push.columns + at);
#if MAXIMUM
        uint word = index[push.base[1] * 4 + n * push.index_n + at];
        place[v * COLUMNS + j] = ivec4(word & 255u, word >> 8 & 255u, word >> 16 & 255u, word >> 24);
#else
        int row = oy * SY - push.top, left = (ox + j) * SX - push.left;
        int tall = min(row + KH, push.h) - max(row, 0), wide = min(left + KW, push.w) - max(left, 0);
        g /= float(tall * wide);
#endif
        share[v * COLUMNS + j] = inside ? g : vec4(0.0);
    }
}

void main() {
    int item = int(tlvk_group_x()) * 64 + int(gl_LocalInvocationID.x);
    if (item >= push.items)
        return;
    int block = item / push.columns, column = item - block * push.columns;
    int line = block / push.blocks_w, bx = block - line * push.blocks_w;
    int n = line / push.blocks_h, by = line - n * push.blocks_h;
    int step = by * push.strip_h, end = min(step + push.strip_h, push.steps_h);
    int oy = push.first_y + step - (ROWS - 1), ox = push.first_x + bx * BX - (ACROSS - 1);
    [[unroll]] for (int v = 0; v < ROWS - 1; v++)
        load_row(v, oy + v, ox, n, column);
    for (; step < end; step++, oy++) {
        load_row(ROWS - 1, oy + ROWS - 1, ox, n, column);
        [[unroll]] for (int ry = 0; ry < SY; ry++)
            [[unroll]] for (int b = 0; b < BX * SX; b++) {
                vec4 sum = vec4(0.0);
                [[unroll]] for (int v = 0; v < ROWS; v++)
                    [[unroll]] for (int u = 0; u < ACROSS; u++) {
                        int ty = ry + SY * (ROWS - 1 - v), tx = b % SX + SX * (ACROSS - 1 - u), j = v * COLUMNS + b / SX + u;
                        if (ty < KH && tx < KW)
#if MAXIMUM
                            sum += mix(vec4(0.0), share[j], equal(place[j], ivec4(ty * KW + tx)));
#else
                            sum += share[j];
#endif
                    }
                int y = (push.first_y + step) * SY - push.top + ry, x = (push.first_x + bx * BX) * SX - push.left + b;
                if (uint(y) < uint(push.h) && uint(x) < uint(push.w)) {
                    int at = push.base[2] + ((n * push.h + y) * push.w + x) * push.columns + column;
                    TLVK_WRITE(dx, at, ACCUMULATE != 0 ? TLVK_READ_BACK(dx, at) + sum : sum);
                }
            }
        [[unroll]] for (int v = 0; v < ROWS - 1; v++)
            [[unroll]] for (int j = 0; j < COLUMNS; j++) {
                share[v * COLUMNS + j] = share[(v + 1) * COLUMNS + j];
                place[v * COLUMNS + j] = place[(v + 1) * COLUMNS + j];
            }
    }
}
