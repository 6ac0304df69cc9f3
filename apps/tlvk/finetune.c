/* finetune.c - `tlvk finetune`, the main job: options, the checks that cost nothing before the work that does, and the order of the work. */
#include "finetune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PREVIEW_COUNT 32

typedef struct finetune_job {
    const finetune_options *o;
    tlvk_context *ctx;
    tlvk_model *base;
    finetune_network network;
    tlvk_model *augmentation;    /* NULL: none */
    tlvk_dataset *train, *validation;
    finetune_phase *phases;
    int phase_count;
    const char *checkpoint;
    char *own_checkpoint;        /* OUTPUT.checkpoint; goes when the run is done */
    double began;
} finetune_job;

/* --- data --------------------------------------------------------------------------------------------------------------------------- */

static tlvk_label_mode label_mode(const finetune_options *o, int classes) {
    if (o->activation == TLVK_SIGMOID || classes == 1) {
        return TLVK_LABEL_BINARY;
    }
    return o->label_smoothing > 0.0 ? TLVK_LABEL_CATEGORICAL : TLVK_LABEL_INT; /* only one-hot targets can be smoothed */
}

static int open_validation(finetune_job *job, tlvk_image_folder_desc desc, const char *const *names, int count) {
    const finetune_options *o = job->o;
    desc.no_shuffle = !!o->validation; /* a split needs the shuffle that decides who is in it */
    desc.path = o->validation ? o->validation : o->train;
    desc.subset = o->validation ? TLVK_SUBSET_ALL : TLVK_SUBSET_VALIDATION;
    desc.class_names = names;
    desc.class_count = count;
    tlvk_status st = tlvk_image_dataset_from_directory(job->ctx, &desc, &job->validation);
    return st ? cli_fail(job->ctx, st, CLI_READING) : CLI_GO_ON;
}

/* The class names of the training data; the array alone is the caller's. NULL without memory. */
static const char **class_names(const tlvk_dataset *data) {
    int count = tlvk_dataset_class_count(data);
    const char **names = calloc((size_t)count + 1, sizeof *names);
    for (int i = 0; names && i < count; i++) {
        names[i] = tlvk_dataset_class_name(data, i);
    }
    return names;
}

static int open_data(finetune_job *job, tlvk_image_folder_desc desc, const char *const *labels, int label_count, int own_units) {
    const finetune_options *o = job->o;
    desc.path = o->train;
    desc.seed = (uint64_t)o->seed;
    desc.label_mode = label_mode(o, own_units);
    desc.validation_split = isnan(o->validation_split) ? 0.0 : o->validation_split;
    desc.subset = desc.validation_split > 0.0 ? TLVK_SUBSET_TRAINING : TLVK_SUBSET_ALL;
    desc.class_names = labels;
    desc.class_count = label_count;
    tlvk_status st = tlvk_image_dataset_from_directory(job->ctx, &desc, &job->train);
    if (st) {
        return cli_fail(job->ctx, st, CLI_READING);
    }
    int classes = tlvk_dataset_class_count(job->train);
    if (classes < 2 || (o->activation == TLVK_SIGMOID && classes != 2)) {
        cli_message("%s: %d class%s; %s", o->train, classes, classes == 1 ? "" : "es", classes < 2 ? "at least two are wanted" : "--activation sigmoid wants two");
        return classes < 2 ? CLI_REFUSED : CLI_USAGE;
    }
    if (!o->validation && desc.subset == TLVK_SUBSET_ALL) {
        return CLI_GO_ON;
    }
    const char **names = class_names(job->train);
    if (!names) {
        cli_message("out of memory");
        return CLI_FAILED;
    }
    int status = open_validation(job, desc, names, classes);
    free(names);
    return status;
}

/* How often each class counts so that all count alike: samples / (classes x samples of the class). NULL without memory. */
static float *balanced_weights(const tlvk_dataset *data) {
    int classes = tlvk_dataset_class_count(data);
    int64_t samples = tlvk_dataset_size(data), *count = calloc((size_t)classes, sizeof *count);
    float *weights = calloc((size_t)classes, sizeof *weights);
    for (int64_t i = 0; count && i < samples; i++) {
        int label = tlvk_dataset_label(data, i);
        if (label >= 0 && label < classes) {
            count[label]++;
        }
    }
    for (int i = 0; count && weights && i < classes; i++) {
        weights[i] = count[i] ? (float)((double)samples / ((double)classes * (double)count[i])) : 0.0f;
    }
    free(count);
    return weights;
}

