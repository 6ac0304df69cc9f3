/* compile.c - optimizer, loss and metrics of a model, and the session kept between calls.
 *
 * As in Keras, compiling again keeps the weights and starts the optimizer anew. A session is made again when the trainable set, the batch
 * shape's reach or weights of frozen layers changed on the host; the optimizer's state of variables trained before and after is carried over. */
#include "train/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void training_destroy(tlvk__training *t) {
    if (!t) return;
    tlvk__session_destroy(t->session);
    free(t);
}

tlvk_context *tlvk__model_context(const tlvk_model *model) { return model ? model->ctx : NULL; }

static tlvk_status check_loss(const tlvk_loss *loss) {
    if (!(loss->label_smoothing >= 0 && loss->label_smoothing < 1)) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "compile: label_smoothing %g is not in [0, 1)", (double)loss->label_smoothing);
    }
    if (loss->label_smoothing > 0 && loss->kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY) {
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "compile: label_smoothing needs categorical_crossentropy, not sparse_categorical_crossentropy");
    }
    return TLVK_OK;
}

/* What output i is held to: its own entries, else those given for all. */
static tlvk_status objective_of(const tlvk_compile_desc *desc, int i, tlvk__objective *o) {
    const tlvk_loss *own = &desc->losses[i];
    bool given = own->kind != TLVK_LOSS_AUTO || own->from_logits || own->label_smoothing != 0;
    float weight = desc->loss_weights[i];
    if (!isfinite(weight)) return tlvk__fail(TLVK_ERROR_ARGUMENT, "compile: loss_weights[%d] is %g", i, (double)weight);
    o->loss = given ? *own : desc->loss;
    o->weight = weight == 0 ? 1 : weight == TLVK_ZERO ? 0 : weight;
    o->metric = desc->output_metrics[i] ? desc->output_metrics[i] : desc->metrics[0];
    return check_loss(&o->loss);
}

void tlvk__compiled_objectives(tlvk_model *model, const tlvk__objective *objectives) {
    for (int i = 0; i < model->output_count; i++) {
        model->compiled.losses[i] = objectives[i].loss;
        model->compiled.loss_weights[i] = objectives[i].weight;
        model->compiled.metrics[i] = objectives[i].metric;
    }
    model->compiled.loss = model->compiled.losses[0];
}

/* Brings model->optimizer_state up to date; without a session it is so already, and with one that was not used yet. */
static tlvk_status read_optimizer(tlvk_model *model) {
    const tlvk__training *t = model->training;
    if (!t || !t->session || !tlvk__session_allocated(t->session)) return TLVK_OK;
    int count = 0;
    tlvk__variable *v;
    while (tlvk__session_trained(t->session, count, &v)) count++;
    tlvk__variable **list = tlvk__calloc((size_t)count + 1, sizeof(tlvk__variable *));
    if (!list) return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for its optimizer", model->name);
    for (int i = 0; i < count; i++) tlvk__session_trained(t->session, i, &list[i]);
    int slots = tlvk__optimizer_slots(&t->optimizer);
    tlvk__optimizer_state *s = tlvk__optimizer_state_create(list, count, slots);
    tlvk_status st = s ? TLVK_OK : TLVK_ERROR_MEMORY;
    for (int i = 0; !st && i < count * slots; i++) st = tlvk__session_read_slot(t->session, i / slots, i % slots, s->values[i]);
    free(list);
    if (st) {
        tlvk__optimizer_state_destroy(s);
        return st;
    }
    tlvk__loss_scaling scaling;
    if ((st = tlvk__session_read_scaling(t->session, &scaling))) {
        tlvk__optimizer_state_destroy(s);
        return st;
    }
    s->iterations = t->steps - (int64_t)scaling.skipped; /* Keras counts the steps that were applied */
    tlvk__optimizer_state_destroy(model->optimizer_state);
    model->optimizer_state = s;
    return TLVK_OK;
}

