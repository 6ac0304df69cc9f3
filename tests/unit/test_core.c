/* test_core.c - the core: random numbers against published vectors, sizes at their edges, shapes, files, guarded processes. */
#include "core/core.h"
#include "core/platform.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *temp_path(const char *name) {
    const char *folder = tlvk__env("TLVK_TEST_TEMP");
    return tlvk__format("%s/core-test/%s", folder ? folder : "/tmp", name);
}

/* The published vectors of philox4x32 with 10 rounds (Random123 1.14, tests/kat_vectors). */
static void philox_matches_published_vectors(void **state) {
    (void)state;
    static const struct { uint32_t counter[4], key[2], out[4]; } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < TLVK__COUNT(known); i++) {
        tlvk__philox_key key = {{known[i].key[0], known[i].key[1]}};
        tlvk__philox_out out = tlvk__philox(key, known[i].counter[0] | (uint64_t)known[i].counter[1] << 32,
                                            known[i].counter[2] | (uint64_t)known[i].counter[3] << 32);
        assert_memory_equal(out.v, known[i].out, sizeof out.v);
    }
}

static void stream_is_repeatable_and_fair(void **state) {
    (void)state;
    tlvk__rng a, b;
    tlvk__rng_seed(&a, 7, 1);
    tlvk__rng_seed(&b, 7, 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(tlvk__rng_u32(&a), tlvk__rng_u32(&b));
    tlvk__rng_seed(&b, 7, 2);
    assert_int_not_equal(tlvk__rng_u32(&a), tlvk__rng_u32(&b));

    int counts[6] = {0};
    double sum = 0, squares = 0, uniform = 0;
    for (int i = 0; i < 60000; i++) {
        counts[tlvk__rng_below(&a, 6)]++;
        double n = tlvk__rng_normal(&a), u = tlvk__rng_uniform(&a);
        assert_true(u >= 0 && u < 1);
        sum += n;
        squares += n * n;
        uniform += u;
    }
    for (int i = 0; i < 6; i++)
        assert_in_range(counts[i], 9600, 10400); /* 4 deviations of 91 */
    assert_true(fabs(sum / 60000) < 0.02 && fabs(squares / 60000 - 1) < 0.03 && fabs(uniform / 60000 - 0.5) < 0.006);
    assert_int_equal(tlvk__rng_below(&a, 1), 0);
}

static void sizes_refuse_overflow(void **state) {
    (void)state;
    size_t s = 5;
    assert_true(tlvk__mul_size(SIZE_MAX / 2, 2, &s) && s == SIZE_MAX - 1);
    assert_false(tlvk__mul_size(SIZE_MAX / 2 + 1, 2, &s));
    assert_false(tlvk__add_size(SIZE_MAX, 1, &s));
    assert_true(s == SIZE_MAX - 1);
    int64_t v = 5;
    assert_true(tlvk__mul_i64(INT64_MIN, 1, &v) && v == INT64_MIN);
    assert_true(tlvk__mul_i64(INT64_MIN, 0, &v) && v == 0);
    assert_false(tlvk__mul_i64(INT64_MIN, -1, &v));
    assert_false(tlvk__mul_i64(-1, INT64_MIN, &v));
    assert_false(tlvk__mul_i64((int64_t)1 << 32, (int64_t)1 << 31, &v));
    assert_true(tlvk__mul_i64(-((int64_t)1 << 32), (int64_t)1 << 31, &v) && v == INT64_MIN);
    assert_null(tlvk__calloc(SIZE_MAX, 2));

    size_t capacity = 0;
    int *list = tlvk__grow(NULL, &capacity, 3, sizeof *list);
    assert_true(list && capacity >= 3 && list[2] == 0);
    list[2] = 9;
    list = tlvk__grow(list, &capacity, 1000, sizeof *list);
    assert_true(list && capacity >= 1000 && list[2] == 9 && list[999] == 0);
    assert_null(tlvk__grow(list, &capacity, SIZE_MAX, sizeof *list));
    free(list);
}

static void shapes_read_as_keras_prints_them(void **state) {
    (void)state;
    char text[96], small[6];
    tlvk__shape s = {4, {-1, 224, 224, 3}}, one = {1, {7}}, none = {0, {0}}, big = {2, {INT64_MAX, 2}};
    assert_string_equal(tlvk__shape_text(&s, text, sizeof text), "(None, 224, 224, 3)");
    assert_string_equal(tlvk__shape_text(&one, text, sizeof text), "(7,)");
    assert_string_equal(tlvk__shape_text(&none, text, sizeof text), "()");
    assert_string_equal(tlvk__shape_text(&s, small, sizeof small), "(None");
    int64_t n = 0;
    assert_false(tlvk__shape_elements(&s, &n));
    assert_false(tlvk__shape_elements(&big, &n));
    s.dim[0] = 2;
    assert_true(tlvk__shape_elements(&s, &n) && n == 2 * 224 * 224 * 3);
    assert_true(tlvk__shape_elements(&none, &n) && n == 1);
    assert_false(tlvk__shape_equal(&s, &one));
    assert_true(tlvk__shape_equal(&s, &s));
}

static void errors_keep_their_words(void **state) {
    (void)state;
    assert_int_equal(tlvk__fail(TLVK_ERROR_DATA, "shape %d", 3), TLVK_ERROR_DATA);
    assert_int_equal(tlvk__fail_context(TLVK_ERROR_DATA, "layer \"%s\"", "fc1"), TLVK_ERROR_DATA);
    assert_string_equal(tlvk__fail_text(), "layer \"fc1\": shape 3");
    tlvk__fail(TLVK_ERROR_DATA, "again: %s", tlvk__fail_text());
    assert_string_equal(tlvk__fail_text(), "again: layer \"fc1\": shape 3");
    for (int i = 0; i < 300; i++) /* longer than the buffer: cut, not written past */
        tlvk__fail_context(TLVK_ERROR_DATA, "0123456789");
    assert_true(strlen(tlvk__fail_text()) < 4096);
    tlvk__fail_clear();
    assert_string_equal(tlvk__fail_text(), "");
    assert_string_equal(tlvk_status_name(TLVK_ERROR_NO_DEVICE), "no device");
    assert_string_equal(tlvk_version(), "0.1.0");
}

static void hash_tells_pieces_apart(void **state) {
    (void)state;
    tlvk__hash a, b, c;
    char hex[33];
    unsigned char bytes[257];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7);
    tlvk__hash_init(&a);
    tlvk__hash_hex(&a, hex);
    assert_int_equal(strlen(hex), 32);
    for (size_t flip = 0; flip < sizeof bytes * 8; flip += 13) {
        tlvk__hash_init(&b);
        tlvk__hash_init(&c);
        tlvk__hash_add(&b, bytes, sizeof bytes);
        bytes[flip / 8] ^= (unsigned char)(1u << flip % 8);
        tlvk__hash_add(&c, bytes, sizeof bytes);
        bytes[flip / 8] ^= (unsigned char)(1u << flip % 8);
        assert_true(b.h[0] != c.h[0] && b.h[1] != c.h[1]);
    }
    tlvk__hash_init(&b);
    tlvk__hash_init(&c);
    tlvk__hash_add(&b, "ab", 2);
    tlvk__hash_add(&b, "c", 1);
    tlvk__hash_add(&c, "a", 1);
    tlvk__hash_add(&c, "bc", 2);
    assert_memory_not_equal(&b, &c, sizeof b);
    tlvk__hash_init(&b);
    tlvk__hash_add(&b, "\0", 1);
    tlvk__hash_init(&c);
    tlvk__hash_add(&c, "\0\0", 2);
    assert_memory_not_equal(&b, &c, sizeof b);
}

