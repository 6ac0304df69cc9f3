/* platform_windows.c - platform.h on Windows. Hides: Win32, and that names are UTF-16 there: every name that comes in or goes out is translated. */
#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0601

#include "core/platform.h"

#include <windows.h>

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

struct tlvk__mutex { SRWLOCK lock; };
struct tlvk__cond { CONDITION_VARIABLE variable; };
struct tlvk__thread { HANDLE handle; void (*run)(void *user); void *user; };

/* --- threads and time ----------------------------------------------------------------------------------------------------- */

tlvk__mutex *tlvk__mutex_create(void) {
    tlvk__mutex *m = tlvk__calloc(1, sizeof *m);
    if (m)
        InitializeSRWLock(&m->lock);
    return m;
}

void tlvk__mutex_destroy(tlvk__mutex *m) { free(m); }
void tlvk__mutex_lock(tlvk__mutex *m) { AcquireSRWLockExclusive(&m->lock); }
void tlvk__mutex_unlock(tlvk__mutex *m) { ReleaseSRWLockExclusive(&m->lock); }

tlvk__cond *tlvk__cond_create(void) {
    tlvk__cond *c = tlvk__calloc(1, sizeof *c);
    if (c)
        InitializeConditionVariable(&c->variable);
    return c;
}

void tlvk__cond_destroy(tlvk__cond *c) { free(c); }
void tlvk__cond_wait(tlvk__cond *c, tlvk__mutex *m) { SleepConditionVariableSRW(&c->variable, &m->lock, INFINITE, 0); }
void tlvk__cond_broadcast(tlvk__cond *c) { WakeAllConditionVariable(&c->variable); }

static unsigned __stdcall thread_main(void *p) {
    tlvk__thread *t = p;
    t->run(t->user);
    return 0;
}

tlvk__thread *tlvk__thread_start(void (*run)(void *user), void *user) {
    tlvk__thread *t = tlvk__calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->run = run;
    t->user = user;
    t->handle = (HANDLE)_beginthreadex(NULL, 0, thread_main, t, 0, NULL);
    if (!t->handle) {
        free(t);
        return NULL;
    }
    return t;
}

void tlvk__thread_join(tlvk__thread *t) {
    if (!t)
        return;
    WaitForSingleObject(t->handle, INFINITE);
    CloseHandle(t->handle);
    free(t);
}

int tlvk__cpu_count(void) {
    DWORD count = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    return count < 1 ? 1 : count > 1024 ? 1024 : (int)count;
}

uint64_t tlvk__host_memory_bytes(void) {
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    return GlobalMemoryStatusEx(&status) ? status.ullTotalPhys : 0;
}

double tlvk__now_seconds(void) {
    LARGE_INTEGER now, per_second;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&per_second);
    return (double)now.QuadPart / (double)per_second.QuadPart;
}

void tlvk__sleep_seconds(double seconds) { Sleep(seconds <= 0 ? 0 : seconds > 1e6 ? 1000000000u : (DWORD)(seconds * 1e3 + 0.999)); }

/* --- names ------------------------------------------------------------------------------------------------------------------- */

/* UTF-16 of UTF-8, malloc'd; NULL, with the reason as the thread's last error, where it is no UTF-8 or memory is short. */
static wchar_t *wide(const char *text) {
    int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *out = length > 0 ? tlvk__calloc((size_t)length, sizeof *out) : NULL;
    if (length > 0 && !out)
        SetLastError(ERROR_NOT_ENOUGH_MEMORY);
    if (out)
        MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, out, length);
    return out;
}

/* The way back; NULL only where memory is short. A name that is no UTF-16 gets U+FFFD in its place. */
static char *narrow(const wchar_t *text) {
    int length = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *out = length > 0 ? tlvk__calloc((size_t)length, 1) : NULL;
    if (out)
        WideCharToMultiByte(CP_UTF8, 0, text, -1, out, length, NULL, NULL);
    return out;
}

/* Fails with the system's words for the thread's last error. */
static tlvk_status fail_system(const char *what, const char *path) {
    DWORD error = GetLastError();
    wchar_t words[256] = L"";
    DWORD length = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, error, 0, words, (DWORD)TLVK__COUNT(words), NULL);
    while (length > 0 && (words[length - 1] == L'\r' || words[length - 1] == L'\n' || words[length - 1] == L'.'))
        words[--length] = L'\0';
    char *text = length > 0 ? narrow(words) : NULL;
    bool memory = error == ERROR_NOT_ENOUGH_MEMORY || error == ERROR_OUTOFMEMORY;
    tlvk_status status = tlvk__fail(memory ? TLVK_ERROR_MEMORY : TLVK_ERROR_FILE, "%s \"%s\": %s (Windows' error %lu)", what, path,
                                    text ? text : "no reason given", error);
    free(text);
    return status;
}

