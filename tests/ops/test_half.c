/* test_half.c - activations in fp16: rounding on the host and on the device, and every operation that can read or store them so: values against the
 * reference within a bound that has the rounding in it, and bits against the same numbers in fp32 (ops/check.c), by every kernel there is to choose. */
#include "core/platform.h"
#include "ops/activation.h"
#include "ops/check_value.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <cmocka.h>

static uint32_t bits_of(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* --- numbers ------------------------------------------------------------------------------------------------------------------------------ */

/* Of the multiples of the step that fp16 has at this size, the nearest, ties to even. */
static double rounded(double v) {
    double size = fmin(fabs(v), 65504), step = 0x1p-24;
    for (double top = 0x1p-13; size >= top && top < 65536; top *= 2)
        step *= 2;
    double low = floor(size / step), rest = size / step - low;
    return copysign((low + (rest > 0.5 || (rest == 0.5 && fmod(low, 2) == 1))) * step, v);
}

static void numbers(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7C00; h++) {
        float v = tlvk__float_of_half((uint16_t)h);
        assert_int_equal(tlvk__half_of(v), h);
        assert_int_equal(tlvk__half_of(-v), h | 0x8000u);
        if (h + 1 == 0x7C00)
            continue;
        /* Half way to the next one, and a little to either side. */
        float next = tlvk__float_of_half((uint16_t)(h + 1)), middle = (v + next) / 2;
        assert_int_equal(tlvk__half_of(middle), h % 2 ? h + 1 : h);
        assert_int_equal(tlvk__half_of(nextafterf(middle, 0)), h);
        assert_int_equal(tlvk__half_of(nextafterf(middle, 1e9f)), h + 1);
    }
    assert_true(tlvk__float_of_half(0x0001) == 0x1p-24f && tlvk__float_of_half(0x3C00) == 1 && tlvk__float_of_half(0x7BFF) == 65504);
    assert_true(isinf(tlvk__float_of_half(0x7C00)) && isnan(tlvk__float_of_half(0x7E00)));
    assert_int_equal(tlvk__half_of(1e9f), 0x7BFF);
    assert_int_equal(tlvk__half_of(-INFINITY), 0xFBFF);
    assert_int_equal(tlvk__half_of(float_of(0x7FC00001u)), 0x7E00);
    tlvk__rng rng;
    tlvk__rng_seed(&rng, 3, 4);
    for (int i = 0; i < 200000; i++) {
        float v = (float)ldexp(2 * tlvk__rng_uniform(&rng) - 1, (int)tlvk__rng_below(&rng, 46) - 28);
        assert_true((double)tlvk__float_of_half(tlvk__half_of(v)) == rounded((double)v));
    }
}

static tlvk__device *open_device(const tlvk__device_desc *desc) {
    tlvk__device *d;
    if (tlvk__device_create(desc, &d) != TLVK_OK) {
        print_message("no device: %s\n", tlvk__fail_text());
        skip();
    }
    return d;
}

/* Every number of fp16, what lies between two of them, and what is none of them, through a kernel that changes nothing. */
static void rounding_on_the_device(void **state) {
    (void)state;
    tlvk__device *d = open_device(NULL);
    if (!tlvk__texel_operands(tlvk__device_caps(d))) {
        tlvk__device_destroy(d);
        skip();
    }
    tlvk__shape shape = {2, {64, 8 * 1024}};
    tlvk__value x, y;
    assert_int_equal(tlvk__value_create(d, "x", &shape, false, TLVK__LAYOUT_VECTOR, 0, &x), TLVK_OK);
    assert_int_equal(tlvk__value_create(d, "y", &shape, false, TLVK__LAYOUT_VECTOR, 0, &y), TLVK_OK);
    tlvk__rng rng;
    tlvk__rng_seed(&rng, 5, 6);
    for (size_t i = 0; i < x.padded_count; i++) {
        float v = tlvk__float_of_half((uint16_t)(i % 0x7C00)), next = tlvk__float_of_half((uint16_t)(i % 0x7C00 + 1));
        uint32_t bits = bits_of(v);
        switch (i / 0x7C00) {
        case 0: break;
        case 1: bits = bits_of((v + next) / 2); break;
        case 2: bits = bits_of(nextafterf((v + next) / 2, 0)); break;
        case 3: bits = bits_of(nextafterf((v + next) / 2, 1e9f)) | 0x80000000u; break;
        case 4: bits = 0x7F800000u + (uint32_t)(i % 2) * 0x80000000u; break;
        case 5: bits = 0x7FC00000u; break;
        default: bits = tlvk__rng_u32(&rng); break;
        }
        bool subnormal = (bits & 0x7F800000u) == 0; /* of fp32: a device may take it for zero, and fp16 has it as zero */
        x.upload[i] = float_of(subnormal ? bits & 0x80000000u : bits);
    }
    y.t.half = true;
    tlvk__activation linear = tlvk__activation_of(TLVK_LINEAR);
    tlvk__recorder *r;
    tlvk__recording *rec;
    assert_int_equal(tlvk__tensor_write(d, &x.t, x.upload), TLVK_OK);
    assert_int_equal(tlvk__recorder_create(d, NULL, &r), TLVK_OK);
    assert_int_equal(tlvk__record_activation(r, &linear, &x.t, &y.t, "test"), TLVK_OK);
    assert_int_equal(tlvk__recorder_finish(r, &rec), TLVK_OK);
    assert_int_equal(tlvk__recording_run(rec), TLVK_OK);
    assert_int_equal(tlvk__tensor_read(d, &y.t, y.result), TLVK_OK);
    for (size_t i = 0; i < x.padded_count; i++)
        if (bits_of(y.result[i]) != bits_of(tlvk__float_of_half(tlvk__half_of(x.upload[i]))))
            fail_msg("%a became %a, not %a", (double)x.upload[i], (double)y.result[i], (double)tlvk__float_of_half(tlvk__half_of(x.upload[i])));
    tlvk__recording_destroy(rec);
    tlvk__value_destroy(&x);
    tlvk__value_destroy(&y);
    tlvk__device_destroy(d);
}

