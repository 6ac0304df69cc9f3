/* T1: InceptionV3 frozen, with a new classifier.
 *
 *   t1_inception TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras
 *
 * TRAIN and TEST have a folder of pictures for each class; WEIGHTS is "imagenet", "random", or a weights file. */
#include <stdio.h>
#include <stdlib.h>
#include <tlvk/tlvk.h>

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: t1_inception TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras\n");
        return 2;
    }
    tlvk_context *ctx = NULL;
    tlvk_dataset *train = NULL, *test = NULL;
    tlvk_model *base = NULL, *model = NULL;
    tlvk_history *history = NULL;
    tlvk_status st = tlvk_context_create(NULL, &ctx);

    tlvk_image_folder_desc pictures = {
        .path = argv[1], .label_mode = TLVK_LABEL_CATEGORICAL, .image_size = { 299, 299 }, .preprocess = TLVK_PREPROCESS_TF
    };
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &train);
    pictures.path = argv[2];
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &test);

    /* T1.1: the network without its classifier, every layer frozen. */
    if (!st) st = tlvk_inceptionv3(ctx, &(tlvk_net_desc){ .weights = argv[3], .no_top = true, .input_shape = { 299, 299, 3 } }, &base);
    if (!st) st = tlvk_model_set_trainable(base, "*", false);

    /* T1.2: new layers on its output. */
    tlvk_tensor x = tlvk_global_average_pooling2d(tlvk_model_output(base, 0), NULL);
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 128, .activation = TLVK_RELU });
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = tlvk_dataset_class_count(train), .activation = TLVK_SOFTMAX });
    if (!st) st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { tlvk_model_input(base, 0) }, .outputs = { x } }, &model);

    /* T1.3: training; the optimizer is Adam where none is named. */
    const tlvk_compile_desc compile = { .loss = { .kind = TLVK_CATEGORICAL_CROSSENTROPY }, .metrics = { TLVK_ACCURACY } };
    if (!st) st = tlvk_model_compile(model, &compile);
    const tlvk_fit_desc fit = { .epochs = atoi(argv[4]), .validation = test, .callback = tlvk_print_epoch };
    if (!st) st = tlvk_model_fit(model, train, &fit, &history);
    tlvk_logs last;
    if (!st) st = tlvk_history_logs(history, -1, &last);
    if (!st) printf("val_accuracy: %.4f\n", last.val_accuracy);
    if (!st) st = tlvk_model_save(model, argv[5]);
    if (st) fprintf(stderr, "%s\n", tlvk_last_error(ctx));

    tlvk_history_destroy(history);
    tlvk_model_destroy(model);
    tlvk_model_destroy(base);
    tlvk_dataset_destroy(test);
    tlvk_dataset_destroy(train);
    tlvk_context_destroy(ctx);
    return st != TLVK_OK;
}
