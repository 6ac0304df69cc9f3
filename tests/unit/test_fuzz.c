/* test_fuzz.c - damaged and hostile files of every form: whatever the bytes, a model or an error that names the file, within bounds of time and
 * memory, and nothing written anywhere.
 *
 * Half of the mutations are aimed at what describes the data: attributes, JSON, zip headers and the central directory, groups and shapes; the others
 * cut the file or change bytes anywhere. Half of the seeds are fixed, half are new in each run and told, so that a failure can be had again.
 * TLVK_FUZZ is the number of files of each form (200), TLVK_FUZZ_SEED the first of the new seeds. */
#define _POSIX_C_SOURCE 200809L

#include "core/platform.h"
#include "weights/weights.h"

#include <hdf5.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#define MAX_SECONDS 15.0 /* of processor time for one file; its reader is ended after 3 */

typedef struct bytes { unsigned char *data; size_t size, capacity; } bytes;

static tlvk_context *ctx;
static char *folder;
static uint64_t fresh_seed;
static int files_per_form;

static void assert_ok(tlvk_status status) {
    if (status)
        fail_msg("status %d: %s", status, tlvk__fail_text());
}

static char *path_of(const char *name) { return tlvk__format("%s/%s", folder, name); }

static void put(bytes *b, const void *data, size_t size) {
    unsigned char *grown = tlvk__grow(b->data, &b->capacity, b->size + size, 1);
    assert_non_null(grown);
    b->data = grown;
    if (size)
        memcpy(b->data + b->size, data, size);
    b->size += size;
}

static bytes read_bytes(const char *path) {
    void *data;
    bytes b = {0};
    assert_ok(tlvk__file_read(path, &data, &b.size, (size_t)1 << 30));
    b.data = data;
    b.capacity = b.size;
    return b;
}

/* Without waiting for the disk, as tlvk__file_replace would. */
static void write_bytes(const char *path, const bytes *b) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(b->size ? fwrite(b->data, 1, b->size, f) : 0, b->size);
    assert_int_equal(fclose(f), 0);
}

/* Processor time of this process and of those it started, in seconds. */
static double processor_seconds(void) {
    struct rusage use[2];
    getrusage(RUSAGE_SELF, &use[0]);
    getrusage(RUSAGE_CHILDREN, &use[1]);
    double seconds = 0;
    for (int i = 0; i < 2; i++)
        seconds += (double)(use[i].ru_utime.tv_sec + use[i].ru_stime.tv_sec) + 1e-6 * (double)(use[i].ru_utime.tv_usec + use[i].ru_stime.tv_usec);
    return seconds;
}

static int below(tlvk__rng *r, int n) { return (int)tlvk__rng_below(r, (uint64_t)n); }

/* --- the files to damage --- */

static tlvk_model *make_model(void) {
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){.shape = {8, 8, 3}}), x = in;
    x = tlvk_conv2d(x, &(tlvk_conv2d_desc){.filters = 4, .kernel_size = {3, 3}});
    x = tlvk_batch_normalization(x, NULL);
    x = tlvk_relu(x, &(tlvk_relu_desc){.max_value = 6});
    tlvk_model *base = NULL, *m = NULL;
    assert_ok(tlvk_model_create(ctx, &(tlvk_model_desc){.name = "base", .inputs = {in}, .outputs = {x}}, &base));
    tlvk_tensor i = tlvk_input(ctx, &(tlvk_input_desc){.shape = {8, 8, 3}}), y = tlvk_model_call(base, i, TLVK_CALL_INFERENCE, NULL);
    y = tlvk_dropout(tlvk_global_average_pooling2d(y, NULL), 0.2f, NULL);
    y = tlvk_dense(y, &(tlvk_dense_desc){.units = 5, .activation = TLVK_SOFTMAX, .kernel_regularizer = {.l2 = 0.01f}});
    assert_ok(tlvk_model_create(ctx, &(tlvk_model_desc){.name = "whole", .inputs = {i}, .outputs = {y}}, &m));
    const char *names[] = {"ant", "bee", "cat", "dog", "elk"};
    assert_ok(tlvk_model_set_usage(m, &(tlvk_usage){TLVK_PREPROCESS_TF, TLVK_RGB, TLVK_BILINEAR, 5, names}));
    assert_ok(tlvk_model_compile(m, &(tlvk_compile_desc){.loss = {.kind = TLVK_CATEGORICAL_CROSSENTROPY}}));
    tlvk__variable *v[64], *trained[64];
    bool trains[64];
    int count = tlvk__model_variables(m, v, trains, 64), kept = 0;
    for (int k = 0; k < count; k++)
        if (trains[k])
            trained[kept++] = v[k];
    m->optimizer_state = tlvk__optimizer_state_create(trained, kept, 2);
    tlvk_model_destroy(base);
    return m;
}

