#version 450
// loss_finish.comp - sums the partial sums of loss.comp in fixed order and writes the metrics words (enum of engine/ops/loss.h).
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x_id = 20) in;
layout(constant_id = 20) const uint WG = 256; // 128 on devices of no more

const uint WORD_LOSS = 0, WORD_WEIGHT = 1, WORD_CORRECT = 2, WORD_COUNT = 3, WORD_SQUARED = 4;

layout(binding = 0) readonly buffer Partials { vec4 partials[]; };
layout(binding = 1) buffer Metrics { float metrics[]; };
layout(push_constant) uniform Push {
    uint count, partial, metrics_base; // partial sums; where they and the words begin, in vec4 units
    float rows_per_sample, predictions;
};

shared vec4 shared_sums[WG];

void main() {
    uint i = gl_LocalInvocationID.x;
    vec4 sums = vec4(0.0);
    for (uint k = i; k < count; k += WG)
        sums += partials[partial + k];
    shared_sums[i] = sums;
    barrier();
    for (uint half_width = WG / 2; half_width > 0; half_width /= 2) {
        if (i < half_width)
            shared_sums[i] += shared_sums[i + half_width];
        barrier();
    }
    if (i == 0) {
        uint m = metrics_base * 4;
        metrics[m + WORD_LOSS] = shared_sums[0].x / rows_per_sample;
        metrics[m + WORD_WEIGHT] = shared_sums[0].y;
        metrics[m + WORD_CORRECT] = shared_sums[0].z;
        metrics[m + WORD_COUNT] = predictions;
        metrics[m + WORD_SQUARED] = shared_sums[0].w;
    }
}
