/* network.c - hides how `tlvk finetune` makes the network it trains: where the old one is cut, and what is put in place of its classifier. */
#include "finetune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- where the classifier begins ---------------------------------------------------------------------------------------------- */

typedef struct walk {
    bool classifier;        /* a layer that can carry the class count was passed on the way from the output */
    bool wanted;            /* the layer visited next is the input of the pooling just passed */
    char *pool, *cut;       /* the pooling nearest the model's input that has a classifier after it, and the layer it reads */
    char *bare, *carrier;   /* a pooling without classifier after it, and the layer before it: that one carries the class count */
    bool out_of_memory;
} walk;

static void keep(walk *w, char **slot, const char *path) {
    free(*slot);
    *slot = cli_format("%s", path);
    w->out_of_memory = w->out_of_memory || !*slot;
}

static void visit(walk *w, const char *path, const char *class_name) {
    if (w->wanted) {
        keep(w, w->classifier ? &w->cut : &w->carrier, path);
        w->wanted = false;
    }
    if (!strncmp(class_name, "Global", 6) || !strcmp(class_name, "Flatten")) {
        keep(w, w->classifier ? &w->pool : &w->bare, path);
        w->wanted = true;
    } else if (!strcmp(class_name, "Dense") || strstr(class_name, "Conv2D")) {
        w->classifier = true;
    }
}

/* The layer that no other layer reads; -1 where there are several. */
static int last_layer(const tlvk_model *model) {
    int count = tlvk_model_layer_count(model), last = -1;
    for (int i = 0; i < count; i++) {
        tlvk_layer_info one, other;
        if (tlvk_model_layer_info(model, i, &one)) {
            return -1;
        }
        bool read = false;
        for (int k = 0; k < count && !read; k++) {
            if (tlvk_model_layer_info(model, k, &other)) {
                return -1;
            }
            for (int n = 0; n < TLVK_MAX_IO && other.inbound[n]; n++) {
                read = read || !strcmp(other.inbound[n], one.name);
            }
        }
        if (!read && last >= 0) {
            return -1;
        }
        last = read ? last : i;
    }
    return last;
}

static int layer_of_name(const tlvk_model *model, const char *name) {
    for (int i = 0; name && i < tlvk_model_layer_count(model); i++) {
        if (!strcmp(tlvk_layer_name(tlvk_model_layer(model, i)), name)) {
            return i;
        }
    }
    return -1;
}

/* From the output towards the input while each layer reads one other, into nested models too. True when the input was reached. */
static bool walk_back(walk *w, const tlvk_model *model, const char *prefix) {
    int i = last_layer(model);
    while (i >= 0) {
        tlvk_layer_info info;
        if (tlvk_model_layer_info(model, i, &info)) {
            return false;
        }
        char *path = cli_format("%s%s", prefix, info.name), *inside = cli_format("%s%s/", prefix, info.name);
        w->out_of_memory = w->out_of_memory || !path || !inside;
        const tlvk_model *nested = tlvk_layer_model(tlvk_model_layer(model, i));
        bool on = path && inside;
        if (on && nested) {
            on = walk_back(w, nested, inside);
        } else if (on) {
            visit(w, path, info.class_name);
        }
        free(path);
        free(inside);
        if (!on || !strcmp(info.class_name, "InputLayer") || !info.inbound[0]) {
            return on;
        }
        i = info.inbound[1] ? -1 : layer_of_name(model, info.inbound[0]);
    }
    return false;
}

/* Name of the layer up to which a file's network is kept by --no-top: a new text in *cut. */
static int find_cut(const tlvk_model *model, const char *spec, char **cut) {
    walk w = {0};
    walk_back(&w, model, "");
    int status = CLI_GO_ON;
    if (w.out_of_memory) {
        cli_message("out of memory");
        status = CLI_FAILED;
    } else if (w.cut) {
        cli_message("%s: kept up to %s, the input of %s", spec, w.cut, w.pool);
        *cut = w.cut;
        w.cut = NULL;
    } else if (w.carrier) {
        cli_message("--no-top: in %s the layer %s, before %s, carries the class count; say up to which layer to keep it with --cut LAYER ('tlvk summary' lists them)",
                    spec, w.carrier, w.bare);
        status = CLI_USAGE;
    } else {
        cli_message("--no-top: no global pooling or Flatten on the way to the output of %s; say up to which layer to keep it with --cut LAYER", spec);
        status = CLI_USAGE;
    }
    free(w.pool);
    free(w.cut);
    free(w.bare);
    free(w.carrier);
    return status;
}

