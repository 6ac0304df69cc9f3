/* conv2d_transpose.c - Conv2DTranspose: the gradient of a convolution with respect to its input, as a layer.
 *
 * Its kernel (kh, kw, filters, cin) is that of the convolution that leads from y to x, so the passes of gemm.h change places: forward is that
 * convolution's backward-data, the gradient of x its forward pass, the gradient of the kernel its backward-weights with x and dy exchanged.
 * Sizes: keras/src/backend/common/backend_utils.py, compute_conv_transpose_output_shape; padding: TensorFlow's conv2d_backprop_input.
 * Fields: keras/src/layers/convolutional/base_conv_transpose.py. Shaders: those of gemm.h, epilogue_apply. */
#include "ops/conv2d.h"
#include "ops/gemm.h"

#include <math.h>
#include <stdio.h>

enum { GROUP = 64 };

_Static_assert(sizeof(tlvk__conv2d_transpose_attrs) <= TLVK__ATTR_BYTES, "attributes beyond what a layer holds");

static void defaults(void *attrs) {
    tlvk__conv2d_transpose_attrs *a = attrs;
    a->kernel_size[0] = a->kernel_size[1] = 1;
    a->strides[0] = a->strides[1] = a->dilation_rate[0] = a->dilation_rate[1] = 1;
    a->use_bias = true;
}

static tlvk_status check(const tlvk__conv2d_transpose_attrs *a) {
    const tlvk__shape *p = &a->output_padding;
    for (int i = 0; i < 2; i++)
        if (a->kernel_size[i] < 1 || a->strides[i] < 1 || a->dilation_rate[i] < 1 || (int64_t)a->kernel_size[i] * a->dilation_rate[i] > INT32_MAX / 4)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "Conv2DTranspose: kernel_size %dx%d, strides %dx%d, dilation_rate %dx%d: all must be at least 1, and "
                              "smaller than an image", a->kernel_size[0], a->kernel_size[1], a->strides[0], a->strides[1], a->dilation_rate[0], a->dilation_rate[1]);
    if ((a->strides[0] > 1 || a->strides[1] > 1) && (a->dilation_rate[0] > 1 || a->dilation_rate[1] > 1))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Conv2DTranspose: strides %dx%d with dilation_rate %dx%d: as in Keras, only one of them may exceed 1",
                          a->strides[0], a->strides[1], a->dilation_rate[0], a->dilation_rate[1]);
    if (a->filters < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "a Conv2DTranspose of %d filters: it needs at least 1", a->filters);
    if (p->rank != 0 && (p->rank != 2 || p->dim[0] < 0 || p->dim[1] < 0 || p->dim[0] >= a->strides[0] || p->dim[1] >= a->strides[1]))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Conv2DTranspose: an output_padding of %d numbers (%lld, %lld) with strides %dx%d: two are needed, each from 0 to less "
                          "than its stride", p->rank, (long long)p->dim[0], (long long)p->dim[1], a->strides[0], a->strides[1]);
    return TLVK_OK;
}

/* Output positions along an axis of `in`; -1 where that is unknown, 0 where Keras has no such size. */
static int64_t output_size(const tlvk__conv2d_transpose_attrs *a, int axis, int64_t in) {
    int64_t reach = (int64_t)(a->kernel_size[axis] - 1) * a->dilation_rate[axis] + 1, stride = a->strides[axis];
    bool given = a->output_padding.rank == 2;
    if (in < 0)
        return -1;
    if (a->padding == TLVK_SAME && !given)
        return in * stride;
    if (a->padding == TLVK_VALID)
        return (in - 1) * stride + (given ? reach + a->output_padding.dim[axis] : TLVK__MAX(reach, stride));
    int64_t size = (in - 1) * stride + reach % 2 + a->output_padding.dim[axis];
    return tlvk__div_up(size, stride) == in ? size : 0;
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__conv2d_transpose_attrs *a = attrs;
    tlvk_status s = tlvk__expect_image("Conv2DTranspose", inputs, x);
    if (!s)
        s = check(a);
    if (s)
        return s;
    *y = (tlvk__shape){4, {x->dim[0], output_size(a, 0, x->dim[1]), output_size(a, 1, x->dim[2]), a->filters}};
    for (int i = 0; i < 2; i++)
        if (y->dim[1 + i] == 0)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "Conv2DTranspose with padding same, an even kernel of %d %s and output_padding %lld: no output has that size; leave "
                              "output_padding out or make it at least 1", a->kernel_size[i], i == 0 ? "rows" : "columns", (long long)a->output_padding.dim[i]);
    return TLVK_OK;
}

