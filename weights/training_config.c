/* training_config.c - a file's compile settings, rewritten so that Keras 3 and tf_keras both take them, or as Keras 3 alone takes them.
 * Hides: what Keras's generations call the same setting. A setting that one of them would refuse, such as Keras 1's `lr` and `decay`, would keep
 * Keras from opening the whole file; what cannot be said to both is therefore left out, and the file then opens uncompiled: AdamW and weight_decay among it, which
 * tf_keras reads only beside a flag that Keras 3 refuses (tf_keras/src/optimizers/__init__.py, is_legacy_optimizer). */
#include "weights/config.h"

#include <string.h>

typedef struct family { const char *class_name, *alias; const char *keys[7]; } family;
static const family families[] = {
    {"Adam", "adam", {"learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad"}},
    {"SGD", "sgd", {"learning_rate", "momentum", "nesterov"}},
    {"RMSprop", "rmsprop", {"learning_rate", "rho", "momentum", "epsilon", "centered"}},
};

static const family *family_of(const char *class_name) {
    const char *bare = class_name ? strrchr(class_name, '>') : NULL; /* "Custom>Adam" */
    bare = bare ? bare + 1 : class_name;
    for (size_t i = 0; bare && i < TLVK__COUNT(families); i++)
        if (strcmp(bare, families[i].class_name) == 0 || strcmp(bare, families[i].alias) == 0)
            return &families[i];
    return NULL;
}

static json_t *optimizer_of(const json_t *given) {
    const json_t *config = json_object_get(given, "config");
    const family *f = family_of(json_string_value(json_object_get(given, "class_name")));
    if (!f || !json_is_object(config))
        return NULL;
    json_t *kept = json_object();
    for (size_t i = 0; i < TLVK__COUNT(f->keys) && f->keys[i]; i++) {
        json_t *value = json_object_get(config, f->keys[i]);
        if (!value && i == 0)
            value = json_object_get(config, "lr");
        if (json_is_number(value) || json_is_boolean(value))
            json_object_set(kept, f->keys[i], value);
    }
    if (!json_object_get(kept, "learning_rate")) { /* a schedule: there is no number to give */
        json_decref(kept);
        return NULL;
    }
    return json_pack("{s:s, s:o}", "class_name", f->class_name, "config", kept);
}

/* Names of metrics that Keras resolves from the model's outputs; others do not change what is trained and are left out. */
static void add_metrics(json_t *kept, json_t *given, int depth) {
    const char *name = json_string_value(json_is_object(given) ? json_object_get(json_object_get(given, "config"), "name") : given);
    if (name && (strcmp(name, "accuracy") == 0 || strcmp(name, "acc") == 0))
        json_array_append_new(kept, json_string("accuracy"));
    if (json_is_array(given) && depth < 2)
        for (size_t i = 0; i < json_array_size(given); i++)
            add_metrics(kept, json_array_get(given, i), depth + 1);
}

static bool known_loss(const char *name) {
    static const char *const known[] = {"categorical_crossentropy", "sparse_categorical_crossentropy", "binary_crossentropy", "mean_squared_error", "mse"};
    for (size_t i = 0; name && i < TLVK__COUNT(known); i++)
        if (strcmp(name, known[i]) == 0)
            return true;
    return false;
}

char *tlvk__training_config_portable(const char *json) {
    json_t *root = json_loads(json, 0, NULL);
    json_t *loss = json_object_get(root, "loss"), *optimizer = optimizer_of(json_object_get(root, "optimizer_config"));
    char *text = NULL;
    if (optimizer && known_loss(json_string_value(loss))) {
        json_t *metrics = json_array();
        add_metrics(metrics, json_object_get(root, "metrics"), 0);
        json_t *out = json_pack("{s:O, s:o, s:n, s:n, s:O}", "loss", loss, "metrics", metrics, "weighted_metrics", "loss_weights", "optimizer_config",
                                optimizer);
        text = out ? json_dumps(out, JSON_REAL_PRECISION(9)) : NULL;
        json_decref(out);
    }
    json_decref(optimizer);
    json_decref(root);
    return text;
}

/* --- of a model compiled here ---------------------------------------------------------------------------------------------------------- */

static json_t *real(float v) { return json_real((double)v); }

static json_t *optimizer_settings(const tlvk_optimizer *o) {
    json_t *c = json_object();
    json_object_set_new(c, "learning_rate", real(o->learning_rate));
    if (o->clipnorm > 0)
        json_object_set_new(c, "clipnorm", real(o->clipnorm));
    if (o->global_clipnorm > 0)
        json_object_set_new(c, "global_clipnorm", real(o->global_clipnorm));
    if (o->clipvalue > 0)
        json_object_set_new(c, "clipvalue", real(o->clipvalue));
    if (o->kind == TLVK_ADAM || o->kind == TLVK_ADAMW) {
        json_object_set_new(c, "beta_1", real(o->beta_1));
        json_object_set_new(c, "beta_2", real(o->beta_2));
        json_object_set_new(c, "amsgrad", json_boolean(o->amsgrad));
    } else {
        json_object_set_new(c, "momentum", real(o->momentum));
    }
    if (o->kind == TLVK_SGD)
        json_object_set_new(c, "nesterov", json_boolean(o->nesterov));
    else
        json_object_set_new(c, "epsilon", real(o->epsilon));
    if (o->kind == TLVK_RMSPROP) {
        json_object_set_new(c, "rho", real(o->rho));
        json_object_set_new(c, "centered", json_boolean(o->centered));
    }
    return c;
}

