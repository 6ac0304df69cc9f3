/* layer_normalization.c - LayerNormalization over the last axis: each row of channels by its own mean and variance.
 *
 * Formulas: Ba, Kiros, Hinton, "Layer normalization", 2016; fields: keras/src/layers/normalization/layer_normalization.py. With xhat = (x - mean) * rstd
 * and g = dy * gamma: dx = rstd * (g - mean(g) - xhat * mean(g * xhat)), dgamma = sum dy * xhat, dbeta = sum dy. Nothing is kept for backward: the
 * statistics of a row cost two passes over what is read anyway. Shaders: layer_norm, layer_norm_weights, sum_parts. */
#include "ops/convolution.h"
#include "ops/gemm.h"

#include <math.h>
#include <stdio.h>

enum { GROUP = 64, GROUP_ROWS = 8, PART_ROWS = 64, MOST_PARTS = 512 };

static void defaults(void *attrs) {
    *(tlvk__layer_normalization_attrs *)attrs = (tlvk__layer_normalization_attrs){
        .axis = -1, .epsilon = 1e-3f, .center = true, .scale = true, .beta_initializer = {.kind = TLVK_ZEROS}, .gamma_initializer = {.kind = TLVK_ONES}};
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__layer_normalization_attrs *a = attrs;
    char text[128];
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "LayerNormalization takes one input, here it has %d", inputs);
    tlvk__shape_text(x, text, sizeof text);
    if (x->rank < 2 || x->dim[x->rank - 1] < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "LayerNormalization of %s: it needs a known number of channels besides the batch", text);
    if (a->axis != -1 && a->axis != x->rank - 1)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "LayerNormalization over axis %d of %s: only the last axis (-1 or %d) is supported", a->axis, text, x->rank - 1);
    if (!(a->epsilon >= 0))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "LayerNormalization with epsilon %g: it must be at least 0", (double)a->epsilon);
    *y = *x;
    return TLVK_OK;
}

static int variables(const void *attrs, int inputs, const tlvk__shape *x, tlvk__variable_spec *specs) {
    const tlvk__layer_normalization_attrs *a = attrs;
    (void)inputs;
    int count = 0;
    tlvk__shape vector = {1, {x->dim[x->rank - 1]}};
    if (a->scale)
        specs[count++] = tlvk__weights_spec("gamma", vector, TLVK__LAYOUT_VECTOR, &a->gamma_initializer, TLVK_ONES, &a->gamma_regularizer);
    if (a->center)
        specs[count++] = tlvk__weights_spec("beta", vector, TLVK__LAYOUT_VECTOR, &a->beta_initializer, TLVK_ZEROS, &a->beta_regularizer);
    return count;
}

/* Of a list of those that are there: gamma's place is the first, beta's behind it; NULL where the layer has none. */
static const tlvk__tensor *gamma_of(const tlvk__op_call *call, const tlvk__tensor *const *list) {
    return ((const tlvk__layer_normalization_attrs *)call->attrs)->scale ? list[0] : NULL;
}
static int beta_index(const tlvk__op_call *call) {
    return ((const tlvk__layer_normalization_attrs *)call->attrs)->scale ? 1 : 0;
}
static const tlvk__tensor *beta_of(const tlvk__op_call *call, const tlvk__tensor *const *list) {
    return ((const tlvk__layer_normalization_attrs *)call->attrs)->center ? list[beta_index(call)] : NULL;
}

static unsigned backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)training;
    return want_dx || (want_dw && ((const tlvk__layer_normalization_attrs *)attrs)->scale) ? TLVK__READS_X : 0;
}

static double flops(const tlvk__op_call *call) {
    return 8 * tlvk__elementwise_flops(call);
}

/* --- room: statistics of every row, parts of dgamma, parts of dbeta ---------------------------------------------------------------------- */

typedef struct room { int64_t part_rows, parts; uint64_t stats, sums; } room; /* the last two in bytes */

static room room_of(const tlvk__tensor *x) {
    room m = {.part_rows = TLVK__MAX((int64_t)PART_ROWS, tlvk__div_up(x->n * x->rows, MOST_PARTS))};
    m.parts = tlvk__div_up(x->n * x->rows, m.part_rows);
    m.stats = tlvk__round_up((uint64_t)(x->n * x->rows) * 8, 256);
    m.sums = tlvk__round_up((uint64_t)(m.parts * x->pitch) * sizeof(float), 256);
    return m;
}

