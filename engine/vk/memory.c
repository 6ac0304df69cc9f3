/* memory.c - buffers. Hides: memory types, mapping, coherence, accounting, and the views of texels over a buffer. */
#include "vk/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int tlvk__memory_type(const VkPhysicalDeviceMemoryProperties *memory, uint32_t allowed, tlvk__buffer_kind kind) {
    const VkMemoryPropertyFlags usual = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                        VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    int best = -1, best_score = 0;
    for (uint32_t i = 0; i < memory->memoryTypeCount; i++) {
        VkMemoryPropertyFlags flags = memory->memoryTypes[i].propertyFlags;
        bool local = flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, visible = flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
        bool coherent = flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT, cached = flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
        /* Lazily allocated, protected and vendors' uncached types are for other uses. */
        if (!(allowed >> i & 1u) || (flags & ~usual) || (kind != TLVK__BUFFER_DEVICE && !visible))
            continue;
        /* The small window of a discrete device that the host can see (BAR) is both local and visible: last choice for every kind. */
        int score;
        if (kind == TLVK__BUFFER_DEVICE)
            score = 1 + (local ? 8 : 0) + (visible ? 0 : 4);
        else if (kind == TLVK__BUFFER_UPLOAD)
            score = 1 + (coherent ? 8 : 0) + (local ? 0 : 4) + (cached ? 0 : 2);
        else
            score = 1 + (cached ? 8 : 0) + (local ? 0 : 4) + (coherent ? 2 : 0);
        bool larger = best >= 0 && memory->memoryHeaps[memory->memoryTypes[i].heapIndex].size >
                                       memory->memoryHeaps[memory->memoryTypes[best].heapIndex].size;
        if (score > best_score || (score == best_score && larger)) {
            best = (int)i;
            best_score = score;
        }
    }
    return best;
}

static tlvk_status refuse(const tlvk__device *d, uint64_t bytes, const char *what, const char *why, uint64_t limit) {
    return tlvk__fail(TLVK_ERROR_MEMORY, "%s: %" PRIu64 " bytes asked of \"%s\", %" PRIu64 " in use; %s %" PRIu64 " bytes", what, bytes,
                      d->caps.name, d->memory_now, why, limit);
}

/* What the system says is still free in a heap, where it says so (VK_EXT_memory_budget); else 2^64 - 1. */
static uint64_t left_in_budget(const tlvk__device *d, uint32_t heap, uint64_t *budget) {
    if (!d->physical.memory_budget)
        return UINT64_MAX;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT b = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, .pNext = &b};
    d->instance.GetPhysicalDeviceMemoryProperties2(d->physical.handle, &memory);
    *budget = b.heapBudget[heap];
    if (*budget == 0)
        return UINT64_MAX;
    return b.heapUsage[heap] < *budget ? *budget - b.heapUsage[heap] : 0;
}

static int usual_type(const tlvk__device *d, tlvk__buffer_kind kind) { return tlvk__memory_type(&d->physical.memory, UINT32_MAX, kind); }

bool tlvk__buffer_counts(const tlvk__device *d, tlvk__buffer_kind kind) {
    if (d->dry)
        return kind == TLVK__BUFFER_DEVICE;
    int type = usual_type(d, kind);
    return type >= 0 && (d->physical.memory.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT) != 0;
}

uint64_t tlvk__device_memory_free(const tlvk__device *d) {
    uint64_t left = d->caps.memory_bytes > d->memory_now ? d->caps.memory_bytes - d->memory_now : 0, budget;
    int type = d->dry ? -1 : usual_type(d, TLVK__BUFFER_DEVICE);
    return type < 0 ? left : TLVK__MIN(left, left_in_budget(d, d->physical.memory.memoryTypes[type].heapIndex, &budget));
}

