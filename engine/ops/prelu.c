/* prelu.c - PReLU: x where it is positive, a trained alpha times x where it is not; alpha may be shared along axes.
 * Source: keras/src/layers/activations/prelu.py (He et al., "Delving deep into rectifiers", 2015). */
#include "ops/convolution.h"

#include <math.h>
#include <stdio.h>

static void defaults(void *attrs) {
    *(tlvk__prelu_attrs *)attrs = (tlvk__prelu_attrs){.alpha_initializer = {.kind = TLVK_ZEROS}};
}

static bool shares(const tlvk__prelu_attrs *a, int axis) {
    for (int i = 0; i < a->shared_axes.rank; i++)
        if (a->shared_axes.dim[i] == axis)
            return true;
    return false;
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__prelu_attrs *a = attrs;
    char text[128];
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "PReLU takes one input, here it has %d", inputs);
    tlvk__shape_text(x, text, sizeof text);
    if (x->rank < 2 || x->rank > 4)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "PReLU of %s: inputs of 2 to 4 axes are supported", text);
    for (int i = 0; i < a->shared_axes.rank; i++)
        if (a->shared_axes.dim[i] < 1 || a->shared_axes.dim[i] >= x->rank)
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "PReLU of %s with shared axis %lld: axes 1 to %d can be shared", text, (long long)a->shared_axes.dim[i], x->rank - 1);
    for (int i = 1; i < x->rank; i++)
        if (x->dim[i] < 1 && !shares(a, i))
            return tlvk__fail(TLVK_ERROR_ARGUMENT, "PReLU of %s: axis %d is open, so that alpha must share it (shared_axes)", text, i);
    *y = *x;
    return TLVK_OK;
}

static int variables(const void *attrs, int inputs, const tlvk__shape *x, tlvk__variable_spec *specs) {
    const tlvk__prelu_attrs *a = attrs;
    (void)inputs;
    tlvk__shape alpha = {.rank = x->rank - 1};
    for (int i = 1; i < x->rank; i++)
        alpha.dim[i - 1] = shares(a, i) ? 1 : x->dim[i];
    specs[0] = tlvk__weights_spec("alpha", alpha, alpha.rank == 1 ? TLVK__LAYOUT_VECTOR : TLVK__LAYOUT_MATRIX, &a->alpha_initializer, TLVK_ZEROS,
                                  &a->alpha_regularizer);
    return 1;
}

static unsigned backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)attrs, (void)training, (void)want_dx, (void)want_dw;
    return TLVK__READS_X;
}

/* --- recording -------------------------------------------------------------------------------------------------------------------------- */

/* alpha as (h, w, c) beside x, whose rows lie `pitch` (TLVK__LAYOUT_MATRIX pads them) to each h. */
typedef struct alpha_sizes { int64_t h, w, c, pitch, columns; } alpha_sizes;

static alpha_sizes sizes_of(const tlvk__op_call *call) {
    const tlvk__prelu_attrs *a = call->attrs;
    const tlvk__tensor *x = call->x[0], *alpha = call->w[0];
    int rank = x->shape.rank;
    alpha_sizes s = {.h = rank > 2 && !shares(a, 1) ? x->h : 1, .w = rank == 4 && !shares(a, 2) ? x->w : 1, .c = shares(a, rank - 1) ? 1 : x->c};
    s.pitch = rank == 4 ? tlvk__pitch(s.w) : 1;
    s.columns = alpha->pitch / TLVK__LANES;
    return s;
}

static tlvk__walk walk_of(const tlvk__op_call *call, const char *shader) {
    const tlvk__tensor *x = call->x[0];
    alpha_sizes s = sizes_of(call);
    return (tlvk__walk){
        .shader = shader, .operation = shader, .layer = call->layer, .operands = {{x, TLVK__READ, false}, {call->w[0], TLVK__READ, true}}, .n = x->n,
        .items = tlvk__sample_vec4s(x), .flops = 2 * tlvk__elementwise_flops(call),
        .words = {(uint32_t)(x->pitch / TLVK__LANES), (uint32_t)x->w, (uint32_t)x->h, (uint32_t)(s.h > 1 ? s.pitch * s.columns : 0),
                  (uint32_t)(s.w > 1 ? s.columns : 0), s.c > 1 || x->c == 1}, .word_count = 6};
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk__walk walk = walk_of(call, "prelu_forward");
    walk.operands[2] = (tlvk__operand){call->y, TLVK__WRITE, false};
    walk.operand_count = 3;
    return tlvk__record_walk(r, &walk);
}

