/* input.c - InputLayer: where a batch enters the model. Nothing is recorded for it; the planner gives it memory. */
#include "ops/attrs.h"

static void defaults(void *attrs) {
    ((tlvk__input_attrs *)attrs)->batch_shape = (tlvk__shape){.rank = 1, .dim = {-1}};
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__input_attrs *a = attrs;
    (void)x;
    if (inputs != 0)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "an InputLayer takes no input, here it has %d", inputs);
    char text[128];
    if (a->batch_shape.rank < 2 || a->batch_shape.rank > TLVK__MAX_RANK)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "an input of shape %s: it needs the batch and 1 to %d dimensions behind it",
                          tlvk__shape_text(&a->batch_shape, text, sizeof text), TLVK__MAX_RANK - 1);
    for (int i = 0; i < a->batch_shape.rank; i++)
        if (a->batch_shape.dim[i] < 1 && a->batch_shape.dim[i] != -1)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "an input of shape %s: each dimension is open or at least 1",
                              tlvk__shape_text(&a->batch_shape, text, sizeof text));
    *y = a->batch_shape;
    return TLVK_OK;
}

static const tlvk__field fields[] = {
    {.key = "batch_shape", .type = TLVK__FIELD_SHAPE, .offset = offsetof(tlvk__input_attrs, batch_shape), .keras3_only = true},
    {.key = "batch_input_shape", .type = TLVK__FIELD_SHAPE, .offset = offsetof(tlvk__input_attrs, batch_shape), .legacy_only = true},
    {.key = "sparse", .type = TLVK__FIELD_MUST, .must = "false"},
    {.key = "ragged", .type = TLVK__FIELD_MUST, .must = "false"},
    {.key = "optional", .type = TLVK__FIELD_IGNORE, .must = "false", .keras3_only = true},
    {0},
};

const tlvk__op tlvk__op_input = {
    .class_name = "InputLayer",
    .snake_name = "input_layer",
    .flags = TLVK__OP_INPUT,
    .attr_bytes = sizeof(tlvk__input_attrs),
    .fields = fields,
    .defaults = defaults,
    .shape = shape,
};
