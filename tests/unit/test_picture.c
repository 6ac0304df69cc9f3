/* test_picture.c - one picture file to one sample: decoding, TensorFlow's resize, Keras's preprocessing, and files that are no pictures. */
#include "data/picture.h"
#include "support/pictures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static test_bytes file;

static uint8_t *decode(const void *bytes, size_t size, int channels, int h, int w) {
    uint8_t *pixels = NULL;
    int got_w = 0, got_h = 0;
    assert_int_equal(tlvk__picture_decode(bytes, size, channels, &pixels, &got_w, &got_h), TLVK_OK);
    assert_int_equal(got_w, w);
    assert_int_equal(got_h, h);
    return pixels;
}

static void assert_pixel(const uint8_t *pixels, int w, int y, int x, int r, int g, int b, int bound) {
    const uint8_t *p = pixels + (y * w + x) * 3;
    assert_true(abs(p[0] - r) <= bound && abs(p[1] - g) <= bound && abs(p[2] - b) <= bound);
}

static void bmp_and_png_give_their_bytes(void **state) {
    (void)state;
    uint8_t rgb[5 * 7 * 3];
    test_fill(rgb, 5, 7, 3);
    make_bmp(&file, rgb, 5, 7);
    uint8_t *pixels = decode(file.v, file.size, 3, 5, 7);
    assert_memory_equal(pixels, rgb, sizeof rgb);
    tlvk__pixels_free(pixels);
    make_png(&file, rgb, 5, 7, 3, 8);
    pixels = decode(file.v, file.size, 3, 5, 7);
    assert_memory_equal(pixels, rgb, sizeof rgb);
    tlvk__pixels_free(pixels);
}

static void colour_modes(void **state) {
    (void)state;
    static const uint8_t grey[2] = {7, 200}, rgba[8] = {1, 2, 3, 0, 40, 50, 60, 128};
    make_png(&file, grey, 1, 2, 1, 8);
    uint8_t *pixels = decode(file.v, file.size, 3, 1, 2);
    assert_memory_equal(pixels, ((uint8_t[]){7, 7, 7, 200, 200, 200}), 6); /* grey repeated */
    tlvk__pixels_free(pixels);
    pixels = decode(file.v, file.size, 4, 1, 2);
    assert_memory_equal(pixels, ((uint8_t[]){7, 7, 7, 255, 200, 200, 200, 255}), 8);
    tlvk__pixels_free(pixels);
    make_png(&file, rgba, 1, 2, 4, 8);
    pixels = decode(file.v, file.size, 3, 1, 2);
    assert_memory_equal(pixels, ((uint8_t[]){1, 2, 3, 40, 50, 60}), 6); /* alpha dropped, not blended */
    tlvk__pixels_free(pixels);
    pixels = decode(file.v, file.size, 4, 1, 2);
    assert_memory_equal(pixels, rgba, 8);
    tlvk__pixels_free(pixels);
}

/* Expected: tf.image.decode_image(png, channels=1) of these four colours. */
static void colour_to_grey_as_tensorflow(void **state) {
    (void)state;
    static const uint8_t rgb[12] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 200, 77};
    make_png(&file, rgb, 1, 4, 3, 8);
    uint8_t *pixels = decode(file.v, file.size, 1, 1, 4);
    assert_memory_equal(pixels, ((uint8_t[]){76, 149, 29, 129}), 4);
    tlvk__pixels_free(pixels);
}

/* Expected: tf.image.decode_image of a 16-bit PNG: the upper byte. */
static void sixteen_bits_are_cut(void **state) {
    (void)state;
    static const uint16_t values[8] = {0, 256, 65535, 1000, 30000, 40000, 511, 512};
    uint8_t samples[16];
    for (int i = 0; i < 8; i++) {
        samples[2 * i] = (uint8_t)(values[i] >> 8);
        samples[2 * i + 1] = (uint8_t)values[i];
    }
    make_png(&file, samples, 2, 4, 1, 16);
    uint8_t *pixels = decode(file.v, file.size, 1, 2, 4);
    assert_memory_equal(pixels, ((uint8_t[]){0, 1, 255, 3, 117, 156, 1, 2}), 8);
    tlvk__pixels_free(pixels);
}

