/* test_weights.c - Keras HDF5 files: round trips to the byte, the odd forms that old files have, full disks, and hostile files. */
#define _POSIX_C_SOURCE 200809L

#include "core/platform.h"
#include "weights/weights.h"

#include <hdf5.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#include "support/weights.h"

static int hdf5_complaints;

static herr_t count_complaint(hid_t stack, void *user) {
    (void)stack, (void)user;
    hdf5_complaints++;
    return 0;
}

static int open_context(void **state) {
    (void)state;
    H5Eset_auto2(H5E_DEFAULT, count_complaint, NULL);
    return tlvk_context_create(&(tlvk_context_desc){.cache_folder = ""}, &ctx) != TLVK_OK;
}

static int close_context(void **state) {
    (void)state;
    tlvk_context_destroy(ctx);
    return 0;
}

static void round_trip(void **state) {
    (void)state;
    tlvk_model *base, *m = make_model(&base), *again;
    number_weights(m);
    const char *names[] = {"cat", "d\xC3\xB6g", "a \"quoted\" one", "\xFF"};
    assert_ok(tlvk_model_set_usage(m, &(tlvk_usage){TLVK_PREPROCESS_TF, TLVK_GRAYSCALE, TLVK_NEAREST, 4, names}));
    char *path = temp_path("round_trip.h5"), *second = temp_path("round_trip_2.h5");
    assert_ok(tlvk_model_save(m, path));
    assert_ok(tlvk_model_load(ctx, path, &again));
    assert_equal_weights(m, again);
    assert_string_equal(tlvk_model_name(m), tlvk_model_name(again));
    assert_int_equal(tlvk_model_layer_count(again), tlvk_model_layer_count(m));
    assert_int_equal(again->outputs[0].node->inputs[0].node->inputs[0].node->inputs[0].node->mode, TLVK_CALL_INFERENCE);
    tlvk_usage usage;
    tlvk_model_usage(again, &usage);
    assert_true(usage.preprocess == TLVK_PREPROCESS_TF && usage.color_mode == TLVK_GRAYSCALE && usage.resize == TLVK_NEAREST && usage.class_count == 4);
    assert_string_equal(usage.class_names[1], names[1]);
    assert_string_equal(usage.class_names[2], names[2]);
    assert_string_equal(usage.class_names[3], "class 3"); /* not UTF-8 */
    assert_ok(tlvk_model_save(again, second));
    tlvk__h5_content *one, *two;
    assert_ok(tlvk__h5_read(path, &one));
    assert_ok(tlvk__h5_read(second, &two));
    assert_string_equal(one->model_config, two->model_config);
    assert_string_equal(one->layers[1].weights[3].path, two->layers[1].weights[3].path);
    tlvk__h5_free(one);
    tlvk__h5_free(two);
    tlvk_model_destroy(again);
    tlvk_model_destroy(m);
    tlvk_model_destroy(base);
    free(path);
    free(second);
}

/* Whichever layers are frozen, what was written is read into the same places. */
/* The training_config of `model` as saved; "" where none was written. The caller frees. */
static char *saved_training_config(tlvk_model *model) {
    char *path = temp_path("compiled.h5");
    tlvk__h5_content *content = NULL;
    assert_ok(tlvk_model_save(model, path));
    assert_ok(tlvk__h5_read(path, &content));
    char *text = tlvk__strdup(content->training_config ? content->training_config : "");
    tlvk__h5_free(content);
    free(path);
    return text;
}

