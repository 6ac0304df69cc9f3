/* check.c - whether the program keeps to what it was told. Hides: what SPIR-V says of shared memory, workgroups and capabilities.
 * Numbers of instructions and capabilities are those of the SPIR-V 1.3 specification, section 3. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* --- shaders ------------------------------------------------------------------------------------------------------------------ */

enum { OP_EXECUTION_MODE = 16, OP_CAPABILITY = 17, OP_TYPE_BOOL = 20, OP_TYPE_INT = 21, OP_TYPE_FLOAT = 22, OP_TYPE_VECTOR = 23, OP_TYPE_ARRAY = 28,
       OP_TYPE_STRUCT = 30, OP_TYPE_POINTER = 32, OP_CONSTANT_TRUE = 41, OP_CONSTANT_FALSE = 42, OP_CONSTANT = 43, OP_CONSTANT_COMPOSITE = 44,
       OP_SPEC_TRUE = 48, OP_SPEC_FALSE = 49, OP_SPEC_CONSTANT = 50, OP_SPEC_COMPOSITE = 51, OP_SPEC_OP = 52, OP_VARIABLE = 59, OP_DECORATE = 71 };
enum { CLASS_WORKGROUP = 4, DECORATION_SPEC_ID = 1, DECORATION_BUILT_IN = 11, BUILT_IN_WORKGROUP_SIZE = 25, MODE_LOCAL_SIZE = 17 };
enum { CAPABILITY_FLOAT16 = 9, CAPABILITY_SUBGROUP = 61, CAPABILITY_SUBGROUP_LAST = 68, CAPABILITY_STORAGE16 = 4433, CAPABILITY_STORAGE16_LAST = 4436 };

typedef struct known { const uint32_t *at; uint32_t spec; } known; /* the instruction that defines an id; spec: SpecId + 1 */
typedef struct module { known *ids; uint32_t bound; const VkSpecializationInfo *specs; } module;

static const uint32_t *definition(const module *m, uint32_t id) {
    static const uint32_t none[8];
    return id < m->bound && m->ids[id].at ? m->ids[id].at : none;
}

static int64_t value_of(const module *m, uint32_t id);

static int64_t compute(const module *m, const uint32_t *in) {
    const int64_t a = value_of(m, in[4]), b = in[0] >> 16 > 5 ? value_of(m, in[5]) : 0, c = in[0] >> 16 > 6 ? value_of(m, in[6]) : 0;
    switch (in[3]) {
    case 128: return a + b;
    case 130: return a - b;
    case 132: return a * b;
    case 134: case 135: return b ? a / b : 0;
    case 137: case 138: case 139: return b ? a % b : 0;
    case 164: case 170: return a == b;
    case 165: case 171: return a != b;
    case 166: return a || b;
    case 167: return a && b;
    case 168: return !a;
    case 169: return a ? b : c;
    case 172: case 173: return a > b;
    case 174: case 175: return a >= b;
    case 176: case 177: return a < b;
    case 178: case 179: return a <= b;
    case 194: case 195: return a >> b;
    case 196: return a << b;
    case 197: return a | b;
    case 199: return a & b;
    default: breach("a shader's constant is made by instruction %u, which this check cannot follow", in[3]); return 0;
    }
}

static int64_t value_of(const module *m, uint32_t id) {
    const uint32_t *in = definition(m, id);
    uint32_t spec = id < m->bound ? m->ids[id].spec : 0;
    for (uint32_t i = 0; spec && m->specs && i < m->specs->mapEntryCount; i++)
        if (m->specs->pMapEntries[i].constantID + 1 == spec) {
            int32_t value;
            memcpy(&value, (const char *)m->specs->pData + m->specs->pMapEntries[i].offset, sizeof value);
            return value;
        }
    switch (in[0] & 0xffff) {
    case OP_CONSTANT_TRUE: case OP_SPEC_TRUE: return 1;
    case OP_CONSTANT: case OP_SPEC_CONSTANT: return (int32_t)in[3];
    case OP_SPEC_OP: return compute(m, in);
    default: return 0;
    }
}

static uint64_t size_of(const module *m, uint32_t type) {
    const uint32_t *in = definition(m, type);
    uint64_t sum = 0;
    switch (in[0] & 0xffff) {
    case OP_TYPE_BOOL: return 4;
    case OP_TYPE_INT: case OP_TYPE_FLOAT: return in[2] / 8;
    case OP_TYPE_VECTOR: return in[3] * size_of(m, in[2]);
    case OP_TYPE_ARRAY: return (uint64_t)value_of(m, in[3]) * size_of(m, in[2]);
    case OP_TYPE_STRUCT:
        for (uint32_t i = 2; i < in[0] >> 16; i++)
            sum += size_of(m, in[i]);
        return sum;
    default: return 0;
    }
}

