/* Surgery on the host: several inputs and outputs, Sequential, pop, replaced layers at any depth, new names and activations, freezing by predicate,
 * weights of single layers. Tables are literals made by Keras 3.15.1. No device is opened here. */
#include "support/graphs.h"
#include "unit/keras_rebuilt.h"

#include <stdio.h>

#include "core/platform.h"

static tlvk_tensor vector(tlvk_context *ctx, const char *name, int64_t n) { return tlvk_input(ctx, &(tlvk_input_desc){.name = name, .shape = {n}}); }

/* The context's last error holds this text. */
static void assert_says(const tlvk_context *ctx, const char *text) {
    if (!strstr(tlvk_last_error(ctx), text))
        fail_msg("\"%s\" is not in \"%s\"", text, tlvk_last_error(ctx));
}

static void assert_error(tlvk_tensor t, const char *text) {
    assert_non_null(t.node);
    assert_non_null(t.node->error_text);
    if (!strstr(t.node->error_text, text))
        fail_msg("\"%s\" is not in \"%s\"", text, t.node->error_text);
}

/* (p, q) -> (first, second) */
static tlvk_model *two_by_two(tlvk_context *ctx) {
    tlvk_tensor p = vector(ctx, "p", 6), q = vector(ctx, "q", 4), h = tlvk_concatenate((tlvk_tensor[]){p, q}, 2, "cat");
    tlvk_model *m = NULL;
    tlvk_model_desc d = {.name = "two", .inputs = {p, q}, .outputs = {dense(h, "first", 3), dense(h, "second", 2)}};
    assert_int_equal(tlvk_model_create(ctx, &d, &m), TLVK_OK);
    return m;
}

/* (u, v) -> two -> (a Dense on its second output, its first) */
static tlvk_model *around_two(tlvk_context *ctx) {
    tlvk_model *two = two_by_two(ctx), *m = NULL;
    tlvk_tensor u = vector(ctx, "u", 6), v = vector(ctx, "v", 4);
    tlvk_tensor y = tlvk_model_call_inputs(two, (tlvk_tensor[]){u, v}, 2, TLVK_CALL_DEFAULT, NULL);
    tlvk_model_desc d = {.name = "outer_two", .inputs = {u, v}, .outputs = {dense(tlvk_call_output(y, 1), "on_second", 1), y}};
    assert_int_equal(tlvk_model_create(ctx, &d, &m), TLVK_OK);
    tlvk_model_destroy(two);
    return m;
}

/* --- several inputs and outputs --------------------------------------------------------------------------------------------- */

static void two_inputs_two_outputs(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *m = around_two(ctx);
    assert_summary(m, two_summary);
    int64_t total, shape[TLVK_MAX_DIMS];
    assert_int_equal(tlvk_model_count_params(m, &total, NULL), TLVK_OK);
    assert_int_equal(total, 58);
    tlvk__flat flat;
    assert_int_equal(tlvk__model_flatten(m, &flat), TLVK_OK);
    assert_int_equal(flat.input_count, 2);
    assert_int_equal(flat.output_count, 2);
    assert_int_equal(flat.call_count, 4);
    assert_int_equal(flat.calls[3].inputs[0], flat.calls[2].output); /* on_second reads two/second */
    assert_int_equal(flat.outputs[1], flat.calls[1].output);
    tlvk__flat_free(&flat);

    /* The output of a nested model with several is its first; the others are one call away, at any depth. */
    tlvk_tensor y = tlvk_layer_output(m, "two");
    assert_int_equal(tlvk_tensor_shape(y, shape), 1);
    assert_int_equal(shape[0], 3);
    assert_int_equal(tlvk_tensor_shape(tlvk_call_output(y, 1), shape), 1);
    assert_int_equal(shape[0], 2);
    assert_true(tlvk_call_output(tlvk_call_output(y, 1), 0).index == 0);
    tlvk_tensor u = vector(ctx, "u2", 6), v = vector(ctx, "v2", 4);
    tlvk_tensor z = tlvk_model_call_inputs(m, (tlvk_tensor[]){u, v}, 2, TLVK_CALL_DEFAULT, NULL);
    tlvk_model *outer = NULL;
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {u, v}, .outputs = {z}}, &outer), TLVK_OK);
    tlvk_tensor inner = tlvk_layer_output(outer, "outer_two/two");
    assert_int_equal(tlvk_tensor_shape(tlvk_call_output(inner, 1), shape), 1);
    assert_int_equal(shape[0], 2);
    tlvk_model *deep = NULL;
    tlvk_model_desc d = {.inputs = {u, v}, .outputs = {tlvk_call_output(inner, 1)}};
    assert_int_equal(tlvk_model_create(ctx, &d, &deep), TLVK_OK);
    assert_int_equal(tlvk_model_layer_count(deep), 3);
    tlvk_model_destroy(deep);
    tlvk_model_destroy(outer);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

