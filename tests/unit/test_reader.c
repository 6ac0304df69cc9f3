/* test_reader.c - batches read ahead: their order, tails, unreadable files, workers, hashes, and early ends. */
#include "data/data.h"
#include "support/pictures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PICTURES 23
#define SIDE 9
#define ELEMENTS (SIDE * SIDE * 3)
#define BATCH 4

/* Pictures p00.png .. p22.png; those in `bad` are broken in several ways. */
static tlvk_dataset *make_pictures(const char *folder_name, bool with_bad, bool strict) {
    char *folder = test_folder(folder_name), *paths[PICTURES];
    for (int i = 0; i < PICTURES; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%02d.png", i);
        test_write_picture(folder, name, i);
        paths[i] = tlvk__format("%s/%s", folder, name);
    }
    if (with_bad) {
        test_write(folder, "p02.png", "", 0);
        test_write(folder, "p03.png", test_jpeg, 150);
        test_write(folder, "p11.png", "no picture", 10);
        tlvk__file_remove(paths[22]);
    }
    tlvk_dataset *d = NULL;
    tlvk_image_folder_desc desc = {.image_size = {SIDE, SIDE}, .batch_size = BATCH, .strict = strict, .preprocess = TLVK_PREPROCESS_TF};
    assert_int_equal(tlvk_image_dataset_from_files(NULL, (const char *const *)paths, PICTURES, &desc, &d), TLVK_OK);
    for (int i = 0; i < PICTURES; i++) {
        free(paths[i]);
    }
    free(folder);
    return d;
}

static tlvk__reader *make_reader(tlvk_dataset *d, tlvk__reader_desc desc) {
    tlvk__reader *r = NULL;
    assert_int_equal(tlvk__reader_create(d, &desc, &r), TLVK_OK);
    return r;
}

/* Reads everything; returns how many samples came, batch sizes checked to be full but for the last. */
static int64_t read_all(tlvk__reader *r, float *x, int64_t *ids) {
    int64_t total = 0, valid = BATCH;
    for (;;) {
        int64_t before = valid;
        assert_int_equal(tlvk__reader_next(r, &(float *){x + total * ELEMENTS}, NULL, ids + total, &valid), TLVK_OK);
        if (valid == 0) {
            return total;
        }
        assert_int_equal(before, BATCH);
        total += valid;
    }
}

static void same_bytes_for_any_workers(void **state) {
    (void)state;
    static float x1[PICTURES * ELEMENTS], x3[PICTURES * ELEMENTS];
    int64_t ids1[PICTURES], ids3[PICTURES], order[PICTURES];
    tlvk_dataset *d = make_pictures("workers", false, false);
    int64_t count = tlvk__dataset_order(d, 1, 0, order);
    tlvk__reader *r1 = make_reader(d, (tlvk__reader_desc){.order = order, .count = count, .threads = 1, .depth = 1});
    tlvk__reader *r3 = make_reader(d, (tlvk__reader_desc){.order = order, .count = count, .threads = 3, .depth = 2});
    assert_int_equal(read_all(r1, x1, ids1), PICTURES);
    assert_int_equal(read_all(r3, x3, ids3), PICTURES);
    assert_memory_equal(ids1, order, sizeof ids1);
    assert_memory_equal(ids3, order, sizeof ids3);
    assert_memory_equal(x1, x3, sizeof x1);
    tlvk__reader_destroy(r1);
    tlvk__reader_destroy(r3);
    tlvk_dataset_destroy(d);
}

