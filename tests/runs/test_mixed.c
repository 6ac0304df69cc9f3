/* test_mixed.c - training in mixed precision: a curve beside that of fp32, what a step leaves alone whose gradients overflow, the same bits twice and
 * through a checkpoint, kept features beside none, and the refusals: with fp16 activations on any device that reads by texel, and with products of fp16 where it has
 * cooperative matrices. */
#include "support/nets.h"

enum { SAMPLES = 12, BATCH = 4, STEPS = 20 };

/* A context whose device can; elsewhere the test is skipped. */
static tlvk_context *able_context(void) {
    tlvk_context *ctx = net_context(NULL);
    if (!tlvk__device_caps(net_device(ctx))->matrix_m && !tlvk__texel_operands(tlvk__device_caps(net_device(ctx)))) {
        tlvk_context_destroy(ctx);
        skip();
    }
    return ctx;
}

static tlvk_model *compiled(tlvk_context *ctx, const tlvk_compile_desc *desc) {
    tlvk_model *model = small_network(ctx, 5);
    assert_api(ctx, tlvk_model_compile(model, desc));
    return model;
}

static const tlvk_compile_desc mixed_adam = { .metrics = { TLVK_ACCURACY }, .precision = TLVK_MIXED };

static tlvk__loss_scaling scaling_of(const tlvk_model *model) {
    tlvk__loss_scaling s;
    assert_int_equal(tlvk__session_read_scaling(model->training->session, &s), TLVK_OK);
    return s;
}

/* --- where it is not to be had ---------------------------------------------------------------------------------------------------------------- */

static void test_refused(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk__caps *caps = (tlvk__caps *)tlvk__device_caps(net_device(ctx));
    const tlvk__caps real = *caps;
    tlvk_model *model = compiled(ctx, &mixed_adam);
    tlvk_dataset *data = small_data(ctx, SAMPLES, BATCH, 1);
    caps->matrix_m = caps->matrix_n = caps->matrix_k = 0;
    caps->max_texels = 65536;
    for (int offered = 0; offered < 2; offered++) {
        caps->cooperative_matrix = offered;
        assert_int_equal(tlvk_model_fit(model, data, NULL, NULL), TLVK_ERROR_UNSUPPORTED);
        assert_non_null(strstr(tlvk_last_error(ctx), "mixed precision"));
        assert_non_null(strstr(tlvk_last_error(ctx), caps->name));
        assert_non_null(strstr(tlvk_last_error(ctx), offered ? "built without" : "VK_KHR_cooperative_matrix"));
        assert_non_null(strstr(tlvk_last_error(ctx), "texel buffers"));
    }
    *caps = real;
    assert_int_equal(tlvk_model_compile(model, &(tlvk_compile_desc){ .precision = (tlvk_precision)2 }), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "precision 2"));
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

/* --- the curve -------------------------------------------------------------------------------------------------------------------------------- */

/* The loss of each of 20 steps on one batch. */
static void curve(tlvk_precision precision, double loss[STEPS]) {
    tlvk_context *ctx = able_context();
    tlvk_model *model = compiled(ctx, &(tlvk_compile_desc){ .precision = precision });
    tlvk_dataset *data = small_data(ctx, SAMPLES, SAMPLES, 1);
    tlvk_history *history = NULL;
    assert_api(ctx, tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = STEPS, .seed = 2 }, &history));
    for (int i = 0; i < STEPS; i++) {
        tlvk_logs logs;
        assert_int_equal(tlvk_history_logs(history, i, &logs), TLVK_OK);
        loss[i] = logs.loss;
    }
    assert_true(scaling_of(model).skipped == 0);
    tlvk_history_destroy(history);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

