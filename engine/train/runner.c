/* runner.c - one network in one mode at one batch: plans, and two slots each with its own recording and host memory.
 * Addresses are baked into a recording, so while one slot's step runs on the device the host fills the other. A batch that is done in parts is one
 * recording all the same, in which the parts follow each other: gradients are stored by the first and added to by the others, and the update stands
 * behind the last. */
#include "train/session_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tlvk__runner_slot {
    tlvk__buffer *upload, *download;
    float *upload_map, *download_map;
    tlvk__plan_io *io;                                 /* one per part */
    float metrics[TLVK_MAX_IO * TLVK__METRIC_WORDS];   /* of all parts together, after a wait */
    tlvk__recording *recording;
    bool in_flight;
} runner_slot;

static uint64_t tensor_bytes(const tlvk__tensor *t) { return (uint64_t)t->n * (uint64_t)tlvk__sample_floats(t) * sizeof(float); }

/* Lays regions one behind the other, each at a multiple of 256 bytes. */
static tlvk__span take(uint64_t *at, uint64_t bytes) {
    tlvk__span span = { .offset = *at, .bytes = bytes };
    *at += tlvk__round_up(bytes, 256);
    return span;
}

static int output_count(const tlvk__runner *r) { return r->session->flats[r->network].output_count; }

/* Where the parts' inputs, targets and results lie; io may be NULL, for the sizes alone. */
static void lay_out(const tlvk__runner *r, tlvk__plan_io *io, uint64_t *up, uint64_t *down) {
    *up = *down = 0;
    tlvk__span step_params = take(up, sizeof(tlvk__step_params)), front_params = take(up, sizeof(tlvk__step_params));
    for (int part = 0; part < r->parts.count; part++) {
        const tlvk__plan *plan = tlvk__part_plan(&r->parts, part);
        tlvk__plan_io p = { .step_params = step_params, .front_params = front_params };
        for (int i = 0; i < r->input_count; i++) p.inputs[i] = take(up, tensor_bytes(tlvk__plan_input(plan, i)));
        const tlvk__tensor *target = tlvk__plan_target(plan, 0);
        for (int i = 0; target && i < output_count(r); i++) p.targets[i] = take(up, tensor_bytes(tlvk__plan_target(plan, i)));
        if (target) p.sample_weight = take(up, (uint64_t)target->n * TLVK__LANES * sizeof(float));
        p.metrics = take(down, (uint64_t)TLVK__MAX(output_count(r), 1) * TLVK__METRIC_WORDS * sizeof(float));
        for (int i = 0; i < output_count(r) && r->mode == TLVK__PLAN_PREDICT; i++) p.outputs[i] = take(down, tensor_bytes(tlvk__plan_output(plan, i)));
        if (io) io[part] = p;
    }
}

uint64_t tlvk__runner_staging_bytes(const tlvk__runner *r) {
    uint64_t up, down;
    lay_out(r, NULL, &up, &down);
    return TLVK__SLOTS * (up + down);
}

static void bind_io(const tlvk__runner *r, const runner_slot *slot, int part) {
    tlvk__plan_io *io = &slot->io[part];
    for (int i = 0; i < TLVK_MAX_IO; i++) {
        io->inputs[i].buffer = io->targets[i].buffer = slot->upload;
        io->outputs[i].buffer = slot->download;
    }
    io->step_params.buffer = io->front_params.buffer = io->sample_weight.buffer = slot->upload;
    io->metrics.buffer = slot->download;
    io->update = &r->session->update;
    io->first_sample = (int64_t)part * r->parts.size;
    io->batch_samples = r->parts.batch;
    io->accumulate = part > 0;
    io->unfinished = part + 1 < r->parts.count;
}

static tlvk_status make_slot(const tlvk__runner *r, runner_slot *slot) {
    uint64_t up, down;
    slot->io = tlvk__calloc((size_t)r->parts.count, sizeof *slot->io);
    if (!slot->io) return tlvk__fail(TLVK_ERROR_MEMORY, "session: no memory");
    lay_out(r, slot->io, &up, &down);
    tlvk_status st = tlvk__buffer_create(r->session->device, TLVK__BUFFER_UPLOAD, up, "staging", &slot->upload);
    if (!st) st = tlvk__buffer_create(r->session->device, TLVK__BUFFER_DOWNLOAD, down, "results", &slot->download);
    if (st) return st;
    slot->upload_map = tlvk__buffer_map(slot->upload);
    slot->download_map = tlvk__buffer_map(slot->download);
    memset(slot->upload_map, 0, up);
    for (int part = 0; part < r->parts.count; part++) bind_io(r, slot, part);
    return TLVK_OK;
}

