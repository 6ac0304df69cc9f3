/* keras_zip.c - reads and writes the zip of a .keras archive. Reading runs in the guarded child.
 *
 * Hides: libarchive, and what a hostile zip may say. The whole list of entries is checked before anything is unpacked: nothing is ever written to
 * disk, so that a name can lead nowhere, but an archive with names that would is refused all the same. */
#include "weights/keras_zip.h"

#include "core/platform.h"

#include <stdlib.h>
#include <string.h>

#if TLVK_WITH_ARCHIVE

#include <archive.h>
#include <archive_entry.h>
#include <jansson.h>

#define MAX_ENTRIES 4096
#define MAX_TEXT_BYTES ((uint64_t)64 << 20) /* of config.json */
#define BLOCK_BYTES ((size_t)1 << 20)
/* Keras stores its parts, at a ratio of 1; weights that somebody compressed come to a little over 1. */
#define ALWAYS_BYTES ((uint64_t)16 << 20)
#define MAX_RATIO 32

typedef struct zip {
    const char *path;
    uint64_t file_bytes, stated_bytes;
    char **names; size_t name_count, name_capacity;
    tlvk__keras_parts parts;
} zip;

static tlvk_status damaged(struct archive *a, const char *what) {
    const char *why = archive_error_string(a);
    return tlvk__fail(TLVK_ERROR_FORMAT, "a damaged zip: %s%s%s", what, why ? ": " : "", why ? why : "");
}

/* --- what the list of entries may say --- */

/* Leads nowhere but down from where the archive is unpacked. */
static bool is_inside(const char *name) {
    if (!*name || *name == '/' || *name == '\\' || strchr(name, ':'))
        return false;
    for (const char *part = name; *part;) {
        size_t length = strcspn(part, "/\\");
        if (length == 2 && part[0] == '.' && part[1] == '.')
            return false;
        part += length + (part[length] != '\0');
    }
    return true;
}

static tlvk_status keep_name(zip *z, const char *name) {
    for (size_t i = 0; i < z->name_count; i++)
        if (strcmp(z->names[i], name) == 0)
            return tlvk__fail(TLVK_ERROR_FORMAT, "the entry '%s' stands twice in the archive", name);
    char **grown = tlvk__grow(z->names, &z->name_capacity, z->name_count + 1, sizeof *grown);
    if (!grown || z->name_count == MAX_ENTRIES)
        return tlvk__fail(TLVK_ERROR_FORMAT, "the archive has more than %d entries", MAX_ENTRIES);
    z->names = grown;
    grown[z->name_count] = tlvk__strdup(name);
    return grown[z->name_count++] ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a name");
}

static tlvk_status check_entry(zip *z, struct archive_entry *e) {
    const char *name = archive_entry_pathname(e);
    if (!name)
        return tlvk__fail(TLVK_ERROR_FORMAT, "an entry's name is no text");
    if (!is_inside(name))
        return tlvk__fail(TLVK_ERROR_FORMAT, "the entry '%.200s' leads out of the archive", name);
    tlvk_status status = keep_name(z, name);
    if (status)
        return status;
    if (archive_entry_is_encrypted(e))
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "the entry '%.200s' is encrypted", name);
    if (archive_entry_filetype(e) == AE_IFDIR)
        return TLVK_OK;
    if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e) || archive_entry_symlink(e))
        return tlvk__fail(TLVK_ERROR_FORMAT, "the entry '%.200s' is no plain file", name);
    if (!archive_entry_size_is_set(e) || archive_entry_size(e) < 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "the entry '%.200s' does not state its size", name);
    z->stated_bytes += (uint64_t)archive_entry_size(e);
    if (z->stated_bytes > ALWAYS_BYTES && z->stated_bytes / MAX_RATIO > z->file_bytes)
        return tlvk__fail(TLVK_ERROR_FORMAT, "its entries state %llu bytes and more, which an archive of %llu bytes is not taken to hold",
                          (unsigned long long)z->stated_bytes, (unsigned long long)z->file_bytes);
    return TLVK_OK;
}

/* --- the parts --- */

