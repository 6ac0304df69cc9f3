/* merge.h - what Add, Subtract, Multiply, Maximum, Minimum and Average share: shapes that are broadcast, one operand into another, and the sums
 * of the gradient that follow. */
#ifndef TLVK_MERGE_H
#define TLVK_MERGE_H

#include "ops/elementwise.h"

/* Common shape of all inputs: equal sizes, or 1 against more; (batch, c) counts as (batch, 1, .., c) beside inputs of more axes
 * (keras/src/layers/merging/base_merge.py). */
tlvk_status tlvk__merge_shape(const char *class_name, int inputs, const tlvk__shape *x, tlvk__shape *y);

/* What the shader merge.comp does with two operands. */
typedef enum tlvk__merge_kind { TLVK__MERGE_ADD, TLVK__MERGE_MULTIPLY, TLVK__MERGE_SUBTRACT, TLVK__MERGE_MAXIMUM, TLVK__MERGE_MINIMUM, TLVK__MERGE_FIRST } tlvk__merge_kind;
/* out = factor * (a kind b), out += where accumulate; a and b broadcast to out's shape. TLVK__MERGE_FIRST takes a alone, b is any tensor of its size. */
tlvk_status tlvk__record_merge(tlvk__recorder *r, tlvk__merge_kind kind, float factor, const tlvk__tensor *a, const tlvk__tensor *b, const tlvk__tensor *out,
                               bool accumulate, const char *layer);
/* y = act((x[0] kind x[1]) kind x[2] ..) of a call, with the activation of its epilogue: the forward of Add and Multiply. */
tlvk_status tlvk__record_merge_all(tlvk__recorder *r, tlvk__merge_kind kind, const tlvk__op_call *call);
/* TLVK__HALF_* of Add and Multiply: of two inputs of y's size or with a number per channel, whose gradients are all made by texel. */
unsigned tlvk__merge_halves(const tlvk__caps *caps, const tlvk__op_call *call);
/* dx = factor * sum of dy (* other, where not NULL) over the axes along which dx is smaller; dx += where accumulate. */
tlvk_status tlvk__record_merge_gradient(tlvk__recorder *r, float factor, const tlvk__tensor *dy, const tlvk__tensor *other, const tlvk__tensor *dx,
                                        bool accumulate, const char *layer);
/* Strides of t's sample, row, pixel and column, in vec4 units, as seen from a tensor of y's size; 0 where t has size 1 against more. */
void tlvk__merge_strides(const tlvk__tensor *t, const tlvk__tensor *y, uint32_t out[4]);
/* `span` as a tensor of y's size. */
tlvk__tensor tlvk__merge_room(const tlvk__span *span, const tlvk__tensor *y);

/* Reference: index into a dense tensor of shape `x` of the element that is broadcast to element i of shape `y`. */
size_t tlvk__merge_index(const tlvk__shape *y, const tlvk__shape *x, size_t i);
/* References of y = first * x[0] + others * (x[1] + ..): Add, Subtract, Average. */
tlvk_status tlvk__merge_sum_reference_forward(const tlvk__ref_call *call, double first, double others);
tlvk_status tlvk__merge_sum_reference_backward(const tlvk__ref_call *call, double first, double others);

/* Case `index` of those that every merging layer must pass: equal and broadcast shapes, either operand the smaller; false past the last. Operations
 * of more than two inputs have `several`. */
bool tlvk__merge_test_case(int index, bool several, tlvk__op_case *c);

#endif