static int variables(const void *attrs, int inputs, const tlvk__shape *x, tlvk__variable_spec *specs) {
    const tlvk__conv2d_transpose_attrs *a = attrs;
    (void)inputs;
    tlvk__shape kernel = {4, {a->kernel_size[0], a->kernel_size[1], a->filters, x->dim[3]}};
    specs[0] = tlvk__weights_spec("kernel", kernel, TLVK__LAYOUT_MATRIX, &a->kernel_initializer, TLVK_GLOROT_UNIFORM, &a->kernel_regularizer);
    if (a->use_bias)
        specs[1] = tlvk__weights_spec("bias", (tlvk__shape){1, {a->filters}}, TLVK__LAYOUT_VECTOR, &a->bias_initializer, TLVK_ZEROS, &a->bias_regularizer);
    return a->use_bias ? 2 : 1;
}

static tlvk__activation activation(const void *attrs) {
    return ((const tlvk__conv2d_transpose_attrs *)attrs)->activation;
}

static unsigned backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)attrs, (void)training, (void)want_dx;
    return want_dw ? TLVK__READS_X : 0;
}

/* --- recording: the convolution from y to x ------------------------------------------------------------------------------------------------ */

static tlvk__kernel_window window_of(const tlvk__conv2d_transpose_attrs *a) {
    return (tlvk__kernel_window){a->kernel_size, a->strides, a->dilation_rate, a->padding, NULL};
}

/* `inner` is that convolution's call. */
static tlvk__gemm_call gemm_call_of(const tlvk__op_call *call, const tlvk__op_call *inner, const char *operation) {
    const tlvk__conv2d_transpose_attrs *a = call->attrs;
    const tlvk__tensor *x = call->x[0], *y = call->y;
    tlvk__kernel_window k = window_of(a);
    return (tlvk__gemm_call){
        .call = inner, .operation = operation, .transposed = true,
        .shape = {.h = y->h, .w = y->w, .oh = x->h, .ow = x->w, .kh = a->kernel_size[0], .kw = a->kernel_size[1], .stride = {a->strides[0], a->strides[1]},
                  .dilation = {a->dilation_rate[0], a->dilation_rate[1]}, .pad = {tlvk__window_pad(&k, 0, y->h, x->h), tlvk__window_pad(&k, 1, y->w, x->w)},
                  .cin_vecs = y->pitch / TLVK__LANES, .cout_vecs = x->pitch / TLVK__LANES, .cout = x->c}};
}

static tlvk__op_call inner_call(const tlvk__op_call *call) {
    return (tlvk__op_call){.attrs = call->attrs, .layer = call->layer, .training = call->training, .mixed = call->mixed, .inputs = 1, .x = {call->dy}, .y = call->x[0],
                           .w = {call->w[0]}, .epilogue = {.activation = tlvk__activation_of(TLVK_LINEAR)}, .scratch = call->scratch};
}

static double flops(const tlvk__op_call *call) {
    const tlvk__conv2d_transpose_attrs *a = call->attrs;
    const tlvk__tensor *x = call->x[0];
    return 2.0 * a->kernel_size[0] * a->kernel_size[1] * (double)x->c * (double)x->n * (double)x->rows * (double)call->y->c;
}

