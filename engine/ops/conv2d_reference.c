/* conv2d_reference.c - Conv2D in double, one product at a time: y[n,i,j,o] = b[o] + sum over k,l,c of x[n, i*s + k*d - p, ..., c] * w[k,l,c,o].
 * With groups, c runs over the channels of o's group: x[..., (o / of) * in + c], where a group has `in` channels of x and `of` of y. */
#include "ops/conv2d.h"

#include "ops/winograd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct numbers { int64_t n, h, w, c, oh, ow, o, kh, kw; const int *stride, *dilation; int64_t pad[2], in, of; } numbers;

static numbers numbers_of(const tlvk__conv2d_attrs *a, const tlvk__shape *x, const tlvk__shape *y) {
    tlvk__kernel_window k = {a->kernel_size, a->strides, a->dilation_rate, a->padding, a->zero_padding};
    return (numbers){x->dim[0], x->dim[1], x->dim[2], x->dim[3], y->dim[1], y->dim[2], y->dim[3], a->kernel_size[0], a->kernel_size[1], a->strides, a->dilation_rate,
                     {tlvk__window_pad(&k, 0, x->dim[1], y->dim[1]), tlvk__window_pad(&k, 1, x->dim[2], y->dim[2])},
                     x->dim[3] / a->groups, y->dim[3] / a->groups};
}

static bool by_winograd(const tlvk__ref_call *call, const numbers *s, enum tlvk__gemm_pass pass) {
    tlvk__conv_shape shape = {.h = s->h, .w = s->w, .oh = s->oh, .ow = s->ow, .kh = s->kh, .kw = s->kw, .stride = {s->stride[0], s->stride[1]},
                              .dilation = {s->dilation[0], s->dilation[1]}, .pad = {s->pad[0], s->pad[1]}, .cin_vecs = tlvk__pitch(s->c) / TLVK__LANES,
                              .cout_vecs = tlvk__pitch(s->o) / TLVK__LANES, .cout = s->o};
    return call->caps && s->in == s->c && !(call->mixed && call->caps->matrix_m) && tlvk__winograd_chosen(call->caps, &shape, pass);
}

/* Calls visit(user, x pixel, y pixel, tap) for every meeting of an input pixel and an output pixel. */
typedef void visit_fn(void *user, const numbers *s, int64_t x_pixel, int64_t y_pixel, int64_t tap);
static void each_meeting(const numbers *s, visit_fn *visit, void *user) {
    for (int64_t n = 0; n < s->n; n++)
        for (int64_t i = 0; i < s->oh; i++)
            for (int64_t j = 0; j < s->ow; j++)
                for (int64_t k = 0; k < s->kh; k++)
                    for (int64_t l = 0; l < s->kw; l++) {
                        int64_t y, x;
                        if (tlvk__window_at(i, k, s->stride[0], s->dilation[0], s->pad[0], s->h, &y) &&
                            tlvk__window_at(j, l, s->stride[1], s->dilation[1], s->pad[1], s->w, &x))
                            visit(user, s, (n * s->h + y) * s->w + x, (n * s->oh + i) * s->ow + j, k * s->kw + l);
                    }
}

static void forward_visit(void *user, const numbers *s, int64_t x_pixel, int64_t y_pixel, int64_t tap) {
    const tlvk__ref_call *call = user;
    const double *x = call->x[0]->v + x_pixel * s->c, *w = call->w[0]->v + tap * s->in * s->o;
    double *y = call->y->v + y_pixel * s->o, *e = call->y->e ? call->y->e + y_pixel * s->o : NULL;
    for (int64_t c = 0; c < s->in; c++)
        for (int64_t o = 0; o < s->o; o++) {
            double term = x[o / s->of * s->in + c] * w[c * s->o + o];
            y[o] += term;
            if (e)
                e[o] += fabs(term);
        }
}

/* The bound of the products, and one rounding each of the bias and of the sum with it. */
static tlvk_status forward_winograd_bound(const tlvk__ref_call *call, const numbers *s) {
    tlvk__winograd_sizes sizes = {s->n, s->h, s->w, s->c, s->oh, s->ow, s->o, {-s->pad[0], -s->pad[1]}, call->x[0]->v, call->w[0]->v, s->c * s->o, s->o, 1};
    tlvk_status status = tlvk__winograd_bound(&sizes, call->y->e);
    size_t count = tlvk__ref_count(call->y);
    for (size_t i = 0; i < count; i++)
        call->y->e[i] += TLVK__U * (fabs(call->y->v[i]) + (call->w[1] ? fabs(call->w[1]->v[i % (size_t)s->o]) : 0));
    return status;
}

/* Of several groups there is no product of matrices, and nothing is mixed. */
static void bound(const tlvk__ref_call *call, const numbers *s, tlvk__ref_tensor *t, double terms, const tlvk__ref_tensor *a, const tlvk__ref_tensor *b) {
    tlvk__ref_call one = *call;
    one.mixed = call->mixed && s->in == s->c;
    tlvk__bound_products(&one, t, terms, a, b);
}

