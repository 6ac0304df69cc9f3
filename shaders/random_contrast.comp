#version 450
// random_contrast.comp - y = clamp((x - mean) * f + mean, least, most) with a factor f per sample and the mean of each channel over the sample's pixels;
// BACKWARD: with g = dy where y was not cut, dx = f * g + (1 - f) * mean(g), or dx += it.
// A workgroup takes one vec4 column of one sample: 128 invocations share its pixels, and their sums join in a fixed tree.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "lanes.glsl"
#include "picture.glsl"

layout(local_size_x = 128) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(constant_id = 1) const uint BACKWARD = 0;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) readonly buffer Dy { vec4 dy[]; };
layout(binding = 2) readonly buffer Step { StepParams params[]; };
layout(binding = 3) buffer Y { vec4 y[]; };
layout(push_constant) uniform Push {
    uint base[4]; uint items;
    uint c, columns, pixels;
    uint stream, first_sample;
    float lower, range;        // of f
    float least, most;
};

shared vec4 part[128];

vec4 mean_of(vec4 v, uint lane) {
    barrier();
    part[lane] = v;
    for (uint reach = 64; reach > 0; reach /= 2) {
        barrier();
        if (lane < reach)
            part[lane] += part[lane + reach];
    }
    barrier();
    return part[0] / float(pixels);
}

void main() {
    uint group = tlvk_group_x(), lane = gl_LocalInvocationID.x;
    if (group >= items)
        return;
    uint n = group / columns, column = group % columns, first = n * pixels * columns + column;
    StepParams p = params[base[2] / 4];
    float f = tlvk_uniform(tlvk_philox_uniform(p.seed, uvec4(first_sample + n, stream, p.step)).x, lower, range);
    vec4 sum = vec4(0.0);
    for (uint k = lane; k < pixels; k += 128)
        sum += x[base[0] + first + k * columns];
    vec4 mean = mean_of(sum, lane), shared_part = vec4(0.0);
    if (BACKWARD != 0) {
        sum = vec4(0.0);
        for (uint k = lane; k < pixels; k += 128) {
            vec4 v = (x[base[0] + first + k * columns] - mean) * f + mean;
            sum += mix(vec4(0.0), dy[base[1] + first + k * columns], equal(v, clamp(v, least, most)));
        }
        shared_part = mean_of(sum, lane) * (1.0 - f);
    }
    for (uint k = lane; k < pixels; k += 128) {
        uint at = first + k * columns;
        vec4 v = (x[base[0] + at] - mean) * f + mean, cut = clamp(v, least, most);
        v = BACKWARD != 0 ? mix(vec4(0.0), dy[base[1] + at], equal(v, cut)) * f + shared_part : cut;
        v = tlvk_keep_channels(v, column, c);
        y[base[3] + at] = ACCUMULATE != 0 ? y[base[3] + at] + v : v;
    }
}
