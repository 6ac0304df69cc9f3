/* test_multi.c - models with several inputs and outputs in training: the whole loss is the weighted sum, gradients are sums of each output's own,
 * what is measured equals models of one output each, and nothing of it depends on cached features or on being interrupted. */
#include "support/nets.h"
#include "train/session_internal.h"

#include <stdio.h>

#define SIDE 6
#define WORDS 5
#define CLASSES 4
#define SAMPLES 27
#define BATCH 8

/* --- two inputs, several outputs ------------------------------------------------------------------------------------------------------ */

typedef struct tensors { tlvk_tensor picture, words, trunk, kind, size; } tensors;

/* picture -> conv -> flatten, with words -> dense `trunk`; on it softmax `kind` and linear `size`. */
static tensors make_tensors(tlvk_context *ctx) {
    tensors t;
    tlvk_set_random_seed(ctx, 5);
    t.picture = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { SIDE, SIDE, 2 }, .name = "picture" });
    t.words = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { WORDS }, .name = "words" });
    tlvk_tensor x = tlvk_conv2d(t.picture, &(tlvk_conv2d_desc){ .filters = 6, .kernel_size = { 3 }, .activation = TLVK_RELU, .name = "conv", .kernel_regularizer = { .l2 = 1e-2f } });
    x = tlvk_flatten(x, "flat");
    tlvk_tensor w = tlvk_dense(t.words, &(tlvk_dense_desc){ .units = 7, .activation = TLVK_TANH, .name = "word_layer" });
    x = tlvk_concatenate((tlvk_tensor[]){ x, w }, 2, "both");
    t.trunk = tlvk_dense(x, &(tlvk_dense_desc){ .units = 9, .activation = TLVK_SIGMOID, .name = "trunk" });
    t.kind = tlvk_dense(t.trunk, &(tlvk_dense_desc){ .units = CLASSES, .activation = TLVK_SOFTMAX, .name = "kind" });
    t.size = tlvk_dense(t.trunk, &(tlvk_dense_desc){ .units = 2, .name = "size" });
    return t;
}

static tlvk_model *make_model(tlvk_context *ctx, const tensors *t, const tlvk_tensor *outputs, int count) {
    tlvk_model *model = NULL;
    tlvk_model_desc d = { .inputs = { t->picture, t->words }, .name = "multi" };
    for (int i = 0; i < count; i++) d.outputs[i] = outputs[i];
    assert_api(ctx, tlvk_model_create(ctx, &d, &model));
    return model;
}

typedef struct arrays { float picture[SAMPLES * SIDE * SIDE * 2], words[SAMPLES * WORDS], kind[SAMPLES], size[SAMPLES * 2], trunk[SAMPLES * 9]; } arrays;

static arrays *make_arrays(void) {
    arrays *a = calloc(1, sizeof *a);
    assert_non_null(a);
    tlvk__rng rng;
    tlvk__rng_seed(&rng, 3, 1);
    for (size_t i = 0; i < TLVK__COUNT(a->picture); i++) a->picture[i] = (float)tlvk__rng_uniform(&rng) - 0.5f;
    for (size_t i = 0; i < TLVK__COUNT(a->words); i++) a->words[i] = (float)tlvk__rng_uniform(&rng) * 2 - 1;
    for (int i = 0; i < SAMPLES; i++) {
        a->kind[i] = (float)(i % CLASSES);
        for (int k = 0; k < 2; k++) a->size[2 * i + k] = a->words[i * WORDS + k] + 0.25f * (float)(i % CLASSES);
        for (int k = 0; k < 9; k++) a->trunk[9 * i + k] = (float)tlvk__rng_uniform(&rng);
    }
    return a;
}

/* Targets by letter: k kind, s size, t trunk. */
static tlvk_array_desc describe(const arrays *a, const char *targets, int64_t samples) {
    tlvk_array_desc d = { .batch_size = BATCH, .inputs = { { a->picture, { samples, SIDE, SIDE, 2 } }, { a->words, { samples, WORDS } } } };
    for (int i = 0; targets[i]; i++) {
        d.targets[i] = targets[i] == 'k' ? (tlvk_array){ a->kind, { samples } } : targets[i] == 's' ? (tlvk_array){ a->size, { samples, 2 } } : (tlvk_array){ a->trunk, { samples, 9 } };
    }
    return d;
}

