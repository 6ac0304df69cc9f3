/* encode.c - from a recording's list to command buffers. Hides: descriptor sets, barriers, query writes. */
#include "vk/internal.h"

#include <stdlib.h>

static const VkPipelineStageFlags work_stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;

static void barrier(const tlvk__device *d, VkCommandBuffer commands, VkPipelineStageFlags to_stages, VkAccessFlags to_access) {
    const VkMemoryBarrier all = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                 .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                                 .dstAccessMask = to_access};
    d->vk.vkCmdPipelineBarrier(commands, work_stages, to_stages, 0, 1, &all, 0, NULL, 0, NULL);
}

/* Everything before in the queue against everything after. */
static void work_barrier(const tlvk__device *d, VkCommandBuffer commands) {
    barrier(d, commands, work_stages,
            VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
}

/* --- what the commands need ------------------------------------------------------------------------------------------------------ */

static tlvk_status make_descriptor_pool(tlvk__recording *rec) {
    tlvk__device *d = rec->device;
    uint32_t sets = 0, storage = 0, texel = 0;
    for (size_t i = 0; i < rec->entry_count; i++) {
        const tlvk__entry *e = &rec->entries[i];
        if (e->kind != TLVK__ENTRY_DISPATCH)
            continue;
        sets++;
        for (int k = 0; k < e->binding_count; k++) {
            storage += e->pipeline->shader->info.slots[k] == TLVK__SLOT_STORAGE;
            texel += e->pipeline->shader->info.slots[k] == TLVK__SLOT_TEXEL;
        }
    }
    if (sets == 0)
        return TLVK_OK;
    const VkDescriptorPoolSize sizes[2] = {{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, storage + 1},
                                           {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, texel + 1}};
    const VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = sets, .poolSizeCount = 2,
                                             .pPoolSizes = sizes};
    VkResult result = d->vk.vkCreateDescriptorPool(d->handle, &info, NULL, &rec->descriptors);
    if (result != VK_SUCCESS)
        rec->descriptors = VK_NULL_HANDLE;
    return result == VK_SUCCESS ? TLVK_OK : tlvk__vk_fail(d, result, "making %u descriptor sets", sets);
}

static tlvk_status make_query_pool(tlvk__recording *rec) {
    tlvk__device *d = rec->device;
    if (!d->caps.timestamps)
        return TLVK_OK;
    rec->query_pairs = (rec->timestamps ? rec->entry_count : 0) + 1;
    const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                        .queryCount = (uint32_t)rec->query_pairs * 2};
    VkResult result = d->vk.vkCreateQueryPool(d->handle, &info, NULL, &rec->queries);
    if (result != VK_SUCCESS)
        rec->queries = VK_NULL_HANDLE;
    return result == VK_SUCCESS ? TLVK_OK : tlvk__vk_fail(d, result, "making timestamps for %zu operations", rec->entry_count);
}

static tlvk_status make_commands(tlvk__recording *rec) {
    tlvk__device *d = rec->device;
    if (rec->submissions == 0)
        rec->submissions = 1; /* an empty recording is a submission of nothing, so that waiting for it works */
    rec->commands = tlvk__calloc((size_t)rec->submissions, sizeof *rec->commands);
    rec->submits = tlvk__calloc((size_t)rec->submissions, sizeof *rec->submits);
    if (!rec->commands || !rec->submits)
        return tlvk__fail(TLVK_ERROR_MEMORY, "recording: no memory for %d submissions", rec->submissions);
    const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandPool = d->command_pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY, .commandBufferCount = (uint32_t)rec->submissions};
    VkResult result = d->vk.vkAllocateCommandBuffers(d->handle, &info, rec->commands);
    if (result == VK_SUCCESS) {
        const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
        result = d->vk.vkCreateFence(d->handle, &fence, NULL, &rec->fence);
        if (result != VK_SUCCESS)
            rec->fence = VK_NULL_HANDLE;
    }
    for (int i = 0; i < rec->submissions; i++)
        rec->submits[i] = (VkSubmitInfo){.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1,
                                         .pCommandBuffers = &rec->commands[i]};
    return result == VK_SUCCESS ? TLVK_OK : tlvk__vk_fail(d, result, "making %d command buffers", rec->submissions);
}

/* --- entries ---------------------------------------------------------------------------------------------------------------------- */

static tlvk_status make_set(tlvk__recording *rec, const tlvk__entry *e, VkDescriptorSet *set) {
    tlvk__device *d = rec->device;
    const tlvk__shader *shader = e->pipeline->shader;
    const VkDescriptorSetAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                                  .descriptorPool = rec->descriptors,
                                                  .descriptorSetCount = 1, .pSetLayouts = &shader->set_layout};
    VkResult result = d->vk.vkAllocateDescriptorSets(d->handle, &allocate, set);
    if (result != VK_SUCCESS)
        return tlvk__vk_fail(d, result, "%s %s: making a descriptor set", e->operation, e->layer);
    VkWriteDescriptorSet writes[TLVK__MAX_BINDINGS];
    VkDescriptorBufferInfo buffers[TLVK__MAX_BINDINGS];
    VkBufferView views[TLVK__MAX_BINDINGS];
    uint32_t count = 0;
    for (int i = 0; i < e->binding_count; i++) {
        const tlvk__binding *b = &rec->bindings[e->first_binding + (size_t)i];
        const tlvk__span *s = &b->span;
        bool texel = shader->info.slots[i] == TLVK__SLOT_TEXEL;
        if (shader->info.slots[i] == TLVK__SLOT_NONE)
            continue;
        if (texel) {
            tlvk_status status = tlvk__buffer_texels(s->buffer, s->offset, s->bytes, b->half, &views[i]);
            if (status != TLVK_OK)
                return status;
        }
        buffers[i] = (VkDescriptorBufferInfo){s->buffer->handle, s->offset, s->bytes};
        writes[count++] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, .dstSet = *set, .dstBinding = (uint32_t)i,
                                                 .descriptorCount = 1,
                                                 .descriptorType = texel ? VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER
                                                                         : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                 .pBufferInfo = texel ? NULL : &buffers[i], .pTexelBufferView = texel ? &views[i] : NULL};
    }
    d->vk.vkUpdateDescriptorSets(d->handle, count, writes, 0, NULL);
    return TLVK_OK;
}

