/* test_training.c - whole trainings on a device: what is frozen keeps its bytes, the cached prefix changes nothing, the same run twice gives the
 * same bits, a run that is broken off and resumed equals the unbroken one, and the loss falls. */
#include "support/nets.h"
#include "weights/weights.h"

#include <stdio.h>

#define SAMPLES 45 /* a tail batch of 13 behind two of 16 */
#define BATCH 16

typedef struct run_desc {
    const char *freeze, *unfreeze;
    tlvk_optimizer optimizer;
    tlvk_cache cache;
    const char *cache_folder, *checkpoint, *resume;
    int epochs, cancel_after;       /* steps; 0: never */
    bool best;
    uint64_t seed;
} run_desc;

typedef struct run_result { tlvk_context *ctx; tlvk_model *model; tlvk_history *history; tlvk_status status; float *before; size_t count; } run_result;

typedef struct canceller { tlvk_context *ctx; int after, steps; } canceller;

static tlvk_verdict count_steps(const tlvk_event *event, void *user) {
    canceller *c = user;
    if (event->kind == TLVK_EVENT_STEP_END && ++c->steps == c->after) tlvk_cancel(c->ctx);
    return TLVK_CONTINUE;
}

static run_result run(const run_desc *d) {
    run_result r = { 0 };
    r.ctx = net_context(d->cache_folder);
    r.model = small_network(r.ctx, 3);
    tlvk_dataset *train = small_data(r.ctx, SAMPLES, BATCH, 1), *val = small_data(r.ctx, 20, BATCH, 2);
    if (d->freeze) assert_api(r.ctx, tlvk_model_set_trainable(r.model, d->freeze, false));
    if (d->unfreeze) assert_api(r.ctx, tlvk_model_set_trainable(r.model, d->unfreeze, true));
    r.before = all_weights(r.model, &r.count);
    assert_api(r.ctx, tlvk_model_compile(r.model, &(tlvk_compile_desc){ .optimizer = d->optimizer, .metrics = { TLVK_ACCURACY } }));
    canceller c = { .ctx = r.ctx, .after = d->cancel_after };
    tlvk_fit_desc fit = { .epochs = d->epochs ? d->epochs : 3, .validation = val, .cache = d->cache, .seed = d->seed, .checkpoint = d->checkpoint, .resume = d->resume,
                          .restore_best_weights = d->best, .callback = count_steps, .callback_user = &c };
    r.status = tlvk_model_fit(r.model, train, &fit, &r.history);
    if (r.status && r.status != TLVK_ERROR_CANCELLED) fail_msg("fit: %s", tlvk_last_error(r.ctx));
    tlvk_dataset_destroy(train);
    tlvk_dataset_destroy(val);
    return r;
}

static void close_run(run_result *r) {
    tlvk_history_destroy(r->history);
    tlvk_model_destroy(r->model);
    tlvk_context_destroy(r->ctx);
    free(r->before);
}

/* Runs both and asserts equal weights and history. */
static void assert_equal_runs(const run_desc *a, const run_desc *b) {
    run_result ra = run(a), rb = run(b);
    assert_same_weights(ra.model, rb.model);
    assert_same_history(ra.history, rb.history);
    close_run(&ra);
    close_run(&rb);
}

static void test_loss_falls(void **state) {
    (void)state;
    run_result r = run(&(run_desc){ .epochs = 12, .optimizer = { .kind = TLVK_ADAM, .learning_rate = 3e-3f } });
    tlvk_logs first, last;
    assert_int_equal(tlvk_history_logs(r.history, 0, &first), TLVK_OK);
    assert_int_equal(tlvk_history_logs(r.history, 11, &last), TLVK_OK);
    assert_true(last.loss < 0.5 * first.loss);
    assert_true(last.accuracy > 0.9);
    assert_true(last.val_accuracy >= 0 && last.val_loss > 0);
    close_run(&r);
}

static void test_same_run_same_bits(void **state) {
    (void)state;
    run_desc d = { .optimizer = { .kind = TLVK_ADAM } };
    assert_equal_runs(&d, &d);
}

