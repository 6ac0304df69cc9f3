/* mobilenet_v3.c - MobileNetV3Small and MobileNetV3Large of any width: inverted residual blocks, some with squeeze and excitation, and hard swish.
 * Howard et al., "Searching for MobileNetV3", ICCV 2019; order and names as keras/src/applications/mobilenet_v3.py (not its minimalistic form).
 * Pictures of 0 to 255 are made ready inside. */
#include "nets/nets.h"

#include <stdio.h>

typedef struct block { double expand; int filters, kernel, stride; bool squeeze, swish; } block; /* `swish`: hard swish, else ReLU */

static const block small_blocks[] = {
    {1, 16, 3, 2, true, false},        {72.0 / 16, 24, 3, 2, false, false}, {88.0 / 24, 24, 3, 1, false, false}, {4, 40, 5, 2, true, true},
    {6, 40, 5, 1, true, true},         {6, 40, 5, 1, true, true},           {3, 48, 5, 1, true, true},           {3, 48, 5, 1, true, true},
    {6, 96, 5, 2, true, true},         {6, 96, 5, 1, true, true},           {6, 96, 5, 1, true, true},
};
static const block large_blocks[] = {
    {1, 16, 3, 1, false, false},  {4, 24, 3, 2, false, false},  {3, 24, 3, 1, false, false},  {3, 40, 5, 2, true, false},
    {3, 40, 5, 1, true, false},   {3, 40, 5, 1, true, false},   {6, 80, 3, 2, false, true},   {2.5, 80, 3, 1, false, true},
    {2.3, 80, 3, 1, false, true}, {2.3, 80, 3, 1, false, true}, {6, 112, 3, 1, true, true},   {6, 112, 3, 1, true, true},
    {6, 160, 5, 2, true, true},   {6, 160, 5, 1, true, true},   {6, 160, 5, 1, true, true},
};

static tlvk_tensor conv1x1(tlvk_tensor x, const char *name, int filters, bool bias) {
    return tlvk_conv2d(x, &(tlvk_conv2d_desc){.name = name, .filters = filters, .kernel_size = {1}, .padding = TLVK_SAME, .no_bias = !bias});
}

static tlvk_tensor bn(tlvk_tensor x, const char *name) {
    return tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){.name = name, .momentum = 0.999f});
}

static tlvk_tensor activation(tlvk_tensor x, bool swish) { return swish ? tlvk_activation(x, TLVK_HARD_SWISH, NULL) : tlvk_relu(x, NULL); }

/* relu6(x + 3) / 6, as Keras writes it. */
static tlvk_tensor hard_sigmoid(tlvk_tensor x) {
    x = tlvk_relu(tlvk__net_arithmetic(x, "Add", "add", 1, 3), &(tlvk_relu_desc){.max_value = 6});
    return tlvk__net_arithmetic(x, "Multiply", "multiply", 1.0f / 6, 0);
}

static tlvk_tensor squeeze_excite(tlvk_tensor input, const char *prefix, int filters) {
    char name[64];
    tlvk_tensor x = tlvk__net_average_keeping_dims(input, tlvk__joined(name, prefix, "squeeze_excite_avg_pool"));
    x = conv1x1(x, tlvk__joined(name, prefix, "squeeze_excite_conv"), tlvk__net_divisible(filters * 0.25), true);
    x = tlvk_relu(x, &(tlvk_relu_desc){.name = tlvk__joined(name, prefix, "squeeze_excite_relu")});
    x = hard_sigmoid(conv1x1(x, tlvk__joined(name, prefix, "squeeze_excite_conv_1"), filters, true));
    return tlvk_multiply((const tlvk_tensor[]){input, x}, 2, tlvk__joined(name, prefix, "squeeze_excite_mul"));
}

