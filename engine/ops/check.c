/* check.c - one case of one operation, run on a device and held against the double reference.
 *
 * Every number the device may write is first set to NaN, inputs included once the operation has said that its backward does not read
 * them; so what is read without being written, or not written, shows. Recordings: forward alone; forward and backward; the same with
 * every gradient added to what is there; backward for the inputs alone and for the variables alone. The first two are run twice for
 * equal bits, and in inference mode the last sample is run alone: its bits may not depend on the batch. A composite operation is run as
 * the chain of its parts and held against its own reference. */
#include "ops/activation.h"
#include "ops/check_value.h"

#include <math.h>
#include <stdlib.h>
#include <stdio.h>

#define MAX_STAGES 4

/* --- the run ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct stage {
    const tlvk__op *op;
    const void *attrs;
    int variables[TLVK__MAX_VARIABLES], variable_count;
    tlvk__value mid, dmid; /* behind this stage; of the last stage unused */
    tlvk__span aux[TLVK__MAX_AUX], scratch, packed;
    tlvk__buffer *room[TLVK__MAX_AUX + 2];
} stage;

typedef struct check {
    tlvk__device *d;
    const tlvk__op *op;
    const tlvk__op_case *c;
    tlvk__check *result;
    tlvk__op_part parts[MAX_STAGES];
    stage stages[MAX_STAGES];
    int stage_count;
    tlvk__variable_spec specs[TLVK__MAX_VARIABLES];
    int variable_count;
    tlvk__value x[TLVK__MAX_INPUTS], dx[TLVK__MAX_INPUTS];
    tlvk__value w[TLVK__MAX_VARIABLES], dw[TLVK__MAX_VARIABLES];
    tlvk__value y, g, dz, scale, shift, residual; /* g: gradient behind the epilogue; dz: before it, where an epilogue is told back */
    bool epilogue, epilogue_backward;
    bool slope;           /* the operation's backward takes the activation's slope itself */
    tlvk__step_params step;
    tlvk__buffer *step_buffer;
    double *pre, *e_pre;  /* what stands before the activation and its bound, for the epilogue's slope */
} check;

static bool has_backward(const check *k) {
    return k->stages[0].op->backward != NULL;
}

static bool trainable(const check *k, int i) {
    return k->specs[i].trainable;
}

/* Which gradients a recording asks for. */
typedef struct wants { bool backward, dx, dw, accumulate; } wants;

static const tlvk__value *stage_input(const check *k, int s, int i) {
    return s == 0 ? &k->x[i] : &k->stages[s - 1].mid;
}

static void fill_call(const check *k, int s, wants want, tlvk__op_call *call) {
    const stage *st = &k->stages[s];
    bool last = s == k->stage_count - 1;
    *call = (tlvk__op_call){
        .attrs = st->attrs, .layer = "check", .training = k->c->training, .mixed = k->c->mixed, .stream = 3, .inputs = s == 0 ? k->c->inputs : 1,
        .y = last ? &k->y.t : &st->mid.t, .scratch = st->scratch, .packed = st->packed,
        .step_params = {k->step_buffer, 0, sizeof(tlvk__step_params)},
        .epilogue = {.activation = last && k->epilogue && (!want.backward || k->slope) ? k->c->epilogue : tlvk__activation_of(TLVK_LINEAR),
                     .scale = last && k->epilogue && k->c->scale_shift ? &k->scale.t : NULL,
                     .shift = last && k->epilogue && k->c->scale_shift ? &k->shift.t : NULL,
                     .residual = last && k->residual.buffers && !want.backward ? &k->residual.t : NULL},
    };
    memcpy(call->aux, st->aux, sizeof call->aux);
    for (int i = 0; i < call->inputs; i++)
        call->x[i] = &stage_input(k, s, i)->t;
    for (int i = 0; i < st->variable_count; i++)
        call->w[i] = &k->w[st->variables[i]].t;
    if (!want.backward)
        return;
    call->dy = last ? (k->epilogue_backward ? &k->dz.t : &k->g.t) : &st->dmid.t;
    for (int i = 0; i < call->inputs; i++)
        if (s > 0 || want.dx) {
            call->dx[i] = s > 0 ? &k->stages[s - 1].dmid.t : &k->dx[i].t;
            call->dx_accumulate[i] = s == 0 && want.accumulate;
        }
    for (int i = 0; want.dw && i < st->variable_count; i++)
        if (trainable(k, st->variables[i])) {
            call->dw[i] = &k->dw[st->variables[i]].t;
            call->dw_accumulate[i] = want.accumulate;
        }
}

