/* order.c - in which order a layer's or nested model's variables stand in a legacy HDF5 file.
 *
 * Hides: that Keras writes trainable_weights + non_trainable_weights AS THEY ARE AT SAVE TIME (legacy_h5_format.py, _legacy_weights), so that a
 * partly frozen nested model is stored reordered, and that its generations walk a frozen model differently:
 * tf_keras/src/engine/training.py (trainable_weights, non_trainable_weights) and keras/src/layers/layer.py (weights, trainable_weights). */
#include "weights/config.h"

#include <stdlib.h>
#include <string.h>

typedef struct list { tlvk__variable **v; size_t count, capacity; } list;
typedef struct walk { list trainable, rest; } walk;

static bool list_add(list *l, tlvk__variable *v) {
    for (size_t i = 0; i < l->count; i++)
        if (l->v[i] == v)
            return true; /* shared: stands where it came first */
    tlvk__variable **grown = tlvk__grow(l->v, &l->capacity, l->count + 1, sizeof(tlvk__variable *));
    if (!grown)
        return false;
    l->v = grown;
    grown[l->count++] = v;
    return true;
}

static bool list_append(list *l, const list *more) {
    for (size_t i = 0; i < more->count; i++)
        if (!list_add(l, more->v[i]))
            return false;
    return true;
}

static void walk_free(walk *w) {
    free(w->trainable.v);
    free(w->rest.v);
    *w = (walk){0};
}

static bool trains(bool flag, tlvk__weight_order order) {
    return order == TLVK__ORDER_FLAGS || order == TLVK__ORDER_WRITTEN ? flag : order == TLVK__ORDER_TRAINED;
}

/* Collects what a layer adds to trainable_weights and to non_trainable_weights. */
static bool collect(const tlvk_layer *layer, tlvk__weight_order order, int keras_version, walk *w) {
    for (int i = 0; i < layer->variable_count; i++) {
        tlvk__variable *v = layer->variables[i];
        if (!list_add(v->spec.trainable && trains(layer->trainable, order) ? &w->trainable : &w->rest, v))
            return false;
    }
    if (!layer->model)
        return true;
    walk inner = {0};
    bool ok = true;
    for (int i = 0; ok && i < layer->model->layer_count; i++)
        ok = collect(layer->model->layers[i], order, keras_version, &inner);
    /* Keras 2: a frozen model gives everything as not trained, what would be trained first. Keras 3 asks each variable. */
    bool frozen = keras_version < 3 && order != TLVK__ORDER_WRITTEN && !trains(layer->trainable, order);
    ok = ok && list_append(frozen ? &w->rest : &w->trainable, &inner.trainable) && list_append(&w->rest, &inner.rest);
    walk_free(&inner);
    return ok;
}

tlvk_status tlvk__stored_order(const tlvk_layer *layer, tlvk__weight_order order, int keras_version, tlvk__variable ***out, int *count) {
    walk w = {0};
    /* Of a frozen model Keras 3 gives the weights as they were created, whatever the flags inside. */
    if (order == TLVK__ORDER_FLAGS && keras_version >= 3 && !layer->trainable)
        order = TLVK__ORDER_CREATED;
    *out = NULL;
    *count = 0;
    if (!collect(layer, order, keras_version, &w) || !list_append(&w.trainable, &w.rest)) {
        walk_free(&w);
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for the order of its weights", layer->name);
    }
    free(w.rest.v);
    *out = w.trainable.v;
    *count = (int)w.trainable.count;
    return TLVK_OK;
}
