/* resnet.c - ResNet50, 101 and 152, and their second version (V2), in which BatchNormalization and relu stand before the convolutions.
 * He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, and "Identity mappings in deep residual networks", ECCV 2016;
 * names, biases and the places of the strides as keras/src/applications/resnet.py: the first version strides in the first 1x1 convolution. */
#include "nets/nets.h"

#include <stdio.h>

#define EPSILON 1.001e-5f

static tlvk_tensor conv(tlvk_tensor x, const char *prefix, const char *suffix, int filters, int kernel, int stride, tlvk_padding padding,
                        bool no_bias) {
    char name[64];
    return tlvk_conv2d(x, &(tlvk_conv2d_desc){.name = tlvk__joined(name, prefix, suffix), .filters = filters, .kernel_size = {kernel},
                                              .strides = {stride}, .padding = padding, .no_bias = no_bias});
}

static tlvk_tensor bn(tlvk_tensor x, const char *prefix, const char *suffix) {
    char name[64];
    return tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){.name = tlvk__joined(name, prefix, suffix), .epsilon = EPSILON});
}

static tlvk_tensor bn_relu(tlvk_tensor x, const char *prefix, const char *suffix) {
    char name[64];
    return tlvk__net_bn_relu(x, tlvk__joined(name, prefix, suffix), EPSILON);
}

static tlvk_tensor block_v1(tlvk_tensor x, const char *prefix, int filters, int stride, bool conv_shortcut) {
    char name[64];
    tlvk_tensor shortcut = x;
    if (conv_shortcut)
        shortcut = bn(conv(x, prefix, "_0_conv", 4 * filters, 1, stride, TLVK_VALID, false), prefix, "_0_bn");
    x = bn_relu(conv(x, prefix, "_1_conv", filters, 1, stride, TLVK_VALID, false), prefix, "_1");
    x = bn_relu(conv(x, prefix, "_2_conv", filters, 3, 1, TLVK_SAME, false), prefix, "_2");
    x = bn(conv(x, prefix, "_3_conv", 4 * filters, 1, 1, TLVK_VALID, false), prefix, "_3_bn");
    x = tlvk_add((const tlvk_tensor[]){shortcut, x}, 2, tlvk__joined(name, prefix, "_add"));
    return tlvk_activation(x, TLVK_RELU, tlvk__joined(name, prefix, "_out"));
}

static tlvk_tensor block_v2(tlvk_tensor x, const char *prefix, int filters, int stride, bool conv_shortcut) {
    char name[64];
    tlvk_tensor y = bn_relu(x, prefix, "_preact"), shortcut = x;
    if (conv_shortcut)
        shortcut = conv(y, prefix, "_0_conv", 4 * filters, 1, stride, TLVK_VALID, false);
    else if (stride > 1)
        shortcut = tlvk_max_pooling2d(x, &(tlvk_pooling2d_desc){.pool_size = {1}, .strides = {stride}});
    y = bn_relu(conv(y, prefix, "_1_conv", filters, 1, 1, TLVK_VALID, true), prefix, "_1");
    y = tlvk_zero_padding2d(y, &(tlvk_padding2d_desc){tlvk__joined(name, prefix, "_2_pad"), 1, 1, 1, 1});
    y = bn_relu(conv(y, prefix, "_2_conv", filters, 3, stride, TLVK_VALID, true), prefix, "_2");
    y = conv(y, prefix, "_3_conv", 4 * filters, 1, 1, TLVK_VALID, false);
    return tlvk_add((const tlvk_tensor[]){shortcut, y}, 2, tlvk__joined(name, prefix, "_out"));
}

/* Stack `number`, conv2 to conv5. The first version strides in its first block, from conv3 on; the second in its last block, up to conv4. */
static tlvk_tensor stack(tlvk_tensor x, int number, int filters, int blocks, bool v2) {
    char prefix[32];
    for (int i = 1; i <= blocks; i++) {
        snprintf(prefix, sizeof prefix, "conv%d_block%d", number, i);
        if (v2)
            x = block_v2(x, prefix, filters, i == blocks && number < 5 ? 2 : 1, i == 1);
        else
            x = block_v1(x, prefix, filters, i == 1 && number > 2 ? 2 : 1, i == 1);
    }
    return x;
}

