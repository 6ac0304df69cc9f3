/* nets.c - the table of built-in networks, Keras's checks of their arguments, and their weights.
 * Checks and words after keras/src/applications/imagenet_utils.py (obtain_input_shape, validate_activation) and vgg16.py. */
#include "nets/nets.h"
#include "core/platform.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const tlvk__net *const networks[] = {
    &tlvk__net_vgg16,       &tlvk__net_vgg19,
    &tlvk__net_resnet50,    &tlvk__net_resnet101,    &tlvk__net_resnet152,
    &tlvk__net_resnet50v2,  &tlvk__net_resnet101v2,  &tlvk__net_resnet152v2,
    &tlvk__net_inceptionv3, &tlvk__net_xception,     &tlvk__net_mobilenet,    &tlvk__net_mobilenetv2,
    &tlvk__net_densenet121, &tlvk__net_densenet169,  &tlvk__net_densenet201,
};

const char *tlvk_net_name(int index) { return index >= 0 && (size_t)index < TLVK__COUNT(networks) ? networks[index]->name : NULL; }

tlvk_status tlvk_net(tlvk_context *ctx, const char *net, const tlvk_net_desc *desc, tlvk_model **out) {
    char names[512] = "";
    for (size_t i = 0; i < TLVK__COUNT(networks); i++) {
        if (net && strcmp(networks[i]->name, net) == 0)
            return tlvk__net_create(ctx, networks[i], desc, out);
        if (strlen(names) + strlen(networks[i]->name) + 2 < sizeof names)
            strcat(strcat(names, " "), networks[i]->name);
    }
    if (out)
        *out = NULL;
    return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_net: there is no built-in network \"%s\"; there are:%s", net ? net : "", names));
}

static bool is_imagenet(const char *weights) { return weights && strcmp(weights, "imagenet") == 0; }
static bool is_random(const char *weights) { return !weights || strcmp(weights, "random") == 0; }

/* Height and width of the official weights: the input's, where there are such, else the network's own. */
static int official_size(const tlvk__net *net, const tlvk_net_desc *d) {
    const int *size = net->widths ? net->widths->size : NULL;
    for (; size && *size; size++)
        if (d->input_shape[0] == *size && d->input_shape[1] == *size)
            return *size;
    return net->default_size;
}

/* Fills in desc's defaults; a dimension left out is the network's own with the classifier, and open without it. */
static void resolve(const tlvk__net *net, tlvk_net_desc *d) {
    for (int i = 0; i < 2; i++)
        if (d->input_shape[i] == 0)
            d->input_shape[i] = d->no_top ? TLVK_ANY : net->default_size;
    if (d->input_shape[2] == 0)
        d->input_shape[2] = 3;
    if (d->classes == 0)
        d->classes = 1000;
    if (d->alpha == 0)
        d->alpha = 1;
    if (d->logits)
        d->classifier_activation = TLVK_LINEAR;
    else if (d->classifier_activation == TLVK_LINEAR)
        d->classifier_activation = TLVK_SOFTMAX;
}

/* How the file names of official weights write the width; NULL: there are none of this width. */
static const char *official_alpha(const tlvk__net *net, const tlvk_net_desc *d) {
    for (int i = 0; net->widths->alpha[i].text; i++)
        if (net->widths->alpha[i].alpha == d->alpha)
            return net->widths->alpha[i].text;
    return NULL;
}

static tlvk_status check_alpha(const tlvk__net *net, const tlvk_net_desc *d) {
    if (!net->widths && d->alpha != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: alpha is %g, but this network has one width", net->name, (double)d->alpha);
    if (!(d->alpha > 0 && d->alpha <= 64))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: alpha is %g; it must be above 0 and at most 64", net->name, (double)d->alpha);
    if (!is_imagenet(d->weights) || !net->widths || official_alpha(net, d))
        return TLVK_OK;
    char widths[128] = "";
    for (int i = 0; net->widths->alpha[i].text; i++) {
        size_t used = strlen(widths);
        snprintf(widths + used, sizeof widths - used, "%s%g", i ? ", " : "", (double)net->widths->alpha[i].alpha);
    }
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: if imagenet weights are being loaded, alpha can be one of %s only. Received: alpha=%g", net->name, widths,
                      (double)d->alpha);
}

