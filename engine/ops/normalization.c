/* normalization.c - Normalization over the last axis: (x - mean) / max(sqrt(variance), 1e-7), or its inverse, with mean and variance that are
 * weights (of EfficientNet's files: mean, variance and a count that nothing reads) or given in the config.
 * Source: keras/src/layers/preprocessing/normalization.py. `adapt` is the caller's: the weights are set like any others. */
#include "ops/rescaling.h"

#include <math.h>
#include <stdio.h>

#define SMALLEST_DEVIATION 1e-7 /* keras.config.epsilon() */

static void defaults(void *attrs) {
    *(tlvk__normalization_attrs *)attrs = (tlvk__normalization_attrs){.axis = -1};
}

static bool given(const tlvk__normalization_attrs *a) { return a->mean.count > 0; }

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__normalization_attrs *a = attrs;
    char text[128];
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Normalization takes one input, here it has %d", inputs);
    if (x->rank < 2 || (a->axis != -1 && a->axis != x->rank - 1))
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "Normalization over axis %d of %s: only the last axis (-1 or %d) is supported", a->axis,
                          tlvk__shape_text(x, text, sizeof text), x->rank - 1);
    if (x->dim[x->rank - 1] < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Normalization of %s: the number of channels must be known", tlvk__shape_text(x, text, sizeof text));
    if (a->mean.count != a->variance.count)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Normalization with a mean of %d numbers and a variance of %d: both must be given, and alike, or neither",
                          a->mean.count, a->variance.count);
    for (int i = 0; i < a->variance.count; i++)
        if (!(a->variance.v[i] >= 0))
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "Normalization: variance %d is %g; it must not be negative", i, (double)a->variance.v[i]);
    tlvk_status s = tlvk__floats_fit("Normalization", "mean", &a->mean, x);
    if (!s)
        s = tlvk__floats_fit("Normalization", "variance", &a->variance, x);
    *y = *x;
    return s;
}

static int variables(const void *attrs, int inputs, const tlvk__shape *x, tlvk__variable_spec *specs) {
    (void)inputs;
    if (given(attrs))
        return 0;
    const tlvk__shape vector = {1, {x->dim[x->rank - 1]}};
    specs[0] = (tlvk__variable_spec){.name = "mean", .shape = vector, .initializer = {.kind = TLVK_ZEROS}};
    specs[1] = (tlvk__variable_spec){.name = "variance", .shape = vector, .initializer = {.kind = TLVK_ONES}};
    specs[2] = (tlvk__variable_spec){.name = "count", .integer = true, .initializer = {.kind = TLVK_ZEROS}}; /* a number: rank 0 */
    return 3;
}

/* --- with a given mean and variance: x * scale + offset --------------------------------------------------------------------------------- */

static double deviation(double variance) { return fmax(sqrt(variance), SMALLEST_DEVIATION); }

static tlvk__affine affine_of(const tlvk__op_call *call, bool backward) {
    const tlvk__normalization_attrs *a = call->attrs;
    tlvk__affine f = {"normalization", call->layer, a->variance, a->mean};
    for (int i = 0; i < a->mean.count; i++) {
        double s = deviation((double)a->variance.v[i]), mean = (double)a->mean.v[i];
        f.scale.v[i] = (float)(a->invert ? s : 1 / s);
        f.offset.v[i] = (float)(backward ? 0 : a->invert ? mean : -mean / s);
    }
    return f;
}

/* --- with weights ------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status record(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *x, const tlvk__tensor *y, bool backward, bool accumulate) {
    const tlvk__normalization_attrs *a = call->attrs;
    if (given(a)) {
        const tlvk__affine f = affine_of(call, backward);
        return tlvk__record_affine(r, &f, x, y, accumulate);
    }
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "normalization", .texel = true, .operation = "normalization", .layer = call->layer,
        .specs = {{"ACCUMULATE", accumulate}, {"INVERT", a->invert}, {"BACKWARD", backward}},
        .operands = {{x, TLVK__READ, false}, {call->w[0], TLVK__READ, true}, {call->w[1], TLVK__READ, true},
                     {y, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 4,
        .n = x->n, .items = tlvk__sample_vec4s(x), .flops = 2.0 * (double)x->n * (double)tlvk__sample_floats(x),
        .words = {(uint32_t)(x->pitch / TLVK__LANES)}, .word_count = 1});
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return record(r, call, call->x[0], call->y, false, false);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    return call->dx[0] ? record(r, call, call->dy, call->dx[0], true, call->dx_accumulate[0]) : TLVK_OK;
}

/* --- the reference: Keras's formula as it stands ------------------------------------------------------------------------------------------ */

