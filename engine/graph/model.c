/* model.c - models: made from tensors, counted, destroyed. Hides: who keeps whom. A handle keeps the model and its context; a layer that wraps
 * the model keeps the model alone, for such a layer may itself be kept by the context. */
#include "graph/internal.h"

#include <stdlib.h>
#include <string.h>

tlvk_model *tlvk__model_retain(tlvk_model *m) {
    if (m->references++ == 0)
        tlvk__context_retain(m->ctx);
    return m;
}

static void destroy_training(tlvk_model *m) {
    if (m->training && m->training_destroy)
        m->training_destroy(m->training);
    m->training = NULL;
}

void tlvk__model_forget_training(tlvk_model *m) {
    destroy_training(m);
    m->compiled.set = m->compiled.measures = false;
    tlvk__optimizer_state_destroy(m->optimizer_state);
    m->optimizer_state = NULL;
    free(m->optimizer_config);
    m->optimizer_config = NULL;
}

void tlvk__model_free(tlvk_model *m) {
    destroy_training(m);
    for (int i = m->layer_count; i-- > 0;)
        tlvk__layer_leave(m->layers[i], m);
    for (int i = 0; m->class_names && i < m->usage.class_count; i++)
        free(m->class_names[i]);
    tlvk__layer_leave(m->hidden_input, m);
    tlvk__optimizer_state_destroy(m->optimizer_state);
    free(m->class_names);
    free(m->optimizer_config);
    free(m->layers);
    free(m->nodes);
    free(m->wrappers);
    free(m->name);
    free(m);
}

void tlvk__model_release(tlvk_model *m) {
    if (!m || m->references == 0 || --m->references > 0)
        return;
    tlvk_context *ctx = m->ctx;
    destroy_training(m);
    if (m->uses == 0)
        tlvk__model_free(m);
    tlvk__context_release(ctx); /* last: it may free the model's last wrapping layer */
}

void tlvk_model_destroy(tlvk_model *model) { tlvk__model_release(model); }

/* --- making ------------------------------------------------------------------------------------------------------------- */

static tlvk_status check_ends(const tlvk__model_build *b, const tlvk_context *ctx) {
    if (b->input_count < 1 || b->output_count < 1)
        return tlvk__fail_after(TLVK_ERROR_ARGUMENT, "a model needs at least one input and one output; an empty tensor ends each list, and comes of a "
                                                     "model or tensor that is NULL");
    if (b->input_count > TLVK_MAX_IO || b->output_count > TLVK_MAX_IO)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "a model of %d inputs and %d outputs; at most %d of each", b->input_count, b->output_count, TLVK_MAX_IO);
    for (int i = 0; i < b->input_count + b->output_count; i++) {
        bool output = i >= b->input_count;
        int index = output ? i - b->input_count : i;
        tlvk_tensor t = output ? b->outputs[index] : b->inputs[index];
        if (!t.node)
            return tlvk__fail_after(TLVK_ERROR_ARGUMENT, "the model's %s %d is empty", output ? "output" : "input", index);
        if (t.node->error)
            return tlvk__fail(t.node->error, "%s", t.node->error_text ? t.node->error_text : "a call failed for want of memory");
        if (t.node->ctx != ctx)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "the model's %s %d was made in another context", output ? "output" : "input", index);
        if (!tlvk__tensor_shape_of(t))
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "the model's %s %d is output %d of %s, which has %d", output ? "output" : "input", index,
                              t.index, t.node->layer->name, t.node->output_count);
        for (int k = 0; !output && k < index; k++)
            if (tlvk__same_tensor(b->inputs[k], t))
                return tlvk__fail(TLVK_ERROR_ARGUMENT, "the model's inputs %d and %d are the same tensor", k, index);
    }
    return TLVK_OK;
}

static tlvk_tensor input_like(tlvk_context *ctx, const tlvk__shape *shape) {
    tlvk__input_attrs attrs = {.batch_shape = *shape};
    tlvk_layer *layer;
    tlvk_status st = tlvk__layer_create(ctx, &tlvk__op_input, &attrs, NULL, true, &layer);
    if (st)
        return tlvk__error_tensor(ctx, st, "%s", tlvk__fail_text());
    tlvk_tensor x = tlvk__call(layer, NULL, 0, TLVK_CALL_DEFAULT);
    tlvk__layer_release(layer);
    return x;
}

/* A model may begin at tensors in the middle of a graph. As keras/src/models/functional.py's clone_graph_nodes does, such inputs are replaced
 * by new InputLayers and the calls behind them repeated, with the same layers. */
