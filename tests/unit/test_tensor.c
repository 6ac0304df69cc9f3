/* test_tensor.c - sizes of device tensors, their walk in pieces, windows, and the conversions between dense and padded order. */
#include "ops/elementwise.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static tlvk__shape shape4(int64_t n, int64_t h, int64_t w, int64_t c) {
    return (tlvk__shape){4, {n, h, w, c}};
}

static void sizes(void **state) {
    (void)state;
    tlvk__tensor t;
    uint64_t bytes;
    assert_int_equal(tlvk__tensor_from_shape(&(tlvk__shape){4, {2, 5, 7, 3}}, &t), TLVK_OK);
    assert_true(t.n == 2 && t.rows == 35 && t.c == 3 && t.pitch == 4 && t.h == 5 && t.w == 7);
    assert_true(tlvk__tensor_bytes(&t, &bytes) && bytes == 2 * 35 * 4 * 4);
    assert_int_equal(tlvk__tensor_from_shape(&(tlvk__shape){2, {6, 10}}, &t), TLVK_OK);
    assert_true(t.n == 6 && t.rows == 1 && t.c == 10 && t.pitch == 12 && t.h == 1 && t.w == 1);
    assert_int_equal(tlvk__tensor_from_shape(&(tlvk__shape){3, {6, 9, 8}}, &t), TLVK_OK);
    assert_true(t.rows == 9 && t.h == 9 && t.w == 1 && t.pitch == 8);
    assert_int_equal(tlvk__tensor_from_shape(&(tlvk__shape){1, {4}}, &t), TLVK_OK);
    assert_true(t.n == 4 && t.rows == 1 && t.c == 1 && t.pitch == 4);
}

static void impossible_sizes(void **state) {
    (void)state;
    tlvk__tensor t;
    assert_int_equal(tlvk__tensor_from_shape(&(tlvk__shape){4, {-1, 5, 7, 3}}, &t), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk__tensor_from_shape(&(tlvk__shape){4, {1, 0, 7, 3}}, &t), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk__tensor_from_shape(&(tlvk__shape){0, {0}}, &t), TLVK_ERROR_ARGUMENT);
    const int64_t huge = (int64_t)1 << 31;
    assert_int_equal(tlvk__tensor_from_shape(&(tlvk__shape){4, {huge, huge, huge, 1}}, &t), TLVK_ERROR_MEMORY);
    assert_int_equal(tlvk__tensor_from_shape(&(tlvk__shape){2, {1, INT64_MAX}}, &t), TLVK_ERROR_MEMORY);
    assert_int_equal(tlvk__variable_layout(&(tlvk__shape){4, {huge - 1, huge - 1, huge - 1, 4}}, TLVK__LAYOUT_MATRIX, &t), TLVK_ERROR_MEMORY);
    assert_int_equal(tlvk__variable_layout(&(tlvk__shape){1, {4}}, TLVK__LAYOUT_MATRIX, &t), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk__variable_layout(&(tlvk__shape){1, {0}}, TLVK__LAYOUT_VECTOR, &t), TLVK_ERROR_ARGUMENT);
}

/* Two tensors with different samples and segments under a small binding: the pieces cover all samples once, in order, and fit. */
static void check_pieces(tlvk__caps caps) {
    const uint64_t align = tlvk__window_align(&caps);
    tlvk__tensor a, b;
    tlvk__shape sa = shape4(23, 2, 3, 5), sb = shape4(23, 1, 1, 12); /* 192 and 48 bytes per sample */
    assert_int_equal(tlvk__tensor_from_shape(&sa, &a), TLVK_OK);
    assert_int_equal(tlvk__tensor_from_shape(&sb, &b), TLVK_OK);
    tlvk__span a_parts[3] = {{NULL, 256, 9 * 192}, {NULL, 0, 9 * 192}, {NULL, 512, 5 * 192}}, b_parts[1] = {{NULL, 48, 23 * 48}};
    a.segments = a_parts;
    a.segment_n = 9;
    a.segment_count = 3;
    b.segments = b_parts;
    b.segment_n = 23;
    b.segment_count = 1;
    const tlvk__tensor *both[3] = {&a, NULL, &b};
    tlvk__piece p = {0, 0};
    int64_t covered = 0;
    bool more = true;
    for (;;) {
        assert_int_equal(tlvk__next_piece(&caps, both, 3, 23, &p, &more), TLVK_OK);
        if (!more)
            break;
        assert_true(p.n0 == covered && p.n1 > p.n0 && p.n1 <= 23);
        assert_true(p.n0 / 9 == (p.n1 - 1) / 9);
        covered = p.n1;
        uint32_t base;
        tlvk__binding w = tlvk__tensor_window(&caps, &a, p.n0, p.n1, TLVK__READ, &base);
        assert_true(w.span.offset % align == 0 && w.span.bytes <= caps.max_binding_bytes && w.access == TLVK__READ);
        assert_true(w.span.offset + 16 * (uint64_t)base == a_parts[p.n0 / 9].offset + (uint64_t)(p.n0 % 9) * 192);
        assert_true(w.span.bytes == 16 * (uint64_t)base + (uint64_t)(p.n1 - p.n0) * 192);
        w = tlvk__tensor_window(&caps, &b, p.n0, p.n1, TLVK__WRITE, &base);
        assert_true(w.span.offset % align == 0 && w.span.bytes <= caps.max_binding_bytes);
        assert_true(w.span.offset + 16 * (uint64_t)base == 48 + (uint64_t)p.n0 * 48);
    }
    assert_true(covered == 23);
    caps.max_binding_bytes = 100;
    p = (tlvk__piece){0, 0};
    assert_int_equal(tlvk__next_piece(&caps, both, 3, 23, &p, &more), TLVK_ERROR_MEMORY);
    assert_non_null(strstr(tlvk__fail_text(), "192 bytes"));
}

