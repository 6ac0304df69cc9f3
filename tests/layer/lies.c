/* lies.c - what the layer tells of the device: never more than there is, but for VK_EXT_memory_budget and the subgroup sizes, which decide nothing in
 * the driver as long as no kernel runs that counts on them. */
#include "internal.h"

#include <string.h>

static int64_t number(int64_t setting) { return setting < 0 ? 0 : setting; }

static void lower32(uint32_t *value, int64_t setting) {
    if (setting && number(setting) < (int64_t)*value)
        *value = (uint32_t)number(setting);
}

static void raise64(VkDeviceSize *value, int64_t setting) {
    if (number(setting) > (int64_t)*value)
        *value = (VkDeviceSize)setting;
}

void lie_properties(VkPhysicalDeviceProperties *p, bool second) {
    VkPhysicalDeviceLimits *l = &p->limits;
    if (sim.discrete)
        p->deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    if (sim.type)
        p->deviceType = (VkPhysicalDeviceType)sim.type;
    if (second) {
        p->deviceType = (VkPhysicalDeviceType)sim.second_type;
        strcpy(p->deviceName, "Second device");
    }
    lower32(&l->maxStorageBufferRange, sim.max_storage_buffer_range);
    lower32(&l->maxComputeSharedMemorySize, sim.max_shared_memory);
    lower32(&l->maxComputeWorkGroupInvocations, sim.max_invocations);
    for (int i = 0; i < 3; i++) {
        lower32(&l->maxComputeWorkGroupCount[i], sim.max_groups);
        lower32(&l->maxComputeWorkGroupSize[i], i < 2 ? sim.max_invocations : sim.max_invocations / 2);
    }
    lower32(&l->maxTexelBufferElements, sim.max_texels);
    lower32(&l->maxPerStageDescriptorStorageBuffers, sim.max_storage_buffers);
    lower32(&l->maxPushConstantsSize, sim.max_push_constants);
    raise64(&l->minStorageBufferOffsetAlignment, sim.storage_align);
    raise64(&l->minTexelBufferOffsetAlignment, sim.texel_align);
    raise64(&l->nonCoherentAtomSize, sim.atom);
    if (sim.no_timestamps)
        l->timestampPeriod = 0, l->timestampComputeAndGraphics = VK_FALSE;
}

static void lie_subgroup(VkPhysicalDeviceSubgroupProperties *s) {
    if (sim.no_subgroups) {
        s->supportedOperations = 0;
        s->supportedStages = 0;
    }
    if (sim.subgroup_size)
        s->subgroupSize = (uint32_t)sim.subgroup_size;
}

static void lie_subgroup_control(VkPhysicalDeviceSubgroupSizeControlProperties *s) {
    if (sim.subgroup_min)
        s->minSubgroupSize = (uint32_t)sim.subgroup_min;
    if (sim.subgroup_max)
        s->maxSubgroupSize = (uint32_t)sim.subgroup_max;
    lower32(&s->maxComputeWorkgroupSubgroups, sim.max_subgroups);
    if (sim.no_subgroup_control || sim.no_required_sizes)
        s->requiredSubgroupSizeStages = 0;
}

static void lie_size_features(VkPhysicalDeviceSubgroupSizeControlFeatures *f) {
    if (sim.no_subgroup_control)
        f->subgroupSizeControl = f->computeFullSubgroups = VK_FALSE;
    if (sim.no_full_subgroups)
        f->computeFullSubgroups = VK_FALSE;
}

void lie_chain(void *chain) {
    for (VkBaseOutStructure *s = chain; s; s = s->pNext) {
        void *p = s;
        switch (s->sType) {
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES: lie_subgroup(p); break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES: lie_subgroup_control(p); break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES: lie_size_features(p); break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES:
            if (sim.max_allocation)
                ((VkPhysicalDeviceMaintenance3Properties *)p)->maxMemoryAllocationSize = (VkDeviceSize)sim.max_allocation;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES:
            if (sim.no_fp16)
                ((VkPhysicalDeviceShaderFloat16Int8Features *)p)->shaderFloat16 = VK_FALSE;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES:
            if (sim.no_fp16)
                ((VkPhysicalDevice16BitStorageFeatures *)p)->storageBuffer16BitAccess = VK_FALSE;
            break;
        default: break;
        }
    }
}

uint32_t backing_type(const VkPhysicalDeviceMemoryProperties *real) {
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    for (uint32_t i = 0; i < real->memoryTypeCount; i++)
        if ((real->memoryTypes[i].propertyFlags & wanted) == wanted)
            return i;
    return 0;
}

/* Every heap of the device's own is told to be as small. */
void lie_memory(VkPhysicalDeviceMemoryProperties *m, void *chain) {
    VkMemoryPropertyFlags coherent = sim.non_coherent ? 0 : VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    for (uint32_t i = 0; sim.heap && i < m->memoryHeapCount; i++)
        if (m->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)
            m->memoryHeaps[i].size = (VkDeviceSize)sim.heap;
    if (sim.separate_heaps) {
        VkDeviceSize own = 0;
        for (uint32_t i = 0; i < m->memoryHeapCount; i++)
            if ((m->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) && m->memoryHeaps[i].size > own)
                own = m->memoryHeaps[i].size;
        m->memoryHeapCount = 2;
        m->memoryHeaps[0] = (VkMemoryHeap){own, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT};
        m->memoryHeaps[1] = (VkMemoryHeap){(VkDeviceSize)16 << 30, 0};
        m->memoryTypeCount = 3;
        m->memoryTypes[0] = (VkMemoryType){VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0};
        m->memoryTypes[1] = (VkMemoryType){VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | coherent, 1};
        m->memoryTypes[2] = (VkMemoryType){VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | coherent | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 1};
    } else if (sim.non_coherent) {
        for (uint32_t i = 0; i < m->memoryTypeCount; i++)
            m->memoryTypes[i].propertyFlags &= ~(VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    }
    for (VkBaseOutStructure *s = chain; s && sim.budget; s = s->pNext)
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT) {
            VkPhysicalDeviceMemoryBudgetPropertiesEXT *b = (void *)s;
            memset(b->heapUsage, 0, sizeof b->heapUsage);
            memset(b->heapBudget, 0, sizeof b->heapBudget);
            for (uint32_t i = 0; i < m->memoryHeapCount; i++)
                b->heapBudget[i] = m->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT ? (VkDeviceSize)sim.budget : m->memoryHeaps[i].size;
        }
}

void lie_requirements(VkMemoryRequirements *need) {
    if (sim.separate_heaps)
        need->memoryTypeBits = 7;
}

void lie_families(uint32_t count, VkQueueFamilyProperties *families) {
    for (uint32_t i = 0; i < count; i++) {
        if (sim.no_timestamps)
            families[i].timestampValidBits = 0;
        if (sim.one_queue)
            families[i].queueCount = 1;
    }
}

bool hides_extension(const char *name) {
    return (sim.no_fp16 && strcmp(name, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME) == 0) ||
           (sim.no_subgroup_control && strcmp(name, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME) == 0);
}

bool adds_extension(const char *name) {
    return (sim.budget && strcmp(name, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME) == 0) || (sim.portability && strcmp(name, PORTABILITY_SUBSET) == 0);
}
