/* test_to_arrays.c - what small programs are spared: a folder as arrays and back, the last epoch of a history, where a history's errors are found, and a
 * printed summary. */
#include "core/context.h"
#include "data/data.h"
#include "support/pictures.h"
#include "train/training.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIDE = 9, ELEMENTS = SIDE * SIDE * 3, SAMPLES = 7 };

/* Class "a" with four pictures, class "b" with three of which the last is broken where `bad`. */
static tlvk_dataset *make_pictures(const char *name, tlvk_label_mode mode, bool bad) {
    char *folder = test_folder(name);
    for (int i = 0; i < SAMPLES; i++) {
        char file[24];
        snprintf(file, sizeof file, "%s/p%02d.png", i < 4 ? "a" : "b", i);
        test_write_picture(folder, file, i);
    }
    if (bad)
        test_write(folder, "b/p06.png", "no picture", 10);
    tlvk_dataset *d = NULL;
    tlvk_image_folder_desc desc = {.path = folder, .image_size = {SIDE}, .batch_size = 3, .no_shuffle = true, .label_mode = mode, .preprocess = TLVK_PREPROCESS_TF};
    assert_int_equal(tlvk_image_dataset_from_directory(NULL, &desc, &d), TLVK_OK);
    free(folder);
    return d;
}

static void assert_shape(const tlvk_array *a, int64_t n, int64_t d1, int64_t d2, int64_t d3) {
    const int64_t wanted[5] = {n, d1, d2, d3, 0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(a->shape[i], wanted[i]);
}

/* Sample after sample as a reader gives them, the broken one left out. */
static void folder_becomes_arrays(void **state) {
    (void)state;
    for (int bad = 0; bad < 2; bad++) {
        tlvk_dataset *d = make_pictures("to_arrays", TLVK_LABEL_CATEGORICAL, bad);
        tlvk_array x, y;
        assert_int_equal(tlvk_dataset_to_arrays(NULL, d, &x, &y), TLVK_OK);
        const int64_t n = SAMPLES - bad;
        assert_shape(&x, n, SIDE, SIDE, 3);
        assert_shape(&y, n, 2, 0, 0);
        for (int64_t i = 0; i < n; i++) {
            float one[ELEMENTS];
            tlvk__reader *r = NULL;
            int64_t got = 0;
            assert_int_equal(tlvk__reader_create(d, &(tlvk__reader_desc){.order = &i, .count = 1}, &r), TLVK_OK);
            assert_int_equal(tlvk__reader_next(r, &(float *){one}, NULL, NULL, &got), TLVK_OK);
            tlvk__reader_destroy(r);
            assert_memory_equal(x.values + i * ELEMENTS, one, sizeof one);
            assert_true(y.values[2 * i] == (i < 4 ? 1.0f : 0.0f) && y.values[2 * i + 1] == (i < 4 ? 0.0f : 1.0f));
        }
        tlvk_dataset *again = NULL;
        assert_int_equal(tlvk_dataset_from_arrays(NULL, &(tlvk_array_desc){.inputs = {x}, .targets = {y}, .borrow = true}, &again), TLVK_OK);
        assert_int_equal(tlvk_dataset_class_count(again), 2);
        assert_int_equal(tlvk_dataset_size(again), n);
        tlvk_dataset_destroy(again);
        tlvk_dataset_destroy(d);
        tlvk_free((void *)x.values);
        tlvk_free((void *)y.values);
    }
}

static void class_numbers_and_no_labels(void **state) {
    (void)state;
    tlvk_dataset *d = make_pictures("to_arrays_numbers", TLVK_LABEL_INT, false);
    tlvk_array x, y;
    assert_int_equal(tlvk_dataset_to_arrays(NULL, d, &x, &y), TLVK_OK);
    assert_shape(&y, SAMPLES, 0, 0, 0);
    assert_true(y.values[3] == 0.0f && y.values[4] == 1.0f);
    tlvk_free((void *)x.values);
    tlvk_free((void *)y.values);
    assert_int_equal(tlvk_dataset_to_arrays(NULL, d, &x, NULL), TLVK_OK);
    tlvk_free((void *)x.values);
    tlvk_dataset_destroy(d);

    const float values[6] = {1, 2, 3, 4, 5, 6};
    const tlvk_array two = {.values = values, .shape = {3, 2}};
    assert_int_equal(tlvk_dataset_from_arrays(NULL, &(tlvk_array_desc){.inputs = {two}}, &d), TLVK_OK);
    assert_int_equal(tlvk_dataset_to_arrays(NULL, d, &x, &y), TLVK_OK);
    assert_shape(&x, 3, 2, 0, 0);
    assert_memory_equal(x.values, values, sizeof values);
    assert_true(!y.values && y.shape[0] == 0);
    tlvk_free((void *)x.values);
    tlvk_dataset_destroy(d);

    assert_int_equal(tlvk_dataset_from_arrays(NULL, &(tlvk_array_desc){.inputs = {two, two}}, &d), TLVK_OK);
    assert_int_equal(tlvk_dataset_to_arrays(NULL, d, &x, &y), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(NULL), "2 inputs"));
    assert_int_equal(tlvk_dataset_to_arrays(NULL, d, NULL, &y), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_dataset_to_arrays(NULL, NULL, &x, &y), TLVK_ERROR_ARGUMENT);
    tlvk_dataset_destroy(d);
}