static uint64_t weights_scratch(const tlvk__caps *caps, const tlvk__op_call *call) {
    tlvk__op_call inner = inner_call(call);
    tlvk__gemm_call g = gemm_call_of(call, &inner, "conv2d_transpose");
    return tlvk__round_up(tlvk__gemm_weights_scratch(caps, &g), 256);
}

/* Forward is that convolution's gradient of the input, and the other way round. */
static int candidates(const tlvk__caps *caps, const tlvk__op_call *call, int pass, tlvk__choice_key *key, int32_t values[TLVK__MOST_CANDIDATES]) {
    static const enum tlvk__gemm_pass passes[] = {TLVK__GEMM_DATA, TLVK__GEMM_FORWARD, TLVK__GEMM_WEIGHTS};
    tlvk__op_call inner = inner_call(call);
    tlvk__gemm_call g = gemm_call_of(call, &inner, "conv2d_transpose");
    return tlvk__gemm_candidates(caps, &g, passes[pass], key, values);
}

static tlvk_status needs(const tlvk__caps *caps, const tlvk__op_call *call, bool want_dx, bool want_dw, tlvk__op_needs *out) {
    (void)want_dx;
    out->forward_scratch_bytes = call->epilogue.scale ? (uint64_t)(call->y->pitch / TLVK__LANES) * 32 : 0;
    if (want_dw)
        out->backward_scratch_bytes = weights_scratch(caps, call) + tlvk__column_sums_bytes(call->y);
    return TLVK_OK;
}

/* y = act(scale * (y + bias) + shift). */
static tlvk_status record_epilogue(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *y = call->y;
    if (!call->w[1] && !call->epilogue.scale && call->epilogue.activation.kind == TLVK_LINEAR)
        return TLVK_OK;
    struct { uint32_t base, items, vecs; tlvk__epilogue_push epilogue; } push = {.vecs = (uint32_t)(y->pitch / TLVK__LANES)};
    uint32_t any_base, kind;
    tlvk__binding any = tlvk__tensor_window(caps, call->w[0], 0, 1, TLVK__READ, &any_base), vectors;
    tlvk_status s = tlvk__epilogue_bind(r, call, call->w[1], y->c, call->scratch, any, "conv2d_transpose", &vectors, &push.epilogue, &kind);
    tlvk__piece piece = {0, 0};
    for (bool more = true; !s;) {
        s = tlvk__next_piece(caps, &y, 1, y->n, &piece, &more);
        if (s || !more)
            break;
        tlvk__dispatch d = {.shader = "epilogue_apply", .specs = {{"WG", GROUP}, {"ACTIVATION", kind}}, .bindings = {{.access = 0}, vectors}, .binding_count = 2,
                            .push = &push, .push_bytes = sizeof push, .operation = "conv2d_transpose_epilogue", .layer = call->layer};
        d.bindings[0] = tlvk__tensor_window(caps, y, piece.n0, piece.n1, TLVK__READ_WRITE, &push.base);
        push.items = (uint32_t)((piece.n1 - piece.n0) * tlvk__sample_floats(y) / TLVK__LANES);
        d.groups[0] = (uint64_t)tlvk__div_up(push.items, GROUP);
        d.flops = 8.0 * push.items;
        d.bytes = 32.0 * push.items;
        s = tlvk__record_dispatch(r, &d);
    }
    return s;
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk__op_call inner = inner_call(call);
    inner.x[0] = call->y;
    inner.dy = call->x[0];
    inner.dx[0] = call->y;
    tlvk__gemm_call g = gemm_call_of(call, &inner, "conv2d_transpose");
    tlvk_status s = tlvk__gemm_backward(r, &g);
    return s ? s : record_epilogue(r, call);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    tlvk_status s = TLVK_OK;
    tlvk__op_call inner = inner_call(call);
    if (call->dw[0]) {
        inner.dy = call->x[0];
        inner.dw[0] = call->dw[0];
        inner.dw_accumulate[0] = call->dw_accumulate[0];
        tlvk__gemm_call g = gemm_call_of(call, &inner, "conv2d_transpose");
        s = tlvk__gemm_backward(r, &g);
    }
    if (!s && call->dw[1]) {
        uint64_t used = weights_scratch(caps, call);
        tlvk__span rest = {call->scratch.buffer, call->scratch.offset + used, call->scratch.bytes - used};
        s = tlvk__record_column_sums(r, call->dy, call->dw[1], call->dw_accumulate[1], rest, "conv2d_transpose_backward_bias", call->layer);
    }
    if (!s && call->dx[0]) {
        inner.y = call->dx[0];
        tlvk__gemm_call g = gemm_call_of(call, &inner, "conv2d_transpose_backward_data");
        g.accumulate = call->dx_accumulate[0];
        s = tlvk__gemm_forward(r, &g);
    }
    return s;
}

