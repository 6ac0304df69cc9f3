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

typedef struct tlvk__block_row { float l1, l2, weight_decay, rate_factor; uint32_t variable, reserved[3]; } tlvk__block_row; /* 32 bytes, std430 */

typedef struct tlvk__chunk { tlvk__span w, dw, slots[3], table; uint32_t blocks; } tlvk__chunk;

typedef struct tlvk__update_call {
    const tlvk_optimizer *optimizer;  /* resolved: every number filled in (tlvk__optimizer_resolve) */
    const tlvk__chunk *chunks; int chunk_count;
    int variable_count;               /* over all chunks; block_row.variable < variable_count */
    tlvk__span step_params, metrics;  /* metrics: TLVK__METRIC_PENALTY and _NORM are written when there is a regularizer / clipping by norm */
    bool regularized;                 /* any l1, l2 in the table: gradients get l1*sign(w) + 2*l2*w, the penalty is summed */
    tlvk__span scratch;
} tlvk__update_call;

/* Defaults filled in as Keras's; TLVK_ZERO becomes 0. TLVK_ERROR_ARGUMENT names a number out of range. */
tlvk_status tlvk__optimizer_resolve(const tlvk_optimizer *desc, tlvk_optimizer *out);
int tlvk__optimizer_slots(const tlvk_optimizer *o); /* 0 to 3 */
const char *tlvk__optimizer_slot_name(const tlvk_optimizer *o, int slot);
/* step counts from 1; fills learning_rate and rate of `p`. */
void tlvk__optimizer_step(const tlvk_optimizer *o, int64_t step, double learning_rate, tlvk__step_params *p);
uint64_t tlvk__update_scratch_bytes(const tlvk__update_call *call);
tlvk_status tlvk__record_update(tlvk__recorder *r, const tlvk__update_call *call);
/* Learning rate before optimizer step `step` (from 0) of `total_steps`; plateau: what the callback has left of it is in `current`. Formulas:
 * keras/src/optimizers/schedules/learning_rate_schedule.py, keras/src/callbacks/reduce_lr_on_plateau.py. */
double tlvk__schedule_rate(const tlvk_optimizer *o, int64_t step, int64_t total_steps, double current);

/* Reference in double for one variable: w, g, slots are updated in place. norm_scale: factor from clipping by global norm (1: none). */
void tlvk__optimizer_reference(const tlvk_optimizer *o, int64_t step, double learning_rate, tlvk_regularizer reg, int64_t count, double *w, const double *g, double *slots[3]);

#endif