static void test_other_seed_other_bits(void **state) {
    (void)state;
    run_result a = run(&(run_desc){ .seed = 1 }), b = run(&(run_desc){ .seed = 2 });
    size_t na, nb;
    float *wa = all_weights(a.model, &na), *wb = all_weights(b.model, &nb);
    assert_true(na == nb && memcmp(wa, wb, na * sizeof *wa) != 0);
    free(wa);
    free(wb);
    close_run(&a);
    close_run(&b);
}

/* Every optimizer with weight decay on: what is frozen keeps its bytes, moving statistics too; what is trained changes. */
static void test_frozen_keeps_its_bytes(void **state) {
    (void)state;
    const tlvk_optimizer optimizers[] = {
        { .kind = TLVK_ADAMW, .weight_decay = 0.1f }, { .kind = TLVK_SGD, .momentum = 0.9f, .weight_decay = 0.1f },
        { .kind = TLVK_RMSPROP, .weight_decay = 0.1f }, { .kind = TLVK_ADAM, .weight_decay = 0.1f, .global_clipnorm = 1 },
    };
    for (size_t k = 0; k < TLVK__COUNT(optimizers); k++) {
        run_result r = run(&(run_desc){ .freeze = "*", .unfreeze = "d*", .epochs = 2, .optimizer = optimizers[k] }); /* depthwise, its norm, dense */
        int n = tlvk__model_variables(r.model, NULL, NULL, 0);
        tlvk__variable **list = calloc((size_t)n + 1, sizeof(tlvk__variable *));
        bool *trainable = calloc((size_t)n + 1, sizeof *trainable);
        tlvk__model_variables(r.model, list, trainable, n);
        size_t at = 0;
        int frozen = 0, moved = 0;
        for (int i = 0; i < n; i++) {
            const float *values;
            assert_int_equal(tlvk__variable_values(list[i], &values), TLVK_OK);
            bool same = memcmp(values, r.before + at, list[i]->elements * sizeof *values) == 0;
            if (trainable[i]) assert_false(same);
            frozen += same;
            moved += !same;
            at += list[i]->elements;
        }
        assert_int_equal(moved, 8);  /* depthwise 2, its norm 4 with statistics, dense 2 */
        assert_int_equal(frozen, 7); /* conv 1, norm 4, conv2 2 */
        free(list);
        free(trainable);
        close_run(&r);
    }
}

static void test_cache_changes_nothing(void **state) {
    (void)state;
    char *folder = temp_path("feature-cache");
    static const char *const unfreeze[] = { "dense", "conv2", "depthwise" };
    for (size_t k = 0; k < TLVK__COUNT(unfreeze); k++) {
        run_desc off = { .freeze = "*", .unfreeze = unfreeze[k], .cache = TLVK_CACHE_OFF }, memory = off, disk = off;
        memory.cache = TLVK_CACHE_MEMORY;
        disk.cache = TLVK_CACHE_DISK;
        disk.cache_folder = folder;
        assert_equal_runs(&off, &memory);
        assert_equal_runs(&off, &disk);
        assert_equal_runs(&off, &disk); /* now from a file that is there */
    }
    free(folder);
}

/* Broken off after each of several steps, also in the middle of an epoch, and resumed: the unbroken run's weights and history, byte for byte. */
static void test_resumed_equals_unbroken(void **state) {
    (void)state;
    char *path = temp_path("checkpoint.bin");
    static const tlvk_cache caches[] = { TLVK_CACHE_OFF, TLVK_CACHE_MEMORY };
    for (size_t k = 0; k < TLVK__COUNT(caches); k++) {
        run_desc whole = { .freeze = k ? "conv" : NULL, .cache = caches[k], .epochs = 4, .best = true,
                           .optimizer = { .kind = TLVK_RMSPROP, .momentum = 0.5f, .schedule = { .kind = TLVK_SCHEDULE_COSINE } } };
        run_result unbroken = run(&whole);
        for (int after = 1; after <= 11; after += 2) {
            run_desc first = whole, second = whole;
            first.checkpoint = path;
            first.cancel_after = after;
            run_result broken = run(&first);
            assert_int_equal(broken.status, TLVK_ERROR_CANCELLED);
            close_run(&broken);
            second.resume = path;
            run_result resumed = run(&second);
            assert_int_equal(resumed.status, TLVK_OK);
            assert_same_weights(unbroken.model, resumed.model);
            assert_same_history(unbroken.history, resumed.history);
            close_run(&resumed);
        }
        close_run(&unbroken);
    }
    tlvk__file_remove(path);
    free(path);
}

