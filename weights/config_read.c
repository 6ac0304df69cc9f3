/* config_read.c - Keras's model_config in JSON to a model: Sequential and functional models, nested in any depth, layers called several times.
 *
 * Hides: which generation of Keras wrote it. The order of work is Keras's own (tf_keras/src/engine/functional.py, reconstruct_from_config):
 * all layers first, then calls in the order listed, each as soon as its inputs exist. */
#include "weights/config.h"

#include "ops/attrs.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 16    /* models inside models */
#define MAX_LAYERS 8192 /* in the whole file */
#define MAX_JSON_BYTES ((size_t)64 << 20)

/* A layer that Keras 3 says stands in several models, by its shared_object_id. */
typedef struct shared_layer { json_int_t id; tlvk_layer *layer; } shared_layer;
typedef struct reader {
    tlvk_context *ctx;
    const char *file;
    int keras_version, depth, layers;
    shared_layer *shared; size_t shared_count, shared_capacity;
    int narrow_count; /* layers whose dtype is one of half width */
} reader;

/* One entry of "layers" in a functional model. */
typedef struct slot {
    tlvk__config_place at;
    json_t *entry;
    tlvk_layer *layer;      /* made at the first call at the latest; arithmetic makes one for each call instead */
    const json_t *nodes;
    tlvk_tensor *calls; int call_count, call_total;
} slot;
typedef struct network { slot *slots; int count; json_t *index; /* name -> number of the slot */ } network;

static tlvk_status read_model(reader *r, json_t *entry, const tlvk__shape *hint, tlvk_model **out);

static bool is_model_class(const char *class_name) {
    return strcmp(class_name, "Sequential") == 0 || strcmp(class_name, "Functional") == 0 || strcmp(class_name, "Model") == 0;
}

/* Failures of shapes and calls are the file's fault here, not that of the caller's arguments. */
static tlvk_status blame_file(const reader *r, tlvk_status status) {
    return tlvk__fail_context(status == TLVK_ERROR_ARGUMENT ? TLVK_ERROR_FORMAT : status, "%s", r->file);
}

static tlvk_status tensor_status(const reader *r, tlvk_tensor x) {
    if (x.node && !x.node->error)
        return TLVK_OK;
    return blame_file(r, x.node ? tlvk__fail(x.node->error, "%s", x.node->error_text ? x.node->error_text : "no memory")
                                : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a call"));
}

/* --- entries: {"class_name": ..., "config": {...}, "name": ...} --- */

static json_t *config_of(const json_t *entry) { return json_object_get(entry, "config"); }

static bool trainable_of(const json_t *config) { return !json_is_false(json_object_get(config, "trainable")); }

static tlvk_status place_of(const reader *r, const json_t *entry, tlvk__config_place *at) {
    const char *name = json_string_value(json_object_get(entry, "name"));
    *at = (tlvk__config_place){r->file, name, json_string_value(json_object_get(entry, "class_name")), r->keras_version};
    if (!at->layer)
        at->layer = json_string_value(json_object_get(config_of(entry), "name"));
    if (!at->layer && at->class_name && is_model_class(at->class_name))
        at->layer = "model"; /* Sequential of Keras 2.0 has a bare list as its config */
    if (!at->layer || !*at->layer || !at->class_name)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: a layer without a name or class_name in model_config", r->file);
    return TLVK_OK;
}

/* "float32", null, or a serialized policy of that name. The half-width ones are computed in float32, which is counted for the log. */
static tlvk_status check_dtype(reader *r, const tlvk__config_place *at, const json_t *dtype) {
    static const char *const narrow[] = {"mixed_float16", "mixed_bfloat16", "float16", "bfloat16"};
    const char *name = json_string_value(json_is_object(dtype) ? json_object_get(json_object_get(dtype, "config"), "name") : dtype);
    char brief[160];
    if (!dtype || json_is_null(dtype) || (name && strcmp(name, "float32") == 0))
        return TLVK_OK;
    for (size_t i = 0; name && i < TLVK__COUNT(narrow); i++)
        if (strcmp(name, narrow[i]) == 0) {
            r->narrow_count++;
            return TLVK_OK;
        }
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, TLVK__PLACE_FORMAT ": its dtype is %s; this library computes in float32", TLVK__PLACE_ARGS(at),
                      tlvk__json_brief(dtype, brief, sizeof brief));
}

