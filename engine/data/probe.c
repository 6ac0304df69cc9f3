/* probe.c - hides what the four picture formats look like from outside: their marks, sizes, and where a whole file ends.
 *
 * The decoder fills what a cut-off file lacks with grey or black and calls that a success; TensorFlow refuses such a file. So completeness is
 * judged here, by each format's own structure, before anything is decoded. Every read is checked against the end of the file. */
#include "data/picture.h"

#include <string.h>

static uint32_t le16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t le32(const uint8_t *p) { return le16(p) | le16(p + 2) << 16; }
static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | (uint32_t)p[1]; }
static uint32_t be32(const uint8_t *p) { return be16(p) << 16 | be16(p + 2); }

static tlvk_status truncated(const char *kind, size_t size) {
    return tlvk__fail(TLVK_ERROR_FORMAT, "truncated %s: the file ends after %zu bytes, before its picture does", kind, size);
}

/* The next marker's code at or behind *at: skips entropy-coded bytes, where 0xFF stands only before 0 or a restart marker (ITU-T T.81, B.1.1).
 * *at moves behind the marker. Returns 0 where the file ends. */
static uint8_t jpeg_next_marker(const uint8_t *bytes, size_t size, size_t *at) {
    size_t i = *at;
    while (i < size) {
        const uint8_t *found = memchr(bytes + i, 0xff, size - i);
        if (!found) {
            break;
        }
        i = (size_t)(found - bytes);
        while (i < size && bytes[i] == 0xff) {
            i++;
        }
        if (i < size && bytes[i] != 0 && !(bytes[i] >= 0xd0 && bytes[i] <= 0xd7)) {
            *at = i + 1;
            return bytes[i];
        }
    }
    *at = size;
    return 0;
}

/* A Huffman segment's tables: a byte of class and number, 16 counts, so many values (ITU-T T.81, B.2.4.2). stb_image 2.27 writes past its
 * tables where the counts sum to more than 256 symbols, so this check is what keeps a hostile file out of memory. */
static bool huffman_tables_fit(const uint8_t *p, size_t size) {
    while (size > 0) {
        size_t symbols = 0;
        if (size < 17) {
            return false;
        }
        for (int i = 1; i <= 16; i++) {
            symbols += p[i];
        }
        if (symbols > 256 || size < 17 + symbols) {
            return false;
        }
        p += 17 + symbols;
        size -= 17 + symbols;
    }
    return true;
}

/* Walks the segments from SOI to EOI. SOF0 .. SOF15 (but DHT, JPG, DAC, which share their range) hold the size. */
static tlvk_status probe_jpeg(const uint8_t *bytes, size_t size, int64_t *width, int64_t *height) {
    size_t at = 2;
    *width = *height = 0;
    for (;;) {
        uint8_t marker = jpeg_next_marker(bytes, size, &at);
        if (marker == 0xd9) {
            break;
        }
        if (marker == 0 || size - at < 2 || be16(bytes + at) < 2 || size - at < be16(bytes + at)) {
            return truncated("JPEG", size);
        }
        size_t length = be16(bytes + at);
        if (marker == 0xc4 && !huffman_tables_fit(bytes + at + 2, length - 2)) {
            return tlvk__fail(TLVK_ERROR_FORMAT, "damaged JPEG: impossible Huffman table at byte %zu", at);
        }
        bool frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
        if (frame && length >= 7 && *width == 0) {
            *height = (int64_t)be16(bytes + at + 3);
            *width = (int64_t)be16(bytes + at + 5);
        }
        at += length;
    }
    if (*width == 0 || *height == 0) {
        return tlvk__fail(TLVK_ERROR_FORMAT, "damaged JPEG: it holds no picture size");
    }
    return TLVK_OK;
}

/* CRC-32 of ISO 3309 as PNG uses it (PNG specification, annex D), four bits at a time. */
static uint32_t crc32_of(const uint8_t *bytes, size_t size) {
    static const uint32_t nibble[16] = {0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
                                        0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ nibble[crc & 15u];
        crc = crc >> 4 ^ nibble[crc & 15u];
    }
    return ~crc;
}

/* Chunks from IHDR to IEND; critical ones (upper-case first letter) must carry their right checksum, since the decoder does not look. */
static tlvk_status probe_png(const uint8_t *bytes, size_t size, int64_t *width, int64_t *height) {
    size_t at = 8;
    *width = *height = 0;
    for (;;) {
        if (size - at < 12 || size - at - 12 < be32(bytes + at)) {
            return truncated("PNG", size);
        }
        size_t length = be32(bytes + at);
        const uint8_t *type = bytes + at + 4;
        if (!(type[0] & 0x20) && crc32_of(type, length + 4) != be32(type + 4 + length)) {
            return tlvk__fail(TLVK_ERROR_FORMAT, "damaged PNG: wrong checksum in the chunk at byte %zu", at);
        }
        if (memcmp(type, "IHDR", 4) == 0 && length == 13 && at == 8) {
            *width = (int64_t)be32(type + 4);
            *height = (int64_t)be32(type + 8);
        }
        if (memcmp(type, "IEND", 4) == 0) {
            break;
        }
        at += length + 12;
    }
    if (*width == 0 || *height == 0) {
        return tlvk__fail(TLVK_ERROR_FORMAT, "damaged PNG: it holds no picture size");
    }
    return TLVK_OK;
}

