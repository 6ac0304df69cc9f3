/* fit.c - the training loop: epochs over data, validation, callbacks, schedules, early stopping, best weights, checkpoints.
 *
 * What Keras does: keras/src/trainers/trainer.py and keras/src/callbacks. Epoch means weigh by samples; the learning rate changes
 * step_params only. The frozen prefix is computed once and later epochs train the rest; results do not depend on it. */
#include "train/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct fit_state {
    tlvk_model *model;
    tlvk_dataset *train;
    const tlvk_fit_desc *desc;
    tlvk__training *training;
    tlvk__task task, val_task;
    tlvk__session *session;
    tlvk__features *features, *val_features;
    tlvk__hash prefix_hash;       /* of the frozen prefix, where its features are cached */
    tlvk__progress progress;
    tlvk_history *history;
    int64_t *order, order_count, *val_order, val_count;
    int batch, epochs;
    int64_t steps_per_epoch, epoch_step; /* epoch_step: the next step's number in its epoch */
    float **best; int variable_count;
    double epoch_began;
    bool stopped;                 /* by a callback */
    bool planned;                 /* all that will run has its share of the device's memory */
    int64_t host_steps;           /* the optimizer's, of what the host holds */
} fit_state;

/* --- callbacks ------------------------------------------------------------------------------------------------------------------------------ */

static tlvk_verdict send(fit_state *f, tlvk_event_kind kind, int64_t step, int64_t steps, const tlvk_logs *logs) {
    if (!f->desc->callback) return TLVK_CONTINUE;
    tlvk_event event = { .kind = kind, .epoch = f->progress.epoch, .epochs = f->epochs, .step = step, .steps = steps };
    if (logs) event.logs = *logs;
    return f->desc->callback(&event, f->desc->callback_user);
}

static tlvk_logs running_logs(const fit_state *f, const tlvk__sums *sums) {
    tlvk_logs logs = tlvk__no_logs();
    tlvk__sums_logs(sums, false, &logs);
    logs.learning_rate = f->progress.rate;
    logs.seconds = tlvk__now_seconds() - f->epoch_began;
    logs.samples = sums->samples;
    return logs;
}

static tlvk_verdict features_progress(void *user, int64_t done, int64_t total) {
    fit_state *f = user;
    tlvk_logs logs = { .samples = done };
    if (tlvk__context_cancelled(f->model->ctx)) return TLVK_STOP;
    return send(f, TLVK_EVENT_FEATURES, done, total, &logs);
}

/* --- the frozen prefix ------------------------------------------------------------------------------------------------------------------------ */

static tlvk_status prefix_shapes(const fit_state *f, const tlvk__task *task, tlvk__shape shapes[TLVK_MAX_IO], int *count) {
    const tlvk__flat *flat = tlvk__session_flat(f->session, TLVK__PREFIX);
    tlvk__shape *all = tlvk__calloc((size_t)flat->tensor_count + 1, sizeof *all);
    if (!all) return tlvk__fail(TLVK_ERROR_MEMORY, "features: no memory");
    tlvk_status st = tlvk__flat_shapes(flat, task->inputs, all);
    *count = flat->output_count;
    for (int i = 0; !st && i < *count; i++) shapes[i] = all[flat->outputs[i]];
    free(all);
    return st;
}

static tlvk_status make_features(fit_state *f, tlvk_dataset *data, const tlvk__task *task, tlvk__features **out) {
    tlvk__shape shapes[TLVK_MAX_IO];
    tlvk__features_desc d = { .samples = tlvk_dataset_size(data), .shapes = shapes, .policy = f->desc->cache,
                              .folder = tlvk__context_cache_folder(f->model->ctx) };
    /* Training's and validation's features share half of the host's memory; who comes later has what is left. */
    uint64_t memory = tlvk__host_memory_bytes(), taken = f->features ? tlvk__features_memory_bytes(f->features) : 0;
    d.memory_bytes = memory ? memory / 2 : UINT64_C(1) << 30;
    d.memory_bytes -= TLVK__MIN(d.memory_bytes, taken);
    tlvk_status st = prefix_shapes(f, task, shapes, &d.count);
    if (st) return st;
    d.key = f->prefix_hash;
    tlvk__hash preprocess;
    tlvk__dataset_preprocess_hash(data, &preprocess);
    tlvk__hash_add(&d.key, &preprocess, sizeof preprocess);
    return tlvk__features_create(&d, out);
}

/* Augmented pictures are new in each epoch; validation's stay. On disk both stores are one file by its key, which one alone may add to: validation's is opened
 * when the other is full. Elsewhere both are filled together, so that the workers go on from one to the other. */
