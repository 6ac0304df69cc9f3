/* finetune.h - what the parts of `tlvk finetune` share: its options, the network made from them, and the phases of training. */
#ifndef TLVK_FINETUNE_H
#define TLVK_FINETUNE_H

#include "cli.h"

typedef enum finetune_head { HEAD_GAP, HEAD_GAP_128, HEAD_FLATTEN_256, HEAD_JSON, HEAD_NONE } finetune_head;

/* Numbers are NaN where the option was not given, so that an explicit zero can be told from the default. */
typedef struct finetune_options {
    cli_common common;
    cli_picture_options pictures;
    const char *spec, *train, *validation, *cut, *head_text, *output, *history, *plot, *augment, *preview, *checkpoint, *resume;
    bool no_top, embed_preprocess, deterministic;
    finetune_head head;
    int activation;          /* TLVK_SOFTMAX or TLVK_SIGMOID */
    int batch_norm;          /* TLVK_CALL_INFERENCE or TLVK_CALL_DEFAULT */
    int optimizer, schedule; /* tlvk_optimizer_kind, tlvk_schedule_kind */
    int save_best, class_weight_auto, cache, precision;
    int64_t epochs, early_stopping, seed;
    double validation_split, learning_rate, momentum, weight_decay, l2, clip_norm, label_smoothing, dropout;
    cli_list freeze, then, replace;
} finetune_options;

/* A stretch of training with one trainable set and one optimizer. */
typedef struct finetune_phase {
    cli_list freeze;         /* empty: the set of the phase before */
    int64_t epochs;
    double learning_rate;    /* NaN: the optimizer's default */
    char *text;              /* what the freeze items point into; NULL where they are the argument vector's */
} finetune_phase;
/* All phases from the options: the first, then one for each --then. CLI_GO_ON or an exit status; free with finetune_phases_free. */
int finetune_phases(const cli_command *command, const finetune_options *o, finetune_phase **phases, int *count);
void finetune_phases_free(finetune_phase *phases, int count);
/* Sets the trainable layers of `model` as the specs say, left to right; the last `head_layers` layers of the model always train. */
tlvk_status finetune_freeze(tlvk_model *model, const cli_list *specs, int head_layers);

/* The network to train. */
typedef struct finetune_network {
    tlvk_model *model;       /* the caller's */
    int head_layers;         /* how many layers at its end are new */
    int units;               /* of its output: 1 for a sigmoid unit */
} finetune_network;
/* Cuts *base, puts the new head on it for `classes` classes and pictures of `shape`. *base is another model afterwards, or NULL where it is itself
 * what is trained. CLI_GO_ON or an exit status. */
int finetune_build(tlvk_context *ctx, const finetune_options *o, tlvk_model **base, const int64_t shape[3], tlvk_preprocess preprocess, int classes,
                   finetune_network *network);

/* Usage errors of --replace's items, LAYER=FILE.json or LAYER=none. CLI_GO_ON or an exit status. */
int finetune_check_replace(const cli_command *command, const cli_list *items);
/* Puts new layers in the place of layers of *base, one item after the other; all others keep their weights. *base is another model afterwards.
 * CLI_GO_ON or an exit status. */
int finetune_replace(tlvk_context *ctx, const cli_list *items, tlvk_model **base);

/* The model of random picture layers that --augment's words say, for pictures of `shape` behind `preprocess`. CLI_GO_ON or an exit status. */
int finetune_augmentation(const cli_command *command, tlvk_context *ctx, const char *spec, const int64_t shape[3], tlvk_preprocess preprocess, tlvk_model **model);

/* The setting a descriptor wants for an option's number: 0 where it was not given, TLVK_ZERO for an explicit zero. */
float finetune_setting(double number);

#endif