static tlvk_status check(const tlvk__net *net, const tlvk_net_desc *d) {
    const int64_t *s = d->input_shape;
    char shape[128];
    tlvk__shape_text(&(tlvk__shape){.rank = 3, .dim = {s[0], s[1], s[2]}}, shape, sizeof shape);
    bool imagenet = is_imagenet(d->weights);
    int official = official_size(net, d);
    if (d->classes < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: %d classes", net->name, d->classes);
    if (imagenet && !d->no_top && d->classes != 1000)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: with weights \"imagenet\" and the classifier, classes should be 1000. Received: classes=%d",
                          net->name, d->classes);
    if (!is_random(d->weights) && !d->no_top && d->classifier_activation != TLVK_SOFTMAX && d->classifier_activation != TLVK_LINEAR)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: only no activation and softmax are allowed for the classifier with pre-trained weights. Received: %s",
                          net->name, tlvk__activation_name(d->classifier_activation));
    if (imagenet && !d->no_top && (s[0] != official || s[1] != official || s[2] != 3))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: with the classifier and \"imagenet\" weights, input_shape should be (%d, %d, 3). "
                                               "Received: input_shape=%s", net->name, official, official, shape);
    if (imagenet && s[2] != 3)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: the input must have 3 channels; Received: input_shape=%s", net->name, shape);
    if (s[2] < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: the number of channels must be known; Received: input_shape=%s", net->name, shape);
    for (int i = 0; i < 2; i++) {
        if (s[i] != TLVK_ANY && s[i] < net->min_size)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: Input size must be at least %dx%d; Received: input_shape=%s", net->name, net->min_size,
                              net->min_size, shape);
        if (s[i] == TLVK_ANY && !d->no_top)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: with the classifier you should specify a static input_shape. Received: input_shape=%s",
                              net->name, shape);
    }
    return check_alpha(net, d);
}

/* Keras keeps official files in $KERAS_HOME/models, else ~/.keras/models. malloc'd. */
static char *official_path(const char *file) {
    const char *keras = tlvk__env("KERAS_HOME"), *home = tlvk__env("HOME");
    if (keras && keras[0])
        return tlvk__format("%s/models/%s", keras, file);
    return tlvk__format("%s/.keras/models/%s", home ? home : "", file);
}

/* The file of official weights, without its folder. malloc'd. */
static char *official_file(const tlvk__net *net, const tlvk_net_desc *d) {
    const char *end = d->no_top ? net->file_no_top : net->file;
    if (!net->widths)
        return tlvk__strdup(end);
    return tlvk__format("%s%s_%d%s", net->widths->file_start, official_alpha(net, d), official_size(net, d), end);
}

static tlvk_status load_weights(const tlvk__net *net, const tlvk_net_desc *d, tlvk_model *model) {
    if (is_random(d->weights))
        return TLVK_OK;
    if (!is_imagenet(d->weights))
        return tlvk_model_load_weights(model, d->weights, TLVK_BY_ORDER);
    char *file = official_file(net, d), *path = file ? official_path(file) : NULL;
    tlvk_status st;
    if (!path)
        st = tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory", net->name);
    else if (tlvk__is_file(path))
        st = tlvk_model_load_weights(model, path, TLVK_BY_ORDER);
    else
        st = tlvk__fail(TLVK_ERROR_FILE, "%s: the file of its official weights is not there; get %s%s and put it at %s", net->name, net->folder,
                        file, path);
    free(path);
    free(file);
    return st;
}

