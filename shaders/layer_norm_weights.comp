#version 450
// Parts of dgamma = sum over rows of dy * (x - mean) * rstd: one vec4 of columns over one part of the rows per invocation.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;

layout(push_constant) uniform Push {
    int x_base, dy_base, stats_base, to_base; // vec4
    int items, columns, rows, part_rows;      // invocations; vec4 per row; rows: all, and of a part
} push;
layout(binding = 0, std430) readonly restrict buffer X { vec4 x[]; };
layout(binding = 1, std430) readonly restrict buffer Dy { vec4 dy[]; };
layout(binding = 2, std430) readonly restrict buffer Stats { vec2 stats[]; };
layout(binding = 3, std430) writeonly restrict buffer To { vec4 to[]; };

void main() {
    int i = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    if (i >= push.items)
        return;
    int column = i % push.columns, part = i / push.columns, end = min((part + 1) * push.part_rows, push.rows);
    vec4 sum = vec4(0.0);
    for (int row = part * push.part_rows; row < end; row++) {
        vec2 s = stats[2 * push.stats_base + row];
        int at = row * push.columns + column;
        sum += dy[push.dy_base + at] * ((x[push.x_base + at] - s.x) * s.y);
    }
    to[push.to_base + i] = sum;
}
