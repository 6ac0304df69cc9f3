/* depthwise_conv2d.c - DepthwiseConv2D: attributes, shapes, cases. Recording: depthwise.c. Reference: depthwise_reference.c.
 * Fields: keras/src/layers/convolutional/base_depthwise_conv.py; files of Keras 2 also carry `groups` and, some, the fields of Conv2D that
 * the layer has no use for, which Keras 3 refuses: they are read and not written. */
#include "ops/conv2d.h"
#include "ops/depthwise.h"

#include <stdio.h>

static void defaults(void *attrs) {
    tlvk__depthwise_conv2d_attrs *a = attrs;
    a->kernel_size[0] = a->kernel_size[1] = 1;
    a->strides[0] = a->strides[1] = a->dilation_rate[0] = a->dilation_rate[1] = 1;
    a->depth_multiplier = 1;
    a->use_bias = true;
}

static tlvk__kernel_window window_of(const tlvk__depthwise_conv2d_attrs *a) {
    return (tlvk__kernel_window){a->kernel_size, a->strides, a->dilation_rate, a->padding, a->zero_padding};
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__depthwise_conv2d_attrs *a = attrs;
    tlvk__kernel_window k = window_of(a);
    int64_t out[2];
    tlvk_status s = tlvk__window_shape("DepthwiseConv2D", &k, inputs, x, out);
    if (s)
        return s;
    if (a->depth_multiplier < 1 || x->dim[3] > INT32_MAX / a->depth_multiplier)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "a DepthwiseConv2D of depth_multiplier %d over %lld channels: it must be at least 1 and give fewer than 2^31 channels",
                          a->depth_multiplier, (long long)x->dim[3]);
    *y = (tlvk__shape){4, {x->dim[0], out[0], out[1], x->dim[3] * a->depth_multiplier}};
    return TLVK_OK;
}

static int variables(const void *attrs, int inputs, const tlvk__shape *x, tlvk__variable_spec *specs) {
    const tlvk__depthwise_conv2d_attrs *a = attrs;
    (void)inputs;
    tlvk__shape kernel = {4, {a->kernel_size[0], a->kernel_size[1], x->dim[3], a->depth_multiplier}};
    specs[0] = tlvk__weights_spec("kernel", kernel, TLVK__LAYOUT_MERGED, &a->depthwise_initializer, TLVK_GLOROT_UNIFORM, &a->depthwise_regularizer);
    if (a->use_bias)
        specs[1] = tlvk__weights_spec("bias", (tlvk__shape){1, {x->dim[3] * a->depth_multiplier}}, TLVK__LAYOUT_VECTOR, &a->bias_initializer, TLVK_ZEROS,
                                      &a->bias_regularizer);
    return a->use_bias ? 2 : 1;
}

static tlvk__activation activation(const void *attrs) {
    return ((const tlvk__depthwise_conv2d_attrs *)attrs)->activation;
}

static unsigned backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)attrs;
    (void)training;
    (void)want_dx;
    return want_dw ? TLVK__READS_X : 0;
}

static tlvk__depthwise_call depthwise_call_of(const tlvk__op_call *call) {
    const tlvk__depthwise_conv2d_attrs *a = call->attrs;
    const tlvk__tensor *x = call->x[0], *y = call->y;
    tlvk__kernel_window k = window_of(a);
    return (tlvk__depthwise_call){.call = call, .kernel = {a->kernel_size[0], a->kernel_size[1]}, .stride = {a->strides[0], a->strides[1]},
                                  .dilation = {a->dilation_rate[0], a->dilation_rate[1]}, .mult = a->depth_multiplier,
                                  .pad = {tlvk__window_pad(&k, 0, x->h, y->h), tlvk__window_pad(&k, 1, x->w, y->w)}};
}

static unsigned halves(const tlvk__caps *caps, const tlvk__op_call *call) {
    tlvk__depthwise_call g = depthwise_call_of(call);
    (void)caps;
    return tlvk__depthwise_halves(&g);
}

