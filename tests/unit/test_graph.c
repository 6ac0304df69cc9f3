/* Layers and models on the host: building, Keras's order and summary, surgery, freezing, opening, first values, and any order of destroying.
 * Names, orders and tables are literals made by Keras 3.15.1. No device is opened here. */
#include "support/graphs.h"
#include "unit/keras_summaries.h"

#include <math.h>

/* --- order, shapes, summary ----------------------------------------------------------------------------------------------- */

static void vgg16_equals_keras(void **state) {
    (void)state;
    static const char *const names[] = {"input_layer", "block1_conv1", "block1_conv2", "block1_pool", "block2_conv1", "block2_conv2", "block2_pool",
        "block3_conv1", "block3_conv2", "block3_conv3", "block3_pool", "block4_conv1", "block4_conv2", "block4_conv3", "block4_pool",
        "block5_conv1", "block5_conv2", "block5_conv3", "block5_pool", "flatten", "fc1", "fc2", "predictions", NULL};
    tlvk_context *ctx = new_context();
    tlvk_model *vgg = NULL;
    assert_int_equal(tlvk_vgg16(ctx, NULL, &vgg), TLVK_OK);
    assert_layers(vgg, names);
    assert_summary(vgg, vgg16_summary);
    tlvk_usage usage;
    tlvk_model_usage(vgg, &usage);
    assert_int_equal(usage.preprocess, TLVK_PREPROCESS_CAFFE);
    tlvk_model_destroy(vgg);
    tlvk_context_destroy(ctx);
}

static void nets_check_as_keras(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *m = NULL;
    int64_t total;
    assert_int_equal(tlvk_net(ctx, "vgg19", &(tlvk_net_desc){.no_top = true, .pooling = TLVK_POOLING_AVG}, &m), TLVK_OK);
    assert_int_equal(tlvk_model_count_params(m, &total, NULL), TLVK_OK);
    assert_int_equal(total, 20024384);
    assert_int_equal(tlvk_model_layer_count(m), 23);
    assert_string_equal(tlvk_layer_name(tlvk_model_layer(m, -1)), "global_average_pooling2d");
    int64_t shape[TLVK_MAX_DIMS];
    assert_int_equal(tlvk_tensor_shape(tlvk_model_input(m, 0), shape), 3);
    assert_int_equal(shape[0], TLVK_ANY);
    tlvk_model_destroy(m);
    assert_int_equal(tlvk_vgg16(ctx, &(tlvk_net_desc){.no_top = true, .input_shape = {16, 16, 3}}, &m), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "Input size must be at least 32x32; Received: input_shape=(16, 16, 3)"));
    assert_int_equal(tlvk_vgg16(ctx, &(tlvk_net_desc){.weights = "imagenet", .input_shape = {160, 160, 3}}, &m), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "(224, 224, 3)"));
    assert_int_equal(tlvk_vgg16(ctx, &(tlvk_net_desc){.input_shape = {TLVK_ANY, 64, 3}}, &m), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_vgg16(ctx, &(tlvk_net_desc){.weights = "imagenet", .classes = 10}, &m), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_net(ctx, "vgg15", NULL, &m), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "vgg16 vgg19"));
    assert_null(m);
    assert_string_equal(tlvk_net_name(0), "vgg16");
    assert_null(tlvk_net_name(1000));
    tlvk_context_destroy(ctx);
}

static void check_net(tlvk_context *ctx, const char *net, const tlvk_net_desc *desc, const char *model_name, tlvk_preprocess preprocess) {
    tlvk_model *m = NULL;
    tlvk_usage usage;
    assert_int_equal(tlvk_net(ctx, net, desc, &m), TLVK_OK);
    assert_string_equal(tlvk_model_name(m), model_name);
    tlvk_model_usage(m, &usage);
    assert_int_equal(usage.preprocess, preprocess);
    tlvk_model_destroy(m);
}

static void check_refused(tlvk_context *ctx, const char *net, const tlvk_net_desc *desc, const char *text) {
    tlvk_model *m = NULL;
    assert_int_equal(tlvk_net(ctx, net, desc, &m), TLVK_ERROR_ARGUMENT);
    assert_null(m);
    assert_non_null(strstr(tlvk_last_error(ctx), text));
}

static void nets_are_named_and_prepared_as_keras(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    const tlvk_net_desc open = {.no_top = true}, narrow = {.no_top = true, .alpha = 0.35f, .input_shape = {97, 128, 3}};
    check_net(ctx, "resnet50", &open, "resnet50", TLVK_PREPROCESS_CAFFE);
    check_net(ctx, "resnet50v2", NULL, "resnet50v2", TLVK_PREPROCESS_TF);
    check_net(ctx, "inceptionv3", &open, "inception_v3", TLVK_PREPROCESS_TF);
    check_net(ctx, "xception", &open, "xception", TLVK_PREPROCESS_TF);
    check_net(ctx, "mobilenet", NULL, "mobilenet_1.00_224", TLVK_PREPROCESS_TF);
    check_net(ctx, "mobilenetv2", &open, "mobilenetv2_1.00_None", TLVK_PREPROCESS_TF);
    check_net(ctx, "mobilenetv2", &narrow, "mobilenetv2_0.35_97", TLVK_PREPROCESS_TF);
    check_net(ctx, "densenet121", &(tlvk_net_desc){.name = "dense"}, "dense", TLVK_PREPROCESS_TORCH);
    tlvk_context_destroy(ctx);
}

