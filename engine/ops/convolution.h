/* convolution.h - what Conv2D, DepthwiseConv2D and SeparableConv2D share on the host: checks, padding, output shapes, error bounds.
 * Padding is TensorFlow's: "same" gives ceil(in / stride) outputs, and of an odd total of padding the extra row is below, the extra column
 * right (tensorflow/core/framework/common_shape_fns.cc, GetWindowedOutputSizeVerbose). */
#ifndef TLVK_CONVOLUTION_H
#define TLVK_CONVOLUTION_H

#include "ops/attrs.h"
#include "ops/elementwise.h"

typedef struct tlvk__kernel_window {
    const int *kernel_size, *strides, *dilation_rate;
    tlvk_padding padding;
    const int *zero_padding; /* top, bottom, left, right around the input, with "valid"; NULL: none */
} tlvk__kernel_window;

/* Checks that x is one image and the window's numbers are sound and fits it; gives y's height and width (-1 where x's is unknown). */
tlvk_status tlvk__window_shape(const char *class_name, const tlvk__kernel_window *k, int inputs, const tlvk__shape *x, int64_t out[2]);
/* Rows above or columns left of an axis of `in` positions. */
int64_t tlvk__window_pad(const tlvk__kernel_window *k, int axis, int64_t in, int64_t out);
/* "same 3x3 s2" and the like, for names of cases. */
void tlvk__window_text(const tlvk__kernel_window *k, char *text, size_t size);

/* The input position that output `o` meets through kernel position `k`; false outside 0 .. in - 1. */
static inline bool tlvk__window_at(int64_t o, int64_t k, int64_t stride, int64_t dilation, int64_t pad, int64_t in, int64_t *at) {
    *at = o * stride + k * dilation - pad;
    return *at >= 0 && *at < in;
}

/* Bound of the float32 error of a sum of `terms` products whose magnitudes sum to `magnitude`: each product and each partial sum is rounded
 * once, and roundings that are independent add up as sqrt (Higham and Mary, "A new approach to probabilistic rounding error analysis", 2019). */
double tlvk__dot_bound(double terms, double magnitude);
/* From sums of magnitudes in t->e, where bounds are wanted, to bounds: each of t is a sum of `terms` products of an element of a and one of b. Where the
 * call's products are mixed, both are rounded to fp16 first, each by 2^-11 of itself or, of numbers too small for fp16, 2^-25; and what a matrix
 * unit makes of its fp32 sums is held to twice the bound of a chain. */
void tlvk__bound_products(const tlvk__ref_call *call, tlvk__ref_tensor *t, double terms, const tlvk__ref_tensor *a, const tlvk__ref_tensor *b);

/* A variable of the given shape; kind TLVK_INIT_DEFAULT becomes `fallback`. */
tlvk__variable_spec tlvk__weights_spec(const char *name, tlvk__shape shape, tlvk__layout layout, const tlvk__initializer *init,
                                       tlvk_initializer_kind fallback, const tlvk_regularizer *regularizer);
/* Reference sums over rows of dy (count x c) into db, with bounds. */
void tlvk__reference_bias(const tlvk__ref_tensor *dy, tlvk__ref_tensor *db);

#endif
