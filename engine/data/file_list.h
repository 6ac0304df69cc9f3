/* file_list.h - lists of picture files as Keras makes them. Private to engine/data. */
#ifndef TLVK_FILE_LIST_H
#define TLVK_FILE_LIST_H

#include "data/archive.h"

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

/* Where folders are: on the disk, or in an archive, whose paths then begin with root_bytes bytes that stand for its root ("pets.zip//"). */
typedef struct tlvk__tree {
    const tlvk__archive *archive; /* NULL: on the disk */
    size_t root_bytes;
} tlvk__tree;
tlvk_status tlvk__tree_list(const tlvk__tree *tree, const char *folder, tlvk__dir_entry **entries, size_t *count);

/* Appends the pictures (.bmp .gif .jpeg .jpg .png, any case) in `folder` and below, in Keras's order: folders by their whole path, names within
 * a folder, both by bytes. Links to folders below are not followed, links to files are; in an archive a link to a picture is an error. */
tlvk_status tlvk__file_list_walk(tlvk__file_list *list, const tlvk__tree *tree, const char *folder, int32_t label);
/* NumPy's shuffle of the whole list, as Keras does before it splits. */
tlvk_status tlvk__file_list_shuffle(tlvk__file_list *list, uint32_t seed);
void tlvk__file_list_free(tlvk__file_list *list);

/* Without the rules of a locale: extensions are ASCII. `end` is in lower case. */
bool tlvk__ends_with_any_case(const char *name, size_t length, const char *end);

/* "folder/name", with one slash between; malloc'd. */
char *tlvk__path_join(const char *folder, const char *name);

#endif
