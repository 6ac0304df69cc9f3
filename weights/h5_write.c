/* h5_write.c - a model to a Keras HDF5 file: whole, or weights alone.
 *
 * Hides: HDF5's writing side, kept in a child process. The file is written beside its place and renamed when HDF5 has closed it without complaint,
 * so that a full disk leaves what was there before. Layout and attributes: keras/src/legacy/saving/legacy_h5_format.py. */
#include "weights/config.h"
#include "weights/h5_quiet.h"
#include "weights/h5_stream.h"

#include "core/platform.h"

#include <stdlib.h>
#include <string.h>

#define LIST_BYTES ((size_t)64512) /* Keras splits longer lists of names (HDF5_OBJECT_HEADER_LIMIT) */
#define DIALECT "2.15.0"           /* the version whose form the file has */

typedef struct named { tlvk__variable *variable; char *path; } named;
typedef struct names { char **text; size_t count; } names;

/* The innermost cause in HDF5's stack of errors is the last one visited, and holds the system's words. */
static herr_t keep_cause(unsigned n, const H5E_error2_t *error, void *user) {
    (void)n;
    char *text = user;
    const char *words = error->desc ? strstr(error->desc, "error message = '") : NULL;
    if (words) {
        snprintf(text, 128, ": %s", words + strlen("error message = '"));
        text[strcspn(text, "'")] = '\0';
    }
    return 0;
}

static tlvk_status fail_write(const char *what) {
    char cause[128] = "";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_cause, cause);
    if (!*cause)
        H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_cause, cause);
    return tlvk__fail(TLVK_ERROR_FILE, "%s could not be written%s", what, cause);
}

/* --- attributes --- */

static tlvk_status write_attribute(hid_t place, const char *key, hid_t type, hid_t space, const void *value) {
    hid_t attribute = H5Acreate2(place, key, type, space, H5P_DEFAULT, H5P_DEFAULT);
    tlvk_status status = attribute < 0 || H5Awrite(attribute, type, value) < 0 ? fail_write(key) : TLVK_OK;
    if (attribute >= 0 && H5Aclose(attribute) < 0 && !status)
        status = fail_write(key);
    return status;
}

/* Of variable length: such texts lie in the file's heap, where they may be longer than an object header. */
static tlvk_status write_text(hid_t place, const char *key, const char *text) {
    if (!text)
        return TLVK_OK;
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    tlvk_status status = write_attribute(place, key, type, space, &text);
    H5Sclose(space);
    H5Tclose(type);
    return status;
}

/* `count` names in cells of `width` bytes, from names[0]. */
static tlvk_status write_cells(hid_t place, const char *key, char *const *list, size_t count, size_t width) {
    char *cells = tlvk__calloc(TLVK__MAX(count, 1), width);
    if (!cells)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for %zu names", count);
    for (size_t i = 0; i < count; i++)
        memcpy(cells + i * width, list[i], strlen(list[i]));
    hsize_t dim = count;
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &dim, NULL);
    H5Tset_size(type, width);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    tlvk_status status = write_attribute(place, key, type, space, cells);
    H5Sclose(space);
    H5Tclose(type);
    free(cells);
    return status;
}

static tlvk_status write_names(hid_t place, const char *key, const names *n) {
    size_t width = 1;
    for (size_t i = 0; i < n->count; i++)
        width = TLVK__MAX(width, strlen(n->text[i]));
    if (width > LIST_BYTES)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "a name of %zu bytes is longer than HDF5 can hold", width);
    size_t each = LIST_BYTES / width;
    if (n->count <= each)
        return write_cells(place, key, n->text, n->count, width);
    tlvk_status status = TLVK_OK;
    char part[64];
    for (size_t at = 0; !status && at < n->count; at += each) {
        snprintf(part, sizeof part, "%s%zu", key, at / each);
        status = write_cells(place, part, n->text + at, TLVK__MIN(each, n->count - at), width);
    }
    return status;
}

static void names_free(names *n) {
    for (size_t i = 0; n->text && i < n->count; i++)
        free(n->text[i]);
    free(n->text);
}

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

