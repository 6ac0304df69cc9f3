#version 450
// forward: y = x > 0 ? x : alpha * x. backward: dx = dy * (x > 0 ? 1 : x < 0 ? alpha : 0), zero at zero as TensorFlow's relu has it.
// alpha goes with its strides, 0 along an axis that it shares; one vec4 of y per invocation.
//@ variant forward -DBACKWARD=0
//@ variant backward -DBACKWARD=1
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) readonly buffer Alpha { vec4 alpha[]; };
#if BACKWARD
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(binding = 2) readonly buffer Dy { vec4 dy[]; };
layout(binding = 3) buffer Dx { vec4 dx[]; };
layout(push_constant) uniform Push { uint base[4]; uint items; uint columns, w, h, stride_y, stride_x, stride_c; };
#else
layout(binding = 2) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint base[3]; uint items; uint columns, w, h, stride_y, stride_x, stride_c; };
#endif

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, t = i / columns;
    vec4 a = alpha[base[1] + t / w % h * stride_y + t % w * stride_x + column * stride_c], v = x[base[0] + i];
    if (stride_c == 0)
        a = a.xxxx;
#if BACKWARD
    vec4 slope = mix(mix(vec4(0.0), a, lessThan(v, vec4(0.0))), vec4(1.0), greaterThan(v, vec4(0.0)));
    v = dy[base[2] + i] * slope;
    dx[base[3] + i] = ACCUMULATE != 0 ? dx[base[3] + i] + v : v;
#else
    y[base[2] + i] = mix(a * v, v, greaterThan(v, vec4(0.0)));
#endif
}
