/* test_sync.c - the validation layer, synchronization validation on, over whole trainings: silent as they are recorded, and loud for each single
 * barrier that is left out of a recorded step. Where the layer is not installed the tests are skipped and say so.
 *
 * The layers of Debian 12 and 13 (1.3.239, 1.4.309) take a storage binding that a shader writes for a write alone, and say nothing of a write by a
 * compute shader after another one (test_what_the_layer_sees shows it with two dispatches that both read and write one range). A barrier that
 * stands for nothing but such pairs is not missed by them. So the barriers are also held against all pairs of entries, by their ranges: no pair
 * that meets in a written byte is without a barrier, and no barrier is without a pair that it alone keeps apart.
 *
 * The layer of Debian 13 wants VK_LAYER_SYNCVAL_SHADER_ACCESSES_HEURISTIC=1 and VK_LAYER_ENABLE_MESSAGE_LIMIT=0 in the environment; CTest sets them. */
#include "support/nets.h"
#include "train/session_internal.h"

#define BATCH 8

/* A context whose device reports to the validation layer; the test is skipped where there is none. */
static tlvk_context *validated_context(bool floor) {
    tlvk_context *ctx = net_context_on(&(tlvk__device_desc){ .validation = true, .floor = floor });
    if (tlvk__device_validation_messages(net_device(ctx)) < 0) {
        print_message("skipped: VK_LAYER_KHRONOS_validation is not installed\n");
        tlvk_context_destroy(ctx);
        skip();
    }
    return ctx;
}

static void assert_silent(tlvk_context *ctx, const char *what) {
    const tlvk__device *device = net_device(ctx);
    if (tlvk__device_validation_messages(device)) fail_msg("%s: %d messages: %s", what, tlvk__device_validation_messages(device), tlvk__device_validation_text(device));
}

/* --- a whole run ------------------------------------------------------------------------------------------------------------------- */

/* Fit with a tail batch and validation, a resume from its checkpoint, evaluation and prediction. */
static void whole_run(bool floor, const char *freeze, const tlvk_optimizer *optimizer) {
    tlvk_context *ctx = validated_context(floor);
    char *checkpoint = temp_path("sync.checkpoint");
    tlvk_model *model = small_network(ctx, 3);
    tlvk_dataset *train = small_data(ctx, 2 * BATCH + 3, BATCH, 1), *val = small_data(ctx, BATCH + 1, BATCH, 2);
    if (freeze) assert_api(ctx, tlvk_model_set_trainable(model, freeze, false));
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = *optimizer, .metrics = { TLVK_ACCURACY } }));
    tlvk_fit_desc fit = { .epochs = 1, .validation = val, .checkpoint = checkpoint, .restore_best_weights = true };
    assert_api(ctx, tlvk_model_fit(model, train, &fit, NULL));
    fit.epochs = 2;
    fit.resume = checkpoint;
    assert_api(ctx, tlvk_model_fit(model, train, &fit, NULL));
    assert_silent(ctx, "fit");
    tlvk_logs logs;
    float scores[(BATCH + 1) * NET_CLASSES];
    assert_api(ctx, tlvk_model_evaluate(model, val, &logs));
    assert_api(ctx, tlvk_model_predict(model, val, scores, TLVK__COUNT(scores)));
    assert_silent(ctx, "evaluate and predict");
    tlvk__file_remove(checkpoint);
    free(checkpoint);
    tlvk_dataset_destroy(train);
    tlvk_dataset_destroy(val);
    tlvk_model_destroy(model);
    assert_silent(ctx, "the end");
    tlvk_context_destroy(ctx);
}

static void test_whole_run_is_silent(void **state) {
    (void)state;
    whole_run(false, NULL, &(tlvk_optimizer){ .kind = TLVK_ADAM, .global_clipnorm = 1 });
}

static void test_run_on_cached_prefix_is_silent(void **state) {
    (void)state;
    whole_run(false, ":6", &(tlvk_optimizer){ .kind = TLVK_RMSPROP, .momentum = 0.5f, .centered = true });
}

static void test_run_on_the_floor_is_silent(void **state) {
    (void)state;
    whole_run(true, NULL, &(tlvk_optimizer){ .kind = TLVK_SGD, .momentum = 0.9f, .weight_decay = 0.01f });
}

/* --- all pairs ----------------------------------------------------------------------------------------------------------------------- */

typedef struct guards { int none, *written_only, *others; } guards; /* pairs without a barrier; per barrier (1-based): pairs that it alone keeps apart */

