/* choice.h - which of its candidates a kernel runs as, where that was measured: the table of one device, and how a kernel asks it.
 *
 * A choice is made per key: the kind of kernel, the pass, and the shape of ONE sample with the attributes; a key has no room for a batch or a row, so
 * that a sample's bits depend on neither. Without a table, and for a key that it lacks, a kernel takes its standard candidate (the static tables of
 * gemm.c, winograd.c and depthwise.c). docs/tuning.md tells who fills tables, where they are kept, and what may depend on what. */
#ifndef TLVK_CHOICE_H
#define TLVK_CHOICE_H

#include "vk/vk.h"

#define TLVK__MOST_CANDIDATES 16

/* What candidates are told apart by; the meaning of a number is its kind's, so that it stays what it was when a list of candidates grows. */
enum tlvk__choice_kind { TLVK__CHOICE_CONV = 1, TLVK__CHOICE_DENSE, TLVK__CHOICE_TRANSPOSED, TLVK__CHOICE_DEPTHWISE,
                        TLVK__CHOICE_MIXED_CONV, TLVK__CHOICE_MIXED_DENSE, TLVK__CHOICE_MIXED_TRANSPOSED /* in mixed precision */, TLVK__CHOICE_KINDS };
enum { TLVK__CHOICE_NUMBERS = 15 };
typedef struct tlvk__choice_key {
    int64_t kind, pass;            /* pass: 0 forward, 1 gradient of the input, 2 of the kernel */
    int64_t n[TLVK__CHOICE_NUMBERS]; /* h, w, oh, ow, kh, kw, stride, stride, dilation, dilation, pad, pad, channels in and out in vec4, multiplier */
} tlvk__choice_key;

typedef struct tlvk__choices tlvk__choices;
tlvk__choices *tlvk__choices_create(void); /* NULL: no memory */
void tlvk__choices_destroy(tlvk__choices *c);
bool tlvk__choices_find(const tlvk__choices *c, const tlvk__choice_key *key, int32_t *value); /* c may be NULL */
tlvk_status tlvk__choices_put(tlvk__choices *c, const tlvk__choice_key *key, int32_t value);  /* in place of what was there */
size_t tlvk__choices_count(const tlvk__choices *c);                                           /* c may be NULL */
bool tlvk__choices_are_before(const tlvk__choices *c, const tlvk__choice_key *key);           /* all keys, in their order; true for an empty table */
void tlvk__choices_at(const tlvk__choices *c, size_t index, tlvk__choice_key *key, int32_t *value); /* in the order of keys */

/* The candidate to run as: caps->forced_choice before caps->choices before candidates[0], the standard one. A value that is no candidate counts as
 * absent, whoever wrote it. 0 < count <= TLVK__MOST_CANDIDATES. */
int32_t tlvk__choice_take(const tlvk__caps *caps, const tlvk__choice_key *key, const int32_t *candidates, int count);

/* "Conv2D forward 56x56x64 3x3 to 56x56x256: winograd", channels rounded up to 4. Returns text. */
char *tlvk__choice_text(const tlvk__choice_key *key, int32_t value, char *text, size_t size);

/* --- what the numbers mean -------------------------------------------------------------------------------------------------------------- */
enum {
    TLVK__CHOICE_WINOGRAD = 1 << 30,
    TLVK__CHOICE_PORTABLE = 1 << 24, /* of a product: core and tile; the shuffle core unless this says otherwise */
    TLVK__CHOICE_LONG_SUMS = 1 << 25, /* of a gradient of the kernel: cut into few parts */
    TLVK__CHOICE_SPLIT = 1 << 26,     /* of a shuffle core: SPLIT of gemm_tile.glsl is 4 */
    TLVK__CHOICE_COOPERATIVE = 1 << 27 /* in mixed precision: cooperative matrices, by tiles of so many rows and vec4 of columns; any other core works in fp32 */
};
static inline int32_t tlvk__choice_of_tile(int tm, int tv, int kc) { return tm << 16 | tv << 8 | kc; }
static inline int tlvk__choice_tm(int32_t value) { return value >> 16 & 0xff; }
static inline int tlvk__choice_tv(int32_t value) { return value >> 8 & 0xff; }
static inline int tlvk__choice_kc(int32_t value) { return value & 0xff; }

/* --- on disk ---------------------------------------------------------------------------------------------------------------------------- */
/* The file of this device, driver and version of the library in `folder`; malloc'd, NULL when memory is short. */
char *tlvk__choices_path(const tlvk__caps *caps, const char *folder);
/* What the file says, which is nothing where it is missing, damaged or another device's; never a failure but for memory. */
tlvk_status tlvk__choices_load(const tlvk__caps *caps, const char *path, tlvk__choices *into);
/* Adds `made` to the file. Where somebody else has stored a key before, theirs stays, and replaces the one in `made`. */
tlvk_status tlvk__choices_store(const tlvk__caps *caps, const char *path, tlvk__choices *made);

/* All entries as bytes and back, for files with a hash of their own. Returns the size; bytes may be NULL. */
size_t tlvk__choices_write(const tlvk__choices *c, unsigned char *bytes);
size_t tlvk__choices_entry_bytes(void);
/* Into an empty table. TLVK_ERROR_FORMAT where `size` is no whole number of entries, a key is none, or keys do not ascend. */
tlvk_status tlvk__choices_read(tlvk__choices *c, const unsigned char *bytes, size_t size);

#endif
