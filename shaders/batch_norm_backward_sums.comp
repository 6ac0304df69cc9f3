#version 450
// Sums of dz and of dz * xhat over blocks of rows, dz the gradient before the activation, xhat = (x - mean) * rstd; laid out as the partials of
// batch_norm_statistics.comp.
//@ variant texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "activation.glsl"

layout(local_size_x = 64) in;
TLVK_READ_BUFFER(0, dy);
TLVK_READ_BUFFER(1, x);
layout(binding = 2, std430) readonly restrict buffer Stats { vec4 stats[]; };
layout(binding = 3, std430) writeonly restrict buffer Part { vec4 part[]; };
layout(push_constant) uniform Push { int base[4]; int items; int columns, rows, blocks, block_rows, g_apart, x_apart; float alpha, max_value, threshold; } push;
#include "batch_norm.glsl"
#include "batch_norm_backward.glsl"

void main() {
    int i = int(tlvk_group_x()) * 64 + int(gl_LocalInvocationID.x);
    if (i >= push.items)
        return;
    Block b = block_of(i);
    int s = push.base[2] + b.column, k = 0;
    int g_at = push.base[0] + b.row * push.g_apart + b.column, x_at = push.base[1] + b.row * push.x_apart + b.column;
    vec4 mean = stats[s], scale = stats[s + 2 * push.columns], shift = stats[s + 3 * push.columns], plain = vec4(0.0), scaled = vec4(0.0);
    for (; k + 4 <= b.count; k += 4) {
        [[unroll]] for (int j = 0; j < 4; j++) {
            vec4 centered = TLVK_READ(x, x_at + j * push.x_apart) - mean;
            vec4 g = gradient_before(TLVK_READ(dy, g_at + j * push.g_apart), centered, scale, shift);
            plain += g;
            scaled += g * centered;
        }
        g_at += 4 * push.g_apart;
        x_at += 4 * push.x_apart;
    }
    for (; k < b.count; k++, g_at += push.g_apart, x_at += push.x_apart) {
        vec4 centered = TLVK_READ(x, x_at) - mean;
        vec4 g = gradient_before(TLVK_READ(dy, g_at), centered, scale, shift);
        plain += g;
        scaled += g * centered;
    }
    part[push.base[3] + i * 2] = plain;
    part[push.base[3] + i * 2 + 1] = scaled * stats[s + push.columns];
}
