/* test_slices.c - networks whose Concatenates are written in place by what makes their parts, against the same networks with a Reshape to the same shape
 * before each Concatenate, which costs nothing and makes it copy: the same bits of scores and weights, in fewer dispatches; in pieces, nearly the same. */
#include "support/nets.h"

enum { SAMPLES = 10, BATCH = 4 };

typedef struct builder { tlvk_context *ctx; bool apart; } builder;

static tlvk_tensor conv(tlvk_tensor x, int filters, int kernel, bool bias, tlvk_activation_kind kind, const char *name) {
    return tlvk_conv2d(x, &(tlvk_conv2d_desc){ .filters = filters, .kernel_size = { kernel }, .padding = TLVK_SAME, .no_bias = !bias, .activation = kind, .name = name });
}

static tlvk_tensor norm(tlvk_tensor x, tlvk_activation_kind kind, const char *name) {
    return tlvk_activation(tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){ .name = name, .momentum = 0.9f }), kind, NULL);
}

static tlvk_tensor together(const builder *b, const tlvk_tensor *parts, int count) {
    tlvk_tensor copied[8];
    for (int i = 0; i < count; i++) {
        int64_t shape[TLVK_MAX_DIMS] = { 0 };
        tlvk_tensor_shape(parts[i], shape);
        copied[i] = b->apart ? tlvk_reshape(parts[i], shape, 3, NULL) : parts[i];
    }
    return tlvk_concatenate(copied, count, NULL);
}

/* Eight channels behind those of x. */
static tlvk_tensor grown(const builder *b, tlvk_tensor x, const char *name) {
    return together(b, (tlvk_tensor[]){ x, conv(x, 8, 1, true, TLVK_RELU, name) }, 2);
}

/* Branches of convolutions, of BatchNormalizations and of a pooling, the last of channels that are no multiple of four; a block in which each layer's
 * channels are put behind all that came before; a part that others read before and behind its Concatenate; parts that cannot lie in place; a sum that takes
 * in a part; a Concatenate of Concatenates. */
static tlvk_model *network(const builder *b) {
    tlvk_set_random_seed(b->ctx, 5);
    tlvk_tensor in = tlvk_input(b->ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 }, .name = "in" }), parts[8];
    tlvk_tensor x = norm(conv(in, 12, 3, false, TLVK_LINEAR, "conv0"), TLVK_RELU, "norm0");
    parts[0] = norm(conv(x, 8, 1, false, TLVK_LINEAR, "conv1"), TLVK_RELU, "norm1");
    parts[1] = conv(conv(x, 8, 1, true, TLVK_RELU, "conv2"), 36, 3, true, TLVK_RELU, "conv3");
    parts[2] = tlvk_average_pooling2d(x, &(tlvk_pooling2d_desc){ .pool_size = { 3 }, .strides = { 1 }, .padding = TLVK_SAME });
    parts[3] = norm(conv(x, 6, 1, false, TLVK_LINEAR, "conv4"), TLVK_SWISH, "norm4");
    x = grown(b, together(b, parts, 4), "conv16");
    x = norm(conv(x, 16, 1, false, TLVK_LINEAR, "conv5"), TLVK_RELU, "norm5");
    for (int i = 0; i < 3; i++) {
        char names[4][16];
        for (int k = 0; k < 4; k++) snprintf(names[k], sizeof names[k], "%s_%d_%d", k % 2 ? "norm" : "conv", i, k / 2);
        tlvk_tensor y = conv(norm(x, TLVK_RELU, names[1]), 40, 1, false, TLVK_LINEAR, names[0]);
        parts[0] = x;
        parts[1] = conv(norm(y, TLVK_RELU, names[3]), 8, 3, false, TLVK_LINEAR, names[2]);
        x = together(b, parts, 2);
    }
    x = tlvk_max_pooling2d(norm(x, TLVK_RELU, "norm6"), NULL);
    tlvk_tensor in_half = x, read = parts[0] = conv(x, 8, 1, true, TLVK_LINEAR, "conv7");
    parts[1] = conv(read, 8, 3, true, TLVK_SIGMOID, "conv8");
    tlvk_tensor late = parts[2] = conv(x, 8, 1, true, TLVK_LINEAR, "conv9");
    parts[3] = conv(x, 5, 1, true, TLVK_LINEAR, "conv10");
    parts[4] = conv(x, 8, 3, true, TLVK_LINEAR, "conv11");
    x = grown(b, together(b, parts, 5), "conv17");
    parts[0] = norm(tlvk_add((tlvk_tensor[]){ conv(x, 8, 1, true, TLVK_LINEAR, "conv12"), late }, 2, NULL), TLVK_LINEAR, "norm12");
    parts[1] = norm(conv(in_half, 8, 1, false, TLVK_LINEAR, "conv13"), TLVK_TANH, "norm13");
    parts[0] = together(b, parts, 2);
    parts[1] = conv(x, 12, 1, true, TLVK_ELU, "conv14");
    x = conv(together(b, parts, 2), 8, 3, false, TLVK_LINEAR, "conv15");
    x = tlvk_dense(tlvk_global_average_pooling2d(x, NULL), &(tlvk_dense_desc){ .units = NET_CLASSES, .activation = TLVK_SOFTMAX, .name = "head" });
    tlvk_model *model = NULL;
    assert_api(b->ctx, tlvk_model_create(b->ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x }, .name = "branches" }, &model));
    return model;
}

