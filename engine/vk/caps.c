/* caps.c - from a physical device to tlvk__caps. Hides: every property and feature query, and which extensions they need. */
#include "vk/internal.h"

#include "core/platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct extension_list { VkExtensionProperties *items; uint32_t count; } extension_list;

/* Without the list the device would be another than it is, so a failure makes it unusable. */
static extension_list read_extensions(const tlvk__instance *instance, tlvk__physical *p) {
    extension_list list = {0};
    uint32_t count = 0;
    VkResult result = instance->EnumerateDeviceExtensionProperties(p->handle, NULL, &count, NULL);
    if (result == VK_SUCCESS) {
        list.items = tlvk__calloc(count, sizeof *list.items);
        result = list.items ? instance->EnumerateDeviceExtensionProperties(p->handle, NULL, &count, list.items) : VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    if (result >= VK_SUCCESS)
        list.count = count;
    else
        p->unread = result;
    return list;
}

static bool has(const extension_list *list, const char *name) {
    for (uint32_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].extensionName, name) == 0)
            return true;
    return false;
}

const char *tlvk__type_name(VkPhysicalDeviceType type) {
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return "discrete";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return "integrated";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return "virtual";
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return "cpu";
    default: return "other";
    }
}

/* A queue family that computes: one without graphics where there is one, because watchdogs and desktops sit on the graphics queue. */
static void choose_queue(const tlvk__instance *instance, tlvk__physical *p) {
    VkQueueFamilyProperties families[32];
    uint32_t count = (uint32_t)TLVK__COUNT(families);
    instance->GetPhysicalDeviceQueueFamilyProperties(p->handle, &count, families);
    p->queue_family = -1;
    for (int with_graphics = 0; with_graphics < 2 && p->queue_family < 0; with_graphics++)
        for (uint32_t i = 0; i < count && p->queue_family < 0; i++) {
            bool graphics = (families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) != 0;
            if ((families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) && families[i].queueCount > 0 && graphics == (with_graphics != 0)) {
                p->queue_family = (int)i;
                p->queue_timestamp_bits = families[i].timestampValidBits;
            }
        }
}

static void copy_limits(tlvk__caps *c, const VkPhysicalDeviceLimits *l) {
    c->max_binding_bytes = l->maxStorageBufferRange;
    for (int i = 0; i < 3; i++) {
        c->max_groups[i] = l->maxComputeWorkGroupCount[i];
        c->max_group_size[i] = l->maxComputeWorkGroupSize[i];
    }
    c->max_invocations = l->maxComputeWorkGroupInvocations;
    c->max_shared_bytes = l->maxComputeSharedMemorySize;
    c->max_push_bytes = l->maxPushConstantsSize;
    c->max_storage_buffers = TLVK__MIN(l->maxPerStageDescriptorStorageBuffers, l->maxDescriptorSetStorageBuffers);
    c->storage_align = (uint32_t)TLVK__MAX(l->minStorageBufferOffsetAlignment, 4);
    c->texel_align = (uint32_t)TLVK__MAX(l->minTexelBufferOffsetAlignment, 16);
}

static void read_memory(const tlvk__instance *instance, tlvk__physical *p) {
    VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
    instance->GetPhysicalDeviceMemoryProperties2(p->handle, &memory);
    p->memory = memory.memoryProperties;
    for (uint32_t i = 0; i < p->memory.memoryHeapCount; i++)
        if (p->memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)
            p->caps.memory_bytes = TLVK__MAX(p->caps.memory_bytes, p->memory.memoryHeaps[i].size);
    /* A driver that runs on the processor has the host's memory, whatever heap it names (lavapipe of Mesa 22.3.6: 2 GiB on any host,
     * yet allocations beyond succeed; 2026-11-21). A quarter stays for the host's own use. */
    if (p->type == VK_PHYSICAL_DEVICE_TYPE_CPU)
        p->caps.memory_bytes = TLVK__MAX(p->caps.memory_bytes, tlvk__host_memory_bytes() / 4 * 3);
    int type = tlvk__memory_type(&p->memory, UINT32_MAX, TLVK__BUFFER_DEVICE);
    p->caps.unified = type >= 0 && (p->memory.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) != 0;
}

