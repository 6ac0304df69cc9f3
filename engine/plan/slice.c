/* slice.c - what a Concatenate puts together lies in its output from the beginning, instead of being copied there; and what it passes back lies in the
 * gradient of its output.
 *
 * A part that can be written as a slice by the step that makes it, and read as one by all that read it, becomes a slice of the Concatenate's output: the
 * output owns the memory and lives as long as any of its slices is written or read. Where that output is a part itself, its slices are slices of the larger
 * one: all of a dense block lies in its last output. A part that does not begin at a multiple of four channels is copied, so that vec4 stay whole and no
 * part's lanes of zeros lie over another's numbers. Only Concatenates that grow, putting channels behind the output of the one before, are written in place:
 * others copy once, which costs less than rows that lie apart (docs/memory.md).
 * Gradients are slices by the same rules where the Concatenate is the first to write the part's gradient;
 * the others add to it where it lies. */
#include "plan/program.h"

#include <stdlib.h>

static unsigned takes(const tlvk__plan *plan, const plan_step *s) {
    tlvk__op_call call;
    if (s->view || !s->op->slices) return 0;
    tlvk__plan_call(plan, s, PLAN_FORWARD, &call);
    return s->op->slices(&plan->caps, &call);
}

static bool by_channels(const tlvk__plan *plan, const plan_step *s) {
    return s->op == &tlvk__op_concatenate && (takes(plan, s) & TLVK__SLICED_X);
}

/* It puts something behind what a Concatenate put together, or a Concatenate puts something behind its output. */
static bool grows(const tlvk__plan *plan, const plan_step *s) {
    int before = plan->tensors[s->inputs[0]].producer;
    if (before != NO_STEP && by_channels(plan, &plan->steps[before])) return true;
    for (int i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].inputs[0] == s->output && by_channels(plan, &plan->steps[i])) return true;
    }
    return false;
}

static bool is_output(const tlvk__plan *plan, int tensor) {
    for (int i = 0; i < plan->output_count; i++) {
        if (plan->outputs[i] == tensor) return true;
    }
    return false;
}

/* The memory of `tensor`, or of its gradient, is its own and nobody else's. */
static bool alone(const tlvk__plan *plan, int tensor, bool gradient) {
    for (int i = 0; i < plan->tensor_count; i++) {
        const plan_tensor *t = &plan->tensors[i];
        if ((i == tensor) != ((gradient ? t->grad_root : t->root) == tensor)) return false;
    }
    return true;
}

/* All readers of `tensor` take slices of what `wanted` says; a residual is read as it lies beside y. */
static bool readers_take(const tlvk__plan *plan, int tensor, unsigned wanted, bool backward) {
    for (int i = 0; i < plan->step_count; i++) {
        const plan_step *s = &plan->steps[i];
        if (s->residual_count && s->residual == tensor) return false;
        for (int k = 0; k < s->input_count; k++) {
            if (s->inputs[k] == tensor && (!backward || s->backward) && (takes(plan, s) & wanted) != wanted) return false;
        }
    }
    return true;
}

/* Channel `at` of the whole may be where input k of a Concatenate begins. */
static bool fits(const tlvk__plan *plan, const plan_step *s, int k, int64_t at) {
    int tensor = s->inputs[k], times = 0;
    const plan_tensor *x = &plan->tensors[tensor];
    for (int m = 0; m < s->input_count; m++) times += s->inputs[m] == tensor;
    bool whole_vecs = at % TLVK__LANES == 0 && (x->t.c % TLVK__LANES == 0 || k == s->input_count - 1);
    return whole_vecs && times == 1 && x->producer != NO_STEP && !is_output(plan, tensor);
}

static int64_t row_floats(const tlvk__tensor *t) { return tlvk__row_vecs(t) * TLVK__LANES; }

static void slice_forward(tlvk__plan *plan, plan_step *s) {
    int64_t at = 0;
    for (int k = 0; k < s->input_count; k++) {
        plan_tensor *x = &plan->tensors[s->inputs[k]], *y = &plan->tensors[s->output];
        bool in_place = fits(plan, s, k, at) && alone(plan, s->inputs[k], false) && (takes(plan, &plan->steps[x->producer]) & TLVK__SLICED_Y) &&
                        readers_take(plan, s->inputs[k], TLVK__SLICED_X, false);
        if (in_place) {
            s->in_place[k] = true;
            x->root = y->root;
            x->at = y->at + at;
            x->t.stride = row_floats(&y->t);
        }
        at += x->t.c;
    }
}

static void slice_backward(tlvk__plan *plan, plan_step *s) {
    int64_t at = 0;
    for (int k = 0; k < s->input_count; k++) {
        plan_tensor *x = &plan->tensors[s->inputs[k]], *y = &plan->tensors[s->output];
        bool first = s->backward && x->active && !s->dx_skip[k] && !s->dx_accumulate[k];
        bool in_place = first && fits(plan, s, k, at) && alone(plan, s->inputs[k], true) && (takes(plan, &plan->steps[x->producer]) & TLVK__SLICED_DY) &&
                        readers_take(plan, s->inputs[k], TLVK__SLICED_DX, true);
        if (in_place) {
            s->dx_skip[k] = true;
            x->grad_root = y->grad_root;
            x->grad_at = y->grad_at + at;
            x->grad_stride = y->grad_stride ? y->grad_stride : y->t.pitch;
        }
        at += x->t.c;
    }
}

void tlvk__plan_slice(tlvk__plan *plan) {
    for (int i = plan->step_count - 1; i >= 0; i--) {
        plan_step *s = &plan->steps[i];
        if (!by_channels(plan, s) || !grows(plan, s)) continue;
        slice_forward(plan, s);
        slice_backward(plan, s);
    }
}

bool tlvk__plan_read_unfinished(const tlvk__plan *plan, int root) {
    int last = NO_STEP;
    for (int i = 0; i < plan->step_count; i++) {
        if (plan->tensors[plan->steps[i].output].root == root && !plan->steps[i].view) last = i;
    }
    for (int i = 0; i < last; i++) {
        const plan_step *s = &plan->steps[i];
        if (plan->tensors[s->output].root == root) continue;
        for (int k = 0; k < s->input_count; k++) {
            if (plan->tensors[s->inputs[k]].root == root) return true;
        }
    }
    return false;
}