/* pieces: samples that one dispatch has at most; in one step then. most_bytes: in a binding and in an allocation. 0: as many as the device takes. */
typedef struct setting { const char *freeze; tlvk__winograd winograd; bool floor; int64_t pieces; uint64_t most_bytes; tlvk_precision precision; } setting;
typedef struct outcome { float before[SAMPLES * NET_CLASSES], after[SAMPLES * NET_CLASSES], *weights; size_t count; int dispatches; tlvk_memory memory; } outcome;

static void count_dispatch(const tlvk_trace_entry *e, void *user) {
    (void)e;
    ++*(int *)user;
}

static tlvk_context *context_of(const setting *s, uint64_t limit) {
    tlvk_context *ctx = net_context_on(&(tlvk__device_desc){ .floor = s->floor, .memory_limit = limit });
    tlvk__caps *caps = (tlvk__caps *)tlvk__device_caps(net_device(ctx));
    caps->winograd = s->winograd;
    if (s->most_bytes) caps->max_binding_bytes = caps->max_allocation_bytes = s->most_bytes;
    return ctx;
}

static outcome run(const setting *s, bool apart, uint64_t limit) {
    outcome o = { .dispatches = 0 };
    tlvk__force_pieces(s->pieces);
    builder b = { .ctx = context_of(s, limit), .apart = apart };
    tlvk_model *model = network(&b);
    tlvk_dataset *data = small_data(b.ctx, s->pieces ? BATCH : SAMPLES, BATCH, 3);
    if (s->freeze) assert_api(b.ctx, tlvk_model_set_trainable(model, s->freeze, false));
    if (!limit) assert_api(b.ctx, tlvk_model_predict(model, data, o.before, TLVK__COUNT(o.before)));
    assert_api(b.ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_SGD, .learning_rate = 0.02f }, .precision = s->precision }));
    assert_api(b.ctx, tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = s->pieces ? 1 : 2 }, NULL));
    assert_api(b.ctx, tlvk_model_memory(model, &o.memory));
    if (!limit) assert_api(b.ctx, tlvk_model_predict(model, data, o.after, TLVK__COUNT(o.after)));
    o.weights = all_weights(model, &o.count);
    if (!limit) assert_api(b.ctx, tlvk_model_trace(model, BATCH, true, count_dispatch, &o.dispatches));
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_context_destroy(b.ctx);
    tlvk__force_pieces(0);
    return o;
}

