/* dataset.c - hides what a dataset keeps: sizes, labels, the order of an epoch, failed samples and content hashes. */
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

tlvk_dataset *tlvk__dataset_new(int64_t size) {
    tlvk_dataset *d = tlvk__calloc(1, sizeof *d);
    if (d) {
        d->size = size;
        d->is_failed = tlvk__calloc((size_t)size, sizeof *d->is_failed);
        d->hashes = tlvk__calloc((size_t)size, sizeof *d->hashes);
        d->hash_known = tlvk__calloc((size_t)size, sizeof *d->hash_known);
    }
    if (!d || !d->is_failed || !d->hashes || !d->hash_known) {
        tlvk_dataset_destroy(d);
        (void)tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a dataset of %lld samples", (long long)size);
        return NULL;
    }
    return d;
}

static void free_strings(char **strings, int64_t count) {
    for (int64_t i = 0; strings && i < count; i++) {
        free(strings[i]);
    }
    free(strings);
}

void tlvk_dataset_destroy(tlvk_dataset *dataset) {
    if (!dataset) {
        return;
    }
    free_strings(dataset->paths, dataset->size);
    tlvk__store_destroy(dataset->store);
    free_strings(dataset->class_names, dataset->targets[0].class_count);
    free_strings(dataset->failed, (int64_t)dataset->failed_count);
    for (int i = 0; i < TLVK_MAX_IO; i++) {
        free(dataset->inputs[i].owned);
        free(dataset->targets[i].labels);
        free(dataset->targets[i].owned);
    }
    free(dataset->is_failed);
    free(dataset->hashes);
    free(dataset->hash_known);
    free(dataset);
}

/* --- labels -------------------------------------------------------------------------------------------------------------- */

tlvk_status tlvk__dataset_set_labels(tlvk_dataset *d, tlvk_label_mode mode) {
    tlvk__data_target *t = &d->targets[0];
    t->width = 1;
    switch (mode) {
    case TLVK_LABEL_AUTO:
    case TLVK_LABEL_INT: t->kind = TLVK__LABELS_INT; return TLVK_OK;
    case TLVK_LABEL_CATEGORICAL:
        t->kind = TLVK__LABELS_CATEGORICAL;
        t->width = t->class_count;
        return TLVK_OK;
    case TLVK_LABEL_BINARY:
        t->kind = TLVK__LABELS_BINARY;
        if (t->class_count != 2) {
            return tlvk__fail(TLVK_ERROR_DATA, "binary labels need exactly 2 classes, there are %d", t->class_count);
        }
        return TLVK_OK;
    }
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "label_mode %d is none of tlvk_label_mode", (int)mode);
}

void tlvk__dataset_target(const tlvk_dataset *d, int target, int64_t sample, float *values) {
    const tlvk__data_target *t = &d->targets[target];
    size_t width = (size_t)t->width;
    if (t->values) {
        memcpy(values, t->values + (size_t)sample * width, width * sizeof *values);
    } else if (t->kind == TLVK__LABELS_CATEGORICAL) {
        memset(values, 0, width * sizeof *values);
        values[t->labels[sample]] = 1.0f;
    } else if (t->kind != TLVK__LABELS_NONE) {
        *values = (float)t->labels[sample];
    }
}

/* --- order, failures, hashes --------------------------------------------------------------------------------------------- */

int64_t tlvk__dataset_order(const tlvk_dataset *d, uint64_t seed, uint64_t epoch, int64_t *order) {
    for (int64_t i = 0; i < d->size; i++) {
        order[i] = i;
    }
    if (!d->no_shuffle) {
        /* The odd constant (2^64 over the golden ratio) spreads the dataset's seed over all bits before it meets the run's. */
        tlvk__rng rng;
        tlvk__rng_seed(&rng, seed ^ (d->seed * 0x9e3779b97f4a7c15u), epoch);
        for (int64_t i = d->size - 1; i >= 1; i--) {
            int64_t j = (int64_t)tlvk__rng_below(&rng, (uint64_t)i + 1);
            int64_t kept = order[i];
            order[i] = order[j];
            order[j] = kept;
        }
    }
    int64_t kept_count = 0;
    for (int64_t i = 0; i < d->size; i++) {
        if (!d->is_failed[order[i]]) {
            order[kept_count++] = order[i];
        }
    }
    return kept_count;
}

tlvk_status tlvk__dataset_mark_failed(tlvk_dataset *d, int64_t sample, const char *why) {
    if (d->is_failed[sample]) {
        return TLVK_OK;
    }
    char **grown = tlvk__grow(d->failed, &d->failed_capacity, d->failed_count + 1, sizeof *d->failed);
    char *text = tlvk__strdup(why);
    if (grown) {
        d->failed = grown;
    }
    if (!grown || !text) {
        free(text);
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to note an unreadable picture");
    }
    d->failed[d->failed_count++] = text;
    d->is_failed[sample] = 1;
    return TLVK_OK;
}

void tlvk__dataset_preprocess_hash(const tlvk_dataset *d, tlvk__hash *hash) {
    if (d->paths) {
        tlvk__picture_spec_hash(&d->spec, hash);
        return;
    }
    tlvk__hash_init(hash);
    for (int k = 0; k < d->input_count; k++) {
        const tlvk__shape *shape = &d->inputs[k].shape;
        for (int i = 0; i < shape->rank; i++) {
            tlvk__hash_add(hash, &shape->dim[i], sizeof shape->dim[i]);
        }
    }
}

