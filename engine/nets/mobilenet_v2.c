/* mobilenet_v2.c - MobileNetV2 of any width: seventeen inverted residual blocks (expand, depthwise 3x3, project).
 * Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018; names as keras/src/applications/mobilenet_v2.py. */
#include "nets/nets.h"

#include <stdio.h>

static tlvk_tensor bn(tlvk_tensor x, const char *name) {
    return tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){.name = name, .momentum = 0.999f});
}

static tlvk_tensor relu6(tlvk_tensor x, const char *name) { return tlvk_relu(x, &(tlvk_relu_desc){.name = name, .max_value = 6}); }

static tlvk_tensor conv1x1(tlvk_tensor x, const char *name, int filters) {
    return tlvk_conv2d(x, &(tlvk_conv2d_desc){.name = name, .filters = filters, .kernel_size = {1}, .padding = TLVK_SAME, .no_bias = true});
}

static tlvk_tensor block(tlvk_tensor input, int number, int filters, int stride) {
    char prefix[32] = "expanded_conv", name[64];
    int channels = (int)tlvk__net_channels(input);
    tlvk_tensor x = input;
    if (number > 0) {
        snprintf(prefix, sizeof prefix, "block_%d", number);
        x = conv1x1(x, tlvk__joined(name, prefix, "_expand"), 6 * channels);
        x = bn(x, tlvk__joined(name, prefix, "_expand_BN"));
        x = relu6(x, tlvk__joined(name, prefix, "_expand_relu"));
    }
    if (stride == 2)
        x = tlvk__net_correct_pad(x, 3, tlvk__joined(name, prefix, "_pad"));
    x = tlvk_depthwise_conv2d(x, &(tlvk_depthwise_conv2d_desc){.name = tlvk__joined(name, prefix, "_depthwise"), .kernel_size = {3},
        .strides = {stride}, .padding = stride == 2 ? TLVK_VALID : TLVK_SAME, .no_bias = true});
    x = bn(x, tlvk__joined(name, prefix, "_depthwise_BN"));
    x = relu6(x, tlvk__joined(name, prefix, "_depthwise_relu"));
    x = conv1x1(x, tlvk__joined(name, prefix, "_project"), filters);
    x = bn(x, tlvk__joined(name, prefix, "_project_BN"));
    if (channels != filters || stride != 1)
        return x;
    return tlvk_add((const tlvk_tensor[]){input, x}, 2, tlvk__joined(name, prefix, "_add"));
}

static tlvk_tensor build(tlvk_tensor x, const tlvk_net_desc *desc) {
    static const struct { int filters, stride; } blocks[] = {
        {16, 1}, {24, 2}, {24, 1}, {32, 2}, {32, 1}, {32, 1}, {64, 2}, {64, 1}, {64, 1}, {64, 1}, {96, 1}, {96, 1}, {96, 1},
        {160, 2}, {160, 1}, {160, 1}, {320, 1},
    };
    double alpha = tlvk__net_alpha(desc);
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){
        .name = "Conv1", .filters = tlvk__net_divisible(32 * alpha), .kernel_size = {3}, .strides = {2}, .padding = TLVK_SAME, .no_bias = true});
    x = relu6(bn(x, "bn_Conv1"), "Conv1_relu");
    for (int i = 0; i < (int)TLVK__COUNT(blocks); i++)
        x = block(x, i, tlvk__net_divisible((int)(blocks[i].filters * alpha)), blocks[i].stride);
    int last = alpha > 1 ? tlvk__net_divisible(1280 * alpha) : 1280;
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){.name = "Conv_1", .filters = last, .kernel_size = {1}, .no_bias = true});
    x = relu6(bn(x, "Conv_1_bn"), "out_relu");
    return desc->no_top ? tlvk__net_pooling(x, desc, false) : tlvk__net_classifier(x, desc, NULL);
}

const tlvk__net tlvk__net_mobilenetv2 = {
    .name = "mobilenetv2",
    .default_size = 224,
    .min_size = 32,
    .preprocess = TLVK_PREPROCESS_TF,
    .has_alpha = true,
    .title = "mobilenetv2",
    .build = build,
};

tlvk_status tlvk_mobilenetv2(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_mobilenetv2, desc, out);
}
