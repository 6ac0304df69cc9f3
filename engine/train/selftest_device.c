/* selftest_device.c - what a device and its driver must do beside single operations: keep the order of writes within a submission and across submissions,
 * give the same bits every time, tell of the end of its memory, and reach behind what one binding holds. */
#include "train/selftest.h"

#include "ops/attrs.h"
#include "ops/gemm.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPEATS = 200, VECS = 8192, FLOATS = 4 * VECS, ROUNDS = 10, ROWS = 4096, COLUMNS = 64, CLEARED = 256 };

static void wrong(tlvk__check *check, double error, const char *format, ...) TLVK__PRINTF(3, 4);
static void wrong(tlvk__check *check, double error, const char *format, ...) {
    if (!check->ok) return;
    va_list args;
    va_start(args, format);
    vsnprintf(check->message, sizeof check->message, format, args);
    va_end(args);
    check->ok = false;
    check->max_error = error;
}

static tlvk_status no_memory(size_t floats) { return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a self-test of %zu floats", floats); }

/* --- order and repetition ------------------------------------------------------------------------------------------------------------------ */

/* Work that begins from the same values each time, and one range of floats in which it ends. */
typedef struct work {
    tlvk__device *d;
    tlvk__buffer *room;
    tlvk__span spans[5];
    tlvk__span result;
    float *expected, *seen; /* expected: NaN first where the first run says what every other must give */
    tlvk_status (*record)(const struct work *w, tlvk__recorder *r);
} work;

static tlvk_status add(tlvk__recorder *r, tlvk__span from, tlvk__span to) {
    return tlvk__record_sum_parts(r, from, 1, VECS, (tlvk__binding){ .span = to, .access = TLVK__READ_WRITE }, 0, true, "self-test", "chain");
}

/* Dispatches, copies and fills, each of which reads or overwrites what the one before wrote: x and y from their sources, then ten times y += x, z = y, x += z,
 * the beginning of z = 0, y += z. Every number stays a whole one below 2^24, so there is one right answer. */
static tlvk_status record_chain(const work *w, tlvk__recorder *r) {
    const tlvk__span x = w->spans[2], y = w->spans[3], z = w->spans[4];
    tlvk_status st = tlvk__record_copy(r, w->spans[0], x);
    if (!st) st = tlvk__record_copy(r, w->spans[1], y);
    for (int i = 0; !st && i < ROUNDS; i++) {
        st = add(r, x, y);
        if (!st) st = tlvk__record_copy(r, y, z);
        if (!st) st = add(r, z, x);
        if (!st) st = tlvk__record_fill(r, (tlvk__span){ z.buffer, z.offset, CLEARED * sizeof(float) }, 0);
        if (!st) st = add(r, z, y);
    }
    return st;
}

static void expect_chain(float *x, float *y) {
    for (size_t i = 0; i < FLOATS; i++)
        for (int k = 0; k < ROUNDS; k++) {
            y[i] += x[i];
            x[i] += y[i];
            y[i] += i < CLEARED ? 0 : y[i];
        }
}

/* Column sums by many workgroups, whose parts are added by another dispatch. */
static tlvk_status record_sums(const work *w, tlvk__recorder *r) {
    const tlvk__tensor rows = { .n = ROWS, .rows = 1, .c = COLUMNS, .pitch = COLUMNS, .h = 1, .w = 1, .segment_n = ROWS, .segment_count = 1, .segments = &w->spans[0] };
    const tlvk__tensor sums = { .n = 1, .rows = 1, .c = COLUMNS, .pitch = COLUMNS, .h = 1, .w = 1, .segment_n = 1, .segment_count = 1, .segments = &w->spans[1] };
    tlvk_status st = tlvk__record_fill(r, w->spans[2], 0x7fc00000u);
    return st ? st : tlvk__record_column_sums(r, &rows, &sums, false, w->spans[2], "self-test", "sums");
}

static tlvk_status run_once(const work *w, tlvk__recording *rec, int repeat, const char *how, tlvk__check *check) {
    tlvk_status st = tlvk__recording_run(rec);
    if (!st) st = tlvk__span_read(w->d, w->result, w->seen);
    if (st) return st;
    const size_t count = (size_t)(w->result.bytes / sizeof(float));
    size_t off = 0, first = count;
    if (isnan(w->expected[0])) memcpy(w->expected, w->seen, count * sizeof(float));
    for (size_t i = 0; i < count; i++)
        if (memcmp(&w->expected[i], &w->seen[i], sizeof(float)) != 0) {
            first = off ? first : i;
            off++;
        }
    if (off) wrong(check, fabs((double)w->seen[first] - (double)w->expected[first]), "%s, run %d of %d: %zu of %zu numbers are others; number %zu is %.9g, it should be %.9g", how, repeat + 1,
                   REPEATS, off, count, first, (double)w->seen[first], (double)w->expected[first]);
    return TLVK_OK;
}

/* The same work recorded whole, cut as it would be, and with a submission for each entry, all run again and again. */
static tlvk_status run_work(const work *w, tlvk__check *check) {
    static const struct { const char *how; tlvk__recorder_desc desc; int repeats; } ways[] = {
        { "in one submission", { .single_submission = true }, REPEATS }, { "cut by its time", { .cut_ms = 0 }, 1 }, { "in a submission for each dispatch", { .cut_ms = 1e-9 }, 10 } };
    tlvk_status st = TLVK_OK;
    for (size_t i = 0; !st && i < TLVK__COUNT(ways); i++) {
        tlvk__recorder *r;
        tlvk__recording *rec = NULL;
        st = tlvk__recorder_create(w->d, &ways[i].desc, &r);
        if (!st) {
            w->record(w, r);
            st = tlvk__recorder_finish(r, &rec);
        }
        const int submissions = rec ? tlvk__recording_submissions(rec) : 0;
        if (rec && ways[i].desc.cut_ms > 0 && submissions != tlvk__recording_count(rec)) wrong(check, 0, "%s: %d submissions of %d entries", ways[i].how, submissions, tlvk__recording_count(rec));
        for (int k = 0; !st && check->ok && k < ways[i].repeats; k++) st = run_once(w, rec, k, ways[i].how, check);
        tlvk__recording_destroy(rec);
    }
    return st;
}

static tlvk_status lay_out(work *w, const uint64_t *bytes, int count) {
    uint64_t total = 0;
    for (int i = 0; i < count; i++) {
        w->spans[i] = (tlvk__span){ NULL, total, bytes[i] };
        total += tlvk__round_up(bytes[i], 256);
    }
    tlvk_status st = tlvk__buffer_create(w->d, TLVK__BUFFER_DEVICE, total, "self-test", &w->room);
    for (int i = 0; i < count; i++) w->spans[i].buffer = w->room;
    return st;
}

static tlvk_status chain(work *w, uint64_t seed) {
    const uint64_t each = FLOATS * sizeof(float), bytes[] = { each, each, each, each, each };
    float *x = tlvk__calloc(FLOATS, sizeof *x);
    w->record = record_chain;
    w->expected = tlvk__calloc(FLOATS, sizeof *w->expected);
    w->seen = tlvk__calloc(FLOATS, sizeof *w->seen);
    tlvk_status st = x && w->expected && w->seen ? lay_out(w, bytes, 5) : no_memory(FLOATS);
    tlvk__rng rng;
    tlvk__rng_seed(&rng, seed, 0x63686e);
    for (size_t i = 0; !st && i < FLOATS; i++) {
        x[i] = (float)(tlvk__rng_u32(&rng) % 4);
        w->expected[i] = (float)(tlvk__rng_u32(&rng) % 3);
    }
    if (!st) st = tlvk__span_write(w->d, w->spans[0], x);
    if (!st) st = tlvk__span_write(w->d, w->spans[1], w->expected);
    if (!st) expect_chain(x, w->expected);
    w->result = w->spans[3];
    free(x);
    return st;
}

static tlvk_status sums(work *w, uint64_t seed) {
    const tlvk__tensor rows = { .n = ROWS, .rows = 1, .c = COLUMNS, .pitch = COLUMNS, .h = 1, .w = 1 };
    const uint64_t bytes[] = { ROWS * COLUMNS * sizeof(float), COLUMNS * sizeof(float), tlvk__column_sums_bytes(&rows) };
    float *values = tlvk__calloc(ROWS * COLUMNS, sizeof *values);
    w->record = record_sums;
    w->expected = tlvk__calloc(COLUMNS, sizeof *w->expected);
    w->seen = tlvk__calloc(COLUMNS, sizeof *w->seen);
    tlvk_status st = values && w->expected && w->seen ? lay_out(w, bytes, 3) : no_memory(ROWS * COLUMNS);
    tlvk__rng rng;
    tlvk__rng_seed(&rng, seed, 0x73756d);
    for (size_t i = 0; !st && i < ROWS * COLUMNS; i++) values[i] = (float)(tlvk__rng_uniform(&rng) - 0.5);
    if (!st) st = tlvk__span_write(w->d, w->spans[0], values);
    if (!st) w->expected[0] = (float)NAN;
    w->result = w->spans[1];
    free(values);
    return st;
}

static tlvk_status check_work(tlvk__selftest *t, const char *name, tlvk_status (*prepare)(work *w, uint64_t seed)) {
    if (!tlvk__selftest_wants(t, name)) return TLVK_OK;
    tlvk__check check = { .ok = true };
    work w = { .d = t->device };
    tlvk_status st = prepare(&w, t->desc->seed + 1);
    if (!st) st = run_work(&w, &check);
    tlvk__buffer_destroy(w.room);
    free(w.expected);
    free(w.seen);
    return tlvk__selftest_tell(t, name, false, st, &check);
}

/* --- memory ------------------------------------------------------------------------------------------------------------------------------------ */

/* How much is taken where nothing asks for all there is: a desktop has use for the rest. */
enum { MEMORY_PIECES = 64 };
static const uint64_t memory_taken = UINT64_C(256) << 20, memory_piece = UINT64_C(16) << 20, memory_for_transfers = UINT64_C(1) << 20;

/* One piece more than fits is refused, by the use it was for, and changes nothing. */
static tlvk_status check_refusal(tlvk__device *d, uint64_t bytes, tlvk__check *check) {
    uint64_t before, after;
    tlvk__buffer *b = NULL;
    tlvk__device_memory_use(d, &before, NULL);
    tlvk_status st = tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, bytes, "what the self-test asks too much of", &b);
    tlvk__buffer_destroy(b);
    tlvk__device_memory_use(d, &after, NULL);
    if (st == TLVK_OK) wrong(check, 0, "%" PRIu64 " bytes were given beyond the limit", bytes);
    else if (st != TLVK_ERROR_MEMORY) return st;
    else if (!strstr(tlvk__fail_text(), "what the self-test asks too much of")) wrong(check, 0, "the refusal does not say for what: %.150s", tlvk__fail_text());
    if (before != after) wrong(check, 0, "a refusal left %" PRIu64 " bytes behind", after - before);
    return TLVK_OK;
}

