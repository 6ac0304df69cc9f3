#version 450
// column_sums.comp - sums of the columns of a matrix over parts of `part_rows` rows each, rows ascending: to[part][column] by vec4.
// Bias gradient: the parts are then added by sum_parts.comp.
//@ variant texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;

layout(push_constant) uniform Push {
    int from_base, to_base; // vec4
    int rows, part_rows, parts, c_vecs, apart; // apart: vec4 from row to row
} push;
TLVK_READ_BUFFER(0, from);
layout(binding = 1, std430) writeonly restrict buffer To { vec4 to[]; };

void main() {
    int i = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    int part = i / push.c_vecs, column = i - part * push.c_vecs;
    if (part >= push.parts)
        return;
    int row = part * push.part_rows, end = min(row + push.part_rows, push.rows);
    vec4 sum = vec4(0.0);
    for (; row < end; row++)
        sum += TLVK_READ(from, push.from_base + row * push.apart + column);
    to[push.to_base + i] = sum;
}
