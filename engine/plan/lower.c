/* lower.c - flat graph to steps: each call one, and its activation another where it cannot be an epilogue. What is folded into what: fuse.c. */
#include "plan/program.h"

#include <stdlib.h>
#include <string.h>

static bool is_trained(const tlvk__plan *plan, const tlvk__variable *v) {
    return plan->desc.trained && plan->desc.trained(v, plan->desc.user);
}

/* A step's own mode (keras/src/layers/layer.py: the call's training argument wins over the model's; a frozen BatchNormalization infers). */
static bool step_training(const tlvk__plan *plan, const tlvk__flat_call *c) {
    if (plan->desc.mode != TLVK__PLAN_TRAIN && c->mode != TLVK_CALL_TRAINING) return false;
    if (c->mode == TLVK_CALL_INFERENCE) return false;
    if ((c->op->flags & TLVK__OP_STATE) && !c->layer_trainable) return false;
    return true;
}

static tlvk_status new_tensor(tlvk__plan *plan, const tlvk__shape *shape, int *out) {
    plan_tensor *t = &plan->tensors[plan->tensor_count];
    memset(t, 0, sizeof *t);
    t->shape = *shape;
    t->producer = NO_STEP;
    t->root = t->grad_root = plan->tensor_count;
    *out = plan->tensor_count++;
    return tlvk__tensor_from_shape(shape, &t->t);
}

static tlvk_status lower_call(tlvk__plan *plan, const tlvk__flat_call *c) {
    plan_step *s = &plan->steps[plan->step_count];
    memset(s, 0, sizeof *s);
    s->op = c->op;
    s->attrs = c->attrs;
    s->path = c->path;
    s->output = c->output;
    s->stream = c->stream;
    s->in_front = c->in_front;
    s->training = step_training(plan, c);
    s->input_count = c->input_count;
    s->inputs = tlvk__calloc((size_t)TLVK__MAX(c->input_count, 1), sizeof *s->inputs);
    if (!s->inputs) return tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
    memcpy(s->inputs, c->inputs, (size_t)c->input_count * sizeof *s->inputs);
    s->variable_count = c->variable_count;
    s->constant = true;
    for (int i = 0; i < c->variable_count; i++) {
        s->variables[i] = c->variables[i];
        s->layouts[i] = c->variables[i]->spec.layout;
        s->trained[i] = c->trainable[i] && is_trained(plan, c->variables[i]);
        if (is_trained(plan, c->variables[i])) s->constant = false;
    }
    if ((s->op->flags & TLVK__OP_STATE) && s->training) s->constant = false;
    s->moving = !s->constant || (c->mode != TLVK_CALL_INFERENCE && ((s->op->flags & TLVK__OP_RANDOM) || ((s->op->flags & TLVK__OP_STATE) && c->layer_trainable)));
    plan->step_count++;
    return TLVK_OK;
}

/* Makes the activation of step `s` a step of its own behind it. */
static tlvk_status split_activation(tlvk__plan *plan, int index) {
    plan_step *s = &plan->steps[index], *a = &plan->steps[plan->step_count];
    int z;
    tlvk_status st = new_tensor(plan, &plan->tensors[s->output].shape, &z);
    if (st) return st;
    memset(a, 0, sizeof *a);
    a->op = &tlvk__op_activation;
    tlvk__activation_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    a->op->defaults(&attrs);
    attrs.activation = s->activation;
    memcpy(a->own_attrs.bytes, &attrs, sizeof attrs);
    a->attrs = a->own_attrs.bytes;
    a->path = s->path;
    a->training = s->training;
    a->constant = true;
    a->inputs = tlvk__calloc(1, sizeof *a->inputs);
    if (!a->inputs) return tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
    a->inputs[0] = z;
    a->input_count = 1;
    a->output = s->output;
    s->output = z;
    s->activation = tlvk__activation_of(TLVK_LINEAR);
    plan->step_count++;
    return TLVK_OK;
}

static bool is_view(const tlvk__plan *plan, const plan_step *s) {
    return s->op->view && s->input_count == 1 && s->op->view(s->attrs, s->training, &plan->tensors[s->inputs[0]].t, &plan->tensors[s->output].t);
}

