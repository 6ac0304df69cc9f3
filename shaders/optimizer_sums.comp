#version 450
// optimizer_sums.comp - per block of one chunk: the sum of squared gradients (regularizers' part included) and the regularization penalty.
// Leaves (squares, penalty, the variable's number, 0) per block; each sum is a tree of fixed shape.
//@ variant -
//@ variant few -DTEXEL
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "optimizer.glsl"
#include "loss_scaling.glsl"

const uint WG = 64; // a block is 256 vec4: four each
layout(local_size_x = 64) in;
layout(constant_id = 0) const uint SQUARES = 0;     // squared gradients are wanted
layout(constant_id = 1) const uint REGULARIZED = 0; // the table has l1 or l2: the penalty is wanted

layout(constant_id = 2) const uint SCALED = 0;      // the gradients are multiplied by the loss scale

layout(binding = 0) readonly buffer W { vec4 w[]; };
layout(binding = 1) readonly buffer Dw { vec4 dw[]; };
TLVK_READ_BUFFER(2, table); // two for each block
layout(binding = 3) buffer Sums { vec4 sums[]; };
layout(binding = 4) readonly buffer Scaling { float scaling[]; };

layout(push_constant) uniform Push { uint blocks, w_base, dw_base, table_base, sums_base, scaling_base; }; // vec4 units

shared vec2 shared_sums[WG];

void main() {
    uint block = tlvk_group_x(), lane = gl_LocalInvocationID.x;
    if (block >= blocks)
        return;
    vec4 numbers = TLVK_READ(table, int(table_base + 2 * block));
    BlockRow row = BlockRow(numbers.x, numbers.y, numbers.z, numbers.w, TLVK_READ(table, int(table_base + 2 * block + 1)).x, uint[](0u, 0u, 0u));
    vec2 s = vec2(0.0);
    for (uint k = lane; k < TLVK_BLOCK_VEC4; k += WG) {
        uint i = block * TLVK_BLOCK_VEC4 + k;
        vec4 weight = vec4(0.0);
        if (REGULARIZED != 0)
            weight = w[w_base + i];
        if (SQUARES != 0) {
            vec4 g = dw[dw_base + i];
            if (SCALED != 0)
                g *= scaling[scaling_base * 4 + TLVK_INVERSE];
            if (REGULARIZED != 0)
                g = tlvk_regularized(g, weight, row);
            s.x += dot(g, g);
        }
        if (REGULARIZED != 0)
            s.y += row.l1 * dot(abs(weight), vec4(1.0)) + row.l2 * dot(weight, weight);
    }
    shared_sums[lane] = s;
    barrier();
    for (uint half_width = WG / 2; half_width > 0; half_width /= 2) {
        if (lane < half_width)
            shared_sums[lane] += shared_sums[lane + half_width];
        barrier();
    }
    if (lane == 0)
        sums[sums_base + block] = vec4(shared_sums[0], row.variable, 0.0);
}