static void jpeg_and_gif(void **state) {
    (void)state;
    uint8_t *p = decode(test_jpeg, sizeof test_jpeg, 3, 16, 16);
    assert_pixel(p, 16, 2, 2, 198, 40, 39, 3);
    assert_pixel(p, 16, 2, 12, 39, 201, 40, 3);
    assert_pixel(p, 16, 12, 2, 37, 40, 197, 3);
    assert_pixel(p, 16, 12, 12, 219, 219, 219, 3);
    tlvk__pixels_free(p);
    p = decode(test_jpeg, sizeof test_jpeg, 1, 16, 16);
    assert_true(abs(p[2 * 16 + 2] - 87) <= 2 && abs(p[2 * 16 + 12] - 134) <= 2 && abs(p[12 * 16 + 2] - 57) <= 2);
    tlvk__pixels_free(p);
    p = decode(test_gif, sizeof test_gif, 3, 4, 4);
    assert_pixel(p, 4, 0, 0, 200, 40, 40, 0);
    assert_pixel(p, 4, 0, 3, 40, 200, 40, 0);
    assert_pixel(p, 4, 3, 0, 40, 40, 200, 0);
    assert_pixel(p, 4, 3, 3, 220, 220, 220, 0);
    tlvk__pixels_free(p);
}

static bool by_libjpeg(void) { return tlvk__decoder_version() > 1; }

/* Expected: tf.io.decode_image (TensorFlow 2.21): two checksums over all bytes. Only libjpeg gives these; stb_image comes near. */
static void jpeg_as_tensorflow(void **state) {
    (void)state;
    uint8_t *p = decode(test_progressive, sizeof test_progressive, 3, 16, 24);
    uint32_t sum = 0, mixed = 0;
    for (uint32_t i = 0; i < 16 * 24 * 3; i++) {
        sum += p[i];
        mixed ^= p[i] * (i + 1);
    }
    if (by_libjpeg()) {
        assert_int_equal(sum, 143409);
        assert_int_equal(mixed, 0x3f21f);
    }
    assert_pixel(p, 24, 2, 2, 209, 34, 47, 6);
    assert_pixel(p, 24, 12, 18, 221, 220, 218, 6);
    uint8_t *rgba = decode(test_progressive, sizeof test_progressive, 4, 16, 24);
    for (int i = 0; i < 16 * 24; i++) {
        assert_memory_equal(rgba + 4 * i, p + 3 * i, 3);
        assert_int_equal(rgba[4 * i + 3], 255);
    }
    tlvk__pixels_free(rgba);
    tlvk__pixels_free(p);
    p = decode(test_cmyk, sizeof test_cmyk, 3, 8, 8);
    assert_pixel(p, 8, 2, 2, 0, 0, 0, 2);
    assert_pixel(p, 8, 2, 6, 115, 81, 7, by_libjpeg() ? 0 : 3);
    assert_pixel(p, 8, 7, 7, 114, 79, 7, by_libjpeg() ? 1 : 4);
    tlvk__pixels_free(p);
    for (int channels = 1; channels <= 4; channels += 3) {
        p = decode(test_cmyk, sizeof test_cmyk, channels, 8, 8);
        assert_true(channels == 4 ? p[(2 * 8 + 6) * 4 + 3] == 255 : abs(p[2 * 8 + 6] - 82) <= 4);
        tlvk__pixels_free(p);
    }
}

/* By eighths, to no less than is wanted; the quadrants' colours stay. Other kinds stay as they are. */
static void fast_decoding_shrinks(void **state) {
    (void)state;
    static const struct { int least[2], w, h; } cases[] = {{{24, 16}, 24, 16}, {{23, 1}, 24, 16}, {{12, 8}, 12, 8}, {{1, 1}, 3, 2}, {{13, 2}, 15, 10}, {{30, 4}, 24, 16}};
    uint8_t *p = NULL;
    int w = 0, h = 0;
    for (size_t i = 0; i < TLVK__COUNT(cases); i++) {
        assert_int_equal(tlvk__picture_decode_fast(test_progressive, sizeof test_progressive, 3, cases[i].least, &p, &w, &h), TLVK_OK);
        assert_int_equal(w, by_libjpeg() ? cases[i].w : 24);
        assert_int_equal(h, by_libjpeg() ? cases[i].h : 16);
        assert_pixel(p, w, 0, 0, 200, 40, 40, 16);
        assert_pixel(p, w, h - 1, w - 1, 220, 220, 220, 16);
        tlvk__pixels_free(p);
    }
    assert_int_equal(tlvk__picture_decode_fast(test_gif, sizeof test_gif, 3, (const int[2]){1, 1}, &p, &w, &h), TLVK_OK);
    assert_true(w == 4 && h == 4);
    tlvk__pixels_free(p);
}

