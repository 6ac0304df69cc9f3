#version 450
// Gradient of the mean over all pixels: dx = dy / rows, or dx += it, at every pixel. `held` is dx as it was.
//@ variant texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
TLVK_READ_BUFFER(0, dy);
TLVK_READ_BUFFER_IN_PLACE(1, held);
layout(binding = 2, std430) writeonly buffer Dx { vec4 dx[]; };
layout(push_constant) uniform Push { int base[3]; int items; int columns, rows, blocks, block_rows; } push;
#include "row_blocks.glsl"

void one(vec4 share, int at) {
    dx[push.base[2] + at] = ACCUMULATE != 0 ? share + TLVK_READ(held, push.base[1] + at) : share;
}

void main() {
    int i = int(tlvk_group_x()) * 64 + int(gl_LocalInvocationID.x);
    if (i >= push.items)
        return;
    Block o = block_of(i);
    vec4 share = TLVK_READ(dy, push.base[0] + o.picture * push.columns + o.column) / float(push.rows);
    int at = o.row * push.columns + o.column, k = 0;
    for (; k + 4 <= o.count; k += 4, at += 4 * push.columns)
        [[unroll]] for (int j = 0; j < 4; j++)
            one(share, at + j * push.columns);
    for (; k < o.count; k++, at += push.columns)
        one(share, at);
}
