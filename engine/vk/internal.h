/* internal.h - what the files of this room share; the only header here that names Vulkan types.
 * Hides: that a device has an instance of its own, with its own function pointers, so that contexts do not meet in global state. */
#ifndef TLVK_VK_INTERNAL_H
#define TLVK_VK_INTERNAL_H

#include "vk/cooperative.h"
#include "vk/vk.h"

#include <volk.h>

#define TLVK__MAX_DEVICES 32

/* --- instance.c ------------------------------------------------------------------------------------------------------------- */
/* One Vulkan instance with the functions used of it. Its address must not change while it lives (the debug messenger points at it). */
typedef struct tlvk__instance {
    VkInstance handle;
    VkDebugUtilsMessengerEXT messenger;
    bool validation; /* the layer is enabled */
    int messages;    /* of the validation layer, warnings and errors */
    char text[4096]; /* the first of them */
    PFN_vkDestroyInstance DestroyInstance;
    PFN_vkEnumeratePhysicalDevices EnumeratePhysicalDevices;
    PFN_vkEnumerateDeviceExtensionProperties EnumerateDeviceExtensionProperties;
    PFN_vkGetPhysicalDeviceProperties GetPhysicalDeviceProperties;
    PFN_vkGetPhysicalDeviceProperties2 GetPhysicalDeviceProperties2;
    PFN_vkGetPhysicalDeviceFeatures2 GetPhysicalDeviceFeatures2;
    PFN_vkGetPhysicalDeviceFormatProperties GetPhysicalDeviceFormatProperties;
    PFN_vkGetPhysicalDeviceMemoryProperties2 GetPhysicalDeviceMemoryProperties2;
    PFN_vkGetPhysicalDeviceQueueFamilyProperties GetPhysicalDeviceQueueFamilyProperties;
    PFN_vkCreateDevice CreateDevice;
    PFN_vkGetDeviceProcAddr GetDeviceProcAddr;
    PFN_vkCreateDebugUtilsMessengerEXT CreateDebugUtilsMessengerEXT;
    PFN_vkDestroyDebugUtilsMessengerEXT DestroyDebugUtilsMessengerEXT;
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR GetPhysicalDeviceCooperativeMatrixPropertiesKHR; /* NULL: no driver has it */
} tlvk__instance;

/* TLVK_ERROR_NO_DEVICE where there is no loader, no 1.1 or no driver. validation: asked for, taken where installed. */
tlvk_status tlvk__instance_open(tlvk__instance *instance, bool validation);
void tlvk__instance_close(tlvk__instance *instance);

/* --- caps.c ------------------------------------------------------------------------------------------------------------------- */
/* What a physical device is and what will be enabled of it. */
typedef struct tlvk__physical {
    VkPhysicalDevice handle;
    tlvk__caps caps;
    VkPhysicalDeviceMemoryProperties memory;
    VkPhysicalDeviceType type;
    int queue_family; /* -1: none can compute */
    uint32_t queue_timestamp_bits;
    uint32_t subgroup_min, subgroup_max;
    bool full_subgroups, memory_budget, portability_subset, float16_extension, memory_model_extension, executable_properties;
    VkResult unread;      /* why the list of its extensions could not be had; VK_SUCCESS: it could */
    uint64_t flush_align; /* nonCoherentAtomSize */
} tlvk__physical;

void tlvk__physical_read(const tlvk__instance *instance, VkPhysicalDevice handle, bool floor, tlvk__physical *out);
void tlvk__caps_fixed_memory(tlvk__caps *caps); /* of a device that has none: what a dry device pretends */
const char *tlvk__type_name(VkPhysicalDeviceType type);

/* --- choose.c ----------------------------------------------------------------------------------------------------------------- */
/* Reads all devices (up to TLVK__MAX_DEVICES) and picks one by `choose`, $TLVK_DEVICE or rank. *chosen is -1 with no fit;
 * the status then says why. infos may be NULL. */
tlvk_status tlvk__choose(const tlvk__instance *instance, const char *choose, bool floor, tlvk__physical *devices, int *count,
                         tlvk_device_info *infos, int *chosen);