/* Weights drawn from desc->seed depend on it and the variable's place alone. */
static tlvk_status seed_weights(tlvk_model *model, uint64_t seed) {
    int count = tlvk__model_variables(model, NULL, NULL, 0);
    tlvk__variable **variables = count >= 0 ? tlvk__calloc((size_t)count, sizeof(tlvk__variable *)) : NULL;
    if (!variables || tlvk__model_variables(model, variables, NULL, count) < 0) {
        free(variables);
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to seed its weights", model->name);
    }
    for (int i = 0; i < count; i++) {
        variables[i]->seed = seed;
        variables[i]->stream = (uint64_t)i;
    }
    free(variables);
    return TLVK_OK;
}

/* The model's name, malloc'd. Keras names a network of several widths after its width and its height, "None" where that is open. */
static char *model_name(const tlvk__net *net, const tlvk_net_desc *d) {
    if (d->name && d->name[0])
        return tlvk__strdup(d->name);
    if (!net->widths)
        return tlvk__strdup(net->model_name ? net->model_name : net->name);
    int64_t rows = is_imagenet(d->weights) ? official_size(net, d) : d->input_shape[0];
    int hundredths = (int)nearbyint(tlvk__net_alpha(d) * 100);
    if (rows == TLVK_ANY)
        return tlvk__format("%s_%d.%02d_None", net->widths->title, hundredths / 100, hundredths % 100);
    return tlvk__format("%s_%d.%02d_%" PRId64, net->widths->title, hundredths / 100, hundredths % 100, rows);
}

/* --- what the files of networks build with ------------------------------------------------------------------------------------ */

tlvk_tensor tlvk__net_pooling(tlvk_tensor x, const tlvk_net_desc *desc, bool named) {
    if (desc->pooling == TLVK_POOLING_AVG)
        return tlvk_global_average_pooling2d(x, named ? "avg_pool" : NULL);
    return desc->pooling == TLVK_POOLING_MAX ? tlvk_global_max_pooling2d(x, named ? "max_pool" : NULL) : x;
}

tlvk_tensor tlvk__net_classifier(tlvk_tensor x, const tlvk_net_desc *desc, const char *pool) {
    x = tlvk_global_average_pooling2d(x, pool);
    return tlvk_dense(x, &(tlvk_dense_desc){.name = "predictions", .units = desc->classes, .activation = desc->classifier_activation});
}

const char *tlvk__joined(char name[64], const char *prefix, const char *suffix) {
    snprintf(name, 64, "%s%s", prefix, suffix);
    return name;
}

tlvk_tensor tlvk__net_bn_relu(tlvk_tensor x, const char *prefix, float epsilon) {
    char name[64];
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){.name = tlvk__joined(name, prefix, "_bn"), .epsilon = epsilon});
    return tlvk_activation(x, TLVK_RELU, tlvk__joined(name, prefix, "_relu"));
}

double tlvk__net_alpha(const tlvk_net_desc *desc) { return nearbyint((double)desc->alpha * 1e6) / 1e6; }

/* --- creation ------------------------------------------------------------------------------------------------------------------- */

tlvk_status tlvk__net_create(tlvk_context *ctx, const tlvk__net *net, const tlvk_net_desc *desc, tlvk_model **out) {
    if (out)
        *out = NULL;
    if (!ctx || !out)
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: %s is NULL", net->name, ctx ? "out" : "the context"));
    tlvk_net_desc d = desc ? *desc : (tlvk_net_desc){0};
    resolve(net, &d);
    tlvk_status st = check(net, &d);
    if (st)
        return tlvk__context_fail(ctx, st);
    char *name = model_name(net, &d);
    if (!name)
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory", net->name));
    tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {d.input_shape[0], d.input_shape[1], d.input_shape[2]}});
    tlvk_model *model;
    st = tlvk_model_create(ctx, &(tlvk_model_desc){.name = name, .inputs = {x}, .outputs = {net->build(x, &d)}}, &model);
    free(name);
    if (!st && d.seed)
        st = seed_weights(model, d.seed);
    if (!st)
        st = load_weights(net, &d, model);
    if (!st)
        st = tlvk_model_set_usage(model, &(tlvk_usage){.preprocess = net->preprocess});
    if (st) {
        tlvk_model_destroy(model);
        return tlvk__context_fail(ctx, st);
    }
    *out = model;
    return TLVK_OK;
}
