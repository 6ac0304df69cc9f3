#version 450
// y = f((x - mean[c]) * scale[c] + shift[c] (+ r)), with the vectors of batch_norm_finish.comp and f an activation.
//@ variant-and-pairs-and-half texel -DTEXEL
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
layout(push_constant) uniform Push { int base[4]; int items; int columns, rows, blocks, block_rows, x_apart, r_apart, y_apart, c; float alpha, max_value, threshold; } push;
#include "batch_norm.glsl"

struct Column { int index; vec4 mean, scale, shift; };

void one(Column o, int x_at, int r_at, int y_at) {
    // precise: batch_norm_backward.glsl makes the same number again for the activation's slope.
    precise vec4 z = (TLVK_READ(x, x_at) - o.mean) * o.scale + o.shift;
    if (RESIDUAL != 0)
        z += TLVK_READ(r, r_at);
    if (KIND != TLVK_ACT_LINEAR)
        for (int k = 0; k < 4; k++)
            z[k] = tlvk_activate(KIND, push.alpha, push.max_value, push.threshold, z[k]);
    TLVK_WRITE(y, y_at, MASK != 0 ? tlvk_keep_channels(z, uint(o.index), uint(push.c)) : z);
}

void main() {
    int i = int(tlvk_group_x()) * 64 + int(gl_LocalInvocationID.x);
    if (i >= push.items)
        return;
    Block b = block_of(i);
    int s = push.base[1] + b.column, k = 0;
    int x_at = push.base[0] + b.row * push.x_apart + b.column, r_at = push.base[2] + b.row * push.r_apart + b.column;
    int y_at = push.base[3] + b.row * push.y_apart + b.column;
    Column o = Column(b.column, stats[s], stats[s + 2 * push.columns], stats[s + 3 * push.columns]);
    for (; k + 4 <= b.count; k += 4) {
        [[unroll]] for (int j = 0; j < 4; j++)
            one(o, x_at + j * push.x_apart, r_at + j * push.r_apart, y_at + j * push.y_apart);
        x_at += 4 * push.x_apart;
        r_at += 4 * push.r_apart;
        y_at += 4 * push.y_apart;
    }
    for (; k < b.count; k++, x_at += push.x_apart, r_at += push.r_apart, y_at += push.y_apart)
        one(o, x_at, r_at, y_at);
}
