/* pretrain.c - a network from nothing in C: build it, train it on a folder of pictures, save it for Keras and for `tlvk finetune`.
 *
 *   demo_pretrain SEED TRAIN VALIDATION EPOCHS OUTPUT.h5     draws weights and trains them
 *   demo_pretrain SEED OUTPUT.h5                             draws weights and saves them untrained
 *
 * TRAIN and VALIDATION have one folder of 48x48 pictures for each class. */
#include <stdio.h>
#include <stdlib.h>
#include <tlvk/tlvk.h>

/* 3x3 convolution, batch normalization, ReLU: the block that the network repeats. */
static tlvk_tensor block(tlvk_tensor x, int filters, int stride) {
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){ .filters = filters, .kernel_size = { 3 }, .strides = { stride }, .padding = TLVK_SAME, .no_bias = true });
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){ .momentum = 0.9f });
    return tlvk_activation(x, TLVK_RELU, NULL);
}

static tlvk_status build(tlvk_context *ctx, int classes, tlvk_model **out) {
    const tlvk_tensor input = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { 48, 48, 3 } });
    tlvk_tensor x = block(input, 16, 2);
    x = block(x, 32, 1);
    x = tlvk_max_pooling2d(x, NULL);
    x = block(x, 64, 1);
    x = block(x, 64, 1);
    x = tlvk_max_pooling2d(x, NULL);
    x = block(x, 128, 1);
    x = tlvk_global_average_pooling2d(x, NULL);
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = classes, .activation = TLVK_SOFTMAX });
    return tlvk_model_create(ctx, &(tlvk_model_desc){ .name = "figures", .inputs = { input }, .outputs = { x } }, out);
}

static tlvk_verdict print_epoch(const tlvk_event *event, void *user) {
    (void)user;
    if (event->kind == TLVK_EVENT_EPOCH_END) {
        const tlvk_logs *logs = &event->logs;
        printf("Epoch %d/%d - %.0f s - loss: %.4f - accuracy: %.4f - val_loss: %.4f - val_accuracy: %.4f\n", event->epoch + 1, event->epochs, logs->seconds,
               logs->loss, logs->accuracy, logs->val_loss, logs->val_accuracy);
        fflush(stdout);
    }
    return TLVK_CONTINUE;
}

static tlvk_status train(tlvk_model *model, tlvk_dataset *pictures, tlvk_dataset *validation, int epochs) {
    const tlvk_compile_desc settings = {
        .optimizer = { .kind = TLVK_ADAM, .learning_rate = 3e-3f, .schedule = { .kind = TLVK_SCHEDULE_COSINE } },
        .metrics = { TLVK_ACCURACY },
    };
    tlvk_status st = tlvk_model_compile(model, &settings);
    if (!st) st = tlvk_model_fit(model, pictures, &(tlvk_fit_desc){ .epochs = epochs, .validation = validation, .callback = print_epoch }, NULL);
    return st;
}

/* What the file says to those who use it: how its pictures are made ready, and what its classes are called. */
static tlvk_status describe(tlvk_model *model, const tlvk_dataset *pictures) {
    const char *names[64];
    tlvk_usage usage = { .preprocess = TLVK_PREPROCESS_TF, .color_mode = TLVK_RGB, .resize = TLVK_BILINEAR };
    for (int i = 0; pictures && i < tlvk_dataset_class_count(pictures) && i < 64; i++) {
        names[i] = tlvk_dataset_class_name(pictures, i);
        usage.class_count = i + 1;
        usage.class_names = names;
    }
    return tlvk_model_set_usage(model, &usage);
}

int main(int argc, char **argv) {
    if (argc != 3 && argc != 6) {
        fprintf(stderr, "usage: %s SEED TRAIN VALIDATION EPOCHS OUTPUT.h5, or %s SEED OUTPUT.h5\n", argv[0], argv[0]);
        return 2;
    }
    const bool trained = argc == 6;
    tlvk_context *ctx = NULL;
    tlvk_model *model = NULL;
    tlvk_dataset *pictures = NULL, *validation = NULL;
    tlvk_image_folder_desc folder = { .path = argv[2], .image_size = { 48, 48 }, .batch_size = 64, .preprocess = TLVK_PREPROCESS_TF };

    tlvk_status st = tlvk_context_create(NULL, &ctx);
    if (!st) tlvk_set_random_seed(ctx, strtoull(argv[1], NULL, 10));
    if (!st && trained) st = tlvk_image_dataset_from_directory(ctx, &folder, &pictures);
    folder.path = argv[3];
    if (!st && trained) st = tlvk_image_dataset_from_directory(ctx, &folder, &validation);
    if (!st) st = build(ctx, trained ? tlvk_dataset_class_count(pictures) : 2, &model);
    if (!st && trained) st = train(model, pictures, validation, atoi(argv[4]));
    if (!st) st = describe(model, pictures);
    if (!st) st = tlvk_model_save(model, argv[argc - 1]);
    if (st) fprintf(stderr, "%s\n", tlvk_last_error(ctx));

    tlvk_dataset_destroy(validation);
    tlvk_dataset_destroy(pictures);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    return st != TLVK_OK;
}
