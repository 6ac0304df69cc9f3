/* hash.c - the 128-bit content hash. Hides: the mixing.
 * After MurmurHash3's x64 128-bit variant (Austin Appleby, 2011, public domain design): its constants, rotations and finalizer,
 * with the two lanes carried from piece to piece. */
#include "core/core.h"

#include <stdio.h>

#define C1 0x87C37B91114253D5u
#define C2 0x4CF5AD432745937Fu

static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }

static uint64_t finish(uint64_t k) {
    k ^= k >> 33;
    k *= 0xFF51AFD7ED558CCDu;
    k ^= k >> 33;
    k *= 0xC4CEB9FE1A85EC53u;
    k ^= k >> 33;
    return k;
}

/* `count` bytes at p, 0 to 8, little-endian. */
static uint64_t load(const unsigned char *p, size_t count) {
    uint64_t v = 0;
    for (size_t i = 0; i < count; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

void tlvk__hash_init(tlvk__hash *h) { *h = (tlvk__hash){{0x746C766B00000001u, 0x9E3779B97F4A7C15u}}; }

void tlvk__hash_add(tlvk__hash *h, const void *bytes, size_t size) {
    const unsigned char *p = bytes;
    uint64_t h1 = h->h[0], h2 = h->h[1];
    for (size_t left = size; left > 0;) {
        size_t low = TLVK__MIN(left, 8), high = TLVK__MIN(left - low, 8);
        h1 ^= rotate(load(p, low) * C1, 31) * C2;
        h1 = (rotate(h1, 27) + h2) * 5 + 0x52DCE729u;
        h2 ^= rotate(load(p + low, high) * C2, 33) * C1;
        h2 = (rotate(h2, 31) + h1) * 5 + 0x38495AB5u;
        p += low + high;
        left -= low + high;
    }
    h1 ^= size;
    h2 ^= size;
    h1 += h2;
    h2 += h1;
    h1 = finish(h1);
    h2 = finish(h2);
    h1 += h2;
    h2 += h1;
    *h = (tlvk__hash){{h1, h2}};
}

void tlvk__hash_hex(const tlvk__hash *h, char out[33]) {
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)h->h[0], (unsigned long long)h->h[1]);
}
