/* config_keras3.c - a model to config.json of a .keras archive.
 *
 * Hides: Keras 3's own dialect (keras/src/saving/serialization_lib.py, keras/src/models/functional.py and sequential.py): every object with the
 * module it is of, and tensors as objects that tell where they come from. A layer that stands in several models is written in each with its weights:
 * Keras's own sign for it, shared_object_id, makes files that Keras 3.15 itself cannot open again. */
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
        failed(w, tlvk__fail(TLVK_ERROR_MEMORY, "no memory for config.json"));
    return value;
}

/* --- layers --- */

static json_t *shape_to_json(const tlvk__shape *s) {
    json_t *list = json_array();
    for (int i = 0; i < s->rank; i++)
        json_array_append_new(list, s->dim[i] < 0 ? json_null() : json_integer(s->dim[i]));
    return list;
}

static json_t *operation_to_json(writer *w, const tlvk_layer *layer, const char *name) {
    tlvk__config_place at = {w->file, layer->name, layer->class_name, 3};
    json_t *config = json_pack("{s:s, s:s}", "name", name, "dtype", "float32");
    if (config && !(layer->op->flags & TLVK__OP_INPUT))
        json_object_set_new(config, "trainable", json_boolean(layer->trainable));
    if (!checked(w, config))
        return NULL;
    failed(w, tlvk__attrs_to_json(&at, layer->op, layer->attrs, config));
    const char *module = layer->op->keras3_module;
    json_t *entry = checked(w, tlvk__keras3_object(module ? module : "keras.layers", layer->op->class_name, config));
    if (entry && module)
        json_object_set_new(entry, "registered_name", json_string(layer->op->class_name));
    if (entry && layer->variable_count > 0)
        json_object_set_new(entry, "build_config", json_pack("{s:o}", "input_shape", shape_to_json(&layer->built_shape)));
    return entry;
}

static json_t *layer_to_json(writer *w, const tlvk_layer *layer) {
    char *name = tlvk__written_name(layer->name);
    json_t *entry = NULL;
    if (!checked(w, name ? json_true() : NULL))
        return NULL;
    if (layer->model)
        entry = model_to_json(w, layer->model, name, layer->trainable || tlvk__anything_trains(layer));
    else
        entry = operation_to_json(w, layer, name);
    free(name);
    return entry;
}

/* --- functional models --- */

/* The number of this node among the calls of its layer in this model. */
static int node_number(const tlvk_model *model, const struct tlvk_node *node) {
    int k = 0;
    for (int i = 0; i < model->node_count && model->nodes[i] != node; i++)
        k += model->nodes[i]->layer == node->layer;
    return k;
}

static json_t *history_to_json(writer *w, const tlvk_model *model, tlvk_tensor x, int first) {
    char *name = tlvk__written_name(x.node->layer->name);
    json_t *list = name ? json_pack("[s, i, i]", name, first + node_number(model, x.node), x.index) : NULL;
    free(name);
    return checked(w, list);
}

static json_t *tensor_to_json(writer *w, const tlvk_model *model, tlvk_tensor x) {
    return checked(w, json_pack("{s:s, s:{s:o, s:s, s:o}}", "class_name", "__keras_tensor__", "config", "shape", shape_to_json(tlvk__tensor_shape_of(x)),
                                "dtype", "float32", "keras_history", history_to_json(w, model, x, 0)));
}

static json_t *calls_to_json(writer *w, const tlvk_model *model, const tlvk_layer *layer) {
    json_t *calls = json_array();
    for (int i = 0; !w->status && i < model->node_count; i++) {
        const struct tlvk_node *node = model->nodes[i];
        if (node->layer != layer || node->input_count == 0)
            continue;
        bool list = layer->op ? layer->op->max_inputs > 1 : node->input_count > 1;
        json_t *args = json_array(), *inputs = list ? json_array() : json_incref(args), *keywords = json_object();
        for (int k = 0; k < node->input_count; k++)
            json_array_append_new(inputs, tensor_to_json(w, model, node->inputs[k]));
        if (list)
            json_array_append(args, inputs);
        json_decref(inputs);
        if (tlvk__written_mode(node) != TLVK_CALL_DEFAULT)
            json_object_set_new(keywords, "training", json_boolean(node->mode == TLVK_CALL_TRAINING));
        json_array_append_new(calls, json_pack("{s:o, s:o}", "args", args, "kwargs", keywords));
    }
    return checked(w, calls);
}