static tlvk_status fill_nan(tlvk__recorder *r, const tlvk__tensor *t) {
    tlvk_status s = TLVK_OK;
    for (int i = 0; !s && i < t->segment_count; i++)
        s = tlvk__record_fill(r, t->segments[i], TLVK__NAN_BITS);
    return s;
}

static tlvk_status fill_span(tlvk__recorder *r, tlvk__span span) {
    return span.buffer ? tlvk__record_fill(r, span, TLVK__NAN_BITS) : TLVK_OK;
}

static tlvk_status record_forward(const check *k, tlvk__recorder *r) {
    tlvk_status s = TLVK_OK;
    for (int i = 0; !s && i < k->stage_count; i++) {
        const stage *st = &k->stages[i];
        tlvk__op_call call;
        fill_call(k, i, (wants){0}, &call);
        for (int a = 0; !s && a < TLVK__MAX_AUX; a++)
            s = fill_span(r, st->aux[a]);
        if (!s)
            s = fill_span(r, st->packed);
        if (!s)
            s = fill_span(r, st->scratch);
        if (!s && st->op->pack)
            s = st->op->pack(r, &call);
        if (!s)
            s = st->op->forward(r, &call);
    }
    return s;
}

static tlvk_status record_backward(const check *k, tlvk__recorder *r, wants want) {
    tlvk_status s = TLVK_OK;
    if (k->epilogue_backward)
        s = tlvk__record_activation_backward(r, &k->c->epilogue, &k->y.t, &k->g.t, k->c->scale_shift ? &k->scale.t : NULL, &k->dz.t, "check");
    for (int i = k->stage_count - 1; !s && i >= 0; i--) {
        const stage *st = &k->stages[i];
        tlvk__op_call call;
        fill_call(k, i, want, &call);
        bool dx = i > 0 || want.dx, dw = false;
        for (int v = 0; v < st->variable_count; v++)
            dw = dw || call.dw[v];
        if (!dx && !dw)
            break;
        unsigned reads = st->op->backward_reads ? st->op->backward_reads(st->attrs, k->c->training, dx, dw) : 0;
        for (int x = 0; !s && !(reads & TLVK__READS_X) && x < call.inputs; x++)
            s = fill_nan(r, call.x[x]);
        if (!s && !(reads & TLVK__READS_Y) && !(k->slope && !k->c->training))
            s = fill_nan(r, call.y);
        if (!s)
            s = fill_span(r, st->scratch);
        if (!s)
            s = st->op->backward(r, &call);
    }
    return s;
}

/* Every value that recordings read or write, in turn; NULL past the last. */
static tlvk__value *value_at(check *k, int index) {
    tlvk__value *fixed[] = {&k->y, &k->g, &k->dz, &k->scale, &k->shift, &k->residual};
    if (index < (int)TLVK__COUNT(fixed))
        return fixed[index];
    index -= (int)TLVK__COUNT(fixed);
    if (index < 2 * k->c->inputs)
        return index % 2 ? &k->dx[index / 2] : &k->x[index / 2];
    index -= 2 * k->c->inputs;
    if (index < 2 * k->variable_count)
        return index % 2 ? &k->dw[index / 2] : &k->w[index / 2];
    return NULL;
}

/* Writes all inputs, runs the recording, reads all values into `result` or `again`. */
static tlvk_status run(check *k, tlvk__recording *rec, bool again) {
    tlvk_status s = TLVK_OK;
    tlvk__value *a;
    for (int i = 0; !s && (a = value_at(k, i)); i++)
        if (a->buffers)
            s = tlvk__tensor_write(k->d, &a->t, a->upload);
    for (int i = 0; !s && i < k->stage_count - 1; i++) {
        s = tlvk__tensor_write(k->d, &k->stages[i].mid.t, k->stages[i].mid.upload);
        if (!s && k->stages[i].dmid.buffers)
            s = tlvk__tensor_write(k->d, &k->stages[i].dmid.t, k->stages[i].dmid.upload);
    }
    if (!s)
        s = tlvk__recording_run(rec);
    for (int i = 0; !s && (a = value_at(k, i)); i++)
        if (a->buffers)
            s = tlvk__tensor_read(k->d, &a->t, again ? a->again : a->result);
    return s;
}

