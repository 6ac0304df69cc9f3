/* gaussian.c - GaussianNoise and GaussianDropout: in training x + stddev * z, or x * (1 + sqrt(rate / (1 - rate)) * z), with a normal z per element.
 *
 * Hides: which z. Element e of the batch in dense (n, rows, c) order takes number e % 4 of the four that Box and Muller's transform (1958) makes of the Philox
 * block of key `seed` and counter (e / 4, stream, step); z stays below 5.8. The backward pass draws the same.
 * Source: keras/src/layers/regularization/{gaussian_noise,gaussian_dropout}.py. */
#include "ops/picture.h"

#include <math.h>
#include <stdio.h>

#define TWO_PI 6.283185307179586

static void noise_defaults(void *attrs) { ((tlvk__gaussian_attrs *)attrs)->amount = NAN; }

static tlvk_status noise_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__gaussian_attrs *a = attrs;
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "GaussianNoise takes one input, here it has %d", inputs);
    if (!(a->amount >= 0 && isfinite(a->amount)))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "GaussianNoise: its stddev is %g; it must not be negative", (double)a->amount);
    *y = *x;
    return TLVK_OK;
}

static tlvk_status dropout_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__gaussian_attrs *a = attrs;
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "GaussianDropout takes one input, here it has %d", inputs);
    if (!(a->amount >= 0 && a->amount < 1))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "GaussianDropout: its rate is %g; it must be at least 0 and below 1", (double)a->amount);
    *y = *x;
    return TLVK_OK;
}

static bool view(const void *attrs, bool training, const tlvk__tensor *x, const tlvk__tensor *y) {
    (void)x, (void)y;
    return !training || !(((const tlvk__gaussian_attrs *)attrs)->amount > 0);
}

static float deviation(const void *attrs, bool training, bool factor) {
    const tlvk__gaussian_attrs *a = attrs;
    return !training ? 0 : factor ? (float)sqrt((double)a->amount / (1 - (double)a->amount)) : a->amount;
}

/* --- on the device ------------------------------------------------------------------------------------------------------------------------ */

static tlvk_status record(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *x, const tlvk__tensor *y, bool factor, bool accumulate) {
    float amount = deviation(call->attrs, call->training, factor);
    int64_t elements;
    if (!(amount > 0))
        return tlvk__picture_copy(r, call, x, y, accumulate);
    if (!tlvk__mul_i64((call->first_sample + x->n) * x->rows, x->c, &elements) || elements > UINT32_MAX)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "normal numbers for %lld x %lld x %lld elements: 2^32 at most", (long long)x->n, (long long)x->rows,
                          (long long)x->c);
    tlvk__span span;
    tlvk__tensor params;
    tlvk_status s = tlvk__picture_params(call, &span, &params);
    if (s)
        return s;
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "gaussian", .operation = "gaussian", .layer = call->layer, .specs = {{"ACCUMULATE", accumulate}, {"FACTOR", factor}},
        .operands = {{x, TLVK__READ, false}, {y, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}, {&params, TLVK__READ, true}}, .operand_count = 3,
        .n = x->n, .items = tlvk__sample_vec4s(x), .flops = 2.0 * (double)x->n * (double)tlvk__sample_floats(x),
        .words = {(uint32_t)x->c, (uint32_t)(x->pitch / TLVK__LANES), (uint32_t)x->rows, call->stream, 0, tlvk__float_bits(amount)},
        .word_count = 6, .sample_word = 5, .first_sample = call->first_sample});
}

static tlvk_status noise_forward(tlvk__recorder *r, const tlvk__op_call *call) { return record(r, call, call->x[0], call->y, false, false); }
static tlvk_status noise_backward(tlvk__recorder *r, const tlvk__op_call *call) {
    return call->dx[0] ? tlvk__picture_copy(r, call, call->dy, call->dx[0], call->dx_accumulate[0]) : TLVK_OK;
}
static tlvk_status dropout_forward(tlvk__recorder *r, const tlvk__op_call *call) { return record(r, call, call->x[0], call->y, true, false); }
static tlvk_status dropout_backward(tlvk__recorder *r, const tlvk__op_call *call) {
    return call->dx[0] ? record(r, call, call->dy, call->dx[0], true, call->dx_accumulate[0]) : TLVK_OK;
}

/* --- reference ------------------------------------------------------------------------------------------------------------------------------ */

