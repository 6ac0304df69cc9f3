/* bench.c - how fast this device is: which measurements are wanted, the networks they are made on, and what is told of each. The measuring is in bench_*.c. */
#include "train/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USUAL_NETWORKS "vgg16,resnet50,inceptionv3,xception,mobilenet"

bool tlvk__bench_selected(const tlvk__bench *b, const char *name) { return !b->desc->filter || strstr(name, b->desc->filter); }

tlvk_status tlvk__bench_cancelled(const tlvk__bench *b) {
    return tlvk__context_cancelled(b->ctx) ? tlvk__fail(TLVK_ERROR_CANCELLED, "bench cancelled") : TLVK_OK;
}

static double over(double value, double by) { return by > 0 ? value / by : 0; }

void tlvk__bench_report(const tlvk__bench *b, tlvk_bench_case *c, const tlvk__times *times, double flops, double bytes, double images) {
    uint64_t peak;
    c->ms_min = tlvk__times_min(times);
    c->ms_median = tlvk__times_median(times);
    c->runs = times->runs;
    c->dispatches = times->dispatches;
    c->gflop = flops * 1e-9;
    c->gbyte = bytes * 1e-9;
    c->gflops = over(flops * 1e-6, c->ms_min);
    c->gbytes_per_s = over(bytes * 1e-6, c->ms_min);
    c->images_per_s = over(images * 1e3, c->ms_min);
    c->gflops_share = over(c->gflops, b->peaks.gflops);
    c->bandwidth_share = over(c->gbytes_per_s, b->peaks.gbytes_per_s);
    bool whole = strcmp(c->part, "network") == 0 || strcmp(c->part, "job") == 0;
    c->host_clock = whole || !tlvk__device_caps(b->device)->timestamps;
    if (!c->device_bytes) tlvk__device_memory_use(b->device, &c->device_bytes, &peak);
    if (b->desc->report) b->desc->report(c, b->desc->user);
}

static const char *list_of_networks(const tlvk__bench *b) { return b->desc->networks ? b->desc->networks : USUAL_NETWORKS; }

bool tlvk__bench_net(const tlvk__bench *b, int index, tlvk__bench_text name) {
    const char *at = list_of_networks(b);
    if (strcmp(at, "all") == 0) {
        const char *net = tlvk_net_name(index);
        if (net) snprintf(name, sizeof(tlvk__bench_text), "%s", net);
        return net != NULL;
    }
    for (; index > 0 && at; index--) {
        at = strchr(at, ',');
        at = at ? at + 1 : NULL;
    }
    if (!at || !*at) return false;
    snprintf(name, sizeof(tlvk__bench_text), "%.*s", (int)TLVK__MIN(strcspn(at, ","), sizeof(tlvk__bench_text) - 1), at);
    return true;
}

tlvk_status tlvk__bench_model(const tlvk__bench *b, const char *net, bool frozen, tlvk_model **model) {
    tlvk_model *base = NULL;
    *model = NULL;
    tlvk_net_desc d = { .no_top = true, .input_shape = { b->image_size, b->image_size, 3 }, .pooling = TLVK_POOLING_AVG };
    tlvk_status st = tlvk_net(b->ctx, net, &d, &base);
    if (st) return st;
    tlvk_tensor y = tlvk_dense(tlvk_model_output(base, 0), &(tlvk_dense_desc){ .units = 10, .activation = TLVK_SOFTMAX });
    st = tlvk_model_create(b->ctx, &(tlvk_model_desc){ .inputs = { tlvk_model_input(base, 0) }, .outputs = { y } }, model);
    tlvk_model_destroy(base);
    if (!st && frozen) st = tlvk_model_set_trainable(*model, "base", false);
    if (!st) return TLVK_OK;
    tlvk_model_destroy(*model);
    *model = NULL;
    return st;
}

static unsigned wanted_parts(const tlvk_bench_desc *d) {
    if (d->parts) return d->parts;
    return d->layers ? TLVK_BENCH_STEP : TLVK_BENCH_PEAK | TLVK_BENCH_FORWARD | TLVK_BENCH_HEAD | TLVK_BENCH_STEP;
}

static tlvk_status measure(tlvk__bench *b) {
    tlvk_status st = tlvk__context_device(b->ctx, &b->device);
    if (!st) st = tlvk__bench_peaks(b);
    if (st || b->desc->layers) return st ? st : tlvk__bench_layers(b);
    if (b->parts & (TLVK_BENCH_FORWARD | TLVK_BENCH_HEAD | TLVK_BENCH_STEP)) st = tlvk__bench_networks(b);
    if (!st && (b->parts & TLVK_BENCH_JOB)) st = tlvk__bench_jobs(b);
    if (!st && (b->parts & TLVK_BENCH_OPERATIONS)) st = tlvk__bench_operations(b);
    return st;
}

tlvk_status tlvk_bench(tlvk_context *ctx, const tlvk_bench_desc *desc) {
    if (!ctx) return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_bench: no context"));
    static const tlvk_bench_desc defaults;
    const tlvk_bench_desc *d = desc ? desc : &defaults;
    tlvk__bench b = {
        .ctx = ctx, .desc = d, .parts = wanted_parts(d),
        .batch = d->batch_size > 0 ? d->batch_size : 8, .image_size = d->image_size > 0 ? d->image_size : 224,
        .pictures = d->pictures > 0 ? d->pictures : 100, .epochs = d->epochs > 0 ? d->epochs : 10,
        .effort = { .repeats = d->repeats > 0 ? TLVK__MIN(d->repeats, TLVK__MOST_RUNS) : TLVK__LEAST_RUNS, .limit_seconds = d->repeats > 0 ? 0 : 3 },
    };
    tlvk__context_clear_cancel(ctx);
    return tlvk__context_fail(ctx, measure(&b));
}
