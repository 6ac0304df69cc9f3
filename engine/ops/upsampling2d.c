/* upsampling2d.c - UpSampling2D: an image made larger by whole factors, nearest or bilinear. Source: keras/src/layers/reshaping/up_sampling2d.py;
 * bilinear: tf.image.resize with half-pixel centers and without antialiasing (tensorflow/core/kernels/image/resize_bilinear_op.cc). */
#include "ops/attrs.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdio.h>

enum { NEAREST, BILINEAR };
static const char *const interpolations[] = {"nearest", "bilinear", NULL};

static void defaults(void *attrs) {
    *(tlvk__upsampling2d_attrs *)attrs = (tlvk__upsampling2d_attrs){.size = {2, 2}, .interpolation = NEAREST};
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__upsampling2d_attrs *a = attrs;
    tlvk_status s = tlvk__expect_image("UpSampling2D", inputs, x);
    if (s)
        return s;
    *y = *x;
    for (int i = 0; i < 2; i++) {
        if (a->size[i] < 1)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "UpSampling2D by %d x %d: both must be at least 1", a->size[0], a->size[1]);
        if (x->dim[1 + i] >= 0)
            y->dim[1 + i] = x->dim[1 + i] * a->size[i];
        /* The shader counts half positions in 32 bits. */
        if (x->dim[1 + i] > INT32_MAX / 4 / a->size[i])
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "UpSampling2D of %lld positions by %d: an image of that size cannot be", (long long)x->dim[1 + i], a->size[i]);
    }
    return TLVK_OK;
}

static tlvk_status record(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *small, const char *const shaders[2], tlvk__operand from,
                          tlvk__operand to, bool back, bool accumulate) {
    const tlvk__upsampling2d_attrs *a = call->attrs;
    tlvk__walk walk = {
        .shader = shaders[a->interpolation], .operation = back ? "upsampling2d_backward" : "upsampling2d", .layer = call->layer,
        .operands = {from, to}, .operand_count = 2, .n = small->n, .items = tlvk__sample_vec4s(to.t),
        .words = {(uint32_t)(small->pitch / TLVK__LANES), (uint32_t)small->w, (uint32_t)small->h, (uint32_t)a->size[1], (uint32_t)a->size[0]}, .word_count = 5,
        .flops = 4.0 * (double)call->y->n * (double)tlvk__sample_floats(call->y)};
    if (back)
        walk.specs[0] = (tlvk__spec){"ACCUMULATE", accumulate};
    return tlvk__record_walk(r, &walk);
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    static const char *const shaders[2] = {"upsampling2d_nearest", "upsampling2d_bilinear"};
    return record(r, call, call->x[0], shaders, (tlvk__operand){call->x[0], TLVK__READ, false}, (tlvk__operand){call->y, TLVK__WRITE, false}, false, false);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    static const char *const shaders[2] = {"upsampling2d_backward_nearest", "upsampling2d_backward_bilinear"};
    const tlvk__tensor *dx = call->dx[0];
    bool accumulate = call->dx_accumulate[0];
    if (!dx)
        return TLVK_OK;
    return record(r, call, dx, shaders, (tlvk__operand){call->dy, TLVK__READ, false},
                  (tlvk__operand){dx, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}, true, accumulate);
}

/* --- reference -------------------------------------------------------------------------------------------------------------------------- */

/* The two pixels of x along an axis that pixel o of y is made of, and how much of the second. */
static double between(int interpolation, int64_t o, int64_t factor, int64_t size, int64_t at[2]) {
    if (interpolation == NEAREST) {
        at[0] = at[1] = o / factor;
        return 0;
    }
    double place = ((double)o + 0.5) / (double)factor - 0.5, low = floor(place);
    at[0] = TLVK__MAX((int64_t)low, 0);
    at[1] = TLVK__MIN((int64_t)low + 1, size - 1);
    return place - low;
}

/* Calls visit(user, y element, x element, share) for each of the four pixels of x in every pixel of y. */
typedef void visit_fn(void *user, size_t y, size_t x, double share);
static void each_share(const tlvk__upsampling2d_attrs *a, const tlvk__shape *x, visit_fn *visit, void *user) {
    int64_t h = x->dim[1], w = x->dim[2], c = x->dim[3], oh = h * a->size[0], ow = w * a->size[1];
    for (int64_t i = 0; i < x->dim[0] * oh * ow * c; i++) {
        int64_t n = i / (oh * ow * c), rows[2], columns[2];
        double down = between(a->interpolation, i / (ow * c) % oh, a->size[0], h, rows), right = between(a->interpolation, i / c % ow, a->size[1], w, columns);
        for (int k = 0; k < 4; k++) {
            double share = (k / 2 ? down : 1 - down) * (k % 2 ? right : 1 - right);
            if (share != 0)
                visit(user, (size_t)i, (size_t)(((n * h + rows[k / 2]) * w + columns[k % 2]) * c + i % c), share);
        }
    }
}