static tlvk_dataset *make_data(tlvk_context *ctx, const char *targets, int64_t samples) {
    arrays *a = make_arrays();
    tlvk_array_desc d = describe(a, targets, samples);
    tlvk_dataset *data = NULL;
    assert_api(ctx, tlvk_dataset_from_arrays(ctx, &d, &data));
    free(a);
    return data;
}

static const tlvk_loss sparse = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, squared = { .kind = TLVK_MEAN_SQUARED_ERROR };

static double off(double a, double b) { return fabs(a - b) / fmax(fabs(b), 1e-30); }

/* --- losses and logs -------------------------------------------------------------------------------------------------------------------- */

static tlvk_logs evaluate_one(tlvk_context *ctx, const tensors *t, tlvk_tensor y, tlvk_loss loss, const char *targets) {
    tlvk_model *model = make_model(ctx, t, &y, 1);
    tlvk_dataset *data = make_data(ctx, targets, SAMPLES);
    tlvk_logs logs;
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .loss = loss, .metrics = { TLVK_ACCURACY } }));
    assert_api(ctx, tlvk_model_evaluate(model, data, &logs));
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    return logs;
}

static void test_whole_loss_is_the_weighted_sum(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tensors t = make_tensors(ctx);
    tlvk_model *model = make_model(ctx, &t, (tlvk_tensor[]){ t.kind, t.size }, 2);
    tlvk_dataset *data = make_data(ctx, "ks", SAMPLES);
    tlvk_logs a = evaluate_one(ctx, &t, t.kind, sparse, "k"), b = evaluate_one(ctx, &t, t.size, squared, "s"), both;
    double penalty = tlvk__model_penalty(model);
    assert_true(penalty > 0.01);
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .losses = { sparse, squared }, .loss_weights = { 0, 0.3f }, .metrics = { TLVK_ACCURACY }, .output_metrics = { 0, TLVK_METRIC_MSE } }));
    assert_api(ctx, tlvk_model_evaluate(model, data, &both));
    assert_int_equal(both.outputs, 2);
    assert_true(off(both.output[0].loss, a.loss - penalty) < 1e-6 && off(both.output[1].loss, b.loss - penalty) < 1e-6);
    assert_true(off(both.loss, both.output[0].loss + (double)0.3f * both.output[1].loss + penalty) < 1e-6);
    assert_true(both.accuracy == a.accuracy && both.output[0].accuracy == a.accuracy && isnan(both.output[1].accuracy));
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

static void test_predict_outputs(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tensors t = make_tensors(ctx);
    tlvk_model *both = make_model(ctx, &t, (tlvk_tensor[]){ t.size, t.kind, t.size }, 3), *kind = make_model(ctx, &t, &t.kind, 1), *size = make_model(ctx, &t, &t.size, 1);
    tlvk_dataset *data = make_data(ctx, "", SAMPLES);
    float k1[SAMPLES * CLASSES], k2[SAMPLES * CLASSES], s1[SAMPLES * 2], s2[SAMPLES * 2], s3[SAMPLES * 2];
    size_t room[3] = { TLVK__COUNT(s2), TLVK__COUNT(k2), TLVK__COUNT(s3) };
    assert_api(ctx, tlvk_model_predict(kind, data, k1, TLVK__COUNT(k1)));
    assert_api(ctx, tlvk_model_predict(size, data, s1, TLVK__COUNT(s1)));
    assert_api(ctx, tlvk_model_predict_outputs(both, data, (float *[]){ s2, k2, s3 }, room));
    assert_memory_equal(k1, k2, sizeof k1);
    assert_memory_equal(s1, s2, sizeof s1);
    assert_memory_equal(s1, s3, sizeof s1);
    memset(k2, 0, sizeof k2);
    assert_api(ctx, tlvk_model_predict_outputs(both, data, (float *[]){ NULL, k2, NULL }, room));
    assert_memory_equal(k1, k2, sizeof k1);
    room[1]--;
    assert_int_equal(tlvk_model_predict_outputs(both, data, (float *[]){ s2, k2, s3 }, room), TLVK_ERROR_ARGUMENT);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(both);
    tlvk_model_destroy(kind);
    tlvk_model_destroy(size);
    tlvk_context_destroy(ctx);
}

/* --- gradients ---------------------------------------------------------------------------------------------------------------------------- */