static tlvk_status cache_prefix(fit_state *f) {
    tlvk_dataset *train = f->desc->augmentation ? NULL : f->train, *validation = f->desc->validation;
    tlvk__features_part parts[TLVK__FEATURES_PARTS] = { { NULL, NULL }, { NULL, NULL } };
    tlvk_status st = tlvk__session_prefix_hash(f->session, &f->prefix_hash);
    if (!st && train) st = make_features(f, train, &f->task, &f->features);
    if (!st && train) parts[0] = (tlvk__features_part){ f->features, train };
    if (!st && train && f->desc->cache == TLVK_CACHE_DISK) {
        st = tlvk__features_fill(parts, f->session, f->batch, features_progress, f);
        parts[0] = (tlvk__features_part){ NULL, NULL };
    }
    if (!st && validation) st = make_features(f, validation, &f->val_task, &f->val_features);
    if (!st && validation) parts[1] = (tlvk__features_part){ f->val_features, validation };
    return st ? st : tlvk__features_fill(parts, f->session, f->batch, features_progress, f);
}

/* --- steps ------------------------------------------------------------------------------------------------------------------------------------ */

static void begin_step(void *user, tlvk__step_params *params, tlvk__step_params *front) {
    fit_state *f = user;
    int64_t total = f->steps_per_epoch * (f->epochs - f->desc->initial_epoch);
    f->progress.rate = tlvk__schedule_rate(&f->training->optimizer, f->training->steps, total, f->progress.plateau.rate);
    memset(params, 0, sizeof *params);
    params->seed[0] = (uint32_t)f->progress.seed;
    params->seed[1] = (uint32_t)(f->progress.seed >> 32);
    params->step[0] = (uint32_t)f->training->steps;
    params->step[1] = (uint32_t)((uint64_t)f->training->steps >> 32);
    tlvk__augmentation_params(f->progress.seed, f->progress.epoch, f->epoch_step++, front);
    f->training->steps++;
    tlvk__optimizer_step(&f->training->optimizer, f->training->steps, f->progress.rate, params);
}

static tlvk_verdict end_step(void *user, const tlvk__sums *sums, int64_t samples_done) {
    fit_state *f = user;
    (void)samples_done;
    tlvk_logs logs = running_logs(f, sums);
    tlvk_verdict verdict = send(f, TLVK_EVENT_STEP_END, tlvk__div_up(sums->samples, f->batch), f->steps_per_epoch, &logs);
    if (verdict == TLVK_STOP) f->stopped = true;
    return verdict;
}

static tlvk_status write_checkpoint(fit_state *f) {
    if (!f->desc->checkpoint) return TLVK_OK;
    f->progress.steps = f->training->steps;
    f->progress.data_unreadable = tlvk_dataset_failed_count(f->train);
    return tlvk__checkpoint_write(f->desc->checkpoint, f->session, f->training, &f->progress, f->history, f->best);
}

/* After a cancel: the steps done stay done, and the checkpoint goes on behind them. */
static tlvk_status keep_interrupted(fit_state *f, tlvk_status st) {
    char *text = tlvk__strdup(tlvk__fail_text());
    tlvk_status read = tlvk__session_read(f->session);
    tlvk_status written = read ? read : write_checkpoint(f);
    if (!written && text) tlvk__fail(st, "%s", text);
    free(text);
    return written ? written : st;
}

static tlvk_status run_epoch(fit_state *f, tlvk_logs *logs) {
    f->epoch_step = f->progress.samples_done / f->batch;
    f->order_count = tlvk__dataset_order(f->train, f->progress.seed, (uint64_t)f->progress.epoch, f->order);
    tlvk__pass pass = {
        .ctx = f->model->ctx, .session = f->session, .task = &f->task, .data = f->train, .features = f->features, .mode = TLVK__PLAN_TRAIN,
        .order = f->order, .count = f->order_count, .first = f->progress.samples_done, .batch = f->batch,
        .class_weight = f->desc->class_weight, .class_weight_count = f->desc->class_weight_count,
        .begin_step = begin_step, .end_step = end_step, .user = f,
    };
    int64_t done = 0;
    tlvk_status st = tlvk__pass_run(&pass, &f->progress.sums, &done);
    f->progress.samples_done += done;
    *logs = running_logs(f, &f->progress.sums);
    return st;
}

