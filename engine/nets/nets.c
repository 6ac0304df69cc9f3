/* nets.c - the table of built-in networks, Keras's checks of their arguments, and their weights.
 * Checks and words after keras/src/applications/imagenet_utils.py (obtain_input_shape, validate_activation) and vgg16.py. */
#include "nets/nets.h"
#include "core/platform.h"
#include "weights/fetch.h"

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
    &tlvk__net_efficientnetb0, &tlvk__net_efficientnetb1, &tlvk__net_efficientnetb2, &tlvk__net_efficientnetb3,
    &tlvk__net_efficientnetb4, &tlvk__net_efficientnetb5, &tlvk__net_efficientnetb6, &tlvk__net_efficientnetb7,
    &tlvk__net_efficientnetv2b0, &tlvk__net_efficientnetv2b1, &tlvk__net_efficientnetv2b2, &tlvk__net_efficientnetv2b3,
    &tlvk__net_efficientnetv2s, &tlvk__net_efficientnetv2m, &tlvk__net_efficientnetv2l,
    &tlvk__net_mobilenetv3small, &tlvk__net_mobilenetv3large, &tlvk__net_nasnetmobile, &tlvk__net_nasnetlarge,
    &tlvk__net_convnexttiny, &tlvk__net_convnextsmall, &tlvk__net_convnextbase, &tlvk__net_convnextlarge, &tlvk__net_convnextxlarge,
};

const char *tlvk_net_name(int index) { return index >= 0 && (size_t)index < TLVK__COUNT(networks) ? networks[index]->name : NULL; }

const tlvk__net *tlvk__net_find(const char *name) {
    for (size_t i = 0; name && i < TLVK__COUNT(networks); i++)
        if (strcmp(networks[i]->name, name) == 0)
            return networks[i];
    return NULL;
}

tlvk_status tlvk_net(tlvk_context *ctx, const char *net, const tlvk_net_desc *desc, tlvk_model **out) {
    const tlvk__net *found = tlvk__net_find(net);
    if (found)
        return tlvk__net_create(ctx, found, desc, out);
    if (out)
        *out = NULL;
    char names[1024] = "";
    for (size_t i = 0; i < TLVK__COUNT(networks); i++)
        if (strlen(names) + strlen(networks[i]->name) + 2 < sizeof names)
            strcat(strcat(names, " "), networks[i]->name);
    return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_net: there is no built-in network \"%s\"; there are:%s", net ? net : "", names));
}

static bool is_imagenet(const char *weights) { return weights && strcmp(weights, "imagenet") == 0; }
static bool is_random(const char *weights) { return !weights || strcmp(weights, "random") == 0; }

/* Height and width of the official weights: the input's, where there are such, else the network's own. */
static int official_size(const tlvk__net *net, const tlvk_net_desc *d) {
    const tlvk__official_widths *widths = tlvk__official_widths_of(net->name);
    const int *size = widths ? widths->size : NULL;
    for (; size && *size; size++)
        if (d->input_shape[0] == *size && d->input_shape[1] == *size)
            return *size;
    return net->default_size;
}

/* Fills in desc's defaults; a dimension left out is the network's own with the classifier, and open without it. */
static void resolve(const tlvk__net *net, tlvk_net_desc *d) {
    bool open = net->any_size || (d->no_top && !net->sized_no_top);
    for (int i = 0; i < 2; i++)
        if (d->input_shape[i] == 0)
            d->input_shape[i] = open ? TLVK_ANY : net->default_size;
    if (d->input_shape[2] == 0)
        d->input_shape[2] = 3;
    if (d->classes == 0)
        d->classes = 1000;
    if (d->alpha == 0)
        d->alpha = 1;
    if (d->depth_multiplier == 0)
        d->depth_multiplier = 1;
    if (d->dropout == 0)
        d->dropout = net->dropout;
    else if (d->dropout == TLVK_ZERO)
        d->dropout = 0;
    if (d->logits)
        d->classifier_activation = TLVK_LINEAR;
    else if (d->classifier_activation == TLVK_LINEAR)
        d->classifier_activation = TLVK_SOFTMAX;
}

