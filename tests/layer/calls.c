/* calls.c - the calls of a device that the library makes: each checked, counted, made to fail or passed on. Hides: what is in flight. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* --- failing ------------------------------------------------------------------------------------------------------------------ */

/* A lost device stays so: what can say it does from then on. Its work is awaited, since no driver uses memory of a device that is gone. */
VkResult fail(device *d, const char *call, const VkResult *results, int count) {
    VkResult result = fail_now(call, results, count);
    for (int i = 0; d && d->lost && i < count; i++)
        if (results[i] == VK_ERROR_DEVICE_LOST)
            return VK_ERROR_DEVICE_LOST;
    if (d && result == VK_ERROR_DEVICE_LOST) {
        d->DeviceWaitIdle(d->handle);
        d->lost = true;
        d->completed = d->submitted;
    }
    return result;
}

/* Whether the object may go; false: it is none of ours, and the driver must not see it. */
static bool gone(device *d, kind k, uint64_t handle) {
    if (!handle)
        return false;
    lock();
    object *o = find(k, handle);
    if (!o)
        breach("the end of a %s that was not made", kind_names[k]);
    else if (o->last_use > d->completed)
        breach("the end of a %s that the device may still use", kind_names[k]);
    bool ours = o != NULL;
    drop(k, handle);
    unlock();
    return ours;
}

static VKAPI_ATTR VkResult VKAPI_CALL device_wait_idle(VkDevice handle) {
    device *d = device_of(handle);
    VkResult result = FAIL(d, "vkDeviceWaitIdle", BOTH, LOST);
    if (result == VK_SUCCESS)
        result = d->DeviceWaitIdle(handle);
    if (result == VK_SUCCESS)
        d->completed = d->submitted;
    return result;
}

/* --- objects without a life of their own ---------------------------------------------------------------------------------------- */

#define MAKES(name, Call, Info, Handle, KIND, check, ...)                                                                          \
    static VKAPI_ATTR VkResult VKAPI_CALL create_##name(VkDevice h, const Info *info, const VkAllocationCallbacks *a, Handle *out) {   \
        device *d = device_of(h);                                                                                                      \
        *out = (Handle)POISON;                                                                                                         \
        VkResult result = FAIL(d, "vkCreate" #Call, __VA_ARGS__);                                                                      \
        if (result != VK_SUCCESS)                                                                                                      \
            return result;                                                                                                             \
        check;                                                                                                                         \
        result = d->Create##Call(h, info, a, out);                                                                                     \
        if (result == VK_SUCCESS)                                                                                                      \
            made(d, KIND, ID(*out), 0);                                                                                                \
        return result;                                                                                                                 \
    }                                                                                                                                  \
    static VKAPI_ATTR void VKAPI_CALL destroy_##name(VkDevice h, Handle handle, const VkAllocationCallbacks *a) {                      \
        device *d = device_of(h);                                                                                                      \
        if (gone(d, KIND, ID(handle)))                                                                                                 \
            d->Destroy##Call(h, handle, a);                                                                                            \
    }

MAKES(buffer, Buffer, VkBufferCreateInfo, VkBuffer, BUFFER, (void)0, BOTH)
MAKES(view, BufferView, VkBufferViewCreateInfo, VkBufferView, VIEW, check_texels(&d->told, info->offset, info->range), BOTH)
MAKES(set_layout, DescriptorSetLayout, VkDescriptorSetLayoutCreateInfo, VkDescriptorSetLayout, SET_LAYOUT, check_set_layout(&d->told, info), BOTH)
MAKES(cache, PipelineCache, VkPipelineCacheCreateInfo, VkPipelineCache, CACHE, (void)0, BOTH)
MAKES(pool, DescriptorPool, VkDescriptorPoolCreateInfo, VkDescriptorPool, POOL, (void)0, BOTH)
MAKES(fence, Fence, VkFenceCreateInfo, VkFence, FENCE, (void)0, BOTH)

