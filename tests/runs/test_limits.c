/* test_limits.c - the operations and a training on devices with less than this machine's: the layer of tests/layer tells of one such after the other, and
 * whatever the library does beyond what it was told is a breach. The operations run under limits that come together, a training under each alone.
 * TLVK_TEST_FULL=1 runs the operations under each alone too; TLVK_TEST_LIMIT, part of a name, narrows both. */
#include "support/nets.h"
#include "support/simulator.h"
#include "ops/elementwise.h"

#include <stdio.h>

#define EPOCHS 3
#define SAMPLES 45
#define BATCH 16

typedef struct limit { const char *name, *settings; bool operations; } limit;

static const limit limits[] = {
    { "as it is", "", false },
    { "least of everything", "discrete=1,max_storage_buffer_range=128M,max_shared_memory=16K,max_invocations=128,max_groups=65535,max_texels=64K,max_storage_buffers=4,"
      "max_push_constants=128,storage_align=256,texel_align=256,atom=256,max_allocation=64M,no_subgroups=1,no_timestamps=1,no_fp16=1,one_queue=1,separate_heaps=1,"
      "non_coherent=1,heap=256M", true },
    { "four storage buffers", "max_storage_buffers=4", true },
    { "small workgroups", "max_shared_memory=16K,max_invocations=128", true },
    { "no texel buffers", "no_texel_buffers=1", true },
    /* A Mac with Intel's graphics, as MoltenVK tells of it (MVKDevice.mm, initLimits): a subset of Vulkan, and subgroup sizes that vary and cannot be asked for. */
    { "MoltenVK", "portability=1,no_required_sizes=1,subgroup_size=32,subgroup_min=8,subgroup_max=32,max_storage_buffer_range=256M,max_shared_memory=32K,max_invocations=1024,max_storage_buffers=31,"
      "max_push_constants=4K,storage_align=256,texel_align=256,atom=256", true },
    { "128 MiB in a binding", "max_storage_buffer_range=128M", false },
    { "1 MiB in a binding", "max_storage_buffer_range=1M", false },
    { "16 KiB of shared memory", "max_shared_memory=16K", false },
    { "128 invocations", "max_invocations=128", false },
    { "65535 workgroups", "max_groups=65535", false },
    { "65536 texels", "max_texels=64K", false },
    { "128 bytes of push constants", "max_push_constants=128", false },
    { "no subgroup operations", "no_subgroups=1", false },
    { "no control of subgroup sizes", "no_subgroup_control=1", false },
    { "no timestamps", "no_timestamps=1", false },
    { "no fp16", "no_fp16=1", false },
    { "one queue", "one_queue=1", false },
    { "a heap of 256 MiB", "discrete=1,heap=256M", false },
    { "a budget of 64 MiB", "budget=64M", false },
    { "alignment of 256", "storage_align=256", false },
    { "texels aligned more than buffers", "texel_align=256", false },
    { "the same, and 1 MiB in a binding", "texel_align=256,max_storage_buffer_range=1M", false },
    { "separate heaps", "discrete=1,separate_heaps=1", false },
    { "memory that is not coherent", "non_coherent=1,atom=256", false },
    { "separate heaps that are not coherent", "discrete=1,separate_heaps=1,non_coherent=1,atom=64", false },
};

static bool chosen(const limit *l) {
    const char *only = tlvk__env("TLVK_TEST_LIMIT");
    return !only || strstr(l->name, only);
}

/* Ends a run under a limit: true where there was no breach and nothing stayed behind. */
static bool kept_to(const limit *l) {
    sim_report r;
    sim_read(&r);
    if (r.breaches || r.alive) print_error("%s: %d breaches, %d objects alive: %s\n", l->name, r.breaches, r.alive, r.text);
    if (!r.calls) print_error("%s: no call went through the layer\n", l->name);
    return !r.breaches && !r.alive && r.calls > 0;
}