static tlvk_status run_validation(fit_state *f, tlvk_logs *logs) {
    if (!f->desc->validation) return TLVK_OK;
    tlvk__pass pass = {
        .ctx = f->model->ctx, .session = f->session, .task = &f->val_task, .data = f->desc->validation, .features = f->val_features,
        .mode = TLVK__PLAN_EVALUATE, .order = f->val_order, .count = f->val_count, .batch = f->batch,
    };
    tlvk__sums sums = { 0 };
    tlvk_status st = tlvk__pass_run(&pass, &sums, NULL);
    tlvk__sums_logs(&sums, true, logs);
    return st;
}

/* --- ends of epochs ------------------------------------------------------------------------------------------------------------------------------ */

static tlvk_status keep_best(fit_state *f, const tlvk_logs *logs) {
    if (!f->best) return TLVK_OK;
    double score = !isnan(logs->val_accuracy) ? logs->val_accuracy : !isnan(logs->val_loss) ? -logs->val_loss : -logs->loss;
    if (!isnan(f->progress.best_score) && !(score > f->progress.best_score)) return TLVK_OK;
    f->progress.best_score = score;
    tlvk_status st = tlvk__session_read(f->session);
    tlvk__variable *v;
    for (int i = 0; !st && (v = tlvk__session_moving(f->session, i)) != NULL; i++) memcpy(f->best[i], v->values, v->elements * sizeof **f->best);
    return st;
}

static bool stops_early(fit_state *f, double monitored) {
    if (f->desc->early_stopping_patience <= 0) return false;
    if (isnan(f->progress.best) || monitored < f->progress.best) {
        f->progress.best = monitored;
        f->progress.wait = 0;
        return false;
    }
    return ++f->progress.wait >= f->desc->early_stopping_patience;
}

static tlvk_status end_epoch(fit_state *f, tlvk_logs *logs, bool *stop) {
    double monitored = isnan(logs->val_loss) ? logs->loss : logs->val_loss;
    tlvk_status st = keep_best(f, logs);
    if (st) return st;
    *stop = stops_early(f, monitored);
    if (f->training->optimizer.schedule.kind == TLVK_SCHEDULE_PLATEAU) tlvk__plateau_epoch_end(&f->progress.plateau, &f->training->optimizer, monitored);
    f->training->plateau = f->progress.plateau;
    logs->seconds = tlvk__now_seconds() - f->epoch_began;
    if ((st = tlvk__history_add(f->history, logs))) return st;
    tlvk_verdict verdict = send(f, TLVK_EVENT_EPOCH_END, f->steps_per_epoch, f->steps_per_epoch, logs);
    *stop = *stop || verdict == TLVK_STOP || f->stopped;
    f->progress.epoch++;
    f->progress.samples_done = 0;
    f->progress.sums = (tlvk__sums){ 0 };
    return write_checkpoint(f);
}

static tlvk_status run_epochs(fit_state *f) {
    /* A checkpoint of a fit that had stopped early has nothing left to do. */
    bool stop = f->stopped || (f->desc->early_stopping_patience > 0 && f->progress.wait >= f->desc->early_stopping_patience);
    while (!stop && f->progress.epoch < f->epochs) {
        f->epoch_began = tlvk__now_seconds();
        if (send(f, TLVK_EVENT_EPOCH_BEGIN, 0, f->steps_per_epoch, NULL) == TLVK_STOP) return TLVK_OK;
        tlvk_logs logs;
        tlvk_status st = run_epoch(f, &logs);
        if (!st) st = run_validation(f, &logs);
        if (st == TLVK_ERROR_CANCELLED) return keep_interrupted(f, st);
        if (!st) st = end_epoch(f, &logs, &stop);
        if (st) return st;
    }
    return TLVK_OK;
}

