/* test_checkpoint.c - what a checkpoint is refused for: other data in the middle of an epoch, and content that no fit can have written under a hash that
 * is right. A refused file leaves every weight as it was. */
#include "support/nets.h"

#define SAMPLES 12 /* three batches */
#define BATCH 4
#define WEIGHTS 12 /* of the network below, with its biases */

static tlvk_model *pooled_network(tlvk_context *ctx) {
    tlvk_set_random_seed(ctx, 3);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 } });
    tlvk_tensor y = tlvk_dense(tlvk_global_average_pooling2d(in, NULL), &(tlvk_dense_desc){ .units = NET_CLASSES, .activation = TLVK_SOFTMAX });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { y } }, &model));
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } }));
    return model;
}

static tlvk_status fit_on(tlvk_context *ctx, tlvk_model *model, int samples, int batch, const tlvk_fit_desc *fit) {
    tlvk_dataset *data = small_data(ctx, samples, batch, 1);
    tlvk_status st = tlvk_model_fit(model, data, fit, NULL);
    tlvk_dataset_destroy(data);
    return st;
}

typedef struct canceller { tlvk_context *ctx; int after, steps; } canceller;

static tlvk_verdict count_steps(const tlvk_event *event, void *user) {
    canceller *c = user;
    if (event->kind == TLVK_EVENT_STEP_END && ++c->steps == c->after) tlvk_cancel(c->ctx);
    return TLVK_CONTINUE;
}

/* A checkpoint of the second epoch of three steps: after the second of them, or at its begin. */
static void write_checkpoint(tlvk_context *ctx, const char *path, bool middle) {
    tlvk_model *model = pooled_network(ctx);
    canceller c = { .ctx = ctx, .after = middle ? 4 : 0 };
    tlvk_fit_desc fit = { .epochs = middle ? 3 : 1, .seed = 4, .checkpoint = path, .callback = count_steps, .callback_user = &c };
    assert_int_equal(fit_on(ctx, model, SAMPLES, BATCH, &fit), middle ? TLVK_ERROR_CANCELLED : TLVK_OK);
    tlvk_model_destroy(model);
}

static void assert_refused(tlvk_context *ctx, const char *path, int samples, int batch, tlvk_status status, const char *word) {
    tlvk_model *model = pooled_network(ctx);
    size_t n;
    float *before = all_weights(model, &n);
    const tlvk_status st = fit_on(ctx, model, samples, batch, &(tlvk_fit_desc){ .epochs = 3, .resume = path });
    float *after = all_weights(model, &n);
    assert_int_equal(n, WEIGHTS);
    if (st != status || !strstr(tlvk_last_error(ctx), word) || !strstr(tlvk_last_error(ctx), path)) {
        fail_msg("%s: \"%s\" where \"%s\" was due", tlvk_status_name(st), tlvk_last_error(ctx), word);
    }
    assert_memory_equal(before, after, WEIGHTS * sizeof *before);
    free(before);
    free(after);
    tlvk_model_destroy(model);
}

static void assert_taken(tlvk_context *ctx, const char *path, int samples, int batch) {
    tlvk_model *model = pooled_network(ctx);
    assert_api(ctx, fit_on(ctx, model, samples, batch, &(tlvk_fit_desc){ .epochs = 3, .resume = path }));
    tlvk_model_destroy(model);
}

/* Eight of twelve samples done: five others are no place to go on, and neither are other batches. Between two epochs every data are. */
static void test_other_data(void **state) {
    (void)state;
    char *path = temp_path("other-data.checkpoint");
    tlvk_context *ctx = net_context(NULL);
    write_checkpoint(ctx, path, true);
    assert_refused(ctx, path, 5, BATCH, TLVK_ERROR_ARGUMENT, "at sample 8 of an epoch of 12 in batches of 4, this training has 5 in batches of 4");
    assert_refused(ctx, path, SAMPLES, 2, TLVK_ERROR_ARGUMENT, "this training has 12 in batches of 2");
    assert_taken(ctx, path, SAMPLES, BATCH);
    write_checkpoint(ctx, path, false);
    assert_taken(ctx, path, 5, 3);
    tlvk_context_destroy(ctx);
    tlvk__file_remove(path);
    free(path);
}

/* --- crafted files --------------------------------------------------------------------------------------------------------------------------- */

enum { PROGRESS = 8, HEAD = PROGRESS + (int)(sizeof(tlvk__progress) + sizeof(tlvk_optimizer) + 2 * sizeof(uint32_t)), LOGS = HEAD + (int)sizeof(uint64_t) };

typedef struct file { unsigned char *bytes; size_t size; } file; /* without its hash */

static file read_checkpoint(const char *path) {
    void *data;
    file f;
    assert_int_equal(tlvk__file_read(path, &data, &f.size, 1 << 20), TLVK_OK);
    f.bytes = data;
    f.size -= sizeof(tlvk__hash);
    return f;
}

/* The first `size` bytes under their own hash; behind the file's end zeros. With `count` bytes of `value` at `offset`, low ones first. */
static void write_crafted(const char *path, const file *f, size_t size, size_t offset, size_t count, int64_t value) {
    unsigned char *copy = calloc(size + sizeof(tlvk__hash), 1);
    assert_non_null(copy);
    memcpy(copy, f->bytes, TLVK__MIN(size, f->size));
    for (size_t i = 0; i < count; i++) copy[offset + i] = (unsigned char)((uint64_t)value >> (8 * i));
    tlvk__hash hash;
    tlvk__hash_init(&hash);
    tlvk__hash_add(&hash, copy, size);
    memcpy(copy + size, &hash, sizeof hash);
    assert_int_equal(tlvk__file_replace(path, copy, size + sizeof hash), TLVK_OK);
    free(copy);
}

