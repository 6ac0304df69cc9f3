/* flatten.c - one list of plain operations from a nest of models. Hides: nesting, composite operations, InputLayers and calling modes. */
#include "graph/internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct part_block { struct part_block *next; tlvk__op_part part; } part_block;
typedef struct builder {
    tlvk__flat *flat;
    size_t call_capacity, tensor_capacity;
    bool root_trainable;
    uint32_t streams;
} builder;

/* One model being opened: where its nodes' outputs are among the flat tensors. */
typedef struct scope {
    const tlvk_model *model;
    const int *inputs;             /* flat tensors, one per input of the model */
    tlvk_call_mode mode;
    const char *prefix;            /* "outer/inner/" */
    tlvk__map positions;
    int *first, *numbers;
} scope;

static tlvk_status no_memory(void) { return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to open the model"); }

static tlvk_status add_tensor(builder *b, const tlvk__shape *shape, int *number) {
    tlvk__flat *f = b->flat;
    tlvk__shape *tensors = tlvk__grow(f->tensors, &b->tensor_capacity, (size_t)f->tensor_count + 1, sizeof *tensors);
    if (!tensors)
        return no_memory();
    f->tensors = tensors;
    tensors[f->tensor_count] = *shape;
    *number = f->tensor_count++;
    return TLVK_OK;
}

/* Adds a call of `op`; its output's shape is inferred. Takes `path`, malloc'd or NULL for want of memory. */
static tlvk_status add_call(builder *b, const tlvk__op *op, const void *attrs, const tlvk_layer *layer, char *path, const int *inputs, int count,
                            tlvk__flat_call **added) {
    tlvk__flat *f = b->flat;
    tlvk__flat_call *calls = path ? tlvk__grow(f->calls, &b->call_capacity, (size_t)f->call_count + 1, sizeof *calls) : NULL;
    int *own = calls ? tlvk__calloc((size_t)count, sizeof *own) : NULL;
    if (calls)
        f->calls = calls;
    if (!own) {
        free(path);
        return no_memory();
    }
    memcpy(own, inputs, (size_t)count * sizeof *own);
    tlvk__flat_call *c = &f->calls[f->call_count++];
    *c = (tlvk__flat_call){.op = op, .attrs = attrs, .layer = layer, .path = path, .inputs = own, .input_count = count, .layer_trainable = layer->trainable};
    if (op->flags & TLVK__OP_RANDOM)
        c->stream = b->streams++;
    tlvk__shape x[TLVK__MAX_INPUTS], y;
    for (int i = 0; i < count; i++)
        x[i] = f->tensors[inputs[i]];
    tlvk_status st = op->shape(attrs, count, x, &y);
    if (!st)
        st = add_tensor(b, &y, &c->output);
    *added = c;
    return st ? tlvk__fail_context(st, "%s (%s)", path, op->class_name) : TLVK_OK;
}

static void add_variable(const builder *b, tlvk__flat_call *c, tlvk__variable *v) {
    c->variables[c->variable_count] = v;
    c->trainable[c->variable_count++] = b->root_trainable && c->layer_trainable && v->spec.trainable;
}

static tlvk_status add_parts(builder *b, const tlvk_layer *layer, const char *prefix, tlvk_call_mode mode, int input, int *output) {
    tlvk__op_part parts[4];
    memset(parts, 0, sizeof parts);
    int count = layer->op->parts(layer->attrs, parts);
    *output = input;
    for (int i = 0; i < count; i++) {
        part_block *block = tlvk__calloc(1, sizeof *block);
        if (!block)
            return no_memory();
        block->part = parts[i];
        block->next = b->flat->storage;
        b->flat->storage = block;
        tlvk__flat_call *c;
        tlvk_status st = add_call(b, parts[i].op, block->part.attrs.bytes, layer, tlvk__format("%s%s/%s", prefix, layer->name, parts[i].op->snake_name),
                                  output, 1, &c);
        if (st)
            return st;
        c->mode = mode;
        for (int k = 0; k < parts[i].variable_count; k++)
            add_variable(b, c, layer->variables[parts[i].variables[k]]);
        *output = c->output;
    }
    return TLVK_OK;
}

static tlvk_status add_operation(builder *b, const scope *s, const struct tlvk_node *node, tlvk_call_mode mode, const int *inputs, int *output) {
    const tlvk_layer *layer = node->layer;
    if (layer->op->parts)
        return add_parts(b, layer, s->prefix, mode, inputs[0], output);
    tlvk__flat_call *c;
    tlvk_status st = add_call(b, layer->op, layer->attrs, layer, tlvk__format("%s%s", s->prefix, layer->name), inputs, node->input_count, &c);
    if (st)
        return st;
    c->mode = mode;
    for (int k = 0; k < layer->variable_count; k++)
        add_variable(b, c, layer->variables[k]);
    *output = c->output;
    return TLVK_OK;
}

static tlvk_status open_model(builder *b, scope *s, int *outputs);

static tlvk_status add_model(builder *b, const scope *s, const struct tlvk_node *node, tlvk_call_mode mode, const int *inputs, int *outputs) {
    char *prefix = tlvk__format("%s%s/", s->prefix, node->layer->name);
    if (!prefix)
        return no_memory();
    scope inner = {.model = node->layer->model, .inputs = inputs, .mode = mode, .prefix = prefix};
    tlvk_status st = open_model(b, &inner, outputs);
    free(prefix);
    return st;
}

static int number_of(const scope *s, tlvk_tensor t) { return s->numbers[s->first[tlvk__map_get(&s->positions, t.node)] + t.index]; }

static tlvk_status open_node(builder *b, scope *s, int at) {
    const struct tlvk_node *node = s->model->nodes[at];
    int *outputs = &s->numbers[s->first[at]];
    if (tlvk__is_input(node)) {
        for (int k = 0; k < s->model->input_count; k++)
            if (s->model->inputs[k].node == node)
                *outputs = s->inputs[k];
        return TLVK_OK;
    }
    int inputs[TLVK__MAX_INPUTS];
    for (int k = 0; k < node->input_count; k++)
        inputs[k] = number_of(s, node->inputs[k]);
    tlvk_call_mode mode = node->mode != TLVK_CALL_DEFAULT ? node->mode : s->mode;
    return node->layer->model ? add_model(b, s, node, mode, inputs, outputs) : add_operation(b, s, node, mode, inputs, outputs);
}

/* Opens s->model; outputs receives the flat number of each of its outputs. */
static tlvk_status open_model(builder *b, scope *s, int *outputs) {
    const tlvk_model *m = s->model;
    size_t total = 0;
    for (int i = 0; i < m->node_count; i++)
        total += (size_t)m->nodes[i]->output_count;
    s->first = tlvk__calloc((size_t)m->node_count, sizeof *s->first);
    s->numbers = tlvk__calloc(total, sizeof *s->numbers);
    tlvk_status st = s->first && s->numbers ? TLVK_OK : no_memory();
    for (int i = 0, used = 0; i < m->node_count && !st; i++) {
        s->first[i] = used;
        used += m->nodes[i]->output_count;
        st = tlvk__map_put(&s->positions, m->nodes[i], i) ? open_node(b, s, i) : no_memory();
    }
    for (int k = 0; k < m->output_count && !st; k++)
        outputs[k] = number_of(s, m->outputs[k]);
    tlvk__map_free(&s->positions);
    free(s->first);
    free(s->numbers);
    return st;
}

tlvk_status tlvk__model_flatten(const tlvk_model *model, tlvk__flat *flat) {
    *flat = (tlvk__flat){.input_count = model->input_count, .output_count = model->output_count};
    builder b = {.flat = flat, .root_trainable = model->trainable};
    scope s = {.model = model, .inputs = flat->inputs, .mode = TLVK_CALL_DEFAULT, .prefix = ""};
    tlvk_status st = TLVK_OK;
    for (int k = 0; k < model->input_count && !st; k++)
        st = add_tensor(&b, tlvk__tensor_shape_of(model->inputs[k]), &flat->inputs[k]);
    if (!st)
        st = open_model(&b, &s, flat->outputs);
    if (st)
        tlvk__flat_free(flat);
    return st;
}

void tlvk__flat_free(tlvk__flat *flat) {
    for (int i = 0; i < flat->call_count; i++) {
        free(flat->calls[i].path);
        free(flat->calls[i].inputs);
    }
    for (part_block *block = flat->storage, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(flat->calls);
    free(flat->tensors);
    *flat = (tlvk__flat){0};
}

static tlvk_status check_input(const tlvk__flat *flat, int index, const tlvk__shape *shape) {
    const tlvk__shape *wanted = &flat->tensors[flat->inputs[index]];
    bool fits = wanted->rank == shape->rank;
    for (int k = 1; fits && k < shape->rank; k++)
        fits = wanted->dim[k] < 0 || wanted->dim[k] == shape->dim[k];
    char want[128], have[128];
    return fits ? TLVK_OK
                : tlvk__fail(TLVK_ERROR_ARGUMENT, "the model's input %d has the shape %s, it is given %s", index,
                             tlvk__shape_text(wanted, want, sizeof want), tlvk__shape_text(shape, have, sizeof have));
}

tlvk_status tlvk__flat_shapes(const tlvk__flat *flat, const tlvk__shape *inputs, tlvk__shape *shapes) {
    for (int i = 0; i < flat->input_count; i++) {
        tlvk_status st = check_input(flat, i, &inputs[i]);
        if (st)
            return st;
        shapes[flat->inputs[i]] = inputs[i];
    }
    for (int i = 0; i < flat->call_count; i++) {
        const tlvk__flat_call *c = &flat->calls[i];
        tlvk__shape x[TLVK__MAX_INPUTS];
        for (int k = 0; k < c->input_count; k++)
            x[k] = shapes[c->inputs[k]];
        tlvk_status st = c->op->shape(c->attrs, c->input_count, x, &shapes[c->output]);
        if (!st)
            st = tlvk__variables_fit(c->op, c->attrs, c->variables, c->variable_count, &flat->tensors[c->inputs[0]], c->input_count, x);
        if (st)
            return tlvk__fail_context(st, "%s (%s)", c->path, c->op->class_name);
    }
    return TLVK_OK;
}
