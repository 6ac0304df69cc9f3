/* tensor.c - sizes of device tensors, the walk over one that is larger than a binding, and the conversions between dense and padded order. */
#include "ops/tensor.h"

#include <string.h>

static _Thread_local int64_t forced_samples;

void tlvk__force_pieces(int64_t samples) {
    forced_samples = samples;
}

bool tlvk__few_buffers(const tlvk__caps *caps, uint32_t wanted) { return caps->max_storage_buffers < wanted && caps->max_texels > 0; }

uint32_t tlvk__large_group(const tlvk__caps *caps) { return caps->max_invocations >= 256 && caps->max_group_size[0] >= 256 ? 256 : 128; }

/* From sample to sample. */
static uint64_t sample_bytes(const tlvk__tensor *t) {
    return (uint64_t)(t->rows * tlvk__row_vecs(t)) * tlvk__vec_bytes(t);
}

/* Behind the last row of a slice: another's, or nothing. */
static uint64_t behind_bytes(const tlvk__tensor *t) {
    return (uint64_t)(tlvk__row_vecs(t) * TLVK__LANES - t->pitch) * tlvk__number_bytes(t);
}

tlvk_status tlvk__tensor_from_shape(const tlvk__shape *shape, tlvk__tensor *t) {
    char text[128];
    if (shape->rank < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "a tensor without dimensions has no place on the device");
    for (int i = 0; i < shape->rank; i++)
        if (shape->dim[i] < 1)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "a tensor of shape %s has no place on the device: every dimension must be known and at least 1",
                              tlvk__shape_text(shape, text, sizeof text));
    *t = (tlvk__tensor){.n = shape->dim[0], .rows = 1, .c = shape->rank > 1 ? shape->dim[shape->rank - 1] : 1, .shape = *shape};
    bool fits = t->c <= INT64_MAX - TLVK__LANES;
    for (int i = 1; i < shape->rank - 1; i++)
        fits = fits && tlvk__mul_i64(t->rows, shape->dim[i], &t->rows);
    int64_t floats = 0;
    if (fits) {
        t->pitch = tlvk__pitch(t->c);
        fits = tlvk__mul_i64(t->rows, t->pitch, &floats) && tlvk__mul_i64(floats, t->n, &floats) && tlvk__mul_i64(floats, (int64_t)sizeof(float), &floats);
    }
    if (!fits)
        return tlvk__fail(TLVK_ERROR_MEMORY, "a tensor of shape %s is larger than any memory", tlvk__shape_text(shape, text, sizeof text));
    t->h = shape->rank == 4 ? shape->dim[1] : t->rows;
    t->w = shape->rank == 4 ? shape->dim[2] : 1;
    return TLVK_OK;
}

bool tlvk__tensor_bytes(const tlvk__tensor *t, uint64_t *bytes) {
    int64_t total;
    if (!tlvk__mul_i64(t->rows, t->pitch, &total) || !tlvk__mul_i64(total, t->n, &total) || !tlvk__mul_i64(total, (int64_t)tlvk__number_bytes(t), &total))
        return false;
    *bytes = (uint64_t)total;
    return true;
}

/* Byte offset, within its segment's buffer, of sample n0. */
static uint64_t sample_offset(const tlvk__tensor *t, int64_t n0, int64_t *segment) {
    *segment = n0 / t->segment_n;
    return t->segments[*segment].offset + (uint64_t)(n0 - *segment * t->segment_n) * sample_bytes(t);
}

