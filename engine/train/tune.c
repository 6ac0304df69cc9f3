/* tune.c - see tune.h. */
#include "train/tune.h"

#include "core/platform.h"
#include "ops/time.h"

#include <stdlib.h>
#include <string.h>

enum { REPEATS = 3, LEAST_ROWS = 1536, MOST_SAMPLES = 8, MOST_LOSERS = 64 }; /* rows: output pixels of a timed pass */
static const double least_gain = 0.97;  /* of the standard's time: what is closer is noise */
static const double hopeless = 1.5;     /* times the best of a key: a tile so slow is not tried on other keys of this kind and pass */
static const double flops_per_byte = 16; /* how much arithmetic a device does while it moves a byte, roughly: what comes first */

typedef struct job {
    const tlvk__op *op;
    tlvk__op_case setting;
    int pass;
    tlvk__choice_key key;
    int32_t candidates[TLVK__MOST_CANDIDATES]; int count;
    double work;                   /* of all calls with this key, in flops */
} job;

typedef struct loser { int64_t kind, pass; int32_t value; } loser;

typedef struct tuner {
    tlvk_context *ctx;
    tlvk__device *device;
    job *jobs; size_t count, capacity;
    loser losers[MOST_LOSERS]; int loser_count;
    double deadline;
} tuner;

bool tlvk__tuning(const tlvk_context *ctx) { return tlvk__context_desc(ctx)->tune == TLVK_TUNE_ON; }

/* --- what there is to choose ----------------------------------------------------------------------------------------------------------- */

/* As many samples as make LEAST_ROWS, up to MOST_SAMPLES: a forward pass is measured for every batch at once and must not look at the one that happens to
 * come first, which may be a single picture. Backward passes have no more than their batch. */
static void shorten(job *j, const tlvk__shape *y) {
    int64_t rows = 1, batch = j->setting.x[0].dim[0];
    for (int i = 1; i < y->rank - 1; i++) rows *= y->dim[i];
    int64_t samples = TLVK__MIN(tlvk__div_up(LEAST_ROWS, TLVK__MAX(rows, (int64_t)1)), (int64_t)MOST_SAMPLES);
    j->setting.x[0].dim[0] = j->pass ? TLVK__MIN(samples, batch) : samples;
}

/* The key and candidates of one pass of a part; false where there is nothing to choose. */
static bool describe(const tlvk__caps *caps, const tlvk__plan_part *part, int pass, job *j) {
    tlvk__tensor x, y;
    if (!part->op->candidates || part->view || !part->wanted[pass] || part->setting.inputs != 1) return false;
    if (tlvk__tensor_from_shape(&part->setting.x[0], &x) || tlvk__tensor_from_shape(&part->y, &y)) return false;
    tlvk__op_call call = { .attrs = part->setting.attrs.bytes, .layer = part->path, .mixed = part->setting.mixed, .inputs = 1, .x = { &x }, .y = &y };
    *j = (job){ .op = part->op, .setting = part->setting, .pass = pass, .work = part->flops[pass] + flops_per_byte * part->bytes[pass] };
    j->count = part->op->candidates(caps, &call, pass, &j->key, j->candidates);
    shorten(j, &part->y);
    return j->count > 1;
}

static tlvk_status add_job(tuner *t, const job *j) {
    for (size_t i = 0; i < t->count; i++) {
        if (memcmp(&t->jobs[i].key, &j->key, sizeof j->key) != 0) continue;
        t->jobs[i].work += j->work;
        return TLVK_OK;
    }
    job *grown = tlvk__grow(t->jobs, &t->capacity, t->count + 1, sizeof *grown);
    if (!grown) return tlvk__fail(TLVK_ERROR_MEMORY, "tuning: no memory");
    t->jobs = grown;
    t->jobs[t->count++] = *j;
    return TLVK_OK;
}

static int by_work(const void *a, const void *b) {
    const job *x = a, *y = b;
    if (x->work != y->work) return x->work > y->work ? -1 : 1;
    return memcmp(&x->key, &y->key, sizeof x->key);
}

static tlvk_status list_jobs(tuner *t, const tlvk__plan *plan) {
    tlvk_status st = TLVK_OK;
    tlvk__plan_part part;
    for (int i = 0; !st && tlvk__plan_part_at(plan, i, &part); i++) {
        for (int pass = 0; !st && pass < 3; pass++) {
            job j;
            if (describe(tlvk__device_caps(t->device), &part, pass, &j)) st = add_job(t, &j);
        }
    }
    if (!st && t->count) qsort(t->jobs, t->count, sizeof *t->jobs, by_work);
    return st;
}