static void assert_resized(tlvk_resize method, int h, int w, int c, int oh, int ow, const float *expected) {
    uint8_t in[128];
    float out[64];
    test_fill(in, h, w, c);
    assert_int_equal(tlvk__resize(method, in, h, w, c, out, oh, ow), TLVK_OK);
    for (int i = 0; i < oh * ow * c; i++) {
        assert_true(out[i] == expected[i]);
    }
}

/* Expected: tf.image.resize (TensorFlow 2.21) of the test picture, printed with nine digits; equal to the last bit. */
static void resize_as_tensorflow(void **state) {
    (void)state;
    static const float smaller[36] = {66.7083282f, 119.708328f, 172.708328f, 28.0f, 81.0f, 134.0f, 138.625046f, 191.625046f, 84.6249847f,
                                      127.124992f, 180.125f, 169.125f, 138.0f, 191.0f, 148.0f, 116.875f, 169.875f, 105.541687f,
                                      187.541656f, 133.875f, 122.875f, 88.0f, 141.0f, 98.0f, 116.458321f, 169.458313f, 105.125008f,
                                      98.625f, 130.291672f, 183.291672f, 102.0f, 155.0f, 208.0f, 137.375031f, 190.375031f, 83.3749695f};
    static const float larger[20] = {0.0f, 36.4000015f, 91.0f, 145.600006f, 182.0f, 9.25f, 47.3500023f, 104.5f, 161.650009f, 199.75f,
                                     27.75f, 69.25f, 131.5f, 193.750015f, 235.25f, 37.0f, 80.2000046f, 145.0f, 209.800018f, 253.0f};
    static const float from_one[16] = {0.0f, 53.0f, 106.0f, 159.0f, 0.0f, 53.0f, 106.0f, 159.0f, 0.0f, 53.0f, 106.0f, 159.0f, 0.0f, 53.0f, 106.0f, 159.0f};
    static const float nearest[12] = {0.0f, 182.0f, 108.0f, 34.0f, 74.0f, 68.0f, 62.0f, 56.0f, 148.0f, 210.0f, 16.0f, 78.0f};
    static const float same[4] = {0.0f, 91.0f, 37.0f, 145.0f};
    assert_resized(TLVK_BILINEAR, 5, 7, 3, 4, 3, smaller);
    assert_resized(TLVK_BILINEAR, 2, 3, 1, 4, 5, larger);
    assert_resized(TLVK_BILINEAR, 1, 1, 4, 2, 2, from_one);
    assert_resized(TLVK_NEAREST, 5, 7, 1, 3, 4, nearest);
    assert_resized(TLVK_BILINEAR, 2, 2, 1, 2, 2, same);
    assert_resized(TLVK_NEAREST, 2, 2, 1, 2, 2, same);
}

/* Expected: keras.applications.imagenet_utils.preprocess_input on a float32 tensor (Keras 3.15). */
static void preprocess_as_keras(void **state) {
    (void)state;
    static const struct {
        tlvk_preprocess kind;
        float expected[6];
    } cases[] = {
        {TLVK_PREPROCESS_NONE, {0.0f, 128.0f, 255.0f, 37.0f, 91.0f, 53.0f}},
        {TLVK_PREPROCESS_TF, {-1.0f, 0.003921628f, 1.0f, -0.709803939f, -0.286274493f, -0.58431375f}},
        {TLVK_PREPROCESS_CAFFE, {151.061005f, 11.2210007f, -123.68f, -50.939003f, -25.7789993f, -86.6800003f}},
        {TLVK_PREPROCESS_TORCH, {-2.11790395f, 0.205182195f, 2.6400001f, -1.4842881f, -0.442576975f, -0.880697131f}},
        {TLVK_PREPROCESS_SCALE, {0.0f, 0.501960814f, 1.0f, 0.145098045f, 0.356862754f, 0.20784314f}},
    };
    for (size_t i = 0; i < TLVK__COUNT(cases); i++) {
        float x[6] = {0.0f, 128.0f, 255.0f, 37.0f, 91.0f, 53.0f};
        tlvk__preprocess(cases[i].kind, x, 2, 3);
        for (int k = 0; k < 6; k++) {
            assert_true(x[k] == cases[i].expected[k]);
        }
    }
}