/* --- damage to bytes anywhere --- */

static void damage_bytes(tlvk__rng *r, bytes *b) {
    if (b->size == 0)
        return;
    size_t at = (size_t)tlvk__rng_below(r, b->size), length = TLVK__MIN((size_t)1 << below(r, 12), b->size - at);
    switch (below(r, 4)) {
    case 0:
        b->size = at;
        break;
    case 1:
        memset(b->data + at, below(r, 2) ? 0 : 0xFF, length);
        break;
    case 2: /* a piece of it stands elsewhere too */
        memmove(b->data + (size_t)tlvk__rng_below(r, b->size - length + 1), b->data + at, length);
        break;
    default:
        for (int i = 1 + below(r, 16); i > 0; i--)
            b->data[tlvk__rng_below(r, b->size)] = (unsigned char)tlvk__rng_u32(r);
    }
}

/* Bytes near something that HDF5 or Keras calls by name. */
static void damage_near_marks(tlvk__rng *r, bytes *b) {
    static const char *const marks[] = {"TREE", "SNOD", "HEAP", "GCOL", "OHDR", "weight_names", "layer_names", "model_config", "keras_version", "vars",
                                        "layers", "optimizer", "conv2d", "dense", "PK\x01\x02", "PK\x03\x04", "PK\x05\x06", "\x89HDF"};
    for (int tries = 0, done = 0; tries < 64 && done < 3; tries++) {
        const char *mark = marks[below(r, (int)TLVK__COUNT(marks))];
        size_t length = strlen(mark), start = b->size > length ? (size_t)tlvk__rng_below(r, b->size - length) : 0;
        for (size_t at = start; at + length <= b->size; at++)
            if (memcmp(b->data + at, mark, length) == 0) {
                size_t near = at + (size_t)below(r, 48);
                if (near < b->size)
                    b->data[near] = (unsigned char)(below(r, 2) ? tlvk__rng_u32(r) : (uint32_t)b->data[near] ^ (1u << below(r, 8)));
                done++;
                break;
            }
    }
}

/* --- damage to JSON, within its length where `fixed` --- */

static void damage_json(tlvk__rng *r, bytes *json, bool fixed) {
    static const char *const words[] = {"-1", "0", "null", "[]", "{}", "true", "1e308", "2147483648", "9223372036854775808", "\"\"", "[[[[[[[[[[", "\\u0000",
                                        "\"same\"", "0.5", "\"Functional\"", "\"../../x\"", "-9999999", "NaN", "\"input_layer\""};
    for (int i = 1 + below(r, 4); i > 0 && json->size > 16; i--) {
        const char *word = words[below(r, (int)TLVK__COUNT(words))];
        size_t length = strlen(word), at = (size_t)tlvk__rng_below(r, json->size - 12);
        while (at + 12 < json->size && !strchr(":[,", json->data[at]))
            at++;
        at++;
        size_t old = strcspn((const char *)json->data + at, ",]}");
        if (at + old > json->size)
            continue;
        if (fixed) {
            memset(json->data + at, ' ', old);
            memcpy(json->data + at, word, TLVK__MIN(old, length));
            continue;
        }
        bytes out = {0};
        put(&out, json->data, at);
        put(&out, word, length);
        put(&out, json->data + at + old, json->size - at - old);
        put(&out, "", 1);
        out.size--;
        free(json->data);
        *json = out;
    }
}

