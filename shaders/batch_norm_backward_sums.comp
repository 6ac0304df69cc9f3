#version 450
// Sums of dy and of dy * xhat over blocks of rows, xhat = (x - mean) * rstd; laid out as the partials of batch_norm_statistics.comp.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0) readonly buffer Dy { vec4 dy[]; };
layout(binding = 1) readonly buffer X { vec4 x[]; };
layout(binding = 2) readonly buffer Stats { vec4 stats[]; };
layout(binding = 3) writeonly buffer Part { vec4 part[]; };
layout(push_constant) uniform Push { uint base[4]; uint items; uint columns; uint rows; uint blocks; uint block_rows; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, p = i / columns, first = p % blocks * block_rows, count = min(block_rows, rows - first);
    uint at = (p / blocks * rows + first) * columns + column;
    vec4 mean = stats[base[2] + column], plain = vec4(0.0), scaled = vec4(0.0);
    for (uint k = 0; k < count; k++, at += columns) {
        vec4 g = dy[base[0] + at];
        plain += g;
        scaled += g * (x[base[1] + at] - mean);
    }
    part[base[3] + i * 2] = plain;
    part[base[3] + i * 2 + 1] = scaled * stats[base[2] + columns + column];
}