static void check_push(const device *d, const VkPipelineLayoutCreateInfo *info) {
    for (uint32_t i = 0; i < info->pushConstantRangeCount; i++)
        if (info->pPushConstantRanges[i].offset + info->pPushConstantRanges[i].size > d->told.limits.maxPushConstantsSize)
            breach("%u bytes of push constants; told: %u", info->pPushConstantRanges[i].size, d->told.limits.maxPushConstantsSize);
}
MAKES(pipeline_layout, PipelineLayout, VkPipelineLayoutCreateInfo, VkPipelineLayout, PIPELINE_LAYOUT, check_push(d, info), BOTH)

static void check_queries(void) {
    if (sim.no_timestamps)
        breach("timestamps on a device without");
}
MAKES(queries, QueryPool, VkQueryPoolCreateInfo, VkQueryPool, QUERIES, check_queries(), BOTH)
MAKES(commands, CommandPool, VkCommandPoolCreateInfo, VkCommandPool, COMMANDS, (void)0, BOTH)

static VKAPI_ATTR VkResult VKAPI_CALL get_cache_data(VkDevice h, VkPipelineCache cache, size_t *size, void *data) {
    VkResult result = FAIL(device_of(h), "vkGetPipelineCacheData", BOTH);
    return result ? result : device_of(h)->GetPipelineCacheData(h, cache, size, data);
}

/* --- pipelines ---------------------------------------------------------------------------------------------------------------- */