static void calls_that_cannot_be(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *m = two_by_two(ctx);
    tlvk_tensor u = vector(ctx, "u", 6), v = vector(ctx, "v", 4), list[] = {u, v};
    assert_error(tlvk_model_call_inputs(m, list, 1, TLVK_CALL_DEFAULT, NULL), "two (Functional): has 2 inputs, it is called with 1");
    assert_error(tlvk_model_call_inputs(m, (tlvk_tensor[]){v, u}, 2, TLVK_CALL_DEFAULT, NULL), "its input \"p\" has the shape (None, 6)");
    assert_error(tlvk_model_call_inputs(m, NULL, 2, TLVK_CALL_DEFAULT, NULL), "list of tensors is empty");
    assert_error(tlvk_model_call_inputs(NULL, list, 2, TLVK_CALL_DEFAULT, NULL), "the model is NULL");
    assert_null(tlvk_model_call_inputs(NULL, NULL, 0, TLVK_CALL_DEFAULT, NULL).node);
    assert_error(tlvk_layer_call_inputs(NULL, list, 2, TLVK_CALL_DEFAULT), "the layer is NULL");
    assert_error(tlvk_layer_call_inputs(tlvk_model_layer(m, 0), list, 0, TLVK_CALL_DEFAULT), "list of tensors is empty");
    tlvk_layer *cat = tlvk_model_find_layer(m, "cat");
    assert_non_null(tlvk__tensor_shape_of(tlvk_layer_call_inputs(cat, list, 2, TLVK_CALL_DEFAULT)));
    assert_error(tlvk_layer_call_inputs(cat, (tlvk_tensor[]){u, {NULL, 0}}, 2, TLVK_CALL_DEFAULT), "input 1 is empty");
    tlvk_tensor y = tlvk_model_call_inputs(m, list, 2, TLVK_CALL_DEFAULT, NULL);
    assert_error(tlvk_call_output(y, 2), "two: output 2 was asked for, it has 2");
    assert_error(tlvk_call_output(y, -1), "output -1");
    assert_error(tlvk_call_output(tlvk_call_output(y, 2), 0), "output 2 was asked for"); /* the error travels */
    assert_null(tlvk_call_output((tlvk_tensor){NULL, 0}, 0).node);
    assert_says(NULL, "tlvk_call_output");
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

static void output_of_a_layer_called_twice(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor x = input(ctx, "x", TLVK_ANY, 3), s = conv(x, "stem", 4, 3), a = conv(s, "twin", 4, 3);
    tlvk_tensor b = tlvk_layer_call(a.node->layer, a, TLVK_CALL_DEFAULT);
    tlvk_tensor y = tlvk_add((tlvk_tensor[]){a, b, s}, 3, "sum");
    tlvk_model *m = model_of(ctx, "twice", x, dense(tlvk_global_average_pooling2d(y, "gap"), "head", 2));
    assert_summary(m, twice_summary);
    assert_true(tlvk_layer_output(m, "twin").node == a.node);

    /* The first call of this model counts, in the order of calling, whatever order the graph can run in and whatever other models call. */
    tlvk_tensor p = vector(ctx, "p", 4), q = vector(ctx, "q", 4), k = dense(vector(ctx, "elsewhere", 4), "k", 4);
    tlvk_tensor first = tlvk_layer_call(k.node->layer, p, TLVK_CALL_DEFAULT), second = tlvk_layer_call(k.node->layer, q, TLVK_CALL_DEFAULT);
    tlvk_model *n = NULL;
    tlvk_model_desc d = {.inputs = {p, q}, .outputs = {tlvk_add((tlvk_tensor[]){second, first}, 2, "sum")}};
    assert_int_equal(tlvk_model_create(ctx, &d, &n), TLVK_OK);
    assert_true(tlvk_layer_output(n, "k").node == first.node);
    tlvk_model_destroy(n);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

static void model_used_twice(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor i = input(ctx, "i", 8, 4);
    tlvk_model *block = model_of(ctx, "block", i, tlvk_batch_normalization(conv(i, "c", 4, 3), &(tlvk_batch_normalization_desc){.name = "bn"}));
    assert_int_equal(tlvk_model_set_trainable(block, "c", false), TLVK_OK);
    tlvk_tensor x = input(ctx, "x", 8, 3), y = tlvk_model_call(block, conv(x, "stem", 4, 3), TLVK_CALL_DEFAULT, NULL);
    y = tlvk_model_call(block, y, TLVK_CALL_DEFAULT, NULL);
    tlvk_model *m = model_of(ctx, "model_twice", x, tlvk_flatten(y, "flatten"));
    assert_summary(m, model_twice_summary);
    int64_t total, trained;
    assert_int_equal(tlvk_model_count_params(m, &total, &trained), TLVK_OK);
    assert_int_equal(total, 276);
    assert_int_equal(trained, 120);
    tlvk_model_destroy(block);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

/* --- Sequential --------------------------------------------------------------------------------------------------------------- */

/* Sequential[Functional middle[Functional inner[c1], pooling], d1, d2] */
static tlvk_model *deep_sequential(tlvk_context *ctx) {
    tlvk_tensor i = input(ctx, "i", TLVK_ANY, 3), j = input(ctx, "j", TLVK_ANY, 3);
    tlvk_model *inner = model_of(ctx, "inner", i, conv(i, "c1", 4, 3));
    tlvk_tensor y = tlvk_model_call(inner, j, TLVK_CALL_DEFAULT, NULL);
    tlvk_model *middle = model_of(ctx, "middle", j, tlvk_global_max_pooling2d(y, "gmp"));
    tlvk_tensor k = tlvk_input(ctx, &(tlvk_input_desc){.name = "k", .shape = {12, 9, 3}});
    tlvk_tensor z = tlvk_dense(tlvk_model_call(middle, k, TLVK_CALL_DEFAULT, NULL), &(tlvk_dense_desc){.name = "d1", .units = 5, .activation = TLVK_RELU});
    tlvk_model *m = sequential_of(ctx, "seq", k, dense(z, "d2", 2));
    tlvk_model_destroy(inner);
    tlvk_model_destroy(middle);
    return m;
}

static void sequential_is_one(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *m = deep_sequential(ctx);
    assert_summary(m, sequential_summary);
    tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {12, 9, 3}});
    assert_string_equal(tlvk_layer_class(tlvk_model_call(m, x, TLVK_CALL_DEFAULT, NULL).node->layer), "Sequential");

    /* T4.2: VGG16 without its top, Flatten, Dense, Dense. */
    tlvk_model *vgg = NULL;
    assert_int_equal(tlvk_vgg16(ctx, &(tlvk_net_desc){.no_top = true, .input_shape = {150, 150, 3}}, &vgg), TLVK_OK);
    x = input(ctx, NULL, 150, 3);
    tlvk_tensor y = tlvk_flatten(tlvk_model_call(vgg, x, TLVK_CALL_DEFAULT, NULL), NULL);
    y = tlvk_dense(dense(y, NULL, 256), &(tlvk_dense_desc){.units = 1, .activation = TLVK_SIGMOID});
    tlvk_model *classifier = sequential_of(ctx, NULL, x, y);
    assert_layers(classifier, (const char *const[]){"vgg16", "flatten", "dense", "dense_1", NULL});
    assert_string_equal(tlvk_model_name(classifier), "sequential");
    int64_t total;
    assert_int_equal(tlvk_model_count_params(classifier, &total, NULL), TLVK_OK);
    assert_int_equal(total, 14714688 + 8192 * 256 + 256 + 257);
    tlvk_model_destroy(vgg);
    tlvk_model_destroy(classifier);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

static void assert_no_sequential(tlvk_context *ctx, tlvk_model_desc d, const char *text) {
    tlvk_model *m = NULL;
    d.sequential = true;
    assert_int_equal(tlvk_model_create(ctx, &d, &m), TLVK_ERROR_ARGUMENT);
    assert_null(m);
    assert_says(ctx, text);
}

static void no_sequential(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor p = vector(ctx, "p", 4), q = vector(ctx, "q", 4), a = dense(p, "a", 4);
    tlvk_tensor sum = tlvk_add((tlvk_tensor[]){p, a}, 2, "sum"), again = tlvk_layer_call(a.node->layer, a, TLVK_CALL_DEFAULT);
    assert_no_sequential(ctx, (tlvk_model_desc){.inputs = {p}, .outputs = {sum}}, "sum (Add) reads several tensors");
    assert_no_sequential(ctx, (tlvk_model_desc){.inputs = {p}, .outputs = {again}}, "each of its layers once");
    assert_no_sequential(ctx, (tlvk_model_desc){.inputs = {p, q}, .outputs = {a}}, "one input and one output, not 2 and 1");
    assert_no_sequential(ctx, (tlvk_model_desc){.inputs = {p}, .outputs = {p}}, "needs a layer");
    tlvk_tensor mode = tlvk_layer_call(tlvk_batch_normalization(p, NULL).node->layer, a, TLVK_CALL_INFERENCE);
    assert_no_sequential(ctx, (tlvk_model_desc){.inputs = {p}, .outputs = {mode}}, "training=False");
    tlvk_tensor i = vector(ctx, "i", 4);
    tlvk_model *two = NULL;
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){.name = "fork", .inputs = {i}, .outputs = {dense(i, "l", 1), dense(i, "r", 1)}}, &two), TLVK_OK);
    tlvk_tensor fork = dense(tlvk_model_call(two, p, TLVK_CALL_DEFAULT, NULL), "d", 1);
    assert_no_sequential(ctx, (tlvk_model_desc){.inputs = {p}, .outputs = {fork}}, "fork (Functional) has 2 outputs");
    tlvk_model_destroy(two);
    tlvk_context_destroy(ctx);
}