static bool has_gradient(const tlvk__plan *plan, const plan_step *s) { return s->op->backward || is_view(plan, s); }

static void count_consumers(tlvk__plan *plan) {
    for (int i = 0; i < plan->tensor_count; i++) {
        plan->tensors[i].consumers = 0;
        plan->tensors[i].producer = NO_STEP;
        plan->tensors[i].active = false;
    }
    for (int i = 0; i < plan->step_count; i++) {
        plan_step *s = &plan->steps[i];
        if (s->removed) continue;
        plan->tensors[s->output].producer = i;
        for (int k = 0; k < s->input_count + s->residual_count; k++) {
            const int *from = k < s->input_count ? &s->inputs[k] : &s->residual;
            plan->tensors[*from].consumers++;
            if (plan->tensors[*from].active) plan->tensors[s->output].active = true;
        }
        for (int k = 0; k < s->variable_count; k++) {
            if (s->trained[k]) plan->tensors[s->output].active = true;
        }
        if (!has_gradient(plan, s)) plan->tensors[s->output].active = false;
    }
    for (int i = 0; i < plan->output_count; i++) plan->tensors[plan->outputs[i]].consumers++;
}

/* Keras computes cross-entropies from the values before a last softmax or sigmoid, whatever from_logits says and whoever else reads it
 * (keras/src/backend/tensorflow/nn.py, _get_logits): the loss then takes that step's input, and without another reader the step goes. */
static void find_logits(tlvk__plan *plan, int output) {
    plan_loss *l = &plan->losses[output];
    l->logits = l->objective.loss.from_logits;
    plan_tensor *y = &plan->tensors[plan->outputs[output]];
    if (y->producer == NO_STEP) return;
    plan_step *s = &plan->steps[y->producer];
    tlvk_activation_kind kind;
    if (s->op == &tlvk__op_softmax) kind = TLVK_SOFTMAX;
    else if (s->op == &tlvk__op_activation) kind = ((const tlvk__activation_attrs *)s->attrs)->activation.kind;
    else return;
    tlvk_loss_kind loss = l->objective.loss.kind;
    bool categorical = kind == TLVK_SOFTMAX && (loss == TLVK_CATEGORICAL_CROSSENTROPY || loss == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY);
    bool binary = kind == TLVK_SIGMOID && loss == TLVK_BINARY_CROSSENTROPY;
    if (!categorical && !binary) return;
    s->removed = --y->consumers == 0;
    plan->outputs[output] = s->inputs[0];
    plan->tensors[s->inputs[0]].consumers += !s->removed;
    l->logits = true;
    l->objective.loss.from_logits = false; /* metrics look at what the model would have put out */
}

/* Removes steps nothing reads; state updates of a training step stay. */
static void prune(tlvk__plan *plan) {
    for (int i = plan->step_count - 1; i >= 0; i--) {
        plan_step *s = &plan->steps[i];
        if (s->removed) continue;
        bool state = (s->op->flags & TLVK__OP_STATE) && s->training;
        if (plan->tensors[s->output].consumers > 0 || state) continue;
        s->removed = true;
        for (int k = 0; k < s->input_count; k++) plan->tensors[s->inputs[k]].consumers--;
        if (s->residual_count) plan->tensors[s->residual].consumers--;
    }
    int kept = 0;
    for (int i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].removed) {
            free(plan->steps[i].inputs);
            continue;
        }
        if (kept != i) {
            plan->steps[kept] = plan->steps[i];
            if (plan->steps[kept].attrs == plan->steps[i].own_attrs.bytes) plan->steps[kept].attrs = plan->steps[kept].own_attrs.bytes;
        }
        kept++;
    }
    plan->step_count = kept;
}

