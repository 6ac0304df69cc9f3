/* test_large.c - real sizes beyond what one binding holds (128 MiB on lavapipe): VGG16's first activation at batch 32 and its first Dense, 411 MB
 * each; and the same seams on a small network, on a device that is told smaller than it is. */
#include "support/nets.h"
#include "train/session_internal.h"

#define UNIT 5.9604644775390625e-8 /* 2^-24: half a step of the floats from 1 to 2 */

static double uniform(tlvk__rng *rng) { return tlvk__rng_uniform(rng); }

static float *random_floats(size_t count, uint64_t seed) {
    float *x = malloc(count * sizeof *x);
    assert_non_null(x);
    tlvk__rng rng;
    tlvk__rng_seed(&rng, seed, 11);
    for (size_t i = 0; i < count; i++) x[i] = (float)uniform(&rng);
    return x;
}

/* --- an activation of 411 MB ---------------------------------------------------------------------------------------------------------- */

#define SIDE 224
#define FILTERS 64
#define CLASSES 10
#define BATCH 32
#define PART 8
#define PIXELS ((size_t)SIDE * SIDE * 3)
#define ACTIVATION_BYTES ((uint64_t)BATCH * SIDE * SIDE * FILTERS * sizeof(float))

static tlvk_model *first_layers(tlvk_context *ctx) {
    tlvk_set_random_seed(ctx, 5);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { SIDE, SIDE, 3 } });
    tlvk_tensor x = tlvk_conv2d(in, &(tlvk_conv2d_desc){ .filters = FILTERS, .kernel_size = { 3 }, .padding = TLVK_SAME, .activation = TLVK_RELU, .name = "block1_conv1" });
    x = tlvk_global_average_pooling2d(x, "gap");
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = CLASSES, .activation = TLVK_SOFTMAX, .name = "scores" });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, &model));
    return model;
}

static tlvk_dataset *pictures(tlvk_context *ctx, const float *x, int batch) {
    float y[BATCH];
    for (int i = 0; i < BATCH; i++) y[i] = (float)(i % CLASSES);
    tlvk_dataset *data = NULL;
    assert_api(ctx, tlvk_dataset_from_arrays(ctx, &(tlvk_array_desc){ .x = x, .x_shape = { BATCH, SIDE, SIDE, 3 }, .y = y, .y_shape = { BATCH }, .batch_size = batch, .no_shuffle = true }, &data));
    return data;
}

static void test_large_activation_is_predicted(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *model = first_layers(ctx);
    float *x = random_floats(BATCH * PIXELS, 1), whole[BATCH * CLASSES], alone[BATCH * CLASSES];
    tlvk_dataset *all = pictures(ctx, x, BATCH), *single = pictures(ctx, x, 1);
    assert_api(ctx, tlvk_model_predict(model, all, whole, TLVK__COUNT(whole)));
    uint64_t peak;
    tlvk__device_memory_use(net_device(ctx), NULL, &peak);
    assert_true(peak > ACTIVATION_BYTES);
    assert_api(ctx, tlvk_model_predict(model, single, alone, TLVK__COUNT(alone)));
    assert_memory_equal(whole, alone, sizeof whole);
    for (int i = 0; i < BATCH; i++) assert_true(whole[i * CLASSES] > 0 && whole[i * CLASSES] < 1);
    tlvk_dataset_destroy(all);
    tlvk_dataset_destroy(single);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    free(x);
}

typedef struct gradients { double loss, *dw; size_t count; } gradients; /* of all trained variables, one behind the other */

