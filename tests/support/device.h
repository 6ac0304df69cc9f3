/* device.h - for tests that need a device: one with validation where the layer is installed, floats in device memory, and the report. */
#ifndef TLVK_TEST_DEVICE_H
#define TLVK_TEST_DEVICE_H

#include "core/platform.h"
#include "ops/tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define assert_ok(call)                                                                                   \
    do {                                                                                                  \
        if (call)                                                                                         \
            fail_msg("%s: %s", #call, tlvk__fail_text());                                                 \
    } while (0)

/* The group's device; NULL where this machine has none, and then the tests that call test_device() are skipped. */
static tlvk__device *test_device_opened;

static inline int test_device_setup(void **state) {
    (void)state;
    const char *forced = tlvk__env("TLVK_FORCE_CHOICE"); /* every kernel as its candidate of that number */
    tlvk_status status = tlvk__device_create(&(tlvk__device_desc){.validation = true, .forced_choice = forced ? atoi(forced) : 0}, &test_device_opened);
    if (status)
        print_message("no device: %s\n", tlvk__fail_text());
    return status && status != TLVK_ERROR_NO_DEVICE;
}

/* Fails the group when the validation layer said anything. */
static inline int test_device_teardown(void **state) {
    (void)state;
    if (!test_device_opened)
        return 0;
    int messages = tlvk__device_validation_messages(test_device_opened);
    if (messages > 0)
        print_error("validation: %s\n", tlvk__device_validation_text(test_device_opened));
    tlvk__device_destroy(test_device_opened);
    return messages > 0;
}

static inline tlvk__device *test_device(void) {
    if (!test_device_opened)
        skip();
    return test_device_opened;
}

/* Floats on the device behind 64 bytes of their buffer, so that bases are at work. */
typedef struct test_floats { tlvk__buffer *buffer; tlvk__span span; } test_floats;

static inline test_floats test_floats_make(tlvk__device *d, size_t count) {
    test_floats f = {0};
    uint64_t bytes = tlvk__round_up(count * sizeof(float), 16);
    assert_ok(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, bytes + 64, "a test", &f.buffer));
    f.span = (tlvk__span){f.buffer, 64, bytes};
    return f;
}
static inline test_floats test_floats_from(tlvk__device *d, const void *values, size_t count) {
    test_floats f = test_floats_make(d, count);
    assert_ok(tlvk__span_write(d, (tlvk__span){f.buffer, f.span.offset, count * sizeof(float)}, values));
    return f;
}
static inline void test_floats_read(tlvk__device *d, test_floats f, void *values, size_t count) {
    assert_ok(tlvk__span_read(d, (tlvk__span){f.buffer, f.span.offset, count * sizeof(float)}, values));
}

/* A tensor (n, rows, c) in one segment. `values` are dense; NULL: every float NaN, to show what is left unwritten. */
typedef struct test_tensor { tlvk__tensor t; test_floats f; } test_tensor;

static inline size_t test_tensor_floats(const test_tensor *a) { return (size_t)(a->t.n * tlvk__sample_floats(&a->t)); }

static inline void test_tensor_make(tlvk__device *d, int64_t n, int64_t rows, int64_t c, const float *values, test_tensor *a) {
    a->t = (tlvk__tensor){.n = n, .rows = rows, .c = c, .pitch = tlvk__pitch(c), .h = rows, .w = 1, .segment_n = n, .segment_count = 1,
                          .segments = &a->f.span};
    size_t count = test_tensor_floats(a);
    float *padded = malloc(count * sizeof *padded);
    assert_non_null(padded);
    memset(padded, 0xff, count * sizeof *padded);
    if (values)
        tlvk__activation_pack(&a->t, n, values, padded);
    a->f = test_floats_from(d, padded, count);
    free(padded);
}

static inline void test_tensor_destroy(test_tensor *a) {
    tlvk__buffer_destroy(a->f.buffer);
    a->f.buffer = NULL;
}

#endif
