/* evaluate.c - losses and metrics of a dataset, and scores of its samples. */
#include "train/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A session whose variables are all constants. */
static tlvk_status constant_session(tlvk_model *model, const tlvk__task *task, tlvk__session **out) {
    tlvk__session_desc d = { .static_choices = model->training && model->training->deterministic };
    memcpy(d.objectives, task->objectives, sizeof d.objectives);
    memcpy(d.inputs, task->inputs, sizeof d.inputs);
    return tlvk__session_create(model, &d, out);
}

static tlvk_status evaluate(tlvk_model *model, tlvk_dataset *data, tlvk_logs *logs) {
    tlvk__objective objectives[TLVK_MAX_IO];
    tlvk__model_objectives(model, objectives);
    tlvk__task task;
    tlvk__session *session = NULL;
    double began = tlvk__now_seconds();
    tlvk_status st = tlvk__task_resolve(model, data, objectives, &task);
    if (!st) st = constant_session(model, &task, &session);
    if (st) return st;
    int64_t size = tlvk_dataset_size(data), *order = tlvk__calloc((size_t)size + 1, sizeof *order);
    tlvk__sums sums = { 0 };
    if (!order) st = tlvk__fail(TLVK_ERROR_MEMORY, "evaluate: no memory");
    for (int64_t i = 0; order && i < size; i++) order[i] = i;
    tlvk__pass pass = { .ctx = model->ctx, .session = session, .task = &task, .data = data, .mode = TLVK__PLAN_EVALUATE, .order = order, .count = size,
                        .batch = TLVK__MAX(tlvk__batch_of(data), 1), .penalty = tlvk__model_penalty(model) };
    if (!st) st = tlvk__pass_run(&pass, &sums, NULL);
    if (!st) {
        *logs = tlvk__no_logs();
        tlvk__sums_logs(&sums, false, logs);
        logs->seconds = tlvk__now_seconds() - began;
        logs->samples = sums.samples;
    }
    free(order);
    tlvk__session_destroy(session);
    return st;
}

tlvk_status tlvk_model_evaluate(tlvk_model *model, tlvk_dataset *data, tlvk_logs *logs) {
    tlvk_context *ctx = tlvk__model_context(model);
    if (!model || !data || !logs) {
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_evaluate: no model, no data or no place for the result"));
    }
    tlvk__context_clear_cancel(ctx);
    return tlvk__context_fail(ctx, evaluate(model, data, logs));
}

/* --- predict --------------------------------------------------------------------------------------------------------------------------------- */

typedef struct predict_state {
    tlvk_model *model; tlvk_dataset *data; tlvk__session *session;
    tlvk__task task;
    int batch;
    float *const *scores;            /* per output; NULL: not wanted */
    int64_t elements[TLVK_MAX_IO];   /* of one sample of an output */
    float *x[TLVK_MAX_IO], *y[TLVK_MAX_IO];
    int64_t *ids[TLVK__SLOTS], n[TLVK__SLOTS];
    tlvk__runner *runner[TLVK__SLOTS];
} predict_state;

static tlvk_status collect(predict_state *s, int slot) {
    tlvk__runner *runner = s->runner[slot];
    if (!runner) return TLVK_OK;
    s->runner[slot] = NULL;
    tlvk_status st = tlvk__runner_wait(runner, slot);
    for (int i = 0; !st && i < s->task.output_count; i++) {
        if (!s->scores[i]) continue;
        tlvk__runner_get_output(runner, slot, i, s->y[i]);
        size_t bytes = (size_t)s->elements[i] * sizeof(float);
        for (int64_t k = 0; k < s->n[slot]; k++) memcpy(s->scores[i] + s->ids[slot][k] * s->elements[i], s->y[i] + k * s->elements[i], bytes);
    }
    return st;
}

static tlvk_status predict_batches(predict_state *s, tlvk__reader *reader) {
    tlvk_status st = TLVK_OK;
    for (int step = 0; !st; step++) {
        int slot = step % TLVK__SLOTS;
        if ((st = collect(s, slot))) return st;
        if (tlvk__context_cancelled(s->model->ctx)) return tlvk__fail(TLVK_ERROR_CANCELLED, "cancelled");
        if ((st = tlvk__reader_next(reader, s->x, NULL, s->ids[slot], &s->n[slot]))) return st;
        if (s->n[slot] == 0) break;
        tlvk__shape inputs[TLVK_MAX_IO];
        memcpy(inputs, s->task.inputs, sizeof inputs);
        for (int i = 0; i < s->task.input_count; i++) inputs[i].dim[0] = s->n[slot];
        tlvk__runner *runner;
        st = tlvk__session_runner(s->session, TLVK__WHOLE, TLVK__PLAN_PREDICT, inputs, &runner);
        if (!st) st = tlvk__runner_wait(runner, slot);
        if (st) return st;
        for (int i = 0; i < s->task.input_count; i++) tlvk__runner_put_input(runner, slot, i, s->x[i]);
        st = tlvk__runner_submit(runner, slot);
        if (!st) s->runner[slot] = runner;
    }
    for (int i = 0; !st && i < TLVK__SLOTS; i++) st = collect(s, i);
    return st;
}

