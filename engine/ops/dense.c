/* dense.c - Dense: y = act(x*w + b) over the last axis, recorded as a 1x1 convolution through gemm.c; w is read as it lies, in parts where
 * it is larger than a binding (VGG16's fc1 is 411 MB). Fields: keras/src/layers/core/dense.py. */
#include "ops/convolution.h"
#include "ops/gemm.h"

#include <math.h>
#include <stdio.h>

static void defaults(void *attrs) {
    ((tlvk__dense_attrs *)attrs)->use_bias = true;
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__dense_attrs *a = attrs;
    char text[128];
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Dense takes one input, here it has %d", inputs);
    if (a->units < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "a Dense of %d units: it needs at least 1", a->units);
    if (x->rank < 2)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Dense takes (batch, ..., features), here %s", tlvk__shape_text(x, text, sizeof text));
    if (x->dim[x->rank - 1] < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Dense needs to know the last dimension of its input, here %s", tlvk__shape_text(x, text, sizeof text));
    *y = *x;
    y->dim[x->rank - 1] = a->units;
    return TLVK_OK;
}

static int variables(const void *attrs, int inputs, const tlvk__shape *x, tlvk__variable_spec *specs) {
    const tlvk__dense_attrs *a = attrs;
    (void)inputs;
    tlvk__shape kernel = {2, {x->dim[x->rank - 1], a->units}};
    specs[0] = tlvk__weights_spec("kernel", kernel, TLVK__LAYOUT_MATRIX, &a->kernel_initializer, TLVK_GLOROT_UNIFORM, &a->kernel_regularizer);
    if (a->use_bias)
        specs[1] = tlvk__weights_spec("bias", (tlvk__shape){1, {a->units}}, TLVK__LAYOUT_VECTOR, &a->bias_initializer, TLVK_ZEROS, &a->bias_regularizer);
    return a->use_bias ? 2 : 1;
}

static tlvk__activation activation(const void *attrs) {
    return ((const tlvk__dense_attrs *)attrs)->activation;
}

static unsigned backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)attrs;
    (void)training;
    (void)want_dx;
    return want_dw ? TLVK__READS_X : 0;
}

/* A sample is a picture of `rows` x 1. */
static tlvk__gemm_call gemm_call_of(const tlvk__op_call *call) {
    const tlvk__tensor *x = call->x[0], *y = call->y;
    return (tlvk__gemm_call){.call = call, .operation = "dense",
                             .shape = {.h = x->rows, .w = 1, .oh = x->rows, .ow = 1, .kh = 1, .kw = 1, .stride = {1, 1}, .dilation = {1, 1},
                                       .cin_vecs = x->pitch / TLVK__LANES, .cout_vecs = y->pitch / TLVK__LANES, .cout = y->c}};
}

static bool residual(const tlvk__caps *caps, const tlvk__op_call *call) {
    (void)call;
    return tlvk__gemm_adds_residual(caps);
}

static unsigned halves(const tlvk__caps *caps, const tlvk__op_call *call) {
    tlvk__gemm_call g = gemm_call_of(call);
    return tlvk__gemm_halves(caps, &g);
}

static double flops(const tlvk__op_call *call) {
    return 2.0 * (double)call->x[0]->c * (double)call->y->n * (double)call->y->rows * (double)call->y->c;
}

static int candidates(const tlvk__caps *caps, const tlvk__op_call *call, int pass, tlvk__choice_key *key, int32_t values[TLVK__MOST_CANDIDATES]) {
    tlvk__gemm_call g = gemm_call_of(call);
    return tlvk__gemm_candidates(caps, &g, (enum tlvk__gemm_pass)pass, key, values);
}

static tlvk_status needs(const tlvk__caps *caps, const tlvk__op_call *call, bool want_dx, bool want_dw, tlvk__op_needs *out) {
    tlvk__gemm_call g = gemm_call_of(call);
    return tlvk__gemm_needs(caps, &g, want_dx, want_dw, out);
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk__gemm_call g = gemm_call_of(call);
    return tlvk__gemm_forward(r, &g);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk__gemm_call g = gemm_call_of(call);
    return tlvk__gemm_backward(r, &g);
}

/* --- reference ------------------------------------------------------------------------------------------------------------------------------ */