/* --- reference: y[i*s + k*d - p, .., o] += x[i, .., c] * w[k, .., o, c] ------------------------------------------------------------------- */

typedef struct numbers { int64_t n, h, w, c, oh, ow, o, kh, kw; const int *stride, *dilation; int64_t pad[2]; } numbers;

static numbers numbers_of(const tlvk__conv2d_transpose_attrs *a, const tlvk__shape *x, const tlvk__shape *y) {
    tlvk__kernel_window k = window_of(a);
    return (numbers){x->dim[0], x->dim[1], x->dim[2], x->dim[3], y->dim[1], y->dim[2], y->dim[3], a->kernel_size[0], a->kernel_size[1], a->strides, a->dilation_rate,
                     {tlvk__window_pad(&k, 0, y->dim[1], x->dim[1]), tlvk__window_pad(&k, 1, y->dim[2], x->dim[2])}};
}

/* Calls visit(user, x pixel, y pixel, tap) for every meeting of an input pixel and an output pixel. */
typedef void visit_fn(const tlvk__ref_call *call, const numbers *s, int64_t x_pixel, int64_t y_pixel, int64_t tap);
static void each_meeting(const tlvk__ref_call *call, const numbers *s, visit_fn *visit) {
    for (int64_t i = 0; i < s->n * s->h * s->w * s->kh * s->kw; i++) {
        int64_t tap = i % (s->kh * s->kw), x_pixel = i / (s->kh * s->kw), oy, ox;
        if (tlvk__window_at(x_pixel / s->w % s->h, tap / s->kw, s->stride[0], s->dilation[0], s->pad[0], s->oh, &oy) &&
            tlvk__window_at(x_pixel % s->w, tap % s->kw, s->stride[1], s->dilation[1], s->pad[1], s->ow, &ox))
            visit(call, s, x_pixel, (x_pixel / (s->h * s->w) * s->oh + oy) * s->ow + ox, tap);
    }
}

/* to[at] += term, and its size to the bound. */
static void add(tlvk__ref_tensor *to, int64_t at, double term) {
    to->v[at] += term;
    if (to->e)
        to->e[at] += fabs(term);
}

static void forward_visit(const tlvk__ref_call *call, const numbers *s, int64_t x_pixel, int64_t y_pixel, int64_t tap) {
    for (int64_t i = 0; i < s->o * s->c; i++)
        add(call->y, y_pixel * s->o + i / s->c, call->x[0]->v[x_pixel * s->c + i % s->c] * call->w[0]->v[tap * s->o * s->c + i]);
}

static void data_visit(const tlvk__ref_call *call, const numbers *s, int64_t x_pixel, int64_t y_pixel, int64_t tap) {
    for (int64_t i = 0; i < s->o * s->c; i++)
        add(call->dx[0], x_pixel * s->c + i % s->c, call->dy->v[y_pixel * s->o + i / s->c] * call->w[0]->v[tap * s->o * s->c + i]);
}