static void test_damaged_checkpoint_is_refused(void **state) {
    (void)state;
    char *path = temp_path("damaged.bin");
    run_result r = run(&(run_desc){ .checkpoint = path, .epochs = 1 });
    close_run(&r);
    void *data;
    size_t size;
    assert_int_equal(tlvk__file_read(path, &data, &size, 1 << 26), TLVK_OK);
    for (int k = 0; k < 6; k++) {
        unsigned char *copy = malloc(size);
        memcpy(copy, data, size);
        size_t cut = k < 3 ? size * (size_t)(k + 1) / 4 : size;
        if (k >= 3) copy[size * (size_t)(k - 2) / 4] ^= 0x40;
        assert_int_equal(tlvk__file_replace(path, copy, cut), TLVK_OK);
        free(copy);
        tlvk_context *ctx = net_context(NULL);
        tlvk_model *model = small_network(ctx, 3);
        tlvk_dataset *train = small_data(ctx, SAMPLES, BATCH, 1);
        assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }));
        assert_int_equal(tlvk_model_fit(model, train, &(tlvk_fit_desc){ .epochs = 2, .resume = path }, NULL), TLVK_ERROR_FORMAT);
        assert_non_null(strstr(tlvk_last_error(ctx), path));
        assert_api(ctx, tlvk_model_fit(model, train, &(tlvk_fit_desc){ .epochs = 1 }, NULL)); /* the model is still usable */
        tlvk_dataset_destroy(train);
        tlvk_model_destroy(model);
        tlvk_context_destroy(ctx);
    }
    tlvk__file_remove(path);
    free(data);
    free(path);
}

/* As Keras: a second fit goes on with the optimizer's state, compiling again starts it anew, and neither loses weights. */
static void test_recompiling_keeps_weights(void **state) {
    (void)state;
    run_result r = run(&(run_desc){ .freeze = "*", .unfreeze = "dense", .epochs = 1 });
    size_t n, m;
    float *before = all_weights(r.model, &n);
    assert_api(r.ctx, tlvk_model_set_trainable(r.model, "conv2", true));
    assert_api(r.ctx, tlvk_model_compile(r.model, &(tlvk_compile_desc){ .optimizer = { .learning_rate = 1e-5f }, .metrics = { TLVK_ACCURACY } }));
    float *after = all_weights(r.model, &m);
    assert_true(n == m && memcmp(before, after, n * sizeof *after) == 0);
    tlvk_dataset *train = small_data(r.ctx, SAMPLES, BATCH, 1);
    assert_api(r.ctx, tlvk_model_fit(r.model, train, &(tlvk_fit_desc){ .epochs = 1 }, NULL));
    free(before);
    free(after);
    tlvk_dataset_destroy(train);
    close_run(&r);
}

/* A fit without training data changes gives what evaluate gives. */
static void test_evaluate_agrees_with_validation(void **state) {
    (void)state;
    run_result r = run(&(run_desc){ .epochs = 2 });
    tlvk_dataset *val = small_data(r.ctx, 20, BATCH, 2);
    tlvk_logs logs, last;
    assert_api(r.ctx, tlvk_model_evaluate(r.model, val, &logs));
    assert_int_equal(tlvk_history_logs(r.history, 1, &last), TLVK_OK);
    assert_true(fabs(logs.loss - last.val_loss) < 1e-5 * (1 + fabs(last.val_loss)));
    assert_true(logs.accuracy == last.val_accuracy);
    tlvk_dataset_destroy(val);
    close_run(&r);
}

