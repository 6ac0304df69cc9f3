/* global_pooling2d.c - GlobalAveragePooling2D and GlobalMaxPooling2D: mean or maximum over all pixels of an image.
 * Fields: keras/src/layers/pooling/base_global_pooling.py. */
#include "ops/attrs.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdio.h>

static void defaults(void *attrs) {
    *(tlvk__global_pooling2d_attrs *)attrs = (tlvk__global_pooling2d_attrs){0};
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__global_pooling2d_attrs *a = attrs;
    tlvk_status s = tlvk__expect_image("a global pooling layer", inputs, x);
    if (s)
        return s;
    *y = a->keepdims ? (tlvk__shape){4, {x->dim[0], 1, 1, x->dim[3]}} : (tlvk__shape){2, {x->dim[0], x->dim[3]}};
    return TLVK_OK;
}

static double flops(const tlvk__op_call *call) {
    return tlvk__elementwise_flops(call) * (double)(call->x[0] ? call->x[0]->rows : 1);
}

static uint64_t workgroups(const tlvk__tensor *x) {
    return (uint64_t)tlvk__div_up(x->pitch / TLVK__LANES, 8);
}

static tlvk_status record_forward(tlvk__recorder *r, const tlvk__op_call *call, const char *shader) {
    const tlvk__tensor *x = call->x[0];
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = shader, .texel = true, .operation = shader, .layer = call->layer,
        .operands = {{x, TLVK__READ, false}, {call->y, TLVK__WRITE, false}}, .operand_count = 2,
        .n = x->n, .items = workgroups(x), .group_items = 1, .flops = flops(call),
        .words = {(uint32_t)(x->pitch / TLVK__LANES), (uint32_t)x->rows}, .word_count = 2});
}

static tlvk_status max_forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return record_forward(r, call, "global_pooling2d_max");
}
static tlvk_status max_backward(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__tensor *dx = call->dx[0];
    if (!dx)
        return TLVK_OK;
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "global_pooling2d_backward", .operation = "global_pooling2d_backward_max", .layer = call->layer,
        .specs = {{"ACCUMULATE", call->dx_accumulate[0]}},
        .operands = {{call->x[0], TLVK__READ, false}, {call->y, TLVK__READ, false}, {call->dy, TLVK__READ, false},
                     {dx, call->dx_accumulate[0] ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 4,
        .n = dx->n, .items = workgroups(dx), .group_items = 1, .flops = (double)dx->n * (double)tlvk__sample_floats(dx),
        .words = {(uint32_t)(dx->pitch / TLVK__LANES), (uint32_t)dx->rows}, .word_count = 2});
}
static tlvk_status average_forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return record_forward(r, call, "global_pooling2d_average");
}
static tlvk_status average_backward(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__tensor *dx = call->dx[0];
    if (!dx)
        return TLVK_OK;
    tlvk__walk walk = {
        .shader = "global_pooling2d_spread", .texel = true, .operation = "global_pooling2d_backward_average", .layer = call->layer,
        .specs = {{"ACCUMULATE", call->dx_accumulate[0]}},
        .operands = {{call->dy, TLVK__READ, false}, {call->dx_accumulate[0] ? dx : NULL, TLVK__READ, false}, {dx, TLVK__WRITE, false}}, .operand_count = 3,
        .flops = (double)dx->n * (double)tlvk__sample_floats(dx)};
    tlvk__walk_row_blocks(&walk, dx, TLVK__WRITTEN_ROWS);
    return tlvk__record_walk(r, &walk);
}
static unsigned average_halves(const tlvk__caps *caps, const tlvk__op_call *call) {
    (void)caps, (void)call;
    return TLVK__HALF_X;
}
static unsigned max_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)attrs, (void)training, (void)want_dx, (void)want_dw;
    return TLVK__READS_X | TLVK__READS_Y;
}

/* --- reference -------------------------------------------------------------------------------------------------------------------------- */

typedef struct sizes { size_t n, rows, c; } sizes;

static sizes sizes_of(const tlvk__shape *x) {
    return (sizes){(size_t)x->dim[0], (size_t)(x->dim[1] * x->dim[2]), (size_t)x->dim[3]};
}

static tlvk_status average_reference(const tlvk__ref_call *call) {
    sizes s = sizes_of(&call->x[0]->shape);
    for (size_t i = 0; i < s.n * s.c; i++) {
        const double *x = call->x[0]->v + i / s.c * s.rows * s.c + i % s.c;
        double sum = 0, size = 0;
        for (size_t r = 0; r < s.rows; r++) {
            sum += x[r * s.c];
            size += fabs(x[r * s.c]);
        }
        call->y->v[i] = sum / (double)s.rows;
        if (call->y->e)
            call->y->e[i] = (4 * sqrt((double)s.rows) + 6) * TLVK__U * size / (double)s.rows;
    }
    return TLVK_OK;
}

