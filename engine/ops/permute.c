/* permute.c - Permute: the axes besides the batch in another order. Source: keras/src/layers/reshaping/permute.py. */
#include "ops/attrs.h"
#include "ops/elementwise.h"

#include <stdio.h>

enum { ROW_AXES = TLVK__MAX_RANK - 2 }; /* between batch and channels */

static void defaults(void *attrs) {
    *(tlvk__permute_attrs *)attrs = (tlvk__permute_attrs){.dims = {.rank = 0}};
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__shape *dims = &((const tlvk__permute_attrs *)attrs)->dims;
    char text[128], order[128];
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Permute takes one input, here it has %d", inputs);
    tlvk__shape_text(x, text, sizeof text);
    tlvk__shape_text(dims, order, sizeof order);
    if (dims->rank < 1 || dims->rank != x->rank - 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Permute of %s by %s: each axis besides the batch must be named once, here that are %d", text, order, x->rank - 1);
    unsigned seen = 0;
    *y = *x;
    for (int i = 0; i < dims->rank; i++) {
        if (dims->dim[i] < 1 || dims->dim[i] > dims->rank || (seen & (1u << dims->dim[i])))
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "Permute of %s by %s: the numbers must be those from 1 to %d, each once", text, order, dims->rank);
        seen |= 1u << dims->dim[i];
        y->dim[1 + i] = x->dim[dims->dim[i]];
    }
    return TLVK_OK;
}

static bool view(const void *attrs, bool training, const tlvk__tensor *x, const tlvk__tensor *y) {
    const tlvk__shape *dims = &((const tlvk__permute_attrs *)attrs)->dims;
    (void)training, (void)x, (void)y;
    for (int i = 0; i < dims->rank; i++)
        if (dims->dim[i] != i + 1)
            return false;
    return true;
}

/* Axis k + 1 of `to` is axis dims[k] of `from`; both have `rank` axes besides the batch. */
static tlvk_status record(tlvk__recorder *r, const tlvk__tensor *from, const tlvk__tensor *to, const int *dims, int rank, bool accumulate, const char *layer) {
    int64_t stride[TLVK__MAX_RANK] = {0}, step = from->pitch;
    stride[rank] = 1;
    for (int axis = rank - 1; axis >= 1; axis--) {
        stride[axis] = step;
        step *= from->shape.dim[axis];
    }
    tlvk__walk walk = {
        .shader = "permute", .operation = "permute", .layer = layer, .specs = {{"ACCUMULATE", accumulate}},
        .operands = {{from, TLVK__READ, false}, {to, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 2,
        .n = to->n, .items = tlvk__sample_vec4s(to), .word_count = 5 + 2 * ROW_AXES,
        .words = {(uint32_t)(to->pitch / TLVK__LANES), (uint32_t)to->c, (uint32_t)(rank - 1), (uint32_t)tlvk__sample_floats(from), (uint32_t)stride[dims[rank - 1]]}};
    for (int k = 0; k < rank - 1; k++) {
        int axis = rank - 1 - k;
        walk.words[5 + k] = (uint32_t)to->shape.dim[axis];
        walk.words[5 + ROW_AXES + k] = (uint32_t)stride[dims[axis - 1]];
    }
    return tlvk__record_walk(r, &walk);
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__shape *dims = &((const tlvk__permute_attrs *)call->attrs)->dims;
    int order[TLVK__MAX_RANK];
    for (int i = 0; i < dims->rank; i++)
        order[i] = (int)dims->dim[i];
    return record(r, call->x[0], call->y, order, dims->rank, false, call->layer);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__shape *dims = &((const tlvk__permute_attrs *)call->attrs)->dims;
    int inverse[TLVK__MAX_RANK];
    for (int i = 0; i < dims->rank; i++)
        inverse[dims->dim[i] - 1] = i + 1;
    return call->dx[0] ? record(r, call->dy, call->dx[0], inverse, dims->rank, call->dx_accumulate[0], call->layer) : TLVK_OK;
}

/* --- reference: dense, element i of the output from where its coordinates lie in the input; `back`: the other way ------------------------ */

static void copy(const tlvk__shape *dims, const tlvk__shape *x, const tlvk__ref_tensor *from, tlvk__ref_tensor *to, bool back) {
    size_t count = tlvk__ref_count(to);
    for (size_t i = 0; i < count; i++) {
        int64_t rest = (int64_t)i, coordinate[TLVK__MAX_RANK] = {0}, at = 0;
        for (int k = dims->rank; k >= 1; k--) {
            int axis = (int)dims->dim[k - 1];
            coordinate[axis] = rest % x->dim[axis];
            rest /= x->dim[axis];
        }
        coordinate[0] = rest;
        for (int axis = 0; axis < x->rank; axis++)
            at = at * x->dim[axis] + coordinate[axis];
        size_t a = back ? i : (size_t)at, b = back ? (size_t)at : i;
        to->v[b] = from->v[a];
        if (to->e)
            to->e[b] = 0;
    }
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    copy(&((const tlvk__permute_attrs *)call->attrs)->dims, &call->x[0]->shape, call->x[0], call->y, false);
    return TLVK_OK;
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    if (call->dx[0])
        copy(&((const tlvk__permute_attrs *)call->attrs)->dims, &call->dx[0]->shape, call->dy, call->dx[0], true);
    return TLVK_OK;
}

/* --- cases ------------------------------------------------------------------------------------------------------------------------------ */

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { tlvk__shape x, dims; } cases[] = {
        {{4, {2, 3, 4, 5}}, {3, {2, 1, 3}}}, {{4, {2, 3, 4, 5}}, {3, {3, 1, 2}}}, {{4, {3, 2, 5, 7}}, {3, {1, 3, 2}}}, {{3, {2, 6, 9}}, {2, {2, 1}}},
        {{2, {3, 6}}, {1, {1}}}, {{4, {2, 2, 3, 6}}, {3, {1, 2, 3}}}, {{5, {2, 2, 3, 4, 5}}, {4, {4, 2, 1, 3}}},
        {{8, {2, 2, 1, 3, 2, 2, 3, 2}}, {7, {7, 3, 5, 1, 2, 6, 4}}},
        {{4, {2, 56, 56, 64}}, {3, {3, 1, 2}}},
    };
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    char x[64], dims[64];
    memcpy(c->attrs.bytes, &(tlvk__permute_attrs){cases[index].dims}, sizeof(tlvk__permute_attrs));
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->real_size = index == 8;
    snprintf(c->name, sizeof c->name, "%.40s by %.40s", tlvk__shape_text(&c->x[0], x, sizeof x), tlvk__shape_text(&cases[index].dims, dims, sizeof dims));
    return true;
}

static const tlvk__field fields[] = {
    {.key = "dims", .type = TLVK__FIELD_SHAPE, .offset = offsetof(tlvk__permute_attrs, dims)},
    {0},
};

const tlvk__op tlvk__op_permute = {
    .class_name = "Permute", .snake_name = "permute", .min_inputs = 1, .max_inputs = 1, .attr_bytes = sizeof(tlvk__permute_attrs), .fields = fields,
    .defaults = defaults, .shape = shape, .view = view, .flops = tlvk__elementwise_flops, .forward = forward, .backward = backward,
    .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
