/* device.c - a device from its choice to its end. Hides: what is enabled on it, the one queue, and the words for Vulkan's results. */
#include "vk/internal.h"

#include "core/platform.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *tlvk__result_name(VkResult result) {
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY: return "the host's memory is too small";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY: return "the device's memory is too small";
    case VK_ERROR_OUT_OF_POOL_MEMORY: return "the device's descriptor memory is too small";
    case VK_ERROR_FRAGMENTATION: return "the device's memory is fragmented";
    case VK_ERROR_DEVICE_LOST: return "the device stopped answering (a driver watchdog, a fault or a reset)";
    case VK_ERROR_MEMORY_MAP_FAILED: return "the memory could not be mapped";
    case VK_ERROR_FEATURE_NOT_PRESENT: return "a feature is missing";
    case VK_ERROR_EXTENSION_NOT_PRESENT: return "an extension is missing";
    case VK_ERROR_TOO_MANY_OBJECTS: return "too many objects";
    case VK_ERROR_INITIALIZATION_FAILED: return "the driver could not start";
    default: return "the driver failed";
    }
}

tlvk_status tlvk__vk_fail(tlvk__device *d, VkResult result, const char *format, ...) {
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    tlvk_status status = TLVK_ERROR_INTERNAL;
    if (result == VK_ERROR_DEVICE_LOST) {
        status = TLVK_ERROR_DEVICE_LOST;
        d->lost = true;
    } else if (result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_POOL_MEMORY ||
               result == VK_ERROR_FRAGMENTATION || result == VK_ERROR_TOO_MANY_OBJECTS)
        status = TLVK_ERROR_MEMORY;
    else if (result == VK_ERROR_INITIALIZATION_FAILED)
        status = TLVK_ERROR_NO_DEVICE;
    return tlvk__fail(status, "%s on \"%s\": %s (VkResult %d)", what, d->caps.name, tlvk__result_name(result), (int)result);
}

void tlvk__device_log(const tlvk__device *d, tlvk_log_level level, const char *format, ...) {
    if (!d->log)
        return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    d->log(level, text, d->log_user);
}

/* Speeds to start from, low on purpose: a submission cut too short costs microseconds, one too long may meet a watchdog. */
static void set_speed(tlvk__device *d) {
    bool discrete = strcmp(d->caps.type, "discrete") == 0, cpu = tlvk__on_processor(&d->caps);
    d->flops_per_ms = discrete ? 5e8 : cpu ? 5e6 : 5e7;
    d->bytes_per_ms = discrete ? 5e7 : cpu ? 2e6 : 5e6;
    d->speed = 1;
}

static tlvk_status open_device(tlvk__device *d, bool floor) {
    const tlvk__physical *p = &d->physical;
    const char *extensions[9];
    uint32_t count = 0;
    VkPhysicalDevice16BitStorageFeatures storage16 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES};
    VkPhysicalDeviceShaderFloat16Int8FeaturesKHR float16 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES_KHR};
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT size = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT};
    VkPhysicalDeviceVulkanMemoryModelFeaturesKHR memory_model = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES_KHR};
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR};
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executables = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, .pipelineExecutableInfo = VK_TRUE};
    void *chain = NULL;
    if (d->statistics) {
        extensions[count++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
        chain = &executables;
    }
    if (p->portability_subset)
        extensions[count++] = "VK_KHR_portability_subset";
    if (!floor && p->memory_budget)
        extensions[count++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
    if (!floor && d->caps.fp16_storage) {
        storage16.storageBuffer16BitAccess = VK_TRUE;
        storage16.pNext = chain;
        chain = &storage16;
    }
    if (!floor && d->caps.fp16_arithmetic) {
        extensions[count++] = VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME;
        float16.shaderFloat16 = VK_TRUE;
        float16.pNext = chain;
        chain = &float16;
    }
    if (!floor && d->caps.subgroup_size_control) {
        extensions[count++] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
        size.subgroupSizeControl = VK_TRUE;
        size.computeFullSubgroups = p->full_subgroups;
        size.pNext = chain;
        chain = &size;
    }
    if (!floor && d->caps.matrix_m) {
        extensions[count++] = VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME;
        memory_model.vulkanMemoryModel = VK_TRUE;
        memory_model.pNext = chain;
        extensions[count++] = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME;
        matrix.cooperativeMatrix = VK_TRUE;
        matrix.pNext = &memory_model;
        chain = &matrix;
    }
    const float priority = 1.0f;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = (uint32_t)p->queue_family,
                                           .queueCount = 1, .pQueuePriorities = &priority};
    const VkPhysicalDeviceFeatures features = {.shaderInt64 = !floor && d->caps.pair_stores};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .pNext = chain, .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue, .pEnabledFeatures = &features,
                                     .enabledExtensionCount = count, .ppEnabledExtensionNames = extensions};
    VkResult result = d->instance.CreateDevice(p->handle, &info, NULL, &d->handle);
    if (result != VK_SUCCESS) {
        d->handle = VK_NULL_HANDLE;
        return tlvk__vk_fail(d, result, "opening the device");
    }
    volkLoadDeviceTable(&d->vk, d->handle);
    d->vk.vkGetDeviceQueue(d->handle, (uint32_t)p->queue_family, 0, &d->queue);
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = (uint32_t)p->queue_family};
    result = d->vk.vkCreateCommandPool(d->handle, &pool, NULL, &d->command_pool);
    if (result != VK_SUCCESS)
        d->command_pool = VK_NULL_HANDLE;
    return result == VK_SUCCESS ? TLVK_OK : tlvk__vk_fail(d, result, "making a command pool");
}

