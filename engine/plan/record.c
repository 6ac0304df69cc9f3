/* record.c - a bound plan to dispatches: inputs in, forward, loss, backward, update, outputs out; nothing that is not planned. */
#include "ops/activation.h"
#include "plan/program.h"

#include <string.h>

static tlvk__span region(const plan_storage *storage) {
    return storage->item_count && storage->segments ? storage->segments[0] : (tlvk__span){ 0 };
}

/* A tensor as it is seen before or behind the losses. */
static const tlvk__tensor *tensor_at(const tlvk__plan *plan, int index, plan_stage stage) {
    const plan_tensor *t = &plan->tensors[index];
    return stage != PLAN_FORWARD && plan->tensors[t->root].again_storage.item_count ? &t->again : &t->t;
}

void tlvk__plan_call(const tlvk__plan *plan, const plan_step *s, plan_stage stage, tlvk__op_call *call) {
    memset(call, 0, sizeof *call);
    call->attrs = s->attrs;
    call->layer = s->path;
    call->training = s->training;
    call->mixed = plan->desc.mixed;
    call->again = stage == PLAN_AGAIN;
    call->stream = s->stream;
    call->inputs = s->input_count;
    call->y = tensor_at(plan, s->output, stage);
    call->epilogue.activation = stage != PLAN_BACKWARD || plan_takes_slope(s) ? s->activation : tlvk__activation_of(TLVK_LINEAR);
    if (s->residual_count && stage != PLAN_BACKWARD) call->epilogue.residual = tensor_at(plan, s->residual, stage);
    if (s->norm_attrs) {
        call->epilogue.scale = &s->scale;
        call->epilogue.shift = &s->shift;
    }
    for (int k = 0; k < s->input_count; k++) {
        call->x[k] = tensor_at(plan, s->inputs[k], stage);
        call->in_place[k] = s->in_place[k];
    }
    for (int k = 0; k < s->variable_count; k++) call->w[k] = s->w[k];
    for (int k = 0; k < TLVK__MAX_AUX; k++) call->aux[k] = region(&s->aux[k]);
    call->scratch = region(stage == PLAN_FORWARD ? &s->forward_scratch : stage == PLAN_AGAIN ? &s->again_scratch : &s->backward_scratch);
    call->packed = s->constant ? s->prepared : region(stage == PLAN_AGAIN ? &s->again_packed : &s->packed);
    if (stage != PLAN_BACKWARD) return;
    call->dy = &plan->tensors[s->output].grad;
    for (int k = 0; k < s->input_count; k++) {
        call->dx[k] = s->dx_skip[k] ? NULL : &plan->tensors[s->inputs[k]].grad;
        call->dx_accumulate[k] = s->dx_accumulate[k];
    }
    for (int k = 0; k < s->variable_count; k++) {
        call->dw[k] = s->dw[k];
        call->dw_accumulate[k] = s->dw_accumulate[k];
    }
}

void tlvk__plan_loss_call(const tlvk__plan *plan, int output, tlvk__loss_call *call) {
    memset(call, 0, sizeof *call);
    const plan_loss *l = &plan->losses[output];
    const plan_tensor *y = &plan->tensors[plan->outputs[output]];
    call->kind_and_options = l->objective.loss;
    call->logits = l->logits;
    call->metric = l->objective.metric;
    call->gradient_weight = l->objective.weight;
    call->y = &y->t;
    call->target = &l->target;
    call->sample_weight = &plan->weight;
    call->dy = !l->gradient ? NULL : l->added ? &l->dy : &y->grad;
    call->scratch = region(&plan->loss_scratch);
    call->layer = plan->output_count == 1 ? "loss" : l->path;
}

static tlvk_status record_step_forward(const tlvk__plan *plan, const plan_step *s, plan_stage stage, tlvk__recorder *r, const tlvk__plan_io *io) {
    if (s->view) return TLVK_OK;
    tlvk__op_call call;
    tlvk__plan_call(plan, s, stage, &call);
    call.step_params = s->in_front ? io->front_params : io->step_params;
    call.first_sample = io->first_sample;
    tlvk_status st = tlvk__recorder_scope(r, stage == PLAN_FORWARD ? "forward" : "backward", s->path);
    if (!st && s->op->pack && !s->constant && s->needs.packed_bytes) st = s->op->pack(r, &call);
    if (!st && s->norm_moving && stage == PLAN_FORWARD) st = tlvk__plan_norm_forward(s, r); /* kept until the backward */
    if (!st) st = s->op->forward(r, &call);
    return st ? tlvk__fail_context(st, "%s", s->path) : TLVK_OK;
}

