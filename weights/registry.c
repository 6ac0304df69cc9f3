/* registry.c - see registry.h. Keras's applications/<network>.py gives address, name and hash of each file; hashes of 32 digits are MD5, of 64
 * SHA-256. Sizes are not published: the server tells them. */
#include "weights/registry.h"

#include <stdio.h>
#include <string.h>

#define GOOGLE "https://storage.googleapis.com/"
#define KERAS GOOGLE "tensorflow/keras-applications/"
#define KERNELS "_weights_tf_dim_ordering_tf_kernels"

/* The file is "<stem>.h5", without the classifier "<stem><no_top>.h5". */
typedef struct row {
    const char *net, *folder, *stem, *no_top;
    const char *hash[2];                     /* with and without the classifier */
    const char *stem_there, *no_top_there;   /* where the address calls it differently; else NULL */
    const tlvk__official_widths *widths;     /* then "{alpha}" and "{size}" stand in the stem, and each width has its own hashes */
} row;

static const tlvk__official_widths mobilenet_widths = {
    .alpha = {{0.25f, "2_5", {NULL}}, {0.5f, "5_0", {NULL}}, {0.75f, "7_5", {NULL}}, {1.0f, "1_0", {NULL}}},
    .size = {128, 160, 192, 224},
};
static const tlvk__official_widths mobilenet_v2_widths = {
    .alpha = {{0.35f, "0.35", {NULL}}, {0.5f, "0.5", {NULL}}, {0.75f, "0.75", {NULL}}, {1.0f, "1.0", {NULL}}, {1.3f, "1.3", {NULL}}, {1.4f, "1.4", {NULL}}},
    .size = {96, 128, 160, 192, 224},
};
static const tlvk__official_widths mobilenet_v3_large_widths = {
    .alpha = {{0.75f, "0.75", {"765b44a33ad4005b3ac83185abf1d0eb", "40af19a13ebea4e2ee0c676887f69a2e"}},
              {1.0f, "1.0", {"59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389"}}},
    .size = {224},
};
static const tlvk__official_widths mobilenet_v3_small_widths = {
    .alpha = {{0.75f, "0.75", {"cb65d4e5be93758266aa0a7f2c6708b7", "ebdb5cc8e0b497cd13a7c275d475c819"}},
              {1.0f, "1.0", {"8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836"}}},
    .size = {224},
};