static void forward_visit(void *user, size_t y, size_t x, double share) {
    const tlvk__ref_call *call = user;
    call->y->v[y] += share * call->x[0]->v[x];
    if (call->y->e)
        call->y->e[y] += fabs(share * call->x[0]->v[x]);
}

static void backward_visit(void *user, size_t y, size_t x, double share) {
    const tlvk__ref_call *call = user;
    call->dx[0]->v[x] += share * call->dy->v[y];
    if (call->dx[0]->e)
        call->dx[0]->e[x] += fabs(share * call->dy->v[y]);
}

static void begin(tlvk__ref_tensor *t) {
    size_t bytes = tlvk__ref_count(t) * sizeof(double);
    memset(t->v, 0, bytes);
    if (t->e)
        memset(t->e, 0, bytes);
}

/* A copy is exact. A share is off by 3 roundings on each axis (division by a whole number is exact to 2.5 ulp), each mix by 3 more. */
static void finish(tlvk__ref_tensor *t, const tlvk__upsampling2d_attrs *a, double terms) {
    double spread = a->interpolation == BILINEAR ? 20 + 4 * sqrt(terms) : terms > 1 ? 4 + 4 * sqrt(terms) : 0;
    size_t count = tlvk__ref_count(t);
    for (size_t i = 0; t->e && i < count; i++)
        t->e[i] *= spread * TLVK__U;
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    begin(call->y);
    each_share(call->attrs, &call->x[0]->shape, forward_visit, (void *)call);
    finish(call->y, call->attrs, 1);
    return TLVK_OK;
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    const tlvk__upsampling2d_attrs *a = call->attrs;
    if (!call->dx[0])
        return TLVK_OK;
    begin(call->dx[0]);
    each_share(a, &call->dx[0]->shape, backward_visit, (void *)call);
    finish(call->dx[0], a, (double)a->size[0] * a->size[1] * (a->interpolation == BILINEAR ? 9 : 1));
    return TLVK_OK;
}

/* --- cases ------------------------------------------------------------------------------------------------------------------------------ */

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { tlvk__shape x; int size[2], interpolation; bool real; } cases[] = {
        {{4, {2, 3, 4, 5}}, {2, 2}, NEAREST, false}, {{4, {3, 1, 1, 4}}, {3, 5}, NEAREST, false}, {{4, {1, 5, 2, 9}}, {1, 3}, NEAREST, false},
        {{4, {2, 3, 4, 5}}, {2, 2}, BILINEAR, false}, {{4, {3, 1, 1, 4}}, {3, 5}, BILINEAR, false}, {{4, {2, 5, 2, 9}}, {4, 3}, BILINEAR, false},
        {{4, {1, 1, 7, 3}}, {1, 2}, BILINEAR, false}, {{4, {2, 6, 5, 8}}, {8, 1}, BILINEAR, false},
        {{4, {2, 56, 56, 64}}, {2, 2}, NEAREST, true}, {{4, {2, 56, 56, 64}}, {2, 2}, BILINEAR, true},
    };
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    tlvk__upsampling2d_attrs a = {.size = {cases[index].size[0], cases[index].size[1]}, .interpolation = cases[index].interpolation};
    memcpy(c->attrs.bytes, &a, sizeof a);
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->real_size = cases[index].real;
    snprintf(c->name, sizeof c->name, "%s %s by %dx%d", interpolations[a.interpolation], tlvk__shape_text(&c->x[0], (char[64]){0}, 64), a.size[0], a.size[1]);
    return true;
}

static const tlvk__field fields[] = {
    {.key = "size", .type = TLVK__FIELD_PAIR, .offset = offsetof(tlvk__upsampling2d_attrs, size)},
    {.key = "data_format", .type = TLVK__FIELD_MUST, .must = "\"channels_last\""},
    {.key = "interpolation", .type = TLVK__FIELD_CHOICE, .offset = offsetof(tlvk__upsampling2d_attrs, interpolation), .choices = interpolations},
    {0},
};

const tlvk__op tlvk__op_upsampling2d = {
    .class_name = "UpSampling2D", .snake_name = "up_sampling2d", .min_inputs = 1, .max_inputs = 1, .attr_bytes = sizeof(tlvk__upsampling2d_attrs),
    .fields = fields, .defaults = defaults, .shape = shape, .flops = tlvk__elementwise_flops, .forward = forward, .backward = backward,
    .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
