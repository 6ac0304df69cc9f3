/* attrs.h - the attribute structs of operations that other rooms fill by hand (the building API, the planner). Defaults come from op->defaults. */
#ifndef TLVK_ATTRS_H
#define TLVK_ATTRS_H

#include "ops/op.h"

typedef struct tlvk__conv2d_attrs {
    int filters, kernel_size[2], strides[2], dilation_rate[2], groups;
    tlvk_padding padding;
    int zero_padding[4];           /* top, bottom, left, right of a ZeroPadding2D before it that the planner took in; with "valid" */
    bool use_bias;
    tlvk__activation activation;
    tlvk__initializer kernel_initializer, bias_initializer;
    tlvk_regularizer kernel_regularizer, bias_regularizer;
} tlvk__conv2d_attrs;
typedef struct tlvk__conv2d_transpose_attrs {
    int filters, kernel_size[2], strides[2], dilation_rate[2];
    tlvk_padding padding;
    tlvk__shape output_padding;    /* rank 0: Keras's None; else rank 2, rows and columns */
    bool use_bias;
    tlvk__activation activation;
    tlvk__initializer kernel_initializer, bias_initializer;
    tlvk_regularizer kernel_regularizer, bias_regularizer;
} tlvk__conv2d_transpose_attrs;
typedef struct tlvk__depthwise_conv2d_attrs {
    int kernel_size[2], strides[2], dilation_rate[2], depth_multiplier;
    tlvk_padding padding;
    int zero_padding[4];           /* as in tlvk__conv2d_attrs */
    bool use_bias;
    tlvk__activation activation;
    tlvk__initializer depthwise_initializer, bias_initializer;
    tlvk_regularizer depthwise_regularizer, bias_regularizer;
} tlvk__depthwise_conv2d_attrs;
typedef struct tlvk__separable_conv2d_attrs {
    int filters, kernel_size[2], strides[2], dilation_rate[2], depth_multiplier;
    tlvk_padding padding;
    bool use_bias;
    tlvk__activation activation;
    tlvk__initializer depthwise_initializer, pointwise_initializer, bias_initializer;
    tlvk_regularizer depthwise_regularizer, pointwise_regularizer, bias_regularizer;
} tlvk__separable_conv2d_attrs;
typedef struct tlvk__dense_attrs {
    int units;
    bool use_bias;
    tlvk__activation activation;
    tlvk__initializer kernel_initializer, bias_initializer;
    tlvk_regularizer kernel_regularizer, bias_regularizer;
} tlvk__dense_attrs;
typedef struct tlvk__batch_normalization_attrs {
    int axis;
    float momentum, epsilon;
    bool center, scale;
    tlvk__initializer beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer;
    tlvk_regularizer beta_regularizer, gamma_regularizer;
} tlvk__batch_normalization_attrs;
typedef struct tlvk__layer_normalization_attrs {
    int axis;
    float epsilon;
    bool center, scale;
    tlvk__initializer beta_initializer, gamma_initializer;
    tlvk_regularizer beta_regularizer, gamma_regularizer;
} tlvk__layer_normalization_attrs;
typedef struct tlvk__pooling2d_attrs {
    int pool_size[2], strides[2];
    tlvk_padding padding;
    int zero_padding[4];           /* as in tlvk__conv2d_attrs, where tlvk__pooling2d_pads says so: zeros around the image that count like its elements */
} tlvk__pooling2d_attrs;
bool tlvk__pooling2d_pads(const tlvk__pooling2d_attrs *a); /* a MaxPooling2D of these attributes can have zero_padding */
typedef struct tlvk__upsampling2d_attrs { int size[2], interpolation; /* 0 nearest, 1 bilinear */ } tlvk__upsampling2d_attrs;
typedef struct tlvk__global_pooling2d_attrs { bool keepdims; } tlvk__global_pooling2d_attrs;
typedef struct tlvk__padding2d_attrs { int padding[4]; /* top, bottom, left, right */ } tlvk__padding2d_attrs; /* ZeroPadding2D, Cropping2D */
typedef struct tlvk__concatenate_attrs { int axis; } tlvk__concatenate_attrs;
typedef struct tlvk__reshape_attrs { tlvk__shape target_shape; /* without the batch; one -1 */ } tlvk__reshape_attrs;
typedef struct tlvk__permute_attrs { tlvk__shape dims; /* axis k + 1 of the output is axis dims.dim[k] of the input; the batch is axis 0 and stays */ } tlvk__permute_attrs;
typedef struct tlvk__dropout_attrs {   /* Dropout, SpatialDropout2D, AlphaDropout, StochasticDepth */
    float rate;
    tlvk__shape noise_shape;       /* with the batch; -1: as the input's, 1: one draw along that dimension; rank 0: a draw per element */
} tlvk__dropout_attrs;
typedef struct tlvk__rescaling_attrs { tlvk__floats scale, offset; } tlvk__rescaling_attrs; /* one each, or one per channel */
typedef struct tlvk__normalization_attrs {
    int axis;
    bool invert;
    tlvk__floats mean, variance;   /* given; none: they are weights */
} tlvk__normalization_attrs;
typedef struct tlvk__random_affine_attrs { /* RandomRotation (height_factor is its factor), RandomZoom, RandomTranslation */
    float height_factor[2], width_factor[2]; /* lower, upper; RandomZoom with NAN: the width as the height */
    int fill_mode, interpolation;  /* choices of engine/ops/random_affine.c */
    float fill_value;
} tlvk__random_affine_attrs;
typedef struct tlvk__random_flip_attrs { int mode; /* tlvk_flip_mode */ } tlvk__random_flip_attrs;
typedef struct tlvk__random_color_attrs { float factor[2], value_range[2]; } tlvk__random_color_attrs; /* RandomContrast, RandomBrightness */
typedef struct tlvk__gaussian_attrs { float amount; } tlvk__gaussian_attrs; /* GaussianNoise: stddev; GaussianDropout: rate */
typedef struct tlvk__layer_scale_attrs { float init_values; int projection_dim; } tlvk__layer_scale_attrs;
typedef struct tlvk__resizing_attrs {     /* Resizing, CenterCrop, RandomCrop */
    int height, width;
    int interpolation;             /* Resizing: 0 bilinear, 1 nearest */
    bool crop_to_aspect_ratio;     /* Resizing */
} tlvk__resizing_attrs;
typedef struct tlvk__activation_attrs { tlvk__activation activation; } tlvk__activation_attrs; /* Activation, ReLU, LeakyReLU, ELU, Softmax */
typedef struct tlvk__prelu_attrs {
    tlvk__shape shared_axes;       /* dim[0 .. rank): axes along which alpha has size 1, the batch being 0 */
    tlvk__initializer alpha_initializer;
    tlvk_regularizer alpha_regularizer;
} tlvk__prelu_attrs;
typedef struct tlvk__input_attrs { tlvk__shape batch_shape; /* dim[0] = -1 */ } tlvk__input_attrs;

#endif
