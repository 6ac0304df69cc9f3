/* test_choices.c - kernels chosen by measurement: each candidate forced in turn on the small cases of the operations that have candidates, held against the
 * reference; a table of choices, its file, and what is none. TLVK_TEST_CHOICE=k forces the k-th alone. */
#include "core/platform.h"
#include "ops/gemm.h"
#include "support/device.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

static const tlvk__op *const chosen_ops[] = {&tlvk__op_conv2d, &tlvk__op_dense, &tlvk__op_conv2d_transpose, &tlvk__op_depthwise_conv2d};

/* The next small case, first all in fp32 and then, where the device can, all in mixed precision; false past the last. */
typedef struct small_cases { const tlvk__op *op; bool mixed; int index; } small_cases;
static bool next_case(const tlvk__caps *caps, small_cases *s, tlvk__op_case *c) {
    for (;; s->index++) {
        *c = (tlvk__op_case){.epilogue = tlvk__activation_of(TLVK_LINEAR)};
        if (!s->op->test_case(s->index, c)) {
            if (s->mixed || !caps->matrix_m || !(s->op->flags & TLVK__OP_PRODUCT))
                return false;
            *s = (small_cases){s->op, true, -1};
            continue;
        }
        c->mixed = s->mixed;
        if (!c->real_size)
            return true;
    }
}

static int candidates_of(const tlvk__caps *caps, const tlvk__op *op, const tlvk__op_case *c, int pass, tlvk__choice_key *key, int32_t *values) {
    tlvk__tensor x, y;
    tlvk__shape shape;
    assert_ok(op->shape(c->attrs.bytes, 1, c->x, &shape));
    assert_ok(tlvk__tensor_from_shape(&c->x[0], &x));
    assert_ok(tlvk__tensor_from_shape(&shape, &y));
    tlvk__op_call call = {.attrs = c->attrs.bytes, .layer = c->name, .mixed = c->mixed, .inputs = 1, .x = {&x}, .y = &y};
    return op->candidates(caps, &call, pass, key, values);
}

static int most_candidates(const tlvk__caps *caps) {
    int most = 0;
    for (size_t o = 0; o < TLVK__COUNT(chosen_ops); o++) {
        tlvk__op_case c;
        for (small_cases s = {chosen_ops[o], false, 0}; next_case(caps, &s, &c); s.index++)
            for (int pass = 0; pass < 3; pass++) {
                tlvk__choice_key key;
                int32_t values[TLVK__MOST_CANDIDATES];
                most = TLVK__MAX(most, candidates_of(caps, chosen_ops[o], &c, pass, &key, values));
            }
    }
    return most;
}

/* Every small case with candidate number k of every kernel; inference-mode bits are compared between batches on the way (ops/check.c). */
static void check_forced(tlvk__device *d, int k) {
    ((tlvk__caps *)tlvk__device_caps(d))->forced_choice = k;
    int cases = 0, failed = 0;
    double worst = 0;
    for (size_t o = 0; o < TLVK__COUNT(chosen_ops); o++) {
        tlvk__op_case c;
        for (small_cases s = {chosen_ops[o], false, 0}; next_case(tlvk__device_caps(d), &s, &c); s.index++) {
            tlvk__check result;
            tlvk_status st = tlvk__check_case(d, chosen_ops[o], &c, 1 + (uint64_t)s.index, 0, &result);
            cases++;
            worst = fmax(worst, result.worst);
            if (!st && result.ok)
                continue;
            failed++;
            print_message("candidate %d, %s \"%s\"%s: %s\n", k, chosen_ops[o]->class_name, c.name, c.mixed ? ", mixed" : "", st ? tlvk__fail_text() : result.message);
        }
    }
    ((tlvk__caps *)tlvk__device_caps(d))->forced_choice = 0;
    print_message("candidate %d: %d cases, %d failed, worst error %.2f of its bound\n", k, cases, failed, worst);
    assert_int_equal(failed, 0);
}

