/* cli.h - what the commands of `tlvk` share: exit statuses, options, messages, results.
 *
 * Results go to stdout, messages and progress to stderr. A command is one file with one function that returns the exit status. */
#ifndef TLVK_CLI_H
#define TLVK_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <tlvk/tlvk.h>

#if defined(_WIN32) && defined(__GNUC__) && !defined(__clang__) /* printf would stand for Microsoft's there */
#define CLI_PRINTF(text, first) __attribute__((format(gnu_printf, text, first)))
#elif defined(__GNUC__)
#define CLI_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define CLI_PRINTF(text, first)
#endif

enum {
    CLI_DONE = 0,        /* the work is done */
    CLI_FAILED = 1,      /* the work failed; a message says why */
    CLI_USAGE = 2,       /* wrong usage */
    CLI_NO_DEVICE = 3,   /* no usable Vulkan device */
    CLI_REFUSED = 4,     /* an input file is unreadable or refused */
    CLI_INTERRUPTED = 130
};

/* --- options (options.c) ---------------------------------------------------------------------------------------------------- */

typedef struct cli_choice { const char *name; int value; } cli_choice; /* a list ends at name NULL */
typedef struct cli_list { const char **items; int count; } cli_list;   /* items are the argument vector's own; free the array alone */

typedef enum cli_kind {
    CLI_FLAG,      /* bool: set when given */
    CLI_COUNT,     /* int: how often it was given */
    CLI_TEXT,      /* const char * */
    CLI_INTEGER,   /* int64_t within [low, high] */
    CLI_NUMBER,    /* double within [low, high] */
    CLI_SIZE,      /* int[2]: "HxW" */
    CLI_BYTES,     /* uint64_t: a number with K, M or G (powers of 1024) after it */
    CLI_CHOICE,    /* int: the value of one of `choices` */
    CLI_REPEATED,  /* cli_list: every argument in order */
    CLI_LATER      /* named in the contract, not in this version: refused by name; no value */
} cli_kind;

typedef struct cli_option {
    const char *name;      /* without dashes; a group ends at NULL */
    char letter;           /* short form, or 0 */
    cli_kind kind;
    void *value;           /* where the argument goes; its type is the kind's */
    const char *argument;  /* what --help calls it; NULL for flags */
    const char *help;
    double low, high;      /* bounds of CLI_INTEGER and CLI_NUMBER */
    const cli_choice *choices;
} cli_option;

typedef struct cli_group { const char *title; const cli_option *options; } cli_group;

typedef struct cli_command {
    const char *name, *operands; /* "MODEL PATH..." */
    const char *summary;         /* one line */
    const char *details;         /* more for --help, or NULL */
    const char *example;
    int (*run)(const struct cli_command *command, int argc, char **argv); /* argv[0] is the command's name */
} cli_command;

#define CLI_GO_ON (-1)
/* Reads argv into the groups' values (the array of groups ends at options NULL). The operands are then argv[*first] and on.
 * Returns CLI_GO_ON, or the exit status: after --help, or after a mistake that was named on stderr. */
int cli_parse(const cli_command *command, const cli_group *groups, int argc, char **argv, int *first);
/* Says what was wrong and where help is; returns CLI_USAGE. */
int cli_usage(const cli_command *command, const char *format, ...) CLI_PRINTF(2, 3);

/* Reading of single values, for texts that carry several: true, or false with *why set to what would have been right. */
bool cli_read_integer(const char *text, double low, double high, int64_t *value);
bool cli_read_number(const char *text, double low, double high, double *value);

/* --- the options every command has, and the context they ask for (session.c) ------------------------------------------------- */

typedef struct cli_common { const char *device; bool json, no_download; int verbose, tune /* tlvk_tune */; uint64_t memory_limit; double alpha; /* 0: not given */ } cli_common;
/* Fills rows[CLI_COMMON_ROWS]: --device, --json, -v, --tune, and the end of the group. */
#define CLI_COMMON_ROWS 5
void cli_common_options(cli_common *common, cli_option rows[CLI_COMMON_ROWS]);
/* The same for what goes with a built-in network: --alpha, --no-download. */
#define CLI_NET_ROWS 3
void cli_net_options(cli_common *common, cli_option rows[CLI_NET_ROWS]);
/* Makes the context and lets an interrupt cancel what runs on it. Returns CLI_GO_ON or an exit status. */
int cli_open_context(const cli_common *common, tlvk_context **ctx);
void cli_close_context(tlvk_context *ctx);

typedef enum cli_stage { CLI_READING, CLI_WORKING, CLI_WRITING } cli_stage; /* decides between "input refused" and "work failed" */
/* Prints the context's last error and returns the exit status for it. */
int cli_fail(const tlvk_context *ctx, tlvk_status status, cli_stage stage);

/* MODEL of the command line: a file, or NAME[:WEIGHTS]. */
typedef struct cli_model_request { const char *spec; bool no_top; int size[2]; uint64_t seed; double alpha; } cli_model_request;
bool cli_is_net(const char *spec);
bool cli_is_official(const char *spec); /* a built-in network with its official weights */
int cli_open_model(tlvk_context *ctx, const cli_model_request *request, tlvk_model **model); /* CLI_GO_ON or an exit status */

/* --- pictures and labels (pictures.c, labels.c) -------------------------------------------------------------------------------- */