static tlvk_status backward_alpha(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *x = call->x[0], *walked[] = {x, call->dy}, *to = call->dw[0];
    alpha_sizes s = sizes_of(call);
    bool accumulate = call->dw_accumulate[0];
    tlvk__piece p = {0, 0};
    for (bool more = true;;) {
        tlvk_status status = tlvk__next_piece(caps, walked, 2, x->n, &p, &more);
        if (status || !more)
            return status;
        struct { uint32_t base[3], items, n, h, w, columns, a_h, a_w, a_pitch, a_columns, one_channel; } push = {
            .items = (uint32_t)(to->n * s.columns), .n = (uint32_t)(p.n1 - p.n0), .h = (uint32_t)x->h, .w = (uint32_t)x->w,
            .columns = (uint32_t)(x->pitch / TLVK__LANES), .a_h = (uint32_t)s.h, .a_w = (uint32_t)s.w, .a_pitch = (uint32_t)s.pitch,
            .a_columns = (uint32_t)s.columns, .one_channel = s.c == 1 && x->c > 1};
        tlvk__dispatch d = {.shader = "prelu_alpha", .specs = {{"ACCUMULATE", accumulate}}, .binding_count = 3, .push = &push, .push_bytes = sizeof push,
                            .groups = {(uint64_t)(to->n * s.columns)}, .flops = 3.0 * (double)(p.n1 - p.n0) * (double)tlvk__sample_floats(x),
                            .bytes = 8.0 * (double)(p.n1 - p.n0) * (double)tlvk__sample_floats(x), .operation = "prelu_backward_alpha", .layer = call->layer};
        d.bindings[0] = tlvk__tensor_window(caps, x, p.n0, p.n1, TLVK__READ, &push.base[0]);
        d.bindings[1] = tlvk__tensor_window(caps, call->dy, p.n0, p.n1, TLVK__READ, &push.base[1]);
        d.bindings[2] = tlvk__tensor_window(caps, to, 0, to->n, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, &push.base[2]);
        status = tlvk__record_dispatch(r, &d);
        if (status)
            return status;
        accumulate = true;
    }
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk_status s = call->dw[0] ? backward_alpha(r, call) : TLVK_OK;
    if (s || !call->dx[0])
        return s;
    tlvk__walk walk = walk_of(call, "prelu_backward");
    walk.specs[0] = (tlvk__spec){"ACCUMULATE", call->dx_accumulate[0]};
    walk.operands[2] = (tlvk__operand){call->dy, TLVK__READ, false};
    walk.operands[3] = (tlvk__operand){call->dx[0], call->dx_accumulate[0] ? TLVK__READ_WRITE : TLVK__WRITE, false};
    walk.operand_count = 4;
    return tlvk__record_walk(r, &walk);
}

/* --- reference -------------------------------------------------------------------------------------------------------------------------- */

