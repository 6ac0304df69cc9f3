#version 450
// y = f((x - mean[c]) * scale[c] + shift[c] (+ r)), with the vectors of batch_norm_finish.comp and f an activation.
//@ variant-and-pairs texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "activation.glsl"
#include "lanes.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const int KIND = 0;
layout(constant_id = 1) const int MASK = 0; // c is no multiple of 4 and f(0) is not 0: it must not show in the lanes behind c
layout(constant_id = 2) const int RESIDUAL = 0; // r is added
TLVK_READ_BUFFER_IN_PLACE(0, x);
layout(binding = 1, std430) readonly restrict buffer Stats { vec4 stats[]; };
TLVK_READ_BUFFER_IN_PLACE(2, r);
writeonly TLVK_WRITE_BUFFER(3, y);
layout(push_constant) uniform Push { int base[4]; int items; int columns, rows, blocks, block_rows, c; float alpha, max_value, threshold; } push;
#include "batch_norm.glsl"

struct Column { int index; vec4 mean, scale, shift; };

void one(Column o, int at) {
    // precise: batch_norm_backward.glsl makes the same number again for the activation's slope.
    precise vec4 z = (TLVK_READ(x, push.base[0] + at) - o.mean) * o.scale + o.shift;
    if (RESIDUAL != 0)
        z += TLVK_READ(r, push.base[2] + at);
    if (KIND != TLVK_ACT_LINEAR)
        for (int k = 0; k < 4; k++)
            z[k] = tlvk_activate(KIND, push.alpha, push.max_value, push.threshold, z[k]);
    TLVK_WRITE(y, push.base[3] + at, MASK != 0 ? tlvk_keep_channels(z, uint(o.index), uint(push.c)) : z);
}

void main() {
    int i = int(tlvk_group_x()) * 64 + int(gl_LocalInvocationID.x);
    if (i >= push.items)
        return;
    Block b = block_of(i);
    int s = push.base[1] + b.column, at = b.at, k = 0;
    Column o = Column(b.column, stats[s], stats[s + 2 * push.columns], stats[s + 3 * push.columns]);
    for (; k + 4 <= b.count; k += 4, at += 4 * push.columns)
        [[unroll]] for (int j = 0; j < 4; j++)
            one(o, at + j * push.columns);
    for (; k < b.count; k++, at += push.columns)
        one(o, at);
}
