/* test_vk.c - the device room on whatever device there is; where there is none, what needs one is skipped and says so. */
#include "core/platform.h"
#include "vk/vk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT 1000
#define BYTES ((uint64_t)COUNT * 4)
#define OK(call) check_ok((call), #call)

static void check_ok(tlvk_status status, const char *call) {
    if (status != TLVK_OK)
        fail_msg("%s: %s: %s", call, tlvk_status_name(status), tlvk__fail_text());
}

/* A device, or the test is skipped. */
static tlvk__device *open_device(const tlvk__device_desc *desc) {
    tlvk__device *d;
    tlvk_status status = tlvk__device_create(desc, &d);
    if (status == TLVK_ERROR_NO_DEVICE) {
        print_message("skipped: %s\n", tlvk__fail_text());
        skip();
    }
    check_ok(status, "tlvk__device_create");
    return d;
}

static tlvk__buffer *make_buffer(tlvk__device *d, uint64_t bytes) {
    tlvk__buffer *b;
    OK(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, bytes, "test", &b));
    return b;
}

static tlvk__span whole(tlvk__buffer *b) { return (tlvk__span){b, 0, tlvk__buffer_bytes(b)}; }

typedef struct axpy_push { uint32_t n; float a; } axpy_push;

/* y = a*x + y over whole buffers. */
static tlvk__dispatch axpy(tlvk__buffer *x, tlvk__buffer *y, const axpy_push *push, uint32_t group) {
    return (tlvk__dispatch){.shader = "test_axpy", .specs = {{"WG", group}},
                            .bindings = {{.span = whole(x), .access = TLVK__READ}, {.span = whole(y), .access = TLVK__READ_WRITE}},
                            .binding_count = 2, .push = push, .push_bytes = sizeof *push, .groups = {(push->n + group - 1) / group},
                            .operation = "axpy", .layer = "here"};
}

/* x = 1, y = 2; y += 3x; x += y; y += 3x: every kind of hazard in a row. Values afterwards: x = 6, y = 23. */
static tlvk__recording *record_chain(tlvk__device *d, tlvk__buffer *x, tlvk__buffer *y, const tlvk__recorder_desc *desc) {
    static const axpy_push three = {COUNT, 3}, one = {COUNT, 1};
    tlvk__recorder *r;
    tlvk__recording *rec;
    OK(tlvk__recorder_create(d, desc, &r));
    OK(tlvk__record_fill(r, whole(x), 0x3f800000));
    OK(tlvk__record_fill(r, whole(y), 0x40000000));
    tlvk__dispatch first = axpy(x, y, &three, 8), second = axpy(y, x, &one, 8);
    OK(tlvk__record_dispatch(r, &first));
    OK(tlvk__record_dispatch(r, &second));
    OK(tlvk__record_dispatch(r, &first));
    OK(tlvk__recorder_finish(r, &rec));
    return rec;
}

static void assert_all(tlvk__device *d, tlvk__buffer *b, float value) {
    float *v = malloc(tlvk__buffer_bytes(b));
    assert_non_null(v);
    OK(tlvk__span_read(d, whole(b), v));
    for (uint64_t i = 0; i < tlvk__buffer_bytes(b) / 4; i++)
        if (v[i] != value)
            fail_msg("value %llu is %g, not %g", (unsigned long long)i, (double)v[i], (double)value);
    free(v);
}

static void run_chain(tlvk__device *d) {
    tlvk__buffer *x = make_buffer(d, BYTES), *y = make_buffer(d, BYTES);
    tlvk__recording *rec = record_chain(d, x, y, NULL);
    assert_int_equal(tlvk__recording_count(rec), 5);
    assert_int_equal(tlvk__recording_barriers(rec), 3); /* none between the fills */
    for (int i = 0; i < 3; i++) {
        OK(tlvk__recording_run(rec));
        assert_true(tlvk__recording_done(rec));
        assert_all(d, x, 6);
        assert_all(d, y, 23);
    }
    tlvk__recording_destroy(rec);
    tlvk__buffer_destroy(x);
    tlvk__buffer_destroy(y);
}

static void chain_gives_its_values(void **state) {
    (void)state;
    tlvk__device *d = open_device(NULL);
    run_chain(d);
    uint64_t now, peak;
    tlvk__device_memory_use(d, &now, &peak);
    assert_true(now == 0 && peak >= 2 * BYTES);
    tlvk__device_destroy(d);
}

static void floor_device_works(void **state) {
    (void)state;
    tlvk__device *d = open_device(&(tlvk__device_desc){.floor = true});
    const tlvk__caps *c = tlvk__device_caps(d);
    assert_true(!c->subgroup_size && !c->subgroup_shuffle && !c->max_texels && !c->timestamps && !c->fp16_storage && !c->fp16_arithmetic && !c->pair_stores);
    run_chain(d);
    tlvk__device_destroy(d);
}

