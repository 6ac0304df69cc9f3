/* test_surgery.c - networks changed and then trained: what is frozen keeps its bytes and lets the gradient through, compiling again keeps the weights and
 * begins the optimizer anew, and a model that was compiled before a change trains and predicts as one that was built so. */
#include "support/nets.h"

#define SIDE 32 /* the least that VGG16 takes */
#define MAX_LAYERS 64

/* --- which layers have changed --------------------------------------------------------------------------------------------- */

typedef struct snapshot { tlvk_layer *layers[MAX_LAYERS]; float *values[MAX_LAYERS]; size_t counts[MAX_LAYERS]; int count; } snapshot;

static float *weights_of(tlvk_layer *layer, size_t *count) {
    float *values = NULL;
    *count = 0;
    for (int i = 0; i < tlvk_layer_weight_count(layer); i++) {
        size_t n;
        assert_int_equal(tlvk_layer_weight_info(layer, i, NULL, NULL, NULL, &n), TLVK_OK);
        values = realloc(values, (*count + n) * sizeof *values);
        assert_non_null(values);
        assert_int_equal(tlvk_layer_get_weight(layer, i, values + *count, n), TLVK_OK);
        *count += n;
    }
    return values;
}

static void take(const tlvk_model *model, snapshot *s) {
    for (int i = 0; i < tlvk_model_layer_count(model); i++) {
        tlvk_layer *layer = tlvk_model_layer(model, i);
        if (tlvk_layer_model(layer)) {
            take(tlvk_layer_model(layer), s);
        } else if (tlvk_layer_weight_count(layer) > 0) {
            assert_true(s->count < MAX_LAYERS);
            s->layers[s->count] = layer;
            s->values[s->count] = weights_of(layer, &s->counts[s->count]);
            s->count++;
        }
    }
}

/* Exactly the layers of these names, " a b " with spaces around each, differ from the snapshot. The snapshot is taken anew. */
static void assert_changed(const tlvk_model *model, snapshot *s, const char *names) {
    int changed = 0, wanted = 0;
    for (const char *p = names; *p; p++) wanted += *p == ' ';
    for (int i = 0; i < s->count; i++) {
        size_t n;
        float *now = weights_of(s->layers[i], &n);
        char *spaced = tlvk__format(" %s ", tlvk_layer_name(s->layers[i]));
        bool differs = memcmp(now, s->values[i], n * sizeof *now) != 0;
        if (differs != (strstr(names, spaced) != NULL)) fail_msg("%s %s", tlvk_layer_name(s->layers[i]), differs ? "has changed" : "has not changed");
        changed += differs;
        free(spaced);
        free(now);
        free(s->values[i]);
    }
    assert_int_equal(changed, wanted - 1);
    s->count = 0;
    take(model, s);
}

static void drop(snapshot *s) {
    for (int i = 0; i < s->count; i++) free(s->values[i]);
}

/* --- data and networks ------------------------------------------------------------------------------------------------------ */

/* Random numbers as inputs of this shape and targets of `outputs` numbers; `classes`: one class number instead. */
static tlvk_dataset *random_data(tlvk_context *ctx, int samples, const int64_t *shape, int outputs, int classes) {
    tlvk_array_desc d = { .x_shape = { samples }, .y_shape = { samples, classes ? 0 : outputs }, .batch_size = 4 };
    size_t elements = 1;
    for (int i = 0; shape[i]; i++) {
        d.x_shape[i + 1] = shape[i];
        elements *= (size_t)shape[i];
    }
    size_t targets = classes ? 1 : (size_t)outputs;
    float *x = malloc((size_t)samples * elements * sizeof *x), *y = malloc((size_t)samples * targets * sizeof *y);
    assert_true(x && y);
    tlvk__rng rng;
    tlvk__rng_seed(&rng, 11, 3);
    for (size_t i = 0; i < (size_t)samples * elements; i++) x[i] = (float)(2 * tlvk__rng_uniform(&rng) - 1);
    for (size_t i = 0; i < (size_t)samples * targets; i++) y[i] = classes ? (float)(i % (size_t)classes) : (float)tlvk__rng_uniform(&rng);
    d.x = x;
    d.y = y;
    tlvk_dataset *data = NULL;
    assert_api(ctx, tlvk_dataset_from_arrays(ctx, &d, &data));
    free(x);
    free(y);
    return data;
}

