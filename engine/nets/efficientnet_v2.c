/* efficientnet_v2.c - EfficientNetV2 B0 to B3, S, M and L: the first stages expand by a 3x3 convolution instead of 1x1 and depthwise ("fused").
 * Tan and Le, "EfficientNetV2: smaller models and faster training", ICML 2021; order and names as keras/src/applications/efficientnet_v2.py.
 * Pictures of 0 to 255 are made ready inside. */
#include "nets/efficientnet.h"

#include <stdio.h>

#define MOMENTUM 0.9f
#define DROP_CONNECT 0.2
#define DROPOUT 0.2f

typedef struct stage { int repeats, filters, expand, stride; bool fused; } stage; /* ends at repeats 0 */
typedef struct version { int stem; bool b; double width, depth; stage stages[8]; } version; /* `b`: one of B0 to B3 */

/* Keras's round_filters of this version: the nearest multiple of 8, and 8 at least. */
static int rounded(int filters, double width) {
    int nearest = (int)(filters * width + 4) / 8 * 8;
    return nearest < 8 ? 8 : nearest;
}

static tlvk_tensor preprocess(tlvk_tensor x, const version *v) {
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, variance[3] = {0.229f * 0.229f, 0.224f * 0.224f, 0.225f * 0.225f};
    if (!v->b || tlvk__net_channels(x) != 3)
        return tlvk_rescaling(x, 1.0f / 128, -1, NULL);
    x = tlvk_rescaling(x, 1.0f / 255, 0, NULL);
    return tlvk_normalization(x, &(tlvk_normalization_desc){.axis = 3, .mean = mean, .variance = variance, .count = 3});
}

static tlvk_tensor fused_mbconv(tlvk_tensor input, const tlvk__efficient_block *b) {
    const int in = (int)tlvk__net_channels(input);
    tlvk_tensor x = input;
    if (b->expand != 1) {
        x = tlvk__efficient_conv(x, b->prefix, "expand_conv", in * b->expand, b->kernel, b->stride, TLVK_SAME);
        x = tlvk__efficient_swish(tlvk__efficient_bn(x, b->prefix, "expand_bn", MOMENTUM), b->prefix, "expand_activation");
        x = tlvk__efficient_conv(x, b->prefix, "project_conv", b->filters, 1, 1, TLVK_SAME);
    } else {
        x = tlvk__efficient_conv(x, b->prefix, "project_conv", b->filters, b->kernel, b->stride, TLVK_SAME);
    }
    x = tlvk__efficient_bn(x, b->prefix, "project_bn", MOMENTUM);
    if (b->expand == 1)
        x = tlvk__efficient_swish(x, b->prefix, "project_activation");
    return b->stride == 1 && in == b->filters ? tlvk__efficient_short_cut(x, input, b->prefix, b->drop) : x;
}

static tlvk_tensor efficientnet_v2(tlvk_tensor x, const version *v, const tlvk_net_desc *desc) {
    x = tlvk__efficient_conv(preprocess(x, v), "stem_", "conv", rounded(v->stem, v->width), 3, 2, TLVK_SAME);
    x = tlvk__efficient_swish(tlvk__efficient_bn(x, "stem_", "bn", MOMENTUM), "stem_", "activation");
    int blocks = 0, done = 0; /* Keras counts the blocks before the depth's scaling, so that the last rate is above 0.2 where there are more */
    for (const stage *s = v->stages; s->repeats; s++)
        blocks += s->repeats;
    for (const stage *s = v->stages; s->repeats; s++) {
        int repeats = tlvk__efficient_repeats(s->repeats, v->depth);
        for (int k = 0; k < repeats; k++, done++) {
            char prefix[32];
            snprintf(prefix, sizeof prefix, "block%d%c_", (int)(s - v->stages) + 1, 'a' + k);
            const tlvk__efficient_block block = {.prefix = prefix, .kernel = 3, .stride = k ? 1 : s->stride, .expand = s->expand,
                                                 .filters = rounded(s->filters, v->width), .momentum = MOMENTUM,
                                                 .drop = DROP_CONNECT * done / blocks, .v2 = true};
            x = s->fused ? fused_mbconv(x, &block) : tlvk__efficient_mbconv(x, &block);
        }
    }
    return tlvk__efficient_end(x, desc, rounded(1280, v->width), MOMENTUM, DROPOUT, true);
}

#define B_STAGES {{1, 16, 1, 1, true}, {2, 32, 4, 2, true}, {2, 48, 4, 2, true}, {3, 96, 4, 2, false}, {5, 112, 6, 1, false}, {8, 192, 6, 2, false}}
static const version b0 = {32, true, 1.0, 1.0, B_STAGES}, b1 = {32, true, 1.0, 1.1, B_STAGES}, b2 = {32, true, 1.1, 1.2, B_STAGES},
                     b3 = {32, true, 1.2, 1.4, B_STAGES};
static const version s = {24, false, 1.0, 1.0, {
    {2, 24, 1, 1, true}, {4, 48, 4, 2, true}, {4, 64, 4, 2, true}, {6, 128, 4, 2, false}, {9, 160, 6, 1, false}, {15, 256, 6, 2, false}}};
static const version m = {24, false, 1.0, 1.0, {
    {3, 24, 1, 1, true}, {5, 48, 4, 2, true}, {5, 80, 4, 2, true}, {7, 160, 4, 2, false}, {14, 176, 6, 1, false}, {18, 304, 6, 2, false},
    {5, 512, 6, 1, false}}};
static const version l = {32, false, 1.0, 1.0, {
    {4, 32, 1, 1, true}, {7, 64, 4, 2, true}, {7, 96, 4, 2, true}, {10, 192, 4, 2, false}, {19, 224, 6, 1, false}, {25, 384, 6, 2, false},
    {7, 640, 6, 1, false}}};

#define EFFICIENTNET_V2(letter, size)                                                                                                               \
    static tlvk_tensor build_##letter(tlvk_tensor x, const tlvk_net_desc *desc) { return efficientnet_v2(x, &letter, desc); }                       \
    const tlvk__net tlvk__net_efficientnetv2##letter = {                                                                                            \
        .name = "efficientnetv2" #letter, .model_name = "efficientnetv2-" #letter, .default_size = size, .min_size = 32,                            \
        .preprocess = TLVK_PREPROCESS_NONE, .build = build_##letter};                                                                               \
    tlvk_status tlvk_efficientnetv2##letter(tlvk_context *ctx, const tlvk_net_desc *desc, tlvk_model **out) {                                       \
        return tlvk__net_create(ctx, &tlvk__net_efficientnetv2##letter, desc, out);                                                                 \
    }

EFFICIENTNET_V2(b0, 224)
EFFICIENTNET_V2(b1, 240)
EFFICIENTNET_V2(b2, 260)
EFFICIENTNET_V2(b3, 300)
EFFICIENTNET_V2(s, 384)
EFFICIENTNET_V2(m, 480)
EFFICIENTNET_V2(l, 480)
