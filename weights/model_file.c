/* model_file.c - the public calls that load and save. Hides: which reader and writer a file needs. */
#include "weights/config.h"
#include "weights/h5_stream.h"
#include "weights/keras_zip.h"

#include <stdlib.h>
#include <string.h>

/* What does not fit within one file is the file's fault. */
static tlvk_status within_file(tlvk_status status) { return status == TLVK_ERROR_ARGUMENT ? TLVK_ERROR_FORMAT : status; }

/* What a reader of the log should know of how the weights were taken. */
static void report(const tlvk_context *ctx, const tlvk__h5_content *content, const char *path, int unused) {
    if (content->narrow)
        tlvk__context_log(ctx, TLVK_LOG_WARNING, "%s: %lld of its arrays are float16 or bfloat16; they are kept as float32 here, and saved so", path,
                          (long long)content->narrow);
    if (unused)
        tlvk__context_log(ctx, TLVK_LOG_WARNING, "%s: %d of its layers have no counterpart in the model and were left out", path, unused);
}

static tlvk_status take_weights(tlvk_model *model, const tlvk__h5_content *content, const char *path, bool whole) {
    int unused = 0;
    tlvk_status status = content->form == TLVK__FORM_STATE ? tlvk__model_assign_state(model, content, path, &unused)
                         : whole                           ? tlvk__model_assign_whole(model, content, path)
                                                           : tlvk__model_assign_by_order(model, content, path);
    if (!status)
        report(model->ctx, content, path, unused);
    return status;
}

static tlvk_status fill_model(tlvk_model *model, const tlvk__h5_content *content, const char *path) {
    tlvk_status status = within_file(take_weights(model, content, path, true));
    if (!status && content->usage && (status = tlvk__usage_from_json(model, content->usage)))
        status = tlvk__fail_context(status, "%s", path);
    const char *compiled = content->archive ? content->model_config : content->training_config;
    if (!status && compiled)
        tlvk__training_take(model, compiled, content->archive);
    if (!status && !tlvk__optimizer_state_take(model, content))
        tlvk__context_log(model->ctx, TLVK_LOG_WARNING, "%s: %s", path, tlvk__fail_text());
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

typedef tlvk_status (*writer)(tlvk_model *model, const char *path);

/* The name's end says the form, as in Keras; NULL with the reason where it says none. */
static writer writer_of(const char *path, bool whole, tlvk_status *status) {
    *status = TLVK_OK;
    if (ends_in(path, ".weights.h5")) {
        if (!whole)
            return tlvk__keras_write_weights;
        *status = tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: .weights.h5 is Keras 3's form of weights alone: tlvk_model_save_weights writes it; a whole model is "
                             ".keras or .h5", path);
    } else if (ends_in(path, ".h5") || ends_in(path, ".hdf5")) {
        return whole ? tlvk__h5_write_model : tlvk__h5_write_weights;
    } else if (ends_in(path, ".keras")) {
        if (whole)
            return tlvk__keras_write_model;
        *status = tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: .keras is a whole model: tlvk_model_save writes it; weights alone are .weights.h5 or .h5", path);
    } else {
        *status = tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: the name's end says no form that can be written; %s can", path,
                             whole ? ".keras, .h5 and .hdf5" : ".weights.h5, .h5 and .hdf5");
    }
    return NULL;
}

static tlvk_status save(tlvk_model *model, const char *path, const char *call, bool whole) {
    if (!model || !path)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: the model or the path is NULL", call);
    tlvk_status status;
    writer write = writer_of(path, whole, &status);
    return write ? write(model, path) : status;
}

tlvk_status tlvk_model_save(tlvk_model *model, const char *path) {
    return tlvk__context_fail(model ? model->ctx : NULL, save(model, path, "tlvk_model_save", true));
}

/* The writers refuse by the model's JSON, before they touch a file. */
static tlvk_status check_save(const tlvk_model *model, const char *path) {
    if (!model || !path)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_check_save: the model or the path is NULL");
    tlvk_status status;
    writer write = writer_of(path, true, &status);
    bool archive = write == tlvk__keras_write_model;
    if (!status)
        status = tlvk__h5_there();
    if (!status && archive)
        status = tlvk__zip_there();
    if (status)
        return status;
    char *json = archive ? tlvk__model_to_keras3(model, &status) : tlvk__model_to_config(model, &status);
    free(json);
    return status ? tlvk__fail_context(status, "%s", path) : TLVK_OK;
}

tlvk_status tlvk_model_check_save(const tlvk_model *model, const char *path) {
    return tlvk__context_fail(model ? model->ctx : NULL, check_save(model, path));
}

tlvk_status tlvk_model_save_weights(tlvk_model *model, const char *path) {
    return tlvk__context_fail(model ? model->ctx : NULL, save(model, path, "tlvk_model_save_weights", false));
}

tlvk_status tlvk_model_load_weights(tlvk_model *model, const char *path, tlvk_weights_match match) {
    tlvk_context *ctx = model ? model->ctx : NULL;
    tlvk__h5_content *content;
    if (!model || !path)
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_load_weights: the model or the path is NULL"));
    tlvk_status status = tlvk__h5_read(path, &content);
    if (status)
        return tlvk__context_fail(ctx, status);
    if (match == TLVK_BY_ORDER)
        status = take_weights(model, content, path, false);
    else if (content->form == TLVK__FORM_STATE)
        status = tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: by name, as asked for, goes with the older .h5 alone: .weights.h5 and .keras keep weights by where a "
                            "layer stands, without its name", path);
    else
        status = tlvk__model_assign_by_name(model, content, path);
    tlvk__h5_free(content);
    return tlvk__context_fail(ctx, status);
}