/* Pieces until the limit or enough are taken, each written at both ends; then each is read. */
static tlvk_status take_pieces(tlvk__device *d, tlvk__buffer *pieces[MEMORY_PIECES], tlvk__check *check) {
    const uint64_t bytes = TLVK__MIN(memory_piece, tlvk__device_caps(d)->max_allocation_bytes) / 256 * 256, left = tlvk__device_memory_free(d);
    const uint64_t enough = TLVK__MIN(memory_taken, left > memory_for_transfers ? left - memory_for_transfers : 0);
    uint64_t taken = 0;
    tlvk_status st = TLVK_OK;
    int count = 0;
    for (; !st && count < MEMORY_PIECES && taken + bytes <= enough; taken += bytes) {
        const uint32_t mark[4] = { 0x73656c66, (uint32_t)count, ~(uint32_t)count, 1 };
        st = tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, bytes, "self-test", &pieces[count]);
        if (!st) st = tlvk__span_write(d, (tlvk__span){ pieces[count], 0, sizeof mark }, mark);
        if (!st) st = tlvk__span_write(d, (tlvk__span){ pieces[count], bytes - sizeof mark, sizeof mark }, mark);
        count++;
    }
    for (int i = 0; !st && i < count; i++) {
        const uint32_t mark[4] = { 0x73656c66, (uint32_t)i, ~(uint32_t)i, 1 };
        uint32_t begin[4], end[4];
        st = tlvk__span_read(d, (tlvk__span){ pieces[i], 0, sizeof begin }, begin);
        if (!st) st = tlvk__span_read(d, (tlvk__span){ pieces[i], bytes - sizeof end, sizeof end }, end);
        if (!st && (memcmp(begin, mark, sizeof mark) != 0 || memcmp(end, mark, sizeof mark) != 0)) wrong(check, 0, "piece %d of %d does not hold what was written", i + 1, count);
    }
    if (!st && tlvk__device_memory_free(d) < tlvk__device_caps(d)->max_allocation_bytes) st = check_refusal(d, tlvk__device_memory_free(d) / 256 * 256 + 256, check);
    return st;
}