/* With batch_norm_inference gamma and beta are trained, and the moving statistics keep their bytes. */
static void test_batch_norm_inference(void **state) {
    (void)state;
    for (int inference = 0; inference < 2; inference++) {
        tlvk_context *ctx = net_context(NULL);
        tlvk_model *model = small_network(ctx, 3);
        tlvk_dataset *train = small_data(ctx, SAMPLES, BATCH, 1);
        assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }));
        tlvk_layer *norm = tlvk_model_find_layer(model, "norm");
        float before[4][8], after[4][8];
        for (int i = 0; i < 4; i++) assert_api(ctx, tlvk_layer_get_weight(norm, i, before[i], 8));
        assert_api(ctx, tlvk_model_fit(model, train, &(tlvk_fit_desc){ .epochs = 1, .batch_norm_inference = inference }, NULL));
        for (int i = 0; i < 4; i++) {
            assert_api(ctx, tlvk_layer_get_weight(norm, i, after[i], 8));
            bool same = memcmp(before[i], after[i], sizeof before[i]) == 0;
            assert_int_equal(same, inference && i >= 2); /* gamma, beta, moving_mean, moving_variance */
        }
        tlvk_dataset_destroy(train);
        tlvk_model_destroy(model);
        tlvk_context_destroy(ctx);
    }
}

/* conv - norm - relu6 - depthwise - norm - relu6 - pool - dense without biases; a Dropout of nothing before each norm keeps the planner from
 * taking it into the convolution. */
static tlvk_model *normed_network(tlvk_context *ctx, bool apart) {
    tlvk_set_random_seed(ctx, 5);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 } });
    tlvk_tensor x = tlvk_conv2d(in, &(tlvk_conv2d_desc){ .filters = 6, .kernel_size = { 3 }, .padding = TLVK_SAME, .no_bias = true });
    if (apart) x = tlvk_dropout(x, 0.0f, NULL);
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){ .name = "norm" });
    x = tlvk_relu(x, &(tlvk_relu_desc){ .max_value = 6 });
    x = tlvk_depthwise_conv2d(x, &(tlvk_depthwise_conv2d_desc){ .kernel_size = { 3 }, .no_bias = true });
    if (apart) x = tlvk_dropout(x, 0.0f, NULL);
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){ .name = "depthwise_norm", .no_center = true });
    x = tlvk_activation(x, TLVK_TANH, NULL);
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){ .filters = 70, .kernel_size = { 1 }, .no_bias = true });
    if (apart) x = tlvk_dropout(x, 0.0f, NULL);
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){ .name = "wide_norm", .no_scale = true });
    x = tlvk_global_average_pooling2d(x, NULL);
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = NET_CLASSES, .activation = TLVK_SOFTMAX });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, &model));
    /* Statistics and factors that are not those of a fresh layer. */
    static const char *const norms[] = { "norm", "depthwise_norm", "wide_norm" };
    for (size_t k = 0; k < TLVK__COUNT(norms); k++) {
        tlvk_layer *layer = tlvk_model_find_layer(model, norms[k]);
        for (int i = 0; i < tlvk_layer_weight_count(layer); i++) {
            float values[70];
            size_t n;
            assert_api(ctx, tlvk_layer_weight_info(layer, i, NULL, NULL, NULL, &n));
            for (size_t c = 0; c < n; c++) values[c] = 0.4f + 0.3f * (float)((c * 7 + (size_t)i * 3) % 5);
            assert_api(ctx, tlvk_layer_set_weight(layer, i, values, n));
        }
    }
    return model;
}

/* A trained BatchNormalization in inference mode is taken into the convolution before it; trained apart it gives the same weights within rounding. */
static void test_norm_taken_in(void **state) {
    (void)state;
    float *weights[2];
    double losses[2];
    size_t count[2];
    for (int apart = 0; apart < 2; apart++) {
        tlvk_context *ctx = net_context(NULL);
        tlvk_model *model = normed_network(ctx, apart);
        tlvk_dataset *train = small_data(ctx, SAMPLES, BATCH, 1);
        assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_SGD, .learning_rate = 0.05f }, .metrics = { TLVK_ACCURACY } }));
        tlvk_history *history = NULL;
        tlvk_logs logs;
        assert_api(ctx, tlvk_model_fit(model, train, &(tlvk_fit_desc){ .epochs = 3, .batch_norm_inference = true }, &history));
        assert_int_equal(tlvk_history_logs(history, 2, &logs), TLVK_OK);
        losses[apart] = logs.loss;
        weights[apart] = all_weights(model, &count[apart]);
        tlvk_history_destroy(history);
        tlvk_dataset_destroy(train);
        tlvk_model_destroy(model);
        tlvk_context_destroy(ctx);
    }
    assert_int_equal(count[0], count[1]);
    assert_true(fabs(losses[0] - losses[1]) < 1e-5);
    for (size_t i = 0; i < count[0]; i++) {
        double difference = fabs((double)weights[0][i] - (double)weights[1][i]);
        if (difference > 2e-6) fail_msg("weight %zu: %g taken in, %g apart", i, (double)weights[0][i], (double)weights[1][i]);
    }
    free(weights[0]);
    free(weights[1]);
}

