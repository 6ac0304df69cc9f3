/* platform.c - threads, clocks, files, folders and guarded processes on POSIX; platform_windows.c is the same on Windows, and CMake takes one of them.
 * Hides: every POSIX header; nothing else of the library includes one. */
#define _POSIX_C_SOURCE 200809L

#include "core/platform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct tlvk__mutex { pthread_mutex_t mutex; };
struct tlvk__cond { pthread_cond_t cond; };
struct tlvk__thread { pthread_t thread; void (*run)(void *user); void *user; };

/* --- threads and time ----------------------------------------------------------------------------------------------------- */

tlvk__mutex *tlvk__mutex_create(void) {
    tlvk__mutex *m = tlvk__calloc(1, sizeof *m);
    if (m && pthread_mutex_init(&m->mutex, NULL) != 0) {
        free(m);
        return NULL;
    }
    return m;
}

void tlvk__mutex_destroy(tlvk__mutex *m) {
    if (!m)
        return;
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

void tlvk__mutex_lock(tlvk__mutex *m) { pthread_mutex_lock(&m->mutex); }
void tlvk__mutex_unlock(tlvk__mutex *m) { pthread_mutex_unlock(&m->mutex); }

tlvk__cond *tlvk__cond_create(void) {
    tlvk__cond *c = tlvk__calloc(1, sizeof *c);
    if (c && pthread_cond_init(&c->cond, NULL) != 0) {
        free(c);
        return NULL;
    }
    return c;
}

void tlvk__cond_destroy(tlvk__cond *c) {
    if (!c)
        return;
    pthread_cond_destroy(&c->cond);
    free(c);
}

void tlvk__cond_wait(tlvk__cond *c, tlvk__mutex *m) { pthread_cond_wait(&c->cond, &m->mutex); }
void tlvk__cond_broadcast(tlvk__cond *c) { pthread_cond_broadcast(&c->cond); }

static void *thread_main(void *p) {
    tlvk__thread *t = p;
    t->run(t->user);
    return NULL;
}

tlvk__thread *tlvk__thread_start(void (*run)(void *user), void *user) {
    tlvk__thread *t = tlvk__calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->run = run;
    t->user = user;
    if (pthread_create(&t->thread, NULL, thread_main, t) != 0) {
        free(t);
        return NULL;
    }
    return t;
}

void tlvk__thread_join(tlvk__thread *t) {
    if (!t)
        return;
    pthread_join(t->thread, NULL);
    free(t);
}

int tlvk__cpu_count(void) {
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > 1024 ? 1024 : (int)count;
}

uint64_t tlvk__host_memory_bytes(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

double tlvk__now_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void tlvk__sleep_seconds(double seconds) {
    struct timespec t = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        continue;
}

/* --- files ------------------------------------------------------------------------------------------------------------------ */

static tlvk_status fail_errno(const char *what, const char *path) {
    return tlvk__fail(errno == ENOMEM ? TLVK_ERROR_MEMORY : TLVK_ERROR_FILE, "%s \"%s\": %s", what, path, strerror(errno));
}

bool tlvk__file_seek(FILE *f, uint64_t offset) { return offset <= (uint64_t)INT64_MAX && fseeko(f, (off_t)offset, SEEK_SET) == 0; }

bool tlvk__file_size(FILE *f, uint64_t *size) {
    off_t end = fseeko(f, 0, SEEK_END) == 0 ? ftello(f) : -1;
    if (end >= 0) *size = (uint64_t)end;
    return end >= 0;
}

FILE *tlvk__file_open(const char *path, const char *mode) {
    FILE *f = fopen(path, mode);
    if (!f)
        fail_errno("cannot open", path);
    return f;
}

char *tlvk__file_temp_name(const char *path) {
    static atomic_uint number;
    return tlvk__format("%s.tmp-%ld-%u", path, (long)getpid(), atomic_fetch_add(&number, 1u));
}

/* Makes the renaming itself last through a power cut; a file system that cannot do it is no reason to fail. */
static void sync_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? tlvk__format("%.*s", slash == path ? 1 : (int)TLVK__MIN(slash - path, INT_MAX), path) : tlvk__strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

tlvk_status tlvk__file_rename(const char *from, const char *to) {
    int fd = open(from, O_RDONLY);
    if (fd < 0)
        return fail_errno("cannot open", from);
    int synced = fsync(fd);
    close(fd);
    if (synced != 0)
        return fail_errno("cannot flush", from);
    if (rename(from, to) != 0)
        return fail_errno("cannot replace", to);
    sync_folder_of(to);
    return TLVK_OK;
}

void tlvk__file_remove(const char *path) { unlink(path); }

bool tlvk__file_read_at(FILE *f, uint64_t offset, void *bytes, size_t size) {
    char *to = bytes;
    while (size > 0) {
        ssize_t got = offset <= (uint64_t)INT64_MAX ? pread(fileno(f), to, size, (off_t)offset) : 0;
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return true;
}

tlvk_status tlvk__file_unnamed(const char *folder, FILE **out) {
    tlvk_status st = tlvk__make_folders(folder);
    if (st)
        return st;
    char *path = tlvk__format("%s/unnamed-XXXXXX", folder);
    if (!path)
        return tlvk__fail(TLVK_ERROR_MEMORY, "making a file in \"%s\": no memory", folder);
    int fd = mkstemp(path);
    if (fd < 0)
        st = fail_errno("cannot make", path);
    else
        unlink(path);
    *out = fd < 0 ? NULL : fdopen(fd, "w+b");
    if (fd >= 0 && !*out) {
        st = fail_errno("cannot open", path);
        close(fd);
    }
    free(path);
    return st;
}

/* --- locks and names ---------------------------------------------------------------------------------------------------------- */

struct tlvk__lock { int fd; char *path; };

tlvk_status tlvk__lock_try(const char *path, tlvk__lock **lock) {
    *lock = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail_errno("cannot make the lock", path);
    struct stat held, named;
    bool busy = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    /* The holder before may have removed the file between our opening and our locking: then it is nobody's lock. */
    if (busy || fstat(fd, &held) != 0 || stat(path, &named) != 0 || held.st_ino != named.st_ino || held.st_dev != named.st_dev) {
        close(fd);
        return TLVK_OK;
    }
    tlvk__lock *l = tlvk__calloc(1, sizeof *l);
    char *copy = tlvk__strdup(path);
    if (!l || !copy) {
        free(l);
        free(copy);
        close(fd);
        return tlvk__fail(TLVK_ERROR_MEMORY, "locking \"%s\": no memory", path);
    }
    *l = (tlvk__lock){.fd = fd, .path = copy};
    *lock = l;
    return TLVK_OK;
}

void tlvk__lock_release(tlvk__lock *lock) {
    if (!lock)
        return;
    unlink(lock->path);
    close(lock->fd);
    free(lock->path);
    free(lock);
}

/* What to go back to, and the locale to free. */
typedef struct names_before { locale_t old, own; } names_before;

void *tlvk__utf8_names_begin(void) {
    names_before *before = tlvk__calloc(1, sizeof *before);
    locale_t own = before ? newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0) : (locale_t)0;
    if (own == (locale_t)0) {
        free(before);
        return NULL;
    }
    *before = (names_before){.old = uselocale(own), .own = own};
    return before;
}

void tlvk__utf8_names_end(void *before) {
    names_before *b = before;
    if (!b)
        return;
    uselocale(b->old);
    freelocale(b->own);
    free(b);
}

/* --- folders ---------------------------------------------------------------------------------------------------------------- */

bool tlvk__is_folder(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

bool tlvk__is_file(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

tlvk_status tlvk__make_folders(const char *path) {
    char *part = tlvk__strdup(path);
    if (!part)
        return tlvk__fail(TLVK_ERROR_MEMORY, "making folder \"%s\": no memory", path);
    tlvk_status status = TLVK_OK;
    for (char *p = part; status == TLVK_OK && *p; p++) {
        bool last = p[1] == '\0', at_slash = *p == '/';
        if (!last && (!at_slash || p == part))
            continue;
        if (at_slash)
            *p = '\0';
        if (*part && mkdir(part, 0777) != 0 && !tlvk__is_folder(part))
            status = fail_errno("cannot make folder", part);
        if (at_slash)
            *p = '/';
    }
    free(part);
    return status;
}

/* Reads one entry's kind: of what it points to, and whether it is a link. */
static tlvk_status add_entry(const char *folder, const char *name, tlvk__dir_entry **list, size_t *capacity, size_t *count) {
    tlvk__dir_entry *grown = tlvk__grow(*list, capacity, *count + 1, sizeof **list);
    if (grown)
        *list = grown;
    char *path = tlvk__format("%s/%s", folder, name), *copy = tlvk__strdup(name);
    if (!grown || !path || !copy) {
        free(path);
        free(copy);
        return tlvk__fail(TLVK_ERROR_MEMORY, "listing \"%s\": no memory for entry %zu", folder, *count);
    }
    struct stat info;
    bool link = lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
    grown[(*count)++] = (tlvk__dir_entry){.name = copy, .folder = tlvk__is_folder(path), .link = link};
    free(path);
    return TLVK_OK;
}

tlvk_status tlvk__list_folder(const char *path, tlvk__dir_entry **entries, size_t *count) {
    DIR *dir = opendir(path);
    if (!dir)
        return fail_errno("cannot list folder", path);
    tlvk__dir_entry *list = NULL;
    size_t capacity = 0, used = 0;
    tlvk_status status = TLVK_OK;
    while (status == TLVK_OK) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        if (!e && errno != 0)
            status = fail_errno("cannot list folder", path);
        if (!e)
            break;
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            status = add_entry(path, e->d_name, &list, &capacity, &used);
    }
    closedir(dir);
    if (status != TLVK_OK) {
        tlvk__dir_entries_free(list, used);
        return status;
    }
    tlvk__dir_entries_sort(list, used);
    *entries = list;
    *count = used;
    return TLVK_OK;
}

const char *tlvk__env(const char *name) { return getenv(name); }

const char *tlvk__home_folder(void) { return getenv("HOME"); }

char *tlvk__default_cache_folder(void) {
    const char *own = getenv("TLVK_CACHE_DIR"), *cache = getenv("XDG_CACHE_HOME"), *home = tlvk__home_folder();
    if (own && *own)
        return tlvk__strdup(own);
    if (cache && *cache)
        return tlvk__format("%s/tlvk", cache);
    return home && *home ? tlvk__format("%s/.cache/tlvk", home) : NULL;
}

/* --- guarded processes -------------------------------------------------------------------------------------------------------
 * What crosses the pipe: the work's output, then a trailer with its status and error text. */

#define GUARD_MAGIC 0x746C7667u

/* Last bytes of the pipe; its absence means that the child died on the way. */
typedef struct trailer {
    uint32_t magic;
    int32_t status;
    char text[1024];
} trailer;

static bool in_guarded_child;

void tlvk__guard_limit_seconds(uint64_t seconds) {
    struct rlimit limit;
    if (!in_guarded_child || getrlimit(RLIMIT_CPU, &limit) != 0)
        return;
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > seconds)
        limit.rlim_cur = (rlim_t)seconds;
    setrlimit(RLIMIT_CPU, &limit);
}

/* Address space of this process as Linux tells it; 0: not known. */
static uint64_t address_space_bytes(void) {
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    bool ok = f && fscanf(f, "%llu", &pages) == 1;
    if (f)
        fclose(f);
    return ok ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

void tlvk__guard_limit_memory(uint64_t bytes) {
    static uint64_t before; /* the child's own copy */
    struct rlimit limit;
    if (!in_guarded_child || getrlimit(RLIMIT_AS, &limit) != 0)
        return;
    if (!before)
        before = address_space_bytes();
    if (before == 0 || before > ((uint64_t)1 << 40) || bytes > ((uint64_t)1 << 46))
        return;
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > before + bytes)
        limit.rlim_cur = (rlim_t)(before + bytes);
    setrlimit(RLIMIT_AS, &limit);
}

/* The child's whole life. _exit, because the parent's atexit handlers and stdio buffers are not the child's to run. */
static void child_main(int fd, tlvk_status (*work)(void *user, FILE *out), void *user) {
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPIPE, SIGXCPU};
    for (size_t i = 0; i < TLVK__COUNT(fatal); i++)
        signal(fatal[i], SIG_DFL);
    FILE *out = fdopen(fd, "wb");
    if (!out)
        _exit(3);
    in_guarded_child = true;
    tlvk__fail_clear();
    trailer end = {.magic = GUARD_MAGIC, .status = (int32_t)work(user, out)};
    snprintf(end.text, sizeof end.text, "%s", tlvk__fail_text());
    bool ok = fwrite(&end, sizeof end, 1, out) == 1;
    _exit(fclose(out) == 0 && ok ? 0 : 3);
}

/* Reads the pipe to its end into *bytes, malloc'd also when empty. */
static tlvk_status drain(int fd, char **bytes, size_t *size) {
    size_t capacity = 0;
    *bytes = NULL;
    *size = 0;
    for (;;) {
        char *grown = tlvk__grow(*bytes, &capacity, *size + 65536, 1);
        if (!grown)
            return tlvk__fail(TLVK_ERROR_MEMORY, "reading a guarded process: no memory behind %zu bytes", *size);
        *bytes = grown;
        ssize_t got = read(fd, *bytes + *size, capacity - *size);
        if (got == 0)
            return TLVK_OK;
        if (got < 0 && errno != EINTR)
            return tlvk__fail(TLVK_ERROR_FILE, "reading a guarded process: %s", strerror(errno));
        if (got > 0)
            *size += (size_t)got;
    }
}

tlvk_status tlvk__run_guarded(tlvk_status (*work)(void *user, FILE *out), void *user, void **result, size_t *result_size) {
    int ends[2];
    if (pipe(ends) != 0)
        return tlvk__fail(TLVK_ERROR_FILE, "starting a guarded process: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0) {
        int why = errno;
        close(ends[0]);
        close(ends[1]);
        return tlvk__fail(TLVK_ERROR_MEMORY, "starting a guarded process: %s", strerror(why));
    }
    if (pid == 0) {
        close(ends[0]);
        child_main(ends[1], work, user);
    }
    close(ends[1]);
    char *bytes;
    size_t size;
    tlvk_status status = drain(ends[0], &bytes, &size);
    close(ends[0]);
    int how = 0;
    while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
        continue;
    trailer end = {0};
    if (status == TLVK_OK && size >= sizeof end)
        memcpy(&end, bytes + size - sizeof end, sizeof end);
    if (status == TLVK_OK && WIFSIGNALED(how))
        status = tlvk__fail(TLVK_ERROR_FORMAT, "the reader of the file crashed (%s); the file is damaged", strsignal(WTERMSIG(how)));
    else if (status == TLVK_OK && (end.magic != GUARD_MAGIC || !WIFEXITED(how) || WEXITSTATUS(how) != 0))
        status = tlvk__fail(TLVK_ERROR_FORMAT, "the reader of the file ended early; the file is damaged");
    else if (status == TLVK_OK && end.status != TLVK_OK) {
        end.text[sizeof end.text - 1] = '\0';
        status = tlvk__fail((tlvk_status)end.status, "%s", end.text);
    }
    if (status != TLVK_OK) {
        free(bytes);
        return status;
    }
    *result = bytes;
    *result_size = size - sizeof end;
    return TLVK_OK;
}
