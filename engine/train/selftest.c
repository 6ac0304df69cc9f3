/* selftest.c - whether this device computes what it should: every operation against the reference, by the cases that the tests run too, and then what
 * no single operation shows. Hides: the order of the parts, and what becomes of a case that fails. */
#include "train/selftest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tlvk__selftest_wants(const tlvk__selftest *t, const char *name) { return !t->desc->filter || strstr(name, t->desc->filter); }

/* A line of the report, with what runs the case alone. */
static tlvk_status keep_failure(tlvk__selftest *t, const tlvk_selftest_case *c) {
    char *line = tlvk__format("FAILED %s: error %.3g, bound %.3g: %s\n       again: tlvk selftest%s --seed %llu --filter \"%s\"\n", c->name, c->max_error, c->bound,
                              c->message, t->desc->full ? " --full" : "", (unsigned long long)t->desc->seed, c->name);
    size_t length = line ? strlen(line) : 0;
    char *grown = line ? tlvk__grow(t->failures, &t->failures_capacity, t->failures_length + length + 1, 1) : NULL;
    if (grown) {
        memcpy(grown + t->failures_length, line, length + 1);
        t->failures = grown;
        t->failures_length += length;
    }
    free(line);
    return grown ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the self-test's report");
}

tlvk_status tlvk__selftest_tell(tlvk__selftest *t, const char *name, bool mixed, tlvk_status status, const tlvk__check *check) {
    if (status == TLVK_ERROR_CANCELLED) return status;
    t->gone = t->gone || status == TLVK_ERROR_DEVICE_LOST || status == TLVK_ERROR_NO_DEVICE;
    const tlvk_selftest_case c = { .name = name, .max_error = check->max_error, .bound = check->bound, .ok = !status && check->ok, .message = status ? tlvk__fail_text() : check->message };
    tlvk_status st = c.ok ? TLVK_OK : keep_failure(t, &c);
    t->cases++;
    t->mixed_cases += mixed;
    t->worst = fmax(t->worst, check->worst);
    if (!c.ok) {
        char *first = mixed ? t->first_mixed : t->first;
        if (!*first) snprintf(first, sizeof t->first, "%.160s: %.340s", name, c.message);
        t->failed++;
        t->mixed_failed += mixed;
    }
    if (t->desc->report) t->desc->report(&c, t->desc->user);
    if (t->gone) return tlvk__fail(status, "self-test, %s", *t->first ? t->first : t->first_mixed);
    return tlvk__context_cancelled(t->ctx) ? tlvk__fail(TLVK_ERROR_CANCELLED, "self-test cancelled after %d cases", t->cases) : st;
}

static tlvk_status run_case(tlvk__selftest *t, const tlvk__op *op, const tlvk__op_case *c, int64_t pieces) {
    char name[160];
    const bool mixed = c->mixed || c->half;
    snprintf(name, sizeof name, "%s: %s%s%s%s", op->class_name, c->name, pieces ? ", in pieces" : "", c->half ? ", activations in fp16" : "", mixed ? ", mixed precision" : "");
    if (!tlvk__selftest_wants(t, name)) return TLVK_OK;
    tlvk__check check;
    memset(&check, 0, sizeof check);
    tlvk_status st = tlvk__check_case(t->device, op, c, t->desc->seed + 1, pieces, &check);
    return tlvk__selftest_tell(t, name, mixed, st, &check);
}

/* A small case is also walked in pieces of one sample, as operands larger than a binding are: of products always, of the others in the full self-test. */
static tlvk_status run_op(tlvk__selftest *t, const tlvk__op *op) {
    for (int k = 0;; k++) {
        tlvk__op_case c;
        memset(&c, 0, sizeof c);
        if (!op->test_case || !op->test_case(k, &c)) return TLVK_OK;
        if (c.real_size && !t->desc->full) continue;
        tlvk_status st = run_case(t, op, &c, 0);
        if (!st && !c.real_size && (t->desc->full || (op->flags & TLVK__OP_PRODUCT))) st = run_case(t, op, &c, 1);
        c.mixed = (op->flags & TLVK__OP_PRODUCT) && tlvk__device_caps(t->device)->matrix_m;
        if (!st && c.mixed) st = run_case(t, op, &c, 0);
        c.half = op->halves && !c.real_size && tlvk__texel_operands(tlvk__device_caps(t->device));
        if (!st && c.half) st = run_case(t, op, &c, 0);
        if (st) return st;
    }
}

static tlvk_status run(tlvk__selftest *t) {
    const tlvk__op *op;
    tlvk_status st = tlvk__selftest_device(t);
    for (int i = 0; !st && (op = tlvk__op_at(i)) != NULL; i++) st = run_op(t, op);
    return st ? st : tlvk__selftest_curve(t);
}

/* The report is written whatever ended the cases, and what ended them is what is told. */
static tlvk_status conclude(const tlvk__selftest *t, tlvk_status st) {
    char verdict[1024];
    char *text = st ? tlvk__strdup(tlvk__fail_text()) : NULL;
    tlvk__selftest_verdict(t, verdict, sizeof verdict);
    if (t->desc->verdict) snprintf(t->desc->verdict, t->desc->verdict_size, "%s", verdict);
    tlvk_status written = t->desc->file ? tlvk__selftest_report(t, verdict, t->desc->file) : TLVK_OK;
    if (st) tlvk__fail(st, "%s", text ? text : "the self-test failed, and no memory was left to say why");
    free(text);
    return st ? st : written;
}

tlvk_status tlvk_selftest(tlvk_context *ctx, const tlvk_selftest_desc *desc, int *cases, int *failed) {
    if (!ctx) return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_selftest: no context"));
    static const tlvk_selftest_desc defaults;
    tlvk__selftest t = { .ctx = ctx, .desc = desc ? desc : &defaults };
    if (t.desc->verdict && t.desc->verdict_size) t.desc->verdict[0] = '\0';
    tlvk__context_clear_cancel(ctx);
    tlvk_status st = tlvk__context_device(ctx, &t.device);
    if (!st) st = conclude(&t, run(&t));
    free(t.failures);
    if (cases) *cases = t.cases;
    if (failed) *failed = t.failed;
    return tlvk__context_fail(ctx, st);
}