static void compile_settings_are_saved(void **state) {
    (void)state;
    static const struct { tlvk_compile_desc desc; const char *words[3]; } cases[] = {
        {{.optimizer = {.learning_rate = 0.25f, .clipnorm = 2}, .loss = {.kind = TLVK_BINARY_CROSSENTROPY}}, {"\"Adam\"", "\"binary_crossentropy\"", "\"clipnorm\": 2.0"}},
        {{.optimizer = {.kind = TLVK_SGD, .nesterov = true, .momentum = 0.5f}, .loss = {.kind = TLVK_CATEGORICAL_CROSSENTROPY, .label_smoothing = 0.125f}},
         {"\"SGD\"", "\"CategoricalCrossentropy\"", "\"label_smoothing\": 0.125"}},
        {{.optimizer = {.kind = TLVK_RMSPROP}, .loss = {.kind = TLVK_MEAN_SQUARED_ERROR}}, {"\"RMSprop\"", "\"rho\"", "\"centered\": false"}},
    };
    tlvk_model *base, *model = make_model(&base);
    for (size_t i = 0; i < TLVK__COUNT(cases); i++) {
        assert_ok(tlvk_model_compile(model, &cases[i].desc));
        char *text = saved_training_config(model);
        for (int k = 0; k < 3; k++)
            if (!strstr(text, cases[i].words[k]))
                fail_msg("%s lacks %s", text, cases[i].words[k]);
        free(text);
    }
    /* What only one Keras would read is left out. */
    assert_ok(tlvk_model_compile(model, &(tlvk_compile_desc){.optimizer = {.kind = TLVK_ADAMW}, .loss = {.kind = TLVK_MEAN_SQUARED_ERROR}}));
    char *text = saved_training_config(model);
    assert_string_equal(text, "");
    free(text);
    tlvk_model_destroy(model);
    tlvk_model_destroy(base);
}

static void partly_frozen_models(void **state) {
    (void)state;
    char *path = temp_path("frozen.h5"), *weights = temp_path("frozen_weights.h5");
    for (int frozen = 0; frozen < 16; frozen++) {
        tlvk_model *base, *m = make_model(&base), *again, *other_base, *other = make_model(&other_base);
        number_weights(m);
        static const int layers[4] = {1, 2, 4, 5}; /* both convolutions and both BatchNormalizations */
        for (int i = 0; i < 4; i++)
            tlvk_layer_set_trainable(tlvk_model_layer(base, layers[i]), !(frozen >> i & 1));
        assert_ok(tlvk_model_save(m, path));
        tlvk__h5_content *content;
        assert_ok(tlvk__h5_read(path, &content));
        /* trainable first, as Keras writes it */
        assert_string_equal(content->layers[1].name, "base");
        const char *first = content->layers[1].weights[0].path;
        bool batch_norm_first = (frozen & 3) == 1 || (frozen & 15) == 7;
        assert_non_null(strstr(first, batch_norm_first ? "gamma" : "kernel"));
        tlvk__h5_free(content);
        assert_ok(tlvk_model_load(ctx, path, &again));
        assert_equal_weights(m, again);
        /* Weights alone do not say what was frozen: names and shapes tell here. */
        assert_ok(tlvk_model_save_weights(m, weights));
        if (frozen == 0 || frozen == 15) {
            assert_ok(tlvk_model_load_weights(other, weights, TLVK_BY_ORDER));
            assert_equal_weights(m, other);
        }
        tlvk_model_destroy(again);
        tlvk_model_destroy(other);
        tlvk_model_destroy(other_base);
        tlvk_model_destroy(m);
        tlvk_model_destroy(base);
    }
    free(path);
    free(weights);
}

