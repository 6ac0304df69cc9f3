/* random_affine.c - RandomRotation, RandomZoom and RandomTranslation: in training each picture is turned, scaled or moved by an amount of its own.
 *
 * Hides: a draw's matrix, and where a position outside the picture is read. Output pixel (x, y) reads the input at (m0*x + m1*y + m2, m3*x + m4*y + m5).
 * Sources: keras/src/layers/preprocessing/image_preprocessing/{random_rotation,random_zoom,random_translation,base_image_preprocessing_layer}.py;
 * ImageProjectiveTransformV3 of tensorflow/core/kernels/image/image_ops.h. No gradient passes, as these stand before everything that is trained. */
#include "ops/picture.h"

#include <math.h>
#include <stdio.h>

typedef enum kind { ROTATION, ZOOM, TRANSLATION } kind;
typedef enum fill_mode { REFLECT, WRAP, CONSTANT, NEAREST } fill_mode;
static const char *const fill_modes[] = {"reflect", "wrap", "constant", "nearest", NULL};
static const char *const interpolations[] = {"bilinear", "nearest", NULL};

static void defaults(void *attrs) {
    *(tlvk__random_affine_attrs *)attrs = (tlvk__random_affine_attrs){.height_factor = {NAN, NAN}, .width_factor = {NAN, NAN}};
}

/* --- attributes --------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status rotation_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__random_affine_attrs *a = attrs;
    tlvk_status s = tlvk__picture_factor("RandomRotation", "factor", a->height_factor, -1, 1);
    return s ? s : tlvk__picture_shape("RandomRotation", inputs, x, y);
}

/* A factor of -1 would shrink the window that is read to nothing. */
static tlvk_status zoom_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__random_affine_attrs *a = attrs;
    tlvk_status s = tlvk__picture_factor("RandomZoom", "height_factor", a->height_factor, nextafterf(-1, 0), 1);
    if (!s && !isnan(a->width_factor[0]))
        s = tlvk__picture_factor("RandomZoom", "width_factor", a->width_factor, nextafterf(-1, 0), 1);
    return s ? s : tlvk__picture_shape("RandomZoom", inputs, x, y);
}

static tlvk_status translation_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__random_affine_attrs *a = attrs;
    tlvk_status s = tlvk__picture_factor("RandomTranslation", "height_factor", a->height_factor, -1, 1);
    if (!s)
        s = tlvk__picture_factor("RandomTranslation", "width_factor", a->width_factor, -1, 1);
    return s ? s : tlvk__picture_shape("RandomTranslation", inputs, x, y);
}

/* What the draws are taken from: of the height and of the width. */
typedef struct limits { float lower[2], range[2]; bool same; } limits;

static limits limits_of(kind k, const tlvk__random_affine_attrs *a) {
    limits l = {.same = k == ZOOM && isnan(a->width_factor[0])};
    const float *factors[2] = {a->height_factor, k == ROTATION || l.same ? a->height_factor : a->width_factor};
    float one = k == ZOOM ? 1 : 0;
    for (int i = 0; i < 2; i++) {
        float upper = one + factors[i][1];
        l.lower[i] = one + factors[i][0];
        l.range[i] = upper - l.lower[i];
    }
    return l;
}

/* The reciprocal by which a position outside is folded back. */
static float turn_of(fill_mode mode, int64_t size) {
    return mode == REFLECT ? 1 / (2 * (float)size) : size > 1 ? 1 / ((float)size - 1) : 0;
}

/* --- on the device ------------------------------------------------------------------------------------------------------------------------ */

static double flops(const tlvk__op_call *call) { return 16 * tlvk__elementwise_flops(call); }