/* Bad pictures are left out and the next ones move up, so batches are the same before and after the bad ones are known. */
static void bad_pictures_are_left_out(void **state) {
    (void)state;
    static float x1[PICTURES * ELEMENTS], x2[PICTURES * ELEMENTS];
    int64_t ids1[PICTURES], ids2[PICTURES], order[PICTURES];
    tlvk_dataset *d = make_pictures("bad", true, false);
    assert_int_equal(tlvk__dataset_order(d, 9, 4, order), PICTURES);
    tlvk__reader *r = make_reader(d, (tlvk__reader_desc){.order = order, .count = PICTURES, .threads = 2});
    assert_int_equal(read_all(r, x1, ids1), PICTURES - 4);
    tlvk__reader_destroy(r);
    assert_int_equal(tlvk_dataset_failed_count(d), 4);
    bool empty = false, truncated = false, vanished = false, other = false;
    for (int64_t i = 0; i < 4; i++) {
        const char *why = tlvk_dataset_failed(d, i);
        empty = empty || (strstr(why, "p02.png: ") && strstr(why, "empty (0 bytes)"));
        truncated = truncated || (strstr(why, "p03.png: ") && strstr(why, "truncated JPEG"));
        other = other || (strstr(why, "p11.png: ") && strstr(why, "not a JPEG"));
        vanished = vanished || (strstr(why, "p22.png: ") && strstr(why, "no such file"));
    }
    assert_true(empty && truncated && vanished && other);
    assert_true(tlvk__dataset_is_failed(d, 2) && tlvk__dataset_is_failed(d, 22) && !tlvk__dataset_is_failed(d, 0));
    assert_null(tlvk_dataset_failed(d, 4));
    int64_t count = tlvk__dataset_order(d, 9, 4, order);
    assert_int_equal(count, PICTURES - 4);
    r = make_reader(d, (tlvk__reader_desc){.order = order, .count = count});
    assert_int_equal(read_all(r, x2, ids2), PICTURES - 4);
    tlvk__reader_destroy(r);
    assert_memory_equal(ids1, ids2, (PICTURES - 4) * sizeof *ids1);
    assert_memory_equal(x1, x2, (PICTURES - 4) * ELEMENTS * sizeof *x1);
    assert_int_equal(tlvk_dataset_failed_count(d), 4);
    tlvk_dataset_destroy(d);
}

static void strict_names_the_file(void **state) {
    (void)state;
    static float x[BATCH * ELEMENTS];
    int64_t valid = 0;
    tlvk_dataset *d = make_pictures("strict", true, true);
    tlvk__reader *r = make_reader(d, (tlvk__reader_desc){.threads = 3});
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tlvk__reader_next(r, &(float *){x}, NULL, NULL, &valid), TLVK_ERROR_DATA);
        assert_non_null(strstr(tlvk__fail_text(), "p02.png"));
        assert_int_equal(valid, 0);
    }
    tlvk__reader_destroy(r);
    tlvk_dataset_destroy(d);
}

static void none_readable_is_an_error(void **state) {
    (void)state;
    static const char *const paths[] = {"gone/a.png", "gone/b.png"};
    float x[2 * 4 * 3];
    int64_t valid = 0;
    tlvk_dataset *d = NULL;
    assert_int_equal(tlvk_image_dataset_from_files(NULL, paths, 2, &(tlvk_image_folder_desc){.image_size = {2, 2}}, &d), TLVK_OK);
    for (int i = 0; i < 2; i++) { /* found out on the way, and known before */
        tlvk__reader *r = make_reader(d, (tlvk__reader_desc){.batch = 2});
        assert_int_equal(tlvk__reader_next(r, &(float *){x}, NULL, NULL, &valid), TLVK_ERROR_DATA);
        assert_non_null(strstr(tlvk__fail_text(), "none of 2 pictures can be read; the first: gone/a.png: no such file"));
        tlvk__reader_destroy(r);
    }
    tlvk_dataset_destroy(d);
}

