/* helper.c - what tests/cli/commands.sh needs and a shell has not: small models and pictures, and a reader of JSON Lines.
 *
 *   helper model FILE CLASSES [flatten]   a network for 16x16 RGB pictures; flatten: with a Dense of fixed size
 *   helper pictures FOLDER COUNT          COUNT pictures (20x24, BMP) in each of FOLDER/across and FOLDER/down: stripes with noise
 *   helper json KEY...                    stdin is JSON Lines, each an object with these keys; prints the first key's value of each line */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tlvk/tlvk.h>

static int make_model(const char *path, int classes, bool flatten) {
    tlvk_context *ctx = NULL;
    tlvk_model *model = NULL;
    tlvk_status st = tlvk_context_create(NULL, &ctx);
    if (st) return 1;
    tlvk_tensor input = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { 16, 16, 3 } });
    tlvk_tensor x = tlvk_conv2d(input, &(tlvk_conv2d_desc){ .name = "conv_a", .filters = 4, .kernel_size = { 3 }, .activation = TLVK_RELU });
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){ .name = "norm_a" });
    x = tlvk_max_pooling2d(x, &(tlvk_pooling2d_desc){ .name = "pool_a" });
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){ .name = "conv_b", .filters = 8, .kernel_size = { 3 }, .activation = TLVK_RELU });
    x = flatten ? tlvk_flatten(x, "flatten") : tlvk_global_average_pooling2d(x, "gap");
    x = tlvk_dense(x, &(tlvk_dense_desc){ .name = "scores", .units = classes, .activation = TLVK_SOFTMAX });
    st = tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { input }, .outputs = { x } }, &model);
    if (!st) st = tlvk_model_save(model, path);
    if (st) fprintf(stderr, "%s\n", tlvk_last_error(ctx));
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    return st != TLVK_OK;
}

static void put32(unsigned char *at, uint32_t v) {
    for (int i = 0; i < 4; i++) at[i] = (unsigned char)(v >> 8 * i);
}

/* A BMP of 24 bits a pixel: rows from the bottom, each a multiple of four bytes. */
static int write_picture(const char *path, bool down, uint32_t *noise) {
    enum { HEIGHT = 24, WIDTH = 20, HEADER = 54, BYTES = HEADER + HEIGHT * WIDTH * 3 };
    unsigned char bmp[BYTES] = { 'B', 'M' };
    put32(bmp + 2, BYTES);
    put32(bmp + 10, HEADER);
    put32(bmp + 14, 40);
    put32(bmp + 18, WIDTH);
    put32(bmp + 22, HEIGHT);
    bmp[26] = 1;
    bmp[28] = 24;
    for (int i = 0; i < HEIGHT * WIDTH * 3; i++) {
        *noise = *noise * 1664525u + 1013904223u;
        int stripe = (down ? i / 3 % WIDTH : i / 3 / WIDTH) / 3 % 2;
        bmp[HEADER + i] = (unsigned char)(60 + stripe * 100 + (int)(*noise >> 26));
    }
    FILE *file = fopen(path, "wb");
    bool ok = file && fwrite(bmp, 1, sizeof bmp, file) == sizeof bmp;
    ok = file && fclose(file) == 0 && ok;
    return !ok;
}

static int make_pictures(const char *folder, int count) {
    uint32_t noise = (uint32_t)count;
    char path[4096];
    for (int i = 0; i < 2 * count; i++) {
        snprintf(path, sizeof path, "%s/%s/%03d.bmp", folder, i % 2 ? "down" : "across", i / 2);
        if (write_picture(path, i % 2, &noise)) {
            fprintf(stderr, "%s cannot be written\n", path);
            return 1;
        }
    }
    return 0;
}

static int read_json(char **keys, int count) {
    static char line[1 << 20];
    int lines = 0;
    while (fgets(line, sizeof line, stdin)) {
        json_error_t error;
        json_t *object = json_loads(line, 0, &error);
        for (int i = 0; i < count; i++) {
            json_t *value = json_object_get(object, keys[i]);
            if (!value) {
                fprintf(stderr, "no \"%s\" in: %s", keys[i], line);
                return 1;
            }
            if (i == 0) {
                char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
                puts(text ? text : "?");
                free(text);
            }
        }
        json_decref(object);
        lines++;
    }
    return lines == 0;
}

int main(int argc, char **argv) {
    if (argc >= 4 && !strcmp(argv[1], "model")) return make_model(argv[2], atoi(argv[3]), argc > 4);
    if (argc == 4 && !strcmp(argv[1], "pictures")) return make_pictures(argv[2], atoi(argv[3]));
    if (argc >= 3 && !strcmp(argv[1], "json")) return read_json(argv + 2, argc - 2);
    fprintf(stderr, "see the head of helper.c\n");
    return 2;
}
