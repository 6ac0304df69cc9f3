/* T3.4, MobileNet: made for small devices. Its width (alpha) and the pictures' size are chosen; pooling belongs to the network.
 *
 *   family_mobilenet TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras */
#include <stdio.h>
#include <stdlib.h>
#include <tlvk/tlvk.h>

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: family_mobilenet TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras\n");
        return 2;
    }
    tlvk_context *ctx = NULL;
    tlvk_dataset *train = NULL, *test = NULL;
    tlvk_model *base = NULL, *model = NULL;
    tlvk_status st = tlvk_context_create(NULL, &ctx);

    /* Values from -1 to 1; official weights are there for 96, 128, 160, 192 and 224 pixels. */
    tlvk_image_folder_desc pictures = { .path = argv[1], .image_size = { 96, 96 }, .preprocess = TLVK_PREPROCESS_TF };
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &train);
    pictures.path = argv[2];
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &test);

    /* A third of the width: 410,208 parameters where the whole network has 2,257,984. */
    tlvk_net_desc net = { .weights = argv[3], .no_top = true, .input_shape = { 96, 96, 3 }, .alpha = 0.35f, .pooling = TLVK_POOLING_AVG };
    if (!st) st = tlvk_mobilenetv2(ctx, &net, &base);
    if (!st) st = tlvk_model_set_trainable(base, "*", false);
    const tlvk_dense_desc classifier = { .units = tlvk_dataset_class_count(train), .activation = TLVK_SOFTMAX };
    tlvk_tensor x = tlvk_dense(tlvk_model_output(base, 0), &classifier);
    if (!st) st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { tlvk_model_input(base, 0) }, .outputs = { x } }, &model);
    tlvk_compile_desc compile = { .optimizer = { .kind = TLVK_RMSPROP }, .metrics = { TLVK_ACCURACY } };
    const tlvk_fit_desc fit = { .epochs = atoi(argv[4]), .validation = test, .callback = tlvk_print_epoch };
    if (!st) st = tlvk_model_compile(model, &compile);
    if (!st) st = tlvk_model_fit(model, train, &fit, NULL);

    /* Then the layers from the hundredth on, with a tenth of the learning rate. */
    if (!st) st = tlvk_model_set_trainable(base, "100:", true);
    compile.optimizer.learning_rate = 1e-4f;
    if (!st) st = tlvk_model_compile(model, &compile);
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
