/* densenet.c - DenseNet121, 169 and 201: blocks in which every layer's 32 channels are put behind all that came before.
 * Huang, Liu, van der Maaten and Weinberger, "Densely connected convolutional networks", CVPR 2017; names as keras/src/applications/densenet.py. */
#include "nets/nets.h"

#include <stdio.h>

#define EPSILON 1.001e-5f
#define GROWTH 32

static tlvk_tensor conv(tlvk_tensor x, const char *prefix, const char *suffix, int filters, int kernel, int stride, tlvk_padding padding) {
    char name[64];
    return tlvk_conv2d(x, &(tlvk_conv2d_desc){.name = tlvk__joined(name, prefix, suffix), .filters = filters, .kernel_size = {kernel},
                                              .strides = {stride}, .padding = padding, .no_bias = true});
}

static tlvk_tensor bn_relu(tlvk_tensor x, const char *prefix, const char *suffix) {
    char name[64];
    return tlvk__net_bn_relu(x, tlvk__joined(name, prefix, suffix), EPSILON);
}

static tlvk_tensor dense_block(tlvk_tensor x, int number, int layers) {
    char prefix[32], name[64];
    for (int i = 1; i <= layers; i++) {
        snprintf(prefix, sizeof prefix, "conv%d_block%d", number, i);
        tlvk_tensor y = conv(bn_relu(x, prefix, "_0"), prefix, "_1_conv", 4 * GROWTH, 1, 1, TLVK_VALID);
        y = conv(bn_relu(y, prefix, "_1"), prefix, "_2_conv", GROWTH, 3, 1, TLVK_SAME);
        x = tlvk_concatenate((const tlvk_tensor[]){x, y}, 2, tlvk__joined(name, prefix, "_concat"));
    }
    return x;
}

/* Halves channels, height and width. */
static tlvk_tensor transition(tlvk_tensor x, int number, int channels) {
    char prefix[32], name[64];
    snprintf(prefix, sizeof prefix, "pool%d", number);
    x = conv(bn_relu(x, prefix, ""), prefix, "_conv", channels / 2, 1, 1, TLVK_VALID);
    return tlvk_average_pooling2d(x, &(tlvk_pooling2d_desc){.name = tlvk__joined(name, prefix, "_pool")});
}

static tlvk_tensor densenet(tlvk_tensor x, const int layers[4], const tlvk_net_desc *desc) {
    int channels = 64;
    x = tlvk_zero_padding2d(x, &(tlvk_padding2d_desc){NULL, 3, 3, 3, 3});
    x = bn_relu(conv(x, "conv1", "_conv", channels, 7, 2, TLVK_VALID), "conv1", "");
    x = tlvk_zero_padding2d(x, &(tlvk_padding2d_desc){NULL, 1, 1, 1, 1});
    x = tlvk_max_pooling2d(x, &(tlvk_pooling2d_desc){.name = "pool1", .pool_size = {3}, .strides = {2}});
    for (int i = 0; i < 4; i++) {
        x = dense_block(x, i + 2, layers[i]);
        channels += layers[i] * GROWTH;
        if (i < 3)
            x = transition(x, i + 2, channels);
        channels /= 2;
    }
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){.name = "bn", .epsilon = EPSILON});
    x = tlvk_activation(x, TLVK_RELU, "relu");
    return desc->no_top ? tlvk__net_pooling(x, desc, true) : tlvk__net_classifier(x, desc, "avg_pool");
}

static tlvk_tensor build121(tlvk_tensor x, const tlvk_net_desc *desc) { return densenet(x, (const int[4]){6, 12, 24, 16}, desc); }
static tlvk_tensor build169(tlvk_tensor x, const tlvk_net_desc *desc) { return densenet(x, (const int[4]){6, 12, 32, 32}, desc); }
static tlvk_tensor build201(tlvk_tensor x, const tlvk_net_desc *desc) { return densenet(x, (const int[4]){6, 12, 48, 32}, desc); }

#define DENSENET(keras_name, build_function)                                                       \
    {                                                                                              \
        .name = keras_name,                                                                        \
        .default_size = 224,                                                                       \
        .min_size = 32,                                                                            \
        .preprocess = TLVK_PREPROCESS_TORCH,                                                       \
        .build = build_function,                                                                   \
    }

const tlvk__net tlvk__net_densenet121 = DENSENET("densenet121", build121);
const tlvk__net tlvk__net_densenet169 = DENSENET("densenet169", build169);
const tlvk__net tlvk__net_densenet201 = DENSENET("densenet201", build201);

tlvk_status tlvk_densenet121(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_densenet121, desc, out);
}
tlvk_status tlvk_densenet169(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_densenet169, desc, out);
}
tlvk_status tlvk_densenet201(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_densenet201, desc, out);
}
