/* map.c - from outputs back to inputs: which calls a model consists of, and Keras's order of its layers.
 * After keras/src/ops/function.py (map_graph and _build_map_helper), with a stack of its own: a file's chain may be longer than ours. */
#include "graph/internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct frame { struct tlvk_node *node; int next; } frame;
typedef struct walk {
    const tlvk_tensor *inputs; int input_count;
    tlvk__map seen;                /* node -> 0 in progress, 1 finished */
    tlvk__map order;               /* layer -> when the traversal first met it */
    frame *stack; size_t stack_count, stack_capacity;
    struct tlvk_node **nodes; size_t node_count, node_capacity;
} walk;

static tlvk_status no_memory(void) { return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to walk through the graph"); }

static bool is_declared(const walk *w, tlvk_tensor t) {
    for (int i = 0; i < w->input_count; i++)
        if (tlvk__same_tensor(w->inputs[i], t))
            return true;
    return false;
}

/* Enters the node of t, unless it is known already or lies before a declared input. */
static tlvk_status enter(walk *w, tlvk_tensor t) {
    struct tlvk_node *node = t.node;
    if (!node)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "an empty tensor in the graph");
    if (node->error)
        return tlvk__fail(node->error, "%s", node->error_text ? node->error_text : "a call failed for want of memory");
    int state = tlvk__map_get(&w->seen, node);
    if (state == 1)
        return TLVK_OK;
    if (state == 0)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s is part of a cycle", node->layer->name);
    if (!tlvk__is_input(node) && is_declared(w, t))
        return TLVK_OK;
    if (tlvk__is_input(node) && !is_declared(w, t))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "graph disconnected: the outputs need the input \"%s\", which is not among the model's inputs",
                          node->layer->name);
    if (tlvk__map_get(&w->order, node->layer) < 0 && !tlvk__map_put(&w->order, node->layer, (int)w->order.count))
        return no_memory();
    frame *stack = tlvk__grow(w->stack, &w->stack_capacity, w->stack_count + 1, sizeof *stack);
    if (!stack)
        return no_memory();
    w->stack = stack;
    stack[w->stack_count++] = (frame){node, 0};
    return tlvk__map_put(&w->seen, node, 0) ? TLVK_OK : no_memory();
}

/* Depth first; a node follows the nodes it reads. */
static tlvk_status traverse(walk *w, tlvk_tensor output) {
    tlvk_status st = enter(w, output);
    while (!st && w->stack_count) {
        frame *top = &w->stack[w->stack_count - 1];
        if (top->next < top->node->input_count) {
            st = enter(w, top->node->inputs[top->next++]);
            continue;
        }
        struct tlvk_node *node = top->node;
        w->stack_count--;
        struct tlvk_node **nodes = tlvk__grow(w->nodes, &w->node_capacity, w->node_count + 1, sizeof *nodes);
        if (!nodes)
            return no_memory();
        w->nodes = nodes;
        nodes[w->node_count++] = node;
        if (!tlvk__map_put(&w->seen, node, 1))
            return no_memory();
    }
    return st;
}

/* An input that no output needs is part of the model all the same, at depth 0 and before its neighbours. */
static tlvk_status add_unused_inputs(walk *w) {
    for (int i = 0; i < w->input_count; i++) {
        struct tlvk_node *node = w->inputs[i].node;
        if (!tlvk__is_input(node) || tlvk__map_get(&w->seen, node) >= 0)
            continue;
        struct tlvk_node **nodes = tlvk__grow(w->nodes, &w->node_capacity, w->node_count + 1, sizeof *nodes);
        if (!nodes)
            return no_memory();
        w->nodes = nodes;
        nodes[w->node_count++] = node;
        if (!tlvk__map_put(&w->seen, node, 1))
            return no_memory();
    }
    return TLVK_OK;
}

