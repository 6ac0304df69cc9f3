/* vk.h - everything the rest of the library may know of Vulkan; no other room includes a Vulkan header.
 *
 * Hides: instance, device choice, quirks, memory types, descriptor sets, pipelines and their disk cache, barriers, submissions, queries.
 * One device belongs to one context and is used by one thread at a time. A "dry" device (tlvk__device_dry) records without
 * Vulkan: the list of dispatches is the same, so golden texts and plans are tested without a driver. */
#ifndef TLVK_VK_H
#define TLVK_VK_H

#include "core/core.h"

#include <string.h>

/* Which convolutions go by Winograd (ops/winograd.h): a choice, kept beside the facts it is made from. */
typedef enum tlvk__winograd { TLVK__WINOGRAD_BY_SHAPE, TLVK__WINOGRAD_ALWAYS, TLVK__WINOGRAD_NEVER } tlvk__winograd; /* all that can; none */

/* --- caps: the only source of device facts ---------------------------------------------------------------------------------- */
typedef struct tlvk__caps {
    char name[256], driver[256], api[32], type[32];
    uint8_t device_uuid[16], driver_uuid[16], pipeline_cache_uuid[16];
    uint32_t vendor_id, device_id, driver_version, api_version;
    uint64_t memory_bytes;           /* largest device-local heap (of a processor's driver: most of the host's memory), after memory_limit */
    uint64_t max_binding_bytes;      /* maxStorageBufferRange */
    uint64_t max_allocation_bytes;   /* maxMemoryAllocationSize, maxBufferSize */
    uint64_t max_texels;             /* RGBA32F texels one uniform texel buffer view may hold; 0: texel buffers not usable */
    uint32_t max_groups[3], max_invocations, max_group_size[3], max_shared_bytes, max_push_bytes, max_storage_buffers;
    uint32_t storage_align, texel_align; /* offsets of bindings */
    uint32_t subgroup_size;          /* as reported; 0: subgroup operations not usable in compute */
    bool subgroup_shuffle;           /* constant and dynamic shuffle in compute, with a size that is fixed or can be required */
    bool subgroup_size_control;
    uint32_t max_group_subgroups;    /* in a workgroup, of a size that is asked for (maxComputeWorkgroupSubgroups); 0: not told */
    uint32_t shuffle_size;           /* the size that kernels with shuffles are made for and ask for; subgroup_size where there is no choice */
    bool timestamps; double timestamp_ns;
    bool unified;                    /* device-local memory is host-visible */
    bool pair_stores;                /* shaders store vec4 as pairs of 64-bit integers, which this device enables: where measured faster, on a processor */
    bool fp16_storage, fp16_arithmetic; /* enabled where the device has them */
    bool cooperative_matrix;         /* the device offers VK_KHR_cooperative_matrix */
    uint32_t matrix_m, matrix_n, matrix_k; /* of one that multiplies fp16 by fp16 and sums in fp32, for the core of gemm_core_coop.glsl; 0: none
                                              that fits it, or none of its shaders were built */
    tlvk__winograd winograd;         /* set by tests and options; by shape unless told */
    const struct tlvk__choices *choices; /* measured kernel choices that hold (ops/choice.h), borrowed; NULL: the static tables alone */
    int forced_choice;               /* tests: every kernel that has candidates runs as number forced_choice - 1 of them, counted round; 0: not so */
} tlvk__caps;
/* The device reads operands through RGBA32F texel buffers of any binding's size (shaders/buffers.glsl). */
bool tlvk__texel_operands(const tlvk__caps *caps);

/* Subgroups in a workgroup of the kernels that count on them; the wide tile of cooperative matrices has twice as many. */
enum { TLVK__GROUP_SUBGROUPS = 4 };

/* The device is a driver on the processor itself (llvmpipe, SwiftShader): it has caches instead of memory of its own, and few units. */
static inline bool tlvk__on_processor(const tlvk__caps *caps) { return strcmp(caps->type, "cpu") == 0; }

typedef struct tlvk__device tlvk__device;