static tlvk_status average_reference_backward(const tlvk__ref_call *call) {
    tlvk__ref_tensor *dx = call->dx[0];
    if (!dx)
        return TLVK_OK;
    sizes s = sizes_of(&dx->shape);
    for (size_t i = 0; i < s.n * s.rows * s.c; i++) {
        dx->v[i] = call->dy->v[i / (s.rows * s.c) * s.c + i % s.c] / (double)s.rows;
        if (dx->e)
            dx->e[i] = 6 * TLVK__U * fabs(dx->v[i]);
    }
    return TLVK_OK;
}

/* The maximum of a channel, and how many pixels have it. */
static double maximum_of(const double *x, sizes s, size_t *ties) {
    double top = x[0];
    *ties = 0;
    for (size_t r = 0; r < s.rows; r++)
        top = fmax(top, x[r * s.c]);
    for (size_t r = 0; r < s.rows; r++)
        *ties += x[r * s.c] == top;
    return top;
}

static tlvk_status max_reference(const tlvk__ref_call *call) {
    sizes s = sizes_of(&call->x[0]->shape);
    for (size_t i = 0; i < s.n * s.c; i++) {
        size_t ties;
        call->y->v[i] = maximum_of(call->x[0]->v + i / s.c * s.rows * s.c + i % s.c, s, &ties);
        if (call->y->e)
            call->y->e[i] = 0;
    }
    return TLVK_OK;
}

static tlvk_status max_reference_backward(const tlvk__ref_call *call) {
    tlvk__ref_tensor *dx = call->dx[0];
    if (!dx)
        return TLVK_OK;
    sizes s = sizes_of(&dx->shape);
    for (size_t i = 0; i < s.n * s.c; i++) {
        size_t first = i / s.c * s.rows * s.c + i % s.c, ties;
        double top = maximum_of(call->x[0]->v + first, s, &ties), share = call->dy->v[i] / (double)ties;
        for (size_t r = 0; r < s.rows; r++) {
            size_t at = first + r * s.c;
            dx->v[at] = call->x[0]->v[at] == top ? share : 0;
            if (dx->e)
                dx->e[at] = 6 * TLVK__U * fabs(dx->v[at]);
        }
    }
    return TLVK_OK;
}

/* --- cases ------------------------------------------------------------------------------------------------------------------------------ */

static bool case_of(int index, bool maximum, tlvk__op_case *c) {
    static const struct { bool keepdims; tlvk__shape x; bool coarse; } cases[] = {
        {false, {4, {3, 3, 5, 6}}, false}, {true, {4, {2, 1, 1, 3}}, false}, {false, {4, {2, 9, 7, 33}}, false}, {false, {4, {2, 8, 8, 5}}, true},
        {true, {4, {5, 17, 1, 40}}, false}, {false, {4, {3, 3, 2, 5}}, false}, {false, {4, {8, 7, 7, 1280}}, false}, {true, {4, {2, 112, 112, 32}}, false},
    };
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    c->infinite = maximum && index == 5;
    memcpy(c->attrs.bytes, &(tlvk__global_pooling2d_attrs){cases[index].keepdims}, sizeof(tlvk__global_pooling2d_attrs));
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->coarse = cases[index].coarse;
    c->distinct = !c->coarse && !c->infinite;
    c->real_size = index >= 6;
    snprintf(c->name, sizeof c->name, "%s%s%s", tlvk__shape_text(&c->x[0], (char[64]){0}, 64), cases[index].keepdims ? " keepdims" : "",
             c->coarse ? " with ties" : c->infinite ? ", most of it -inf" : "");
    return true;
}

static bool average_case(int index, tlvk__op_case *c) { return case_of(index, false, c); }
static bool max_case(int index, tlvk__op_case *c) { return case_of(index, true, c); }

static const tlvk__field fields[] = {
    {.key = "data_format", .type = TLVK__FIELD_MUST, .must = "\"channels_last\""},
    {.key = "keepdims", .type = TLVK__FIELD_BOOL, .offset = offsetof(tlvk__global_pooling2d_attrs, keepdims)},
    {0},
};

const tlvk__op tlvk__op_global_average_pooling2d = {
    .class_name = "GlobalAveragePooling2D", .snake_name = "global_average_pooling2d", .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__global_pooling2d_attrs), .fields = fields, .defaults = defaults, .shape = shape, .flops = flops,
    .halves = average_halves, .forward = average_forward, .backward = average_backward,
    .reference_forward = average_reference, .reference_backward = average_reference_backward, .test_case = average_case,
};

const tlvk__op tlvk__op_global_max_pooling2d = {
    .class_name = "GlobalMaxPooling2D", .snake_name = "global_max_pooling2d", .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__global_pooling2d_attrs), .fields = fields, .defaults = defaults, .shape = shape, .flops = flops,
    .backward_reads = max_reads, .forward = max_forward, .backward = max_backward,
    .reference_forward = max_reference, .reference_backward = max_reference_backward, .test_case = max_case,
};
