/* internal.h - what the layer's files share. One mutex guards all of their state; calls into the driver are made without it. */
#ifndef TLVK_TEST_LAYER_INTERNAL_H
#define TLVK_TEST_LAYER_INTERNAL_H

#include "sim.h"

#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#define PORTABILITY_SUBSET "VK_KHR_portability_subset" /* its name is in headers of beta extensions alone */
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* --- settings.c --------------------------------------------------------------------------------------------------------------- */
/* 0 leaves everything as the device has it; -1 stands for 0 where 0 is meant. */
typedef struct settings {
    int64_t fail_at, fail_result, fail_choice; /* the fail_at-th call; with this VkResult, or the fail_choice-th of those the call may give */
    char fail_call[64];                        /* only calls of this name are counted; "": all that can fail */
    int64_t hollow;                            /* nothing is compiled and no dispatch runs: for runs whose values do not matter */
    int64_t skip_dispatch;                     /* the dispatch of that number, in the order of recording, is not passed to the driver */
    int64_t slow;                              /* as many times slower as it is, by the device's own clock */
    int64_t max_storage_buffer_range, max_shared_memory, max_invocations, max_groups, max_texels, max_storage_buffers, max_push_constants;
    int64_t storage_align, texel_align, atom, max_allocation;
    int64_t no_texel_buffers, no_subgroups, no_timestamps, no_fp16, one_queue;
    int64_t subgroup_size, subgroup_min, subgroup_max, max_subgroups, no_subgroup_control, no_full_subgroups;
    int64_t no_required_sizes;                 /* subgroup sizes are told, and none can be asked for */
    int64_t portability;                       /* a subset of Vulkan: shown only to who asks for such, and its extension must be enabled */
    int64_t discrete, type;                    /* its type, instead of a processor's: a graphics card's; the VkPhysicalDeviceType of this number */
    int64_t second_type;                       /* there is a second device, the first once more, of this VkPhysicalDeviceType */
    int64_t heap, budget;                      /* bytes of the device's heap; what VK_EXT_memory_budget says is left to this program of it */
    int64_t separate_heaps, non_coherent;      /* device-local memory that the host cannot see; host memory that must be flushed and invalidated */
} settings;

extern settings sim;

void lock(void);
void unlock(void);
void breach(const char *format, ...) __attribute__((format(printf, 1, 2))); /* the lock need not be held */
void read_environment(void); /* $TLVK_SIM, once, where no test has set anything */
bool skips_dispatch(void);   /* counts a dispatch; whether it is the one that is lost */
/* Counts a call that can fail with one of the results; the result it must fail with, or VK_SUCCESS. */
VkResult fail_now(const char *call, const VkResult *results, int count);

/* --- objects.c ---------------------------------------------------------------------------------------------------------------- */
typedef enum kind { INSTANCE, DEVICE, BUFFER, MEMORY, VIEW, SET_LAYOUT, PIPELINE_LAYOUT, MODULE, PIPELINE, CACHE, POOL, SET, QUERIES, COMMANDS, COMMAND,
                    FENCE, KINDS } kind;

typedef struct object {
    kind kind;
    uint64_t handle, owner;  /* owner: the device or pool with which it goes */
    void *device;            /* struct device; NULL for instances */
    uint64_t last_use;       /* number of the last submission that uses it */
    uint64_t bytes, type;    /* of memory: its size, and its type as it was told; of a module: what it needs */
    void *map, *shadow;      /* of mapped memory: the driver's pointer, and the program's where it is not coherent */
    struct use { kind kind; uint64_t handle; } *uses; /* of commands and descriptor sets */
    size_t use_count, use_capacity;
    struct object *next;
} object;

/* All with the lock held. add() aborts without memory; find() gives NULL. */
object *add(kind k, uint64_t handle, void *device, uint64_t owner);
object *find(kind k, uint64_t handle);
void drop(kind k, uint64_t handle);                  /* with all that it owns among sets and command buffers */
void add_use(object *user, kind k, uint64_t handle);
int alive_of(const void *device);                    /* counts and names in the breach text what lives of a device; NULL: all there is */
void name_alive(const void *device, char *text, size_t size);
extern const char *const kind_names[KINDS];

/* --- lies.c ------------------------------------------------------------------------------------------------------------------- */
void lie_properties(VkPhysicalDeviceProperties *p, bool second);
void lie_chain(void *chain);                         /* of properties or features */
void lie_memory(VkPhysicalDeviceMemoryProperties *m, void *chain);
void lie_families(uint32_t count, VkQueueFamilyProperties *families);
void lie_requirements(VkMemoryRequirements *need);
uint32_t backing_type(const VkPhysicalDeviceMemoryProperties *real); /* the driver's memory type that stands behind separate heaps: one that the host sees */
bool hides_extension(const char *name);
bool adds_extension(const char *name);

/* What a device was told to be. */
typedef struct told { VkPhysicalDeviceLimits limits; VkPhysicalDeviceMemoryProperties memory; uint64_t max_allocation; } told;

