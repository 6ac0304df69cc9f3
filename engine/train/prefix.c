/* prefix.c - runs the frozen prefix over pictures once and keeps what comes out.
 *
 * The device is to wait for nothing that could have been done before: recordings are made while the first pictures are decoded, that of a smaller last
 * batch while the device is at work, and the workers go on to the next part's pictures when the last of this part are read. */
#include "train/training.h"

#include <stdlib.h>
#include <string.h>

typedef struct part {
    tlvk__features *features;
    tlvk_dataset *data;       /* NULL: nothing to do here */
    tlvk__reader *reader;
    int64_t *order, count;    /* samples to compute */
    int64_t given, done;      /* of them read, and kept */
} part;

typedef struct fill_state {
    part parts[TLVK__FEATURES_PARTS];
    int at;                   /* part that is read now */
    tlvk__session *session;
    int batch;
    float *x[TLVK_MAX_IO], *out[TLVK_MAX_IO]; int inputs, outputs;
    int64_t *ids[TLVK__SLOTS], n[TLVK__SLOTS];
    tlvk__runner *runner[TLVK__SLOTS];
    part *from[TLVK__SLOTS];  /* whose pictures the slot holds */
    tlvk_verdict (*progress)(void *user, int64_t done, int64_t total);
    void *user;
} fill_state;

static tlvk_status tell(fill_state *s, const part *p) {
    if (!s->progress || s->progress(s->user, p->done, p->count) != TLVK_STOP) return TLVK_OK;
    return tlvk__fail(TLVK_ERROR_CANCELLED, "cancelled after the features of %lld pictures", (long long)p->done);
}

static tlvk_status store(fill_state *s, int slot) {
    tlvk__runner *runner = s->runner[slot];
    if (!runner) return TLVK_OK;
    part *p = s->from[slot];
    s->runner[slot] = NULL;
    tlvk_status st = tlvk__runner_wait(runner, slot);
    for (int i = 0; !st && i < s->outputs; i++) tlvk__runner_get_output(runner, slot, i, s->out[i]);
    for (int64_t k = 0; !st && k < s->n[slot]; k++) {
        const float *values[TLVK_MAX_IO];
        tlvk__hash content = { { 0, 0 } };
        for (int i = 0; i < s->outputs; i++) values[i] = s->out[i] + k * tlvk__features_elements(p->features, i);
        if (tlvk__features_on_disk(p->features)) st = tlvk__dataset_sample_hash(p->data, s->ids[slot][k], &content);
        if (!st) st = tlvk__features_put(p->features, s->ids[slot][k], &content, values);
    }
    p->done += st ? 0 : s->n[slot];
    return st ? st : tell(s, p);
}

/* --- pictures ------------------------------------------------------------------------------------------------------------------------------ */

/* Samples whose features are not in the store yet; those a file already holds are marked there. */
static tlvk_status missing_samples(part *p) {
    int64_t size = tlvk_dataset_size(p->data);
    p->order = tlvk__calloc((size_t)size + 1, sizeof *p->order);
    if (!p->order) return tlvk__fail(TLVK_ERROR_MEMORY, "features: no memory");
    for (int64_t i = 0; i < size; i++) {
        tlvk__hash content;
        if (tlvk__dataset_is_failed(p->data, i) || tlvk__features_has(p->features, i)) continue;
        /* One whose hash cannot be told goes to the reader, which leaves it out or, when strict, says why it ends. */
        bool hashed = tlvk__features_on_disk(p->features) && tlvk__dataset_sample_hash(p->data, i, &content) == TLVK_OK;
        if (hashed && tlvk__features_lookup(p->features, i, &content)) continue;
        p->order[p->count++] = i;
    }
    return TLVK_OK;
}

/* Starts the workers on a part; nothing where it has none to compute or they are at work. */
static tlvk_status open_reader(const fill_state *s, part *p) {
    if (p->reader || p->count == 0) return TLVK_OK;
    return tlvk__reader_create(p->data, &(tlvk__reader_desc){ .order = p->order, .count = p->count, .batch = s->batch, .hash = tlvk__features_on_disk(p->features) }, &p->reader);
}

static part *next_part(fill_state *s) {
    for (int i = s->at + 1; i < TLVK__FEATURES_PARTS; i++) {
        if (s->parts[i].count > 0) return &s->parts[i];
    }
    return NULL;
}

/* The next batch into x and the slot; n[slot] is 0 at the end of all parts. */
static tlvk_status read_batch(fill_state *s, int slot) {
    s->n[slot] = 0;
    while (s->n[slot] == 0 && s->at < TLVK__FEATURES_PARTS) {
        part *p = &s->parts[s->at], *next = next_part(s);
        tlvk_status st = open_reader(s, p);
        if (!st && p->reader) st = tlvk__reader_next(p->reader, s->x, NULL, s->ids[slot], &s->n[slot]);
        if (st) return st;
        s->from[slot] = p;
        p->given += s->n[slot];
        bool last = s->n[slot] < s->batch || p->given >= p->count;
        if (last && next && (st = open_reader(s, next))) return st;
        if (s->n[slot] == 0) s->at++;
    }
    return TLVK_OK;
}