static double flops(const tlvk__op_call *call) {
    const tlvk__depthwise_conv2d_attrs *a = call->attrs;
    return 2.0 * a->kernel_size[0] * a->kernel_size[1] * (double)call->y->n * (double)call->y->rows * (double)call->y->c;
}

static int candidates(const tlvk__caps *caps, const tlvk__op_call *call, int pass, tlvk__choice_key *key, int32_t values[TLVK__MOST_CANDIDATES]) {
    tlvk__depthwise_call g = depthwise_call_of(call);
    (void)caps;
    return tlvk__depthwise_candidates(&g, pass, key, values);
}

static tlvk_status needs(const tlvk__caps *caps, const tlvk__op_call *call, bool want_dx, bool want_dw, tlvk__op_needs *out) {
    (void)want_dx;
    tlvk__depthwise_call g = depthwise_call_of(call);
    return tlvk__depthwise_needs(caps, &g, want_dw, out);
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk__depthwise_call g = depthwise_call_of(call);
    return tlvk__depthwise_forward(r, &g);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk__depthwise_call g = depthwise_call_of(call);
    return tlvk__depthwise_backward(r, &g);
}

typedef struct depthwise_case { int n, h, w, c, mult, kernel[2], stride[2], dilation[2]; tlvk_padding padding; bool no_bias; const char *network; } depthwise_case;

