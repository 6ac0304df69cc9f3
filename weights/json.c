/* json.c - a model's architecture as Keras's JSON text, without weights: model.to_json and keras.models.model_from_json. */
#include "weights/weights.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Who wrote it: the key that Keras 2 adds, else the form that Keras 3 alone writes, else Keras 2. */
static int generation_of(const char *json) {
    json_t *root = json_loads(json, 0, NULL);
    const char *version = json_string_value(json_object_get(root, "keras_version"));
    int major = version ? tlvk__keras_major(version) : json_object_get(root, "module") ? 3 : 2;
    json_decref(root);
    return major;
}

static tlvk_status shape_of(const int64_t *input_shape, tlvk__shape *shape) {
    *shape = (tlvk__shape){.rank = 1, .dim = {-1}};
    for (int i = 0; input_shape[i] != 0; i++) {
        if (shape->rank == TLVK__MAX_RANK || i == TLVK_MAX_DIMS)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_from_json: an input of more than %d dimensions", TLVK__MAX_RANK - 1);
        shape->dim[shape->rank++] = input_shape[i];
    }
    return TLVK_OK;
}

tlvk_status tlvk_model_from_json(tlvk_context *ctx, const char *json, const int64_t *input_shape, tlvk_model **out) {
    if (out)
        *out = NULL;
    if (!ctx || !json || !out)
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_from_json: the context, the text or the place for the model is NULL"));
    tlvk__shape shape;
    tlvk_status status = input_shape ? shape_of(input_shape, &shape) : TLVK_OK;
    if (!status)
        status = tlvk__model_from_config_on(ctx, json, "model_from_json", generation_of(json), input_shape ? &shape : NULL, out);
    return tlvk__context_fail(ctx, status);
}

tlvk_status tlvk_model_to_json(const tlvk_model *model, char **json) {
    if (json)
        *json = NULL;
    if (!model || !json)
        return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_to_json: the model or the place for the text is NULL"));
    tlvk_status status = TLVK_OK;
    *json = tlvk__model_to_config(model, &status);
    return tlvk__context_fail(model->ctx, status);
}