static tlvk_status run_recorded(check *k, wants want, bool twice) {
    tlvk__recorder *r;
    tlvk__recording *rec = NULL;
    tlvk_status s = tlvk__recorder_create(k->d, NULL, &r);
    if (s)
        return s;
    s = record_forward(k, r);
    if (!s && want.backward)
        s = record_backward(k, r, want);
    if (s) {
        tlvk__recorder_destroy(r);
        return s;
    }
    s = tlvk__recorder_finish(r, &rec);
    if (!s)
        s = run(k, rec, false);
    if (!s && twice)
        s = run(k, rec, true);
    tlvk__recording_destroy(rec);
    return s;
}

/* --- preparing ---------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status make_stages(check *k) {
    if (!k->op->forward && k->op->parts) {
        k->stage_count = k->op->parts(&k->c->attrs, k->parts);
        for (int i = 0; i < k->stage_count; i++) {
            stage *s = &k->stages[i];
            s->op = k->parts[i].op;
            s->attrs = &k->parts[i].attrs;
            s->variable_count = k->parts[i].variable_count;
            memcpy(s->variables, k->parts[i].variables, sizeof s->variables);
        }
        return TLVK_OK;
    }
    k->stage_count = 1;
    k->stages[0] = (stage){.op = k->op, .attrs = &k->c->attrs, .variable_count = k->variable_count};
    for (int i = 0; i < k->variable_count; i++)
        k->stages[0].variables[i] = i;
    return k->op->forward ? TLVK_OK : tlvk__fail(TLVK_ERROR_INTERNAL, "%s has no forward to check", k->op->class_name);
}

static tlvk_status make_inputs(check *k, tlvk__rng *rng, int64_t force) {
    tlvk_status s = TLVK_OK;
    for (int i = 0; !s && i < k->c->inputs; i++) {
        char name[24];
        snprintf(name, sizeof name, "x%d", i);
        s = tlvk__value_create(k->d, name, &k->c->x[i], false, TLVK__LAYOUT_VECTOR, 2 * force, &k->x[i]);
        if (s)
            return s;
        if (k->c->distinct)
            tlvk__value_distinct(&k->x[i], rng);
        else
            tlvk__value_random(&k->x[i], rng, k->c->positive ? 0.1 : -1, 1);
        for (size_t v = 0; k->c->coarse && v < k->x[i].dense_count; v++)
            k->x[i].v[v] = round(k->x[i].v[v] * 4) / 4;
        for (size_t v = 0; v < k->x[i].dense_count; v++)
            k->x[i].v[v] = (float)(k->x[i].v[v] * (k->c->range > 0 ? (double)k->c->range : 1) + (double)k->c->offset);
        s = tlvk__value_set_upload(&k->x[i]);
        snprintf(name, sizeof name, "dx%d", i);
        if (!s && has_backward(k))
            s = tlvk__value_create(k->d, name, &k->c->x[i], false, TLVK__LAYOUT_VECTOR, force, &k->dx[i]);
    }
    for (int i = 0; !s && i < k->variable_count; i++) {
        const tlvk__variable_spec *spec = &k->specs[i];
        s = tlvk__value_create(k->d, spec->name, &spec->shape, true, spec->layout, 0, &k->w[i]);
        if (s)
            return s;
        /* A state that begins at one is a variance: it stays positive. */
        tlvk__value_random(&k->w[i], rng, !spec->trainable && spec->initializer.kind == TLVK_ONES ? 0.1 : -1, 1);
        s = tlvk__value_set_upload(&k->w[i]);
        char name[24];
        snprintf(name, sizeof name, "d%s", spec->name);
        if (!s && spec->trainable && has_backward(k))
            s = tlvk__value_create(k->d, name, &spec->shape, true, spec->layout, 0, &k->dw[i]);
        k->dw[i].pieces = k->dx[0].t.segment_count;
    }
    return s;
}