/* --- damage to the structure of an HDF5 file, by HDF5 itself --- */

typedef struct found { char names[256][160]; bool group[256]; int count; } found;

static herr_t collect(hid_t object, const char *name, const H5O_info_t *info, void *user) {
    found *f = user;
    (void)object;
    if (f->count < 256 && strlen(name) < sizeof f->names[0] && strcmp(name, ".") != 0) {
        f->group[f->count] = info->type == H5O_TYPE_GROUP;
        strcpy(f->names[f->count++], name);
    }
    return 0;
}

static void make_dataset(tlvk__rng *r, hid_t file, const char *name) {
    hsize_t dims[4], chunk[4] = {1, 1, 1, 1};
    int rank = below(r, 5);
    bool absurd = below(r, 2);
    for (int i = 0; i < rank; i++)
        dims[i] = absurd ? (hsize_t)1 << below(r, 40) : (hsize_t)below(r, 6);
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE), types[] = {H5T_NATIVE_FLOAT, H5T_NATIVE_INT64, H5T_NATIVE_DOUBLE, H5T_C_S1};
    if (rank && absurd)
        H5Pset_chunk(creation, rank, chunk);
    hid_t space = rank ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t dataset = H5Dcreate2(file, name, types[below(r, 4)], space, H5P_DEFAULT, creation, H5P_DEFAULT);
    if (dataset >= 0)
        H5Dclose(dataset);
    H5Sclose(space);
    H5Pclose(creation);
}

static void change_attribute(tlvk__rng *r, hid_t object) {
    char name[64];
    hsize_t count = (hsize_t)H5Aget_num_attrs(object);
    if (count == 0 || H5Aget_name_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, tlvk__rng_below(r, count), name, sizeof name, H5P_DEFAULT) < 0)
        return;
    H5Adelete(object, name);
    if (below(r, 3) == 0)
        return;
    hsize_t dim = (hsize_t)below(r, 5);
    hid_t type = below(r, 2) ? H5Tcopy(H5T_NATIVE_INT) : H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &dim, NULL);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void change_object(tlvk__rng *r, hid_t file, const found *f) {
    int i = below(r, f->count);
    const char *name = f->names[i];
    if (below(r, 2)) {
        hid_t object = H5Oopen(file, name, H5P_DEFAULT);
        if (object >= 0) {
            change_attribute(r, object);
            H5Oclose(object);
            return;
        }
    }
    H5Ldelete(file, name, H5P_DEFAULT);
    switch (below(r, 5)) {
    case 0: H5Lcreate_soft(f->names[below(r, f->count)], file, name, H5P_DEFAULT, H5P_DEFAULT); break;
    case 1: H5Lcreate_external("/etc/passwd", "/", file, name, H5P_DEFAULT, H5P_DEFAULT); break;
    case 2: H5Lcreate_hard(file, "/", file, name, H5P_DEFAULT, H5P_DEFAULT); break; /* a circle */
    case 3: make_dataset(r, file, name); break;
    default: break;
    }
}

static void damage_structure(tlvk__rng *r, bytes *b) {
    char *path = path_of("structure");
    write_bytes(path, b);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    found *f = tlvk__calloc(1, sizeof *f);
    assert_true(file >= 0 && f);
    H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, collect, f);
    for (int i = 1 + below(r, 3); i > 0; i--)
        change_object(r, file, f);
    change_attribute(r, below(r, 3) ? -1 : file);
    H5Fclose(file);
    free(f);
    free(b->data);
    *b = read_bytes(path);
    tlvk__file_remove(path);
    free(path);
}

static void damage_h5(tlvk__rng *r, bytes *b, bool metadata) {
    if (!metadata)
        damage_bytes(r, b);
    else if (below(r, 2))
        damage_structure(r, b);
    else
        damage_near_marks(r, b);
}

/* --- zips, made by hand so that every field can lie --- */

