/* dump_model.c - loads a Keras file, prints its weights as the model has them, and saves it again; files.py compares both with Keras.
 *
 * Usage: dump_model FILE [weights=FILE] [freeze=SPEC] [unfreeze=SPEC] [samples=N train=FILE steps=N] [samples=N predict=FILE output=FILE]
 *                   [copy=FILE] [copy_weights=FILE]
 * `weights` is loaded into the model by order before anything is printed or saved. `train` holds float32: N samples of the input, then N targets; the
 * model is trained on all of them `steps` times, with the optimizer, its state and the loss that the file has; the loss of each step is a line "# loss".
 * `predict` holds N samples; what the model makes of them goes to `output`, float32.
 * One line for each weight, depth first in model.layers order: layer, weight, trained or not, shape, sum, and sum of values by position.
 * Exit status 0; 4 when a file is refused, with the reason on stderr; 1 for anything else. */
#include <tlvk/tlvk.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int print_weight(const tlvk_layer *layer, int index) {
    const char *name;
    int64_t shape[TLVK_MAX_DIMS];
    int rank;
    size_t elements;
    if (tlvk_layer_weight_info(layer, index, &name, shape, &rank, &elements))
        return 1;
    float *values = malloc(elements * sizeof *values);
    if (!values || tlvk_layer_get_weight(layer, index, values, elements)) {
        free(values);
        return 1;
    }
    double sum = 0, by_position = 0;
    for (size_t i = 0; i < elements; i++) {
        sum += values[i];
        by_position += values[i] * (double)(i % 1009 + 1);
    }
    free(values);
    printf("%s\t%s\t%d\t", tlvk_layer_name(layer), name, tlvk_layer_trainable(layer));
    for (int i = 0; i < rank; i++)
        printf("%s%" PRId64, i ? "," : "", shape[i]);
    printf("\t%.17g\t%.17g\n", sum, by_position);
    return 0;
}

static int print_model(const tlvk_model *model) {
    int failed = 0;
    for (int i = 0; i < tlvk_model_layer_count(model); i++) {
        tlvk_layer *layer = tlvk_model_layer(model, i);
        const tlvk_model *inner = tlvk_layer_model(layer);
        for (int k = 0; !inner && k < tlvk_layer_weight_count(layer); k++)
            failed |= print_weight(layer, k);
        if (inner)
            failed |= print_model(inner);
    }
    return failed;
}

static size_t elements_of(tlvk_tensor x) {
    int64_t shape[TLVK_MAX_DIMS];
    size_t elements = 1;
    for (int i = 0, rank = tlvk_tensor_shape(x, shape); i < rank; i++)
        elements *= (size_t)shape[i];
    return elements;
}

/* The floats of a file; NULL where it cannot be read. */
static float *read_floats(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    size_t bytes = (size_t)ftell(f);
    rewind(f);
    float *values = malloc(bytes + 1);
    if (values && fread(values, 1, bytes, f) != bytes) {
        free(values);
        values = NULL;
    }
    fclose(f);
    return values;
}

static tlvk_status train(tlvk_model *model, const char *path, int64_t samples, int steps) {
    float *values = read_floats(path);
    size_t inputs = elements_of(tlvk_model_input(model, 0));
    tlvk_status status = values ? TLVK_OK : TLVK_ERROR_FILE;
    tlvk_logs logs;
    for (int i = 0; !status && i < steps; i++) {
        status = tlvk_model_train_on_batch(model, values, values + inputs * (size_t)samples, samples, &logs);
        printf("# loss\t%.17g\n", logs.loss);
    }
    free(values);
    return status;
}

static tlvk_status predict(tlvk_context *ctx, tlvk_model *model, const char *path, int64_t samples, const char *output) {
    float *values = read_floats(path);
    tlvk_array_desc data = {.x = values, .x_shape = {samples}, .batch_size = (int)samples, .no_shuffle = true, .borrow = true};
    int64_t shape[TLVK_MAX_DIMS] = {0};
    tlvk_tensor_shape(tlvk_model_input(model, 0), shape);
    memcpy(data.x_shape + 1, shape, sizeof data.x_shape - sizeof data.x_shape[0]);
    size_t count = (size_t)samples * elements_of(tlvk_model_output(model, 0));
    float *scores = calloc(count + 1, sizeof *scores);
    tlvk_dataset *dataset = NULL;
    tlvk_status status = values && scores ? tlvk_dataset_from_arrays(ctx, &data, &dataset) : TLVK_ERROR_FILE;
    if (!status)
        status = tlvk_model_predict(model, dataset, scores, count);
    FILE *f = status ? NULL : fopen(output, "wb");
    if (!status && (!f || fwrite(scores, sizeof *scores, count, f) != count))
        status = TLVK_ERROR_FILE;
    if (f)
        fclose(f);
    tlvk_dataset_destroy(dataset);
    free(values);
    free(scores);
    return status;
}

static const char *option(int argc, char **argv, const char *key) {
    for (int i = 2; i < argc; i++)
        if (strncmp(argv[i], key, strlen(key)) == 0)
            return argv[i] + strlen(key);
    return NULL;
}

int main(int argc, char **argv) {
    tlvk_context *ctx = NULL;
    tlvk_model *model = NULL;
    if (argc < 2 || tlvk_context_create(&(tlvk_context_desc){.cache_folder = ""}, &ctx))
        return 1;
    const char *weights = option(argc, argv, "weights="), *copy = option(argc, argv, "copy="), *copy_weights = option(argc, argv, "copy_weights=");
    tlvk_status status = tlvk_model_load(ctx, argv[1], &model);
    if (!status && weights)
        status = tlvk_model_load_weights(model, weights, TLVK_BY_ORDER);
    const char *freeze = option(argc, argv, "freeze="), *unfreeze = option(argc, argv, "unfreeze=");
    if (!status && freeze)
        status = tlvk_model_set_trainable(model, freeze, false);
    if (!status && unfreeze)
        status = tlvk_model_set_trainable(model, unfreeze, true);
    const char *data = option(argc, argv, "train="), *samples = option(argc, argv, "samples="), *steps = option(argc, argv, "steps=");
    if (!status && data && samples && steps)
        status = train(model, data, strtoll(samples, NULL, 10), (int)strtol(steps, NULL, 10));
    const char *inputs = option(argc, argv, "predict="), *output = option(argc, argv, "output=");
    if (!status && inputs && samples && output)
        status = predict(ctx, model, inputs, strtoll(samples, NULL, 10), output);
    int failed = status ? 0 : print_model(model);
    if (!status && copy)
        status = tlvk_model_save(model, copy);
    if (!status && copy_weights)
        status = tlvk_model_save_weights(model, copy_weights);
    if (status)
        fprintf(stderr, "%s\n", tlvk_last_error(ctx));
    tlvk_model_destroy(model);
    tlvk_context_destroy(ctx);
    return status == TLVK_ERROR_FORMAT || status == TLVK_ERROR_UNSUPPORTED ? 4 : status || failed ? 1 : 0;
}