typedef struct gradients { tlvk__variable *of[32]; float *values[32]; int count; } gradients;

/* Of the loss with these weights on the first batch; variables that it does not reach are not listed. */
static gradients gradients_of(tlvk_context *ctx, tlvk_model *model, const char *targets, const tlvk_loss *losses, const float *weights) {
    gradients g = { .count = 0 };
    arrays *a = make_arrays();
    tlvk_array_desc desc = describe(a, targets, BATCH);
    tlvk_dataset *data = NULL;
    assert_api(ctx, tlvk_dataset_from_arrays(ctx, &desc, &data));
    tlvk__objective wanted[TLVK_MAX_IO] = { 0 };
    for (int i = 0; i < model->output_count; i++) wanted[i] = (tlvk__objective){ .loss = losses[i], .weight = weights[i] };
    tlvk__task task;
    tlvk__session *s = NULL;
    tlvk__runner *runner = NULL;
    if (tlvk__task_resolve(model, data, wanted, &task)) fail_msg("%s", tlvk__fail_text());
    tlvk__session_desc d = { .training = true };
    assert_int_equal(tlvk__optimizer_resolve(&(tlvk_optimizer){ .kind = TLVK_SGD }, &d.optimizer), TLVK_OK);
    for (int i = 0; i < TLVK_MAX_IO; i++) {
        d.objectives[i] = task.objectives[i];
        d.inputs[i] = task.inputs[i];
        d.inputs[i].dim[0] = BATCH;
    }
    if (tlvk__session_create(model, &d, &s)) fail_msg("%s", tlvk__fail_text());
    s->no_update = true;
    if (tlvk__session_runner(s, TLVK__WHOLE, TLVK__PLAN_TRAIN, d.inputs, &runner)) fail_msg("%s", tlvk__fail_text());
    tlvk__runner_put_input(runner, 0, 0, a->picture);
    tlvk__runner_put_input(runner, 0, 1, a->words);
    for (int i = 0; i < model->output_count; i++) tlvk__runner_put_target(runner, 0, i, desc.targets[i].values);
    if (tlvk__runner_submit(runner, 0) || tlvk__runner_wait(runner, 0)) fail_msg("%s", tlvk__fail_text());
    for (; tlvk__session_trained(s, g.count, &g.of[g.count]); g.count++) {
        g.values[g.count] = calloc(g.of[g.count]->elements, sizeof(float));
        assert_int_equal(tlvk__session_read_gradient(s, g.count, g.values[g.count]), TLVK_OK);
    }
    tlvk__session_destroy(s);
    tlvk_dataset_destroy(data);
    free(a);
    return g;
}

static void free_gradients(gradients *g) {
    for (int i = 0; i < g->count; i++) free(g->values[i]);
}

static const float *values_of(const gradients *g, const tlvk__variable *v) {
    for (int i = 0; i < g->count; i++) {
        if (g->of[i] == v) return g->values[i];
    }
    return NULL;
}

/* whole = a + share * b within rounding: each gradient is a sum of a few hundred products, off by about 2^-24 * sqrt(300) of their size. */
static void assert_sum(const gradients *whole, const gradients *a, const gradients *b, double share) {
    assert_true(whole->count > 0);
    for (int i = 0; i < whole->count; i++) {
        const float *ga = values_of(a, whole->of[i]), *gb = values_of(b, whole->of[i]);
        double largest = 0, worst = 0;
        for (size_t k = 0; k < whole->of[i]->elements; k++) {
            double x = ga ? (double)ga[k] : 0, y = gb ? share * (double)gb[k] : 0;
            largest = fmax(largest, fmax(fabs(x), fabs(y)));
            worst = fmax(worst, fabs((double)whole->values[i][k] - x - y));
        }
        assert_true(largest > 0);
        if (worst > 32 * 0x1p-24 * largest) fail_msg("gradient %d (%s): off by %g of %g", i, whole->of[i]->name, worst, largest);
    }
}

