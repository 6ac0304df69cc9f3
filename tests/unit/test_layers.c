/* test_layers.c - the building calls of the less common layers: shapes, parameters, and what they refuse, without a device. */
#include "graph/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static tlvk_context *ctx;

static int setup(void **state) {
    (void)state;
    return tlvk_context_create(&(tlvk_context_desc){.cache_folder = ""}, &ctx);
}

static int teardown(void **state) {
    (void)state;
    tlvk_context_destroy(ctx);
    return 0;
}

static tlvk_tensor picture(int64_t h, int64_t w, int64_t c) {
    return tlvk_input(ctx, &(tlvk_input_desc){.shape = {h, w, c}});
}

static void has_shape(tlvk_tensor x, const char *expected) {
    char text[128];
    const tlvk__shape *shape = tlvk__tensor_shape_of(x);
    if (!shape)
        fail_msg("%s was expected, there is an error: %s", expected, x.node ? x.node->error_text : tlvk_last_error(ctx));
    assert_string_equal(tlvk__shape_text(shape, text, sizeof text), expected);
}

static void refused(tlvk_tensor x, const char *words) {
    assert_non_null(x.node);
    assert_int_not_equal(x.node->error, TLVK_OK);
    if (!strstr(x.node->error_text, words))
        fail_msg("\"%s\" is not in \"%s\"", words, x.node->error_text);
}

static void shapes(void **state) {
    (void)state;
    tlvk_tensor x = picture(6, 8, 12);
    has_shape(tlvk_conv2d(x, &(tlvk_conv2d_desc){.filters = 8, .kernel_size = {3}, .groups = 4}), "(None, 4, 6, 8)");
    tlvk_conv2d_transpose_desc up = {.filters = 5, .kernel_size = {3}, .strides = {2}};
    has_shape(tlvk_conv2d_transpose(x, &up), "(None, 13, 17, 5)");
    up.padding = TLVK_SAME;
    has_shape(tlvk_conv2d_transpose(x, &up), "(None, 12, 16, 5)");
    up.set_output_padding = true;
    has_shape(tlvk_conv2d_transpose(x, &up), "(None, 11, 15, 5)");
    has_shape(tlvk_conv2d_transpose(picture(TLVK_ANY, 8, 3), &up), "(None, None, 15, 5)");
    has_shape(tlvk_upsampling2d(x, NULL), "(None, 12, 16, 12)");
    has_shape(tlvk_upsampling2d(x, &(tlvk_upsampling2d_desc){.size = {3, 1}, .interpolation = TLVK_BILINEAR}), "(None, 18, 8, 12)");
    has_shape(tlvk_permute(x, (int[]){3, 1, 2}, 3, NULL), "(None, 12, 6, 8)");
    has_shape(tlvk_layer_normalization(x, NULL), "(None, 6, 8, 12)");
    has_shape(tlvk_prelu(x, NULL), "(None, 6, 8, 12)");
    tlvk_tensor pair[2] = {x, picture(6, 8, 12)}, gate[2] = {picture(1, 1, 12), x};
    has_shape(tlvk_concatenate_axis(pair, 2, 1, NULL), "(None, 12, 8, 12)");
    has_shape(tlvk_concatenate_axis(pair, 2, -2, NULL), "(None, 6, 16, 12)");
    has_shape(tlvk_subtract(gate[0], gate[1], NULL), "(None, 6, 8, 12)");
    has_shape(tlvk_maximum(gate, 2, NULL), "(None, 6, 8, 12)");
    has_shape(tlvk_minimum(pair, 2, NULL), "(None, 6, 8, 12)");
    has_shape(tlvk_average(pair, 2, NULL), "(None, 6, 8, 12)");
}

static void parameters(void **state) {
    (void)state;
    tlvk_tensor x = picture(6, 8, 12), y = tlvk_conv2d(x, &(tlvk_conv2d_desc){.filters = 8, .kernel_size = {3}, .groups = 4});
    y = tlvk_prelu(y, &(tlvk_prelu_desc){.shared_axes = {1, 2}});
    y = tlvk_layer_normalization(y, &(tlvk_layer_normalization_desc){.no_center = true});
    y = tlvk_conv2d_transpose(y, &(tlvk_conv2d_transpose_desc){.filters = 5, .kernel_size = {2}, .not_trainable = true});
    tlvk_model *model;
    int64_t total, trained;
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {x}, .outputs = {y}}, &model), TLVK_OK);
    assert_int_equal(tlvk_model_count_params(model, &total, &trained), TLVK_OK);
    int64_t kept = 3 * 3 * 3 * 8 + 8 + 8 + 8;
    assert_int_equal(trained, kept);
    assert_int_equal(total, kept + 2 * 2 * 5 * 8 + 5);
    tlvk_model_destroy(model);
}

static void refusals(void **state) {
    (void)state;
    tlvk_tensor x = picture(6, 8, 12), other = picture(6, 7, 12);
    refused(tlvk_conv2d(x, &(tlvk_conv2d_desc){.filters = 8, .kernel_size = {3}, .groups = 5}), "groups=5 of 12 channels and 8 filters");
    refused(tlvk_conv2d_transpose(x, NULL), "filters and kernel_size have no defaults");
    tlvk_conv2d_transpose_desc up = {.filters = 5, .kernel_size = {4}, .strides = {2}, .padding = TLVK_SAME, .set_output_padding = true};
    refused(tlvk_conv2d_transpose(x, &up), "even kernel");
    up.output_padding[0] = up.output_padding[1] = 2;
    refused(tlvk_conv2d_transpose(x, &up), "less than its stride");
    refused(tlvk_permute(x, (int[]){1, 2, 2}, 3, NULL), "each once");
    refused(tlvk_permute(x, (int[]){2, 1}, 2, NULL), "each axis besides the batch");
    refused(tlvk_prelu(picture(TLVK_ANY, 8, 3), NULL), "axis 1 is open");
    refused(tlvk_concatenate_axis((tlvk_tensor[]){x, other}, 2, 1, NULL), "all other axes must be equal");
    refused(tlvk_concatenate_axis((tlvk_tensor[]){x, other}, 2, 0, NULL), "axes 1 to 3 can be");
    refused(tlvk_subtract(x, other, NULL), "each axis must be equal");
    refused(tlvk_upsampling2d(x, &(tlvk_upsampling2d_desc){.size = {-1}}), "must be at least 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(parameters), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
