/* build_pictures.c - the public building calls of layers that prepare, vary and disturb pictures: descriptors whose zero means Keras's default. */
#include "graph/internal.h"

#include <math.h>
#include <string.h>

/* A number of a descriptor that may be an explicit 0. */
static float bound(float given) { return tlvk__build_number(given, 0); }

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

tlvk_tensor tlvk_gaussian_noise(tlvk_tensor x, float stddev, const char *name) {
    tlvk__gaussian_attrs a = {bound(stddev)};
    return tlvk__build_apply("tlvk_gaussian_noise", &tlvk__op_gaussian_noise, &a, name, true, &x, 1);
}

tlvk_tensor tlvk_gaussian_dropout(tlvk_tensor x, float rate, const char *name) {
    tlvk__gaussian_attrs a = {bound(rate)};
    return tlvk__build_apply("tlvk_gaussian_dropout", &tlvk__op_gaussian_dropout, &a, name, true, &x, 1);
}

tlvk_tensor tlvk_layer_scale(tlvk_tensor x, float init_values, const char *name) {
    const tlvk__shape *shape = tlvk__tensor_shape_of(x);
    tlvk__layer_scale_attrs a = {bound(init_values), shape && shape->rank > 1 ? (int)TLVK__MIN(shape->dim[shape->rank - 1], INT32_MAX) : 0};
    return tlvk__build_apply("tlvk_layer_scale", &tlvk__op_layer_scale, &a, name, true, &x, 1);
}

/* --- pictures --------------------------------------------------------------------------------------------------------------------- */

/* {lower, upper} in ascending order; {f, 0}: from -f to f; {0, 0}: false. */
static bool range(float to[2], const float given[2]) {
    float first = bound(given[0]), second = bound(given[1]);
    bool single = given[1] == 0;
    to[0] = single ? -fabsf(first) : fminf(first, second);
    to[1] = single ? fabsf(first) : fmaxf(first, second);
    return given[0] != 0 || given[1] != 0;
}

tlvk_tensor tlvk_random_flip(tlvk_tensor x, tlvk_flip_mode mode, const char *name) {
    tlvk__random_flip_attrs a = {.mode = (int)mode};
    return tlvk__build_apply("tlvk_random_flip", &tlvk__op_random_flip, &a, name, true, &x, 1);
}

static tlvk_tensor vary(const char *call, const tlvk__op *op, tlvk_tensor x, tlvk__random_affine_attrs *a, tlvk_fill_mode fill_mode, float fill_value,
                        tlvk_resize interpolation, const char *name) {
    if (fill_mode < TLVK_FILL_REFLECT || fill_mode > TLVK_FILL_NEAREST)
        return tlvk__build_missing(x, call, "there is no such fill_mode");
    a->fill_mode = (int)fill_mode;
    a->fill_value = bound(fill_value);
    a->interpolation = interpolation == TLVK_NEAREST;
    return tlvk__build_apply(call, op, a, name, true, &x, 1);
}

tlvk_tensor tlvk_random_rotation(tlvk_tensor x, const tlvk_random_rotation_desc *desc) {
    tlvk__random_affine_attrs a = {.width_factor = {NAN, NAN}};
    if (!desc || !range(a.height_factor, desc->factor))
        return tlvk__build_missing(x, "tlvk_random_rotation", "factor has no default");
    return vary("tlvk_random_rotation", &tlvk__op_random_rotation, x, &a, desc->fill_mode, desc->fill_value, desc->interpolation, desc->name);
}

tlvk_tensor tlvk_random_zoom(tlvk_tensor x, const tlvk_random_zoom_desc *desc) {
    tlvk__random_affine_attrs a = {0};
    if (!desc || !range(a.height_factor, desc->height_factor))
        return tlvk__build_missing(x, "tlvk_random_zoom", "height_factor has no default");
    if (!range(a.width_factor, desc->width_factor))
        a.width_factor[0] = a.width_factor[1] = NAN;
    return vary("tlvk_random_zoom", &tlvk__op_random_zoom, x, &a, desc->fill_mode, desc->fill_value, desc->interpolation, desc->name);
}

tlvk_tensor tlvk_random_translation(tlvk_tensor x, const tlvk_random_translation_desc *desc) {
    tlvk__random_affine_attrs a = {0};
    if (!desc || !range(a.height_factor, desc->height_factor) || !range(a.width_factor, desc->width_factor))
        return tlvk__build_missing(x, "tlvk_random_translation", "height_factor and width_factor have no defaults; TLVK_ZERO is none");
    return vary("tlvk_random_translation", &tlvk__op_random_translation, x, &a, desc->fill_mode, desc->fill_value, desc->interpolation, desc->name);
}

static void value_range(float to[2], const float given[2]) {
    bool none = given[0] == 0 && given[1] == 0;
    to[0] = none ? 0 : fminf(bound(given[0]), bound(given[1]));
    to[1] = none ? 255 : fmaxf(bound(given[0]), bound(given[1]));
}

tlvk_tensor tlvk_random_contrast(tlvk_tensor x, const tlvk_random_color_desc *desc) {
    if (!desc || (desc->factor[0] == 0 && desc->factor[1] == 0))
        return tlvk__build_missing(x, "tlvk_random_contrast", "factor has no default");
    tlvk__random_color_attrs a = {.factor = {bound(desc->factor[0]), bound(desc->factor[1])}};
    if (desc->factor[1] == 0) {
        a.factor[1] = a.factor[0];
        a.factor[0] = 0;
    }
    value_range(a.value_range, desc->value_range);
    return tlvk__build_apply("tlvk_random_contrast", &tlvk__op_random_contrast, &a, desc->name, true, &x, 1);
}

tlvk_tensor tlvk_random_brightness(tlvk_tensor x, const tlvk_random_color_desc *desc) {
    tlvk__random_color_attrs a = {0};
    if (!desc || !range(a.factor, desc->factor))
        return tlvk__build_missing(x, "tlvk_random_brightness", "factor has no default");
    value_range(a.value_range, desc->value_range);
    return tlvk__build_apply("tlvk_random_brightness", &tlvk__op_random_brightness, &a, desc->name, true, &x, 1);
}

tlvk_tensor tlvk_resizing(tlvk_tensor x, const tlvk_resizing_desc *desc) {
    if (!desc)
        return tlvk__build_missing(x, "tlvk_resizing", "desc is NULL; height and width have no defaults");
    tlvk__resizing_attrs a = {desc->height, desc->width, desc->interpolation == TLVK_NEAREST, desc->crop_to_aspect_ratio};
    return tlvk__build_apply("tlvk_resizing", &tlvk__op_resizing, &a, desc->name, true, &x, 1);
}

tlvk_tensor tlvk_center_crop(tlvk_tensor x, int height, int width, const char *name) {
    tlvk__resizing_attrs a = {.height = height, .width = width};
    return tlvk__build_apply("tlvk_center_crop", &tlvk__op_center_crop, &a, name, true, &x, 1);
}

tlvk_tensor tlvk_random_crop(tlvk_tensor x, int height, int width, const char *name) {
    tlvk__resizing_attrs a = {.height = height, .width = width};
    return tlvk__build_apply("tlvk_random_crop", &tlvk__op_random_crop, &a, name, true, &x, 1);
}
