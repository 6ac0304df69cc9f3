/* pipeline.c - from a dispatch's shader, constants and subgroup size to a pipeline, which is compiled later (compile.c). Hides: shader modules, layouts, the
 * hash table. */
#include "vk/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- shaders ------------------------------------------------------------------------------------------------------------------ */

static VkResult make_layouts(tlvk__device *d, tlvk__shader *s, const tlvk__shader_source *source) {
    VkDescriptorSetLayoutBinding bindings[TLVK__MAX_BINDINGS];
    uint32_t count = 0;
    for (int i = 0; i < s->info.binding_count; i++)
        if (s->info.slots[i] != TLVK__SLOT_NONE)
            bindings[count++] = (VkDescriptorSetLayoutBinding){
                .binding = (uint32_t)i,
                .descriptorType = s->info.slots[i] == TLVK__SLOT_TEXEL ? VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER
                                                                       : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                .descriptorCount = 1,
                .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    const VkDescriptorSetLayoutCreateInfo set = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = count,
                                                 .pBindings = bindings};
    VkDescriptorSetLayout set_layout;
    VkResult result = d->vk.vkCreateDescriptorSetLayout(d->handle, &set, NULL, &set_layout);
    if (result != VK_SUCCESS)
        return result;
    s->set_layout = set_layout;
    const VkPushConstantRange push = {VK_SHADER_STAGE_COMPUTE_BIT, 0, s->info.push_bytes};
    const VkPipelineLayoutCreateInfo layout_info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, .setLayoutCount = 1,
                                                    .pSetLayouts = &s->set_layout,
                                                    .pushConstantRangeCount = s->info.push_bytes ? 1 : 0, .pPushConstantRanges = &push};
    VkPipelineLayout layout;
    result = d->vk.vkCreatePipelineLayout(d->handle, &layout_info, NULL, &layout);
    if (result != VK_SUCCESS)
        return result;
    s->layout = layout;
    const VkShaderModuleCreateInfo module_info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                                  .codeSize = source->word_count * sizeof(uint32_t), .pCode = source->words};
    VkShaderModule module;
    result = d->vk.vkCreateShaderModule(d->handle, &module_info, NULL, &module);
    if (result == VK_SUCCESS)
        s->module = module;
    return result;
}

static void destroy_layouts(tlvk__device *d, tlvk__shader *s) {
    d->vk.vkDestroyShaderModule(d->handle, s->module, NULL);
    d->vk.vkDestroyPipelineLayout(d->handle, s->layout, NULL);
    d->vk.vkDestroyDescriptorSetLayout(d->handle, s->set_layout, NULL);
    s->module = VK_NULL_HANDLE;
    s->layout = VK_NULL_HANDLE;
    s->set_layout = VK_NULL_HANDLE;
}

static int compare_entries(const void *a, const void *b) {
    return strcmp(((const tlvk__shader_name *)a)->name, ((const tlvk__shader_name *)b)->name);
}

static tlvk__shader_name *find_shader(const tlvk__pipelines *p, const char *name) {
    const tlvk__shader_name key = {.name = name};
    return bsearch(&key, p->names, (size_t)p->shader_count, sizeof key, compare_entries);
}

/* Names in order, so that they are found by halving. Where the device stores by pairs, the second form of a shader that has one (cmake/shaders.cmake)
 * stands for it: same bindings, constants and bits. */
static void sort_names(tlvk__device *d) {
    tlvk__pipelines *p = &d->pipelines;
    char pairs[64];
    for (int i = 0; i < p->shader_count; i++)
        p->names[i] = (tlvk__shader_name){tlvk__shaders[i].name, i};
    qsort(p->names, (size_t)p->shader_count, sizeof *p->names, compare_entries);
    for (int i = 0; d->caps.pair_stores && i < p->shader_count; i++) {
        snprintf(pairs, sizeof pairs, "%s_pairs", tlvk__shaders[i].name);
        const tlvk__shader_name *second = find_shader(p, pairs);
        if (second)
            find_shader(p, tlvk__shaders[i].name)->index = second->index;
    }
}

