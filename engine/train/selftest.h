/* selftest.h - what the parts of the self-test share: who is asked, and how a case is told. */
#ifndef TLVK_SELFTEST_H
#define TLVK_SELFTEST_H

#include "train/session.h"

typedef struct tlvk__selftest {
    tlvk_context *ctx;
    tlvk__device *device;
    const tlvk_selftest_desc *desc;
    int cases, failed, mixed_cases, mixed_failed; /* of all; of those in mixed precision */
    double worst;              /* error as a part of its bound */
    bool gone;                 /* the device stopped answering */
    char first[512], first_mixed[512]; /* what failed first, and why */
    char *failures;            /* lines of the report; NULL: none */
    size_t failures_length, failures_capacity;
} tlvk__selftest;

/* Whether the filter takes a case of this name. */
bool tlvk__selftest_wants(const tlvk__selftest *t, const char *name);
/* Counts and tells a case: wrong where `status` or `check` says so. Gives what ends the self-test: a device that is gone, a cancellation, no memory for the
 * report. */
tlvk_status tlvk__selftest_tell(tlvk__selftest *t, const char *name, bool mixed, tlvk_status status, const tlvk__check *check);

/* Chains of writes, reductions, cut submissions, memory, and tensors larger than a binding (selftest_device.c). */
tlvk_status tlvk__selftest_device(tlvk__selftest *t);
/* A small fine-tuning, whose losses are those of the same in double on the host (selftest_curve.c). */
tlvk_status tlvk__selftest_curve(tlvk__selftest *t);

/* The line that a self-test ends in, and its report as a file (selftest_report.c). */
void tlvk__selftest_verdict(const tlvk__selftest *t, char *line, size_t size);
tlvk_status tlvk__selftest_report(const tlvk__selftest *t, const char *verdict, const char *path);

#endif
