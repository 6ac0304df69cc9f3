/* T3: VGG16 taken apart: cut in the middle, and two of its layers replaced by one.
 *
 *   t3_vgg_layers TRAIN TEST WEIGHTS EPOCHS CUT.keras SPLICED.keras
 *
 * TRAIN and TEST have a folder of pictures for each class; WEIGHTS is "imagenet", "random", or a weights file. */
#include <stdio.h>
#include <stdlib.h>
#include <tlvk/tlvk.h>

static tlvk_status summary(tlvk_context *ctx, const char *network, bool no_top) {
    tlvk_model *model = NULL;
    tlvk_status st = tlvk_net(ctx, network, &(tlvk_net_desc){ .no_top = no_top }, &model);
    if (!st) st = tlvk_print_summary(model, NULL);
    tlvk_model_destroy(model);
    return st;
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: t3_vgg_layers TRAIN TEST WEIGHTS EPOCHS CUT.keras SPLICED.keras\n");
        return 2;
    }
    tlvk_context *ctx = NULL;
    tlvk_dataset *train = NULL, *test = NULL;
    tlvk_model *vgg = NULL, *cut = NULL, *spliced = NULL, *model = NULL;
    tlvk_status st = tlvk_context_create(NULL, &ctx);

    tlvk_image_folder_desc pictures = { .path = argv[1], .image_size = { 160, 160 }, .preprocess = TLVK_PREPROCESS_CAFFE };
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &train);
    pictures.path = argv[2];
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &test);

    /* T3.1: with the classifier, which wants 224x224; without it, for any size; for one size; and VGG19. */
    if (!st) st = summary(ctx, "vgg16", false);
    if (!st) st = summary(ctx, "vgg16", true);
    if (!st) st = summary(ctx, "vgg19", false);
    if (!st) st = tlvk_vgg16(ctx, &(tlvk_net_desc){ .weights = argv[3], .no_top = true, .input_shape = { 160, 160, 3 } }, &vgg);
    if (!st) st = tlvk_print_summary(vgg, NULL);

    const tlvk_tensor input = tlvk_model_input(vgg, 0);
    const tlvk_dense_desc classifier = { .units = tlvk_dataset_class_count(train), .activation = TLVK_SOFTMAX };
    const tlvk_compile_desc compile = { .optimizer = { .kind = TLVK_RMSPROP }, .metrics = { TLVK_ACCURACY } };
    const tlvk_fit_desc fit = { .epochs = atoi(argv[4]), .validation = test, .callback = tlvk_print_epoch };

    /* T3.2: new layers on block2_pool. */
    tlvk_tensor x = tlvk_layer_output(vgg, "block2_pool");
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){ .filters = 64, .kernel_size = { 3, 3 }, .activation = TLVK_RELU });
    x = tlvk_max_pooling2d(x, NULL);
    x = tlvk_flatten(x, NULL);
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 256, .activation = TLVK_RELU });
    x = tlvk_dropout(x, 0.5f, NULL);
    x = tlvk_dense(x, &classifier);
    if (!st) st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { input }, .outputs = { x } }, &cut);
    if (!st) st = tlvk_model_set_trainable(cut, ":7", false);
    if (!st) st = tlvk_model_compile(cut, &compile);
    if (!st) st = tlvk_model_fit(cut, train, &fit, NULL);
    if (!st) st = tlvk_model_save(cut, argv[5]);

    /* T3.3: block1_conv1 and block1_conv2 replaced by new_conv; every later layer put back, with its weights, frozen. */
    x = tlvk_conv2d(input, &(tlvk_conv2d_desc){ .filters = 64, .kernel_size = { 5, 5 }, .padding = TLVK_SAME, .name = "new_conv" });
    for (int i = 3; !st && i < tlvk_model_layer_count(vgg); i++) {
        tlvk_layer_set_trainable(tlvk_model_layer(vgg, i), false);
        x = tlvk_layer_call(tlvk_model_layer(vgg, i), x, TLVK_CALL_DEFAULT);
    }
    if (!st) st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { input }, .outputs = { x } }, &spliced);
    if (!st) st = tlvk_print_summary(spliced, NULL);

    x = tlvk_global_average_pooling2d(x, NULL);
    x = tlvk_dense(x, &classifier);
    if (!st) st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { input }, .outputs = { x } }, &model);
    if (!st) st = tlvk_model_compile(model, &compile);
    if (!st) st = tlvk_model_fit(model, train, &fit, NULL);
    if (!st) st = tlvk_model_save(model, argv[6]);
    if (st) fprintf(stderr, "%s\n", tlvk_last_error(ctx));

    tlvk_model_destroy(model);
    tlvk_model_destroy(spliced);
    tlvk_model_destroy(cut);
    tlvk_model_destroy(vgg);
    tlvk_dataset_destroy(test);
    tlvk_dataset_destroy(train);
    tlvk_context_destroy(ctx);
    return st != TLVK_OK;
}
