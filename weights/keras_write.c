/* keras_write.c - a model to Keras 3's own files: a .keras archive, or .weights.h5.
 *
 * Hides: the layout of keras/src/saving/saving_lib.py: each layer's weights as vars/0, 1, ... under its place, the layer's name as an attribute. What
 * this library knows more than Keras (preprocessing, class names) is an attribute of the root, which Keras does not look at. */
#include "weights/config.h"
#include "weights/h5_stream.h"
#include "weights/h5_writer.h"
#include "weights/keras_zip.h"

#include "core/platform.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DIALECT "3.15.0" /* the version whose form the file has */

/* --- weights --- */

static tlvk_status write_layer(void *user, const tlvk_layer *layer, const char *path) {
    hid_t file = *(hid_t *)user;
    char *vars = tlvk__format("%s/vars", path), *name = tlvk__written_name(layer->name);
    hid_t group = vars && name ? tlvk__h5_make_group(file, vars) : -1;
    tlvk_status status = group < 0 ? tlvk__h5_fail_write(path) : tlvk__h5_write_text(group, "name", name);
    char number[16];
    for (int i = 0; !status && i < layer->variable_count; i++) {
        snprintf(number, sizeof number, "%d", i);
        status = tlvk__h5_write_variable(group, number, layer->variables[i]);
    }
    if (group >= 0 && H5Gclose(group) < 0 && !status)
        status = tlvk__h5_fail_write(path);
    free(vars);
    free(name);
    return status;
}

static tlvk_status write_usage(hid_t file, const tlvk_model *model) {
    if (!tlvk__has_usage(&model->usage))
        return TLVK_OK;
    char *usage = tlvk__usage_to_json(&model->usage);
    tlvk_status status = usage ? tlvk__h5_write_text(file, TLVK__USAGE_ATTRIBUTE, usage) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the model's usage");
    free(usage);
    return status;
}

static tlvk_status write_root(hid_t file, const tlvk_model *model) {
    char *name = tlvk__written_name(model->name);
    hid_t group = name ? tlvk__h5_make_group(file, "vars") : -1;
    tlvk_status status = group < 0 ? tlvk__h5_fail_write("vars") : tlvk__h5_write_text(group, "name", name);
    if (group >= 0 && H5Gclose(group) < 0 && !status)
        status = tlvk__h5_fail_write("vars");
    free(name);
    return status;
}

tlvk_status tlvk__h5_write_state(hid_t file, void *user) {
    const tlvk_model *model = user;
    tlvk_status status = write_usage(file, model);
    if (!status)
        status = write_root(file, model);
    if (!status)
        status = tlvk__state_walk(model, TLVK__STATE_WRITTEN, write_layer, &file);
    return status ? status : tlvk__h5_write_optimizer(file, "optimizer/vars", true, model);
}

static tlvk_status save_weights(const char *temporary, void *user) { return tlvk__h5_create(temporary, tlvk__h5_write_state, user); }

tlvk_status tlvk__keras_write_weights(tlvk_model *model, const char *path) { return tlvk__h5_save(model, path, save_weights, model); }

/* --- archives --- */

/* Keras writes the time; $SOURCE_DATE_EPOCH fixes it, as for other programs that write dates (reproducible-builds.org). */
static char *metadata(void) {
    const char *fixed = tlvk__env("SOURCE_DATE_EPOCH");
    time_t now = fixed && *fixed ? (time_t)strtoll(fixed, NULL, 10) : time(NULL);
    const struct tm *t = gmtime(&now); /* in the child, which has one thread */
    char date[64] = "1970-01-01@00:00:00";
    if (t)
        strftime(date, sizeof date, "%Y-%m-%d@%H:%M:%S", t);
    return tlvk__format("{\"keras_version\": \"%s\", \"date_saved\": \"%s\"}", DIALECT, date);
}

static tlvk_status save_archive(const char *temporary, void *user) {
    tlvk_model *model = user;
    tlvk_status status;
    char *config = tlvk__model_to_keras3(model, &status), *meta = metadata(), *weights = tlvk__format("%s.weights", temporary);
    if (!status && (!meta || !weights))
        status = tlvk__fail(TLVK_ERROR_MEMORY, "no memory");
    if (!status)
        status = tlvk__h5_create(weights, tlvk__h5_write_state, model);
    if (!status) {
        const tlvk__zip_part parts[] = {{TLVK__KERAS_METADATA, meta, strlen(meta), NULL},
                                        {TLVK__KERAS_CONFIG, config, strlen(config), NULL},
                                        {TLVK__KERAS_WEIGHTS, NULL, 0, weights}};
        status = tlvk__zip_write(temporary, parts, (int)TLVK__COUNT(parts));
    }
    if (weights)
        tlvk__file_remove(weights);
    free(config);
    free(meta);
    free(weights);
    return status;
}

tlvk_status tlvk__keras_write_model(tlvk_model *model, const char *path) { return tlvk__h5_save(model, path, save_archive, model); }