static void weights_visit(const tlvk__ref_call *call, const numbers *s, int64_t x_pixel, int64_t y_pixel, int64_t tap) {
    for (int64_t i = 0; i < s->o * s->c; i++)
        add(call->dw[0], tap * s->o * s->c + i, call->dy->v[y_pixel * s->o + i / s->c] * call->x[0]->v[x_pixel * s->c + i % s->c]);
}

static void zero(tlvk__ref_tensor *t) {
    size_t bytes = tlvk__ref_count(t) * sizeof(double);
    memset(t->v, 0, bytes);
    if (t->e)
        memset(t->e, 0, bytes);
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    numbers s = numbers_of(call->attrs, &call->x[0]->shape, &call->y->shape);
    size_t count = tlvk__ref_count(call->y);
    zero(call->y);
    for (size_t i = 0; call->w[1] && i < count; i++)
        add(call->y, (int64_t)i, call->w[1]->v[i % (size_t)s.o]);
    each_meeting(call, &s, forward_visit);
    tlvk__bound_products(call, call->y, (double)(s.kh * s.kw * s.c), call->x[0], call->w[0]);
    return TLVK_OK;
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    numbers s = numbers_of(call->attrs, &call->x[0]->shape, &call->dy->shape);
    if (call->dx[0]) {
        zero(call->dx[0]);
        each_meeting(call, &s, data_visit);
        tlvk__bound_products(call, call->dx[0], (double)(s.kh * s.kw * s.o), call->dy, call->w[0]);
    }
    if (call->dw[0]) {
        zero(call->dw[0]);
        each_meeting(call, &s, weights_visit);
        tlvk__bound_products(call, call->dw[0], (double)(s.n * s.h * s.w), call->x[0], call->dy);
    }
    if (call->dw[1])
        tlvk__reference_bias(call->dy, call->dw[1]);
    return TLVK_OK;
}

/* --- cases -------------------------------------------------------------------------------------------------------------------------------- */

static const struct {
    int n, h, w, c, filters, kernel[2], stride[2], dilation[2], output_padding[2];
    tlvk_padding padding;
    bool given, no_bias;
    const char *network;
} cases[] = {
    {1, 1, 1, 1, 1, {1, 1}, {1, 1}, {1, 1}, {0, 0}, TLVK_VALID, false, false, NULL},
    {2, 4, 5, 3, 6, {3, 3}, {1, 1}, {1, 1}, {0, 0}, TLVK_SAME, false, false, NULL},
    {2, 3, 4, 5, 7, {3, 3}, {2, 2}, {1, 1}, {0, 0}, TLVK_SAME, false, false, NULL},
    {3, 4, 3, 6, 5, {4, 4}, {2, 2}, {1, 1}, {0, 0}, TLVK_SAME, false, true, NULL},
    {2, 3, 5, 4, 8, {2, 2}, {2, 2}, {1, 1}, {0, 0}, TLVK_VALID, false, false, NULL},
    {1, 4, 3, 7, 2, {2, 3}, {3, 4}, {1, 1}, {0, 0}, TLVK_VALID, false, false, NULL},
    {2, 5, 4, 3, 9, {5, 3}, {2, 3}, {1, 1}, {0, 0}, TLVK_VALID, false, true, NULL},
    {2, 4, 4, 5, 3, {3, 3}, {2, 2}, {1, 1}, {1, 0}, TLVK_VALID, true, false, NULL},
    {2, 4, 5, 3, 5, {3, 3}, {2, 2}, {1, 1}, {1, 1}, TLVK_SAME, true, false, NULL},
    {1, 4, 5, 3, 5, {3, 5}, {3, 2}, {1, 1}, {0, 0}, TLVK_SAME, true, false, NULL},
    {2, 3, 3, 4, 4, {4, 2}, {3, 2}, {1, 1}, {2, 1}, TLVK_SAME, true, false, NULL},
    {1, 5, 4, 5, 3, {3, 2}, {1, 1}, {2, 3}, {0, 0}, TLVK_VALID, false, false, NULL},
    {2, 6, 5, 3, 4, {3, 3}, {1, 1}, {2, 2}, {0, 0}, TLVK_SAME, false, true, NULL},
    {2, 2, 2, 33, 40, {3, 3}, {2, 2}, {1, 1}, {0, 0}, TLVK_SAME, false, false, NULL},
    {1, 9, 10, 40, 33, {1, 1}, {2, 2}, {1, 1}, {0, 0}, TLVK_SAME, false, false, NULL},
    {2, 28, 28, 128, 64, {2, 2}, {2, 2}, {1, 1}, {0, 0}, TLVK_SAME, false, false, "U-Net up3"},
    {1, 16, 16, 256, 128, {4, 4}, {2, 2}, {1, 1}, {0, 0}, TLVK_SAME, false, true, "DCGAN 16 to 32"},
};