static tlvk_tensor inverted(tlvk_tensor input, const block *b, int number, double alpha) {
    char prefix[32] = "expanded_conv_", name[64];
    int channels = (int)tlvk__net_channels(input), inner = tlvk__net_divisible(channels * b->expand), filters = tlvk__net_divisible(b->filters * alpha);
    tlvk_tensor x = input;
    if (number > 0) {
        snprintf(prefix, sizeof prefix, "expanded_conv_%d_", number);
        x = conv1x1(x, tlvk__joined(name, prefix, "expand"), inner, false);
        x = activation(bn(x, tlvk__joined(name, prefix, "expand_bn")), b->swish);
    }
    if (b->stride == 2)
        x = tlvk__net_correct_pad(x, b->kernel, tlvk__joined(name, prefix, "depthwise_pad"));
    x = tlvk_depthwise_conv2d(x, &(tlvk_depthwise_conv2d_desc){.name = tlvk__joined(name, prefix, "depthwise"), .kernel_size = {b->kernel},
        .strides = {b->stride}, .padding = b->stride == 2 ? TLVK_VALID : TLVK_SAME, .no_bias = true});
    x = activation(bn(x, tlvk__joined(name, prefix, "depthwise_bn")), b->swish);
    if (b->squeeze)
        x = squeeze_excite(x, prefix, inner);
    x = conv1x1(x, tlvk__joined(name, prefix, "project"), filters, false);
    x = bn(x, tlvk__joined(name, prefix, "project_bn"));
    if (b->stride != 1 || channels != filters)
        return x;
    return tlvk_add((const tlvk_tensor[]){input, x}, 2, tlvk__joined(name, prefix, "add"));
}

/* Its classifier works on any height and width: convolutions on the average. */
static tlvk_tensor classifier(tlvk_tensor x, int filters, const tlvk_net_desc *desc) {
    x = activation(conv1x1(tlvk__net_average_keeping_dims(x, NULL), "conv_2", filters, true), true);
    if (desc->dropout > 0)
        x = tlvk_dropout(x, desc->dropout, NULL);
    x = tlvk_flatten(conv1x1(x, "logits", desc->classes, true), NULL);
    return tlvk_activation(x, desc->classifier_activation, "predictions");
}

static tlvk_tensor mobilenet_v3(tlvk_tensor x, const block *blocks, size_t count, int last, const tlvk_net_desc *desc) {
    double alpha = tlvk__net_alpha(desc);
    x = tlvk_conv2d(tlvk_rescaling(x, 1 / 127.5f, -1, NULL), &(tlvk_conv2d_desc){
        .name = "conv", .filters = 16, .kernel_size = {3}, .strides = {2}, .padding = TLVK_SAME, .no_bias = true});
    x = activation(bn(x, "conv_bn"), true);
    for (size_t i = 0; i < count; i++)
        x = inverted(x, &blocks[i], (int)i, alpha);
    x = conv1x1(x, "conv_1", tlvk__net_divisible((double)tlvk__net_channels(x) * 6), false);
    x = activation(bn(x, "conv_1_bn"), true);
    return desc->no_top ? tlvk__net_pooling(x, desc, true) : classifier(x, alpha > 1 ? tlvk__net_divisible(last * alpha) : last, desc);
}

static tlvk_tensor build_small(tlvk_tensor x, const tlvk_net_desc *desc) {
    return mobilenet_v3(x, small_blocks, TLVK__COUNT(small_blocks), 1024, desc);
}
static tlvk_tensor build_large(tlvk_tensor x, const tlvk_net_desc *desc) {
    return mobilenet_v3(x, large_blocks, TLVK__COUNT(large_blocks), 1280, desc);
}

#define MOBILENET_V3(tlvk_name, keras_name, build_function)                                                                                         \
    {                                                                                                                                               \
        .name = tlvk_name, .model_name = keras_name, .default_size = 224, .min_size = 32, .preprocess = TLVK_PREPROCESS_NONE, .has_alpha = true,    \
        .dropout = 0.2f, .any_size = true, .build = build_function,                                                                                 \
    }

const tlvk__net tlvk__net_mobilenetv3small = MOBILENET_V3("mobilenetv3small", "MobileNetV3Small", build_small);
const tlvk__net tlvk__net_mobilenetv3large = MOBILENET_V3("mobilenetv3large", "MobileNetV3Large", build_large);

tlvk_status tlvk_mobilenetv3small(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_mobilenetv3small, desc, out);
}
tlvk_status tlvk_mobilenetv3large(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_mobilenetv3large, desc, out);
}