/* Files say which Python module a class is of; one that is not Keras's own may have the name of one that is. */
static tlvk_status check_module(const tlvk__config_place *at, const json_t *entry) {
    const json_t *module = json_object_get(entry, "module");
    const char *name = json_string_value(module);
    char brief[160];
    bool own = name && (strcmp(name, "keras") == 0 || strncmp(name, "keras.", 6) == 0 || strncmp(name, "tf_keras.", 9) == 0 ||
                        strncmp(name, "tensorflow.python.keras.", 24) == 0);
    if (!module || own)
        return TLVK_OK;
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, TLVK__PLACE_FORMAT ": its class is of the Python module %s; classes written in Python cannot be read",
                      TLVK__PLACE_ARGS(at), tlvk__json_brief(module, brief, sizeof brief));
}

static tlvk_status unknown_class(const tlvk__config_place *at) {
    if (strcmp(at->class_name, "Lambda") == 0)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: layer '%s' is a Lambda, which is Python code inside the file: this library does not run it",
                          at->file, at->layer);
    char known[700] = "";
    size_t used = 0;
    for (int i = 0; tlvk__op_at(i) && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", tlvk__op_at(i)->class_name);
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: layer '%s' is of class %s, which this library does not know; it knows %s, Sequential and Functional",
                      at->file, at->layer, at->class_name, known);
}

static const tlvk__op *op_of_class(const char *class_name) {
    /* TensorFlow 1.13 to 2.0 wrote the versioned names. */
    if (strcmp(class_name, "BatchNormalizationV1") == 0 || strcmp(class_name, "BatchNormalizationV2") == 0)
        return &tlvk__op_batch_normalization;
    return tlvk__op_find(class_name);
}

static tlvk_status make_operation(reader *r, const tlvk__config_place *at, json_t *entry, tlvk_layer **out) {
    const tlvk__op *op = op_of_class(at->class_name);
    json_t *config = config_of(entry);
    union { unsigned char bytes[TLVK__ATTR_BYTES]; double align; } attrs;
    if (!op)
        return unknown_class(at);
    if (!json_is_object(config))
        return tlvk__fail(TLVK_ERROR_FORMAT, TLVK__PLACE_FORMAT ": it has no config", TLVK__PLACE_ARGS(at));
    tlvk_status status = check_dtype(r, at, json_object_get(config, "dtype"));
    if (!status)
        status = tlvk__attrs_from_json(at, op, config, attrs.bytes);
    if (status)
        return status;
    if (op->flags & TLVK__OP_INPUT) {
        tlvk__input_attrs *input = (void *)attrs.bytes;
        if (input->batch_shape.rank < 2)
            return tlvk__fail(TLVK_ERROR_FORMAT, TLVK__PLACE_FORMAT ": its shape is not given", TLVK__PLACE_ARGS(at));
        input->batch_shape.dim[0] = -1; /* a batch size fixed in the file binds nobody */
    }
    return tlvk__layer_create(r->ctx, op, attrs.bytes, at->layer, trainable_of(config), out);
}

/* --- layers that stand in several models (keras/src/saving/serialization_lib.py, ObjectSharingScope) --- */

static tlvk_layer *find_shared(const reader *r, const json_t *entry) {
    const json_t *id = json_object_get(entry, "shared_object_id");
    for (size_t i = 0; json_is_integer(id) && i < r->shared_count; i++)
        if (r->shared[i].id == json_integer_value(id))
            return r->shared[i].layer;
    return NULL;
}

static tlvk_status keep_shared(reader *r, const json_t *entry, tlvk_layer *layer) {
    const json_t *id = json_object_get(entry, "shared_object_id");
    if (!json_is_integer(id))
        return TLVK_OK;
    shared_layer *grown = tlvk__grow(r->shared, &r->shared_capacity, r->shared_count + 1, sizeof *grown);
    if (!grown)
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for its shared layers", r->file);
    r->shared = grown;
    grown[r->shared_count++] = (shared_layer){json_integer_value(id), tlvk__layer_retain(layer)};
    return TLVK_OK;
}

