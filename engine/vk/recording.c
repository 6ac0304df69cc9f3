/* recording.c - a finished recording: submitting, waiting, listing, its end. Hides: the fence, how a device's speed is learnt and how its time is counted. */
#include "vk/internal.h"

#include "core/platform.h"

#include <math.h>
#include <stdlib.h>

#define LEAST_SPEED 1e-3 /* as multiples of the first guess; beyond, a measurement is taken for a mistake */
#define MOST_SPEED 1e4
#define SLOWER 0.7
#define FASTER 4.0

void tlvk__recording_destroy(tlvk__recording *rec) {
    if (!rec)
        return;
    if (rec->in_flight)
        tlvk__recording_wait(rec);
    tlvk__recording_unencode(rec);
    for (size_t i = 0; i < rec->string_count; i++)
        free(rec->strings[i]);
    free(rec->strings);
    free(rec->entries);
    free(rec->bindings);
    free(rec->push);
    free(rec);
}

/* A recording whose own runs showed another speed than it was cut by is cut again: at once where its submissions take longer than they should, where a
 * watchdog waits; where they are shorter, once they are much shorter. Bits do not depend on cuts. */
static tlvk_status recut(tlvk__recording *rec) {
    const double ratio = rec->speed / rec->cut_speed;
    const int before = rec->submissions;
    const bool off = (ratio < SLOWER && (size_t)before < rec->entry_count) || (ratio > FASTER && before > 1);
    if (rec->commands && (rec->desc.single_submission || !off)) /* none: they could not be made when it was last cut again */
        return TLVK_OK;
    tlvk__recording_unencode(rec);
    tlvk__recording_cut(rec, rec->speed);
    if (rec->submissions != before)
        tlvk__device_log(rec->device, TLVK_LOG_DEBUG, "%zu operations took %.3g ms: cut into %d submissions instead of %d", rec->entry_count, rec->last_ms, rec->submissions, before);
    tlvk_status status = tlvk__recording_encode(rec);
    if (status != TLVK_OK)
        tlvk__recording_unencode(rec);
    return status;
}

/* A lost device, with what ran: the first and last operations tell a reader of the error where to look. */
static tlvk_status fail_running(tlvk__recording *rec, VkResult result, const char *what) {
    if (rec->entry_count == 0)
        return tlvk__vk_fail(rec->device, result, "%s a recording", what);
    const tlvk__entry *first = &rec->entries[0], *last = &rec->entries[rec->entry_count - 1];
    return tlvk__vk_fail(rec->device, result, "%s a recording of %zu operations in %d submissions, from %s %s to %s %s", what,
                         rec->entry_count, rec->submissions, first->operation, first->layer, last->operation, last->layer);
}

/* Out of memory says nothing of the work itself, which may still run and use what the caller gives back next: then the whole device is waited for. */
static VkResult wait_for_fence(tlvk__recording *rec) {
    tlvk__device *d = rec->device;
    VkResult result = d->vk.vkWaitForFences(d->handle, 1, &rec->fence, VK_TRUE, UINT64_MAX);
    if (result != VK_SUCCESS && result != VK_ERROR_DEVICE_LOST)
        result = d->vk.vkDeviceWaitIdle(d->handle);
    return result;
}

/* Each entry alone, timed by the host: on a device without timestamps nothing else tells them apart. */
static tlvk_status run_pieces(tlvk__recording *rec) {
    tlvk__device *d = rec->device;
    rec->last_ms = 0;
    for (int i = 0; i < rec->submissions; i++) {
        double began = tlvk__now_seconds();
        VkResult result = d->vk.vkResetFences(d->handle, 1, &rec->fence);
        if (result == VK_SUCCESS)
            result = d->vk.vkQueueSubmit(d->queue, 1, &rec->submits[i], rec->fence);
        if (result == VK_SUCCESS)
            result = wait_for_fence(rec);
        if (result != VK_SUCCESS)
            return fail_running(rec, result, "running");
        d->done_at = tlvk__now_seconds();
        double ms = (d->done_at - began) * 1e3;
        rec->last_ms += ms;
        if ((size_t)i < rec->entry_count)
            rec->entries[i].ms = ms;
    }
    return TLVK_OK;
}

tlvk_status tlvk__recording_submit(tlvk__recording *rec) {
    tlvk__device *d = rec->device;
    if (rec->in_flight)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "a recording was submitted again before it was done");
    if (d->dry)
        return TLVK_OK;
    if (d->lost)
        return fail_running(rec, VK_ERROR_DEVICE_LOST, "submitting");
    if (rec->piecewise)
        return run_pieces(rec);
    tlvk_status status = recut(rec);
    if (status != TLVK_OK)
        return status;
    VkResult result = d->vk.vkResetFences(d->handle, 1, &rec->fence);
    if (result == VK_SUCCESS)
        result = d->vk.vkQueueSubmit(d->queue, (uint32_t)rec->submissions, rec->submits, rec->fence);
    if (result != VK_SUCCESS)
        return fail_running(rec, result, "submitting");
    rec->in_flight = true;
    rec->submitted_at = tlvk__now_seconds();
    return TLVK_OK;
}

/* Adds a recording's stretch of the device's time and the gap before it. Recordings are waited for in the order of their submission; one that overlaps
 * the stretch before it counts from that one's end. Clocks of few bits wrap, so "before" is half their range. */
