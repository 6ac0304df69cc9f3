/* multiply.c - Multiply: the product of its inputs, elementwise. Source: keras/src/layers/merging/multiply.py. */
#include "ops/merge.h"

#include <math.h>
#include <stdio.h>

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    (void)attrs;
    return tlvk__merge_shape("Multiply", inputs, x, y);
}

static double flops(const tlvk__op_call *call) {
    return tlvk__elementwise_flops(call) * (call->inputs - 1);
}

static unsigned backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)attrs, (void)training, (void)want_dx, (void)want_dw;
    return TLVK__READS_X;
}

/* With more than two inputs the product of the gradient with all others but one is made on the way. */
static tlvk_status needs(const tlvk__caps *caps, const tlvk__op_call *call, bool want_dx, bool want_dw, tlvk__op_needs *n) {
    (void)caps, (void)want_dw;
    if (want_dx && call->inputs > 2 && !tlvk__tensor_bytes(call->y, &n->backward_scratch_bytes))
        return tlvk__fail(TLVK_ERROR_MEMORY, "the gradient of Multiply is larger than any memory");
    return TLVK_OK;
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return tlvk__record_merge_all(r, TLVK__MERGE_MULTIPLY, call);
}

/* dx_k = sum over broadcast axes of dy * x_0 * .. without x_k .. */
static tlvk_status backward_of(tlvk__recorder *r, const tlvk__op_call *call, int k) {
    tlvk__tensor product = tlvk__merge_room(&call->scratch, call->y);
    const tlvk__tensor *sum = call->dy;
    int last = k == call->inputs - 1 ? call->inputs - 2 : call->inputs - 1;
    tlvk_status s = TLVK_OK;
    for (int i = 0; !s && i < last; i++) {
        if (i == k)
            continue;
        s = tlvk__record_merge(r, TLVK__MERGE_MULTIPLY, 1, sum, call->x[i], &product, false, call->layer);
        sum = &product;
    }
    return s ? s : tlvk__record_merge_gradient(r, 1, sum, call->x[last], call->dx[k], call->dx_accumulate[k], call->layer);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk_status s = TLVK_OK;
    for (int k = 0; !s && k < call->inputs; k++)
        if (call->dx[k])
            s = backward_of(r, call, k);
    return s;
}

/* Product of the inputs at element i of y, without input `but` (-1: all). */
static double product_at(const tlvk__ref_call *call, const tlvk__shape *y, int but, size_t i) {
    double product = 1;
    for (int k = 0; k < call->inputs; k++)
        if (k != but)
            product *= call->x[k]->v[tlvk__merge_index(y, &call->x[k]->shape, i)];
    return product;
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    size_t count = tlvk__ref_count(call->y);
    for (size_t i = 0; i < count; i++) {
        call->y->v[i] = product_at(call, &call->y->shape, -1, i);
        if (call->y->e)
            call->y->e[i] = call->inputs * TLVK__U * fabs(call->y->v[i]);
    }
    return TLVK_OK;
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    size_t count = tlvk__ref_count(call->dy);
    for (int k = 0; k < call->inputs; k++) {
        tlvk__ref_tensor *dx = call->dx[k];
        if (!dx)
            continue;
        size_t own = tlvk__ref_count(dx);
        double terms = (double)(count / own), spread = (call->inputs + (terms > 1 ? 4 * sqrt(terms) + 4 : 0)) * TLVK__U;
        for (size_t i = 0; i < own; i++)
            dx->v[i] = 0;
        for (size_t i = 0; dx->e && i < own; i++)
            dx->e[i] = 0;
        for (size_t i = 0; i < count; i++) {
            size_t at = tlvk__merge_index(&call->dy->shape, &dx->shape, i);
            double term = call->dy->v[i] * product_at(call, &call->dy->shape, k, i);
            dx->v[at] += term;
            if (dx->e)
                dx->e[at] += spread * fabs(term);
        }
    }
    return TLVK_OK;
}

static bool test_case(int index, tlvk__op_case *c) {
    if (tlvk__merge_test_case(index, true, c))
        return true;
    if (index > 0 && !tlvk__merge_test_case(index - 1, true, c))
        return false;
    c->inputs = 2;
    c->x[0] = (tlvk__shape){4, {4, 56, 56, 96}};
    c->x[1] = (tlvk__shape){4, {4, 1, 1, 96}};
    c->real_size = true;
    snprintf(c->name, sizeof c->name, "2 inputs (4, 56, 56, 96) (4, 1, 1, 96)");
    return true;
}

static const tlvk__field fields[] = {{0}};

const tlvk__op tlvk__op_multiply = {
    .class_name = "Multiply", .snake_name = "multiply", .flags = TLVK__OP_ACTIVATES, .min_inputs = 2, .max_inputs = TLVK__MAX_INPUTS, .fields = fields, .defaults = tlvk__no_defaults, .shape = shape,
    .halves = tlvk__merge_halves, .backward_reads = backward_reads, .flops = flops, .needs = needs, .forward = forward, .backward = backward,
    .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