static tlvk_status make_outputs(check *k, tlvk__rng *rng, int64_t force, const tlvk__shape *y) {
    tlvk_status s = tlvk__value_create(k->d, "y", y, false, TLVK__LAYOUT_VECTOR, 3 * force, &k->y);
    if (s)
        return s;
    tlvk__value_poison(&k->y);
    tlvk__shape vector = {.rank = 1, .dim = {y->dim[y->rank - 1]}};
    if (k->epilogue && k->c->scale_shift) {
        s = tlvk__value_create(k->d, "scale", &vector, true, TLVK__LAYOUT_VECTOR, 0, &k->scale);
        if (!s)
            s = tlvk__value_create(k->d, "shift", &vector, true, TLVK__LAYOUT_VECTOR, 0, &k->shift);
        if (s)
            return s;
        tlvk__value_random(&k->scale, rng, -1.5, 1.5);
        tlvk__value_random(&k->shift, rng, -1, 1);
        s = tlvk__value_set_upload(&k->scale);
        if (!s)
            s = tlvk__value_set_upload(&k->shift);
    }
    if (!s && k->epilogue && k->c->residual) {
        s = tlvk__value_create(k->d, "residual", y, false, TLVK__LAYOUT_VECTOR, force, &k->residual);
        if (s)
            return s;
        tlvk__value_random(&k->residual, rng, -1, 1);
        s = tlvk__value_set_upload(&k->residual);
    }
    if (!s && has_backward(k)) {
        s = tlvk__value_create(k->d, "g", y, false, TLVK__LAYOUT_VECTOR, 2 * force, &k->g);
        if (s)
            return s;
        tlvk__value_random(&k->g, rng, -1, 1);
        s = tlvk__value_set_upload(&k->g);
        if (!s && (k->epilogue_backward || k->slope)) {
            s = tlvk__value_create(k->d, "dz", y, false, TLVK__LAYOUT_VECTOR, force, &k->dz);
            if (!s)
                tlvk__value_poison(&k->dz);
        }
    }
    return s;
}

/* Tensors between the parts of a composite operation. */
static tlvk_status make_middle(check *k, int64_t force) {
    tlvk__shape in = k->c->x[0];
    tlvk_status s = TLVK_OK;
    for (int i = 0; !s && i < k->stage_count - 1; i++) {
        stage *st = &k->stages[i];
        tlvk__shape out;
        s = st->op->shape(st->attrs, 1, &in, &out);
        if (!s)
            s = tlvk__value_create(k->d, "mid", &out, false, TLVK__LAYOUT_VECTOR, force, &st->mid);
        if (!s && has_backward(k))
            s = tlvk__value_create(k->d, "dmid", &out, false, TLVK__LAYOUT_VECTOR, 2 * force, &st->dmid);
        if (!s) {
            tlvk__value_poison(&st->mid);
            if (st->dmid.buffers)
                tlvk__value_poison(&st->dmid);
        }
        in = out;
    }
    return s;
}

static tlvk_status make_room(check *k) {
    tlvk_status s = TLVK_OK;
    for (int i = 0; !s && i < k->stage_count; i++) {
        stage *st = &k->stages[i];
        tlvk__op_call call;
        tlvk__op_needs needs = {0};
        wants all = {.backward = has_backward(k), .dx = has_backward(k), .dw = has_backward(k)};
        fill_call(k, i, all, &call);
        bool dw = false;
        for (int v = 0; v < st->variable_count; v++)
            dw = dw || call.dw[v];
        if (st->op->needs)
            s = st->op->needs(tlvk__device_caps(k->d), &call, has_backward(k), dw, &needs);
        uint64_t bytes[TLVK__MAX_AUX + 2];
        memcpy(bytes, needs.aux_bytes, sizeof needs.aux_bytes);
        bytes[TLVK__MAX_AUX] = TLVK__MAX(needs.forward_scratch_bytes, needs.backward_scratch_bytes);
        bytes[TLVK__MAX_AUX + 1] = needs.packed_bytes;
        for (int b = 0; !s && b < TLVK__MAX_AUX + 2; b++) {
            if (bytes[b] == 0)
                continue;
            s = tlvk__buffer_create(k->d, TLVK__BUFFER_DEVICE, 256 + bytes[b], "check", &st->room[b]);
            tlvk__span span = {st->room[b], 256, bytes[b]};
            *(b < TLVK__MAX_AUX ? &st->aux[b] : b == TLVK__MAX_AUX ? &st->scratch : &st->packed) = span;
        }
    }
    return s;
}