static tlvk_status check_alpha(const tlvk__net *net, const tlvk_net_desc *d) {
    if (!net->has_alpha && d->alpha != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: alpha is %g, but this network has one width", net->name, (double)d->alpha);
    if (!(d->alpha > 0 && d->alpha <= 64))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: alpha is %g; it must be above 0 and at most 64", net->name, (double)d->alpha);
    const tlvk__official_widths *official = tlvk__official_widths_of(net->name);
    if (!is_imagenet(d->weights) || !official)
        return TLVK_OK;
    char widths[128] = "";
    for (int i = 0; official->alpha[i].text; i++) {
        if (official->alpha[i].alpha == d->alpha)
            return TLVK_OK;
        size_t used = strlen(widths);
        snprintf(widths + used, sizeof widths - used, "%s%g", i ? ", " : "", (double)official->alpha[i].alpha);
    }
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: if imagenet weights are being loaded, alpha can be one of %s only. Received: alpha=%g", net->name, widths,
                      (double)d->alpha);
}

/* What only some networks can be asked for. */
static tlvk_status check_choices(const tlvk__net *net, const tlvk_net_desc *d) {
    if (d->depth_multiplier != 1 && !net->has_depth_multiplier)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: depth_multiplier is %d, but this network has none", net->name, d->depth_multiplier);
    if (d->depth_multiplier < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: depth_multiplier is %d; it must be at least 1", net->name, d->depth_multiplier);
    if (is_imagenet(d->weights) && d->depth_multiplier != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: if imagenet weights are being loaded, depth multiplier must be 1. Received: depth_multiplier=%d",
                          net->name, d->depth_multiplier);
    if (d->dropout != net->dropout && net->dropout == 0)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: dropout is %g, but this network's cannot be chosen", net->name, (double)d->dropout);
    if (!(d->dropout >= 0 && d->dropout <= 1))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: dropout is %g; it must be between 0 and 1", net->name, (double)d->dropout);
    if ((int)d->pooling < TLVK_POOLING_NONE || (int)d->pooling > TLVK_POOLING_MAX)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: pooling is %d, which is none of TLVK_POOLING_*", net->name, (int)d->pooling);
    return check_alpha(net, d);
}

static tlvk_status check_classifier(const tlvk__net *net, const tlvk_net_desc *d) {
    if (d->no_top)
        return TLVK_OK;
    int kind = (int)d->classifier_activation;
    if (kind < 0 || kind >= TLVK_ACTIVATION_COUNT)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: classifier_activation is %d, which is no activation", net->name, kind);
    if (d->classes < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: %d classes", net->name, d->classes);
    if (is_imagenet(d->weights) && d->classes != 1000)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: with weights \"imagenet\" and the classifier, classes should be 1000. Received: classes=%d",
                          net->name, d->classes);
    if (!is_random(d->weights) && kind != TLVK_SOFTMAX && kind != TLVK_LINEAR)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: only no activation and softmax are allowed for the classifier with pre-trained weights. Received: %s",
                          net->name, tlvk__activation_name(d->classifier_activation));
    return TLVK_OK;
}

/* `given` is as the caller said it, before defaults. */
static tlvk_status check_input_shape(const tlvk__net *net, const tlvk_net_desc *d, const int64_t given[3]) {
    const int64_t *s = d->input_shape;
    char shape[128];
    tlvk__shape_text(&(tlvk__shape){.rank = 3, .dim = {s[0], s[1], s[2]}}, shape, sizeof shape);
    bool imagenet = is_imagenet(d->weights), own = !d->no_top && !net->any_size;
    int official = official_size(net, d);
    if (imagenet && own && (s[0] != official || s[1] != official || s[2] != 3))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: with the classifier and \"imagenet\" weights, input_shape should be (%d, %d, 3). "
                                               "Received: input_shape=%s", net->name, official, official, shape);
    if (imagenet && net->imagenet_sized && (given[0] == TLVK_ANY || given[1] == TLVK_ANY))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: with \"imagenet\" weights, input_shape must be static (no None entries). Received: input_shape=%s",
                          net->name, shape);
    if (imagenet && s[2] != 3)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: the input must have 3 channels; Received: input_shape=%s", net->name, shape);
    if (s[2] < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: the number of channels must be known; Received: input_shape=%s", net->name, shape);
    for (int i = 0; i < 2; i++) {
        if (s[i] != TLVK_ANY && s[i] < net->min_size)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: Input size must be at least %dx%d; Received: input_shape=%s", net->name, net->min_size,
                              net->min_size, shape);
        if (s[i] == TLVK_ANY && own)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: with the classifier you should specify a static input_shape. Received: input_shape=%s",
                              net->name, shape);
    }
    return TLVK_OK;
}