static tlvk_status check_limits(const tlvk__device *d, uint64_t bytes, bool counted, const char *what) {
    if (bytes == 0)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "%s: a buffer of no bytes was asked for", what);
    if (bytes > d->caps.max_allocation_bytes)
        return refuse(d, bytes, what, "one allocation holds at most", d->caps.max_allocation_bytes);
    if (counted && (d->memory_now > d->caps.memory_bytes || bytes > d->caps.memory_bytes - d->memory_now))
        return refuse(d, bytes, what, "the limit is", d->caps.memory_bytes);
    return TLVK_OK;
}

static tlvk_status make_dry(tlvk__buffer *b, const char *what) {
    tlvk_status status = check_limits(b->device, b->bytes, b->kind == TLVK__BUFFER_DEVICE, what);
    if (status != TLVK_OK)
        return status;
    if (b->kind == TLVK__BUFFER_DEVICE) {
        b->counted_bytes = b->bytes;
        return TLVK_OK;
    }
    b->map = b->bytes <= SIZE_MAX ? tlvk__calloc((size_t)b->bytes, 1) : NULL;
    return b->map ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "%s: no host memory for %" PRIu64 " bytes", what, b->bytes);
}

static tlvk_status make_real(tlvk__buffer *b, const char *what) {
    tlvk__device *d = b->device;
    tlvk_status status = check_limits(d, b->bytes, false, what);
    if (status != TLVK_OK)
        return status;
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .size = tlvk__round_up(b->bytes, 16),
                                     .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                              VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT,
                                     .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
    VkResult result = d->vk.vkCreateBuffer(d->handle, &info, NULL, &b->handle);
    if (result != VK_SUCCESS) {
        b->handle = VK_NULL_HANDLE; /* undefined after a failure, here and wherever else something is made */
        return tlvk__vk_fail(d, result, "%s: making a buffer of %" PRIu64 " bytes", what, b->bytes);
    }
    VkMemoryRequirements need;
    d->vk.vkGetBufferMemoryRequirements(d->handle, b->handle, &need);
    int type = tlvk__memory_type(&d->physical.memory, need.memoryTypeBits, b->kind);
    if (type < 0)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "%s: \"%s\" has no memory type for this use", what, d->caps.name);
    VkMemoryPropertyFlags flags = d->physical.memory.memoryTypes[type].propertyFlags;
    b->coherent = flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    bool counted = flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    status = check_limits(d, b->bytes, counted, what);
    if (status != TLVK_OK)
        return status;
    uint64_t budget;
    if (left_in_budget(d, d->physical.memory.memoryTypes[type].heapIndex, &budget) < need.size)
        return refuse(d, b->bytes, what, "the system's budget for this program is", budget);
    const VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = need.size,
                                           .memoryTypeIndex = (uint32_t)type};
    result = d->vk.vkAllocateMemory(d->handle, &allocate, NULL, &b->memory);
    if (result != VK_SUCCESS)
        b->memory = VK_NULL_HANDLE;
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY)
        return refuse(d, b->bytes, what, "the driver has no more; the limit is", d->caps.memory_bytes);
    if (result == VK_SUCCESS)
        result = d->vk.vkBindBufferMemory(d->handle, b->handle, b->memory, 0);
    if (result == VK_SUCCESS && b->kind != TLVK__BUFFER_DEVICE)
        result = d->vk.vkMapMemory(d->handle, b->memory, 0, VK_WHOLE_SIZE, 0, &b->map);
    if (result != VK_SUCCESS)
        return tlvk__vk_fail(d, result, "%s: allocating %" PRIu64 " bytes", what, b->bytes);
    b->counted_bytes = counted ? b->bytes : 0;
    return TLVK_OK;
}

tlvk_status tlvk__buffer_create(tlvk__device *d, tlvk__buffer_kind kind, uint64_t bytes, const char *what, tlvk__buffer **out) {
    *out = NULL;
    tlvk__buffer *b = tlvk__calloc(1, sizeof *b);
    if (!b)
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no host memory", what);
    b->device = d;
    b->kind = kind;
    b->bytes = bytes;
    tlvk_status status = d->dry ? make_dry(b, what) : make_real(b, what);
    d->memory_now += b->counted_bytes;
    d->memory_peak = TLVK__MAX(d->memory_peak, d->memory_now);
    if (status != TLVK_OK) {
        tlvk__buffer_destroy(b);
        return status;
    }
    *out = b;
    return TLVK_OK;
}