static tlvk_status make_nested(reader *r, const tlvk__config_place *at, json_t *entry, const tlvk__shape *hint, tlvk_layer **out) {
    tlvk_model *model;
    tlvk_status status = read_model(r, entry, hint, &model);
    if (!status) {
        status = tlvk__layer_from_model(model, at->layer, out);
        tlvk__model_release(model);
    }
    return status;
}

/* `hint`: the shape of what it is first called with, for a Sequential that does not know its input; NULL: not known. */
static tlvk_status make_layer(reader *r, const tlvk__config_place *at, json_t *entry, const tlvk__shape *hint, tlvk_layer **out) {
    if (++r->layers > MAX_LAYERS)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: more than %d layers", r->file, MAX_LAYERS);
    tlvk_layer *shared = find_shared(r, entry);
    if (shared) {
        *out = tlvk__layer_retain(shared);
        return TLVK_OK;
    }
    tlvk_status status = check_module(at, entry);
    if (!status)
        status = is_model_class(at->class_name) ? make_nested(r, at, entry, hint, out) : make_operation(r, at, entry, out);
    if (!status && (status = keep_shared(r, entry, *out))) {
        tlvk__layer_release(*out);
        *out = NULL;
    }
    return status;
}

static tlvk_status make_input(reader *r, const char *name, const tlvk__shape *shape, tlvk_tensor *x) {
    tlvk__input_attrs attrs = {.batch_shape = *shape};
    attrs.batch_shape.dim[0] = -1;
    tlvk_layer *layer;
    tlvk_status status = tlvk__layer_create(r->ctx, &tlvk__op_input, &attrs, name, true, &layer);
    if (status)
        return status;
    *x = tlvk__call(layer, NULL, 0, TLVK_CALL_DEFAULT);
    tlvk__layer_release(layer);
    return tensor_status(r, *x);
}

/* --- plain arithmetic, written between layers in Python: x/127.5 - 1 --- */

typedef enum arithmetic { NO_ARITHMETIC, ADD, SUBTRACT, MULTIPLY, DIVIDE, RELU } arithmetic;

/* TFOpLambda of tf_keras and the operations of Keras 3; Keras 3 calls x + y "Add" as it calls the layer, which its config tells apart. */
static arithmetic arithmetic_of(const slot *s) {
    static const struct { const char *name; arithmetic kind; } names[] = {
        {"__operators__.add", ADD}, {"math.add", ADD}, {"math.subtract", SUBTRACT}, {"math.multiply", MULTIPLY}, {"math.truediv", DIVIDE},
        {"math.divide", DIVIDE}, {"nn.relu", RELU}, {"Add", ADD}, {"Subtract", SUBTRACT}, {"Multiply", MULTIPLY}, {"TrueDivide", DIVIDE},
        {"Divide", DIVIDE}, {"Relu", RELU},
    };
    bool lambda = strcmp(s->at.class_name, "TFOpLambda") == 0;
    const json_t *config = config_of(s->entry);
    if (!lambda && json_object_get(config, "trainable"))
        return NO_ARITHMETIC;
    const char *name = lambda ? json_string_value(json_object_get(config, "function")) : s->at.class_name;
    for (size_t i = 0; name && i < TLVK__COUNT(names); i++)
        if (strcmp(name, names[i].name) == 0)
            return names[i].kind;
    return NO_ARITHMETIC;
}

static tlvk_status refuse_arithmetic(const slot *s) {
    const char *function = json_string_value(json_object_get(config_of(s->entry), "function"));
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, TLVK__PLACE_FORMAT ": the operation %s with these operands is not one of those this library knows; it knows "
                      "+, - and * of two tensors, and +, -, *, / with a number", TLVK__PLACE_ARGS(&s->at), function ? function : s->at.class_name);
}