static tlvk_status get_shader(tlvk__device *d, const char *name, int *index) {
    tlvk__pipelines *p = &d->pipelines;
    const tlvk__shader_name *found = find_shader(p, name);
    if (!found)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "there is no shader \"%s\"", name);
    const int i = found->index;
    tlvk__shader *s = &p->shaders[i];
    if (!s->ready) {
        tlvk_status status = tlvk__reflect(&tlvk__shaders[i], &s->info);
        if (status == TLVK_OK && s->info.push_bytes > d->caps.max_push_bytes)
            status = tlvk__fail(TLVK_ERROR_INTERNAL, "shader \"%s\": %u bytes of push constants, the device takes %u", name,
                                s->info.push_bytes, d->caps.max_push_bytes);
        VkResult result = status == TLVK_OK && d->handle ? make_layouts(d, s, &tlvk__shaders[i]) : VK_SUCCESS;
        if (result != VK_SUCCESS) {
            destroy_layouts(d, s);
            status = tlvk__vk_fail(d, result, "shader \"%s\": making its module and layout", name);
        }
        if (status != TLVK_OK)
            return status;
        s->ready = true;
    }
    *index = i;
    return TLVK_OK;
}

/* --- pipelines ---------------------------------------------------------------------------------------------------------------- */

/* Orders the dispatch's constants as the shader has them; refuses names the shader lacks and a local size left out. */
static tlvk_status read_specs(const tlvk__dispatch *dispatch, const tlvk__shader_info *info, tlvk__pipeline *key) {
    for (int i = 0; i < TLVK__MAX_SPECS && dispatch->specs[i].name; i++) {
        int k = 0;
        while (k < info->spec_count && strcmp(info->specs[k].name, dispatch->specs[i].name) != 0)
            k++;
        if (k == info->spec_count)
            return tlvk__fail(TLVK_ERROR_INTERNAL, "shader \"%s\" has no specialization constant \"%s\"", dispatch->shader,
                              dispatch->specs[i].name);
        key->values[k] = dispatch->specs[i].value;
        key->given |= 1u << k;
    }
    for (int k = 0; k < info->spec_count; k++)
        if (info->specs[k].local_size && !(key->given >> k & 1u)) /* drivers would silently take 1 */
            return tlvk__fail(TLVK_ERROR_INTERNAL, "shader \"%s\": the workgroup size \"%s\" was given no value", dispatch->shader,
                              info->specs[k].name);
    return TLVK_OK;
}

static tlvk_status check_local_size(const tlvk__device *d, const tlvk__pipeline *key, const char *name, uint32_t local[3]) {
    const tlvk__shader_info *info = &key->shader->info;
    uint64_t product = 1;
    for (int axis = 0; axis < 3; axis++) {
        int spec = info->local_size_spec[axis];
        local[axis] = spec >= 0 ? key->values[spec] : info->local_size[axis];
        if (local[axis] == 0 || local[axis] > d->caps.max_group_size[axis])
            return tlvk__fail(TLVK_ERROR_INTERNAL, "shader \"%s\": workgroup size %u along axis %d; the device takes 1 to %u", name,
                              local[axis], axis, d->caps.max_group_size[axis]);
        product *= local[axis];
    }
    if (product > d->caps.max_invocations)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "shader \"%s\": workgroups of %u x %u x %u; the device takes %u invocations", name, local[0],
                          local[1], local[2], d->caps.max_invocations);
    return TLVK_OK;
}

static tlvk_status check_subgroup(const tlvk__device *d, const char *name, uint32_t size, const uint32_t local[3]) {
    const tlvk__physical *p = &d->physical;
    const uint32_t most = d->caps.max_group_subgroups;
    if (size && d->caps.subgroup_size_control && most && local[0] * local[1] * local[2] > size * most)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED,
                          "shader \"%s\": workgroups of %u x %u x %u in subgroups of %u; \"%s\" has at most %u subgroups in a workgroup", name,
                          local[0], local[1], local[2], size, d->caps.name, most);
    if (size == 0 || (p->subgroup_min == size && p->subgroup_max == size))
        return TLVK_OK;
    if (d->caps.subgroup_size_control && size >= p->subgroup_min && size <= p->subgroup_max && (size & (size - 1)) == 0)
        return TLVK_OK;
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED,
                      "shader \"%s\" asks for subgroups of %u; \"%s\" cannot promise them (it has %u, from %u to %u)", name, size,
                      d->caps.name, d->caps.subgroup_size, p->subgroup_min, p->subgroup_max);
}

