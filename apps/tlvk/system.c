/* system.c - hides the operating system: clock, terminal, files and the interrupt. On Windows system_windows.c takes its place. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

double cli_seconds(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return 0.0;
    }
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool cli_stderr_is_terminal(void) {
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) != 0 && (!term || strcmp(term, "dumb") != 0);
}

bool cli_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

bool cli_is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int64_t cli_file_bytes(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

bool cli_can_write(const char *path, const char **why) {
    if (cli_is_folder(path)) {
        *why = "it is a folder";
        return false;
    }
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    char *folder = malloc(length + 2);
    if (!folder) {
        *why = "out of memory";
        return false;
    }
    memcpy(folder, path, length);
    folder[length] = 0;
    if (length == 0) {
        memcpy(folder, slash ? "/" : ".", 2);
    }
    bool there = cli_is_folder(folder);
    bool writable = there && access(folder, W_OK | X_OK) == 0;
    *why = !there ? "its folder does not exist" : "its folder is not writable";
    free(folder);
    return writable;
}

FILE *cli_open_file(const char *path, const char *mode) { return fopen(path, mode); }

bool cli_replace_file(const char *from, const char *to) { return rename(from, to) == 0; }

void cli_remove_file(const char *path) { unlink(path); }

void cli_utf8_arguments(int *argc, char ***argv) { (void)argc, (void)argv; }

static tlvk_context *volatile interrupted_context;
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
    (void)signal_number;
    int saved = errno;
    interrupted = 1;
    if (interrupted_context) {
        tlvk_cancel(interrupted_context);
    }
    errno = saved;
}

void cli_catch_interrupts(tlvk_context *ctx) {
    interrupted_context = ctx;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = ctx ? on_interrupt : SIG_DFL;
    action.sa_flags = (int)SA_RESETHAND; /* the second interrupt ends the process */
    int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction old;
        /* A program started with interrupts ignored (nohup, a shell's background job) keeps ignoring them. */
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            sigaction(signals[i], &action, NULL);
        }
    }
}

bool cli_was_interrupted(void) { return interrupted != 0; }