static void weights_by_order_and_by_name(void **state) {
    (void)state;
    char *path = temp_path("weights.h5");
    tlvk_model *a = make_base("a"), *b = make_base("b"), *m, *narrow;
    number_weights(a);
    assert_ok(tlvk_model_save_weights(a, path));
    assert_ok(tlvk_model_load_weights(b, path, TLVK_BY_ORDER));
    assert_equal_weights(a, b);
    assert_fails(tlvk_model_load_weights(b, path, TLVK_BY_NAME), TLVK_ERROR_ARGUMENT, "none of its");
    assert_ok(tlvk_model_load_weights(a, path, TLVK_BY_NAME));
    assert_fails(tlvk_model_load(ctx, path, &m), TLVK_ERROR_FORMAT, "weights alone");
    assert_null(m);

    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){.shape = {8, 8, 3}});
    tlvk_tensor x = tlvk_conv2d(in, &(tlvk_conv2d_desc){.name = "wide", .filters = 5, .kernel_size = {3, 3}});
    assert_ok(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {in}, .outputs = {x}}, &narrow));
    assert_fails(tlvk_model_load_weights(narrow, path, TLVK_BY_ORDER), TLVK_ERROR_ARGUMENT, "it has 4 layers with weights, the model");
    for (int i = 0; i < 3; i++)
        x = tlvk_batch_normalization(x, NULL);
    assert_ok(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {in}, .outputs = {x}}, &m));
    tlvk__variable *v[MAX_VARIABLES];
    tlvk__model_variables(m, v, NULL, MAX_VARIABLES);
    uint64_t version = v[0]->version;
    assert_fails(tlvk_model_load_weights(m, path, TLVK_BY_ORDER), TLVK_ERROR_ARGUMENT, "'wide' in the model");
    assert_non_null(strstr(tlvk_last_error(ctx), "(3, 3, 3, 4)"));
    assert_non_null(strstr(tlvk_last_error(ctx), "(3, 3, 3, 5)"));
    assert_non_null(strstr(tlvk_last_error(ctx), path));
    assert_true(v[0]->version == version); /* all or nothing */
    tlvk_model_destroy(m);
    tlvk_model_destroy(narrow);
    tlvk_model_destroy(a);
    tlvk_model_destroy(b);
    free(path);
}

static void names_and_places_refused(void **state) {
    (void)state;
    tlvk_model *a = make_base("a"), *m;
    char *missing = temp_path("there/is/no/such.h5"), *folder = temp_path("folder.h5"), *file = temp_path("some.h5");
    assert_fails(tlvk_model_save_weights(a, "x.keras"), TLVK_ERROR_ARGUMENT, ".keras is a whole model");
    assert_fails(tlvk_model_save(a, "x.onnx"), TLVK_ERROR_UNSUPPORTED, ".keras, .h5 and .hdf5");
    assert_fails(tlvk_model_save(a, ".h5"), TLVK_ERROR_UNSUPPORTED, ".keras, .h5 and .hdf5");
    assert_fails(tlvk_model_save(a, "x.weights.h5"), TLVK_ERROR_ARGUMENT, "weights alone");
    assert_fails(tlvk_model_save(a, missing), TLVK_ERROR_FILE, "such.h5");
    assert_fails(tlvk_model_save(a, NULL), TLVK_ERROR_ARGUMENT, "NULL");
    assert_int_equal(tlvk_model_save(NULL, "x.h5"), TLVK_ERROR_ARGUMENT);
    assert_fails(tlvk_model_load(ctx, missing, &m), TLVK_ERROR_FILE, "such.h5");
    assert_ok(tlvk__make_folders(folder));
    assert_fails(tlvk_model_load(ctx, folder, &m), TLVK_ERROR_FILE, "folder");
    assert_fails(tlvk_model_save(a, folder), TLVK_ERROR_FILE, "folder.h5");
    static const struct { const char *bytes; size_t size; const char *words; } files[] = {
        {"", 0, "empty"}, {"PK\003\004rest", 8, "zip"}, {"GIF89a and more", 15, "47 49 46 38 39 61 20 61"}, {"a", 1, "begins with 61"},
        {"\x89HDF\r\n\x1A\n and nothing more", 25, "damaged or truncated"},
    };
    for (size_t i = 0; i < TLVK__COUNT(files); i++) {
        assert_ok(tlvk__file_replace(file, files[i].bytes, files[i].size));
        assert_fails(tlvk_model_load(ctx, file, &m), TLVK_ERROR_FORMAT, files[i].words);
        assert_non_null(strstr(tlvk_last_error(ctx), "some.h5"));
    }
    static const char shards[] = "{\"metadata\": {}, \"weight_map\": {}}";
    assert_ok(tlvk__file_replace(file, shards, sizeof shards - 1));
    assert_fails(tlvk_model_load(ctx, file, &m), TLVK_ERROR_UNSUPPORTED, "several files");
    assert_fails(tlvk_model_load(ctx, NULL, &m), TLVK_ERROR_ARGUMENT, "NULL");
    tlvk_model_destroy(a);
    free(missing);
    free(folder);
    free(file);
}

/* --- files made by hand --- */