/* --- model ---------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status remember_usage(finetune_job *job, const tlvk_image_folder_desc *desc) {
    const char **names = class_names(job->train);
    if (!names) {
        return TLVK_ERROR_MEMORY;
    }
    const tlvk_usage usage = {
        .preprocess = job->o->embed_preprocess ? TLVK_PREPROCESS_NONE : desc->preprocess,
        .color_mode = desc->color_mode,
        .resize = desc->resize,
        .class_count = tlvk_dataset_class_count(job->train),
        .class_names = names,
    };
    tlvk_status st = tlvk_model_set_usage(job->network.model, &usage);
    free(names);
    return st;
}

static int prepare(const cli_command *command, finetune_job *job) {
    const finetune_options *o = job->o;
    const cli_model_request request = {
        .spec = o->spec, .no_top = o->no_top && !o->cut && cli_is_net(o->spec), .size = {o->pictures.size[0], o->pictures.size[1]}, .seed = (uint64_t)o->seed,
        .alpha = o->common.alpha};
    int status = cli_open_model(job->ctx, &request, &job->base);
    int64_t shape[3], output[TLVK_MAX_DIMS] = {0};
    tlvk_image_folder_desc desc;
    if (status == CLI_GO_ON) {
        status = cli_picture_shape(job->base, o->spec, o->pictures.size, shape);
    }
    if (status == CLI_GO_ON) {
        status = cli_picture_desc(job->base, o->spec, &o->pictures, &desc);
    }
    cli_labels labels = {0};
    if (status == CLI_GO_ON && o->pictures.labels) {
        status = cli_labels_read(o->pictures.labels, &labels);
    } else if (status == CLI_GO_ON && o->head == HEAD_NONE && !o->cut && !cli_is_net(o->spec)) {
        status = cli_labels_find(job->base, o->spec, NULL, &labels);
    }
    if (status != CLI_GO_ON) {
        return status;
    }
    if (o->embed_preprocess && desc.preprocess == TLVK_PREPROCESS_CAFFE) {
        cli_message("--embed-preprocess: Keras has no layer for caffe, which turns the channels round; tf, torch and scale can be layers");
        status = CLI_USAGE;
    }
    tlvk_preprocess preprocess = desc.preprocess;
    if (o->embed_preprocess) {
        desc.preprocess = TLVK_PREPROCESS_NONE;
    }
    if (status == CLI_GO_ON) {
        bool one_unit = o->head == HEAD_NONE && tlvk_tensor_shape(tlvk_model_output(job->base, 0), output) == 1 && output[0] == 1;
        status = open_data(job, desc, (const char *const *)labels.names, labels.count, one_unit ? 1 : 0);
    }
    cli_labels_free(&labels);
    if (status == CLI_GO_ON) {
        status = finetune_replace(job->ctx, &o->replace, &job->base);
    }
    if (status == CLI_GO_ON) {
        status = finetune_build(job->ctx, o, &job->base, shape, preprocess, tlvk_dataset_class_count(job->train), &job->network);
    }
    if (status == CLI_GO_ON) {
        tlvk_status st = remember_usage(job, &desc);
        status = st ? cli_fail(job->ctx, st, CLI_WORKING) : CLI_GO_ON;
    }
    if (status == CLI_GO_ON) {
        tlvk_status st = tlvk_model_check_save(job->network.model, o->output);
        status = st ? cli_fail(job->ctx, st, CLI_WRITING) : CLI_GO_ON;
    }
    if (status == CLI_GO_ON && o->augment) {
        status = finetune_augmentation(command, job->ctx, o->augment, shape, desc.preprocess, &job->augmentation);
    }
    if (status == CLI_GO_ON && o->preview) {
        tlvk_status st = tlvk_augmentation_preview(job->augmentation, job->train, (uint64_t)o->seed, 0, PREVIEW_COUNT, o->preview);
        status = st ? cli_fail(job->ctx, st, CLI_WRITING) : CLI_GO_ON;
    }
    return status;
}

/* --- training --------------------------------------------------------------------------------------------------------------------------- */

typedef struct watch {
    cli_progress progress;
    bool json, verbose;
    int epochs; /* of all phases; at the end, those that were run */
    double best_accuracy, last_accuracy;
    const tlvk_context *ctx;
    const tlvk_model *model;
    tlvk_memory memory;     /* of the phase with the highest peak */
    bool mixed;
    bool counting;          /* the device's time is counted from here on: */
    double busy, idle;      /* where its counters stood when the epoch, or the frozen part before it, began */
} watch;

