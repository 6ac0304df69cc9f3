#version 450
// conv2d_weights.comp - weight gradient of a convolution as a matrix product: C = dw, rows (tap, input channel), columns output channels,
// k = output pixels in ascending order. The pixels are cut into splits of whole chunks; with several splits C is their partial sums one
// behind the other, which sum_parts.comp adds in order.
//@ variant-and-pairs sgb_texel -DCORE_SGB -DTEXEL
//@ variant sgb -DCORE_SGB
//@ variant portable
//@ variant portable_texel -DTEXEL
//@ variant-with COOPERATIVE_MATRIX coop -DCORE_COOP
//@ variant-with COOPERATIVE_MATRIX coop_texel -DCORE_COOP -DTEXEL
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "gemm_tile.glsl"
#define A_BY_ROWS_OF_K

layout(constant_id = 9) const int ACCUMULATE = 0; // 1: C is added to what is there

layout(push_constant) uniform Push {
    int a_base, b_base, c_base;              // vec4
    int rows, row_first;                     // rows of this piece of dw and the number of the first
    int pixels, grid_h, grid_w;              // output pixels: all, and per picture
    int h, w, a_pitch, k_vecs, taps_w;
    int stride_y, stride_x, offset_y, offset_x, tap_y, tap_x;
    int b_pitch, c_vecs;                     // vec4 from row to row of dy; columns of dy and of dw in vec4
    int panels, split_chunks, c_split;       // column tiles; chunks per split; vec4 from one split's C to the next
} push;

TLVK_READ_BUFFER(0, a);
TLVK_READ_BUFFER(1, b);
restrict TLVK_WRITE_BUFFER(2, c);

#include "gemm_a_taps.glsl"

vec4 b_load(int k, int column) {
    return TLVK_READ(b, push.b_base + min(k, push.pixels - 1) * push.b_pitch + min(column, push.c_vecs - 1));
}

int first_row, c_first;

int c_row(int r) {
    return first_row + r < push.rows ? c_first + (first_row + r) * push.c_vecs : -1;
}

#if defined(CORE_SGB)
#include "gemm_core_sgb.glsl"
#elif defined(CORE_COOP)
#include "gemm_core_coop.glsl"
#else
#include "gemm_core_portable.glsl"
#endif

void main() {
#ifdef CORE_SGB
    int tile = int(tlvk_group_x()) * (WG / SG) + tile_of_group();
#else
    int tile = int(tlvk_group_x());
#endif
    first_row = tile * TILE_ROWS;
    if (TILE_ENDS(first_row >= push.rows))
        return;
    int split = int(gl_WorkGroupID.y) / push.panels;
    int col0 = (int(gl_WorkGroupID.y) - split * push.panels) * TILE_VECS;
    int chunk = split * push.split_chunks;
    int chunk_end = min(chunk + push.split_chunks, (push.pixels + KC - 1) / KC);
    c_first = push.c_base + split * push.c_split;
    a_begin((push.row_first + first_row) / 4, chunk * KC, push.pixels);
    gemm_start();
    gemm_chunks(chunk, chunk_end, col0);
    gemm_store(col0);
}