/* The whole entry, with a zero behind it; malloc'd. Its stated size must be its size. */
static tlvk_status take_entry(struct archive *a, struct archive_entry *e, uint64_t limit, void **bytes, size_t *size) {
    const char *name = archive_entry_pathname(e);
    uint64_t stated = (uint64_t)archive_entry_size(e);
    if (stated > limit || stated >= SIZE_MAX)
        return tlvk__fail(TLVK_ERROR_FORMAT, "the entry '%s' states %llu bytes; at most %llu are taken", name, (unsigned long long)stated,
                          (unsigned long long)limit);
    char *data = malloc((size_t)stated + 1);
    if (!data)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the %llu bytes of '%s'", (unsigned long long)stated, name);
    *bytes = data;
    *size = 0;
    for (;;) {
        char beyond;
        bool full = *size == stated;
        la_ssize_t got = archive_read_data(a, full ? &beyond : data + *size, full ? 1 : TLVK__MIN((size_t)stated - *size, BLOCK_BYTES));
        if (got < 0)
            return damaged(a, name);
        if (got == 0)
            break;
        if (full)
            return tlvk__fail(TLVK_ERROR_FORMAT, "the entry '%s' holds more than the %llu bytes it states", name, (unsigned long long)stated);
        *size += (size_t)got;
    }
    if (*size != stated)
        return tlvk__fail(TLVK_ERROR_FORMAT, "the entry '%s' states %llu bytes and holds %zu", name, (unsigned long long)stated, *size);
    data[*size] = '\0';
    return TLVK_OK;
}

static tlvk_status take_text(struct archive *a, struct archive_entry *e, char **text) {
    void *bytes = NULL;
    size_t size = 0;
    tlvk_status status = take_entry(a, e, MAX_TEXT_BYTES, &bytes, &size);
    if (!status && strlen(bytes) != size)
        status = tlvk__fail(TLVK_ERROR_FORMAT, "the entry '%s' is no text", archive_entry_pathname(e));
    *text = bytes;
    return status;
}

static tlvk_status take_version(zip *z, const char *metadata) {
    json_t *root = json_loads(metadata, 0, NULL);
    const char *version = json_string_value(json_object_get(root, "keras_version"));
    z->parts.keras_version = tlvk__strdup(version ? version : "3");
    json_decref(root);
    return z->parts.keras_version ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory");
}

static tlvk_status visit(zip *z, struct archive *a, struct archive_entry *e, bool unpack) {
    const char *name = archive_entry_pathname(e);
    if (!unpack)
        return check_entry(z, e);
    char *metadata = NULL;
    tlvk_status status = TLVK_OK;
    if (strcmp(name, TLVK__KERAS_CONFIG) == 0)
        status = take_text(a, e, &z->parts.config);
    else if (strcmp(name, TLVK__KERAS_WEIGHTS) == 0)
        status = take_entry(a, e, UINT64_MAX, &z->parts.weights, &z->parts.weights_bytes);
    else if (strcmp(name, TLVK__KERAS_METADATA) == 0 && !(status = take_text(a, e, &metadata)))
        status = take_version(z, metadata);
    free(metadata);
    return status;
}

static tlvk_status walk(zip *z, bool unpack) {
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    if (!a)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory");
    archive_read_support_format_zip_seekable(a);
    tlvk_status status = archive_read_open_filename(a, z->path, BLOCK_BYTES) == ARCHIVE_OK ? TLVK_OK : damaged(a, "it cannot be opened");
    while (!status) {
        int result = archive_read_next_header(a, &e);
        if (result == ARCHIVE_EOF)
            break;
        status = result < ARCHIVE_WARN ? damaged(a, "its list of entries") : visit(z, a, e, unpack);
    }
    archive_read_free(a);
    return status;
}

static bool has_entry(const zip *z, const char *name) {
    for (size_t i = 0; i < z->name_count; i++)
        if (strcmp(z->names[i], name) == 0)
            return true;
    return false;
}

static tlvk_status check_list(const zip *z) {
    if (!has_entry(z, TLVK__KERAS_CONFIG))
        return tlvk__fail(TLVK_ERROR_FORMAT, "a zip without the entry '%s': no .keras file", TLVK__KERAS_CONFIG);
    if (!has_entry(z, TLVK__KERAS_WEIGHTS) && has_entry(z, "model.weights.npz"))
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "its weights are model.weights.npz, which is not read; model.weights.h5 is, which Keras writes by itself");
    if (!has_entry(z, TLVK__KERAS_WEIGHTS))
        return tlvk__fail(TLVK_ERROR_FORMAT, "a .keras file without the entry '%s'", TLVK__KERAS_WEIGHTS);
    return TLVK_OK;
}

