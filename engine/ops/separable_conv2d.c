/* separable_conv2d.c - SeparableConv2D as a chain: a depthwise convolution without bias, then a 1x1 convolution with bias and activation.
 * Fields: keras/src/layers/convolutional/base_separable_conv.py. */
#include "ops/conv2d.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void defaults(void *attrs) {
    tlvk__separable_conv2d_attrs *a = attrs;
    a->kernel_size[0] = a->kernel_size[1] = 1;
    a->strides[0] = a->strides[1] = a->dilation_rate[0] = a->dilation_rate[1] = 1;
    a->depth_multiplier = 1;
    a->use_bias = true;
}

static tlvk__depthwise_conv2d_attrs depthwise_attrs(const tlvk__separable_conv2d_attrs *a) {
    tlvk__depthwise_conv2d_attrs d;
    tlvk__op_depthwise_conv2d.defaults(memset(&d, 0, sizeof d));
    memcpy(d.kernel_size, a->kernel_size, sizeof d.kernel_size);
    memcpy(d.strides, a->strides, sizeof d.strides);
    memcpy(d.dilation_rate, a->dilation_rate, sizeof d.dilation_rate);
    d.depth_multiplier = a->depth_multiplier;
    d.padding = a->padding;
    d.use_bias = false;
    d.depthwise_initializer = a->depthwise_initializer;
    d.depthwise_regularizer = a->depthwise_regularizer;
    return d;
}

static tlvk__conv2d_attrs pointwise_attrs(const tlvk__separable_conv2d_attrs *a) {
    tlvk__conv2d_attrs p;
    tlvk__op_conv2d.defaults(memset(&p, 0, sizeof p));
    p.filters = a->filters;
    p.use_bias = a->use_bias;
    p.activation = a->activation;
    p.kernel_initializer = a->pointwise_initializer;
    p.bias_initializer = a->bias_initializer;
    p.kernel_regularizer = a->pointwise_regularizer;
    p.bias_regularizer = a->bias_regularizer;
    return p;
}

static int parts(const void *attrs, tlvk__op_part out[4]) {
    const tlvk__separable_conv2d_attrs *a = attrs;
    out[0] = (tlvk__op_part){.op = &tlvk__op_depthwise_conv2d, .variables = {0}, .variable_count = 1};
    out[1] = (tlvk__op_part){.op = &tlvk__op_conv2d, .variables = {1, 2}, .variable_count = a->use_bias ? 2 : 1};
    tlvk__depthwise_conv2d_attrs d = depthwise_attrs(a);
    tlvk__conv2d_attrs p = pointwise_attrs(a);
    memcpy(out[0].attrs.bytes, &d, sizeof d);
    memcpy(out[1].attrs.bytes, &p, sizeof p);
    return 2;
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__separable_conv2d_attrs *a = attrs;
    tlvk__kernel_window k = {a->kernel_size, a->strides, a->dilation_rate, a->padding, NULL};
    int64_t out[2];
    tlvk_status s = tlvk__window_shape("SeparableConv2D", &k, inputs, x, out);
    if (s)
        return s;
    if (a->filters < 1 || a->depth_multiplier < 1 || x->dim[3] > INT32_MAX / a->depth_multiplier)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "a SeparableConv2D of %d filters and depth_multiplier %d over %lld channels: both must be at least 1, and their channels fewer than 2^31",
                          a->filters, a->depth_multiplier, (long long)x->dim[3]);
    *y = (tlvk__shape){4, {x->dim[0], out[0], out[1], a->filters}};
    return TLVK_OK;
}

