/* test_refusals.c - what does not fit: models larger than any memory, steps larger than the device's, and disks that are full. Each is refused with
 * the right status and a text that says what was asked, nothing half-written stays, nothing leaks on the device, and the context goes on working. */
#define _POSIX_C_SOURCE 200809L

#include "support/nets.h"
#include "train/session_internal.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define SAMPLES 45
#define BATCH 16

static void assert_said(tlvk_context *ctx, tlvk_status status, tlvk_status wanted, const char *words) {
    if (status != wanted) fail_msg("status %d where %d is wanted: %s", status, wanted, status ? tlvk_last_error(ctx) : "no error");
    if (!strstr(tlvk_last_error(ctx), words)) fail_msg("\"%s\" does not say \"%s\"", tlvk_last_error(ctx), words);
}

static uint64_t memory_now(tlvk_context *ctx) {
    uint64_t now;
    tlvk__device_memory_use(net_device(ctx), &now, NULL);
    return now;
}

/* A whole small training on the context. */
static void assert_still_works(tlvk_context *ctx) {
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 } });
    tlvk_tensor x = tlvk_dense(tlvk_global_average_pooling2d(in, NULL), &(tlvk_dense_desc){ .units = NET_CLASSES, .activation = TLVK_SOFTMAX });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, &model));
    tlvk_dataset *data = small_data(ctx, 8, 4, 1);
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }));
    assert_api(ctx, tlvk_model_fit(model, data, NULL, NULL));
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
}

/* --- calls that a running fit cannot stand ------------------------------------------------------------------------------------------------- */

typedef struct meddler { tlvk_context *ctx; tlvk_model *model; tlvk_dataset *data; int asked; } meddler;

static tlvk_verdict meddle(const tlvk_event *event, void *user) {
    meddler *m = user;
    tlvk_logs logs;
    static const float x[NET_SIDE * NET_SIDE * 3], y[1];
    (void)event;
    assert_said(m->ctx, tlvk_model_compile(m->model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }), TLVK_ERROR_ARGUMENT, "is being trained");
    assert_said(m->ctx, tlvk_model_fit(m->model, m->data, NULL, NULL), TLVK_ERROR_ARGUMENT, "is being trained");
    assert_said(m->ctx, tlvk_model_train_on_batch(m->model, x, y, 1, &logs), TLVK_ERROR_ARGUMENT, "is being trained");
    assert_said(m->ctx, tlvk_model_pop(m->model), TLVK_ERROR_ARGUMENT, "is being trained");
    assert_api(m->ctx, tlvk_model_evaluate(m->model, m->data, &logs));
    m->asked++;
    return TLVK_CONTINUE;
}

/* A callback may look at the model; what would take the fit's own things away is refused, and the fit goes on. */
static void test_callbacks_that_change_the_model(void **state) {
    (void)state;
    meddler m = { .ctx = net_context(NULL) };
    m.model = small_network(m.ctx, 3);
    m.data = small_data(m.ctx, 8, 4, 1);
    assert_api(m.ctx, tlvk_model_compile(m.model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }));
    assert_api(m.ctx, tlvk_model_fit(m.model, m.data, &(tlvk_fit_desc){ .callback = meddle, .callback_user = &m }, NULL));
    assert_true(m.asked >= 4);
    assert_api(m.ctx, tlvk_model_fit(m.model, m.data, NULL, NULL));
    tlvk_dataset_destroy(m.data);
    tlvk_model_destroy(m.model);
    tlvk_context_destroy(m.ctx);
}

/* --- models larger than any memory ------------------------------------------------------------------------------------------------------- */

static void ignore_entry(const tlvk_trace_entry *e, void *user) {
    (void)e;
    (void)user;
}

/* Creates the model that ends in y and tries to run it, forward and as a step; what is said names the layer and the size. */
static void assert_too_large(tlvk_context *ctx, tlvk_tensor in, tlvk_tensor y, const char *words, const char *words_of_training) {
    tlvk_model *model = NULL;
    tlvk_status st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { y } }, &model);
    if (st) {
        assert_said(ctx, st, TLVK_ERROR_MEMORY, words);
        return;
    }
    for (int train = 0; train < 2; train++) {
        st = tlvk_model_trace(model, 1, train, ignore_entry, NULL);
        assert_said(ctx, st, TLVK_ERROR_MEMORY, train ? words_of_training : words);
    }
    tlvk_model_destroy(model);
    assert_true(memory_now(ctx) == 0);
}

