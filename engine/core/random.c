/* random.c - Philox4x32-10 and a sequential stream over it. Hides: how many words of a block are used up. */
#include "core/core.h"

#include <math.h>

/* Multipliers and key increments (Weyl constants of the golden ratio and of sqrt(3)) from Salmon, Moraes, Dror and Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.4 and table 2. */
#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u
#define PHILOX_ROUNDS 10

tlvk__philox_out tlvk__philox(tlvk__philox_key key, uint64_t counter_lo, uint64_t counter_hi) {
    uint32_t c0 = (uint32_t)counter_lo, c1 = (uint32_t)(counter_lo >> 32), c2 = (uint32_t)counter_hi, c3 = (uint32_t)(counter_hi >> 32);
    uint32_t k0 = key.k[0], k1 = key.k[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0, p1 = (uint64_t)PHILOX_M1 * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    return (tlvk__philox_out){{c0, c1, c2, c3}};
}

void tlvk__rng_seed(tlvk__rng *r, uint64_t seed, uint64_t stream) {
    *r = (tlvk__rng){.key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}}, .stream = stream, .used = 4};
}

uint32_t tlvk__rng_u32(tlvk__rng *r) {
    if (r->used >= 4) {
        r->block = tlvk__philox(r->key, r->counter++, r->stream);
        r->used = 0;
    }
    return r->block.v[r->used++];
}

static uint64_t rng_u64(tlvk__rng *r) {
    uint64_t lo = tlvk__rng_u32(r);
    return lo | (uint64_t)tlvk__rng_u32(r) << 32;
}

uint64_t tlvk__rng_below(tlvk__rng *r, uint64_t n) {
    /* Values under 2^64 mod n would make the low remainders likelier; they are drawn again. */
    uint64_t skip = (0 - n) % n;
    uint64_t v;
    do
        v = rng_u64(r);
    while (v < skip);
    return v % n;
}

double tlvk__rng_uniform(tlvk__rng *r) { return (double)(rng_u64(r) >> 11) * 0x1p-53; }

double tlvk__rng_normal(tlvk__rng *r) {
    /* Box and Muller, "A note on the generation of random normal deviates", 1958; 1 - u keeps the logarithm's argument above zero. */
    double radius = sqrt(-2.0 * log(1.0 - tlvk__rng_uniform(r)));
    return radius * cos(6.283185307179586476925286766559 * tlvk__rng_uniform(r));
}
