// gemm_tile.glsl - sizes of a matrix tile and who computes what in it, for the three cores.
//
// All compute C = A * B in tiles of TILE_ROWS rows by TILE_VECS vec4 of columns, walking K in chunks of KC in ascending order: every
// element of C is one chain of multiply-adds over k, so its bits depend neither on the tile nor on the row it stands in. With ACCUMULATE
// what C held before is added to the finished sum.
//   CORE_SGB: one subgroup per tile; a lane keeps TM rows x TV vec4 of C in registers, loads A_SLOTS vec4 of A per chunk and the subgroup
//             shares them by shuffles with a constant lane. Wants full subgroups of SG lanes.
//   portable: one workgroup of WG = 64 invocations per tile of 8*TM rows x 8 vec4; A and B pass through shared memory (at most 7 KiB).
//   CORE_COOP: one workgroup of WG invocations, in subgroups of SG, per tile of whole cooperative matrices of CM x CN, by k of CK.
// A's chunk is cut into slots of one vec4; slot q of a lane is element q * TILE_LANES + tile_lane().
#include "buffers.glsl"
#if defined(CORE_SGB) && !defined(EMULATED_LANES)
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#ifdef CORE_COOP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;
#ifdef CORE_COOP
layout(constant_id = 1) const int SG = 32;
layout(constant_id = 2) const int CM = 16; // a matrix: rows and columns of C, and k
layout(constant_id = 3) const int CN = 16;
layout(constant_id = 4) const int CK = 16;
layout(constant_id = 5) const int RM = 2;  // matrices of one subgroup: below and beside each other
layout(constant_id = 6) const int RN = 2;
layout(constant_id = 7) const int SUBGROUPS_X = 2;
const int KC = 32;
const int TILE_ROWS = WG / SG / SUBGROUPS_X * RM * CM;
const int TILE_VECS = SUBGROUPS_X * RN * CN / 4;
#define TILE_LANES WG
int tile_lane() { return int(gl_LocalInvocationID.x); }
#else
layout(constant_id = 1) const int TM = 8;
#endif
#ifdef CORE_SGB
layout(constant_id = 2) const int SG = 8;
layout(constant_id = 3) const int TV = 1;
layout(constant_id = 4) const int KC = 8;
layout(constant_id = 5) const int SPLIT = 1; // 4: a chunk's products column by column of the vec4, one B component after the other; 1: all four together;
                                             // 0: a chunk's k in fours, which keeps the least of B in registers
#define TILE_ROWS TM // a second name of a specialization constant would hide the first from reflection
const int TILE_VECS = SG * TV;
#define TILE_LANES SG
#elif !defined(CORE_COOP)
const int KC = 16;
const int TILE_ROWS = 8 * TM;
const int TILE_VECS = 8;
const int TILE_LANES = 64;
int tile_lane() { return int(gl_LocalInvocationID.x); }
#endif
const int K_VECS = KC / 4;                                     // vec4 per chunk along k
const int A_SLOTS = TILE_ROWS * KC / 4 / TILE_LANES;           // vec4 of A per lane and chunk
const int B_SLOTS = TILE_VECS * KC / TILE_LANES;               // vec4 of B per lane and chunk

// What a subgroup's lanes read of each other, for the shuffle core. Tests have a second form, of any width in shared memory (tests/shaders); for it the core
// says with LANES_HOLD_* where values are to be read from next, and TILE_ENDS leaves a tile behind the last row no sooner than its workgroup.
#ifdef EMULATED_LANES
#include "emulated_lanes.glsl"
#else
#define TILE_ENDS(beyond) (beyond)
#ifdef CORE_SGB
#define LANES_HOLD_A()
#define LANES_A(slot, component, lane) subgroupShuffle(ar[slot][component], uint(lane))
#define LANES_HOLD_ROWS()
#define LANES_ROW(slot, lane) subgroupShuffle(c_rows[slot], uint(lane))
int tile_lane() { return int(gl_SubgroupInvocationID); }
int tile_of_group() { return int(gl_SubgroupID); }
#endif
#endif

// a / b for 0 <= a < 2^20, b > 0: exact, since (a + 0.5) / b stays 0.5 / b away from every integer, more than float division errs.
int tlvk_small_div(int a, int b) {
    return int((float(a) + 0.5) / float(b));
}
