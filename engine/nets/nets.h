/* nets.h - what the files of built-in networks share: Keras's checks, and where weights come from.
 *
 * A network is one file: a `tlvk__net` that says what Keras says about it, and the function that builds its layers from the input on. */
#ifndef TLVK_NETS_H
#define TLVK_NETS_H

#include "graph/graph.h"

/* Of networks that Keras gives a width, alpha: their official weights come in several widths and sizes. */
typedef struct tlvk__net_widths {
    struct { float alpha; const char *text; } alpha[8]; /* official widths as their file names have them; ends at 0 */
    int size[8];                   /* official heights, equal to the width in pixels; ends at 0 */
    const char *title;             /* the model is named "<title>_<alpha>_<height>" */
    const char *file_start;        /* the file is "<file_start><alpha>_<height><file>" */
} tlvk__net_widths;

typedef struct tlvk__net tlvk__net;
struct tlvk__net {
    const char *name;              /* "vgg16": of tlvk_net */
    const char *model_name;        /* of the model; NULL: as `name` */
    int default_size, min_size;    /* height and width with the classifier; least of both */
    tlvk_preprocess preprocess;    /* what its official weights were trained with */
    const char *folder;            /* where the official files are: an address that ends in '/' */
    const char *file, *file_no_top;
    const tlvk__net_widths *widths; /* NULL: there is one width */
    tlvk_tensor (*build)(tlvk_tensor x, const tlvk_net_desc *desc); /* desc with defaults filled in */
};
extern const tlvk__net tlvk__net_vgg16, tlvk__net_vgg19, tlvk__net_resnet50, tlvk__net_resnet101, tlvk__net_resnet152, tlvk__net_resnet50v2,
    tlvk__net_resnet101v2, tlvk__net_resnet152v2, tlvk__net_inceptionv3, tlvk__net_xception, tlvk__net_mobilenet, tlvk__net_mobilenetv2,
    tlvk__net_densenet121, tlvk__net_densenet169, tlvk__net_densenet201;

tlvk_status tlvk__net_create(tlvk_context *ctx, const tlvk__net *net, const tlvk_net_desc *desc, tlvk_model **out);
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