/* Seconds that the device worked and stood idle since the last call; NaN where it cannot tell. */
static void take_use(watch *w, double *busy, double *idle) {
    double now_busy = NAN, now_idle = NAN;
    if (tlvk_device_use(w->ctx, &now_busy, &now_idle)) {
        now_busy = now_idle = NAN;
    }
    *busy = now_busy - w->busy;
    *idle = now_idle - w->idle;
    w->busy = now_busy;
    w->idle = now_idle;
}

static void report_epoch(watch *w, int epoch, const tlvk_logs *l) {
    double busy, idle;
    take_use(w, &busy, &idle);
    if (w->verbose && !isnan(idle) && busy + idle > 0.0) {
        cli_message("epoch %d: the device worked %.2f s and was idle %.2f s (%.1f %%)", epoch, busy, idle, 100.0 * idle / (busy + idle));
    }
    if (w->json) {
        cli_print_json(json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "epoch", epoch, "loss", cli_json_number(l->loss), "accuracy",
                                 cli_json_number(l->accuracy), "val_loss", cli_json_number(l->val_loss), "val_accuracy",
                                 cli_json_number(l->val_accuracy), "seconds", cli_json_number(l->seconds), "learning_rate",
                                 cli_json_number(l->learning_rate), "device_busy_seconds", cli_json_number(busy), "device_idle_seconds",
                                 cli_json_number(idle)));
    }
}

/* What a phase will take of the device's memory, in one line. */
static void report_plan(const watch *w) {
    tlvk_memory m;
    if (tlvk_model_memory(w->model, &m)) {
        return;
    }
    char needs[CLI_BYTES_TEXT], activations[CLI_BYTES_TEXT], limit[CLI_BYTES_TEXT], how[96] = "";
    if (m.micro_batches > 1) {
        snprintf(how, sizeof how, ", batches in %d parts", m.micro_batches);
    }
    if (m.recomputed) {
        snprintf(how + strlen(how), sizeof how - strlen(how), ", %d operations done twice", m.recomputed);
    }
    cli_message("device memory: %s predicted (%s for activations), limit %s%s", cli_bytes_text(m.predicted_bytes, needs),
                cli_bytes_text(m.activations_bytes, activations), cli_bytes_text(m.limit_bytes, limit), how);
    if (w->mixed) {
        cli_message("mixed precision: %d of %d activations in fp16, products %s", m.activations_fp16, m.activations,
                    m.products_fp16 ? "of fp16 by matrix units" : "in fp32, for want of matrix units");
    }
}

/* Keeps the figures of the phase that took most. */
static void read_memory(watch *w) {
    tlvk_memory m;
    if (!tlvk_model_memory(w->model, &m) && m.measured_bytes > w->memory.measured_bytes) {
        w->memory = m;
    }
}

static tlvk_verdict on_event(const tlvk_event *event, void *user) {
    watch *w = user;
    if (event->kind == TLVK_EVENT_PLANNED) {
        report_plan(w);
        return TLVK_CONTINUE;
    }
    tlvk_event whole = *event;
    whole.epochs = w->epochs;
    cli_progress_event(&w->progress, &whole);
    if (!w->counting) {
        double busy, idle;
        take_use(w, &busy, &idle);
        w->counting = true;
    }
    if (event->kind == TLVK_EVENT_EPOCH_END) {
        report_epoch(w, event->epoch + 1, &event->logs);
    }
    return TLVK_CONTINUE;
}

static tlvk_status compile(const finetune_job *job, const finetune_phase *phase) {
    const finetune_options *o = job->o;
    const float smoothing = isnan(o->label_smoothing) ? 0.0f : (float)o->label_smoothing;
    const tlvk_compile_desc desc = {
        .optimizer = {.kind = (tlvk_optimizer_kind)o->optimizer,
                      .learning_rate = finetune_setting(phase->learning_rate),
                      .momentum = finetune_setting(o->momentum),
                      .weight_decay = finetune_setting(o->weight_decay),
                      .clipnorm = isnan(o->clip_norm) ? 0.0f : (float)o->clip_norm,
                      .schedule = {.kind = (tlvk_schedule_kind)o->schedule}},
        .loss = {.kind = smoothing > 0.0f && job->network.units > 1 ? TLVK_CATEGORICAL_CROSSENTROPY : TLVK_LOSS_AUTO, .label_smoothing = smoothing},
        .metrics = {TLVK_ACCURACY},
        .deterministic = o->deterministic,
        .precision = (tlvk_precision)o->precision,
    };
    return tlvk_model_compile(job->network.model, &desc);
}

