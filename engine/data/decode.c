/* decode.c - hides which decoder a picture needs: libjpeg for JPEG where the library has it, else stb_image, compiled into this file alone. */
#include "data/jpeg.h"

#include <stdlib.h>
#include <string.h>

/* Zeroed: stb_image 2.27 reads Huffman tables that a damaged JPEG uses without defining. */
static void *limited_malloc(size_t size) { return size > TLVK__PICTURE_MAX_DECODING_BYTES ? NULL : calloc(1, size); }
static void *limited_realloc(void *p, size_t size) { return size > TLVK__PICTURE_MAX_DECODING_BYTES ? NULL : realloc(p, size); }

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#if !TLVK_WITH_JPEG
#define STBI_ONLY_JPEG
#endif
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#define STBI_MAX_DIMENSIONS TLVK__PICTURE_MAX_SIDE_PX
#define STBI_MALLOC(size) limited_malloc(size)
#define STBI_REALLOC(p, size) limited_realloc(p, size)
#define STBI_FREE(p) free(p)
#define STBI_ASSERT(x) ((void)(x))

/* stb_image 2.27 defines this function under another name than it declares, which gcc reports as a static function that is missing. */
#define stbi__unpremultiply_on_load_thread stbi_set_unpremultiply_on_load_thread
#include <stb/stb_image.h>

/* libpng's png_set_rgb_to_gray with weights 0.299 and 0.587 as TensorFlow calls it: 15-bit weights cut, not rounded, and so is the sum.
 * Measured equal to TensorFlow 2.21 on 65,536 random colours. */
static void to_grey(const uint8_t *in, int channels, size_t pixels, uint8_t *grey) {
    if (channels < 3) {
        for (size_t i = 0; i < pixels; i++) {
            grey[i] = in[i * (size_t)channels];
        }
        return;
    }
    for (size_t i = 0; i < pixels; i++) {
        const uint8_t *p = in + i * (size_t)channels;
        grey[i] = (uint8_t)((9797u * p[0] + 19234u * p[1] + 3737u * p[2]) >> 15);
    }
}

/* Everything but JPEG by libjpeg. `channels` as stb_image takes them: 0 leaves as many as there are, and *stored says how many. */
static tlvk_status decode_by_stb(const uint8_t *bytes, size_t size, const char *name, int channels, uint8_t **pixels, int *width_px, int *height_px,
                                 int *stored) {
    *pixels = stbi_load_from_memory(bytes, (int)size, width_px, height_px, stored, channels);
    if (*pixels) {
        return TLVK_OK;
    }
    const char *why = stbi_failure_reason();
    bool memory = why && strcmp(why, "outofmem") == 0;
    return tlvk__fail(memory ? TLVK_ERROR_MEMORY : TLVK_ERROR_FORMAT, "%s cannot be decoded: %s", name, why ? why : "no reason given");
}

static tlvk_status make_grey(uint8_t **pixels, int channels, size_t count) {
    uint8_t *grey = malloc(count);
    if (!grey) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for %zu grey pixels", count);
    }
    to_grey(*pixels, channels, count, grey);
    free(*pixels);
    *pixels = grey;
    return TLVK_OK;
}

static tlvk_status decode(const uint8_t *bytes, size_t size, int channels, const int *least, uint8_t **pixels, int *width_px, int *height_px) {
    static const char *const names[] = {[TLVK__JPEG] = "JPEG", [TLVK__PNG] = "PNG", [TLVK__BMP] = "BMP", [TLVK__GIF] = "GIF"};
    tlvk__picture_kind kind = TLVK__JPEG;
    int64_t width = 0, height = 0;
    int stored = 0;
    tlvk_status st = tlvk__picture_probe(bytes, size, &kind, &width, &height);
    if (st) {
        return st;
    }
#if TLVK_WITH_JPEG
    if (kind == TLVK__JPEG) {
        st = tlvk__jpeg_decode(bytes, size, channels, least, pixels, width_px, height_px);
    } else
#endif
    {
        st = decode_by_stb(bytes, size, names[kind], channels == 1 && kind != TLVK__JPEG ? 0 : channels, pixels, width_px, height_px, &stored);
    }
    bool whole = kind != TLVK__JPEG || !least;
    if (!st && whole && (*width_px != width || *height_px != height)) {
        st = tlvk__fail(TLVK_ERROR_FORMAT, "damaged %s: it says %lld x %lld pixels and holds %d x %d", names[kind], (long long)width, (long long)height,
                        *width_px, *height_px);
    }
    if (!st && channels == 1 && kind != TLVK__JPEG) {
        st = make_grey(pixels, stored, (size_t)width * (size_t)height);
    }
    return st;
}

static tlvk_status decode_or_nothing(const uint8_t *bytes, size_t size, int channels, const int *least, uint8_t **pixels, int *width_px, int *height_px) {
    *pixels = NULL;
    tlvk_status st = decode(bytes, size, channels, least, pixels, width_px, height_px);
    if (st) {
        free(*pixels);
        *pixels = NULL;
    }
    return st;
}

tlvk_status tlvk__picture_decode(const uint8_t *bytes, size_t size, int channels, uint8_t **pixels, int *width_px, int *height_px) {
    return decode_or_nothing(bytes, size, channels, NULL, pixels, width_px, height_px);
}

tlvk_status tlvk__picture_decode_fast(const uint8_t *bytes, size_t size, int channels, const int least[2], uint8_t **pixels, int *width_px, int *height_px) {
    return decode_or_nothing(bytes, size, channels, least, pixels, width_px, height_px);
}

int32_t tlvk__decoder_version(void) {
#if TLVK_WITH_JPEG
    return 1000 + tlvk__jpeg_version();
#else
    return 1;
#endif
}

void tlvk__pixels_free(uint8_t *pixels) { free(pixels); }
