/* picture.h - what the layers that vary pictures share: one draw of four numbers per sample and step, and the interpolation's arithmetic.
 *
 * Sample i of the batch draws the Philox block of key `seed` and counter (i, stream, step): its picture depends neither on how a batch is cut into
 * pieces nor on who prepared it. What follows from a draw up to the position that a pixel is read at is computed in float by the same sums, products
 * and floors here and in shaders/picture.glsl (whose results are `precise`), so that reference and device read the same pixels: a position a rounding away from an
 * edge could otherwise fall on either side. Each statement rounds once; keep it so. */
#ifndef TLVK_PICTURE_H
#define TLVK_PICTURE_H

#include "ops/attrs.h"
#include "ops/elementwise.h"

typedef struct tlvk__draws { float u[4]; } tlvk__draws; /* uniform in [0, 1), 24 bits each */
tlvk__draws tlvk__picture_draws(const tlvk__step_params *step, uint32_t stream, int64_t sample);
/* A number uniform in [lower, lower + range). */
static inline float tlvk__picture_uniform(float u, float lower, float range) {
    float part = u * range;
    return lower + part;
}

/* The step's parameters as an operand of a walk; `params` receives the span and must live as long. An error where they are not aligned. */
tlvk_status tlvk__picture_params(const tlvk__op_call *call, tlvk__span *params, tlvk__tensor *tensor);

/* In inference mode the picture stays as it is: for tlvk__op.view. */
bool tlvk__picture_view(const void *attrs, bool training, const tlvk__tensor *x, const tlvk__tensor *y);
/* to = from, or += it: where a view cannot be had. */
tlvk_status tlvk__picture_copy(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *from, const tlvk__tensor *to, bool accumulate);
/* The input's shape, which must be a batch of pictures. */
tlvk_status tlvk__picture_shape(const char *class_name, int inputs, const tlvk__shape *x, tlvk__shape *y);
/* Two numbers of a range, ascending, within [least, most]; the text names the class and the key. */
tlvk_status tlvk__picture_factor(const char *class_name, const char *key, const float factor[2], float least, float most);

/* The config keys that every such layer has and this library has no use for. */
#define TLVK__FIELDS_PICTURE \
    {.key = "seed", .type = TLVK__FIELD_IGNORE, .must = "null"}, \
    {.key = "rng_type", .type = TLVK__FIELD_IGNORE, .must = "null", .read_only = true}

#endif
