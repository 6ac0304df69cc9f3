/* selftest.c - `tlvk selftest`: whether this device computes what it should, in one last line, and in a file to be shown to others. */
#include "cli.h"

static void report(const tlvk_selftest_case *c, void *user) {
    const cli_common *common = user;
    if (common->json) {
        cli_print_json(json_pack("{s:o, s:o, s:o, s:b, s:o}", "case", cli_json_text(c->name), "max_error", cli_json_number(c->max_error), "bound",
                                 cli_json_number(c->bound), "ok", c->ok, "message", cli_json_text(c->message ? c->message : "")));
    } else if (!c->ok || common->verbose) {
        printf("%-6s %-60s error %.3g, bound %.3g%s%s\n", c->ok ? "ok" : "FAILED", c->name, c->max_error, c->bound, c->message && *c->message ? ": " : "",
               c->message ? c->message : "");
        fflush(stdout);
    }
}

/* What stands below the cases, also where the device broke them off. */
static void conclude(const cli_common *common, const char *verdict, int cases, int failed, const char *file) {
    if (common->json) {
        cli_print_json(json_pack("{s:o, s:i, s:i, s:o}", "verdict", cli_json_text(verdict), "cases", cases, "failed", failed, "report", cli_json_text(file)));
    } else {
        printf("%d cases, %d failed; the report is in %s\n%s\n", cases, failed, file, verdict);
    }
}

static int run(const cli_command *command, int argc, char **argv) {
    cli_common common = {0};
    char verdict[1024] = "";
    tlvk_selftest_desc desc = {.report = report, .user = &common, .verdict = verdict, .verdict_size = sizeof verdict, .file = "tlvk-selftest.txt"};
    int64_t seed = 0;
    cli_option common_rows[CLI_COMMON_ROWS];
    cli_common_options(&common, common_rows);
    const cli_option rows[] = {
        {"full", 0, CLI_FLAG, &desc.full, NULL, "the large cases too", 0, 0, NULL},
        {"filter", 0, CLI_TEXT, &desc.filter, "TEXT", "only cases with this text in their name", 0, 0, NULL},
        {"seed", 0, CLI_INTEGER, &seed, "N", "of the cases' values (default 0)", 0, 9e15, NULL},
        {"report", 0, CLI_TEXT, &desc.file, "FILE", "device, driver, limits and failing cases, to be attached to an issue (default tlvk-selftest.txt)", 0, 0, NULL},
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
    const char *why = "";
    if (!cli_can_write(desc.file, &why)) {
        cli_message("%s: cannot be written: %s (--report names another file)", desc.file, why);
        return CLI_FAILED;
    }
    desc.seed = (uint64_t)seed;
    tlvk_context *ctx = NULL;
    status = cli_open_context(&common, &ctx);
    if (status == CLI_GO_ON) {
        int cases = 0, failed = 0;
        tlvk_status st = tlvk_selftest(ctx, &desc, &cases, &failed);
        if (st) {
            status = cli_fail(ctx, st, CLI_WORKING);
        } else if (cases == 0) {
            cli_message("no case has '%s' in its name", desc.filter ? desc.filter : "");
            status = CLI_USAGE;
        } else {
            status = failed ? CLI_FAILED : CLI_DONE;
        }
        if (!st && failed) {
            cli_message("%d of %d cases failed", failed, cases);
        }
        if (cases > 0) {
            conclude(&common, verdict, cases, failed, desc.file);
        }
    }
    cli_close_context(ctx);
    return status;
}

const cli_command cli_selftest = {
    .name = "selftest",
    .operands = "",
    .summary = "Check on this device every operation, the order of writes, memory and a small fine-tuning",
    .details = "Its last line says what the device is fit for.",
    .example = "tlvk selftest --filter conv2d",
    .run = run,
};
