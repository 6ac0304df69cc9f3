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

/* Its lowest layer takes statistics of the batch and has nothing to train: no backward of its own, and an output that another backward reads. */
static tlvk_model *bare_network(tlvk_context *ctx) {
    tlvk_set_random_seed(ctx, 3);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 } });
    tlvk_tensor x = tlvk_batch_normalization(in, &(tlvk_batch_normalization_desc){ .no_center = true, .no_scale = true });
    const tlvk_conv2d_desc narrow = { .filters = 8, .kernel_size = { 1 }, .strides = { 2 } };
    x = tlvk_add((tlvk_tensor[]){ tlvk_conv2d(in, &narrow), tlvk_conv2d(x, &narrow) }, 2, NULL); /* the input stays, so that the layer's output need not */
    for (int i = 0; i < 6; i++) x = tlvk_activation(tlvk_conv2d(x, &(tlvk_conv2d_desc){ .filters = 8, .kernel_size = { 1 } }), TLVK_SWISH, NULL);
    x = tlvk_dense(tlvk_global_average_pooling2d(x, NULL), &(tlvk_dense_desc){ .units = NET_CLASSES, .activation = TLVK_SOFTMAX });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, &model));
    return model;
}

typedef struct job {
    tlvk_model *(*network)(tlvk_context *ctx); /* NULL: the small one */
    const char *checkpoint, *resume;
    int epochs;
    bool inference;
    tlvk_memory memory;
    char text[512];
} job;

