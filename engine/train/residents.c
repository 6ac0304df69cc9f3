/* residents.c - see residents.h. */
#include "train/residents.h"

#include <stdlib.h>
#include <string.h>

#define LARGEST_CHUNK (UINT64_C(1) << 30)
#define BLOCK_BYTES (TLVK__BLOCK * sizeof(float))

tlvk__resident *tlvk__residents_find(const tlvk__residents *r, const tlvk__variable *v) {
    for (int i = 0; i < r->count; i++) {
        if (r->list[i].variable == v) return &r->list[i];
    }
    return NULL;
}

tlvk__resident *tlvk__residents_trained(const tlvk__residents *r, int index) {
    for (int i = 0; i < r->count; i++) {
        if (r->list[i].trained && index-- == 0) return &r->list[i];
    }
    return NULL;
}

tlvk_status tlvk__residents_add(tlvk__residents *r, const char *layer, tlvk__variable *v, bool trained, bool moving) {
    tlvk__resident *known = tlvk__residents_find(r, v);
    if (known) {
        known->trained |= trained;
        known->moving |= moving || trained;
        return TLVK_OK;
    }
    tlvk__resident *grown = tlvk__grow(r->list, &r->capacity, (size_t)r->count + 1, sizeof *r->list);
    if (!grown) return tlvk__fail(TLVK_ERROR_MEMORY, "variables: no memory");
    r->list = grown;
    tlvk__resident *e = &r->list[r->count];
    tlvk_status st = tlvk__variable_layout(&v->spec.shape, v->spec.layout, &e->w);
    if (st) return tlvk__fail_context(st, "%s: %s", layer, v->name);
    e->layer = layer;
    e->variable = tlvk__variable_retain(v);
    e->trained = trained;
    e->moving = moving || trained;
    r->count++;
    return TLVK_OK;
}

static tlvk_status make_segments(tlvk__resident *e, int64_t rows_per_segment) {
    int count = (int)tlvk__div_up(e->w.n, rows_per_segment);
    e->w_segments = tlvk__calloc((size_t)count, sizeof *e->w_segments);
    e->dw_segments = tlvk__calloc((size_t)count, sizeof *e->dw_segments);
    e->chunk = tlvk__calloc((size_t)count, sizeof *e->chunk);
    e->chunk_offset = tlvk__calloc((size_t)count, sizeof *e->chunk_offset);
    if (!e->w_segments || !e->dw_segments || !e->chunk || !e->chunk_offset) return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory", e->variable->name);
    e->w.segment_n = rows_per_segment;
    e->w.segment_count = count;
    e->w.segments = e->w_segments;
    e->dw = e->w;
    e->dw.segments = e->dw_segments;
    return TLVK_OK;
}

static uint64_t segment_bytes(const tlvk__resident *e, int segment) {
    int64_t rows = TLVK__MIN(e->w.segment_n, e->w.n - (int64_t)segment * e->w.segment_n);
    return (uint64_t)(rows * e->w.pitch) * sizeof(float);
}

/* Rows of one segment: all, or as many as fit in multiples of four, since the kernels read rows of weights in fours. */
static int64_t rows_within(const tlvk__resident *e, uint64_t limit) {
    int64_t rows = (int64_t)(limit / ((uint64_t)e->w.pitch * sizeof(float)));
    return rows >= e->w.n ? e->w.n : rows / TLVK__LANES * TLVK__LANES;
}

static void expect_constant(tlvk__residents *r, const tlvk__resident *e) {
    for (int i = 0; i < e->w.segment_count; i++) r->pool.expected += tlvk__pool_round(segment_bytes(e, i));
}

static tlvk_status place_constant(tlvk__residents *r, tlvk__resident *e) {
    const tlvk__caps *caps = tlvk__device_caps(r->device);
    int64_t rows = rows_within(e, TLVK__MIN(caps->max_allocation_bytes, LARGEST_CHUNK));
    if (rows < 1) return tlvk__fail(TLVK_ERROR_MEMORY, "%s: one row of %lld numbers of its %s is larger than the device allocates", e->layer, (long long)e->w.pitch, e->variable->name);
    tlvk_status st = make_segments(e, rows);
    if (!st) expect_constant(r, e);
    return st;
}

