/* dropout.c - Dropout and its kin: in training each element becomes `dropped` with probability rate, else x * scale + shift; else nothing happens.
 *
 * Hides: which random number belongs to which element. Each element has a draw of its own, or with a noise shape shares that of the others along its
 * dimensions of 1: SpatialDropout2D one per sample and channel, StochasticDepth one per sample. Draw e, counted in dense (n, rows, c) order of the noise,
 * takes word e % 4 of the Philox block of key `seed` and counter (e / 4, stream, step), and the element is kept when the word is at least rate * 2^32.
 * Nothing is kept for the backward pass: it draws the same words. Source: keras/src/layers/regularization/{dropout,spatial_dropout,alpha_dropout}.py,
 * keras/src/backend/tensorflow/random.py, StochasticDepth of keras/src/applications/convnext.py. */
#include "ops/attrs.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdio.h>

/* SELU's limit towards minus infinity, which AlphaDropout puts in the place of what it drops. */
#define ALPHA_DROPPED (-1.7580993408473766)

typedef struct dropout_push {
    uint32_t x_base, y_base, params_base, items, columns, c, stream, first_block, first_word, threshold;
    float scale, shift, dropped;
    uint32_t rows, width, sample_draws, row_draws, column_draws;
} dropout_push;

/* The rule of one element: kept when its word is at least threshold, then x * scale + shift, else dropped. */
typedef struct mask_rule { uint32_t threshold; float scale, shift, dropped; } mask_rule;

/* What the layers differ in. */
typedef struct kin { const char *class_name; bool alpha; int noise; } kin;
enum { NOISE_OF_ATTRS, NOISE_PER_CHANNEL, NOISE_PER_SAMPLE };
static const kin dropout = {"Dropout", false, NOISE_OF_ATTRS}, spatial = {"SpatialDropout2D", false, NOISE_PER_CHANNEL},
                 alpha = {"AlphaDropout", true, NOISE_OF_ATTRS}, depth = {"StochasticDepth", false, NOISE_PER_SAMPLE};

static mask_rule rule_of(const kin *k, const tlvk__dropout_attrs *a, bool training, bool backward) {
    double rate = (double)a->rate;
    if (!training || rate <= 0.0)
        return (mask_rule){0, 1.0f, 0, 0};
    if (rate >= 1.0)
        return (mask_rule){UINT32_MAX, 0.0f, 0, 0};
    mask_rule rule = {(uint32_t)(rate * 0x1p32), (float)(1.0 / (1.0 - rate)), 0, 0};
    if (k->alpha) {
        double scale = 1 / sqrt((1 - rate) * (1 + rate * ALPHA_DROPPED * ALPHA_DROPPED)), shift = -scale * ALPHA_DROPPED * rate;
        rule.scale = (float)scale;
        rule.shift = (float)(backward ? 0 : shift);
        rule.dropped = (float)(backward ? 0 : scale * ALPHA_DROPPED + shift);
    }
    return rule;
}

static void defaults(void *attrs) {
    ((tlvk__dropout_attrs *)attrs)->rate = 0.5f;
}

/* --- the noise: which elements share a draw --------------------------------------------------------------------------------------------- */

/* Draws from one sample, row, column and channel to the next: 0 where they share theirs. */
typedef struct noise { bool broadcast; int64_t sample, row, column, channel; } noise;

/* x as (n, h, w, c); vectors have h = w = 1, sequences w = 1. */
static noise noise_of(const kin *k, const tlvk__dropout_attrs *a, int64_t h, int64_t w, int64_t c) {
    int rank = a->noise_shape.rank;
    bool shared[4] = {false, false, false, false}; /* n, h, w, c */
    if (k->noise != NOISE_OF_ATTRS) {
        shared[1] = shared[2] = true;
        shared[3] = k->noise == NOISE_PER_SAMPLE;
    } else if (rank > 0) {
        shared[0] = a->noise_shape.dim[0] == 1;
        shared[1] = rank > 2 && a->noise_shape.dim[1] == 1;
        shared[2] = rank > 3 && a->noise_shape.dim[2] == 1;
        shared[3] = a->noise_shape.dim[rank - 1] == 1;
    }
    int64_t channels = shared[3] ? 1 : c, columns = shared[2] ? 1 : w, rows = shared[1] ? 1 : h;
    return (noise){.broadcast = shared[0] || shared[1] || shared[2] || shared[3], .sample = shared[0] ? 0 : rows * columns * channels,
                   .row = shared[1] ? 0 : columns * channels, .column = shared[2] ? 0 : channels, .channel = !shared[3]};
}

