/* nasnet.c - NASNetMobile and NASNetLarge: cells found by search, each of which reads the two cells before it.
 * Zoph, Vasudevan, Shlens and Le, "Learning transferable architectures for scalable image recognition", CVPR 2018; order and names as
 * keras/src/applications/nasnet.py, down to names that repeat with another number. */
#include "nets/nets.h"

#include <stdio.h>

typedef struct cells { tlvk_tensor x, before; } cells; /* the newest cell's output, and that of the one before it */

static tlvk_tensor relu(tlvk_tensor x, const char *name) { return tlvk_activation(x, TLVK_RELU, name); }

static tlvk_tensor bn(tlvk_tensor x, const char *prefix, const char *id) {
    char name[64];
    return tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){.name = tlvk__joined(name, prefix, id), .momentum = 0.9997f});
}

static tlvk_tensor conv1x1(tlvk_tensor x, const char *prefix, const char *id, int filters) {
    char name[64];
    return tlvk_conv2d(x, &(tlvk_conv2d_desc){.name = tlvk__joined(name, prefix, id), .filters = filters, .kernel_size = {1}, .padding = TLVK_SAME,
                                              .no_bias = true, .kernel_initializer = TLVK_HE_NORMAL});
}

static tlvk_tensor pool(tlvk_tensor x, bool max, const char *prefix, const char *id, int size, int stride) {
    char name[64];
    const tlvk_pooling2d_desc desc = {.name = tlvk__joined(name, prefix, id), .pool_size = {size}, .strides = {stride},
                                      .padding = stride == 1 ? TLVK_SAME : TLVK_VALID};
    return max ? tlvk_max_pooling2d(x, &desc) : tlvk_average_pooling2d(x, &desc);
}

static tlvk_tensor add(tlvk_tensor a, tlvk_tensor b, const char *prefix, const char *id) {
    char name[64];
    return tlvk_add((const tlvk_tensor[]){a, b}, 2, prefix ? tlvk__joined(name, prefix, id) : NULL);
}

/* Two times relu, separable convolution and BatchNormalization. */
static tlvk_tensor separable(tlvk_tensor x, int filters, int kernel, int stride, const char *place, const char *id) {
    char where[48], name[64];
    snprintf(where, sizeof where, "%s%s", place, id);
    x = relu(x, NULL);
    if (stride == 2)
        x = tlvk__net_correct_pad(x, kernel, tlvk__joined(name, "separable_conv_1_pad_", where));
    x = tlvk_separable_conv2d(x, &(tlvk_separable_conv2d_desc){.name = tlvk__joined(name, "separable_conv_1_", where), .filters = filters,
        .kernel_size = {kernel}, .strides = {stride}, .padding = stride == 2 ? TLVK_VALID : TLVK_SAME, .no_bias = true});
    x = relu(bn(x, "separable_conv_1_bn_", where), NULL);
    x = tlvk_separable_conv2d(x, &(tlvk_separable_conv2d_desc){.name = tlvk__joined(name, "separable_conv_2_", where), .filters = filters,
        .kernel_size = {kernel}, .padding = TLVK_SAME, .no_bias = true});
    return bn(x, "separable_conv_2_bn_", where);
}

/* Half of the channels from the even pixels, half from the odd ones. */
static tlvk_tensor halved(tlvk_tensor p, int filters, const char *id) {
    char name[64];
    p = relu(p, tlvk__joined(name, "adjust_relu_1_", id));
    tlvk_tensor even = tlvk_average_pooling2d(p, &(tlvk_pooling2d_desc){
        .name = tlvk__joined(name, "adjust_avg_pool_1_", id), .pool_size = {1}, .strides = {2}});
    even = conv1x1(even, "adjust_conv_1_", id, filters / 2);
    tlvk_tensor odd = tlvk_zero_padding2d(p, &(tlvk_padding2d_desc){.bottom = 1, .right = 1});
    odd = tlvk_cropping2d(odd, &(tlvk_padding2d_desc){.top = 1, .left = 1});
    odd = tlvk_average_pooling2d(odd, &(tlvk_pooling2d_desc){
        .name = tlvk__joined(name, "adjust_avg_pool_2_", id), .pool_size = {1}, .strides = {2}});
    odd = conv1x1(odd, "adjust_conv_2_", id, filters / 2);
    return bn(tlvk_concatenate((const tlvk_tensor[]){even, odd}, 2, NULL), "adjust_bn_", id);
}

/* The cell before, in the size of the newest and with `filters` channels. */
static tlvk_tensor adjusted(cells c, int filters, const char *id) {
    int64_t before[TLVK_MAX_DIMS] = {0}, newest[TLVK_MAX_DIMS] = {0};
    if (!c.before.node)
        return c.x;
    tlvk_tensor_shape(c.before, before);
    tlvk_tensor_shape(c.x, newest);
    if (before[1] != newest[1])
        return halved(c.before, filters, id);
    if (before[2] != filters)
        return bn(conv1x1(relu(c.before, NULL), "adjust_conv_projection_", id, filters), "adjust_bn_", id);
    return c.before;
}

