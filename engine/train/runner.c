/* runner.c - one network in one mode at one batch: a plan, and two slots each with its own recording and host memory.
 * Addresses are baked into a recording, so while one slot's step runs on the device the host fills the other. */
#include "train/session_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct runner_slot {
    tlvk__buffer *upload, *download;
    float *upload_map, *download_map;
    tlvk__plan_io io;
    tlvk__recording *recording;
    bool in_flight;
} runner_slot;

struct tlvk__runner {
    tlvk__session *session;
    tlvk__network network;
    tlvk__plan_mode mode;
    tlvk__shape inputs[TLVK_MAX_IO]; int input_count;
    tlvk__plan *plan;
    bool bound;
    runner_slot slots[TLVK__SLOTS];
};

static uint64_t tensor_bytes(const tlvk__tensor *t) { return (uint64_t)t->n * (uint64_t)tlvk__sample_floats(t) * sizeof(float); }

/* Lays regions one behind the other, each at a multiple of 256 bytes. */
static tlvk__span take(uint64_t *at, uint64_t bytes) {
    tlvk__span span = { .offset = *at, .bytes = bytes };
    *at += tlvk__round_up(bytes, 256);
    return span;
}

static tlvk_status make_slot(tlvk__runner *r, runner_slot *slot) {
    const tlvk__plan *plan = r->plan;
    uint64_t up = 0, down = 0;
    tlvk__plan_io *io = &slot->io;
    int outputs = r->session->flats[r->network].output_count;
    for (int i = 0; i < r->input_count; i++) io->inputs[i] = take(&up, tensor_bytes(tlvk__plan_input(plan, i)));
    io->step_params = take(&up, sizeof(tlvk__step_params));
    io->front_params = take(&up, sizeof(tlvk__step_params));
    const tlvk__tensor *target = tlvk__plan_target(plan, 0);
    for (int i = 0; target && i < outputs; i++) io->targets[i] = take(&up, tensor_bytes(tlvk__plan_target(plan, i)));
    if (target) io->sample_weight = take(&up, (uint64_t)target->n * TLVK__LANES * sizeof(float));
    io->metrics = take(&down, (uint64_t)TLVK__MAX(outputs, 1) * TLVK__METRIC_WORDS * sizeof(float));
    for (int i = 0; i < outputs && r->mode == TLVK__PLAN_PREDICT; i++) io->outputs[i] = take(&down, tensor_bytes(tlvk__plan_output(plan, i)));
    tlvk_status st = tlvk__buffer_create(r->session->device, TLVK__BUFFER_UPLOAD, up, "staging", &slot->upload);
    if (!st) st = tlvk__buffer_create(r->session->device, TLVK__BUFFER_DOWNLOAD, down, "results", &slot->download);
    if (st) return st;
    slot->upload_map = tlvk__buffer_map(slot->upload);
    slot->download_map = tlvk__buffer_map(slot->download);
    memset(slot->upload_map, 0, up);
    for (int i = 0; i < TLVK_MAX_IO; i++) io->inputs[i].buffer = io->targets[i].buffer = slot->upload;
    io->step_params.buffer = io->front_params.buffer = io->sample_weight.buffer = slot->upload;
    io->metrics.buffer = slot->download;
    for (int i = 0; i < TLVK_MAX_IO; i++) io->outputs[i].buffer = slot->download;
    io->update = &r->session->update;
    float *weights = target ? slot->upload_map + io->sample_weight.offset / sizeof(float) : NULL;
    for (int64_t i = 0; target && i < target->n; i++) weights[i * TLVK__LANES] = 1;
    return TLVK_OK;
}

static void log_recording(const tlvk__runner *r, const tlvk__recording *recording) {
    static const char *const networks[] = { "whole network", "frozen prefix", "trained rest", "augmented network" }, *const modes[] = { "forward", "evaluation", "training step" };
    uint64_t arena = 0;
    for (int i = 0; tlvk__plan_block_bytes(r->plan, i); i++) arena += tlvk__plan_block_bytes(r->plan, i);
    tlvk__context_log(r->session->model->ctx, TLVK_LOG_INFO, "%s, %s of %lld: %d dispatches, %d barriers, %d submissions, %.3g GFLOP, %.1f MiB for activations", networks[r->network],
                      modes[r->mode], (long long)r->inputs[0].dim[0], tlvk__recording_count(recording), tlvk__recording_barriers(recording),
                      tlvk__recording_submissions(recording), tlvk__plan_flops(r->plan) * 1e-9, (double)arena / 1048576.0);
}

