/* context.h - what the rooms below engine/train may know of a context.
 * Hides: the context itself, which belongs to engine/train and the device. */
#ifndef TLVK_CONTEXT_H
#define TLVK_CONTEXT_H

#include "core/core.h"

/* Threads that decode pictures, at least 1. `ctx` NULL: one per processor. */
int tlvk__context_workers(const tlvk_context *ctx);

/* Publishes this thread's pending tlvk__fail text as the last error of `ctx` (NULL: of calls without a context) and returns `status`.
 * Called once, where a public function returns. */
tlvk_status tlvk__context_fail(const tlvk_context *ctx, tlvk_status status);

#endif