static void early_ends(void **state) {
    (void)state;
    static float x[BATCH * ELEMENTS];
    int64_t valid = 0;
    tlvk_dataset *d = make_pictures("early", true, false);
    for (int i = 0; i < 20; i++) {
        tlvk__reader *r = make_reader(d, (tlvk__reader_desc){.threads = 1 + i % 4, .depth = 1 + i % 2});
        for (int k = 0; k < i % 3; k++) {
            assert_int_equal(tlvk__reader_next(r, &(float *){x}, NULL, NULL, &valid), TLVK_OK);
            assert_int_equal(valid, BATCH);
        }
        tlvk__reader_destroy(r);
    }
    tlvk__reader_destroy(NULL);
    int64_t wrong = PICTURES;
    tlvk__reader *r = NULL;
    assert_int_equal(tlvk__reader_create(d, &(tlvk__reader_desc){.order = &wrong, .count = 1}, &r), TLVK_ERROR_ARGUMENT);
    assert_null(r);
    r = make_reader(d, (tlvk__reader_desc){.order = &wrong, .count = 0}); /* an empty order is only an end */
    assert_int_equal(tlvk__reader_next(r, &(float *){x}, NULL, NULL, &valid), TLVK_OK);
    assert_int_equal(valid, 0);
    tlvk__reader_destroy(r);
    tlvk_dataset_destroy(d);
}

static void hashes_on_the_way(void **state) {
    (void)state;
    static float x[PICTURES * ELEMENTS];
    int64_t ids[PICTURES];
    tlvk__hash on_the_way, alone;
    tlvk_dataset *d = make_pictures("hash", false, false), *same = make_pictures("hash_same", false, false);
    tlvk__reader *r = make_reader(d, (tlvk__reader_desc){.hash = true, .threads = 2});
    assert_int_equal(read_all(r, x, ids), PICTURES);
    tlvk__reader_destroy(r);
    char *gone = tlvk__strdup(tlvk_dataset_path(d, 7));
    tlvk__file_remove(gone);
    assert_int_equal(tlvk__dataset_sample_hash(d, 7, &on_the_way), TLVK_OK); /* known without the file */
    assert_int_equal(tlvk__dataset_sample_hash(same, 7, &alone), TLVK_OK);
    assert_memory_equal(&on_the_way, &alone, sizeof alone);
    free(gone);
    gone = tlvk__strdup(tlvk_dataset_path(same, 8));
    tlvk__file_remove(gone);
    assert_int_equal(tlvk__dataset_sample_hash(same, 8, &alone), TLVK_ERROR_FILE);
    assert_true(tlvk__dataset_is_failed(same, 8));
    assert_int_equal(tlvk__dataset_sample_hash(same, PICTURES, &alone), TLVK_ERROR_ARGUMENT);
    free(gone);
    tlvk_dataset_destroy(d);
    tlvk_dataset_destroy(same);
}

static void arrays_in_batches(void **state) {
    (void)state;
    float x[10], y[5] = {0, 1, 0, 1, 2}, out[6], targets[3];
    int64_t ids[3], valid = 0, order[5] = {4, 2, 0, 1, 3};
    for (int i = 0; i < 10; i++) {
        x[i] = (float)i;
    }
    tlvk_dataset *d = NULL;
    tlvk_array_desc desc = {.x = x, .x_shape = {5, 2}, .y = y, .y_shape = {5, 1}, .batch_size = 3, .borrow = true};
    assert_int_equal(tlvk_dataset_from_arrays(NULL, &desc, &d), TLVK_OK);
    tlvk__reader *r = make_reader(d, (tlvk__reader_desc){.order = order, .count = 5});
    assert_int_equal(tlvk__reader_next(r, &(float *){out}, &(float *){targets}, ids, &valid), TLVK_OK);
    assert_int_equal(valid, 3);
    assert_memory_equal(out, ((float[]){8, 9, 4, 5, 0, 1}), sizeof out);
    assert_memory_equal(targets, ((float[]){2, 0, 0}), sizeof targets);
    assert_memory_equal(ids, order, sizeof ids);
    assert_int_equal(tlvk__reader_next(r, &(float *){out}, &(float *){targets}, ids, &valid), TLVK_OK);
    assert_int_equal(valid, 2);
    assert_memory_equal(out, ((float[]){2, 3, 6, 7, 0, 1}), sizeof out); /* the rest is left as it was */
    assert_int_equal(tlvk__reader_next(r, &(float *){out}, &(float *){targets}, ids, &valid), TLVK_OK);
    assert_int_equal(valid, 0);
    tlvk__reader_destroy(r);
    tlvk__hash a, b;
    assert_int_equal(tlvk__dataset_sample_hash(d, 0, &a), TLVK_OK);
    assert_int_equal(tlvk__dataset_sample_hash(d, 1, &b), TLVK_OK);
    assert_memory_not_equal(&a, &b, sizeof a);
    tlvk_dataset_destroy(d);
}