static void attach(tlvk_model *model, tlvk__training *t) {
    tlvk__plateau_begin(&t->plateau, &t->optimizer);
    if (model->training) model->training_destroy(model->training);
    model->training = t;
    model->training_destroy = training_destroy;
    model->optimizer_read = read_optimizer;
}

static tlvk_status compile(tlvk_model *model, const tlvk_compile_desc *desc) {
    tlvk_status idle = tlvk__model_check_idle(model);
    if (idle) return tlvk__fail_context(idle, "compile");
    tlvk__training *t = tlvk__calloc(1, sizeof *t);
    if (!t) return tlvk__fail(TLVK_ERROR_MEMORY, "compile: no memory");
    t->deterministic = desc->deterministic;
    tlvk_status st = tlvk__optimizer_resolve(&desc->optimizer, &t->optimizer);
    if (!st && desc->precision != TLVK_FP32 && desc->precision != TLVK_MIXED) st = tlvk__fail(TLVK_ERROR_ARGUMENT, "compile: there is no precision %d", (int)desc->precision);
    t->mixed = desc->precision == TLVK_MIXED;
    for (int i = 0; !st && i < model->output_count; i++) st = objective_of(desc, i, &t->objectives[i]);
    if (st) {
        free(t);
        return st;
    }
    attach(model, t);
    tlvk__optimizer_state_destroy(model->optimizer_state);
    model->optimizer_state = NULL;
    model->compiled.set = model->compiled.measures = true;
    model->compiled.optimizer = t->optimizer;
    tlvk__compiled_objectives(model, t->objectives);
    return TLVK_OK;
}

static void read_objectives(const tlvk_model *model, tlvk__objective objectives[TLVK_MAX_IO]) {
    for (int i = 0; i < model->output_count; i++) {
        objectives[i] = (tlvk__objective){ .loss = model->compiled.losses[i], .weight = model->compiled.loss_weights[i], .metric = model->compiled.metrics[i] };
    }
}

void tlvk__model_objectives(const tlvk_model *model, tlvk__objective objectives[TLVK_MAX_IO]) {
    for (int i = 0; i < TLVK_MAX_IO; i++) objectives[i] = (tlvk__objective){ .metric = TLVK_ACCURACY, .weight = 1 };
    if (model->training) memcpy(objectives, model->training->objectives, sizeof model->training->objectives);
    else if (model->compiled.measures) read_objectives(model, objectives);
}

tlvk_status tlvk__training_adopt(tlvk_model *model) {
    if (model->training || !model->compiled.set) return TLVK_OK;
    tlvk__training *t = tlvk__calloc(1, sizeof *t);
    if (!t) return tlvk__fail(TLVK_ERROR_MEMORY, "compile: no memory");
    t->optimizer = model->compiled.optimizer;
    read_objectives(model, t->objectives);
    if (model->optimizer_state) t->steps = model->optimizer_state->iterations;
    attach(model, t);
    return TLVK_OK;
}

