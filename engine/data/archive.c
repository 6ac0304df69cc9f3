/* archive.c - see archive.h. Hides libarchive.
 *
 * Limits on what an archive may ask for: ENTRIES, NAME_BYTES and PARTS of a name for its table of contents; and unpacked, all that it holds may be RATIO
 * times the archive or FREE_BYTES, whichever is more. Photographs hardly compress; flat drawings come to 100 : 1; bombs to 1,000 : 1 and far beyond.
 * Listing a folder spells out its whole path, so that work and memory grow with the square of the depth. */
#include "data/archive.h"

#include "data/file_list.h"
#include "data/picture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ENTRIES ((size_t)1 << 22)
#define MAX_NAME_BYTES ((size_t)1 << 29)
#define MAX_PARTS 64
#define MAX_RATIO 250
#define FREE_BYTES ((uint64_t)1 << 30)
#define MAX_REOPENED 32

typedef enum entry_kind { A_FILE, A_FOLDER, A_LINK } entry_kind;
typedef struct entry {
    size_t name;      /* offset into names */
    uint64_t size;
    uint32_t number;  /* place in the archive's order */
    entry_kind kind;
} entry;

struct tlvk__archive {
    char *file;
    char *names;
    size_t names_used, names_capacity;
    entry *entries;   /* sorted by name; of equal names the archive's last */
    size_t count, capacity;
    uint64_t total, limit; /* bytes unpacked: so far, and at most */
};

/* --- paths ------------------------------------------------------------------------------------------------------------------------- */

static bool is_archive_name(const char *path, size_t length) {
    static const char *const ends[] = {".zip", ".tar", ".tar.gz", ".tgz"};
    for (size_t i = 0; i < TLVK__COUNT(ends); i++)
        if (tlvk__ends_with_any_case(path, length, ends[i]))
            return true;
    return false;
}

bool tlvk__archive_split(const char *path, size_t *file_bytes, const char **inside) {
    for (const char *p = strstr(path, "//"); p; p = strstr(p + 1, "//")) {
        char *file = tlvk__format("%.*s", (int)TLVK__MIN(p - path, 1 << 20), path);
        bool found = file && p > path && !tlvk__is_folder(file) && (is_archive_name(file, strlen(file)) || tlvk__is_file(file));
        free(file);
        if (found) {
            *file_bytes = (size_t)(p - path);
            *inside = p + strspn(p, "/");
            return true;
        }
    }
    *file_bytes = strlen(path);
    *inside = path + *file_bytes;
    return is_archive_name(path, *file_bytes) && tlvk__is_file(path);
}

const char *tlvk__archive_file(const tlvk__archive *archive) { return archive->file; }
static const char *name_of(const tlvk__archive *a, const entry *e) { return a->names + e->name; }

#if TLVK_WITH_ARCHIVE
#include <archive.h>
#include <archive_entry.h>

/* --- one pass over an archive -------------------------------------------------------------------------------------------------------- */

typedef struct pass {
    struct archive *handle;
    void *names;           /* what tlvk__utf8_names_begin gave */
    uint32_t next;         /* number of the entry that the next header is of */
} pass;

static void end_pass(pass *p) {
    archive_read_free(p->handle);
    tlvk__utf8_names_end(p->names);
    *p = (pass){0};
}

static tlvk_status fail_damaged(pass *p, const char *what) {
    const char *why = archive_error_string(p->handle);
    return tlvk__fail(archive_errno(p->handle) == ENOMEM ? TLVK_ERROR_MEMORY : TLVK_ERROR_FORMAT, "%s: %s", what, why ? why : "no reason given");
}

/* Only these formats: libarchive knows many more, each of which would be more code for a hostile file to reach. */
static tlvk_status begin_pass(const char *file, pass *p) {
    *p = (pass){.handle = archive_read_new(), .names = tlvk__utf8_names_begin()};
    if (!p->handle) {
        end_pass(p);
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to read an archive");
    }
    int r = archive_read_support_filter_gzip(p->handle);
    if (r >= ARCHIVE_WARN)
        r = archive_read_support_format_tar(p->handle);
    if (r >= ARCHIVE_WARN)
        r = archive_read_support_format_zip_seekable(p->handle);
    if (r >= ARCHIVE_WARN)
        r = archive_read_open_filename(p->handle, file, 1 << 16);
    tlvk_status st = r >= ARCHIVE_WARN ? TLVK_OK : fail_damaged(p, "not a whole .zip, .tar or .tar.gz file");
    if (!st && archive_filter_count(p->handle) > 2)
        st = tlvk__fail(TLVK_ERROR_UNSUPPORTED, "packed %d times over", archive_filter_count(p->handle) - 1);
    if (st)
        end_pass(p);
    return st;
}

