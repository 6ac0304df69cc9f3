#version 450
// Maximum or mean over windows; elements outside the image do not count. One vec4 of one output pixel per invocation.
//@ variant max -DMAXIMUM=1
//@ variant average -DMAXIMUM=0
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push {
    uint base[2]; uint items; uint columns; int h, w, oh, ow, kh, kw, stride_h, stride_w, top, left;
};

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, t = i / columns;
    int ox = int(t % uint(ow));
    t /= uint(ow);
    int oy = int(t % uint(oh));
    uint n = t / uint(oh);
    int y0 = max(oy * stride_h - top, 0), y1 = min(oy * stride_h - top + kh, h);
    int x0 = max(ox * stride_w - left, 0), x1 = min(ox * stride_w - left + kw, w);
    vec4 v = vec4(MAXIMUM != 0 ? uintBitsToFloat(0xff800000u) : 0.0);
    for (int iy = y0; iy < y1; iy++) {
        uint at = base[0] + ((n * uint(h) + uint(iy)) * uint(w) + uint(x0)) * columns + column;
        for (int ix = x0; ix < x1; ix++, at += columns)
            v = MAXIMUM != 0 ? max(v, x[at]) : v + x[at];
    }
    y[base[1] + i] = MAXIMUM != 0 ? v : v / float((y1 - y0) * (x1 - x0));
}
