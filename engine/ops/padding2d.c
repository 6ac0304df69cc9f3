/* padding2d.c - ZeroPadding2D and Cropping2D: a frame of zeros around an image, or a frame taken away; each is the other's gradient.
 * Fields: keras/src/layers/reshaping/zero_padding2d.py, cropping2d.py. */
#include "ops/attrs.h"
#include "ops/elementwise.h"

#include <stdio.h>

static void padding_defaults(void *attrs) {
    *(tlvk__padding2d_attrs *)attrs = (tlvk__padding2d_attrs){{1, 1, 1, 1}};
}
static void cropping_defaults(void *attrs) {
    *(tlvk__padding2d_attrs *)attrs = (tlvk__padding2d_attrs){{0, 0, 0, 0}};
}

/* sign 1: padding, -1: cropping. */
static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, int sign, tlvk__shape *y) {
    const int *p = ((const tlvk__padding2d_attrs *)attrs)->padding;
    const char *name = sign > 0 ? "ZeroPadding2D" : "Cropping2D";
    char text[128];
    tlvk_status s = tlvk__expect_image(name, inputs, x);
    if (s)
        return s;
    if (p[0] < 0 || p[1] < 0 || p[2] < 0 || p[3] < 0)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s of ((%d, %d), (%d, %d)): none may be negative", name, p[0], p[1], p[2], p[3]);
    *y = *x;
    for (int axis = 0; axis < 2; axis++) {
        int64_t frame = (int64_t)p[2 * axis] + p[2 * axis + 1];
        if (x->dim[1 + axis] >= 0)
            y->dim[1 + axis] += sign * frame;
        if (x->dim[1 + axis] >= 0 && y->dim[1 + axis] < 1)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s of ((%d, %d), (%d, %d)) leaves nothing of an image of shape %s", name, p[0], p[1], p[2], p[3],
                              tlvk__shape_text(x, text, sizeof text));
    }
    return TLVK_OK;
}
static tlvk_status padding_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    return shape(attrs, inputs, x, 1, y);
}
static tlvk_status cropping_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    return shape(attrs, inputs, x, -1, y);
}

/* from lies in to, moved down and right by sign * (top, left). */
static tlvk_status record(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *from, const tlvk__tensor *to, int sign, bool accumulate) {
    const int *p = ((const tlvk__padding2d_attrs *)call->attrs)->padding;
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "padding2d", .texel = true, .operation = sign > 0 ? "padding2d" : "cropping2d", .layer = call->layer, .specs = {{"ACCUMULATE", accumulate}},
        .operands = {{from, TLVK__READ, false}, {to, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 2,
        .n = to->n, .items = tlvk__sample_vec4s(to),
        .words = {(uint32_t)(to->pitch / TLVK__LANES), (uint32_t)from->h, (uint32_t)from->w, (uint32_t)to->h, (uint32_t)to->w,
                  (uint32_t)(sign * p[0]), (uint32_t)(sign * p[2])}, .word_count = 7});
}
static unsigned halves(const tlvk__caps *caps, const tlvk__op_call *call) {
    (void)caps, (void)call;
    return TLVK__HALF_X | TLVK__HALF_Y;
}
static tlvk_status padding_forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return record(r, call, call->x[0], call->y, 1, false);
}
static tlvk_status padding_backward(tlvk__recorder *r, const tlvk__op_call *call) {
    return call->dx[0] ? record(r, call, call->dy, call->dx[0], -1, call->dx_accumulate[0]) : TLVK_OK;
}
static tlvk_status cropping_forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return record(r, call, call->x[0], call->y, -1, false);
}
static tlvk_status cropping_backward(tlvk__recorder *r, const tlvk__op_call *call) {
    return call->dx[0] ? record(r, call, call->dy, call->dx[0], 1, call->dx_accumulate[0]) : TLVK_OK;
}

