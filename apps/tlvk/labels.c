/* labels.c - hides where class names come from and the two forms of a labels file. */
#include "cli.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LABELS_BYTES (16u << 20)

void cli_labels_free(cli_labels *labels) {
    for (int i = 0; i < labels->count; i++) {
        free(labels->names[i]);
    }
    free(labels->names);
    *labels = (cli_labels){0};
}

static char *copy(const char *text, size_t length) {
    char *c = malloc(length + 1);
    if (c) {
        memcpy(c, text, length);
        c[length] = 0;
    }
    return c;
}

static bool append(cli_labels *labels, const char *text, size_t length) {
    char **names = realloc(labels->names, ((size_t)labels->count + 1) * sizeof *names);
    if (!names) {
        return false;
    }
    labels->names = names;
    names[labels->count] = copy(text, length);
    return names[labels->count] && ++labels->count;
}

/* The whole file as a text, or NULL after a message. */
char *cli_read_file(const char *path, int *status) {
    *status = CLI_REFUSED;
    FILE *file = cli_is_folder(path) ? NULL : cli_open_file(path, "rb");
    if (!file) {
        cli_message("%s: cannot be read", path);
        return NULL;
    }
    char *text = malloc(MAX_LABELS_BYTES + 1);
    size_t length = text ? fread(text, 1, MAX_LABELS_BYTES + 1, file) : 0;
    bool bad = ferror(file) != 0;
    fclose(file);
    if (!text) {
        *status = CLI_FAILED;
        cli_message("out of memory while reading %s", path);
    } else if (bad || length > MAX_LABELS_BYTES || memchr(text, 0, length)) {
        cli_message("%s: not a labels file: one class name a line is wanted", path);
        free(text);
        text = NULL;
    } else {
        text[length] = 0;
    }
    return text;
}

/* Teachable Machine writes "0 cat", "1 dog": where every line begins with its own number, the numbers are taken off. */
static void drop_numbers(cli_labels *labels) {
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < labels->count; i++) {
            char *end = NULL, *name = labels->names[i];
            long number = isdigit((unsigned char)*name) ? strtol(name, &end, 10) : -1;
            if (number != i || *end != ' ' || !end[1]) {
                return;
            }
            if (pass) {
                memmove(name, end + 1, strlen(end + 1) + 1);
            }
        }
    }
}

int cli_labels_read(const char *path, cli_labels *labels) {
    *labels = (cli_labels){0};
    int status;
    char *text = cli_read_file(path, &status);
    if (!text) {
        return status;
    }
    const char *line = strncmp(text, "\xEF\xBB\xBF", 3) ? text : text + 3;
    while (*line) {
        size_t length = strcspn(line, "\n"), kept = length;
        while (kept && (line[kept - 1] == '\r' || line[kept - 1] == ' ' || line[kept - 1] == '\t')) {
            kept--;
        }
        if (kept && !append(labels, line, kept)) {
            cli_message("out of memory while reading %s", path);
            cli_labels_free(labels);
            free(text);
            return CLI_FAILED;
        }
        line += length + (line[length] == '\n');
    }
    free(text);
    drop_numbers(labels);
    if (!labels->count) {
        cli_message("%s: no class name in it: one a line is wanted", path);
        return CLI_REFUSED;
    }
    return CLI_GO_ON;
}

int cli_labels_find(const tlvk_model *model, const char *spec, const char *option, cli_labels *labels) {
    *labels = (cli_labels){0};
    if (option) {
        return cli_labels_read(option, labels);
    }
    tlvk_usage usage;
    tlvk_model_usage(model, &usage);
    for (int i = 0; usage.class_names && i < usage.class_count; i++) {
        if (!append(labels, usage.class_names[i], strlen(usage.class_names[i]))) {
            cli_labels_free(labels);
            cli_message("out of memory");
            return CLI_FAILED;
        }
    }
    char *beside = labels->count ? NULL : cli_format("%s.labels.txt", spec);
    int status = beside && cli_exists(beside) ? cli_labels_read(beside, labels) : CLI_GO_ON;
    free(beside);
    return status;
}

bool cli_labels_write(const char *path, const char *const *names, int count) {
    char *beside = cli_format("%s.part", path);
    FILE *file = beside ? cli_open_file(beside, "wb") : NULL;
    bool ok = file != NULL;
    for (int i = 0; ok && i < count; i++) {
        ok = fprintf(file, "%s\n", names[i]) >= 0;
    }
    if (file) {
        ok = fclose(file) == 0 && ok;
    }
    ok = ok && cli_replace_file(beside, path);
    if (!ok) {
        cli_message("%s: cannot be written", path);
        if (file) {
            cli_remove_file(beside);
        }
    }
    free(beside);
    return ok;
}
