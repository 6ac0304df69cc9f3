/* test_data.c - folders, files and arrays to datasets: order, classes, split, labels, and what is refused. */
#include "data/data.h"
#include "data/numpy_random.h"
#include "support/pictures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Expected: l = list(range(n)); numpy.random.RandomState(seed).shuffle(l), NumPy 2.4. */
static void shuffle_as_numpy(void **state) {
    (void)state;
    static const struct {
        uint32_t seed;
        int64_t count, expected[20];
    } cases[] = {
        {0, 5, {2, 0, 1, 3, 4}},
        {1, 10, {2, 9, 6, 4, 0, 3, 1, 7, 8, 5}},
        {123, 20, {14, 5, 4, 17, 8, 7, 19, 12, 0, 15, 16, 9, 11, 10, 3, 1, 6, 18, 2, 13}},
        {4294967295u, 12, {11, 8, 5, 9, 1, 10, 6, 0, 4, 7, 2, 3}},
        {1337, 1, {0}},
    };
    static const int64_t first[6] = {778, 334, 271, 802, 216, 408}, last[6] = {211, 579, 502, 537, 196, 175}; /* seed 7, n 1000 */
    int64_t items[1000];
    for (size_t i = 0; i < TLVK__COUNT(cases); i++) {
        for (int64_t k = 0; k < cases[i].count; k++) {
            items[k] = k;
        }
        tlvk__numpy_shuffle(cases[i].seed, items, cases[i].count);
        assert_memory_equal(items, cases[i].expected, (size_t)cases[i].count * sizeof *items);
    }
    for (int64_t k = 0; k < 1000; k++) {
        items[k] = k;
    }
    tlvk__numpy_shuffle(7, items, 1000);
    assert_memory_equal(items, first, sizeof first);
    assert_memory_equal(items + 994, last, sizeof last);
    tlvk__numpy_shuffle(7, items, 0);
}

/* Three classes with what Keras counts and what it leaves out. In sorted order: */
static const char *const sorted_files[] = {
    "10/.hidden.png", "10/a.PNG", "10/b.jpeg", "10/.dots/h.gif", "10/deep/c.jpg", "10/deep-1/d.bmp", "10/deep/in/e.gif",
    "2/f.BMP", "2/g.Jpg", "cat/1.png", "cat/10.png", "cat/2.png",
};
static char *make_tree(void) {
    static const char *const left_out[] = {".git/x.png", "loose.png", "10/note.txt", "10/jpg", "2/picture.webp", "cat/4.png.bak"};
    char *folder = test_folder("tree");
    for (size_t i = 0; i < TLVK__COUNT(sorted_files); i++) {
        test_write_picture(folder, sorted_files[i], (int)i);
    }
    for (size_t i = 0; i < TLVK__COUNT(left_out); i++) {
        test_write_picture(folder, left_out[i], 99);
    }
    return folder;
}

static tlvk_dataset *from_directory(const tlvk_image_folder_desc *desc) {
    tlvk_dataset *d = NULL;
    tlvk_status st = tlvk_image_dataset_from_directory(NULL, desc, &d);
    if (st) {
        print_message("%s\n", tlvk_last_error(NULL));
    }
    assert_int_equal(st, TLVK_OK);
    return d;
}

static void assert_path(const tlvk_dataset *d, int64_t sample, const char *folder, const char *name) {
    char *expected = tlvk__format("%s/%s", folder, name);
    assert_string_equal(tlvk_dataset_path(d, sample), expected);
    free(expected);
}

static void walk_as_keras(void **state) {
    (void)state;
    static const int labels[] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2};
    char *folder = make_tree(), *slash = tlvk__format("%s/", folder);
    tlvk_dataset *d = from_directory(&(tlvk_image_folder_desc){.path = slash, .no_shuffle = true});
    assert_int_equal(tlvk_dataset_size(d), TLVK__COUNT(sorted_files));
    assert_int_equal(tlvk_dataset_class_count(d), 3);
    assert_string_equal(tlvk_dataset_class_name(d, 0), "10");
    assert_string_equal(tlvk_dataset_class_name(d, 1), "2");
    assert_string_equal(tlvk_dataset_class_name(d, 2), "cat");
    assert_null(tlvk_dataset_class_name(d, 3));
    for (size_t i = 0; i < TLVK__COUNT(sorted_files); i++) {
        assert_path(d, (int64_t)i, folder, sorted_files[i]);
        assert_int_equal(tlvk_dataset_label(d, (int64_t)i), labels[i]);
    }
    assert_null(tlvk_dataset_path(d, 12));
    assert_int_equal(tlvk_dataset_label(d, -1), -1);
    tlvk_dataset_destroy(d);
    free(slash);
    free(folder);
}

