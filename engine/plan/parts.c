/* parts.c - a plan's steps as settings that can be timed alone, with their arithmetic and the bytes that they cannot do without. */
#include "plan/program.h"

#include <string.h>

static double tensor_bytes(const tlvk__tensor *t) { return (double)t->n * (double)tlvk__sample_floats(t) * (double)tlvk__number_bytes(t); }

static void add_bytes(const tlvk__plan *plan, const plan_step *s, tlvk__plan_part *part) {
    double in = 0, variables = 0, trained = 0, out = tensor_bytes(&plan->tensors[s->output].t);
    for (int k = 0; k < s->input_count; k++) in += tensor_bytes(&plan->tensors[s->inputs[k]].t);
    for (int k = 0; k < s->variable_count; k++) {
        tlvk__tensor w;
        if (tlvk__variable_layout(&s->variables[k]->spec.shape, s->layouts[k], &w)) continue;
        variables += tensor_bytes(&w);
        trained += s->trained[k] ? tensor_bytes(&w) : 0;
    }
    unsigned reads = s->op->backward_reads ? s->op->backward_reads(s->attrs, s->training, s->want_dx, false) : 0;
    part->bytes[0] = in + variables + out;
    part->bytes[1] = s->want_dx ? in + variables + out + (reads & TLVK__READS_X ? in : 0) + (reads & TLVK__READS_Y ? out : 0) : 0;
    part->bytes[2] = s->want_dw ? in + trained + out : 0;
}

bool tlvk__plan_part_at(const tlvk__plan *plan, int index, tlvk__plan_part *part) {
    if (index < 0 || index >= plan->step_count) return false;
    const plan_step *s = &plan->steps[index];
    memset(part, 0, sizeof *part);
    part->op = s->op;
    part->path = s->path;
    part->view = s->view;
    part->wanted[0] = true;
    part->wanted[1] = s->want_dx;
    part->wanted[2] = s->want_dw;
    tlvk__op_case *c = &part->setting;
    memcpy(c->attrs.bytes, s->attrs, s->op->attr_bytes);
    c->inputs = s->input_count;
    for (int k = 0; k < s->input_count; k++) c->x[k] = plan->tensors[s->inputs[k]].shape;
    c->training = s->training;
    c->mixed = plan->desc.mixed;
    c->epilogue = s->activation;
    c->scale_shift = s->norm_attrs != NULL;
    c->residual = s->residual_count > 0;
    part->y = plan->tensors[s->output].shape;
    if (s->view) return true;
    tlvk__op_call call;
    tlvk__plan_call(plan, s, PLAN_FORWARD, &call);
    double flops = s->op->flops ? s->op->flops(&call) : 0;
    for (int pass = 0; pass < 3; pass++) part->flops[pass] = part->wanted[pass] ? flops : 0;
    add_bytes(plan, s, part);
    return true;
}