static tlvk_status make_step(check *k, uint64_t seed) {
    k->step = (tlvk__step_params){.seed = {(uint32_t)seed, (uint32_t)(seed >> 32)}, .step = {7, 0}, .learning_rate = 1e-3f, .rate = 1e-3f};
    tlvk_status s = tlvk__buffer_create(k->d, TLVK__BUFFER_DEVICE, sizeof k->step, "check", &k->step_buffer);
    return s ? s : tlvk__span_write(k->d, (tlvk__span){k->step_buffer, 0, sizeof k->step}, &k->step);
}

/* Where the operation adds no residual on this device, or in these sizes, the case runs without. */
static void drop_residual(check *k) {
    const stage *last = &k->stages[k->stage_count - 1];
    tlvk__op_call call;
    fill_call(k, k->stage_count - 1, (wants){0}, &call);
    if (k->residual.buffers && (!last->op->residual || !last->op->residual(tlvk__device_caps(k->d), &call)))
        tlvk__value_destroy(&k->residual);
}

static tlvk_status prepare(check *k, uint64_t seed, int64_t force) {
    tlvk__rng rng;
    tlvk__rng_seed(&rng, seed, 0x6f7073);
    tlvk__shape y;
    tlvk_status s = k->op->shape(&k->c->attrs, k->c->inputs, k->c->x, &y);
    if (s)
        return s;
    k->variable_count = k->op->variables ? k->op->variables(&k->c->attrs, k->c->inputs, k->c->x, k->specs) : 0;
    s = make_stages(k);
    if (s)
        return s;
    const tlvk__op *last = k->stages[k->stage_count - 1].op;
    k->epilogue = (last->flags & TLVK__OP_ANY_EPILOGUE) && (k->c->epilogue.kind != TLVK_LINEAR || k->c->scale_shift || k->c->residual);
    k->slope = k->epilogue && (last->flags & TLVK__OP_SLOPE) && has_backward(k) && !k->c->residual;
    k->epilogue_backward = k->epilogue && !k->slope && has_backward(k) && tlvk__activation_from_output(k->c->epilogue.kind);
    s = make_inputs(k, &rng, force);
    if (!s)
        s = make_outputs(k, &rng, force, &y);
    if (!s)
        s = make_middle(k, force);
    if (!s)
        s = make_step(k, seed);
    if (!s)
        drop_residual(k);
    return s ? s : make_room(k);
}

static void release(check *k) {
    tlvk__value *a;
    for (int i = 0; (a = value_at(k, i)); i++)
        tlvk__value_destroy(a);
    for (int i = 0; i < MAX_STAGES; i++) {
        tlvk__value_destroy(&k->stages[i].mid);
        tlvk__value_destroy(&k->stages[i].dmid);
        for (int b = 0; b < TLVK__MAX_AUX + 2; b++)
            tlvk__buffer_destroy(k->stages[i].room[b]);
    }
    tlvk__buffer_destroy(k->step_buffer);
    free(k->pre);
    free(k->e_pre);
}

/* --- forward ------------------------------------------------------------------------------------------------------------------------------ */

/* y = act(scale*z + shift) on the reference's z, keeping what stands before the activation for its slope. */
static tlvk_status reference_epilogue(check *k) {
    size_t c = (size_t)k->y.t.c;
    k->pre = tlvk__calloc(k->y.dense_count, sizeof(double));
    k->e_pre = tlvk__calloc(k->y.dense_count, sizeof(double));
    if (!k->pre || !k->e_pre)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a check of %zu floats", k->y.dense_count);
    for (size_t i = 0; i < k->y.dense_count; i++) {
        double z = k->y.v[i], e = k->y.e[i];
        if (k->c->scale_shift) {
            double scale = k->scale.v[i % c], shift = k->shift.v[i % c];
            e = fabs(scale) * e + 3 * TLVK__U * (fabs(scale * z) + fabs(shift));
            z = scale * z + shift;
        }
        if (k->residual.buffers) {
            e += TLVK__U * (fabs(z) + fabs(k->residual.v[i]));
            z += k->residual.v[i];
        }
        k->pre[i] = z;
        k->e_pre[i] = e;
        k->y.e[i] = tlvk__activation_bound(&k->c->epilogue, z, e);
        k->y.v[i] = tlvk__activation_value(&k->c->epilogue, z);
    }
    return TLVK_OK;
}

