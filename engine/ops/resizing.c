/* resizing.c - Resizing, CenterCrop and RandomCrop: a window of the picture, resized where it has not the size that is wanted.
 *
 * Hides: which window. Sources: keras/src/layers/preprocessing/image_preprocessing/{resizing,center_crop,random_crop}.py, smart_resize of
 * keras/src/utils/image_utils.py, tf.image.resize (half pixel centers, no antialiasing). RandomCrop draws one corner for a whole batch, as Keras does. In
 * inference Keras 3.15's RandomCrop hands the picture on uncut, in a shape other than it says; here it does what its documentation and tf_keras do: the
 * largest centered window of the wanted aspect ratio, resized. No gradient passes, as these stand before everything that is trained. */
#include "ops/picture.h"

#include <math.h>
#include <stdio.h>

typedef enum kind { RESIZING, CENTER_CROP, RANDOM_CROP } kind;
static const char *const class_names[] = {"Resizing", "CenterCrop", "RandomCrop"};
static const char *const interpolations[] = {"bilinear", "nearest", NULL};

static void defaults(void *attrs) { *(tlvk__resizing_attrs *)attrs = (tlvk__resizing_attrs){0}; }

static tlvk_status shape(kind k, const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__resizing_attrs *a = attrs;
    tlvk_status s = tlvk__expect_image(class_names[k], inputs, x);
    if (s)
        return s;
    if (a->height < 1 || a->width < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s to %d x %d: height and width have no defaults, both must be at least 1", class_names[k], a->height,
                          a->width);
    *y = (tlvk__shape){4, {x->dim[0], a->height, a->width, x->dim[3]}};
    return TLVK_OK;
}

/* --- the window ----------------------------------------------------------------------------------------------------------------------------- */

typedef struct window { int64_t top, left, rows, row_length; bool random, bilinear; } window; /* random: top and left count the corners there are */

/* The largest centered window with the aspect ratio of height x width. */
static window largest(const tlvk__resizing_attrs *a, int64_t h, int64_t w) {
    int64_t rows = TLVK__MAX(TLVK__MIN(h, w * a->height / a->width), 1), row_length = TLVK__MAX(TLVK__MIN(w, h * a->width / a->height), 1);
    return (window){(h - rows) / 2, (w - row_length) / 2, rows, row_length, false, true};
}

static window window_of(kind k, const tlvk__resizing_attrs *a, bool training, int64_t h, int64_t w) {
    if (k == RESIZING) {
        window all = a->crop_to_aspect_ratio ? largest(a, h, w) : (window){0, 0, h, w, false, true};
        all.bilinear = a->interpolation == 0;
        return all;
    }
    if (k == CENTER_CROP && h >= a->height && w >= a->width)
        return (window){(h - a->height) / 2, (w - a->width) / 2, a->height, a->width, false, false};
    if (k == RANDOM_CROP && training && h > a->height && w > a->width)
        return (window){h - a->height + 1, w - a->width + 1, a->height, a->width, true, false};
    window found = largest(a, h, w);
    if (k == RANDOM_CROP && training) { /* keras: cut from that window's corner, as far as the picture goes */
        found.rows = TLVK__MIN(a->height, h - found.top);
        found.row_length = TLVK__MIN(a->width, w - found.left);
    }
    return found;
}

static bool view(const void *attrs, bool training, const tlvk__tensor *x, const tlvk__tensor *y) {
    (void)attrs, (void)training;
    return x->h == y->h && x->w == y->w; /* whatever the layer: the window is all of it */
}

static double flops(const tlvk__op_call *call) { return 8 * tlvk__elementwise_flops(call); }

static tlvk_status record(kind k, tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__resizing_attrs *a = call->attrs;
    const tlvk__tensor *x = call->x[0], *y = call->y;
    window v = window_of(k, a, call->training, x->h, x->w);
    tlvk__span span;
    tlvk__tensor params;
    tlvk_status s = v.random ? tlvk__picture_params(call, &span, &params) : TLVK_OK;
    if (s)
        return s;
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "resizing", .operation = "resizing", .layer = call->layer, .specs = {{"BILINEAR", v.bilinear}, {"RANDOM", v.random}},
        .operands = {{x, TLVK__READ, false}, {y, TLVK__WRITE, false}, {v.random ? &params : NULL, TLVK__READ, true}}, .operand_count = 3,
        .n = x->n, .items = tlvk__sample_vec4s(y), .flops = flops(call),
        .words = {(uint32_t)(x->pitch / TLVK__LANES), (uint32_t)x->h, (uint32_t)x->w, (uint32_t)y->h, (uint32_t)y->w, (uint32_t)v.top, (uint32_t)v.left,
                  (uint32_t)v.rows, (uint32_t)v.row_length, tlvk__float_bits((float)v.rows / (float)y->h),
                  tlvk__float_bits((float)v.row_length / (float)y->w), call->stream}, .word_count = 12});
}

