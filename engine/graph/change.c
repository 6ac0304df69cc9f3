/* change.c - models and layers changed where they stand: names, activations, and a Sequential's last layer. Hides: which other models a change reaches,
 * and what of their training it makes stale. */
#include "graph/internal.h"

#include <stdlib.h>
#include <string.h>

/* --- names ------------------------------------------------------------------------------------------------------------------ */

static tlvk_status check_name(const tlvk_layer *layer, const char *name) {
    for (int i = 0; i < layer->owner_count; i++) {
        const tlvk_model *m = layer->owners[i];
        for (int k = m->hidden_input ? -1 : 0; k < m->layer_count; k++) {
            const tlvk_layer *other = k < 0 ? m->hidden_input : m->layers[k];
            if (other != layer && strcmp(other->name, name) == 0)
                return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s cannot be named \"%s\": %s has a layer (%s) of that name", layer->name, name, m->name,
                                  other->class_name);
        }
    }
    return TLVK_OK;
}

static tlvk_status rename_layer(tlvk_layer *layer, const char *name) {
    tlvk_status st = check_name(layer, name);
    char *copy = st ? NULL : tlvk__strdup(name);
    if (!st && !copy)
        st = tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for a new name", layer->name);
    if (st)
        return st;
    free(layer->name);
    layer->name = copy;
    tlvk__name_taken(layer->ctx, copy);
    return TLVK_OK;
}

/* Does this layer stand for the model under the model's own name? In Keras the two are one thing. */
static bool is_model_itself(const tlvk_layer *wrapper, const tlvk_model *model) { return strcmp(wrapper->name, model->name) == 0; }

static tlvk_status rename_model(tlvk_model *model, const char *name) {
    tlvk_status st = TLVK_OK;
    for (int i = 0; i < model->wrapper_count && !st; i++)
        if (is_model_itself(model->wrappers[i], model))
            st = check_name(model->wrappers[i], name);
    if (st)
        return st;
    for (int i = 0; i < model->wrapper_count && !st; i++)
        if (is_model_itself(model->wrappers[i], model))
            st = rename_layer(model->wrappers[i], name);
    char *copy = st ? NULL : tlvk__strdup(name);
    if (!st && !copy)
        st = tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for a new name", model->name);
    if (st)
        return st;
    free(model->name);
    model->name = copy;
    tlvk__name_taken(model->ctx, copy);
    return TLVK_OK;
}

tlvk_status tlvk_layer_set_name(tlvk_layer *layer, const char *name) {
    if (!layer || !name || !name[0])
        return tlvk__context_fail(layer ? layer->ctx : NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_layer_set_name: the %s is %s", layer ? "name" : "layer",
                                                                      layer && name ? "empty" : "NULL"));
    tlvk_status st = layer->model && is_model_itself(layer, layer->model) ? rename_model(layer->model, name) : rename_layer(layer, name);
    return tlvk__context_fail(layer->ctx, st ? tlvk__fail_context(st, "tlvk_layer_set_name") : TLVK_OK);
}

tlvk_status tlvk_model_set_name(tlvk_model *model, const char *name) {
    if (!model || !name || !name[0])
        return tlvk__context_fail(model ? model->ctx : NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_set_name: the %s is %s", model ? "name" : "model",
                                                                      model && name ? "empty" : "NULL"));
    tlvk_status st = rename_model(model, name);
    return tlvk__context_fail(model->ctx, st ? tlvk__fail_context(st, "tlvk_model_set_name") : TLVK_OK);
}

/* --- activations -------------------------------------------------------------------------------------------------------------- */

/* The attribute that holds a layer's activation; NULL: it has no such setting. */
static tlvk__activation *activation_of(const tlvk_layer *layer) {
    for (const tlvk__field *f = layer->op ? layer->op->fields : NULL; f && f->key; f++)
        if (f->type == TLVK__FIELD_ACTIVATION)
            return (tlvk__activation *)(void *)((unsigned char *)layer->attrs + f->offset);
    return NULL;
}

static tlvk_status set_activation(tlvk_layer *layer, tlvk_activation_kind kind) {
    tlvk__activation *activation = activation_of(layer);
    if (!activation)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "a %s has no activation that could be set; Conv2D, Dense, Activation and their like have",
                          layer->class_name);
    if ((int)kind < 0 || kind >= TLVK_ACTIVATION_COUNT)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "there is no activation %d", (int)kind);
    *activation = tlvk__activation_of(kind); /* no activation changes a shape: every call stays as it is */
    return TLVK_OK;
}

tlvk_status tlvk_layer_set_activation(tlvk_layer *layer, tlvk_activation_kind activation) {
    if (!layer)
        return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_layer_set_activation: the layer is NULL"));
    tlvk_status st = set_activation(layer, activation);
    return tlvk__context_fail(layer->ctx, st ? tlvk__fail_context(st, "tlvk_layer_set_activation: %s", layer->name) : TLVK_OK);
}

/* --- a Sequential's last layer -------------------------------------------------------------------------------------------------- */

tlvk_status tlvk__model_check_idle(const tlvk_model *m) {
    return m->fitting ? tlvk__fail(TLVK_ERROR_ARGUMENT, "%s is being trained or augments a training; this has to wait until fit has returned", m->name) : TLVK_OK;
}

/* A Sequential's nodes are one chain, so that the last of them is the last layer's. */
static tlvk_status pop(tlvk_model *model) {
    tlvk_status idle = tlvk__model_check_idle(model);
    if (idle)
        return idle;
    if (!model->sequential)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s is no Sequential; make a new model that ends at an earlier layer's output", model->name);
    if (model->layer_count < 2)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s has one layer left; a model needs that", model->name);
    if (model->uses > 0)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s is called as a layer, its output's shape is settled; pop it before it is called, or use "
                                               "tlvk_model_replace_layer", model->name);
    tlvk__model_forget_training(model);
    tlvk_usage usage = model->usage;
    usage.class_names = NULL; /* they named what the popped layer put out */
    usage.class_count = 0;
    tlvk_status st = tlvk_model_set_usage(model, &usage);
    if (st)
        return st;
    tlvk_layer *last = model->layers[--model->layer_count];
    model->outputs[0] = model->nodes[--model->node_count]->inputs[0];
    model->flat_calls -= last->model ? last->model->flat_calls : 1;
    model->nesting = 0;
    for (int i = 0; i < model->layer_count; i++)
        if (model->layers[i]->model)
            model->nesting = TLVK__MAX(model->nesting, model->layers[i]->model->nesting + 1);
    tlvk__layer_leave(last, model);
    return TLVK_OK;
}

tlvk_status tlvk_model_pop(tlvk_model *model) {
    if (!model)
        return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_pop: the model is NULL"));
    tlvk_status st = pop(model);
    return tlvk__context_fail(model->ctx, st ? tlvk__fail_context(st, "tlvk_model_pop") : TLVK_OK);
}
