/* replace.c - a layer's place taken by others. Hides: that the models around it are made anew, from the innermost outwards, and which calls are
 * repeated: those that stand behind a change, and no other. */
#include "graph/internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct remade { const tlvk_model *from; tlvk_model *to; } remade;
typedef struct work {
    tlvk_layer *target;
    tlvk_replace_fn replace; void *user;
    remade *models; int count; size_t capacity; /* each nested model once, however often it is called */
} work;

/* One model's calls while it is made anew: `tensors[i]` takes the place of output 0 of node i. */
typedef struct scope { const tlvk_model *model; tlvk__map positions; tlvk_tensor *tensors; } scope;

static tlvk_status remake(work *w, const tlvk_model *model, tlvk_model **out);

static tlvk_status tensor_status(tlvk_tensor t) {
    if (tlvk__tensor_shape_of(t))
        return TLVK_OK;
    return tlvk__fail(t.node && t.node->error ? t.node->error : TLVK_ERROR_MEMORY, "%s",
                      t.node && t.node->error_text ? t.node->error_text : "a call failed for want of memory");
}

typedef struct search { const tlvk_layer *layer; bool found; } search;

static bool search_visit(void *user, tlvk_layer *const *path, int length) {
    search *s = user;
    s->found = path[length - 1] == s->layer;
    return !s->found;
}

/* Is the layer in the model, at any depth? */
static tlvk_status has_layer(const tlvk_model *model, const tlvk_layer *layer, bool *has) {
    search s = {.layer = layer};
    bool walked = tlvk__walk_layers(model, search_visit, &s);
    *has = s.found;
    return walked ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to look for a layer", model->name);
}

/* What stands for tensor `t` of the old model. */
static tlvk_status moved(const scope *s, tlvk_tensor t, tlvk_tensor *to) {
    tlvk_tensor y = s->tensors[tlvk__map_get(&s->positions, t.node)];
    *to = y;
    if (y.node == t.node)
        *to = t;
    else if (t.index > 0 && (y.index > 0 || t.index >= y.node->output_count))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "output %d of %s is used; what replaces it comes of a call of %s, which has %d", t.index,
                          t.node->layer->name, y.node->layer->name, y.node->output_count);
    else if (t.index > 0)
        to->index = t.index;
    return TLVK_OK;
}

/* A call of the layer itself keeps the mode of the call that it repeats, unless it has its own. */
static void keep_mode(const tlvk_layer *target, int first, tlvk_call_mode mode) {
    for (int i = first; i < target->call_count; i++)
        if (target->calls[i]->mode == TLVK_CALL_DEFAULT)
            target->calls[i]->mode = mode;
}

static tlvk_status call_replacement(const work *w, const struct tlvk_node *node, const tlvk_tensor *x, tlvk_tensor *y) {
    int calls = w->target->call_count;
    *y = w->replace(w->target, x, node->input_count, w->user);
    keep_mode(w->target, calls, node->mode);
    if (!y->node)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "what is to replace %s is an empty tensor", w->target->name);
    if (y->node->ctx != node->ctx)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "what is to replace %s was made in another context", w->target->name);
    if (!y->node->error && !tlvk__tensor_shape_of(*y))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "what is to replace %s is output %d of %s, which has %d", w->target->name, y->index,
                          y->node->layer->name, y->node->output_count);
    return tensor_status(*y);
}

static tlvk_status call_remade(work *w, const struct tlvk_node *node, const tlvk_tensor *x, tlvk_tensor *y) {
    tlvk_model *inner;
    tlvk_layer *layer;
    tlvk_status st = remake(w, node->layer->model, &inner);
    if (!st)
        st = tlvk__layer_from_model(inner, node->layer->name, &layer);
    if (st)
        return st;
    *y = tlvk__call(layer, x, node->input_count, node->mode);
    tlvk__layer_release(layer);
    return tensor_status(*y);
}

static tlvk_status call_anew(work *w, const struct tlvk_node *node, const tlvk_tensor *x, tlvk_tensor *y) {
    if (node->layer == w->target)
        return call_replacement(w, node, x, y);
    bool inside = false, same = true;
    tlvk_status st = node->layer->model ? has_layer(node->layer->model, w->target, &inside) : TLVK_OK;
    if (st || inside)
        return st ? st : call_remade(w, node, x, y);
    for (int k = 0; k < node->input_count; k++)
        same = same && tlvk__same_tensor(x[k], node->inputs[k]);
    if (same)
        return TLVK_OK;
    *y = tlvk__call(node->layer, x, node->input_count, node->mode);
    return tensor_status(*y);
}

