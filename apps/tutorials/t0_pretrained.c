/* T0: networks trained on ImageNet, asked and then trained on.
 *
 *   t0_pretrained PICTURES TRAIN WEIGHTS EPOCHS OUTPUT.keras
 *
 * PICTURES is a folder of pictures to classify; TRAIN has a folder of pictures for each class; WEIGHTS is "imagenet" or "random". */
#include <stdio.h>
#include <stdlib.h>
#include <tlvk/tlvk.h>

enum { CLASSES = 1000 };

/* T0.1, T0.2: a network with its classifier, asked with pictures of its own size and preprocessing. */
static tlvk_status classify(tlvk_context *ctx, const char *network, int size, tlvk_preprocess preprocess, char **argv) {
    tlvk_model *model = NULL;
    tlvk_dataset *images = NULL;
    const tlvk_image_folder_desc pictures = { .path = argv[1], .image_size = { size, size }, .preprocess = preprocess, .unlabeled = true };
    tlvk_status st = tlvk_net(ctx, network, &(tlvk_net_desc){ .weights = argv[3] }, &model);
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &images);
    const int64_t count = st ? 0 : tlvk_dataset_size(images);
    float *scores = calloc((size_t)count + 1, CLASSES * sizeof *scores);
    if (!st) st = tlvk_model_predict(model, images, scores, (size_t)count * CLASSES);
    for (int64_t i = 0; !st && i < count; i++) {
        tlvk_prediction top[3];
        tlvk_decode_predictions(model, scores + i * CLASSES, CLASSES, top, 3);
        printf("%s: %s:", network, tlvk_dataset_path(images, i));
        for (int k = 0; k < 3; k++) printf(" %s %.4f%s", top[k].label ? top[k].label : "?", (double)top[k].score, k < 2 ? "," : "\n");
    }
    free(scores);
    tlvk_dataset_destroy(images);
    tlvk_model_destroy(model);
    return st;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: t0_pretrained PICTURES TRAIN WEIGHTS EPOCHS OUTPUT.keras\n");
        return 2;
    }
    tlvk_context *ctx = NULL;
    tlvk_dataset *train = NULL;
    tlvk_model *base = NULL, *model = NULL;
    tlvk_status st = tlvk_context_create(NULL, &ctx);
    if (!st) st = classify(ctx, "vgg16", 224, TLVK_PREPROCESS_CAFFE, argv);
    if (!st) st = classify(ctx, "resnet50", 224, TLVK_PREPROCESS_CAFFE, argv);
    if (!st) st = classify(ctx, "inceptionv3", 299, TLVK_PREPROCESS_TF, argv);

    /* T0.3: the first ten layers frozen, new ones on top. */
    const tlvk_image_folder_desc pictures = { .path = argv[2], .image_size = { 224, 224 }, .preprocess = TLVK_PREPROCESS_CAFFE };
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &pictures, &train);
    if (!st) st = tlvk_vgg16(ctx, &(tlvk_net_desc){ .weights = argv[3], .no_top = true, .input_shape = { 224, 224, 3 } }, &base);
    if (!st) st = tlvk_model_set_trainable(base, ":10", false);
    tlvk_tensor x = tlvk_flatten(tlvk_model_output(base, 0), NULL);
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 256, .activation = TLVK_RELU });
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = tlvk_dataset_class_count(train), .activation = TLVK_SOFTMAX });
    if (!st) st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { tlvk_model_input(base, 0) }, .outputs = { x } }, &model);

    if (!st) st = tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .learning_rate = 1e-5f }, .metrics = { TLVK_ACCURACY } });
    if (!st) st = tlvk_model_fit(model, train, &(tlvk_fit_desc){ .epochs = atoi(argv[4]), .callback = tlvk_print_epoch }, NULL);
    if (!st) st = tlvk_model_save(model, argv[5]);
    if (st) fprintf(stderr, "%s\n", tlvk_last_error(ctx));

    tlvk_model_destroy(model);
    tlvk_model_destroy(base);
    tlvk_dataset_destroy(train);
    tlvk_context_destroy(ctx);
    return st != TLVK_OK;
}