/* Without timestamps each entry is a submission that the host times; with them the whole is one, and its entries fill it. */
static void entries_are_timed_on_any_device(void **state) {
    (void)state;
    for (int floor = 0; floor < 2; floor++) {
        tlvk__device *d = open_device(&(tlvk__device_desc){.floor = floor});
        if (floor)
            assert_false(tlvk__device_caps(d)->timestamps);
        tlvk__buffer *x = make_buffer(d, BYTES), *y = make_buffer(d, BYTES);
        tlvk__recording *rec = record_chain(d, x, y, &(tlvk__recorder_desc){.timestamps = true});
        assert_int_equal(tlvk__recording_submissions(rec), tlvk__device_caps(d)->timestamps ? 1 : 5);
        for (int run = 0; run < 2; run++) {
            OK(tlvk__recording_submit(rec));
            OK(tlvk__recording_wait(rec));
            assert_all(d, x, 6);
            assert_all(d, y, 23);
            double sum = 0;
            for (int i = 0; i < 5; i++) {
                tlvk__recorded e;
                OK(tlvk__recording_entry(rec, i, &e));
                assert_true(e.ms < 60000 && (i < 2 || e.ms > 0));
                sum += e.ms;
            }
            assert_true(sum > 0 && sum <= tlvk__recording_ms(rec) * 1.000001);
        }
        tlvk__recording_destroy(rec);
        tlvk__buffer_destroy(x);
        tlvk__buffer_destroy(y);
        tlvk__device_destroy(d);
    }
}

/* Entries carry the scope that was set last; without one it is empty. */
static void entries_tell_their_scope(void **state) {
    (void)state;
    static const char *const wanted[3][2] = {{"", ""}, {"forward", "conv1"}, {"update", ""}};
    tlvk__device *d;
    OK(tlvk__device_dry(NULL, &d));
    tlvk__buffer *x = make_buffer(d, BYTES);
    tlvk__recorder *r;
    tlvk__recording *rec;
    OK(tlvk__recorder_create(d, NULL, &r));
    OK(tlvk__record_fill(r, whole(x), 0));
    char name[] = "conv1";
    OK(tlvk__recorder_scope(r, "forward", name));
    name[0] = 'x';
    OK(tlvk__record_fill(r, whole(x), 1));
    OK(tlvk__recorder_scope(r, "update", NULL));
    OK(tlvk__record_fill(r, whole(x), 2));
    OK(tlvk__recorder_finish(r, &rec));
    for (int i = 0; i < 3; i++) {
        tlvk__recorded e;
        OK(tlvk__recording_entry(rec, i, &e));
        assert_string_equal(e.phase, wanted[i][0]);
        assert_string_equal(e.phase_layer, wanted[i][1]);
        assert_string_equal(e.operation, "fill");
    }
    tlvk__recording_destroy(rec);
    tlvk__buffer_destroy(x);
    tlvk__device_destroy(d);
}

/* The gap between two recordings is idle, the time within them is not, and nothing before the first counts. */
static void idle_time_is_between_recordings(void **state) {
    (void)state;
    double busy[3], idle[3];
    tlvk__device *d = open_device(NULL);
    tlvk__buffer *x = make_buffer(d, BYTES), *y = make_buffer(d, BYTES);
    tlvk__recording *a = record_chain(d, x, y, NULL), *b = record_chain(d, y, x, NULL);
    bool known = tlvk__device_use(d, &busy[0], &idle[0]);
    assert_true(known == tlvk__device_caps(d)->timestamps);
    tlvk__sleep_seconds(0.05);
    OK(tlvk__recording_run(a));
    tlvk__device_use(d, &busy[1], &idle[1]);
    tlvk__sleep_seconds(0.05);
    OK(tlvk__recording_submit(b));
    OK(tlvk__recording_submit(a)); /* behind b without a gap worth the name */
    OK(tlvk__recording_wait(b));
    OK(tlvk__recording_wait(a));
    tlvk__device_use(d, &busy[2], &idle[2]);
    if (known) {
        assert_true(busy[0] == 0 && idle[0] == 0 && idle[1] == 0);
        assert_true(busy[1] > 0 && busy[2] > busy[1] && busy[2] < 30);
        assert_true(idle[2] >= 0.05 && idle[2] < 5);
    } else {
        assert_true(isnan(busy[2]) && isnan(idle[2]));
    }
    tlvk__recording_destroy(a);
    tlvk__recording_destroy(b);
    tlvk__buffer_destroy(x);
    tlvk__buffer_destroy(y);
    tlvk__device_destroy(d);
}

