/* checkpoint.c - everything a fit needs to go on as if it had never stopped: trained variables, moving statistics, optimizer slots, where the
 * epoch stands, its sums, the history, the kernels chosen by measurement, the parts a batch was done in, and the best weights so far.
 *
 * Form: magic, then length-prefixed parts in a fixed order, then a 128-bit hash of all before it. Numbers are little-endian as the machine
 * writes them; a file from elsewhere, cut short or changed fails the hash. The hash has no key, so that what it covers is checked all the same, and
 * whole, before anything is touched. */
#include "train/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char checkpoint_magic[7] = { 't', 'l', 'v', 'k', 'c', 'k', 'p' }; /* then the form's number, a digit */
#define FORM '7'                 /* with the size of the parts of a batch */
#define FORM_WITH_CHOICES '6'    /* with kernel choices */
#define FORM_OLDEST '5'          /* of all that are read: such a fit knew the static tables alone */
#define CHECKPOINT_LIMIT ((size_t)1 << 36)
#define COUNT_LIMIT (INT64_C(1) << 53) /* of samples and steps; a double tells them apart up to here */
#define WAIT_LIMIT (1 << 30)

typedef struct bytes { unsigned char *data; size_t size, capacity, at; bool failed; char form; } bytes;

static void put(bytes *b, const void *data, size_t size) {
    if (b->failed) return;
    unsigned char *grown = tlvk__grow(b->data, &b->capacity, b->size + size, 1);
    if (!grown) {
        b->failed = true;
        return;
    }
    b->data = grown;
    if (size) memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void get(bytes *b, void *data, size_t size) {
    if (b->failed || b->size - b->at < size) {
        b->failed = true;
        memset(data, 0, size);
        return;
    }
    memcpy(data, b->data + b->at, size);
    b->at += size;
}

static uint32_t output_count(const tlvk__session *s) { return (uint32_t)tlvk__session_flat(s, TLVK__WHOLE)->output_count; }

/* Variables of a checkpoint: all that move, in the flat graph's order, trained ones and statistics alike. */
static int moving_variables(const tlvk__session *s, const tlvk__variable **list, int capacity) {
    int count = 0;
    const tlvk__variable *v;
    for (int i = 0; (v = tlvk__session_moving(s, i)) != NULL; i++) {
        if (count < capacity) list[count] = v;
        count++;
    }
    return count;
}

static tlvk_status put_slots(bytes *b, tlvk__session *s, int slots) {
    tlvk__variable *v;
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && tlvk__session_trained(s, i, &v); i++) {
        float *dense = tlvk__calloc(v->elements, sizeof *dense);
        if (!dense) return tlvk__fail(TLVK_ERROR_MEMORY, "checkpoint: no memory");
        for (int k = 0; !st && k < slots; k++) {
            st = tlvk__session_read_slot(s, i, k, dense);
            put(b, dense, v->elements * sizeof *dense);
        }
        free(dense);
    }
    return st;
}

static tlvk_status put_choices(bytes *b, const tlvk__session *session, int64_t batch) {
    const tlvk__choices *choices = tlvk__session_choices(session);
    int64_t part = tlvk__session_part_samples(session, batch);
    uint64_t count = tlvk__choices_count(choices), size = tlvk__choices_write(choices, NULL);
    unsigned char *entries = tlvk__calloc(size + 1, 1);
    if (!entries) return tlvk__fail(TLVK_ERROR_MEMORY, "checkpoint: no memory");
    tlvk__choices_write(choices, entries);
    put(b, &count, sizeof count);
    put(b, entries, size);
    put(b, &part, sizeof part);
    free(entries);
    return TLVK_OK;
}

static void put_variables(bytes *b, const tlvk__session *s, float *const *best) {
    const tlvk__variable *v;
    uint32_t count = (uint32_t)moving_variables(s, NULL, 0), has_best = best != NULL;
    put(b, &count, sizeof count);
    put(b, &has_best, sizeof has_best);
    for (int i = 0; (v = tlvk__session_moving(s, i)) != NULL; i++) {
        uint64_t elements = v->elements;
        put(b, &elements, sizeof elements);
        put(b, v->values, v->elements * sizeof *v->values);
        if (best) put(b, best[i], v->elements * sizeof **best);
    }
}