/* *e NULL: the archive's end. */
static tlvk_status next_entry(const tlvk_context *ctx, pass *p, struct archive_entry **e) {
    *e = NULL;
    if (tlvk__context_cancelled(ctx))
        return tlvk__fail(TLVK_ERROR_CANCELLED, "cancelled at entry %" PRIu32, p->next);
    int r = archive_read_next_header(p->handle, e);
    if (r == ARCHIVE_EOF)
        *e = NULL;
    else if (r < ARCHIVE_WARN)
        return fail_damaged(p, "the archive is damaged");
    else
        p->next++;
    return TLVK_OK;
}

/* As UTF-8 where the archive says so, else as the bytes are. NULL: it has none. */
static const char *raw_name(struct archive_entry *e) {
    const char *name = archive_entry_pathname(e);
    return name ? name : archive_entry_pathname_utf8(e);
}

/* --- the table of contents -------------------------------------------------------------------------------------------------------------- */

/* Appends `raw` without "." parts and doubled slashes. *kept false: nothing is left of it, or it is macOS's. */
static tlvk_status add_name(tlvk__archive *a, const char *raw, size_t *offset, bool *kept) {
    size_t length = strlen(raw), need = 0;
    char *grown = tlvk__add_size(a->names_used, length + 2, &need) && need <= MAX_NAME_BYTES ? tlvk__grow(a->names, &a->names_capacity, need, 1) : NULL;
    if (!grown)
        return tlvk__fail(need > MAX_NAME_BYTES ? TLVK_ERROR_FORMAT : TLVK_ERROR_MEMORY, "the names of its files take more than %zu bytes", a->names_used);
    a->names = grown;
    char *name = grown + a->names_used, *end = name;
    if (raw[0] == '/')
        return tlvk__fail(TLVK_ERROR_FORMAT, "it has a file with an absolute name, \"%.200s\": refused", raw);
    *kept = true;
    int parts = 0;
    for (const char *p = raw; *p;) {
        size_t part = strcspn(p, "/");
        if (part == 2 && memcmp(p, "..", 2) == 0)
            return tlvk__fail(TLVK_ERROR_FORMAT, "it has a file outside of itself, \"%.200s\": refused", raw);
        *kept = *kept && !(part == 8 && memcmp(p, "__MACOSX", 8) == 0);
        if (part > 0 && !(part == 1 && *p == '.')) {
            if (++parts > MAX_PARTS)
                return tlvk__fail(TLVK_ERROR_FORMAT, "\"%.200s...\" lies more than %d folders deep: refused", raw, MAX_PARTS - 1);
            if (end > name)
                *end++ = '/';
            memcpy(end, p, part);
            end += part;
        }
        p += part + (p[part] == '/');
    }
    *end = '\0';
    *offset = a->names_used;
    *kept = *kept && end > name;
    return TLVK_OK;
}

static tlvk_status add_size(tlvk__archive *a, const char *name, int64_t size) {
    if (size < 0 || (uint64_t)size > a->limit - a->total)
        return tlvk__fail(TLVK_ERROR_FORMAT, "unpacked, \"%.200s\" and what stands before it would be more than %" PRIu64 " bytes: refused as a bomb", name,
                          a->limit);
    a->total += (uint64_t)size;
    return TLVK_OK;
}