typedef struct tlvk__device_desc {
    const char *choose;        /* index or part of a name; NULL: environment TLVK_DEVICE, else the best */
    const char *cache_folder;  /* for pipelines; NULL or "": none */
    uint64_t memory_limit;
    bool inspect;              /* tests: the device compiles and keeps its compiler's statistics, and has no memory and runs nothing, as a dry one */
    bool floor;                /* make the device with Vulkan 1.1 alone: no extension, no optional feature (tests) */
    int forced_choice;         /* tests: as in tlvk__caps */
    const tlvk__caps *limit;   /* tests: the device is taken as no better than these caps (see tlvk__caps_limit); NULL: as it is */
    bool validation;           /* enable VK_LAYER_KHRONOS_validation with synchronization validation where installed; messages counted (tests) */
    void (*log)(tlvk_log_level level, const char *text, void *user); void *log_user;
} tlvk__device_desc;

tlvk_status tlvk__devices_list(const char *choose, tlvk_device_info *infos, size_t capacity, size_t *count);
tlvk_status tlvk__device_create(const tlvk__device_desc *desc, tlvk__device **out);
tlvk_status tlvk__device_dry(const tlvk__caps *caps, tlvk__device **out); /* records only; caps NULL: a fixed, modest device (tlvk__caps_fixed) */
void tlvk__caps_fixed(tlvk__caps *caps);
/* Makes `caps` no better than `limit`: sizes and counts no larger, alignments no smaller, a feature only where both have it. What says which
 * device it is (names, identifiers, versions, timestamp_ns, unified) stays, and so does a subgroup size that the limit does not make 0. */
void tlvk__caps_limit(tlvk__caps *caps, const tlvk__caps *limit);
void tlvk__device_destroy(tlvk__device *d); /* NULL taken; saves the pipeline cache; every buffer and recording must be gone */
const tlvk__caps *tlvk__device_caps(const tlvk__device *d);
/* From here on the device's caps have these choices; returns those before. What is recorded must go by the choices that it was planned with. */
const struct tlvk__choices *tlvk__device_choose(tlvk__device *d, const struct tlvk__choices *choices);
int tlvk__device_validation_messages(const tlvk__device *d); /* how many the validation layer gave; -1: not enabled */
const char *tlvk__device_validation_text(const tlvk__device *d); /* the first ones, for the test's report */
void tlvk__device_validation_clear(tlvk__device *d);             /* forgets them, count and text */
void tlvk__device_memory_use(const tlvk__device *d, uint64_t *now_bytes, uint64_t *peak_bytes);
/* Seconds within recordings and between them, from the first recording's beginning to the end of the last that was waited for, by the device's own
 * timestamps: the host's delays count as idle only where the device had nothing to do meanwhile. Both 0 before any work; false, and NaN in both, on
 * a device without timestamps. */
bool tlvk__device_use(const tlvk__device *d, double *busy_seconds, double *idle_seconds);

void tlvk__device_memory_restart(tlvk__device *d);           /* the peak is counted from what is in use now */
uint64_t tlvk__device_memory_free(const tlvk__device *d);    /* until caps.memory_bytes or, where the system tells it, this program's budget are used up */

/* --- buffers ------------------------------------------------------------------------------------------------------------------ */
typedef enum tlvk__buffer_kind {
    TLVK__BUFFER_DEVICE,   /* device-local; storage, texel and transfer use */
    TLVK__BUFFER_UPLOAD,   /* host-visible, for the host to write and the device to read; mapped; storage use too */
    TLVK__BUFFER_DOWNLOAD  /* host-visible and cached where the device has it, for the host to read; mapped; storage use too */
} tlvk__buffer_kind;
typedef struct tlvk__buffer tlvk__buffer;
typedef struct tlvk__span { tlvk__buffer *buffer; uint64_t offset, bytes; } tlvk__span;

