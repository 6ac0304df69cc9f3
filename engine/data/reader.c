/* reader.c - hides the worker threads that decode ahead.
 *
 * Position p of the order is decoded into slot p modulo the ring's size. Workers take positions in rising order, no further than one ring ahead of
 * the consumer; the consumer takes slots in rising order too. So memory is bounded, and what a batch holds depends on the order alone, never on
 * which worker was faster. One mutex guards the counters and the slots' `done`; a slot's contents belong to the worker that took it until `done`
 * is set, and to the consumer until it moves on. */
#include "core/platform.h"
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

typedef struct slot {
    bool done;
    tlvk_status status;
    char *why; /* of a picture that cannot be read; NULL when memory is short for it */
    tlvk__hash hash;
} slot;

struct tlvk__reader {
    tlvk_dataset *dataset;
    int64_t *order;
    int64_t count;      /* positions to deliver */
    bool asked, hash;   /* asked: the order had samples before known failures were taken out */
    int batch;
    int64_t given;      /* samples delivered so far; consumer only */
    int64_t next_array; /* arrays: the next position; consumer only */

    slot *slots;
    float *pixels;      /* ring * elements of the one input of pictures */
    int64_t ring;
    tlvk__mutex *mutex;
    tlvk__cond *work, *ready; /* room for a worker; a slot done */
    int64_t taken, consumed;  /* positions given to workers, and let go by the consumer; under `mutex` */
    bool stop;                /* under `mutex` */
    tlvk__thread **threads;
    int thread_count;
};

/* --- workers ------------------------------------------------------------------------------------------------------------- */

static void read_into_slot(tlvk__reader *r, int64_t position) {
    const tlvk_dataset *d = r->dataset;
    slot *s = &r->slots[position % r->ring];
    float *x = r->pixels + (size_t)(position % r->ring) * (size_t)d->inputs[0].elements;
    s->status = tlvk__dataset_decode(d, r->order[position], x, r->hash ? &s->hash : NULL);
    s->why = s->status ? tlvk__strdup(tlvk__fail_text()) : NULL;
}

static void work(void *user) {
    tlvk__reader *r = user;
    tlvk__mutex_lock(r->mutex);
    for (;;) {
        while (!r->stop && r->taken < r->count && r->taken >= r->consumed + r->ring) {
            tlvk__cond_wait(r->work, r->mutex);
        }
        if (r->stop || r->taken >= r->count) {
            break;
        }
        int64_t position = r->taken++;
        tlvk__mutex_unlock(r->mutex);
        read_into_slot(r, position);
        tlvk__mutex_lock(r->mutex);
        r->slots[position % r->ring].done = true;
        tlvk__cond_broadcast(r->ready);
    }
    tlvk__mutex_unlock(r->mutex);
}

/* --- making and ending --------------------------------------------------------------------------------------------------- */

/* Copies the order without the samples already known to be unreadable. */
static tlvk_status copy_order(tlvk__reader *r, const tlvk__reader_desc *desc) {
    const tlvk_dataset *d = r->dataset;
    int64_t count = desc->order ? desc->count : d->size;
    if (count < 0) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "an order of %lld samples", (long long)count);
    }
    r->order = tlvk__calloc((size_t)count + 1, sizeof *r->order);
    if (!r->order) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for an order of %lld samples", (long long)count);
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t sample = desc->order ? desc->order[i] : i;
        if (sample < 0 || sample >= d->size) {
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "sample %lld in the order of a dataset of %lld", (long long)sample, (long long)d->size);
        }
        if (d->is_failed[sample] && d->strict) {
            return tlvk__fail(TLVK_ERROR_DATA, "%s: found unreadable before", d->paths[sample]);
        }
        if (!d->is_failed[sample]) {
            r->order[r->count++] = sample;
        }
    }
    r->asked = count > 0;
    return TLVK_OK;
}

