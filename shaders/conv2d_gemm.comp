#version 450
// conv2d_gemm.comp - convolution as a matrix product without an intermediate: C (pixels x channels) = A (gathered pixels) * B (weights).
// Forward: C = y, A = x, B = w packed in column panels (B_PACKED) or as it lies (B_ROWS; Dense, whose weights are used once per step).
// Backward-data: C = dx of one stride phase, A = dy, B = w read with rows and columns exchanged (B_BY_COLUMNS).
// RESIDUAL: r, of the size of C, is added to the product, before the activation where there is one; it may be C itself.
// A tile's lanes, loops and bits: gemm_tile.glsl. Recorded by engine/ops/gemm.c, which explains the numbers.
//@ variant-and-pairs-and-half sgb_texel_packed -DCORE_SGB -DTEXEL -DB_PACKED -DEPILOGUE
//@ variant-and-pairs-and-half sgb_texel_rows -DCORE_SGB -DTEXEL -DB_ROWS -DEPILOGUE
//@ variant-and-pairs-and-half sgb_texel_packed_residual -DCORE_SGB -DTEXEL -DB_PACKED -DEPILOGUE -DRESIDUAL
//@ variant-and-pairs-and-half sgb_texel_rows_residual -DCORE_SGB -DTEXEL -DB_ROWS -DEPILOGUE -DRESIDUAL
//@ variant-and-pairs sgb_texel_columns -DCORE_SGB -DTEXEL -DB_BY_COLUMNS
//@ variant-and-pairs sgb_texel_columns_residual -DCORE_SGB -DTEXEL -DB_BY_COLUMNS -DRESIDUAL
//@ variant sgb_packed -DCORE_SGB -DB_PACKED -DEPILOGUE
//@ variant sgb_rows -DCORE_SGB -DB_ROWS -DEPILOGUE
//@ variant sgb_packed_residual -DCORE_SGB -DB_PACKED -DEPILOGUE -DRESIDUAL
//@ variant sgb_rows_residual -DCORE_SGB -DB_ROWS -DEPILOGUE -DRESIDUAL
//@ variant sgb_columns -DCORE_SGB -DB_BY_COLUMNS
//@ variant sgb_columns_residual -DCORE_SGB -DB_BY_COLUMNS -DRESIDUAL
//@ variant portable_rows -DB_ROWS -DEPILOGUE
//@ variant portable_rows_residual -DB_ROWS -DEPILOGUE -DRESIDUAL
//@ variant-and-half portable_texel_rows -DTEXEL -DB_ROWS -DEPILOGUE
//@ variant-and-half portable_texel_rows_residual -DTEXEL -DB_ROWS -DEPILOGUE -DRESIDUAL
//@ variant portable_columns -DB_BY_COLUMNS
//@ variant portable_columns_residual -DB_BY_COLUMNS -DRESIDUAL
//@ variant-with COOPERATIVE_MATRIX coop_rows -DCORE_COOP -DB_ROWS -DEPILOGUE
//@ variant-with COOPERATIVE_MATRIX coop_rows_residual -DCORE_COOP -DB_ROWS -DEPILOGUE -DRESIDUAL
//@ variant-with-and-half COOPERATIVE_MATRIX coop_texel_rows -DCORE_COOP -DTEXEL -DB_ROWS -DEPILOGUE
//@ variant-with-and-half COOPERATIVE_MATRIX coop_texel_rows_residual -DCORE_COOP -DTEXEL -DB_ROWS -DEPILOGUE -DRESIDUAL
//@ variant-with COOPERATIVE_MATRIX coop_columns -DCORE_COOP -DB_BY_COLUMNS
//@ variant-with COOPERATIVE_MATRIX coop_columns_residual -DCORE_COOP -DB_BY_COLUMNS -DRESIDUAL
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "gemm_tile.glsl"

layout(constant_id = 9) const int ACCUMULATE = 0; // 1: C is added to what is there: a sum that goes on

