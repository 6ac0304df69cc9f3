/* system_windows.c - system.c on Windows. Hides: Win32, and that names are UTF-16 there. */
#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0601
#include "cli.h"

#include <windows.h>

#include <io.h>
#include <shellapi.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

double cli_seconds(void) {
    LARGE_INTEGER now, per_second;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&per_second);
    return (double)now.QuadPart / (double)per_second.QuadPart;
}

bool cli_stderr_is_terminal(void) { return _isatty(_fileno(stderr)) != 0; }

/* UTF-16 of UTF-8, a new text; NULL where it is none or memory is short. */
static wchar_t *wide(const char *text) {
    int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *out = length > 0 ? calloc((size_t)length, sizeof *out) : NULL;
    if (out) {
        MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, out, length);
    }
    return out;
}

/* What Windows tells of a path; false where there is nothing of that name. */
static bool find(const char *path, WIN32_FILE_ATTRIBUTE_DATA *found) {
    wchar_t *name = wide(path);
    bool there = name && GetFileAttributesExW(name, GetFileExInfoStandard, found);
    free(name);
    return there;
}

bool cli_exists(const char *path) {
    WIN32_FILE_ATTRIBUTE_DATA found;
    return find(path, &found);
}

bool cli_is_folder(const char *path) {
    WIN32_FILE_ATTRIBUTE_DATA found;
    return find(path, &found) && (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY);
}

int64_t cli_file_bytes(const char *path) {
    WIN32_FILE_ATTRIBUTE_DATA found;
    return find(path, &found) ? (int64_t)(((uint64_t)found.nFileSizeHigh << 32) | found.nFileSizeLow) : -1;
}

/* Whether a folder may be written to is known only by writing: rights are lists here. */
bool cli_can_write(const char *path, const char **why) {
    if (cli_is_folder(path)) {
        *why = "it is a folder";
        return false;
    }
    wchar_t *name = wide(path), folder[32768], probe[MAX_PATH + 1], *last = NULL;
    DWORD length = name ? GetFullPathNameW(name, (DWORD)(sizeof folder / sizeof folder[0]), folder, &last) : 0;
    free(name);
    if (length == 0 || length >= sizeof folder / sizeof folder[0] || !last) {
        *why = "it is no name of a file";
        return false;
    }
    *last = L'\0';
    DWORD attributes = GetFileAttributesW(folder);
    bool there = attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY);
    bool writable = there && wcslen(folder) < MAX_PATH - 14 && GetTempFileNameW(folder, L"tlv", 0, probe) != 0;
    if (writable) {
        DeleteFileW(probe);
    }
    *why = !there ? "its folder does not exist" : "its folder is not writable";
    return writable;
}

FILE *cli_open_file(const char *path, const char *mode) {
    wchar_t *name = wide(path), *how = wide(mode);
    FILE *file = name && how ? _wfopen(name, how) : NULL;
    free(name);
    free(how);
    return file;
}

bool cli_replace_file(const char *from, const char *to) {
    wchar_t *source = wide(from), *target = wide(to);
    bool done = source && target && MoveFileExW(source, target, MOVEFILE_REPLACE_EXISTING);
    free(source);
    free(target);
    return done;
}

void cli_remove_file(const char *path) {
    wchar_t *name = wide(path);
    if (name) {
        DeleteFileW(name);
    }
    free(name);
}

void cli_utf8_arguments(int *argc, char ***argv) {
    int count = 0;
    wchar_t **words = CommandLineToArgvW(GetCommandLineW(), &count);
    char **out = words ? calloc((size_t)count + 1, sizeof *out) : NULL;
    bool ok = out != NULL;
    for (int i = 0; ok && i < count; i++) {
        int length = WideCharToMultiByte(CP_UTF8, 0, words[i], -1, NULL, 0, NULL, NULL);
        out[i] = length > 0 ? calloc((size_t)length, 1) : NULL;
        ok = out[i] && WideCharToMultiByte(CP_UTF8, 0, words[i], -1, out[i], length, NULL, NULL) > 0;
    }
    LocalFree(words);
    SetConsoleOutputCP(CP_UTF8);
    if (ok) {
        *argc = count;
        *argv = out;
    }
}

static tlvk_context *volatile interrupted_context;
static volatile sig_atomic_t interrupted;

/* Runs in a thread of its own; the C library has set the signal back to its default before, so that a second one ends the process. */
static void on_interrupt(int signal_number) {
    (void)signal_number;
    interrupted = 1;
    if (interrupted_context) {
        tlvk_cancel(interrupted_context);
    }
}

void cli_catch_interrupts(tlvk_context *ctx) {
    interrupted_context = ctx;
    signal(SIGINT, ctx ? on_interrupt : SIG_DFL);
    signal(SIGTERM, ctx ? on_interrupt : SIG_DFL);
}

bool cli_was_interrupted(void) { return interrupted != 0; }
