/* h5_writer.c - writing HDF5: texts, names, arrays, and the child process in which it happens.
 *
 * Hides: that HDF5 cannot give up a file whose closing failed on a full disk, and would trip over it when the program ends: it writes in a child
 * process, beside the place, and the file is renamed when HDF5 has closed it without complaint. */
#include "weights/h5_writer.h"
#include "weights/h5_quiet.h"

#include "core/platform.h"

#include <stdlib.h>
#include <string.h>

#define LIST_BYTES ((size_t)64512) /* Keras splits longer lists of names (HDF5_OBJECT_HEADER_LIMIT) */

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

tlvk_status tlvk__h5_fail_write(const char *what) {
    char cause[128] = "";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_cause, cause);
    if (!*cause)
        H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_cause, cause);
    return tlvk__fail(TLVK_ERROR_FILE, "%s could not be written%s", what, cause);
}

/* --- attributes --- */

static tlvk_status write_attribute(hid_t place, const char *key, hid_t type, hid_t space, const void *value) {
    hid_t attribute = H5Acreate2(place, key, type, space, H5P_DEFAULT, H5P_DEFAULT);
    tlvk_status status = attribute < 0 || H5Awrite(attribute, type, value) < 0 ? tlvk__h5_fail_write(key) : TLVK_OK;
    if (attribute >= 0 && H5Aclose(attribute) < 0 && !status)
        status = tlvk__h5_fail_write(key);
    return status;
}

/* Of variable length: such texts lie in the file's heap, where they may be longer than an object header. */
tlvk_status tlvk__h5_write_text(hid_t place, const char *key, const char *text) {
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

tlvk_status tlvk__h5_write_names(hid_t place, const char *key, const tlvk__h5_texts *n) {
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

void tlvk__h5_texts_free(tlvk__h5_texts *n) {
    for (size_t i = 0; n->text && i < n->count; i++)
        free(n->text[i]);
    free(n->text);
}

/* --- arrays --- */

hid_t tlvk__h5_make_group(hid_t place, const char *path) {
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    hid_t group = H5Gcreate2(place, path, links, H5P_DEFAULT, H5P_DEFAULT);
    H5Pclose(links);
    return group;
}

static tlvk_status write_array(hid_t place, const char *path, const tlvk__shape *shape, hid_t stored, hid_t given, const void *values) {
    hsize_t dims[TLVK__MAX_RANK];
    for (int i = 0; i < shape->rank; i++)
        dims[i] = (hsize_t)shape->dim[i];
    hid_t space = shape->rank ? H5Screate_simple(shape->rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t links = H5Pcreate(H5P_LINK_CREATE), creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(creation, false); /* so that the same model gives the same bytes at any time */
    hid_t dataset = H5Dcreate2(place, path, stored, space, links, creation, H5P_DEFAULT);
    tlvk_status status = TLVK_OK;
    if (dataset < 0 || H5Dwrite(dataset, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        status = tlvk__h5_fail_write(path);
    if (dataset >= 0 && H5Dclose(dataset) < 0 && !status)
        status = tlvk__h5_fail_write(path);
    H5Pclose(creation);
    H5Pclose(links);
    H5Sclose(space);
    return status;
}

tlvk_status tlvk__h5_write_floats(hid_t place, const char *path, const tlvk__shape *shape, const float *values) {
    return write_array(place, path, shape, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values);
}

tlvk_status tlvk__h5_write_count(hid_t place, const char *path, int64_t value) {
    return write_array(place, path, &(tlvk__shape){0}, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

tlvk_status tlvk__h5_write_variable(hid_t place, const char *path, tlvk__variable *v) {
    const float *values;
    tlvk_status status = tlvk__variable_values(v, &values);
    if (status || !v->spec.integer)
        return status ? status : tlvk__h5_write_floats(place, path, &v->spec.shape, values);
    return write_array(place, path, &v->spec.shape, H5T_STD_I64LE, H5T_NATIVE_FLOAT, values);
}

/* --- files --- */

tlvk_status tlvk__h5_create(const char *path, tlvk_status (*work)(hid_t file, void *user), void *user) {
    tlvk__h5_quiet quiet;
    tlvk__h5_quiet_begin(&quiet);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    tlvk_status status = file < 0 ? tlvk__h5_fail_write("the file") : work(file, user);
    if (!status && H5Fflush(file, H5F_SCOPE_GLOBAL) < 0)
        status = tlvk__h5_fail_write("the file");
    if (file >= 0 && H5Fclose(file) < 0 && !status)
        status = tlvk__h5_fail_write("the file");
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

typedef struct job { const char *temporary; tlvk_status (*save)(const char *temporary, void *user); void *user; } job;

static tlvk_status run_job(void *user, FILE *out) {
    const job *j = user;
    (void)out;
    return j->save(j->temporary, j->user);
}

tlvk_status tlvk__h5_save(tlvk_model *model, const char *path, tlvk_status (*save)(const char *temporary, void *user), void *user) {
    char *temp = tlvk__file_temp_name(path);
    void *nothing = NULL;
    size_t size;
    tlvk_status status = temp ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory");
    for (int i = 0; !status && i < model->layer_count; i++)
        status = settle_values(model->layers[i]);
    if (!status && model->optimizer_read)
        status = model->optimizer_read(model);
    if (!status) {
        status = tlvk__run_guarded(run_job, &(job){temp, save, user}, &nothing, &size);
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