static void gradients_add_up(const char *which, const char *targets, const tlvk_loss *losses) {
    tlvk_context *ctx = net_context(NULL);
    tensors t = make_tensors(ctx);
    tlvk_tensor outputs[2];
    for (int i = 0; i < 2; i++) outputs[i] = which[i] == 'k' ? t.kind : which[i] == 's' ? t.size : t.trunk;
    tlvk_model *model = make_model(ctx, &t, outputs, 2), *first = make_model(ctx, &t, outputs, 1);
    gradients both = gradients_of(ctx, model, targets, losses, (float[]){ 1, 0.3f }), a = gradients_of(ctx, model, targets, losses, (float[]){ 1, 0 }),
              b = gradients_of(ctx, model, targets, losses, (float[]){ 0, 1 }), alone = gradients_of(ctx, first, (char[]){ targets[0], '\0' }, losses, (float[]){ 1 });
    assert_sum(&both, &a, &b, (double)0.3f);
    assert_int_equal(a.count, alone.count);
    for (int i = 0; i < a.count; i++) assert_memory_equal(values_of(&a, alone.of[i]), alone.values[i], alone.of[i]->elements * sizeof(float));
    free_gradients(&both);
    free_gradients(&a);
    free_gradients(&b);
    free_gradients(&alone);
    tlvk_model_destroy(model);
    tlvk_model_destroy(first);
    tlvk_context_destroy(ctx);
}

static void test_gradients_of_two_heads(void **state) {
    (void)state;
    gradients_add_up("ks", "ks", (tlvk_loss[]){ sparse, squared });
}

static void test_gradient_of_an_output_that_others_read(void **state) {
    (void)state;
    gradients_add_up("tk", "tk", (tlvk_loss[]){ squared, sparse });
    gradients_add_up("st", "st", (tlvk_loss[]){ squared, { .kind = TLVK_BINARY_CROSSENTROPY } }); /* from what is before the sigmoid */
}

static void test_gradient_of_one_tensor_twice(void **state) {
    (void)state;
    gradients_add_up("ss", "ss", (tlvk_loss[]){ squared, squared });
    gradients_add_up("tt", "tt", (tlvk_loss[]){ squared, { .kind = TLVK_BINARY_CROSSENTROPY } });
}

/* --- what is left out ------------------------------------------------------------------------------------------------------------------------ */

typedef struct run_desc { const char *freeze, *unfreeze; tlvk_cache cache; const char *folder, *checkpoint, *resume; float weights[2]; int cancel_after; tlvk_optimizer_kind optimizer; } run_desc;
typedef struct run_result { tlvk_context *ctx; tlvk_model *model; tlvk_history *history; float *before, *after; size_t count; } run_result;
typedef struct canceller { tlvk_context *ctx; int after, steps; } canceller;

static tlvk_verdict count_steps(const tlvk_event *event, void *user) {
    canceller *c = user;
    if (event->kind == TLVK_EVENT_STEP_END && ++c->steps == c->after) tlvk_cancel(c->ctx);
    return TLVK_CONTINUE;
}

/* kind, size and trunk as outputs, three epochs. */
static run_result run(const run_desc *d) {
    run_result r = { .ctx = net_context(d->folder) };
    tensors t = make_tensors(r.ctx);
    r.model = make_model(r.ctx, &t, (tlvk_tensor[]){ t.kind, t.size, t.trunk }, 3);
    tlvk_dataset *data = make_data(r.ctx, "kst", SAMPLES), *val = make_data(r.ctx, "kst", 11);
    if (d->freeze) assert_api(r.ctx, tlvk_model_set_trainable(r.model, d->freeze, false));
    if (d->unfreeze) assert_api(r.ctx, tlvk_model_set_trainable(r.model, d->unfreeze, true));
    r.before = all_weights(r.model, &r.count);
    assert_api(r.ctx, tlvk_model_compile(r.model, &(tlvk_compile_desc){ .optimizer = { .kind = d->optimizer }, .losses = { sparse, squared, { .kind = TLVK_BINARY_CROSSENTROPY } },
                                                                        .loss_weights = { d->weights[0], d->weights[1], 0.5f }, .metrics = { TLVK_ACCURACY } }));
    canceller c = { .ctx = r.ctx, .after = d->cancel_after };
    tlvk_fit_desc fit = { .epochs = 3, .validation = val, .cache = d->cache, .seed = 4, .checkpoint = d->checkpoint, .resume = d->resume, .callback = count_steps, .callback_user = &c };
    tlvk_status st = tlvk_model_fit(r.model, data, &fit, &r.history);
    if (st && st != TLVK_ERROR_CANCELLED) fail_msg("fit: %s", tlvk_last_error(r.ctx));
    r.after = all_weights(r.model, &r.count);
    tlvk_dataset_destroy(data);
    tlvk_dataset_destroy(val);
    return r;
}

