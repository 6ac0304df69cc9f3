/* context.h - the inside of a tlvk_context: what every room may ask of it.
 *
 * Hides: reference counting (models, layers and datasets keep their context alive), publishing of error text per thread, and the slots in
 * which other rooms keep what belongs to a context (the device, the graph's nodes) without core knowing their types. */
#ifndef TLVK_CONTEXT_H
#define TLVK_CONTEXT_H

#include "core/core.h"

typedef enum tlvk__slot { TLVK__SLOT_GRAPH, TLVK__SLOT_CHOICES, TLVK__SLOT_DEVICE, TLVK__SLOT_COUNT } tlvk__slot; /* destroyed in this order */

tlvk_context *tlvk__context_retain(tlvk_context *ctx);
void tlvk__context_release(tlvk_context *ctx); /* frees with the last reference */

/* Publishes the pending fail text as this thread's last error of `ctx` (may be NULL) and returns `status`; TLVK_OK passes through untouched.
 * Every public function ends with `return tlvk__context_fail(ctx, status);`. */
tlvk_status tlvk__context_fail(const tlvk_context *ctx, tlvk_status status);

int tlvk__context_workers(const tlvk_context *ctx);           /* threads for decoding, at least 1; ctx may be NULL */
const tlvk_context_desc *tlvk__context_desc(const tlvk_context *ctx);
const char *tlvk__context_cache_folder(const tlvk_context *ctx); /* "" : none */
bool tlvk__context_cancelled(const tlvk_context *ctx);
/* What a cancellable call begins with; leaves the flag alone while a fit runs, for a call from its callback must not swallow what is meant for the fit. */
void tlvk__context_clear_cancel(tlvk_context *ctx);
/* Around each fit, which may begin another in its callback; the outermost clears the flag. */
void tlvk__context_begin_fit(tlvk_context *ctx);
void tlvk__context_end_fit(tlvk_context *ctx);
void tlvk__context_log(const tlvk_context *ctx, tlvk_log_level level, const char *format, ...) TLVK__PRINTF(3, 4);

uint64_t tlvk__context_seed(const tlvk_context *ctx);          /* of tlvk_set_random_seed */
uint64_t tlvk__context_next_stream(tlvk_context *ctx);         /* a new random stream number; counts from 0 after tlvk_set_random_seed */
uint64_t tlvk__context_next_id(tlvk_context *ctx);             /* never repeats within the process */

void *tlvk__context_get(const tlvk_context *ctx, tlvk__slot slot);
void tlvk__context_put(tlvk_context *ctx, tlvk__slot slot, void *object, void (*destroy)(void *object));

#endif
