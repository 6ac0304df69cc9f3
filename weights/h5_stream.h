/* h5_stream.h - what crosses from the guarded child, which reads HDF5, to the caller: a flat stream of numbers, texts and float arrays.
 *
 * One stream: the mark, five texts (model_config, training_config, keras_version, backend, usage), the number of layers; for each layer its name
 * and its number of weights; for each weight its name, rank, dimensions and values. Numbers are 8 bytes in the machine's order, as both ends are
 * the same program. A text is its length with the closing zero, 0 for an absent one, and its bytes. Every item begins at a multiple of 8,
 * so that values are used where they lie. */
#ifndef TLVK_H5_STREAM_H
#define TLVK_H5_STREAM_H

#include "weights/weights.h"

#include <stdio.h>

#define TLVK__H5_MARK 0x316B7635684C5654u
#define TLVK__USAGE_ATTRIBUTE "tlvk_usage"

/* Runs in the child: reads the file and writes the stream. */
tlvk_status tlvk__h5_child(void *path, FILE *out);

#endif
