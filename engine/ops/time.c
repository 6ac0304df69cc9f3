/* time.c - see time.h. The memory of a case is filled with numbers that nothing can take a shortcut for, and with no denormals. */
#include "ops/time.h"

#include <stdlib.h>
#include <string.h>

#define HALF_BITS 0x3f000000u /* 0.5f, for variables: a variance may be none of the others */
#define PATTERN_FLOATS ((uint64_t)1 << 20)
#define TIMED_TENSORS (3 * TLVK__MAX_INPUTS + 2 * TLVK__MAX_VARIABLES + 8)

typedef struct timed {
    tlvk__device *device;
    const tlvk__op *op;
    const tlvk__op_case *c;
    tlvk__buffer *pattern;
    tlvk__tensor tensors[TIMED_TENSORS]; tlvk__span spans[TIMED_TENSORS]; tlvk__buffer *buffers[TIMED_TENSORS]; bool varied[TIMED_TENSORS]; int count;
    tlvk__tensor scale_shift[2]; tlvk__span halves[2];
    tlvk__op_call call;
} timed;

/* --- times ---------------------------------------------------------------------------------------------------------------------------- */

bool tlvk__times_enough(const tlvk__times *t) {
    const tlvk__effort *e = &t->effort;
    if (t->runs == TLVK__MOST_RUNS || (t->runs > 0 && e->limit_seconds > 0 && t->total_ms >= e->limit_seconds * 1e3)) return true;
    return e->repeats > 0 ? t->runs >= e->repeats : t->runs >= TLVK__LEAST_RUNS && t->total_ms >= e->seconds * 1e3;
}

/* Kept in ascending order. */
void tlvk__times_add(tlvk__times *t, double ms) {
    int i = t->runs++;
    for (; i > 0 && t->ms[i - 1] > ms; i--) t->ms[i] = t->ms[i - 1];
    t->ms[i] = ms;
    t->total_ms += ms;
}

double tlvk__times_min(const tlvk__times *t) { return t->runs ? t->ms[0] : 0; }
double tlvk__times_median(const tlvk__times *t) { return t->runs ? t->ms[t->runs / 2] : 0; }

