/* concatenate.c - Concatenate along the channels. Source: keras/src/layers/merging/concatenate.py. */
#include "ops/attrs.h"
#include "ops/elementwise.h"

#include <stdio.h>

static void defaults(void *attrs) {
    ((tlvk__concatenate_attrs *)attrs)->axis = -1;
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    int axis = ((const tlvk__concatenate_attrs *)attrs)->axis;
    char left[128], right[128];
    if (inputs < 1 || inputs > TLVK__MAX_INPUTS)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Concatenate takes 1 to %d inputs, here it has %d", TLVK__MAX_INPUTS, inputs);
    int last = x[0].rank - 1;
    if (last < 1 || (axis != -1 && axis != last))
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "Concatenate along axis %d of %s: only the last axis (-1) is supported", axis,
                          tlvk__shape_text(&x[0], left, sizeof left));
    *y = x[0];
    for (int i = 1; i < inputs; i++) {
        bool fits = x[i].rank == y->rank;
        for (int d = 0; fits && d < last; d++) {
            fits = x[i].dim[d] == y->dim[d] || x[i].dim[d] < 0 || y->dim[d] < 0;
            y->dim[d] = TLVK__MAX(y->dim[d], x[i].dim[d]);
        }
        if (!fits)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "Concatenate of %s and %s: all axes but the last must be equal",
                              tlvk__shape_text(&x[0], left, sizeof left), tlvk__shape_text(&x[i], right, sizeof right));
        y->dim[last] = y->dim[last] < 0 || x[i].dim[last] < 0 ? -1 : y->dim[last] + x[i].dim[last];
    }
    return TLVK_OK;
}

/* Copies c channels of each row, from channel from_at of `from` to channel to_at of `to`. `end`: nothing stands behind them in `to`, so the
 * lanes up to its pitch become zero. */
static tlvk_status record_copy(tlvk__recorder *r, const tlvk__tensor *from, int64_t from_at, const tlvk__tensor *to, int64_t to_at, int64_t c, bool end,
                               bool accumulate, const char *layer) {
    bool aligned = from_at % TLVK__LANES == 0 && to_at % TLVK__LANES == 0 && (end || c % TLVK__LANES == 0);
    int64_t unit = aligned ? TLVK__LANES : 1, row_items = aligned ? tlvk__div_up(c, TLVK__LANES) : end ? to->pitch - to_at : c;
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = aligned ? "channel_copy_aligned" : "channel_copy_scalar", .operation = "concatenate", .layer = layer,
        .specs = {{"ACCUMULATE", accumulate}},
        .operands = {{from, TLVK__READ, false}, {to, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 2,
        .n = to->n, .items = (uint64_t)(to->rows * row_items),
        .words = {(uint32_t)row_items, (uint32_t)(from->pitch / unit), (uint32_t)(from_at / unit), (uint32_t)(to->pitch / unit), (uint32_t)(to_at / unit),
                  (uint32_t)c}, .word_count = 6});
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk_status s = TLVK_OK;
    int64_t at = 0;
    for (int i = 0; !s && i < call->inputs; at += call->x[i]->c, i++)
        s = record_copy(r, call->x[i], 0, call->y, at, call->x[i]->c, i == call->inputs - 1, false, call->layer);
    return s;
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk_status s = TLVK_OK;
    int64_t at = 0;
    for (int i = 0; !s && i < call->inputs; at += call->x[i]->c, i++)
        if (call->dx[i])
            s = record_copy(r, call->dy, at, call->dx[i], 0, call->x[i]->c, true, call->dx_accumulate[i], call->layer);
    return s;
}

/* Rows of all inputs side by side; dense. Which way the numbers go is `back`. */
static void reference(const tlvk__ref_call *call, bool back) {
    const tlvk__shape *y = back ? &call->dy->shape : &call->y->shape;
    size_t total = (size_t)y->dim[y->rank - 1], at = 0;
    for (int i = 0; i < call->inputs; i++) {
        const tlvk__ref_tensor *x = call->x[i];
        size_t c = (size_t)x->shape.dim[x->shape.rank - 1], count = tlvk__ref_count(x);
        for (size_t k = 0; k < count; k++) {
            size_t out = k / c * total + at + k % c;
            if (!back) {
                call->y->v[out] = x->v[k];
                if (call->y->e)
                    call->y->e[out] = 0;
            } else if (call->dx[i]) {
                call->dx[i]->v[k] = call->dy->v[out];
                if (call->dx[i]->e)
                    call->dx[i]->e[k] = 0;
            }
        }
        at += c;
    }
}
static tlvk_status reference_forward(const tlvk__ref_call *call) {
    reference(call, false);
    return TLVK_OK;
}
static tlvk_status reference_backward(const tlvk__ref_call *call) {
    reference(call, true);
    return TLVK_OK;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { int inputs, channels[4]; int64_t h, w; } cases[] = {
        {2, {4, 8}, 3, 5}, {2, {8, 3}, 2, 4}, {3, {3, 6, 5}, 4, 3}, {4, {1, 1, 1, 1}, 2, 2}, {2, {7, 4}, 3, 3}, {1, {5}, 2, 2},
        {2, {6, 10}, 0, 0}, {4, {64, 64, 96, 32}, 35, 35}, {2, {256, 32}, 28, 28},
    };
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    defaults(c->attrs.bytes);
    c->inputs = cases[index].inputs;
    c->real_size = index >= 7;
    for (int i = 0; i < c->inputs; i++)
        c->x[i] = cases[index].h ? (tlvk__shape){4, {2, cases[index].h, cases[index].w, cases[index].channels[i]}}
                                 : (tlvk__shape){2, {3, cases[index].channels[i]}};
    const int *n = cases[index].channels;
    snprintf(c->name, sizeof c->name, "%d inputs %d+%d+%d+%d at %dx%d", c->inputs, n[0], n[1], n[2], n[3], (int)cases[index].h, (int)cases[index].w);
    return true;
}

static const tlvk__field fields[] = {
    {.key = "axis", .type = TLVK__FIELD_AXIS, .offset = offsetof(tlvk__concatenate_attrs, axis)},
    {0},
};

const tlvk__op tlvk__op_concatenate = {
    .class_name = "Concatenate", .snake_name = "concatenate", .min_inputs = 1, .max_inputs = TLVK__MAX_INPUTS,
    .attr_bytes = sizeof(tlvk__concatenate_attrs), .fields = fields, .defaults = defaults, .shape = shape, .flops = tlvk__elementwise_flops,
    .forward = forward, .backward = backward, .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