static void files_are_replaced_whole(void **state) {
    (void)state;
    char *folder = temp_path("sub/folder"), *path = temp_path("sub/folder/file"), *missing = temp_path("none/file");
    assert_int_equal(tlvk__make_folders(folder), TLVK_OK);
    assert_int_equal(tlvk__make_folders(folder), TLVK_OK);
    assert_true(tlvk__is_folder(folder));
    assert_int_equal(tlvk__file_replace(path, "first and longer", 16), TLVK_OK);
    assert_int_equal(tlvk__file_replace(path, "second", 6), TLVK_OK);
    void *data;
    size_t size;
    assert_int_equal(tlvk__file_read(path, &data, &size, 100), TLVK_OK);
    assert_int_equal(size, 6);
    assert_string_equal(data, "second");
    free(data);
    assert_int_equal(tlvk__file_read(path, &data, &size, 5), TLVK_ERROR_FORMAT);
    assert_int_equal(tlvk__file_read(missing, &data, &size, 5), TLVK_ERROR_FILE);
    assert_non_null(strstr(tlvk__fail_text(), "none/file"));
    assert_int_equal(tlvk__file_read(folder, &data, &size, 5), TLVK_ERROR_FILE);
    assert_int_equal(tlvk__file_replace(missing, "x", 1), TLVK_ERROR_FILE);
    assert_int_equal(tlvk__make_folders(path), TLVK_ERROR_FILE);

    tlvk__dir_entry *entries;
    size_t count;
    assert_int_equal(tlvk__list_folder(folder, &entries, &count), TLVK_OK); /* no temporary file is left */
    assert_int_equal(count, 1);
    assert_string_equal(entries[0].name, "file");
    assert_false(entries[0].folder);
    tlvk__dir_entries_free(entries, count);
    assert_int_equal(tlvk__list_folder(missing, &entries, &count), TLVK_ERROR_FILE);
    free(folder);
    free(path);
    free(missing);
}