typedef enum text_form { FIXED, FIXED_SPACES, VARIABLE, VARIABLE_UTF8 } text_form;

static void put_texts(hid_t place, const char *key, const char *const *texts, int count, text_form form, bool scalar) {
    hsize_t n = (hsize_t)count;
    hid_t type = H5Tcopy(H5T_C_S1), space = scalar ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &n, NULL);
    char cells[8][64];
    memset(cells, form == FIXED_SPACES ? ' ' : 0, sizeof cells);
    for (int i = 0; i < count && form <= FIXED_SPACES; i++)
        memcpy(cells[i], texts[i], strlen(texts[i]));
    H5Tset_size(type, form <= FIXED_SPACES ? sizeof cells[0] : H5T_VARIABLE);
    H5Tset_strpad(type, form == FIXED_SPACES ? H5T_STR_SPACEPAD : form == FIXED ? H5T_STR_NULLPAD : H5T_STR_NULLTERM);
    H5Tset_cset(type, form == VARIABLE_UTF8 ? H5T_CSET_UTF8 : H5T_CSET_ASCII);
    hid_t a = H5Acreate2(place, key, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(a, type, form <= FIXED_SPACES ? (const void *)cells : (const void *)texts) >= 0);
    H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
}

static void put_empty(hid_t place, const char *key) { /* h5py's array of nothing: 0 float64 */
    hsize_t n = 0;
    hid_t space = H5Screate_simple(1, &n, NULL), a = H5Acreate2(place, key, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Aclose(a);
    H5Sclose(space);
}

static hid_t make_group(hid_t place, const char *name) {
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    hid_t group = H5Lexists(place, name, H5P_DEFAULT) > 0 ? H5Gopen2(place, name, H5P_DEFAULT) : H5Gcreate2(place, name, links, H5P_DEFAULT, H5P_DEFAULT);
    H5Pclose(links);
    assert_true(group >= 0);
    return group;
}

/* Values 0, 1, 2, ... in the file's type. */
static void put_array(hid_t group, const char *name, hid_t type, int rank, const hsize_t *dims) {
    float values[512];
    for (int i = 0; i < 512; i++)
        values[i] = (float)i;
    hid_t links = H5Pcreate(H5P_LINK_CREATE), space = rank ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
    H5Pset_create_intermediate_group(links, 1);
    hid_t d = H5Dcreate2(group, name, type, space, links, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(d >= 0 && H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(d);
    H5Sclose(space);
    H5Pclose(links);
}

static hid_t make_file(const char *path) {
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static hid_t half_type(void) {
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 15);
    return type;
}

static void odd_forms(void **state) {
    (void)state;
    char *path = temp_path("odd.h5");
    hid_t file = make_file(path), half = half_type();
    /* split lists; layers whose names nest; every kind of text; no keras_version */
    put_texts(file, "layer_names0", (const char *const[]){"fire2/squeeze", "relu"}, 2, FIXED, false);
    put_texts(file, "layer_names1", (const char *const[]){"fire2/expand", "scalars"}, 2, VARIABLE_UTF8, false);
    hid_t squeeze = make_group(file, "fire2/squeeze"), relu = make_group(file, "relu"), expand = make_group(file, "fire2/expand"), scalars = make_group(file, "scalars");
    put_texts(squeeze, "weight_names", (const char *const[]){"fire2/squeeze_3/kernel:0", "b"}, 2, VARIABLE, false);
    put_array(squeeze, "fire2/squeeze_3/kernel:0", H5T_IEEE_F32BE, 4, (hsize_t[]){1, 2, 3, 4});
    put_array(squeeze, "b", H5T_IEEE_F64LE, 1, (hsize_t[]){4});
    put_empty(relu, "weight_names");
    put_texts(expand, "weight_names0", (const char *const[]){"h"}, 1, FIXED_SPACES, false);
    put_texts(expand, "weight_names1", (const char *const[]){"i"}, 1, FIXED, false);
    put_array(expand, "h", half, 2, (hsize_t[]){3, 5});
    put_array(expand, "i", H5T_STD_I16LE, 1, (hsize_t[]){7});
    put_texts(scalars, "weight_names", (const char *const[]){"s", "none"}, 2, FIXED, false);
    put_array(scalars, "s", H5T_IEEE_F32LE, 0, NULL);
    put_array(scalars, "none", H5T_IEEE_F32LE, 2, (hsize_t[]){0, 9});
    put_texts(file, "backend", (const char *const[]){"theano"}, 1, VARIABLE, false);
    H5Gclose(squeeze), H5Gclose(relu), H5Gclose(expand), H5Gclose(scalars), H5Tclose(half), H5Fclose(file);

    tlvk__h5_content *c;
    assert_ok(tlvk__h5_read(path, &c));
    assert_string_equal(c->keras_version, "1");
    assert_string_equal(c->backend, "theano");
    assert_null(c->model_config);
    assert_null(c->usage);
    assert_int_equal(c->layer_count, 4);
    assert_string_equal(c->layers[2].name, "fire2/expand");
    assert_int_equal(c->layers[1].weight_count, 0);
    const tlvk__h5_array *kernel = &c->layers[0].weights[0], *h = &c->layers[2].weights[0], *i = &c->layers[2].weights[1];
    assert_string_equal(kernel->path, "fire2/squeeze_3/kernel:0");
    assert_true(kernel->shape.rank == 4 && kernel->shape.dim[3] == 4 && kernel->elements == 24 && kernel->values[23] == 23);
    assert_true(c->layers[0].weights[1].values[3] == 3);
    assert_string_equal(h->path, "h");
    assert_true(h->elements == 15 && h->values[14] == 14 && i->elements == 7 && i->values[6] == 6);
    assert_true(c->layers[3].weights[0].elements == 1 && c->layers[3].weights[0].shape.rank == 0 && c->layers[3].weights[1].elements == 0);
    tlvk__h5_free(c);
    free(path);
}

/* A list of names longer than an object header, which we and Keras split. */
static void long_lists_are_split(void **state) {
    (void)state;
    char *path = temp_path("long.h5"), *name = tlvk__calloc(3001, 1);
    memset(name, 'n', 3000);
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){.shape = {4}}), x = in;
    for (int i = 0; i < 50; i++) {
        name[i] = 'm';
        x = tlvk_dense(x, &(tlvk_dense_desc){.name = name, .units = 4});
    }
    tlvk_model *m, *again;
    assert_ok(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {in}, .outputs = {x}}, &m));
    assert_ok(tlvk_model_save(m, path));
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), weights = H5Gopen2(file, "model_weights", H5P_DEFAULT);
    assert_true(H5Aexists(weights, "layer_names") == 0 && H5Aexists(weights, "layer_names0") > 0 && H5Aexists(weights, "layer_names2") > 0);
    H5Gclose(weights);
    H5Fclose(file);
    assert_ok(tlvk_model_load(ctx, path, &again));
    assert_equal_weights(m, again);
    tlvk_model_destroy(m);
    tlvk_model_destroy(again);
    free(name);
    free(path);
}