/* Each phase has a checkpoint of its own: FILE, FILE.2, FILE.3. A new text. */
static char *checkpoint_of(const finetune_job *job, int phase) {
    return phase ? cli_format("%s.%d", job->checkpoint, phase + 1) : cli_format("%s", job->checkpoint);
}

static void remove_checkpoints(const finetune_job *job) {
    for (int i = 0; i < job->phase_count; i++) {
        char *path = checkpoint_of(job, i);
        if (path && cli_exists(path)) {
            cli_remove_file(path);
        }
        free(path);
    }
}

/* One phase. A resumed run walks through the phases that were finished too: each gives back its weights and its history at once. */
static tlvk_status fit(finetune_job *job, int phase, int first_epoch, const float *weights, watch *w, tlvk_history **history) {
    const finetune_options *o = job->o;
    const finetune_phase *p = &job->phases[phase];
    tlvk_status st = p->freeze.count ? finetune_freeze(job->network.model, &p->freeze, job->network.head_layers) : TLVK_OK;
    if (!st) {
        st = compile(job, p);
    }
    char *checkpoint = checkpoint_of(job, phase);
    char *resume = o->resume && phase ? cli_format("%s.%d", o->resume, phase + 1) : NULL;
    const tlvk_fit_desc desc = {
        .epochs = first_epoch + (int)p->epochs,
        .initial_epoch = first_epoch,
        .validation = job->validation,
        .cache = (tlvk_cache)o->cache,
        .seed = (uint64_t)o->seed,
        .class_weight = weights,
        .class_weight_count = weights ? tlvk_dataset_class_count(job->train) : 0,
        .early_stopping_patience = (int)o->early_stopping,
        .restore_best_weights = o->save_best != 0,
        .checkpoint = checkpoint,
        .resume = phase == 0 ? o->resume : resume && cli_exists(resume) ? resume : NULL,
        .batch_norm_inference = o->batch_norm == TLVK_CALL_INFERENCE,
        .augmentation = job->augmentation,
        .callback = on_event,
        .callback_user = w,
    };
    tlvk_history *more = NULL;
    if (!st) {
        w->model = job->network.model;
        st = tlvk_model_fit(job->network.model, job->train, &desc, &more);
        if (!st) {
            read_memory(w); /* which after a failure would tell of its own one */
        }
    }
    if (!st && *history) {
        st = tlvk_history_append(*history, more);
        tlvk_history_destroy(more);
    } else if (!st) {
        *history = more;
    } else {
        tlvk_history_destroy(more);
    }
    free(checkpoint);
    free(resume);
    return st;
}

static int train(finetune_job *job, watch *w, tlvk_history **history) {
    const finetune_options *o = job->o;
    float *weights = o->class_weight_auto ? balanced_weights(job->train) : NULL;
    if (o->class_weight_auto && !weights) {
        cli_message("out of memory");
        return CLI_FAILED;
    }
    if (!o->resume) {
        remove_checkpoints(job);
    }
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < job->phase_count; i++) {
        int first = tlvk_history_epochs(*history); /* a phase that stopped early is followed at once */
        w->epochs = first;
        for (int k = i; k < job->phase_count; k++) {
            w->epochs += (int)job->phases[k].epochs;
        }
        st = cli_was_interrupted() ? TLVK_ERROR_CANCELLED : fit(job, i, first, weights, w, history);
    }
    free(weights);
    cli_progress_break();
    cli_report_failed(job->train);
    if (job->validation) {
        cli_report_failed(job->validation);
    }
    int status = CLI_GO_ON;
    if (st) {
        status = cli_fail(job->ctx, st, CLI_WORKING);
        if (cli_exists(job->checkpoint)) {
            cli_message("a checkpoint is kept; the same command with --resume %s goes on from there", job->checkpoint);
        }
        return status;
    }
    st = o->history ? tlvk_history_save_csv(*history, o->history) : TLVK_OK;
    if (!st && o->plot) {
        st = tlvk_history_plot(*history, o->plot);
    }
    return st ? cli_fail(NULL, st, CLI_WRITING) : status;
}

/* Best and last accuracy over all epochs, those of a run that was resumed too. */
static void read_history(const tlvk_history *history, watch *w) {
    w->epochs = tlvk_history_epochs(history);
    w->best_accuracy = w->last_accuracy = NAN;
    for (int i = 0; i < w->epochs; i++) {
        tlvk_logs logs;
        if (tlvk_history_logs(history, i, &logs)) {
            return;
        }
        w->last_accuracy = logs.val_accuracy;
        if (!(w->best_accuracy >= logs.val_accuracy)) {
            w->best_accuracy = logs.val_accuracy;
        }
    }
}