static void each_forced(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    const char *only = tlvk__env("TLVK_TEST_CHOICE");
    int most = most_candidates(tlvk__device_caps(d));
    assert_true(most > 1);
    for (int k = 2; k <= most; k++) /* the first is the standard, which test_ops checks */
        if (!only || atoi(only) == k)
            check_forced(d, k);
}

/* --- who asks -------------------------------------------------------------------------------------------------------------------------------- */

/* A call whose tensors lie one behind the other in one buffer, to be recorded and never run. */
typedef struct laid { tlvk__buffer *room; uint64_t used; tlvk__tensor tensors[8]; tlvk__span spans[8]; int count; tlvk__op_call call; } laid;
enum { ROOM_BYTES = 48 << 20 };

static tlvk__span lay(laid *l, uint64_t bytes) {
    tlvk__span span = {l->room, l->used, bytes};
    l->used += tlvk__round_up(bytes, 256);
    assert_true(l->used <= ROOM_BYTES);
    return span;
}

static const tlvk__tensor *lay_tensor(laid *l, const tlvk__tensor *sizes) {
    uint64_t bytes;
    int i = l->count++;
    assert_true(i < (int)TLVK__COUNT(l->tensors));
    assert_true(tlvk__tensor_bytes(sizes, &bytes));
    l->spans[i] = lay(l, bytes);
    l->tensors[i] = *sizes;
    l->tensors[i].segment_n = sizes->n;
    l->tensors[i].segment_count = 1;
    l->tensors[i].segments = &l->spans[i];
    return &l->tensors[i];
}

static void lay_call(laid *l, const tlvk__caps *caps, const tlvk__op *op, const tlvk__op_case *c, int pass) {
    tlvk__tensor x, y, w;
    tlvk__shape shape;
    tlvk__variable_spec specs[TLVK__MAX_VARIABLES];
    tlvk__op_needs needs = {.packed_bytes = 0};
    tlvk__op_call *call = &l->call;
    l->used = 0;
    l->count = 0;
    assert_ok(op->shape(c->attrs.bytes, 1, c->x, &shape));
    assert_ok(tlvk__tensor_from_shape(&c->x[0], &x));
    assert_ok(tlvk__tensor_from_shape(&shape, &y));
    *call = (tlvk__op_call){.attrs = c->attrs.bytes, .layer = c->name, .mixed = c->mixed, .inputs = 1, .x = {lay_tensor(l, &x)}, .y = lay_tensor(l, &y),
                            .epilogue = {.activation = tlvk__activation_of(TLVK_LINEAR)}};
    if (pass > 0)
        call->dy = lay_tensor(l, &y);
    if (pass == 1)
        call->dx[0] = lay_tensor(l, &x);
    for (int i = 0; i < op->variables(c->attrs.bytes, 1, c->x, specs); i++) {
        assert_ok(tlvk__variable_layout(&specs[i].shape, specs[i].layout, &w));
        call->w[i] = lay_tensor(l, &w);
        if (pass == 2)
            call->dw[i] = lay_tensor(l, &w);
    }
    assert_ok(op->needs(caps, call, pass == 1, pass == 2, &needs));
    call->scratch = lay(l, TLVK__MAX(needs.forward_scratch_bytes, needs.backward_scratch_bytes));
    call->packed = lay(l, needs.packed_bytes);
}

/* What the pass records, as a hash of its shaders and groups. */
static tlvk__hash recorded(tlvk__device *d, laid *l, const tlvk__op *op, const tlvk__op_case *c, int pass) {
    tlvk__recorder *r;
    tlvk__recording *rec;
    tlvk__recorded entry;
    tlvk__hash h;
    tlvk__hash_init(&h);
    lay_call(l, tlvk__device_caps(d), op, c, pass);
    assert_ok(tlvk__recorder_create(d, NULL, &r));
    if (pass == 0 && op->pack && l->call.packed.bytes)
        assert_ok(op->pack(r, &l->call));
    assert_ok(pass ? op->backward(r, &l->call) : op->forward(r, &l->call));
    assert_ok(tlvk__recorder_finish(r, &rec));
    for (int i = 0; i < tlvk__recording_count(rec); i++) {
        assert_ok(tlvk__recording_entry(rec, i, &entry));
        tlvk__hash_add(&h, entry.shader, strlen(entry.shader));
        tlvk__hash_add(&h, entry.groups, sizeof entry.groups);
    }
    tlvk__recording_destroy(rec);
    return h;
}

