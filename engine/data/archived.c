/* archived.c - hides how a dataset gets the pictures that its paths say lie in archives ("pets.zip//train/cat/1.jpg"): which archives those are, and
 * that each is read once more for exactly these pictures. */
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

typedef struct opened {
    const tlvk__archive *archive;
    tlvk__archive *own;              /* to be closed here */
    tlvk__archive_wish *wishes;
    size_t count, capacity;
} opened;

typedef struct gathering {
    const tlvk_context *ctx;
    tlvk_dataset *d;
    opened *archives;
    size_t count, capacity;
    uint64_t bytes;
    int64_t *missing;                /* samples whose archives do not have them */
    size_t missing_count, missing_capacity;
} gathering;

/* The archive whose file is the first `length` bytes of `path`, opened where it is not yet. */
static tlvk_status find_archive(gathering *g, const char *path, size_t length, opened **out) {
    for (size_t i = 0; i < g->count; i++) {
        const char *file = tlvk__archive_file(g->archives[i].archive);
        if (strlen(file) == length && memcmp(file, path, length) == 0) {
            *out = &g->archives[i];
            return TLVK_OK;
        }
    }
    opened *grown = tlvk__grow(g->archives, &g->capacity, g->count + 1, sizeof *grown);
    if (!grown)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a list of archives");
    g->archives = grown;
    char *file = tlvk__format("%.*s", (int)length, path);
    tlvk__archive *own = NULL;
    tlvk_status st = file ? tlvk__archive_open(g->ctx, file, &own) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a path");
    free(file);
    if (st)
        return st;
    *out = &g->archives[g->count++];
    **out = (opened){.archive = own, .own = own};
    return TLVK_OK;
}

static tlvk_status wish(gathering *g, opened *o, int64_t entry, int64_t sample) {
    tlvk__archive_wish *grown = tlvk__grow(o->wishes, &o->capacity, o->count + 1, sizeof *grown);
    if (!grown)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a list of pictures");
    o->wishes = grown;
    o->wishes[o->count++] = (tlvk__archive_wish){.entry = entry, .sample = sample};
    uint64_t size = tlvk__archive_size(o->archive, entry);
    if (size > TLVK__PICTURE_MAX_FILE_BYTES) /* is refused when it is read, and takes no room */
        return TLVK_OK;
    g->bytes += size;
    return g->bytes <= INT64_MAX ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "pictures of more than 2^63 bytes");
}

static tlvk_status note_missing(gathering *g, int64_t sample) {
    int64_t *grown = tlvk__grow(g->missing, &g->missing_capacity, g->missing_count + 1, sizeof *grown);
    if (!grown)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a list of pictures");
    g->missing = grown;
    g->missing[g->missing_count++] = sample;
    return TLVK_OK;
}

static tlvk_status gather(gathering *g) {
    tlvk_status st = TLVK_OK;
    for (int64_t i = 0; i < g->d->size && !st; i++) {
        size_t length;
        const char *inside;
        opened *o = NULL;
        if (!tlvk__archive_split(g->d->paths[i], &length, &inside))
            continue;
        st = find_archive(g, g->d->paths[i], length, &o);
        if (st)
            break;
        int64_t entry = tlvk__archive_find(o->archive, inside);
        st = entry < 0 ? note_missing(g, i) : wish(g, o, entry, i);
    }
    return st;
}

static tlvk_status fill(gathering *g, uint64_t memory_bytes) {
    tlvk_dataset *d = g->d;
    tlvk_status st = tlvk__store_create(g->ctx, d->size, g->bytes, memory_bytes, &d->store);
    for (size_t i = 0; i < g->count && !st; i++)
        st = tlvk__store_fill(g->ctx, d->store, g->archives[i].archive, g->archives[i].wishes, g->archives[i].count);
    for (size_t i = 0; i < g->missing_count && !st; i++)
        st = tlvk__store_refuse(d->store, g->missing[i], "no such file in the archive");
    return st;
}

tlvk_status tlvk__dataset_take_archived(const tlvk_context *ctx, tlvk_dataset *dataset, const tlvk__archive *archive, uint64_t memory_bytes) {
    gathering g = {.ctx = ctx, .d = dataset};
    tlvk_status st = TLVK_OK;
    if (archive) {
        g.archives = tlvk__grow(NULL, &g.capacity, 1, sizeof *g.archives);
        st = g.archives ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a list of archives");
        if (!st)
            g.archives[g.count++] = (opened){.archive = archive};
    }
    if (!st)
        st = gather(&g);
    if (!st && g.count > 0)
        st = fill(&g, memory_bytes);
    for (size_t i = 0; i < g.count; i++) {
        tlvk__archive_close(g.archives[i].own);
        free(g.archives[i].wishes);
    }
    free(g.archives);
    free(g.missing);
    return st;
}
