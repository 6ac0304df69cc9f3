#version 450
// random_affine.comp - each sample's picture under a random rotation, zoom or translation: output pixel (i, j) reads the input at (m0*i + m1*j + m2,
// m3*i + m4*j + m5), i along the width. One vec4 of channels per invocation. KIND: 0 rotation, 1 zoom, 2 translation; FILL, what lies outside: 0 reflect,
// 1 wrap, 2 constant, 3 nearest; BILINEAR 0: the nearest pixel.
// Source of the matrices: keras/src/layers/preprocessing/image_preprocessing/; of the positions outside and of the interpolation: ImageProjectiveTransformV3,
// tensorflow/core/kernels/image/image_ops.h.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "lanes.glsl"
#include "picture.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint KIND = 0;
layout(constant_id = 1) const uint FILL = 0;
layout(constant_id = 2) const uint BILINEAR = 1;
layout(constant_id = 3) const uint SAME = 0; // zoom: the width by the height's draw

layout(binding = 0) readonly buffer X { vec4 x[]; };
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(binding = 2) readonly buffer Step { StepParams params[]; };
layout(push_constant) uniform Push {
    uint base[3]; uint items;
    uint c, columns, height, width;
    uint stream, first_sample;
    float lower[2], range[2];     // of the height's and the width's factor; rotation: [0], in turns
    float fill;
    float turn_x, turn_y;         // FILL reflect: 1 / (2 * size); wrap: 1 / (size - 1)
};

// Where a position outside 0 .. size - 1 is read. The whole part of a quotient is found with the reciprocal `turn` and put right.
float map_position(float at, float size, float turn) {
    float last = size - 1.0;
    if (FILL == 2)
        return at;
    if (FILL != 3 && size > 1.0 && (at < 0.0 || at > last)) {
        float period = FILL == 0 ? 2.0 * size : last, from = abs(at);
        precise float whole = floor(from * turn);
        precise float covered = whole * period;
        if (covered > from)
            whole -= 1.0;
        covered = (whole + 1.0) * period;
        if (covered <= from)
            whole += 1.0;
        if (FILL == 0) {
            precise float off = period * whole;
            precise float in_period = from - off;
            // Left of 0 the mirror image begins one pixel further: -0.5 reads -0.5.
            if (at < 0.0)
                at = in_period > size ? period - in_period : in_period - 1.0;
            else
                at = in_period >= size ? period - in_period - 1.0 : in_period;
        } else {
            precise float off = size * (at < 0.0 ? whole + 1.0 : whole);
            precise float moved = at < 0.0 ? at + off : at - off;
            at = moved;
        }
    }
    return clamp(at, 0.0, last);
}

// The pixel's vec4, or the fill outside the picture.
vec4 pixel(uint first, uint column, float row, float at, vec4 fill_vector) {
    if (!(row >= 0.0 && row < float(height) && at >= 0.0 && at < float(width)))
        return fill_vector;
    return x[first + (uint(row) * width + uint(at)) * columns + column];
}

// To the nearest integer, halves away from zero.
float nearest(float v) {
    float below = floor(v), rest = v - below;
    return rest > 0.5 || (rest == 0.5 && v >= 0.0) ? below + 1.0 : below;
}

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint position = i / columns, column = i % columns, sample_pixels = height * width, sample_of_piece = position / sample_pixels;
    uint inside = position - sample_of_piece * sample_pixels;
    float oy = float(inside / width), ox = float(inside % width), h = float(height), w = float(width);
    StepParams p = params[base[2] / 4];
    vec4 u = tlvk_philox_uniform(p.seed, uvec4(first_sample + sample_of_piece, stream, p.step));
    float first = tlvk_uniform(u.x, lower[0], range[0]), second = SAME != 0 ? first : tlvk_uniform(u.y, lower[1], range[1]);
    precise float px, py;
    if (KIND == 0) {
        vec2 turn = tlvk_cos_sin(first);
        float cx = (w - 1.0) * 0.5, cy = (h - 1.0) * 0.5;
        precise float xx = cx * turn.x;
        precise float xy = cy * turn.y;
        precise float yx = cx * turn.y;
        precise float yy = cy * turn.x;
        precise float m2 = cx - xx;
        m2 = m2 + xy;
        precise float m5 = cy - yx;
        m5 = m5 - yy;
        precise float a = turn.x * ox;
        precise float b = turn.y * oy;
        px = a - b;
        px = px + m2;
        a = turn.y * ox;
        b = turn.x * oy;
        py = a + b;
        py = py + m5;
    } else if (KIND == 1) {
        precise float ax = 1.0 - second;
        ax = ax * ((w - 1.0) * 0.5);
        precise float ay = 1.0 - first;
        ay = ay * ((h - 1.0) * 0.5);
        px = second * ox;
        px = px + ax;
        py = first * oy;
        py = py + ay;
    } else {
        precise float dx = second * w;
        precise float dy = first * h;
        px = ox - dx;
        py = oy - dy;
    }
    float at_x = map_position(px, w, turn_x), at_y = map_position(py, h, turn_y);
    vec4 fill_vector = tlvk_keep_channels(vec4(fill), column, c);
    uint start = base[0] + sample_of_piece * sample_pixels * columns;
    vec4 v;
    if (BILINEAR == 0) {
        v = pixel(start, column, nearest(at_y), nearest(at_x), fill_vector);
    } else {
        float x0 = floor(at_x), y0 = floor(at_y), x1 = x0 + 1.0, y1 = y0 + 1.0;
        vec4 upper = (x1 - at_x) * pixel(start, column, y0, x0, fill_vector) + (at_x - x0) * pixel(start, column, y0, x1, fill_vector);
        vec4 below = (x1 - at_x) * pixel(start, column, y1, x0, fill_vector) + (at_x - x0) * pixel(start, column, y1, x1, fill_vector);
        v = (y1 - at_y) * upper + (at_y - y0) * below;
    }
    y[base[1] + i] = v;
}
