/* h5_read.c - walks a Keras HDF5 file and writes what it holds as the stream of h5_stream.h. Runs in the guarded child.
 *
 * Hides: which of the two forms the file has, and whether it lies on disk or in memory. Links out of the file are refused; processor time and memory
 * are limited by what the file's own size can be worth. */
#include "weights/h5_reader.h"
#include "weights/h5_quiet.h"

#include "core/platform.h"

#include <stdlib.h>
#include <string.h>

tlvk_status tlvk__h5_there(void) { return TLVK_OK; }

/* --- the form of Keras 1 and 2 --- */

/* The weights that a group lists, in that order; `shown` names the group. */
static tlvk_status put_listed(tlvk__h5_reader *r, hid_t group, const char *shown) {
    tlvk__h5_names n = {0};
    bool there;
    char what[600];
    tlvk_status status = tlvk__h5_read_names(r, group, "weight_names", shown, &n, &there);
    if (!status)
        status = tlvk__h5_put_number(r, n.count);
    for (size_t i = 0; !status && i < n.count; i++) {
        snprintf(what, sizeof what, "weight '%s' of %s", n.text[i], shown);
        status = tlvk__h5_put_array(r, group, n.text[i], n.text[i], what);
    }
    tlvk__h5_names_free(&n);
    return status;
}

static tlvk_status put_layer(tlvk__h5_reader *r, hid_t weights, const char *layer) {
    hid_t group = *layer ? H5Gopen2(weights, layer, r->group_access) : -1;
    if (group < 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "layer '%s' is listed, but there is no such group", layer);
    char shown[300];
    snprintf(shown, sizeof shown, "layer '%s'", layer);
    tlvk_status status = tlvk__h5_put_number(r, 1);
    if (!status)
        status = tlvk__h5_put_text(r, layer);
    if (!status)
        status = put_listed(r, group, shown);
    H5Gclose(group);
    return status;
}

static tlvk_status put_layers(tlvk__h5_reader *r, hid_t weights, const char *where) {
    tlvk__h5_names layers = {0};
    bool there;
    tlvk_status status = tlvk__h5_read_names(r, weights, "layer_names", where, &layers, &there);
    if (!status && !there)
        status = tlvk__fail(TLVK_ERROR_FORMAT, "%s has no attribute 'layer_names'", where);
    for (size_t i = 0; !status && i < layers.count; i++)
        status = put_layer(r, weights, layers.text[i]);
    tlvk__h5_names_free(&layers);
    return status;
}

static bool exists(hid_t place, const char *name) { return H5Lexists(place, name, H5P_DEFAULT) > 0; }

static tlvk_status put_optimizer(tlvk__h5_reader *r, hid_t file) {
    const char *name = exists(file, TLVK__OPTIMIZER_GROUP) ? TLVK__OPTIMIZER_GROUP : "optimizer_weights";
    bool there = exists(file, name);
    tlvk_status status = tlvk__h5_put_number(r, there);
    if (status || !there)
        return status;
    hid_t group = H5Gopen2(file, name, r->group_access);
    if (group < 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "the group '%s' cannot be opened", name);
    status = tlvk__h5_put_text(r, name);
    if (!status)
        status = put_listed(r, group, "the optimizer");
    H5Gclose(group);
    return status;
}

static tlvk_status put_legacy(tlvk__h5_reader *r, hid_t file, hid_t weights, const char *where) {
    tlvk_status status = put_layers(r, weights, where);
    if (!status)
        status = tlvk__h5_put_number(r, 0);
    return status ? status : put_optimizer(r, file);
}

/* --- the file --- */

/* Answers HDF5's question whether a link into another file may be followed. */
static herr_t refuse_link(const char *parent_file, const char *parent_group, const char *child_file, const char *child_object, unsigned *flags,
                          hid_t access, void *user) {
    (void)parent_file, (void)parent_group, (void)child_file, (void)child_object, (void)flags, (void)access, (void)user;
    return -1;
}

/* `given`: texts that a .keras archive holds beside its weights, else NULL. */
static tlvk_status put_texts(tlvk__h5_reader *r, hid_t file, hid_t weights, const tlvk__keras_parts *given) {
    static const char *const keys[] = {"model_config", "training_config", "keras_version", "backend", TLVK__USAGE_ATTRIBUTE};
    tlvk_status status = TLVK_OK;
    for (size_t i = 0; !status && i < TLVK__COUNT(keys); i++) {
        char *text = NULL;
        bool of_weights = i == 2 || i == 3, of_archive = given && i < 4;
        if (of_weights && !of_archive)
            status = tlvk__h5_read_text(r, weights, keys[i], "the weights", &text);
        if (!status && !text && !of_archive)
            status = tlvk__h5_read_text(r, file, keys[i], "the file", &text);
        if (!status)
            status = tlvk__h5_put_text(r, !of_archive ? text : i == 0 ? given->config : i == 2 ? given->keras_version : NULL);
        free(text);
    }
    return status;
}