/* Whether two ranges meet and one is written; *both: both are. */
static bool meet(const tlvk__binding *a, const tlvk__binding *b, bool *both) {
    if (a->span.buffer != b->span.buffer || !a->span.buffer) return false;
    if (a->span.offset >= b->span.offset + b->span.bytes || b->span.offset >= a->span.offset + a->span.bytes) return false;
    *both = (a->access & TLVK__WRITE) && (b->access & TLVK__WRITE);
    return (a->access | b->access) & TLVK__WRITE;
}

static void count_pair(const tlvk__recording *rec, int i, int k, int first_barrier, int barriers, guards *g) {
    tlvk__binding a, b;
    bool both;
    for (int m = 0; tlvk__recording_binding(rec, i, m, &a); m++) {
        for (int n = 0; tlvk__recording_binding(rec, k, n, &b); n++) {
            if (!meet(&a, &b, &both)) continue;
            if (barriers == 0) g->none++;
            else if (barriers == 1) (both ? g->written_only : g->others)[first_barrier]++;
        }
    }
}

static guards count_guards(tlvk__recording *rec) {
    int count = tlvk__recording_count(rec), barriers = tlvk__recording_barriers(rec), *behind = calloc((size_t)count + 1, sizeof *behind), seen = 0;
    guards g = { .written_only = calloc((size_t)barriers + 1, sizeof(int)), .others = calloc((size_t)barriers + 1, sizeof(int)) };
    assert_true(behind && g.written_only && g.others);
    for (int i = 0; i < count; i++) {
        tlvk__recorded e;
        assert_int_equal(tlvk__recording_entry(rec, i, &e), TLVK_OK);
        seen += e.barrier_before;
        behind[i] = seen;
    }
    for (int i = 0; i < count; i++) {
        for (int k = i + 1; k < count; k++) count_pair(rec, i, k, behind[i] + 1, behind[k] - behind[i], &g);
    }
    free(behind);
    return g;
}

static void guards_free(guards *g) {
    free(g->written_only);
    free(g->others);
}

/* Two dispatches of y += a*x, y at byte 2048 of a buffer and x at byte `x`, without the barrier between them: whether the layer reports them.
 * With x at y the second reads, through another binding, what the first one wrote; else it rewrites it and no more. */
static bool layer_reports(tlvk__device *d, uint64_t x) {
    const struct { uint32_t n; float a; } push = { 16, 1 };
    tlvk__buffer *buffer = NULL;
    tlvk__recorder *r = NULL;
    tlvk__recording *rec = NULL;
    assert_int_equal(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, 4096, "a test", &buffer), TLVK_OK);
    tlvk__dispatch axpy = { .shader = "test_axpy", .specs = { { "WG", 16 } }, .binding_count = 2, .push = &push, .push_bytes = sizeof push, .operation = "axpy",
                            .bindings = { { .span = { buffer, x, 64 }, .access = TLVK__READ }, { .span = { buffer, 2048, 64 }, .access = TLVK__READ_WRITE } } };
    assert_int_equal(tlvk__recorder_create(d, &(tlvk__recorder_desc){ .single_submission = true, .skip_barrier = 1 }, &r), TLVK_OK);
    for (int i = 0; i < 2; i++) assert_int_equal(tlvk__record_dispatch(r, &axpy), TLVK_OK);
    tlvk__device_validation_clear(d);
    assert_int_equal(tlvk__recorder_finish(r, &rec), TLVK_OK);
    assert_int_equal(tlvk__recording_barriers(rec), 0);
    bool seen = tlvk__device_validation_messages(d) > 0;
    tlvk__recording_destroy(rec);
    tlvk__buffer_destroy(buffer);
    tlvk__device_validation_clear(d);
    return seen;
}

static bool layer_sees_rewrites(tlvk__device *d) { return layer_reports(d, 0); }

static void test_what_the_layer_sees(void **state) {
    (void)state;
    tlvk_context *ctx = validated_context(false);
    bool reads = layer_reports(net_device(ctx), 2048), rewrites = layer_sees_rewrites(net_device(ctx));
    tlvk_context_destroy(ctx);
    print_message("the layer %s a compute shader's write after another's\n", rewrites ? "reports" : "does not report");
    if (!reads) fail_msg("the layer reports nothing of what shaders access: see the head of this file");
}

/* --- each barrier left out, told by the layer ----------------------------------------------------------------------------------------- */

/* Records the step anew, as one submission without its barrier `skip` (0: with all of them), runs it, and returns what the layer said. */
static int messages_without(tlvk__session *s, tlvk__runner *runner, int skip) {
    s->desc.recorder = (tlvk__recorder_desc){ .single_submission = true, .skip_barrier = skip };
    tlvk__runner_unbind(runner);
    tlvk__device_validation_clear(s->device);
    if (tlvk__runner_submit(runner, 0) || tlvk__runner_wait(runner, 0)) fail_msg("%s", tlvk__fail_text());
    return tlvk__device_validation_messages(s->device);
}

