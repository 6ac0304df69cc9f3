/* evaluate.c - loss and metrics of a dataset, and scores of its samples; single training steps on given arrays. */
#include "train/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A session whose variables are all constants. */
static tlvk_status constant_session(tlvk_model *model, const tlvk__task *task, tlvk__session **out) {
    tlvk__session_desc d = { .loss = task->loss, .metric = task->metric, .input = task->input };
    return tlvk__session_create(model, &d, out);
}

static tlvk_status evaluate(tlvk_model *model, tlvk_dataset *data, tlvk_logs *logs) {
    tlvk_loss loss = model->training ? model->training->loss : (tlvk_loss){ 0 };
    tlvk_metric_kind metric = model->training ? model->training->metric : TLVK_ACCURACY;
    tlvk__task task;
    tlvk__session *session = NULL;
    double began = tlvk__now_seconds();
    tlvk_status st = tlvk__task_resolve(model, data, loss, metric, &task);
    if (!st) st = constant_session(model, &task, &session);
    if (st) return st;
    int64_t size = tlvk_dataset_size(data), *order = tlvk__calloc((size_t)size + 1, sizeof *order);
    tlvk__sums sums = { 0 };
    if (!order) st = tlvk__fail(TLVK_ERROR_MEMORY, "evaluate: no memory");
    for (int64_t i = 0; order && i < size; i++) order[i] = i;
    tlvk__pass pass = { .ctx = model->ctx, .session = session, .task = &task, .data = data, .mode = TLVK__PLAN_EVALUATE, .order = order, .count = size,
                        .batch = (int)TLVK__MAX(TLVK__MIN((int64_t)tlvk__dataset_batch_size(data), size), 1), .penalty = tlvk__model_penalty(model) };
    if (!st) st = tlvk__pass_run(&pass, &sums, NULL);
    if (!st) {
        *logs = (tlvk_logs){ .loss = tlvk__sums_loss(&sums), .accuracy = tlvk__sums_accuracy(&sums), .val_loss = (double)NAN, .val_accuracy = (double)NAN,
                             .seconds = tlvk__now_seconds() - began, .samples = sums.samples };
    }
    free(order);
    tlvk__session_destroy(session);
    return st;
}

tlvk_status tlvk_model_evaluate(tlvk_model *model, tlvk_dataset *data, tlvk_logs *logs) {
    tlvk_context *ctx = tlvk__model_context(model);
    if (!model || !data || !logs) return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_evaluate: no model, no data or no place for the result"));
    tlvk__context_clear_cancel(ctx);
    return tlvk__context_fail(ctx, evaluate(model, data, logs));
}

/* --- predict --------------------------------------------------------------------------------------------------------------------------------- */

typedef struct predict_state {
    tlvk_model *model; tlvk_dataset *data; tlvk__session *session;
    int batch; int64_t elements;
    float *x, *y, *scores;
    int64_t *ids[TLVK__SLOTS], n[TLVK__SLOTS];
    tlvk__runner *runner[TLVK__SLOTS];
} predict_state;

static tlvk_status collect(predict_state *s, int slot) {
    tlvk__runner *runner = s->runner[slot];
    if (!runner) return TLVK_OK;
    s->runner[slot] = NULL;
    tlvk_status st = tlvk__runner_wait(runner, slot);
    if (st) return st;
    tlvk__runner_get_output(runner, slot, 0, s->y);
    for (int64_t k = 0; k < s->n[slot]; k++) memcpy(s->scores + s->ids[slot][k] * s->elements, s->y + k * s->elements, (size_t)s->elements * sizeof *s->y);
    return TLVK_OK;
}

static tlvk_status predict_batches(predict_state *s, tlvk__reader *reader, tlvk__shape input) {
    tlvk_status st = TLVK_OK;
    for (int step = 0; !st; step++) {
        int slot = step % TLVK__SLOTS;
        if ((st = collect(s, slot))) return st;
        if (tlvk__context_cancelled(s->model->ctx)) return tlvk__fail(TLVK_ERROR_CANCELLED, "cancelled");
        if ((st = tlvk__reader_next(reader, s->x, NULL, s->ids[slot], &s->n[slot]))) return st;
        if (s->n[slot] == 0) break;
        input.dim[0] = s->n[slot];
        tlvk__runner *runner;
        st = tlvk__session_runner(s->session, TLVK__WHOLE, TLVK__PLAN_PREDICT, &input, &runner);
        if (!st) st = tlvk__runner_wait(runner, slot);
        if (st) return st;
        tlvk__runner_put_input(runner, slot, 0, s->x);
        st = tlvk__runner_submit(runner, slot);
        if (!st) s->runner[slot] = runner;
    }
    for (int i = 0; !st && i < TLVK__SLOTS; i++) st = collect(s, i);
    return st;
}

