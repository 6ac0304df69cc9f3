/* dropout.c - Dropout: in training each element becomes 0 with probability rate, else x / (1 - rate); else nothing happens.
 *
 * Hides: which random number belongs to which element. Element e of the batch, counted in dense (n, rows, c) order, takes word e % 4 of the
 * Philox block of key `seed` and counter (e / 4, stream, step), and is kept when the word is at least rate * 2^32. Nothing is kept for the
 * backward pass: it draws the same words. Source: keras/src/layers/regularization/dropout.py, keras/src/backend/tensorflow/random.py. */
#include "ops/attrs.h"

#include <math.h>
#include <stdio.h>

typedef struct dropout_push {
    uint32_t x_base, y_base, params_base, items, columns, c, stream, first_block, first_word, threshold;
    float scale;
} dropout_push;

/* The rule of one element: kept when its word is at least threshold, times scale. */
typedef struct mask_rule { uint32_t threshold; float scale; } mask_rule;

static mask_rule rule_of(const tlvk__dropout_attrs *a, bool training) {
    double rate = (double)a->rate;
    if (!training || rate <= 0.0)
        return (mask_rule){0, 1.0f};
    if (rate >= 1.0)
        return (mask_rule){UINT32_MAX, 0.0f};
    return (mask_rule){(uint32_t)(rate * 0x1p32), (float)(1.0 / (1.0 - rate))};
}

static void defaults(void *attrs) {
    ((tlvk__dropout_attrs *)attrs)->rate = 0.5f;
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__dropout_attrs *a = attrs;
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Dropout takes one input, here it has %d", inputs);
    if (!(a->rate >= 0.0f && a->rate <= 1.0f))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Dropout: rate is %g, not between 0 and 1", (double)a->rate);
    *y = x[0];
    return TLVK_OK;
}

static bool view(const void *attrs, bool training, const tlvk__tensor *x, const tlvk__tensor *y) {
    const tlvk__dropout_attrs *a = attrs;
    (void)x;
    (void)y;
    return !training || !(a->rate > 0.0f);
}

static unsigned backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)attrs;
    (void)training;
    (void)want_dx;
    (void)want_dw;
    return 0;
}

static double flops(const tlvk__op_call *call) {
    return (double)call->y->n * (double)tlvk__sample_floats(call->y);
}

/* to = mask(from), one piece. */
static tlvk_status record_piece(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *from, const tlvk__tensor *to, bool accumulate,
                                const tlvk__piece *p) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    mask_rule rule = rule_of(call->attrs, call->training);
    int64_t samples = p->n1 - p->n0, first = p->n0 * from->rows * from->c;
    double floats = (double)samples * (double)tlvk__sample_floats(from);
    dropout_push push = {.items = (uint32_t)(samples * tlvk__sample_floats(from) / TLVK__LANES), .columns = (uint32_t)(from->pitch / TLVK__LANES),
                         .c = (uint32_t)from->c, .stream = call->stream, .first_block = (uint32_t)(first / 4), .first_word = (uint32_t)(first % 4),
                         .threshold = rule.threshold, .scale = rule.scale};
    tlvk__dispatch d = {.shader = "dropout", .specs = {{"ACCUMULATE", accumulate}, {"ALIGNED", from->c % TLVK__LANES == 0}}, .binding_count = 3,
                        .push = &push, .push_bytes = sizeof push, .groups = {(push.items + 63u) / 64u, 1, 1}, .flops = floats,
                        .bytes = floats * (accumulate ? 12.0 : 8.0), .operation = "dropout", .layer = call->layer};
    tlvk__span params = {call->step_params.buffer, call->step_params.offset, sizeof(tlvk__step_params)};
    d.bindings[0] = tlvk__tensor_window(caps, from, p->n0, p->n1, TLVK__READ, &push.x_base);
    d.bindings[1] = tlvk__tensor_window(caps, to, p->n0, p->n1, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, &push.y_base);
    d.bindings[2] = tlvk__span_window(caps, params, TLVK__READ, &push.params_base);
    return tlvk__record_dispatch(r, &d);
}

