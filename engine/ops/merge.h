/* merge.h - what Add and Multiply share: shapes that are broadcast, one operand into another, and the sums of the gradient that follow. */
#ifndef TLVK_MERGE_H
#define TLVK_MERGE_H

#include "ops/elementwise.h"

/* Common shape of all inputs: equal sizes, or 1 against more; (batch, c) counts as (batch, 1, .., c) beside inputs of more axes
 * (keras/src/layers/merging/base_merge.py). */
tlvk_status tlvk__merge_shape(const char *class_name, int inputs, const tlvk__shape *x, tlvk__shape *y);

/* out = a * b (multiply) or a + b, out += where accumulate; a and b broadcast to out's shape. */
tlvk_status tlvk__record_merge(tlvk__recorder *r, bool multiply, const tlvk__tensor *a, const tlvk__tensor *b, const tlvk__tensor *out, bool accumulate,
                               const char *layer);
/* dx = sum of dy (* other, where not NULL) over the axes along which dx is smaller; dx += where accumulate. */
tlvk_status tlvk__record_merge_gradient(tlvk__recorder *r, const tlvk__tensor *dy, const tlvk__tensor *other, const tlvk__tensor *dx, bool accumulate,
                                        const char *layer);

/* Reference: index into a dense tensor of shape `x` of the element that is broadcast to element i of shape `y`. */
size_t tlvk__merge_index(const tlvk__shape *y, const tlvk__shape *x, size_t i);

#endif
