/* store.c - what a context keeps for its graph: every node, and the counters of automatic names. Hides: how both are held and when they go. */
#include "graph/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct name_counter { const char *prefix; int64_t next; } name_counter;
typedef struct graph_store {
    struct tlvk_node **nodes;
    size_t node_count, node_capacity;
    name_counter *names;
    size_t name_count, name_capacity;
} graph_store;

static void node_free(struct tlvk_node *node) {
    tlvk__opening_free(node->opening);
    free(node->inputs);
    free(node->outputs);
    free(node->error_text);
    free(node);
}

static void store_destroy(void *object) {
    graph_store *store = object;
    /* Freeing a layer may free a model and with it the layers of older nodes: all nodes stay in memory until every layer is gone. */
    for (size_t i = store->node_count; i-- > 0;) {
        tlvk_layer *layer = store->nodes[i]->layer;
        if (layer && layer->pending)
            tlvk__layer_settle(layer);
    }
    for (size_t i = 0; i < store->node_count; i++)
        node_free(store->nodes[i]);
    free(store->nodes);
    free(store->names);
    free(store);
}

static graph_store *store_of(tlvk_context *ctx) {
    graph_store *store = tlvk__context_get(ctx, TLVK__SLOT_GRAPH);
    if (!store) {
        store = tlvk__calloc(1, sizeof *store);
        if (store)
            tlvk__context_put(ctx, TLVK__SLOT_GRAPH, store, store_destroy);
    }
    return store;
}

struct tlvk_node *tlvk__node_create(tlvk_context *ctx) {
    graph_store *store = store_of(ctx);
    struct tlvk_node **nodes = store ? tlvk__grow(store->nodes, &store->node_capacity, store->node_count + 1, sizeof *nodes) : NULL;
    if (nodes)
        store->nodes = nodes;
    struct tlvk_node *node = nodes ? tlvk__calloc(1, sizeof *node) : NULL;
    if (!node) {
        tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a call");
        return NULL;
    }
    node->ctx = ctx;
    node->id = tlvk__context_next_id(ctx);
    store->nodes[store->node_count++] = node;
    return node;
}

static name_counter *counter_of(tlvk_context *ctx, const char *prefix) {
    graph_store *store = store_of(ctx);
    if (!store)
        return NULL;
    for (size_t i = 0; i < store->name_count; i++)
        if (strcmp(store->names[i].prefix, prefix) == 0)
            return &store->names[i];
    name_counter *names = tlvk__grow(store->names, &store->name_capacity, store->name_count + 1, sizeof *names);
    if (!names)
        return NULL;
    store->names = names;
    names[store->name_count].prefix = prefix;
    return &names[store->name_count++];
}

char *tlvk__auto_name(tlvk_context *ctx, const char *prefix) {
    name_counter *counter = counter_of(ctx, prefix);
    if (!counter)
        return NULL;
    int64_t n = counter->next++;
    return n == 0 ? tlvk__strdup(prefix) : tlvk__format("%s_%lld", prefix, (long long)n);
}

/* The text that automatic names of this form begin with, if `name` has such a form: an operation's snake name or a model's. */
static const char *automatic_prefix(const char *name, size_t length) {
    static const char *const models[] = {"functional", "sequential", "model"};
    for (size_t i = 0; i < TLVK__COUNT(models); i++)
        if (strlen(models[i]) == length && strncmp(models[i], name, length) == 0)
            return models[i];
    const tlvk__op *op;
    for (int i = 0; (op = tlvk__op_at(i)) != NULL; i++)
        if (strlen(op->snake_name) == length && strncmp(op->snake_name, name, length) == 0)
            return op->snake_name;
    return NULL;
}

void tlvk__name_taken(tlvk_context *ctx, const char *name) {
    size_t length = strlen(name), digits = 0;
    while (digits < length && name[length - 1 - digits] >= '0' && name[length - 1 - digits] <= '9')
        digits++;
    /* "conv2d" itself ends in digits that belong to the prefix, so the whole name is tried first. */
    const char *prefix = automatic_prefix(name, length);
    int64_t next = 1;
    if (!prefix && digits > 0 && digits < 10 && length > digits && name[length - 1 - digits] == '_') {
        prefix = automatic_prefix(name, length - digits - 1);
        next = strtoll(name + length - digits, NULL, 10) + 1;
    }
    name_counter *counter = prefix ? counter_of(ctx, prefix) : NULL;
    if (counter && counter->next < next)
        counter->next = next;
}

static size_t map_slot(const tlvk__map *map, const void *key) {
    uint64_t h = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
    size_t slot = (size_t)(h >> 20) & (map->capacity - 1);
    while (map->keys[slot] && map->keys[slot] != key)
        slot = (slot + 1) & (map->capacity - 1);
    return slot;
}

bool tlvk__map_put(tlvk__map *map, const void *key, int value) {
    if ((map->count + 1) * 2 > map->capacity) {
        tlvk__map larger = {.capacity = map->capacity ? map->capacity * 2 : 64};
        larger.keys = tlvk__calloc(larger.capacity, sizeof *larger.keys);
        larger.values = tlvk__calloc(larger.capacity, sizeof *larger.values);
        if (!larger.keys || !larger.values) {
            tlvk__map_free(&larger);
            return false;
        }
        for (size_t i = 0; i < map->capacity; i++)
            if (map->keys[i]) {
                size_t slot = map_slot(&larger, map->keys[i]);
                larger.keys[slot] = map->keys[i];
                larger.values[slot] = map->values[i];
            }
        larger.count = map->count;
        tlvk__map_free(map);
        *map = larger;
    }
    size_t slot = map_slot(map, key);
    if (!map->keys[slot])
        map->count++;
    map->keys[slot] = key;
    map->values[slot] = value;
    return true;
}

int tlvk__map_get(const tlvk__map *map, const void *key) {
    if (map->capacity == 0)
        return -1;
    size_t slot = map_slot(map, key);
    return map->keys[slot] ? map->values[slot] : -1;
}

void tlvk__map_free(tlvk__map *map) {
    free(map->keys);
    free(map->values);
    *map = (tlvk__map){0};
}

void tlvk__text_add(tlvk__text *t, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *data = length < 0 || t->failed ? NULL : tlvk__grow(t->data, &t->capacity, t->length + (size_t)length + 1, 1);
    if (data) {
        t->data = data;
        vsnprintf(data + t->length, (size_t)length + 1, format, again);
        t->length += (size_t)length;
    } else {
        t->failed = true;
    }
    va_end(again);
}
