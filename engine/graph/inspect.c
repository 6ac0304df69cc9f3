/* inspect.c - what a program may ask of a model and its layers, and their weights. Hides: how a nested model answers as one layer. */
#include "graph/internal.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- models and tensors ------------------------------------------------------------------------------------------------- */

const char *tlvk_model_name(const tlvk_model *model) { return model ? model->name : NULL; }
int tlvk_model_input_count(const tlvk_model *model) { return model ? model->input_count : 0; }
int tlvk_model_output_count(const tlvk_model *model) { return model ? model->output_count : 0; }

static tlvk_tensor end_of(const tlvk_model *model, const tlvk_tensor *ends, int count, int index, const char *what) {
    if (!model) {
        tlvk__context_fail(NULL, tlvk__fail_after(TLVK_ERROR_ARGUMENT, "tlvk_model_%s: the model is NULL", what));
        return (tlvk_tensor){NULL, 0};
    }
    if (index < 0 || index >= count)
        return tlvk__error_tensor(model->ctx, TLVK_ERROR_ARGUMENT, "%s: %s %d was asked for, it has %d", model->name, what, index, count);
    return ends[index];
}

tlvk_tensor tlvk_model_input(const tlvk_model *model, int index) {
    return end_of(model, model ? model->inputs : NULL, tlvk_model_input_count(model), index, "input");
}

tlvk_tensor tlvk_model_output(const tlvk_model *model, int index) {
    return end_of(model, model ? model->outputs : NULL, tlvk_model_output_count(model), index, "output");
}

tlvk_tensor tlvk_layer_output(const tlvk_model *model, const char *name) {
    if (!model || !name) {
        tlvk_context *ctx = model ? model->ctx : NULL;
        tlvk__context_fail(ctx, tlvk__fail_after(TLVK_ERROR_ARGUMENT, "tlvk_layer_output: the %s is NULL", model ? "name" : "model"));
        return (tlvk_tensor){NULL, 0};
    }
    tlvk_layer *path[TLVK__MAX_NESTING + 1];
    int length;
    tlvk_status st = tlvk__find_layer(model, name, path, &length);
    if (st)
        return tlvk__error_tensor(model->ctx, st, "tlvk_layer_output: %s", tlvk__fail_text());
    return tlvk__path_output(model, path, length);
}

int tlvk_tensor_shape(tlvk_tensor x, int64_t shape[TLVK_MAX_DIMS]) {
    const tlvk__shape *s = tlvk__tensor_shape_of(x);
    for (int i = 0; shape && i < TLVK_MAX_DIMS; i++)
        shape[i] = s && i + 1 < s->rank ? s->dim[i + 1] : 0;
    return s ? s->rank - 1 : 0;
}

/* --- variables in Keras's order ------------------------------------------------------------------------------------------- */

typedef struct gathering { tlvk__map seen; tlvk__variable **variables; bool *trainable; int capacity, count; bool root_trainable; } gathering;

static bool gather_layer(gathering *g, const tlvk_layer *layer) {
    for (int i = 0; i < layer->variable_count; i++) {
        tlvk__variable *v = layer->variables[i];
        if (tlvk__map_get(&g->seen, v) >= 0)
            continue;
        if (!tlvk__map_put(&g->seen, v, 1))
            return false;
        if (g->count < g->capacity) {
            if (g->variables)
                g->variables[g->count] = v;
            if (g->trainable)
                g->trainable[g->count] = g->root_trainable && layer->trainable && v->spec.trainable;
        }
        g->count++;
    }
    return true;
}

static bool gather_visit(void *user, tlvk_layer *const *path, int length) {
    gathering *g = user;
    if (!gather_layer(g, path[length - 1]))
        g->count = INT_MIN;
    return g->count >= 0;
}

