/* session.c - hides what every command does before its own work: the context, the model named on the command line, and exit statuses. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

static const cli_choice tunings[] = {{"on", TLVK_TUNE_ON}, {"off", TLVK_TUNE_OFF}, {NULL, 0}};

void cli_common_options(cli_common *common, cli_option rows[CLI_COMMON_ROWS]) {
    const cli_option all[CLI_COMMON_ROWS] = {
        {"device", 0, CLI_TEXT, &common->device, "N|NAME-PART", "Vulkan device (default: $TLVK_DEVICE, else the best)", 0, 0, NULL},
        {"json", 0, CLI_FLAG, &common->json, NULL, "print JSON Lines", 0, 0, NULL},
        {"verbose", 'v', CLI_COUNT, &common->verbose, NULL, "say which device, kernels and cuts; twice: more", 0, 0, NULL},
        {"tune", 0, CLI_CHOICE, &common->tune, "on|off", "measure kernels on the device once, and use what was measured", 0, 0, tunings},
        {NULL, 0, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    memcpy(rows, all, sizeof all);
}

void cli_net_options(cli_common *common, cli_option rows[CLI_NET_ROWS]) {
    const cli_option all[CLI_NET_ROWS] = {
        {"alpha", 0, CLI_NUMBER, &common->alpha, "A", "width of mobilenet, mobilenetv2 and mobilenetv3 (default 1)", 0.01, 64, NULL},
        {"no-download", 0, CLI_FLAG, &common->no_download, NULL, "official weights are taken from Keras's cache only", 0, 0, NULL},
        {NULL, 0, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    memcpy(rows, all, sizeof all);
}

static void print_log(tlvk_log_level level, const char *text, void *user) {
    (void)user;
    cli_message("%s%s", level == TLVK_LOG_WARNING ? "warning: " : "", text);
}

int cli_fail(const tlvk_context *ctx, tlvk_status status, cli_stage stage) {
    if (status == TLVK_ERROR_CANCELLED) {
        cli_message("interrupted");
        return CLI_INTERRUPTED;
    }
    const char *text = tlvk_last_error(ctx);
    cli_message("%s", *text ? text : tlvk_status_name(status));
    switch (status) {
    case TLVK_ERROR_ARGUMENT: return CLI_USAGE;
    case TLVK_ERROR_NO_DEVICE: return CLI_NO_DEVICE;
    case TLVK_ERROR_FILE: return stage == CLI_READING ? CLI_REFUSED : CLI_FAILED;
    case TLVK_ERROR_FORMAT:
    case TLVK_ERROR_UNSUPPORTED:
    case TLVK_ERROR_DATA: return stage == CLI_WRITING ? CLI_FAILED : CLI_REFUSED;
    default: return CLI_FAILED;
    }
}

int cli_open_context(const cli_common *common, tlvk_context **ctx) {
    const tlvk_context_desc desc = {
        .device = common->device,
        .log = print_log,
        .log_level = common->verbose > 1 ? TLVK_LOG_DEBUG : common->verbose ? TLVK_LOG_INFO : TLVK_LOG_WARNING,
        .memory_limit = common->memory_limit,
        .no_download = common->no_download,
        .tune = (tlvk_tune)common->tune,
    };
    tlvk_status st = tlvk_context_create(&desc, ctx);
    if (st) {
        return cli_fail(NULL, st, CLI_WORKING);
    }
    cli_catch_interrupts(*ctx);
    return CLI_GO_ON;
}

void cli_close_context(tlvk_context *ctx) {
    cli_catch_interrupts(NULL);
    tlvk_context_destroy(ctx);
}

/* The built-in network that `spec` names before its colon; NULL where it is a file. */
static const char *net_of(const char *spec) {
    size_t length = strcspn(spec, ":");
    const char *name;
    for (int i = 0; (name = tlvk_net_name(i)) != NULL; i++) {
        if (strlen(name) == length && !memcmp(name, spec, length)) {
            return name;
        }
    }
    return NULL;
}

bool cli_is_net(const char *spec) { return net_of(spec) != NULL; }

/* What stands behind the network's name; official weights where nothing does. */
static const char *weights_of(const char *net, const char *spec) { return spec[strlen(net)] ? spec + strlen(net) + 1 : "imagenet"; }

bool cli_is_official(const char *spec) {
    const char *net = net_of(spec);
    return net && !strcmp(weights_of(net, spec), "imagenet");
}

/* Height and width the network has with its classifier, which Keras takes as its own. Weights are drawn only when wanted, so this is cheap.
 * A context of its own, so that automatic names of the network wanted begin where Keras's do. */
static tlvk_status own_size(const char *net, float alpha, int64_t shape[3]) {
    tlvk_context *ctx = NULL;
    tlvk_model *whole = NULL;
    tlvk_status st = tlvk_context_create(NULL, &ctx);
    if (!st) {
        st = tlvk_net(ctx, net, &(tlvk_net_desc){.alpha = alpha}, &whole);
    }
    int64_t dims[TLVK_MAX_DIMS] = {0};
    if (!st && tlvk_tensor_shape(tlvk_model_input(whole, 0), dims) == 3) {
        for (int i = 0; i < 3; i++) {
            shape[i] = dims[i] > 0 ? dims[i] : i < 2 ? 224 : 3; /* MobileNetV3 takes any size; its weights are of 224 */
        }
    }
    tlvk_model_destroy(whole);
    tlvk_context_destroy(ctx);
    return st;
}

static tlvk_status open_net(tlvk_context *ctx, const char *net, const cli_model_request *request, tlvk_model **model) {
    tlvk_net_desc desc = {.weights = weights_of(net, request->spec), .no_top = request->no_top, .seed = request->seed, .alpha = (float)request->alpha};
    if (request->size[0] || request->no_top) {
        tlvk_status st = own_size(net, desc.alpha, desc.input_shape);
        if (st) {
            return st;
        }
    }
    if (request->size[0]) {
        desc.input_shape[0] = request->size[0];
        desc.input_shape[1] = request->size[1];
    }
    cli_fetch_watch watch;
    cli_fetch_start(&watch, net);
    desc.fetch_progress = cli_fetch_progress;
    desc.fetch_user = &watch;
    tlvk_status st = tlvk_net(ctx, net, &desc, model);
    cli_progress_break();
    return st;
}

static void no_such_model(const char *spec) {
    char nets[1024] = "";
    const char *name;
    for (int i = 0; (name = tlvk_net_name(i)) != NULL; i++) {
        size_t used = strlen(nets);
        snprintf(nets + used, sizeof nets - used, "%s%s", i ? ", " : "", name);
    }
    cli_message("%s: no such file, and no built-in network of that name (they are: %s)", spec, nets);
}

int cli_open_model(tlvk_context *ctx, const cli_model_request *request, tlvk_model **model) {
    const char *net = net_of(request->spec);
    if (!net && !cli_exists(request->spec)) {
        no_such_model(request->spec);
        return CLI_REFUSED;
    }
    if (!net && request->alpha > 0.0) {
        cli_message("--alpha is the width of a built-in network; %s is a file", request->spec);
        return CLI_USAGE;
    }
    tlvk_status st = net ? open_net(ctx, net, request, model) : tlvk_model_load(ctx, request->spec, model);
    if (st) {
        return cli_fail(ctx, st, CLI_READING);
    }
    return cli_was_interrupted() ? cli_fail(ctx, TLVK_ERROR_CANCELLED, CLI_READING) : CLI_GO_ON;
}
