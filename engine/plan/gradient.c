/* gradient.c - the reverse pass: which steps have a backward, what each writes, and who writes first.
 *
 * `active` (set by lower.c) says that a trained variable stands before a tensor. Walking back from the losses, a step has a backward when its
 * output's gradient is wanted and something active or trained stands before it. The first writer of a gradient in this order stores, the
 * later ones add, so sums have a fixed order. A view's gradient shares its input's memory. */
#include "plan/program.h"

#include <stdlib.h>

static void mark_step(tlvk__plan *plan, int index, bool *written) {
    plan_step *s = &plan->steps[index];
    plan_tensor *y = &plan->tensors[s->output];
    if (!y->active || !y->grad_wanted) return;
    s->backward = true;
    for (int k = 0; k < s->variable_count; k++) s->want_dw |= s->trained[k];
    if (s->residual_count) {
        plan_tensor *x = &plan->tensors[s->residual];
        s->residual_skip = !x->active;
        s->residual_accumulate = written[s->residual];
        if (x->active) x->grad_wanted = written[s->residual] = true;
    }
    for (int k = 0; k < s->input_count; k++) {
        plan_tensor *x = &plan->tensors[s->inputs[k]];
        s->dx_skip[k] = !x->active;
        if (!x->active) continue;
        s->want_dx = true;
        x->grad_wanted = true;
        int xi = s->inputs[k];
        if (s->view && !written[xi]) {
            s->dx_skip[k] = true;
            x->grad_root = plan->tensors[s->output].grad_root;
        } else {
            s->dx_accumulate[k] = written[xi];
        }
        written[xi] = true;
    }
}

/* A variable used by several steps: in backward order the first stores its gradient, the others add. */
static void mark_shared_variables(tlvk__plan *plan) {
    for (int i = plan->step_count - 1; i >= 0; i--) {
        plan_step *s = &plan->steps[i];
        if (!s->backward) continue;
        for (int k = 0; k < s->variable_count; k++) {
            for (int j = plan->step_count - 1; j > i && s->trained[k]; j--) {
                const plan_step *later = &plan->steps[j];
                for (int m = 0; later->backward && m < later->variable_count; m++) {
                    if (later->trained[m] && later->variables[m] == s->variables[k]) s->dw_accumulate[k] = true;
                }
            }
        }
    }
}

tlvk_status tlvk__plan_mark(tlvk__plan *plan) {
    if (plan->desc.mode != TLVK__PLAN_TRAIN) {
        tlvk__plan_slice(plan);
        return TLVK_OK;
    }
    bool *written = tlvk__calloc((size_t)plan->tensor_count, sizeof *written);
    if (!written) return tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
    for (int i = 0; i < plan->output_count; i++) {
        plan_loss *l = &plan->losses[i];
        plan_tensor *y = &plan->tensors[plan->outputs[i]];
        l->gradient = y->active && l->objective.weight != 0;
        if (!l->gradient) continue;
        l->added = written[plan->outputs[i]];
        y->grad_wanted = written[plan->outputs[i]] = true;
    }
    for (int i = plan->step_count - 1; i >= 0; i--) mark_step(plan, i, written);
    mark_shared_variables(plan);
    free(written);
    tlvk__plan_slice(plan);
    return tlvk__plan_share(plan);
}
