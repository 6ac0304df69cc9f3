/* helper.c - what tests/cli/commands.sh needs and a shell has not: small models and pictures, and a reader of JSON Lines.
 *
 *   helper model FILE CLASSES [flatten]   a network for 16x16 RGB pictures; flatten: with a Dense of fixed size
 *   helper pictures FOLDER COUNT          COUNT pictures (20x24, BMP) in each of FOLDER/across and FOLDER/down: stripes with noise
 *   helper net FILE NAME                  weights of a built-in network, random, with its classifier
 *   helper serve FILE                     serves FILE under every name on a free port of 127.0.0.1, which is printed, until it is killed
 *   helper archive FILE FOLDER...         packs folders into a .zip or .tar.gz
 *   helper json KEY...                    stdin is JSON Lines, each an object with these keys; prints the first key's value of each line */
#define _GNU_SOURCE
#include "../support/server.h"

#include <dirent.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tlvk/tlvk.h>

#if TLVK_WITH_ARCHIVE
#include <archive.h>
#include <archive_entry.h>
#endif

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

static int make_net(const char *path, const char *name) {
    tlvk_context *ctx = NULL;
    tlvk_model *model = NULL;
    tlvk_status st = tlvk_context_create(NULL, &ctx);
    if (!st) st = tlvk_net(ctx, name, NULL, &model);
    if (!st) st = tlvk_model_save_weights(model, path);
    if (st) fprintf(stderr, "%s\n", tlvk_last_error(ctx));
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    return st != TLVK_OK;
}

/* The whole of a file; NULL where it cannot be read. */
static char *read_whole(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    long end = file && !fseek(file, 0, SEEK_END) ? ftell(file) : -1;
    char *bytes = end >= 0 ? malloc((size_t)end + 1) : NULL;
    *size = end >= 0 ? (size_t)end : 0;
    if (bytes && (fseek(file, 0, SEEK_SET) || fread(bytes, 1, *size, file) != *size)) {
        free(bytes);
        bytes = NULL;
    }
    if (file) fclose(file);
    return bytes;
}

static int serve(const char *path) {
    static test_server server;
    char *body = read_whole(path, &server.size);
    server.body = body;
    if (!body || !server_start(&server)) return 1;
    printf("%d\n", server.port);
    fflush(stdout);
    for (;;) pause();
}

#if TLVK_WITH_ARCHIVE
static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool pack(struct archive *a, const char *path) {
    size_t size = 0;
    char *names[4096];
    int count = 0;
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && count < 4096 && (e = readdir(dir));)
        if (e->d_name[0] != '.' && asprintf(&names[count], "%s/%s", path, e->d_name) > 0) count++;
    if (dir) closedir(dir);
    qsort(names, (size_t)count, sizeof *names, by_name);
    bool ok = true;
    for (int i = 0; i < count; i++) {
        ok = pack(a, names[i]) && ok;
        free(names[i]);
    }
    if (dir) return ok;
    char *bytes = read_whole(path, &size);
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, path);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, (la_int64_t)size);
    ok = bytes && archive_write_header(a, e) == ARCHIVE_OK && archive_write_data(a, bytes, size) == (la_ssize_t)size;
    archive_entry_free(e);
    free(bytes);
    return ok;
}

static int make_archive(const char *path, char **folders, int count) {
    struct archive *a = archive_write_new();
    bool ok = true;
    if (strstr(path, ".zip")) {
        archive_write_set_format_zip(a);
    } else {
        archive_write_set_format_pax_restricted(a);
        archive_write_add_filter_gzip(a);
    }
    ok = archive_write_open_filename(a, path) == ARCHIVE_OK;
    for (int i = 0; ok && i < count; i++) ok = pack(a, folders[i]);
    ok = archive_write_close(a) == ARCHIVE_OK && ok;
    archive_write_free(a);
    return !ok;
}
#endif

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
    if (argc == 4 && !strcmp(argv[1], "net")) return make_net(argv[2], argv[3]);
    if (argc == 3 && !strcmp(argv[1], "serve")) return serve(argv[2]);
#if TLVK_WITH_ARCHIVE
    if (argc >= 4 && !strcmp(argv[1], "archive")) return make_archive(argv[2], argv + 3, argc - 3);
#endif
    if (argc >= 3 && !strcmp(argv[1], "json")) return read_json(argv + 2, argc - 2);
    fprintf(stderr, "see the head of helper.c\n");
    return 2;
}