/* A view that is not the first to write its input's gradient adds its own, number by number. */
static tlvk_status record_view_backward(const tlvk__plan *plan, const plan_step *s, tlvk__recorder *r) {
    if (s->dx_skip[0]) return TLVK_OK;
    const tlvk__tensor *dx = &plan->tensors[s->inputs[0]].grad, *dy = &plan->tensors[s->output].grad;
    tlvk__tensor same = *dx;
    same.segments = dy->segments;
    same.segment_count = dy->segment_count;
    same.segment_n = dy->segment_n;
    return tlvk__record_add(r, dx, &same, dx, s->path);
}

/* The residual's gradient is dy before the activation as it stands. */
static tlvk_status record_residual_backward(const tlvk__plan *plan, const plan_step *s, tlvk__recorder *r) {
    tlvk__activation linear = tlvk__activation_of(TLVK_LINEAR);
    return tlvk__record_activation_slope(r, &linear, NULL, false, &plan->tensors[s->output].grad, NULL, &plan->tensors[s->residual].grad, s->residual_accumulate, s->path);
}

static tlvk_status record_step_backward(const tlvk__plan *plan, const plan_step *s, tlvk__recorder *r, const tlvk__plan_io *io) {
    if (!s->backward) return TLVK_OK;
    tlvk_status st = tlvk__recorder_scope(r, "backward", s->path);
    if (st) return st;
    if (s->view) return record_view_backward(plan, s, r);
    tlvk__op_call call;
    tlvk__plan_call(plan, s, PLAN_BACKWARD, &call);
    call.step_params = io->step_params;
    call.first_sample = io->first_sample;
    for (int k = 0; io->accumulate && k < s->variable_count; k++) call.dw_accumulate[k] = true;
    const tlvk__tensor *dy = &plan->tensors[s->output].grad;
    if (plan_changes_dy(s)) st = tlvk__record_activation_backward(r, &s->activation, call.y, dy, plan_scales_dy(s) ? &s->scale : NULL, dy, s->path);
    if (!st && s->residual_count && !s->residual_skip) st = record_residual_backward(plan, s, r);
    bool wanted = s->want_dx || s->want_dw;
    if (!st && wanted) st = s->norm_moving ? tlvk__plan_norm_backward(plan, s, r, &call, io->accumulate) : s->op->backward(r, &call);
    return st ? tlvk__fail_context(st, "%s (backward)", s->path) : TLVK_OK;
}

static tlvk_status record_tensor_copy(tlvk__recorder *r, const tlvk__tensor *t, tlvk__span host, bool to_host) {
    uint64_t done = 0;
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < t->segment_count; i++) {
        int64_t n = TLVK__MIN(t->segment_n, t->n - (int64_t)i * t->segment_n);
        uint64_t bytes = (uint64_t)(n * tlvk__sample_floats(t)) * sizeof(float);
        tlvk__span device = { .buffer = t->segments[i].buffer, .offset = t->segments[i].offset, .bytes = bytes };
        tlvk__span part = { .buffer = host.buffer, .offset = host.offset + done, .bytes = bytes };
        st = to_host ? tlvk__record_copy(r, device, part) : tlvk__record_copy(r, part, device);
        done += bytes;
    }
    return st;
}

static void bind_host_tensor(tlvk__tensor *t, const tlvk__span *span) {
    t->segments = span;
    t->segment_count = 1;
    t->segment_n = t->n;
}