static void assert_refused(const void *bytes, size_t size, const char *word) {
    uint8_t *pixels = NULL;
    int w = 0, h = 0;
    assert_int_not_equal(tlvk__picture_decode(bytes, size, 3, &pixels, &w, &h), TLVK_OK);
    assert_null(pixels);
    assert_non_null(strstr(tlvk__fail_text(), word));
}

/* Every proper beginning of a file is refused, for each kind: TensorFlow refuses them too. A GIF is whole once its first picture is. */
static void every_truncation_is_refused(void **state) {
    (void)state;
    uint8_t rgb[5 * 7 * 3];
    test_fill(rgb, 5, 7, 3);
    for (size_t n = 0; n < sizeof test_jpeg; n++) {
        assert_refused(test_jpeg, n, n == 0 ? "empty" : n < 3 ? "not a JPEG" : "truncated JPEG");
    }
    for (size_t n = 6; n < sizeof test_gif - 1; n++) {
        assert_refused(test_gif, n, "truncated GIF");
    }
    make_png(&file, rgb, 5, 7, 3, 8);
    for (size_t n = 8; n < file.size; n++) {
        assert_refused(file.v, n, "truncated PNG");
    }
    make_bmp(&file, rgb, 5, 7);
    for (size_t n = 2; n < file.size - 3; n++) { /* the last row ends with 3 bytes of padding */
        assert_refused(file.v, n, "truncated BMP");
    }
}

static void damage_and_bombs_are_refused(void **state) {
    (void)state;
    uint8_t rgb[5 * 7 * 3];
    test_fill(rgb, 5, 7, 3);
    make_png(&file, rgb, 5, 7, 3, 8);
    file.v[70] ^= 1;
    assert_refused(file.v, file.size, "checksum");
    make_png(&file, rgb, 5, 7, 3, 8);
    file.v[16] = 0x7f; /* width 2 thousand million, with a right checksum */
    uint32_t crc = test_crc32(file.v + 12, 17);
    for (int i = 0; i < 4; i++) {
        file.v[29 + i] = (uint8_t)(crc >> (8 * (3 - i)));
    }
    assert_refused(file.v, file.size, "at most 16384 a side");
    assert_refused("a text, not a picture", 21, "not a JPEG, PNG, BMP or GIF");
    assert_refused("\xff\xd8\xff\xd9", 4, "holds no picture size");
}

/* A scan costs a walk over the whole picture and hardly a byte of the file: the last one of a good picture, again and again. */
static void too_many_scans_are_refused(void **state) {
    (void)state;
    size_t scan = sizeof test_progressive - 2;
    while (test_progressive[scan] != 0xff || test_progressive[scan + 1] != 0xda) {
        scan--;
    }
    size_t bytes = sizeof test_progressive - 2 - scan;
    for (int times = 2; times <= 200; times += 198) {
        memcpy(file.v, test_progressive, scan);
        file.size = scan;
        for (int i = 0; i < times; i++) {
            put(&file, test_progressive + scan, bytes);
        }
        put(&file, "\xff\xd9", 2);
        if (times == 2 && by_libjpeg()) {
            tlvk__pixels_free(decode(file.v, file.size, 3, 16, 24));
        } else { /* stb_image takes no scan twice */
            assert_refused(file.v, file.size, by_libjpeg() ? "more than 100 scans" : "JPEG cannot be decoded");
        }
    }
}