static void free_slots(tlvk__runner *r) {
    for (int i = 0; r->slots && i < TLVK__SLOTS; i++) {
        tlvk__buffer_destroy(r->slots[i].upload);
        tlvk__buffer_destroy(r->slots[i].download);
        free(r->slots[i].io);
    }
    free(r->slots);
    r->slots = NULL;
}

static tlvk_status make_slots(tlvk__runner *r) {
    if (r->slots) return TLVK_OK;
    r->slots = tlvk__calloc(TLVK__SLOTS, sizeof *r->slots);
    tlvk_status st = r->slots ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "session: no memory");
    for (int i = 0; !st && i < TLVK__SLOTS; i++) st = make_slot(r, &r->slots[i]);
    if (st) free_slots(r);
    for (int i = 0; !st && i < TLVK__SLOTS && tlvk__plan_target(r->parts.plan, 0); i++) {
        for (int64_t k = 0; k < r->parts.batch; k++) tlvk__runner_put_sample_weight(r, i, k, 1);
    }
    return st;
}

/* --- recording ---------------------------------------------------------------------------------------------------------------------------- */

static void log_recording(const tlvk__runner *r, const tlvk__recording *recording) {
    static const char *const networks[] = { "whole network", "frozen prefix", "trained rest", "augmented network" };
    static const char *const modes[] = { "forward", "evaluation", "training step" };
    double flops = 0;
    for (int i = 0; i < r->parts.count; i++) flops += tlvk__plan_flops(tlvk__part_plan(&r->parts, i));
    const tlvk__plan *plan = r->parts.plan;
    char how[96] = "";
    if (r->parts.count > 1) snprintf(how, sizeof how, ", in %d parts of %lld", r->parts.count, (long long)r->parts.size);
    size_t used = strlen(how);
    if (tlvk__plan_recomputed(plan)) snprintf(how + used, sizeof how - used, ", %d operations done again", tlvk__plan_recomputed(plan));
    tlvk__context_log(r->session->model->ctx, TLVK_LOG_INFO, "%s, %s of %lld: %d dispatches, %d barriers, %d submissions, %.3g GFLOP, %.1f MiB for activations%s",
                      networks[r->network], modes[r->mode], (long long)r->parts.batch, tlvk__recording_count(recording), tlvk__recording_barriers(recording),
                      tlvk__recording_submissions(recording), flops * 1e-9, (double)tlvk__plan_arena_bytes(plan) / 1048576.0, how);
}

static tlvk_status record_slot(tlvk__runner *r, runner_slot *slot) {
    tlvk__recorder *rec = NULL;
    tlvk_status st = tlvk__recorder_create(r->session->device, &r->session->desc.recorder, &rec);
    if (st) return st;
    const struct tlvk__choices *before = tlvk__session_begin_recording(r->session);
    tlvk_status planned = TLVK_OK;
    for (int i = 0; !planned && i < r->parts.count; i++) planned = tlvk__plan_record(tlvk__part_plan(&r->parts, i), rec, &slot->io[i]);
    tlvk__session_end_recording(r->session, before);
    st = tlvk__recorder_finish(rec, &slot->recording);
    if (planned) { /* what was recorded up to the error must not be taken for the step */
        tlvk__recording_destroy(slot->recording);
        slot->recording = NULL;
        return planned;
    }
    if (!st && slot == &r->slots[0]) log_recording(r, slot->recording);
    return st;
}

static tlvk_status make_ready(tlvk__runner *r, int slot) {
    if (!r->bound) {
        /* The arena grows for both before either takes its place in it. */
        tlvk_status st = tlvk__session_grow_arena(r->session, r->parts.plan);
        if (!st && r->parts.last) st = tlvk__session_grow_arena(r->session, r->parts.last);
        if (!st) st = tlvk__session_bind(r->session, r->parts.plan);
        if (!st && r->parts.last) st = tlvk__session_bind(r->session, r->parts.last);
        if (st) return st;
        r->bound = true;
    }
    return r->slots[slot].recording ? TLVK_OK : record_slot(r, &r->slots[slot]);
}

tlvk_status tlvk__runner_prepare(tlvk__runner *r) {
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < TLVK__SLOTS; i++) st = make_ready(r, i);
    return st;
}

