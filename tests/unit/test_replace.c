/* tlvk_model_replace_layer on the host: which calls are repeated, which models made anew, what stays shared, and what is refused by name. The table is
 * a literal made by Keras 3.15.1. No device is opened here. */
#include "support/graphs.h"
#include "unit/keras_rebuilt.h"

static tlvk_tensor vector(tlvk_context *ctx, const char *name, int64_t n) { return tlvk_input(ctx, &(tlvk_input_desc){.name = name, .shape = {n}}); }

static tlvk_model *replaced(tlvk_context *ctx, tlvk_model *m, const char *name, tlvk_replace_fn fn, void *user) {
    tlvk_model *out = NULL;
    if (tlvk_model_replace_layer(m, name, fn, user, &out))
        fail_msg("%s", tlvk_last_error(ctx));
    return out;
}

static void assert_refused(tlvk_context *ctx, tlvk_model *m, const char *name, tlvk_replace_fn fn, void *user, const char *text) {
    tlvk_model *out = m;
    char *before = NULL;
    assert_int_equal(tlvk_model_summary(m, &before), TLVK_OK);
    assert_int_not_equal(tlvk_model_replace_layer(m, name, fn, user, &out), TLVK_OK);
    assert_null(out);
    if (!strstr(tlvk_last_error(ctx), text))
        fail_msg("\"%s\" is not in \"%s\"", text, tlvk_last_error(ctx));
    assert_summary(m, before); /* the old model is as it was */
    tlvk_free(before);
}

/* --- what takes the place ------------------------------------------------------------------------------------------------ */

static tlvk_tensor by_nothing(tlvk_layer *layer, const tlvk_tensor *x, int count, void *user) {
    (void)layer;
    (void)user;
    return count > 0 ? x[0] : (tlvk_tensor){NULL, 0};
}

typedef struct planned { const char *name; int filters, size, calls; tlvk_layer *made; } planned;

/* One new convolution, called wherever the old layer was. */
static tlvk_tensor by_convolution(tlvk_layer *layer, const tlvk_tensor *x, int count, void *user) {
    planned *p = user;
    (void)layer;
    assert_int_equal(count, 1);
    if (p->calls++)
        return tlvk_layer_call(p->made, x[0], TLVK_CALL_DEFAULT);
    tlvk_tensor y = conv(x[0], p->name, p->filters, p->size);
    p->made = y.node->error ? NULL : y.node->layer;
    return y;
}

static tlvk_tensor by_itself_and_dropout(tlvk_layer *layer, const tlvk_tensor *x, int count, void *user) {
    (void)user;
    return tlvk_dropout(tlvk_layer_call_inputs(layer, x, count, TLVK_CALL_DEFAULT), 0.5f, NULL);
}

static tlvk_tensor by_given(tlvk_layer *layer, const tlvk_tensor *x, int count, void *user) {
    (void)layer;
    (void)x;
    (void)count;
    return *(const tlvk_tensor *)user;
}

static tlvk_tensor by_average_pooling(tlvk_layer *layer, const tlvk_tensor *x, int count, void *user) {
    (void)layer;
    (void)count;
    (void)user;
    return tlvk_average_pooling2d(x[0], &(tlvk_pooling2d_desc){.name = "average"});
}

static tlvk_tensor by_branches(tlvk_layer *layer, const tlvk_tensor *x, int count, void *user) {
    tlvk_tensor y = tlvk_layer_call_inputs(layer, x, count, TLVK_CALL_DEFAULT);
    (void)user;
    return tlvk_add((tlvk_tensor[]){y, y}, 2, "both");
}

/* --- one level ------------------------------------------------------------------------------------------------------------ */