/* BITMAPFILEHEADER (14 bytes) and the core or info header behind it; rows are padded to 4 bytes, the last row's padding may be missing. */
static tlvk_status probe_bmp(const uint8_t *bytes, size_t size, int64_t *width, int64_t *height) {
    if (size < 26) {
        return truncated("BMP", size);
    }
    bool core = le32(bytes + 14) == 12;
    if (!core && size < 34) {
        return truncated("BMP", size);
    }
    *width = core ? (int64_t)le16(bytes + 18) : (int64_t)(int32_t)le32(bytes + 18);
    *height = core ? (int64_t)le16(bytes + 20) : (int64_t)(int32_t)le32(bytes + 22);
    int64_t bits = (int64_t)le16(bytes + (core ? 24 : 28));
    uint32_t compression = core ? 0 : le32(bytes + 30);
    *height = *height < 0 ? -*height : *height;
    if (*width <= 0 || *height <= 0 || bits == 0 || bits > 32) {
        return tlvk__fail(TLVK_ERROR_FORMAT, "damaged BMP: %lld x %lld pixels of %lld bits", (long long)*width, (long long)*height, (long long)bits);
    }
    if (compression != 0 && compression != 3) {
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "BMP with compression %u; only uncompressed BMP is read", (unsigned)compression);
    }
    /* Below 2^31 * 2^31 * 32 / 8 nothing overflows once the sides are known to be sane, which the caller's limits are stricter about. */
    if (*width <= TLVK__PICTURE_MAX_SIDE_PX && *height <= TLVK__PICTURE_MAX_SIDE_PX) {
        int64_t row = (*width * bits + 31) / 32 * 4;
        int64_t need = (int64_t)le32(bytes + 10) + row * (*height - 1) + (*width * bits + 7) / 8;
        if ((int64_t)size < need) {
            return truncated("BMP", size);
        }
    }
    return TLVK_OK;
}

static size_t gif_table_bytes(uint8_t flags) { return (flags & 0x80) ? (size_t)3 << ((flags & 7) + 1) : 0; }

/* Skips a chain of sub-blocks (a length byte and so many bytes, ended by length 0). False where the file ends first. */
static bool gif_skip_blocks(const uint8_t *bytes, size_t size, size_t *at) {
    while (*at < size) {
        size_t length = bytes[*at];
        *at += 1;
        if (length == 0) {
            return true;
        }
        if (size - *at < length) {
            return false;
        }
        *at += length;
    }
    return false;
}

/* Header, screen, extensions, up to the end of the first image's data. */
static tlvk_status probe_gif(const uint8_t *bytes, size_t size, int64_t *width, int64_t *height) {
    if (size < 13) {
        return truncated("GIF", size);
    }
    *width = (int64_t)le16(bytes + 6);
    *height = (int64_t)le16(bytes + 8);
    size_t at = 13 + gif_table_bytes(bytes[10]);
    if (*width == 0 || *height == 0) {
        return tlvk__fail(TLVK_ERROR_FORMAT, "damaged GIF: it holds no picture size");
    }
    while (at < size) {
        uint8_t block = bytes[at++];
        bool whole = true;
        if (block == 0x2c) {
            if (size - at < 10) {
                break;
            }
            size_t data = 9 + gif_table_bytes(bytes[at + 8]) + 1;
            if (size - at < data) {
                break;
            }
            at += data;
            if (gif_skip_blocks(bytes, size, &at)) {
                return TLVK_OK;
            }
            break;
        }
        if (block == 0x21 && at < size) {
            at++;
            whole = gif_skip_blocks(bytes, size, &at);
        } else {
            return tlvk__fail(TLVK_ERROR_FORMAT, "damaged GIF: no picture before its end, or an unknown block at byte %zu", at - 1);
        }
        if (!whole) {
            break;
        }
    }
    return truncated("GIF", size);
}

static tlvk_status probe_kind(const uint8_t *bytes, size_t size, tlvk__picture_kind *kind) {
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};
    if (size == 0) {
        return tlvk__fail(TLVK_ERROR_FORMAT, "the file is empty (0 bytes)");
    }
    if (size >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff) {
        *kind = TLVK__JPEG;
    } else if (size >= 8 && memcmp(bytes, png, 8) == 0) {
        *kind = TLVK__PNG;
    } else if (size >= 2 && bytes[0] == 'B' && bytes[1] == 'M') {
        *kind = TLVK__BMP;
    } else if (size >= 6 && (memcmp(bytes, "GIF87a", 6) == 0 || memcmp(bytes, "GIF89a", 6) == 0)) {
        *kind = TLVK__GIF;
    } else {
        return tlvk__fail(TLVK_ERROR_FORMAT, "not a JPEG, PNG, BMP or GIF picture (its first bytes are %02x %02x %02x %02x)", bytes[0],
                          size > 1 ? bytes[1] : 0u, size > 2 ? bytes[2] : 0u, size > 3 ? bytes[3] : 0u);
    }
    return TLVK_OK;
}

tlvk_status tlvk__picture_probe(const uint8_t *bytes, size_t size, tlvk__picture_kind *kind, int64_t *width_px, int64_t *height_px) {
    static tlvk_status (*const probes[])(const uint8_t *, size_t, int64_t *, int64_t *) = {
        [TLVK__JPEG] = probe_jpeg, [TLVK__PNG] = probe_png, [TLVK__BMP] = probe_bmp, [TLVK__GIF] = probe_gif};
    tlvk_status st = probe_kind(bytes, size, kind);
    if (!st) {
        st = probes[*kind](bytes, size, width_px, height_px);
    }
    if (st) {
        return st;
    }
    if (*width_px > TLVK__PICTURE_MAX_SIDE_PX || *height_px > TLVK__PICTURE_MAX_SIDE_PX || *width_px * *height_px > TLVK__PICTURE_MAX_AREA_PX) {
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%lld x %lld pixels; at most %d a side and %lld in all are read", (long long)*width_px,
                          (long long)*height_px, TLVK__PICTURE_MAX_SIDE_PX, (long long)TLVK__PICTURE_MAX_AREA_PX);
    }
    return TLVK_OK;
}
