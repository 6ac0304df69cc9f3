/* test_plot.c - the curves of a training: pictures of the right kind and size, with the lines that the history has and no others. */
#include "data/picture.h"
#include "train/training.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char path[512];

static const char *in_temp(const char *name) {
    const char *folder = getenv("TLVK_TEST_TEMP");
    (void)snprintf(path, sizeof path, "%s/%s", folder ? folder : ".", name);
    return path;
}

/* Epochs whose accuracy falls and whose loss rises; val_* where wanted; outputs > 1 fill each output too. */
static tlvk_history *history_of(int epochs, bool validation, int outputs) {
    tlvk_history *h = calloc(1, sizeof *h);
    assert_non_null(h);
    for (int i = 0; i < epochs; i++) {
        double nan = (double)NAN, x = epochs > 1 ? (double)i / (epochs - 1) : 0;
        tlvk_logs logs = {.loss = 2 + x, .accuracy = 0.9 - 0.3 * x, .val_loss = validation ? 2.5 + x : nan, .val_accuracy = validation ? 0.8 - 0.3 * x : nan, .outputs = outputs};
        for (int k = 0; k < outputs; k++) {
            logs.output[k].loss = logs.loss + k;
            logs.output[k].accuracy = logs.accuracy / (k + 1);
            logs.output[k].val_loss = logs.output[k].val_accuracy = nan;
        }
        assert_int_equal(tlvk__history_add(h, &logs), TLVK_OK);
    }
    return h;
}

typedef struct drawing { uint8_t *rgb; int width, height; } drawing;

static drawing draw(tlvk_history *h, const char *name) {
    drawing d = {0};
    void *bytes = NULL;
    size_t size = 0;
    if (tlvk_history_plot(h, in_temp(name)) == TLVK_ERROR_UNSUPPORTED)
        skip();
    assert_int_equal(tlvk__file_read(path, &bytes, &size, 1 << 24), TLVK_OK);
    assert_int_equal(tlvk__picture_decode(bytes, size, 3, &d.rgb, &d.width, &d.height), TLVK_OK);
    free(bytes);
    tlvk__file_remove(path);
    tlvk_history_destroy(h);
    return d;
}

/* Pixels of a colour between columns x0 and x1, and the mean of their rows. */
static int pixels_of(const drawing *d, int r, int g, int b, int x0, int x1, double *row) {
    int count = 0;
    double sum = 0;
    for (int y = 0; y < d->height; y++) {
        for (int x = x0; x < x1; x++) {
            const uint8_t *p = d->rgb + 3 * ((size_t)y * (size_t)d->width + (size_t)x);
            bool same = abs(p[0] - r) <= 1 && abs(p[1] - g) <= 1 && abs(p[2] - b) <= 1;
            count += same;
            sum += same ? y : 0;
        }
    }
    if (row)
        *row = count ? sum / count : (double)NAN;
    return count;
}

#define BLUE 0, 114, 178
#define ORANGE 213, 94, 0

static void lines_stand_where_the_values_are(void **state) {
    (void)state;
    drawing d = draw(history_of(10, true, 1), "both.png");
    assert_int_equal(d.width, 2080);
    double left, right, upper, lower;
    assert_true(pixels_of(&d, BLUE, 124, 400, &left) > 200);
    assert_true(pixels_of(&d, BLUE, 700, 990, &right) > 200);
    assert_true(left < right);   /* the accuracy falls */
    (void)pixels_of(&d, BLUE, 1164, 1400, &left);
    (void)pixels_of(&d, BLUE, 1740, 2030, &right);
    assert_true(left > right);   /* the loss rises */
    (void)pixels_of(&d, BLUE, 300, 500, &upper);
    (void)pixels_of(&d, ORANGE, 300, 500, &lower);
    assert_true(upper < lower);  /* val_accuracy lies below */
    free(d.rgb);
}

static void what_was_not_measured_is_not_drawn(void **state) {
    (void)state;
    drawing d = draw(history_of(3, false, 1), "alone.png");
    assert_true(pixels_of(&d, BLUE, 0, d.width, NULL) > 0);
    assert_int_equal(pixels_of(&d, ORANGE, 0, d.width, NULL), 0);
    free(d.rgb);
    tlvk_history *h = history_of(3, false, 1);
    for (size_t i = 0; i < h->count; i++)
        h->logs[i].accuracy = (double)NAN;
    d = draw(h, "loss.png");
    assert_int_equal(d.width, 1040); /* one panel */
    free(d.rgb);
}

static void every_number_of_epochs_can_be_drawn(void **state) {
    (void)state;
    static const int epochs[] = {1, 2, 41, 1000};
    for (size_t i = 0; i < TLVK__COUNT(epochs); i++) {
        drawing d = draw(history_of(epochs[i], true, 1), "epochs.png");
        assert_true(pixels_of(&d, BLUE, 0, d.width, NULL) > 0);
        free(d.rgb);
    }
    tlvk_history *diverged = history_of(2, false, 1);
    for (size_t i = 0; i < diverged->count; i++)
        diverged->logs[i].loss = diverged->logs[i].accuracy = (double)NAN;
    drawing d = draw(diverged, "nan.png");
    free(d.rgb);
}

static void several_outputs_have_a_line_each(void **state) {
    (void)state;
    drawing one = draw(history_of(4, false, 1), "one.png"), three = draw(history_of(4, false, 3), "three.png");
    assert_true(three.height > one.height); /* a longer legend */
    assert_true(pixels_of(&three, ORANGE, 0, three.width, NULL) > 0);
    free(one.rgb);
    free(three.rgb);
}

static void svg_is_text_that_follows_the_numbers(void **state) {
    (void)state;
    char *texts[2];
    for (int i = 0; i < 2; i++) {
        tlvk_history *h = history_of(4 + i, true, 1);
        size_t size;
        if (tlvk_history_plot(h, in_temp("curves.svg")) == TLVK_ERROR_UNSUPPORTED)
            skip();
        void *bytes = NULL;
        assert_int_equal(tlvk__file_read(path, &bytes, &size, 1 << 24), TLVK_OK);
        texts[i] = bytes;
        assert_non_null(strstr(texts[i], "<svg"));
        tlvk_history_destroy(h);
    }
    assert_string_not_equal(texts[0], texts[1]);
    tlvk__file_remove(path);
    free(texts[0]);
    free(texts[1]);
}

static void refusals_say_why(void **state) {
    (void)state;
    tlvk_history *h = history_of(2, true, 1), *empty = history_of(0, true, 1);
    assert_int_equal(tlvk_history_plot(h, "curves.jpg"), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(NULL), ".png"));
    assert_int_equal(tlvk_history_plot(empty, "curves.png"), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_history_plot(NULL, "curves.png"), TLVK_ERROR_ARGUMENT);
    tlvk_status st = tlvk_history_plot(h, in_temp("no such folder/curves.png"));
    assert_true(st == TLVK_ERROR_FILE || st == TLVK_ERROR_UNSUPPORTED);
    tlvk_history_destroy(h);
    tlvk_history_destroy(empty);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_stand_where_the_values_are), cmocka_unit_test(what_was_not_measured_is_not_drawn),
        cmocka_unit_test(every_number_of_epochs_can_be_drawn), cmocka_unit_test(several_outputs_have_a_line_each),
        cmocka_unit_test(svg_is_text_that_follows_the_numbers), cmocka_unit_test(refusals_say_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