static void test_a_picture_alone_has_the_same_bits(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *model = small_network(ctx, 3);
    float whole[SAMPLES * NET_CLASSES], alone[SAMPLES * NET_CLASSES];
    tlvk_dataset *a = small_data(ctx, SAMPLES, BATCH, 1), *b = small_data(ctx, SAMPLES, 1, 1);
    assert_api(ctx, tlvk_model_predict(model, a, whole, TLVK__COUNT(whole)));
    assert_api(ctx, tlvk_model_predict(model, b, alone, TLVK__COUNT(alone)));
    assert_memory_equal(whole, alone, sizeof whole);
    tlvk_dataset_destroy(a);
    tlvk_dataset_destroy(b);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

/* --- calls within a callback ------------------------------------------------------------------------------------------------------------------ */

typedef struct looker { tlvk_context *ctx; tlvk_model *model; tlvk_dataset *data; bool predicts; int steps; } looker;

/* Cancels at the first step, and then looks at the model all the same. */
static tlvk_verdict cancel_and_look(const tlvk_event *event, void *user) {
    looker *l = user;
    if (event->kind != TLVK_EVENT_STEP_END || l->steps++ > 0) return TLVK_CONTINUE;
    float scores[SAMPLES * NET_CLASSES];
    tlvk_logs logs;
    tlvk_cancel(l->ctx);
    const tlvk_status st = l->predicts ? tlvk_model_predict(l->model, l->data, scores, TLVK__COUNT(scores)) : tlvk_model_evaluate(l->model, l->data, &logs);
    assert_int_equal(st, TLVK_ERROR_CANCELLED);
    return TLVK_CONTINUE;
}

/* What a callback calls does not swallow a tlvk_cancel that is meant for the fit; the next call from outside starts afresh. */
static void test_a_callback_swallows_no_cancel(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *model = small_network(ctx, 3);
    tlvk_dataset *data = small_data(ctx, SAMPLES, BATCH, 1);
    tlvk_logs logs;
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }));
    for (int predicts = 0; predicts < 2; predicts++) {
        looker l = { .ctx = ctx, .model = model, .data = data, .predicts = predicts };
        assert_int_equal(tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = 2, .callback = cancel_and_look, .callback_user = &l }, NULL), TLVK_ERROR_CANCELLED);
        assert_int_equal(l.steps, 2); /* one was under way */
        assert_api(ctx, tlvk_model_evaluate(model, data, &logs));
    }
    assert_api(ctx, tlvk_model_fit(model, data, NULL, NULL));
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

static tlvk_verdict pop_augmentation(const tlvk_event *event, void *user) {
    looker *l = user;
    (void)event;
    assert_int_equal(tlvk_model_pop(l->model), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(l->ctx), "augments a training"));
    l->steps++;
    return TLVK_CONTINUE;
}

/* The augmentation is the fit's while it runs, and may be changed again behind it. */
static void test_augmentation_stays_while_it_is_used(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 } });
    tlvk_tensor x = tlvk_random_flip(tlvk_random_flip(in, TLVK_FLIP_HORIZONTAL, NULL), TLVK_FLIP_VERTICAL, NULL);
    tlvk_model *model = small_network(ctx, 3), *augmentation = NULL;
    tlvk_dataset *data = small_data(ctx, SAMPLES, BATCH, 1);
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .sequential = true, .inputs = { in }, .outputs = { x } }, &augmentation));
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }));
    looker l = { .ctx = ctx, .model = augmentation };
    tlvk_fit_desc fit = { .augmentation = augmentation, .callback = pop_augmentation, .callback_user = &l };
    assert_api(ctx, tlvk_model_fit(model, data, &fit, NULL));
    assert_int_equal(l.steps, 6); /* planned, begin, three steps, end */
    assert_api(ctx, tlvk_model_pop(augmentation));
    fit.callback = NULL;
    assert_api(ctx, tlvk_model_fit(model, data, &fit, NULL));
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_model_destroy(augmentation);
    tlvk_context_destroy(ctx);
}

