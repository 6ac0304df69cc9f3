/* storage.c - which activations of mixed precision lie in memory as fp16: half the bytes to keep, to write and to read (docs/precision.md).
 *
 * A tensor does where the step that makes it can store it so and every step that reads it, forward or backward, reads it as texels, whose format is the
 * view's and not the shader's. What lies in the same memory, views and slices, goes with it. The model's inputs and outputs stay fp32; so does
 * where the frozen part of a model ends, which is the output of a plan of its own when features are kept: a run with kept features has the bits of one
 * without. */
#include "plan/program.h"

#include <stdlib.h>

static unsigned takes(const tlvk__plan *plan, const plan_step *s) {
    tlvk__op_call call;
    if (!s->op->halves) return 0;
    tlvk__plan_call(plan, s, PLAN_FORWARD, &call);
    return s->op->halves(&plan->caps, &call);
}

/* Marks the memory of what `s` reads and writes where it may not be fp16. moving: per tensor, as plan_step.moving. */
static void look_at(const tlvk__plan *plan, const plan_step *s, bool *moving, bool *full) {
    const plan_tensor *t = plan->tensors;
    bool moves = s->moving || (s->residual_count && moving[s->residual]);
    for (int k = 0; k < s->input_count; k++) moves = moves || moving[s->inputs[k]];
    moving[s->output] = moves;
    if (s->view) return;
    unsigned can = takes(plan, s);
    if (!(can & TLVK__HALF_Y)) full[t[s->output].root] = true;
    for (int k = 0; k < s->input_count + s->residual_count; k++) {
        int x = k < s->input_count ? s->inputs[k] : s->residual;
        if (!(can & TLVK__HALF_X) || (moves && !moving[x])) full[t[x].root] = true;
    }
}

tlvk_status tlvk__plan_store(tlvk__plan *plan) {
    if (!plan->desc.mixed || !tlvk__texel_operands(&plan->caps)) return TLVK_OK;
    bool *moving = tlvk__calloc((size_t)plan->tensor_count, sizeof *moving), *full = tlvk__calloc((size_t)plan->tensor_count, sizeof *full);
    tlvk_status st = moving && full ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
    for (int i = 0; !st && i < plan->tensor_count; i++) full[i] = plan->tensors[plan->tensors[i].root].producer == NO_STEP;
    for (int i = 0; !st && i < plan->output_count; i++) full[plan->tensors[plan->outputs[i]].root] = true;
    for (int i = 0; !st && i < plan->step_count; i++) look_at(plan, &plan->steps[i], moving, full);
    for (int i = 0; !st && i < plan->tensor_count; i++) plan->tensors[i].t.half = !full[plan->tensors[i].root];
    free(moving);
    free(full);
    return st;
}

void tlvk__plan_halves(const tlvk__plan *plan, int *activations, int *halves) {
    *activations = *halves = 0;
    for (int i = 0; i < plan->step_count; i++) {
        const plan_step *s = &plan->steps[i];
        if (s->view || plan->tensors[s->output].root != s->output) continue;
        (*activations)++;
        *halves += plan->tensors[s->output].t.half;
    }
}
