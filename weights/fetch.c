/* fetch.c - see fetch.h. The way of a file: NAME.lock is taken, NAME.part grows, is checked, and is renamed to NAME. */
#include "weights/fetch.h"

#include "core/platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_WAIT_SECONDS 0.1

char *tlvk__official_folder(tlvk_status *status) {
    const char *keras = tlvk__env("KERAS_HOME"), *home = tlvk__home_folder();
    char *folder = NULL;
    if ((!keras || !keras[0]) && (!home || !home[0])) {
        *status = tlvk__fail(TLVK_ERROR_FILE, "the cache of official weights has no place: neither KERAS_HOME nor HOME is set");
        return NULL;
    }
    folder = keras && keras[0] ? tlvk__format("%s/models", keras) : tlvk__format("%s/.keras/models", home);
    *status = folder ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "the cache of official weights: no memory");
    return folder;
}

/* The registry's address, or the same file on the mirror that $TLVK_WEIGHTS_URL names. malloc'd. */
static char *address_of(const tlvk__official *file) {
    const char *mirror = tlvk__env("TLVK_WEIGHTS_URL"), *host = strstr(file->address, "//"), *rest = host ? strchr(host + 2, '/') : NULL;
    if (!mirror || !mirror[0] || !rest)
        return tlvk__strdup(file->address);
    size_t length = strlen(mirror);
    while (length > 0 && mirror[length - 1] == '/')
        length--;
    return tlvk__format("%.*s%s", (int)TLVK__MIN(length, 4096), mirror, rest);
}

/* --- checking --------------------------------------------------------------------------------------------------------------------- */