/* Each submission holds one dispatch; order and hazards hold across them. */
static void cuts_keep_the_order(void **state) {
    (void)state;
    tlvk__device *d = open_device(NULL);
    tlvk__buffer *x = make_buffer(d, BYTES), *y = make_buffer(d, BYTES);
    tlvk__recording *rec = record_chain(d, x, y, &(tlvk__recorder_desc){.cut_ms = 1e-6, .timestamps = true});
    assert_int_equal(tlvk__recording_submissions(rec), 5);
    OK(tlvk__recording_run(rec));
    assert_all(d, y, 23);
    for (int i = 0; i < 5; i++) {
        tlvk__recorded e;
        OK(tlvk__recording_entry(rec, i, &e));
        assert_int_equal(e.submission, i);
        assert_true(e.ms >= 0 && e.ms < 60000 && (i < 2 || e.ms > 0 || !tlvk__device_caps(d)->timestamps));
    }
    tlvk__recorded e;
    assert_int_equal(tlvk__recording_entry(rec, 5, &e), TLVK_ERROR_INTERNAL);
    tlvk__recording_destroy(rec);
    tlvk__buffer_destroy(x);
    tlvk__buffer_destroy(y);
    tlvk__device_destroy(d);
}

/* More groups along x than any device must take; odd, so that the fold overshoots. */
static void large_groups_are_folded(void **state) {
    (void)state;
    tlvk__device *d = open_device(NULL);
    const uint32_t n = 2 * tlvk__device_caps(d)->max_groups[0] > 200000 ? 200001 : 2 * tlvk__device_caps(d)->max_groups[0] + 1;
    tlvk__buffer *x = make_buffer(d, (uint64_t)n * 4), *y = make_buffer(d, (uint64_t)n * 4);
    const axpy_push push = {n, 2};
    tlvk__recorder *r;
    tlvk__recording *rec;
    OK(tlvk__recorder_create(d, NULL, &r));
    OK(tlvk__record_fill(r, whole(x), 0x3f800000));
    OK(tlvk__record_fill(r, whole(y), 0));
    tlvk__dispatch one = axpy(x, y, &push, 1);
    OK(tlvk__record_dispatch(r, &one));
    OK(tlvk__recorder_finish(r, &rec));
    tlvk__recorded e;
    OK(tlvk__recording_entry(rec, 2, &e));
    assert_true(e.groups[0] <= tlvk__device_caps(d)->max_groups[0] && e.groups[0] * e.groups[2] >= n);
    OK(tlvk__recording_run(rec));
    assert_all(d, y, 2);
    tlvk__recording_destroy(rec);
    tlvk__buffer_destroy(x);
    tlvk__buffer_destroy(y);
    tlvk__device_destroy(d);
}

static void texels_are_read(void **state) {
    (void)state;
    tlvk__device *d = open_device(NULL);
    if (tlvk__device_caps(d)->max_texels == 0) {
        print_message("skipped: this device has no texel buffers of RGBA32F\n");
        tlvk__device_destroy(d);
        skip();
    }
    enum { N = 64 };
    const uint64_t offset = 256, bytes = N * 16;
    float values[N * 4], result[N * 4];
    for (int i = 0; i < N * 4; i++)
        values[i] = (float)i;
    tlvk__buffer *t = make_buffer(d, offset + bytes), *y = make_buffer(d, bytes);
    OK(tlvk__span_write(d, (tlvk__span){t, offset, bytes}, values));
    tlvk__recorder *r;
    tlvk__recording *rec;
    OK(tlvk__recorder_create(d, NULL, &r));
    const uint32_t n = N;
    const tlvk__dispatch one = {.shader = "test_texel", .specs = {{"local_size_x", 16}},
                                .bindings = {{.span = {t, offset, bytes}, .access = TLVK__READ}, {.span = whole(y), .access = TLVK__WRITE}},
                                .binding_count = 2, .push = &n, .push_bytes = 4, .groups = {N / 16}};
    OK(tlvk__record_dispatch(r, &one));
    OK(tlvk__recorder_finish(r, &rec));
    OK(tlvk__recording_run(rec));
    OK(tlvk__span_read(d, whole(y), result));
    for (int i = 0; i < N * 4; i++)
        assert_true(result[i] == 2 * values[i]);
    tlvk__recording_destroy(rec);
    tlvk__buffer_destroy(t);
    tlvk__buffer_destroy(y);
    tlvk__device_destroy(d);
}

