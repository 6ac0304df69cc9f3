/* digest.h - MD5 and SHA-256 of files, to tell whether a fetched file is the one that was published.
 * Hides: both algorithms. MD5 (RFC 1321) is what most official files are published with; it finds damage, and no longer stops somebody who
 * makes a clash on purpose. SHA-256 is FIPS 180-4. */
#ifndef TLVK_DIGEST_H
#define TLVK_DIGEST_H

#include "core/core.h"

typedef enum tlvk__digest_kind { TLVK__DIGEST_MD5, TLVK__DIGEST_SHA256 } tlvk__digest_kind;

#define TLVK__DIGEST_HEX 65 /* bytes of the longest text, its zero included */

typedef struct tlvk__digest {
    tlvk__digest_kind kind;
    uint32_t state[8];      /* MD5: the first four */
    uint8_t block[64];
    uint64_t bytes;         /* taken so far */
} tlvk__digest;

void tlvk__digest_init(tlvk__digest *d, tlvk__digest_kind kind);
void tlvk__digest_add(tlvk__digest *d, const void *bytes, size_t size); /* any pieces give the same as the whole */
void tlvk__digest_hex(tlvk__digest *d, char out[TLVK__DIGEST_HEX]);     /* lower case; `d` is used up */

#endif
