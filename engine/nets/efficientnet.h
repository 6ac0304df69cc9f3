/* efficientnet.h - what both versions of EfficientNet share (efficientnet_parts.c). */
#ifndef TLVK_EFFICIENTNET_H
#define TLVK_EFFICIENTNET_H

#include "nets/nets.h"

typedef struct tlvk__efficient_block {
    const char *prefix;            /* of its layers' names: "block2a_" */
    int kernel, stride, expand, filters; /* `expand`: inner channels per input channel; `filters`: output channels */
    float momentum;                /* of BatchNormalization */
    double drop;                   /* rate at which its short cut stands alone; 0: never */
    bool v2;                       /* "same" padding where the first version pads by a layer */
} tlvk__efficient_block;

/* Layers "<prefix><suffix>". The convolution has no bias. */
tlvk_tensor tlvk__efficient_conv(tlvk_tensor x, const char *prefix, const char *suffix, int filters, int kernel, int stride, tlvk_padding padding);
tlvk_tensor tlvk__efficient_bn(tlvk_tensor x, const char *prefix, const char *suffix, float momentum);
tlvk_tensor tlvk__efficient_swish(tlvk_tensor x, const char *prefix, const char *suffix);
/* Expand 1x1, depthwise, squeeze and excitation, project 1x1, and the short cut where shapes allow it. */
tlvk_tensor tlvk__efficient_mbconv(tlvk_tensor input, const tlvk__efficient_block *b);
/* x, left out for whole samples at the rate `drop`, plus input. */
tlvk_tensor tlvk__efficient_short_cut(tlvk_tensor x, tlvk_tensor input, const char *prefix, double drop);
/* The last convolution, then what desc asks for. */
tlvk_tensor tlvk__efficient_end(tlvk_tensor x, const tlvk_net_desc *desc, int filters, float momentum, float dropout, bool v2);
/* Blocks of a stage in a network scaled by `depth`. */
int tlvk__efficient_repeats(int repeats, double depth);

#endif
