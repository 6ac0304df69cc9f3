/* test_augmentation.c - picture layers before a model in training: the pictures are those of the preview, new in each epoch, the same for a seed
 * whatever the workers and interruptions, and neither validation nor evaluation sees them. */
#include "support/nets.h"
#include "support/pictures.h"

#include "data/picture.h"

#include <stdio.h>

#define SAMPLES 21
#define BATCH 8 /* a tail of 5 */
#define PIXELS (NET_SIDE * NET_SIDE * 3)

static tlvk_model *picture_layers(tlvk_context *ctx, tlvk_tensor in, tlvk_tensor x) {
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x }, .name = "picture_layers" }, &model));
    return model;
}

/* Mirrors, then sets half of the numbers to zero and doubles the others: what is below 128 stays a byte. */
static tlvk_model *exact_layers(tlvk_context *ctx) {
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 }, .name = "before" });
    return picture_layers(ctx, in, tlvk_dropout(tlvk_random_flip(in, TLVK_FLIP_HORIZONTAL_AND_VERTICAL, "flip"), 0.5f, "drop"));
}

/* The tutorials' layers, and one that is not random: it is for training alone too. */
static tlvk_model *tutorial_layers(tlvk_context *ctx) {
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 }, .name = "before" });
    tlvk_tensor x = tlvk_random_flip(tlvk_rescaling(in, 0.75f, 0, "darker"), TLVK_FLIP_HORIZONTAL, "flip");
    x = tlvk_random_rotation(x, &(tlvk_random_rotation_desc){ .factor = { 0.1f } });
    x = tlvk_random_zoom(x, &(tlvk_random_zoom_desc){ .height_factor = { 0.2f } });
    return picture_layers(ctx, in, tlvk_random_contrast(x, &(tlvk_random_color_desc){ .factor = { 0.3f } }));
}

/* A network without random layers of its own; `base` may be frozen. */
static tlvk_model *network(tlvk_context *ctx, bool own_dropout) {
    tlvk_set_random_seed(ctx, 8);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 }, .name = "in" });
    tlvk_tensor x = tlvk_rescaling(in, 1.0f / 255, 0, "scale");
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){ .filters = 8, .kernel_size = { 3 }, .activation = TLVK_RELU, .name = "base" });
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){ .name = "norm" });
    x = tlvk_global_average_pooling2d(x, "pool");
    if (own_dropout) x = tlvk_dropout(x, 0.5f, "own");
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = NET_CLASSES, .activation = TLVK_SOFTMAX, .name = "dense" });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x }, .name = "net" }, &model));
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_ADAM, .learning_rate = 3e-3f }, .metrics = { TLVK_ACCURACY } }));
    return model;
}

static tlvk_dataset *dataset_of(tlvk_context *ctx, const float *x, const float *y, bool no_shuffle) {
    tlvk_dataset *data = NULL;
    assert_api(ctx, tlvk_dataset_from_arrays(ctx, &(tlvk_array_desc){ .x = x, .x_shape = { SAMPLES, NET_SIDE, NET_SIDE, 3 }, .y = y, .y_shape = { SAMPLES }, .batch_size = BATCH, .no_shuffle = no_shuffle }, &data));
    return data;
}

/* Whole numbers 1 to 127. */
static tlvk_dataset *byte_data(tlvk_context *ctx, uint64_t seed) {
    float x[SAMPLES * PIXELS], y[SAMPLES];
    tlvk__rng rng;
    tlvk__rng_seed(&rng, seed, 2);
    for (size_t i = 0; i < TLVK__COUNT(x); i++) x[i] = (float)(1 + tlvk__rng_below(&rng, 127));
    for (int i = 0; i < SAMPLES; i++) y[i] = (float)(i % NET_CLASSES);
    return dataset_of(ctx, x, y, false);
}

/* --- the preview -------------------------------------------------------------------------------------------------------------------------- */