/* The layer that does it: Rescaling for a number; Add, Subtract or Multiply for two tensors; ReLU. */
static tlvk_status make_arithmetic(reader *r, const slot *s, const tlvk__config_call *call, tlvk_layer **out) {
    arithmetic kind = arithmetic_of(s);
    const tlvk__op *op = NULL;
    union { unsigned char bytes[TLVK__ATTR_BYTES]; double align; tlvk__rescaling_attrs rescaling; } attrs = {.align = 0};
    float scale = 1, offset = 0;
    bool first = call->constant_first;
    double c = call->constant;
    if (call->has_constant && call->input_count == 1 && kind != RELU && !(kind == DIVIDE && (first || c == 0))) {
        op = &tlvk__op_rescaling;
        scale = (float)(kind == MULTIPLY ? c : kind == DIVIDE ? 1 / c : kind == SUBTRACT && first ? -1 : 1);
        offset = (float)(kind == ADD || (kind == SUBTRACT && first) ? c : kind == SUBTRACT ? -c : 0);
    } else if (!call->has_constant && call->input_count == 2) {
        op = kind == ADD ? &tlvk__op_add : kind == SUBTRACT ? &tlvk__op_subtract : kind == MULTIPLY ? &tlvk__op_multiply : NULL;
    } else if (!call->has_constant && call->input_count == 1 && kind == RELU) {
        op = &tlvk__op_relu;
    }
    if (!op)
        return refuse_arithmetic(s);
    if (op->defaults)
        op->defaults(attrs.bytes);
    if (op == &tlvk__op_rescaling)
        attrs.rescaling = (tlvk__rescaling_attrs){tlvk__one_float(scale), tlvk__one_float(offset)};
    char *name = s->call_count ? tlvk__format("%s_call_%d", s->at.layer, s->call_count) : tlvk__strdup(s->at.layer);
    tlvk_status status = name ? tlvk__layer_create(r->ctx, op, attrs.bytes, name, true, out) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a name");
    free(name);
    return status;
}

/* --- functional models --- */

/* Keras 1 and 2 count the making of a model, of its own inputs, as its node 0, so that its first call is node 1; Keras 3 does so for
 * functional models in output_layers alone (functional.py, get_tensor). `from_zero`: a reference of Keras 3. `ends`: in output_layers. */
static tlvk_tensor find_output(const network *n, const tlvk__config_ref *ref, bool from_zero, bool ends) {
    const json_t *index = json_object_get(n->index, ref->layer);
    const slot *s = index ? &n->slots[json_integer_value(index)] : NULL;
    if (!s)
        return (tlvk_tensor){0};
    int call = ref->node;
    bool making_counts = from_zero ? ends && strcmp(s->at.class_name, "Sequential") != 0 : true;
    if (making_counts && call > 0 && is_model_class(s->at.class_name))
        call--;
    if (call >= s->call_count)
        return (tlvk_tensor){0};
    return ref->tensor == 0 ? s->calls[call] : tlvk__node_output(s->calls[call].node, ref->tensor);
}

/* Where nothing was said of the mode, Keras 3 writes down the default of the layer's call, if it has one (keras/src/layers/layer.py, "Any non-None
 * default value for `training`"): False for Dropout and its like, True for the Random... layers. Read back, that says nothing either. */
static tlvk_call_mode said_mode(const tlvk_layer *layer, const tlvk__config_call *call) {
    bool random = layer->op && (layer->op->flags & TLVK__OP_RANDOM);
    tlvk_call_mode silent = random && strncmp(layer->class_name, "Random", 6) == 0 ? TLVK_CALL_TRAINING : TLVK_CALL_INFERENCE;
    return call->keras3 && random && call->mode == silent ? TLVK_CALL_DEFAULT : call->mode;
}

static tlvk_status call_slot(reader *r, slot *s, const tlvk__config_call *call, const tlvk_tensor *inputs) {
    tlvk_layer *layer = NULL;
    tlvk_status status = TLVK_OK;
    bool lambda = strcmp(s->at.class_name, "TFOpLambda") == 0, own = lambda || call->has_constant || arithmetic_of(s) == RELU;
    if (own)
        status = arithmetic_of(s) == NO_ARITHMETIC ? (lambda ? refuse_arithmetic(s) : unknown_class(&s->at)) : make_arithmetic(r, s, call, &layer);
    else if (!s->layer)
        status = make_layer(r, &s->at, s->entry, tlvk__tensor_shape_of(inputs[0]), &s->layer);
    if (status)
        return status;
    tlvk_tensor y = tlvk__call(own ? layer : s->layer, inputs, call->input_count, said_mode(own ? layer : s->layer, call));
    tlvk__layer_release(layer);
    status = tensor_status(r, y);
    if (!status)
        s->calls[s->call_count++] = y;
    return status;
}

