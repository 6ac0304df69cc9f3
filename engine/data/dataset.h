/* dataset.h - the dataset's inside, shared by the files of engine/data that fill and read it. */
#ifndef TLVK_DATASET_H
#define TLVK_DATASET_H

#include "data/data.h"
#include "data/picture.h"

struct tlvk_dataset {
    int64_t size;
    tlvk__shape shape; /* of a sample */
    int64_t elements;
    tlvk__label_kind label_kind;
    int target_width;
    int class_count;
    char **class_names; /* NULL for arrays */
    char **paths;       /* size; NULL for arrays */
    int32_t *labels;    /* size class numbers; NULL where there are none */
    tlvk__picture_spec spec;
    bool no_shuffle, strict;
    uint64_t seed;
    int batch_size, workers;

    const float *x, *y;       /* arrays: borrowed or the copies below */
    float *owned_x, *owned_y;

    uint8_t *is_failed;       /* size flags */
    char **failed;            /* "path: why", in the order of discovery */
    size_t failed_count, failed_capacity;
    tlvk__hash *hashes;       /* size; valid where hash_known */
    uint8_t *hash_known;
};

/* Zeroed, with `size` samples and the arrays for failures and hashes. Freed with tlvk_dataset_destroy. NULL: no memory (text written). */
tlvk_dataset *tlvk__dataset_new(int64_t size);
/* Sets kind and width from the label mode; the caller has set class_count and labels. TLVK_ERROR_DATA for binary without two classes. */
tlvk_status tlvk__dataset_set_labels(tlvk_dataset *dataset, tlvk_label_mode mode);
/* Records one unreadable sample, once; `why` begins with its path. TLVK_ERROR_MEMORY. */
tlvk_status tlvk__dataset_mark_failed(tlvk_dataset *dataset, int64_t sample, const char *why);

#endif