static void test_models_beyond_any_memory(void **state) {
    (void)state;
    const int64_t huge = 1000000000;
    tlvk_context *ctx = net_context(NULL);
    tlvk_tensor picture = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { huge, huge, 3 } }), flat = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { huge, huge, 3 } });
    tlvk_tensor row = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { huge } });
    tlvk_tensor large = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { 9999, 9999, 3 } });
    tlvk_tensor conv = tlvk_conv2d(picture, &(tlvk_conv2d_desc){ .filters = 8, .kernel_size = { 3 } });
    tlvk_tensor wide = tlvk_conv2d(large, &(tlvk_conv2d_desc){ .filters = 64, .kernel_size = { 3 }, .strides = { 2 }, .name = "wide" });
    assert_too_large(ctx, picture, tlvk_global_average_pooling2d(conv, NULL), "(1, 1000000000, 1000000000, 3)", "(1, 1000000000, 1000000000, 3)");
    assert_too_large(ctx, flat, tlvk_dense(tlvk_flatten(flat, NULL), &(tlvk_dense_desc){ .units = 2 }), "kernel of shape (3000000000000000000, 2)", "");
    assert_too_large(ctx, row, tlvk_dense(row, &(tlvk_dense_desc){ .units = (int)huge, .name = "square" }), "square: ", "1000000000 numbers");
    assert_too_large(ctx, large, tlvk_global_average_pooling2d(wide, NULL), "wide: one sample of 24990001 x 64 numbers", "wide: one sample of 24990001 x 64 numbers");
    assert_still_works(ctx);
    tlvk_context_destroy(ctx);
}

/* --- memory_limit -------------------------------------------------------------------------------------------------------------------------- */

static tlvk_context *limited_context(uint64_t bytes) {
    tlvk_context *ctx = NULL;
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = "", .memory_limit = bytes }, &ctx), TLVK_OK);
    net_device(ctx);
    return ctx;
}

static tlvk_status fit_small(tlvk_context *ctx, tlvk_model *model, tlvk_dataset *data) {
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }));
    return tlvk_model_fit(model, data, &(tlvk_fit_desc){ .validation = data }, NULL);
}

static uint64_t peak_of_fit(void) {
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *model = small_network(ctx, 3);
    tlvk_dataset *data = small_data(ctx, SAMPLES, BATCH, 1);
    uint64_t peak;
    assert_api(ctx, tlvk_model_set_trainable(model, ":3", false)); /* so that there is a cached prefix too */
    assert_api(ctx, fit_small(ctx, model, data));
    tlvk__device_memory_use(net_device(ctx), NULL, &peak);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    return peak;
}

/* Limits from nothing to enough, so that every allocation of a run is the one that is refused in some round. */
static void test_every_allocation_may_be_refused(void **state) {
    (void)state;
    uint64_t peak = peak_of_fit();
    int refused = 0, rounds = 24;
    tlvk_status last = TLVK_ERROR_MEMORY;
    for (int i = 1; i <= rounds; i++) {
        tlvk_context *ctx = limited_context(peak * (uint64_t)i / (uint64_t)rounds);
        tlvk_model *model = small_network(ctx, 3);
        tlvk_dataset *data = small_data(ctx, SAMPLES, BATCH, 1);
        tlvk_logs logs;
        float scores[SAMPLES * NET_CLASSES];
        size_t count;
        assert_api(ctx, tlvk_model_set_trainable(model, ":3", false));
        float *before = all_weights(model, &count);
        last = fit_small(ctx, model, data);
        if (last) {
            assert_said(ctx, last, TLVK_ERROR_MEMORY, "bytes");
            float *after = all_weights(model, &count);
            assert_memory_equal(before, after, count * sizeof *after);
            free(after);
            refused++;
        }
        tlvk_status st = tlvk_model_evaluate(model, data, &logs);
        if (st) assert_said(ctx, st, TLVK_ERROR_MEMORY, "bytes");
        st = tlvk_model_predict(model, data, scores, TLVK__COUNT(scores));
        if (st) assert_said(ctx, st, TLVK_ERROR_MEMORY, "bytes");
        free(before);
        tlvk_dataset_destroy(data);
        tlvk_model_destroy(model);
        assert_true(memory_now(ctx) == 0);
        tlvk_context_destroy(ctx);
    }
    print_message("%d of %d limits up to %llu bytes refuse the run\n", refused, rounds, (unsigned long long)peak);
    assert_true(refused > 3 && refused < rounds);
    assert_int_equal(last, TLVK_OK);
}

