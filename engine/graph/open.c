/* open.c - layers inside nested models, seen from outside. A nested model has calls of its own, connected to its own inputs; to build on one of
 * its layers from outside, the calls that lead there are repeated on what the nested model is called on, with the same layers and weights.
 * Hides: that each call is repeated once, whatever is asked for afterwards, so that two tensors got this way share what they have in common. */
#include "graph/internal.h"

#include <stdlib.h>

typedef struct tlvk__opening {
    tlvk_tensor inputs[TLVK_MAX_IO];         /* what the nested model is called on, outside */
    tlvk_call_mode mode;                     /* given by the calls around; the nearest counts */
    int count;                               /* of the nested model's nodes */
    struct tlvk_node **nodes;                /* their repetition, NULL until needed */
    struct tlvk__opening **inner;            /* of model calls inside, NULL until needed */
} opening;

void tlvk__opening_free(struct tlvk__opening *o) {
    if (!o)
        return;
    for (int i = 0; i < o->count; i++)
        tlvk__opening_free(o->inner[i]);
    free(o->nodes);
    free(o->inner);
    free(o);
}

static opening *opening_create(const tlvk_model *model, tlvk_call_mode mode) {
    opening *o = tlvk__calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->mode = mode;
    o->nodes = tlvk__calloc((size_t)model->node_count, sizeof *o->nodes);
    o->inner = tlvk__calloc((size_t)model->node_count, sizeof *o->inner);
    if (!o->nodes || !o->inner) {
        tlvk__opening_free(o);
        return NULL;
    }
    o->count = model->node_count;
    return o;
}

static int position_of(const tlvk_model *model, const struct tlvk_node *node) {
    for (int i = 0; i < model->node_count; i++)
        if (model->nodes[i] == node)
            return i;
    return -1;
}

/* A tensor of the nested model, outside; its node has been repeated before. */
static tlvk_tensor outside(const opening *o, const tlvk_model *model, const tlvk__map *positions, tlvk_tensor inner) {
    for (int k = 0; k < model->input_count; k++)
        if (tlvk__same_tensor(model->inputs[k], inner))
            return o->inputs[k];
    return (tlvk_tensor){o->nodes[tlvk__map_get(positions, inner.node)], inner.index};
}

static tlvk_status repeat_node(opening *o, const tlvk_model *model, const tlvk__map *positions, int at) {
    const struct tlvk_node *node = model->nodes[at];
    tlvk_tensor *inputs = tlvk__calloc((size_t)node->input_count, sizeof *inputs);
    if (!inputs)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to open %s", model->name);
    for (int k = 0; k < node->input_count; k++)
        inputs[k] = outside(o, model, positions, node->inputs[k]);
    tlvk_tensor y = tlvk__call(node->layer, inputs, node->input_count, node->mode != TLVK_CALL_DEFAULT ? node->mode : o->mode);
    free(inputs);
    if (!tlvk__tensor_shape_of(y))
        return tlvk__fail(y.node ? y.node->error : TLVK_ERROR_MEMORY, "%s", y.node && y.node->error_text ? y.node->error_text : "no memory");
    o->nodes[at] = y.node;
    return TLVK_OK;
}

/* Repeats what the first `wanted_count` entries of `wanted` (the nested model's own tensors) need. */
static tlvk_status repeat(opening *o, const tlvk_model *model, const tlvk_tensor *wanted, int wanted_count, tlvk_tensor *found) {
    tlvk__map positions = {0};
    bool *need = tlvk__calloc((size_t)model->node_count, sizeof *need);
    tlvk_status st = need ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory to open %s", model->name);
    for (int i = 0; i < model->node_count && !st; i++)
        if (!tlvk__map_put(&positions, model->nodes[i], i))
            st = tlvk__fail(TLVK_ERROR_MEMORY, "no memory to open %s", model->name);
    for (int k = 0; k < wanted_count && !st; k++)
        need[tlvk__map_get(&positions, wanted[k].node)] = true;
    for (int i = model->node_count; i-- > 0 && !st;)
        for (int k = 0; need[i] && !o->nodes[i] && k < model->nodes[i]->input_count; k++)
            need[tlvk__map_get(&positions, model->nodes[i]->inputs[k].node)] = true;
    for (int i = 0; i < model->node_count && !st; i++)
        if (need[i] && !o->nodes[i] && !tlvk__is_input(model->nodes[i]))
            st = repeat_node(o, model, &positions, i);
    for (int k = 0; k < wanted_count && !st; k++)
        found[k] = outside(o, model, &positions, wanted[k]);
    tlvk__map_free(&positions);
    free(need);
    return st;
}

/* Goes one level down: the opening of the call `node`, which lies in `model` (opened by `parent`; NULL: the outermost model itself). */
static tlvk_status descend(opening *parent, const tlvk_model *model, struct tlvk_node *node, opening **child) {
    int at = parent ? position_of(model, node) : -1;
    tlvk_call_mode mode = node->mode != TLVK_CALL_DEFAULT || !parent ? node->mode : parent->mode;
    opening **place = parent ? &parent->inner[at] : &node->opening;
    if (!*place && !(*place = opening_create(node->layer->model, mode)))
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to open %s", node->layer->name);
    *child = *place;
    if (parent)
        return repeat(parent, model, node->inputs, node->input_count, (*child)->inputs);
    for (int k = 0; k < node->input_count; k++)
        (*child)->inputs[k] = node->inputs[k];
    return TLVK_OK;
}

tlvk_tensor tlvk__path_output(const tlvk_model *model, tlvk_layer *const *path, int length) {
    opening *o = NULL;
    for (int i = 0; i < length; i++) {
        struct tlvk_node *node = tlvk__model_node_of(model, path[i]);
        if (!node)
            return tlvk__error_tensor(model->ctx, TLVK_ERROR_ARGUMENT, "%s: %s is not called in it", model->name, path[i]->name);
        tlvk_tensor result = {node, 0};
        tlvk_status st = TLVK_OK;
        if (i == length - 1 && o)
            st = repeat(o, model, &result, 1, &result);
        else if (i < length - 1)
            st = descend(o, model, node, &o);
        if (st)
            return tlvk__error_tensor(model->ctx, st, "%s", tlvk__fail_text());
        if (i == length - 1)
            return result;
        model = path[i]->model;
    }
    return (tlvk_tensor){NULL, 0};
}
