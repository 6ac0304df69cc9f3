/* platform.h - the one door to the operating system: threads, clocks, files and folders.
 * Hides: POSIX (platform.c) and Win32 (platform_windows.c); files.c has what is the same on both. Names of files are UTF-8, and '/' parts them everywhere. */
#ifndef TLVK_PLATFORM_H
#define TLVK_PLATFORM_H

#include "core/core.h"
#include <stdio.h>

typedef struct tlvk__mutex tlvk__mutex;   /* created on the heap so that no platform type shows here */
typedef struct tlvk__cond tlvk__cond;
typedef struct tlvk__thread tlvk__thread;

tlvk__mutex *tlvk__mutex_create(void); /* NULL: no memory */
void tlvk__mutex_destroy(tlvk__mutex *m);
void tlvk__mutex_lock(tlvk__mutex *m);
void tlvk__mutex_unlock(tlvk__mutex *m);
tlvk__cond *tlvk__cond_create(void);
void tlvk__cond_destroy(tlvk__cond *c);
void tlvk__cond_wait(tlvk__cond *c, tlvk__mutex *m);
void tlvk__cond_broadcast(tlvk__cond *c);
tlvk__thread *tlvk__thread_start(void (*run)(void *user), void *user);
void tlvk__thread_join(tlvk__thread *t); /* frees it too */
int tlvk__cpu_count(void);
uint64_t tlvk__host_memory_bytes(void); /* physical memory; 0: unknown */

double tlvk__now_seconds(void); /* monotonic */
void tlvk__sleep_seconds(double seconds);

/* Files. A failing call leaves errno's words in tlvk__fail_text. */
tlvk_status tlvk__file_read(const char *path, void **data, size_t *size, size_t limit); /* malloc'd, one zero byte behind the end */
tlvk_status tlvk__file_replace(const char *path, const void *data, size_t size);        /* written beside, flushed, renamed */
char *tlvk__file_temp_name(const char *path);                                           /* "path.tmp-PID-N", malloc'd */
tlvk_status tlvk__file_rename(const char *from, const char *to);                        /* atomic replace */
void tlvk__file_remove(const char *path);
bool tlvk__is_folder(const char *path);
bool tlvk__is_file(const char *path);
tlvk_status tlvk__make_folders(const char *path); /* mkdir -p */
FILE *tlvk__file_open(const char *path, const char *mode);
bool tlvk__file_seek(FILE *f, uint64_t offset);      /* from the start; files over 2 GiB too */
bool tlvk__file_size(FILE *f, uint64_t *size);

/* Reads exactly `size` bytes at `offset` without moving f's position, so that threads may share f. Short reads are failures. */
bool tlvk__file_read_at(FILE *f, uint64_t offset, void *bytes, size_t size);
/* A new file in `folder` (made where missing) for reading and writing that has no name and goes when it is closed. */
tlvk_status tlvk__file_unnamed(const char *folder, FILE **out);

/* A lock that one holder has at a time, among threads and processes; it is advisory and shows as a file while it is held.
 * *lock is NULL with TLVK_OK where somebody else holds it. Where the file system knows no locks, everybody gets it. */
typedef struct tlvk__lock tlvk__lock;
tlvk_status tlvk__lock_try(const char *path, tlvk__lock **lock);
void tlvk__lock_release(tlvk__lock *lock); /* takes NULL */

/* File names in this thread are UTF-8 until the end is called with what the begin returned, whatever the program's locale: libraries that translate
 * names (libarchive) ask the locale. NULL, and nothing changed, where the system has no such locale. */
void *tlvk__utf8_names_begin(void);
void tlvk__utf8_names_end(void *before);

typedef struct tlvk__dir_entry { char *name; bool folder; bool link; } tlvk__dir_entry; /* folder: of what a link points to; link: the entry is a symbolic link */
tlvk_status tlvk__list_folder(const char *path, tlvk__dir_entry **entries, size_t *count); /* sorted by bytes; "." and ".." left out; links followed */
void tlvk__dir_entries_sort(tlvk__dir_entry *entries, size_t count); /* by the bytes of their names */
void tlvk__dir_entries_free(tlvk__dir_entry *entries, size_t count);
const char *tlvk__env(const char *name); /* NULL: not set; stays as it is until the program changes its environment */
const char *tlvk__home_folder(void);     /* the user's, as Python's os.path.expanduser("~") takes it; NULL: cannot be told */
/* $TLVK_CACHE_DIR, else $XDG_CACHE_HOME/tlvk, else ~/.cache/tlvk, on Windows %LOCALAPPDATA%/tlvk; malloc'd, NULL when none can be told. */
char *tlvk__default_cache_folder(void);

/* Runs `work` in a child process and copies what it wrote to the pipe; a crash in the child becomes TLVK_ERROR_FORMAT here.
 * Where the platform has no fork, runs it in place. Used to keep a hostile HDF5 file out of the caller's address space. */
tlvk_status tlvk__run_guarded(tlvk_status (*work)(void *user, FILE *out), void *user, void **result, size_t *result_size);
/* Called by guarded work: a child that uses more processor time than this is ended, as libhdf5 never does by itself on some damaged files.
 * Without effect where the work runs in place. */
void tlvk__guard_limit_seconds(uint64_t seconds);
/* Likewise: what the child may take of memory above what it had at the first such call. Without effect where the system does not tell what a process
 * has, and under sanitizers, which reserve terabytes. */
void tlvk__guard_limit_memory(uint64_t bytes);

#endif
