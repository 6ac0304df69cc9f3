#version 450
// y = act((x - mean[c]) * scale[c] + shift[c] (+ r)), with the vectors of batch_norm_finish.comp. An invocation makes BLOCK_ROWS rows of four channels,
// so that the vectors are read once for them.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
#include "lanes.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const int KIND = 0;      // of the activation
layout(constant_id = 1) const uint MASK = 0;     // c is no multiple of 4: act(0) must not show in the lanes behind it
layout(constant_id = 2) const uint RESIDUAL = 0; // r is added
layout(constant_id = 3) const uint BLOCK_ROWS = 8;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) readonly buffer Stats { vec4 stats[]; };
layout(binding = 2) readonly buffer R { vec4 r[]; };
layout(binding = 3) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint base[4]; uint items; uint columns; uint rows; uint blocks; uint c; float alpha; float max_value; float threshold; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, p = i / columns, first = p % blocks * BLOCK_ROWS, count = min(BLOCK_ROWS, rows - first);
    uint at = (p / blocks * rows + first) * columns + column, vector = base[1] + column;
    vec4 mean = stats[vector], scale = stats[vector + 2 * columns], shift = stats[vector + 3 * columns];
    for (uint k = 0; k < count; k++, at += columns) {
        // precise: batch_norm_backward_*.comp make the same number again for the activation's slope.
        precise vec4 v = (x[base[0] + at] - mean) * scale + shift;
        if (RESIDUAL != 0)
            v += r[base[2] + at];
        for (int lane = 0; lane < 4; lane++)
            v[lane] = tlvk_activate(KIND, alpha, max_value, threshold, v[lane]);
        y[base[3] + at] = MASK != 0 ? tlvk_keep_channels(v, column, c) : v;
    }
}