static void train(tlvk_context *ctx, tlvk_model *model, tlvk_dataset *data, tlvk_optimizer optimizer, tlvk_loss_kind loss) {
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = optimizer, .loss = { .kind = loss } }));
    assert_api(ctx, tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = 1 }, NULL));
}

static tlvk_model *vgg(tlvk_context *ctx) {
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_vgg16(ctx, &(tlvk_net_desc){ .no_top = true, .input_shape = { SIDE, SIDE, 3 }, .seed = 5 }, &model));
    return model;
}

static tlvk_tensor new_conv(tlvk_tensor x) {
    return tlvk_conv2d(x, &(tlvk_conv2d_desc){ .filters = 64, .kernel_size = { 5, 5 }, .padding = TLVK_SAME, .name = "new_conv" });
}

/* --- T3.3 --------------------------------------------------------------------------------------------------------------------- */

/* As the tutorial does it: the layers behind the first two are called again, one by one, and frozen. */
static tlvk_model *taken_apart(tlvk_context *ctx, const tlvk_model *net) {
    tlvk_tensor in = tlvk_model_input(net, 0), x = new_conv(in);
    for (int i = 3; i < tlvk_model_layer_count(net); i++) {
        tlvk_layer_set_trainable(tlvk_model_layer(net, i), false);
        x = tlvk_layer_call(tlvk_model_layer(net, i), x, TLVK_CALL_DEFAULT);
    }
    tlvk_model *model = NULL;
    x = tlvk_flatten(x, NULL);
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, &model));
    return model;
}

static tlvk_tensor by_new_conv(tlvk_layer *layer, const tlvk_tensor *x, int count, void *user) {
    (void)layer;
    (void)count;
    (void)user;
    return new_conv(x[0]);
}

static tlvk_tensor by_nothing(tlvk_layer *layer, const tlvk_tensor *x, int count, void *user) {
    (void)layer;
    (void)count;
    (void)user;
    return x[0];
}

static bool is_not_new(tlvk_layer *layer, void *user) {
    (void)user;
    return strcmp(tlvk_layer_name(layer), "new_conv") != 0;
}

/* The same by replacing, inside a Sequential that flattens what VGG16 gives. */
static tlvk_model *replaced(tlvk_context *ctx, tlvk_model *net) {
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { SIDE, SIDE, 3 } }), x = tlvk_flatten(tlvk_model_call(net, in, TLVK_CALL_DEFAULT, NULL), NULL);
    tlvk_model *whole = NULL, *first = NULL, *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x }, .sequential = true }, &whole));
    assert_api(ctx, tlvk_model_replace_layer(whole, "block1_conv1", by_new_conv, NULL, &first));
    assert_api(ctx, tlvk_model_replace_layer(first, "vgg16/block1_conv2", by_nothing, NULL, &model));
    assert_api(ctx, tlvk_model_set_trainable_if(model, is_not_new, NULL, false));
    assert_string_equal(tlvk_layer_class(tlvk_model_layer(model, 0)), "Functional");
    tlvk_model_destroy(first);
    tlvk_model_destroy(whole);
    return model;
}