static void nets_refuse_as_keras(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    check_refused(ctx, "inceptionv3", &(tlvk_net_desc){.no_top = true, .input_shape = {74, 80, 3}}, "at least 75x75");
    check_refused(ctx, "xception", &(tlvk_net_desc){.no_top = true, .input_shape = {80, 70, 3}}, "at least 71x71");
    check_refused(ctx, "resnet50", &(tlvk_net_desc){.input_shape = {TLVK_ANY, 64, 3}}, "static input_shape");
    check_refused(ctx, "resnet50", &(tlvk_net_desc){.alpha = 0.5f}, "one width");
    check_refused(ctx, "mobilenet", &(tlvk_net_desc){.alpha = -1.0f}, "above 0");
    check_refused(ctx, "mobilenet", &(tlvk_net_desc){.alpha = 0.01f}, "filters");
    check_refused(ctx, "mobilenet", &(tlvk_net_desc){.weights = "imagenet", .alpha = 0.35f}, "0.25, 0.5, 0.75, 1 only");
    check_refused(ctx, "mobilenetv2", &(tlvk_net_desc){.weights = "imagenet", .input_shape = {100, 100, 3}}, "(224, 224, 3)");
    tlvk_context_destroy(ctx);
}

static void branches_equal_keras(void **state) {
    (void)state;
    static const char *const names[] = {"picture", "stem", "right_a", "right_bn", "right_b", "left", "join", "concatenate",
        "global_average_pooling2d", "a_shared_layer_of_a_very_long_name", "dense", "side", NULL};
    tlvk_context *ctx = new_context();
    tlvk_model *m = branching_model(ctx);
    assert_layers(m, names);
    assert_summary(m, branching_summary);
    int64_t total, trained;
    assert_int_equal(tlvk_model_count_params(m, &total, &trained), TLVK_OK);
    assert_int_equal(total, 2221);
    assert_int_equal(trained, 1981);

    tlvk_tensor i = input(ctx, NULL, 32, 3);
    tlvk_tensor y = tlvk_model_call(m, i, TLVK_CALL_DEFAULT, NULL);
    tlvk_model *outer = model_of(ctx, "outer", i, tlvk_concatenate((tlvk_tensor[]){y, {y.node, 1}}, 2, NULL));
    assert_summary(outer, outer_summary);
    tlvk_layer_info info;
    assert_int_equal(tlvk_model_layer_info(outer, 1, &info), TLVK_OK);
    assert_true(info.is_model);
    assert_int_equal(info.params, 2221);
    assert_int_equal(info.trainable_params, 1981);
    assert_string_equal(info.output_shape, "[(None, 4), (None, 1)]");
    assert_string_equal(info.inbound[0], "input_layer");
    assert_int_equal(tlvk_model_layer_info(outer, 3, &info), TLVK_OK);
    assert_string_equal(info.name, "picture");
    assert_int_equal(info.depth, 1);
    assert_int_equal(tlvk_model_layer_info(outer, 15, &info), TLVK_ERROR_ARGUMENT);
    tlvk_model_destroy(outer);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

static void names_are_counted(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor x = input(ctx, NULL, 8, 3);
    tlvk_tensor a = conv(x, NULL, 2, 1), b = conv(a, NULL, 2, 1), c = conv(b, "conv2d_7", 2, 1), d = conv(c, NULL, 2, 1);
    assert_string_equal(x.node->layer->name, "input_layer");
    assert_string_equal(a.node->layer->name, "conv2d");
    assert_string_equal(b.node->layer->name, "conv2d_1");
    assert_string_equal(d.node->layer->name, "conv2d_8"); /* never one that a file or a program has given */
    tlvk_model *m = NULL;
    tlvk_tensor e = conv(conv(x, "same", 2, 1), "same", 2, 1);
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {x}, .outputs = {e}}, &m), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "named \"same\""));
    tlvk_context_destroy(ctx);
}

static void unused_inputs_stay(void **state) {
    (void)state;
    static const char *const names[] = {"a", "unused", "d", NULL};
    tlvk_context *ctx = new_context();
    tlvk_tensor a = tlvk_input(ctx, &(tlvk_input_desc){.name = "a", .shape = {4}}), u = tlvk_input(ctx, &(tlvk_input_desc){.name = "unused", .shape = {4}});
    tlvk_model *m = NULL;
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {a, u}, .outputs = {dense(a, "d", 2)}}, &m), TLVK_OK);
    assert_layers(m, names);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