static tlvk_status needs(const tlvk__caps *caps, const tlvk__op_call *call, bool want_dx, bool want_dw, tlvk__op_needs *n) {
    (void)caps, (void)want_dx;
    room m = room_of(call->x[0]);
    if (want_dw)
        n->backward_scratch_bytes = m.stats + m.sums + tlvk__column_sums_bytes(call->x[0]);
    return TLVK_OK;
}

/* --- recording -------------------------------------------------------------------------------------------------------------------------- */

static tlvk__walk walk_of(const tlvk__op_call *call, const char *shader) {
    const tlvk__layer_normalization_attrs *a = call->attrs;
    const tlvk__tensor *x = call->x[0];
    return (tlvk__walk){.shader = shader, .operation = shader, .layer = call->layer, .n = x->n, .items = (uint64_t)x->rows, .group_items = GROUP_ROWS,
                        .words = {(uint32_t)(x->pitch / TLVK__LANES), (uint32_t)x->c, tlvk__float_bits(a->epsilon)}, .word_count = 3, .flops = flops(call)};
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__tensor *gamma = gamma_of(call, call->w), *beta = beta_of(call, call->w);
    tlvk__walk walk = walk_of(call, "layer_norm_forward");
    walk.specs[0] = (tlvk__spec){"HAS_GAMMA", gamma != NULL};
    walk.specs[1] = (tlvk__spec){"HAS_BETA", beta != NULL};
    walk.operands[0] = (tlvk__operand){call->x[0], TLVK__READ, false};
    walk.operands[1] = (tlvk__operand){gamma, TLVK__READ, true};
    walk.operands[2] = (tlvk__operand){beta, TLVK__READ, true};
    walk.operands[3] = (tlvk__operand){call->y, TLVK__WRITE, false};
    walk.operand_count = 4;
    return tlvk__record_walk(r, &walk);
}

static tlvk_status backward_data(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__tensor *gamma = gamma_of(call, call->w);
    bool accumulate = call->dx_accumulate[0];
    tlvk__walk walk = walk_of(call, "layer_norm_backward");
    walk.specs[0] = (tlvk__spec){"HAS_GAMMA", gamma != NULL};
    walk.specs[1] = (tlvk__spec){"ACCUMULATE", accumulate};
    walk.operands[0] = (tlvk__operand){call->x[0], TLVK__READ, false};
    walk.operands[1] = (tlvk__operand){call->dy, TLVK__READ, false};
    walk.operands[2] = (tlvk__operand){gamma, TLVK__READ, true};
    walk.operands[3] = (tlvk__operand){call->dx[0], accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false};
    walk.operand_count = 4;
    return tlvk__record_walk(r, &walk);
}

/* Mean and rstd of `rows` rows, two floats each, into `to`. */
static tlvk_status record_statistics(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__piece *p, int64_t rows, tlvk__span to) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__layer_normalization_attrs *a = call->attrs;
    const tlvk__tensor *x = call->x[0];
    struct { uint32_t base[2], items, columns, c; float epsilon; } push = {.items = (uint32_t)rows, .columns = (uint32_t)(x->pitch / TLVK__LANES),
                                                                           .c = (uint32_t)x->c, .epsilon = a->epsilon};
    tlvk__dispatch d = {.shader = "layer_norm_statistics", .binding_count = 2, .push = &push, .push_bytes = sizeof push,
                        .groups = {(uint64_t)tlvk__div_up(rows, GROUP_ROWS)}, .flops = 4.0 * (double)(rows * x->pitch), .bytes = 4.0 * (double)(rows * x->pitch),
                        .operation = "layer_norm_statistics", .layer = call->layer};
    d.bindings[0] = tlvk__tensor_window(caps, x, p->n0, p->n1, TLVK__READ, &push.base[0]);
    d.bindings[1] = tlvk__span_window(caps, to, TLVK__WRITE, &push.base[1]);
    return tlvk__record_dispatch(r, &d);
}

