/* rescaling.c - Rescaling: x * scale + offset, with one number for everything or one per channel.
 * Source: keras/src/layers/preprocessing/rescaling.py. */
#include "ops/rescaling.h"

#include <math.h>
#include <stdio.h>

static void defaults(void *attrs) {
    *(tlvk__rescaling_attrs *)attrs = (tlvk__rescaling_attrs){tlvk__one_float(1), tlvk__one_float(0)};
}

tlvk_status tlvk__floats_fit(const char *class_name, const char *key, const tlvk__floats *f, const tlvk__shape *x) {
    char text[128];
    int64_t channels = x->rank > 0 ? x->dim[x->rank - 1] : 0;
    for (int i = 0; i < f->count; i++)
        if (!isfinite(f->v[i]))
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: its %s holds %g; it must be finite", class_name, key, (double)f->v[i]);
    if (f->count > 1 && channels != f->count)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s of %s: its %s has %d numbers; one, or one for each channel was expected", class_name,
                          tlvk__shape_text(x, text, sizeof text), key, f->count);
    return TLVK_OK;
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__rescaling_attrs *a = attrs;
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Rescaling takes one input, here it has %d", inputs);
    tlvk_status s = tlvk__floats_fit("Rescaling", "scale", &a->scale, x);
    if (!s)
        s = tlvk__floats_fit("Rescaling", "offset", &a->offset, x);
    *y = *x;
    return s;
}

tlvk_status tlvk__record_affine(tlvk__recorder *r, const tlvk__affine *a, const tlvk__tensor *x, const tlvk__tensor *y, bool accumulate) {
    bool channels = a->scale.count > 1 || a->offset.count > 1;
    tlvk__walk walk = {
        .shader = "rescaling", .texel = true, .operation = a->operation, .layer = a->layer,
        .specs = {{"ACCUMULATE", accumulate}, {"MASK", !channels && x->c % TLVK__LANES != 0}, {"CHANNELS", channels}},
        .operands = {{x, TLVK__READ, false}, {y, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 2,
        .n = x->n, .items = tlvk__sample_vec4s(x), .flops = 2.0 * (double)x->n * (double)tlvk__sample_floats(x),
        .words = {(uint32_t)x->c, (uint32_t)(x->pitch / TLVK__LANES)}, .word_count = 2 + 2 * TLVK__MAX_FLOATS};
    for (int i = 0; i < (channels ? (int)x->c : 1); i++) {
        walk.words[2 + i] = tlvk__float_bits(tlvk__float_of_channel(&a->scale, i));
        walk.words[2 + TLVK__MAX_FLOATS + i] = tlvk__float_bits(tlvk__float_of_channel(&a->offset, i));
    }
    return tlvk__record_walk(r, &walk);
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__rescaling_attrs *a = call->attrs;
    return tlvk__record_affine(r, &(tlvk__affine){"rescaling", call->layer, a->scale, a->offset}, call->x[0], call->y, false);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__rescaling_attrs *a = call->attrs;
    const tlvk__affine affine = {"rescaling", call->layer, a->scale, tlvk__one_float(0)};
    return call->dx[0] ? tlvk__record_affine(r, &affine, call->dy, call->dx[0], call->dx_accumulate[0]) : TLVK_OK;
}

static void reference(const tlvk__ref_tensor *x, tlvk__ref_tensor *y, const tlvk__floats *scales, const tlvk__floats *offsets) {
    size_t count = tlvk__ref_count(y);
    int64_t channels = y->shape.dim[y->shape.rank - 1];
    for (size_t i = 0; i < count; i++) {
        int64_t channel = (int64_t)i % channels;
        double scale = (double)tlvk__float_of_channel(scales, channel), offset = (double)tlvk__float_of_channel(offsets, channel);
        y->v[i] = x->v[i] * scale + offset;
        if (y->e)
            y->e[i] = 2 * TLVK__U * (fabs(x->v[i] * scale) + fabs(offset));
    }
}
static tlvk_status reference_forward(const tlvk__ref_call *call) {
    const tlvk__rescaling_attrs *a = call->attrs;
    reference(call->x[0], call->y, &a->scale, &a->offset);
    return TLVK_OK;
}
static tlvk_status reference_backward(const tlvk__ref_call *call) {
    const tlvk__rescaling_attrs *a = call->attrs;
    const tlvk__floats none = tlvk__one_float(0);
    if (call->dx[0])
        reference(call->dy, call->dx[0], &a->scale, &none);
    return TLVK_OK;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { tlvk__rescaling_attrs a; tlvk__shape x; } cases[] = {
        {{{1, false, {1.0f / 255}}, {1, false, {0}}}, {4, {2, 4, 5, 3}}},
        {{{1, false, {1.0f / 127.5f}}, {1, false, {-1}}}, {4, {3, 3, 2, 3}}},
        {{{1, false, {-2}}, {1, false, {0.5f}}}, {2, {2, 8}}},
        {{{3, true, {2.1f, 2.2f, 2.3f}}, {1, false, {0}}}, {4, {3, 4, 3, 3}}},
        {{{8, true, {1, -2, 3, 4, 5, 6, -7, 8}}, {8, true, {1, 2, 3, -4, 5, 6, 7, 8}}}, {2, {3, 8}}},
        {{{1, false, {2}}, {5, true, {1, 2, 3, -4, 5}}}, {3, {3, 2, 5}}},
        {{{1, false, {1.0f / 127.5f}}, {1, false, {-1}}}, {4, {8, 224, 224, 3}}},
    };
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    const tlvk__rescaling_attrs *a = &cases[index].a;
    memcpy(c->attrs.bytes, a, sizeof *a);
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->real_size = index == 6;
    snprintf(c->name, sizeof c->name, "%d scale %g %d offset %g %s", a->scale.count, (double)a->scale.v[0], a->offset.count, (double)a->offset.v[0],
             tlvk__shape_text(&c->x[0], (char[64]){0}, 64));
    return true;
}

static const tlvk__field fields[] = {
    {.key = "scale", .type = TLVK__FIELD_FLOATS, .offset = offsetof(tlvk__rescaling_attrs, scale)},
    {.key = "offset", .type = TLVK__FIELD_FLOATS, .offset = offsetof(tlvk__rescaling_attrs, offset)},
    {0},
};

const tlvk__op tlvk__op_rescaling = {
    .class_name = "Rescaling", .snake_name = "rescaling", .min_inputs = 1, .max_inputs = 1, .attr_bytes = sizeof(tlvk__rescaling_attrs),
    .fields = fields, .defaults = defaults, .shape = shape, .flops = tlvk__elementwise_flops, .forward = forward, .backward = backward,
    .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