/* First fit in order: a variable goes behind the one before it where the chunk still has room, else opens the next. */
static tlvk_status place_trained(tlvk__residents *r, tlvk__resident *e) {
    const tlvk__caps *caps = tlvk__device_caps(r->device);
    uint64_t limit = TLVK__MIN(TLVK__MIN(caps->max_binding_bytes, caps->max_allocation_bytes), LARGEST_CHUNK) / BLOCK_BYTES * BLOCK_BYTES;
    int64_t rows = rows_within(e, limit);
    if (rows < 1) return tlvk__fail(TLVK_ERROR_MEMORY, "%s: one row of %lld numbers of its %s is larger than a binding of the device", e->layer, (long long)e->w.pitch, e->variable->name);
    tlvk_status st = make_segments(e, rows);
    for (int i = 0; !st && i < e->w.segment_count; i++) {
        uint64_t bytes = tlvk__round_up(segment_bytes(e, i), BLOCK_BYTES);
        if (r->chunk_count == 0 || r->chunk_bytes[r->chunk_count - 1] + bytes > limit) {
            uint64_t *grown = realloc(r->chunk_bytes, ((size_t)r->chunk_count + 1) * sizeof *grown);
            if (!grown) return tlvk__fail(TLVK_ERROR_MEMORY, "variables: no memory");
            r->chunk_bytes = grown;
            r->chunk_bytes[r->chunk_count++] = 0;
        }
        e->chunk[i] = r->chunk_count - 1;
        e->chunk_offset[i] = r->chunk_bytes[r->chunk_count - 1];
        r->chunk_bytes[r->chunk_count - 1] += bytes;
    }
    return st;
}

static tlvk_status fill_table(tlvk__residents *r, int chunk, const tlvk_optimizer *o) {
    tlvk__chunk *c = &r->chunks[chunk];
    tlvk__block_row *rows = tlvk__calloc(c->blocks, sizeof *rows);
    if (!rows) return tlvk__fail(TLVK_ERROR_MEMORY, "variables: no memory");
    uint32_t number = 0;
    for (int i = 0; i < r->count; i++) {
        const tlvk__resident *e = &r->list[i];
        if (!e->trained) continue;
        for (int k = 0; k < e->w.segment_count; k++) {
            if (e->chunk[k] != chunk) continue;
            uint64_t first = e->chunk_offset[k] / BLOCK_BYTES, count = tlvk__round_up(segment_bytes(e, k), BLOCK_BYTES) / BLOCK_BYTES;
            for (uint64_t b = first; b < first + count; b++) {
                rows[b] = (tlvk__block_row){ .l1 = e->variable->spec.regularizer.l1, .l2 = e->variable->spec.regularizer.l2,
                                             .weight_decay = o->weight_decay, .rate_factor = 1, .variable = (float)number };
            }
        }
        number++;
    }
    tlvk_status st = tlvk__span_write(r->device, c->table, rows);
    free(rows);
    return st;
}

static tlvk_status zero_span(tlvk__device *d, tlvk__span span) {
    tlvk__recorder *rec = NULL;
    tlvk__recording *recording = NULL;
    tlvk_status st = tlvk__recorder_create(d, NULL, &rec);
    if (st) return st;
    tlvk__record_fill(rec, span, 0);
    st = tlvk__recorder_finish(rec, &recording);
    if (!st) st = tlvk__recording_run(recording);
    tlvk__recording_destroy(recording);
    return st;
}

static uint64_t table_bytes(const tlvk__chunk *c) { return c->blocks * sizeof(tlvk__block_row); }

static tlvk_status make_chunk(tlvk__residents *r, int index, const tlvk_optimizer *o) {
    static const char *const what[6] = { "weights", "gradients", "optimizer state", "optimizer state", "optimizer state", "optimizer table" };
    tlvk__chunk *c = &r->chunks[index];
    tlvk__span *spans[6] = { &c->w, &c->dw, &c->slots[0], &c->slots[1], &c->slots[2], &c->table };
    for (int k = 0; k < 6; k++) {
        if (k >= 2 + r->slots && k < 5) continue;
        uint64_t bytes = k == 5 ? table_bytes(c) : r->chunk_bytes[index];
        tlvk_status st = tlvk__buffer_create(r->device, TLVK__BUFFER_DEVICE, bytes, what[k], &r->buffers[index][k]);
        if (st) return st;
        *spans[k] = (tlvk__span){ .buffer = r->buffers[index][k], .offset = 0, .bytes = bytes };
        if (k < 5 && (st = zero_span(r->device, *spans[k]))) return st;
    }
    return fill_table(r, index, o);
}

