/* file_list.c - hides how Keras walks and orders folders.
 * Source: index_directory, index_subdirectory and iter_valid_files of keras/src/utils/dataset_utils.py (3.15). */
#include "data/file_list.h"

#include "core/platform.h"
#include "data/numpy_random.h"

#include <stdlib.h>
#include <string.h>

char *tlvk__path_join(const char *folder, const char *name) {
    size_t length = strlen(folder);
    const char *between = length == 0 || folder[length - 1] == '/' ? "" : "/";
    return tlvk__format("%s%s%s", folder, between, name);
}

bool tlvk__ends_with_any_case(const char *name, size_t length, const char *end) {
    size_t e = strlen(end);
    if (length < e) {
        return false;
    }
    for (size_t i = 0; i < e; i++) {
        char c = name[length - e + i];
        c = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        if (c != end[i]) {
            return false;
        }
    }
    return true;
}

static bool is_picture_name(const char *name) {
    static const char *const ends[] = {".bmp", ".gif", ".jpeg", ".jpg", ".png"};
    for (size_t i = 0; i < TLVK__COUNT(ends); i++) {
        if (tlvk__ends_with_any_case(name, strlen(name), ends[i])) {
            return true;
        }
    }
    return false;
}

static tlvk_status no_memory(void) { return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a list of files"); }

typedef struct folder_queue {
    char **paths;
    size_t count, capacity;
} folder_queue;

/* Takes ownership of `path`, which may be NULL for want of memory. */
static tlvk_status queue_folder(folder_queue *queue, char *path) {
    char **grown = path ? tlvk__grow(queue->paths, &queue->capacity, queue->count + 1, sizeof *queue->paths) : NULL;
    if (!grown) {
        free(path);
        return no_memory();
    }
    queue->paths = grown;
    queue->paths[queue->count++] = path;
    return TLVK_OK;
}

static tlvk_status add_file(tlvk__file_list *list, const char *folder, const char *name, int32_t label) {
    char *path = tlvk__path_join(folder, name);
    tlvk__file_entry *grown = path ? tlvk__grow(list->entries, &list->capacity, list->count + 1, sizeof *list->entries) : NULL;
    if (!grown) {
        free(path);
        return no_memory();
    }
    list->entries = grown;
    list->entries[list->count++] = (tlvk__file_entry){.path = path, .folder_bytes = strlen(folder), .label = label};
    return TLVK_OK;
}

tlvk_status tlvk__tree_list(const tlvk__tree *tree, const char *folder, tlvk__dir_entry **entries, size_t *count) {
    return tree->archive ? tlvk__archive_list(tree->archive, folder + tree->root_bytes, entries, count) : tlvk__list_folder(folder, entries, count);
}

static tlvk_status walk_one(tlvk__file_list *list, const tlvk__tree *tree, folder_queue *queue, const char *folder, int32_t label) {
    tlvk__dir_entry *entries = NULL;
    size_t count = 0;
    tlvk_status st = tlvk__tree_list(tree, folder, &entries, &count);
    for (size_t i = 0; i < count && !st; i++) {
        if (entries[i].folder) {
            if (!entries[i].link) {
                st = queue_folder(queue, tlvk__path_join(folder, entries[i].name));
            }
        } else if (is_picture_name(entries[i].name) && tree->archive && entries[i].link) {
            st = tlvk__fail(TLVK_ERROR_FORMAT, "%s/%s: a link, and links of an archive are not followed", folder, entries[i].name);
        } else if (is_picture_name(entries[i].name)) {
            st = add_file(list, folder, entries[i].name, label);
        }
    }
    tlvk__dir_entries_free(entries, count);
    return st;
}

/* By the whole folder path, then by name, as Python sorts them: "a-b/x" stands before "a/b/x", since '-' comes before '/'. */
static int compare_entries(const void *left, const void *right) {
    const tlvk__file_entry *a = left, *b = right;
    size_t shorter = TLVK__MIN(a->folder_bytes, b->folder_bytes);
    int order = memcmp(a->path, b->path, shorter);
    if (order == 0 && a->folder_bytes != b->folder_bytes) {
        order = a->folder_bytes < b->folder_bytes ? -1 : 1;
    }
    return order ? order : strcmp(a->path + a->folder_bytes, b->path + b->folder_bytes);
}

tlvk_status tlvk__file_list_walk(tlvk__file_list *list, const tlvk__tree *tree, const char *folder, int32_t label) {
    folder_queue queue = {0};
    size_t first = list->count;
    tlvk_status st = queue_folder(&queue, tlvk__strdup(folder));
    for (size_t i = 0; i < queue.count && !st; i++) {
        st = walk_one(list, tree, &queue, queue.paths[i], label);
    }
    if (list->count > first) {
        qsort(list->entries + first, list->count - first, sizeof *list->entries, compare_entries);
    }
    for (size_t i = 0; i < queue.count; i++) {
        free(queue.paths[i]);
    }
    free(queue.paths);
    return st;
}

tlvk_status tlvk__file_list_shuffle(tlvk__file_list *list, uint32_t seed) {
    int64_t *order = tlvk__calloc(list->count + 1, sizeof *order);
    tlvk__file_entry *shuffled = tlvk__calloc(list->count + 1, sizeof *shuffled);
    if (!order || !shuffled) {
        free(order);
        free(shuffled);
        return no_memory();
    }
    for (size_t i = 0; i < list->count; i++) {
        order[i] = (int64_t)i;
    }
    tlvk__numpy_shuffle(seed, order, (int64_t)list->count);
    for (size_t i = 0; i < list->count; i++) {
        shuffled[i] = list->entries[order[i]];
    }
    free(order);
    free(list->entries);
    list->entries = shuffled;
    list->capacity = list->count + 1;
    return TLVK_OK;
}

void tlvk__file_list_free(tlvk__file_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->entries[i].path);
    }
    free(list->entries);
    *list = (tlvk__file_list){0};
}