tlvk_status tlvk_model_compile(tlvk_model *model, const tlvk_compile_desc *desc) {
    if (!model || !desc) return tlvk__context_fail(tlvk__model_context(model), tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_compile: no model or no descriptor"));
    return tlvk__context_fail(model->ctx, compile(model, desc));
}

/* --- the session kept with the model ------------------------------------------------------------------------------------------------------- */

/* Of all that a session of the model depends on and that may change between calls, besides the values of weights. */
static tlvk_status trainable_key(tlvk_model *model, uint64_t *key) {
    tlvk__flat flat;
    tlvk_status st = tlvk__model_flatten(model, &flat);
    if (st) return st;
    tlvk__hash h;
    tlvk__hash_init(&h);
    for (int i = 0; i < flat.call_count; i++) {
        const tlvk__flat_call *c = &flat.calls[i];
        tlvk__hash_add(&h, &c->layer_trainable, sizeof c->layer_trainable);
        tlvk__hash_add(&h, c->attrs, c->op->attr_bytes); /* an activation may have been set anew */
        for (int k = 0; k < c->variable_count; k++) {
            tlvk__hash_add(&h, &c->variables[k]->id, sizeof c->variables[k]->id);
            tlvk__hash_add(&h, &c->trainable[k], sizeof c->trainable[k]);
        }
    }
    *key = h.h[0] ^ h.h[1];
    tlvk__flat_free(&flat);
    return TLVK_OK;
}

/* Loss scaling goes on too, or begins behind the steps that a file's optimizer has done. */
static tlvk_status read_scaling(const tlvk__training *t, tlvk__loss_scaling *scaling) {
    *scaling = (tlvk__loss_scaling){ 0 };
    tlvk_status st = t->session ? tlvk__session_read_scaling(t->session, scaling) : TLVK_OK;
    if (scaling->scale == 0) *scaling = tlvk__loss_scaling_begin(&t->optimizer, t->steps);
    return st;
}

tlvk_status tlvk__training_session(tlvk_model *model, const tlvk__task *task, int batch, bool batch_norm_inference, tlvk_model *augmentation, tlvk__session **out) {
    tlvk__training *t = model->training;
    uint64_t key, front = 0;
    tlvk_status st = trainable_key(model, &key);
    if (!st && augmentation) st = trainable_key(augmentation, &front);
    key ^= front;
    if (st) return st;
    tlvk__session_desc d = { .training = true, .batch_norm_inference = batch_norm_inference, .optimizer = t->optimizer, .augmentation = augmentation,
                             .mixed = t->mixed, .static_choices = t->deterministic };
    memcpy(d.objectives, task->objectives, sizeof d.objectives);
    memcpy(d.inputs, task->inputs, sizeof d.inputs);
    for (int i = 0; i < task->input_count; i++) d.inputs[i].dim[0] = batch;
    if (t->session && tlvk__session_same_task(t->session, &d) && t->trainable_key == key && tlvk__session_current(t->session)) {
        *out = t->session;
        return TLVK_OK;
    }
    /* The host holds the optimizer's state in between, so that the device never holds two sessions. */
    tlvk__loss_scaling scaling;
    st = read_optimizer(model);
    if (!st) st = read_scaling(t, &scaling);
    if (st) return st;
    tlvk__session_destroy(t->session);
    t->session = NULL;
    if ((st = tlvk__session_create(model, &d, &t->session))) return st;
    tlvk__session_set_state(t->session, model->optimizer_state);
    t->trainable_key = key;
    *out = t->session;
    return tlvk__session_write_scaling(t->session, &scaling);
}

double tlvk__model_penalty(const tlvk_model *model) {
    int count = tlvk__model_variables(model, NULL, NULL, 0);
    tlvk__variable **list = tlvk__calloc((size_t)count + 1, sizeof(tlvk__variable *));
    bool *trainable = tlvk__calloc((size_t)count + 1, sizeof *trainable);
    double sum = 0;
    if (list && trainable) tlvk__model_variables(model, list, trainable, count);
    for (int i = 0; list && trainable && i < count; i++) {
        tlvk_regularizer r = list[i]->spec.regularizer;
        const float *values;
        if (!trainable[i] || (r.l1 == 0 && r.l2 == 0) || tlvk__variable_values(list[i], &values)) continue;
        for (size_t k = 0; k < list[i]->elements; k++) {
            double w = (double)values[k];
            sum += (double)r.l1 * (w < 0 ? -w : w) + (double)r.l2 * w * w;
        }
    }
    free(list);
    free(trainable);
    return sum;
}

tlvk_status tlvk_model_memory(const tlvk_model *model, tlvk_memory *memory) {
    tlvk_context *ctx = tlvk__model_context(model);
    if (!model || !memory) return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_memory: no model or no place for the result"));
    if (!model->training || !model->training->session) {
        return tlvk__context_fail(ctx, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_memory: model %s was not trained since it was compiled", model->name));
    }
    tlvk__session_memory(model->training->session, memory);
    return TLVK_OK;
}
