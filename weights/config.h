/* config.h - what the files that read and write Keras's JSON share.
 * Hides nothing of its own; each function's contract stands here. All JSON values are jansson's. */
#ifndef TLVK_WEIGHTS_CONFIG_H
#define TLVK_WEIGHTS_CONFIG_H

#include "weights/weights.h"

#include <jansson.h>

/* Where in a file we are: for texts and for what depends on the file's age. */
typedef struct tlvk__config_place { const char *file, *layer, *class_name; int keras_version; } tlvk__config_place;

#define TLVK__PLACE_FORMAT "%s: layer '%s' (%s)"
#define TLVK__PLACE_ARGS(at) (at)->file, (at)->layer, (at)->class_name

/* --- values (config_values.c) --- */
/* Activation from a name, a serialized function or a serialized activation layer; null is linear. `key` is for texts. */
tlvk_status tlvk__activation_from_json(const tlvk__config_place *at, const char *key, const json_t *value, tlvk__activation *out);
/* NULL where the version has no form for it: a name that Keras 3 and tf_keras read alike (keras_version 2), or what Keras 3 reads (3). */
json_t *tlvk__activation_to_json(const tlvk__activation *a, int keras_version);
/* An initializer that is not known leaves *out as it is: the file's values replace what it would have drawn. */
tlvk_status tlvk__initializer_from_json(const tlvk__config_place *at, const char *key, const json_t *value, tlvk__initializer *out);
json_t *tlvk__initializer_to_json(const tlvk__initializer *i, int keras_version); /* NULL for the layer's default */
tlvk_status tlvk__regularizer_from_json(const tlvk__config_place *at, const char *key, const json_t *value, tlvk_regularizer *out);
json_t *tlvk__regularizer_to_json(const tlvk_regularizer *r, int keras_version);
bool tlvk__json_number(const json_t *value, double *out);       /* a number, also inside Keras's wrappings of NumPy scalars */
json_t *tlvk__json_float(float v);                               /* the shortest decimal that gives the same float */
bool tlvk__json_same(const json_t *a, const json_t *b);          /* equal, 1 and 1.0 too */
char *tlvk__json_brief(const json_t *value, char *buffer, size_t size); /* for texts: cut to the buffer; returns buffer */

/* --- attributes (config_fields.c) --- */
/* Fills attrs (op->attr_bytes, defaults set here) from a layer's config. What the operation's table does not know is refused by name. */
tlvk_status tlvk__attrs_from_json(const tlvk__config_place *at, const tlvk__op *op, json_t *config, void *attrs);
/* Adds the fields to `config`, in the form of Keras 2 or 3 by at->keras_version. */
tlvk_status tlvk__attrs_to_json(const tlvk__config_place *at, const tlvk__op *op, const void *attrs, json_t *config);

/* --- calls (config_calls.c) --- */
typedef struct tlvk__config_ref { const char *layer; int node, tensor; } tlvk__config_ref;
typedef struct tlvk__config_call {
    tlvk__config_ref *inputs; int input_count;
    bool keras3;              /* node numbers count from 0 for models too */
    tlvk_call_mode mode;
    bool has_constant, constant_first; double constant; /* x op c, or c op x */
} tlvk__config_call;
/* One entry of inbound_nodes in either form. Texts point into `node`. call->inputs is to be freed. */
tlvk_status tlvk__config_call_read(const tlvk__config_place *at, const json_t *node, tlvk__config_call *call);
/* input_layers or output_layers: one [name, node, tensor] or a list of such. Returns the count, -1 where it is neither, or more than capacity. */
int tlvk__config_ends(const json_t *value, tlvk__config_ref *refs, int capacity);

/* --- the order of a model's weights in files (order.c) --- */
typedef enum tlvk__weight_order {
    TLVK__ORDER_FLAGS,   /* trainable, then the rest, by the present flags as the model's generation of Keras walks them */
    TLVK__ORDER_TRAINED, /* the same as if everything were trainable */
    TLVK__ORDER_CREATED, /* layer by layer, as if everything were frozen */
    TLVK__ORDER_COUNT,   /* of those that a file may have */
    TLVK__ORDER_WRITTEN = TLVK__ORDER_COUNT /* by the flags of operations alone: how files are written here, where config_write.c makes the
                                               models' flags agree, so that every reader takes the same order from it */
} tlvk__weight_order;
/* A layer's (or nested model's) variables in that order; *count of them in malloc'd *out, NULL where there are none. Each variable once. */
tlvk_status tlvk__stored_order(const tlvk_layer *layer, tlvk__weight_order order, int keras_version, tlvk__variable ***out, int *count);

/* --- where Keras 3 keeps each layer's state (state.c) --- */
typedef enum tlvk__state_names {
    TLVK__STATE_LAYERS,      /* Keras 3 and tf_keras: "layers/conv2d", "layers/conv2d_1", counted by class within each model */
    TLVK__STATE_WRITTEN,     /* the same, and a layer that stands in several models comes in each: how files are written here */
    TLVK__STATE_DEPENDENCIES /* Keras 2.12 and 2.13: the same below "_layer_checkpoint_dependencies", where a layer with weights counts twice */
} tlvk__state_names;
/* Calls `visit` for every layer and nested model (WRITTEN aside, once), in the order in which Keras saves them, with its path. `path` is the visit's for its time only. */
typedef tlvk_status (*tlvk__state_visit)(void *user, const tlvk_layer *layer, const char *path);
tlvk_status tlvk__state_walk(const tlvk_model *model, tlvk__state_names names, tlvk__state_visit visit, void *user);

/* --- writing --- */
/* {"module": ..., "class_name": ..., "config": ..., "registered_name": null}: an object as Keras 3 serializes it. Takes `config`. */
json_t *tlvk__keras3_object(const char *module, const char *class_name, json_t *config);
/* Only what behaves differently in training takes the argument. */
tlvk_call_mode tlvk__written_mode(const struct tlvk_node *node);
/* A chain in which no call has a mode of its own, which a Sequential could not say. */
bool tlvk__is_plain_chain(const tlvk_model *model);
/* Does anything inside train? Then the model around it is written as trainable: Keras 3 asks the layers, tf_keras the models too. */
bool tlvk__anything_trains(const tlvk_layer *layer);
/* config.json of a .keras archive, with compile_config where the model was compiled; as tlvk__model_to_config. */
char *tlvk__model_to_keras3(const tlvk_model *model, tlvk_status *status);
json_t *tlvk__compile_config_of(const tlvk_model *model); /* NULL while a loss is not resolved */
/* "Adam" of "Custom>Adam", "adam", ...; false where it is none of the four. */
bool tlvk__optimizer_parse(const char *class_name, tlvk_optimizer_kind *kind);
/* The layer's name as it stands in files; malloc'd, NULL without memory. Keras 3 refuses names with a slash, which Keras 1 allowed. */
char *tlvk__written_name(const char *name);
/* TLVK_ERROR_UNSUPPORTED where two layers of one model, at any depth, would have the same name in a file. */
tlvk_status tlvk__written_names_differ(const tlvk_model *model);

#endif
