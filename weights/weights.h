/* weights.h - Keras's files: whole models and weights, HDF5 of Keras 1 to 3. `.keras` and `.weights.h5` come beside these entry points.
 *
 * Hides: HDF5, JSON, where names and order live in each generation of files, and that a hostile file is parsed in a guarded child process. */
#ifndef TLVK_WEIGHTS_H
#define TLVK_WEIGHTS_H

#include "graph/graph.h"

/* --- a file's content, once it has passed the guard: plain trees of attributes and float arrays --- */
typedef struct tlvk__h5_array { char *path; tlvk__shape shape; float *values; size_t elements; } tlvk__h5_array;
typedef struct tlvk__h5_group { char *name; char **weight_names; tlvk__h5_array *weights; int weight_count; } tlvk__h5_group;
typedef struct tlvk__h5_content {
    char *model_config, *training_config; /* JSON text; NULL when absent */
    char *keras_version, *backend;        /* "1" when absent, as Keras takes it */
    char *usage;                          /* this library's own attribute (preprocessing, class names), JSON; NULL when absent */
    tlvk__h5_group *layers; int layer_count; /* in layer_names order */
} tlvk__h5_content;
tlvk_status tlvk__h5_read(const char *path, tlvk__h5_content **out); /* TLVK_ERROR_FILE, TLVK_ERROR_FORMAT */
void tlvk__h5_free(tlvk__h5_content *content);

/* --- models --- */
tlvk_status tlvk__model_from_config(tlvk_context *ctx, const char *json, const char *file, int keras_version, tlvk_model **out); /* `file` for texts */
char *tlvk__model_to_config(const tlvk_model *model);               /* Keras's JSON that Keras 3 and tf_keras both read; malloc'd; NULL with fail text */
tlvk_status tlvk__model_assign_by_order(tlvk_model *model, const tlvk__h5_content *content, const char *file);
tlvk_status tlvk__model_assign_by_name(tlvk_model *model, const tlvk__h5_content *content, const char *file);

#endif
