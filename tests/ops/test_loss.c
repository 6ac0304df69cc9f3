/* Losses and metrics: the reference against Keras's numbers and against finite differences, the device against the reference. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/loss.h"
#include "support/device.h"

#include <stdio.h>

/* --- the reference against Keras ---------------------------------------------------------------------------------------------------------
 * Made with Keras 3.15.1 on TensorFlow 2.21: for each loss object `fn`,
 *   y = tf.constant(...); with tf.GradientTape() as g: g.watch(y); l = fn(t, y, sample_weight=[1.0, 0.5]);  l, g.gradient(l, y) */
static const double some_logits[] = {0.5, -1.25, 2.0, -0.75, 0.25, 3.5};
static const double some_probabilities[] = {(double)0.2f, 0.5, (double)0.3f, 0.0, 1.0, 0.25}; /* 0 and 1 lie outside the clip */
static const struct { const char *name; tlvk_loss loss; bool probabilities; double t[6], value, dy[6]; } keras_losses[] = {
    {"categorical, logits, smoothing", {TLVK_CATEGORICAL_CROSSENTROPY, true, 0.1f}, false, {0, 0, 1, 1, 0, 0}, 1.2271475791931152,
     {0.071743429, -0.0013032975, -0.070440114, -0.22994688, 0.00087198243, 0.2290749}},
    {"categorical", {TLVK_CATEGORICAL_CROSSENTROPY, false, 0}, true, {0, 0, 1, 0.5, 0.25, 0.25}, 2.7312846183776855,
     {0.5, 0.5, -1.1666666, 0.099999994, 0.037499994, -0.15000001}},
    {"sparse, logits", {TLVK_SPARSE_CATEGORICAL_CROSSENTROPY, true, 0}, false, {2, 0}, 1.1917308568954468,
     {0.088410094, 0.01536337, -0.10377344, -0.24661355, 0.0092053162, 0.23740824}},
    {"sparse, clipped class", {TLVK_SPARSE_CATEGORICAL_CROSSENTROPY, false, 0}, true, {2, 0}, 4.687296390533447,
     {0.49999997, 0.5, -1.1666667, 0.0, 0.0, 0.2}},
    {"sparse", {TLVK_SPARSE_CATEGORICAL_CROSSENTROPY, false, 0}, true, {1, 2}, 0.7489330768585205,
     {0.49999997, -0.5, 0.49999997, 0.0, 0.0, -0.80000001}},
    {"binary, logits, smoothing", {TLVK_BINARY_CROSSENTROPY, true, 0.2f}, false, {1, 0, 1, 0, 1, 0}, 0.5582023859024048,
     {-0.046256781, 0.020450024, -0.0032004863, 0.018401776, -0.028151959, 0.072557315}},
    {"binary", {TLVK_BINARY_CROSSENTROPY, false, 0}, true, {1, 0, 1, 1, 1, 0}, 1.9515743255615234,
     {-0.83333337, 0.33333334, -0.55555558, 0.0, 0.0, 0.11111112}},
    {"squared", {TLVK_MEAN_SQUARED_ERROR, false, 0}, false, {1, 0, 1, 0, 1, 0}, 1.5833333730697632,
     {-0.16666667, -0.41666669, 0.33333334, -0.125, -0.125, 0.58333337}},
};

static void test_keras(void **state) {
    (void)state;
    const double weights[2] = {1.0, 0.5};
    for (size_t i = 0; i < TLVK__COUNT(keras_losses); i++) {
        double dy[6];
        tlvk__loss_reference ref = {.loss = keras_losses[i].loss, .logits = keras_losses[i].loss.from_logits, .n = 2, .rows = 1, .c = 3,
                                    .y = keras_losses[i].probabilities ? some_probabilities : some_logits, .target = keras_losses[i].t,
                                    .weight = weights, .dy = dy};
        assert_ok(tlvk__loss_reference_run(&ref));
        double value = ref.metrics[TLVK__METRIC_LOSS] / 2.0;
        if (fabs(value - keras_losses[i].value) > 1e-6 * (1.0 + fabs(value)))
            fail_msg("%s: loss %.9g, Keras has %.9g", keras_losses[i].name, value, keras_losses[i].value);
        for (int j = 0; j < 6; j++)
            if (fabs(dy[j] - keras_losses[i].dy[j]) > 2e-7)
                fail_msg("%s: gradient %d is %.9g, Keras has %.9g", keras_losses[i].name, j, dy[j], keras_losses[i].dy[j]);
        assert_true(ref.metrics[TLVK__METRIC_WEIGHT] == 1.5);
    }
}

