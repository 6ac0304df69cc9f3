/* T2: VGG16 on pictures that lie in memory as arrays: feature extraction, then fine-tuning, and what keeps it from forgetting.
 *
 *   t2_vgg16 TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras
 *
 * TRAIN and TEST have a folder of pictures for each class; WEIGHTS is "imagenet", "random", or a weights file. */
#include <stdio.h>
#include <stdlib.h>
#include <tlvk/tlvk.h>

/* The arrays of a folder's pictures and labels, and the dataset that such arrays make. */
static tlvk_status load(tlvk_context *ctx, const char *path, tlvk_array *x, tlvk_array *y, tlvk_dataset **data) {
    tlvk_dataset *folder = NULL;
    const tlvk_image_folder_desc pictures = {
        .path = path, .label_mode = TLVK_LABEL_CATEGORICAL, .image_size = { 224, 224 }, .preprocess = TLVK_PREPROCESS_CAFFE
    };
    tlvk_status st = tlvk_image_dataset_from_directory(ctx, &pictures, &folder);
    if (!st) st = tlvk_dataset_to_arrays(ctx, folder, x, y);
    if (!st) st = tlvk_dataset_from_arrays(ctx, &(tlvk_array_desc){ .inputs = { *x }, .targets = { *y }, .borrow = true }, data);
    tlvk_dataset_destroy(folder);
    return st;
}

static tlvk_status report(tlvk_model *model, tlvk_dataset *test, const char *what) {
    tlvk_logs logs;
    tlvk_status st = tlvk_model_evaluate(model, test, &logs);
    if (!st) printf("%s: loss %.4f, accuracy %.4f\n", what, logs.loss, logs.accuracy);
    return st;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: t2_vgg16 TRAIN TEST WEIGHTS EPOCHS OUTPUT.keras\n");
        return 2;
    }
    tlvk_context *ctx = NULL;
    tlvk_array X_train = { 0 }, y_train = { 0 }, X_test = { 0 }, y_test = { 0 };
    tlvk_dataset *train = NULL, *test = NULL;
    tlvk_model *base = NULL, *model = NULL, *pooled = NULL;
    tlvk_status st = tlvk_context_create(NULL, &ctx);
    if (!st) st = load(ctx, argv[1], &X_train, &y_train, &train);
    if (!st) st = load(ctx, argv[2], &X_test, &y_test, &test);
    const tlvk_dense_desc classifier = { .units = (int)y_train.shape[1], .activation = TLVK_SOFTMAX };
    const tlvk_fit_desc fit = { .epochs = atoi(argv[4]), .validation = test, .callback = tlvk_print_epoch };

    /* T2.1: the base frozen, Flatten and two Dense on it. */
    if (!st) st = tlvk_vgg16(ctx, &(tlvk_net_desc){ .weights = argv[3], .no_top = true, .input_shape = { 224, 224, 3 } }, &base);
    if (!st) st = tlvk_model_set_trainable(base, "*", false);
    tlvk_tensor input = { 0 }, features = { 0 };
    if (!st) {
        input = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { 224, 224, 3 } });
        features = tlvk_model_call(base, input, TLVK_CALL_DEFAULT, NULL);
        tlvk_tensor x = tlvk_flatten(features, NULL);
        x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 256, .activation = TLVK_RELU });
        x = tlvk_dense(x, &classifier);
        st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { input }, .outputs = { x }, .sequential = true }, &model);
    }
    tlvk_compile_desc compile = { .loss = { .kind = TLVK_CATEGORICAL_CROSSENTROPY }, .metrics = { TLVK_ACCURACY } };
    if (!st) st = tlvk_model_compile(model, &compile);
    if (!st) st = tlvk_model_fit(model, train, &fit, NULL);

    /* T2.2: the base's last three layers too, with a small learning rate. */
    if (!st) st = tlvk_model_set_trainable(base, "-3:", true);
    compile.optimizer.learning_rate = 1e-4f;
    if (!st) st = tlvk_model_compile(model, &compile);
    if (!st) st = tlvk_model_fit(model, train, &fit, NULL);
    if (!st) st = report(model, test, "Flatten");

    /* T2.3: global average pooling in place of Flatten; T2.4: dropout, L2, weight decay, and a learning rate that falls to zero. */
    if (!st) st = tlvk_model_set_trainable(base, "*", false);
    if (!st) {
        tlvk_tensor x = tlvk_global_average_pooling2d(features, NULL);
        x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 256, .activation = TLVK_RELU, .kernel_regularizer = { .l2 = 1e-4f } });
        x = tlvk_dropout(x, 0.5f, NULL);
        x = tlvk_dense(x, &classifier);
        st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { input }, .outputs = { x }, .sequential = true }, &pooled);
    }
    compile.optimizer = (tlvk_optimizer){ .kind = TLVK_ADAMW, .weight_decay = 1e-4f, .schedule = { .kind = TLVK_SCHEDULE_COSINE } };
    if (!st) st = tlvk_model_compile(pooled, &compile);
    if (!st) st = tlvk_model_fit(pooled, train, &fit, NULL);
    if (!st) st = report(pooled, test, "GlobalAveragePooling2D");
    if (!st) st = tlvk_model_save(pooled, argv[5]);
    if (st) fprintf(stderr, "%s\n", tlvk_last_error(ctx));

    tlvk_model_destroy(pooled);
    tlvk_model_destroy(model);
    tlvk_model_destroy(base);
    tlvk_dataset_destroy(test);
    tlvk_dataset_destroy(train);
    const tlvk_array *arrays[] = { &X_train, &y_train, &X_test, &y_test };
    for (int i = 0; i < 4; i++) tlvk_free((void *)arrays[i]->values);
    tlvk_context_destroy(ctx);
    return st != TLVK_OK;
}
