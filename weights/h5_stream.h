/* h5_stream.h - what crosses from the guarded child, which reads HDF5 and zip, to the caller: a flat stream of numbers, texts and float arrays.
 *
 * One stream: the mark, the form, 1 for an archive, five texts (model_config, training_config, keras_version, backend, usage); then layers, each begun by the number 1,
 * and a 0; then 1 and the optimizer's group, or 0; then how many arrays were narrow. A group is its name, its number of weights, and for each weight
 * its name, rank, dimensions and values. Numbers are 8 bytes in the machine's order, as both ends are the same program. A text is its length with
 * the closing zero, 0 for an absent one, and its bytes. Every item begins at a multiple of 8, so that values are used where they lie. */
#ifndef TLVK_H5_STREAM_H
#define TLVK_H5_STREAM_H

#include "weights/weights.h"

#include <stdio.h>

#define TLVK__H5_MARK 0x326B7635684C5654u
#define TLVK__USAGE_ATTRIBUTE "tlvk_usage"
/* The optimizer's state in .h5 files written here. Not Keras's `optimizer_weights`: Keras 3 (3.15, legacy_h5_format.py) builds an optimizer that it finds
 * there for no variables at all, and training on then fails with "Unknown variable". */
#define TLVK__OPTIMIZER_GROUP "tlvk_optimizer_weights"

tlvk_status tlvk__h5_there(void); /* TLVK_ERROR_UNSUPPORTED in a build without HDF5 */

/* Run in the child: read the file and write the stream. */
tlvk_status tlvk__h5_child(void *path, FILE *out);    /* an HDF5 file, path a const char * */
tlvk_status tlvk__keras_child(void *path, FILE *out); /* a .keras archive */

/* What a .keras archive holds. `weights` is an HDF5 file in memory. All malloc'd; keras_version may be NULL. */
typedef struct tlvk__keras_parts { char *config, *keras_version; void *weights; size_t weights_bytes; } tlvk__keras_parts;
/* Writes the stream of those parts, in the child. */
tlvk_status tlvk__h5_put_parts(tlvk__keras_parts *parts, FILE *out);

/* Processor time that the child may take: a small file takes milliseconds, and a slow machine reads ten times as fast. */
#define TLVK__READ_SECONDS(bytes) (3 + (uint64_t)(bytes) / ((uint64_t)10 << 20))
#define TLVK__SPARE_BYTES ((uint64_t)64 << 20) /* memory that the child may take above twice what the file states */

#endif
