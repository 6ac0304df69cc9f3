/* devices.c - `tlvk devices`: which Vulkan devices there are, what each can do, which would be chosen and why. */
#include "cli.h"

#include <string.h>

#define MAX_DEVICES 64

static void print_json(int index, const tlvk_device_info *d) {
    cli_print_json(json_pack("{s:i, s:o, s:o, s:o, s:o, s:I, s:i, s:b, s:b, s:b, s:b, s:o}", "index", index, "name", cli_json_text(d->name), "type",
                             cli_json_text(d->type), "driver", cli_json_text(d->driver), "api", cli_json_text(d->api), "memory_bytes",
                             (json_int_t)d->memory_bytes, "subgroup_size", (int)d->subgroup_size, "fp16", d->fp16, "cooperative_matrix",
                             d->cooperative_matrix, "chosen", d->chosen, "usable", d->usable, "reason", cli_json_text(d->reason)));
}

/* The kinds of devices as people call them. */
static const char *kind_of(const char *type) {
    static const char *const words[][2] = {{"discrete", "graphics card"}, {"integrated", "graphics unit beside the processor"}, {"virtual", "virtual graphics card"},
                                           {"cpu", "driver on the processor"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i][0], type) == 0) {
            return words[i][1];
        }
    }
    return type;
}

static void print_text(int index, const tlvk_device_info *d) {
    printf("%c %d  %s\n", d->chosen ? '*' : ' ', index, d->name);
    printf("     %s, %s, Vulkan %s, ", kind_of(d->type), d->driver, d->api);
    d->memory_bytes ? printf("%.1f GiB of memory", (double)d->memory_bytes / (1 << 30)) : printf("no memory");
    printf("\n     subgroups of %u%s%s\n", d->subgroup_size, d->fp16 ? ", fp16" : "", d->cooperative_matrix ? ", cooperative matrices" : "");
    if (*d->reason) {
        printf("     %s\n", d->reason);
    }
}

static int run(const cli_command *command, int argc, char **argv) {
    cli_common common = {0};
    cli_option common_rows[CLI_COMMON_ROWS];
    cli_common_options(&common, common_rows);
    const cli_group groups[] = {{"Options", common_rows}, {NULL, NULL}};
    int first;
    int status = cli_parse(command, groups, argc, argv, &first);
    if (status != CLI_GO_ON) {
        return status;
    }
    if (first < argc) {
        return cli_usage(command, "takes no operand, got '%s'", argv[first]);
    }
    tlvk_context *ctx = NULL;
    status = cli_open_context(&common, &ctx);
    if (status != CLI_GO_ON) {
        return status;
    }
    static tlvk_device_info infos[MAX_DEVICES];
    size_t count = 0;
    tlvk_status st = tlvk_devices(ctx, infos, MAX_DEVICES, &count);
    bool chosen = false;
    for (size_t i = 0; !st && i < count && i < MAX_DEVICES; i++) {
        common.json ? print_json((int)i, &infos[i]) : print_text((int)i, &infos[i]);
        chosen = chosen || infos[i].chosen;
    }
    if (st) {
        status = cli_fail(ctx, st, CLI_WORKING);
    } else if (!chosen) {
        cli_message("no usable Vulkan device%s", common.device ? " of that name or number" : "");
        status = CLI_NO_DEVICE;
    } else {
        status = CLI_DONE;
    }
    cli_close_context(ctx);
    return status;
}

const cli_command cli_devices = {
    .name = "devices",
    .operands = "",
    .summary = "List Vulkan devices, what each can do, and which would be chosen and why",
    .example = "tlvk devices --json",
    .run = run,
};
