/* h5_writer.h - what the files that write HDF5 share. Hides HDF5's types and the child process in which it writes. */
#ifndef TLVK_H5_WRITER_H
#define TLVK_H5_WRITER_H

#include "weights/weights.h"

#include <hdf5.h>

/* TLVK_ERROR_FILE: `what` could not be written, with the system's words where HDF5 has them. */
tlvk_status tlvk__h5_fail_write(const char *what);

typedef struct tlvk__h5_texts { char **text; size_t count; } tlvk__h5_texts;
void tlvk__h5_texts_free(tlvk__h5_texts *t);

/* An attribute of one text; NULL: none is written. */
tlvk_status tlvk__h5_write_text(hid_t place, const char *key, const char *text);
/* A list of names, split into key0, key1, ... where it is too long for an object header. */
tlvk_status tlvk__h5_write_names(hid_t place, const char *key, const tlvk__h5_texts *names);
/* A new group, groups on the way made too; below 0 on failure. */
hid_t tlvk__h5_make_group(hid_t place, const char *path);
/* A new float32 dataset, groups on the way made too. */
tlvk_status tlvk__h5_write_floats(hid_t place, const char *path, const tlvk__shape *shape, const float *values);
tlvk_status tlvk__h5_write_variable(hid_t place, const char *path, tlvk__variable *v);
tlvk_status tlvk__h5_write_count(hid_t place, const char *path, int64_t value); /* a scalar int64 */

/* Creates the file at `path` and lets `work` fill it. To be called in the child of tlvk__h5_save. */
tlvk_status tlvk__h5_create(const char *path, tlvk_status (*work)(hid_t file, void *user), void *user);
/* Draws what is not drawn yet and reads the optimizer back, so that what is saved is what the model has; then runs `save` in a child process with the name of a file beside
 * `path`, and renames that to `path` when all went well. */
tlvk_status tlvk__h5_save(tlvk_model *model, const char *path, tlvk_status (*save)(const char *temporary, void *user), void *user);

/* The optimizer's state as the group `path`, where the model was compiled and has one: datasets 0, 1, ... (`numbers`), or listed in weight_names. */
tlvk_status tlvk__h5_write_optimizer(hid_t file, const char *path, bool numbers, const tlvk_model *model);
/* The state of a model's layers, and its usage, in Keras 3's form; fits tlvk__h5_create, `user` being the tlvk_model. */
tlvk_status tlvk__h5_write_state(hid_t file, void *user);
bool tlvk__has_usage(const tlvk_usage *u);

#endif
