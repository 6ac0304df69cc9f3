/* vgg.c - what VGG16 and VGG19 have in common: five blocks of 3x3 convolutions, then three Dense layers.
 * Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015; names as keras/src/applications/vgg16.py. */
#include "nets/nets.h"

#include <stdio.h>

static tlvk_tensor block(tlvk_tensor x, int number, int convolutions, int filters) {
    char name[32];
    for (int i = 1; i <= convolutions; i++) {
        snprintf(name, sizeof name, "block%d_conv%d", number, i);
        x = tlvk_conv2d(x, &(tlvk_conv2d_desc){
            .name = name, .filters = filters, .kernel_size = {3, 3}, .padding = TLVK_SAME, .activation = TLVK_RELU});
    }
    snprintf(name, sizeof name, "block%d_pool", number);
    return tlvk_max_pooling2d(x, &(tlvk_pooling2d_desc){.name = name, .pool_size = {2, 2}, .strides = {2, 2}});
}

tlvk_tensor tlvk__vgg(tlvk_tensor x, const int convolutions[5], const tlvk_net_desc *desc) {
    static const int filters[5] = {64, 128, 256, 512, 512};
    for (int i = 0; i < 5; i++)
        x = block(x, i + 1, convolutions[i], filters[i]);
    if (desc->no_top)
        return tlvk__net_pooling(x, desc, false);
    x = tlvk_flatten(x, "flatten");
    x = tlvk_dense(x, &(tlvk_dense_desc){.name = "fc1", .units = 4096, .activation = TLVK_RELU});
    x = tlvk_dense(x, &(tlvk_dense_desc){.name = "fc2", .units = 4096, .activation = TLVK_RELU});
    return tlvk_dense(x, &(tlvk_dense_desc){.name = "predictions", .units = desc->classes, .activation = desc->classifier_activation});
}
