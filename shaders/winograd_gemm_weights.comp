#version 450
// winograd_gemm_weights.comp - the 36 products M_p (input channels x output channels) = V_p' (channels x tiles) * Y_p (tiles x channels), one per
// position p: V and Y from winograd_input.comp, tiles in ascending order. A workgroup's block is p * panels + panel. A tile of C, its loops and
// bits: gemm_tile.glsl. Recorded by engine/ops/winograd_weights.c.
//@ variant-and-pairs sgb_texel -DCORE_SGB -DTEXEL
//@ variant sgb -DCORE_SGB
//@ variant portable
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "gemm_tile.glsl"
#define A_BY_ROWS_OF_K

layout(constant_id = 9) const int ACCUMULATE = 0; // 1: M is added to what is there

layout(push_constant) uniform Push {
    int a_base, b_base, c_base;      // vec4
    int tiles, a_vecs, c_vecs;       // vec4 of input and of output channels
    int panels;
    int a_plane, b_plane, c_plane;   // vec4 from position to position
} push;

TLVK_READ_BUFFER(0, a);
TLVK_READ_BUFFER(1, b);
restrict TLVK_WRITE_BUFFER(2, c);

// Slots are four channels of a tile, as in gemm_a_taps.glsl. Channels behind the last are the last once more, and are not stored.
const int GROUPS = TILE_ROWS / 4;
const int TILES_APART = TILE_LANES / GROUPS;
int first_row, block, a_at, a_left, b_first;

void a_begin(int position) {
    a_left = push.tiles - tile_lane() / GROUPS;
    a_at = push.a_base + position * push.a_plane + tile_lane() / GROUPS * push.a_vecs + min(first_row / 4 + tile_lane() % GROUPS, push.a_vecs - 1);
}

vec4 a_load(int q) {
    bool inside = a_left > q * TILES_APART;
    vec4 v = TLVK_READ(a, inside ? a_at + q * TILES_APART * push.a_vecs : push.a_base);
    return inside ? v : vec4(0.0);
}

void a_next() {
    a_left -= KC;
    a_at += KC * push.a_vecs;
}

// Tiles behind the last meet zeros of A.
vec4 b_load(int k, int column) { return TLVK_READ(b, b_first + min(k, push.tiles - 1) * push.c_vecs + min(column, push.c_vecs - 1)); }

int c_row(int r) {
    int row = first_row + r;
    return row < 4 * push.a_vecs ? push.c_base + block / push.panels * push.c_plane + row * push.c_vecs : -1;
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
    if (TILE_ENDS(first_row >= 4 * push.a_vecs))
        return;
    block = int(gl_WorkGroupID.y);
    int position = block / push.panels, col0 = (block - position * push.panels) * TILE_VECS;
    b_first = push.b_base + position * push.b_plane;
    a_begin(position);
    gemm_start();
    gemm_chunks(0, (push.tiles + KC - 1) / KC, col0);
    gemm_store(col0);
}