/* A fit within `limit` (0: none) from the same first weights; the model and history are the caller's. */
static tlvk_status fit(job *j, uint64_t limit, tlvk_context **ctx, tlvk_model **model, tlvk_history **history) {
    *ctx = limited(limit);
    *model = j->network ? j->network(*ctx) : small_network(*ctx, 3);
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

/* Smaller and smaller limits, until the step is refused; how many operations were done twice at most. */
static int same_bits_within_limits(tlvk_model *(*network)(tlvk_context *ctx)) {
    tlvk_context *ctx, *other = net_context(NULL);
    tlvk_model *whole, *model;
    tlvk_history *whole_history, *history;
    tlvk_context_destroy(other);
    job j = { .epochs = 2, .network = network };
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
    assert_int_equal(st, TLVK_ERROR_MEMORY);
    print_message("up to %d operations twice; then: %s\n", most, j.text);
    assert_non_null(strstr(j.text, "takes statistics of the whole batch"));
    assert_non_null(strstr(j.text, "the largest batch that fits is "));
    drop(ctx, whole, whole_history);
    return most;
}

/* BatchNormalization trains and Dropout draws. */
static void test_recomputed_steps_have_the_same_bits(void **state) {
    (void)state;
    assert_true(same_bits_within_limits(deep_network) > 10);
    assert_true(same_bits_within_limits(bare_network) > 0);
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
    for (int percent = 60; percent >= 20; percent -= 10) {
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
    drop(other, model, history);
    assert_int_equal(fit(&rest, 0, &other, &model, &history), TLVK_OK); /* where there would be room for the whole batch by now */
    assert_int_equal(rest.memory.micro_batches, j.memory.micro_batches);
    assert_same_weights(whole, model);
    assert_same_history(whole_history, history);
    remove(path);
    free(path);
    drop(other, model, history);
    drop(ctx, whole, whole_history);
}

/* Whether a training batch of the model's last fit is in parts of which the last, smaller one takes more memory: it fitted without doing anything twice. */
static bool last_part_is_larger(const tlvk_model *model) {
    const tlvk__session *s = model->training->session;
    for (int i = 0; i < s->runner_count; i++) {
        const tlvk__parts *p = &s->runners[i]->parts;
        if (s->runners[i]->mode == TLVK__PLAN_TRAIN && p->last && tlvk__plan_block_bytes(p->last, 0) > tlvk__plan_block_bytes(p->plan, 0)) return true;
    }
    return false;
}

/* The arena has room for all parts before the first takes its place in it. */
static void test_last_part_is_larger(void **state) {
    (void)state;
    tlvk_context *ctx = NULL;
    tlvk_model *model = NULL;
    tlvk_history *history = NULL;
    job j = { .epochs = 1, .inference = true, .network = deep_network };
    assert_int_equal(fit(&j, 0, &ctx, &model, &history), TLVK_OK);
    uint64_t all = j.memory.predicted_bytes;
    bool found = false;
    for (uint64_t percent = 70; !found; percent--) {
        drop(ctx, model, history);
        if (fit(&j, all * percent / 100, &ctx, &model, &history)) fail_msg("no such limit: %s", j.text);
        found = last_part_is_larger(model);
        if (found) print_message("%d parts within %d %%\n", j.memory.micro_batches, (int)percent);
    }
    drop(ctx, model, history);
}

/* Where activations lie in several blocks, each as large as the most that any runner wants of it, all of them together stay within the limit. */
static void test_blocks_together(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk__caps caps = *tlvk__device_caps(net_device(ctx));
    tlvk_context_destroy(ctx);
    caps.max_allocation_bytes = 96 << 10;
    ctx = net_context_on(&(tlvk__device_desc){ .limit = &caps });
    tlvk_model *model = deep_network(ctx);
    tlvk_memory memory;
    uint64_t budget = 0;
    int kept = 0, refused = 0, divided = 0;
    for (int percent = 100; percent > 10; percent -= 3) {
        tlvk__session *s = open_session(model, budget * (uint64_t)percent / 100);
        tlvk__shape input = { .rank = 4, .dim = { BATCH, NET_SIDE, NET_SIDE, 3 } };
        assert_int_equal(tlvk__session_expect(s, TLVK__WHOLE, TLVK__PLAN_TRAIN, &input), TLVK_OK);
        input.dim[0] = 3 * BATCH;
        assert_int_equal(tlvk__session_expect(s, TLVK__WHOLE, TLVK__PLAN_EVALUATE, &input), TLVK_OK);
        tlvk_status st = tlvk__session_plan_memory(s);
        tlvk__session_memory(s, &memory);
        if (!budget) budget = memory.activations_bytes;
        else if (!st) assert_true(memory.activations_bytes <= budget * (uint64_t)percent / 100);
        kept += !st;
        refused += st != TLVK_OK;
        divided += memory.micro_batches > 1;
        tlvk__session_destroy(s);
    }
    print_message("%d limits kept, %d too small, %d with the batch in parts\n", kept, refused, divided);
    assert_true(kept > 10 && divided > 3);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

static int64_t planned_part(tlvk__session *s, int64_t batch) {
    tlvk__shape input = { .rank = 4, .dim = { batch, NET_SIDE, NET_SIDE, 3 } };
    assert_int_equal(tlvk__session_expect(s, TLVK__WHOLE, TLVK__PLAN_TRAIN, &input), TLVK_OK);
    if (tlvk__session_plan_memory(s)) fail_msg("%s", tlvk__fail_text());
    return tlvk__session_part_samples(s, batch);
}

/* How a fit's batches are cut does not depend on the fits that were before it in the session, nor on what one of them was resumed from. */
static void test_fits_apart(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *model = small_network(ctx, 3);
    tlvk__session *s = open_session(model, 0);
    tlvk_memory memory;
    planned_part(s, BATCH);
    tlvk__session_memory(s, &memory);
    uint64_t budget = memory.activations_bytes * 60 / 100;
    tlvk__session_destroy(s);
    int64_t fresh[BATCH + 1], smaller = 0;
    for (int64_t n = 1; n <= BATCH; n++) {
        s = open_session(model, budget);
        fresh[n] = planned_part(s, n);
        tlvk__session_destroy(s);
    }
    s = open_session(model, budget);
    for (int64_t n = BATCH; n > 0; n--) {
        assert_int_equal(planned_part(s, n), fresh[n]);
        smaller += fresh[n] > fresh[BATCH];
    }
    print_message("parts of %d for %d, %d smaller batches in larger parts by themselves\n", (int)fresh[BATCH], BATCH, (int)smaller);
    assert_true(fresh[BATCH] < BATCH && smaller > 0); /* there is a batch that was cut smaller as a tail than by itself */
    assert_int_equal(planned_part(s, BATCH), fresh[BATCH]);
    if (tlvk__session_go_on(s, NULL, 1)) fail_msg("%s", tlvk__fail_text());
    assert_int_equal(tlvk__session_part_samples(s, BATCH), 1);
    assert_int_equal(planned_part(s, BATCH), fresh[BATCH]);
    tlvk__session_destroy(s);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
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

#if defined __SANITIZE_ADDRESS__ /* gcc */
#define KEEPS_FREED true
#elif defined __has_feature
#define KEEPS_FREED __has_feature(address_sanitizer)
#else
#define KEEPS_FREED false
#endif

/* Resident bytes of this process; 0 where the system does not tell, or where a sanitizer keeps what was freed. */
static uint64_t host_bytes(void) {
    unsigned long long size, resident = 0;
    FILE *f = KEEPS_FREED ? NULL : fopen("/proc/self/statm", "r");
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

/* --- what fails -------------------------------------------------------------------------------------------------------------------------------- */

typedef struct hog { tlvk_context *ctx; uint64_t bytes; tlvk__buffer *buffer; int steps; } hog;

/* Takes memory after the fit has been planned, so that one of the fit's own allocations finds none. */
static tlvk_verdict take_memory(const tlvk_event *event, void *user) {
    hog *h = user;
    h->steps += event->kind == TLVK_EVENT_STEP_END;
    if (event->kind != TLVK_EVENT_PLANNED || h->bytes == 0) return TLVK_CONTINUE;
    if (tlvk__buffer_create(net_device(h->ctx), TLVK__BUFFER_DEVICE, h->bytes, "a test's", &h->buffer)) fail_msg("%s", tlvk__fail_text());
    return TLVK_CONTINUE;
}

static tlvk_status fit_beside(hog *h, tlvk_model *model, tlvk_dataset *data, uint64_t bytes, tlvk_history **history) {
    h->bytes = bytes;
    h->steps = 0;
    tlvk_status st = tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = 2, .seed = 5, .callback = take_memory, .callback_user = h }, history);
    tlvk__buffer_destroy(h->buffer);
    h->buffer = NULL;
    return st;
}

/* Whichever allocation of a fit fails, weights are as before, and the next fit does all; where it is the first to do a step, it equals one that never
 * failed. The last allocations are those that bring the weights back, when steps have been done on the device. */
static void test_allocations_that_fail(void **state) {
    (void)state;
    enum { ROUNDS = 24, WHOLE_BATCHES = 2 * BATCH };
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *whole = small_network(ctx, 3);
    tlvk_dataset *data = small_data(ctx, WHOLE_BATCHES, BATCH, 1);
    tlvk_history *whole_history;
    tlvk_memory m;
    hog h = { .ctx = ctx };
    assert_api(ctx, tlvk_model_compile(whole, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }));
    assert_api(ctx, fit_beside(&h, whole, data, 0, &whole_history));
    assert_api(ctx, tlvk_model_memory(whole, &m));
    tlvk_dataset_destroy(data);
    int failed = 0;
    for (int i = 0; i < ROUNDS; i++) {
        tlvk_context *other = limited(m.predicted_bytes);
        tlvk_model *model = small_network(other, 3);
        data = small_data(other, WHOLE_BATCHES, BATCH, 1);
        tlvk_history *history = NULL;
        uint64_t now;
        size_t count;
        h.ctx = other;
        assert_api(other, tlvk_model_compile(model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }));
        float *before = all_weights(model, &count);
        tlvk_status st = fit_beside(&h, model, data, m.predicted_bytes * (uint64_t)(ROUNDS - i) / ROUNDS, &history);
        float *after = all_weights(model, &count);
        tlvk_history_destroy(history);
        if (st) {
            bool untouched = h.steps == 0;
            assert_int_equal(st, TLVK_ERROR_MEMORY);
            assert_non_null(strstr(tlvk_last_error(other), "bytes"));
            assert_memory_equal(before, after, count * sizeof *after);
            assert_api(other, fit_beside(&h, model, data, 0, &history));
            if (untouched) {
                assert_same_weights(whole, model);
                assert_same_history(whole_history, history);
            }
            tlvk_history_destroy(history);
            failed += untouched;
        }
        free(before);
        free(after);
        tlvk_dataset_destroy(data);
        tlvk_model_destroy(model);
        tlvk__device_memory_use(net_device(other), &now, NULL);
        assert_true(now == 0);
        tlvk_context_destroy(other);
    }
    print_message("%d of %d fits failed before their first step\n", failed, ROUNDS);
    assert_true(failed > ROUNDS / 2);
    drop(ctx, whole, whole_history);
}

/* The residents fail half way, at each share of them; what was there is given back, and the same runner goes on as soon as there is memory. */
static void test_residents_that_fail(void **state) {
    (void)state;
    enum { ROUNDS = 12 };
    tlvk_context *ctx = net_context(NULL);
    tlvk_context_destroy(ctx);
    ctx = limited(UINT64_C(16) << 20);
    tlvk__device *device = net_device(ctx);
    tlvk_model *model = small_network(ctx, 3);
    tlvk__shape input = { .rank = 4, .dim = { BATCH, NET_SIDE, NET_SIDE, 3 } };
    for (int i = 0; i < ROUNDS; i++) {
        tlvk__session *s = open_session(model, 0);
        tlvk__runner *runner = NULL;
        uint64_t weights, sums, slots, before, now;
        if (tlvk__session_runner(s, TLVK__WHOLE, TLVK__PLAN_TRAIN, &input, &runner)) fail_msg("%s", tlvk__fail_text());
        tlvk__residents_bytes(&s->residents, &weights, &sums, &slots);
        tlvk__device_memory_use(device, &before, NULL);
        hog h = { .ctx = ctx, .bytes = tlvk__device_caps(device)->memory_bytes - before - (weights + sums + slots) * (uint64_t)i / ROUNDS };
        assert_int_equal(tlvk__buffer_create(device, TLVK__BUFFER_DEVICE, h.bytes, "a test's", &h.buffer), TLVK_OK);
        assert_int_equal(tlvk__runner_submit(runner, 0), TLVK_ERROR_MEMORY);
        tlvk__buffer_destroy(h.buffer);
        tlvk__device_memory_use(device, &now, NULL);
        assert_true(now == before);
        if (tlvk__runner_submit(runner, 0) || tlvk__runner_wait(runner, 0)) fail_msg("%s", tlvk__fail_text());
        tlvk__session_destroy(s);
        tlvk__device_memory_use(device, &now, NULL);
        assert_true(now == 0);
    }
    drop(ctx, model, NULL);
}

/* A batch that is refused takes nothing away: the optimizer goes on with what it remembers. */
static void test_refused_between_fits(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *models[2];
    tlvk_history *histories[2];
    job j = { .epochs = 1 };
    tlvk_context_destroy(ctx);
    assert_int_equal(fit(&j, 0, &ctx, &models[0], &histories[0]), TLVK_OK);
    drop(ctx, models[0], histories[0]);
    tlvk_context *contexts[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fit(&j, j.memory.predicted_bytes, &contexts[i], &models[i], &histories[i]), TLVK_OK);
        tlvk_dataset *large = small_data(contexts[i], 40 * SAMPLES, 40 * SAMPLES, 1), *data = small_data(contexts[i], SAMPLES, BATCH, 1);
        if (i) assert_int_equal(tlvk_model_fit(models[i], large, NULL, NULL), TLVK_ERROR_MEMORY);
        assert_api(contexts[i], tlvk_model_fit(models[i], data, NULL, NULL));
        tlvk_dataset_destroy(data);
        tlvk_dataset_destroy(large);
    }
    assert_same_weights(models[0], models[1]);
    for (int i = 0; i < 2; i++) drop(contexts[i], models[i], histories[i]);
}

