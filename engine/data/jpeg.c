/* jpeg.c - hides libjpeg: its error handler that would exit, its memory, and the settings under which it gives TensorFlow's pixels.
 *
 * tf.io.decode_image uses libjpeg-turbo with the fast integer transform and smooth ("fancy") upsampling of colour; so does this file, and 398
 * photographs came out equal to TensorFlow 2.21's to the last byte. CMYK becomes RGB as in tensorflow/core/lib/jpeg/jpeg_mem.cc. */
#include "data/jpeg.h"

#if TLVK_WITH_JPEG

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
/* behind jpeglib.h, whose types it names */
#include <jerror.h>

/* Encoders use about ten scans; a small file may hold thousands, each of which costs a walk over all of a huge picture. */
#define MAX_SCANS 100

typedef struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    char why[JMSG_LENGTH_MAX];
    bool memory;              /* the reason is a lack of memory */
    uint8_t *pixels, *row;    /* row: one line of CMYK, or of RGB to which alpha is added */
} decoder;

/* libjpeg's default prints and exits. */
static void leave(j_common_ptr info) {
    decoder *d = info->client_data;
    d->memory = info->err->msg_code == JERR_OUT_OF_MEMORY;
    info->err->format_message(info, d->why);
    longjmp(d->failed, 1);
}

static void say_nothing(j_common_ptr info) { (void)info; }

/* Warnings are of damaged data that libjpeg goes on from, as TensorFlow does. */
static void count_nothing(j_common_ptr info, int level) { (void)info, (void)level; }

static void watch_scans(j_common_ptr info) {
    decoder *d = info->client_data;
    if (d->jpeg.input_scan_number > MAX_SCANS) {
        snprintf(d->why, sizeof d->why, "more than %d scans", MAX_SCANS);
        longjmp(d->failed, 1);
    }
}

static bool is_cmyk(const decoder *d) { return d->jpeg.jpeg_color_space == JCS_CMYK || d->jpeg.jpeg_color_space == JCS_YCCK; }

/* Adobe writes CMYK inverted. `to` has the channels asked for. */
static void from_cmyk(const decoder *d, const uint8_t *from, int channels, uint8_t *to) {
    for (JDIMENSION x = 0; x < d->jpeg.output_width; x++, from += 4, to += channels) {
        unsigned ink[4], rgb[3];
        for (int i = 0; i < 4; i++) {
            ink[i] = d->jpeg.saw_Adobe_marker ? from[i] : 255u - from[i];
        }
        for (int i = 0; i < 3; i++) {
            rgb[i] = ink[3] * ink[i] / 255u;
        }
        if (channels == 1) {
            to[0] = (uint8_t)((9797u * rgb[0] + 19234u * rgb[1] + 3737u * rgb[2]) >> 15);
            continue;
        }
        for (int i = 0; i < 3; i++) {
            to[i] = (uint8_t)rgb[i];
        }
        if (channels == 4) {
            to[3] = 255;
        }
    }
}

static void add_alpha(const uint8_t *from, size_t width, uint8_t *to) {
    for (size_t x = 0; x < width; x++, from += 3, to += 4) {
        to[0] = from[0];
        to[1] = from[1];
        to[2] = from[2];
        to[3] = 255;
    }
}

/* The smallest of libjpeg's sizes, eighths of the whole, that is no smaller than wanted either way. */
static void shrink(struct jpeg_decompress_struct *jpeg, const int least[2]) {
    jpeg->scale_denom = 8;
    for (jpeg->scale_num = 1; jpeg->scale_num < 8; jpeg->scale_num++) {
        jpeg_calc_output_dimensions(jpeg);
        if (jpeg->output_width >= (JDIMENSION)least[0] && jpeg->output_height >= (JDIMENSION)least[1]) {
            return;
        }
    }
}

static void read_head(decoder *d, const uint8_t *bytes, size_t size, int channels, const int *least) {
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->progress = &d->progress;
    jpeg->mem->max_memory_to_use = (long)TLVK__PICTURE_MAX_DECODING_BYTES;
    jpeg_mem_src(jpeg, bytes, (unsigned long)size);
    jpeg_read_header(jpeg, TRUE);
    jpeg->out_color_space = is_cmyk(d) ? JCS_CMYK : channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg->dct_method = JDCT_IFAST;
    jpeg->do_fancy_upsampling = TRUE;
    if (least) {
        shrink(jpeg, least);
    }
}

/* Where it fails it does not return: see tlvk__jpeg_decode. */
static void read_picture(decoder *d, int channels) {
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    jpeg_start_decompress(jpeg);
    bool through_row = is_cmyk(d) || channels == 4;
    size_t width = jpeg->output_width, row_bytes = width * (size_t)channels;
    d->pixels = malloc(row_bytes * jpeg->output_height);
    d->row = through_row ? malloc(width * 4) : NULL;
    if (!d->pixels || (through_row && !d->row)) {
        ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
    }
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *to = d->pixels + (size_t)jpeg->output_scanline * row_bytes;
        JSAMPROW line = through_row ? d->row : to;
        jpeg_read_scanlines(jpeg, &line, 1);
        if (is_cmyk(d)) {
            from_cmyk(d, d->row, channels, to);
        } else if (through_row) {
            add_alpha(d->row, width, to);
        }
    }
    jpeg_finish_decompress(jpeg);
}

tlvk_status tlvk__jpeg_decode(const uint8_t *bytes, size_t size, int channels, const int *least, uint8_t **pixels, int *width_px, int *height_px) {
    decoder *d = tlvk__calloc(1, sizeof *d);
    if (!d) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to decode a JPEG");
    }
    d->jpeg.err = jpeg_std_error(&d->errors);
    d->jpeg.client_data = d;
    d->errors.error_exit = leave;
    d->errors.output_message = say_nothing;
    d->errors.emit_message = count_nothing;
    d->progress.progress_monitor = watch_scans;
    tlvk_status st = TLVK_OK;
    if (setjmp(d->failed) == 0) {
        read_head(d, bytes, size, channels, least);
        read_picture(d, channels);
    } else {
        st = tlvk__fail(d->memory ? TLVK_ERROR_MEMORY : TLVK_ERROR_FORMAT, "JPEG cannot be decoded: %s", d->why);
        free(d->pixels);
        d->pixels = NULL;
    }
    *pixels = d->pixels;
    *width_px = (int)d->jpeg.output_width;
    *height_px = (int)d->jpeg.output_height;
    jpeg_destroy_decompress(&d->jpeg);
    free(d->row);
    free(d);
    return st;
}

int32_t tlvk__jpeg_version(void) { return JPEG_LIB_VERSION; }

#endif