/* Under no limit: a machine without a device skips the test here, and nowhere else, since a limit may not make a device unusable. */
static void need_device(void) {
    sim_begin("");
    tlvk_context_destroy(net_context(NULL));
}

static bool operations_pass(const limit *l) {
    tlvk__device *d;
    const tlvk__op *op;
    int cases = 0, failed = 0;
    sim_begin(l->settings);
    if (tlvk__device_create(NULL, &d) != TLVK_OK) {
        print_error("%s: %s\n", l->name, tlvk__fail_text());
        return false;
    }
    for (int i = 0; (op = tlvk__op_at(i)) != NULL; i++) {
        tlvk__op_case c = { .epilogue = tlvk__activation_of(TLVK_LINEAR) };
        for (int k = 0; op->test_case && op->test_case(k, &c); k++) {
            tlvk__check result = { 0 };
            tlvk_status st = c.real_size ? TLVK_OK : tlvk__check_case(d, op, &c, 1 + (uint64_t)k, 0, &result);
            cases += !c.real_size;
            if (st || (!c.real_size && !result.ok)) {
                failed++;
                print_error("%s: %s \"%s\": %s\n", l->name, op->class_name, c.name, st ? tlvk__fail_text() : result.message);
            }
            c = (tlvk__op_case){ .epilogue = tlvk__activation_of(TLVK_LINEAR) };
        }
    }
    tlvk__device_destroy(d);
    print_message("%s: %d cases, %d failed\n", l->name, cases, failed);
    return kept_to(l) && !failed;
}

static void test_operations(void **state) {
    (void)state;
    int failed = 0;
    need_device();
    for (size_t i = 0; i < TLVK__COUNT(limits); i++)
        if (chosen(&limits[i]) && (limits[i].operations || tlvk__env("TLVK_TEST_FULL"))) failed += !operations_pass(&limits[i]);
    assert_int_equal(failed, 0);
}

typedef struct result { tlvk_logs logs; float *weights; size_t count; } result;

/* A regularizer, clipping by norm and three slots are among what the step has, so that all of the update's passes run. */
static tlvk_status train(const limit *l, result *r) {
    tlvk_context *ctx = NULL;
    tlvk__device *device;
    sim_begin(l->settings);
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = "" }, &ctx), TLVK_OK);
    if (tlvk__context_device(ctx, &device)) fail_msg("%s: no device: %s", l->name, tlvk__fail_text());
    tlvk_model *model = small_network(ctx, 3);
    tlvk_dataset *data = small_data(ctx, SAMPLES, BATCH, 3), *val = small_data(ctx, BATCH, BATCH, 2);
    tlvk_history *history = NULL;
    const tlvk_optimizer adam = { .kind = TLVK_ADAM, .epsilon = 1e-2f, .learning_rate = 1e-2f, .clipnorm = 1, .weight_decay = 1e-3f, .amsgrad = true };
    const tlvk_compile_desc compile = { .optimizer = adam, .metrics = { TLVK_ACCURACY } };
    assert_api(ctx, tlvk_model_compile(model, &compile));
    tlvk_status st = tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = EPOCHS, .validation = val, .seed = 3 }, &history);
    if (st) print_error("%s: %s\n", l->name, tlvk_last_error(ctx));
    else assert_int_equal(tlvk_history_logs(history, EPOCHS - 1, &r->logs), TLVK_OK);
    r->weights = all_weights(model, &r->count);
    tlvk_history_destroy(history);
    tlvk_dataset_destroy(data);
    tlvk_dataset_destroy(val);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    return st;
}

/* Kernels that add in another order err by some units of 2^-24; Adam's epsilon is its rate, so that a step passes on what a gradient errs and no more. */
static bool agrees(const limit *l, const result *a, const result *b) {
    double worst = 0;
    for (size_t i = 0; i < a->count; i++) worst = fmax(worst, fabs((double)a->weights[i] - (double)b->weights[i]));
    double loss = fabs(a->logs.loss - b->logs.loss), val_loss = fabs(a->logs.val_loss - b->logs.val_loss);
    print_message("%s: weights off by up to %.2g, loss by %.2g, val_loss by %.2g\n", l->name, worst, loss, val_loss);
    return a->count == b->count && worst < 1e-5 && loss < 1e-5 && val_loss < 1e-5;
}

