/* trace.c - where the time of a step goes, for -vv: by operation, and the slowest dispatches by layer. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#define SLOWEST 10

typedef struct entry { char operation[48], layer[64]; double ms, gflop; int count; } entry;
typedef struct trace { entry *entries; size_t count, room; double ms; bool failed; } trace;

static void collect(const tlvk_trace_entry *e, void *user) {
    trace *t = user;
    if (t->count == t->room) {
        size_t room = t->room ? 2 * t->room : 256;
        entry *grown = realloc(t->entries, room * sizeof *grown);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->entries = grown;
        t->room = room;
    }
    entry *to = &t->entries[t->count++];
    snprintf(to->operation, sizeof to->operation, "%s", e->operation ? e->operation : "");
    snprintf(to->layer, sizeof to->layer, "%s", e->layer ? e->layer : "");
    to->ms = e->ms;
    to->gflop = e->gflop;
    to->count = 1;
    t->ms += e->ms;
}

static int slower_first(const void *a, const void *b) {
    double x = ((const entry *)a)->ms, y = ((const entry *)b)->ms;
    return (x < y) - (x > y);
}

/* One entry per operation, in a new array; NULL without memory. */
static entry *by_operation(const trace *t, size_t *count) {
    entry *sums = calloc(t->count + 1, sizeof *sums);
    *count = 0;
    for (size_t i = 0; sums && i < t->count; i++) {
        size_t k = 0;
        while (k < *count && strcmp(sums[k].operation, t->entries[i].operation) != 0) {
            k++;
        }
        if (k == *count) {
            sums[(*count)++] = t->entries[i];
        } else {
            sums[k].ms += t->entries[i].ms;
            sums[k].gflop += t->entries[i].gflop;
            sums[k].count++;
        }
    }
    return sums;
}

static void print_row(const char *what, const entry *e, double all) {
    fprintf(stderr, "%10.3f ms %5.1f %%", e->ms, all > 0 ? 100 * e->ms / all : 0.0);
    if (e->gflop > 0 && e->ms > 0) {
        fprintf(stderr, " %8.2f GFLOP/s", e->gflop / e->ms * 1e3);
    } else {
        fprintf(stderr, " %8s        ", "");
    }
    fprintf(stderr, "  %s%s%s\n", e->operation, *what ? " " : "", what);
}

void cli_trace(const tlvk_context *ctx, tlvk_model *model, int64_t batch, bool train) {
    trace t = {0};
    if (tlvk_model_trace(model, batch, train, collect, &t)) {
        cli_message("no trace: %s", tlvk_last_error(ctx));
    } else if (t.count && !t.failed) {
        size_t count;
        entry *sums = by_operation(&t, &count);
        fprintf(stderr, "%s of %lld: %zu dispatches, %.3f ms; by operation:\n", train ? "training step" : "forward pass", (long long)batch, t.count, t.ms);
        if (sums) {
            qsort(sums, count, sizeof *sums, slower_first);
        }
        for (size_t i = 0; sums && i < count; i++) {
            char times[24];
            snprintf(times, sizeof times, "x%d", sums[i].count);
            print_row(times, &sums[i], t.ms);
        }
        free(sums);
        qsort(t.entries, t.count, sizeof *t.entries, slower_first);
        fprintf(stderr, "slowest:\n");
        for (size_t i = 0; i < t.count && i < SLOWEST; i++) {
            print_row(t.entries[i].layer, &t.entries[i], t.ms);
        }
    }
    free(t.entries);
}
