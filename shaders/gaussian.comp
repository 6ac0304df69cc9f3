#version 450
// gaussian.comp - y = x + amount * z, or x * (1 + amount * z) with FACTOR, or y += it, where z is normal.
// Element e of the batch in dense order (no padding lanes) takes number e % 4 of the four that Box and Muller's transform makes of Philox block e / 4, whose
// counter is (block, stream, step). One vec4 per invocation.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "lanes.glsl"
#include "picture.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(constant_id = 1) const uint FACTOR = 0;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) buffer Y { vec4 y[]; };
layout(binding = 2) readonly buffer Step { StepParams params[]; };
layout(push_constant) uniform Push { uint base[3]; uint items; uint c, columns, rows; uint stream, first_sample; float amount; };

// Natural logarithm of k / 2^24 for k in 1 .. 2^24, by the series of log((1 + s) / (1 - s)): the built-in one may be off by more than the value near 1.
float log_share(uint k) {
    uint bits = floatBitsToUint(float(k));
    int e = int(bits >> 23) - 151;
    float m = uintBitsToFloat((bits & 0x7FFFFFu) | 0x3F800000u);
    if (m > 1.4142135) {
        m *= 0.5;
        e++;
    }
    float f = m - 1.0, s = f / (2.0 + f), ss = s * s;
    return float(e) * 0.69314718 + 2.0 * s * (1.0 + ss * (0.33333333 + ss * (0.2 + ss * (0.14285714 + ss * 0.11111111))));
}

vec2 pair(uvec2 words) {
    return sqrt(-2.0 * log_share((words.x >> 8) + 1)) * tlvk_cos_sin(float(words.y >> 8) * (1.0 / 16777216.0));
}

vec4 normals(StepParams p, uint block) {
    uvec4 words = tlvk_philox(p.seed, uvec4(block, stream, p.step));
    return vec4(pair(words.xy), pair(words.zw));
}

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    StepParams p = params[base[2] / 4];
    uint column = i % columns, element = (first_sample * rows + i / columns) * c + column * 4, skip = element % 4;
    vec4 z = normals(p, element / 4);
    if (skip != 0) {
        vec4 next = normals(p, element / 4 + 1);
        z = skip == 1 ? vec4(z.yzw, next.x) : skip == 2 ? vec4(z.zw, next.xy) : vec4(z.w, next.xyz);
    }
    vec4 v = x[base[0] + i];
    v = FACTOR != 0 ? v * (1.0 + amount * z) : tlvk_keep_channels(v + amount * z, column, c);
    y[base[1] + i] = ACCUMULATE != 0 ? y[base[1] + i] + v : v;
}
