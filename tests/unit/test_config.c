/* test_config.c - Keras's JSON to models and back: the forms of Keras 1 to 3, and what is refused by name. Quotes in the texts below are single. */
#include "weights/config.h"
#include "ops/attrs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static tlvk_context *ctx;

static int open_context(void **state) {
    (void)state;
    return tlvk_context_create(&(tlvk_context_desc){.cache_folder = ""}, &ctx) != TLVK_OK;
}

static int close_context(void **state) {
    (void)state;
    tlvk_context_destroy(ctx);
    return 0;
}

/* Single quotes to double ones. */
static char *quoted(const char *text) {
    char *copy = tlvk__strdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    return copy;
}

static tlvk_status read_config(const char *text, int version, tlvk_model **model) {
    char *json = quoted(text);
    tlvk_status status = tlvk__model_from_config(ctx, json, "test.h5", version, model);
    free(json);
    return status;
}

static tlvk_model *accept(const char *text, int version) {
    tlvk_model *model = NULL;
    if (read_config(text, version, &model))
        fail_msg("refused: %s", tlvk__fail_text());
    return model;
}

static void refuse(const char *text, int version, tlvk_status expected, const char *words) {
    tlvk_model *model = NULL;
    tlvk_status status = read_config(text, version, &model);
    if (status != expected || !strstr(tlvk__fail_text(), words) || !strstr(tlvk__fail_text(), "test.h5"))
        fail_msg("status %d (expected %d): \"%s\" lacks \"%s\"", status, expected, tlvk__fail_text(), words);
    assert_null(model);
}

#define SEQUENTIAL(layers) "{'class_name': 'Sequential', 'config': {'name': 's', 'layers': [" layers "]}}"
#define INPUT(name, shape) "{'class_name': 'InputLayer', 'config': {'name': '" name "', 'batch_input_shape': " shape ", 'dtype': 'float32', 'sparse': false}, 'name': '" name "', 'inbound_nodes': []}"
#define ONE(layer) SEQUENTIAL(INPUT("in", "[null, 8, 8, 4]") ", " layer)
#define LAYER(class, config, nodes) "{'class_name': '" class "', 'name': '" class "_1', 'config': {'name': '" class "_1'" config "}, 'inbound_nodes': [" nodes "]}"
#define FUNCTIONAL(layers, ends) "{'class_name': 'Functional', 'config': {'name': 'f', 'layers': [" layers "], " ends "}}"
#define TENSOR(name) "{'class_name': '__keras_tensor__', 'config': {'shape': [null, 8, 8, 4], 'dtype': 'float32', 'keras_history': ['" name "', 0, 0]}}"

static const void *attrs_of(const tlvk_model *model, int index) { return model->layers[index]->attrs; }

