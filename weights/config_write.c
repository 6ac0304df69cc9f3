/* config_write.c - a model to Keras's model_config in JSON, in the one dialect that Keras 3 and tf_keras both read: that of Keras 2.
 *
 * Hides: where the two readers disagree about that dialect. A call of a model used as a layer is numbered from 1 by tf_keras, which counts the
 * model's making as node 0, and from 0 by Keras 3 (functional.py, deserialize_node). Therefore each such call is written twice, and call k is
 * referred to as node 2k+1: for one reader that is the second writing of call k, for the other the first of them. The call left over leads to no
 * output and is in neither reader's model. */
#include "weights/config.h"

#include <stdlib.h>
#include <string.h>

typedef struct writer { const char *file; tlvk_status status; } writer;

static json_t *model_to_json(writer *w, const tlvk_model *model, const char *name, bool trainable);

static void failed(writer *w, tlvk_status status) {
    if (!w->status)
        w->status = status;
}

static json_t *checked(writer *w, json_t *value) {
    if (!value)
        failed(w, tlvk__fail(TLVK_ERROR_MEMORY, "no memory for model_config"));
    return value;
}

char *tlvk__written_name(const char *name) {
    char *copy = tlvk__strdup(name);
    for (char *c = copy; c && *c; c++)
        if (*c == '/')
            *c = '_';
    return copy;
}

static bool same_when_written(const char *a, const char *b) {
    for (; *a && *b; a++, b++) {
        if ((*a == '/' ? '_' : *a) != (*b == '/' ? '_' : *b))
            return false;
    }
    return *a == *b;
}

tlvk_status tlvk__written_names_differ(const tlvk_model *model) {
    for (int i = 0; i < model->layer_count; i++) {
        const tlvk_layer *layer = model->layers[i];
        tlvk_status status = layer->model ? tlvk__written_names_differ(layer->model) : TLVK_OK;
        bool changes = strchr(layer->name, '/') != NULL;
        for (int k = 0; !status && changes && k < model->layer_count; k++) {
            if (k != i && same_when_written(layer->name, model->layers[k]->name))
                status = tlvk__fail(TLVK_ERROR_UNSUPPORTED, "model %s: layers '%s' and '%s' would both be named '%s' in the file, as Keras 3 allows no slash; "
                                    "rename one (tlvk_layer_set_name)", model->name, layer->name, model->layers[k]->name,
                                    strchr(model->layers[k]->name, '/') ? "with _ for /" : model->layers[k]->name);
        }
        if (status)
            return status;
    }
    return TLVK_OK;
}

bool tlvk__anything_trains(const tlvk_layer *layer) {
    if (!layer->model)
        return layer->trainable && layer->variable_count > 0;
    for (int i = 0; i < layer->model->layer_count; i++)
        if (tlvk__anything_trains(layer->model->layers[i]))
            return true;
    return false;
}

static json_t *layer_to_json(writer *w, const tlvk_layer *layer) {
    char *name = tlvk__written_name(layer->name);
    json_t *entry = NULL;
    if (!name) {
        failed(w, tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a name"));
    } else if (layer->model) {
        entry = model_to_json(w, layer->model, name, layer->trainable || tlvk__anything_trains(layer));
    } else {
        tlvk__config_place at = {w->file, layer->name, layer->class_name, 2};
        json_t *config = json_pack("{s:s, s:s}", "name", name, "dtype", "float32");
        if (config && !(layer->op->flags & TLVK__OP_INPUT))
            json_object_set_new(config, "trainable", json_boolean(layer->trainable));
        if (checked(w, config))
            failed(w, tlvk__attrs_to_json(&at, layer->op, layer->attrs, config));
        entry = checked(w, json_pack("{s:s, s:o}", "class_name", layer->op->class_name, "config", config));
    }
    free(name);
    return entry;
}

/* --- functional models --- */

/* The number of this node among the calls of its layer in this model, as written. */
static int written_node(const tlvk_model *model, const struct tlvk_node *node) {
    int k = 0;
    for (int i = 0; i < model->node_count && model->nodes[i] != node; i++)
        k += model->nodes[i]->layer == node->layer;
    return node->layer->model ? 2 * k + 1 : k;
}

static json_t *tensor_to_json(writer *w, const tlvk_model *model, tlvk_tensor x, tlvk_call_mode mode, bool with_keywords) {
    char *name = tlvk__written_name(x.node->layer->name);
    json_t *list = name ? json_pack("[s, i, i]", name, written_node(model, x.node), x.index) : NULL;
    free(name);
    if (list && with_keywords) {
        json_t *keywords = json_object();
        if (mode != TLVK_CALL_DEFAULT)
            json_object_set_new(keywords, "training", json_boolean(mode == TLVK_CALL_TRAINING));
        json_array_append_new(list, keywords);
    }
    return checked(w, list);
}

tlvk_call_mode tlvk__written_mode(const struct tlvk_node *node) {
    bool asks = node->layer->model || (node->layer->op->flags & (TLVK__OP_RANDOM | TLVK__OP_STATE));
    return asks ? node->mode : TLVK_CALL_DEFAULT;
}

static json_t *calls_to_json(writer *w, const tlvk_model *model, const tlvk_layer *layer) {
    json_t *calls = json_array();
    for (int i = 0; i < model->node_count; i++) {
        const struct tlvk_node *node = model->nodes[i];
        if (node->layer != layer || node->input_count == 0)
            continue;
        json_t *call = json_array();
        for (int k = 0; k < node->input_count; k++)
            json_array_append_new(call, tensor_to_json(w, model, node->inputs[k], tlvk__written_mode(node), true));
        if (layer->model)
            json_array_append(calls, call);
        json_array_append_new(calls, call);
    }
    return checked(w, calls);
}

/* A single end stands alone: from a list of one, Keras 3 makes a model whose output is a list, which a Sequential around it cannot pass on. */
static json_t *ends_to_json(writer *w, const tlvk_model *model, const tlvk_tensor *ends, int count) {
    if (count == 1)
        return tensor_to_json(w, model, ends[0], TLVK_CALL_DEFAULT, false);
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, tensor_to_json(w, model, ends[i], TLVK_CALL_DEFAULT, false));
    return checked(w, list);
}