static tlvk_status put_file(tlvk__h5_reader *r, hid_t file, const tlvk__keras_parts *given) {
    bool whole = !given && exists(file, "model_weights");
    bool state = given || (!whole && H5Aexists(file, "layer_names") <= 0 && H5Aexists(file, "layer_names0") <= 0 &&
                           (exists(file, "layers") || exists(file, "_layer_checkpoint_dependencies") || exists(file, "vars")));
    hid_t weights = whole ? H5Gopen2(file, "model_weights", r->group_access) : H5Gopen2(file, "/", r->group_access);
    if (weights < 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "the group '%s' cannot be opened", whole ? "model_weights" : "/");
    tlvk_status status = tlvk__h5_put_number(r, TLVK__H5_MARK);
    if (!status)
        status = tlvk__h5_put_number(r, state ? TLVK__FORM_STATE : TLVK__FORM_LAYERS);
    if (!status)
        status = tlvk__h5_put_number(r, given != NULL);
    if (!status)
        status = put_texts(r, file, weights, given);
    if (!status)
        status = state ? tlvk__h5_put_state(r, weights) : put_legacy(r, file, weights, whole ? "the group 'model_weights'" : "the file");
    if (!status)
        status = tlvk__h5_put_number(r, r->narrow);
    H5Gclose(weights);
    return status;
}

/* --- where it lies --- */

static tlvk_status read_file(const char *path, hid_t file_access, const tlvk__keras_parts *given, FILE *out) {
    tlvk__h5_reader r = {.out = out, .group_access = H5Pcreate(H5P_GROUP_ACCESS), .dataset_access = H5Pcreate(H5P_DATASET_ACCESS)};
    tlvk_status status = TLVK_OK;
    hsize_t bytes = 0;
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, file_access);
    if (file < 0 || H5Fget_filesize(file, &bytes) < 0)
        status = tlvk__fail(TLVK_ERROR_FORMAT, "a damaged or truncated HDF5 file");
    else if (H5Pset_elink_cb(r.group_access, refuse_link, NULL) < 0 || H5Pset_elink_cb(r.dataset_access, refuse_link, NULL) < 0)
        status = tlvk__fail(TLVK_ERROR_INTERNAL, "HDF5 refused its own settings");
    if (!status) {
        r.file_bytes = bytes;
        tlvk__guard_limit_seconds(TLVK__READ_SECONDS(r.file_bytes));
        /* float16 doubles in memory; attributes are small. What would take more is compressed, which Keras never writes, or a lie. */
        r.budget = 2 * r.file_bytes + ((uint64_t)16 << 20);
        status = put_file(&r, file, given);
    }
    if (file >= 0)
        H5Fclose(file);
    H5Pclose(r.group_access);
    H5Pclose(r.dataset_access);
    return status;
}

static uint64_t size_on_disk(const char *path) {
    uint64_t bytes = 0;
    FILE *f = tlvk__file_open(path, "rb");
    if (f && !tlvk__file_size(f, &bytes))
        bytes = 0;
    if (f)
        fclose(f);
    return bytes;
}

tlvk_status tlvk__h5_child(void *path, FILE *out) {
    tlvk__h5_quiet quiet;
    tlvk__h5_quiet_begin(&quiet);
    H5PLset_loading_state(0); /* no filter plugin named by the file is loaded */
    tlvk__guard_limit_seconds(TLVK__READ_SECONDS(size_on_disk(path)));
    tlvk__guard_limit_memory(2 * size_on_disk(path) + TLVK__SPARE_BYTES);
    tlvk_status status = read_file(path, H5P_DEFAULT, NULL, out);
    tlvk__h5_quiet_end(&quiet);
    return status;
}

/* --- an HDF5 file that lies in memory: handed to HDF5's core driver as it is, without the copies that the driver would make --- */

static void *image_malloc(size_t size, H5FD_file_image_op_t op, void *user) {
    (void)op;
    const tlvk__keras_parts *parts = user;
    return size == parts->weights_bytes ? parts->weights : NULL;
}

static void *image_copy(void *to, const void *from, size_t size, H5FD_file_image_op_t op, void *user) {
    (void)size, (void)op, (void)user;
    return to == from ? to : NULL;
}

static void *image_realloc(void *image, size_t size, H5FD_file_image_op_t op, void *user) {
    (void)image, (void)size, (void)op, (void)user;
    return NULL; /* it is only read */
}

static herr_t image_free(void *image, H5FD_file_image_op_t op, void *user) {
    (void)image, (void)op, (void)user;
    return 0;
}

static void *user_copy(void *user) { return user; }

static herr_t user_free(void *user) {
    (void)user;
    return 0;
}

tlvk_status tlvk__h5_put_parts(tlvk__keras_parts *parts, FILE *out) {
    H5FD_file_image_callbacks_t calls = {image_malloc, image_copy, image_realloc, image_free, user_copy, user_free, parts};
    tlvk__h5_quiet quiet;
    tlvk__h5_quiet_begin(&quiet);
    H5PLset_loading_state(0);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    tlvk_status status;
    if (H5Pset_fapl_core(access, 65536, false) < 0 || H5Pset_file_image_callbacks(access, &calls) < 0 ||
        H5Pset_file_image(access, parts->weights, parts->weights_bytes) < 0)
        status = tlvk__fail(TLVK_ERROR_INTERNAL, "HDF5 refused its own settings");
    else
        status = read_file("model.weights.h5", access, parts, out);
    H5Pclose(access);
    tlvk__h5_quiet_end(&quiet);
    return status ? tlvk__fail_context(status, "model.weights.h5") : TLVK_OK;
}