static void sequential_forms(void **state) {
    (void)state;
    static const char *const forms[] = {
        /* Keras 2.0: a bare list; the shape on the first layer */
        "{'class_name': 'Sequential', 'config': [{'class_name': 'Dense', 'config': {'name': 'd', 'units': 3, 'batch_input_shape': [null, 5]}}]}",
        "{'class_name': 'Sequential', 'config': {'name': 's', 'layers': [{'class_name': 'Dense', 'config': {'name': 'd', 'units': 3, 'batch_input_shape': [7, 5]}}]}}",
        "{'class_name': 'Sequential', 'config': {'name': 's', 'build_input_shape': [null, 5], 'layers': [{'class_name': 'Dense', 'config': {'name': 'd', 'units': 3}}]}}",
        "{'class_name': 'Sequential', 'build_config': {'input_shape': [null, 5]}, 'config': {'name': 's', 'layers': [{'class_name': 'Dense', 'config': {'name': 'd', 'units': 3}}]}}",
        /* Keras 3 */
        "{'class_name': 'Sequential', 'config': {'name': 's', 'layers': [{'class_name': 'InputLayer', 'config': {'name': 'i', 'batch_shape': [null, 5]}}, "
        "{'class_name': 'Dense', 'config': {'name': 'd', 'units': 3}}]}}",
        /* inside one another: the inner ones know the shape, or are told by the call */
        SEQUENTIAL("{'class_name': 'Sequential', 'config': {'name': 'u', 'layers': [" INPUT("in", "[null, 5]") ", {'class_name': 'Dense', 'config': {'name': 'd', 'units': 3}}]}}"),
        SEQUENTIAL(INPUT("in", "[null, 5]") ", {'class_name': 'Sequential', 'config': {'name': 'u', 'layers': [{'class_name': 'Sequential', 'config': {'name': 'v', "
                   "'layers': [{'class_name': 'Dense', 'config': {'name': 'd', 'units': 3}}]}}]}}"),
    };
    for (size_t i = 0; i < TLVK__COUNT(forms); i++) {
        tlvk_model *m = accept(forms[i], 2);
        assert_true(m->sequential);
        int64_t params;
        assert_int_equal(tlvk_model_count_params(m, &params, NULL), TLVK_OK);
        assert_int_equal(params, 18);
        int64_t shape[TLVK_MAX_DIMS];
        assert_int_equal(tlvk_tensor_shape(tlvk_model_output(m, 0), shape), 1);
        assert_int_equal(shape[0], 3);
        tlvk_model_destroy(m);
    }
    refuse(SEQUENTIAL("{'class_name': 'Dense', 'config': {'name': 'd', 'units': 3}}"), 2, TLVK_ERROR_UNSUPPORTED, "does not say the shape of its input");
    refuse(SEQUENTIAL(""), 2, TLVK_ERROR_FORMAT, "no layers");
}

static void functional_forms(void **state) {
    (void)state;
    tlvk_model *m = accept(FUNCTIONAL(INPUT("a", "[null, 8, 8, 4]") ", " INPUT("b", "[null, 8, 8, 4]") ", "
                                      "{'class_name': 'ReLU', 'name': 'r', 'config': {'name': 'r', 'max_value': 6.0}, 'inbound_nodes': [[['a', 0, 0, {}]], [['b', 0, 0, {}]]]}, "
                                      "{'class_name': 'Add', 'name': 'add', 'config': {'name': 'add', 'trainable': true}, 'inbound_nodes': [[['r', 0, 0, {}], ['r', 1, 0, {}]]]}",
                                      "'input_layers': [['a', 0, 0], ['b', 0, 0]], 'output_layers': [['add', 0, 0], ['r', 1, 0]]"), 2);
    assert_int_equal(m->input_count, 2);
    assert_int_equal(m->output_count, 2);
    assert_int_equal(m->layer_count, 4);
    tlvk_layer *r = tlvk_model_find_layer(m, "r");
    assert_non_null(r);
    assert_int_equal(((const tlvk__activation_attrs *)r->attrs)->activation.max_value, 6);
    assert_ptr_equal(m->outputs[1].node->inputs[0].node, m->inputs[1].node);
    tlvk_model_destroy(m);

    /* Keras 3: args and kwargs, single ends without a list around them */
    m = accept(FUNCTIONAL("{'class_name': 'InputLayer', 'config': {'batch_shape': [null, 8, 8, 4], 'dtype': 'float32', 'name': 'a'}, 'name': 'a', 'inbound_nodes': []}, "
                          LAYER("BatchNormalization", "", "{'args': [" TENSOR("a") "], 'kwargs': {'mask': null, 'training': false}}") ", "
                          LAYER("Concatenate", ", 'trainable': true, 'axis': -1", "{'args': [[" TENSOR("a") ", " TENSOR("BatchNormalization_1") "]], 'kwargs': {}}"),
                          "'input_layers': ['a', 0, 0], 'output_layers': ['Concatenate_1', 0, 0]"), 3);
    assert_int_equal(m->outputs[0].node->inputs[1].node->mode, TLVK_CALL_INFERENCE);
    assert_int_equal(tlvk__tensor_shape_of(m->outputs[0])->dim[3], 8);
    tlvk_model_destroy(m);

    /* layers listed before those they read */
    m = accept(FUNCTIONAL(LAYER("Flatten", "", "[['Activation_1', 0, 0, {}]]") ", " LAYER("Activation", ", 'activation': 'tanh'", "[['a', 0, 0, {}]]") ", " INPUT("a", "[null, 8, 8, 4]"),
                          "'input_layers': [['a', 0, 0]], 'output_layers': [['Flatten_1', 0, 0]]"), 2);
    assert_int_equal(tlvk__tensor_shape_of(m->outputs[0])->dim[1], 256);
    tlvk_model_destroy(m);
}