static tlvk_tensor resnet(tlvk_tensor x, const int blocks[4], bool v2, const tlvk_net_desc *desc) {
    x = tlvk_zero_padding2d(x, &(tlvk_padding2d_desc){"conv1_pad", 3, 3, 3, 3});
    x = conv(x, "conv1", "_conv", 64, 7, 2, TLVK_VALID, false);
    if (!v2)
        x = bn_relu(x, "conv1", "");
    x = tlvk_zero_padding2d(x, &(tlvk_padding2d_desc){"pool1_pad", 1, 1, 1, 1});
    x = tlvk_max_pooling2d(x, &(tlvk_pooling2d_desc){.name = "pool1_pool", .pool_size = {3}, .strides = {2}});
    for (int i = 0; i < 4; i++)
        x = stack(x, i + 2, 64 << i, blocks[i], v2);
    if (v2)
        x = bn_relu(x, "post", "");
    return desc->no_top ? tlvk__net_pooling(x, desc, true) : tlvk__net_classifier(x, desc, "avg_pool");
}

static const int depth50[4] = {3, 4, 6, 3}, depth101[4] = {3, 4, 23, 3}, depth152[4] = {3, 8, 36, 3};

static tlvk_tensor build50(tlvk_tensor x, const tlvk_net_desc *desc) { return resnet(x, depth50, false, desc); }
static tlvk_tensor build101(tlvk_tensor x, const tlvk_net_desc *desc) { return resnet(x, depth101, false, desc); }
static tlvk_tensor build152(tlvk_tensor x, const tlvk_net_desc *desc) { return resnet(x, depth152, false, desc); }
static tlvk_tensor build50v2(tlvk_tensor x, const tlvk_net_desc *desc) { return resnet(x, depth50, true, desc); }
static tlvk_tensor build101v2(tlvk_tensor x, const tlvk_net_desc *desc) { return resnet(x, depth101, true, desc); }
static tlvk_tensor build152v2(tlvk_tensor x, const tlvk_net_desc *desc) { return resnet(x, depth152, true, desc); }

#define RESNET(keras_name, preprocess_mode, build_function)                                        \
    {                                                                                              \
        .name = keras_name,                                                                        \
        .default_size = 224,                                                                       \
        .min_size = 32,                                                                            \
        .preprocess = preprocess_mode,                                                             \
        .build = build_function,                                                                   \
    }

const tlvk__net tlvk__net_resnet50 = RESNET("resnet50", TLVK_PREPROCESS_CAFFE, build50);
const tlvk__net tlvk__net_resnet101 = RESNET("resnet101", TLVK_PREPROCESS_CAFFE, build101);
const tlvk__net tlvk__net_resnet152 = RESNET("resnet152", TLVK_PREPROCESS_CAFFE, build152);
const tlvk__net tlvk__net_resnet50v2 = RESNET("resnet50v2", TLVK_PREPROCESS_TF, build50v2);
const tlvk__net tlvk__net_resnet101v2 = RESNET("resnet101v2", TLVK_PREPROCESS_TF, build101v2);
const tlvk__net tlvk__net_resnet152v2 = RESNET("resnet152v2", TLVK_PREPROCESS_TF, build152v2);

tlvk_status tlvk_resnet50(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_resnet50, desc, out);
}
tlvk_status tlvk_resnet101(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_resnet101, desc, out);
}
tlvk_status tlvk_resnet152(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_resnet152, desc, out);
}
tlvk_status tlvk_resnet50v2(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_resnet50v2, desc, out);
}
tlvk_status tlvk_resnet101v2(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_resnet101v2, desc, out);
}
tlvk_status tlvk_resnet152v2(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_resnet152v2, desc, out);
}
