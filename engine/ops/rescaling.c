/* rescaling.c - Rescaling: x * scale + offset. Source: keras/src/layers/preprocessing/rescaling.py. */
#include "ops/attrs.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdio.h>

static void defaults(void *attrs) {
    *(tlvk__rescaling_attrs *)attrs = (tlvk__rescaling_attrs){.scale = 1, .offset = 0};
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__rescaling_attrs *a = attrs;
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Rescaling takes one input, here it has %d", inputs);
    if (!isfinite(a->scale) || !isfinite(a->offset))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Rescaling with scale %g and offset %g: both must be finite", (double)a->scale, (double)a->offset);
    *y = *x;
    return TLVK_OK;
}

static tlvk_status record(tlvk__recorder *r, const tlvk__tensor *x, const tlvk__tensor *y, float scale, float offset, bool accumulate, const char *layer) {
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "rescaling", .operation = "rescaling", .layer = layer, .specs = {{"ACCUMULATE", accumulate}, {"MASK", x->c % TLVK__LANES != 0}},
        .operands = {{x, TLVK__READ, false}, {y, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 2,
        .n = x->n, .items = tlvk__sample_vec4s(x), .flops = 2.0 * (double)x->n * (double)tlvk__sample_floats(x),
        .words = {(uint32_t)x->c, (uint32_t)(x->pitch / TLVK__LANES), tlvk__float_bits(scale), tlvk__float_bits(offset)}, .word_count = 4});
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__rescaling_attrs *a = call->attrs;
    return record(r, call->x[0], call->y, a->scale, a->offset, false, call->layer);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__rescaling_attrs *a = call->attrs;
    return call->dx[0] ? record(r, call->dy, call->dx[0], a->scale, 0, call->dx_accumulate[0], call->layer) : TLVK_OK;
}

static void reference(const tlvk__ref_tensor *x, tlvk__ref_tensor *y, double scale, double offset) {
    size_t count = tlvk__ref_count(y);
    for (size_t i = 0; i < count; i++) {
        y->v[i] = x->v[i] * scale + offset;
        if (y->e)
            y->e[i] = 2 * TLVK__U * (fabs(x->v[i] * scale) + fabs(offset));
    }
}
static tlvk_status reference_forward(const tlvk__ref_call *call) {
    const tlvk__rescaling_attrs *a = call->attrs;
    reference(call->x[0], call->y, (double)a->scale, (double)a->offset);
    return TLVK_OK;
}
static tlvk_status reference_backward(const tlvk__ref_call *call) {
    const tlvk__rescaling_attrs *a = call->attrs;
    if (call->dx[0])
        reference(call->dy, call->dx[0], (double)a->scale, 0);
    return TLVK_OK;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { tlvk__rescaling_attrs a; tlvk__shape x; } cases[] = {
        {{1.0f / 255, 0}, {4, {2, 4, 5, 3}}}, {{1.0f / 127.5f, -1}, {4, {3, 3, 2, 3}}}, {{-2, 0.5f}, {2, {2, 8}}}, {{1.0f / 127.5f, -1}, {4, {8, 224, 224, 3}}},
    };
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    memcpy(c->attrs.bytes, &cases[index].a, sizeof cases[index].a);
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->real_size = index == 3;
    snprintf(c->name, sizeof c->name, "scale %g offset %g %s", (double)cases[index].a.scale, (double)cases[index].a.offset,
             tlvk__shape_text(&c->x[0], (char[64]){0}, 64));
    return true;
}

static const tlvk__field fields[] = {
    {.key = "scale", .type = TLVK__FIELD_FLOAT, .offset = offsetof(tlvk__rescaling_attrs, scale)},
    {.key = "offset", .type = TLVK__FIELD_FLOAT, .offset = offsetof(tlvk__rescaling_attrs, offset)},
    {0},
};

const tlvk__op tlvk__op_rescaling = {
    .class_name = "Rescaling", .snake_name = "rescaling", .min_inputs = 1, .max_inputs = 1, .attr_bytes = sizeof(tlvk__rescaling_attrs),
    .fields = fields, .defaults = defaults, .shape = shape, .flops = tlvk__elementwise_flops, .forward = forward, .backward = backward,
    .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