#define INNER "{'class_name': 'Functional', 'name': 'u', 'config': {'name': 'u', 'layers': [" INPUT("x", "[null, 8, 8, 4]") ", " LAYER("Dropout", ", 'rate': 0.5", "[['x', 0, 0, {}]]") \
              "], 'input_layers': [['x', 0, 0]], 'output_layers': [['Dropout_1', 0, 0]]}, "

static void nested_calls_are_counted_as_each_keras_does(void **state) {
    (void)state;
    /* Keras 2 refers to a model's calls from 1, Keras 3 from 0 but for output_layers. */
    tlvk_model *m = accept(FUNCTIONAL(INPUT("a", "[null, 8, 8, 4]") ", " INNER "'inbound_nodes': [[['a', 0, 0, {'training': false}]], [['ReLU_1', 0, 0, {}]]]}, " LAYER("ReLU", "", "[['u', 1, 0, {}]]"),
                                      "'input_layers': [['a', 0, 0]], 'output_layers': [['u', 2, 0]]"), 2);
    assert_string_equal(m->outputs[0].node->layer->name, "u");
    assert_string_equal(m->outputs[0].node->inputs[0].node->layer->name, "ReLU_1");
    const struct tlvk_node *first = m->outputs[0].node->inputs[0].node->inputs[0].node;
    assert_int_equal(first->mode, TLVK_CALL_INFERENCE);
    assert_int_equal(m->outputs[0].node->mode, TLVK_CALL_DEFAULT);
    /* Written so that both understand: every call twice, call k as node 2k + 1; and read again. */
    tlvk_status status;
    char *text = tlvk__model_to_config(m, &status);
    assert_int_equal(status, TLVK_OK);
    json_t *root = json_loads(text, 0, NULL);
    const json_t *layers = json_object_get(json_object_get(root, "config"), "layers");
    assert_int_equal(json_array_size(json_object_get(json_array_get(layers, 1), "inbound_nodes")), 4);
    json_decref(root);
    tlvk_model *again;
    assert_int_equal(tlvk__model_from_config(ctx, text, "test.h5", 2, &again), TLVK_OK);
    assert_int_equal(again->node_count, m->node_count);
    assert_string_equal(again->outputs[0].node->inputs[0].node->layer->name, "ReLU_1");
    char *second = tlvk__model_to_config(again, &status);
    assert_string_equal(text, second);
    free(second);
    free(text);
    tlvk_model_destroy(again);
    tlvk_model_destroy(m);

    m = accept(FUNCTIONAL(INPUT("a", "[null, 8, 8, 4]") ", " INNER "'inbound_nodes': [{'args': [" TENSOR("a") "], 'kwargs': {'training': true}}]}, "
                          LAYER("ReLU", "", "{'args': [" TENSOR("u") "], 'kwargs': {}}"), "'input_layers': ['a', 0, 0], 'output_layers': ['u', 1, 0]"), 3);
    assert_string_equal(m->outputs[0].node->layer->name, "u");
    assert_int_equal(m->outputs[0].node->mode, TLVK_CALL_TRAINING);
    tlvk_model_destroy(m);
}