static void fill_ref(check *k, tlvk__ref_call *call, tlvk__ref_tensor room[2 * TLVK__MAX_INPUTS + 3 * TLVK__MAX_VARIABLES]) {
    *call = (tlvk__ref_call){.attrs = &k->c->attrs, .training = k->c->training, .mixed = k->c->mixed, .stream = 3, .step = &k->step, .caps = tlvk__device_caps(k->d), .inputs = k->c->inputs};
    for (int i = 0; i < k->c->inputs; i++) {
        *room = tlvk__value_ref(&k->x[i], false);
        call->x[i] = room++;
    }
    for (int i = 0; i < k->variable_count; i++) {
        *room = tlvk__value_ref(&k->w[i], false);
        call->w[i] = room++;
    }
}

/* Values of a state after a training forward, beside w's own. */
typedef struct states { double *v[TLVK__MAX_VARIABLES], *e[TLVK__MAX_VARIABLES]; } states;

static tlvk_status compare_states(check *k, const states *after) {
    for (int i = 0; i < k->variable_count; i++) {
        tlvk__value *w = &k->w[i], seen = *w;
        if (after->v[i]) {
            seen.v = after->v[i];
            seen.e = after->e[i];
            tlvk_status s = tlvk__value_compare(k->result, &seen, NULL, "after a training step");
            if (s)
                return s;
        } else if (memcmp(w->result, w->upload, w->padded_count * sizeof(float)) != 0) {
            tlvk__check_wrong(k->result, "forward, %s: a variable that is no state was changed", w->name);
        }
        tlvk__value_compare_bits(k->result, w, "forward");
    }
    return TLVK_OK;
}

static tlvk_status check_forward(check *k) {
    tlvk__ref_tensor room[2 * TLVK__MAX_INPUTS + 3 * TLVK__MAX_VARIABLES], y = tlvk__value_ref(&k->y, true), after_room[TLVK__MAX_VARIABLES];
    tlvk__ref_call call;
    states after = {0};
    tlvk_status s = TLVK_OK;
    fill_ref(k, &call, room);
    call.y = &y;
    for (int i = 0; !s && i < k->variable_count && k->c->training && (k->op->flags & TLVK__OP_STATE); i++) {
        if (trainable(k, i))
            continue;
        after.v[i] = tlvk__calloc(k->w[i].dense_count, sizeof(double));
        after.e[i] = tlvk__calloc(k->w[i].dense_count, sizeof(double));
        if (!after.v[i] || !after.e[i])
            s = tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a check of %zu floats", k->w[i].dense_count);
        after_room[i] = (tlvk__ref_tensor){k->w[i].shape, after.v[i], after.e[i]};
        call.w_after[i] = &after_room[i];
    }
    if (!s)
        s = k->op->reference_forward(&call);
    if (!s && k->epilogue)
        s = reference_epilogue(k);
    if (!s)
        s = run_recorded(k, (wants){0}, true);
    if (!s)
        s = tlvk__value_compare(k->result, &k->y, NULL, "forward");
    tlvk__value_compare_bits(k->result, &k->y, "forward");
    if (!s)
        s = compare_states(k, &after);
    const tlvk__op *op = k->stages[0].op;
    if (!s && k->stage_count == 1 && op->view && op->view(k->stages[0].attrs, k->c->training, &k->x[0].t, &k->y.t)
        && (k->x[0].padded_count != k->y.padded_count || memcmp(k->x[0].result, k->y.result, k->y.padded_count * sizeof(float)) != 0))
        tlvk__check_wrong(k->result, "forward: said to be a view of its input, but the output's memory differs");
    for (int i = 0; i < k->variable_count; i++) {
        free(after.v[i]);
        free(after.e[i]);
    }
    return s;
}

/* The last sample of the batch, alone on a second set of tensors, must give the bits it had among the others. */
static tlvk_status check_alone(const check *k, check *one, uint64_t seed) {
    tlvk_status s = prepare(one, seed, 0);
    if (s)
        return s;
    for (int i = 0; i < one->c->inputs; i++) {
        size_t sample = one->x[i].padded_count;
        memcpy(one->x[i].upload, k->x[i].upload + (k->x[i].padded_count - sample), sample * sizeof(float));
    }
    for (int i = 0; i < one->variable_count; i++)
        memcpy(one->w[i].upload, k->w[i].upload, one->w[i].padded_count * sizeof(float));
    if (one->scale.buffers) {
        memcpy(one->scale.upload, k->scale.upload, one->scale.padded_count * sizeof(float));
        memcpy(one->shift.upload, k->shift.upload, one->shift.padded_count * sizeof(float));
    }
    if (one->residual.buffers)
        memcpy(one->residual.upload, k->residual.upload + (k->residual.padded_count - one->residual.padded_count), one->residual.padded_count * sizeof(float));
    s = run_recorded(one, (wants){0}, false);
    size_t sample = one->y.padded_count;
    if (!s && memcmp(one->y.result, k->y.result + (k->y.padded_count - sample), sample * sizeof(float)) != 0)
        tlvk__check_wrong(one->result, "forward: the last sample alone gave other bits than in the batch");
    return s;
}