/* What the kernels were chosen as by measurement; the reference is the caller's. */
static json_t *choices_of(const tlvk_history *history) {
    json_t *list = json_array();
    const char *text;
    for (int i = 0; list && (text = tlvk_history_choice(history, i)) != NULL; i++) {
        json_array_append_new(list, cli_json_text(text));
    }
    return list;
}

static int save(finetune_job *job, const watch *w, const tlvk_history *history) {
    const char *output = job->o->output;
    tlvk_status st = tlvk_model_save(job->network.model, output);
    if (st) {
        return cli_fail(job->ctx, st, CLI_WRITING);
    }
    const char **names = class_names(job->train);
    char *labels = cli_format("%s.labels.txt", output);
    bool ok = names && labels && cli_labels_write(labels, names, tlvk_dataset_class_count(job->train));
    free(labels);
    free(names);
    if (!ok) {
        return CLI_FAILED;
    }
    char predicted[CLI_BYTES_TEXT], measured[CLI_BYTES_TEXT];
    if (w->memory.measured_bytes) {
        cli_message("device memory: peak %s, predicted %s", cli_bytes_text(w->memory.measured_bytes, measured), cli_bytes_text(w->memory.predicted_bytes, predicted));
    }
    double seconds = cli_seconds() - job->began;
    if (!job->o->checkpoint && !strcmp(job->checkpoint, job->own_checkpoint)) {
        remove_checkpoints(job);
    }
    if (job->o->common.json) {
        cli_print_json(json_pack("{s:o, s:i, s:o, s:o, s:o, s:I, s:I, s:i, s:i, s:i, s:i, s:b}", "output", cli_json_text(output), "epochs", w->epochs, "seconds",
                                 cli_json_number(seconds), "best_val_accuracy", cli_json_number(w->best_accuracy), "kernel_choices", choices_of(history),
                                 "predicted_bytes", (json_int_t)w->memory.predicted_bytes, "peak_bytes", (json_int_t)w->memory.measured_bytes,
                                 "micro_batches", w->memory.micro_batches, "recomputed", w->memory.recomputed, "activations", w->memory.activations, "activations_fp16",
                                 w->memory.activations_fp16, "products_fp16", w->memory.products_fp16));
    } else if (isnan(w->best_accuracy)) {
        printf("%s: %d epochs in %.1f s\n", output, w->epochs, seconds);
    } else {
        printf("%s: %d epochs in %.1f s, val_accuracy %.4f, best %.4f\n", output, w->epochs, seconds, w->last_accuracy, w->best_accuracy);
    }
    return CLI_DONE;
}

static int finetune(const cli_command *command, const finetune_options *o) {
    finetune_job job = {.o = o, .began = cli_seconds()};
    watch w = {.json = o->common.json, .mixed = o->precision == TLVK_MIXED, .verbose = o->common.verbose > 0};
    tlvk_history *history = NULL;
    int status = finetune_phases(command, o, &job.phases, &job.phase_count);
    job.own_checkpoint = cli_format("%s.checkpoint", o->output);
    job.checkpoint = o->checkpoint ? o->checkpoint : o->resume ? o->resume : job.own_checkpoint;
    if (status == CLI_GO_ON && !job.own_checkpoint) {
        cli_message("out of memory");
        status = CLI_FAILED;
    }
    if (status == CLI_GO_ON) {
        status = cli_open_context(&o->common, &job.ctx);
    }
    if (status == CLI_GO_ON) {
        status = prepare(command, &job);
    }
    if (status == CLI_GO_ON) {
        w.ctx = job.ctx;
        cli_progress_start(&w.progress, job.validation != NULL);
        status = train(&job, &w, &history);
    }
    if (status == CLI_GO_ON && o->common.verbose > 1) {
        cli_trace(job.ctx, job.network.model, o->pictures.batch_size ? o->pictures.batch_size : 32, true);
    }
    if (status == CLI_GO_ON) {
        read_history(history, &w);
        status = save(&job, &w, history);
    }
    tlvk_history_destroy(history);
    tlvk_dataset_destroy(job.validation);
    tlvk_dataset_destroy(job.train);
    tlvk_model_destroy(job.augmentation);
    tlvk_model_destroy(job.network.model);
    tlvk_model_destroy(job.base);
    finetune_phases_free(job.phases, job.phase_count);
    cli_close_context(job.ctx);
    free(job.own_checkpoint);
    return status;
}