tlvk_status tlvk__conv2d_reference_forward(const tlvk__ref_call *call) {
    numbers s = numbers_of(call->attrs, &call->x[0]->shape, &call->y->shape);
    const tlvk__ref_tensor *bias = call->w[1];
    size_t count = tlvk__ref_count(call->y);
    for (size_t i = 0; i < count; i++) {
        call->y->v[i] = bias ? bias->v[i % (size_t)s.o] : 0;
        if (call->y->e)
            call->y->e[i] = fabs(call->y->v[i]);
    }
    each_meeting(&s, forward_visit, (void *)call);
    if (call->y->e && by_winograd(call, &s, TLVK__GEMM_FORWARD))
        return forward_winograd_bound(call, &s);
    bound(call, &s, call->y, (double)(s.kh * s.kw * s.in), call->x[0], call->w[0]);
    return TLVK_OK;
}

static void zero(tlvk__ref_tensor *t) {
    size_t count = tlvk__ref_count(t);
    memset(t->v, 0, count * sizeof(double));
    if (t->e)
        memset(t->e, 0, count * sizeof(double));
}

static void data_visit(void *user, const numbers *s, int64_t x_pixel, int64_t y_pixel, int64_t tap) {
    const tlvk__ref_call *call = user;
    const double *dy = call->dy->v + y_pixel * s->o, *w = call->w[0]->v + tap * s->in * s->o;
    double *dx = call->dx[0]->v + x_pixel * s->c, *e = call->dx[0]->e ? call->dx[0]->e + x_pixel * s->c : NULL;
    for (int64_t c = 0; c < s->c; c++) {
        double sum = 0, magnitude = 0;
        int64_t group = c / s->in, row = c % s->in;
        for (int64_t o = group * s->of; o < (group + 1) * s->of; o++) {
            double term = dy[o] * w[row * s->o + o];
            sum += term;
            magnitude += fabs(term);
        }
        dx[c] += sum;
        if (e)
            e[c] += magnitude;
    }
}

static void weights_visit(void *user, const numbers *s, int64_t x_pixel, int64_t y_pixel, int64_t tap) {
    const tlvk__ref_call *call = user;
    const double *dy = call->dy->v + y_pixel * s->o, *x = call->x[0]->v + x_pixel * s->c;
    int64_t at = tap * s->in * s->o;
    double *dw = call->dw[0]->v + at, *e = call->dw[0]->e ? call->dw[0]->e + at : NULL;
    for (int64_t c = 0; c < s->in; c++)
        for (int64_t o = 0; o < s->o; o++) {
            double term = x[o / s->of * s->in + c] * dy[o];
            dw[c * s->o + o] += term;
            if (e)
                e[c * s->o + o] += fabs(term);
        }
}

/* dx is the convolution of dy with the weights turned by half a turn: tap 8 - t, channels and columns exchanged. */
static tlvk_status data_winograd_bound(const tlvk__ref_call *call, const numbers *s) {
    int64_t taps = s->kh * s->kw, tap_step = s->c * s->o;
    tlvk__winograd_sizes sizes = {s->n, s->oh, s->ow, s->o, s->h, s->w, s->c, {s->pad[0] - (s->kh - 1), s->pad[1] - (s->kw - 1)}, call->dy->v,
                                  call->w[0]->v + (taps - 1) * tap_step, -tap_step, 1, s->o};
    return tlvk__winograd_bound(&sizes, call->dx[0]->e);
}

static tlvk_status weights_winograd_bound(const tlvk__ref_call *call, const numbers *s) {
    tlvk__winograd_sizes sizes = {.n = s->n, .h = s->h, .w = s->w, .c = s->c, .oh = s->oh, .ow = s->ow, .o = s->o, .offset = {-s->pad[0], -s->pad[1]},
                                  .in = call->x[0]->v};
    return tlvk__winograd_weights_bound(&sizes, call->dy->v, call->dw[0]->e);
}

tlvk_status tlvk__conv2d_reference_backward(const tlvk__ref_call *call) {
    numbers s = numbers_of(call->attrs, &call->x[0]->shape, &call->dy->shape);
    tlvk_status status;
    if (call->dx[0]) {
        zero(call->dx[0]);
        each_meeting(&s, data_visit, (void *)call);
        if (!call->dx[0]->e || !by_winograd(call, &s, TLVK__GEMM_DATA))
            bound(call, &s, call->dx[0], (double)(s.kh * s.kw * s.of), call->dy, call->w[0]);
        else if ((status = data_winograd_bound(call, &s)))
            return status;
    }
    if (call->dw[0]) {
        zero(call->dw[0]);
        each_meeting(&s, weights_visit, (void *)call);
        if (!call->dw[0]->e || !by_winograd(call, &s, TLVK__GEMM_WEIGHTS))
            bound(call, &s, call->dw[0], (double)(s.n * s.oh * s.ow), call->x[0], call->dy);
        else if ((status = weights_winograd_bound(call, &s)))
            return status;
    }
    if (call->dw[1])
        tlvk__reference_bias(call->dy, call->dw[1]);
    return TLVK_OK;
}