/* --- files ------------------------------------------------------------------------------------------------------------------ */

bool tlvk__file_seek(FILE *f, uint64_t offset) { return offset <= (uint64_t)INT64_MAX && _fseeki64(f, (int64_t)offset, SEEK_SET) == 0; }

bool tlvk__file_size(FILE *f, uint64_t *size) {
    int64_t end = _fseeki64(f, 0, SEEK_END) == 0 ? _ftelli64(f) : -1;
    if (end >= 0) *size = (uint64_t)end;
    return end >= 0;
}

FILE *tlvk__file_open(const char *path, const char *mode) {
    wchar_t *name = wide(path), *how = name ? wide(mode) : NULL;
    FILE *f = how ? _wfopen(name, how) : NULL;
    if (!how)
        fail_system("cannot open", path);
    else if (!f)
        tlvk__fail(TLVK_ERROR_FILE, "cannot open \"%s\": %s", path, strerror(errno));
    free(name);
    free(how);
    return f;
}

static unsigned next_number(void) {
    static atomic_uint number;
    return atomic_fetch_add(&number, 1u);
}

char *tlvk__file_temp_name(const char *path) { return tlvk__format("%s.tmp-%lu-%u", path, GetCurrentProcessId(), next_number()); }

/* What was written to the file is on the disk afterwards. */
static bool flush(const wchar_t *name) {
    HANDLE file = CreateFileW(name, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL);
    bool ok = file != INVALID_HANDLE_VALUE && FlushFileBuffers(file);
    DWORD error = GetLastError();
    if (file != INVALID_HANDLE_VALUE)
        CloseHandle(file);
    SetLastError(error);
    return ok;
}

tlvk_status tlvk__file_rename(const char *from, const char *to) {
    tlvk_status status = TLVK_OK;
    wchar_t *source = wide(from), *target = source ? wide(to) : NULL;
    if (!source || !flush(source))
        status = fail_system("cannot flush", from);
    else if (!target || !MoveFileExW(source, target, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH))
        status = fail_system("cannot replace", to);
    free(source);
    free(target);
    return status;
}

void tlvk__file_remove(const char *path) {
    wchar_t *name = wide(path);
    if (name)
        DeleteFileW(name);
    free(name);
}

/* Reading by a handle moves its position; one of our own leaves f's alone. */
bool tlvk__file_read_at(FILE *f, uint64_t offset, void *bytes, size_t size) {
    HANDLE file = ReOpenFile((HANDLE)_get_osfhandle(_fileno(f)), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, 0);
    char *to = bytes;
    bool ok = file != INVALID_HANDLE_VALUE;
    while (ok && size > 0) {
        OVERLAPPED at = {.Offset = (DWORD)(offset & UINT32_MAX), .OffsetHigh = (DWORD)(offset >> 32)};
        DWORD got = 0;
        ok = ReadFile(file, to, (DWORD)TLVK__MIN(size, (size_t)1 << 30), &got, &at) && got > 0;
        to += got;
        offset += got;
        size -= got;
    }
    if (file != INVALID_HANDLE_VALUE)
        CloseHandle(file);
    return ok;
}

/* Windows has no file without a name; this one goes with its last handle. */
tlvk_status tlvk__file_unnamed(const char *folder, FILE **out) {
    *out = NULL;
    tlvk_status status = tlvk__make_folders(folder);
    if (status)
        return status;
    char *path = tlvk__format("%s/unnamed-%lu-%u", folder, GetCurrentProcessId(), next_number());
    wchar_t *name = path ? wide(path) : NULL;
    HANDLE file = name ? CreateFileW(name, GENERIC_READ | GENERIC_WRITE | DELETE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, CREATE_NEW,
                                     FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, NULL)
                       : INVALID_HANDLE_VALUE;
    if (file == INVALID_HANDLE_VALUE)
        status = path ? fail_system("cannot make", path) : tlvk__fail(TLVK_ERROR_MEMORY, "making a file in \"%s\": no memory", folder);
    int fd = status ? -1 : _open_osfhandle((intptr_t)file, _O_RDWR | _O_BINARY);
    *out = fd < 0 ? NULL : _fdopen(fd, "w+b");
    if (!status && !*out) {
        status = tlvk__fail(TLVK_ERROR_FILE, "cannot open \"%s\": %s", path, strerror(errno));
        if (fd >= 0)
            _close(fd);
        else
            CloseHandle(file);
    }
    free(path);
    free(name);
    return status;
}

