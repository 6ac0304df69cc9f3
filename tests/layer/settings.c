/* settings.c - what the layer was told to do, and what it has to say. Hides: the text of the settings, the lock, the report. */
#include "internal.h"

#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

settings sim;
static sim_report report;
static bool told_by_test, environment_read;
static uint64_t dispatches; /* since the settings were made */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

#define NUMBER(field) {#field, offsetof(settings, field)}
static const struct { const char *name; size_t offset; } numbers[] = {
    NUMBER(fail_at), NUMBER(fail_result), NUMBER(fail_choice), NUMBER(hollow), NUMBER(skip_dispatch), NUMBER(slow), NUMBER(max_storage_buffer_range), NUMBER(max_shared_memory),
    NUMBER(max_invocations), NUMBER(max_groups), NUMBER(max_texels), NUMBER(max_storage_buffers), NUMBER(max_push_constants), NUMBER(storage_align),
    NUMBER(texel_align), NUMBER(atom), NUMBER(max_allocation), NUMBER(no_texel_buffers), NUMBER(no_subgroups), NUMBER(no_timestamps), NUMBER(no_fp16),
    NUMBER(one_queue), NUMBER(subgroup_size), NUMBER(subgroup_min), NUMBER(subgroup_max), NUMBER(max_subgroups),
    NUMBER(no_subgroup_control), NUMBER(no_full_subgroups), NUMBER(discrete), NUMBER(type), NUMBER(second_type), NUMBER(heap), NUMBER(budget), NUMBER(separate_heaps), NUMBER(non_coherent),
    NUMBER(portability), NUMBER(no_required_sizes)};

void lock(void) { pthread_mutex_lock(&mutex); }
void unlock(void) { pthread_mutex_unlock(&mutex); }

void breach(const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!told_by_test) {
        fprintf(stderr, SIM_LAYER ": breach: %s\n", text);
        abort();
    }
    size_t used = strlen(report.text);
    snprintf(report.text + used, sizeof report.text - used, "%s\n", text);
    report.breaches++;
}

static bool take_number(const char *name, const char *value, settings *s) {
    char *end;
    long long n = strtoll(value, &end, 0);
    int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (end == value || end[shift != 0])
        return false;
    for (int i = 0; i < COUNT(numbers); i++)
        if (strcmp(numbers[i].name, name) == 0) {
            *(int64_t *)(void *)((char *)s + numbers[i].offset) = (int64_t)n * ((int64_t)1 << shift);
            return true;
        }
    return false;
}

static bool parse(const char *text, settings *s) {
    memset(s, 0, sizeof *s);
    while (*text) {
        char name[64], value[64];
        int length = 0;
        if (sscanf(text, "%63[^=,]=%63[^,]%n", name, value, &length) != 2 || length == 0)
            return false;
        if (strcmp(name, "fail_call") == 0)
            snprintf(s->fail_call, sizeof s->fail_call, "%s", value);
        else if (!take_number(name, value, s))
            return false;
        text += length;
        text += *text == ',';
    }
    return true;
}

bool tlvk_sim_begin(const char *text) {
    lock();
    bool understood = parse(text, &sim);
    memset(&report, 0, sizeof report);
    dispatches = 0;
    told_by_test = true;
    unlock();
    return understood;
}

void tlvk_sim_read(sim_report *out) {
    lock();
    *out = report;
    out->alive = alive_of(NULL);
    size_t used = strlen(out->text);
    if (out->alive)
        name_alive(NULL, out->text + used, sizeof out->text - used);
    unlock();
}

void read_environment(void) {
    lock();
    const char *text = getenv("TLVK_SIM");
    if (!told_by_test && !environment_read && text && !parse(text, &sim)) {
        fprintf(stderr, SIM_LAYER ": TLVK_SIM: not understood: %s\n", text);
        abort();
    }
    environment_read = true;
    unlock();
}

bool skips_dispatch(void) {
    lock();
    bool skips = sim.skip_dispatch > 0 && ++dispatches == (uint64_t)sim.skip_dispatch;
    unlock();
    return skips;
}

VkResult fail_now(const char *call, const VkResult *results, int count) {
    VkResult result = VK_SUCCESS;
    lock();
    bool counted = !sim.fail_call[0] || strcmp(sim.fail_call, call) == 0;
    report.calls += counted;
    if (counted && sim.fail_at > 0 && report.calls == (uint64_t)sim.fail_at) {
        result = sim.fail_result ? (VkResult)sim.fail_result : results[sim.fail_choice % count];
        snprintf(report.failed_call, sizeof report.failed_call, "%s", call);
        report.failed_result = result;
    }
    unlock();
    return result;
}
