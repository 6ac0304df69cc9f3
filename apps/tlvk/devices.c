/* devices.c - `tlvk devices`: which Vulkan devices there are, what each can do, which would be chosen and why. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEVICES 64

static void print_json(int index, const tlvk_device_info *d) {
    cli_print_json(json_pack("{s:i, s:o, s:o, s:o, s:o, s:I, s:i, s:b, s:b, s:b, s:b, s:o, s:b, s:b, s:I, s:I}", "index", index, "name", cli_json_text(d->name), "type",
                             cli_json_text(d->type), "driver", cli_json_text(d->driver), "api", cli_json_text(d->api), "memory_bytes",
                             (json_int_t)d->memory_bytes, "subgroup_size", (int)d->subgroup_size, "fp16", d->fp16, "cooperative_matrix",
                             d->cooperative_matrix, "chosen", d->chosen, "usable", d->usable, "reason", cli_json_text(d->reason), "mixed_precision", d->mixed_precision,
                             "matrix_units", d->matrix_units, "max_binding_bytes", (json_int_t)d->max_binding_bytes, "max_allocation_bytes", (json_int_t)d->max_allocation_bytes));
}

/* The kinds of devices as people call them. */
static const char *kind_of(const char *type) {
    static const char *const words[][2] = {{"discrete", "graphics card with memory of its own"},
                                           {"integrated", "graphics built into the processor, which share its memory"},
                                           {"virtual", "graphics card that a virtual machine is lent"},
                                           {"cpu", "the processor itself, through a driver that computes there"},
                                           {"other", "device of a kind that its driver does not tell"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i][0], type) == 0) {
            return words[i][1];
        }
    }
    return type;
}

static void print_abilities(const tlvk_device_info *d) {
    char memory[CLI_BYTES_TEXT], allocation[CLI_BYTES_TEXT], binding[CLI_BYTES_TEXT];
    if (!d->memory_bytes) {
        printf("     no memory: it compiles and runs nothing\n");
        return;
    }
    printf("     %s of memory, up to %s in one piece; kernels see %s at once, and larger tensors in parts\n", cli_bytes_text(d->memory_bytes, memory),
           cli_bytes_text(d->max_allocation_bytes, allocation), cli_bytes_text(d->max_binding_bytes, binding));
    if (d->mixed_precision) {
        printf("     can: train and predict in fp32 and, with --precision mixed, in mixed precision: activations in fp16, products %s\n",
               d->matrix_units ? "by its matrix units" : "in fp32");
    } else {
        printf("     can: train and predict in fp32\n     cannot: mixed precision, for which its texel buffers are too small and %s\n",
               d->cooperative_matrix ? "its cooperative matrices of another kind" : "it has no cooperative matrices");
    }
}

static void print_text(int index, const tlvk_device_info *d) {
    printf("%c %d  %s\n     %s\n     %s, Vulkan %s, subgroups of %u%s\n", d->chosen ? '*' : ' ', index, d->name, kind_of(d->type), d->driver, d->api, d->subgroup_size,
           d->fp16 ? ", fp16" : "");
    if (d->usable) {
        print_abilities(d);
    }
    if (*d->reason) {
        printf("     %s\n", d->reason);
    }
}

/* What to do where another device is wanted. */
static void print_advice(size_t count, bool asked) {
    printf(count > 1 ? "Another is taken with --device and its number or a part of its name, or with the same in TLVK_DEVICE.\n"
                     : "Other devices are listed once the system has Vulkan drivers for them.\n");
    if (asked) {
        printf("Without --device or TLVK_DEVICE the choice is the library's own.\n");
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
    if (!st && !common.json) {
        print_advice(count, common.device || getenv("TLVK_DEVICE"));
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
