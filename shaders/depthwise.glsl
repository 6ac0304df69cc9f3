// depthwise.glsl - reading four consecutive channels of a pixel for depthwise kernels.
// SPREAD > 1: channel c of the result reads channel c / SPREAD of `a` (depth_multiplier in the forward pass and the weight gradient).
// MERGE > 1: it reads channels c * MERGE + part, part = 0 .. MERGE - 1, of `a` and of the kernel (backward-data).
#define DEPTHWISE_GATHER(name, base, vec, part, last)                                                                                       \
    (SPREAD == 1 && MERGE == 1 ? TLVK_READ(name, (base) + (vec))                                                                            \
                               : vec4(TLVK_READ(name, (base) + gather_vec(vec, 0, part, last))[gather_lane(vec, 0, part)],                  \
                                      TLVK_READ(name, (base) + gather_vec(vec, 1, part, last))[gather_lane(vec, 1, part)],                  \
                                      TLVK_READ(name, (base) + gather_vec(vec, 2, part, last))[gather_lane(vec, 2, part)],                  \
                                      TLVK_READ(name, (base) + gather_vec(vec, 3, part, last))[gather_lane(vec, 3, part)]))

int gather_channel(int vec, int lane, int part) { return (4 * vec + lane) / SPREAD * MERGE + part; }
// Lanes behind the last channel read some channel that is there; their results are dropped.
int gather_vec(int vec, int lane, int part, int last) { return min(gather_channel(vec, lane, part) / 4, last); }
int gather_lane(int vec, int lane, int part) { return gather_channel(vec, lane, part) % 4; }