/* --- bad files --- */

static void refuse_file(const char *path, tlvk_status expected, const char *words) {
    tlvk__h5_content *c;
    tlvk_status status = tlvk__h5_read(path, &c);
    if (status != expected || !strstr(tlvk__fail_text(), words))
        fail_msg("status %d (expected %d): \"%s\" lacks \"%s\"", status, expected, tlvk__fail_text(), words);
    assert_null(c);
}

/* A weights file of one layer 'a' whose weight 'w' the caller makes. */
static hid_t one_weight(const char *path, hid_t *group) {
    hid_t file = make_file(path);
    put_texts(file, "layer_names", (const char *const[]){"a"}, 1, FIXED, false);
    *group = make_group(file, "a");
    put_texts(*group, "weight_names", (const char *const[]){"w"}, 1, FIXED, false);
    return file;
}

static void lies_and_ways_out(void **state) {
    (void)state;
    char *path = temp_path("bad.h5"), *other = temp_path("other.h5");
    hid_t group, file = one_weight(path, &group);
    H5Gclose(group), H5Fclose(file);
    refuse_file(path, TLVK_ERROR_FORMAT, "weight 'w' of layer 'a' is listed, but there is no such dataset");

    /* 10^12 values that take no room in the file, as chunks never written do */
    file = one_weight(path, &group);
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(2, (hsize_t[]){1000000, 1000000}, NULL);
    H5Pset_chunk(creation, 2, (hsize_t[]){16, 16});
    H5Dclose(H5Dcreate2(group, "w", H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Sclose(space), H5Pclose(creation), H5Gclose(group), H5Fclose(file);
    refuse_file(path, TLVK_ERROR_FORMAT, "which a file of");

    /* values in another file, by raw storage and by link */
    file = one_weight(path, &group);
    creation = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, (hsize_t[]){4}, NULL);
    H5Pset_external(creation, "/etc/passwd", 0, 16);
    H5Dclose(H5Dcreate2(group, "w", H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Sclose(space), H5Pclose(creation), H5Gclose(group), H5Fclose(file);
    refuse_file(path, TLVK_ERROR_FORMAT, "outside the file");
    file = one_weight(other, &group);
    put_array(group, "w", H5T_IEEE_F32LE, 1, (hsize_t[]){4});
    H5Gclose(group), H5Fclose(file);
    file = one_weight(path, &group);
    H5Lcreate_external(other, "/a/w", group, "w", H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group), H5Fclose(file);
    refuse_file(path, TLVK_ERROR_FORMAT, "no such dataset");

    file = one_weight(path, &group);
    put_texts(group, "w_text", (const char *const[]){"x"}, 1, FIXED, true);
    hid_t text = H5Tcopy(H5T_C_S1), scalar = H5Screate(H5S_SCALAR);
    H5Dclose(H5Dcreate2(group, "w", text, scalar, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(scalar), H5Tclose(text), H5Gclose(group), H5Fclose(file);
    refuse_file(path, TLVK_ERROR_FORMAT, "no numbers");

    file = make_file(path);
    H5Fclose(file);
    refuse_file(path, TLVK_ERROR_FORMAT, "no attribute 'layer_names'");
    free(path);
    free(other);
}

/* HDF5's own printing of errors: quiet while we work, and afterwards as the program had set it. */
static void hdf5_printing_is_given_back(void **state) {
    (void)state;
    H5E_auto2_t function;
    void *data;
    tlvk_model *a = make_base("a"), *m;
    char *missing = temp_path("there/is/no/such.h5");
    int before = hdf5_complaints;
    assert_int_equal(tlvk_model_save(a, missing), TLVK_ERROR_FILE);
    assert_int_equal(tlvk_model_load(ctx, missing, &m), TLVK_ERROR_FILE);
    assert_int_equal(hdf5_complaints, before);
    H5Eget_auto2(H5E_DEFAULT, &function, &data);
    assert_true(function == count_complaint);
    tlvk_model_destroy(a);
    free(missing);
}

static tlvk_status never_ends(void *user, FILE *out) {
    (void)out;
    tlvk__guard_limit_seconds(1);
    for (volatile int *turning = user; *turning;)
        continue;
    return TLVK_OK;
}

/* libhdf5 1.10.8 turns in a circle over some damaged heaps (one mutated file in about 1,500). */
static void a_reader_that_never_ends_is_ended(void **state) {
    (void)state;
    int turning = 1;
    void *result;
    size_t size;
    assert_int_equal(tlvk__run_guarded(never_ends, &turning, &result, &size), TLVK_ERROR_FORMAT);
    assert_non_null(strstr(tlvk__fail_text(), "CPU time"));
}

static void *whole_file(const char *path, size_t *size) {
    void *bytes;
    assert_ok(tlvk__file_read(path, &bytes, size, (size_t)1 << 30));
    return bytes;
}

static char *small_file(void) {
    char *path = temp_path("small.h5");
    tlvk_model *base, *m = make_model(&base);
    assert_ok(tlvk_model_save(m, path));
    tlvk_model_destroy(m);
    tlvk_model_destroy(base);
    return path;
}

/* Whatever the bytes: a model, or an error that names the file. */
static void load_anything(const char *path) {
    tlvk_model *m;
    tlvk_status status = tlvk_model_load(ctx, path, &m);
    if (status && status != TLVK_ERROR_FORMAT && status != TLVK_ERROR_UNSUPPORTED)
        fail_msg("status %d: %s", status, tlvk_last_error(ctx));
    if (status && !strstr(tlvk_last_error(ctx), path))
        fail_msg("the file's name is missing: %s", tlvk_last_error(ctx));
    tlvk_model_destroy(m);
}

/* HDF5 writes the time of creation, in seconds, unless told otherwise. */
static void bytes_do_not_tell_the_time(void **state) {
    (void)state;
    tlvk_model *base, *model = make_model(&base);
    char *path[2] = {temp_path("now.h5"), temp_path("later.h5")}, *bytes[2];
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        assert_ok(tlvk_model_save(model, path[i]));
        nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 100000000}, NULL);
        bytes[i] = whole_file(path[i], &sizes[i]);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    for (int i = 0; i < 2; i++) {
        free(bytes[i]);
        free(path[i]);
    }
    tlvk_model_destroy(model);
    tlvk_model_destroy(base);
}

static void truncated_files(void **state) {
    (void)state;
    char *path = small_file(), *cut = temp_path("cut.h5");
    size_t size;
    char *bytes = whole_file(path, &size);
    for (size_t at = 0; at < 64; at++) {
        size_t keep = at * size / 64;
        assert_ok(tlvk__file_replace(cut, bytes, keep));
        tlvk_model *m;
        assert_int_equal(tlvk_model_load(ctx, cut, &m), TLVK_ERROR_FORMAT);
        assert_non_null(strstr(tlvk_last_error(ctx), cut));
    }
    free(bytes);
    free(path);
    free(cut);
}

static void mutated_files(void **state) {
    (void)state;
    char *path = small_file(), *bad = temp_path("mutated.h5");
    size_t size;
    unsigned char *bytes = whole_file(path, &size), *copy = malloc(size);
    tlvk__rng r;
    for (uint64_t seed = 0; seed < 200; seed++) {
        tlvk__rng_seed(&r, seed, 77);
        memcpy(copy, bytes, size);
        int changes = 1 + (int)tlvk__rng_below(&r, 8);
        for (int i = 0; i < changes; i++) {
            size_t at = (size_t)tlvk__rng_below(&r, seed % 2 ? size : TLVK__MIN(size, 4096)); /* half of them where the metadata is */
            copy[at] = (unsigned char)tlvk__rng_u32(&r);
        }
        assert_ok(tlvk__file_replace(bad, copy, size));
        load_anything(bad);
    }
    free(copy);
    free(bytes);
    free(path);
    free(bad);
}

/* The disk ends in the middle of the file: the error says so, what was there before stays, nothing is left beside it. */
static void full_disk(void **state) {
    (void)state;
    char *path = temp_path("full/model.h5"), *folder = temp_path("full");
    assert_ok(tlvk__make_folders(folder));
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){.shape = {200}}), x = tlvk_dense(in, &(tlvk_dense_desc){.units = 500});
    tlvk_model *m;
    assert_ok(tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {in}, .outputs = {x}}, &m));
    assert_ok(tlvk__file_replace(path, "before", 6));
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    static const rlim_t limits[] = {0, 100, 2048, 5000, 50000, 200000, 399000};
    for (size_t i = 0; i < TLVK__COUNT(limits); i++) {
        small = (struct rlimit){limits[i], before.rlim_max};
        setrlimit(RLIMIT_FSIZE, &small);
        tlvk_status status = tlvk_model_save(m, path);
        setrlimit(RLIMIT_FSIZE, &before);
        assert_fails(status, TLVK_ERROR_FILE, "model.h5");
    }
    signal(SIGXFSZ, handler);
    size_t size, count;
    char *bytes = whole_file(path, &size);
    assert_true(size == 6 && memcmp(bytes, "before", 6) == 0);
    tlvk__dir_entry *entries;
    assert_ok(tlvk__list_folder(folder, &entries, &count));
    assert_int_equal(count, 1);
    tlvk__dir_entries_free(entries, count);
    assert_ok(tlvk_model_save(m, path));
    tlvk_model_destroy(m);
    free(bytes);
    free(path);
    free(folder);
}

