/* training_take.c - the compile settings of a file as those of a model here.
 *
 * Hides: the two places they stand in, training_config of Keras 1 to 3 and compile_config of a .keras archive, and the many spellings of a loss. What
 * this library does not have (another optimizer, a loss written in Python, a schedule) leaves the model uncompiled, as Keras does without a compile; where
 * it is the optimizer alone, the model is still evaluated by the file's losses and metrics. */
#include "weights/config.h"

#include "ops/optimizer.h"

#include <string.h>

bool tlvk__optimizer_parse(const char *class_name, tlvk_optimizer_kind *kind) {
    static const struct { const char *class_name, *alias; tlvk_optimizer_kind kind; } kinds[] = {
        {"Adam", "adam", TLVK_ADAM}, {"SGD", "sgd", TLVK_SGD}, {"RMSprop", "rmsprop", TLVK_RMSPROP}, {"AdamW", "adamw", TLVK_ADAMW}};
    const char *bare = class_name ? strrchr(class_name, '>') : NULL; /* "Custom>Adam" */
    bare = bare ? bare + 1 : class_name;
    for (size_t i = 0; bare && i < TLVK__COUNT(kinds); i++)
        if (strcmp(bare, kinds[i].class_name) == 0 || strcmp(bare, kinds[i].alias) == 0) {
            *kind = kinds[i].kind;
            return true;
        }
    return false;
}

/* --- the optimizer --- */

/* A number that is there and 0 is not the default. */
static void take_number(const json_t *config, const char *key, float *to) {
    double v;
    if (tlvk__json_number(json_object_get(config, key), &v))
        *to = v == 0 ? TLVK_ZERO : (float)v;
}

static bool take_optimizer(const json_t *given, tlvk_optimizer *resolved) {
    const json_t *config = json_object_get(given, "config");
    tlvk_optimizer o = {0};
    if (json_is_string(given)) /* tf_keras keeps the name that compile was given */
        return tlvk__optimizer_parse(json_string_value(given), &o.kind) && tlvk__optimizer_resolve(&o, resolved) == TLVK_OK;
    if (!json_is_object(config) || !tlvk__optimizer_parse(json_string_value(json_object_get(given, "class_name")), &o.kind))
        return false;
    take_number(config, "lr", &o.learning_rate);
    take_number(config, "learning_rate", &o.learning_rate);
    if (o.learning_rate == 0 || json_is_true(json_object_get(config, "use_ema")))
        return false; /* a schedule, or averages that are not kept here */
    const struct { const char *key; float *to; } numbers[] = {
        {"momentum", &o.momentum}, {"beta_1", &o.beta_1}, {"beta_2", &o.beta_2}, {"rho", &o.rho}, {"epsilon", &o.epsilon},
        {"weight_decay", &o.weight_decay}, {"clipnorm", &o.clipnorm}, {"global_clipnorm", &o.global_clipnorm}, {"clipvalue", &o.clipvalue}};
    for (size_t i = 0; i < TLVK__COUNT(numbers); i++)
        take_number(config, numbers[i].key, numbers[i].to);
    o.nesterov = json_is_true(json_object_get(config, "nesterov"));
    o.amsgrad = json_is_true(json_object_get(config, "amsgrad"));
    o.centered = json_is_true(json_object_get(config, "centered"));
    return tlvk__optimizer_resolve(&o, resolved) == TLVK_OK;
}

/* --- losses and metrics --- */

