/* augment.c - hides the words of --augment: from "flip,rotate:0.1,..." to a model of Keras's random picture layers. */
#include "finetune.h"

#include <stdlib.h>
#include <string.h>

/* The numbers that white and black have behind the preprocessing: contrast and brightness stay between them. */
static bool value_range(tlvk_preprocess preprocess, float range[2]) {
    switch (preprocess) {
    case TLVK_PREPROCESS_NONE: range[0] = 0.0f, range[1] = 255.0f; return true;
    case TLVK_PREPROCESS_SCALE: range[0] = 0.0f, range[1] = 1.0f; return true;
    case TLVK_PREPROCESS_TF: range[0] = -1.0f, range[1] = 1.0f; return true;
    default: return false; /* caffe and torch shift each channel by its own number */
    }
}

/* flip, flip:vertical, flip:both */
static bool read_flip(const char *value, tlvk_flip_mode *mode) {
    *mode = !value || !strcmp(value, "horizontal") ? TLVK_FLIP_HORIZONTAL : !strcmp(value, "vertical") ? TLVK_FLIP_VERTICAL : TLVK_FLIP_HORIZONTAL_AND_VERTICAL;
    return !value || !strcmp(value, "horizontal") || !strcmp(value, "vertical") || !strcmp(value, "both");
}

/* One word, cut at its colon, with its value or NULL. False: not a word, or not a value for it. */
static bool add_layer(const char *word, const char *value, tlvk_preprocess preprocess, tlvk_tensor *x) {
    tlvk_flip_mode mode;
    double number;
    float range[2];
    if (!strcmp(word, "flip")) {
        if (read_flip(value, &mode)) {
            *x = tlvk_random_flip(*x, mode, NULL);
            return true;
        }
        return false;
    }
    if (!value || !cli_read_number(value, 1e-6, 1.0, &number)) {
        return false;
    }
    const float f = (float)number;
    if (!strcmp(word, "rotate")) {
        *x = tlvk_random_rotation(*x, &(tlvk_random_rotation_desc){.factor = {-f, f}});
    } else if (!strcmp(word, "zoom")) {
        *x = tlvk_random_zoom(*x, &(tlvk_random_zoom_desc){.height_factor = {-f, f}});
    } else if (!strcmp(word, "translate")) {
        *x = tlvk_random_translation(*x, &(tlvk_random_translation_desc){.height_factor = {-f, f}, .width_factor = {-f, f}});
    } else if (!strcmp(word, "contrast") && value_range(preprocess, range)) {
        *x = tlvk_random_contrast(*x, &(tlvk_random_color_desc){.factor = {f, f}, .value_range = {range[0], range[1]}});
    } else if (!strcmp(word, "brightness") && value_range(preprocess, range)) {
        *x = tlvk_random_brightness(*x, &(tlvk_random_color_desc){.factor = {-f, f}, .value_range = {range[0], range[1]}});
    } else {
        return false;
    }
    return true;
}

int finetune_augmentation(const cli_command *command, tlvk_context *ctx, const char *spec, const int64_t shape[3], tlvk_preprocess preprocess, tlvk_model **model) {
    char *text = cli_format("%s", spec), *rest = text;
    if (!text) {
        cli_message("out of memory");
        return CLI_FAILED;
    }
    tlvk_tensor input = tlvk_input(ctx, &(tlvk_input_desc){.shape = {shape[0], shape[1], shape[2]}}), x = input;
    int status = CLI_GO_ON;
    while (status == CLI_GO_ON && rest) {
        char *word = rest, *comma = strchr(rest, ','), *value;
        rest = comma ? comma + 1 : NULL;
        if (comma) {
            *comma = 0;
        }
        value = strchr(word, ':');
        if (value) {
            *value++ = 0;
        }
        if (!add_layer(word, value, preprocess, &x)) {
            status = cli_usage(command, "--augment: '%s%s%s' where flip, flip:vertical, flip:both, rotate:F, zoom:F, translate:F, or (with --preprocess none, tf "
                               "or scale) contrast:F, brightness:F is wanted, F up to 1", word, value ? ":" : "", value ? value : "");
        }
    }
    free(text);
    if (status == CLI_GO_ON) {
        tlvk_status st = tlvk_model_create(ctx, &(tlvk_model_desc){.name = "augmentation", .inputs = {input}, .outputs = {x}}, model);
        status = st ? cli_fail(ctx, st, CLI_WORKING) : CLI_GO_ON;
    }
    return status;
}