/* The device's terms: the square root and the quotient are within 2.5 units of the last place (Vulkan's rules), the given form rounds 1/s and
 * mean/s, and each product and sum once. */
static void reference(const tlvk__ref_call *call, const tlvk__ref_tensor *x, tlvk__ref_tensor *y, bool backward) {
    const tlvk__normalization_attrs *a = call->attrs;
    size_t count = tlvk__ref_count(y);
    int64_t channels = y->shape.dim[y->shape.rank - 1];
    for (size_t i = 0; i < count; i++) {
        int64_t c = (int64_t)i % channels;
        double mean = given(a) ? (double)tlvk__float_of_channel(&a->mean, c) : call->w[0]->v[c];
        double s = deviation(given(a) ? (double)tlvk__float_of_channel(&a->variance, c) : call->w[1]->v[c]);
        double m = backward ? 0 : mean, terms = a->invert ? fabs(x->v[i] * s) + fabs(m) : (fabs(x->v[i]) + fabs(m)) / s;
        y->v[i] = a->invert ? m + x->v[i] * s : (x->v[i] - m) / s;
        if (y->e)
            y->e[i] = 8 * TLVK__U * terms;
    }
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    reference(call, call->x[0], call->y, false);
    return TLVK_OK;
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    if (call->dx[0])
        reference(call, call->dy, call->dx[0], true);
    return TLVK_OK;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { const char *name; tlvk__normalization_attrs a; tlvk__shape x; } cases[] = {
        {"weights, 3 channels", {.axis = -1}, {4, {3, 4, 5, 3}}},
        {"weights, axis 3, 8 channels", {.axis = 3}, {4, {2, 3, 3, 8}}},
        {"weights, vectors of 10", {.axis = 1}, {2, {5, 10}}},
        {"weights, inverted", {.axis = -1, .invert = true}, {4, {3, 2, 3, 5}}},
        {"given per channel", {-1, false, {3, true, {0.485f, 0.456f, 0.406f}}, {3, true, {0.0524f, 0.0502f, 0.0506f}}}, {4, {3, 4, 5, 3}}},
        {"given for all", {-1, false, {1, false, {0.5f}}, {1, false, {0.25f}}}, {4, {2, 3, 3, 7}}},
        {"given, inverted", {-1, true, {2, true, {0.5f, -3}}, {2, true, {4, 0}}}, {2, {4, 2}}},
        {"given, a variance of 0", {-1, false, {2, true, {0.5f, 0.25f}}, {2, true, {0, 1e-16f}}}, {2, {4, 2}}},
        {"weights, 224x224x3, batch 8", {.axis = -1}, {4, {8, 224, 224, 3}}},
    };
    if (index < 0 || (size_t)index >= TLVK__COUNT(cases))
        return false;
    snprintf(c->name, sizeof c->name, "%s", cases[index].name);
    memcpy(c->attrs.bytes, &cases[index].a, sizeof cases[index].a);
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->real_size = index == 8;
    return true;
}

static const tlvk__field fields[] = {
    {.key = "axis", .type = TLVK__FIELD_AXIS, .offset = offsetof(tlvk__normalization_attrs, axis)},
    {.key = "invert", .type = TLVK__FIELD_BOOL, .offset = offsetof(tlvk__normalization_attrs, invert)},
    {.key = "mean", .type = TLVK__FIELD_FLOATS, .offset = offsetof(tlvk__normalization_attrs, mean)},
    {.key = "variance", .type = TLVK__FIELD_FLOATS, .offset = offsetof(tlvk__normalization_attrs, variance)},
    {0},
};

const tlvk__op tlvk__op_normalization = {
    .class_name = "Normalization", .snake_name = "normalization", .min_inputs = 1, .max_inputs = 1, .attr_bytes = sizeof(tlvk__normalization_attrs),
    .fields = fields, .defaults = defaults, .shape = shape, .variables = variables, .flops = tlvk__elementwise_flops, .forward = forward,
    .backward = backward, .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
