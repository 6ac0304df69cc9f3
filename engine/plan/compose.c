/* compose.c - two graphs one behind the other as a graph of its own: picture layers in front of a model. */
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

/* Copies the calls of `from`, whose tensor t becomes number[t] of `out`. */
static tlvk_status add_calls(tlvk__flat *out, const tlvk__flat *from, const int *number, bool in_front) {
    for (int i = 0; i < from->call_count; i++) {
        const tlvk__flat_call *f = &from->calls[i];
        tlvk__flat_call *c = &out->calls[out->call_count];
        *c = *f;
        c->path = tlvk__strdup(f->path);
        c->inputs = tlvk__calloc((size_t)TLVK__MAX(f->input_count, 1), sizeof *c->inputs);
        out->call_count++;
        if (!c->path || !c->inputs) return tlvk__fail(TLVK_ERROR_MEMORY, "compose: no memory");
        for (int k = 0; k < f->input_count; k++) c->inputs[k] = number[f->inputs[k]];
        c->output = number[f->output];
        if (!in_front) continue;
        c->in_front = true;
        c->layer_trainable = false;
        memset(c->trainable, 0, sizeof c->trainable);
    }
    return TLVK_OK;
}

tlvk_status tlvk__flat_compose(const tlvk__flat *front, const tlvk__flat *behind, tlvk__flat *out) {
    size_t calls = (size_t)front->call_count + (size_t)behind->call_count, tensors = (size_t)front->tensor_count + (size_t)behind->tensor_count;
    memset(out, 0, sizeof *out);
    out->calls = tlvk__calloc(calls + 1, sizeof *out->calls);
    out->tensors = tlvk__calloc(tensors + 1, sizeof *out->tensors);
    int *number = tlvk__calloc(tensors + 1, sizeof *number);
    tlvk_status st = out->calls && out->tensors && number ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "compose: no memory");
    if (!st) {
        memcpy(out->tensors, front->tensors, (size_t)front->tensor_count * sizeof *out->tensors);
        out->tensor_count = front->tensor_count;
        for (int i = 0; i < front->tensor_count; i++) number[i] = i;
        st = add_calls(out, front, number, true);
    }
    if (!st) {
        for (int i = 0; i < behind->tensor_count; i++) {
            if (i == behind->inputs[0]) number[i] = front->outputs[0];
            else out->tensors[number[i] = out->tensor_count++] = behind->tensors[i];
        }
        st = add_calls(out, behind, number, false);
        out->input_count = 1;
        out->inputs[0] = front->inputs[0];
        for (int i = 0; i < behind->output_count; i++) out->outputs[out->output_count++] = number[behind->outputs[i]];
    }
    free(number);
    if (st) tlvk__flat_free(out);
    return st;
}