static tlvk_status check_independence(const check *k, uint64_t seed) {
    if (k->c->training || k->c->x[0].dim[0] < 2)
        return TLVK_OK;
    check *one = tlvk__calloc(1, sizeof *one);
    tlvk__op_case *c = tlvk__calloc(1, sizeof *c);
    tlvk_status s = one && c ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a check");
    if (!s) {
        *c = *k->c;
        for (int i = 0; i < c->inputs; i++)
            c->x[i].dim[0] = 1;
        *one = (check){.d = k->d, .op = k->op, .c = c, .result = k->result};
        s = check_alone(k, one, seed);
        release(one);
    }
    free(one);
    free(c);
    return s;
}

/* --- backward ----------------------------------------------------------------------------------------------------------------------------- */

/* dz = g * act' * scale against the device's, then the device's own dz, which are floats, stand in for it before the operation itself. */
static tlvk_status settle_epilogue_gradient(check *k) {
    size_t c = (size_t)k->dz.t.c;
    for (size_t i = 0; i < k->dz.dense_count; i++) {
        double scale = k->c->scale_shift ? k->scale.v[i % c] : 1;
        double slope = tlvk__activation_slope(&k->c->epilogue, k->pre[i]);
        double e = tlvk__activation_slope_bound(&k->c->epilogue, k->pre[i], k->e_pre[i], true);
        k->dz.v[i] = k->g.v[i] * slope * scale;
        k->dz.e[i] = fabs(k->g.v[i] * scale) * e + 3 * TLVK__U * fabs(k->dz.v[i]);
    }
    tlvk_status s = tlvk__value_compare(k->result, &k->dz, NULL, "gradient before the epilogue");
    float *dense = s ? NULL : tlvk__calloc(k->dz.dense_count, sizeof(float));
    if (!s && !dense)
        s = tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a check of %zu floats", k->dz.dense_count);
    if (dense) {
        tlvk__value_unpad(&k->dz, k->dz.result, dense);
        for (size_t i = 0; i < k->dz.dense_count; i++)
            k->dz.v[i] = (double)dense[i];
    }
    free(dense);
    return s;
}

/* The same where the operation's own backward takes the slope: dz with its error is what its reference is given. At a kink, where rounding decides which
 * slope the device takes, nothing comes back. */
static tlvk_status expect_slope(check *k) {
    bool from_output = !k->c->training;
    for (size_t i = 0; i < k->dz.dense_count; i++) {
        double slope = tlvk__activation_slope(&k->c->epilogue, k->pre[i]);
        double e = tlvk__activation_slope_bound(&k->c->epilogue, k->pre[i], k->e_pre[i], from_output);
        if (e > 0.01)
            k->g.v[i] = 0;
        k->dz.v[i] = k->g.v[i] * slope;
        k->dz.e[i] = fabs(k->g.v[i]) * e + 2 * TLVK__U * fabs(k->dz.v[i]);
    }
    return tlvk__value_set_upload(&k->g);
}

static tlvk_status reference_backward(check *k) {
    tlvk__ref_tensor room[2 * TLVK__MAX_INPUTS + 3 * TLVK__MAX_VARIABLES], grads[TLVK__MAX_INPUTS + TLVK__MAX_VARIABLES], *next = grads;
    tlvk__ref_tensor dy = tlvk__value_ref(k->epilogue_backward || k->slope ? &k->dz : &k->g, k->slope);
    tlvk__ref_call call;
    fill_ref(k, &call, room);
    call.dy = &dy;
    for (int i = 0; i < k->c->inputs; i++) {
        *next = tlvk__value_ref(&k->dx[i], true);
        call.dx[i] = next++;
    }
    for (int i = 0; i < k->variable_count; i++)
        if (trainable(k, i)) {
            *next = tlvk__value_ref(&k->dw[i], true);
            call.dw[i] = next++;
        }
    return k->op->reference_backward(&call);
}

