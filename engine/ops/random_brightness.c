/* random_brightness.c - RandomBrightness: in training each picture gets a number of its own added, a random share of the range of values, and is cut to that
 * range. Source: keras/src/layers/preprocessing/image_preprocessing/random_brightness.py. */
#include "ops/picture.h"

#include <math.h>
#include <stdio.h>

static void defaults(void *attrs) {
    *(tlvk__random_color_attrs *)attrs = (tlvk__random_color_attrs){.factor = {NAN, NAN}, .value_range = {0, 255}};
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__random_color_attrs *a = attrs;
    tlvk_status s = tlvk__picture_factor("RandomBrightness", "factor", a->factor, -1, 1);
    if (!s)
        s = tlvk__picture_factor("RandomBrightness", "value_range", a->value_range, -INFINITY, INFINITY);
    return s ? s : tlvk__picture_shape("RandomBrightness", inputs, x, y);
}

static unsigned backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)attrs, (void)training, (void)want_dx, (void)want_dw;
    return TLVK__READS_X;
}

static tlvk_status record(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *dy, const tlvk__tensor *y, bool accumulate) {
    const tlvk__random_color_attrs *a = call->attrs;
    const tlvk__tensor *x = call->x[0];
    if (!call->training)
        return tlvk__picture_copy(r, call, dy ? dy : x, y, accumulate);
    tlvk__span span;
    tlvk__tensor params;
    tlvk_status s = tlvk__picture_params(call, &span, &params);
    if (s)
        return s;
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "random_brightness", .operation = "random_brightness", .layer = call->layer,
        .specs = {{"ACCUMULATE", accumulate}, {"BACKWARD", dy != NULL}},
        .operands = {{x, TLVK__READ, false}, {dy, TLVK__READ, false}, {&params, TLVK__READ, true},
                     {y, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 4,
        .n = x->n, .items = tlvk__sample_vec4s(x), .flops = 3.0 * (double)x->n * (double)tlvk__sample_floats(x),
        .words = {(uint32_t)x->c, (uint32_t)(x->pitch / TLVK__LANES), (uint32_t)x->rows, call->stream, 0, tlvk__float_bits(a->factor[0]),
                  tlvk__float_bits(a->factor[1] - a->factor[0]), tlvk__float_bits(a->value_range[0]), tlvk__float_bits(a->value_range[1])},
        .word_count = 9, .sample_word = 5, .first_sample = call->first_sample});
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) { return record(r, call, NULL, call->y, false); }
static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    return call->dx[0] ? record(r, call, call->dy, call->dx[0], call->dx_accumulate[0]) : TLVK_OK;
}

static tlvk_status reference(const tlvk__ref_call *call, const tlvk__ref_tensor *dy, tlvk__ref_tensor *y) {
    const tlvk__random_color_attrs *a = call->attrs;
    const tlvk__ref_tensor *x = call->x[0];
    int64_t sample = x->shape.dim[1] * x->shape.dim[2] * x->shape.dim[3];
    double least = (double)a->value_range[0], most = (double)a->value_range[1];
    for (int64_t i = 0; i < sample * x->shape.dim[0]; i++) {
        float u = tlvk__picture_draws(call->step, call->stream, i / sample).u[0];
        float factor = tlvk__picture_uniform(u, a->factor[0], a->factor[1] - a->factor[0]);
        float delta = factor * (a->value_range[1] - a->value_range[0]);
        double v = x->v[i] + (double)delta, cut = fmin(fmax(v, least), most);
        if (dy)
            y->v[i] = !call->training || (v >= least && v <= most) ? dy->v[i] : 0;
        else
            y->v[i] = call->training ? cut : x->v[i];
        if (y->e)
            y->e[i] = dy ? 0 : 2 * TLVK__U * (fabs(x->v[i]) + fabs((double)delta));
    }
    return TLVK_OK;
}
static tlvk_status reference_forward(const tlvk__ref_call *call) { return reference(call, NULL, call->y); }
static tlvk_status reference_backward(const tlvk__ref_call *call) { return call->dx[0] ? reference(call, call->dy, call->dx[0]) : TLVK_OK; }

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { tlvk__random_color_attrs a; tlvk__shape x; bool inference, real; } cases[] = {
        {{{-0.5f, 0.5f}, {-1, 1}}, {4, {6, 4, 5, 3}}, false, false}, {{{0.1f, 1}, {0.25f, 1.5f}}, {4, {5, 3, 6, 5}}, false, false},
        {{{-1, -0.2f}, {-2, 255}}, {4, {5, 5, 3, 8}}, false, false}, {{{-1, 1}, {0, 255}}, {4, {3, 2, 3, 3}}, true, false},
        {{{-0.2f, 0.2f}, {-1, 1}}, {4, {8, 224, 224, 3}}, false, true},
    };
    if (index < 0 || (size_t)index >= TLVK__COUNT(cases))
        return false;
    const tlvk__random_color_attrs *a = &cases[index].a;
    memcpy(c->attrs.bytes, a, sizeof *a);
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->training = !cases[index].inference;
    c->real_size = cases[index].real;
    snprintf(c->name, sizeof c->name, "(%g, %g) of (%g, %g) %s", (double)a->factor[0], (double)a->factor[1], (double)a->value_range[0],
             (double)a->value_range[1], tlvk__shape_text(&c->x[0], (char[64]){0}, 64));
    return true;
}

static const tlvk__field fields[] = {
    {.key = "factor", .type = TLVK__FIELD_RANGE, .offset = offsetof(tlvk__random_color_attrs, factor)},
    {.key = "value_range", .type = TLVK__FIELD_FLOAT_PAIR, .offset = offsetof(tlvk__random_color_attrs, value_range)}, TLVK__FIELDS_PICTURE, {0}};

const tlvk__op tlvk__op_random_brightness = {
    .class_name = "RandomBrightness", .snake_name = "random_brightness", .flags = TLVK__OP_RANDOM, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__random_color_attrs), .fields = fields, .defaults = defaults, .shape = shape, .view = tlvk__picture_view,
    .backward_reads = backward_reads, .flops = tlvk__elementwise_flops, .forward = forward, .backward = backward,
    .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
