/* test_ops.c - every small case of every operation: the device against the double reference (ops/check.c), as the device is, with
 * Vulkan 1.1 alone, and with operands walked in pieces; and the reference's gradients against finite differences of its values.
 * TLVK_TEST_OPS, part of a class name, narrows the run; TLVK_TEST_FULL=1 adds the layers of real networks. */
#include "ops/elementwise.h"
#include "core/platform.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <cmocka.h>

static bool chosen(const tlvk__op *op) {
    const char *only = tlvk__env("TLVK_TEST_OPS");
    return op->test_case && (!only || strstr(op->class_name, only));
}

/* The next case of an operation; false past the last. Layers of real networks are left out unless asked for. */
static bool next_case(const tlvk__op *op, int *index, tlvk__op_case *c) {
    for (;; (*index)++) {
        *c = (tlvk__op_case){.epilogue = tlvk__activation_of(TLVK_LINEAR)};
        if (!op->test_case(*index, c))
            return false;
        if (!c->real_size || tlvk__env("TLVK_TEST_FULL"))
            return true;
    }
}

static void open_or_skip(const tlvk__device_desc *desc, tlvk__device **d) {
    tlvk_status s = tlvk__device_create(desc, d);
    if (s && s != TLVK_ERROR_NO_DEVICE)
        fail_msg("opening a device: %s", tlvk__fail_text());
    if (s) {
        print_message("no device: %s\n", tlvk__fail_text());
        skip();
    }
}

/* Whose kernels are cut otherwise where the device is no processor. */
static bool cut_otherwise(const tlvk__op *op) { return strstr(op->class_name, "Conv2D") || strstr(op->class_name, "Pooling2D"); }