static int variables(const void *attrs, int inputs, const tlvk__shape *x, tlvk__variable_spec *specs) {
    const tlvk__separable_conv2d_attrs *a = attrs;
    (void)inputs;
    tlvk__shape depthwise = {4, {a->kernel_size[0], a->kernel_size[1], x->dim[3], a->depth_multiplier}};
    tlvk__shape pointwise = {4, {1, 1, x->dim[3] * a->depth_multiplier, a->filters}};
    specs[0] = tlvk__weights_spec("depthwise_kernel", depthwise, TLVK__LAYOUT_MERGED, &a->depthwise_initializer, TLVK_GLOROT_UNIFORM, &a->depthwise_regularizer);
    specs[1] = tlvk__weights_spec("pointwise_kernel", pointwise, TLVK__LAYOUT_MATRIX, &a->pointwise_initializer, TLVK_GLOROT_UNIFORM, &a->pointwise_regularizer);
    if (a->use_bias)
        specs[2] = tlvk__weights_spec("bias", (tlvk__shape){1, {a->filters}}, TLVK__LAYOUT_VECTOR, &a->bias_initializer, TLVK_ZEROS, &a->bias_regularizer);
    return a->use_bias ? 3 : 2;
}

static tlvk__activation activation(const void *attrs) {
    return ((const tlvk__separable_conv2d_attrs *)attrs)->activation;
}

static double flops(const tlvk__op_call *call) {
    const tlvk__separable_conv2d_attrs *a = call->attrs;
    double middle = (double)call->y->n * (double)call->y->rows * (double)call->x[0]->c * a->depth_multiplier;
    return 2.0 * middle * (a->kernel_size[0] * a->kernel_size[1] + (double)call->y->c);
}

/* --- reference: the chain of the parts' references, each part's error carried through the next ------------------------------------------------ */

typedef struct middle { tlvk__ref_tensor z, dz; tlvk__depthwise_conv2d_attrs depthwise; tlvk__conv2d_attrs pointwise; } middle;

static tlvk_status tensor_like(const tlvk__shape *shape, tlvk__ref_tensor *t) {
    *t = (tlvk__ref_tensor){.shape = *shape};
    size_t count = tlvk__ref_count(t);
    t->v = tlvk__calloc(count, sizeof(double));
    t->e = tlvk__calloc(count, sizeof(double));
    return t->v && t->e ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a reference of %zu numbers", count);
}

static void tensor_free(tlvk__ref_tensor *t) {
    free(t->v);
    free(t->e);
}

/* A copy of the magnitudes of v. */
static tlvk_status magnitudes(const tlvk__ref_tensor *from, const double *v, tlvk__ref_tensor *to) {
    tlvk_status s = tensor_like(&from->shape, to);
    size_t count = tlvk__ref_count(from);
    for (size_t i = 0; !s && i < count; i++)
        to->v[i] = fabs(v[i]);
    return s;
}

/* What `run` gives for the magnitudes of a and b is added to the error of `to`. Slots: the call's fields that hold a and b, and `to`'s stand-in. */
typedef tlvk_status reference_fn(const tlvk__ref_call *call);
static tlvk_status carry_error(reference_fn *run, const tlvk__ref_call *shaped, const tlvk__ref_tensor *a, const double *a_v, const tlvk__ref_tensor **a_slot,
                               const tlvk__ref_tensor *b, const double *b_v, const tlvk__ref_tensor **b_slot, tlvk__ref_tensor *to, tlvk__ref_tensor **to_slot) {
    tlvk__ref_tensor ma = {0}, mb = {0}, sum = {0};
    tlvk_status s = magnitudes(a, a_v, &ma);
    if (!s)
        s = magnitudes(b, b_v, &mb);
    if (!s)
        s = tensor_like(&to->shape, &sum);
    if (!s) {
        *a_slot = &ma;
        *b_slot = &mb;
        *to_slot = &sum;
        s = run(shaped);
    }
    size_t count = tlvk__ref_count(to);
    for (size_t i = 0; !s && to->e && i < count; i++)
        to->e[i] += sum.v[i];
    tensor_free(&ma);
    tensor_free(&mb);
    tensor_free(&sum);
    return s;
}

