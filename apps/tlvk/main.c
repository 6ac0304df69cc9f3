/* main.c - hides which file does which command: dispatch, --help, --version. */
#include "cli.h"

#include <string.h>

static const cli_command *const commands[] = {&cli_devices, &cli_summary, &cli_predict, &cli_evaluate, &cli_finetune, &cli_convert, &cli_fetch, &cli_selftest, &cli_bench};
static const size_t command_count = sizeof commands / sizeof commands[0];

static void print_help(void) {
    puts("Usage: tlvk COMMAND [OPTION...] [OPERAND...]\n\n"
         "Fine-tunes Keras models on pictures with any Vulkan device.\n\nCommands:");
    for (size_t i = 0; i < command_count; i++) {
        printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    }
    puts("\n'tlvk COMMAND --help' explains a command; 'tlvk --version' says the version.\n\n"
         "A MODEL is a file (.h5, .hdf5, .keras) or NAME[:WEIGHTS]: a built-in network with the weights imagenet (default), random, or of a file.\n"
         "Exit status: 0 done, 1 the work failed, 2 wrong usage, 3 no usable Vulkan device, 4 an input file was refused, 130 interrupted.\n"
         "Environment: TLVK_DEVICE chooses the device, TLVK_CACHE_DIR moves the caches, KERAS_HOME the official weights,\n"
         "TLVK_WEIGHTS_URL names a mirror of them.\n\n"
         "Example:\n  tlvk finetune model.h5 --no-top --train photos/train --validation photos/val --output mine.keras");
}

static int wrong(const char *what, const char *why) {
    fprintf(stderr, "tlvk: %s%s\nTry 'tlvk --help'.\n", what, why);
    return CLI_USAGE;
}

int main(int argc, char **argv) {
    cli_utf8_arguments(&argc, &argv);
    if (argc < 2) {
        return wrong("", "no command given");
    }
    const char *word = argv[1];
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
        print_help();
        return cli_flush(CLI_DONE);
    }
    if (!strcmp(word, "--version")) {
        printf("tlvk %s\n", tlvk_version());
        return cli_flush(CLI_DONE);
    }
    for (size_t i = 0; i < command_count; i++) {
        if (!strcmp(word, commands[i]->name)) {
            return cli_flush(commands[i]->run(commands[i], argc - 1, argv + 1));
        }
    }
    return wrong(word, ": no such command");
}
