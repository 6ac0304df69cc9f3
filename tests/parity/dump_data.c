/* dump_data.c - writes what a folder dataset holds, for data.py to compare with Keras.
 *
 * dump_data FOLDER OUT [height=H] [width=W] [channels=1|3|4] [nearest=1] [seed=N] [split=F] [subset=1|2] [no_shuffle=1] [unlabeled=1]
 * dump_data decoder: says what decodes JPEG, "libjpeg" or "stb_image".
 * Standard output: a line "label<TAB>path" per sample. OUT ("-": none): all samples as float32 in the dataset's order. */
#include "data/data.h"
#include "data/picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_option(tlvk_image_folder_desc *desc, const char *option) {
    const char *value = strchr(option, '=');
    if (!value) {
        return;
    }
    size_t length = (size_t)(value - option);
    double number = strtod(value + 1, NULL);
    const struct {
        const char *name;
        int *field;
    } integers[] = {{"height", &desc->image_size[0]}, {"width", &desc->image_size[1]}};
    for (size_t i = 0; i < TLVK__COUNT(integers); i++) {
        if (strncmp(option, integers[i].name, length) == 0) {
            *integers[i].field = (int)number;
            return;
        }
    }
    if (strncmp(option, "channels", length) == 0) {
        desc->color_mode = number == 1 ? TLVK_GRAYSCALE : number == 4 ? TLVK_RGBA : TLVK_RGB;
    } else if (strncmp(option, "nearest", length) == 0) {
        desc->resize = TLVK_NEAREST;
    } else if (strncmp(option, "seed", length) == 0) {
        desc->seed = (uint64_t)number;
    } else if (strncmp(option, "split", length) == 0) {
        desc->validation_split = number;
    } else if (strncmp(option, "subset", length) == 0) {
        desc->subset = (tlvk_subset)number;
    } else if (strncmp(option, "no_shuffle", length) == 0) {
        desc->no_shuffle = true;
    } else if (strncmp(option, "unlabeled", length) == 0) {
        desc->unlabeled = true;
    }
}

static tlvk_status write_samples(tlvk_dataset *dataset, const char *path) {
    size_t elements = (size_t)tlvk__dataset_sample_elements(dataset, 0);
    float *x = calloc(elements, sizeof *x);
    FILE *out = fopen(path, "wb");
    tlvk__reader *reader = NULL;
    tlvk_status st = x && out ? tlvk__reader_create(dataset, &(tlvk__reader_desc){.batch = 1, .depth = 8}, &reader) : TLVK_ERROR_FILE;
    for (int64_t valid = 1; !st && valid;) {
        st = tlvk__reader_next(reader, &x, NULL, NULL, &valid);
        if (!st && valid && fwrite(x, sizeof *x, elements, out) != elements) {
            st = tlvk__fail(TLVK_ERROR_FILE, "%s: cannot be written", path);
        }
    }
    tlvk__reader_destroy(reader);
    if (out && fclose(out) && !st) {
        st = tlvk__fail(TLVK_ERROR_FILE, "%s: cannot be written", path);
    }
    free(x);
    return st;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "decoder") == 0) {
        puts(tlvk__decoder_version() > 1 ? "libjpeg" : "stb_image");
        return 0;
    }
    if (argc < 3) {
        return 2;
    }
    tlvk_dataset *dataset = NULL;
    tlvk_image_folder_desc desc = {.path = argv[1]};
    for (int i = 3; i < argc; i++) {
        set_option(&desc, argv[i]);
    }
    tlvk_status st = tlvk_image_dataset_from_directory(NULL, &desc, &dataset);
    for (int64_t i = 0; i < tlvk_dataset_size(dataset); i++) {
        printf("%d\t%s\n", tlvk_dataset_label(dataset, i), tlvk_dataset_path(dataset, i));
    }
    if (!st && strcmp(argv[2], "-") != 0) {
        st = write_samples(dataset, argv[2]);
    }
    for (int64_t i = 0; i < tlvk_dataset_failed_count(dataset); i++) {
        fprintf(stderr, "%s\n", tlvk_dataset_failed(dataset, i));
    }
    if (st) {
        fprintf(stderr, "%s\n", tlvk__fail_text());
    }
    tlvk_dataset_destroy(dataset);
    return st != TLVK_OK;
}