/* --- reference: positions in float as on the device, values in double ----------------------------------------------------------------------- */

static int64_t corner(float u, int64_t count) {
    float at = u * (float)count;
    return TLVK__MIN((int64_t)at, count - 1);
}

typedef struct axis { int64_t low, high; double part; } axis; /* part of high */

static axis axis_of(bool bilinear, int64_t o, int64_t size, int64_t out) {
    float scale = (float)size / (float)out;
    float at = ((float)o + 0.5f) * scale;
    if (!bilinear)
        return (axis){TLVK__MIN((int64_t)at, size - 1), 0, 0};
    at = at - 0.5f;
    float below = floorf(at);
    return (axis){TLVK__MAX((int64_t)below, 0), TLVK__MIN((int64_t)ceilf(at), size - 1), (double)(at - below)};
}

static tlvk_status reference(kind k, const tlvk__ref_call *call) {
    const tlvk__resizing_attrs *a = call->attrs;
    const tlvk__shape *in = &call->x[0]->shape, *out = &call->y->shape;
    int64_t h = in->dim[1], w = in->dim[2], c = in->dim[3], oh = out->dim[1], ow = out->dim[2];
    window v = window_of(k, a, call->training, h, w);
    if (v.random) {
        tlvk__draws d = tlvk__picture_draws(call->step, call->stream, 0);
        v.top = corner(d.u[0], v.top);
        v.left = corner(d.u[1], v.left);
    }
    for (int64_t i = 0; i < out->dim[0] * oh * ow * c; i++) {
        const double *x = call->x[0]->v + (i / (oh * ow * c) * h * w + v.top * w + v.left) * c + i % c;
        axis y_axis = axis_of(v.bilinear, i / c / ow % oh, v.rows, oh), x_axis = axis_of(v.bilinear, i / c % ow, v.row_length, ow);
        double sum = 0, size = 0;
        for (int corner = 0; corner < 4; corner++) {
            int64_t row = corner / 2 ? y_axis.high : y_axis.low, column = corner % 2 ? x_axis.high : x_axis.low;
            double weight = (corner / 2 ? y_axis.part : 1 - y_axis.part) * (corner % 2 ? x_axis.part : 1 - x_axis.part);
            sum += weight * x[(row * w + column) * c];
            size += fabs(weight * x[(row * w + column) * c]);
        }
        call->y->v[i] = sum;
        if (call->y->e)
            call->y->e[i] = v.bilinear ? 8 * TLVK__U * size : 0;
    }
    return TLVK_OK;
}

/* --- cases ------------------------------------------------------------------------------------------------------------------------------------ */

typedef struct resizing_case { tlvk__resizing_attrs a; tlvk__shape x; bool training, real; } resizing_case;

static bool fill_case(const resizing_case *cases, size_t count, int index, tlvk__op_case *c) {
    if (index < 0 || (size_t)index >= count)
        return false;
    const tlvk__resizing_attrs *a = &cases[index].a;
    memcpy(c->attrs.bytes, a, sizeof *a);
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->training = cases[index].training;
    c->real_size = cases[index].real;
    snprintf(c->name, sizeof c->name, "%s to %d x %d %s%s", tlvk__shape_text(&c->x[0], (char[64]){0}, 64), a->height, a->width,
             interpolations[a->interpolation], a->crop_to_aspect_ratio ? " cropped" : "");
    return true;
}

static bool resizing_case_at(int index, tlvk__op_case *c) {
    static const resizing_case cases[] = {
        {{8, 12, 0, false}, {4, {3, 5, 7, 3}}, false, false}, {{4, 3, 0, false}, {4, {2, 9, 10, 5}}, false, false},
        {{7, 7, 0, false}, {4, {2, 7, 5, 4}}, true, false}, {{6, 9, 1, false}, {4, {3, 4, 5, 3}}, false, false},
        {{3, 4, 1, false}, {4, {2, 10, 9, 6}}, true, false}, {{6, 6, 0, true}, {4, {3, 5, 11, 3}}, false, false},
        {{5, 10, 1, true}, {4, {2, 13, 9, 3}}, false, false}, {{5, 4, 0, false}, {4, {2, 1, 1, 3}}, false, false},
        {{6, 5, 0, false}, {4, {2, 6, 5, 3}}, false, false},
        {{224, 224, 0, false}, {4, {4, 256, 320, 3}}, false, true},
    };
    return fill_case(cases, TLVK__COUNT(cases), index, c);
}

