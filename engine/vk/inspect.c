/* inspect.c - what a driver's compiler tells of the pipelines it made: registers, spills, waves. Hides: VK_KHR_pipeline_executable_properties, in which one
 * pipeline may be several executables (Intel's drivers make one for each width). */
#include "vk/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tlvk__tells_statistics(const tlvk__instance *instance, const tlvk__physical *p) {
    if (!p->executable_properties)
        return false;
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executables = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &executables};
    instance->GetPhysicalDeviceFeatures2(p->handle, &features);
    return executables.pipelineExecutableInfo;
}

static double number_of(const VkPipelineExecutableStatisticKHR *s) {
    switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: return s->value.b32 ? 1 : 0;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR: return (double)s->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR: return (double)s->value.u64;
    default: return s->value.f64;
    }
}

/* Executable `index` of the pipeline, into what describes the pipeline already. */
static tlvk_status tell_executable(tlvk__device *d, const tlvk__pipeline *p, uint32_t index, tlvk__executable *e,
                                   void (*each)(const tlvk__executable *e, void *user), void *user) {
    static const VkPipelineExecutableStatisticKHR empty = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR};
    const VkPipelineExecutableInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = p->handle, .executableIndex = index};
    uint32_t count = 0;
    VkResult result = d->vk.vkGetPipelineExecutableStatisticsKHR(d->handle, &info, &count, NULL);
    VkPipelineExecutableStatisticKHR *list = tlvk__calloc((size_t)count + 1, sizeof *list);
    tlvk__statistic *statistics = tlvk__calloc((size_t)count + 1, sizeof *statistics);
    for (uint32_t i = 0; list && i < count; i++)
        list[i] = empty;
    if (result == VK_SUCCESS)
        result = list && statistics ? d->vk.vkGetPipelineExecutableStatisticsKHR(d->handle, &info, &count, list) : VK_ERROR_OUT_OF_HOST_MEMORY;
    if (result == VK_SUCCESS) {
        for (uint32_t i = 0; i < count; i++) {
            snprintf(statistics[i].name, sizeof statistics[i].name, "%.*s", (int)sizeof statistics[i].name - 1, list[i].name);
            statistics[i].value = number_of(&list[i]);
        }
        e->statistics = statistics;
        e->statistic_count = (int)count;
        each(e, user);
    }
    free(list);
    free(statistics);
    return result == VK_SUCCESS ? TLVK_OK : tlvk__vk_fail(d, result, "shader \"%s\": reading the compiler's statistics", e->shader);
}

/* All executables of the pipeline; the caller frees the list, also after a failure. */
static VkResult list_executables(const tlvk__device *d, const tlvk__pipeline *p, VkPipelineExecutablePropertiesKHR **list, uint32_t *count) {
    static const VkPipelineExecutablePropertiesKHR empty = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
    const VkPipelineInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = p->handle};
    *list = NULL;
    VkResult result = d->vk.vkGetPipelineExecutablePropertiesKHR(d->handle, &info, count, NULL);
    if (result != VK_SUCCESS)
        return result;
    *list = tlvk__calloc((size_t)*count + 1, sizeof **list);
    if (!*list)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    for (uint32_t i = 0; i < *count; i++)
        (*list)[i] = empty;
    return d->vk.vkGetPipelineExecutablePropertiesKHR(d->handle, &info, count, *list);
}

static tlvk_status tell_pipeline(tlvk__device *d, const tlvk__pipeline *p, void (*each)(const tlvk__executable *e, void *user), void *user) {
    tlvk__executable e = {.shader = tlvk__shaders[p->shader_index].name, .required_subgroup_size = p->subgroup_size};
    int specs = 0;
    for (int k = 0; k < p->shader->info.spec_count; k++)
        if (p->given >> k & 1u)
            e.specs[specs++] = (tlvk__spec){p->shader->info.specs[k].name, p->values[k]};
    if (!d->statistics) {
        each(&e, user);
        return TLVK_OK;
    }
    VkPipelineExecutablePropertiesKHR *list;
    uint32_t count = 0;
    VkResult result = list_executables(d, p, &list, &count);
    tlvk_status status = result == VK_SUCCESS ? TLVK_OK : tlvk__vk_fail(d, result, "shader \"%s\": listing its executables", e.shader);
    for (uint32_t i = 0; status == TLVK_OK && i < count; i++) {
        e.name = list[i].name;
        e.subgroup_size = list[i].subgroupSize;
        status = tell_executable(d, p, i, &e, each, user);
    }
    free(list);
    return status;
}

tlvk_status tlvk__device_executables(tlvk__device *d, void (*each)(const tlvk__executable *e, void *user), void *user) {
    tlvk_status status = TLVK_OK;
    for (int i = 0; i < TLVK__PIPELINE_BUCKETS; i++)
        for (const tlvk__pipeline *p = d->pipelines.buckets[i]; status == TLVK_OK && p; p = p->next)
            if (p->handle)
                status = tell_pipeline(d, p, each, user);
    return status;
}