static tlvk_status predict(predict_state *s, size_t capacity) {
    tlvk__task task;
    tlvk_status st = tlvk__task_shapes(s->model, s->data, &task);
    int64_t size = tlvk_dataset_size(s->data);
    if (!st && !tlvk__shape_elements(&task.output, &s->elements)) st = tlvk__fail(TLVK_ERROR_ARGUMENT, "model %s: the output's shape is open", s->model->name);
    if (st) return st;
    if (capacity < (size_t)(size * s->elements)) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "predict: %lld samples of %lld scores need room for %lld floats, there is room for %zu", (long long)size, (long long)s->elements, (long long)(size * s->elements), capacity);
    }
    for (int64_t i = 0; i < size * s->elements; i++) s->scores[i] = NAN;
    s->batch = (int)TLVK__MAX(TLVK__MIN((int64_t)tlvk__dataset_batch_size(s->data), size), 1);
    s->x = tlvk__calloc((size_t)s->batch * (size_t)tlvk__dataset_sample_elements(s->data), sizeof *s->x);
    s->y = tlvk__calloc((size_t)s->batch * (size_t)s->elements, sizeof *s->y);
    bool ok = s->x && s->y;
    for (int i = 0; i < TLVK__SLOTS; i++) ok = (s->ids[i] = tlvk__calloc((size_t)s->batch, sizeof *s->ids[i])) != NULL && ok;
    if (!ok) return tlvk__fail(TLVK_ERROR_MEMORY, "predict: no memory for a batch of %d", s->batch);
    tlvk__reader *reader = NULL;
    st = constant_session(s->model, &task, &s->session);
    if (!st) st = tlvk__reader_create(s->data, &(tlvk__reader_desc){ .batch = s->batch, .threads = tlvk__context_workers(s->model->ctx) }, &reader);
    if (!st) st = predict_batches(s, reader, task.input);
    tlvk__reader_destroy(reader);
    return st;
}

tlvk_status tlvk_model_predict(tlvk_model *model, tlvk_dataset *data, float *scores, size_t elements) {
    tlvk_context *ctx = tlvk__model_context(model);
    if (!model || !data || !scores) return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_predict: no model, no data or no place for scores"));
    tlvk__context_clear_cancel(ctx);
    predict_state s = { .model = model, .data = data, .scores = scores };
    tlvk_status st = predict(&s, elements);
    tlvk__session_destroy(s.session);
    free(s.x);
    free(s.y);
    for (int i = 0; i < TLVK__SLOTS; i++) free(s.ids[i]);
    return tlvk__context_fail(ctx, st);
}

/* --- one step on arrays ------------------------------------------------------------------------------------------------------------------------ */