static void arithmetic_between_layers(void **state) {
    (void)state;
    /* x/127.5 - 1, 2*(.), 1 - (.), added to itself: tf_keras's form */
#define LAMBDA(name, function, nodes) "{'class_name': 'TFOpLambda', 'name': '" name "', 'config': {'name': '" name "', 'trainable': true, 'dtype': 'float32', 'function': '" function "'}, 'inbound_nodes': [" nodes "]}"
    tlvk_model *m = accept(FUNCTIONAL(INPUT("a", "[null, 8, 8, 4]") ", " LAMBDA("tf.div", "math.truediv", "['a', 0, 0, {'y': 127.5, 'name': null}]") ", "
                                      LAMBDA("tf.sub", "math.subtract", "['tf.div', 0, 0, {'y': 1.0, 'name': null}]") ", "
                                      LAMBDA("tf.mul", "math.multiply", "['_CONSTANT_VALUE', -1, 2.0, {'y': ['tf.sub', 0, 0], 'name': null}]") ", "
                                      LAMBDA("tf.sub1", "math.subtract", "['_CONSTANT_VALUE', -1, 1.0, {'y': ['tf.mul', 0, 0], 'name': null}]") ", "
                                      LAMBDA("tf.add", "__operators__.add", "['tf.sub1', 0, 0, {'y': ['tf.sub1', 0, 0], 'name': null}]"),
                                      "'input_layers': [['a', 0, 0]], 'output_layers': [['tf.add', 0, 0]]"), 2);
    const float wanted[4][2] = {{1 / 127.5f, 0}, {1, -1}, {2, 0}, {-1, 1}};
    for (int i = 0; i < 4; i++) {
        const tlvk__rescaling_attrs *a = attrs_of(m, i + 1);
        assert_string_equal(m->layers[i + 1]->class_name, "Rescaling");
        assert_true(a->scale.v[0] == wanted[i][0] && a->offset.v[0] == wanted[i][1]);
    }
    assert_string_equal(m->layers[5]->class_name, "Add");
    tlvk_model_destroy(m);
    /* Keras 3's: operations named like layers, but without a layer's settings */
    m = accept(FUNCTIONAL(INPUT("a", "[null, 8, 8, 4]") ", " LAYER("Add", "", "{'args': [" TENSOR("a") ", 3.0], 'kwargs': {}}") ", "
                          LAYER("Multiply", "", "{'args': [" TENSOR("a") ", " TENSOR("Add_1") "], 'kwargs': {}}"),
                          "'input_layers': ['a', 0, 0], 'output_layers': ['Multiply_1', 0, 0]"), 3);
    assert_string_equal(m->layers[1]->class_name, "Rescaling");
    assert_string_equal(m->layers[2]->class_name, "Multiply");
    tlvk_model_destroy(m);
    /* a - b of two tensors, in either's form */
    m = accept(FUNCTIONAL(INPUT("a", "[null, 8, 8, 4]") ", " LAYER("ReLU", "", "[['a', 0, 0, {}]]") ", "
                          LAMBDA("tf.sub", "math.subtract", "['a', 0, 0, {'y': ['ReLU_1', 0, 0], 'name': null}]"),
                          "'input_layers': [['a', 0, 0]], 'output_layers': [['tf.sub', 0, 0]]"), 2);
    assert_string_equal(m->layers[2]->class_name, "Subtract");
    assert_ptr_equal(m->outputs[0].node->inputs[0].node, m->inputs[0].node);
    tlvk_model_destroy(m);
    m = accept(FUNCTIONAL(INPUT("a", "[null, 8, 8, 4]") ", " LAYER("Add", "", "{'args': [" TENSOR("a") ", 3.0], 'kwargs': {}}") ", "
                          LAYER("Subtract", "", "{'args': [" TENSOR("a") ", " TENSOR("Add_1") "], 'kwargs': {}}"),
                          "'input_layers': ['a', 0, 0], 'output_layers': ['Subtract_1', 0, 0]"), 3);
    assert_string_equal(m->layers[2]->class_name, "Subtract");
    assert_ptr_equal(m->outputs[0].node->inputs[0].node, m->inputs[0].node);
    tlvk_model_destroy(m);
    refuse(FUNCTIONAL(INPUT("a", "[null, 8, 8, 4]") ", " LAMBDA("t", "math.pow", "['a', 0, 0, {'y': 2.0, 'name': null}]"), "'input_layers': [['a', 0, 0]], 'output_layers': [['t', 0, 0]]"),
           2, TLVK_ERROR_UNSUPPORTED, "math.pow");
    refuse(FUNCTIONAL(INPUT("a", "[null, 8, 8, 4]") ", " LAMBDA("t", "math.subtract", "['a', 0, 0, {'y': [1.0, 2.0, 3.0, 4.0]}]"), "'input_layers': [['a', 0, 0]], 'output_layers': [['t', 0, 0]]"),
           2, TLVK_ERROR_UNSUPPORTED, "one single number");
}