/* Makes the slot's next call if its inputs exist; *done tells. */
static tlvk_status try_call(reader *r, const network *n, slot *s, bool *done) {
    tlvk__config_call call;
    tlvk_tensor inputs[TLVK__MAX_INPUTS];
    *done = false;
    tlvk_status status = tlvk__config_call_read(&s->at, json_array_get(s->nodes, (size_t)s->call_count), &call);
    if (status)
        return status;
    bool ready = true;
    for (int i = 0; !status && ready && i < call.input_count; i++) {
        if (!json_object_get(n->index, call.inputs[i].layer))
            status = tlvk__fail(TLVK_ERROR_FORMAT, TLVK__PLACE_FORMAT ": it reads '%s', which the model does not have", TLVK__PLACE_ARGS(&s->at),
                                call.inputs[i].layer);
        else
            inputs[i] = find_output(n, &call.inputs[i], call.keras3, false);
        ready = !status && inputs[i].node;
    }
    if (!status && ready) {
        status = call_slot(r, s, &call, inputs);
        *done = !status;
    }
    free(call.inputs);
    return status;
}

static tlvk_status make_calls(reader *r, network *n) {
    for (bool progress = true; progress;) {
        progress = false;
        for (int i = 0; i < n->count; i++)
            for (bool done = true; done && n->slots[i].call_count < n->slots[i].call_total;) {
                tlvk_status status = try_call(r, n, &n->slots[i], &done);
                if (status)
                    return status;
                progress = progress || done;
            }
    }
    for (int i = 0; i < n->count; i++)
        if (n->slots[i].call_count < n->slots[i].call_total)
            return tlvk__fail(TLVK_ERROR_FORMAT, TLVK__PLACE_FORMAT ": its inputs can never be computed: the graph has a loop or a missing call",
                              TLVK__PLACE_ARGS(&n->slots[i].at));
    return TLVK_OK;
}

static tlvk_status add_slot(reader *r, network *n, json_t *entry) {
    slot *s = &n->slots[n->count];
    s->entry = entry;
    s->nodes = json_object_get(entry, "inbound_nodes");
    tlvk_status status = place_of(r, entry, &s->at);
    if (status)
        return status;
    if (json_object_get(n->index, s->at.layer))
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: two layers are named '%s'", r->file, s->at.layer);
    bool input = strcmp(s->at.class_name, "InputLayer") == 0;
    s->call_total = input ? 1 : (int)TLVK__MIN(json_array_size(s->nodes), (size_t)MAX_LAYERS);
    s->calls = tlvk__calloc((size_t)TLVK__MAX(s->call_total, 1), sizeof *s->calls);
    if (!s->calls || json_object_set_new(n->index, s->at.layer, json_integer(n->count)) != 0)
        return tlvk__fail(TLVK_ERROR_MEMORY, TLVK__PLACE_FORMAT ": no memory", TLVK__PLACE_ARGS(&s->at));
    n->count++;
    if (!input)
        return TLVK_OK;
    status = make_layer(r, &s->at, entry, NULL, &s->layer);
    return status ? status : call_slot(r, s, &(tlvk__config_call){0}, NULL);
}

static tlvk_status find_ends(reader *r, const network *n, const json_t *config, const char *key, tlvk_tensor *ends, int *count) {
    tlvk__config_ref refs[TLVK_MAX_IO];
    char brief[160];
    const json_t *value = json_object_get(config, key);
    *count = tlvk__config_ends(value, refs, TLVK_MAX_IO);
    if (*count < 1)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: its %s are %s; a list of 1 to %d [layer, node, tensor] was expected", r->file, key,
                          tlvk__json_brief(value, brief, sizeof brief), TLVK_MAX_IO);
    for (int i = 0; i < *count; i++) {
        ends[i] = find_output(n, &refs[i], r->keras_version >= 3, true);
        if (!ends[i].node)
            return tlvk__fail(TLVK_ERROR_FORMAT, "%s: its %s name '%s' (call %d), which there is not", r->file, key, refs[i].layer, refs[i].node);
    }
    return TLVK_OK;
}

