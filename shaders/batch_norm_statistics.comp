#version 450
// Mean and sum of squared differences of each channel over blocks of rows, by Welford's recurrence ("Note on a method for calculating
// corrected sums of squares and products", 1962). Partial p of column j lies at part[(p * columns + j) * 2]: mean, then squares.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) writeonly buffer Part { vec4 part[]; };
layout(push_constant) uniform Push { uint base[2]; uint items; uint columns; uint rows; uint blocks; uint block_rows; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, p = i / columns, first = p % blocks * block_rows, count = min(block_rows, rows - first);
    uint at = base[0] + (p / blocks * rows + first) * columns + column;
    vec4 mean = vec4(0.0), squares = vec4(0.0);
    for (uint k = 0; k < count; k++, at += columns) {
        vec4 v = x[at], delta = v - mean;
        mean += delta * (1.0 / float(k + 1));
        squares += delta * (v - mean);
    }
    part[base[1] + i * 2] = mean;
    part[base[1] + i * 2 + 1] = squares;
}