static tlvk_status record(kind k, tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__random_affine_attrs *a = call->attrs;
    const tlvk__tensor *x = call->x[0];
    limits l = limits_of(k, a);
    if (!call->training)
        return tlvk__picture_copy(r, call, x, call->y, false);
    tlvk__span span;
    tlvk__tensor params;
    tlvk_status s = tlvk__picture_params(call, &span, &params);
    if (s)
        return s;
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "random_affine", .operation = "random_affine", .layer = call->layer,
        .specs = {{"KIND", (uint32_t)k}, {"FILL", (uint32_t)a->fill_mode}, {"BILINEAR", a->interpolation == 0}, {"SAME", l.same}},
        .operands = {{x, TLVK__READ, false}, {call->y, TLVK__WRITE, false}, {&params, TLVK__READ, true}}, .operand_count = 3,
        .n = x->n, .items = tlvk__sample_vec4s(x), .flops = flops(call),
        .words = {(uint32_t)x->c, (uint32_t)(x->pitch / TLVK__LANES), (uint32_t)x->h, (uint32_t)x->w, call->stream, 0, tlvk__float_bits(l.lower[0]),
                  tlvk__float_bits(l.lower[1]), tlvk__float_bits(l.range[0]), tlvk__float_bits(l.range[1]), tlvk__float_bits(a->fill_value),
                  tlvk__float_bits(turn_of((fill_mode)a->fill_mode, x->w)), tlvk__float_bits(turn_of((fill_mode)a->fill_mode, x->h))},
        .word_count = 13, .sample_word = 6, .first_sample = call->first_sample});
}

static tlvk_status rotation_forward(tlvk__recorder *r, const tlvk__op_call *call) { return record(ROTATION, r, call); }
static tlvk_status zoom_forward(tlvk__recorder *r, const tlvk__op_call *call) { return record(ZOOM, r, call); }
static tlvk_status translation_forward(tlvk__recorder *r, const tlvk__op_call *call) { return record(TRANSLATION, r, call); }

/* --- reference: positions as the device computes them, statement by statement (ops/picture.h); values in double ---------------------------- */

typedef struct angle { float cos, sin; } angle;

static angle angle_of(float turns) {
    static const float sines[] = {-1.9841270e-4f, 8.3333333e-3f, -0.16666667f}, cosines[] = {2.4801587e-5f, -1.3888889e-3f, 0.041666667f, -0.5f, 1};
    float quarters = turns * 4;
    quarters = quarters + 0.5f;
    quarters = floorf(quarters);
    float away = quarters * 0.25f;
    float rest = turns - away;
    float a = rest * 6.2831855f;
    float aa = a * a;
    float s = aa * 2.7557319e-6f, c = aa * -2.7557319e-7f;
    for (int i = 0; i < 3; i++) {
        s = s + sines[i];
        s = s * aa;
    }
    s = s * a;
    s = s + a;
    for (int i = 0; i < 5; i++) {
        c = c + cosines[i];
        if (i < 4)
            c = c * aa;
    }
    switch ((int)quarters & 3) {
    case 0: return (angle){c, s};
    case 1: return (angle){-s, c};
    case 2: return (angle){-c, -s};
    default: return (angle){s, -c};
    }
}

static void matrix_of(kind k, const limits *l, const tlvk__draws *d, float h, float w, float m[6]) {
    float first = tlvk__picture_uniform(d->u[0], l->lower[0], l->range[0]);
    float second = l->same ? first : tlvk__picture_uniform(d->u[1], l->lower[1], l->range[1]);
    float cx = (w - 1) * 0.5f, cy = (h - 1) * 0.5f;
    if (k == ROTATION) {
        angle t = angle_of(first);
        float xx = cx * t.cos, xy = cy * t.sin, yx = cx * t.sin, yy = cy * t.cos;
        float m2 = cx - xx, m5 = cy - yx;
        m2 = m2 + xy;
        m5 = m5 - yy;
        memcpy(m, (float[6]){t.cos, -t.sin, m2, t.sin, t.cos, m5}, 6 * sizeof(float));
    } else if (k == ZOOM) {
        float ax = 1 - second, ay = 1 - first;
        ax = ax * cx;
        ay = ay * cy;
        memcpy(m, (float[6]){second, 0, ax, 0, first, ay}, 6 * sizeof(float));
    } else {
        float dx = second * w, dy = first * h;
        memcpy(m, (float[6]){1, 0, -dx, 0, 1, -dy}, 6 * sizeof(float));
    }
}