/* Which element of alpha goes with element i of x. */
static size_t alpha_index(const tlvk__shape *x, const tlvk__shape *alpha, size_t i) {
    size_t rest = i, at = 0, stride = 1;
    for (int d = alpha->rank - 1; d >= 0; d--) {
        size_t size = (size_t)x->dim[d + 1];
        if (alpha->dim[d] > 1)
            at += rest % size * stride;
        rest /= size;
        stride *= (size_t)alpha->dim[d];
    }
    return at;
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    const tlvk__ref_tensor *x = call->x[0], *alpha = call->w[0];
    size_t count = tlvk__ref_count(x);
    for (size_t i = 0; i < count; i++) {
        double v = x->v[i];
        call->y->v[i] = v > 0 ? v : alpha->v[alpha_index(&x->shape, &alpha->shape, i)] * v;
        if (call->y->e)
            call->y->e[i] = v > 0 ? 0 : TLVK__U * fabs(call->y->v[i]);
    }
    return TLVK_OK;
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    const tlvk__ref_tensor *x = call->x[0], *alpha = call->w[0];
    tlvk__ref_tensor *dx = call->dx[0], *dalpha = call->dw[0];
    size_t count = tlvk__ref_count(x), own = tlvk__ref_count(alpha);
    for (size_t i = 0; dalpha && i < own; i++)
        dalpha->v[i] = 0;
    for (size_t i = 0; dalpha && dalpha->e && i < own; i++)
        dalpha->e[i] = 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = alpha_index(&x->shape, &alpha->shape, i);
        double v = x->v[i], dy = call->dy->v[i], below = v < 0 ? v : 0;
        if (dx)
            dx->v[i] = dy * (v > 0 ? 1 : v < 0 ? alpha->v[at] : 0);
        if (dx && dx->e)
            dx->e[i] = v < 0 ? TLVK__U * fabs(dx->v[i]) : 0;
        if (dalpha)
            dalpha->v[at] += dy * below;
        if (dalpha && dalpha->e)
            dalpha->e[at] += fabs(dy * below);
    }
    for (size_t i = 0; dalpha && dalpha->e && i < own; i++)
        dalpha->e[i] = tlvk__dot_bound((double)(count / own), dalpha->e[i]);
    return TLVK_OK;
}

/* --- cases ------------------------------------------------------------------------------------------------------------------------------ */

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { tlvk__shape x, shared; bool coarse, real; } cases[] = {
        {{4, {2, 3, 5, 6}}, {2, {1, 2}}, false, false}, {{4, {3, 3, 5, 7}}, {0}, false, false}, {{4, {2, 4, 3, 5}}, {1, {1}}, false, false},
        {{4, {2, 4, 5, 3}}, {1, {2}}, false, false}, {{4, {2, 4, 5, 6}}, {1, {3}}, false, false}, {{4, {2, 9, 8, 5}}, {3, {1, 2, 3}}, false, false},
        {{3, {2, 6, 5}}, {0}, false, false}, {{3, {3, 6, 9}}, {1, {1}}, false, false}, {{2, {5, 7}}, {0}, false, false}, {{2, {5, 7}}, {1, {1}}, false, false},
        {{4, {2, 1, 6, 1}}, {1, {1}}, false, false}, {{4, {2, 5, 5, 6}}, {2, {1, 2}}, true, false}, {{4, {4, 56, 56, 64}}, {2, {1, 2}}, false, true},
    };
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    tlvk__prelu_attrs a;
    defaults(&a);
    a.shared_axes = cases[index].shared;
    memcpy(c->attrs.bytes, &a, sizeof a);
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->coarse = cases[index].coarse;
    c->real_size = cases[index].real;
    char x[64], shared[64];
    snprintf(c->name, sizeof c->name, "%.30s sharing %.30s%s", tlvk__shape_text(&c->x[0], x, sizeof x), tlvk__shape_text(&a.shared_axes, shared, sizeof shared),
             c->coarse ? " with zeros" : "");
    return true;
}

#define FIELD(name, kind) {.key = #name, .type = TLVK__FIELD_##kind, .offset = offsetof(tlvk__prelu_attrs, name)}
static const tlvk__field fields[] = {
    FIELD(alpha_initializer, INITIALIZER), FIELD(alpha_regularizer, REGULARIZER),
    {.key = "alpha_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    FIELD(shared_axes, DIMS),
    {0},
};

const tlvk__op tlvk__op_prelu = {
    .class_name = "PReLU", .snake_name = "p_re_lu", .min_inputs = 1, .max_inputs = 1, .attr_bytes = sizeof(tlvk__prelu_attrs), .fields = fields,
    .defaults = defaults, .shape = shape, .variables = variables, .backward_reads = backward_reads, .flops = tlvk__elementwise_flops, .forward = forward,
    .backward = backward, .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
