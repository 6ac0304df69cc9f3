#version 450
// Rows of `columns` vec4 normalized on their own: 8 rows per workgroup, 8 invocations each, two passes over the row for mean and variance,
// whose sums join in a fixed order.
// forward: y = (x - mean) * rstd * gamma + beta.
// statistics: mean and rstd of each row, two floats.
// backward: dx = rstd * (g - mean(g) - xhat * mean(g * xhat)), g = dy * gamma, xhat = (x - mean) * rstd.
//@ variant forward -DFORWARD
//@ variant statistics -DSTATISTICS
//@ variant backward -DBACKWARD
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "lanes.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint HAS_GAMMA = 1;
layout(binding = 0) readonly buffer X { vec4 x[]; };
#if defined(FORWARD)
layout(constant_id = 1) const uint HAS_BETA = 1;
layout(binding = 1) readonly buffer Gamma { vec4 gamma[]; };
layout(binding = 2) readonly buffer Beta { vec4 beta[]; };
layout(binding = 3) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint base[4]; uint items; uint columns, c; float epsilon; };
#elif defined(STATISTICS)
layout(binding = 1) writeonly buffer Stats { vec2 stats[]; };
layout(push_constant) uniform Push { uint base[2]; uint items; uint columns, c; float epsilon; };
#else
layout(constant_id = 1) const uint ACCUMULATE = 0;
layout(binding = 1) readonly buffer Dy { vec4 dy[]; };
layout(binding = 2) readonly buffer Gamma { vec4 gamma[]; };
layout(binding = 3) buffer Dx { vec4 dx[]; };
layout(push_constant) uniform Push { uint base[4]; uint items; uint columns, c; float epsilon; };
#endif

const uint LANES = 8;
shared vec2 part[64];

// The sums of a row's 8 invocations; every invocation of the workgroup must come here.
vec2 row_sum(vec2 v) {
    uint lane = gl_LocalInvocationID.x, first = lane / LANES * LANES;
    barrier();
    part[lane] = v;
    barrier();
    return ((part[first] + part[first + 1]) + (part[first + 2] + part[first + 3])) + ((part[first + 4] + part[first + 5]) + (part[first + 6] + part[first + 7]));
}

float lane_sum(vec4 v) {
    return (v.x + v.y) + (v.z + v.w);
}

void main() {
    uint lane = gl_LocalInvocationID.x % LANES, row = tlvk_group_x() * (64 / LANES) + gl_LocalInvocationID.x / LANES;
    // Rows behind the last go along with the barriers.
    bool inside = row < items;
    uint first = inside ? row * columns : 0;
    float sum = 0.0;
    for (uint k = lane; k < columns; k += LANES)
        sum += lane_sum(x[base[0] + first + k]);
    float mean = row_sum(vec2(sum, 0.0)).x / float(c);
    sum = 0.0;
    for (uint k = lane; k < columns; k += LANES) {
        vec4 d = tlvk_keep_channels(x[base[0] + first + k] - mean, k, c);
        sum += lane_sum(d * d);
    }
    float rstd = inversesqrt(row_sum(vec2(sum, 0.0)).x / float(c) + epsilon);
#if defined(FORWARD)
    for (uint k = lane; inside && k < columns; k += LANES) {
        vec4 v = (x[base[0] + first + k] - mean) * rstd;
        if (HAS_GAMMA != 0)
            v *= gamma[base[1] + k];
        if (HAS_BETA != 0)
            v += beta[base[2] + k];
        y[base[3] + first + k] = tlvk_keep_channels(v, k, c);
    }
#elif defined(STATISTICS)
    if (inside && lane == 0)
        stats[2 * base[1] + row] = vec2(mean, rstd);
#else
    vec2 sums = vec2(0.0);
    for (uint k = lane; k < columns; k += LANES) {
        vec4 g = HAS_GAMMA != 0 ? dy[base[1] + first + k] * gamma[base[2] + k] : dy[base[1] + first + k];
        sums += vec2(lane_sum(g), lane_sum(g * (x[base[0] + first + k] - mean)));
    }
    sums = row_sum(sums) / float(c);
    for (uint k = lane; inside && k < columns; k += LANES) {
        vec4 g = HAS_GAMMA != 0 ? dy[base[1] + first + k] * gamma[base[2] + k] : dy[base[1] + first + k];
        vec4 v = rstd * (g - sums.x - (x[base[0] + first + k] - mean) * (rstd * rstd * sums.y));
        v = tlvk_keep_channels(v, k, c);
        dx[base[3] + first + k] = ACCUMULATE != 0 ? dx[base[3] + first + k] + v : v;
    }
#endif
}
