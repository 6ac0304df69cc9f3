/* inception_v3.c - InceptionV3: parallel branches of convolutions, put side by side in "mixed0" to "mixed10".
 * Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016; order and names as keras/src/applications/inception_v3.py,
 * where convolutions have automatic names and BatchNormalization has no scale. */
#include "nets/nets.h"

/* Convolution, BatchNormalization and relu. */
static tlvk_tensor conv_of(tlvk_tensor x, int filters, int rows, int columns, int stride, tlvk_padding padding) {
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){
        .filters = filters, .kernel_size = {rows, columns}, .strides = {stride}, .padding = padding, .no_bias = true});
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){.no_scale = true});
    return tlvk_activation(x, TLVK_RELU, NULL);
}

static tlvk_tensor conv(tlvk_tensor x, int filters, int rows, int columns) { return conv_of(x, filters, rows, columns, 1, TLVK_SAME); }
static tlvk_tensor halve(tlvk_tensor x, int filters) { return conv_of(x, filters, 3, 3, 2, TLVK_VALID); }
static tlvk_tensor max_pool(tlvk_tensor x) { return tlvk_max_pooling2d(x, &(tlvk_pooling2d_desc){.pool_size = {3}, .strides = {2}}); }

static tlvk_tensor pool_branch(tlvk_tensor x, int filters) {
    x = tlvk_average_pooling2d(x, &(tlvk_pooling2d_desc){.pool_size = {3}, .strides = {1}, .padding = TLVK_SAME});
    return conv(x, filters, 1, 1);
}

/* 35 x 35 at the network's own size: mixed0 to mixed2. */
static tlvk_tensor mixed_5x5(tlvk_tensor x, int pool_filters, const char *name) {
    tlvk_tensor b1 = conv(x, 64, 1, 1);
    tlvk_tensor b5 = conv(conv(x, 48, 1, 1), 64, 5, 5);
    tlvk_tensor b3 = conv(conv(conv(x, 64, 1, 1), 96, 3, 3), 96, 3, 3);
    tlvk_tensor pool = pool_branch(x, pool_filters);
    return tlvk_concatenate((const tlvk_tensor[]){b1, b5, b3, pool}, 4, name);
}

static tlvk_tensor mixed3(tlvk_tensor x) {
    tlvk_tensor b3 = halve(x, 384);
    tlvk_tensor b3_double = halve(conv(conv(x, 64, 1, 1), 96, 3, 3), 96);
    return tlvk_concatenate((const tlvk_tensor[]){b3, b3_double, max_pool(x)}, 3, "mixed3");
}

/* 17 x 17: mixed4 to mixed7, whose 7x7 convolutions are taken apart into 1x7 and 7x1. */
static tlvk_tensor mixed_7x7(tlvk_tensor x, int inner, const char *name) {
    tlvk_tensor b1 = conv(x, 192, 1, 1);
    tlvk_tensor b7 = conv(conv(conv(x, inner, 1, 1), inner, 1, 7), 192, 7, 1);
    tlvk_tensor b7_double = conv(conv(conv(x, inner, 1, 1), inner, 7, 1), inner, 1, 7);
    b7_double = conv(conv(b7_double, inner, 7, 1), 192, 1, 7);
    tlvk_tensor pool = pool_branch(x, 192);
    return tlvk_concatenate((const tlvk_tensor[]){b1, b7, b7_double, pool}, 4, name);
}

static tlvk_tensor mixed8(tlvk_tensor x) {
    tlvk_tensor b3 = halve(conv(x, 192, 1, 1), 320);
    tlvk_tensor b7 = halve(conv(conv(conv(x, 192, 1, 1), 192, 1, 7), 192, 7, 1), 192);
    return tlvk_concatenate((const tlvk_tensor[]){b3, b7, max_pool(x)}, 3, "mixed8");
}

/* 1x3 and 3x1 side by side. */
static tlvk_tensor forked(tlvk_tensor x, const char *name) {
    tlvk_tensor wide = conv(x, 384, 1, 3);
    tlvk_tensor high = conv(x, 384, 3, 1);
    return tlvk_concatenate((const tlvk_tensor[]){wide, high}, 2, name);
}

/* 8 x 8: mixed9 and mixed10. */
static tlvk_tensor mixed_3x3(tlvk_tensor x, const char *fork_name, const char *name) {
    tlvk_tensor b1 = conv(x, 320, 1, 1);
    tlvk_tensor b3 = forked(conv(x, 384, 1, 1), fork_name);
    tlvk_tensor b3_double = forked(conv(conv(x, 448, 1, 1), 384, 3, 3), NULL);
    tlvk_tensor pool = pool_branch(x, 192);
    return tlvk_concatenate((const tlvk_tensor[]){b1, b3, b3_double, pool}, 4, name);
}

static tlvk_tensor build(tlvk_tensor x, const tlvk_net_desc *desc) {
    x = halve(x, 32);
    x = conv_of(x, 32, 3, 3, 1, TLVK_VALID);
    x = max_pool(conv(x, 64, 3, 3));
    x = conv_of(x, 80, 1, 1, 1, TLVK_VALID);
    x = max_pool(conv_of(x, 192, 3, 3, 1, TLVK_VALID));
    x = mixed_5x5(x, 32, "mixed0");
    x = mixed_5x5(x, 64, "mixed1");
    x = mixed_5x5(x, 64, "mixed2");
    x = mixed3(x);
    x = mixed_7x7(x, 128, "mixed4");
    x = mixed_7x7(x, 160, "mixed5");
    x = mixed_7x7(x, 160, "mixed6");
    x = mixed_7x7(x, 192, "mixed7");
    x = mixed8(x);
    x = mixed_3x3(x, "mixed9_0", "mixed9");
    x = mixed_3x3(x, "mixed9_1", "mixed10");
    return desc->no_top ? tlvk__net_pooling(x, desc, false) : tlvk__net_classifier(x, desc, "avg_pool");
}

const tlvk__net tlvk__net_inceptionv3 = {
    .name = "inceptionv3",
    .model_name = "inception_v3",
    .default_size = 299,
    .min_size = 75,
    .preprocess = TLVK_PREPROCESS_TF,
    .build = build,
};

tlvk_status tlvk_inceptionv3(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_inceptionv3, desc, out);
}
