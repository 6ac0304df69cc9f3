/* dump_squeezenet.c - features of pictures by the SqueezeNet of tests/support/squeezenet.h, for squeezenet.py.
 *
 * Usage: dump_squeezenet WEIGHTS PICTURES OUT. WEIGHTS is loaded by order. PICTURES is float32, n x 224 x 224 x 3 as the network takes them; OUT receives
 * float32, n x 13 x 13 x 512. Exit status 0, or 1 with the reason on stderr. */
#include "../support/squeezenet.h"

#include <stdlib.h>

#define PIXELS ((size_t)SQUEEZENET_SIDE * SQUEEZENET_SIDE * 3)
#define EACH ((size_t)SQUEEZENET_FEATURES_SIDE * SQUEEZENET_FEATURES_SIDE * SQUEEZENET_FEATURES)

/* All pictures of the file, malloc'd; NULL: none. */
static float *read_pictures(const char *path, size_t *count) {
    FILE *in = fopen(path, "rb");
    if (!in)
        return NULL;
    float *values = NULL, *picture = malloc(PIXELS * sizeof *picture);
    *count = 0;
    while (picture && fread(picture, sizeof *picture, PIXELS, in) == PIXELS) {
        float *more = realloc(values, (*count + 1) * PIXELS * sizeof *values);
        if (!more)
            break;
        values = more;
        for (size_t i = 0; i < PIXELS; i++)
            values[*count * PIXELS + i] = picture[i];
        ++*count;
    }
    free(picture);
    fclose(in);
    return values;
}

static int dump(tlvk_context *ctx, tlvk_model *model, const char *pictures, const char *path) {
    size_t count = 0;
    float *x = read_pictures(pictures, &count), *features = x ? malloc(count * EACH * sizeof *features) : NULL;
    tlvk_dataset *data = NULL;
    tlvk_array_desc desc = {.x = x, .x_shape = {(int64_t)count, SQUEEZENET_SIDE, SQUEEZENET_SIDE, 3}, .batch_size = (int)count, .no_shuffle = true};
    int failed = !features || tlvk_dataset_from_arrays(ctx, &desc, &data) || tlvk_model_predict(model, data, features, count * EACH);
    FILE *out = failed ? NULL : fopen(path, "wb");
    failed = failed || !out || fwrite(features, sizeof *features, count * EACH, out) != count * EACH;
    if (out)
        failed |= fclose(out);
    tlvk_dataset_destroy(data);
    free(features);
    free(x);
    return failed;
}

int main(int argc, char **argv) {
    tlvk_context *ctx = NULL;
    tlvk_model *model = NULL;
    if (argc != 4 || tlvk_context_create(NULL, &ctx))
        return 1;
    int failed = squeezenet(ctx, &model) || tlvk_model_load_weights(model, argv[1], TLVK_BY_ORDER) || dump(ctx, model, argv[2], argv[3]);
    if (failed)
        fprintf(stderr, "dump_squeezenet: %s\n", tlvk_last_error(ctx));
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    return failed;
}
