/* bench_layers.c - where the time of a forward pass or step goes: every layer and pass with its share, by a time per dispatch. */
#include "train/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct row { const char *layer, *pass, *kind; double ms, flops, bytes; int count; } row; /* texts of the recording and the plan, which live longer */
typedef struct table { row *rows; size_t count, capacity; double ms; } table;

/* Which pass of its layer an entry belongs to; within the backward, what works for the gradients of variables is told by its operation. */
static const char *pass_of(const tlvk__recorded *e) {
    if (strcmp(e->phase, "backward") != 0) return e->phase;
    static const char *const words[] = { "weights", "sums", "finish", "kernel_gradients", "alpha", "statistics" };
    for (size_t i = 0; i < TLVK__COUNT(words); i++) {
        if (strstr(e->operation, words[i])) return "backward weights";
    }
    return "backward data";
}

static row *row_of(table *t, const char *layer, const char *pass) {
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->rows[i].layer, layer) == 0 && strcmp(t->rows[i].pass, pass) == 0) return &t->rows[i];
    }
    row *grown = tlvk__grow(t->rows, &t->capacity, t->count + 1, sizeof *grown);
    if (!grown) return NULL;
    t->rows = grown;
    t->rows[t->count] = (row){ .layer = layer, .pass = pass, .kind = "" };
    return &t->rows[t->count++];
}

/* ms[i]: of entry i. Layers' work is the plan's; what belongs to no layer has the work that was recorded. */
static tlvk_status sum_entries(table *t, tlvk__recording *recording, const double *ms) {
    for (int i = 0; i < tlvk__recording_count(recording); i++) {
        tlvk__recorded e;
        tlvk_status st = tlvk__recording_entry(recording, i, &e);
        if (st) return st;
        row *to = row_of(t, e.phase_layer, pass_of(&e));
        if (!to) return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the times of %d operations", tlvk__recording_count(recording));
        to->ms += ms[i];
        t->ms += ms[i];
        if (*e.phase_layer) continue;
        to->flops += e.flops;
        to->bytes += e.bytes;
    }
    return TLVK_OK;
}

static void add_work(table *t, const tlvk__plan *plan) {
    static const char *const passes[] = { "forward", "backward data", "backward weights" };
    tlvk__plan_part part;
    for (int i = 0; tlvk__plan_part_at(plan, i, &part); i++) {
        for (size_t k = 0; k < t->count; k++) {
            for (int pass = 0; pass < 3; pass++) {
                if (part.view || strcmp(t->rows[k].layer, part.path) != 0 || strcmp(t->rows[k].pass, passes[pass]) != 0) continue;
                t->rows[k].flops += part.flops[pass];
                t->rows[k].bytes += part.bytes[pass];
                if (!*t->rows[k].kind) t->rows[k].kind = part.op->class_name;
            }
        }
    }
}

static int slower_first(const void *a, const void *b) {
    double x = ((const row *)a)->ms, y = ((const row *)b)->ms;
    return (x < y) - (x > y);
}

/* One row per kind of layer and pass. */
static tlvk_status sum_kinds(const table *t, table *kinds) {
    for (size_t i = 0; i < t->count; i++) {
        const row *r = &t->rows[i];
        if (!*r->kind) continue;
        row *to = row_of(kinds, r->kind, r->pass);
        if (!to) return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the times of %zu layers", t->count);
        to->kind = r->kind;
        to->ms += r->ms;
        to->flops += r->flops;
        to->bytes += r->bytes;
        to->count++;
    }
    return TLVK_OK;
}

/* `part`: "layer", or "kind" for sums. all_ms: of the whole step. */
static void report(const tlvk__bench *b, const char *net, const char *words, const char *part, double all_ms, table *t) {
    qsort(t->rows, t->count, sizeof *t->rows, slower_first);
    for (size_t i = 0; i < t->count; i++) {
        const row *r = &t->rows[i];
        char name[512], number[32] = "";
        if (r->count) snprintf(number, sizeof number, "%d of ", r->count);
        snprintf(name, sizeof name, "%s %s: %s%s%s%s", net, words, number, r->layer, *r->layer ? ", " : "", r->pass);
        if (!tlvk__bench_selected(b, name)) continue;
        tlvk__times times = { .effort = { .repeats = 1 } };
        tlvk__times_add(&times, r->ms);
        tlvk_bench_case c = { .name = name, .part = part, .kind = r->kind, .network = net, .layer = r->count ? NULL : r->layer, .pass = r->pass,
                              .time_share = all_ms > 0 ? r->ms / all_ms : 0, .count = TLVK__MAX(r->count, 1) };
        tlvk__bench_report(b, &c, &times, r->flops, r->bytes, 0);
    }
}

/* The fastest of several runs for each entry. */
static tlvk_status time_entries(const tlvk__bench *b, tlvk__runner *runner, double **ms) {
    int runs = b->desc->repeats > 0 ? b->desc->repeats : TLVK__LEAST_RUNS;
    tlvk_status st = TLVK_OK;
    for (int run = -1; !st && run < runs; run++) {
        st = tlvk__runner_submit(runner, 0);
        if (!st) st = tlvk__runner_wait(runner, 0);
        if (!st) st = tlvk__bench_cancelled(b);
        if (st || run < 0) continue; /* the first run compiles */
        tlvk__recording *recording = tlvk__runner_recording(runner, 0);
        int count = tlvk__recording_count(recording);
        if (!*ms) *ms = tlvk__calloc((size_t)TLVK__MAX(count, 1), sizeof **ms);
        if (!*ms) return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the times of %d operations", count);
        for (int i = 0; !st && i < count; i++) {
            tlvk__recorded e;
            st = tlvk__recording_entry(recording, i, &e);
            if (!st && (run == 0 || e.ms < (*ms)[i])) (*ms)[i] = e.ms;
        }
    }
    return st;
}

static tlvk_status measure(const tlvk__bench *b, const char *net, const char *words, bool train, bool frozen) {
    tlvk_model *model;
    tlvk__session *session = NULL;
    tlvk__runner *runner;
    double *ms = NULL;
    table t = { 0 }, kinds = { 0 };
    tlvk_status st = tlvk__bench_model(b, net, frozen, &model);
    if (st) return st;
    st = tlvk__trial_session(model, &(tlvk__trial){ .batch = b->batch, .train = train, .timestamps = true, .mixed = b->desc->precision == TLVK_MIXED },
                             &session, &runner);
    if (!st) st = time_entries(b, runner, &ms);
    if (!st) st = sum_entries(&t, tlvk__runner_recording(runner, 0), ms);
    if (!st) {
        add_work(&t, tlvk__runner_plan(runner));
        st = sum_kinds(&t, &kinds);
    }
    if (!st) {
        report(b, net, words, "kind", t.ms, &kinds);
        report(b, net, words, "layer", t.ms, &t);
    }
    free(t.rows);
    free(kinds.rows);
    free(ms);
    tlvk__session_destroy(session);
    tlvk_model_destroy(model);
    return st;
}

tlvk_status tlvk__bench_layers(const tlvk__bench *b) {
    tlvk__bench_text net;
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && tlvk__bench_net(b, i, net); i++) {
        if (b->parts & TLVK_BENCH_FORWARD) st = measure(b, net, "forward", false, false);
        if (!st && (b->parts & TLVK_BENCH_HEAD)) st = measure(b, net, "head step", true, true);
        if (!st && (b->parts & TLVK_BENCH_STEP)) st = measure(b, net, "step", true, false);
    }
    return st;
}
