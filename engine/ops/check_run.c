/* check_run.c - making the tensors of one case of one operation, and recording and running it.
 *
 * Every number the device may write is first set to NaN, inputs included once the operation has said that its backward does not read
 * them; so what is read without being written, or not written, shows. */
#include "ops/check_run.h"

#include "ops/activation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* --- the run ------------------------------------------------------------------------------------------------------------------------------ */

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
    const uint32_t two_halves = 0x7e007e00u;
    tlvk_status s = TLVK_OK;
    for (int i = 0; !s && i < t->segment_count; i++)
        s = tlvk__record_fill(r, t->segments[i], t->half ? two_halves : TLVK__NAN_BITS);
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

tlvk__value *tlvk__check_value_at(check *k, int index) {
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
    for (int i = 0; !s && (a = tlvk__check_value_at(k, i)); i++)
        if (a->buffers)
            s = tlvk__tensor_write(k->d, &a->t, a->upload);
    for (int i = 0; !s && i < k->stage_count - 1; i++) {
        s = tlvk__tensor_write(k->d, &k->stages[i].mid.t, k->stages[i].mid.upload);
        if (!s && k->stages[i].dmid.buffers)
            s = tlvk__tensor_write(k->d, &k->stages[i].dmid.t, k->stages[i].dmid.upload);
    }
    if (!s)
        s = tlvk__recording_run(rec);
    for (int i = 0; !s && (a = tlvk__check_value_at(k, i)); i++)
        if (a->buffers)
            s = tlvk__tensor_read(k->d, &a->t, again ? a->again : a->result);
    return s;
}

tlvk_status tlvk__check_run(check *k, wants want, bool twice) {
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
        for (size_t v = 0; k->c->infinite && v < k->x[i].dense_count; v++)
            k->x[i].v[v] = v % 8 < 7 ? -INFINITY : k->x[i].v[v];
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

/* What the operation takes in fp16, where the case asks for it. Pieces are forced on weights too, and a product of parts adds to y. Between the parts of a composite operation lies fp32. */
static tlvk_status settle_halves(check *k, int64_t force) {
    const tlvk__caps *caps = tlvk__device_caps(k->d);
    tlvk_status s = TLVK_OK;
    for (int i = 0; k->c->half && tlvk__texel_operands(caps) && i < k->stage_count; i++) {
        tlvk__op_call call;
        fill_call(k, i, (wants){0}, &call);
        unsigned can = k->stages[i].op->halves ? k->stages[i].op->halves(caps, &call) : 0;
        bool last = i == k->stage_count - 1;
        for (int x = 0; !s && i == 0 && (can & TLVK__HALF_X) && x < k->c->inputs; x++)
            s = tlvk__value_halve(&k->x[x]);
        if (!s && last && (can & TLVK__HALF_X) && k->residual.buffers)
            s = tlvk__value_halve(&k->residual);
        k->y.t.half = last && (can & TLVK__HALF_Y) && !(force > 0 && (k->stages[i].op->flags & TLVK__OP_PRODUCT));
    }
    return s;
}

tlvk_status tlvk__check_prepare(check *k, uint64_t seed, int64_t force) {
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
    if (!s)
        s = settle_halves(k, force);
    return s ? s : make_room(k);
}

void tlvk__check_release(check *k) {
    tlvk__value *a;
    for (int i = 0; (a = tlvk__check_value_at(k, i)); i++)
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