/* In output_layers Keras counts the making of a functional model as its node 0 (functional.py, functional_from_config). A single end stands alone. */
static json_t *ends_to_json(writer *w, const tlvk_model *model, const tlvk_tensor *ends, int count) {
    json_t *list = json_array();
    for (int i = 0; !w->status && i < count; i++) {
        const tlvk_model *inner = ends[i].node->layer->model;
        json_array_append_new(list, history_to_json(w, model, ends[i], inner && !tlvk__is_plain_chain(inner) ? 1 : 0));
    }
    if (count != 1)
        return checked(w, list);
    json_t *only = json_incref(json_array_get(list, 0));
    json_decref(list);
    return checked(w, only);
}

static void add_layer(writer *w, const tlvk_model *model, const tlvk_layer *layer, json_t *layers) {
    json_t *entry = w->status ? NULL : layer_to_json(w, layer);
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
    for (int i = 0; i < model->layer_count; i++)
        add_layer(w, model, model->layers[i], layers);
    json_t *config = json_pack("{s:s, s:b, s:o, s:o, s:o}", "name", name, "trainable", trainable, "layers", layers, "input_layers",
                               ends_to_json(w, model, model->inputs, model->input_count), "output_layers",
                               ends_to_json(w, model, model->outputs, model->output_count));
    return checked(w, json_pack("{s:s, s:s, s:o, s:s, s:{s:n}}", "module", "keras.src.models.functional", "class_name", "Functional", "config", config,
                                "registered_name", "Functional", "build_config", "input_shape"));
}

/* --- Sequential --- */

static json_t *sequential_to_json(writer *w, const tlvk_model *model, const char *name, bool trainable) {
    json_t *layers = json_array();
    json_array_append_new(layers, layer_to_json(w, model->hidden_input));
    for (int i = 0; !w->status && i < model->layer_count; i++)
        json_array_append_new(layers, layer_to_json(w, model->layers[i]));
    const tlvk__shape *shape = tlvk__tensor_shape_of(model->inputs[0]);
    json_t *config = json_pack("{s:s, s:b, s:s, s:o, s:o}", "name", name, "trainable", trainable, "dtype", "float32", "layers", layers, "build_input_shape",
                               shape_to_json(shape));
    json_t *entry = tlvk__keras3_object("keras", "Sequential", config);
    if (checked(w, entry))
        json_object_set_new(entry, "build_config", json_pack("{s:o}", "input_shape", shape_to_json(shape)));
    return entry;
}

static json_t *model_to_json(writer *w, const tlvk_model *model, const char *name, bool trainable) {
    return tlvk__is_plain_chain(model) ? sequential_to_json(w, model, name, trainable) : functional_to_json(w, model, name, trainable);
}

char *tlvk__model_to_keras3(const tlvk_model *model, tlvk_status *status) {
    writer w = {.file = model->name, .status = tlvk__written_names_differ(model)};
    char *name = tlvk__written_name(model->name), *text = NULL;
    json_t *root = name && !w.status ? model_to_json(&w, model, name, model->trainable) : NULL;
    json_t *compiled = root && model->compiled.set ? tlvk__compile_config_of(model) : NULL;
    if (compiled)
        json_object_set_new(root, "compile_config", compiled);
    if (root && !w.status)
        text = json_dumps(root, JSON_REAL_PRECISION(9));
    if (!text && !w.status)
        failed(&w, tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for config.json", model->name));
    json_decref(root);
    free(name);
    *status = w.status;
    return text;
}