static tlvk_status middle_forward(const tlvk__ref_call *call, middle *m) {
    const tlvk__separable_conv2d_attrs *a = call->attrs;
    tlvk__shape shape_z;
    m->depthwise = depthwise_attrs(a);
    m->pointwise = pointwise_attrs(a);
    tlvk_status s = tlvk__op_depthwise_conv2d.shape(&m->depthwise, 1, &call->x[0]->shape, &shape_z);
    if (!s)
        s = tensor_like(&shape_z, &m->z);
    tlvk__ref_call c = {.attrs = &m->depthwise, .inputs = 1, .x = {call->x[0]}, .w = {call->w[0]}, .y = &m->z};
    return s ? s : tlvk__depthwise_reference_forward(&c);
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    middle m = {0};
    tlvk_status s = middle_forward(call, &m);
    tlvk__ref_call c = {.attrs = &m.pointwise, .mixed = call->mixed, .caps = call->caps, .inputs = 1, .x = {&m.z}, .w = {call->w[1], call->w[2]}, .y = call->y}, e = c;
    e.w[1] = NULL;
    if (!s)
        s = tlvk__conv2d_reference_forward(&c);
    if (!s && call->y->e)
        s = carry_error(tlvk__conv2d_reference_forward, &e, &m.z, m.z.e, &e.x[0], call->w[1], call->w[1]->v, &e.w[0], call->y, &e.y);
    tensor_free(&m.z);
    return s;
}

static tlvk_status pointwise_backward(const tlvk__ref_call *call, middle *m) {
    tlvk__ref_call c = {.attrs = &m->pointwise, .mixed = call->mixed, .caps = call->caps, .inputs = 1, .x = {&m->z}, .w = {call->w[1]}, .dy = call->dy, .dx = {&m->dz}, .dw = {call->dw[1], call->dw[2]}};
    tlvk_status s = tensor_like(&m->z.shape, &m->dz);
    if (!s)
        s = tlvk__conv2d_reference_backward(&c);
    tlvk__ref_call e = {.attrs = &m->pointwise, .inputs = 1, .w = {call->w[1]}};
    if (!s && call->dw[1] && call->dw[1]->e)
        s = carry_error(tlvk__conv2d_reference_backward, &e, &m->z, m->z.e, &e.x[0], call->dy, call->dy->v, &e.dy, call->dw[1], &e.dw[0]);
    return s;
}

static tlvk_status depthwise_backward(const tlvk__ref_call *call, middle *m) {
    tlvk__ref_call c = {.attrs = &m->depthwise, .inputs = 1, .x = {call->x[0]}, .w = {call->w[0]}, .dy = &m->dz, .dx = {call->dx[0]}, .dw = {call->dw[0]}};
    tlvk_status s = tlvk__depthwise_reference_backward(&c);
    tlvk__ref_call e = {.attrs = &m->depthwise, .inputs = 1, .x = {call->x[0]}};
    if (!s && call->dx[0] && call->dx[0]->e)
        s = carry_error(tlvk__depthwise_reference_backward, &e, &m->dz, m->dz.e, &e.dy, call->w[0], call->w[0]->v, &e.w[0], call->dx[0], &e.dx[0]);
    e = (tlvk__ref_call){.attrs = &m->depthwise, .inputs = 1, .w = {call->w[0]}};
    if (!s && call->dw[0] && call->dw[0]->e)
        s = carry_error(tlvk__depthwise_reference_backward, &e, &m->dz, m->dz.e, &e.dy, call->x[0], call->x[0]->v, &e.x[0], call->dw[0], &e.dw[0]);
    return s;
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    middle m = {0};
    tlvk_status s = middle_forward(call, &m);
    if (!s)
        s = pointwise_backward(call, &m);
    if (!s)
        s = depthwise_backward(call, &m);
    tensor_free(&m.z);
    tensor_free(&m.dz);
    return s;
}

/* --- cases ------------------------------------------------------------------------------------------------------------------------------------ */

typedef struct separable_case { int n, h, w, c, filters, mult, kernel[2], stride, dilation; tlvk_padding padding; bool no_bias; const char *network; } separable_case;

