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

/* Class numbers behind the values, where they have classes; else the dataset keeps plain targets. */
static tlvk_status find_labels(tlvk__data_target *t, int64_t samples) {
    int64_t width = t->width;
    int largest = 0;
    t->kind = TLVK__LABELS_TARGETS;
    t->labels = tlvk__calloc((size_t)samples, sizeof *t->labels);
    if (!t->labels) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for %lld labels", (long long)samples);
    }
    bool classes = width > 1 || are_class_numbers(t->values, samples, &largest);
    for (int64_t i = 0; i < samples && classes; i++) {
        t->labels[i] = width > 1 ? one_hot_index(t->values + i * width, width) : (int32_t)t->values[i];
        classes = t->labels[i] >= 0;
    }
    if (classes) {
        t->kind = width > 1 ? TLVK__LABELS_CATEGORICAL : TLVK__LABELS_INT;
        t->class_count = width > 1 ? (int)width : largest + 1;
    } else {
        free(t->labels);
        t->labels = NULL;
    }
    return TLVK_OK;
}

/* `values` as they stand where they are borrowed, else a copy in `owned`. */
static tlvk_status keep_values(const float *values, int64_t samples, int64_t row, bool borrow, const float **kept, float **owned) {
    size_t count = (size_t)samples * (size_t)row;
    *kept = values;
    if (borrow) {
        return TLVK_OK;
    }
    *owned = tlvk__calloc(count, sizeof **owned);
    if (!*owned) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to copy an array of %zu values", count);
    }
    memcpy(*owned, values, count * sizeof **owned);
    *kept = *owned;
    return TLVK_OK;
}

/* Rank and values a sample of one array; `samples` below 0: not known yet. */
static tlvk_status measure(const tlvk_array *a, const char *what, int index, int64_t samples, int *rank, int64_t *row) {
    *rank = rank_of(a->shape);
    if (*rank < 1) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_dataset_from_arrays: %s %d needs a shape of at least one positive dimension, samples first", what, index);
    }
    if (samples >= 0 && a->shape[0] != samples) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_dataset_from_arrays: %s %d has %lld samples, input 0 has %lld", what, index, (long long)a->shape[0],
                          (long long)samples);
    }
    if (!row_elements(a->shape, *rank, row)) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_dataset_from_arrays: %s %d is too large for this machine", what, index);
    }
    return TLVK_OK;
}

static tlvk_status add_input(tlvk_dataset *d, const tlvk_array *a, bool borrow) {
    int rank = 0;
    int64_t row = 0;
    tlvk_status st = measure(a, "input", d->input_count, d->size, &rank, &row);
    if (st) {
        return st;
    }
    tlvk__data_input *in = &d->inputs[d->input_count++];
    in->elements = row;
    in->shape.rank = TLVK__MAX(rank - 1, 1);
    in->shape.dim[0] = 1;
    for (int i = 1; i < rank; i++) {
        in->shape.dim[i - 1] = a->shape[i];
    }
    return keep_values(a->values, d->size, row, borrow, &in->values, &in->owned);
}

static tlvk_status add_target(tlvk_dataset *d, const tlvk_array *a, bool borrow) {
    int rank = 0;
    int64_t row = 0;
    tlvk_status st = measure(a, "target", d->target_count, d->size, &rank, &row);
    if (!st && row > INT32_MAX) {
        st = tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_dataset_from_arrays: target %d has %lld values a sample", d->target_count, (long long)row);
    }
    if (st) {
        return st;
    }
    tlvk__data_target *t = &d->targets[d->target_count++];
    t->width = (int)row;
    st = keep_values(a->values, d->size, row, borrow, &t->values, &t->owned);
    return st ? st : find_labels(t, d->size);
}

/* x and y as the first of each list, or the lists as they are. */
static tlvk_status list_arrays(const tlvk_array_desc *desc, tlvk_array inputs[TLVK_MAX_IO], tlvk_array targets[TLVK_MAX_IO]) {
    memcpy(inputs, desc->inputs, sizeof desc->inputs);
    memcpy(targets, desc->targets, sizeof desc->targets);
    if ((desc->x && inputs[0].values) || (desc->y && targets[0].values)) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_dataset_from_arrays: give x and y, or inputs and targets, not both");
    }
    if (desc->x) {
        inputs[0].values = desc->x;
        memcpy(inputs[0].shape, desc->x_shape, sizeof desc->x_shape);
    }
    if (desc->y) {
        targets[0].values = desc->y;
        memcpy(targets[0].shape, desc->y_shape, sizeof desc->y_shape);
    }
    return inputs[0].values ? TLVK_OK : tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_dataset_from_arrays: needs x, or inputs");
}

static tlvk_status fill(tlvk_dataset *d, const tlvk_array_desc *desc, const tlvk_array *inputs, const tlvk_array *targets) {
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < TLVK_MAX_IO && inputs[i].values; i++) {
        st = add_input(d, &inputs[i], desc->borrow);
    }
    for (int i = 0; !st && i < TLVK_MAX_IO && targets[i].values; i++) {
        st = add_target(d, &targets[i], desc->borrow);
    }
    return st;
}

static tlvk_status from_arrays(const tlvk_context *ctx, const tlvk_array_desc *desc, tlvk_dataset **out) {
    tlvk_array inputs[TLVK_MAX_IO], targets[TLVK_MAX_IO];
    int rank = 0;
    int64_t row = 0;
    if (out) {
        *out = NULL;
    }
    if (!desc || !out || desc->batch_size < 0) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_dataset_from_arrays: needs a descriptor, batch_size not below 0, and an out pointer");
    }
    tlvk_status st = list_arrays(desc, inputs, targets);
    if (!st) {
        st = measure(&inputs[0], "input", 0, -1, &rank, &row);
    }
    tlvk_dataset *d = st ? NULL : tlvk__dataset_new(inputs[0].shape[0]);
    if (!d) {
        return st ? st : TLVK_ERROR_MEMORY;
    }
    d->no_shuffle = desc->no_shuffle;
    d->seed = desc->seed;
    d->batch_size = desc->batch_size ? desc->batch_size : 32;
    d->workers = tlvk__context_workers(ctx);
    st = fill(d, desc, inputs, targets);
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
