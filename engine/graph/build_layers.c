/* build_layers.c - the public building calls of layers beyond the common ones: descriptors whose zero means Keras's default. */
#include "graph/internal.h"

tlvk_tensor tlvk_subtract(tlvk_tensor a, tlvk_tensor b, const char *name) {
    return tlvk__build_merge("tlvk_subtract", &tlvk__op_subtract, (tlvk_tensor[2]){a, b}, 2, name);
}
tlvk_tensor tlvk_maximum(const tlvk_tensor *x, int count, const char *name) {
    return tlvk__build_merge("tlvk_maximum", &tlvk__op_maximum, x, count, name);
}
tlvk_tensor tlvk_minimum(const tlvk_tensor *x, int count, const char *name) {
    return tlvk__build_merge("tlvk_minimum", &tlvk__op_minimum, x, count, name);
}
tlvk_tensor tlvk_average(const tlvk_tensor *x, int count, const char *name) {
    return tlvk__build_merge("tlvk_average", &tlvk__op_average, x, count, name);
}

tlvk_tensor tlvk_conv2d_transpose(tlvk_tensor x, const tlvk_conv2d_transpose_desc *desc) {
    if (!desc || desc->filters < 1 || desc->kernel_size[0] < 1)
        return tlvk__build_missing(x, "tlvk_conv2d_transpose", "filters and kernel_size have no defaults, both must be at least 1");
    tlvk__conv2d_transpose_attrs a = {0};
    tlvk__op_conv2d_transpose.defaults(&a);
    a.filters = desc->filters;
    tlvk__build_pair(a.kernel_size, desc->kernel_size, 1);
    tlvk__build_pair(a.strides, desc->strides, 1);
    tlvk__build_pair(a.dilation_rate, desc->dilation_rate, 1);
    a.padding = desc->padding;
    if (desc->set_output_padding)
        a.output_padding = (tlvk__shape){2, {desc->output_padding[0], desc->output_padding[1]}};
    a.use_bias = !desc->no_bias;
    a.activation = tlvk__activation_of(desc->activation);
    tlvk__build_initializer(&a.kernel_initializer, desc->kernel_initializer);
    a.kernel_regularizer = desc->kernel_regularizer;
    a.bias_regularizer = desc->bias_regularizer;
    return tlvk__build_apply("tlvk_conv2d_transpose", &tlvk__op_conv2d_transpose, &a, desc->name, !desc->not_trainable, &x, 1);
}

tlvk_tensor tlvk_upsampling2d(tlvk_tensor x, const tlvk_upsampling2d_desc *desc) {
    const tlvk_upsampling2d_desc d = desc ? *desc : (tlvk_upsampling2d_desc){0};
    tlvk__upsampling2d_attrs a = {.interpolation = d.interpolation == TLVK_BILINEAR};
    tlvk__build_pair(a.size, d.size, 2);
    return tlvk__build_apply("tlvk_upsampling2d", &tlvk__op_upsampling2d, &a, d.name, true, &x, 1);
}

tlvk_tensor tlvk_layer_normalization(tlvk_tensor x, const tlvk_layer_normalization_desc *desc) {
    const tlvk_layer_normalization_desc d = desc ? *desc : (tlvk_layer_normalization_desc){0};
    tlvk__layer_normalization_attrs a = {0};
    tlvk__op_layer_normalization.defaults(&a);
    a.epsilon = tlvk__build_number(d.epsilon, 1e-3f);
    a.center = !d.no_center;
    a.scale = !d.no_scale;
    return tlvk__build_apply("tlvk_layer_normalization", &tlvk__op_layer_normalization, &a, d.name, !d.not_trainable, &x, 1);
}

tlvk_tensor tlvk_permute(tlvk_tensor x, const int *dims, int rank, const char *name) {
    if (!dims || rank < 1 || rank > TLVK__MAX_RANK - 1)
        return tlvk__build_missing(x, "tlvk_permute", "dims names no axes, or too many");
    tlvk__permute_attrs a = {.dims = {.rank = rank}};
    for (int i = 0; i < rank; i++)
        a.dims.dim[i] = dims[i];
    return tlvk__build_apply("tlvk_permute", &tlvk__op_permute, &a, name, true, &x, 1);
}

tlvk_tensor tlvk_concatenate_axis(const tlvk_tensor *x, int count, int axis, const char *name) {
    tlvk__concatenate_attrs a = {.axis = axis};
    if (!x || count < 1)
        return tlvk__build_merge("tlvk_concatenate_axis", &tlvk__op_concatenate, x, count, name);
    return tlvk__build_apply("tlvk_concatenate_axis", &tlvk__op_concatenate, &a, name, true, x, count);
}

tlvk_tensor tlvk_prelu(tlvk_tensor x, const tlvk_prelu_desc *desc) {
    const tlvk_prelu_desc d = desc ? *desc : (tlvk_prelu_desc){0};
    tlvk__prelu_attrs a = {0};
    tlvk__op_prelu.defaults(&a);
    for (int i = 0; i < TLVK_MAX_DIMS && d.shared_axes[i]; i++)
        a.shared_axes.dim[a.shared_axes.rank++] = d.shared_axes[i];
    tlvk__build_initializer(&a.alpha_initializer, d.alpha_initializer);
    a.alpha_regularizer = d.alpha_regularizer;
    return tlvk__build_apply("tlvk_prelu", &tlvk__op_prelu, &a, d.name, !d.not_trainable, &x, 1);
}