/* --- cutting and building -------------------------------------------------------------------------------------------------------- */

static tlvk_status cut_after(tlvk_context *ctx, const tlvk_model *model, const char *layer, tlvk_model **cut) {
    const tlvk_model_desc desc = {.name = tlvk_model_name(model), .inputs = {tlvk_model_input(model, 0)}, .outputs = {tlvk_layer_output(model, layer)}};
    return tlvk_model_create(ctx, &desc, cut);
}

float finetune_setting(double number) { return isnan(number) ? 0.0f : number == 0.0 ? TLVK_ZERO : (float)number; }

static tlvk_tensor dropout(tlvk_tensor x, double rate) { return rate > 0.0 ? tlvk_dropout(x, (float)rate, "head_dropout") : x; }

static tlvk_tensor dense(tlvk_tensor x, const finetune_options *o, const char *name, int units, tlvk_activation_kind activation) {
    const float l2 = isnan(o->l2) ? 0.0f : (float)o->l2;
    return tlvk_dense(x, &(tlvk_dense_desc){.name = name, .units = units, .activation = activation, .kernel_regularizer = {.l2 = l2}});
}

/* The head of a Keras JSON text, made for the features x. */
static tlvk_status read_head(tlvk_context *ctx, const char *json, tlvk_tensor *x) {
    int64_t shape[TLVK_MAX_DIMS + 1] = {0};
    if (tlvk_tensor_shape(*x, shape) == 0) {
        return TLVK_OK; /* the error that x carries comes out where the model is made */
    }
    tlvk_model *head = NULL;
    tlvk_status st = tlvk_model_from_json(ctx, json, shape, &head);
    if (!st) {
        *x = tlvk_model_call(head, *x, TLVK_CALL_DEFAULT, "head");
    }
    tlvk_model_destroy(head);
    return st;
}

/* Features that are a vector already (a cut after a pooling, a Flatten or a Dense) need no pooling. */
static tlvk_tensor build_head(const finetune_options *o, tlvk_tensor x, int units) {
    int64_t shape[TLVK_MAX_DIMS];
    if (tlvk_tensor_shape(x, shape) != 1) {
        x = o->head == HEAD_FLATTEN_256 ? tlvk_flatten(x, "head_flatten") : tlvk_global_average_pooling2d(x, "head_pool");
    }
    if (o->head != HEAD_GAP) {
        x = dense(x, o, "head_dense", o->head == HEAD_GAP_128 ? 128 : 256, TLVK_RELU);
    }
    double rate = !isnan(o->dropout) ? o->dropout : o->head == HEAD_GAP ? 0.2 : 0.0;
    return dense(dropout(x, rate), o, "head_predictions", units, (tlvk_activation_kind)o->activation);
}

/* The ways of making pictures ready that Keras has layers for: all but caffe, which also turns the channels round. */
static tlvk_tensor embed(tlvk_tensor x, tlvk_preprocess preprocess) {
    if (preprocess == TLVK_PREPROCESS_TF) {
        return tlvk_rescaling(x, 1.0f / 127.5f, -1.0f, "preprocess");
    }
    if (preprocess == TLVK_PREPROCESS_TORCH) { /* keras/src/applications/imagenet_utils.py */
        static const float mean[] = {0.485f, 0.456f, 0.406f}, variance[] = {0.229f * 0.229f, 0.224f * 0.224f, 0.225f * 0.225f};
        x = tlvk_rescaling(x, 1.0f / 255.0f, 0.0f, "preprocess_scale");
        return tlvk_normalization(x, &(tlvk_normalization_desc){.name = "preprocess", .mean = mean, .variance = variance, .count = 3});
    }
    return preprocess == TLVK_PREPROCESS_SCALE ? tlvk_rescaling(x, 1.0f / 255.0f, 0.0f, "preprocess") : x;
}

