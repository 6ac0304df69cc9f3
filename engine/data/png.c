/* png.c - hides how a sample becomes a PNG file: its preprocessing taken back, and the encoder stb_image_write, compiled into this file alone. */
#include "core/platform.h"
#include "data/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBIW_ASSERT(x) ((void)(x))
#include <stb/stb_image_write.h>

/* Value of channel `k` of a sample's pixel in 0 .. 255, before rounding: the inverse of tlvk__preprocess. */
static float pixel_value(tlvk_preprocess kind, const float *pixel, int k) {
    static const float caffe_mean[3] = {103.939f, 116.779f, 123.68f}; /* blue, green, red */
    static const float torch_mean[3] = {0.485f, 0.456f, 0.406f}, torch_deviation[3] = {0.229f, 0.224f, 0.225f};
    switch (kind) {
    case TLVK_PREPROCESS_TF: return (pixel[k] + 1.0f) * 127.5f;
    case TLVK_PREPROCESS_SCALE: return pixel[k] * 255.0f;
    case TLVK_PREPROCESS_CAFFE: return pixel[2 - k] + caffe_mean[2 - k];
    case TLVK_PREPROCESS_TORCH: return (pixel[k] * torch_deviation[k] + torch_mean[k]) * 255.0f;
    case TLVK_PREPROCESS_AUTO:
    case TLVK_PREPROCESS_NONE: break;
    }
    return pixel[k];
}

static uint8_t byte_of(float value) {
    if (!(value > 0.0f)) {
        return 0;
    }
    return value >= 255.0f ? 255 : (uint8_t)lrintf(value);
}

/* What the encoder has made so far. */
typedef struct encoded {
    uint8_t *bytes;
    size_t size;
} encoded;

static void take(void *user, void *data, int size) {
    encoded *e = user;
    e->bytes = malloc((size_t)size);
    if (e->bytes) {
        memcpy(e->bytes, data, (size_t)size);
        e->size = (size_t)size;
    }
}

tlvk_status tlvk__dataset_write_png(const tlvk_dataset *d, const float *sample, const char *path) {
    const tlvk__shape *shape = &d->inputs[0].shape;
    int64_t channels = shape->rank == 3 ? shape->dim[2] : 0;
    if (channels < 1 || channels > 4 || shape->dim[0] > TLVK__PICTURE_MAX_SIDE_PX || shape->dim[1] > TLVK__PICTURE_MAX_SIDE_PX) {
        char text[96];
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: samples of shape %s are no pictures", path, tlvk__shape_text(shape, text, sizeof text));
    }
    int h = (int)shape->dim[0], w = (int)shape->dim[1], c = (int)channels;
    size_t pixels = (size_t)h * (size_t)w;
    uint8_t *bytes = malloc(pixels * (size_t)c);
    if (!bytes) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for %d x %d pixels", path, h, w);
    }
    for (size_t i = 0; i < pixels; i++) {
        for (int k = 0; k < c; k++) {
            bytes[i * (size_t)c + (size_t)k] = byte_of(pixel_value(d->paths ? d->spec.preprocess : TLVK_PREPROCESS_NONE, sample + i * (size_t)c, k));
        }
    }
    encoded png = {0};
    bool made = stbi_write_png_to_func(take, &png, w, h, c, bytes, w * c) && png.bytes;
    tlvk_status st = made ? tlvk__file_replace(path, png.bytes, png.size) : tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for a PNG", path);
    free(png.bytes);
    free(bytes);
    return st;
}