/* A batch that is too large is refused, and smaller ones go on where the training stood. */
static void test_smaller_batches_go_on(void **state) {
    (void)state;
    enum { LARGE = 512 };
    size_t pixels = NET_SIDE * NET_SIDE * 3;
    float *x = calloc(LARGE * pixels, sizeof *x), *y = calloc(LARGE, sizeof *y);
    assert_true(x && y);
    for (size_t i = 0; i < LARGE * pixels; i++) x[i] = (float)(i % 97) / 97.0f;
    float *weights[2];
    size_t count = 0;
    for (int with_refusal = 0; with_refusal < 2; with_refusal++) {
        tlvk_context *ctx = limited_context(peak_of_fit() * 2);
        tlvk_model *model = small_network(ctx, 3);
        tlvk_logs logs;
        assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY } }));
        for (int step = 0; step < 3; step++) {
            assert_api(ctx, tlvk_model_train_on_batch(model, x, y, 4 + step, &logs));
            if (with_refusal) assert_said(ctx, tlvk_model_train_on_batch(model, x, y, LARGE, &logs), TLVK_ERROR_MEMORY, "bytes");
        }
        weights[with_refusal] = all_weights(model, &count);
        assert_still_works(ctx);
        tlvk_model_destroy(model);
        assert_true(memory_now(ctx) == 0);
        tlvk_context_destroy(ctx);
    }
    assert_memory_equal(weights[0], weights[1], count * sizeof(float));
    free(weights[0]);
    free(weights[1]);
    free(x);
    free(y);
}

/* A metric that does not go with the loss is told when the step is recorded. */
static void test_what_cannot_be_recorded_is_told_again(void **state) {
    (void)state;
    const float x[2 * NET_SIDE * NET_SIDE * 3] = { 1 }, y[2 * NET_CLASSES] = { 1, [NET_CLASSES] = 1 };
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *model = small_network(ctx, 3);
    tlvk_logs logs;
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .loss = { .kind = TLVK_CATEGORICAL_CROSSENTROPY }, .metrics = { TLVK_SPARSE_CATEGORICAL_ACCURACY } }));
    for (int time = 0; time < 3; time++) assert_said(ctx, tlvk_model_train_on_batch(model, x, y, 2, &logs), TLVK_ERROR_ARGUMENT, "metric");
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .loss = { .kind = TLVK_CATEGORICAL_CROSSENTROPY }, .metrics = { TLVK_ACCURACY } }));
    assert_api(ctx, tlvk_model_train_on_batch(model, x, y, 2, &logs));
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

/* --- full disks ------------------------------------------------------------------------------------------------------------------------------ */

static struct rlimit file_limit; /* as it was */

/* From here on files end at `bytes`. Not for what runs on the device meanwhile, since newer software drivers take memory from a file: there
 * /dev/full stands in for one file. */
static void disk_full(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &file_limit);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ bytes, file_limit.rlim_max });
}

static void disk_free(void) { setrlimit(RLIMIT_FSIZE, &file_limit); }

/* An empty folder for one test; the caller frees. */
static char *empty_folder(const char *name) {
    char *folder = temp_path(name);
    tlvk__dir_entry *entries;
    size_t count;
    assert_int_equal(tlvk__make_folders(folder), TLVK_OK);
    assert_int_equal(tlvk__list_folder(folder, &entries, &count), TLVK_OK);
    for (size_t i = 0; i < count; i++) {
        char *path = tlvk__format("%s/%s", folder, entries[i].name);
        tlvk__file_remove(path);
        free(path);
    }
    tlvk__dir_entries_free(entries, count);
    return folder;
}