static void pieces(void **state) {
    (void)state;
    check_pieces((tlvk__caps){.max_binding_bytes = 1000, .storage_align = 64});
    check_pieces((tlvk__caps){.max_binding_bytes = 600, .storage_align = 16, .texel_align = 256});
}

/* The last 16 of 64 channels of 2 rows: what their window reaches back to its aligned offset, it does not reach over the last row. */
static void slice_of_a_bindings_size(void **state) {
    (void)state;
    const tlvk__caps caps = {.max_binding_bytes = 512, .storage_align = 256, .texel_align = 16};
    const tlvk__span span = {NULL, 192, 3 * 512 - 192};
    const tlvk__tensor slice = {.n = 3, .rows = 2, .c = 16, .pitch = 16, .stride = 64, .h = 2, .w = 1, .segment_n = 3, .segment_count = 1, .segments = &span}, *walked = &slice;
    tlvk__piece p = {0, 0};
    bool more = true;
    for (int i = 0; i < 3; i++) {
        uint32_t base;
        assert_int_equal(tlvk__next_piece(&caps, &walked, 1, 3, &p, &more), TLVK_OK);
        assert_true(more && p.n0 == i && p.n1 == i + 1);
        tlvk__binding w = tlvk__tensor_window(&caps, &slice, p.n0, p.n1, TLVK__READ, &base);
        assert_true(w.span.offset == (uint64_t)i * 512 && base == 12 && w.span.bytes == 512);
    }
    assert_true(tlvk__next_piece(&caps, &walked, 1, 3, &p, &more) == TLVK_OK && !more);
}

/* What a walk is said to move, by which submissions are cut: of a slice its own channels, 8 of 64. */
static void bytes_of_a_slice(void **state) {
    (void)state;
    tlvk__device *d;
    tlvk__recorder *r;
    tlvk__recording *rec;
    tlvk__recorded entry;
    tlvk__span all = {.bytes = 3 * 100 * 64 * sizeof(float)}, part;
    assert_int_equal(tlvk__device_dry(NULL, &d), TLVK_OK);
    assert_int_equal(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, all.bytes, "a test", &all.buffer), TLVK_OK);
    part = tlvk__span_part(all, 16 * sizeof(float), all.bytes - 16 * sizeof(float));
    tlvk__tensor slice = tlvk__span_tensor(&part, 3, 100, 8);
    slice.stride = 64;
    assert_int_equal(tlvk__recorder_create(d, NULL, &r), TLVK_OK);
    assert_int_equal(tlvk__record_add(r, &slice, &slice, &slice, "a test"), TLVK_OK);
    assert_int_equal(tlvk__recorder_finish(r, &rec), TLVK_OK);
    assert_int_equal(tlvk__recording_entry(rec, 0, &entry), TLVK_OK);
    const double bytes = 3 * (3 * 100 * 8 * (double)sizeof(float));
    if (fabs(entry.bytes - bytes) > 0.02 * bytes)
        fail_msg("%g bytes, not %g", entry.bytes, bytes);
    tlvk__recording_destroy(rec);
    tlvk__buffer_destroy(all.buffer);
    tlvk__device_destroy(d);
}

static void forced_pieces(void **state) {
    (void)state;
    tlvk__caps caps = {.max_binding_bytes = 1 << 20, .storage_align = 16};
    tlvk__piece p = {0, 0};
    bool more = true;
    int count = 0;
    tlvk__force_pieces(3);
    while (tlvk__next_piece(&caps, NULL, 0, 10, &p, &more) == TLVK_OK && more)
        count++;
    tlvk__force_pieces(0);
    assert_int_equal(count, 4);
    p = (tlvk__piece){0, 0};
    assert_true(tlvk__next_piece(&caps, NULL, 0, 10, &p, &more) == TLVK_OK && more && p.n1 == 10);
}