/* --- settings of a loss, and random numbers for one ---------------------------------------------------------------------------------------- */

typedef struct setting {
    const char *name;
    tlvk_loss loss;
    bool logits;
    tlvk_metric_kind metric;
    int64_t n, rows, c;
    bool weighted;
    int64_t piece; /* samples per piece; 0: as many as fit */
} setting;

static const setting settings[] = {
    {"categorical logits 10", {TLVK_CATEGORICAL_CROSSENTROPY, true, 0}, true, TLVK_ACCURACY, 21, 1, 10, false, 0},
    {"categorical logits 10, pieces", {TLVK_CATEGORICAL_CROSSENTROPY, false, 0.1f}, true, TLVK_ACCURACY, 21, 1, 10, true, 4},
    {"categorical logits 1000, weights", {TLVK_CATEGORICAL_CROSSENTROPY, true, 0.1f}, true, TLVK_CATEGORICAL_ACCURACY, 33, 1, 1000, true, 0},
    {"categorical 7", {TLVK_CATEGORICAL_CROSSENTROPY, false, 0}, false, TLVK_ACCURACY, 32, 1, 7, true, 0},
    {"categorical 130, smoothing", {TLVK_CATEGORICAL_CROSSENTROPY, false, 0.2f}, false, TLVK_METRIC_MSE, 5, 3, 130, true, 2},
    {"categorical logits, mse of softmax", {TLVK_CATEGORICAL_CROSSENTROPY, false, 0}, true, TLVK_METRIC_MSE, 9, 2, 5, false, 0},
    {"categorical logits, binary accuracy of softmax", {TLVK_CATEGORICAL_CROSSENTROPY, false, 0}, true, TLVK_BINARY_ACCURACY, 40, 1, 3, false, 0},
    {"sparse logits 2", {TLVK_SPARSE_CATEGORICAL_CROSSENTROPY, false, 0}, true, TLVK_ACCURACY, 32, 1, 2, false, 0},
    {"sparse logits 1000", {TLVK_SPARSE_CATEGORICAL_CROSSENTROPY, true, 0}, true, TLVK_ACCURACY, 20, 1, 1000, true, 0},
    {"sparse 5 per pixel", {TLVK_SPARSE_CATEGORICAL_CROSSENTROPY, false, 0}, false, TLVK_ACCURACY, 3, 35 * 41, 5, true, 1},
    {"sparse 300", {TLVK_SPARSE_CATEGORICAL_CROSSENTROPY, false, 0}, false, TLVK_SPARSE_CATEGORICAL_ACCURACY, 17, 1, 300, false, 0},
    {"binary logits 1, activation left out", {TLVK_BINARY_CROSSENTROPY, false, 0}, true, TLVK_ACCURACY, 50, 1, 1, true, 0},
    {"binary logits 1, from_logits", {TLVK_BINARY_CROSSENTROPY, true, 0.2f}, true, TLVK_ACCURACY, 50, 1, 1, true, 0},
    {"binary logits 1, mse of sigmoid", {TLVK_BINARY_CROSSENTROPY, false, 0}, true, TLVK_METRIC_MSE, 50, 1, 1, false, 7},
    {"binary 1", {TLVK_BINARY_CROSSENTROPY, false, 0.1f}, false, TLVK_BINARY_ACCURACY, 70, 1, 1, true, 0},
    {"binary 90 labels", {TLVK_BINARY_CROSSENTROPY, false, 0}, false, TLVK_BINARY_ACCURACY, 6, 5, 90, true, 0},
    {"squared 3 per pixel", {TLVK_MEAN_SQUARED_ERROR, false, 0}, false, TLVK_METRIC_MSE, 4, 1100, 3, true, 3},
    {"squared 70", {TLVK_MEAN_SQUARED_ERROR, false, 0}, false, TLVK_METRIC_NONE, 4, 2, 70, false, 0},
    {"sparse logits, 200,000 rows", {TLVK_SPARSE_CATEGORICAL_CROSSENTROPY, false, 0}, true, TLVK_ACCURACY, 4, 50000, 3, false, 0},
};

