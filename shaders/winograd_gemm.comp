#version 450
// winograd_gemm.comp - the 36 products M_p (tiles x columns) = V_p (tiles x k) * U_p (k x columns), one per position p. V comes from winograd_input.comp, U in
// panels from winograd_weights.comp; a workgroup's block is p * panels + panel. A tile's lanes, loops and bits: gemm_tile.glsl. Recorded by
// engine/ops/winograd.c.
//@ variant-and-pairs sgb_texel -DCORE_SGB -DTEXEL
//@ variant sgb -DCORE_SGB
//@ variant portable
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "gemm_tile.glsl"

const int ACCUMULATE = 0;

layout(push_constant) uniform Push {
    int a_base, b_base, c_base;      // vec4
    int rows, k_vecs, c_vecs;        // tiles; vec4 of k and of columns
    int panels;
    int a_plane, c_plane;            // vec4 from position to position
} push;

TLVK_READ_BUFFER(0, a);
TLVK_READ_BUFFER(1, b);
restrict TLVK_WRITE_BUFFER(2, c);

int first_row, block, b_at;
int a_at[A_SLOTS];

// Rows behind the last are the last once more; they are not stored.
void a_begin(int position) {
    [[unroll]] for (int q = 0; q < A_SLOTS; q++) {
        int element = q * TILE_LANES + tile_lane();
        a_at[q] = push.a_base + position * push.a_plane + min(first_row + element / K_VECS, push.rows - 1) * push.k_vecs + element % K_VECS;
    }
}

vec4 a_load(int q) { return TLVK_READ(a, a_at[q]); }

void a_next() {
    [[unroll]] for (int q = 0; q < A_SLOTS; q++)
        a_at[q] += K_VECS;
}

vec4 b_load(int k, int column) { return TLVK_READ(b, b_at + k * TILE_VECS + column); }

int c_row(int r) {
    int position = block / push.panels, row = first_row + r;
    return row < push.rows ? push.c_base + position * push.c_plane + row * push.c_vecs : -1;
}

#ifdef CORE_SGB
#include "gemm_core_sgb.glsl"
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
    block = int(gl_WorkGroupID.y);
    int position = block / push.panels, col0 = (block - position * push.panels) * TILE_VECS;
    b_at = push.b_base + block * 4 * push.k_vecs * TILE_VECS - col0;
    a_begin(position);
    gemm_start();
    gemm_chunks(0, push.k_vecs / K_VECS, col0);
    gemm_store(col0);
}