static void check_capability(uint32_t capability) {
    if (sim.no_subgroups && capability >= CAPABILITY_SUBGROUP && capability <= CAPABILITY_SUBGROUP_LAST)
        breach("a shader with subgroup operations (capability %u) on a device without", capability);
    if (sim.no_fp16 && (capability == CAPABILITY_FLOAT16 || (capability >= CAPABILITY_STORAGE16 && capability <= CAPABILITY_STORAGE16_LAST)))
        breach("a shader with 16-bit floats (capability %u) on a device without", capability);
}

static uint32_t result_word(uint32_t op) {
    if (op >= OP_TYPE_BOOL && op <= OP_TYPE_POINTER)
        return 1;
    return (op >= OP_CONSTANT_TRUE && op <= OP_SPEC_OP) || op == OP_VARIABLE ? 2 : 0;
}

int64_t check_stage(const told *t, const uint32_t *words, size_t count, const VkSpecializationInfo *specs) {
    module m = {.bound = words[3], .specs = specs};
    m.ids = calloc(m.bound, sizeof *m.ids);
    int64_t local[3] = {1, 1, 1};
    uint32_t workgroup_size = 0;
    for (size_t i = 5; m.ids && i < count; i += words[i] >> 16) {
        const uint32_t *in = words + i, op = in[0] & 0xffff, result = result_word(op);
        if (result && in[result] < m.bound)
            m.ids[in[result]].at = in;
        if (op == OP_CAPABILITY)
            check_capability(in[1]);
        else if (op == OP_EXECUTION_MODE && in[2] == MODE_LOCAL_SIZE)
            for (int k = 0; k < 3; k++)
                local[k] = in[3 + k];
        else if (op == OP_DECORATE && in[2] == DECORATION_SPEC_ID && in[1] < m.bound)
            m.ids[in[1]].spec = in[3] + 1;
        else if (op == OP_DECORATE && in[2] == DECORATION_BUILT_IN && in[3] == BUILT_IN_WORKGROUP_SIZE)
            workgroup_size = in[1];
    }
    for (int k = 0; workgroup_size && k < 3; k++)
        local[k] = value_of(&m, definition(&m, workgroup_size)[3 + k]);
    uint64_t shared = 0;
    for (uint32_t id = 0; m.ids && id < m.bound; id++) {
        const uint32_t *in = definition(&m, id);
        if ((in[0] & 0xffff) == OP_VARIABLE && in[3] == CLASS_WORKGROUP)
            shared += size_of(&m, definition(&m, in[1])[3]);
    }
    free(m.ids);
    if (shared > t->limits.maxComputeSharedMemorySize)
        breach("a shader of %llu bytes of shared memory; told: %u", (unsigned long long)shared, t->limits.maxComputeSharedMemorySize);
    if (local[0] * local[1] * local[2] > t->limits.maxComputeWorkGroupInvocations)
        breach("workgroups of %lld invocations; told: %u", (long long)(local[0] * local[1] * local[2]), t->limits.maxComputeWorkGroupInvocations);
    for (int k = 0; k < 3; k++)
        if (local[k] < 1 || local[k] > t->limits.maxComputeWorkGroupSize[k])
            breach("workgroups of %lld along axis %d; told: %u", (long long)local[k], k, t->limits.maxComputeWorkGroupSize[k]);
    return local[0] * local[1] * local[2];
}

static bool has_subgroups(const uint32_t *words, size_t count) {
    for (size_t i = 5; i < count; i += words[i] >> 16)
        if ((words[i] & 0xffff) == OP_CAPABILITY && words[i + 1] >= CAPABILITY_SUBGROUP && words[i + 1] <= CAPABILITY_SUBGROUP_LAST)
            return true;
    return false;
}

void check_subgroups(const VkPipelineShaderStageCreateInfo *stage, const uint32_t *words, size_t count, int64_t invocations) {
    uint32_t size = 0;
    for (const VkBaseInStructure *s = stage->pNext; s; s = s->pNext)
        if (s->sType == VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO)
            size = ((const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo *)(const void *)s)->requiredSubgroupSize;
    if (size && (sim.no_subgroup_control || sim.no_required_sizes || (sim.subgroup_min && size < sim.subgroup_min) || (sim.subgroup_max && size > sim.subgroup_max)))
        breach("a subgroup size of %u is required; told: %d to %d", size, (int)sim.subgroup_min, (int)sim.subgroup_max);
    if (size && sim.max_subgroups && invocations > size * sim.max_subgroups)
        breach("workgroups of %lld invocations in subgroups of %u; told: at most %d subgroups", (long long)invocations, size, (int)sim.max_subgroups);
    if (sim.subgroup_min == sim.subgroup_max || !has_subgroups(words, count))
        return;
    if (!size || !(stage->flags & VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT))
        breach("a shader counts on subgroups whose size may vary, and requires %s", size ? "no full ones" : "none");
}

