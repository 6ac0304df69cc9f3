/* fuse.c - what is folded into the operation before it, so that no tensor is written only to be read again: a ZeroPadding2D becomes the padding of the
 * convolution or maximum behind it, a BatchNormalization in inference mode scale and shift of the convolution before it (made once where it is frozen,
 * in every step where it is trained), the Add of a residual connection and an activation what stands behind them. */
#include "plan/program.h"

#include <string.h>

bool tlvk__plan_is_activation(const tlvk__op *op) {
    return op == &tlvk__op_activation || op == &tlvk__op_relu || op == &tlvk__op_leaky_relu || op == &tlvk__op_elu;
}

/* The step whose only reader is `s`, by input k, if something can still follow in its epilogue. */
static plan_step *fusible_producer(tlvk__plan *plan, const plan_step *s, int k) {
    const plan_tensor *x = &plan->tensors[s->inputs[k]];
    if (x->producer == NO_STEP || x->consumers != 1) return NULL;
    plan_step *p = &plan->steps[x->producer];
    return (p->op->flags & TLVK__OP_ANY_EPILOGUE) && p->activation.kind == TLVK_LINEAR ? p : NULL;
}

static bool passes_gradient(const tlvk__plan *plan, const plan_step *s) { return plan->desc.mode == TLVK__PLAN_TRAIN && plan->tensors[s->output].active; }

static void take_output(tlvk__plan *plan, plan_step *p, plan_step *s) {
    s->removed = true;
    p->moving |= s->moving;
    p->output = s->output;
    plan->tensors[p->output].producer = (int)(p - plan->steps);
}

/* Where an operation keeps the zeros around its image, "valid" as it is; NULL: it can have none, or is none that has. */
static int *zero_padding_of(const tlvk__op *op, void *attrs) {
    tlvk__conv2d_attrs *conv = attrs;
    tlvk__depthwise_conv2d_attrs *depthwise = attrs;
    tlvk__pooling2d_attrs *pooling = attrs;
    if (op == &tlvk__op_conv2d) return conv->padding == TLVK_VALID ? conv->zero_padding : NULL;
    if (op == &tlvk__op_depthwise_conv2d) return depthwise->padding == TLVK_VALID ? depthwise->zero_padding : NULL;
    return op == &tlvk__op_max_pooling2d && tlvk__pooling2d_pads(pooling) ? pooling->zero_padding : NULL;
}

/* A ZeroPadding2D whose only reader is a "valid" convolution or maximum becomes its own padding. */
static void fold_padding(tlvk__plan *plan, plan_step *s) {
    const plan_tensor *x = &plan->tensors[s->inputs[0]];
    if (x->producer == NO_STEP || x->consumers != 1) return;
    plan_step *p = &plan->steps[x->producer];
    if (p->removed || p->op != &tlvk__op_zero_padding2d) return;
    const int *around = ((const tlvk__padding2d_attrs *)p->attrs)->padding;
    union { unsigned char bytes[TLVK__ATTR_BYTES]; double align; } own;
    memcpy(own.bytes, s->attrs, s->op->attr_bytes);
    int *zero_padding = zero_padding_of(s->op, own.bytes);
    if (!zero_padding) return;
    memcpy(zero_padding, around, 4 * sizeof *around);
    memcpy(s->own_attrs.bytes, own.bytes, s->op->attr_bytes);
    s->attrs = s->own_attrs.bytes;
    s->inputs[0] = p->inputs[0];
    p->removed = true;
}

void tlvk__plan_fold_paddings(tlvk__plan *plan) {
    for (int i = 0; i < plan->step_count; i++) {
        plan_step *s = &plan->steps[i];
        if (!s->removed) fold_padding(plan, s);
    }
}

static void fuse_norm(tlvk__plan *plan, plan_step *s) {
    plan_step *p = fusible_producer(plan, s, 0);
    if (!p || !(p->op->flags & TLVK__OP_EPILOGUE) || p->norm_attrs || p->residual_count || (!s->constant && !tlvk__plan_norm_fits(plan, p, s))) return;
    p->norm_moving = !s->constant;
    const tlvk__batch_normalization_attrs *a = s->attrs;
    int k = 0;
    p->norm_attrs = a;
    p->norm_trained[0] = a->scale && s->trained[k];
    p->norm[0] = a->scale ? s->variables[k++] : NULL;
    p->norm_trained[1] = a->center && s->trained[k];
    p->norm[1] = a->center ? s->variables[k++] : NULL;
    p->norm[2] = s->variables[k];
    p->norm[3] = s->variables[k + 1];
    take_output(plan, p, s);
}

/* An activation whose slope cannot be told from its output stays apart where a gradient passes, unless the operation before it takes the slope from x. */
static void fuse_activation(tlvk__plan *plan, plan_step *s) {
    tlvk__activation a = s->op->activation ? s->op->activation(s->attrs) : ((const tlvk__activation_attrs *)s->attrs)->activation;
    plan_step *p = fusible_producer(plan, s, 0);
    if (!p || !tlvk__activation_elementwise(a.kind)) return;
    if (passes_gradient(plan, s) && !tlvk__activation_from_output(a.kind) && !(plan_takes_slope(p) && p->training)) return;
    p->activation = a;
    take_output(plan, p, s);
}

/* Something of the step itself gets a gradient, not of the residual alone. */
static bool own_gradient(const tlvk__plan *plan, const plan_step *s) {
    bool own = false;
    for (int k = 0; k < s->input_count; k++) own |= plan->tensors[s->inputs[k]].active;
    for (int k = 0; k < s->variable_count; k++) own |= s->trained[k];
    return own;
}

/* An Add of two: the operation that makes one operand adds the other, which is there by then. With the scale of a frozen BatchNormalization the operation's
 * dy differs from the residual's, and the Add stays. */
static bool fuse_residual(tlvk__plan *plan, plan_step *s, int k) {
    plan_step *p = fusible_producer(plan, s, k);
    const plan_tensor *y = &plan->tensors[s->output], *other = &plan->tensors[s->inputs[1 - k]];
    if (!p || p->residual_count || !p->op->residual || !tlvk__shape_equal(&y->shape, &other->shape) || !tlvk__shape_equal(&y->shape, &plan->tensors[p->output].shape)) return false;
    if (other->producer != NO_STEP && &plan->steps[other->producer] > p) return false;
    if (passes_gradient(plan, s) && own_gradient(plan, p) && p->norm_attrs && !p->norm_moving) return false;
    tlvk__op_call call;
    tlvk__plan_call(plan, p, PLAN_FORWARD, &call);
    if (!p->op->residual(&plan->caps, &call)) return false;
    p->residual = s->inputs[1 - k];
    p->residual_count = 1;
    take_output(plan, p, s);
    return true;
}

/* In order, so that conv -> norm -> add -> activation becomes one step. */
void tlvk__plan_fuse(tlvk__plan *plan) {
    for (int i = 0; i < plan->step_count; i++) {
        plan_step *s = &plan->steps[i];
        if (s->removed) continue;
        if (s->op == &tlvk__op_batch_normalization && !s->training) fuse_norm(plan, s);
        else if (tlvk__plan_is_activation(s->op)) fuse_activation(plan, s);
        else if (s->op == &tlvk__op_add && s->input_count == 2 && !fuse_residual(plan, s, 1)) fuse_residual(plan, s, 0);
    }
}