static tlvk_status make_ring(tlvk__reader *r, int depth) {
    size_t values = 0, bytes = 0;
    r->ring = TLVK__MAX(TLVK__MIN((int64_t)r->batch * depth, r->count), 1);
    int64_t elements = r->dataset->inputs[0].elements;
    if (!tlvk__mul_size((size_t)r->ring, (size_t)elements, &values) || !tlvk__mul_size(values, sizeof(float), &bytes)) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "%lld decoded pictures of %lld values do not fit in memory", (long long)r->ring, (long long)elements);
    }
    r->slots = tlvk__calloc((size_t)r->ring, sizeof *r->slots);
    r->pixels = malloc(bytes);
    r->mutex = tlvk__mutex_create();
    r->work = tlvk__cond_create();
    r->ready = tlvk__cond_create();
    if (!r->slots || !r->pixels || !r->mutex || !r->work || !r->ready) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for %lld decoded pictures (%zu bytes)", (long long)r->ring, bytes);
    }
    return TLVK_OK;
}

/* Fewer threads than asked for are enough; none is an error. */
static tlvk_status start_threads(tlvk__reader *r, int threads) {
    int wanted = (int)TLVK__MIN((int64_t)TLVK__MAX(threads, 1), r->ring);
    r->threads = tlvk__calloc((size_t)wanted, sizeof *r->threads);
    if (!r->threads) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for %d threads", wanted);
    }
    while (r->thread_count < wanted) {
        tlvk__thread *t = tlvk__thread_start(work, r);
        if (!t) {
            break;
        }
        r->threads[r->thread_count++] = t;
    }
    return r->thread_count ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no thread could be started to decode pictures");
}

tlvk_status tlvk__reader_create(tlvk_dataset *dataset, const tlvk__reader_desc *desc, tlvk__reader **out) {
    *out = NULL;
    if (desc->batch < 0 || desc->depth < 0 || desc->threads < 0) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "reader: batch %d, depth %d, threads %d: none may be negative", desc->batch, desc->depth, desc->threads);
    }
    tlvk__reader *r = tlvk__calloc(1, sizeof *r);
    if (!r) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a reader");
    }
    r->dataset = dataset;
    r->hash = desc->hash;
    r->batch = desc->batch ? desc->batch : dataset->batch_size;
    tlvk_status st = copy_order(r, desc);
    if (!st && dataset->paths) {
        st = make_ring(r, desc->depth ? desc->depth : 2);
        if (!st && r->count > 0) {
            st = start_threads(r, desc->threads ? desc->threads : dataset->workers);
        }
    }
    if (st) {
        tlvk__reader_destroy(r);
        return st;
    }
    *out = r;
    return TLVK_OK;
}

void tlvk__reader_destroy(tlvk__reader *reader) {
    if (!reader) {
        return;
    }
    if (reader->thread_count) {
        tlvk__mutex_lock(reader->mutex);
        reader->stop = true;
        tlvk__cond_broadcast(reader->work);
        tlvk__mutex_unlock(reader->mutex);
    }
    for (int i = 0; i < reader->thread_count; i++) {
        tlvk__thread_join(reader->threads[i]);
    }
    for (int64_t i = 0; reader->slots && i < reader->ring; i++) {
        free(reader->slots[i].why);
    }
    if (reader->work) {
        tlvk__cond_destroy(reader->work);
    }
    if (reader->ready) {
        tlvk__cond_destroy(reader->ready);
    }
    if (reader->mutex) {
        tlvk__mutex_destroy(reader->mutex);
    }
    free(reader->threads);
    free(reader->slots);
    free(reader->pixels);
    free(reader->order);
    free(reader);
}

/* --- consuming ----------------------------------------------------------------------------------------------------------- */

typedef struct destination {
    float *const *x, *const *targets;
    int64_t *ids;
    int64_t row;
} destination;