/* A fit that is refused leaves a model that can be saved, frozen and trained in the memory there is. */
static void test_refused_then_frozen(void **state) {
    (void)state;
    const uint64_t limit = UINT64_C(3) << 20;
    tlvk_context *ctx = net_context(NULL);
    tlvk_context_destroy(ctx);
    ctx = limited(limit);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 } });
    tlvk_tensor x = tlvk_flatten(in, NULL);
    for (int i = 0; i < 2; i++) x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 430, .activation = TLVK_RELU });
    tlvk_model *model = NULL;
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = NET_CLASSES, .activation = TLVK_SOFTMAX });
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, &model));
    tlvk_dataset *data = small_data(ctx, SAMPLES, BATCH, 1);
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }));
    assert_int_equal(tlvk_model_fit(model, data, NULL, NULL), TLVK_ERROR_MEMORY);
    print_message("%s\n", tlvk_last_error(ctx));
    assert_non_null(strstr(tlvk_last_error(ctx), "no batch fits"));
    char *path = temp_path("refused.h5");
    assert_api(ctx, tlvk_model_save(model, path));
    remove(path);
    free(path);
    assert_api(ctx, tlvk_model_set_trainable(model, ":-1", false));
    assert_api(ctx, tlvk_model_fit(model, data, NULL, NULL));
    tlvk_dataset_destroy(data);
    drop(ctx, model, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recomputed_steps_have_the_same_bits), cmocka_unit_test(test_gradients_of_parts), cmocka_unit_test(test_fits_in_parts),
        cmocka_unit_test(test_last_part_is_larger), cmocka_unit_test(test_blocks_together), cmocka_unit_test(test_fits_apart), cmocka_unit_test(test_predictions_in_parts), cmocka_unit_test(test_foretold),
        cmocka_unit_test(test_allocations_that_fail), cmocka_unit_test(test_residents_that_fail), cmocka_unit_test(test_refused_between_fits), cmocka_unit_test(test_refused_then_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