static tlvk_status check_noise(const char *class_name, const tlvk__shape *wanted, const tlvk__shape *x) {
    char text[128], other[128];
    bool fits = wanted->rank == x->rank && wanted->rank >= 2 && wanted->rank <= 4;
    for (int i = 0; fits && i < wanted->rank; i++)
        fits = wanted->dim[i] == -1 || wanted->dim[i] == 1 || (wanted->dim[i] > 0 && (x->dim[i] < 0 || x->dim[i] == wanted->dim[i]));
    if (wanted->rank == 0 || fits)
        return TLVK_OK;
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s of %s with the noise shape %s: of each of 2 to 4 dimensions, the input's own size (or none) or 1 was expected",
                      class_name, tlvk__shape_text(x, text, sizeof text), tlvk__shape_text(wanted, other, sizeof other));
}

static tlvk_status shape_as(const kin *k, const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__dropout_attrs *a = attrs;
    if (k->noise == NOISE_PER_CHANNEL) {
        tlvk_status s = tlvk__expect_image(k->class_name, inputs, x);
        if (s)
            return s;
    }
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s takes one input, here it has %d", k->class_name, inputs);
    if (!(a->rate >= 0.0f && a->rate <= 1.0f))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: rate is %g, not between 0 and 1", k->class_name, (double)a->rate);
    if (k->alpha && !(a->rate < 1.0f))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: rate is %g; it must be below 1", k->class_name, (double)a->rate);
    *y = x[0];
    return check_noise(k->class_name, &a->noise_shape, x);
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

/* --- on the device -------------------------------------------------------------------------------------------------------------------------- */

typedef struct masking { const kin *k; const tlvk__op_call *call; const tlvk__tensor *from, *to; bool accumulate; mask_rule rule; noise noise; } masking;

/* to = mask(from), one piece. */
static tlvk_status record_piece(tlvk__recorder *r, const masking *m, const tlvk__piece *p) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *from = m->from;
    int64_t samples = p->n1 - p->n0, first = (m->call->first_sample + p->n0) * m->noise.sample, odd = from->c % TLVK__LANES;
    double floats = (double)samples * (double)tlvk__sample_floats(from);
    dropout_push push = {.items = (uint32_t)(samples * tlvk__sample_floats(from) / TLVK__LANES), .columns = (uint32_t)(from->pitch / TLVK__LANES),
                         .c = (uint32_t)from->c, .stream = m->call->stream, .first_block = (uint32_t)(first / 4), .first_word = (uint32_t)(first % 4),
                         .threshold = m->rule.threshold, .scale = m->rule.scale, .shift = m->rule.shift, .dropped = m->rule.dropped,
                         .rows = (uint32_t)from->rows, .width = (uint32_t)from->w, .sample_draws = (uint32_t)m->noise.sample,
                         .row_draws = (uint32_t)m->noise.row, .column_draws = (uint32_t)m->noise.column};
    tlvk__dispatch d = {.shader = "dropout", .specs = {{"ACCUMULATE", m->accumulate}, {"ALIGNED", odd == 0},
                                                       {"BROADCAST", m->noise.broadcast ? (m->noise.channel ? 1 : 2) : 0},
                                                       {"MASK", odd != 0 && (m->rule.shift < 0 || m->rule.shift > 0)}}, .binding_count = 3,
                        .push = &push, .push_bytes = sizeof push, .groups = {(push.items + 63u) / 64u, 1, 1}, .flops = floats,
                        .bytes = floats * (m->accumulate ? 12.0 : 8.0), .operation = "dropout", .layer = m->call->layer};
    tlvk__span params = {m->call->step_params.buffer, m->call->step_params.offset, sizeof(tlvk__step_params)};
    d.bindings[0] = tlvk__tensor_window(caps, from, p->n0, p->n1, TLVK__READ, &push.x_base);
    d.bindings[1] = tlvk__tensor_window(caps, m->to, p->n0, p->n1, m->accumulate ? TLVK__READ_WRITE : TLVK__WRITE, &push.y_base);
    d.bindings[2] = tlvk__span_window(caps, params, TLVK__READ, &push.params_base);
    return tlvk__record_dispatch(r, &d);
}

