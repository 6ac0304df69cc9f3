/* check.c - one case of one operation, run on a device (check_run.c) and held against the double reference.
 *
 * Recordings: forward alone; forward and backward; the same with every gradient added to what is there; backward for the inputs alone and for
 * the variables alone. The first two are run twice for equal bits, and in inference mode the last sample is run alone: its bits may not depend on
 * the batch. What lies in fp16 is run in fp32 beside it: what is stored is the other's numbers rounded, what is read gives the other's bits. A
 * composite operation is run as the chain of its parts and held against its own reference. */
#include "ops/activation.h"
#include "ops/check_run.h"

#include <math.h>
#include <stdlib.h>

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
    *call = (tlvk__ref_call){.attrs = &k->c->attrs, .training = k->c->training, .mixed = k->c->mixed, .half = k->y.t.half, .stream = 3, .step = &k->step, .caps = tlvk__device_caps(k->d), .inputs = k->c->inputs};
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
    for (size_t i = 0; k->y.t.half && i < k->y.dense_count; i++) {
        k->y.v[i] = fmax(fmin(k->y.v[i], TLVK__HALF_MOST), -TLVK__HALF_MOST);
        k->y.e[i] += tlvk__half_error(TLVK__MIN(fabs(k->y.v[i]) + k->y.e[i], TLVK__HALF_MOST));
    }
    if (!s)
        s = tlvk__check_run(k, (wants){0}, true);
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
static tlvk_status check_alone(const check *k, check *one, uint64_t seed, int64_t force) {
    tlvk_status s = tlvk__check_prepare(one, seed, force);
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
    s = tlvk__check_run(one, (wants){0}, false);
    size_t sample = one->y.padded_count;
    if (!s && memcmp(one->y.result, k->y.result + (k->y.padded_count - sample), sample * sizeof(float)) != 0)
        tlvk__check_wrong(one->result, "forward: the last sample alone gave other bits than in the batch");
    return s;
}

static tlvk_status check_independence(const check *k, uint64_t seed, int64_t force) {
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
        s = check_alone(k, one, seed, force);
        tlvk__check_release(one);
    }
    free(one);
    free(c);
    return s;
}

/* --- backward ----------------------------------------------------------------------------------------------------------------------------- */

/* What y's storage adds to the doubt about the number that the slope is told from. */
static double stored(const check *k, size_t i) { return k->y.t.half ? tlvk__activation_half_argument(&k->c->epilogue, k->pre[i]) : 0; }

/* dz = g * act' * scale against the device's, then the device's own dz, which are floats, stand in for it before the operation itself. */
static tlvk_status settle_epilogue_gradient(check *k) {
    size_t c = (size_t)k->dz.t.c;
    for (size_t i = 0; i < k->dz.dense_count; i++) {
        double scale = k->c->scale_shift ? k->scale.v[i % c] : 1;
        double slope = tlvk__activation_slope(&k->c->epilogue, k->pre[i]);
        double e = tlvk__activation_slope_bound(&k->c->epilogue, k->pre[i], k->e_pre[i] + stored(k, i), true);
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
        double e = tlvk__activation_slope_bound(&k->c->epilogue, k->pre[i], k->e_pre[i] + (from_output ? stored(k, i) : 0), from_output);
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
    tlvk_status s = tlvk__check_run(k, want, twice);
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
        s = tlvk__check_run(k, (wants){.backward = true, .dx = true, .dw = true, .accumulate = true}, false);
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
        s = tlvk__check_run(k, all, false);
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

/* --- storage ------------------------------------------------------------------------------------------------------------------------------ */

static bool backward_reads_y(const check *k) {
    const stage *last = &k->stages[k->stage_count - 1];
    bool told = k->c->epilogue.kind != TLVK_LINEAR && (k->epilogue_backward || (k->slope && !k->c->training));
    return told || (last->op->backward_reads && (last->op->backward_reads(last->attrs, k->c->training, true, true) & TLVK__READS_Y));
}

/* `one` has the tensors of k in fp32. */
static tlvk_status compare_storage(check *k, check *one) {
    tlvk__value *a, *b;
    for (int i = 0; (a = tlvk__check_value_at(k, i)) && (b = tlvk__check_value_at(one, i)); i++)
        if (a->buffers)
            memcpy(b->upload, a->upload, a->padded_count * sizeof(float));
    wants want = {.backward = has_backward(k), .dx = has_backward(k), .dw = has_backward(k)};
    tlvk_status s = tlvk__check_run(k, (wants){0}, false);
    if (!s)
        s = tlvk__check_run(one, (wants){0}, false);
    if (!s && k->y.t.half)
        tlvk__value_compare_rounded(k->result, &k->y, one->y.result, "stored");
    if (s || !want.backward || (k->y.t.half && backward_reads_y(k)))
        return s;
    s = tlvk__check_run(k, want, false);
    if (!s)
        s = tlvk__check_run(one, want, false);
    for (int i = 0; !s && i < k->c->inputs + k->variable_count; i++) {
        a = gradient_at(k, i);
        if (a->buffers && memcmp(a->result, gradient_at(one, i)->result, a->padded_count * sizeof(float)) != 0)
            tlvk__check_wrong(k->result, "backward, %s: other bits from fp16 than from the same numbers in fp32", a->name);
    }
    return s;
}

/* The same numbers in fp32 on a second set of tensors. Another compiler may make other bits of two forms of a shader. */
static tlvk_status check_storage(check *k, uint64_t seed, int64_t force) {
    if (!tlvk__on_processor(tlvk__device_caps(k->d)) || (!k->x[0].t.half && !k->y.t.half))
        return TLVK_OK;
    check *one = tlvk__calloc(1, sizeof *one);
    tlvk__op_case *c = tlvk__calloc(1, sizeof *c);
    tlvk_status s = one && c ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a check");
    if (!s) {
        *c = *k->c;
        c->half = false;
        *one = (check){.d = k->d, .op = k->op, .c = c, .result = k->result};
        s = tlvk__check_prepare(one, seed, force);
        if (!s)
            s = compare_storage(k, one);
        tlvk__check_release(one);
    }
    free(one);
    free(c);
    return s;
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
    tlvk_status s = tlvk__check_prepare(k, seed, TLVK__MAX(force_piece_samples, 0));
    if (!s)
        s = check_forward(k);
    if (!s)
        s = check_independence(k, seed, TLVK__MAX(force_piece_samples, 0));
    if (!s && has_backward(k))
        s = check_backward(k, seed);
    if (!s)
        s = check_storage(k, seed, TLVK__MAX(force_piece_samples, 0));
    tlvk__force_pieces(0);
    tlvk__check_release(k);
    free(k);
    return s ? tlvk__fail_context(s, "%s, case \"%s\"", op->class_name, c->name) : TLVK_OK;
}
