/* Normalization with weights: a channel that never varies (EfficientNet's before it was adapted to anything, or a picture's empty alpha) is divided by
 * Keras's smallest deviation, 1e-7, and not by zero. The operation's own cases draw variances that are larger. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/attrs.h"
#include "support/device.h"

#define SAMPLES 3
#define CHANNELS 5

static void test_smallest_deviation(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    const float mean[CHANNELS] = {1, 2, 3, 4, 5}, variance[CHANNELS] = {0, 1e-16f, 0.9e-14f, 4, 1.0001e-14f};
    float values[SAMPLES * CHANNELS], got[SAMPLES * CHANNELS];
    for (int i = 0; i < SAMPLES * CHANNELS; i++)
        values[i] = (float)i * 0.25f;
    for (int invert = 0; invert < 2; invert++) {
        test_tensor x, y, w[2];
        test_tensor_make(d, SAMPLES, 1, CHANNELS, values, &x);
        test_tensor_make(d, SAMPLES, 1, CHANNELS, NULL, &y);
        test_tensor_make(d, 1, 1, CHANNELS, mean, &w[0]);
        test_tensor_make(d, 1, 1, CHANNELS, variance, &w[1]);
        const tlvk__normalization_attrs attrs = {.axis = -1, .invert = invert != 0};
        tlvk__op_call call = {.attrs = &attrs, .layer = "normalization", .inputs = 1, .x = {&x.t}, .y = &y.t, .w = {&w[0].t, &w[1].t}};
        tlvk__recorder *r;
        tlvk__recording *rec;
        assert_ok(tlvk__recorder_create(d, NULL, &r));
        assert_ok(tlvk__op_normalization.forward(r, &call));
        assert_ok(tlvk__recorder_finish(r, &rec));
        assert_ok(tlvk__recording_run(rec));
        tlvk__recording_destroy(rec);
        float padded[SAMPLES * 8];
        assert_int_equal(test_tensor_floats(&y), SAMPLES * 8);
        test_floats_read(d, y.f, padded, SAMPLES * 8);
        tlvk__activation_unpack(&y.t, SAMPLES, padded, got);
        for (int i = 0; i < SAMPLES * CHANNELS; i++) {
            double s = fmax(sqrt((double)variance[i % CHANNELS]), 1e-7), m = (double)mean[i % CHANNELS], v = (double)values[i];
            double expected = invert ? m + v * s : (v - m) / s;
            assert_true(fabs((double)got[i] - expected) <= 1e-6 * (fabs(expected) + (invert ? m : 0)));
        }
        test_tensor_destroy(&x);
        test_tensor_destroy(&y);
        test_tensor_destroy(&w[0]);
        test_tensor_destroy(&w[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_smallest_deviation)};
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