/* A name of one, two, three and four bytes a letter, which is another in every code page. */
#define ODD_NAME "a \xc3\xa4 \xe2\x82\xac \xf0\x9f\x8e\x93"

static void names_are_utf8_everywhere(void **state) {
    (void)state;
    char *folder = temp_path(ODD_NAME), *path = temp_path(ODD_NAME "/" ODD_NAME ".txt");
    tlvk__dir_entry *entries;
    size_t count, size;
    void *data;
    assert_int_equal(tlvk__make_folders(folder), TLVK_OK);
    assert_true(tlvk__is_folder(folder));
    assert_int_equal(tlvk__file_replace(path, "odd", 3), TLVK_OK);
    assert_int_equal(tlvk__file_replace(path, "even", 4), TLVK_OK);
    assert_true(tlvk__is_file(path));
    assert_int_equal(tlvk__list_folder(folder, &entries, &count), TLVK_OK);
    assert_int_equal(count, 1);
    assert_string_equal(entries[0].name, ODD_NAME ".txt");
    assert_true(!entries[0].folder && !entries[0].link);
    tlvk__dir_entries_free(entries, count);
    assert_int_equal(tlvk__file_read(path, &data, &size, 100), TLVK_OK);
    assert_true(size == 4 && memcmp(data, "even", 4) == 0);
    free(data);
    tlvk__file_remove(path);
    assert_false(tlvk__is_file(path));
    assert_int_equal(tlvk__file_read(path, &data, &size, 100), TLVK_ERROR_FILE);
    assert_non_null(strstr(tlvk__fail_text(), ODD_NAME));
    free(folder);
    free(path);
}