static void close_run(run_result *r) {
    tlvk_history_destroy(r->history);
    tlvk_model_destroy(r->model);
    tlvk_context_destroy(r->ctx);
    free(r->before);
    free(r->after);
}

static void assert_equal_runs(const run_desc *a, const run_desc *b) {
    run_result ra = run(a), rb = run(b);
    assert_same_weights(ra.model, rb.model);
    assert_same_history(ra.history, rb.history);
    close_run(&ra);
    close_run(&rb);
}

/* A variable's place in all_weights. */
static size_t place_of(const tlvk_model *model, const char *layer, size_t *elements) {
    int n = tlvk__model_variables(model, NULL, NULL, 0);
    tlvk__variable **list = calloc((size_t)n + 1, sizeof(tlvk__variable *));
    tlvk__model_variables(model, list, NULL, n);
    const tlvk_layer *wanted = tlvk_model_find_layer(model, layer);
    assert_non_null(wanted);
    size_t at = 0;
    for (int i = 0; list[i] != wanted->variables[0]; i++) at += list[i]->elements;
    *elements = wanted->variables[0]->elements;
    free(list);
    return at;
}

static bool moved(const run_result *r, const char *layer) {
    size_t elements, at = place_of(r->model, layer, &elements);
    return memcmp(r->before + at, r->after + at, elements * sizeof *r->before) != 0;
}

static void test_weight_zero_is_measured_alone(void **state) {
    (void)state;
    run_result r = run(&(run_desc){ .weights = { 0, TLVK_ZERO } });
    tlvk_logs logs;
    assert_true(moved(&r, "kind") && moved(&r, "trunk") && moved(&r, "conv") && !moved(&r, "size"));
    assert_int_equal(tlvk_history_logs(r.history, 2, &logs), TLVK_OK);
    assert_true(logs.output[1].loss > 0 && logs.output[1].val_loss > 0);
    assert_true(logs.loss > logs.output[0].loss + 0.5 * logs.output[2].loss && logs.loss < logs.output[0].loss + 0.5 * logs.output[2].loss + 0.5);
    close_run(&r);
}

/* What is frozen keeps its bytes and is measured; a frozen output may be a cached feature, as softmax, sigmoid or linear. */
static void test_cached_outputs_change_nothing(void **state) {
    (void)state;
    char *folder = temp_path("multi-feature-cache");
    static const char *const unfreeze[] = { "kind", "size", "trunk", "word_layer" };
    for (size_t k = 0; k < TLVK__COUNT(unfreeze); k++) {
        run_desc off_ = { .freeze = "*", .unfreeze = unfreeze[k], .cache = TLVK_CACHE_OFF }, memory = off_, disk = off_;
        memory.cache = TLVK_CACHE_MEMORY;
        disk.cache = TLVK_CACHE_DISK;
        disk.folder = folder;
        assert_equal_runs(&off_, &memory);
        assert_equal_runs(&off_, &disk);
        run_result r = run(&memory);
        static const char *const layers[] = { "kind", "size", "trunk", "word_layer", "conv" };
        for (size_t i = 0; i < TLVK__COUNT(layers); i++) assert_int_equal(moved(&r, layers[i]), strcmp(layers[i], unfreeze[k]) == 0);
        close_run(&r);
    }
    free(folder);
}

static void test_resumed_equals_unbroken(void **state) {
    (void)state;
    char *path = temp_path("multi.checkpoint");
    run_desc unbroken = { .weights = { 0.7f, 0 } }, broken = unbroken, resumed = unbroken;
    broken.checkpoint = resumed.resume = path;
    broken.cancel_after = 6; /* in the second epoch of four steps */
    run_result half = run(&broken);
    assert_true(tlvk_history_epochs(half.history) == 1);
    close_run(&half);
    assert_equal_runs(&unbroken, &resumed);
    tlvk__file_remove(path);
    free(path);
}

static tlvk_model *two_dense(tlvk_context *ctx, int units, int outputs) {
    tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { 4 } }), y = tlvk_dense(tlvk_dense(x, &(tlvk_dense_desc){ .units = 3 }), &(tlvk_dense_desc){ .units = units });
    tlvk_model_desc d = { .inputs = { x }, .outputs = { y } };
    if (outputs == 2) d.outputs[1] = tlvk_softmax(y, NULL);
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &d, &model));
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .loss = { .kind = TLVK_MEAN_SQUARED_ERROR } }));
    return model;
}

