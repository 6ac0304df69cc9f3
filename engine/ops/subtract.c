/* subtract.c - Subtract: the first input less the second. Source: keras/src/layers/merging/subtract.py. */
#include "ops/merge.h"

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    (void)attrs;
    if (inputs != 2)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Subtract takes 2 inputs, here it has %d", inputs);
    return tlvk__merge_shape("Subtract", inputs, x, y);
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return tlvk__record_merge(r, TLVK__MERGE_SUBTRACT, 1, call->x[0], call->x[1], call->y, false, call->layer);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk_status s = TLVK_OK;
    for (int i = 0; !s && i < 2; i++)
        if (call->dx[i])
            s = tlvk__record_merge_gradient(r, i == 0 ? 1 : -1, call->dy, NULL, call->dx[i], call->dx_accumulate[i], call->layer);
    return s;
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    return tlvk__merge_sum_reference_forward(call, 1, -1);
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    return tlvk__merge_sum_reference_backward(call, 1, -1);
}

static bool test_case(int index, tlvk__op_case *c) {
    return tlvk__merge_test_case(index, false, c);
}

static const tlvk__field fields[] = {{0}};

const tlvk__op tlvk__op_subtract = {
    .class_name = "Subtract", .snake_name = "subtract", .min_inputs = 2, .max_inputs = 2, .fields = fields, .defaults = tlvk__no_defaults, .shape = shape,
    .flops = tlvk__elementwise_flops, .forward = forward, .backward = backward, .reference_forward = reference_forward,
    .reference_backward = reference_backward, .test_case = test_case,
};
