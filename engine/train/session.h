/* session.h - a model at work on a device: its variables in device memory, its plans, and slots in which steps run.
 *
 * Hides: chunks of trained variables, where constants and prepared weights lie, the shared arena, and re-recording when it grows.
 * A session is made for one compiled model and one trainable set. While it lives, trained variables change on the device only;
 * tlvk__session_read brings them back to the host. One thread. */
#ifndef TLVK_SESSION_H
#define TLVK_SESSION_H

#include "plan/plan.h"

tlvk_status tlvk__context_device(tlvk_context *ctx, tlvk__device **out); /* opened at the first call; the context's */

typedef struct tlvk__session tlvk__session;
typedef enum tlvk__network { TLVK__WHOLE, TLVK__PREFIX, TLVK__SUFFIX, TLVK__AUGMENTED /* picture layers and the whole */, TLVK__NETWORK_COUNT } tlvk__network;

typedef struct tlvk__session_desc {
    bool training;                  /* false: predict and evaluate only; every variable is constant */
    bool batch_norm_inference;      /* no layer uses or updates statistics of the batch */
    tlvk_optimizer optimizer;       /* resolved */
    tlvk__objective objectives[TLVK_MAX_IO]; /* one per output of the model */
    tlvk__shape inputs[TLVK_MAX_IO];/* of one batch, as the data gives it: to find out which variables the losses reach */
    tlvk_model *augmentation;       /* picture layers before the model, for AUGMENTED; NULL: none. Counted by the session. */
    bool mixed;                     /* all plans in mixed precision, and steps with loss scaling; TLVK_ERROR_UNSUPPORTED where the device cannot */
    bool static_choices;            /* kernels by the static tables alone */
    bool random;                    /* random layers draw in PREDICT plans too */
    tlvk__recorder_desc recorder;   /* how steps are recorded: timestamps for traces; tests leave out barriers and cuts */
} tlvk__session_desc;
tlvk_status tlvk__session_create(tlvk_model *model, const tlvk__session_desc *desc, tlvk__session **out);
void tlvk__session_destroy(tlvk__session *s);
/* Whether a session of this description would be the same but for its trainable set, its batch and its optimizer. */
bool tlvk__session_same_task(const tlvk__session *s, const tlvk__session_desc *desc);
bool tlvk__session_current(const tlvk__session *s);     /* no variable was changed on the host behind its back */
bool tlvk__session_regularized(const tlvk__session *s); /* its steps report a penalty */
bool tlvk__session_has_prefix(const tlvk__session *s);
const tlvk__flat *tlvk__session_flat(const tlvk__session *s, tlvk__network network);
/* Hash of the prefix: its operations, attributes and weights; the key of cached features together with the picture's own hash. */
tlvk_status tlvk__session_prefix_hash(tlvk__session *s, tlvk__hash *hash);

/* Trained variables and moving statistics, device -> the model's host values. Waits for running steps. */
tlvk_status tlvk__session_read(tlvk__session *s);
/* The optimizer's slots begin with these values instead of zeros; before the session is first used. `state` is borrowed until then. */
void tlvk__session_set_state(tlvk__session *s, const tlvk__optimizer_state *state);
/* Whether anything is on the device yet: before, the host has all that this session knows. */
bool tlvk__session_allocated(const tlvk__session *s);
/* Optimizer slots of trained variable i, dense, Keras's order; for checkpoints. Returns false past the last. */
bool tlvk__session_trained(const tlvk__session *s, int index, tlvk__variable **v);
/* Variable i that changes while the session trains, moving statistics too; NULL past the last. */
tlvk__variable *tlvk__session_moving(const tlvk__session *s, int index);
tlvk_status tlvk__session_read_slot(tlvk__session *s, int index, int slot, float *dense);
tlvk_status tlvk__session_write_slot(tlvk__session *s, int index, int slot, const float *dense);
/* Device copies of trained variables and moving statistics are taken from the host again (a checkpoint was loaded). */
tlvk_status tlvk__session_upload(tlvk__session *s);
/* Gradient of trained variable i after a TRAIN step without update; for tests. */
tlvk_status tlvk__session_read_gradient(tlvk__session *s, int index, float *dense);
/* Loss scaling of a session that trains in mixed precision; a scale of 0 elsewhere. Writing changes nothing there. */
tlvk_status tlvk__session_read_scaling(tlvk__session *s, tlvk__loss_scaling *scaling);
tlvk_status tlvk__session_write_scaling(tlvk__session *s, const tlvk__loss_scaling *scaling);
/* The measured choices that the session goes by, of what its plans can choose; NULL: the static tables alone. */
const tlvk__choices *tlvk__session_choices(const tlvk__session *s);
/* Samples in the parts in which the last planned fit does training steps of `batch` samples, or of the most below it: the whole where they are not divided.
 * 0: it has none. */