/* Runs one step without its update on samples first to first + n; adds its loss and gradients times `share` to g. */
static void add_gradients(tlvk__session *s, const float *x, int first, int n, double share, gradients *g) {
    tlvk__runner *runner = NULL;
    float labels[BATCH];
    tlvk__shape input = { .rank = 4, .dim = { n, SIDE, SIDE, 3 } };
    for (int i = 0; i < n; i++) labels[i] = (float)((first + i) % CLASSES);
    if (tlvk__session_runner(s, TLVK__WHOLE, TLVK__PLAN_TRAIN, &input, &runner)) fail_msg("%s", tlvk__fail_text());
    tlvk__runner_put_input(runner, 0, 0, x + (size_t)first * PIXELS);
    tlvk__runner_put_target(runner, 0, 0, labels);
    if (tlvk__runner_submit(runner, 0) || tlvk__runner_wait(runner, 0)) fail_msg("%s", tlvk__fail_text());
    g->loss += share * (double)tlvk__runner_metrics(runner, 0)[TLVK__METRIC_LOSS] / n;
    tlvk__variable *v;
    size_t at = 0;
    for (int i = 0; tlvk__session_trained(s, i, &v); i++) {
        float *dense = malloc(v->elements * sizeof *dense);
        assert_int_equal(tlvk__session_read_gradient(s, i, dense), TLVK_OK);
        g->dw = realloc(g->dw, TLVK__MAX(g->count, at + v->elements) * sizeof *g->dw);
        for (size_t k = 0; k < v->elements; k++) g->dw[at + k] = (at + k < g->count ? g->dw[at + k] : 0) + share * (double)dense[k];
        at += v->elements;
        g->count = TLVK__MAX(g->count, at);
        free(dense);
    }
}

/* A sum of K products in float is off by about u * sqrt(K) * (sum of the products' sizes). Pixels are in [0, 1], and the gradient behind
 * the average pooling is at most 2 * max|w| of the scores over the samples' and pixels' number, so the sizes add up to at most that. */
static double gradient_bound(const tlvk_model *model) {
    size_t count;
    float *w = all_weights(model, &count);
    double most = 0;
    for (size_t i = count - CLASSES - FILTERS * CLASSES; i < count; i++) most = fmax(most, fabs((double)w[i]));
    free(w);
    return UNIT * sqrt((double)BATCH * SIDE * SIDE) * 2 * most;
}

static void test_large_activation_is_trained(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *model = first_layers(ctx);
    float *x = random_floats(BATCH * PIXELS, 1);
    tlvk__session_desc desc = { .training = true, .objectives = { { .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, .metric = TLVK_SPARSE_CATEGORICAL_ACCURACY, .weight = 1 } },
                                .inputs = { { .rank = 4, .dim = { BATCH, SIDE, SIDE, 3 } } } };
    tlvk__session *s = NULL;
    assert_int_equal(tlvk__optimizer_resolve(&(tlvk_optimizer){ .kind = TLVK_SGD }, &desc.optimizer), TLVK_OK);
    if (tlvk__session_create(model, &desc, &s)) fail_msg("%s", tlvk__fail_text());
    s->no_update = true;
    gradients parts = { 0 }, whole = { 0 };
    for (int first = 0; first < BATCH; first += PART) add_gradients(s, x, first, PART, (double)PART / BATCH, &parts);
    add_gradients(s, x, 0, BATCH, 1, &whole);
    double bound = gradient_bound(model), worst = 0, largest = 0;
    assert_true(fabs(whole.loss - parts.loss) < 8 * UNIT * whole.loss);
    for (size_t i = 0; i < whole.count; i++) {
        worst = fmax(worst, fabs(whole.dw[i] - parts.dw[i]));
        largest = fmax(largest, fabs(whole.dw[i]));
    }
    print_message("loss %.7f, gradients up to %.3g, off by up to %.3g, bound %.3g\n", whole.loss, largest, worst, bound);
    assert_int_equal(whole.count, 3 * 3 * 3 * FILTERS + FILTERS + FILTERS * CLASSES + CLASSES);
    assert_true(largest > 100 * bound);
    assert_true(worst <= bound);
    tlvk__session_destroy(s);
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_ADAM }, .metrics = { TLVK_ACCURACY } }));
    tlvk_dataset *all = pictures(ctx, x, BATCH);
    tlvk_logs after;
    assert_api(ctx, tlvk_model_fit(model, all, &(tlvk_fit_desc){ .epochs = 1 }, NULL));
    assert_api(ctx, tlvk_model_evaluate(model, all, &after));
    assert_true(after.loss < whole.loss);
    tlvk_dataset_destroy(all);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    free(parts.dw);
    free(whole.dw);
    free(x);
}

