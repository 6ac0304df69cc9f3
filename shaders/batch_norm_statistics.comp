#version 450
// Mean and sum of squared differences of each channel over blocks of rows. Partial p of column j lies at part[(p * columns + j) * 2]: mean, then
// squares. Differences are taken from the mean of four rows spread over the block, which lies well within the spread of all unless nearly all of it comes
// from these; the sum of squares then loses little to cancellation. (The first row alone, a corner of the picture, may be the odd one out.)
//@ variant texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x = 64) in;
TLVK_READ_BUFFER(0, x);
layout(binding = 1, std430) writeonly restrict buffer Part { vec4 part[]; };
layout(push_constant) uniform Push { int base[2]; int items; int columns, rows, blocks, block_rows, x_apart; } push;
#include "batch_norm.glsl"

void main() {
    int i = int(tlvk_group_x()) * 64 + int(gl_LocalInvocationID.x);
    if (i >= push.items)
        return;
    Block b = block_of(i);
    int at = push.base[0] + b.row * push.x_apart + b.column, k = 0;
    vec4 near = vec4(0.0), sum = vec4(0.0), squares = vec4(0.0);
    [[unroll]] for (int j = 1; j < 8; j += 2)
        near += 0.25 * TLVK_READ(x, at + j * b.count / 8 * push.x_apart);
    for (; k + 8 <= b.count; k += 8) {
        [[unroll]] for (int j = 0; j < 8; j++) {
            vec4 d = TLVK_READ(x, at + j * push.x_apart) - near;
            sum += d;
            squares += d * d;
        }
        at += 8 * push.x_apart;
    }
    for (; k < b.count; k++, at += push.x_apart) {
        vec4 d = TLVK_READ(x, at) - near;
        sum += d;
        squares += d * d;
    }
    vec4 mean = sum / float(b.count);
    part[push.base[1] + i * 2] = near + mean;
    part[push.base[1] + i * 2 + 1] = max(squares - sum * mean, vec4(0.0));
}
