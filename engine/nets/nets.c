/* nets.c - the table of built-in networks, Keras's checks of their arguments, and their weights.
 * Checks and words after keras/src/applications/imagenet_utils.py (obtain_input_shape, validate_activation) and vgg16.py. */
#include "nets/nets.h"
#include "core/platform.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const tlvk__net *const networks[] = {
    &tlvk__net_vgg16,
    &tlvk__net_vgg19,
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

/* Fills in desc's defaults; a dimension left out is the network's own, or open where nothing fixes it. */
static void resolve(const tlvk__net *net, tlvk_net_desc *d) {
    bool fixed = !d->no_top && net->flattens;
    for (int i = 0; i < 2; i++)
        if (d->input_shape[i] == 0)
            d->input_shape[i] = fixed ? net->default_size : TLVK_ANY;
    if (d->input_shape[2] == 0)
        d->input_shape[2] = 3;
    if (d->classes == 0)
        d->classes = 1000;
    if (d->logits)
        d->classifier_activation = TLVK_LINEAR;
    else if (d->classifier_activation == TLVK_LINEAR)
        d->classifier_activation = TLVK_SOFTMAX;
    if (!d->name || !d->name[0])
        d->name = net->name;
}

static tlvk_status check(const tlvk__net *net, const tlvk_net_desc *d) {
    const int64_t *s = d->input_shape;
    char shape[128];
    tlvk__shape_text(&(tlvk__shape){.rank = 3, .dim = {s[0], s[1], s[2]}}, shape, sizeof shape);
    bool imagenet = is_imagenet(d->weights);
    if (d->classes < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: %d classes", net->name, d->classes);
    if (imagenet && !d->no_top && d->classes != 1000)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: with weights \"imagenet\" and the classifier, classes should be 1000. Received: classes=%d",
                          net->name, d->classes);
    if (!is_random(d->weights) && !d->no_top && d->classifier_activation != TLVK_SOFTMAX && d->classifier_activation != TLVK_LINEAR)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: only no activation and softmax are allowed for the classifier with pre-trained weights. Received: %s",
                          net->name, tlvk__activation_name(d->classifier_activation));
    if (imagenet && !d->no_top && (s[0] != net->default_size || s[1] != net->default_size || s[2] != 3))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: with the classifier and \"imagenet\" weights, input_shape should be (%d, %d, 3). "
                                               "Received: input_shape=%s", net->name, net->default_size, net->default_size, shape);
    if (imagenet && s[2] != 3)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: the input must have 3 channels; Received: input_shape=%s", net->name, shape);
    if (s[2] < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: the number of channels must be known; Received: input_shape=%s", net->name, shape);
    for (int i = 0; i < 2; i++) {
        if (s[i] != TLVK_ANY && s[i] < net->min_size)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: Input size must be at least %dx%d; Received: input_shape=%s", net->name, net->min_size,
                              net->min_size, shape);
        if (s[i] == TLVK_ANY && !d->no_top && net->flattens)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: with the classifier you should specify a static input_shape. Received: input_shape=%s",
                              net->name, shape);
    }
    return TLVK_OK;
}

/* Keras keeps official files in $KERAS_HOME/models, else ~/.keras/models. malloc'd. */
static char *official_path(const char *file) {
    const char *keras = tlvk__env("KERAS_HOME"), *home = tlvk__env("HOME");
    if (keras && keras[0])
        return tlvk__format("%s/models/%s", keras, file);
    return tlvk__format("%s/.keras/models/%s", home ? home : "", file);
}

static tlvk_status load_weights(const tlvk__net *net, const tlvk_net_desc *d, tlvk_model *model) {
    if (is_random(d->weights))
        return TLVK_OK;
    if (!is_imagenet(d->weights))
        return tlvk_model_load_weights(model, d->weights, TLVK_BY_ORDER);
    const char *file = d->no_top ? net->file_no_top : net->file;
    char *path = official_path(file);
    if (!path)
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory", net->name);
    tlvk_status st = tlvk__is_file(path) ? tlvk_model_load_weights(model, path, TLVK_BY_ORDER)
                                         : tlvk__fail(TLVK_ERROR_FILE, "%s: the file of its official weights is not there; get %s%s and put it at %s",
                                                      net->name, net->folder, file, path);
    free(path);
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

tlvk_tensor tlvk__net_pooling(tlvk_tensor x, const tlvk_net_desc *desc) {
    if (desc->pooling == TLVK_POOLING_AVG)
        return tlvk_global_average_pooling2d(x, NULL);
    return desc->pooling == TLVK_POOLING_MAX ? tlvk_global_max_pooling2d(x, NULL) : x;
}

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
    tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {d.input_shape[0], d.input_shape[1], d.input_shape[2]}});
    tlvk_model *model;
    st = tlvk_model_create(ctx, &(tlvk_model_desc){.name = d.name, .inputs = {x}, .outputs = {net->build(x, &d)}}, &model);
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
