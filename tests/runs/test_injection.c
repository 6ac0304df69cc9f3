/* test_injection.c - each Vulkan call of a short job that can fail fails once: opening the device, resuming from a checkpoint, training, predicting, saving.
 * Every time the job ends with an error that has a name, nothing of the device's stays behind or is used after its end, the checkpoint is whole, and
 * the same model trains on where only that one call had failed.
 *
 * These runs are hollow: pipelines are not compiled and dispatches not passed to the driver, so that thousands of them take seconds; some more
 * run in full. TLVK_TEST_FULL=1 gives every call every error that Vulkan allows it, in full; TLVK_TEST_CHOICE=k of 0 to 4
 * gives it the k-th of these alone, and TLVK_TEST_FROM=n leaves out the first n - 1 calls. */
#include "support/nets.h"
#include "support/simulator.h"

#include <stdio.h>

/* A device that stays open, so that the loader does not load the driver anew for every run; what lives of it. */
static tlvk__device *kept;
static int kept_alive;

#define SAMPLES 8
#define BATCH 4

typedef struct paths { char *checkpoint, *first, *model, *cache; } paths;

typedef struct outcome {
    tlvk_status status, again; /* of the job; of a second fit on the same objects */
    char text[1024];           /* of the first error */
    float scores[SAMPLES * NET_CLASSES]; /* of the trained model, where nothing failed */
} outcome;

/* conv - norm - relu - pool - dropout - dense: a kernel of each kind, and of few calls. */
static tlvk_model *tiny_network(tlvk_context *ctx) {
    tlvk_set_random_seed(ctx, 3);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 } });
    tlvk_tensor x = tlvk_conv2d(in, &(tlvk_conv2d_desc){ .filters = 4, .kernel_size = { 3 }, .no_bias = true });
    x = tlvk_relu(tlvk_batch_normalization(x, NULL), NULL);
    x = tlvk_dropout(tlvk_global_average_pooling2d(x, NULL), 0.3f, NULL);
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = NET_CLASSES, .activation = TLVK_SOFTMAX });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, &model));
    assert_api(ctx, tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_ADAM, .global_clipnorm = 1 }, .metrics = { TLVK_ACCURACY } }));
    return model;
}

static void copy_file(const char *from, const char *to) {
    void *bytes = NULL;
    size_t size;
    assert_int_equal(tlvk__file_read(from, &bytes, &size, 1 << 24), TLVK_OK);
    assert_int_equal(tlvk__file_replace(to, bytes, size), TLVK_OK);
    free(bytes);
}

static bool same_file(const char *a, const char *b) {
    void *of_a = NULL, *of_b = NULL;
    size_t size_a, size_b;
    assert_int_equal(tlvk__file_read(a, &of_a, &size_a, 1 << 24), TLVK_OK);
    assert_int_equal(tlvk__file_read(b, &of_b, &size_b, 1 << 24), TLVK_OK);
    const bool same = size_a == size_b && memcmp(of_a, of_b, size_a) == 0;
    free(of_a);
    free(of_b);
    return same;
}

static tlvk_status use(tlvk_context *ctx, tlvk_model *model, const paths *p, int epochs, bool resume, float scores[SAMPLES * NET_CLASSES]) {
    tlvk_dataset *data = small_data(ctx, SAMPLES, BATCH, 1);
    tlvk_status st = tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = epochs, .seed = 4, .checkpoint = p->checkpoint, .resume = resume ? p->checkpoint : NULL }, NULL);
    if (!st) st = tlvk_model_predict(model, data, scores, SAMPLES * NET_CLASSES);
    if (!st && p->model) st = tlvk_model_save(model, p->model);
    tlvk_dataset_destroy(data);
    return st;
}

/* One epoch of two steps behind the checkpoint's; where it failed, the same once more without the checkpoint. */
static outcome job(const paths *p, int epochs) {
    outcome o = { 0 };
    tlvk_context *ctx = NULL;
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = p->cache, .tune = TLVK_TUNE_OFF }, &ctx), TLVK_OK);
    tlvk_model *model = tiny_network(ctx);
    o.status = use(ctx, model, p, epochs, epochs > 1, o.scores);
    snprintf(o.text, sizeof o.text, "%s", o.status ? tlvk_last_error(ctx) : "");
    if (o.status) {
        paths other = *p;
        other.checkpoint = other.model = NULL;
        o.again = use(ctx, model, &other, 1, false, o.scores);
    }
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    return o;
}

/* Failures that a user need not hear of, where all the same the job ends as it does without: a cache that is not made or saved; a wait that is waited in
 * another way, and a question after the end of work that is waited for then, neither of which a lost device survives; the wait before the end, whose work has
 * been waited for, also on a lost device; and memory in larger pieces than are needed, which is asked for again as it is where there is too little. */
static bool may_be_forgone(const sim_report *r, const outcome *o, const outcome *unharmed) {
    static const struct { const char *call; bool lost; } calls[] = { { "vkCreateBuffer", false }, { "vkAllocateMemory", false }, { "vkBindBufferMemory", false }, { "vkGetPipelineCacheData", false },
        { "vkCreatePipelineCache", false }, { "vkGetFenceStatus", false }, { "vkWaitForFences", false }, { "vkDeviceWaitIdle", true } };
    if (memcmp(o->scores, unharmed->scores, sizeof o->scores) != 0) return false;
    for (size_t i = 0; i < TLVK__COUNT(calls); i++)
        if (strcmp(calls[i].call, r->failed_call) == 0) return calls[i].lost || r->failed_result != -4;
    return false;
}

