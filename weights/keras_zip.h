/* keras_zip.h - the zip around a .keras archive's parts. Hides libarchive; a build without it refuses both ways by name. */
#ifndef TLVK_KERAS_ZIP_H
#define TLVK_KERAS_ZIP_H

#include "weights/h5_stream.h"

#define TLVK__KERAS_CONFIG "config.json"
#define TLVK__KERAS_METADATA "metadata.json"
#define TLVK__KERAS_WEIGHTS "model.weights.h5"

tlvk_status tlvk__zip_there(void); /* TLVK_ERROR_UNSUPPORTED in a build without libarchive */

/* One entry to write: bytes in memory, or a file's. */
typedef struct tlvk__zip_part { const char *name; const void *bytes; size_t size; const char *file; } tlvk__zip_part;
/* Writes the parts, stored, in this order, to `path`, which is made anew. Entries carry the date 1980-01-01, as those of Keras do, so that the same
 * parts give the same bytes. */
tlvk_status tlvk__zip_write(const char *path, const tlvk__zip_part *parts, int count);

#endif
