/* dump_training.c - what the library computes with a model file on given arrays, for models.py to hold against Keras.
 *
 * dump_training SPEC OUT. SPEC is a JSON file:
 *   "model" path; "arrays" path of a file of float32: x, then y, then with "validation" a second x and y; "x", "y", "validation": [x shape, y shape]
 *   "trainable": [[spec, true or false], ...] for tlvk_model_set_trainable
 *   "batch", "epochs", "cache": "memory" or "off"; "class_weight": [...]
 *   "optimizer": fields of tlvk_optimizer, kind as a number, "schedule" within; "loss": fields of tlvk_loss; "metric" as a number
 *   "jobs": of "predict", "gradients", "fit", "evaluate", "batches" (tlvk_model_train_on_batch over x), in the order wanted
 * Or, for several inputs and outputs, instead of x, y, loss and metric: "losses", "loss_weights" and "metrics", one per output; "steps": a list of
 *   {"inputs": [shape, ...], "targets": [shape, ...]} whose arrays follow one another in the file; job "steps" (tlvk_model_train_on_arrays on each)
 * Standard output: a JSON object: "arrays" [name, shape] as they lie in OUT as float32, and the logs "steps", "epochs", "batches", "evaluate".
 * Variables are numbered depth first in the order of model.layers: "g:3" is a gradient, "w:3" a value at the end. */
#include "train/session_internal.h"
#include "train/training.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct job {
    json_t *spec, *result, *arrays;
    tlvk_context *ctx;
    tlvk_model *model;
    tlvk_dataset *data, *validation;
    tlvk__variable **variables;
    int variable_count;
    float *numbers;             /* of the file of arrays */
    tlvk_array_desc desc;       /* of x and y */
    FILE *out;
} job;

static void need(tlvk_status status, const job *j, const char *what) {
    if (!status)
        return;
    fprintf(stderr, "dump_training: %s: %s; %s\n", what, tlvk__fail_text(), tlvk_last_error(j->ctx));
    exit(1);
}

