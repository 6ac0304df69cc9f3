/* sums.c - what the steps of a pass add up to, and the means that logs say. As Keras: losses and the whole are means over samples, accuracies
 * over predictions; each output's loss is told before weighting (keras/src/trainers/compile_utils.py, CompileLoss). */
#include "train/training.h"

#include <math.h>
#include <string.h>

void tlvk__sums_add(tlvk__sums *s, const tlvk__task *task, const float *metrics, double penalty, int64_t n) {
    double whole = penalty * (double)n;
    s->outputs = task->output_count;
    for (int i = 0; i < task->output_count; i++) {
        const float *m = metrics + (size_t)i * TLVK__METRIC_WORDS;
        const tlvk__objective *o = &task->objectives[i];
        s->output[i].loss += (double)m[TLVK__METRIC_LOSS];
        if (o->weight != 0) whole += (double)o->weight * (double)m[TLVK__METRIC_LOSS];
        if (o->metric == TLVK_METRIC_NONE || o->metric == TLVK_METRIC_MSE) continue;
        s->output[i].correct += (double)m[TLVK__METRIC_CORRECT];
        s->output[i].counted += (double)m[TLVK__METRIC_COUNT];
    }
    s->loss += whole;
    s->samples += n;
}

void tlvk__sums_logs(const tlvk__sums *s, bool validation, tlvk_logs *logs) {
    double n = s->samples ? (double)s->samples : (double)NAN;
    for (int i = 0; i < (int)s->outputs; i++) {
        double loss = s->output[i].loss / n, accuracy = s->output[i].counted > 0 ? s->output[i].correct / s->output[i].counted : (double)NAN;
        if (i == 0) *(validation ? &logs->val_accuracy : &logs->accuracy) = accuracy;
        if (s->outputs < 2) break;
        *(validation ? &logs->output[i].val_loss : &logs->output[i].loss) = loss;
        *(validation ? &logs->output[i].val_accuracy : &logs->output[i].accuracy) = accuracy;
    }
    *(validation ? &logs->val_loss : &logs->loss) = s->loss / n;
    logs->outputs = s->outputs < 2 ? logs->outputs : (int)s->outputs;
}

tlvk_logs tlvk__no_logs(void) {
    const double none = (double)NAN;
    tlvk_logs logs = { .loss = none, .accuracy = none, .val_loss = none, .val_accuracy = none };
    for (int i = 0; i < TLVK_MAX_IO; i++) logs.output[i].loss = logs.output[i].accuracy = logs.output[i].val_loss = logs.output[i].val_accuracy = none;
    return logs;
}