/* Host-visible buffers take part in dispatches, and transfers larger than a staging piece arrive whole. */
static void transfers_arrive(void **state) {
    (void)state;
    tlvk__device *d = open_device(NULL);
    const uint64_t bytes = ((uint64_t)33 << 20) + 20;
    unsigned char *from = malloc(bytes), *to = malloc(bytes);
    assert_true(from && to);
    for (uint64_t i = 0; i < bytes; i++)
        from[i] = (unsigned char)(i * 31 + (i >> 20));
    tlvk__buffer *b = make_buffer(d, bytes);
    OK(tlvk__span_write(d, whole(b), from));
    OK(tlvk__span_read(d, whole(b), to));
    assert_memory_equal(from, to, bytes);
    assert_null(tlvk__buffer_map(b));
    tlvk__buffer_destroy(b);
    free(from);
    free(to);

    tlvk__buffer *up, *down;
    OK(tlvk__buffer_create(d, TLVK__BUFFER_UPLOAD, BYTES, "up", &up));
    OK(tlvk__buffer_create(d, TLVK__BUFFER_DOWNLOAD, BYTES, "down", &down));
    float *in = tlvk__buffer_map(up), *out = tlvk__buffer_map(down);
    for (int i = 0; i < COUNT; i++)
        in[i] = (float)i;
    OK(tlvk__buffer_flush(up, 0, BYTES));
    const axpy_push push = {COUNT, 1};
    tlvk__recorder *r;
    tlvk__recording *rec;
    OK(tlvk__recorder_create(d, NULL, &r));
    OK(tlvk__record_fill(r, whole(down), 0));
    tlvk__dispatch one = axpy(up, down, &push, 64);
    one.specs[1] = (tlvk__spec){"BIAS", 0x3f000000};
    OK(tlvk__record_dispatch(r, &one));
    OK(tlvk__recorder_finish(r, &rec));
    OK(tlvk__recording_run(rec));
    OK(tlvk__buffer_invalidate(down, 0, BYTES));
    for (int i = 0; i < COUNT; i++)
        assert_true(out[i] == (float)i + 0.5f);
    assert_int_equal(tlvk__buffer_flush(up, 4, BYTES), TLVK_ERROR_INTERNAL);
    tlvk__recording_destroy(rec);
    tlvk__buffer_destroy(up);
    tlvk__buffer_destroy(down);
    tlvk__device_destroy(d);
}

/* --- refusals: no driver needed ------------------------------------------------------------------------------------------------ */

/* A dry recorder must refuse the dispatch, and its words must hold `words`. */
static void assert_refused(tlvk__device *d, const tlvk__dispatch *dispatch, const char *words) {
    tlvk__recorder *r;
    tlvk__recording *rec;
    OK(tlvk__recorder_create(d, NULL, &r));
    tlvk_status status = tlvk__record_dispatch(r, dispatch);
    assert_int_not_equal(status, TLVK_OK);
    if (!strstr(tlvk__fail_text(), words))
        fail_msg("\"%s\" does not say \"%s\"", tlvk__fail_text(), words);
    tlvk__fail_clear();
    assert_int_equal(tlvk__recorder_finish(r, &rec), status);
    assert_non_null(strstr(tlvk__fail_text(), words));
    assert_null(rec);
}

static void wrong_dispatches_are_refused(void **state) {
    (void)state;
    tlvk__device *d;
    OK(tlvk__device_dry(NULL, &d));
    tlvk__buffer *x = make_buffer(d, BYTES), *y = make_buffer(d, BYTES);
    const axpy_push push = {COUNT, 1};
    const tlvk__dispatch good = axpy(x, y, &push, 8);
    tlvk__dispatch bad = good;
    bad.shader = "nothing";
    assert_refused(d, &bad, "no shader \"nothing\"");
    bad = good;
    bad.specs[1] = (tlvk__spec){"BIASS", 0};
    assert_refused(d, &bad, "\"BIASS\"");
    bad = good;
    bad.specs[0] = (tlvk__spec){0};
    assert_refused(d, &bad, "workgroup size \"WG\"");
    bad = good;
    bad.specs[0].value = 100000;
    assert_refused(d, &bad, "workgroup size 100000");
    bad = good;
    bad.push_bytes = 4;
    assert_refused(d, &bad, "push constants");
    bad = good;
    bad.binding_count = 1;
    assert_refused(d, &bad, "2 bindings");
    bad = good;
    bad.bindings[1].span.offset = 4;
    bad.bindings[1].span.bytes -= 4;
    assert_refused(d, &bad, "no multiple");
    bad = good;
    bad.bindings[1].span.bytes += 4;
    assert_refused(d, &bad, "bytes 0 + 4004 of a buffer of 4000");
    bad = good;
    bad.bindings[1].access = TLVK__READ;
    assert_refused(d, &bad, "access");
    bad = good;
    bad.groups[1] = 100000;
    assert_refused(d, &bad, "workgroups");
    bad = good;
    bad.required_subgroup_size = 64;
    assert_refused(d, &bad, "subgroups of 64");
    assert_refused(d, &bad, "axpy here: ");
    tlvk__buffer_destroy(x);
    tlvk__buffer_destroy(y);
    tlvk__device_destroy(d);
}