static bool center_case_at(int index, tlvk__op_case *c) {
    static const resizing_case cases[] = {
        {{4, 5, 0, false}, {4, {3, 7, 8, 3}}, false, false}, {{5, 4, 0, false}, {4, {2, 5, 9, 6}}, true, false},
        {{8, 6, 0, false}, {4, {3, 5, 9, 3}}, false, false}, {{3, 12, 0, false}, {4, {2, 9, 5, 4}}, true, false},
    };
    return fill_case(cases, TLVK__COUNT(cases), index, c);
}

static bool random_case_at(int index, tlvk__op_case *c) {
    static const resizing_case cases[] = {
        {{4, 5, 0, false}, {4, {3, 17, 18, 3}}, true, false}, {{1, 1, 0, false}, {4, {2, 29, 31, 6}}, true, false},
        {{5, 4, 0, false}, {4, {2, 5, 11, 5}}, true, false},
        {{16, 16, 0, false}, {4, {2, 10, 30, 3}}, true, false}, {{4, 6, 0, false}, {4, {3, 7, 9, 3}}, false, false},
    };
    return fill_case(cases, TLVK__COUNT(cases), index, c);
}

#define SIZE_FIELDS \
    {.key = "height", .type = TLVK__FIELD_INT, .offset = offsetof(tlvk__resizing_attrs, height)}, \
    {.key = "width", .type = TLVK__FIELD_INT, .offset = offsetof(tlvk__resizing_attrs, width)}
static const tlvk__field resizing_fields[] = {
    SIZE_FIELDS,
    {.key = "interpolation", .type = TLVK__FIELD_CHOICE, .offset = offsetof(tlvk__resizing_attrs, interpolation), .choices = interpolations},
    {.key = "crop_to_aspect_ratio", .type = TLVK__FIELD_BOOL, .offset = offsetof(tlvk__resizing_attrs, crop_to_aspect_ratio)},
    {.key = "pad_to_aspect_ratio", .type = TLVK__FIELD_MUST, .must = "false", .read_only = true},
    {.key = "antialias", .type = TLVK__FIELD_MUST, .must = "false", .read_only = true},
    {.key = "fill_mode", .type = TLVK__FIELD_IGNORE, .must = "\"constant\"", .read_only = true}, /* of pad_to_aspect_ratio */
    {.key = "fill_value", .type = TLVK__FIELD_IGNORE, .must = "0.0", .read_only = true},
    {0},
};
static const tlvk__field center_fields[] = {SIZE_FIELDS, {0}};
static const tlvk__field random_fields[] = {SIZE_FIELDS, TLVK__FIELDS_PICTURE, {0}};

static tlvk_status resizing_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) { return shape(RESIZING, attrs, inputs, x, y); }
static tlvk_status center_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) { return shape(CENTER_CROP, attrs, inputs, x, y); }
static tlvk_status random_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) { return shape(RANDOM_CROP, attrs, inputs, x, y); }
static tlvk_status resizing_forward(tlvk__recorder *r, const tlvk__op_call *call) { return record(RESIZING, r, call); }
static tlvk_status center_forward(tlvk__recorder *r, const tlvk__op_call *call) { return record(CENTER_CROP, r, call); }
static tlvk_status random_forward(tlvk__recorder *r, const tlvk__op_call *call) { return record(RANDOM_CROP, r, call); }
static tlvk_status resizing_reference(const tlvk__ref_call *call) { return reference(RESIZING, call); }
static tlvk_status center_reference(const tlvk__ref_call *call) { return reference(CENTER_CROP, call); }
static tlvk_status random_reference(const tlvk__ref_call *call) { return reference(RANDOM_CROP, call); }

#define OPERATION(class_, snake_, flags_, name_) \
    {.class_name = class_, .snake_name = snake_, .flags = flags_, .min_inputs = 1, .max_inputs = 1, .attr_bytes = sizeof(tlvk__resizing_attrs), \
     .fields = name_##_fields, .defaults = defaults, .shape = name_##_shape, .view = view, .flops = flops, .forward = name_##_forward, \
     .reference_forward = name_##_reference, .test_case = name_##_case_at}
const tlvk__op tlvk__op_resizing = OPERATION("Resizing", "resizing", 0, resizing);
const tlvk__op tlvk__op_center_crop = OPERATION("CenterCrop", "center_crop", 0, center);
const tlvk__op tlvk__op_random_crop = OPERATION("RandomCrop", "random_crop", TLVK__OP_RANDOM, random);
