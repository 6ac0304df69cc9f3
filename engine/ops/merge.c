/* merge.c - elementwise sums, products, maxima of operands that are broadcast, and their gradients. */
#include "ops/merge.h"
#include "ops/activation.h"

#include <math.h>
#include <stdio.h>

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

void tlvk__merge_strides(const tlvk__tensor *t, const tlvk__tensor *y, uint32_t out[4]) {
    uint32_t columns = (uint32_t)(t->pitch / TLVK__LANES);
    out[0] = (uint32_t)tlvk__sample_vec4s(t);
    out[1] = t->h == 1 && y->h > 1 ? 0 : (uint32_t)t->w * columns;
    out[2] = t->w == 1 && y->w > 1 ? 0 : columns;
    out[3] = t->c == 1 && y->c > 1 ? 0 : 1;
}

/* t has one number for each sample and channel of y, which has several rows. */
static bool per_channel(const tlvk__tensor *t, const tlvk__tensor *y) {
    return t->rows == 1 && y->rows > 1 && t->c == y->c && t->n == y->n;
}

static const char *const kind_names[] = {"add", "multiply", "subtract", "maximum", "minimum", "merge_first"};

static tlvk_status record_channels(tlvk__recorder *r, tlvk__merge_kind kind, float factor, const tlvk__tensor *a, const tlvk__tensor *b, const tlvk__tensor *out,
                                   bool accumulate, const tlvk__activation *act, const char *layer) {
    tlvk__walk walk = {
        .shader = "merge_channels", .texel = true, .operation = kind_names[kind], .layer = layer,
        .specs = {{"KIND", (uint32_t)kind}, {"ACCUMULATE", accumulate}, {"MASK", act->kind != TLVK_LINEAR && out->c % TLVK__LANES != 0},
                  {"ACTIVATION", (uint32_t)act->kind}},
        .operands = {{a, TLVK__READ, false}, {b, TLVK__READ, false}, {out, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 3,
        .flops = (double)out->n * (double)tlvk__sample_floats(out)};
    tlvk__walk_row_blocks(&walk, out, TLVK__WRITTEN_ROWS);
    const uint32_t more[] = {(uint32_t)out->c, tlvk__float_bits(factor), tlvk__float_bits(act->alpha), tlvk__float_bits(act->max_value), tlvk__float_bits(act->threshold)};
    memcpy(walk.words + walk.word_count, more, sizeof more);
    walk.word_count += (int)TLVK__COUNT(more);
    return tlvk__record_walk(r, &walk);
}

static tlvk_status record(tlvk__recorder *r, tlvk__merge_kind kind, float factor, const tlvk__tensor *a, const tlvk__tensor *b, const tlvk__tensor *out,
                          bool accumulate, const tlvk__activation *act, const char *layer) {
    bool either = kind == TLVK__MERGE_ADD || kind == TLVK__MERGE_MULTIPLY;
    if (same_size(a, out) && per_channel(b, out))
        return record_channels(r, kind, factor, a, b, out, accumulate, act, layer);
    if (either && same_size(b, out) && per_channel(a, out))
        return record_channels(r, kind, factor, b, a, out, accumulate, act, layer);
    tlvk__walk walk = {
        .shader = "merge", .texel = true, .operation = kind_names[kind], .layer = layer,
        .specs = {{"KIND", (uint32_t)kind}, {"ACCUMULATE", accumulate}, {"ACTIVATION", (uint32_t)act->kind},
                  {"BROADCAST", !same_size(a, out) || !same_size(b, out) || (act->kind != TLVK_LINEAR && out->c % TLVK__LANES != 0)}},
        .operands = {{a, TLVK__READ, false}, {b, TLVK__READ, false}, {out, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 3,
        .n = out->n, .items = tlvk__sample_vec4s(out), .flops = (double)out->n * (double)tlvk__sample_floats(out),
        .words = {(uint32_t)(out->pitch / TLVK__LANES), (uint32_t)out->w, (uint32_t)out->h, (uint32_t)out->c}, .word_count = 16};
    tlvk__merge_strides(a, out, walk.words + 4);
    tlvk__merge_strides(b, out, walk.words + 8);
    const float numbers[] = {factor, act->alpha, act->max_value, act->threshold};
    for (int i = 0; i < 4; i++)
        walk.words[12 + i] = tlvk__float_bits(numbers[i]);
    return tlvk__record_walk(r, &walk);
}

unsigned tlvk__merge_halves(const tlvk__caps *caps, const tlvk__op_call *call) {
    (void)caps;
    bool plain = call->inputs == 2;
    for (int i = 0; plain && i < 2; i++)
        plain = same_size(call->x[i], call->y) || per_channel(call->x[i], call->y);
    return plain ? TLVK__HALF_X | TLVK__HALF_Y : 0;
}

tlvk_status tlvk__record_merge(tlvk__recorder *r, tlvk__merge_kind kind, float factor, const tlvk__tensor *a, const tlvk__tensor *b, const tlvk__tensor *out,
                               bool accumulate, const char *layer) {
    tlvk__activation linear = tlvk__activation_of(TLVK_LINEAR);
    return record(r, kind, factor, a, b, out, accumulate, &linear, layer);
}

tlvk_status tlvk__record_merge_all(tlvk__recorder *r, tlvk__merge_kind kind, const tlvk__op_call *call) {
    tlvk__activation linear = tlvk__activation_of(TLVK_LINEAR);
    tlvk_status s = TLVK_OK;
    for (int i = 1; !s && i < call->inputs; i++)
        s = record(r, kind, 1, i == 1 ? call->x[0] : call->y, call->x[i], call->y, false, i == call->inputs - 1 ? &call->epilogue.activation : &linear, call->layer);
    return s;
}

tlvk_status tlvk__record_add(tlvk__recorder *r, const tlvk__tensor *a, const tlvk__tensor *b, const tlvk__tensor *sum, const char *layer) {
    return tlvk__record_merge(r, TLVK__MERGE_ADD, 1, a, b, sum, false, layer);
}

tlvk_status tlvk__record_merge_gradient(tlvk__recorder *r, float factor, const tlvk__tensor *dy, const tlvk__tensor *other, const tlvk__tensor *dx,
                                        bool accumulate, const char *layer) {
    tlvk__activation linear = tlvk__activation_of(TLVK_LINEAR);
    if (same_size(dx, dy) && !other && factor == 1)
        return tlvk__record_activation_slope(r, &linear, NULL, false, dy, NULL, dx, accumulate, layer);
    if (same_size(dx, dy))
        return tlvk__record_merge(r, other ? TLVK__MERGE_MULTIPLY : TLVK__MERGE_FIRST, factor, dy, other ? other : dy, dx, accumulate, layer);
    if (per_channel(dx, dy) && (!other || same_size(other, dy)))
        return tlvk__record_walk(r, &(tlvk__walk){
            .shader = "merge_channel_sums", .texel = true, .operation = "merge_reduce", .layer = layer,
            .specs = {{"ACCUMULATE", accumulate}, {"MULTIPLY", other != NULL}},
            .operands = {{dy, TLVK__READ, false}, {other, TLVK__READ, false}, {dx, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 3,
            .n = dx->n, .items = (uint64_t)tlvk__div_up(dx->pitch / TLVK__LANES, 8), .group_items = 1,
            .flops = 2.0 * (double)dy->n * (double)tlvk__sample_floats(dy),
            .words = {(uint32_t)(dx->pitch / TLVK__LANES), (uint32_t)dy->rows, tlvk__float_bits(factor)}, .word_count = 3});
    tlvk__walk walk = {
        .shader = "merge_reduce", .operation = "merge_reduce", .layer = layer,
        .specs = {{"ACCUMULATE", accumulate}, {"MULTIPLY", other != NULL}},
        .operands = {{dy, TLVK__READ, false}, {other, TLVK__READ, false}, {dx, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 3,
        .n = dx->n, .items = tlvk__sample_vec4s(dx), .group_items = 1, .flops = 2.0 * (double)dy->n * (double)tlvk__sample_floats(dy),
        .words = {(uint32_t)(dx->pitch / TLVK__LANES), (uint32_t)dx->w, (uint32_t)dx->h, (uint32_t)(dy->pitch / TLVK__LANES), (uint32_t)dy->w,
                  (uint32_t)dy->h, dx->c == 1 && dy->c > 1}, .word_count = 12};
    if (other)
        tlvk__merge_strides(other, dy, walk.words + 7);
    walk.words[11] = tlvk__float_bits(factor);
    return tlvk__record_walk(r, &walk);
}

tlvk__tensor tlvk__merge_room(const tlvk__span *span, const tlvk__tensor *y) {
    tlvk__tensor room = *y;
    room.half = false;
    room.segment_n = y->n;
    room.segment_count = 1;
    room.segments = span;
    return room;
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

tlvk_status tlvk__merge_sum_reference_forward(const tlvk__ref_call *call, double first, double others) {
    size_t count = tlvk__ref_count(call->y);
    for (size_t i = 0; i < count; i++) {
        double sum = 0, size = 0;
        for (int k = 0; k < call->inputs; k++) {
            double v = call->x[k]->v[tlvk__merge_index(&call->y->shape, &call->x[k]->shape, i)] * (k ? others : first);
            sum += v;
            size += fabs(v);
        }
        call->y->v[i] = sum;
        if (call->y->e)
            call->y->e[i] = (call->inputs - 1 + (fabs(others) != 1 ? 2 : 0)) * TLVK__U * size;
    }
    return TLVK_OK;
}

tlvk_status tlvk__merge_sum_reference_backward(const tlvk__ref_call *call, double first, double others) {
    size_t count = tlvk__ref_count(call->dy);
    for (int k = 0; k < call->inputs; k++) {
        tlvk__ref_tensor *dx = call->dx[k];
        if (!dx)
            continue;
        size_t own = tlvk__ref_count(dx);
        double factor = k ? others : first, terms = (double)(count / own);
        double spread = ((terms > 1 ? 4 * sqrt(terms) + 4 : 0) + (fabs(factor) != 1 ? 2 : 0)) * TLVK__U;
        for (size_t i = 0; i < own; i++)
            dx->v[i] = 0;
        for (size_t i = 0; dx->e && i < own; i++)
            dx->e[i] = 0;
        for (size_t i = 0; i < count; i++) {
            size_t at = tlvk__merge_index(&call->dy->shape, &dx->shape, i);
            double term = factor * call->dy->v[i];
            dx->v[at] += term;
            if (dx->e)
                dx->e[at] += spread * fabs(term);
        }
    }
    return TLVK_OK;
}

bool tlvk__merge_test_case(int index, bool several, tlvk__op_case *c) {
    static const struct { int inputs; tlvk__shape x[3]; } cases[] = {
        {2, {{4, {2, 3, 4, 6}}, {4, {2, 3, 4, 6}}}},
        {2, {{4, {3, 5, 4, 7}}, {4, {3, 1, 1, 7}}}},
        {2, {{4, {3, 1, 1, 7}}, {4, {3, 5, 4, 7}}}},
        {2, {{2, {2, 5}}, {4, {2, 3, 2, 5}}}},
        {2, {{4, {2, 3, 4, 6}}, {4, {2, 3, 4, 1}}}},
        {2, {{4, {2, 3, 2, 1}}, {4, {2, 3, 2, 5}}}},
        {2, {{4, {2, 3, 1, 5}}, {4, {2, 1, 4, 5}}}},
        {2, {{2, {3, 7}}, {2, {3, 7}}}},
        {2, {{3, {2, 6, 3}}, {3, {2, 6, 3}}}},
        {3, {{4, {3, 2, 5, 8}}, {4, {3, 2, 5, 8}}, {4, {3, 2, 5, 8}}}},
        {3, {{4, {2, 3, 4, 5}}, {4, {2, 1, 1, 5}}, {4, {2, 3, 4, 1}}}},
        {3, {{4, {2, 1, 1, 5}}, {4, {2, 1, 4, 1}}, {4, {2, 3, 4, 5}}}},
    };
    if (index >= (int)TLVK__COUNT(cases) || (cases[index].inputs > 2 && !several))
        return false;
    char a[64], b[64];
    static const tlvk_activation_kind behind[] = {TLVK_LINEAR, TLVK_RELU, TLVK_LINEAR, TLVK_SIGMOID, TLVK_LINEAR};
    c->epilogue = tlvk__activation_of(behind[index % (int)TLVK__COUNT(behind)]);
    c->inputs = cases[index].inputs;
    memcpy(c->x, cases[index].x, sizeof cases[index].x);
    snprintf(c->name, sizeof c->name, "%d inputs %.32s %.32s", c->inputs, tlvk__shape_text(&c->x[0], a, sizeof a), tlvk__shape_text(&c->x[1], b, sizeof b));
    return true;
}