/* There and back gives the same numbers, and everything else is zero. */
static void there_and_back(const tlvk__shape *shape, tlvk__layout layout, int64_t rows, int64_t pitch) {
    tlvk__tensor t;
    int64_t count;
    assert_int_equal(tlvk__variable_layout(shape, layout, &t), TLVK_OK);
    assert_true(t.n == rows && t.pitch == pitch && t.rows == 1);
    assert_true(tlvk__shape_elements(shape, &count));
    size_t padded = (size_t)(rows * pitch);
    float *dense = malloc((size_t)count * sizeof(float)), *device = malloc(padded * sizeof(float)), *back = malloc((size_t)count * sizeof(float));
    assert_true(dense && device && back);
    for (int64_t i = 0; i < count; i++)
        dense[i] = (float)(i + 1);
    for (size_t i = 0; i < padded; i++)
        device[i] = -1;
    tlvk__variable_pack(shape, layout, dense, device);
    int64_t filled = 0;
    for (size_t i = 0; i < padded; i++) {
        assert_true(device[i] >= 0);
        filled += device[i] > 0;
    }
    assert_true(filled == count);
    tlvk__variable_unpack(shape, layout, device, back);
    assert_memory_equal(dense, back, (size_t)count * sizeof(float));
    free(dense);
    free(device);
    free(back);
}

static void variables(void **state) {
    (void)state;
    there_and_back(&(tlvk__shape){1, {7}}, TLVK__LAYOUT_VECTOR, 1, 8);
    there_and_back(&(tlvk__shape){4, {3, 2, 5, 6}}, TLVK__LAYOUT_MATRIX, 3 * 2 * 8, 8);
    there_and_back(&(tlvk__shape){2, {9, 4}}, TLVK__LAYOUT_MATRIX, 12, 4);
    there_and_back(&(tlvk__shape){4, {3, 3, 5, 2}}, TLVK__LAYOUT_MERGED, 9, 12);
    /* Row (tap 1, input 2) of a (2, 3, 2) kernel begins behind tap 0's 4 padded rows and two of its own. */
    const tlvk__shape shape = {3, {2, 3, 2}};
    float dense[12], device[2 * 4 * 4];
    for (int i = 0; i < 12; i++)
        dense[i] = (float)i;
    tlvk__variable_pack(&shape, TLVK__LAYOUT_MATRIX, dense, device);
    assert_true(device[(4 + 2) * 4] == 10.0f && device[(4 + 2) * 4 + 1] == 11.0f && device[(4 + 2) * 4 + 2] == 0.0f);
}

static void activations(void **state) {
    (void)state;
    tlvk__tensor t;
    tlvk__shape shape = shape4(2, 1, 2, 3);
    assert_int_equal(tlvk__tensor_from_shape(&shape, &t), TLVK_OK);
    const float dense[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, expected[16] = {1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 10, 11, 12, 0};
    float device[16], back[12];
    memset(device, 0x55, sizeof device);
    tlvk__activation_pack(&t, 2, dense, device);
    assert_memory_equal(device, expected, sizeof device);
    tlvk__activation_unpack(&t, 2, device, back);
    assert_memory_equal(back, dense, sizeof back);
}

/* A tensor in three buffers, written and read as one. */
static void segments(void **state) {
    (void)state;
    tlvk__device *d;
    tlvk__buffer *buffers[3];
    tlvk__span parts[3];
    tlvk__tensor t;
    tlvk__shape shape = shape4(5, 1, 3, 6);
    float out[5 * 3 * 8], in[5 * 3 * 8];
    if (tlvk__device_create(&(tlvk__device_desc){0}, &d)) {
        print_message("no device: %s\n", tlvk__fail_text());
        skip();
    }
    assert_int_equal(tlvk__tensor_from_shape(&shape, &t), TLVK_OK);
    t.segments = parts;
    t.segment_n = 2;
    t.segment_count = 3;
    for (int i = 0; i < 3; i++) {
        uint64_t bytes = (i < 2 ? 2u : 1u) * 3 * 8 * sizeof(float);
        assert_int_equal(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, 256 + bytes, "a test", &buffers[i]), TLVK_OK);
        parts[i] = (tlvk__span){buffers[i], 256, bytes};
    }
    for (int i = 0; i < 5 * 3 * 8; i++)
        out[i] = (float)i;
    assert_int_equal(tlvk__tensor_write(d, &t, out), TLVK_OK);
    assert_int_equal(tlvk__tensor_read(d, &t, in), TLVK_OK);
    assert_memory_equal(in, out, sizeof in);
    for (int i = 0; i < 3; i++)
        tlvk__buffer_destroy(buffers[i]);
    tlvk__device_destroy(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes), cmocka_unit_test(impossible_sizes), cmocka_unit_test(pieces), cmocka_unit_test(slice_of_a_bindings_size),
        cmocka_unit_test(bytes_of_a_slice), cmocka_unit_test(forced_pieces),
        cmocka_unit_test(variables), cmocka_unit_test(activations), cmocka_unit_test(segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
