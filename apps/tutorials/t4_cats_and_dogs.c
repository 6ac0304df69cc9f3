/* T4: cats and dogs from an archive: feature extraction against fine-tuning, each with and without augmentation.
 *
 *   t4_cats_and_dogs ARCHIVE.zip WEIGHTS EPOCHS FOLDER
 *
 * ARCHIVE has the folders train and validation, each with a folder of pictures for each of two classes; WEIGHTS is "imagenet",
 * "random", or a weights file; FOLDER receives a model and its curves for each of the four trainings. */
#include <stdio.h>
#include <stdlib.h>
#include <tlvk/tlvk.h>

enum { PATH_BYTES = 4096 };

typedef struct tutorial {
    tlvk_context *ctx;
    tlvk_dataset *train, *validation;
    tlvk_model *augmentation;
    const char *weights, *folder;
    int epochs;
} tutorial;

/* T4.1: pictures of 150x150 with values from 0 to 1, straight out of the archive. */
static tlvk_status load(tlvk_context *ctx, const char *archive, const char *name, tlvk_dataset **data) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s//%s", archive, name);
    const tlvk_image_folder_desc pictures = {
        .path = path, .label_mode = TLVK_LABEL_INT, .batch_size = 32, .image_size = { 150, 150 }, .preprocess = TLVK_PREPROCESS_SCALE
    };
    return tlvk_image_dataset_from_directory(ctx, &pictures, data);
}

static tlvk_status create_augmentation(tlvk_context *ctx, tlvk_model **model) {
    tlvk_tensor input = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { 150, 150, 3 } });
    tlvk_tensor x = tlvk_random_flip(input, TLVK_FLIP_HORIZONTAL, NULL);
    x = tlvk_random_rotation(x, &(tlvk_random_rotation_desc){ .factor = { 0.1f } });
    x = tlvk_random_zoom(x, &(tlvk_random_zoom_desc){ .height_factor = { 0.1f } });
    return tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { input }, .outputs = { x } }, model);
}

/* T4.2: a model inside a Sequential, frozen but for what is fine-tuned. */
static tlvk_status create(const tutorial *t, bool tuned, tlvk_model **model) {
    tlvk_model *base = NULL;
    const tlvk_net_desc net = { .weights = t->weights, .no_top = true, .input_shape = { 150, 150, 3 } };
    tlvk_status st = tlvk_vgg16(t->ctx, &net, &base);
    if (!st) st = tlvk_model_set_trainable(base, tuned ? ":15" : "*", false);
    if (!st) {
        tlvk_tensor input = tlvk_input(t->ctx, &(tlvk_input_desc){ .shape = { 150, 150, 3 } });
        tlvk_tensor x = tlvk_model_call(base, input, TLVK_CALL_DEFAULT, NULL);
        x = tlvk_flatten(x, NULL);
        x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 256, .activation = TLVK_RELU });
        x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 1, .activation = TLVK_SIGMOID });
        st = tlvk_model_create(t->ctx, &(tlvk_model_desc){ .inputs = { input }, .outputs = { x }, .sequential = true }, model);
    }
    tlvk_model_destroy(base);
    return st;
}

/* T4.3, T4.4: one of the four trainings, its curves and its model. */
static tlvk_status run(const tutorial *t, const char *name, bool augmented, bool tuned) {
    tlvk_model *model = NULL;
    tlvk_history *history = NULL;
    tlvk_logs last;
    char plot[PATH_BYTES], file[PATH_BYTES];
    snprintf(plot, sizeof plot, "%s/%s.png", t->folder, name);
    snprintf(file, sizeof file, "%s/%s.keras", t->folder, name);
    const tlvk_compile_desc compile = {
        .optimizer = { .learning_rate = tuned ? 1e-5f : 1e-3f }, .loss = { .kind = TLVK_BINARY_CROSSENTROPY }, .metrics = { TLVK_ACCURACY }
    };
    const tlvk_fit_desc fit = {
        .epochs = t->epochs, .validation = t->validation, .augmentation = augmented ? t->augmentation : NULL, .callback = tlvk_print_epoch
    };
    tlvk_status st = create(t, tuned, &model);
    if (!st) st = tlvk_model_compile(model, &compile);
    if (!st) st = tlvk_model_fit(model, t->train, &fit, &history);
    if (!st) st = tlvk_history_plot(history, plot);
    if (!st) st = tlvk_model_save(model, file);
    if (!st) st = tlvk_history_logs(history, -1, &last);
    if (!st) printf("%s: val_accuracy %.4f\n", name, last.val_accuracy);
    tlvk_history_destroy(history);
    tlvk_model_destroy(model);
    return st;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: t4_cats_and_dogs ARCHIVE.zip WEIGHTS EPOCHS FOLDER\n");
        return 2;
    }
    tutorial t = { .weights = argv[2], .epochs = atoi(argv[3]), .folder = argv[4] };
    tlvk_status st = tlvk_context_create(NULL, &t.ctx);
    if (!st) st = load(t.ctx, argv[1], "train", &t.train);
    if (!st) st = load(t.ctx, argv[1], "validation", &t.validation);
    if (!st) st = create_augmentation(t.ctx, &t.augmentation);
    if (!st) st = run(&t, "features", false, false);
    if (!st) st = run(&t, "features-augmented", true, false);
    if (!st) st = run(&t, "tuned", false, true);
    if (!st) st = run(&t, "tuned-augmented", true, true);
    if (st) fprintf(stderr, "%s\n", tlvk_last_error(t.ctx));

    tlvk_model_destroy(t.augmentation);
    tlvk_dataset_destroy(t.validation);
    tlvk_dataset_destroy(t.train);
    tlvk_context_destroy(t.ctx);
    return st != TLVK_OK;
}
