/* prefix.c - runs the frozen prefix over a dataset once and keeps what comes out. */
#include "train/training.h"

#include <stdlib.h>
#include <string.h>

typedef struct fill_state {
    tlvk__features *features;
    tlvk__session *session;
    tlvk_dataset *data;
    int batch, outputs;
    float *x[TLVK_MAX_IO], *out[TLVK_MAX_IO]; int inputs;
    int64_t *ids[TLVK__SLOTS], n[TLVK__SLOTS];
    tlvk__runner *runner[TLVK__SLOTS];
    int64_t done;
} fill_state;

static tlvk_status store(fill_state *s, int slot) {
    tlvk__runner *runner = s->runner[slot];
    if (!runner) return TLVK_OK;
    s->runner[slot] = NULL;
    tlvk_status st = tlvk__runner_wait(runner, slot);
    for (int i = 0; !st && i < s->outputs; i++) tlvk__runner_get_output(runner, slot, i, s->out[i]);
    for (int64_t k = 0; !st && k < s->n[slot]; k++) {
        const float *values[TLVK_MAX_IO];
        tlvk__hash content = { { 0, 0 } };
        for (int i = 0; i < s->outputs; i++) values[i] = s->out[i] + k * tlvk__features_elements(s->features, i);
        if (tlvk__features_on_disk(s->features)) st = tlvk__dataset_sample_hash(s->data, s->ids[slot][k], &content);
        if (!st) st = tlvk__features_put(s->features, s->ids[slot][k], &content, values);
    }
    s->done += st ? 0 : s->n[slot];
    return st;
}

static tlvk__shape batch_shape(const tlvk_dataset *data, int input, int64_t n) {
    tlvk__shape sample = tlvk__dataset_sample_shape(data, input), shape = { .rank = sample.rank + 1, .dim = { n } };
    for (int i = 0; i < sample.rank; i++) shape.dim[i + 1] = sample.dim[i];
    return shape;
}

static tlvk_status run(fill_state *s, tlvk__reader *reader, int64_t total, tlvk_verdict (*progress)(void *user, int64_t done, int64_t total), void *user) {
    for (int step = 0;; step++) {
        int slot = step % TLVK__SLOTS;
        tlvk_status st = store(s, slot);
        if (!st && progress && progress(user, s->done, total) == TLVK_STOP) st = tlvk__fail(TLVK_ERROR_CANCELLED, "cancelled after the features of %lld pictures", (long long)s->done);
        if (!st) st = tlvk__reader_next(reader, s->x, NULL, s->ids[slot], &s->n[slot]);
        if (st || s->n[slot] == 0) return st;
        tlvk__shape shapes[TLVK_MAX_IO];
        for (int i = 0; i < s->inputs; i++) shapes[i] = batch_shape(s->data, i, s->n[slot]);
        tlvk__runner *runner;
        st = tlvk__session_runner(s->session, TLVK__PREFIX, TLVK__PLAN_PREDICT, shapes, &runner);
        if (!st) st = tlvk__runner_wait(runner, slot);
        if (st) return st;
        for (int i = 0; i < s->inputs; i++) tlvk__runner_put_input(runner, slot, i, s->x[i]);
        if ((st = tlvk__runner_submit(runner, slot))) return st;
        s->runner[slot] = runner;
    }
}

/* Samples whose features are not in the store yet; those a file already holds are marked there. */
static tlvk_status missing_samples(fill_state *s, int64_t **order, int64_t *count) {
    int64_t size = tlvk_dataset_size(s->data);
    *count = 0;
    *order = tlvk__calloc((size_t)size + 1, sizeof **order);
    if (!*order) return tlvk__fail(TLVK_ERROR_MEMORY, "features: no memory");
    for (int64_t i = 0; i < size; i++) {
        tlvk__hash content;
        if (tlvk__dataset_is_failed(s->data, i) || tlvk__features_has(s->features, i)) continue;
        /* One whose hash cannot be told goes to the reader, which leaves it out or, when strict, says why it ends. */
        bool hashed = tlvk__features_on_disk(s->features) && tlvk__dataset_sample_hash(s->data, i, &content) == TLVK_OK;
        if (hashed && tlvk__features_lookup(s->features, i, &content)) continue;
        (*order)[(*count)++] = i;
    }
    return TLVK_OK;
}

static tlvk_status allocate(fill_state *s) {
    size_t batch = (size_t)s->batch;
    bool ok = true;
    for (int i = 0; i < s->inputs; i++) ok = ok && (s->x[i] = tlvk__calloc(batch * (size_t)tlvk__dataset_sample_elements(s->data, i), sizeof(float))) != NULL;
    for (int i = 0; i < s->outputs; i++) ok = ok && (s->out[i] = tlvk__calloc(batch * (size_t)tlvk__features_elements(s->features, i), sizeof(float))) != NULL;
    for (int i = 0; i < TLVK__SLOTS; i++) ok = ok && (s->ids[i] = tlvk__calloc(batch, sizeof *s->ids[i])) != NULL;
    return ok ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "features: no memory for a batch of %d", s->batch);
}

tlvk_status tlvk__features_fill(tlvk__features *f, tlvk__session *session, tlvk_dataset *data, int batch, tlvk_verdict (*progress)(void *user, int64_t done, int64_t total), void *user) {
    fill_state s = { .features = f, .session = session, .data = data, .batch = batch, .outputs = tlvk__features_count(f), .inputs = tlvk__dataset_input_count(data) };
    int64_t *order = NULL, count = 0;
    tlvk__reader *reader = NULL;
    tlvk_status st = allocate(&s);
    if (!st) st = missing_samples(&s, &order, &count);
    if (!st && count > 0) {
        st = tlvk__reader_create(data, &(tlvk__reader_desc){ .order = order, .count = count, .batch = batch, .hash = tlvk__features_on_disk(f) }, &reader);
        if (!st) st = run(&s, reader, count, progress, user);
        for (int i = 0; i < TLVK__SLOTS; i++) {
            if (!s.runner[i]) continue;
            tlvk_status stored = st ? tlvk__runner_wait(s.runner[i], i) : store(&s, i);
            if (!st) st = stored;
        }
    }
    tlvk__reader_destroy(reader);
    free(order);
    for (int i = 0; i < s.inputs; i++) free(s.x[i]);
    for (int i = 0; i < s.outputs; i++) free(s.out[i]);
    for (int i = 0; i < TLVK__SLOTS; i++) free(s.ids[i]);
    return st;
}