/* Checks the room for each output that is wanted, and fills it with NaN. */
static tlvk_status clear_scores(predict_state *s, const size_t *room) {
    int64_t size = tlvk_dataset_size(s->data);
    for (int i = 0; i < s->task.output_count; i++) {
        size_t count = 0;
        const tlvk__shape *shape = &s->task.outputs[i];
        for (int k = 0; k < shape->rank; k++) {
            if (shape->dim[k] < 0) return tlvk__fail(TLVK_ERROR_ARGUMENT, "model %s: the shape of output %d is open", s->model->name, i);
        }
        if (!tlvk__shape_elements(shape, &s->elements[i])) {
            char text[96];
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "model %s: output %d of shape %s has more scores than can be counted", s->model->name, i,
                              tlvk__shape_text(shape, text, sizeof text));
        }
        if (!s->scores[i]) continue;
        if (!tlvk__mul_size((size_t)size, (size_t)s->elements[i], &count) || room[i] < count) {
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "predict: %lld samples of %lld scores need room for %zu floats, there is room for %zu",
                              (long long)size, (long long)s->elements[i], count, room[i]);
        }
        for (size_t k = 0; k < count; k++) s->scores[i][k] = NAN;
    }
    return TLVK_OK;
}

static tlvk_status allocate(predict_state *s) {
    bool ok = true;
    size_t batch = (size_t)s->batch;
    for (int i = 0; ok && i < s->task.input_count; i++) {
        s->x[i] = tlvk__calloc(batch * (size_t)tlvk__dataset_sample_elements(s->data, i), sizeof(float));
        ok = s->x[i] != NULL;
    }
    for (int i = 0; i < s->task.output_count; i++) {
        /* clear_scores has counted what is wanted for all samples, which are no fewer. */
        if (s->scores[i]) ok = ok && (s->y[i] = tlvk__calloc(batch * (size_t)s->elements[i], sizeof(float))) != NULL;
    }
    for (int i = 0; i < TLVK__SLOTS; i++) ok = ok && (s->ids[i] = tlvk__calloc(batch, sizeof *s->ids[i])) != NULL;
    return ok ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "predict: no memory for a batch of %d", s->batch);
}

static tlvk_status predict(predict_state *s, const size_t *room) {
    tlvk_status st = tlvk__task_shapes(s->model, s->data, &s->task);
    if (!st) st = clear_scores(s, room);
    if (st) return st;
    s->batch = TLVK__MAX(tlvk__batch_of(s->data), 1);
    tlvk__reader *reader = NULL;
    st = allocate(s);
    if (!st) st = constant_session(s->model, &s->task, &s->session);
    if (!st) st = tlvk__reader_create(s->data, &(tlvk__reader_desc){ .batch = s->batch, .threads = tlvk__context_workers(s->model->ctx) }, &reader);
    if (!st) st = predict_batches(s, reader);
    tlvk__reader_destroy(reader);
    tlvk__session_destroy(s->session);
    for (int i = 0; i < TLVK_MAX_IO; i++) {
        free(s->x[i]);
        free(s->y[i]);
    }
    for (int i = 0; i < TLVK__SLOTS; i++) free(s->ids[i]);
    return st;
}

tlvk_status tlvk_model_predict(tlvk_model *model, tlvk_dataset *data, float *scores, size_t elements) {
    tlvk_context *ctx = tlvk__model_context(model);
    if (!model || !data || !scores) {
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_predict: no model, no data or no place for scores"));
    }
    tlvk__context_clear_cancel(ctx);
    float *first[TLVK_MAX_IO] = { scores };
    predict_state s = { .model = model, .data = data, .scores = first };
    return tlvk__context_fail(ctx, predict(&s, (const size_t[TLVK_MAX_IO]){ elements }));
}

tlvk_status tlvk_model_predict_outputs(tlvk_model *model, tlvk_dataset *data, float *const *outputs, const size_t *elements) {
    tlvk_context *ctx = tlvk__model_context(model);
    if (!model || !data || !outputs || !elements) {
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_predict_outputs: no model, no data or no place for scores"));
    }
    tlvk__context_clear_cancel(ctx);
    predict_state s = { .model = model, .data = data, .scores = outputs };
    return tlvk__context_fail(ctx, predict(&s, elements));
}