static tlvk_status record(tlvk__recorder *r, const masking *m) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *from = m->from, *operands[] = {from, m->to};
    int64_t elements;
    if (!tlvk__mul_i64((m->call->first_sample + from->n) * from->rows, from->c, &elements) || elements / 4 > UINT32_MAX)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s over %lld x %lld x %lld elements: 2^34 at most", m->k->class_name, (long long)from->n,
                          (long long)from->rows, (long long)from->c);
    if (m->call->step_params.offset % sizeof(tlvk__step_params) != 0)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "the step's parameters are not aligned to %zu bytes", sizeof(tlvk__step_params));
    tlvk__piece p = {0, 0};
    for (bool more = true;;) {
        tlvk_status s = tlvk__next_piece(caps, operands, 2, from->n, &p, &more);
        if (s || !more)
            return s;
        s = record_piece(r, m, &p);
        if (s)
            return s;
    }
}

static tlvk_status forward_as(const kin *k, tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__tensor *x = call->x[0];
    return record(r, &(masking){k, call, x, call->y, false, rule_of(k, call->attrs, call->training, false), noise_of(k, call->attrs, x->h, x->w, x->c)});
}

static tlvk_status backward_as(const kin *k, tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__tensor *dy = call->dy;
    if (!call->dx[0])
        return TLVK_OK;
    return record(r, &(masking){k, call, dy, call->dx[0], call->dx_accumulate[0], rule_of(k, call->attrs, call->training, true),
                                noise_of(k, call->attrs, dy->h, dy->w, dy->c)});
}

/* --- reference -------------------------------------------------------------------------------------------------------------------------------- */

static uint32_t word_of(int64_t draw, uint32_t stream, const tlvk__step_params *step) {
    tlvk__philox_out block = tlvk__philox((tlvk__philox_key){{step->seed[0], step->seed[1]}}, (uint64_t)(draw / 4) | (uint64_t)stream << 32,
                                          (uint64_t)step->step[0] | (uint64_t)step->step[1] << 32);
    return block.v[draw % 4];
}

static tlvk_status reference(const kin *k, const tlvk__ref_call *call, const tlvk__ref_tensor *from, tlvk__ref_tensor *to, bool backward) {
    mask_rule rule = rule_of(k, call->attrs, call->training, backward);
    const tlvk__shape *s = &from->shape;
    int64_t count, c = s->dim[s->rank - 1];
    if (!tlvk__shape_elements(s, &count))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s's reference needs a known shape", k->class_name);
    int64_t rows = count / s->dim[0] / c, w = s->rank == 4 ? s->dim[2] : 1;
    noise each = noise_of(k, call->attrs, rows / w, w, c);
    for (int64_t i = 0; i < count; i++) {
        int64_t row = i / c % rows;
        int64_t draw = i / c / rows * each.sample + row / w * each.row + row % w * each.column + i % c * each.channel;
        bool keep = rule.threshold == 0 || (word_of(draw, call->stream, call->step) >= rule.threshold && rule.scale > 0.0f);
        to->v[i] = keep ? from->v[i] * (double)rule.scale + (double)rule.shift : (double)rule.dropped;
        if (to->e)
            to->e[i] = keep ? 2.0 * TLVK__U * (fabs(from->v[i] * (double)rule.scale) + fabs((double)rule.shift)) : 0;
    }
    return TLVK_OK;
}

/* --- cases --------------------------------------------------------------------------------------------------------------------------------------- */

typedef struct dropout_case { const char *name; float rate; bool training, real; tlvk__shape x, noise; } dropout_case;

static bool fill_case(const dropout_case *from, tlvk__op_case *c) {
    tlvk__dropout_attrs a = {from->rate, from->noise};
    memcpy(c->attrs.bytes, &a, sizeof a);
    snprintf(c->name, sizeof c->name, "%s", from->name);
    c->inputs = 1;
    c->x[0] = from->x;
    c->training = from->training;
    c->real_size = from->real;
    return true;
}