static void settings(void **state) {
    (void)state;
    tlvk_model *m = accept(ONE(LAYER("DepthwiseConv2D", ", 'kernel_size': 3, 'groups': 1, 'use_bias': false, 'strides': [2, 2], 'data_format': 'channels_last', 'filters': null", "")), 2);
    const tlvk__depthwise_conv2d_attrs *d = attrs_of(m, 0);
    assert_true(d->kernel_size[1] == 3 && d->strides[1] == 2 && !d->use_bias);
    tlvk_status status;
    char *text = tlvk__model_to_config(m, &status);
    assert_int_equal(status, TLVK_OK);
    assert_null(strstr(text, "groups")); /* current Keras refuses it here */
    free(text);
    tlvk_model_destroy(m);

    m = accept(ONE(LAYER("Conv2D", ", 'filters': 2, 'kernel_size': [3, 3], 'activation': {'class_name': 'LeakyReLU', 'config': {'name': 'l', 'alpha': {'type': 'ndarray', 'value': 0.25}}}, "
                         "'kernel_regularizer': {'class_name': 'L2', 'config': {'l2': 0.5}}, 'bias_regularizer': {'class_name': 'L1L2', 'config': {'l1': 0.0, 'l2': 0.25}}, "
                         "'kernel_initializer': {'module': 'keras.initializers', 'class_name': 'VarianceScaling', 'config': {'scale': 2.0, 'mode': 'fan_out', 'distribution': 'normal'}}, "
                         "'dtype': {'module': 'keras', 'class_name': 'DTypePolicy', 'config': {'name': 'float32'}, 'registered_name': null}", "")), 3);
    const tlvk__conv2d_attrs *c = attrs_of(m, 0);
    assert_int_equal(c->activation.kind, TLVK_LEAKY_RELU);
    assert_true(c->activation.alpha == 0.25f && c->kernel_regularizer.l2 == 0.5f && c->kernel_regularizer.l1 == 0 && c->bias_regularizer.l2 == 0.25f);
    assert_true(c->kernel_initializer.kind == TLVK_VARIANCE_SCALING && c->kernel_initializer.value == 2 && c->kernel_initializer.mode == 1 && c->kernel_initializer.distribution == 0);
    text = tlvk__model_to_config(m, &status);
    assert_null(text); /* no name says leaky_relu with 0.25 to both Keras */
    assert_int_equal(status, TLVK_ERROR_UNSUPPORTED);
    assert_non_null(strstr(tlvk__fail_text(), "Conv2D_1"));
    tlvk_model_destroy(m);

    m = accept(ONE(LAYER("ZeroPadding2D", ", 'padding': [[0, 1], [2, 3]]", "") ", " LAYER("Activation", ", 'activation': {'module': 'builtins', 'class_name': 'function', 'config': 'relu', 'registered_name': 'function'}", "")), 3);
    const tlvk__padding2d_attrs *p = attrs_of(m, 0);
    assert_true(p->padding[0] == 0 && p->padding[1] == 1 && p->padding[2] == 2 && p->padding[3] == 3);
    tlvk_model_destroy(m);

    for (int version = 1; version <= 3; version++) {
        m = accept(ONE(LAYER("Activation", ", 'activation': 'hard_sigmoid'", "")), version);
        assert_int_equal(((const tlvk__activation_attrs *)attrs_of(m, 0))->activation.kind, version < 3 ? TLVK_HARD_SIGMOID_KERAS2 : TLVK_HARD_SIGMOID);
        assert_null(tlvk__model_to_config(m, &status));
        assert_int_equal(status, TLVK_ERROR_UNSUPPORTED);
        tlvk_model_destroy(m);
    }
}

