/* pictures.c - hides how pictures are made ready for a model: the options, what the model remembers, and the shape it takes. */
#include "cli.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const cli_choice preprocess_choices[] = {
    {"auto", TLVK_PREPROCESS_AUTO}, {"none", TLVK_PREPROCESS_NONE}, {"tf", TLVK_PREPROCESS_TF}, {"caffe", TLVK_PREPROCESS_CAFFE},
    {"torch", TLVK_PREPROCESS_TORCH}, {"scale", TLVK_PREPROCESS_SCALE}, {NULL, 0},
};
static const cli_choice color_choices[] = {{"rgb", TLVK_RGB}, {"grayscale", TLVK_GRAYSCALE}, {"rgba", TLVK_RGBA}, {NULL, 0}};
enum { DECODE_EXACT, DECODE_FAST };
static const cli_choice decode_choices[] = {{"exact", DECODE_EXACT}, {"fast", DECODE_FAST}, {NULL, 0}};
static const cli_choice resize_choices[] = {{"bilinear", TLVK_BILINEAR}, {"nearest", TLVK_NEAREST}, {NULL, 0}};

void cli_picture_options_rows(cli_picture_options *o, cli_option rows[CLI_PICTURE_ROWS]) {
    const cli_option all[CLI_PICTURE_ROWS] = {
        {"preprocess", 0, CLI_CHOICE, &o->preprocess, "auto|tf|caffe|torch|scale|none", "how pixels become numbers (default: as the model was trained)", 0, 0,
         preprocess_choices},
        {"color-mode", 0, CLI_CHOICE, &o->color_mode, "rgb|grayscale|rgba", "default: by the model's channels", 0, 0, color_choices},
        {"image-size", 0, CLI_SIZE, o->size, "HxW", "default: the model's", 0, 0, NULL},
        {"resize", 0, CLI_CHOICE, &o->resize, "bilinear|nearest", "Keras's rules; default: as the model was trained, else bilinear", 0, 0, resize_choices},
        {"decode", 0, CLI_CHOICE, &o->decode, "exact|fast", "fast: large JPEGs are shrunk while they are decoded (default: exact, as Keras)", 0, 0,
         decode_choices},
        {"batch-size", 0, CLI_INTEGER, &o->batch_size, "N", "pictures at a time (default 32)", 1, 65536, NULL},
        {"labels", 0, CLI_TEXT, &o->labels, "FILE", "class names, one a line (default: what the model carries)", 0, 0, NULL},
        {"strict", 0, CLI_FLAG, &o->strict, NULL, "a picture that cannot be read ends the run", 0, 0, NULL},
        {NULL, 0, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    memcpy(rows, all, sizeof all);
}

static bool ends_in(const char *text, size_t length, const char *end) {
    size_t n = strlen(end);
    for (size_t i = 0; i < n && n <= length; i++) {
        if (tolower((unsigned char)text[length - n + i]) != end[i]) {
            return false;
        }
    }
    return n <= length;
}

static bool is_archive(const char *path, size_t length) {
    static const char *const ends[] = {".zip", ".tar", ".tar.gz", ".tgz"};
    bool named = false;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        named = named || ends_in(path, length, ends[i]);
    }
    char *archive = named ? cli_format("%.*s", (int)length, path) : NULL;
    bool is = archive && cli_exists(archive) && !cli_is_folder(archive);
    free(archive);
    return is;
}

bool cli_is_archive_path(const char *path) {
    for (const char *slashes = strstr(path, "//"); slashes; slashes = strstr(slashes + 1, "//")) {
        if (is_archive(path, (size_t)(slashes - path))) {
            return true;
        }
    }
    return is_archive(path, strlen(path));
}

bool cli_is_picture_folder(const char *path) {
    static const char *const ends[] = {".bmp", ".gif", ".jpeg", ".jpg", ".png"};
    if (!cli_is_archive_path(path)) {
        return cli_is_folder(path);
    }
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (ends_in(path, strlen(path), ends[i])) {
            return false;
        }
    }
    return true;
}

