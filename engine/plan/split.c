/* split.c - the frozen prefix as a graph of its own: what is computed once, apart from what is trained. */
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

typedef struct splitter {
    const tlvk__flat *flat;
    bool *moving;      /* per tensor: may differ from one epoch to the next, or is made where the losses are */
    bool *in_suffix;   /* per call */
    int *number;       /* tensor -> its number in the part being made, -1 */
} splitter;

/* A loss looks at what stands before a last softmax or sigmoid, so the call that makes such an output stays with the losses, whatever is frozen. */
static bool makes_probabilities(const tlvk__flat *flat, const tlvk__flat_call *c) {
    bool output = false;
    for (int i = 0; i < flat->output_count; i++) output |= flat->outputs[i] == c->output;
    tlvk_activation_kind kind = TLVK_LINEAR;
    if (c->op == &tlvk__op_softmax) kind = TLVK_SOFTMAX;
    else if (c->op == &tlvk__op_activation) kind = ((const tlvk__activation_attrs *)c->attrs)->activation.kind;
    else if (c->op->activation) kind = c->op->activation(c->attrs).kind;
    return output && (kind == TLVK_SOFTMAX || kind == TLVK_SIGMOID);
}

static void find_moving(splitter *s, bool (*trained)(const tlvk__variable *v, void *user), void *user) {
    for (int i = 0; i < s->flat->call_count; i++) {
        const tlvk__flat_call *c = &s->flat->calls[i];
        bool moving = makes_probabilities(s->flat, c);
        for (int k = 0; k < c->input_count; k++) moving |= s->moving[c->inputs[k]];
        for (int k = 0; k < c->variable_count; k++) moving |= trained(c->variables[k], user);
        bool random = (c->op->flags & TLVK__OP_RANDOM) && c->mode != TLVK_CALL_INFERENCE;
        bool state = (c->op->flags & TLVK__OP_STATE) && c->mode != TLVK_CALL_INFERENCE && c->layer_trainable;
        s->in_suffix[i] = s->moving[c->output] = moving || random || state;
    }
}

static int number_of(splitter *s, tlvk__flat *part, int tensor) {
    if (s->number[tensor] < 0) {
        s->number[tensor] = part->tensor_count;
        part->tensors[part->tensor_count++] = s->flat->tensors[tensor];
    }
    return s->number[tensor];
}

static tlvk_status add_call(splitter *s, tlvk__flat *part, const tlvk__flat_call *from) {
    tlvk__flat_call *c = &part->calls[part->call_count];
    *c = *from;
    c->path = tlvk__strdup(from->path);
    c->inputs = tlvk__calloc((size_t)TLVK__MAX(from->input_count, 1), sizeof *c->inputs);
    part->call_count++;
    if (!c->path || !c->inputs) return tlvk__fail(TLVK_ERROR_MEMORY, "split: no memory");
    for (int k = 0; k < from->input_count; k++) c->inputs[k] = number_of(s, part, from->inputs[k]);
    c->output = number_of(s, part, from->output);
    return TLVK_OK;
}

/* Tensors of the prefix that the rest, or the model's outputs, read. */
static tlvk_status find_frontier(const splitter *s, int frontier[TLVK_MAX_IO], int *count) {
    const tlvk__flat *flat = s->flat;
    bool *taken = tlvk__calloc((size_t)flat->tensor_count + 1, sizeof *taken);
    if (!taken) return tlvk__fail(TLVK_ERROR_MEMORY, "split: no memory");
    *count = 0;
    for (int i = 0; i < flat->call_count; i++) {
        const tlvk__flat_call *c = &flat->calls[i];
        for (int k = 0; s->in_suffix[i] && k < c->input_count; k++) {
            int t = c->inputs[k];
            if (s->moving[t] || taken[t]) continue;
            taken[t] = true;
            if (*count < TLVK_MAX_IO) frontier[*count] = t;
            (*count)++;
        }
    }
    for (int i = 0; i < flat->output_count; i++) {
        int t = flat->outputs[i];
        if (s->moving[t] || taken[t]) continue;
        taken[t] = true;
        if (*count < TLVK_MAX_IO) frontier[*count] = t;
        (*count)++;
    }
    free(taken);
    return TLVK_OK;
}

static tlvk_status allocate_part(const tlvk__flat *flat, tlvk__flat *part) {
    memset(part, 0, sizeof *part);
    part->calls = tlvk__calloc((size_t)flat->call_count + 1, sizeof *part->calls);
    part->tensors = tlvk__calloc((size_t)flat->tensor_count + 1, sizeof *part->tensors);
    return part->calls && part->tensors ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "split: no memory");
}

static tlvk_status make_part(splitter *s, bool suffix, const int *inputs, int input_count, const int *outputs, int output_count, tlvk__flat *part) {
    tlvk_status st = allocate_part(s->flat, part);
    for (int i = 0; i < s->flat->tensor_count; i++) s->number[i] = -1;
    for (int i = 0; !st && i < input_count; i++) part->inputs[part->input_count++] = number_of(s, part, inputs[i]);
    for (int i = 0; !st && i < s->flat->call_count; i++) {
        if (s->in_suffix[i] == suffix) st = add_call(s, part, &s->flat->calls[i]);
    }
    for (int i = 0; !st && i < output_count; i++) part->outputs[part->output_count++] = number_of(s, part, outputs[i]);
    return st;
}

static tlvk_status split(splitter *s, tlvk__flat *prefix, tlvk__flat *suffix, bool *found) {
    int frontier[TLVK_MAX_IO], count = 0;
    tlvk_status st = find_frontier(s, frontier, &count);
    if (st || count == 0 || count > TLVK_MAX_IO) return st;
    bool computed = false;
    for (int i = 0; i < s->flat->call_count; i++) computed |= !s->in_suffix[i];
    if (!computed) return TLVK_OK;
    st = make_part(s, false, s->flat->inputs, s->flat->input_count, frontier, count, prefix);
    if (!st) st = make_part(s, true, frontier, count, s->flat->outputs, s->flat->output_count, suffix);
    *found = !st;
    return st;
}

tlvk_status tlvk__flat_split(const tlvk__flat *flat, bool (*trained)(const tlvk__variable *v, void *user), void *user, tlvk__flat *prefix, tlvk__flat *suffix, bool *found) {
    *found = false;
    memset(prefix, 0, sizeof *prefix);
    memset(suffix, 0, sizeof *suffix);
    size_t tensors = (size_t)flat->tensor_count + 1;
    splitter s = { .flat = flat };
    s.moving = tlvk__calloc(tensors, sizeof *s.moving);
    s.in_suffix = tlvk__calloc((size_t)flat->call_count + 1, sizeof *s.in_suffix);
    s.number = tlvk__calloc(tensors, sizeof *s.number);
    tlvk_status st = s.moving && s.in_suffix && s.number ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "split: no memory");
    if (!st) {
        find_moving(&s, trained, user);
        st = split(&s, prefix, suffix, found);
    }
    free(s.moving);
    free(s.in_suffix);
    free(s.number);
    if (!*found) {
        tlvk__flat_free(prefix);
        tlvk__flat_free(suffix);
    }
    return st;
}
