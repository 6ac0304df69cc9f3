/* memory.c - how long everything lives, and where it lies.
 *
 * Time is counted in positions: forward of step i, then the loss, then the backward of the steps in reverse, then the update. Each tensor
 * is alive from its first writing to its last reading; they are placed one by one, each at the lowest offset where nothing alive at the
 * same time lies, in the best of a few orders. A tensor larger than one allocation is cut into segments of whole samples, each an item of its own. */
#include "plan/program.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 256u                     /* the largest minStorageBufferOffsetAlignment the specification allows */
#define LARGEST_BLOCK (UINT64_C(1) << 31)  /* kept below what 32-bit offsets of vec4 can name with ease */

static uint64_t block_limit(const tlvk__plan *plan) {
    uint64_t limit = TLVK__MIN(plan->caps.max_allocation_bytes, LARGEST_BLOCK);
    return limit / ALIGNMENT * ALIGNMENT;
}

static tlvk_status add_item(tlvk__plan *plan, uint64_t bytes, int first, int last) {
    plan_memory_item *grown = tlvk__grow(plan->items, &plan->item_capacity, plan->item_count + 1, sizeof *plan->items);
    if (!grown) return tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
    plan->items = grown;
    plan->items[plan->item_count++] = (plan_memory_item){ .bytes = tlvk__round_up(bytes, ALIGNMENT), .first = first, .last = last };
    return TLVK_OK;
}

/* A region that is not a tensor: scratch, aux, packed weights. */
static tlvk_status add_region(tlvk__plan *plan, plan_storage *storage, uint64_t bytes, int first, int last, const char *path) {
    if (bytes == 0) return TLVK_OK;
    if (bytes > block_limit(plan)) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: needs %llu bytes of working memory in one piece, the device allocates at most %llu", path,
                          (unsigned long long)bytes, (unsigned long long)block_limit(plan));
    }
    storage->first_item = (int)plan->item_count;
    storage->item_count = 1;
    return add_item(plan, bytes, first, last);
}

static tlvk_status add_tensor(tlvk__plan *plan, plan_storage *storage, tlvk__tensor *t, int first, int last, const char *path) {
    uint64_t bytes;
    if (!tlvk__tensor_bytes(t, &bytes)) return tlvk__fail(TLVK_ERROR_MEMORY, "%s: a tensor of %lld x %lld x %lld numbers is too large to count", path, (long long)t->n, (long long)t->rows, (long long)t->c);
    if (bytes == 0) return TLVK_OK;
    uint64_t sample = bytes / (uint64_t)t->n, limit = block_limit(plan);
    if (sample > limit) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: one sample of %lld x %lld numbers takes %llu bytes, the device allocates at most %llu", path,
                          (long long)t->rows, (long long)t->c, (unsigned long long)sample, (unsigned long long)limit);
    }
    storage->segment_n = TLVK__MIN(t->n, (int64_t)(limit / sample));
    storage->first_item = (int)plan->item_count;
    for (int64_t n = 0; n < t->n; n += storage->segment_n) {
        tlvk_status st = add_item(plan, (uint64_t)TLVK__MIN(storage->segment_n, t->n - n) * sample, first, last);
        if (st) return st;
        storage->item_count++;
    }
    return TLVK_OK;
}

static void live(plan_tensor *tensors, int index, int position) {
    plan_tensor *root = &tensors[tensors[index].root];
    root->first = TLVK__MIN(root->first, position);
    root->last = TLVK__MAX(root->last, position);
}

static void grad_live(plan_tensor *tensors, int index, int position) {
    plan_tensor *root = &tensors[tensors[index].grad_root];
    root->grad_first = TLVK__MIN(root->grad_first, position);
    root->grad_last = TLVK__MAX(root->grad_last, position);
}

/* In training an operation that takes the slope itself tells it from x. */
static bool epilogue_reads_output(const plan_step *s) { return s->activation.kind != TLVK_LINEAR && !(plan_takes_slope(s) && s->training); }

