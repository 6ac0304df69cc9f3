#version 450
// gemm_pack.comp - a matrix (rows k, c_vecs vec4 of columns) into panels of `panel_vecs` vec4 of columns: panel, then k, then column, with
// zeros behind the last k and the last column. One invocation writes one vec4.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;

layout(push_constant) uniform Push {
    int from_base, to_base;          // vec4
    int k_first, k_count;            // rows written by this dispatch; those from k_from on are zeros
    int k_from;                      // rows that `from` holds, from k_first on
    int k_padded;                    // rows of a panel
    int c_vecs, c_first, panel_vecs, panels; // columns of `from`; the first panel's first
} push;
layout(binding = 0, std430) readonly restrict buffer From { vec4 from[]; };
layout(binding = 1, std430) writeonly restrict buffer To { vec4 to[]; };

void main() {
    int i = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    int line = i / push.panel_vecs, column = i - line * push.panel_vecs;
    int panel = line / push.k_count, k = line - panel * push.k_count;
    if (panel >= push.panels)
        return;
    int from_column = push.c_first + panel * push.panel_vecs + column;
    bool filled = k < push.k_from && from_column < push.c_vecs;
    vec4 v = from[push.from_base + (filled ? k * push.c_vecs + from_column : 0)];
    to[push.to_base + (panel * push.k_padded + push.k_first + k) * push.panel_vecs + column] = filled ? v : vec4(0.0);
}