typedef struct numbers { float *y, *t, *w; double *yd, *td, *wd, *dy, *dy_e; size_t count, targets; } numbers;

static bool is_sparse(const setting *s) { return s->loss.kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY; }

static void numbers_destroy(numbers *v) {
    void *all[] = {v->y, v->t, v->w, v->yd, v->td, v->wd, v->dy, v->dy_e};
    for (size_t i = 0; i < TLVK__COUNT(all); i++)
        free(all[i]);
}

static void fill_row(const setting *s, tlvk__rng *rng, float *y, float *t) {
    bool probabilities = !s->logits && s->loss.kind != TLVK_MEAN_SQUARED_ERROR;
    int64_t c = s->c, label = (int64_t)tlvk__rng_below(rng, (uint64_t)c);
    for (int64_t j = 0; j < c; j++) {
        y[j] = (float)(probabilities ? 0.02 + 0.95 * tlvk__rng_uniform(rng) : 4.0 * tlvk__rng_normal(rng));
        if (!is_sparse(s))
            t[j] = s->loss.kind == TLVK_MEAN_SQUARED_ERROR ? (float)tlvk__rng_normal(rng)
                   : s->loss.kind == TLVK_BINARY_CROSSENTROPY ? (float)tlvk__rng_below(rng, 2) : (float)(j == label);
    }
    if (is_sparse(s))
        t[0] = (float)label;
    /* Values outside the clip; a renormalized one is kept away from its ends. */
    if (probabilities && s->loss.kind != TLVK_CATEGORICAL_CROSSENTROPY && tlvk__rng_below(rng, 8) == 0)
        y[tlvk__rng_below(rng, (uint64_t)c)] = (float)tlvk__rng_below(rng, 2);
    else if (probabilities && tlvk__rng_below(rng, 8) == 0)
        y[tlvk__rng_below(rng, (uint64_t)c)] = 0.0f;
}

static void numbers_make(const setting *s, uint64_t seed, numbers *v) {
    int64_t rows = s->n * s->rows, target_c = is_sparse(s) ? 1 : s->c;
    *v = (numbers){.count = (size_t)(rows * s->c), .targets = (size_t)(rows * target_c)};
    v->y = tlvk__calloc(v->count, sizeof(float));
    v->t = tlvk__calloc(v->targets, sizeof(float));
    v->w = tlvk__calloc((size_t)s->n, sizeof(float));
    v->yd = tlvk__calloc(v->count, sizeof(double));
    v->td = tlvk__calloc(v->targets, sizeof(double));
    v->wd = tlvk__calloc((size_t)s->n, sizeof(double));
    v->dy = tlvk__calloc(v->count, sizeof(double));
    v->dy_e = tlvk__calloc(v->count, sizeof(double));
    assert_true(v->y && v->t && v->w && v->yd && v->td && v->wd && v->dy && v->dy_e);
    tlvk__rng rng;
    tlvk__rng_seed(&rng, seed, 0);
    for (int64_t k = 0; k < rows; k++)
        fill_row(s, &rng, v->y + k * s->c, v->t + k * target_c);
    for (int64_t i = 0; i < s->n; i++)
        v->w[i] = (float)(0.25 + 2.0 * tlvk__rng_uniform(&rng));
    for (size_t i = 0; i < v->count; i++)
        v->yd[i] = (double)v->y[i];
    for (size_t i = 0; i < v->targets; i++)
        v->td[i] = (double)v->t[i];
    for (int64_t i = 0; i < s->n; i++)
        v->wd[i] = (double)v->w[i];
}

static tlvk__loss_reference reference_of(const setting *s, const numbers *v) {
    return (tlvk__loss_reference){.loss = s->loss, .logits = s->logits, .metric = s->metric, .n = s->n, .rows = s->rows, .c = s->c, .y = v->yd,
                                  .target = v->td, .weight = s->weighted ? v->wd : NULL, .dy = v->dy, .dy_e = v->dy_e};
}