static tlvk_status add_entry(tlvk__archive *a, struct archive_entry *e, uint32_t number) {
    const char *raw = raw_name(e);
    if (!raw)
        return tlvk__fail(TLVK_ERROR_FORMAT, "entry %" PRIu32 " has a name that is no text", number);
    if (archive_entry_is_data_encrypted(e) || archive_entry_is_metadata_encrypted(e))
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "\"%.200s\" is encrypted; unpack the archive with its password", raw);
    size_t offset = 0;
    bool kept = false;
    tlvk_status st = add_name(a, raw, &offset, &kept);
    bool link = archive_entry_filetype(e) == AE_IFLNK || archive_entry_hardlink(e) != NULL;
    bool folder = archive_entry_filetype(e) == AE_IFDIR, file = archive_entry_filetype(e) == AE_IFREG && !link;
    if (!st) /* links and folders may have contents too, which are unpacked to get past them */
        st = add_size(a, raw, archive_entry_size_is_set(e) ? (int64_t)archive_entry_size(e) : file ? -1 : 0);
    if (st || !kept || (!link && !folder && !file))
        return st;
    entry *grown = a->count < MAX_ENTRIES ? tlvk__grow(a->entries, &a->capacity, a->count + 1, sizeof *grown) : NULL;
    if (!grown)
        return tlvk__fail(a->count < MAX_ENTRIES ? TLVK_ERROR_MEMORY : TLVK_ERROR_FORMAT, "it has more than %zu files", a->count);
    a->entries = grown;
    a->entries[a->count++] = (entry){.name = offset, .size = file ? (uint64_t)archive_entry_size(e) : 0, .number = number,
                                     .kind = link ? A_LINK : folder ? A_FOLDER : A_FILE};
    a->names_used = offset + strlen(a->names + offset) + 1;
    return TLVK_OK;
}

/* qsort has no room for what names are relative to; the names do not move any more. */
typedef struct sort_key { const char *name; entry e; } sort_key;

static int compare_keys(const void *left, const void *right) {
    const sort_key *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : a->e.number < b->e.number ? -1 : 1;
}

/* By name; of files with one name the last stays, which unpacking would leave too. */
static tlvk_status sort_entries(tlvk__archive *a) {
    sort_key *keys = tlvk__calloc(a->count + 1, sizeof *keys);
    if (!keys)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to sort %zu names", a->count);
    for (size_t i = 0; i < a->count; i++)
        keys[i] = (sort_key){.name = name_of(a, &a->entries[i]), .e = a->entries[i]};
    if (a->count > 1)
        qsort(keys, a->count, sizeof *keys, compare_keys);
    size_t kept = 0;
    for (size_t i = 0; i < a->count; i++)
        if (i + 1 == a->count || strcmp(keys[i].name, keys[i + 1].name) != 0)
            a->entries[kept++] = keys[i].e;
    a->count = kept;
    free(keys);
    return TLVK_OK;
}

/* A .tar ends with blocks of zeros (POSIX, pax: at least two of 512 bytes). libarchive does without, and so would take a file that is cut off between
 * two files, or in one that it passes over, for whole. */
static tlvk_status check_tar_end(const char *file) {
    FILE *f = tlvk__file_open(file, "rb");
    uint64_t size = 0;
    uint8_t last[512] = {1};
    bool whole = f && tlvk__file_size(f, &size) && size >= sizeof last && tlvk__file_read_at(f, size - sizeof last, last, sizeof last);
    for (size_t i = 0; whole && i < sizeof last; i++)
        whole = last[i] == 0;
    if (f)
        fclose(f);
    return whole ? TLVK_OK : tlvk__fail(TLVK_ERROR_FORMAT, "its end is missing: the file is cut off");
}

