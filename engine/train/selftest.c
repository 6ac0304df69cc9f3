/* selftest.c - every operation on this device against the reference: the cases that the tests run too. */
#include "train/session.h"

#include <stdio.h>
#include <string.h>

typedef struct selftest { tlvk__device *device; const tlvk_selftest_desc *desc; int cases, failed; } selftest;

static tlvk_status run_case(selftest *t, const tlvk__op *op, const tlvk__op_case *c) {
    char name[160];
    snprintf(name, sizeof name, "%s: %s%s", op->class_name, c->name, c->mixed ? ", mixed precision" : "");
    if (t->desc->filter && !strstr(name, t->desc->filter)) return TLVK_OK;
    tlvk__check check;
    memset(&check, 0, sizeof check);
    tlvk_status st = tlvk__check_case(t->device, op, c, t->desc->seed + 1, 0, &check);
    if (st == TLVK_ERROR_DEVICE_LOST || st == TLVK_ERROR_NO_DEVICE) return st;
    tlvk_selftest_case report = { .name = name, .max_error = check.max_error, .bound = check.bound, .ok = !st && check.ok, .message = st ? tlvk__fail_text() : check.message };
    t->cases++;
    t->failed += !report.ok;
    if (t->desc->report) t->desc->report(&report, t->desc->user);
    return TLVK_OK;
}

static tlvk_status run(selftest *t, const tlvk_context *ctx) {
    const tlvk__op *op;
    for (int i = 0; (op = tlvk__op_at(i)) != NULL; i++) {
        for (int k = 0;; k++) {
            tlvk__op_case c;
            memset(&c, 0, sizeof c);
            if (!op->test_case || !op->test_case(k, &c)) break;
            if (c.real_size && !t->desc->full) continue;
            if (tlvk__context_cancelled(ctx)) return tlvk__fail(TLVK_ERROR_CANCELLED, "self-test cancelled after %d cases", t->cases);
            tlvk_status st = run_case(t, op, &c);
            c.mixed = (op->flags & TLVK__OP_PRODUCT) && tlvk__device_caps(t->device)->matrix_m;
            if (!st && c.mixed) st = run_case(t, op, &c);
            if (st) return st;
        }
    }
    return TLVK_OK;
}

tlvk_status tlvk_selftest(tlvk_context *ctx, const tlvk_selftest_desc *desc, int *cases, int *failed) {
    if (!ctx) return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_selftest: no context"));
    static const tlvk_selftest_desc defaults;
    selftest t = { .desc = desc ? desc : &defaults };
    tlvk__context_clear_cancel(ctx);
    tlvk_status st = tlvk__context_device(ctx, &t.device);
    if (!st) st = run(&t, ctx);
    if (cases) *cases = t.cases;
    if (failed) *failed = t.failed;
    return tlvk__context_fail(ctx, st);
}