/* The tile of gemm_core_coop.glsl is cut into matrices of which 32 rows, columns and k hold a whole number, and vec4 lie within one. */
static bool fits_core(const VkCooperativeMatrixPropertiesKHR *m) {
    return m->AType == VK_COMPONENT_TYPE_FLOAT16_KHR && m->BType == VK_COMPONENT_TYPE_FLOAT16_KHR && m->CType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
           m->ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR && m->scope == VK_SCOPE_SUBGROUP_KHR && !m->saturatingAccumulation &&
           m->MSize % 4 == 0 && m->NSize % 4 == 0 && m->KSize % 4 == 0 && m->MSize && m->NSize && m->KSize &&
           32 % m->MSize == 0 && 32 % m->NSize == 0 && 32 % m->KSize == 0;
}

/* The largest of the fp16 matrices with fp32 sums; of equal ones the first listed. */
static void read_matrices(const tlvk__instance *instance, tlvk__physical *p) {
    tlvk__caps *c = &p->caps;
    VkCooperativeMatrixPropertiesKHR list[64];
    uint32_t count = (uint32_t)TLVK__COUNT(list), best = 0;
    for (uint32_t i = 0; i < count; i++)
        list[i] = (VkCooperativeMatrixPropertiesKHR){.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    if (instance->GetPhysicalDeviceCooperativeMatrixPropertiesKHR(p->handle, &count, list) < VK_SUCCESS)
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t volume = list[i].MSize * list[i].NSize * list[i].KSize;
        if (fits_core(&list[i]) && volume > best) {
            best = volume;
            c->matrix_m = list[i].MSize;
            c->matrix_n = list[i].NSize;
            c->matrix_k = list[i].KSize;
        }
    }
}

/* Whatever is above 1.1's floor: extensions and optional features, each only where the device says so. */
static void read_optional(const tlvk__instance *instance, tlvk__physical *p, const extension_list *list,
                          const VkPhysicalDeviceSubgroupProperties *subgroup) {
    tlvk__caps *c = &p->caps;
    bool control = has(list, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME), driver = has(list, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME);
    bool maintenance4 = has(list, VK_KHR_MAINTENANCE_4_EXTENSION_NAME);
    p->float16_extension = has(list, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME);
    p->memory_budget = has(list, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    c->cooperative_matrix = has(list, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
    p->memory_model_extension = has(list, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME);

    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT size = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
    VkPhysicalDeviceDriverPropertiesKHR names = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES_KHR};
    VkPhysicalDeviceMaintenance4PropertiesKHR buffers = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES_KHR};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    void **next = &properties.pNext;
    if (control)
        *next = &size, next = &size.pNext;
    if (driver)
        *next = &names, next = &names.pNext;
    if (maintenance4)
        *next = &buffers;
    instance->GetPhysicalDeviceProperties2(p->handle, &properties);

    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT size_features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT};
    VkPhysicalDeviceShaderFloat16Int8FeaturesKHR float16 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES_KHR};
    VkPhysicalDevice16BitStorageFeatures storage16 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES};
    VkPhysicalDeviceVulkanMemoryModelFeaturesKHR memory_model = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES_KHR};
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &storage16};
    next = &storage16.pNext;
    if (control)
        *next = &size_features, next = &size_features.pNext;
    if (p->float16_extension)
        *next = &float16, next = &float16.pNext;
    if (p->memory_model_extension)
        *next = &memory_model, next = &memory_model.pNext;
    if (c->cooperative_matrix)
        *next = &matrix;
    instance->GetPhysicalDeviceFeatures2(p->handle, &features);

    /* lavapipe 22.3.6: shaders/buffers.glsl has the figures. */
    c->pair_stores = p->type == VK_PHYSICAL_DEVICE_TYPE_CPU && features.features.shaderInt64;
    c->fp16_storage = storage16.storageBuffer16BitAccess;
    c->fp16_arithmetic = p->float16_extension && float16.shaderFloat16;
    p->float16_extension = c->fp16_arithmetic;
    if (driver)
        snprintf(c->driver, sizeof c->driver, "%.120s %.120s", names.driverName, names.driverInfo);
    if (maintenance4 && buffers.maxBufferSize > 0)
        c->max_allocation_bytes = TLVK__MIN(c->max_allocation_bytes, buffers.maxBufferSize);

    if ((subgroup->supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) && (subgroup->supportedOperations & VK_SUBGROUP_FEATURE_BASIC_BIT))
        c->subgroup_size = subgroup->subgroupSize;
    if (c->subgroup_size && control) {
        p->subgroup_min = size.minSubgroupSize;
        p->subgroup_max = size.maxSubgroupSize;
        c->subgroup_size_control = size_features.subgroupSizeControl && (size.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT);
        p->full_subgroups = c->subgroup_size_control && size_features.computeFullSubgroups;
        /* Without the extension a driver may run narrower subgroups than it reports (Intel does), and a shuffle would read lanes
         * that are not there. */
        bool dependable = p->full_subgroups || size.minSubgroupSize == size.maxSubgroupSize; /* a size that varies is required, and whole subgroups */
        /* The narrowest that it can be asked for, in which a lane has the most registers: 8 or 16 on Intel, 32 on AMD since RDNA. */
        c->shuffle_size = c->subgroup_size_control ? size.minSubgroupSize : c->subgroup_size;
        c->max_group_subgroups = size.maxComputeWorkgroupSubgroups;
        bool fits = dependable && c->max_group_subgroups >= TLVK__GROUP_SUBGROUPS;
        c->subgroup_shuffle = fits && (subgroup->supportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT);
        /* Shaders with cooperative matrices are compiled to the Vulkan memory model, and count on whole subgroups of one size. */
        if (TLVK_WITH_COOPERATIVE_MATRIX && fits && c->fp16_arithmetic && memory_model.vulkanMemoryModel && matrix.cooperativeMatrix &&
            instance->GetPhysicalDeviceCooperativeMatrixPropertiesKHR)
            read_matrices(instance, p);
    }
}