static tlvk_status read_functional(reader *r, const tlvk__config_place *at, json_t *entry, tlvk_model **out) {
    json_t *config = config_of(entry), *layers = json_object_get(config, "layers");
    tlvk__model_build build = {.name = at->layer};
    tlvk_tensor inputs[TLVK_MAX_IO], outputs[TLVK_MAX_IO];
    if (!json_is_array(layers) || json_array_size(layers) == 0)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: model '%s' has no list of layers: a model that is Python code cannot be read", r->file, at->layer);
    if (json_array_size(layers) > MAX_LAYERS)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: more than %d layers", r->file, MAX_LAYERS);
    network n = {.slots = tlvk__calloc(json_array_size(layers), sizeof *n.slots), .index = json_object()};
    tlvk_status status = n.slots && n.index ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for its layers", r->file);
    for (size_t i = 0; !status && i < json_array_size(layers); i++)
        status = add_slot(r, &n, json_array_get(layers, i));
    if (!status)
        status = make_calls(r, &n);
    if (!status)
        status = find_ends(r, &n, config, "input_layers", inputs, &build.input_count);
    if (!status)
        status = find_ends(r, &n, config, "output_layers", outputs, &build.output_count);
    build.inputs = inputs;
    build.outputs = outputs;
    if (!status) {
        status = tlvk__model_build_from(r->ctx, &build, out);
        if (status)
            status = blame_file(r, status);
    }
    for (int i = 0; n.slots && i < (int)json_array_size(layers); i++) {
        tlvk__layer_release(n.slots[i].layer);
        free(n.slots[i].calls);
    }
    free(n.slots);
    json_decref(n.index);
    return status;
}

/* --- Sequential --- */

static bool input_shape_of(const json_t *value, tlvk__shape *shape) {
    if (!json_is_array(value) || json_array_size(value) < 2 || json_array_size(value) > TLVK__MAX_RANK)
        return false;
    *shape = (tlvk__shape){.rank = (int)json_array_size(value)};
    for (int i = 0; i < shape->rank; i++) {
        const json_t *dim = json_array_get(value, (size_t)i);
        shape->dim[i] = json_is_integer(dim) ? (int64_t)json_integer_value(dim) : -1;
        if (i > 0 && shape->dim[i] != -1 && (shape->dim[i] < 1 || shape->dim[i] > INT32_MAX))
            return false;
    }
    return true;
}

/* Of a Sequential without InputLayer: on the first layer, recorded when it was built, or what it is called with. */
static bool sequential_shape(const json_t *entry, const json_t *first, const tlvk__shape *hint, tlvk__shape *shape) {
    const json_t *config = config_of(first);
    if (input_shape_of(json_object_get(config, "batch_input_shape"), shape) || input_shape_of(json_object_get(config, "batch_shape"), shape) ||
        input_shape_of(json_object_get(config_of(entry), "build_input_shape"), shape) ||
        input_shape_of(json_object_get(json_object_get(entry, "build_config"), "input_shape"), shape))
        return true;
    if (hint)
        *shape = *hint;
    return hint != NULL;
}

/* The input tensor, and how many entries of `layers` it took: 1 for an InputLayer, else 0. A first layer that is a model knows its input itself. */
static tlvk_status begin_sequential(reader *r, const tlvk__config_place *model, json_t *entry, json_t *layers, const tlvk__shape *hint, tlvk_tensor *x,
                                    tlvk_layer **first_layer, size_t *taken) {
    tlvk__config_place at;
    tlvk__shape shape;
    json_t *first = json_array_get(layers, 0);
    tlvk_status status = place_of(r, first, &at);
    if (status)
        return status;
    bool input = strcmp(at.class_name, "InputLayer") == 0, known = sequential_shape(entry, first, hint, &shape);
    *taken = input ? 1 : 0;
    if (input || is_model_class(at.class_name))
        status = make_layer(r, &at, first, known ? &shape : NULL, first_layer);
    if (status)
        return status;
    if (input) {
        *x = tlvk__call(*first_layer, NULL, 0, TLVK_CALL_DEFAULT);
        tlvk__layer_release(*first_layer);
        *first_layer = NULL;
        return tensor_status(r, *x);
    }
    if (*first_layer) {
        shape = *tlvk__tensor_shape_of((*first_layer)->model->inputs[0]);
        known = true;
    }
    if (!known)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: model '%s' does not say the shape of its input: it was saved before it was built", r->file,
                          model->layer);
    char *name = tlvk__format("%s_input", at.layer);
    status = name ? make_input(r, name, &shape, x) : tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for a name", r->file);
    free(name);
    return status;
}