/* --- locks and names ---------------------------------------------------------------------------------------------------------- */

struct tlvk__lock { HANDLE file; };

tlvk_status tlvk__lock_try(const char *path, tlvk__lock **lock) {
    *lock = NULL;
    wchar_t *name = wide(path);
    /* Shared with nobody, and gone when it is closed, also by the process's end. */
    HANDLE file = name ? CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, NULL) : INVALID_HANDLE_VALUE;
    DWORD error = GetLastError();
    free(name);
    if (file == INVALID_HANDLE_VALUE) {
        SetLastError(error);
        /* Until the last handle of a file that is being deleted is closed, nobody may open it. */
        bool busy = error == ERROR_SHARING_VIOLATION || (error == ERROR_ACCESS_DENIED && tlvk__is_file(path));
        return busy ? TLVK_OK : fail_system("cannot make the lock", path);
    }
    tlvk__lock *l = tlvk__calloc(1, sizeof *l);
    if (!l) {
        CloseHandle(file);
        return tlvk__fail(TLVK_ERROR_MEMORY, "locking \"%s\": no memory", path);
    }
    l->file = file;
    *lock = l;
    return TLVK_OK;
}

void tlvk__lock_release(tlvk__lock *lock) {
    if (!lock)
        return;
    CloseHandle(lock->file);
    free(lock);
}

void *tlvk__utf8_names_begin(void) { return NULL; }
void tlvk__utf8_names_end(void *before) { (void)before; }

/* --- folders ---------------------------------------------------------------------------------------------------------------- */

static DWORD attributes(const char *path) {
    wchar_t *name = wide(path);
    DWORD found = name ? GetFileAttributesW(name) : INVALID_FILE_ATTRIBUTES;
    free(name);
    return found;
}

bool tlvk__is_folder(const char *path) {
    DWORD found = attributes(path);
    return found != INVALID_FILE_ATTRIBUTES && (found & FILE_ATTRIBUTE_DIRECTORY);
}

bool tlvk__is_file(const char *path) {
    DWORD found = attributes(path);
    return found != INVALID_FILE_ATTRIBUTES && !(found & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_DEVICE));
}

static bool is_separator(char c) { return c == '/' || c == '\\'; }

static tlvk_status make_folder(const char *path) {
    wchar_t *name = wide(path);
    bool ok = name && CreateDirectoryW(name, NULL);
    DWORD error = GetLastError();
    free(name);
    ok = ok || tlvk__is_folder(path);
    SetLastError(error);
    return ok ? TLVK_OK : fail_system("cannot make folder", path);
}

tlvk_status tlvk__make_folders(const char *path) {
    char *part = tlvk__strdup(path);
    if (!part)
        return tlvk__fail(TLVK_ERROR_MEMORY, "making folder \"%s\": no memory", path);
    tlvk_status status = TLVK_OK;
    for (char *p = part; status == TLVK_OK && *p; p++) {
        bool last = p[1] == '\0', separates = is_separator(*p) && p > part && p[-1] != ':' && !is_separator(p[-1]);
        if (!last && !separates)
            continue;
        char kept = *p;
        if (separates)
            *p = '\0';
        status = make_folder(part);
        *p = kept;
    }
    free(part);
    return status;
}

