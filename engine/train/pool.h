/* pool.h - many small device regions out of few allocations. Nothing is given back before the pool goes. */
#ifndef TLVK_POOL_H
#define TLVK_POOL_H

#include "vk/vk.h"

typedef struct tlvk__pool {
    tlvk__device *device; const char *what;
    tlvk__buffer **buffers; size_t count, capacity;
    uint64_t used, room;
    uint64_t expected;   /* bytes that will still be asked for, as far as is known: they get buffers of just that size */
} tlvk__pool;
uint64_t tlvk__pool_round(uint64_t bytes);              /* what a region of so many bytes takes */
uint64_t tlvk__pool_bytes(const tlvk__pool *pool);      /* of all buffers */
tlvk_status tlvk__pool_take(tlvk__pool *pool, uint64_t bytes, tlvk__span *out); /* offset a multiple of 256; bytes at most max_allocation_bytes */
void tlvk__pool_free(tlvk__pool *pool);

#endif
