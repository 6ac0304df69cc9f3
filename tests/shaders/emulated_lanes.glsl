// emulated_lanes.glsl - in place of subgroups of SG lanes: SG invocations of a workgroup that read of each other through shared memory, so that the shuffle
// core's values are tested for every width. gemm_tile.glsl includes it where a test's build says EMULATED_LANES.
// The tiles of a workgroup meet at the same barriers, so none leaves early: one behind the last row reads zeros or a row that is there, and stores nothing.
shared vec4 held_a[A_SLOTS * WG];
shared int held_rows[(TILE_ROWS + SG - 1) / SG * WG];

int tile_lane() { return int(gl_LocalInvocationID.x) % SG; }
int tile_of_group() { return int(gl_LocalInvocationID.x) / SG; }

#define HOLD(held, values, slots)                                     \
    barrier();                                                        \
    for (int q = 0; q < (slots); q++)                                 \
        held[q * WG + int(gl_LocalInvocationID.x)] = values[q];       \
    barrier()
#define HELD(held, slot, lane) held[(slot) * WG + tile_of_group() * SG + (lane)]

#define TILE_ENDS(beyond) false
#define LANES_HOLD_A() HOLD(held_a, ar, A_SLOTS)
#define LANES_A(slot, component, lane) HELD(held_a, slot, lane)[component]
#define LANES_HOLD_ROWS() HOLD(held_rows, c_rows, C_ROW_SLOTS)
#define LANES_ROW(slot, lane) HELD(held_rows, slot, lane)
