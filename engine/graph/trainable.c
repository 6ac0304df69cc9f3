/* trainable.c - freezing by words: slices, names, patterns, "base" and "*". Hides: which part of a nest of models a slice counts, and where the
 * head of a model begins. */
#include "graph/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- slices --------------------------------------------------------------------------------------------------------------- */

static bool count_visit(void *user, tlvk_layer *const *path, int length) {
    (void)path;
    (void)length;
    ++*(int *)user;
    return true;
}

static int layers_at_all_depths(const tlvk_model *model) {
    int n = 0;
    return tlvk__walk_layers(model, count_visit, &n) ? n : -1;
}

const tlvk_model *tlvk__feature_extractor(const tlvk_model *model) {
    for (;;) {
        const tlvk_model *largest = NULL;
        int most = 0, beside = 0;
        for (int i = 0; i < model->layer_count; i++) {
            const tlvk_model *inner = model->layers[i]->model;
            int n = inner ? layers_at_all_depths(inner) : 0;
            if (n < 0)
                return NULL;
            beside += inner == NULL;
            if (n > most) {
                most = n;
                largest = inner;
            }
        }
        if (!largest || most <= beside)
            return model;
        model = largest;
    }
}

/* Keras's model.layers has no arithmetic between layers, though its summary shows it. */
static bool counts(const tlvk_layer *layer) {
    return layer->model || strcmp(layer->class_name, layer->op->class_name) == 0;
}

/* Reads "a:b" as Python does; false where the text is no slice. */
static bool parse_slice(const char *spec, int count, int *from, int *to) {
    long bound[2] = {0, count};
    const char *p = spec;
    for (int i = 0; i < 2; i++) {
        char *end = NULL;
        if (*p == '-' || (*p >= '0' && *p <= '9')) {
            errno = 0;
            bound[i] = strtol(p, &end, 10);
            if (end == p || errno)
                return false;
            p = end;
            bound[i] += bound[i] < 0 ? count : 0;
        }
        if (*p != (i == 0 ? ':' : '\0'))
            return false;
        p++;
    }
    for (int i = 0; i < 2; i++)
        bound[i] = TLVK__MIN(TLVK__MAX(bound[i], 0), count);
    *from = (int)bound[0];
    *to = (int)bound[1];
    return true;
}

/* --- the head ------------------------------------------------------------------------------------------------------------- */

static bool begins_head(const tlvk__op *op) {
    return op == &tlvk__op_flatten || op == &tlvk__op_global_average_pooling2d || op == &tlvk__op_global_max_pooling2d;
}

typedef enum way { WAY_HEAD_FOUND, WAY_THROUGH, WAY_BLOCKED, WAY_NO_MEMORY } way;

/* From the model's output inwards, into nested models too, up to the first Flatten or global pooling: the layers passed are the head. */
static way find_head(const tlvk_model *model, tlvk__map *head) {
    const struct tlvk_node *node = model->outputs[0].node;
    while (!tlvk__is_input(node)) {
        const tlvk_layer *layer = node->layer;
        if (layer->model) {
            way inner = find_head(layer->model, head);
            if (inner != WAY_THROUGH)
                return inner;
        }
        if (!tlvk__map_put(head, layer, 1))
            return WAY_NO_MEMORY;
        if (!layer->model && begins_head(layer->op))
            return WAY_HEAD_FOUND;
        if (node->input_count != 1)
            return WAY_BLOCKED;
        node = node->inputs[0].node;
    }
    return WAY_THROUGH;
}

typedef struct change {
    const char *pattern;
    const tlvk__map *head;         /* layers to leave as they are; NULL: none */
    bool trainable;
    int changed;
    bool no_memory;
} change;

static bool meets_head(void *user, tlvk_layer *const *path, int length) {
    change *c = user;
    if (tlvk__map_get(c->head, path[length - 1]) < 0)
        return true;
    c->changed++;
    return false;
}

static bool set_outside_head(void *user, tlvk_layer *const *path, int length) {
    change *c = user;
    tlvk_layer *layer = path[length - 1];
    change inside = {.head = c->head};
    if (tlvk__map_get(c->head, layer) >= 0)
        return true;
    if (layer->model && !tlvk__walk_layers(layer->model, meets_head, &inside))
        c->no_memory = true;
    if (!inside.changed) {
        layer->trainable = c->trainable;
        if (layer->model)
            layer->model->trainable = c->trainable;
    }
    return !c->no_memory;
}

static tlvk_status set_base(tlvk_model *model, bool trainable) {
    tlvk__map head = {0};
    way found = find_head(model, &head);
    tlvk_status st = TLVK_OK;
    if (found == WAY_NO_MEMORY)
        st = tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to look for its base", model->name);
    else if (found != WAY_HEAD_FOUND)
        st = tlvk__fail(TLVK_ERROR_ARGUMENT, "%s has no base that could be told from its head: no Flatten or global pooling stands alone before "
                                             "its output; name the layers, or give a slice", model->name);
    change c = {.head = &head, .trainable = trainable};
    if (!st && (!tlvk__walk_layers(model, set_outside_head, &c) || c.no_memory))
        st = tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to reach its layers", model->name);
    tlvk__map_free(&head);
    return st;
}