static void read_above_floor(const tlvk__instance *instance, tlvk__physical *p, const VkPhysicalDeviceLimits *limits, const extension_list *list,
                             const VkPhysicalDeviceSubgroupProperties *subgroup) {
    tlvk__caps *c = &p->caps;
    VkFormatProperties format;
    instance->GetPhysicalDeviceFormatProperties(p->handle, VK_FORMAT_R32G32B32A32_SFLOAT, &format);
    if (format.bufferFeatures & VK_FORMAT_FEATURE_UNIFORM_TEXEL_BUFFER_BIT)
        c->max_texels = limits->maxTexelBufferElements;
    c->timestamps = p->queue_timestamp_bits > 0 && limits->timestampPeriod > 0;
    c->timestamp_ns = c->timestamps ? (double)limits->timestampPeriod : 0;
    read_optional(instance, p, list, subgroup);
}

void tlvk__physical_read(const tlvk__instance *instance, VkPhysicalDevice handle, bool floor, tlvk__physical *out) {
    *out = (tlvk__physical){.handle = handle, .queue_family = -1};
    tlvk__caps *c = &out->caps;
    VkPhysicalDeviceProperties basic;
    instance->GetPhysicalDeviceProperties(handle, &basic);
    out->type = basic.deviceType;
    snprintf(c->name, sizeof c->name, "%s", basic.deviceName);
    snprintf(c->type, sizeof c->type, "%s", tlvk__type_name(basic.deviceType));
    snprintf(c->driver, sizeof c->driver, "driver version 0x%x", basic.driverVersion);
    snprintf(c->api, sizeof c->api, "%u.%u.%u", VK_API_VERSION_MAJOR(basic.apiVersion), VK_API_VERSION_MINOR(basic.apiVersion),
             VK_API_VERSION_PATCH(basic.apiVersion));
    c->vendor_id = basic.vendorID;
    c->device_id = basic.deviceID;
    c->driver_version = basic.driverVersion;
    c->api_version = basic.apiVersion;
    memcpy(c->pipeline_cache_uuid, basic.pipelineCacheUUID, sizeof c->pipeline_cache_uuid);
    copy_limits(c, &basic.limits);
    out->flush_align = TLVK__MAX(basic.limits.nonCoherentAtomSize, 1);
    choose_queue(instance, out);
    read_memory(instance, out);
    if (basic.apiVersion < VK_API_VERSION_1_1)
        return; /* the queries below are 1.1's, and the device will not be used */

    VkPhysicalDeviceSubgroupProperties subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
    VkPhysicalDeviceMaintenance3Properties maintenance3 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES,
                                                           .pNext = &subgroup};
    VkPhysicalDeviceIDProperties ids = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES, .pNext = &maintenance3};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &ids};
    instance->GetPhysicalDeviceProperties2(handle, &properties);
    memcpy(c->device_uuid, ids.deviceUUID, sizeof c->device_uuid);
    memcpy(c->driver_uuid, ids.driverUUID, sizeof c->driver_uuid);
    c->max_allocation_bytes = maintenance3.maxMemoryAllocationSize;

    extension_list list = read_extensions(instance, out);
    out->portability_subset = has(&list, "VK_KHR_portability_subset"); /* must be enabled where it is listed */
    out->executable_properties = has(&list, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
    if (!floor)
        read_above_floor(instance, out, &basic.limits, &list, &subgroup);
    free(list.items);
}