static void read_preview(const char *folder, int index, float *x) {
    char *path = tlvk__format("%s/%05d.png", folder, index);
    uint8_t file[8192], *pixels = NULL;
    int w = 0, h = 0;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t size = fread(file, 1, sizeof file, f);
    (void)fclose(f);
    assert_int_equal(tlvk__picture_decode(file, size, 3, &pixels, &w, &h), TLVK_OK);
    assert_true(w == NET_SIDE && h == NET_SIDE);
    for (int i = 0; i < PIXELS; i++) x[i] = (float)pixels[i];
    tlvk__pixels_free(pixels);
    tlvk__file_remove(path);
    free(path);
}

/* The pictures of one epoch, as the preview shows them, as data of their own in that order. */
static tlvk_dataset *previewed(tlvk_context *ctx, tlvk_model *augmentation, tlvk_dataset *data, uint64_t seed, int epoch, float x[SAMPLES * PIXELS]) {
    char *folder = temp_path("preview/of an epoch");
    int64_t order[SAMPLES];
    float y[SAMPLES];
    assert_api(ctx, tlvk_augmentation_preview(augmentation, data, seed, epoch, SAMPLES + 3, folder));
    assert_int_equal(tlvk__dataset_order(data, seed, (uint64_t)epoch, order), SAMPLES);
    for (int i = 0; i < SAMPLES; i++) {
        read_preview(folder, i, x + i * PIXELS);
        y[i] = (float)tlvk_dataset_label(data, order[i]);
    }
    free(folder);
    return dataset_of(ctx, x, y, true);
}

/* Two epochs with augmentation leave the weights that training on the preview's pictures of both epochs leaves. */
static void test_preview_is_what_fit_trains_on(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *augmentation = exact_layers(ctx), *a = network(ctx, false), *b = network(ctx, false);
    tlvk_dataset *data = byte_data(ctx, 1);
    float x[2][SAMPLES * PIXELS];
    assert_same_weights(a, b);
    assert_api(ctx, tlvk_model_fit(a, data, &(tlvk_fit_desc){ .epochs = 2, .seed = 6, .augmentation = augmentation }, NULL));
    for (int epoch = 0; epoch < 2; epoch++) {
        tlvk_dataset *seen = previewed(ctx, augmentation, data, 6, epoch, x[epoch]);
        assert_api(ctx, tlvk_model_fit(b, seen, &(tlvk_fit_desc){ .epochs = 1 }, NULL));
        tlvk_dataset_destroy(seen);
    }
    assert_same_weights(a, b);
    int zeros = 0, changed = 0;
    for (int i = 0; i < SAMPLES * PIXELS; i++) {
        zeros += x[0][i] == 0;
        changed += (x[0][i] == 0) != (x[1][i] == 0);
    }
    assert_true(abs(2 * zeros - SAMPLES * PIXELS) < 400 && abs(2 * changed - SAMPLES * PIXELS) < 400); /* four deviations of 9,072 coins */
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(augmentation);
    tlvk_model_destroy(a);
    tlvk_model_destroy(b);
    tlvk_context_destroy(ctx);
}

/* A preview takes the preprocessing back: of pictures that no layer changes, the bytes of the files come out. */
static void test_preview_takes_preprocessing_back(void **state) {
    (void)state;
    static const tlvk_preprocess kinds[] = { TLVK_PREPROCESS_NONE, TLVK_PREPROCESS_TF, TLVK_PREPROCESS_CAFFE, TLVK_PREPROCESS_TORCH, TLVK_PREPROCESS_SCALE };
    tlvk_context *ctx = net_context(NULL);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { TLVK_ANY, TLVK_ANY, 3 } });
    tlvk_model *same = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { tlvk_dropout(in, 0, NULL) } }, &same));
    char *path = temp_path("preview.bmp"), *folder = temp_path("preview");
    static test_bytes bmp;
    uint8_t rgb[PIXELS];
    test_fill(rgb, NET_SIDE, NET_SIDE, 3);
    make_bmp(&bmp, rgb, NET_SIDE, NET_SIDE);
    assert_int_equal(tlvk__file_replace(path, bmp.v, bmp.size), TLVK_OK);
    for (size_t k = 0; k < TLVK__COUNT(kinds); k++) {
        tlvk_dataset *data = NULL;
        float back[PIXELS];
        assert_api(ctx, tlvk_image_dataset_from_files(ctx, (const char *const[]){ path }, 1, &(tlvk_image_folder_desc){ .image_size = { NET_SIDE, NET_SIDE }, .preprocess = kinds[k] }, &data));
        assert_api(ctx, tlvk_augmentation_preview(same, data, 0, 0, 1, folder));
        read_preview(folder, 0, back);
        for (int i = 0; i < PIXELS; i++) assert_true(back[i] == (float)rgb[i]);
        tlvk_dataset_destroy(data);
    }
    tlvk__file_remove(path);
    free(path);
    free(folder);
    tlvk_model_destroy(same);
    tlvk_context_destroy(ctx);
}