/* Negative epochs count from the end; an error stands under the context of the model that was trained, which the history keeps. */
static void history_counts_back(void **state) {
    (void)state;
    tlvk_context *ctx = NULL;
    assert_int_equal(tlvk_context_create(NULL, &ctx), TLVK_OK);
    tlvk_history *h = calloc(1, sizeof *h);
    assert_non_null(h);
    h->ctx = tlvk__context_retain(ctx);
    tlvk_logs logs;
    assert_int_equal(tlvk_history_logs(h, -1, &logs), TLVK_ERROR_ARGUMENT);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tlvk__history_add(h, &(tlvk_logs){.loss = i}), TLVK_OK);
    assert_int_equal(tlvk_history_logs(h, -1, &logs), TLVK_OK);
    assert_true(logs.loss == 2.0);
    assert_int_equal(tlvk_history_logs(h, -3, &logs), TLVK_OK);
    assert_true(logs.loss == 0.0);
    assert_int_equal(tlvk_history_logs(h, -4, &logs), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "epoch -4 of 3"));
    tlvk_context_destroy(ctx);
    assert_int_equal(tlvk_history_save_csv(h, ""), TLVK_ERROR_FILE);
    assert_non_null(strstr(tlvk_last_error(ctx), tlvk_last_error(NULL)));
    assert_true(tlvk_last_error(ctx)[0]);
    tlvk_history_destroy(h);
}

static void summary_is_printed(void **state) {
    (void)state;
    tlvk_context *ctx = NULL;
    tlvk_model *m = NULL;
    char *text = NULL, printed[4096] = "";
    assert_int_equal(tlvk_context_create(NULL, &ctx), TLVK_OK);
    tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {3}}), y = tlvk_dense(x, &(tlvk_dense_desc){.units = 2});
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {x}, .outputs = {y}}, &m), TLVK_OK);
    assert_int_equal(tlvk_model_summary(m, &text), TLVK_OK);
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(tlvk_print_summary(m, file), TLVK_OK);
    rewind(file);
    assert_int_equal(fread(printed, 1, sizeof printed - 1, file), strlen(text));
    assert_string_equal(printed, text);
    fclose(file);
    assert_int_equal(tlvk_print_summary(NULL, NULL), TLVK_ERROR_ARGUMENT);
    tlvk_free(text);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_becomes_arrays),
        cmocka_unit_test(class_numbers_and_no_labels),
        cmocka_unit_test(history_counts_back),
        cmocka_unit_test(summary_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
