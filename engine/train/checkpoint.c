/* checkpoint.c - everything a fit needs to go on as if it had never stopped: trained variables, moving statistics, optimizer slots, where the
 * epoch stands, its sums, the history, and the best weights so far.
 *
 * Form: magic, then length-prefixed parts in a fixed order, then a 128-bit hash of all before it. Numbers are little-endian as the machine
 * writes them; a file from elsewhere, cut short or changed fails the hash and is refused before anything is touched. */
#include "train/training.h"

#include <stdlib.h>
#include <string.h>

static const char checkpoint_magic[8] = { 't', 'l', 'v', 'k', 'c', 'k', 'p', '3' };
#define CHECKPOINT_LIMIT ((size_t)1 << 36)

typedef struct bytes { unsigned char *data; size_t size, capacity, at; bool failed; } bytes;

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
    tlvk_status st = tlvk__session_read(session);
    uint32_t slots = (uint32_t)tlvk__optimizer_slots(&training->optimizer), outputs = output_count(session);
    uint64_t epochs = h->count;
    put(&b, checkpoint_magic, sizeof checkpoint_magic);
    put(&b, p, sizeof *p);
    put(&b, &training->optimizer, sizeof training->optimizer);
    put(&b, &slots, sizeof slots);
    put(&b, &outputs, sizeof outputs);
    put(&b, &epochs, sizeof epochs);
    put(&b, h->logs, h->count * sizeof *h->logs);
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
    if (b->size < sizeof checkpoint_magic + sizeof stored || memcmp(b->data, checkpoint_magic, sizeof checkpoint_magic) != 0) {
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s is not a checkpoint of this version", path);
    }
    b->size -= sizeof stored;
    memcpy(&stored, b->data + b->size, sizeof stored);
    tlvk__hash_init(&actual);
    tlvk__hash_add(&actual, b->data, b->size);
    if (memcmp(&stored, &actual, sizeof stored) != 0) return tlvk__fail(TLVK_ERROR_FORMAT, "%s is damaged: its content does not match its hash", path);
    b->at = sizeof checkpoint_magic;
    return TLVK_OK;
}

static void skip(bytes *b, uint64_t count, size_t size) {
    if (b->failed || (b->size - b->at) / size < count) b->failed = true;
    else b->at += (size_t)count * size;
}

/* Do the variables from here on fit this training's? Nothing is taken. */
static tlvk_status check_variables(bytes b, const char *path, const tlvk__session *s) {
    uint32_t count, has_best;
    get(&b, &count, sizeof count);
    get(&b, &has_best, sizeof has_best);
    int wanted = moving_variables(s, NULL, 0);
    if (!b.failed && (int)count != wanted) return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s holds %u variables, this training has %d: another model or other frozen layers", path, count, wanted);
    for (int i = 0; i < wanted; i++) {
        const tlvk__variable *v = tlvk__session_moving(s, i);
        uint64_t elements;
        get(&b, &elements, sizeof elements);
        if (b.failed || elements != v->elements) return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: variable %d (%s) has another size", path, i, v->name);
        skip(&b, elements, sizeof(float));
        if (has_best) skip(&b, elements, sizeof(float));
    }
    return b.failed ? tlvk__fail(TLVK_ERROR_FORMAT, "%s ends too early", path) : TLVK_OK;
}

static tlvk_status get_variables(bytes *b, tlvk__session *s, float **best) {
    uint32_t count, has_best;
    get(b, &count, sizeof count);
    get(b, &has_best, sizeof has_best);
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

tlvk_status tlvk__checkpoint_read(const char *path, tlvk__session *session, const tlvk__training *training, tlvk__progress *p, tlvk_history *h, float **best) {
    bytes b = { 0 };
    void *data = NULL;
    tlvk_status st = tlvk__file_read(path, &data, &b.size, CHECKPOINT_LIMIT);
    b.data = data;
    if (!st) st = check_file(path, &b);
    tlvk_optimizer optimizer;
    uint32_t slots = 0, outputs = 0;
    uint64_t epochs = 0;
    if (!st) {
        get(&b, p, sizeof *p);
        get(&b, &optimizer, sizeof optimizer);
        get(&b, &slots, sizeof slots);
        get(&b, &outputs, sizeof outputs);
        get(&b, &epochs, sizeof epochs);
        if (b.failed || optimizer.kind != training->optimizer.kind || (int)slots != tlvk__optimizer_slots(&training->optimizer)) {
            st = tlvk__fail(TLVK_ERROR_ARGUMENT, "%s was written with another optimizer", path);
        } else if (outputs != output_count(session)) {
            st = tlvk__fail(TLVK_ERROR_ARGUMENT, "%s was written by a model with %u outputs, this one has %u", path, outputs, output_count(session));
        }
    }
    h->count = 0;
    for (uint64_t i = 0; !st && i < epochs; i++) {
        tlvk_logs logs;
        get(&b, &logs, sizeof logs);
        st = b.failed ? TLVK_OK : tlvk__history_add(h, &logs);
        if (b.failed) break;
    }
    if (!st) st = check_variables(b, path, session);
    if (!st) st = get_variables(&b, session, best);
    if (!st) st = tlvk__session_upload(session);
    if (!st) st = get_slots(&b, session, (int)slots);
    if (!st && b.failed) st = tlvk__fail(TLVK_ERROR_FORMAT, "%s ends too early", path);
    free(data);
    return st;
}
