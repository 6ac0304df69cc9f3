/* bench.c - how fast this device is: every operation's real layer sizes, and whole networks forward and as a training step. */
#include "train/training.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bench { tlvk_context *ctx; tlvk__device *device; const tlvk_bench_desc *desc; int repeats; int batch; } bench;

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool selected(const bench *b, const char *name) { return !b->desc->filter || strstr(name, b->desc->filter); }

static void report(const bench *b, const char *name, double *ms, double flops, double images) {
    qsort(ms, (size_t)b->repeats, sizeof *ms, compare_doubles);
    tlvk_bench_case c = { .name = name, .ms_min = ms[0], .ms_median = ms[b->repeats / 2], .gflops = flops / ms[0] * 1e-6, .images_per_s = images / ms[0] * 1e3 };
    if (b->desc->report) b->desc->report(&c, b->desc->user);
}

/* Times a submitted runner: one run to compile and warm up, then `repeats`. */
static tlvk_status time_runner(const bench *b, tlvk__runner *runner, double *ms) {
    tlvk_status st = TLVK_OK;
    for (int i = -1; !st && i < b->repeats; i++) {
        double began = tlvk__now_seconds();
        st = tlvk__runner_submit(runner, 0);
        if (!st) st = tlvk__runner_wait(runner, 0);
        if (i >= 0) ms[i] = (tlvk__now_seconds() - began) * 1e3;
        if (tlvk__context_cancelled(b->ctx)) return tlvk__fail(TLVK_ERROR_CANCELLED, "bench cancelled");
    }
    return st;
}

typedef char bench_name[160];

static void network_name(const bench *b, const char *net, bool train, bench_name name) {
    snprintf(name, sizeof(bench_name), "%s %s, batch %d", net, train ? "training step (Adam)" : "forward", b->batch);
}

static tlvk_status bench_network(const bench *b, tlvk_model *model, const char *net, bool train, double *ms) {
    bench_name name;
    network_name(b, net, train, name);
    if (!selected(b, name)) return TLVK_OK;
    tlvk__session *session;
    tlvk__runner *runner;
    tlvk_status st = tlvk__trial_session(model, b->batch, train, false, &session, &runner);
    if (st) return tlvk__fail_context(st, "%s", name);
    st = time_runner(b, runner, ms);
    if (!st) report(b, name, ms, tlvk__plan_flops(tlvk__runner_plan(runner)), b->batch);
    tlvk__session_destroy(session);
    return st;
}

/* The network without its top at 224 x 224, with global average pooling and Dense 10, as issue threads about speed usually have it. */
static tlvk_status bench_net(const bench *b, const char *net, double *ms) {
    bench_name forward, step;
    network_name(b, net, false, forward);
    network_name(b, net, true, step);
    if (!selected(b, forward) && !selected(b, step)) return TLVK_OK;
    tlvk_model *base = NULL, *model = NULL;
    tlvk_status st = tlvk_net(b->ctx, net, &(tlvk_net_desc){ .no_top = true, .input_shape = { 224, 224, 3 }, .pooling = TLVK_POOLING_AVG }, &base);
    if (st) return st;
    tlvk_tensor y = tlvk_dense(tlvk_model_output(base, 0), &(tlvk_dense_desc){ .units = 10, .activation = TLVK_SOFTMAX });
    st = tlvk_model_create(b->ctx, &(tlvk_model_desc){ .inputs = { tlvk_model_input(base, 0) }, .outputs = { y } }, &model);
    if (!st) st = bench_network(b, model, net, false, ms);
    if (!st) st = bench_network(b, model, net, true, ms);
    tlvk_model_destroy(model);
    tlvk_model_destroy(base);
    return st;
}

static tlvk_status bench_case(const bench *b, const tlvk__op *op, const tlvk__op_case *c, double *ms) {
    static const char *const directions[] = { "forward", "backward data", "backward weights" };
    for (int direction = 0; direction < 3; direction++) {
        char name[192];
        snprintf(name, sizeof name, "%s: %s, %s", op->class_name, c->name, directions[direction]);
        if (!selected(b, name)) continue;
        double flops = 0;
        bool there = false;
        tlvk_status st = tlvk__time_case(b->device, op, c, direction, b->repeats, ms, &flops, &there);
        if (st) return tlvk__fail_context(st, "%s", name);
        if (there) report(b, name, ms, flops, (double)c->x[0].dim[0]);
        if (tlvk__context_cancelled(b->ctx)) return tlvk__fail(TLVK_ERROR_CANCELLED, "bench cancelled");
    }
    return TLVK_OK;
}

static tlvk_status bench_operations(const bench *b, double *ms) {
    const tlvk__op *op;
    for (int i = 0; (op = tlvk__op_at(i)) != NULL; i++) {
        for (int k = 0;; k++) {
            tlvk__op_case c;
            memset(&c, 0, sizeof c);
            if (!op->test_case || !op->test_case(k, &c)) break;
            tlvk_status st = c.real_size ? bench_case(b, op, &c, ms) : TLVK_OK;
            if (st) return st;
        }
    }
    return TLVK_OK;
}

tlvk_status tlvk_bench(tlvk_context *ctx, const tlvk_bench_desc *desc) {
    if (!ctx) return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_bench: no context"));
    static const tlvk_bench_desc defaults;
    bench b = { .ctx = ctx, .desc = desc ? desc : &defaults };
    b.repeats = b.desc->repeats > 0 ? b.desc->repeats : 3;
    b.batch = b.desc->batch_size > 0 ? b.desc->batch_size : 8;
    tlvk__context_clear_cancel(ctx);
    double *ms = tlvk__calloc((size_t)b.repeats, sizeof *ms);
    tlvk_status st = ms ? tlvk__context_device(ctx, &b.device) : tlvk__fail(TLVK_ERROR_MEMORY, "bench: no memory");
    const char *net;
    for (int i = 0; !st && (net = tlvk_net_name(i)) != NULL; i++) st = bench_net(&b, net, ms);
    if (!st) st = bench_operations(&b, ms);
    free(ms);
    return tlvk__context_fail(ctx, st);
}
