/* efficientnet_parts.c - what both versions of EfficientNet are made of: convolutions with their initializers, the MBConv block with squeeze and
 * excitation, and the end. Names and initializers as keras/src/applications/efficientnet.py and efficientnet_v2.py. */
#include "nets/efficientnet.h"

#include <math.h>

/* VarianceScaling(2, "fan_out", "truncated_normal") and VarianceScaling(1/3, "fan_out", "uniform"). */
static const tlvk__initializer conv_initializer = {.kind = TLVK_VARIANCE_SCALING, .value = 2, .mode = 1, .distribution = 0};
static const tlvk__initializer dense_initializer = {.kind = TLVK_VARIANCE_SCALING, .value = 1.0f / 3, .mode = 1, .distribution = 2};

tlvk_tensor tlvk__efficient_conv(tlvk_tensor x, const char *prefix, const char *suffix, int filters, int kernel, int stride, tlvk_padding padding) {
    char name[64];
    tlvk__conv2d_attrs a = {0};
    tlvk__op_conv2d.defaults(&a);
    a.filters = filters;
    a.kernel_size[0] = a.kernel_size[1] = kernel;
    a.strides[0] = a.strides[1] = stride;
    a.padding = padding;
    a.use_bias = false;
    a.kernel_initializer = conv_initializer;
    return tlvk__net_layer(&x, 1, &tlvk__op_conv2d, &a, tlvk__joined(name, prefix, suffix));
}

tlvk_tensor tlvk__efficient_bn(tlvk_tensor x, const char *prefix, const char *suffix, float momentum) {
    char name[64];
    return tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){.name = tlvk__joined(name, prefix, suffix), .momentum = momentum});
}

tlvk_tensor tlvk__efficient_swish(tlvk_tensor x, const char *prefix, const char *suffix) {
    char name[64];
    return tlvk_activation(x, TLVK_SWISH, tlvk__joined(name, prefix, suffix));
}

static tlvk_tensor depthwise(tlvk_tensor x, const char *name, int kernel, int stride, tlvk_padding padding) {
    tlvk__depthwise_conv2d_attrs a = {0};
    tlvk__op_depthwise_conv2d.defaults(&a);
    a.kernel_size[0] = a.kernel_size[1] = kernel;
    a.strides[0] = a.strides[1] = stride;
    a.padding = padding;
    a.use_bias = false;
    a.depthwise_initializer = conv_initializer;
    return tlvk__net_layer(&x, 1, &tlvk__op_depthwise_conv2d, &a, name);
}

/* The 1x1 convolutions, with biases, between the channels' averages. */
static tlvk_tensor gate(tlvk_tensor x, const char *name, int filters, tlvk_activation_kind activation) {
    tlvk__conv2d_attrs a = {0};
    tlvk__op_conv2d.defaults(&a);
    a.filters = filters;
    a.kernel_size[0] = a.kernel_size[1] = 1;
    a.padding = TLVK_SAME;
    a.activation = tlvk__activation_of(activation);
    a.kernel_initializer = conv_initializer;
    return tlvk__net_layer(&x, 1, &tlvk__op_conv2d, &a, name);
}

/* x times a factor per channel, from a quarter of the block's input channels. */
static tlvk_tensor squeeze_excite(tlvk_tensor x, const char *prefix, int in, int filters) {
    char name[64];
    tlvk_tensor se = tlvk_global_average_pooling2d(x, tlvk__joined(name, prefix, "se_squeeze"));
    se = tlvk_reshape(se, (const int64_t[]){1, 1, filters}, 3, tlvk__joined(name, prefix, "se_reshape"));
    se = gate(se, tlvk__joined(name, prefix, "se_reduce"), in / 4 > 1 ? in / 4 : 1, TLVK_SWISH);
    se = gate(se, tlvk__joined(name, prefix, "se_expand"), filters, TLVK_SIGMOID);
    return tlvk_multiply((const tlvk_tensor[]){x, se}, 2, tlvk__joined(name, prefix, "se_excite"));
}

tlvk_tensor tlvk__efficient_short_cut(tlvk_tensor x, tlvk_tensor input, const char *prefix, double drop) {
    char name[64];
    if (drop > 0)
        x = tlvk_dropout_noise(x, &(tlvk_dropout_desc){
            .name = tlvk__joined(name, prefix, "drop"), .rate = (float)drop, .noise_shape = {TLVK_ANY, 1, 1, 1}});
    return tlvk_add((const tlvk_tensor[]){x, input}, 2, tlvk__joined(name, prefix, "add"));
}

tlvk_tensor tlvk__efficient_mbconv(tlvk_tensor input, const tlvk__efficient_block *b) {
    char name[64];
    const int in = (int)tlvk__net_channels(input), filters = in * b->expand;
    tlvk_tensor x = input;
    if (b->expand != 1) {
        x = tlvk__efficient_conv(x, b->prefix, "expand_conv", filters, 1, 1, TLVK_SAME);
        x = tlvk__efficient_swish(tlvk__efficient_bn(x, b->prefix, "expand_bn", b->momentum), b->prefix, "expand_activation");
    }
    bool padded = !b->v2 && b->stride == 2;
    if (padded)
        x = tlvk__net_correct_pad(x, b->kernel, tlvk__joined(name, b->prefix, "dwconv_pad"));
    x = depthwise(x, tlvk__joined(name, b->prefix, b->v2 ? "dwconv2" : "dwconv"), b->kernel, b->stride, padded ? TLVK_VALID : TLVK_SAME);
    x = tlvk__efficient_swish(tlvk__efficient_bn(x, b->prefix, "bn", b->momentum), b->prefix, "activation");
    x = squeeze_excite(x, b->prefix, in, filters);
    x = tlvk__efficient_conv(x, b->prefix, "project_conv", b->filters, 1, 1, TLVK_SAME);
    x = tlvk__efficient_bn(x, b->prefix, "project_bn", b->momentum);
    return b->stride == 1 && in == b->filters ? tlvk__efficient_short_cut(x, input, b->prefix, b->drop) : x;
}

tlvk_tensor tlvk__efficient_end(tlvk_tensor x, const tlvk_net_desc *desc, int filters, float momentum, float dropout, bool v2) {
    x = tlvk__efficient_conv(x, "top_", "conv", filters, 1, 1, TLVK_SAME);
    x = tlvk__efficient_swish(tlvk__efficient_bn(x, "top_", "bn", momentum), "top_", "activation");
    if (desc->no_top)
        return tlvk__net_pooling(x, desc, true);
    x = tlvk_dropout(tlvk_global_average_pooling2d(x, "avg_pool"), dropout, "top_dropout");
    tlvk__dense_attrs a = {0};
    tlvk__op_dense.defaults(&a);
    a.units = desc->classes;
    a.activation = tlvk__activation_of(desc->classifier_activation);
    a.kernel_initializer = dense_initializer;
    if (v2)
        a.bias_initializer = (tlvk__initializer){.kind = TLVK_CONSTANT};
    return tlvk__net_layer(&x, 1, &tlvk__op_dense, &a, "predictions");
}

int tlvk__efficient_repeats(int repeats, double depth) { return (int)ceil(depth * repeats); }
