/* activation.c - the Activation layer, and what the other layers that are an activation share with it.
 * Fields: keras/src/layers/activations/activation.py. */
#include "ops/activation.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

tlvk__activation tlvk__activation_op_activation(const void *attrs) {
    tlvk__activation a = ((const tlvk__activation_attrs *)attrs)->activation;
    if (isnan(a.max_value))
        a.max_value = INFINITY;
    return a;
}

bool tlvk__activation_op_view(const void *attrs, bool training, const tlvk__tensor *x, const tlvk__tensor *y) {
    (void)training, (void)x, (void)y;
    return tlvk__activation_op_activation(attrs).kind == TLVK_LINEAR;
}

tlvk_status tlvk__activation_op_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    tlvk__activation a = tlvk__activation_op_activation(attrs);
    const char *name = tlvk__activation_name(a.kind);
    char text[128];
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "an activation takes one input, here it has %d", inputs);
    if (!name)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "there is no activation number %d", (int)a.kind);
    if (a.kind == TLVK_SOFTMAX && x->rank < 2)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "softmax over the last axis of %s: it needs one besides the batch", tlvk__shape_text(x, text, sizeof text));
    if (!(a.alpha >= 0) || !(a.threshold >= 0) || !(a.max_value >= 0))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s with slope %g, maximum %g, threshold %g: none of them may be negative", name, (double)a.alpha,
                          (double)a.max_value, (double)a.threshold);
    *y = *x;
    return TLVK_OK;
}

unsigned tlvk__activation_op_halves(const tlvk__caps *caps, const tlvk__op_call *call) {
    (void)caps;
    return tlvk__activation_op_activation(call->attrs).kind == TLVK_SOFTMAX ? 0 : TLVK__HALF_X | TLVK__HALF_Y;
}

unsigned tlvk__activation_op_backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)training, (void)want_dx, (void)want_dw;
    tlvk_activation_kind kind = tlvk__activation_op_activation(attrs).kind;
    if (kind == TLVK_LINEAR)
        return 0;
    return kind == TLVK_SOFTMAX || tlvk__activation_from_output(kind) ? TLVK__READS_Y : TLVK__READS_X;
}

double tlvk__activation_op_flops(const tlvk__op_call *call) {
    return 8 * tlvk__elementwise_flops(call);
}

tlvk_status tlvk__activation_op_forward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk__activation a = tlvk__activation_op_activation(call->attrs);
    return a.kind == TLVK_SOFTMAX ? tlvk__record_softmax(r, call->x[0], call->y, call->layer)
                                  : tlvk__record_activation(r, &a, call->x[0], call->y, call->layer);
}

tlvk_status tlvk__activation_op_backward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk__activation a = tlvk__activation_op_activation(call->attrs);
    const tlvk__tensor *dx = call->dx[0];
    bool accumulate = call->dx_accumulate[0];
    if (!dx)
        return TLVK_OK;
    if (a.kind == TLVK_SOFTMAX)
        return tlvk__record_softmax_backward(r, call->y, call->dy, dx, accumulate, call->layer);
    bool from_y = tlvk__activation_from_output(a.kind);
    return tlvk__record_activation_slope(r, &a, from_y ? call->y : call->x[0], !from_y, call->dy, NULL, dx, accumulate, call->layer);
}

/* --- reference -------------------------------------------------------------------------------------------------------------------------- */

/* y = exp(x - max) / sum of the same, over the last axis; s holds it in double, e its error bound. */
static void softmax_row(const double *x, size_t c, double *y, double *e) {
    double top = x[0], sum = 0, worst = 0;
    for (size_t i = 1; i < c; i++)
        top = fmax(top, x[i]);
    for (size_t i = 0; i < c; i++)
        sum += y[i] = exp(x[i] - top);
    /* exp is as exact as 3 + 2|x| ulp; the sum's own relative error is that of its terms, weighed, and its rounding. */
    for (size_t i = 0; i < c; i++)
        worst += y[i] / sum * (10 + 8 * (top - x[i])) * TLVK__U;
    worst += 4 * sqrt((double)c) * TLVK__U;
    for (size_t i = 0; i < c; i++) {
        y[i] /= sum;
        if (e)
            e[i] = y[i] * ((10 + 8 * (top - x[i]) + 2 * (fabs(x[i]) + fabs(top))) * TLVK__U + worst + 6 * TLVK__U) + 0x1p-125;
    }
}

tlvk_status tlvk__activation_op_reference_forward(const tlvk__ref_call *call) {
    tlvk__activation a = tlvk__activation_op_activation(call->attrs);
    size_t count = tlvk__ref_count(call->y), c = (size_t)call->y->shape.dim[call->y->shape.rank - 1];
    const double *x = call->x[0]->v;
    for (size_t i = 0; a.kind == TLVK_SOFTMAX && i < count; i += c)
        softmax_row(x + i, c, call->y->v + i, call->y->e ? call->y->e + i : NULL);
    for (size_t i = 0; a.kind != TLVK_SOFTMAX && i < count; i++) {
        call->y->v[i] = tlvk__activation_value(&a, x[i]);
        if (call->y->e)
            call->y->e[i] = tlvk__activation_bound(&a, x[i], 0);
    }
    return TLVK_OK;
}

