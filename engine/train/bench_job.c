/* bench_job.c - the whole job: a fit of a new head on a frozen base, on random pictures in memory, with the feature cache as a user has it. */
#include "train/bench.h"

#include <stdio.h>
#include <stdlib.h>

#define CLASSES 10

static void fill_pictures(float *x, float *y, int64_t pictures, int64_t floats) {
    tlvk__rng rng;
    tlvk__rng_seed(&rng, 1, 0);
    for (int64_t i = 0; i < pictures * floats; i++) x[i] = (float)(tlvk__rng_u32(&rng) >> 8) * 0x1p-24f;
    for (int64_t i = 0; i < pictures; i++) y[i] = (float)(i % CLASSES);
}

static tlvk_status fit(const tlvk__bench *b, tlvk_model *model, const float *x, const float *y, int64_t pictures, int epochs, double *ms) {
    tlvk_dataset *data = NULL;
    double began = tlvk__now_seconds();
    tlvk_status st = tlvk_dataset_from_arrays(b->ctx, &(tlvk_array_desc){ .x = x, .x_shape = { pictures, b->image_size, b->image_size, 3 }, .y = y,
                                              .y_shape = { pictures }, .batch_size = b->batch, .borrow = true }, &data);
    if (!st) st = tlvk_model_compile(model, &(tlvk_compile_desc){ .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, .metrics = { TLVK_ACCURACY }, .precision = b->desc->precision });
    if (!st) st = tlvk_model_fit(model, data, &(tlvk_fit_desc){ .epochs = epochs, .cache = b->desc->cache }, NULL);
    *ms = (tlvk__now_seconds() - began) * 1e3;
    tlvk_dataset_destroy(data);
    return st;
}

static tlvk_status measure(const tlvk__bench *b, const char *net, const char *name) {
    int64_t floats = (int64_t)b->image_size * b->image_size * 3, tail = b->pictures % b->batch;
    float *x = tlvk__calloc((size_t)b->pictures, (size_t)floats * sizeof *x), *y = tlvk__calloc((size_t)b->pictures, sizeof *y);
    tlvk_model *model = NULL;
    tlvk_status st = x && y ? tlvk__bench_model(b, net, true, &model) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for %d pictures", b->pictures);
    double ms;
    tlvk__times times = { .effort = { .repeats = TLVK__MAX(b->desc->repeats, 1) } };
    if (!st) {
        fill_pictures(x, y, b->pictures, floats);
        st = fit(b, model, x, y, TLVK__MIN(b->pictures, b->batch + tail), 1, &ms); /* compiles */
    }
    while (!st && !tlvk__times_enough(&times)) {
        st = fit(b, model, x, y, b->pictures, b->epochs, &ms);
        if (!st) tlvk__times_add(&times, ms);
    }
    tlvk_bench_case c = { .name = name, .part = "job", .kind = net, .network = net, .pass = "job", .pictures = b->pictures, .epochs = b->epochs };
    if (!st) tlvk__bench_report(b, &c, &times, 0, 0, (double)b->pictures * b->epochs);
    tlvk_model_destroy(model);
    free(x);
    free(y);
    return st;
}

tlvk_status tlvk__bench_jobs(const tlvk__bench *b) {
    static const char *const caches[] = { "", ", features on disk", ", uncached" };
    tlvk__bench_text net;
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && tlvk__bench_net(b, i, net); i++) {
        char name[2 * sizeof net];
        snprintf(name, sizeof name, "%s job, %d pictures x %d epochs, base frozen, batch %d%s", net, b->pictures, b->epochs, b->batch, caches[b->desc->cache]);
        if (!tlvk__bench_selected(b, name)) continue;
        st = measure(b, net, name);
        if (st) tlvk__fail_context(st, "%s", name);
    }
    return st;
}
