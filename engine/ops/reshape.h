/* reshape.h - what Flatten and Reshape share: the same numbers in the same order under another shape. */
#ifndef TLVK_RESHAPE_H
#define TLVK_RESHAPE_H

#include "ops/attrs.h"
#include "ops/elementwise.h"

/* True where both lie in memory alike: no channel padding in either, or equal rows. */
bool tlvk__reshape_view(const void *attrs, bool training, const tlvk__tensor *x, const tlvk__tensor *y);
tlvk_status tlvk__reshape_forward(tlvk__recorder *r, const tlvk__op_call *call);
tlvk_status tlvk__reshape_backward(tlvk__recorder *r, const tlvk__op_call *call);
tlvk_status tlvk__reshape_reference_forward(const tlvk__ref_call *call);
tlvk_status tlvk__reshape_reference_backward(const tlvk__ref_call *call);

#endif
