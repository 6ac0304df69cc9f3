/* test_tune.c - kernels chosen by measurement in whole runs: choices are made once and stay, whatever happens to their file; no choice lets a sample's bits
 * depend on its batch; a resumed run goes by the choices it began with; the bound on time; and the static tables where they were asked for. */
#include "support/nets.h"
#include "train/tune.h"

enum { SAMPLES = 24, EPOCHS = 4, HALF = 2, MOST_FORCED = 8 };

static char *folder;

/* How many candidates were timed, which the log tells. */
static int timed;
static void count_timed(tlvk_log_level level, const char *text, void *user) {
    (void)user;
    timed += level == TLVK_LOG_DEBUG && strncmp(text, "tuning: ", 8) == 0;
}

static tlvk_context *tuned_context(tlvk_tune tune) {
    tlvk_context *ctx = NULL;
    tlvk__device *device;
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = folder, .tune = tune, .log = count_timed, .log_level = TLVK_LOG_DEBUG }, &ctx), TLVK_OK);
    const tlvk_status status = tlvk__context_device(ctx, &device);
    if (status) {
        tlvk_context_destroy(ctx);
        net_no_device(status);
    }
    return ctx;
}

static char *choices_file(tlvk_context *ctx) {
    char *path = tlvk__choices_path(tlvk__device_caps(net_device(ctx)), folder);
    assert_non_null(path);
    return path;
}

static int setup(void **state) {
    (void)state;
    folder = temp_path("tune-cache");
    return tlvk__make_folders(folder) != TLVK_OK;
}

static int teardown(void **state) {
    (void)state;
    free(folder);
    return 0;
}

/* The file is as if nothing was ever measured. */
static int forget(void **state) {
    (void)state;
    tlvk_context *ctx = NULL;
    tlvk__device *device;
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = folder }, &ctx), TLVK_OK);
    if (!tlvk__context_device(ctx, &device)) {
        char *path = choices_file(ctx);
        tlvk__file_remove(path);
        free(path);
    }
    tlvk_context_destroy(ctx);
    return 0;
}

/* Turns every choice of the file about: what went by Winograd goes by a product, and what can goes by Winograd. Returns how many are others now. */
static int turn_choices(tlvk_context *ctx) {
    const tlvk__caps *caps = tlvk__device_caps(net_device(ctx));
    char *path = choices_file(ctx);
    tlvk__choices *c = tlvk__choices_create();
    int turned = 0;
    assert_int_equal(tlvk__choices_load(caps, path, c), TLVK_OK);
    for (size_t i = 0; i < tlvk__choices_count(c); i++) {
        tlvk__choice_key key;
        int32_t value;
        tlvk__choices_at(c, i, &key, &value);
        bool able = key.kind == TLVK__CHOICE_CONV && key.n[4] == 3 && key.n[5] == 3 && key.n[6] == 1 && key.n[7] == 1;
        if (!able) continue;
        assert_int_equal(tlvk__choices_put(c, &key, value == TLVK__CHOICE_WINOGRAD ? 0 : TLVK__CHOICE_WINOGRAD), TLVK_OK);
        turned++;
    }
    tlvk__file_remove(path);
    assert_int_equal(tlvk__choices_store(caps, path, c), TLVK_OK);
    tlvk__choices_destroy(c);
    free(path);
    return turned;
}

typedef struct trained { float *weights; size_t count; tlvk_history *history; tlvk_model *model; tlvk_context *ctx; } trained;

static trained train(tlvk_tune tune, bool deterministic, const tlvk_fit_desc *fit) {
    trained t = { .ctx = tuned_context(tune) };
    t.model = small_network(t.ctx, 3);
    tlvk_dataset *data = small_data(t.ctx, SAMPLES, 8, 1);
    assert_api(t.ctx, tlvk_model_compile(t.model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_ADAM }, .deterministic = deterministic }));
    assert_api(t.ctx, tlvk_model_fit(t.model, data, fit, &t.history));
    t.weights = all_weights(t.model, &t.count);
    tlvk_dataset_destroy(data);
    return t;
}

static void drop(trained *t) {
    free(t->weights);
    tlvk_history_destroy(t->history);
    tlvk_model_destroy(t->model);
    tlvk_context_destroy(t->ctx);
}

static bool same_weights(const trained *a, const trained *b) {
    assert_int_equal(a->count, b->count);
    return memcmp(a->weights, b->weights, a->count * sizeof *a->weights) == 0;
}

