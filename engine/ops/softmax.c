/* softmax.c - softmax over the channels: its recording, and the Softmax layer. Fields: keras/src/layers/activations/softmax.py. */
#include "ops/activation.h"
#include "ops/elementwise.h"

#include <stdio.h>

tlvk_status tlvk__record_softmax(tlvk__recorder *r, const tlvk__tensor *x, const tlvk__tensor *y, const char *layer) {
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "softmax", .operation = "softmax", .layer = layer,
        .operands = {{x, TLVK__READ, false}, {y, TLVK__WRITE, false}}, .operand_count = 2,
        .n = x->n, .items = (uint64_t)x->rows, .group_items = 1, .flops = 8.0 * (double)x->n * (double)tlvk__sample_floats(x),
        .words = {(uint32_t)x->c, (uint32_t)(x->pitch / TLVK__LANES)}, .word_count = 2});
}

tlvk_status tlvk__record_softmax_backward(tlvk__recorder *r, const tlvk__tensor *y, const tlvk__tensor *dy, const tlvk__tensor *dx, bool accumulate,
                                          const char *layer) {
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "softmax_backward", .operation = "softmax_backward", .layer = layer, .specs = {{"ACCUMULATE", accumulate}},
        .operands = {{y, TLVK__READ, false}, {dy, TLVK__READ, false}, {dx, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 3,
        .n = y->n, .items = (uint64_t)y->rows, .group_items = 1, .flops = 4.0 * (double)y->n * (double)tlvk__sample_floats(y),
        .words = {(uint32_t)(y->pitch / TLVK__LANES)}, .word_count = 1});
}

static void defaults(void *attrs) {
    ((tlvk__activation_attrs *)attrs)->activation = tlvk__activation_of(TLVK_SOFTMAX);
}

static bool test_case(int index, tlvk__op_case *c) {
    static const tlvk__shape shapes[] = {{2, {3, 10}}, {2, {5, 2}}, {2, {2, 1}}, {4, {2, 3, 2, 7}}, {2, {3, 321}}, {2, {3, 10}}, {2, {32, 1000}}};
    if (index >= (int)TLVK__COUNT(shapes))
        return false;
    defaults(c->attrs.bytes);
    c->inputs = 1;
    c->x[0] = shapes[index];
    c->range = index % 2 ? 30.0f : 1.0f;
    c->offset = index == 5 ? -200.0f : 0;
    c->real_size = index == 6;
    snprintf(c->name, sizeof c->name, "%s%s", tlvk__shape_text(&c->x[0], (char[64]){0}, 64), index == 5 ? " far below zero" : "");
    return true;
}

static const tlvk__field fields[] = {
    {.key = "axis", .type = TLVK__FIELD_MUST, .must = "-1"},
    {0},
};

const tlvk__op tlvk__op_softmax = {
    .class_name = "Softmax", .snake_name = "softmax", .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__activation_attrs), .fields = fields, .defaults = defaults,
    .shape = tlvk__activation_op_shape,
    .backward_reads = tlvk__activation_op_backward_reads, .flops = tlvk__activation_op_flops,
    .forward = tlvk__activation_op_forward, .backward = tlvk__activation_op_backward,
    .reference_forward = tlvk__activation_op_reference_forward, .reference_backward = tlvk__activation_op_reference_backward,
    .test_case = test_case,
};