static void several_arrays(void **state) {
    (void)state;
    float a[4] = {0, 1, 2, 3}, b[12], hot[8] = {1, 0, 0, 1, 0, 1, 1, 0}, plain[4] = {0.5f, 1.5f, 2.5f, 3.5f};
    float out_a[3], out_b[9], out_hot[6], out_plain[3];
    int64_t ids[3], valid = 0, order[3] = {3, 1, 2};
    for (int i = 0; i < 12; i++) {
        b[i] = (float)(100 + i);
    }
    tlvk_dataset *d = NULL;
    tlvk_array_desc desc = {.inputs = {{a, {4}}, {b, {4, 1, 3}}}, .targets = {{hot, {4, 2}}, {plain, {4}}}};
    assert_int_equal(tlvk_dataset_from_arrays(NULL, &desc, &d), TLVK_OK);
    b[9] = 0; /* a copy was made */
    assert_true(tlvk__dataset_input_count(d) == 2 && tlvk__dataset_target_count(d) == 2 && tlvk__dataset_sample_elements(d, 1) == 3);
    assert_true(tlvk__dataset_label_kind(d, 0) == TLVK__LABELS_CATEGORICAL && tlvk__dataset_label_kind(d, 1) == TLVK__LABELS_TARGETS);
    assert_true(tlvk__dataset_target_classes(d, 0) == 2 && tlvk__dataset_target_label(d, 0, 1) == 1 && tlvk__dataset_target_label(d, 1, 1) == -1);
    tlvk__reader *r = make_reader(d, (tlvk__reader_desc){.order = order, .count = 3, .batch = 3});
    assert_int_equal(tlvk__reader_next(r, (float *[]){out_a, out_b}, (float *[]){out_hot, out_plain}, ids, &valid), TLVK_OK);
    assert_int_equal(valid, 3);
    assert_memory_equal(out_a, ((float[]){3, 1, 2}), sizeof out_a);
    assert_memory_equal(out_b, ((float[]){109, 110, 111, 103, 104, 105, 106, 107, 108}), sizeof out_b);
    assert_memory_equal(out_hot, ((float[]){1, 0, 0, 1, 0, 1}), sizeof out_hot);
    assert_memory_equal(out_plain, ((float[]){3.5f, 1.5f, 2.5f}), sizeof out_plain);
    tlvk__reader_destroy(r);
    /* The content hash covers every input: a sample that differs in the second alone is another one. */
    tlvk__hash first, second;
    assert_int_equal(tlvk__dataset_sample_hash(d, 0, &first), TLVK_OK);
    tlvk_dataset_destroy(d);
    b[1] += 1;
    assert_int_equal(tlvk_dataset_from_arrays(NULL, &desc, &d), TLVK_OK);
    assert_int_equal(tlvk__dataset_sample_hash(d, 0, &second), TLVK_OK);
    assert_memory_not_equal(&first, &second, sizeof first);
    tlvk_dataset_destroy(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_for_any_workers), cmocka_unit_test(bad_pictures_are_left_out), cmocka_unit_test(strict_names_the_file),
        cmocka_unit_test(none_readable_is_an_error),  cmocka_unit_test(early_ends),                cmocka_unit_test(hashes_on_the_way),
        cmocka_unit_test(arrays_in_batches),          cmocka_unit_test(several_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