static bool same_choices(const trained *a, const trained *b) {
    int i = 0;
    for (; tlvk_history_choice(a->history, i) && tlvk_history_choice(b->history, i); i++) {
        if (strcmp(tlvk_history_choice(a->history, i), tlvk_history_choice(b->history, i)) != 0) return false;
    }
    return i > 0 && !tlvk_history_choice(a->history, i) && !tlvk_history_choice(b->history, i);
}

/* --- made once ---------------------------------------------------------------------------------------------------------------------------- */

/* A second process would do what the second context does here: the file decides, also where measuring would not. */
static void test_restart(void **state) {
    (void)state;
    const tlvk_fit_desc fit = { .epochs = 1, .seed = 4 };
    timed = 0;
    trained first = train(TLVK_TUNE_ON, false, &fit);
    assert_true(timed > 8);
    timed = 0;
    trained second = train(TLVK_TUNE_ON, false, &fit);
    assert_int_equal(timed, 0);
    assert_true(same_choices(&first, &second));
    assert_true(same_weights(&first, &second));
    assert_true(turn_choices(first.ctx) > 2);
    trained third = train(TLVK_TUNE_ON, false, &fit);
    assert_false(same_choices(&first, &third));
    assert_false(same_weights(&first, &third));
    drop(&first);
    drop(&second);
    drop(&third);
}

/* A file cut short, and one full of something else: measured anew, and written anew. */
static void test_damaged_file(void **state) {
    (void)state;
    const tlvk_fit_desc fit = { .epochs = 1, .seed = 4 };
    tlvk_context *ctx = tuned_context(TLVK_TUNE_OFF);
    char *path = choices_file(ctx);
    assert_int_equal(tlvk__file_replace(path, "tlvktu1 and no more", 19), TLVK_OK);
    trained t = train(TLVK_TUNE_ON, false, &fit);
    tlvk__choices *c = tlvk__choices_create();
    assert_int_equal(tlvk__choices_load(tlvk__device_caps(net_device(ctx)), path, c), TLVK_OK);
    assert_true(tlvk__choices_count(c) > 4);
    assert_non_null(tlvk_history_choice(t.history, (int)tlvk__choices_count(c) - 1));
    tlvk__choices_destroy(c);
    drop(&t);
    tlvk_context_destroy(ctx);
    free(path);
}

static void test_static_where_asked(void **state) {
    (void)state;
    const tlvk_fit_desc fit = { .epochs = 1, .seed = 4 };
    trained off = train(TLVK_TUNE_OFF, false, &fit), by_default = train(TLVK_TUNE_DEFAULT, false, &fit), asked = train(TLVK_TUNE_ON, true, &fit);
    assert_null(tlvk_history_choice(off.history, 0));
    assert_null(tlvk_history_choice(by_default.history, 0));
    assert_null(tlvk_history_choice(asked.history, 0));
    assert_true(same_weights(&off, &asked));
    assert_true(same_weights(&off, &by_default));
    drop(&off);
    drop(&by_default);
    drop(&asked);
}

