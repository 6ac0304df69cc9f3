/* h5_values.c - texts and arrays out of an HDF5 file, written to the stream. Runs in the guarded child.
 *
 * Hides: HDF5's types. Everything the file says about sizes is checked against a budget told by the file's own size before memory is taken;
 * storage outside the file is refused. */
#include "weights/h5_reader.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)4 << 20)

void tlvk__h5_names_free(tlvk__h5_names *n) {
    for (size_t i = 0; i < n->count; i++)
        free(n->text[i]);
    free(n->text);
    *n = (tlvk__h5_names){0};
}

tlvk_status tlvk__h5_spend(tlvk__h5_reader *r, uint64_t bytes, const char *what) {
    if (bytes > r->budget)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: it asks for %llu bytes, which a file of %llu bytes cannot hold", what,
                          (unsigned long long)bytes, (unsigned long long)r->file_bytes);
    r->budget -= bytes;
    return TLVK_OK;
}

/* --- the stream --- */

static tlvk_status put(tlvk__h5_reader *r, const void *bytes, size_t size) {
    if (size && fwrite(bytes, 1, size, r->out) != size)
        return tlvk__fail(TLVK_ERROR_MEMORY, "handing over what was read: the caller stopped listening");
    return TLVK_OK;
}

static tlvk_status put_padding(tlvk__h5_reader *r, uint64_t size) {
    static const char zeros[8];
    return put(r, zeros, (size_t)(tlvk__round_up(size, 8) - size));
}

tlvk_status tlvk__h5_put_number(tlvk__h5_reader *r, uint64_t v) { return put(r, &v, sizeof v); }

tlvk_status tlvk__h5_put_text(tlvk__h5_reader *r, const char *text) {
    uint64_t size = text ? strlen(text) + 1 : 0;
    tlvk_status status = tlvk__h5_put_number(r, size);
    if (!status)
        status = put(r, text, (size_t)size);
    return status ? status : put_padding(r, size);
}

/* --- attributes --- */

tlvk_status tlvk__h5_names_add(tlvk__h5_names *n, const char *text, size_t length) {
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

static tlvk_status read_variable_strings(tlvk__h5_reader *r, hid_t attribute, size_t count, const char *what, tlvk__h5_names *n) {
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
        status = tlvk__h5_spend(r, length + sizeof(char *) * 2, what);
        if (!status)
            status = tlvk__h5_names_add(n, texts[i] ? texts[i] : "", length);
    }
    if (texts)
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, texts);
    free(texts);
    H5Tclose(type);
    H5Tclose(file_type);
    H5Sclose(space);
    return status;
}

static tlvk_status read_fixed_strings(tlvk__h5_reader *r, hid_t attribute, hid_t type, size_t count, const char *what, tlvk__h5_names *n) {
    size_t each = H5Tget_size(type), total;
    if (each == 0 || !tlvk__mul_size(each, count, &total))
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: texts of an impossible size", what);
    tlvk_status status = tlvk__h5_spend(r, total, what);
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
        status = tlvk__h5_names_add(n, text, length);
    }
    free(bytes);
    return status;
}

