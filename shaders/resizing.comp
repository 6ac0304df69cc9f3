#version 450
// resizing.comp - y is a window of x, resized: output row o reads the window's row (o + 0.5) * scale - 0.5 between its neighbours (BILINEAR), or the row
// floor((o + 0.5) * scale) (a scale of 1: a crop). RANDOM: the window's corner is drawn for the whole batch. One vec4 per invocation.
// Source: HalfPixelScaler of tensorflow/core/util/image_resizer_state.h.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "picture.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint BILINEAR = 1;
layout(constant_id = 1) const uint RANDOM = 0;
layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(binding = 2) readonly buffer Step { StepParams params[]; };
layout(push_constant) uniform Push {
    uint base[3]; uint items;
    uint columns, height, width;         // of x
    uint out_height, out_width;
    uint top, left, rows, row_length;    // the window; RANDOM: top and left are the numbers of corners there are
    float scale_y, scale_x;
    uint stream;
};

float position(uint o, float scale) {
    precise float at = (float(o) + 0.5) * scale;
    return at;
}

// mix may be a + (b - a) * part, which errs by a where b is what is left of it (SwiftShader, 2026-11-21).
vec4 between(vec4 a, vec4 b, float part) {
    return a * (1.0 - part) + b * part;
}

uint corner(float u, uint count) {
    precise float at = u * float(count);
    return min(uint(at), count - 1);
}

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, at = i / columns, ox = at % out_width, oy = at / out_width % out_height, n = at / out_width / out_height;
    uint y_first = top, x_first = left;
    if (RANDOM != 0) {
        StepParams p = params[base[2] / 4];
        vec4 u = tlvk_philox_uniform(p.seed, uvec4(0, stream, p.step));
        y_first = corner(u.x, top);
        x_first = corner(u.y, left);
    }
    uint first = base[0] + ((n * height + y_first) * width + x_first) * columns + column;
    float py = position(oy, scale_y), px = position(ox, scale_x);
    vec4 v;
    if (BILINEAR == 0) {
        v = x[first + (min(uint(py), rows - 1) * width + min(uint(px), row_length - 1)) * columns];
    } else {
        py -= 0.5;
        px -= 0.5;
        float fy = floor(py), fx = floor(px);
        uint y0 = uint(max(fy, 0.0)), y1 = min(uint(ceil(py)), rows - 1), x0 = uint(max(fx, 0.0)), x1 = min(uint(ceil(px)), row_length - 1);
        vec4 upper = between(x[first + (y0 * width + x0) * columns], x[first + (y0 * width + x1) * columns], px - fx);
        vec4 lower = between(x[first + (y1 * width + x0) * columns], x[first + (y1 * width + x1) * columns], px - fx);
        v = between(upper, lower, py - fy);
    }
    y[base[1] + i] = v;
}