#define PART(field) PROGRESS + offsetof(tlvk__progress, field), sizeof(((tlvk__progress *)NULL)->field)
#define NAN_BITS INT64_C(0x7ff8000000000000)
#define INFINITE_BITS INT64_C(0x7ff0000000000000)

static void test_crafted_numbers(void **state) {
    (void)state;
    static const struct { const char *word; size_t offset, count; int64_t value; } cases[] = {
        { "its epoch", PART(epoch), -1 },
        { "its epoch", PART(epoch), INT32_MIN },
        { "its history", PART(epoch), 0 },
        { "its history", HEAD, 8, 2 },
        { "its history", HEAD, 8, -1 },
        { "epochs without a better value", PART(wait), -1 },
        { "epochs without a better value", PART(wait), INT32_MAX },
        { "number of steps", PART(steps), -1 },
        { "number of steps", PART(steps), INT64_MAX },
        { "number of samples", PART(data_size), 0 },
        { "number of samples", PART(data_size), INT64_MAX },
        { "number of samples", PART(data_unreadable), -1 },
        { "number of samples", PART(data_unreadable), 13 },
        { "number of samples", PART(data_unreadable), INT64_MIN },
        { "batch size", PART(batch), 0 },
        { "batch size", PART(batch), -4 },
        { "batch size", PART(batch), INT64_MAX },
        { "number of samples done", PART(samples_done), -4 },
        { "number of samples done", PART(samples_done), 5 },
        { "number of samples done", PART(samples_done), 16 },
        { "number of samples done", PART(samples_done), INT64_MAX - 3 },
        { "sum of losses", PART(sums.samples), 4 },
        { "sum of losses", PART(sums.outputs), INT32_MAX },
        { "sum of losses", PART(sums.outputs), -1 },
        { "learning rate", PART(rate), NAN_BITS },
        { "learning rate", PART(rate), INT64_MIN + INFINITE_BITS },
        { "plateau", PART(plateau.rate), INFINITE_BITS },
        { "plateau", PART(plateau.wait), -1 },
        { "plateau", PART(plateau.wait), INT32_MAX },
        { "epoch 0 of its history", LOGS + offsetof(tlvk_logs, outputs), sizeof(int), INT32_MAX },
        { "epoch 0 of its history", LOGS + offsetof(tlvk_logs, outputs), sizeof(int), 2 },
        { "epoch 0 of its history", LOGS + offsetof(tlvk_logs, samples), sizeof(int64_t), -1 },
    };
    char *path = temp_path("crafted.checkpoint");
    tlvk_context *ctx = net_context(NULL);
    write_checkpoint(ctx, path, true);
    file f = read_checkpoint(path);
    for (size_t k = 0; k < TLVK__COUNT(cases); k++) {
        write_crafted(path, &f, f.size, cases[k].offset, cases[k].count, cases[k].value);
        assert_refused(ctx, path, SAMPLES, BATCH, TLVK_ERROR_FORMAT, cases[k].word);
    }
    /* The hash made here is the right one: the file as it was is taken. */
    write_crafted(path, &f, f.size, 0, 0, 0);
    assert_taken(ctx, path, SAMPLES, BATCH);
    free(f.bytes);
    tlvk_context_destroy(ctx);
    tlvk__file_remove(path);
    free(path);
}

/* Cut anywhere behind the magic, within the optimizer's slots too, or longer than its content. */
static void test_crafted_lengths(void **state) {
    (void)state;
    char *path = temp_path("lengths.checkpoint");
    tlvk_context *ctx = net_context(NULL);
    write_checkpoint(ctx, path, true);
    file f = read_checkpoint(path);
    const size_t slots = 2 * WEIGHTS * sizeof(float), cuts[] = { PROGRESS, HEAD + 1, LOGS + 1, f.size - slots - 1, f.size - slots, f.size - slots / 2, f.size - 4, f.size - 1 };
    for (size_t k = 0; k < TLVK__COUNT(cuts); k++) {
        write_crafted(path, &f, cuts[k], 0, 0, 0);
        assert_refused(ctx, path, SAMPLES, BATCH, TLVK_ERROR_FORMAT, "ends too early");
    }
    write_crafted(path, &f, f.size + 4, 0, 0, 0);
    assert_refused(ctx, path, SAMPLES, BATCH, TLVK_ERROR_FORMAT, "goes on behind its end");
    free(f.bytes);
    tlvk_context_destroy(ctx);
    tlvk__file_remove(path);
    free(path);
}

/* Best weights that a run in between did not keep are not restored as zeros. */
static void test_best_weights_left_out(void **state) {
    (void)state;
    char *path = temp_path("best.checkpoint");
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *models[3];
    for (int i = 0; i < 3; i++) {
        models[i] = pooled_network(ctx);
        tlvk_fit_desc fit = { .epochs = i ? 2 : 1, .checkpoint = path, .resume = i ? path : NULL, .restore_best_weights = i != 1 };
        assert_api(ctx, fit_on(ctx, models[i], SAMPLES, BATCH, &fit));
    }
    assert_same_weights(models[1], models[2]);
    for (int i = 0; i < 3; i++) tlvk_model_destroy(models[i]);
    tlvk_context_destroy(ctx);
    tlvk__file_remove(path);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_data), cmocka_unit_test(test_crafted_numbers), cmocka_unit_test(test_crafted_lengths), cmocka_unit_test(test_best_weights_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
