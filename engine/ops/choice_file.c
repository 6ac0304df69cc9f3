/* choice_file.c - measured choices on disk, so that they are made once: a later run on the same device goes by the same ones.
 * Hides: the file's name and form: our mark, a hash of the rest, which device, driver and library it is for, and the entries. A file that is damaged or
 * somebody else's is ignored and written anew. */
#include "ops/choice.h"

#include "core/platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "tlvktu1"
#define MARK_BYTES 8
#define HASH_BYTES 16
#define LIMIT_BYTES ((size_t)16 << 20)
enum { WORDS = 2 + TLVK__CHOICE_NUMBERS + 1, ENTRY_BYTES = WORDS * 8 };

static tlvk__hash hash_of(const void *bytes, size_t size) {
    tlvk__hash h;
    tlvk__hash_init(&h);
    tlvk__hash_add(&h, bytes, size);
    return h;
}

/* What choices hold for: the device, its driver, and the kernels of this version; and the sizes that decide which kernels there are. */
static tlvk__hash owner_of(const tlvk__caps *caps) {
    const uint32_t numbers[] = {caps->vendor_id, caps->device_id, caps->driver_version, caps->subgroup_size, caps->shuffle_size, caps->subgroup_shuffle, caps->pair_stores};
    const uint64_t sizes[] = {caps->max_binding_bytes, caps->max_texels};
    const char *version = tlvk_version();
    tlvk__hash h;
    tlvk__hash_init(&h);
    tlvk__hash_add(&h, caps->driver_uuid, sizeof caps->driver_uuid);
    tlvk__hash_add(&h, caps->device_uuid, sizeof caps->device_uuid);
    tlvk__hash_add(&h, caps->name, strlen(caps->name));
    tlvk__hash_add(&h, caps->driver, strlen(caps->driver));
    tlvk__hash_add(&h, numbers, sizeof numbers);
    tlvk__hash_add(&h, sizes, sizeof sizes);
    tlvk__hash_add(&h, version, strlen(version));
    return h;
}

char *tlvk__choices_path(const tlvk__caps *caps, const char *folder) {
    tlvk__hash owner = owner_of(caps);
    char hex[33];
    tlvk__hash_hex(&owner, hex);
    return tlvk__format("%s/choices-%s.bin", folder, hex);
}

/* --- entries ------------------------------------------------------------------------------------------------------------------------------ */

size_t tlvk__choices_entry_bytes(void) { return ENTRY_BYTES; }

size_t tlvk__choices_write(const tlvk__choices *c, unsigned char *bytes) {
    size_t count = tlvk__choices_count(c);
    for (size_t i = 0; bytes && i < count; i++) {
        tlvk__choice_key key;
        int32_t value;
        tlvk__choices_at(c, i, &key, &value);
        int64_t words[WORDS] = {key.kind, key.pass};
        memcpy(words + 2, key.n, sizeof key.n);
        words[WORDS - 1] = value;
        memcpy(bytes + i * ENTRY_BYTES, words, ENTRY_BYTES);
    }
    return count * ENTRY_BYTES;
}

tlvk_status tlvk__choices_read(tlvk__choices *c, const unsigned char *bytes, size_t size) {
    tlvk_status status = size % ENTRY_BYTES ? tlvk__fail(TLVK_ERROR_FORMAT, "%zu bytes of kernel choices: entries have %d", size, ENTRY_BYTES) : TLVK_OK;
    for (size_t at = 0; !status && at < size; at += ENTRY_BYTES) {
        int64_t words[WORDS];
        memcpy(words, bytes + at, ENTRY_BYTES);
        tlvk__choice_key key = {.kind = words[0], .pass = words[1]};
        memcpy(key.n, words + 2, sizeof key.n);
        bool good = key.kind > 0 && key.kind < TLVK__CHOICE_KINDS && key.pass >= 0 && key.pass < 3 && words[WORDS - 1] >= 0 && words[WORDS - 1] <= INT32_MAX;
        for (int i = 0; i < TLVK__CHOICE_NUMBERS; i++)
            good = good && key.n[i] >= 0 && key.n[i] <= INT32_MAX;
        good = good && tlvk__choices_are_before(c, &key); /* as they are written; any other order would take quadratic time to sort in */
        status = good ? tlvk__choices_put(c, &key, (int32_t)words[WORDS - 1]) : tlvk__fail(TLVK_ERROR_FORMAT, "entry %zu of the kernel choices is none", at / ENTRY_BYTES);
    }
    return status;
}