tlvk_status tlvk__keras_child(void *path, FILE *out) {
    zip z = {.path = path};
    tlvk_status status = TLVK_OK;
    FILE *f = tlvk__file_open(path, "rb");
    if (!f || !tlvk__file_size(f, &z.file_bytes))
        status = tlvk__fail(TLVK_ERROR_FILE, "cannot read \"%s\"", (const char *)path);
    if (f)
        fclose(f);
    tlvk__guard_limit_seconds(TLVK__READ_SECONDS(z.file_bytes));
    tlvk__guard_limit_memory(2 * z.file_bytes + TLVK__SPARE_BYTES);
    if (!status)
        status = walk(&z, false);
    if (!status)
        status = check_list(&z);
    if (!status) {
        tlvk__guard_limit_memory(2 * TLVK__MAX(z.stated_bytes, z.file_bytes) + TLVK__SPARE_BYTES);
        status = walk(&z, true);
    }
    if (!status && (!z.parts.config || !z.parts.weights))
        status = tlvk__fail(TLVK_ERROR_FORMAT, "a damaged zip: its entries are not those of its list");
    if (!status)
        status = tlvk__h5_put_parts(&z.parts, out);
    for (size_t i = 0; i < z.name_count; i++)
        free(z.names[i]);
    free(z.names);
    free(z.parts.config);
    free(z.parts.keras_version);
    free(z.parts.weights);
    return status;
}

/* --- writing --- */

static tlvk_status write_bytes(struct archive *a, const void *bytes, size_t size) {
    while (size) {
        la_ssize_t done = archive_write_data(a, bytes, size);
        if (done <= 0)
            return tlvk__fail(TLVK_ERROR_FILE, "the archive could not be written: %s", archive_error_string(a) ? archive_error_string(a) : "no reason given");
        bytes = (const char *)bytes + done;
        size -= (size_t)done;
    }
    return TLVK_OK;
}

static tlvk_status write_file(struct archive *a, FILE *f) {
    char *block = malloc(BLOCK_BYTES);
    tlvk_status status = block ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory");
    for (size_t got; !status && (got = fread(block, 1, BLOCK_BYTES, f)) > 0;)
        status = write_bytes(a, block, got);
    if (!status && ferror(f))
        status = tlvk__fail(TLVK_ERROR_FILE, "the weights could not be read back");
    free(block);
    return status;
}

static tlvk_status write_part(struct archive *a, const tlvk__zip_part *part) {
    uint64_t size = part->size;
    FILE *f = part->file ? tlvk__file_open(part->file, "rb") : NULL;
    struct archive_entry *e = archive_entry_new();
    tlvk_status status = TLVK_OK;
    if ((part->file && (!f || !tlvk__file_size(f, &size) || !tlvk__file_seek(f, 0))) || !e)
        status = tlvk__fail(TLVK_ERROR_FILE, "the part '%s' cannot be read", part->name);
    if (!status) {
        archive_entry_set_pathname(e, part->name);
        archive_entry_set_size(e, (la_int64_t)size);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0600);
        archive_entry_set_mtime(e, 0, 0); /* before the dates of zip begin: taken as 1980-01-01 00:00 in every time zone */
        if (archive_write_header(a, e) != ARCHIVE_OK)
            status = tlvk__fail(TLVK_ERROR_FILE, "the archive could not be written: %s", archive_error_string(a) ? archive_error_string(a) : "no reason given");
    }
    if (!status)
        status = f ? write_file(a, f) : write_bytes(a, part->bytes, part->size);
    archive_entry_free(e);
    if (f)
        fclose(f);
    return status;
}

tlvk_status tlvk__zip_write(const char *path, const tlvk__zip_part *parts, int count) {
    struct archive *a = archive_write_new();
    if (!a)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory");
    archive_write_set_format_zip(a);
    archive_write_zip_set_compression_store(a);
    tlvk_status status = TLVK_OK;
    if (archive_write_open_filename(a, path) != ARCHIVE_OK)
        status = tlvk__fail(TLVK_ERROR_FILE, "the archive could not be written: %s", archive_error_string(a) ? archive_error_string(a) : "no reason given");
    for (int i = 0; !status && i < count; i++)
        status = write_part(a, &parts[i]);
    if (archive_write_close(a) != ARCHIVE_OK && !status)
        status = tlvk__fail(TLVK_ERROR_FILE, "the archive could not be written: %s", archive_error_string(a) ? archive_error_string(a) : "no reason given");
    archive_write_free(a);
    return status;
}

tlvk_status tlvk__zip_there(void) { return TLVK_OK; }

#else

tlvk_status tlvk__zip_there(void) {
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "a .keras file is a zip, and this build has no libarchive (TLVK_WITH_ARCHIVE)");
}

tlvk_status tlvk__keras_child(void *path, FILE *out) {
    (void)path, (void)out;
    return tlvk__zip_there();
}

tlvk_status tlvk__zip_write(const char *path, const tlvk__zip_part *parts, int count) {
    (void)path, (void)parts, (void)count;
    return tlvk__zip_there();
}

#endif