static float along(const float m[3], float x, float y) {
    float a = m[0] * x, b = m[1] * y;
    float sum = a + b;
    sum = sum + m[2];
    return sum;
}

static float clamped(float v, float last) { return fminf(fmaxf(v, 0), last); }

static float map_position(fill_mode mode, float at, float size, float turn) {
    float last = size - 1;
    if (mode == CONSTANT)
        return at;
    if (mode == NEAREST || (at >= 0 && at <= last) || size <= 1)
        return clamped(at, last);
    float period = mode == REFLECT ? 2 * size : last, from = fabsf(at);
    float whole = from * turn;
    whole = floorf(whole);
    float covered = whole * period;
    if (covered > from)
        whole = whole - 1;
    covered = whole + 1;
    covered = covered * period;
    if (covered <= from)
        whole = whole + 1;
    if (mode == REFLECT) {
        float off = period * whole;
        float in_period = from - off;
        if (at < 0)
            return clamped(in_period > size ? period - in_period : in_period - 1, last);
        float back = period - in_period;
        return clamped(in_period >= size ? back - 1 : in_period, last);
    }
    float off = size * (at < 0 ? whole + 1 : whole);
    return clamped(at < 0 ? at + off : at - off, last);
}

static float nearest(float v) {
    float below = floorf(v), rest = v - below;
    return rest > 0.5f || (rest >= 0.5f && v >= 0) ? below + 1 : below;
}

typedef struct picture { const double *pixels; int64_t h, w, c; double fill; } picture;

static double pixel(const picture *p, float row, float column, int64_t channel) {
    if (!(row >= 0 && row < (float)p->h && column >= 0 && column < (float)p->w))
        return p->fill;
    return p->pixels[((int64_t)row * p->w + (int64_t)column) * p->c + channel];
}

/* The value at (y, x), and the size of what was added up. */
static double interpolated(const picture *p, float y, float x, int64_t channel, double *size) {
    float y0 = floorf(y), x0 = floorf(x);
    double sum = 0;
    *size = 0;
    for (int i = 0; i < 4; i++) {
        float row = y0 + (float)(i / 2), column = x0 + (float)(i % 2);
        double weight = (i / 2 ? (double)y - (double)y0 : (double)y0 + 1 - (double)y) * (i % 2 ? (double)x - (double)x0 : (double)x0 + 1 - (double)x);
        double term = weight * pixel(p, row, column, channel);
        sum += term;
        *size += fabs(term);
    }
    return sum;
}

static tlvk_status reference(kind k, const tlvk__ref_call *call) {
    const tlvk__random_affine_attrs *a = call->attrs;
    const tlvk__shape *s = &call->x[0]->shape;
    int64_t n = s->dim[0], h = s->dim[1], w = s->dim[2], c = s->dim[3];
    fill_mode mode = (fill_mode)a->fill_mode;
    limits l = limits_of(k, a);
    for (int64_t i = 0; i < n * h * w; i++) {
        const picture p = {call->x[0]->v + i / (h * w) * h * w * c, h, w, c, (double)a->fill_value};
        float m[6], oy = (float)(i / w % h), ox = (float)(i % w);
        tlvk__draws d = tlvk__picture_draws(call->step, call->stream, i / (h * w));
        matrix_of(k, &l, &d, (float)h, (float)w, m);
        float x = map_position(mode, along(m, ox, oy), (float)w, turn_of(mode, w)), y = map_position(mode, along(m + 3, ox, oy), (float)h, turn_of(mode, h));
        for (int64_t j = 0; j < c; j++) {
            double size = 0;
            call->y->v[i * c + j] = !call->training ? p.pixels[i % (h * w) * c + j]
                                    : a->interpolation == 0 ? interpolated(&p, y, x, j, &size) : pixel(&p, nearest(y), nearest(x), j);
            if (call->y->e)
                call->y->e[i * c + j] = 8 * TLVK__U * size;
        }
    }
    return TLVK_OK;
}