void tlvk__caps_fixed_memory(tlvk__caps *caps) {
    caps->memory_bytes = (uint64_t)4 << 30;
    caps->max_allocation_bytes = (uint64_t)1 << 30;
    caps->unified = true;
}

void tlvk__caps_fixed(tlvk__caps *caps) {
    *caps = (tlvk__caps){.name = "dry device", .driver = "none", .api = "1.1.0", .type = "integrated", .api_version = VK_API_VERSION_1_1,
                         .max_binding_bytes = (uint64_t)128 << 20,
                         .max_texels = 65536, .max_groups = {65535, 65535, 65535}, .max_invocations = 256, .max_group_size = {256, 256, 64},
                         .max_shared_bytes = 32768, .max_push_bytes = 128, .max_storage_buffers = 16, .storage_align = 256, .texel_align = 256,
                         .subgroup_size = 32};
    tlvk__caps_fixed_memory(caps);
}

static void lower_u64(uint64_t *value, uint64_t limit) { *value = TLVK__MIN(*value, limit); }

static void lower_u32(uint32_t *value, uint32_t limit) { *value = TLVK__MIN(*value, limit); }

void tlvk__caps_limit(tlvk__caps *caps, const tlvk__caps *limit) {
    lower_u64(&caps->memory_bytes, limit->memory_bytes);
    lower_u64(&caps->max_binding_bytes, limit->max_binding_bytes);
    lower_u64(&caps->max_allocation_bytes, limit->max_allocation_bytes);
    lower_u64(&caps->max_texels, limit->max_texels);
    for (int i = 0; i < 3; i++) {
        lower_u32(&caps->max_groups[i], limit->max_groups[i]);
        lower_u32(&caps->max_group_size[i], limit->max_group_size[i]);
    }
    lower_u32(&caps->max_invocations, limit->max_invocations);
    lower_u32(&caps->max_shared_bytes, limit->max_shared_bytes);
    lower_u32(&caps->max_push_bytes, limit->max_push_bytes);
    lower_u32(&caps->max_storage_buffers, limit->max_storage_buffers);
    caps->storage_align = TLVK__MAX(caps->storage_align, limit->storage_align);
    caps->texel_align = TLVK__MAX(caps->texel_align, limit->texel_align);
    if (!limit->subgroup_size)
        caps->subgroup_size = 0;
    caps->subgroup_shuffle = caps->subgroup_shuffle && limit->subgroup_shuffle && caps->subgroup_size;
    const bool asked = caps->subgroup_size_control;
    caps->subgroup_size_control = caps->subgroup_size_control && limit->subgroup_size_control && caps->subgroup_size;
    if (limit->max_group_subgroups)
        caps->max_group_subgroups = TLVK__MIN(caps->max_group_subgroups, limit->max_group_subgroups);
    if (asked && !caps->subgroup_size_control)
        caps->shuffle_size = caps->subgroup_size; /* kernels have the size that is reported */
    if (caps->max_group_subgroups && caps->max_group_subgroups < TLVK__GROUP_SUBGROUPS)
        caps->subgroup_shuffle = caps->cooperative_matrix = false;
    caps->timestamps = caps->timestamps && limit->timestamps;
    caps->pair_stores = caps->pair_stores && limit->pair_stores;
    caps->fp16_storage = caps->fp16_storage && limit->fp16_storage;
    caps->fp16_arithmetic = caps->fp16_arithmetic && limit->fp16_arithmetic;
    caps->cooperative_matrix = caps->cooperative_matrix && limit->cooperative_matrix;
    if (!caps->cooperative_matrix || !caps->fp16_arithmetic || !caps->subgroup_size)
        caps->matrix_m = caps->matrix_n = caps->matrix_k = 0;
    if (limit->winograd != TLVK__WINOGRAD_BY_SHAPE)
        caps->winograd = limit->winograd;
}

bool tlvk__texel_operands(const tlvk__caps *caps) {
    return caps->max_texels >= caps->max_binding_bytes / 16 && caps->texel_align > 0 && caps->storage_align % caps->texel_align == 0;
}
