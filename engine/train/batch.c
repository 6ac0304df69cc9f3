/* batch.c - single training steps on given arrays: Keras's train_on_batch. */
#include "train/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct step_state {
    tlvk_model *model; tlvk_dataset *data;
    tlvk__task task;
    tlvk__session *session;
    tlvk__runner *runner;
    int64_t n;
    double rate;
} step_state;

/* Inputs and targets of all samples into slot 0. */
static tlvk_status put_arrays(step_state *s) {
    float *x[TLVK_MAX_IO] = { 0 }, *target = NULL;
    tlvk__reader *reader = NULL;
    int64_t valid = 0;
    bool ok = true;
    for (int i = 0; ok && i < s->task.input_count; i++) {
        x[i] = tlvk__calloc((size_t)(s->n * tlvk__dataset_sample_elements(s->data, i)), sizeof(float));
        ok = x[i] != NULL;
    }
    tlvk_status st = ok ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "train_on_batch: no memory");
    if (!st) st = tlvk__reader_create(s->data, &(tlvk__reader_desc){ .batch = (int)s->n, .threads = 1 }, &reader);
    if (!st) st = tlvk__reader_next(reader, x, NULL, NULL, &valid);
    for (int i = 0; !st && i < s->task.input_count; i++) tlvk__runner_put_input(s->runner, 0, i, x[i]);
    for (int i = 0; !st && i < s->task.output_count; i++) {
        target = tlvk__calloc((size_t)s->n * (size_t)s->task.target_widths[i], sizeof *target);
        if (!target) st = tlvk__fail(TLVK_ERROR_MEMORY, "train_on_batch: no memory");
        for (int64_t k = 0; !st && k < s->n; k++) tlvk__task_target(&s->task, s->data, i, k, target + k * s->task.target_widths[i]);
        if (!st) tlvk__runner_put_target(s->runner, 0, i, target);
        free(target);
    }
    tlvk__reader_destroy(reader);
    for (int i = 0; i < TLVK_MAX_IO; i++) free(x[i]);
    return st;
}

static tlvk_status run_step(step_state *s, tlvk_logs *logs) {
    tlvk__training *t = s->model->training;
    tlvk__step_params *p = tlvk__runner_params(s->runner, 0);
    memset(p, 0, sizeof *p);
    p->step[0] = (uint32_t)t->steps;
    p->step[1] = (uint32_t)((uint64_t)t->steps >> 32);
    double rate = tlvk__schedule_rate(&t->optimizer, t->steps, INT64_MAX, t->plateau.rate);
    tlvk__optimizer_step(&t->optimizer, t->steps + 1, rate, p);
    tlvk_status st = tlvk__runner_submit(s->runner, 0);
    if (!st) st = tlvk__runner_wait(s->runner, 0);
    if (st) return st;
    t->steps++;
    const float *m = tlvk__runner_metrics(s->runner, 0);
    tlvk__sums sums = { 0 };
    tlvk__sums_add(&sums, &s->task, m, tlvk__session_regularized(s->session) ? (double)m[TLVK__METRIC_PENALTY] : 0, s->n);
    *logs = tlvk__no_logs();
    tlvk__sums_logs(&sums, false, logs);
    logs->learning_rate = rate;
    logs->samples = s->n;
    return tlvk__session_read(s->session);
}

static tlvk_status train_step(tlvk_model *model, tlvk_dataset *data, tlvk_logs *logs) {
    step_state s = { .model = model, .data = data, .n = tlvk_dataset_size(data) };
    tlvk_status st = tlvk__task_resolve(model, data, model->training->objectives, &s.task);
    if (!st) st = tlvk__training_session(model, &s.task, (int)s.n, false, NULL, &s.session);
    if (st) return st;
    for (int i = 0; i < s.task.input_count; i++) s.task.inputs[i].dim[0] = s.n;
    st = tlvk__session_runner(s.session, TLVK__WHOLE, TLVK__PLAN_TRAIN, s.task.inputs, &s.runner);
    if (!st) st = put_arrays(&s);
    return st ? st : run_step(&s, logs);
}

