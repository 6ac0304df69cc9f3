/* store.h - bytes of pictures that came out of archives, for any worker at any place. Private to engine/data.
 * Hides: where they lie. Up to a quarter of the machine's memory they lie in it; more than that go to a file without a name in the cache folder,
 * which the system removes with the process. Either way memory is bounded: 25,000 photographs of 550 MB take 550 MB where 2.2 GB are a quarter,
 * and a few MB of names elsewhere. Written once, before any worker starts; then only read, without locks. */
#ifndef TLVK_STORE_H
#define TLVK_STORE_H

#include "data/archive.h"

typedef struct tlvk__store tlvk__store;

/* For pictures of `samples` samples with `bytes` bytes in all; up to `memory_bytes` they are kept in memory. */
tlvk_status tlvk__store_create(const tlvk_context *ctx, int64_t samples, uint64_t bytes, uint64_t memory_bytes, tlvk__store **out);
uint64_t tlvk__store_memory_bytes(void); /* a quarter of the machine's memory */
void tlvk__store_destroy(tlvk__store *store); /* takes NULL */
/* Takes the wished pictures out of an archive. */
tlvk_status tlvk__store_fill(const tlvk_context *ctx, tlvk__store *store, const tlvk__archive *archive, tlvk__archive_wish *wishes, size_t count);
/* Why a sample has no bytes; `why` is copied. */
tlvk_status tlvk__store_refuse(tlvk__store *store, int64_t sample, const char *why);

bool tlvk__store_has(const tlvk__store *store, int64_t sample); /* false: the sample is a file of its own; false for store NULL */
/* A copy of the sample's bytes, malloc'd; or why there are none, in words without the path. Any thread. */
tlvk_status tlvk__store_read(const tlvk__store *store, int64_t sample, void **bytes, size_t *size);

#endif
