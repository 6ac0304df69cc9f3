/* vgg19.c - VGG19: see vgg.c. */
#include "nets/nets.h"

static tlvk_tensor build(tlvk_tensor x, const tlvk_net_desc *desc) { return tlvk__vgg(x, (const int[5]){2, 2, 4, 4, 4}, desc); }

const tlvk__net tlvk__net_vgg19 = {
    .name = "vgg19",
    .default_size = 224,
    .min_size = 32,
    .preprocess = TLVK_PREPROCESS_CAFFE,
    .folder = "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/",
    .file = "vgg19_weights_tf_dim_ordering_tf_kernels.h5",
    .file_no_top = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
    .build = build,
};

tlvk_status tlvk_vgg19(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {
    return tlvk__net_create(ctx, &tlvk__net_vgg19, desc, out);
}
