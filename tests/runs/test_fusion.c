/* test_fusion.c - whole networks whose layers are folded into each other against the same networks with a Reshape to the same shape between all layers,
 * which costs nothing and keeps them apart: the same scores and the same training but for rounding, in fewer dispatches. */
#include "support/nets.h"

enum { SAMPLES = 10, BATCH = 4 };

typedef struct builder { tlvk_context *ctx; bool apart; } builder;

static tlvk_tensor cut(const builder *b, tlvk_tensor x, int64_t side, int64_t channels) {
    return b->apart ? tlvk_reshape(x, (int64_t[]){ side, side, channels }, 3, NULL) : x;
}

static tlvk_tensor conv(tlvk_tensor x, int filters, int kernel, bool bias, const char *name) {
    return tlvk_conv2d(x, &(tlvk_conv2d_desc){ .filters = filters, .kernel_size = { kernel }, .padding = TLVK_SAME, .no_bias = !bias, .name = name });
}

static tlvk_tensor norm(const builder *b, tlvk_tensor x, int64_t side, int64_t channels, const char *name) {
    return cut(b, tlvk_batch_normalization(cut(b, x, side, channels), &(tlvk_batch_normalization_desc){ .name = name, .momentum = 0.9f }), side, channels);
}

static tlvk_tensor act(const builder *b, tlvk_tensor x, int64_t side, int64_t channels, tlvk_activation_kind kind) {
    return cut(b, tlvk_activation(x, kind, NULL), side, channels);
}

static tlvk_tensor sum(const builder *b, tlvk_tensor x, tlvk_tensor y, int64_t side, int64_t channels) {
    return cut(b, tlvk_add((tlvk_tensor[]){ x, y }, 2, NULL), side, channels);
}

/* Residual blocks as in ResNet, MobileNetV2 and Xception: the sum's second operand made last, first, and by something that adds nothing; an activation
 * whose slope cannot be told from its output; a maximum with zeros around its image; a gate; sums of sums; a residual that is the operation's own input. */
static tlvk_model *network(const builder *b) {
    const int s = NET_SIDE, h = NET_SIDE / 2;
    tlvk_set_random_seed(b->ctx, 11);
    tlvk_tensor in = tlvk_input(b->ctx, &(tlvk_input_desc){ .shape = { s, s, 3 }, .name = "in" });
    tlvk_tensor x = act(b, norm(b, conv(in, 10, 3, false, "conv0"), s, 10, "norm0"), s, 10, TLVK_RELU), y, z;
    y = act(b, norm(b, conv(x, 6, 1, true, "conv1"), s, 6, "norm1"), s, 6, TLVK_RELU6);
    y = norm(b, conv(y, 10, 3, false, "conv2"), s, 10, "norm2");
    x = act(b, sum(b, x, y, s, 10), s, 10, TLVK_RELU);
    y = norm(b, conv(x, 12, 1, false, "conv3"), s, 12, "norm3");
    z = norm(b, conv(x, 12, 3, false, "conv4"), s, 12, "norm4");
    x = act(b, sum(b, z, y, s, 12), s, 12, TLVK_ELU);
    y = norm(b, conv(x, 12, 1, false, "conv5"), s, 12, "norm5");
    z = tlvk_depthwise_conv2d(x, &(tlvk_depthwise_conv2d_desc){ .kernel_size = { 3 }, .padding = TLVK_SAME, .no_bias = true, .name = "depthwise" });
    z = act(b, norm(b, z, s, 12, "norm6"), s, 12, TLVK_SWISH);
    z = cut(b, tlvk_zero_padding2d(z, &(tlvk_padding2d_desc){ .top = 1, .bottom = 1, .left = 1, .right = 1 }), s + 2, 12);
    z = tlvk_max_pooling2d(z, &(tlvk_pooling2d_desc){ .pool_size = { 3 }, .strides = { 2 } });
    x = cut(b, sum(b, z, tlvk_max_pooling2d(y, NULL), h, 12), h, 12);
    y = tlvk_dense(tlvk_global_average_pooling2d(x, NULL), &(tlvk_dense_desc){ .units = 12, .activation = TLVK_SIGMOID, .name = "gate" });
    x = cut(b, tlvk_multiply((tlvk_tensor[]){ x, tlvk_reshape(y, (int64_t[]){ 1, 1, 12 }, 3, NULL) }, 2, NULL), h, 12);
    x = act(b, norm(b, x, h, 12, "norm7"), h, 12, TLVK_SIGMOID);
    x = act(b, sum(b, cut(b, conv(x, 12, 3, true, "conv6"), h, 12), x, h, 12), h, 12, TLVK_RELU);
    y = cut(b, conv(x, 12, 1, true, "conv7"), h, 12);
    x = act(b, sum(b, sum(b, x, y, h, 12), x, h, 12), h, 12, TLVK_TANH);
    x = tlvk_dense(tlvk_global_average_pooling2d(x, NULL), &(tlvk_dense_desc){ .units = NET_CLASSES, .activation = TLVK_SOFTMAX, .name = "head" });
    tlvk_model *model = NULL;
    assert_api(b->ctx, tlvk_model_create(b->ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x }, .name = "blocks" }, &model));
    return model;
}

