/* test_winograd.c - whole networks with 3x3 convolutions by Winograd against the same without: a kernel that two calls share, one on pictures large
 * enough for Winograd and one on pictures that are not, frozen (packed once) and trained (packed in every step); and the same where both calls are
 * products, with tiles that want two orders of packed weights. */
#include "ops/attrs.h"
#include "ops/gemm.h"
#include "support/nets.h"

enum { SIDE = 16, CHANNELS = 52, SAMPLES = 6, BATCH = 4, CLASSES = 3 };

typedef struct outcome { float scores[SAMPLES * CLASSES]; double loss; } outcome;

static tlvk_model *shared_network(tlvk_context *ctx) {
    tlvk_set_random_seed(ctx, 5);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { SIDE, SIDE, CHANNELS } });
    tlvk_tensor x = tlvk_conv2d(in, &(tlvk_conv2d_desc){ .filters = CHANNELS, .kernel_size = { 3 }, .padding = TLVK_SAME, .activation = TLVK_RELU, .name = "shared" });
    tlvk_model *model = NULL, *first = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, &first));
    tlvk_layer *layer = tlvk_model_find_layer(first, "shared");
    x = tlvk_layer_call(layer, x, TLVK_CALL_DEFAULT);
    x = tlvk_max_pooling2d(x, &(tlvk_pooling2d_desc){ .pool_size = { 4 } });
    x = tlvk_layer_call(layer, x, TLVK_CALL_DEFAULT);
    x = tlvk_dense(tlvk_flatten(x, NULL), &(tlvk_dense_desc){ .units = CLASSES, .activation = TLVK_SOFTMAX, .name = "head" });
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, &model));
    tlvk_model_destroy(first);
    return model;
}

static tlvk_dataset *random_data(tlvk_context *ctx) {
    static float pictures[SAMPLES * SIDE * SIDE * CHANNELS], labels[SAMPLES];
    tlvk__rng rng;
    tlvk__rng_seed(&rng, 3, 0);
    for (size_t i = 0; i < TLVK__COUNT(pictures); i++) pictures[i] = (float)tlvk__rng_uniform(&rng) - 0.5f;
    for (size_t i = 0; i < TLVK__COUNT(labels); i++) labels[i] = (float)(i % CLASSES);
    tlvk_dataset *data = NULL;
    assert_api(ctx, tlvk_dataset_from_arrays(ctx, &(tlvk_array_desc){ .batch_size = BATCH, .inputs = { { pictures, { SAMPLES, SIDE, SIDE, CHANNELS } } },
                                                                       .targets = { { labels, { SAMPLES } } } }, &data));
    return data;
}

/* Predictions of the frozen network, or the loss and the predictions after three epochs of training. */
static outcome run_on(tlvk_context *ctx, bool train) {
    outcome o = { .loss = 0 };
    tlvk_model *model = shared_network(ctx);
    tlvk_dataset *data = random_data(ctx);
    tlvk_history *history = NULL;
    tlvk_logs logs;
    if (train) {
        assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_SGD, .learning_rate = 0.01f } }));
        assert_api(ctx, tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = 3 }, &history));
        assert_int_equal(tlvk_history_logs(history, 2, &logs), TLVK_OK);
        o.loss = logs.loss;
    } else
        assert_api(ctx, tlvk_model_set_trainable(model, "*", false));
    assert_api(ctx, tlvk_model_predict(model, data, o.scores, TLVK__COUNT(o.scores)));
    tlvk_history_destroy(history);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    return o;
}

static outcome run(tlvk__winograd choice, bool train) {
    tlvk_context *ctx = net_context(NULL);
    ((tlvk__caps *)tlvk__device_caps(net_device(ctx)))->winograd = choice;
    return run_on(ctx, train);
}

/* The same numbers but for rounding, and not the same bits: both kernels were at work. */
static void compare(bool train) {
    outcome with = run(TLVK__WINOGRAD_BY_SHAPE, train), without = run(TLVK__WINOGRAD_NEVER, train);
    for (size_t i = 0; i < TLVK__COUNT(with.scores); i++)
        if (!(fabsf(with.scores[i] - without.scores[i]) < 2e-5f)) fail_msg("score %zu: %.8g by Winograd, %.8g without", i, (double)with.scores[i], (double)without.scores[i]);
    assert_true(fabs(with.loss - without.loss) <= 1e-5);
    assert_memory_not_equal(with.scores, without.scores, sizeof with.scores);
}

static void test_shared_kernel_frozen(void **state) {
    (void)state;
    compare(false);
}

static void test_shared_kernel_trained(void **state) {
    (void)state;
    compare(true);
}

/* The first product of the call on the small pictures whose packed weights lie otherwise than the standard one's; false: there is none. */
static bool other_order(const tlvk__caps *caps, tlvk__choice_key *key, int32_t *value) {
    tlvk__conv2d_attrs attrs = { .filters = CHANNELS, .kernel_size = { 3, 3 }, .strides = { 1, 1 }, .dilation_rate = { 1, 1 }, .padding = TLVK_SAME, .groups = 1 };
    const tlvk__shape small = { 4, { 1, SIDE / 4, SIDE / 4, CHANNELS } };
    int32_t values[TLVK__MOST_CANDIDATES];
    tlvk__tensor x;
    assert_int_equal(tlvk__tensor_from_shape(&small, &x), TLVK_OK);
    tlvk__op_call call = { .attrs = &attrs, .layer = "shared", .inputs = 1, .x = { &x }, .y = &x };
    int count = tlvk__op_conv2d.candidates(caps, &call, TLVK__GEMM_FORWARD, key, values);
    for (int i = 1; i < count; i++) {
        if (values[i] & (TLVK__CHOICE_WINOGRAD | TLVK__CHOICE_PORTABLE)) continue;
        *value = values[i];
        if (tlvk__choice_tv(values[i]) != tlvk__choice_tv(values[0]) || tlvk__choice_kc(values[i]) != tlvk__choice_kc(values[0])) return true;
    }
    return false;
}

static void test_shared_kernel_of_two_orders(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk__device *d = net_device(ctx);
    tlvk__choice_key key;
    int32_t value = 0;
    ((tlvk__caps *)tlvk__device_caps(d))->winograd = TLVK__WINOGRAD_NEVER;
    if (!other_order(tlvk__device_caps(d), &key, &value)) {
        tlvk_context_destroy(ctx);
        skip();
    }
    tlvk__choices *choices = tlvk__choices_create();
    assert_int_equal(tlvk__choices_put(choices, &key, value), TLVK_OK);
    tlvk__device_choose(d, choices);
    outcome one = run(TLVK__WINOGRAD_NEVER, false), two = run_on(ctx, false);
    tlvk__choices_destroy(choices);
    for (size_t i = 0; i < TLVK__COUNT(one.scores); i++)
        if (!(fabsf(one.scores[i] - two.scores[i]) < 2e-5f)) fail_msg("score %zu: %.8g in two orders, %.8g in one", i, (double)two.scores[i], (double)one.scores[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_shared_kernel_frozen), cmocka_unit_test(test_shared_kernel_trained),
                                        cmocka_unit_test(test_shared_kernel_of_two_orders) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