static tlvk_status fit_dense(tlvk_context *ctx, tlvk_model *model, const tlvk_fit_desc *fit) {
    static const float x[8 * 4], y[8 * 5];
    tlvk_array_desc d = { .inputs = { { x, { 8, 4 } } } };
    for (int i = 0; i < tlvk_model_output_count(model); i++) {
        int64_t shape[TLVK_MAX_DIMS];
        tlvk_tensor_shape(tlvk_model_output(model, i), shape);
        d.targets[i] = (tlvk_array){ y, { 8, shape[0] } };
    }
    tlvk_dataset *data = NULL;
    assert_api(ctx, tlvk_dataset_from_arrays(ctx, &d, &data));
    tlvk_status st = tlvk_model_fit(model, data, fit, NULL);
    tlvk_dataset_destroy(data);
    return st;
}

/* A checkpoint of a model with one more output, or with another head, is refused by name and leaves every weight as it was. */
static void test_checkpoints_of_other_models(void **state) {
    (void)state;
    char *path = temp_path("other.checkpoint");
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *writer = two_dense(ctx, 5, 1), *others[2] = { two_dense(ctx, 5, 2), two_dense(ctx, 4, 1) };
    static const char *const words[2] = { "a model with 1 outputs, this one has 2", "has another size" };
    assert_api(ctx, fit_dense(ctx, writer, &(tlvk_fit_desc){ .checkpoint = path }));
    for (int i = 0; i < 2; i++) {
        float before[12], after[12];
        tlvk_layer *first = tlvk_model_layer(others[i], 1);
        assert_api(ctx, tlvk_layer_get_weight(first, 0, before, 12));
        assert_int_equal(fit_dense(ctx, others[i], &(tlvk_fit_desc){ .resume = path }), TLVK_ERROR_ARGUMENT);
        if (!strstr(tlvk_last_error(ctx), words[i])) fail_msg("\"%s\" does not say \"%s\"", tlvk_last_error(ctx), words[i]);
        assert_api(ctx, tlvk_layer_get_weight(first, 0, after, 12));
        assert_memory_equal(before, after, sizeof before);
        tlvk_model_destroy(others[i]);
    }
    tlvk_model_destroy(writer);
    tlvk_context_destroy(ctx);
    tlvk__file_remove(path);
    free(path);
}

static void test_history_as_csv(void **state) {
    (void)state;
    run_result r = run(&(run_desc){ .weights = { 0 } });
    char *path = temp_path("multi.csv"), line[512];
    assert_api(r.ctx, tlvk_history_save_csv(r.history, path));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    /* sorted(logs.keys()) of Keras 3's CSVLogger; "size" has no accuracy, for its targets are numbers */
    assert_string_equal(line, "epoch,kind_accuracy,kind_loss,loss,size_loss,trunk_accuracy,trunk_loss,val_kind_accuracy,val_kind_loss,val_loss,val_size_loss,"
                              "val_trunk_accuracy,val_trunk_loss,seconds,learning_rate\n");
    tlvk_logs logs;
    double kind_accuracy, kind_loss, loss, size_loss;
    assert_int_equal(tlvk_history_logs(r.history, 0, &logs), TLVK_OK);
    assert_int_equal(fscanf(file, "0,%lf,%lf,%lf,%lf", &kind_accuracy, &kind_loss, &loss, &size_loss), 4);
    assert_true(off(kind_accuracy, logs.output[0].accuracy) < 1e-8 && off(kind_loss, logs.output[0].loss) < 1e-8 && off(loss, logs.loss) < 1e-8 && off(size_loss, logs.output[1].loss) < 1e-8);
    (void)fclose(file);
    tlvk__file_remove(path);
    free(path);
    close_run(&r);
}

/* --- one step ------------------------------------------------------------------------------------------------------------------------------ */

