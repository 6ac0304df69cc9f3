/* nets.h - what the files of built-in networks share: Keras's checks, and where weights come from.
 *
 * A network is one file: a `tlvk__net` that says what Keras says about it, and the function that builds its layers from the input on. */
#ifndef TLVK_NETS_H
#define TLVK_NETS_H

#include "graph/graph.h"

typedef struct tlvk__net tlvk__net;
struct tlvk__net {
    const char *name;              /* "vgg16": of tlvk_net */
    const char *model_name;        /* of the model; NULL: as `name` */
    int default_size, min_size;    /* height and width with the classifier; least of both */
    tlvk_preprocess preprocess;    /* what its official weights were trained with */
    bool has_alpha;                /* the caller may choose its width */
    const char *title;             /* the model is named "<title>_<alpha>_<height>"; NULL: as above */
    float dropout;                 /* Keras's rate where the caller may choose another; 0: he may not */
    bool has_depth_multiplier;     /* the caller may choose it */
    bool any_size;                 /* its classifier takes every height and width, open ones too */
    bool sized_no_top;             /* default_size holds without the classifier too */
    bool imagenet_sized;           /* official weights ask for a height and a width that are known, or left out */
    tlvk_tensor (*build)(tlvk_tensor x, const tlvk_net_desc *desc); /* desc with defaults filled in; a dropout of 0 is none */
};
extern const tlvk__net tlvk__net_vgg16, tlvk__net_vgg19, tlvk__net_resnet50, tlvk__net_resnet101, tlvk__net_resnet152, tlvk__net_resnet50v2,
    tlvk__net_resnet101v2, tlvk__net_resnet152v2, tlvk__net_inceptionv3, tlvk__net_xception, tlvk__net_mobilenet, tlvk__net_mobilenetv2,
    tlvk__net_densenet121, tlvk__net_densenet169, tlvk__net_densenet201, tlvk__net_efficientnetb0, tlvk__net_efficientnetb1, tlvk__net_efficientnetb2,
    tlvk__net_efficientnetb3, tlvk__net_efficientnetb4, tlvk__net_efficientnetb5, tlvk__net_efficientnetb6, tlvk__net_efficientnetb7,
    tlvk__net_efficientnetv2b0, tlvk__net_efficientnetv2b1, tlvk__net_efficientnetv2b2, tlvk__net_efficientnetv2b3, tlvk__net_efficientnetv2s,
    tlvk__net_efficientnetv2m, tlvk__net_efficientnetv2l, tlvk__net_mobilenetv3small, tlvk__net_mobilenetv3large, tlvk__net_nasnetmobile,
    tlvk__net_nasnetlarge, tlvk__net_convnexttiny, tlvk__net_convnextsmall, tlvk__net_convnextbase, tlvk__net_convnextlarge, tlvk__net_convnextxlarge;

const tlvk__net *tlvk__net_find(const char *name); /* NULL: there is none of that name */
/* As tlvk_net makes it, but without loading weights: what it would load them into. */
tlvk_status tlvk__net_build(tlvk_context *ctx, const tlvk__net *net, const tlvk_net_desc *desc, tlvk_model **out);
tlvk_status tlvk__net_create(tlvk_context *ctx, const tlvk__net *net, const tlvk_net_desc *desc, tlvk_model **out);
/* A new layer called on x, for what the public building calls do not offer. name NULL: automatic. */
tlvk_tensor tlvk__net_layer(const tlvk_tensor *x, int count, const tlvk__op *op, const void *attrs, const char *name);
/* x * scale + offset as Keras's arithmetic between layers, which a summary shows as the operation `class_name`, named after `snake_name`. */
tlvk_tensor tlvk__net_arithmetic(tlvk_tensor x, const char *class_name, const char *snake_name, float scale, float offset);
int64_t tlvk__net_channels(tlvk_tensor x); /* the last dimension */
/* Keras's correct_pad: an even size has one row (or column) less before it than behind; with an open height both sizes count as even. */
tlvk_tensor tlvk__net_correct_pad(tlvk_tensor x, int kernel, const char *name);
/* Keras's _make_divisible: the nearest multiple of 8, but never a tenth below v. */
int tlvk__net_divisible(double v);
/* GlobalAveragePooling2D(keepdims=True): (1, 1, channels). */
tlvk_tensor tlvk__net_average_keeping_dims(tlvk_tensor x, const char *name);
/* The end without the classifier: the pooling that desc asks for, called "avg_pool" or "max_pool" if `named`, else automatically. */
tlvk_tensor tlvk__net_pooling(tlvk_tensor x, const tlvk_net_desc *desc, bool named);
/* The end with the classifier: global average pooling called `pool` (NULL: automatically) and Dense "predictions". */
tlvk_tensor tlvk__net_classifier(tlvk_tensor x, const tlvk_net_desc *desc, const char *pool);
/* A layer's name: "<prefix><suffix>" in `name`, which is returned. */
const char *tlvk__joined(char name[64], const char *prefix, const char *suffix);
/* x -> BatchNormalization "<prefix>_bn" with `epsilon` -> relu "<prefix>_relu": what stands behind or before most convolutions. */
tlvk_tensor tlvk__net_bn_relu(tlvk_tensor x, const char *prefix, float epsilon);
/* desc's alpha as the decimal number it was written as: 0.35f is 0.35. */
double tlvk__net_alpha(const tlvk_net_desc *desc);

/* VGG (vgg.c): `convolutions` 3x3 layers in each of five blocks, named as Keras names them. */
tlvk_tensor tlvk__vgg(tlvk_tensor x, const int convolutions[5], const tlvk_net_desc *desc);

#endif