static void reference(const tlvk__ref_call *call, const tlvk__ref_tensor *from, tlvk__ref_tensor *to, int sign) {
    const int *p = ((const tlvk__padding2d_attrs *)call->attrs)->padding;
    int64_t h = from->shape.dim[1], w = from->shape.dim[2], oh = to->shape.dim[1], ow = to->shape.dim[2], c = to->shape.dim[3];
    size_t count = tlvk__ref_count(to);
    for (size_t i = 0; i < count; i++) {
        int64_t t = (int64_t)i / c, ix = t % ow - sign * p[2], iy = t / ow % oh - sign * p[0], n = t / ow / oh;
        bool inside = iy >= 0 && iy < h && ix >= 0 && ix < w;
        to->v[i] = inside ? from->v[((n * h + iy) * w + ix) * c + (int64_t)i % c] : 0;
        if (to->e)
            to->e[i] = 0;
    }
}
static tlvk_status padding_reference(const tlvk__ref_call *call) {
    reference(call, call->x[0], call->y, 1);
    return TLVK_OK;
}
static tlvk_status padding_reference_backward(const tlvk__ref_call *call) {
    if (call->dx[0])
        reference(call, call->dy, call->dx[0], -1);
    return TLVK_OK;
}
static tlvk_status cropping_reference(const tlvk__ref_call *call) {
    reference(call, call->x[0], call->y, -1);
    return TLVK_OK;
}
static tlvk_status cropping_reference_backward(const tlvk__ref_call *call) {
    if (call->dx[0])
        reference(call, call->dy, call->dx[0], 1);
    return TLVK_OK;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { tlvk__padding2d_attrs a; tlvk__shape x; } cases[] = {
        {{{1, 1, 1, 1}}, {4, {2, 4, 5, 3}}}, {{{0, 1, 0, 1}}, {4, {3, 6, 4, 8}}}, {{{2, 0, 1, 3}}, {4, {2, 5, 7, 6}}}, {{{0, 0, 0, 0}}, {4, {1, 3, 3, 4}}},
        {{{0, 1, 0, 1}}, {4, {2, 112, 112, 96}}},
    };
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    const int *p = cases[index].a.padding;
    memcpy(c->attrs.bytes, &cases[index].a, sizeof cases[index].a);
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->real_size = index == 4;
    snprintf(c->name, sizeof c->name, "((%d, %d), (%d, %d)) %s", p[0], p[1], p[2], p[3], tlvk__shape_text(&c->x[0], (char[64]){0}, 64));
    return true;
}

static const tlvk__field padding_fields[] = {
    {.key = "padding", .type = TLVK__FIELD_PAD4, .offset = offsetof(tlvk__padding2d_attrs, padding)},
    {.key = "data_format", .type = TLVK__FIELD_MUST, .must = "\"channels_last\""},
    {0},
};
static const tlvk__field cropping_fields[] = {
    {.key = "cropping", .type = TLVK__FIELD_PAD4, .offset = offsetof(tlvk__padding2d_attrs, padding)},
    {.key = "data_format", .type = TLVK__FIELD_MUST, .must = "\"channels_last\""},
    {0},
};

const tlvk__op tlvk__op_zero_padding2d = {
    .class_name = "ZeroPadding2D", .snake_name = "zero_padding2d", .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__padding2d_attrs), .fields = padding_fields, .defaults = padding_defaults, .shape = padding_shape,
    .flops = tlvk__elementwise_flops, .halves = halves, .forward = padding_forward, .backward = padding_backward,
    .reference_forward = padding_reference, .reference_backward = padding_reference_backward, .test_case = test_case,
};

const tlvk__op tlvk__op_cropping2d = {
    .class_name = "Cropping2D", .snake_name = "cropping2d", .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__padding2d_attrs), .fields = cropping_fields, .defaults = cropping_defaults, .shape = cropping_shape,
    .flops = tlvk__elementwise_flops, .halves = halves, .forward = cropping_forward, .backward = cropping_backward,
    .reference_forward = cropping_reference, .reference_backward = cropping_reference_backward, .test_case = test_case,
};
