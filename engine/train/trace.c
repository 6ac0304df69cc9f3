/* trace.c - one step or forward pass with a time per dispatch. */
#include "train/training.h"

#include <stdlib.h>
#include <string.h>

static tlvk_status fill_random(tlvk__runner *runner, const tlvk__task *task, int64_t n, bool train) {
    int64_t elements = 1;
    for (int i = 1; i < task->input.rank; i++) elements *= task->input.dim[i];
    float *x = tlvk__calloc((size_t)(n * elements), sizeof *x), *targets = tlvk__calloc((size_t)n * (size_t)TLVK__MAX(task->target_width, 1), sizeof *targets);
    if (!x || !targets) {
        free(x);
        free(targets);
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for %lld samples", (long long)n);
    }
    tlvk__rng rng;
    tlvk__rng_seed(&rng, 1, 0);
    for (int64_t i = 0; i < n * elements; i++) x[i] = (float)tlvk__rng_uniform(&rng);
    for (int slot = 0; slot < TLVK__SLOTS; slot++) {
        tlvk__runner_put_input(runner, slot, 0, x);
        if (train) tlvk__runner_put_target(runner, slot, targets);
        memset(tlvk__runner_params(runner, slot), 0, sizeof(tlvk__step_params));
    }
    free(x);
    free(targets);
    return TLVK_OK;
}

/* Input size for trials: the model's own, 224 where height or width is open. */
static tlvk_status trial_task(const tlvk_model *model, tlvk__task *task) {
    memset(task, 0, sizeof *task);
    const tlvk__shape *in = model->input_count == 1 ? tlvk__tensor_shape_of(model->inputs[0]) : NULL;
    if (!in) return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "model %s has %d inputs, one is needed", model->name, model->input_count);
    task->input = *in;
    task->input.dim[0] = 1;
    for (int i = 1; i < in->rank; i++) task->input.dim[i] = in->dim[i] < 1 ? 224 : in->dim[i];
    task->loss = (tlvk_loss){ .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY };
    task->target_width = 1;
    return TLVK_OK;
}

tlvk_status tlvk__trial_session(tlvk_model *model, int64_t batch, bool train, bool timestamps, tlvk__session **session, tlvk__runner **runner) {
    tlvk__task task;
    *session = NULL;
    tlvk_status st = trial_task(model, &task);
    tlvk__session_desc d = { .training = train, .loss = task.loss, .input = task.input, .recorder = { .timestamps = timestamps } };
    if (!st && train) st = tlvk__optimizer_resolve(&(tlvk_optimizer){ .kind = TLVK_ADAM }, &d.optimizer);
    d.input.dim[0] = batch;
    if (!st) st = tlvk__session_create(model, &d, session);
    if (!st) st = tlvk__session_runner(*session, TLVK__WHOLE, train ? TLVK__PLAN_TRAIN : TLVK__PLAN_PREDICT, &d.input, runner);
    if (!st) st = fill_random(*runner, &task, batch, train);
    if (!st) return TLVK_OK;
    tlvk__session_destroy(*session);
    *session = NULL;
    return st;
}

static tlvk_status trace(tlvk_model *model, int64_t batch, bool train, void (*report)(const tlvk_trace_entry *e, void *user), void *user) {
    tlvk__session *session;
    tlvk__runner *runner;
    tlvk_status st = tlvk__trial_session(model, batch, train, true, &session, &runner);
    if (st) return st;
    for (int i = 0; !st && i < 2; i++) { /* the first run compiles */
        st = tlvk__runner_submit(runner, 0);
        if (!st) st = tlvk__runner_wait(runner, 0);
    }
    tlvk__recording *recording = tlvk__runner_recording(runner, 0);
    for (int i = 0; !st && i < tlvk__recording_count(recording); i++) {
        tlvk__recorded e;
        st = tlvk__recording_entry(recording, i, &e);
        if (!st) report(&(tlvk_trace_entry){ .operation = e.operation, .layer = e.layer, .ms = e.ms, .gflop = e.flops * 1e-9 }, user);
    }
    tlvk__session_destroy(session);
    return st;
}

tlvk_status tlvk_model_trace(tlvk_model *model, int64_t batch, bool train, void (*report)(const tlvk_trace_entry *e, void *user), void *user) {
    tlvk_context *ctx = tlvk__model_context(model);
    if (!model || !report || batch < 1) return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_trace: no model, no report or batch %lld", (long long)batch));
    return tlvk__context_fail(ctx, trace(model, batch, train, report, user));
}
