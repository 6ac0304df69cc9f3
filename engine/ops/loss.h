/* loss.h - losses and metrics: from the last tensor and the targets to a gradient and a few sums.
 * Formulas: keras/src/losses/losses.py, keras/src/backend/tensorflow/nn.py, keras/src/metrics/accuracy_metrics.py (Keras 3). */
#ifndef TLVK_LOSS_H
#define TLVK_LOSS_H

#include "ops/op.h"

#define TLVK__METRIC_WORDS 16
enum { TLVK__METRIC_LOSS = 0, /* sum over samples of weight * loss */ TLVK__METRIC_WEIGHT, /* sum of weights */ TLVK__METRIC_CORRECT, /* matches */ TLVK__METRIC_COUNT, /* predictions counted */
       TLVK__METRIC_SQUARED, /* sum of squared errors */ TLVK__METRIC_PENALTY, /* regularization penalty of the step */ TLVK__METRIC_NORM /* gradient norm when clipping by norm */ };

typedef struct tlvk__loss_call {
    tlvk_loss kind_and_options;       /* kind resolved, never AUTO */
    bool logits;                      /* y holds values before softmax (categorical) or sigmoid (binary): from_logits, or the planner left the last activation out as Keras does */
    tlvk_metric_kind metric;          /* what CORRECT counts; TLVK_METRIC_NONE: nothing */
    const tlvk__tensor *y;            /* (n, rows, c) predictions */
    const tlvk__tensor *target;       /* sparse: (n, rows, 1) class numbers as floats; else (n, rows, c) */
    const tlvk__tensor *sample_weight;/* (n, 1, 1) */
    const tlvk__tensor *dy;           /* gradient of the batch's loss (sum_over_batch_size) with respect to y; NULL: evaluation */
    tlvk__span metrics;               /* TLVK__METRIC_WORDS floats; the words of this loss are written (not added) */
    tlvk__span scratch;
    const char *layer;
} tlvk__loss_call;
uint64_t tlvk__loss_scratch_bytes(const tlvk__loss_call *call);
tlvk_status tlvk__record_loss(tlvk__recorder *r, const tlvk__loss_call *call);
/* Reference in double on dense arrays: y, target, weight, dy (may be NULL), metrics; *_e error bounds as in op.h (may be NULL). */
typedef struct tlvk__loss_reference { tlvk_loss loss; bool logits; tlvk_metric_kind metric; int64_t n, rows, c; const double *y, *target, *weight; double *dy, *dy_e; double metrics[TLVK__METRIC_WORDS]; double loss_e; } tlvk__loss_reference;
tlvk_status tlvk__loss_reference_run(tlvk__loss_reference *ref);

#endif