/* --- reflect.c ---------------------------------------------------------------------------------------------------------------- */
typedef enum tlvk__slot { TLVK__SLOT_NONE = 0, TLVK__SLOT_STORAGE, TLVK__SLOT_TEXEL } tlvk__slot;
typedef struct tlvk__spec_info { char name[48]; uint32_t id; bool local_size; } tlvk__spec_info;
typedef struct tlvk__shader_info {
    int binding_count; /* highest binding + 1 */
    tlvk__slot slots[TLVK__MAX_BINDINGS];
    bool written[TLVK__MAX_BINDINGS]; /* the shader stores to it */
    bool half[TLVK__MAX_BINDINGS];    /* a storage buffer of elements of 8 bytes in a form for fp16 */
    int spec_count;
    tlvk__spec_info specs[TLVK__MAX_SPECS]; /* in order of SpecId */
    uint32_t push_bytes;
    uint32_t local_size[3];    /* where it is constant */
    int local_size_spec[3];    /* index in specs, -1: constant */
} tlvk__shader_info;

tlvk_status tlvk__reflect(const tlvk__shader_source *source, tlvk__shader_info *out);

/* --- pipeline.c --------------------------------------------------------------------------------------------------------------- */
typedef struct tlvk__shader { /* one embedded shader, read when first used */
    bool ready;
    tlvk__shader_info info;
    VkShaderModule module;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
} tlvk__shader;

typedef struct tlvk__pipeline {
    const tlvk__shader *shader;
    int shader_index;
    uint32_t values[TLVK__MAX_SPECS], given; /* by shader's spec order; bit i of given: value i was told */
    uint32_t subgroup_size;
    bool full_subgroups;         /* all that a workgroup has; only with a size that is required */
    VkPipeline handle;           /* VK_NULL_HANDLE: not compiled yet */
    struct tlvk__pipeline *next; /* in its bucket */
} tlvk__pipeline;

#define TLVK__PIPELINE_BUCKETS 256
typedef struct tlvk__shader_name { const char *name; int index; /* in tlvk__shaders, of what stands for it on this device */ } tlvk__shader_name;
typedef struct tlvk__pipelines {
    tlvk__shader *shaders; /* as many as tlvk__shaders has */
    tlvk__shader_name *names; /* the same, sorted */
    int shader_count;
    tlvk__pipeline *buckets[TLVK__PIPELINE_BUCKETS];
    VkPipelineCache cache;
    char *cache_path; /* NULL: not on disk */
    bool changed;     /* something was compiled since the cache was loaded */
} tlvk__pipelines;

tlvk_status tlvk__pipelines_open(tlvk__device *d, const char *cache_folder);
void tlvk__pipelines_close(tlvk__device *d);
/* The pipeline for a dispatch's shader, constants and subgroup size, compiled or not. Owned by the device. */
tlvk_status tlvk__pipeline_get(tlvk__device *d, const tlvk__dispatch *dispatch, tlvk__pipeline **out);

/* --- compile.c ---------------------------------------------------------------------------------------------------------------- */
/* Compiles those pipelines of the recording that are not yet. After a failure the others of them may be compiled or not; the next call goes on. */
tlvk_status tlvk__recording_compile(const tlvk__recording *rec);

/* --- pipeline_cache.c --------------------------------------------------------------------------------------------------------- */
tlvk_status tlvk__pipeline_cache_open(tlvk__device *d, const char *folder); /* folder NULL or "": in memory only */
void tlvk__pipeline_cache_close(tlvk__device *d);                           /* saves what is new */

/* --- inspect.c ---------------------------------------------------------------------------------------------------------------- */
bool tlvk__tells_statistics(const tlvk__instance *instance, const tlvk__physical *p); /* VK_KHR_pipeline_executable_properties, and its feature */

/* --- device.c ----------------------------------------------------------------------------------------------------------------- */
struct tlvk__device {
    tlvk__caps caps;
    bool dry; /* records, but allocates and runs nothing; with a handle (a driver without hardware) it compiles pipelines */
    bool statistics; /* pipelines are compiled so that the driver tells about them (vk/inspect.c) */
    tlvk__instance instance;
    tlvk__physical physical;
    VkDevice handle;
    VkQueue queue;
    VkCommandPool command_pool;
    struct VolkDeviceTable vk;
    tlvk__pipelines pipelines;
    uint64_t memory_now, memory_peak; /* device-local bytes allocated */
    double flops_per_ms, bytes_per_ms; /* first guesses by kind of device, for cutting */
    double speed;                      /* measured, as a multiple of those */
    double done_at;                    /* when the last recording was seen done */
    double busy_seconds, idle_seconds; /* by the device's own clock, see tlvk__device_use */
    uint64_t busy_until;               /* that clock at the end of the last recording waited for */
    bool worked;                       /* busy_until means something */
    bool lost;
    void (*log)(tlvk_log_level level, const char *text, void *user);
    void *log_user;
};

