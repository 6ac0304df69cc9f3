/* add.c - Add: the sum of its inputs. Source: keras/src/layers/merging/add.py. */
#include "ops/merge.h"

#include <stdio.h>

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    (void)attrs;
    return tlvk__merge_shape("Add", inputs, x, y);
}

static double flops(const tlvk__op_call *call) {
    return tlvk__elementwise_flops(call) * (call->inputs - 1);
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return tlvk__record_merge_all(r, TLVK__MERGE_ADD, call);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk_status s = TLVK_OK;
    for (int i = 0; !s && i < call->inputs; i++)
        if (call->dx[i])
            s = tlvk__record_merge_gradient(r, 1, call->dy, NULL, call->dx[i], call->dx_accumulate[i], call->layer);
    return s;
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    return tlvk__merge_sum_reference_forward(call, 1, 1);
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    return tlvk__merge_sum_reference_backward(call, 1, 1);
}

static bool test_case(int index, tlvk__op_case *c) {
    if (tlvk__merge_test_case(index, true, c))
        return true;
    if (index > 0 && !tlvk__merge_test_case(index - 1, true, c))
        return false;
    c->inputs = 2;
    c->x[0] = c->x[1] = (tlvk__shape){4, {8, 28, 28, 128}};
    c->real_size = true;
    snprintf(c->name, sizeof c->name, "2 inputs (8, 28, 28, 128)");
    return true;
}

static const tlvk__field fields[] = {{0}};

const tlvk__op tlvk__op_add = {
    .class_name = "Add", .snake_name = "add", .flags = TLVK__OP_ACTIVATES, .min_inputs = 2, .max_inputs = TLVK__MAX_INPUTS, .fields = fields, .defaults = tlvk__no_defaults, .shape = shape, .flops = flops,
    .halves = tlvk__merge_halves, .forward = forward, .backward = backward, .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
