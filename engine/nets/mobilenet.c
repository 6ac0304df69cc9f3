/* mobilenet.c - MobileNet of any width: thirteen pairs of a depthwise 3x3 and a 1x1 convolution.
 * Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017; names as
 * keras/src/applications/mobilenet.py. */
#include "nets/nets.h"

#include <stdio.h>

static tlvk_tensor bn_relu6(tlvk_tensor x, const char *prefix) {
    char name[64];
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){.name = tlvk__joined(name, prefix, "_bn")});
    return tlvk_relu(x, &(tlvk_relu_desc){.name = tlvk__joined(name, prefix, "_relu"), .max_value = 6});
}

/* Strides pad below and on the right only, whatever the input's parity. */
static tlvk_tensor block(tlvk_tensor x, int number, int filters, int stride, int depth_multiplier) {
    char name[32];
    if (stride > 1) {
        snprintf(name, sizeof name, "conv_pad_%d", number);
        x = tlvk_zero_padding2d(x, &(tlvk_padding2d_desc){.name = name, .bottom = 1, .right = 1});
    }
    snprintf(name, sizeof name, "conv_dw_%d", number);
    x = tlvk_depthwise_conv2d(x, &(tlvk_depthwise_conv2d_desc){
        .name = name, .kernel_size = {3}, .strides = {stride}, .depth_multiplier = depth_multiplier,
        .padding = stride > 1 ? TLVK_VALID : TLVK_SAME, .no_bias = true});
    x = bn_relu6(x, name);
    snprintf(name, sizeof name, "conv_pw_%d", number);
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){.name = name, .filters = filters, .kernel_size = {1}, .padding = TLVK_SAME, .no_bias = true});
    return bn_relu6(x, name);
}

static tlvk_tensor build(tlvk_tensor x, const tlvk_net_desc *desc) {
    static const struct { int filters, stride; } blocks[] = {
        {64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {512, 2}, {512, 1}, {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1},
    };
    double alpha = tlvk__net_alpha(desc);
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){
        .name = "conv1", .filters = (int)(32 * alpha), .kernel_size = {3}, .strides = {2}, .padding = TLVK_SAME, .no_bias = true});
    x = bn_relu6(x, "conv1");
    for (int i = 0; i < (int)TLVK__COUNT(blocks); i++)
        x = block(x, i + 1, (int)(blocks[i].filters * alpha), blocks[i].stride, desc->depth_multiplier);
    if (desc->no_top)
        return tlvk__net_pooling(x, desc, false);
    x = tlvk_dropout(tlvk__net_average_keeping_dims(x, NULL), desc->dropout, "dropout");
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){.name = "conv_preds", .filters = desc->classes, .kernel_size = {1}, .padding = TLVK_SAME});
    x = tlvk_reshape(x, &(int64_t){desc->classes}, 1, "reshape_2");
    return tlvk_activation(x, desc->classifier_activation, "predictions");
}

const tlvk__net tlvk__net_mobilenet = {
    .name = "mobilenet",
    .default_size = 224,
    .min_size = 32,
    .preprocess = TLVK_PREPROCESS_TF,
    .has_alpha = true,
    .title = "mobilenet",
    .dropout = 1e-3f,
    .has_depth_multiplier = true,
    .build = build,
};

tlvk_status tlvk_mobilenet(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_mobilenet, desc, out);
}
