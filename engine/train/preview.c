/* preview.c - the pictures that a fit with augmentation trains on, to be looked at. */
#include "train/training.h"

#include <stdlib.h>
#include <string.h>

typedef struct preview {
    tlvk_dataset *data;
    tlvk__task task;
    tlvk__session *session;
    tlvk__reader *reader;
    float *x, *y;               /* one batch before and behind the layers */
    int64_t *order, elements;
    uint64_t seed;
    int epoch, batch;
    int64_t count;              /* wanted */
    const char *folder;
} preview;

/* The forward pass of one batch: pictures of `step` of the epoch into y. */
static tlvk_status run_batch(const preview *p, int64_t step, int64_t n) {
    tlvk__shape input = p->task.inputs[0];
    input.dim[0] = n;
    tlvk__runner *runner;
    tlvk_status st = tlvk__session_runner(p->session, TLVK__WHOLE, TLVK__PLAN_PREDICT, &input, &runner);
    if (st) return st;
    tlvk__runner_put_input(runner, 0, 0, p->x);
    tlvk__augmentation_params(p->seed, p->epoch, step, tlvk__runner_params(runner, 0));
    st = tlvk__runner_submit(runner, 0);
    if (!st) st = tlvk__runner_wait(runner, 0);
    if (!st) tlvk__runner_get_output(runner, 0, 0, p->y);
    return st;
}

static tlvk_status write_batch(const preview *p, int64_t first, int64_t n) {
    tlvk_status st = TLVK_OK;
    for (int64_t i = 0; !st && i < n && first + i < p->count; i++) {
        char *path = tlvk__format("%s/%05lld.png", p->folder, (long long)(first + i));
        st = path ? tlvk__dataset_write_png(p->data, p->y + i * p->elements, path) : tlvk__fail(TLVK_ERROR_MEMORY, "preview: no memory");
        free(path);
    }
    return st;
}

static tlvk_status write_pictures(const preview *p, const tlvk_context *ctx) {
    int64_t written = 0;
    for (int64_t step = 0; written < p->count; step++) {
        int64_t n = 0;
        if (tlvk__context_cancelled(ctx)) return tlvk__fail(TLVK_ERROR_CANCELLED, "cancelled after %lld pictures", (long long)written);
        tlvk_status st = tlvk__reader_next(p->reader, &p->x, NULL, NULL, &n);
        if (st || n == 0) return st;
        if ((st = run_batch(p, step, n)) || (st = write_batch(p, written, n))) return st;
        written += n;
    }
    return TLVK_OK;
}

static tlvk_status prepare(preview *p, tlvk_model *augmentation) {
    tlvk_status st = tlvk__augmentation_check(augmentation, p->data);
    if (!st) st = tlvk__task_shapes(augmentation, p->data, &p->task);
    if (!st) st = tlvk__make_folders(p->folder);
    if (st) return st;
    size_t batch = (size_t)(p->batch = tlvk__batch_of(p->data));
    p->elements = tlvk__dataset_sample_elements(p->data, 0);
    p->x = tlvk__calloc(batch * (size_t)p->elements, sizeof *p->x);
    p->y = tlvk__calloc(batch * (size_t)p->elements, sizeof *p->y);
    p->order = tlvk__calloc((size_t)tlvk_dataset_size(p->data) + 1, sizeof *p->order);
    if (!p->x || !p->y || !p->order) return tlvk__fail(TLVK_ERROR_MEMORY, "preview: no memory for a batch of %d", p->batch);
    tlvk__session_desc d = { .random = true, .inputs = { p->task.inputs[0] } };
    st = tlvk__session_create(augmentation, &d, &p->session);
    tlvk__reader_desc reading = { .order = p->order, .batch = p->batch, .threads = tlvk__context_workers(augmentation->ctx) };
    reading.count = tlvk__dataset_order(p->data, p->seed, (uint64_t)p->epoch, p->order);
    return st ? st : tlvk__reader_create(p->data, &reading, &p->reader);
}

tlvk_status tlvk_augmentation_preview(tlvk_model *augmentation, tlvk_dataset *train, uint64_t seed, int epoch, int count, const char *folder) {
    tlvk_context *ctx = tlvk__model_context(augmentation);
    if (!augmentation || !train || !folder || epoch < 0 || count < 1 || tlvk_dataset_size(train) == 0) {
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_augmentation_preview: needs a model, data with pictures, a folder, epoch %d from 0 and count %d from 1", epoch, count));
    }
    tlvk__context_clear_cancel(ctx);
    preview p = { .data = train, .seed = seed, .epoch = epoch, .count = count, .folder = folder };
    tlvk_status st = prepare(&p, augmentation);
    if (!st) st = write_pictures(&p, ctx);
    tlvk__reader_destroy(p.reader);
    tlvk__session_destroy(p.session);
    free(p.x);
    free(p.y);
    free(p.order);
    return tlvk__context_fail(ctx, st);
}
