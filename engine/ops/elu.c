/* elu.c - the ELU layer. Fields: keras/src/layers/activations/elu.py. */
#include "ops/activation.h"
#include "ops/elementwise.h"

#include <stdio.h>

static void defaults(void *attrs) {
    ((tlvk__activation_attrs *)attrs)->activation = tlvk__activation_of(TLVK_ELU);
}

static bool test_case(int index, tlvk__op_case *c) {
    static const float alphas[] = {1, 0.4f};
    if (index >= (int)TLVK__COUNT(alphas))
        return false;
    tlvk__activation_attrs a;
    defaults(&a);
    a.activation.alpha = alphas[index];
    memcpy(c->attrs.bytes, &a, sizeof a);
    c->inputs = 1;
    c->x[0] = (tlvk__shape){4, {2, 4, 3, 5}};
    snprintf(c->name, sizeof c->name, "alpha %g 4x3x5", (double)alphas[index]);
    return true;
}

static const tlvk__field fields[] = {
    {.key = "alpha", .type = TLVK__FIELD_FLOAT, .offset = offsetof(tlvk__activation_attrs, activation.alpha)},
    {0},
};

const tlvk__op tlvk__op_elu = {
    .class_name = "ELU", .snake_name = "elu", .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__activation_attrs), .fields = fields, .defaults = defaults,
    .shape = tlvk__activation_op_shape, .activation = tlvk__activation_op_activation,
    .halves = tlvk__activation_op_halves, .backward_reads = tlvk__activation_op_backward_reads, .flops = tlvk__activation_op_flops,
    .forward = tlvk__activation_op_forward, .backward = tlvk__activation_op_backward,
    .reference_forward = tlvk__activation_op_reference_forward, .reference_backward = tlvk__activation_op_reference_backward,
    .test_case = test_case,
};