static size_t bucket_of(const tlvk__pipeline *key) {
    tlvk__hash h;
    tlvk__hash_init(&h);
    tlvk__hash_add(&h, &key->shader_index, sizeof key->shader_index);
    tlvk__hash_add(&h, key->values, sizeof key->values);
    tlvk__hash_add(&h, &key->subgroup_size, sizeof key->subgroup_size);
    return (size_t)(h.h[0] % TLVK__PIPELINE_BUCKETS);
}

static bool same_key(const tlvk__pipeline *a, const tlvk__pipeline *b) {
    return a->shader_index == b->shader_index && a->given == b->given && a->subgroup_size == b->subgroup_size &&
           memcmp(a->values, b->values, sizeof a->values) == 0;
}

tlvk_status tlvk__pipeline_get(tlvk__device *d, const tlvk__dispatch *dispatch, tlvk__pipeline **out) {
    tlvk__pipeline key = {.subgroup_size = dispatch->required_subgroup_size};
    tlvk_status status = get_shader(d, dispatch->shader, &key.shader_index);
    if (status != TLVK_OK)
        return status;
    key.shader = &d->pipelines.shaders[key.shader_index];
    status = read_specs(dispatch, &key.shader->info, &key);
    if (status != TLVK_OK)
        return status;
    size_t bucket = bucket_of(&key);
    for (tlvk__pipeline *p = d->pipelines.buckets[bucket]; p; p = p->next)
        if (same_key(p, &key)) {
            *out = p;
            return TLVK_OK;
        }
    uint32_t local[3];
    status = check_local_size(d, &key, dispatch->shader, local);
    if (status == TLVK_OK)
        status = check_subgroup(d, dispatch->shader, key.subgroup_size, local);
    if (status != TLVK_OK)
        return status;
    tlvk__pipeline *made = tlvk__calloc(1, sizeof *made);
    if (!made)
        return tlvk__fail(TLVK_ERROR_MEMORY, "shader \"%s\": no memory", dispatch->shader);
    *made = key;
    made->full_subgroups = key.subgroup_size && d->physical.full_subgroups && local[0] % key.subgroup_size == 0;
    made->next = d->pipelines.buckets[bucket];
    d->pipelines.buckets[bucket] = made;
    *out = made;
    return TLVK_OK;
}

/* --- the table's life --------------------------------------------------------------------------------------------------------- */

tlvk_status tlvk__pipelines_open(tlvk__device *d, const char *cache_folder) {
    tlvk__pipelines *p = &d->pipelines;
    while (tlvk__shaders[p->shader_count].name)
        p->shader_count++;
    p->shaders = tlvk__calloc((size_t)p->shader_count, sizeof *p->shaders);
    p->names = tlvk__calloc((size_t)p->shader_count, sizeof *p->names);
    if (!p->shaders || !p->names)
        return tlvk__fail(TLVK_ERROR_MEMORY, "opening a device: no memory for the table of shaders");
    sort_names(d);
    return d->handle ? tlvk__pipeline_cache_open(d, cache_folder) : TLVK_OK;
}

void tlvk__pipelines_close(tlvk__device *d) {
    tlvk__pipelines *p = &d->pipelines;
    if (d->handle)
        tlvk__pipeline_cache_close(d);
    for (int i = 0; i < TLVK__PIPELINE_BUCKETS; i++)
        for (tlvk__pipeline *one = p->buckets[i], *next; one; one = next) {
            next = one->next;
            if (d->handle)
                d->vk.vkDestroyPipeline(d->handle, one->handle, NULL);
            free(one);
        }
    for (int i = 0; p->shaders && d->handle && i < p->shader_count; i++)
        destroy_layouts(d, &p->shaders[i]);
    free(p->shaders);
    free(p->names);
}
