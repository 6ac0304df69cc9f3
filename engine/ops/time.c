/* time.c - how long one direction of one case takes on a device: a warm recording of that direction alone, timed from submit to done. */
#include "core/platform.h"
#include "ops/op.h"

#include <stdlib.h>
#include <string.h>

#define HALF_BITS 0x3f000000u /* 0.5f: plain numbers, so that no time goes into denormals or NaN */
#define TIMED_TENSORS (3 * TLVK__MAX_INPUTS + 2 * TLVK__MAX_VARIABLES + 8)

typedef struct timed {
    tlvk__device *device;
    const tlvk__op *op;
    const tlvk__op_case *c;
    tlvk__tensor tensors[TIMED_TENSORS]; tlvk__span spans[TIMED_TENSORS]; tlvk__buffer *buffers[TIMED_TENSORS]; int count;
    tlvk__op_call call;
} timed;

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
    return st ? st : store(t, &sizes, out);
}

static tlvk_status make_tensors(timed *t, int direction) {
    tlvk__op_call *call = &t->call;
    const tlvk__op_case *c = t->c;
    tlvk__shape y;
    tlvk_status st = t->op->shape(c->attrs.bytes, c->inputs, c->x, &y);
    for (int i = 0; !st && i < c->inputs; i++) {
        st = activation_tensor(t, &c->x[i], &call->x[i]);
        if (!st && direction == 1) st = activation_tensor(t, &c->x[i], &call->dx[i]);
    }
    if (!st) st = activation_tensor(t, &y, &call->y);
    if (!st && direction > 0) st = activation_tensor(t, &y, &call->dy);
    tlvk__variable_spec specs[TLVK__MAX_VARIABLES];
    int variables = !st && t->op->variables ? t->op->variables(c->attrs.bytes, c->inputs, c->x, specs) : 0;
    for (int i = 0; !st && i < variables; i++) {
        tlvk__tensor sizes;
        st = tlvk__variable_layout(&specs[i].shape, specs[i].layout, &sizes);
        if (!st) st = store(t, &sizes, &call->w[i]);
        if (!st && direction == 2 && specs[i].trainable) st = store(t, &sizes, &call->dw[i]);
    }
    return st;
}

static tlvk_status make_call(timed *t, int direction) {
    tlvk__op_call *call = &t->call;
    call->attrs = t->c->attrs.bytes;
    call->layer = t->c->name;
    call->training = t->c->training;
    call->inputs = t->c->inputs;
    call->epilogue.activation = t->c->epilogue;
    tlvk_status st = make_tensors(t, direction);
    tlvk__op_needs needs;
    memset(&needs, 0, sizeof needs);
    if (!st && t->op->needs) st = t->op->needs(tlvk__device_caps(t->device), call, direction == 1, direction == 2, &needs);
    for (int i = 0; !st && i < TLVK__MAX_AUX; i++) {
        if (needs.aux_bytes[i]) st = make_span(t, needs.aux_bytes[i], &call->aux[i]);
    }
    uint64_t scratch = TLVK__MAX(needs.forward_scratch_bytes, needs.backward_scratch_bytes);
    if (!st && scratch) st = make_span(t, scratch, &call->scratch);
    if (!st && needs.packed_bytes) st = make_span(t, needs.packed_bytes, &call->packed);
    return st ? st : make_span(t, sizeof(tlvk__step_params), &call->step_params);
}

static tlvk_status record(timed *t, int direction, bool prepare, tlvk__recording **out) {
    tlvk__recorder *r;
    tlvk_status st = tlvk__recorder_create(t->device, NULL, &r);
    if (st) return st;
    tlvk_status planned = TLVK_OK;
    for (int i = 0; prepare && !planned && i < t->count; i++) planned = tlvk__record_fill(r, t->spans[i], HALF_BITS);
    if (!planned && prepare && t->op->pack && t->call.packed.buffer) planned = t->op->pack(r, &t->call);
    if (!planned && (prepare || direction == 0)) planned = t->op->forward(r, &t->call); /* a backward reads what forward keeps */
    if (!planned && !prepare && direction > 0) planned = t->op->backward(r, &t->call);
    st = tlvk__recorder_finish(r, out);
    return planned ? planned : st;
}

static tlvk_status run(timed *t, int direction, int repeats, double *ms) {
    tlvk__recording *prepare = NULL, *timed_recording = NULL;
    tlvk_status st = record(t, direction, true, &prepare);
    if (!st) st = tlvk__recording_run(prepare);
    if (!st) st = record(t, direction, false, &timed_recording);
    if (!st) st = tlvk__recording_run(timed_recording);
    for (int i = 0; !st && i < repeats; i++) {
        double began = tlvk__now_seconds();
        st = tlvk__recording_run(timed_recording);
        ms[i] = (tlvk__now_seconds() - began) * 1e3;
    }
    tlvk__recording_destroy(prepare);
    tlvk__recording_destroy(timed_recording);
    return st;
}

tlvk_status tlvk__time_case(tlvk__device *d, const tlvk__op *op, const tlvk__op_case *c, int direction, int repeats, double *ms, double *flops, bool *there) {
    tlvk__variable_spec specs[TLVK__MAX_VARIABLES];
    bool weights = op->variables && op->variables(c->attrs.bytes, c->inputs, c->x, specs) > 0;
    *there = !op->parts && op->forward && (direction == 0 || op->backward) && (direction != 2 || weights);
    if (!*there) return TLVK_OK;
    timed *t = tlvk__calloc(1, sizeof *t);
    if (!t) return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory", c->name);
    t->device = d;
    t->op = op;
    t->c = c;
    tlvk_status st = make_call(t, direction);
    if (!st) st = run(t, direction, repeats, ms);
    *flops = op->flops ? op->flops(&t->call) : 0;
    for (int i = 0; i < t->count; i++) tlvk__buffer_destroy(t->buffers[i]);
    free(t);
    return st;
}
