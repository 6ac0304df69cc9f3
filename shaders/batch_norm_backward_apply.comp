#version 450
// dx = scale * (dz - (sum dz + xhat * sum(dz * xhat)) / count): the gradient through batch statistics (Ioffe and Szegedy, 2015, section 3), dz being
// dy before the activation. dx may be dy where nothing is added. An invocation makes BLOCK_ROWS rows of four channels.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(constant_id = 1) const int KIND = 0;
layout(constant_id = 2) const uint BLOCK_ROWS = 8;
layout(binding = 0) readonly buffer Dy { vec4 dy[]; };
layout(binding = 1) readonly buffer X { vec4 x[]; };
layout(binding = 2) readonly buffer Stats { vec4 stats[]; };
layout(binding = 3) readonly buffer Sums { vec4 sums[]; };
layout(binding = 4) buffer Dx { vec4 dx[]; };
layout(push_constant) uniform Push {
    uint base[5]; uint items; uint columns; uint rows; uint blocks; float inverse_count; float alpha; float max_value; float threshold;
};
#include "batch_norm.glsl"

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, p = i / columns, first = p % blocks * BLOCK_ROWS, count = min(BLOCK_ROWS, rows - first);
    uint at = (p / blocks * rows + first) * columns + column, vector = base[2] + column, sum = base[3] + column;
    vec4 mean = stats[vector], rstd = stats[vector + columns], scale = stats[vector + 2 * columns], shift = stats[vector + 3 * columns];
    vec4 plain = sums[sum] * inverse_count, scaled = sums[sum + columns] * inverse_count * rstd;
    for (uint k = 0; k < count; k++, at += columns) {
        vec4 from = x[base[1] + at], v = batch_norm_before_activation(dy[base[0] + at], from, mean, scale, shift);
        v = scale * (v - (plain + (from - mean) * scaled));
        dx[base[4] + at] = ACCUMULATE != 0 ? dx[base[4] + at] + v : v;
    }
}
