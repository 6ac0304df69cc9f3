/* task.c - what a model, its losses and a dataset agree on before anything runs. */
#include "train/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static tlvk_status check_input(const tlvk_model *model, const tlvk_dataset *data, int index, tlvk__task *task) {
    const tlvk__shape *want = tlvk__tensor_shape_of(model->inputs[index]);
    if (!want) return tlvk__fail(TLVK_ERROR_ARGUMENT, "model %s has no usable input", model->name);
    tlvk__shape have = tlvk__dataset_sample_shape(data, index), *input = &task->inputs[index];
    input->rank = have.rank + 1;
    input->dim[0] = 1;
    bool fits = want->rank == have.rank + 1;
    for (int i = 0; i < have.rank; i++) {
        input->dim[i + 1] = have.dim[i];
        fits = fits && (want->dim[i + 1] < 0 || want->dim[i + 1] == have.dim[i]);
    }
    if (fits) return TLVK_OK;
    char a[96], b[96];
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "model %s takes inputs of shape %s, the data gives %s%s", model->name, tlvk__shape_text(want, a, sizeof a),
                      tlvk__shape_text(input, b, sizeof b), model->input_count > 1 ? " (inputs go in the model's order)" : "");
}

static tlvk_status check_inputs(const tlvk_model *model, const tlvk_dataset *data, tlvk__task *task) {
    task->input_count = model->input_count;
    if (tlvk__dataset_input_count(data) != model->input_count) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "model %s has %d inputs, the data gives %d", model->name, model->input_count, tlvk__dataset_input_count(data));
    }
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < model->input_count; i++) st = check_input(model, data, i, task);
    return st;
}

static tlvk_status infer_outputs(const tlvk_model *model, tlvk__task *task) {
    tlvk__flat flat;
    tlvk_status st = tlvk__model_flatten(model, &flat);
    if (st) return st;
    tlvk__shape *shapes = tlvk__calloc((size_t)flat.tensor_count + 1, sizeof *shapes);
    if (!shapes) st = tlvk__fail(TLVK_ERROR_MEMORY, "no memory");
    if (!st) st = tlvk__flat_shapes(&flat, task->inputs, shapes);
    task->output_count = flat.output_count;
    for (int i = 0; !st && i < flat.output_count; i++) task->outputs[i] = shapes[flat.outputs[i]];
    free(shapes);
    tlvk__flat_free(&flat);
    return st;
}

tlvk_status tlvk__task_shapes(const tlvk_model *model, const tlvk_dataset *data, tlvk__task *task) {
    memset(task, 0, sizeof *task);
    tlvk_status st = check_inputs(model, data, task);
    return st ? st : infer_outputs(model, task);
}

static void resolve_loss(const tlvk_dataset *data, int output, const tlvk__shape *y, tlvk__objective *o) {
    int64_t units = y->dim[y->rank - 1];
    tlvk__label_kind labels = tlvk__dataset_label_kind(data, output);
    if (o->loss.kind == TLVK_LOSS_AUTO) {
        if (labels == TLVK__LABELS_TARGETS) o->loss.kind = TLVK_MEAN_SQUARED_ERROR;
        else if (units == 1) o->loss.kind = TLVK_BINARY_CROSSENTROPY;
        else o->loss.kind = labels == TLVK__LABELS_CATEGORICAL || o->loss.label_smoothing > 0 ? TLVK_CATEGORICAL_CROSSENTROPY : TLVK_SPARSE_CATEGORICAL_CROSSENTROPY;
    }
    if (o->metric != TLVK_ACCURACY) return;
    if (o->loss.kind == TLVK_MEAN_SQUARED_ERROR && labels == TLVK__LABELS_TARGETS) o->metric = TLVK_METRIC_MSE;
    else if (units == 1) o->metric = TLVK_BINARY_ACCURACY;
    else if (o->loss.kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY) o->metric = TLVK_SPARSE_CATEGORICAL_ACCURACY;
    else o->metric = TLVK_CATEGORICAL_ACCURACY; /* several labels a sample too: keras/src/trainers/compile_utils.py, get_metric */
}

