/* dataset.h - the dataset's inside, shared by the files of engine/data that fill and read it. */
#ifndef TLVK_DATASET_H
#define TLVK_DATASET_H

#include "data/data.h"
#include "data/picture.h"
#include "data/store.h"

typedef struct tlvk__data_input {
    tlvk__shape shape; /* of a sample */
    int64_t elements;
    const float *values; /* arrays: borrowed, or `owned`; NULL for pictures */
    float *owned;
} tlvk__data_input;

typedef struct tlvk__data_target {
    tlvk__label_kind kind;
    int width;
    int class_count;
    int32_t *labels;     /* size class numbers; NULL where there are none */
    const float *values; /* arrays: borrowed, or `owned`; NULL for pictures */
    float *owned;
} tlvk__data_target;

struct tlvk_dataset {
    int64_t size;
    tlvk__data_input inputs[TLVK_MAX_IO];
    int input_count; /* 1 for pictures */
    tlvk__data_target targets[TLVK_MAX_IO];
    int target_count;   /* 0 without labels; 1 for pictures with them */
    char **class_names; /* of the first target; NULL for arrays */
    char **paths;       /* size; NULL for arrays */
    tlvk__picture_spec spec;
    tlvk__store *store; /* pictures that lie in archives; NULL: every picture is a file */
    bool no_shuffle, strict;
    uint64_t seed;
    int batch_size, workers;

    uint8_t *is_failed;       /* size flags */
    char **failed;            /* "path: why", in the order of discovery */
    size_t failed_count, failed_capacity;
    tlvk__hash *hashes;       /* size; valid where hash_known */
    uint8_t *hash_known;
};

/* Zeroed, with `size` samples and the arrays for failures and hashes. Freed with tlvk_dataset_destroy. NULL: no memory (text written). */
tlvk_dataset *tlvk__dataset_new(int64_t size);
/* Sets kind and width of the first target from the label mode; the caller has set its class_count and labels. TLVK_ERROR_DATA for binary without two classes. */
tlvk_status tlvk__dataset_set_labels(tlvk_dataset *dataset, tlvk_label_mode mode);
/* Decodes picture `sample`, from its file or its archive: as tlvk__picture_read. Any thread. */
tlvk_status tlvk__dataset_decode(const tlvk_dataset *dataset, int64_t sample, float *x, tlvk__hash *hash);
/* Reads the pictures whose paths lie in archives into the dataset's store; `archive` (may be NULL) is one of these, open already. A picture that an
 * archive has not or that is damaged is unreadable, as a file would be; an archive that cannot be read is an error. */
tlvk_status tlvk__dataset_take_archived(const tlvk_context *ctx, tlvk_dataset *dataset, const tlvk__archive *archive, uint64_t memory_bytes);
/* Records one unreadable sample, once; `why` begins with its path. TLVK_ERROR_MEMORY. */
tlvk_status tlvk__dataset_mark_failed(tlvk_dataset *dataset, int64_t sample, const char *why);

#endif
