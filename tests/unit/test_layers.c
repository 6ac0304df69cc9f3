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
    return (tlvk_context_create(&(tlvk_context_desc){.cache_folder = ""}, &ctx)) != TLVK_OK;
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

static void shapes_of_activations_and_noise(void **state) {
    (void)state;
    tlvk_tensor x = picture(6, 8, 12), pair[2] = {x, picture(6, 8, 12)};
    const tlvk_tensor same[] = {
        tlvk_multiply(pair, 2, NULL), tlvk_leaky_relu(x, 0.1f, NULL), tlvk_elu(x, 1, NULL), tlvk_dropout_noise(x, &(tlvk_dropout_desc){.rate = 0.5f}),
        tlvk_spatial_dropout2d(x, 0.5f, NULL), tlvk_alpha_dropout(x, 0.5f, NULL), tlvk_stochastic_depth(x, 0.5f, NULL),
        tlvk_gaussian_noise(x, 0.5f, NULL), tlvk_gaussian_dropout(x, 0.5f, NULL), tlvk_layer_scale(x, 1e-6f, NULL), tlvk_normalization(x, NULL),
    };
    for (size_t i = 0; i < TLVK__COUNT(same); i++)
        has_shape(same[i], "(None, 6, 8, 12)");
    has_shape(tlvk_reshape(x, (int64_t[]){4, -1}, 2, NULL), "(None, 4, 144)");
    const tlvk_padding2d_desc around = {.top = 1, .bottom = 2, .left = 3, .right = 0};
    has_shape(tlvk_zero_padding2d(x, &around), "(None, 9, 11, 12)");
    has_shape(tlvk_cropping2d(x, &around), "(None, 3, 5, 12)");
}

static void shapes_of_pictures(void **state) {
    (void)state;
    static const float numbers[3] = {1, 2, 3};
    tlvk_tensor x = picture(6, 8, 3), open = picture(TLVK_ANY, TLVK_ANY, 3);
    const tlvk_tensor same[] = {
        tlvk_rescaling_channels(x, numbers, NULL, 3, NULL), tlvk_normalization(x, &(tlvk_normalization_desc){.mean = numbers, .variance = numbers, .count = 3}),
        tlvk_random_flip(x, TLVK_FLIP_HORIZONTAL, NULL), tlvk_random_rotation(x, &(tlvk_random_rotation_desc){.factor = {0.1f}}),
        tlvk_random_zoom(x, &(tlvk_random_zoom_desc){.height_factor = {-0.2f, 0.3f}}),
        tlvk_random_translation(x, &(tlvk_random_translation_desc){.height_factor = {0.1f}, .width_factor = {0.2f}}),
        tlvk_random_contrast(x, &(tlvk_random_color_desc){.factor = {0.2f}}), tlvk_random_brightness(x, &(tlvk_random_color_desc){.factor = {0.2f}}),
    };
    for (size_t i = 0; i < TLVK__COUNT(same); i++)
        has_shape(same[i], "(None, 6, 8, 3)");
    has_shape(tlvk_resizing(open, &(tlvk_resizing_desc){.height = 5, .width = 7}), "(None, 5, 7, 3)");
    has_shape(tlvk_center_crop(open, 5, 7, NULL), "(None, 5, 7, 3)");
    has_shape(tlvk_random_crop(x, 5, 7, NULL), "(None, 5, 7, 3)");
    has_shape(tlvk_random_flip(open, TLVK_FLIP_VERTICAL, NULL), "(None, None, None, 3)");
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
    refused(tlvk_layer_scale(picture(2, 2, TLVK_ANY), 1, NULL), "LayerScale");
    refused(tlvk_normalization(x, &(tlvk_normalization_desc){.mean = (float[9]){0}, .variance = (float[9]){0}, .count = 9}), "1 to 8 numbers");
    refused(tlvk_rescaling_channels(x, (float[3]){0}, NULL, 3, NULL), "one for each channel");
    refused(tlvk_gaussian_dropout(x, 1, NULL), "below 1");
    refused(tlvk_dropout_noise(x, &(tlvk_dropout_desc){.rate = 0.5f, .noise_shape = {TLVK_ANY, 2, 1, 1}}), "noise shape");
    refused(tlvk_reshape(x, (int64_t[]){5, -1}, 2, NULL), "Reshape");
    refused(tlvk_cropping2d(x, &(tlvk_padding2d_desc){.top = 6}), "Cropping2D");
    refused(tlvk_center_crop(x, 0, 4, NULL), "must be at least 1");
    refused(tlvk_random_translation(x, &(tlvk_random_translation_desc){.height_factor = {0.1f}, .width_factor = {-3, 1}}), "from -1 to 1");
    refused(tlvk_upsampling2d(x, &(tlvk_upsampling2d_desc){.size = {-1}}), "must be at least 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(shapes_of_activations_and_noise), cmocka_unit_test(shapes_of_pictures),
                                       cmocka_unit_test(parameters), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