/* --- timing ---------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status time_candidate(tuner *t, const job *j, int32_t value, int repeats, double *best_ms) {
    tlvk__choices *trial = tlvk__choices_create();
    tlvk_status st = trial ? tlvk__choices_put(trial, &j->key, value) : tlvk__fail(TLVK_ERROR_MEMORY, "tuning: no memory");
    const struct tlvk__choices *before = tlvk__device_choose(t->device, trial);
    tlvk__times times = { .effort = { .repeats = repeats, .limit_seconds = TLVK__MAX(t->deadline - tlvk__now_seconds(), 1e-3) } };
    double flops;
    bool there = false;
    if (!st) st = tlvk__time_case(t->device, j->op, &j->setting, j->pass, &times, &flops, &there);
    tlvk__device_choose(t->device, before);
    tlvk__choices_destroy(trial);
    *best_ms = tlvk__times_min(&times);
    return st;
}

static bool lost_before(const tuner *t, const job *j, int32_t value) {
    for (int i = 0; i < t->loser_count; i++) {
        if (t->losers[i].kind == j->key.kind && t->losers[i].pass == j->key.pass && t->losers[i].value == value) return true;
    }
    return false;
}

/* Winograd is judged anew on every shape; a tile is fast or slow on all of a device's layers alike. */
static void remember_loser(tuner *t, const job *j, int32_t value) {
    if (value == TLVK__CHOICE_WINOGRAD || value == j->candidates[0] || t->loser_count == MOST_LOSERS) return;
    t->losers[t->loser_count++] = (loser){ j->key.kind, j->key.pass, value };
}

/* Another core may be slower by far, which one sample tells at little cost. */
static tlvk_status is_hopeless(tuner *t, const job *j, int32_t value, bool *is) {
    *is = lost_before(t, j, value);
    if (*is || j->key.kind == TLVK__CHOICE_DEPTHWISE || !(value & TLVK__CHOICE_PORTABLE) || (j->candidates[0] & TLVK__CHOICE_PORTABLE)) return TLVK_OK;
    job one = *j;
    double standard = 0, ms = 0;
    one.setting.x[0].dim[0] = 1;
    tlvk_status st = time_candidate(t, &one, j->candidates[j->candidates[0] == TLVK__CHOICE_WINOGRAD], 1, &standard);
    if (!st) st = time_candidate(t, &one, value, 1, &ms);
    *is = !st && ms > hopeless * standard;
    if (*is) remember_loser(t, j, value);
    return st;
}

/* A winner has to win once more beside the standard: a machine that was busy for a moment makes that one look slow. */
static tlvk_status confirm(tuner *t, const job *j, double times[TLVK__MOST_CANDIDATES], int *best) {
    double again = 0;
    tlvk_status st = time_candidate(t, j, j->candidates[0], REPEATS, &again);
    if (st || again <= 0) return st;
    times[0] = TLVK__MIN(times[0], again);
    if (times[*best] >= least_gain * times[0]) *best = 0;
    return TLVK_OK;
}

/* The standard candidate unless another is faster. A candidate that fails (a driver that refuses a shader, memory that is short) is out of the running. */
static tlvk_status choose(tuner *t, const job *j, int32_t *value) {
    double times[TLVK__MOST_CANDIDATES] = { 0 };
    int best = 0;
    char text[160];
    *value = j->candidates[0];
    for (int i = 0; i < j->count && tlvk__now_seconds() < t->deadline; i++) {
        bool skip = false;
        tlvk_status st = i ? is_hopeless(t, j, j->candidates[i], &skip) : TLVK_OK;
        if (!st && !skip) st = time_candidate(t, j, j->candidates[i], REPEATS, &times[i]);
        if (st == TLVK_ERROR_DEVICE_LOST) return st;
        if (st || times[i] <= 0) {
            tlvk__fail_clear();
            if (i == 0) return TLVK_OK; /* nothing to compare with */
            continue;
        }
        tlvk__context_log(t->ctx, TLVK_LOG_DEBUG, "tuning: %s: %.3f ms", tlvk__choice_text(&j->key, j->candidates[i], text, sizeof text), times[i]);
        if (times[i] < times[best] && times[i] < least_gain * times[0]) best = i;
    }
    tlvk_status st = best ? confirm(t, j, times, &best) : TLVK_OK;
    if (st) return st;
    double tile = 0; /* the fastest besides Winograd, with which tiles are not to be compared */
    for (int i = 0; i < j->count; i++) {
        if (j->candidates[i] != TLVK__CHOICE_WINOGRAD && times[i] > 0 && (tile <= 0 || times[i] < tile)) tile = times[i];
    }
    for (int i = 1; i < j->count; i++) {
        if (times[i] > hopeless * tile) remember_loser(t, j, j->candidates[i]);
    }
    *value = j->candidates[best];
    if (times[0] > 0) tlvk__context_log(t->ctx, TLVK_LOG_INFO, "chosen: %s: %.3f ms, the standard %.3f", tlvk__choice_text(&j->key, *value, text, sizeof text), times[best], times[0]);
    return TLVK_OK;
}

