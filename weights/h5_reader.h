/* h5_reader.h - what the files that walk an HDF5 file in the guarded child share. Hides nothing of its own; each function's contract stands here. */
#ifndef TLVK_H5_READER_H
#define TLVK_H5_READER_H

#include "weights/h5_stream.h"

#include <hdf5.h>

typedef struct tlvk__h5_reader {
    FILE *out;
    hid_t group_access, dataset_access; /* access lists that follow no link out of the file */
    uint64_t budget;                    /* bytes that texts and values may still take */
    uint64_t file_bytes;
    uint64_t narrow;                    /* arrays of float16 or bfloat16 so far */
} tlvk__h5_reader;

typedef struct tlvk__h5_names { char **text; size_t count, capacity; } tlvk__h5_names;
void tlvk__h5_names_free(tlvk__h5_names *n);
tlvk_status tlvk__h5_names_add(tlvk__h5_names *n, const char *text, size_t length);

/* Takes `bytes` from the budget; TLVK_ERROR_FORMAT, with `what` in the text, where they are not there. */
tlvk_status tlvk__h5_spend(tlvk__h5_reader *r, uint64_t bytes, const char *what);

/* --- the stream --- */
tlvk_status tlvk__h5_put_number(tlvk__h5_reader *r, uint64_t v);
tlvk_status tlvk__h5_put_text(tlvk__h5_reader *r, const char *text); /* NULL: absent */

/* --- attributes: text of any of HDF5's string types; `where` is for error texts --- */
/* A single text; *text stays NULL where the attribute is absent or empty. The caller frees it. */
tlvk_status tlvk__h5_read_text(tlvk__h5_reader *r, hid_t place, const char *key, const char *where, char **text);
/* A list of names; one too large for an object header is split by Keras into key0, key1, ... (legacy_h5_format.py, HDF5_OBJECT_HEADER_LIMIT).
 * *there tells whether the attribute is there at all. */
tlvk_status tlvk__h5_read_names(tlvk__h5_reader *r, hid_t place, const char *key, const char *where, tlvk__h5_names *n, bool *there);

/* --- arrays --- */
/* Writes one weight: `name`, its shape, its values as float32. The dataset is `path` in `group`; `what` names it in error texts. */
tlvk_status tlvk__h5_put_array(tlvk__h5_reader *r, hid_t group, const char *path, const char *name, const char *what);

/* --- Keras 3's form (h5_state.c) --- */
/* Writes every group that has a `vars`, at any depth. */
tlvk_status tlvk__h5_put_state(tlvk__h5_reader *r, hid_t file);

#endif