/* Depth of a node: the longest way to an output, at least that of every other call of its layer met before. */
static tlvk_status measure(const walk *w, tlvk__map *positions, tlvk__map *layer_depths, int *depths) {
    for (size_t i = 0; i < w->node_count; i++)
        if (!tlvk__map_put(positions, w->nodes[i], (int)i))
            return no_memory();
    for (size_t i = w->node_count; i-- > 0;) {
        const struct tlvk_node *node = w->nodes[i];
        int before = tlvk__map_get(layer_depths, node->layer);
        depths[i] = TLVK__MAX(depths[i], before);
        if (!tlvk__map_put(layer_depths, node->layer, depths[i]))
            return no_memory();
        for (int k = 0; k < node->input_count; k++) {
            int parent = tlvk__map_get(positions, node->inputs[k].node);
            if (parent >= 0)
                depths[parent] = TLVK__MAX(depths[parent], depths[i] + 1);
        }
    }
    return TLVK_OK;
}

typedef struct ranked { tlvk_layer *layer; int depth, order; } ranked;

static int by_depth_then_order(const void *pa, const void *pb) {
    const ranked *a = pa, *b = pb;
    if (a->depth != b->depth)
        return a->depth > b->depth ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

static tlvk_status order_layers(const walk *w, const tlvk__map *layer_depths, tlvk__graph_map *map) {
    ranked *all = tlvk__calloc(w->node_count, sizeof *all);
    map->layers = tlvk__calloc(w->node_count, sizeof(tlvk_layer *));
    tlvk__map done = {0};
    int count = 0;
    bool ok = all && map->layers;
    for (size_t i = 0; ok && i < w->node_count; i++) {
        tlvk_layer *layer = w->nodes[i]->layer;
        if (tlvk__map_get(&done, layer) >= 0)
            continue;
        ok = tlvk__map_put(&done, layer, 1);
        all[count++] = (ranked){layer, tlvk__map_get(layer_depths, layer), tlvk__map_get(&w->order, layer)};
    }
    if (ok) {
        qsort(all, (size_t)count, sizeof *all, by_depth_then_order);
        for (int i = 0; i < count; i++)
            map->layers[i] = all[i].layer;
        map->layer_count = count;
    }
    free(all);
    tlvk__map_free(&done);
    return ok ? TLVK_OK : no_memory();
}

static tlvk_status finish(walk *w, tlvk__graph_map *map) {
    tlvk_status st = add_unused_inputs(w);
    map->nodes = w->nodes;
    map->node_count = (int)w->node_count;
    w->nodes = NULL;
    if (st)
        return st;
    /* For the rest of the work the walk borrows the finished list. */
    walk view = *w;
    view.nodes = map->nodes;
    map->depths = tlvk__calloc(view.node_count, sizeof *map->depths);
    tlvk__map positions = {0}, layer_depths = {0};
    st = map->depths ? measure(&view, &positions, &layer_depths, map->depths) : no_memory();
    if (!st)
        st = order_layers(&view, &layer_depths, map);
    tlvk__map_free(&positions);
    tlvk__map_free(&layer_depths);
    return st;
}

tlvk_status tlvk__map_graph(const tlvk_tensor *inputs, int input_count, const tlvk_tensor *outputs, int output_count, tlvk__graph_map *map) {
    *map = (tlvk__graph_map){0};
    walk w = {.inputs = inputs, .input_count = input_count};
    tlvk_status st = TLVK_OK;
    for (int i = 0; i < output_count && !st; i++)
        st = traverse(&w, outputs[i]);
    if (!st)
        st = finish(&w, map);
    tlvk__map_free(&w.seen);
    tlvk__map_free(&w.order);
    free(w.stack);
    free(w.nodes);
    if (st)
        tlvk__graph_map_free(map);
    return st;
}

void tlvk__graph_map_free(tlvk__graph_map *map) {
    free(map->nodes);
    free(map->depths);
    free(map->layers);
    *map = (tlvk__graph_map){0};
}
