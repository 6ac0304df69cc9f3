/* activation.h - activation functions for the operations that are one: recording them alone, and how exact a float32 device is. */
#ifndef TLVK_ACTIVATION_H
#define TLVK_ACTIVATION_H

#include "ops/attrs.h"

/* y = a(x) elementwise, y may be x; tensors of equal size. */
tlvk_status tlvk__record_activation(tlvk__recorder *r, const tlvk__activation *a, const tlvk__tensor *x, const tlvk__tensor *y, const char *layer);
/* dz = dy * a' * scale[c], or dz += it; a' from t, the input (from_x) or the output of a. scale NULL: ones. dz may be dy when not accumulating. */
tlvk_status tlvk__record_activation_slope(tlvk__recorder *r, const tlvk__activation *a, const tlvk__tensor *t, bool from_x, const tlvk__tensor *dy,
                                          const tlvk__tensor *scale, const tlvk__tensor *dz, bool accumulate, const char *layer);
/* y = softmax over the channels of each row; and dx = y * (dy - sum(dy * y)), or dx +=. */
tlvk_status tlvk__record_softmax(tlvk__recorder *r, const tlvk__tensor *x, const tlvk__tensor *y, const char *layer);
tlvk_status tlvk__record_softmax_backward(tlvk__recorder *r, const tlvk__tensor *y, const tlvk__tensor *dy, const tlvk__tensor *dx, bool accumulate,
                                          const char *layer);

/* Bounds of the device's error. The argument is known to within `e`: |device(x') - a(x)| for every x' with |x' - x| <= e. Special functions
 * are as exact as Vulkan demands ("Precision and operation of SPIR-V instructions"): exp to 3 + 2|x| ulp, log to 2^-21 near 1, division to 2.5 ulp. */
double tlvk__activation_bound(const tlvk__activation *a, double x, double e);
/* The same for the slope; from_output: told from the device's own y. */
double tlvk__activation_slope_bound(const tlvk__activation *a, double x, double e, bool from_output);

/* How far off x seems to whom sees the activation's value in fp16. */
double tlvk__activation_half_argument(const tlvk__activation *a, double x);

/* What Activation, ReLU, LeakyReLU, ELU and Softmax have in common; attrs is tlvk__activation_attrs. */
tlvk__activation tlvk__activation_op_activation(const void *attrs); /* a missing max_value made infinite */
bool tlvk__activation_op_view(const void *attrs, bool training, const tlvk__tensor *x, const tlvk__tensor *y);
tlvk_status tlvk__activation_op_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y);
unsigned tlvk__activation_op_halves(const tlvk__caps *caps, const tlvk__op_call *call);
unsigned tlvk__activation_op_backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw);
double tlvk__activation_op_flops(const tlvk__op_call *call);
tlvk_status tlvk__activation_op_forward(tlvk__recorder *r, const tlvk__op_call *call);
tlvk_status tlvk__activation_op_backward(tlvk__recorder *r, const tlvk__op_call *call);
tlvk_status tlvk__activation_op_reference_forward(const tlvk__ref_call *call);
tlvk_status tlvk__activation_op_reference_backward(const tlvk__ref_call *call);

#endif