/* --- errors ----------------------------------------------------------------------------------------------------------------- */

static void errors_travel(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *m = NULL;
    tlvk_tensor x = input(ctx, NULL, 32, 3);
    tlvk_tensor y = tlvk_global_average_pooling2d(x, NULL);
    y = conv(y, "wrong", 4, 3); /* a vector where images are needed */
    y = dense(tlvk_flatten(tlvk_dropout(y, 0.5f, NULL), NULL), NULL, 3);
    y = tlvk_add((tlvk_tensor[]){y, y}, 2, NULL);
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {x}, .outputs = {y}}, &m), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "wrong (Conv2D)"));
    assert_null(m);

    assert_null(tlvk_layer_output(NULL, "a").node);
    assert_null(dense(tlvk_layer_output(NULL, "a"), NULL, 3).node);
    assert_non_null(strstr(tlvk_last_error(NULL), "tlvk_dense"));
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {x}, .outputs = {tlvk_layer_output(NULL, "a")}}, &m), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_create(NULL, NULL, &m), TLVK_ERROR_ARGUMENT);
    assert_null(tlvk_input(NULL, NULL).node);

    /* What is built on what a failed call did not make says why it failed, as long as nothing else was called. */
    m = NULL;
    assert_int_equal(tlvk_layer_set_name(NULL, "some name"), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_net(ctx, "vgg61", NULL, &m), TLVK_ERROR_ARGUMENT);
    y = dense(tlvk_flatten(tlvk_model_output(m, 0), NULL), NULL, 3);
    assert_non_null(strstr(tlvk_last_error(NULL), "vgg61"));
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {x}, .outputs = {y}}, &m), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "vgg61"));
    assert_null(strstr(tlvk_last_error(ctx), "tlvk_layer_set_name"));
    assert_int_equal(tlvk_net(ctx, "vgg61", NULL, &m), TLVK_ERROR_ARGUMENT);
    y = tlvk_add((tlvk_tensor[]){x, tlvk_model_call(m, x, TLVK_CALL_DEFAULT, NULL)}, 2, NULL);
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {x}, .outputs = {y}}, &m), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "vgg61"));
    tlvk_model *good = NULL;
    tlvk_tensor apart = input(ctx, NULL, 32, 3);
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {apart}, .outputs = {conv(apart, NULL, 4, 3)}}, &good), TLVK_OK);
    assert_null(tlvk_model_output(NULL, 0).node);
    assert_string_equal(tlvk_last_error(NULL), "tlvk_model_output: the model is NULL");
    tlvk_model_destroy(good);
    assert_int_equal(tlvk_tensor_shape((tlvk_tensor){NULL, 0}, NULL), 0);
    assert_int_equal(tlvk_tensor_shape(y, NULL), 0);
    tlvk_model_destroy(NULL);
    tlvk_context_destroy(NULL);

    tlvk_tensor two = tlvk_input(ctx, &(tlvk_input_desc){.name = "second", .shape = {4}});
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {x}, .outputs = {dense(two, NULL, 2)}}, &m), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "\"second\""));

    tlvk_context *other = new_context();
    tlvk_tensor mixed = tlvk_add((tlvk_tensor[]){x, input(other, NULL, 32, 3)}, 2, NULL);
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {x}, .outputs = {mixed}}, &m), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "another context"));
    tlvk_context_destroy(other);
    tlvk_context_destroy(ctx);
}

static void open_sizes(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *m = NULL;
    tlvk_tensor x = input(ctx, NULL, TLVK_ANY, 3);
    tlvk_tensor y = tlvk_max_pooling2d(conv(x, NULL, 4, 3), NULL);
    int64_t shape[TLVK_MAX_DIMS];
    assert_int_equal(tlvk_tensor_shape(y, shape), 3);
    assert_int_equal(shape[0], TLVK_ANY);
    assert_int_equal(shape[2], 4);
    tlvk_tensor z = dense(tlvk_flatten(y, NULL), NULL, 3);
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {x}, .outputs = {z}}, &m), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "give input_shape"));

    /* A head made for one size refuses another, and says so. */
    tlvk_tensor i = input(ctx, NULL, 8, 3);
    tlvk_tensor f = tlvk_flatten(i, NULL);
    tlvk_tensor d = dense(f, "head", 3);
    tlvk_tensor wrong = tlvk_layer_call(d.node->layer, tlvk_flatten(input(ctx, NULL, 4, 3), NULL), TLVK_CALL_DEFAULT);
    assert_non_null(wrong.node->error_text);
    assert_non_null(strstr(wrong.node->error_text, "head (Dense): expects 192 inputs, got 48"));
    tlvk_context_destroy(ctx);
}

/* --- nested models, cuts, shared layers -------------------------------------------------------------------------------------- */

