/* h5_absent.c - the doors to HDF5 in a build without it (TLVK_WITH_HDF5=OFF): every one is refused by name. CMake takes this file in place of those that
 * walk and write such files. */
#include "weights/h5_stream.h"

tlvk_status tlvk__h5_there(void) {
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "Keras's files of models and weights are HDF5, and this build has none (TLVK_WITH_HDF5)");
}

tlvk_status tlvk__h5_child(void *path, FILE *out) {
    (void)path, (void)out;
    return tlvk__h5_there();
}

tlvk_status tlvk__h5_put_parts(tlvk__keras_parts *parts, FILE *out) {
    (void)parts, (void)out;
    return tlvk__h5_there();
}

static tlvk_status refuse(const tlvk_model *model, const char *path) {
    (void)model;
    return tlvk__fail_context(tlvk__h5_there(), "%s", path);
}

tlvk_status tlvk__h5_write_model(tlvk_model *model, const char *path) { return refuse(model, path); }
tlvk_status tlvk__h5_write_weights(tlvk_model *model, const char *path) { return refuse(model, path); }
tlvk_status tlvk__keras_write_model(tlvk_model *model, const char *path) { return refuse(model, path); }
tlvk_status tlvk__keras_write_weights(tlvk_model *model, const char *path) { return refuse(model, path); }
