/* rescaling.h - y = x * scale + offset with numbers that are known when the model is made, one for everything or one per channel: Rescaling, and
 * Normalization with a given mean and variance. */
#ifndef TLVK_RESCALING_H
#define TLVK_RESCALING_H

#include "ops/attrs.h"
#include "ops/elementwise.h"

typedef struct tlvk__affine { const char *operation, *layer; tlvk__floats scale, offset; } tlvk__affine;

/* Does a list of numbers fit x's last dimension? An error names the layer's class and the key. */
tlvk_status tlvk__floats_fit(const char *class_name, const char *key, const tlvk__floats *f, const tlvk__shape *x);
/* Records y = x * scale + offset, or y += it. Shapes are equal. */
tlvk_status tlvk__record_affine(tlvk__recorder *r, const tlvk__affine *a, const tlvk__tensor *x, const tlvk__tensor *y, bool accumulate);

#endif
