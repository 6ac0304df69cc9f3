/* graph.h - layers and models as a host-side graph. No Vulkan here.
 *
 * Calls, layers and variables are three things: a layer may be called twice, a variable shared. A node is one call of a layer.
 * Ownership: models count their layers, layers count their variables and nested models; a layer that was called but is in no model yet is
 * held by the context. Nodes are small and stay with the context until it goes, but a node lets go of its layer when no model uses the layer
 * any more, and then answers with an error instead of a crash. docs/graph.md tells it at length. */
#ifndef TLVK_GRAPH_H
#define TLVK_GRAPH_H

#include "core/context.h"
#include "ops/attrs.h"

typedef struct tlvk__variable {
    int references;
    uint64_t id;                   /* unique in the process */
    char *name;                    /* Keras's short name: "kernel" */
    tlvk__variable_spec spec;      /* spec.name points to `name` */
    size_t elements;
    float *values;                 /* dense, Keras's order; NULL until first wanted: drawn then from (seed, stream) */
    uint64_t seed, stream;
    uint64_t version;              /* grows with every change of the values on the host */
} tlvk__variable;

/* The values, drawn by the initializer when they were never set (keras/src/initializers/random_initializers.py). */
tlvk_status tlvk__variable_values(tlvk__variable *v, const float **values);
tlvk_status tlvk__variable_set(tlvk__variable *v, const float *values);
tlvk__variable *tlvk__variable_retain(tlvk__variable *v);
void tlvk__variable_release(tlvk__variable *v);

struct tlvk_layer {
    int references;
    tlvk_context *ctx;             /* not counted: nodes and models count it */
    uint64_t id;
    char *name;
    char *class_name;              /* "Conv2D", "Functional", "Sequential", "Model" */
    const tlvk__op *op;            /* NULL: a model used as a layer */
    tlvk_model *model;             /* counted; NULL for operations */
    void *attrs;                   /* op->attr_bytes bytes */
    bool trainable;
    bool built;
    tlvk__shape built_shape;       /* of the first input */
    tlvk__variable **variables; int variable_count; /* in Keras's creation order */
    struct tlvk_node **calls; int call_count; size_t call_capacity; /* its nodes in order of creation, Keras's _inbound_nodes; not counted */
    bool pending;                  /* called, but in no model so far: the context holds one reference */
    tlvk_model **owners; int owner_count; size_t owner_capacity; /* models that have it among their layers or as hidden input; not counted */
};

struct tlvk_node {                 /* one call */
    tlvk_context *ctx;
    uint64_t id;                   /* creation order */
    tlvk_layer *layer;             /* NULL once let go */
    tlvk_call_mode mode;
    tlvk_tensor *inputs; int input_count;
    tlvk__shape *outputs; int output_count;  /* shapes; operations have one output, models may have several */
    tlvk_status error; char *error_text;     /* a failed call: travels to everything built on it */
    int call_index;                /* its place in layer->calls */
    struct tlvk__opening *opening; /* inner layers of a model call, expressed on its inputs; NULL until asked for (open.c) */
};

typedef struct tlvk__training tlvk__training; /* compile and fit state, owned by engine/train */

/* What an optimizer remembers, on the host, as files keep it. A variable's slots are arrays of its shape, in the order of tlvk__optimizer_slots: Adam's
 * momentum and velocity, and so on. */
typedef struct tlvk__optimizer_state {
    int64_t iterations;            /* steps done */
    int count, slots;              /* variables, and arrays for each */
    tlvk__variable **variables;    /* counted */
    float **values;                /* [i * slots + k], dense, Keras's order; never NULL */
} tlvk__optimizer_state;
/* Room for the slots of these variables, all zero. NULL with fail text: no memory. */
tlvk__optimizer_state *tlvk__optimizer_state_create(tlvk__variable *const *variables, int count, int slots);
void tlvk__optimizer_state_destroy(tlvk__optimizer_state *s); /* takes NULL */
/* The slots of variable v, `slots` pointers; NULL where there are none of it. */
float *const *tlvk__optimizer_state_of(const tlvk__optimizer_state *s, const tlvk__variable *v);