/* --- set-up -------------------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status check_desc(const fit_state *f) {
    const tlvk_fit_desc *d = f->desc;
    int classes = tlvk_dataset_class_count(f->train);
    if (d->epochs < 0 || d->initial_epoch < 0) return tlvk__fail(TLVK_ERROR_ARGUMENT, "fit: epochs %d from %d", d->epochs, d->initial_epoch);
    if (d->class_weight && d->class_weight_count != classes) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "fit: %d class weights for %d classes", d->class_weight_count, classes);
    }
    if (d->class_weight && f->model->output_count > 1) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "fit: class weights are for models with one output, model %s has %d", f->model->name, f->model->output_count);
    }
    if (tlvk_dataset_size(f->train) == 0) return tlvk__fail(TLVK_ERROR_DATA, "fit: the training data is empty");
    return TLVK_OK;
}

static tlvk_status allocate_best(fit_state *f) {
    tlvk__variable *v;
    for (f->variable_count = 0; tlvk__session_moving(f->session, f->variable_count); f->variable_count++) {}
    if (!f->desc->restore_best_weights) return TLVK_OK;
    f->best = tlvk__calloc((size_t)f->variable_count + 1, sizeof(float *));
    if (!f->best) return tlvk__fail(TLVK_ERROR_MEMORY, "fit: no memory");
    for (int i = 0; (v = tlvk__session_moving(f->session, i)) != NULL; i++) {
        f->best[i] = tlvk__calloc(v->elements, sizeof **f->best);
        if (!f->best[i]) return tlvk__fail(TLVK_ERROR_MEMORY, "fit: no memory for the best weights");
    }
    return TLVK_OK;
}

/* Runners of the batches of one pass over `size` samples: whole ones, and the tail. */
static tlvk_status expect_batches(const fit_state *f, const tlvk__task *task, tlvk__network network, tlvk__plan_mode mode, int64_t size, int64_t batch) {
    tlvk__shape inputs[TLVK_MAX_IO];
    int count = task->input_count;
    memcpy(inputs, task->inputs, sizeof inputs);
    tlvk_status st = network == TLVK__SUFFIX ? prefix_shapes(f, task, inputs, &count) : TLVK_OK;
    const int64_t samples[2] = { size >= batch ? batch : 0, size % batch };
    for (int i = 0; !st && i < 2; i++) {
        for (int k = 0; k < count; k++) inputs[k].dim[0] = samples[i];
        if (samples[i]) st = tlvk__session_expect(f->session, network, mode, inputs);
    }
    return st;
}

/* All that the fit will run on the device, so that its memory is known before any of it is allocated. */
static tlvk_status plan_memory(fit_state *f, bool cached) {
    const tlvk_fit_desc *d = f->desc;
    int64_t size = tlvk_dataset_size(f->train), val_size = d->validation ? tlvk_dataset_size(d->validation) : 0;
    bool train_cached = cached && !d->augmentation;
    tlvk__network network = train_cached ? TLVK__SUFFIX : d->augmentation ? TLVK__AUGMENTED : TLVK__WHOLE;
    tlvk_status st = expect_batches(f, &f->task, network, TLVK__PLAN_TRAIN, size, f->batch);
    if (!st && val_size) st = expect_batches(f, &f->val_task, cached ? TLVK__SUFFIX : TLVK__WHOLE, TLVK__PLAN_EVALUATE, val_size, f->batch);
    if (!st && train_cached) st = expect_batches(f, &f->task, TLVK__PREFIX, TLVK__PLAN_PREDICT, size, f->batch);
    if (!st && cached && val_size) st = expect_batches(f, &f->val_task, TLVK__PREFIX, TLVK__PLAN_PREDICT, val_size, f->batch);
    if (!st) st = tlvk__session_plan_memory(f->session);
    if (st) return tlvk__fail_context(st, "fit");
    f->planned = true;
    return TLVK_OK;
}

static tlvk_status set_up(fit_state *f) {
    const tlvk_fit_desc *d = f->desc;
    tlvk_status st = check_desc(f);
    if (!st) st = tlvk__task_resolve(f->model, f->train, f->training->objectives, &f->task);
    if (!st) tlvk__compiled_objectives(f->model, f->task.objectives);
    if (!st && d->validation) st = tlvk__task_resolve(f->model, d->validation, f->task.objectives, &f->val_task);
    if (!st && d->augmentation == f->model) st = tlvk__fail(TLVK_ERROR_ARGUMENT, "fit: model %s cannot be its own augmentation", f->model->name);
    if (!st && d->augmentation) st = tlvk__augmentation_check(d->augmentation, f->train);
    if (!st) st = tlvk__history_name(f->history, f->model);
    if (st) return st;
    f->batch = tlvk__batch_of(f->train);
    f->epochs = d->epochs ? d->epochs : 1;
    f->steps_per_epoch = tlvk__div_up(tlvk_dataset_size(f->train), f->batch);
    f->progress = (tlvk__progress){ .epoch = d->initial_epoch, .seed = d->seed, .best = (double)NAN, .best_score = (double)NAN,
                                    .plateau = f->training->plateau, .data_size = tlvk_dataset_size(f->train), .batch = f->batch };
    st = tlvk__training_session(f->model, &f->task, f->batch, d->batch_norm_inference, d->augmentation, &f->session);
    if (st) return st;
    bool cached = d->cache != TLVK_CACHE_OFF && tlvk__session_has_prefix(f->session);
    st = plan_memory(f, cached);
    if (!st) st = allocate_best(f);
    if (!st && d->resume) {
        st = tlvk__checkpoint_read(d->resume, f->session, f->training, &f->progress, f->history, f->best);
        if (!st) f->training->steps = f->host_steps = f->progress.steps;
    }
    if (!st) st = tlvk__history_choices(f->history, tlvk__session_choices(f->session));
    if (!st && send(f, TLVK_EVENT_PLANNED, 0, f->steps_per_epoch, NULL) == TLVK_STOP) f->stopped = true;
    cached = !st && cached && !f->stopped && f->progress.epoch < f->epochs;
    if (cached) st = cache_prefix(f);
    if (st) return st;
    int64_t val_size = d->validation ? tlvk_dataset_size(d->validation) : 0;
    f->order = tlvk__calloc((size_t)tlvk_dataset_size(f->train) + 1, sizeof *f->order);
    f->val_order = tlvk__calloc((size_t)val_size + 1, sizeof *f->val_order);
    if (!f->order || !f->val_order) return tlvk__fail(TLVK_ERROR_MEMORY, "fit: no memory");
    for (int64_t i = 0; i < val_size; i++) f->val_order[f->val_count++] = i;
    return TLVK_OK;
}