/* Each loss must be named: it tells what the targets hold. */
static tlvk_status check_compiled(tlvk_model *model) {
    tlvk_status st = tlvk__model_check_idle(model);
    if (!st) st = tlvk__training_adopt(model);
    if (st) return st;
    if (!model->training) return tlvk__fail(TLVK_ERROR_ARGUMENT, "train_on_batch: model %s is not compiled; call tlvk_model_compile first", model->name);
    for (int i = 0; i < model->output_count; i++) {
        if (model->training->objectives[i].loss.kind == TLVK_LOSS_AUTO) {
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "train_on_batch: model %s was compiled without naming a loss, which tells what y holds; compile with one",
                              model->name);
        }
    }
    return TLVK_OK;
}

static tlvk_status train_on(tlvk_model *model, tlvk_array_desc *d, int64_t samples, tlvk_logs *logs) {
    if (samples < 1 || samples > INT32_MAX) return tlvk__fail(TLVK_ERROR_ARGUMENT, "train_on_batch: %lld samples", (long long)samples);
    d->batch_size = (int)samples;
    d->no_shuffle = d->borrow = true;
    tlvk_dataset *data = NULL;
    tlvk_status st = tlvk_dataset_from_arrays(model->ctx, d, &data);
    if (!st) st = train_step(model, data, logs);
    tlvk_dataset_destroy(data);
    return st;
}

/* Shapes for an array dataset of `samples`: x as the model's input, y as its output (one number a sample for sparse labels). */
static tlvk_status batch_arrays(tlvk_model *model, const float *x, const float *y, int64_t samples, tlvk_array_desc *d) {
    *d = (tlvk_array_desc){ .x = x, .y = y };
    const tlvk__shape *in = model->input_count == 1 ? tlvk__tensor_shape_of(model->inputs[0]) : NULL;
    const tlvk__shape *out = model->output_count == 1 ? tlvk__tensor_shape_of(model->outputs[0]) : NULL;
    if (!in || !out) {
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "train_on_batch: model %s has %d inputs and %d outputs; tlvk_model_train_on_arrays takes them",
                          model->name, model->input_count, model->output_count);
    }
    bool sparse = model->training->objectives[0].loss.kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY;
    d->x_shape[0] = d->y_shape[0] = samples;
    for (int i = 1; i < in->rank; i++) {
        if (in->dim[i] < 1) {
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "train_on_batch: model %s has an open input size; use tlvk_model_train_on_arrays", model->name);
        }
        d->x_shape[i] = in->dim[i];
    }
    for (int i = 1; i < out->rank - sparse; i++) d->y_shape[i] = out->dim[i];
    return TLVK_OK;
}

tlvk_status tlvk_model_train_on_batch(tlvk_model *model, const float *x, const float *y, int64_t samples, tlvk_logs *logs) {
    tlvk_context *ctx = tlvk__model_context(model);
    if (!model || !x || !y || !logs) {
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_train_on_batch: no model, no arrays or no place for the result"));
    }
    tlvk_array_desc d;
    tlvk_status st = check_compiled(model);
    if (!st) st = batch_arrays(model, x, y, samples, &d);
    if (!st) st = train_on(model, &d, samples, logs);
    return tlvk__context_fail(ctx, st);
}

tlvk_status tlvk_model_train_on_arrays(tlvk_model *model, const tlvk_array *inputs, const tlvk_array *targets, tlvk_logs *logs) {
    tlvk_context *ctx = tlvk__model_context(model);
    if (!model || !inputs || !targets || !logs) {
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_train_on_arrays: no model, no arrays or no place for the result"));
    }
    tlvk_array_desc d = { 0 };
    memcpy(d.inputs, inputs, (size_t)model->input_count * sizeof *inputs);
    memcpy(d.targets, targets, (size_t)model->output_count * sizeof *targets);
    tlvk_status st = check_compiled(model);
    if (!st) st = train_on(model, &d, inputs[0].shape[0], logs);
    return tlvk__context_fail(ctx, st);
}
