/* picture.h - one picture file to one dense float32 sample. Private to engine/data.
 * Hides: the picture formats and their decoder, TensorFlow's resize rules, Keras's preprocessing formulas. */
#ifndef TLVK_PICTURE_H
#define TLVK_PICTURE_H

#include "core/core.h"

#define TLVK__PICTURE_MAX_SIDE_PX 16384
#define TLVK__PICTURE_MAX_AREA_PX ((int64_t)1 << 27)  /* 134 megapixels */
#define TLVK__PICTURE_MAX_FILE_BYTES ((size_t)1 << 28)
/* A small file can ask for a huge picture: no single allocation of stb_image, and all of libjpeg's together, may exceed this. Twice the largest RGBA
 * picture's bytes covers a decoder's own needs (16-bit PNG, a progressive JPEG's coefficients). */
#define TLVK__PICTURE_MAX_DECODING_BYTES ((size_t)TLVK__PICTURE_MAX_AREA_PX * 8)

/* How a file becomes a sample; no AUTO values here. */
typedef struct tlvk__picture_spec {
    int height, width, channels; /* of the sample; channels 1, 3 or 4 */
    tlvk_resize resize;
    tlvk_preprocess preprocess;
    bool fast_decode; /* a JPEG may be shrunk while it is decoded, to no less than the sample's size: other pixels than Keras's */
} tlvk__picture_spec;

typedef enum tlvk__picture_kind { TLVK__JPEG, TLVK__PNG, TLVK__BMP, TLVK__GIF } tlvk__picture_kind;

/* Kind and size by the file's own bytes, whatever its name. Refuses, in words without the path: other kinds, a file that ends before its
 * picture does, a PNG with a wrong checksum, and sizes beyond the limits above. Nothing is decoded. */
tlvk_status tlvk__picture_probe(const uint8_t *bytes, size_t size, tlvk__picture_kind *kind, int64_t *width_px, int64_t *height_px);

/* Decodes to `channels` bytes per pixel (1, 3, 4), rows top down. *pixels is freed with tlvk__pixels_free. What TensorFlow's decode_image does:
 * grey is repeated, alpha dropped, missing alpha 255, 16-bit samples cut to their upper byte, first frame of a GIF, EXIF rotation ignored.
 * Colour to grey: JPEG gives its luma plane; other kinds libpng's weights, (9797 r + 19234 g + 3737 b) >> 15.
 * Against TensorFlow 2.21: PNG, BMP and GIF are equal to the byte, but for a 1-bit PNG as RGBA (alpha 255 here, 1 there) and a 16-bit colour PNG
 * as grey (one level at most); so is JPEG where libjpeg-turbo decodes it. stb_image's JPEG differs, because decode_image uses libjpeg's fast integer
 * transform: 153 photographs at 224 x 224 differ by 0.95 levels in the mean and 8 at most, and by 0.014 in the mean from libjpeg's accurate one. */
tlvk_status tlvk__picture_decode(const uint8_t *bytes, size_t size, int channels, uint8_t **pixels, int *width_px, int *height_px);
/* The same, but that libjpeg may leave out detail: the picture comes in the smallest of its eighths that is no smaller than `least`, width and height.
 * Other kinds, and a library without libjpeg, give the whole picture. */
tlvk_status tlvk__picture_decode_fast(const uint8_t *bytes, size_t size, int channels, const int least[2], uint8_t **pixels, int *width_px, int *height_px);
void tlvk__pixels_free(uint8_t *pixels);
int32_t tlvk__decoder_version(void); /* one for each set of decoders, for the keys of cached features */

/* tf.image.resize(in, (oh, ow), method, antialias=False): half-pixel centres, float32 arithmetic in TensorFlow's order, so equal bits.
 * in: (h, w, c) bytes; out: (oh, ow, c) floats. */
tlvk_status tlvk__resize(tlvk_resize method, const uint8_t *in, int h, int w, int c, float *out, int oh, int ow);

/* Keras's preprocess_input on (pixels, channels) floats in place; caffe and torch need 3 channels (the caller checks). */
void tlvk__preprocess(tlvk_preprocess kind, float *x, size_t pixels, int channels);

/* All of it: reads `path` and writes height * width * channels floats. `hash` (may be NULL) receives the content hash of spec and bytes.
 * Every error text begins with the path. */
tlvk_status tlvk__picture_read(const tlvk__picture_spec *spec, const char *path, float *x, tlvk__hash *hash);
/* The same for bytes that were read already; error texts do not name them. */
tlvk_status tlvk__picture_read_bytes(const tlvk__picture_spec *spec, const void *bytes, size_t size, float *x, tlvk__hash *hash);
void tlvk__picture_hash_bytes(const tlvk__picture_spec *spec, const void *bytes, size_t size, tlvk__hash *hash);
/* Only the hash, without decoding. */
tlvk_status tlvk__picture_hash_file(const tlvk__picture_spec *spec, const char *path, tlvk__hash *hash);
void tlvk__picture_spec_hash(const tlvk__picture_spec *spec, tlvk__hash *hash);

#endif
