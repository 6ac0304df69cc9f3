/* pictures.h - makes picture files for the tests: an uncompressed BMP and a PNG of stored blocks, byte by byte after the formats'
 * specifications, and small JPEG and GIF files as literals (Pillow 13; their pixels as TensorFlow 2.21 decodes them are beside them). */
#ifndef TLVK_TEST_PICTURES_H
#define TLVK_TEST_PICTURES_H

#include "core/platform.h"

#include <stdlib.h>
#include <string.h>

typedef struct test_bytes {
    uint8_t v[65536];
    size_t size;
} test_bytes;

static inline void put(test_bytes *b, const void *p, size_t n) {
    memcpy(b->v + b->size, p, n);
    b->size += n;
}
static inline void put_le(test_bytes *b, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++) {
        b->v[b->size++] = (uint8_t)(value >> (8 * i));
    }
}
static inline void put_be32(test_bytes *b, uint32_t value) {
    for (int i = 3; i >= 0; i--) {
        b->v[b->size++] = (uint8_t)(value >> (8 * i));
    }
}

/* The test picture's sample at (y, x, k); tests/parity/data.py and the literals made with TensorFlow use the same formula. */
static inline uint8_t test_pixel(int y, int x, int k) { return (uint8_t)(y * 37 + x * 91 + k * 53 + y * x * 17); }

static inline void test_fill(uint8_t *pixels, int h, int w, int c) {
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            for (int k = 0; k < c; k++) {
                pixels[(y * w + x) * c + k] = test_pixel(y, x, k);
            }
        }
    }
}

/* 24 bits per pixel, rows bottom up, padded to 4 bytes, blue first. */
static inline void make_bmp(test_bytes *b, const uint8_t *rgb, int h, int w) {
    uint32_t row = ((uint32_t)w * 3 + 3) / 4 * 4;
    b->size = 0;
    put(b, "BM", 2);
    put_le(b, 54 + row * (uint32_t)h, 4);
    put_le(b, 0, 4);
    put_le(b, 54, 4);
    put_le(b, 40, 4);
    put_le(b, (uint32_t)w, 4);
    put_le(b, (uint32_t)h, 4);
    put_le(b, 1, 2);
    put_le(b, 24, 2);
    for (int i = 0; i < 6; i++) {
        put_le(b, 0, 4);
    }
    for (int y = h - 1; y >= 0; y--) {
        size_t start = b->size;
        for (int x = 0; x < w; x++) {
            const uint8_t *p = rgb + (y * w + x) * 3;
            uint8_t bgr[3] = {p[2], p[1], p[0]};
            put(b, bgr, 3);
        }
        while (b->size - start < row) {
            put_le(b, 0, 1);
        }
    }
}

static inline uint32_t test_crc32(const uint8_t *p, size_t n) {
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) {
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
        }
    }
    return ~crc;
}
static inline void put_chunk(test_bytes *b, const char *type, const test_bytes *data) {
    put_be32(b, (uint32_t)data->size);
    size_t start = b->size;
    put(b, type, 4);
    put(b, data->v, data->size);
    put_be32(b, test_crc32(b->v + start, b->size - start));
}

/* channels 1, 3 or 4; bits 8 or 16 (samples then big-endian pairs). The pixel data is one stored block, so it must stay below 64 KiB. */
static inline void make_png(test_bytes *b, const uint8_t *samples, int h, int w, int channels, int bits) {
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};
    size_t row = (size_t)(w * channels * bits / 8);
    test_bytes *part = calloc(1, sizeof *part), *raw = calloc(1, sizeof *raw);
    uint32_t s1 = 1, s2 = 0;
    b->size = 0;
    put(b, signature, 8);
    put_be32(part, (uint32_t)w);
    put_be32(part, (uint32_t)h);
    put_le(part, (uint32_t)bits, 1);
    put_le(part, channels == 1 ? 0 : channels == 3 ? 2 : 6, 1);
    put_le(part, 0, 3);
    put_chunk(b, "IHDR", part);
    for (int y = 0; y < h; y++) {
        put_le(raw, 0, 1);
        put(raw, samples + (size_t)y * row, row);
    }
    part->size = 0;
    put_le(part, 0x0178, 2);
    put_le(part, 1, 1);
    put_le(part, (uint32_t)raw->size, 2);
    put_le(part, ~(uint32_t)raw->size & 0xffffu, 2);
    put(part, raw->v, raw->size);
    for (size_t i = 0; i < raw->size; i++) { /* Adler-32 */
        s1 = (s1 + raw->v[i]) % 65521;
        s2 = (s2 + s1) % 65521;
    }
    put_be32(part, s2 << 16 | s1);
    put_chunk(b, "IDAT", part);
    part->size = 0;
    put_chunk(b, "IEND", part);
    free(part);
    free(raw);
}