/* --- options ------------------------------------------------------------------------------------------------------------------------------ */

static bool ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a > b && !strcmp(text + a - b, end);
}

static int read_head(const cli_command *command, finetune_options *o) {
    static const cli_choice heads[] = {{"gap", HEAD_GAP}, {"gap-128", HEAD_GAP_128}, {"flatten-256", HEAD_FLATTEN_256}, {"none", HEAD_NONE}, {NULL, 0}};
    for (const cli_choice *c = heads; c->name; c++) {
        if (!strcmp(c->name, o->head_text)) {
            o->head = (finetune_head)c->value;
            return CLI_GO_ON;
        }
    }
    if (ends_with(o->head_text, ".json")) {
        o->head = HEAD_JSON;
        return CLI_GO_ON;
    }
    return cli_usage(command, "--head: '%s' where gap, gap-128, flatten-256, none or a FILE.json is wanted", o->head_text);
}

/* What the options say about each other. */
static int check_options(const cli_command *command, finetune_options *o) {
    int status = read_head(command, o);
    if (status != CLI_GO_ON) {
        return status;
    }
    if (!o->train) {
        return cli_usage(command, "--train DIR is wanted");
    }
    if (o->validation && !isnan(o->validation_split)) {
        return cli_usage(command, "--validation and --validation-split exclude each other");
    }
    if (o->head == HEAD_NONE && o->no_top) {
        return cli_usage(command, "--head none keeps the model's own classifier, --no-top drops it");
    }
    if ((o->head == HEAD_NONE || o->head == HEAD_JSON) && (o->activation == TLVK_SIGMOID || !isnan(o->dropout))) {
        return cli_usage(command, "--activation and --dropout go with the heads that have a name here, not with --head %s", o->head_text);
    }
    if (o->preview && !o->augment) {
        return cli_usage(command, "--augment-preview shows what --augment does, which is not given");
    }
    if (o->plot && !ends_with(o->plot, ".png") && !ends_with(o->plot, ".svg")) {
        return cli_usage(command, "--plot %s: a name ending in .png or .svg is wanted", o->plot);
    }
    if (cli_is_net(o->spec) && o->head != HEAD_NONE) {
        o->no_top = true;
    }
    if (o->then.count && o->checkpoint && o->resume && strcmp(o->checkpoint, o->resume)) {
        return cli_usage(command, "with --then, --checkpoint and --resume name the same file");
    }
    if (ends_with(o->output, ".weights.h5") || (!ends_with(o->output, ".keras") && !ends_with(o->output, ".h5") && !ends_with(o->output, ".hdf5"))) {
        return cli_usage(command, "--output %s: a name ending in .keras or .h5 is wanted, and not in .weights.h5", o->output);
    }
    return finetune_check_replace(command, &o->replace);
}

static int check_files(const finetune_options *o) {
    const char *why = "", *written[] = {o->output, o->history, o->checkpoint, o->plot};
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
        if (written[i] && !cli_can_write(written[i], &why)) {
            cli_message("%s: cannot be written: %s", written[i], why);
            return CLI_FAILED;
        }
    }
    int status = cli_check_folder(o->train);
    if (status == CLI_GO_ON && o->validation) {
        status = cli_check_folder(o->validation);
    }
    if (status == CLI_GO_ON && o->resume && (!cli_exists(o->resume) || cli_is_folder(o->resume))) {
        cli_message("%s: no such checkpoint", o->resume);
        status = CLI_REFUSED;
    }
    return status;
}

#define END {NULL, 0, CLI_FLAG, NULL, NULL, NULL, 0, 0, NULL}

static const cli_choice activations[] = {{"softmax", TLVK_SOFTMAX}, {"sigmoid", TLVK_SIGMOID}, {NULL, 0}};
static const cli_choice batch_norms[] = {{"inference", TLVK_CALL_INFERENCE}, {"train", TLVK_CALL_DEFAULT}, {NULL, 0}};
static const cli_choice optimizers[] = {{"adam", TLVK_ADAM}, {"sgd", TLVK_SGD}, {"rmsprop", TLVK_RMSPROP}, {"adamw", TLVK_ADAMW}, {NULL, 0}};
static const cli_choice schedules[] = {{"constant", TLVK_SCHEDULE_CONSTANT}, {"cosine", TLVK_SCHEDULE_COSINE},
                                       {"exponential", TLVK_SCHEDULE_EXPONENTIAL}, {"plateau", TLVK_SCHEDULE_PLATEAU}, {NULL, 0}};