typedef struct outcome { float before[SAMPLES * NET_CLASSES], after[SAMPLES * NET_CLASSES], *weights; size_t count; int dispatches; } outcome;

static void count_dispatch(const tlvk_trace_entry *e, void *user) {
    (void)e;
    ++*(int *)user;
}

static outcome run(const char *freeze, bool apart) {
    outcome o = { .dispatches = 0 };
    builder b = { .ctx = net_context(NULL), .apart = apart };
    tlvk_model *model = network(&b);
    tlvk_dataset *data = small_data(b.ctx, SAMPLES, BATCH, 3);
    if (freeze) assert_api(b.ctx, tlvk_model_set_trainable(model, freeze, false));
    assert_api(b.ctx, tlvk_model_predict(model, data, o.before, TLVK__COUNT(o.before)));
    assert_api(b.ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_SGD, .learning_rate = 0.02f } }));
    assert_api(b.ctx, tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = 3 }, NULL));
    assert_api(b.ctx, tlvk_model_predict(model, data, o.after, TLVK__COUNT(o.after)));
    o.weights = all_weights(model, &o.count);
    assert_api(b.ctx, tlvk_model_trace(model, BATCH, true, count_dispatch, &o.dispatches));
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_context_destroy(b.ctx);
    return o;
}

static void assert_near(const float *a, const float *b, size_t count, float within, const char *what) {
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(a[i] - b[i]) <= within)) fail_msg("%s, number %zu: %.8g fused, %.8g apart", what, i, (double)a[i], (double)b[i]);
}

static void compare(const char *freeze, int fewer) {
    outcome fused = run(freeze, false), apart = run(freeze, true);
    assert_near(fused.before, apart.before, TLVK__COUNT(fused.before), 2e-6f, "scores");
    assert_near(fused.after, apart.after, TLVK__COUNT(fused.after), 2e-5f, "scores of the trained network");
    assert_int_equal(fused.count, apart.count);
    assert_near(fused.weights, apart.weights, fused.count, 2e-5f, "weights");
    print_message("%d dispatches fused, %d apart\n", fused.dispatches, apart.dispatches);
    if (fused.dispatches + fewer > apart.dispatches) fail_msg("%d dispatches fused, %d apart: at least %d fewer were expected", fused.dispatches, apart.dispatches, fewer);
    free(fused.weights);
    free(apart.weights);
}

static void test_all_trained(void **state) {
    (void)state;
    compare(NULL, 16);
}

static void test_norms_frozen(void **state) {
    (void)state;
    compare("norm*", 30);
}

static void test_first_half_frozen(void **state) {
    (void)state;
    compare("*[0-3]", 21);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_all_trained), cmocka_unit_test(test_norms_frozen), cmocka_unit_test(test_first_half_frozen) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