/* A pass asks the table by the key that its candidates were listed under: with a measured choice it records what it does with that one forced. */
static int ask(tlvk__device *d, laid *l, const tlvk__op *op, const tlvk__op_case *c, int pass) {
    tlvk__caps *caps = (tlvk__caps *)tlvk__device_caps(d);
    tlvk__choice_key key;
    int32_t values[TLVK__MOST_CANDIDATES];
    int count = candidates_of(caps, op, c, pass, &key, values), told = 0;
    tlvk__hash standard = recorded(d, l, op, c, pass);
    for (int i = 1; i < count; i++) {
        tlvk__choices *table = tlvk__choices_create();
        assert_ok(tlvk__choices_put(table, &key, values[i]));
        caps->forced_choice = i + 1;
        tlvk__hash forced = recorded(d, l, op, c, pass);
        caps->forced_choice = 0;
        caps->choices = table;
        tlvk__hash chosen = recorded(d, l, op, c, pass);
        caps->choices = NULL;
        tlvk__choices_destroy(table);
        if (memcmp(&forced, &chosen, sizeof forced) != 0)
            fail_msg("%s \"%s\", pass %d: candidate %d is not found in a table", op->class_name, c->name, pass, i + 1);
        told += memcmp(&forced, &standard, sizeof forced) != 0;
    }
    return told;
}

static void each_found(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    laid l;
    assert_ok(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, ROOM_BYTES, "a test", &l.room));
    for (size_t o = 0; o < TLVK__COUNT(chosen_ops); o++) {
        int told[2][3] = {{0}};
        tlvk__op_case c;
        for (small_cases s = {chosen_ops[o], false, 0}; next_case(tlvk__device_caps(d), &s, &c); s.index++)
            for (int pass = 0; pass < 3; pass++)
                told[c.mixed][pass] += ask(d, &l, chosen_ops[o], &c, pass);
        print_message("%s: %d, %d, %d candidates that record otherwise, in mixed precision %d, %d, %d\n", chosen_ops[o]->class_name, told[0][0], told[0][1], told[0][2],
                      told[1][0], told[1][1], told[1][2]);
        assert_true(told[0][0] > 2 && told[0][1] > 2);
        if (tlvk__device_caps(d)->matrix_m && (chosen_ops[o]->flags & TLVK__OP_PRODUCT))
            assert_true(told[1][0] > 2 && told[1][1] > 2 && told[1][2] > 2);
    }
    tlvk__buffer_destroy(l.room);
}

/* --- tables, without a device ------------------------------------------------------------------------------------------------------------ */

static tlvk__choice_key key_number(int i) {
    return (tlvk__choice_key){.kind = TLVK__CHOICE_CONV, .pass = i % 3, .n = {7 * i % 11, i, 3, 4, 5, 6, 1, 1, 1, 1, 0, 0, 8, 16, 1}};
}

static void table(void **state) {
    (void)state;
    tlvk__choices *c = tlvk__choices_create();
    enum { COUNT = 40 };
    int32_t value;
    for (int i = 0; i < COUNT; i++) {
        tlvk__choice_key key = key_number(i * 17 % COUNT);
        assert_false(tlvk__choices_find(c, &key, &value));
        assert_ok(tlvk__choices_put(c, &key, i));
    }
    assert_int_equal(tlvk__choices_count(c), COUNT);
    for (int i = 0; i < COUNT; i++) {
        tlvk__choice_key key = key_number(i * 17 % COUNT);
        assert_true(tlvk__choices_find(c, &key, &value));
        assert_int_equal(value, i);
        assert_ok(tlvk__choices_put(c, &key, i + 1));
    }
    assert_int_equal(tlvk__choices_count(c), COUNT);
    tlvk__choices_destroy(c);
    tlvk__choices_destroy(NULL);
}