static tlvk_status check_memory(tlvk__selftest *t) {
    static const char name[] = "memory: taken, refused and given back";
    if (!tlvk__selftest_wants(t, name)) return TLVK_OK;
    tlvk__buffer *pieces[MEMORY_PIECES] = { NULL };
    tlvk__check check = { .ok = true };
    uint64_t before, after;
    tlvk__device_memory_use(t->device, &before, NULL);
    tlvk_status st = check_refusal(t->device, tlvk__device_caps(t->device)->max_allocation_bytes / 256 * 256 + 256, &check);
    if (!st) st = take_pieces(t->device, pieces, &check);
    for (int i = 0; i < MEMORY_PIECES; i++) tlvk__buffer_destroy(pieces[i]);
    tlvk__device_memory_use(t->device, &after, NULL);
    if (before != after) wrong(&check, 0, "%" PRIu64 " bytes are in use, and there were %" PRIu64 " before", after, before);
    return tlvk__selftest_tell(t, name, false, st, &check);
}

/* --- larger than a binding --------------------------------------------------------------------------------------------------------------------- */

enum { SAMPLE_BYTES = 4096, MOST_SEGMENTS = 64 };
static const uint64_t large_binding = UINT64_C(256) << 20; /* in the quick self-test no larger ones are passed */