static bool test_case(int index, tlvk__op_case *c) {
    static const tlvk_activation_kind kinds[] = {TLVK_LINEAR, TLVK_RELU, TLVK_LINEAR, TLVK_SIGMOID, TLVK_LEAKY_RELU};
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    tlvk__conv2d_transpose_attrs a = {0};
    defaults(&a);
    a.filters = cases[index].filters;
    memcpy(a.kernel_size, cases[index].kernel, sizeof a.kernel_size);
    memcpy(a.strides, cases[index].stride, sizeof a.strides);
    memcpy(a.dilation_rate, cases[index].dilation, sizeof a.dilation_rate);
    const int *p = cases[index].output_padding;
    if (cases[index].given)
        a.output_padding = (tlvk__shape){2, {p[0], p[1]}};
    a.padding = cases[index].padding;
    a.use_bias = !cases[index].no_bias;
    memcpy(c->attrs.bytes, &a, sizeof a);
    c->inputs = 1;
    c->x[0] = (tlvk__shape){4, {cases[index].n, cases[index].h, cases[index].w, cases[index].c}};
    c->real_size = cases[index].network != NULL;
    c->epilogue = tlvk__activation_of(kinds[index % (int)TLVK__COUNT(kinds)]);
    c->scale_shift = index % 4 == 3;
    tlvk__kernel_window window = window_of(&a);
    char text[64];
    tlvk__window_text(&window, text, sizeof text);
    snprintf(c->name, sizeof c->name, "%s%s%s %dx%dx%dx%d->%d%s", c->real_size ? cases[index].network : "", c->real_size ? " " : "", text, cases[index].n,
             cases[index].h, cases[index].w, cases[index].c, a.filters, cases[index].given ? " output_padding" : "");
    return true;
}

#define FIELD(name, kind) {.key = #name, .type = TLVK__FIELD_##kind, .offset = offsetof(tlvk__conv2d_transpose_attrs, name)}
static const tlvk__field fields[] = {
    FIELD(filters, INT), FIELD(kernel_size, PAIR), FIELD(strides, PAIR), FIELD(padding, PADDING),
    {.key = "data_format", .type = TLVK__FIELD_MUST, .must = "\"channels_last\""},
    FIELD(dilation_rate, PAIR), FIELD(output_padding, DIMS), FIELD(activation, ACTIVATION), FIELD(use_bias, BOOL),
    FIELD(kernel_initializer, INITIALIZER), FIELD(bias_initializer, INITIALIZER), FIELD(kernel_regularizer, REGULARIZER), FIELD(bias_regularizer, REGULARIZER),
    {.key = "activity_regularizer", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "kernel_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "bias_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {0},
};

const tlvk__op tlvk__op_conv2d_transpose = {
    .class_name = "Conv2DTranspose", .snake_name = "conv2d_transpose", .flags = TLVK__OP_EPILOGUE | TLVK__OP_PRODUCT, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__conv2d_transpose_attrs), .fields = fields, .defaults = defaults, .shape = shape, .variables = variables,
    .activation = activation, .backward_reads = backward_reads, .flops = flops, .candidates = candidates, .needs = needs, .forward = forward, .backward = backward,
    .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
