/* test_cuts.c - submissions are cut by what the device was measured to take: the layer of tests/layer has its clock tell of a device a thousand times slower,
 * and a recording that was made before anybody knew comes to have a submission for each of its operations, with the same bits. */
#include "support/device.h"
#include "support/simulator.h"
#include "ops/gemm.h"

#include <stdio.h>

enum { VECS = 65536, STEPS = 12, RUNS = 8 };

typedef struct work { tlvk__device *d; tlvk__buffer *room; tlvk__recording *rec; } work;

/* x, and y += x twelve times. Gives what recording gave. */
static tlvk_status make(work *w, const char *settings) {
    tlvk__recorder *r;
    const uint64_t bytes = (uint64_t)VECS * 16;
    sim_begin(settings);
    *w = (work){0};
    if (tlvk__device_create(NULL, &w->d)) {
        print_message("no device: %s\n", tlvk__fail_text());
        skip();
    }
    assert_ok(tlvk__buffer_create(w->d, TLVK__BUFFER_DEVICE, 2 * bytes, "a test", &w->room));
    const tlvk__span x = {w->room, 0, bytes}, y = {w->room, bytes, bytes};
    const float one = 1;
    uint32_t word;
    memcpy(&word, &one, sizeof word);
    assert_ok(tlvk__recorder_create(w->d, NULL, &r));
    assert_ok(tlvk__record_fill(r, x, word));
    assert_ok(tlvk__record_fill(r, y, 0));
    for (int i = 0; i < STEPS; i++)
        assert_ok(tlvk__record_sum_parts(r, x, 1, VECS, (tlvk__binding){.span = y, .access = TLVK__READ_WRITE}, 0, true, "a test", "here"));
    return tlvk__recorder_finish(r, &w->rec);
}

static void check(const work *w) {
    float first[4] = {0};
    assert_ok(tlvk__span_read(w->d, (tlvk__span){w->room, (uint64_t)VECS * 16, sizeof first}, first));
    for (int i = 0; i < 4; i++)
        assert_true(first[i] == STEPS);
}

static void end(work *w) {
    sim_report report;
    tlvk__recording_destroy(w->rec);
    tlvk__buffer_destroy(w->room);
    tlvk__device_destroy(w->d);
    sim_read(&report);
    if (report.breaches || report.alive)
        fail_msg("%s", report.text);
}

static void test_slow_device(void **state) {
    (void)state;
    work w;
    assert_ok(make(&w, "slow=1000"));
    if (!tlvk__device_caps(w.d)->timestamps)
        fail_msg("the layer needs a driver with timestamps");
    assert_int_equal(tlvk__recording_submissions(w.rec), 1);
    for (int i = 0; i < RUNS; i++) {
        assert_ok(tlvk__recording_run(w.rec));
        check(&w);
    }
    print_message("%.3g ms by the layer's clock: %d submissions\n", tlvk__recording_ms(w.rec), tlvk__recording_submissions(w.rec));
    assert_true(tlvk__recording_ms(w.rec) > 500);
    assert_true(tlvk__recording_submissions(w.rec) >= TLVK__MIN(STEPS, (int)(tlvk__recording_ms(w.rec) / 200)));
    end(&w);
}

/* The number-th such call fails; true where that was while the recording was cut again: an error with a name, and the next run cuts it once more. *more: a
 * later call of the name may fail so too. */
static bool fails_in_cut(const char *call, int number, bool *more) {
    char settings[128];
    work w;
    int failed = 0;
    sim_report report;
    snprintf(settings, sizeof settings, "slow=1000,fail_result=-2,fail_call=%s,fail_at=%d", call, number);
    const tlvk_status made = make(&w, settings);
    for (int i = 0; !made && i < RUNS; i++) {
        const tlvk_status st = tlvk__recording_run(w.rec);
        if (st && (st != TLVK_ERROR_MEMORY || !strstr(tlvk__fail_text(), "the device's memory is too small")))
            fail_msg("%s number %d: %s", call, number, tlvk__fail_text());
        failed += st != TLVK_OK;
    }
    sim_read(&report);
    *more = report.failed_call[0] != '\0';
    if (!made)
        check(&w);
    if (failed > 1)
        fail_msg("%s number %d: %d runs failed of one call", call, number, failed);
    end(&w);
    return failed == 1;
}

static void test_failing_cut(void **state) {
    (void)state;
    static const char *const calls[] = {"vkCreateDescriptorPool", "vkCreateQueryPool", "vkAllocateCommandBuffers", "vkCreateFence", "vkAllocateDescriptorSets", "vkBeginCommandBuffer",
                                        "vkEndCommandBuffer"};
    for (size_t i = 0; i < TLVK__COUNT(calls); i++) {
        bool more = true, seen = false;
        for (int number = 1; more && !seen; number++)
            seen = fails_in_cut(calls[i], number, &more);
        if (!seen)
            fail_msg("%s never failed while a recording was cut again", calls[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_slow_device), cmocka_unit_test(test_failing_cut)};
    return cmocka_run_group_tests(tests, sim_setup, NULL);
}
