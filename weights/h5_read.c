/* h5_read.c - walks a Keras HDF5 file and writes what it holds as the stream of h5_stream.h. Runs in the guarded child.
 *
 * Hides: HDF5's types and links. Everything the file says about sizes is checked against a budget told by the file's own size before
 * memory is taken; links and storage outside the file are refused. */
#include "weights/h5_stream.h"
#include "weights/h5_quiet.h"

#include "core/platform.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)4 << 20)
#define READ_BYTES_PER_SECOND ((uint64_t)10 << 20) /* of processor time; a slow machine reads ten times as fast */

typedef struct reader {
    FILE *out;
    hid_t group_access, dataset_access; /* access lists that follow no link out of the file */
    uint64_t budget;                    /* bytes that texts and values may still take */
    uint64_t file_bytes;
} reader;

typedef struct names { char **text; size_t count, capacity; } names;

static void names_free(names *n) {
    for (size_t i = 0; i < n->count; i++)
        free(n->text[i]);
    free(n->text);
    *n = (names){0};
}

/* Takes `bytes` from the budget. */
static tlvk_status spend(reader *r, uint64_t bytes, const char *what) {
    if (bytes > r->budget)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: it asks for %llu bytes, which a file of %llu bytes cannot hold", what,
                          (unsigned long long)bytes, (unsigned long long)r->file_bytes);
    r->budget -= bytes;
    return TLVK_OK;
}

/* --- the stream --- */

static tlvk_status put(reader *r, const void *bytes, size_t size) {
    if (size && fwrite(bytes, 1, size, r->out) != size)
        return tlvk__fail(TLVK_ERROR_MEMORY, "handing over what was read: the caller stopped listening");
    return TLVK_OK;
}

static tlvk_status put_padding(reader *r, uint64_t size) {
    static const char zeros[8];
    return put(r, zeros, (size_t)(tlvk__round_up(size, 8) - size));
}

static tlvk_status put_number(reader *r, uint64_t v) { return put(r, &v, sizeof v); }

static tlvk_status put_text(reader *r, const char *text) {
    uint64_t size = text ? strlen(text) + 1 : 0;
    tlvk_status status = put_number(r, size);
    if (!status)
        status = put(r, text, (size_t)size);
    return status ? status : put_padding(r, size);
}

/* --- attributes --- */

static tlvk_status add_name(names *n, const char *text, size_t length) {
    char **grown = tlvk__grow(n->text, &n->capacity, n->count + 1, sizeof *n->text);
    if (!grown)
        return tlvk__fail(TLVK_ERROR_MEMORY, "reading names: no memory behind %zu", n->count);
    n->text = grown;
    char *copy = malloc(length + 1);
    if (!copy)
        return tlvk__fail(TLVK_ERROR_MEMORY, "reading a name of %zu bytes: no memory", length);
    memcpy(copy, text, length);
    copy[length] = '\0';
    grown[n->count++] = copy;
    return TLVK_OK;
}

static tlvk_status read_variable_strings(reader *r, hid_t attribute, size_t count, const char *what, names *n) {
    hid_t type = H5Tcopy(H5T_C_S1);
    hid_t space = H5Aget_space(attribute), file_type = H5Aget_type(attribute);
    char **texts = tlvk__calloc(count, sizeof *texts);
    tlvk_status status = TLVK_OK;
    if (!texts)
        status = tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for %zu texts", what, count);
    else if (H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5Tget_cset(file_type)) < 0 || H5Aread(attribute, type, texts) < 0)
        status = tlvk__fail(TLVK_ERROR_FORMAT, "%s: its text cannot be read", what);
    for (size_t i = 0; !status && i < count; i++) {
        size_t length = texts[i] ? strlen(texts[i]) : 0;
        status = spend(r, length + sizeof(char *) * 2, what);
        if (!status)
            status = add_name(n, texts[i] ? texts[i] : "", length);
    }
    if (texts)
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, texts);
    free(texts);
    H5Tclose(type);
    H5Tclose(file_type);
    H5Sclose(space);
    return status;
}