static void assert_equal(const float *a, const float *b, size_t count, double bound, const char *what) {
    for (size_t i = 0; i < count; i++)
        if (bound > 0 ? !(fabs((double)a[i] - (double)b[i]) <= bound) : memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s, number %zu: %.9g in place, %.9g copied", what, i, (double)a[i], (double)b[i]);
}

static void compare_weights(const outcome *in_place, const outcome *copied, double bound) {
    assert_int_equal(in_place->count, copied->count);
    assert_equal(in_place->weights, copied->weights, in_place->count, bound, "weights");
}

static void compare(const setting *s, int fewer) {
    outcome copied = run(s, true, 0), in_place = run(s, false, 0);
    /* A gradient that comes from weights in parts is a sum of several that are added one by one, to another gradient or before it. */
    const double bound = s->pieces ? 1e-6 : 0;
    assert_equal(in_place.before, copied.before, TLVK__COUNT(in_place.before), 0, "scores");
    assert_equal(in_place.after, copied.after, TLVK__COUNT(in_place.after), bound, "scores of the trained network");
    compare_weights(&in_place, &copied, bound);
    print_message("%d dispatches in place, %d copied; %llu and %llu bytes predicted\n", in_place.dispatches, copied.dispatches,
                  (unsigned long long)in_place.memory.predicted_bytes, (unsigned long long)copied.memory.predicted_bytes);
    if (in_place.dispatches + fewer > copied.dispatches) fail_msg("%d dispatches in place, %d copied: at least %d fewer were expected", in_place.dispatches, copied.dispatches, fewer);
    free(in_place.weights);
    free(copied.weights);
}

static void test_all_trained(void **state) {
    (void)state;
    compare(&(setting){ .freeze = NULL }, 14);
}

static void test_norms_frozen(void **state) {
    (void)state;
    compare(&(setting){ .freeze = "norm*" }, 14);
}

static void test_first_half_frozen(void **state) {
    (void)state;
    compare(&(setting){ .freeze = "*[0-4]" }, 8);
}

static void test_winograd(void **state) {
    (void)state;
    compare(&(setting){ .winograd = TLVK__WINOGRAD_ALWAYS }, 14);
}

static void test_least_device(void **state) {
    (void)state;
    compare(&(setting){ .floor = true }, 14);
}

/* Each sample alone, and weights in parts of four rows, in one step. */
static void test_pieces(void **state) {
    (void)state;
    compare(&(setting){ .pieces = 1 }, 14);
}

/* The same with tensors in several allocations. */
static void test_segments(void **state) {
    (void)state;
    compare(&(setting){ .pieces = 1, .most_bytes = 96 << 10 }, 14);
}

/* With less memory, some of what lies in place is made again for the backward. */
static void made_again(tlvk_precision precision) {
    const setting s = { .precision = precision };
    outcome whole = run(&s, precision == TLVK_FP32, 0); /* copied, other activations are of fp16 */
    assert_true((whole.memory.activations_fp16 > 20) == (precision == TLVK_MIXED));
    for (int percent = 95; percent >= 80; percent -= 5) {
        uint64_t limit = whole.memory.predicted_bytes * (uint64_t)percent / 100;
        outcome less = run(&s, false, limit);
        print_message("%d %%: %d made again\n", percent, less.memory.recomputed);
        assert_true(less.memory.recomputed > 0 || percent > 80);
        assert_true(less.memory.measured_bytes <= limit);
        compare_weights(&less, &whole, 0);
        free(less.weights);
    }
    free(whole.weights);
}

static void test_made_again(void **state) {
    (void)state;
    made_again(TLVK_FP32);
}

/* Scores after training, as far apart as fp16 makes them: some 2^-11 of each number, and what that grows to in a few steps. */
static void come_near(const setting *s, bool apart, const outcome *full) {
    outcome o = run(s, apart, 0);
    double most = 0;
    for (size_t i = 0; i < TLVK__COUNT(o.after); i++) most = fmax(most, fabs((double)o.after[i] - (double)full->after[i]));
    print_message("%d of %d activations in fp16: scores at most %.1e apart\n", o.memory.activations_fp16, o.memory.activations, most);
    assert_true(o.memory.activations_fp16 > 20);
    assert_true(most > 0 && most < 4e-3);
    free(o.weights);
}

/* Slices of fp16, in place and made again, and what is copied in fp16. */
static void test_mixed(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    bool able = tlvk__texel_operands(tlvk__device_caps(net_device(ctx)));
    tlvk_context_destroy(ctx);
    if (!able) skip();
    outcome full = run(&(setting){ .precision = TLVK_FP32 }, false, 0);
    come_near(&(setting){ .precision = TLVK_MIXED }, false, &full);
    come_near(&(setting){ .precision = TLVK_MIXED }, true, &full);
    free(full.weights);
    made_again(TLVK_MIXED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_trained), cmocka_unit_test(test_norms_frozen), cmocka_unit_test(test_first_half_frozen),
        cmocka_unit_test(test_winograd), cmocka_unit_test(test_least_device), cmocka_unit_test(test_pieces), cmocka_unit_test(test_segments),
        cmocka_unit_test(test_made_again), cmocka_unit_test(test_mixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
