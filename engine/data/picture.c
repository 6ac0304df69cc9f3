/* picture.c - hides the way from a file to a sample: read, decode, resize, preprocess, hash. */
#include "data/picture.h"

#include "core/platform.h"

#include <stdlib.h>

/* Means and deviations of ImageNet as keras/src/applications/imagenet_utils.py has them; `caffe` in blue, green, red. */
static void preprocess_caffe(float *x, size_t pixels) {
    for (size_t i = 0; i < pixels; i++, x += 3) {
        float red = x[0];
        x[0] = x[2] - 103.939f;
        x[1] = x[1] - 116.779f;
        x[2] = red - 123.68f;
    }
}

static void preprocess_torch(float *x, size_t pixels) {
    for (size_t i = 0; i < pixels; i++, x += 3) {
        x[0] = (x[0] / 255.0f - 0.485f) / 0.229f;
        x[1] = (x[1] / 255.0f - 0.456f) / 0.224f;
        x[2] = (x[2] / 255.0f - 0.406f) / 0.225f;
    }
}

void tlvk__preprocess(tlvk_preprocess kind, float *x, size_t pixels, int channels) {
    size_t values = pixels * (size_t)channels;
    switch (kind) {
    case TLVK_PREPROCESS_TF:
        for (size_t i = 0; i < values; i++) {
            x[i] = x[i] / 127.5f - 1.0f;
        }
        break;
    case TLVK_PREPROCESS_SCALE:
        for (size_t i = 0; i < values; i++) {
            x[i] = x[i] / 255.0f;
        }
        break;
    case TLVK_PREPROCESS_CAFFE: preprocess_caffe(x, pixels); break;
    case TLVK_PREPROCESS_TORCH: preprocess_torch(x, pixels); break;
    case TLVK_PREPROCESS_AUTO:
    case TLVK_PREPROCESS_NONE: break;
    }
}

void tlvk__picture_spec_hash(const tlvk__picture_spec *spec, tlvk__hash *hash) {
    int32_t words[7] = {tlvk__decoder_version(), spec->height,    spec->width, spec->channels, (int32_t)spec->resize, (int32_t)spec->preprocess,
                        spec->fast_decode};
    tlvk__hash_init(hash);
    tlvk__hash_add(hash, words, sizeof words);
}

/* The size goes in first, so that no content can pass for settings. */
void tlvk__picture_hash_bytes(const tlvk__picture_spec *spec, const void *bytes, size_t size, tlvk__hash *hash) {
    uint64_t length = size;
    tlvk__picture_spec_hash(spec, hash);
    tlvk__hash_add(hash, &length, sizeof length);
    tlvk__hash_add(hash, bytes, size);
}

/* Folders, pipes and devices are no pictures, and opening a pipe could wait for ever. */
static tlvk_status read_bytes(const char *path, void **bytes, size_t *size) {
    if (!tlvk__is_file(path)) {
        return tlvk__fail(TLVK_ERROR_FILE, "no such file");
    }
    return tlvk__file_read(path, bytes, size, TLVK__PICTURE_MAX_FILE_BYTES);
}

tlvk_status tlvk__picture_hash_file(const tlvk__picture_spec *spec, const char *path, tlvk__hash *hash) {
    void *bytes = NULL;
    size_t size = 0;
    tlvk_status st = read_bytes(path, &bytes, &size);
    if (st) {
        return tlvk__fail_context(st, "%s", path);
    }
    tlvk__picture_hash_bytes(spec, bytes, size, hash);
    free(bytes);
    return TLVK_OK;
}

tlvk_status tlvk__picture_read_bytes(const tlvk__picture_spec *spec, const void *bytes, size_t size, float *x, tlvk__hash *hash) {
    uint8_t *pixels = NULL;
    int w = 0, h = 0;
    tlvk_status st = spec->fast_decode ? tlvk__picture_decode_fast(bytes, size, spec->channels, (const int[2]){spec->width, spec->height}, &pixels, &w, &h)
                                       : tlvk__picture_decode(bytes, size, spec->channels, &pixels, &w, &h);
    if (!st) {
        st = tlvk__resize(spec->resize, pixels, h, w, spec->channels, x, spec->height, spec->width);
    }
    if (!st) {
        tlvk__preprocess(spec->preprocess, x, (size_t)spec->height * (size_t)spec->width, spec->channels);
        if (hash) {
            tlvk__picture_hash_bytes(spec, bytes, size, hash);
        }
    }
    tlvk__pixels_free(pixels);
    return st;
}

tlvk_status tlvk__picture_read(const tlvk__picture_spec *spec, const char *path, float *x, tlvk__hash *hash) {
    void *bytes = NULL;
    size_t size = 0;
    tlvk_status st = read_bytes(path, &bytes, &size);
    if (!st) {
        st = tlvk__picture_read_bytes(spec, bytes, size, x, hash);
    }
    free(bytes);
    return st ? tlvk__fail_context(st, "%s", path) : TLVK_OK;
}