tlvk_status tlvk__checkpoint_write(const char *path, tlvk__session *session, const tlvk__training *training, const tlvk__progress *p, const tlvk_history *h, float *const *best) {
    bytes b = { 0 };
    tlvk__progress progress = *p;
    tlvk_status st = tlvk__session_read(session);
    if (!st) st = tlvk__session_read_scaling(session, &progress.scaling);
    uint32_t slots = (uint32_t)tlvk__optimizer_slots(&training->optimizer), outputs = output_count(session);
    uint64_t epochs = h->count;
    const char form = FORM;
    put(&b, checkpoint_magic, sizeof checkpoint_magic);
    put(&b, &form, sizeof form);
    put(&b, &progress, sizeof progress);
    put(&b, &training->optimizer, sizeof training->optimizer);
    put(&b, &slots, sizeof slots);
    put(&b, &outputs, sizeof outputs);
    put(&b, &epochs, sizeof epochs);
    put(&b, h->logs, h->count * sizeof *h->logs);
    if (!st) st = put_choices(&b, session, progress.batch);
    if (!st) put_variables(&b, session, best);
    if (!st) st = put_slots(&b, session, (int)slots);
    tlvk__hash hash;
    tlvk__hash_init(&hash);
    tlvk__hash_add(&hash, b.data, b.size);
    put(&b, &hash, sizeof hash);
    if (!st && b.failed) st = tlvk__fail(TLVK_ERROR_MEMORY, "checkpoint: no memory");
    if (!st) st = tlvk__file_replace(path, b.data, b.size);
    free(b.data);
    return st;
}

static tlvk_status check_file(const char *path, bytes *b) {
    tlvk__hash stored, actual;
    char magic[sizeof checkpoint_magic];
    get(b, magic, sizeof magic);
    get(b, &b->form, sizeof b->form);
    bool known = memcmp(magic, checkpoint_magic, sizeof magic) == 0 && b->form >= FORM_OLDEST && b->form <= FORM;
    if (b->failed || b->size - b->at < sizeof stored || !known) {
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s is not a checkpoint of this version", path);
    }
    b->size -= sizeof stored;
    memcpy(&stored, b->data + b->size, sizeof stored);
    tlvk__hash_init(&actual);
    tlvk__hash_add(&actual, b->data, b->size);
    if (memcmp(&stored, &actual, sizeof stored) != 0) return tlvk__fail(TLVK_ERROR_FORMAT, "%s is damaged: its content does not match its hash", path);
    return TLVK_OK;
}

static void skip(bytes *b, uint64_t count, size_t size) {
    if (b->failed || (b->size - b->at) / size < count) b->failed = true;
    else b->at += (size_t)count * size;
}

/* Can a fit have stood there, and does this one go on with the same data where that matters? */
static tlvk_status check_progress(const char *path, const tlvk__progress *p, const tlvk__progress *own, uint64_t epochs, int outputs) {
    const int64_t done = p->samples_done;
    const bool sized = p->data_size > 0 && p->data_size <= COUNT_LIMIT && p->data_unreadable >= 0 && p->data_unreadable <= p->data_size;
    /* Batches are full but for the last of an epoch, which ends where no readable picture is left. */
    const bool whole = sized && p->batch > 0 && (done % p->batch == 0 || done >= p->data_size - p->data_unreadable);
    const struct { const char *name; bool good; } parts[] = {
        { "epoch", p->epoch >= 0 },
        { "history", epochs <= (uint64_t)TLVK__MAX(p->epoch, 0) },
        { "count of epochs without a better value", p->wait >= 0 && p->wait <= p->epoch },
        { "number of steps", p->steps >= 0 && p->steps <= COUNT_LIMIT },
        { "number of samples", sized },
        { "batch size", p->batch > 0 && p->batch <= INT32_MAX },
        { "number of samples done", done >= 0 && done <= p->data_size && whole },
        { "sum of losses", p->sums.samples == done && p->sums.outputs == (done ? outputs : 0) },
        { "learning rate", isfinite(p->rate) && p->rate >= 0 },
        { "loss scale", p->scaling.scale == 0 || tlvk__loss_scaling_good(&p->scaling) },
        { "plateau", isfinite(p->plateau.rate) && p->plateau.rate >= 0 && p->plateau.wait >= 0 && p->plateau.wait <= WAIT_LIMIT },
    };
    for (size_t i = 0; i < TLVK__COUNT(parts); i++) {
        if (!parts[i].good) return tlvk__fail(TLVK_ERROR_FORMAT, "%s is damaged: its %s is none that a training can have", path, parts[i].name);
    }
    if (done == 0 || (p->data_size == own->data_size && p->batch == own->batch)) return TLVK_OK;
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s stands at sample %lld of an epoch of %lld in batches of %lld, this training has %lld in batches of %lld: "
                      "only a checkpoint from between two epochs goes on with other data", path, (long long)done, (long long)p->data_size,
                      (long long)p->batch, (long long)own->data_size, (long long)own->batch);
}