/* No time at all: the standard candidate everywhere, at once, and kept as any other choice. */
static void test_time_bound(void **state) {
    (void)state;
    tlvk_context *ctx = tuned_context(TLVK_TUNE_OFF);
    tlvk__device *d = net_device(ctx);
    tlvk_model *model = small_network(ctx, 3);
    tlvk__flat flat;
    tlvk__plan *plan;
    tlvk__choices *made = tlvk__choices_create(), *again = tlvk__choices_create();
    tlvk__shape input = { 4, { 8, NET_SIDE, NET_SIDE, 3 } };
    assert_int_equal(tlvk__model_flatten(model, &flat), TLVK_OK);
    assert_int_equal(tlvk__plan_create(&(tlvk__plan_desc){ .flat = &flat, .caps = tlvk__device_caps(d), .inputs = &input, .mode = TLVK__PLAN_PREDICT }, &plan), TLVK_OK);
    const double began = tlvk__now_seconds();
    timed = 0;
    assert_int_equal(tlvk__tune(ctx, d, plan, 0, made), TLVK_OK);
    assert_true(tlvk__now_seconds() - began < 1);
    assert_int_equal(tlvk__choices_count(made), 4); /* two convolutions, a depthwise one, a Dense */
    for (size_t i = 0; i < tlvk__choices_count(made); i++) {
        tlvk__choice_key key;
        int32_t value;
        tlvk__choices_at(made, i, &key, &value);
        if (key.kind == TLVK__CHOICE_DEPTHWISE) assert_int_equal(value, 0);
        else assert_int_not_equal(value, TLVK__CHOICE_WINOGRAD);
    }
    assert_int_equal(tlvk__tune(ctx, d, plan, 60, again), TLVK_OK);
    assert_int_equal(timed, 0);
    for (size_t i = 0; i < tlvk__choices_count(made); i++) {
        tlvk__choice_key key;
        int32_t value, later;
        tlvk__choices_at(made, i, &key, &value);
        assert_true(tlvk__choices_find(again, &key, &later));
        assert_int_equal(value, later);
    }
    tlvk__choices_destroy(made);
    tlvk__choices_destroy(again);
    tlvk__plan_destroy(plan);
    tlvk__flat_free(&flat);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

/* --- bits ------------------------------------------------------------------------------------------------------------------------------------ */

static void predict(tlvk_context *ctx, tlvk_model *model, int batch, float scores[SAMPLES * NET_CLASSES]) {
    tlvk_dataset *data = small_data(ctx, SAMPLES, batch, 1);
    assert_api(ctx, tlvk_model_predict(model, data, scores, SAMPLES * NET_CLASSES));
    tlvk_dataset_destroy(data);
}

static void assert_no_batch(tlvk_context *ctx) {
    float one[SAMPLES * NET_CLASSES], three[SAMPLES * NET_CLASSES], eight[SAMPLES * NET_CLASSES];
    tlvk_model *model = small_network(ctx, 3);
    predict(ctx, model, 1, one);
    predict(ctx, model, 3, three);
    predict(ctx, model, 8, eight);
    assert_memory_equal(one, three, sizeof one);
    assert_memory_equal(one, eight, sizeof one);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

static void test_no_batch_tuned(void **state) {
    (void)state;
    assert_no_batch(tuned_context(TLVK_TUNE_ON));
}

static void test_no_batch_forced(void **state) {
    (void)state;
    for (int k = 1; k <= MOST_FORCED; k++) assert_no_batch(net_context_on(&(tlvk__device_desc){ .forced_choice = k }));
}

/* Trained with each candidate in turn: the same curve but for rounding. */
static void test_training_forced(void **state) {
    (void)state;
    double first = 0;
    for (int k = 1; k <= MOST_FORCED; k++) {
        tlvk_context *ctx = net_context_on(&(tlvk__device_desc){ .forced_choice = k });
        tlvk_model *model = small_network(ctx, 3);
        tlvk_dataset *data = small_data(ctx, SAMPLES, 8, 1);
        tlvk_history *history;
        tlvk_logs logs;
        assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_SGD, .learning_rate = 0.05f } }));
        assert_api(ctx, tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = 2, .seed = 4 }, &history));
        assert_int_equal(tlvk_history_logs(history, -1, &logs), TLVK_OK);
        if (k == 1) first = logs.loss;
        if (!(fabs(logs.loss - first) <= 2e-5 * fabs(first))) fail_msg("candidate %d: loss %.9g, the standard's %.9g", k, logs.loss, first);
        tlvk_history_destroy(history);
        tlvk_dataset_destroy(data);
        tlvk_model_destroy(model);
        tlvk_context_destroy(ctx);
    }
}

/* --- resumed ------------------------------------------------------------------------------------------------------------------------------- */

/* Between the halves somebody has measured otherwise. */
static void test_resume(void **state) {
    (void)state;
    char *path = temp_path("tuned.checkpoint");
    trained whole = train(TLVK_TUNE_ON, false, &(tlvk_fit_desc){ .epochs = EPOCHS, .seed = 4 });
    trained half = train(TLVK_TUNE_ON, false, &(tlvk_fit_desc){ .epochs = HALF, .seed = 4, .checkpoint = path });
    assert_true(turn_choices(whole.ctx) > 2);
    trained resumed = train(TLVK_TUNE_ON, false, &(tlvk_fit_desc){ .epochs = EPOCHS, .seed = 4, .resume = path });
    trained other = train(TLVK_TUNE_ON, false, &(tlvk_fit_desc){ .epochs = EPOCHS, .seed = 4 });
    trained untuned = train(TLVK_TUNE_OFF, false, &(tlvk_fit_desc){ .epochs = EPOCHS, .seed = 4, .resume = path });
    assert_true(same_weights(&whole, &resumed));
    assert_true(same_choices(&whole, &resumed));
    assert_true(same_weights(&whole, &untuned));
    assert_false(same_weights(&whole, &other));
    drop(&whole);
    drop(&half);
    drop(&resumed);
    drop(&other);
    drop(&untuned);
    tlvk__file_remove(path);
    free(path);
}