struct tlvk_model {
    int references;                /* handles: tlvk_model_create, tlvk__model_retain */
    tlvk_context *ctx;             /* counted while there are handles */
    uint64_t id;
    char *name;
    bool sequential;
    bool trainable;
    tlvk_layer **layers; int layer_count;     /* Keras's model.layers order: by depth, then by creation; Sequential: without its InputLayer */
    struct tlvk_node **nodes; int node_count; /* this model's calls in an order in which they can run */
    tlvk_tensor inputs[TLVK_MAX_IO], outputs[TLVK_MAX_IO]; int input_count, output_count;
    tlvk_usage usage; char **class_names;     /* usage.class_names points here */
    int keras_version;             /* major version of the file it came from; 3 when built here */
    /* By tlvk_model_compile, losses and metrics resolved by fit; saved as training_config. `loss` is losses[0]; one entry per output, weights as
     * the loss is multiplied by them (1 where none was given, 0 for TLVK_ZERO). */
    struct {
        bool set, measures; /* all of this is known; all but the optimizer */
        tlvk_optimizer optimizer;
        tlvk_loss loss, losses[TLVK_MAX_IO];
        float loss_weights[TLVK_MAX_IO];
        tlvk_metric_kind metrics[TLVK_MAX_IO];
    } compiled;
    char *optimizer_config;        /* JSON text of training_config as read, or NULL; kept for saving until the model is compiled anew */
    tlvk__training *training; void (*training_destroy)(tlvk__training *);
    bool fitting;                  /* a fit runs, which needs `training` as it is, or the model as its augmentation; its callback may make calls meanwhile */
    /* Of the optimizer in `compiled`: as a file held it, or as optimizer_read last brought it from the device. Compiling starts without one. Saving asks
     * optimizer_read (set by engine/train; NULL: never compiled here) to bring it up to date. */
    tlvk__optimizer_state *optimizer_state; tlvk_status (*optimizer_read)(tlvk_model *model);
    tlvk_layer *hidden_input;      /* the InputLayer of a Sequential, which `layers` leaves out as Keras does; counted; NULL else */
    int uses;                      /* layers that wrap this model: they keep it, but not its context */
    tlvk_layer **wrappers; int wrapper_count; size_t wrapper_capacity; /* those layers; not counted */
    int nesting;                   /* levels of models inside it; at most TLVK__MAX_NESTING */
    int64_t flat_calls;            /* calls when everything is opened; at most TLVK__MAX_FLAT_CALLS */
};

/* A file may nest models so that opening them grows without bound; beyond these a model is refused. */
#define TLVK__MAX_NESTING 32
#define TLVK__MAX_FLAT_CALLS 1000000

/* TLVK_ERROR_ARGUMENT while a fit of the model runs: for calls that would take away what the fit works with. */
tlvk_status tlvk__model_check_idle(const tlvk_model *m);
tlvk_model *tlvk__model_retain(tlvk_model *m);
void tlvk__model_release(tlvk_model *m); /* takes NULL, as tlvk__layer_release does */
tlvk_layer *tlvk__layer_retain(tlvk_layer *l);
void tlvk__layer_release(tlvk_layer *l);

/* --- building from descriptions (used by the public API, by file readers and by nets) --- */
/* A layer that is not yet called. attrs are copied; name NULL: Keras's automatic name, counted per context ("conv2d", "conv2d_1"). One reference is the caller's. */
tlvk_status tlvk__layer_create(tlvk_context *ctx, const tlvk__op *op, const void *attrs, const char *name, bool trainable, tlvk_layer **out);
/* Keras's arithmetic between layers, x + 3: in a summary it stands under the operation's own class ("Add") and automatic name, while `op` is what does it
 * and what files are given. */
