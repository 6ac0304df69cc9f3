/* merge.c - elementwise sums and products with operands that are broadcast, and their gradients. */
#include "ops/merge.h"
#include "ops/activation.h"

/* --- shapes ----------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status mismatch(const char *class_name, const tlvk__shape *a, const tlvk__shape *b) {
    char left[128], right[128];
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s of shapes %s and %s: each axis must be equal, or 1 in one of them", class_name,
                      tlvk__shape_text(a, left, sizeof left), tlvk__shape_text(b, right, sizeof right));
}

/* Joins b into *y; an unknown size against another is that other, as long as the other is not 1. */
static tlvk_status join(const char *class_name, const tlvk__shape *b, tlvk__shape *y) {
    const tlvk__shape *small = b->rank < y->rank ? b : y, *large = b->rank < y->rank ? y : b;
    tlvk__shape grown = *large;
    if (small->rank != large->rank) {
        if (small->rank != 2)
            return mismatch(class_name, y, b);
        for (int i = 1; i < grown.rank - 1; i++)
            grown.dim[i] = 1;
        grown.dim[0] = small->dim[0];
        grown.dim[grown.rank - 1] = small->dim[1];
    } else {
        grown = *small;
    }
    bool equal = true;
    tlvk__shape out = *large;
    for (int i = 0; i < out.rank; i++) {
        int64_t p = large->dim[i], q = grown.dim[i];
        if (p >= 0 && q >= 0 && p != q && ((p != 1 && q != 1) || i == 0))
            return mismatch(class_name, y, b);
        out.dim[i] = p == 1 && i > 0 ? q : q == 1 && i > 0 ? p : p < 0 ? q : p;
        equal = equal && p == q;
    }
    if (!equal && out.rank > 4)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s of inputs with %d axes that differ in size: only up to 4 axes can", class_name, out.rank);
    *y = out;
    return TLVK_OK;
}

tlvk_status tlvk__merge_shape(const char *class_name, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    if (inputs < 2 || inputs > TLVK__MAX_INPUTS)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s takes 2 to %d inputs, here it has %d", class_name, TLVK__MAX_INPUTS, inputs);
    *y = x[0];
    for (int i = 1; i < inputs; i++) {
        tlvk_status s = join(class_name, &x[i], y);
        if (s)
            return s;
    }
    return TLVK_OK;
}

/* --- recording -------------------------------------------------------------------------------------------------------------------------- */

static bool same_size(const tlvk__tensor *a, const tlvk__tensor *b) {
    return a->h == b->h && a->w == b->w && a->c == b->c;
}

/* Strides of t's sample, row, pixel and column, in vec4 units, as seen from a tensor of y's size. */
static void strides_of(const tlvk__tensor *t, const tlvk__tensor *y, uint32_t out[4]) {
    uint32_t columns = (uint32_t)(t->pitch / TLVK__LANES);
    out[0] = (uint32_t)tlvk__sample_vec4s(t);
    out[1] = t->h == 1 && y->h > 1 ? 0 : (uint32_t)t->w * columns;
    out[2] = t->w == 1 && y->w > 1 ? 0 : columns;
    out[3] = t->c == 1 && y->c > 1 ? 0 : 1;
}

tlvk_status tlvk__record_merge(tlvk__recorder *r, bool multiply, const tlvk__tensor *a, const tlvk__tensor *b, const tlvk__tensor *out, bool accumulate,
                               const char *layer) {
    tlvk__walk walk = {
        .shader = "merge", .operation = multiply ? "multiply" : "add", .layer = layer,
        .specs = {{"MULTIPLY", multiply}, {"ACCUMULATE", accumulate}, {"BROADCAST", !same_size(a, out) || !same_size(b, out)}},
        .operands = {{a, TLVK__READ, false}, {b, TLVK__READ, false}, {out, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 3,
        .n = out->n, .items = tlvk__sample_vec4s(out), .flops = (double)out->n * (double)tlvk__sample_floats(out),
        .words = {(uint32_t)(out->pitch / TLVK__LANES), (uint32_t)out->w, (uint32_t)out->h, (uint32_t)out->c}, .word_count = 12};
    strides_of(a, out, walk.words + 4);
    strides_of(b, out, walk.words + 8);
    return tlvk__record_walk(r, &walk);
}

tlvk_status tlvk__record_add(tlvk__recorder *r, const tlvk__tensor *a, const tlvk__tensor *b, const tlvk__tensor *sum, const char *layer) {
    return tlvk__record_merge(r, false, a, b, sum, false, layer);
}

tlvk_status tlvk__record_merge_gradient(tlvk__recorder *r, const tlvk__tensor *dy, const tlvk__tensor *other, const tlvk__tensor *dx, bool accumulate,
                                        const char *layer) {
    tlvk__activation linear = tlvk__activation_of(TLVK_LINEAR);
    if (same_size(dx, dy))
        return other ? tlvk__record_merge(r, true, dy, other, dx, accumulate, layer)
                     : tlvk__record_activation_slope(r, &linear, NULL, false, dy, NULL, dx, accumulate, layer);
    tlvk__walk walk = {
        .shader = "merge_reduce", .operation = "merge_reduce", .layer = layer,
        .specs = {{"ACCUMULATE", accumulate}, {"MULTIPLY", other != NULL}},
        .operands = {{dy, TLVK__READ, false}, {other, TLVK__READ, false}, {dx, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 3,
        .n = dx->n, .items = tlvk__sample_vec4s(dx), .group_items = 1, .flops = 2.0 * (double)dy->n * (double)tlvk__sample_floats(dy),
        .words = {(uint32_t)(dx->pitch / TLVK__LANES), (uint32_t)dx->w, (uint32_t)dx->h, (uint32_t)(dy->pitch / TLVK__LANES), (uint32_t)dy->w,
                  (uint32_t)dy->h, dx->c == 1 && dy->c > 1}, .word_count = 11};
    if (other)
        strides_of(other, dy, walk.words + 7);
    return tlvk__record_walk(r, &walk);
}

/* --- reference -------------------------------------------------------------------------------------------------------------------------- */

size_t tlvk__merge_index(const tlvk__shape *y, const tlvk__shape *x, size_t i) {
    int64_t rest = (int64_t)i, index = 0, stride = 1;
    for (int d = y->rank - 1; d >= 0; d--) {
        int64_t at = rest % y->dim[d];
        rest /= y->dim[d];
        /* Axis of x that stands for axis d of y; a vector has only the first and the last. */
        int axis = x->rank == y->rank ? d : d == y->rank - 1 ? 1 : d == 0 ? 0 : -1;
        if (axis < 0)
            continue;
        if (x->dim[axis] > 1)
            index += at * stride;
        stride *= x->dim[axis];
    }
    return (size_t)index;
}
