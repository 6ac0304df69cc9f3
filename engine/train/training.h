/* training.h - what compile leaves with a model, and the pieces of fit, evaluate and predict. Private to engine/train. */
#ifndef TLVK_TRAINING_H
#define TLVK_TRAINING_H

#include "core/platform.h"
#include "data/data.h"
#include "train/features.h"
#include "train/session.h"

struct tlvk__training {
    tlvk_optimizer optimizer;      /* resolved */
    tlvk__objective objectives[TLVK_MAX_IO]; /* as compiled, one per output; until data is seen a loss may be AUTO and a metric TLVK_ACCURACY */
    bool deterministic;            /* as compiled: kernels by the static tables alone */
    int64_t steps;                 /* optimizer steps done since compile */
    bool mixed;                    /* precision */
    tlvk__plateau plateau;
    tlvk__session *session;        /* kept between calls while the trainable set, the shapes and foreign changes of weights allow it */
    uint64_t trainable_key;        /* of the set the session was made for */
};

/* --- what model and data agree on ------------------------------------------------------------------------------------------------------ */
typedef enum tlvk__target_form { TLVK__TARGET_AS_IT_IS, TLVK__TARGET_CLASS, TLVK__TARGET_ONE_HOT } tlvk__target_form; /* made of the data's own */
typedef struct tlvk__task {
    int input_count, output_count;
    tlvk__shape inputs[TLVK_MAX_IO], outputs[TLVK_MAX_IO]; /* one sample, dim[0] = 1 */
    tlvk__objective objectives[TLVK_MAX_IO]; /* resolved; TLVK_METRIC_NONE where no metric was asked for */
    int target_widths[TLVK_MAX_IO];          /* floats of one sample's target as the loss wants it */
    tlvk__target_form forms[TLVK_MAX_IO];
} tlvk__task;
/* Checks that the model takes the data's samples, and fills inputs and outputs alone. */
tlvk_status tlvk__task_shapes(const tlvk_model *model, const tlvk_dataset *data, tlvk__task *task);
/* The same, and that the loss takes the labels; texts say which size was expected where. */
tlvk_status tlvk__task_resolve(const tlvk_model *model, const tlvk_dataset *data, const tlvk__objective *objectives, tlvk__task *task);
/* Target of one sample and output as the loss wants it: class numbers become one-hot for a categorical loss, and the other way round. */
void tlvk__task_target(const tlvk__task *task, const tlvk_dataset *data, int output, int64_t sample, float *target);

/* --- one pass over data ------------------------------------------------------------------------------------------------------------------- */
typedef struct tlvk__sums {
    double loss;                   /* of the model, summed over samples: losses times their weights, penalty included */
    int64_t samples, outputs;
    struct { double loss, correct, counted; } output[TLVK_MAX_IO]; /* before weighting */
} tlvk__sums;
/* Adds one step of n samples: its metrics as the plan left them, one block per output, and the penalty. */
void tlvk__sums_add(tlvk__sums *s, const tlvk__task *task, const float *metrics, double penalty, int64_t n);
/* Means of a pass into loss, accuracy and output[], or into their val_ forms; a mean of nothing is NaN. */
void tlvk__sums_logs(const tlvk__sums *s, bool validation, tlvk_logs *logs);
tlvk_logs tlvk__no_logs(void);     /* every value NaN */

typedef struct tlvk__pass {
    tlvk_context *ctx;
    tlvk__session *session;
    const tlvk__task *task;
    tlvk_dataset *data;
    tlvk__features *features;      /* NULL: pictures through the whole network; else the suffix on cached features */
    tlvk__plan_mode mode;          /* TRAIN or EVALUATE */
    const int64_t *order; int64_t count;
    int64_t first;                 /* readable samples of the order that were done before, a multiple of batch */
    int batch;
    const float *class_weight; int class_weight_count;
    double penalty;                /* of weights that do not change in this pass (EVALUATE without a training session) */
    /* TRAIN: called before each step is submitted, to fill its parameters; after each finished step with the running sums. */
    void (*begin_step)(void *user, tlvk__step_params *params, tlvk__step_params *front);
    tlvk_verdict (*end_step)(void *user, const tlvk__sums *sums, int64_t samples_done);
    void *user;
} tlvk__pass;
/* sums are added to. TLVK_ERROR_CANCELLED after tlvk_cancel, with all submitted steps finished and counted. */
tlvk_status tlvk__pass_run(const tlvk__pass *pass, tlvk__sums *sums, int64_t *samples_done);