static bool take_loss(const json_t *given, tlvk_loss *loss) {
    static const struct { const char *name, *class_name; tlvk_loss_kind kind; } losses[] = {
        {"categorical_crossentropy", "CategoricalCrossentropy", TLVK_CATEGORICAL_CROSSENTROPY},
        {"sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", TLVK_SPARSE_CATEGORICAL_CROSSENTROPY},
        {"binary_crossentropy", "BinaryCrossentropy", TLVK_BINARY_CROSSENTROPY},
        {"mean_squared_error", "MeanSquaredError", TLVK_MEAN_SQUARED_ERROR},
        {"mse", "MSE", TLVK_MEAN_SQUARED_ERROR}};
    const json_t *config = json_object_get(given, "config");
    const char *name = json_string_value(json_is_object(given) ? json_object_get(given, "class_name") : given);
    if (name && strcmp(name, "function") == 0) /* a function of Keras, named in config */
        name = json_string_value(config);
    double smoothing = 0;
    tlvk__json_number(json_object_get(config, "label_smoothing"), &smoothing);
    for (size_t i = 0; name && i < TLVK__COUNT(losses); i++)
        if (strcmp(name, losses[i].name) == 0 || strcmp(name, losses[i].class_name) == 0) {
            *loss = (tlvk_loss){losses[i].kind, json_is_true(json_object_get(config, "from_logits")), (float)smoothing};
            return smoothing >= 0 && smoothing < 1;
        }
    return false;
}

/* The first metric that is known here, at any depth of lists. Others do not change what is trained and are left out. */
static tlvk_metric_kind find_metric(const json_t *given, int depth) {
    static const struct { const char *name; tlvk_metric_kind kind; } metrics[] = {
        {"accuracy", TLVK_ACCURACY}, {"acc", TLVK_ACCURACY}, {"binary_accuracy", TLVK_BINARY_ACCURACY},
        {"categorical_accuracy", TLVK_CATEGORICAL_ACCURACY}, {"sparse_categorical_accuracy", TLVK_SPARSE_CATEGORICAL_ACCURACY},
        {"mse", TLVK_METRIC_MSE}, {"mean_squared_error", TLVK_METRIC_MSE}};
    const char *name = json_string_value(json_is_object(given) ? json_object_get(json_object_get(given, "config"), "name") : given);
    for (size_t i = 0; name && i < TLVK__COUNT(metrics); i++)
        if (strcmp(name, metrics[i].name) == 0)
            return metrics[i].kind;
    tlvk_metric_kind found = TLVK_METRIC_NONE;
    for (size_t i = 0; !found && depth < 3 && i < json_array_size(given); i++)
        found = find_metric(json_array_get(given, i), depth + 1);
    return found;
}

/* One for each output, by place or by the name of the layer that ends there; a single one is every output's. */
static const json_t *of_output(const json_t *given, const tlvk_model *model, int output) {
    if (json_is_array(given))
        return json_array_get(given, (size_t)output);
    bool object = json_is_object(given) && !json_object_get(given, "class_name");
    return object ? json_object_get(given, model->outputs[output].node->layer->name) : given;
}

static bool take_outputs(tlvk_model *model, const json_t *settings) {
    const json_t *losses = json_object_get(settings, "loss"), *weights = json_object_get(settings, "loss_weights");
    const json_t *metrics = json_object_get(settings, "metrics");
    for (int i = 0; i < model->output_count; i++) {
        bool one = model->output_count == 1;
        double weight = 1;
        const json_t *loss = one && json_is_array(losses) ? json_array_get(losses, 0) : of_output(losses, model, i);
        if (!take_loss(loss, &model->compiled.losses[i]))
            return false;
        if (weights && !json_is_null(weights))
            tlvk__json_number(one && json_is_array(weights) ? json_array_get(weights, 0) : of_output(weights, model, i), &weight);
        model->compiled.loss_weights[i] = (float)weight;
        model->compiled.metrics[i] = find_metric(one ? metrics : of_output(metrics, model, i), 0);
    }
    model->compiled.loss = model->compiled.losses[0];
    return true;
}

void tlvk__training_take(tlvk_model *model, const char *json, bool archive) {
    json_t *root = json_loads(json, 0, NULL);
    const json_t *settings = archive ? json_object_get(root, "compile_config") : root;
    const json_t *optimizer = json_object_get(settings, archive ? "optimizer" : "optimizer_config");
    model->compiled.measures = json_is_object(settings) && take_outputs(model, settings);
    model->compiled.set = model->compiled.measures && take_optimizer(optimizer, &model->compiled.optimizer);
    json_decref(root);
}
