/* context.c - see context.h. The last error is kept per thread and context in a small ring: a thread that works with more contexts than the
 * ring holds loses the oldest text, never the newest. */
#include "core/context.h"
#include "core/platform.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_RING 8
#define ERROR_BYTES 1024

struct tlvk_context {
    atomic_int references;
    atomic_bool cancelled;
    int fits; /* that run now, one within the callback of another */
    tlvk_context_desc desc;
    char *device_name;
    char *cache_folder;
    int workers;
    uint64_t seed, streams;
    struct { void *object; void (*destroy)(void *object); } slots[TLVK__SLOT_COUNT];
};

typedef struct published_error {
    const tlvk_context *ctx;
    char text[ERROR_BYTES];
} published_error;

static _Thread_local published_error error_ring[ERROR_RING];
static _Thread_local unsigned error_next;
static atomic_uint_fast64_t next_id = 1;

static published_error *find_error(const tlvk_context *ctx) {
    for (unsigned i = 0; i < ERROR_RING; i++) {
        if (error_ring[i].ctx == ctx && error_ring[i].text[0]) return &error_ring[i];
    }
    return NULL;
}

tlvk_status tlvk__context_fail(const tlvk_context *ctx, tlvk_status status) {
    tlvk__fail_note(status != TLVK_OK);
    if (status == TLVK_OK) return status;
    published_error *e = find_error(ctx);
    if (!e) e = &error_ring[error_next++ % ERROR_RING];
    e->ctx = ctx;
    const char *text = tlvk__fail_text();
    snprintf(e->text, sizeof e->text, "%s", text[0] ? text : tlvk_status_name(status));
    return status;
}

const char *tlvk_last_error(const tlvk_context *ctx) {
    published_error *e = find_error(ctx);
    return e ? e->text : "";
}

tlvk_status tlvk_context_create(const tlvk_context_desc *desc, tlvk_context **out) {
    if (!out) return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_context_create: no place for the context (out is NULL)"));
    *out = NULL;
    tlvk_context *ctx = tlvk__calloc(1, sizeof *ctx);
    if (!ctx) return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_MEMORY, "tlvk_context_create: no memory"));
    if (desc) ctx->desc = *desc;
    if (ctx->desc.log_level == 0) ctx->desc.log_level = TLVK_LOG_WARNING;
    ctx->references = 1;
    ctx->workers = ctx->desc.worker_threads > 0 ? ctx->desc.worker_threads : tlvk__cpu_count();
    if (ctx->workers < 1) ctx->workers = 1;
    if (desc && desc->device) ctx->device_name = tlvk__strdup(desc->device);
    ctx->cache_folder = desc && desc->cache_folder ? tlvk__strdup(desc->cache_folder) : tlvk__default_cache_folder();
    if (!ctx->cache_folder) ctx->cache_folder = tlvk__strdup("");
    if ((desc && desc->device && !ctx->device_name) || !ctx->cache_folder) {
        tlvk_context_destroy(ctx);
        return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_MEMORY, "tlvk_context_create: no memory"));
    }
    ctx->desc.device = ctx->device_name;
    ctx->desc.cache_folder = ctx->cache_folder;
    *out = ctx;
    return TLVK_OK;
}

tlvk_context *tlvk__context_retain(tlvk_context *ctx) {
    if (ctx) atomic_fetch_add(&ctx->references, 1);
    return ctx;
}

void tlvk__context_release(tlvk_context *ctx) {
    if (!ctx || atomic_fetch_sub(&ctx->references, 1) != 1) return;
    for (int i = 0; i < TLVK__SLOT_COUNT; i++) tlvk__context_put(ctx, (tlvk__slot)i, NULL, NULL);
    published_error *e = find_error(ctx);
    if (e) memset(e, 0, sizeof *e);
    free(ctx->device_name);
    free(ctx->cache_folder);
    free(ctx);
}

void tlvk_context_destroy(tlvk_context *ctx) { tlvk__context_release(ctx); }

void tlvk_cancel(tlvk_context *ctx) {
    if (ctx) atomic_store(&ctx->cancelled, true);
}

bool tlvk__context_cancelled(const tlvk_context *ctx) { return ctx && atomic_load(&ctx->cancelled); }
void tlvk__context_clear_cancel(tlvk_context *ctx) {
    if (ctx->fits == 0) atomic_store(&ctx->cancelled, false);
}
void tlvk__context_begin_fit(tlvk_context *ctx) {
    tlvk__context_clear_cancel(ctx);
    ctx->fits++;
}
void tlvk__context_end_fit(tlvk_context *ctx) { ctx->fits--; }
int tlvk__context_workers(const tlvk_context *ctx) { return ctx ? ctx->workers : 1; }
const tlvk_context_desc *tlvk__context_desc(const tlvk_context *ctx) { return &ctx->desc; }
const char *tlvk__context_cache_folder(const tlvk_context *ctx) { return ctx->cache_folder; }

void tlvk__context_log(const tlvk_context *ctx, tlvk_log_level level, const char *format, ...) {
    if (!ctx || !ctx->desc.log || level > ctx->desc.log_level) return;
    char text[ERROR_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ctx->desc.log(level, text, ctx->desc.log_user);
}

void tlvk_set_random_seed(tlvk_context *ctx, uint64_t seed) {
    if (!ctx) return;
    ctx->seed = seed;
    ctx->streams = 0;
}

uint64_t tlvk__context_seed(const tlvk_context *ctx) { return ctx->seed; }
uint64_t tlvk__context_next_stream(tlvk_context *ctx) { return ctx->streams++; }

uint64_t tlvk__context_next_id(tlvk_context *ctx) {
    (void)ctx;
    return atomic_fetch_add(&next_id, 1);
}

void *tlvk__context_get(const tlvk_context *ctx, tlvk__slot slot) { return ctx->slots[slot].object; }

void tlvk__context_put(tlvk_context *ctx, tlvk__slot slot, void *object, void (*destroy)(void *object)) {
    void *old = ctx->slots[slot].object;
    void (*destroy_old)(void *) = ctx->slots[slot].destroy;
    ctx->slots[slot].object = object;
    ctx->slots[slot].destroy = destroy;
    if (old && destroy_old) destroy_old(old);
}
