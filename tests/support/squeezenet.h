/* squeezenet.h - SqueezeNet 1.1 without its classifier, built with the public API as github.com/rcmalli/keras-squeezenet builds it in Keras: a network
 * that is not built in, whose published weights are loaded by order. */
#ifndef TLVK_TEST_SQUEEZENET_H
#define TLVK_TEST_SQUEEZENET_H

#include <stdio.h>

#include <tlvk/tlvk.h>

#define SQUEEZENET_SIDE 224
#define SQUEEZENET_FEATURES_SIDE 13
#define SQUEEZENET_FEATURES 512 /* channels */

static inline tlvk_tensor squeezenet_conv(tlvk_tensor x, int fire, const char *part, int filters, int size) {
    char name[48], relu[48];
    snprintf(name, sizeof name, "fire%d/%s", fire, part);
    snprintf(relu, sizeof relu, "fire%d/relu_%s", fire, part);
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){.name = name, .filters = filters, .kernel_size = {size}, .padding = size > 1 ? TLVK_SAME : TLVK_VALID});
    return tlvk_activation(x, TLVK_RELU, relu);
}

static inline tlvk_tensor squeezenet_fire(tlvk_tensor x, int fire, int squeeze, int expand) {
    char name[48];
    x = squeezenet_conv(x, fire, "squeeze1x1", squeeze, 1);
    tlvk_tensor left = squeezenet_conv(x, fire, "expand1x1", expand, 1), right = squeezenet_conv(x, fire, "expand3x3", expand, 3);
    snprintf(name, sizeof name, "fire%d/concat", fire);
    return tlvk_concatenate((tlvk_tensor[]){left, right}, 2, name);
}

static inline tlvk_tensor squeezenet_pool(tlvk_tensor x, const char *name) {
    return tlvk_max_pooling2d(x, &(tlvk_pooling2d_desc){.name = name, .pool_size = {3}, .strides = {2}});
}

static inline tlvk_status squeezenet(tlvk_context *ctx, tlvk_model **out) {
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){.shape = {SQUEEZENET_SIDE, SQUEEZENET_SIDE, 3}});
    tlvk_tensor x = tlvk_conv2d(in, &(tlvk_conv2d_desc){.name = "conv1", .filters = 64, .kernel_size = {3}, .strides = {2}});
    x = squeezenet_pool(tlvk_activation(x, TLVK_RELU, "relu_conv1"), "pool1");
    x = squeezenet_fire(squeezenet_fire(x, 2, 16, 64), 3, 16, 64);
    x = squeezenet_pool(x, "pool3");
    x = squeezenet_fire(squeezenet_fire(x, 4, 32, 128), 5, 32, 128);
    x = squeezenet_pool(x, "pool5");
    x = squeezenet_fire(squeezenet_fire(x, 6, 48, 192), 7, 48, 192);
    x = squeezenet_fire(squeezenet_fire(x, 8, 64, 256), 9, 64, 256);
    return tlvk_model_create(ctx, &(tlvk_model_desc){.name = "squeezenet", .inputs = {in}, .outputs = {x}}, out);
}

#endif
