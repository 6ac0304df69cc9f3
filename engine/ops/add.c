/* add.c - Add: the sum of its inputs. Source: keras/src/layers/merging/add.py. */
#include "ops/merge.h"

#include <math.h>
#include <stdio.h>

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    (void)attrs;
    return tlvk__merge_shape("Add", inputs, x, y);
}

static double flops(const tlvk__op_call *call) {
    return tlvk__elementwise_flops(call) * (call->inputs - 1);
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk_status s = tlvk__record_merge(r, false, call->x[0], call->x[1], call->y, false, call->layer);
    for (int i = 2; !s && i < call->inputs; i++)
        s = tlvk__record_merge(r, false, call->y, call->x[i], call->y, false, call->layer);
    return s;
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk_status s = TLVK_OK;
    for (int i = 0; !s && i < call->inputs; i++)
        if (call->dx[i])
            s = tlvk__record_merge_gradient(r, call->dy, NULL, call->dx[i], call->dx_accumulate[i], call->layer);
    return s;
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    size_t count = tlvk__ref_count(call->y);
    for (size_t i = 0; i < count; i++) {
        double sum = 0, size = 0;
        for (int k = 0; k < call->inputs; k++) {
            double v = call->x[k]->v[tlvk__merge_index(&call->y->shape, &call->x[k]->shape, i)];
            sum += v;
            size += fabs(v);
        }
        call->y->v[i] = sum;
        if (call->y->e)
            call->y->e[i] = (call->inputs - 1) * TLVK__U * size;
    }
    return TLVK_OK;
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    size_t count = tlvk__ref_count(call->dy);
    for (int k = 0; k < call->inputs; k++) {
        tlvk__ref_tensor *dx = call->dx[k];
        if (!dx)
            continue;
        size_t own = tlvk__ref_count(dx);
        double terms = (double)(count / own), spread = terms > 1 ? (4 * sqrt(terms) + 4) * TLVK__U : 0;
        for (size_t i = 0; i < own; i++)
            dx->v[i] = 0;
        for (size_t i = 0; dx->e && i < own; i++)
            dx->e[i] = 0;
        for (size_t i = 0; i < count; i++) {
            size_t at = tlvk__merge_index(&call->dy->shape, &dx->shape, i);
            dx->v[at] += call->dy->v[i];
            if (dx->e)
                dx->e[at] += spread * fabs(call->dy->v[i]);
        }
    }
    return TLVK_OK;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { int inputs; tlvk__shape x[3]; } cases[] = {
        {2, {{4, {2, 3, 4, 6}}, {4, {2, 3, 4, 6}}}},
        {3, {{4, {3, 2, 5, 8}}, {4, {3, 2, 5, 8}}, {4, {3, 2, 5, 8}}}},
        {2, {{4, {2, 3, 4, 6}}, {4, {2, 1, 1, 6}}}},
        {2, {{2, {2, 5}}, {4, {2, 3, 2, 5}}}},
        {2, {{4, {2, 3, 4, 6}}, {4, {2, 3, 4, 1}}}},
        {2, {{4, {2, 3, 1, 5}}, {4, {2, 1, 4, 5}}}},
        {2, {{2, {3, 7}}, {2, {3, 7}}}},
        {2, {{3, {2, 6, 3}}, {3, {2, 6, 3}}}},
        {2, {{4, {2, 3, 2, 1}}, {4, {2, 3, 2, 5}}}},
        {2, {{4, {8, 28, 28, 128}}, {4, {8, 28, 28, 128}}}},
    };
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    char a[64], b[64];
    c->inputs = cases[index].inputs;
    memcpy(c->x, cases[index].x, sizeof cases[index].x);
    c->real_size = index == 9;
    snprintf(c->name, sizeof c->name, "%d inputs %.32s %.32s", c->inputs, tlvk__shape_text(&c->x[0], a, sizeof a), tlvk__shape_text(&c->x[1], b, sizeof b));
    return true;
}

static const tlvk__field fields[] = {{0}};

const tlvk__op tlvk__op_add = {
    .class_name = "Add", .snake_name = "add", .min_inputs = 2, .max_inputs = TLVK__MAX_INPUTS, .fields = fields, .defaults = tlvk__no_defaults, .shape = shape, .flops = flops,
    .forward = forward, .backward = backward, .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