/* Forced before measured before standard; what is no candidate counts as absent. */
static void order(void **state) {
    (void)state;
    tlvk__caps caps;
    tlvk__caps_fixed(&caps);
    tlvk__choices *c = tlvk__choices_create();
    tlvk__choice_key key = key_number(1);
    const int32_t candidates[] = {5, 6, 7};
    assert_int_equal(tlvk__choice_take(&caps, &key, candidates, 3), 5);
    caps.choices = c;
    assert_int_equal(tlvk__choice_take(&caps, &key, candidates, 3), 5);
    assert_ok(tlvk__choices_put(c, &key, 7));
    assert_int_equal(tlvk__choice_take(&caps, &key, candidates, 3), 7);
    assert_ok(tlvk__choices_put(c, &key, 8));
    assert_int_equal(tlvk__choice_take(&caps, &key, candidates, 3), 5);
    caps.forced_choice = 5;
    assert_int_equal(tlvk__choice_take(&caps, &key, candidates, 3), 6);
    tlvk__choices_destroy(c);
}

/* No key sees the batch. */
static void keys_know_no_batch(void **state) {
    (void)state;
    tlvk__caps caps;
    tlvk__caps_fixed(&caps);
    caps.matrix_m = caps.matrix_n = caps.matrix_k = 16;
    for (size_t o = 0; o < TLVK__COUNT(chosen_ops); o++) {
        tlvk__op_case c;
        for (small_cases s = {chosen_ops[o], false, 0}; next_case(&caps, &s, &c); s.index++)
            for (int pass = 0; pass < 3; pass++) {
                tlvk__choice_key one = {0}, many = {0};
                int32_t values[TLVK__MOST_CANDIDATES], more[TLVK__MOST_CANDIDATES];
                int count = candidates_of(&caps, chosen_ops[o], &c, pass, &one, values);
                assert_true((one.kind >= TLVK__CHOICE_MIXED_CONV) == (c.mixed && count > 0));
                assert_true(!c.mixed || !count || (values[0] & TLVK__CHOICE_COOPERATIVE && !(values[count - 1] & TLVK__CHOICE_COOPERATIVE)));
                c.x[0].dim[0] += 31;
                assert_int_equal(candidates_of(&caps, chosen_ops[o], &c, pass, &many, more), count);
                c.x[0].dim[0] -= 31;
                assert_memory_equal(&one, &many, sizeof one);
                assert_memory_equal(values, more, (size_t)count * sizeof *values);
            }
    }
}

/* --- files ---------------------------------------------------------------------------------------------------------------------------------- */

static char *temp_file(const tlvk__caps *caps) {
    const char *folder = tlvk__env("TLVK_TEST_TEMP");
    char *path = tlvk__choices_path(caps, folder ? folder : "/tmp");
    assert_non_null(path);
    tlvk__file_remove(path);
    return path;
}

static size_t loaded(const tlvk__caps *caps, const char *path) {
    tlvk__choices *c = tlvk__choices_create();
    assert_ok(tlvk__choices_load(caps, path, c));
    size_t count = tlvk__choices_count(c);
    tlvk__choices_destroy(c);
    return count;
}