typedef struct large { tlvk__tensor t; tlvk__span segments[MOST_SEGMENTS]; uint64_t segment_bytes; } large;

static float large_value(uint64_t i) { return (float)((uint32_t)(i * 2654435761u) >> 8) * 0x1p-23f - 1.0f; }

static tlvk_status make_large(tlvk__device *d, int64_t samples, large *l) {
    const int64_t per = TLVK__MIN(samples, (int64_t)(tlvk__device_caps(d)->max_allocation_bytes / SAMPLE_BYTES));
    l->t = (tlvk__tensor){ .n = samples, .rows = 1, .c = SAMPLE_BYTES / 4, .pitch = SAMPLE_BYTES / 4, .h = 1, .w = 1, .segment_n = per,
                           .segment_count = (int)tlvk__div_up(samples, per), .segments = l->segments };
    tlvk_status st = l->t.segment_count > MOST_SEGMENTS ? tlvk__fail(TLVK_ERROR_MEMORY, "self-test: %lld samples take more than %d allocations", (long long)samples, MOST_SEGMENTS) : TLVK_OK;
    for (int i = 0; !st && i < l->t.segment_count; i++) {
        l->segments[i].bytes = (uint64_t)TLVK__MIN(per, samples - i * per) * SAMPLE_BYTES;
        st = tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, l->segments[i].bytes, "self-test", &l->segments[i].buffer);
    }
    return st;
}

