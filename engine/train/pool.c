/* pool.c - see pool.h: a bump allocator. A buffer is as large as what is expected; without that as all before it together, within 1 MiB and 64 MiB, or as large as what is asked
 * where that is more or the device has no room for more. */
#include "train/pool.h"

#include <stdlib.h>
#include <string.h>

#define SMALLEST_BUFFER (UINT64_C(1) << 20)
#define LARGEST_BUFFER (UINT64_C(64) << 20)
#define POOL_ALIGN 256u

uint64_t tlvk__pool_round(uint64_t bytes) { return tlvk__round_up(TLVK__MAX(bytes, (uint64_t)1), POOL_ALIGN); }

uint64_t tlvk__pool_bytes(const tlvk__pool *pool) {
    uint64_t sum = 0;
    for (size_t i = 0; i < pool->count; i++) sum += tlvk__buffer_bytes(pool->buffers[i]);
    return sum;
}

static uint64_t room_for(const tlvk__pool *pool, uint64_t bytes) {
    uint64_t limit = tlvk__device_caps(pool->device)->max_allocation_bytes;
    if (pool->expected >= bytes) return TLVK__MIN(pool->expected, limit / POOL_ALIGN * POOL_ALIGN);
    return TLVK__MAX(bytes, TLVK__MIN(SMALLEST_BUFFER + tlvk__pool_bytes(pool), TLVK__MIN(limit, LARGEST_BUFFER)));
}

tlvk_status tlvk__pool_take(tlvk__pool *pool, uint64_t bytes, tlvk__span *out) {
    bytes = tlvk__pool_round(bytes);
    if (pool->count == 0 || pool->room - pool->used < bytes) {
        tlvk__buffer **grown = tlvk__grow(pool->buffers, &pool->capacity, pool->count + 1, sizeof *pool->buffers);
        if (!grown) return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory", pool->what);
        pool->buffers = grown;
        uint64_t room = room_for(pool, bytes);
        tlvk_status st = tlvk__buffer_create(pool->device, TLVK__BUFFER_DEVICE, room, pool->what, &pool->buffers[pool->count]);
        if (st == TLVK_ERROR_MEMORY && room > bytes) {
            room = bytes;
            st = tlvk__buffer_create(pool->device, TLVK__BUFFER_DEVICE, room, pool->what, &pool->buffers[pool->count]);
        }
        if (st) return st;
        pool->count++;
        pool->room = room;
        pool->used = 0;
    }
    *out = (tlvk__span){ .buffer = pool->buffers[pool->count - 1], .offset = pool->used, .bytes = bytes };
    pool->used += bytes;
    pool->expected -= TLVK__MIN(pool->expected, bytes);
    return TLVK_OK;
}

void tlvk__pool_free(tlvk__pool *pool) {
    for (size_t i = 0; i < pool->count; i++) tlvk__buffer_destroy(pool->buffers[i]);
    free(pool->buffers);
    memset(pool, 0, sizeof *pool);
}
