/* concatenate.c - Concatenate along any axis but the batch. Source: keras/src/layers/merging/concatenate.py. */
#include "ops/attrs.h"
#include "ops/elementwise.h"

#include <stdio.h>

static void defaults(void *attrs) {
    ((tlvk__concatenate_attrs *)attrs)->axis = -1;
}

/* The axis counted from the batch, which is 0. */
static int axis_of(const void *attrs, int rank) {
    int axis = ((const tlvk__concatenate_attrs *)attrs)->axis;
    return axis < 0 ? axis + rank : axis;
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    char left[128], right[128];
    if (inputs < 1 || inputs > TLVK__MAX_INPUTS)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Concatenate takes 1 to %d inputs, here it has %d", TLVK__MAX_INPUTS, inputs);
    int axis = axis_of(attrs, x[0].rank);
    if (axis < 1 || axis >= x[0].rank)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Concatenate along axis %d of %s: axes 1 to %d can be, or -1 for the last", ((const tlvk__concatenate_attrs *)attrs)->axis,
                          tlvk__shape_text(&x[0], left, sizeof left), x[0].rank - 1);
    *y = x[0];
    for (int i = 1; i < inputs; i++) {
        bool fits = x[i].rank == y->rank;
        for (int d = 0; fits && d < y->rank; d++) {
            if (d == axis)
                continue;
            fits = x[i].dim[d] == y->dim[d] || x[i].dim[d] < 0 || y->dim[d] < 0;
            y->dim[d] = TLVK__MAX(y->dim[d], x[i].dim[d]);
        }
        if (!fits)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "Concatenate of %s and %s along axis %d: all other axes must be equal",
                              tlvk__shape_text(&x[0], left, sizeof left), tlvk__shape_text(&x[i], right, sizeof right), axis);
        y->dim[axis] = y->dim[axis] < 0 || x[i].dim[axis] < 0 ? -1 : y->dim[axis] + x[i].dim[axis];
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
        .shader = aligned ? "channel_copy_aligned" : "channel_copy_scalar", .texel = aligned, .operation = "concatenate", .layer = layer,
        .specs = {{"ACCUMULATE", accumulate}},
        .operands = {{from, TLVK__READ, false}, {to, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 2,
        .n = to->n, .items = (uint64_t)(to->rows * row_items),
        .words = {(uint32_t)row_items, (uint32_t)(tlvk__row_vecs(from) * TLVK__LANES / unit), (uint32_t)(from_at / unit),
                  (uint32_t)(tlvk__row_vecs(to) * TLVK__LANES / unit), (uint32_t)(to_at / unit),
                  (uint32_t)c}, .word_count = 6});
}

/* Vec4 of a sample of t that belong to one position of the axes before `axis`. */
static int64_t inner_vecs(const tlvk__tensor *t, int axis) {
    int64_t vecs = t->pitch / TLVK__LANES;
    for (int i = axis; i < t->shape.rank - 1; i++)
        vecs *= t->shape.dim[i];
    return vecs;
}

/* The same along an axis before the channels: `vecs` at a time, which begin at from_at and to_at of from_pitch and to_pitch. */
static tlvk_status record_block(tlvk__recorder *r, const tlvk__tensor *from, int64_t from_at, int64_t from_pitch, const tlvk__tensor *to, int64_t to_at,
                                int64_t to_pitch, int64_t vecs, bool accumulate, const char *layer) {
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "channel_copy_aligned", .texel = true, .operation = "concatenate", .layer = layer, .specs = {{"ACCUMULATE", accumulate}},
        .operands = {{from, TLVK__READ, false}, {to, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 2,
        .n = to->n, .items = tlvk__sample_vec4s(to) / (uint64_t)to_pitch * (uint64_t)vecs,
        .words = {(uint32_t)vecs, (uint32_t)from_pitch, (uint32_t)from_at, (uint32_t)to_pitch, (uint32_t)to_at, (uint32_t)(vecs * TLVK__LANES)}, .word_count = 6});
}

static bool by_channels(const tlvk__op_call *call) {
    int rank = call->x[0]->shape.rank;
    return axis_of(call->attrs, rank) == rank - 1;
}

static unsigned slices(const tlvk__caps *caps, const tlvk__op_call *call) {
    (void)caps;
    return by_channels(call) ? TLVK__SLICED_X | TLVK__SLICED_Y | TLVK__SLICED_DX | TLVK__SLICED_DY : 0;
}

