/* test_nets.c - built-in networks: what is refused that Keras cannot be asked, and what a descriptor's zero and TLVK_ZERO mean. Everything else is held
 * against Keras in tests/parity/nets_summary.py. */
#include <tlvk/tlvk.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static tlvk_context *ctx;

static int set_up(void **state) {
    (void)state;
    return tlvk_context_create(NULL, &ctx) != TLVK_OK;
}

static int tear_down(void **state) {
    (void)state;
    tlvk_context_destroy(ctx);
    return 0;
}

static void refused(const char *net, const tlvk_net_desc *desc, const char *word) {
    tlvk_model *model = (tlvk_model *)ctx;
    assert_int_equal(tlvk_net(ctx, net, desc, &model), TLVK_ERROR_ARGUMENT);
    assert_null(model);
    if (!strstr(tlvk_last_error(ctx), word))
        fail_msg("%s: \"%s\" does not say \"%s\"", net, tlvk_last_error(ctx), word);
}

static void test_refusals(void **state) {
    (void)state;
    refused("vgg15", NULL, "convnextxlarge");
    refused(NULL, NULL, "vgg16");
    refused("vgg16", &(tlvk_net_desc){.pooling = (tlvk_pooling)7, .no_top = true}, "pooling is 7");
    refused("vgg16", &(tlvk_net_desc){.classifier_activation = TLVK_ACTIVATION_COUNT}, "no activation");
    refused("vgg16", &(tlvk_net_desc){.classifier_activation = (tlvk_activation_kind)-1}, "no activation");
    refused("vgg16", &(tlvk_net_desc){.dropout = 0.5f}, "cannot be chosen");
    refused("resnet50", &(tlvk_net_desc){.depth_multiplier = 2}, "depth_multiplier is 2");
    refused("nasnetmobile", &(tlvk_net_desc){.alpha = 0.5f}, "one width");
    refused("mobilenet", &(tlvk_net_desc){.alpha = -1}, "above 0");
    refused("mobilenetv3small", &(tlvk_net_desc){.weights = "imagenet", .input_shape = {64, 64, 1}}, "3 channels");
}

static int layers_of_class(const tlvk_model *model, const char *class_name) {
    int count = 0;
    for (int i = 0; i < tlvk_model_layer_count(model); i++)
        count += strcmp(tlvk_layer_class(tlvk_model_layer(model, i)), class_name) == 0;
    return count;
}

static void test_dropout(void **state) {
    (void)state;
    const tlvk_net_desc choices[] = {{0}, {.dropout = 0.5f}, {.dropout = TLVK_ZERO}};
    for (int i = 0; i < 3; i++) {
        tlvk_model *model;
        assert_int_equal(tlvk_mobilenetv3small(ctx, &choices[i], &model), TLVK_OK);
        assert_int_equal(layers_of_class(model, "Dropout"), i < 2);
        tlvk_model_destroy(model);
    }
}

/* Every network of the table is made under its name. */
static void test_every_name(void **state) {
    (void)state;
    int count = 0;
    for (const char *name; (name = tlvk_net_name(count)) != NULL; count++) {
        tlvk_model *model;
        assert_int_equal(tlvk_net(ctx, name, &(tlvk_net_desc){.no_top = true, .input_shape = {96, 101, 3}, .name = "mine"}, &model), TLVK_OK);
        assert_string_equal(tlvk_model_name(model), "mine");
        tlvk_model_destroy(model);
    }
    assert_int_equal(count, 39);
}

/* Weights of a seed are the same in every context and differ from those of another seed. */
static void test_seed(void **state) {
    (void)state;
    float values[3][3 * 3 * 3 * 32];
    for (int i = 0; i < 3; i++) {
        tlvk_model *model;
        const tlvk_net_desc desc = {.no_top = true, .input_shape = {32, 32, 3}, .seed = i == 2 ? 8 : 7};
        assert_int_equal(tlvk_efficientnetb0(ctx, &desc, &model), TLVK_OK);
        const tlvk_layer *stem = tlvk_model_find_layer(model, "stem_conv");
        assert_int_equal(tlvk_layer_get_weight(stem, 0, values[i], 3 * 3 * 3 * 32), TLVK_OK);
        tlvk_model_destroy(model);
    }
    assert_memory_equal(values[0], values[1], 3 * 3 * 3 * 32 * sizeof(float));
    assert_memory_not_equal(values[0], values[2], 3 * 3 * 3 * 32 * sizeof(float));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dropout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