static tlvk_status begin_anew(tlvk_context *ctx, tlvk_tensor *inputs, int input_count, tlvk_tensor *outputs, int output_count) {
    tlvk__graph_map map;
    tlvk_status st = tlvk__map_graph(inputs, input_count, outputs, output_count, &map);
    if (st)
        return st;
    tlvk__map positions = {0};
    tlvk_tensor fresh[TLVK_MAX_IO];
    tlvk_tensor *clones = tlvk__calloc((size_t)map.node_count, sizeof *clones);
    for (int i = 0; i < input_count; i++)
        fresh[i] = tlvk__is_input(inputs[i].node) ? inputs[i] : input_like(ctx, tlvk__tensor_shape_of(inputs[i]));
    for (int i = 0; i < input_count && !st; i++)
        if (!tlvk__tensor_shape_of(fresh[i]))
            st = tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a new input");
    if (!clones)
        st = tlvk__fail(TLVK_ERROR_MEMORY, "no memory to repeat the model's calls");
    for (int i = 0; i <= map.node_count && !st; i++) {
        bool last = i == map.node_count;
        struct tlvk_node *node = last ? NULL : map.nodes[i];
        int count = last ? output_count : node->input_count;
        tlvk_tensor *moved = tlvk__calloc((size_t)count, sizeof *moved);
        for (int k = 0; moved && k < count; k++) {
            tlvk_tensor old = last ? outputs[k] : node->inputs[k];
            int at = tlvk__map_get(&positions, old.node);
            moved[k] = at >= 0 ? (tlvk_tensor){clones[at].node, old.index} : old;
            for (int n = 0; n < input_count; n++)
                if (tlvk__same_tensor(inputs[n], old))
                    moved[k] = fresh[n];
        }
        if (!moved) {
            st = tlvk__fail(TLVK_ERROR_MEMORY, "no memory to repeat the model's calls");
        } else if (last) {
            memcpy(outputs, moved, (size_t)count * sizeof *moved);
        } else {
            clones[i] = tlvk__is_input(node) ? (tlvk_tensor){node, 0} : tlvk__call(node->layer, moved, count, node->mode);
            if (!clones[i].node || clones[i].node->error || !tlvk__map_put(&positions, node, i))
                st = tlvk__fail(clones[i].node ? clones[i].node->error : TLVK_ERROR_MEMORY, "%s", tlvk__fail_text());
        }
        free(moved);
    }
    if (!st)
        memcpy(inputs, fresh, (size_t)input_count * sizeof *fresh);
    free(clones);
    tlvk__map_free(&positions);
    tlvk__graph_map_free(&map);
    return st;
}

static int by_name(const void *a, const void *b) { return strcmp((*(tlvk_layer *const *)a)->name, (*(tlvk_layer *const *)b)->name); }

static tlvk_status check_names(const tlvk__graph_map *map) {
    tlvk_layer **sorted = tlvk__calloc((size_t)map->layer_count, sizeof(tlvk_layer *));
    if (!sorted)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the model");
    memcpy(sorted, map->layers, (size_t)map->layer_count * sizeof(tlvk_layer *));
    qsort(sorted, (size_t)map->layer_count, sizeof(tlvk_layer *), by_name);
    tlvk_status st = TLVK_OK;
    for (int i = 1; i < map->layer_count && !st; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            st = tlvk__fail(TLVK_ERROR_ARGUMENT, "two layers (%s and %s) are named \"%s\"; all names in a model must differ",
                            sorted[i - 1]->class_name, sorted[i]->class_name, sorted[i]->name);
    free(sorted);
    return st;
}

/* Is it what a Sequential can say: each layer on the one before it, once, without a mode of its own? */
static tlvk_status check_chain(const tlvk_model *m, const tlvk__graph_map *map) {
    if (m->input_count != 1 || m->output_count != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "a Sequential has one input and one output, not %d and %d", m->input_count, m->output_count);
    if (map->node_count < 2)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "a Sequential needs a layer behind its input");
    for (int i = 1; i < map->node_count; i++) {
        const struct tlvk_node *node = map->nodes[i];
        const char *name = node->layer->name, *class_name = node->layer->class_name;
        if (node->input_count != 1 || node->inputs[0].node != map->nodes[i - 1])
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "a Sequential is one chain of layers; %s (%s) %s", name, class_name,
                              node->input_count == 1 ? "stands on a branch" : "reads several tensors");
        if (node->output_count != 1)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "a Sequential is one chain of layers; %s (%s) has %d outputs", name, class_name, node->output_count);
        if (node->mode != TLVK_CALL_DEFAULT)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "a Sequential cannot say that %s (%s) is called with training=%s; leave the mode at its default, or "
                                                   "freeze it", name, class_name, node->mode == TLVK_CALL_TRAINING ? "True" : "False");
    }
    return map->layer_count == map->node_count ? TLVK_OK : tlvk__fail(TLVK_ERROR_ARGUMENT, "a Sequential calls each of its layers once");
}

