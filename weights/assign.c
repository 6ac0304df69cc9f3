/* assign.c - values of a file to the variables of a model: by order, as Keras does by default, or by name.
 *
 * Hides: which of the possible orders a nested model was saved in. The flags of the model at hand are tried first: for a whole-model file they are
 * the flags at save time. A weights-only file does not say them; shapes and the last part of the dataset names then tell an order that cannot be. */
#include "weights/config.h"

#include <stdlib.h>
#include <string.h>

typedef struct plan { tlvk__variable **variables; const float **values; size_t count, variable_capacity, value_capacity; } plan;

static void plan_free(plan *p) {
    free(p->variables);
    free(p->values);
}

static tlvk_status plan_add(plan *p, tlvk__variable *v, const float *values) {
    tlvk__variable **variables = tlvk__grow(p->variables, &p->variable_capacity, p->count + 1, sizeof(tlvk__variable *));
    if (variables)
        p->variables = variables;
    const float **list = tlvk__grow(p->values, &p->value_capacity, p->count + 1, sizeof(float *));
    if (list)
        p->values = list;
    if (!variables || !list)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for %zu weights", p->count + 1);
    variables[p->count] = v;
    list[p->count++] = values;
    return TLVK_OK;
}

static tlvk_status carry_out(const plan *p) {
    tlvk_status status = TLVK_OK;
    for (size_t i = 0; !status && i < p->count; i++)
        status = tlvk__variable_set(p->variables[i], p->values[i]);
    return status;
}

/* --- one layer --- */

/* A dataset's name is "conv2d_1/kernel:0" or the like. Does its last part name a known kind of weight, and another than `wanted`? */
static bool contradicts(const char *path, const char *wanted) {
    static const char *const known[] = {"kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "depthwise_kernel", "pointwise_kernel"};
    const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
    size_t length = strcspn(last, ":");
    bool is_known = false, asked = false;
    for (size_t i = 0; i < TLVK__COUNT(known); i++) {
        is_known = is_known || (strlen(known[i]) == length && strncmp(last, known[i], length) == 0);
        asked = asked || strcmp(known[i], wanted) == 0;
    }
    return is_known && asked && (strlen(wanted) != length || strncmp(last, wanted, length) != 0);
}

/* How well an order fits: 0 not at all, 1 by shape, 2 by shape with no name against it. */
static int fitness(const tlvk__h5_group *group, tlvk__variable *const *variables) {
    int fits = 2;
    for (int i = 0; i < group->weight_count; i++) {
        if (!tlvk__shape_equal(&group->weights[i].shape, &variables[i]->spec.shape))
            return 0;
        if (contradicts(group->weights[i].path, variables[i]->name))
            fits = 1;
    }
    return fits;
}

static tlvk_status misfit(const tlvk_layer *layer, const tlvk__h5_group *group, tlvk__variable *const *variables, int index, const char *file) {
    char here[128], there[128];
    for (int i = 0; i < group->weight_count; i++)
        if (!tlvk__shape_equal(&group->weights[i].shape, &variables[i]->spec.shape))
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: layer %d ('%s' in the model, '%s' in the file): weight '%s' has the shape %s in the file, "
                              "the model's %s has %s", file, index, layer->name, group->name, group->weights[i].path,
                              tlvk__shape_text(&group->weights[i].shape, there, sizeof there), variables[i]->name,
                              tlvk__shape_text(&variables[i]->spec.shape, here, sizeof here));
    return tlvk__fail(TLVK_ERROR_INTERNAL, "%s: layer '%s' does not fit", file, layer->name);
}

static tlvk_status plan_layer(plan *p, const tlvk_layer *layer, const tlvk__h5_group *group, int index, int keras_version, const char *file) {
    tlvk__variable **best = NULL;
    int best_fitness = -1;
    tlvk_status status = TLVK_OK;
    for (int order = 0; !status && best_fitness < 2 && order < TLVK__ORDER_COUNT; order++) {
        tlvk__variable **variables;
        int count;
        status = tlvk__stored_order(layer, (tlvk__weight_order)order, keras_version, &variables, &count);
        if (!status && count != group->weight_count)
            status = tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: layer %d ('%s' in the model, '%s' in the file) has %d weights in the file, %d in the model", file,
                                index, layer->name, group->name, group->weight_count, count);
        int fits = status ? -1 : fitness(group, variables);
        if (fits > best_fitness) {
            free(best);
            best = variables;
            best_fitness = fits;
        } else {
            free(variables);
        }
    }
    if (!status && best_fitness == 0)
        status = misfit(layer, group, best, index, file);
    for (int i = 0; !status && i < group->weight_count; i++)
        status = plan_add(p, best[i], group->weights[i].values);
    free(best);
    return status;
}