static void fills_and_copies_are_checked(void **state) {
    (void)state;
    tlvk__device *d;
    OK(tlvk__device_dry(NULL, &d));
    tlvk__buffer *x = make_buffer(d, BYTES);
    tlvk__recorder *r;
    OK(tlvk__recorder_create(d, NULL, &r));
    assert_int_equal(tlvk__record_copy(r, (tlvk__span){x, 0, 100}, (tlvk__span){x, 96, 100}), TLVK_ERROR_INTERNAL);
    assert_non_null(strstr(tlvk__fail_text(), "overlap"));
    assert_int_equal(tlvk__record_fill(r, whole(x), 0), TLVK_ERROR_INTERNAL); /* the first failure stays */
    assert_non_null(strstr(tlvk__fail_text(), "overlap"));
    tlvk__recorder_destroy(r);
    OK(tlvk__recorder_create(d, NULL, &r));
    assert_int_equal(tlvk__record_fill(r, (tlvk__span){x, 2, 4}, 0), TLVK_ERROR_INTERNAL);
    tlvk__recorder_destroy(r);
    OK(tlvk__recorder_create(d, NULL, &r));
    assert_int_equal(tlvk__record_fill(r, (tlvk__span){x, 4, BYTES}, 0), TLVK_ERROR_INTERNAL);
    tlvk__recorder_destroy(r);
    tlvk__recorder_destroy(NULL);
    tlvk__recording_destroy(NULL);
    tlvk__buffer_destroy(NULL);
    tlvk__device_destroy(NULL);
    tlvk__buffer_destroy(x);
    tlvk__device_destroy(d);
}

/* Ranges that touch but do not overlap need no barrier; those that overlap in one byte do, unless both only read. */
static void hazards_are_seen_by_byte(void **state) {
    (void)state;
    tlvk__device *d;
    OK(tlvk__device_dry(NULL, &d));
    tlvk__buffer *x = make_buffer(d, BYTES), *y = make_buffer(d, BYTES);
    tlvk__recorder *r;
    tlvk__recording *rec;
    OK(tlvk__recorder_create(d, NULL, &r));
    OK(tlvk__record_fill(r, (tlvk__span){x, 0, 400}, 0));
    OK(tlvk__record_fill(r, (tlvk__span){x, 400, 400}, 0));                             /* beside: none */
    OK(tlvk__record_copy(r, (tlvk__span){x, 796, 100}, (tlvk__span){y, 0, 100}));       /* reads 4 written bytes: barrier */
    OK(tlvk__record_copy(r, (tlvk__span){x, 796, 100}, (tlvk__span){y, 100, 100}));     /* both read: none */
    OK(tlvk__record_fill(r, (tlvk__span){x, 892, 4}, 0));                               /* writes what was read: barrier */
    OK(tlvk__record_fill(r, (tlvk__span){y, 0, 200}, 0));                               /* written before the last barrier: none */
    OK(tlvk__recorder_finish(r, &rec));
    static const bool expected[6] = {false, false, true, false, true, false};
    for (int i = 0; i < 6; i++) {
        tlvk__recorded e;
        OK(tlvk__recording_entry(rec, i, &e));
        assert_int_equal(e.barrier_before, expected[i]);
    }
    assert_int_equal(tlvk__recording_barriers(rec), 2);
    OK(tlvk__recording_run(rec));
    tlvk__recording_destroy(rec);
    tlvk__buffer_destroy(x);
    tlvk__buffer_destroy(y);
    tlvk__device_destroy(d);
}

static void too_much_memory_is_refused(void **state) {
    (void)state;
    tlvk__device *dry;
    tlvk__buffer *b, *c;
    OK(tlvk__device_dry(NULL, &dry));
    assert_int_equal(tlvk__buffer_create(dry, TLVK__BUFFER_DEVICE, 1000000000000000000u, "activations", &b), TLVK_ERROR_MEMORY);
    assert_null(b);
    tlvk__device_destroy(dry);

    tlvk__device *d = open_device(&(tlvk__device_desc){.memory_limit = 1 << 20});
    assert_int_equal(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, 1000000000000000000u, "activations", &b), TLVK_ERROR_MEMORY);
    assert_non_null(strstr(tlvk__fail_text(), "activations"));
    assert_non_null(strstr(tlvk__fail_text(), "1000000000000000000"));
    OK(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, 700000, "first", &b));
    assert_int_equal(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, 700000, "second", &c), TLVK_ERROR_MEMORY);
    assert_non_null(strstr(tlvk__fail_text(), "700000 in use"));
    assert_non_null(strstr(tlvk__fail_text(), "1048576"));
    assert_int_equal(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, 0, "none", &c), TLVK_ERROR_INTERNAL);
    tlvk__buffer_destroy(b);
    OK(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, 700000, "third", &b));
    tlvk__buffer_destroy(b);
    tlvk__device_destroy(d);
}

