/* state.c - where Keras 3's files keep each layer's weights, and taking them from there.
 *
 * Hides: the walk of keras/src/saving/saving_lib.py (_save_state, _save_container_state). Places are counted by class in the order of model.layers,
 * which for a Sequential leaves its InputLayer out; layer names are not used. A layer that stands in two models is kept where it is met first. */
#include "weights/config.h"

#include <stdlib.h>
#include <string.h>

typedef struct walk {
    tlvk__state_names names;
    tlvk__state_visit visit;
    void *user;
    const tlvk_layer **seen; size_t seen_count, seen_capacity;
} walk;

/* How Keras calls the class in a path: to_snake_case of keras/src/utils/naming.py. */
static const char *class_part(const tlvk_layer *layer) {
    return layer->op ? layer->op->snake_name : tlvk__is_plain_chain(layer->model) ? "sequential" : "functional";
}

static tlvk_status first_time(walk *w, const tlvk_layer *layer, bool *first) {
    *first = true;
    if (w->names == TLVK__STATE_WRITTEN)
        return TLVK_OK;
    for (size_t i = 0; i < w->seen_count; i++)
        *first = *first && w->seen[i] != layer;
    if (!*first)
        return TLVK_OK;
    const tlvk_layer **grown = tlvk__grow(w->seen, &w->seen_capacity, w->seen_count + 1, sizeof *grown);
    if (!grown)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for layers behind %zu", w->seen_count);
    w->seen = grown;
    grown[w->seen_count++] = layer;
    return TLVK_OK;
}

static bool has_weights(const tlvk_layer *layer) {
    for (int i = 0; layer->model && i < layer->model->layer_count; i++)
        if (has_weights(layer->model->layers[i]))
            return true;
    return layer->variable_count > 0;
}

/* How many layers before `index` have its class, as the form counts them. */
static int count_before(const walk *w, const tlvk_model *model, int index) {
    const char *wanted = class_part(model->layers[index]);
    int count = 0;
    for (int i = 0; i < index; i++)
        if (strcmp(class_part(model->layers[i]), wanted) == 0)
            count += w->names == TLVK__STATE_DEPENDENCIES && has_weights(model->layers[i]) ? 2 : 1;
    return count;
}

static tlvk_status walk_model(walk *w, const tlvk_model *model, const char *prefix) {
    static const char *const containers[] = {[TLVK__STATE_LAYERS] = "layers", [TLVK__STATE_WRITTEN] = "layers",
                                             [TLVK__STATE_DEPENDENCIES] = "_layer_checkpoint_dependencies"};
    tlvk_status status = TLVK_OK;
    for (int i = 0; !status && i < model->layer_count; i++) {
        const tlvk_layer *layer = model->layers[i];
        bool first = false;
        int before = count_before(w, model, i);
        char *path = before ? tlvk__format("%s%s/%s_%d", prefix, containers[w->names], class_part(layer), before)
                            : tlvk__format("%s%s/%s", prefix, containers[w->names], class_part(layer));
        char *inside = path && layer->model ? tlvk__format("%s/", path) : NULL;
        status = path && (inside || !layer->model) ? first_time(w, layer, &first) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a path");
        if (!status && first)
            status = w->visit(w->user, layer, path);
        if (!status && first && layer->model)
            status = walk_model(w, layer->model, inside);
        free(path);
        free(inside);
    }
    return status;
}

tlvk_status tlvk__state_walk(const tlvk_model *model, tlvk__state_names names, tlvk__state_visit visit, void *user) {
    walk w = {.names = names, .visit = visit, .user = user};
    tlvk_status status = walk_model(&w, model, "");
    free(w.seen);
    return status;
}

/* --- taking weights from there --- */

typedef struct place { const tlvk__h5_group *group; bool used; } place;
typedef struct taking {
    const char *file;
    place *places; size_t count; /* of the file's groups, by path */
    bool carry_out;              /* false: only look whether everything fits */
} taking;

static int compare_places(const void *a, const void *b) {
    return strcmp(((const place *)a)->group->name, ((const place *)b)->group->name);
}

static tlvk_status sort_places(const tlvk__h5_content *content, taking *t) {
    t->places = tlvk__calloc((size_t)content->layer_count + 1, sizeof *t->places);
    if (!t->places)
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory", t->file);
    for (int i = 0; i < content->layer_count; i++)
        t->places[t->count++].group = &content->layers[i];
    if (t->count > 1)
        qsort(t->places, t->count, sizeof *t->places, compare_places);
    return TLVK_OK;
}

static place *find_place(const taking *t, const char *path) {
    tlvk__h5_group wanted = {.name = path};
    return t->count ? bsearch(&(place){.group = &wanted}, t->places, t->count, sizeof *t->places, compare_places) : NULL;
}

static tlvk_status check_layer(const taking *t, const tlvk_layer *layer, const char *path, const tlvk__h5_group *group) {
    char here[128], there[128];
    if (!group || group->weight_count != layer->variable_count)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: layer '%s' (%s) has %d weights, the file's '%s/vars' %d", t->file, layer->name, layer->class_name,
                          layer->variable_count, path, group ? group->weight_count : 0);
    for (int i = 0; i < layer->variable_count; i++)
        if (!tlvk__shape_equal(&group->weights[i].shape, &layer->variables[i]->spec.shape))
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: layer '%s' (%s): its %s has the shape %s, the file's '%s/vars/%s' has %s", t->file, layer->name,
                              layer->class_name, layer->variables[i]->name, tlvk__shape_text(&layer->variables[i]->spec.shape, here, sizeof here), path,
                              group->weights[i].path, tlvk__shape_text(&group->weights[i].shape, there, sizeof there));
    return TLVK_OK;
}

static tlvk_status take_layer(void *user, const tlvk_layer *layer, const char *path) {
    taking *t = user;
    place *p = find_place(t, path);
    tlvk_status status = TLVK_OK;
    if (p)
        p->used = true;
    if (layer->variable_count == 0)
        return TLVK_OK;
    if (!t->carry_out)
        return check_layer(t, layer, path, p ? p->group : NULL);
    for (int i = 0; !status && i < layer->variable_count; i++)
        status = tlvk__variable_set(layer->variables[i], p->group->weights[i].values);
    return status;
}

/* Is it something else's state than a layer's weights? */
static bool is_aside(const char *path) {
    return (strncmp(path, "layers/", 7) != 0 && strncmp(path, "_layer_checkpoint_dependencies/", 31) != 0) || strstr(path, "seed_generator") != NULL;
}

static tlvk__state_names names_of(const taking *t) {
    for (size_t i = 0; i < t->count; i++)
        if (strncmp(t->places[i].group->name, "_layer_checkpoint_dependencies/", 31) == 0)
            return TLVK__STATE_DEPENDENCIES;
    return TLVK__STATE_LAYERS;
}

tlvk_status tlvk__model_assign_state(tlvk_model *model, const tlvk__h5_content *content, const char *file, int *unused) {
    taking t = {.file = file};
    tlvk_status status = sort_places(content, &t);
    if (!status)
        status = tlvk__state_walk(model, names_of(&t), take_layer, &t);
    t.carry_out = true;
    if (!status)
        status = tlvk__state_walk(model, names_of(&t), take_layer, &t);
    if (unused)
        *unused = 0;
    for (size_t i = 0; unused && i < t.count; i++)
        *unused += !t.places[i].used && t.places[i].group->weight_count > 0 && !is_aside(t.places[i].group->name);
    free(t.places);
    return status;
}