/* --- whole models --- */

/* Both sides without what has no weights, as Keras pairs them. */
typedef struct pairs { const tlvk_layer **layers; const tlvk__h5_group **groups; int layer_count, group_count; } pairs;

static tlvk_status find_pairs(const tlvk_model *model, const tlvk__h5_content *content, pairs *p) {
    p->layers = tlvk__calloc((size_t)model->layer_count + 1, sizeof *p->layers);
    p->groups = tlvk__calloc((size_t)content->layer_count + 1, sizeof *p->groups);
    if (!p->layers || !p->groups)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the layers of '%s'", model->name);
    for (int i = 0; i < content->layer_count; i++)
        if (content->layers[i].weight_count)
            p->groups[p->group_count++] = &content->layers[i];
    for (int i = 0; i < model->layer_count; i++) {
        tlvk__variable **variables;
        int count;
        tlvk_status status = tlvk__stored_order(model->layers[i], TLVK__ORDER_CREATED, 3, &variables, &count);
        if (status)
            return status;
        free(variables);
        if (count)
            p->layers[p->layer_count++] = model->layers[i];
    }
    return TLVK_OK;
}

/* Puts the groups into the order of the layers by name; leaves them as they are where not every name is found. */
static tlvk_status pair_by_name(pairs *both) {
    const tlvk__h5_group **sorted = tlvk__calloc((size_t)both->group_count + 1, sizeof *sorted);
    if (!sorted)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the names of layers");
    for (int i = 0; i < both->layer_count; i++)
        for (int k = 0; !sorted[i] && k < both->group_count; k++)
            if (strcmp(both->layers[i]->name, both->groups[k]->name) == 0)
                sorted[i] = both->groups[k];
    bool all = true;
    for (int i = 0; i < both->layer_count; i++)
        all = all && sorted[i];
    if (all) {
        free(both->groups);
        both->groups = sorted;
    } else {
        free(sorted);
    }
    return TLVK_OK;
}

static tlvk_status assign_pairs(tlvk_model *model, const tlvk__h5_content *content, const char *file, bool whole) {
    int version = tlvk__keras_major(content->keras_version);
    pairs both = {0};
    plan p = {0};
    tlvk_status status = find_pairs(model, content, &both);
    if (!status && both.layer_count != both.group_count)
        status = tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: it has %d layers with weights, the model '%s' has %d", file, both.group_count, model->name,
                            both.layer_count);
    if (!status && whole)
        status = pair_by_name(&both);
    for (int i = 0; !status && i < both.layer_count; i++)
        status = plan_layer(&p, both.layers[i], both.groups[i], i, version, file);
    if (!status)
        status = carry_out(&p);
    plan_free(&p);
    free(both.layers);
    free(both.groups);
    return status;
}

tlvk_status tlvk__model_assign_by_order(tlvk_model *model, const tlvk__h5_content *content, const char *file) {
    return assign_pairs(model, content, file, false);
}

tlvk_status tlvk__model_assign_whole(tlvk_model *model, const tlvk__h5_content *content, const char *file) {
    return assign_pairs(model, content, file, true);
}

tlvk_status tlvk__model_assign_by_name(tlvk_model *model, const tlvk__h5_content *content, const char *file) {
    int version = tlvk__keras_major(content->keras_version), matched = 0;
    plan p = {0};
    tlvk_status status = TLVK_OK;
    for (int i = 0; !status && i < content->layer_count; i++)
        for (int k = 0; !status && k < model->layer_count && content->layers[i].weight_count; k++)
            if (strcmp(model->layers[k]->name, content->layers[i].name) == 0) {
                status = plan_layer(&p, model->layers[k], &content->layers[i], k, version, file);
                matched++;
            }
    if (!status && matched == 0)
        status = tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: none of its %d layers has the name of a layer with weights of the model '%s'; load by order takes "
                            "them by position instead", file, content->layer_count, model->name);
    if (!status)
        status = carry_out(&p);
    plan_free(&p);
    return status;
}

int tlvk__keras_major(const char *version) {
    long major = strtol(version, NULL, 10);
    return major >= 1 && major < 1000 ? (int)major : 1;
}
