#version 450
// random_flip.comp - y is x, or x mirrored (MODE & 1: left and right, & 2: top and bottom) in half of the samples; y += it with ACCUMULATE. One vec4 per
// invocation. Its own gradient.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "picture.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(constant_id = 1) const uint MODE = 1;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) buffer Y { vec4 y[]; };
layout(binding = 2) readonly buffer Step { StepParams params[]; };
layout(push_constant) uniform Push { uint base[3]; uint items; uint columns, height, width; uint stream, first_sample; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint position = i / columns, column = i % columns, row = position / width % height, at = position % width, sample_of_piece = position / (width * height);
    StepParams p = params[base[2] / 4];
    if (tlvk_philox_uniform(p.seed, uvec4(first_sample + sample_of_piece, stream, p.step)).x <= 0.5) {
        if ((MODE & 1) != 0)
            at = width - 1 - at;
        if ((MODE & 2) != 0)
            row = height - 1 - row;
    }
    vec4 v = x[base[0] + ((sample_of_piece * height + row) * width + at) * columns + column];
    y[base[1] + i] = ACCUMULATE != 0 ? y[base[1] + i] + v : v;
}