/* Without the control that it has, a device whose subgroups vary in size promises none. */
static void limit_caps(tlvk__device *d, const tlvk__caps *limit) {
    tlvk__caps_limit(&d->caps, limit);
    if (!d->caps.subgroup_size_control && d->physical.subgroup_min != d->physical.subgroup_max) {
        d->caps.subgroup_shuffle = false;
        d->caps.matrix_m = d->caps.matrix_n = d->caps.matrix_k = 0;
    }
}

/* Chooses and opens; d is released by the caller on failure. */
static tlvk_status start(tlvk__device *d, const tlvk__device_desc *desc) {
    d->log = desc->log;
    d->log_user = desc->log_user;
    tlvk_status status = tlvk__instance_open(&d->instance, desc->validation);
    if (status != TLVK_OK)
        return status;
    tlvk__physical *devices = tlvk__calloc(TLVK__MAX_DEVICES, sizeof *devices);
    if (!devices)
        return tlvk__fail(TLVK_ERROR_MEMORY, "opening a device: no memory");
    int count, chosen;
    status = tlvk__choose(&d->instance, desc->choose, desc->floor, devices, &count, NULL, &chosen);
    if (status == TLVK_OK) {
        d->physical = devices[chosen];
        d->caps = d->physical.caps;
        d->dry = desc->inspect || d->physical.memory.memoryTypeCount == 0;
        d->statistics = desc->inspect && tlvk__tells_statistics(&d->instance, &d->physical);
        if (d->dry)
            tlvk__caps_fixed_memory(&d->caps);
    }
    free(devices);
    if (status != TLVK_OK)
        return status;
    if (desc->memory_limit)
        d->caps.memory_bytes = TLVK__MIN(d->caps.memory_bytes, desc->memory_limit);
    if (desc->limit)
        limit_caps(d, desc->limit);
    d->caps.max_allocation_bytes = TLVK__MIN(d->caps.max_allocation_bytes, d->caps.memory_bytes);
    d->caps.forced_choice = desc->forced_choice;
    set_speed(d);
    status = open_device(d, desc->floor);
    if (status == TLVK_OK)
        status = tlvk__pipelines_open(d, desc->cache_folder);
    if (status == TLVK_OK)
        tlvk__device_log(d, TLVK_LOG_INFO, "device %d of %d: %s (%s, Vulkan %s, %s)", chosen, count, d->caps.name, d->caps.type,
                         d->caps.api, d->caps.driver);
    return status;
}

tlvk_status tlvk__device_create(const tlvk__device_desc *desc, tlvk__device **out) {
    static const tlvk__device_desc defaults;
    *out = NULL;
    tlvk__device *d = tlvk__calloc(1, sizeof *d);
    if (!d)
        return tlvk__fail(TLVK_ERROR_MEMORY, "opening a device: no memory");
    tlvk_status status = start(d, desc ? desc : &defaults);
    if (status != TLVK_OK) {
        tlvk__device_destroy(d);
        return status;
    }
    *out = d;
    return TLVK_OK;
}

tlvk_status tlvk__device_dry(const tlvk__caps *caps, tlvk__device **out) {
    *out = NULL;
    tlvk__device *d = tlvk__calloc(1, sizeof *d);
    if (!d)
        return tlvk__fail(TLVK_ERROR_MEMORY, "a dry device: no memory");
    d->dry = true;
    if (caps)
        d->caps = *caps;
    else
        tlvk__caps_fixed(&d->caps);
    d->physical.subgroup_min = d->physical.subgroup_max = d->caps.subgroup_size;
    set_speed(d);
    tlvk_status status = tlvk__pipelines_open(d, NULL);
    if (status != TLVK_OK) {
        tlvk__device_destroy(d);
        return status;
    }
    *out = d;
    return TLVK_OK;
}

void tlvk__device_destroy(tlvk__device *d) {
    if (!d)
        return;
    if (d->handle && !d->dry)
        d->vk.vkDeviceWaitIdle(d->handle);
    tlvk__pipelines_close(d);
    if (d->handle) {
        d->vk.vkDestroyCommandPool(d->handle, d->command_pool, NULL);
        d->vk.vkDestroyDevice(d->handle, NULL);
    }
    tlvk__instance_close(&d->instance);
    free(d);
}

const tlvk__caps *tlvk__device_caps(const tlvk__device *d) { return &d->caps; }

const struct tlvk__choices *tlvk__device_choose(tlvk__device *d, const struct tlvk__choices *choices) {
    const struct tlvk__choices *before = d->caps.choices;
    d->caps.choices = choices;
    return before;
}

int tlvk__device_validation_messages(const tlvk__device *d) { return d->instance.validation ? d->instance.messages : -1; }

const char *tlvk__device_validation_text(const tlvk__device *d) { return d->instance.text; }

void tlvk__device_validation_clear(tlvk__device *d) {
    d->instance.messages = 0;
    d->instance.text[0] = '\0';
}

bool tlvk__device_use(const tlvk__device *d, double *busy_seconds, double *idle_seconds) {
    bool known = d->caps.timestamps && !d->dry;
    *busy_seconds = known ? d->busy_seconds : (double)NAN;
    *idle_seconds = known ? d->idle_seconds : (double)NAN;
    return known;
}

void tlvk__device_memory_restart(tlvk__device *d) { d->memory_peak = d->memory_now; }

void tlvk__device_memory_use(const tlvk__device *d, uint64_t *now_bytes, uint64_t *peak_bytes) {
    if (now_bytes)
        *now_bytes = d->memory_now;
    if (peak_bytes)
        *peak_bytes = d->memory_peak;
}