/* How far the model opens: levels inside it and calls in all. */
static tlvk_status measure(const tlvk__graph_map *map, int *nesting, int64_t *flat_calls) {
    *nesting = 0;
    *flat_calls = 0;
    for (int i = 0; i < map->node_count; i++) {
        const tlvk_model *inner = map->nodes[i]->layer->model;
        *flat_calls += inner ? inner->flat_calls : 1;
        if (inner)
            *nesting = TLVK__MAX(*nesting, inner->nesting + 1);
        if (*nesting > TLVK__MAX_NESTING || *flat_calls > TLVK__MAX_FLAT_CALLS)
            return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "models nested more than %d deep, or with more than %d calls", TLVK__MAX_NESTING,
                              TLVK__MAX_FLAT_CALLS);
    }
    return TLVK_OK;
}

/* Takes the layers and nodes out of `map`. */
static tlvk_status fill(tlvk_model *m, tlvk__graph_map *map) {
    tlvk_status st = check_names(map);
    if (!st && m->sequential)
        st = check_chain(m, map);
    if (!st)
        st = measure(map, &m->nesting, &m->flat_calls);
    if (st)
        return st;
    m->nodes = map->nodes;
    m->node_count = map->node_count;
    map->nodes = NULL;
    m->layers = map->layers;
    map->layers = NULL;
    for (int i = 0; i < map->layer_count && !st; i++) {
        st = tlvk__layer_enter(m->layers[i], m);
        m->layer_count += !st;
    }
    return st;
}

tlvk_status tlvk__model_build_from(tlvk_context *ctx, const tlvk__model_build *b, tlvk_model **out) {
    *out = NULL;
    tlvk_status st = check_ends(b, ctx);
    if (st)
        return st;
    tlvk_model *m = tlvk__calloc(1, sizeof *m);
    if (!m)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the model");
    m->id = tlvk__context_next_id(ctx);
    m->sequential = b->sequential;
    m->trainable = true;
    m->keras_version = 3;
    m->input_count = b->input_count;
    m->output_count = b->output_count;
    memcpy(m->inputs, b->inputs, (size_t)b->input_count * sizeof *b->inputs);
    memcpy(m->outputs, b->outputs, (size_t)b->output_count * sizeof *b->outputs);
    bool middle = false;
    for (int i = 0; i < m->input_count; i++)
        middle = middle || !tlvk__is_input(m->inputs[i].node);
    if (middle)
        st = begin_anew(ctx, m->inputs, m->input_count, m->outputs, m->output_count);
    tlvk__graph_map map = {0};
    if (!st)
        st = tlvk__map_graph(m->inputs, m->input_count, m->outputs, m->output_count, &map);
    if (!st) {
        if (b->name && b->name[0])
            tlvk__name_taken(ctx, b->name);
        m->name = b->name && b->name[0] ? tlvk__strdup(b->name) : tlvk__auto_name(ctx, b->sequential ? "sequential" : "functional");
        st = m->name ? fill(m, &map) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the model");
    }
    tlvk__graph_map_free(&map);
    if (st) {
        tlvk__model_free(m);
        return st;
    }
    if (m->sequential && m->layers[0]->op == &tlvk__op_input) { /* Keras hides the InputLayer of a Sequential; the model keeps it */
        tlvk_layer *input = m->layers[0];
        memmove(m->layers, m->layers + 1, (size_t)--m->layer_count * sizeof(tlvk_layer *));
        m->layers[m->layer_count] = NULL;
        m->hidden_input = input;
    }
    m->ctx = ctx;
    *out = tlvk__model_retain(m);
    return TLVK_OK;
}

