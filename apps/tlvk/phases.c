/* phases.c - hides the words of --freeze and --then: from texts to a trainable set, epochs and a learning rate for each phase. */
#include "finetune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool append(cli_list *list, const char *text) {
    const char **items = realloc(list->items, ((size_t)list->count + 1) * sizeof *items);
    if (!items) {
        return false;
    }
    list->items = items;
    items[list->count++] = text;
    return true;
}

/* "freeze=SPEC,epochs=N,learning-rate=R": any of them, freeze as often as wanted. */
static int read_then(const cli_command *command, const char *argument, finetune_phase *phase) {
    phase->text = cli_format("%s", argument);
    char *rest = phase->text;
    while (rest && *rest) {
        char *item = rest, *comma = strchr(rest, ',');
        rest = comma ? comma + 1 : NULL;
        if (comma) {
            *comma = 0;
        }
        char *value = strchr(item, '=');
        if (!value || !value[1]) {
            return cli_usage(command, "--then: '%s' where freeze=SPEC, epochs=N or learning-rate=R is wanted", item);
        }
        *value++ = 0;
        bool ok = true;
        if (!strcmp(item, "freeze")) {
            ok = append(&phase->freeze, value);
        } else if (!strcmp(item, "epochs")) {
            ok = cli_read_integer(value, 1, 1e6, &phase->epochs);
        } else if (!strcmp(item, "learning-rate")) {
            ok = cli_read_number(value, 0, 1e6, &phase->learning_rate);
        } else {
            return cli_usage(command, "--then: '%s' is none of freeze, epochs and learning-rate", item);
        }
        if (!ok) {
            return cli_usage(command, "--then: %s=%s: not a value for it", item, value);
        }
    }
    return phase->text && *argument ? CLI_GO_ON : cli_usage(command, "--then: 'freeze=SPEC,epochs=N,learning-rate=R' is wanted");
}

int finetune_phases(const cli_command *command, const finetune_options *o, finetune_phase **phases, int *count) {
    *count = 0;
    finetune_phase *all = *phases = calloc((size_t)o->then.count + 1, sizeof *all);
    if (!all) {
        cli_message("out of memory");
        return CLI_FAILED;
    }
    int64_t total = 0;
    for (int i = 0; i <= o->then.count; i++) {
        all[i] = (finetune_phase){.epochs = o->epochs, .learning_rate = o->learning_rate};
        *count = i + 1;
        if (i == 0) {
            static const char *base = "base"; /* without --freeze the base is frozen */
            for (int k = 0; k < (o->freeze.count ? o->freeze.count : 1); k++) {
                if (!append(&all[0].freeze, o->freeze.count ? o->freeze.items[k] : base)) {
                    cli_message("out of memory");
                    return CLI_FAILED;
                }
            }
        } else {
            int status = read_then(command, o->then.items[i - 1], &all[i]);
            if (status != CLI_GO_ON) {
                return status;
            }
        }
        total += all[i].epochs;
    }
    return total <= 1000000 ? CLI_GO_ON : cli_usage(command, "more than a million epochs");
}

void finetune_phases_free(finetune_phase *phases, int count) {
    for (int i = 0; phases && i < count; i++) {
        free(phases[i].freeze.items);
        free(phases[i].text);
    }
    free(phases);
}

/* "base" is the network below a new head, and what the library tells from the head where the model keeps its own. */
static tlvk_status set_trainable(tlvk_model *model, const char *spec, bool trainable, int head_layers) {
    if (!strcmp(spec, "base") && head_layers > 0) {
        tlvk_layer_set_trainable(tlvk_model_layer(model, -head_layers - 1), trainable);
        return TLVK_OK;
    }
    return tlvk_model_set_trainable(model, spec, trainable);
}

tlvk_status finetune_freeze(tlvk_model *model, const cli_list *specs, int head_layers) {
    tlvk_status st = tlvk_model_set_trainable(model, "*", true);
    if (!st && specs->count && specs->items[0][0] == '!') {
        st = set_trainable(model, "base", false, head_layers);
    }
    for (int i = 0; !st && i < specs->count; i++) {
        const char *spec = specs->items[i];
        bool unfreeze = *spec == '!';
        if (!strcmp(spec, "none")) {
            st = tlvk_model_set_trainable(model, "*", true);
        } else {
            st = set_trainable(model, spec + unfreeze, unfreeze, head_layers);
        }
    }
    for (int i = 1; !st && i <= head_layers; i++) {
        tlvk_layer_set_trainable(tlvk_model_layer(model, -i), true);
    }
    return st;
}