/* bytes <= caps.max_allocation_bytes. `what` names the use in error texts ("activations"). TLVK_ERROR_MEMORY says asked, used and limit. */
bool tlvk__buffer_counts(const tlvk__device *d, tlvk__buffer_kind kind); /* whether buffers of this kind take the device's own memory */
tlvk_status tlvk__buffer_create(tlvk__device *d, tlvk__buffer_kind kind, uint64_t bytes, const char *what, tlvk__buffer **out);
void tlvk__buffer_destroy(tlvk__buffer *b);       /* NULL taken; the device must be done with it */
void *tlvk__buffer_map(tlvk__buffer *b);          /* NULL for DEVICE kind; the pointer is fixed for the buffer's life (dry: plain host memory) */
uint64_t tlvk__buffer_bytes(const tlvk__buffer *b);
tlvk_status tlvk__buffer_flush(tlvk__buffer *b, uint64_t offset, uint64_t bytes);      /* host writes become visible to later submissions */
tlvk_status tlvk__buffer_invalidate(tlvk__buffer *b, uint64_t offset, uint64_t bytes); /* device writes of finished submissions become visible to the host */
#define TLVK__TRANSFER_BYTES (UINT64_C(16) << 20) /* of that staging buffer at most */
/* Blocking transfers through a staging buffer in pieces, any size; for set-up, tests and saving, not for the training loop. */
tlvk_status tlvk__span_write(tlvk__device *d, tlvk__span to, const void *from);
tlvk_status tlvk__span_read(tlvk__device *d, tlvk__span from, void *to);

/* --- recording ------------------------------------------------------------------------------------------------------------------
 * A recorder turns a sequence of dispatches, fills and copies into a recording that can be submitted any number of times.
 * Hazards are tracked by byte range: a barrier stands only where a range is read after a write, or written after a read or write,
 * since the last barrier. The sequence is cut into command buffers by estimated work, and again by what its runs take; order and barriers hold across cuts. */
typedef struct tlvk__recorder tlvk__recorder;
typedef struct tlvk__recording tlvk__recording;

typedef enum tlvk__access { TLVK__READ = 1, TLVK__WRITE = 2, TLVK__READ_WRITE = 3 } tlvk__access;
typedef struct tlvk__binding {
    tlvk__span span;      /* offset aligned to caps.storage_align (texel: texel_align), bytes <= max_binding_bytes (texel: max_texels elements) */
    tlvk__access access;  /* must say WRITE where the shader's code stores to the binding, also if a constant turns the store off */
    bool half;            /* elements of four fp16 in 8 bytes, not of four fp32 in 16: a texel buffer is viewed so, and of the shader that stores to
                             it the form <shader>_half is recorded (cmake/shaders.cmake); of any other storage buffer an error */
} tlvk__binding;          /* binding i of the shader is entry i; storage buffer or uniform texel buffer as the shader's SPIR-V says */
typedef struct tlvk__spec { const char *name; uint32_t value; } tlvk__spec; /* specialization constant by its GLSL name; float constants: bits.
                                                                    A local_size_*_id without a named constant goes by local_size_x, _y, _z. */

#define TLVK__MAX_BINDINGS 12
#define TLVK__MAX_SPECS 20
typedef struct tlvk__dispatch {
    const char *shader;                    /* base name of the .comp file; unknown: TLVK_ERROR_INTERNAL */
    tlvk__spec specs[TLVK__MAX_SPECS];     /* ends at name NULL; a name the shader lacks, or a workgroup size left out, is an error;
                                              any other constant left out has its value in the GLSL */
    tlvk__binding bindings[TLVK__MAX_BINDINGS]; int binding_count;
    const void *push; uint32_t push_bytes; /* at most 128; size checked against the SPIR-V by reflection */
    uint64_t groups[3];                    /* 0 counts as 1. x may exceed max_groups[0]: the recorder folds x into (x, z) with z = groups to the next;
                                              shaders that may be launched so use tlvk_group_x() of shaders/common.glsl; groups[2] must be 0 or 1 then */
    uint32_t required_subgroup_size;       /* 0: any; else asked through subgroup size control where the device has it */
    double flops, bytes;                   /* estimated work, for cutting and the trace */
    const char *operation, *layer;         /* for the list and the trace: "conv2d", "block1_conv1"; copied */
} tlvk__dispatch;

