/* find.c - layers by name, path and pattern at any depth of nesting. Hides: how nested models are walked without visiting one twice. */
#include "graph/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tour { tlvk__visit visit; void *user; tlvk__map seen; tlvk_layer *path[TLVK__MAX_NESTING + 1]; bool stopped; } tour;

static bool tour_model(tour *t, const tlvk_model *model, int level) {
    for (int i = 0; i < model->layer_count && !t->stopped; i++) {
        tlvk_layer *layer = model->layers[i];
        if (tlvk__map_get(&t->seen, layer) >= 0)
            continue;
        if (!tlvk__map_put(&t->seen, layer, 1))
            return false;
        t->path[level] = layer;
        t->stopped = !t->visit(t->user, t->path, level + 1);
        if (layer->model && !t->stopped && !tour_model(t, layer->model, level + 1))
            return false;
    }
    return true;
}

bool tlvk__walk_layers(const tlvk_model *model, tlvk__visit visit, void *user) {
    tour t = {.visit = visit, .user = user};
    bool ok = tour_model(&t, model, 0);
    tlvk__map_free(&t.seen);
    return ok;
}

/* Does the path, written "a/b/c", end in `name`? The names in it may hold slashes themselves. */
static bool path_ends_in(tlvk_layer *const *path, int length, const char *name) {
    size_t left = strlen(name);
    for (int i = length; i-- > 0;) {
        size_t part = strlen(path[i]->name);
        if (left < part || memcmp(name + left - part, path[i]->name, part) != 0)
            return false;
        left -= part;
        if (left == 0)
            return true;
        if (name[--left] != '/')
            return false;
    }
    return false;
}

typedef struct search {
    const tlvk_model *model;
    const char *name;
    tlvk_layer **path; int length;
    int found;
    tlvk__text places;             /* where it was found, for the text */
} search;

static bool search_visit(void *user, tlvk_layer *const *path, int length) {
    search *s = user;
    if (!path_ends_in(path, length, s->name))
        return true;
    if (length == 1) /* the model's own layer comes first, as get_layer knows no other; keep it and end */
        s->found = 0;
    s->found++;
    memcpy(s->path, path, (size_t)length * sizeof *path);
    s->length = length;
    tlvk__text_add(&s->places, "%s", s->places.length ? ", " : "");
    for (int i = 0; i < length; i++)
        tlvk__text_add(&s->places, "%s%s", i ? "/" : "", path[i]->name);
    return length > 1;
}

tlvk_status tlvk__find_layer(const tlvk_model *model, const char *name, tlvk_layer **path, int *length) {
    search s = {.model = model, .name = name, .path = path};
    bool ok = tlvk__walk_layers(model, search_visit, &s);
    tlvk_status st = TLVK_OK;
    if (!ok) {
        st = tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory to look for a layer", model->name);
    } else if (s.found == 0) {
        char near[160];
        tlvk__near_names(model, name, near, sizeof near);
        st = tlvk__fail(TLVK_ERROR_ARGUMENT, "%s has no layer named \"%s\"%s", model->name, name, near);
    } else if (s.found > 1) {
        st = tlvk__fail(TLVK_ERROR_ARGUMENT, "%s has %d layers named \"%s\"; give the path of one: %s", model->name, s.found, name,
                        s.places.failed ? "a/b/c" : s.places.data);
    }
    *length = s.length;
    free(s.places.data);
    return st;
}

/* --- names that look alike ------------------------------------------------------------------------------------------------ */

#define NEAR_LENGTH 63
#define NEAR_COUNT 3

/* Levenshtein's distance over the first NEAR_LENGTH characters. */
static int distance(const char *a, const char *b) {
    int row[NEAR_LENGTH + 1];
    int n = (int)TLVK__MIN(strlen(b), NEAR_LENGTH), m = (int)TLVK__MIN(strlen(a), NEAR_LENGTH);
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = TLVK__MIN(change, TLVK__MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

typedef struct neighbours { const char *name; const char *best[NEAR_COUNT]; int score[NEAR_COUNT]; int count; } neighbours;

static bool neighbour_visit(void *user, tlvk_layer *const *path, int length) {
    neighbours *n = user;
    const char *name = path[length - 1]->name;
    int score = distance(n->name, name);
    int limit = TLVK__MAX(2, (int)strlen(n->name) / 3);
    if (score > limit)
        return true;
    int at = n->count;
    while (at > 0 && n->score[at - 1] > score)
        at--;
    if (at == NEAR_COUNT)
        return true;
    for (int i = TLVK__MIN(n->count, NEAR_COUNT - 1); i > at; i--) {
        n->best[i] = n->best[i - 1];
        n->score[i] = n->score[i - 1];
    }
    n->best[at] = name;
    n->score[at] = score;
    if (n->count < NEAR_COUNT)
        n->count++;
    return true;
}

void tlvk__near_names(const tlvk_model *model, const char *name, char *buffer, size_t size) {
    neighbours n = {.name = name};
    size_t used = 0;
    buffer[0] = '\0';
    if (!tlvk__walk_layers(model, neighbour_visit, &n))
        return;
    for (int i = 0; i < n.count && used < size; i++) {
        int wrote = snprintf(buffer + used, size - used, "%s%s", i ? ", " : "; near it: ", n.best[i]);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
}

/* --- patterns ------------------------------------------------------------------------------------------------------------- */

/* Matches one character class behind '['; *next: behind its ']'. Without a ']' the '[' stands for itself. */
static bool class_matches(const char *p, char c, const char **next) {
    bool negate = *p == '!', hit = false;
    const char *s = negate ? p + 1 : p;
    const char *end = *s ? strchr(s + 1, ']') : NULL;
    if (!end) {
        *next = p;
        return c == '[';
    }
    while (s < end) {
        if (s[1] == '-' && s + 2 < end) {
            hit = hit || (c >= s[0] && c <= s[2]);
            s += 3;
        } else {
            hit = hit || c == *s;
            s++;
        }
    }
    *next = end + 1;
    return hit != negate;
}

bool tlvk__glob(const char *pattern, const char *text) {
    const char *star = NULL, *resume = NULL; /* the last '*' and where its match may grow */
    while (*text) {
        const char *next = pattern + 1;
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
            continue;
        }
        bool same = *pattern == '?' || *pattern == *text;
        if (*pattern == '[')
            same = class_matches(pattern + 1, *text, &next);
        if (*pattern && same) {
            pattern = next;
            text++;
        } else if (star) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}
