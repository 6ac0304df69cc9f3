/* data.h - labelled samples, and batches of them read ahead of the device.
 *
 * Hides: folders, picture formats, resizing, preprocessing, worker threads, and which files turned out unreadable.
 *
 * A dataset is a list of samples in a fixed order. Sample i has a path (pictures), a class number or a target, and dense float32 pixels
 * (height, width, channels) after resize and preprocessing. Arrays may give several inputs and several targets a sample, in the order of the
 * model's. An epoch is an order of sample numbers; a reader turns an order into batches.
 *
 * Unreadable pictures. Which pictures are bad is a fact of the files, found when they are first decoded. A reader leaves a bad picture out and
 * takes the next one of the order in its place, so every batch but the last is full. The batches of an order are thus the same whether a bad
 * picture was known before or is discovered on the way: a run that is resumed sees the batches of the unbroken run, and no loss, metric or
 * batch statistic ever counts a picture that is not there. Only the number of batches can turn out smaller than the order promised.
 * With `strict` the first bad picture ends the reading with an error that names the file.
 *
 * Threads: a dataset and its readers are used by one thread at a time; the workers inside a reader only read the dataset's constant parts.
 * A dataset does not keep its context: any order of destroying is right. A reader must be destroyed before its dataset. */
#ifndef TLVK_DATA_H
#define TLVK_DATA_H

#include "core/core.h"

/* What reader and tlvk__dataset_target write per sample. */
typedef enum tlvk__label_kind {
    TLVK__LABELS_NONE = 0,    /* no labels: target width 0 */
    TLVK__LABELS_INT,         /* width 1: the class number, 0 .. class_count - 1 */
    TLVK__LABELS_CATEGORICAL, /* width class_count: one-hot */
    TLVK__LABELS_BINARY,      /* width 1: 0 or 1, class_count is 2 */
    TLVK__LABELS_TARGETS      /* any width: plain numbers of an array (regression, soft labels); class_count is 0 */
} tlvk__label_kind;

int tlvk__dataset_input_count(const tlvk_dataset *dataset);  /* at least 1 */
int tlvk__dataset_target_count(const tlvk_dataset *dataset); /* 0 without labels */
/* Shape of one sample of an input without the batch: (height, width, channels) for pictures, the array's shape without its first dimension
 * for arrays (an array of rank 1 has samples of shape (1), as in Keras). All dimensions known. */
tlvk__shape tlvk__dataset_sample_shape(const tlvk_dataset *dataset, int input);
int64_t tlvk__dataset_sample_elements(const tlvk_dataset *dataset, int input);
/* Of one target; target 0 of data without labels has kind NONE and width 0. */
tlvk__label_kind tlvk__dataset_label_kind(const tlvk_dataset *dataset, int target);
int tlvk__dataset_target_width(const tlvk_dataset *dataset, int target);   /* floats per sample */
int tlvk__dataset_target_classes(const tlvk_dataset *dataset, int target); /* 0: no classes */
int tlvk__dataset_target_label(const tlvk_dataset *dataset, int target, int64_t sample); /* class number, -1 where there is none */
int tlvk__dataset_batch_size(const tlvk_dataset *dataset);
bool tlvk__dataset_is_failed(const tlvk_dataset *dataset, int64_t sample); /* found unreadable so far */

/* Writes one target of one sample, tlvk__dataset_target_width floats. Needs no decoding. */
void tlvk__dataset_target(const tlvk_dataset *dataset, int target, int64_t sample, float *values);

/* Order of one epoch: a full Fisher-Yates shuffle of all samples by Philox keyed with (seed, the dataset's own seed; epoch), or the dataset's
 * order where it was made with no_shuffle; then the samples known to be unreadable are taken out. `order` has room for tlvk_dataset_size
 * numbers; returns how many were written. A function of its arguments and the files alone. */
int64_t tlvk__dataset_order(const tlvk_dataset *dataset, uint64_t seed, uint64_t epoch, int64_t *order);

/* Content hashes, the keys of cached features. They hash bytes, never times or names: a renamed or copied picture keeps its features and an
 * edited one loses them. Reading and hashing a file costs a few percent of decoding it.
 * preprocess_hash: size, colour mode, resize rule, preprocessing and the decoder's version. sample_hash: the same, plus the file's bytes
 * (arrays: the shapes and values of the sample's inputs). Kept in the dataset once known, so a reader with `hash` set makes later calls free. An unreadable
 * file is marked as failed and its error returned. */
void tlvk__dataset_preprocess_hash(const tlvk_dataset *dataset, tlvk__hash *hash);
tlvk_status tlvk__dataset_sample_hash(tlvk_dataset *dataset, int64_t sample, tlvk__hash *hash);

/* Writes one sample of input 0, a picture of 1 to 4 channels, as a PNG file; the values are brought back from the dataset's preprocessing (arrays:
 * taken as they are), rounded, and clipped to 0 .. 255. TLVK_ERROR_ARGUMENT: samples that are no pictures. */
tlvk_status tlvk__dataset_write_png(const tlvk_dataset *dataset, const float *sample, const char *path);

/* --- reading ahead ------------------------------------------------------------------------------------------------------- */

typedef struct tlvk__reader tlvk__reader;

typedef struct tlvk__reader_desc {
    const int64_t *order; /* sample numbers, copied; NULL: every sample in the dataset's order (`count` is then not read) */
    int64_t count;
    int batch;            /* samples per batch; 0: the dataset's batch_size */
    int depth;            /* batches decoded ahead at most; 0: 2. Memory: depth * batch * sample bytes, and one picture per worker */
    int threads;          /* 0: the context's worker threads */
    bool hash;            /* hash the files' bytes on the way, for tlvk__dataset_sample_hash */
} tlvk__reader_desc;

/* Starts the workers. Arrays need none. TLVK_ERROR_ARGUMENT for a sample number out of range. */
tlvk_status tlvk__reader_create(tlvk_dataset *dataset, const tlvk__reader_desc *desc, tlvk__reader **out);

/* Waits for the next batch and writes it to the caller's memory (staging memory is written in order, never read):
 *   x           one pointer for each input, to batch * sample elements floats, dense, sample after sample
 *   targets     one pointer for each target, to batch * target width floats; may be NULL
 *   sample_ids  batch sample numbers; may be NULL
 *   valid_count how many samples were written, `batch` but for the last batch; 0: the order is at its end
 * The rest of a last batch's room is left as it was. The batches do not depend on the number of workers.
 * TLVK_ERROR_DATA: an unreadable picture with `strict`; or at the end of an order of which no picture could be read. A call after that fails
 * again the same way. */
tlvk_status tlvk__reader_next(tlvk__reader *reader, float *const *x, float *const *targets, int64_t *sample_ids, int64_t *valid_count);

/* Ends the workers, whatever they are doing (each finishes the picture at hand), and frees everything. Takes NULL. */
void tlvk__reader_destroy(tlvk__reader *reader);

#endif