static const row rows[] = {
    {.net = "vgg16", .folder = KERAS "vgg16/", .stem = "vgg16" KERNELS, .no_top = "_notop",
     .hash = {"64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc"}},
    {.net = "vgg19", .folder = KERAS "vgg19/", .stem = "vgg19" KERNELS, .no_top = "_notop",
     .hash = {"cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6"}},
    {.net = "resnet50", .folder = KERAS "resnet/", .stem = "resnet50" KERNELS, .no_top = "_notop",
     .hash = {"2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"}},
    {.net = "resnet101", .folder = KERAS "resnet/", .stem = "resnet101" KERNELS, .no_top = "_notop",
     .hash = {"f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"}},
    {.net = "resnet152", .folder = KERAS "resnet/", .stem = "resnet152" KERNELS, .no_top = "_notop",
     .hash = {"100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"}},
    {.net = "resnet50v2", .folder = KERAS "resnet/", .stem = "resnet50v2" KERNELS, .no_top = "_notop",
     .hash = {"3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"}},
    {.net = "resnet101v2", .folder = KERAS "resnet/", .stem = "resnet101v2" KERNELS, .no_top = "_notop",
     .hash = {"6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"}},
    {.net = "resnet152v2", .folder = KERAS "resnet/", .stem = "resnet152v2" KERNELS, .no_top = "_notop",
     .hash = {"a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"}},
    {.net = "inceptionv3", .folder = KERAS "inception_v3/", .stem = "inception_v3" KERNELS, .no_top = "_notop",
     .hash = {"9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63"}},
    {.net = "xception", .folder = KERAS "xception/", .stem = "xception" KERNELS, .no_top = "_notop",
     .hash = {"0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97"}},
    {.net = "mobilenet", .folder = KERAS "mobilenet/", .stem = "mobilenet_{alpha}_{size}_tf", .no_top = "_no_top", .widths = &mobilenet_widths},
    {.net = "mobilenetv2", .folder = KERAS "mobilenet_v2/", .stem = "mobilenet_v2" KERNELS "_{alpha}_{size}", .no_top = "_no_top",
     .widths = &mobilenet_v2_widths},
    {.net = "inceptionresnetv2", .folder = KERAS "inception_resnet_v2/", .stem = "inception_resnet_v2" KERNELS, .no_top = "_notop",
     .hash = {"e693bd0210a403b3192acc6073ad2e96", "d19885ff4a710c122648d3b5c3b684e4"}},
    {.net = "mobilenetv3large", .folder = KERAS "mobilenet_v3/", .stem = "weights_mobilenet_v3_large_{size}_{alpha}_float", .no_top = "_no_top_v2",
     .widths = &mobilenet_v3_large_widths},
    {.net = "mobilenetv3small", .folder = KERAS "mobilenet_v3/", .stem = "weights_mobilenet_v3_small_{size}_{alpha}_float", .no_top = "_no_top_v2",
     .widths = &mobilenet_v3_small_widths},
    {.net = "densenet121", .folder = KERAS "densenet/", .stem = "densenet121" KERNELS, .no_top = "_notop",
     .hash = {"9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738"}},
    {.net = "densenet169", .folder = KERAS "densenet/", .stem = "densenet169" KERNELS, .no_top = "_notop",
     .hash = {"d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b"}},
    {.net = "densenet201", .folder = KERAS "densenet/", .stem = "densenet201" KERNELS, .no_top = "_notop",
     .hash = {"1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1"}},
    {.net = "nasnetmobile", .folder = KERAS "nasnet/", .stem = "nasnet_mobile", .no_top = "_no_top",
     .hash = {"020fb642bf7360b370c678b08e0adf61", "1ed92395b5b598bdda52abe5c0dbfd63"},
     .stem_there = "NASNet-mobile", .no_top_there = "-no-top"},
    {.net = "nasnetlarge", .folder = KERAS "nasnet/", .stem = "nasnet_large", .no_top = "_no_top",
     .hash = {"11577c9a518f0070763c2b964a382f17", "d81d89dc07e6e56530c4e77faddd61b5"},
     .stem_there = "NASNet-large", .no_top_there = "-no-top"},
    {.net = "efficientnetb0", .folder = GOOGLE "keras-applications/", .stem = "efficientnetb0", .no_top = "_notop",
     .hash = {"902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d"}},
    {.net = "efficientnetb1", .folder = GOOGLE "keras-applications/", .stem = "efficientnetb1", .no_top = "_notop",
     .hash = {"1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432"}},
    {.net = "efficientnetb2", .folder = GOOGLE "keras-applications/", .stem = "efficientnetb2", .no_top = "_notop",
     .hash = {"b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39"}},
    {.net = "efficientnetb3", .folder = GOOGLE "keras-applications/", .stem = "efficientnetb3", .no_top = "_notop",
     .hash = {"ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226"}},
    {.net = "efficientnetb4", .folder = GOOGLE "keras-applications/", .stem = "efficientnetb4", .no_top = "_notop",
     .hash = {"18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba"}},
    {.net = "efficientnetb5", .folder = GOOGLE "keras-applications/", .stem = "efficientnetb5", .no_top = "_notop",
     .hash = {"ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f"}},
    {.net = "efficientnetb6", .folder = GOOGLE "keras-applications/", .stem = "efficientnetb6", .no_top = "_notop",
     .hash = {"165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743"}},
    {.net = "efficientnetb7", .folder = GOOGLE "keras-applications/", .stem = "efficientnetb7", .no_top = "_notop",
     .hash = {"8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a"}},
    {.net = "efficientnetv2b0", .folder = KERAS "efficientnet_v2/", .stem = "efficientnetv2-b0", .no_top = "_notop",
     .hash = {"21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff"}},
    {.net = "efficientnetv2b1", .folder = KERAS "efficientnet_v2/", .stem = "efficientnetv2-b1", .no_top = "_notop",
     .hash = {"069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37"}},
    {.net = "efficientnetv2b2", .folder = KERAS "efficientnet_v2/", .stem = "efficientnetv2-b2", .no_top = "_notop",
     .hash = {"424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb"}},
    {.net = "efficientnetv2b3", .folder = KERAS "efficientnet_v2/", .stem = "efficientnetv2-b3", .no_top = "_notop",
     .hash = {"1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856"}},
    {.net = "efficientnetv2s", .folder = KERAS "efficientnet_v2/", .stem = "efficientnetv2-s", .no_top = "_notop",
     .hash = {"e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070"}},
    {.net = "efficientnetv2m", .folder = KERAS "efficientnet_v2/", .stem = "efficientnetv2-m", .no_top = "_notop",
     .hash = {"a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342"}},
    {.net = "efficientnetv2l", .folder = KERAS "efficientnet_v2/", .stem = "efficientnetv2-l", .no_top = "_notop",
     .hash = {"27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615"}},
    {.net = "convnexttiny", .folder = KERAS "convnext/", .stem = "convnext_tiny", .no_top = "_notop",
     .hash = {"8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
              "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"}},
    {.net = "convnextsmall", .folder = KERAS "convnext/", .stem = "convnext_small", .no_top = "_notop",
     .hash = {"ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
              "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab"}},
    {.net = "convnextbase", .folder = KERAS "convnext/", .stem = "convnext_base", .no_top = "_notop",
     .hash = {"52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
              "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45"}},
    {.net = "convnextlarge", .folder = KERAS "convnext/", .stem = "convnext_large", .no_top = "_notop",
     .hash = {"070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
              "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd"}},
    {.net = "convnextxlarge", .folder = KERAS "convnext/", .stem = "convnext_xlarge", .no_top = "_notop",
     .hash = {"c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
              "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05"}},
};

