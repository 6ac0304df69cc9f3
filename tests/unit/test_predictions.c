/* test_predictions.c - what a program shows of a training and of its result: the best classes of a row of scores, and the line of an epoch. */
#include "graph/graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void the_best_come_first(void **state) {
    (void)state;
    const float scores[] = {0.1f, 0.5f, NAN, 0.1f, 0.2f};
    static const int order[] = {1, 4, 0, 3, 2}; /* equal ones by number, what is no number last */
    tlvk_prediction top[8];
    assert_int_equal(tlvk_decode_predictions(NULL, scores, 5, top, 8), 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(top[i].index, order[i]);
        assert_null(top[i].label);
    }
    for (int count = 1; count <= 5; count++) {
        memset(top, 0x55, sizeof top);
        assert_int_equal(tlvk_decode_predictions(NULL, scores, 5, top, count), count);
        for (int i = 0; i < count; i++)
            assert_int_equal(top[i].index, order[i]);
        assert_int_equal(top[count].index, 0x55555555);
    }
    assert_int_equal(tlvk_decode_predictions(NULL, scores, 5, top, 0), 0);
    assert_int_equal(tlvk_decode_predictions(NULL, NULL, 5, top, 3), 0);
}

static void labels_are_the_models(void **state) {
    (void)state;
    tlvk_context *ctx;
    tlvk_model *model;
    assert_int_equal(tlvk_context_create(NULL, &ctx), TLVK_OK);
    tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {3}});
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {x}, .outputs = {tlvk_softmax(x, NULL)}}, &model), TLVK_OK);
    const char *const names[] = {"ant", "bee"};
    assert_int_equal(tlvk_model_set_usage(model, &(tlvk_usage){.class_count = 2, .class_names = names}), TLVK_OK);
    tlvk_prediction top[3];
    assert_int_equal(tlvk_decode_predictions(model, (float[]){0.1f, 0.7f, 0.2f}, 3, top, 3), 3);
    assert_string_equal(top[0].label, "bee");
    assert_null(top[1].label); /* a third class that has no name */
    assert_string_equal(top[2].label, "ant");
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
}

static void an_epoch_is_a_line(void **state) {
    (void)state;
    char text[256] = "";
    FILE *file = tmpfile();
    assert_non_null(file);
    const double none = (double)NAN;
    tlvk_event event = {.kind = TLVK_EVENT_EPOCH_END, .epoch = 1, .epochs = 4,
                        .logs = {.loss = none, .accuracy = 0.5, .val_loss = none, .val_accuracy = none, .seconds = 2.04}};
    assert_int_equal(tlvk_print_epoch(&event, file), TLVK_CONTINUE);
    event.kind = TLVK_EVENT_STEP_END;
    assert_int_equal(tlvk_print_epoch(&event, file), TLVK_CONTINUE);
    rewind(file);
    (void)fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    assert_string_equal(text, "Epoch 2/4 - 2.0s - loss: nan - accuracy: 0.5000\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_best_come_first), cmocka_unit_test(labels_are_the_models), cmocka_unit_test(an_epoch_is_a_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
