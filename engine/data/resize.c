/* resize.c - hides TensorFlow's sampling rules.
 *
 * Source: tensorflow/core/kernels/image/resize_bilinear_op.cc and resize_nearest_neighbor_op.cc with half_pixel_centers. Every step is float32
 * and in the same order there and here (along the row first, then down the column), so the results are equal to the last bit. The
 * loops are written to be vectorized, which changes no result. */
#include "data/picture.h"

#include <math.h>
#include <stdlib.h>

#define SPARE 4 /* floats behind a row that whole pixels of four lanes may reach */

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

static void to_floats(const uint8_t *restrict in, size_t count, float *restrict out) {
    for (size_t i = 0; i < count; i++) {
        out[i] = (float)in[i];
    }
}

/* One source row interpolated along its length: ow * c floats. A pixel of one or three channels is worked on as four values, so that compilers make
 * it one vector: what is too much at its end is written over by the pixel behind it, and lies past the row's end for the last. */
static inline void row_of(const float *restrict in, int c, int lanes, const tap *restrict taps, int ow, float *restrict out) {
    for (int x = 0; x < ow; x++) {
        const float *left = in + taps[x].lower * c, *right = in + taps[x].upper * c;
        float lerp = taps[x].lerp, *to = out + x * c;
        for (int k = 0; k < lanes; k++) {
            to[k] = left[k] + (right[k] - left[k]) * lerp;
        }
    }
}

/* `floats` has room for the source row and the lanes behind it. */
static void interpolate_row(const uint8_t *in, size_t in_row, int c, const tap *taps, int ow, float *floats, float *out) {
    to_floats(in, in_row, floats);
    switch (c) {
    case 1: row_of(floats, 1, 1, taps, ow, out); break;
    case 3: row_of(floats, 3, 4, taps, ow, out); break;
    default: row_of(floats, 4, 4, taps, ow, out); break;
    }
}

static void between_rows(const float *restrict top, const float *restrict bottom, float lerp, size_t width, float *restrict out) {
    for (size_t i = 0; i < width; i++) {
        out[i] = top[i] + (bottom[i] - top[i]) * lerp;
    }
}

/* Keeps the two interpolated source rows in use, so that an enlargement interpolates each source row once. room: see tlvk__resize. */
static void bilinear(const uint8_t *in, size_t in_row, int c, const tap *rows, const tap *columns, float *out, int oh, int ow, float *room) {
    size_t width = (size_t)ow * (size_t)c;
    float *top = room, *bottom = top + width + SPARE, *floats = bottom + width + SPARE;
    int top_row = -1, bottom_row = -1;
    for (int y = 0; y < oh; y++) {
        if (rows[y].lower != top_row) {
            float *kept = top;
            if (rows[y].lower == bottom_row) {
                top = bottom;
                bottom = kept;
                bottom_row = -1;
            } else {
                interpolate_row(in + (size_t)rows[y].lower * in_row, in_row, c, columns, ow, floats, top);
            }
            top_row = rows[y].lower;
        }
        if (rows[y].upper != bottom_row) {
            interpolate_row(in + (size_t)rows[y].upper * in_row, in_row, c, columns, ow, floats, bottom);
            bottom_row = rows[y].upper;
        }
        between_rows(top, bottom, rows[y].lerp, width, out + (size_t)y * width);
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
        to_floats(in, in_row * (size_t)h, out);
        return TLVK_OK;
    }
    tap *taps = tlvk__calloc((size_t)oh + (size_t)ow, sizeof *taps);
    float *room = tlvk__calloc(2 * ((size_t)ow * (size_t)c + SPARE) + in_row + SPARE, sizeof *room); /* two rows of the sample, one of the source */
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
