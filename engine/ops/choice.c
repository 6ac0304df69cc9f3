/* choice.c - see choice.h. Hides: that a table is an array sorted by key, and the words for choices. */
#include "ops/choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry { tlvk__choice_key key; int32_t value; } entry;
struct tlvk__choices { entry *entries; size_t count, capacity; };

tlvk__choices *tlvk__choices_create(void) { return tlvk__calloc(1, sizeof(tlvk__choices)); }

void tlvk__choices_destroy(tlvk__choices *c) {
    if (!c)
        return;
    free(c->entries);
    free(c);
}

static int compare(const tlvk__choice_key *a, const tlvk__choice_key *b) {
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->pass != b->pass)
        return a->pass < b->pass ? -1 : 1;
    for (int i = 0; i < TLVK__CHOICE_NUMBERS; i++)
        if (a->n[i] != b->n[i])
            return a->n[i] < b->n[i] ? -1 : 1;
    return 0;
}

/* The first entry that is not before `key`. */
static size_t place_of(const tlvk__choices *c, const tlvk__choice_key *key) {
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&c->entries[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool holds(const tlvk__choices *c, size_t place, const tlvk__choice_key *key) {
    return place < c->count && compare(&c->entries[place].key, key) == 0;
}

bool tlvk__choices_find(const tlvk__choices *c, const tlvk__choice_key *key, int32_t *value) {
    if (!c)
        return false;
    size_t place = place_of(c, key);
    if (!holds(c, place, key))
        return false;
    *value = c->entries[place].value;
    return true;
}

tlvk_status tlvk__choices_put(tlvk__choices *c, const tlvk__choice_key *key, int32_t value) {
    size_t place = place_of(c, key);
    if (holds(c, place, key)) {
        c->entries[place].value = value;
        return TLVK_OK;
    }
    entry *grown = tlvk__grow(c->entries, &c->capacity, c->count + 1, sizeof *grown);
    if (!grown)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for %zu kernel choices", c->count + 1);
    c->entries = grown;
    memmove(grown + place + 1, grown + place, (c->count - place) * sizeof *grown);
    grown[place] = (entry){*key, value};
    c->count++;
    return TLVK_OK;
}

bool tlvk__choices_are_before(const tlvk__choices *c, const tlvk__choice_key *key) {
    return !c->count || compare(&c->entries[c->count - 1].key, key) < 0;
}

size_t tlvk__choices_count(const tlvk__choices *c) { return c ? c->count : 0; }

void tlvk__choices_at(const tlvk__choices *c, size_t index, tlvk__choice_key *key, int32_t *value) {
    *key = c->entries[index].key;
    *value = c->entries[index].value;
}

int32_t tlvk__choice_take(const tlvk__caps *caps, const tlvk__choice_key *key, const int32_t *candidates, int count) {
    int32_t value;
    if (caps->forced_choice > 0)
        return candidates[(caps->forced_choice - 1) % count];
    if (!tlvk__choices_find(caps->choices, key, &value))
        return candidates[0];
    for (int i = 0; i < count; i++)
        if (candidates[i] == value)
            return value;
    return candidates[0];
}

/* --- words ------------------------------------------------------------------------------------------------------------------------------- */

static void value_text(const tlvk__choice_key *key, int32_t value, char *text, size_t size) {
    if (value == TLVK__CHOICE_WINOGRAD)
        snprintf(text, size, "winograd");
    else if (key->kind == TLVK__CHOICE_DEPTHWISE)
        snprintf(text, size, !value ? "by its size" : tlvk__choice_kc(value) ? "strips of %dx%d" : "blocks of %dx%d", tlvk__choice_tm(value), tlvk__choice_tv(value));
    else if (value & TLVK__CHOICE_COOPERATIVE)
        snprintf(text, size, "cooperative %dx%d", tlvk__choice_tm(value), 4 * tlvk__choice_tv(value));
    else if (value & TLVK__CHOICE_PORTABLE)
        snprintf(text, size, "portable %d%s", tlvk__choice_tm(value), value & TLVK__CHOICE_LONG_SUMS ? ", long sums" : "");
    else
        snprintf(text, size, "shuffle %dx%dx%d%s%s", tlvk__choice_tm(value), tlvk__choice_tv(value), tlvk__choice_kc(value),
                 value & TLVK__CHOICE_SPLIT ? " split" : "", value & TLVK__CHOICE_LONG_SUMS ? ", long sums" : "");
}

char *tlvk__choice_text(const tlvk__choice_key *key, int32_t value, char *text, size_t size) {
    static const char *const kinds[] = {"?", "Conv2D", "Dense", "Conv2DTranspose", "DepthwiseConv2D", "mixed Conv2D", "mixed Dense", "mixed Conv2DTranspose"};
    static const char *const passes[] = {"forward", "backward-data", "backward-weights"};
    char chosen[48], stride[48] = "", dilation[48] = "";
    const int64_t *n = key->n;
    bool known = key->kind > 0 && key->kind < TLVK__CHOICE_KINDS && key->pass >= 0 && key->pass < 3;
    value_text(key, value, chosen, sizeof chosen);
    if (n[6] != 1 || n[7] != 1)
        snprintf(stride, sizeof stride, " stride %lldx%lld", (long long)n[6], (long long)n[7]);
    if (n[8] != 1 || n[9] != 1)
        snprintf(dilation, sizeof dilation, " dilation %lldx%lld", (long long)n[8], (long long)n[9]);
    snprintf(text, size, "%s %s %lldx%lldx%lld %lldx%lld%s%s to %lldx%lldx%lld: %s", kinds[known ? key->kind : 0], known ? passes[key->pass] : "?", (long long)n[0],
             (long long)n[1], (long long)n[12] * 4, (long long)n[4], (long long)n[5], stride, dilation, (long long)n[2], (long long)n[3], (long long)n[13] * 4, chosen);
    return text;
}