/* --- a kernel of 411 MB ------------------------------------------------------------------------------------------------------------------ */

#define ROWS 25088
#define UNITS 4096
#define SAMPLES 4
#define PICKED 3 /* inputs of a sample that are not zero */

/* Multiples of 2^-10 below 2^-4: sums and updates of a few such numbers times powers of two are exact in float. */
static float kernel_value(size_t row, size_t unit) { return (float)((int)((row * 31 + unit * 7 + (row ^ unit)) % 127) - 63) / 1024.0f; }

static size_t picked_row(int sample, int k) { return (size_t)((sample * 6299 + k * 8363 + (k == 2) * 12007) % ROWS); }
static float picked_value(int k) { return (float)(1 << k) / 2.0f; }

/* What the layer gives: a float, since the sum is exact. */
static double expected_output(int sample, size_t unit) {
    double y = 0;
    for (int k = 0; k < PICKED; k++) y += (double)picked_value(k) * (double)kernel_value(picked_row(sample, k), unit);
    return y;
}

static void fill_kernel(float *kernel) {
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t u = 0; u < UNITS; u++) kernel[r * UNITS + u] = kernel_value(r, u);
    }
}

/* The mean of y^2 has the gradient 2 y / (samples * units) (keras/src/losses/losses.py, mean_squared_error); a step of rate r takes
 * r * x * that from the rows whose input is not zero, and nothing from the others. */
static void check_rows(const float *kernel, double rate) {
    float *row = malloc(UNITS * sizeof *row);
    size_t touched = 0;
    for (size_t r = 0; r < ROWS; r++) {
        bool picked = false;
        for (size_t u = 0; u < UNITS; u++) row[u] = kernel_value(r, u);
        for (int n = 0; n < SAMPLES; n++) {
            for (int k = 0; k < PICKED; k++) {
                if (picked_row(n, k) != r) continue;
                picked = true;
                for (size_t u = 0; u < UNITS; u++) row[u] -= (float)(rate * (double)picked_value(k) * 2 * expected_output(n, u) / (SAMPLES * UNITS));
            }
        }
        touched += picked;
        if (memcmp(kernel + r * UNITS, row, UNITS * sizeof *row) != 0) fail_msg("row %zu, %s, has other values", r, picked ? "picked" : "not picked");
    }
    free(row);
    assert_int_equal(touched, SAMPLES * PICKED);
}

static void test_large_dense(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { ROWS } });
    tlvk_tensor y = tlvk_dense(in, &(tlvk_dense_desc){ .units = UNITS, .name = "fc1" });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { y } }, &model));
    tlvk_layer *layer = tlvk_model_find_layer(model, "fc1");
    size_t elements = (size_t)ROWS * UNITS;
    float *kernel = malloc(elements * sizeof *kernel), *x = calloc((size_t)SAMPLES * ROWS, sizeof *x), *t = calloc((size_t)SAMPLES * UNITS, sizeof *t);
    assert_true(kernel && x && t);
    fill_kernel(kernel);
    assert_int_equal(tlvk_layer_set_weight(layer, 0, kernel, elements), TLVK_OK);
    free(kernel); /* the host need not hold one more of them during the run */
    for (int n = 0; n < SAMPLES; n++) {
        for (int k = 0; k < PICKED; k++) x[(size_t)n * ROWS + picked_row(n, k)] = picked_value(k);
    }
    tlvk_dataset *data = NULL;
    assert_api(ctx, tlvk_dataset_from_arrays(ctx, &(tlvk_array_desc){ .x = x, .x_shape = { SAMPLES, ROWS }, .y = t, .y_shape = { SAMPLES, UNITS }, .batch_size = SAMPLES }, &data));
    assert_api(ctx, tlvk_model_predict(model, data, t, (size_t)SAMPLES * UNITS));
    for (size_t i = 0; i < (size_t)SAMPLES * UNITS; i++) {
        if ((double)t[i] != expected_output((int)(i / UNITS), i % UNITS)) fail_msg("output %zu of sample %zu is %g", i % UNITS, i / UNITS, (double)t[i]);
    }
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_SGD, .learning_rate = 1024 }, .loss = { .kind = TLVK_MEAN_SQUARED_ERROR } }));
    assert_api(ctx, tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = 1 }, NULL));
    kernel = malloc(elements * sizeof *kernel);
    assert_non_null(kernel);
    assert_int_equal(tlvk_layer_get_weight(layer, 0, kernel, elements), TLVK_OK);
    check_rows(kernel, 1024);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    free(kernel);
    free(x);
    free(t);
}

