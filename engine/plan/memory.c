/* memory.c - what is to be stored, and how long it lives. Where it lies is place.c's.
 *
 * Time is counted in positions: forward of step i, then the loss, then the backward of the steps in reverse, between them second forwards, then the
 * update. Each tensor is alive from its first writing to its last reading. A tensor larger than one allocation is cut into segments of whole
 * samples, each an item of its own. */
#include "plan/program.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 256u                     /* the largest minStorageBufferOffsetAlignment the specification allows */
#define LARGEST_BLOCK (UINT64_C(1) << 31)  /* kept below what 32-bit offsets of vec4 can name with ease */

uint64_t tlvk__plan_block_limit(const tlvk__plan *plan) {
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
    if (bytes > tlvk__plan_block_limit(plan)) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: needs %llu bytes of working memory in one piece, the device allocates at most %llu", path,
                          (unsigned long long)bytes, (unsigned long long)tlvk__plan_block_limit(plan));
    }
    storage->first_item = (int)plan->item_count;
    storage->item_count = 1;
    return add_item(plan, bytes, first, last);
}

static tlvk_status add_tensor(tlvk__plan *plan, plan_storage *storage, tlvk__tensor *t, int first, int last, const char *path) {
    uint64_t bytes;
    if (!tlvk__tensor_bytes(t, &bytes)) return tlvk__fail(TLVK_ERROR_MEMORY, "%s: a tensor of %lld x %lld x %lld numbers is too large to count", path, (long long)t->n, (long long)t->rows, (long long)t->c);
    if (bytes == 0) return TLVK_OK;
    uint64_t sample = bytes / (uint64_t)t->n, limit = tlvk__plan_block_limit(plan);
    if (sample > limit) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: one sample of %lld x %lld numbers takes %llu bytes, the device allocates at most %llu", path,
                          (long long)t->rows, (long long)t->c, (unsigned long long)sample, (unsigned long long)limit);
    }
    storage->segment_n = TLVK__MIN(t->n, (int64_t)(limit / sample));
    storage->first_item = (int)plan->item_count;
    storage->item_count = 0;
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

/* Behind the losses a tensor is what was kept, or what was made again. */
static void later_live(plan_tensor *tensors, int index, int position) {
    plan_tensor *root = &tensors[tensors[index].root];
    if (root->kept) {
        live(tensors, index, position);
        return;
    }
    root->again_first = TLVK__MIN(root->again_first, position);
    root->again_last = TLVK__MAX(root->again_last, position);
}

static unsigned own_reads(const plan_step *s) {
    bool wanted = s->op->backward_reads && (s->want_dx || s->want_dw);
    return wanted ? s->op->backward_reads(s->attrs, s->training, s->want_dx, s->want_dw) : 0;
}

unsigned tlvk__plan_backward_reads(const plan_step *s) {
    if (!s->backward || s->view) return 0;
    return own_reads(s) | (epilogue_reads_output(s) ? TLVK__READS_Y : 0u);
}

/* The epilogue's own backward reads the output before the operation's does anything. */
static int output_read_at(const plan_step *s) { return (own_reads(s) & TLVK__READS_Y) || plan_takes_slope(s) ? s->back_at : s->epilogue_at; }

static void step_lifetimes(tlvk__plan *plan, int i) {
    plan_step *s = &plan->steps[i];
    plan_tensor *t = plan->tensors;
    int back = s->back_at;
    live(t, s->output, i);
    for (int k = 0; k < s->input_count; k++) live(t, s->inputs[k], i);
    if (s->residual_count) live(t, s->residual, i);
    if (s->again_at != NO_STEP) {
        later_live(t, s->output, s->again_at);
        for (int k = 0; k < s->input_count; k++) later_live(t, s->inputs[k], s->again_at);
        if (s->residual_count) later_live(t, s->residual, s->again_at);
    }
    if (!s->backward) return;
    grad_live(t, s->output, s->epilogue_at);
    grad_live(t, s->output, back);
    for (int k = 0; k < s->input_count; k++) {
        if (t[s->inputs[k]].active) grad_live(t, s->inputs[k], back);
    }
    if (s->residual_count && t[s->residual].active) grad_live(t, s->residual, back);
    unsigned reads = tlvk__plan_backward_reads(s);
    for (int k = 0; (reads & TLVK__READS_X) && k < s->input_count; k++) later_live(t, s->inputs[k], back);
    if (reads & TLVK__READS_Y) later_live(t, s->output, output_read_at(s));
}

