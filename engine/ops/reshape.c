/* reshape.c - Reshape, and the copy that Flatten shares with it. Source: keras/src/layers/reshaping/reshape.py. */
#include "ops/reshape.h"

#include <stdio.h>

bool tlvk__reshape_view(const void *attrs, bool training, const tlvk__tensor *x, const tlvk__tensor *y) {
    (void)attrs, (void)training;
    return (x->c == x->pitch && y->c == y->pitch) || (x->rows == y->rows && x->c == y->c);
}

static tlvk_status record(tlvk__recorder *r, const tlvk__tensor *from, const tlvk__tensor *to, bool accumulate, const char *layer) {
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "reshape", .operation = "reshape", .layer = layer, .specs = {{"ACCUMULATE", accumulate}},
        .operands = {{from, TLVK__READ, false}, {to, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 2,
        .n = to->n, .items = tlvk__sample_vec4s(to),
        .words = {(uint32_t)tlvk__sample_floats(from), (uint32_t)from->c, (uint32_t)from->pitch, (uint32_t)to->rows, (uint32_t)to->c,
                  (uint32_t)(to->pitch / TLVK__LANES)}, .word_count = 6});
}

tlvk_status tlvk__reshape_forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return record(r, call->x[0], call->y, false, call->layer);
}

tlvk_status tlvk__reshape_backward(tlvk__recorder *r, const tlvk__op_call *call) {
    return call->dx[0] ? record(r, call->dy, call->dx[0], call->dx_accumulate[0], call->layer) : TLVK_OK;
}

static void copy(const tlvk__ref_tensor *from, tlvk__ref_tensor *to) {
    size_t count = tlvk__ref_count(to);
    memcpy(to->v, from->v, count * sizeof(double));
    if (to->e)
        memset(to->e, 0, count * sizeof(double));
}

tlvk_status tlvk__reshape_reference_forward(const tlvk__ref_call *call) {
    copy(call->x[0], call->y);
    return TLVK_OK;
}

tlvk_status tlvk__reshape_reference_backward(const tlvk__ref_call *call) {
    if (call->dx[0])
        copy(call->dy, call->dx[0]);
    return TLVK_OK;
}

static void defaults(void *attrs) {
    ((tlvk__reshape_attrs *)attrs)->target_shape = (tlvk__shape){.rank = 1, .dim = {-1}};
}

/* Product of the known sizes behind the batch; *open: how many are not known. */
static bool known_product(const tlvk__shape *s, int first, int64_t *product, int *open) {
    *product = 1;
    *open = 0;
    for (int i = first; i < s->rank; i++) {
        if (s->dim[i] < 0)
            (*open)++;
        else if (!tlvk__mul_i64(*product, s->dim[i], product))
            return false;
    }
    return true;
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__shape *target = &((const tlvk__reshape_attrs *)attrs)->target_shape;
    char from[128], to[128];
    int64_t have, want;
    int have_open, want_open;
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Reshape takes one input, here it has %d", inputs);
    if (target->rank < 1 || target->rank > TLVK__MAX_RANK - 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Reshape to %d axes besides the batch: 1 to %d are possible", target->rank, TLVK__MAX_RANK - 1);
    tlvk__shape_text(x, from, sizeof from);
    tlvk__shape_text(target, to, sizeof to);
    for (int i = 0; i < target->rank; i++)
        if (target->dim[i] == 0 || target->dim[i] < -1)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "Reshape to %s: each size is at least 1, one may be -1", to);
    if (!known_product(x, 1, &have, &have_open) || !known_product(target, 0, &want, &want_open))
        return tlvk__fail(TLVK_ERROR_MEMORY, "Reshape of %s to %s is larger than any memory", from, to);
    if (want_open > 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Reshape to %s: only one size may be -1", to);
    *y = (tlvk__shape){.rank = target->rank + 1, .dim = {x->dim[0]}};
    for (int i = 0; i < target->rank; i++)
        y->dim[i + 1] = target->dim[i];
    if (have_open > 0)
        return TLVK_OK;
    if (want_open ? want == 0 || have % want != 0 : have != want)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Reshape of %s to %s: %lld values per sample do not fill it", from, to, (long long)have);
    for (int i = 1; i < y->rank; i++)
        if (y->dim[i] < 0)
            y->dim[i] = have / want;
    return TLVK_OK;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { tlvk__shape x, target; } cases[] = {
        {{2, {3, 12}}, {3, {1, 1, 12}}}, {{4, {2, 3, 4, 5}}, {2, {6, 10}}}, {{2, {2, 30}}, {3, {2, 3, 5}}}, {{4, {3, 1, 1, 7}}, {1, {-1}}},
        {{4, {2, 4, 2, 8}}, {3, {2, -1, 4}}}, {{4, {2, 1, 1, 1024}}, {1, {1024}}},
    };
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    char from[64], to[64];
    memcpy(c->attrs.bytes, &(tlvk__reshape_attrs){cases[index].target}, sizeof(tlvk__reshape_attrs));
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->real_size = index == 5;
    snprintf(c->name, sizeof c->name, "%.32s to %.32s", tlvk__shape_text(&c->x[0], from, sizeof from),
             tlvk__shape_text(&cases[index].target, to, sizeof to));
    return true;
}

static const tlvk__field fields[] = {
    {.key = "target_shape", .type = TLVK__FIELD_SHAPE, .offset = offsetof(tlvk__reshape_attrs, target_shape)},
    {0},
};

const tlvk__op tlvk__op_reshape = {
    .class_name = "Reshape", .snake_name = "reshape", .min_inputs = 1, .max_inputs = 1, .attr_bytes = sizeof(tlvk__reshape_attrs), .fields = fields,
    .defaults = defaults, .shape = shape, .view = tlvk__reshape_view, .flops = tlvk__elementwise_flops,
    .forward = tlvk__reshape_forward, .backward = tlvk__reshape_backward,
    .reference_forward = tlvk__reshape_reference_forward, .reference_backward = tlvk__reshape_reference_backward, .test_case = test_case,
};
