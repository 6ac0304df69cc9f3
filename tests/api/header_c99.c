/* header_c99.c - the public header in a C99 program: it compiles, links, and a program without a device gets its answers. */
#include <tlvk/tlvk.h>

#include <stdio.h>
#include <string.h>

static int failures;

static void check(int ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "failed: %s\n", what);
        failures++;
    }
}

int main(void) {
    tlvk_context *ctx = NULL;
    tlvk_model *model = NULL;
    tlvk_input_desc input = { "pixels", { 8, 8, 3 }, 0 };
    tlvk_dense_desc dense;
    tlvk_model_desc desc;
    tlvk_tensor x;
    int64_t total = 0, trainable = 0;

    check(strcmp(tlvk_version(), "0.1.0") == 0, "the version");
    check(tlvk_context_create(NULL, &ctx) == TLVK_OK, "a context without a description");
    memset(&dense, 0, sizeof dense);
    memset(&desc, 0, sizeof desc);
    dense.units = 2;
    dense.activation = TLVK_SOFTMAX;
    desc.inputs[0] = tlvk_input(ctx, &input);
    x = tlvk_flatten(desc.inputs[0], NULL);
    desc.outputs[0] = tlvk_dense(x, &dense);
    check(tlvk_model_create(ctx, &desc, &model) == TLVK_OK, tlvk_last_error(ctx));
    check(tlvk_model_count_params(model, &total, &trainable) == TLVK_OK && total == 8 * 8 * 3 * 2 + 2 && trainable == total, "the count of parameters");
    check(tlvk_model_set_trainable(model, "no_such_layer", 0) == TLVK_ERROR_ARGUMENT && *tlvk_last_error(ctx), "an error and its text");
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    tlvk_context_destroy(NULL);
    tlvk_model_destroy(NULL);
    tlvk_dataset_destroy(NULL);
    tlvk_history_destroy(NULL);
    return failures != 0;
}
