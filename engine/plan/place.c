/* place.c - where everything lies: offsets in the arena's blocks.
 *
 * Items are placed one after the other, each at the lowest offset where nothing alive at the same time lies. No order of placing is the best for every
 * network, so a few are tried, and the one with the smallest arena is taken. */
#include "plan/program.h"

#include <stdlib.h>
#include <string.h>

enum { BY_BYTES_EARLY_FIRST, BY_BYTES_LATE_FIRST, BY_BYTES_LONG_FIRST, BY_SPAN, BY_CROWD, BY_TIME, ORDERS };

/* What comes first; what two items have in common is told by their place in the list. */
static int compare(const void *a, const void *b, int order) {
    const plan_memory_item *x = *(plan_memory_item *const *)a, *y = *(plan_memory_item *const *)b;
    int x_span = x->last - x->first, y_span = y->last - y->first;
    if (order == BY_CROWD && x->crowd != y->crowd) return x->crowd < y->crowd ? 1 : -1;
    if (order == BY_TIME && x->first != y->first) return x->first > y->first ? 1 : -1;
    if ((order == BY_SPAN || order == BY_CROWD) && x_span != y_span) return x_span < y_span ? 1 : -1;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    if (order == BY_BYTES_LONG_FIRST && x_span != y_span) return x_span < y_span ? 1 : -1;
    if (x->first != y->first) return (x->first > y->first) == (order != BY_BYTES_LATE_FIRST) ? 1 : -1;
    return x < y ? -1 : 1;
}

static int early_first(const void *a, const void *b) { return compare(a, b, BY_BYTES_EARLY_FIRST); }
static int late_first(const void *a, const void *b) { return compare(a, b, BY_BYTES_LATE_FIRST); }
static int long_first(const void *a, const void *b) { return compare(a, b, BY_BYTES_LONG_FIRST); }
static int by_span(const void *a, const void *b) { return compare(a, b, BY_SPAN); }
static int by_crowd(const void *a, const void *b) { return compare(a, b, BY_CROWD); }
static int by_time(const void *a, const void *b) { return compare(a, b, BY_TIME); }

/* Sums change where an item begins, and at such a place the most are alive. */
static void count_crowds(tlvk__plan *plan) {
    for (size_t i = 0; i < plan->item_count; i++) {
        uint64_t alive = 0;
        int at = plan->items[i].first;
        for (size_t k = 0; k < plan->item_count; k++) alive += plan->items[k].first <= at && at <= plan->items[k].last ? plan->items[k].bytes : 0;
        for (size_t k = 0; k < plan->item_count; k++) {
            plan_memory_item *item = &plan->items[k];
            if (item->first <= at && at <= item->last) item->crowd = TLVK__MAX(item->crowd, alive);
        }
    }
}

/* Lowest offset in `block` at which `item` overlaps nothing that is placed there and alive at the same time. */
static uint64_t lowest_gap(plan_memory_item *const *placed, size_t count, const plan_memory_item *item, int block) {
    uint64_t at = 0;
    bool moved = true;
    while (moved) {
        moved = false;
        for (size_t i = 0; i < count; i++) {
            const plan_memory_item *p = placed[i];
            bool together = p->block == block && p->first <= item->last && item->first <= p->last;
            if (together && p->offset < at + item->bytes && at < p->offset + p->bytes) {
                at = p->offset + p->bytes;
                moved = true;
            }
        }
    }
    return at;
}

static void place(tlvk__plan *plan, plan_memory_item **order) {
    uint64_t limit = tlvk__plan_block_limit(plan);
    plan->block_count = 0;
    memset(plan->block_bytes, 0, plan->item_count * sizeof *plan->block_bytes);
    for (size_t i = 0; i < plan->item_count; i++) {
        plan_memory_item *item = order[i];
        for (item->block = 0;; item->block++) {
            item->offset = lowest_gap(order, i, item, item->block);
            if (item->offset + item->bytes <= limit) break;
        }
        plan->block_count = TLVK__MAX(plan->block_count, item->block + 1);
        plan->block_bytes[item->block] = TLVK__MAX(plan->block_bytes[item->block], item->offset + item->bytes);
    }
}

tlvk_status tlvk__plan_place(tlvk__plan *plan) {
    static int (*const orders[ORDERS])(const void *a, const void *b) = { early_first, late_first, long_first, by_span, by_crowd, by_time };
    plan_memory_item **order = tlvk__calloc(plan->item_count + 1, sizeof(plan_memory_item *));
    free(plan->block_bytes);
    plan->block_bytes = tlvk__calloc(plan->item_count + 1, sizeof *plan->block_bytes);
    if (!order || !plan->block_bytes) {
        free(order);
        return tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
    }
    count_crowds(plan);
    uint64_t smallest = UINT64_MAX;
    int best = 0;
    for (int i = 0; i <= ORDERS; i++) {
        int now = i < ORDERS ? i : best;
        for (size_t k = 0; k < plan->item_count; k++) order[k] = &plan->items[k];
        qsort(order, plan->item_count, sizeof(plan_memory_item *), orders[now]);
        place(plan, order);
        if (tlvk__plan_arena_bytes(plan) >= smallest) continue;
        smallest = tlvk__plan_arena_bytes(plan);
        best = now;
    }
    free(order);
    return TLVK_OK;
}
