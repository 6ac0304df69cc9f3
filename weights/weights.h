/* weights.h - Keras's files: whole models and weights, HDF5 of Keras 1 to 3, `.keras` and `.weights.h5`.
 *
 * Hides: HDF5, zip, JSON, where names and order live in each generation of files, and that a hostile file is parsed in a guarded child process. */
#ifndef TLVK_WEIGHTS_H
#define TLVK_WEIGHTS_H

#include "graph/graph.h"

/* --- a file's content, once it has passed the guard: plain trees of attributes and float arrays ---
 * Everything points into `storage`, one block that came from the guarded child; only the tree's own arrays are separate. */
typedef struct tlvk__h5_array { const char *path; tlvk__shape shape; const float *values; size_t elements; } tlvk__h5_array;
typedef struct tlvk__h5_group { const char *name; tlvk__h5_array *weights; int weight_count; } tlvk__h5_group;
typedef enum tlvk__h5_form {
    TLVK__FORM_LAYERS, /* Keras 1 to 3: a group for each layer, named in layer_names */
    TLVK__FORM_STATE   /* Keras 3 (.weights.h5, .keras): groups by where a layer stands in the model */
} tlvk__h5_form;
typedef struct tlvk__h5_content {
    tlvk__h5_form form;
    bool archive;                               /* a .keras: model_config is its config.json, compile settings inside */
    const char *model_config, *training_config; /* JSON text; NULL when absent */
    const char *keras_version, *backend;        /* "1" when absent, as Keras takes it; backend NULL when absent */
    const char *usage;                          /* this library's own attribute (preprocessing, class names), JSON; NULL when absent */
    /* LAYERS: in layer_names order. STATE: every group that has a `vars`, `name` being its path ("layers/conv2d_1", "optimizer", "" for the root),
     * weights those of `vars` in the order 0, 1, 2, ... */
    tlvk__h5_group *layers; int layer_count;
    tlvk__h5_group optimizer;                   /* LAYERS: of the group optimizer_weights, in weight_names order; none when absent */
    int64_t narrow;                             /* how many arrays lie in the file as float16 or bfloat16 */
    void *storage;
} tlvk__h5_content;

/* Reads a whole-model or weights-only file of any form, told by its content. *out is the caller's, to be freed with tlvk__h5_free.
 * TLVK_ERROR_FILE: the system refused it; TLVK_ERROR_FORMAT: not such a file, or damaged; TLVK_ERROR_UNSUPPORTED: a form that is not read, named. */
tlvk_status tlvk__h5_read(const char *path, tlvk__h5_content **out);
void tlvk__h5_free(tlvk__h5_content *content);

/* Writes a file in the form of Keras 2 that Keras 3 and tf_keras open: a whole model, or weights alone. Written beside and renamed. */
tlvk_status tlvk__h5_write_model(tlvk_model *model, const char *path);
tlvk_status tlvk__h5_write_weights(tlvk_model *model, const char *path);
/* Writes Keras 3's own forms: a .keras archive, or a .weights.h5. */
tlvk_status tlvk__keras_write_model(tlvk_model *model, const char *path);
tlvk_status tlvk__keras_write_weights(tlvk_model *model, const char *path);

/* --- models --- */
/* Builds the model that Keras's JSON describes, with weights not yet set. `file` is for texts; `keras_version` the major version that wrote it. */
tlvk_status tlvk__model_from_config(tlvk_context *ctx, const char *json, const char *file, int keras_version, tlvk_model **out);
/* The same, where `input` is the shape (batch first) that a Sequential which does not say its own is made for; NULL: none. */
tlvk_status tlvk__model_from_config_on(tlvk_context *ctx, const char *json, const char *file, int keras_version, const tlvk__shape *input, tlvk_model **out);
/* Keras's JSON that Keras 3 and tf_keras both read; malloc'd; NULL with the reason in the fail text and its status in *status. */
char *tlvk__model_to_config(const tlvk_model *model, tlvk_status *status);
/* Sets the model's weights from a file's content. All or nothing. TLVK_ERROR_ARGUMENT, with both sides in the text, where they do not fit. */
tlvk_status tlvk__model_assign_by_order(tlvk_model *model, const tlvk__h5_content *content, const char *file);
tlvk_status tlvk__model_assign_by_name(tlvk_model *model, const tlvk__h5_content *content, const char *file);
/* The same for a model built from this file's own model_config: where every name is found, names decide, which cannot mistake two layers of one shape. */
tlvk_status tlvk__model_assign_whole(tlvk_model *model, const tlvk__h5_content *content, const char *file);
/* Keras 3's form: each layer's weights by where it stands. Groups of the file that no layer asks for are left out, as Keras does; *unused tells how
 * many of them hold weights (optimizer, metrics and random seeds aside). `unused` may be NULL. */
tlvk_status tlvk__model_assign_state(tlvk_model *model, const tlvk__h5_content *content, const char *file, int *unused);
/* Keras's major version from the text of the attribute; 1 when it cannot be told. */
int tlvk__keras_major(const char *version);

/* How pictures are made ready, as the JSON text of this library's own attribute (malloc'd; NULL: no memory), and back. */
char *tlvk__usage_to_json(const tlvk_usage *usage);
tlvk_status tlvk__usage_from_json(tlvk_model *model, const char *json);
/* The compile settings of a file in a form that Keras 3 and tf_keras both take, or NULL where they have none. malloc'd. */
char *tlvk__training_config_portable(const char *json);
/* Takes the compile settings of a file, training_config or (archive) a config.json with compile_config, as model->compiled where this library has all
 * of them; else leaves the model uncompiled. */
void tlvk__training_take(tlvk_model *model, const char *json, bool archive);
/* Takes the optimizer's state of a file for model->compiled; false, with the reason in the fail text, where the arrays are not those of the optimizer. */
bool tlvk__optimizer_state_take(tlvk_model *model, const tlvk__h5_content *content);
/* The compile settings of a model that was compiled here, as training_config; NULL while its loss is not resolved. */
char *tlvk__training_config_of(const tlvk_model *model);

#endif
