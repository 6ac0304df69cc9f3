/* numpy_random.h - NumPy's legacy shuffle, which decides the order of Keras's file lists. Private to engine/data. */
#ifndef TLVK_NUMPY_RANDOM_H
#define TLVK_NUMPY_RANDOM_H

#include <stdint.h>

/* numpy.random.RandomState(seed).shuffle(items), for any items by their positions: permutes the `count` numbers in place. */
void tlvk__numpy_shuffle(uint32_t seed, int64_t *items, int64_t count);

#endif
