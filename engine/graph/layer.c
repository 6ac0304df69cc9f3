/* layer.c - layers: creation, variables, life and death. Hides: when variables come into being, and that nodes outlive their layer. */
#include "graph/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static tlvk_layer *layer_new(tlvk_context *ctx, const char *class_name, char *name) {
    tlvk_layer *layer = name ? tlvk__calloc(1, sizeof *layer) : NULL;
    char *class_copy = layer ? tlvk__strdup(class_name) : NULL;
    if (!class_copy) {
        free(layer);
        free(name);
        tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a %s layer", class_name);
        return NULL;
    }
    layer->references = 1;
    layer->ctx = ctx;
    layer->id = tlvk__context_next_id(ctx);
    layer->name = name;
    layer->class_name = class_copy;
    layer->trainable = true;
    return layer;
}

tlvk_status tlvk__layer_create(tlvk_context *ctx, const tlvk__op *op, const void *attrs, const char *name, bool trainable, tlvk_layer **out) {
    *out = NULL;
    char *own_name;
    if (name && name[0]) {
        tlvk__name_taken(ctx, name);
        own_name = tlvk__strdup(name);
    } else {
        own_name = tlvk__auto_name(ctx, op->snake_name);
    }
    tlvk_layer *layer = layer_new(ctx, op->class_name, own_name);
    if (!layer)
        return TLVK_ERROR_MEMORY;
    layer->op = op;
    layer->trainable = trainable;
    layer->attrs = tlvk__calloc(1, op->attr_bytes);
    if (!layer->attrs) {
        tlvk__layer_release(layer);
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a %s layer", op->class_name);
    }
    if (op->attr_bytes && attrs)
        memcpy(layer->attrs, attrs, op->attr_bytes);
    *out = layer;
    return TLVK_OK;
}

tlvk_status tlvk__layer_create_arithmetic(tlvk_context *ctx, const tlvk__op *op, const void *attrs, const char *class_name, const char *snake_name,
                                          tlvk_layer **out) {
    *out = NULL;
    char *name = tlvk__auto_name(ctx, snake_name), *own_class = tlvk__strdup(class_name);
    tlvk_status st = name && own_class ? tlvk__layer_create(ctx, op, attrs, name, true, out)
                                       : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a %s layer", class_name);
    free(name);
    if (st) {
        free(own_class);
        return st;
    }
    free((*out)->class_name);
    (*out)->class_name = own_class;
    return TLVK_OK;
}

tlvk_status tlvk__layer_from_model(tlvk_model *model, const char *name, tlvk_layer **out) {
    *out = NULL;
    const char *wanted = name && name[0] ? name : model->name;
    for (int i = 0; i < model->wrapper_count; i++)
        if (strcmp(model->wrappers[i]->name, wanted) == 0) {
            *out = tlvk__layer_retain(model->wrappers[i]);
            return TLVK_OK;
        }
    tlvk_layer **wrappers = tlvk__grow(model->wrappers, &model->wrapper_capacity, (size_t)model->wrapper_count + 1, sizeof(tlvk_layer *));
    if (!wrappers)
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to use it as a layer", model->name);
    model->wrappers = wrappers;
    tlvk_layer *layer = layer_new(model->ctx, model->sequential ? "Sequential" : "Functional", tlvk__strdup(wanted));
    if (!layer)
        return TLVK_ERROR_MEMORY;
    tlvk__name_taken(model->ctx, wanted);
    layer->model = model;
    layer->trainable = model->trainable;
    layer->built = true;
    model->uses++;
    model->wrappers[model->wrapper_count++] = layer;
    *out = layer;
    return TLVK_OK;
}

tlvk_layer *tlvk__layer_retain(tlvk_layer *l) {
    l->references++;
    return l;
}

/* A layer's nodes stay with the context; from here on they answer with this error. */
static void let_go(struct tlvk_node *node) {
    node->error = TLVK_ERROR_ARGUMENT;
    node->error_text = tlvk__format("%s: this layer's last model has been destroyed; what builds on it must be made into a model before that",
                                    node->layer->name);
    node->layer = NULL;
}

/* A model that wraps another keeps it by `uses`; see tlvk__model_release for handles. */
static void leave_model(tlvk_layer *l) {
    tlvk_model *m = l->model;
    for (int i = 0; i < m->wrapper_count; i++)
        if (m->wrappers[i] == l)
            m->wrappers[i] = m->wrappers[--m->wrapper_count];
    m->uses--;
    if (m->references == 0 && m->uses == 0)
        tlvk__model_free(m);
}

void tlvk__layer_release(tlvk_layer *l) {
    if (!l || --l->references > 0)
        return;
    for (int i = 0; i < l->call_count; i++)
        let_go(l->calls[i]);
    if (l->model)
        leave_model(l);
    for (int i = 0; i < l->variable_count; i++)
        tlvk__variable_release(l->variables[i]);
    free(l->variables);
    free(l->calls);
    free(l->owners);
    free(l->attrs);
    free(l->name);
    free(l->class_name);
    free(l);
}

tlvk_status tlvk__layer_enter(tlvk_layer *layer, tlvk_model *model) {
    tlvk_model **owners = tlvk__grow(layer->owners, &layer->owner_capacity, (size_t)layer->owner_count + 1, sizeof(tlvk_model *));
    if (!owners)
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to put it into a model", layer->name);
    layer->owners = owners;
    owners[layer->owner_count++] = model;
    tlvk__layer_retain(layer);
    tlvk__layer_settle(layer);
    return TLVK_OK;
}

void tlvk__layer_leave(tlvk_layer *layer, tlvk_model *model) {
    if (!layer)
        return;
    for (int i = 0; i < layer->owner_count; i++)
        if (layer->owners[i] == model) {
            layer->owners[i] = layer->owners[--layer->owner_count];
            break;
        }
    tlvk__layer_release(layer);
}