static void refused_by_name(void **state) {
    (void)state;
    refuse(ONE(LAYER("Lambda", ", 'function': ['abc']", "")), 2, TLVK_ERROR_UNSUPPORTED, "Python code");
    refuse(ONE(LAYER("MyLayer", "", "")), 3, TLVK_ERROR_UNSUPPORTED, "class MyLayer, which this library does not know; it knows InputLayer, ");
    refuse("{'class_name': 'MyModel', 'config': {'name': 'x'}}", 3, TLVK_ERROR_UNSUPPORTED, "MyModel");
    refuse(ONE(LAYER("Dense", ", 'units': 3, 'dtype': 'float64'", "")), 3, TLVK_ERROR_UNSUPPORTED, "float64");
    refuse(ONE(LAYER("Dense", ", 'units': 3, 'dtype': {'class_name': 'DTypePolicy', 'config': {'name': 'int8_from_float32'}}", "")), 3, TLVK_ERROR_UNSUPPORTED, "int8_from_float32");
    refuse(ONE(LAYER("Dense", ", 'units': 3, 'activation': 'my_activation'", "")), 3, TLVK_ERROR_UNSUPPORTED, "my_activation");
    refuse(ONE(LAYER("Dense", ", 'units': 3, 'kernel_regularizer': {'class_name': 'Orthogonal', 'config': {}}", "")), 3, TLVK_ERROR_UNSUPPORTED, "Orthogonal");
    refuse(ONE(LAYER("Dense", ", 'units': 3, 'kernel_constraint': {'class_name': 'MaxNorm', 'config': {}}", "")), 3, TLVK_ERROR_UNSUPPORTED, "kernel_constraint");
    refuse(ONE(LAYER("Conv2D", ", 'filters': 3, 'kernel_size': 3, 'data_format': 'channels_first'", "")), 2, TLVK_ERROR_UNSUPPORTED, "data_format");
    refuse(ONE(LAYER("Flatten", ", 'new_setting': 4", "")), 3, TLVK_ERROR_UNSUPPORTED, "new_setting is 4");
    refuse(ONE(LAYER("Dense", ", 'units': 'three'", "")), 2, TLVK_ERROR_FORMAT, "an integer");
    refuse(ONE(LAYER("Dense", ", 'units': 1e30", "")), 2, TLVK_ERROR_FORMAT, "an integer");
    refuse(ONE(LAYER("ReLU", ", 'max_value': 1e300", "")), 2, TLVK_ERROR_FORMAT, "a number");
    refuse(ONE("{'class_name': 'Dense'}"), 2, TLVK_ERROR_FORMAT, "without a name");
    refuse(ONE("7"), 2, TLVK_ERROR_FORMAT, "without a name");
    refuse(ONE(LAYER("Conv2D", ", 'filters': 3, 'kernel_size': 99", "")), 2, TLVK_ERROR_FORMAT, "Conv2D_1");
}

