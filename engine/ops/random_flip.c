/* random_flip.c - RandomFlip: in training half of the pictures are mirrored; with both directions, both at once or neither, as Keras 3 draws once per
 * picture (tf_keras draws for each direction). Source: keras/src/layers/preprocessing/image_preprocessing/random_flip.py. */
#include "ops/picture.h"

#include <stdio.h>

static const char *const modes[] = {"horizontal_and_vertical", "horizontal", "vertical", NULL}; /* as tlvk_flip_mode */

static void defaults(void *attrs) { *(tlvk__random_flip_attrs *)attrs = (tlvk__random_flip_attrs){0}; }

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__random_flip_attrs *a = attrs;
    if (a->mode < 0 || a->mode > 2)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "RandomFlip with the mode %d; there are 0 to 2", a->mode);
    return tlvk__picture_shape("RandomFlip", inputs, x, y);
}

/* 1: left and right, 2: top and bottom. */
static uint32_t directions(const tlvk__random_flip_attrs *a) { return a->mode == 0 ? 3 : (uint32_t)a->mode; }

static tlvk_status record(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *x, const tlvk__tensor *y, bool accumulate) {
    if (!call->training)
        return tlvk__picture_copy(r, call, x, y, accumulate);
    tlvk__span span;
    tlvk__tensor params;
    tlvk_status s = tlvk__picture_params(call, &span, &params);
    if (s)
        return s;
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "random_flip", .operation = "random_flip", .layer = call->layer, .specs = {{"ACCUMULATE", accumulate}, {"MODE", directions(call->attrs)}},
        .operands = {{x, TLVK__READ, false}, {y, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}, {&params, TLVK__READ, true}}, .operand_count = 3,
        .n = x->n, .items = tlvk__sample_vec4s(x),
        .words = {(uint32_t)(x->pitch / TLVK__LANES), (uint32_t)x->h, (uint32_t)x->w, call->stream, 0}, .word_count = 5, .sample_word = 5, .first_sample = call->first_sample});
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) { return record(r, call, call->x[0], call->y, false); }
static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    return call->dx[0] ? record(r, call, call->dy, call->dx[0], call->dx_accumulate[0]) : TLVK_OK;
}

static void reference(const tlvk__ref_call *call, const tlvk__ref_tensor *x, tlvk__ref_tensor *y) {
    const tlvk__shape *s = &y->shape;
    int64_t h = s->dim[1], w = s->dim[2], c = s->dim[3], n = s->dim[0];
    for (int64_t i = 0; i < n * h * w; i++) {
        int64_t sample = i / (h * w), row = i / w % h, at = i % w;
        bool flipped = call->training && tlvk__picture_draws(call->step, call->stream, sample).u[0] <= 0.5f;
        uint32_t way = flipped ? directions(call->attrs) : 0;
        int64_t from = (sample * h + (way & 2 ? h - 1 - row : row)) * w + (way & 1 ? w - 1 - at : at);
        for (int64_t k = 0; k < c; k++) {
            y->v[i * c + k] = x->v[from * c + k];
            if (y->e)
                y->e[i * c + k] = 0;
        }
    }
}
static tlvk_status reference_forward(const tlvk__ref_call *call) {
    reference(call, call->x[0], call->y);
    return TLVK_OK;
}
static tlvk_status reference_backward(const tlvk__ref_call *call) {
    if (call->dx[0])
        reference(call, call->dy, call->dx[0]);
    return TLVK_OK;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { int mode; tlvk__shape x; bool inference, real; } cases[] = {
        {0, {4, {7, 4, 5, 3}}, false, false}, {1, {4, {8, 3, 6, 5}}, false, false}, {2, {4, {8, 5, 3, 8}}, false, false}, {1, {4, {3, 2, 3, 3}}, true, false},
        {1, {4, {8, 224, 224, 3}}, false, true},
    };
    if (index < 0 || (size_t)index >= TLVK__COUNT(cases))
        return false;
    memcpy(c->attrs.bytes, &(tlvk__random_flip_attrs){cases[index].mode}, sizeof(tlvk__random_flip_attrs));
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->training = !cases[index].inference;
    c->real_size = cases[index].real;
    snprintf(c->name, sizeof c->name, "%s %s%s", modes[cases[index].mode], tlvk__shape_text(&c->x[0], (char[64]){0}, 64), c->training ? "" : " inference");
    return true;
}

static const tlvk__field fields[] = {
    {.key = "mode", .type = TLVK__FIELD_CHOICE, .offset = offsetof(tlvk__random_flip_attrs, mode), .choices = modes}, TLVK__FIELDS_PICTURE, {0}};

const tlvk__op tlvk__op_random_flip = {
    .class_name = "RandomFlip", .snake_name = "random_flip", .flags = TLVK__OP_RANDOM, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__random_flip_attrs), .fields = fields, .defaults = defaults, .shape = shape, .view = tlvk__picture_view,
    .flops = tlvk__elementwise_flops, .forward = forward, .backward = backward,
    .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