static void test_gradient_reaches_a_new_layer_through_frozen_ones(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *net = vgg(ctx), *by_hand = taken_apart(ctx, net), *by_replacing = replaced(ctx, net);
    tlvk_layer *a = tlvk_model_find_layer(by_hand, "new_conv"), *b = tlvk_model_find_layer(by_replacing, "new_conv");
    size_t n, m;
    float *first = weights_of(a, &n);
    assert_int_equal(n, 5 * 5 * 3 * 64 + 64);
    assert_int_equal(tlvk_layer_set_weight(b, 0, first, n - 64), TLVK_OK);
    tlvk_dataset *data = random_data(ctx, 8, (const int64_t[]){ SIDE, SIDE, 3, 0 }, 512, 0);
    snapshot of_a = { 0 }, of_b = { 0 }, of_net = { 0 };
    const tlvk_optimizer optimizer = { .kind = TLVK_ADAM, .weight_decay = 0.01f };
    take(by_hand, &of_a);
    take(by_replacing, &of_b);
    take(net, &of_net);
    train(ctx, by_hand, data, optimizer, TLVK_MEAN_SQUARED_ERROR);
    assert_changed(by_hand, &of_a, " new_conv ");
    assert_changed(net, &of_net, " ");
    train(ctx, by_replacing, data, optimizer, TLVK_MEAN_SQUARED_ERROR);
    assert_changed(by_replacing, &of_b, " new_conv ");
    assert_changed(by_hand, &of_a, " ");
    /* Both ways of surgery made the same network: they come out with the same bits. */
    float *wa = weights_of(a, &n), *wb = weights_of(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(wa, wb, n * sizeof *wa);
    assert_memory_not_equal(wa, first, (n - 64) * sizeof *wa);
    assert_memory_not_equal(wa + n - 64, first + n - 64, 64 * sizeof *wa);
    free(first);
    free(wa);
    free(wb);
    drop(&of_a);
    drop(&of_b);
    drop(&of_net);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(net);
    tlvk_model_destroy(by_hand);
    tlvk_model_destroy(by_replacing);
    tlvk_context_destroy(ctx);
}

/* --- T2.1, T2.2, T4.2 ----------------------------------------------------------------------------------------------------------- */

static void test_the_last_layers_join_in_a_second_phase(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *base = vgg(ctx), *model = NULL;
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { SIDE, SIDE, 3 } }), x = tlvk_flatten(tlvk_model_call(base, in, TLVK_CALL_DEFAULT, NULL), NULL);
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 16, .activation = TLVK_RELU, .name = "hidden" });
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 3, .activation = TLVK_SOFTMAX, .name = "classes" });
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x }, .sequential = true }, &model));
    assert_api(ctx, tlvk_model_set_trainable(base, "*", false));
    tlvk_dataset *data = random_data(ctx, 8, (const int64_t[]){ SIDE, SIDE, 3, 0 }, 0, 3);
    snapshot s = { 0 };
    take(model, &s);
    assert_int_equal(s.count, 15);
    train(ctx, model, data, (tlvk_optimizer){ .kind = TLVK_ADAM }, TLVK_SPARSE_CATEGORICAL_CROSSENTROPY);
    assert_changed(model, &s, " hidden classes ");

    for (int i = -3; i < 0; i++) tlvk_layer_set_trainable(tlvk_model_layer(base, i), true); /* for layer in base.layers[-3:] */
    train(ctx, model, data, (tlvk_optimizer){ .kind = TLVK_ADAM, .learning_rate = 1e-4f }, TLVK_SPARSE_CATEGORICAL_CROSSENTROPY);
    assert_changed(model, &s, " block5_conv2 block5_conv3 hidden classes ");

    /* And back: another set again, without compiling. */
    assert_api(ctx, tlvk_model_set_trainable(model, "*", false));
    assert_api(ctx, tlvk_model_set_trainable(model, "block5_conv[12]", true));
    assert_api(ctx, tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = 1 }, NULL));
    assert_changed(model, &s, " block5_conv1 block5_conv2 ");
    drop(&s);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(base);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

/* --- compiling again --------------------------------------------------------------------------------------------------------------- */

#define INPUTS 8
#define BATCH 6

/* frozen -> hidden -> classes, all Dense; `activation` is hidden's and frozen's */
static tlvk_model *small_dense(tlvk_context *ctx, tlvk_activation_kind activation) {
    tlvk_set_random_seed(ctx, 9);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { INPUTS } });
    tlvk_tensor x = tlvk_dense(in, &(tlvk_dense_desc){ .units = 7, .activation = activation, .name = "frozen", .not_trainable = true });
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 5, .activation = activation, .name = "hidden" });
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 3, .activation = TLVK_SOFTMAX, .name = "classes" });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x }, .sequential = true }, &model));
    return model;
}

