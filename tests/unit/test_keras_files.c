/* test_keras_files.c - Keras 3's own forms: weights by place, archives, what a zip may not say, and an optimizer's memory. */
#define _POSIX_C_SOURCE 200809L

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/weights.h"

static int open_context(void **state) {
    (void)state;
    return tlvk_context_create(&(tlvk_context_desc){.cache_folder = ""}, &ctx) != TLVK_OK;
}

static int close_context(void **state) {
    (void)state;
    tlvk_context_destroy(ctx);
    return 0;
}

/* Saves as .keras; a build without libarchive refuses that by name and has nothing more to test. */
static void save_archive(tlvk_model *m, const char *path) {
    tlvk_status status = tlvk_model_save(m, path);
    if (status == TLVK_ERROR_UNSUPPORTED && strstr(tlvk_last_error(ctx), "TLVK_WITH_ARCHIVE"))
        skip();
    assert_ok(status);
}

/* Keras 3's weights: what does not fit is told with its place and both shapes, and leaves the model as it was. */
static void weights_by_place(void **state) {
    (void)state;
    char *path = temp_path("place.weights.h5"), *archive = temp_path("place.keras");
    tlvk_model *a = make_base("a"), *b = make_base("b"), *whole, *narrow;
    number_weights(a);
    assert_ok(tlvk_model_save_weights(a, path));
    assert_ok(tlvk_model_load_weights(b, path, TLVK_BY_ORDER));
    assert_equal_weights(a, b);
    assert_fails(tlvk_model_load_weights(b, path, TLVK_BY_NAME), TLVK_ERROR_ARGUMENT, "by name");
    assert_fails(tlvk_model_load(ctx, path, &whole), TLVK_ERROR_FORMAT, "weights alone");
    save_archive(a, archive);
    number_weights(b);
    assert_ok(tlvk_model_load_weights(b, archive, TLVK_BY_ORDER)); /* as Keras's load_weights takes a .keras */
    assert_equal_weights(a, b);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){.shape = {8, 8, 3}});
    tlvk_tensor x = tlvk_conv2d(in, &(tlvk_conv2d_desc){.name = "wide", .filters = 5, .kernel_size = {3, 3}});
    assert_ok(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {in}, .outputs = {x}}, &narrow));
    uint64_t version = tlvk_model_find_layer(narrow, "wide")->variables[0]->version;
    assert_fails(tlvk_model_load_weights(narrow, path, TLVK_BY_ORDER), TLVK_ERROR_ARGUMENT, "layer 'wide' (Conv2D): its kernel has the shape (3, 3, 3, 5)");
    assert_non_null(strstr(tlvk_last_error(ctx), "'layers/conv2d/vars/0' has (3, 3, 3, 4)"));
    assert_true(tlvk_model_find_layer(narrow, "wide")->variables[0]->version == version);
    tlvk_model_destroy(narrow);
    tlvk_model_destroy(a);
    tlvk_model_destroy(b);
    free(path);
    free(archive);
}

/* A layer in two models stands in the file in both, so that every reader finds its weights. */
static void a_layer_in_two_models(void **state) {
    (void)state;
    char *path = temp_path("two_models.keras");
    tlvk_tensor i = tlvk_input(ctx, &(tlvk_input_desc){.shape = {4}}), j = tlvk_input(ctx, &(tlvk_input_desc){.shape = {4}});
    tlvk_tensor x = tlvk_dense(i, &(tlvk_dense_desc){.name = "shared", .units = 4}), o = tlvk_input(ctx, &(tlvk_input_desc){.shape = {4}});
    tlvk_model *one, *two, *m, *again;
    assert_ok(tlvk_model_create(ctx, &(tlvk_model_desc){.name = "one", .inputs = {i}, .outputs = {x}}, &one));
    tlvk_tensor y = tlvk_layer_call(tlvk_model_find_layer(one, "shared"), j, TLVK_CALL_DEFAULT);
    assert_ok(tlvk_model_create(ctx, &(tlvk_model_desc){.name = "two", .inputs = {j}, .outputs = {y}}, &two));
    tlvk_tensor z = tlvk_model_call(two, tlvk_model_call(one, o, TLVK_CALL_DEFAULT, NULL), TLVK_CALL_DEFAULT, NULL);
    assert_ok(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {o}, .outputs = {z}}, &m));
    number_weights(m);
    save_archive(m, path);
    assert_ok(tlvk_model_load(ctx, path, &again));
    tlvk__variable *v[4], *w[2];
    assert_int_equal(tlvk__model_variables(m, w, NULL, 2), 2);
    assert_int_equal(tlvk__model_variables(again, v, NULL, 4), 4);
    for (int k = 0; k < 4; k++)
        assert_memory_equal(v[k]->values, w[k % 2]->values, w[k % 2]->elements * sizeof(float));
    tlvk_model_destroy(again);
    tlvk_model_destroy(m);
    tlvk_model_destroy(two);
    tlvk_model_destroy(one);
    free(path);
}