static void step_lifetimes(tlvk__plan *plan, int i) {
    plan_step *s = &plan->steps[i];
    plan_tensor *t = plan->tensors;
    int back = plan_backward_position(plan, i);
    live(t, s->output, i);
    for (int k = 0; k < s->input_count; k++) live(t, s->inputs[k], i);
    if (s->residual_count) live(t, s->residual, i);
    if (!s->backward) return;
    grad_live(t, s->output, back);
    for (int k = 0; k < s->input_count; k++) {
        if (t[s->inputs[k]].active) grad_live(t, s->inputs[k], back);
    }
    if (s->residual_count && t[s->residual].active) grad_live(t, s->residual, back);
    if (s->view) return;
    unsigned reads = s->op->backward_reads && (s->want_dx || s->want_dw) ? s->op->backward_reads(s->attrs, s->training, s->want_dx, s->want_dw) : 0;
    if (reads & TLVK__READS_X) {
        for (int k = 0; k < s->input_count; k++) live(t, s->inputs[k], back);
    }
    if ((reads & TLVK__READS_Y) || epilogue_reads_output(s)) live(t, s->output, back);
}

static void lifetimes(tlvk__plan *plan) {
    for (int i = 0; i < plan->tensor_count; i++) {
        plan_tensor *t = &plan->tensors[i];
        t->first = t->grad_first = plan_end_position(plan);
        t->last = t->grad_last = -2;
    }
    for (int i = 0; i < plan->input_count; i++) live(plan->tensors, plan->inputs[i], -1);
    for (int i = 0; i < plan->step_count; i++) step_lifetimes(plan, i);
    for (int i = 0; i < plan->output_count; i++) {
        if (plan->desc.mode == TLVK__PLAN_PREDICT) live(plan->tensors, plan->outputs[i], plan_end_position(plan));
        else live(plan->tensors, plan->outputs[i], plan_loss_position(plan));
        if (plan->losses[i].gradient) grad_live(plan->tensors, plan->outputs[i], plan_loss_position(plan));
    }
}

static tlvk_status step_regions(tlvk__plan *plan, int i) {
    plan_step *s = &plan->steps[i];
    int back = plan_backward_position(plan, i);
    tlvk_status st = TLVK_OK;
    if (s->norm_moving) {
        st = add_region(plan, &s->norm_vectors, 2 * tlvk__plan_norm_vector_bytes(plan, s), i, s->backward ? back : i, s->path);
        if (!st && s->backward) st = add_region(plan, &s->norm_scratch, tlvk__plan_norm_scratch_bytes(plan, s), back, back, s->path);
        if (st) return st;
    }
    if (s->view || !s->op->needs) return TLVK_OK;
    tlvk__op_call call;
    tlvk__plan_call(plan, s, s->backward, &call);
    if ((st = s->op->needs(&plan->caps, &call, s->backward && s->want_dx, s->backward && s->want_dw, &s->needs))) return tlvk__fail_context(st, "%s", s->path);
    for (int k = 0; !st && k < TLVK__MAX_AUX; k++) st = add_region(plan, &s->aux[k], s->needs.aux_bytes[k], i, s->backward ? back : i, s->path);
    if (!st) st = add_region(plan, &s->forward_scratch, s->needs.forward_scratch_bytes, i, i, s->path);
    if (!st && s->backward) st = add_region(plan, &s->backward_scratch, s->needs.backward_scratch_bytes, back, back, s->path);
    if (!st && !s->constant) st = add_region(plan, &s->packed, s->needs.packed_bytes, i, i, s->path);
    return st;
}