static tlvk_status lower_steps(tlvk__plan *plan) {
    const tlvk__flat *flat = plan->desc.flat;
    for (int i = 0; i < flat->call_count; i++) {
        tlvk_status st = lower_call(plan, &flat->calls[i]);
        if (st) return st;
        int index = plan->step_count - 1;
        plan_step *s = &plan->steps[index];
        tlvk__activation a = tlvk__activation_of(TLVK_LINEAR);
        if (!tlvk__plan_is_activation(s->op) && s->op->activation) a = s->op->activation(s->attrs);
        s->activation = a;
        if (a.kind == TLVK_LINEAR) continue;
        /* Activity is not known yet, so in training every activation that cannot be an epilogue there is split off; fuse() joins it
         * again where no gradient passes. */
        bool epilogue = (s->op->flags & TLVK__OP_EPILOGUE) && tlvk__activation_elementwise(a.kind) &&
                        (plan->desc.mode != TLVK__PLAN_TRAIN || tlvk__activation_from_output(a.kind));
        if (!epilogue && (st = split_activation(plan, index))) return st;
    }
    return TLVK_OK;
}

static void mark_views(tlvk__plan *plan) {
    for (int i = 0; i < plan->step_count; i++) {
        plan_step *s = &plan->steps[i];
        s->view = is_view(plan, s);
        if (s->view) plan->tensors[s->output].root = plan->tensors[s->inputs[0]].root;
    }
}

/* Some layers prepare pictures and have no gradient: what is trained may not stand before them. */
static tlvk_status refuse_blocked(const tlvk__plan *plan) {
    for (int i = 0; plan->desc.mode == TLVK__PLAN_TRAIN && i < plan->step_count; i++) {
        const plan_step *s = &plan->steps[i];
        for (int k = 0; !s->removed && !has_gradient(plan, s) && k < s->input_count; k++) {
            if (!plan->tensors[s->inputs[k]].active) continue;
            return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "'%s' (%s) passes no gradient, and layers before it are to be trained; put it before them, or freeze them",
                              s->path, s->op->class_name);
        }
    }
    return TLVK_OK;
}

/* The layer whose output a tensor of the flat graph is. */
static const char *maker_of(const tlvk__flat *flat, int tensor) {
    for (int i = 0; i < flat->call_count; i++) {
        if (flat->calls[i].output == tensor) return flat->calls[i].path;
    }
    return "the input";
}

tlvk_status tlvk__plan_lower(tlvk__plan *plan) {
    const tlvk__flat *flat = plan->desc.flat;
    size_t calls = (size_t)flat->call_count, tensors = (size_t)flat->tensor_count;
    plan->steps = tlvk__calloc(2 * calls + 1, sizeof *plan->steps);
    plan->tensors = tlvk__calloc(tensors + calls + 1, sizeof *plan->tensors);
    tlvk__shape *shapes = tlvk__calloc(tensors + 1, sizeof *shapes);
    if (!plan->steps || !plan->tensors || !shapes) {
        free(shapes);
        return tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory for %d calls", flat->call_count);
    }
    tlvk_status st = tlvk__flat_shapes(flat, plan->desc.inputs, shapes);
    for (int i = 0, t; !st && i < flat->tensor_count; i++) {
        st = new_tensor(plan, &shapes[i], &t);
        if (st) tlvk__fail_context(st, "%s", maker_of(flat, i));
    }
    free(shapes);
    if (st) return st;
    plan->input_count = flat->input_count;
    plan->output_count = flat->output_count;
    memcpy(plan->inputs, flat->inputs, sizeof plan->inputs);
    memcpy(plan->outputs, flat->outputs, sizeof plan->outputs);
    for (int i = 0; i < plan->output_count; i++) plan->losses[i] = (plan_loss){ .objective = plan->desc.objectives[i], .path = maker_of(flat, flat->outputs[i]) };
    if ((st = lower_steps(plan))) return st;
    count_consumers(plan);
    for (int i = 0; plan->desc.mode != TLVK__PLAN_PREDICT && i < plan->output_count; i++) find_logits(plan, i);
    tlvk__plan_fold_paddings(plan);
    count_consumers(plan);
    tlvk__plan_fuse(plan);
    count_consumers(plan);
    prune(plan);
    mark_views(plan);
    count_consumers(plan);
    return refuse_blocked(plan);
}