/* --- finite differences ------------------------------------------------------------------------------------------------------------------- */

static double value_at(const setting *s, const numbers *v) {
    tlvk__loss_reference ref = reference_of(s, v);
    ref.dy = ref.dy_e = NULL;
    assert_ok(tlvk__loss_reference_run(&ref));
    return ref.metrics[TLVK__METRIC_LOSS] / (double)s->n;
}

static void test_finite_differences(void **state) {
    (void)state;
    for (size_t i = 0; i < TLVK__COUNT(settings); i++) {
        setting s = settings[i];
        s.n = 3;
        s.rows = TLVK__MIN(s.rows, 2);
        s.c = TLVK__MIN(s.c, 9);
        numbers v;
        numbers_make(&s, 7 + i, &v);
        tlvk__loss_reference ref = reference_of(&s, &v);
        assert_ok(tlvk__loss_reference_run(&ref));
        for (size_t j = 0; j < v.count; j++) {
            double y = v.yd[j], h = 1e-5, slope = 0.0;
            /* At an end of the clip the two one-sided slopes differ; the analytic gradient there is checked against Keras. */
            if (!s.logits && s.loss.kind != TLVK_MEAN_SQUARED_ERROR && (y < 2.0 * h || y > 1.0 - 2.0 * h))
                continue;
            v.yd[j] = y + h;
            slope = value_at(&s, &v);
            v.yd[j] = y - h;
            slope = (slope - value_at(&s, &v)) / (2.0 * h);
            v.yd[j] = y;
            if (fabs(slope - v.dy[j]) > 1e-6 * (1.0 + fabs(slope)))
                fail_msg("%s: gradient %zu is %.9g, finite differences give %.9g", s.name, j, v.dy[j], slope);
        }
        numbers_destroy(&v);
    }
}

/* --- the device against the reference ------------------------------------------------------------------------------------------------------ */

typedef struct device_run { float metrics[TLVK__METRIC_WORDS]; float *dy; size_t floats; } device_run;

static void run_on_device(tlvk__device *d, const setting *s, const numbers *v, bool gradient, device_run *out) {
    test_tensor y, t, w, dy;
    test_tensor_make(d, s->n, s->rows, s->c, v->y, &y);
    test_tensor_make(d, s->n, s->rows, is_sparse(s) ? 1 : s->c, v->t, &t);
    test_tensor_make(d, s->n, 1, 1, v->w, &w);
    test_tensor_make(d, s->n, s->rows, s->c, NULL, &dy);
    float words[TLVK__METRIC_WORDS];
    for (int i = 0; i < TLVK__METRIC_WORDS; i++)
        words[i] = 77.0f;
    test_floats metrics = test_floats_from(d, words, TLVK__METRIC_WORDS);
    tlvk__loss_call call = {.kind_and_options = s->loss, .logits = s->logits, .metric = s->metric, .y = &y.t, .target = &t.t,
                            .sample_weight = s->weighted ? &w.t : NULL, .dy = gradient ? &dy.t : NULL, .metrics = metrics.span, .layer = "out"};
    test_floats scratch = test_floats_make(d, tlvk__loss_scratch_bytes(&call) / sizeof(float));
    call.scratch = scratch.span;
    tlvk__recorder *r;
    tlvk__recording *rec;
    assert_ok(tlvk__recorder_create(d, NULL, &r));
    tlvk__force_pieces(s->piece);
    tlvk_status status = tlvk__record_loss(r, &call);
    tlvk__force_pieces(0);
    assert_ok(status);
    assert_ok(tlvk__recorder_finish(r, &rec));
    assert_ok(tlvk__recording_run(rec));
    tlvk__recording_destroy(rec);
    test_floats_read(d, metrics, out->metrics, TLVK__METRIC_WORDS);
    out->floats = test_tensor_floats(&dy);
    out->dy = tlvk__calloc(out->floats, sizeof(float));
    assert_non_null(out->dy);
    test_floats_read(d, dy.f, out->dy, out->floats);
    tlvk__buffer_destroy(metrics.buffer);
    tlvk__buffer_destroy(scratch.buffer);
    test_tensor *tensors[] = {&y, &t, &w, &dy};
    for (size_t i = 0; i < TLVK__COUNT(tensors); i++)
        test_tensor_destroy(tensors[i]);
}

