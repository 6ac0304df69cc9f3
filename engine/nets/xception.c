/* xception.c - Xception: separable convolutions with residual short cuts around every block.
 * Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR 2017; names as keras/src/applications/xception.py, where the
 * convolutions of the short cuts have automatic names. */
#include "nets/nets.h"

#include <stdio.h>

static tlvk_tensor bn(tlvk_tensor x, const char *prefix) {
    char name[64];
    return tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){.name = tlvk__joined(name, prefix, "_bn")});
}

static tlvk_tensor relu(tlvk_tensor x, const char *prefix) {
    char name[64];
    return tlvk_activation(x, TLVK_RELU, tlvk__joined(name, prefix, "_act"));
}

static tlvk_tensor conv_bn_relu(tlvk_tensor x, const char *name, int filters, int stride) {
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){.name = name, .filters = filters, .kernel_size = {3}, .strides = {stride}, .no_bias = true});
    return relu(bn(x, name), name);
}

typedef enum relu_place { NO_RELU, RELU_BEFORE, RELU_BEHIND } relu_place;

/* Separable convolution `i` of block `block`, and its BatchNormalization. */
static tlvk_tensor separable(tlvk_tensor x, int block, int i, int filters, relu_place place) {
    char prefix[32];
    snprintf(prefix, sizeof prefix, "block%d_sepconv%d", block, i);
    if (place == RELU_BEFORE)
        x = relu(x, prefix);
    x = tlvk_separable_conv2d(x, &(tlvk_separable_conv2d_desc){
        .name = prefix, .filters = filters, .kernel_size = {3}, .padding = TLVK_SAME, .no_bias = true});
    x = bn(x, prefix);
    return place == RELU_BEHIND ? relu(x, prefix) : x;
}

/* Two separable convolutions and a pooling that halve height and width, with a strided convolution as their short cut. */
static tlvk_tensor halving(tlvk_tensor x, int block, int first, int second) {
    char name[32];
    tlvk_tensor shortcut = tlvk_conv2d(x, &(tlvk_conv2d_desc){
        .filters = second, .kernel_size = {1}, .strides = {2}, .padding = TLVK_SAME, .no_bias = true});
    shortcut = tlvk_batch_normalization(shortcut, NULL);
    x = separable(x, block, 1, first, block > 2 ? RELU_BEFORE : NO_RELU); /* block 2 comes right behind a relu */
    x = separable(x, block, 2, second, RELU_BEFORE);
    snprintf(name, sizeof name, "block%d_pool", block);
    x = tlvk_max_pooling2d(x, &(tlvk_pooling2d_desc){.name = name, .pool_size = {3}, .strides = {2}, .padding = TLVK_SAME});
    return tlvk_add((const tlvk_tensor[]){x, shortcut}, 2, NULL);
}

static tlvk_tensor build(tlvk_tensor x, const tlvk_net_desc *desc) {
    x = conv_bn_relu(x, "block1_conv1", 32, 2);
    x = conv_bn_relu(x, "block1_conv2", 64, 1);
    x = halving(x, 2, 128, 128);
    x = halving(x, 3, 256, 256);
    x = halving(x, 4, 728, 728);
    for (int block = 5; block <= 12; block++) {
        tlvk_tensor y = x;
        for (int i = 1; i <= 3; i++)
            y = separable(y, block, i, 728, RELU_BEFORE);
        x = tlvk_add((const tlvk_tensor[]){y, x}, 2, NULL);
    }
    x = halving(x, 13, 728, 1024);
    x = separable(x, 14, 1, 1536, RELU_BEHIND);
    x = separable(x, 14, 2, 2048, RELU_BEHIND);
    return desc->no_top ? tlvk__net_pooling(x, desc, false) : tlvk__net_classifier(x, desc, "avg_pool");
}

const tlvk__net tlvk__net_xception = {
    .name = "xception",
    .default_size = 299,
    .min_size = 71,
    .preprocess = TLVK_PREPROCESS_TF,
    .build = build,
};

tlvk_status tlvk_xception(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_xception, desc, out);
}
