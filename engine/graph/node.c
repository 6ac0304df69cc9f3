/* node.c - calls of layers, and the tensors they give. Hides: how an error in the middle of a chain reaches its end. */
#include "graph/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const tlvk_tensor nothing;

tlvk_tensor tlvk__error_tensor(tlvk_context *ctx, tlvk_status status, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tlvk__fail(status, "%s", text);
    struct tlvk_node *node = ctx ? tlvk__node_create(ctx) : NULL;
    if (!node) {
        tlvk__context_fail(ctx, status);
        return nothing;
    }
    node->error = status;
    node->error_text = tlvk__strdup(text);
    tlvk__context_fail(ctx, status);
    return (tlvk_tensor){node, 0};
}

const tlvk__shape *tlvk__tensor_shape_of(tlvk_tensor x) {
    if (!x.node || x.node->error || x.index < 0 || x.index >= x.node->output_count)
        return NULL;
    return &x.node->outputs[x.index];
}

tlvk_tensor tlvk__node_output(struct tlvk_node *node, int index) {
    if (!node || node->error)
        return (tlvk_tensor){node, 0};
    if (index < 0 || index >= node->output_count)
        return tlvk__error_tensor(node->ctx, TLVK_ERROR_ARGUMENT, "%s: output %d was asked for, it has %d", node->layer->name, index,
                                  node->output_count);
    return (tlvk_tensor){node, index};
}

/* The error that forbids calling `layer` on these inputs, as a tensor; {NULL, 0}: none. */
static tlvk_tensor input_error(const tlvk_layer *layer, const tlvk_tensor *inputs, int count) {
    for (int i = 0; i < count; i++) {
        const struct tlvk_node *node = inputs[i].node;
        if (!node) {
            tlvk_status status = tlvk__fail_after(TLVK_ERROR_ARGUMENT, "%s (%s): input %d is empty: a model or a tensor before it is NULL, or the call that "
                                                  "made it failed", layer->name, layer->class_name, i);
            return tlvk__error_tensor(layer->ctx, status, "%s", tlvk__fail_text());
        }
        if (node->error)
            return inputs[i];
        if (node->ctx != layer->ctx)
            return tlvk__error_tensor(layer->ctx, TLVK_ERROR_ARGUMENT, "%s (%s): input %d was made in another context", layer->name,
                                      layer->class_name, i);
        if (!tlvk__tensor_shape_of(inputs[i]))
            return tlvk__error_tensor(layer->ctx, TLVK_ERROR_ARGUMENT, "%s (%s): input %d is output %d of %s, which has %d", layer->name,
                                      layer->class_name, i, inputs[i].index, node->layer->name, node->output_count);
    }
    return nothing;
}

static struct tlvk_node *node_of_call(tlvk_layer *layer, const tlvk_tensor *inputs, int count, const tlvk__shape *outputs, int output_count) {
    struct tlvk_node **calls = tlvk__grow(layer->calls, &layer->call_capacity, (size_t)layer->call_count + 1, sizeof *calls);
    if (calls)
        layer->calls = calls;
    struct tlvk_node *node = calls ? tlvk__node_create(layer->ctx) : NULL;
    if (!node)
        return NULL;
    node->inputs = tlvk__calloc((size_t)count, sizeof *node->inputs);
    node->outputs = tlvk__calloc((size_t)output_count, sizeof *node->outputs);
    if (!node->inputs || !node->outputs)
        return NULL; /* the context keeps the node; it has no outputs and nobody has seen it */
    if (count)
        memcpy(node->inputs, inputs, (size_t)count * sizeof *inputs);
    memcpy(node->outputs, outputs, (size_t)output_count * sizeof *outputs);
    node->input_count = count;
    node->output_count = output_count;
    node->layer = layer;
    node->call_index = layer->call_count;
    layer->calls[layer->call_count++] = node;
    return node;
}

tlvk_tensor tlvk__call(tlvk_layer *layer, const tlvk_tensor *inputs, int count, tlvk_call_mode mode) {
    tlvk_tensor error = input_error(layer, inputs, count);
    if (error.node)
        return error;
    if (count > TLVK__MAX_INPUTS)
        return tlvk__error_tensor(layer->ctx, TLVK_ERROR_UNSUPPORTED, "%s (%s): takes at most %d inputs, got %d", layer->name,
                                  layer->class_name, TLVK__MAX_INPUTS, count);
    tlvk__shape shapes[TLVK__MAX_INPUTS], outputs[TLVK_MAX_IO];
    for (int i = 0; i < count; i++)
        shapes[i] = *tlvk__tensor_shape_of(inputs[i]);
    int output_count;
    tlvk_status st = tlvk__layer_infer(layer, count, shapes, outputs, &output_count);
    if (st)
        return tlvk__error_tensor(layer->ctx, st, "%s", tlvk__fail_text());
    struct tlvk_node *node = node_of_call(layer, inputs, count, outputs, output_count);
    if (!node)
        return tlvk__error_tensor(layer->ctx, TLVK_ERROR_MEMORY, "%s (%s): no memory for a call", layer->name, layer->class_name);
    node->mode = mode;
    /* Without a model yet, the context is the one that keeps a layer which was just made. */
    if (layer->call_count == 1) {
        tlvk__layer_retain(layer);
        layer->pending = true;
    }
    return (tlvk_tensor){node, 0};
}