static void add_layer(writer *w, const tlvk_model *model, const tlvk_layer *layer, json_t *layers) {
    json_t *entry = layer_to_json(w, layer);
    if (!entry)
        return;
    json_object_set(entry, "name", json_object_get(json_object_get(entry, "config"), "name"));
    json_object_set_new(entry, "inbound_nodes", calls_to_json(w, model, layer));
    json_array_append_new(layers, entry);
}

static json_t *functional_to_json(writer *w, const tlvk_model *model, const char *name, bool trainable) {
    json_t *layers = json_array();
    if (model->hidden_input)
        add_layer(w, model, model->hidden_input, layers);
    for (int i = 0; !w->status && i < model->layer_count; i++)
        add_layer(w, model, model->layers[i], layers);
    return checked(w, json_pack("{s:s, s:{s:s, s:b, s:o, s:o, s:o}}", "class_name", "Functional", "config", "name", name, "trainable", trainable, "layers",
                                layers, "input_layers", ends_to_json(w, model, model->inputs, model->input_count), "output_layers",
                                ends_to_json(w, model, model->outputs, model->output_count)));
}

/* --- Sequential --- */

bool tlvk__is_plain_chain(const tlvk_model *model) {
    if (!model->sequential || !model->hidden_input || model->input_count != 1 || model->output_count != 1 || model->node_count != model->layer_count + 1)
        return false;
    for (int i = 0; i < model->layer_count; i++) {
        const struct tlvk_node *node = model->nodes[i + 1];
        if (node->layer != model->layers[i] || node->input_count != 1 || node->inputs[0].node != model->nodes[i] || tlvk__written_mode(node) != TLVK_CALL_DEFAULT)
            return false;
    }
    return true;
}

static json_t *sequential_to_json(writer *w, const tlvk_model *model, const char *name) {
    json_t *layers = json_array();
    json_array_append_new(layers, layer_to_json(w, model->hidden_input));
    for (int i = 0; !w->status && i < model->layer_count; i++)
        json_array_append_new(layers, layer_to_json(w, model->layers[i]));
    return checked(w, json_pack("{s:s, s:{s:s, s:o}}", "class_name", "Sequential", "config", "name", name, "layers", layers));
}

static json_t *model_to_json(writer *w, const tlvk_model *model, const char *name, bool trainable) {
    return tlvk__is_plain_chain(model) ? sequential_to_json(w, model, name) : functional_to_json(w, model, name, trainable);
}

char *tlvk__model_to_config(const tlvk_model *model, tlvk_status *status) {
    writer w = {.file = model->name, .status = tlvk__written_names_differ(model)};
    char *name = tlvk__written_name(model->name), *text = NULL;
    json_t *root = name && !w.status ? model_to_json(&w, model, name, model->trainable) : NULL;
    free(name);
    if (root && !w.status)
        text = json_dumps(root, JSON_REAL_PRECISION(9));
    if (!text && !w.status)
        failed(&w, tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for model_config", model->name));
    json_decref(root);
    *status = w.status;
    return text;
}