/* The normal number of element e; *radius bounds it, and its error is some units of that. */
static double normal(const tlvk__ref_call *call, int64_t e, double *radius) {
    tlvk__draws d = tlvk__picture_draws(call->step, call->stream, e / 4);
    double share = (double)d.u[e % 4 / 2 * 2] + 0x1p-24, angle = TWO_PI * (double)d.u[e % 4 / 2 * 2 + 1];
    *radius = sqrt(-2 * log(share));
    return *radius * (e % 2 ? sin(angle) : cos(angle));
}

static tlvk_status reference(const tlvk__ref_call *call, const tlvk__ref_tensor *x, tlvk__ref_tensor *y, bool factor) {
    double amount = (double)deviation(call->attrs, call->training, factor);
    size_t count = tlvk__ref_count(y);
    for (size_t i = 0; i < count; i++) {
        double radius = 0, z = amount > 0 ? normal(call, (int64_t)i, &radius) : 0, size = factor ? fabs(x->v[i]) : 1;
        y->v[i] = factor ? x->v[i] * (1 + amount * z) : x->v[i] + amount * z;
        if (y->e)
            y->e[i] = TLVK__U * (size * amount * 24 * radius + 3 * fabs(x->v[i]));
    }
    return TLVK_OK;
}

static tlvk_status noise_reference(const tlvk__ref_call *call) { return reference(call, call->x[0], call->y, false); }
static tlvk_status noise_reference_backward(const tlvk__ref_call *call) {
    for (size_t i = 0; call->dx[0] && i < tlvk__ref_count(call->dx[0]); i++) {
        call->dx[0]->v[i] = call->dy->v[i];
        if (call->dx[0]->e)
            call->dx[0]->e[i] = 0;
    }
    return TLVK_OK;
}
static tlvk_status dropout_reference(const tlvk__ref_call *call) { return reference(call, call->x[0], call->y, true); }
static tlvk_status dropout_reference_backward(const tlvk__ref_call *call) {
    return call->dx[0] ? reference(call, call->dy, call->dx[0], true) : TLVK_OK;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { float amount; tlvk__shape x; bool inference, real; } cases[] = {
        {0.5f, {4, {3, 5, 4, 7}}, false, false}, {0.2f, {2, {21, 10}}, false, false}, {0.9f, {3, {4, 9, 8}}, false, false}, {0.1f, {2, {9, 5}}, false, false},
        {0, {2, {4, 5}}, false, false}, {0.5f, {2, {4, 6}}, true, false}, {0.3f, {4, {8, 112, 112, 3}}, false, true},
    };
    if (index < 0 || (size_t)index >= TLVK__COUNT(cases))
        return false;
    memcpy(c->attrs.bytes, &(tlvk__gaussian_attrs){cases[index].amount}, sizeof(tlvk__gaussian_attrs));
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->training = !cases[index].inference;
    c->real_size = cases[index].real;
    snprintf(c->name, sizeof c->name, "%g %s", (double)cases[index].amount, tlvk__shape_text(&c->x[0], (char[64]){0}, 64));
    return true;
}

#define AMOUNT(key_) {.key = key_, .type = TLVK__FIELD_FLOAT, .offset = offsetof(tlvk__gaussian_attrs, amount)}
static const tlvk__field noise_fields[] = {AMOUNT("stddev"), {.key = "seed", .type = TLVK__FIELD_IGNORE, .must = "null"}, {0}};
static const tlvk__field dropout_fields[] = {AMOUNT("rate"), {.key = "seed", .type = TLVK__FIELD_IGNORE, .must = "null"}, {0}};

const tlvk__op tlvk__op_gaussian_noise = {
    .class_name = "GaussianNoise", .snake_name = "gaussian_noise", .flags = TLVK__OP_RANDOM, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__gaussian_attrs), .fields = noise_fields, .defaults = noise_defaults, .shape = noise_shape, .view = view,
    .flops = tlvk__elementwise_flops, .forward = noise_forward, .backward = noise_backward,
    .reference_forward = noise_reference, .reference_backward = noise_reference_backward, .test_case = test_case,
};
const tlvk__op tlvk__op_gaussian_dropout = {
    .class_name = "GaussianDropout", .snake_name = "gaussian_dropout", .flags = TLVK__OP_RANDOM, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__gaussian_attrs), .fields = dropout_fields, .defaults = noise_defaults, .shape = dropout_shape, .view = view,
    .flops = tlvk__elementwise_flops, .forward = dropout_forward, .backward = dropout_backward,
    .reference_forward = dropout_reference, .reference_backward = dropout_reference_backward, .test_case = test_case,
};
