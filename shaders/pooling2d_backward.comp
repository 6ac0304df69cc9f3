#version 450
// Gradient of pooling, gathered: one vec4 of one input pixel per invocation adds what each window over it passes down.
// Maximum: the whole gradient of a window goes to its first maximum in row-major order, as in TensorFlow's CPU kernel; which that is, is
// found again from x, so that nothing is kept from forward. Mean: an equal share to each element inside the image.
//@ variant max -DMAXIMUM=1
//@ variant average -DMAXIMUM=0
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) readonly buffer Dy { vec4 dy[]; };
layout(binding = 2) buffer Dx { vec4 dx[]; };
layout(push_constant) uniform Push {
    uint base[3]; uint items; uint columns; int h, w, oh, ow, kh, kw, stride_h, stride_w, top, left;
};

// 1 in the lanes where pixel (py, px), whose value is `mine`, is the first maximum of the window [y0, y1) x [x0, x1).
vec4 is_first(vec4 mine, uint n, uint column, int py, int px, int y0, int y1, int x0, int x1) {
    vec4 keep = vec4(1.0);
#if MAXIMUM
    for (int iy = y0; iy < y1; iy++) {
        uint at = base[0] + ((n * uint(h) + uint(iy)) * uint(w) + uint(x0)) * columns + column;
        for (int ix = x0; ix < x1; ix++, at += columns) {
            vec4 v = x[at];
            bool earlier = iy < py || (iy == py && ix < px);
            keep *= earlier ? vec4(greaterThan(mine, v)) : vec4(greaterThanEqual(mine, v));
        }
    }
#endif
    return keep;
}

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, t = i / columns;
    int px = int(t % uint(w));
    t /= uint(w);
    int py = int(t % uint(h));
    uint n = t / uint(h);
    // Windows [first, last] whose extent covers the pixel.
    int first_y = max(py + top - kh + stride_h, 0) / stride_h, last_y = min((py + top) / stride_h, oh - 1);
    int first_x = max(px + left - kw + stride_w, 0) / stride_w, last_x = min((px + left) / stride_w, ow - 1);
    vec4 mine = MAXIMUM != 0 ? x[base[0] + i] : vec4(0.0);
    vec4 sum = vec4(0.0);
    for (int oy = first_y; oy <= last_y; oy++)
        for (int ox = first_x; ox <= last_x; ox++) {
            int y0 = max(oy * stride_h - top, 0), y1 = min(oy * stride_h - top + kh, h);
            int x0 = max(ox * stride_w - left, 0), x1 = min(ox * stride_w - left + kw, w);
            vec4 g = dy[base[1] + ((n * uint(oh) + uint(oy)) * uint(ow) + uint(ox)) * columns + column];
            sum += MAXIMUM != 0 ? g * is_first(mine, n, column, py, px, y0, y1, x0, x1) : g / float((y1 - y0) * (x1 - x0));
        }
    dx[base[2] + i] = ACCUMULATE != 0 ? dx[base[2] + i] + sum : sum;
}
