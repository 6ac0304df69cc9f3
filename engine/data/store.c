/* store.c - see store.h. */
#include "data/store.h"

#include <stdlib.h>
#include <string.h>

typedef enum place_kind { ELSEWHERE, STORED, REFUSED } place_kind;
typedef struct place {
    place_kind kind;
    uint64_t offset;
    size_t size;
    char *why;       /* REFUSED */
} place;

struct tlvk__store {
    place *places;
    int64_t samples;
    uint64_t bytes, used; /* room and what of it is taken */
    uint8_t *memory;
    FILE *file;           /* where memory is NULL */
};

uint64_t tlvk__store_memory_bytes(void) { return tlvk__host_memory_bytes() / 4; }

static tlvk_status open_file(const tlvk_context *ctx, tlvk__store *s) {
    const char *folder = ctx ? tlvk__context_cache_folder(ctx) : "";
    if (!folder[0])
        return tlvk__fail(TLVK_ERROR_MEMORY, "pictures of %llu bytes in archives are too many for memory, and there is no cache folder to put them into; "
                                             "unpack the archive and name the folder", (unsigned long long)s->bytes);
    tlvk__context_log(ctx, TLVK_LOG_INFO, "pictures of %llu bytes go to a temporary file in %s", (unsigned long long)s->bytes, folder);
    return tlvk__file_unnamed(folder, &s->file);
}

tlvk_status tlvk__store_create(const tlvk_context *ctx, int64_t samples, uint64_t bytes, uint64_t memory_bytes, tlvk__store **out) {
    tlvk__store *s = tlvk__calloc(1, sizeof *s);
    *out = NULL;
    if (s)
        s->places = tlvk__calloc((size_t)samples, sizeof *s->places);
    if (!s || !s->places) {
        free(s);
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a list of %lld pictures", (long long)samples);
    }
    s->samples = samples;
    s->bytes = bytes;
    if (bytes <= memory_bytes && bytes < SIZE_MAX)
        s->memory = malloc(bytes ? (size_t)bytes : 1);
    tlvk_status st = s->memory ? TLVK_OK : open_file(ctx, s);
    if (st)
        tlvk__store_destroy(s);
    else
        *out = s;
    return st;
}

void tlvk__store_destroy(tlvk__store *store) {
    if (!store)
        return;
    for (int64_t i = 0; i < store->samples; i++)
        free(store->places[i].why);
    if (store->file)
        fclose(store->file);
    free(store->memory);
    free(store->places);
    free(store);
}

tlvk_status tlvk__store_refuse(tlvk__store *s, int64_t sample, const char *why) {
    char *copy = tlvk__strdup(why);
    if (!copy)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to note an unreadable picture");
    free(s->places[sample].why);
    s->places[sample] = (place){.kind = REFUSED, .why = copy};
    return TLVK_OK;
}

static tlvk_status take(void *user, int64_t sample, const void *bytes, size_t size, const char *why) {
    tlvk__store *s = user;
    if (!bytes)
        return tlvk__store_refuse(s, sample, why);
    if (size > s->bytes - s->used)
        return tlvk__fail(TLVK_ERROR_FORMAT, "the archive holds more than its table of contents says");
    if (s->memory)
        memcpy(s->memory + s->used, bytes, size);
    else if (fwrite(bytes, 1, size, s->file) != size)
        return tlvk__fail(TLVK_ERROR_FILE, "the temporary file for pictures of archives cannot be written (%llu of %llu bytes): is the disk full?",
                          (unsigned long long)s->used, (unsigned long long)s->bytes);
    s->places[sample] = (place){.kind = STORED, .offset = s->used, .size = size};
    s->used += size;
    return TLVK_OK;
}

tlvk_status tlvk__store_fill(const tlvk_context *ctx, tlvk__store *s, const tlvk__archive *archive, tlvk__archive_wish *wishes, size_t count) {
    tlvk_status st = tlvk__archive_read(ctx, archive, wishes, count, take, s);
    if (!st && s->file && fflush(s->file) != 0)
        st = tlvk__fail(TLVK_ERROR_FILE, "the temporary file for pictures of archives cannot be written: is the disk full?");
    return st ? tlvk__fail_context(st, "%s", tlvk__archive_file(archive)) : TLVK_OK;
}

bool tlvk__store_has(const tlvk__store *store, int64_t sample) { return store && store->places[sample].kind != ELSEWHERE; }

tlvk_status tlvk__store_read(const tlvk__store *s, int64_t sample, void **bytes, size_t *size) {
    const place *p = &s->places[sample];
    if (p->kind != STORED)
        return tlvk__fail(TLVK_ERROR_FORMAT, "%s", p->why ? p->why : "not taken out of its archive");
    void *copy = malloc(p->size ? p->size : 1);
    if (!copy)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a picture of %zu bytes", p->size);
    if (s->memory) {
        memcpy(copy, s->memory + p->offset, p->size);
    } else if (!tlvk__file_read_at(s->file, p->offset, copy, p->size)) {
        free(copy);
        return tlvk__fail(TLVK_ERROR_FILE, "the temporary file with the pictures of archives cannot be read");
    }
    *bytes = copy;
    *size = p->size;
    return TLVK_OK;
}
