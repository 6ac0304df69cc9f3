#version 450
// y = x with every pixel sy x sx times as large. nearest: repeated. bilinear: the pixel of y at (i + 0.5) / s - 0.5 of x, between its two
// neighbours on each axis, x's border going on outwards (half-pixel centers, no antialiasing). One vec4 of y per invocation.
//@ variant nearest -DBILINEAR=0
//@ variant bilinear -DBILINEAR=1
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "upsampling2d.glsl"

layout(local_size_x = 64) in;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint base[2]; uint items; uint columns, w, h, sx, sy; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, t = i / columns, oy = t / (w * sx) % (h * sy), ox = t % (w * sx), n = t / (w * sx * h * sy);
#if BILINEAR
    Neighbours v = neighbours_of(oy, sy, h), u = neighbours_of(ox, sx, w);
    uint top = base[0] + (n * h + v.low) * w * columns + column, bottom = base[0] + (n * h + v.high) * w * columns + column;
    vec4 a = mix(x[top + u.low * columns], x[top + u.high * columns], u.share), b = mix(x[bottom + u.low * columns], x[bottom + u.high * columns], u.share);
    y[base[1] + i] = mix(a, b, v.share);
#else
    y[base[1] + i] = x[base[0] + ((n * h + oy / sy) * w + ox / sx) * columns + column];
#endif
}