static void in_a_branch(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor x = input(ctx, "x", 8, 3), a = conv(x, "a", 4, 3), c = conv(conv(a, "b", 4, 3), "c", 4, 3);
    tlvk_model *m = model_of(ctx, "m", x, tlvk_flatten(tlvk_add((tlvk_tensor[]){c, a}, 2, "add"), "flat"));
    tlvk_layer_set_trainable(tlvk_model_find_layer(m, "c"), false);
    tlvk_layer_set_trainable(tlvk_model_find_layer(m, "c"), true);
    m->trainable = false;
    m->keras_version = 2;
    const char *names[] = {"one", "two"};
    assert_int_equal(tlvk_model_set_usage(m, &(tlvk_usage){.preprocess = TLVK_PREPROCESS_TORCH, .class_count = 2, .class_names = names}), TLVK_OK);
    planned p = {.name = "n", .filters = 4, .size = 5};
    tlvk_model *r = replaced(ctx, m, "b", by_convolution, &p);
    assert_int_equal(p.calls, 1);
    m->trainable = true;
    assert_false(r->trainable);
    r->trainable = true;
    assert_summary(r, replaced_summary);
    assert_int_equal(r->keras_version, 2);
    tlvk_usage u;
    tlvk_model_usage(r, &u);
    assert_int_equal(u.preprocess, TLVK_PREPROCESS_TORCH);
    assert_string_equal(u.class_names[1], "two");
    /* Before the change the very calls, behind it the same layers: one set of weights. */
    assert_true(tlvk_layer_output(r, "a").node == a.node);
    assert_ptr_equal(tlvk_model_find_layer(r, "c"), tlvk_model_find_layer(m, "c"));
    assert_null(tlvk_model_find_layer(r, "b"));
    assert_int_equal(tlvk_model_layer_count(m), 6);
    assert_non_null(tlvk_model_find_layer(m, "b"));
    tlvk_model_destroy(m);
    float w[4 * 4 * 9];
    assert_int_equal(tlvk_layer_get_weight(tlvk_model_find_layer(r, "c"), 0, w, 144), TLVK_OK);
    tlvk_model_destroy(r);
    tlvk_context_destroy(ctx);
}

/* T3.3: VGG16 without block1_conv1 and block1_conv2, with one 5x5 convolution for both. */
static void vgg16_taken_apart(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *vgg = NULL;
    assert_int_equal(tlvk_vgg16(ctx, &(tlvk_net_desc){.no_top = true, .input_shape = {32, 32, 3}}, &vgg), TLVK_OK);
    planned p = {.name = "new_conv", .filters = 64, .size = 5};
    tlvk_model *one = replaced(ctx, vgg, "block1_conv1", by_convolution, &p), *both = replaced(ctx, one, "block1_conv2", by_nothing, NULL);
    tlvk_model_destroy(one);
    static const char *const names[] = {"input_layer", "new_conv", "block1_pool", "block2_conv1", "block2_conv2", "block2_pool", "block3_conv1", "block3_conv2",
        "block3_conv3", "block3_pool", "block4_conv1", "block4_conv2", "block4_conv3", "block4_pool", "block5_conv1", "block5_conv2", "block5_conv3",
        "block5_pool", NULL};
    assert_layers(both, names);
    for (int i = 2; i < 18; i++)
        assert_ptr_equal(tlvk_model_layer(both, i), tlvk_model_find_layer(vgg, names[i]));
    int64_t total;
    assert_int_equal(tlvk_model_count_params(both, &total, NULL), TLVK_OK);
    assert_int_equal(total, 14714688 - 1792 - 36928 + 75 * 64 + 64);

    /* Another number of channels does not fit what comes next, and the text says which layer and both shapes. */
    planned narrow = {.name = "narrow", .filters = 32, .size = 3};
    assert_refused(ctx, vgg, "block1_conv1", by_convolution, &narrow, "block1_conv2 (Conv2D): expects 64 input channels, got 32");
    assert_non_null(strstr(tlvk_last_error(ctx), "(None, 32, 32, 64)"));
    assert_non_null(strstr(tlvk_last_error(ctx), "(None, 32, 32, 32)"));
    /* Pooling for pooling. */
    tlvk_model *average = replaced(ctx, vgg, "block3_pool", by_average_pooling, NULL);
    assert_string_equal(tlvk_layer_class(tlvk_model_find_layer(average, "average")), "AveragePooling2D");
    tlvk_model_destroy(average);
    tlvk_model_destroy(vgg);
    tlvk_model_destroy(both);
    tlvk_context_destroy(ctx);
}