static void test_a_step_on_arrays_is_a_step_of_fit(void **state) {
    (void)state;
    tlvk_context *ctx[2];
    tlvk_model *model[2];
    arrays *a = make_arrays();
    tlvk_array_desc d = describe(a, "ks", BATCH);
    tlvk_logs logs, fitted;
    for (int i = 0; i < 2; i++) {
        ctx[i] = net_context(NULL);
        tensors t = make_tensors(ctx[i]);
        model[i] = make_model(ctx[i], &t, (tlvk_tensor[]){ t.kind, t.size }, 2);
        assert_api(ctx[i], tlvk_model_compile(model[i], &(tlvk_compile_desc){ .losses = { sparse, squared }, .loss_weights = { 0, 0.3f } }));
    }
    assert_api(ctx[0], tlvk_model_train_on_arrays(model[0], d.inputs, d.targets, &logs));
    tlvk_dataset *data = NULL;
    tlvk_history *history = NULL;
    d.no_shuffle = true;
    assert_api(ctx[1], tlvk_dataset_from_arrays(ctx[1], &d, &data));
    assert_api(ctx[1], tlvk_model_fit(model[1], data, NULL, &history));
    assert_same_weights(model[0], model[1]);
    assert_int_equal(tlvk_history_logs(history, 0, &fitted), TLVK_OK);
    assert_true(logs.outputs == 2 && logs.loss == fitted.loss && logs.output[1].loss == fitted.output[1].loss);
    d.targets[1].values = NULL;
    assert_int_equal(tlvk_model_train_on_arrays(model[0], d.inputs, d.targets, &logs), TLVK_ERROR_DATA);
    assert_non_null(strstr(tlvk_last_error(ctx[0]), "2 outputs, the data gives 1 targets"));
    tlvk_history_destroy(history);
    tlvk_dataset_destroy(data);
    for (int i = 0; i < 2; i++) {
        tlvk_model_destroy(model[i]);
        tlvk_context_destroy(ctx[i]);
    }
    free(a);
}

static void test_what_does_not_fit_is_refused(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tensors t = make_tensors(ctx);
    tlvk_model *model = make_model(ctx, &t, (tlvk_tensor[]){ t.kind, t.size }, 2);
    tlvk_dataset *one_target = make_data(ctx, "k", SAMPLES), *swapped = make_data(ctx, "sk", SAMPLES), *right = make_data(ctx, "ks", SAMPLES), *data = NULL;
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .losses = { sparse, squared } }));
    assert_int_equal(tlvk_model_fit(model, one_target, NULL, NULL), TLVK_ERROR_DATA);
    assert_int_equal(tlvk_model_fit(model, swapped, NULL, NULL), TLVK_ERROR_DATA);
    assert_non_null(strstr(tlvk_last_error(ctx), "output 0"));
    const float weights[CLASSES] = { 1, 2, 1, 1 };
    assert_int_equal(tlvk_model_fit(model, right, &(tlvk_fit_desc){ .class_weight = weights, .class_weight_count = CLASSES }, NULL), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_compile(model, &(tlvk_compile_desc){ .loss_weights = { NAN } }), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_compile(model, &(tlvk_compile_desc){ .losses = { { 0 }, { .label_smoothing = 2 } } }), TLVK_ERROR_ARGUMENT);
    arrays *a = make_arrays();
    tlvk_array_desc d = describe(a, "k", SAMPLES);
    d.inputs[1].shape[0] = SAMPLES - 1;
    assert_int_equal(tlvk_dataset_from_arrays(ctx, &d, &data), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "input 1 has 26 samples"));
    d = describe(a, "k", SAMPLES);
    d.x = a->words;
    d.x_shape[0] = SAMPLES;
    assert_int_equal(tlvk_dataset_from_arrays(ctx, &d, &data), TLVK_ERROR_ARGUMENT);
    tlvk_array_desc single = { .x = a->words, .x_shape = { SAMPLES, WORDS }, .y = a->kind, .y_shape = { SAMPLES } };
    assert_api(ctx, tlvk_dataset_from_arrays(ctx, &single, &data));
    assert_int_equal(tlvk_model_fit(model, data, NULL, NULL), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "2 inputs, the data gives 1"));
    free(a);
    tlvk_dataset_destroy(data);
    tlvk_dataset_destroy(one_target);
    tlvk_dataset_destroy(swapped);
    tlvk_dataset_destroy(right);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

/* --- open height and width ------------------------------------------------------------------------------------------------------------------- */

