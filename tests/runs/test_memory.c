/* Device memory: steps that recompute have the whole step's bits, steps in parts its gradients, the predicted peak is the measured one, and nothing
 * grows with the epochs. */
#include "support/nets.h"
#include "train/session_internal.h"

#define SAMPLES 45
#define BATCH 20
#define UNIT 0x1p-24

static tlvk_context *limited(uint64_t bytes) {
    tlvk_context *ctx = NULL;
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = "", .memory_limit = bytes }, &ctx), TLVK_OK);
    return ctx;
}

/* Convolutions with BatchNormalization in blocks with a way around, Dropout between them. */
static tlvk_model *deep_network(tlvk_context *ctx) {
    tlvk_set_random_seed(ctx, 3);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 } });
    tlvk_tensor x = tlvk_conv2d(in, &(tlvk_conv2d_desc){ .filters = 8, .kernel_size = { 3 }, .padding = TLVK_SAME });
    for (int i = 0; i < 5; i++) {
        tlvk_tensor around = x;
        x = tlvk_batch_normalization(x, NULL);
        x = tlvk_activation(x, TLVK_SWISH, NULL);
        x = tlvk_conv2d(x, &(tlvk_conv2d_desc){ .filters = 8, .kernel_size = { 3 }, .padding = TLVK_SAME, .no_bias = true });
        x = tlvk_batch_normalization(x, NULL);
        x = tlvk_relu(x, NULL);
        x = tlvk_dropout(x, 0.2f, NULL);
        x = tlvk_add((tlvk_tensor[]){ around, x }, 2, NULL);
    }
    x = tlvk_max_pooling2d(x, &(tlvk_pooling2d_desc){ 0 });
    x = tlvk_dense(tlvk_flatten(x, NULL), &(tlvk_dense_desc){ .units = NET_CLASSES, .activation = TLVK_SOFTMAX });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, &model));
    return model;
}

typedef struct job { const char *checkpoint, *resume; int epochs; bool inference, deep; tlvk_memory memory; char text[512]; } job;

/* A fit within `limit` (0: none) from the same first weights; the model and history are the caller's. */
static tlvk_status fit(job *j, uint64_t limit, tlvk_context **ctx, tlvk_model **model, tlvk_history **history) {
    *ctx = limited(limit);
    *model = j->deep ? deep_network(*ctx) : small_network(*ctx, 3);
    tlvk_dataset *data = small_data(*ctx, SAMPLES, BATCH, 1);
    assert_api(*ctx, tlvk_model_compile(*model, &(tlvk_compile_desc){ .optimizer = { .global_clipnorm = 0.5f }, .metrics = { TLVK_ACCURACY } }));
    const float weights[NET_CLASSES] = { 1, 2, 0.5f };
    tlvk_fit_desc desc = { .epochs = j->epochs, .batch_norm_inference = j->inference, .checkpoint = j->checkpoint, .resume = j->resume, .seed = 5,
                           .class_weight = weights, .class_weight_count = NET_CLASSES };
    tlvk_status st = tlvk_model_fit(*model, data, &desc, history);
    if (st) snprintf(j->text, sizeof j->text, "%s", tlvk_last_error(*ctx));
    else assert_api(*ctx, tlvk_model_memory(*model, &j->memory));
    tlvk_dataset_destroy(data);
    return st;
}