/* Beside each other within one percent, and yet not equal: the products were of fp16. */
static void test_curve(void **state) {
    (void)state;
    double full[STEPS], mixed[STEPS], worst = 0;
    curve(TLVK_FP32, full);
    curve(TLVK_MIXED, mixed);
    for (int i = 0; i < STEPS; i++) worst = fmax(worst, fabs(mixed[i] - full[i]) / full[i]);
    print_message("20 steps from %.4f to %.4f; mixed %.4f; at most %.2e of the loss apart\n", full[0], full[STEPS - 1], mixed[STEPS - 1], worst);
    assert_true(full[STEPS - 1] < 0.8 * full[0]);
    assert_true(worst < 1e-2);
    assert_true(worst > 1e-7);
}

/* --- steps that overflow ------------------------------------------------------------------------------------------------------------------------ */

static float *all_slots(const tlvk_model *model, int slots, size_t *count) {
    float *out = NULL;
    tlvk__variable *v;
    *count = 0;
    for (int i = 0; tlvk__session_trained(model->training->session, i, &v); i++) {
        out = realloc(out, (*count + v->elements * (size_t)slots) * sizeof *out);
        assert_non_null(out);
        for (int k = 0; k < slots; k++, *count += v->elements) {
            assert_int_equal(tlvk__session_read_slot(model->training->session, i, k, out + *count), TLVK_OK);
        }
    }
    return out;
}

static float *trained_weights(const tlvk_model *model, size_t *count) {
    float *out = NULL;
    tlvk__variable *v;
    *count = 0;
    for (int i = 0; tlvk__session_trained(model->training->session, i, &v); i++, *count += v->elements) {
        const float *values;
        assert_int_equal(tlvk__variable_values(v, &values), TLVK_OK);
        out = realloc(out, (*count + v->elements) * sizeof *out);
        assert_non_null(out);
        memcpy(out + *count, values, v->elements * sizeof *values);
    }
    return out;
}

/* With a scale of 2^24 the gradient of the scores is beyond fp16. The step changes the scale and nothing that is trained; a few later the scale is low
 * enough, and those are applied. Adam's correction then is that of the first step. */
