/* fetch.c - `tlvk fetch`, and how every command shows that it is fetching: a bar on a terminal, a line now and then elsewhere. */
#include "cli.h"


#define LINE_SECONDS 10.0

/* --- progress ------------------------------------------------------------------------------------------------------------------------ */

void cli_fetch_start(cli_fetch_watch *w, const char *name) {
    *w = (cli_fetch_watch){.name = name, .progress = {.terminal = cli_stderr_is_terminal(), .began = cli_seconds()}};
}

static double megabytes(int64_t bytes) { return (double)bytes / 1e6; }

void cli_fetch_progress(int64_t done, int64_t total, void *user) {
    cli_fetch_watch *w = user;
    if (w->progress.terminal) {
        cli_progress_bytes(&w->progress, w->name, done, total);
        return;
    }
    double now = cli_seconds();
    bool last = total >= 0 && done >= total;
    if (w->ended || (w->said > 0.0 && now - w->said < LINE_SECONDS && !last)) {
        return;
    }
    if (total >= 0) {
        cli_message("fetching %s: %.1f of %.1f MB", w->name, megabytes(done), megabytes(total));
    } else {
        cli_message("fetching %s: %.1f MB", w->name, megabytes(done));
    }
    w->said = now;
    w->ended = last;
}

int cli_fetch_class_names(tlvk_context *ctx, char **warning) {
    const tlvk_fetch_desc desc = {.progress = cli_fetch_progress, .user = &(cli_fetch_watch){0}};
    char *path = NULL;
    cli_fetch_start(desc.user, "imagenet_class_index");
    tlvk_status st = tlvk_fetch(ctx, "imagenet_class_index", &desc, &path);
    cli_progress_break();
    tlvk_free(path);
    *warning = st && st != TLVK_ERROR_CANCELLED ? cli_format("%s", tlvk_last_error(ctx)) : NULL;
    return st == TLVK_ERROR_CANCELLED ? cli_fail(ctx, st, CLI_READING) : CLI_GO_ON;
}

/* --- the command ---------------------------------------------------------------------------------------------------------------------- */

typedef struct fetch_job {
    const char *net;
    tlvk_fetch_desc desc;
    tlvk_official_file file;
    bool json, dry_run;
} fetch_job;

static void print_plan(const fetch_job *job) {
    if (job->json) {
        cli_print_json(json_pack("{s:s, s:s, s:o}", "name", job->file.name, "address", job->file.address, "hash",
                                 job->file.hash[0] ? json_string(job->file.hash) : json_null()));
    } else {
        printf("%s\n  from %s\n  hash %s\n", job->file.name, job->file.address, job->file.hash[0] ? job->file.hash : "none published");
    }
}

static int print_result(const fetch_job *job, const char *path) {
    int64_t bytes = cli_file_bytes(path);
    if (job->json) {
        cli_print_json(json_pack("{s:o, s:I, s:o}", "path", cli_json_text(path), "bytes", (json_int_t)bytes, "hash",
                                 job->file.hash[0] ? json_string(job->file.hash) : json_null()));
    } else {
        printf("%s\n", path);
    }
    return CLI_DONE;
}

static int fetch(const cli_common *common, fetch_job *job) {
    tlvk_context *ctx = NULL;
    char *path = NULL;
    cli_fetch_watch watch;
    int status = cli_open_context(common, &ctx);
    if (status != CLI_GO_ON) {
        return status;
    }
    cli_fetch_start(&watch, job->net);
    tlvk_status st = tlvk_fetch_info(ctx, job->net, &job->desc, &job->file);
    if (!st && job->dry_run) {
        print_plan(job);
        status = CLI_DONE;
    } else if (!st) {
        job->desc.progress = cli_fetch_progress;
        job->desc.user = &watch;
        st = tlvk_fetch(ctx, job->net, &job->desc, &path);
        cli_progress_break();
    }
    if (st) {
        status = cli_fail(ctx, st, CLI_WRITING);
    } else if (path) {
        status = print_result(job, path);
    }
    tlvk_free(path);
    cli_close_context(ctx);
    return status;
}

static int run(const cli_command *command, int argc, char **argv) {
    cli_common common = {0};
    fetch_job job = {0};
    double alpha = 0.0;
    int64_t size = 0;
    cli_option common_rows[CLI_COMMON_ROWS];
    cli_common_options(&common, common_rows);
    const cli_option rows[] = {
        {"no-top", 0, CLI_FLAG, &job.desc.no_top, NULL, "the weights without the classifier", 0, 0, NULL},
        {"alpha", 0, CLI_NUMBER, &alpha, "A", "width of mobilenet, mobilenetv2 or mobilenetv3 (default 1)", 0.01, 64, NULL},
        {"size", 0, CLI_INTEGER, &size, "N", "height and width of mobilenet's or mobilenetv2's pictures (default 224)", 1, 100000, NULL},
        {"dry-run", 0, CLI_FLAG, &job.dry_run, NULL, "only say which file it would be", 0, 0, NULL},
        {NULL, 0, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    const cli_group groups[] = {{"Options", common_rows}, {"Which file", rows}, {NULL, NULL}};
    int first;
    int status = cli_parse(command, groups, argc, argv, &first);
    if (status != CLI_GO_ON) {
        return status;
    }
    if (argc - first != 1) {
        return cli_usage(command, "one NAME is wanted, got %d", argc - first);
    }
    job.net = argv[first];
    job.desc.alpha = (float)alpha;
    job.desc.size = (int)size;
    job.json = common.json;
    return fetch(&common, &job);
}

const cli_command cli_fetch = {
    .name = "fetch",
    .operands = "NAME",
    .summary = "Download a network's official weights into Keras's cache",
    .details = "NAME is a built-in network, or imagenet_class_index: the names of ImageNet's classes. The file lies in $KERAS_HOME/models\n"
               "(~/.keras/models), where Keras finds it too; its hash is checked, and a broken download is gone on with by the next one.\n"
               "TLVK_WEIGHTS_URL=http://mirror takes the place of https://storage.googleapis.com.",
    .example = "tlvk fetch mobilenetv2 --no-top --alpha 0.35 --size 96",
    .run = run,
};
