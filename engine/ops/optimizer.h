/* optimizer.h - the update of all trainable variables, one dispatch per chunk.
 *
 * Trainable variables lie in chunks no larger than a binding; gradients and optimizer slots lie in chunks of the same shape, so that the
 * same float offset names the weight, its gradient and its slots. Each variable starts at a multiple of TLVK__BLOCK floats and the
 * room behind it is zero, so a block belongs to one variable; `table` has one row of constants per block.
 * Formulas: keras/src/optimizers/{adam,adamw,sgd,rmsprop}.py and base_optimizer.py (Keras 3). */
#ifndef TLVK_OPTIMIZER_H
#define TLVK_OPTIMIZER_H

#include "ops/op.h"

#define TLVK__BLOCK 1024

/* weight_decay: the optimizer's for every trainable variable (Keras leaves out only what the user excludes); rate_factor: 1, or the share of the
 * learning rate this variable gets; variable: its number, a float since kernels pass it on among floats, where the bits of a small integer might be flushed
 * as a denormal. 32 bytes, std430. */
typedef struct tlvk__block_row { float l1, l2, weight_decay, rate_factor, variable; uint32_t reserved[3]; } tlvk__block_row;

/* blocks * TLVK__BLOCK floats each of w, dw and the slots the optimizer has (tlvk__optimizer_slots), blocks rows of table; each no larger than a
 * binding, offsets of multiples of 64 bytes. */
typedef struct tlvk__chunk { tlvk__span w, dw, slots[3], table; uint32_t blocks; } tlvk__chunk;

/* Loss scaling of mixed precision, as it lies on the device; docs/precision.md has the rules. */
typedef struct tlvk__loss_scaling {
    float scale, inverse;             /* a power of 2, and 1 over it */
    float finite_steps;               /* in a row, since the scale last changed */
    float power_1, power_2;           /* beta_1 and beta_2 to the number of steps that were applied */
    float skipped;                    /* steps left out */
    float reserved[2];
} tlvk__loss_scaling;
/* Where a training begins, or goes on after `steps`. */
tlvk__loss_scaling tlvk__loss_scaling_begin(const tlvk_optimizer *o, int64_t steps);
/* Can a training have come to these? */
bool tlvk__loss_scaling_good(const tlvk__loss_scaling *s);

typedef struct tlvk__update_call {
    const tlvk_optimizer *optimizer;  /* resolved: every number filled in (tlvk__optimizer_resolve) */
    const tlvk__chunk *chunks; int chunk_count;
    int variable_count;               /* over all chunks; block_row.variable < variable_count */
    tlvk__span step_params;           /* tlvk__step_params, offset a multiple of 64 bytes */
    tlvk__span metrics;               /* as the loss's: word PENALTY is written when there is a regularizer, NORM (of all gradients, before clipping) when
                                         clipping by norm; other words are left alone. No buffer where neither is. */
    bool regularized;                 /* any l1, l2 in the table: gradients get l1*sign(w) + 2*l2*w, the penalty is summed */
    tlvk__span scratch;
    tlvk__span scaling;               /* tlvk__loss_scaling: dw is multiplied by its scale, and a step whose gradients are not all finite changes the
                                         scale alone. No buffer: neither. At a multiple of 64 bytes. */
} tlvk__update_call;

/* Defaults filled in as Keras's; TLVK_ZERO becomes 0. TLVK_ERROR_ARGUMENT names a number out of range. */
tlvk_status tlvk__optimizer_resolve(const tlvk_optimizer *desc, tlvk_optimizer *out);
int tlvk__optimizer_slots(const tlvk_optimizer *o); /* 0 to 3 */
const char *tlvk__optimizer_slot_name(const tlvk_optimizer *o, int slot);
/* step counts from 1; fills learning_rate and rate of `p`. */
void tlvk__optimizer_step(const tlvk_optimizer *o, int64_t step, double learning_rate, tlvk__step_params *p);
uint64_t tlvk__update_scratch_bytes(const tlvk__update_call *call);
/* Per variable, in Keras's order (base_optimizer.py, _backend_apply_gradients; a regularizer's gradient is part of the loss's):
 *   g += l1 sign(w) + 2 l2 w;  clip g (clipnorm: each variable by its own norm; else global_clipnorm; else clipvalue);
 *   w -= w * weight_decay * learning_rate;  w and slots by the optimizer's formula.
 * Rows that are zero in w, dw and slots stay zero. */
tlvk_status tlvk__record_update(tlvk__recorder *r, const tlvk__update_call *call);
/* Word PENALTY alone, of the weights as they are; for evaluation, whose loss contains it too. Needs w and table of the chunks, metrics and scratch;
 * records nothing when not regularized. */
tlvk_status tlvk__record_penalty(tlvk__recorder *r, const tlvk__update_call *call);
/* Learning rate before optimizer step `step` (from 0) of `total_steps`; plateau: what the callback has left of it is in `current`. Formulas:
 * keras/src/optimizers/schedules/learning_rate_schedule.py (CosineDecay, ExponentialDecay). */
double tlvk__schedule_rate(const tlvk_optimizer *o, int64_t step, int64_t total_steps, double current);
/* Keras's ReduceLROnPlateau over a quantity that should fall (val_loss, else loss), min_delta 1e-4, no cooldown
 * (keras/src/callbacks/reduce_lr_on_plateau.py). A plain struct: a checkpoint keeps it as it is. */
typedef struct tlvk__plateau { double best, rate; int32_t wait, seen; } tlvk__plateau;
void tlvk__plateau_begin(tlvk__plateau *p, const tlvk_optimizer *o);
/* After an epoch; true when `rate` was lowered. */
bool tlvk__plateau_epoch_end(tlvk__plateau *p, const tlvk_optimizer *o, double metric);

/* Reference in double for one variable: w and slots are updated in place. norm_scale: factor from clipping by global norm (1: none);
 * clipping by the variable's own norm or by value is done here. */
void tlvk__optimizer_reference(const tlvk_optimizer *o, int64_t step, double learning_rate, double norm_scale, tlvk_regularizer reg, int64_t count,
                               double *w, const double *g, double *slots[3]);

#endif
