/* bench.c - `tlvk bench`: how fast operations and whole networks run, forward and as a training step. */
#include "cli.h"

static void report(const tlvk_bench_case *c, void *user) {
    const cli_common *common = user;
    if (common->json) {
        cli_print_json(json_pack("{s:o, s:o, s:o, s:o, s:o}", "case", cli_json_text(c->name), "ms_min", cli_json_number(c->ms_min), "ms_median",
                                 cli_json_number(c->ms_median), "gflops", cli_json_number(c->gflops), "images_per_s", cli_json_number(c->images_per_s)));
        return;
    }
    printf("%-60s %10.2f ms %10.2f ms %8.1f GFLOP/s", c->name, c->ms_min, c->ms_median, c->gflops);
    if (c->images_per_s > 0.0) {
        printf(" %8.2f images/s", c->images_per_s);
    }
    putchar('\n');
    fflush(stdout);
}

static int run(const cli_command *command, int argc, char **argv) {
    cli_common common = {0};
    tlvk_bench_desc desc = {.report = report, .user = &common};
    int64_t repeats = 0, batch_size = 0;
    cli_option common_rows[CLI_COMMON_ROWS];
    cli_common_options(&common, common_rows);
    const cli_option rows[] = {
        {"filter", 0, CLI_TEXT, &desc.filter, "TEXT", "only cases with this text in their name", 0, 0, NULL},
        {"repeats", 0, CLI_INTEGER, &repeats, "N", "runs of each case", 1, 10000, NULL},
        {"batch-size", 0, CLI_INTEGER, &batch_size, "N", "pictures at a time in whole networks", 1, 65536, NULL},
        {NULL, 0, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    const cli_group groups[] = {{"Options", common_rows}, {"Cases", rows}, {NULL, NULL}};
    int first;
    int status = cli_parse(command, groups, argc, argv, &first);
    if (status != CLI_GO_ON) {
        return status;
    }
    if (first < argc) {
        return cli_usage(command, "takes no operand, got '%s'", argv[first]);
    }
    desc.repeats = (int)repeats;
    desc.batch_size = (int)batch_size;
    tlvk_context *ctx = NULL;
    status = cli_open_context(&common, &ctx);
    if (status == CLI_GO_ON) {
        if (!common.json) {
            printf("%-60s %13s %13s\n", "case", "best", "median");
        }
        tlvk_status st = tlvk_bench(ctx, &desc);
        status = st ? cli_fail(ctx, st, CLI_WORKING) : CLI_DONE;
    }
    cli_close_context(ctx);
    return status;
}

const cli_command cli_bench = {
    .name = "bench",
    .operands = "",
    .summary = "Measure operations and whole networks, forward and training step",
    .example = "tlvk bench --filter vgg16 --batch-size 8",
    .run = run,
};