tlvk_status tlvk__dataset_decode(const tlvk_dataset *d, int64_t sample, float *x, tlvk__hash *hash) {
    if (!tlvk__store_has(d->store, sample)) {
        return tlvk__picture_read(&d->spec, d->paths[sample], x, hash);
    }
    void *bytes = NULL;
    size_t size = 0;
    tlvk_status st = tlvk__store_read(d->store, sample, &bytes, &size);
    if (!st) {
        st = tlvk__picture_read_bytes(&d->spec, bytes, size, x, hash);
        free(bytes);
    }
    return st ? tlvk__fail_context(st, "%s", d->paths[sample]) : TLVK_OK;
}

/* The content hash of picture `sample` alone. */
static tlvk_status hash_picture(const tlvk_dataset *d, int64_t sample, tlvk__hash *hash) {
    if (!tlvk__store_has(d->store, sample)) {
        return tlvk__picture_hash_file(&d->spec, d->paths[sample], hash);
    }
    void *bytes = NULL;
    size_t size = 0;
    tlvk_status st = tlvk__store_read(d->store, sample, &bytes, &size);
    if (!st) {
        tlvk__picture_hash_bytes(&d->spec, bytes, size, hash);
        free(bytes);
    }
    return st ? tlvk__fail_context(st, "%s", d->paths[sample]) : TLVK_OK;
}

tlvk_status tlvk__dataset_sample_hash(tlvk_dataset *d, int64_t sample, tlvk__hash *hash) {
    if (sample < 0 || sample >= d->size) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "sample %lld of a dataset of %lld", (long long)sample, (long long)d->size);
    }
    if (!d->hash_known[sample]) {
        tlvk__hash h;
        if (d->paths) {
            tlvk_status st = hash_picture(d, sample, &h);
            if (st == TLVK_ERROR_MEMORY) {
                return st; /* says nothing about the picture */
            }
            if (st) {
                char *why = tlvk__strdup(tlvk__fail_text());
                tlvk_status noted = why ? tlvk__dataset_mark_failed(d, sample, why) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for an error's text");
                st = noted ? noted : tlvk__fail(st, "%s", why);
                free(why);
                return st;
            }
        } else {
            tlvk__dataset_preprocess_hash(d, &h);
            for (int k = 0; k < d->input_count; k++) {
                const tlvk__data_input *in = &d->inputs[k];
                tlvk__hash_add(&h, in->values + (size_t)sample * (size_t)in->elements, (size_t)in->elements * sizeof *in->values);
            }
        }
        d->hashes[sample] = h;
        d->hash_known[sample] = 1;
    }
    *hash = d->hashes[sample];
    return TLVK_OK;
}

/* --- accessors ----------------------------------------------------------------------------------------------------------- */

int tlvk__dataset_input_count(const tlvk_dataset *d) { return d->input_count; }
int tlvk__dataset_target_count(const tlvk_dataset *d) { return d->target_count; }
tlvk__shape tlvk__dataset_sample_shape(const tlvk_dataset *d, int input) { return d->inputs[input].shape; }
int64_t tlvk__dataset_sample_elements(const tlvk_dataset *d, int input) { return d->inputs[input].elements; }
tlvk__label_kind tlvk__dataset_label_kind(const tlvk_dataset *d, int target) { return d->targets[target].kind; }
int tlvk__dataset_target_width(const tlvk_dataset *d, int target) { return d->targets[target].width; }
int tlvk__dataset_target_classes(const tlvk_dataset *d, int target) { return d->targets[target].class_count; }
int tlvk__dataset_batch_size(const tlvk_dataset *d) { return d->batch_size; }

static bool has_sample(const tlvk_dataset *d, int64_t sample) { return d && sample >= 0 && sample < d->size; }

bool tlvk__dataset_is_failed(const tlvk_dataset *d, int64_t sample) { return has_sample(d, sample) && d->is_failed[sample]; }

int tlvk__dataset_target_label(const tlvk_dataset *d, int target, int64_t sample) {
    return d->targets[target].labels ? d->targets[target].labels[sample] : -1;
}

int64_t tlvk_dataset_size(const tlvk_dataset *dataset) { return dataset ? dataset->size : 0; }

int tlvk_dataset_class_count(const tlvk_dataset *dataset) { return dataset ? dataset->targets[0].class_count : 0; }

const char *tlvk_dataset_class_name(const tlvk_dataset *dataset, int index) {
    return dataset && dataset->class_names && index >= 0 && index < dataset->targets[0].class_count ? dataset->class_names[index] : NULL;
}

const char *tlvk_dataset_path(const tlvk_dataset *dataset, int64_t sample) {
    return has_sample(dataset, sample) && dataset->paths ? dataset->paths[sample] : NULL;
}

int tlvk_dataset_label(const tlvk_dataset *dataset, int64_t sample) {
    return has_sample(dataset, sample) ? tlvk__dataset_target_label(dataset, 0, sample) : -1;
}

int64_t tlvk_dataset_failed_count(const tlvk_dataset *dataset) { return dataset ? (int64_t)dataset->failed_count : 0; }

const char *tlvk_dataset_failed(const tlvk_dataset *dataset, int64_t index) {
    return dataset && index >= 0 && index < (int64_t)dataset->failed_count ? dataset->failed[index] : NULL;
}
