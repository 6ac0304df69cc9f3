/* vgg16.c - VGG16: see vgg.c. */
#include "nets/nets.h"

static tlvk_tensor build(tlvk_tensor x, const tlvk_net_desc *desc) { return tlvk__vgg(x, (const int[5]){2, 2, 3, 3, 3}, desc); }

const tlvk__net tlvk__net_vgg16 = {
    .name = "vgg16",
    .default_size = 224,
    .min_size = 32,
    .preprocess = TLVK_PREPROCESS_CAFFE,
    .build = build,
};

tlvk_status tlvk_vgg16(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_vgg16, desc, out);
}