/* Expected: l = list(range(12)); numpy.random.RandomState(4294967295).shuffle(l), and Keras's samples[:-int(.3*12)], samples[-int(.3*12):]. */
static void split_as_keras(void **state) {
    (void)state;
    static const int order[12] = {11, 8, 5, 9, 1, 10, 6, 0, 4, 7, 2, 3};
    char *folder = make_tree();
    tlvk_image_folder_desc desc = {.path = folder, .seed = 4294967295u, .validation_split = 0.3, .subset = TLVK_SUBSET_TRAINING};
    tlvk_dataset *train = from_directory(&desc);
    desc.subset = TLVK_SUBSET_VALIDATION;
    tlvk_dataset *validation = from_directory(&desc);
    assert_int_equal(tlvk_dataset_size(train), 9);
    assert_int_equal(tlvk_dataset_size(validation), 3);
    for (int i = 0; i < 12; i++) {
        const tlvk_dataset *d = i < 9 ? train : validation;
        int64_t sample = i < 9 ? i : i - 9;
        assert_path(d, sample, folder, sorted_files[order[i]]);
        assert_int_equal(tlvk_dataset_label(d, sample), order[i] < 7 ? 0 : order[i] < 9 ? 1 : 2);
    }
    tlvk_dataset_destroy(train);
    tlvk_dataset_destroy(validation);
    free(folder);
}

static void class_order_and_unlabeled(void **state) {
    (void)state;
    static const char *const names[] = {"cat", "10"};
    char *folder = make_tree();
    tlvk_dataset *d = from_directory(&(tlvk_image_folder_desc){.path = folder, .no_shuffle = true, .class_names = names, .class_count = 2});
    assert_int_equal(tlvk_dataset_size(d), 10);
    assert_path(d, 0, folder, "cat/1.png");
    assert_int_equal(tlvk_dataset_label(d, 0), 0);
    assert_int_equal(tlvk_dataset_label(d, 9), 1);
    tlvk_dataset_destroy(d);
    d = from_directory(&(tlvk_image_folder_desc){.path = folder, .no_shuffle = true, .unlabeled = true});
    assert_int_equal(tlvk_dataset_size(d), 14); /* the hidden folder's and the loose picture too */
    assert_path(d, 0, folder, "loose.png");
    assert_path(d, 1, folder, ".git/x.png");
    assert_int_equal(tlvk_dataset_label(d, 0), -1);
    assert_int_equal(tlvk_dataset_class_count(d), 0);
    assert_int_equal(tlvk__dataset_target_width(d, 0), 0);
    tlvk_dataset_destroy(d);
    free(folder);
}

static void label_modes(void **state) {
    (void)state;
    static const char *const two[] = {"10", "2"};
    char *folder = make_tree();
    float target[3];
    tlvk_image_folder_desc desc = {.path = folder, .no_shuffle = true};
    tlvk_dataset *d = from_directory(&desc);
    assert_int_equal(tlvk__dataset_label_kind(d, 0), TLVK__LABELS_INT);
    assert_int_equal(tlvk__dataset_target_width(d, 0), 1);
    tlvk__dataset_target(d, 0, 11, target);
    assert_true(target[0] == 2.0f);
    tlvk_dataset_destroy(d);
    desc.label_mode = TLVK_LABEL_CATEGORICAL;
    d = from_directory(&desc);
    assert_int_equal(tlvk__dataset_target_width(d, 0), 3);
    tlvk__dataset_target(d, 0, 7, target);
    assert_memory_equal(target, ((float[]){0.0f, 1.0f, 0.0f}), sizeof target);
    tlvk_dataset_destroy(d);
    desc.label_mode = TLVK_LABEL_BINARY;
    assert_int_equal(tlvk_image_dataset_from_directory(NULL, &desc, &d), TLVK_ERROR_DATA);
    assert_non_null(strstr(tlvk_last_error(NULL), "exactly 2 classes"));
    desc.class_names = two;
    desc.class_count = 2;
    d = from_directory(&desc);
    assert_int_equal(tlvk__dataset_label_kind(d, 0), TLVK__LABELS_BINARY);
    tlvk__dataset_target(d, 0, 8, target);
    assert_true(target[0] == 1.0f);
    tlvk_dataset_destroy(d);
    free(folder);
}

