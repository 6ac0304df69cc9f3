/* variable.c - a layer's parameters on the host. Hides: that random values are drawn only when somebody first wants them. */
#include "graph/internal.h"

#include <stdlib.h>
#include <string.h>

tlvk_status tlvk__variable_create(tlvk_context *ctx, const tlvk__variable_spec *spec, tlvk__variable **out) {
    *out = NULL;
    char text[128];
    int64_t elements;
    size_t bytes;
    if (!tlvk__shape_elements(&spec->shape, &elements) || !tlvk__mul_size((size_t)elements, sizeof(float), &bytes) || bytes > INT64_MAX)
        return tlvk__fail(TLVK_ERROR_MEMORY, "its %s of shape %s has more values than can be counted", spec->name,
                          tlvk__shape_text(&spec->shape, text, sizeof text));
    tlvk__variable *v = tlvk__calloc(1, sizeof *v);
    char *name = tlvk__strdup(spec->name);
    if (!v || !name) {
        free(v);
        free(name);
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for its %s", spec->name);
    }
    v->references = 1;
    v->id = tlvk__context_next_id(ctx);
    v->name = name;
    v->spec = *spec;
    v->spec.name = name;
    v->elements = (size_t)elements;
    v->seed = tlvk__context_seed(ctx);
    v->stream = tlvk__context_next_stream(ctx);
    *out = v;
    return TLVK_OK;
}

static tlvk_status allocate(tlvk__variable *v) {
    if (v->values)
        return TLVK_OK;
    char text[128];
    v->values = malloc(v->elements ? v->elements * sizeof(float) : 1);
    if (!v->values)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a %s of shape %s (%zu values)", v->name,
                          tlvk__shape_text(&v->spec.shape, text, sizeof text), v->elements);
    return TLVK_OK;
}

tlvk_status tlvk__variable_values(tlvk__variable *v, const float **values) {
    if (!v->values) {
        tlvk_status st = allocate(v);
        if (st)
            return st;
        tlvk__initialize(&v->spec, v->elements, v->seed, v->stream, v->values);
    }
    *values = v->values;
    return TLVK_OK;
}

tlvk_status tlvk__variable_set(tlvk__variable *v, const float *values) {
    tlvk_status st = allocate(v);
    if (st)
        return st;
    memcpy(v->values, values, v->elements * sizeof(float));
    v->version++;
    return TLVK_OK;
}

tlvk__variable *tlvk__variable_retain(tlvk__variable *v) {
    v->references++;
    return v;
}

void tlvk__variable_release(tlvk__variable *v) {
    if (!v || --v->references > 0)
        return;
    free(v->name);
    free(v->values);
    free(v);
}