static double number(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

/* --- results ------------------------------------------------------------------------------------------------------------------------------ */

static void put(job *j, const char *name, const int64_t *shape, int rank, const float *values) {
    json_t *dims = json_array();
    size_t count = 1;
    for (int i = 0; i < rank; i++) {
        json_array_append_new(dims, json_integer(shape[i]));
        count *= (size_t)shape[i];
    }
    json_array_append_new(j->arrays, json_pack("[s, o]", name, dims));
    if (fwrite(values, sizeof *values, count, j->out) != count)
        need(TLVK_ERROR_FILE, j, "writing");
}

static void put_variable(job *j, const char *prefix, const tlvk__variable *v, const float *values) {
    for (int i = 0; i < j->variable_count; i++)
        if (j->variables[i] == v) {
            char name[64];
            snprintf(name, sizeof name, "%s:%d", prefix, i);
            put(j, name, v->spec.shape.dim, v->spec.shape.rank, values);
        }
}

static json_t *number_json(double v) {
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *logs_json(const tlvk_logs *l) {
    json_t *outputs = json_array();
    for (int i = 0; i < l->outputs; i++)
        json_array_append_new(outputs, json_pack("{s:o, s:o}", "loss", number_json(l->output[i].loss), "accuracy", number_json(l->output[i].accuracy)));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "outputs", outputs, "loss", number_json(l->loss), "accuracy", number_json(l->accuracy), "val_loss",
                     number_json(l->val_loss), "val_accuracy", number_json(l->val_accuracy), "learning_rate", number_json(l->learning_rate));
}

static void put_logs(job *j, const char *key, const tlvk_logs *logs) {
    json_t *list = json_object_get(j->result, key);
    if (!list) {
        list = json_array();
        json_object_set_new(j->result, key, list);
    }
    json_array_append_new(list, logs_json(logs));
}

/* --- set-up ------------------------------------------------------------------------------------------------------------------------------- */

static size_t shape_of(const json_t *list, int64_t shape[TLVK_MAX_DIMS]) {
    size_t count = 1;
    for (size_t i = 0; i < json_array_size(list) && i < TLVK_MAX_DIMS; i++) {
        shape[i] = json_integer_value(json_array_get(list, i));
        count *= (size_t)shape[i];
    }
    return count;
}

static void read_numbers(job *j) {
    const char *path = json_string_value(json_object_get(j->spec, "arrays"));
    FILE *in = path ? fopen(path, "rb") : NULL;
    if (!in || fseek(in, 0, SEEK_END))
        need(TLVK_ERROR_FILE, j, "arrays");
    long bytes = ftell(in);
    rewind(in);
    j->numbers = tlvk__calloc((size_t)bytes + 1, 1);
    if (!j->numbers || fread(j->numbers, 1, (size_t)bytes, in) != (size_t)bytes)
        need(TLVK_ERROR_FILE, j, "arrays");
    fclose(in);
}

static void make_data(job *j) {
    read_numbers(j);
    if (json_object_get(j->spec, "steps"))
        return;
    const json_t *validation = json_object_get(j->spec, "validation");
    j->desc = (tlvk_array_desc){.x = j->numbers, .batch_size = (int)number(j->spec, "batch"), .no_shuffle = true, .borrow = true};
    j->desc.y = j->desc.x + shape_of(json_object_get(j->spec, "x"), j->desc.x_shape);
    const float *end = j->desc.y + shape_of(json_object_get(j->spec, "y"), j->desc.y_shape);
    need(tlvk_dataset_from_arrays(j->ctx, &j->desc, &j->data), j, "data");
    if (!validation)
        return;
    tlvk_array_desc d = {.x = end, .batch_size = j->desc.batch_size, .no_shuffle = true, .borrow = true};
    d.y = d.x + shape_of(json_array_get(validation, 0), d.x_shape);
    shape_of(json_array_get(validation, 1), d.y_shape);
    need(tlvk_dataset_from_arrays(j->ctx, &d, &j->validation), j, "validation data");
}

static tlvk_optimizer optimizer_of(const json_t *o) {
    const json_t *s = json_object_get(o, "schedule");
    return (tlvk_optimizer){
        .kind = (tlvk_optimizer_kind)number(o, "kind"), .learning_rate = (float)number(o, "learning_rate"), .momentum = (float)number(o, "momentum"),
        .nesterov = json_is_true(json_object_get(o, "nesterov")), .beta_1 = (float)number(o, "beta_1"), .beta_2 = (float)number(o, "beta_2"),
        .rho = (float)number(o, "rho"), .epsilon = (float)number(o, "epsilon"), .centered = json_is_true(json_object_get(o, "centered")),
        .amsgrad = json_is_true(json_object_get(o, "amsgrad")), .weight_decay = (float)number(o, "weight_decay"),
        .clipnorm = (float)number(o, "clipnorm"), .global_clipnorm = (float)number(o, "global_clipnorm"), .clipvalue = (float)number(o, "clipvalue"),
        .schedule = {.kind = (tlvk_schedule_kind)number(s, "kind"), .decay_steps = (int64_t)number(s, "decay_steps"),
                     .decay_rate = (float)number(s, "decay_rate"), .alpha = (float)number(s, "alpha")},
    };
}

static tlvk_loss loss_of(const json_t *l) {
    return (tlvk_loss){.kind = (tlvk_loss_kind)number(l, "kind"), .from_logits = json_is_true(json_object_get(l, "from_logits")),
                       .label_smoothing = (float)number(l, "label_smoothing")};
}

/* Entries that the spec does not have stay 0. */
static void describe_outputs(const job *j, tlvk_compile_desc *desc) {
    const json_t *losses = json_object_get(j->spec, "losses"), *weights = json_object_get(j->spec, "loss_weights"), *metrics = json_object_get(j->spec, "metrics");
    for (size_t i = 0; i < json_array_size(losses) && i < TLVK_MAX_IO; i++) {
        desc->losses[i] = loss_of(json_array_get(losses, i));
        desc->loss_weights[i] = (float)json_number_value(json_array_get(weights, i));
        desc->output_metrics[i] = (tlvk_metric_kind)json_integer_value(json_array_get(metrics, i));
    }
}

static void make_model(job *j) {
    const char *path = json_string_value(json_object_get(j->spec, "model"));
    need(tlvk_model_load(j->ctx, path, &j->model), j, "the model");
    const json_t *pair;
    size_t i;
    json_array_foreach(json_object_get(j->spec, "trainable"), i, pair) {
        const char *spec = json_string_value(json_array_get(pair, 0));
        need(tlvk_model_set_trainable(j->model, spec, json_is_true(json_array_get(pair, 1))), j, spec);
    }
    tlvk_compile_desc desc = {.optimizer = optimizer_of(json_object_get(j->spec, "optimizer")), .metrics = {(tlvk_metric_kind)number(j->spec, "metric")}};
    desc.loss = loss_of(json_object_get(j->spec, "loss"));
    describe_outputs(j, &desc);
    need(tlvk_model_compile(j->model, &desc), j, "compile");
    j->variable_count = tlvk__model_variables(j->model, NULL, NULL, 0);
    j->variables = tlvk__calloc((size_t)j->variable_count + 1, sizeof(tlvk__variable *));
    bool *trainable = tlvk__calloc((size_t)j->variable_count + 1, sizeof *trainable);
    if (!j->variables || !trainable)
        need(TLVK_ERROR_MEMORY, j, "variables");
    tlvk__model_variables(j->model, j->variables, trainable, j->variable_count);
    free(trainable);
}

/* --- jobs --------------------------------------------------------------------------------------------------------------------------------- */

static void predict(job *j) {
    int64_t shape[TLVK_MAX_DIMS], n = tlvk_dataset_size(j->data);
    int rank = tlvk_tensor_shape(tlvk_model_output(j->model, 0), shape);
    size_t count = (size_t)n;
    for (int i = rank; i > 0; i--) {
        shape[i] = shape[i - 1];
        count *= (size_t)shape[i];
    }
    shape[0] = n;
    float *scores = tlvk__calloc(count + 1, sizeof *scores);
    if (!scores)
        need(TLVK_ERROR_MEMORY, j, "predict");
    need(tlvk_model_predict(j->model, j->data, scores, count), j, "predict");
    put(j, "predictions", shape, rank + 1, scores);
    free(scores);
}

/* A training step without its update, on the first batch. */
static void run_gradients(job *j, const tlvk__task *task, tlvk__runner *runner, int64_t n) {
    float *targets = tlvk__calloc((size_t)(n * task->target_widths[0]) + 1, sizeof *targets);
    if (!targets)
        need(TLVK_ERROR_MEMORY, j, "gradients");
    for (int64_t i = 0; i < n; i++)
        tlvk__task_target(task, j->data, 0, i, targets + i * task->target_widths[0]);
    tlvk__runner_put_input(runner, 0, 0, j->desc.x);
    tlvk__runner_put_target(runner, 0, 0, targets);
    memset(tlvk__runner_params(runner, 0), 0, sizeof(tlvk__step_params));
    need(tlvk__runner_submit(runner, 0), j, "gradients");
    need(tlvk__runner_wait(runner, 0), j, "gradients");
    free(targets);
}

static void gradients(job *j) {
    const tlvk__training *t = j->model->training;
    tlvk__task task;
    tlvk__session *session = NULL;
    tlvk__runner *runner = NULL;
    need(tlvk__task_resolve(j->model, j->data, t->objectives, &task), j, "gradients");
    tlvk__session_desc d = {.training = true, .optimizer = t->optimizer, .objectives = {task.objectives[0]}, .inputs = {task.inputs[0]}};
    d.inputs[0].dim[0] = TLVK__MIN((int64_t)j->desc.batch_size, tlvk_dataset_size(j->data));
    need(tlvk__session_create(j->model, &d, &session), j, "gradients");
    session->no_update = true;
    need(tlvk__session_runner(session, TLVK__WHOLE, TLVK__PLAN_TRAIN, d.inputs, &runner), j, "gradients");
    run_gradients(j, &task, runner, d.inputs[0].dim[0]);
    tlvk__variable *v;
    for (int i = 0; tlvk__session_trained(session, i, &v); i++) {
        float *g = tlvk__calloc(v->elements + 1, sizeof *g);
        if (!g)
            need(TLVK_ERROR_MEMORY, j, "gradients");
        need(tlvk__session_read_gradient(session, i, g), j, "gradients");
        put_variable(j, "g", v, g);
        free(g);
    }
    tlvk__session_destroy(session);
}

static tlvk_verdict on_event(const tlvk_event *event, void *user) {
    if (event->kind == TLVK_EVENT_STEP_END)
        put_logs(user, "steps", &event->logs);
    return TLVK_CONTINUE;
}

static void fit(job *j) {
    const json_t *list = json_object_get(j->spec, "class_weight");
    float class_weight[64] = {0};
    for (size_t i = 0; i < json_array_size(list) && i < TLVK__COUNT(class_weight); i++)
        class_weight[i] = (float)json_number_value(json_array_get(list, i));
    const char *cache = json_string_value(json_object_get(j->spec, "cache"));
    tlvk_fit_desc desc = {.epochs = (int)number(j->spec, "epochs"), .validation = j->validation, .callback = on_event, .callback_user = j,
                          .class_weight = list ? class_weight : NULL, .class_weight_count = (int)json_array_size(list),
                          .cache = cache && strcmp(cache, "off") == 0 ? TLVK_CACHE_OFF : TLVK_CACHE_MEMORY};
    tlvk_history *history = NULL;
    need(tlvk_model_fit(j->model, j->data, &desc, &history), j, "fit");
    tlvk_logs logs;
    for (int i = 0; i < tlvk_history_epochs(history) && !tlvk_history_logs(history, i, &logs); i++)
        put_logs(j, "epochs", &logs);
    tlvk_history_destroy(history);
}

/* The samples in batches, by the call for one batch. */
static void batches(job *j) {
    int64_t n = tlvk_dataset_size(j->data), batch = j->desc.batch_size, x = 1, y = 1;
    for (int i = 1; j->desc.x_shape[i]; i++)
        x *= j->desc.x_shape[i];
    for (int i = 1; j->desc.y_shape[i]; i++)
        y *= j->desc.y_shape[i];
    for (int64_t at = 0; at < n; at += batch) {
        tlvk_logs logs;
        need(tlvk_model_train_on_batch(j->model, j->desc.x + at * x, j->desc.y + at * y, TLVK__MIN(batch, n - at), &logs), j, "train_on_batch");
        put_logs(j, "batches", &logs);
    }
}

static const float *arrays_of(const json_t *shapes, const float *at, tlvk_array arrays[TLVK_MAX_IO]) {
    memset(arrays, 0, TLVK_MAX_IO * sizeof *arrays);
    for (size_t i = 0; i < json_array_size(shapes) && i < TLVK_MAX_IO; i++) {
        arrays[i].values = at;
        at += shape_of(json_array_get(shapes, i), arrays[i].shape);
    }
    return at;
}

static void steps(job *j) {
    const float *at = j->numbers;
    const json_t *step;
    size_t i;
    json_array_foreach(json_object_get(j->spec, "steps"), i, step) {
        tlvk_array inputs[TLVK_MAX_IO], targets[TLVK_MAX_IO];
        tlvk_logs logs;
        at = arrays_of(json_object_get(step, "inputs"), at, inputs);
        at = arrays_of(json_object_get(step, "targets"), at, targets);
        need(tlvk_model_train_on_arrays(j->model, inputs, targets, &logs), j, "train_on_arrays");
        put_logs(j, "steps", &logs);
    }
}

static void evaluate(job *j) {
    tlvk_logs logs;
    need(tlvk_model_evaluate(j->model, j->data, &logs), j, "evaluate");
    put_logs(j, "evaluate", &logs);
}

static void run_jobs(job *j) {
    static const struct { const char *name; void (*run)(job *); } known[] = {
        {"predict", predict}, {"gradients", gradients}, {"fit", fit}, {"batches", batches}, {"evaluate", evaluate}, {"steps", steps}};
    const json_t *name;
    size_t i;
    json_array_foreach(json_object_get(j->spec, "jobs"), i, name)
        for (size_t k = 0; k < TLVK__COUNT(known); k++)
            if (strcmp(known[k].name, json_string_value(name)) == 0)
                known[k].run(j);
    for (int k = 0; k < j->variable_count; k++) {
        const float *values;
        need(tlvk__variable_values(j->variables[k], &values), j, "weights");
        put_variable(j, "w", j->variables[k], values);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: dump_training SPEC OUT\n");
        return 2;
    }
    job j = {.spec = json_load_file(argv[1], 0, NULL), .result = json_object(), .arrays = json_array(), .out = fopen(argv[2], "wb")};
    if (!j.spec || !j.out)
        need(TLVK_ERROR_FILE, &j, argv[1]);
    need(tlvk_context_create(NULL, &j.ctx), &j, "context");
    make_data(&j);
    make_model(&j);
    run_jobs(&j);
    json_object_set_new(j.result, "arrays", j.arrays);
    json_dumpf(j.result, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
    printf("\n");
    tlvk_dataset_destroy(j.validation);
    tlvk_dataset_destroy(j.data);
    tlvk_model_destroy(j.model);
    tlvk_context_destroy(j.ctx);
    free(j.variables);
    free(j.numbers);
    json_decref(j.result);
    json_decref(j.spec);
    return fclose(j.out) != 0;
}