/* Appends the texts of one attribute, a scalar or a list, of any of HDF5's string types. An empty list has no string type in Keras's files. */
static tlvk_status read_strings(tlvk__h5_reader *r, hid_t place, const char *key, const char *where, tlvk__h5_names *n) {
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
        status = tlvk__h5_spend(r, (uint64_t)count * sizeof(char *), what);
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

tlvk_status tlvk__h5_read_text(tlvk__h5_reader *r, hid_t place, const char *key, const char *where, char **text) {
    if (H5Aexists(place, key) <= 0)
        return TLVK_OK;
    tlvk__h5_names n = {0};
    tlvk_status status = read_strings(r, place, key, where, &n);
    if (!status && n.count > 1)
        status = tlvk__fail(TLVK_ERROR_FORMAT, "attribute '%s' of %s holds %zu texts where one was expected", key, where, n.count);
    if (!status && n.count == 1) {
        *text = n.text[0];
        n.text[0] = NULL;
    }
    tlvk__h5_names_free(&n);
    return status;
}

tlvk_status tlvk__h5_read_names(tlvk__h5_reader *r, hid_t place, const char *key, const char *where, tlvk__h5_names *n, bool *there) {
    char part[64];
    tlvk_status status = TLVK_OK;
    *there = H5Aexists(place, key) > 0;
    if (*there)
        return read_strings(r, place, key, where, n);
    for (int i = 0; !status; i++) {
        snprintf(part, sizeof part, "%s%d", key, i);
        if (H5Aexists(place, part) <= 0)
            return TLVK_OK;
        *there = true;
        status = read_strings(r, place, part, where, n);
    }
    return status;
}

/* --- arrays --- */

/* An open dataset of numbers that lies in this file. */
typedef struct array {
    hid_t dataset, space, type;
    bool bfloat16; /* HDF5 1.10 has no such type: h5py stores it as opaque pairs of bytes */
    tlvk__shape shape;
    size_t elements;
} array;

static tlvk_status check_type(array *a, const char *what) {
    H5T_class_t class = H5Tget_class(a->type);
    size_t width = H5Tget_size(a->type);
    a->bfloat16 = class == H5T_OPAQUE && width == 2;
    if (!a->bfloat16 && ((class != H5T_FLOAT && class != H5T_INTEGER) || width == 0 || width > 16))
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: its values are no numbers", what);
    return TLVK_OK;
}

/* Rank, dimensions and size. */
static tlvk_status check_array(tlvk__h5_reader *r, array *a, const char *what) {
    hid_t creation = H5Dget_create_plist(a->dataset);
    bool outside = H5Pget_external_count(creation) != 0 || H5Pget_layout(creation) == H5D_VIRTUAL;
    H5Pclose(creation);
    if (outside)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: its values lie outside the file", what);
    tlvk_status status = check_type(a, what);
    if (status)
        return status;
    hsize_t dims[H5S_MAX_RANK];
    int rank = H5Sget_simple_extent_ndims(a->space);
    if (rank < 0 || rank > TLVK__MAX_RANK || H5Sget_simple_extent_dims(a->space, dims, NULL) < 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s: it has %d dimensions; 0 to %d were expected", what, rank, TLVK__MAX_RANK);
    a->shape = (tlvk__shape){.rank = rank};
    size_t bytes = sizeof(float);
    for (int i = 0; i < rank; i++) {
        if (dims[i] > INT64_MAX || !tlvk__mul_size(bytes, (size_t)dims[i], &bytes))
            return tlvk__fail(TLVK_ERROR_FORMAT, "%s: an impossible size", what);
        a->shape.dim[i] = (int64_t)dims[i];
    }
    a->elements = bytes / sizeof(float);
    return tlvk__h5_spend(r, bytes, what);
}

/* A bfloat16 is the upper half of a float, low byte first as h5py leaves it. Backwards, as both lie in the same memory. */
static void widen_bfloat16(float *values, size_t count) {
    const unsigned char *bytes = (const unsigned char *)values;
    for (size_t i = count; i-- > 0;) {
        uint32_t bits = (uint32_t)bytes[2 * i] << 16 | (uint32_t)bytes[2 * i + 1] << 24;
        memcpy(&values[i], &bits, sizeof bits);
    }
}

/* Values as float32, a block of first-dimension rows at a time. */
static tlvk_status put_values(tlvk__h5_reader *r, const array *a, const char *what) {
    if (a->elements == 0)
        return TLVK_OK;
    hsize_t dims[TLVK__MAX_RANK] = {1}, start[TLVK__MAX_RANK] = {0}, count[TLVK__MAX_RANK];
    for (int i = 0; i < a->shape.rank; i++)
        dims[i] = (hsize_t)a->shape.dim[i];
    memcpy(count, dims, sizeof count);
    size_t row = a->elements / (size_t)dims[0];
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
        bool chosen = a->shape.rank == 0 || H5Sselect_hyperslab(a->space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0;
        if (!chosen || H5Dread(a->dataset, a->bfloat16 ? a->type : H5T_NATIVE_FLOAT, memory, a->space, H5P_DEFAULT, block) < 0)
            status = tlvk__fail(TLVK_ERROR_FORMAT, "%s: its values cannot be read", what);
        else if (a->bfloat16)
            widen_bfloat16(block, (size_t)values);
        H5Sclose(memory);
        if (!status)
            status = put(r, block, (size_t)values * sizeof *block);
    }
    free(block);
    return status;
}

tlvk_status tlvk__h5_put_array(tlvk__h5_reader *r, hid_t group, const char *path, const char *name, const char *what) {
    array a = {.dataset = *path ? H5Dopen2(group, path, r->dataset_access) : -1};
    if (a.dataset < 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s is listed, but there is no such dataset", what);
    a.space = H5Dget_space(a.dataset);
    a.type = H5Dget_type(a.dataset);
    tlvk_status status = a.space < 0 || a.type < 0 ? tlvk__fail(TLVK_ERROR_FORMAT, "%s is damaged", what) : check_array(r, &a, what);
    if (!status)
        status = tlvk__h5_put_text(r, name);
    if (!status)
        status = tlvk__h5_put_number(r, (uint64_t)a.shape.rank);
    for (int i = 0; !status && i < a.shape.rank; i++)
        status = tlvk__h5_put_number(r, (uint64_t)a.shape.dim[i]);
    if (!status)
        status = put_values(r, &a, what);
    if (!status)
        status = put_padding(r, (uint64_t)a.elements * sizeof(float));
    if (!status && H5Tget_size(a.type) == 2 && H5Tget_class(a.type) != H5T_INTEGER)
        r->narrow++;
    if (a.type >= 0)
        H5Tclose(a.type);
    if (a.space >= 0)
        H5Sclose(a.space);
    H5Dclose(a.dataset);
    return status;
}
