/* file_list.h - lists of picture files as Keras makes them. Private to engine/data. */
#ifndef TLVK_FILE_LIST_H
#define TLVK_FILE_LIST_H

#include "core/core.h"

/* Owned paths with their class numbers; zero-initialize, free with tlvk__file_list_free. */
typedef struct tlvk__file_entry {
    char *path;
    size_t folder_bytes; /* of `path`, without the slash before the name */
    int32_t label;
} tlvk__file_entry;
typedef struct tlvk__file_list {
    tlvk__file_entry *entries;
    size_t count, capacity;
} tlvk__file_list;

/* Appends the pictures (.bmp .gif .jpeg .jpg .png, any case) in `folder` and below, in Keras's order: folders by their whole path, names within
 * a folder, both by bytes. Links to folders below are not followed, links to files are. */
tlvk_status tlvk__file_list_walk(tlvk__file_list *list, const char *folder, int32_t label);
/* NumPy's shuffle of the whole list, as Keras does before it splits. */
tlvk_status tlvk__file_list_shuffle(tlvk__file_list *list, uint32_t seed);
void tlvk__file_list_free(tlvk__file_list *list);

/* "folder/name", with one slash between; malloc'd. */
char *tlvk__path_join(const char *folder, const char *name);

#endif
