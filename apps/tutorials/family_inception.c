/* T3.4, Inception: branches that are concatenated. Places to cut are the mixed layers; layers are frozen by number, as Keras's guide does.
 *
 *   family_inception TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras */
#include <stdio.h>
#include <stdlib.h>
#include <tlvk/tlvk.h>

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: family_inception TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras\n");
        return 2;
    }
    tlvk_context *ctx = NULL;
    tlvk_dataset *train = NULL, *test = NULL;
    tlvk_model *base = NULL, *model = NULL;
    tlvk_status st = tlvk_context_create(NULL, &ctx);

    /* Values from -1 to 1, and 299x299 pixels where the other networks have 224x224. */
    tlvk_image_folder_desc pictures = { .path = argv[1], .image_size = { 299, 299 }, .preprocess = TLVK_PREPROCESS_TF };
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &train);
    pictures.path = argv[2];
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &test);

    if (!st) st = tlvk_inceptionv3(ctx, &(tlvk_net_desc){ .weights = argv[3], .no_top = true, .input_shape = { 299, 299, 3 } }, &base);
    if (!st) st = tlvk_model_set_trainable(base, "*", false);
    tlvk_tensor x = tlvk_global_average_pooling2d(tlvk_model_output(base, 0), NULL);
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 1024, .activation = TLVK_RELU });
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = tlvk_dataset_class_count(train), .activation = TLVK_SOFTMAX });
    if (!st) st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { tlvk_model_input(base, 0) }, .outputs = { x } }, &model);
    const tlvk_fit_desc fit = { .epochs = atoi(argv[4]), .validation = test, .callback = tlvk_print_epoch };
    if (!st) st = tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_RMSPROP }, .metrics = { TLVK_ACCURACY } });
    if (!st) st = tlvk_model_fit(model, train, &fit, NULL);

    /* Then the last two Inception blocks: the layers behind mixed8. */
    if (!st) st = tlvk_model_set_trainable(base, "249:", true);
    const tlvk_optimizer sgd = { .kind = TLVK_SGD, .learning_rate = 1e-4f, .momentum = 0.9f };
    if (!st) st = tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = sgd, .metrics = { TLVK_ACCURACY } });
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