/* --- operations --------------------------------------------------------------------------------------------------------------------------- */

/* Small cases of every operation that takes fp16, as far as `only`, part of a class name, allows. */
static int check_all(tlvk__device *d, const char *only, int64_t pieces) {
    const tlvk__op *op;
    int cases = 0, failed = 0;
    double worst = 0;
    for (int i = 0; (op = tlvk__op_at(i)); i++) {
        for (int k = 0; op->halves && (!only || strstr(op->class_name, only)); k++) {
            tlvk__op_case c = {.epilogue = tlvk__activation_of(TLVK_LINEAR)};
            if (!op->test_case || !op->test_case(k, &c))
                break;
            if (c.real_size)
                continue;
            tlvk__check result;
            c.half = true;
            tlvk_status s = tlvk__check_case(d, op, &c, 1 + (uint64_t)k, pieces, &result);
            cases++;
            worst = fmax(worst, result.worst);
            if (s || !result.ok) {
                failed++;
                print_message("%s \"%s\": %s\n", op->class_name, c.name, s ? tlvk__fail_text() : result.message);
            }
        }
    }
    print_message("%d cases, %d failed, worst error %.2f of its bound\n", cases, failed, worst);
    assert_int_equal(failed, 0);
    return cases;
}

static void default_device(void **state) {
    (void)state;
    tlvk__device *d = open_device(&(tlvk__device_desc){.validation = true});
    assert_true(check_all(d, NULL, 0) > 100);
    if (tlvk__device_validation_messages(d) > 0)
        fail_msg("validation: %s", tlvk__device_validation_text(d));
    tlvk__device_destroy(d);
}

/* The forms without stores by pairs, and tensors larger than what is bound at once. */
static void in_pieces(void **state) {
    (void)state;
    tlvk__device *d = open_device(NULL);
    ((tlvk__caps *)tlvk__device_caps(d))->pair_stores = false;
    check_all(d, NULL, 1);
    tlvk__device_destroy(d);
}

/* The portable core reads storage buffers where nothing is of fp16. */
static void without_shuffles(void **state) {
    (void)state;
    tlvk__device *d = open_device(NULL);
    ((tlvk__caps *)tlvk__device_caps(d))->subgroup_shuffle = false;
    check_all(d, NULL, 0);
    tlvk__device_destroy(d);
}

/* Every core, tile and strip, and Winograd wherever it can. */
static void every_choice(void **state) {
    (void)state;
    for (int choice = 1; choice <= 6; choice++) {
        tlvk__device *d = open_device(&(tlvk__device_desc){.forced_choice = choice});
        check_all(d, "Conv2D", 0);
        check_all(d, "Dense", 0);
        tlvk__device_destroy(d);
    }
    tlvk__device *d = open_device(NULL);
    ((tlvk__caps *)tlvk__device_caps(d))->winograd = TLVK__WINOGRAD_ALWAYS;
    check_all(d, "Conv2D", 0);
    tlvk__device_destroy(d);
}

/* What a kernel would read or write as numbers of another kind is refused, not misread. */
static void kinds_that_differ(void **state) {
    (void)state;
    tlvk__device *d;
    assert_int_equal(tlvk__device_dry(NULL, &d), TLVK_OK);
    tlvk__shape shape = {2, {4, 64}};
    tlvk__value x, y;
    assert_int_equal(tlvk__value_create(d, "x", &shape, false, TLVK__LAYOUT_VECTOR, 0, &x), TLVK_OK);
    assert_int_equal(tlvk__value_create(d, "y", &shape, false, TLVK__LAYOUT_VECTOR, 0, &y), TLVK_OK);
    for (int which = 0; which < 2; which++) {
        tlvk__recorder *r;
        x.t.half = which == 0; /* softmax.comp reads a storage buffer */
        y.t.half = which == 1; /* and has no form that stores fp16 */
        assert_int_equal(tlvk__recorder_create(d, NULL, &r), TLVK_OK);
        assert_int_equal(tlvk__record_softmax(r, &x.t, &y.t, "test"), TLVK_ERROR_INTERNAL);
        assert_non_null(strstr(tlvk__fail_text(), which ? "softmax_half" : "fp16"));
        tlvk__recorder_destroy(r);
    }
    tlvk__value_destroy(&x);
    tlvk__value_destroy(&y);
    tlvk__device_destroy(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers), cmocka_unit_test(rounding_on_the_device), cmocka_unit_test(default_device), cmocka_unit_test(in_pieces),
        cmocka_unit_test(without_shuffles), cmocka_unit_test(every_choice), cmocka_unit_test(kinds_that_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