/* Reading at a place leaves alone where the next byte is written; a file without a name is gone with its handle; one holder has a lock. */
static void files_have_places_and_locks(void **state) {
    (void)state;
    char *folder = temp_path("places"), *lock_path = temp_path("places/lock"), bytes[3];
    tlvk__dir_entry *entries;
    size_t count;
    uint64_t size = 0;
    FILE *f;
    tlvk__lock *lock, *second;
    assert_int_equal(tlvk__file_unnamed(folder, &f), TLVK_OK);
    assert_true(fwrite("abcdef", 1, 6, f) == 6 && fflush(f) == 0);
    assert_true(tlvk__file_read_at(f, 2, bytes, 3) && memcmp(bytes, "cde", 3) == 0);
    assert_false(tlvk__file_read_at(f, 4, bytes, 3));
    assert_true(fwrite("gh", 1, 2, f) == 2 && fflush(f) == 0);
    assert_true(tlvk__file_read_at(f, 5, bytes, 3) && memcmp(bytes, "fgh", 3) == 0);
    assert_true(tlvk__file_size(f, &size) && size == 8);
    fclose(f);
    assert_int_equal(tlvk__lock_try(lock_path, &lock), TLVK_OK);
    assert_non_null(lock);
    assert_int_equal(tlvk__lock_try(lock_path, &second), TLVK_OK);
    assert_null(second);
    tlvk__lock_release(lock);
    assert_int_equal(tlvk__lock_try(lock_path, &second), TLVK_OK);
    assert_non_null(second);
    tlvk__lock_release(second);
    assert_int_equal(tlvk__list_folder(folder, &entries, &count), TLVK_OK);
    assert_int_equal(count, 0);
    tlvk__dir_entries_free(entries, count);
    free(folder);
    free(lock_path);
}

static tlvk_status write_numbers(void *user, FILE *out) {
    for (int i = 0; i < *(int *)user; i++)
        if (fwrite(&i, sizeof i, 1, out) != 1)
            return tlvk__fail(TLVK_ERROR_FILE, "pipe");
    return TLVK_OK;
}

static tlvk_status refuse(void *user, FILE *out) {
    fputs("half an answer", out);
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "no %s here", (const char *)user);
}

#ifndef _WIN32
static tlvk_status crash(void *user, FILE *out) {
    (void)user;
    fputs("half", out);
    abort();
}

static tlvk_status leave(void *user, FILE *out) {
    (void)user;
    (void)out;
    exit(0);
}
#endif

static void guarded_work_cannot_hurt(void **state) {
    (void)state;
    void *result;
    size_t size;
    int count = 200000; /* more than a pipe holds */
    assert_int_equal(tlvk__run_guarded(write_numbers, &count, &result, &size), TLVK_OK);
    assert_int_equal(size, (size_t)count * sizeof(int));
    assert_int_equal(((int *)result)[count - 1], count - 1);
    free(result);
    count = 0;
    assert_int_equal(tlvk__run_guarded(write_numbers, &count, &result, &size), TLVK_OK);
    assert_int_equal(size, 0);
    free(result);
    assert_int_equal(tlvk__run_guarded(refuse, "luck", &result, &size), TLVK_ERROR_UNSUPPORTED);
    assert_string_equal(tlvk__fail_text(), "no luck here");
#ifndef _WIN32 /* it runs in place there */
    assert_int_equal(tlvk__run_guarded(crash, NULL, &result, &size), TLVK_ERROR_FORMAT);
    assert_non_null(strstr(tlvk__fail_text(), "crashed"));
    assert_int_equal(tlvk__run_guarded(leave, NULL, &result, &size), TLVK_ERROR_FORMAT);
#endif
}

static void count_up(void *user) { ++*(int *)user; }

static void threads_run_and_join(void **state) {
    (void)state;
    int n = 0;
    tlvk__thread *t = tlvk__thread_start(count_up, &n);
    assert_non_null(t);
    tlvk__thread_join(t);
    assert_int_equal(n, 1);
    assert_true(tlvk__cpu_count() >= 1);
    assert_true(tlvk__host_memory_bytes() > 1 << 20);
    double before = tlvk__now_seconds();
    assert_true(tlvk__now_seconds() >= before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_matches_published_vectors), cmocka_unit_test(stream_is_repeatable_and_fair), cmocka_unit_test(sizes_refuse_overflow),
        cmocka_unit_test(shapes_read_as_keras_prints_them), cmocka_unit_test(errors_keep_their_words), cmocka_unit_test(hash_tells_pieces_apart),
        cmocka_unit_test(files_are_replaced_whole), cmocka_unit_test(names_are_utf8_everywhere),
        cmocka_unit_test(files_have_places_and_locks), cmocka_unit_test(guarded_work_cannot_hurt), cmocka_unit_test(threads_run_and_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
