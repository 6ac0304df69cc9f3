/* leaky_relu.c - the LeakyReLU layer. Fields: keras/src/layers/activations/leaky_relu.py ("negative_slope"), Keras 2 ("alpha"). */
#include "ops/activation.h"
#include "ops/elementwise.h"

#include <stdio.h>

static void defaults(void *attrs) {
    tlvk__activation_attrs *a = attrs;
    a->activation = tlvk__activation_of(TLVK_LEAKY_RELU);
    a->activation.alpha = 0.3f;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const float slopes[] = {0.3f, 0, 1.5f};
    if (index >= (int)TLVK__COUNT(slopes))
        return false;
    tlvk__activation_attrs a;
    defaults(&a);
    a.activation.alpha = slopes[index];
    memcpy(c->attrs.bytes, &a, sizeof a);
    c->inputs = 1;
    c->x[0] = (tlvk__shape){4, {2, 4, 3, 5}};
    snprintf(c->name, sizeof c->name, "slope %g 4x3x5", (double)slopes[index]);
    return true;
}

static const tlvk__field fields[] = {
    {.key = "negative_slope", .type = TLVK__FIELD_FLOAT, .offset = offsetof(tlvk__activation_attrs, activation.alpha), .keras3_only = true},
    {.key = "alpha", .type = TLVK__FIELD_FLOAT, .offset = offsetof(tlvk__activation_attrs, activation.alpha), .legacy_only = true},
    {0},
};

const tlvk__op tlvk__op_leaky_relu = {
    .class_name = "LeakyReLU", .snake_name = "leaky_re_lu", .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__activation_attrs), .fields = fields, .defaults = defaults,
    .shape = tlvk__activation_op_shape, .activation = tlvk__activation_op_activation,
    .halves = tlvk__activation_op_halves, .backward_reads = tlvk__activation_op_backward_reads, .flops = tlvk__activation_op_flops,
    .forward = tlvk__activation_op_forward, .backward = tlvk__activation_op_backward,
    .reference_forward = tlvk__activation_op_reference_forward, .reference_backward = tlvk__activation_op_reference_backward,
    .test_case = test_case,
};