typedef struct cli_picture_options {
    int preprocess, color_mode, resize; /* tlvk_preprocess, tlvk_color_mode, tlvk_resize */
    int decode;
    int size[2];
    int64_t batch_size;
    const char *labels;
    bool strict;
} cli_picture_options;
#define CLI_PICTURE_ROWS 9
void cli_picture_options_rows(cli_picture_options *o, cli_option rows[CLI_PICTURE_ROWS]);
/* Height, width and channels the model takes; open dimensions come from `size`, and a size that does not fit is refused. CLI_GO_ON or an exit status. */
int cli_picture_shape(const tlvk_model *model, const char *spec, const int size[2], int64_t shape[3]);
/* How to make pictures ready for the model, from the options and what the model remembers. CLI_GO_ON or an exit status. */
int cli_picture_desc(const tlvk_model *model, const char *spec, const cli_picture_options *o, tlvk_image_folder_desc *desc);
/* Names the pictures that could not be read. */
void cli_report_failed(const tlvk_dataset *dataset);
/* "pets.zip//train", or "pets.zip" itself, where the archive is a file. */
bool cli_is_archive_path(const char *path);
bool cli_is_picture_folder(const char *path); /* a folder of the disk or of an archive, not a picture */
/* A path that is not there is refused by name: CLI_GO_ON or an exit status. What an archive holds is seen when it is opened. */
int cli_check_path(const char *path);
int cli_check_folder(const char *path);

/* The whole of a text file, a new text; NULL with a message and the exit status in *status. */
char *cli_read_file(const char *path, int *status);
typedef struct cli_labels { char **names; int count; } cli_labels;
/* One name a line, or "0 name". CLI_GO_ON or an exit status. */
int cli_labels_read(const char *path, cli_labels *labels);
/* The names from --labels, else the model's own, else MODEL.labels.txt; none at all is no error (count 0). */
int cli_labels_find(const tlvk_model *model, const char *spec, const char *option, cli_labels *labels);
/* Written beside and renamed. False with a message when it could not be written. */
bool cli_labels_write(const char *path, const char *const *names, int count);
void cli_labels_free(cli_labels *labels);

/* --- results and messages (output.c) ------------------------------------------------------------------------------------------- */

void cli_message(const char *format, ...) CLI_PRINTF(1, 2); /* "tlvk: ..." and a line end, on stderr */
void cli_print_json(json_t *line);   /* one line on stdout, at once; the reference is taken */
json_t *cli_json_number(double value); /* null for NaN and infinities, which JSON cannot say */
json_t *cli_json_text(const char *text); /* bytes that are not UTF-8 become U+FFFD; NULL becomes null */
#define CLI_BYTES_TEXT 24
const char *cli_bytes_text(uint64_t bytes, char text[CLI_BYTES_TEXT]); /* "1.53 GiB" */
int cli_flush(int status);           /* at the end of a command: CLI_FAILED where stdout could not be written */
char *cli_format(const char *format, ...) CLI_PRINTF(1, 2); /* a new text, or NULL without memory */

/* --- where the time goes (trace.c) --------------------------------------------------------------------------------------------------- */

/* Runs one step (train) or forward pass of `batch` random samples and prints, on stderr, the time by operation and the slowest dispatches.
 * A failure is only said. */
void cli_trace(const tlvk_context *ctx, tlvk_model *model, int64_t batch, bool train);

/* --- progress (progress.c) ------------------------------------------------------------------------------------------------------- */

typedef struct cli_progress {
    bool terminal;       /* draw a bar; else one line per epoch */
    bool validation;     /* val_* are shown */
    double began, drawn; /* seconds: of the running pass, of the last drawing */
} cli_progress;
void cli_progress_start(cli_progress *p, bool validation);
void cli_progress_event(cli_progress *p, const tlvk_event *event);
/* A bar of bytes, of a terminal alone; total -1: unknown. */
void cli_progress_bytes(cli_progress *p, const char *title, int64_t done, int64_t total);
void cli_progress_break(void); /* ends the bar's line before something else is printed */

/* --- fetching (fetch.c) --------------------------------------------------------------------------------------------------------------- */

typedef struct cli_fetch_watch { const char *name; cli_progress progress; double said; bool ended; } cli_fetch_watch;
void cli_fetch_start(cli_fetch_watch *w, const char *name);
void cli_fetch_progress(int64_t done, int64_t total, void *watch); /* for tlvk_fetch and tlvk_net; cli_progress_break ends it */
/* Names of ImageNet's classes into the cache, where networks look for them. Without them work goes on: *warning (a new text, or NULL) says why not.
 * CLI_GO_ON or an exit status. */
int cli_fetch_class_names(tlvk_context *ctx, char **warning);

/* --- the operating system (system.c, system_windows.c) ----------------------------------------------------------------------------- */

double cli_seconds(void);            /* monotonic */
bool cli_stderr_is_terminal(void);
bool cli_exists(const char *path);
bool cli_is_folder(const char *path);
int64_t cli_file_bytes(const char *path); /* -1: cannot be told */
/* True when a file of that name could be written: its folder is there and writable, and the name is not a folder's. *why says what is wrong. */
bool cli_can_write(const char *path, const char **why);
FILE *cli_open_file(const char *path, const char *mode); /* as fopen; names are UTF-8 everywhere */
bool cli_replace_file(const char *from, const char *to);
void cli_remove_file(const char *path);
/* The program's arguments as UTF-8, where main's are not; they stay to its end. */
void cli_utf8_arguments(int *argc, char ***argv);
/* The first interrupt cancels what runs on `ctx`, the second ends the process. NULL: interrupts do what they did before. */
void cli_catch_interrupts(tlvk_context *ctx);
bool cli_was_interrupted(void);

/* --- the commands ------------------------------------------------------------------------------------------------------------------- */

extern const cli_command cli_devices, cli_summary, cli_predict, cli_evaluate, cli_finetune, cli_convert, cli_fetch, cli_selftest, cli_bench;

#endif