/* Classes of pictures or of an array against a loss that takes one class a sample; how they become its targets. */
static tlvk_status check_classes(const char *name, const tlvk_dataset *data, int output, int64_t rows, int64_t units, tlvk__task *task) {
    tlvk_loss_kind loss = task->objectives[output].loss.kind;
    int classes = tlvk__dataset_target_classes(data, output), width = task->target_widths[output];
    bool same_width = tlvk__dataset_target_width(data, output) == width, sparse = loss == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY;
    if (same_width && (rows != 1 || loss == TLVK_MEAN_SQUARED_ERROR)) return TLVK_OK;
    if (rows != 1) return tlvk__fail(TLVK_ERROR_DATA, "the data gives one class a sample, %s has %lld outputs a sample", name, (long long)rows);
    if ((sparse || units > 1) && classes > units) {
        return tlvk__fail(TLVK_ERROR_DATA, "the data has %d classes, the last layer of %s has %lld units: use a head of %d", classes, name, (long long)units, classes);
    }
    if (!sparse && loss != TLVK_CATEGORICAL_CROSSENTROPY && units == 1 && classes > 2) {
        return tlvk__fail(TLVK_ERROR_DATA, "the data has %d classes, %s has one output: use softmax over %d units", classes, name, classes);
    }
    bool one_hot = tlvk__dataset_label_kind(data, output) == TLVK__LABELS_CATEGORICAL;
    if (same_width && (sparse ? !one_hot : width > 1 || loss != TLVK_CATEGORICAL_CROSSENTROPY)) return TLVK_OK;
    task->forms[output] = sparse || width == 1 ? TLVK__TARGET_CLASS : TLVK__TARGET_ONE_HOT;
    return TLVK_OK;
}

static tlvk_status check_target(const tlvk_model *model, const tlvk_dataset *data, int output, tlvk__task *task) {
    const tlvk__shape *y = &task->outputs[output];
    int64_t units = y->dim[y->rank - 1], rows = 1;
    char name[160];
    if (task->output_count > 1) snprintf(name, sizeof name, "output %d of model %.120s", output, model->name);
    else snprintf(name, sizeof name, "model %.140s", model->name);
    for (int i = 1; i < y->rank - 1; i++) rows *= y->dim[i];
    int64_t width = task->objectives[output].loss.kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY ? rows : rows * units;
    if (width > INT32_MAX) return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: targets of %lld numbers a sample", name, (long long)width);
    task->target_widths[output] = (int)width;
    task->forms[output] = TLVK__TARGET_AS_IT_IS;
    if (tlvk__dataset_label_kind(data, output) != TLVK__LABELS_TARGETS) return check_classes(name, data, output, rows, units, task);
    if (tlvk__dataset_target_width(data, output) == width) return TLVK_OK;
    return tlvk__fail(TLVK_ERROR_DATA, "the data gives targets of %d numbers a sample, the loss on %s wants %lld", tlvk__dataset_target_width(data, output), name, (long long)width);
}

tlvk_status tlvk__task_resolve(const tlvk_model *model, const tlvk_dataset *data, const tlvk__objective *objectives, tlvk__task *task) {
    tlvk_status st = tlvk__task_shapes(model, data, task);
    if (st) return st;
    int targets = tlvk__dataset_target_count(data);
    if (targets == 0) return tlvk__fail(TLVK_ERROR_DATA, "the data has no labels; training and evaluation need them");
    if (targets != task->output_count) return tlvk__fail(TLVK_ERROR_DATA, "model %s has %d outputs, the data gives %d targets", model->name, task->output_count, targets);
    for (int i = 0; !st && i < task->output_count; i++) {
        task->objectives[i] = objectives[i];
        resolve_loss(data, i, &task->outputs[i], &task->objectives[i]);
        st = check_target(model, data, i, task);
    }
    return st;
}

void tlvk__task_target(const tlvk__task *task, const tlvk_dataset *data, int output, int64_t sample, float *target) {
    int label = tlvk__dataset_target_label(data, output, sample);
    switch (task->forms[output]) {
    case TLVK__TARGET_AS_IT_IS: tlvk__dataset_target(data, output, sample, target); return;
    case TLVK__TARGET_CLASS: target[0] = (float)label; return;
    case TLVK__TARGET_ONE_HOT:
        for (int i = 0; i < task->target_widths[output]; i++) target[i] = i == label ? 1.0f : 0.0f;
    }
}
