/* resize.c - hides TensorFlow's sampling rules.
 *
 * Source: tensorflow/core/kernels/image/resize_bilinear_op.cc and resize_nearest_neighbor_op.cc with half_pixel_centers. Every step is float32
 * and in the same order there and here (along the row first, then down the column), so the results are equal to the last bit. */
#include "data/picture.h"

#include <math.h>
#include <stdlib.h>

/* One output position along one axis: in[lower] + (in[upper] - in[lower]) * lerp. */
typedef struct tap {
    int lower, upper;
    float lerp;
} tap;

static void bilinear_taps(tap *taps, int in, int out) {
    float scale = (float)in / (float)out;
    for (int i = 0; i < out; i++) {
        float at = ((float)i + 0.5f) * scale - 0.5f;
        float floor_at = floorf(at);
        int lower = (int)floor_at, upper = (int)ceilf(at);
        taps[i] = (tap){.lower = TLVK__MAX(lower, 0), .upper = TLVK__MIN(upper, in - 1), .lerp = at - floor_at};
    }
}

static void nearest_taps(tap *taps, int in, int out) {
    float scale = (float)in / (float)out;
    for (int i = 0; i < out; i++) {
        taps[i].lower = TLVK__MIN((int)floorf(((float)i + 0.5f) * scale), in - 1);
    }
}

/* One source row interpolated along its length: ow * c floats. The channel count is a constant in each case, so the inner loop unrolls. */
static inline void row_of(const uint8_t *in, int c, const tap *taps, int ow, float *out) {
    for (int x = 0; x < ow; x++) {
        const uint8_t *left = in + taps[x].lower * c, *right = in + taps[x].upper * c;
        float lerp = taps[x].lerp;
        for (int k = 0; k < c; k++) {
            float a = (float)left[k], b = (float)right[k];
            out[x * c + k] = a + (b - a) * lerp;
        }
    }
}

static void interpolate_row(const uint8_t *in, int c, const tap *taps, int ow, float *out) {
    switch (c) {
    case 1: row_of(in, 1, taps, ow, out); break;
    case 3: row_of(in, 3, taps, ow, out); break;
    default: row_of(in, 4, taps, ow, out); break;
    }
}

/* Keeps the two interpolated source rows in use, so that an enlargement interpolates each source row once. */
static void bilinear(const uint8_t *in, size_t in_row, int c, const tap *rows, const tap *columns, float *out, int oh, int ow, float *room) {
    size_t width = (size_t)ow * (size_t)c;
    float *top = room, *bottom = room + width;
    int top_row = -1, bottom_row = -1;
    for (int y = 0; y < oh; y++) {
        if (rows[y].lower != top_row) {
            float *kept = top;
            if (rows[y].lower == bottom_row) {
                top = bottom;
                bottom = kept;
                bottom_row = -1;
            } else {
                interpolate_row(in + (size_t)rows[y].lower * in_row, c, columns, ow, top);
            }
            top_row = rows[y].lower;
        }
        if (rows[y].upper != bottom_row) {
            interpolate_row(in + (size_t)rows[y].upper * in_row, c, columns, ow, bottom);
            bottom_row = rows[y].upper;
        }
        float lerp = rows[y].lerp, *row = out + (size_t)y * width;
        for (size_t i = 0; i < width; i++) {
            row[i] = top[i] + (bottom[i] - top[i]) * lerp;
        }
    }
}

static void nearest(const uint8_t *in, size_t in_row, int c, const tap *rows, const tap *columns, float *out, int oh, int ow) {
    for (int y = 0; y < oh; y++) {
        const uint8_t *row = in + (size_t)rows[y].lower * in_row;
        for (int x = 0; x < ow; x++) {
            for (int k = 0; k < c; k++) {
                *out++ = (float)row[columns[x].lower * c + k];
            }
        }
    }
}

tlvk_status tlvk__resize(tlvk_resize method, const uint8_t *in, int h, int w, int c, float *out, int oh, int ow) {
    size_t in_row = (size_t)w * (size_t)c;
    if (h == oh && w == ow) {
        for (size_t i = 0; i < in_row * (size_t)h; i++) {
            out[i] = (float)in[i];
        }
        return TLVK_OK;
    }
    tap *taps = tlvk__calloc((size_t)oh + (size_t)ow, sizeof *taps);
    float *room = tlvk__calloc(2 * (size_t)ow * (size_t)c, sizeof *room);
    if (!taps || !room) {
        free(taps);
        free(room);
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to resize a picture to %d x %d", ow, oh);
    }
    if (method == TLVK_NEAREST) {
        nearest_taps(taps, h, oh);
        nearest_taps(taps + oh, w, ow);
        nearest(in, in_row, c, taps, taps + oh, out, oh, ow);
    } else {
        bilinear_taps(taps, h, oh);
        bilinear_taps(taps + oh, w, ow);
        bilinear(in, in_row, c, taps, taps + oh, out, oh, ow, room);
    }
    free(taps);
    free(room);
    return TLVK_OK;
}
