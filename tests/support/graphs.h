/* graphs.h - what tests of graphs share: a context, short calls that build, and two models: one that branches and one of nested Sequentials. */
#ifndef TLVK_TEST_GRAPHS_H
#define TLVK_TEST_GRAPHS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"

static inline tlvk_context *new_context(void) {
    tlvk_context *ctx = NULL;
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){.cache_folder = ""}, &ctx), TLVK_OK);
    return ctx;
}

static inline tlvk_tensor input(tlvk_context *ctx, const char *name, int64_t size, int64_t channels) {
    return tlvk_input(ctx, &(tlvk_input_desc){.name = name, .shape = {size, size, channels}});
}

static inline tlvk_tensor conv(tlvk_tensor x, const char *name, int filters, int size) {
    return tlvk_conv2d(x, &(tlvk_conv2d_desc){.name = name, .filters = filters, .kernel_size = {size}, .padding = TLVK_SAME});
}

static inline tlvk_tensor dense(tlvk_tensor x, const char *name, int units) {
    return tlvk_dense(x, &(tlvk_dense_desc){.name = name, .units = units});
}

static inline tlvk_model *model_of(tlvk_context *ctx, const char *name, tlvk_tensor x, tlvk_tensor y) {
    tlvk_model *model = NULL;
    tlvk_status st = tlvk_model_create(ctx, &(tlvk_model_desc){.name = name, .inputs = {x}, .outputs = {y}}, &model);
    if (st)
        fail_msg("%s", tlvk_last_error(ctx));
    return model;
}

static inline tlvk_model *sequential_of(tlvk_context *ctx, const char *name, tlvk_tensor x, tlvk_tensor y) {
    tlvk_model *model = NULL;
    tlvk_status st = tlvk_model_create(ctx, &(tlvk_model_desc){.name = name, .sequential = true, .inputs = {x}, .outputs = {y}}, &model);
    if (st)
        fail_msg("%s", tlvk_last_error(ctx));
    return model;
}

static inline void assert_layers(const tlvk_model *model, const char *const *names) {
    int n = 0;
    for (; names[n]; n++) {
        const tlvk_layer *layer = tlvk_model_layer(model, n);
        assert_non_null(layer);
        assert_string_equal(tlvk_layer_name(layer), names[n]);
    }
    assert_int_equal(tlvk_model_layer_count(model), n);
}

static inline void assert_summary(const tlvk_model *model, const char *expected) {
    char *text = NULL;
    assert_int_equal(tlvk_model_summary(model, &text), TLVK_OK);
    assert_string_equal(text, expected);
    tlvk_free(text);
}

/* input -> stem -> {right_a, right_bn, right_b} and left -> join -> concatenate -> pooling -> a layer called twice -> two outputs. */
static inline tlvk_model *branching_model(tlvk_context *ctx) {
    tlvk_tensor i = input(ctx, "picture", 32, 3);
    tlvk_tensor a = conv(i, "stem", 8, 3);
    tlvk_tensor b = conv(a, "left", 8, 1);
    tlvk_tensor c = conv(a, "right_a", 8, 3);
    c = tlvk_batch_normalization(c, &(tlvk_batch_normalization_desc){.name = "right_bn"});
    c = conv(c, "right_b", 8, 3);
    tlvk_tensor d = tlvk_add((tlvk_tensor[]){c, b}, 2, "join");
    tlvk_tensor e = tlvk_concatenate((tlvk_tensor[]){d, a, b}, 3, NULL);
    tlvk_tensor f = tlvk_global_average_pooling2d(e, NULL);
    tlvk_tensor g = dense(f, "a_shared_layer_of_a_very_long_name", 24);
    g = tlvk_layer_call(g.node->layer, g, TLVK_CALL_DEFAULT);
    tlvk_tensor o = dense(g, NULL, 4), o2 = dense(f, "side", 1);
    tlvk_model *model = NULL;
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.name = "branching", .inputs = {i}, .outputs = {o, o2}}, &model), TLVK_OK);
    assert_int_equal(tlvk_model_set_trainable(model, "stem", false), TLVK_OK);
    return model;
}

/* Sequential[Sequential[Functional features, GlobalAveragePooling2D], Sequential[Dense, Dense]], as Teachable Machine exports it. */
static inline tlvk_model *nested_model(tlvk_context *ctx) {
    tlvk_tensor i = input(ctx, "input_1", 32, 3);
    tlvk_tensor x = conv(i, "conv_a", 4, 3);
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){.name = "bn_a"});
    x = tlvk_relu(x, &(tlvk_relu_desc){.name = "relu_a", .max_value = 6});
    tlvk_tensor y = conv(x, "conv_b", 4, 3);
    y = tlvk_add((tlvk_tensor[]){x, y}, 2, "add_b");
    y = tlvk_relu(y, &(tlvk_relu_desc){.name = "out_relu", .max_value = 6});
    tlvk_model *features = model_of(ctx, "features", i, y);

    tlvk_tensor j = input(ctx, "features_input", 32, 3);
    tlvk_tensor p = tlvk_model_call(features, j, TLVK_CALL_DEFAULT, NULL);
    p = tlvk_global_average_pooling2d(p, "gap");
    tlvk_model *body = sequential_of(ctx, "sequential_1", j, p);

    tlvk_tensor k = tlvk_input(ctx, &(tlvk_input_desc){.name = "dense_input", .shape = {4}});
    tlvk_model *head = sequential_of(ctx, "sequential_3", k, dense(dense(k, "dense_1", 10), "dense_2", 2));

    tlvk_tensor o = input(ctx, "outer_input", 32, 3);
    tlvk_tensor z = tlvk_model_call(body, o, TLVK_CALL_DEFAULT, NULL);
    z = tlvk_model_call(head, z, TLVK_CALL_DEFAULT, NULL);
    tlvk_model *outer = sequential_of(ctx, "sequential_4", o, z);
    tlvk_model_destroy(features); /* the outer model keeps them */
    tlvk_model_destroy(body);
    tlvk_model_destroy(head);
    return outer;
}

static inline bool trainable_of(const tlvk_model *model, const char *name) {
    tlvk_layer *layer = tlvk_model_find_layer(model, name);
    assert_non_null(layer);
    return tlvk_layer_trainable(layer);
}

#endif