/* --- a device that is told smaller than it is ---------------------------------------------------------------------------------------------- */

#define SMALL_SAMPLES 45
#define SMALL_BATCH 16

typedef struct small_run { float *before, *after; size_t count; float scores[SMALL_SAMPLES * NET_CLASSES]; tlvk_logs last; uint64_t largest; int blocks, chunks, steps; } small_run;

/* Every kind of layer with weights, an activation of 18 KiB a sample and a Dense of 78 KiB. */
static tlvk_model *wide_network(tlvk_context *ctx) {
    tlvk_set_random_seed(ctx, 8);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 } });
    tlvk_tensor x = tlvk_conv2d(in, &(tlvk_conv2d_desc){ .filters = 32, .kernel_size = { 3 }, .padding = TLVK_SAME, .no_bias = true });
    x = tlvk_batch_normalization(x, NULL);
    tlvk_tensor short_cut = x = tlvk_relu(x, NULL);
    x = tlvk_depthwise_conv2d(x, &(tlvk_depthwise_conv2d_desc){ .kernel_size = { 3 }, .padding = TLVK_SAME, .activation = TLVK_RELU });
    x = tlvk_add((tlvk_tensor[]){ short_cut, x }, 2, NULL);
    x = tlvk_separable_conv2d(x, &(tlvk_separable_conv2d_desc){ .filters = 24, .kernel_size = { 3 }, .padding = TLVK_SAME });
    x = tlvk_concatenate((tlvk_tensor[]){ x, short_cut }, 2, NULL);
    x = tlvk_average_pooling2d(x, NULL);
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){ .filters = 24, .kernel_size = { 3 }, .activation = TLVK_RELU, .kernel_regularizer = { .l2 = 1e-3f } });
    x = tlvk_dropout(tlvk_flatten(x, NULL), 0.2f, NULL);
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 50, .activation = TLVK_RELU });
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = NET_CLASSES, .activation = TLVK_SOFTMAX });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, &model));
    return model;
}

static small_run run_small(const tlvk__caps *limit) {
    small_run r = { 0 };
    tlvk_context *ctx = net_context_on(&(tlvk__device_desc){ .limit = limit });
    tlvk_model *model = wide_network(ctx);
    tlvk_dataset *train = small_data(ctx, SMALL_SAMPLES, SMALL_BATCH, 1);
    tlvk_history *history = NULL;
    assert_api(ctx, tlvk_model_predict(model, train, r.scores, TLVK__COUNT(r.scores)));
    r.before = all_weights(model, &r.count);
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_SGD, .momentum = 0.9f, .global_clipnorm = 1 }, .metrics = { TLVK_ACCURACY } }));
    assert_api(ctx, tlvk_model_fit(model, train, &(tlvk_fit_desc){ .epochs = 2, .validation = train }, &history));
    tlvk__session *s = model->training->session;
    for (int i = 0; i < s->block_count; i++) r.largest = TLVK__MAX(r.largest, tlvk__buffer_bytes(s->blocks[i]));
    r.blocks = s->block_count;
    r.chunks = s->residents.chunk_count;
    r.steps = (int)model->training->steps;
    assert_int_equal(tlvk_history_logs(history, 1, &r.last), TLVK_OK);
    r.after = all_weights(model, &r.count);
    tlvk_history_destroy(history);
    tlvk_dataset_destroy(train);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    return r;
}