static void step(tlvk_context *ctx, tlvk_model *model) {
    float x[BATCH * INPUTS], y[BATCH];
    for (int i = 0; i < BATCH * INPUTS; i++) x[i] = (float)((i * 37) % 23) / 11.0f - 1;
    for (int i = 0; i < BATCH; i++) y[i] = (float)(i % 3);
    tlvk_logs logs;
    assert_api(ctx, tlvk_model_train_on_batch(model, x, y, BATCH, &logs));
}

static void compile(tlvk_context *ctx, tlvk_model *model, tlvk_optimizer_kind kind) {
    tlvk_compile_desc d = { .optimizer = { .kind = kind, .learning_rate = 0.05f }, .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY } };
    assert_api(ctx, tlvk_model_compile(model, &d));
}

static void copy_weights(const tlvk_model *from, const tlvk_model *to) {
    for (int i = 0; i < tlvk_model_layer_count(from); i++) {
        tlvk_layer *a = tlvk_model_layer(from, i), *b = tlvk_model_layer(to, i);
        for (int k = 0; k < tlvk_layer_weight_count(a); k++) {
            float values[128];
            size_t n;
            assert_int_equal(tlvk_layer_weight_info(a, k, NULL, NULL, NULL, &n), TLVK_OK);
            assert_true(n <= 128);
            assert_int_equal(tlvk_layer_get_weight(a, k, values, n), TLVK_OK);
            assert_int_equal(tlvk_layer_set_weight(b, k, values, n), TLVK_OK);
        }
    }
}

