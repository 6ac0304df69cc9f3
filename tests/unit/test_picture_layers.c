/* test_picture_layers.c - the layers that prepare and vary pictures, without a device: their configs in the forms of Keras 2 and 3, what is refused by
 * name, and whether their draws have the ranges, means and spreads of Keras's. Quotes in the texts below are single. */
#include "ops/picture.h"
#include "weights/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

/* --- configs -------------------------------------------------------------------------------------------------------------------------------- */

typedef union any_attrs {
    unsigned char bytes[TLVK__ATTR_BYTES];
    tlvk__normalization_attrs normalization;
    tlvk__dropout_attrs dropout;
    tlvk__random_affine_attrs affine;
    tlvk__random_flip_attrs flip;
    tlvk__random_color_attrs color;
    tlvk__resizing_attrs resizing;
} any_attrs;

static tlvk_status parse(const char *class_name, const char *text, any_attrs *attrs) {
    char json[512];
    snprintf(json, sizeof json, "%s", text);
    for (char *c = json; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_t *config = json_loads(json, 0, NULL);
    assert_non_null(config);
    tlvk__config_place at = {"test.h5", "layer", class_name, 3};
    tlvk_status st = tlvk__attrs_from_json(&at, tlvk__op_find(class_name), config, attrs->bytes);
    json_decref(config);
    return st;
}

static any_attrs read(const char *class_name, const char *text) {
    any_attrs attrs;
    if (parse(class_name, text, &attrs))
        fail_msg("%s", tlvk__fail_text());
    return attrs;
}

static void refuse(const char *class_name, const char *text, const char *word) {
    any_attrs attrs;
    assert_int_not_equal(parse(class_name, text, &attrs), TLVK_OK);
    if (!strstr(tlvk__fail_text(), word))
        fail_msg("\"%s\" lacks \"%s\"", tlvk__fail_text(), word);
}

/* The config that is written; the text must be what is left of it without the keys that every such layer has. */
static void expect_written(const char *class_name, const any_attrs *attrs, const char *expected) {
    tlvk__config_place at = {"test.h5", "layer", class_name, 2};
    json_t *config = json_pack("{s:b}", "trainable", true);
    assert_int_equal(tlvk__attrs_to_json(&at, tlvk__op_find(class_name), attrs->bytes, config), TLVK_OK);
    json_object_del(config, "seed");
    char *text = json_dumps(config, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(9)), *c = text;
    for (; *c; c++)
        if (*c == '"')
            *c = '\'';
    assert_string_equal(text, expected);
    free(text);
    json_decref(config);
}

static void expect_pair(const float pair[2], double first, double second) {
    assert_true(pair[0] == (float)first && pair[1] == (float)second);
}

static void configs_of_factors(void **state) {
    (void)state;
    any_attrs a = read("RandomRotation", "{'factor': 0.1, 'fill_mode': 'wrap', 'fill_value': 2, 'interpolation': 'nearest', 'seed': 5, 'rng_type': 'stateful'}");
    expect_pair(a.affine.height_factor, -0.1, 0.1);
    assert_true(a.affine.fill_mode == 1 && a.affine.interpolation == 1 && a.affine.fill_value == 2);
    expect_written("RandomRotation", &a, "{'factor':[-0.1,0.1],'fill_mode':'wrap','fill_value':2.0,'interpolation':'nearest','trainable':true}");
    a = read("RandomRotation", "{'factor': [0.3, -0.2], 'seed': {'class_name': 'SeedGenerator', 'config': {}}, 'data_format': 'channels_last'}");
    expect_pair(a.affine.height_factor, -0.2, 0.3);
    a = read("RandomZoom", "{'height_factor': -0.25, 'width_factor': null}");
    expect_pair(a.affine.height_factor, -0.25, 0.25);
    assert_true(isnan(a.affine.width_factor[0]));
    expect_written("RandomZoom", &a,
                   "{'fill_mode':'reflect','fill_value':0.0,'height_factor':[-0.25,0.25],'interpolation':'bilinear','trainable':true,'width_factor':null}");
    a = read("RandomFlip", "{'mode': 'vertical'}");
    assert_int_equal(a.flip.mode, TLVK_FLIP_VERTICAL);
    assert_int_equal(read("RandomFlip", "{}").flip.mode, TLVK_FLIP_HORIZONTAL_AND_VERTICAL);
    /* A single number is both bounds, and the bounds stand as the file has them; the range of values is written where tf_keras's is not meant. */
    a = read("RandomContrast", "{'factor': 0.2}");
    expect_pair(a.color.factor, 0.2, 0.2);
    expect_pair(a.color.value_range, 0, 255);
    expect_written("RandomContrast", &a, "{'factor':[0.2,0.2],'trainable':true}");
    a = read("RandomContrast", "{'factor': [0.3, 0.1], 'value_range': [0, 1]}");
    expect_pair(a.color.factor, 0.3, 0.1);
    expect_written("RandomContrast", &a, "{'factor':[0.3,0.1],'trainable':true,'value_range':[0.0,1.0]}");
    a = read("RandomBrightness", "{'factor': [0.1, -0.4]}");
    expect_pair(a.color.factor, -0.4, 0.1);
}

static void configs_of_the_others(void **state) {
    (void)state;
    any_attrs a = read("Normalization", "{'axis': [3], 'mean': [0.5, 1, 2], 'variance': [1, 2, 3], 'invert': true}");
    assert_true(a.normalization.axis == 3 && a.normalization.invert && a.normalization.mean.count == 3 && a.normalization.variance.v[2] == 3);
    expect_written("Normalization", &a, "{'axis':3,'invert':true,'mean':[0.5,1.0,2.0],'trainable':true,'variance':[1.0,2.0,3.0]}");
    a = read("Normalization", "{'axis': -1, 'mean': null, 'variance': null}");
    assert_int_equal(a.normalization.mean.count, 0);
    a = read("Dropout", "{'rate': 0.2, 'noise_shape': [null, 1, 1, 1], 'seed': null}");
    assert_true(a.dropout.noise_shape.rank == 4 && a.dropout.noise_shape.dim[0] == -1 && a.dropout.noise_shape.dim[3] == 1);
    expect_written("Dropout", &a, "{'noise_shape':[null,1,1,1],'rate':0.2,'trainable':true}");
    a = read("SpatialDropout2D", "{'rate': 0.2, 'noise_shape': null, 'trainable': true}");
    expect_written("SpatialDropout2D", &a, "{'rate':0.2}"); /* Keras 3's class takes no more */
    a = read("Resizing", "{'height': 4, 'width': 5, 'crop_to_aspect_ratio': true, 'pad_to_aspect_ratio': false, 'antialias': false, 'fill_value': 0.0}");
    assert_true(a.resizing.height == 4 && a.resizing.width == 5 && a.resizing.crop_to_aspect_ratio);
}

static void refusals(void **state) {
    (void)state;
    refuse("Resizing", "{'height': 4, 'width': 5, 'pad_to_aspect_ratio': true}", "pad_to_aspect_ratio");
    refuse("Resizing", "{'height': 4, 'width': 5, 'antialias': true}", "antialias");
    refuse("Resizing", "{'height': 4, 'width': 5, 'interpolation': 'bicubic'}", "bicubic");
    refuse("RandomFlip", "{'data_format': 'channels_first'}", "channels_first");
    refuse("RandomRotation", "{'factor': [1, 2, 3]}", "factor");
    refuse("RandomRotation", "{'factor': 'much'}", "much");
    refuse("Normalization", "{'mean': [1, 2, 3, 4, 5, 6, 7, 8, 9]}", "mean");
    refuse("Normalization", "{'mean': []}", "mean");
    refuse("Normalization", "{'axis': [1, 2]}", "axis");
    static const struct { const char *class_name, *config; tlvk__shape x; const char *word; } shapes[] = {
        {"RandomRotation", "{}", {4, {2, 4, 4, 3}}, "factor"}, {"RandomRotation", "{'factor': 1.5}", {4, {2, 4, 4, 3}}, "1.5"},
        {"RandomRotation", "{'factor': 0.5}", {2, {2, 4}}, "images"}, {"RandomZoom", "{'height_factor': [-1, 0]}", {4, {2, 4, 4, 3}}, "height_factor"},
        {"RandomContrast", "{'factor': [1.5, 0]}", {4, {2, 4, 4, 3}}, "factor"}, {"RandomCrop", "{'height': 4}", {4, {2, 4, 4, 3}}, "width"},
        {"Normalization", "{'mean': [1, 2], 'variance': [1, 2]}", {4, {2, 4, 4, 3}}, "mean"}, {"Normalization", "{'mean': 1}", {2, {2, 4}}, "variance"},
        {"Normalization", "{'axis': 1}", {4, {2, 4, 4, 3}}, "axis 1"}, {"Normalization", "{'mean': 1, 'variance': -1}", {2, {2, 4}}, "negative"},
        {"Dropout", "{'rate': 0.5, 'noise_shape': [null, 2, 1, 1]}", {4, {2, 4, 4, 3}}, "noise shape"},
        {"Dropout", "{'noise_shape': [null, 1]}", {4, {2, 4, 4, 3}}, "noise shape"},
        {"Rescaling", "{'scale': [1, 2]}", {4, {2, 4, 4, 3}}, "scale"},
        {"LayerScale", "{'init_values': 1, 'projection_dim': 4}", {4, {2, 4, 4, 3}}, "projection_dim"},
    };
    for (size_t i = 0; i < TLVK__COUNT(shapes); i++) {
        any_attrs a = read(shapes[i].class_name, shapes[i].config);
        tlvk__shape y;
        assert_int_not_equal(tlvk__op_find(shapes[i].class_name)->shape(a.bytes, 1, &shapes[i].x, &y), TLVK_OK);
        if (!strstr(tlvk__fail_text(), shapes[i].word))
            fail_msg("\"%s\" lacks \"%s\"", tlvk__fail_text(), shapes[i].word);
    }
}

/* --- draws -------------------------------------------------------------------------------------------------------------------------------------- */

#define SAMPLES 64
#define STEPS 64
#define DRAWS (SAMPLES * STEPS)

static double drawn[DRAWS];

/* The first number of each sample's result in many steps, for a picture whose pixels are all `value`. */
static void collect(const char *class_name, const any_attrs *a, double value) {
    static double x[SAMPLES * 4], y[SAMPLES * 4];
    const tlvk__op *op = tlvk__op_find(class_name);
    for (int i = 0; i < SAMPLES * 4; i++)
        x[i] = i % 4 == 0 ? value : 0; /* 2 x 2 pixels of one channel: one of `value`, so that there is contrast */
    tlvk__ref_tensor from = {.shape = {4, {SAMPLES, 2, 2, 1}}, .v = x}, to = {.shape = from.shape, .v = y};
    for (uint32_t step = 0; step < STEPS; step++) {
        tlvk__step_params p = {.seed = {11, 12}, .step = {step, 0}};
        tlvk__ref_call call = {.attrs = a->bytes, .training = true, .stream = 2, .step = &p, .inputs = 1, .x = {&from}, .y = &to};
        assert_int_equal(op->reference_forward(&call), TLVK_OK);
        for (int i = 0; i < SAMPLES; i++)
            drawn[step * SAMPLES + (uint32_t)i] = y[4 * i];
    }
}

/* Uniform between lower and upper: all within, mean and spread within five standard errors (of a variance: sqrt((m4 - s^4) / n), m4 = 9/5 s^4). */
static void expect_uniform(double lower, double upper) {
    double mean = 0, variance = 0, width = upper - lower;
    for (int i = 0; i < DRAWS; i++) {
        assert_true(drawn[i] >= lower - 1e-5 * width && drawn[i] <= upper + 1e-5 * width);
        mean += drawn[i] / DRAWS;
    }
    for (int i = 0; i < DRAWS; i++)
        variance += (drawn[i] - mean) * (drawn[i] - mean) / DRAWS;
    assert_true(fabs(mean - (lower + upper) / 2) < 5 * width / sqrt(12.0 * DRAWS));
    assert_true(fabs(variance - width * width / 12) < 5 * width * width / 12 * sqrt(0.8 / DRAWS));
}

static void ranges_of_draws(void **state) {
    (void)state;
    any_attrs a = read("RandomBrightness", "{'factor': [-0.2, 0.4], 'value_range': [-100, 100]}");
    collect("RandomBrightness", &a, 3);
    expect_uniform(3 - 0.2 * 200, 3 + 0.4 * 200);
    a = read("RandomContrast", "{'factor': [0.5, 0.25], 'value_range': [-100, 100]}");
    collect("RandomContrast", &a, 4); /* mean 1: 1 + 3 f */
    expect_uniform(1 + 3 * 0.5, 1 + 3 * 1.25);
    a = read("RandomFlip", "{'mode': 'horizontal'}");
    collect("RandomFlip", &a, 1);
    double kept = 0;
    for (int i = 0; i < DRAWS; i++)
        kept += drawn[i] / DRAWS;
    assert_true(fabs(kept - 0.5) < 5 * 0.5 / sqrt(DRAWS));
    any_attrs noise;
    memset(&noise, 0, sizeof noise);
    memcpy(noise.bytes, &(tlvk__gaussian_attrs){2}, sizeof(tlvk__gaussian_attrs));
    collect("GaussianNoise", &noise, 5);
    double mean = 0, variance = 0, fourth = 0;
    for (int i = 0; i < DRAWS; i++)
        mean += drawn[i] / DRAWS;
    for (int i = 0; i < DRAWS; i++) {
        variance += pow(drawn[i] - mean, 2) / DRAWS;
        fourth += pow(drawn[i] - mean, 4) / DRAWS;
    }
    assert_true(fabs(mean - 5) < 5 * 2 / sqrt(DRAWS));
    assert_true(fabs(variance - 4) < 5 * 4 * sqrt(2.0 / DRAWS));
    assert_true(fabs(fourth / (variance * variance) - 3) < 5 * sqrt(24.0 / DRAWS)); /* a normal number's kurtosis */
}

/* Other samples, steps, streams, seeds and numbers of a block have nothing to do with each other. */
static void draws_are_independent(void **state) {
    (void)state;
    static const struct { uint32_t seed, stream, step; int64_t sample; int word; } others[] = {
        {1, 0, 0, 0, 1}, {1, 0, 0, 1, 0}, {1, 0, 1, 0, 0}, {1, 1, 0, 0, 0}, {2, 0, 0, 0, 0}};
    for (size_t k = 0; k < TLVK__COUNT(others); k++) {
        double product = 0;
        for (uint32_t i = 0; i < DRAWS; i++) {
            tlvk__step_params p = {.seed = {1, 0}, .step = {3 * i, 0}}, q = {.seed = {others[k].seed, 0}, .step = {3 * i + others[k].step, 0}};
            double u = (double)tlvk__picture_draws(&p, 5, 7).u[0];
            double v = (double)tlvk__picture_draws(&q, 5 + others[k].stream, 7 + others[k].sample).u[others[k].word];
            product += (u - 0.5) * (v - 0.5) * 12 / DRAWS;
        }
        assert_true(fabs(product) < 5 / sqrt(DRAWS));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(configs_of_factors), cmocka_unit_test(configs_of_the_others), cmocka_unit_test(refusals),
                                       cmocka_unit_test(ranges_of_draws), cmocka_unit_test(draws_are_independent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