/* The share of dgamma of the samples of one piece. */
static tlvk_status record_gamma(tlvk__recorder *r, const tlvk__op_call *call, const room *m, const tlvk__piece *p, const tlvk__tensor *dgamma, bool accumulate) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *x = call->x[0];
    int64_t columns = x->pitch / TLVK__LANES, rows = (p->n1 - p->n0) * x->rows, parts = tlvk__div_up(rows, m->part_rows);
    struct { uint32_t x_base, dy_base, stats_base, to_base, items, columns, rows, part_rows; } push = {
        .items = (uint32_t)(parts * columns), .columns = (uint32_t)columns, .rows = (uint32_t)rows, .part_rows = (uint32_t)m->part_rows};
    tlvk__span stats = tlvk__span_part(call->scratch, 0, (uint64_t)rows * 8), to = tlvk__span_part(call->scratch, m->stats, (uint64_t)(parts * columns) * 16);
    tlvk_status s = record_statistics(r, call, p, rows, stats);
    if (s)
        return s;
    tlvk__dispatch d = {.shader = "layer_norm_weights", .specs = {{"WG", GROUP}}, .binding_count = 4, .push = &push, .push_bytes = sizeof push,
                        .groups = {(uint64_t)tlvk__div_up(parts * columns, GROUP)}, .flops = 16.0 * (double)(rows * columns),
                        .bytes = 32.0 * (double)(rows * columns), .operation = "layer_norm_backward_weights", .layer = call->layer};
    d.bindings[0] = tlvk__tensor_window(caps, x, p->n0, p->n1, TLVK__READ, &push.x_base);
    d.bindings[1] = tlvk__tensor_window(caps, call->dy, p->n0, p->n1, TLVK__READ, &push.dy_base);
    d.bindings[2] = tlvk__span_window(caps, stats, TLVK__READ, &push.stats_base);
    d.bindings[3] = tlvk__span_window(caps, to, TLVK__WRITE, &push.to_base);
    s = tlvk__record_dispatch(r, &d);
    uint32_t to_base;
    tlvk__binding sum = tlvk__tensor_window(caps, dgamma, 0, 1, TLVK__WRITE, &to_base);
    return s ? s : tlvk__record_sum_parts(r, to, parts, columns, sum, to_base, accumulate, "layer_norm_backward_weights", call->layer);
}

static tlvk_status backward_gamma(tlvk__recorder *r, const tlvk__op_call *call, const room *m, const tlvk__tensor *dgamma, bool accumulate) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *walked[] = {call->x[0], call->dy};
    tlvk__piece p = {0, 0};
    for (bool more = true;;) {
        tlvk_status s = tlvk__next_piece(caps, walked, 2, call->dy->n, &p, &more);
        if (!s && more)
            s = record_gamma(r, call, m, &p, dgamma, accumulate);
        if (s || !more)
            return s;
        accumulate = true;
    }
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    room m = room_of(call->x[0]);
    const tlvk__tensor *dgamma = gamma_of(call, call->dw), *dbeta = beta_of(call, call->dw);
    tlvk_status s = dgamma ? backward_gamma(r, call, &m, dgamma, call->dw_accumulate[0]) : TLVK_OK;
    if (!s && dbeta) {
        uint64_t used = m.stats + m.sums;
        s = tlvk__record_column_sums(r, call->dy, dbeta, call->dw_accumulate[beta_index(call)], tlvk__span_part(call->scratch, used, call->scratch.bytes - used),
                                     "layer_norm_backward_beta", call->layer);
    }
    return !s && call->dx[0] ? backward_data(r, call) : s;
}

/* --- reference -------------------------------------------------------------------------------------------------------------------------- */

/* A row's statistics, and what a float32 device makes of them: e_mean of the mean, r_rstd relative of rstd. The sum of (x - mean)^2 changes with the
 * square of the mean's error only, since the differences sum to zero; inversesqrt is exact to 2 ulp. */
typedef struct row_stats { double mean, rstd, e_mean, r_rstd; } row_stats;

static row_stats stats_of(const double *x, size_t c, double epsilon) {
    double n = (double)c, sum = 0, size = 0, squares = 0;
    for (size_t i = 0; i < c; i++) {
        sum += x[i];
        size += fabs(x[i]);
    }
    row_stats s = {.mean = sum / n, .e_mean = tlvk__dot_bound(n, size / n) + 3 * TLVK__U * size / n};
    for (size_t i = 0; i < c; i++)
        squares += (x[i] - s.mean) * (x[i] - s.mean);
    double variance = squares / n;
    s.rstd = 1 / sqrt(variance + epsilon);
    s.r_rstd = 0.5 * (tlvk__dot_bound(n, variance) + 5 * TLVK__U * variance + s.e_mean * s.e_mean) / (variance + epsilon) + 6 * TLVK__U;
    return s;
}