/* --- devices --------------------------------------------------------------------------------------------------------------------- */

static void dry_list_equals_the_real_one(void **state) {
    (void)state;
    tlvk__device *d = open_device(NULL), *dry;
    OK(tlvk__device_dry(tlvk__device_caps(d), &dry));
    tlvk__buffer *x = make_buffer(d, BYTES), *y = make_buffer(d, BYTES), *dry_x = make_buffer(dry, BYTES), *dry_y = make_buffer(dry, BYTES);
    const tlvk__recorder_desc cut = {.cut_ms = 0.07};
    tlvk__recording *a = record_chain(d, x, y, &cut), *b = record_chain(dry, dry_x, dry_y, &cut);
    assert_int_equal(tlvk__recording_count(a), tlvk__recording_count(b));
    assert_int_equal(tlvk__recording_barriers(a), tlvk__recording_barriers(b));
    assert_int_equal(tlvk__recording_submissions(a), tlvk__recording_submissions(b));
    for (int i = 0; i < tlvk__recording_count(a); i++) {
        tlvk__recorded p, q;
        OK(tlvk__recording_entry(a, i, &p));
        OK(tlvk__recording_entry(b, i, &q));
        assert_string_equal(p.shader, q.shader);
        assert_string_equal(p.operation, q.operation);
        assert_string_equal(p.layer, q.layer);
        assert_memory_equal(p.groups, q.groups, sizeof p.groups);
        assert_true(p.barrier_before == q.barrier_before && p.submission == q.submission);
    }
    tlvk__recording_destroy(a);
    tlvk__recording_destroy(b);
    tlvk__buffer_destroy(x);
    tlvk__buffer_destroy(y);
    tlvk__buffer_destroy(dry_x);
    tlvk__buffer_destroy(dry_y);
    tlvk__device_destroy(d);
    tlvk__device_destroy(dry);
}

typedef struct told { int executables; uint32_t group; bool other; } told;

static void on_executable(const tlvk__executable *e, void *user) {
    told *t = user;
    t->executables++;
    t->other = t->other || strcmp(e->shader, "test_axpy") != 0 || strcmp(e->specs[0].name, "WG") != 0 || e->specs[1].name;
    t->group = e->specs[0].value;
    for (int i = 0; i < e->statistic_count; i++)
        assert_true(e->statistics[i].name[0] && isfinite(e->statistics[i].value));
}

/* A device made to be inspected compiles and runs nothing; every pipeline is told, and one that is used twice once (in some drivers as several executables). */
static void pipelines_are_told(void **state) {
    (void)state;
    tlvk__device *d = open_device(&(tlvk__device_desc){.inspect = true});
    tlvk__buffer *x = make_buffer(d, BYTES), *y = make_buffer(d, BYTES);
    told t = {0};
    OK(tlvk__device_executables(d, on_executable, &t));
    assert_int_equal(t.executables, 0);
    tlvk__recording *rec = record_chain(d, x, y, NULL);
    OK(tlvk__recording_run(rec));
    OK(tlvk__device_executables(d, on_executable, &t));
    assert_true(t.executables >= 1 && t.executables <= 4 && t.group > 0 && !t.other);
    tlvk__recording_destroy(rec);
    tlvk__buffer_destroy(x);
    tlvk__buffer_destroy(y);
    tlvk__device_destroy(d);
}

static void run_chain_of(void *device) { run_chain(device); }

static void two_devices_at_once(void **state) {
    (void)state;
    tlvk__device *a = open_device(NULL), *b = open_device(NULL);
    tlvk__thread *t = tlvk__thread_start(run_chain_of, a);
    run_chain(b);
    assert_non_null(t);
    tlvk__thread_join(t);
    tlvk__device_destroy(a);
    run_chain(b);
    tlvk__device_destroy(b);
}