layout(push_constant) uniform Push {
    int a_base, b_base, c_base;              // vec4
    int rows, grid_h, grid_w;                // pixels of C's grid: all, and per picture
    int h, w, a_pitch, k_vecs, taps_h, taps_w;
    int stride_y, stride_x, offset_y, offset_x, tap_y, tap_x;
    int c_n, c_y, c_x, c_vecs;               // vec4 from picture to picture, row to row, pixel to pixel of C; columns of C in vec4
    int b_pitch, b_tap_y, b_tap_x;           // vec4 from row to row of w, from tap to tap
    int e_base, scaled, columns;
    float alpha, max_value, threshold;
    int r_from;                              // vec4 from an element of C to the residual's
} push;

TLVK_READ_BUFFER(0, a);
TLVK_READ_BUFFER(1, b);
TLVK_WRITE_BUFFER(2, c);
#ifdef EPILOGUE
layout(binding = 3, std430) readonly restrict buffer E { vec4 e[]; };
#include "epilogue.glsl"
#endif
#ifdef RESIDUAL
#ifdef EPILOGUE
TLVK_READ_BUFFER_IN_PLACE(4, r);
#else
TLVK_READ_BUFFER_IN_PLACE(3, r);
#endif
#define C_RESIDUAL(at, inside) (inside ? TLVK_READ(r, (at) + push.r_from) : vec4(0.0))
#define C_EPILOGUE(s, z, at, inside) epilogue_apply(s, z, C_RESIDUAL(at, inside))
#else
#define C_EPILOGUE(s, z, at, inside) epilogue_apply(s, z)
#endif

#include "gemm_walk.glsl"
#include "gemm_a_pixels.glsl"

int chunks() { return (push.taps_h * push.taps_w * push.k_vecs + K_VECS - 1) / K_VECS; }

#if defined(B_PACKED)
// Panels of TILE_VECS columns, each with its k consecutive and zeros behind the last k and the last column.
vec4 b_load(int k, int column) {
    int panel = int(gl_WorkGroupID.y);
    return TLVK_READ(b, push.b_base + (panel * (chunks() * KC - 1) + k) * TILE_VECS + column);
}
#elif defined(B_ROWS)
// Rows behind the last meet zeros of A.
vec4 b_load(int k, int column) {
    int k_last = 4 * push.taps_h * push.taps_w * push.k_vecs - 1;
    return TLVK_READ(b, push.b_base + min(k, k_last) * push.b_pitch + min(column, push.c_vecs - 1));
}
#else
// Four consecutive k of one column: w's row `column` at the walk's tap, channels from walk.c. Taps behind the last meet zeros of A.
KWalk b_walk, b_step;
int b_at;
void b_tap() {
    b_at = push.b_base + (b_walk.y < push.taps_h ? b_walk.y * push.b_tap_y + b_walk.x * push.b_tap_x + b_walk.c : 0);
}
void b_begin(int k) {
    b_walk = k_walk_start(k);
#ifdef CORE_SGB
    b_step = k_walk_start(1);
#else
    b_step = k_walk_start(K_VECS);
#endif
    b_tap();
}
void b_next() {
    k_walk_next(b_walk, b_step);
    b_tap();
}
vec4 b_load(int column) {
    return TLVK_READ(b, b_at + min(column, 4 * push.c_vecs - 1) * push.b_pitch);
}
#endif

Pixel first_pixel;
int first_row;

int c_row(int r) {
    Pixel p = pixel_after(first_pixel, r);
    return first_row + r < push.rows ? push.c_base + p.n * push.c_n + p.y * push.c_y + p.x * push.c_x : -1;
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
    int col0 = int(gl_WorkGroupID.y) * TILE_VECS;
    first_pixel = pixel_of(first_row);
    a_begin(first_row, first_pixel);
    gemm_start();
    gemm_chunks(0, chunks(), col0);
    gemm_store(col0);
}