static const cli_choice saves[] = {{"last", 0}, {"best", 1}, {NULL, 0}};
static const cli_choice class_weights[] = {{"auto", 1}, {NULL, 0}};
static const cli_choice precisions[] = {{"fp32", TLVK_FP32}, {"mixed", TLVK_MIXED}, {NULL, 0}};
static const cli_choice caches[] = {{"memory", TLVK_CACHE_MEMORY}, {"disk", TLVK_CACHE_DISK}, {"off", TLVK_CACHE_OFF}, {NULL, 0}};

static int parse(const cli_command *command, int argc, char **argv, finetune_options *o, int *first) {
    cli_option common[CLI_COMMON_ROWS], pictures[CLI_PICTURE_ROWS], nets[CLI_NET_ROWS];
    cli_common_options(&o->common, common);
    cli_picture_options_rows(&o->pictures, pictures);
    cli_net_options(&o->common, nets);
    const cli_option data[] = {
        {"train", 0, CLI_TEXT, &o->train, "DIR", "pictures to learn from: a folder with a folder for each class, also in an archive: pets.zip//train", 0, 0, NULL},
        {"validation", 0, CLI_TEXT, &o->validation, "DIR", "pictures to measure on", 0, 0, NULL},
        {"validation-split", 0, CLI_NUMBER, &o->validation_split, "F", "or this share of the training pictures", 1e-6, 1 - 1e-6, NULL},
        {"augment", 0, CLI_TEXT, &o->augment, "flip,rotate:0.1,...", "vary training pictures anew in each epoch: flip, rotate, zoom, translate, contrast, brightness", 0, 0, NULL},
        {"augment-preview", 0, CLI_TEXT, &o->preview, "DIR", "write the first pictures of the first epoch as they are trained on", 0, 0, NULL},
        {"class-weight", 0, CLI_CHOICE, &o->class_weight_auto, "auto", "let every class count alike", 0, 0, class_weights},
        END,
    };
    const cli_option network[] = {
        {"no-top", 0, CLI_FLAG, &o->no_top, NULL, "drop the classifier (always so for a built-in network with a new head)", 0, 0, NULL},
        {"cut", 0, CLI_TEXT, &o->cut, "LAYER", "keep the network up to this layer's output", 0, 0, NULL},
        {"head", 0, CLI_TEXT, &o->head_text, "gap|gap-128|flatten-256|FILE.json|none", "new layers (default gap); FILE.json: a model of Keras's to_json()", 0, 0, NULL},
        {"activation", 0, CLI_CHOICE, &o->activation, "softmax|sigmoid", "of the last layer; sigmoid: one unit for two classes", 0, 0, activations},
        {"dropout", 0, CLI_NUMBER, &o->dropout, "RATE", "before the last layer (default 0.2 with gap, else none)", 0, 0.999, NULL},
        {"replace", 0, CLI_REPEATED, &o->replace, "LAYER=FILE.json|none", "put new layers, of Keras's to_json(), in a layer's place, or take it out; repeatable", 0, 0, NULL},
        {"freeze", 0, CLI_REPEATED, &o->freeze, "SPEC", "base, none, a slice :10 or -3:, a layer's name or glob; ! unfreezes; repeatable (default base)", 0, 0, NULL},
        {"batch-norm", 0, CLI_CHOICE, &o->batch_norm, "inference|train", "mode of the base's BatchNormalization (default inference)", 0, 0, batch_norms},
        {"embed-preprocess", 0, CLI_FLAG, &o->embed_preprocess, NULL, "make the preprocessing a layer of the model", 0, 0, NULL},
        END,
    };
    const cli_option training[] = {
        {"epochs", 0, CLI_INTEGER, &o->epochs, "N", "default 10", 1, 1e6, NULL},
        {"optimizer", 0, CLI_CHOICE, &o->optimizer, "adam|sgd|rmsprop|adamw", "default adam", 0, 0, optimizers},
        {"learning-rate", 0, CLI_NUMBER, &o->learning_rate, "R", "default 1e-3; sgd 1e-2", 0, 1e6, NULL},
        {"momentum", 0, CLI_NUMBER, &o->momentum, "M", "of sgd and rmsprop", 0, 1, NULL},
        {"weight-decay", 0, CLI_NUMBER, &o->weight_decay, "D", "decoupled; default 0.004 with adamw", 0, 1e3, NULL},
        {"l2", 0, CLI_NUMBER, &o->l2, "F", "L2 regularizer of the new layers' kernels", 0, 1e6, NULL},
        {"clip-norm", 0, CLI_NUMBER, &o->clip_norm, "F", "largest norm of each variable's gradient", 0, 1e12, NULL},
        {"label-smoothing", 0, CLI_NUMBER, &o->label_smoothing, "F", "share of each target that is spread over all classes", 0, 1, NULL},
        {"schedule", 0, CLI_CHOICE, &o->schedule, "constant|cosine|exponential|plateau", "of the learning rate", 0, 0, schedules},
        {"early-stopping", 0, CLI_INTEGER, &o->early_stopping, "N", "stop after N epochs without a better val_loss", 1, 1e6, NULL},
        {"then", 0, CLI_REPEATED, &o->then, "\"freeze=SPEC,epochs=N,learning-rate=R\"", "a further phase; repeatable", 0, 0, NULL},
        {"seed", 0, CLI_INTEGER, &o->seed, "N", "default 0", 0, 9e15, NULL},
        {"cache", 0, CLI_CHOICE, &o->cache, "memory|disk|off", "of the frozen part's output", 0, 0, caches},
        {"precision", 0, CLI_CHOICE, &o->precision, "fp32|mixed", "mixed: activations in fp16, and matrix products where the device has units for them (default fp32)", 0, 0, precisions},
        {"memory-limit", 0, CLI_BYTES, &o->common.memory_limit, "BYTES", "device memory at most", 0, 0, NULL},
        {"deterministic", 0, CLI_FLAG, &o->deterministic, NULL, "no kernel choice by measurement, whatever --tune says", 0, 0, NULL},
        END,
    };
    const cli_option results[] = {
        {"output", 0, CLI_TEXT, &o->output, "FILE", "the fine-tuned model (default model.keras)", 0, 0, NULL},
        {"save", 0, CLI_CHOICE, &o->save_best, "best|last", "which epoch's weights (default last)", 0, 0, saves},
        {"history", 0, CLI_TEXT, &o->history, "FILE.csv", "loss and accuracy of each epoch", 0, 0, NULL},
        {"checkpoint", 0, CLI_TEXT, &o->checkpoint, "FILE", "written after each epoch (default OUTPUT.checkpoint, which goes at the end)", 0, 0, NULL},
        {"resume", 0, CLI_TEXT, &o->resume, "FILE", "go on from a checkpoint", 0, 0, NULL},
        {"plot", 0, CLI_TEXT, &o->plot, "FILE.png|.svg", "the curves of accuracy and loss", 0, 0, NULL},
        {"report", 0, CLI_LATER, NULL, NULL, NULL, 0, 0, NULL},
        {"log-dir", 0, CLI_LATER, NULL, NULL, NULL, 0, 0, NULL},
        END,
    };
    const cli_group groups[] = {{"Options", common}, {"Data", data}, {"Network", network}, {"Training", training}, {"Results", results}, {"Pictures", pictures}, {"Built-in networks", nets}, {NULL, NULL}};
    return cli_parse(command, groups, argc, argv, first);
}