static void cut_inside_nested(void **state) {
    (void)state;
    static const char *const names[] = {"outer_input", "conv_a", "bn_a", "relu_a", "conv_b", "add_b", "out_relu", "new_gap", "new_head", NULL};
    tlvk_context *ctx = new_context();
    tlvk_model *tm = nested_model(ctx);
    assert_int_equal(tlvk_model_layer_count(tm), 2); /* Sequential hides its InputLayer */
    assert_string_equal(tlvk_layer_class(tlvk_model_layer(tm, 0)), "Sequential");
    assert_string_equal(tlvk__feature_extractor(tm)->name, "features");

    tlvk_tensor x = tlvk_layer_output(tm, "out_relu");
    x = dense(tlvk_global_average_pooling2d(x, "new_gap"), "new_head", 2);
    tlvk_model *cut = model_of(ctx, "cut", tlvk_model_input(tm, 0), x);
    assert_layers(cut, names);
    assert_ptr_equal(tlvk_model_find_layer(cut, "conv_a"), tlvk_model_find_layer(tm, "sequential_1/features/conv_a")); /* one layer, one set of weights */
    /* What is asked for later shares the calls that are there already. */
    tlvk_tensor again = tlvk_layer_output(tm, "conv_b"), first = tlvk_layer_output(tm, "features/out_relu");
    tlvk_model *both = NULL;
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {tlvk_model_input(tm, 0)}, .outputs = {again, first}}, &both), TLVK_OK);
    assert_int_equal(both->node_count, 7);
    /* From inside the nested model its own input serves. */
    tlvk_model *inner = tlvk_layer_model(tlvk_model_find_layer(tm, "features"));
    assert_non_null(inner);
    tlvk_model *own = model_of(ctx, "own", tlvk_model_input(inner, 0), tlvk_layer_output(inner, "relu_a"));
    assert_int_equal(tlvk_model_layer_count(own), 4);
    /* Into the second nested model: everything before it comes along. */
    tlvk_model *deep = model_of(ctx, "deep", tlvk_model_input(tm, 0), tlvk_layer_output(tm, "dense_1"));
    assert_int_equal(tlvk_model_layer_count(deep), 3);
    assert_string_equal(tlvk_layer_name(tlvk_model_layer(deep, 1)), "sequential_1");
    assert_null(tlvk_model_find_layer(tm, "out_rely"));
    assert_non_null(strstr(tlvk_last_error(ctx), "near it: out_relu"));

    tlvk_model_destroy(tm);
    tlvk__flat flat;
    assert_int_equal(tlvk__model_flatten(cut, &flat), TLVK_OK);
    assert_int_equal(flat.call_count, 8);
    assert_string_equal(flat.calls[0].path, "conv_a");
    tlvk__flat_free(&flat);
    tlvk_model_destroy(deep);
    tlvk_model_destroy(own);
    tlvk_model_destroy(cut);
    tlvk_model_destroy(both);
    tlvk_context_destroy(ctx);
}

static void begin_in_the_middle(void **state) {
    (void)state;
    static const char *const names[] = {"input_layer", "b", "c", NULL};
    tlvk_context *ctx = new_context();
    tlvk_tensor x = input(ctx, "x", 8, 3), a = conv(x, "a", 4, 1), c = conv(conv(a, "b", 4, 1), "c", 4, 1);
    tlvk_model *whole = model_of(ctx, "whole", x, c), *rest = model_of(ctx, "rest", a, c);
    assert_layers(rest, names);
    assert_ptr_equal(tlvk_model_layer(rest, 1), tlvk_model_find_layer(whole, "b"));
    tlvk_model_destroy(whole);
    tlvk_model_destroy(rest);
    tlvk_context_destroy(ctx);
}

static void layer_called_twice(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor a = tlvk_input(ctx, &(tlvk_input_desc){.name = "a", .shape = {4}}), b = tlvk_input(ctx, &(tlvk_input_desc){.name = "b", .shape = {4}});
    tlvk_tensor ya = dense(a, "shared", 4);
    tlvk_tensor yb = tlvk_layer_call(ya.node->layer, b, TLVK_CALL_DEFAULT);
    tlvk_model *m = NULL;
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {a, b}, .outputs = {tlvk_add((tlvk_tensor[]){ya, yb}, 2, NULL)}}, &m), TLVK_OK);
    int64_t total;
    assert_int_equal(tlvk_model_count_params(m, &total, NULL), TLVK_OK);
    assert_int_equal(total, 20);
    tlvk__flat flat;
    assert_int_equal(tlvk__model_flatten(m, &flat), TLVK_OK);
    assert_int_equal(flat.call_count, 3);
    assert_ptr_equal(flat.calls[0].variables[0], flat.calls[1].variables[0]);
    tlvk__flat_free(&flat);

    /* The model twice: as with a layer, the second call shares everything. */
    tlvk_tensor one = tlvk_input(ctx, &(tlvk_input_desc){.name = "one", .shape = {4}});
    tlvk_model *small = model_of(ctx, "small", one, dense(one, "d", 4));
    tlvk_tensor z = tlvk_input(ctx, &(tlvk_input_desc){.name = "z", .shape = {4}});
    tlvk_tensor twice = tlvk_model_call(small, tlvk_model_call(small, z, TLVK_CALL_DEFAULT, NULL), TLVK_CALL_DEFAULT, NULL);
    tlvk_model *outer = model_of(ctx, "outer", z, twice);
    assert_int_equal(tlvk_model_layer_count(outer), 2);
    assert_int_equal(tlvk_layer_weight_count(tlvk_model_layer(outer, 1)), 2);
    tlvk_model_destroy(small);
    assert_int_equal(tlvk__model_flatten(outer, &flat), TLVK_OK);
    assert_int_equal(flat.call_count, 2);
    assert_string_equal(flat.calls[1].path, "small/d");
    tlvk__flat_free(&flat);
    tlvk_model_destroy(outer);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

