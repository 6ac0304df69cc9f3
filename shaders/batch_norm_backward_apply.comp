#version 450
// dx = scale * (dz - (sum dz + xhat * sum(dz * xhat)) / count), dz the gradient before the activation: the gradient through batch statistics
// (Ioffe and Szegedy, 2015, section 3). dx may be dy where nothing is added.
//@ variant-and-pairs texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "activation.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 1) const int ACCUMULATE = 0;
TLVK_READ_BUFFER_IN_PLACE(0, dy);
TLVK_READ_BUFFER(1, x);
layout(binding = 2, std430) readonly restrict buffer Stats { vec4 stats[]; };
TLVK_WRITE_BUFFER(3, dx);
layout(push_constant) uniform Push {
    int base[4]; int items; int columns, rows, blocks, block_rows, g_apart, x_apart, to_apart; float alpha, max_value, threshold; float inverse_count;
} push;
#include "batch_norm.glsl"
#include "batch_norm_backward.glsl"

// Of one column; plain and scaled: what is taken off per row, and per distance from the mean.
struct Column { vec4 mean, scale, shift, plain, scaled; };

void one(Column c, int g_at, int x_at, int to) {
    vec4 centered = TLVK_READ(x, x_at) - c.mean;
    vec4 v = gradient_before(TLVK_READ(dy, g_at), centered, c.scale, c.shift);
    v = c.scale * (v - (c.plain + centered * c.scaled));
    TLVK_WRITE(dx, to, ACCUMULATE != 0 ? TLVK_READ_BACK(dx, to) + v : v);
}

void main() {
    int i = int(tlvk_group_x()) * 64 + int(gl_LocalInvocationID.x);
    if (i >= push.items)
        return;
    Block b = block_of(i);
    int s = push.base[2] + b.column, k = 0;
    int g_at = push.base[0] + b.row * push.g_apart + b.column, x_at = push.base[1] + b.row * push.x_apart + b.column;
    int to = push.base[3] + b.row * push.to_apart + b.column;
    Column c;
    c.mean = stats[s];
    c.scale = stats[s + 2 * push.columns];
    c.shift = stats[s + 3 * push.columns];
    c.plain = stats[s + 4 * push.columns] * push.inverse_count;
    c.scaled = stats[s + 5 * push.columns] * stats[s + push.columns] * push.inverse_count;
    for (; k + 4 <= b.count; k += 4) {
        [[unroll]] for (int j = 0; j < 4; j++)
            one(c, g_at + j * push.g_apart, x_at + j * push.x_apart, to + j * push.to_apart);
        g_at += 4 * push.g_apart;
        x_at += 4 * push.x_apart;
        to += 4 * push.to_apart;
    }
    for (; k < b.count; k++, g_at += push.g_apart, x_at += push.x_apart, to += push.to_apart)
        one(c, g_at, x_at, to);
}
