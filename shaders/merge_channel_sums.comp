#version 450
// dx = factor * sum over the rows of a sample of dy (times another operand of its size), or dx += it: the gradient of what merge_channels.comp has as b. Work is
// divided and sums join as in global_pooling2d.comp.
//@ variant texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(constant_id = 1) const uint MULTIPLY = 0;
TLVK_READ_BUFFER(0, dy);
TLVK_READ_BUFFER(1, other);
layout(binding = 2, std430) buffer Dx { vec4 dx[]; };
layout(push_constant) uniform Push { uint base[3]; uint items; uint columns, rows; float factor; };

shared vec4 part[64];

void main() {
    uint group = tlvk_group_x(), lane = gl_LocalInvocationID.x;
    if (group >= items)
        return;
    uint blocks = (columns + 7) / 8, n = group / blocks, column = group % blocks * 8 + lane % 8;
    vec4 sum = vec4(0.0);
    if (column < columns)
        for (uint row = lane / 8; row < rows; row += 8) {
            uint at = (n * rows + row) * columns + column;
            vec4 v = TLVK_READ(dy, int(base[0] + at));
            if (MULTIPLY != 0)
                v *= TLVK_READ(other, int(base[1] + at));
            sum += v;
        }
    part[lane] = sum;
    for (uint reach = 32; reach >= 8; reach /= 2) {
        barrier();
        if (lane < reach)
            part[lane] += part[lane + reach];
    }
    if (lane >= 8 || column >= columns)
        return;
    uint to = base[2] + n * columns + column;
    sum = part[lane] * factor;
    dx[to] = ACCUMULATE != 0 ? dx[to] + sum : sum;
}
