/* conv2d.c - Conv2D: attributes, shapes, recording through the implicit products of gemm.h (of several groups: grouped.h), cases.
 * Reference: conv2d_reference.c.
 * Fields: keras/src/layers/convolutional/base_conv.py, tf_keras/src/layers/convolutional/base_conv.py. */
#include "ops/conv2d.h"

#include "ops/grouped.h"
#include "ops/winograd.h"

#include <math.h>
#include <stdio.h>

static void defaults(void *attrs) {
    tlvk__conv2d_attrs *a = attrs;
    a->kernel_size[0] = a->kernel_size[1] = 1;
    a->strides[0] = a->strides[1] = a->dilation_rate[0] = a->dilation_rate[1] = 1;
    a->groups = 1;
    a->use_bias = true;
}

static tlvk__kernel_window window_of(const tlvk__conv2d_attrs *a) {
    return (tlvk__kernel_window){a->kernel_size, a->strides, a->dilation_rate, a->padding, a->zero_padding};
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__conv2d_attrs *a = attrs;
    tlvk__kernel_window k = window_of(a);
    int64_t out[2];
    tlvk_status s = tlvk__window_shape("Conv2D", &k, inputs, x, out);
    if (s)
        return s;
    if (a->filters < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "a Conv2D of %d filters: it needs at least 1", a->filters);
    if (a->groups < 1 || (x->dim[3] >= 0 && x->dim[3] % a->groups) || a->filters % a->groups)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "a Conv2D with groups=%d of %lld channels and %d filters: groups must be at least 1 and divide both", a->groups,
                          (long long)x->dim[3], a->filters);
    *y = (tlvk__shape){4, {x->dim[0], out[0], out[1], a->filters}};
    return TLVK_OK;
}

static int variables(const void *attrs, int inputs, const tlvk__shape *x, tlvk__variable_spec *specs) {
    const tlvk__conv2d_attrs *a = attrs;
    (void)inputs;
    tlvk__shape kernel = {4, {a->kernel_size[0], a->kernel_size[1], x->dim[3] / a->groups, a->filters}};
    specs[0] = tlvk__weights_spec("kernel", kernel, TLVK__LAYOUT_MATRIX, &a->kernel_initializer, TLVK_GLOROT_UNIFORM, &a->kernel_regularizer);
    if (a->use_bias)
        specs[1] = tlvk__weights_spec("bias", (tlvk__shape){1, {a->filters}}, TLVK__LAYOUT_VECTOR, &a->bias_initializer, TLVK_ZEROS, &a->bias_regularizer);
    return a->use_bias ? 2 : 1;
}

static tlvk__activation activation(const void *attrs) {
    return ((const tlvk__conv2d_attrs *)attrs)->activation;
}

static unsigned backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)attrs;
    (void)training;
    (void)want_dx;
    return want_dw ? TLVK__READS_X : 0;
}

static tlvk__gemm_call gemm_call_of(const tlvk__op_call *call) {
    const tlvk__conv2d_attrs *a = call->attrs;
    const tlvk__tensor *x = call->x[0], *y = call->y;
    tlvk__kernel_window k = window_of(a);
    return (tlvk__gemm_call){
        .call = call, .operation = "conv2d", .packs = true,
        .shape = {.h = x->h, .w = x->w, .oh = y->h, .ow = y->w, .kh = a->kernel_size[0], .kw = a->kernel_size[1], .stride = {a->strides[0], a->strides[1]},
                  .dilation = {a->dilation_rate[0], a->dilation_rate[1]}, .pad = {tlvk__window_pad(&k, 0, x->h, y->h), tlvk__window_pad(&k, 1, x->w, y->w)},
                  .cin_vecs = x->pitch / TLVK__LANES, .cout_vecs = y->pitch / TLVK__LANES, .cout = y->c}};
}

static bool grouped(const tlvk__op_call *call) {
    return ((const tlvk__conv2d_attrs *)call->attrs)->groups > 1;
}

static tlvk__grouped_call grouped_call_of(const tlvk__op_call *call) {
    return (tlvk__grouped_call){.call = call, .shape = gemm_call_of(call).shape, .groups = ((const tlvk__conv2d_attrs *)call->attrs)->groups};
}