static cells normal(cells c, int filters, const char *id) {
    char name[64];
    tlvk_tensor p = adjusted(c, filters, id);
    tlvk_tensor h = bn(conv1x1(relu(c.x, NULL), "normal_conv_1_", id, filters), "normal_bn_1_", id);
    tlvk_tensor a = separable(h, filters, 5, 1, "normal_left1_", id), b = separable(p, filters, 3, 1, "normal_right1_", id);
    tlvk_tensor x1 = add(a, b, "normal_add_1_", id);
    a = separable(p, filters, 5, 1, "normal_left2_", id);
    b = separable(p, filters, 3, 1, "normal_right2_", id);
    tlvk_tensor x2 = add(a, b, "normal_add_2_", id);
    tlvk_tensor x3 = add(pool(h, false, "normal_left3_", id, 3, 1), p, "normal_add_3_", id);
    a = pool(p, false, "normal_left4_", id, 3, 1);
    b = pool(p, false, "normal_right4_", id, 3, 1);
    tlvk_tensor x4 = add(a, b, "normal_add_4_", id);
    tlvk_tensor x5 = add(separable(h, filters, 3, 1, "normal_left5_", id), h, "normal_add_5_", id);
    return (cells){tlvk_concatenate((const tlvk_tensor[]){p, x1, x2, x3, x4, x5}, 6, tlvk__joined(name, "normal_concat_", id)), c.x};
}

static cells reduction(cells c, int filters, const char *id) {
    char name[64];
    tlvk_tensor p = adjusted(c, filters, id);
    tlvk_tensor h = bn(conv1x1(relu(c.x, NULL), "reduction_conv_1_", id, filters), "reduction_bn_1_", id);
    tlvk_tensor padded = tlvk__net_correct_pad(h, 3, tlvk__joined(name, "reduction_pad_1_", id));
    tlvk_tensor a = separable(h, filters, 5, 2, "reduction_left1_", id), b = separable(p, filters, 7, 2, "reduction_right1_", id);
    tlvk_tensor x1 = add(a, b, "reduction_add_1_", id);
    a = pool(padded, true, "reduction_left2_", id, 3, 2);
    b = separable(p, filters, 7, 2, "reduction_right2_", id);
    tlvk_tensor x2 = add(a, b, "reduction_add_2_", id);
    a = pool(padded, false, "reduction_left3_", id, 3, 2);
    b = separable(p, filters, 5, 2, "reduction_right3_", id);
    tlvk_tensor x3 = add(a, b, "reduction_add3_", id);
    tlvk_tensor x4 = add(x2, pool(x1, false, "reduction_left4_", id, 3, 1), NULL, id);
    a = separable(x1, filters, 3, 1, "reduction_left4_", id);
    b = pool(padded, true, "reduction_right5_", id, 3, 2);
    tlvk_tensor x5 = add(a, b, "reduction_add4_", id);
    return (cells){tlvk_concatenate((const tlvk_tensor[]){x2, x3, x4, x5}, 4, tlvk__joined(name, "reduction_concat_", id)), c.x};
}

/* `skip`: what follows a reduction reads the cell two before it, which the reduction itself read. */
static tlvk_tensor nasnet(tlvk_tensor x, int stem, int filters, int blocks, bool skip, const tlvk_net_desc *desc) {
    char id[16];
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){
        .name = "stem_conv1", .filters = stem, .kernel_size = {3}, .strides = {2}, .no_bias = true, .kernel_initializer = TLVK_HE_NORMAL});
    cells c = {.x = bn(x, "stem_bn1", "")};
    c = reduction(c, filters / 4, "stem_1");
    c = reduction(c, filters / 2, "stem_2");
    for (int stage = 0; stage < 3; stage++) {
        if (stage > 0) {
            tlvk_tensor before = c.before;
            snprintf(id, sizeof id, "reduce_%d", stage * blocks);
            c = reduction(c, filters << stage, id);
            if (skip)
                c.before = before;
        }
        for (int i = 0; i < blocks; i++) {
            snprintf(id, sizeof id, "%d", stage * blocks + i + (stage > 0));
            c = normal(c, filters << stage, id);
        }
    }
    x = relu(c.x, NULL);
    return desc->no_top ? tlvk__net_pooling(x, desc, false) : tlvk__net_classifier(x, desc, NULL);
}

static tlvk_tensor build_mobile(tlvk_tensor x, const tlvk_net_desc *desc) { return nasnet(x, 32, 1056 / 24, 4, false, desc); }
static tlvk_tensor build_large(tlvk_tensor x, const tlvk_net_desc *desc) { return nasnet(x, 96, 4032 / 24, 6, true, desc); }

const tlvk__net tlvk__net_nasnetmobile = {
    .name = "nasnetmobile",
    .model_name = "nasnet_mobile",
    .default_size = 224,
    .min_size = 32,
    .preprocess = TLVK_PREPROCESS_TF,
    .sized_no_top = true,
    .imagenet_sized = true,
    .build = build_mobile,
};
const tlvk__net tlvk__net_nasnetlarge = {
    .name = "nasnetlarge",
    .model_name = "nasnet_large",
    .default_size = 331,
    .min_size = 32,
    .preprocess = TLVK_PREPROCESS_TF,
    .imagenet_sized = true,
    .build = build_large,
};

tlvk_status tlvk_nasnetmobile(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_nasnetmobile, desc, out);
}
tlvk_status tlvk_nasnetlarge(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_nasnetlarge, desc, out);
}
