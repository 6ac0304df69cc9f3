/* table.c - every operation there is; a new one is one line here. */
#include "ops/op.h"

#include <string.h>

static const tlvk__op *const operations[] = {
    &tlvk__op_input,
    &tlvk__op_conv2d,
    &tlvk__op_conv2d_transpose,
    &tlvk__op_depthwise_conv2d,
    &tlvk__op_separable_conv2d,
    &tlvk__op_dense,
    &tlvk__op_activation,
    &tlvk__op_relu,
    &tlvk__op_leaky_relu,
    &tlvk__op_prelu,
    &tlvk__op_elu,
    &tlvk__op_softmax,
    &tlvk__op_max_pooling2d,
    &tlvk__op_average_pooling2d,
    &tlvk__op_global_average_pooling2d,
    &tlvk__op_global_max_pooling2d,
    &tlvk__op_zero_padding2d,
    &tlvk__op_cropping2d,
    &tlvk__op_upsampling2d,
    &tlvk__op_batch_normalization,
    &tlvk__op_layer_normalization,
    &tlvk__op_add,
    &tlvk__op_subtract,
    &tlvk__op_multiply,
    &tlvk__op_maximum,
    &tlvk__op_minimum,
    &tlvk__op_average,
    &tlvk__op_concatenate,
    &tlvk__op_flatten,
    &tlvk__op_reshape,
    &tlvk__op_permute,
    &tlvk__op_rescaling,
    &tlvk__op_normalization,
    &tlvk__op_dropout,
    &tlvk__op_spatial_dropout2d,
    &tlvk__op_alpha_dropout,
    &tlvk__op_stochastic_depth,
    &tlvk__op_random_flip,
    &tlvk__op_random_rotation,
    &tlvk__op_random_zoom,
    &tlvk__op_random_translation,
    &tlvk__op_random_contrast,
    &tlvk__op_random_brightness,
    &tlvk__op_resizing,
    &tlvk__op_center_crop,
    &tlvk__op_random_crop,
    &tlvk__op_gaussian_noise,
    &tlvk__op_gaussian_dropout,
    &tlvk__op_layer_scale,
};

const tlvk__op *tlvk__op_at(int index) {
    return index >= 0 && (size_t)index < TLVK__COUNT(operations) ? operations[index] : NULL;
}

const tlvk__op *tlvk__op_find(const char *class_name) {
    for (size_t i = 0; i < TLVK__COUNT(operations); i++)
        if (strcmp(operations[i]->class_name, class_name) == 0)
            return operations[i];
    return NULL;
}