/* Chooses what `known` lacks, into `made`. */
static tlvk_status choose_missing(tuner *t, const tlvk__choices *known, tlvk__choices *made) {
    tlvk_status st = TLVK_OK;
    double began = tlvk__now_seconds();
    for (size_t i = 0; !st && i < t->count; i++) {
        int32_t value;
        if (tlvk__choices_find(known, &t->jobs[i].key, &value)) continue;
        if (tlvk__context_cancelled(t->ctx)) return tlvk__fail(TLVK_ERROR_CANCELLED, "cancelled while kernels were chosen");
        st = choose(t, &t->jobs[i], &value);
        if (!st) st = tlvk__choices_put(made, &t->jobs[i].key, value);
    }
    if (tlvk__choices_count(made)) {
        tlvk__context_log(t->ctx, TLVK_LOG_INFO, "%zu kernels chosen in %.1f s", tlvk__choices_count(made), tlvk__now_seconds() - began);
    }
    return st;
}

/* --- what is known ------------------------------------------------------------------------------------------------------------------------ */

static void destroy_choices(void *choices) { tlvk__choices_destroy(choices); }

/* What this context knows of its device: the context's, read from the disk at the first call. */
static tlvk_status known_choices(tlvk_context *ctx, tlvk__device *d, const char *path, tlvk__choices **out) {
    *out = tlvk__context_get(ctx, TLVK__SLOT_CHOICES);
    if (*out) return TLVK_OK;
    tlvk__choices *c = tlvk__choices_create();
    tlvk_status st = c ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "tuning: no memory");
    if (!st && path) st = tlvk__choices_load(tlvk__device_caps(d), path, c);
    if (st) {
        tlvk__choices_destroy(c);
        return st;
    }
    tlvk__context_put(ctx, TLVK__SLOT_CHOICES, c, destroy_choices);
    *out = c;
    return TLVK_OK;
}

/* What was made now becomes known, and what others have stored since. */
static tlvk_status keep(const tuner *t, const char *path, tlvk__choices *made, tlvk__choices *known) {
    if (path && tlvk__choices_store(tlvk__device_caps(t->device), path, made)) {
        tlvk__context_log(t->ctx, TLVK_LOG_WARNING, "the kernel choices were not saved: %s", tlvk__fail_text());
        tlvk__fail_clear();
    }
    tlvk_status st = TLVK_OK;
    for (size_t i = 0; !st && i < tlvk__choices_count(made); i++) {
        tlvk__choice_key key;
        int32_t value, there;
        tlvk__choices_at(made, i, &key, &value);
        if (!tlvk__choices_find(known, &key, &there)) st = tlvk__choices_put(known, &key, value);
    }
    return st;
}

void tlvk__tune_hash(const tlvk__caps *caps, const tlvk__plan *plan, const tlvk__choices *choices, tlvk__hash *hash) {
    tlvk__plan_part part;
    for (int i = 0; tlvk__plan_part_at(plan, i, &part); i++) {
        for (int pass = 0; pass < 3; pass++) {
            job j;
            int32_t value;
            if (!describe(caps, &part, pass, &j) || !tlvk__choices_find(choices, &j.key, &value)) continue;
            tlvk__hash_add(hash, &j.key, sizeof j.key);
            tlvk__hash_add(hash, &value, sizeof value);
        }
    }
}

tlvk_status tlvk__tune(tlvk_context *ctx, tlvk__device *d, const tlvk__plan *plan, double seconds, tlvk__choices *into) {
    const char *folder = tlvk__context_cache_folder(ctx);
    char *path = *folder ? tlvk__choices_path(tlvk__device_caps(d), folder) : NULL;
    tuner t = { .ctx = ctx, .device = d };
    tlvk__choices *known = NULL, *made = tlvk__choices_create();
    tlvk_status st = made && (path || !*folder) ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "tuning: no memory");
    if (!st) st = known_choices(ctx, d, path, &known);
    if (!st) st = list_jobs(&t, plan);
    t.deadline = tlvk__now_seconds() + seconds;
    if (!st) st = choose_missing(&t, known, made);
    if (!st && tlvk__choices_count(made)) st = keep(&t, path, made, known);
    for (size_t i = 0; !st && i < t.count; i++) {
        int32_t value;
        if (tlvk__choices_find(known, &t.jobs[i].key, &value)) st = tlvk__choices_put(into, &t.jobs[i].key, value);
    }
    tlvk__choices_destroy(made);
    free(t.jobs);
    free(path);
    return st;
}