/* --- trainable ------------------------------------------------------------------------------------------------------------- */

static void specs(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *vgg = NULL;
    assert_int_equal(tlvk_vgg16(ctx, NULL, &vgg), TLVK_OK);
    int64_t trained;
    assert_int_equal(tlvk_model_set_trainable(vgg, ":7", false), TLVK_OK); /* T3.2: up to block2_pool */
    assert_false(trainable_of(vgg, "block2_conv2"));
    assert_true(trainable_of(vgg, "block3_conv1"));
    assert_int_equal(tlvk_model_set_trainable(vgg, "base", false), TLVK_OK);
    assert_int_equal(tlvk_model_count_params(vgg, NULL, &trained), TLVK_OK);
    assert_int_equal(trained, 102764544 + 16781312 + 4097000);
    assert_int_equal(tlvk_model_set_trainable(vgg, "*", false), TLVK_OK);
    assert_int_equal(tlvk_model_set_trainable(vgg, "block4_*", true), TLVK_OK);
    assert_int_equal(tlvk_model_count_params(vgg, NULL, &trained), TLVK_OK);
    assert_int_equal(trained, 1180160 + 2359808 + 2359808);
    assert_int_equal(tlvk_model_set_trainable(vgg, "block[45]_conv?", false), TLVK_OK);
    assert_int_equal(tlvk_model_set_trainable(vgg, "-3:", true), TLVK_OK);
    assert_true(trainable_of(vgg, "fc1"));
    assert_int_equal(tlvk_model_set_trainable(vgg, "5:9", true), TLVK_OK);
    assert_true(trainable_of(vgg, "block3_conv2"));
    assert_false(trainable_of(vgg, "block3_conv3"));
    assert_int_equal(tlvk_model_set_trainable(vgg, "block5_conf1", true), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "block5_conv1"));
    assert_int_equal(tlvk_model_set_trainable(vgg, "blok5_*", true), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_set_trainable(vgg, "1:2:3", true), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_set_trainable(vgg, "", true), TLVK_ERROR_ARGUMENT);
    tlvk_model_destroy(vgg);

    tlvk_model *tm = nested_model(ctx);
    assert_int_equal(tlvk_model_set_trainable(tm, "base", false), TLVK_OK);
    assert_false(trainable_of(tm, "conv_b"));
    assert_false(trainable_of(tm, "features"));
    assert_true(trainable_of(tm, "sequential_1")); /* it holds the pooling, which is head */
    assert_true(trainable_of(tm, "dense_1"));
    assert_int_equal(tlvk_model_set_trainable(tm, "*", true), TLVK_OK);
    assert_int_equal(tlvk_model_set_trainable(tm, ":2", false), TLVK_OK); /* of the feature extractor, InputLayer and all */
    assert_false(trainable_of(tm, "conv_a"));
    assert_true(trainable_of(tm, "bn_a"));
    assert_int_equal(tlvk_model_set_trainable(tm, "features/conv_b", false), TLVK_OK);
    assert_false(trainable_of(tm, "conv_b"));
    assert_int_equal(tlvk_model_set_trainable(tm, "sequential_3/*", false), TLVK_OK);
    assert_false(trainable_of(tm, "dense_2"));
    assert_true(trainable_of(tm, "features"));
    /* A nested model's flag reaches what is inside, and one layer inside may be set again. */
    assert_int_equal(tlvk_model_set_trainable(tm, "features", false), TLVK_OK);
    assert_int_equal(tlvk_model_set_trainable(tm, "bn_a", true), TLVK_OK);
    tlvk__flat flat;
    assert_int_equal(tlvk__model_flatten(tm, &flat), TLVK_OK);
    for (int i = 0; i < flat.call_count; i++)
        for (int v = 0; v < flat.calls[i].variable_count; v++)
            assert_int_equal(flat.calls[i].trainable[v], strcmp(flat.calls[i].layer->name, "bn_a") == 0 && v < 2);
    tlvk__flat_free(&flat);
    tlvk_model_destroy(tm);
    tlvk_context_destroy(ctx);
}