static void drop(tlvk_context *ctx, tlvk_model *model, tlvk_history *history) {
    tlvk_history_destroy(history);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

/* BatchNormalization trains and Dropout draws; smaller and smaller limits, until the step is refused. */
static void test_recomputed_steps_have_the_same_bits(void **state) {
    (void)state;
    tlvk_context *ctx, *other = net_context(NULL);
    tlvk_model *whole, *model;
    tlvk_history *whole_history, *history;
    tlvk_context_destroy(other);
    job j = { .epochs = 2, .deep = true };
    assert_int_equal(fit(&j, 0, &ctx, &whole, &whole_history), TLVK_OK);
    assert_int_equal(j.memory.recomputed, 0);
    assert_int_equal(j.memory.micro_batches, 1);
    uint64_t all = j.memory.predicted_bytes;
    int most = 0;
    tlvk_status st = TLVK_OK;
    for (int percent = 100; !st && percent > 20; percent -= 5) {
        st = fit(&j, all * (uint64_t)percent / 100, &other, &model, &history);
        if (!st) {
            assert_int_equal(j.memory.micro_batches, 1);
            assert_true(j.memory.recomputed > 0 || percent == 100);
            assert_true(j.memory.measured_bytes <= all * (uint64_t)percent / 100);
            most = TLVK__MAX(most, j.memory.recomputed);
            assert_same_weights(whole, model);
            assert_same_history(whole_history, history);
        }
        drop(other, model, history);
    }
    assert_true(most > 10);
    assert_int_equal(st, TLVK_ERROR_MEMORY);
    print_message("up to %d operations twice; then: %s\n", most, j.text);
    assert_non_null(strstr(j.text, "takes statistics of the whole batch"));
    assert_non_null(strstr(j.text, "the largest batch that fits is "));
    drop(ctx, whole, whole_history);
}

/* --- parts --------------------------------------------------------------------------------------------------------------------------------- */

typedef struct gradients { double *sum, *sizes; size_t count; float loss; int parts; } gradients;

static void add_gradients(tlvk__session *s, gradients *g, double share) {
    tlvk__variable *v;
    size_t at = 0;
    for (int i = 0; tlvk__session_trained(s, i, &v); i++) at += v->elements;
    if (!g->sum) {
        g->count = at;
        g->sum = calloc(at, sizeof *g->sum);
        g->sizes = calloc(at, sizeof *g->sizes);
    }
    at = 0;
    for (int i = 0; tlvk__session_trained(s, i, &v); i++) {
        float *dense = malloc(v->elements * sizeof *dense);
        assert_int_equal(tlvk__session_read_gradient(s, i, dense), TLVK_OK);
        for (size_t k = 0; k < v->elements; k++, at++) {
            g->sum[at] += share * (double)dense[k];
            g->sizes[at] += share * fabs((double)dense[k]);
        }
        free(dense);
    }
}

/* Gradients of samples first to first + n, weighted, without an update. */
static void run_step(tlvk__session *s, int64_t first, int64_t n, double share, gradients *g) {
    tlvk__runner *runner = NULL;
    tlvk__shape input = { .rank = 4, .dim = { n, NET_SIDE, NET_SIDE, 3 } };
    size_t pixels = NET_SIDE * NET_SIDE * 3;
    float *x = malloc((size_t)BATCH * pixels * sizeof *x), y[BATCH];
    tlvk__rng rng;
    tlvk__rng_seed(&rng, 9, 9);
    for (size_t i = 0; i < BATCH * pixels; i++) x[i] = (float)tlvk__rng_uniform(&rng) - 0.5f;
    for (int i = 0; i < BATCH; i++) y[i] = (float)(i % NET_CLASSES);
    if (tlvk__session_runner(s, TLVK__WHOLE, TLVK__PLAN_TRAIN, &input, &runner)) fail_msg("%s", tlvk__fail_text());
    tlvk__runner_put_input(runner, 0, 0, x + (size_t)first * pixels);
    tlvk__runner_put_target(runner, 0, 0, y + first);
    for (int64_t i = 0; i < n; i++) tlvk__runner_put_sample_weight(runner, 0, i, 0.5f + (float)((first + i) % 4));
    memset(tlvk__runner_params(runner, 0), 0, sizeof(tlvk__step_params));
    if (tlvk__runner_submit(runner, 0) || tlvk__runner_wait(runner, 0)) fail_msg("%s", tlvk__fail_text());
    g->loss += tlvk__runner_metrics(runner, 0)[TLVK__METRIC_LOSS];
    g->parts = tlvk__runner_parts(runner);
    add_gradients(s, g, share);
    free(x);
}

static tlvk__session *open_session(tlvk_model *model, uint64_t budget) {
    tlvk__session_desc desc = { .training = true, .batch_norm_inference = true, .inputs = { { .rank = 4, .dim = { BATCH, NET_SIDE, NET_SIDE, 3 } } },
                                .objectives = { { .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, .metric = TLVK_SPARSE_CATEGORICAL_ACCURACY, .weight = 1 } } };
    tlvk__session *s = NULL;
    assert_int_equal(tlvk__optimizer_resolve(&(tlvk_optimizer){ .kind = TLVK_SGD }, &desc.optimizer), TLVK_OK);
    if (tlvk__session_create(model, &desc, &s)) fail_msg("%s", tlvk__fail_text());
    s->no_update = true;
    s->budget_bytes = budget;
    return s;
}

static void free_gradients(gradients *g) {
    free(g->sum);
    free(g->sizes);
}

/* Dropout draws by a sample's place in the batch, so single samples tell the sizes of what is summed without it only; the bound takes them with the
 * scale of what is kept. A sum of K products is off by about u * sqrt(K) * (sum of their sizes). */
static void test_gradients_of_parts(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *model = small_network(ctx, 3);
    tlvk__session *s = open_session(model, 0);
    gradients whole = { 0 }, single = { 0 };
    run_step(s, 0, BATCH, 1, &whole);
    uint64_t all = tlvk__plan_arena_bytes(s->runners[0]->parts.plan);
    for (int64_t i = 0; i < BATCH; i++) run_step(s, i, 1, 1.0 / BATCH, &single);
    tlvk__session_destroy(s);
    int tried = 0;
    for (int percent = 60; percent >= 10; percent -= 10) {
        s = open_session(model, all * (uint64_t)percent / 100);
        gradients parts = { 0 };
        run_step(s, 0, BATCH, 1, &parts);
        double worst = 0;
        for (size_t i = 0; i < whole.count; i++) {
            double bound = 4 * UNIT * sqrt((double)(BATCH * NET_SIDE * NET_SIDE)) * (single.sizes[i] + fabs(whole.sum[i]) + 1e-3);
            worst = fmax(worst, fabs(parts.sum[i] - whole.sum[i]) / bound);
        }
        print_message("%d %% of %llu bytes: %d parts, %.3g of the bound\n", percent, (unsigned long long)all, parts.parts, worst);
        assert_true(worst <= 1);
        assert_true(fabs((double)(parts.loss - whole.loss)) < 16 * UNIT * (double)whole.loss);
        tried += parts.parts > 1;
        free_gradients(&parts);
        tlvk__session_destroy(s);
    }
    assert_true(tried >= 3);
    free_gradients(&whole);
    free_gradients(&single);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

/* Whole fits in parts: tail batch, class weights, clipping by the global norm; broken off and resumed they equal the unbroken run. */
static void test_fits_in_parts(void **state) {
    (void)state;
    tlvk_context *ctx, *other = net_context(NULL);
    tlvk_model *whole, *model;
    tlvk_history *whole_history, *history;
    tlvk_context_destroy(other);
    job j = { .epochs = 4, .inference = true };
    assert_int_equal(fit(&j, 0, &ctx, &whole, &whole_history), TLVK_OK);
    uint64_t limit = j.memory.predicted_bytes;
    tlvk_logs a, b;
    assert_int_equal(tlvk_history_logs(whole_history, 0, &a), TLVK_OK);
    drop(ctx, whole, whole_history);
    for (j.memory.micro_batches = 1; j.memory.micro_batches < 3; limit -= limit / 20) {
        if (fit(&j, limit, &ctx, &whole, &whole_history)) fail_msg("%s", j.text);
        assert_true(j.memory.measured_bytes <= limit);
        if (j.memory.micro_batches < 3) drop(ctx, whole, whole_history);
    }
    limit = j.memory.limit_bytes;
    assert_int_equal(tlvk_history_logs(whole_history, 0, &b), TLVK_OK);
    print_message("%d parts: loss %.9g, whole %.9g\n", j.memory.micro_batches, b.loss, a.loss);
    assert_true(fabs(a.loss - b.loss) < 1e-5 * a.loss);
    assert_true(a.samples == b.samples);
    char *path = temp_path("memory.checkpoint");
    job first = { .epochs = 2, .inference = true, .checkpoint = path }, rest = { .epochs = 4, .inference = true, .resume = path };
    assert_int_equal(fit(&first, limit, &other, &model, &history), TLVK_OK);
    drop(other, model, history);
    assert_int_equal(fit(&rest, limit, &other, &model, &history), TLVK_OK);
    assert_int_equal(rest.memory.micro_batches, j.memory.micro_batches);
    assert_same_weights(whole, model);
    assert_same_history(whole_history, history);
    remove(path);
    free(path);
    drop(other, model, history);
    drop(ctx, whole, whole_history);
}

/* A forward pass in parts has the bits of the whole. */
static void test_predictions_in_parts(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL), *small;
    float whole[SAMPLES * NET_CLASSES], parts[SAMPLES * NET_CLASSES];
    tlvk_model *model = small_network(ctx, 3);
    tlvk_dataset *data = small_data(ctx, SAMPLES, SAMPLES, 1);
    uint64_t peak;
    assert_api(ctx, tlvk_model_predict(model, data, whole, TLVK__COUNT(whole)));
    tlvk__device_memory_use(net_device(ctx), NULL, &peak);
    tlvk_dataset_destroy(data);
    drop(ctx, model, NULL);
    small = limited(peak * 3 / 4);
    model = small_network(small, 3);
    data = small_data(small, SAMPLES, SAMPLES, 1);
    assert_api(small, tlvk_model_predict(model, data, parts, TLVK__COUNT(parts)));
    assert_memory_equal(whole, parts, sizeof whole);
    tlvk_dataset_destroy(data);
    drop(small, model, NULL);
}

/* --- what is foretold, and what stays --------------------------------------------------------------------------------------------------------- */

typedef struct watch { tlvk_context *ctx; const tlvk_model *model; tlvk_memory planned; uint64_t now, host; int planned_events, epochs; bool nothing_yet; } watch;

/* Resident bytes of this process; 0 where the system does not tell. */
static uint64_t host_bytes(void) {
    unsigned long long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0;
    if (fscanf(f, "%llu %llu", &size, &resident) != 2) resident = 0;
    fclose(f);
    return resident * 4096;
}

static tlvk_verdict look(const tlvk_event *event, void *user) {
    watch *w = user;
    uint64_t now;
    tlvk__device_memory_use(net_device(w->ctx), &now, NULL);
    if (event->kind == TLVK_EVENT_PLANNED) {
        assert_int_equal(tlvk_model_memory(w->model, &w->planned), TLVK_OK);
        w->planned_events++;
        w->nothing_yet = now == 0;
    }
    if (event->kind != TLVK_EVENT_EPOCH_END) return TLVK_CONTINUE;
    if (event->epoch == 3) {
        w->now = now;
        w->host = host_bytes();
    }
    if (event->epoch > 3) assert_true(now == w->now);
    w->epochs++;
    return TLVK_CONTINUE;
}

static void foretell(const char *freeze, tlvk_cache cache, int epochs) {
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *model = small_network(ctx, 3);
    tlvk_dataset *data = small_data(ctx, SAMPLES, BATCH, 1), *val = small_data(ctx, SAMPLES / 2, BATCH, 2);
    if (freeze) assert_api(ctx, tlvk_model_set_trainable(model, freeze, false));
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }));
    watch w = { .ctx = ctx, .model = model };
    assert_api(ctx, tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = epochs, .validation = val, .cache = cache, .callback = look, .callback_user = &w }, NULL));
    tlvk_memory m;
    assert_api(ctx, tlvk_model_memory(model, &m));
    assert_int_equal(w.planned_events, 1);
    assert_true(w.nothing_yet);
    assert_int_equal(w.epochs, epochs);
    assert_true(m.predicted_bytes == w.planned.predicted_bytes);
    double share = (double)m.measured_bytes / (double)w.planned.predicted_bytes;
    print_message("%s: predicted %llu, measured %llu bytes\n", freeze ? freeze : "all", (unsigned long long)w.planned.predicted_bytes, (unsigned long long)m.measured_bytes);
    assert_true(share > 0.97 && share < 1.0001);
    if (w.host) assert_true(host_bytes() < w.host + (512 << 10));
    tlvk_dataset_destroy(val);
    tlvk_dataset_destroy(data);
    drop(ctx, model, NULL);
}

static void test_foretold(void **state) {
    (void)state;
    foretell(NULL, TLVK_CACHE_MEMORY, 40);
    foretell(":5", TLVK_CACHE_MEMORY, 40);
    foretell(":5", TLVK_CACHE_OFF, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recomputed_steps_have_the_same_bits), cmocka_unit_test(test_gradients_of_parts), cmocka_unit_test(test_fits_in_parts),
        cmocka_unit_test(test_predictions_in_parts), cmocka_unit_test(test_foretold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