static tlvk_model *saved_and_loaded(tlvk_context *ctx, tlvk_model *m, const char *name) {
    const char *folder = tlvk__env("TLVK_TEST_TEMP");
    char *path = tlvk__format("%s/rebuild_%s.h5", folder ? folder : "/tmp", name);
    tlvk_model *loaded = NULL;
    assert_non_null(path);
    if (tlvk_model_save(m, path) || tlvk_model_load(ctx, path, &loaded))
        fail_msg("%s", tlvk_last_error(ctx));
    remove(path);
    free(path);
    return loaded;
}

static void assert_same_summary(const tlvk_model *a, const tlvk_model *b) {
    char *text = NULL;
    assert_int_equal(tlvk_model_summary(a, &text), TLVK_OK);
    assert_summary(b, text);
    tlvk_free(text);
}

static void sequential_travels(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *m = deep_sequential(ctx), *loaded = saved_and_loaded(ctx, m, "sequential");
    assert_true(loaded->sequential);
    assert_same_summary(m, loaded);
    assert_int_equal(tlvk_model_pop(loaded), TLVK_OK);
    assert_summary(loaded, popped_summary);
    tlvk_model_destroy(loaded);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

/* --- pop -------------------------------------------------------------------------------------------------------------------------- */

static void popped(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *m = deep_sequential(ctx);
    const char *names[] = {"ants", "bees"};
    assert_int_equal(tlvk_model_set_usage(m, &(tlvk_usage){.preprocess = TLVK_PREPROCESS_TF, .class_count = 2, .class_names = names}), TLVK_OK);
    assert_int_equal(tlvk_model_compile(m, &(tlvk_compile_desc){0}), TLVK_OK);
    tlvk_layer *d2 = tlvk_model_layer(m, -1);
    float w[10], v[10];
    assert_int_equal(tlvk_layer_get_weight(d2, 0, w, 10), TLVK_OK);
    tlvk_model *tail = model_of(ctx, "tail", tlvk_layer_output(m, "d1"), tlvk_layer_output(m, "d2")); /* d2 lives on here */
    assert_int_equal(tlvk_model_pop(m), TLVK_OK);
    assert_summary(m, popped_summary);
    assert_null(m->training);
    assert_false(m->compiled.set);
    tlvk_usage u;
    tlvk_model_usage(m, &u);
    assert_null(u.class_names);
    assert_int_equal(u.preprocess, TLVK_PREPROCESS_TF);
    assert_int_equal(tlvk_layer_get_weight(d2, 0, v, 10), TLVK_OK);
    assert_memory_equal(w, v, sizeof w);
    tlvk_model *loaded = saved_and_loaded(ctx, m, "popped");
    assert_true(loaded->sequential);
    assert_summary(loaded, popped_summary);
    tlvk_model_destroy(loaded);

    assert_int_equal(tlvk_model_pop(m), TLVK_OK); /* d1 */
    tlvk__flat flat;
    assert_int_equal(tlvk__model_flatten(m, &flat), TLVK_OK);
    assert_int_equal(flat.call_count, 2);
    tlvk__flat_free(&flat);
    assert_int_equal(tlvk_model_pop(m), TLVK_ERROR_ARGUMENT);
    assert_says(ctx, "one layer left");
    assert_int_equal(m->nesting, 2);
    assert_int_equal(m->flat_calls, 5); /* k, j, i, c1, gmp */
    tlvk_model *middle = tlvk_layer_model(tlvk_model_layer(m, 0));
    assert_int_equal(tlvk_model_pop(middle), TLVK_ERROR_ARGUMENT);
    assert_says(ctx, "middle is no Sequential");
    tlvk_tensor x = tlvk_input(ctx, &(tlvk_input_desc){.shape = {12, 9, 3}}), y = tlvk_model_call(m, x, TLVK_CALL_DEFAULT, NULL);
    tlvk_model *outer = model_of(ctx, NULL, x, y);
    assert_int_equal(tlvk_model_pop(m), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_pop(NULL), TLVK_ERROR_ARGUMENT);
    tlvk_model_destroy(outer);
    tlvk_model_destroy(tail);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

static void pop_of_a_layer_in_use_elsewhere_is_refused(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor x = vector(ctx, "x", 4);
    tlvk_model *m = sequential_of(ctx, "s", x, dense(dense(x, "a", 4), "b", 4));
    tlvk_tensor z = vector(ctx, "z", 4);
    tlvk_model *outer = model_of(ctx, NULL, z, tlvk_model_call(m, z, TLVK_CALL_DEFAULT, NULL));
    assert_int_equal(tlvk_model_pop(m), TLVK_ERROR_ARGUMENT);
    assert_says(ctx, "called as a layer");
    tlvk_model_destroy(outer);
    assert_int_equal(tlvk_model_pop(m), TLVK_OK); /* nothing calls it any more */
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

/* --- names --------------------------------------------------------------------------------------------------------------------------- */

static void renamed(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *m = deep_sequential(ctx);
    tlvk_layer *d1 = tlvk_model_find_layer(m, "d1"), *middle = tlvk_model_layer(m, 0);
    tlvk_tensor x = vector(ctx, "x", 4), b = dense(x, "b", 4), y = tlvk_layer_call(d1, b, TLVK_CALL_DEFAULT);
    tlvk_model *other = model_of(ctx, "other", x, y);
    assert_int_equal(tlvk_layer_set_name(d1, "b"), TLVK_ERROR_ARGUMENT); /* another model that has d1 has a b */
    assert_says(ctx, "d1 cannot be named \"b\": other has a layer (Dense) of that name");
    assert_int_equal(tlvk_layer_set_name(d1, "k"), TLVK_ERROR_ARGUMENT); /* the hidden input */
    assert_int_equal(tlvk_layer_set_name(d1, "d2"), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_layer_set_name(d1, ""), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_layer_set_name(d1, NULL), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_layer_set_name(NULL, "a"), TLVK_ERROR_ARGUMENT);
    assert_string_equal(tlvk_layer_name(d1), "d1");
    assert_int_equal(tlvk_layer_set_name(d1, "d1"), TLVK_OK);
    assert_int_equal(tlvk_layer_set_name(d1, "dense_7"), TLVK_OK);
    assert_ptr_equal(tlvk_model_find_layer(other, "dense_7"), d1);
    assert_string_equal(dense(b, NULL, 2).node->layer->name, "dense_8");
    tlvk_model_destroy(other);
    assert_int_equal(tlvk_layer_set_name(d1, "b"), TLVK_OK); /* nobody else has one now */

    /* A model and the layer that stands for it are one; a name given to the call alone is the layer's alone. */
    assert_int_equal(tlvk_layer_set_name(middle, "trunk"), TLVK_OK);
    assert_string_equal(tlvk_model_name(tlvk_layer_model(middle)), "trunk");
    assert_int_equal(tlvk_model_set_name(tlvk_layer_model(middle), "d2"), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_set_name(tlvk_layer_model(middle), "stem"), TLVK_OK);
    assert_string_equal(tlvk_layer_name(middle), "stem");
    assert_int_equal(tlvk_model_set_name(m, ""), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_set_name(NULL, "a"), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_set_name(m, "whole"), TLVK_OK);
    assert_int_equal(tlvk_layer_set_name(tlvk_model_find_layer(m, "c1"), "d2"), TLVK_OK); /* names count within one model */
    tlvk_tensor k = tlvk_input(ctx, &(tlvk_input_desc){.shape = {12, 9, 3}});
    tlvk_model *outer = model_of(ctx, "outer", k, tlvk_model_call(m, k, TLVK_CALL_DEFAULT, "alias"));
    assert_int_equal(tlvk_layer_set_name(tlvk_model_layer(outer, 1), "nickname"), TLVK_OK);
    assert_string_equal(tlvk_model_name(m), "whole");

    tlvk_model *loaded = saved_and_loaded(ctx, m, "renamed");
    assert_string_equal(tlvk_model_name(loaded), "whole");
    assert_layers(loaded, (const char *const[]){"stem", "b", "d2", NULL});
    assert_non_null(tlvk_model_find_layer(loaded, "stem/inner/d2"));
    /* Keras 3 refuses a slash in a name, so that files get another character for it. */
    assert_int_equal(tlvk_layer_set_name(d1, "head/one"), TLVK_OK);
    assert_ptr_equal(tlvk_model_find_layer(m, "head/one"), d1);
    tlvk_model *slashed = saved_and_loaded(ctx, m, "slashed");
    assert_string_equal(tlvk_layer_name(tlvk_model_layer(slashed, 1)), "head_one");
    tlvk_model_destroy(slashed);
    tlvk_model_destroy(loaded);
    tlvk_model_destroy(outer);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

/* --- activations ----------------------------------------------------------------------------------------------------------------------- */

static void activations_set(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_tensor x = input(ctx, "x", 8, 3), y = tlvk_relu(tlvk_activation(conv(x, "c", 4, 3), TLVK_RELU, "act"), &(tlvk_relu_desc){.name = "relu"});
    tlvk_model *m = model_of(ctx, "m", x, dense(tlvk_flatten(y, "f"), "d", 3));
    static const char *const with[] = {"c", "act", "d"}, *const without[] = {"f", "relu", "x"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tlvk_layer_set_activation(tlvk_model_find_layer(m, with[i]), i == 2 ? TLVK_SOFTMAX : TLVK_ELU), TLVK_OK);
        assert_int_equal(tlvk_layer_set_activation(tlvk_model_find_layer(m, without[i]), TLVK_ELU), TLVK_ERROR_ARGUMENT);
        assert_says(ctx, "has no activation");
    }
    tlvk_layer *d = tlvk_model_find_layer(m, "d");
    assert_int_equal(tlvk_layer_set_activation(d, TLVK_ACTIVATION_COUNT), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_layer_set_activation(d, (tlvk_activation_kind)-1), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_layer_set_activation(NULL, TLVK_RELU), TLVK_ERROR_ARGUMENT);
    tlvk_model *loaded = saved_and_loaded(ctx, m, "activations");
    tlvk__flat flat;
    assert_int_equal(tlvk__model_flatten(loaded, &flat), TLVK_OK);
    assert_int_equal(((const tlvk__conv2d_attrs *)flat.calls[0].attrs)->activation.kind, TLVK_ELU);
    assert_true(((const tlvk__conv2d_attrs *)flat.calls[0].attrs)->activation.alpha == 1);
    assert_int_equal(((const tlvk__activation_attrs *)flat.calls[1].attrs)->activation.kind, TLVK_ELU);
    assert_int_equal(((const tlvk__dense_attrs *)flat.calls[4].attrs)->activation.kind, TLVK_SOFTMAX);
    tlvk__flat_free(&flat);
    tlvk_model_destroy(loaded);
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

/* --- freezing, weights of one layer --------------------------------------------------------------------------------------------------- */

static bool is_convolution(tlvk_layer *layer, void *user) {
    ++*(int *)user;
    return strcmp(tlvk_layer_class(layer), "Conv2D") == 0;
}

static bool trainable(const tlvk_model *m, const char *name) { return tlvk_layer_trainable(tlvk_model_find_layer(m, name)); }

static void frozen_by_predicate_and_part(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *m = nested_model(ctx);
    int seen = 0;
    assert_int_equal(tlvk_model_set_trainable_if(m, is_convolution, &seen, false), TLVK_OK);
    assert_int_equal(seen, 10); /* models aside, with the InputLayer of the Functional inside */
    assert_true(!trainable(m, "conv_a") && !trainable(m, "conv_b") && trainable(m, "bn_a") && trainable(m, "features") && trainable(m, "dense_1"));
    assert_int_equal(tlvk_model_set_trainable_if(m, NULL, NULL, false), TLVK_ERROR_ARGUMENT);
    assert_int_equal(tlvk_model_set_trainable_if(NULL, is_convolution, &seen, false), TLVK_ERROR_ARGUMENT);

    /* Part of a nested model, by the model itself: its slices count its own layers. */
    tlvk_model *features = tlvk_layer_model(tlvk_model_find_layer(m, "features")), *head = tlvk_layer_model(tlvk_model_find_layer(m, "sequential_3"));
    assert_int_equal(tlvk_model_set_trainable(m, "*", true), TLVK_OK);
    assert_int_equal(tlvk_model_set_trainable(features, ":-3", false), TLVK_OK); /* all before conv_b, add_b, out_relu */
    assert_true(!trainable(m, "conv_a") && !trainable(m, "bn_a") && trainable(m, "conv_b"));
    assert_int_equal(tlvk_model_set_trainable(head, "-1:", false), TLVK_OK);
    assert_true(trainable(m, "dense_1") && !trainable(m, "dense_2"));
    tlvk_layer_set_trainable(tlvk_model_layer(features, -3), false);
    assert_false(trainable(m, "conv_b"));
    int64_t trained;
    assert_int_equal(tlvk_model_count_params(m, NULL, &trained), TLVK_OK);
    assert_int_equal(trained, 50); /* dense_1 */
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

static void weights_at_any_depth(void **state) {
    (void)state;
    tlvk_context *ctx = new_context();
    tlvk_model *m = nested_model(ctx);
    tlvk_layer *bn = tlvk_model_find_layer(m, "bn_a"), *features = tlvk_model_find_layer(m, "features"), *all = tlvk_model_layer(m, 0);
    static const char *const names[] = {"gamma", "beta", "moving_mean", "moving_variance"};
    assert_int_equal(tlvk_layer_weight_count(bn), 4);
    assert_int_equal(tlvk_layer_weight_count(features), 8);
    assert_int_equal(tlvk_layer_weight_count(all), 8);
    assert_int_equal(tlvk_layer_weight_count(tlvk_model_find_layer(m, "add_b")), 0);
    for (int i = 0; i < 4; i++) {
        const char *name;
        int rank;
        size_t elements;
        int64_t shape[TLVK_MAX_DIMS];
        float given[4] = {(float)i, 1, -2, 0.5f}, there[4];
        assert_int_equal(tlvk_layer_weight_info(bn, i, &name, shape, &rank, &elements), TLVK_OK);
        assert_string_equal(name, names[i]);
        assert_true(rank == 1 && elements == 4 && shape[0] == 4 && shape[1] == 0);
        assert_int_equal(tlvk_layer_set_weight(bn, i, given, 4), TLVK_OK);
        assert_int_equal(tlvk_layer_get_weight(all, 2 + i, there, 4), TLVK_OK); /* the same, seen from two levels above: behind conv_a's two */
        assert_memory_equal(given, there, sizeof there);
    }
    tlvk_model_destroy(m);
    tlvk_context_destroy(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_inputs_two_outputs), cmocka_unit_test(calls_that_cannot_be), cmocka_unit_test(output_of_a_layer_called_twice),
        cmocka_unit_test(model_used_twice), cmocka_unit_test(sequential_is_one), cmocka_unit_test(no_sequential), cmocka_unit_test(sequential_travels),
        cmocka_unit_test(popped), cmocka_unit_test(pop_of_a_layer_in_use_elsewhere_is_refused), cmocka_unit_test(renamed),
        cmocka_unit_test(activations_set), cmocka_unit_test(frozen_by_predicate_and_part), cmocka_unit_test(weights_at_any_depth),
    };
    return cmocka_run_group_tests_name("rebuild", tests, NULL, NULL);
}