static tlvk__value *gradient_at(check *k, int i) {
    return i < k->c->inputs ? &k->dx[i] : &k->dw[i - k->c->inputs];
}

/* Runs with what `want` says and compares those gradients; what is not wanted must stay as uploaded. */
static tlvk_status check_wants(check *k, wants want, bool twice, const char *when) {
    tlvk_status s = run_recorded(k, want, twice);
    for (int i = 0; !s && i < k->c->inputs + k->variable_count; i++) {
        tlvk__value *a = gradient_at(k, i);
        bool wanted = i < k->c->inputs ? want.dx : want.dw;
        if (!a->buffers)
            continue;
        if (!wanted && memcmp(a->result, a->upload, a->padded_count * sizeof(float)) != 0)
            tlvk__check_wrong(k->result, "%s, %s: written though not wanted", when, a->name);
        if (wanted)
            s = tlvk__value_compare(k->result, a, NULL, when);
        if (twice)
            tlvk__value_compare_bits(k->result, a, when);
    }
    return s;
}

static tlvk_status check_accumulate(check *k, uint64_t seed) {
    tlvk__rng rng;
    tlvk__rng_seed(&rng, seed, 0x616363);
    double *priors[TLVK__MAX_INPUTS + TLVK__MAX_VARIABLES] = {0};
    tlvk_status s = TLVK_OK;
    int count = k->c->inputs + k->variable_count;
    for (int i = 0; !s && i < count; i++) {
        tlvk__value *a = gradient_at(k, i);
        if (!a->buffers)
            continue;
        double *expected = a->v;
        priors[i] = tlvk__calloc(a->dense_count, sizeof(double));
        if (!priors[i]) {
            s = tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a check of %zu floats", a->dense_count);
            break;
        }
        a->v = priors[i];
        tlvk__value_random(a, &rng, -1, 1);
        s = tlvk__value_set_upload(a);
        a->v = expected;
    }
    if (!s)
        s = run_recorded(k, (wants){.backward = true, .dx = true, .dw = true, .accumulate = true}, false);
    for (int i = 0; i < count; i++) {
        if (!s && priors[i])
            s = tlvk__value_compare(k->result, gradient_at(k, i), priors[i], "accumulating backward");
        free(priors[i]);
    }
    return s;
}

static tlvk_status check_backward(check *k, uint64_t seed) {
    for (int i = 0; i < k->c->inputs + k->variable_count; i++)
        if (gradient_at(k, i)->buffers)
            tlvk__value_poison(gradient_at(k, i));
    wants all = {.backward = true, .dx = true, .dw = true};
    tlvk_status s = k->slope ? expect_slope(k) : TLVK_OK;
    if (!s)
        s = run_recorded(k, all, false);
    if (!s && k->epilogue_backward)
        s = settle_epilogue_gradient(k);
    if (!s)
        s = reference_backward(k);
    if (!s)
        s = check_wants(k, all, true, "backward");
    bool variables = false;
    for (int i = 0; i < k->variable_count; i++)
        variables = variables || trainable(k, i);
    if (!s && variables) {
        s = check_wants(k, (wants){.backward = true, .dx = true}, false, "backward for the inputs alone");
        if (!s)
            s = check_wants(k, (wants){.backward = true, .dw = true}, false, "backward for the variables alone");
    }
    return s ? s : check_accumulate(k, seed);
}

tlvk_status tlvk__check_case(tlvk__device *d, const tlvk__op *op, const tlvk__op_case *c, uint64_t seed, int64_t force_piece_samples,
                             tlvk__check *result) {
    *result = (tlvk__check){.ok = true};
    check *k = tlvk__calloc(1, sizeof *k);
    if (!k)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a check");
    k->d = d;
    k->op = op;
    k->c = c;
    k->result = result;
    tlvk__force_pieces(force_piece_samples);
    tlvk_status s = prepare(k, seed, TLVK__MAX(force_piece_samples, 0));
    if (!s)
        s = check_forward(k);
    if (!s)
        s = check_independence(k, seed);
    if (!s && has_backward(k))
        s = check_backward(k, seed);
    tlvk__force_pieces(0);
    release(k);
    free(k);
    return s ? tlvk__fail_context(s, "%s, case \"%s\"", op->class_name, c->name) : TLVK_OK;
}
