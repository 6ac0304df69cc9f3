/* fetch.h - official files in Keras's cache: found, checked, fetched where missing.
 * Hides: the cache folder, the lock against others who fetch the same file, the part that becomes the file. */
#ifndef TLVK_FETCH_H
#define TLVK_FETCH_H

#include "weights/registry.h"
#include "weights/transfer.h"

typedef struct tlvk__fetch_how {
    const tlvk__transfer_settings *settings; /* NULL: tlvk__transfer_patience */
    void (*progress)(int64_t done, int64_t total, void *user);
    void *user;
} tlvk__fetch_how;

/* $KERAS_HOME/models, else ~/.keras/models; malloc'd; NULL with the reason in the fail text and its status in *status. */
char *tlvk__official_folder(tlvk_status *status);

/* *path (malloc'd) is the file in the cache, its hash checked; one that is there with a wrong hash is fetched anew, as Keras does. Under no_download
 * of `ctx` nothing is fetched. $TLVK_WEIGHTS_URL takes the place of scheme and host in every address: a mirror. One partial file per name stays
 * beside it (".part") when a connection breaks for good, and the next call goes on from it where a hash can tell whether that was right.
 * TLVK_ERROR_FILE: not reached, with the address and the place for the file; TLVK_ERROR_FORMAT: another file than was published, both hashes named. */
tlvk_status tlvk__official_fetch(tlvk_context *ctx, const tlvk__official *file, const tlvk__fetch_how *how, char **path);

/* ImageNet's 1000 class names as keras.applications' decode_predictions prints them, from a class index file. *names is one block, freed with free.
 * TLVK_ERROR_FORMAT where the file is not such an index. */
tlvk_status tlvk__class_index_read(const char *path, const char ***names, int *count);

#endif