int tlvk__model_variables(const tlvk_model *model, tlvk__variable **variables, bool *trainable, int capacity) {
    gathering g = {.variables = variables, .trainable = trainable, .capacity = capacity, .root_trainable = model->trainable};
    bool ok = tlvk__walk_layers(model, gather_visit, &g);
    tlvk__map_free(&g.seen);
    return ok && g.count >= 0 ? g.count : -1;
}

/* The variables of a model, or of one layer that is none. The lists are the caller's to free; NULL: no memory. */
static tlvk__variable **variables_of(const tlvk_model *model, const tlvk_layer *layer, bool **trainable, int *count) {
    *count = model ? tlvk__model_variables(model, NULL, NULL, 0) : layer->variable_count;
    tlvk__variable **list = *count >= 0 ? tlvk__calloc((size_t)*count, sizeof(tlvk__variable *)) : NULL;
    bool *flags = *count >= 0 ? tlvk__calloc((size_t)*count, sizeof *flags) : NULL;
    bool ok = list && flags && (!model || tlvk__model_variables(model, list, flags, *count) >= 0);
    for (int i = 0; ok && !model && i < *count; i++) {
        list[i] = layer->variables[i];
        flags[i] = layer->trainable && list[i]->spec.trainable;
    }
    if (!ok) {
        free(list);
        list = NULL;
    }
    if (!ok || !trainable) {
        free(flags);
        flags = NULL;
    }
    if (trainable)
        *trainable = flags;
    return list;
}

tlvk_status tlvk__count_params(const tlvk_model *model, const tlvk_layer *layer, int64_t *total, int64_t *trained) {
    int count;
    bool *flags;
    tlvk__variable **list = variables_of(model, layer, &flags, &count);
    if (!list)
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to count its parameters", model ? model->name : layer->name);
    *total = *trained = 0;
    for (int i = 0; i < count; i++) {
        *total += (int64_t)list[i]->elements;
        *trained += flags[i] ? (int64_t)list[i]->elements : 0;
    }
    free(list);
    free(flags);
    return TLVK_OK;
}

tlvk_status tlvk_model_count_params(const tlvk_model *model, int64_t *total, int64_t *trainable) {
    if (!model)
        return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_count_params: the model is NULL"));
    int64_t all, trained;
    tlvk_status st = tlvk__count_params(model, NULL, &all, &trained);
    if (!st && total)
        *total = all;
    if (!st && trainable)
        *trainable = trained;
    return tlvk__context_fail(model->ctx, st);
}

/* --- layers ----------------------------------------------------------------------------------------------------------------- */

int tlvk_model_layer_count(const tlvk_model *model) { return model ? model->layer_count : 0; }

tlvk_layer *tlvk_model_layer(const tlvk_model *model, int index) {
    if (!model || index >= model->layer_count || index < -model->layer_count)
        return NULL;
    return model->layers[index < 0 ? index + model->layer_count : index];
}