static void at_each_call(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor x = input(ctx, "x", 8, 4), a = conv(x, "twin", 4, 3), b = tlvk_layer_call(a.node->layer, a, TLVK_CALL_DEFAULT);
    tlvk_model *m = model_of(ctx, "m", x, tlvk_add((tlvk_tensor[]){a, b}, 2, "add"));
    planned p = {.name = "other", .filters = 4, .size = 1};
    tlvk_model *r = replaced(ctx, m, "twin", by_convolution, &p);
    assert_int_equal(p.calls, 2);
    assert_layers(r, (const char *const[]){"x", "other", "add", NULL});
    assert_int_equal(r->node_count, 4);
    int64_t total;
    assert_int_equal(tlvk_model_count_params(r, &total, NULL), TLVK_OK);
    assert_int_equal(total, 20);
    tlvk_model_destroy(r);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

/* --- nested ----------------------------------------------------------------------------------------------------------------- */

static void inside_nested_sequentials(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *m = nested_model(ctx);
    tlvk_layer_set_trainable(tlvk_model_find_layer(m, "features"), false);
    planned p = {.name = "conv_n", .filters = 4, .size = 1};
    tlvk_model *r = replaced(ctx, m, "conv_b", by_convolution, &p);
    assert_true(r->sequential);
    assert_layers(r, (const char *const[]){"sequential_1", "sequential_3", NULL});
    assert_string_equal(tlvk_layer_class(tlvk_model_layer(r, 0)), "Sequential");
    tlvk_layer *features = tlvk_model_find_layer(r, "sequential_1/features");
    assert_non_null(features);
    assert_ptr_not_equal(features, tlvk_model_find_layer(m, "features"));
    assert_false(tlvk_layer_trainable(features));
    assert_layers(tlvk_layer_model(features), (const char *const[]){"input_1", "conv_a", "bn_a", "relu_a", "conv_n", "add_b", "out_relu", NULL});
    /* Models without the layer are the same ones, in the same wrapping layer. */
    assert_ptr_equal(tlvk_model_layer(r, 1), tlvk_model_layer(m, 1));
    assert_ptr_equal(tlvk_model_find_layer(r, "bn_a"), tlvk_model_find_layer(m, "bn_a"));
    assert_non_null(tlvk_model_find_layer(m, "conv_b"));

    /* A branch in a Sequential makes a Functional of it, and of it alone. */
    tlvk_model *branched = replaced(ctx, m, "gap", by_branches, NULL);
    assert_true(branched->sequential);
    assert_string_equal(tlvk_layer_class(tlvk_model_layer(branched, 0)), "Functional");
    assert_ptr_equal(tlvk_model_find_layer(branched, "features"), tlvk_model_find_layer(m, "features"));
    /* A whole nested model goes like any layer. */
    tlvk_model *bare = replaced(ctx, m, "features", by_itself_and_dropout, NULL);
    assert_non_null(tlvk_model_find_layer(bare, "sequential_1/dropout"));
    assert_ptr_equal(tlvk_model_find_layer(bare, "features"), tlvk_model_find_layer(m, "features"));
    tlvk_model_destroy(m);
    tlvk__flat flat;
    assert_int_equal(tlvk__model_flatten(r, &flat), TLVK_OK);
    assert_int_equal(flat.call_count, 9);
    assert_string_equal(flat.calls[3].path, "sequential_1/features/conv_n");
    tlvk__flat_free(&flat);
    tlvk_model_destroy(branched);
    tlvk_model_destroy(bare);
    tlvk_model_destroy(r);
    tlvk_context_destroy(ctx);
}

static void in_a_model_used_twice(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor i = input(ctx, "i", 8, 4), x = input(ctx, "x", 8, 4);
    tlvk_model *block = model_of(ctx, "block", i, tlvk_batch_normalization(conv(i, "c", 4, 3), NULL));
    tlvk_tensor y = tlvk_model_call(block, tlvk_model_call(block, x, TLVK_CALL_INFERENCE, NULL), TLVK_CALL_DEFAULT, NULL);
    y = tlvk_model_call(block, y, TLVK_CALL_TRAINING, "third");
    tlvk_model *m = model_of(ctx, "m", x, y);
    planned p = {.name = "n", .filters = 4, .size = 1};
    tlvk_model *r = replaced(ctx, m, "c", by_convolution, &p);
    assert_int_equal(p.calls, 1); /* made anew once, called three times */
    assert_layers(r, (const char *const[]){"x", "block", "third", NULL});
    assert_ptr_equal(tlvk_layer_model(tlvk_model_layer(r, 1)), tlvk_layer_model(tlvk_model_layer(r, 2)));
    static const tlvk_call_mode modes[] = {TLVK_CALL_INFERENCE, TLVK_CALL_DEFAULT, TLVK_CALL_TRAINING};
    tlvk__flat flat;
    assert_int_equal(tlvk__model_flatten(r, &flat), TLVK_OK);
    assert_int_equal(flat.call_count, 6);
    for (int k = 0; k < 6; k++)
        assert_int_equal(flat.calls[k].mode, modes[k / 2]);
    tlvk__flat_free(&flat);
    tlvk_model_destroy(block);
    tlvk_model_destroy(m);
    tlvk_model_destroy(r);
    tlvk_context_destroy(ctx);
}

/* (p, q) -> fork -> (l, r) -> add: the second output has its own way on. */
static tlvk_model *forked(tlvk_context *ctx) {
    tlvk_tensor i = vector(ctx, "i", 4), j = vector(ctx, "j", 4);
    tlvk_model *fork = NULL, *m = NULL;
    tlvk_model_desc f = {.name = "fork", .inputs = {i, j}, .outputs = {dense(i, "l", 3), dense(dense(j, "hidden", 5), "r", 3)}};
    assert_int_equal(tlvk_model_create(ctx, &f, &fork), TLVK_OK);
    tlvk_tensor p = vector(ctx, "p", 4), q = vector(ctx, "q", 4);
    tlvk_tensor y = tlvk_model_call_inputs(fork, (tlvk_tensor[]){p, q}, 2, TLVK_CALL_DEFAULT, NULL);
    tlvk_model_desc d = {.name = "m", .inputs = {p, q}, .outputs = {tlvk_add((tlvk_tensor[]){y, tlvk_call_output(y, 1)}, 2, "sum"), tlvk_call_output(y, 1)}};
    assert_int_equal(tlvk_model_create(ctx, &d, &m), TLVK_OK);
    tlvk_model_destroy(fork);
    return m;
}

static void several_outputs_stay(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *m = forked(ctx), *r = replaced(ctx, m, "hidden", by_itself_and_dropout, NULL);
    assert_layers(r, (const char *const[]){"p", "q", "fork", "sum", NULL});
    assert_int_equal(tlvk_model_output_count(r), 2);
    assert_int_equal(tlvk_model_output(r, 1).index, 1);
    assert_layers(tlvk_layer_model(tlvk_model_layer(r, 2)), (const char *const[]){"j", "hidden", "i", "dropout", "l", "r", NULL});
    /* All of the fork gives way to something with one output: its second one has no stand-in. */
    assert_refused(ctx, m, "fork", by_nothing, NULL, "output 1 of fork is used; what replaces it comes of a call of p, which has 1");
    tlvk_model *same = replaced(ctx, m, "sum", by_nothing, NULL);
    assert_int_equal(tlvk_model_layer_count(same), 3);
    tlvk_model_destroy(same);
    tlvk_model_destroy(m);
    tlvk_model_destroy(r);
    tlvk_context_destroy(ctx);
}

static void modes_are_kept(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor x = input(ctx, "x", 8, 3), c = conv(x, "c", 4, 1), other = tlvk_batch_normalization(input(ctx, NULL, 8, 4), NULL);
    tlvk_tensor y = tlvk_layer_call(other.node->layer, c, TLVK_CALL_INFERENCE);
    y = tlvk_layer_call(tlvk_dropout(other, 0.5f, "drop").node->layer, y, TLVK_CALL_TRAINING);
    tlvk_model *m = model_of(ctx, "m", x, y);
    planned p = {.name = "n", .filters = 4, .size = 1};
    tlvk_model *r = replaced(ctx, m, "c", by_convolution, &p), *again = replaced(ctx, r, "batch_normalization", by_itself_and_dropout, NULL);
    static const tlvk_call_mode before[] = {TLVK_CALL_DEFAULT, TLVK_CALL_INFERENCE, TLVK_CALL_TRAINING},
                                after[] = {TLVK_CALL_DEFAULT, TLVK_CALL_INFERENCE, TLVK_CALL_DEFAULT, TLVK_CALL_TRAINING};
    for (int k = 0; k < 2; k++) {
        tlvk__flat flat;
        assert_int_equal(tlvk__model_flatten(k ? again : r, &flat), TLVK_OK);
        assert_int_equal(flat.call_count, 3 + k);
        for (int i = 0; i < flat.call_count; i++)
            assert_int_equal(flat.calls[i].mode, k ? after[i] : before[i]);
        tlvk__flat_free(&flat);
    }
    tlvk_model_destroy(m);
    tlvk_model_destroy(r);
    tlvk_model_destroy(again);
    tlvk_context_destroy(ctx);
}

/* --- what cannot be ----------------------------------------------------------------------------------------------------------- */

static void refused(void **state) {
    (void)state;
    tlvk_context *ctx = new_context(), *elsewhere = new_context();
    tlvk_model *m = nested_model(ctx), *out = NULL;
    tlvk_tensor none = {NULL, 0}, foreign = vector(elsewhere, NULL, 4), stray = vector(ctx, "stray", 4), wrong = {stray.node, 3};
    assert_refused(ctx, m, "conv_z", by_nothing, NULL, "has no layer named \"conv_z\"");
    assert_refused(ctx, m, "input_1", by_nothing, NULL, "input_1 is an InputLayer");
    assert_refused(ctx, m, "dense_1", by_given, &none, "what is to replace dense_1 is an empty tensor");
    assert_refused(ctx, m, "dense_1", by_given, &foreign, "another context");
    assert_refused(ctx, m, "dense_1", by_given, &wrong, "is output 3 of stray, which has 1");
    assert_refused(ctx, m, "gap", by_given, &stray, "need the input \"stray\"");
    assert_refused(ctx, m, "gap", by_nothing, NULL, "dense_input");
    tlvk_tensor failed = dense(tlvk_layer_output(m, "no_such"), NULL, 2);
    assert_refused(ctx, m, "gap", by_given, &failed, "no_such");
    assert_int_equal(tlvk_model_replace_layer(NULL, "a", by_nothing, NULL, &out), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_replace_layer(m, NULL, by_nothing, NULL, &out), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_replace_layer(m, "gap", NULL, NULL, &out), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_replace_layer(m, "gap", by_nothing, NULL, NULL), TLVK_ERROR_ARGUMENT);
    planned taken = {.name = "bn_a", .filters = 4, .size = 1};
    assert_refused(ctx, m, "conv_a", by_convolution, &taken, "named \"bn_a\"");
    /* The name of the layer that goes is free. */
    planned same = {.name = "conv_a", .filters = 4, .size = 1};
    out = replaced(ctx, m, "conv_a", by_convolution, &same);
    tlvk_model_destroy(out);
    tlvk_model_destroy(m);
    tlvk_context_destroy(elsewhere);
    tlvk_context_destroy(ctx);
}

/* Every order of the context, the old model, the new one, and one more made of the new one. */
static void any_order(void **state) {
    (void)state;
    for (int order = 0; order < 24; order++) {
        tlvk_context *ctx = new_context();
        tlvk_model *m = nested_model(ctx);
        planned p = {.name = "conv_n", .filters = 4, .size = 1};
        tlvk_model *r = replaced(ctx, m, "conv_b", by_convolution, &p), *s = replaced(ctx, r, "dense_1", by_itself_and_dropout, NULL);
        planned narrow = {.name = "narrow", .filters = 2, .size = 1};
        tlvk_model *none = NULL;
        assert_int_equal(tlvk_model_replace_layer(r, "conv_a", by_convolution, &narrow, &none), TLVK_ERROR_ARGUMENT); /* leaves parts with the context */
        assert_int_equal(tlvk_model_set_name(r, "renamed"), TLVK_OK);
        assert_int_equal(tlvk_layer_set_name(tlvk_model_layer(r, 0), "body"), TLVK_OK);
        assert_int_equal(tlvk_model_pop(s), TLVK_OK);
        int left[4] = {0, 1, 2, 3}, code = order;
        for (int n = 4; n > 0; n--) {
            int pick = code % n;
            code /= n;
            int what = left[pick];
            left[pick] = left[n - 1];
            if (what == 0)
                tlvk_context_destroy(ctx);
            else
                tlvk_model_destroy(what == 1 ? m : what == 2 ? r : s);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_a_branch), cmocka_unit_test(vgg16_taken_apart), cmocka_unit_test(at_each_call), cmocka_unit_test(inside_nested_sequentials),
        cmocka_unit_test(in_a_model_used_twice), cmocka_unit_test(several_outputs_stay), cmocka_unit_test(modes_are_kept), cmocka_unit_test(refused),
        cmocka_unit_test(any_order),
    };
    return cmocka_run_group_tests_name("replace", tests, NULL, NULL);
}