static tlvk_status get_history(bytes *b, const char *path, tlvk_history *h, uint64_t epochs, int outputs) {
    tlvk_status st = TLVK_OK;
    h->count = 0;
    for (uint64_t i = 0; !st && i < epochs; i++) {
        tlvk_logs logs;
        get(b, &logs, sizeof logs);
        if (b->failed) return tlvk__fail(TLVK_ERROR_FORMAT, "%s ends too early", path);
        /* One output has no parts of its own, and neither has an epoch without samples. */
        const bool good = logs.samples >= 0 && (logs.outputs == 0 || (outputs > 1 && logs.outputs == outputs));
        st = good ? tlvk__history_add(h, &logs) : tlvk__fail(TLVK_ERROR_FORMAT, "%s is damaged: epoch %llu of its history is none of %d outputs", path,
                                                             (unsigned long long)i, outputs);
    }
    return st;
}

/* The choices that the fit went by, a new table, and the size of its parts. */
static tlvk_status get_choices(bytes *b, const char *path, tlvk__choices **out, int64_t *part) {
    uint64_t count = 0;
    size_t from, each = tlvk__choices_entry_bytes();
    *part = 0;
    if (b->form >= FORM_WITH_CHOICES) get(b, &count, sizeof count);
    from = b->at;
    skip(b, count, each);
    size_t end = b->at;
    if (b->form >= FORM) get(b, part, sizeof *part);
    if (b->failed) return tlvk__fail(TLVK_ERROR_FORMAT, "%s ends too early", path);
    *out = tlvk__choices_create();
    if (!*out) return tlvk__fail(TLVK_ERROR_MEMORY, "checkpoint: no memory");
    tlvk_status st = tlvk__choices_read(*out, b->data + from, end - from);
    if (!st && (*part < 0 || *part > INT32_MAX)) st = tlvk__fail(TLVK_ERROR_FORMAT, "its size of parts is none that a training can have");
    return st ? tlvk__fail_context(st, "%s is damaged", path) : TLVK_OK;
}

/* Do the variables and slots from here to the end fit this training's? Nothing is taken. */
static tlvk_status check_rest(bytes b, const char *path, const tlvk__session *s, uint32_t slots) {
    uint32_t count, has_best;
    tlvk__variable *trained;
    get(&b, &count, sizeof count);
    get(&b, &has_best, sizeof has_best);
    int wanted = moving_variables(s, NULL, 0);
    if (!b.failed && count != (uint32_t)wanted) return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s holds %u variables, this training has %d: another model or other frozen layers", path, count, wanted);
    for (int i = 0; i < wanted; i++) {
        const tlvk__variable *v = tlvk__session_moving(s, i);
        uint64_t elements;
        get(&b, &elements, sizeof elements);
        if (b.failed || elements != v->elements) return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: variable %d (%s) has another size", path, i, v->name);
        skip(&b, elements, sizeof(float));
        if (has_best) skip(&b, elements, sizeof(float));
    }
    for (int i = 0; tlvk__session_trained(s, i, &trained); i++) {
        for (uint32_t k = 0; k < slots; k++) skip(&b, trained->elements, sizeof(float));
    }
    if (b.failed) return tlvk__fail(TLVK_ERROR_FORMAT, "%s ends too early", path);
    return b.at == b.size ? TLVK_OK : tlvk__fail(TLVK_ERROR_FORMAT, "%s goes on behind its end", path);
}