static void damaged_graphs(void **state) {
    (void)state;
#define RELU_ON(nodes) FUNCTIONAL(INPUT("a", "[null, 8, 8, 4]") ", " LAYER("ReLU", "", nodes), "'input_layers': [['a', 0, 0]], 'output_layers': [['ReLU_1', 0, 0]]")
    refuse(RELU_ON("[['ReLU_1', 0, 0, {}]]"), 2, TLVK_ERROR_FORMAT, "loop");
    refuse(RELU_ON("[['b', 0, 0, {}]]"), 2, TLVK_ERROR_FORMAT, "'b'");
    refuse(RELU_ON("[['a', 5, 0, {}]]"), 2, TLVK_ERROR_FORMAT, "loop or a missing call");
    refuse(RELU_ON("[['a', -3, 0, {}]]"), 2, TLVK_ERROR_FORMAT, "not understood");
    refuse(RELU_ON("[['a', 0]]"), 2, TLVK_ERROR_FORMAT, "not understood");
    refuse(RELU_ON("[]"), 2, TLVK_ERROR_FORMAT, "not understood");
    refuse(RELU_ON("[[[[[[[[[[[[[['a', 0, 0]]]]]]]]]]]]]]"), 2, TLVK_ERROR_FORMAT, "not understood");
    refuse(RELU_ON("{'args': [5], 'kwargs': {}}"), 3, TLVK_ERROR_FORMAT, "not understood");
    refuse(RELU_ON("[['a', 0, 0, {'mask': 7}]]"), 2, TLVK_ERROR_UNSUPPORTED, "mask=7");
    refuse(RELU_ON(""), 2, TLVK_ERROR_FORMAT, "output_layers");
    refuse(RELU_ON("[['a', 0, 7, {}]]"), 2, TLVK_ERROR_FORMAT, "");
    refuse(FUNCTIONAL(INPUT("a", "[null, 4]") ", " INPUT("a", "[null, 4]"), "'input_layers': [], 'output_layers': []"), 2, TLVK_ERROR_FORMAT, "two layers are named 'a'");
    refuse(FUNCTIONAL(INPUT("a", "[null, 4]"), "'input_layers': [], 'output_layers': []"), 2, TLVK_ERROR_UNSUPPORTED, "input_layers");
    refuse(FUNCTIONAL(INPUT("a", "[null, -4]"), "'input_layers': [['a', 0, 0]], 'output_layers': [['a', 0, 0]]"), 2, TLVK_ERROR_FORMAT, "");
    refuse("{'class_name': 'Functional', 'config': {'name': 'python'}}", 3, TLVK_ERROR_UNSUPPORTED, "Python");
    refuse("{'class_name': 'Sequential', 'config': {", 2, TLVK_ERROR_FORMAT, "not JSON");
    refuse("[]", 2, TLVK_ERROR_FORMAT, "without a name");

    /* brackets and models without end */
    char *deep = tlvk__calloc(200001, 1);
    memset(deep, '[', 200000);
    refuse(deep, 2, TLVK_ERROR_FORMAT, "not JSON");
    free(deep);
    const char *open = "{'class_name': 'Sequential', 'config': {'name': 'm', 'layers': [";
    deep = tlvk__calloc(100 * strlen(open) + 1, 1);
    for (int i = 0; i < 100; i++)
        strcpy(deep + (size_t)i * strlen(open), open);
    char *whole = tlvk__format("%s%s", deep, INPUT("a", "[null, 4]"));
    for (int i = 0; i < 100; i++) {
        char *longer = tlvk__format("%s]}}", whole);
        free(whole);
        whole = longer;
    }
    refuse(whole, 2, TLVK_ERROR_UNSUPPORTED, "nested more than");
    free(whole);
    free(deep);
}