/* The text tells of a failure in Vulkan, with what was being done before it. */
static bool is_named(const outcome *o) {
    const char *on = strstr(o->text, " on \""), *where = strstr(o->text, "VkResult");
    if (!where) where = strstr(o->text, "the driver has no more");
    if (!where) where = strstr(o->text, "for want of memory");
    return where && where > o->text + 20 && (on || o->status == TLVK_ERROR_NO_DEVICE || o->status == TLVK_ERROR_MEMORY);
}

/* The old checkpoint, or a new one from which a run goes on; its seconds are another in every run, so bytes do not tell. */
static bool is_whole(const paths *p, bool hollow) {
    if (same_file(p->checkpoint, p->first)) return true;
    sim_begin(hollow ? "hollow=1" : "");
    return job(p, 2).status == TLVK_OK;
}

static void check_outcome(const outcome *o, const outcome *unharmed, const sim_report *r, int64_t k) {
    char place[128];
    snprintf(place, sizeof place, "call %lld, %s giving %d", (long long)k, r->failed_call, r->failed_result);
    if (r->breaches) fail_msg("%s: %s", place, r->text);
    if (r->alive != kept_alive) fail_msg("%s: alive at the end: %s", place, r->text);
    if (!o->status && !may_be_forgone(r, o, unharmed)) fail_msg("%s: nobody said so", place);
    if (o->status && !is_named(o)) fail_msg("%s: the text is %s: \"%s\"", place, tlvk_status_name(o->status), o->text);
    if (r->failed_result == -4 && o->status && o->status != TLVK_ERROR_DEVICE_LOST) fail_msg("%s: the status is %s", place, tlvk_status_name(o->status));
    const tlvk_status again = r->failed_result == -4 && strcmp(r->failed_call, "vkCreateDevice") != 0 ? TLVK_ERROR_DEVICE_LOST : TLVK_OK;
    if (o->status && o->again != again) fail_msg("%s (%s): the second fit gave %s", place, o->text, tlvk_status_name(o->again));
}

/* Every stride-th call from the first on, with the choice-th error it may give (-1: another for each); returns how many were failed. */
static int fail_each(const paths *p, bool hollow, int64_t stride, int choice) {
    char settings[128];
    int failed = 0;
    sim_begin(hollow ? "hollow=1" : "");
    tlvk__file_remove(p->checkpoint);
    outcome o = job(p, 1);
    assert_int_equal(o.status, TLVK_OK);
    copy_file(p->checkpoint, p->first);
    const outcome unharmed = job(p, 2);
    assert_int_equal(unharmed.status, TLVK_OK);
    copy_file(p->first, p->checkpoint);
    int forgone = 0;
    sim_report r = { .calls = 1 };
    const char *from = tlvk__env("TLVK_TEST_FROM");
    for (int64_t k = from ? atoll(from) : 1;; k += stride) {
        snprintf(settings, sizeof settings, "fail_at=%lld,fail_choice=%lld,hollow=%d", (long long)k, (long long)(choice < 0 ? k / stride : choice), hollow);
        if (!same_file(p->first, p->checkpoint)) copy_file(p->first, p->checkpoint);
        sim_begin(settings);
        o = job(p, 2);
        sim_read(&r);
        if (!r.failed_call[0]) break;
        check_outcome(&o, &unharmed, &r, k);
        forgone += !o.status;
        if (!is_whole(p, hollow)) fail_msg("call %lld, %s: the checkpoint is neither the old nor a new one", (long long)k, r.failed_call);
        if (++failed % 200 == 0) print_message("%d calls failed\n", failed);
    }
    assert_int_equal(o.status, TLVK_OK);
    assert_false(same_file(p->checkpoint, p->first));
    print_message("%d of %llu calls failed, each by itself%s; %d of them changed nothing\n", failed, (unsigned long long)r.calls, hollow ? ", in hollow runs" : "", forgone);
    return failed;
}

static int open_kept(void **state) {
    if (sim_setup(state)) return -1;
    sim_begin("");
    const tlvk_status status = tlvk__device_create(NULL, &kept);
    if (status) print_message("no device: %s\n", tlvk__fail_text());
    if (status && status != TLVK_ERROR_NO_DEVICE) return -1;
    sim_report r;
    sim_read(&r);
    kept_alive = r.alive;
    if (!kept || kept_alive > 0) return 0;
    print_error("the loader did not take the layer\n");
    return -1;
}

static int close_kept(void **state) {
    (void)state;
    sim_begin("");
    tlvk__device_destroy(kept);
    sim_report r;
    sim_read(&r);
    return r.alive || r.breaches;
}

static void test_every_call(void **state) {
    const paths *p = *state;
    const char *only = tlvk__env("TLVK_TEST_CHOICE");
    if (!kept) skip();
    if (!tlvk__env("TLVK_TEST_FULL")) assert_true(fail_each(p, true, TLVK_TEST_STRIDE, -1) > 100);
    for (int choice = 0; tlvk__env("TLVK_TEST_FULL") && choice < 5; choice++)
        if (!only || atoi(only) == choice) assert_true(fail_each(p, false, 1, choice) > 100);
}

static void test_some_in_full(void **state) {
    if (!kept) skip();
    assert_true(fail_each(*state, false, 89, -1) > 3);
}

int main(void) {
    /* Saving calls Vulkan no more once weights are read, and takes longest of all: in the full test alone. */
    paths p = { temp_path("injection.checkpoint"), temp_path("injection.first"), tlvk__env("TLVK_TEST_FULL") ? temp_path("injection.h5") : NULL, temp_path("injection") };
    const struct CMUnitTest tests[] = { cmocka_unit_test_prestate(test_every_call, &p), cmocka_unit_test_prestate(test_some_in_full, &p) };
    const int failed = cmocka_run_group_tests(tests, open_kept, close_kept);
    free(p.checkpoint);
    free(p.first);
    free(p.model);
    free(p.cache);
    return failed;
}