static tlvk_status record(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *from, const tlvk__tensor *to, bool accumulate) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *operands[] = {from, to};
    int64_t elements;
    if (!tlvk__mul_i64(from->n * from->rows, from->c, &elements) || elements / 4 > UINT32_MAX)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "Dropout over %lld x %lld x %lld elements: 2^34 at most", (long long)from->n, (long long)from->rows,
                          (long long)from->c);
    if (call->step_params.offset % sizeof(tlvk__step_params) != 0)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "the step's parameters are not aligned to %zu bytes", sizeof(tlvk__step_params));
    tlvk__piece p = {0, 0};
    for (bool more = true;;) {
        tlvk_status s = tlvk__next_piece(caps, operands, 2, from->n, &p, &more);
        if (s || !more)
            return s;
        s = record_piece(r, call, from, to, accumulate, &p);
        if (s)
            return s;
    }
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return record(r, call, call->x[0], call->y, false);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    return call->dx[0] ? record(r, call, call->dy, call->dx[0], call->dx_accumulate[0]) : TLVK_OK;
}

static tlvk_status reference(const tlvk__ref_call *call, const tlvk__ref_tensor *from, tlvk__ref_tensor *to) {
    mask_rule rule = rule_of(call->attrs, call->training);
    const tlvk__step_params *step = call->step;
    int64_t count;
    if (!tlvk__shape_elements(&from->shape, &count))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "Dropout's reference needs a known shape");
    tlvk__philox_out block = {{UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}};
    for (int64_t i = 0; i < count; i++) {
        if (i % 4 == 0 && rule.threshold > 0)
            block = tlvk__philox((tlvk__philox_key){{step->seed[0], step->seed[1]}}, (uint64_t)(i / 4) | (uint64_t)call->stream << 32,
                                 (uint64_t)step->step[0] | (uint64_t)step->step[1] << 32);
        bool keep = block.v[i % 4] >= rule.threshold && rule.scale > 0.0f;
        to->v[i] = keep ? from->v[i] * (double)rule.scale : 0.0;
        if (to->e)
            to->e[i] = 2.0 * 0x1p-24 * fabs(to->v[i]);
    }
    return TLVK_OK;
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    return reference(call, call->x[0], call->y);
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    return call->dx[0] ? reference(call, call->dy, call->dx[0]) : TLVK_OK;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { const char *name; float rate; bool training, real; tlvk__shape x; } cases[] = {
        {"rate 0.5, 7 channels", 0.5f, true, false, {4, {3, 5, 4, 7}}},
        {"rate 0.2, vectors of 10", 0.2f, true, false, {2, {21, 10}}},
        {"rate 0.3, 8 channels", 0.3f, true, false, {3, {4, 9, 8}}},
        {"rate 1", 1.0f, true, false, {2, {4, 5}}},
        {"rate 0", 0.0f, true, false, {2, {4, 5}}},
        {"inference", 0.5f, false, false, {2, {4, 6}}},
        {"rate 0.5, vectors of 4096, batch 32", 0.5f, true, true, {2, {32, 4096}}},
    };
    if (index < 0 || (size_t)index >= TLVK__COUNT(cases))
        return false;
    snprintf(c->name, sizeof c->name, "%s", cases[index].name);
    ((tlvk__dropout_attrs *)(void *)&c->attrs)->rate = cases[index].rate;
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->training = cases[index].training;
    c->real_size = cases[index].real;
    return true;
}

static const tlvk__field fields[] = {
    {.key = "rate", .type = TLVK__FIELD_FLOAT, .offset = offsetof(tlvk__dropout_attrs, rate)},
    {.key = "seed", .type = TLVK__FIELD_IGNORE, .must = "null"},
    {.key = "noise_shape", .type = TLVK__FIELD_MUST, .must = "null"},
    {0},
};

const tlvk__op tlvk__op_dropout = {
    .class_name = "Dropout",
    .snake_name = "dropout",
    .flags = TLVK__OP_RANDOM,
    .min_inputs = 1,
    .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__dropout_attrs),
    .fields = fields,
    .defaults = defaults,
    .shape = shape,
    .view = view,
    .backward_reads = backward_reads,
    .flops = flops,
    .forward = forward,
    .backward = backward,
    .reference_forward = reference_forward,
    .reference_backward = reference_backward,
    .test_case = test_case,
};