static tlvk_status record_slot(tlvk__runner *r, runner_slot *slot) {
    tlvk__recorder *rec = NULL;
    tlvk_status st = tlvk__recorder_create(r->session->device, &r->session->desc.recorder, &rec);
    if (st) return st;
    const struct tlvk__choices *before = tlvk__session_begin_recording(r->session);
    tlvk_status planned = tlvk__plan_record(r->plan, rec, &slot->io);
    tlvk__session_end_recording(r->session, before);
    st = tlvk__recorder_finish(rec, &slot->recording);
    if (!planned && !st && slot == &r->slots[0]) log_recording(r, slot->recording);
    return planned ? planned : st;
}

static tlvk_status make_ready(tlvk__runner *r, int slot) {
    if (!r->bound) {
        tlvk_status st = tlvk__session_bind(r->session, r->plan);
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
    for (int i = 0; i < TLVK__SLOTS; i++) {
        tlvk__recording_destroy(r->slots[i].recording);
        r->slots[i].recording = NULL;
        r->slots[i].in_flight = false;
    }
    r->bound = false;
}

void tlvk__runner_destroy(tlvk__runner *r) {
    if (!r) return;
    tlvk__runner_unbind(r);
    for (int i = 0; i < TLVK__SLOTS; i++) {
        tlvk__buffer_destroy(r->slots[i].upload);
        tlvk__buffer_destroy(r->slots[i].download);
    }
    tlvk__plan_destroy(r->plan);
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

tlvk_status tlvk__session_runner(tlvk__session *s, tlvk__network network, tlvk__plan_mode mode, const tlvk__shape *inputs, tlvk__runner **out) {
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
    tlvk_status st = tlvk__session_plan(s, network, mode, inputs, &r->plan);
    for (int i = 0; !st && i < TLVK__SLOTS; i++) st = make_slot(r, &r->slots[i]);
    if (st) {
        tlvk__runner_destroy(r);
        return st;
    }
    s->runners[s->runner_count++] = r;
    *out = r;
    return TLVK_OK;
}

static float *upload_at(tlvk__runner *r, int slot, tlvk__span span) { return r->slots[slot].upload_map + span.offset / sizeof(float); }

void tlvk__runner_put_input(tlvk__runner *r, int slot, int input, const float *dense) {
    const tlvk__tensor *t = tlvk__plan_input(r->plan, input);
    tlvk__activation_pack(t, t->n, dense, upload_at(r, slot, r->slots[slot].io.inputs[input]));
}

void tlvk__runner_put_target(tlvk__runner *r, int slot, int output, const float *dense) {
    const tlvk__tensor *t = tlvk__plan_target(r->plan, output);
    tlvk__activation_pack(t, t->n, dense, upload_at(r, slot, r->slots[slot].io.targets[output]));
}

float *tlvk__runner_sample_weights(tlvk__runner *r, int slot) { return upload_at(r, slot, r->slots[slot].io.sample_weight); }

tlvk__step_params *tlvk__runner_params(tlvk__runner *r, int slot) {
    void *p = upload_at(r, slot, r->slots[slot].io.step_params);
    return p;
}

tlvk__step_params *tlvk__runner_front_params(tlvk__runner *r, int slot) {
    void *p = upload_at(r, slot, r->slots[slot].io.front_params);
    return p;
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
    runner_slot *s = &r->slots[slot];
    if (!s->in_flight) return TLVK_OK;
    tlvk_status st = tlvk__recording_wait(s->recording);
    s->in_flight = false;
    return st ? st : tlvk__buffer_invalidate(s->download, 0, tlvk__buffer_bytes(s->download));
}

bool tlvk__runner_busy(const tlvk__runner *r, int slot) { return r->slots[slot].in_flight; }

const float *tlvk__runner_metrics(const tlvk__runner *r, int slot) {
    return r->slots[slot].download_map + r->slots[slot].io.metrics.offset / sizeof(float);
}

void tlvk__runner_get_output(const tlvk__runner *r, int slot, int output, float *dense) {
    const tlvk__tensor *t = tlvk__plan_output(r->plan, output);
    tlvk__activation_unpack(t, t->n, r->slots[slot].download_map + r->slots[slot].io.outputs[output].offset / sizeof(float), dense);
}

const tlvk__plan *tlvk__runner_plan(const tlvk__runner *r) { return r->plan; }
tlvk__recording *tlvk__runner_recording(tlvk__runner *r, int slot) { return r->slots[slot].recording; }