static const separable_case cases[] = {
    {1, 1, 1, 1, 1, 1, {1, 1}, 1, 1, TLVK_VALID, false, NULL},
    {2, 5, 7, 3, 5, 1, {3, 3}, 1, 1, TLVK_SAME, false, NULL},
    {3, 8, 6, 10, 7, 1, {3, 3}, 2, 1, TLVK_SAME, true, NULL},
    {2, 9, 7, 5, 33, 1, {3, 3}, 1, 2, TLVK_SAME, false, NULL},
    {1, 7, 7, 3, 6, 2, {5, 3}, 1, 1, TLVK_VALID, false, NULL},
    {2, 24, 24, 16, 32, 1, {3, 3}, 1, 1, TLVK_SAME, true, "mini_xception"},
    {1, 37, 37, 256, 728, 1, {3, 3}, 1, 1, TLVK_SAME, true, "Xception block4_sepconv1"},
};

static bool test_case(int index, tlvk__op_case *c) {
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    const separable_case *k = &cases[index];
    tlvk__separable_conv2d_attrs a = {0};
    defaults(&a);
    a.filters = k->filters;
    a.depth_multiplier = k->mult;
    memcpy(a.kernel_size, k->kernel, sizeof a.kernel_size);
    a.strides[0] = a.strides[1] = k->stride;
    a.dilation_rate[0] = a.dilation_rate[1] = k->dilation;
    a.padding = k->padding;
    a.use_bias = !k->no_bias;
    memcpy(c->attrs.bytes, &a, sizeof a);
    c->inputs = 1;
    c->x[0] = (tlvk__shape){4, {k->n, k->h, k->w, k->c}};
    c->real_size = k->network != NULL;
    c->epilogue = tlvk__activation_of(index % 2 ? TLVK_RELU : TLVK_LINEAR);
    c->scale_shift = index % 3 == 1;
    tlvk__kernel_window window = {a.kernel_size, a.strides, a.dilation_rate, a.padding, NULL};
    char text[64];
    tlvk__window_text(&window, text, sizeof text);
    snprintf(c->name, sizeof c->name, "%s%s%s %dx%dx%dx%d m%d->%d", k->network ? k->network : "", k->network ? " " : "", text, k->n, k->h, k->w, k->c, k->mult, k->filters);
    return true;
}

#define FIELD(name, kind) {.key = #name, .type = TLVK__FIELD_##kind, .offset = offsetof(tlvk__separable_conv2d_attrs, name)}
static const tlvk__field fields[] = {
    FIELD(filters, INT), FIELD(kernel_size, PAIR), FIELD(strides, PAIR), FIELD(padding, PADDING),
    {.key = "data_format", .type = TLVK__FIELD_MUST, .must = "\"channels_last\""},
    FIELD(dilation_rate, PAIR), FIELD(depth_multiplier, INT), FIELD(activation, ACTIVATION), FIELD(use_bias, BOOL),
    FIELD(depthwise_initializer, INITIALIZER), FIELD(pointwise_initializer, INITIALIZER), FIELD(bias_initializer, INITIALIZER),
    FIELD(depthwise_regularizer, REGULARIZER), FIELD(pointwise_regularizer, REGULARIZER), FIELD(bias_regularizer, REGULARIZER),
    {.key = "activity_regularizer", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "depthwise_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "pointwise_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "bias_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "groups", .type = TLVK__FIELD_IGNORE},
    {.key = "kernel_initializer", .type = TLVK__FIELD_IGNORE},
    {.key = "kernel_regularizer", .type = TLVK__FIELD_IGNORE},
    {.key = "kernel_constraint", .type = TLVK__FIELD_IGNORE},
    {0},
};

const tlvk__op tlvk__op_separable_conv2d = {
    .class_name = "SeparableConv2D", .snake_name = "separable_conv2d", .flags = TLVK__OP_PRODUCT, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__separable_conv2d_attrs), .fields = fields, .defaults = defaults, .shape = shape, .variables = variables,
    .activation = activation, .parts = parts, .flops = flops,
    .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
