/* test_devices.c - whole trainings on other devices than the usual: one made with Vulkan 1.1 alone, two at the same time in two threads, and two
 * drivers in one process. */
#include "support/nets.h"
#include "train/session_internal.h"

#include <stdio.h>

#define UNIT 5.9604644775390625e-8 /* 2^-24: half a step of the floats from 1 to 2 */
#define EPOCHS 3
#define SAMPLES 45
#define BATCH 16
#define STEPS (EPOCHS * 3)

typedef struct training {
    tlvk__device_desc device;
    uint64_t seed;
    tlvk_optimizer optimizer;
    float *before, *after;
    size_t count;
    tlvk_logs last;
    int subgroup_kernels; /* of the first step recorded */
} training;

static int count_subgroup_kernels(const tlvk__session *s) {
    int found = 0;
    tlvk__recording *rec = tlvk__runner_recording(s->runners[0], 0);
    for (int i = 0; i < tlvk__recording_count(rec); i++) {
        tlvk__recorded e;
        assert_int_equal(tlvk__recording_entry(rec, i, &e), TLVK_OK);
        found += strstr(e.shader, "_sgb") != NULL || strstr(e.shader, "_texel") != NULL;
    }
    return found;
}

/* Takes a `training`; fails in whatever thread it runs. */
static void train(void *user) {
    training *t = user;
    tlvk_context *ctx = net_context_on(&t->device);
    tlvk_model *model = small_network(ctx, t->seed);
    tlvk_dataset *data = small_data(ctx, SAMPLES, BATCH, t->seed), *val = small_data(ctx, BATCH, BATCH, 2);
    tlvk_history *history = NULL;
    t->before = all_weights(model, &t->count);
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = t->optimizer, .metrics = { TLVK_ACCURACY } }));
    assert_api(ctx, tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = EPOCHS, .validation = val, .seed = t->seed }, &history));
    assert_int_equal(tlvk_history_logs(history, EPOCHS - 1, &t->last), TLVK_OK);
    t->after = all_weights(model, &t->count);
    t->subgroup_kernels = count_subgroup_kernels(model->training->session);
    tlvk_history_destroy(history);
    tlvk_dataset_destroy(data);
    tlvk_dataset_destroy(val);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

static void end(training *t) {
    free(t->before);
    free(t->after);
}

static double furthest(const float *a, const float *b, size_t count) {
    double worst = 0;
    for (size_t i = 0; i < count; i++) worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    return worst;
}

/* Two devices that add in another order: each step's gradients differ by some units in the last place of numbers below 1, batch normalization
 * divides by deviations above 1/16, and a step of rate 0.01 with momentum 0.9 adds a tenth of that to the weights, which later steps keep. The
 * same holds for the loss, which is of the size of 1. Bound: 32 units a step. */
static void assert_agree(const training *a, const training *b) {
    double bound = 32 * UNIT * STEPS, weights = furthest(a->after, b->after, a->count), loss = fabs(a->last.loss - b->last.loss);
    double val_loss = fabs(a->last.val_loss - b->last.val_loss);
    print_message("weights off by up to %.3g, loss by %.3g, val_loss by %.3g, bound %.3g\n", weights, loss, val_loss, bound);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->before, b->before, a->count * sizeof *a->before);
    assert_true(furthest(a->before, a->after, a->count) > 1000 * bound);
    assert_true(weights <= bound && loss <= bound && val_loss <= bound);
    assert_true(a->last.accuracy == b->last.accuracy && a->last.val_accuracy == b->last.val_accuracy);
}

static const tlvk_optimizer sgd = { .kind = TLVK_SGD, .momentum = 0.9f };

static void test_floor_agrees(void **state) {
    (void)state;
    training usual = { .seed = 3, .optimizer = sgd }, floor = { .device = { .floor = true }, .seed = 3, .optimizer = sgd };
    train(&usual);
    train(&floor);
    print_message("%d kernels with subgroups or texel buffers on the usual device\n", usual.subgroup_kernels);
    assert_int_equal(floor.subgroup_kernels, 0);
    assert_agree(&usual, &floor);
    end(&usual);
    end(&floor);
}

static void assert_same_training(const training *a, const training *b) {
    tlvk_logs la = a->last, lb = b->last;
    la.seconds = lb.seconds = 0;
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->after, b->after, a->count * sizeof *a->after);
    assert_memory_equal(&la, &lb, sizeof la);
}

/* How a processor's shaders store changes no bit. */
static void test_pair_stores_agree(void **state) {
    (void)state;
    tlvk_context *ctx = net_context(NULL);
    tlvk__caps limit = *tlvk__device_caps(net_device(ctx));
    tlvk_context_destroy(ctx);
    if (!limit.pair_stores)
        skip();
    limit.pair_stores = false;
    training pairs = { .seed = 3, .optimizer = sgd }, vectors = { .device = { .limit = &limit }, .seed = 3, .optimizer = sgd };
    train(&pairs);
    train(&vectors);
    assert_same_training(&pairs, &vectors);
    end(&pairs);
    end(&vectors);
}

/* Both at once, each as it is alone. */
static void two_at_once(training first, training second) {
    training a = first, b = second;
    train(&a);
    train(&b);
    tlvk__thread *thread = tlvk__thread_start(train, &first);
    assert_non_null(thread);
    train(&second);
    tlvk__thread_join(thread);
    assert_same_training(&a, &first);
    assert_same_training(&b, &second);
    end(&a);
    end(&b);
    end(&first);
    end(&second);
}

static void test_two_contexts_at_once(void **state) {
    (void)state;
    tlvk_context_destroy(net_context(NULL)); /* no device: skipped here rather than in a thread */
    two_at_once((training){ .seed = 3, .optimizer = sgd }, (training){ .seed = 4, .optimizer = { .kind = TLVK_ADAM, .global_clipnorm = 1 } });
}

static void test_two_drivers(void **state) {
    (void)state;
    tlvk_device_info infos[16];
    size_t count = 0, first = SIZE_MAX, second = SIZE_MAX;
    if (tlvk__devices_list(NULL, infos, TLVK__COUNT(infos), &count) == TLVK_OK) {
        for (size_t i = 0; i < TLVK__MIN(count, TLVK__COUNT(infos)); i++) {
            if (!infos[i].usable) continue;
            if (first == SIZE_MAX) first = i;
            else if (second == SIZE_MAX && strcmp(infos[i].driver, infos[first].driver) != 0) second = i;
        }
    }
    if (second == SIZE_MAX) {
        print_message("skipped: %d devices, and no two usable ones of different drivers (VK_ICD_FILENAMES may name a second)\n", (int)count);
        skip();
    }
    print_message("%s (%s) and %s (%s)\n", infos[first].name, infos[first].driver, infos[second].name, infos[second].driver);
    char a[16], b[16];
    snprintf(a, sizeof a, "%zu", first);
    snprintf(b, sizeof b, "%zu", second);
    training on_first = { .device = { .choose = a }, .seed = 3, .optimizer = sgd }, on_second = { .device = { .choose = b }, .seed = 3, .optimizer = sgd };
    two_at_once(on_first, on_second);
    train(&on_first);
    train(&on_second);
    assert_agree(&on_first, &on_second);
    end(&on_first);
    end(&on_second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floor_agrees), cmocka_unit_test(test_pair_stores_agree), cmocka_unit_test(test_two_contexts_at_once), cmocka_unit_test(test_two_drivers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