static size_t files_in(const char *folder) {
    tlvk__dir_entry *entries;
    size_t count;
    assert_int_equal(tlvk__list_folder(folder, &entries, &count), TLVK_OK);
    tlvk__dir_entries_free(entries, count);
    return count;
}

/* The next file that is written beside `path` to take its place is /dev/full. */
static void next_write_finds_no_place(const char *path) {
    char *name = tlvk__file_temp_name(path), *number = strrchr(name, '-') + 1;
    char *next = tlvk__format("%.*s%lu", (int)(number - name), name, strtoul(number, NULL, 10) + 1);
    assert_int_equal(symlink("/dev/full", next), 0);
    free(name);
    free(next);
}

typedef struct full_run { tlvk_context *ctx; tlvk_model *model; tlvk_dataset *data; tlvk_history *history; const char *checkpoint; } full_run;

/* The disk is full for the second checkpoint. */
static tlvk_verdict fill_disk(const tlvk_event *event, void *user) {
    const full_run *r = user;
    if (event->kind == TLVK_EVENT_EPOCH_END && event->epoch == 1) next_write_finds_no_place(r->checkpoint);
    return TLVK_CONTINUE;
}

static full_run start_run(const char *cache_folder) {
    full_run r = { .ctx = net_context(cache_folder) };
    r.model = small_network(r.ctx, 3);
    r.data = small_data(r.ctx, SAMPLES, BATCH, 1);
    assert_api(r.ctx, tlvk_model_set_trainable(r.model, ":3", false));
    assert_api(r.ctx, tlvk_model_compile(r.model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }));
    return r;
}

static void end_run(full_run *r) {
    tlvk_history_destroy(r->history);
    tlvk_dataset_destroy(r->data);
    tlvk_model_destroy(r->model);
    assert_true(memory_now(r->ctx) == 0);
    tlvk_context_destroy(r->ctx);
}

/* The checkpoint of the epoch before stays whole, and a run that goes on from it gives the unbroken one's bytes. */
static void test_full_disk_at_a_checkpoint(void **state) {
    (void)state;
    char *folder = empty_folder("full-checkpoint"), *path = tlvk__format("%s/c", folder);
    full_run whole = start_run(NULL), full = start_run(NULL), resumed = start_run(NULL);
    full.checkpoint = path;
    assert_api(whole.ctx, tlvk_model_fit(whole.model, whole.data, &(tlvk_fit_desc){ .epochs = 3 }, &whole.history));
    tlvk_status st = tlvk_model_fit(full.model, full.data, &(tlvk_fit_desc){ .epochs = 3, .checkpoint = path, .callback = fill_disk, .callback_user = &full }, NULL);
    assert_said(full.ctx, st, TLVK_ERROR_FILE, path);
    assert_int_equal(files_in(folder), 1);
    assert_api(resumed.ctx, tlvk_model_fit(resumed.model, resumed.data, &(tlvk_fit_desc){ .epochs = 3, .resume = path }, &resumed.history));
    assert_same_weights(whole.model, resumed.model);
    assert_same_history(whole.history, resumed.history);
    assert_api(full.ctx, tlvk_model_fit(full.model, full.data, &(tlvk_fit_desc){ .epochs = 1, .checkpoint = path }, NULL));
    end_run(&whole);
    end_run(&full);
    end_run(&resumed);
    free(empty_folder("full-checkpoint"));
    free(folder);
    free(path);
}

/* The one file of a folder; the caller frees. */
static char *only_file(const char *folder) {
    tlvk__dir_entry *entries;
    size_t count;
    assert_int_equal(tlvk__list_folder(folder, &entries, &count), TLVK_OK);
    assert_int_equal(count, 1);
    char *path = tlvk__format("%s/%s", folder, entries[0].name);
    tlvk__dir_entries_free(entries, count);
    return path;
}