static tlvk_model *sized_model(tlvk_context *ctx, int64_t h, int64_t w) {
    tlvk_set_random_seed(ctx, 2);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { h, w, 3 }, .name = "in" });
    tlvk_tensor x = tlvk_conv2d(in, &(tlvk_conv2d_desc){ .filters = 8, .kernel_size = { 3 }, .strides = { 2 }, .padding = TLVK_SAME, .no_bias = true, .name = "conv" });
    x = tlvk_relu(tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){ .name = "norm" }), &(tlvk_relu_desc){ .name = "relu" });
    x = tlvk_global_average_pooling2d(tlvk_depthwise_conv2d(x, &(tlvk_depthwise_conv2d_desc){ .kernel_size = { 3 }, .name = "depthwise" }), "pool");
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 2, .activation = TLVK_SOFTMAX, .name = "dense" });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x }, .name = "sized" }, &model));
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_SGD, .learning_rate = 0.1f }, .loss = sparse }));
    return model;
}

static void fit_size(tlvk_context *ctx, tlvk_model *model, int64_t h, int64_t w) {
    enum { N = 10 };
    size_t pixels = (size_t)(h * w * 3);
    float *x = calloc(N * pixels, sizeof *x), y[N];
    tlvk__rng rng;
    tlvk__rng_seed(&rng, (uint64_t)(h * 100 + w), 0);
    for (size_t i = 0; i < N * pixels; i++) x[i] = (float)tlvk__rng_uniform(&rng);
    for (int i = 0; i < N; i++) y[i] = (float)(i % 2);
    tlvk_dataset *data = NULL;
    assert_api(ctx, tlvk_dataset_from_arrays(ctx, &(tlvk_array_desc){ .x = x, .x_shape = { N, h, w, 3 }, .y = y, .y_shape = { N }, .batch_size = 4 }, &data));
    assert_api(ctx, tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = 2 }, NULL));
    tlvk_dataset_destroy(data);
    free(x);
}

static void copy_weights(const tlvk_model *from, const tlvk_model *to) {
    int n = tlvk__model_variables(from, NULL, NULL, 0);
    tlvk__variable **a = calloc((size_t)n, sizeof(tlvk__variable *)), **b = calloc((size_t)n, sizeof(tlvk__variable *));
    assert_int_equal(tlvk__model_variables(from, a, NULL, n), tlvk__model_variables(to, b, NULL, n));
    for (int i = 0; i < n; i++) assert_int_equal(tlvk__variable_set(b[i], a[i]->values), TLVK_OK);
    free(a);
    free(b);
}

/* A model whose height and width are open trains as models of each fixed size do, one after the other. */
static void test_open_height_and_width(void **state) {
    (void)state;
    static const int64_t sizes[][2] = { { 11, 14 }, { 8, 6 }, { 11, 14 }, { 21, 9 } };
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *open = sized_model(ctx, TLVK_ANY, TLVK_ANY);
    for (size_t i = 0; i < TLVK__COUNT(sizes); i++) {
        tlvk_model *fixed = sized_model(ctx, sizes[i][0], sizes[i][1]);
        const float *values;
        for (int k = 0; k < 2; k++) assert_int_equal(tlvk__variable_values(tlvk_model_find_layer(k ? open : fixed, "conv")->variables[0], &values), TLVK_OK);
        if (i > 0) copy_weights(open, fixed);
        fit_size(ctx, open, sizes[i][0], sizes[i][1]);
        fit_size(ctx, fixed, sizes[i][0], sizes[i][1]);
        assert_same_weights(open, fixed);
        tlvk_model_destroy(fixed);
    }
    tlvk_model_destroy(open);
    tlvk_context_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_loss_is_the_weighted_sum), cmocka_unit_test(test_predict_outputs), cmocka_unit_test(test_gradients_of_two_heads),
        cmocka_unit_test(test_gradient_of_an_output_that_others_read), cmocka_unit_test(test_gradient_of_one_tensor_twice), cmocka_unit_test(test_weight_zero_is_measured_alone),
        cmocka_unit_test(test_cached_outputs_change_nothing), cmocka_unit_test(test_resumed_equals_unbroken), cmocka_unit_test(test_checkpoints_of_other_models),
        cmocka_unit_test(test_history_as_csv),
        cmocka_unit_test(test_a_step_on_arrays_is_a_step_of_fit), cmocka_unit_test(test_what_does_not_fit_is_refused), cmocka_unit_test(test_open_height_and_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
