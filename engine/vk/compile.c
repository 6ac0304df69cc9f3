/* compile.c - the pipelines that a recording is the first to use, compiled by several threads at once: a driver takes from a millisecond to seconds for each.
 * Hides: VkComputePipelineCreateInfo, and how the work is divided. Which pipelines there are and what is said of a failure do not depend on the threads. */
#include "core/platform.h"
#include "vk/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define MOST_THREADS 16

typedef struct crew {
    tlvk__device *device;
    tlvk__pipeline **pipelines; VkResult *results; size_t count, capacity;
    tlvk__mutex *mutex;
    size_t next;                 /* under the mutex */
} crew;

/* " TM=8 SG=32, subgroups of 32": what the pipeline is besides its shader. */
static void write_words(const tlvk__pipeline *p, char *words, size_t size) {
    size_t used = 0;
    words[0] = '\0';
    for (int k = 0; k < p->shader->info.spec_count && used < size; k++)
        if (p->given >> k & 1u)
            used += (size_t)snprintf(words + used, size - used, " %s=%u", p->shader->info.specs[k].name, p->values[k]);
    if (p->subgroup_size && used < size)
        snprintf(words + used, size - used, ", subgroups of %u", p->subgroup_size);
}

/* Any thread: the driver locks the pipeline cache by itself. */
static VkResult compile(tlvk__device *d, tlvk__pipeline *p) {
    VkSpecializationMapEntry entries[TLVK__MAX_SPECS];
    uint32_t count = 0;
    for (int k = 0; k < p->shader->info.spec_count; k++)
        if (p->given >> k & 1u)
            entries[count++] = (VkSpecializationMapEntry){p->shader->info.specs[k].id, (uint32_t)k * 4u, 4};
    const VkSpecializationInfo specs = {count, entries, sizeof p->values, p->values};
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT, .requiredSubgroupSize = p->subgroup_size};
    bool require = p->subgroup_size && d->caps.subgroup_size_control;
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = d->statistics ? VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR : 0,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = require ? &size : NULL,
                  .flags = require && p->full_subgroups ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = p->shader->module,
                  .pName = "main",
                  .pSpecializationInfo = &specs},
        .layout = p->shader->layout};
    return d->vk.vkCreateComputePipelines(d->handle, d->pipelines.cache, 1, &info, NULL, &p->handle);
}

/* Takes pipelines in order until none is left; after a failure those behind it are left as they are. */
static void work(void *user) {
    crew *c = user;
    for (;;) {
        tlvk__mutex_lock(c->mutex);
        const size_t i = c->next < c->count ? c->next++ : c->count;
        tlvk__mutex_unlock(c->mutex);
        if (i == c->count)
            return;
        c->results[i] = compile(c->device, c->pipelines[i]);
        if (c->results[i] == VK_SUCCESS)
            continue;
        c->pipelines[i]->handle = VK_NULL_HANDLE;
        tlvk__mutex_lock(c->mutex);
        c->next = c->count;
        tlvk__mutex_unlock(c->mutex);
    }
}

static void run(crew *c) {
    tlvk__thread *threads[MOST_THREADS];
    const size_t most = TLVK__MIN(TLVK__MIN((size_t)tlvk__cpu_count(), c->count), MOST_THREADS);
    size_t started = 0;
    while (started + 1 < most && (threads[started] = tlvk__thread_start(work, c)) != NULL)
        started++;
    work(c); /* this thread is one of them, and all of them where none starts */
    while (started > 0)
        tlvk__thread_join(threads[--started]);
}

/* Those without a handle, each once, in the order of their first use. */
static bool collect(crew *c, const tlvk__recording *rec) {
    for (size_t i = 0; i < rec->entry_count; i++) {
        tlvk__pipeline *p = rec->entries[i].pipeline;
        size_t k = 0;
        if (!p || p->handle)
            continue;
        while (k < c->count && c->pipelines[k] != p)
            k++;
        if (k < c->count)
            continue;
        tlvk__pipeline **grown = tlvk__grow(c->pipelines, &c->capacity, c->count + 1, sizeof(tlvk__pipeline *));
        if (!grown)
            return false;
        c->pipelines = grown;
        c->pipelines[c->count++] = p;
    }
    if (c->count == 0)
        return true;
    c->results = tlvk__calloc(c->count, sizeof *c->results);
    c->mutex = tlvk__mutex_create();
    return c->results && c->mutex;
}

tlvk_status tlvk__recording_compile(const tlvk__recording *rec) {
    tlvk__device *d = rec->device;
    crew c = {.device = d};
    char words[256];
    tlvk_status status = collect(&c, rec) ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "compiling the shaders of a recording: no memory");
    for (size_t i = 0; status == TLVK_OK && i < c.count; i++) {
        write_words(c.pipelines[i], words, sizeof words);
        tlvk__device_log(d, TLVK_LOG_DEBUG, "compiling shader \"%s\" with%s", tlvk__shaders[c.pipelines[i]->shader_index].name, words);
    }
    if (status == TLVK_OK && c.count > 0) {
        run(&c);
        d->pipelines.changed = true;
    }
    for (size_t i = 0; status == TLVK_OK && i < c.count; i++) {
        if (c.results[i] == VK_SUCCESS)
            continue;
        write_words(c.pipelines[i], words, sizeof words);
        status = tlvk__vk_fail(d, c.results[i], "shader \"%s\": compiling it with%s", tlvk__shaders[c.pipelines[i]->shader_index].name, words);
    }
    tlvk__mutex_destroy(c.mutex);
    free(c.results);
    free(c.pipelines);
    return status;
}
