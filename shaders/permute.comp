#version 450
// A tensor with its axes (the batch aside) in another order: every float of `to` comes from where the strides of its axes point to in `from`.
// One vec4 of `to` per invocation; lanes behind the last channel become zero.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(binding = 0) readonly buffer From { float source[]; };
layout(binding = 1) buffer To { vec4 target[]; };
// Of `to`: its axes between batch and channels, last one first, with their sizes; what a step along each means in floats of `from`.
layout(push_constant) uniform Push { uint base[2]; uint items; uint columns, c, axes, sample_stride, channel_stride; uint size[6]; uint stride[6]; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, rest = i / columns, at = 4 * base[0];
    for (uint k = 0; k < axes; k++) {
        at += rest % size[k] * stride[k];
        rest /= size[k];
    }
    at += rest * sample_stride;
    vec4 v = vec4(0.0);
    for (uint lane = 0; lane < 4; lane++)
        if (4 * column + lane < c)
            v[lane] = source[at + (4 * column + lane) * channel_stride];
    target[base[1] + i] = ACCUMULATE != 0 ? target[base[1] + i] + v : v;
}
