#version 450
// Copies dense element e of each sample from rows of one pitch to rows of another: Flatten and Reshape where channels are padded.
// One vec4 of the target per invocation.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(binding = 0) readonly buffer From { float source[]; };
layout(binding = 1) buffer To { vec4 target[]; };
layout(push_constant) uniform Push { uint base[2]; uint items; uint from_sample, from_c, from_pitch; uint to_rows, to_c, to_columns; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % to_columns, t = i / to_columns, row = t % to_rows, n = t / to_rows;
    vec4 v = vec4(0.0);
    for (uint k = 0; k < 4; k++) {
        uint channel = 4 * column + k, e = row * to_c + channel;
        if (channel < to_c)
            v[k] = source[4 * base[0] + n * from_sample + e / from_c * from_pitch + e % from_c];
    }
    target[base[1] + i] = ACCUMULATE != 0 ? target[base[1] + i] + v : v;
}
