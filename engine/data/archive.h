/* archive.h - pictures inside .zip, .tar and .tar.gz files. Private to engine/data.
 * Hides: libarchive, and that archives are hostile input: absolute names, "..", links, encrypted entries, bombs and truncated files are errors by
 * name, and nothing is ever written under a name from an archive.
 *
 * An archive is read from its beginning each time, since neither a gzip stream nor libarchive can be entered at a place of one's choice. So it is
 * read twice: once for its table of contents, and, when the dataset has chosen its pictures, once for these alone, whose bytes go to a store
 * (store.h) that any worker reads at any place. */
#ifndef TLVK_ARCHIVE_H
#define TLVK_ARCHIVE_H

#include "core/context.h"
#include "core/platform.h"

typedef struct tlvk__archive tlvk__archive;

/* "pets.zip//train" is the folder train of the archive pets.zip; "pets.zip" its root. True where `path` is of that form and the archive a file:
 * its name has *file_bytes bytes, and *inside points behind the slashes, "" for the root. */
bool tlvk__archive_split(const char *path, size_t *file_bytes, const char **inside);

/* Reads the table of contents. `ctx` (may be NULL) can cancel it. TLVK_ERROR_FORMAT: no such archive, damaged, hostile; TLVK_ERROR_UNSUPPORTED:
 * encrypted, or built without libarchive. */
tlvk_status tlvk__archive_open(const tlvk_context *ctx, const char *file, tlvk__archive **out);
void tlvk__archive_close(tlvk__archive *archive); /* takes NULL */
const char *tlvk__archive_file(const tlvk__archive *archive);

/* As tlvk__is_folder and tlvk__list_folder, within the archive; "" is the root. Links have `link` set and are nothing else. Folders called __MACOSX,
 * which macOS puts beside the files, are not there. */
bool tlvk__archive_is_folder(const tlvk__archive *archive, const char *inside);
tlvk_status tlvk__archive_list(const tlvk__archive *archive, const char *inside, tlvk__dir_entry **entries, size_t *count);

/* Number of the file of that name, for tlvk__archive_read; -1: there is none. */
int64_t tlvk__archive_find(const tlvk__archive *archive, const char *inside);
uint64_t tlvk__archive_size(const tlvk__archive *archive, int64_t entry); /* bytes, as the archive says */

typedef struct tlvk__archive_wish { int64_t entry, sample; } tlvk__archive_wish;
/* Is given each wish once: the file's bytes, or why they cannot be had (bytes NULL). */
typedef tlvk_status (*tlvk__archive_take)(void *user, int64_t sample, const void *bytes, size_t size, const char *why);
/* Reads the wished files in the archive's order; sorts `wishes`. A file that alone is damaged is given as such; a damaged archive is an error. */
tlvk_status tlvk__archive_read(const tlvk_context *ctx, const tlvk__archive *archive, tlvk__archive_wish *wishes, size_t count, tlvk__archive_take take,
                               void *user);

#endif
