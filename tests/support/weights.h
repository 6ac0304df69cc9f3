/* weights.h - what the tests of Keras's files share: a context, a folder for files, models with numbered weights, and their comparison. To be included
 * after cmocka.h. */
#ifndef TLVK_TEST_WEIGHTS_H
#define TLVK_TEST_WEIGHTS_H

#include "core/platform.h"
#include "weights/weights.h"

static tlvk_context *ctx;

#define MAX_VARIABLES 512

/* $TLVK_TEST_TEMP/weights/name; malloc'd. */
static inline char *temp_path(const char *name) {
    const char *temp = tlvk__env("TLVK_TEST_TEMP");
    char *folder = tlvk__format("%s/weights", temp ? temp : "/tmp/tlvk-test"), *path = tlvk__format("%s/%s", folder, name);
    assert_int_equal(tlvk__make_folders(folder), TLVK_OK);
    free(folder);
    return path;
}

static inline void assert_ok(tlvk_status status) {
    if (status)
        fail_msg("status %d: %s", status, tlvk__fail_text());
}

static inline void assert_fails(tlvk_status status, tlvk_status expected, const char *words) {
    if (status != expected || !strstr(tlvk_last_error(ctx), words))
        fail_msg("status %d (expected %d): \"%s\" lacks \"%s\"", status, expected, tlvk_last_error(ctx), words);
}

/* --- models to write --- */

/* Convolution, BatchNormalization and their like again, so that orders can be mistaken: all vectors have 4 elements. */
static inline tlvk_model *make_base(const char *name) {
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){.shape = {8, 8, 3}}), x = in;
    for (int i = 0; i < 2; i++) {
        x = tlvk_conv2d(x, &(tlvk_conv2d_desc){.filters = 4, .kernel_size = {3, 3}, .padding = TLVK_SAME});
        x = tlvk_batch_normalization(x, NULL);
        x = tlvk_relu(x, &(tlvk_relu_desc){.max_value = 6});
    }
    tlvk_model *m = NULL;
    assert_ok(tlvk_model_create(ctx, &(tlvk_model_desc){.name = name, .inputs = {in}, .outputs = {x}}, &m));
    return m;
}

/* The base as a layer, in inference mode, and a head. */
static inline tlvk_model *make_model(tlvk_model **base) {
    *base = make_base("base");
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){.shape = {8, 8, 3}});
    tlvk_tensor x = tlvk_model_call(*base, in, TLVK_CALL_INFERENCE, NULL);
    x = tlvk_global_average_pooling2d(x, NULL);
    x = tlvk_dropout(x, 0.2f, NULL);
    x = tlvk_dense(x, &(tlvk_dense_desc){.units = 5, .activation = TLVK_SOFTMAX});
    tlvk_model *m = NULL;
    assert_ok(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {in}, .outputs = {x}}, &m));
    return m;
}

/* Every value of every variable another number. */
static inline void number_weights(tlvk_model *m) {
    tlvk__variable *v[MAX_VARIABLES];
    int count = tlvk__model_variables(m, v, NULL, MAX_VARIABLES);
    float next = 0;
    for (int i = 0; i < count; i++) {
        float *values = tlvk__calloc(v[i]->elements, sizeof *values);
        for (size_t k = 0; k < v[i]->elements; k++)
            values[k] = next += 0.37f;
        assert_ok(tlvk__variable_set(v[i], values));
        free(values);
    }
}

static inline void assert_equal_weights(const tlvk_model *a, const tlvk_model *b) {
    tlvk__variable *va[MAX_VARIABLES], *vb[MAX_VARIABLES];
    int count = tlvk__model_variables(a, va, NULL, MAX_VARIABLES);
    assert_int_equal(tlvk__model_variables(b, vb, NULL, MAX_VARIABLES), count);
    for (int i = 0; i < count; i++) {
        const float *x, *y;
        assert_ok(tlvk__variable_values(va[i], &x));
        assert_ok(tlvk__variable_values(vb[i], &y));
        assert_true(tlvk__shape_equal(&va[i]->spec.shape, &vb[i]->spec.shape));
        assert_string_equal(va[i]->name, vb[i]->name);
        assert_memory_equal(x, y, va[i]->elements * sizeof *x);
    }
}

#endif