static tlvk_status read_contents(const tlvk_context *ctx, tlvk__archive *a) {
    pass p;
    tlvk_status st = begin_pass(a->file, &p);
    if (st)
        return st;
    for (struct archive_entry *e; !(st = next_entry(ctx, &p, &e)) && e;)
        if ((st = add_entry(a, e, p.next - 1)) != TLVK_OK)
            break;
    bool plain_tar = (archive_format(p.handle) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR && archive_filter_count(p.handle) == 1;
    if (!st && plain_tar)
        st = check_tar_end(a->file);
    end_pass(&p);
    return st ? st : sort_entries(a);
}

static tlvk_status set_limit(tlvk__archive *a) {
    FILE *f = tlvk__file_open(a->file, "rb");
    uint64_t size = 0;
    if (!f)
        return TLVK_ERROR_FILE;
    bool known = tlvk__file_size(f, &size);
    fclose(f);
    if (!known)
        return tlvk__fail(TLVK_ERROR_FILE, "its size cannot be told");
    a->limit = TLVK__MAX(FREE_BYTES, size < INT64_MAX / MAX_RATIO ? size * MAX_RATIO : INT64_MAX);
    return TLVK_OK;
}

tlvk_status tlvk__archive_open(const tlvk_context *ctx, const char *file, tlvk__archive **out) {
    *out = NULL;
    if (!tlvk__is_file(file))
        return tlvk__fail(TLVK_ERROR_FILE, "%s: no such archive", file);
    tlvk__archive *a = tlvk__calloc(1, sizeof *a);
    if (a)
        a->file = tlvk__strdup(file);
    tlvk_status st = a && a->file ? set_limit(a) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory");
    if (!st)
        st = read_contents(ctx, a);
    if (st) {
        tlvk__archive_close(a);
        return tlvk__fail_context(st, "%s", file);
    }
    *out = a;
    return TLVK_OK;
}

/* --- files ---------------------------------------------------------------------------------------------------------------------------------- */

typedef enum outcome { WHOLE, BAD, DEAD } outcome; /* DEAD: bad, and the pass cannot go on */

/* The present entry's bytes into `bytes` (room for size + 1). One byte is asked for beyond the end, where checksums are compared. */
static outcome read_entry(pass *p, uint8_t *bytes, size_t size) {
    size_t used = 0;
    for (;;) {
        la_ssize_t got = archive_read_data(p->handle, bytes + used, size + 1 - used);
        if (got < 0)
            return got == ARCHIVE_FATAL ? DEAD : BAD;
        used += (size_t)got;
        if (got == 0 || used > size)
            break;
    }
    return used == size ? WHOLE : BAD;
}

typedef struct reading {
    const tlvk_context *ctx;
    const tlvk__archive *a;
    tlvk__archive_take take;
    void *user;
    pass p;
    uint8_t *bytes;
    size_t room;
    int reopened;
} reading;

/* Goes on to entry `number`; the archive must be the one whose contents were read. */
static tlvk_status seek_entry(reading *r, const entry *wanted, struct archive_entry **e) {
    tlvk_status st = TLVK_OK;
    do {
        st = next_entry(r->ctx, &r->p, e);
    } while (!st && *e && r->p.next - 1 < wanted->number);
    if (!st && (!*e || !raw_name(*e) || !archive_entry_size_is_set(*e) || (uint64_t)archive_entry_size(*e) != wanted->size))
        st = tlvk__fail(TLVK_ERROR_FORMAT, "it changed while it was read");
    return st;
}

/* A damaged file of a zip ends the pass in libarchive though the others are whole: the archive is opened again behind it. A gzip stream is lost. */
static tlvk_status after_dead(reading *r, const char *why) {
    bool zip = (archive_format(r->p.handle) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_ZIP;
    if (!zip || ++r->reopened > MAX_REOPENED)
        return tlvk__fail(TLVK_ERROR_FORMAT, "the archive is damaged: %s", why);
    uint32_t next = r->p.next;
    struct archive_entry *e;
    end_pass(&r->p);
    tlvk_status st = begin_pass(r->a->file, &r->p);
    while (!st && r->p.next < next) {
        st = next_entry(r->ctx, &r->p, &e);
        if (!st && !e)
            st = tlvk__fail(TLVK_ERROR_FORMAT, "it changed while it was read");
    }
    return st;
}

/* Gives one file to all `count` samples that wish for it. */
static tlvk_status give(const reading *r, const tlvk__archive_wish *wishes, size_t count, const void *bytes, size_t size, const char *why) {
    tlvk_status st = TLVK_OK;
    for (size_t i = 0; i < count && !st; i++)
        st = r->take(r->user, wishes[i].sample, bytes, size, why);
    return st;
}

/* Reads the one file that the `count` wishes are for. */
static tlvk_status read_wish(reading *r, const tlvk__archive_wish *wishes, size_t count) {
    const entry *wanted = &r->a->entries[wishes[0].entry];
    struct archive_entry *e;
    tlvk_status st = seek_entry(r, wanted, &e);
    if (st)
        return st;
    if (wanted->size > TLVK__PICTURE_MAX_FILE_BYTES)
        return give(r, wishes, count, NULL, 0, "larger than any picture that is read");
    uint8_t *grown = tlvk__grow(r->bytes, &r->room, (size_t)wanted->size + 1, 1);
    if (!grown)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a file of %" PRIu64 " bytes", wanted->size);
    r->bytes = grown;
    outcome how = read_entry(&r->p, r->bytes, (size_t)wanted->size);
    if (how == WHOLE)
        return give(r, wishes, count, r->bytes, (size_t)wanted->size, NULL);
    const char *said = archive_error_string(r->p.handle);
    char *why = tlvk__format("damaged in its archive: %s", said ? said : "its size is not what the archive says");
    if (!why)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory");
    st = give(r, wishes, count, NULL, 0, why);
    if (!st && how == DEAD)
        st = after_dead(r, said ? said : "no reason given");
    free(why);
    return st;
}

static int compare_wishes(const void *left, const void *right) {
    const tlvk__archive_wish *a = left, *b = right;
    return a->entry != b->entry ? (a->entry < b->entry ? -1 : 1) : a->sample < b->sample ? -1 : a->sample > b->sample;
}

/* From the archive's order of files (in `entry`) back to entries: numbers of one archive are unique. */
static tlvk_status sort_wishes(const tlvk__archive *a, tlvk__archive_wish *wishes, size_t count) {
    uint32_t last = 0;
    for (size_t i = 0; i < a->count; i++)
        last = TLVK__MAX(last, a->entries[i].number);
    int64_t *entry_of = tlvk__calloc((size_t)last + 1, sizeof *entry_of);
    if (!entry_of)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory to sort %zu files", count);
    for (size_t i = 0; i < count; i++) {
        uint32_t number = a->entries[wishes[i].entry].number;
        entry_of[number] = wishes[i].entry;
        wishes[i].entry = number;
    }
    if (count > 1)
        qsort(wishes, count, sizeof *wishes, compare_wishes);
    for (size_t i = 0; i < count; i++)
        wishes[i].entry = entry_of[wishes[i].entry];
    free(entry_of);
    return TLVK_OK;
}

tlvk_status tlvk__archive_read(const tlvk_context *ctx, const tlvk__archive *archive, tlvk__archive_wish *wishes, size_t count, tlvk__archive_take take,
                               void *user) {
    reading r = {.ctx = ctx, .a = archive, .take = take, .user = user};
    tlvk_status st = sort_wishes(archive, wishes, count);
    if (!st)
        st = begin_pass(archive->file, &r.p);
    for (size_t i = 0, same; i < count && !st; i += same) {
        for (same = 1; i + same < count && wishes[i + same].entry == wishes[i].entry; same++)
            continue;
        st = read_wish(&r, wishes + i, same);
    }
    if (r.p.handle)
        end_pass(&r.p);
    free(r.bytes);
    return st;
}

#else

tlvk_status tlvk__archive_open(const tlvk_context *ctx, const char *file, tlvk__archive **out) {
    (void)ctx;
    *out = NULL;
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: this library was built without libarchive; unpack the archive and name the folder", file);
}

tlvk_status tlvk__archive_read(const tlvk_context *ctx, const tlvk__archive *archive, tlvk__archive_wish *wishes, size_t count, tlvk__archive_take take,
                               void *user) {
    (void)ctx, (void)wishes, (void)count, (void)take, (void)user;
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: this library was built without libarchive", archive->file);
}

#endif

void tlvk__archive_close(tlvk__archive *archive) {
    if (!archive)
        return;
    free(archive->file);
    free(archive->names);
    free(archive->entries);
    free(archive);
}

/* --- looking inside ------------------------------------------------------------------------------------------------------------------------- */

/* The first entry whose name is not below `name`. */
static size_t lower_bound(const tlvk__archive *a, const char *name) {
    size_t low = 0, high = a->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(name_of(a, &a->entries[middle]), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* "a/b" of "a//b/", "" of ""; malloc'd, with room for one more character. */
static char *clean(const char *inside) {
    char *text = malloc(strlen(inside) + 2), *end = text;
    for (const char *p = inside; text && *p;) {
        size_t part = strcspn(p, "/");
        if (part > 0) {
            if (end > text)
                *end++ = '/';
            memcpy(end, p, part);
            end += part;
        }
        p += part + (p[part] == '/');
    }
    if (text)
        *end = '\0';
    return text;
}

int64_t tlvk__archive_find(const tlvk__archive *a, const char *inside) {
    char *name = clean(inside);
    size_t i = name ? lower_bound(a, name) : a->count;
    bool found = i < a->count && strcmp(name_of(a, &a->entries[i]), name) == 0 && a->entries[i].kind == A_FILE;
    free(name);
    return found ? (int64_t)i : -1;
}

uint64_t tlvk__archive_size(const tlvk__archive *a, int64_t number) { return a->entries[number].size; }

bool tlvk__archive_is_folder(const tlvk__archive *a, const char *inside) {
    char *name = clean(inside);
    bool found = name && !name[0];
    if (name && name[0]) {
        size_t exact = lower_bound(a, name);
        found = exact < a->count && strcmp(name_of(a, &a->entries[exact]), name) == 0 && a->entries[exact].kind == A_FOLDER;
        strcat(name, "/");
        size_t below = lower_bound(a, name);
        found = found || (below < a->count && strncmp(name_of(a, &a->entries[below]), name, strlen(name)) == 0);
    }
    free(name);
    return found;
}

static int compare_dir_entries(const void *left, const void *right) {
    return strcmp(((const tlvk__dir_entry *)left)->name, ((const tlvk__dir_entry *)right)->name);
}

/* Adds the first part of `rest`, a name below the folder that is listed, unless it is the folder that was added last. */
static tlvk_status add_part(tlvk__dir_entry **list, size_t *capacity, size_t *count, const char *rest, entry_kind kind) {
    size_t part = strcspn(rest, "/");
    bool folder = rest[part] == '/' || kind == A_FOLDER;
    if (folder && *count > 0 && (*list)[*count - 1].folder && strlen((*list)[*count - 1].name) == part && memcmp((*list)[*count - 1].name, rest, part) == 0)
        return TLVK_OK;
    tlvk__dir_entry *grown = tlvk__grow(*list, capacity, *count + 1, sizeof *grown);
    if (grown)
        *list = grown;
    char *name = grown ? tlvk__format("%.*s", (int)part, rest) : NULL;
    if (!name)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a list of files");
    grown[(*count)++] = (tlvk__dir_entry){.name = name, .folder = folder, .link = !folder && kind == A_LINK};
    return TLVK_OK;
}

/* A folder that stands in the table and has files below stands in the list twice, not always side by side ("a", "a-b", "a/c"). */
static void drop_doubles(tlvk__dir_entry *list, size_t *count) {
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        if (kept > 0 && list[i].folder && list[kept - 1].folder && strcmp(list[i].name, list[kept - 1].name) == 0)
            free(list[i].name);
        else
            list[kept++] = list[i];
    }
    *count = kept;
}

tlvk_status tlvk__archive_list(const tlvk__archive *a, const char *inside, tlvk__dir_entry **entries, size_t *count) {
    char *prefix = clean(inside);
    size_t capacity = 0, length = prefix ? strlen(prefix) : 0;
    *entries = NULL;
    *count = 0;
    tlvk_status st = prefix ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a list of files");
    if (!st && length > 0)
        memcpy(prefix + length++, "/", 2);
    for (size_t i = st ? a->count : lower_bound(a, prefix); i < a->count && !st; i++) {
        const char *name = name_of(a, &a->entries[i]);
        if (strncmp(name, prefix, length) != 0)
            break;
        st = add_part(entries, &capacity, count, name + length, a->entries[i].kind);
    }
    free(prefix);
    if (st) {
        tlvk__dir_entries_free(*entries, *count);
        *entries = NULL;
        *count = 0;
        return st;
    }
    if (*count > 1)
        qsort(*entries, *count, sizeof **entries, compare_dir_entries);
    drop_doubles(*entries, count);
    return TLVK_OK;
}