const char *tlvk__result_name(VkResult result); /* in words */
/* The status and words for a failed Vulkan call; "what" as in "allocating 12 bytes". Remembers a lost device. */
tlvk_status tlvk__vk_fail(tlvk__device *d, VkResult result, const char *format, ...) TLVK__PRINTF(3, 4);
void tlvk__device_log(const tlvk__device *d, tlvk_log_level level, const char *format, ...) TLVK__PRINTF(3, 4);

/* --- memory.c ----------------------------------------------------------------------------------------------------------------- */
typedef struct tlvk__texel_view { uint64_t offset, bytes; bool half; VkBufferView handle; } tlvk__texel_view;
struct tlvk__buffer {
    tlvk__device *device;
    tlvk__buffer_kind kind;
    uint64_t bytes, counted_bytes; /* counted: of device-local memory */
    VkBuffer handle;
    VkDeviceMemory memory;
    void *map;
    bool coherent;
    tlvk__texel_view *views;
    size_t view_count, view_capacity;
};

/* Index of the best memory type among `allowed` for the kind; -1 when none. */
int tlvk__memory_type(const VkPhysicalDeviceMemoryProperties *memory, uint32_t allowed, tlvk__buffer_kind kind);
/* A view of RGBA32F texels over a range, or of RGBA16F, which Vulkan asks of every device as well; owned by the buffer, the same for the same range. */
tlvk_status tlvk__buffer_texels(tlvk__buffer *b, uint64_t offset, uint64_t bytes, bool half, VkBufferView *out);

/* --- recorder.c, recording.c -------------------------------------------------------------------------------------------------- */
typedef enum tlvk__entry_kind { TLVK__ENTRY_DISPATCH, TLVK__ENTRY_FILL, TLVK__ENTRY_COPY } tlvk__entry_kind;
typedef struct tlvk__entry {
    tlvk__entry_kind kind;
    tlvk__pipeline *pipeline;
    size_t first_binding; int binding_count; /* in the recording's bindings; fill: 1 (to), copy: 2 (from, to) */
    size_t push_at; uint32_t push_bytes;     /* in the recording's push bytes */
    uint32_t groups[3], word;
    const char *shader, *operation, *layer, *phase, *phase_layer;
    double flops, bytes, ms;
    bool barrier_before;
    int submission;
} tlvk__entry;

struct tlvk__recording {
    tlvk__device *device;
    tlvk__recorder_desc desc;
    tlvk__entry *entries; size_t entry_count, entry_capacity;
    tlvk__binding *bindings; size_t binding_count, binding_capacity;
    unsigned char *push; size_t push_count, push_capacity;
    char **strings; size_t string_count, string_capacity;
    int barriers, submissions;
    bool timestamps, host_writes, in_flight;
    bool piecewise; /* timestamps were asked for and the device has none: the host times each entry */
    double estimated_ms, submitted_at, last_ms; /* estimated: at speed 1 */
    double cut_speed, speed; /* the device's as a multiple of its first guess: that it was cut by, and that its own runs showed */
    VkCommandBuffer *commands;
    VkSubmitInfo *submits;
    VkDescriptorPool descriptors;
    VkQueryPool queries;
    size_t query_pairs; /* one per entry where timestamps were asked for, and one for the whole */
    VkFence fence;
};

/* Numbers the entries' submissions, so that each takes desc.cut_ms at most on a device of this speed, or is a single entry. */
void tlvk__recording_cut(tlvk__recording *rec, double speed);
/* Turns the list of entries into command buffers; on failure what was made is released by tlvk__recording_destroy. */
tlvk_status tlvk__recording_encode(tlvk__recording *rec);
void tlvk__recording_unencode(tlvk__recording *rec); /* the end of what encoding made; the list stays. Nothing of it may be in flight */
/* Estimated duration on this device at speed 1. */
double tlvk__entry_ms(const tlvk__device *d, const tlvk__entry *e);

#endif