static tlvk_status rotation_reference(const tlvk__ref_call *call) { return reference(ROTATION, call); }
static tlvk_status zoom_reference(const tlvk__ref_call *call) { return reference(ZOOM, call); }
static tlvk_status translation_reference(const tlvk__ref_call *call) { return reference(TRANSLATION, call); }

/* --- cases ---------------------------------------------------------------------------------------------------------------------------------- */

typedef struct affine_case { const char *name; tlvk__random_affine_attrs a; tlvk__shape x; bool inference, real; } affine_case;

static bool fill_case(const affine_case *cases, size_t count, int index, tlvk__op_case *c) {
    if (index < 0 || (size_t)index >= count)
        return false;
    snprintf(c->name, sizeof c->name, "%s", cases[index].name);
    memcpy(c->attrs.bytes, &cases[index].a, sizeof cases[index].a);
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->training = !cases[index].inference;
    c->real_size = cases[index].real;
    return true;
}

static bool rotation_case(int index, tlvk__op_case *c) {
    static const affine_case cases[] = {
        {"any angle, reflect", {{-1, 1}, {NAN, NAN}, REFLECT, 0, 0}, {4, {6, 9, 7, 3}}, false, false},
        {"any angle, wrap", {{-1, 1}, {NAN, NAN}, WRAP, 0, 0}, {4, {6, 8, 9, 5}}, false, false},
        {"any angle, constant", {{-1, 1}, {NAN, NAN}, CONSTANT, 0, 0.75f}, {4, {6, 5, 12, 3}}, false, false},
        {"any angle, nearest edge", {{-1, 1}, {NAN, NAN}, NEAREST, 0, 0}, {4, {6, 11, 4, 4}}, false, false},
        {"any angle, nearest pixel, constant", {{-1, 1}, {NAN, NAN}, CONSTANT, 1, -2}, {4, {6, 9, 9, 3}}, false, false},
        {"any angle, nearest pixel, reflect", {{-1, 1}, {NAN, NAN}, REFLECT, 1, 0}, {4, {6, 10, 6, 7}}, false, false},
        {"a tenth of a turn to one side", {{0.05f, 0.1f}, {NAN, NAN}, REFLECT, 0, 0}, {4, {3, 16, 16, 3}}, false, false},
        {"one row, one column", {{-1, 1}, {NAN, NAN}, REFLECT, 0, 0}, {4, {4, 1, 5, 3}}, false, false},
        {"inference", {{-1, 1}, {NAN, NAN}, REFLECT, 0, 0}, {4, {2, 3, 5, 3}}, true, false},
        {"factor 0.2, 224x224x3, batch 8", {{-0.2f, 0.2f}, {NAN, NAN}, REFLECT, 0, 0}, {4, {8, 224, 224, 3}}, false, true},
    };
    return fill_case(cases, TLVK__COUNT(cases), index, c);
}

static bool zoom_case(int index, tlvk__op_case *c) {
    static const affine_case cases[] = {
        {"aspect kept, reflect", {{-0.9f, 1}, {NAN, NAN}, REFLECT, 0, 0}, {4, {6, 9, 7, 3}}, false, false},
        {"both, wrap", {{-0.5f, 1}, {0.5f, 1}, WRAP, 0, 0}, {4, {6, 8, 9, 5}}, false, false},
        {"both, constant", {{0.2f, 1}, {-0.3f, 0.9f}, CONSTANT, 0, 0.75f}, {4, {6, 5, 12, 3}}, false, false},
        {"both, nearest edge", {{0.2f, 1}, {-0.3f, 0.9f}, NEAREST, 0, 0}, {4, {6, 5, 12, 4}}, false, false},
        {"both, nearest pixel, wrap", {{0.2f, 1}, {-0.3f, 0.9f}, WRAP, 1, 0}, {4, {6, 7, 9, 3}}, false, false},
        {"inference", {{-0.5f, 1}, {NAN, NAN}, REFLECT, 0, 0}, {4, {2, 3, 5, 3}}, true, false},
    };
    return fill_case(cases, TLVK__COUNT(cases), index, c);
}

