/* relu.c - the ReLU layer: max_value, negative_slope and threshold. Fields: keras/src/layers/activations/relu.py. */
#include "ops/activation.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdio.h>

static void defaults(void *attrs) {
    tlvk__activation_attrs *a = attrs;
    a->activation = tlvk__activation_of(TLVK_RELU);
    a->activation.max_value = NAN;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const tlvk__activation cases[] = {
        {TLVK_RELU, 0, NAN, 0}, {TLVK_RELU, 0, 0.5f, 0}, {TLVK_RELU, 0.1f, NAN, 0}, {TLVK_RELU, 0.3f, 0.6f, 0.2f}, {TLVK_RELU, 0, NAN, 0.25f},
        {TLVK_RELU, 0, 6, 0},
    };
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    const tlvk__activation *a = &cases[index];
    memcpy(c->attrs.bytes, &(tlvk__activation_attrs){*a}, sizeof(tlvk__activation_attrs));
    c->inputs = 1;
    c->x[0] = (tlvk__shape){4, {3, 4, 5, 6}};
    snprintf(c->name, sizeof c->name, "max %g slope %g threshold %g 4x5x6", (double)a->max_value, (double)a->alpha, (double)a->threshold);
    if (index == 5) {
        c->x[0] = (tlvk__shape){4, {2, 56, 56, 96}};
        c->real_size = true;
        snprintf(c->name, sizeof c->name, "relu6 of MobileNetV2 56x56x96");
    }
    return true;
}

static const tlvk__field fields[] = {
    {.key = "max_value", .type = TLVK__FIELD_FLOAT, .offset = offsetof(tlvk__activation_attrs, activation.max_value)},
    {.key = "negative_slope", .type = TLVK__FIELD_FLOAT, .offset = offsetof(tlvk__activation_attrs, activation.alpha)},
    {.key = "threshold", .type = TLVK__FIELD_FLOAT, .offset = offsetof(tlvk__activation_attrs, activation.threshold)},
    {0},
};

const tlvk__op tlvk__op_relu = {
    .class_name = "ReLU", .snake_name = "re_lu", .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__activation_attrs), .fields = fields, .defaults = defaults,
    .shape = tlvk__activation_op_shape, .activation = tlvk__activation_op_activation,
    .halves = tlvk__activation_op_halves, .backward_reads = tlvk__activation_op_backward_reads, .flops = tlvk__activation_op_flops,
    .forward = tlvk__activation_op_forward, .backward = tlvk__activation_op_backward,
    .reference_forward = tlvk__activation_op_reference_forward, .reference_backward = tlvk__activation_op_reference_backward,
    .test_case = test_case,
};
