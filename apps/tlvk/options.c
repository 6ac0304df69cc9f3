/* options.c - hides getopt_long: from a command's groups of options to its table, from arguments to values, and --help's text. */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPTIONS 80
#define FIRST_LONG 1000 /* getopt's value of the first option; beyond any letter */

int cli_usage(const cli_command *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("tlvk: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nTry 'tlvk %s --help'.\n", command->name);
    return CLI_USAGE;
}

bool cli_read_integer(const char *text, double low, double high, int64_t *value) {
    char *end = NULL;
    errno = 0;
    long long read = strtoll(text, &end, 10);
    if (end == text || *end || errno || (double)read < low || (double)read > high) {
        return false;
    }
    *value = read;
    return true;
}

bool cli_read_number(const char *text, double low, double high, double *value) {
    char *end = NULL;
    double read = strtod(text, &end);
    if (end == text || *end || !isfinite(read) || read < low || read > high) {
        return false;
    }
    *value = read;
    return true;
}

static bool read_size(const char *text, int size[2]) {
    char *middle = NULL, *end = NULL;
    errno = 0;
    long h = strtol(text, &middle, 10);
    if (middle == text || (*middle != 'x' && *middle != 'X')) {
        return false;
    }
    long w = strtol(middle + 1, &end, 10);
    if (end == middle + 1 || *end || errno || h < 1 || w < 1 || h > INT32_MAX || w > INT32_MAX) {
        return false;
    }
    size[0] = (int)h;
    size[1] = (int)w;
    return true;
}

static bool read_bytes(const char *text, uint64_t *bytes) {
    char *end = NULL;
    errno = 0;
    unsigned long long read = strtoull(text, &end, 10);
    int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (end == text || *text == '-' || errno || (shift ? end[1] : end[0]) || read == 0 || read > UINT64_MAX >> shift) {
        return false;
    }
    *bytes = (uint64_t)read << shift;
    return true;
}

static bool read_choice(const cli_option *o, const char *text) {
    for (const cli_choice *c = o->choices; c->name; c++) {
        if (!strcmp(c->name, text)) {
            *(int *)o->value = c->value;
            return true;
        }
    }
    return false;
}

static bool append(cli_list *list, const char *text) {
    const char **items = realloc(list->items, ((size_t)list->count + 1) * sizeof *items);
    if (!items) {
        return false;
    }
    list->items = items;
    items[list->count++] = text;
    return true;
}

static int take(const cli_command *command, const cli_option *o, const char *argument) {
    bool ok = true;
    const char *wanted = "";
    switch (o->kind) {
    case CLI_FLAG: *(bool *)o->value = true; break;
    case CLI_COUNT: ++*(int *)o->value; break;
    case CLI_TEXT:
        *(const char **)o->value = argument;
        ok = *argument;
        wanted = "not an empty text";
        break;
    case CLI_INTEGER:
        if (!cli_read_integer(argument, o->low, o->high, o->value)) {
            return cli_usage(command, "--%s: '%s' is not a whole number from %.0f to %.0f", o->name, argument, o->low, o->high);
        }
        break;
    case CLI_NUMBER:
        if (!cli_read_number(argument, o->low, o->high, o->value)) {
            return cli_usage(command, "--%s: '%s' is not a number from %g to %g", o->name, argument, o->low, o->high);
        }
        break;
    case CLI_SIZE: ok = read_size(argument, o->value); wanted = "HEIGHTxWIDTH, as 224x224"; break;
    case CLI_BYTES: ok = read_bytes(argument, o->value); wanted = "a number of bytes, as 500000000, 512M or 2G"; break;
    case CLI_CHOICE: ok = read_choice(o, argument); wanted = o->argument; break;
    case CLI_REPEATED: ok = append(o->value, argument); wanted = "less, memory is short"; break;
    case CLI_LATER: return cli_usage(command, "--%s is not in this version", o->name);
    }
    return ok ? CLI_GO_ON : cli_usage(command, "--%s: '%s' where %s is wanted", o->name, argument, wanted);
}

static void print_help(const cli_command *command, const cli_group *groups) {
    printf("Usage: tlvk %s [OPTION...]%s%s\n\n%s.\n", command->name, *command->operands ? " " : "", command->operands, command->summary);
    if (command->details) {
        printf("\n%s\n", command->details);
    }
    for (const cli_group *g = groups; g->options; g++) {
        if (g->title) { /* a group without one goes on with the group before */
            printf("\n%s:\n", g->title);
        }
        for (const cli_option *o = g->options; o->name; o++) {
            if (o->kind == CLI_LATER) {
                continue;
            }
            char left[120], letter[8] = "   ";
            if (o->letter) {
                snprintf(letter, sizeof letter, "-%c,", o->letter);
            }
            int width = snprintf(left, sizeof left, "  %s --%s%s%s", letter, o->name, o->argument ? " " : "", o->argument ? o->argument : "");
            if (width < 38) {
                printf("%-38s %s\n", left, o->help);
            } else {
                printf("%s\n%-38s %s\n", left, "", o->help);
            }
        }
        if (g == groups) {
            printf("%-38s %s\n", "      --help", "this text");
        }
    }
    printf("\nExample:\n  %s\n", command->example);
}

/* The option getopt stumbled over, as it was typed. */
static const char *typed(char **argv, char letter[3]) {
    if (optopt > 0 && optopt < FIRST_LONG) {
        letter[0] = '-';
        letter[1] = (char)optopt;
        letter[2] = 0;
        return letter;
    }
    return argv[optind - 1];
}

int cli_parse(const cli_command *command, const cli_group *groups, int argc, char **argv, int *first) {
    const cli_option *rows[MAX_OPTIONS];
    struct option longs[MAX_OPTIONS + 2];
    char shorts[2 * MAX_OPTIONS + 2] = ":", letter[3];
    int count = 0;
    size_t letters = 1;
    for (const cli_group *g = groups; g->options; g++) {
        for (const cli_option *o = g->options; o->name && count < MAX_OPTIONS; o++) {
            bool bare = o->kind == CLI_FLAG || o->kind == CLI_COUNT;
            /* An option of a later version takes its argument with "=" or not at all: it is refused either way. */
            int has_argument = bare ? no_argument : o->kind == CLI_LATER ? optional_argument : required_argument;
            longs[count] = (struct option){o->name, has_argument, NULL, FIRST_LONG + count};
            rows[count++] = o;
            if (o->letter) {
                shorts[letters++] = o->letter;
                if (!bare) {
                    shorts[letters++] = ':';
                }
            }
        }
    }
    longs[count] = (struct option){"help", no_argument, NULL, FIRST_LONG + count};
    longs[count + 1] = (struct option){NULL, 0, NULL, 0};
    opterr = 0;
    optind = 1;
    for (;;) {
        int value = getopt_long(argc, argv, shorts, longs, NULL);
        if (value == -1) {
            *first = optind;
            return CLI_GO_ON;
        }
        if (value == ':') {
            return cli_usage(command, "%s needs an argument", typed(argv, letter));
        }
        if (value == '?') {
            return cli_usage(command, "%s: no such option, or not in this form", typed(argv, letter));
        }
        if (value == FIRST_LONG + count) {
            print_help(command, groups);
            return cli_flush(CLI_DONE);
        }
        int row = value - FIRST_LONG;
        for (int i = 0; value < FIRST_LONG && i < count; i++) {
            if (rows[i]->letter == value) {
                row = i;
            }
        }
        int status = take(command, rows[row], optarg);
        if (status != CLI_GO_ON) {
            return status;
        }
    }
}