/* Largest |error| / bound over dy; checks the padding lanes. */
static double worst_gradient(const setting *s, const numbers *v, const device_run *run) {
    double worst = 0.0;
    int64_t pitch = tlvk__pitch(s->c);
    for (int64_t k = 0; k < s->n * s->rows; k++)
        for (int64_t j = 0; j < pitch; j++) {
            double got = (double)run->dy[k * pitch + j];
            if (j >= s->c) {
                assert_true(got == 0.0);
                continue;
            }
            double error = fabs(got - v->dy[k * s->c + j]), bound = v->dy_e[k * s->c + j];
            if (!(error <= bound))
                fail_msg("%s: dy[%lld][%lld] is %.9g, the reference has %.9g (bound %.3g)", s->name, (long long)k, (long long)j, got,
                         v->dy[k * s->c + j], bound);
            worst = bound > 0.0 ? fmax(worst, error / bound) : worst;
        }
    return worst;
}

static void check_setting(tlvk__device *d, const setting *s, uint64_t seed) {
    numbers v;
    numbers_make(s, seed, &v);
    tlvk__loss_reference ref = reference_of(s, &v);
    assert_ok(tlvk__loss_reference_run(&ref));
    device_run run, again, evaluation;
    run_on_device(d, s, &v, true, &run);
    run_on_device(d, s, &v, true, &again);
    run_on_device(d, s, &v, false, &evaluation);
    double worst = worst_gradient(s, &v, &run), loss_error = fabs((double)run.metrics[TLVK__METRIC_LOSS] - ref.metrics[TLVK__METRIC_LOSS]);
    if (!(loss_error <= ref.loss_e))
        fail_msg("%s: loss %.9g, the reference has %.9g (bound %.3g)", s->name, (double)run.metrics[TLVK__METRIC_LOSS],
                 ref.metrics[TLVK__METRIC_LOSS], ref.loss_e);
    print_message("%-48s loss %.3f of its bound, dy %.3f\n", s->name, loss_error / ref.loss_e, worst);
    assert_true(fabs((double)run.metrics[TLVK__METRIC_WEIGHT] - ref.metrics[TLVK__METRIC_WEIGHT]) <= 1e-6 * ref.metrics[TLVK__METRIC_WEIGHT]);
    assert_true((double)run.metrics[TLVK__METRIC_CORRECT] == ref.metrics[TLVK__METRIC_CORRECT]);
    assert_true((double)run.metrics[TLVK__METRIC_COUNT] == ref.metrics[TLVK__METRIC_COUNT]);
    assert_true(fabs((double)run.metrics[TLVK__METRIC_SQUARED] - ref.metrics[TLVK__METRIC_SQUARED]) <= 2e-5 * ref.metrics[TLVK__METRIC_SQUARED]);
    for (int i = TLVK__METRIC_SQUARED + 1; i < TLVK__METRIC_WORDS; i++)
        assert_true(run.metrics[i] == 77.0f);
    assert_memory_equal(run.metrics, again.metrics, sizeof run.metrics);
    assert_memory_equal(run.metrics, evaluation.metrics, sizeof run.metrics);
    assert_memory_equal(run.dy, again.dy, run.floats * sizeof(float));
    free(run.dy);
    free(again.dy);
    free(evaluation.dy);
    numbers_destroy(&v);
}

static void test_device_losses(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    for (size_t i = 0; i < TLVK__COUNT(settings); i++)
        check_setting(d, &settings[i], 100 + i);
}

/* Where four buffers are bound at most, sample weights are texels, and a piece has no more samples than a texel buffer holds of them. */
static void test_few_texels(void **state) {
    (void)state;
    tlvk__caps limit = *tlvk__device_caps(test_device());
    tlvk__device *d;
    limit.max_storage_buffers = 4;
    limit.max_texels = 32;
    limit.texel_align = 256;
    assert_ok(tlvk__device_create(&(tlvk__device_desc){.validation = true, .limit = &limit}, &d));
    for (size_t i = 0; i < TLVK__COUNT(settings); i++)
        if (settings[i].weighted)
            check_setting(d, &settings[i], 300 + i);
    assert_true(tlvk__device_validation_messages(d) <= 0);
    tlvk__device_destroy(d);
}

