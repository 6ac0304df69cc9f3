/* config_values.c - single values of Keras's JSON: activations, initializers, regularizers, numbers.
 * Hides: the many spellings that Keras's generations have for each. */
#include "weights/config.h"

#include "ops/attrs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- numbers and texts --- */

bool tlvk__json_number(const json_t *value, double *out) {
    if (json_is_object(value)) /* {"type": "ndarray", "value": 0.3} and {"class_name": "__numpy__", "value": ...} */
        value = json_object_get(value, "value");
    if (!json_is_number(value))
        return false;
    *out = json_number_value(value);
    return true;
}

json_t *tlvk__json_float(float v) {
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v)
            break;
    }
    return json_real(strtod(text, NULL));
}

bool tlvk__json_same(const json_t *a, const json_t *b) {
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (json_is_array(a) && json_is_array(b)) {
        if (json_array_size(a) != json_array_size(b))
            return false;
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!tlvk__json_same(json_array_get(a, i), json_array_get(b, i)))
                return false;
        return true;
    }
    return json_equal(a, b);
}

char *tlvk__json_brief(const json_t *value, char *buffer, size_t size) {
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    if (text && strlen(text) >= size && size > 4)
        memcpy(text + size - 4, "...", 4);
    snprintf(buffer, size, "%s", text ? text : "nothing");
    free(text);
    return buffer;
}

static tlvk_status refuse(const tlvk__config_place *at, const char *key, const json_t *value, const char *instead) {
    char brief[160];
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, TLVK__PLACE_FORMAT ": its %s is %s, which this library does not do%s%s", TLVK__PLACE_ARGS(at), key,
                      tlvk__json_brief(value, brief, sizeof brief), *instead ? "; " : "", instead);
}

/* {"class_name": "L2", "config": {...}}, or a bare name with no config. */
static const char *object_name(const json_t *value, json_t **config) {
    *config = NULL;
    if (json_is_string(value))
        return json_string_value(value);
    *config = json_object_get(value, "config");
    return json_string_value(json_object_get(value, "class_name"));
}

static double number_or(const json_t *config, const char *key, double fallback) {
    double v = fallback;
    return tlvk__json_number(json_object_get(config, key), &v) ? v : fallback;
}

/* --- activations --- */

/* The activation that an activation layer (ReLU, LeakyReLU, ...) is, from its serialized form. */
static tlvk_status activation_of_layer(const tlvk__config_place *at, const char *key, const json_t *value, tlvk__activation *out) {
    json_t *config;
    const char *class_name = object_name(value, &config);
    const tlvk__op *op = class_name ? tlvk__op_find(class_name) : NULL;
    bool known = op == &tlvk__op_relu || op == &tlvk__op_leaky_relu || op == &tlvk__op_elu || op == &tlvk__op_softmax;
    if (!known || !json_is_object(config))
        return refuse(at, key, value, "Keras's named activations and ReLU, LeakyReLU, ELU and Softmax are known");
    tlvk__activation_attrs attrs;
    tlvk_status status = tlvk__attrs_from_json(at, op, config, &attrs);
    if (!status)
        *out = attrs.activation;
    return status;
}

tlvk_status tlvk__activation_from_json(const tlvk__config_place *at, const char *key, const json_t *value, tlvk__activation *out) {
    if (!value || json_is_null(value)) {
        *out = tlvk__activation_of(TLVK_LINEAR);
        return TLVK_OK;
    }
    json_t *config;
    const char *name = object_name(value, &config);
    /* Keras 3's form of a plain function: {"module": "keras.activations", "class_name": "function", "config": "relu"}. */
    const char *module = json_string_value(json_object_get(value, "module"));
    if (name && json_is_string(config) && strcmp(name, "function") == 0)
        name = json_string_value(config);
    else if (name && json_is_object(value))
        return activation_of_layer(at, key, value, out);
    tlvk_activation_kind kind;
    if (!name || !tlvk__activation_parse(name, &kind))
        return refuse(at, key, value, "");
    /* keras.ops.gelu approximates by default, keras.activations.gelu does not. */
    if (kind == TLVK_GELU && module && strcmp(module, "keras.ops") == 0)
        kind = TLVK_GELU_TANH;
    /* Keras 1 and 2 mean clip(0.2x + 0.5, 0, 1) by this name, Keras 3 relu6(x + 3)/6. */
    if (kind == TLVK_HARD_SIGMOID && at->keras_version < 3)
        kind = TLVK_HARD_SIGMOID_KERAS2;
    *out = tlvk__activation_of(kind);
    return TLVK_OK;
}

json_t *tlvk__keras3_object(const char *module, const char *class_name, json_t *config) {
    return json_pack("{s:s, s:s, s:o, s:n}", "module", module, "class_name", class_name, "config", config, "registered_name");
}

