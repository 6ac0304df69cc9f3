#version 450
// sum = a + b, element by element; sum may be a or b. Tensors of equal size, one vec4 per invocation.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0) readonly buffer A { vec4 a[]; };
layout(binding = 1) readonly buffer B { vec4 b[]; };
layout(binding = 2) writeonly buffer Sum { vec4 sum[]; };
layout(push_constant) uniform Push { uint base[3]; uint items; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i < items)
        sum[base[2] + i] = a[base[0] + i] + b[base[1] + i];
}