static void count_use(tlvk__device *d, uint64_t begin, uint64_t end, uint64_t mask) {
    const double second = d->caps.timestamp_ns * 1e-9;
    const uint64_t gap = (begin - d->busy_until) & mask;
    const bool overlaps = d->worked && gap > mask / 2;
    const uint64_t busy = (end - (overlaps ? d->busy_until : begin)) & mask;
    if (busy > mask / 2)
        return;
    if (d->worked && !overlaps)
        d->idle_seconds += (double)gap * second;
    d->busy_seconds += (double)busy * second;
    d->busy_until = end;
    d->worked = true;
}

/* Times of the entries, where asked for, and of the whole: the pool holds two stamps each, the whole's last. */
static tlvk_status read_timestamps(tlvk__recording *rec, double *whole_ms) {
    tlvk__device *d = rec->device;
    size_t pairs = rec->query_pairs;
    uint64_t *ticks = tlvk__calloc(pairs * 2, sizeof *ticks);
    if (!ticks)
        return tlvk__fail(TLVK_ERROR_MEMORY, "reading timestamps: no memory");
    VkResult result = d->vk.vkGetQueryPoolResults(d->handle, rec->queries, 0, (uint32_t)pairs * 2, pairs * 2 * sizeof *ticks, ticks,
                                                  sizeof *ticks, VK_QUERY_RESULT_64_BIT);
    uint64_t mask = d->physical.queue_timestamp_bits >= 64 ? UINT64_MAX : ((uint64_t)1 << d->physical.queue_timestamp_bits) - 1;
    for (size_t i = 0; result == VK_SUCCESS && i < pairs; i++) {
        double ms = (double)((ticks[2 * i + 1] - ticks[2 * i]) & mask) * d->caps.timestamp_ns * 1e-6;
        *(i + 1 == pairs ? whole_ms : &rec->entries[i].ms) = ms;
    }
    if (result == VK_SUCCESS)
        count_use(d, ticks[2 * pairs - 2], ticks[2 * pairs - 1], mask);
    free(ticks);
    return result == VK_SUCCESS ? TLVK_OK : fail_running(rec, result, "reading the timestamps of");
}

/* Moves the device's speed, by which later recordings are cut, halfway (geometrically) to what this run showed, and the recording's own, by which it is cut
 * again. A first run that compiles shaders makes the device look slow, which is the harmless side; runs too short to measure are left out. */
static void learn_speed(tlvk__recording *rec, double ms) {
    if (ms < 2 || rec->estimated_ms <= 0)
        return;
    double *speeds[] = {&rec->device->speed, &rec->speed};
    for (size_t i = 0; i < TLVK__COUNT(speeds); i++)
        *speeds[i] = TLVK__MIN(TLVK__MAX(sqrt(*speeds[i] * (rec->estimated_ms / ms)), LEAST_SPEED), MOST_SPEED);
}

tlvk_status tlvk__recording_wait(tlvk__recording *rec) {
    if (!rec->in_flight)
        return TLVK_OK;
    tlvk__device *d = rec->device;
    bool was_done = tlvk__recording_done(rec);
    VkResult result = wait_for_fence(rec);
    double now = tlvk__now_seconds(), started = TLVK__MAX(rec->submitted_at, d->done_at);
    rec->in_flight = false;
    d->done_at = now;
    if (result != VK_SUCCESS)
        return fail_running(rec, result, "running");
    /* By the clock, only a wait that had to wait tells when the work ended. */
    double whole_ms = was_done ? 0 : (now - started) * 1e3;
    tlvk_status status = rec->queries ? read_timestamps(rec, &whole_ms) : TLVK_OK;
    rec->last_ms = whole_ms;
    learn_speed(rec, whole_ms);
    return status;
}

bool tlvk__recording_done(tlvk__recording *rec) {
    if (!rec->in_flight)
        return true;
    VkResult result = rec->device->vk.vkGetFenceStatus(rec->device->handle, rec->fence);
    return result == VK_SUCCESS || result == VK_ERROR_DEVICE_LOST;
}

tlvk_status tlvk__recording_run(tlvk__recording *rec) {
    tlvk_status status = tlvk__recording_submit(rec);
    return status == TLVK_OK ? tlvk__recording_wait(rec) : status;
}

int tlvk__recording_count(const tlvk__recording *rec) { return (int)rec->entry_count; }
int tlvk__recording_barriers(const tlvk__recording *rec) { return rec->barriers; }
int tlvk__recording_submissions(const tlvk__recording *rec) { return rec->submissions; }
double tlvk__recording_ms(const tlvk__recording *rec) { return rec->last_ms; }

tlvk_status tlvk__recording_entry(tlvk__recording *rec, int index, tlvk__recorded *entry) {
    if (index < 0 || (size_t)index >= rec->entry_count)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "entry %d of a recording of %zu", index, rec->entry_count);
    const tlvk__entry *e = &rec->entries[index];
    *entry = (tlvk__recorded){e->shader, e->operation, e->layer, {e->groups[0], e->groups[1], e->groups[2]}, e->flops, e->bytes, e->ms,
                              e->barrier_before, e->submission, e->phase, e->phase_layer};
    return TLVK_OK;
}

bool tlvk__recording_binding(const tlvk__recording *rec, int index, int binding, tlvk__binding *out) {
    if (index < 0 || (size_t)index >= rec->entry_count || binding < 0 || binding >= rec->entries[index].binding_count)
        return false;
    *out = rec->bindings[rec->entries[index].first_binding + (size_t)binding];
    return true;
}