/* --- real files --- */

static char *real_file(const char *name) {
    const char *data = tlvk__env("TLVK_TEST_DATA");
    char *path = tlvk__format("%s/keras/%s", data ? data : "", name);
    if (data && tlvk__is_file(path))
        return path;
    print_message("skipped: %s\n", data ? "TLVK_TEST_DATA has no such file under keras/" : "TLVK_TEST_DATA is not set");
    free(path);
    skip();
    return NULL;
}

static void teachable_machine(void **state) {
    (void)state;
    char *path = real_file("teachable_machine_a.h5"), *copy = temp_path("teachable.h5");
    tlvk_model *m, *again;
    assert_ok(tlvk_model_load(ctx, path, &m));
    assert_int_equal(m->keras_version, 2);
    assert_int_equal(tlvk_model_layer_count(m), 2);
    tlvk_layer *project = tlvk_model_find_layer(m, "expanded_conv_project");
    assert_non_null(project);
    /* The moving variance of the first BatchNormalization stands behind all trained weights of the network: positive only in its right place. */
    tlvk_layer *bn = tlvk_model_find_layer(m, "bn_Conv1");
    float variance[16];
    assert_ok(tlvk_layer_get_weight(bn, 3, variance, 16));
    for (int i = 0; i < 16; i++)
        assert_true(variance[i] >= 0);
    assert_ok(tlvk_model_save(m, copy));
    assert_ok(tlvk_model_load(ctx, copy, &again));
    tlvk__variable *a[MAX_VARIABLES], *b[MAX_VARIABLES];
    int count = tlvk__model_variables(m, a, NULL, MAX_VARIABLES);
    assert_int_equal(count, 263);
    assert_int_equal(tlvk__model_variables(again, b, NULL, MAX_VARIABLES), count);
    for (int i = 0; i < count; i++)
        assert_memory_equal(a[i]->values, b[i]->values, a[i]->elements * sizeof(float));
    tlvk_model_destroy(again);
    tlvk_model_destroy(m);
    free(copy);
    free(path);
}