static int run(const cli_command *command, int argc, char **argv) {
    finetune_options o = {
        .output = "model.keras", .head_text = "gap", .activation = TLVK_SOFTMAX, .batch_norm = TLVK_CALL_INFERENCE, .epochs = 10, .validation_split = NAN,
        .learning_rate = NAN, .momentum = NAN, .weight_decay = NAN, .l2 = NAN, .clip_norm = NAN, .label_smoothing = NAN, .dropout = NAN};
    int first;
    int status = parse(command, argc, argv, &o, &first);
    if (status == CLI_GO_ON && argc - first != 1) {
        status = cli_usage(command, "one MODEL is wanted, got %d", argc - first);
    }
    if (status == CLI_GO_ON) {
        o.spec = argv[first];
        status = check_options(command, &o);
    }
    if (status == CLI_GO_ON) {
        status = check_files(&o);
    }
    if (status == CLI_GO_ON) {
        status = finetune(command, &o);
    }
    free(o.freeze.items);
    free(o.replace.items);
    free(o.then.items);
    return status;
}

const cli_command cli_finetune = {
    .name = "finetune",
    .operands = "MODEL",
    .summary = "Train a new head, and as much of the network as wanted, on own pictures",
    .details = "An interrupt (Ctrl-C) keeps a checkpoint from which --resume goes on. The model remembers how its pictures are made ready and its classes'\n"
               "names, and OUTPUT.labels.txt has the names too.",
    .example = "tlvk finetune model.h5 --cut out_relu --train photos/train --validation photos/val --preprocess tf --output mine.keras",
    .run = run,
};