static const depthwise_case cases[] = {
    {1, 1, 1, 1, 1, {1, 1}, {1, 1}, {1, 1}, TLVK_VALID, false, NULL},
    {2, 1, 1, 5, 1, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {1, 5, 7, 3, 1, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {2, 7, 5, 10, 1, {3, 3}, {2, 2}, {1, 1}, TLVK_SAME, false, NULL},
    {3, 8, 6, 7, 1, {3, 3}, {2, 2}, {1, 1}, TLVK_SAME, true, NULL},
    {1, 9, 8, 2, 1, {2, 2}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {2, 9, 11, 4, 1, {4, 2}, {1, 1}, {1, 1}, TLVK_VALID, false, NULL},
    {5, 7, 7, 5, 1, {5, 5}, {3, 3}, {1, 1}, TLVK_SAME, false, NULL},
    {2, 10, 9, 6, 1, {3, 3}, {1, 1}, {2, 2}, TLVK_SAME, false, NULL},
    {1, 11, 9, 3, 1, {3, 2}, {1, 1}, {3, 2}, TLVK_VALID, false, NULL},
    {2, 6, 6, 5, 2, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {1, 7, 6, 3, 3, {3, 3}, {2, 2}, {1, 1}, TLVK_VALID, false, NULL},
    {2, 5, 5, 1, 5, {2, 3}, {1, 1}, {1, 1}, TLVK_SAME, true, NULL},
    {1, 5, 6, 7, 1, {1, 1}, {2, 2}, {1, 1}, TLVK_SAME, false, NULL},
    {1, 12, 13, 3, 1, {9, 11}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {1, 4, 70, 2, 1, {1, 53}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {2, 17, 19, 33, 1, {3, 3}, {1, 1}, {1, 1}, TLVK_VALID, false, NULL},
    {4, 112, 112, 32, 1, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, true, "MobileNet dw_1"},
    {4, 113, 113, 64, 1, {3, 3}, {2, 2}, {1, 1}, TLVK_VALID, true, "MobileNet dw_2"},
    {4, 14, 14, 512, 1, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, true, "MobileNet dw_7"},
    {4, 57, 57, 48, 1, {3, 3}, {2, 2}, {1, 1}, TLVK_VALID, true, "MobileNetV2 0.35 block_3"},
    {4, 7, 7, 336, 1, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, true, "MobileNetV2 0.35 block_14"},
    {2, 19, 19, 728, 1, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, true, "Xception block5"},
    {2, 28, 28, 240, 1, {5, 5}, {1, 1}, {1, 1}, TLVK_SAME, true, "EfficientNetB0 block4a"},
};

/* A ZeroPadding2D taken in by the planner. */
static const struct { depthwise_case k; int around[4]; } padded_cases[] = {
    {{2, 8, 7, 10, 1, {3, 3}, {2, 2}, {1, 1}, TLVK_VALID, true, NULL}, {0, 1, 0, 1}},
    {{1, 5, 6, 3, 2, {3, 2}, {1, 1}, {1, 1}, TLVK_VALID, false, NULL}, {3, 0, 1, 4}},
};

static bool test_case(int index, tlvk__op_case *c) {
    static const tlvk_activation_kind kinds[] = {TLVK_LINEAR, TLVK_RELU6, TLVK_SIGMOID, TLVK_RELU, TLVK_ELU};
    int plain = (int)TLVK__COUNT(cases), padded = index - plain;
    if (padded >= (int)TLVK__COUNT(padded_cases))
        return false;
    const depthwise_case *k = padded < 0 ? &cases[index] : &padded_cases[padded].k;
    tlvk__depthwise_conv2d_attrs a = {0};
    defaults(&a);
    memcpy(a.kernel_size, k->kernel, sizeof a.kernel_size);
    memcpy(a.strides, k->stride, sizeof a.strides);
    memcpy(a.dilation_rate, k->dilation, sizeof a.dilation_rate);
    a.depth_multiplier = k->mult;
    a.padding = k->padding;
    c->planner_only = padded >= 0;
    if (c->planner_only)
        memcpy(a.zero_padding, padded_cases[padded].around, sizeof a.zero_padding);
    a.use_bias = !k->no_bias;
    memcpy(c->attrs.bytes, &a, sizeof a);
    c->inputs = 1;
    c->x[0] = (tlvk__shape){4, {k->n, k->h, k->w, k->c}};
    c->real_size = k->network != NULL;
    c->epilogue = tlvk__activation_of(k->network ? TLVK_RELU6 : kinds[index % (int)TLVK__COUNT(kinds)]);
    c->scale_shift = !k->network && index % 3 == 1;
    tlvk__kernel_window window = window_of(&a);
    char text[64];
    tlvk__window_text(&window, text, sizeof text);
    snprintf(c->name, sizeof c->name, "%s%s%s %dx%dx%dx%d m%d", k->network ? k->network : "", k->network ? " " : "", text, k->n, k->h, k->w, k->c, k->mult);
    return true;
}

#define FIELD(name, kind) {.key = #name, .type = TLVK__FIELD_##kind, .offset = offsetof(tlvk__depthwise_conv2d_attrs, name)}
static const tlvk__field fields[] = {
    FIELD(kernel_size, PAIR), FIELD(strides, PAIR), FIELD(padding, PADDING), FIELD(depth_multiplier, INT),
    {.key = "data_format", .type = TLVK__FIELD_MUST, .must = "\"channels_last\""},
    FIELD(dilation_rate, PAIR), FIELD(activation, ACTIVATION), FIELD(use_bias, BOOL), FIELD(depthwise_initializer, INITIALIZER),
    FIELD(bias_initializer, INITIALIZER), FIELD(depthwise_regularizer, REGULARIZER), FIELD(bias_regularizer, REGULARIZER),
    {.key = "activity_regularizer", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "depthwise_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "bias_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "groups", .type = TLVK__FIELD_IGNORE},
    {.key = "filters", .type = TLVK__FIELD_IGNORE},
    {.key = "kernel_initializer", .type = TLVK__FIELD_IGNORE},
    {.key = "kernel_regularizer", .type = TLVK__FIELD_IGNORE},
    {.key = "kernel_constraint", .type = TLVK__FIELD_IGNORE},
    {0},
};

const tlvk__op tlvk__op_depthwise_conv2d = {
    .class_name = "DepthwiseConv2D", .snake_name = "depthwise_conv2d", .flags = TLVK__OP_EPILOGUE, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__depthwise_conv2d_attrs), .fields = fields, .defaults = defaults, .shape = shape, .variables = variables,
    .activation = activation, .halves = halves, .backward_reads = backward_reads, .flops = flops, .candidates = candidates, .needs = needs, .forward = forward, .backward = backward,
    .reference_forward = tlvk__depthwise_reference_forward, .reference_backward = tlvk__depthwise_reference_backward, .test_case = test_case,
};