/* Error of the device's (x - mean) * rstd. */
static double xhat_error(const row_stats *s, double x) {
    return s->rstd * (s->e_mean + fabs(x - s->mean) * (s->r_rstd + 2 * TLVK__U));
}

typedef struct ref_vectors { const double *gamma, *beta; } ref_vectors;

static ref_vectors ref_vectors_of(const tlvk__ref_call *call) {
    const tlvk__layer_normalization_attrs *a = call->attrs;
    return (ref_vectors){a->scale ? call->w[0]->v : NULL, a->center ? call->w[a->scale ? 1 : 0]->v : NULL};
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    const tlvk__layer_normalization_attrs *a = call->attrs;
    const tlvk__ref_tensor *x = call->x[0];
    ref_vectors v = ref_vectors_of(call);
    size_t c = (size_t)x->shape.dim[x->shape.rank - 1], count = tlvk__ref_count(x);
    row_stats s = {0};
    for (size_t i = 0; i < count; i++) {
        if (i % c == 0)
            s = stats_of(x->v + i, c, (double)a->epsilon);
        double gamma = v.gamma ? v.gamma[i % c] : 1, beta = v.beta ? v.beta[i % c] : 0, scaled = (x->v[i] - s.mean) * s.rstd * gamma;
        call->y->v[i] = scaled + beta;
        if (call->y->e)
            call->y->e[i] = fabs(gamma) * xhat_error(&s, x->v[i]) + 2 * TLVK__U * (fabs(scaled) + fabs(beta));
    }
    return TLVK_OK;
}

/* dx of one row of c channels. */
static void row_gradient(const double *x, const double *dy, const double *gamma, size_t c, double epsilon, double *dx, double *e) {
    row_stats s = stats_of(x, c, epsilon);
    double n = (double)c, mean_g = 0, mean_gx = 0, size_g = 0, size_gx = 0, error_gx = 0;
    for (size_t i = 0; i < c; i++) {
        double g = dy[i] * (gamma ? gamma[i] : 1), xhat = (x[i] - s.mean) * s.rstd;
        mean_g += g / n;
        mean_gx += g * xhat / n;
        size_g += fabs(g) / n;
        size_gx += fabs(g * xhat) / n;
        error_gx += fabs(g) * xhat_error(&s, x[i]) / n;
    }
    double e_g = tlvk__dot_bound(n, size_g) + 4 * TLVK__U * size_g, e_gx = error_gx + tlvk__dot_bound(n, size_gx) + 6 * TLVK__U * size_gx;
    for (size_t i = 0; i < c; i++) {
        double g = dy[i] * (gamma ? gamma[i] : 1), xhat = (x[i] - s.mean) * s.rstd;
        dx[i] = s.rstd * (g - mean_g - xhat * mean_gx);
        if (e)
            e[i] = s.rstd * (2 * TLVK__U * fabs(g) + e_g + xhat_error(&s, x[i]) * fabs(mean_gx) + fabs(xhat) * e_gx +
                             4 * TLVK__U * (fabs(g) + fabs(mean_g) + fabs(xhat * mean_gx))) + fabs(dx[i]) * s.r_rstd;
    }
}