static tlvk_status write_values(hid_t group, const char *path, tlvk__variable *v) {
    const float *values;
    tlvk_status status = tlvk__variable_values(v, &values);
    if (status)
        return status;
    hsize_t dims[TLVK__MAX_RANK];
    for (int i = 0; i < v->spec.shape.rank; i++)
        dims[i] = (hsize_t)v->spec.shape.dim[i];
    hid_t space = v->spec.shape.rank ? H5Screate_simple(v->spec.shape.rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t links = H5Pcreate(H5P_LINK_CREATE), creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(creation, false); /* so that the same model gives the same bytes at any time */
    hid_t dataset = H5Dcreate2(group, path, H5T_IEEE_F32LE, space, links, creation, H5P_DEFAULT);
    if (dataset < 0 || H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        status = fail_write(path);
    if (dataset >= 0 && H5Dclose(dataset) < 0 && !status)
        status = fail_write(path);
    H5Pclose(creation);
    H5Pclose(links);
    H5Sclose(space);
    return status;
}

/* The layer's group: its weights in the order that readers of the written config expect, under their paths. */
static tlvk_status write_variables(hid_t group, const tlvk_layer *layer, const named *paths, size_t path_count) {
    tlvk__variable **variables;
    int count;
    tlvk_status status = tlvk__stored_order(layer, TLVK__ORDER_WRITTEN, 3, &variables, &count);
    names n = {.text = status ? NULL : tlvk__calloc((size_t)count + 1, sizeof *n.text)};
    if (!status && !n.text)
        status = tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the names of '%s'", layer->name);
    for (int i = 0; !status && i < count; i++) {
        size_t at = 0;
        while (at + 1 < path_count && paths[at].variable != variables[i])
            at++;
        n.text[n.count] = tlvk__strdup(paths[at].path);
        status = n.text[n.count] ? write_values(group, paths[at].path, variables[i]) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a name");
        n.count++;
    }
    if (!status)
        status = write_names(group, "weight_names", &n);
    names_free(&n);
    free(variables);
    return status;
}

static tlvk_status write_layer(hid_t weights, const tlvk_layer *layer, const char *name) {
    hid_t group = H5Gcreate2(weights, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (group < 0)
        return fail_write(name);
    named *paths = NULL;
    size_t count = 0, capacity = 0;
    tlvk_status status = name_variables(layer, "", &paths, &count, &capacity);
    if (!status)
        status = write_variables(group, layer, paths, count);
    for (size_t i = 0; i < count; i++)
        free(paths[i].path);
    free(paths);
    if (H5Gclose(group) < 0 && !status)
        status = fail_write(name);
    return status;
}

static tlvk_status write_weights(hid_t place, const tlvk_model *model) {
    names n = {.text = tlvk__calloc((size_t)model->layer_count + 1, sizeof *n.text)};
    tlvk_status status = n.text ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the names of layers");
    for (int i = 0; !status && i < model->layer_count; i++) {
        n.text[n.count] = tlvk__written_name(model->layers[i]->name);
        status = n.text[n.count] ? write_layer(place, model->layers[i], n.text[n.count]) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a name");
        n.count++;
    }
    if (!status)
        status = write_names(place, "layer_names", &n);
    names_free(&n);
    if (!status)
        status = write_text(place, "backend", "tensorflow");
    return status ? status : write_text(place, "keras_version", DIALECT);
}

/* --- files --- */

static bool has_usage(const tlvk_usage *u) { return u->preprocess || u->color_mode || u->resize || u->class_count; }

static tlvk_status write_model(hid_t file, const tlvk_model *model) {
    tlvk_status status;
    char *config = tlvk__model_to_config(model, &status), *usage = NULL, *training = NULL;
    if (!status && has_usage(&model->usage)) {
        usage = tlvk__usage_to_json(&model->usage);
        status = usage ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the model's usage");
    }
    if (!status && model->compiled.set)
        training = tlvk__training_config_of(model);
    else if (!status && model->optimizer_config)
        training = tlvk__training_config_portable(model->optimizer_config);
    if (!status)
        status = write_text(file, "model_config", config);
    if (!status)
        status = write_text(file, "training_config", training);
    if (!status)
        status = write_text(file, TLVK__USAGE_ATTRIBUTE, usage);
    if (!status)
        status = write_text(file, "backend", "tensorflow");
    if (!status)
        status = write_text(file, "keras_version", DIALECT);
    free(config);
    free(usage);
    free(training);
    if (status)
        return status;
    hid_t weights = H5Gcreate2(file, "model_weights", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (weights < 0)
        return fail_write("model_weights");
    status = write_weights(weights, model);
    if (H5Gclose(weights) < 0 && !status)
        status = fail_write("model_weights");
    return status;
}

typedef struct job { const tlvk_model *model; const char *path; tlvk_status (*work)(hid_t place, const tlvk_model *model); } job;

/* Runs in a child process: HDF5 cannot give up a file whose closing failed on a full disk, and would trip over it when the program ends. */
static tlvk_status write_file(void *user, FILE *out) {
    (void)out;
    const job *j = user;
    tlvk__h5_quiet quiet;
    tlvk__h5_quiet_begin(&quiet);
    hid_t file = H5Fcreate(j->path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    tlvk_status status = file < 0 ? fail_write("the file") : j->work(file, j->model);
    if (!status && H5Fflush(file, H5F_SCOPE_GLOBAL) < 0)
        status = fail_write("the file");
    if (file >= 0 && H5Fclose(file) < 0 && !status)
        status = fail_write("the file");
    tlvk__h5_quiet_end(&quiet);
    return status;
}

/* Weights not yet drawn are drawn here, so that what the child wrote is what the model has. */
static tlvk_status settle_values(const tlvk_layer *layer) {
    const float *values;
    tlvk_status status = TLVK_OK;
    for (int i = 0; !status && i < layer->variable_count; i++)
        status = tlvk__variable_values(layer->variables[i], &values);
    for (int i = 0; !status && layer->model && i < layer->model->layer_count; i++)
        status = settle_values(layer->model->layers[i]);
    return status;
}

static tlvk_status write_beside(const tlvk_model *model, const char *path, tlvk_status (*work)(hid_t place, const tlvk_model *model)) {
    char *temp = tlvk__file_temp_name(path);
    void *nothing = NULL;
    size_t size;
    tlvk_status status = temp ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory");
    for (int i = 0; !status && i < model->layer_count; i++)
        status = settle_values(model->layers[i]);
    if (!status) {
        status = tlvk__run_guarded(write_file, &(job){model, temp, work}, &nothing, &size);
        if (status == TLVK_ERROR_FORMAT) /* what the guard calls a crash */
            status = tlvk__fail(TLVK_ERROR_FILE, "HDF5 failed while writing");
        status = status ? tlvk__fail_context(status, "%s", path) : tlvk__file_rename(temp, path);
        if (status)
            tlvk__file_remove(temp);
    }
    free(nothing);
    free(temp);
    return status;
}

tlvk_status tlvk__h5_write_model(const tlvk_model *model, const char *path) { return write_beside(model, path, write_model); }

tlvk_status tlvk__h5_write_weights(const tlvk_model *model, const char *path) { return write_beside(model, path, write_weights); }