static bool ends_in(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* Of files without a published hash: the beginning that its kind has. */
static tlvk_status check_signature(const tlvk__official *file, const char *path, const uint8_t *start, size_t size) {
    static const uint8_t hdf5[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};
    if (!ends_in(file->file, ".h5") || (size >= sizeof hdf5 && memcmp(start, hdf5, sizeof hdf5) == 0))
        return TLVK_OK;
    return tlvk__fail(TLVK_ERROR_FORMAT, "%s: it is not an HDF5 file", path);
}

/* Is the file at `path` the one that was published? `name` is what texts call it. */
static tlvk_status check_file(const tlvk_context *ctx, const tlvk__official *file, const char *path, const char *name) {
    FILE *f = tlvk__file_open(path, "rb");
    size_t room = (size_t)1 << 18, got;
    uint8_t *bytes = f ? malloc(room) : NULL;
    char found[TLVK__DIGEST_HEX];
    tlvk__digest digest;
    tlvk_status st = !f ? TLVK_ERROR_FILE : !bytes ? tlvk__fail(TLVK_ERROR_MEMORY, "checking %s: no memory", name) : TLVK_OK;
    tlvk__digest_init(&digest, file->hash_kind);
    for (bool first = true; !st && ((got = fread(bytes, 1, room, f)) > 0 || first); first = false) {
        if (first && !file->hash)
            st = check_signature(file, name, bytes, got);
        if (!file->hash)
            break;
        tlvk__digest_add(&digest, bytes, got);
        if (tlvk__context_cancelled(ctx))
            st = tlvk__fail(TLVK_ERROR_CANCELLED, "cancelled while %s was checked", name);
    }
    if (!st && ferror(f))
        st = tlvk__fail(TLVK_ERROR_FILE, "%s: cannot be read", name);
    tlvk__digest_hex(&digest, found);
    if (!st && file->hash && strcmp(found, file->hash) != 0)
        st = tlvk__fail(TLVK_ERROR_FORMAT, "%s: its %s is %s, and %s was published: it is damaged or another file", name,
                        file->hash_kind == TLVK__DIGEST_MD5 ? "MD5" : "SHA-256", found, file->hash);
    free(bytes);
    if (f)
        fclose(f);
    return st;
}

/* --- fetching ----------------------------------------------------------------------------------------------------------------------- */

typedef struct places {
    char *folder, *path, *part, *lock, *address;
} places;

static void free_places(places *p) {
    free(p->folder);
    free(p->path);
    free(p->part);
    free(p->lock);
    free(p->address);
}

static tlvk_status find_places(const tlvk__official *file, places *p) {
    tlvk_status st;
    p->folder = tlvk__official_folder(&st);
    if (st)
        return st;
    p->path = tlvk__format("%s/%s", p->folder, file->file);
    p->part = tlvk__format("%s/%s.part", p->folder, file->file);
    p->lock = tlvk__format("%s/%s.lock", p->folder, file->file);
    p->address = address_of(file);
    return p->path && p->part && p->lock && p->address ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory", file->file);
}

/* Looks for the file: *found only when it is there and right. A wrong one is an error under no_download, else said and fetched anew. */
static tlvk_status look(const tlvk_context *ctx, const tlvk__official *file, const places *p, bool *found) {
    *found = false;
    if (!tlvk__is_file(p->path))
        return TLVK_OK;
    tlvk_status st = check_file(ctx, file, p->path, p->path);
    *found = st == TLVK_OK;
    if (st != TLVK_ERROR_FORMAT || tlvk__context_desc(ctx)->no_download)
        return st;
    tlvk__context_log(ctx, TLVK_LOG_WARNING, "%s; it is fetched anew", tlvk__fail_text());
    return TLVK_OK;
}

static tlvk_status take_lock(const tlvk_context *ctx, const places *p, tlvk__lock **lock) {
    tlvk_status st;
    for (bool said = false; !(st = tlvk__lock_try(p->lock, lock)) && !*lock; said = true) {
        if (!said)
            tlvk__context_log(ctx, TLVK_LOG_INFO, "%s is being fetched by another process or thread; waiting", p->path);
        if (tlvk__context_cancelled(ctx))
            return tlvk__fail(TLVK_ERROR_CANCELLED, "cancelled while waiting for %s", p->lock);
        tlvk__sleep_seconds(LOCK_WAIT_SECONDS);
    }
    return st;
}

/* Under the lock: transfers, checks, renames. A part of an earlier run that turns out to be of another file is dropped, and all is fetched once more. */
static tlvk_status transfer(tlvk_context *ctx, const tlvk__official *file, const tlvk__fetch_how *how, const places *p) {
    tlvk_status st;
    tlvk__transfer t;
    for (bool go_on = file->hash != NULL;; go_on = false) {
        t = (tlvk__transfer){.address = p->address, .part = p->part, .go_on = go_on, .progress = how->progress, .user = how->user,
                             .settings = how->settings ? how->settings : &tlvk__transfer_patience};
        st = tlvk__transfer_run(ctx, &t);
        if (st)
            return st;
        st = check_file(ctx, file, p->part, p->address);
        if (st == TLVK_OK)
            return tlvk__file_rename(p->part, p->path);
        if (st != TLVK_ERROR_FORMAT)
            return st;
        tlvk__file_remove(p->part);
        if (!t.went_on)
            return st;
    }
}

static tlvk_status fetch(tlvk_context *ctx, const tlvk__official *file, const tlvk__fetch_how *how, const places *p) {
    bool found;
    tlvk__lock *lock = NULL;
    tlvk_status st = look(ctx, file, p, &found);
    if (st || found)
        return st;
    if (tlvk__context_desc(ctx)->no_download)
        return tlvk__fail(TLVK_ERROR_FILE, "%s is not there, and nothing is to be downloaded; get %s and put it at %s", file->file, p->address, p->path);
    st = tlvk__make_folders(p->folder);
    if (!st)
        st = take_lock(ctx, p, &lock);
    if (!st)
        st = look(ctx, file, p, &found); /* whoever had the lock may have fetched it */
    if (!st && !found) {
        tlvk__context_log(ctx, TLVK_LOG_INFO, "fetching %s to %s", p->address, p->path);
        st = transfer(ctx, file, how, p);
    }
    tlvk__lock_release(lock);
    if (st == TLVK_ERROR_FILE)
        st = tlvk__fail(st, "%s cannot be fetched: %s; get %s and put it at %s", file->file, tlvk__fail_text(), p->address, p->path);
    return st;
}

tlvk_status tlvk__official_fetch(tlvk_context *ctx, const tlvk__official *file, const tlvk__fetch_how *how, char **path) {
    static const tlvk__fetch_how defaults = {0};
    places p = {0};
    tlvk_status st = find_places(file, &p);
    if (!st)
        st = fetch(ctx, file, how ? how : &defaults, &p);
    *path = NULL;
    if (!st) {
        *path = p.path;
        p.path = NULL;
    }
    free_places(&p);
    return st;
}

tlvk_status tlvk_fetch(tlvk_context *ctx, const char *net, const tlvk_fetch_desc *desc, char **path) {
    tlvk__official file;
    if (path)
        *path = NULL;
    if (!ctx || !path)
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_fetch: %s is NULL", ctx ? "path" : "the context"));
    tlvk__context_clear_cancel(ctx);
    tlvk_status st = tlvk__official_find(net, desc, &file);
    if (!st)
        st = tlvk__official_fetch(ctx, &file, &(tlvk__fetch_how){.progress = desc ? desc->progress : NULL, .user = desc ? desc->user : NULL}, path);
    return tlvk__context_fail(ctx, st);
}

tlvk_status tlvk_fetch_info(tlvk_context *ctx, const char *net, const tlvk_fetch_desc *desc, tlvk_official_file *file) {
    tlvk__official found;
    if (!file)
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_fetch_info: file is NULL"));
    *file = (tlvk_official_file){0};
    tlvk_status st = tlvk__official_find(net, desc, &found);
    if (st)
        return tlvk__context_fail(ctx, st);
    snprintf(file->name, sizeof file->name, "%s", found.file);
    snprintf(file->address, sizeof file->address, "%s", found.address);
    snprintf(file->hash, sizeof file->hash, "%s", found.hash ? found.hash : "");
    return TLVK_OK;
}
