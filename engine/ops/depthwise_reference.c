/* depthwise_reference.c - DepthwiseConv2D in double: y[n,i,j,c*mult+m] = b[c*mult+m] + sum over k,l of x[n, i*s + k*d - p, ..., c] * w[k,l,c,m]. */
#include "ops/conv2d.h"

#include <math.h>
#include <string.h>

static void zero(tlvk__ref_tensor *t) {
    size_t count = tlvk__ref_count(t);
    memset(t->v, 0, count * sizeof(double));
    if (t->e)
        memset(t->e, 0, count * sizeof(double));
}

static void bound(tlvk__ref_tensor *t, double terms) {
    size_t count = tlvk__ref_count(t);
    for (size_t i = 0; t->e && i < count; i++)
        t->e[i] = tlvk__dot_bound(terms, t->e[i]);
}

static void add(tlvk__ref_tensor *t, int64_t i, double term) {
    t->v[i] += term;
    if (t->e)
        t->e[i] += fabs(term);
}

/* Walks every meeting of an input element, a weight and an output element, adding the product of two of them to the third: y, dx or dw. */
typedef enum wanted { WANT_Y, WANT_DX, WANT_DW } wanted;
static void each_meeting(const tlvk__ref_call *call, const tlvk__shape *xs, const tlvk__shape *ys, wanted want) {
    const tlvk__depthwise_conv2d_attrs *a = call->attrs;
    tlvk__kernel_window k = {a->kernel_size, a->strides, a->dilation_rate, a->padding, a->zero_padding};
    int64_t pad[2] = {tlvk__window_pad(&k, 0, xs->dim[1], ys->dim[1]), tlvk__window_pad(&k, 1, xs->dim[2], ys->dim[2])}, mult = a->depth_multiplier, c = ys->dim[3];
    for (int64_t n = 0; n < ys->dim[0]; n++)
        for (int64_t i = 0; i < ys->dim[1]; i++)
            for (int64_t j = 0; j < ys->dim[2]; j++)
                for (int64_t u = 0; u < a->kernel_size[0]; u++)
                    for (int64_t v = 0; v < a->kernel_size[1]; v++) {
                        int64_t y, x;
                        if (!tlvk__window_at(i, u, a->strides[0], a->dilation_rate[0], pad[0], xs->dim[1], &y) ||
                            !tlvk__window_at(j, v, a->strides[1], a->dilation_rate[1], pad[1], xs->dim[2], &x))
                            continue;
                        int64_t x_at = ((n * xs->dim[1] + y) * xs->dim[2] + x) * xs->dim[3], y_at = ((n * ys->dim[1] + i) * ys->dim[2] + j) * c;
                        int64_t w_at = (u * a->kernel_size[1] + v) * c;
                        for (int64_t o = 0; o < c; o++)
                            switch (want) {
                            case WANT_Y: add(call->y, y_at + o, call->x[0]->v[x_at + o / mult] * call->w[0]->v[w_at + o]); break;
                            case WANT_DX: add(call->dx[0], x_at + o / mult, call->dy->v[y_at + o] * call->w[0]->v[w_at + o]); break;
                            case WANT_DW: add(call->dw[0], w_at + o, call->dy->v[y_at + o] * call->x[0]->v[x_at + o / mult]); break;
                            }
                    }
}

tlvk_status tlvk__depthwise_reference_forward(const tlvk__ref_call *call) {
    const tlvk__depthwise_conv2d_attrs *a = call->attrs;
    const tlvk__shape *ys = &call->y->shape;
    zero(call->y);
    size_t count = tlvk__ref_count(call->y);
    for (size_t i = 0; call->w[1] && i < count; i++)
        add(call->y, (int64_t)i, call->w[1]->v[i % (size_t)ys->dim[3]]);
    each_meeting(call, &call->x[0]->shape, ys, WANT_Y);
    bound(call->y, (double)a->kernel_size[0] * a->kernel_size[1]);
    return TLVK_OK;
}

tlvk_status tlvk__depthwise_reference_backward(const tlvk__ref_call *call) {
    const tlvk__depthwise_conv2d_attrs *a = call->attrs;
    const tlvk__shape *xs = &call->x[0]->shape, *ys = &call->dy->shape;
    if (call->dx[0]) {
        zero(call->dx[0]);
        each_meeting(call, xs, ys, WANT_DX);
        bound(call->dx[0], (double)a->kernel_size[0] * a->kernel_size[1] * a->depth_multiplier);
    }
    if (call->dw[0]) {
        zero(call->dw[0]);
        each_meeting(call, xs, ys, WANT_DW);
        bound(call->dw[0], (double)(ys->dim[0] * ys->dim[1] * ys->dim[2]));
    }
    if (call->dw[1])
        tlvk__reference_bias(call->dy, call->dw[1]);
    return TLVK_OK;
}