static bool dropout_test_case(int index, tlvk__op_case *c) {
    static const dropout_case cases[] = {
        {"rate 0.5, 7 channels", 0.5f, true, false, {4, {3, 5, 4, 7}}, {0}},
        {"rate 0.2, vectors of 10", 0.2f, true, false, {2, {21, 10}}, {0}},
        {"rate 0.3, 8 channels", 0.3f, true, false, {3, {4, 9, 8}}, {0}},
        {"rate 1", 1.0f, true, false, {2, {4, 5}}, {0}},
        {"rate 0", 0.0f, true, false, {2, {4, 5}}, {0}},
        {"inference", 0.5f, false, false, {2, {4, 6}}, {0}},
        {"one draw per sample", 0.4f, true, false, {4, {7, 3, 2, 5}}, {4, {-1, 1, 1, 1}}},
        {"one draw per sample and channel, 6 channels", 0.5f, true, false, {4, {5, 3, 4, 6}}, {4, {-1, 1, 1, -1}}},
        {"one draw per sample and channel, 8 channels", 0.5f, true, false, {4, {5, 3, 4, 8}}, {4, {-1, 1, 1, 8}}},
        {"one draw per pixel", 0.5f, true, false, {4, {4, 3, 5, 6}}, {4, {-1, -1, 5, 1}}},
        {"one draw per column and channel", 0.5f, true, false, {4, {4, 3, 5, 3}}, {4, {-1, 1, -1, -1}}},
        {"one draw per row, the same for all samples", 0.5f, true, false, {4, {4, 9, 5, 3}}, {4, {1, 9, 1, 1}}},
        {"one draw per channel of vectors", 0.5f, true, false, {2, {4, 19}}, {2, {1, -1}}},
        {"one draw per step of sequences", 0.5f, true, false, {3, {4, 7, 6}}, {3, {-1, -1, 1}}},
        {"rate 0.5, vectors of 4096, batch 32", 0.5f, true, true, {2, {32, 4096}}, {0}},
        {"one draw per sample, 56x56x40, batch 8", 0.2f, true, true, {4, {8, 56, 56, 40}}, {4, {-1, 1, 1, 1}}},
    };
    return index >= 0 && (size_t)index < TLVK__COUNT(cases) && fill_case(&cases[index], c);
}

static bool spatial_test_case(int index, tlvk__op_case *c) {
    static const dropout_case cases[] = {
        {"rate 0.3, 7 channels", 0.3f, true, false, {4, {5, 3, 4, 7}}, {0}},
        {"rate 0.5, 8 channels", 0.5f, true, false, {4, {5, 4, 1, 8}}, {0}},
        {"inference", 0.5f, false, false, {4, {2, 2, 2, 6}}, {0}},
    };
    return index >= 0 && (size_t)index < TLVK__COUNT(cases) && fill_case(&cases[index], c);
}

static bool alpha_test_case(int index, tlvk__op_case *c) {
    static const dropout_case cases[] = {
        {"rate 0.3, 7 channels", 0.3f, true, false, {4, {5, 3, 4, 7}}, {0}},
        {"rate 0.5, 8 channels", 0.5f, true, false, {2, {9, 8}}, {0}},
        {"one draw per sample", 0.5f, true, false, {2, {9, 5}}, {2, {-1, 1}}},
        {"inference", 0.5f, false, false, {2, {2, 6}}, {0}},
    };
    return index >= 0 && (size_t)index < TLVK__COUNT(cases) && fill_case(&cases[index], c);
}

static bool depth_test_case(int index, tlvk__op_case *c) {
    static const dropout_case cases[] = {
        {"rate 0.3, 7 channels", 0.3f, true, false, {4, {9, 3, 4, 7}}, {0}},
        {"rate 0.5, vectors", 0.5f, true, false, {2, {9, 8}}, {0}},
        {"inference", 0.5f, false, false, {4, {2, 2, 2, 6}}, {0}},
    };
    return index >= 0 && (size_t)index < TLVK__COUNT(cases) && fill_case(&cases[index], c);
}

#define FIELD_RATE(key_) {.key = key_, .type = TLVK__FIELD_FLOAT, .offset = offsetof(tlvk__dropout_attrs, rate)}
#define FIELD_SEED {.key = "seed", .type = TLVK__FIELD_IGNORE, .must = "null"}
#define FIELD_NOISE {.key = "noise_shape", .type = TLVK__FIELD_DIMS, .offset = offsetof(tlvk__dropout_attrs, noise_shape)}
static const tlvk__field dropout_fields[] = {FIELD_RATE("rate"), FIELD_NOISE, FIELD_SEED, {0}};
static const tlvk__field depth_fields[] = {FIELD_RATE("drop_path_rate"), {0}};
/* Keras 3's class takes neither "trainable" nor "noise_shape", tf_keras's writes both. */
static const tlvk__field spatial_fields[] = {
    FIELD_RATE("rate"), FIELD_SEED, {.key = "noise_shape", .type = TLVK__FIELD_MUST, .must = "null", .read_only = true},
    {.key = "trainable", .type = TLVK__FIELD_ABSENT}, {0},
};

