/* flatten.c - Flatten: all axes behind the batch become one. Source: keras/src/layers/reshaping/flatten.py. */
#include "ops/reshape.h"

#include <stdio.h>

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    (void)attrs;
    char text[128];
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Flatten takes one input, here it has %d", inputs);
    int64_t product = 1;
    for (int i = 1; i < x->rank; i++) {
        if (x->dim[i] < 0 || product < 0)
            product = -1;
        else if (!tlvk__mul_i64(product, x->dim[i], &product))
            return tlvk__fail(TLVK_ERROR_MEMORY, "Flatten of %s is larger than any memory", tlvk__shape_text(x, text, sizeof text));
    }
    *y = (tlvk__shape){2, {x->dim[0], product}};
    return TLVK_OK;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const tlvk__shape shapes[] = {{4, {2, 3, 4, 8}}, {4, {3, 3, 2, 5}}, {2, {2, 9}}, {3, {2, 4, 3}}, {4, {2, 1, 1, 6}}, {4, {4, 7, 7, 512}}};
    if (index >= (int)TLVK__COUNT(shapes))
        return false;
    c->inputs = 1;
    c->x[0] = shapes[index];
    c->real_size = index == 5;
    snprintf(c->name, sizeof c->name, "%s", tlvk__shape_text(&c->x[0], (char[64]){0}, 64));
    return true;
}

static const tlvk__field fields[] = {
    {.key = "data_format", .type = TLVK__FIELD_MUST, .must = "\"channels_last\""},
    {0},
};

const tlvk__op tlvk__op_flatten = {
    .class_name = "Flatten", .snake_name = "flatten", .min_inputs = 1, .max_inputs = 1, .fields = fields, .defaults = tlvk__no_defaults, .shape = shape,
    .view = tlvk__reshape_view, .flops = tlvk__elementwise_flops, .forward = tlvk__reshape_forward, .backward = tlvk__reshape_backward,
    .reference_forward = tlvk__reshape_reference_forward, .reference_backward = tlvk__reshape_reference_backward, .test_case = test_case,
};
