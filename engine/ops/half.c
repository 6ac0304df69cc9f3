/* half.c - fp16 on the host: from float and back, the same bits as shaders/buffers.glsl makes.
 * Format: IEEE 754-2008, binary16: a sign, five bits of exponent biased by 15, ten of fraction. */
#include "ops/tensor.h"

#include <stdlib.h>
#include <string.h>

enum { INFINITE = 0x7F800000, LARGEST = 0x477FE000 /* 65504 */, LEAST_NORMAL = 0x38800000 /* 2^-14 */, REBIAS = 0x38000000, NO_NUMBER = 0x7E00 };

uint16_t tlvk__half_of(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000u, size = bits & 0x7FFFFFFFu, half;
    if (size > INFINITE)
        return (uint16_t)(sign | NO_NUMBER);
    size = TLVK__MIN(size, (uint32_t)LARGEST);
    if (size >= LEAST_NORMAL) {
        half = (size - REBIAS + 0xFFFu + (size >> 13 & 1u)) >> 13;
    } else { /* a multiple of 2^-24, which is what the sum's fraction counts */
        float small;
        memcpy(&small, &size, sizeof small);
        small += 0.5f;
        memcpy(&half, &small, sizeof half);
        half -= 0x3F000000u;
    }
    return (uint16_t)(sign | half);
}

float tlvk__float_of_half(uint16_t h) {
    uint32_t fraction = h & 0x3FFu, exponent = h >> 10 & 0x1Fu, sign = (uint32_t)(h & 0x8000u) << 16, bits;
    float v;
    if (exponent == 0) {
        v = (float)fraction * 0x1p-24f;
        memcpy(&bits, &v, sizeof bits);
        bits |= sign;
    } else {
        bits = sign | (exponent == 31 ? (uint32_t)INFINITE : (exponent + 112) << 23) | fraction << 13;
    }
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* --- transfers ---------------------------------------------------------------------------------------------------------------------------- */

enum { AT_ONCE = 1 << 20 }; /* numbers, between the host's floats and what lies on the device */

/* `count` numbers, some at a time through room of their own. */
static tlvk_status convert(tlvk__device *d, tlvk__span span, uint64_t count, const float *from, float *to) {
    uint16_t *room = tlvk__calloc(TLVK__MIN(count, (uint64_t)AT_ONCE), sizeof *room);
    tlvk_status s = room ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory to convert %llu numbers of fp16", (unsigned long long)count);
    for (uint64_t at = 0; !s && at < count; at += AT_ONCE) {
        uint64_t now = TLVK__MIN(count - at, (uint64_t)AT_ONCE);
        tlvk__span part = {span.buffer, span.offset + at * sizeof *room, now * sizeof *room};
        for (uint64_t i = 0; from && i < now; i++)
            room[i] = tlvk__half_of(from[at + i]);
        s = from ? tlvk__span_write(d, part, room) : tlvk__span_read(d, part, room);
        for (uint64_t i = 0; !s && to && i < now; i++)
            to[at + i] = tlvk__float_of_half(room[i]);
    }
    free(room);
    return s;
}

tlvk_status tlvk__half_write(tlvk__device *d, tlvk__span span, uint64_t count, const float *from) { return convert(d, span, count, from, NULL); }

tlvk_status tlvk__half_read(tlvk__device *d, tlvk__span span, uint64_t count, float *to) { return convert(d, span, count, NULL, to); }
