#version 450
// winograd_input.comp - 6 x 6 inputs of every tile of 4 x 4 outputs into B' d B: plane p, tile, channel; zeros outside the picture and from the last
// channel to the end of the planes' rows. Variant `gradient`: the gradient of the 4 x 4 outputs into A dy A'. One invocation makes four channels of a
// tile, or of a part of its columns. Recorded by engine/ops/winograd.c.
//@ variant-and-pairs texel -DTEXEL
//@ variant storage
//@ variant-and-pairs gradient_texel -DGRADIENT -DTEXEL
//@ variant gradient_storage -DGRADIENT
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "winograd.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;
layout(constant_id = 1) const int PARTS = 1; // of the six columns: 2 takes half of the registers and reads twice
const int PART_COLUMNS = WINOGRAD_IN / PARTS;

layout(push_constant) uniform Push {
    int x_base, to_base;             // vec4
    int h, w, x_vecs, x_pitch;       // of the picture; vec4 per pixel, and from pixel to pixel
    int tiles_y, tiles_x;            // per picture
    int offset_y, offset_x;          // picture position that output 0 meets through tap 0
    int tile_first, tile_count;
    int k_vecs, plane;               // vec4 per row, per plane
} push;

TLVK_READ_BUFFER(0, x);
writeonly restrict TLVK_WRITE_BUFFER(1, to);

#ifdef GRADIENT
const int SIDE = WINOGRAD_OUT;
#define TRANSFORM winograd_output_gradient
#else
const int SIDE = WINOGRAD_IN;
#define TRANSFORM winograd_input
#endif

void main() {
    int i = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    int line_of_k = i / push.k_vecs, k = i - line_of_k * push.k_vecs;
    int row = line_of_k / PARTS, first_column = (line_of_k - row * PARTS) * PART_COLUMNS;
    if (row >= push.tile_count)
        return;
    int tile = push.tile_first + row, line = tile / push.tiles_x, n = line / push.tiles_y;
    int y0 = (line - n * push.tiles_y) * WINOGRAD_OUT + push.offset_y, x0 = (tile - line * push.tiles_x) * WINOGRAD_OUT + push.offset_x;
    bool filled = k < push.x_vecs;
    int at = push.x_base + ((n * push.h + y0) * push.w + x0) * push.x_pitch + k;
    vec4 along_x[SIDE * PART_COLUMNS];
    [[unroll]] for (int r = 0; r < SIDE; r++) {
        vec4 d[SIDE], v[WINOGRAD_IN];
        bool in_row = filled && uint(y0 + r) < uint(push.h);
        [[unroll]] for (int c = 0; c < SIDE; c++) {
            bool inside = in_row && uint(x0 + c) < uint(push.w);
            vec4 value = TLVK_READ(x, inside ? at + (r * push.w + c) * push.x_pitch : push.x_base);
            d[c] = inside ? value : vec4(0.0);
        }
        TRANSFORM(d, v);
        [[unroll]] for (int c = 0; c < PART_COLUMNS; c++)
            along_x[r * PART_COLUMNS + c] = first_column == 0 ? v[c] : v[(c + PART_COLUMNS) % WINOGRAD_IN];
    }
    int to_at = push.to_base + row * push.k_vecs + k;
    [[unroll]] for (int c = 0; c < PART_COLUMNS; c++) {
        vec4 d[SIDE], v[WINOGRAD_IN];
        [[unroll]] for (int r = 0; r < SIDE; r++)
            d[r] = along_x[r * PART_COLUMNS + c];
        TRANSFORM(d, v);
        [[unroll]] for (int r = 0; r < WINOGRAD_IN; r++)
            TLVK_WRITE(to, to_at + (r * WINOGRAD_IN + first_column + c) * push.plane, v[r]);
    }
}