static tlvk_status get_variables(bytes *b, tlvk__session *s, float **best, bool *best_there) {
    uint32_t count, has_best;
    get(b, &count, sizeof count);
    get(b, &has_best, sizeof has_best);
    *best_there = has_best;
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < (int)count; i++) {
        tlvk__variable *v = tlvk__session_moving(s, i);
        uint64_t elements;
        get(b, &elements, sizeof elements);
        float *values = tlvk__calloc(v->elements, sizeof *values);
        if (!values) return tlvk__fail(TLVK_ERROR_MEMORY, "checkpoint: no memory");
        get(b, values, v->elements * sizeof *values);
        if (!b->failed) st = tlvk__variable_set(v, values);
        if (has_best) get(b, best ? best[i] : values, v->elements * sizeof *values);
        free(values);
    }
    return st;
}

static tlvk_status get_slots(bytes *b, tlvk__session *s, int slots) {
    tlvk__variable *v;
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && tlvk__session_trained(s, i, &v); i++) {
        float *dense = tlvk__calloc(v->elements, sizeof *dense);
        if (!dense) return tlvk__fail(TLVK_ERROR_MEMORY, "checkpoint: no memory");
        for (int k = 0; !st && k < slots; k++) {
            get(b, dense, v->elements * sizeof *dense);
            if (!b->failed) st = tlvk__session_write_slot(s, i, k, dense);
        }
        free(dense);
    }
    return st;
}

/* What stands before the variables. The hash was right, so that what ends early here was never whole. */
static tlvk_status get_head(bytes *b, const char *path, const tlvk__session *session, const tlvk__training *training, const tlvk__progress *own,
                            tlvk__progress *p, tlvk_history *h) {
    tlvk_optimizer optimizer;
    uint32_t slots, outputs, wanted = output_count(session);
    uint64_t epochs;
    get(b, p, sizeof *p);
    get(b, &optimizer, sizeof optimizer);
    get(b, &slots, sizeof slots);
    get(b, &outputs, sizeof outputs);
    get(b, &epochs, sizeof epochs);
    if (b->failed) return tlvk__fail(TLVK_ERROR_FORMAT, "%s ends too early", path);
    if (optimizer.kind != training->optimizer.kind || slots != (uint32_t)tlvk__optimizer_slots(&training->optimizer)) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s was written with another optimizer", path);
    }
    if ((p->scaling.scale != 0) != training->mixed) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s was written in %s precision, this training is in %s", path, training->mixed ? "fp32" : "mixed", training->mixed ? "mixed" : "fp32");
    }
    if (outputs != wanted) return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s was written by a model with %u outputs, this one has %u", path, outputs, wanted);
    tlvk_status st = check_progress(path, p, own, epochs, (int)outputs);
    return st ? st : get_history(b, path, h, epochs, (int)outputs);
}

tlvk_status tlvk__checkpoint_read(const char *path, tlvk__session *session, const tlvk__training *training, tlvk__progress *p, tlvk_history *h, float **best) {
    bytes b = { 0 };
    void *data = NULL;
    int slots = tlvk__optimizer_slots(&training->optimizer);
    bool best_there = false;
    tlvk__choices *choices = NULL;
    int64_t part = 0;
    tlvk__progress stored;
    tlvk_status st = tlvk__file_read(path, &data, &b.size, CHECKPOINT_LIMIT);
    b.data = data;
    if (!st) st = check_file(path, &b);
    if (!st) st = get_head(&b, path, session, training, p, &stored, h);
    if (!st) st = get_choices(&b, path, &choices, &part);
    if (!st) st = check_rest(b, path, session, (uint32_t)slots);
    if (!st) {
        st = tlvk__session_go_on(session, choices, part);
        choices = NULL;
    }
    if (!st) st = get_variables(&b, session, best, &best_there);
    if (!st) st = tlvk__session_upload(session);
    if (!st) st = get_slots(&b, session, slots);
    if (!st) st = tlvk__session_write_scaling(session, &stored.scaling);
    tlvk__choices_destroy(choices);
    free(data);
    if (st) return st;
    stored.data_size = p->data_size;
    stored.batch = p->batch;
    if (!best_there) stored.best_score = (double)NAN; /* a fit that did not keep the best weights has written this */
    *p = stored;
    return TLVK_OK;
}