static tlvk_status train_step(tlvk_model *model, tlvk_dataset *data, tlvk_logs *logs) {
    tlvk__training *t = model->training;
    tlvk__task task;
    tlvk__session *session;
    tlvk__runner *runner;
    int64_t n = tlvk_dataset_size(data);
    tlvk_status st = tlvk__task_resolve(model, data, t->loss, t->metric, &task);
    if (!st) st = tlvk__training_session(model, &task, (int)n, false, &session);
    if (st) return st;
    tlvk__shape input = task.input;
    input.dim[0] = n;
    float *x = tlvk__calloc((size_t)(n * tlvk__dataset_sample_elements(data)), sizeof *x);
    float *targets = tlvk__calloc((size_t)n * (size_t)task.target_width, sizeof *targets);
    tlvk__reader *reader = NULL;
    int64_t valid = 0;
    st = x && targets ? tlvk__reader_create(data, &(tlvk__reader_desc){ .batch = (int)n, .threads = 1 }, &reader) : tlvk__fail(TLVK_ERROR_MEMORY, "train_on_batch: no memory");
    if (!st) st = tlvk__reader_next(reader, x, NULL, NULL, &valid);
    if (!st) st = tlvk__session_runner(session, TLVK__WHOLE, TLVK__PLAN_TRAIN, &input, &runner);
    if (!st) {
        for (int64_t i = 0; i < n; i++) tlvk__task_target(&task, data, i, targets + i * task.target_width);
        tlvk__runner_put_input(runner, 0, 0, x);
        tlvk__runner_put_target(runner, 0, targets);
        tlvk__step_params *p = tlvk__runner_params(runner, 0);
        memset(p, 0, sizeof *p);
        p->step[0] = (uint32_t)t->steps;
        p->step[1] = (uint32_t)((uint64_t)t->steps >> 32);
        double rate = tlvk__schedule_rate(&t->optimizer, t->steps, INT64_MAX, t->plateau.rate);
        tlvk__optimizer_step(&t->optimizer, t->steps + 1, rate, p);
        st = tlvk__runner_submit(runner, 0);
        if (!st) st = tlvk__runner_wait(runner, 0);
        if (!st) {
            t->steps++;
            const float *m = tlvk__runner_metrics(runner, 0);
            double penalty = tlvk__session_regularized(session) ? (double)m[TLVK__METRIC_PENALTY] : 0;
            bool counted = task.metric != TLVK_METRIC_NONE && task.metric != TLVK_METRIC_MSE;
            *logs = (tlvk_logs){ .loss = (double)m[TLVK__METRIC_LOSS] / (double)n + penalty,
                                 .accuracy = counted ? (double)m[TLVK__METRIC_CORRECT] / (double)m[TLVK__METRIC_COUNT] : (double)NAN,
                                 .val_loss = (double)NAN, .val_accuracy = (double)NAN, .learning_rate = rate, .samples = n };
            st = tlvk__session_read(session);
        }
    }
    tlvk__reader_destroy(reader);
    free(x);
    free(targets);
    return st;
}

/* Shapes for an array dataset of `samples`: x as the model's input, y as its output (one number a sample for sparse labels). */
static tlvk_status batch_arrays(tlvk_model *model, const float *x, const float *y, int64_t samples, tlvk_array_desc *d) {
    *d = (tlvk_array_desc){ .x = x, .y = y, .batch_size = (int)samples, .no_shuffle = true, .borrow = true };
    const tlvk__shape *in = model->input_count == 1 ? tlvk__tensor_shape_of(model->inputs[0]) : NULL;
    const tlvk__shape *out = model->output_count == 1 ? tlvk__tensor_shape_of(model->outputs[0]) : NULL;
    if (!in || !out) return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "train_on_batch: model %s has %d inputs and %d outputs, one of each is needed", model->name, model->input_count, model->output_count);
    if (samples < 1 || samples > INT32_MAX) return tlvk__fail(TLVK_ERROR_ARGUMENT, "train_on_batch: %lld samples", (long long)samples);
    if (model->training->loss.kind == TLVK_LOSS_AUTO) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "train_on_batch: model %s was compiled without naming a loss, which tells what y holds; compile with one", model->name);
    }
    bool sparse = model->training->loss.kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY;
    d->x_shape[0] = d->y_shape[0] = samples;
    for (int i = 1; i < in->rank; i++) {
        if (in->dim[i] < 1) return tlvk__fail(TLVK_ERROR_ARGUMENT, "train_on_batch: model %s has an open input size; use a dataset", model->name);
        d->x_shape[i] = in->dim[i];
    }
    for (int i = 1; i < out->rank - sparse; i++) d->y_shape[i] = out->dim[i];
    return TLVK_OK;
}

tlvk_status tlvk_model_train_on_batch(tlvk_model *model, const float *x, const float *y, int64_t samples, tlvk_logs *logs) {
    tlvk_context *ctx = tlvk__model_context(model);
    if (!model || !x || !y || !logs) return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_train_on_batch: no model, no arrays or no place for the result"));
    if (!model->training) return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "train_on_batch: model %s is not compiled; call tlvk_model_compile first", model->name));
    tlvk_array_desc d;
    tlvk_status st = batch_arrays(model, x, y, samples, &d);
    if (st) return tlvk__context_fail(ctx, st);
    tlvk_dataset *data = NULL;
    if ((st = tlvk_dataset_from_arrays(ctx, &d, &data))) return st;
    st = train_step(model, data, logs);
    tlvk_dataset_destroy(data);
    return tlvk__context_fail(ctx, st);
}
