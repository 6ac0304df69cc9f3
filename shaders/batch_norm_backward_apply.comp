#version 450
// dx = scale * (dy - (sum dy + xhat * sum(dy * xhat)) / count): the gradient through batch statistics (Ioffe and Szegedy, 2015, section 3).
// One vec4 per invocation.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(binding = 0) readonly buffer Dy { vec4 dy[]; };
layout(binding = 1) readonly buffer X { vec4 x[]; };
layout(binding = 2) readonly buffer Stats { vec4 stats[]; };
layout(binding = 3) readonly buffer Sums { vec4 sums[]; };
layout(binding = 4) buffer Dx { vec4 dx[]; };
layout(push_constant) uniform Push { uint base[5]; uint items; uint columns; float inverse_count; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, at = base[2] + column, sum = base[3] + column;
    vec4 xhat = (x[base[1] + i] - stats[at]) * stats[at + columns];
    vec4 v = stats[at + 2 * columns] * (dy[base[0] + i] - (sums[sum] + xhat * sums[sum + columns]) * inverse_count);
    dx[base[4] + i] = ACCUMULATE != 0 ? dx[base[4] + i] + v : v;
}
