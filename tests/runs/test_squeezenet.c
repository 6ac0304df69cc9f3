/* test_squeezenet.c - a network that is not built in, built with the public API, with published weights loaded by order: its features of one made picture
 * are Keras 3.15.1's. (tests/parity/squeezenet.py compares real pictures with live Keras.) Skipped, saying so, where TLVK_TEST_DATA is absent. */
#include "support/nets.h"
#include "support/squeezenet.h"

#define COUNT ((size_t)SQUEEZENET_FEATURES_SIDE * SQUEEZENET_FEATURES_SIDE * SQUEEZENET_FEATURES)

static char *weights_file(void) {
    const char *data = tlvk__env("TLVK_TEST_DATA");
    char *path = tlvk__format("%s/keras/squeezenet_notop_weights.h5", data ? data : "");
    assert_non_null(path);
    if (data && tlvk__is_file(path)) return path;
    print_message("skipped: %s\n", data ? "TLVK_TEST_DATA has no keras/squeezenet_notop_weights.h5" : "TLVK_TEST_DATA is not set");
    free(path);
    skip();
    return NULL;
}

static tlvk_model *loaded(tlvk_context *ctx, const char *path) {
    tlvk_model *model = NULL;
    assert_api(ctx, squeezenet(ctx, &model));
    assert_api(ctx, tlvk_model_load_weights(model, path, TLVK_BY_ORDER));
    return model;
}

static void test_weights_by_order(void **state) {
    (void)state;
    char *path = weights_file();
    tlvk_context *ctx = NULL;
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = "" }, &ctx), TLVK_OK);
    tlvk_model *model = loaded(ctx, path);
    int64_t total;
    assert_int_equal(tlvk_model_count_params(model, &total, NULL), TLVK_OK);
    assert_int_equal(total, 722496);
    float first[3 * 3 * 3 * 64], last[256];
    assert_int_equal(tlvk_layer_get_weight(tlvk_model_find_layer(model, "conv1"), 0, first, TLVK__COUNT(first)), TLVK_OK);
    assert_int_equal(tlvk_layer_get_weight(tlvk_model_find_layer(model, "fire9/expand3x3"), 1, last, TLVK__COUNT(last)), TLVK_OK);
    assert_true(fabsf(first[0] - 0.25723463f) < 1e-7f && fabsf(first[1] + 0.00481544f) < 1e-7f);
    assert_true(fabsf(last[254] - 0.00712999f) < 1e-7f && fabsf(last[255] - 0.01003625f) < 1e-7f);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    free(path);
}

static void test_features(void **state) {
    (void)state;
    static const struct { size_t at; float value; } keras[] = {
        { 7280, 217.9361f }, /* the largest of all */
        { 581, 83.0889206f }, { 17000, 4.14849854f }, { 65676, 10.3668852f }, { 82095, 2.66102695f }, { 83838, 32.2376785f }, { 5229, 79.8946228f },
        { 13148, 82.1140137f }, { 5810, 11.3489323f }, { 37486, 0.879552662f }, { 15472, 50.7772179f }, { 62986, 27.9118786f }, { 215, 102.035118f },
    };
    const double largest = 217.9361, mean = 1.4140422;
    char *path = weights_file();
    tlvk_context *ctx = net_context(NULL);
    tlvk_model *model = loaded(ctx, path);
    float *x = malloc((size_t)SQUEEZENET_SIDE * SQUEEZENET_SIDE * 3 * sizeof *x), *y = malloc(COUNT * sizeof *y);
    assert_true(x && y);
    for (int h = 0, i = 0; h < SQUEEZENET_SIDE; h++) {
        for (int w = 0; w < SQUEEZENET_SIDE; w++) {
            for (int c = 0; c < 3; c++) x[i++] = (float)((h * 7 + w * 13 + c * 29 + h * w / 8) % 256 - 128);
        }
    }
    tlvk_dataset *data = NULL;
    assert_api(ctx, tlvk_dataset_from_arrays(ctx, &(tlvk_array_desc){ .x = x, .x_shape = { 1, SQUEEZENET_SIDE, SQUEEZENET_SIDE, 3 } }, &data));
    assert_api(ctx, tlvk_model_predict(model, data, y, COUNT));
    double sum = 0;
    for (size_t i = 0; i < COUNT; i++) sum += (double)y[i];
    assert_true(fabs(sum / (double)COUNT - mean) < 1e-4 * mean);
    for (size_t i = 0; i < TLVK__COUNT(keras); i++) {
        double error = fabs((double)y[keras[i].at] - (double)keras[i].value) / largest;
        if (!(error <= 1e-4)) fail_msg("feature %zu is %g, Keras says %g", keras[i].at, (double)y[keras[i].at], (double)keras[i].value);
    }
    tlvk_dataset_destroy(data);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    free(x);
    free(y);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_weights_by_order), cmocka_unit_test(test_features) };
    return cmocka_run_group_tests_name("squeezenet", tests, NULL, NULL);
}