typedef struct tlvk__recorder_desc {
    bool timestamps;          /* a time per entry: one query pair each. Where the device has no timestamps each entry is a submission of its own that the
                                 host waits for and times, the wait included. Costs nothing when off. */
    double cut_ms;            /* aim of one submission's length, whatever the first guess was of the device's speed; 0: 100 */
    int skip_barrier;         /* tests: leave out the k-th barrier (1-based); 0: none */
    bool single_submission;   /* tests: no cuts */
} tlvk__recorder_desc;
tlvk_status tlvk__recorder_create(tlvk__device *d, const tlvk__recorder_desc *desc, tlvk__recorder **out); /* desc NULL: zeros */
void tlvk__recorder_destroy(tlvk__recorder *r); /* drops an unfinished one; NULL taken */
/* The first failing call is remembered: later calls do nothing and tlvk__recorder_finish returns it. They return the status too. */
tlvk_status tlvk__record_dispatch(tlvk__recorder *r, const tlvk__dispatch *dispatch);
tlvk_status tlvk__record_fill(tlvk__recorder *r, tlvk__span to, uint32_t word);     /* offset and bytes multiples of 4 */
tlvk_status tlvk__record_copy(tlvk__recorder *r, tlvk__span from, tlvk__span to);
tlvk__device *tlvk__recorder_device(tlvk__recorder *r);
/* What the entries recorded from now on belong to, for tables of times: a phase ("forward") and a layer's path. Copied; NULL: none. */
tlvk_status tlvk__recorder_scope(tlvk__recorder *r, const char *phase, const char *layer);
tlvk_status tlvk__recorder_finish(tlvk__recorder *r, tlvk__recording **out);        /* the recorder is gone either way */

void tlvk__recording_destroy(tlvk__recording *rec); /* waits if it is running; NULL taken */
/* Starts the recording after all work submitted before on this device, whose writes it sees. A recording in flight is not submitted again. */
tlvk_status tlvk__recording_submit(tlvk__recording *rec);
tlvk_status tlvk__recording_wait(tlvk__recording *rec); /* until its last submission is done; TLVK_ERROR_DEVICE_LOST says what ran */
bool tlvk__recording_done(tlvk__recording *rec); /* a wait would not have to wait; false too where the driver does not say */
tlvk_status tlvk__recording_run(tlvk__recording *rec);  /* submit and wait */

typedef struct tlvk__recorded {
    const char *shader, *operation, *layer; uint64_t groups[3]; double flops, bytes, ms; bool barrier_before; int submission;
    const char *phase, *phase_layer; /* tlvk__recorder_scope; "": none */
} tlvk__recorded;
int tlvk__recording_count(const tlvk__recording *rec); /* dispatches, fills and copies, in order; fills and copies have shader "fill", "copy" */
int tlvk__recording_barriers(const tlvk__recording *rec);
int tlvk__recording_submissions(const tlvk__recording *rec);
/* Duration of the last run, after a wait: by the device's timestamps, else by the host's clock from the submission on; 0: not measured. */
double tlvk__recording_ms(const tlvk__recording *rec);
/* ms is valid after a wait on a recording made with timestamps; else 0. */
tlvk_status tlvk__recording_entry(tlvk__recording *rec, int index, tlvk__recorded *entry);
/* Range number `binding` of an entry and how it is accessed (of a copy: 0 from, 1 to); false past the last. The span's buffer is NULL where the
 * shader has no such binding. */
bool tlvk__recording_binding(const tlvk__recording *rec, int index, int binding, tlvk__binding *out);

/* --- what the compiler made (vk/inspect.c) ------------------------------------------------------------------------------------- */
typedef struct tlvk__statistic { char name[64]; double value; } tlvk__statistic; /* as the driver calls it */
typedef struct tlvk__executable {
    const char *shader; tlvk__spec specs[TLVK__MAX_SPECS]; /* as they were told; ends at name NULL */
    uint32_t required_subgroup_size;
    const char *name;                   /* of the executable, by the driver; NULL where the driver tells nothing */
    uint32_t subgroup_size;             /* that it was compiled for */
    const tlvk__statistic *statistics; int statistic_count;
} tlvk__executable;
/* Tells every executable of every pipeline that the device compiled so far, in no order; everything in `e` lives until `each` returns. Statistics are there on a
 * device that was made with `inspect`, by a driver that has VK_KHR_pipeline_executable_properties; elsewhere a pipeline is one executable without any. */
tlvk_status tlvk__device_executables(tlvk__device *d, void (*each)(const tlvk__executable *e, void *user), void *user);

/* Description of one embedded shader, by reflection of its SPIR-V (vk/reflect.c). */
typedef struct tlvk__shader_source { const char *name; const uint32_t *words; size_t word_count; } tlvk__shader_source;
extern const tlvk__shader_source tlvk__shaders[]; /* made by the build; ends at name NULL */

#endif