/* A loss with options is an object, as both Keras generations write it; a plain one is its name. */
static json_t *loss_settings(const tlvk_loss *loss) {
    static const struct { tlvk_loss_kind kind; const char *name, *class_name; } losses[] = {
        {TLVK_CATEGORICAL_CROSSENTROPY, "categorical_crossentropy", "CategoricalCrossentropy"},
        {TLVK_SPARSE_CATEGORICAL_CROSSENTROPY, "sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"},
        {TLVK_BINARY_CROSSENTROPY, "binary_crossentropy", "BinaryCrossentropy"},
        {TLVK_MEAN_SQUARED_ERROR, "mean_squared_error", "MeanSquaredError"},
    };
    for (size_t i = 0; i < TLVK__COUNT(losses); i++) {
        if (losses[i].kind != loss->kind)
            continue;
        if (!loss->from_logits && !(loss->label_smoothing > 0))
            return json_string(losses[i].name);
        json_t *config = json_pack("{s:b}", "from_logits", loss->from_logits);
        if (loss->label_smoothing > 0)
            json_object_set_new(config, "label_smoothing", real(loss->label_smoothing));
        return json_pack("{s:s, s:o}", "class_name", losses[i].class_name, "config", config);
    }
    return NULL;
}

/* --- compile_config of a .keras archive (keras/src/trainers/trainer.py, get_compile_config) --- */

static json_t *optimizer_to_keras3(const tlvk_optimizer *o) {
    static const struct { const char *class_name, *name; } classes[] = {
        [TLVK_ADAM] = {"Adam", "adam"}, [TLVK_SGD] = {"SGD", "sgd"}, [TLVK_RMSPROP] = {"RMSprop", "rmsprop"}, [TLVK_ADAMW] = {"AdamW", "adamw"}};
    json_t *config = optimizer_settings(o);
    json_object_set_new(config, "name", json_string(classes[o->kind].name));
    if (o->weight_decay > 0 || o->kind == TLVK_ADAMW)
        json_object_set_new(config, "weight_decay", real(o->weight_decay));
    return tlvk__keras3_object("keras.optimizers", classes[o->kind].class_name, config);
}

static json_t *loss_to_keras3(const tlvk_loss *loss) {
    json_t *plain = loss_settings(loss);
    if (!json_is_object(plain))
        return plain;
    json_t *object = tlvk__keras3_object("keras.losses", json_string_value(json_object_get(plain, "class_name")),
                                         json_incref(json_object_get(plain, "config")));
    json_decref(plain);
    return object;
}

static json_t *metric_to_json(tlvk_metric_kind metric) {
    static const char *const names[] = {[TLVK_ACCURACY] = "accuracy", [TLVK_BINARY_ACCURACY] = "binary_accuracy",
                                        [TLVK_CATEGORICAL_ACCURACY] = "categorical_accuracy",
                                        [TLVK_SPARSE_CATEGORICAL_ACCURACY] = "sparse_categorical_accuracy", [TLVK_METRIC_MSE] = "mse"};
    json_t *list = json_array();
    if (metric != TLVK_METRIC_NONE)
        json_array_append_new(list, json_string(names[metric]));
    return list;
}

json_t *tlvk__compile_config_of(const tlvk_model *model) {
    json_t *losses = json_array(), *weights = json_array(), *metrics = json_array();
    bool resolved = true, several = model->output_count > 1;
    for (int i = 0; i < model->output_count; i++) {
        json_t *loss = loss_to_keras3(&model->compiled.losses[i]);
        resolved = resolved && loss;
        json_array_append_new(losses, loss);
        json_array_append_new(weights, real(model->compiled.loss_weights[i]));
        json_array_append_new(metrics, metric_to_json(model->compiled.metrics[i]));
    }
    json_t *config = NULL;
    if (resolved)
        config = json_pack("{s:o, s:O, s:O, s:O, s:n, s:b, s:i, s:b}", "optimizer", optimizer_to_keras3(&model->compiled.optimizer), "loss",
                           several ? losses : json_array_get(losses, 0), "loss_weights", several ? weights : json_null(), "metrics",
                           several ? metrics : json_array_get(metrics, 0), "weighted_metrics", "run_eagerly", 0, "steps_per_execution", 1, "jit_compile", 0);
    json_decref(losses);
    json_decref(weights);
    json_decref(metrics);
    return config;
}

char *tlvk__training_config_of(const tlvk_model *model) {
    static const char *const classes[] = {[TLVK_ADAM] = "Adam", [TLVK_SGD] = "SGD", [TLVK_RMSPROP] = "RMSprop", [TLVK_ADAMW] = NULL};
    const tlvk_optimizer *o = &model->compiled.optimizer;
    json_t *loss = o->weight_decay > 0 || !classes[o->kind] ? NULL : loss_settings(&model->compiled.loss);
    if (!loss)
        return NULL;
    json_t *out = json_pack("{s:o, s:[s], s:n, s:n, s:{s:s, s:o}}", "loss", loss, "metrics", "accuracy", "weighted_metrics", "loss_weights",
                            "optimizer_config", "class_name", classes[o->kind], "config", optimizer_settings(o));
    char *text = out ? json_dumps(out, JSON_REAL_PRECISION(9)) : NULL;
    json_decref(out);
    return text;
}