static void gamma_gradient(const tlvk__ref_call *call, tlvk__ref_tensor *dgamma) {
    const tlvk__layer_normalization_attrs *a = call->attrs;
    const tlvk__ref_tensor *x = call->x[0];
    size_t c = (size_t)dgamma->shape.dim[0], rows = tlvk__ref_count(x) / c;
    for (size_t i = 0; i < c; i++) {
        double sum = 0, size = 0, error = 0;
        for (size_t row = 0; row < rows; row++) {
            row_stats s = stats_of(x->v + row * c, c, (double)a->epsilon);
            double v = x->v[row * c + i], dy = call->dy->v[row * c + i], term = dy * (v - s.mean) * s.rstd;
            sum += term;
            size += fabs(term);
            error += fabs(dy) * xhat_error(&s, v);
        }
        dgamma->v[i] = sum;
        if (dgamma->e)
            dgamma->e[i] = error + tlvk__dot_bound((double)rows, size);
    }
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    const tlvk__layer_normalization_attrs *a = call->attrs;
    const tlvk__ref_tensor *x = call->x[0];
    tlvk__ref_tensor *dx = call->dx[0], *dgamma = a->scale ? call->dw[0] : NULL, *dbeta = a->center ? call->dw[a->scale ? 1 : 0] : NULL;
    size_t c = (size_t)x->shape.dim[x->shape.rank - 1], count = tlvk__ref_count(x);
    for (size_t i = 0; dx && i < count; i += c)
        row_gradient(x->v + i, call->dy->v + i, ref_vectors_of(call).gamma, c, (double)a->epsilon, dx->v + i, dx->e ? dx->e + i : NULL);
    if (dgamma)
        gamma_gradient(call, dgamma);
    if (dbeta)
        tlvk__reference_bias(call->dy, dbeta);
    return TLVK_OK;
}

/* --- cases ------------------------------------------------------------------------------------------------------------------------------ */

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { tlvk__shape x; bool no_center, no_scale; float epsilon, range, offset; bool real; } cases[] = {
        {{4, {2, 3, 5, 6}}, false, false, 1e-3f, 0, 0, false}, {{2, {3, 7}}, false, false, 1e-6f, 0, 0, false}, {{3, {2, 9, 33}}, false, false, 1e-3f, 0, 0, false},
        {{4, {3, 2, 3, 8}}, true, false, 1e-3f, 0, 0, false}, {{4, {2, 4, 3, 5}}, false, true, 1e-3f, 0, 0, false}, {{3, {3, 4, 12}}, true, true, 1e-3f, 0, 0, false},
        {{4, {1, 1, 1, 1}}, false, false, 1e-3f, 0, 0, false}, {{4, {2, 3, 3, 64}}, false, false, 1e-3f, 0.01f, 20, false},
        {{4, {2, 9, 9, 10}}, false, false, 1e-3f, 50, 0, false}, {{5, {2, 2, 3, 2, 5}}, false, false, 1e-3f, 0, 0, false},
        {{4, {2, 56, 56, 96}}, false, false, 1e-6f, 0, 0, true}, {{4, {2, 7, 7, 768}}, false, false, 1e-6f, 0, 0, true},
    };
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    tlvk__layer_normalization_attrs a;
    defaults(&a);
    a.center = !cases[index].no_center;
    a.scale = !cases[index].no_scale;
    a.epsilon = cases[index].epsilon;
    memcpy(c->attrs.bytes, &a, sizeof a);
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->range = cases[index].range;
    c->offset = cases[index].offset;
    c->real_size = cases[index].real;
    snprintf(c->name, sizeof c->name, "%s epsilon %g%s%s range %g offset %g", tlvk__shape_text(&c->x[0], (char[64]){0}, 64), (double)a.epsilon,
             a.center ? "" : " no center", a.scale ? "" : " no scale", (double)c->range, (double)c->offset);
    return true;
}

#define FIELD(name, kind) {.key = #name, .type = TLVK__FIELD_##kind, .offset = offsetof(tlvk__layer_normalization_attrs, name)}
static const tlvk__field fields[] = {
    FIELD(axis, AXIS), FIELD(epsilon, FLOAT), FIELD(center, BOOL), FIELD(scale, BOOL),
    {.key = "rms_scaling", .type = TLVK__FIELD_MUST, .must = "false", .keras3_only = true},
    FIELD(beta_initializer, INITIALIZER), FIELD(gamma_initializer, INITIALIZER), FIELD(beta_regularizer, REGULARIZER), FIELD(gamma_regularizer, REGULARIZER),
    {.key = "beta_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "gamma_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {0},
};

const tlvk__op tlvk__op_layer_normalization = {
    .class_name = "LayerNormalization", .snake_name = "layer_normalization", .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__layer_normalization_attrs), .fields = fields, .defaults = defaults, .shape = shape, .variables = variables,
    .backward_reads = backward_reads, .flops = flops, .needs = needs, .forward = forward, .backward = backward,
    .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