/* 2^64 scores for each sample: said as what it is, and not as an open shape. */
static void test_more_scores_than_can_be_counted(void **state) {
    (void)state;
    static const int large = 2147483647;
    tlvk_context *ctx = net_context(NULL);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 } });
    tlvk_tensor x = tlvk_zero_padding2d(in, &(tlvk_padding2d_desc){ .top = large, .bottom = large, .left = large, .right = large });
    tlvk_model *model = NULL;
    tlvk_dataset *data = small_data(ctx, 2, 2, 1);
    float score;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, &model));
    assert_int_equal(tlvk_model_predict(model, data, &score, 1), TLVK_ERROR_ARGUMENT);
    if (!strstr(tlvk_last_error(ctx), "(1, 4294967306, 4294967306, 3) has more scores than can be counted")) fail_msg("%s", tlvk_last_error(ctx));
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

#if TLVK_WITH_HDF5
/* As Keras's load_model(file).evaluate: by the loss and the metric that the file was compiled with, whatever its optimizer is. */
static void test_evaluate_by_the_file(void **state) {
    (void)state;
    static const char *const other = "{\"loss\": \"mse\", \"metrics\": [\"categorical_accuracy\"], \"optimizer_config\": {\"class_name\": \"Lion\", \"config\": {}}}";
    tlvk_context *ctx = net_context(NULL);
    char *path = temp_path("evaluated.h5");
    tlvk_model *model = small_network(ctx, 3), *loaded = NULL;
    tlvk_dataset *data = small_data(ctx, 20, 8, 4);
    tlvk_logs plain, smoothed, squared, seen;
    assert_api(ctx, tlvk_model_evaluate(model, data, &plain));
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .loss = { TLVK_MEAN_SQUARED_ERROR, false, 0 }, .metrics = { TLVK_ACCURACY } }));
    assert_api(ctx, tlvk_model_evaluate(model, data, &squared));
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .loss = { TLVK_CATEGORICAL_CROSSENTROPY, false, 0.2f }, .metrics = { TLVK_ACCURACY } }));
    assert_api(ctx, tlvk_model_evaluate(model, data, &smoothed));
    assert_true(fabs(smoothed.loss - plain.loss) > 1e-3 && fabs(squared.loss - plain.loss) > 1e-3);
    assert_api(ctx, tlvk_model_save(model, path));
    assert_api(ctx, tlvk_model_load(ctx, path, &loaded));
    assert_api(ctx, tlvk_model_evaluate(loaded, data, &seen));
    assert_true(seen.loss == smoothed.loss && seen.accuracy == smoothed.accuracy);
    tlvk__training_take(loaded, other, false);
    assert_api(ctx, tlvk_model_evaluate(loaded, data, &seen));
    assert_true(seen.loss == squared.loss && seen.accuracy == squared.accuracy);
    assert_int_equal(tlvk_model_fit(loaded, data, &(tlvk_fit_desc){ .epochs = 1 }, NULL), TLVK_ERROR_ARGUMENT);
    tlvk__file_remove(path);
    free(path);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(loaded);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss_falls), cmocka_unit_test(test_same_run_same_bits), cmocka_unit_test(test_other_seed_other_bits),
        cmocka_unit_test(test_frozen_keeps_its_bytes), cmocka_unit_test(test_cache_changes_nothing), cmocka_unit_test(test_resumed_equals_unbroken),
        cmocka_unit_test(test_damaged_checkpoint_is_refused), cmocka_unit_test(test_recompiling_keeps_weights),
        cmocka_unit_test(test_evaluate_agrees_with_validation), cmocka_unit_test(test_batch_norm_inference), cmocka_unit_test(test_norm_taken_in), cmocka_unit_test(test_a_picture_alone_has_the_same_bits),
        cmocka_unit_test(test_a_callback_swallows_no_cancel), cmocka_unit_test(test_augmentation_stays_while_it_is_used),
        cmocka_unit_test(test_more_scores_than_can_be_counted),
#if TLVK_WITH_HDF5
        cmocka_unit_test(test_evaluate_by_the_file),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
