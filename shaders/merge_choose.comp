#version 450
// The gradient of a maximum or minimum: input x takes what is left of dy where it is y, and nothing is left there for the inputs behind it.
// One vec4 of y per invocation. SHARE 0: nobody wants what x takes.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(constant_id = 1) const uint SHARE = 1;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) readonly buffer Y { vec4 y[]; };
layout(binding = 2) buffer Left { vec4 left[]; };
layout(binding = 3) buffer Share { vec4 share[]; };
// Strides of x as in merge.comp.
layout(push_constant) uniform Push { uint base[4]; uint items; uint columns, w, h; uint x_stride[4]; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, t = i / columns;
    vec4 p = x[base[0] + t / (w * h) * x_stride[0] + t / w % h * x_stride[1] + t % w * x_stride[2] + column * x_stride[3]];
    if (x_stride[3] == 0)
        p = p.xxxx;
    bvec4 hit = equal(p, y[base[1] + i]);
    vec4 rest = left[base[2] + i];
    if (SHARE != 0) {
        vec4 v = mix(vec4(0.0), rest, hit);
        share[base[3] + i] = ACCUMULATE != 0 ? share[base[3] + i] + v : v;
    }
    left[base[2] + i] = mix(rest, vec4(0.0), hit);
}