static tlvk_status dropout_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    return shape_as(&dropout, attrs, inputs, x, y);
}
static tlvk_status dropout_forward(tlvk__recorder *r, const tlvk__op_call *call) { return forward_as(&dropout, r, call); }
static tlvk_status dropout_backward(tlvk__recorder *r, const tlvk__op_call *call) { return backward_as(&dropout, r, call); }
static tlvk_status dropout_reference(const tlvk__ref_call *call) { return reference(&dropout, call, call->x[0], call->y, false); }
static tlvk_status dropout_reference_backward(const tlvk__ref_call *call) {
    return call->dx[0] ? reference(&dropout, call, call->dy, call->dx[0], true) : TLVK_OK;
}
const tlvk__op tlvk__op_dropout = {
    .class_name = "Dropout", .snake_name = "dropout", .flags = TLVK__OP_RANDOM, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__dropout_attrs), .fields = dropout_fields, .defaults = defaults, .shape = dropout_shape, .view = view,
    .backward_reads = backward_reads, .flops = flops, .forward = dropout_forward, .backward = dropout_backward,
    .reference_forward = dropout_reference, .reference_backward = dropout_reference_backward, .test_case = dropout_test_case,
};

static tlvk_status spatial_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    return shape_as(&spatial, attrs, inputs, x, y);
}
static tlvk_status spatial_forward(tlvk__recorder *r, const tlvk__op_call *call) { return forward_as(&spatial, r, call); }
static tlvk_status spatial_backward(tlvk__recorder *r, const tlvk__op_call *call) { return backward_as(&spatial, r, call); }
static tlvk_status spatial_reference(const tlvk__ref_call *call) { return reference(&spatial, call, call->x[0], call->y, false); }
static tlvk_status spatial_reference_backward(const tlvk__ref_call *call) {
    return call->dx[0] ? reference(&spatial, call, call->dy, call->dx[0], true) : TLVK_OK;
}
const tlvk__op tlvk__op_spatial_dropout2d = {
    .class_name = "SpatialDropout2D", .snake_name = "spatial_dropout2d", .flags = TLVK__OP_RANDOM, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__dropout_attrs), .fields = spatial_fields, .defaults = defaults, .shape = spatial_shape, .view = view,
    .backward_reads = backward_reads, .flops = flops, .forward = spatial_forward, .backward = spatial_backward,
    .reference_forward = spatial_reference, .reference_backward = spatial_reference_backward, .test_case = spatial_test_case,
};

static tlvk_status alpha_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    return shape_as(&alpha, attrs, inputs, x, y);
}
static tlvk_status alpha_forward(tlvk__recorder *r, const tlvk__op_call *call) { return forward_as(&alpha, r, call); }
static tlvk_status alpha_backward(tlvk__recorder *r, const tlvk__op_call *call) { return backward_as(&alpha, r, call); }
static tlvk_status alpha_reference(const tlvk__ref_call *call) { return reference(&alpha, call, call->x[0], call->y, false); }
static tlvk_status alpha_reference_backward(const tlvk__ref_call *call) {
    return call->dx[0] ? reference(&alpha, call, call->dy, call->dx[0], true) : TLVK_OK;
}
const tlvk__op tlvk__op_alpha_dropout = {
    .class_name = "AlphaDropout", .snake_name = "alpha_dropout", .flags = TLVK__OP_RANDOM, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__dropout_attrs), .fields = dropout_fields, .defaults = defaults, .shape = alpha_shape, .view = view,
    .backward_reads = backward_reads, .flops = flops, .forward = alpha_forward, .backward = alpha_backward,
    .reference_forward = alpha_reference, .reference_backward = alpha_reference_backward, .test_case = alpha_test_case,
};

static tlvk_status depth_shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    return shape_as(&depth, attrs, inputs, x, y);
}
static tlvk_status depth_forward(tlvk__recorder *r, const tlvk__op_call *call) { return forward_as(&depth, r, call); }
static tlvk_status depth_backward(tlvk__recorder *r, const tlvk__op_call *call) { return backward_as(&depth, r, call); }
static tlvk_status depth_reference(const tlvk__ref_call *call) { return reference(&depth, call, call->x[0], call->y, false); }
static tlvk_status depth_reference_backward(const tlvk__ref_call *call) {
    return call->dx[0] ? reference(&depth, call, call->dy, call->dx[0], true) : TLVK_OK;
}
const tlvk__op tlvk__op_stochastic_depth = {
    .class_name = "StochasticDepth", .keras3_module = "keras.src.applications.convnext",
    .snake_name = "stochastic_depth", .flags = TLVK__OP_RANDOM, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__dropout_attrs), .fields = depth_fields, .defaults = defaults, .shape = depth_shape, .view = view,
    .backward_reads = backward_reads, .flops = flops, .forward = depth_forward, .backward = depth_backward,
    .reference_forward = depth_reference, .reference_backward = depth_reference_backward, .test_case = depth_test_case,
};
