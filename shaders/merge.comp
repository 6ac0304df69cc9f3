#version 450
// out = act(factor * (a + b)), and likewise for the other kinds of tlvk__merge_kind, or out += it; a and b may have size 1 where out has more
// (BROADCAST, which also keeps the lanes behind the last channel zero), and out may be a or b where they have its size. One vec4 of out per invocation.
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
layout(constant_id = 2) const uint BROADCAST = 0;
layout(constant_id = 3) const int ACTIVATION = 0;
TLVK_READ_BUFFER_IN_PLACE(0, a);
TLVK_READ_BUFFER_IN_PLACE(1, b);
TLVK_WRITE_BUFFER(2, result);
// Strides in vec4 units of (sample, row, pixel, column); 0 where an operand has size 1. Column stride 0: its only channel goes to every lane.
layout(push_constant) uniform Push { uint base[3]; uint items; uint columns, w, h, c; uint a_stride[4]; uint b_stride[4]; float factor, alpha, max_value, threshold; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    vec4 p, q;
    uint column = 0;
    if (BROADCAST != 0) {
        column = i % columns;
        uint t = i / columns, x = t % w, y = t / w % h, n = t / (w * h);
        p = TLVK_READ(a, int(base[0] + n * a_stride[0] + y * a_stride[1] + x * a_stride[2] + column * a_stride[3]));
        q = TLVK_READ(b, int(base[1] + n * b_stride[0] + y * b_stride[1] + x * b_stride[2] + column * b_stride[3]));
        if (a_stride[3] == 0)
            p = p.xxxx;
        if (b_stride[3] == 0)
            q = q.xxxx;
    } else {
        p = TLVK_READ(a, int(base[0] + i));
        q = TLVK_READ(b, int(base[1] + i));
    }
    vec4 v = tlvk_merged(KIND, p, q) * factor;
    for (int lane = 0; lane < 4; lane++)
        v[lane] = tlvk_activate(ACTIVATION, alpha, max_value, threshold, v[lane]);
    if (BROADCAST != 0)
        v = tlvk_keep_channels(v, column, c);
    TLVK_WRITE(result, base[2] + i, ACCUMULATE != 0 ? TLVK_READ_BACK(result, base[2] + i) + v : v);
}
