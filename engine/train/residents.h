/* residents.h - the variables of one session in device memory.
 *
 * Hides: trained variables lie in chunks beside their gradients and optimizer slots (optimizer.h); all others, moving statistics among them,
 * lie in a pool. A variable larger than a chunk is cut into segments of whole rows. */
#ifndef TLVK_RESIDENTS_H
#define TLVK_RESIDENTS_H

#include "train/pool.h"
#include "plan/plan.h"

typedef struct tlvk__resident {
    tlvk__variable *variable;      /* counted */
    const char *layer;
    bool trained;                  /* has a gradient and is updated */
    bool moving;                   /* changes on the device: trained, or statistics of a trained BatchNormalization */
    tlvk__tensor w, dw;
    tlvk__span *w_segments, *dw_segments;
    int *chunk; uint64_t *chunk_offset; /* per segment: which chunk, byte offset in it */
    uint64_t version;              /* of the host values last written */
} tlvk__resident;

typedef struct tlvk__residents {
    tlvk__device *device;
    tlvk__resident *list; int count; size_t capacity;
    int trained_count;             /* in list order: tlvk__residents_trained */
    tlvk__pool pool;
    tlvk__chunk *chunks; tlvk__buffer *(*buffers)[6]; /* per chunk: w, dw, slots[3], table */
    int chunk_count;
    uint64_t *chunk_bytes;
    int slots;
    uint64_t largest;              /* bytes of the largest segment of a variable */
    bool regularized;
} tlvk__residents;

/* layer: its path, for texts; borrowed. Not read for a variable that was added before. */
tlvk_status tlvk__residents_add(tlvk__residents *r, const char *layer, tlvk__variable *v, bool trained, bool moving);
/* Decides where everything added will lie; nothing is allocated. Afterwards chunks have their sizes. */
tlvk_status tlvk__residents_lay_out(tlvk__residents *r, const tlvk_optimizer *optimizer);
void tlvk__residents_bytes(const tlvk__residents *r, uint64_t *weights, uint64_t *gradients, uint64_t *state);
/* Allocates what was laid out, zeroes gradients and slots, fills the block tables, uploads all values. */
tlvk_status tlvk__residents_allocate(tlvk__residents *r, const tlvk_optimizer *optimizer);
void tlvk__residents_release(tlvk__residents *r); /* back to what was laid out, also from the midst of allocating */
tlvk_status tlvk__residents_upload(tlvk__residents *r, bool everything); /* false: the moving ones and those that changed on the host */
tlvk_status tlvk__residents_read(tlvk__residents *r);                    /* the moving ones -> host */
tlvk__resident *tlvk__residents_find(const tlvk__residents *r, const tlvk__variable *v);
tlvk__resident *tlvk__residents_trained(const tlvk__residents *r, int index);
/* Dense values of a trained variable's gradient (slot -1) or slot. */
tlvk_status tlvk__residents_get(tlvk__residents *r, tlvk__resident *v, int slot, float *dense);
tlvk_status tlvk__residents_put(tlvk__residents *r, tlvk__resident *v, int slot, const float *dense);
void tlvk__residents_free(tlvk__residents *r);

#endif