/* --- runs ------------------------------------------------------------------------------------------------------------------------------------ */

typedef struct run_desc { const char *freeze, *checkpoint, *resume; tlvk_cache cache; int cancel_after, workers; uint64_t seed; bool plain, folder; } run_desc;
typedef struct run_result { tlvk_context *ctx; tlvk_model *model; tlvk_history *history; } run_result;
typedef struct canceller { tlvk_context *ctx; int after, steps; } canceller;

static tlvk_verdict count_steps(const tlvk_event *event, void *user) {
    canceller *c = user;
    if (event->kind == TLVK_EVENT_STEP_END && ++c->steps == c->after) tlvk_cancel(c->ctx);
    return TLVK_CONTINUE;
}

/* A folder of three classes of seven pictures; made once. */
static tlvk_dataset *folder_data(tlvk_context *ctx) {
    char *folder = temp_path("augmented");
    static test_bytes bmp;
    for (int i = 0; i < SAMPLES; i++) {
        char *class_folder = tlvk__format("%s/class%d", folder, i % NET_CLASSES), *path = tlvk__format("%s/%02d.bmp", class_folder, i);
        uint8_t rgb[PIXELS];
        for (int k = 0; k < PIXELS; k++) rgb[k] = (uint8_t)(k * 29 + i * 83 + k / 7 * i);
        make_bmp(&bmp, rgb, NET_SIDE, NET_SIDE);
        assert_int_equal(tlvk__make_folders(class_folder), TLVK_OK);
        assert_int_equal(tlvk__file_replace(path, bmp.v, bmp.size), TLVK_OK);
        free(class_folder);
        free(path);
    }
    tlvk_dataset *data = NULL;
    assert_api(ctx, tlvk_image_dataset_from_directory(ctx, &(tlvk_image_folder_desc){ .path = folder, .image_size = { NET_SIDE, NET_SIDE }, .batch_size = BATCH, .seed = 1 }, &data));
    free(folder);
    return data;
}

static run_result run(const run_desc *d) {
    run_result r = { .ctx = NULL };
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = "", .worker_threads = d->workers }, &r.ctx), TLVK_OK);
    tlvk__device *device;
    const tlvk_status status = tlvk__context_device(r.ctx, &device);
    if (status) net_no_device(status);
    tlvk_model *augmentation = tutorial_layers(r.ctx);
    r.model = network(r.ctx, true);
    if (d->freeze) assert_api(r.ctx, tlvk_model_set_trainable(r.model, d->freeze, false));
    tlvk_dataset *data = d->folder ? folder_data(r.ctx) : byte_data(r.ctx, 1), *val = byte_data(r.ctx, 2);
    canceller c = { .ctx = r.ctx, .after = d->cancel_after };
    tlvk_fit_desc fit = { .epochs = 3, .validation = val, .cache = d->cache, .seed = d->seed, .checkpoint = d->checkpoint, .resume = d->resume, .callback = count_steps, .callback_user = &c,
                          .augmentation = d->plain ? NULL : augmentation };
    tlvk_status st = tlvk_model_fit(r.model, data, &fit, &r.history);
    if (st && st != TLVK_ERROR_CANCELLED) fail_msg("fit: %s", tlvk_last_error(r.ctx));
    tlvk_model_destroy(augmentation); /* the model's session still knows it */
    tlvk_logs last, evaluated;
    if (!st) {
        assert_int_equal(tlvk_history_logs(r.history, 2, &last), TLVK_OK);
        assert_api(r.ctx, tlvk_model_evaluate(r.model, val, &evaluated));
        assert_true(fabs(last.val_loss - evaluated.loss) <= 1e-6 * evaluated.loss && last.val_accuracy == evaluated.accuracy);
    }
    tlvk_dataset_destroy(data);
    tlvk_dataset_destroy(val);
    return r;
}