/* 16 x 16, quarters of red, green, blue, light grey; quality 90, 4:4:4, optimized tables. TensorFlow decodes the pixels (2,2) (2,12) (12,2)
 * (12,12) to 198,40,39 39,201,40 37,40,197 219,219,219; as grey to 87, 134, 57, 219. */
static const uint8_t test_jpeg[303] = {
    0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x49, 0x46, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01, 0x00, 0x01, 0x00, 0x00, 0xff, 0xdb, 0x00, 0x43,
    0x00, 0x03, 0x02, 0x02, 0x03, 0x02, 0x02, 0x03, 0x03, 0x03, 0x03, 0x04, 0x03, 0x03, 0x04, 0x05, 0x08, 0x05, 0x05, 0x04, 0x04, 0x05, 0x0a, 0x07,
    0x07, 0x06, 0x08, 0x0c, 0x0a, 0x0c, 0x0c, 0x0b, 0x0a, 0x0b, 0x0b, 0x0d, 0x0e, 0x12, 0x10, 0x0d, 0x0e, 0x11, 0x0e, 0x0b, 0x0b, 0x10, 0x16, 0x10,
    0x11, 0x13, 0x14, 0x15, 0x15, 0x15, 0x0c, 0x0f, 0x17, 0x18, 0x16, 0x14, 0x18, 0x12, 0x14, 0x15, 0x14, 0xff, 0xdb, 0x00, 0x43, 0x01, 0x03, 0x04,
    0x04, 0x05, 0x04, 0x05, 0x09, 0x05, 0x05, 0x09, 0x14, 0x0d, 0x0b, 0x0d, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14,
    0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14,
    0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0x14, 0xff, 0xc0, 0x00, 0x11, 0x08, 0x00, 0x10, 0x00, 0x10, 0x03,
    0x01, 0x11, 0x00, 0x02, 0x11, 0x01, 0x03, 0x11, 0x01, 0xff, 0xc4, 0x00, 0x16, 0x00, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0x08, 0x09, 0xff, 0xc4, 0x00, 0x14, 0x10, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xc4, 0x00, 0x17, 0x01, 0x00, 0x03, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x07, 0x08, 0x09, 0x06, 0xff, 0xc4, 0x00, 0x14, 0x11, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xda, 0x00, 0x0c, 0x03, 0x01, 0x00, 0x02, 0x11, 0x03, 0x11, 0x00, 0x3f, 0x00, 0x14, 0x0d, 0xce, 0xa9,
    0xec, 0x3a, 0x47, 0x74, 0x68, 0xac, 0x46, 0x41, 0xb6, 0x04, 0xa9, 0xa3, 0x7f, 0xff, 0xd9};

/* 4 x 4, quarters of the colours 200,40,40 40,200,40 40,40,200 220,220,220, which is also what TensorFlow decodes. */
static const uint8_t test_gif[55] = {0x47, 0x49, 0x46, 0x38, 0x37, 0x61, 0x04, 0x00, 0x04, 0x00, 0x81, 0x00, 0x00, 0xdc, 0xdc, 0xdc, 0x28, 0xc8, 0x28,
                                     0xc8, 0x28, 0x28, 0x28, 0x28, 0xc8, 0x2c, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x04, 0x00, 0x00, 0x08, 0x10, 0x00,
                                     0x05, 0x08, 0x08, 0x10, 0x40, 0x20, 0xc1, 0x01, 0x03, 0x00, 0x00, 0x40, 0xa8, 0x30, 0x20, 0x00, 0x3b};

/* $TLVK_TEST_TEMP/name, made; malloc'd. */
static inline char *test_folder(const char *name) {
    const char *temp = tlvk__env("TLVK_TEST_TEMP");
    char *path = tlvk__format("%s/%s", temp ? temp : "/tmp/tlvk-test", name);
    if (!path || tlvk__make_folders(path)) {
        abort();
    }
    return path;
}

/* Writes folder/name with the folders it needs. */
static inline void test_write(const char *folder, const char *name, const void *bytes, size_t size) {
    char *path = tlvk__format("%s/%s", folder, name);
    char *parent = tlvk__strdup(path);
    *strrchr(parent, '/') = '\0';
    if (tlvk__make_folders(parent) || tlvk__file_replace(path, bytes, size)) {
        abort();
    }
    free(parent);
    free(path);
}

/* A small BMP whose pixels depend on `number`. */
static inline void test_write_picture(const char *folder, const char *name, int number) {
    test_bytes *b = calloc(1, sizeof *b);
    uint8_t rgb[6 * 5 * 3];
    for (size_t i = 0; i < sizeof rgb; i++) {
        rgb[i] = (uint8_t)((int)i * 7 + number * 29);
    }
    make_bmp(b, rgb, 6, 5);
    test_write(folder, name, b->v, b->size);
    free(b);
}

#endif