/* A layer in the place of a function, where a name does not say the parameters: Keras 3 calls whatever can be called. */
static json_t *activation_layer(const char *class_name, const char *key, float value, const tlvk__activation *relu) {
    json_t *config = json_pack("{s:s, s:o}", "name", class_name, key, tlvk__json_float(value));
    if (relu) {
        json_object_set_new(config, "max_value", isfinite(relu->max_value) ? tlvk__json_float(relu->max_value) : json_null());
        json_object_set_new(config, "threshold", tlvk__json_float(relu->threshold));
    }
    return tlvk__keras3_object("keras.layers", class_name, config);
}

static json_t *activation_to_keras3(const tlvk__activation *a) {
    tlvk__activation plain = tlvk__activation_of(a->kind);
    if (a->kind == TLVK_HARD_SIGMOID_KERAS2)
        return NULL;
    if (a->kind == TLVK_GELU_TANH)
        return json_pack("{s:s, s:s, s:s, s:s}", "module", "keras.ops", "class_name", "function", "config", "gelu", "registered_name", "gelu");
    if (a->kind == TLVK_RELU && (a->alpha != plain.alpha || a->max_value != plain.max_value || a->threshold != plain.threshold))
        return activation_layer("ReLU", "negative_slope", a->alpha, a);
    if (a->kind == TLVK_LEAKY_RELU && a->alpha != plain.alpha)
        return activation_layer("LeakyReLU", "negative_slope", a->alpha, NULL);
    if (a->kind == TLVK_ELU && a->alpha != plain.alpha)
        return activation_layer("ELU", "alpha", a->alpha, NULL);
    return json_string(a->kind == TLVK_HARD_SWISH ? "hard_silu" : tlvk__activation_name(a->kind));
}

json_t *tlvk__activation_to_json(const tlvk__activation *a, int keras_version) {
    if (keras_version >= 3)
        return activation_to_keras3(a);
    if (a->kind == TLVK_HARD_SIGMOID || a->kind == TLVK_HARD_SIGMOID_KERAS2 || a->kind == TLVK_GELU_TANH || a->kind == TLVK_HARD_SWISH)
        return NULL;
    /* A name says the default parameters. */
    tlvk__activation plain = tlvk__activation_of(a->kind);
    bool relu = a->kind == TLVK_RELU, sloped = relu || a->kind == TLVK_LEAKY_RELU || a->kind == TLVK_ELU;
    if ((sloped && a->alpha != plain.alpha) || (relu && (a->max_value != plain.max_value || a->threshold != plain.threshold)))
        return NULL;
    return json_string(tlvk__activation_name(a->kind));
}

/* --- initializers --- */

static const struct { const char *class_name, *alias; tlvk_initializer_kind kind; } initializers[] = {
    {"GlorotUniform", "glorot_uniform", TLVK_GLOROT_UNIFORM}, {"GlorotNormal", "glorot_normal", TLVK_GLOROT_NORMAL},
    {"HeUniform", "he_uniform", TLVK_HE_UNIFORM},             {"HeNormal", "he_normal", TLVK_HE_NORMAL},
    {"LecunUniform", "lecun_uniform", TLVK_LECUN_UNIFORM},    {"LecunNormal", "lecun_normal", TLVK_LECUN_NORMAL},
    {"Zeros", "zeros", TLVK_ZEROS},                           {"Ones", "ones", TLVK_ONES},
    {"RandomUniform", "random_uniform", TLVK_RANDOM_UNIFORM}, {"RandomNormal", "random_normal", TLVK_RANDOM_NORMAL},
    {"TruncatedNormal", "truncated_normal", TLVK_TRUNCATED_NORMAL}, {"Constant", "constant", TLVK_CONSTANT},
    {"VarianceScaling", "variance_scaling", TLVK_VARIANCE_SCALING},
};
static const char *const modes[] = {"fan_in", "fan_out", "fan_avg"};
static const char *const distributions[] = {"truncated_normal", "untruncated_normal", "uniform"};