/* dx = y * (dy - sum(dy*y)) for one row; room: 2c doubles. */
static void softmax_row_backward(const double *x, const double *dy, size_t c, double *room, double *dx, double *e) {
    double *y = room, *y_e = room + c, dot = 0, dot_e = 0;
    softmax_row(x, c, y, y_e);
    for (size_t i = 0; i < c; i++) {
        dot += dy[i] * y[i];
        dot_e += fabs(dy[i]) * (y_e[i] + 4 * sqrt((double)c) * TLVK__U * y[i]);
    }
    for (size_t i = 0; i < c; i++) {
        dx[i] = y[i] * (dy[i] - dot);
        if (e)
            e[i] = y_e[i] * fabs(dy[i] - dot) + y[i] * (dot_e + 4 * TLVK__U * (fabs(dy[i]) + fabs(dot))) + 0x1p-125; /* subnormals may become zero */
    }
}

tlvk_status tlvk__activation_op_reference_backward(const tlvk__ref_call *call) {
    tlvk__activation a = tlvk__activation_op_activation(call->attrs);
    tlvk__ref_tensor *dx = call->dx[0];
    if (!dx)
        return TLVK_OK;
    size_t count = tlvk__ref_count(dx), c = (size_t)dx->shape.dim[dx->shape.rank - 1];
    const double *x = call->x[0]->v, *dy = call->dy->v;
    if (a.kind == TLVK_SOFTMAX) {
        double *room = tlvk__calloc(c, 2 * sizeof(double));
        if (!room)
            return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the reference of a softmax over %zu channels", c);
        for (size_t i = 0; i < count; i += c)
            softmax_row_backward(x + i, dy + i, c, room, dx->v + i, dx->e ? dx->e + i : NULL);
        free(room);
        return TLVK_OK;
    }
    bool from_y = tlvk__activation_from_output(a.kind);
    for (size_t i = 0; i < count; i++) {
        dx->v[i] = dy[i] * tlvk__activation_slope(&a, x[i]);
        if (dx->e)
            dx->e[i] = fabs(dy[i]) * tlvk__activation_slope_bound(&a, x[i], call->half && from_y ? tlvk__activation_half_argument(&a, x[i]) : 0, from_y) + 2 * TLVK__U * fabs(dx->v[i]);
    }
    return TLVK_OK;
}

/* --- the layer -------------------------------------------------------------------------------------------------------------------------- */

static void defaults(void *attrs) {
    ((tlvk__activation_attrs *)attrs)->activation = tlvk__activation_of(TLVK_LINEAR);
}

static bool test_case(int index, tlvk__op_case *c) {
    static const tlvk__shape shapes[] = {{4, {2, 5, 3, 7}}, {2, {3, 10}}, {2, {4, 203}}, {2, {4, 203}}, {4, {2, 28, 28, 64}}};
    static const float ranges[] = {1, 4, 12, 80, 6};
    const int kinds = TLVK_ACTIVATION_COUNT, count = (int)TLVK__COUNT(shapes);
    if (index >= kinds * count)
        return false;
    tlvk__activation a = tlvk__activation_of((tlvk_activation_kind)(index % kinds));
    memcpy(c->attrs.bytes, &(tlvk__activation_attrs){a}, sizeof(tlvk__activation_attrs));
    c->inputs = 1;
    c->x[0] = shapes[index / kinds];
    c->range = ranges[index / kinds];
    c->real_size = index / kinds == 4;
    snprintf(c->name, sizeof c->name, "%s of +-%g %s", tlvk__activation_name(a.kind), (double)c->range, tlvk__shape_text(&c->x[0], (char[64]){0}, 64));
    return true;
}

static const tlvk__field fields[] = {
    {.key = "activation", .type = TLVK__FIELD_ACTIVATION, .offset = offsetof(tlvk__activation_attrs, activation)},
    {0},
};

const tlvk__op tlvk__op_activation = {
    .class_name = "Activation", .snake_name = "activation", .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__activation_attrs), .fields = fields, .defaults = defaults,
    .shape = tlvk__activation_op_shape, .activation = tlvk__activation_op_activation, .view = tlvk__activation_op_view,
    .halves = tlvk__activation_op_halves, .backward_reads = tlvk__activation_op_backward_reads, .flops = tlvk__activation_op_flops,
    .forward = tlvk__activation_op_forward, .backward = tlvk__activation_op_backward,
    .reference_forward = tlvk__activation_op_reference_forward, .reference_backward = tlvk__activation_op_reference_backward,
    .test_case = test_case,
};