static void ambiguous_names(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *part[2];
    for (int i = 0; i < 2; i++) {
        tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {4}});
        part[i] = model_of(ctx, i ? "second" : "first", x, dense(x, "same", 4));
    }
    tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {4}});
    tlvk_tensor y = tlvk_model_call(part[1], tlvk_model_call(part[0], x, TLVK_CALL_DEFAULT, NULL), TLVK_CALL_DEFAULT, NULL);
    tlvk_model *m = model_of(ctx, "both", x, y);
    assert_null(tlvk_model_find_layer(m, "same"));
    assert_non_null(strstr(tlvk_last_error(ctx), "first/same, second/same"));
    assert_ptr_equal(tlvk_model_find_layer(m, "second/same"), tlvk_model_layer(part[1], 1));
    assert_int_equal(tlvk_model_set_trainable(m, "same", false), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_set_trainable(m, "base", false), TLVK_ERROR_ARGUMENT);
    tlvk_model_destroy(part[0]);
    tlvk_model_destroy(part[1]);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

/* --- opening ----------------------------------------------------------------------------------------------------------------- */

static void flat_form(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor i = input(ctx, NULL, TLVK_ANY, 3);
    tlvk_tensor s = tlvk_separable_conv2d(i, &(tlvk_separable_conv2d_desc){.name = "sep", .filters = 5, .kernel_size = {3, 3}, .padding = TLVK_SAME});
    s = tlvk_batch_normalization(s, &(tlvk_batch_normalization_desc){.name = "bn"});
    s = tlvk_dropout(tlvk_global_average_pooling2d(s, "gap"), 0.2f, "drop_a");
    tlvk_model *base = model_of(ctx, "base", i, s);
    tlvk_tensor x = input(ctx, NULL, 16, 3);
    tlvk_tensor y = tlvk_dropout(tlvk_model_call(base, x, TLVK_CALL_INFERENCE, NULL), 0.5f, "drop_b");
    tlvk_model *m = model_of(ctx, "m", x, dense(y, "head", 2));
    tlvk__flat f;
    assert_int_equal(tlvk__model_flatten(m, &f), TLVK_OK);
    static const char *const paths[] = {"base/sep/depthwise_conv2d", "base/sep/conv2d", "base/bn", "base/gap", "base/drop_a", "drop_b", "head"};
    assert_int_equal(f.call_count, 7);
    for (int k = 0; k < 7; k++) {
        assert_string_equal(f.calls[k].path, paths[k]);
        assert_int_equal(f.calls[k].mode, k < 5 ? TLVK_CALL_INFERENCE : TLVK_CALL_DEFAULT);
    }
    assert_int_equal(f.calls[0].variable_count, 1);
    assert_int_equal(f.calls[1].variable_count, 2);
    assert_int_equal(f.calls[4].stream, 0);
    assert_int_equal(f.calls[5].stream, 1);
    assert_true(f.calls[2].trainable[0]);
    assert_false(f.calls[2].trainable[2]); /* moving statistics */
    assert_int_equal(f.inputs[0], 0);
    assert_int_equal(f.outputs[0], f.calls[6].output);
    tlvk__shape shapes[16];
    assert_true(f.tensor_count <= 16);
    assert_int_equal(tlvk__flat_shapes(&f, &(tlvk__shape){.rank = 4, .dim = {7, 16, 16, 3}}, shapes), TLVK_OK);
    assert_int_equal(shapes[f.calls[1].output].dim[0], 7);
    assert_int_equal(shapes[f.calls[1].output].dim[2], 16);
    assert_int_equal(tlvk__flat_shapes(&f, &(tlvk__shape){.rank = 4, .dim = {7, 17, 16, 3}}, shapes), TLVK_ERROR_ARGUMENT);
    tlvk__flat_free(&f);
    /* The innermost given mode counts. */
    tlvk_tensor z = input(ctx, NULL, 16, 3);
    tlvk_model *outer = model_of(ctx, "outer", z, tlvk_model_call(m, z, TLVK_CALL_TRAINING, NULL));
    assert_int_equal(tlvk__model_flatten(outer, &f), TLVK_OK);
    assert_int_equal(f.calls[2].mode, TLVK_CALL_INFERENCE);
    assert_int_equal(f.calls[5].mode, TLVK_CALL_TRAINING);
    tlvk__flat_free(&f);
    tlvk_model_destroy(outer);
    tlvk_model_destroy(base);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

static void nesting_is_bounded(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {2}});
    tlvk_model *m = model_of(ctx, NULL, x, tlvk_dropout(x, 0.5f, NULL)), *next = NULL;
    tlvk_status st = TLVK_OK;
    for (int i = 0; i < 100 && !st; i++) { /* each level calls the one below twice */
        x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {2}});
        tlvk_tensor y = tlvk_model_call(m, tlvk_model_call(m, x, TLVK_CALL_DEFAULT, NULL), TLVK_CALL_DEFAULT, NULL);
        st = tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {x}, .outputs = {y}}, &next);
        if (!st) {
            tlvk_model_destroy(m);
            m = next;
        }
    }
    assert_int_equal(st, TLVK_ERROR_UNSUPPORTED);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

