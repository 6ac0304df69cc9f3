/* test_bench.c - the measuring instrument: that its cases are complete and its figures follow from each other. Speeds themselves are not tested. */
#include "ops/time.h"
#include "support/nets.h"

typedef struct seen {
    int peaks, networks, jobs, operations, layers, kinds, updates;
    double layer_share, kind_share, backward_weights_flop, forward_gflop, step_gflop, job_images;
    bool host_clock, conv_forward, conv_data, conv_weights, first_has_no_data, batch_norm_training, pooling;
} seen;

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static void see_operation(const tlvk_bench_case *c, seen *s) {
    s->operations++;
    s->updates += strcmp(c->pass, "update") == 0;
    s->conv_forward |= begins(c->name, "Conv2D 1x1 8x8x64 to 128") && strcmp(c->pass, "forward") == 0;
    s->conv_data |= strcmp(c->name, "Conv2D 1x1 8x8x128 to 128, backward data") == 0;
    s->conv_weights |= strcmp(c->name, "Conv2D 1x1 8x8x128 to 128, backward weights") == 0;
    s->first_has_no_data &= !(strstr(c->name, "32x32x3 to 32") && strcmp(c->pass, "backward data") == 0);
    s->batch_norm_training |= begins(c->name, "BatchNormalization 16x16x32, training");
    s->pooling |= begins(c->name, "GlobalAveragePooling2D") && c->count == 1;
    if (strcmp(c->name, "Conv2D 1x1 8x8x128 to 128, forward") == 0) assert_true(c->count == 1 && fabs(c->gflop * 1e9 / (2.0 * 2 * 8 * 8 * 128 * 128) - 1) < 0.05);
}

static void see(const tlvk_bench_case *c, void *user) {
    seen *s = user;
    assert_true(c->ms_min > 0 && c->ms_median >= c->ms_min && c->runs > 0);
    assert_true(c->gflop == 0 || fabs(c->gflops / (c->gflop / c->ms_min * 1e3) - 1) < 1e-9);
    assert_true(c->gbyte == 0 || c->bandwidth_share > 0);
    assert_true(c->host_clock == (s->host_clock || strcmp(c->part, "network") == 0 || strcmp(c->part, "job") == 0));
    s->peaks += strcmp(c->part, "peak") == 0;
    s->jobs += strcmp(c->part, "job") == 0;
    if (strcmp(c->part, "job") == 0) s->job_images = c->images_per_s * c->ms_min * 1e-3;
    if (strcmp(c->part, "operation") == 0) see_operation(c, s);
    if (strcmp(c->part, "network") == 0) {
        s->networks++;
        assert_true(c->ceiling_images_per_s > 0);
        if (strcmp(c->pass, "forward") == 0) s->forward_gflop = c->gflop;
        if (strcmp(c->pass, "step") == 0) s->step_gflop = c->gflop;
    }
    if (strcmp(c->part, "layer") == 0) {
        s->layers++;
        s->layer_share += c->time_share;
    }
    if (strcmp(c->part, "kind") == 0) {
        s->kinds++;
        s->kind_share += c->time_share;
    }
}

static seen bench(const tlvk_bench_desc *desc, bool floor) {
    tlvk_context *ctx = floor ? net_context_on(&(tlvk__device_desc){ .floor = true }) : net_context(NULL);
    seen s = { .first_has_no_data = true, .host_clock = !tlvk__device_caps(net_device(ctx))->timestamps };
    tlvk_bench_desc d = *desc;
    d.report = see;
    d.user = &s;
    d.repeats = 1;
    assert_api(ctx, tlvk_bench(ctx, &d));
    tlvk_context_destroy(ctx);
    return s;
}

static void every_operation_is_measured(void **state) {
    (void)state;
    seen s = bench(&(tlvk_bench_desc){ .networks = "mobilenet", .image_size = 32, .batch_size = 2, .parts = TLVK_BENCH_OPERATIONS | TLVK_BENCH_PEAK }, false);
    assert_true(s.peaks >= 3 && s.operations > 60 && s.updates == 1 && s.networks == 0);
    assert_true(s.conv_forward && s.conv_data && s.conv_weights && s.first_has_no_data && s.batch_norm_training && s.pooling);
}

/* MobileNet has 0.568e9 multiply-adds at 224 x 224 (Howard et al., 2017, table 8: 569 million with the classifier of 1000). */
static void networks_count_their_work(void **state) {
    (void)state;
    seen s = bench(&(tlvk_bench_desc){ .networks = "mobilenet", .batch_size = 1, .parts = TLVK_BENCH_FORWARD | TLVK_BENCH_STEP }, false);
    assert_int_equal(s.networks, 2);
    assert_true(s.forward_gflop > 2 * 0.55 && s.forward_gflop < 2 * 0.60);
    assert_true(s.step_gflop > 2.8 * s.forward_gflop && s.step_gflop < 3.2 * s.forward_gflop);
}

static void a_job_is_measured(void **state) {
    (void)state;
    seen s = bench(&(tlvk_bench_desc){ .networks = "mobilenet", .image_size = 32, .batch_size = 4, .parts = TLVK_BENCH_JOB, .pictures = 11, .epochs = 3 }, false);
    assert_int_equal(s.jobs, 1);
    assert_true(fabs(s.job_images - 33) < 1e-6);
}

/* On a device without timestamps too. */
static void layers_fill_their_step(void **state) {
    (void)state;
    for (int floor = 0; floor < 2; floor++) {
        seen s = bench(&(tlvk_bench_desc){ .networks = "mobilenet", .image_size = 32, .batch_size = 2, .layers = true }, floor);
        assert_true(s.layers > 150 && s.kinds >= 10 && s.operations == 0 && (s.host_clock || !floor));
        assert_true(fabs(s.layer_share - 1) < 1e-9);
        assert_true(s.kind_share > 0.5 && s.kind_share < 1);
    }
}

static void times_are_enough(void **state) {
    (void)state;
    tlvk__times t = { .effort = { .repeats = 2 } };
    assert_true(tlvk__times_min(&t) == 0);
    tlvk__times_add(&t, 5);
    assert_false(tlvk__times_enough(&t));
    tlvk__times_add(&t, 3);
    assert_true(tlvk__times_enough(&t) && tlvk__times_min(&t) == 3 && tlvk__times_median(&t) == 5);
    tlvk__times u = { .effort = { .seconds = 0.01, .limit_seconds = 0.1 } };
    for (int i = 0; i < 2; i++) tlvk__times_add(&u, 40);
    assert_false(tlvk__times_enough(&u)); /* two runs are under the least, and not yet at the limit */
    tlvk__times_add(&u, 1);
    assert_true(tlvk__times_enough(&u) && tlvk__times_min(&u) == 1 && tlvk__times_median(&u) == 40);
    tlvk__times w = { .effort = { .seconds = 0.01, .limit_seconds = 0.1 } };
    tlvk__times_add(&w, 101);
    assert_true(tlvk__times_enough(&w));
}

static void unknown_networks_are_refused(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    net_device(ctx);
    assert_int_equal(tlvk_bench(ctx, &(tlvk_bench_desc){ .networks = "mobilenet,resnet9000", .parts = TLVK_BENCH_FORWARD, .filter = "resnet9000" }), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "resnet9000"));
    tlvk_context_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_enough), cmocka_unit_test(every_operation_is_measured), cmocka_unit_test(networks_count_their_work),
        cmocka_unit_test(a_job_is_measured), cmocka_unit_test(layers_fill_their_step), cmocka_unit_test(unknown_networks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