/* --- the device ---------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status runner_of(fill_state *s, const tlvk_dataset *data, int64_t n, tlvk__runner **out) {
    tlvk__shape shapes[TLVK_MAX_IO];
    for (int i = 0; i < s->inputs; i++) {
        tlvk__shape sample = tlvk__dataset_sample_shape(data, i);
        shapes[i] = (tlvk__shape){ .rank = sample.rank + 1, .dim = { n } };
        for (int k = 0; k < sample.rank; k++) shapes[i].dim[k + 1] = sample.dim[k];
    }
    return tlvk__session_runner(s->session, TLVK__PREFIX, TLVK__PLAN_PREDICT, shapes, out);
}

static tlvk_status prepare(fill_state *s, const part *p, int64_t n) {
    tlvk__runner *runner;
    if (n == 0) return TLVK_OK;
    tlvk_status st = runner_of(s, p->data, n, &runner);
    return st ? st : tlvk__runner_prepare(runner);
}

static tlvk_status run(fill_state *s) {
    part *first = s->parts[0].count > 0 ? &s->parts[0] : next_part(s);
    if (!first) return TLVK_OK;
    tlvk_status st = open_reader(s, first);
    if (!st) st = tell(s, first);
    if (!st) st = prepare(s, first, TLVK__MIN(first->count, s->batch));
    for (int step = 0; !st; step++) {
        int slot = step % TLVK__SLOTS;
        tlvk__runner *runner;
        if ((st = store(s, slot)) || (st = read_batch(s, slot)) || s->n[slot] == 0) return st;
        if ((st = runner_of(s, s->from[slot]->data, s->n[slot], &runner)) || (st = tlvk__runner_wait(runner, slot))) return st;
        for (int i = 0; i < s->inputs; i++) tlvk__runner_put_input(runner, slot, i, s->x[i]);
        if ((st = tlvk__runner_submit(runner, slot))) return st;
        s->runner[slot] = runner;
        const part *p = s->from[slot];
        if (p->given == s->n[slot] && p->count > s->batch) st = prepare(s, p, p->count % s->batch); /* the device works on the part's first batch */
    }
    return st;
}

static tlvk_status allocate(fill_state *s) {
    size_t batch = (size_t)s->batch;
    const part *p = s->parts[0].data ? &s->parts[0] : &s->parts[1];
    bool ok = true;
    s->inputs = tlvk__dataset_input_count(p->data);
    s->outputs = tlvk__features_count(p->features);
    for (int i = 0; i < s->inputs; i++) ok = ok && (s->x[i] = tlvk__calloc(batch * (size_t)tlvk__dataset_sample_elements(p->data, i), sizeof(float))) != NULL;
    for (int i = 0; i < s->outputs; i++) ok = ok && (s->out[i] = tlvk__calloc(batch * (size_t)tlvk__features_elements(p->features, i), sizeof(float))) != NULL;
    for (int i = 0; i < TLVK__SLOTS; i++) ok = ok && (s->ids[i] = tlvk__calloc(batch, sizeof *s->ids[i])) != NULL;
    return ok ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "features: no memory for a batch of %d", s->batch);
}

tlvk_status tlvk__features_fill(const tlvk__features_part parts[TLVK__FEATURES_PARTS], tlvk__session *session, int batch,
                                tlvk_verdict (*progress)(void *user, int64_t done, int64_t total), void *user) {
    fill_state s = { .session = session, .batch = batch, .progress = progress, .user = user };
    bool any = false;
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < TLVK__FEATURES_PARTS; i++) {
        s.parts[i] = (part){ .features = parts[i].features, .data = parts[i].data };
        any = any || parts[i].data;
        if (parts[i].data) st = missing_samples(&s.parts[i]);
    }
    if (!st && any) st = allocate(&s);
    if (!st && any) st = run(&s);
    for (int i = 0; i < TLVK__SLOTS; i++) { /* what was submitted is kept, or only ended after an error */
        if (!s.runner[i]) continue;
        tlvk_status stored = st ? tlvk__runner_wait(s.runner[i], i) : store(&s, i);
        if (!st) st = stored;
    }
    for (int i = 0; i < TLVK__FEATURES_PARTS; i++) {
        tlvk__reader_destroy(s.parts[i].reader);
        free(s.parts[i].order);
    }
    for (int i = 0; i < s.inputs; i++) free(s.x[i]);
    for (int i = 0; i < s.outputs; i++) free(s.out[i]);
    for (int i = 0; i < TLVK__SLOTS; i++) free(s.ids[i]);
    return st;
}