/* What one stored, another reads; of two that measured the same key, the first is kept, by both. */
static void first_stored_stays(void **state) {
    (void)state;
    tlvk__caps caps;
    tlvk__caps_fixed(&caps);
    char *path = temp_file(&caps);
    tlvk__choices *a = tlvk__choices_create(), *b = tlvk__choices_create();
    tlvk__choice_key first = key_number(1), second = key_number(2);
    int32_t value;
    assert_int_equal(loaded(&caps, path), 0);
    assert_ok(tlvk__choices_put(a, &first, 10));
    assert_ok(tlvk__choices_store(&caps, path, a));
    assert_ok(tlvk__choices_put(b, &first, 20));
    assert_ok(tlvk__choices_put(b, &second, 30));
    assert_ok(tlvk__choices_store(&caps, path, b));
    assert_true(tlvk__choices_find(b, &first, &value));
    assert_int_equal(value, 10);
    assert_int_equal(loaded(&caps, path), 2);
    tlvk__choices_destroy(a);
    a = tlvk__choices_create();
    assert_ok(tlvk__choices_load(&caps, path, a));
    assert_true(tlvk__choices_find(a, &first, &value));
    assert_int_equal(value, 10);
    assert_true(tlvk__choices_find(a, &second, &value));
    assert_int_equal(value, 30);
    tlvk__choices_destroy(a);
    tlvk__choices_destroy(b);
    tlvk__file_remove(path);
    free(path);
}

/* Every byte changed, every length cut, another driver's: nothing is read, nothing fails; the next to store writes it anew. */
static void damaged_files(void **state) {
    (void)state;
    tlvk__caps caps, other;
    tlvk__caps_fixed(&caps);
    char *path = temp_file(&caps);
    tlvk__choices *c = tlvk__choices_create();
    tlvk__choice_key key = key_number(1);
    assert_ok(tlvk__choices_put(c, &key, 10));
    assert_ok(tlvk__choices_store(&caps, path, c));
    assert_int_equal(loaded(&caps, path), 1);
    other = caps;
    other.driver_version++;
    assert_int_equal(loaded(&other, path), 0);
    other = caps;
    other.driver_uuid[3] ^= 1;
    assert_int_equal(loaded(&other, path), 0);
    void *data;
    size_t size;
    assert_ok(tlvk__file_read(path, &data, &size, 1 << 20));
    unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x40;
        assert_ok(tlvk__file_replace(path, bytes, size));
        assert_int_equal(loaded(&caps, path), 0);
        bytes[i] ^= 0x40;
        assert_ok(tlvk__file_replace(path, bytes, i));
        assert_int_equal(loaded(&caps, path), 0);
    }
    assert_ok(tlvk__choices_store(&caps, path, c));
    assert_int_equal(loaded(&caps, path), 1);
    free(data);
    tlvk__choices_destroy(c);
    tlvk__file_remove(path);
    free(path);
}

/* Entries under a right hash, as in a checkpoint from elsewhere. */
static void hostile_entries(void **state) {
    (void)state;
    tlvk__choices *c = tlvk__choices_create(), *read = tlvk__choices_create();
    tlvk__choice_key key = key_number(4);
    assert_ok(tlvk__choices_put(c, &key, 10));
    size_t size = tlvk__choices_write(c, NULL);
    int64_t words[32];
    assert_true(size <= sizeof words && size == tlvk__choices_entry_bytes());
    unsigned char bytes[sizeof words];
    tlvk__choices_write(c, bytes);
    assert_ok(tlvk__choices_read(read, bytes, size));
    assert_int_equal(tlvk__choices_count(read), 1);
    assert_int_equal(tlvk__choices_read(read, bytes, size - 1), TLVK_ERROR_FORMAT);
    for (size_t i = 0; i < size / 8; i++) {
        memcpy(words, bytes, size);
        words[i] = i % 2 ? -1 : INT64_MAX;
        tlvk__choices *none = tlvk__choices_create();
        assert_int_equal(tlvk__choices_read(none, (const unsigned char *)words, size), TLVK_ERROR_FORMAT);
        assert_int_equal(tlvk__choices_count(none), 0);
        tlvk__choices_destroy(none);
    }
    assert_int_equal(tlvk__choices_read(read, bytes, size), TLVK_ERROR_FORMAT); /* the same key twice: keys ascend */
    tlvk__choices_destroy(c);
    tlvk__choices_destroy(read);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table), cmocka_unit_test(order), cmocka_unit_test(keys_know_no_batch), cmocka_unit_test(first_stored_stays), cmocka_unit_test(damaged_files),
        cmocka_unit_test(hostile_entries), cmocka_unit_test(each_found), cmocka_unit_test(each_forced),
    };
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