static bool residual(const tlvk__caps *caps, const tlvk__op_call *call) {
    return !grouped(call) && tlvk__gemm_adds_residual(caps);
}

/* A residual lies as y does. */
static unsigned slices(const tlvk__caps *caps, const tlvk__op_call *call) {
    (void)caps;
    if (grouped(call))
        return 0;
    return TLVK__SLICED_X | TLVK__SLICED_DX | TLVK__SLICED_DY | (call->epilogue.residual ? 0 : TLVK__SLICED_Y);
}

static unsigned halves(const tlvk__caps *caps, const tlvk__op_call *call) {
    tlvk__gemm_call g = gemm_call_of(call);
    return grouped(call) ? 0 : tlvk__gemm_halves(caps, &g);
}

static double flops(const tlvk__op_call *call) {
    const tlvk__conv2d_attrs *a = call->attrs;
    return 2.0 * a->kernel_size[0] * a->kernel_size[1] * (double)(call->x[0]->c / a->groups) * (double)call->y->n * (double)call->y->rows * (double)call->y->c;
}

/* With fp16 operands the plain product is the faster one, and Winograd's planes would lose more digits. */
static bool by_winograd(const tlvk__caps *caps, const tlvk__gemm_call *g, enum tlvk__gemm_pass pass) {
    return !tlvk__gemm_mixed(caps, g) && tlvk__winograd_chosen(caps, &g->shape, pass);
}

static int candidates(const tlvk__caps *caps, const tlvk__op_call *call, int pass, tlvk__choice_key *key, int32_t values[TLVK__MOST_CANDIDATES]) {
    tlvk__gemm_call g = gemm_call_of(call);
    return grouped(call) ? 0 : tlvk__gemm_candidates(caps, &g, (enum tlvk__gemm_pass)pass, key, values);
}

static tlvk_status needs(const tlvk__caps *caps, const tlvk__op_call *call, bool want_dx, bool want_dw, tlvk__op_needs *out) {
    tlvk__gemm_call g = gemm_call_of(call);
    tlvk__grouped_call several = grouped_call_of(call);
    if (grouped(call))
        return tlvk__grouped_needs(caps, &several, want_dw, out);
    tlvk_status s = tlvk__gemm_needs(caps, &g, want_dx, want_dw, out);
    if (!s && by_winograd(caps, &g, TLVK__GEMM_FORWARD))
        tlvk__winograd_forward_needs(caps, &g, out);
    if (!s && want_dx && by_winograd(caps, &g, TLVK__GEMM_DATA))
        out->backward_scratch_bytes = TLVK__MAX(out->backward_scratch_bytes, tlvk__winograd_data_scratch(caps, &g));
    if (!s && want_dw && by_winograd(caps, &g, TLVK__GEMM_WEIGHTS))
        out->backward_scratch_bytes = TLVK__MAX(out->backward_scratch_bytes, tlvk__winograd_weights_scratch(caps, &g));
    return s;
}

static const tlvk__caps *caps_of(tlvk__recorder *r) {
    return tlvk__device_caps(tlvk__recorder_device(r));
}

static tlvk_status pack(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk__gemm_call g = gemm_call_of(call);
    if (grouped(call))
        return TLVK_OK;
    return by_winograd(caps_of(r), &g, TLVK__GEMM_FORWARD) ? tlvk__winograd_pack(r, &g) : tlvk__gemm_pack(r, &g);
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk__gemm_call g = gemm_call_of(call);
    tlvk__grouped_call several = grouped_call_of(call);
    if (grouped(call))
        return tlvk__grouped_forward(r, &several);
    return by_winograd(caps_of(r), &g, TLVK__GEMM_FORWARD) ? tlvk__winograd_forward(r, &g) : tlvk__gemm_forward(r, &g);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk__gemm_call g = gemm_call_of(call);
    tlvk__grouped_call several = grouped_call_of(call);
    if (grouped(call))
        return tlvk__grouped_backward(r, &several);
    tlvk__op_call others = *call;
    if (call->dw[0] && by_winograd(caps_of(r), &g, TLVK__GEMM_WEIGHTS))
        others.dw[0] = NULL;
    if (call->dx[0] && by_winograd(caps_of(r), &g, TLVK__GEMM_DATA))
        others.dx[0] = NULL;
    g.call = &others;
    tlvk_status s = tlvk__gemm_backward(r, &g);
    g.call = call;
    if (!s && call->dw[0] && !others.dw[0])
        s = tlvk__winograd_backward_weights(r, &g);
    if (!s && call->dx[0] && !others.dx[0])
        s = tlvk__winograd_backward_data(r, &g);
    return s;
}