void tlvk__buffer_destroy(tlvk__buffer *b) {
    if (!b)
        return;
    tlvk__device *d = b->device;
    if (d->dry)
        free(b->map);
    else {
        for (size_t i = 0; i < b->view_count; i++)
            d->vk.vkDestroyBufferView(d->handle, b->views[i].handle, NULL);
        d->vk.vkDestroyBuffer(d->handle, b->handle, NULL);
        d->vk.vkFreeMemory(d->handle, b->memory, NULL);
    }
    d->memory_now -= b->counted_bytes;
    free(b->views);
    free(b);
}

void *tlvk__buffer_map(tlvk__buffer *b) { return b->map; }

uint64_t tlvk__buffer_bytes(const tlvk__buffer *b) { return b->bytes; }

/* Host access of a range that is not coherent goes through whole atoms. */
static tlvk_status sync_range(tlvk__buffer *b, uint64_t offset, uint64_t bytes, bool flush) {
    if (!b->map || offset > b->bytes || bytes > b->bytes - offset)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "host access to bytes %" PRIu64 " + %" PRIu64 " of a %s buffer of %" PRIu64, offset, bytes,
                          b->map ? "mapped" : "not mapped", b->bytes);
    tlvk__device *d = b->device;
    if (d->dry || b->coherent || bytes == 0)
        return TLVK_OK;
    uint64_t atom = d->physical.flush_align, begin = offset / atom * atom;
    uint64_t end = tlvk__round_up(offset + bytes, atom);
    const VkMappedMemoryRange range = {.sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE, .memory = b->memory, .offset = begin,
                                       .size = end >= b->bytes ? VK_WHOLE_SIZE : end - begin};
    VkResult result = flush ? d->vk.vkFlushMappedMemoryRanges(d->handle, 1, &range)
                            : d->vk.vkInvalidateMappedMemoryRanges(d->handle, 1, &range);
    return result == VK_SUCCESS ? TLVK_OK : tlvk__vk_fail(d, result, "making host access to a buffer visible");
}

tlvk_status tlvk__buffer_flush(tlvk__buffer *b, uint64_t offset, uint64_t bytes) { return sync_range(b, offset, bytes, true); }

tlvk_status tlvk__buffer_invalidate(tlvk__buffer *b, uint64_t offset, uint64_t bytes) { return sync_range(b, offset, bytes, false); }

tlvk_status tlvk__buffer_texels(tlvk__buffer *b, uint64_t offset, uint64_t bytes, bool half, VkBufferView *out) {
    for (size_t i = 0; i < b->view_count; i++)
        if (b->views[i].offset == offset && b->views[i].bytes == bytes && b->views[i].half == half) {
            *out = b->views[i].handle;
            return TLVK_OK;
        }
    tlvk__texel_view *grown = tlvk__grow(b->views, &b->view_capacity, b->view_count + 1, sizeof *grown);
    if (!grown)
        return tlvk__fail(TLVK_ERROR_MEMORY, "a view of texels: no host memory");
    b->views = grown;
    const VkBufferViewCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO, .buffer = b->handle,
                                         .format = half ? VK_FORMAT_R16G16B16A16_SFLOAT : VK_FORMAT_R32G32B32A32_SFLOAT, .offset = offset,
                                         .range = bytes};
    VkResult result = b->device->vk.vkCreateBufferView(b->device->handle, &info, NULL, out);
    if (result != VK_SUCCESS)
        return tlvk__vk_fail(b->device, result, "a view of %" PRIu64 " bytes of texels", bytes);
    grown[b->view_count++] = (tlvk__texel_view){offset, bytes, half, *out};
    return TLVK_OK;
}