/* Of all barriers of the step, how many the layer misses though it could see them. */
static int unseen_barriers(tlvk__session *s, tlvk__runner *runner, const guards *g, int barriers) {
    int unseen = 0, rewrites = 0;
    bool sees_rewrites = layer_sees_rewrites(s->device);
    for (int k = 1; k <= barriers; k++) {
        bool seen = messages_without(s, runner, k) > 0 && strstr(tlvk__device_validation_text(s->device), "SYNC-HAZARD");
        assert_int_equal(tlvk__recording_barriers(tlvk__runner_recording(runner, 0)), barriers - 1);
        if (seen) continue;
        if (!sees_rewrites && !g->others[k]) {
            rewrites++;
            continue;
        }
        print_error("nothing is said without barrier %d of %d, which keeps %d pairs apart\n", k, barriers, g->others[k] + g->written_only[k]);
        unseen++;
    }
    print_message("%d barriers, %d between writes alone\n", barriers, rewrites);
    assert_true(rewrites <= barriers / 10);
    return unseen;
}

static tlvk__objective classes(float weight) {
    return (tlvk__objective){ .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, .metric = TLVK_SPARSE_CATEGORICAL_ACCURACY, .weight = weight };
}

/* Of a step that `desc` describes; takes context and model. */
static void each_barrier_of(tlvk_context *ctx, tlvk_model *model, tlvk__plan_mode mode, const tlvk_optimizer *optimizer, tlvk__session_desc desc) {
    tlvk__session *s = NULL;
    tlvk__runner *runner = NULL;
    desc.training = mode == TLVK__PLAN_TRAIN;
    assert_int_equal(tlvk__optimizer_resolve(optimizer, &desc.optimizer), TLVK_OK);
    if (tlvk__session_create(model, &desc, &s)) fail_msg("%s", tlvk__fail_text());
    if (tlvk__session_runner(s, desc.augmentation ? TLVK__AUGMENTED : TLVK__WHOLE, mode, desc.inputs, &runner)) fail_msg("%s", tlvk__fail_text());
    tlvk__optimizer_step(&desc.optimizer, 1, 1e-3, tlvk__runner_params(runner, 0));
    if (messages_without(s, runner, 0)) fail_msg("with every barrier: %s", tlvk__device_validation_text(s->device));
    int barriers = tlvk__recording_barriers(tlvk__runner_recording(runner, 0));
    guards g = count_guards(tlvk__runner_recording(runner, 0));
    assert_true(barriers > 3);
    assert_int_equal(g.none, 0);
    for (int k = 1; k <= barriers; k++) assert_true(g.written_only[k] + g.others[k] > 0);
    int unseen = unseen_barriers(s, runner, &g, barriers);
    guards_free(&g);
    tlvk__session_destroy(s);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    assert_int_equal(unseen, 0);
}

static void each_barrier_is_needed(tlvk_context *ctx, tlvk_model *model, tlvk__plan_mode mode, bool batch_norm_inference, const tlvk_optimizer *optimizer) {
    tlvk__session_desc desc = { .batch_norm_inference = batch_norm_inference, .objectives = { classes(1) }, .inputs = { { .rank = 4, .dim = { BATCH, NET_SIDE, NET_SIDE, 3 } } } };
    each_barrier_of(ctx, model, mode, optimizer, desc);
}

static void test_training_without_a_barrier(void **state) {
    (void)state;
    tlvk_context *ctx = validated_context(false);
    each_barrier_is_needed(ctx, small_network(ctx, 3), TLVK__PLAN_TRAIN, false, &(tlvk_optimizer){ .kind = TLVK_ADAM, .global_clipnorm = 1 });
}

static void test_training_on_the_floor_without_a_barrier(void **state) {
    (void)state;
    tlvk_context *ctx = validated_context(true);
    each_barrier_is_needed(ctx, small_network(ctx, 3), TLVK__PLAN_TRAIN, false, &(tlvk_optimizer){ .kind = TLVK_SGD, .clipnorm = 1 });
}

static void test_part_of_a_network_without_a_barrier(void **state) {
    (void)state;
    tlvk_context *ctx = validated_context(false);
    tlvk_model *model = small_network(ctx, 3);
    assert_api(ctx, tlvk_model_set_trainable(model, "norm", false)); /* in inference mode, within the trained part */
    each_barrier_is_needed(ctx, model, TLVK__PLAN_TRAIN, false, &(tlvk_optimizer){ .kind = TLVK_RMSPROP, .clipvalue = 1 });
}