static void close_run(run_result *r) {
    tlvk_history_destroy(r->history);
    tlvk_model_destroy(r->model);
    tlvk_context_destroy(r->ctx);
}

static bool equal_weights(const tlvk_model *a, const tlvk_model *b) {
    size_t na, nb;
    float *wa = all_weights(a, &na), *wb = all_weights(b, &nb);
    bool equal = na == nb && memcmp(wa, wb, na * sizeof *wa) == 0;
    free(wa);
    free(wb);
    return equal;
}

static void compare_runs(const run_desc *a, const run_desc *b, bool equal) {
    run_result ra = run(a), rb = run(b);
    assert_int_equal(equal_weights(ra.model, rb.model), equal);
    if (equal) assert_same_history(ra.history, rb.history);
    close_run(&ra);
    close_run(&rb);
}

static void test_same_seed_same_run(void **state) {
    (void)state;
    compare_runs(&(run_desc){ .seed = 3 }, &(run_desc){ .seed = 3 }, true);
    compare_runs(&(run_desc){ .seed = 3 }, &(run_desc){ .seed = 4 }, false);
    compare_runs(&(run_desc){ .seed = 3 }, &(run_desc){ .seed = 3, .plain = true }, false);
}

static void test_workers_change_nothing(void **state) {
    (void)state;
    compare_runs(&(run_desc){ .folder = true, .workers = 1 }, &(run_desc){ .folder = true, .workers = 4 }, true);
}

/* A frozen base is computed in every step for training, and still once for validation. */
static void test_cached_validation_changes_nothing(void **state) {
    (void)state;
    compare_runs(&(run_desc){ .freeze = "base", .cache = TLVK_CACHE_OFF }, &(run_desc){ .freeze = "base", .cache = TLVK_CACHE_MEMORY }, true);
}

static void test_resumed_equals_unbroken(void **state) {
    (void)state;
    char *path = temp_path("augmented.checkpoint");
    run_result half = run(&(run_desc){ .checkpoint = path, .cancel_after = 4 }); /* in the second epoch of three steps */
    assert_int_equal(tlvk_history_epochs(half.history), 1);
    assert_int_equal(half.model->training->steps, 5);
    close_run(&half);
    compare_runs(&(run_desc){ .seed = 0 }, &(run_desc){ .resume = path }, true);
    tlvk__file_remove(path);
    free(path);
}

static void test_what_does_not_fit_is_refused(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *model = network(ctx, false), *crop = NULL, *two = NULL;
    tlvk_dataset *data = byte_data(ctx, 1);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 } });
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { tlvk_max_pooling2d(in, NULL) } }, &crop));
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { tlvk_dropout(in, 0.5f, NULL), in } }, &two));
    assert_int_equal(tlvk_model_fit(model, data, &(tlvk_fit_desc){ .augmentation = crop }, NULL), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "must leave their shape"));
    assert_int_equal(tlvk_model_fit(model, data, &(tlvk_fit_desc){ .augmentation = two }, NULL), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_fit(model, data, &(tlvk_fit_desc){ .augmentation = model }, NULL), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "its own augmentation"));
    assert_int_equal(tlvk_augmentation_preview(crop, data, 0, 0, 1, "nowhere"), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_augmentation_preview(crop, data, 0, -1, 1, "nowhere"), TLVK_ERROR_ARGUMENT);
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_model_destroy(crop);
    tlvk_model_destroy(two);
    tlvk_context_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preview_is_what_fit_trains_on), cmocka_unit_test(test_preview_takes_preprocessing_back), cmocka_unit_test(test_same_seed_same_run),
        cmocka_unit_test(test_workers_change_nothing), cmocka_unit_test(test_cached_validation_changes_nothing), cmocka_unit_test(test_resumed_equals_unbroken),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