void tlvk__runner_unbind(tlvk__runner *r) {
    for (int i = 0; r->slots && i < TLVK__SLOTS; i++) {
        tlvk__recording_destroy(r->slots[i].recording);
        r->slots[i].recording = NULL;
        r->slots[i].in_flight = false;
    }
    r->bound = false;
}

/* --- life ------------------------------------------------------------------------------------------------------------------------------------ */

void tlvk__parts_free(tlvk__parts *p) {
    tlvk__plan_destroy(p->plan);
    tlvk__plan_destroy(p->last);
    memset(p, 0, sizeof *p);
}

void tlvk__runner_destroy(tlvk__runner *r) {
    if (!r) return;
    tlvk__runner_unbind(r);
    free_slots(r);
    tlvk__parts_free(&r->parts);
    free(r);
}

static tlvk__runner *find_runner(tlvk__session *s, tlvk__network network, tlvk__plan_mode mode, const tlvk__shape *inputs) {
    for (int i = 0; i < s->runner_count; i++) {
        tlvk__runner *r = s->runners[i];
        bool same = r->network == network && r->mode == mode;
        for (int k = 0; same && k < r->input_count; k++) same = tlvk__shape_equal(&r->inputs[k], &inputs[k]);
        if (same) return r;
    }
    return NULL;
}

tlvk_status tlvk__runner_plan_anew(tlvk__runner *r) {
    tlvk__plan *plan = NULL;
    tlvk_status st = tlvk__session_plan(r->session, r->network, r->mode, r->inputs, (tlvk__plan_limits){ 0 }, &plan);
    if (st) return st;
    tlvk__runner_unbind(r);
    free_slots(r);
    tlvk__parts_free(&r->parts);
    r->parts = (tlvk__parts){ .batch = r->inputs[0].dim[0], .size = r->inputs[0].dim[0], .count = 1, .plan = plan };
    r->fitted = r->alike = false;
    return TLVK_OK;
}

static tlvk_status make_runner(tlvk__session *s, tlvk__network network, tlvk__plan_mode mode, const tlvk__shape *inputs, tlvk__runner **out) {
    *out = find_runner(s, network, mode, inputs);
    if (*out) return TLVK_OK;
    tlvk__runner **grown = tlvk__grow(s->runners, &s->runner_capacity, (size_t)s->runner_count + 1, sizeof *s->runners);
    if (grown) s->runners = grown;
    tlvk__runner *r = grown ? tlvk__calloc(1, sizeof *r) : NULL;
    if (!r) return tlvk__fail(TLVK_ERROR_MEMORY, "session: no memory");
    r->session = s;
    r->network = network;
    r->mode = mode;
    r->input_count = s->flats[network].input_count;
    memcpy(r->inputs, inputs, (size_t)r->input_count * sizeof *inputs);
    tlvk_status st = tlvk__runner_plan_anew(r);
    if (st) {
        tlvk__runner_destroy(r);
        return st;
    }
    s->runners[s->runner_count++] = r;
    *out = r;
    return TLVK_OK;
}

tlvk_status tlvk__session_expect(tlvk__session *s, tlvk__network network, tlvk__plan_mode mode, const tlvk__shape *inputs) {
    tlvk__runner *r;
    tlvk_status st = make_runner(s, network, mode, inputs, &r);
    if (!st) r->fit = s->fits + 1;
    return st;
}

/* What an earlier fit cut for its own sake is planned as if that had never been. */
tlvk_status tlvk__session_plan_memory(tlvk__session *s) {
    tlvk_status st = TLVK_OK;
    tlvk__device_memory_restart(s->device);
    s->fits++;
    s->part_limit = 0;
    for (int i = 0; !st && i < s->runner_count; i++) st = s->runners[i]->alike ? tlvk__runner_plan_anew(s->runners[i]) : TLVK_OK;
    return st ? st : tlvk__session_fit(s);
}

tlvk_status tlvk__session_runner(tlvk__session *s, tlvk__network network, tlvk__plan_mode mode, const tlvk__shape *inputs, tlvk__runner **out) {
    tlvk_status st = make_runner(s, network, mode, inputs, out);
    if (!st && !(*out)->fitted) st = tlvk__session_fit(s);
    return st ? st : make_slots(*out);
}

/* --- a slot's host memory -------------------------------------------------------------------------------------------------------------------- */

static float *upload_at(tlvk__runner *r, int slot, tlvk__span span) { return r->slots[slot].upload_map + span.offset / sizeof(float); }