static void assert_other_weights(const tlvk_model *a, const tlvk_model *b) {
    size_t na, nb;
    float *wa = all_weights(a, &na), *wb = all_weights(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_not_equal(wa, wb, na * sizeof *wa);
    free(wa);
    free(wb);
}

static void test_compiling_again_begins_the_optimizer_anew(void **state) {
    (void)state;
    static const tlvk_optimizer_kind kinds[] = { TLVK_ADAM, TLVK_RMSPROP };
    for (size_t k = 0; k < TLVK__COUNT(kinds); k++) {
        tlvk_context *ctx = net_context(NULL);
        tlvk_model *model = small_dense(ctx, TLVK_RELU), *fresh = small_dense(ctx, TLVK_RELU), *going_on = small_dense(ctx, TLVK_RELU);
        compile(ctx, model, kinds[k]);
        compile(ctx, going_on, kinds[k]);
        for (int i = 0; i < 3; i++) {
            step(ctx, model);
            step(ctx, going_on);
        }
        assert_same_weights(model, going_on);
        compile(ctx, model, kinds[k]);
        assert_same_weights(model, going_on); /* weights stay */
        copy_weights(model, fresh);
        compile(ctx, fresh, kinds[k]);
        step(ctx, model);
        step(ctx, fresh);
        step(ctx, going_on);
        assert_same_weights(model, fresh); /* a first step like any first step */
        assert_other_weights(model, going_on);
        tlvk_model_destroy(model);
        tlvk_model_destroy(fresh);
        tlvk_model_destroy(going_on);
        tlvk_context_destroy(ctx);
    }
}

/* --- changes after compiling --------------------------------------------------------------------------------------------------------- */

static void assert_same_scores(tlvk_context *ctx, tlvk_model *a, tlvk_model *b, size_t each) {
    tlvk_dataset *data = random_data(ctx, 5, (const int64_t[]){ INPUTS, 0 }, 0, 3);
    float of_a[5 * 7], of_b[5 * 7];
    assert_api(ctx, tlvk_model_predict(a, data, of_a, 5 * each));
    assert_api(ctx, tlvk_model_predict(b, data, of_b, 5 * each));
    assert_memory_equal(of_a, of_b, 5 * each * sizeof *of_a);
    tlvk_dataset_destroy(data);
}

static void test_a_new_activation_is_at_work_at_once(void **state) {
    (void)state;
    char *folder = temp_path("surgery-cache");
    tlvk_context *ctx = net_context(folder);
    tlvk_model *model = small_dense(ctx, TLVK_RELU), *fresh = small_dense(ctx, TLVK_TANH);
    tlvk_dataset *data = random_data(ctx, 8, (const int64_t[]){ INPUTS, 0 }, 0, 3);
    const tlvk_fit_desc fit = { .epochs = 2, .cache = TLVK_CACHE_DISK };
    compile(ctx, model, TLVK_SGD);
    step(ctx, model);
    assert_api(ctx, tlvk_model_fit(model, data, &fit, NULL)); /* the output of "frozen" is cached now */
    assert_api(ctx, tlvk_layer_set_activation(tlvk_model_find_layer(model, "hidden"), TLVK_TANH));
    copy_weights(model, fresh);
    compile(ctx, fresh, TLVK_SGD);
    assert_api(ctx, tlvk_layer_set_activation(tlvk_model_find_layer(fresh, "frozen"), TLVK_RELU));
    assert_same_scores(ctx, model, fresh, 3);
    step(ctx, model);
    step(ctx, fresh);
    assert_same_weights(model, fresh);
    /* Of a frozen layer, whose features may be cached. */
    for (int i = 0; i < 2; i++) assert_api(ctx, tlvk_layer_set_activation(tlvk_model_find_layer(i ? fresh : model, "frozen"), TLVK_TANH));
    assert_same_scores(ctx, model, fresh, 3);
    tlvk_fit_desc uncached = fit;
    uncached.cache = TLVK_CACHE_OFF;
    assert_api(ctx, tlvk_model_fit(model, data, &fit, NULL));
    assert_api(ctx, tlvk_model_fit(fresh, data, &uncached, NULL));
    assert_same_weights(model, fresh);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_model_destroy(fresh);
    tlvk_context_destroy(ctx);
    free(folder);
}

static void test_a_popped_model_goes_on(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *model = small_dense(ctx, TLVK_RELU), *cut = NULL;
    compile(ctx, model, TLVK_ADAM);
    step(ctx, model);
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { tlvk_model_input(model, 0) }, .outputs = { tlvk_layer_output(model, "hidden") } }, &cut));
    assert_api(ctx, tlvk_model_pop(model));
    tlvk_dataset *data = random_data(ctx, 8, (const int64_t[]){ INPUTS, 0 }, 5, 0);
    assert_int_equal(tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = 1 }, NULL), TLVK_ERROR_ARGUMENT); /* compile again */
    assert_non_null(strstr(tlvk_last_error(ctx), "not compiled"));
    assert_same_scores(ctx, model, cut, 5);
    snapshot s = { 0 };
    take(model, &s);
    train(ctx, model, data, (tlvk_optimizer){ .kind = TLVK_ADAM }, TLVK_MEAN_SQUARED_ERROR);
    assert_changed(model, &s, " hidden ");
    drop(&s);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(cut);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

/* Names are no part of what a session is made of, and old texts are not kept anywhere. */
static void test_a_renamed_model_goes_on(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *model = small_dense(ctx, TLVK_RELU), *other = small_dense(ctx, TLVK_RELU);
    compile(ctx, model, TLVK_ADAM);
    compile(ctx, other, TLVK_ADAM);
    step(ctx, model);
    step(ctx, other);
    assert_api(ctx, tlvk_layer_set_name(tlvk_model_find_layer(model, "hidden"), "renamed"));
    assert_api(ctx, tlvk_model_set_name(model, "other_name"));
    step(ctx, model);
    step(ctx, other);
    assert_same_weights(model, other);
    tlvk_model_destroy(model);
    tlvk_model_destroy(other);
    tlvk_context_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient_reaches_a_new_layer_through_frozen_ones),
        cmocka_unit_test(test_the_last_layers_join_in_a_second_phase),
        cmocka_unit_test(test_compiling_again_begins_the_optimizer_anew),
        cmocka_unit_test(test_a_new_activation_is_at_work_at_once),
        cmocka_unit_test(test_a_popped_model_goes_on),
        cmocka_unit_test(test_a_renamed_model_goes_on),
    };
    return cmocka_run_group_tests_name("surgery", tests, NULL, NULL);
}