static tlvk_status check(const tlvk__net *net, const tlvk_net_desc *d, const int64_t given[3]) {
    tlvk_status st = check_classifier(net, d);
    if (!st)
        st = check_input_shape(net, d, given);
    return st ? st : check_choices(net, d);
}

/* The file of official weights in Keras's cache, fetched where it is missing; malloc'd. */
static tlvk_status find_official(const tlvk__net *net, const tlvk_net_desc *d, tlvk_context *ctx, char **path) {
    tlvk_fetch_desc which = {.no_top = d->no_top};
    if (net->has_alpha) {
        which.alpha = d->alpha;
        which.size = official_size(net, d);
        if (d->input_shape[0] != which.size || d->input_shape[1] != which.size)
            tlvk__context_log(ctx, TLVK_LOG_WARNING, "%s: there are no official weights for this input's size; those for (%d, %d) are loaded", net->name,
                              which.size, which.size);
    }
    tlvk__official file;
    tlvk_status st = tlvk__official_find(net->name, &which, &file);
    if (!st)
        st = tlvk__official_fetch(ctx, &file, &(tlvk__fetch_how){.progress = d->fetch_progress, .user = d->fetch_user}, path);
    return st ? tlvk__fail_context(st, "%s", net->name) : TLVK_OK;
}

static tlvk_status load_weights(const tlvk__net *net, const tlvk_net_desc *d, tlvk_model *model) {
    if (is_random(d->weights))
        return TLVK_OK;
    if (!is_imagenet(d->weights))
        return tlvk_model_load_weights(model, d->weights, TLVK_BY_ORDER);
    char *path;
    tlvk_status st = find_official(net, d, model->ctx, &path);
    if (!st) {
        st = tlvk_model_load_weights(model, path, TLVK_BY_ORDER);
        free(path);
    }
    return st;
}

/* How pictures are made ready; for official weights with the classifier ImageNet's class names too, where their file is in the cache already. A file
 * that is no such index only leaves the classes without names. */
static tlvk_status set_usage(const tlvk__net *net, const tlvk_net_desc *d, tlvk_model *model) {
    tlvk_usage usage = {.preprocess = net->preprocess};
    const char **names = NULL;
    tlvk_status st;
    char *folder = is_imagenet(d->weights) && !d->no_top ? tlvk__official_folder(&st) : NULL;
    char *path = folder ? tlvk__format("%s/imagenet_class_index.json", folder) : NULL;
    if (path && tlvk__is_file(path) && tlvk__class_index_read(path, &names, &usage.class_count))
        tlvk__context_log(model->ctx, TLVK_LOG_WARNING, "%s; classes stay without names", tlvk__fail_text());
    usage.class_names = names;
    st = tlvk_model_set_usage(model, &usage);
    free(names);
    free(path);
    free(folder);
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
    if (!net->title)
        return tlvk__strdup(net->model_name ? net->model_name : net->name);
    int64_t rows = is_imagenet(d->weights) ? official_size(net, d) : d->input_shape[0];
    int hundredths = (int)nearbyint(tlvk__net_alpha(d) * 100);
    if (rows == TLVK_ANY)
        return tlvk__format("%s_%d.%02d_None", net->title, hundredths / 100, hundredths % 100);
    return tlvk__format("%s_%d.%02d_%" PRId64, net->title, hundredths / 100, hundredths % 100, rows);
}

/* --- what the files of networks build with ------------------------------------------------------------------------------------ */

/* Calls a layer just made, if making it went well, and lets go of it. */
static tlvk_tensor call_new(tlvk_status made, tlvk_layer *layer, const tlvk_tensor *x, int count, const char *class_name) {
    if (made)
        return tlvk__error_tensor(x[0].node->ctx, made, "%s: %s", class_name, tlvk__fail_text());
    tlvk_tensor y = tlvk__call(layer, x, count, TLVK_CALL_DEFAULT);
    tlvk__layer_release(layer);
    return y;
}