static VKAPI_ATTR VkResult VKAPI_CALL create_module(VkDevice h, const VkShaderModuleCreateInfo *info, const VkAllocationCallbacks *a,
                                                    VkShaderModule *out) {
    device *d = device_of(h);
    *out = (VkShaderModule)POISON;
    VkResult result = FAIL(d, "vkCreateShaderModule", BOTH);
    if (result == VK_SUCCESS)
        result = d->CreateShaderModule(h, info, a, out);
    if (result != VK_SUCCESS)
        return result;
    object *o = made(d, MODULE, ID(*out), 0);
    o->shadow = malloc(info->codeSize);
    o->bytes = info->codeSize;
    memcpy(o->shadow, info->pCode, info->codeSize);
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL destroy_module(VkDevice h, VkShaderModule handle, const VkAllocationCallbacks *a) {
    if (gone(device_of(h), MODULE, ID(handle)))
        device_of(h)->DestroyShaderModule(h, handle, a);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_pipelines(VkDevice h, VkPipelineCache cache, uint32_t count, const VkComputePipelineCreateInfo *infos,
                                                       const VkAllocationCallbacks *a, VkPipeline *out) {
    static uint64_t hollow;
    device *d = device_of(h);
    memset(out, 0, count * sizeof *out);
    VkResult result = FAIL(d, "vkCreateComputePipelines", BOTH);
    for (uint32_t i = 0; i < count && result == VK_SUCCESS; i++) {
        lock();
        const object *module = find(MODULE, ID(infos[i].stage.module));
        if (module) {
            const int64_t invocations = check_stage(&d->told, module->shadow, module->bytes / 4, infos[i].stage.pSpecializationInfo);
            check_subgroups(&infos[i].stage, module->shadow, module->bytes / 4, invocations);
        }
        const uint64_t own = hollow += 16;
        unlock();
        VkComputePipelineCreateInfo real = infos[i];
        if (sim.subgroup_size) { /* the driver has no such size, and only kernels that emulate it run */
            real.stage.pNext = NULL;
            real.stage.flags = 0;
        }
        if (d->hollow)
            out[i] = (VkPipeline)own;
        else
            result = d->CreateComputePipelines(h, cache, 1, &real, a, &out[i]);
        if (result == VK_SUCCESS)
            made(d, PIPELINE, ID(out[i]), 0);
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL destroy_pipeline(VkDevice h, VkPipeline handle, const VkAllocationCallbacks *a) {
    if (gone(device_of(h), PIPELINE, ID(handle)) && !device_of(h)->hollow)
        device_of(h)->DestroyPipeline(h, handle, a);
}

/* --- memory ------------------------------------------------------------------------------------------------------------------- */

static VKAPI_ATTR void VKAPI_CALL get_requirements(VkDevice h, VkBuffer buffer, VkMemoryRequirements *out) {
    device_of(h)->GetBufferMemoryRequirements(h, buffer, out);
    lie_requirements(out);
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate_memory(VkDevice h, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *a,
                                                      VkDeviceMemory *out) {
    device *d = device_of(h);
    *out = (VkDeviceMemory)POISON;
    VkResult result = FAIL(d, "vkAllocateMemory", VK_ERROR_OUT_OF_DEVICE_MEMORY, HOST, VK_ERROR_TOO_MANY_OBJECTS);
    if (result != VK_SUCCESS)
        return result;
    uint32_t heap = d->told.memory.memoryTypes[info->memoryTypeIndex].heapIndex;
    if (info->allocationSize > d->told.max_allocation)
        breach("an allocation of %llu bytes; told: %llu", (unsigned long long)info->allocationSize, (unsigned long long)d->told.max_allocation);
    if (d->heap_used[heap] + info->allocationSize > d->told.memory.memoryHeaps[heap].size)
        breach("%llu bytes in a heap of %llu", (unsigned long long)(d->heap_used[heap] + info->allocationSize),
               (unsigned long long)d->told.memory.memoryHeaps[heap].size);
    VkMemoryAllocateInfo real = *info;
    if (sim.separate_heaps)
        real.memoryTypeIndex = backing_type(&d->real);
    result = d->AllocateMemory(h, &real, a, out);
    if (result != VK_SUCCESS)
        return result;
    void *zeros;
    const bool visible = d->real.memoryTypes[real.memoryTypeIndex].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    if (d->hollow && visible && d->MapMemory(h, *out, 0, VK_WHOLE_SIZE, 0, &zeros) == VK_SUCCESS) { /* what no dispatch writes has the same bytes in every run */
        memset(zeros, 0, info->allocationSize);
        d->UnmapMemory(h, *out);
    }
    object *o = made(d, MEMORY, ID(*out), 0);
    o->bytes = info->allocationSize;
    o->type = info->memoryTypeIndex;
    d->heap_used[heap] += info->allocationSize;
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL free_memory(VkDevice h, VkDeviceMemory handle, const VkAllocationCallbacks *a) {
    device *d = device_of(h);
    lock();
    const object *o = find(MEMORY, ID(handle));
    if (o)
        d->heap_used[d->told.memory.memoryTypes[o->type].heapIndex] -= o->bytes;
    unlock();
    if (gone(d, MEMORY, ID(handle)))
        d->FreeMemory(h, handle, a);
}

static VKAPI_ATTR VkResult VKAPI_CALL bind_memory(VkDevice h, VkBuffer buffer, VkDeviceMemory memory, VkDeviceSize offset) {
    device *d = device_of(h);
    VkResult result = FAIL(d, "vkBindBufferMemory", BOTH);
    if (result != VK_SUCCESS)
        return result;
    lock();
    object *b = find(BUFFER, ID(buffer));
    if (b)
        b->owner = ID(memory);
    unlock();
    return d->BindBufferMemory(h, buffer, memory, offset);
}

/* Memory that is not coherent is another to the program than to the device, until it is flushed or invalidated. */
static VKAPI_ATTR VkResult VKAPI_CALL map_memory(VkDevice h, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize bytes, VkMemoryMapFlags flags,
                                                 void **out) {
    device *d = device_of(h);
    *out = (void *)(uintptr_t)POISON;
    VkResult result = FAIL(d, "vkMapMemory", BOTH, VK_ERROR_MEMORY_MAP_FAILED);
    if (result == VK_SUCCESS)
        result = d->MapMemory(h, memory, offset, bytes, flags, out);
    if (result != VK_SUCCESS)
        return result;
    lock();
    object *o = find(MEMORY, ID(memory));
    VkMemoryPropertyFlags type = d->told.memory.memoryTypes[o->type].propertyFlags;
    if (!(type & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT))
        breach("memory is mapped that the host cannot see");
    if (!(type & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)) {
        o->map = *out;
        o->shadow = malloc(o->bytes);
        memset(o->shadow, 0xff, o->bytes);
        *out = (char *)o->shadow + offset;
    }
    unlock();
    return VK_SUCCESS;
}

static void carry(const device *d, uint32_t count, const VkMappedMemoryRange *ranges, bool to_device) {
    lock();
    for (uint32_t i = 0; i < count; i++) {
        const object *o = find(MEMORY, ID(ranges[i].memory));
        if (!o) {
            breach("a mapped range of memory that was not made");
            continue;
        }
        check_atoms(&d->told, &ranges[i], o->bytes);
        VkDeviceSize bytes = ranges[i].size == VK_WHOLE_SIZE ? o->bytes - ranges[i].offset : ranges[i].size;
        char *shadow = o->shadow, *map = o->map;
        if (shadow && to_device)
            memcpy(map + ranges[i].offset, shadow + ranges[i].offset, bytes);
        else if (shadow)
            memcpy(shadow + ranges[i].offset, map + ranges[i].offset, bytes);
    }
    unlock();
}

static VKAPI_ATTR VkResult VKAPI_CALL flush_ranges(VkDevice h, uint32_t count, const VkMappedMemoryRange *ranges) {
    VkResult result = FAIL(device_of(h), "vkFlushMappedMemoryRanges", BOTH);
    if (result == VK_SUCCESS)
        carry(device_of(h), count, ranges, true);
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL invalidate_ranges(VkDevice h, uint32_t count, const VkMappedMemoryRange *ranges) {
    VkResult result = FAIL(device_of(h), "vkInvalidateMappedMemoryRanges", BOTH);
    if (result == VK_SUCCESS)
        carry(device_of(h), count, ranges, false);
    return result;
}

/* --- descriptor sets ---------------------------------------------------------------------------------------------------------- */

static VKAPI_ATTR VkResult VKAPI_CALL allocate_sets(VkDevice h, const VkDescriptorSetAllocateInfo *info, VkDescriptorSet *out) {
    device *d = device_of(h);
    memset(out, 0, info->descriptorSetCount * sizeof *out);
    VkResult result = FAIL(d, "vkAllocateDescriptorSets", BOTH, VK_ERROR_FRAGMENTED_POOL, VK_ERROR_OUT_OF_POOL_MEMORY);
    if (result == VK_SUCCESS)
        result = d->AllocateDescriptorSets(h, info, out);
    for (uint32_t i = 0; result == VK_SUCCESS && i < info->descriptorSetCount; i++)
        made(d, SET, ID(out[i]), ID(info->descriptorPool));
    return result;
}

static VKAPI_ATTR void VKAPI_CALL update_sets(VkDevice h, uint32_t count, const VkWriteDescriptorSet *writes, uint32_t copies,
                                              const VkCopyDescriptorSet *copied) {
    device *d = device_of(h);
    lock();
    for (uint32_t i = 0; i < count; i++) {
        object *set = find(SET, ID(writes[i].dstSet));
        bool texel = writes[i].descriptorType == VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
        if (!set)
            breach("a descriptor set that was not made is written");
        else if (texel)
            add_use(set, VIEW, ID(writes[i].pTexelBufferView[0]));
        else {
            check_range(&d->told, writes[i].pBufferInfo->offset, writes[i].pBufferInfo->range);
            add_use(set, BUFFER, ID(writes[i].pBufferInfo->buffer));
        }
    }
    unlock();
    d->UpdateDescriptorSets(h, count, writes, copies, copied);
}

/* --- commands ----------------------------------------------------------------------------------------------------------------- */

static VKAPI_ATTR VkResult VKAPI_CALL allocate_commands(VkDevice h, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *out) {
    device *d = device_of(h);
    memset(out, 0, info->commandBufferCount * sizeof *out);
    VkResult result = FAIL(d, "vkAllocateCommandBuffers", BOTH);
    if (result == VK_SUCCESS)
        result = d->AllocateCommandBuffers(h, info, out);
    for (uint32_t i = 0; result == VK_SUCCESS && i < info->commandBufferCount; i++)
        made(d, COMMAND, ID(out[i]), ID(info->commandPool));
    return result;
}

static VKAPI_ATTR void VKAPI_CALL free_commands(VkDevice h, VkCommandPool pool, uint32_t count, const VkCommandBuffer *list) {
    device *d = device_of(h);
    for (uint32_t i = 0; i < count; i++)
        if (gone(d, COMMAND, ID(list[i])))
            d->FreeCommandBuffers(h, pool, 1, &list[i]);
}

static void uses(VkCommandBuffer commands, kind k, uint64_t handle) {
    lock();
    object *o = find(COMMAND, ID(commands));
    if (o)
        add_use(o, k, handle);
    unlock();
}

static VKAPI_ATTR VkResult VKAPI_CALL begin_commands(VkCommandBuffer commands, const VkCommandBufferBeginInfo *info) {
    device *d = device_of(commands);
    VkResult result = FAIL(d, "vkBeginCommandBuffer", BOTH);
    lock();
    object *o = find(COMMAND, ID(commands));
    if (o)
        o->use_count = 0;
    unlock();
    return result ? result : d->BeginCommandBuffer(commands, info);
}

static VKAPI_ATTR VkResult VKAPI_CALL end_commands(VkCommandBuffer commands) {
    VkResult result = FAIL(device_of(commands), "vkEndCommandBuffer", BOTH);
    return result ? result : device_of(commands)->EndCommandBuffer(commands);
}

static VKAPI_ATTR void VKAPI_CALL bind_pipeline(VkCommandBuffer commands, VkPipelineBindPoint point, VkPipeline pipeline) {
    uses(commands, PIPELINE, ID(pipeline));
    if (!device_of(commands)->hollow)
        device_of(commands)->CmdBindPipeline(commands, point, pipeline);
}

static VKAPI_ATTR void VKAPI_CALL bind_sets(VkCommandBuffer commands, VkPipelineBindPoint point, VkPipelineLayout layout, uint32_t first,
                                            uint32_t count, const VkDescriptorSet *sets, uint32_t offset_count, const uint32_t *offsets) {
    lock();
    object *o = find(COMMAND, ID(commands));
    for (uint32_t i = 0; o && i < count; i++) {
        const object *set = find(SET, ID(sets[i]));
        if (!set) {
            breach("a descriptor set that was not made is bound");
            continue;
        }
        add_use(o, POOL, set->owner);
        for (size_t k = 0; k < set->use_count; k++)
            add_use(o, set->uses[k].kind, set->uses[k].handle);
    }
    unlock();
    if (!device_of(commands)->hollow)
        device_of(commands)->CmdBindDescriptorSets(commands, point, layout, first, count, sets, offset_count, offsets);
}

static VKAPI_ATTR void VKAPI_CALL push_constants(VkCommandBuffer commands, VkPipelineLayout layout, VkShaderStageFlags stages, uint32_t offset,
                                                 uint32_t bytes, const void *values) {
    if (!device_of(commands)->hollow)
        device_of(commands)->CmdPushConstants(commands, layout, stages, offset, bytes, values);
}

static VKAPI_ATTR void VKAPI_CALL dispatch(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z) {
    device *d = device_of(commands);
    check_groups(&d->told, (const uint32_t[3]){x, y, z});
    if (!d->hollow && !skips_dispatch())
        d->CmdDispatch(commands, x, y, z);
}

static VKAPI_ATTR void VKAPI_CALL fill_buffer(VkCommandBuffer commands, VkBuffer buffer, VkDeviceSize offset, VkDeviceSize bytes, uint32_t word) {
    uses(commands, BUFFER, ID(buffer));
    device_of(commands)->CmdFillBuffer(commands, buffer, offset, bytes, word);
}

static VKAPI_ATTR void VKAPI_CALL copy_buffer(VkCommandBuffer commands, VkBuffer from, VkBuffer to, uint32_t count, const VkBufferCopy *regions) {
    uses(commands, BUFFER, ID(from));
    uses(commands, BUFFER, ID(to));
    device_of(commands)->CmdCopyBuffer(commands, from, to, count, regions);
}

static VKAPI_ATTR void VKAPI_CALL reset_queries(VkCommandBuffer commands, VkQueryPool pool, uint32_t first, uint32_t count) {
    uses(commands, QUERIES, ID(pool));
    device_of(commands)->CmdResetQueryPool(commands, pool, first, count);
}

/* --- submissions -------------------------------------------------------------------------------------------------------------- */

/* Notes that submission number `serial` uses what the commands use; the lock is held. */
static void mark(const VkCommandBuffer commands, uint64_t serial) {
    object *c = find(COMMAND, ID(commands));
    if (!c) {
        breach("a VkCommandBuffer that was not made is submitted");
        return;
    }
    c->last_use = serial;
    for (size_t i = 0; i < c->use_count; i++) {
        object *o = find(c->uses[i].kind, c->uses[i].handle);
        if (!o) {
            breach("commands are submitted that use a %s whose end has come", kind_names[c->uses[i].kind]);
            continue;
        }
        o->last_use = serial;
        object *memory = o->kind == BUFFER ? find(MEMORY, o->owner) : NULL;
        if (memory)
            memory->last_use = serial;
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL queue_submit(VkQueue queue, uint32_t count, const VkSubmitInfo *submits, VkFence fence) {
    device *d = device_of(queue);
    VkResult result = FAIL(d, "vkQueueSubmit", BOTH, LOST);
    if (result != VK_SUCCESS)
        return result;
    lock();
    d->submitted++;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < submits[i].commandBufferCount; k++)
            mark(submits[i].pCommandBuffers[k], d->submitted);
    object *f = find(FENCE, ID(fence));
    if (f)
        f->last_use = f->bytes = d->submitted;
    unlock();
    return d->QueueSubmit(queue, count, submits, fence);
}

/* What was submitted before what the fence stands for is done too. */
static void signalled(device *d, VkFence fence) {
    lock();
    const object *f = find(FENCE, ID(fence));
    if (f && f->bytes > d->completed)
        d->completed = f->bytes;
    unlock();
}

static VKAPI_ATTR VkResult VKAPI_CALL reset_fences(VkDevice h, uint32_t count, const VkFence *fences) {
    VkResult result = FAIL(device_of(h), "vkResetFences", VK_ERROR_OUT_OF_DEVICE_MEMORY);
    return result ? result : device_of(h)->ResetFences(h, count, fences);
}

static VKAPI_ATTR VkResult VKAPI_CALL fence_status(VkDevice h, VkFence fence) {
    device *d = device_of(h);
    VkResult result = FAIL(d, "vkGetFenceStatus", BOTH, LOST);
    if (result == VK_SUCCESS)
        result = d->GetFenceStatus(h, fence);
    if (result == VK_SUCCESS)
        signalled(d, fence);
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_for_fences(VkDevice h, uint32_t count, const VkFence *fences, VkBool32 all, uint64_t timeout) {
    device *d = device_of(h);
    VkResult result = FAIL(d, "vkWaitForFences", BOTH, LOST);
    if (result == VK_SUCCESS)
        result = d->WaitForFences(h, count, fences, all, timeout);
    for (uint32_t i = 0; result == VK_SUCCESS && i < count; i++)
        signalled(d, fences[i]);
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL query_results(VkDevice h, VkQueryPool pool, uint32_t first, uint32_t count, size_t size, void *out,
                                                    VkDeviceSize stride, VkQueryResultFlags flags) {
    device *d = device_of(h);
    VkResult result = FAIL(d, "vkGetQueryPoolResults", BOTH, LOST);
    if (result == VK_SUCCESS)
        result = d->GetQueryPoolResults(h, pool, first, count, size, out, stride, flags);
    for (uint32_t i = 0; result == VK_SUCCESS && sim.slow > 1 && (flags & VK_QUERY_RESULT_64_BIT) && i < count; i++)
        *(uint64_t *)(void *)((char *)out + i * stride) *= (uint64_t)sim.slow;
    return result;
}

/* --- the table ---------------------------------------------------------------------------------------------------------- */

PFN_vkVoidFunction find_device_call(const char *name) {
    OURS(DeviceWaitIdle, device_wait_idle)
    OURS(CreateBuffer, create_buffer)
    OURS(DestroyBuffer, destroy_buffer)
    OURS(GetBufferMemoryRequirements, get_requirements)
    OURS(AllocateMemory, allocate_memory)
    OURS(FreeMemory, free_memory)
    OURS(BindBufferMemory, bind_memory)
    OURS(MapMemory, map_memory)
    OURS(FlushMappedMemoryRanges, flush_ranges)
    OURS(InvalidateMappedMemoryRanges, invalidate_ranges)
    OURS(CreateBufferView, create_view)
    OURS(DestroyBufferView, destroy_view)
    OURS(CreateDescriptorSetLayout, create_set_layout)
    OURS(DestroyDescriptorSetLayout, destroy_set_layout)
    OURS(CreatePipelineLayout, create_pipeline_layout)
    OURS(DestroyPipelineLayout, destroy_pipeline_layout)
    OURS(CreateShaderModule, create_module)
    OURS(DestroyShaderModule, destroy_module)
    OURS(CreateComputePipelines, create_pipelines)
    OURS(DestroyPipeline, destroy_pipeline)
    OURS(CreatePipelineCache, create_cache)
    OURS(DestroyPipelineCache, destroy_cache)
    OURS(GetPipelineCacheData, get_cache_data)
    OURS(CreateDescriptorPool, create_pool)
    OURS(DestroyDescriptorPool, destroy_pool)
    OURS(AllocateDescriptorSets, allocate_sets)
    OURS(UpdateDescriptorSets, update_sets)
    OURS(CreateQueryPool, create_queries)
    OURS(DestroyQueryPool, destroy_queries)
    OURS(GetQueryPoolResults, query_results)
    OURS(CreateCommandPool, create_commands)
    OURS(DestroyCommandPool, destroy_commands)
    OURS(AllocateCommandBuffers, allocate_commands)
    OURS(FreeCommandBuffers, free_commands)
    OURS(BeginCommandBuffer, begin_commands)
    OURS(EndCommandBuffer, end_commands)
    OURS(CmdBindPipeline, bind_pipeline)
    OURS(CmdBindDescriptorSets, bind_sets)
    OURS(CmdPushConstants, push_constants)
    OURS(CmdDispatch, dispatch)
    OURS(CmdFillBuffer, fill_buffer)
    OURS(CmdCopyBuffer, copy_buffer)
    OURS(CmdResetQueryPool, reset_queries)
    OURS(CreateFence, create_fence)
    OURS(DestroyFence, destroy_fence)
    OURS(ResetFences, reset_fences)
    OURS(GetFenceStatus, fence_status)
    OURS(WaitForFences, wait_for_fences)
    OURS(QueueSubmit, queue_submit)
    return NULL;
}
