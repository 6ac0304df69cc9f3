/* digest.c - see digest.h. Hides: the rounds of MD5 and SHA-256. Both work on blocks of 64 bytes and end with the length in bits; MD5 counts
 * bytes of a word from its lower end, SHA-256 from its upper end. */
#include "core/digest.h"

#include <stdio.h>
#include <string.h>

static uint32_t rotate_left(uint32_t x, int by) { return x << by | x >> (32 - by); }
static uint32_t rotate_right(uint32_t x, int by) { return x >> by | x << (32 - by); }

/* floor(2^32 * |sin(i + 1)|), RFC 1321 section 3.4. */
static const uint32_t md5_sines[64] = {
    0xD76AA478, 0xE8C7B756, 0x242070DB, 0xC1BDCEEE, 0xF57C0FAF, 0x4787C62A, 0xA8304613, 0xFD469501,
    0x698098D8, 0x8B44F7AF, 0xFFFF5BB1, 0x895CD7BE, 0x6B901122, 0xFD987193, 0xA679438E, 0x49B40821,
    0xF61E2562, 0xC040B340, 0x265E5A51, 0xE9B6C7AA, 0xD62F105D, 0x02441453, 0xD8A1E681, 0xE7D3FBC8,
    0x21E1CDE6, 0xC33707D6, 0xF4D50D87, 0x455A14ED, 0xA9E3E905, 0xFCEFA3F8, 0x676F02D9, 0x8D2A4C8A,
    0xFFFA3942, 0x8771F681, 0x6D9D6122, 0xFDE5380C, 0xA4BEEA44, 0x4BDECFA9, 0xF6BB4B60, 0xBEBFBC70,
    0x289B7EC6, 0xEAA127FA, 0xD4EF3085, 0x04881D05, 0xD9D4D039, 0xE6DB99E5, 0x1FA27CF8, 0xC4AC5665,
    0xF4292244, 0x432AFF97, 0xAB9423A7, 0xFC93A039, 0x655B59C3, 0x8F0CCC92, 0xFFEFF47D, 0x85845DD1,
    0x6FA87E4F, 0xFE2CE6E0, 0xA3014314, 0x4E0811A1, 0xF7537E82, 0xBD3AF235, 0x2AD7D2BB, 0xEB86D391,
};

static void md5_block(uint32_t state[4], const uint8_t *p) {
    static const int shifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t words[16], a = state[0], b = state[1], c = state[2], d = state[3];
    for (int i = 0; i < 16; i++)
        words[i] = (uint32_t)p[4 * i] | (uint32_t)p[4 * i + 1] << 8 | (uint32_t)p[4 * i + 2] << 16 | (uint32_t)p[4 * i + 3] << 24;
    for (int i = 0; i < 64; i++) {
        int round = i / 16, word = round == 0 ? i : round == 1 ? 5 * i + 1 : round == 2 ? 3 * i + 5 : 7 * i;
        uint32_t mixed = round == 0 ? (b & c) | (~b & d) : round == 1 ? (b & d) | (c & ~d) : round == 2 ? b ^ c ^ d : c ^ (b | ~d);
        uint32_t sum = a + mixed + words[word % 16] + md5_sines[i];
        a = d;
        d = c;
        c = b;
        b += rotate_left(sum, shifts[round][i % 4]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

/* The first 32 bits of the fractions of the cube roots of the first 64 primes, FIPS 180-4 section 4.2.2. */
static const uint32_t sha256_roots[64] = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
    0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
    0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
    0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
    0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
    0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
    0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
    0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
};

static void sha256_block(uint32_t state[8], const uint8_t *p) {
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | (uint32_t)p[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t early = rotate_right(w[i - 15], 7) ^ rotate_right(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t late = rotate_right(w[i - 2], 17) ^ rotate_right(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + early + w[i - 7] + late;
    }
    memcpy(v, state, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t upper = rotate_right(v[4], 6) ^ rotate_right(v[4], 11) ^ rotate_right(v[4], 25), choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t lower = rotate_right(v[0], 2) ^ rotate_right(v[0], 13) ^ rotate_right(v[0], 22);
        uint32_t first = v[7] + upper + choice + sha256_roots[i] + w[i], second = lower + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += first;
        v[0] = first + second;
    }
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

void tlvk__digest_init(tlvk__digest *d, tlvk__digest_kind kind) {
    static const uint32_t md5[8] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476};
    static const uint32_t sha256[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
    *d = (tlvk__digest){.kind = kind};
    memcpy(d->state, kind == TLVK__DIGEST_MD5 ? md5 : sha256, sizeof d->state);
}

static void take_block(tlvk__digest *d, const uint8_t *block) {
    if (d->kind == TLVK__DIGEST_MD5)
        md5_block(d->state, block);
    else
        sha256_block(d->state, block);
}

void tlvk__digest_add(tlvk__digest *d, const void *bytes, size_t size) {
    const uint8_t *p = bytes;
    while (size > 0) {
        size_t held = (size_t)(d->bytes % 64), part = TLVK__MIN(size, 64 - held);
        if (part < 64)
            memcpy(d->block + held, p, part);
        if (held + part == 64)
            take_block(d, part < 64 ? d->block : p);
        d->bytes += part;
        p += part;
        size -= part;
    }
}

void tlvk__digest_hex(tlvk__digest *d, char out[TLVK__DIGEST_HEX]) {
    static const uint8_t end[64] = {0x80};
    bool md5 = d->kind == TLVK__DIGEST_MD5;
    uint64_t bits = d->bytes * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (md5 ? 8 * i : 56 - 8 * i));
    size_t held = (size_t)(d->bytes % 64);
    tlvk__digest_add(d, end, held < 56 ? 56 - held : 120 - held);
    tlvk__digest_add(d, length, sizeof length);
    int count = md5 ? 16 : 32;
    for (int i = 0; i < count; i++) {
        uint32_t word = d->state[i / 4];
        unsigned byte = word >> (md5 ? 8 * (i % 4) : 24 - 8 * (i % 4)) & 0xFF;
        snprintf(out + 2 * i, 3, "%02x", byte);
    }
}