static void overflow(const tlvk_optimizer *optimizer) {
    tlvk_context *ctx = able_context();
    if (!tlvk__device_caps(net_device(ctx))->matrix_m) { /* products of fp32 do not overflow */
        tlvk_context_destroy(ctx);
        skip();
    }
    tlvk_model *model = compiled(ctx, &(tlvk_compile_desc){ .precision = TLVK_MIXED, .optimizer = *optimizer });
    tlvk_dataset *data = small_data(ctx, BATCH, BATCH, 1);
    assert_api(ctx, tlvk_model_fit(model, data, NULL, NULL));
    const tlvk__loss_scaling first = scaling_of(model);
    assert_true(first.scale == 32768.0f && first.finite_steps == 1.0f && first.skipped == 0.0f);
    tlvk__loss_scaling high = first;
    high.scale = 16777216.0f;
    high.inverse = 1.0f / high.scale;
    assert_int_equal(tlvk__session_write_scaling(model->training->session, &high), TLVK_OK);
    int slots = tlvk__optimizer_slots(&model->training->optimizer), skipped = 0;
    for (bool applied = false; !applied;) {
        size_t weights, states;
        float *w = trained_weights(model, &weights), *m = all_slots(model, slots, &states);
        tlvk__loss_scaling before = scaling_of(model), after;
        assert_api(ctx, tlvk_model_fit(model, data, NULL, NULL));
        after = scaling_of(model);
        float *w2 = trained_weights(model, &weights), *m2 = all_slots(model, slots, &states);
        applied = after.skipped == before.skipped;
        if (!applied) {
            assert_memory_equal(w, w2, weights * sizeof *w);
            if (states) assert_memory_equal(m, m2, states * sizeof *m);
            assert_true(after.scale == before.scale * 0.5f && after.inverse == before.inverse * 2.0f && after.finite_steps == 0.0f);
            assert_true(after.power_1 == before.power_1 && after.power_2 == before.power_2);
            assert_true(++skipped < 20);
        } else {
            assert_memory_not_equal(w, w2, weights * sizeof *w);
            assert_true(after.scale == before.scale && after.finite_steps == 1.0f);
        }
        for (size_t i = 0; i < weights; i++) assert_true(isfinite(w2[i]));
        free(w), free(w2), free(m), free(m2);
    }
    print_message("%d steps were left out\n", skipped);
    assert_true(skipped > 1);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

static void test_overflow(void **state) {
    (void)state;
    overflow(&(tlvk_optimizer){ .kind = TLVK_ADAM });
    overflow(&(tlvk_optimizer){ .kind = TLVK_SGD, .momentum = 0.9f, .global_clipnorm = 0.5f });
    overflow(&(tlvk_optimizer){ .kind = TLVK_RMSPROP, .clipnorm = 0.5f });
}

/* --- the same bits ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct canceller { tlvk_context *ctx; int after, steps; } canceller;

static tlvk_verdict count_steps(const tlvk_event *event, void *user) {
    canceller *c = user;
    if (event->kind == TLVK_EVENT_STEP_END && ++c->steps == c->after) tlvk_cancel(c->ctx);
    return TLVK_CONTINUE;
}

/* Three epochs, from the start or from a checkpoint, cancelled after some steps or not. */
static tlvk_model *trained(tlvk_context *ctx, int cancel_after, const char *checkpoint, const char *resume) {
    tlvk_model *model = compiled(ctx, &mixed_adam);
    tlvk_dataset *data = small_data(ctx, SAMPLES, BATCH, 1);
    canceller c = { .ctx = ctx, .after = cancel_after };
    tlvk_fit_desc fit = { .epochs = 3, .seed = 4, .checkpoint = checkpoint, .resume = resume, .callback = count_steps, .callback_user = &c };
    assert_int_equal(tlvk_model_fit(model, data, &fit, NULL), cancel_after ? TLVK_ERROR_CANCELLED : TLVK_OK);
    tlvk_dataset_destroy(data);
    return model;
}

static void test_same_bits(void **state) {
    (void)state;
    tlvk_context *ctx = able_context();
    char *path = temp_path("mixed.checkpoint");
    tlvk_model *a = trained(ctx, 0, NULL, NULL), *b = trained(ctx, 0, NULL, NULL), *half = trained(ctx, 4, path, NULL), *whole = trained(ctx, 0, NULL, path);
    assert_same_weights(a, b);
    assert_same_weights(a, whole);
    const tlvk__loss_scaling one = scaling_of(a), other = scaling_of(whole);
    assert_memory_equal(&one, &other, sizeof one);
    assert_true(one.finite_steps == 9.0f);
    /* The checkpoint is of mixed precision alone. */
    tlvk_model *full = compiled(ctx, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } });
    tlvk_dataset *data = small_data(ctx, SAMPLES, BATCH, 1);
    assert_int_equal(tlvk_model_fit(full, data, &(tlvk_fit_desc){ .epochs = 3, .resume = path }, NULL), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "written in mixed precision, this training is in fp32"));
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(full);
    tlvk_model_destroy(a);
    tlvk_model_destroy(b);
    tlvk_model_destroy(half);
    tlvk_model_destroy(whole);
    tlvk_context_destroy(ctx);
    tlvk__file_remove(path);
    free(path);
}

/* --- features that are kept ---------------------------------------------------------------------------------------------------------------------- */

static tlvk_model *half_frozen(tlvk_context *ctx, tlvk_cache cache) {
    tlvk_model *model = small_network(ctx, 5);
    assert_api(ctx, tlvk_model_set_trainable(model, "conv", false));
    assert_api(ctx, tlvk_model_set_trainable(model, "norm", false));
    assert_api(ctx, tlvk_model_compile(model, &mixed_adam));
    tlvk_dataset *data = small_data(ctx, SAMPLES, BATCH, 1);
    assert_api(ctx, tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = 3, .seed = 4, .cache = cache }, NULL));
    tlvk_memory memory;
    assert_api(ctx, tlvk_model_memory(model, &memory));
    if (cache == TLVK_CACHE_OFF && tlvk__texel_operands(tlvk__device_caps(net_device(ctx)))) assert_true(memory.activations_fp16 > 0);
    tlvk_dataset_destroy(data);
    return model;
}