/* --- pieces -------------------------------------------------------------------------------------------------------------------------------- */
/* Kept in model->training. augmentation: NULL, or the picture layers before the model. */
tlvk_status tlvk__training_session(tlvk_model *model, const tlvk__task *task, int batch, bool batch_norm_inference, tlvk_model *augmentation, tlvk__session **out);
/* Parameters of the picture layers' random numbers in one step of an epoch: a function of these three alone, apart from the model's own. */
void tlvk__augmentation_params(uint64_t seed, int64_t epoch, int64_t step, tlvk__step_params *params);
/* Samples of a full batch: the dataset's batch size, or all where there are fewer. */
int tlvk__batch_of(const tlvk_dataset *data);
/* Whether the picture layers take the data's one input and leave its shape. */
tlvk_status tlvk__augmentation_check(const tlvk_model *augmentation, const tlvk_dataset *data);
/* Runs the prefix over all pictures of the parts whose features are not there yet; a part whose data is NULL is passed over. The device goes from one part to the
 * next without a pause: the next part's first pictures are decoded while it works on the last ones before. `progress` counts within a part. */
typedef struct tlvk__features_part { tlvk__features *features; tlvk_dataset *data; } tlvk__features_part;
#define TLVK__FEATURES_PARTS 2 /* training, validation */
tlvk_status tlvk__features_fill(const tlvk__features_part parts[TLVK__FEATURES_PARTS], tlvk__session *session, int batch,
                                tlvk_verdict (*progress)(void *user, int64_t done, int64_t total), void *user);
/* A model read from a file that was compiled goes on from its settings and its optimizer's state, as if tlvk_model_compile had been called. Nothing to do
 * for others. */
tlvk_status tlvk__training_adopt(tlvk_model *model);
/* What the outputs are held to: by compile, else by the file that the model came from, else a loss told from the data, and accuracy. */
void tlvk__model_objectives(const tlvk_model *model, tlvk__objective objectives[TLVK_MAX_IO]);
/* What saving the model as compiled says of its losses. */
void tlvk__compiled_objectives(tlvk_model *model, const tlvk__objective *objectives);
double tlvk__model_penalty(const tlvk_model *model); /* l1, l2 of trainable layers, from host values */
tlvk_context *tlvk__model_context(const tlvk_model *model);

/* A session and a runner on random data for trace and bench; sparse cross-entropy over the model's output, Adam. */
typedef struct tlvk__trial { int64_t batch; bool train, timestamps, mixed; } tlvk__trial;
tlvk_status tlvk__trial_session(tlvk_model *model, const tlvk__trial *trial, tlvk__session **session, tlvk__runner **runner);

/* --- history and checkpoints ------------------------------------------------------------------------------------------------------------------ */
struct tlvk_history {
    tlvk_logs *logs;
    size_t count, capacity;
    char *names[TLVK_MAX_IO]; /* of the outputs where there are several */
    char **choices; size_t choice_count, choice_capacity; /* measured kernel choices of the fit, in words */
    tlvk_context *ctx;        /* of the model that was trained, kept; NULL for a history that no fit made */
};
/* Publishes the pending fail text under the history's context and under none, so that a program finds it where it looks. `history` may be NULL. */
tlvk_status tlvk__history_fail(const tlvk_history *history, tlvk_status status);
tlvk_status tlvk__history_choices(tlvk_history *h, const tlvk__choices *choices); /* choices may be NULL */
tlvk_status tlvk__history_add(tlvk_history *h, const tlvk_logs *logs);
/* Takes Keras's output names, those of the layers that make the outputs. */
tlvk_status tlvk__history_name(tlvk_history *h, const tlvk_model *model);

typedef struct tlvk__progress {    /* where a fit stands; written to checkpoints as it is */
    int32_t epoch;                 /* the one running or to run next */
    int32_t wait;                  /* early stopping: epochs without a better value */
    int64_t samples_done;          /* of this epoch, in its order */
    int64_t steps;                 /* optimizer steps since compile */
    uint64_t seed;
    tlvk__sums sums;               /* of this epoch so far */
    double rate;                   /* learning rate of the last step */
    double best;                   /* early stopping */
    double best_score;             /* of the kept best weights; NaN: none yet */
    tlvk__plateau plateau;
    tlvk__loss_scaling scaling;    /* a scale of 0: fp32 */
    int64_t data_size, batch;      /* of the training data: samples_done means a place in these alone */
    int64_t data_unreadable;       /* pictures of it found unreadable when the checkpoint was written */
} tlvk__progress;
tlvk_status tlvk__checkpoint_write(const char *path, tlvk__session *session, const tlvk__training *training, const tlvk__progress *p, const tlvk_history *h, float *const *best);
/* `p` comes with the fit's own data_size and batch. What the file says is checked whole before `p`, a weight or a slot is changed: TLVK_ERROR_FORMAT for a
 * file that no fit can have written, TLVK_ERROR_ARGUMENT for one of another model, optimizer or, within an epoch, other data. */
tlvk_status tlvk__checkpoint_read(const char *path, tlvk__session *session, const tlvk__training *training, tlvk__progress *p, tlvk_history *h, float **best);

#endif
