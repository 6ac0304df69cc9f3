#version 450
// winograd_weights_gradient.comp - the 36 products of winograd_gemm_weights.comp into the gradient of the weights, G' M G: (3, 3, input channel, output
// channel). One invocation makes nine taps of four columns of a channel. Recorded by engine/ops/winograd_weights.c.
//@ variant-and-pairs texel -DTEXEL
//@ variant storage
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "winograd.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const int WG = 64;
layout(constant_id = 9) const int ACCUMULATE = 0; // 1: dw is added to what is there

layout(push_constant) uniform Push {
    int m_base, w_base;              // vec4
    int plane;                       // vec4 of a position of M and of a tap of dw
} push;

TLVK_READ_BUFFER(0, m);
restrict TLVK_WRITE_BUFFER(1, w);

void main() {
    int i = int(tlvk_group_x()) * WG + int(gl_LocalInvocationID.x);
    if (i >= push.plane)
        return;
    vec4 along_y[3 * WINOGRAD_IN];
    [[unroll]] for (int c = 0; c < WINOGRAD_IN; c++) {
        vec4 v[WINOGRAD_IN], g[3];
        [[unroll]] for (int r = 0; r < WINOGRAD_IN; r++)
            v[r] = TLVK_READ(m, push.m_base + (r * WINOGRAD_IN + c) * push.plane + i);
        winograd_weights_gradient(v, g);
        [[unroll]] for (int r = 0; r < 3; r++)
            along_y[r * WINOGRAD_IN + c] = g[r];
    }
    [[unroll]] for (int r = 0; r < 3; r++) {
        vec4 v[WINOGRAD_IN], g[3];
        [[unroll]] for (int c = 0; c < WINOGRAD_IN; c++)
            v[c] = along_y[r * WINOGRAD_IN + c];
        winograd_weights_gradient(v, g);
        [[unroll]] for (int c = 0; c < 3; c++) {
            int at = push.w_base + (3 * r + c) * push.plane + i;
            if (ACCUMULATE != 0)
                TLVK_WRITE(w, at, TLVK_READ_BACK(w, at) + g[c]);
            else
                TLVK_WRITE(w, at, g[c]);
        }
    }
}
