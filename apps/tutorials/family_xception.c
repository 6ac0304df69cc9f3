/* T3.4, Xception: separable convolutions. Scaling is a layer of the model, so that its users need none; one unit for two classes.
 *
 *   family_xception TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras */
#include <stdio.h>
#include <stdlib.h>
#include <tlvk/tlvk.h>

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: family_xception TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras\n");
        return 2;
    }
    tlvk_context *ctx = NULL;
    tlvk_dataset *train = NULL, *test = NULL;
    tlvk_model *base = NULL, *model = NULL;
    tlvk_status st = tlvk_context_create(NULL, &ctx);

    tlvk_image_folder_desc pictures = { .path = argv[1], .image_size = { 150, 150 } };
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &train);
    pictures.path = argv[2];
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &test);

    if (!st) st = tlvk_xception(ctx, &(tlvk_net_desc){ .weights = argv[3], .no_top = true, .input_shape = { 150, 150, 3 } }, &base);
    if (!st) st = tlvk_model_set_trainable(base, "*", false);
    if (!st) {
        tlvk_tensor inputs = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { 150, 150, 3 } });
        tlvk_tensor x = tlvk_rescaling(inputs, 1 / 127.5f, -1, NULL);
        x = tlvk_model_call(base, x, TLVK_CALL_INFERENCE, NULL);
        x = tlvk_global_average_pooling2d(x, NULL);
        x = tlvk_dropout(x, 0.2f, NULL);
        x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 1, .activation = TLVK_SIGMOID });
        st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { inputs }, .outputs = { x } }, &model);
    }
    const tlvk_fit_desc fit = { .epochs = atoi(argv[4]), .validation = test, .callback = tlvk_print_epoch };
    if (!st) st = tlvk_model_compile(model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } });
    if (!st) st = tlvk_model_fit(model, train, &fit, NULL);

    /* Then everything, with a very small learning rate. */
    if (!st) st = tlvk_model_set_trainable(base, "*", true);
    if (!st) st = tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .learning_rate = 1e-5f }, .metrics = { TLVK_ACCURACY } });
    if (!st) st = tlvk_model_fit(model, train, &fit, NULL);
    if (!st) st = tlvk_model_save(model, argv[5]);
    if (st) fprintf(stderr, "%s\n", tlvk_last_error(ctx));

    tlvk_model_destroy(model);
    tlvk_model_destroy(base);
    tlvk_dataset_destroy(test);
    tlvk_dataset_destroy(train);
    tlvk_context_destroy(ctx);
    return st != TLVK_OK;
}