static bool translation_case(int index, tlvk__op_case *c) {
    static const affine_case cases[] = {
        {"both, reflect", {{-1, 1}, {-1, 1}, REFLECT, 0, 0}, {4, {9, 9, 7, 3}}, false, false},
        {"both, wrap", {{-1, 1}, {0, 1}, WRAP, 0, 0}, {4, {9, 8, 9, 5}}, false, false},
        {"both, constant", {{0.1f, 0.2f}, {-0.4f, -0.1f}, CONSTANT, 0, 0.75f}, {4, {6, 5, 12, 3}}, false, false},
        {"both, nearest edge", {{-1, 1}, {-1, 1}, NEAREST, 0, 0}, {4, {6, 5, 12, 4}}, false, false},
        {"both, nearest pixel, reflect", {{-1, 1}, {-1, 1}, REFLECT, 1, 0}, {4, {9, 7, 9, 3}}, false, false},
        {"halves of pixels, nearest pixel, constant", {{0.125f, 0.125f}, {-0.125f, -0.125f}, CONSTANT, 1, 0.75f}, {4, {3, 4, 12, 3}}, false, false},
        {"one pixel", {{-1, 1}, {-1, 1}, WRAP, 0, 0}, {4, {3, 1, 1, 3}}, false, false},
        {"inference", {{-1, 1}, {-1, 1}, REFLECT, 0, 0}, {4, {2, 3, 5, 3}}, true, false},
    };
    return fill_case(cases, TLVK__COUNT(cases), index, c);
}

#define AT(member) offsetof(tlvk__random_affine_attrs, member)
#define FIELDS_AFFINE \
    {.key = "fill_mode", .type = TLVK__FIELD_CHOICE, .offset = AT(fill_mode), .choices = fill_modes}, \
    {.key = "fill_value", .type = TLVK__FIELD_FLOAT, .offset = AT(fill_value)}, \
    {.key = "interpolation", .type = TLVK__FIELD_CHOICE, .offset = AT(interpolation), .choices = interpolations}, TLVK__FIELDS_PICTURE, {0}

static const tlvk__field rotation_fields[] = {{.key = "factor", .type = TLVK__FIELD_RANGE, .offset = AT(height_factor)}, FIELDS_AFFINE};
static const tlvk__field both_fields[] = {{.key = "height_factor", .type = TLVK__FIELD_RANGE, .offset = AT(height_factor)},
                                          {.key = "width_factor", .type = TLVK__FIELD_RANGE, .offset = AT(width_factor)}, FIELDS_AFFINE};

#define OPERATION(class_, snake_, fields_, name_) \
    {.class_name = class_, .snake_name = snake_, .flags = TLVK__OP_RANDOM, .min_inputs = 1, .max_inputs = 1, \
     .attr_bytes = sizeof(tlvk__random_affine_attrs), .fields = fields_, .defaults = defaults, .shape = name_##_shape, .view = tlvk__picture_view, \
     .flops = flops, .forward = name_##_forward, .reference_forward = name_##_reference, .test_case = name_##_case}
const tlvk__op tlvk__op_random_rotation = OPERATION("RandomRotation", "random_rotation", rotation_fields, rotation);
const tlvk__op tlvk__op_random_zoom = OPERATION("RandomZoom", "random_zoom", both_fields, zoom);
const tlvk__op tlvk__op_random_translation = OPERATION("RandomTranslation", "random_translation", both_fields, translation);
