/* task.c - what a model, a loss and a dataset agree on before anything runs. */
#include "train/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static tlvk_status check_input(const tlvk_model *model, const tlvk_dataset *data, tlvk__task *task) {
    if (model->input_count != 1) return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "model %s has %d inputs, a dataset gives one", model->name, model->input_count);
    const tlvk__shape *want = tlvk__tensor_shape_of(model->inputs[0]);
    if (!want) return tlvk__fail(TLVK_ERROR_ARGUMENT, "model %s has no usable input", model->name);
    tlvk__shape have = tlvk__dataset_sample_shape(data);
    task->input.rank = have.rank + 1;
    task->input.dim[0] = 1;
    bool fits = want->rank == have.rank + 1;
    for (int i = 0; i < have.rank; i++) {
        task->input.dim[i + 1] = have.dim[i];
        fits = fits && (want->dim[i + 1] < 0 || want->dim[i + 1] == have.dim[i]);
    }
    if (fits) return TLVK_OK;
    char a[96], b[96];
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "model %s takes inputs of shape %s, the data gives %s", model->name, tlvk__shape_text(want, a, sizeof a), tlvk__shape_text(&task->input, b, sizeof b));
}

static tlvk_status infer_output(const tlvk_model *model, tlvk__task *task) {
    tlvk__flat flat;
    tlvk_status st = tlvk__model_flatten(model, &flat);
    if (st) return st;
    tlvk__shape *shapes = tlvk__calloc((size_t)flat.tensor_count + 1, sizeof *shapes);
    if (!shapes) st = tlvk__fail(TLVK_ERROR_MEMORY, "no memory");
    if (!st) st = tlvk__flat_shapes(&flat, &task->input, shapes);
    if (!st) task->output = shapes[flat.outputs[0]];
    free(shapes);
    tlvk__flat_free(&flat);
    return st;
}

tlvk_status tlvk__task_shapes(const tlvk_model *model, const tlvk_dataset *data, tlvk__task *task) {
    memset(task, 0, sizeof *task);
    tlvk_status st = check_input(model, data, task);
    return st ? st : infer_output(model, task);
}

static void resolve_loss(const tlvk_dataset *data, tlvk__task *task) {
    int64_t units = task->output.dim[task->output.rank - 1];
    tlvk__label_kind labels = tlvk__dataset_label_kind(data);
    if (task->loss.kind == TLVK_LOSS_AUTO) {
        if (labels == TLVK__LABELS_TARGETS) task->loss.kind = TLVK_MEAN_SQUARED_ERROR;
        else if (units == 1) task->loss.kind = TLVK_BINARY_CROSSENTROPY;
        else task->loss.kind = labels == TLVK__LABELS_CATEGORICAL || task->loss.label_smoothing > 0 ? TLVK_CATEGORICAL_CROSSENTROPY : TLVK_SPARSE_CATEGORICAL_CROSSENTROPY;
    }
    if (task->metric != TLVK_ACCURACY) return;
    if (task->loss.kind == TLVK_MEAN_SQUARED_ERROR && labels == TLVK__LABELS_TARGETS) task->metric = TLVK_METRIC_MSE;
    else if (units == 1) task->metric = TLVK_BINARY_ACCURACY;
    else if (task->loss.kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY) task->metric = TLVK_SPARSE_CATEGORICAL_ACCURACY;
    else task->metric = TLVK_CATEGORICAL_ACCURACY; /* several labels a sample too: keras/src/trainers/compile_utils.py, get_metric */
}

static tlvk_status check_targets(const tlvk_model *model, const tlvk_dataset *data, tlvk__task *task) {
    const tlvk__shape *y = &task->output;
    int64_t units = y->dim[y->rank - 1], rows = 1;
    for (int i = 1; i < y->rank - 1; i++) rows *= y->dim[i];
    int classes = tlvk_dataset_class_count(data);
    bool sparse = task->loss.kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY;
    bool categorical = task->loss.kind == TLVK_CATEGORICAL_CROSSENTROPY;
    int64_t width = sparse ? rows : rows * units;
    if (width > INT32_MAX) return tlvk__fail(TLVK_ERROR_ARGUMENT, "model %s: targets of %lld numbers a sample", model->name, (long long)width);
    task->target_width = (int)width;
    switch (tlvk__dataset_label_kind(data)) {
    case TLVK__LABELS_NONE:
        return tlvk__fail(TLVK_ERROR_DATA, "the data has no labels; training and evaluation need them");
    case TLVK__LABELS_TARGETS:
        if (tlvk__dataset_target_width(data) == width) return TLVK_OK;
        return tlvk__fail(TLVK_ERROR_DATA, "the data gives targets of %d numbers a sample, the loss on model %s wants %lld", tlvk__dataset_target_width(data), model->name, (long long)width);
    default:
        break;
    }
    if (rows != 1) return tlvk__fail(TLVK_ERROR_DATA, "the data gives one class a sample, model %s has %lld outputs a sample", model->name, (long long)rows);
    if ((sparse || categorical) && classes > units) {
        return tlvk__fail(TLVK_ERROR_DATA, "the data has %d classes, the last layer of model %s has %lld units: use a head of %d", classes, model->name, (long long)units, classes);
    }
    if (!sparse && !categorical && units == 1 && classes > 2) {
        return tlvk__fail(TLVK_ERROR_DATA, "the data has %d classes, model %s has one output: use softmax over %d units", classes, model->name, classes);
    }
    return TLVK_OK;
}

tlvk_status tlvk__task_resolve(const tlvk_model *model, const tlvk_dataset *data, tlvk_loss loss, tlvk_metric_kind metric, tlvk__task *task) {
    tlvk_status st = tlvk__task_shapes(model, data, task);
    if (st) return st;
    task->loss = loss;
    task->metric = metric;
    resolve_loss(data, task);
    return check_targets(model, data, task);
}

void tlvk__task_target(const tlvk__task *task, const tlvk_dataset *data, int64_t sample, float *target) {
    if (tlvk__dataset_target_width(data) == task->target_width && (task->target_width > 1 || task->loss.kind != TLVK_CATEGORICAL_CROSSENTROPY)) {
        bool one_hot_wanted = task->loss.kind != TLVK_SPARSE_CATEGORICAL_CROSSENTROPY;
        if (one_hot_wanted || tlvk__dataset_label_kind(data) != TLVK__LABELS_CATEGORICAL) {
            tlvk__dataset_target(data, sample, target);
            return;
        }
    }
    int label = tlvk_dataset_label(data, sample);
    if (task->loss.kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY || task->target_width == 1) {
        target[0] = (float)label;
        return;
    }
    for (int i = 0; i < task->target_width; i++) target[i] = i == label ? 1.0f : 0.0f;
}
