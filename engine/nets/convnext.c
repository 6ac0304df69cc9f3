/* convnext.c - ConvNeXtTiny to XLarge: blocks of a 7x7 depthwise convolution, LayerNormalization and two Dense layers.
 * Liu, Mao, Wu, Feichtenhofer, Darrell and Xie, "A ConvNet for the 2020s", CVPR 2022; order and names as keras/src/applications/convnext.py, where
 * the stem and what halves height and width are Sequential models. Pictures of 0 to 255 are made ready inside. */
#include "nets/nets.h"

#include <stdio.h>

#define EPSILON 1e-6f
#define FIRST_SCALE 1e-6f

/* Every layer's name begins with the model's. */
typedef struct convnext { const char *title; int depths[4], channels[4]; } convnext;

static tlvk_tensor layer_norm(tlvk_tensor x, const char *name) {
    return tlvk_layer_normalization(x, &(tlvk_layer_normalization_desc){.name = name, .epsilon = EPSILON});
}

static tlvk_tensor preprocess(tlvk_tensor x, const convnext *net) {
    static const float mean[3] = {0.485f * 255, 0.456f * 255, 0.406f * 255};
    static const float variance[3] = {(0.229f * 255) * (0.229f * 255), (0.224f * 255) * (0.224f * 255), (0.225f * 255) * (0.225f * 255)};
    char name[64];
    if (tlvk__net_channels(x) != 3)
        return x;
    return tlvk_normalization(x, &(tlvk_normalization_desc){
        .name = tlvk__joined(name, net->title, "_prestem_normalization"), .axis = -1, .mean = mean, .variance = variance, .count = 3});
}

static tlvk_tensor strided(tlvk_tensor x, const char *name, int filters, int stride) {
    return tlvk_conv2d(x, &(tlvk_conv2d_desc){.name = name, .filters = filters, .kernel_size = {stride}, .strides = {stride}});
}

/* What stands before stage `stage`: a Sequential of its own. */
static tlvk_tensor downsample(tlvk_tensor x, const convnext *net, int stage) {
    char norm[64], conv[64], name[64];
    int64_t shape[TLVK_MAX_DIMS] = {0};
    if (!x.node || x.node->error)
        return x;
    tlvk_tensor_shape(x, shape);
    tlvk_tensor input = tlvk_input(x.node->ctx, &(tlvk_input_desc){.shape = {shape[0], shape[1], shape[2]}}), y;
    if (stage == 0) {
        y = strided(input, tlvk__joined(conv, net->title, "_stem_conv"), net->channels[0], 4);
        y = layer_norm(y, tlvk__joined(norm, net->title, "_stem_layernorm"));
        tlvk__joined(name, net->title, "_stem");
    } else {
        snprintf(norm, sizeof norm, "%s_downsampling_layernorm_%d", net->title, stage - 1);
        snprintf(conv, sizeof conv, "%s_downsampling_conv_%d", net->title, stage - 1);
        snprintf(name, sizeof name, "%s_downsampling_block_%d", net->title, stage - 1);
        y = strided(layer_norm(input, norm), conv, net->channels[stage], 2);
    }
    tlvk_model *model;
    tlvk_status st = tlvk_model_create(x.node->ctx, &(tlvk_model_desc){.name = name, .inputs = {input}, .outputs = {y}, .sequential = true}, &model);
    if (st)
        return tlvk__error_tensor(x.node->ctx, st, "%s", tlvk_last_error(x.node->ctx));
    y = tlvk_model_call(model, x, TLVK_CALL_DEFAULT, NULL);
    tlvk_model_destroy(model);
    return y;
}

static tlvk_tensor block(tlvk_tensor input, const convnext *net, int stage, int number) {
    char prefix[48], name[64];
    const int channels = net->channels[stage];
    snprintf(prefix, sizeof prefix, "%s_stage_%d_block_%d", net->title, stage, number);
    tlvk_tensor x = tlvk_conv2d(input, &(tlvk_conv2d_desc){
        .name = tlvk__joined(name, prefix, "_depthwise_conv"), .filters = channels, .kernel_size = {7}, .padding = TLVK_SAME, .groups = channels});
    x = layer_norm(x, tlvk__joined(name, prefix, "_layernorm"));
    x = tlvk_dense(x, &(tlvk_dense_desc){.name = tlvk__joined(name, prefix, "_pointwise_conv_1"), .units = 4 * channels});
    x = tlvk_activation(x, TLVK_GELU, tlvk__joined(name, prefix, "_gelu"));
    x = tlvk_dense(x, &(tlvk_dense_desc){.name = tlvk__joined(name, prefix, "_pointwise_conv_2"), .units = channels});
    x = tlvk_layer_scale(x, FIRST_SCALE, tlvk__joined(name, prefix, "_layer_scale"));
    x = tlvk_activation(x, TLVK_LINEAR, tlvk__joined(name, prefix, "_identity")); /* in place of a StochasticDepth of rate 0 */
    return tlvk_add((const tlvk_tensor[]){input, x}, 2, NULL);
}

static tlvk_tensor build(tlvk_tensor x, const convnext *net, const tlvk_net_desc *desc) {
    char name[64];
    x = preprocess(x, net);
    for (int stage = 0; stage < 4; stage++) {
        x = downsample(x, net, stage);
        for (int i = 0; i < net->depths[stage]; i++)
            x = block(x, net, stage, i);
    }
    if (desc->no_top)
        return layer_norm(tlvk__net_pooling(x, desc, false), NULL);
    x = tlvk_global_average_pooling2d(x, tlvk__joined(name, net->title, "_head_gap"));
    x = layer_norm(x, tlvk__joined(name, net->title, "_head_layernorm"));
    return tlvk_dense(x, &(tlvk_dense_desc){.name = tlvk__joined(name, net->title, "_head_dense"), .units = desc->classes,
                                            .activation = desc->classifier_activation});
}

#define CONVNEXT(kind, ...)                                                                                                                         \
    static tlvk_tensor build_##kind(tlvk_tensor x, const tlvk_net_desc *desc) {                                                                     \
        return build(x, &(const convnext){"convnext_" #kind, __VA_ARGS__}, desc);                                                                   \
    }                                                                                                                                               \
    const tlvk__net tlvk__net_convnext##kind = {                                                                                                    \
        .name = "convnext" #kind, .model_name = "convnext_" #kind, .default_size = 224, .min_size = 32, .preprocess = TLVK_PREPROCESS_NONE,         \
        .build = build_##kind};                                                                                                                     \
    tlvk_status tlvk_convnext##kind(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {                                               \
        return tlvk__net_create(ctx, &tlvk__net_convnext##kind, desc, out);                                                                         \
    }

CONVNEXT(tiny, {3, 3, 9, 3}, {96, 192, 384, 768})
CONVNEXT(small, {3, 3, 27, 3}, {96, 192, 384, 768})
CONVNEXT(base, {3, 3, 27, 3}, {128, 256, 512, 1024})
CONVNEXT(large, {3, 3, 27, 3}, {192, 384, 768, 1536})
CONVNEXT(xlarge, {3, 3, 27, 3}, {256, 512, 1024, 2048})
