/* usage.c - how pictures are made ready for a model: kept with the model, and written as one JSON attribute that Keras does not look at.
 * Hides: the words of that attribute. What this version does not know of it (a file of a later one) is left at "not said". */
#include "weights/config.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CLASSES 1000000

static const char *const preprocess_names[] = {"auto", "none", "tf", "caffe", "torch", "scale"};
static const char *const color_names[] = {"auto", "rgb", "grayscale", "rgba"};
static const char *const resize_names[] = {"auto", "bilinear", "nearest"};

static int index_of(const json_t *value, const char *const *names, size_t count) {
    const char *text = json_string_value(value);
    for (size_t i = 0; text && i < count; i++)
        if (strcmp(text, names[i]) == 0)
            return (int)i;
    return 0;
}

static const char *name_of(unsigned value, const char *const *names, size_t count) { return names[value < count ? value : 0]; }

char *tlvk__usage_to_json(const tlvk_usage *u) {
    json_t *root = json_pack("{s:s, s:s, s:s}", "preprocess", name_of(u->preprocess, preprocess_names, TLVK__COUNT(preprocess_names)), "color_mode",
                             name_of(u->color_mode, color_names, TLVK__COUNT(color_names)), "resize",
                             name_of(u->resize, resize_names, TLVK__COUNT(resize_names)));
    json_t *names = u->class_names && u->class_count > 0 ? json_array() : NULL;
    for (int i = 0; names && i < u->class_count; i++) {
        /* A folder's name may be any bytes; JSON holds UTF-8 alone. */
        json_t *name = json_string(u->class_names[i]);
        json_array_append_new(names, name ? name : json_sprintf("class %d", i));
    }
    if (names)
        json_object_set_new(root, "class_names", names);
    char *text = root ? json_dumps(root, 0) : NULL;
    json_decref(root);
    return text;
}

tlvk_status tlvk__usage_from_json(tlvk_model *model, const char *json) {
    json_t *root = json_loads(json, 0, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: the attribute that says how to use it is not a JSON object", model->name);
    }
    tlvk_usage u = {
        .preprocess = (tlvk_preprocess)index_of(json_object_get(root, "preprocess"), preprocess_names, TLVK__COUNT(preprocess_names)),
        .color_mode = (tlvk_color_mode)index_of(json_object_get(root, "color_mode"), color_names, TLVK__COUNT(color_names)),
        .resize = (tlvk_resize)index_of(json_object_get(root, "resize"), resize_names, TLVK__COUNT(resize_names)),
    };
    const json_t *list = json_object_get(root, "class_names");
    size_t count = TLVK__MIN(json_array_size(list), (size_t)MAX_CLASSES);
    const char **names = tlvk__calloc(count + 1, sizeof *names);
    tlvk_status status = names ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for %zu class names", model->name, count);
    for (size_t i = 0; !status && i < count; i++) {
        names[i] = json_string_value(json_array_get(list, i));
        if (!names[i])
            status = tlvk__fail(TLVK_ERROR_FORMAT, "%s: class name %zu is not a text", model->name, i);
    }
    u.class_count = (int)count;
    u.class_names = names;
    if (!status)
        status = tlvk_model_set_usage(model, &u);
    free(names);
    json_decref(root);
    return status;
}
