/* decode.c - hides the decoder: stb_image, compiled into this file alone. */
#include "data/picture.h"

#include <stdlib.h>
#include <string.h>

/* A small file can ask for a huge picture: no single allocation of the decoder may exceed this. Twice the largest RGBA picture's bytes
 * covers the decoder's own needs (16-bit PNG, a JPEG's coefficients). */
#define MAX_ALLOCATION_BYTES ((size_t)TLVK__PICTURE_MAX_AREA_PX * 8)

/* Zeroed: stb_image 2.27 reads Huffman tables that a damaged JPEG uses without defining. */
static void *limited_malloc(size_t size) { return size > MAX_ALLOCATION_BYTES ? NULL : calloc(1, size); }
static void *limited_realloc(void *p, size_t size) { return size > MAX_ALLOCATION_BYTES ? NULL : realloc(p, size); }

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_ONLY_JPEG
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

tlvk_status tlvk__picture_decode(const uint8_t *bytes, size_t size, int channels, uint8_t **pixels, int *width_px, int *height_px) {
    static const char *const names[] = {[TLVK__JPEG] = "JPEG", [TLVK__PNG] = "PNG", [TLVK__BMP] = "BMP", [TLVK__GIF] = "GIF"};
    tlvk__picture_kind kind = TLVK__JPEG;
    int64_t width = 0, height = 0;
    *pixels = NULL;
    tlvk_status st = tlvk__picture_probe(bytes, size, &kind, &width, &height);
    if (st) {
        return st;
    }
    bool grey_here = channels == 1 && kind != TLVK__JPEG;
    int stored = 0;
    stbi_uc *decoded = stbi_load_from_memory(bytes, (int)size, width_px, height_px, &stored, grey_here ? 0 : channels);
    if (!decoded) {
        const char *why = stbi_failure_reason();
        bool memory = why && strcmp(why, "outofmem") == 0;
        return tlvk__fail(memory ? TLVK_ERROR_MEMORY : TLVK_ERROR_FORMAT, "%s cannot be decoded: %s", names[kind], why ? why : "no reason given");
    }
    if (*width_px != width || *height_px != height) {
        stbi_image_free(decoded);
        return tlvk__fail(TLVK_ERROR_FORMAT, "damaged %s: it says %lld x %lld pixels and holds %d x %d", names[kind], (long long)width, (long long)height,
                          *width_px, *height_px);
    }
    if (grey_here) {
        size_t count = (size_t)width * (size_t)height;
        uint8_t *grey = malloc(count);
        if (!grey) {
            stbi_image_free(decoded);
            return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for %zu grey pixels", count);
        }
        to_grey(decoded, stored, count, grey);
        stbi_image_free(decoded);
        decoded = grey;
    }
    *pixels = decoded;
    return TLVK_OK;
}

void tlvk__pixels_free(uint8_t *pixels) { stbi_image_free(pixels); }