tlvk_status tlvk__next_piece(const tlvk__caps *caps, const tlvk__tensor *const *t, int count, int64_t n, tlvk__piece *p, bool *more) {
    p->n0 = p->n1;
    *more = p->n0 < n;
    if (!*more)
        return TLVK_OK;
    int64_t n1 = forced_samples > 0 ? TLVK__MIN(n, p->n0 + forced_samples) : n;
    for (int i = 0; i < count; i++) {
        if (!t[i])
            continue;
        int64_t segment;
        uint64_t slack = sample_offset(t[i], p->n0, &segment) % tlvk__window_align(caps);
        /* What is fp16 is read as texels, of which a view may hold fewer than a binding has bytes for. */
        uint64_t most = t[i]->half ? TLVK__MIN(caps->max_binding_bytes, caps->max_texels * tlvk__vec_bytes(t[i])) : caps->max_binding_bytes;
        uint64_t room = most - TLVK__MIN(slack, most);
        uint64_t fit = (room + behind_bytes(t[i])) / sample_bytes(t[i]);
        if (fit < 1)
            return tlvk__fail(TLVK_ERROR_MEMORY, "one sample of %lld x %lld floats (%llu bytes) is larger than what the device binds at once (%llu bytes)",
                              (long long)t[i]->rows, (long long)t[i]->pitch, (unsigned long long)sample_bytes(t[i]), (unsigned long long)most);
        n1 = TLVK__MIN(n1, (segment + 1) * t[i]->segment_n);
        if (fit < (uint64_t)(n1 - p->n0))
            n1 = p->n0 + (int64_t)fit;
    }
    p->n1 = n1;
    return TLVK_OK;
}

static tlvk__binding window(const tlvk__caps *caps, tlvk__span span, uint64_t vec_bytes, tlvk__access access, uint32_t *base) {
    uint64_t slack = span.offset % tlvk__window_align(caps);
    *base = (uint32_t)(slack / vec_bytes);
    return (tlvk__binding){.span = {span.buffer, span.offset - slack, span.bytes + slack}, .access = access};
}

tlvk__binding tlvk__span_window(const tlvk__caps *caps, tlvk__span span, tlvk__access access, uint32_t *base) {
    return window(caps, span, TLVK__LANES * sizeof(float), access, base);
}

tlvk__binding tlvk__tensor_window(const tlvk__caps *caps, const tlvk__tensor *t, int64_t n0, int64_t n1, tlvk__access access, uint32_t *base) {
    int64_t segment;
    uint64_t offset = sample_offset(t, n0, &segment);
    tlvk__span span = {t->segments[segment].buffer, offset, (uint64_t)(n1 - n0) * sample_bytes(t) - behind_bytes(t)};
    tlvk__binding b = window(caps, span, tlvk__vec_bytes(t), access, base);
    b.half = t->half;
    return b;
}

/* --- variables ------------------------------------------------------------------------------------------------------------------------ */

/* A variable is `groups` groups of `rows` dense rows of `c`; on the device each group has `padded_rows` rows of pitch(c). */
typedef struct variable_order { int64_t groups, rows, padded_rows, c; } variable_order;

static bool order_of(const tlvk__shape *shape, tlvk__layout layout, variable_order *o) {
    *o = (variable_order){1, 1, 1, 1};
    int r = shape->rank;
    for (int i = 0; i < r; i++)
        if (shape->dim[i] < 1 || shape->dim[i] > INT32_MAX)
            return false;
    if (layout == TLVK__LAYOUT_VECTOR) {
        for (int i = 0; i < r; i++)
            if (!tlvk__mul_i64(o->c, shape->dim[i], &o->c))
                return false;
        return true;
    }
    if (r < 2)
        return false;
    if (layout == TLVK__LAYOUT_MATRIX) {
        o->c = shape->dim[r - 1];
        o->rows = shape->dim[r - 2];
        o->padded_rows = tlvk__pitch(o->rows);
    } else {
        o->c = shape->dim[r - 1] * shape->dim[r - 2];
    }
    for (int i = 0; i < r - 2; i++)
        if (!tlvk__mul_i64(o->groups, shape->dim[i], &o->groups))
            return false;
    return true;
}