static void epoch_order(void **state) {
    (void)state;
    char *folder = make_tree();
    int64_t a[12], b[12], seen[12] = {0}, identity[12];
    tlvk_dataset *d = from_directory(&(tlvk_image_folder_desc){.path = folder});
    assert_int_equal(tlvk__dataset_order(d, 5, 0, a), 12);
    assert_int_equal(tlvk__dataset_order(d, 5, 0, b), 12);
    assert_memory_equal(a, b, sizeof a);
    for (int i = 0; i < 12; i++) {
        seen[a[i]]++;
        identity[i] = i;
    }
    for (int i = 0; i < 12; i++) {
        assert_int_equal(seen[i], 1);
    }
    assert_memory_not_equal(a, identity, sizeof a);
    (void)tlvk__dataset_order(d, 5, 1, b);
    assert_memory_not_equal(a, b, sizeof a);
    (void)tlvk__dataset_order(d, 6, 0, b);
    assert_memory_not_equal(a, b, sizeof a);
    tlvk_dataset_destroy(d);
    d = from_directory(&(tlvk_image_folder_desc){.path = folder, .no_shuffle = true});
    (void)tlvk__dataset_order(d, 5, 3, b);
    assert_memory_equal(b, identity, sizeof b);
    tlvk_dataset_destroy(d);
    free(folder);
}

static void assert_folder_refused(const tlvk_image_folder_desc *desc, tlvk_status status, const char *words) {
    tlvk_dataset *d = (tlvk_dataset *)&d;
    assert_int_equal(tlvk_image_dataset_from_directory(NULL, desc, &d), status);
    assert_null(d);
    if (!strstr(tlvk_last_error(NULL), words)) {
        fail_msg("'%s' does not say '%s'", tlvk_last_error(NULL), words);
    }
}

static void folders_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"dog"}, *const twice[] = {"2", "2"};
    char *folder = make_tree(), *empty = test_folder("empty"), *no_pictures = test_folder("no_pictures"), *file = tlvk__format("%s/loose.png", folder);
    test_write(no_pictures, "a/readme.txt", "x", 1);
    assert_folder_refused(&(tlvk_image_folder_desc){.path = "not/there"}, TLVK_ERROR_FILE, "not/there: no such folder");
    assert_folder_refused(&(tlvk_image_folder_desc){.path = file}, TLVK_ERROR_FILE, "expected a folder");
    assert_folder_refused(&(tlvk_image_folder_desc){.path = empty}, TLVK_ERROR_DATA, "no class folder");
    assert_folder_refused(&(tlvk_image_folder_desc){.path = no_pictures}, TLVK_ERROR_DATA, "no picture in it");
    assert_folder_refused(&(tlvk_image_folder_desc){0}, TLVK_ERROR_ARGUMENT, "path");
    assert_folder_refused(&(tlvk_image_folder_desc){.path = folder, .class_names = wrong, .class_count = 1}, TLVK_ERROR_DATA, "'dog'");
    assert_folder_refused(&(tlvk_image_folder_desc){.path = folder, .class_names = twice, .class_count = 2}, TLVK_ERROR_ARGUMENT, "twice");
    assert_folder_refused(&(tlvk_image_folder_desc){.path = folder, .class_names = wrong}, TLVK_ERROR_ARGUMENT, "together");
    assert_folder_refused(&(tlvk_image_folder_desc){.path = folder, .validation_split = 0.2}, TLVK_ERROR_ARGUMENT, "together");
    assert_folder_refused(&(tlvk_image_folder_desc){.path = folder, .validation_split = 1.5, .subset = TLVK_SUBSET_TRAINING}, TLVK_ERROR_ARGUMENT, "between 0 and 1");
    assert_folder_refused(&(tlvk_image_folder_desc){.path = folder, .validation_split = 0.01, .subset = TLVK_SUBSET_TRAINING}, TLVK_ERROR_DATA, "none for validation");
    assert_folder_refused(&(tlvk_image_folder_desc){.path = folder, .image_size = {-1, 4}}, TLVK_ERROR_ARGUMENT, "image_size -1 x 4");
    assert_folder_refused(&(tlvk_image_folder_desc){.path = folder, .image_size = {1000000000, 1000000000}}, TLVK_ERROR_ARGUMENT, "1 to 16384");
    assert_folder_refused(&(tlvk_image_folder_desc){.path = folder, .color_mode = TLVK_GRAYSCALE, .preprocess = TLVK_PREPROCESS_CAFFE}, TLVK_ERROR_ARGUMENT, "caffe");
    assert_folder_refused(&(tlvk_image_folder_desc){.path = folder, .seed = 4294967296u}, TLVK_ERROR_ARGUMENT, "4294967295");
    free(folder);
    free(empty);
    free(no_pictures);
    free(file);
}

