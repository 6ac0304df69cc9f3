/* convert.c - `tlvk convert`: a model, or its weights alone, from one of Keras's forms to another. Hides which call writes which form. */
#include "cli.h"

#include <string.h>

static bool ends_in(const char *path, const char *end) {
    size_t length = strlen(path), tail = strlen(end);
    return length > tail && !strcmp(path + length - tail, end);
}

static bool is_form(const char *path) { return ends_in(path, ".h5") || ends_in(path, ".hdf5") || ends_in(path, ".keras"); }

static int convert(tlvk_context *ctx, const cli_model_request *request, const char *out, bool weights) {
    tlvk_model *model = NULL;
    int status = cli_open_model(ctx, request, &model);
    if (status == CLI_REFUSED && !cli_is_net(request->spec) && strstr(tlvk_last_error(ctx), "weights alone")) {
        cli_message("weights alone go together with the network they are of: tlvk convert NAME:%s %s", request->spec, out);
    }
    if (status == CLI_GO_ON) {
        tlvk_status st = weights ? tlvk_model_save_weights(model, out) : tlvk_model_save(model, out);
        status = st ? cli_fail(ctx, st, CLI_WRITING) : CLI_DONE;
    }
    tlvk_model_destroy(model);
    return status;
}

static int check_output(const cli_command *command, const char *out, bool weights) {
    const char *why;
    if (!is_form(out)) {
        return cli_usage(command, "%s: OUT ends in .keras, .weights.h5, .h5 or .hdf5, which says its form", out);
    }
    if (weights && ends_in(out, ".keras")) {
        return cli_usage(command, "%s: a .keras is a whole model; weights alone are .weights.h5, .h5 or .hdf5", out);
    }
    if (!cli_can_write(out, &why)) {
        cli_message("%s: %s", out, why);
        return CLI_FAILED;
    }
    return CLI_GO_ON;
}

static int run(const cli_command *command, int argc, char **argv) {
    cli_common common = {0};
    cli_model_request request = {0};
    bool no_top = false, weights = false;
    cli_option common_rows[CLI_COMMON_ROWS], net_rows[CLI_NET_ROWS];
    cli_common_options(&common, common_rows);
    cli_net_options(&common, net_rows);
    const cli_option rows[] = {
        {"weights", 0, CLI_FLAG, &weights, NULL, "write the weights alone (as .weights.h5 always does)", 0, 0, NULL},
        {"no-top", 0, CLI_FLAG, &no_top, NULL, "a built-in network without its classifier", 0, 0, NULL},
        {"image-size", 0, CLI_SIZE, request.size, "HxW", "of a built-in network (default: its own)", 0, 0, NULL},
        {NULL, 0, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    const cli_group groups[] = {{"Options", common_rows}, {"Converting", rows}, {NULL, net_rows}, {NULL, NULL}};
    int first;
    int status = cli_parse(command, groups, argc, argv, &first);
    if (status != CLI_GO_ON) {
        return status;
    }
    if (argc - first != 2) {
        return cli_usage(command, "IN and OUT are wanted, got %d names", argc - first);
    }
    const char *out = argv[first + 1];
    request.spec = argv[first];
    request.no_top = no_top;
    request.alpha = common.alpha;
    weights = weights || ends_in(out, ".weights.h5");
    if ((no_top || request.size[0]) && !cli_is_net(request.spec)) {
        return cli_usage(command, "--no-top and --image-size go with a built-in network, not with the file %s", request.spec);
    }
    status = check_output(command, out, weights);
    tlvk_context *ctx = NULL;
    if (status == CLI_GO_ON) {
        status = cli_open_context(&common, &ctx);
    }
    if (status == CLI_GO_ON) {
        status = convert(ctx, &request, out, weights);
    }
    cli_close_context(ctx);
    return status;
}

const cli_command cli_convert = {
    .name = "convert",
    .operands = "IN OUT",
    .summary = "Write a model, or its weights, in another of Keras's forms",
    .details = "IN is a model: a file (.keras, .h5, .hdf5), or NAME[:WEIGHTS], where WEIGHTS may be a file of weights alone (.weights.h5, .h5).\n"
               "OUT says by its end what is written: .keras and .h5 (.hdf5) the whole model, .weights.h5 the weights.\n"
               "What a form cannot say so that its readers compute the same is refused by name.",
    .example = "tlvk convert model.h5 model.keras",
    .run = run,
};
