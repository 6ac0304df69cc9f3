/* dump_network.c - what the library makes of a built-in network or a model file, for networks.py to hold against Keras. Public calls alone.
 *
 * dump_network             prints the names of the built-in networks, a line each.
 * dump_network SPEC        SPEC is a JSON file: a list of jobs, done in this order, each with a context and a model of its own:
 *   "net" with "weights", "height", "width", "no_top", "classes", "logits", "pooling" ("avg", "max"); or "file", a model to load
 *   "summary": the text of tlvk_model_summary and the counts of parameters
 *   "trainable": [[spec, true or false], ...] for tlvk_model_set_trainable
 *   "x", "y": [path of float32, shape]; "predict": path that receives the scores
 *   "fit": {"learning_rate": of SGD, "batch_norm_inference"}: one step of categorical crossentropy from logits on all of x, y
 *   "values": path that receives every weight as float32, listed under "arrays" as [layer/number, shape]
 *   "save": [path, ...], written last
 * Standard output: a JSON object per job and line; "error" where it was refused. Exit status 0 unless the specification cannot be used. */
#include <tlvk/tlvk.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct job {
    tlvk_context *ctx;
    const json_t *spec;
    json_t *said;
    tlvk_model *model;
    tlvk_dataset *data;
    int64_t samples;
} job;

/* Says why the job ends; returns false. */
static bool refuse(job *j, const char *what) {
    char text[1024];
    snprintf(text, sizeof text, "%s: %s", what, tlvk_last_error(j->ctx));
    json_object_set_new(j->said, "error", json_string(text));
    return false;
}

static const char *string_of(const json_t *object, const char *key) { return json_string_value(json_object_get(object, key)); }
static int64_t integer_of(const json_t *object, const char *key) { return json_integer_value(json_object_get(object, key)); }
static bool truth_of(const json_t *object, const char *key) { return json_is_true(json_object_get(object, key)); }

/* --- arrays ----------------------------------------------------------------------------------------------------------------------- */

/* The float32 array [path, shape], malloc'd; NULL when it cannot be read. */
static float *read_array(const json_t *named, int64_t shape[TLVK_MAX_DIMS]) {
    const json_t *dims = json_array_get(named, 1);
    size_t count = 1;
    for (size_t i = 0; i < json_array_size(dims) && i < TLVK_MAX_DIMS; i++) {
        shape[i] = json_integer_value(json_array_get(dims, i));
        count *= (size_t)shape[i];
    }
    const char *path = json_string_value(json_array_get(named, 0));
    FILE *in = path ? fopen(path, "rb") : NULL;
    float *values = malloc((count + 1) * sizeof *values);
    if (in && values && fread(values, sizeof *values, count, in) != count) {
        free(values);
        values = NULL;
    }
    if (!in || fclose(in)) {
        free(values);
        return NULL;
    }
    return values;
}

static bool make_data(job *j) {
    const json_t *x = json_object_get(j->spec, "x"), *y = json_object_get(j->spec, "y");
    if (!x)
        return true;
    tlvk_array_desc desc = {.no_shuffle = true};
    float *pictures = read_array(x, desc.x_shape), *targets = y ? read_array(y, desc.y_shape) : NULL;
    j->samples = desc.x_shape[0];
    desc.batch_size = (int)j->samples;
    desc.x = pictures;
    desc.y = targets;
    bool ok = pictures && (!y || targets) && !tlvk_dataset_from_arrays(j->ctx, &desc, &j->data);
    free(pictures);
    free(targets);
    return ok || refuse(j, "data");
}

/* Writes the weights of the model's layers, and of models among them in their place. */
static bool put_values(job *j, const tlvk_model *model, json_t *arrays, FILE *out) {
    for (int i = 0; i < tlvk_model_layer_count(model); i++) {
        tlvk_layer *layer = tlvk_model_layer(model, i);
        if (tlvk_layer_model(layer)) {
            if (!put_values(j, tlvk_layer_model(layer), arrays, out))
                return false;
            continue;
        }
        for (int k = 0; k < tlvk_layer_weight_count(layer); k++) {
            int64_t shape[TLVK_MAX_DIMS];
            int rank;
            size_t elements;
            if (tlvk_layer_weight_info(layer, k, NULL, shape, &rank, &elements))
                return refuse(j, "weight");
            float *values = malloc((elements + 1) * sizeof *values);
            bool ok = values && !tlvk_layer_get_weight(layer, k, values, elements) && fwrite(values, sizeof *values, elements, out) == elements;
            free(values);
            if (!ok)
                return refuse(j, "weight");
            json_t *dims = json_array();
            for (int d = 0; d < rank; d++)
                json_array_append_new(dims, json_integer(shape[d]));
            char name[256];
            snprintf(name, sizeof name, "%s/%d", tlvk_layer_name(layer), k);
            json_array_append_new(arrays, json_pack("[s, o]", name, dims));
        }
    }
    return true;
}

/* --- what a job asks for ---------------------------------------------------------------------------------------------------------- */