/* --- first values -------------------------------------------------------------------------------------------------------------- */

typedef struct moments { double mean, deviation, least, most; } moments;

static moments draw(tlvk_context *ctx, tlvk_initializer_kind kind, size_t *elements) {
    tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {16, 16, 32}});
    tlvk_tensor y = tlvk_conv2d(x, &(tlvk_conv2d_desc){.filters = 64, .kernel_size = {3, 5}, .kernel_initializer = kind}); /* fans 480 and 960 */
    tlvk_model *m = model_of(ctx, NULL, x, y);
    tlvk_layer *layer = tlvk_model_layer(m, -1);
    assert_int_equal(tlvk_layer_weight_info(layer, 0, NULL, NULL, NULL, elements), TLVK_OK);
    float *v = calloc(*elements, sizeof *v);
    assert_non_null(v);
    assert_int_equal(tlvk_layer_get_weight(layer, 0, v, *elements), TLVK_OK);
    double sum = 0, squares = 0;
    moments r = {.least = INFINITY, .most = -INFINITY};
    for (size_t i = 0; i < *elements; i++) {
        sum += (double)v[i];
        squares += (double)v[i] * (double)v[i];
        r.least = fmin(r.least, (double)v[i]);
        r.most = fmax(r.most, (double)v[i]);
    }
    r.mean = sum / (double)*elements;
    r.deviation = sqrt(squares / (double)*elements - r.mean * r.mean);
    free(v);
    tlvk_model_destroy(m);
    return r;
}

static void initializers(void **state) {
    (void)state;
    static const struct { tlvk_initializer_kind kind; double deviation, bound; } cases[] = { /* bound 0: none */
        {TLVK_INIT_DEFAULT, 0.03726780, 0.06454972}, {TLVK_GLOROT_UNIFORM, 0.03726780, 0.06454972},
        {TLVK_GLOROT_NORMAL, 0.03726780, 2 * 0.03726780 / 0.87962566103423978},
        {TLVK_HE_UNIFORM, 0.06454972, 0.11180340}, {TLVK_HE_NORMAL, 0.06454972, 2 * 0.06454972 / 0.87962566103423978},
        {TLVK_LECUN_UNIFORM, 0.04564355, 0.07905694}, {TLVK_LECUN_NORMAL, 0.04564355, 2 * 0.04564355 / 0.87962566103423978},
        {TLVK_VARIANCE_SCALING, 0.04564355, 2 * 0.04564355 / 0.87962566103423978},
        {TLVK_ZEROS, 0, 1e-9}, {TLVK_RANDOM_UNIFORM, 0.05 / 1.7320508, 0.05}, {TLVK_RANDOM_NORMAL, 0.05, 0},
        {TLVK_TRUNCATED_NORMAL, 0.05 * 0.87962566103423978, 0.1},
    };
    tlvk_context *ctx = new_context();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n;
        moments m = draw(ctx, cases[i].kind, &n);
        assert_int_equal(n, 30720);
        double tolerance = 5 * cases[i].deviation / sqrt((double)n); /* five deviations of the mean; a deviation's own spread is smaller */
        assert_true(fabs(m.mean) <= tolerance);
        assert_true(fabs(m.deviation - cases[i].deviation) <= tolerance);
        if (cases[i].bound > 0) {
            assert_true(m.most <= cases[i].bound * (1 + 1e-6) && m.least >= -cases[i].bound * (1 + 1e-6));
            assert_true(cases[i].deviation == 0 || m.most > cases[i].bound * 0.98);
        }
    }
    size_t n;
    moments ones = draw(ctx, TLVK_ONES, &n);
    assert_true(ones.least == 1 && ones.most == 1);
    tlvk_context_destroy(ctx);
}

static void seeds(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    float first[2][16], w[16];
    for (int round = 0; round < 3; round++) {
        tlvk_set_random_seed(ctx, round == 2 ? 8 : 7);
        tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {4}});
        tlvk_model *m = model_of(ctx, NULL, x, dense(dense(x, NULL, 4), NULL, 4));
        for (int k = 0; k < 2; k++) {
            assert_int_equal(tlvk_layer_get_weight(tlvk_model_layer(m, k + 1), 0, w, 16), TLVK_OK);
            if (round == 0)
                memcpy(first[k], w, sizeof w);
            assert_int_equal(memcmp(first[k], w, sizeof w) == 0, round < 2);
        }
        assert_memory_not_equal(first[0], first[1], sizeof w);
        tlvk_layer *layer = tlvk_model_layer(m, 1);
        uint64_t version = layer->variables[0]->version;
        assert_int_equal(tlvk_layer_set_weight(layer, 0, first[1], 16), TLVK_OK);
        assert_int_equal(tlvk_layer_get_weight(layer, 0, w, 16), TLVK_OK);
        assert_memory_equal(w, first[1], sizeof w);
        assert_true(layer->variables[0]->version > version);
        assert_int_equal(tlvk_layer_set_weight(layer, 0, w, 15), TLVK_ERROR_ARGUMENT);
        assert_int_equal(tlvk_layer_get_weight(layer, 2, w, 16), TLVK_ERROR_ARGUMENT);
        tlvk_model_destroy(m);
    }
    tlvk_model *a = NULL, *b = NULL;
    assert_int_equal(tlvk_vgg16(ctx, &(tlvk_net_desc){.no_top = true, .seed = 5}, &a), TLVK_OK);
    assert_int_equal(tlvk_vgg16(ctx, &(tlvk_net_desc){.no_top = true, .seed = 5}, &b), TLVK_OK);
    float va[1728], vb[1728];
    assert_int_equal(tlvk_layer_get_weight(tlvk_model_layer(a, 1), 0, va, 1728), TLVK_OK);
    assert_int_equal(tlvk_layer_get_weight(tlvk_model_layer(b, 1), 0, vb, 1728), TLVK_OK);
    assert_memory_equal(va, vb, sizeof va);
    tlvk_model_destroy(a);
    tlvk_model_destroy(b);
    tlvk_context_destroy(ctx);
}

