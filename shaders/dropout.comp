#version 450
// dropout.comp - y = x * scale + shift where the element's random word is at least `threshold`, else `dropped`; y += ... with ACCUMULATE. The backward
// pass is the same with dy for x, shift 0 and dropped 0. x and y are rows of columns vec4 each.
// Random words: each element has a draw, whose number is the element's own in dense order (no padding lanes), or with BROADCAST that of the element of
// the noise that is spread over it. Draw e takes word e % 4 of Philox block e / 4, whose counter is (block, stream, step): the mask depends neither on the
// pitch nor on how the batch is cut into pieces.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "lanes.glsl"
#include "step_params.h"
#include "philox.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(constant_id = 1) const uint ALIGNED = 0;   // c is a multiple of 4: a vec4 is one block
layout(constant_id = 2) const uint BROADCAST = 0; // 1: a draw per channel; 2: one for all channels
layout(constant_id = 3) const uint MASK = 0;      // shift or dropped are not 0, and c is no multiple of 4

layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) buffer Y { vec4 y[]; };
layout(binding = 2) readonly buffer Step { StepParams params[]; };

layout(push_constant) uniform Push {
    uint x_base, y_base, params_base, items; // bases and items in vec4 units
    uint columns, c, stream;
    uint first_block, first_word;            // of the piece's first draw
    uint threshold;
    float scale, shift, dropped;
    uint rows, width;                        // BROADCAST: of a sample; rows = height * width
    uint sample_draws, row_draws, column_draws; // BROADCAST: draws from one sample, row and column to the next; 0 where they share theirs
};

// Draw of the first channel of vec4 i, counted from the piece's first one.
uint draw_of(uint i) {
    if (BROADCAST == 0)
        return i / columns * c + i % columns * 4;
    uint position = i / columns, inside = position % rows;
    uint base = position / rows * sample_draws + inside / width * row_draws + inside % width * column_draws;
    return BROADCAST == 1 ? base + i % columns * 4 : base;
}

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    StepParams p = params[params_base / 4];
    uint draw = first_word + draw_of(i), block = first_block + draw / 4, skip = draw % 4;
    uvec4 words = tlvk_philox(p.seed, uvec4(block, stream, p.step));
    if (BROADCAST == 2) {
        words = uvec4(words[skip]);
    } else if (ALIGNED == 0 && skip != 0) {
        uvec4 next = tlvk_philox(p.seed, uvec4(block + 1, stream, p.step));
        words = skip == 1 ? uvec4(words.yzw, next.x) : skip == 2 ? uvec4(words.zw, next.xy) : uvec4(words.w, next.xyz);
    }
    bvec4 keep = greaterThanEqual(words, uvec4(threshold));
    vec4 v = mix(vec4(dropped), x[x_base + i] * scale + shift, keep);
    if (scale == 0.0) // rate 1: zero, also of what is not finite
        v = vec4(dropped);
    if (MASK != 0)
        v = tlvk_keep_channels(v, i % columns, c);
    y[y_base + i] = ACCUMULATE != 0 ? y[y_base + i] + v : v;
}