int64_t tlvk__session_part_samples(const tlvk__session *s, int64_t batch);
/* From here on the session goes by these choices, an empty table being the static ones, and this fit's training steps by parts no larger than that, 0 leaving
 * it to the device's memory: what it had planned and recorded is planned anew, and shares the device's memory anew. The choices are taken, whatever comes back. */
tlvk_status tlvk__session_go_on(tlvk__session *s, tlvk__choices *choices, int64_t part_limit);
uint64_t tlvk__session_peak_bytes(const tlvk__session *s);
/* What the session will take with the runners it has so far; limit, measured peak, and how its steps are cut. */
void tlvk__session_memory(const tlvk__session *s, tlvk_memory *memory);

/* --- runners: one network in one mode at one batch, recorded for two slots ------------------------------------------------------------ */
typedef struct tlvk__runner tlvk__runner;
#define TLVK__SLOTS 2
/* Tells that a runner will be asked for. Nothing is allocated: what is expected shares the device's memory, which tlvk__session_memory foretells. */
tlvk_status tlvk__session_expect(tlvk__session *s, tlvk__network network, tlvk__plan_mode mode, const tlvk__shape *inputs);
/* Shares it out among all that is expected; TLVK_ERROR_MEMORY as tlvk__session_runner. The peak is counted anew from here. */
tlvk_status tlvk__session_plan_memory(tlvk__session *s);
/* Made at the first call and kept; inputs are full shapes, batch included, one per input of the network. A batch that does not fit the device's memory is
 * done in parts, one after the other in each submission; TLVK_ERROR_MEMORY says what it takes, what there is and which batch would fit. */
tlvk_status tlvk__session_runner(tlvk__session *s, tlvk__network network, tlvk__plan_mode mode, const tlvk__shape *inputs, tlvk__runner **out);
/* Host memory of a slot, valid while the slot is not in flight. Padded layouts; the dense forms are what most callers want. */
void tlvk__runner_put_input(tlvk__runner *r, int slot, int input, const float *dense);      /* n samples, dense */
void tlvk__runner_put_target(tlvk__runner *r, int slot, int output, const float *dense);    /* as tlvk__plan_target, dense */
void tlvk__runner_put_sample_weight(tlvk__runner *r, int slot, int64_t sample, float weight); /* 1 by default */
tlvk__step_params *tlvk__runner_params(tlvk__runner *r, int slot);
tlvk__step_params *tlvk__runner_front_params(tlvk__runner *r, int slot);                    /* of the picture layers before the model */
tlvk_status tlvk__runner_prepare(tlvk__runner *r);                                          /* what the first submit of a slot would else do: memory, recordings */
tlvk_status tlvk__runner_submit(tlvk__runner *r, int slot);
tlvk_status tlvk__runner_wait(tlvk__runner *r, int slot);                                   /* at once when it is not in flight */
bool tlvk__runner_busy(const tlvk__runner *r, int slot);
const float *tlvk__runner_metrics(const tlvk__runner *r, int slot);                         /* TLVK__METRIC_WORDS per output, after a wait */
void tlvk__runner_get_output(const tlvk__runner *r, int slot, int output, float *dense);    /* PREDICT, after a wait */
const tlvk__plan *tlvk__runner_plan(const tlvk__runner *r); /* of the whole batch, or of its first part */
int tlvk__runner_parts(const tlvk__runner *r);              /* 1: the batch is done at once */
int64_t tlvk__runner_samples(const tlvk__runner *r);        /* of the whole batch */
tlvk__recording *tlvk__runner_recording(tlvk__runner *r, int slot);

#endif
