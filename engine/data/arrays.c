/* arrays.c - hides how arrays in memory become a dataset: what the y values are, and who owns them. */
#include "core/context.h"
#include "data/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rank by the first zero; -1 for a negative dimension. */
static int rank_of(const int64_t shape[TLVK_MAX_DIMS]) {
    int rank = 0;
    while (rank < TLVK_MAX_DIMS && shape[rank] != 0) {
        if (shape[rank] < 0) {
            return -1;
        }
        rank++;
    }
    return rank;
}

/* Product of all dimensions but the first; false on overflow of the array's byte count. */
static bool row_elements(const int64_t *shape, int rank, int64_t *row) {
    int64_t product = 1, bytes = 0;
    for (int i = 1; i < rank; i++) {
        if (!tlvk__mul_i64(product, shape[i], &product)) {
            return false;
        }
    }
    *row = product;
    return tlvk__mul_i64(product, shape[0], &bytes) && tlvk__mul_i64(bytes, (int64_t)sizeof(float), &bytes) && (uint64_t)bytes <= SIZE_MAX;
}

/* Whole numbers from 0, small enough that float32 holds each exactly; gives the largest. */
static bool are_class_numbers(const float *y, int64_t count, int *largest) {
    *largest = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!(y[i] >= 0.0f && y[i] < 16777216.0f) || y[i] != floorf(y[i])) {
            return false;
        }
        *largest = TLVK__MAX(*largest, (int)y[i]);
    }
    return true;
}

/* Position of the single 1 among zeros, or -1. */
static int one_hot_index(const float *row, int64_t width) {
    int index = -1;
    for (int64_t i = 0; i < width; i++) {
        if (row[i] == 1.0f && index < 0) {
            index = (int)i;
        } else if (row[i] != 0.0f) {
            return -1;
        }
    }
    return index;
}

/* Class numbers behind y, where it has classes; else the dataset keeps plain targets. */
static tlvk_status find_labels(tlvk_dataset *d) {
    int64_t width = d->target_width;
    int largest = 0;
    d->label_kind = TLVK__LABELS_TARGETS;
    d->labels = tlvk__calloc((size_t)d->size, sizeof *d->labels);
    if (!d->labels) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for %lld labels", (long long)d->size);
    }
    bool classes = width > 1 || are_class_numbers(d->y, d->size, &largest);
    for (int64_t i = 0; i < d->size && classes; i++) {
        d->labels[i] = width > 1 ? one_hot_index(d->y + i * width, width) : (int32_t)d->y[i];
        classes = d->labels[i] >= 0;
    }
    if (classes) {
        d->label_kind = width > 1 ? TLVK__LABELS_CATEGORICAL : TLVK__LABELS_INT;
        d->class_count = width > 1 ? (int)width : largest + 1;
    } else {
        free(d->labels);
        d->labels = NULL;
    }
    return TLVK_OK;
}

static tlvk_status copy_values(const float *values, size_t count, float **owned) {
    *owned = tlvk__calloc(count, sizeof **owned);
    if (!*owned) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to copy an array of %zu values", count);
    }
    memcpy(*owned, values, count * sizeof **owned);
    return TLVK_OK;
}

static tlvk_status set_x(tlvk_dataset *d, const tlvk_array_desc *desc, int rank, int64_t row) {
    d->elements = row;
    d->shape.rank = TLVK__MAX(rank - 1, 1);
    d->shape.dim[0] = 1;
    for (int i = 1; i < rank; i++) {
        d->shape.dim[i - 1] = desc->x_shape[i];
    }
    d->x = desc->x;
    if (!desc->borrow) {
        tlvk_status st = copy_values(desc->x, (size_t)d->size * (size_t)row, &d->owned_x);
        if (st) {
            return st;
        }
        d->x = d->owned_x;
    }
    return TLVK_OK;
}

static tlvk_status set_y(tlvk_dataset *d, const tlvk_array_desc *desc) {
    int rank = rank_of(desc->y_shape);
    int64_t row = 0;
    if (rank < 1 || desc->y_shape[0] != d->size) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_dataset_from_arrays: y_shape says %lld samples, x_shape %lld", (long long)(rank < 1 ? 0 : desc->y_shape[0]),
                          (long long)d->size);
    }
    if (!row_elements(desc->y_shape, rank, &row) || row > INT32_MAX) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_dataset_from_arrays: y_shape is too large");
    }
    d->target_width = (int)row;
    d->y = desc->y;
    if (!desc->borrow) {
        tlvk_status st = copy_values(desc->y, (size_t)d->size * (size_t)row, &d->owned_y);
        if (st) {
            return st;
        }
        d->y = d->owned_y;
    }
    return find_labels(d);
}

static tlvk_status from_arrays(const tlvk_context *ctx, const tlvk_array_desc *desc, tlvk_dataset **out) {
    int rank = desc ? rank_of(desc->x_shape) : 0;
    int64_t row = 0;
    if (out) {
        *out = NULL;
    }
    if (!desc || !desc->x || !out || rank < 1 || desc->batch_size < 0) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_dataset_from_arrays: needs x with an x_shape of at least one positive dimension (samples first), "
                                               "batch_size not below 0, and an out pointer");
    }
    if (!row_elements(desc->x_shape, rank, &row)) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_dataset_from_arrays: x_shape is too large for this machine");
    }
    tlvk_dataset *d = tlvk__dataset_new(desc->x_shape[0]);
    if (!d) {
        return TLVK_ERROR_MEMORY;
    }
    d->no_shuffle = desc->no_shuffle;
    d->seed = desc->seed;
    d->batch_size = desc->batch_size ? desc->batch_size : 32;
    d->workers = tlvk__context_workers(ctx);
    tlvk_status st = set_x(d, desc, rank, row);
    if (!st && desc->y) {
        st = set_y(d, desc);
    }
    if (st) {
        tlvk_dataset_destroy(d);
        return st;
    }
    *out = d;
    return TLVK_OK;
}

tlvk_status tlvk_dataset_from_arrays(tlvk_context *ctx, const tlvk_array_desc *desc, tlvk_dataset **out) {
    tlvk_status st = from_arrays(ctx, desc, out);
    return st ? tlvk__context_fail(ctx, st) : TLVK_OK;
}
