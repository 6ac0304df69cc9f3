#version 450
// dx = sum of dy over the pixels that a pixel of x went to, by its share in each. One vec4 of dx per invocation.
//@ variant nearest -DBILINEAR=0
//@ variant bilinear -DBILINEAR=1
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "upsampling2d.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(binding = 0) readonly buffer Dy { vec4 dy[]; };
layout(binding = 1) buffer Dx { vec4 dx[]; };
layout(push_constant) uniform Push { uint base[2]; uint items; uint columns, w, h, sx, sy; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, t = i / columns, iy = t / w % h, ix = t % w, n = t / (w * h);
    uint y0 = iy * sy, y1 = y0 + sy, x0 = ix * sx, x1 = x0 + sx;
#if BILINEAR
    // Pixels of y up to half a pixel of x beyond its own have a share too.
    y0 -= min(sy, y0);
    x0 -= min(sx, x0);
    y1 = min(y1 + sy, h * sy);
    x1 = min(x1 + sx, w * sx);
#endif
    vec4 sum = vec4(0.0);
    for (uint oy = y0; oy < y1; oy++) {
        vec4 line = vec4(0.0);
        for (uint ox = x0; ox < x1; ox++) {
            vec4 v = dy[base[0] + ((n * h * sy + oy) * w * sx + ox) * columns + column];
#if BILINEAR
            v *= share_of(ix, ox, sx, w);
#endif
            line += v;
        }
#if BILINEAR
        line *= share_of(iy, oy, sy, h);
#endif
        sum += line;
    }
    dx[base[1] + i] = ACCUMULATE != 0 ? dx[base[1] + i] + sum : sum;
}