int cli_check_path(const char *path) {
    if (!cli_is_archive_path(path) && !cli_exists(path)) {
        cli_message("%s: no such file or folder", path);
        return CLI_REFUSED;
    }
    return CLI_GO_ON;
}

int cli_check_folder(const char *path) {
    int status = cli_check_path(path);
    if (status == CLI_GO_ON && !cli_is_picture_folder(path)) {
        cli_message("%s: not a folder; wanted is a folder with one folder of pictures for each class, or an archive of such", path);
        return CLI_REFUSED;
    }
    return status;
}

int cli_picture_shape(const tlvk_model *model, const char *spec, const int size[2], int64_t shape[3]) {
    int64_t dims[TLVK_MAX_DIMS] = {0};
    int rank = tlvk_model_input_count(model) == 1 ? tlvk_tensor_shape(tlvk_model_input(model, 0), dims) : 0;
    if (rank != 3 || (dims[2] != 1 && dims[2] != 3 && dims[2] != 4)) {
        cli_message("%s: this model does not take pictures: one input of height x width x 1, 3 or 4 channels is wanted", spec);
        return CLI_REFUSED;
    }
    for (int i = 0; i < 2; i++) {
        if (dims[i] <= 0 && !size[0]) {
            cli_message("%s: this model takes pictures of any size: say which with --image-size HxW", spec);
            return CLI_USAGE;
        }
        if (dims[i] > 0 && size[0] && dims[i] != size[i]) {
            cli_message("--image-size %dx%d: %s takes pictures of %lldx%lld only", size[0], size[1], spec, (long long)dims[0], (long long)dims[1]);
            return CLI_USAGE;
        }
        shape[i] = dims[i] > 0 ? dims[i] : size[i];
    }
    shape[2] = dims[2];
    return CLI_GO_ON;
}

static const char *color_name(int64_t channels) { return channels == 1 ? "grayscale" : channels == 4 ? "rgba" : "rgb"; }

int cli_picture_desc(const tlvk_model *model, const char *spec, const cli_picture_options *o, tlvk_image_folder_desc *desc) {
    int64_t shape[3];
    int status = cli_picture_shape(model, spec, o->size, shape);
    if (status != CLI_GO_ON) {
        return status;
    }
    tlvk_usage usage;
    tlvk_model_usage(model, &usage);
    *desc = (tlvk_image_folder_desc){
        .image_size = {(int)shape[0], (int)shape[1]},
        .batch_size = (int)o->batch_size,
        .color_mode = shape[2] == 1 ? TLVK_GRAYSCALE : shape[2] == 4 ? TLVK_RGBA : TLVK_RGB,
        .resize = o->resize ? (tlvk_resize)o->resize : usage.resize ? usage.resize : TLVK_BILINEAR,
        .preprocess = o->preprocess ? (tlvk_preprocess)o->preprocess : usage.preprocess,
        .strict = o->strict,
        .fast_decode = o->decode == DECODE_FAST,
    };
    if (o->color_mode && o->color_mode != (int)desc->color_mode) {
        cli_message("--color-mode: %s takes %s pictures (%lld channels)", spec, color_name(shape[2]), (long long)shape[2]);
        return CLI_USAGE;
    }
    if (desc->preprocess == TLVK_PREPROCESS_AUTO) {
        cli_message("warning: %s does not say how its pictures are to be made ready; pixels are given as 0 to 255. Say --preprocess tf, caffe, torch, scale or none", spec);
        desc->preprocess = TLVK_PREPROCESS_NONE;
    }
    return CLI_GO_ON;
}

void cli_report_failed(const tlvk_dataset *dataset) {
    int64_t count = tlvk_dataset_failed_count(dataset);
    for (int64_t i = 0; i < count; i++) {
        cli_message("left out: %s", tlvk_dataset_failed(dataset, i));
    }
    if (count) {
        cli_message("%lld of %lld pictures could not be read", (long long)count, (long long)tlvk_dataset_size(dataset));
    }
}
