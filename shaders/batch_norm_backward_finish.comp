#version 450
// Joins the partial sums of a column in a fixed tree: sum of dz and sum of dz * xhat, which are the gradients of beta and gamma, go behind the
// vectors of batch_norm_finish.comp: stats[4 columns + j], stats[5 columns + j]. A workgroup takes 8 columns, 8 invocations share a
// column's partials.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint WRITE_GAMMA = 0; // 0: not wanted, 1: write, 2: add
layout(constant_id = 1) const uint WRITE_BETA = 0;
layout(binding = 0) readonly buffer Part { vec4 part[]; };
layout(binding = 1) writeonly buffer Stats { vec4 stats[]; };
layout(binding = 2) buffer Dgamma { vec4 dgamma[]; };
layout(binding = 3) buffer Dbeta { vec4 dbeta[]; };
layout(push_constant) uniform Push { uint base[4]; uint items; uint columns; uint partials; };

shared vec4 plain[64];
shared vec4 scaled[64];

void main() {
    uint group = tlvk_group_x(), lane = gl_LocalInvocationID.x, column = group * 8 + lane % 8;
    if (group >= items)
        return;
    bool inside = column < columns;
    vec4 a = vec4(0.0), b = vec4(0.0);
    for (uint p = lane / 8; inside && p < partials; p += 8) {
        uint at = base[0] + (p * columns + column) * 2;
        a += part[at];
        b += part[at + 1];
    }
    plain[lane] = a;
    scaled[lane] = b;
    for (uint reach = 32; reach >= 8; reach /= 2) {
        barrier();
        if (lane < reach) {
            plain[lane] += plain[lane + reach];
            scaled[lane] += scaled[lane + reach];
        }
    }
    if (lane >= 8 || !inside)
        return;
    a = plain[lane];
    b = scaled[lane];
    stats[base[1] + 4 * columns + column] = a;
    stats[base[1] + 5 * columns + column] = b;
    if (WRITE_GAMMA != 0)
        dgamma[base[2] + column] = WRITE_GAMMA == 2 ? dgamma[base[2] + column] + b : b;
    if (WRITE_BETA != 0)
        dbeta[base[3] + column] = WRITE_BETA == 2 ? dbeta[base[3] + column] + a : a;
}