static tlvk_status stack(tlvk_context *ctx, const finetune_options *o, const char *head, tlvk_model *base, const int64_t shape[3],
                         tlvk_preprocess preprocess, int units, finetune_network *network) {
    tlvk_set_random_seed(ctx, (uint64_t)o->seed);
    tlvk_tensor input = tlvk_input(ctx, &(tlvk_input_desc){.shape = {shape[0], shape[1], shape[2]}});
    tlvk_tensor x = o->embed_preprocess ? embed(input, preprocess) : input;
    /* A base called for inference keeps its Dropout quiet too, which is wanted below a new head and not in a classifier that is kept. */
    x = tlvk_model_call(base, x, o->head == HEAD_NONE ? TLVK_CALL_DEFAULT : (tlvk_call_mode)o->batch_norm, NULL);
    tlvk_status st = TLVK_OK;
    if (o->head == HEAD_JSON) {
        st = read_head(ctx, head, &x);
    } else if (o->head != HEAD_NONE) {
        x = build_head(o, x, units);
    }
    st = st ? st : tlvk_model_create(ctx, &(tlvk_model_desc){.inputs = {input}, .outputs = {x}}, &network->model);
    for (int i = o->head == HEAD_JSON ? 2 : 1; !st && o->head != HEAD_NONE && i < tlvk_model_layer_count(network->model); i++) {
        if (tlvk_layer_model(tlvk_model_layer(network->model, -i))) {
            network->head_layers = i - 1;
            break;
        }
    }
    return st;
}

static int check_output(const finetune_options *o, int classes, finetune_network *network) {
    const char *who = o->head == HEAD_JSON ? o->head_text : o->spec;
    int64_t shape[TLVK_MAX_DIMS] = {0};
    int rank = tlvk_model_output_count(network->model) == 1 ? tlvk_tensor_shape(tlvk_model_output(network->model, 0), shape) : 0;
    if (rank != 1 || shape[0] < 1 || shape[0] > INT32_MAX) {
        cli_message("%s: its output is not a score for each class; %s", who,
                    o->head == HEAD_JSON ? "a vector of one number a class is wanted" : "--head gives it new layers that are");
        return CLI_REFUSED;
    }
    network->units = (int)shape[0];
    int has = network->units == 1 ? 2 : network->units;
    if (has != classes) {
        cli_message("%s has %d classes, %s has %d%s", who, has, o->train, classes, o->head == HEAD_JSON ? "" : "; --head gap gives it a new classifier");
        return CLI_REFUSED;
    }
    return CLI_GO_ON;
}

int finetune_build(tlvk_context *ctx, const finetune_options *o, tlvk_model **base, const int64_t shape[3], tlvk_preprocess preprocess, int classes,
                   finetune_network *network) {
    *network = (finetune_network){0};
    char *found = NULL;
    if (o->no_top && !o->cut && !cli_is_net(o->spec)) {
        int status = find_cut(*base, o->spec, &found);
        if (status != CLI_GO_ON) {
            return status;
        }
    }
    char *head = NULL;
    if (o->head == HEAD_JSON) {
        int status;
        head = cli_read_file(o->head_text, &status);
        if (!head) {
            free(found);
            return status;
        }
    }
    const char *cut = o->cut ? o->cut : found;
    int64_t output[TLVK_MAX_DIMS];
    if (!cut && !o->no_top && o->head != HEAD_NONE && tlvk_tensor_shape(tlvk_model_output(*base, 0), output) == 1) {
        cli_message("warning: the new layers stand on the classifier of %s; --no-top drops it, --cut LAYER cuts elsewhere", o->spec);
    }
    tlvk_model *kept = NULL;
    tlvk_status st = cut ? cut_after(ctx, *base, cut, &kept) : TLVK_OK;
    free(found);
    if (!st && cut) {
        tlvk_model_destroy(*base);
        *base = kept;
    }
    if (!st && (o->head != HEAD_NONE || o->embed_preprocess)) {
        st = stack(ctx, o, head, *base, shape, preprocess, o->activation == TLVK_SIGMOID ? 1 : classes, network);
    } else if (!st) {
        network->model = *base;
        *base = NULL;
    }
    free(head);
    return st ? cli_fail(ctx, st, CLI_READING) : check_output(o, classes, network);
}
