/* model_file.c - the public calls that load and save. Hides: which reader and writer a file needs. */
#include "weights/weights.h"

#include <string.h>

/* What does not fit within one file is the file's fault. */
static tlvk_status within_file(tlvk_status status) { return status == TLVK_ERROR_ARGUMENT ? TLVK_ERROR_FORMAT : status; }

static tlvk_status fill_model(tlvk_model *model, const tlvk__h5_content *content, const char *path) {
    tlvk_status status = within_file(tlvk__model_assign_whole(model, content, path));
    if (!status && content->usage)
        status = tlvk__usage_from_json(model, content->usage);
    if (!status && content->training_config) {
        model->optimizer_config = tlvk__strdup(content->training_config);
        if (!model->optimizer_config)
            status = tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for its training_config", path);
    }
    return status;
}

static tlvk_status load(tlvk_context *ctx, const char *path, tlvk_model **out) {
    tlvk__h5_content *content;
    tlvk_model *model = NULL;
    tlvk_status status = tlvk__h5_read(path, &content);
    if (status)
        return status;
    if (!content->model_config)
        status = tlvk__fail(TLVK_ERROR_FORMAT, "%s: it holds weights alone, no model (no attribute model_config): build the model and load the weights "
                            "into it", path);
    if (!status)
        status = tlvk__model_from_config(ctx, content->model_config, path, tlvk__keras_major(content->keras_version), &model);
    if (!status)
        status = fill_model(model, content, path);
    tlvk__h5_free(content);
    if (status) {
        tlvk__model_release(model);
        return status;
    }
    *out = model;
    return TLVK_OK;
}

tlvk_status tlvk_model_load(tlvk_context *ctx, const char *path, tlvk_model **out) {
    if (out)
        *out = NULL;
    if (!ctx || !path || !out)
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_load: the context, the path or the place for the model is NULL"));
    return tlvk__context_fail(ctx, load(ctx, path, out));
}

/* --- saving ----------------------------------------------------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *end) {
    size_t length = strlen(path), tail = strlen(end);
    if (length <= tail)
        return false;
    for (size_t i = 0; i < tail; i++) {
        char c = path[length - tail + i];
        if ((c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c) != end[i])
            return false;
    }
    return true;
}

static tlvk_status check_extension(const char *path) {
    if (ends_in(path, ".weights.h5"))
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: .weights.h5 is Keras 3's form of weights, which is not written yet; .h5 and .hdf5 are", path);
    if (ends_in(path, ".h5") || ends_in(path, ".hdf5"))
        return TLVK_OK;
    if (ends_in(path, ".keras"))
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: .keras is not written yet; .h5 and .hdf5 are, and open in Keras 3 and Keras 2", path);
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: the name's end says no form that can be written; .h5 and .hdf5 can", path);
}

static tlvk_status save(const tlvk_model *model, const char *path, const char *call, tlvk_status (*write)(const tlvk_model *, const char *)) {
    if (!model || !path)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: the model or the path is NULL", call);
    tlvk_status status = check_extension(path);
    return status ? status : write(model, path);
}

tlvk_status tlvk_model_save(tlvk_model *model, const char *path) {
    return tlvk__context_fail(model ? model->ctx : NULL, save(model, path, "tlvk_model_save", tlvk__h5_write_model));
}

tlvk_status tlvk_model_save_weights(tlvk_model *model, const char *path) {
    return tlvk__context_fail(model ? model->ctx : NULL, save(model, path, "tlvk_model_save_weights", tlvk__h5_write_weights));
}

tlvk_status tlvk_model_load_weights(tlvk_model *model, const char *path, tlvk_weights_match match) {
    tlvk_context *ctx = model ? model->ctx : NULL;
    tlvk__h5_content *content;
    if (!model || !path)
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_load_weights: the model or the path is NULL"));
    tlvk_status status = tlvk__h5_read(path, &content);
    if (status)
        return tlvk__context_fail(ctx, status);
    status = match == TLVK_BY_NAME ? tlvk__model_assign_by_name(model, content, path) : tlvk__model_assign_by_order(model, content, path);
    tlvk__h5_free(content);
    return tlvk__context_fail(ctx, status);
}
