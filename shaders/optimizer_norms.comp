#version 450
// optimizer_norms.comp - one workgroup per variable: adds the squares of the blocks that are its own, in fixed order.
// Leaves the squared norm of variable v in squares[v].
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x_id = 20) in;
layout(constant_id = 20) const uint WG = 256; // 128 on devices of no more

layout(binding = 0) readonly buffer Sums { vec4 sums[]; }; // of optimizer_sums.comp
layout(binding = 1) buffer Squares { float squares[]; };

layout(push_constant) uniform Push { uint blocks, variables, sums_base, squares_base; }; // bases in vec4 units

shared float shared_sum[WG];

void main() {
    uint variable = tlvk_group_x(), lane = gl_LocalInvocationID.x;
    if (variable >= variables)
        return;
    float s = 0.0;
    for (uint k = lane; k < blocks; k += WG) {
        vec4 block = sums[sums_base + k];
        if (uint(block.z) == variable)
            s += block.x;
    }
    shared_sum[lane] = s;
    barrier();
    for (uint half_width = WG / 2; half_width > 0; half_width /= 2) {
        if (lane < half_width)
            shared_sum[lane] += shared_sum[lane + half_width];
        barrier();
    }
    if (lane == 0)
        squares[squares_base * 4 + variable] = shared_sum[0];
}
