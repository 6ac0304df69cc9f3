/* nets.h - a small network and labelled arrays for whole runs: everything drawn from seeds. */
#ifndef TLVK_TEST_NETS_H
#define TLVK_TEST_NETS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "train/training.h"

#define NET_SIDE 12
#define NET_CLASSES 3

#define assert_api(ctx, call)                                                                             \
    do {                                                                                                  \
        if (call) fail_msg("%s: %s", #call, tlvk_last_error(ctx));                                        \
    } while (0)

/* Skips where this machine has no device; any other reason why one was not opened is a failure. */
static inline void net_no_device(tlvk_status status) {
    if (status != TLVK_ERROR_NO_DEVICE) fail_msg("opening a device: %s: %s", tlvk_status_name(status), tlvk__fail_text());
    print_message("no device: %s\n", tlvk__fail_text());
    skip();
}

/* A context whose caches lie nowhere; where this machine has no device, the test is skipped. */
static inline tlvk_context *net_context(const char *cache_folder) {
    tlvk_context *ctx = NULL;
    tlvk__device *device;
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = cache_folder ? cache_folder : "" }, &ctx), TLVK_OK);
    const tlvk_status status = tlvk__context_device(ctx, &device);
    if (status) {
        tlvk_context_destroy(ctx);
        net_no_device(status);
    }
    return ctx;
}

static inline void net_device_destroy(void *device) { tlvk__device_destroy(device); }

/* The same with a device of the test's own choice: validated, limited, the floor. */
static inline tlvk_context *net_context_on(const tlvk__device_desc *desc) {
    tlvk_context *ctx = NULL;
    tlvk__device *device;
    const tlvk_status status = tlvk__device_create(desc, &device);
    if (status) net_no_device(status);
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = "" }, &ctx), TLVK_OK);
    tlvk__context_put(ctx, TLVK__SLOT_DEVICE, device, net_device_destroy);
    return ctx;
}

static inline tlvk__device *net_device(tlvk_context *ctx) {
    tlvk__device *device = NULL;
    assert_int_equal(tlvk__context_device(ctx, &device), TLVK_OK);
    return device;
}

/* A file name in the folder for tests' files; the caller frees. */
static inline char *temp_path(const char *name) {
    const char *folder = tlvk__env("TLVK_TEST_TEMP");
    char *path = tlvk__format("%s/%s", folder ? folder : "/tmp", name);
    assert_non_null(path);
    return path;
}

/* conv - norm - relu - depthwise - norm - relu6 - add back - max pool - conv - flatten - dropout - dense */
static inline tlvk_model *small_network(tlvk_context *ctx, uint64_t seed) {
    tlvk_set_random_seed(ctx, seed);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { NET_SIDE, NET_SIDE, 3 }, .name = "in" });
    tlvk_tensor x = tlvk_conv2d(in, &(tlvk_conv2d_desc){ .filters = 8, .kernel_size = { 3 }, .padding = TLVK_SAME, .no_bias = true, .name = "conv" });
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){ .name = "norm" });
    tlvk_tensor short_cut = x = tlvk_relu(x, &(tlvk_relu_desc){ .name = "relu" });
    x = tlvk_depthwise_conv2d(x, &(tlvk_depthwise_conv2d_desc){ .kernel_size = { 3 }, .padding = TLVK_SAME, .name = "depthwise" });
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){ .name = "depthwise_norm" });
    x = tlvk_relu(x, &(tlvk_relu_desc){ .max_value = 6, .name = "relu6" });
    x = tlvk_add((tlvk_tensor[]){ short_cut, x }, 2, "add");
    x = tlvk_max_pooling2d(x, &(tlvk_pooling2d_desc){ .name = "pool" });
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){ .filters = 10, .kernel_size = { 3 }, .activation = TLVK_RELU, .name = "conv2", .kernel_regularizer = { .l2 = 1e-3f } });
    x = tlvk_flatten(x, "flatten");
    x = tlvk_dropout(x, 0.3f, "dropout");
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = NET_CLASSES, .activation = TLVK_SOFTMAX, .name = "dense" });
    tlvk_model *model = NULL;
    assert_api(ctx, tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x }, .name = "small" }, &model));
    return model;
}

/* Pictures whose class is the channel that is brightest on average. */
static inline tlvk_dataset *small_data(tlvk_context *ctx, int samples, int batch, uint64_t seed) {
    size_t pixels = NET_SIDE * NET_SIDE * 3;
    float *x = malloc((size_t)samples * pixels * sizeof *x), *y = malloc((size_t)samples * sizeof *y);
    assert_true(x && y);
    tlvk__rng rng;
    tlvk__rng_seed(&rng, seed, 7);
    for (int i = 0; i < samples; i++) {
        y[i] = (float)(i % NET_CLASSES);
        for (size_t k = 0; k < pixels; k++) x[(size_t)i * pixels + k] = (float)(tlvk__rng_uniform(&rng) + ((int)(k % 3) == i % NET_CLASSES ? 0.25 : 0.0) - 0.5);
    }
    tlvk_dataset *data = NULL;
    assert_api(ctx, tlvk_dataset_from_arrays(ctx, &(tlvk_array_desc){ .x = x, .x_shape = { samples, NET_SIDE, NET_SIDE, 3 }, .y = y, .y_shape = { samples }, .batch_size = batch, .seed = seed }, &data));
    free(x);
    free(y);
    return data;
}

/* All values of all variables, one behind the other; the caller frees. */
static inline float *all_weights(const tlvk_model *model, size_t *count) {
    int n = tlvk__model_variables(model, NULL, NULL, 0);
    tlvk__variable **list = calloc((size_t)n + 1, sizeof(tlvk__variable *));
    float *out = NULL;
    *count = 0;
    tlvk__model_variables(model, list, NULL, n);
    for (int i = 0; i < n; i++) {
        const float *values;
        assert_int_equal(tlvk__variable_values(list[i], &values), TLVK_OK);
        out = realloc(out, (*count + list[i]->elements) * sizeof *out);
        memcpy(out + *count, values, list[i]->elements * sizeof *values);
        *count += list[i]->elements;
    }
    free(list);
    return out;
}

static inline void assert_same_weights(const tlvk_model *a, const tlvk_model *b) {
    size_t na, nb;
    float *wa = all_weights(a, &na), *wb = all_weights(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(wa, wb, na * sizeof *wa);
    free(wa);
    free(wb);
}

/* Equal but for the seconds. */
static inline void assert_same_history(const tlvk_history *a, const tlvk_history *b) {
    assert_int_equal(tlvk_history_epochs(a), tlvk_history_epochs(b));
    for (int i = 0; i < tlvk_history_epochs(a); i++) {
        tlvk_logs la, lb;
        assert_int_equal(tlvk_history_logs(a, i, &la), TLVK_OK);
        assert_int_equal(tlvk_history_logs(b, i, &lb), TLVK_OK);
        la.seconds = lb.seconds = 0;
        assert_memory_equal(&la, &lb, sizeof la);
    }
}

#endif
