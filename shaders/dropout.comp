#version 450
// dropout.comp - y = x * scale where the element's random word is at least `threshold`, else 0; y += ... with ACCUMULATE. The backward pass is the same
// with dy for x. x and y are rows of columns vec4 each.
// Random words: element e of the batch in dense order (no padding lanes) takes word e % 4 of Philox block e / 4, whose counter is
// (block, stream, step): the mask depends neither on the pitch nor on how the batch is cut into pieces.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "step_params.h"
#include "philox.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(constant_id = 1) const uint ALIGNED = 0; // c is a multiple of 4: a vec4 is one block

layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) buffer Y { vec4 y[]; };
layout(binding = 2) readonly buffer Step { StepParams params[]; };

layout(push_constant) uniform Push {
    uint x_base, y_base, params_base, items; // bases and items in vec4 units
    uint columns, c, stream;
    uint first_block, first_word;            // of the piece's first element
    uint threshold;
    float scale;
};

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    StepParams p = params[params_base / 4];
    uint element = first_word + i / columns * c + i % columns * 4, block = first_block + element / 4, skip = element % 4;
    uvec4 words = tlvk_philox(p.seed, uvec4(block, stream, p.step));
    if (ALIGNED == 0 && skip != 0) {
        uvec4 next = tlvk_philox(p.seed, uvec4(block + 1, stream, p.step));
        words = skip == 1 ? uvec4(words.yzw, next.x) : skip == 2 ? uvec4(words.zw, next.xy) : uvec4(words.w, next.xyz);
    }
    bvec4 keep = greaterThanEqual(words, uvec4(threshold));
    vec4 v = mix(vec4(0.0), x[x_base + i] * scale, keep);
    if (scale == 0.0) // rate 1: zero, also of what is not finite
        v = vec4(0.0);
    y[y_base + i] = ACCUMULATE != 0 ? y[y_base + i] + v : v;
}