static void test_class_number_out_of_range(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    const float bad[] = {3.0f, -1.0f, NAN, 4e9f};
    for (size_t b = 0; b < TLVK__COUNT(bad); b++)
        for (int logits = 0; logits < 2; logits++) {
            setting s = {"bad class", {TLVK_SPARSE_CATEGORICAL_CROSSENTROPY, false, 0}, logits, TLVK_ACCURACY, 4, 1, 3, false, 0};
            numbers v;
            numbers_make(&s, 5, &v);
            v.t[2] = bad[b];
            v.td[2] = (double)bad[b];
            tlvk__loss_reference ref = reference_of(&s, &v);
            assert_ok(tlvk__loss_reference_run(&ref));
            assert_true(isnan(ref.metrics[TLVK__METRIC_LOSS]));
            device_run run;
            run_on_device(d, &s, &v, true, &run);
            assert_true(isnan(run.metrics[TLVK__METRIC_LOSS]));
            worst_gradient(&s, &v, &run);
            for (int j = 0; j < 4; j++)
                assert_true(run.dy[8 + j] == 0.0f);
            assert_true((double)run.metrics[TLVK__METRIC_CORRECT] == ref.metrics[TLVK__METRIC_CORRECT]);
            free(run.dy);
            numbers_destroy(&v);
        }
}

/* The first of equal values wins, as argmax; c = 70 shares the row among invocations. */
static void test_argmax_ties(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    for (int64_t c = 6; c <= 70; c += 64) {
        setting s = {"ties", {TLVK_SPARSE_CATEGORICAL_CROSSENTROPY, true, 0}, true, TLVK_ACCURACY, 3, 1, c, false, 0};
        numbers v;
        numbers_make(&s, 5, &v);
        for (size_t i = 0; i < v.count; i++)
            v.y[i] = i % (size_t)c == 2 || i % (size_t)c == 5 ? 9.0f : 1.0f;
        const float labels[] = {2.0f, 5.0f, 2.0f};
        memcpy(v.t, labels, sizeof labels);
        device_run run;
        run_on_device(d, &s, &v, false, &run);
        assert_true(run.metrics[TLVK__METRIC_CORRECT] == 2.0f);
        free(run.dy);
        numbers_destroy(&v);
    }
}

static void test_refusals(void **state) {
    (void)state;
    tlvk__loss_setup s;
    const tlvk_loss categorical = {TLVK_CATEGORICAL_CROSSENTROPY, false, 0}, smoothed = {TLVK_SPARSE_CATEGORICAL_CROSSENTROPY, false, 0.1f},
                    squared = {TLVK_MEAN_SQUARED_ERROR, true, 0}, binary = {TLVK_BINARY_CROSSENTROPY, false, 1.5f};
    assert_int_equal(tlvk__loss_setup_of(&categorical, false, TLVK_ACCURACY, 3, 1, &s), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk__fail_text(), "categorical_crossentropy"));
    assert_int_equal(tlvk__loss_setup_of(&categorical, false, TLVK_SPARSE_CATEGORICAL_ACCURACY, 3, 3, &s), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk__loss_setup_of(&smoothed, false, TLVK_ACCURACY, 3, 1, &s), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk__loss_setup_of(&squared, true, TLVK_METRIC_NONE, 3, 3, &s), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk__loss_setup_of(&binary, false, TLVK_ACCURACY, 1, 1, &s), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk__loss_setup_of(&categorical, false, TLVK_ACCURACY, 3, 3, &s), TLVK_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keras), cmocka_unit_test(test_finite_differences), cmocka_unit_test(test_refusals), cmocka_unit_test(test_device_losses),
        cmocka_unit_test(test_few_texels),
        cmocka_unit_test(test_class_number_out_of_range), cmocka_unit_test(test_argmax_ties)};
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
