/* numpy_random.c - hides the Mersenne Twister and NumPy's way from its words to a shuffle.
 *
 * MT19937: M. Matsumoto, T. Nishimura, "Mersenne Twister: a 623-dimensionally equidistributed uniform pseudorandom number generator",
 * ACM TOMACS 8 (1998), with the 2002 initialization by one 32-bit word, which RandomState(int) uses.
 * The shuffle goes down from the last item and draws each partner by masking and rejection (NumPy's random_interval). */
#include "data/numpy_random.h"

#define STATE_WORDS 624
#define MIDDLE_WORD 397

typedef struct mt19937 {
    uint32_t word[STATE_WORDS];
    int used;
} mt19937;

static void mt_seed(mt19937 *mt, uint32_t seed) {
    mt->word[0] = seed;
    for (uint32_t i = 1; i < STATE_WORDS; i++) {
        uint32_t before = mt->word[i - 1];
        mt->word[i] = 1812433253u * (before ^ (before >> 30)) + i;
    }
    mt->used = STATE_WORDS;
}

static void mt_refill(mt19937 *mt) {
    for (int i = 0; i < STATE_WORDS; i++) {
        uint32_t y = (mt->word[i] & 0x80000000u) | (mt->word[(i + 1) % STATE_WORDS] & 0x7fffffffu);
        mt->word[i] = mt->word[(i + MIDDLE_WORD) % STATE_WORDS] ^ (y >> 1) ^ ((y & 1u) ? 0x9908b0dfu : 0u);
    }
    mt->used = 0;
}

static uint32_t mt_next(mt19937 *mt) {
    if (mt->used == STATE_WORDS) {
        mt_refill(mt);
    }
    uint32_t y = mt->word[mt->used++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* A number in 0 .. max: the smallest mask of ones that covers max, words drawn until one fits. Above 32 bits the upper word is drawn first. */
static uint64_t mt_interval(mt19937 *mt, uint64_t max) {
    uint64_t mask = max;
    for (int shift = 1; shift <= 32; shift *= 2) {
        mask |= mask >> shift;
    }
    for (;;) {
        uint64_t value = mt_next(mt);
        if (max > UINT32_MAX) {
            value = value << 32 | mt_next(mt);
        }
        if ((value & mask) <= max) {
            return value & mask;
        }
    }
}

void tlvk__numpy_shuffle(uint32_t seed, int64_t *items, int64_t count) {
    mt19937 mt;
    mt_seed(&mt, seed);
    for (int64_t i = count - 1; i >= 1; i--) {
        int64_t j = (int64_t)mt_interval(&mt, (uint64_t)i);
        int64_t kept = items[i];
        items[i] = items[j];
        items[j] = kept;
    }
}