/* The first run shows the name of the file; the second finds no place in it, and goes on from one that was cut within a picture's features. */
static void test_full_disk_at_features(void **state) {
    (void)state;
    char *folder = temp_path("full-features"), *features = empty_folder("full-features/features");
    full_run first = start_run(folder), full = start_run(folder);
    const tlvk_fit_desc fit = { .epochs = 2, .cache = TLVK_CACHE_DISK };
    void *content;
    size_t size;
    assert_api(first.ctx, tlvk_model_fit(first.model, first.data, &fit, &first.history));
    char *path = only_file(features);
    assert_int_equal(tlvk__file_read(path, &content, &size, 1 << 26), TLVK_OK);
    tlvk__file_remove(path);
    assert_int_equal(symlink("/dev/full", path), 0);
    assert_said(full.ctx, tlvk_model_fit(full.model, full.data, &fit, NULL), TLVK_ERROR_FILE, path);
    assert_non_null(strstr(tlvk_last_error(full.ctx), "full"));
    tlvk__file_remove(path);
    assert_int_equal(tlvk__file_replace(path, content, size * 2 / 3), TLVK_OK);
    assert_api(full.ctx, tlvk_model_fit(full.model, full.data, &fit, &full.history));
    assert_same_weights(first.model, full.model);
    assert_same_history(first.history, full.history);
    end_run(&first);
    end_run(&full);
    free(empty_folder("full-features/features"));
    free(content);
    free(path);
    free(features);
    free(folder);
}

/* Model, weights and history: the file that was there stays as it was, and nothing lies beside it. */
static void test_full_disk_at_results(void **state) {
    (void)state;
    char *folder = empty_folder("full-results"), *names[3];
    full_run r = start_run(NULL);
    assert_api(r.ctx, tlvk_model_fit(r.model, r.data, NULL, &r.history));
    for (int i = 0; i < 3; i++) {
        names[i] = tlvk__format("%s/%d.%s", folder, i, i == 2 ? "csv" : "h5");
        void *data;
        size_t size;
        assert_int_equal(tlvk__file_replace(names[i], "before", 6), TLVK_OK);
        disk_full(64);
        tlvk_status st = i == 0 ? tlvk_model_save(r.model, names[i]) : i == 1 ? tlvk_model_save_weights(r.model, names[i]) : tlvk_history_save_csv(r.history, names[i]);
        disk_free();
        assert_said(i == 2 ? NULL : r.ctx, st, TLVK_ERROR_FILE, names[i]);
        assert_int_equal(tlvk__file_read(names[i], &data, &size, 1 << 20), TLVK_OK);
        assert_true(size == 6 && memcmp(data, "before", 6) == 0);
        free(data);
    }
    assert_int_equal(files_in(folder), 3);
    assert_api(r.ctx, tlvk_model_save(r.model, names[0]));
    for (int i = 0; i < 3; i++) free(names[i]);
    free(empty_folder("full-results"));
    free(folder);
    end_run(&r);
}

/* The pipeline cache is written when the device goes: no place for it is no error, and no half of it stays. */
static void test_full_disk_at_the_pipeline_cache(void **state) {
    (void)state;
    char *folder = empty_folder("full-cache");
    tlvk_context *ctx = net_context(folder);
    assert_still_works(ctx);
    disk_full(16);
    tlvk_context_destroy(ctx);
    disk_free();
    size_t files = 0, count;
    tlvk__dir_entry *entries;
    assert_int_equal(tlvk__list_folder(folder, &entries, &count), TLVK_OK);
    for (size_t i = 0; i < count; i++) files += !entries[i].folder;
    tlvk__dir_entries_free(entries, count);
    assert_int_equal(files, 0);
    ctx = net_context(folder);
    assert_still_works(ctx);
    tlvk_context_destroy(ctx);
    free(empty_folder("full-cache"));
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_callbacks_that_change_the_model),
        cmocka_unit_test(test_models_beyond_any_memory), cmocka_unit_test(test_every_allocation_may_be_refused), cmocka_unit_test(test_smaller_batches_go_on),
        cmocka_unit_test(test_what_cannot_be_recorded_is_told_again),
        cmocka_unit_test(test_full_disk_at_a_checkpoint), cmocka_unit_test(test_full_disk_at_features), cmocka_unit_test(test_full_disk_at_results),
        cmocka_unit_test(test_full_disk_at_the_pipeline_cache),
    };
    signal(SIGXFSZ, SIG_IGN); /* so that writing beyond the limit fails instead */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