void tlvk__runner_put_input(tlvk__runner *r, int slot, int input, const float *dense) {
    for (int part = 0; part < r->parts.count; part++) {
        const tlvk__tensor *t = tlvk__plan_input(tlvk__part_plan(&r->parts, part), input);
        tlvk__activation_pack(t, t->n, dense, upload_at(r, slot, r->slots[slot].io[part].inputs[input]));
        dense += t->n * t->rows * t->c;
    }
}

void tlvk__runner_put_target(tlvk__runner *r, int slot, int output, const float *dense) {
    for (int part = 0; part < r->parts.count; part++) {
        const tlvk__tensor *t = tlvk__plan_target(tlvk__part_plan(&r->parts, part), output);
        tlvk__activation_pack(t, t->n, dense, upload_at(r, slot, r->slots[slot].io[part].targets[output]));
        dense += t->n * t->rows * t->c;
    }
}

void tlvk__runner_put_sample_weight(tlvk__runner *r, int slot, int64_t sample, float weight) {
    int64_t part = sample / r->parts.size, within = sample % r->parts.size;
    upload_at(r, slot, r->slots[slot].io[part].sample_weight)[within * TLVK__LANES] = weight;
}

tlvk__step_params *tlvk__runner_params(tlvk__runner *r, int slot) {
    void *p = upload_at(r, slot, r->slots[slot].io[0].step_params);
    return p;
}

tlvk__step_params *tlvk__runner_front_params(tlvk__runner *r, int slot) {
    void *p = upload_at(r, slot, r->slots[slot].io[0].front_params);
    return p;
}

/* Sums over the samples are those of all parts; what belongs to the step as a whole stands behind the last one. */
static void gather_metrics(const tlvk__runner *r, runner_slot *s) {
    for (int k = 0; k < TLVK__MAX(output_count(r), 1) * TLVK__METRIC_WORDS; k++) {
        bool whole = k % TLVK__METRIC_WORDS == TLVK__METRIC_PENALTY || k % TLVK__METRIC_WORDS == TLVK__METRIC_NORM;
        double sum = 0;
        for (int part = whole ? r->parts.count - 1 : 0; part < r->parts.count; part++) {
            sum += (double)s->download_map[s->io[part].metrics.offset / sizeof(float) + (size_t)k];
        }
        s->metrics[k] = (float)sum;
    }
}

tlvk_status tlvk__runner_submit(tlvk__runner *r, int slot) {
    tlvk_status st = tlvk__runner_wait(r, slot);
    if (!st) st = make_ready(r, slot);
    runner_slot *s = &r->slots[slot];
    if (!st) st = tlvk__buffer_flush(s->upload, 0, tlvk__buffer_bytes(s->upload));
    if (!st) st = tlvk__recording_submit(s->recording);
    s->in_flight = !st;
    return st;
}

tlvk_status tlvk__runner_wait(tlvk__runner *r, int slot) {
    runner_slot *s = r->slots ? &r->slots[slot] : NULL;
    if (!s || !s->in_flight) return TLVK_OK;
    tlvk_status st = tlvk__recording_wait(s->recording);
    s->in_flight = false;
    if (!st) st = tlvk__buffer_invalidate(s->download, 0, tlvk__buffer_bytes(s->download));
    if (!st) gather_metrics(r, s);
    return st;
}

bool tlvk__runner_busy(const tlvk__runner *r, int slot) { return r->slots && r->slots[slot].in_flight; }

const float *tlvk__runner_metrics(const tlvk__runner *r, int slot) { return r->slots[slot].metrics; }

void tlvk__runner_get_output(const tlvk__runner *r, int slot, int output, float *dense) {
    for (int part = 0; part < r->parts.count; part++) {
        const tlvk__tensor *t = tlvk__plan_output(tlvk__part_plan(&r->parts, part), output);
        tlvk__activation_unpack(t, t->n, r->slots[slot].download_map + r->slots[slot].io[part].outputs[output].offset / sizeof(float), dense);
        dense += t->n * t->rows * t->c;
    }
}

const tlvk__plan *tlvk__runner_plan(const tlvk__runner *r) { return r->parts.plan; }
int tlvk__runner_parts(const tlvk__runner *r) { return r->parts.count; }
int64_t tlvk__runner_samples(const tlvk__runner *r) { return r->parts.batch; }
tlvk__recording *tlvk__runner_recording(tlvk__runner *r, int slot) { return r->slots[slot].recording; }