/* elsewhere: those operations alone, with kernels as on a device that is no processor. */
static void check_all(const tlvk__device_desc *desc, int64_t pieces, bool elsewhere) {
    tlvk__device *d;
    const tlvk__op *op;
    int cases = 0, failed = 0;
    double worst = 0;
    open_or_skip(desc, &d);
    if (elsewhere)
        snprintf(((tlvk__caps *)tlvk__device_caps(d))->type, sizeof tlvk__device_caps(d)->type, "other");
    for (int i = 0; (op = tlvk__op_at(i)); i++) {
        tlvk__op_case c;
        for (int k = 0; chosen(op) && (!elsewhere || cut_otherwise(op)) && next_case(op, &k, &c); k++) {
            tlvk__check result;
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
    if (desc->validation && tlvk__device_validation_messages(d) != 0)
        print_message("validation: %s\n", tlvk__device_validation_text(d));
    int messages = desc->validation ? tlvk__device_validation_messages(d) : 0;
    tlvk__device_destroy(d);
    assert_int_equal(failed, 0);
    assert_true(messages <= 0);
}

static void default_device(void **state) {
    (void)state;
    check_all(&(tlvk__device_desc){.validation = true}, 0, false);
}

static void floor_device(void **state) {
    (void)state;
    check_all(&(tlvk__device_desc){.floor = true}, 0, false);
}

/* Here without stores by pairs, so that both forms of the shaders that have two are run. */
static void in_pieces(void **state) {
    (void)state;
    tlvk__device *d;
    open_or_skip(NULL, &d);
    tlvk__caps limit = *tlvk__device_caps(d);
    tlvk__device_destroy(d);
    limit.pair_stores = false;
    check_all(&(tlvk__device_desc){.limit = &limit}, 1, false);
}

static void as_on_no_processor(void **state) {
    (void)state;
    check_all(&(tlvk__device_desc){0}, 0, true);
    check_all(&(tlvk__device_desc){.floor = true}, 2, true);
}

/* --- finite differences ----------------------------------------------------------------------------------------------------------------- */

typedef struct numbers { tlvk__ref_tensor x[TLVK__MAX_INPUTS], w[TLVK__MAX_VARIABLES], dx[TLVK__MAX_INPUTS], dw[TLVK__MAX_VARIABLES], y, dy; } numbers;

static tlvk__ref_tensor new_tensor(const tlvk__shape *shape) {
    tlvk__ref_tensor t = {.shape = *shape};
    t.v = tlvk__calloc(TLVK__MAX(tlvk__ref_count(&t), 1), sizeof(double));
    assert_non_null(t.v);
    return t;
}

static void randomize(tlvk__ref_tensor *t, tlvk__rng *rng, double low, double high, bool distinct) {
    size_t count = tlvk__ref_count(t);
    for (size_t i = 0; i < count; i++)
        t->v[i] = distinct ? ((double)(i * 7919 % count) + 0.5) / (double)count - 0.31831 : /* both signs, and no zero */
                              low + (high - low) * tlvk__rng_uniform(rng);
}

static double loss_at(const tlvk__op *op, const tlvk__ref_call *call, const tlvk__ref_tensor *dy) {
    double sum = 0;
    assert_int_equal(op->reference_forward(call), TLVK_OK);
    for (size_t i = 0; i < tlvk__ref_count(dy); i++)
        sum += call->y->v[i] * dy->v[i];
    return sum;
}

/* <dt, direction> against the change of <dy, y> when t moves along a random direction. */
static void differentiate(const tlvk__op *op, const tlvk__op_case *c, const tlvk__ref_call *call, const tlvk__ref_tensor *dy, tlvk__ref_tensor *t,
                          const tlvk__ref_tensor *dt, const char *name, tlvk__rng *rng) {
    size_t count = tlvk__ref_count(t);
    double *kept = tlvk__calloc(count, sizeof(double)), *direction = tlvk__calloc(count, sizeof(double));
    assert_true(kept && direction);
    const double step = 1e-6;
    double told = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        kept[i] = t->v[i];
        direction[i] = 2 * tlvk__rng_uniform(rng) - 1;
        told += dt->v[i] * direction[i];
        size += fabs(dt->v[i] * direction[i]);
    }
    for (size_t i = 0; i < count; i++)
        t->v[i] = kept[i] + step * direction[i];
    double up = loss_at(op, call, dy);
    for (size_t i = 0; i < count; i++)
        t->v[i] = kept[i] - step * direction[i];
    double down = loss_at(op, call, dy), seen = (up - down) / (2 * step);
    memcpy(t->v, kept, count * sizeof(double));
    if (fabs(seen - told) > 1e-6 * size + 1e-7) {
        print_message("%s \"%s\": gradient of %s along a direction is %.9g, finite differences say %.9g\n", op->class_name, c->name, name, told, seen);
        fail();
    }
    free(kept);
    free(direction);
}

static void differentiate_case(const tlvk__op *op, const tlvk__op_case *c) {
    numbers *m = tlvk__calloc(1, sizeof *m);
    tlvk__variable_spec specs[TLVK__MAX_VARIABLES];
    tlvk__step_params step = {.seed = {5, 6}, .step = {7, 0}};
    tlvk__ref_call call = {.attrs = &c->attrs, .training = c->training, .stream = 3, .step = &step, .inputs = c->inputs};
    tlvk__shape y;
    tlvk__rng rng;
    assert_non_null(m);
    tlvk__rng_seed(&rng, 11, 0);
    assert_int_equal(op->shape(&c->attrs, c->inputs, c->x, &y), TLVK_OK);
    int variables = op->variables ? op->variables(&c->attrs, c->inputs, c->x, specs) : 0;
    for (int i = 0; i < c->inputs; i++) {
        m->x[i] = new_tensor(&c->x[i]);
        m->dx[i] = new_tensor(&c->x[i]);
        randomize(&m->x[i], &rng, c->positive ? 0.1 : -1, 1, c->distinct);
        call.x[i] = &m->x[i];
        call.dx[i] = &m->dx[i];
    }
    for (int i = 0; i < variables; i++) {
        m->w[i] = new_tensor(&specs[i].shape);
        m->dw[i] = new_tensor(&specs[i].shape);
        randomize(&m->w[i], &rng, specs[i].trainable ? -1 : 0.1, 1, false);
        call.w[i] = &m->w[i];
        call.dw[i] = specs[i].trainable ? &m->dw[i] : NULL;
    }
    m->y = new_tensor(&y);
    m->dy = new_tensor(&y);
    randomize(&m->dy, &rng, -1, 1, false);
    call.y = &m->y;
    call.dy = &m->dy;
    assert_int_equal(op->reference_forward(&call), TLVK_OK);
    assert_int_equal(op->reference_backward(&call), TLVK_OK);
    for (int i = 0; i < c->inputs; i++)
        differentiate(op, c, &call, &m->dy, &m->x[i], &m->dx[i], "an input", &rng);
    for (int i = 0; i < variables; i++)
        if (specs[i].trainable)
            differentiate(op, c, &call, &m->dy, &m->w[i], &m->dw[i], specs[i].name, &rng);
    for (int i = 0; i < TLVK__MAX_INPUTS; i++) {
        free(m->x[i].v);
        free(m->dx[i].v);
    }
    for (int i = 0; i < TLVK__MAX_VARIABLES; i++) {
        free(m->w[i].v);
        free(m->dw[i].v);
    }
    free(m->y.v);
    free(m->dy.v);
    free(m);
}

static void reference_gradients(void **state) {
    (void)state;
    const tlvk__op *op;
    for (int i = 0; (op = tlvk__op_at(i)); i++) {
        tlvk__op_case c;
        for (int k = 0; chosen(op) && op->reference_backward && next_case(op, &k, &c); k++)
            if (!c.real_size && !c.coarse)
                differentiate_case(op, &c);
    }
}

/* Slopes of the activations against finite differences, away from kinks, and far out where exp would overflow. */
static void activation_slopes(void **state) {
    (void)state;
    for (int kind = 0; kind < TLVK_ACTIVATION_COUNT; kind++) {
        tlvk__activation a = tlvk__activation_of((tlvk_activation_kind)kind);
        tlvk_activation_kind parsed;
        assert_true(tlvk__activation_parse(tlvk__activation_name(a.kind), &parsed) && parsed == a.kind);
        if (!tlvk__activation_elementwise(a.kind))
            continue;
        for (double x = -7.05; x < 7.1; x += 0.37) {
            double h = 1e-6, seen = (tlvk__activation_value(&a, x + h) - tlvk__activation_value(&a, x - h)) / (2 * h);
            assert_true(fabs(seen - tlvk__activation_slope(&a, x)) < 1e-6 * (1 + fabs(seen)));
        }
        assert_true(isfinite(tlvk__activation_value(&a, -800)) && isfinite(tlvk__activation_slope(&a, -800)));
        assert_true(a.kind == TLVK_EXPONENTIAL || (isfinite(tlvk__activation_value(&a, 800)) && isfinite(tlvk__activation_slope(&a, 800))));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activation_slopes), cmocka_unit_test(reference_gradients), cmocka_unit_test(as_on_no_processor), cmocka_unit_test(default_device),
        cmocka_unit_test(floor_device), cmocka_unit_test(in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