/* --- one case ------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status make_span(timed *t, uint64_t bytes, tlvk__span *out) {
    int i = t->count;
    tlvk_status st = tlvk__buffer_create(t->device, TLVK__BUFFER_DEVICE, TLVK__MAX(bytes, (uint64_t)16), "timing", &t->buffers[i]);
    if (st) return st;
    t->count++;
    *out = t->spans[i] = (tlvk__span){ .buffer = t->buffers[i], .bytes = TLVK__MAX(bytes, (uint64_t)16) };
    return TLVK_OK;
}

static tlvk_status store(timed *t, const tlvk__tensor *sizes, const tlvk__tensor **out) {
    int i = t->count;
    uint64_t bytes;
    tlvk__span span;
    if (!tlvk__tensor_bytes(sizes, &bytes)) return tlvk__fail(TLVK_ERROR_MEMORY, "a tensor is too large to count");
    tlvk_status st = make_span(t, bytes, &span);
    if (st) return st;
    t->tensors[i] = *sizes;
    t->tensors[i].segment_n = sizes->n;
    t->tensors[i].segment_count = 1;
    t->tensors[i].segments = &t->spans[i];
    *out = &t->tensors[i];
    return TLVK_OK;
}

static tlvk_status activation_tensor(timed *t, const tlvk__shape *shape, const tlvk__tensor **out) {
    tlvk__tensor sizes;
    tlvk_status st = tlvk__tensor_from_shape(shape, &sizes);
    t->varied[t->count] = true;
    return st ? st : store(t, &sizes, out);
}

static tlvk_status make_tensors(timed *t, int pass) {
    tlvk__op_call *call = &t->call;
    const tlvk__op_case *c = t->c;
    tlvk__shape y;
    tlvk_status st = t->op->shape(c->attrs.bytes, c->inputs, c->x, &y);
    for (int i = 0; !st && i < c->inputs; i++) {
        st = activation_tensor(t, &c->x[i], &call->x[i]);
        if (!st && pass == 1) st = activation_tensor(t, &c->x[i], &call->dx[i]);
    }
    if (!st) st = activation_tensor(t, &y, &call->y);
    if (!st && pass > 0) st = activation_tensor(t, &y, &call->dy);
    tlvk__variable_spec specs[TLVK__MAX_VARIABLES];
    int variables = !st && t->op->variables ? t->op->variables(c->attrs.bytes, c->inputs, c->x, specs) : 0;
    for (int i = 0; !st && i < variables; i++) {
        tlvk__tensor sizes;
        st = tlvk__variable_layout(&specs[i].shape, specs[i].layout, &sizes);
        if (!st) st = store(t, &sizes, &call->w[i]);
        if (!st && pass == 2 && specs[i].trainable) st = store(t, &sizes, &call->dw[i]);
    }
    return st;
}

/* One behind the other in one buffer, as the planner lays them. */
static tlvk_status make_scale_shift(timed *t) {
    tlvk__tensor v;
    tlvk_status st = tlvk__variable_layout(&(tlvk__shape){ .rank = 1, .dim = { t->call.y->c } }, TLVK__LAYOUT_VECTOR, &v);
    uint64_t bytes;
    if (!st && !tlvk__tensor_bytes(&v, &bytes)) st = tlvk__fail(TLVK_ERROR_MEMORY, "a tensor is too large to count");
    if (st) return st;
    bytes = tlvk__round_up(bytes, 256);
    tlvk__span both;
    st = make_span(t, 2 * bytes, &both);
    for (int i = 0; !st && i < 2; i++) {
        t->halves[i] = (tlvk__span){ .buffer = both.buffer, .offset = (uint64_t)i * bytes, .bytes = bytes };
        t->scale_shift[i] = v;
        t->scale_shift[i].segment_n = v.n;
        t->scale_shift[i].segment_count = 1;
        t->scale_shift[i].segments = &t->halves[i];
    }
    t->call.epilogue.scale = &t->scale_shift[0];
    t->call.epilogue.shift = &t->scale_shift[1];
    return st;
}

/* With a residual a backward gets dy before the activation. */
static tlvk_status make_residual(timed *t, int pass) {
    if (pass > 0) t->call.epilogue.activation = tlvk__activation_of(TLVK_LINEAR);
    if (pass > 0 || !t->op->residual || !t->op->residual(tlvk__device_caps(t->device), &t->call)) return TLVK_OK;
    tlvk__shape y;
    tlvk_status st = t->op->shape(t->c->attrs.bytes, t->c->inputs, t->c->x, &y);
    return st ? st : activation_tensor(t, &y, &t->call.epilogue.residual);
}

static tlvk_status make_call(timed *t, int pass) {
    tlvk__op_call *call = &t->call;
    call->attrs = t->c->attrs.bytes;
    call->layer = t->c->name;
    call->training = t->c->training;
    call->mixed = t->c->mixed;
    call->inputs = t->c->inputs;
    call->epilogue.activation = t->c->epilogue;
    tlvk_status st = make_tensors(t, pass);
    if (!st && t->c->scale_shift) st = make_scale_shift(t);
    if (!st && t->c->residual) st = make_residual(t, pass);
    tlvk__op_needs needs;
    memset(&needs, 0, sizeof needs);
    if (!st && t->op->needs) st = t->op->needs(tlvk__device_caps(t->device), call, pass == 1, pass == 2, &needs);
    for (int i = 0; !st && i < TLVK__MAX_AUX; i++) {
        if (needs.aux_bytes[i]) st = make_span(t, needs.aux_bytes[i], &call->aux[i]);
    }
    uint64_t scratch = TLVK__MAX(needs.forward_scratch_bytes, needs.backward_scratch_bytes);
    if (!st && scratch) st = make_span(t, scratch, &call->scratch);
    if (!st && needs.packed_bytes) st = make_span(t, needs.packed_bytes, &call->packed);
    return st ? st : make_span(t, sizeof(tlvk__step_params), &call->step_params);
}

