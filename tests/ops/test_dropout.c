/* Dropout: every case against its reference, whole and in pieces, and what a mask must be like: right share kept, other for another step,
 * stream or seed, the same for the same. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/attrs.h"
#include "support/device.h"

static void test_cases(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    tlvk__op_case c = {0};
    for (int i = 0; tlvk__op_dropout.test_case(i, &c); i++, c = (tlvk__op_case){0})
        for (int64_t piece = 0; piece <= 2; piece += 2) {
            tlvk__check result;
            assert_ok(tlvk__check_case(d, &tlvk__op_dropout, &c, 11, piece, &result));
            if (!result.ok)
                fail_msg("%s, pieces of %lld: %s", c.name, (long long)piece, result.message);
        }
}

#define SAMPLES 30
#define ROWS 41
#define CHANNELS 83
#define FLOATS (SAMPLES * ROWS * CHANNELS)

/* Dropout of ones on the device, dense. */
static void mask(tlvk__device *d, float rate, uint32_t stream, uint64_t step, uint64_t seed, int64_t piece, float *out) {
    static float ones[FLOATS];
    for (int i = 0; i < FLOATS; i++)
        ones[i] = 1.0f;
    test_tensor x, y;
    test_tensor_make(d, SAMPLES, ROWS, CHANNELS, ones, &x);
    test_tensor_make(d, SAMPLES, ROWS, CHANNELS, NULL, &y);
    const tlvk__step_params p = {.seed = {(uint32_t)seed, (uint32_t)(seed >> 32)}, .step = {(uint32_t)step, (uint32_t)(step >> 32)}};
    test_floats params = test_floats_from(d, &p, sizeof p / sizeof(float));
    const tlvk__dropout_attrs attrs = {.rate = rate};
    tlvk__op_call call = {.attrs = &attrs, .layer = "dropout", .training = true, .stream = stream, .inputs = 1, .x = {&x.t}, .y = &y.t,
                          .step_params = params.span};
    tlvk__recorder *r;
    tlvk__recording *rec;
    assert_ok(tlvk__recorder_create(d, NULL, &r));
    tlvk__force_pieces(piece);
    tlvk_status s = tlvk__op_dropout.forward(r, &call);
    tlvk__force_pieces(0);
    assert_ok(s);
    assert_ok(tlvk__recorder_finish(r, &rec));
    assert_ok(tlvk__recording_run(rec));
    tlvk__recording_destroy(rec);
    float *padded = malloc(test_tensor_floats(&y) * sizeof *padded);
    assert_non_null(padded);
    test_floats_read(d, y.f, padded, test_tensor_floats(&y));
    tlvk__activation_unpack(&y.t, SAMPLES, padded, out);
    free(padded);
    test_tensor_destroy(&x);
    test_tensor_destroy(&y);
    tlvk__buffer_destroy(params.buffer);
}

static float first[FLOATS], second[FLOATS];

static void test_kept_share(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    const float rates[] = {0.1f, 0.2f, 0.5f, 0.9f};
    for (size_t k = 0; k < TLVK__COUNT(rates); k++) {
        mask(d, rates[k], 3, 17, 42, 0, first);
        double kept = 0.0, keep = 1.0 - (double)rates[k];
        for (int i = 0; i < FLOATS; i++) {
            assert_true(first[i] == 0.0f || first[i] == (float)(1.0 / keep));
            kept += first[i] != 0.0f;
        }
        /* Five deviations of a binomial count. */
        assert_true(fabs(kept / FLOATS - keep) < 5.0 * sqrt(keep * (1.0 - keep) / FLOATS));
    }
}

/* Share of elements on which the masks in `first` and `second` agree. */
static double agreement(void) {
    double same = 0.0;
    for (int i = 0; i < FLOATS; i++)
        same += (first[i] != 0.0f) == (second[i] != 0.0f);
    return same / FLOATS;
}

static void test_streams(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    mask(d, 0.5f, 3, 17, 42, 0, first);
    mask(d, 0.5f, 3, 17, 42, 0, second);
    assert_memory_equal(first, second, sizeof first);
    mask(d, 0.5f, 3, 17, 42, 7, second);
    assert_memory_equal(first, second, sizeof first);
    const struct { uint32_t stream; uint64_t step, seed; } others[] = {{4, 17, 42}, {3, 18, 42}, {3, 17 + (1ull << 32), 42}, {3, 17, 43},
                                                                       {3, 17, 42 + (1ull << 32)}};
    for (size_t k = 0; k < TLVK__COUNT(others); k++) {
        mask(d, 0.5f, others[k].stream, others[k].step, others[k].seed, 0, second);
        assert_true(fabs(agreement() - 0.5) < 5.0 * 0.5 / sqrt(FLOATS));
    }
}

static void test_shape(void **state) {
    (void)state;
    tlvk__dropout_attrs attrs = {0};
    tlvk__op_dropout.defaults(&attrs);
    assert_true(attrs.rate == 0.5f);
    const tlvk__shape x = {2, {-1, 10}};
    tlvk__shape y;
    assert_ok(tlvk__op_dropout.shape(&attrs, 1, &x, &y));
    assert_true(tlvk__shape_equal(&x, &y));
    attrs.rate = 1.5f;
    assert_int_equal(tlvk__op_dropout.shape(&attrs, 1, &x, &y), TLVK_ERROR_ARGUMENT);
    attrs.rate = 0.0f;
    assert_true(tlvk__op_dropout.view(&attrs, true, NULL, NULL));
    attrs.rate = 0.5f;
    assert_true(tlvk__op_dropout.view(&attrs, false, NULL, NULL));
    assert_false(tlvk__op_dropout.view(&attrs, true, NULL, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shape), cmocka_unit_test(test_cases), cmocka_unit_test(test_kept_share),
                                       cmocka_unit_test(test_streams)};
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