static tlvk_status append_sequential(reader *r, json_t *entry, tlvk_layer *made, tlvk_tensor *x) {
    tlvk__config_place at;
    tlvk_layer *layer = made ? tlvk__layer_retain(made) : NULL;
    tlvk_status status = place_of(r, entry, &at);
    if (!status && !layer)
        status = make_layer(r, &at, entry, tlvk__tensor_shape_of(*x), &layer);
    if (!status) {
        *x = tlvk__call(layer, x, 1, TLVK_CALL_DEFAULT);
        status = tensor_status(r, *x);
    }
    tlvk__layer_release(layer);
    return status;
}

static tlvk_status read_sequential(reader *r, const tlvk__config_place *at, json_t *entry, const tlvk__shape *hint, tlvk_model **out) {
    json_t *config = config_of(entry), *layers = json_is_array(config) ? config : json_object_get(config, "layers");
    tlvk_tensor input = {0}, x;
    tlvk_layer *first_layer = NULL;
    size_t taken = 0;
    if (!json_is_array(layers) || json_array_size(layers) == 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: model '%s' has no layers", r->file, at->layer);
    tlvk_status status = begin_sequential(r, at, entry, layers, hint, &input, &first_layer, &taken);
    x = input;
    for (size_t i = taken; !status && i < json_array_size(layers); i++)
        status = append_sequential(r, json_array_get(layers, i), i == 0 ? first_layer : NULL, &x);
    tlvk__layer_release(first_layer);
    if (status)
        return status;
    status = tlvk__model_build_from(r->ctx, &(tlvk__model_build){at->layer, true, &input, 1, &x, 1}, out);
    return status ? blame_file(r, status) : TLVK_OK;
}

/* --- models --- */

static tlvk_status read_model(reader *r, json_t *entry, const tlvk__shape *hint, tlvk_model **out) {
    tlvk__config_place at;
    tlvk_status status = place_of(r, entry, &at);
    if (!status && is_model_class(at.class_name))
        status = check_module(&at, entry);
    if (status)
        return status;
    if (r->depth == MAX_DEPTH)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: models are nested more than %d deep", r->file, MAX_DEPTH);
    if (!is_model_class(at.class_name))
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: the model is of class %s; Sequential, Functional and Model can be read, classes written in Python cannot",
                          r->file, at.class_name);
    r->depth++;
    *out = NULL;
    status = strcmp(at.class_name, "Sequential") == 0 ? read_sequential(r, &at, entry, hint, out) : read_functional(r, &at, entry, out);
    r->depth--;
    if (status)
        return status;
    (*out)->trainable = trainable_of(config_of(entry));
    (*out)->keras_version = r->keras_version;
    return TLVK_OK;
}

tlvk_status tlvk__model_from_config(tlvk_context *ctx, const char *json, const char *file, int keras_version, tlvk_model **out) {
    return tlvk__model_from_config_on(ctx, json, file, keras_version, NULL, out);
}

tlvk_status tlvk__model_from_config_on(tlvk_context *ctx, const char *json, const char *file, int keras_version, const tlvk__shape *input, tlvk_model **out) {
    json_error_t error;
    *out = NULL;
    if (strlen(json) > MAX_JSON_BYTES)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: its model_config of %zu bytes is larger than any model's", file, strlen(json));
    json_t *root = json_loads(json, 0, &error);
    if (!root)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: its model_config is not JSON: %s (character %d)", file, error.text, error.position);
    reader r = {.ctx = ctx, .file = file, .keras_version = keras_version};
    tlvk_status status = read_model(&r, root, input, out);
    for (size_t i = 0; i < r.shared_count; i++)
        tlvk__layer_release(r.shared[i].layer);
    free(r.shared);
    json_decref(root);
    if (!status && r.narrow_count)
        tlvk__context_log(ctx, TLVK_LOG_WARNING, "%s: %d of its layers are of a dtype of half width; they are computed in float32 here", file, r.narrow_count);
    return status;
}
