#version 450
// winograd_weights.comp - the weights g (3, 3, cin, cout) into G g G' as operand B of the 36 products: position p, panel of `panel_vecs` vec4 of columns,
// then k, then column, with zeros behind the last k and the last column. Forward: k = cin, columns = cout. For the gradient of the input
// (variant `data`): k = cout, columns = cin, taps in reverse order. One invocation makes one k of four columns: with four k it would keep all nine blocks of
// 4 x 4 taps, more registers than some compilers have. Recorded by engine/ops/winograd.c.
//@ variant forward
//@ variant data -DDATA
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "winograd.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;

layout(push_constant) uniform Push {
    int w_base, to_base;             // vec4
    int cin_vecs, cout_vecs;
    int k_vecs;                      // of a panel
    int panel_vecs, panels;
} push;
layout(binding = 0, std430) readonly restrict buffer W { vec4 w[]; };
layout(binding = 1, std430) writeonly restrict buffer To { vec4 to[]; };

int w_row(int tap, int row, int column) { return push.w_base + (tap * 4 * push.cin_vecs + row) * push.cout_vecs + column; }

// Four columns of one k at a tap.
vec4 w_columns(int tap, int k, int column) {
#ifdef DATA
    vec4 columns;
    [[unroll]] for (int j = 0; j < 4; j++)
        columns[j] = w[w_row(8 - tap, 4 * column + j, k / 4)][k % 4];
    return columns;
#else
    return w[w_row(tap, k, column)];
#endif
}

void main() {
    int i = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    int line = i / push.panel_vecs, column = i - line * push.panel_vecs;
    int panel = line / (4 * push.k_vecs), k = line - panel * 4 * push.k_vecs;
    if (panel >= push.panels)
        return;
    int from_column = panel * push.panel_vecs + column;
#ifdef DATA
    bool filled = k < 4 * push.cout_vecs && from_column < push.cin_vecs;
#else
    bool filled = k < 4 * push.cin_vecs && from_column < push.cout_vecs;
#endif
    vec4 along_x[3 * WINOGRAD_IN];
    [[unroll]] for (int r = 0; r < 3; r++) {
        vec4 t[3], u[WINOGRAD_IN];
        [[unroll]] for (int c = 0; c < 3; c++)
            t[c] = filled ? w_columns(3 * r + c, k, from_column) : vec4(0.0);
        winograd_weights(t, u);
        [[unroll]] for (int c = 0; c < WINOGRAD_IN; c++)
            along_x[r * WINOGRAD_IN + c] = u[c];
    }
    int plane = push.panels * 4 * push.k_vecs * push.panel_vecs, at = push.to_base + i;
    [[unroll]] for (int c = 0; c < WINOGRAD_IN; c++) {
        vec4 t[3] = vec4[3](along_x[c], along_x[WINOGRAD_IN + c], along_x[2 * WINOGRAD_IN + c]), u[WINOGRAD_IN];
        winograd_weights(t, u);
        [[unroll]] for (int r = 0; r < WINOGRAD_IN; r++)
            to[at + (r * WINOGRAD_IN + c) * plane] = u[r];
    }
}