#define CLASS_INDEX "imagenet_class_index"
#define DEFAULT_SIZE 224

const char *tlvk__official_net(int index) { return index >= 0 && (size_t)index < TLVK__COUNT(rows) ? rows[index].net : NULL; }

static const row *find_row(const char *net) {
    for (size_t i = 0; net && i < TLVK__COUNT(rows); i++)
        if (strcmp(rows[i].net, net) == 0)
            return &rows[i];
    return NULL;
}

const tlvk__official_widths *tlvk__official_widths_of(const char *net) {
    const row *r = find_row(net);
    return r ? r->widths : NULL;
}

static tlvk_status no_such_net(const char *net) {
    char names[700] = CLASS_INDEX;
    for (size_t i = 0; i < TLVK__COUNT(rows); i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, " %s", rows[i].net);
    }
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_fetch: there is no official file of \"%s\"; there are: %s", net ? net : "", names);
}

/* `text` in place of `word`, which stands in `stem` once. */
static void put_word(char stem[96], const char *word, const char *text) {
    char whole[96];
    const char *at = strstr(stem, word);
    snprintf(whole, sizeof whole, "%.*s%s%s", (int)(at - stem), stem, text, at + strlen(word));
    memcpy(stem, whole, sizeof whole);
}

/* The stem for one width and size, "mobilenet_1_0_224_tf", and its hash. */
static tlvk_status sized_stem(const row *r, float alpha, int size, char stem[96], const char *const **hash) {
    const tlvk__official_widths *w = r->widths;
    char widths[64] = "", sizes[64] = "", number[16];
    const char *text = NULL;
    bool has_size = false;
    for (int i = 0; w->alpha[i].text; i++) {
        size_t used = strlen(widths);
        snprintf(widths + used, sizeof widths - used, "%s%g", i ? ", " : "", (double)w->alpha[i].alpha);
        if (w->alpha[i].alpha == alpha) {
            text = w->alpha[i].text;
            *hash = w->alpha[i].hash;
        }
    }
    for (int i = 0; w->size[i]; i++) {
        size_t used = strlen(sizes);
        snprintf(sizes + used, sizeof sizes - used, "%s%d", i ? ", " : "", w->size[i]);
        has_size = has_size || w->size[i] == size;
    }
    if (!text)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: there are official weights of alpha %s only, got %g", r->net, widths, (double)alpha);
    if (!has_size)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: there are official weights of size %s only, got %d", r->net, sizes, size);
    snprintf(number, sizeof number, "%d", size);
    put_word(stem, "{alpha}", text);
    put_word(stem, "{size}", number);
    return TLVK_OK;
}

tlvk_status tlvk__official_find(const char *net, const tlvk_fetch_desc *desc, tlvk__official *out) {
    static const tlvk_fetch_desc defaults = {0};
    const tlvk_fetch_desc *d = desc ? desc : &defaults;
    *out = (tlvk__official){0};
    if (net && strcmp(net, CLASS_INDEX) == 0) {
        *out = (tlvk__official){.file = CLASS_INDEX ".json", .address = GOOGLE "download.tensorflow.org/data/" CLASS_INDEX ".json",
                                .hash = "c2c37ea517e94d9795004a39431a14cb"};
        return TLVK_OK;
    }
    const row *r = find_row(net);
    if (!r)
        return no_such_net(net);
    char stem[96];
    const char *const *hash = r->hash;
    snprintf(stem, sizeof stem, "%s", r->stem);
    if (r->widths) {
        tlvk_status st = sized_stem(r, d->alpha != 0 ? d->alpha : 1, d->size ? d->size : DEFAULT_SIZE, stem, &hash);
        if (st)
            return st;
    } else if ((d->alpha != 0 && d->alpha != 1) || d->size) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: its official weights come in one width and size; alpha and size are of the mobilenets", net);
    }
    const char *end = d->no_top ? r->no_top : "", *end_there = d->no_top && r->no_top_there ? r->no_top_there : end;
    snprintf(out->file, sizeof out->file, "%s%s.h5", stem, end);
    snprintf(out->address, sizeof out->address, "%s%s%s.h5", r->folder, r->stem_there ? r->stem_there : stem, end_there);
    out->hash = hash[d->no_top];
    out->hash_kind = out->hash && strlen(out->hash) == 64 ? TLVK__DIGEST_SHA256 : TLVK__DIGEST_MD5;
    return TLVK_OK;
}
