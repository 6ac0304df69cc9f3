/* features.h - outputs of the frozen prefix, kept per picture.
 *
 * Hides: memory first, a file where they do not fit or the user asks for it; the file's records are keyed by the picture's content, its
 * preprocessing and the prefix's weights, so a later run finds them again. A store serves one dataset. */
#ifndef TLVK_FEATURES_H
#define TLVK_FEATURES_H

#include "core/core.h"

typedef struct tlvk__features tlvk__features;
typedef struct tlvk__features_desc {
    int64_t samples;
    const tlvk__shape *shapes; int count; /* of one sample each, dim[0] = 1: the prefix's outputs */
    tlvk_cache policy;                    /* MEMORY or DISK */
    uint64_t memory_bytes;                /* most the store may keep in memory */
    const char *folder;                   /* of the cache; "": a temporary file next to nothing is not possible, memory only */
    tlvk__hash key;                       /* of prefix and preprocessing */
} tlvk__features_desc;
tlvk_status tlvk__features_create(const tlvk__features_desc *desc, tlvk__features **out);
void tlvk__features_destroy(tlvk__features *f);
uint64_t tlvk__features_memory_bytes(const tlvk__features *f); /* of the host's memory; 0 on disk */
int tlvk__features_count(const tlvk__features *f);
int64_t tlvk__features_elements(const tlvk__features *f, int output);
const tlvk__shape *tlvk__features_shape(const tlvk__features *f, int output);
bool tlvk__features_on_disk(const tlvk__features *f);
/* On disk: true when the file already holds this content; the sample needs no computing then. */
bool tlvk__features_lookup(tlvk__features *f, int64_t sample, const tlvk__hash *content);
/* values[output]: dense features of one sample. */
tlvk_status tlvk__features_put(tlvk__features *f, int64_t sample, const tlvk__hash *content, const float *const *values);
bool tlvk__features_has(const tlvk__features *f, int64_t sample);
tlvk_status tlvk__features_get(tlvk__features *f, int64_t sample, float *const *values);

#endif