static int larger_first(const void *a, const void *b) {
    const plan_memory_item *x = *(plan_memory_item *const *)a, *y = *(plan_memory_item *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : 1;
}

static int longer_first(const void *a, const void *b) {
    const plan_memory_item *x = *(plan_memory_item *const *)a, *y = *(plan_memory_item *const *)b;
    int long_x = x->last - x->first, long_y = y->last - y->first;
    return long_x != long_y ? (long_x < long_y ? 1 : -1) : larger_first(a, b);
}

static int earlier_first(const void *a, const void *b) {
    const plan_memory_item *x = *(plan_memory_item *const *)a, *y = *(plan_memory_item *const *)b;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : larger_first(a, b);
}

static int crowded_first(const void *a, const void *b) {
    const plan_memory_item *x = *(plan_memory_item *const *)a, *y = *(plan_memory_item *const *)b;
    return x->crowd != y->crowd ? (x->crowd < y->crowd ? 1 : -1) : longer_first(a, b);
}

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

/* Places all items, the first of the order first; returns the bytes of all blocks. */
static uint64_t place_in_order(tlvk__plan *plan, plan_memory_item **order, int (*compare)(const void *a, const void *b)) {
    for (size_t i = 0; i < plan->item_count; i++) order[i] = &plan->items[i];
    qsort(order, plan->item_count, sizeof(plan_memory_item *), compare);
    memset(plan->block_bytes, 0, (plan->item_count + 1) * sizeof *plan->block_bytes);
    plan->block_count = 0;
    uint64_t limit = block_limit(plan), sum = 0;
    for (size_t i = 0; i < plan->item_count; i++) {
        plan_memory_item *item = order[i];
        for (item->block = 0;; item->block++) {
            item->offset = lowest_gap(order, i, item, item->block);
            if (item->offset + item->bytes <= limit) break;
        }
        plan->block_count = TLVK__MAX(plan->block_count, item->block + 1);
        plan->block_bytes[item->block] = TLVK__MAX(plan->block_bytes[item->block], item->offset + item->bytes);
    }
    for (int i = 0; i < plan->block_count; i++) sum += plan->block_bytes[i];
    return sum;
}

/* No order is the best for every network; the one that takes the least memory is kept, of equals the first. */
static tlvk_status place_items(tlvk__plan *plan) {
    static int (*const orders[])(const void *a, const void *b) = { larger_first, crowded_first, longer_first, earlier_first };
    plan_memory_item **order = tlvk__calloc(plan->item_count + 1, sizeof(plan_memory_item *));
    plan->block_bytes = tlvk__calloc(plan->item_count + 1, sizeof *plan->block_bytes);
    if (!order || !plan->block_bytes) {
        free(order);
        return tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
    }
    count_crowds(plan);
    uint64_t least = UINT64_MAX;
    size_t best = 0;
    for (size_t i = 0; i < TLVK__COUNT(orders); i++) {
        uint64_t bytes = place_in_order(plan, order, orders[i]);
        if (bytes < least) best = i;
        least = TLVK__MIN(least, bytes);
    }
    if (best + 1 < TLVK__COUNT(orders)) place_in_order(plan, order, orders[best]);
    free(order);
    return TLVK_OK;
}

/* The losses run one after the other and share their scratch. */
static tlvk_status loss_regions(tlvk__plan *plan) {
    uint64_t scratch = 0;
    int at = plan_loss_position(plan);
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < plan->output_count; i++) {
        plan_loss *l = &plan->losses[i];
        tlvk__loss_call call;
        tlvk__plan_loss_call(plan, i, &call);
        scratch = TLVK__MAX(scratch, tlvk__loss_scratch_bytes(&call));
        l->dy = plan->tensors[plan->outputs[i]].t;
        if (l->added) st = add_tensor(plan, &l->dy_storage, &l->dy, at, at, l->path);
    }
    return st ? st : add_region(plan, &plan->loss_scratch, scratch, at, at, "loss");
}

tlvk_status tlvk__plan_place(tlvk__plan *plan) {
    lifetimes(plan);
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < plan->tensor_count; i++) {
        plan_tensor *t = &plan->tensors[i];
        const char *path = t->producer == NO_STEP ? "the input" : plan->steps[t->producer].path;
        if (t->root == i && t->last >= t->first) st = add_tensor(plan, &t->storage, &t->t, t->first, t->last, path);
        t->grad = t->t;
        if (!st && t->grad_root == i && t->grad_last >= t->grad_first) st = add_tensor(plan, &t->grad_storage, &t->grad, t->grad_first, t->grad_last, path);
    }
    for (int i = 0; !st && i < plan->step_count; i++) st = step_regions(plan, i);
    if (!st && plan->desc.mode != TLVK__PLAN_PREDICT) st = loss_regions(plan);
    return st ? st : place_items(plan);
}