/* The frozen part ends in fp32 whether it is a network of its own or not; here in a Conv2D, which would round what it stores. */
static void test_kept_features(void **state) {
    (void)state;
    tlvk_context *ctx = able_context();
    tlvk_model *a = half_frozen(ctx, TLVK_CACHE_OFF), *b = half_frozen(ctx, TLVK_CACHE_MEMORY);
    assert_same_weights(a, b);
    tlvk_model_destroy(a);
    tlvk_model_destroy(b);
    tlvk_context_destroy(ctx);
}

/* --- what is recorded --------------------------------------------------------------------------------------------------------------------------- */

static int count_of(tlvk__recording *rec, const char *shader) {
    int count = 0;
    for (int i = 0; i < tlvk__recording_count(rec); i++) {
        tlvk__recorded e;
        assert_int_equal(tlvk__recording_entry(rec, i, &e), TLVK_OK);
        count += strcmp(e.shader, shader) == 0;
    }
    return count;
}

/* Two Conv2D and a Dense: each forward and with respect to its weights, and all but the first with respect to its input. What is between the input and the
 * second Conv2D is fp16: what the other Conv2D, two BatchNormalizations, DepthwiseConv2D, Add and MaxPooling2D make. */
static void test_recorded(void **state) {
    (void)state;
    tlvk_context *ctx = able_context();
    const tlvk__caps *caps = tlvk__device_caps(net_device(ctx));
    tlvk_model *model = compiled(ctx, &mixed_adam);
    tlvk_dataset *data = small_data(ctx, BATCH, BATCH, 1);
    assert_api(ctx, tlvk_model_fit(model, data, NULL, NULL));
    tlvk__runner *runner;
    tlvk__shape input = { 4, { BATCH, NET_SIDE, NET_SIDE, 3 } };
    assert_int_equal(tlvk__session_runner(model->training->session, TLVK__WHOLE, TLVK__PLAN_TRAIN, &input, &runner), TLVK_OK);
    tlvk__recording *rec = tlvk__runner_recording(runner, 0);
    assert_non_null(rec);
    if (caps->matrix_m) {
        assert_int_equal(count_of(rec, "conv2d_gemm_coop_rows") + count_of(rec, "conv2d_gemm_coop_texel_rows") + count_of(rec, "conv2d_gemm_coop_texel_rows_half"), 3);
        assert_int_equal(count_of(rec, "conv2d_gemm_coop_columns"), 2);
        assert_int_equal(count_of(rec, "conv2d_weights_coop") + count_of(rec, "conv2d_weights_coop_texel"), 3);
    }
    if (tlvk__texel_operands(caps)) {
        tlvk_memory memory;
        assert_api(ctx, tlvk_model_memory(model, &memory));
        print_message("%d of %d activations are of fp16\n", memory.activations_fp16, memory.activations);
        assert_int_equal(memory.activations_fp16, 6);
        assert_true(memory.products_fp16 == (caps->matrix_m > 0));
        assert_int_equal(count_of(rec, "batch_norm_apply_texel_half"), 2);
        assert_int_equal(count_of(rec, "depthwise_slide_texel_half"), 1);
        assert_int_equal(count_of(rec, "merge_texel_half"), 1);
        assert_int_equal(count_of(rec, "pooling2d_slide_max_texel_half"), 1);
    }
    assert_int_equal(count_of(rec, "loss_scale"), 1);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_refused), cmocka_unit_test(test_curve), cmocka_unit_test(test_overflow), cmocka_unit_test(test_same_bits), cmocka_unit_test(test_kept_features),
                                        cmocka_unit_test(test_recorded) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
