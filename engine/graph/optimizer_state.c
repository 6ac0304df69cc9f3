/* optimizer_state.c - what an optimizer remembers, kept on the host between a file and a device. Hides nothing but its memory. */
#include "graph/graph.h"

#include <stdlib.h>

tlvk__optimizer_state *tlvk__optimizer_state_create(tlvk__variable *const *variables, int count, int slots) {
    tlvk__optimizer_state *s = tlvk__calloc(1, sizeof *s);
    size_t arrays = (size_t)count * (size_t)slots;
    bool ok = s != NULL;
    if (ok) {
        s->variables = tlvk__calloc((size_t)count + 1, sizeof *s->variables);
        s->values = tlvk__calloc(arrays + 1, sizeof *s->values);
        ok = s->variables && s->values;
    }
    for (int i = 0; ok && i < count; i++) {
        s->variables[i] = tlvk__variable_retain(variables[i]);
        s->count = i + 1;
    }
    if (ok)
        s->slots = slots;
    for (size_t i = 0; ok && i < arrays; i++) {
        s->values[i] = tlvk__calloc(variables[i / (size_t)slots]->elements + 1, sizeof **s->values);
        ok = s->values[i] != NULL;
    }
    if (ok)
        return s;
    tlvk__optimizer_state_destroy(s);
    tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the optimizer's state of %d variables", count);
    return NULL;
}

void tlvk__optimizer_state_destroy(tlvk__optimizer_state *s) {
    if (!s)
        return;
    for (int i = 0; i < s->count; i++)
        tlvk__variable_release(s->variables[i]);
    for (int i = 0; s->values && i < s->count * s->slots; i++)
        free(s->values[i]);
    free(s->variables);
    free(s->values);
    free(s);
}

float *const *tlvk__optimizer_state_of(const tlvk__optimizer_state *s, const tlvk__variable *v) {
    for (int i = 0; s && i < s->count; i++)
        if (s->variables[i] == v)
            return s->values + (size_t)i * (size_t)s->slots;
    return NULL;
}