tlvk_status tlvk_model_create(tlvk_context *ctx, const tlvk_model_desc *desc, tlvk_model **out) {
    if (out)
        *out = NULL;
    if (!ctx || !desc || !out)
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_create: %s is NULL", !ctx ? "the context" : !desc ? "desc" : "out"));
    tlvk__model_build b = {.name = desc->name, .sequential = desc->sequential, .inputs = desc->inputs, .outputs = desc->outputs};
    while (b.input_count < TLVK_MAX_IO && desc->inputs[b.input_count].node)
        b.input_count++;
    while (b.output_count < TLVK_MAX_IO && desc->outputs[b.output_count].node)
        b.output_count++;
    return tlvk__context_fail(ctx, tlvk__model_build_from(ctx, &b, out));
}

/* --- asking ------------------------------------------------------------------------------------------------------------- */

struct tlvk_node *tlvk__model_node_of(const tlvk_model *model, const tlvk_layer *layer) {
    struct tlvk_node *first = NULL;
    for (int i = 0; i < model->node_count; i++)
        if (model->nodes[i]->layer == layer && (!first || model->nodes[i]->call_index < first->call_index))
            first = model->nodes[i];
    return first;
}

static tlvk_status check_input(const tlvk_model *model, int index, const tlvk__shape *shape) {
    const tlvk__shape *wanted = tlvk__tensor_shape_of(model->inputs[index]);
    bool fits = wanted->rank == shape->rank;
    for (int k = 0; fits && k < shape->rank; k++)
        fits = wanted->dim[k] < 0 || shape->dim[k] < 0 || wanted->dim[k] == shape->dim[k];
    char want[128], have[128];
    return fits ? TLVK_OK
                : tlvk__fail(TLVK_ERROR_ARGUMENT, "its input \"%s\" has the shape %s, it is called with %s", model->inputs[index].node->layer->name,
                             tlvk__shape_text(wanted, want, sizeof want), tlvk__shape_text(shape, have, sizeof have));
}

typedef struct inference { const tlvk_model *model; tlvk__map positions; int *first; tlvk__shape *shapes; } inference;

static const tlvk__shape *inferred(const inference *f, tlvk_tensor t) {
    return &f->shapes[f->first[tlvk__map_get(&f->positions, t.node)] + t.index];
}

static tlvk_status infer_nodes(inference *f, const tlvk__shape *inputs, tlvk__shape *outputs) {
    const tlvk_model *m = f->model;
    int used = 0;
    for (int i = 0; i < m->node_count; i++) {
        const struct tlvk_node *node = m->nodes[i];
        if (!tlvk__map_put(&f->positions, node, i))
            return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to work out shapes");
        f->first[i] = used;
        used += node->output_count;
        if (tlvk__is_input(node)) {
            for (int k = 0; k < m->input_count; k++)
                if (m->inputs[k].node == node)
                    f->shapes[f->first[i]] = inputs[k];
            continue;
        }
        tlvk__shape x[TLVK__MAX_INPUTS], y[TLVK_MAX_IO];
        int count;
        for (int k = 0; k < node->input_count; k++)
            x[k] = *inferred(f, node->inputs[k]);
        tlvk_status st = tlvk__layer_infer(node->layer, node->input_count, x, y, &count);
        if (st)
            return st;
        memcpy(&f->shapes[f->first[i]], y, (size_t)count * sizeof *y);
    }
    for (int k = 0; k < m->output_count; k++)
        outputs[k] = *inferred(f, m->outputs[k]);
    return TLVK_OK;
}

tlvk_status tlvk__model_infer(const tlvk_model *model, int count, const tlvk__shape *inputs, tlvk__shape *outputs) {
    if (count != model->input_count)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "has %d input%s, it is called with %d", model->input_count, model->input_count == 1 ? "" : "s", count);
    bool same = true;
    for (int i = 0; i < count; i++) {
        tlvk_status st = check_input(model, i, &inputs[i]);
        if (st)
            return st;
        same = same && tlvk__shape_equal(&inputs[i], tlvk__tensor_shape_of(model->inputs[i]));
    }
    if (same) {
        for (int i = 0; i < model->output_count; i++)
            outputs[i] = *tlvk__tensor_shape_of(model->outputs[i]);
        return TLVK_OK;
    }
    size_t total = 0;
    for (int i = 0; i < model->node_count; i++)
        total += (size_t)model->nodes[i]->output_count;
    inference f = {.model = model};
    f.first = tlvk__calloc((size_t)model->node_count, sizeof *f.first);
    f.shapes = tlvk__calloc(total, sizeof *f.shapes);
    tlvk_status st = f.first && f.shapes ? infer_nodes(&f, inputs, outputs) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory to work out shapes");
    tlvk__map_free(&f.positions);
    free(f.first);
    free(f.shapes);
    return st;
}
