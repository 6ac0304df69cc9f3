#version 450
// Mean and sum of squared differences of each channel over blocks of rows. Partial p of column j lies at part[(p * columns + j) * 2]: mean, then
// squares. Differences are taken from the block's first row, which is as good as its mean: with d that row's distance from the mean, the sum of
// squares that is looked for is at least d^2 and what is added up is it and count * d^2, so that cancellation costs count roundings at worst.
//@ variant texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x = 64) in;
TLVK_READ_BUFFER(0, x);
layout(binding = 1, std430) writeonly restrict buffer Part { vec4 part[]; };
layout(push_constant) uniform Push { int base[2]; int items; int columns, rows, blocks, block_rows; } push;
#include "batch_norm.glsl"

void main() {
    int i = int(tlvk_group_x()) * 64 + int(gl_LocalInvocationID.x);
    if (i >= push.items)
        return;
    Block b = block_of(i);
    int at = push.base[0] + b.at, k = 0;
    vec4 near = TLVK_READ(x, at), sum = vec4(0.0), squares = vec4(0.0);
    for (; k + 8 <= b.count; k += 8) {
        [[unroll]] for (int j = 0; j < 8; j++) {
            vec4 d = TLVK_READ(x, at + j * push.columns) - near;
            sum += d;
            squares += d * d;
        }
        at += 8 * push.columns;
    }
    for (; k < b.count; k++, at += push.columns) {
        vec4 d = TLVK_READ(x, at) - near;
        sum += d;
        squares += d * d;
    }
    vec4 mean = sum / float(b.count);
    part[push.base[1] + i * 2] = near + mean;
    part[push.base[1] + i * 2 + 1] = max(squares - sum * mean, vec4(0.0));
}
