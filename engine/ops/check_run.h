/* check_run.h - one case of one operation on a device: its tensors, and the recordings that check.c compares with the reference. Private to check*.c. */
#ifndef TLVK_CHECK_RUN_H
#define TLVK_CHECK_RUN_H

#include "ops/check_value.h"

#define MAX_STAGES 4

typedef struct stage {
    const tlvk__op *op;
    const void *attrs;
    int variables[TLVK__MAX_VARIABLES], variable_count;
    tlvk__value mid, dmid; /* behind this stage; of the last stage unused */
    tlvk__span aux[TLVK__MAX_AUX], scratch, packed;
    tlvk__buffer *room[TLVK__MAX_AUX + 2];
} stage;

typedef struct check {
    tlvk__device *d;
    const tlvk__op *op;
    const tlvk__op_case *c;
    tlvk__check *result;
    tlvk__op_part parts[MAX_STAGES];
    stage stages[MAX_STAGES];
    int stage_count;
    tlvk__variable_spec specs[TLVK__MAX_VARIABLES];
    int variable_count;
    tlvk__value x[TLVK__MAX_INPUTS], dx[TLVK__MAX_INPUTS];
    tlvk__value w[TLVK__MAX_VARIABLES], dw[TLVK__MAX_VARIABLES];
    tlvk__value y, g, dz, scale, shift, residual; /* g: gradient behind the epilogue; dz: before it, where an epilogue is told back */
    bool epilogue, epilogue_backward;
    bool slope;           /* the operation's backward takes the activation's slope itself */
    tlvk__step_params step;
    tlvk__buffer *step_buffer;
    double *pre, *e_pre;  /* what stands before the activation and its bound, for the epilogue's slope */
} check;

static inline bool has_backward(const check *k) {
    return k->stages[0].op->backward != NULL;
}

static inline bool trainable(const check *k, int i) {
    return k->specs[i].trainable;
}

/* Which gradients a recording asks for. */
typedef struct wants { bool backward, dx, dw, accumulate; } wants;

/* The operation's forward, and what is wanted of its backward; twice: a second time into value.again. */
tlvk_status tlvk__check_run(check *k, wants want, bool twice);
/* Everything of k->c on k->d, made from `seed`; force: as tlvk__check_case. What was made is to be released, after a failure too. */
tlvk_status tlvk__check_prepare(check *k, uint64_t seed, int64_t force);
/* Every value that recordings read or write, in turn; NULL past the last. */
tlvk__value *tlvk__check_value_at(check *k, int index);
void tlvk__check_release(check *k);

#endif