static tlvk_status make_chunks(tlvk__residents *r, const tlvk_optimizer *o) {
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < r->chunk_count; i++) st = make_chunk(r, i, o);
    for (int i = 0; !st && i < r->count; i++) {
        tlvk__resident *e = &r->list[i];
        for (int k = 0; e->trained && k < e->w.segment_count; k++) {
            const tlvk__chunk *c = &r->chunks[e->chunk[k]];
            e->w_segments[k] = (tlvk__span){ .buffer = c->w.buffer, .offset = e->chunk_offset[k], .bytes = segment_bytes(e, k) };
            e->dw_segments[k] = (tlvk__span){ .buffer = c->dw.buffer, .offset = e->chunk_offset[k], .bytes = segment_bytes(e, k) };
        }
    }
    return st;
}

tlvk_status tlvk__residents_lay_out(tlvk__residents *r, const tlvk_optimizer *optimizer) {
    r->pool.device = r->device;
    r->pool.what = "weights";
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < r->count; i++) {
        tlvk__resident *e = &r->list[i];
        st = e->trained ? place_trained(r, e) : place_constant(r, e);
        r->trained_count += e->trained;
        r->regularized |= e->trained && (e->variable->spec.regularizer.l1 != 0 || e->variable->spec.regularizer.l2 != 0);
        for (int k = 0; !st && k < e->w.segment_count; k++) r->largest = TLVK__MAX(r->largest, segment_bytes(e, k));
    }
    if (st || r->chunk_count == 0) return st;
    r->slots = tlvk__optimizer_slots(optimizer);
    r->chunks = tlvk__calloc((size_t)r->chunk_count, sizeof *r->chunks);
    r->buffers = tlvk__calloc((size_t)r->chunk_count, sizeof *r->buffers);
    if (!r->chunks || !r->buffers) return tlvk__fail(TLVK_ERROR_MEMORY, "variables: no memory");
    for (int i = 0; i < r->chunk_count; i++) r->chunks[i].blocks = (uint32_t)(r->chunk_bytes[i] / BLOCK_BYTES);
    return TLVK_OK;
}

void tlvk__residents_bytes(const tlvk__residents *r, uint64_t *weights, uint64_t *gradients, uint64_t *state) {
    *weights = tlvk__pool_bytes(&r->pool) + r->pool.expected;
    *gradients = *state = 0;
    for (int i = 0; i < r->chunk_count; i++) {
        *weights += r->chunk_bytes[i];
        *gradients += r->chunk_bytes[i];
        *state += (uint64_t)r->slots * r->chunk_bytes[i] + table_bytes(&r->chunks[i]);
    }
}

static void free_buffers(tlvk__residents *r) {
    for (int i = 0; i < r->chunk_count && r->buffers; i++) {
        for (int k = 0; k < 6; k++) {
            tlvk__buffer_destroy(r->buffers[i][k]);
            r->buffers[i][k] = NULL;
        }
    }
    tlvk__pool_free(&r->pool);
}

void tlvk__residents_release(tlvk__residents *r) {
    free_buffers(r);
    r->pool.device = r->device;
    r->pool.what = "weights";
    for (int i = 0; i < r->count; i++) {
        if (!r->list[i].trained) expect_constant(r, &r->list[i]);
    }
}

tlvk_status tlvk__residents_allocate(tlvk__residents *r, const tlvk_optimizer *optimizer) {
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < r->count; i++) {
        tlvk__resident *e = &r->list[i];
        for (int k = 0; !st && !e->trained && k < e->w.segment_count; k++) st = tlvk__pool_take(&r->pool, segment_bytes(e, k), &e->w_segments[k]);
    }
    if (!st) st = make_chunks(r, optimizer);
    return st ? st : tlvk__residents_upload(r, true);
}