static double furthest(const float *a, const float *b, size_t count) {
    double worst = 0;
    for (size_t i = 0; i < count; i++) worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    return worst;
}

static void free_small(small_run *r) {
    free(r->before);
    free(r->after);
}

/* What the device is told to offer at most. */
static tlvk__caps small_caps(uint64_t binding_bytes) {
    tlvk_context *ctx = net_context(NULL);
    tlvk__caps limit = *tlvk__device_caps(net_device(ctx));
    tlvk_context_destroy(ctx);
    limit.max_allocation_bytes = 96 << 10;
    limit.max_binding_bytes = binding_bytes;
    limit.max_groups[0] = 32;
    return limit;
}

/* Where a sum over the batch is cut into pieces, its parts are rounded one by one: a step's update moves by a few halves of the last place of the
 * largest weights (below 1 here), and the steps' shares add up. */
static void assert_near(const small_run *a, const small_run *b) {
    double weights = furthest(a->after, b->after, a->count), loss = fabs(a->last.loss - b->last.loss), bound = 8 * UNIT * a->steps;
    print_message("%d blocks and %d chunks for %d and %d; weights off by up to %.3g, loss by %.3g, scores by %.3g, bound %.3g\n", b->blocks, b->chunks, a->blocks, a->chunks,
                  weights, loss, furthest(a->scores, b->scores, TLVK__COUNT(a->scores)), bound);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->steps, b->steps);
    assert_memory_equal(a->before, b->before, a->count * sizeof *a->before);
    assert_true(furthest(a->before, a->after, a->count) > 1000 * bound);
    assert_true(weights <= bound);
    assert_true(loss <= bound && fabs(a->last.val_loss - b->last.val_loss) <= bound);
    assert_true(a->last.accuracy == b->last.accuracy && a->last.val_accuracy == b->last.val_accuracy);
}

/* Activations in several allocations, each bound in pieces, and groups folded into z: what is predicted has the same bits. */
static void test_segments_change_no_prediction(void **state) {
    (void)state;
    tlvk__caps limit = small_caps(84 << 10); /* the largest kernel fits */
    small_run whole = run_small(NULL), limited = run_small(&limit), again = run_small(&limit);
    assert_true(limited.largest <= limit.max_allocation_bytes && limited.blocks > 4 && whole.blocks == 1);
    assert_memory_equal(limited.scores, whole.scores, sizeof whole.scores);
    assert_memory_equal(limited.after, again.after, limited.count * sizeof *again.after);
    assert_near(&whole, &limited);
    free_small(&whole);
    free_small(&limited);
    free_small(&again);
}

/* A kernel in several chunks and bindings too: its sums over the inputs are cut as well. */
static void test_chunks_stay_within_rounding(void **state) {
    (void)state;
    tlvk__caps limit = small_caps(68 << 10);
    small_run whole = run_small(NULL), limited = run_small(&limit), again = run_small(&limit);
    assert_true(limited.chunks > whole.chunks && whole.chunks == 1);
    assert_memory_equal(limited.after, again.after, limited.count * sizeof *again.after);
    assert_true(furthest(whole.scores, limited.scores, TLVK__COUNT(whole.scores)) <= 8 * UNIT);
    assert_near(&whole, &limited);
    free_small(&whole);
    free_small(&limited);
    free_small(&again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_activation_is_predicted), cmocka_unit_test(test_large_activation_is_trained), cmocka_unit_test(test_large_dense),
        cmocka_unit_test(test_segments_change_no_prediction), cmocka_unit_test(test_chunks_stay_within_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