/* Channels that do not begin at whole vec4 are moved one by one. */
static unsigned halves(const tlvk__caps *caps, const tlvk__op_call *call) {
    (void)caps;
    for (int i = 0; by_channels(call) && i < call->inputs - 1; i++)
        if (call->x[i]->c % TLVK__LANES != 0)
            return 0;
    return TLVK__HALF_X | TLVK__HALF_Y;
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk_status s = TLVK_OK;
    bool channels = by_channels(call);
    int axis = axis_of(call->attrs, call->x[0]->shape.rank);
    int64_t at = 0, pitch = inner_vecs(call->y, axis);
    for (int i = 0; !s && i < call->inputs; i++) {
        const tlvk__tensor *x = call->x[i];
        int64_t vecs = inner_vecs(x, axis);
        if (!call->in_place[i])
            s = channels ? record_copy(r, x, 0, call->y, at, x->c, i == call->inputs - 1, false, call->layer)
                         : record_block(r, x, 0, vecs, call->y, at, pitch, vecs, false, call->layer);
        at += channels ? x->c : vecs;
    }
    return s;
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk_status s = TLVK_OK;
    bool channels = by_channels(call);
    int axis = axis_of(call->attrs, call->x[0]->shape.rank);
    int64_t at = 0, pitch = inner_vecs(call->dy, axis);
    for (int i = 0; !s && i < call->inputs; i++) {
        const tlvk__tensor *x = call->x[i], *dx = call->dx[i];
        int64_t vecs = inner_vecs(x, axis);
        if (dx)
            s = channels ? record_copy(r, call->dy, at, dx, 0, x->c, true, call->dx_accumulate[i], call->layer)
                         : record_block(r, call->dy, at, pitch, dx, 0, vecs, vecs, call->dx_accumulate[i], call->layer);
        at += channels ? x->c : vecs;
    }
    return s;
}

/* Elements of one position of the axes before `axis`. */
static size_t inner_count(const tlvk__shape *s, int axis) {
    size_t count = 1;
    for (int i = axis; i < s->rank; i++)
        count *= (size_t)s->dim[i];
    return count;
}

/* Blocks of all inputs side by side; dense. Which way the numbers go is `back`. */
static void reference(const tlvk__ref_call *call, bool back) {
    const tlvk__shape *y = back ? &call->dy->shape : &call->y->shape;
    int axis = axis_of(call->attrs, y->rank);
    size_t total = inner_count(y, axis), at = 0;
    for (int i = 0; i < call->inputs; i++) {
        const tlvk__ref_tensor *x = call->x[i];
        size_t c = inner_count(&x->shape, axis), count = tlvk__ref_count(x);
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
    static const struct { int inputs, axis; tlvk__shape x; int sizes[4]; bool real; } cases[] = {
        {2, -1, {4, {2, 3, 5, 0}}, {4, 8}, false}, {2, 3, {4, {2, 2, 4, 0}}, {8, 3}, false}, {3, -1, {4, {2, 4, 3, 0}}, {3, 6, 5}, false},
        {4, -1, {4, {2, 2, 2, 0}}, {1, 1, 1, 1}, false}, {2, -1, {4, {2, 3, 3, 0}}, {7, 4}, false}, {1, -1, {4, {2, 2, 2, 0}}, {5}, false},
        {2, 1, {2, {3, 0}}, {6, 10}, false}, {2, 1, {4, {2, 0, 3, 5}}, {2, 4}, false}, {3, 2, {4, {3, 4, 0, 6}}, {1, 3, 2}, false},
        {2, -2, {4, {2, 3, 0, 8}}, {2, 2}, false}, {2, 1, {3, {2, 0, 7}}, {5, 1}, false}, {2, -3, {5, {2, 2, 0, 3, 5}}, {2, 3}, false},
        {4, -1, {4, {2, 35, 35, 0}}, {64, 64, 96, 32}, true}, {2, -1, {4, {2, 28, 28, 0}}, {256, 32}, true},
    };
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    memcpy(c->attrs.bytes, &(tlvk__concatenate_attrs){.axis = cases[index].axis}, sizeof(tlvk__concatenate_attrs));
    c->inputs = cases[index].inputs;
    c->real_size = cases[index].real;
    const int *n = cases[index].sizes;
    for (int i = 0; i < c->inputs; i++) {
        c->x[i] = cases[index].x;
        c->x[i].dim[axis_of(c->attrs.bytes, c->x[i].rank)] = n[i];
    }
    snprintf(c->name, sizeof c->name, "%d inputs %d+%d+%d+%d along axis %d of %s", c->inputs, n[0], n[1], n[2], n[3], cases[index].axis,
             tlvk__shape_text(&c->x[0], (char[64]){0}, 64));
    return true;
}

static const tlvk__field fields[] = {
    {.key = "axis", .type = TLVK__FIELD_AXIS, .offset = offsetof(tlvk__concatenate_attrs, axis)},
    {0},
};

const tlvk__op tlvk__op_concatenate = {
    .class_name = "Concatenate", .snake_name = "concatenate", .min_inputs = 1, .max_inputs = TLVK__MAX_INPUTS,
    .attr_bytes = sizeof(tlvk__concatenate_attrs), .fields = fields, .defaults = defaults, .shape = shape, .flops = tlvk__elementwise_flops, .slices = slices, .halves = halves,
    .forward = forward, .backward = backward, .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