static void put(tlvk__ref_tensor *t, int64_t i, double sum, double magnitude) {
    t->v[i] = sum;
    if (t->e)
        t->e[i] = magnitude;
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    const tlvk__ref_tensor *x = call->x[0], *w = call->w[0], *b = call->w[1];
    int64_t in = w->shape.dim[0], out = w->shape.dim[1], rows = (int64_t)tlvk__ref_count(x) / in;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t o = 0; o < out; o++) {
            double sum = b ? b->v[o] : 0, magnitude = fabs(sum);
            for (int64_t i = 0; i < in; i++) {
                double term = x->v[row * in + i] * w->v[i * out + o];
                sum += term;
                magnitude += fabs(term);
            }
            put(call->y, row * out + o, sum, magnitude);
        }
    tlvk__bound_products(call, call->y, (double)in, x, w);
    return TLVK_OK;
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    const tlvk__ref_tensor *x = call->x[0], *w = call->w[0], *dy = call->dy;
    int64_t in = w->shape.dim[0], out = w->shape.dim[1], rows = (int64_t)tlvk__ref_count(x) / in;
    for (int64_t row = 0; call->dx[0] && row < rows; row++)
        for (int64_t i = 0; i < in; i++) {
            double sum = 0, magnitude = 0;
            for (int64_t o = 0; o < out; o++) {
                double term = dy->v[row * out + o] * w->v[i * out + o];
                sum += term;
                magnitude += fabs(term);
            }
            put(call->dx[0], row * in + i, sum, magnitude);
        }
    for (int64_t i = 0; call->dw[0] && i < in; i++)
        for (int64_t o = 0; o < out; o++) {
            double sum = 0, magnitude = 0;
            for (int64_t row = 0; row < rows; row++) {
                double term = x->v[row * in + i] * dy->v[row * out + o];
                sum += term;
                magnitude += fabs(term);
            }
            put(call->dw[0], i * out + o, sum, magnitude);
        }
    if (call->dx[0])
        tlvk__bound_products(call, call->dx[0], (double)out, dy, w);
    if (call->dw[0])
        tlvk__bound_products(call, call->dw[0], (double)rows, x, dy);
    if (call->dw[1])
        tlvk__reference_bias(dy, call->dw[1]);
    return TLVK_OK;
}

/* --- cases ------------------------------------------------------------------------------------------------------------------------------------ */

typedef struct dense_case { tlvk__shape x; int units; bool no_bias; const char *network; } dense_case;
static const dense_case cases[] = {
    {{2, {1, 1}}, 1, false, NULL},
    {{2, {3, 5}}, 2, false, NULL},
    {{2, {5, 7}}, 10, true, NULL},
    {{2, {33, 64}}, 31, false, NULL},
    {{2, {17, 10}}, 65, false, NULL},
    {{3, {2, 3, 6}}, 7, false, NULL},
    {{4, {2, 5, 3, 9}}, 33, false, NULL},
    {{3, {3, 37, 12}}, 5, true, NULL},
    {{2, {64, 100}}, 2, false, NULL},
    {{2, {32, 1280}}, 100, false, "Teachable Machine head"},
    {{2, {32, 512}}, 10, false, "VGG16 head of 10"},
    {{2, {8, 8192}}, 256, false, "flatten 4x4x512 to 256"},
    {{2, {32, 2048}}, 1000, false, "ResNet50 predictions"},
    {{2, {2, 25088}}, 128, false, "a part of VGG16 fc1"},
};

static bool test_case(int index, tlvk__op_case *c) {
    static const tlvk_activation_kind kinds[] = {TLVK_LINEAR, TLVK_RELU, TLVK_TANH, TLVK_SIGMOID, TLVK_SOFTPLUS};
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    const dense_case *k = &cases[index];
    memcpy(c->attrs.bytes, &(tlvk__dense_attrs){.units = k->units, .use_bias = !k->no_bias}, sizeof(tlvk__dense_attrs));
    c->inputs = 1;
    c->x[0] = k->x;
    c->real_size = k->network != NULL;
    c->epilogue = tlvk__activation_of(k->network ? TLVK_RELU : kinds[index % (int)TLVK__COUNT(kinds)]);
    c->scale_shift = !k->network && index % 3 == 1;
    c->residual = !k->network && index % 4 == 2;
    char text[96];
    snprintf(c->name, sizeof c->name, "%s%s%s->%d", k->network ? k->network : "", k->network ? " " : "", tlvk__shape_text(&k->x, text, sizeof text), k->units);
    return true;
}

#define FIELD(name, kind) {.key = #name, .type = TLVK__FIELD_##kind, .offset = offsetof(tlvk__dense_attrs, name)}
static const tlvk__field fields[] = {
    FIELD(units, INT), FIELD(activation, ACTIVATION), FIELD(use_bias, BOOL), FIELD(kernel_initializer, INITIALIZER), FIELD(bias_initializer, INITIALIZER),
    FIELD(kernel_regularizer, REGULARIZER), FIELD(bias_regularizer, REGULARIZER),
    {.key = "activity_regularizer", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "kernel_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "bias_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "quantization_config", .type = TLVK__FIELD_MUST, .must = "null", .keras3_only = true},
    {0},
};

const tlvk__op tlvk__op_dense = {
    .class_name = "Dense", .snake_name = "dense", .flags = TLVK__OP_EPILOGUE | TLVK__OP_PRODUCT, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__dense_attrs), .fields = fields, .defaults = defaults, .shape = shape, .variables = variables, .activation = activation,
    .residual = residual, .halves = halves, .backward_reads = backward_reads, .flops = flops, .candidates = candidates, .needs = needs, .forward = forward, .backward = backward,
    .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