tlvk_status tlvk__layer_create_arithmetic(tlvk_context *ctx, const tlvk__op *op, const void *attrs, const char *class_name, const char *snake_name,
                                          tlvk_layer **out);
tlvk_status tlvk__layer_from_model(tlvk_model *model, const char *name, tlvk_layer **out); /* model is retained */
/* Calls a layer: infers shapes, builds its variables at the first call. The error, if any, is in the tensor. */
tlvk_tensor tlvk__call(tlvk_layer *layer, const tlvk_tensor *inputs, int count, tlvk_call_mode mode);
/* Output `index` of a model called as a layer. */
tlvk_tensor tlvk__node_output(struct tlvk_node *node, int index);
tlvk_tensor tlvk__error_tensor(tlvk_context *ctx, tlvk_status status, const char *format, ...) TLVK__PRINTF(3, 4);
const tlvk__shape *tlvk__tensor_shape_of(tlvk_tensor x); /* NULL for an error tensor */
/* sequential: one chain from an InputLayer, each layer called once, with one output and without a mode; anything else is refused by name. */
typedef struct tlvk__model_build { const char *name; bool sequential; const tlvk_tensor *inputs; int input_count; const tlvk_tensor *outputs; int output_count; } tlvk__model_build;
tlvk_status tlvk__model_build_from(tlvk_context *ctx, const tlvk__model_build *b, tlvk_model **out);
/* The innermost feature extractor whose layers slices count: the nested model with the most layers (counted at every depth, if they are more
 * than the layers beside it), and so on inwards, else the model itself. NULL: no memory. */
const tlvk_model *tlvk__feature_extractor(const tlvk_model *model);

/* --- the flat form the planner works on: nested models opened, composite operations taken apart --- */
typedef struct tlvk__flat_call {
    const tlvk__op *op; const void *attrs;
    const tlvk_layer *layer;       /* the layer it came from */
    char *path;                    /* "mobilenetv2/block_1/conv", for texts */
    int *inputs; int input_count;  /* flat tensor numbers */
    int output;
    tlvk__variable *variables[TLVK__MAX_VARIABLES]; int variable_count;
    bool trainable[TLVK__MAX_VARIABLES]; /* the variable is trained: its layer is trainable and its spec says so */
    bool layer_trainable;
    /* The mode given nearest to this call: its own, else that of the innermost model call around it that has one, else DEFAULT: the order that
     * keras/src/layers/layer.py states and tf_keras keeps. Keras 3.15 as it runs (functional.py, operation_fn) lets the outermost win, so that
     * its fit ignores every stored training=False; files that carry one mean it, so it is honoured here. */
    tlvk_call_mode mode;
    uint32_t stream;               /* of random layers, numbered in the order of calls; 0 for others */
    bool in_front;                 /* a picture layer before the model (tlvk__flat_compose): draws from random numbers of its own */
} tlvk__flat_call;
typedef struct tlvk__flat {
    tlvk__flat_call *calls; int call_count; /* in an order in which they can run; InputLayers left out */
    tlvk__shape *tensors; int tensor_count; /* batch and possibly other dims -1 */
    int inputs[TLVK_MAX_IO], outputs[TLVK_MAX_IO]; int input_count, output_count;
    void *storage;                 /* attrs of parts; freed with it */
} tlvk__flat;
tlvk_status tlvk__model_flatten(const tlvk_model *model, tlvk__flat *flat);
void tlvk__flat_free(tlvk__flat *flat);
/* Infers all shapes again for known input shapes (batch included), into shapes[tensor_count]. */
tlvk_status tlvk__flat_shapes(const tlvk__flat *flat, const tlvk__shape *inputs, tlvk__shape *shapes);

/* Every variable once, depth first in model.layers order: what load by order, save and count walk. Returns the count (-1: no memory); fills up
 * to capacity. A variable is trained when the model, its layer and its spec are trainable; models between do not matter, as in Keras 3. */
int tlvk__model_variables(const tlvk_model *model, tlvk__variable **variables, bool *trainable, int capacity);

#endif