/* --- cases: edges of every rule first, then layers of published networks ------------------------------------------------------------------- */

typedef struct conv_case { int n, h, w, c, filters, kernel[2], stride[2], dilation[2]; tlvk_padding padding; bool no_bias; const char *network; } conv_case;

static const conv_case cases[] = {
    {1, 1, 1, 1, 1, {1, 1}, {1, 1}, {1, 1}, TLVK_VALID, false, NULL},
    {2, 1, 1, 5, 7, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {1, 5, 7, 3, 2, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {2, 7, 5, 3, 10, {3, 3}, {2, 2}, {1, 1}, TLVK_SAME, false, NULL},
    {3, 8, 6, 2, 5, {3, 3}, {2, 2}, {1, 1}, TLVK_SAME, true, NULL},
    {1, 9, 8, 7, 3, {2, 2}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {2, 9, 8, 4, 8, {4, 2}, {2, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {5, 7, 7, 5, 4, {5, 5}, {3, 3}, {1, 1}, TLVK_SAME, false, NULL},
    {2, 11, 13, 3, 6, {5, 3}, {3, 2}, {1, 1}, TLVK_VALID, false, NULL},
    {2, 10, 9, 6, 5, {3, 3}, {1, 1}, {2, 2}, TLVK_SAME, false, NULL},
    {1, 11, 9, 3, 9, {3, 2}, {1, 1}, {3, 2}, TLVK_VALID, false, NULL},
    {4, 6, 6, 10, 12, {1, 1}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {3, 7, 5, 13, 33, {1, 1}, {2, 2}, {1, 1}, TLVK_SAME, false, NULL},
    {2, 6, 7, 9, 31, {1, 1}, {3, 3}, {1, 1}, TLVK_VALID, true, NULL},
    {1, 3, 31, 17, 32, {1, 7}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {1, 33, 3, 31, 65, {7, 1}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {1, 5, 5, 3, 4, {5, 5}, {1, 1}, {1, 1}, TLVK_VALID, false, NULL},
    {2, 4, 4, 2, 3, {7, 7}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {1, 16, 17, 64, 64, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL},
    {2, 12, 11, 24, 40, {3, 3}, {2, 2}, {1, 1}, TLVK_VALID, false, NULL},
    {1, 3, 3, 3, 4, {1, 1}, {4, 4}, {1, 1}, TLVK_VALID, false, NULL},
    {1, 224, 224, 3, 64, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, "VGG16 block1_conv1"},
    {1, 224, 224, 64, 64, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, "VGG16 block1_conv2"},
    {1, 112, 112, 64, 128, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, "VGG16 block2_conv1"},
    {1, 56, 56, 128, 256, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, "VGG16 block3_conv1"},
    {1, 56, 56, 256, 256, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, "VGG16 block3_conv2"},
    {1, 28, 28, 512, 512, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, "VGG16 block4_conv2"},
    {2, 14, 14, 512, 512, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, "VGG16 block5_conv1"},
    {1, 230, 230, 3, 64, {7, 7}, {2, 2}, {1, 1}, TLVK_VALID, false, "ResNet50 conv1"},
    {2, 56, 56, 64, 256, {1, 1}, {1, 1}, {1, 1}, TLVK_VALID, false, "ResNet50 conv2 expand"},
    {2, 56, 56, 256, 128, {1, 1}, {2, 2}, {1, 1}, TLVK_VALID, false, "ResNet50 conv3 reduce"},
    {4, 7, 7, 512, 2048, {1, 1}, {1, 1}, {1, 1}, TLVK_VALID, false, "ResNet50 conv5 expand"},
    {1, 225, 225, 3, 16, {3, 3}, {2, 2}, {1, 1}, TLVK_VALID, true, "MobileNetV2 0.35 Conv1"},
    {2, 112, 112, 16, 8, {1, 1}, {1, 1}, {1, 1}, TLVK_SAME, true, "MobileNetV2 0.35 project"},
    {2, 56, 56, 8, 48, {1, 1}, {1, 1}, {1, 1}, TLVK_SAME, true, "MobileNetV2 0.35 expand"},
    {4, 7, 7, 112, 1280, {1, 1}, {1, 1}, {1, 1}, TLVK_SAME, true, "MobileNetV2 0.35 Conv_1"},
    {2, 56, 56, 144, 24, {1, 1}, {1, 1}, {1, 1}, TLVK_SAME, true, "MobileNetV2 project"},
    {2, 28, 28, 192, 64, {1, 1}, {1, 1}, {1, 1}, TLVK_SAME, true, "MobileNetV2 project 28"},
    {2, 28, 28, 256, 256, {1, 1}, {1, 1}, {1, 1}, TLVK_SAME, true, "MobileNet pw_5"},
    {2, 19, 19, 728, 728, {1, 1}, {1, 1}, {1, 1}, TLVK_SAME, true, "Xception block5 pointwise"},
    {2, 17, 17, 160, 192, {1, 7}, {1, 1}, {1, 1}, TLVK_SAME, true, "InceptionV3 1x7"},
    {2, 17, 17, 160, 192, {7, 1}, {1, 1}, {1, 1}, TLVK_SAME, true, "InceptionV3 7x1"},
    {1, 149, 149, 32, 32, {3, 3}, {1, 1}, {1, 1}, TLVK_VALID, true, "InceptionV3 stem"},
    {1, 147, 147, 32, 64, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, true, "InceptionV3 stem 2"},
    {1, 73, 73, 80, 192, {3, 3}, {1, 1}, {1, 1}, TLVK_VALID, true, "InceptionV3 stem 4"},
    {1, 35, 35, 96, 96, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, true, "InceptionV3 35"},
    {1, 8, 8, 448, 384, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, true, "InceptionV3 8"},
    {1, 56, 56, 64, 64, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, "ResNet50 conv2"},
    {1, 28, 28, 128, 128, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, "ResNet50 conv3"},
    {1, 14, 14, 256, 256, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, "ResNet50 conv4"},
    {1, 7, 7, 512, 512, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, "ResNet50 conv5"},
    {1, 28, 28, 128, 32, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, true, "DenseNet121 block 2"},
};

/* A ZeroPadding2D taken in by the planner. */
static const struct { conv_case k; int around[4]; } padded_cases[] = {
    {{2, 8, 7, 5, 6, {3, 3}, {2, 2}, {1, 1}, TLVK_VALID, true, NULL}, {0, 1, 0, 1}},
    {{1, 9, 6, 3, 10, {7, 7}, {2, 2}, {1, 1}, TLVK_VALID, false, NULL}, {3, 3, 3, 3}},
    {{2, 5, 5, 4, 3, {2, 3}, {1, 1}, {1, 1}, TLVK_VALID, false, NULL}, {4, 0, 1, 5}},
};

/* Channels in groups that do not meet. */
static const struct { conv_case k; int groups; } grouped_cases[] = {
    {{2, 7, 6, 8, 16, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL}, 2},
    {{1, 9, 11, 16, 32, {3, 3}, {2, 2}, {1, 1}, TLVK_SAME, false, NULL}, 4},
    {{3, 8, 9, 16, 8, {3, 2}, {1, 1}, {2, 3}, TLVK_VALID, true, NULL}, 2},
    {{2, 5, 7, 6, 9, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL}, 3},
    {{3, 6, 5, 10, 15, {2, 3}, {2, 1}, {1, 1}, TLVK_VALID, false, NULL}, 5},
    {{2, 6, 7, 7, 7, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL}, 7},
    {{2, 5, 6, 5, 10, {3, 3}, {2, 2}, {1, 1}, TLVK_SAME, true, NULL}, 5},
    {{1, 4, 9, 12, 24, {1, 1}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL}, 12},
    {{2, 5, 5, 12, 20, {1, 1}, {3, 3}, {1, 1}, TLVK_VALID, false, NULL}, 2},
    {{2, 20, 21, 12, 8, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, false, NULL}, 4},
    {{2, 28, 28, 256, 256, {3, 3}, {1, 1}, {1, 1}, TLVK_SAME, true, "ResNeXt50 conv3"}, 32},
    {{1, 27, 27, 96, 256, {5, 5}, {1, 1}, {1, 1}, TLVK_SAME, false, "AlexNet conv2"}, 2},
};

/* Epilogues in turn, so that each meets many shapes. */
static void case_epilogue(int index, tlvk__op_case *c) {
    static const tlvk_activation_kind kinds[] = {TLVK_LINEAR, TLVK_RELU, TLVK_RELU6, TLVK_SIGMOID, TLVK_LEAKY_RELU, TLVK_LINEAR, TLVK_ELU};
    c->epilogue = tlvk__activation_of(kinds[index % (int)TLVK__COUNT(kinds)]);
    c->scale_shift = index % 3 == 1;
    c->residual = index % 4 == 1;
}

static bool test_case(int index, tlvk__op_case *c) {
    int padded = index - (int)TLVK__COUNT(cases), grouped_index = padded - (int)TLVK__COUNT(padded_cases);
    if (grouped_index >= (int)TLVK__COUNT(grouped_cases))
        return false;
    const conv_case *k = padded < 0 ? &cases[index] : grouped_index < 0 ? &padded_cases[padded].k : &grouped_cases[grouped_index].k;
    tlvk__conv2d_attrs a = {0};
    defaults(&a);
    a.filters = k->filters;
    memcpy(a.kernel_size, k->kernel, sizeof a.kernel_size);
    memcpy(a.strides, k->stride, sizeof a.strides);
    memcpy(a.dilation_rate, k->dilation, sizeof a.dilation_rate);
    a.padding = k->padding;
    c->planner_only = padded >= 0 && grouped_index < 0;
    if (c->planner_only)
        memcpy(a.zero_padding, padded_cases[padded].around, sizeof a.zero_padding);
    if (grouped_index >= 0)
        a.groups = grouped_cases[grouped_index].groups;
    a.use_bias = !k->no_bias;
    memcpy(c->attrs.bytes, &a, sizeof a);
    c->inputs = 1;
    c->x[0] = (tlvk__shape){4, {k->n, k->h, k->w, k->c}};
    c->real_size = k->network != NULL;
    if (k->network)
        c->epilogue = tlvk__activation_of(TLVK_RELU);
    else
        case_epilogue(index, c);
    tlvk__kernel_window window = window_of(&a);
    char text[64], groups[32] = "";
    tlvk__window_text(&window, text, sizeof text);
    if (a.groups > 1)
        snprintf(groups, sizeof groups, " groups %d", a.groups);
    snprintf(c->name, sizeof c->name, "%s%s%s %dx%dx%dx%d->%d%s", k->network ? k->network : "", k->network ? " " : "", text, k->n, k->h, k->w, k->c, k->filters,
             groups);
    return true;
}

#define FIELD(name, kind) {.key = #name, .type = TLVK__FIELD_##kind, .offset = offsetof(tlvk__conv2d_attrs, name)}
static const tlvk__field fields[] = {
    FIELD(filters, INT), FIELD(kernel_size, PAIR), FIELD(strides, PAIR), FIELD(padding, PADDING),
    {.key = "data_format", .type = TLVK__FIELD_MUST, .must = "\"channels_last\""},
    FIELD(dilation_rate, PAIR), FIELD(groups, INT), FIELD(activation, ACTIVATION), FIELD(use_bias, BOOL),
    FIELD(kernel_initializer, INITIALIZER), FIELD(bias_initializer, INITIALIZER), FIELD(kernel_regularizer, REGULARIZER), FIELD(bias_regularizer, REGULARIZER),
    {.key = "activity_regularizer", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "kernel_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "bias_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {0},
};

const tlvk__op tlvk__op_conv2d = {
    .class_name = "Conv2D", .snake_name = "conv2d", .flags = TLVK__OP_EPILOGUE | TLVK__OP_PRODUCT, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__conv2d_attrs), .fields = fields, .defaults = defaults, .shape = shape, .variables = variables, .activation = activation,
    .residual = residual, .slices = slices, .halves = halves, .backward_reads = backward_reads, .flops = flops, .candidates = candidates, .needs = needs, .pack = pack, .forward = forward, .backward = backward,
    .reference_forward = tlvk__conv2d_reference_forward, .reference_backward = tlvk__conv2d_reference_backward, .test_case = test_case,
};
