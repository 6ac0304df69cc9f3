/* class_index.c - ImageNet's class names. Hides the form of imagenet_class_index.json: {"0": ["n01440764", "tench"], ...}. */
#include "weights/fetch.h"

#include "core/platform.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLASSES 1000
#define MAX_INDEX_BYTES ((size_t)1 << 20)

/* The text of class i; NULL where the index lacks it. */
static const char *class_name(const json_t *root, int i) {
    char key[16];
    snprintf(key, sizeof key, "%d", i);
    return json_string_value(json_array_get(json_object_get(root, key), 1));
}

/* One block: the pointers, then the texts. */
static const char **copy_names(const json_t *root, const char *path, tlvk_status *st) {
    size_t bytes = 0;
    for (int i = 0; i < CLASSES; i++) {
        const char *name = class_name(root, i);
        if (!name) {
            *st = tlvk__fail(TLVK_ERROR_FORMAT, "%s: it has no name for class %d: not ImageNet's class index", path, i);
            return NULL;
        }
        bytes += strlen(name) + 1;
    }
    const char **names = malloc(CLASSES * sizeof *names + bytes);
    *st = names ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for %d class names", path, CLASSES);
    char *text = names ? (char *)(names + CLASSES) : NULL;
    for (int i = 0; names && i < CLASSES; i++) {
        const char *name = class_name(root, i);
        size_t length = strlen(name) + 1;
        memcpy(text, name, length);
        names[i] = text;
        text += length;
    }
    return names;
}

tlvk_status tlvk__class_index_read(const char *path, const char ***names, int *count) {
    void *data;
    size_t size;
    tlvk_status st = tlvk__file_read(path, &data, &size, MAX_INDEX_BYTES);
    *names = NULL;
    *count = 0;
    if (st)
        return st;
    json_t *root = json_loadb(data, size, 0, NULL);
    free(data);
    if (json_is_object(root))
        *names = copy_names(root, path, &st);
    else
        st = tlvk__fail(TLVK_ERROR_FORMAT, "%s: it is not a JSON object: not ImageNet's class index", path);
    json_decref(root);
    if (!st)
        *count = CLASSES;
    return st;
}
