/* efficientnet.c - EfficientNetB0 to B7: one network of MBConv blocks at eight widths, depths and sizes.
 * Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019; order and names as
 * keras/src/applications/efficientnet.py. Pictures of 0 to 255 are made ready inside. */
#include "nets/efficientnet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOMENTUM 0.99f
#define DROP_CONNECT 0.2

/* Rescaling and Normalization, whose mean and variance are in the official files. Those were made by a network that divided by the variance where
 * Keras divides by its root: with them, and only then, another Rescaling makes up for it. */
static tlvk_tensor preprocess(tlvk_tensor x, const tlvk_net_desc *desc) {
    x = tlvk_rescaling(x, 1.0f / 255, 0, NULL);
    x = tlvk_normalization(x, &(tlvk_normalization_desc){.axis = 3});
    if (!desc->weights || strcmp(desc->weights, "imagenet") != 0)
        return x;
    const float scale[3] = {(float)(1 / sqrt(0.229)), (float)(1 / sqrt(0.224)), (float)(1 / sqrt(0.225))};
    return tlvk_rescaling_channels(x, scale, NULL, 3, NULL);
}

static tlvk_tensor efficientnet(tlvk_tensor x, double width, double depth, float dropout, const tlvk_net_desc *desc) {
    static const struct { int kernel, repeats, filters, expand, stride; } stages[] = {
        {3, 1, 16, 1, 1}, {3, 2, 24, 6, 2}, {5, 2, 40, 6, 2}, {3, 3, 80, 6, 2}, {5, 3, 112, 6, 1}, {5, 4, 192, 6, 2}, {3, 1, 320, 6, 1},
    };
    x = tlvk__net_correct_pad(preprocess(x, desc), 3, "stem_conv_pad");
    x = tlvk__efficient_conv(x, "stem_", "conv", tlvk__net_divisible(32 * width), 3, 2, TLVK_VALID);
    x = tlvk__efficient_swish(tlvk__efficient_bn(x, "stem_", "bn", MOMENTUM), "stem_", "activation");
    int blocks = 0, done = 0;
    for (size_t i = 0; i < TLVK__COUNT(stages); i++)
        blocks += tlvk__efficient_repeats(stages[i].repeats, depth);
    for (size_t i = 0; i < TLVK__COUNT(stages); i++) {
        int repeats = tlvk__efficient_repeats(stages[i].repeats, depth);
        for (int k = 0; k < repeats; k++, done++) {
            char prefix[32];
            snprintf(prefix, sizeof prefix, "block%d%c_", (int)i + 1, 'a' + k);
            x = tlvk__efficient_mbconv(x, &(tlvk__efficient_block){
                .prefix = prefix, .kernel = stages[i].kernel, .stride = k ? 1 : stages[i].stride, .expand = stages[i].expand,
                .filters = tlvk__net_divisible(stages[i].filters * width), .momentum = MOMENTUM, .drop = DROP_CONNECT * done / blocks});
        }
    }
    return tlvk__efficient_end(x, desc, tlvk__net_divisible(1280 * width), MOMENTUM, dropout, false);
}

#define EFFICIENTNET(number, size, width, depth, dropout)                                                                                           \
    static tlvk_tensor build##number(tlvk_tensor x, const tlvk_net_desc *desc) { return efficientnet(x, width, depth, dropout, desc); }             \
    const tlvk__net tlvk__net_efficientnetb##number = {                                                                                             \
        .name = "efficientnetb" #number, .default_size = size, .min_size = 32, .preprocess = TLVK_PREPROCESS_NONE, .build = build##number};         \
    tlvk_status tlvk_efficientnetb##number(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {                                        \
        return tlvk__net_create(ctx, &tlvk__net_efficientnetb##number, desc, out);                                                                  \
    }

EFFICIENTNET(0, 224, 1.0, 1.0, 0.2f)
EFFICIENTNET(1, 240, 1.0, 1.1, 0.2f)
EFFICIENTNET(2, 260, 1.1, 1.2, 0.3f)
EFFICIENTNET(3, 300, 1.2, 1.4, 0.3f)
EFFICIENTNET(4, 380, 1.4, 1.8, 0.4f)
EFFICIENTNET(5, 456, 1.6, 2.2, 0.4f)
EFFICIENTNET(6, 528, 1.8, 2.6, 0.5f)
EFFICIENTNET(7, 600, 2.0, 3.1, 0.5f)
