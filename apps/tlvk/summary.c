/* summary.c - `tlvk summary`: Keras's table of a model's layers. */
#include "cli.h"

#include <string.h>

static json_t *layers_json(const tlvk_model *model) {
    json_t *layers = json_array();
    for (int i = 0; i < tlvk_model_layer_count(model); i++) {
        tlvk_layer_info info;
        memset(&info, 0, sizeof info);
        if (tlvk_model_layer_info(model, i, &info)) {
            break;
        }
        json_t *inbound = json_array();
        for (int k = 0; k < TLVK_MAX_IO && info.inbound[k]; k++) {
            json_array_append_new(inbound, cli_json_text(info.inbound[k]));
        }
        json_t *layer = json_pack("{s:o, s:o, s:o, s:I, s:b, s:o}", "name", cli_json_text(info.name), "class", cli_json_text(info.class_name), "output_shape",
                                  cli_json_text(info.output_shape), "params", (json_int_t)info.params, "trainable", info.trainable, "inbound", inbound);
        const tlvk_model *nested = tlvk_layer_model(tlvk_model_layer(model, i));
        if (layer && nested) {
            json_object_set_new(layer, "layers", layers_json(nested));
        }
        json_array_append_new(layers, layer);
    }
    return layers;
}

static tlvk_status print_summary(const tlvk_model *model, bool json) {
    if (json) {
        int64_t total = 0, trainable = 0;
        tlvk_status st = tlvk_model_count_params(model, &total, &trainable);
        if (!st) {
            cli_print_json(json_pack("{s:I, s:I, s:I, s:o}", "total_params", (json_int_t)total, "trainable_params", (json_int_t)trainable,
                                     "non_trainable_params", (json_int_t)(total - trainable), "layers", layers_json(model)));
        }
        return st;
    }
    char *text = NULL;
    tlvk_status st = tlvk_model_summary(model, &text);
    if (!st) {
        fputs(text, stdout);
    }
    tlvk_free(text);
    return st;
}

static int run(const cli_command *command, int argc, char **argv) {
    cli_common common = {0};
    cli_model_request request = {0};
    bool no_top = false;
    cli_option common_rows[CLI_COMMON_ROWS];
    cli_common_options(&common, common_rows);
    const cli_option rows[] = {
        {"no-top", 0, CLI_FLAG, &no_top, NULL, "a built-in network without its classifier", 0, 0, NULL},
        {"image-size", 0, CLI_SIZE, request.size, "HxW", "of a built-in network (default: its own)", 0, 0, NULL},
        {NULL, 0, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    cli_option net_rows[CLI_NET_ROWS];
    cli_net_options(&common, net_rows);
    const cli_group groups[] = {{"Options", common_rows}, {"Built-in networks", rows}, {NULL, net_rows}, {NULL, NULL}};
    int first;
    int status = cli_parse(command, groups, argc, argv, &first);
    if (status != CLI_GO_ON) {
        return status;
    }
    if (argc - first != 1) {
        return cli_usage(command, "one MODEL is wanted, got %d", argc - first);
    }
    request.spec = argv[first];
    request.no_top = no_top;
    request.alpha = common.alpha;
    if ((no_top || request.size[0]) && !cli_is_net(request.spec)) {
        return cli_usage(command, "--no-top and --image-size go with a built-in network, not with the file %s", request.spec);
    }
    tlvk_context *ctx = NULL;
    tlvk_model *model = NULL;
    status = cli_open_context(&common, &ctx);
    if (status == CLI_GO_ON) {
        status = cli_open_model(ctx, &request, &model);
    }
    if (status == CLI_GO_ON) {
        tlvk_status st = print_summary(model, common.json);
        status = st ? cli_fail(ctx, st, CLI_WORKING) : CLI_DONE;
    }
    tlvk_model_destroy(model);
    cli_close_context(ctx);
    return status;
}

const cli_command cli_summary = {
    .name = "summary",
    .operands = "MODEL",
    .summary = "Print a model's layers as Keras does",
    .example = "tlvk summary vgg16:random",
    .run = run,
};