/* --- everything else ---------------------------------------------------------------------------------------------------------- */

void check_set_layout(const told *t, const VkDescriptorSetLayoutCreateInfo *info) {
    uint32_t storage = 0, texel = 0;
    for (uint32_t i = 0; i < info->bindingCount; i++) {
        storage += info->pBindings[i].descriptorType == VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        texel += info->pBindings[i].descriptorType == VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
    }
    if (storage > t->limits.maxPerStageDescriptorStorageBuffers)
        breach("%u storage buffers in a stage; told: %u", storage, t->limits.maxPerStageDescriptorStorageBuffers);
    if (texel > t->limits.maxPerStageDescriptorSampledImages || (texel && sim.no_texel_buffers))
        breach("%u texel buffers in a stage; told: %u", texel, sim.no_texel_buffers ? 0 : t->limits.maxPerStageDescriptorSampledImages);
}

void check_range(const told *t, VkDeviceSize offset, VkDeviceSize bytes) {
    if (bytes > t->limits.maxStorageBufferRange) /* VK_WHOLE_SIZE too */
        breach("a storage buffer of %llu bytes; told: %u", (unsigned long long)bytes, t->limits.maxStorageBufferRange);
    if (offset % t->limits.minStorageBufferOffsetAlignment)
        breach("a storage buffer at %llu; told: multiples of %llu", (unsigned long long)offset,
               (unsigned long long)t->limits.minStorageBufferOffsetAlignment);
}

void check_texels(const told *t, VkDeviceSize offset, VkDeviceSize bytes) {
    if (sim.no_texel_buffers || bytes / 16 > t->limits.maxTexelBufferElements)
        breach("a texel buffer of %llu bytes; told: %u texels", (unsigned long long)bytes,
               sim.no_texel_buffers ? 0 : t->limits.maxTexelBufferElements);
    if (offset % t->limits.minTexelBufferOffsetAlignment)
        breach("a texel buffer at %llu; told: multiples of %llu", (unsigned long long)offset,
               (unsigned long long)t->limits.minTexelBufferOffsetAlignment);
}

void check_groups(const told *t, const uint32_t groups[3]) {
    for (int k = 0; k < 3; k++)
        if (groups[k] > t->limits.maxComputeWorkGroupCount[k])
            breach("%u workgroups along axis %d; told: %u", groups[k], k, t->limits.maxComputeWorkGroupCount[k]);
}

void check_atoms(const told *t, const VkMappedMemoryRange *range, VkDeviceSize memory_bytes) {
    const VkDeviceSize atom = t->limits.nonCoherentAtomSize;
    if (range->offset % atom || (range->size != VK_WHOLE_SIZE && range->size % atom && range->offset + range->size != memory_bytes))
        breach("a mapped range of bytes %llu + %llu; told: multiples of %llu", (unsigned long long)range->offset, (unsigned long long)range->size,
               (unsigned long long)atom);
}

void check_device(const VkDeviceCreateInfo *info) {
    bool subset = false;
    for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
        if (hides_extension(info->ppEnabledExtensionNames[i]))
            breach("the extension %s on a device without", info->ppEnabledExtensionNames[i]);
        subset = subset || strcmp(info->ppEnabledExtensionNames[i], PORTABILITY_SUBSET) == 0;
    }
    if (sim.portability && !subset)
        breach("a device with a subset of Vulkan is opened without %s", PORTABILITY_SUBSET);
    for (const VkBaseInStructure *s = info->pNext; s; s = s->pNext) {
        const void *p = s;
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES) {
            const VkPhysicalDeviceSubgroupSizeControlFeatures *f = p;
            if ((sim.no_subgroup_control && f->subgroupSizeControl) || (sim.no_full_subgroups && f->computeFullSubgroups))
                breach("control over subgroup sizes on a device without");
        }
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES &&
            ((const VkPhysicalDevice16BitStorageFeatures *)p)->storageBuffer16BitAccess && sim.no_fp16)
            breach("16-bit storage on a device without");
    }
}