static tlvk_status record_loss(const tlvk__plan *plan, tlvk__recorder *r, int output, const tlvk__plan_io *io) {
    tlvk__loss_call call;
    tlvk__plan_loss_call(plan, output, &call);
    tlvk__tensor target = plan->losses[output].target, weight = plan->weight;
    bind_host_tensor(&target, &io->targets[output]);
    bind_host_tensor(&weight, &io->sample_weight);
    call.target = &target;
    call.sample_weight = &weight;
    if (call.dy && plan->desc.update && io->update) call.scaling = io->update->scaling;
    call.batch_samples = io->batch_samples;
    call.metrics = io->metrics;
    call.metrics.bytes = TLVK__METRIC_WORDS * sizeof(float);
    call.metrics.offset += (uint64_t)output * call.metrics.bytes;
    tlvk_status st = tlvk__record_loss(r, &call);
    const tlvk__tensor *dy = &plan->tensors[plan->outputs[output]].grad;
    return st || !plan->losses[output].added ? st : tlvk__record_add(r, dy, call.dy, dy, call.layer);
}

/* Evaluation's loss contains the penalty of the weights as they are. */
static tlvk_status record_penalty(tlvk__recorder *r, const tlvk__plan_io *io) {
    tlvk__update_call update = *io->update;
    update.metrics = io->metrics;
    return update.regularized ? tlvk__record_penalty(r, &update) : TLVK_OK;
}

static tlvk_status record_update(tlvk__recorder *r, const tlvk__plan_io *io) {
    tlvk__update_call update = *io->update;
    update.step_params = io->step_params;
    update.metrics = io->metrics;
    return tlvk__record_update(r, &update);
}

tlvk_status tlvk__plan_record(tlvk__plan *plan, tlvk__recorder *r, const tlvk__plan_io *io) {
    if (!plan->bound) return tlvk__fail(TLVK_ERROR_INTERNAL, "plan: recorded before it was bound");
    tlvk_status st = tlvk__recorder_scope(r, "input", NULL);
    for (int i = 0; !st && i < plan->input_count; i++) {
        if (plan->tensors[plan->inputs[i]].t.segment_count) st = record_tensor_copy(r, &plan->tensors[plan->inputs[i]].t, io->inputs[i], false);
    }
    for (int i = 0; !st && i < plan->step_count; i++) st = record_step_forward(plan, &plan->steps[i], PLAN_FORWARD, r, io);
    if (!st && plan->desc.mode == TLVK__PLAN_PREDICT) {
        st = tlvk__recorder_scope(r, "output", NULL);
        for (int i = 0; !st && i < plan->output_count; i++) st = record_tensor_copy(r, &plan->tensors[plan->outputs[i]].t, io->outputs[i], true);
        return st;
    }
    if (!st) st = tlvk__recorder_scope(r, "loss", NULL);
    for (int i = 0; !st && i < plan->output_count; i++) st = record_loss(plan, r, i, io);
    if (!st && plan->desc.mode == TLVK__PLAN_EVALUATE && io->update && !io->unfinished) st = record_penalty(r, io);
    if (st || plan->desc.mode != TLVK__PLAN_TRAIN) return st;
    for (int i = 0; !st && i < plan->later_count; i++) {
        const plan_step *s = &plan->steps[plan->later[i].step];
        st = plan->later[i].again ? record_step_forward(plan, s, PLAN_AGAIN, r, io) : record_step_backward(plan, s, r, io);
    }
    if (!st) st = tlvk__recorder_scope(r, "update", NULL);
    if (!st && plan->desc.update && io->update && !io->unfinished) st = record_update(r, io);
    return st;
}

tlvk_status tlvk__plan_record_prepare(tlvk__plan *plan, tlvk__recorder *r, bool (*done)(void *user, uint64_t key), void *user) {
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < plan->step_count; i++) {
        plan_step *s = &plan->steps[i];
        if (s->view) continue;
        if (s->constant && s->needs.packed_bytes && !done(user, tlvk__plan_packed_key(s))) {
            tlvk__op_call call;
            tlvk__plan_call(plan, s, PLAN_FORWARD, &call);
            st = s->op->pack(r, &call);
        }
        if (!st && s->norm_attrs && !s->norm_moving && !done(user, tlvk__plan_norm_key(s))) {
            st = tlvk__record_batch_norm_affine(r, s->norm_attrs, s->norm_w, NULL, &s->scale, &s->shift, s->path);
        }
    }
    return st;
}
