#version 450
// y = (x - mean[c]) * scale[c] + shift[c], with the vectors of batch_norm_finish.comp. One vec4 per invocation.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) readonly buffer Stats { vec4 stats[]; };
layout(binding = 2) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint base[3]; uint items; uint columns; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint at = base[1] + i % columns;
    y[base[2] + i] = (x[base[0] + i] - stats[at]) * stats[at + 2 * columns] + stats[at + 3 * columns];
}