static void test_training(void **state) {
    (void)state;
    result usual = { 0 };
    int failed = 0;
    need_device();
    assert_int_equal(train(&limits[0], &usual), TLVK_OK);
    assert_true(kept_to(&limits[0]));
    for (size_t i = 1; i < TLVK__COUNT(limits); i++) {
        if (!chosen(&limits[i])) continue;
        result r = { 0 };
        tlvk_status st = train(&limits[i], &r);
        bool kept = kept_to(&limits[i]);
        failed += st || !kept || !agrees(&limits[i], &r, &usual);
        free(r.weights);
    }
    free(usual.weights);
    assert_int_equal(failed, 0);
}

/* A size that may vary is required, and whole subgroups; where that cannot be had, no kernel counts on them. Nothing runs: the driver has one size. */
static void test_subgroups(void **state) {
    (void)state;
    static const struct { const char *settings; bool usable; } claims[] = {
        { "hollow=1,subgroup_size=8,subgroup_min=4,subgroup_max=32", true },
        { "hollow=1,subgroup_size=32,subgroup_min=8,subgroup_max=32", true },
        { "hollow=1,subgroup_size=64,subgroup_min=32,subgroup_max=64", true },
        { "hollow=1,subgroup_size=128,subgroup_min=64,subgroup_max=128", true },
        { "hollow=1,subgroup_size=8,subgroup_min=4,subgroup_max=32,max_subgroups=4", true },
        { "hollow=1,subgroup_size=8,subgroup_min=4,subgroup_max=32,max_subgroups=3", false },
        { "hollow=1,subgroup_size=8,subgroup_min=4,subgroup_max=32,no_full_subgroups=1", false },
        { "hollow=1,subgroup_size=8,subgroup_min=4,subgroup_max=32,no_subgroup_control=1", false },
        { "hollow=1,no_subgroups=1", false },
    };
    need_device();
    for (size_t i = 0; i < TLVK__COUNT(claims); i++) {
        const limit l = { claims[i].settings, claims[i].settings, false };
        tlvk__device *d;
        result r = { 0 };
        sim_begin(l.settings);
        assert_int_equal(tlvk__device_create(NULL, &d), TLVK_OK);
        const bool usable = tlvk__device_caps(d)->subgroup_shuffle;
        tlvk__device_destroy(d);
        if (usable != claims[i].usable) fail_msg("%s: subgroups are %s", l.name, usable ? "used" : "left");
        assert_int_equal(train(&l, &r), TLVK_OK);
        assert_true(kept_to(&l));
        free(r.weights);
    }
}

/* The same device, told by its caller to do without the control that it has: which of its sizes runs is open then. */
static void test_subgroups_without_control(void **state) {
    (void)state;
    const limit l = { "control left out", "hollow=1,subgroup_size=8,subgroup_min=4,subgroup_max=32", false };
    tlvk__device *d;
    tlvk_context_destroy(net_context(NULL)); /* no device: skipped */
    sim_begin(l.settings);
    assert_int_equal(tlvk__device_create(NULL, &d), TLVK_OK);
    tlvk__caps caps = *tlvk__device_caps(d);
    tlvk__device_destroy(d);
    assert_true(caps.subgroup_shuffle && caps.shuffle_size == 4);
    caps.subgroup_size_control = false;
    assert_int_equal(tlvk__device_create(&(tlvk__device_desc){ .limit = &caps }, &d), TLVK_OK);
    assert_true(!tlvk__device_caps(d)->subgroup_shuffle && tlvk__device_caps(d)->shuffle_size == 8);
    tlvk__device_destroy(d);
    assert_true(kept_to(&l));
}

