/* T3.4, VGG: a plain chain. No BatchNormalization: what is unfrozen simply trains, and any layer is a place to cut.
 *
 *   family_vgg TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras */
#include <stdio.h>
#include <stdlib.h>
#include <tlvk/tlvk.h>

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: family_vgg TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras\n");
        return 2;
    }
    tlvk_context *ctx = NULL;
    tlvk_dataset *train = NULL, *test = NULL;
    tlvk_model *vgg = NULL, *model = NULL;
    tlvk_status st = tlvk_context_create(NULL, &ctx);

    /* Caffe's preprocessing: blue, green, red, less the mean of ImageNet. */
    tlvk_image_folder_desc pictures = { .path = argv[1], .image_size = { 128, 128 }, .preprocess = TLVK_PREPROCESS_CAFFE };
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &train);
    pictures.path = argv[2];
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &test);

    /* Cut behind the fourth block: what the fifth knows is too special for pictures unlike ImageNet's. */
    if (!st) st = tlvk_vgg16(ctx, &(tlvk_net_desc){ .weights = argv[3], .no_top = true, .input_shape = { 128, 128, 3 } }, &vgg);
    if (!st) st = tlvk_model_set_trainable(vgg, "*", false);
    tlvk_tensor x = tlvk_global_average_pooling2d(tlvk_layer_output(vgg, "block4_pool"), NULL);
    x = tlvk_dropout(x, 0.2f, NULL);
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = tlvk_dataset_class_count(train), .activation = TLVK_SOFTMAX });
    if (!st) st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { tlvk_model_input(vgg, 0) }, .outputs = { x } }, &model);
    const tlvk_fit_desc fit = { .epochs = atoi(argv[4]), .validation = test, .callback = tlvk_print_epoch };
    if (!st) st = tlvk_model_compile(model, &(tlvk_compile_desc){ .metrics = { TLVK_ACCURACY } });
    if (!st) st = tlvk_model_fit(model, train, &fit, NULL);

    /* Then the fourth block's convolutions, by plain SGD with a small learning rate. */
    if (!st) st = tlvk_model_set_trainable(vgg, "block4_*", true);
    const tlvk_optimizer sgd = { .kind = TLVK_SGD, .learning_rate = 1e-4f, .momentum = 0.9f };
    if (!st) st = tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = sgd, .metrics = { TLVK_ACCURACY } });
    if (!st) st = tlvk_model_fit(model, train, &fit, NULL);
    if (!st) st = tlvk_model_save(model, argv[5]);
    if (st) fprintf(stderr, "%s\n", tlvk_last_error(ctx));

    tlvk_model_destroy(model);
    tlvk_model_destroy(vgg);
    tlvk_dataset_destroy(test);
    tlvk_dataset_destroy(train);
    tlvk_context_destroy(ctx);
    return st != TLVK_OK;
}