static tlvk_status restore_best(fit_state *f) {
    tlvk__variable *v;
    if (!f->best || isnan(f->progress.best_score)) return TLVK_OK;
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && (v = tlvk__session_moving(f->session, i)) != NULL; i++) st = tlvk__variable_set(v, f->best[i]);
    return st ? st : tlvk__session_upload(f->session);
}

static void clean_up(fit_state *f) {
    tlvk__features_destroy(f->features);
    tlvk__features_destroy(f->val_features);
    for (int i = 0; f->best && i < f->variable_count; i++) free(f->best[i]);
    free(f->best);
    free(f->order);
    free(f->val_order);
}

/* Meanwhile callbacks leave the model and its augmentation as they are. An augmentation may be at work in an outer fit already. */
static tlvk_status run(fit_state *f) {
    tlvk_model *augmentation = f->desc->augmentation;
    const bool at_work = augmentation && augmentation->fitting;
    tlvk__context_begin_fit(f->model->ctx);
    f->model->fitting = true;
    if (augmentation) augmentation->fitting = true;
    tlvk_status st = set_up(f);
    if (!st) st = run_epochs(f);
    if (augmentation) augmentation->fitting = at_work;
    f->model->fitting = false;
    tlvk__context_end_fit(f->model->ctx);
    return st;
}

static tlvk_status fit(tlvk_model *model, tlvk_dataset *train, const tlvk_fit_desc *desc, tlvk_history *history) {
    tlvk_status st = tlvk__model_check_idle(model);
    if (!st) st = tlvk__training_adopt(model);
    if (st) return tlvk__fail_context(st, "fit");
    if (!model->training) return tlvk__fail(TLVK_ERROR_ARGUMENT, "fit: model %s is not compiled; call tlvk_model_compile first", model->name);
    fit_state f = { .model = model, .train = train, .desc = desc, .training = model->training, .history = history,
                    .host_steps = model->training->steps };
    st = run(&f);
    if (!st) st = tlvk__session_read(f.session);
    if (!st) st = restore_best(&f);
    clean_up(&f);
    bool refused = st == TLVK_ERROR_MEMORY && !f.planned; /* before anything ran */
    if (st && !refused && st != TLVK_ERROR_CANCELLED && st != TLVK_ERROR_ARGUMENT && st != TLVK_ERROR_DATA) {
        /* The device may have lost what it held; the next call starts from the host's values. */
        tlvk__session_destroy(model->training->session);
        model->training->session = NULL;
        model->training->steps = f.host_steps;
    }
    return st;
}

tlvk_status tlvk_model_fit(tlvk_model *model, tlvk_dataset *train, const tlvk_fit_desc *desc, tlvk_history **history) {
    if (history) *history = NULL;
    tlvk_context *ctx = tlvk__model_context(model);
    if (!model || !train) return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_fit: no model or no data"));
    static const tlvk_fit_desc defaults;
    tlvk_history *h = tlvk__calloc(1, sizeof *h);
    if (!h) return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_MEMORY, "fit: no memory"));
    h->ctx = tlvk__context_retain(ctx);
    tlvk_status st = fit(model, train, desc ? desc : &defaults, h);
    if (history && (!st || st == TLVK_ERROR_CANCELLED)) *history = h;
    else tlvk_history_destroy(h);
    return tlvk__context_fail(ctx, st);
}