static void written_and_read_again(void **state) {
    (void)state;
    static const char *const models[] = {
        ONE(LAYER("Conv2D", ", 'filters': 3, 'kernel_size': [3, 2], 'strides': [1, 2], 'padding': 'same', 'activation': 'relu', 'kernel_regularizer': {'class_name': 'L2', 'config': {'l2': 0.01}}", "") ", "
            LAYER("SeparableConv2D", ", 'filters': 5, 'kernel_size': 2, 'depth_multiplier': 2", "") ", " LAYER("MaxPooling2D", ", 'pool_size': [2, 2], 'strides': null", "") ", "
            LAYER("BatchNormalization", ", 'axis': [3], 'momentum': 0.9, 'scale': false, 'trainable': false", "") ", " LAYER("LeakyReLU", ", 'alpha': 0.1", "") ", "
            LAYER("Dropout", ", 'rate': 0.3, 'seed': null, 'noise_shape': null", "") ", " LAYER("GlobalAveragePooling2D", "", "") ", "
            LAYER("Dense", ", 'units': 3, 'activation': 'softmax', 'kernel_initializer': {'class_name': 'RandomNormal', 'config': {'mean': 0.5, 'stddev': 0.125, 'seed': 3}}", "")),
        ONE(LAYER("ELU", ", 'alpha': 0.7", "") ", " LAYER("ReLU", ", 'max_value': 6.0, 'negative_slope': 0.1, 'threshold': 0.2", "") ", " LAYER("Cropping2D", ", 'cropping': [[1, 0], [0, 2]]", "") ", "
            LAYER("Rescaling", ", 'scale': 0.003921568859368563, 'offset': -1.0", "") ", " LAYER("Reshape", ", 'target_shape': [7, -1]", "") ", " LAYER("Flatten", ", 'data_format': 'channels_last'", "")),
    };
    for (size_t i = 0; i < TLVK__COUNT(models); i++) {
        tlvk_status status;
        tlvk_model *m = accept(models[i], 2), *again;
        char *first = tlvk__model_to_config(m, &status);
        if (status)
            fail_msg("%s", tlvk__fail_text());
        assert_int_equal(tlvk__model_from_config(ctx, first, "again.h5", 2, &again), TLVK_OK);
        char *second = tlvk__model_to_config(again, &status);
        assert_string_equal(first, second);
        assert_int_equal(m->layer_count, again->layer_count);
        for (int k = 0; k < m->layer_count; k++)
            assert_int_equal(m->layers[k]->trainable, again->layers[k]->trainable);
        free(first);
        free(second);
        tlvk_model_destroy(m);
        tlvk_model_destroy(again);
    }
}

static void training_configs(void **state) {
    (void)state;
    char *old = quoted("{'loss_weights': null, 'optimizer_config': {'class_name': 'Adam', 'config': {'lr': 0.0001, 'beta_1': 0.9, 'epsilon': 1e-08, 'decay': 0.0}}, "
                       "'loss': 'categorical_crossentropy', 'metrics': [['accuracy', {'class_name': 'Other', 'config': {'name': 'x'}}]], 'sample_weight_mode': null}");
    char *text = tlvk__training_config_portable(old);
    assert_non_null(text);
    assert_non_null(strstr(text, "learning_rate"));
    assert_non_null(strstr(text, "[\"accuracy\"]"));
    assert_null(strstr(text, "decay"));
    free(text);
    free(old);
    static const char *const without[] = {"", "{}", "[1]", "{'loss': 'mine', 'optimizer_config': {'class_name': 'Adam', 'config': {'lr': 1}}}",
                                          "{'loss': 'mse', 'optimizer_config': {'class_name': 'Mine', 'config': {'lr': 1}}}",
                                          "{'loss': 'mse', 'optimizer_config': {'class_name': 'Adam', 'config': {'learning_rate': {'class_name': 'X'}}}}"};
    for (size_t i = 0; i < TLVK__COUNT(without); i++) {
        char *json = quoted(without[i]);
        assert_null(tlvk__training_config_portable(json));
        free(json);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequential_forms), cmocka_unit_test(functional_forms), cmocka_unit_test(nested_calls_are_counted_as_each_keras_does),
        cmocka_unit_test(arithmetic_between_layers), cmocka_unit_test(settings), cmocka_unit_test(refused_by_name), cmocka_unit_test(damaged_graphs),
        cmocka_unit_test(written_and_read_again), cmocka_unit_test(training_configs),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