/* --- destroying ------------------------------------------------------------------------------------------------------------------ */

static void any_order(void **state) {
    (void)state;
    for (int order = 0; order < 24; order++) { /* every order of the context and three models, one of which uses the others' parts */
        tlvk_context *ctx = new_context();
        tlvk_model *tm = nested_model(ctx);
        tlvk_model *cut = model_of(ctx, "cut", tlvk_model_input(tm, 0), dense(tlvk_flatten(tlvk_layer_output(tm, "out_relu"), NULL), NULL, 2));
        tlvk_tensor x = input(ctx, NULL, 32, 3);
        tlvk_model *outer = model_of(ctx, "outer", x, tlvk_model_call(tm, x, TLVK_CALL_DEFAULT, NULL));
        tlvk_tensor left_over = tlvk_model_call(cut, x, TLVK_CALL_DEFAULT, NULL); /* in no model: the context keeps it */
        left_over = dense(left_over, NULL, 3);
        assert_null(left_over.node->error_text);
        int left[4] = {0, 1, 2, 3}, code = order;
        for (int n = 4; n > 0; n--) {
            int pick = code % n;
            code /= n;
            int what = left[pick];
            left[pick] = left[n - 1];
            if (what == 0)
                tlvk_context_destroy(ctx);
            else
                tlvk_model_destroy(what == 1 ? tm : what == 2 ? cut : outer);
        }
    }
}

static void weights_go_with_the_last_model(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor x = input(ctx, NULL, 8, 3), a = conv(x, "a", 4, 1), b = conv(a, "b", 4, 1);
    tlvk_model *whole = model_of(ctx, "whole", x, b), *part = model_of(ctx, "part", x, a);
    tlvk_model_destroy(whole);
    assert_non_null(a.node->layer);
    assert_null(b.node->layer);
    tlvk_model *m = NULL;
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {x}, .outputs = {tlvk_flatten(b, NULL)}}, &m), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk_last_error(ctx), "b: this layer's last model has been destroyed"));
    tlvk_model_destroy(part);
    assert_null(a.node->layer);
    tlvk_context_destroy(ctx);
}

static void usage_travels(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {4}});
    tlvk_model *m = model_of(ctx, NULL, x, dense(x, NULL, 2));
    const char *names[] = {"ants", "bees"};
    assert_int_equal(tlvk_model_set_usage(m, &(tlvk_usage){.color_mode = TLVK_RGB, .class_count = 2, .class_names = names}), TLVK_OK);
    tlvk_usage u;
    tlvk_model_usage(m, &u);
    assert_string_equal(u.class_names[1], "bees");
    assert_int_equal(tlvk_model_set_usage(m, &u), TLVK_OK); /* its own names again */
    tlvk_model_usage(m, &u);
    assert_string_equal(u.class_names[0], "ants");
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vgg16_equals_keras), cmocka_unit_test(nets_check_as_keras),
        cmocka_unit_test(nets_are_named_and_prepared_as_keras),
        cmocka_unit_test(nets_refuse_as_keras), cmocka_unit_test(branches_equal_keras),
        cmocka_unit_test(names_are_counted), cmocka_unit_test(unused_inputs_stay), cmocka_unit_test(errors_travel), cmocka_unit_test(open_sizes),
        cmocka_unit_test(cut_inside_nested), cmocka_unit_test(begin_in_the_middle), cmocka_unit_test(layer_called_twice), cmocka_unit_test(specs),
        cmocka_unit_test(ambiguous_names), cmocka_unit_test(flat_form), cmocka_unit_test(nesting_is_bounded), cmocka_unit_test(initializers),
        cmocka_unit_test(seeds), cmocka_unit_test(any_order), cmocka_unit_test(weights_go_with_the_last_model), cmocka_unit_test(usage_travels),
    };
    return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
