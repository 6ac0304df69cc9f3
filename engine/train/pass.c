/* pass.c - one pass over data in batches: while the device runs a step, the host fills the next one's slot.
 *
 * Steps alternate between two slots; before a slot is filled again its earlier step is waited for and counted, so sums are added in the
 * order of the steps. The last batch may be smaller: it is a step shape of its own, and only real samples count. */
#include "train/training.h"

#include <stdlib.h>
#include <string.h>

typedef struct pending { tlvk__runner *runner; int64_t n; } pending;

typedef struct pass_state {
    const tlvk__pass *pass;
    tlvk__sums *sums;
    pending pending[TLVK__SLOTS];
    tlvk__reader *reader;
    float *x[TLVK_MAX_IO]; int input_count; /* dense batch, one per network input */
    float *targets[TLVK_MAX_IO]; /* one per output */
    int64_t *ids;
    int64_t at;           /* next position of the order (features) */
    int64_t done;         /* samples counted */
    int step;
    tlvk_verdict verdict;
} pass_state;

/* Waits for a slot's step and adds its metrics. */
static tlvk_status settle(pass_state *s, int slot) {
    pending *p = &s->pending[slot];
    if (!p->runner) return TLVK_OK;
    tlvk__runner *runner = p->runner;
    p->runner = NULL;
    tlvk_status st = tlvk__runner_wait(runner, slot);
    if (st) return st;
    const float *m = tlvk__runner_metrics(runner, slot);
    double penalty = s->pass->penalty;
    if (tlvk__session_regularized(s->pass->session)) penalty += (double)m[TLVK__METRIC_PENALTY];
    tlvk__sums_add(s->sums, s->pass->task, m, penalty, p->n);
    s->done += p->n;
    if (s->pass->end_step && s->pass->end_step(s->pass->user, s->sums, s->done) == TLVK_STOP) s->verdict = TLVK_STOP;
    return TLVK_OK;
}

/* Fills x and ids with the next batch; *n is 0 at the end. */
static tlvk_status next_batch(pass_state *s, int64_t *n) {
    const tlvk__pass *p = s->pass;
    if (!p->features) return tlvk__reader_next(s->reader, s->x, NULL, s->ids, n);
    *n = 0;
    while (*n < p->batch && s->at < p->count) {
        int64_t sample = p->order[s->at++];
        if (!tlvk__features_has(p->features, sample)) continue;
        float *values[TLVK_MAX_IO];
        for (int i = 0; i < s->input_count; i++) values[i] = s->x[i] + *n * tlvk__features_elements(p->features, i);
        tlvk_status st = tlvk__features_get(p->features, sample, values);
        if (st) return st;
        s->ids[(*n)++] = sample;
    }
    return TLVK_OK;
}

static tlvk_status runner_for(pass_state *s, int64_t n, tlvk__runner **out) {
    const tlvk__pass *p = s->pass;
    tlvk__shape inputs[TLVK_MAX_IO];
    for (int i = 0; i < s->input_count; i++) {
        inputs[i] = p->features ? *tlvk__features_shape(p->features, i) : p->task->inputs[i];
        inputs[i].dim[0] = n;
    }
    bool augmented = p->mode == TLVK__PLAN_TRAIN && tlvk__session_flat(p->session, TLVK__AUGMENTED)->call_count > 0;
    return tlvk__session_runner(p->session, p->features ? TLVK__SUFFIX : augmented ? TLVK__AUGMENTED : TLVK__WHOLE, p->mode, inputs, out);
}

static void fill_slot(pass_state *s, tlvk__runner *runner, int slot, int64_t n) {
    const tlvk__pass *p = s->pass;
    for (int i = 0; i < s->input_count; i++) tlvk__runner_put_input(runner, slot, i, s->x[i]);
    for (int k = 0; k < p->task->output_count; k++) {
        for (int64_t i = 0; i < n; i++) tlvk__task_target(p->task, p->data, k, s->ids[i], s->targets[k] + i * p->task->target_widths[k]);
        tlvk__runner_put_target(runner, slot, k, s->targets[k]);
    }
    for (int64_t i = 0; i < n; i++) {
        int label = p->class_weight ? tlvk_dataset_label(p->data, s->ids[i]) : -1;
        tlvk__runner_put_sample_weight(runner, slot, i, label >= 0 && label < p->class_weight_count ? p->class_weight[label] : 1.0f);
    }
}