/* `pixels` is the sample's one input where the data are pictures. */
static void deliver(tlvk__reader *r, int64_t sample, const float *pixels, destination *to) {
    const tlvk_dataset *d = r->dataset;
    for (int i = 0; i < d->input_count; i++) {
        const tlvk__data_input *in = &d->inputs[i];
        size_t elements = (size_t)in->elements;
        const float *x = pixels ? pixels : in->values + (size_t)sample * elements;
        memcpy(to->x[i] + (size_t)to->row * elements, x, elements * sizeof *x);
    }
    for (int i = 0; to->targets && i < d->target_count; i++) {
        tlvk__dataset_target(d, i, sample, to->targets[i] + (size_t)to->row * (size_t)d->targets[i].width);
    }
    if (to->ids) {
        to->ids[to->row] = sample;
    }
    to->row++;
    r->given++;
}

static slot *wait_for(tlvk__reader *r, int64_t position) {
    slot *s = &r->slots[position % r->ring];
    tlvk__mutex_lock(r->mutex);
    while (!s->done) {
        tlvk__cond_wait(r->ready, r->mutex);
    }
    tlvk__mutex_unlock(r->mutex);
    return s;
}

/* Gives the slot back to the workers. */
static void let_go(tlvk__reader *r, slot *s) {
    free(s->why);
    s->why = NULL;
    tlvk__mutex_lock(r->mutex);
    s->done = false;
    r->consumed++;
    tlvk__cond_broadcast(r->work);
    tlvk__mutex_unlock(r->mutex);
}

/* Notes the sample as unreadable. A lack of memory says nothing about the picture, so it ends the call and leaves the picture unjudged; so does
 * the first bad picture where every picture must be good. The slot is then kept, and the next call fails alike. */
static tlvk_status take_failure(tlvk__reader *r, int64_t sample, const slot *s) {
    const char *path = r->dataset->paths[sample];
    if (s->status == TLVK_ERROR_MEMORY || !s->why) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s", s->why ? s->why : path);
    }
    tlvk_status st = tlvk__dataset_mark_failed(r->dataset, sample, s->why);
    if (!st && r->dataset->strict) {
        st = tlvk__fail(TLVK_ERROR_DATA, "%s", s->why);
    }
    return st;
}

static tlvk_status next_picture(tlvk__reader *r, destination *to) {
    int64_t position = r->consumed, sample = r->order[position];
    slot *s = wait_for(r, position);
    if (s->status) {
        tlvk_status st = take_failure(r, sample, s);
        if (st) {
            return st;
        }
    } else {
        deliver(r, sample, r->pixels + (size_t)(position % r->ring) * (size_t)r->dataset->inputs[0].elements, to);
        if (r->hash) {
            r->dataset->hashes[sample] = s->hash;
            r->dataset->hash_known[sample] = 1;
        }
    }
    let_go(r, s);
    return TLVK_OK;
}

static tlvk_status none_readable(const tlvk_dataset *d) {
    return tlvk__fail(TLVK_ERROR_DATA, "none of %lld pictures can be read; the first: %s", (long long)d->failed_count,
                      d->failed_count ? d->failed[0] : "(none)");
}

tlvk_status tlvk__reader_next(tlvk__reader *reader, float *const *x, float *const *targets, int64_t *sample_ids, int64_t *valid_count) {
    tlvk__reader *r = reader;
    const tlvk_dataset *d = r->dataset;
    destination to = {.x = x, .targets = targets, .ids = sample_ids};
    tlvk_status st = TLVK_OK;
    *valid_count = 0;
    if (d->paths) {
        while (!st && to.row < r->batch && r->consumed < r->count) {
            st = next_picture(r, &to);
        }
    } else {
        while (to.row < r->batch && r->next_array < r->count) {
            deliver(r, r->order[r->next_array++], NULL, &to);
        }
    }
    if (st) {
        return st;
    }
    if (to.row == 0 && r->given == 0 && r->asked) {
        return none_readable(d);
    }
    *valid_count = to.row;
    return TLVK_OK;
}