/* Adam's memory through every form that has room for it, to the byte; a model that is compiled again starts without. */
static void optimizer_state_round_trip(void **state) {
    (void)state;
    static const char *const names[] = {"optimizer.h5", "optimizer.keras"};
    for (size_t form = 0; form < TLVK__COUNT(names); form++) {
        tlvk_model *base, *m = make_model(&base), *again;
        char *path = temp_path(names[form]);
        tlvk__variable *all[MAX_VARIABLES], *trained[MAX_VARIABLES];
        bool trains[MAX_VARIABLES];
        int count = tlvk__model_variables(m, all, trains, MAX_VARIABLES), kept = 0;
        for (int i = 0; i < count; i++)
            if (trains[i])
                trained[kept++] = all[i];
        assert_ok(tlvk_model_compile(m, &(tlvk_compile_desc){.optimizer = {.learning_rate = 0.125f}, .loss = {.kind = TLVK_CATEGORICAL_CROSSENTROPY}}));
        m->optimizer_state = tlvk__optimizer_state_create(trained, kept, 2);
        m->optimizer_state->iterations = 41;
        float next = 0;
        for (int i = 0; i < 2 * kept; i++)
            for (size_t k = 0; k < trained[i / 2]->elements; k++)
                m->optimizer_state->values[i][k] = next += 0.01f;
        if (form)
            save_archive(m, path);
        else
            assert_ok(tlvk_model_save(m, path));
        assert_ok(tlvk_model_load(ctx, path, &again));
        assert_true(again->compiled.set && again->compiled.optimizer.kind == TLVK_ADAM && again->compiled.optimizer.learning_rate == 0.125f);
        assert_true(again->compiled.losses[0].kind == TLVK_CATEGORICAL_CROSSENTROPY && again->compiled.loss_weights[0] == 1);
        assert_non_null(again->optimizer_state);
        assert_true(again->optimizer_state->iterations == 41 && again->optimizer_state->slots == 2 && again->optimizer_state->count == kept);
        for (int i = 0; i < 2 * kept; i++)
            assert_memory_equal(again->optimizer_state->values[i], m->optimizer_state->values[i], trained[i / 2]->elements * sizeof(float));
        assert_ok(tlvk_model_compile(again, &(tlvk_compile_desc){.loss = {.kind = TLVK_CATEGORICAL_CROSSENTROPY}}));
        assert_null(again->optimizer_state);
        tlvk_model_destroy(again);
        tlvk_model_destroy(m);
        tlvk_model_destroy(base);
        free(path);
    }
}

/* --- what a zip may not say --- */

/* Puts `with` over every `what` of the same length, in local headers and in the central directory. */
static void write_changed(const char *bytes, size_t size, const char *what, size_t length, const char *with, const char *to) {
    char *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    int changed = 0;
    for (size_t at = 0; at + length <= size; at++)
        if (memcmp(copy + at, what, length) == 0) {
            memcpy(copy + at, with, length);
            changed++;
        }
    assert_true(changed > 0);
    assert_ok(tlvk__file_replace(to, copy, size));
    free(copy);
}

static void archives_refused_by_name(void **state) {
    (void)state;
    static const struct { const char *what, *with, *words; } names[] = {
        {"metadata.json", "../adata.json", "leads out"}, {"metadata.json", "/etadata.json", "leads out"}, {"metadata.json", "C:tadata.json", "leads out"},
        {"metadata.json", "a/../../.json", "leads out"}, {"config.json", "konfig.json", "without the entry 'config.json'"},
        {"model.weights.h5", "model.weights.h4", "without the entry 'model.weights.h5'"},
    };
    char *path = temp_path("refused.keras"), *bad = temp_path("bad.keras");
    tlvk_model *a = make_base("a"), *m;
    save_archive(a, path);
    void *bytes;
    size_t size;
    assert_ok(tlvk__file_read(path, &bytes, &size, (size_t)1 << 30));
    for (size_t i = 0; i < TLVK__COUNT(names); i++) {
        size_t length = strlen(names[i].what);
        write_changed(bytes, size, names[i].what, length, names[i].with, bad);
        assert_fails(tlvk_model_load(ctx, bad, &m), TLVK_ERROR_FORMAT, names[i].words);
        assert_non_null(strstr(tlvk_last_error(ctx), bad));
    }
    /* one value of the weights: the entry's CRC tells */
    char *copy = malloc(size);
    memcpy(copy, bytes, size);
    copy[size / 2] = (char)(copy[size / 2] ^ 1);
    assert_ok(tlvk__file_replace(bad, copy, size));
    assert_fails(tlvk_model_load(ctx, bad, &m), TLVK_ERROR_FORMAT, "damaged zip");
    free(copy);
    free(bytes);
    tlvk_model_destroy(a);
    free(path);
    free(bad);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(weights_by_place), cmocka_unit_test(a_layer_in_two_models),
                                       cmocka_unit_test(optimizer_state_round_trip), cmocka_unit_test(archives_refused_by_name)};
    return cmocka_run_group_tests(tests, open_context, close_context);
}
