/* vgg19.c - VGG19: see vgg.c. */
#include "nets/nets.h"

static tlvk_tensor build(tlvk_tensor x, const tlvk_net_desc *desc) { return tlvk__vgg(x, (const int[5]){2, 2, 4, 4, 4}, desc); }

const tlvk__net tlvk__net_vgg19 = {
    .name = "vgg19",
    .default_size = 224,
    .min_size = 32,
    .preprocess = TLVK_PREPROCESS_CAFFE,
    .build = build,
};

tlvk_status tlvk_vgg19(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_vgg19, desc, out);
}
