/* trace.c - one step or forward pass with a time per dispatch. */
#include "train/training.h"

#include <stdlib.h>
#include <string.h>

/* `values` numbers of `kind`: uniform in [0, 1), or zeros, which are class numbers and targets alike. */
static float *numbers(int64_t values, bool random) {
    float *x = tlvk__calloc((size_t)values, sizeof *x);
    tlvk__rng rng;
    tlvk__rng_seed(&rng, 1, 0);
    for (int64_t i = 0; x && random && i < values; i++) x[i] = (float)tlvk__rng_uniform(&rng);
    return x;
}

static tlvk_status fill(tlvk__runner *runner, int inputs, int outputs, bool train) {
    const tlvk__plan *plan = tlvk__runner_plan(runner);
    for (int i = 0; i < inputs + (train ? outputs : 0); i++) {
        const tlvk__tensor *t = i < inputs ? tlvk__plan_input(plan, i) : tlvk__plan_target(plan, i - inputs);
        float *values = numbers(tlvk__runner_samples(runner) * t->rows * t->c, i < inputs);
        if (!values) return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for %lld samples", (long long)t->n);
        for (int slot = 0; slot < TLVK__SLOTS; slot++) {
            if (i < inputs) tlvk__runner_put_input(runner, slot, i, values);
            else tlvk__runner_put_target(runner, slot, i - inputs, values);
        }
        free(values);
    }
    for (int slot = 0; slot < TLVK__SLOTS; slot++) memset(tlvk__runner_params(runner, slot), 0, sizeof(tlvk__step_params));
    return TLVK_OK;
}

/* Input sizes for trials: the model's own, 224 where height or width is open. */
static tlvk_status trial_inputs(const tlvk_model *model, int64_t batch, tlvk__shape inputs[TLVK_MAX_IO]) {
    for (int i = 0; i < model->input_count; i++) {
        const tlvk__shape *in = tlvk__tensor_shape_of(model->inputs[i]);
        if (!in) return tlvk__fail(TLVK_ERROR_ARGUMENT, "model %s has no usable input", model->name);
        inputs[i] = *in;
        inputs[i].dim[0] = batch;
        for (int k = 1; k < in->rank; k++) inputs[i].dim[k] = in->dim[k] < 1 ? 224 : in->dim[k];
    }
    return TLVK_OK;
}

tlvk_status tlvk__trial_session(tlvk_model *model, const tlvk__trial *trial, tlvk__session **session, tlvk__runner **runner) {
    bool train = trial->train;
    tlvk__session_desc d = { .training = train, .mixed = trial->mixed, .recorder = { .timestamps = trial->timestamps } };
    *session = NULL;
    tlvk_status st = trial_inputs(model, trial->batch, d.inputs);
    for (int i = 0; i < model->output_count; i++) d.objectives[i] = (tlvk__objective){ .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, .weight = 1 };
    if (!st && train) st = tlvk__optimizer_resolve(&(tlvk_optimizer){ .kind = TLVK_ADAM }, &d.optimizer);
    if (!st) st = tlvk__session_create(model, &d, session);
    if (!st) st = tlvk__session_runner(*session, TLVK__WHOLE, train ? TLVK__PLAN_TRAIN : TLVK__PLAN_PREDICT, d.inputs, runner);
    if (!st) st = fill(*runner, model->input_count, model->output_count, train);
    if (!st) return TLVK_OK;
    tlvk__session_destroy(*session);
    *session = NULL;
    return st;
}

static tlvk_status trace(tlvk_model *model, int64_t batch, bool train, void (*report)(const tlvk_trace_entry *e, void *user), void *user) {
    tlvk__session *session;
    tlvk__runner *runner;
    tlvk_status st = tlvk__trial_session(model, &(tlvk__trial){ .batch = batch, .train = train, .timestamps = true }, &session, &runner);
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