tlvk_tensor tlvk__net_layer(const tlvk_tensor *x, int count, const tlvk__op *op, const void *attrs, const char *name) {
    for (int i = 0; i < count; i++)
        if (!x[i].node || x[i].node->error)
            return x[i];
    tlvk_layer *layer = NULL;
    tlvk_status st = tlvk__layer_create(x[0].node->ctx, op, attrs, name, true, &layer);
    return call_new(st, layer, x, count, op->class_name);
}

tlvk_tensor tlvk__net_arithmetic(tlvk_tensor x, const char *class_name, const char *snake_name, float scale, float offset) {
    if (!x.node || x.node->error)
        return x;
    const tlvk__rescaling_attrs attrs = {tlvk__one_float(scale), tlvk__one_float(offset)};
    tlvk_layer *layer = NULL;
    tlvk_status st = tlvk__layer_create_arithmetic(x.node->ctx, &tlvk__op_rescaling, &attrs, class_name, snake_name, &layer);
    return call_new(st, layer, &x, 1, class_name);
}

tlvk_tensor tlvk__net_average_keeping_dims(tlvk_tensor x, const char *name) {
    return tlvk__net_layer(&x, 1, &tlvk__op_global_average_pooling2d, &(tlvk__global_pooling2d_attrs){.keepdims = true}, name);
}

int64_t tlvk__net_channels(tlvk_tensor x) {
    int64_t shape[TLVK_MAX_DIMS] = {0};
    int rank = tlvk_tensor_shape(x, shape);
    return rank ? shape[rank - 1] : 0;
}

tlvk_tensor tlvk__net_correct_pad(tlvk_tensor x, int kernel, const char *name) {
    int64_t shape[TLVK_MAX_DIMS] = {0};
    tlvk_tensor_shape(x, shape);
    bool open = shape[0] == TLVK_ANY;
    int half = kernel / 2, rows = open ? 0 : (int)(shape[0] % 2), columns = open ? 0 : (int)(shape[1] % 2);
    return tlvk_zero_padding2d(x, &(tlvk_padding2d_desc){.name = name, .top = half - 1 + rows, .bottom = half, .left = half - 1 + columns, .right = half});
}

int tlvk__net_divisible(double v) {
    int rounded = (int)(v + 4) / 8 * 8;
    if (rounded < 8)
        rounded = 8;
    return rounded < 0.9 * v ? rounded + 8 : rounded;
}

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

/* The network with its own first weights; *d receives desc with defaults filled in. */
static tlvk_status net_build(tlvk_context *ctx, const tlvk__net *net, const tlvk_net_desc *desc, tlvk_net_desc *d, tlvk_model **out) {
    *d = desc ? *desc : (tlvk_net_desc){0};
    resolve(net, d);
    tlvk_status st = check(net, d, desc ? desc->input_shape : (const int64_t[3]){0});
    if (st)
        return st;
    char *name = model_name(net, d);
    if (!name)
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory", net->name);
    tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {d->input_shape[0], d->input_shape[1], d->input_shape[2]}});
    st = tlvk_model_create(ctx, &(tlvk_model_desc){.name = name, .inputs = {x}, .outputs = {net->build(x, d)}}, out);
    free(name);
    return st;
}

tlvk_status tlvk__net_build(tlvk_context *ctx, const tlvk__net *net, const tlvk_net_desc *desc, tlvk_model **out) {
    tlvk_net_desc d;
    *out = NULL;
    return tlvk__context_fail(ctx, net_build(ctx, net, desc, &d, out));
}

tlvk_status tlvk__net_create(tlvk_context *ctx, const tlvk__net *net, const tlvk_net_desc *desc, tlvk_model **out) {
    if (out)
        *out = NULL;
    if (!ctx || !out)
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: %s is NULL", net->name, ctx ? "out" : "the context"));
    tlvk_net_desc d;
    tlvk_model *model = NULL;
    tlvk_status st = net_build(ctx, net, desc, &d, &model);
    if (!st && d.seed)
        st = seed_weights(model, d.seed);
    if (!st)
        st = load_weights(net, &d, model);
    if (!st)
        st = set_usage(net, &d, model);
    if (st) {
        tlvk_model_destroy(model);
        return tlvk__context_fail(ctx, st);
    }
    *out = model;
    return TLVK_OK;
}