tlvk_layer *tlvk_model_find_layer(const tlvk_model *model, const char *name) {
    tlvk_layer *path[TLVK__MAX_NESTING + 1];
    int length;
    if (!model || !name) {
        tlvk__context_fail(model ? model->ctx : NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_find_layer: the %s is NULL", model ? "name" : "model"));
        return NULL;
    }
    tlvk_status st = tlvk__find_layer(model, name, path, &length);
    if (st) {
        tlvk__context_fail(model->ctx, st);
        return NULL;
    }
    return path[length - 1];
}

tlvk_model *tlvk_layer_model(tlvk_layer *layer) { return layer ? layer->model : NULL; }
const char *tlvk_layer_name(const tlvk_layer *layer) { return layer ? layer->name : NULL; }
const char *tlvk_layer_class(const tlvk_layer *layer) { return layer ? layer->class_name : NULL; }
bool tlvk_layer_trainable(const tlvk_layer *layer) { return layer && (layer->model ? layer->model->trainable : layer->trainable); }

static bool set_visit(void *user, tlvk_layer *const *path, int length) {
    tlvk_layer *layer = path[length - 1];
    layer->trainable = *(const bool *)user;
    if (layer->model)
        layer->model->trainable = layer->trainable;
    return true;
}

tlvk_status tlvk__layer_set_trainable(tlvk_layer *layer, bool trainable) {
    set_visit(&trainable, &layer, 1);
    if (layer->model && !tlvk__walk_layers(layer->model, set_visit, &trainable))
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to reach its layers", layer->name);
    return TLVK_OK;
}

void tlvk_layer_set_trainable(tlvk_layer *layer, bool trainable) {
    if (layer)
        tlvk__context_fail(layer->ctx, tlvk__layer_set_trainable(layer, trainable));
}

int tlvk__output_text(const struct tlvk_node *node, char *buffer, size_t size) {
    char shape[160];
    size_t used = 0;
    buffer[0] = '\0';
    for (int i = 0; i < node->output_count && used < size; i++) {
        bool many = node->output_count > 1;
        int n = snprintf(buffer + used, size - used, "%s%s%s", i ? ", " : many ? "[" : "", tlvk__shape_text(&node->outputs[i], shape, sizeof shape),
                         many && i == node->output_count - 1 ? "]" : "");
        used += n > 0 ? (size_t)n : 0;
    }
    return (int)used;
}

static struct tlvk_node *last_call(const tlvk_model *model, const tlvk_layer *layer) {
    for (int i = layer->call_count; i-- > 0;)
        for (int k = 0; k < model->node_count; k++)
            if (model->nodes[k] == layer->calls[i])
                return layer->calls[i];
    return NULL;
}

typedef struct listing { int skip, depth; tlvk_layer *layer; const tlvk_model *within; } listing;

static bool listing_visit(void *user, tlvk_layer *const *path, int length) {
    listing *l = user;
    if (length == 1 || l->skip-- > 0)
        return true;
    l->layer = path[length - 1];
    l->within = path[length - 2]->model;
    l->depth = length - 1;
    return false;
}

tlvk_status tlvk_model_layer_info(const tlvk_model *model, int index, tlvk_layer_info *info) {
    if (!model || !info)
        return tlvk__context_fail(model ? model->ctx : NULL,
                                  tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_layer_info: the %s is NULL", model ? "info" : "model"));
    *info = (tlvk_layer_info){0};
    listing l = {.skip = index - model->layer_count, .within = model};
    if (index >= 0 && index < model->layer_count)
        l.layer = model->layers[index];
    else if (index >= 0 && !tlvk__walk_layers(model, listing_visit, &l))
        return tlvk__context_fail(model->ctx, tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to list its layers", model->name));
    if (!l.layer)
        return tlvk__context_fail(model->ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: there is no layer %d", model->name, index));
    info->name = l.layer->name;
    info->class_name = l.layer->class_name;
    info->trainable = tlvk_layer_trainable(l.layer);
    info->is_model = l.layer->model != NULL;
    info->depth = l.depth;
    const struct tlvk_node *node = last_call(l.within, l.layer);
    if (node)
        tlvk__output_text(node, info->output_shape, sizeof info->output_shape);
    for (int i = 0; node && i < node->input_count && i < TLVK_MAX_IO - 1; i++)
        info->inbound[i] = node->inputs[i].node->layer->name;
    return tlvk__context_fail(model->ctx, tlvk__count_params(l.layer->model, l.layer, &info->params, &info->trainable_params));
}

/* --- weights ---------------------------------------------------------------------------------------------------------------- */

static tlvk_context *context_of(const tlvk_layer *layer) { return layer ? layer->ctx : NULL; }

static tlvk_status weight_of(const tlvk_layer *layer, int i, tlvk__variable **v) {
    if (!layer)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "the layer is NULL");
    int count;
    tlvk__variable **list = variables_of(layer->model, layer, NULL, &count);
    if (!list)
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to list its weights", layer->name);
    *v = i >= 0 && i < count ? list[i] : NULL;
    free(list);
    return *v ? TLVK_OK : tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: weight %d was asked for, it has %d", layer->name, i, count);
}

static tlvk_status check_elements(const tlvk_layer *layer, const tlvk__variable *v, const void *values, size_t elements) {
    char text[128];
    if (!values)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: the values of its %s are NULL", layer->name, v->name);
    if (elements != v->elements)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: its %s of shape %s has %zu values, not %zu", layer->name, v->name,
                          tlvk__shape_text(&v->spec.shape, text, sizeof text), v->elements, elements);
    return TLVK_OK;
}

int tlvk_layer_weight_count(const tlvk_layer *layer) {
    if (!layer)
        return 0;
    int count = layer->model ? tlvk__model_variables(layer->model, NULL, NULL, 0) : layer->variable_count;
    return TLVK__MAX(count, 0);
}

tlvk_status tlvk_layer_weight_info(const tlvk_layer *layer, int i, const char **name, int64_t shape[TLVK_MAX_DIMS], int *rank, size_t *elements) {
    tlvk__variable *v;
    tlvk_status st = weight_of(layer, i, &v);
    if (st)
        return tlvk__context_fail(context_of(layer), st);
    if (name)
        *name = v->name;
    for (int k = 0; shape && k < TLVK_MAX_DIMS; k++)
        shape[k] = k < v->spec.shape.rank ? v->spec.shape.dim[k] : 0;
    if (rank)
        *rank = v->spec.shape.rank;
    if (elements)
        *elements = v->elements;
    return TLVK_OK;
}

tlvk_status tlvk_layer_get_weight(const tlvk_layer *layer, int i, float *values, size_t elements) {
    tlvk__variable *v;
    const float *from;
    tlvk_status st = weight_of(layer, i, &v);
    if (!st)
        st = check_elements(layer, v, values, elements);
    if (!st)
        st = tlvk__variable_values(v, &from);
    if (!st)
        memcpy(values, from, elements * sizeof *values);
    return tlvk__context_fail(context_of(layer), st);
}

tlvk_status tlvk_layer_set_weight(tlvk_layer *layer, int i, const float *values, size_t elements) {
    tlvk__variable *v;
    tlvk_status st = weight_of(layer, i, &v);
    if (!st)
        st = check_elements(layer, v, values, elements);
    if (!st)
        st = tlvk__variable_set(v, values);
    return tlvk__context_fail(context_of(layer), st);
}

/* --- usage ------------------------------------------------------------------------------------------------------------------ */

void tlvk_model_usage(const tlvk_model *model, tlvk_usage *usage) {
    if (usage)
        *usage = model ? model->usage : (tlvk_usage){0};
}

tlvk_status tlvk_model_set_usage(tlvk_model *model, const tlvk_usage *usage) {
    if (!model || !usage)
        return tlvk__context_fail(model ? model->ctx : NULL,
                                  tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_set_usage: the %s is NULL", model ? "usage" : "model"));
    int count = usage->class_names ? usage->class_count : 0;
    if (count < 0)
        return tlvk__context_fail(model->ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_set_usage: %d class names", count));
    char **names = count ? tlvk__calloc((size_t)count, sizeof *names) : NULL;
    bool ok = names || !count;
    for (int i = 0; ok && i < count; i++)
        ok = (names[i] = tlvk__strdup(usage->class_names[i] ? usage->class_names[i] : "")) != NULL;
    if (!ok) {
        for (int i = 0; names && i < count; i++)
            free(names[i]);
        free(names);
        return tlvk__context_fail(model->ctx, tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for %d class names", model->name, count));
    }
    /* The old names go last: `usage` may be what tlvk_model_usage gave, which points to them. */
    char **old = model->class_names;
    int old_count = old ? model->usage.class_count : 0;
    model->usage = *usage;
    model->class_names = names;
    model->usage.class_names = (const char *const *)names;
    for (int i = 0; i < old_count; i++)
        free(old[i]);
    free(old);
    return TLVK_OK;
}
