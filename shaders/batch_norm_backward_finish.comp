#version 450
// Joins the partial sums of a column in a fixed tree: sums[j] = sum of dy, sums[columns + j] = sum of dy * xhat, which are the gradients of
// beta and gamma. One workgroup per column.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint WRITE_GAMMA = 0; // 0: not wanted, 1: write, 2: add
layout(constant_id = 1) const uint WRITE_BETA = 0;
layout(binding = 0) readonly buffer Part { vec4 part[]; };
layout(binding = 1) writeonly buffer Sums { vec4 sums[]; };
layout(binding = 2) buffer Dgamma { vec4 dgamma[]; };
layout(binding = 3) buffer Dbeta { vec4 dbeta[]; };
layout(push_constant) uniform Push { uint base[4]; uint items; uint columns; uint partials; };

shared vec4 plain[64];
shared vec4 scaled[64];

void main() {
    uint column = tlvk_group_x(), lane = gl_LocalInvocationID.x;
    if (column >= items)
        return;
    vec4 a = vec4(0.0), b = vec4(0.0);
    for (uint p = lane; p < partials; p += 64) {
        uint at = base[0] + (p * columns + column) * 2;
        a += part[at];
        b += part[at + 1];
    }
    plain[lane] = a;
    scaled[lane] = b;
    for (uint reach = 32; reach > 0; reach /= 2) {
        barrier();
        if (lane < reach) {
            plain[lane] += plain[lane + reach];
            scaled[lane] += scaled[lane + reach];
        }
    }
    if (lane != 0)
        return;
    a = plain[0];
    b = scaled[0];
    sums[base[1] + column] = a;
    sums[base[1] + columns + column] = b;
    if (WRITE_GAMMA != 0)
        dgamma[base[2] + column] = WRITE_GAMMA == 2 ? dgamma[base[2] + column] + b : b;
    if (WRITE_BETA != 0)
        dbeta[base[3] + column] = WRITE_BETA == 2 ? dbeta[base[3] + column] + a : a;
}
