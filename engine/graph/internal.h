/* internal.h - what the files of engine/graph share and no other room sees: the context's store of nodes and names, pointer maps, the walk over
 * a graph in Keras's order, and texts. */
#ifndef TLVK_GRAPH_INTERNAL_H
#define TLVK_GRAPH_INTERNAL_H

#include "graph/graph.h"

/* --- a map from pointers to numbers (store.c) --- */
typedef struct tlvk__map { const void **keys; int *values; size_t count, capacity; } tlvk__map;
bool tlvk__map_put(tlvk__map *map, const void *key, int value); /* adds or replaces; false: no memory */
int tlvk__map_get(const tlvk__map *map, const void *key);       /* -1 when absent */
void tlvk__map_free(tlvk__map *map);

/* --- text that grows (store.c) --- */
typedef struct tlvk__text { char *data; size_t length, capacity; bool failed; } tlvk__text;
void tlvk__text_add(tlvk__text *t, const char *format, ...) TLVK__PRINTF(2, 3); /* `failed` tells at the end of missing memory */

/* --- the context's nodes and automatic names (store.c) --- */
/* A new node, kept by the context; everything zero but ctx and id. NULL with fail text. */
struct tlvk_node *tlvk__node_create(tlvk_context *ctx);
/* Keras's auto_name: "conv2d", "conv2d_1", ... per context. `prefix` must outlive the context. malloc'd; NULL: no memory. */
char *tlvk__auto_name(tlvk_context *ctx, const char *prefix);
/* Tells of a name given by hand or by a file, so that no automatic name repeats it. (Keras would repeat it and refuse the model.) */
void tlvk__name_taken(tlvk_context *ctx, const char *name);

/* --- variables (variable.c, initializer.c) --- */
tlvk_status tlvk__variable_create(tlvk_context *ctx, const tlvk__variable_spec *spec, tlvk__variable **out);
/* Draws spec->shape's values by Keras's formulas from (seed, stream). */
void tlvk__initialize(const tlvk__variable_spec *spec, size_t elements, uint64_t seed, uint64_t stream, float *values);

/* --- layers (layer.c) --- */
/* Output shapes for input shapes; builds the variables at the first time, later checks that they fit. outputs: room for TLVK_MAX_IO. */
tlvk_status tlvk__layer_infer(tlvk_layer *layer, int count, const tlvk__shape *inputs, tlvk__shape *outputs, int *output_count);
/* Do variables made for the shape `built` fit these inputs? The text says what they were made for. */
tlvk_status tlvk__variables_fit(const tlvk__op *op, const void *attrs, tlvk__variable *const *variables, int variable_count,
                                const tlvk__shape *built, int count, const tlvk__shape *inputs);
/* As the setter of Keras 3's Layer.trainable: a model's flag reaches every layer inside it. */
tlvk_status tlvk__layer_set_trainable(tlvk_layer *layer, bool trainable);
void tlvk__layer_settle(tlvk_layer *layer); /* a model counts it now: the context lets go */
/* A model takes a layer: counts it and stands among its owners. */
tlvk_status tlvk__layer_enter(tlvk_layer *layer, tlvk_model *model);
void tlvk__layer_leave(tlvk_layer *layer, tlvk_model *model); /* the reverse; takes NULL */

/* --- what the building calls share (build_api.c) --- */
/* A number of a descriptor: 0 is the default, TLVK_ZERO is 0. */
float tlvk__build_number(float given, float otherwise);
/* Two numbers of a descriptor: 0 is the default, the second is as the first where it is left out. */
void tlvk__build_pair(int to[2], const int given[2], int otherwise);
/* An initializer with Keras's numbers; TLVK_INIT_DEFAULT leaves *to as it is. */
void tlvk__build_initializer(tlvk__initializer *to, tlvk_initializer_kind kind);
/* An operation without attributes, or with the default ones, on a list of tensors. */
tlvk_tensor tlvk__build_merge(const char *call, const tlvk__op *op, const tlvk_tensor *x, int count, const char *name);
/* One new layer called on x. `call` is the public function's name, for texts. */
tlvk_tensor tlvk__build_apply(const char *call, const tlvk__op *op, const void *attrs, const char *name, bool trainable, const tlvk_tensor *x, int count);
/* The tensor of a call that lacks something; the error of x, if there is one, goes on instead. */
tlvk_tensor tlvk__build_missing(tlvk_tensor x, const char *call, const char *what);

/* --- graphs (map.c) --- */
/* The calls between inputs and outputs, as keras/src/ops/function.py's map_graph finds and orders them. */
typedef struct tlvk__graph_map {
    struct tlvk_node **nodes; int *depths; int node_count; /* in an order in which they can run */
    tlvk_layer **layers; int layer_count;                  /* by decreasing depth, then by the traversal from the outputs */
} tlvk__graph_map;
tlvk_status tlvk__map_graph(const tlvk_tensor *inputs, int input_count, const tlvk_tensor *outputs, int output_count, tlvk__graph_map *map);
void tlvk__graph_map_free(tlvk__graph_map *map);
static inline bool tlvk__same_tensor(tlvk_tensor a, tlvk_tensor b) { return a.node == b.node && a.index == b.index; }
static inline bool tlvk__is_input(const struct tlvk_node *node) { return node->layer && node->layer->op && (node->layer->op->flags & TLVK__OP_INPUT); }

/* --- models (model.c, open.c) --- */
void tlvk__model_free(tlvk_model *model); /* no handle and no layer has it any more */
void tlvk__model_forget_training(tlvk_model *model); /* its graph changes: it is as if it had never been compiled */
tlvk_status tlvk__model_infer(const tlvk_model *model, int count, const tlvk__shape *inputs, tlvk__shape *outputs);
struct tlvk_node *tlvk__model_node_of(const tlvk_model *model, const tlvk_layer *layer); /* the layer's first call, by creation, in this model; NULL: none */
/* Parameters of a model, or (model NULL) of a layer that is none; how many of them are trained. */
tlvk_status tlvk__count_params(const tlvk_model *model, const tlvk_layer *layer, int64_t *total, int64_t *trained);
int tlvk__output_text(const struct tlvk_node *node, char *buffer, size_t size);          /* "(None, 10)", or "[(None, 10), (None, 2)]" */
void tlvk__opening_free(struct tlvk__opening *opening);
/* `path` leads from one of the model's own layers through nested models to a layer; its output, connected to the model's inputs. */
tlvk_tensor tlvk__path_output(const tlvk_model *model, tlvk_layer *const *path, int length);

/* --- finding (find.c) --- */
/* Visits every layer at every depth once, depth first in model.layers order; path[0..length) leads to it, path[length - 1] is the layer itself.
 * The visit ends the walk by returning false. False: no memory. */
typedef bool (*tlvk__visit)(void *user, tlvk_layer *const *path, int length);
bool tlvk__walk_layers(const tlvk_model *model, tlvk__visit visit, void *user);
/* The layer of a name: one of the model's own layers, else the only one at any depth whose path ends in `name`. path: room for TLVK__MAX_NESTING + 1. */
tlvk_status tlvk__find_layer(const tlvk_model *model, const char *name, tlvk_layer **path, int *length);
bool tlvk__glob(const char *pattern, const char *text); /* *, ?, [a-z], [!a-z] */
void tlvk__near_names(const tlvk_model *model, const char *name, char *buffer, size_t size); /* "; near it: a, b", or "" */

#endif
