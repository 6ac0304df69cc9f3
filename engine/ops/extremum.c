/* extremum.c - Maximum and Minimum of their inputs, element by element. Source: keras/src/layers/merging/maximum.py, minimum.py; of equal inputs
 * the first takes the gradient, since TensorFlow's gradient of max(a, b) goes to a where a >= b (array of inputs taken from the left). */
#include "ops/merge.h"

#include <math.h>
#include <stdio.h>

static tlvk_status maximum_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    (void)attrs;
    return tlvk__merge_shape("Maximum", inputs, x, y);
}
static tlvk_status minimum_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    (void)attrs;
    return tlvk__merge_shape("Minimum", inputs, x, y);
}

static double flops(const tlvk__op_call *call) {
    return tlvk__elementwise_flops(call) * (call->inputs - 1);
}

static unsigned backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)attrs, (void)training, (void)want_dx, (void)want_dw;
    return TLVK__READS_X | TLVK__READS_Y;
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call, tlvk__merge_kind kind) {
    tlvk_status s = tlvk__record_merge(r, kind, 1, call->x[0], call->x[1], call->y, false, call->layer);
    for (int i = 2; !s && i < call->inputs; i++)
        s = tlvk__record_merge(r, kind, 1, call->y, call->x[i], call->y, false, call->layer);
    return s;
}
static tlvk_status maximum_forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return forward(r, call, TLVK__MERGE_MAXIMUM);
}
static tlvk_status minimum_forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return forward(r, call, TLVK__MERGE_MINIMUM);
}

/* --- gradient: what is left of dy goes from input to input, each takes its share ------------------------------------------------------- */

/* Scratch: what is left, and the share of an input that is broadcast, both of y's size. */
static uint64_t room_bytes(const tlvk__tensor *y) {
    uint64_t bytes;
    return tlvk__tensor_bytes(y, &bytes) ? tlvk__round_up(bytes, 256) : 0;
}

static tlvk_status needs(const tlvk__caps *caps, const tlvk__op_call *call, bool want_dx, bool want_dw, tlvk__op_needs *n) {
    (void)caps, (void)want_dw;
    uint64_t bytes = room_bytes(call->y);
    if (!bytes || bytes > UINT64_MAX / 2)
        return tlvk__fail(TLVK_ERROR_MEMORY, "the gradient of Maximum or Minimum is larger than any memory");
    n->backward_scratch_bytes = want_dx ? 2 * bytes : 0;
    return TLVK_OK;
}

/* share (NULL: nobody wants it) = what is left where x is y; nothing is left there. */
static tlvk_status record_choose(tlvk__recorder *r, const tlvk__tensor *x, const tlvk__tensor *y, const tlvk__tensor *left, const tlvk__tensor *share,
                                 bool accumulate, const char *layer) {
    tlvk__walk walk = {
        .shader = "merge_choose", .operation = "merge_choose", .layer = layer, .specs = {{"ACCUMULATE", accumulate}, {"SHARE", share != NULL}},
        .operands = {{x, TLVK__READ, false}, {y, TLVK__READ, false}, {left, TLVK__READ_WRITE, false}, {share, TLVK__READ_WRITE, false}}, .operand_count = 4,
        .n = y->n, .items = tlvk__sample_vec4s(y), .flops = (double)y->n * (double)tlvk__sample_floats(y),
        .words = {(uint32_t)(y->pitch / TLVK__LANES), (uint32_t)y->w, (uint32_t)y->h}, .word_count = 7};
    tlvk__merge_strides(x, y, walk.words + 3);
    return tlvk__record_walk(r, &walk);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__tensor *y = call->y;
    uint64_t bytes = room_bytes(y);
    tlvk__span left_span = tlvk__span_part(call->scratch, 0, bytes), share_span = tlvk__span_part(call->scratch, bytes, bytes);
    tlvk__tensor left = tlvk__merge_room(&left_span, y), share = tlvk__merge_room(&share_span, y);
    tlvk_status s = tlvk__record_merge_gradient(r, 1, call->dy, NULL, &left, false, call->layer);
    for (int k = 0; !s && k < call->inputs; k++) {
        const tlvk__tensor *dx = call->dx[k];
        bool whole = dx && dx->rows == y->rows && dx->c == y->c;
        s = record_choose(r, call->x[k], y, &left, whole ? dx : dx ? &share : NULL, whole && call->dx_accumulate[k], call->layer);
        if (!s && dx && !whole)
            s = tlvk__record_merge_gradient(r, 1, &share, NULL, dx, call->dx_accumulate[k], call->layer);
    }
    return s;
}

