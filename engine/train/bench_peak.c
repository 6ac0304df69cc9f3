/* bench_peak.c - what the device can do at most, found by kernels that do nothing else: multiply-adds in registers, a large matrix product, and copies. */
#include "train/bench.h"

#include <string.h>

#define PEAK_EFFORT { .seconds = 0.15, .limit_seconds = 2 }
#define LANES_OF_GROUP 64
#define FLOPS_OF_LOOP 768.0 /* of one invocation of peak_flops.comp: 12 chains of 32 multiply-adds */
#define LEAST_MS 10.0       /* a run shorter than this measures the submission too */

typedef struct peak_kernel { const char *name, *shader; uint64_t groups; uint32_t loops; tlvk__span from, to; double flops, bytes; } peak_kernel;

static tlvk_status record(const tlvk__bench *b, const peak_kernel *k, tlvk__recording **out) {
    tlvk__recorder *r;
    tlvk_status st = tlvk__recorder_create(b->device, NULL, &r);
    if (st) return st;
    struct { uint32_t vecs, loops; float factor, term; } push = { (uint32_t)(k->to.bytes / 16), k->loops, 0.999f, 0.001f };
    tlvk__dispatch d = { .shader = k->shader, .binding_count = 2, .push = &push, .push_bytes = sizeof push, .groups = { k->groups, 1, 1 },
                         .bindings = { { .span = k->from, .access = TLVK__READ }, { .span = k->to, .access = TLVK__WRITE } },
                         .flops = k->flops, .bytes = k->bytes, .operation = "peak" };
    tlvk_status planned = k->shader ? tlvk__record_dispatch(r, &d) : tlvk__record_copy(r, k->from, k->to);
    st = tlvk__recorder_finish(r, out);
    return planned ? planned : st;
}

static tlvk_status time_kernel(const tlvk__bench *b, const peak_kernel *k, tlvk__times *times) {
    tlvk__recording *recording = NULL;
    tlvk_status st = record(b, k, &recording);
    if (!st) st = tlvk__recording_run(recording);
    while (!st && !tlvk__times_enough(times)) {
        double began = tlvk__now_seconds();
        st = tlvk__recording_run(recording);
        double ms = tlvk__recording_ms(recording);
        if (!st) tlvk__times_add(times, ms > 0 ? ms : (tlvk__now_seconds() - began) * 1e3);
    }
    tlvk__recording_destroy(recording);
    return st;
}

static void report(const tlvk__bench *b, const char *name, const tlvk__times *times, double flops, double bytes) {
    tlvk_bench_case c = { .name = name, .part = "peak", .kind = name };
    if ((b->parts & TLVK_BENCH_PEAK) && tlvk__bench_selected(b, name)) tlvk__bench_report(b, &c, times, flops, bytes, 0);
}

/* Enough groups for any device, and loops until a run is long enough. */
static tlvk_status find_flops(tlvk__bench *b, tlvk__span room) {
    peak_kernel k = { .shader = "peak_flops", .groups = 4096, .loops = 16, .from = room, .to = room };
    k.from.bytes = k.to.bytes = room.bytes / 2;
    k.to.offset = room.bytes / 2;
    for (;;) {
        k.flops = (double)k.groups * LANES_OF_GROUP * k.loops * FLOPS_OF_LOOP;
        tlvk__times times = { .effort = PEAK_EFFORT };
        tlvk_status st = time_kernel(b, &k, &times);
        if (st) return st;
        double ms = tlvk__times_min(&times);
        if (ms < LEAST_MS && k.loops < 1u << 20) {
            k.loops *= ms * 4 < LEAST_MS ? 8 : 4;
            continue;
        }
        b->peaks.gflops = k.flops / ms * 1e-6;
        report(b, "multiply-adds in registers", &times, k.flops, 0);
        return TLVK_OK;
    }
}

/* Buffers larger than caches where the device's limits allow. */
static tlvk_status find_bandwidth(tlvk__bench *b, tlvk__span from, tlvk__span to) {
    const tlvk__caps *caps = tlvk__device_caps(b->device);
    const peak_kernel kernels[] = {
        { .name = "copy by storage buffers", .shader = "peak_copy_storage" },
        { .name = "copy by texels", .shader = caps->max_texels * 16 >= from.bytes ? "peak_copy_texel" : "" },
        { .name = "copy by the transfer command" },
    };
    for (size_t i = 0; i < TLVK__COUNT(kernels); i++) {
        peak_kernel k = kernels[i];
        k.from = from;
        k.to = to;
        k.groups = from.bytes / 16 / LANES_OF_GROUP;
        k.bytes = 2.0 * (double)from.bytes;
        if (k.shader && !*k.shader) continue;
        tlvk__times times = { .effort = PEAK_EFFORT };
        tlvk_status st = time_kernel(b, &k, &times);
        if (st) return st;
        b->peaks.gbytes_per_s = TLVK__MAX(b->peaks.gbytes_per_s, k.bytes / tlvk__times_min(&times) * 1e-6);
        report(b, k.name, &times, 0, k.bytes);
    }
    return TLVK_OK;
}

/* The library's own matrix product at a size that has nothing against it. */
static tlvk_status find_product(tlvk__bench *b) {
    tlvk__op_case c;
    memset(&c, 0, sizeof c);
    tlvk__dense_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    tlvk__op_dense.defaults(&attrs);
    attrs.units = 1024;
    memcpy(c.attrs.bytes, &attrs, sizeof attrs);
    c.inputs = 1;
    c.x[0] = (tlvk__shape){ .rank = 2, .dim = { 2048, 1024 } };
    tlvk__times times = { .effort = PEAK_EFFORT };
    double flops;
    bool there;
    tlvk_status st = tlvk__time_case(b->device, &tlvk__op_dense, &c, 0, &times, &flops, &there);
    if (st) return st;
    b->peaks.product_gflops = flops / tlvk__times_min(&times) * 1e-6;
    report(b, "matrix product, 2048 x 1024 by 1024 x 1024", &times, flops, 4.0 * (2048.0 * 1024 + 1024.0 * 1024 + 2048.0 * 1024));
    return TLVK_OK;
}

tlvk_status tlvk__bench_peaks(tlvk__bench *b) {
    const tlvk__caps *caps = tlvk__device_caps(b->device);
    uint64_t bytes = TLVK__MIN(TLVK__MIN(caps->max_binding_bytes, caps->max_allocation_bytes), TLVK__MIN(caps->memory_bytes / 8, (uint64_t)128 << 20));
    bytes = bytes / 4096 * 4096;
    tlvk__buffer *buffers[2] = { NULL, NULL };
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < 2; i++) st = tlvk__buffer_create(b->device, TLVK__BUFFER_DEVICE, bytes, "peaks", &buffers[i]);
    tlvk__span from = { .buffer = buffers[0], .bytes = bytes }, to = { .buffer = buffers[1], .bytes = bytes };
    if (!st) st = find_bandwidth(b, from, to);
    if (!st) st = find_flops(b, (tlvk__span){ .buffer = buffers[0], .bytes = TLVK__MIN(bytes, (uint64_t)8192) });
    for (int i = 0; i < 2; i++) tlvk__buffer_destroy(buffers[i]);
    if (!st) st = find_product(b);
    return st ? tlvk__fail_context(st, "peaks") : TLVK_OK;
}
