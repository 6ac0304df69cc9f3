/* plan.h - from a flat graph, the set of trained variables and a batch to a schedule: what is fused, who needs a gradient, where every
 * tensor lies, and exactly which dispatches are recorded.
 *
 * Freezing is omission: a reverse pass marks what trained variables need; what has no reader is not planned, gets no memory and is never
 * recorded. Nothing branches at run time; another trainable set or batch is another plan.
 *
 * A plan lives in three stages: tlvk__plan_create knows every size and allocates nothing on the device; tlvk__plan_bind puts its tensors
 * into memory the caller made; tlvk__plan_record turns it into dispatches. */
#ifndef TLVK_PLAN_H
#define TLVK_PLAN_H

#include "graph/graph.h"
#include "ops/loss.h"
#include "ops/optimizer.h"

/* --- who is trained ------------------------------------------------------------------------------------------------------------------ */
typedef enum tlvk__plan_mode {
    TLVK__PLAN_PREDICT,  /* forward; outputs are copied to the host */
    TLVK__PLAN_EVALUATE, /* forward and loss */
    TLVK__PLAN_TRAIN     /* forward in training mode, loss, backward, update */
} tlvk__plan_mode;

typedef struct tlvk__objective {   /* what one output is held to */
    tlvk_loss loss;                  /* kind resolved */
    tlvk_metric_kind metric;
    float weight;                    /* of this loss in the model's; 0: it is measured and has no gradient */
} tlvk__objective;

typedef struct tlvk__plan_desc {
    const tlvk__flat *flat;          /* borrowed; must outlive the plan */
    const tlvk__caps *caps;          /* borrowed */
    const tlvk__shape *inputs;       /* one per flat input, batch and all dims known */
    tlvk__plan_mode mode;
    bool (*trained)(const tlvk__variable *v, void *user); /* variables that change while this plan's memory lives; NULL: none */
    void *user;
    tlvk__objective objectives[TLVK_MAX_IO]; /* one per flat output; not read for PREDICT */
    bool mixed;                      /* mixed precision: products of matrices, and activations in fp16 where the device can (docs/precision.md) */
    bool update;                     /* TRAIN: record the optimizer's update (false: gradients only, for tests) */
    uint64_t budget_bytes;           /* TRAIN: of the arena. Where more would be needed, the backward makes some activations again instead of keeping them: as
                                        few as do, with the same bits. 0: none. A plan that cannot keep it is made all the same. */
    bool divided;                    /* TRAIN: the batch is done in parts: this plan's gradients may be added to those of the parts before */
    bool smallest;                   /* TRAIN: the smallest arena that can be found, whatever it costs */
} tlvk__plan_desc;

typedef struct tlvk__plan tlvk__plan;
tlvk_status tlvk__plan_create(const tlvk__plan_desc *desc, tlvk__plan **out);
void tlvk__plan_destroy(tlvk__plan *plan);

/* --- what it will take ---------------------------------------------------------------------------------------------------------------- */
/* Bytes of arena block i (each at most caps.max_allocation_bytes); 0 past the last. Plans that do not run at the same time share blocks. */
uint64_t tlvk__plan_block_bytes(const tlvk__plan *plan, int block);
/* How many activations lie in memory, and how many of them in fp16; views and slices of others are not counted. */
void tlvk__plan_halves(const tlvk__plan *plan, int *activations, int *halves);
uint64_t tlvk__plan_arena_bytes(const tlvk__plan *plan); /* all blocks together */
int tlvk__plan_recomputed(const tlvk__plan *plan);       /* how many steps run forward a second time */
/* Variables the plan reads, and whether it trains them; returns false past the last. */
bool tlvk__plan_variable(const tlvk__plan *plan, int index, tlvk__variable **v, tlvk__layout *layout, bool *trained);
/* Things prepared once from variables that do not change: packed weights, and scale and shift of frozen BatchNormalizations. The same key
 * in two plans is the same thing. Returns false past the last. */
typedef struct tlvk__prepared { uint64_t key; uint64_t bytes; } tlvk__prepared;
bool tlvk__plan_prepared(const tlvk__plan *plan, int index, tlvk__prepared *prepared);
/* Whether a batch may be cut and its parts run one after the other with the same result; otherwise the layer that stands against it, why, and what would help
 * besides a smaller batch ("": nothing). */