static tlvk_status read_fixed_strings(reader *r, hid_t attribute, hid_t type, size_t count, const char *what, names *n) {
    size_t each = H5Tget_size(type), total;
    if (each == 0 || !tlvk__mul_size(each, count, &total))
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: texts of an impossible size", what);
    tlvk_status status = spend(r, total, what);
    char *bytes = status ? NULL : malloc(total);
    if (!status && !bytes)
        status = tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for %zu bytes", what, total);
    if (!status && H5Aread(attribute, type, bytes) < 0)
        status = tlvk__fail(TLVK_ERROR_FORMAT, "%s: its text cannot be read", what);
    bool spaces = H5Tget_strpad(type) == H5T_STR_SPACEPAD;
    for (size_t i = 0; !status && i < count; i++) {
        const char *text = bytes + i * each;
        const char *end = memchr(text, '\0', each);
        size_t length = end ? (size_t)(end - text) : each;
        while (spaces && length && text[length - 1] == ' ')
            length--;
        status = add_name(n, text, length);
    }
    free(bytes);
    return status;
}

/* Appends the texts of one attribute, a scalar or a list, of any of HDF5's string types. An empty list has no string type in Keras's files. */
static tlvk_status read_strings(reader *r, hid_t place, const char *key, const char *where, names *n) {
    char what[256];
    snprintf(what, sizeof what, "attribute '%s' of %s", key, where);
    hid_t attribute = H5Aopen(place, key, H5P_DEFAULT);
    if (attribute < 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s cannot be opened", what);
    hid_t space = H5Aget_space(attribute), type = H5Aget_type(attribute);
    hssize_t count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    tlvk_status status = TLVK_OK;
    if (count < 0 || type < 0)
        status = tlvk__fail(TLVK_ERROR_FORMAT, "%s is damaged", what);
    else if (count > 0 && H5Tget_class(type) != H5T_STRING)
        status = tlvk__fail(TLVK_ERROR_FORMAT, "%s is not text", what);
    else if (count > 0) {
        status = spend(r, (uint64_t)count * sizeof(char *), what);
        if (!status)
            status = H5Tis_variable_str(type) > 0 ? read_variable_strings(r, attribute, (size_t)count, what, n)
                                                  : read_fixed_strings(r, attribute, type, (size_t)count, what, n);
    }
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    H5Aclose(attribute);
    return status;
}

/* A single text; *text stays NULL where the attribute is absent or empty. The caller frees it. */
static tlvk_status read_text(reader *r, hid_t place, const char *key, const char *where, char **text) {
    if (H5Aexists(place, key) <= 0)
        return TLVK_OK;
    names n = {0};
    tlvk_status status = read_strings(r, place, key, where, &n);
    if (!status && n.count > 1)
        status = tlvk__fail(TLVK_ERROR_FORMAT, "attribute '%s' of %s holds %zu texts where one was expected", key, where, n.count);
    if (!status && n.count == 1) {
        *text = n.text[0];
        n.text[0] = NULL;
    }
    names_free(&n);
    return status;
}

/* A list of names; one too large for an object header is split by Keras into key0, key1, ... (legacy_h5_format.py, HDF5_OBJECT_HEADER_LIMIT). */
static tlvk_status read_name_list(reader *r, hid_t place, const char *key, const char *where, names *n) {
    if (H5Aexists(place, key) > 0)
        return read_strings(r, place, key, where, n);
    char part[64];
    tlvk_status status = TLVK_OK;
    for (int i = 0; !status; i++) {
        snprintf(part, sizeof part, "%s%d", key, i);
        if (H5Aexists(place, part) <= 0)
            return i == 0 && strcmp(key, "layer_names") == 0 ? tlvk__fail(TLVK_ERROR_FORMAT, "%s has no attribute '%s'", where, key) : TLVK_OK;
        status = read_strings(r, place, part, where, n);
    }
    return status;
}

/* --- arrays --- */

/* Rank, dimensions and size of a dataset of numbers that lies in this file. */
static tlvk_status check_dataset(reader *r, hid_t dataset, hid_t space, const char *what, tlvk__shape *shape, size_t *elements) {
    hid_t type = H5Dget_type(dataset), creation = H5Dget_create_plist(dataset);
    H5T_class_t class = H5Tget_class(type);
    size_t width = H5Tget_size(type);
    bool outside = H5Pget_external_count(creation) != 0 || H5Pget_layout(creation) == H5D_VIRTUAL;
    H5Tclose(type);
    H5Pclose(creation);
    if (outside)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: its values lie outside the file", what);
    if ((class != H5T_FLOAT && class != H5T_INTEGER) || width == 0 || width > 16)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: its values are no numbers", what);
    hsize_t dims[H5S_MAX_RANK];
    int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || rank > TLVK__MAX_RANK || H5Sget_simple_extent_dims(space, dims, NULL) < 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: it has %d dimensions; 0 to %d were expected", what, rank, TLVK__MAX_RANK);
    *shape = (tlvk__shape){.rank = rank};
    size_t bytes = sizeof(float);
    for (int i = 0; i < rank; i++) {
        if (dims[i] > INT64_MAX || !tlvk__mul_size(bytes, (size_t)dims[i], &bytes))
            return tlvk__fail(TLVK_ERROR_FORMAT, "%s: an impossible size", what);
        shape->dim[i] = (int64_t)dims[i];
    }
    *elements = bytes / sizeof(float);
    return spend(r, bytes, what);
}

/* Values as float32, a block of first-dimension rows at a time. */
static tlvk_status put_values(reader *r, hid_t dataset, hid_t space, const tlvk__shape *shape, size_t elements, const char *what) {
    if (elements == 0)
        return TLVK_OK;
    hsize_t dims[TLVK__MAX_RANK] = {1}, start[TLVK__MAX_RANK] = {0}, count[TLVK__MAX_RANK];
    for (int i = 0; i < shape->rank; i++)
        dims[i] = (hsize_t)shape->dim[i];
    memcpy(count, dims, sizeof count);
    size_t row = elements / (size_t)dims[0];
    hsize_t rows = TLVK__MAX(BLOCK_BYTES / sizeof(float) / row, 1);
    float *block = malloc((size_t)TLVK__MIN(rows, dims[0]) * row * sizeof *block);
    if (!block)
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for a block of it", what);
    tlvk_status status = TLVK_OK;
    for (hsize_t at = 0; !status && at < dims[0]; at += rows) {
        start[0] = at;
        count[0] = TLVK__MIN(rows, dims[0] - at);
        hsize_t values = count[0] * row;
        hid_t memory = H5Screate_simple(1, &values, NULL);
        bool chosen = shape->rank == 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0;
        if (!chosen || H5Dread(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, block) < 0)
            status = tlvk__fail(TLVK_ERROR_FORMAT, "%s: its values cannot be read", what);
        H5Sclose(memory);
        if (!status)
            status = put(r, block, (size_t)values * sizeof *block);
    }
    free(block);
    return status;
}

static tlvk_status put_weight(reader *r, hid_t group, const char *layer, const char *name) {
    char what[512];
    snprintf(what, sizeof what, "weight '%s' of layer '%s'", name, layer);
    hid_t dataset = *name ? H5Dopen2(group, name, r->dataset_access) : -1;
    if (dataset < 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s is listed, but there is no such dataset", what);
    hid_t space = H5Dget_space(dataset);
    tlvk__shape shape = {0};
    size_t elements = 0;
    tlvk_status status = space < 0 ? tlvk__fail(TLVK_ERROR_FORMAT, "%s is damaged", what) : check_dataset(r, dataset, space, what, &shape, &elements);
    if (!status)
        status = put_text(r, name);
    if (!status)
        status = put_number(r, (uint64_t)shape.rank);
    for (int i = 0; !status && i < shape.rank; i++)
        status = put_number(r, (uint64_t)shape.dim[i]);
    if (!status)
        status = put_values(r, dataset, space, &shape, elements, what);
    if (!status)
        status = put_padding(r, (uint64_t)elements * sizeof(float));
    if (space >= 0)
        H5Sclose(space);
    H5Dclose(dataset);
    return status;
}

static tlvk_status put_layer(reader *r, hid_t weights, const char *layer) {
    hid_t group = *layer ? H5Gopen2(weights, layer, r->group_access) : -1;
    if (group < 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "layer '%s' is listed, but there is no such group", layer);
    char where[300];
    snprintf(where, sizeof where, "layer '%s'", layer);
    names n = {0};
    tlvk_status status = read_name_list(r, group, "weight_names", where, &n);
    if (!status)
        status = put_text(r, layer);
    if (!status)
        status = put_number(r, n.count);
    for (size_t i = 0; !status && i < n.count; i++)
        status = put_weight(r, group, layer, n.text[i]);
    names_free(&n);
    H5Gclose(group);
    return status;
}

/* --- the file --- */

/* Answers HDF5's question whether a link into another file may be followed. */
static herr_t refuse_link(const char *parent_file, const char *parent_group, const char *child_file, const char *child_object, unsigned *flags,
                          hid_t access, void *user) {
    (void)parent_file, (void)parent_group, (void)child_file, (void)child_object, (void)flags, (void)access, (void)user;
    return -1;
}

static bool exists(hid_t place, const char *name) { return H5Lexists(place, name, H5P_DEFAULT) > 0; }

static tlvk_status put_texts(reader *r, hid_t file, hid_t weights) {
    static const char *const keys[] = {"model_config", "training_config", "keras_version", "backend", TLVK__USAGE_ATTRIBUTE};
    tlvk_status status = put_number(r, TLVK__H5_MARK);
    for (size_t i = 0; !status && i < TLVK__COUNT(keys); i++) {
        char *text = NULL;
        bool of_weights = strcmp(keys[i], "keras_version") == 0 || strcmp(keys[i], "backend") == 0;
        if (of_weights)
            status = read_text(r, weights, keys[i], "the weights", &text);
        if (!status && !text)
            status = read_text(r, file, keys[i], "the file", &text);
        if (!status)
            status = put_text(r, text);
        free(text);
    }
    return status;
}

static tlvk_status put_file(reader *r, hid_t file) {
    bool whole = exists(file, "model_weights");
    if (!whole && H5Aexists(file, "layer_names") <= 0 && (exists(file, "layers") || exists(file, "_layer_checkpoint_dependencies")))
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "a .weights.h5 file in the form of Keras 3, which is not read yet; "
                                                  "the .h5 form (model.save(\"model.h5\")) is");
    hid_t weights = whole ? H5Gopen2(file, "model_weights", r->group_access) : H5Gopen2(file, "/", r->group_access);
    if (weights < 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "the group '%s' cannot be opened", whole ? "model_weights" : "/");
    tlvk_status status = put_texts(r, file, weights);
    names layers = {0};
    if (!status)
        status = read_name_list(r, weights, "layer_names", whole ? "the group 'model_weights'" : "the file", &layers);
    if (!status)
        status = put_number(r, layers.count);
    for (size_t i = 0; !status && i < layers.count; i++)
        status = put_layer(r, weights, layers.text[i]);
    names_free(&layers);
    H5Gclose(weights);
    return status;
}

tlvk_status tlvk__h5_child(void *path, FILE *out) {
    tlvk__h5_quiet quiet;
    tlvk__h5_quiet_begin(&quiet);
    H5PLset_loading_state(0); /* no filter plugin named by the file is loaded */
    reader r = {.out = out, .group_access = H5Pcreate(H5P_GROUP_ACCESS), .dataset_access = H5Pcreate(H5P_DATASET_ACCESS)};
    tlvk_status status = TLVK_OK;
    hsize_t bytes = 0;
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0 || H5Fget_filesize(file, &bytes) < 0)
        status = tlvk__fail(TLVK_ERROR_FORMAT, "a damaged or truncated HDF5 file");
    else if (H5Pset_elink_cb(r.group_access, refuse_link, NULL) < 0 || H5Pset_elink_cb(r.dataset_access, refuse_link, NULL) < 0)
        status = tlvk__fail(TLVK_ERROR_INTERNAL, "HDF5 refused its own settings");
    if (!status) {
        r.file_bytes = bytes;
        tlvk__guard_limit_seconds(10 + r.file_bytes / READ_BYTES_PER_SECOND);
        /* float16 doubles in memory; attributes are small. What would take more is compressed, which Keras never writes, or a lie. */
        r.budget = 2 * r.file_bytes + ((uint64_t)16 << 20);
        status = put_file(&r, file);
    }
    if (file >= 0)
        H5Fclose(file);
    H5Pclose(r.group_access);
    H5Pclose(r.dataset_access);
    tlvk__h5_quiet_end(&quiet);
    return status;
}