static void files_in_given_order(void **state) {
    (void)state;
    static const char *const paths[] = {"b.png", "a.png", "b.png"};
    tlvk_dataset *d = NULL;
    assert_int_equal(tlvk_image_dataset_from_files(NULL, paths, 3, NULL, &d), TLVK_OK); /* nothing is opened yet */
    assert_int_equal(tlvk_dataset_size(d), 3);
    assert_string_equal(tlvk_dataset_path(d, 1), "a.png");
    assert_int_equal(tlvk_dataset_class_count(d), 0);
    tlvk__shape shape = tlvk__dataset_sample_shape(d, 0);
    assert_true(shape.rank == 3 && shape.dim[0] == 256 && shape.dim[1] == 256 && shape.dim[2] == 3);
    tlvk_dataset_destroy(d);
    assert_int_equal(tlvk_image_dataset_from_files(NULL, paths, 0, NULL, &d), TLVK_ERROR_ARGUMENT);
    tlvk_dataset_destroy(NULL);
}

static void array_labels(void **state) {
    (void)state;
    float x[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, classes[3] = {2, 0, 1}, numbers[3] = {0.5f, 1, 2}, hot[6] = {0, 1, 1, 0, 0, 1}, soft[6] = {.2f, .8f, 1, 0, 0, 1};
    tlvk_array_desc desc = {.x = x, .x_shape = {3, 2, 2}, .y = classes, .y_shape = {3}};
    tlvk_dataset *d = NULL;
    float target[2];
    assert_int_equal(tlvk_dataset_from_arrays(NULL, &desc, &d), TLVK_OK);
    assert_true(tlvk__dataset_label_kind(d, 0) == TLVK__LABELS_INT && tlvk_dataset_class_count(d) == 3 && tlvk_dataset_label(d, 0) == 2);
    assert_true(tlvk__dataset_sample_shape(d, 0).rank == 2 && tlvk__dataset_sample_elements(d, 0) == 4);
    assert_null(tlvk_dataset_path(d, 0));
    assert_null(tlvk_dataset_class_name(d, 0));
    tlvk_dataset_destroy(d);
    desc.y = numbers;
    desc.y_shape[1] = 1;
    assert_int_equal(tlvk_dataset_from_arrays(NULL, &desc, &d), TLVK_OK);
    assert_true(tlvk__dataset_label_kind(d, 0) == TLVK__LABELS_TARGETS && tlvk_dataset_class_count(d) == 0 && tlvk_dataset_label(d, 1) == -1);
    tlvk_dataset_destroy(d);
    desc.y = hot;
    desc.y_shape[1] = 2;
    assert_int_equal(tlvk_dataset_from_arrays(NULL, &desc, &d), TLVK_OK);
    assert_true(tlvk__dataset_label_kind(d, 0) == TLVK__LABELS_CATEGORICAL && tlvk_dataset_class_count(d) == 2 && tlvk_dataset_label(d, 0) == 1);
    hot[2] = 5; /* a copy was made */
    tlvk__dataset_target(d, 0, 1, target);
    assert_true(target[0] == 1.0f && target[1] == 0.0f);
    tlvk_dataset_destroy(d);
    desc.y = soft;
    assert_int_equal(tlvk_dataset_from_arrays(NULL, &desc, &d), TLVK_OK);
    assert_int_equal(tlvk__dataset_label_kind(d, 0), TLVK__LABELS_TARGETS);
    tlvk_dataset_destroy(d);
    desc.y_shape[0] = 4;
    assert_int_equal(tlvk_dataset_from_arrays(NULL, &desc, &d), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(NULL), "target 0 has 4 samples, input 0 has 3"));
    desc = (tlvk_array_desc){.x = x, .x_shape = {INT64_MAX / 2, INT64_MAX / 2}};
    assert_int_equal(tlvk_dataset_from_arrays(NULL, &desc, &d), TLVK_ERROR_ARGUMENT);
    desc = (tlvk_array_desc){.x = x, .x_shape = {12}, .borrow = true};
    assert_int_equal(tlvk_dataset_from_arrays(NULL, &desc, &d), TLVK_OK);
    assert_true(tlvk__dataset_sample_shape(d, 0).rank == 1 && tlvk__dataset_sample_shape(d, 0).dim[0] == 1);
    assert_int_equal(tlvk__dataset_label_kind(d, 0), TLVK__LABELS_NONE);
    tlvk_dataset_destroy(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shuffle_as_numpy), cmocka_unit_test(walk_as_keras),  cmocka_unit_test(split_as_keras),
        cmocka_unit_test(class_order_and_unlabeled), cmocka_unit_test(label_modes), cmocka_unit_test(epoch_order),
        cmocka_unit_test(folders_refused),  cmocka_unit_test(files_in_given_order), cmocka_unit_test(array_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
