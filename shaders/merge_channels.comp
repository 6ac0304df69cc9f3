#version 450
// out = act(factor * (a + b)), and likewise for the other kinds of tlvk__merge_kind, or out += it, where b has one number per sample and channel, such as
// the gate of a squeeze and excitation: it is read once for a block of rows. a may be out.
//@ variant-and-half texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "activation.glsl"
#include "lanes.glsl"
#include "merge.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint KIND = 0;
layout(constant_id = 1) const uint ACCUMULATE = 0;
layout(constant_id = 2) const uint MASK = 0; // c is no multiple of 4: what the activation makes of zero must not show in the lanes behind it
layout(constant_id = 3) const int ACTIVATION = 0;
TLVK_READ_BUFFER_IN_PLACE(0, a);
TLVK_READ_BUFFER(1, b);
TLVK_WRITE_BUFFER(2, result);
layout(push_constant) uniform Push { int base[3]; int items; int columns, rows, blocks, block_rows, c; float factor, alpha, max_value, threshold; } push;
#include "row_blocks.glsl"

void one(vec4 q, int column, int at) {
    vec4 v = tlvk_merged(KIND, TLVK_READ(a, push.base[0] + at), q) * push.factor;
    if (ACTIVATION != TLVK_ACT_LINEAR)
        for (int k = 0; k < 4; k++)
            v[k] = tlvk_activate(ACTIVATION, push.alpha, push.max_value, push.threshold, v[k]);
    if (MASK != 0)
        v = tlvk_keep_channels(v, uint(column), uint(push.c));
    TLVK_WRITE(result, push.base[2] + at, ACCUMULATE != 0 ? TLVK_READ_BACK(result, push.base[2] + at) + v : v);
}

void main() {
    int i = int(tlvk_group_x()) * 64 + int(gl_LocalInvocationID.x);
    if (i >= push.items)
        return;
    Block o = block_of(i);
    vec4 q = TLVK_READ(b, push.base[1] + o.picture * push.columns + o.column);
    int at = o.row * push.columns + o.column, k = 0;
    for (; k + 4 <= o.count; k += 4, at += 4 * push.columns)
        [[unroll]] for (int j = 0; j < 4; j++)
            one(q, o.column, at + j * push.columns);
    for (; k < o.count; k++, at += push.columns)
        one(q, o.column, at);
}
