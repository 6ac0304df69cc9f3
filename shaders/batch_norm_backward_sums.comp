#version 450
// Sums of dz and of dz * xhat over blocks of rows, dz being dy before the activation and xhat = (x - mean) * rstd; laid out as the partials of
// batch_norm_statistics.comp.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const int KIND = 0;
layout(binding = 0) readonly buffer Dy { vec4 dy[]; };
layout(binding = 1) readonly buffer X { vec4 x[]; };
layout(binding = 2) readonly buffer Stats { vec4 stats[]; };
layout(binding = 3) writeonly buffer Part { vec4 part[]; };
layout(push_constant) uniform Push {
    uint base[4]; uint items; uint columns; uint rows; uint blocks; uint block_rows; float alpha; float max_value; float threshold;
};
#include "batch_norm.glsl"

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, p = i / columns, first = p % blocks * block_rows, count = min(block_rows, rows - first);
    uint at = (p / blocks * rows + first) * columns + column, vector = base[2] + column;
    vec4 mean = stats[vector], scale = vec4(0.0), shift = vec4(0.0), plain = vec4(0.0), scaled = vec4(0.0);
    if (KIND != TLVK_ACT_LINEAR) {
        scale = stats[vector + 2 * columns];
        shift = stats[vector + 3 * columns];
    }
    for (uint k = 0; k < count; k++, at += columns) {
        vec4 from = x[base[1] + at], g = batch_norm_before_activation(dy[base[0] + at], from, mean, scale, shift);
        plain += g;
        scaled += g * (from - mean);
    }
    part[base[3] + i * 2] = plain;
    part[base[3] + i * 2 + 1] = scaled * stats[vector + columns];
}
