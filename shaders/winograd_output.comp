#version 450
// winograd_output.comp - the products of every tile, plane by plane, into its 4 x 4 outputs A' m A with the epilogue; what of a tile lies outside the
// picture is left out. One invocation makes four channels of a tile. Recorded by engine/ops/winograd.c.
//@ variant-and-pairs-and-half texel -DTEXEL
//@ variant storage
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "winograd.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;
layout(constant_id = 11) const int RESIDUAL = 0; // 1: r is added before the activation; it may be y

layout(push_constant) uniform Push {
    int m_base, y_base;              // vec4
    int h, w, c_vecs, y_pitch;       // of y; vec4 per pixel, and from pixel to pixel
    int tiles_y, tiles_x;            // per picture
    int tile_first, tile_count, plane;
    int e_base, scaled, columns;
    float alpha, max_value, threshold;
    int r_from;                      // vec4 from an element of y to the residual's
} push;

TLVK_READ_BUFFER(0, m);
writeonly TLVK_WRITE_BUFFER(1, y);
layout(binding = 2, std430) readonly restrict buffer E { vec4 e[]; };
TLVK_READ_BUFFER_IN_PLACE(3, residual);
#include "epilogue.glsl"

void main() {
    int i = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    int row = i / push.c_vecs, column = i - row * push.c_vecs;
    if (row >= push.tile_count)
        return;
    int tile = push.tile_first + row, line = tile / push.tiles_x, n = line / push.tiles_y;
    int y0 = (line - n * push.tiles_y) * WINOGRAD_OUT, x0 = (tile - line * push.tiles_x) * WINOGRAD_OUT;
    int from = push.m_base + i;
    vec4 along_y[WINOGRAD_OUT * WINOGRAD_IN];
    [[unroll]] for (int c = 0; c < WINOGRAD_IN; c++) {
        vec4 v[WINOGRAD_IN], s[WINOGRAD_OUT];
        [[unroll]] for (int r = 0; r < WINOGRAD_IN; r++)
            v[r] = TLVK_READ(m, from + (r * WINOGRAD_IN + c) * push.plane);
        winograd_output(v, s);
        [[unroll]] for (int r = 0; r < WINOGRAD_OUT; r++)
            along_y[r * WINOGRAD_IN + c] = s[r];
    }
    Epilogue epilogue = epilogue_of(column, push.c_vecs);
    int to = push.y_base + ((n * push.h + y0) * push.w + x0) * push.y_pitch + column;
    [[unroll]] for (int r = 0; r < WINOGRAD_OUT; r++) {
        vec4 v[WINOGRAD_IN], s[WINOGRAD_OUT];
        [[unroll]] for (int c = 0; c < WINOGRAD_IN; c++)
            v[c] = along_y[r * WINOGRAD_IN + c];
        winograd_output(v, s);
        [[unroll]] for (int c = 0; c < WINOGRAD_OUT; c++) {
            int at = to + (r * push.w + c) * push.y_pitch;
            bool inside = y0 + r < push.h && x0 + c < push.w;
            vec4 z = epilogue_apply(epilogue, s[c], RESIDUAL != 0 && inside ? TLVK_READ(residual, at + push.r_from) : vec4(0.0));
            if (inside)
                TLVK_WRITE(y, at, z);
        }
    }
}
