/* share.c - gradients that are equal lie in the same memory instead of being copied: what an Add passes on to its inputs, and what a residual gets.
 *
 * The backward pass changes some gradients where they lie: a later reader adds its share, an epilogue's slope is taken in place. Whether tensors may lie
 * together is found by playing the pass through: every change makes a new version of the memory, each tensor remembers the version that holds its
 * numbers, and who reads must find that one. */
#include "plan/program.h"

#include <stdlib.h>
#include <string.h>

typedef struct play { const tlvk__plan *plan; int root; int version; int *holds; /* per tensor */ } play;

static bool inside(const play *p, int tensor) { return p->plan->tensors[tensor].grad_root == p->root; }

/* The gradient of `tensor` is written by a step whose dy is that of `from`. */
static bool play_write(play *p, int tensor, int from, bool shared, bool accumulate) {
    if (!inside(p, tensor)) return true;
    if (shared) {
        p->holds[tensor] = p->holds[from];
        return true;
    }
    if (inside(p, from) || (accumulate && p->holds[tensor] != p->version)) return false;
    p->holds[tensor] = ++p->version;
    return true;
}

static bool play_step(play *p, const plan_step *s) {
    const plan_tensor *t = p->plan->tensors;
    if (inside(p, s->output)) {
        if (p->holds[s->output] != p->version) return false;
        if (plan_changes_dy(s)) p->holds[s->output] = ++p->version;
    }
    bool right = true;
    if (s->residual_count && t[s->residual].active) right = play_write(p, s->residual, s->output, s->residual_skip, s->residual_accumulate);
    for (int k = 0; right && k < s->input_count; k++) {
        if (t[s->inputs[k]].active) right = play_write(p, s->inputs[k], s->output, s->dx_skip[k], s->dx_accumulate[k]);
    }
    return right;
}

/* All readers of the gradients that lie in `root` find their numbers. */
static bool holds(const tlvk__plan *plan, int root, int *room) {
    play p = { .plan = plan, .root = root, .holds = room };
    for (int i = 0; i < plan->tensor_count; i++) room[i] = -1;
    for (int i = 0; i < plan->output_count; i++) {
        if (plan->losses[i].gradient && inside(&p, plan->outputs[i])) room[plan->outputs[i]] = ++p.version;
    }
    bool right = true;
    for (int i = plan->step_count - 1; right && i >= 0; i--) {
        if (plan->steps[i].backward) right = play_step(&p, &plan->steps[i]);
    }
    return right;
}

/* Puts the gradient of `tensor` into the memory of the gradient of `from`, by setting *shared, if that holds. */
static void try_share(tlvk__plan *plan, int tensor, int from, bool *shared, int *room) {
    int root = plan->tensors[from].grad_root, own = plan->tensors[tensor].grad_root;
    if (root == own) return;
    for (int i = 0; i < plan->tensor_count; i++) {
        const plan_tensor *t = &plan->tensors[i];
        if (t->grad_stride && (t->grad_root == root || t->grad_root == own)) return; /* a slice is changed without its whole's knowing */
    }
    int *before = room + plan->tensor_count;
    for (int i = 0; i < plan->tensor_count; i++) {
        before[i] = plan->tensors[i].grad_root;
        if (before[i] == own) plan->tensors[i].grad_root = root;
    }
    *shared = true;
    if (holds(plan, root, room)) return;
    *shared = false;
    for (int i = 0; i < plan->tensor_count; i++) plan->tensors[i].grad_root = before[i];
}

tlvk_status tlvk__plan_share(tlvk__plan *plan) {
    int *room = tlvk__calloc(2 * (size_t)plan->tensor_count + 1, sizeof *room);
    if (!room) return tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
    for (int i = plan->step_count - 1; i >= 0; i--) {
        plan_step *s = &plan->steps[i];
        if (!s->backward) continue;
        if (s->residual_count && plan->tensors[s->residual].active && !s->residual_accumulate) try_share(plan, s->residual, s->output, &s->residual_skip, room);
        for (int k = 0; s->op == &tlvk__op_add && k < s->input_count; k++) {
            bool whole = tlvk__shape_equal(&plan->tensors[s->inputs[k]].shape, &plan->tensors[s->output].shape);
            if (whole && plan->tensors[s->inputs[k]].active && !s->dx_accumulate[k]) try_share(plan, s->inputs[k], s->output, &s->dx_skip[k], room);
        }
    }
    free(room);
    return TLVK_OK;
}