static void lifetimes(tlvk__plan *plan) {
    for (int i = 0; i < plan->tensor_count; i++) {
        plan_tensor *t = &plan->tensors[i];
        t->first = t->grad_first = t->again_first = plan->end_at;
        t->last = t->grad_last = t->again_last = -2;
    }
    for (int i = 0; i < plan->input_count; i++) live(plan->tensors, plan->inputs[i], -1);
    for (int i = 0; i < plan->step_count; i++) step_lifetimes(plan, i);
    for (int i = 0; i < plan->output_count; i++) {
        if (plan->desc.mode == TLVK__PLAN_PREDICT) live(plan->tensors, plan->outputs[i], plan->end_at);
        else live(plan->tensors, plan->outputs[i], plan_loss_position(plan));
        if (plan->losses[i].gradient) grad_live(plan->tensors, plan->outputs[i], plan_loss_position(plan));
    }
}

tlvk_status tlvk__plan_needs(tlvk__plan *plan) {
    for (int i = 0; i < plan->step_count; i++) {
        plan_step *s = &plan->steps[i];
        if (s->view || !s->op->needs) continue;
        tlvk__op_call call;
        tlvk__plan_call(plan, s, s->backward ? PLAN_BACKWARD : PLAN_FORWARD, &call);
        tlvk_status st = s->op->needs(&plan->caps, &call, s->backward && s->want_dx, s->backward && s->want_dw, &s->needs);
        if (st) return tlvk__fail_context(st, "%s", s->path);
    }
    return TLVK_OK;
}

static tlvk_status step_regions(tlvk__plan *plan, int i) {
    plan_step *s = &plan->steps[i];
    int back = s->back_at, again = s->again_at;
    tlvk_status st = TLVK_OK;
    if (s->norm_moving) {
        st = add_region(plan, &s->norm_vectors, 2 * tlvk__plan_norm_vector_bytes(plan, s), i, s->backward ? back : i, s->path);
        if (!st && s->backward) st = add_region(plan, &s->norm_scratch, tlvk__plan_norm_scratch_bytes(plan, s), back, back, s->path);
        if (st) return st;
    }
    if (s->view || !s->op->needs) return TLVK_OK;
    for (int k = 0; !st && k < TLVK__MAX_AUX; k++) st = add_region(plan, &s->aux[k], s->needs.aux_bytes[k], i, s->backward ? back : i, s->path);
    if (!st) st = add_region(plan, &s->forward_scratch, s->needs.forward_scratch_bytes, i, i, s->path);
    if (!st && s->backward) st = add_region(plan, &s->backward_scratch, s->needs.backward_scratch_bytes, back, back, s->path);
    if (!st && !s->constant) st = add_region(plan, &s->packed, s->needs.packed_bytes, i, i, s->path);
    if (st || again == NO_STEP) return st;
    st = add_region(plan, &s->again_scratch, s->needs.forward_scratch_bytes, again, again, s->path);
    return st || s->constant ? st : add_region(plan, &s->again_packed, s->needs.packed_bytes, again, again, s->path);
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

/* What an earlier schedule had. */
static void clear_items(tlvk__plan *plan) {
    plan->item_count = 0;
    for (int i = 0; i < plan->tensor_count; i++) plan->tensors[i].again_storage.item_count = 0;
    for (int i = 0; i < plan->step_count; i++) plan->steps[i].again_scratch.item_count = plan->steps[i].again_packed.item_count = 0;
}

tlvk_status tlvk__plan_items(tlvk__plan *plan) {
    clear_items(plan);
    lifetimes(plan);
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < plan->tensor_count; i++) {
        plan_tensor *t = &plan->tensors[i];
        const char *path = t->producer == NO_STEP ? "the input" : plan->steps[t->producer].path;
        if (t->root == i && t->last >= t->first) st = add_tensor(plan, &t->storage, &t->t, t->first, t->last, path);
        t->grad = t->t;
        t->grad.stride = t->grad_stride;
        t->grad.half = false;
        if (!st && t->grad_root == i && t->grad_last >= t->grad_first) st = add_tensor(plan, &t->grad_storage, &t->grad, t->grad_first, t->grad_last, path);
        t->again = t->t;
        if (!st && t->root == i && t->again_last >= t->again_first) st = add_tensor(plan, &t->again_storage, &t->again, t->again_first, t->again_last, path);
    }
    for (int i = 0; !st && i < plan->step_count; i++) st = step_regions(plan, i);
    if (!st && plan->desc.mode != TLVK__PLAN_PREDICT) st = loss_regions(plan);
    return st;
}
