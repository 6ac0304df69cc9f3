/* selftest_report.c - what a self-test says in the end: one line for who asks whether the device will do, and a file for who is to find out why it does
 * not. Hides: the words. */
#include "train/selftest.h"

#include "core/platform.h"

#include <inttypes.h>
#include <stdio.h>

void tlvk__selftest_verdict(const tlvk__selftest *t, char *line, size_t size) {
    const int failed = t->failed - t->mixed_failed, cases = t->cases - t->mixed_cases;
    const tlvk__caps *caps = tlvk__device_caps(t->device);
    char mixed[640];
    if (!caps->matrix_m && !tlvk__texel_operands(caps))
        snprintf(mixed, sizeof mixed, "; not for mixed precision, for which its texel buffers are too small and it lacks cooperative matrices of fp16");
    else if (t->mixed_failed)
        snprintf(mixed, sizeof mixed, "; NOT fit for: mixed precision (%d of %d cases failed, the first is %s)", t->mixed_failed, t->mixed_cases, t->first_mixed);
    else
        snprintf(mixed, sizeof mixed, ", mixed precision%s", caps->matrix_m ? "" : " (activations in fp16, products in fp32)");
    if (t->gone)
        snprintf(line, size, "this device is NOT fit for training: it stopped answering, %s", *t->first ? t->first : t->first_mixed);
    else if (failed)
        snprintf(line, size, "this device is NOT fit for training: %d of %d cases failed, the first is %s", failed, cases, t->first);
    else if (t->desc->filter)
        snprintf(line, size, "no verdict on this device: only the cases with \"%.100s\" in their names were run (%d, of which %d failed)", t->desc->filter, t->cases, t->failed);
    else
        snprintf(line, size, "this device is fit for: training fp32%s", mixed);
}

static void write_limits(FILE *f, const tlvk__caps *c) {
    static const char *const no_yes[] = { "no", "yes" };
    fprintf(f, "memory: %" PRIu64 " bytes, %" PRIu64 " in one allocation, %s the host's\n", c->memory_bytes, c->max_allocation_bytes, c->unified ? "also" : "not");
    fprintf(f, "bindings: %" PRIu64 " bytes each, %u in a shader, at multiples of %u; texels: %" PRIu64 ", at multiples of %u; push constants: %u bytes\n", c->max_binding_bytes,
            c->max_storage_buffers, c->storage_align, c->max_texels, c->texel_align, c->max_push_bytes);
    fprintf(f, "workgroups: %u x %u x %u of them, of %u x %u x %u invocations and %u in all, %u bytes of shared memory\n", c->max_groups[0], c->max_groups[1], c->max_groups[2],
            c->max_group_size[0], c->max_group_size[1], c->max_group_size[2], c->max_invocations, c->max_shared_bytes);
    fprintf(f, "subgroups: %u lanes, %u for shuffles; shuffles: %s; size can be required: %s\n", c->subgroup_size, c->shuffle_size, no_yes[c->subgroup_shuffle],
            no_yes[c->subgroup_size_control]);
    fprintf(f, "timestamps: %s; fp16 stored: %s, computed: %s; cooperative matrices: %s, %u x %u x %u taken\n", no_yes[c->timestamps], no_yes[c->fp16_storage],
            no_yes[c->fp16_arithmetic], no_yes[c->cooperative_matrix], c->matrix_m, c->matrix_n, c->matrix_k);
}

static void write_report(FILE *f, const tlvk__selftest *t, const char *verdict) {
    const tlvk__caps *c = tlvk__device_caps(t->device);
    fprintf(f, "Self-test of tlvk %s\n\ndevice: %s (%s)\ndriver: %s\nVulkan: %s\nvendor 0x%04x, device 0x%04x, driver version 0x%08x\n", tlvk_version(), c->name, c->type, c->driver,
            c->api, c->vendor_id, c->device_id, c->driver_version);
    write_limits(f, c);
    fprintf(f, "\nseed %llu, %s cases", (unsigned long long)t->desc->seed, t->desc->full ? "all" : "the small");
    if (t->desc->filter) fprintf(f, " with \"%s\" in their names", t->desc->filter);
    fprintf(f, "\n%d cases, %d failed; the largest error of those with a bound was %.3f of it\n%s%s\n", t->cases, t->failed, t->worst, t->failures ? t->failures : "", verdict);
}

tlvk_status tlvk__selftest_report(const tlvk__selftest *t, const char *verdict, const char *path) {
    FILE *f = tlvk__file_open(path, "wb");
    if (f) write_report(f, t, verdict);
    const bool wrong = f && ferror(f);
    return !f || fclose(f) != 0 || wrong ? tlvk__fail(TLVK_ERROR_FILE, "the self-test's report could not be written to \"%s\"", path) : TLVK_OK;
}