static void devices_are_listed_and_chosen(void **state) {
    (void)state;
    tlvk_device_info infos[8];
    size_t count;
    tlvk_status status = tlvk__devices_list(NULL, infos, 8, &count);
    if (status == TLVK_ERROR_NO_DEVICE) {
        print_message("skipped: %s\n", tlvk__fail_text());
        skip();
    }
    OK(status);
    assert_true(count >= 1);
    int chosen = 0;
    for (size_t i = 0; i < count && i < 8; i++) {
        chosen += infos[i].chosen;
        assert_true(infos[i].name[0] && infos[i].type[0] && infos[i].reason[0]);
    }
    assert_int_equal(chosen, 1);
    OK(tlvk__devices_list("no such device", infos, 8, &count));
    assert_false(infos[0].chosen);
    assert_non_null(strstr(infos[0].reason, "no such device"));
    tlvk__device *d;
    assert_int_equal(tlvk__device_create(&(tlvk__device_desc){.choose = "no such device"}, &d), TLVK_ERROR_NO_DEVICE);
    assert_non_null(strstr(tlvk__fail_text(), "no such device"));
    assert_int_equal(tlvk__device_create(&(tlvk__device_desc){.choose = "999"}, &d), TLVK_ERROR_NO_DEVICE);
    OK(tlvk__device_create(&(tlvk__device_desc){.choose = "0"}, &d));
    tlvk__device_destroy(d);
    OK(tlvk__device_create(&(tlvk__device_desc){.choose = infos[0].name}, &d));
    tlvk__device_destroy(d);
}

/* Told smaller limits than it has a device takes them; told larger ones it keeps its own. */
static void limits_only_lower(void **state) {
    (void)state;
    tlvk__caps caps, limit, larger;
    tlvk__caps_fixed(&caps);
    limit = larger = caps;
    limit.max_binding_bytes = 1 << 20;
    limit.max_groups[0] = 100;
    limit.storage_align = 1024;
    limit.subgroup_size = 0;
    limit.max_texels = 0;
    tlvk__caps lowered = caps;
    tlvk__caps_limit(&lowered, &limit);
    assert_true(lowered.max_binding_bytes == 1 << 20 && lowered.max_groups[0] == 100 && lowered.max_groups[1] == caps.max_groups[1]);
    assert_true(lowered.storage_align == 1024 && lowered.subgroup_size == 0 && !lowered.subgroup_shuffle && lowered.max_texels == 0);
    larger.max_binding_bytes *= 2;
    larger.memory_bytes *= 2;
    larger.storage_align = 4;
    larger.subgroup_shuffle = larger.timestamps = larger.fp16_arithmetic = larger.pair_stores = true;
    tlvk__caps same = caps;
    tlvk__caps_limit(&same, &larger);
    assert_memory_equal(&same, &caps, sizeof caps);
    caps.subgroup_shuffle = caps.subgroup_size_control = true; /* sizes from 8 to 32 can be asked for */
    caps.shuffle_size = 8;
    caps.max_group_subgroups = 16;
    tlvk__caps fixed = caps, narrow = caps;
    larger = caps;
    larger.subgroup_size_control = false;
    tlvk__caps_limit(&fixed, &larger);
    assert_true(fixed.subgroup_shuffle && !fixed.subgroup_size_control && fixed.shuffle_size == 32);
    larger = caps;
    larger.max_group_subgroups = 2;
    tlvk__caps_limit(&narrow, &larger);
    assert_true(narrow.max_group_subgroups == 2 && !narrow.subgroup_shuffle);
    tlvk__device *d = open_device(&(tlvk__device_desc){.limit = &limit});
    const tlvk__caps *c = tlvk__device_caps(d);
    assert_true(c->max_binding_bytes <= 1 << 20 && c->max_groups[0] <= 100 && c->storage_align >= 1024 && c->max_texels == 0);
    run_chain(d);
    tlvk__device_destroy(d);
}

/* --- the pipeline cache ------------------------------------------------------------------------------------------------------------ */

static int cache_bytes_used;

static void read_cache_message(tlvk_log_level level, const char *text, void *user) {
    (void)level;
    (void)user;
    const char *used = strstr(text, "\": ");
    if (strstr(text, "pipeline cache") && used)
        cache_bytes_used = atoi(used + 3);
}

/* Runs once with the cache folder; returns how many bytes of the cache the driver took. */
static int run_with_cache(const char *folder) {
    cache_bytes_used = -1;
    tlvk__device *d = open_device(&(tlvk__device_desc){.cache_folder = folder, .log = read_cache_message});
    run_chain(d);
    tlvk__device_destroy(d);
    return cache_bytes_used;
}

static char *only_file(const char *folder) {
    tlvk__dir_entry *entries;
    size_t count;
    OK(tlvk__list_folder(folder, &entries, &count));
    assert_int_equal(count, 1);
    char *path = tlvk__format("%s/%s", folder, entries[0].name);
    tlvk__dir_entries_free(entries, count);
    return path;
}