/* No input may read or write out of bounds or hang; the sanitizers watch. Bytes are changed one and a few at a time, by a fixed seed. */
static void damaged_bytes_do_no_harm(void **state) {
    (void)state;
    uint8_t rgb[5 * 7 * 3];
    tlvk__rng rng;
    test_fill(rgb, 5, 7, 3);
    tlvk__rng_seed(&rng, 1, 0);
    for (int i = 0; i < 9000; i++) {
        switch (i % 6) {
        case 0: memcpy(file.v, test_jpeg, file.size = sizeof test_jpeg); break;
        case 1: memcpy(file.v, test_gif, file.size = sizeof test_gif); break;
        case 2: make_bmp(&file, rgb, 5, 7); break;
        case 3: memcpy(file.v, test_progressive, file.size = sizeof test_progressive); break;
        case 4: memcpy(file.v, test_cmyk, file.size = sizeof test_cmyk); break;
        default: make_png(&file, rgb, 5, 7, 3, 8); break;
        }
        for (uint64_t k = 0; k <= tlvk__rng_below(&rng, 4); k++) {
            file.v[tlvk__rng_below(&rng, file.size)] = (uint8_t)tlvk__rng_u32(&rng);
        }
        uint8_t *pixels = NULL;
        int w = 0, h = 0;
        static const int channels[3] = {1, 3, 4};
        int wanted = channels[tlvk__rng_below(&rng, 3)], least[2] = {1 + (int)tlvk__rng_below(&rng, 20), 1 + (int)tlvk__rng_below(&rng, 20)};
        tlvk_status st = i % 2 ? tlvk__picture_decode(file.v, file.size, wanted, &pixels, &w, &h)
                               : tlvk__picture_decode_fast(file.v, file.size, wanted, least, &pixels, &w, &h);
        if (st == TLVK_OK) {
            assert_true(w > 0 && h > 0);
            volatile uint32_t sum = 0; /* the sanitizers watch that every byte is there to be read */
            for (size_t k = 0; k < (size_t)w * (size_t)h * (size_t)wanted; k++) {
                sum = sum + pixels[k];
            }
        } else {
            assert_null(pixels);
        }
        tlvk__pixels_free(pixels);
    }
}

static void whole_way_and_hash(void **state) {
    (void)state;
    char *folder = test_folder("picture");
    char *one = tlvk__format("%s/one.bmp", folder), *copy = tlvk__format("%s/copy.png", folder), *two = tlvk__format("%s/two.bmp", folder);
    tlvk__picture_spec spec = {.height = 4, .width = 3, .channels = 3, .resize = TLVK_BILINEAR, .preprocess = TLVK_PREPROCESS_SCALE};
    float x[36], again[36];
    tlvk__hash h1, h2, h3;
    test_write_picture(folder, "one.bmp", 1);
    test_write_picture(folder, "copy.png", 1); /* the bytes decide, not the name */
    test_write_picture(folder, "two.bmp", 2);
    assert_int_equal(tlvk__picture_read(&spec, one, x, &h1), TLVK_OK);
    assert_int_equal(tlvk__picture_read(&spec, copy, again, &h2), TLVK_OK);
    assert_memory_equal(x, again, sizeof x);
    assert_memory_equal(&h1, &h2, sizeof h1);
    assert_int_equal(tlvk__picture_hash_file(&spec, one, &h3), TLVK_OK);
    assert_memory_equal(&h1, &h3, sizeof h1);
    assert_int_equal(tlvk__picture_hash_file(&spec, two, &h3), TLVK_OK);
    assert_memory_not_equal(&h1, &h3, sizeof h1);
    spec.resize = TLVK_NEAREST;
    assert_int_equal(tlvk__picture_hash_file(&spec, one, &h3), TLVK_OK);
    assert_memory_not_equal(&h1, &h3, sizeof h1);
    assert_int_equal(tlvk__picture_read(&spec, folder, x, NULL), TLVK_ERROR_FILE);
    assert_int_equal(strncmp(tlvk__fail_text(), folder, strlen(folder)), 0);
    free(one);
    free(copy);
    free(two);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bmp_and_png_give_their_bytes), cmocka_unit_test(colour_modes),        cmocka_unit_test(colour_to_grey_as_tensorflow),
        cmocka_unit_test(sixteen_bits_are_cut),         cmocka_unit_test(jpeg_and_gif),        cmocka_unit_test(resize_as_tensorflow),
        cmocka_unit_test(jpeg_as_tensorflow),           cmocka_unit_test(fast_decoding_shrinks), cmocka_unit_test(too_many_scans_are_refused),
        cmocka_unit_test(preprocess_as_keras),          cmocka_unit_test(every_truncation_is_refused), cmocka_unit_test(damage_and_bombs_are_refused),
        cmocka_unit_test(damaged_bytes_do_no_harm),     cmocka_unit_test(whole_way_and_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