static void mini_xception(void **state) {
    (void)state;
    char *path = real_file("fer2013_mini_xception.hdf5");
    tlvk_model *m;
    int64_t params;
    assert_ok(tlvk_model_load(ctx, path, &m));
    assert_ok(tlvk_model_count_params(m, &params, NULL));
    assert_int_equal(params, 58423);
    assert_non_null(m->optimizer_config);
    tlvk_model_destroy(m);
    free(path);
}

static void squeezenet_weights(void **state) {
    (void)state;
    char *path = real_file("squeezenet_notop_weights.h5");
    tlvk__h5_content *c;
    assert_ok(tlvk__h5_read(path, &c));
    assert_string_equal(c->keras_version, "2.0.0");
    assert_int_equal(c->layer_count, 62);
    int64_t params = 0;
    for (int i = 0; i < c->layer_count; i++)
        for (int k = 0; k < c->layers[i].weight_count; k++)
            params += (int64_t)c->layers[i].weights[k].elements;
    assert_int_equal(params, 722496);
    tlvk__h5_free(c);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(compile_settings_are_saved), cmocka_unit_test(bytes_do_not_tell_the_time),
        cmocka_unit_test(partly_frozen_models), cmocka_unit_test(weights_by_order_and_by_name), cmocka_unit_test(names_and_places_refused),
        cmocka_unit_test(odd_forms), cmocka_unit_test(long_lists_are_split), cmocka_unit_test(lies_and_ways_out), cmocka_unit_test(hdf5_printing_is_given_back), cmocka_unit_test(a_reader_that_never_ends_is_ended),
        cmocka_unit_test(truncated_files),
        cmocka_unit_test(mutated_files), cmocka_unit_test(full_disk), cmocka_unit_test(teachable_machine), cmocka_unit_test(mini_xception),
        cmocka_unit_test(squeezenet_weights),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
