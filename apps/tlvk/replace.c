/* replace.c - hides --replace: from LAYER=FILE.json or LAYER=none to a network in which that layer has made room. */
#include "finetune.h"

#include <stdlib.h>
#include <string.h>

typedef struct substitute {
    tlvk_context *ctx;
    const char *json;  /* NULL: the layer is left out */
    tlvk_model *model; /* what json says, made for the shape that comes in; kept until the network has its layers */
    int status;        /* CLI_GO_ON, or what a refused json ended with */
} substitute;

/* The file's layers are called one by one, so that they stand in the network under their own names and nothing is nested. */
static tlvk_tensor put_in_place(tlvk_layer *layer, const tlvk_tensor *x, int count, void *user) {
    (void)layer;
    substitute *s = user;
    int64_t shape[TLVK_MAX_DIMS + 1] = {0};
    tlvk_tensor y = count == 1 ? x[0] : (tlvk_tensor){0};
    if (!s->json || tlvk_tensor_shape(y, shape) == 0) {
        return y;
    }
    if (!s->model) {
        tlvk_status st = tlvk_model_from_json(s->ctx, s->json, shape, &s->model);
        s->status = st ? cli_fail(s->ctx, st, CLI_READING) : CLI_GO_ON;
    }
    for (int i = 0; i < (s->model ? tlvk_model_layer_count(s->model) : 0); i++) {
        tlvk_layer *own = tlvk_model_layer(s->model, i);
        if (strcmp(tlvk_layer_class(own), "InputLayer") != 0) {
            y = tlvk_layer_call(own, y, TLVK_CALL_DEFAULT);
        }
    }
    return s->model ? y : (tlvk_tensor){0};
}

static int replace_layer(tlvk_context *ctx, const char *name, const char *json, tlvk_model **base) {
    substitute s = {.ctx = ctx, .json = json, .status = CLI_GO_ON};
    tlvk_model *changed = NULL;
    tlvk_status st = tlvk_model_replace_layer(*base, name, put_in_place, &s, &changed);
    if (st && s.status == CLI_GO_ON) {
        s.status = cli_fail(ctx, st, CLI_READING);
    } else if (!st) {
        tlvk_model_destroy(*base);
        *base = changed;
    }
    tlvk_model_destroy(s.model);
    return s.status;
}

int finetune_check_replace(const cli_command *command, const cli_list *items) {
    for (int i = 0; i < items->count; i++) {
        const char *with = strchr(items->items[i], '=');
        const char *end = with ? strrchr(with, '.') : NULL;
        if (!with || with == items->items[i] || (strcmp(with, "=none") != 0 && (!end || strcmp(end, ".json") != 0))) {
            return cli_usage(command, "--replace: '%s' where LAYER=FILE.json or LAYER=none is wanted", items->items[i]);
        }
    }
    return CLI_GO_ON;
}

int finetune_replace(tlvk_context *ctx, const cli_list *items, tlvk_model **base) {
    int status = CLI_GO_ON;
    for (int i = 0; i < items->count && status == CLI_GO_ON; i++) {
        const char *with = strchr(items->items[i], '=') + 1;
        char *name = cli_format("%.*s", (int)(with - 1 - items->items[i]), items->items[i]), *json = NULL;
        bool none = !strcmp(with, "none");
        if (!name) {
            cli_message("out of memory");
            status = CLI_FAILED;
        } else if (none || (json = cli_read_file(with, &status)) != NULL) {
            status = replace_layer(ctx, name, json, base);
        }
        free(name);
        free(json);
    }
    return status;
}
