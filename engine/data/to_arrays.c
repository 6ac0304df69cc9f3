/* to_arrays.c - hides how a dataset becomes arrays in memory: the way back from a folder of pictures to numbers. */
#include "core/context.h"
#include "data/data.h"

#include <stdlib.h>
#include <string.h>

typedef struct arrays {
    float *x, *y;
    int64_t x_row, y_row; /* values of a sample */
} arrays;

static tlvk_status reserve(arrays *a, int64_t samples) {
    int64_t x_count = 0, y_count = 0;
    if (!tlvk__mul_i64(samples, a->x_row, &x_count) || !tlvk__mul_i64(samples, a->y_row, &y_count)) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "%lld samples are too many for arrays", (long long)samples);
    }
    a->x = tlvk__calloc((size_t)x_count, sizeof *a->x);
    a->y = a->y_row ? tlvk__calloc((size_t)y_count, sizeof *a->y) : NULL;
    if (!a->x || (a->y_row && !a->y)) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for arrays of %lld samples", (long long)samples);
    }
    return TLVK_OK;
}

/* Readable samples, in the dataset's order. */
static tlvk_status read_all(tlvk_dataset *dataset, int workers, arrays *a, int64_t *count) {
    tlvk__reader *reader = NULL;
    tlvk_status st = tlvk__reader_create(dataset, &(tlvk__reader_desc){.threads = workers}, &reader);
    for (int64_t got = 1; !st && got > 0; *count += got) {
        float *x = a->x + *count * a->x_row, *y = a->y ? a->y + *count * a->y_row : NULL;
        st = tlvk__reader_next(reader, &x, y ? &y : NULL, NULL, &got);
        if (st) {
            break;
        }
    }
    tlvk__reader_destroy(reader);
    return st;
}

/* (count), and the sample's own dimensions where it has more than one value. */
static void give(float *values, int64_t count, const tlvk__shape *sample, tlvk_array *out) {
    *out = (tlvk_array){.values = values, .shape = {count}};
    for (int i = 0; i < sample->rank && i + 1 < TLVK_MAX_DIMS; i++) {
        out->shape[i + 1] = sample->dim[i];
    }
}

tlvk_status tlvk_dataset_to_arrays(tlvk_context *ctx, tlvk_dataset *dataset, tlvk_array *x, tlvk_array *y) {
    if (!dataset || !x) {
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_dataset_to_arrays: no %s", dataset ? "place for x" : "dataset"));
    }
    *x = (tlvk_array){0};
    if (y) {
        *y = (tlvk_array){0};
    }
    if (tlvk__dataset_input_count(dataset) > 1 || tlvk__dataset_target_count(dataset) > 1) {
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_dataset_to_arrays: %d inputs and %d targets; one of each is wanted",
                                                  tlvk__dataset_input_count(dataset), tlvk__dataset_target_count(dataset)));
    }
    const int width = y ? tlvk__dataset_target_width(dataset, 0) : 0;
    arrays a = {.x_row = tlvk__dataset_sample_elements(dataset, 0), .y_row = width};
    int64_t count = 0;
    tlvk_status st = reserve(&a, tlvk_dataset_size(dataset));
    st = st ? st : read_all(dataset, tlvk__context_workers(ctx), &a, &count);
    if (st) {
        free(a.x);
        free(a.y);
        return tlvk__context_fail(ctx, tlvk__fail_context(st, "tlvk_dataset_to_arrays"));
    }
    const tlvk__shape shape = tlvk__dataset_sample_shape(dataset, 0);
    give(a.x, count, &shape, x);
    if (y && width) {
        give(a.y, count, &(tlvk__shape){.rank = width > 1, .dim = {width}}, y);
    }
    return TLVK_OK;
}