tlvk_status tlvk__variable_layout(const tlvk__shape *shape, tlvk__layout layout, tlvk__tensor *t) {
    variable_order o;
    char text[128];
    if (!order_of(shape, layout, &o))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "a variable of shape %s cannot be laid out on the device", tlvk__shape_text(shape, text, sizeof text));
    int64_t rows;
    uint64_t bytes;
    bool fits = tlvk__mul_i64(o.groups, o.padded_rows, &rows) && o.c <= INT64_MAX - TLVK__LANES;
    if (fits) {
        *t = (tlvk__tensor){.n = rows, .rows = 1, .c = o.c, .pitch = tlvk__pitch(o.c), .h = 1, .w = 1};
        fits = tlvk__tensor_bytes(t, &bytes);
    }
    if (!fits)
        return tlvk__fail(TLVK_ERROR_MEMORY, "a variable of shape %s is larger than any memory", tlvk__shape_text(shape, text, sizeof text));
    return TLVK_OK;
}

void tlvk__variable_pack(const tlvk__shape *shape, tlvk__layout layout, const float *dense, float *device) {
    variable_order o;
    if (!order_of(shape, layout, &o))
        return;
    size_t c = (size_t)o.c, pitch = (size_t)tlvk__pitch(o.c);
    for (int64_t g = 0; g < o.groups; g++)
        for (int64_t r = 0; r < o.padded_rows; r++, device += pitch) {
            size_t filled = r < o.rows ? c : 0;
            memcpy(device, dense, filled * sizeof(float));
            memset(device + filled, 0, (pitch - filled) * sizeof(float));
            dense += filled;
        }
}

void tlvk__variable_unpack(const tlvk__shape *shape, tlvk__layout layout, const float *device, float *dense) {
    variable_order o;
    if (!order_of(shape, layout, &o))
        return;
    size_t c = (size_t)o.c, pitch = (size_t)tlvk__pitch(o.c);
    for (int64_t g = 0; g < o.groups; g++, device += pitch * (size_t)(o.padded_rows - o.rows))
        for (int64_t r = 0; r < o.rows; r++, device += pitch, dense += c)
            memcpy(dense, device, c * sizeof(float));
}

void tlvk__activation_pack(const tlvk__tensor *t, int64_t n, const float *dense, float *device) {
    size_t c = (size_t)t->c, pitch = (size_t)t->pitch;
    for (int64_t r = 0; r < n * t->rows; r++, dense += c, device += pitch) {
        memcpy(device, dense, c * sizeof(float));
        memset(device + c, 0, (pitch - c) * sizeof(float));
    }
}

void tlvk__activation_unpack(const tlvk__tensor *t, int64_t n, const float *device, float *dense) {
    size_t c = (size_t)t->c, pitch = (size_t)t->pitch;
    for (int64_t r = 0; r < n * t->rows; r++, dense += c, device += pitch)
        memcpy(dense, device, c * sizeof(float));
}

/* --- blocking transfers, segment by segment --------------------------------------------------------------------------------------------- */

/* Samples of segment i; its span, cut to them. */
static int64_t segment_part(const tlvk__tensor *t, int i, tlvk__span *span) {
    int64_t n = TLVK__MIN(t->segment_n, t->n - i * t->segment_n);
    *span = (tlvk__span){t->segments[i].buffer, t->segments[i].offset, (uint64_t)n * sample_bytes(t)};
    return n;
}

tlvk_status tlvk__tensor_write(tlvk__device *d, const tlvk__tensor *t, const float *padded) {
    for (int i = 0; i < t->segment_count; i++) {
        tlvk__span span;
        int64_t count = segment_part(t, i, &span) * tlvk__sample_floats(t);
        tlvk_status s = t->half ? tlvk__half_write(d, span, (uint64_t)count, padded) : tlvk__span_write(d, span, padded);
        if (s)
            return s;
        padded += count;
    }
    return TLVK_OK;
}

tlvk_status tlvk__tensor_read(tlvk__device *d, const tlvk__tensor *t, float *padded) {
    for (int i = 0; i < t->segment_count; i++) {
        tlvk__span span;
        int64_t count = segment_part(t, i, &span) * tlvk__sample_floats(t);
        tlvk_status s = t->half ? tlvk__half_read(d, span, (uint64_t)count, padded) : tlvk__span_read(d, span, padded);
        if (s)
            return s;
        padded += count;
    }
    return TLVK_OK;
}