/* --- names and patterns --------------------------------------------------------------------------------------------------- */

/* A pattern with a slash is matched with the end of the path, component for component. */
static bool pattern_fits(change *c, tlvk_layer *const *path, int length) {
    if (tlvk__glob(c->pattern, path[length - 1]->name))
        return true;
    if (!strchr(c->pattern, '/'))
        return false;
    tlvk__text text = {0};
    bool fits = false;
    for (int from = 0; from < length && !fits; from++) {
        text.length = 0;
        for (int i = from; i < length; i++)
            tlvk__text_add(&text, "%s%s", i > from ? "/" : "", path[i]->name);
        fits = !text.failed && tlvk__glob(c->pattern, text.data);
    }
    c->no_memory = c->no_memory || text.failed;
    free(text.data);
    return fits;
}

static bool set_matching(void *user, tlvk_layer *const *path, int length) {
    change *c = user;
    if (pattern_fits(c, path, length)) {
        if (tlvk__layer_set_trainable(path[length - 1], c->trainable))
            c->no_memory = true;
        c->changed++;
    }
    return !c->no_memory;
}

static tlvk_status set_pattern(tlvk_model *model, const char *pattern, bool trainable) {
    change c = {.pattern = pattern, .trainable = trainable};
    if (!tlvk__walk_layers(model, set_matching, &c) || c.no_memory)
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to reach its layers", model->name);
    if (c.changed)
        return TLVK_OK;
    char letters[64], near[160];
    size_t n = 0;
    for (const char *p = pattern; *p && n + 1 < sizeof letters; p++)
        if (!strchr("*?[]!", *p))
            letters[n++] = *p;
    letters[n] = '\0';
    tlvk__near_names(model, letters, near, sizeof near);
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "no layer of %s fits the pattern \"%s\"%s", model->name, pattern, near);
}

static tlvk_status set_trainable(tlvk_model *model, const char *spec, bool trainable) {
    if (strcmp(spec, "base") == 0)
        return set_base(model, trainable);
    if (strchr(spec, ':')) {
        const tlvk_model *extractor = tlvk__feature_extractor(model);
        int from, to;
        if (!extractor)
            return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to look for its feature extractor", model->name);
        int count = 0;
        for (int i = 0; i < extractor->layer_count; i++)
            count += counts(extractor->layers[i]);
        if (!parse_slice(spec, count, &from, &to))
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "\"%s\" is no slice of layers; \":10\", \"-3:\" and \"5:9\" are", spec);
        tlvk_status st = TLVK_OK;
        for (int i = 0, at = 0; i < extractor->layer_count && !st; i++)
            if (counts(extractor->layers[i])) {
                if (at >= from && at < to)
                    st = tlvk__layer_set_trainable(extractor->layers[i], trainable);
                at++;
            }
        return st;
    }
    if (strpbrk(spec, "*?["))
        return set_pattern(model, spec, trainable);
    tlvk_layer *path[TLVK__MAX_NESTING + 1];
    int length;
    tlvk_status st = tlvk__find_layer(model, spec, path, &length);
    return st ? st : tlvk__layer_set_trainable(path[length - 1], trainable);
}

typedef struct choice { tlvk_layer_predicate wanted; void *user; bool trainable; } choice;

static bool set_wanted(void *user, tlvk_layer *const *path, int length) {
    const choice *c = user;
    tlvk_layer *layer = path[length - 1];
    if (!layer->model && c->wanted(layer, c->user))
        layer->trainable = c->trainable;
    return true;
}

tlvk_status tlvk_model_set_trainable_if(tlvk_model *model, tlvk_layer_predicate wanted, void *user, bool trainable) {
    if (!model || !wanted)
        return tlvk__context_fail(model ? model->ctx : NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_set_trainable_if: the %s is NULL",
                                                                       model ? "predicate" : "model"));
    choice c = {wanted, user, trainable};
    if (!tlvk__walk_layers(model, set_wanted, &c))
        return tlvk__context_fail(model->ctx, tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to reach its layers", model->name));
    return TLVK_OK;
}

tlvk_status tlvk_model_set_trainable(tlvk_model *model, const char *spec, bool trainable) {
    if (!model || !spec || !spec[0])
        return tlvk__context_fail(model ? model->ctx : NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_set_trainable: %s",
                                                                       model ? "no layers are named" : "the model is NULL"));
    tlvk_status st = set_trainable(model, spec, trainable);
    return st ? tlvk__context_fail(model->ctx, tlvk__fail_context(st, "tlvk_model_set_trainable")) : TLVK_OK;
}
