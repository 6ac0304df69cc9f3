/* bench.h - what the measuring files of this room share: which cases are wanted, the device's peaks, and how a case is told. */
#ifndef TLVK_BENCH_H
#define TLVK_BENCH_H

#include "ops/time.h"
#include "train/training.h"

/* What the device reached in kernels made for nothing else; 0: not measured. */
typedef struct tlvk__peaks { double gflops, product_gflops, gbytes_per_s; } tlvk__peaks;

typedef struct tlvk__bench {
    tlvk_context *ctx;
    tlvk__device *device;
    const tlvk_bench_desc *desc;
    unsigned parts;                /* TLVK_BENCH_*, resolved */
    int batch, image_size, pictures, epochs;
    tlvk__effort effort;           /* of whole networks */
    tlvk__peaks peaks;
} tlvk__bench;

/* A case before its times are known: name, part and what it works on. */
bool tlvk__bench_selected(const tlvk__bench *b, const char *name);
/* Adds what follows from `times`, `flops`, `bytes` (of one run) and `images`, and reports. */
void tlvk__bench_report(const tlvk__bench *b, tlvk_bench_case *c, const tlvk__times *times, double flops, double bytes, double images);
tlvk_status tlvk__bench_cancelled(const tlvk__bench *b); /* TLVK_ERROR_CANCELLED after tlvk_cancel */

/* The network without its top at the wanted size, with global average pooling and Dense 10; weights as they come. `frozen`: all before the pooling. */
tlvk_status tlvk__bench_model(const tlvk__bench *b, const char *net, bool frozen, tlvk_model **model);
/* Network `index` of those wanted, copied; false past the last. */
typedef char tlvk__bench_text[192];
bool tlvk__bench_net(const tlvk__bench *b, int index, tlvk__bench_text name);

tlvk_status tlvk__bench_peaks(tlvk__bench *b);              /* bench_peak.c: measures, and reports where wanted */
tlvk_status tlvk__bench_networks(const tlvk__bench *b);     /* bench_networks.c: forward, head step, whole step */
tlvk_status tlvk__bench_jobs(const tlvk__bench *b);         /* bench_job.c: pictures x epochs with a frozen base */
tlvk_status tlvk__bench_operations(const tlvk__bench *b);   /* bench_operations.c: each distinct shape of the networks */
tlvk_status tlvk__bench_layers(const tlvk__bench *b);       /* bench_layers.c: where the time of a step goes */

#endif
