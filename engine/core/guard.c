/* guard.c - work done in a child process, so that a crash while reading a hostile file stays there.
 * Hides: fork, the pipe between the two and what crosses it: the work's output, then a trailer with its status and error text.
 * Like platform.c it holds POSIX headers, because it is the other half of platform.h. */
#define _POSIX_C_SOURCE 200809L

#include "core/platform.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAGIC 0x746C7667u

/* Last bytes of the pipe; its absence means that the child died on the way. */
typedef struct trailer {
    uint32_t magic;
    int32_t status;
    char text[1024];
} trailer;

/* The child's whole life. _exit, because the parent's atexit handlers and stdio buffers are not the child's to run. */
static void child_main(int fd, tlvk_status (*work)(void *user, FILE *out), void *user) {
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPIPE};
    for (size_t i = 0; i < TLVK__COUNT(fatal); i++)
        signal(fatal[i], SIG_DFL);
    FILE *out = fdopen(fd, "wb");
    if (!out)
        _exit(3);
    tlvk__fail_clear();
    trailer end = {.magic = MAGIC, .status = (int32_t)work(user, out)};
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
    else if (status == TLVK_OK && (end.magic != MAGIC || !WIFEXITED(how) || WEXITSTATUS(how) != 0))
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