/* --- reference -------------------------------------------------------------------------------------------------------------------------- */

/* Which input gives element i of y. */
static int winner(const tlvk__ref_call *call, const tlvk__shape *y, double sign, size_t i, double *value) {
    int best = 0;
    for (int k = 0; k < call->inputs; k++) {
        double v = call->x[k]->v[tlvk__merge_index(y, &call->x[k]->shape, i)];
        if (k > 0 && sign * v <= sign * *value)
            continue;
        *value = v;
        best = k;
    }
    return best;
}

static tlvk_status reference_forward(const tlvk__ref_call *call, double sign) {
    size_t count = tlvk__ref_count(call->y);
    for (size_t i = 0; i < count; i++) {
        winner(call, &call->y->shape, sign, i, &call->y->v[i]);
        if (call->y->e)
            call->y->e[i] = 0;
    }
    return TLVK_OK;
}
static tlvk_status maximum_reference(const tlvk__ref_call *call) {
    return reference_forward(call, 1);
}
static tlvk_status minimum_reference(const tlvk__ref_call *call) {
    return reference_forward(call, -1);
}

static tlvk_status reference_backward(const tlvk__ref_call *call, double sign) {
    size_t count = tlvk__ref_count(call->dy);
    for (int k = 0; k < call->inputs; k++) {
        tlvk__ref_tensor *dx = call->dx[k];
        if (!dx)
            continue;
        size_t own = tlvk__ref_count(dx);
        double terms = (double)(count / own), spread = terms > 1 ? (4 * sqrt(terms) + 4) * TLVK__U : 0, value = 0;
        memset(dx->v, 0, own * sizeof(double));
        if (dx->e)
            memset(dx->e, 0, own * sizeof(double));
        for (size_t i = 0; i < count; i++) {
            if (winner(call, &call->dy->shape, sign, i, &value) != k)
                continue;
            size_t at = tlvk__merge_index(&call->dy->shape, &dx->shape, i);
            dx->v[at] += call->dy->v[i];
            if (dx->e)
                dx->e[at] += spread * fabs(call->dy->v[i]);
        }
    }
    return TLVK_OK;
}
static tlvk_status maximum_reference_backward(const tlvk__ref_call *call) {
    return reference_backward(call, 1);
}
static tlvk_status minimum_reference_backward(const tlvk__ref_call *call) {
    return reference_backward(call, -1);
}

/* Each merging case twice: with numbers that differ, and with many that are equal. */
static bool test_case(int index, tlvk__op_case *c) {
    if (!tlvk__merge_test_case(index / 2, true, c))
        return false;
    c->coarse = index % 2 == 1;
    size_t length = strlen(c->name);
    snprintf(c->name + length, sizeof c->name - length, "%s", c->coarse ? " with ties" : "");
    return true;
}

static const tlvk__field fields[] = {{0}};

const tlvk__op tlvk__op_maximum = {
    .class_name = "Maximum", .snake_name = "maximum", .min_inputs = 2, .max_inputs = TLVK__MAX_INPUTS, .fields = fields, .defaults = tlvk__no_defaults,
    .shape = maximum_shape, .backward_reads = backward_reads, .flops = flops, .needs = needs, .forward = maximum_forward, .backward = backward,
    .reference_forward = maximum_reference, .reference_backward = maximum_reference_backward, .test_case = test_case,
};

const tlvk__op tlvk__op_minimum = {
    .class_name = "Minimum", .snake_name = "minimum", .min_inputs = 2, .max_inputs = TLVK__MAX_INPUTS, .fields = fields, .defaults = tlvk__no_defaults,
    .shape = minimum_shape, .backward_reads = backward_reads, .flops = flops, .needs = needs, .forward = minimum_forward, .backward = backward,
    .reference_forward = minimum_reference, .reference_backward = minimum_reference_backward, .test_case = test_case,
};