static tlvk_status move_node(work *w, scope *s, int at) {
    struct tlvk_node *node = s->model->nodes[at];
    tlvk_tensor *x = tlvk__calloc((size_t)node->input_count, sizeof *x);
    tlvk_status st = x && tlvk__map_put(&s->positions, node, at) ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to call %s again",
                                                                                          s->model->name, node->layer->name);
    s->tensors[at] = (tlvk_tensor){node, 0};
    for (int k = 0; k < node->input_count && !st; k++)
        st = moved(s, node->inputs[k], &x[k]);
    if (!st)
        st = call_anew(w, node, x, &s->tensors[at]);
    free(x);
    return st;
}

/* Flags and usage go over; class names do where the output still has a place for each. */
static tlvk_status dress(const tlvk_model *from, tlvk_model *to) {
    to->trainable = from->trainable;
    to->keras_version = from->keras_version;
    tlvk_usage usage = from->usage;
    if (!tlvk__shape_equal(tlvk__tensor_shape_of(from->outputs[0]), tlvk__tensor_shape_of(to->outputs[0]))) {
        usage.class_names = NULL;
        usage.class_count = 0;
    }
    return tlvk_model_set_usage(to, &usage);
}

/* A Sequential stays one unless what took the layer's place branches. */
static tlvk_status build(const scope *s, tlvk_model **out) {
    const tlvk_model *m = s->model;
    tlvk_tensor outputs[TLVK_MAX_IO];
    tlvk_status st = TLVK_OK;
    for (int k = 0; k < m->output_count && !st; k++)
        st = moved(s, m->outputs[k], &outputs[k]);
    if (st)
        return st;
    tlvk__model_build b = {.name = m->name, .sequential = m->sequential, .inputs = m->inputs, .input_count = m->input_count,
                           .outputs = outputs, .output_count = m->output_count};
    st = tlvk__model_build_from(m->ctx, &b, out);
    if (st == TLVK_ERROR_ARGUMENT && b.sequential) {
        b.sequential = false;
        st = tlvk__model_build_from(m->ctx, &b, out);
    }
    if (!st && (st = dress(m, *out))) {
        tlvk__model_release(*out);
        *out = NULL;
    }
    return st;
}

static tlvk_status make_anew(work *w, const tlvk_model *model, tlvk_model **out) {
    scope s = {.model = model, .tensors = tlvk__calloc((size_t)model->node_count, sizeof *s.tensors)};
    tlvk_status st = s.tensors ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to make it anew", model->name);
    for (int i = 0; i < model->node_count && !st; i++)
        st = move_node(w, &s, i);
    if (!st)
        st = build(&s, out);
    tlvk__map_free(&s.positions);
    free(s.tensors);
    return st;
}

/* A nested model, made anew at its first call; the work keeps a handle of it until the end. */
static tlvk_status remake(work *w, const tlvk_model *model, tlvk_model **out) {
    for (int i = 0; i < w->count; i++)
        if (w->models[i].from == model) {
            *out = w->models[i].to;
            return TLVK_OK;
        }
    tlvk_status st = make_anew(w, model, out);
    if (st)
        return tlvk__fail_context(st, "in %s", model->name);
    remade *models = tlvk__grow(w->models, &w->capacity, (size_t)w->count + 1, sizeof *models);
    if (!models) {
        tlvk__model_release(*out);
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to make it anew", model->name);
    }
    w->models = models;
    models[w->count++] = (remade){model, *out};
    return TLVK_OK;
}

static tlvk_status replace(tlvk_model *model, const char *name, tlvk_replace_fn fn, void *user, tlvk_model **out) {
    tlvk_layer *path[TLVK__MAX_NESTING + 1];
    int length;
    tlvk_status st = tlvk__find_layer(model, name, path, &length);
    if (st)
        return st;
    work w = {.target = path[length - 1], .replace = fn, .user = user};
    if (w.target->op && (w.target->op->flags & TLVK__OP_INPUT))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s is an InputLayer; build on a new input instead", w.target->name);
    st = make_anew(&w, model, out);
    for (int i = 0; i < w.count; i++)
        tlvk__model_release(w.models[i].to);
    free(w.models);
    return st;
}

tlvk_status tlvk_model_replace_layer(tlvk_model *model, const char *name, tlvk_replace_fn fn, void *user, tlvk_model **out) {
    if (out)
        *out = NULL;
    if (!model || !name || !fn || !out)
        return tlvk__context_fail(model ? model->ctx : NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_replace_layer: %s is NULL",
                                                                      !model ? "the model" : !name ? "the name" : !fn ? "the callback" : "out"));
    tlvk_status st = replace(model, name, fn, user, out);
    return tlvk__context_fail(model->ctx, st ? tlvk__fail_context(st, "tlvk_model_replace_layer(\"%s\")", name) : TLVK_OK);
}