void tlvk__layer_settle(tlvk_layer *layer) {
    if (!layer->pending)
        return;
    layer->pending = false;
    tlvk__layer_release(layer);
}

static int specs_of(const tlvk__op *op, const void *attrs, int count, const tlvk__shape *inputs, tlvk__variable_spec *specs) {
    memset(specs, 0, TLVK__MAX_VARIABLES * sizeof *specs);
    return op->variables ? op->variables(attrs, count, inputs, specs) : 0;
}

static tlvk_status mismatch(const tlvk__variable *v, const tlvk__shape *built, const tlvk__variable_spec *wanted, const tlvk__shape *input) {
    char have[128], need[128], at[128], was[128];
    if (v->spec.layout == TLVK__LAYOUT_MATRIX && v->spec.shape.rank >= 2 && wanted->shape.rank == v->spec.shape.rank) {
        int axis = v->spec.shape.rank - 2;
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "expects %" PRId64 " %s, got %" PRId64 ": its %s of shape %s was made for an input of %s, this one is %s",
                          v->spec.shape.dim[axis], axis ? "input channels" : "inputs", wanted->shape.dim[axis], v->name,
                          tlvk__shape_text(&v->spec.shape, have, sizeof have), tlvk__shape_text(built, was, sizeof was),
                          tlvk__shape_text(input, at, sizeof at));
    }
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "its %s of shape %s was made for an input of %s; this one of %s needs %s", v->name,
                      tlvk__shape_text(&v->spec.shape, have, sizeof have), tlvk__shape_text(built, was, sizeof was),
                      tlvk__shape_text(input, at, sizeof at), tlvk__shape_text(&wanted->shape, need, sizeof need));
}

tlvk_status tlvk__variables_fit(const tlvk__op *op, const void *attrs, tlvk__variable *const *variables, int variable_count,
                                const tlvk__shape *built, int count, const tlvk__shape *inputs) {
    tlvk__variable_spec specs[TLVK__MAX_VARIABLES];
    int n = specs_of(op, attrs, count, inputs, specs);
    for (int i = 0; i < n && i < variable_count; i++) {
        const tlvk__variable *v = variables[i];
        for (int k = 0; k < v->spec.shape.rank; k++)
            if (specs[i].shape.rank != v->spec.shape.rank || (specs[i].shape.dim[k] >= 0 && specs[i].shape.dim[k] != v->spec.shape.dim[k]))
                return mismatch(v, built, &specs[i], &inputs[0]);
    }
    return TLVK_OK;
}

static tlvk_status layer_build(tlvk_layer *layer, int count, const tlvk__shape *inputs) {
    tlvk__variable_spec specs[TLVK__MAX_VARIABLES];
    int n = specs_of(layer->op, layer->attrs, count, inputs, specs);
    char in[128], shape[128];
    for (int i = 0; i < n; i++)
        for (int k = 0; k < specs[i].shape.rank; k++)
            if (specs[i].shape.dim[k] < 0)
                return tlvk__fail(TLVK_ERROR_ARGUMENT,
                                  "its %s would have the shape %s, because the input %s leaves open what it must know: give input_shape",
                                  specs[i].name, tlvk__shape_text(&specs[i].shape, shape, sizeof shape),
                                  count ? tlvk__shape_text(&inputs[0], in, sizeof in) : "()");
    tlvk__variable **variables = n ? tlvk__calloc((size_t)n, sizeof *variables) : NULL;
    if (n && !variables)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for its variables");
    for (int i = 0; i < n; i++) {
        tlvk_status st = tlvk__variable_create(layer->ctx, &specs[i], &variables[i]);
        if (st) {
            while (i-- > 0)
                tlvk__variable_release(variables[i]);
            free(variables);
            return st;
        }
    }
    layer->variables = variables;
    layer->variable_count = n;
    layer->built = true;
    if (count)
        layer->built_shape = inputs[0];
    return TLVK_OK;
}

/* Is a dimension other than the batch unknown? */
static bool is_open(int count, const tlvk__shape *inputs) {
    for (int i = 0; i < count; i++)
        for (int k = 1; k < inputs[i].rank; k++)
            if (inputs[i].dim[k] < 0)
                return true;
    return false;
}

tlvk_status tlvk__layer_infer(tlvk_layer *layer, int count, const tlvk__shape *inputs, tlvk__shape *outputs, int *output_count) {
    tlvk_status st = TLVK_OK;
    *output_count = 1;
    if (layer->model) {
        *output_count = layer->model->output_count;
        st = tlvk__model_infer(layer->model, count, inputs, outputs);
    } else {
        const tlvk__op *op = layer->op;
        if (count < op->min_inputs || count > op->max_inputs) {
            st = op->min_inputs == op->max_inputs
                     ? tlvk__fail(TLVK_ERROR_ARGUMENT, "takes %d input%s, got %d", op->min_inputs, op->min_inputs == 1 ? "" : "s", count)
                     : tlvk__fail(TLVK_ERROR_ARGUMENT, "takes %d to %d inputs, got %d", op->min_inputs, op->max_inputs, count);
        }
        if (!st) {
            st = op->shape(layer->attrs, count, inputs, &outputs[0]);
            if (st && is_open(count, inputs))
                st = tlvk__fail(st, "%s; open dimensions come from the model's input: give input_shape", tlvk__fail_text());
        }
        if (!st)
            st = layer->built ? tlvk__variables_fit(op, layer->attrs, layer->variables, layer->variable_count, &layer->built_shape, count, inputs)
                              : layer_build(layer, count, inputs);
    }
    return st ? tlvk__fail_context(st, "%s (%s)", layer->name, layer->class_name) : TLVK_OK;
}