/* Numbers in (-1, 1) on the host side of `pattern`. */
static tlvk_status make_pattern(timed *t) {
    tlvk_status st = tlvk__buffer_create(t->device, TLVK__BUFFER_UPLOAD, PATTERN_FLOATS * sizeof(float), "timing", &t->pattern);
    if (st) return st;
    float *values = tlvk__buffer_map(t->pattern);
    tlvk__rng rng;
    tlvk__rng_seed(&rng, 1, 1);
    for (uint64_t i = 0; i < PATTERN_FLOATS; i++) values[i] = ((float)(tlvk__rng_u32(&rng) >> 8) + 0.5f) * 0x1p-23f - 1.0f;
    return tlvk__buffer_flush(t->pattern, 0, PATTERN_FLOATS * sizeof(float));
}

static tlvk_status record_fill(timed *t, tlvk__recorder *r, int i) {
    if (!t->varied[i]) return tlvk__record_fill(r, t->spans[i], HALF_BITS);
    tlvk_status st = TLVK_OK;
    for (uint64_t at = 0; !st && at < t->spans[i].bytes; at += PATTERN_FLOATS * sizeof(float)) {
        uint64_t bytes = TLVK__MIN(t->spans[i].bytes - at, PATTERN_FLOATS * sizeof(float));
        st = tlvk__record_copy(r, (tlvk__span){ .buffer = t->pattern, .bytes = bytes }, (tlvk__span){ .buffer = t->spans[i].buffer, .offset = at, .bytes = bytes });
    }
    return st;
}

/* What stands before the timed pass: contents, packed weights, and the forward that a backward reads from. */
static tlvk_status record_preparation(timed *t, tlvk__recorder *r) {
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < t->count; i++) st = record_fill(t, r, i);
    if (!st && t->op->pack && t->call.packed.buffer) st = t->op->pack(r, &t->call);
    return st ? st : t->op->forward(r, &t->call);
}

static tlvk_status record(timed *t, int pass, bool preparation, tlvk__recording **out) {
    tlvk__recorder *r;
    tlvk_status st = tlvk__recorder_create(t->device, NULL, &r);
    if (st) return st;
    tlvk_status planned = preparation ? record_preparation(t, r) : pass > 0 ? t->op->backward(r, &t->call) : t->op->forward(r, &t->call);
    st = tlvk__recorder_finish(r, out);
    return planned ? planned : st;
}

static tlvk_status run(timed *t, int pass, tlvk__times *times) {
    tlvk__recording *preparation = NULL, *timed_recording = NULL;
    tlvk_status st = make_pattern(t);
    if (!st) st = record(t, pass, true, &preparation);
    if (!st) st = tlvk__recording_run(preparation);
    if (!st) st = record(t, pass, false, &timed_recording);
    if (!st) st = tlvk__recording_run(timed_recording); /* compiles */
    if (!st) times->dispatches = tlvk__recording_count(timed_recording);
    while (!st && !tlvk__times_enough(times)) {
        st = tlvk__recording_run(timed_recording);
        if (!st) tlvk__times_add(times, tlvk__recording_ms(timed_recording));
    }
    tlvk__recording_destroy(preparation);
    tlvk__recording_destroy(timed_recording);
    return st;
}

tlvk_status tlvk__time_case(tlvk__device *d, const tlvk__op *op, const tlvk__op_case *c, int pass, tlvk__times *times, double *flops, bool *there) {
    tlvk__variable_spec specs[TLVK__MAX_VARIABLES];
    bool weights = op->variables && op->variables(c->attrs.bytes, c->inputs, c->x, specs) > 0;
    *there = !op->parts && op->forward && (pass == 0 || op->backward) && (pass != 2 || weights);
    if (!*there) return TLVK_OK;
    timed *t = tlvk__calloc(1, sizeof *t);
    if (!t) return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory", c->name);
    t->device = d;
    t->op = op;
    t->c = c;
    tlvk_status st = make_call(t, pass);
    if (!st) st = run(t, pass, times);
    *flops = op->flops ? op->flops(&t->call) : 0;
    for (int i = 0; i < t->count; i++) tlvk__buffer_destroy(t->buffers[i]);
    tlvk__buffer_destroy(t->pattern);
    free(t);
    return st;
}
