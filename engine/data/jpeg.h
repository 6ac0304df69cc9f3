/* jpeg.h - JPEG by libjpeg, where the library is built with it; else stb_image decodes JPEG too. Private to engine/data. */
#ifndef TLVK_JPEG_H
#define TLVK_JPEG_H

#include "data/picture.h"

#if TLVK_WITH_JPEG
/* To `channels` bytes per pixel (1, 3, 4), rows top down; *pixels is malloc'd. `least`: NULL, or a width and height: the picture may then be shrunk while
 * it is decoded, by eighths and to no less than that either way. The caller has checked that the file is whole and its size within the limits. */
tlvk_status tlvk__jpeg_decode(const uint8_t *bytes, size_t size, int channels, const int *least, uint8_t **pixels, int *width_px, int *height_px);
int32_t tlvk__jpeg_version(void); /* of libjpeg's interface; other versions may give other pixels */
#endif

#endif