/* --- the file ------------------------------------------------------------------------------------------------------------------------------ */

/* Reads into an empty table; TLVK_ERROR_FORMAT where the file is not one of ours, whole and for this device. */
static tlvk_status parse(const tlvk__caps *caps, const unsigned char *bytes, size_t size, tlvk__choices *into) {
    const size_t head = MARK_BYTES + 2 * HASH_BYTES;
    if (size < head || memcmp(bytes, MARK, MARK_BYTES) != 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "no file of kernel choices");
    tlvk__hash h = hash_of(bytes + MARK_BYTES + HASH_BYTES, size - MARK_BYTES - HASH_BYTES), owner = owner_of(caps);
    if (memcmp(bytes + MARK_BYTES, h.h, HASH_BYTES) != 0 || memcmp(bytes + MARK_BYTES + HASH_BYTES, owner.h, HASH_BYTES) != 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "kernel choices that are damaged or for another device");
    return tlvk__choices_read(into, bytes + head, size - head);
}

static tlvk_status copy_into(const tlvk__choices *from, tlvk__choices *into) {
    tlvk_status status = TLVK_OK;
    for (size_t i = 0; !status && i < tlvk__choices_count(from); i++) {
        tlvk__choice_key key;
        int32_t value;
        tlvk__choices_at(from, i, &key, &value);
        status = tlvk__choices_put(into, &key, value);
    }
    return status;
}

tlvk_status tlvk__choices_load(const tlvk__caps *caps, const char *path, tlvk__choices *into) {
    void *file = NULL;
    size_t size = 0;
    if (!tlvk__is_file(path) || tlvk__file_read(path, &file, &size, LIMIT_BYTES)) {
        tlvk__fail_clear();
        return TLVK_OK;
    }
    tlvk__choices *read = tlvk__choices_create();
    tlvk_status status = read ? parse(caps, file, size, read) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for kernel choices");
    if (!status)
        status = copy_into(read, into);
    tlvk__choices_destroy(read);
    free(file);
    if (status != TLVK_ERROR_FORMAT)
        return status;
    tlvk__fail_clear();
    return TLVK_OK;
}

static tlvk_status save(const tlvk__caps *caps, const char *path, const tlvk__choices *c) {
    const size_t head = MARK_BYTES + 2 * HASH_BYTES, size = head + tlvk__choices_write(c, NULL);
    if (size > LIMIT_BYTES)
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: %zu kernel choices are more than a file holds", path, tlvk__choices_count(c));
    unsigned char *bytes = tlvk__calloc(size, 1);
    if (!bytes)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for kernel choices");
    tlvk__hash owner = owner_of(caps);
    memcpy(bytes, MARK, MARK_BYTES);
    memcpy(bytes + MARK_BYTES + HASH_BYTES, owner.h, HASH_BYTES);
    tlvk__choices_write(c, bytes + head);
    tlvk__hash h = hash_of(bytes + MARK_BYTES + HASH_BYTES, size - MARK_BYTES - HASH_BYTES);
    memcpy(bytes + MARK_BYTES, h.h, HASH_BYTES);
    tlvk_status status = tlvk__file_replace(path, bytes, size);
    free(bytes);
    return status;
}

/* Another process that stores at this moment is waited for, for a second at most: then both have measured, and either may be the last to write. */
static tlvk__lock *lock(const char *path) {
    char *name = tlvk__format("%s.lock", path);
    tlvk__lock *held = NULL;
    for (int i = 0; name && !held && i < 50; i++) {
        if (tlvk__lock_try(name, &held))
            break;
        if (!held)
            tlvk__sleep_seconds(0.02);
    }
    free(name);
    return held;
}

tlvk_status tlvk__choices_store(const tlvk__caps *caps, const char *path, tlvk__choices *made) {
    char *folder = tlvk__strdup(path);
    tlvk__choices *stored = tlvk__choices_create();
    tlvk_status status = folder && stored ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for kernel choices");
    if (!status && strrchr(folder, '/')) {
        *strrchr(folder, '/') = '\0';
        status = tlvk__make_folders(folder);
    }
    tlvk__lock *held = status ? NULL : lock(path);
    if (!status)
        status = tlvk__choices_load(caps, path, stored);
    if (!status)
        status = copy_into(stored, made);
    if (!status)
        status = save(caps, path, made);
    tlvk__lock_release(held);
    tlvk__choices_destroy(stored);
    free(folder);
    return status;
}
