/* build_pictures.c - the public building calls of layers that prepare, vary and disturb pictures: descriptors whose zero means Keras's default. */
#include "graph/internal.h"

#include <string.h>

/* `count` numbers of the caller's; false where there are more than a layer can be given. */
static bool floats(tlvk__floats *to, const float *from, int count) {
    if (count < 1 || count > TLVK__MAX_FLOATS)
        return false;
    *to = (tlvk__floats){.count = count, .list = count > 1};
    memcpy(to->v, from, sizeof *from * (size_t)count);
    return true;
}

tlvk_tensor tlvk_rescaling_channels(tlvk_tensor x, const float *scale, const float *offset, int count, const char *name) {
    tlvk__rescaling_attrs a = {tlvk__one_float(1), tlvk__one_float(0)};
    if (!scale || !floats(&a.scale, scale, count) || (offset && !floats(&a.offset, offset, count)))
        return tlvk__build_missing(x, "tlvk_rescaling_channels", "a scale of 1 to 8 numbers was expected");
    return tlvk__build_apply("tlvk_rescaling_channels", &tlvk__op_rescaling, &a, name, true, &x, 1);
}

tlvk_tensor tlvk_normalization(tlvk_tensor x, const tlvk_normalization_desc *desc) {
    const tlvk_normalization_desc d = desc ? *desc : (tlvk_normalization_desc){0};
    tlvk__normalization_attrs a = {0};
    tlvk__op_normalization.defaults(&a);
    if (d.axis)
        a.axis = d.axis;
    a.invert = d.invert;
    if (!d.mean != !d.variance)
        return tlvk__build_missing(x, "tlvk_normalization", "mean and variance must both be given, or neither");
    if (d.mean && (!floats(&a.mean, d.mean, d.count) || !floats(&a.variance, d.variance, d.count)))
        return tlvk__build_missing(x, "tlvk_normalization", "1 to 8 numbers of mean and variance can be given; set the layer's weights for more");
    return tlvk__build_apply("tlvk_normalization", &tlvk__op_normalization, &a, d.name, true, &x, 1);
}

/* --- noise ------------------------------------------------------------------------------------------------------------------------ */

static tlvk_tensor drop(const char *call, const tlvk__op *op, tlvk_tensor x, float rate, const char *name) {
    tlvk__dropout_attrs a = {.rate = rate};
    return tlvk__build_apply(call, op, &a, name, true, &x, 1);
}

tlvk_tensor tlvk_dropout_noise(tlvk_tensor x, const tlvk_dropout_desc *desc) {
    if (!desc)
        return tlvk__build_missing(x, "tlvk_dropout_noise", "desc is NULL; the rate has no default");
    tlvk__dropout_attrs a = {.rate = desc->rate};
    for (; a.noise_shape.rank < TLVK_MAX_DIMS && desc->noise_shape[a.noise_shape.rank] != 0; a.noise_shape.rank++)
        a.noise_shape.dim[a.noise_shape.rank] = desc->noise_shape[a.noise_shape.rank];
    return tlvk__build_apply("tlvk_dropout_noise", &tlvk__op_dropout, &a, desc->name, true, &x, 1);
}

tlvk_tensor tlvk_spatial_dropout2d(tlvk_tensor x, float rate, const char *name) {
    return drop("tlvk_spatial_dropout2d", &tlvk__op_spatial_dropout2d, x, rate, name);
}
tlvk_tensor tlvk_alpha_dropout(tlvk_tensor x, float rate, const char *name) { return drop("tlvk_alpha_dropout", &tlvk__op_alpha_dropout, x, rate, name); }
tlvk_tensor tlvk_stochastic_depth(tlvk_tensor x, float rate, const char *name) {
    return drop("tlvk_stochastic_depth", &tlvk__op_stochastic_depth, x, rate, name);
}
