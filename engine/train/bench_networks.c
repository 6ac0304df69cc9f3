/* bench_networks.c - whole networks: forward in inference, one step that trains the head on a frozen base, one step that trains everything; each beside the
 * ceiling that follows from its work. */
#include "train/bench.h"

#include <stdio.h>
#include <string.h>

typedef struct network_part { unsigned bit; const char *pass, *words; bool train, frozen; } network_part;
static const network_part parts[] = {
    { TLVK_BENCH_FORWARD, "forward", "forward", false, false },
    { TLVK_BENCH_HEAD, "head step", "head step, base frozen (Adam)", true, true },
    { TLVK_BENCH_STEP, "step", "training step (Adam)", true, false },
};

/* Seconds that the batch takes at least: each pass of each step of the plan at the device's peak of arithmetic or of bandwidth, whichever holds it up, as often
 * as the plan's samples are in the batch, and the update's reads and writes. Shortcuts such as Winograd do less arithmetic than is counted here, and so may
 * pass it. */
static double least_seconds(const tlvk__bench *b, const tlvk__plan *plan, double *flops, double *bytes) {
    double seconds = 0, times = (double)b->batch / (double)tlvk__plan_input(plan, 0)->n;
    *flops = *bytes = 0;
    tlvk__plan_part part;
    for (int i = 0; tlvk__plan_part_at(plan, i, &part); i++) {
        for (int pass = 0; pass < 3; pass++) {
            *flops += part.flops[pass];
            *bytes += part.bytes[pass];
            seconds += TLVK__MAX(part.flops[pass] / (b->peaks.gflops * 1e9), part.bytes[pass] / (b->peaks.gbytes_per_s * 1e9));
        }
    }
    seconds *= times;
    *flops *= times;
    *bytes *= times;
    tlvk__variable *v;
    tlvk__layout layout;
    bool trained;
    for (int i = 0; tlvk__plan_variable(plan, i, &v, &layout, &trained); i++) {
        double update = trained ? (double)v->elements * sizeof(float) * 7 : 0; /* Adam: w, m, v there and back, and the gradient */
        *bytes += update;
        seconds += update / (b->peaks.gbytes_per_s * 1e9);
    }
    return seconds;
}

static tlvk_status time_runner(const tlvk__bench *b, tlvk__runner *runner, tlvk__times *times) {
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && (i == 0 || !tlvk__times_enough(times)); i++) {
        double began = tlvk__now_seconds();
        st = tlvk__runner_submit(runner, 0);
        if (!st) st = tlvk__runner_wait(runner, 0);
        if (!st && i > 0) tlvk__times_add(times, (tlvk__now_seconds() - began) * 1e3); /* the first run compiles */
        if (!st) st = tlvk__bench_cancelled(b);
    }
    return st;
}

static tlvk_status measure_part(const tlvk__bench *b, const char *net, const network_part *part, const char *name) {
    tlvk_model *model;
    tlvk__session *session = NULL;
    tlvk__runner *runner;
    tlvk_status st = tlvk__bench_model(b, net, part->frozen, &model);
    if (st) return st;
    st = tlvk__trial_session(model, &(tlvk__trial){ .batch = b->batch, .train = part->train, .mixed = b->desc->precision == TLVK_MIXED }, &session, &runner);
    tlvk__times times = { .effort = b->effort };
    if (!st) st = time_runner(b, runner, &times);
    if (!st) {
        double flops, bytes, seconds = least_seconds(b, tlvk__runner_plan(runner), &flops, &bytes);
        tlvk_bench_case c = { .name = name, .part = "network", .kind = net, .network = net, .pass = part->pass, .ceiling_images_per_s = b->batch / seconds };
        tlvk__bench_report(b, &c, &times, flops, bytes, b->batch);
    }
    tlvk__session_destroy(session);
    tlvk_model_destroy(model);
    return st;
}

tlvk_status tlvk__bench_networks(const tlvk__bench *b) {
    tlvk__bench_text net;
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && tlvk__bench_net(b, i, net); i++) {
        for (size_t k = 0; !st && k < TLVK__COUNT(parts); k++) {
            char name[2 * sizeof net];
            snprintf(name, sizeof name, "%s %s, batch %d", net, parts[k].words, b->batch);
            if (!(b->parts & parts[k].bit) || !tlvk__bench_selected(b, name)) continue;
            st = measure_part(b, net, &parts[k], name);
            if (st) tlvk__fail_context(st, "%s", name);
        }
    }
    return st;
}