/* y += y. */
static tlvk__recording *addition(tlvk__device *d, tlvk__buffer *b) {
    tlvk__span span = { .buffer = b, .bytes = tlvk__buffer_bytes(b) };
    const tlvk__tensor t = tlvk__span_tensor(&span, 1, 1, (int64_t)(span.bytes / sizeof(float)));
    tlvk__recorder *r;
    tlvk__recording *rec = NULL;
    assert_int_equal(tlvk__recorder_create(d, NULL, &r), TLVK_OK);
    assert_int_equal(tlvk__record_add(r, &t, &t, &t, "a test"), TLVK_OK);
    assert_int_equal(tlvk__recorder_finish(r, &rec), TLVK_OK);
    return rec;
}

/* A fence that does not say whether it is signalled counts as one that is not, and the wait that follows waits. */
static void test_status_of_a_fence(void **state) {
    (void)state;
    const limit l = { "the status of a fence", "fail_call=vkGetFenceStatus,fail_at=1", false };
    tlvk__device *d;
    tlvk__buffer *b;
    tlvk_context_destroy(net_context(NULL)); /* no device: skipped */
    sim_begin(l.settings);
    assert_int_equal(tlvk__device_create(NULL, &d), TLVK_OK);
    assert_int_equal(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, 4096, "a test", &b), TLVK_OK);
    tlvk__recording *rec = addition(d, b);
    assert_true(tlvk__recording_done(rec));
    assert_int_equal(tlvk__recording_submit(rec), TLVK_OK);
    assert_false(tlvk__recording_done(rec));
    assert_int_equal(tlvk__recording_wait(rec), TLVK_OK);
    assert_true(tlvk__recording_done(rec));
    tlvk__recording_destroy(rec);
    tlvk__buffer_destroy(b);
    tlvk__device_destroy(d);
    assert_true(kept_to(&l));
}

/* A device stays hollow, as it was made, whatever the next ones are. */
static void test_hollow_to_the_end(void **state) {
    (void)state;
    tlvk__device *d;
    tlvk__buffer *b;
    tlvk_context_destroy(net_context(NULL)); /* no device: skipped */
    sim_begin("hollow=1");
    assert_int_equal(tlvk__device_create(NULL, &d), TLVK_OK);
    assert_int_equal(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, 4096, "a test", &b), TLVK_OK);
    tlvk__recording *rec = addition(d, b);
    sim_begin("");
    assert_int_equal(tlvk__recording_run(rec), TLVK_OK);
    tlvk__recording_destroy(rec);
    tlvk__buffer_destroy(b);
    tlvk__device_destroy(d);
    sim_report r;
    sim_read(&r);
    assert_true(!r.breaches && !r.alive);
}

/* What the system leaves to this program (VK_EXT_memory_budget) is a limit like the heap's size, and told beforehand. */
static void test_budget(void **state) {
    (void)state;
    tlvk__device *d;
    tlvk__buffer *b = NULL, *more = NULL;
    need_device();
    sim_begin("budget=64M");
    assert_int_equal(tlvk__device_create(NULL, &d), TLVK_OK);
    assert_int_equal(tlvk__device_memory_free(d), UINT64_C(64) << 20);
    assert_int_equal(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, UINT64_C(48) << 20, "activations", &b), TLVK_OK);
    assert_int_equal(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, UINT64_C(65) << 20, "activations", &more), TLVK_ERROR_MEMORY);
    assert_non_null(strstr(tlvk__fail_text(), "the system's budget for this program is 67108864"));
    tlvk__buffer_destroy(b);
    tlvk__device_destroy(d);
    assert_true(kept_to(&(limit){ "a budget", "budget=64M", false }));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training), cmocka_unit_test(test_operations), cmocka_unit_test(test_subgroups), cmocka_unit_test(test_subgroups_without_control),
        cmocka_unit_test(test_status_of_a_fence), cmocka_unit_test(test_hollow_to_the_end), cmocka_unit_test(test_budget) };
    return cmocka_run_group_tests(tests, sim_setup, NULL);
}