static tlvk_status encode_dispatch(tlvk__recording *rec, const tlvk__entry *e, VkCommandBuffer commands) {
    tlvk__device *d = rec->device;
    VkDescriptorSet set;
    tlvk_status status = make_set(rec, e, &set);
    if (status != TLVK_OK)
        return status;
    d->vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, e->pipeline->handle);
    d->vk.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, e->pipeline->shader->layout, 0, 1, &set, 0, NULL);
    if (e->push_bytes)
        d->vk.vkCmdPushConstants(commands, e->pipeline->shader->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, e->push_bytes,
                                 rec->push + e->push_at);
    d->vk.vkCmdDispatch(commands, e->groups[0], e->groups[1], e->groups[2]);
    return TLVK_OK;
}

/* Stamps wait for all work before them, so that an operation's time does not count its wait for others. */
static void stamp(tlvk__recording *rec, VkCommandBuffer commands, size_t query) {
    rec->device->vk.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, rec->queries, (uint32_t)query);
}

static tlvk_status encode_entry(tlvk__recording *rec, size_t index, VkCommandBuffer commands) {
    tlvk__device *d = rec->device;
    const tlvk__entry *e = &rec->entries[index];
    const tlvk__binding *b = rec->bindings + e->first_binding;
    tlvk_status status = TLVK_OK;
    if (e->barrier_before)
        work_barrier(d, commands);
    if (rec->timestamps)
        stamp(rec, commands, index * 2);
    if (e->kind == TLVK__ENTRY_DISPATCH)
        status = encode_dispatch(rec, e, commands);
    else if (e->kind == TLVK__ENTRY_FILL)
        d->vk.vkCmdFillBuffer(commands, b[0].span.buffer->handle, b[0].span.offset, b[0].span.bytes, e->word);
    else {
        const VkBufferCopy region = {b[0].span.offset, b[1].span.offset, b[0].span.bytes};
        d->vk.vkCmdCopyBuffer(commands, b[0].span.buffer->handle, b[1].span.buffer->handle, 1, &region);
    }
    if (rec->timestamps)
        stamp(rec, commands, index * 2 + 1);
    return status;
}

/* One command buffer: the entries of one submission, *next on; *next is moved behind them. */
static tlvk_status encode_submission(tlvk__recording *rec, int submission, size_t *next) {
    tlvk__device *d = rec->device;
    VkCommandBuffer commands = rec->commands[submission];
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkResult result = d->vk.vkBeginCommandBuffer(commands, &begin);
    if (result != VK_SUCCESS)
        return tlvk__vk_fail(d, result, "beginning a command buffer");
    if (submission == 0) {
        if (rec->queries)
            d->vk.vkCmdResetQueryPool(commands, rec->queries, 0, (uint32_t)rec->query_pairs * 2);
        work_barrier(d, commands);
        if (rec->queries)
            stamp(rec, commands, rec->query_pairs * 2 - 2);
    }
    tlvk_status status = TLVK_OK;
    for (; status == TLVK_OK && *next < rec->entry_count && rec->entries[*next].submission == submission; (*next)++)
        status = encode_entry(rec, *next, commands);
    if (submission == rec->submissions - 1 && rec->host_writes)
        barrier(d, commands, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    if (submission == rec->submissions - 1 && rec->queries)
        stamp(rec, commands, rec->query_pairs * 2 - 1);
    result = d->vk.vkEndCommandBuffer(commands);
    if (status == TLVK_OK && result != VK_SUCCESS)
        status = tlvk__vk_fail(d, result, "ending a command buffer");
    return status;
}

tlvk_status tlvk__recording_encode(tlvk__recording *rec) {
    tlvk_status status = make_descriptor_pool(rec);
    if (status == TLVK_OK)
        status = make_query_pool(rec);
    if (status == TLVK_OK)
        status = make_commands(rec);
    size_t next = 0;
    for (int i = 0; status == TLVK_OK && i < rec->submissions; i++)
        status = encode_submission(rec, i, &next);
    return status;
}

void tlvk__recording_unencode(tlvk__recording *rec) {
    tlvk__device *d = rec->device;
    if (!d->dry) {
        if (rec->commands && rec->commands[0])
            d->vk.vkFreeCommandBuffers(d->handle, d->command_pool, (uint32_t)rec->submissions, rec->commands);
        d->vk.vkDestroyDescriptorPool(d->handle, rec->descriptors, NULL);
        d->vk.vkDestroyQueryPool(d->handle, rec->queries, NULL);
        d->vk.vkDestroyFence(d->handle, rec->fence, NULL);
    }
    free(rec->commands);
    free(rec->submits);
    rec->commands = NULL;
    rec->submits = NULL;
    rec->descriptors = VK_NULL_HANDLE;
    rec->queries = VK_NULL_HANDLE;
    rec->fence = VK_NULL_HANDLE;
}