static tlvk_status run_batches(pass_state *s) {
    const tlvk__pass *p = s->pass;
    for (;;) {
        int slot = s->step % TLVK__SLOTS;
        tlvk_status st = settle(s, slot);
        if (st || s->verdict == TLVK_STOP) return st;
        if (tlvk__context_cancelled(p->ctx)) return tlvk__fail(TLVK_ERROR_CANCELLED, "cancelled after %lld samples", (long long)s->done);
        int64_t n;
        tlvk__runner *runner;
        st = next_batch(s, &n);
        if (st || n == 0) return st;
        if ((st = runner_for(s, n, &runner))) return st;
        if ((st = tlvk__runner_wait(runner, slot))) return st;
        fill_slot(s, runner, slot, n);
        if (p->begin_step) p->begin_step(p->user, tlvk__runner_params(runner, slot), tlvk__runner_front_params(runner, slot));
        if ((st = tlvk__runner_submit(runner, slot))) return st;
        s->pending[slot] = (pending){ .runner = runner, .n = n };
        s->step++;
    }
}

static tlvk_status allocate(pass_state *s) {
    const tlvk__pass *p = s->pass;
    s->input_count = p->features ? tlvk__features_count(p->features) : p->task->input_count;
    size_t batch = (size_t)p->batch;
    for (int i = 0; i < s->input_count; i++) {
        int64_t elements = p->features ? tlvk__features_elements(p->features, i) : tlvk__dataset_sample_elements(p->data, i);
        size_t values;
        if (!tlvk__mul_size(batch, (size_t)elements, &values) || !(s->x[i] = tlvk__calloc(values, sizeof(float)))) {
            return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a batch of %d x %lld numbers", p->batch, (long long)elements);
        }
    }
    bool ok = (s->ids = tlvk__calloc(batch, sizeof *s->ids)) != NULL;
    for (int k = 0; k < p->task->output_count; k++) ok = ok && (s->targets[k] = tlvk__calloc(batch * (size_t)p->task->target_widths[k], sizeof(float))) != NULL;
    if (!ok) return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a batch of %d", p->batch);
    s->at = p->first;
    if (p->features) return TLVK_OK;
    tlvk__reader_desc d = { .order = p->order, .count = p->count, .batch = p->batch, .threads = tlvk__context_workers(p->ctx) };
    return tlvk__reader_create(p->data, &d, &s->reader);
}

/* A resumed epoch reads its first batches again and drops them: which pictures are unreadable, and so where a batch ends, is only known
 * by reading. */
static tlvk_status skip_first(pass_state *s) {
    int64_t skipped = 0, n = 1;
    tlvk_status st = TLVK_OK;
    while (!st && s->reader && skipped < s->pass->first && n > 0) {
        st = tlvk__reader_next(s->reader, s->x, NULL, s->ids, &n);
        skipped += n;
    }
    return st;
}

tlvk_status tlvk__pass_run(const tlvk__pass *pass, tlvk__sums *sums, int64_t *samples_done) {
    pass_state s = { .pass = pass, .sums = sums };
    tlvk_status st = allocate(&s);
    if (!st) st = skip_first(&s);
    if (!st) st = run_batches(&s);
    /* What was submitted is finished and counted, whatever stopped the loop; the older of the two first. */
    for (int i = 0; i < TLVK__SLOTS; i++) {
        char *text = st ? tlvk__strdup(tlvk__fail_text()) : NULL;
        tlvk_status settled = settle(&s, (s.step + i) % TLVK__SLOTS);
        if (st && text) tlvk__fail(st, "%s", text);
        if (!st) st = settled;
        free(text);
    }
    if (samples_done) *samples_done = s.done;
    tlvk__reader_destroy(s.reader);
    for (int i = 0; i < TLVK_MAX_IO; i++) {
        free(s.x[i]);
        free(s.targets[i]);
    }
    free(s.ids);
    return st;
}