/* Makes a checkpoint without choices one of an older form, that has neither their number nor, behind it, the size of the parts. */
static void make_older(const char *path, char form, size_t epochs) {
    void *data;
    size_t size, at = 8 + sizeof(tlvk__progress) + sizeof(tlvk_optimizer) + 2 * sizeof(uint32_t) + sizeof(uint64_t) + epochs * sizeof(tlvk_logs);
    size_t left_out = form == '5' ? sizeof(uint64_t) + sizeof(int64_t) : sizeof(int64_t);
    assert_int_equal(tlvk__file_read(path, &data, &size, (size_t)1 << 30), TLVK_OK);
    unsigned char *bytes = data;
    assert_int_equal(bytes[7], '7');
    bytes[7] = (unsigned char)form;
    if (form == '6') at += sizeof(uint64_t);
    memmove(bytes + at, bytes + at + left_out, size - at - left_out);
    size -= left_out + sizeof(tlvk__hash);
    tlvk__hash hash;
    tlvk__hash_init(&hash);
    tlvk__hash_add(&hash, bytes, size);
    memcpy(bytes + size, &hash, sizeof hash);
    assert_int_equal(tlvk__file_replace(path, bytes, size + sizeof hash), TLVK_OK);
    free(data);
}

/* The fit that wrote a checkpoint of an older form knew the static tables alone, or did not tell the size of its parts. */
static void test_resume_older(void **state) {
    (void)state;
    char *path = temp_path("older.checkpoint");
    trained whole = train(TLVK_TUNE_OFF, false, &(tlvk_fit_desc){ .epochs = EPOCHS, .seed = 4 });
    for (char form = '5'; form < '7'; form++) {
        trained half = train(TLVK_TUNE_OFF, false, &(tlvk_fit_desc){ .epochs = HALF, .seed = 4, .checkpoint = path });
        make_older(path, form, HALF);
        trained resumed = train(TLVK_TUNE_ON, false, &(tlvk_fit_desc){ .epochs = EPOCHS, .seed = 4, .resume = path });
        assert_true(same_weights(&whole, &resumed));
        assert_null(tlvk_history_choice(resumed.history, 0));
        drop(&half);
        drop(&resumed);
        tlvk__file_remove(path);
    }
    drop(&whole);
    free(path);
}

/* Cached features of the frozen part are those of the choices they were made with. */
static void test_cached_features(void **state) {
    (void)state;
    float cached[SAMPLES * NET_CLASSES], uncached[SAMPLES * NET_CLASSES];
    for (int k = 0; k < 2; k++) {
        for (int off = 0; off < 2; off++) {
            tlvk_context *ctx = tuned_context(TLVK_TUNE_ON);
            tlvk_model *model = small_network(ctx, 3);
            tlvk_dataset *data = small_data(ctx, SAMPLES, 8, 1);
            assert_api(ctx, tlvk_model_set_trainable(model, "*", false));
            assert_api(ctx, tlvk_model_set_trainable(model, "dense", true));
            assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_SGD } }));
            assert_api(ctx, tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = 2, .cache = off ? TLVK_CACHE_OFF : TLVK_CACHE_DISK }, NULL));
            predict(ctx, model, 8, off ? uncached : cached);
            if (off && k == 0) assert_true(turn_choices(ctx) > 0);
            tlvk_dataset_destroy(data);
            tlvk_model_destroy(model);
            tlvk_context_destroy(ctx);
        }
        assert_memory_equal(cached, uncached, sizeof cached);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_restart, forget), cmocka_unit_test_setup(test_damaged_file, forget), cmocka_unit_test_setup(test_static_where_asked, forget),
        cmocka_unit_test_setup(test_time_bound, forget), cmocka_unit_test_setup(test_resume, forget), cmocka_unit_test_setup(test_resume_older, forget),
        cmocka_unit_test_setup(test_cached_features, forget), cmocka_unit_test(test_no_batch_tuned), cmocka_unit_test(test_no_batch_forced),
        cmocka_unit_test(test_training_forced),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