/* Batch normalizations that are trained in inference mode, as a part of their convolutions where that is possible. */
static void test_inference_mode_without_a_barrier(void **state) {
    (void)state;
    tlvk_context *ctx = validated_context(false);
    each_barrier_is_needed(ctx, small_network(ctx, 3), TLVK__PLAN_TRAIN, true, &(tlvk_optimizer){ .kind = TLVK_ADAMW });
}

static void test_prediction_without_a_barrier(void **state) {
    (void)state;
    tlvk_context *ctx = validated_context(false);
    each_barrier_is_needed(ctx, small_network(ctx, 3), TLVK__PLAN_PREDICT, false, &(tlvk_optimizer){ 0 });
}

static void test_evaluation_without_a_barrier(void **state) {
    (void)state;
    tlvk_context *ctx = validated_context(false);
    each_barrier_is_needed(ctx, small_network(ctx, 3), TLVK__PLAN_EVALUATE, false, &(tlvk_optimizer){ 0 });
}

/* Two inputs; outputs that are a layer within, the same tensor twice, and one that is measured alone. */
static tlvk_model *several_outputs(tlvk_context *ctx) {
    tlvk_set_random_seed(ctx, 3);
    tlvk_tensor picture = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 }, .name = "picture" }), words = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { 5 }, .name = "words" });
    tlvk_tensor x = tlvk_conv2d(picture, &(tlvk_conv2d_desc){ .filters = 8, .kernel_size = { 3 }, .strides = { 2 }, .activation = TLVK_RELU, .name = "conv" });
    tlvk_tensor w = tlvk_dense(words, &(tlvk_dense_desc){ .units = 6, .activation = TLVK_TANH, .name = "word_layer" });
    tlvk_tensor inner = tlvk_dense(tlvk_concatenate((tlvk_tensor[]){ tlvk_flatten(x, "flat"), w }, 2, "both"), &(tlvk_dense_desc){ .units = 5, .activation = TLVK_SIGMOID, .name = "inner" });
    tlvk_tensor kind = tlvk_dense(inner, &(tlvk_dense_desc){ .units = NET_CLASSES, .activation = TLVK_SOFTMAX, .name = "kind" });
    tlvk_tensor size = tlvk_dense(inner, &(tlvk_dense_desc){ .units = 2, .name = "size" });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { picture, words }, .outputs = { kind, inner, size, size, kind }, .name = "several" }, &model));
    return model;
}

static void test_several_outputs_without_a_barrier(void **state) {
    (void)state;
    tlvk_context *ctx = validated_context(false);
    const tlvk__objective squared = { .loss = { .kind = TLVK_MEAN_SQUARED_ERROR }, .weight = 0.3f };
    tlvk__session_desc desc = { .objectives = { classes(1), squared, squared, squared, classes(0) },
                                .inputs = { { .rank = 4, .dim = { BATCH, NET_SIDE, NET_SIDE, 3 } }, { .rank = 2, .dim = { BATCH, 5 } } } };
    each_barrier_of(ctx, several_outputs(ctx), TLVK__PLAN_TRAIN, &(tlvk_optimizer){ .kind = TLVK_ADAM, .clipnorm = 1 }, desc);
}

/* Picture layers before the model. */
static void test_augmented_training_without_a_barrier(void **state) {
    (void)state;
    tlvk_context *ctx = validated_context(false);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 }, .name = "before" });
    tlvk_model *augmentation = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { tlvk_dropout(tlvk_rescaling(in, 0.5f, 0, "half"), 0.2f, "drop") } }, &augmentation));
    tlvk__session_desc desc = { .objectives = { classes(1) }, .inputs = { { .rank = 4, .dim = { BATCH, NET_SIDE, NET_SIDE, 3 } } }, .augmentation = augmentation };
    tlvk_model *model = small_network(ctx, 3);
    assert_api(ctx, tlvk_model_set_trainable(model, ":9", false));
    each_barrier_of(ctx, model, TLVK__PLAN_TRAIN, &(tlvk_optimizer){ .kind = TLVK_SGD }, desc);
    tlvk_model_destroy(augmentation);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_run_is_silent), cmocka_unit_test(test_run_on_cached_prefix_is_silent), cmocka_unit_test(test_run_on_the_floor_is_silent),
        cmocka_unit_test(test_what_the_layer_sees),
        cmocka_unit_test(test_training_without_a_barrier), cmocka_unit_test(test_training_on_the_floor_without_a_barrier),
        cmocka_unit_test(test_part_of_a_network_without_a_barrier), cmocka_unit_test(test_inference_mode_without_a_barrier), cmocka_unit_test(test_prediction_without_a_barrier),
        cmocka_unit_test(test_evaluation_without_a_barrier), cmocka_unit_test(test_several_outputs_without_a_barrier), cmocka_unit_test(test_augmented_training_without_a_barrier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