/* Writes the values, or compares with those that a ReLU makes of them. */
static tlvk_status pass_values(tlvk__device *d, const large *l, bool write, float *block, tlvk__check *check) {
    const uint64_t most = TLVK__TRANSFER_BYTES;
    uint64_t index = 0;
    tlvk_status st = TLVK_OK;
    for (int i = 0; i < l->t.segment_count; i++)
        for (uint64_t at = 0; !st && at < l->segments[i].bytes; at += most) {
            const tlvk__span span = { l->segments[i].buffer, at, TLVK__MIN(most, l->segments[i].bytes - at) };
            if (!write) st = tlvk__span_read(d, span, block);
            for (uint64_t k = 0; !st && k < span.bytes / sizeof(float); k++, index++) {
                const float v = large_value(index), positive = v > 0 ? v : 0;
                if (write) block[k] = v;
                else if (block[k] != positive) wrong(check, fabs((double)block[k] - (double)positive), "number %" PRIu64 " is %.9g, it should be %.9g", index, (double)block[k], (double)positive);
            }
            if (!st && write) st = tlvk__span_write(d, span, block);
        }
    return st;
}

static tlvk_status run_large(tlvk__device *d, const large *x, const large *y, float *block, tlvk__check *check) {
    union { unsigned char bytes[TLVK__ATTR_BYTES]; double align; } attrs = { .align = 0 };
    tlvk__recorder *r;
    tlvk__recording *rec;
    if (tlvk__op_relu.defaults) tlvk__op_relu.defaults(&attrs);
    tlvk_status st = pass_values(d, x, true, block, check);
    if (!st) st = tlvk__recorder_create(d, NULL, &r);
    if (st) return st;
    const tlvk__op_call call = { .attrs = &attrs, .layer = "self-test", .inputs = 1, .x = { &x->t }, .y = &y->t, .epilogue = { .activation = tlvk__activation_of(TLVK_LINEAR) } };
    tlvk__op_relu.forward(r, &call);
    st = tlvk__recorder_finish(r, &rec);
    if (st) return st;
    st = tlvk__recording_run(rec);
    tlvk__recording_destroy(rec);
    return st ? st : pass_values(d, y, false, block, check);
}

static tlvk_status check_large(tlvk__selftest *t) {
    static const char name[] = "memory: a tensor larger than a binding";
    const uint64_t binding = tlvk__device_caps(t->device)->max_binding_bytes;
    /* Where two such tensors would take more than half of the memory, no network's are larger than a binding either. */
    const bool fits = (t->desc->full || binding <= large_binding) && binding < tlvk__device_memory_free(t->device) / 4;
    if (!fits || !tlvk__selftest_wants(t, name)) return TLVK_OK;
    large *x = tlvk__calloc(2, sizeof *x);
    float *block = tlvk__calloc(TLVK__TRANSFER_BYTES, 1);
    tlvk__check check = { .ok = true };
    tlvk_status st = x && block ? TLVK_OK : no_memory(TLVK__TRANSFER_BYTES / sizeof(float));
    for (int i = 0; !st && i < 2; i++) st = make_large(t->device, (int64_t)(binding / SAMPLE_BYTES) + 3, &x[i]);
    if (!st) st = run_large(t->device, &x[0], &x[1], block, &check);
    for (int i = 0; x && i < 2 * MOST_SEGMENTS; i++) tlvk__buffer_destroy(x[i / MOST_SEGMENTS].segments[i % MOST_SEGMENTS].buffer);
    free(x);
    free(block);
    return tlvk__selftest_tell(t, name, false, st, &check);
}

tlvk_status tlvk__selftest_device(tlvk__selftest *t) {
    tlvk_status st = check_work(t, "hazards: a chain of writes, 200 times, whole and cut", chain);
    if (!st) st = check_work(t, "hazards: sums of columns, 200 times, whole and cut", sums);
    if (!st) st = check_memory(t);
    return st ? st : check_large(t);
}
