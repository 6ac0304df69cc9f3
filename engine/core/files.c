/* files.c - what platform.h says of files and is ISO C, the same on every system. */
#include "core/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Everything up to the end of f, at most `limit` bytes. `path` is for error texts. */
static tlvk_status read_all(FILE *f, const char *path, void **data, size_t *size, size_t limit) {
    char *bytes = NULL;
    size_t capacity = 0, used = 0;
    for (;;) {
        size_t need;
        char *grown = tlvk__add_size(used, 65536, &need) ? tlvk__grow(bytes, &capacity, need, 1) : NULL;
        if (!grown) {
            free(bytes);
            return tlvk__fail(TLVK_ERROR_MEMORY, "reading \"%s\": no memory behind %zu bytes", path, used);
        }
        bytes = grown;
        size_t got = fread(bytes + used, 1, capacity - used - 1, f);
        used += got;
        if (used > limit) {
            free(bytes);
            return tlvk__fail(TLVK_ERROR_FORMAT, "reading \"%s\": larger than the %zu bytes expected at most", path, limit);
        }
        if (got == 0)
            break;
    }
    if (ferror(f)) {
        free(bytes);
        return tlvk__fail(TLVK_ERROR_FILE, "cannot read \"%s\": %s", path, strerror(errno));
    }
    bytes[used] = '\0';
    *data = bytes;
    *size = used;
    return TLVK_OK;
}

tlvk_status tlvk__file_read(const char *path, void **data, size_t *size, size_t limit) {
    if (tlvk__is_folder(path))
        return tlvk__fail(TLVK_ERROR_FILE, "cannot read \"%s\": it is a folder", path);
    FILE *f = tlvk__file_open(path, "rb");
    if (!f)
        return TLVK_ERROR_FILE;
    tlvk_status status = read_all(f, path, data, size, limit);
    fclose(f);
    return status;
}

tlvk_status tlvk__file_replace(const char *path, const void *data, size_t size) {
    char *temp = tlvk__file_temp_name(path);
    if (!temp)
        return tlvk__fail(TLVK_ERROR_MEMORY, "writing \"%s\": no memory", path);
    tlvk_status status = TLVK_OK;
    FILE *f = tlvk__file_open(temp, "wb");
    if (!f) {
        free(temp);
        return TLVK_ERROR_FILE;
    }
    bool written = size == 0 || fwrite(data, 1, size, f) == size;
    if (fclose(f) != 0 || !written)
        status = tlvk__fail(TLVK_ERROR_FILE, "cannot write \"%s\": %s", temp, strerror(errno));
    if (status == TLVK_OK)
        status = tlvk__file_rename(temp, path);
    if (status != TLVK_OK)
        tlvk__file_remove(temp);
    free(temp);
    return status;
}

static int compare_entries(const void *a, const void *b) {
    return strcmp(((const tlvk__dir_entry *)a)->name, ((const tlvk__dir_entry *)b)->name);
}

void tlvk__dir_entries_sort(tlvk__dir_entry *entries, size_t count) {
    if (count > 1)
        qsort(entries, count, sizeof *entries, compare_entries);
}

void tlvk__dir_entries_free(tlvk__dir_entry *entries, size_t count) {
    for (size_t i = 0; entries && i < count; i++)
        free(entries[i].name);
    free(entries);
}