static void pipelines_are_kept_on_disk(void **state) {
    (void)state;
    const char *temp = tlvk__env("TLVK_TEST_TEMP");
    char *folder = tlvk__format("%s/vk-test/cache", temp ? temp : "/tmp");
    tlvk__dir_entry *old;
    size_t old_count;
    if (tlvk__list_folder(folder, &old, &old_count) == TLVK_OK) {
        for (size_t i = 0; i < old_count; i++) {
            char *path = tlvk__format("%s/%s", folder, old[i].name);
            tlvk__file_remove(path);
            free(path);
        }
        tlvk__dir_entries_free(old, old_count);
    }
    assert_int_equal(run_with_cache(folder), 0);
    assert_true(run_with_cache(folder) >= 32);
    char *path = only_file(folder);
    void *data;
    size_t size;
    OK(tlvk__file_read(path, &data, &size, 1u << 30));
    /* Cut short, a byte changed, of another vendor though its hash is right, empty: each is ignored and written anew. */
    OK(tlvk__file_replace(path, data, size - 1));
    assert_int_equal(run_with_cache(folder), 0);
    ((char *)data)[size - 1] ^= 1;
    OK(tlvk__file_replace(path, data, size));
    assert_int_equal(run_with_cache(folder), 0);
    unsigned char *of_driver = (unsigned char *)data + 24; /* behind the mark and the hash */
    tlvk__hash hash;
    of_driver[8] ^= 1; /* the vendor's number */
    tlvk__hash_init(&hash);
    tlvk__hash_add(&hash, of_driver, size - 24);
    memcpy((unsigned char *)data + 8, hash.h, 16);
    OK(tlvk__file_replace(path, data, size));
    assert_int_equal(run_with_cache(folder), 0);
    OK(tlvk__file_replace(path, "", 0));
    assert_int_equal(run_with_cache(folder), 0);
    assert_true(run_with_cache(folder) >= 32);
    free(data);
    free(path);
    free(folder);
}

/* --- the validation layer ------------------------------------------------------------------------------------------------------------ */

static void validator_is_silent(void **state) {
    (void)state;
    tlvk__device *d = open_device(&(tlvk__device_desc){.validation = true});
    if (tlvk__device_validation_messages(d) < 0) {
        print_message("skipped: VK_LAYER_KHRONOS_validation is not installed\n");
        tlvk__device_destroy(d);
        skip();
    }
    run_chain(d);
    tlvk__buffer *x = make_buffer(d, BYTES), *y = make_buffer(d, BYTES);
    tlvk__recording *rec = record_chain(d, x, y, &(tlvk__recorder_desc){.single_submission = true, .timestamps = true});
    OK(tlvk__recording_run(rec));
    tlvk__recording_destroy(rec);
    if (tlvk__device_validation_messages(d) > 0)
        fail_msg("%s", tlvk__device_validation_text(d));
    tlvk__buffer_destroy(x);
    tlvk__buffer_destroy(y);
    tlvk__device_destroy(d);
}

static void validator_sees_a_missing_barrier(void **state) {
    (void)state;
    for (int k = 1; k <= 3; k++) {
        tlvk__device *d = open_device(&(tlvk__device_desc){.validation = true});
        if (tlvk__device_validation_messages(d) < 0) {
            print_message("skipped: VK_LAYER_KHRONOS_validation is not installed\n");
            tlvk__device_destroy(d);
            skip();
        }
        tlvk__buffer *x = make_buffer(d, BYTES), *y = make_buffer(d, BYTES);
        tlvk__recording *rec = record_chain(d, x, y, &(tlvk__recorder_desc){.single_submission = true, .skip_barrier = k});
        assert_int_equal(tlvk__recording_barriers(rec), 2);
        assert_true(tlvk__device_validation_messages(d) > 0);
        assert_non_null(strstr(tlvk__device_validation_text(d), "SYNC-HAZARD"));
        tlvk__recording_destroy(rec);
        tlvk__buffer_destroy(x);
        tlvk__buffer_destroy(y);
        tlvk__device_destroy(d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain_gives_its_values), cmocka_unit_test(floor_device_works), cmocka_unit_test(cuts_keep_the_order),
        cmocka_unit_test(entries_are_timed_on_any_device), cmocka_unit_test(entries_tell_their_scope),
        cmocka_unit_test(idle_time_is_between_recordings),
        cmocka_unit_test(large_groups_are_folded), cmocka_unit_test(texels_are_read), cmocka_unit_test(transfers_arrive),
        cmocka_unit_test(wrong_dispatches_are_refused), cmocka_unit_test(fills_and_copies_are_checked), cmocka_unit_test(hazards_are_seen_by_byte),
        cmocka_unit_test(too_much_memory_is_refused), cmocka_unit_test(dry_list_equals_the_real_one), cmocka_unit_test(two_devices_at_once), cmocka_unit_test(pipelines_are_told),
        cmocka_unit_test(devices_are_listed_and_chosen), cmocka_unit_test(limits_only_lower),
        cmocka_unit_test(pipelines_are_kept_on_disk), cmocka_unit_test(validator_is_silent),
        cmocka_unit_test(validator_sees_a_missing_barrier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