static int index_of(const char *text, const char *const *names, int count, int fallback) {
    for (int i = 0; text && i < count; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    return fallback;
}

/* Parameters' names and defaults: keras/src/initializers/{random,constant}_initializers.py. */
static void initializer_parameters(const json_t *config, tlvk__initializer *i) {
    double low, high;
    switch (i->kind) {
    case TLVK_RANDOM_UNIFORM:
        low = number_or(config, "minval", -0.05), high = number_or(config, "maxval", 0.05);
        i->mean = (float)((low + high) / 2), i->value = (float)((high - low) / 2);
        break;
    case TLVK_RANDOM_NORMAL:
    case TLVK_TRUNCATED_NORMAL:
        i->mean = (float)number_or(config, "mean", 0), i->value = (float)number_or(config, "stddev", 0.05);
        break;
    case TLVK_CONSTANT:
        i->value = (float)number_or(config, "value", 0);
        break;
    case TLVK_VARIANCE_SCALING:
        i->value = (float)number_or(config, "scale", 1);
        i->mode = index_of(json_string_value(json_object_get(config, "mode")), modes, 3, 0);
        /* "normal" of Keras 2 is today's truncated_normal. */
        i->distribution = index_of(json_string_value(json_object_get(config, "distribution")), distributions, 3, 0);
        break;
    default:
        break;
    }
}

tlvk_status tlvk__initializer_from_json(const tlvk__config_place *at, const char *key, const json_t *value, tlvk__initializer *out) {
    if (!value || json_is_null(value))
        return TLVK_OK;
    json_t *config;
    const char *name = object_name(value, &config);
    if (!name)
        return refuse(at, key, value, "a name or an object with class_name was expected");
    for (size_t i = 0; i < TLVK__COUNT(initializers); i++)
        if (strcmp(name, initializers[i].class_name) == 0 || strcmp(name, initializers[i].alias) == 0) {
            *out = (tlvk__initializer){.kind = initializers[i].kind};
            initializer_parameters(config, out);
            break;
        }
    return TLVK_OK;
}

json_t *tlvk__initializer_to_json(const tlvk__initializer *i, int keras_version) {
    const char *class_name = NULL;
    for (size_t k = 0; k < TLVK__COUNT(initializers); k++)
        if (initializers[k].kind == i->kind)
            class_name = initializers[k].class_name;
    if (!class_name)
        return NULL;
    json_t *config = json_object();
    switch (i->kind) {
    case TLVK_ZEROS:
    case TLVK_ONES:
        break;
    case TLVK_CONSTANT:
        json_object_set_new(config, "value", tlvk__json_float(i->value));
        break;
    case TLVK_RANDOM_UNIFORM:
        json_object_set_new(config, "minval", tlvk__json_float(i->mean - i->value));
        json_object_set_new(config, "maxval", tlvk__json_float(i->mean + i->value));
        json_object_set_new(config, "seed", json_null());
        break;
    case TLVK_RANDOM_NORMAL:
    case TLVK_TRUNCATED_NORMAL:
        json_object_set_new(config, "mean", tlvk__json_float(i->mean));
        json_object_set_new(config, "stddev", tlvk__json_float(i->value));
        json_object_set_new(config, "seed", json_null());
        break;
    case TLVK_VARIANCE_SCALING:
        json_object_set_new(config, "scale", tlvk__json_float(i->value));
        json_object_set_new(config, "mode", json_string(modes[i->mode]));
        json_object_set_new(config, "distribution", json_string(distributions[i->distribution]));
        json_object_set_new(config, "seed", json_null());
        break;
    default:
        json_object_set_new(config, "seed", json_null());
        break;
    }
    return keras_version >= 3 ? tlvk__keras3_object("keras.initializers", class_name, config)
                              : json_pack("{s:s, s:o}", "class_name", class_name, "config", config);
}

/* --- regularizers: keras/src/regularizers/regularizers.py --- */

tlvk_status tlvk__regularizer_from_json(const tlvk__config_place *at, const char *key, const json_t *value, tlvk_regularizer *out) {
    *out = (tlvk_regularizer){0};
    if (!value || json_is_null(value))
        return TLVK_OK;
    json_t *config;
    const char *name = object_name(value, &config);
    bool l1 = name && (strcmp(name, "L1") == 0 || strcmp(name, "l1") == 0);
    bool l2 = name && (strcmp(name, "L2") == 0 || strcmp(name, "l2") == 0);
    bool both = name && (strcmp(name, "L1L2") == 0 || strcmp(name, "l1_l2") == 0);
    if (!l1 && !l2 && !both)
        return refuse(at, key, value, "L1, L2 and L1L2 are known");
    /* A bare name has 0.01; an L1L2 object without a number has 0 there. */
    double without = both && config ? 0 : 0.01;
    if (l1 || both)
        out->l1 = (float)number_or(config, "l1", without);
    if (l2 || both)
        out->l2 = (float)number_or(config, "l2", without);
    return TLVK_OK;
}

json_t *tlvk__regularizer_to_json(const tlvk_regularizer *r, int keras_version) {
    if (r->l1 == 0 && r->l2 == 0)
        return json_null();
    json_t *config = json_pack("{s:o, s:o}", "l1", tlvk__json_float(r->l1), "l2", tlvk__json_float(r->l2));
    return keras_version >= 3 ? tlvk__keras3_object("keras.regularizers", "L1L2", config)
                              : json_pack("{s:s, s:o}", "class_name", "L1L2", "config", config);
}