/* --- check.c ------------------------------------------------------------------------------------------------------------------ */
/* A compute shader and its constants; gives the invocations of a workgroup. */
int64_t check_stage(const told *t, const uint32_t *words, size_t count, const VkSpecializationInfo *specs);
/* Where sizes vary, whether a stage that counts on its subgroups requires a size that it was told, and whole subgroups; not too many in a workgroup. */
void check_subgroups(const VkPipelineShaderStageCreateInfo *stage, const uint32_t *words, size_t count, int64_t invocations);
void check_set_layout(const told *t, const VkDescriptorSetLayoutCreateInfo *info);
void check_range(const told *t, VkDeviceSize offset, VkDeviceSize bytes);  /* of a storage buffer */
void check_texels(const told *t, VkDeviceSize offset, VkDeviceSize bytes); /* of RGBA32F */
void check_groups(const told *t, const uint32_t groups[3]);
void check_atoms(const told *t, const VkMappedMemoryRange *range, VkDeviceSize memory_bytes);
void check_device(const VkDeviceCreateInfo *info);

/* --- layer.c: the loader's chain ------------------------------------------------------------------------------------------------- */
#define ID(handle) ((uint64_t)(handle))
#define POISON 0xbad0bad0bad0u /* a call that fails leaves its results undefined, so nobody may read them */

#define INSTANCE_CALLS(X)                                                                                                              \
    X(DestroyInstance) X(EnumeratePhysicalDevices) X(EnumerateDeviceExtensionProperties) X(GetPhysicalDeviceProperties)                \
    X(GetPhysicalDeviceProperties2) X(GetPhysicalDeviceFeatures2) X(GetPhysicalDeviceFormatProperties)                                 \
    X(GetPhysicalDeviceMemoryProperties2) X(GetPhysicalDeviceQueueFamilyProperties)
#define DEVICE_CALLS(X)                                                                                                                \
    X(DestroyDevice) X(DeviceWaitIdle) X(CreateBuffer) X(DestroyBuffer) X(GetBufferMemoryRequirements) X(AllocateMemory) X(FreeMemory) \
    X(BindBufferMemory) X(MapMemory) X(UnmapMemory) X(FlushMappedMemoryRanges) X(InvalidateMappedMemoryRanges) X(CreateBufferView) X(DestroyBufferView) \
    X(CreateDescriptorSetLayout) X(DestroyDescriptorSetLayout) X(CreatePipelineLayout) X(DestroyPipelineLayout) X(CreateShaderModule)  \
    X(DestroyShaderModule) X(CreateComputePipelines) X(DestroyPipeline) X(CreatePipelineCache) X(DestroyPipelineCache)                 \
    X(GetPipelineCacheData) X(CreateDescriptorPool) X(DestroyDescriptorPool) X(AllocateDescriptorSets) X(UpdateDescriptorSets)         \
    X(CreateQueryPool) X(DestroyQueryPool) X(GetQueryPoolResults) X(CreateCommandPool) X(DestroyCommandPool) X(AllocateCommandBuffers) \
    X(FreeCommandBuffers) X(BeginCommandBuffer) X(EndCommandBuffer) X(CmdBindPipeline) X(CmdBindDescriptorSets) X(CmdPushConstants)    \
    X(CmdDispatch) X(CmdFillBuffer) X(CmdCopyBuffer) X(CmdResetQueryPool) X(CmdWriteTimestamp) X(CreateFence) X(DestroyFence)          \
    X(ResetFences) X(GetFenceStatus) X(WaitForFences) X(QueueSubmit)

#define MEMBER(call) PFN_vk##call call;
typedef struct instance { void *key; VkInstance handle; PFN_vkGetInstanceProcAddr next; INSTANCE_CALLS(MEMBER) } instance;
typedef struct device {
    void *key;
    VkDevice handle;
    VkInstance of;
    PFN_vkGetDeviceProcAddr next;
    told told;
    VkPhysicalDeviceMemoryProperties real; /* what the driver has */
    bool lost, hollow;       /* hollow: as the settings were when it was made */
    uint64_t submitted, completed, heap_used[VK_MAX_MEMORY_HEAPS];
    DEVICE_CALLS(MEMBER)
} device;
#undef MEMBER

device *device_of(const void *handle); /* of a VkDevice, VkQueue or VkCommandBuffer */
object *made(device *d, kind k, uint64_t handle, uint64_t owner); /* add(), with the lock taken */

/* --- calls.c: the calls of a device ------------------------------------------------------------------------------------------- */
/* Counts a call that can fail; what it must give, or VK_SUCCESS. d: NULL before there is one. */
VkResult fail(device *d, const char *call, const VkResult *results, int count);
#define FAIL(d, call, ...) fail(d, call, (const VkResult[]){__VA_ARGS__}, COUNT(((const VkResult[]){__VA_ARGS__})))
#define HOST VK_ERROR_OUT_OF_HOST_MEMORY
#define BOTH VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY
#define LOST VK_ERROR_DEVICE_LOST
PFN_vkVoidFunction find_device_call(const char *name); /* NULL: not ours */
#define OURS(call, function)            \
    if (strcmp(name, "vk" #call) == 0)  \
        return (PFN_vkVoidFunction)function;

#endif
