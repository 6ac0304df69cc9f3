/* h5_write.c - a model to a Keras HDF5 file: whole, or weights alone.
 *
 * Hides: HDF5's writing side, kept in a child process. The file is written beside its place and renamed when HDF5 has closed it without complaint,
 * so that a full disk leaves what was there before. Layout and attributes: keras/src/legacy/saving/legacy_h5_format.py. */
#include "weights/config.h"
#include "weights/h5_writer.h"
#include "weights/h5_stream.h"

#include "core/platform.h"

#include <stdlib.h>
#include <string.h>

#define DIALECT "2.15.0"           /* the version whose form the file has */

typedef struct named { tlvk__variable *variable; char *path; } named;

/* --- weights --- */

/* Appends each variable of the layer with its path from the layer's group: "conv2d/kernel:0", "inner/conv2d/kernel:0". */
static tlvk_status name_variables(const tlvk_layer *layer, const char *prefix, named **list, size_t *count, size_t *capacity) {
    char *own = tlvk__written_name(layer->name), *path = own ? tlvk__format("%s%s/", prefix, own) : NULL;
    tlvk_status status = path ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the names of '%s'", layer->name);
    for (int i = 0; !status && i < layer->variable_count; i++) {
        named *grown = tlvk__grow(*list, capacity, *count + 1, sizeof **list);
        if (grown)
            *list = grown;
        char *full = grown ? tlvk__format("%s%s:0", path, layer->variables[i]->name) : NULL;
        if (full)
            grown[(*count)++] = (named){layer->variables[i], full};
        else
            status = tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the names of '%s'", layer->name);
    }
    for (int i = 0; !status && layer->model && i < layer->model->layer_count; i++)
        status = name_variables(layer->model->layers[i], path, list, count, capacity);
    free(own);
    free(path);
    return status;
}

/* The layer's group: its weights in the order that readers of the written config expect, under their paths. */
static tlvk_status write_variables(hid_t group, const tlvk_layer *layer, const named *paths, size_t path_count) {
    tlvk__variable **variables;
    int count;
    tlvk_status status = tlvk__stored_order(layer, TLVK__ORDER_WRITTEN, 3, &variables, &count);
    tlvk__h5_texts n = {.text = status ? NULL : tlvk__calloc((size_t)count + 1, sizeof *n.text)};
    if (!status && !n.text)
        status = tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the names of '%s'", layer->name);
    for (int i = 0; !status && i < count; i++) {
        size_t at = 0;
        while (at + 1 < path_count && paths[at].variable != variables[i])
            at++;
        n.text[n.count] = tlvk__strdup(paths[at].path);
        status = n.text[n.count] ? tlvk__h5_write_variable(group, paths[at].path, variables[i]) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a name");
        n.count++;
    }
    if (!status)
        status = tlvk__h5_write_names(group, "weight_names", &n);
    tlvk__h5_texts_free(&n);
    free(variables);
    return status;
}

static tlvk_status write_layer(hid_t weights, const tlvk_layer *layer, const char *name) {
    hid_t group = H5Gcreate2(weights, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (group < 0)
        return tlvk__h5_fail_write(name);
    named *paths = NULL;
    size_t count = 0, capacity = 0;
    tlvk_status status = name_variables(layer, "", &paths, &count, &capacity);
    if (!status)
        status = write_variables(group, layer, paths, count);
    for (size_t i = 0; i < count; i++)
        free(paths[i].path);
    free(paths);
    if (H5Gclose(group) < 0 && !status)
        status = tlvk__h5_fail_write(name);
    return status;
}

static tlvk_status write_weights(hid_t place, const tlvk_model *model) {
    tlvk__h5_texts n = {.text = tlvk__calloc((size_t)model->layer_count + 1, sizeof *n.text)};
    tlvk_status status = n.text ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the names of layers");
    for (int i = 0; !status && i < model->layer_count; i++) {
        n.text[n.count] = tlvk__written_name(model->layers[i]->name);
        status = n.text[n.count] ? write_layer(place, model->layers[i], n.text[n.count]) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a name");
        n.count++;
    }
    if (!status)
        status = tlvk__h5_write_names(place, "layer_names", &n);
    tlvk__h5_texts_free(&n);
    if (!status)
        status = tlvk__h5_write_text(place, "backend", "tensorflow");
    return status ? status : tlvk__h5_write_text(place, "keras_version", DIALECT);
}

/* --- files --- */

bool tlvk__has_usage(const tlvk_usage *u) { return u->preprocess || u->color_mode || u->resize || u->class_count; }

static tlvk_status write_model(hid_t file, const tlvk_model *model) {
    tlvk_status status;
    char *config = tlvk__model_to_config(model, &status), *usage = NULL, *training = NULL;
    if (!status && tlvk__has_usage(&model->usage)) {
        usage = tlvk__usage_to_json(&model->usage);
        status = usage ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the model's usage");
    }
    if (!status && model->compiled.set)
        training = tlvk__training_config_of(model);
    else if (!status && model->optimizer_config)
        training = tlvk__training_config_portable(model->optimizer_config);
    if (!status)
        status = tlvk__h5_write_text(file, "model_config", config);
    if (!status)
        status = tlvk__h5_write_text(file, "training_config", training);
    if (!status && training)
        status = tlvk__h5_write_optimizer(file, TLVK__OPTIMIZER_GROUP, false, model);
    if (!status)
        status = tlvk__h5_write_text(file, TLVK__USAGE_ATTRIBUTE, usage);
    if (!status)
        status = tlvk__h5_write_text(file, "backend", "tensorflow");
    if (!status)
        status = tlvk__h5_write_text(file, "keras_version", DIALECT);
    free(config);
    free(usage);
    free(training);
    if (status)
        return status;
    hid_t weights = H5Gcreate2(file, "model_weights", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (weights < 0)
        return tlvk__h5_fail_write("model_weights");
    status = write_weights(weights, model);
    if (H5Gclose(weights) < 0 && !status)
        status = tlvk__h5_fail_write("model_weights");
    return status;
}

static tlvk_status whole(hid_t file, void *user) { return write_model(file, user); }
static tlvk_status weights_alone(hid_t file, void *user) { return write_weights(file, user); }
static tlvk_status save_whole(const char *temporary, void *user) { return tlvk__h5_create(temporary, whole, user); }
static tlvk_status save_weights(const char *temporary, void *user) { return tlvk__h5_create(temporary, weights_alone, user); }

tlvk_status tlvk__h5_write_model(tlvk_model *model, const char *path) { return tlvk__h5_save(model, path, save_whole, model); }

tlvk_status tlvk__h5_write_weights(tlvk_model *model, const char *path) { return tlvk__h5_save(model, path, save_weights, model); }