static uint32_t crc_of(const bytes *b) {
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < b->size; i++) {
        crc ^= b->data[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static void put_number(bytes *b, uint64_t v, int size) {
    unsigned char le[8];
    for (int i = 0; i < size; i++)
        le[i] = (unsigned char)(v >> 8 * i);
    put(b, le, (size_t)size);
}

typedef struct entry { const char *name; const bytes *content; uint64_t stated; int method, flags; uint32_t crc; uint32_t offset; } entry;

static void put_header(bytes *zip, const entry *e, bool central) {
    size_t length = strlen(e->name);
    put_number(zip, central ? 0x02014b50 : 0x04034b50, 4);
    if (central)
        put_number(zip, 20, 2);
    put_number(zip, 20, 2);
    put_number(zip, (uint64_t)e->flags, 2);
    put_number(zip, (uint64_t)e->method, 2);
    put_number(zip, 0x00210000, 4);
    put_number(zip, e->crc, 4);
    put_number(zip, e->content->size, 4);
    put_number(zip, e->stated, 4);
    put_number(zip, length, 2);
    put_number(zip, 0, 2);
    if (central) {
        put_number(zip, 0, 8); /* comment, disk, attributes */
        put_number(zip, 0, 2);
        put_number(zip, e->offset, 4);
    }
    put(zip, e->name, length);
}

static bytes make_zip(entry *entries, int count) {
    bytes zip = {0};
    for (int i = 0; i < count; i++) {
        entries[i].offset = (uint32_t)zip.size;
        put_header(&zip, &entries[i], false);
        put(&zip, entries[i].content->data, entries[i].content->size);
    }
    size_t start = zip.size;
    for (int i = 0; i < count; i++)
        put_header(&zip, &entries[i], true);
    size_t size = zip.size - start;
    put_number(&zip, 0x06054b50, 4);
    put_number(&zip, 0, 4);
    put_number(&zip, (uint64_t)count, 2);
    put_number(&zip, (uint64_t)count, 2);
    put_number(&zip, size, 4);
    put_number(&zip, start, 4);
    put_number(&zip, 0, 2);
    return zip;
}

/* Zeros by the fixed codes of deflate (RFC 1951, 3.2.6): a literal 0, then matches of length 258 at distance 1, each 13 bits. */
static bytes deflate_zeros(size_t matches) {
    bytes out = {0};
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < matches + 3; i++) {
        uint32_t code = i == 0 ? 3u : i == 1 ? 0x0Cu : i == matches + 2 ? 0u : 0xA3u; /* bits as they leave: first the lowest */
        int length = i == 0 ? 3 : i == 1 ? 8 : i == matches + 2 ? 7 : 13;
        bits |= code << held;
        for (held += length; held >= 8; held -= 8, bits >>= 8)
            put_number(&out, bits & 0xFF, 1);
    }
    put_number(&out, bits & 0xFF, 1);
    return out;
}

typedef struct parts { bytes metadata, config, weights; } parts;

static bytes copy_of(const bytes *b) {
    bytes c = {0};
    put(&c, b->data, b->size);
    put(&c, "", 1);
    c.size--;
    return c;
}

static void lie(tlvk__rng *r, entry *e, bytes *bomb) {
    static const char *const names[] = {"../config.json", "/etc/config.json", "..\\config.json", "a/../../config.json", "C:/config.json", "", "config.json",
                                        "model.weights.h5", "metadata.json/", "model.weights.npz"};
    switch (below(r, 8)) {
    case 0: case 1: e->name = names[below(r, (int)TLVK__COUNT(names))]; break;
    case 2: e->stated = tlvk__rng_u32(r); break;
    case 3: e->stated += (uint64_t)below(r, 100) - 50; break;
    case 4: e->method = below(r, 2) ? 8 : below(r, 100); break;
    case 5: e->flags = 1 << below(r, 16); break;
    case 6: e->crc = tlvk__rng_u32(r); break;
    default:
        *bomb = deflate_zeros((size_t)1 << below(r, 18));
        e->content = bomb;
        e->method = 8;
        e->stated = below(r, 2) ? tlvk__rng_u32(r) : (uint64_t)1 << below(r, 32);
    }
}

static void damage_keras(tlvk__rng *r, const parts *whole, bytes *b, bool metadata) {
    if (!metadata) {
        damage_bytes(r, b);
        return;
    }
    bytes config = copy_of(&whole->config), weights = copy_of(&whole->weights), bomb = {0};
    int what = below(r, 4);
    if (what == 0)
        damage_json(r, &config, false);
    if (what == 1)
        damage_h5(r, &weights, true);
    entry entries[4] = {{.name = "metadata.json", .content = &whole->metadata}, {.name = "config.json", .content = &config},
                        {.name = "model.weights.h5", .content = &weights}, {.name = "assets/x", .content = &whole->metadata}};
    for (int i = 0; i < 4; i++) {
        entries[i].stated = entries[i].content->size;
        entries[i].crc = crc_of(entries[i].content);
    }
    if (what >= 2)
        lie(r, &entries[below(r, 4)], &bomb);
    free(b->data);
    *b = make_zip(entries, 3 + below(r, 2));
    if (what == 3)
        damage_near_marks(r, b);
    free(config.data);
    free(weights.data);
    free(bomb.data);
}

/* --- what must hold --- */

static int refused, loaded;

static void check_status(tlvk_status status, const char *path, uint64_t seed) {
    bool named = strstr(tlvk_last_error(ctx), path) != NULL;
    bool known = status == TLVK_ERROR_FORMAT || status == TLVK_ERROR_UNSUPPORTED || status == TLVK_ERROR_MEMORY || status == TLVK_ERROR_ARGUMENT;
    if (status && (!known || !named))
        fail_msg("seed %llu: status %d: %s", (unsigned long long)seed, status, tlvk_last_error(ctx));
    refused += status != TLVK_OK;
    loaded += status == TLVK_OK;
}

static void load_file(const char *path, bool whole, uint64_t seed) {
    tlvk_model *m = NULL;
    double began = processor_seconds();
    if (whole) {
        check_status(tlvk_model_load(ctx, path, &m), path, seed);
    } else {
        m = make_model();
        check_status(tlvk_model_load_weights(m, path, TLVK_BY_ORDER), path, seed);
    }
    tlvk_model_destroy(m);
    double seconds = processor_seconds() - began;
    if (seconds > MAX_SECONDS)
        fail_msg("seed %llu: %.0f seconds", (unsigned long long)seed, seconds);
}

static size_t entries_in(const char *path) {
    tlvk__dir_entry *entries;
    size_t count;
    assert_ok(tlvk__list_folder(path, &entries, &count));
    tlvk__dir_entries_free(entries, count);
    return count;
}

/* The readers' largest memory. A child begins with what this process has. */
static void check_memory(const char *name, size_t largest) {
#if !defined(__SANITIZE_ADDRESS__)
    struct rusage own, children;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    long allowed = own.ru_maxrss + (long)(2 * largest / 1024) + 64 * 1024;
    print_message("%s: the largest reader took %ld KiB, at most %ld are allowed\n", name, children.ru_maxrss, allowed);
    assert_true(children.ru_maxrss <= allowed);
#else
    (void)name, (void)largest;
#endif
}

typedef void (*damage_fn)(tlvk__rng *r, const parts *whole, bytes *b, bool metadata);

static void damage_any_h5(tlvk__rng *r, const parts *whole, bytes *b, bool metadata) {
    (void)whole;
    damage_h5(r, b, metadata);
}

static void fuzz(const char *name, bool whole_model, tlvk_status (*save)(tlvk_model *, const char *), damage_fn damage, const parts *whole) {
    char *path = path_of(name), *bad_name = tlvk__format("bad_%s", name), *bad = path_of(bad_name);
    tlvk_model *m = make_model();
    assert_ok(save(m, path));
    bytes good = read_bytes(path);
    tlvk_model_destroy(m);
    bytes none = {0};
    write_bytes(bad, &none);
    size_t there = entries_in(folder), largest = 0;
    refused = loaded = 0;
    for (int i = 0; i < files_per_form; i++) {
        uint64_t seed = i % 2 ? fresh_seed + (uint64_t)i : (uint64_t)i;
        tlvk__rng r;
        tlvk__rng_seed(&r, seed, 99);
        bytes b = copy_of(&good);
        damage(&r, whole, &b, i / 2 % 2);
        write_bytes(bad, &b);
        largest = TLVK__MAX(largest, b.size);
        load_file(bad, whole_model, seed);
        free(b.data);
        assert_int_equal(entries_in(folder), there);
    }
    print_message("%s: %d files, %d refused by name, %d loaded; new seeds from %llu\n", name, files_per_form, refused, loaded, (unsigned long long)fresh_seed);
    assert_true(refused > files_per_form / 4);
    check_memory(name, largest);
    free(good.data);
    free(bad_name);
    free(path);
    free(bad);
}

static void whole_h5(void **state) {
    (void)state;
    fuzz("whole.h5", true, tlvk_model_save, damage_any_h5, NULL);
}

static void weights_h5(void **state) {
    (void)state;
    fuzz("weights.h5", false, tlvk_model_save_weights, damage_any_h5, NULL);
}

static void state_h5(void **state) {
    (void)state;
    fuzz("state.weights.h5", false, tlvk_model_save_weights, damage_any_h5, NULL);
}

static void keras(void **state) {
    (void)state;
    parts whole = {0};
    char *path = path_of("parts.weights.h5");
    tlvk_model *m = make_model();
    assert_ok(tlvk_model_save_weights(m, path));
    whole.weights = read_bytes(path);
    tlvk__file_remove(path);
    free(path);
    path = path_of("parts.keras");
    tlvk__h5_content *content;
    assert_ok(tlvk_model_save(m, path));
    assert_ok(tlvk__h5_read(path, &content));
    put(&whole.config, content->model_config, strlen(content->model_config) + 1);
    whole.config.size--;
    put(&whole.metadata, "{\"keras_version\": \"3.15.0\"}", 27);
    tlvk__h5_free(content);
    tlvk_model_destroy(m);
    tlvk__file_remove(path);
    free(path);
    fuzz("model.keras", true, tlvk_model_save, damage_keras, &whole);
    free(whole.weights.data);
    free(whole.config.data);
    free(whole.metadata.data);
}

/* The text of an attribute has its place in the file; damaged JSON of the same length stays a file that HDF5 reads. */
static void damage_attribute_json(tlvk__rng *r, const parts *whole, bytes *b, bool metadata) {
    (void)whole, (void)metadata;
    static const char begin[] = "{\"class_name\"";
    for (size_t at = 0; at + sizeof begin < b->size; at++)
        if (memcmp(b->data + at, begin, sizeof begin - 1) == 0) {
            const unsigned char *end = memchr(b->data + at, '\0', b->size - at);
            bytes json = {b->data + at, end ? (size_t)(end - b->data) - at : b->size - at, 0};
            damage_json(r, &json, true);
            return;
        }
}

static void json_in_h5(void **state) {
    (void)state;
    fuzz("json.h5", true, tlvk_model_save, damage_attribute_json, NULL);
}

static int set_up(void **state) {
    (void)state;
    const char *temp = tlvk__env("TLVK_TEST_TEMP"), *count = tlvk__env("TLVK_FUZZ"), *seed = tlvk__env("TLVK_FUZZ_SEED");
    folder = tlvk__format("%s/fuzz", temp ? temp : "/tmp/tlvk-test");
    files_per_form = count ? (int)strtol(count, NULL, 10) : 200;
    fresh_seed = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 1000003u;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return tlvk__make_folders(folder) || tlvk_context_create(&(tlvk_context_desc){.cache_folder = ""}, &ctx);
}

static int tear_down(void **state) {
    (void)state;
    tlvk_context_destroy(ctx);
    free(folder);
    return 0;
}

/* test_fuzz [FORM]: one form alone, by the names below. */
int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_h5), cmocka_unit_test(weights_h5), cmocka_unit_test(state_h5), cmocka_unit_test(keras),
                                       cmocka_unit_test(json_in_h5)};
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