static bool make_model(job *j) {
    const char *path = string_of(j->spec, "file"), *pooling = string_of(j->spec, "pooling");
    if (path)
        return !tlvk_model_load(j->ctx, path, &j->model) || refuse(j, path);
    tlvk_net_desc d = {.weights = string_of(j->spec, "weights"), .no_top = truth_of(j->spec, "no_top"), .classes = (int)integer_of(j->spec, "classes"),
                       .logits = truth_of(j->spec, "logits")};
    d.input_shape[0] = integer_of(j->spec, "height");
    d.input_shape[1] = integer_of(j->spec, "width");
    if (pooling)
        d.pooling = strcmp(pooling, "avg") == 0 ? TLVK_POOLING_AVG : TLVK_POOLING_MAX;
    return !tlvk_net(j->ctx, string_of(j->spec, "net"), &d, &j->model) || refuse(j, "tlvk_net");
}

static bool summarize(job *j) {
    char *text = NULL;
    int64_t total = 0, trainable = 0;
    if (tlvk_model_summary(j->model, &text) || tlvk_model_count_params(j->model, &total, &trainable))
        return refuse(j, "summary");
    json_object_set_new(j->said, "summary", json_string(text));
    json_object_set_new(j->said, "counts", json_pack("[I, I]", (json_int_t)total, (json_int_t)trainable));
    tlvk_free(text);
    return true;
}

static bool set_trainable(job *j) {
    const json_t *pair;
    size_t i;
    json_array_foreach(json_object_get(j->spec, "trainable"), i, pair)
        if (tlvk_model_set_trainable(j->model, json_string_value(json_array_get(pair, 0)), json_is_true(json_array_get(pair, 1))))
            return refuse(j, "trainable");
    return true;
}

static bool predict(job *j, const char *path) {
    int64_t shape[TLVK_MAX_DIMS];
    int rank = tlvk_tensor_shape(tlvk_model_output(j->model, 0), shape);
    json_t *dims = json_pack("[I]", (json_int_t)j->samples);
    size_t count = (size_t)j->samples;
    for (int i = 0; i < rank; i++) {
        count *= (size_t)shape[i];
        json_array_append_new(dims, json_integer(shape[i]));
    }
    json_object_set_new(j->said, "shape", dims);
    float *scores = malloc((count + 1) * sizeof *scores);
    FILE *out = fopen(path, "wb");
    bool ok = scores && out && !tlvk_model_predict(j->model, j->data, scores, count) && fwrite(scores, sizeof *scores, count, out) == count;
    free(scores);
    if (out && fclose(out))
        ok = false;
    return ok || refuse(j, "predict");
}

static bool fit(job *j, const json_t *how) {
    tlvk_compile_desc compile = {.optimizer = {.kind = TLVK_SGD, .learning_rate = (float)json_number_value(json_object_get(how, "learning_rate"))},
                                 .loss = {.kind = TLVK_CATEGORICAL_CROSSENTROPY, .from_logits = true}};
    tlvk_fit_desc desc = {.epochs = 1, .batch_norm_inference = truth_of(how, "batch_norm_inference")};
    tlvk_history *history = NULL;
    tlvk_logs logs = {.loss = 0};
    bool ok = !tlvk_model_compile(j->model, &compile) && !tlvk_model_fit(j->model, j->data, &desc, &history) && !tlvk_history_logs(history, 0, &logs);
    tlvk_history_destroy(history);
    json_object_set_new(j->said, "loss", json_real(logs.loss));
    return ok || refuse(j, "fit");
}

static bool write_values(job *j, const char *path) {
    json_t *arrays = json_array();
    json_object_set_new(j->said, "arrays", arrays);
    FILE *out = fopen(path, "wb");
    bool ok = out && put_values(j, j->model, arrays, out);
    return out && !fclose(out) && ok;
}

static bool save(job *j) {
    const json_t *path;
    size_t i;
    json_array_foreach(json_object_get(j->spec, "save"), i, path)
        if (tlvk_model_save(j->model, json_string_value(path)))
            return refuse(j, "save");
    return true;
}

static bool run(job *j) {
    const char *scores = string_of(j->spec, "predict"), *values = string_of(j->spec, "values");
    const json_t *how = json_object_get(j->spec, "fit");
    return make_model(j) && (!truth_of(j->spec, "summary") || summarize(j)) && set_trainable(j) && make_data(j) && (!scores || predict(j, scores)) &&
           (!how || fit(j, how)) && (!values || write_values(j, values)) && save(j);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        for (int i = 0; tlvk_net_name(i); i++)
            printf("%s\n", tlvk_net_name(i));
        return 0;
    }
    json_t *jobs = json_load_file(argv[1], 0, NULL);
    const json_t *spec;
    size_t i;
    json_array_foreach(jobs, i, spec) {
        job j = {.spec = spec, .said = json_object()};
        if (tlvk_context_create(NULL, &j.ctx) || (!run(&j) && !json_object_get(j.said, "error")))
            refuse(&j, "files");
        json_dumpf(j.said, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
        printf("\n");
        json_decref(j.said);
        tlvk_dataset_destroy(j.data);
        tlvk_model_destroy(j.model);
        tlvk_context_destroy(j.ctx);
    }
    json_decref(jobs);
    return 0;
}