static tlvk_status add_entry(const char *folder, const WIN32_FIND_DATAW *found, tlvk__dir_entry **list, size_t *capacity, size_t *count) {
    tlvk__dir_entry *grown = tlvk__grow(*list, capacity, *count + 1, sizeof **list);
    if (grown)
        *list = grown;
    char *name = narrow(found->cFileName);
    if (!grown || !name) {
        free(name);
        return tlvk__fail(TLVK_ERROR_MEMORY, "listing \"%s\": no memory for entry %zu", folder, *count);
    }
    bool link = (found->dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) &&
                (found->dwReserved0 == IO_REPARSE_TAG_SYMLINK || found->dwReserved0 == IO_REPARSE_TAG_MOUNT_POINT);
    grown[(*count)++] = (tlvk__dir_entry){.name = name, .folder = (found->dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0, .link = link};
    return TLVK_OK;
}

tlvk_status tlvk__list_folder(const char *path, tlvk__dir_entry **entries, size_t *count) {
    char *all = tlvk__format("%s/*", path);
    wchar_t *pattern = all ? wide(all) : NULL;
    WIN32_FIND_DATAW found;
    HANDLE search = pattern ? FindFirstFileW(pattern, &found) : INVALID_HANDLE_VALUE;
    DWORD error = GetLastError();
    free(all);
    free(pattern);
    SetLastError(error);
    if (search == INVALID_HANDLE_VALUE)
        return fail_system("cannot list folder", path);
    tlvk__dir_entry *list = NULL;
    size_t capacity = 0, used = 0;
    tlvk_status status = TLVK_OK;
    do {
        if (wcscmp(found.cFileName, L".") != 0 && wcscmp(found.cFileName, L"..") != 0)
            status = add_entry(path, &found, &list, &capacity, &used);
    } while (status == TLVK_OK && FindNextFileW(search, &found));
    if (status == TLVK_OK && GetLastError() != ERROR_NO_MORE_FILES)
        status = fail_system("cannot list folder", path);
    FindClose(search);
    if (status != TLVK_OK) {
        tlvk__dir_entries_free(list, used);
        return status;
    }
    tlvk__dir_entries_sort(list, used);
    *entries = list;
    *count = used;
    return TLVK_OK;
}

/* --- environment ------------------------------------------------------------------------------------------------------------ */

/* Values in UTF-8, kept to the process's end, since who asked holds on to them; one more where the same name has another value later. */
typedef struct kept_value { struct kept_value *next; char *name, *value; } kept_value;

static const char *keep(const char *name, char *value) {
    static SRWLOCK lock = SRWLOCK_INIT;
    static kept_value *first;
    AcquireSRWLockExclusive(&lock);
    kept_value *k = first;
    while (k && (strcmp(k->name, name) != 0 || strcmp(k->value, value) != 0))
        k = k->next;
    if (k) {
        free(value);
    } else {
        k = tlvk__calloc(1, sizeof *k);
        char *copy = tlvk__strdup(name);
        if (k && copy) {
            *k = (kept_value){.next = first, .name = copy, .value = value};
            first = k;
        } else {
            free(k);
            free(copy);
            free(value);
            k = NULL;
        }
    }
    ReleaseSRWLockExclusive(&lock);
    return k ? k->value : NULL;
}

const char *tlvk__env(const char *name) {
    wchar_t *key = wide(name);
    const wchar_t *found = key ? _wgetenv(key) : NULL;
    char *value = found ? narrow(found) : NULL;
    free(key);
    return value ? keep(name, value) : NULL;
}

const char *tlvk__home_folder(void) { return tlvk__env("USERPROFILE"); }

char *tlvk__default_cache_folder(void) {
    const char *own = tlvk__env("TLVK_CACHE_DIR"), *cache = tlvk__env("XDG_CACHE_HOME"), *local = tlvk__env("LOCALAPPDATA");
    if (own && *own)
        return tlvk__strdup(own);
    if (!cache || !*cache)
        cache = local;
    return cache && *cache ? tlvk__format("%s/tlvk", cache) : NULL;
}

/* --- guarded work: in place, as Windows has no fork ------------------------------------------------------------------------- */

void tlvk__guard_limit_seconds(uint64_t seconds) { (void)seconds; }
void tlvk__guard_limit_memory(uint64_t bytes) { (void)bytes; }

/* Everything that was written to f, malloc'd also when empty. */
static tlvk_status read_back(FILE *f, void **result, size_t *result_size) {
    uint64_t size = 0;
    bool ok = fflush(f) == 0 && tlvk__file_size(f, &size) && tlvk__file_seek(f, 0) && size < SIZE_MAX;
    char *bytes = ok ? malloc((size_t)size + 1) : NULL;
    if (ok && !bytes)
        return tlvk__fail(TLVK_ERROR_MEMORY, "reading guarded work: no memory for %llu bytes", (unsigned long long)size);
    if (!ok || fread(bytes, 1, (size_t)size, f) != size) {
        free(bytes);
        return tlvk__fail(TLVK_ERROR_FILE, "reading guarded work: %s", strerror(errno));
    }
    *result = bytes;
    *result_size = (size_t)size;
    return TLVK_OK;
}

tlvk_status tlvk__run_guarded(tlvk_status (*work)(void *user, FILE *out), void *user, void **result, size_t *result_size) {
    wchar_t name[MAX_PATH + 2];
    DWORD length = GetTempPathW((DWORD)TLVK__COUNT(name), name);
    char *folder = length > 0 && length < TLVK__COUNT(name) ? narrow(name) : NULL;
    FILE *f = NULL;
    tlvk_status status = folder ? tlvk__file_unnamed(folder, &f) : tlvk__fail(TLVK_ERROR_FILE, "starting guarded work: there is no folder for temporary files");
    if (!status)
        status = work(user, f);
    if (!status)
        status = read_back(f, result, result_size);
    if (f)
        fclose(f);
    free(folder);
    return status;
}
