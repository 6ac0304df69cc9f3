/* check_value.h - one tensor of a check: on the device, in double, and held against what is expected of it (ops/check.c). */
#ifndef TLVK_CHECK_VALUE_H
#define TLVK_CHECK_VALUE_H

#include "ops/elementwise.h"

#define TLVK__NAN_BITS 0x7fc00000u

typedef struct tlvk__value {
    char name[16];
    tlvk__shape shape;
    bool variable;
    tlvk__layout layout;
    tlvk__tensor t;
    tlvk__buffer **buffers;
    tlvk__span *segments;
    size_t dense_count, padded_count;
    double *v, *e;             /* the reference's */
    float *upload, *result, *again; /* padded */
    int pieces;                /* of samples that each add their share to what is there; 0: one */
} tlvk__value;

/* segment_n 0: as few segments as allocations allow. Storage begins behind the start of its buffer so that offsets are at work. */
tlvk_status tlvk__value_create(tlvk__device *d, const char *name, const tlvk__shape *shape, bool variable, tlvk__layout layout, int64_t segment_n,
                               tlvk__value *out);
void tlvk__value_destroy(tlvk__value *a); /* an empty one taken */
void tlvk__value_random(tlvk__value *a, tlvk__rng *rng, double low, double high); /* v: floats, uniform */
void tlvk__value_distinct(tlvk__value *a, tlvk__rng *rng); /* v: all different, the numbers of a fine grid on (-1, 1) in random order */
tlvk_status tlvk__value_set_upload(tlvk__value *a); /* the present v, which are floats, become what is uploaded */
tlvk_status tlvk__value_halve(tlvk__value *a);       /* v rounded to fp16, uploaded, and lying so on the device */
void tlvk__value_poison(tlvk__value *a);            /* NaN is what is uploaded */
void tlvk__value_unpad(const tlvk__value *a, const float *padded, float *dense);
tlvk__ref_tensor tlvk__value_ref(tlvk__value *a, bool error);

/* The first thing that is wrong is what the result tells. */
void tlvk__check_wrong(tlvk__check *result, const char *format, ...) TLVK__PRINTF(2, 3);
/* a->result against v within e, and its padding against zero; `prior`, dense or NULL, was there before and has been added to. */
tlvk_status tlvk__value_compare(tlvk__check *result, const tlvk__value *a, const double *prior, const char *when);
/* a->result, of fp16, against `full`, what an fp32 tensor holds in the same order: the one must be the other rounded. */
void tlvk__value_compare_rounded(tlvk__check *result, const tlvk__value *a, const float *full, const char *when);
void tlvk__value_compare_bits(tlvk__check *result, const tlvk__value *a, const char *when); /* a->result against a->again */

#endif
