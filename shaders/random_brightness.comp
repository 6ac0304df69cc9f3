#version 450
// random_brightness.comp - y = clamp(x + delta, least, most) with a delta per sample; BACKWARD: dx = dy where x + delta is within, 0 elsewhere, or dx += it.
// One vec4 per invocation.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "lanes.glsl"
#include "picture.glsl"

layout(local_size_x = 64) in;
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
    float lower, range;        // of the factor
    float least, most;
};

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    StepParams p = params[base[2] / 4];
    float u = tlvk_philox_uniform(p.seed, uvec4(first_sample + i / columns / pixels, stream, p.step)).x;
    precise float delta = tlvk_uniform(u, lower, range) * (most - least);
    vec4 v = x[base[0] + i] + delta;
    if (BACKWARD != 0)
        v = mix(vec4(0.0), dy[base[1] + i], equal(v, clamp(v, least, most)));
    else
        v = tlvk_keep_channels(clamp(v, least, most), i % columns, c);
    y[base[3] + i] = ACCUMULATE != 0 ? y[base[3] + i] + v : v;
}
