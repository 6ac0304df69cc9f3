/* loss.h - losses and metrics: from the last tensor and the targets to a gradient and a few sums.
 * Formulas: keras/src/losses/losses.py, keras/src/backend/tensorflow/nn.py, keras/src/metrics/accuracy_metrics.py (Keras 3). */
#ifndef TLVK_LOSS_H
#define TLVK_LOSS_H

#include "ops/op.h"

#define TLVK__METRIC_WORDS 16
enum { TLVK__METRIC_LOSS = 0, /* sum over samples of weight * loss */ TLVK__METRIC_WEIGHT, /* sum of weights */ TLVK__METRIC_CORRECT, /* matches */ TLVK__METRIC_COUNT, /* predictions counted */
       TLVK__METRIC_SQUARED, /* sum of squared errors */ TLVK__METRIC_PENALTY, /* regularization penalty of the step */ TLVK__METRIC_NORM /* gradient norm when clipping by norm */ };

/* Batch of n samples, rows values of loss each (1, or pixels): Keras's sum_over_batch_size divides the sum of weight * loss by how many
 * values there are, n * rows, never by the sum of weights (keras/src/losses/loss.py, reduce_weighted_values); class weights arrive as
 * sample weights. So the batch's loss is word LOSS / n, an epoch's loss is sum of LOSS / sum of n, its accuracy sum of CORRECT / sum of COUNT
 * and its MSE sum of SQUARED / sum of COUNT; metrics are not weighted. A class number below 0, not below c, or NaN makes word LOSS NaN and gives
 * its row no gradient. */
typedef struct tlvk__loss_call {
    tlvk_loss kind_and_options;       /* kind resolved, never AUTO. from_logits says what the model's own output is: metrics look at y as it stands then. */
    bool logits;                      /* y holds values before softmax (categorical) or sigmoid (binary): from_logits, or the planner left the last activation out
                                         as Keras does. Where it is set without from_logits, metrics look at softmax(y) or sigmoid(y). */
    tlvk_metric_kind metric;          /* what CORRECT counts (SQUARED sums, for MSE); TLVK_ACCURACY is told from c and the target's as Keras does; TLVK_METRIC_NONE: nothing */
    const tlvk__tensor *y;            /* (n, rows, c) predictions */
    const tlvk__tensor *target;       /* sparse: (n, rows, 1) class numbers as floats; else (n, rows, c) */
    const tlvk__tensor *sample_weight;/* (n, 1, 1); NULL: ones */
    const tlvk__tensor *dy;           /* gradient of the batch's loss (sum_over_batch_size) with respect to y; NULL: evaluation */
    int64_t batch_samples;            /* of the batch whose loss dy is the gradient of, where y is a part of it; 0: y is the whole */
    float gradient_weight;            /* dy is multiplied by it: the loss's weight in the model's; 0: 1. The metrics are not weighted. */
    tlvk__span scaling;               /* tlvk__loss_scaling, whose scale dy is multiplied by; no buffer: 1 */
    tlvk__span metrics;               /* TLVK__METRIC_WORDS floats, at a multiple of 16 bytes; words LOSS to SQUARED are written (not added), the others left alone */
    tlvk__span scratch;
    const char *layer;
} tlvk__loss_call;
/* From the sizes alone; needs no storage. */
uint64_t tlvk__loss_scratch_bytes(const tlvk__loss_call *call);
/* TLVK_ERROR_ARGUMENT: a target, metric or option that does not fit the loss. */
tlvk_status tlvk__record_loss(tlvk__recorder *r, const tlvk__loss_call *call);
/* Reference in double on dense arrays: y, target (sparse: n * rows), weight (n; NULL: ones), dy (may be NULL), metrics; *_e error bounds as in
 * op.h (may be NULL), loss_e that of word LOSS. */
typedef struct tlvk__loss_reference {
    tlvk_loss loss; bool logits; tlvk_metric_kind metric;
    int64_t n, rows, c;
    const double *y, *target, *weight;
    double *dy, *dy_e;
    double metrics[TLVK__METRIC_WORDS];
    double loss_e;
} tlvk__loss_reference;
tlvk_status tlvk__loss_reference_run(tlvk__loss_reference *ref);

/* What loss and metric come to for predictions of c channels and targets of target_c; shared by recording and reference. */
typedef struct tlvk__loss_setup {
    uint32_t kind, metric, output;   /* as the constants of shaders/loss.comp */
    bool softmax;                    /* softmax of y is needed */
    float smooth_scale, smooth_shift;/* smoothed target: t * scale + shift */
    int64_t values_per_row;          /* how many values the mean of one row's loss is of */
    int64_t predictions_per_row;     /* counted by the metric */
} tlvk__loss_setup;
enum { TLVK__LOSS_CATEGORICAL = 0, TLVK__LOSS_SPARSE, TLVK__LOSS_BINARY, TLVK__LOSS_SQUARED };
enum { TLVK__COUNT_NONE = 0, TLVK__COUNT_BINARY, TLVK__COUNT_CATEGORICAL, TLVK__COUNT_SPARSE, TLVK__COUNT_SQUARED };
enum { TLVK__OUTPUT_PLAIN = 0, TLVK__OUTPUT_SIGMOID, TLVK__OUTPUT_SOFTMAX };
tlvk_status tlvk__loss_setup_of(const tlvk_loss *loss, bool logits, tlvk_metric_kind metric, int64_t c, int64_t target_c, tlvk__loss_setup *s);

#endif
