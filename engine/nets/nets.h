/* nets.h - what the files of built-in networks share: Keras's checks, and where weights come from.
 *
 * A network is one file: a `tlvk__net` that says what Keras says about it, and the function that builds its layers from the input on. */
#ifndef TLVK_NETS_H
#define TLVK_NETS_H

#include "graph/graph.h"

typedef struct tlvk__net tlvk__net;
struct tlvk__net {
    const char *name;              /* "vgg16": of tlvk_net and of the model */
    int default_size, min_size;    /* height and width with the classifier; least of both */
    bool flattens;                 /* the classifier needs a fixed size */
    tlvk_preprocess preprocess;    /* what its official weights were trained with */
    const char *folder;            /* where the official files are: an address that ends in '/' */
    const char *file, *file_no_top;
    tlvk_tensor (*build)(tlvk_tensor x, const tlvk_net_desc *desc); /* desc with defaults filled in */
};
extern const tlvk__net tlvk__net_vgg16, tlvk__net_vgg19;

tlvk_status tlvk__net_create(tlvk_context *ctx, const tlvk__net *net, const tlvk_net_desc *desc, tlvk_model **out);
/* Without the classifier: the pooling that desc asks for. */
tlvk_tensor tlvk__net_pooling(tlvk_tensor x, const tlvk_net_desc *desc);

/* VGG (vgg.c): `convolutions` 3x3 layers in each of five blocks, named as Keras names them. */
tlvk_tensor tlvk__vgg(tlvk_tensor x, const int convolutions[5], const tlvk_net_desc *desc);

#endif
