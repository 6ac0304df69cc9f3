/* dump_net.c - a built-in network as nets_summary.py wants it: its layers as the library lists them, its summary, its config as a .keras file
 * would have it, and its answers to given pictures.
 *
 * Usage: dump_net NET [weights=FILE] [height=N] [width=N] [channels=N] [no_top=1] [pooling=avg|max] [classes=N] [activation=NAME] [logits=1] [alpha=F]
 *                     [dropout=F] [depth_multiplier=N] [unloaded=1] [pictures=FILE out=FILE]
 * Sizes of -1 are open. `unloaded`: official weights are asked for, but not loaded. `pictures` is float32, as many of the input's shape as there are; `out` receives the answers as float32.
 * Standard output: a JSON object "name", "total_params", "trainable_params", "layers" [name, class, output shape, parameters, [layers it reads]],
 * "summary" (text), "config" (JSON text), "preprocess" (of tlvk_preprocess).
 * Exit status 0; 4 when the network is refused, with the reason on stderr; 1 for anything else. */
#include <tlvk/tlvk.h>

#include "nets/nets.h"
#include "weights/config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *option(int argc, char **argv, const char *key) {
    size_t length = strlen(key);
    for (int i = 2; i < argc; i++)
        if (strncmp(argv[i], key, length) == 0 && argv[i][length] == '=')
            return argv[i] + length + 1;
    return NULL;
}

static int number(int argc, char **argv, const char *key) {
    const char *value = option(argc, argv, key);
    return value ? atoi(value) : 0;
}

static float real(int argc, char **argv, const char *key) {
    const char *value = option(argc, argv, key);
    return value ? strtof(value, NULL) : 0;
}

static tlvk_net_desc read_desc(int argc, char **argv) {
    const char *pooling = option(argc, argv, "pooling"), *activation = option(argc, argv, "activation");
    tlvk_net_desc d = {.weights = option(argc, argv, "weights"), .no_top = number(argc, argv, "no_top"), .classes = number(argc, argv, "classes"),
                       .logits = number(argc, argv, "logits"), .alpha = real(argc, argv, "alpha"), .dropout = real(argc, argv, "dropout"),
                       .depth_multiplier = number(argc, argv, "depth_multiplier")};
    d.input_shape[0] = number(argc, argv, "height");
    d.input_shape[1] = number(argc, argv, "width");
    d.input_shape[2] = number(argc, argv, "channels");
    if (pooling)
        d.pooling = strcmp(pooling, "avg") == 0 ? TLVK_POOLING_AVG : TLVK_POOLING_MAX;
    if (activation && !tlvk__activation_parse(activation, &d.classifier_activation))
        exit(1);
    return d;
}

static int print_model(const tlvk_model *model) {
    int64_t total, trainable;
    char *summary = NULL;
    tlvk_status status;
    char *config = tlvk__model_to_keras3(model, &status);
    if (!config)
        fprintf(stderr, "dump_net: %s\n", tlvk__fail_text());
    if (!config || tlvk_model_count_params(model, &total, &trainable) || tlvk_model_summary(model, &summary))
        return 1;
    json_t *layers = json_array();
    for (int i = 0; i < tlvk_model_layer_count(model); i++) {
        tlvk_layer_info info;
        if (tlvk_model_layer_info(model, i, &info))
            return 1;
        json_t *inbound = json_array();
        for (int k = 0; k < TLVK_MAX_IO && info.inbound[k]; k++)
            json_array_append_new(inbound, json_string(info.inbound[k]));
        json_array_append_new(layers, json_pack("[s, s, s, I, o]", info.name, info.class_name, info.output_shape, (json_int_t)info.params, inbound));
    }
    tlvk_usage usage;
    tlvk_model_usage(model, &usage);
    json_t *all = json_pack("{s:s, s:I, s:I, s:o, s:s, s:s, s:i}", "name", tlvk_model_name(model), "total_params", (json_int_t)total, "trainable_params",
                            (json_int_t)trainable, "layers", layers, "summary", summary, "config", config, "preprocess",
                            (int)usage.preprocess);
    int failed = json_dumpf(all, stdout, JSON_COMPACT);
    json_decref(all);
    tlvk_free(summary);
    free(config);
    return failed;
}

/* The whole file as float32, malloc'd; *count receives how many. */
static float *read_floats(const char *path, size_t *count) {
    FILE *in = fopen(path, "rb");
    if (!in || fseek(in, 0, SEEK_END))
        return NULL;
    long bytes = ftell(in);
    rewind(in);
    *count = (size_t)bytes / sizeof(float);
    float *values = malloc((size_t)bytes + 1);
    if (values && fread(values, sizeof(float), *count, in) != *count) {
        free(values);
        values = NULL;
    }
    fclose(in);
    return values;
}

static int predict(tlvk_context *ctx, tlvk_model *model, const char *pictures, const char *path) {
    int64_t in[TLVK_MAX_DIMS], out[TLVK_MAX_DIMS];
    size_t count = 0, each = 1;
    float *x = read_floats(pictures, &count);
    if (!x || tlvk_tensor_shape(tlvk_model_input(model, 0), in) != 3 || tlvk_tensor_shape(tlvk_model_output(model, 0), out) != 1)
        return 1;
    int64_t samples = (int64_t)count / (in[0] * in[1] * in[2]);
    each = (size_t)samples * (size_t)out[0];
    float *scores = malloc(each * sizeof *scores);
    FILE *file = fopen(path, "wb");
    tlvk_dataset *data = NULL;
    tlvk_array_desc desc = {.x = x, .x_shape = {samples, in[0], in[1], in[2]}, .batch_size = (int)samples, .no_shuffle = true};
    int failed = !scores || !file || tlvk_dataset_from_arrays(ctx, &desc, &data) || tlvk_model_predict(model, data, scores, each) ||
                 fwrite(scores, sizeof *scores, each, file) != each;
    if (failed)
        fprintf(stderr, "dump_net: %s\n", tlvk_last_error(ctx));
    if (file)
        failed |= fclose(file);
    tlvk_dataset_destroy(data);
    free(scores);
    free(x);
    return failed;
}

int main(int argc, char **argv) {
    tlvk_context *ctx = NULL;
    tlvk_model *model = NULL;
    if (argc < 2 || tlvk_context_create(&(tlvk_context_desc){.no_download = true}, &ctx))
        return 1;
    tlvk_net_desc desc = read_desc(argc, argv);
    const tlvk__net *net = tlvk__net_find(argv[1]);
    if (net && number(argc, argv, "unloaded") ? tlvk__net_build(ctx, net, &desc, &model) : tlvk_net(ctx, argv[1], &desc, &model)) {
        fprintf(stderr, "%s\n", tlvk_last_error(ctx));
        tlvk_context_destroy(ctx);
        return 4;
    }
    const char *pictures = option(argc, argv, "pictures"), *out = option(argc, argv, "out");
    int failed = print_model(model);
    if (!failed && pictures && out)
        failed = predict(ctx, model, pictures, out);
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    return failed;
}