typedef struct tlvk__hindrance { const char *path, *why, *remedy; } tlvk__hindrance;
bool tlvk__plan_divisible(const tlvk__plan *plan, tlvk__hindrance *against);
const tlvk__tensor *tlvk__plan_input(const tlvk__plan *plan, int index);   /* sizes; storage after bind */
const tlvk__tensor *tlvk__plan_output(const tlvk__plan *plan, int index);
const tlvk__shape *tlvk__plan_output_shape(const tlvk__plan *plan, int index);
const tlvk__tensor *tlvk__plan_target(const tlvk__plan *plan, int output);  /* sizes of the targets that output's loss wants; NULL for PREDICT */
double tlvk__plan_flops(const tlvk__plan *plan);
/* One step of the plan as a setting that can be timed alone (ops/time.h). Passes: 0 forward, 1 gradient of the inputs, 2 of the variables. `flops` and `bytes`
 * are the work as the definition has it: no shortcut counted, each operand read or written once, 0 where the pass is not planned. */
typedef struct tlvk__plan_part {
    const tlvk__op *op; tlvk__op_case setting; tlvk__shape y;
    const char *path;                /* borrowed from the flat graph */
    bool view;                       /* takes no time */
    bool wanted[3]; double flops[3], bytes[3];
} tlvk__plan_part;
bool tlvk__plan_part_at(const tlvk__plan *plan, int index, tlvk__plan_part *part); /* false past the last */

/* --- memory ------------------------------------------------------------------------------------------------------------------------------ */
typedef struct tlvk__plan_memory {
    tlvk__buffer *const *blocks; int block_count;
    /* device tensors of a variable: its value, and its gradient where it is trained (NULL otherwise); both stay valid while the plan is bound */
    tlvk_status (*variable)(void *user, const tlvk__variable *v, const tlvk__tensor **w, const tlvk__tensor **dw);
    tlvk__span (*prepared)(void *user, uint64_t key);
    void *user;
} tlvk__plan_memory;
tlvk_status tlvk__plan_bind(tlvk__plan *plan, const tlvk__plan_memory *memory);

/* --- recording ------------------------------------------------------------------------------------------------------------------------------ */
typedef struct tlvk__plan_io {           /* one slot's host side */
    tlvk__span inputs[TLVK_MAX_IO];      /* UPLOAD memory, padded layout (tlvk__activation_pack); copied to the device first */
    tlvk__span targets[TLVK_MAX_IO];     /* UPLOAD memory, padded layout; one per output */
    tlvk__span sample_weight;            /* UPLOAD memory, padded layout; of every loss */
    tlvk__span step_params;              /* UPLOAD memory */
    tlvk__span front_params;             /* UPLOAD memory; tlvk__step_params of the calls in front of the model, where there are any */
    tlvk__span metrics;                  /* DOWNLOAD memory, TLVK__METRIC_WORDS floats per output; the first output's hold what is the whole step's: PENALTY, NORM */
    tlvk__span outputs[TLVK_MAX_IO];     /* DOWNLOAD memory, padded layout; PREDICT */
    const tlvk__update_call *update;     /* TRAIN with update, and EVALUATE for the penalty: everything but step_params and metrics, which are this slot's */
    int64_t first_sample, batch_samples; /* of a part of a batch: how many samples stand before it, how many the batch has; 0, 0: it is the whole */
    bool accumulate, unfinished;         /* a part that is not the first: gradients of variables are added to what is there; not the last: no update or penalty */
} tlvk__plan_io;
/* Records what is prepared once (keys not in `done`); run it before the first step and after the variables were uploaded again. */
tlvk_status tlvk__plan_record_prepare(tlvk__plan *plan, tlvk__recorder *r, bool (*done)(void *user, uint64_t key), void *user);
tlvk_status tlvk__plan_record(tlvk__plan *plan, tlvk__recorder *r, const tlvk__plan_io *io);

/* --- the frozen prefix -------------------------------------------------------------------------------------------------------------------- */
/* Splits a graph where training starts: `prefix` holds the calls that no trained variable, random layer or state update stands before; its outputs
 * are the tensors the rest reads, and the inputs of `suffix` in the same order. *found is false when the prefix would be empty. */
tlvk_status tlvk__flat_split(const tlvk__flat *flat, bool (*trained)(const tlvk__variable *v, void *user), void *user, tlvk__flat *prefix, tlvk__flat *suffix, bool *found);

/* --- picture layers before a model ------------------------------------------------------------------------------------------------------- */
/* `behind` on the output of `front`; both have one input, `front` one output. Calls of `front` are marked in_front: nothing in them is trained, their
 * BatchNormalizations infer, and their random numbers come from tlvk__plan_io.front_params. Attributes and variables stay those of the two. */
tlvk_status tlvk__flat_compose(const tlvk__flat *front, const tlvk__flat *behind, tlvk__flat *out);

#endif
