/* finetune_head.c - the tutorial's program in C: VGG16 up to block2_pool, new layers on it, the base frozen, trained on a folder of pictures.
 *
 *   finetune_head TRAIN VALIDATION OUTPUT.h5 [WEIGHTS]
 *
 * TRAIN and VALIDATION have one folder of pictures for each class. WEIGHTS is "imagenet" (the default: Keras's official file, from Keras's
 * cache folder), "random", or a weights file. */
#include <stdio.h>
#include <tlvk/tlvk.h>

static tlvk_verdict print_epoch(const tlvk_event *event, void *user) {
    (void)user;
    if (event->kind == TLVK_EVENT_EPOCH_END) {
        const tlvk_logs *logs = &event->logs;
        printf("Epoch %d/%d - loss: %.4f - accuracy: %.4f - val_loss: %.4f - val_accuracy: %.4f\n", event->epoch + 1, event->epochs, logs->loss,
               logs->accuracy, logs->val_loss, logs->val_accuracy);
    }
    return TLVK_CONTINUE;
}

/* New layers on the output of the base's second block. */
static tlvk_tensor build_head(const tlvk_model *base, int classes) {
    tlvk_tensor x = tlvk_layer_output(base, "block2_pool");
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){ .filters = 64, .kernel_size = { 3 }, .activation = TLVK_RELU });
    x = tlvk_max_pooling2d(x, NULL);
    x = tlvk_flatten(x, NULL);
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 256, .activation = TLVK_RELU });
    x = tlvk_dropout(x, 0.5f, NULL);
    return tlvk_dense(x, &(tlvk_dense_desc){ .units = classes, .activation = TLVK_SOFTMAX });
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: %s TRAIN VALIDATION OUTPUT.h5 [WEIGHTS]\n", argv[0]);
        return 2;
    }
    tlvk_context *ctx = NULL;
    tlvk_model *vgg = NULL, *model = NULL;
    tlvk_dataset *train = NULL, *validation = NULL;
    tlvk_image_folder_desc folder = { .path = argv[1], .image_size = { 160, 160 }, .preprocess = TLVK_PREPROCESS_CAFFE };
    const tlvk_net_desc net = { .weights = argc > 4 ? argv[4] : "imagenet", .no_top = true, .input_shape = { 160, 160, 3 } };

    tlvk_status st = tlvk_context_create(NULL, &ctx); /* the best device, the default cache folders */
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &folder, &train);
    folder.path = argv[2];
    if (!st) st = tlvk_image_dataset_from_directory(ctx, &folder, &validation);
    if (!st) st = tlvk_vgg16(ctx, &net, &vgg);
    if (!st) {
        const tlvk_tensor x = build_head(vgg, tlvk_dataset_class_count(train));
        st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { tlvk_model_input(vgg, 0) }, .outputs = { x } }, &model);
    }
    if (!st) st = tlvk_model_set_trainable(model, ":7", false); /* Keras's model.layers[:7] */
    if (!st) st = tlvk_model_compile(model, &(tlvk_compile_desc){ .optimizer = { .kind = TLVK_RMSPROP }, .metrics = { TLVK_ACCURACY } });
    if (!st) st = tlvk_model_fit(model, train, &(tlvk_fit_desc){ .epochs = 10, .validation = validation, .callback = print_epoch }, NULL);
    if (!st) st = tlvk_model_save(model, argv[3]);
    if (st) fprintf(stderr, "%s\n", tlvk_last_error(ctx));

    tlvk_dataset_destroy(validation);
    tlvk_dataset_destroy(train);
    tlvk_model_destroy(model);
    tlvk_model_destroy(vgg);
    tlvk_context_destroy(ctx);
    return st != TLVK_OK;
}
