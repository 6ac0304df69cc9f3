/* test_json.c - the architecture alone as Keras's JSON: there and back, a Sequential that is told its input, and texts that are none. */
#include "graph/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static tlvk_context *ctx;

static int setup(void **state) {
    (void)state;
    return tlvk_context_create(NULL, &ctx) != TLVK_OK;
}

static int teardown(void **state) {
    (void)state;
    tlvk_context_destroy(ctx);
    return 0;
}

static void there_and_back_is_the_same_network(void **state) {
    (void)state;
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){.shape = {TLVK_ANY, 9, 3}, .name = "pictures"});
    tlvk_tensor a = tlvk_conv2d(in, &(tlvk_conv2d_desc){.filters = 4, .kernel_size = {3}, .name = "a", .not_trainable = true});
    tlvk_tensor b = tlvk_conv2d(in, &(tlvk_conv2d_desc){.filters = 4, .kernel_size = {3}, .name = "b", .activation = TLVK_RELU});
    tlvk_tensor y = tlvk_global_average_pooling2d(tlvk_add((tlvk_tensor[]){a, b}, 2, "sum"), "pool");
    tlvk_model *model, *again;
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.name = "net", .inputs = {in}, .outputs = {y}}, &model), TLVK_OK);
    char *json, *before, *after;
    assert_int_equal(tlvk_model_to_json(model, &json), TLVK_OK);
    assert_int_equal(tlvk_model_from_json(ctx, json, NULL, &again), TLVK_OK);
    assert_int_equal(tlvk_model_summary(model, &before), TLVK_OK);
    assert_int_equal(tlvk_model_summary(again, &after), TLVK_OK);
    assert_string_equal(before, after);
    assert_false(tlvk_layer_trainable(tlvk_model_find_layer(again, "a")));
    tlvk_free(json);
    tlvk_free(before);
    tlvk_free(after);
    tlvk_model_destroy(model);
    tlvk_model_destroy(again);
}

static const char *head = "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"head\", \"layers\": ["
                          "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"units\": 5, \"activation\": \"hard_sigmoid\"}}]}%s}";

static void a_sequential_is_told_its_input(void **state) {
    (void)state;
    char text[512];
    tlvk_model *model;
    (void)snprintf(text, sizeof text, head, "");
    assert_int_equal(tlvk_model_from_json(ctx, text, NULL, &model), TLVK_ERROR_UNSUPPORTED); /* nothing says what it is called with */
    assert_null(model);
    assert_int_equal(tlvk_model_from_json(ctx, text, (int64_t[]){7, 0}, &model), TLVK_OK);
    int64_t total;
    assert_int_equal(tlvk_model_count_params(model, &total, NULL), TLVK_OK);
    assert_int_equal(total, 7 * 5 + 5);
    tlvk_model_destroy(model);
}

/* hard_sigmoid means one thing to Keras 2 and another to Keras 3. */
static tlvk_activation_kind activation_of(const char *version) {
    char text[512];
    tlvk_model *model;
    (void)snprintf(text, sizeof text, head, version);
    assert_int_equal(tlvk_model_from_json(ctx, text, (int64_t[]){7, 0}, &model), TLVK_OK);
    const tlvk__dense_attrs *attrs = tlvk_model_find_layer(model, "d")->attrs;
    tlvk_activation_kind kind = attrs->activation.kind;
    tlvk_model_destroy(model);
    return kind;
}

static void the_generation_is_told_from_the_text(void **state) {
    (void)state;
    assert_int_equal(activation_of(", \"keras_version\": \"2.4.0\""), TLVK_HARD_SIGMOID_KERAS2);
    assert_int_equal(activation_of(", \"keras_version\": \"3.5.0\""), TLVK_HARD_SIGMOID);
    assert_int_equal(activation_of(", \"module\": \"keras\", \"registered_name\": null"), TLVK_HARD_SIGMOID);
    assert_int_equal(activation_of(""), TLVK_HARD_SIGMOID_KERAS2);
}

static void what_is_no_model_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"", "{", "[]", "{}", "{\"class_name\": \"Sequential\"}", "{\"class_name\": \"Mine\", \"config\": {}}"};
    for (size_t i = 0; i < TLVK__COUNT(texts); i++) {
        tlvk_model *model;
        tlvk_status st = tlvk_model_from_json(ctx, texts[i], NULL, &model);
        assert_true(st == TLVK_ERROR_FORMAT || st == TLVK_ERROR_UNSUPPORTED);
        assert_null(model);
        assert_true(strlen(tlvk_last_error(ctx)) > 10);
    }
    tlvk_model *model;
    char *json;
    assert_int_equal(tlvk_model_from_json(ctx, NULL, NULL, &model), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_to_json(NULL, &json), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_from_json(ctx, head, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1, 0}, &model), TLVK_ERROR_ARGUMENT);
}

static void what_cannot_be_saved_is_told_before(void **state) {
    (void)state;
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){.shape = {4}});
    tlvk_model *plain, *swish;
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {in}, .outputs = {tlvk_softmax(in, NULL)}}, &plain), TLVK_OK);
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {in}, .outputs = {tlvk_activation(in, TLVK_HARD_SWISH, NULL)}}, &swish), TLVK_OK);
    assert_int_equal(tlvk_model_check_save(plain, "there/a.h5"), TLVK_OK);
    assert_int_equal(tlvk_model_check_save(swish, "there/a.h5"), TLVK_ERROR_UNSUPPORTED);
    assert_non_null(strstr(tlvk_last_error(ctx), "hard_swish"));
    tlvk_status archive = tlvk_model_check_save(swish, "there/a.keras"); /* refused only where the build has no zip */
    assert_true(archive == TLVK_OK || strstr(tlvk_last_error(ctx), "libarchive"));
    assert_int_equal(tlvk_model_check_save(plain, "there/a.weights.h5"), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_check_save(plain, "there/a.onnx"), TLVK_ERROR_UNSUPPORTED);
    assert_int_equal(tlvk_model_check_save(NULL, "a.h5"), TLVK_ERROR_ARGUMENT);
    tlvk_tensor slash = tlvk_activation(tlvk_activation(in, TLVK_RELU, "x/y"), TLVK_RELU, "x_y");
    tlvk_model *alike;
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {in}, .outputs = {slash}}, &alike), TLVK_OK);
    static const char *const forms[] = {"a.h5", "a.keras"};
    for (size_t i = 0; i < TLVK__COUNT(forms); i++) {
        assert_int_equal(tlvk_model_check_save(alike, forms[i]), TLVK_ERROR_UNSUPPORTED);
        assert_true(strstr(tlvk_last_error(ctx), "x/y") || strstr(tlvk_last_error(ctx), "libarchive"));
    }
    tlvk_model_destroy(plain);
    tlvk_model_destroy(swish);
    tlvk_model_destroy(alike);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back_is_the_same_network), cmocka_unit_test(a_sequential_is_told_its_input),
        cmocka_unit_test(the_generation_is_told_from_the_text), cmocka_unit_test(what_is_no_model_is_refused),
        cmocka_unit_test(what_cannot_be_saved_is_told_before),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