static tlvk_status padded_floats(const tlvk__resident *e, float **out) {
    *out = tlvk__calloc((size_t)e->w.n, (size_t)e->w.pitch * sizeof(float));
    return *out ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for the %lld x %lld numbers of its %s", e->layer, (long long)e->w.n, (long long)e->w.pitch, e->variable->name);
}

static tlvk_status write_dense(tlvk__residents *r, const tlvk__resident *e, const tlvk__tensor *to, const float *dense) {
    float *padded;
    tlvk_status st = padded_floats(e, &padded);
    if (st) return st;
    tlvk__variable_pack(&e->variable->spec.shape, e->variable->spec.layout, dense, padded);
    st = tlvk__tensor_write(r->device, to, padded);
    free(padded);
    return st;
}

static tlvk_status read_dense(tlvk__residents *r, const tlvk__resident *e, const tlvk__tensor *from, float *dense) {
    float *padded;
    tlvk_status st = padded_floats(e, &padded);
    if (st) return st;
    st = tlvk__tensor_read(r->device, from, padded);
    if (!st) tlvk__variable_unpack(&e->variable->spec.shape, e->variable->spec.layout, padded, dense);
    free(padded);
    return st;
}

tlvk_status tlvk__residents_upload(tlvk__residents *r, bool everything) {
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < r->count; i++) {
        tlvk__resident *e = &r->list[i];
        if (!everything && !e->moving && e->version == e->variable->version) continue;
        const float *values;
        st = tlvk__variable_values(e->variable, &values);
        if (!st) st = write_dense(r, e, &e->w, values);
        e->version = e->variable->version;
    }
    return st;
}

tlvk_status tlvk__residents_read(tlvk__residents *r) {
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < r->count; i++) {
        tlvk__resident *e = &r->list[i];
        if (!e->moving) continue;
        float *dense = tlvk__calloc(e->variable->elements, sizeof *dense);
        if (!dense) return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory", e->variable->name);
        st = read_dense(r, e, &e->w, dense);
        if (!st) st = tlvk__variable_set(e->variable, dense);
        e->version = e->variable->version;
        free(dense);
    }
    return st;
}

/* The tensor of a gradient (slot -1) or an optimizer slot: the weight's segments in another buffer of the same chunk. */
static tlvk_status with_slot(tlvk__residents *r, const tlvk__resident *e, int slot, tlvk__tensor *t, tlvk__span **segments) {
    *segments = tlvk__calloc((size_t)e->w.segment_count, sizeof **segments);
    if (!*segments) return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory", e->variable->name);
    for (int k = 0; k < e->w.segment_count; k++) {
        const tlvk__chunk *c = &r->chunks[e->chunk[k]];
        (*segments)[k] = e->dw_segments[k];
        (*segments)[k].buffer = slot < 0 ? c->dw.buffer : c->slots[slot].buffer;
    }
    *t = e->w;
    t->segments = *segments;
    return TLVK_OK;
}

tlvk_status tlvk__residents_get(tlvk__residents *r, tlvk__resident *v, int slot, float *dense) {
    tlvk__tensor t;
    tlvk__span *segments;
    tlvk_status st = with_slot(r, v, slot, &t, &segments);
    if (!st) st = read_dense(r, v, &t, dense);
    free(segments);
    return st;
}

tlvk_status tlvk__residents_put(tlvk__residents *r, tlvk__resident *v, int slot, const float *dense) {
    tlvk__tensor t;
    tlvk__span *segments;
    tlvk_status st = with_slot(r, v, slot, &t, &segments);
    if (!st) st = write_dense(r, v, &t, dense);
    free(segments);
    return st;
}

void tlvk__residents_free(tlvk__residents *r) {
    for (int i = 0; i < r->count; i++) {
        tlvk__resident *e = &r->list[i];
        free(e->w_segments);
        free(e->dw_segments);
        free(e->chunk);
        free(e->chunk_offset);
        tlvk__variable_release(e->variable);
    }
    free_buffers(r);
    free(r->list);
    free(r->chunks);
    free(r->buffers);
    free(r->chunk_bytes);
    memset(r, 0, sizeof *r);
}
