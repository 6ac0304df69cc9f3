/* batch_normalization.c - BatchNormalization over the last axis: with the batch's statistics (training) or the moving ones (inference).
 *
 * Formulas: keras/src/layers/normalization/batch_normalization.py: moving = moving * momentum + batch * (1 - momentum), with the biased
 * variance; the gradient through the batch's statistics: Ioffe and Szegedy, "Batch normalization", 2015, section 3.
 * Statistics are gathered over blocks of rows of one sample, then joined in a fixed order. An activation behind it is taken in: forward applies it, and
 * backward tells its slope from x, which it reads anyway, so that each goes over the tensors twice: once for the sums, once for the result. */
#include "ops/activation.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_ROWS 256 /* rows summed by one invocation */
#define FINISH_COLUMNS 8 /* vec4 columns to a workgroup of the kernels that join partial sums */
#define ROOM_ALIGN 256

enum { MEAN, RSTD, SCALE, SHIFT, SUM_DZ, SUM_DZ_XHAT, STATS }; /* vectors of the statistics, see shaders/batch_norm.glsl */

static void defaults(void *attrs) {
    *(tlvk__batch_normalization_attrs *)attrs = (tlvk__batch_normalization_attrs){
        .axis = -1, .momentum = 0.99f, .epsilon = 1e-3f, .center = true, .scale = true,
        .beta_initializer = {.kind = TLVK_ZEROS}, .gamma_initializer = {.kind = TLVK_ONES},
        .moving_mean_initializer = {.kind = TLVK_ZEROS}, .moving_variance_initializer = {.kind = TLVK_ONES}};
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__batch_normalization_attrs *a = attrs;
    char text[128];
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "BatchNormalization takes one input, here it has %d", inputs);
    if (x->rank < 2)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "BatchNormalization of %s: it needs an axis besides the batch", tlvk__shape_text(x, text, sizeof text));
    if (a->axis != -1 && a->axis != x->rank - 1)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "BatchNormalization over axis %d of %s: only the last axis (-1 or %d) is supported", a->axis,
                          tlvk__shape_text(x, text, sizeof text), x->rank - 1);
    if (x->dim[x->rank - 1] < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "BatchNormalization of %s: the number of channels must be known", tlvk__shape_text(x, text, sizeof text));
    if (!(a->epsilon >= 0) || !(a->momentum >= 0 && a->momentum <= 1))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "BatchNormalization with epsilon %g and momentum %g: epsilon must be at least 0, momentum from 0 to 1",
                          (double)a->epsilon, (double)a->momentum);
    *y = *x;
    return TLVK_OK;
}

static int variables(const void *attrs, int inputs, const tlvk__shape *x, tlvk__variable_spec *specs) {
    const tlvk__batch_normalization_attrs *a = attrs;
    (void)inputs;
    int count = 0;
    tlvk__variable_spec spec = {.shape = {1, {x->dim[x->rank - 1]}}, .layout = TLVK__LAYOUT_VECTOR, .trainable = true};
    if (a->scale) {
        specs[count] = spec;
        specs[count].name = "gamma";
        specs[count].initializer = a->gamma_initializer;
        specs[count++].regularizer = a->gamma_regularizer;
    }
    if (a->center) {
        specs[count] = spec;
        specs[count].name = "beta";
        specs[count].initializer = a->beta_initializer;
        specs[count++].regularizer = a->beta_regularizer;
    }
    spec.trainable = false;
    specs[count] = spec;
    specs[count].name = "moving_mean";
    specs[count++].initializer = a->moving_mean_initializer;
    specs[count] = spec;
    specs[count].name = "moving_variance";
    specs[count++].initializer = a->moving_variance_initializer;
    return count;
}

/* The four vectors by role, from a list of those that are there; gamma or beta NULL where the layer has none. */
typedef struct vectors { const tlvk__tensor *gamma, *beta, *mean, *variance; } vectors;

static vectors vectors_of(const tlvk__batch_normalization_attrs *a, const tlvk__tensor *const *w) {
    vectors v = {0};
    if (a->scale)
        v.gamma = *w++;
    if (a->center)
        v.beta = *w++;
    v.mean = w[0];
    v.variance = w[1];
    return v;
}

static bool residual(const tlvk__caps *caps, const tlvk__op_call *call) {
    (void)caps, (void)call;
    return true;
}

/* --- room ------------------------------------------------------------------------------------------------------------------------------- */

typedef struct room { uint64_t stats, partials; int64_t blocks; } room; /* bytes of each part */

static tlvk_status room_of(const tlvk__tensor *x, room *out) {
    int64_t blocks = tlvk__div_up(x->rows, BLOCK_ROWS), partials, bytes;
    if (!tlvk__mul_i64(x->n, blocks, &partials) || !tlvk__mul_i64(partials, x->pitch, &bytes) || !tlvk__mul_i64(bytes, 2 * (int64_t)sizeof(float), &bytes))
        return tlvk__fail(TLVK_ERROR_MEMORY, "BatchNormalization of %lld samples of %lld x %lld floats is larger than any memory", (long long)x->n,
                          (long long)x->rows, (long long)x->pitch);
    uint64_t vector = (uint64_t)x->pitch * sizeof(float);
    *out = (room){.stats = tlvk__round_up(STATS * vector, ROOM_ALIGN), .partials = (uint64_t)bytes, .blocks = blocks};
    return TLVK_OK;
}

static tlvk_status needs(const tlvk__caps *caps, const tlvk__op_call *call, bool want_dx, bool want_dw, tlvk__op_needs *n) {
    room m;
    (void)caps;
    tlvk_status s = room_of(call->x[0], &m);
    if (s)
        return s;
    n->forward_scratch_bytes = m.stats + (call->training ? m.partials : 0);
    if (call->training && (want_dx || want_dw))
        n->aux_bytes[0] = m.stats;
    if (want_dx || want_dw)
        n->backward_scratch_bytes = m.stats + (call->training || want_dw ? m.partials : 0);
    return TLVK_OK;
}

/* --- forward ---------------------------------------------------------------------------------------------------------------------------- */

static double flops(const tlvk__op_call *call) {
    return 8 * tlvk__elementwise_flops(call);
}

/* Of shaders/batch_norm.glsl, behind those of row_blocks.glsl. */
static void apart_word(const tlvk__tensor *t, tlvk__walk *walk) { walk->words[walk->word_count++] = (uint32_t)tlvk__row_vecs(t); }

static void activation_words(const tlvk__activation *a, tlvk__walk *walk) {
    walk->words[walk->word_count++] = tlvk__float_bits(a->alpha);
    walk->words[walk->word_count++] = tlvk__float_bits(a->max_value);
    walk->words[walk->word_count++] = tlvk__float_bits(a->threshold);
}

static tlvk_status record_moving(tlvk__recorder *r, const tlvk__op_call *call, int64_t pitch, tlvk__span stats) {
    const tlvk__batch_normalization_attrs *a = call->attrs;
    vectors v = vectors_of(a, call->w);
    tlvk__tensor to = tlvk__span_tensor(&stats, 1, STATS, pitch);
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "batch_norm_moving", .few = true, .operation = "batch_norm_moving", .layer = call->layer,
        .specs = {{"HAS_GAMMA", v.gamma != NULL}, {"HAS_BETA", v.beta != NULL}},
        .operands = {{v.gamma, TLVK__READ, true}, {v.beta, TLVK__READ, true}, {v.mean, TLVK__READ, true}, {v.variance, TLVK__READ, true},
                     {&to, TLVK__WRITE, true}}, .operand_count = 5,
        .n = 1, .items = (uint64_t)(pitch / TLVK__LANES), .words = {tlvk__float_bits(a->epsilon)}, .word_count = 1});
}

static tlvk_status record_statistics(tlvk__recorder *r, const tlvk__op_call *call, const room *m, tlvk__span stats, tlvk__span partials) {
    const tlvk__batch_normalization_attrs *a = call->attrs;
    const tlvk__tensor *x = call->x[0];
    vectors v = vectors_of(a, call->w);
    uint32_t columns = (uint32_t)(x->pitch / TLVK__LANES), rows = (uint32_t)x->rows, blocks = (uint32_t)m->blocks;
    tlvk__tensor part = tlvk__span_tensor(&partials, x->n, m->blocks, 2 * x->pitch), to = tlvk__span_tensor(&stats, 1, STATS, x->pitch);
    tlvk__walk walk = {
        .shader = "batch_norm_statistics", .texel = true, .operation = "batch_norm_statistics", .layer = call->layer,
        .operands = {{x, TLVK__READ, false}, {&part, TLVK__WRITE, false}}, .operand_count = 2, .flops = 6 * tlvk__elementwise_flops(call)};
    tlvk__walk_row_blocks(&walk, x, BLOCK_ROWS);
    apart_word(x, &walk);
    tlvk_status s = tlvk__record_walk(r, &walk);
    if (s)
        return s;
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "batch_norm_finish", .few = true, .operation = "batch_norm_finish", .layer = call->layer,
        .specs = {{"HAS_GAMMA", v.gamma != NULL}, {"HAS_BETA", v.beta != NULL}},
        .operands = {{&part, TLVK__READ, true}, {v.gamma, TLVK__READ, true}, {v.beta, TLVK__READ, true}, {v.mean, TLVK__READ_WRITE, true},
                     {v.variance, TLVK__READ_WRITE, true}, {&to, TLVK__WRITE, true}}, .operand_count = 6,
        .n = 1, .items = (uint64_t)tlvk__div_up(columns, FINISH_COLUMNS), .group_items = 1,
        .words = {columns, (uint32_t)(x->n * m->blocks), rows, blocks, BLOCK_ROWS, tlvk__float_bits(a->momentum), tlvk__float_bits(a->epsilon)},
        .word_count = 7});
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__tensor *x = call->x[0];
    room m;
    tlvk_status s = room_of(x, &m);
    if (s)
        return s;
    /* Without a backward to come the statistics are this call's alone. */
    tlvk__span stats = call->training && call->aux[0].buffer ? call->aux[0] : tlvk__span_part(call->scratch, 0, m.stats);
    if (!call->training)
        s = record_moving(r, call, x->pitch, stats);
    else if (!call->again) /* the statistics are there already, and the moving ones have been told */
        s = record_statistics(r, call, &m, stats, tlvk__span_part(call->scratch, m.stats, m.partials));
    if (s)
        return s;
    tlvk__tensor vector = tlvk__span_tensor(&stats, 1, STATS, x->pitch);
    const tlvk__activation *f = &call->epilogue.activation;
    const tlvk__tensor *added = call->epilogue.residual;
    bool mask = x->c % TLVK__LANES != 0 && tlvk__activation_value(f, 0) != 0;
    tlvk__walk walk = {
        .shader = "batch_norm_apply", .texel = true, .operation = "batch_norm_apply", .layer = call->layer, .specs = {{"KIND", (uint32_t)f->kind}, {"MASK", mask}, {"RESIDUAL", added != NULL}},
        .operands = {{x, TLVK__READ, false}, {&vector, TLVK__READ, true}, {added, TLVK__READ, false}, {call->y, TLVK__WRITE, false}}, .operand_count = 4,
        .flops = 2 * tlvk__elementwise_flops(call)};
    tlvk__walk_row_blocks(&walk, x, TLVK__WRITTEN_ROWS);
    apart_word(x, &walk);
    apart_word(added ? added : x, &walk);
    apart_word(call->y, &walk);
    walk.words[walk.word_count++] = (uint32_t)x->c;
    activation_words(f, &walk);
    return tlvk__record_walk(r, &walk);
}

/* --- backward --------------------------------------------------------------------------------------------------------------------------- */

static unsigned slices(const tlvk__caps *caps, const tlvk__op_call *call) {
    (void)caps, (void)call;
    return TLVK__SLICED_X | TLVK__SLICED_Y | TLVK__SLICED_DX | TLVK__SLICED_DY;
}

static unsigned halves(const tlvk__caps *caps, const tlvk__op_call *call) {
    (void)caps, (void)call;
    return TLVK__HALF_X | TLVK__HALF_Y;
}

static unsigned backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)attrs, (void)want_dx;
    return training || want_dw ? TLVK__READS_X : 0;
}

static tlvk_status record_sums(tlvk__recorder *r, const tlvk__op_call *call, const room *m, tlvk__span stats, tlvk__span partials) {
    const tlvk__batch_normalization_attrs *a = call->attrs;
    const tlvk__tensor *dy = call->dy;
    const tlvk__activation *f = &call->epilogue.activation;
    uint32_t columns = (uint32_t)(dy->pitch / TLVK__LANES);
    tlvk__tensor part = tlvk__span_tensor(&partials, dy->n, m->blocks, 2 * dy->pitch), held = tlvk__span_tensor(&stats, 1, STATS, dy->pitch);
    tlvk__walk walk = {
        .shader = "batch_norm_backward_sums", .texel = true, .operation = "batch_norm_backward_sums", .layer = call->layer, .specs = {{"KIND", (uint32_t)f->kind}},
        .operands = {{dy, TLVK__READ, false}, {call->x[0], TLVK__READ, false}, {&held, TLVK__READ, true}, {&part, TLVK__WRITE, false}},
        .operand_count = 4, .flops = 4 * tlvk__elementwise_flops(call)};
    tlvk__walk_row_blocks(&walk, dy, BLOCK_ROWS);
    apart_word(dy, &walk);
    apart_word(call->x[0], &walk);
    activation_words(f, &walk);
    tlvk_status s = tlvk__record_walk(r, &walk);
    if (s)
        return s;
    int gamma = a->scale ? 0 : -1, beta = a->center ? gamma + 1 : -1;
    const tlvk__tensor *dgamma = gamma >= 0 ? call->dw[gamma] : NULL, *dbeta = beta >= 0 ? call->dw[beta] : NULL;
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "batch_norm_backward_finish", .operation = "batch_norm_backward_finish", .layer = call->layer,
        .specs = {{"WRITE_GAMMA", !dgamma ? 0 : call->dw_accumulate[gamma] ? 2 : 1}, {"WRITE_BETA", !dbeta ? 0 : call->dw_accumulate[beta] ? 2 : 1}},
        .operands = {{&part, TLVK__READ, true}, {&held, TLVK__WRITE, true}, {dgamma, TLVK__READ_WRITE, true}, {dbeta, TLVK__READ_WRITE, true}},
        .operand_count = 4, .n = 1, .items = (uint64_t)tlvk__div_up(columns, FINISH_COLUMNS), .group_items = 1,
        .words = {columns, (uint32_t)(dy->n * m->blocks)}, .word_count = 2});
}

static tlvk_status record_dx(tlvk__recorder *r, const tlvk__op_call *call, tlvk__span stats) {
    const tlvk__tensor *dx = call->dx[0];
    const tlvk__activation *f = &call->epilogue.activation;
    if (!call->training) {
        uint64_t vector = (uint64_t)dx->pitch * sizeof(float);
        tlvk__span part = tlvk__span_part(stats, SCALE * vector, vector);
        tlvk__tensor scale = tlvk__span_tensor(&part, 1, 1, dx->pitch);
        return tlvk__record_activation_slope(r, f, call->y, false, call->dy, &scale, dx, call->dx_accumulate[0], call->layer);
    }
    tlvk__tensor held = tlvk__span_tensor(&stats, 1, STATS, dx->pitch);
    tlvk__walk walk = {
        .shader = "batch_norm_backward_apply", .texel = true, .operation = "batch_norm_backward_apply", .layer = call->layer,
        .specs = {{"KIND", (uint32_t)f->kind}, {"ACCUMULATE", call->dx_accumulate[0]}},
        .operands = {{call->dy, TLVK__READ, false}, {call->x[0], TLVK__READ, false},
                     {&held, TLVK__READ, true}, {dx, call->dx_accumulate[0] ? TLVK__READ_WRITE : TLVK__WRITE, false}},
        .operand_count = 4, .flops = 6 * tlvk__elementwise_flops(call)};
    tlvk__walk_row_blocks(&walk, dx, TLVK__WRITTEN_ROWS);
    apart_word(call->dy, &walk);
    apart_word(call->x[0], &walk);
    apart_word(dx, &walk);
    activation_words(f, &walk);
    walk.words[walk.word_count++] = tlvk__float_bits((float)(1.0 / ((double)dx->n * (double)dx->rows)));
    return tlvk__record_walk(r, &walk);
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    bool dw = call->dw[0] || call->dw[1];
    room m;
    tlvk_status s = room_of(call->dy, &m);
    if (s || (!dw && !call->dx[0]))
        return s;
    tlvk__span stats = call->training ? call->aux[0] : tlvk__span_part(call->scratch, 0, m.stats);
    tlvk__span partials = tlvk__span_part(call->scratch, m.stats, m.partials);
    if (!call->training)
        s = record_moving(r, call, call->dy->pitch, stats);
    if (!s && (call->training || dw))
        s = record_sums(r, call, &m, stats, partials);
    return s || !call->dx[0] ? s : record_dx(r, call, stats);
}

tlvk_status tlvk__record_batch_norm_affine(tlvk__recorder *r, const void *batch_norm_attrs, const tlvk__tensor *const w[4], const tlvk__tensor *bias,
                                           const tlvk__tensor *scale, const tlvk__tensor *shift, const char *layer) {
    const tlvk__batch_normalization_attrs *a = batch_norm_attrs;
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "batch_norm_affine", .few = true, .operation = "batch_norm_affine", .layer = layer,
        .specs = {{"HAS_GAMMA", w[0] != NULL}, {"HAS_BETA", w[1] != NULL}, {"HAS_BIAS", bias != NULL}},
        .operands = {{w[0], TLVK__READ, true}, {w[1], TLVK__READ, true}, {w[2], TLVK__READ, true}, {w[3], TLVK__READ, true}, {bias, TLVK__READ, true},
                     {scale, TLVK__WRITE, true}, {shift, TLVK__WRITE, true}}, .operand_count = 7,
        .n = 1, .items = (uint64_t)(scale->pitch / TLVK__LANES), .words = {(uint32_t)scale->c, tlvk__float_bits(a->epsilon)}, .word_count = 2});
}

/* --- reference -------------------------------------------------------------------------------------------------------------------------- */

/* One channel: what is subtracted and multiplied with, and how far the device may be off. */
typedef struct channel { double mean, variance, rstd, gamma, beta, mean_e, variance_e, rstd_rel; } channel;

typedef struct sizes { size_t count, c; } sizes; /* rows of all samples together, channels */

static sizes sizes_of(const tlvk__ref_call *call) {
    size_t c = (size_t)call->x[0]->shape.dim[call->x[0]->shape.rank - 1];
    return (sizes){tlvk__ref_count(call->x[0]) / c, c};
}

/* Mean and biased variance in two passes. The device's blocks of shifted sums and their joining err by a few roundings of the numbers' own size. */
static void batch_statistics(const double *x, sizes s, channel *k) {
    double sum = 0, size = 0, squares = 0;
    for (size_t i = 0; i < s.count; i++) {
        sum += x[i * s.c];
        size += fabs(x[i * s.c]);
    }
    k->mean = sum / (double)s.count;
    for (size_t i = 0; i < s.count; i++)
        squares += (x[i * s.c] - k->mean) * (x[i * s.c] - k->mean);
    k->variance = squares / (double)s.count;
    double deviation = sqrt(k->variance), typical = size / (double)s.count;
    k->mean_e = 16 * TLVK__U * (typical + deviation);
    k->variance_e = 32 * TLVK__U * deviation * (deviation + typical) + k->mean_e * k->mean_e;
}

static channel channel_of(const tlvk__ref_call *call, sizes s, size_t c) {
    const tlvk__batch_normalization_attrs *a = call->attrs;
    const tlvk__ref_tensor *const *w = call->w;
    channel k = {.gamma = 1};
    if (a->scale)
        k.gamma = (*w++)->v[c];
    if (a->center)
        k.beta = (*w++)->v[c];
    if (call->training) {
        batch_statistics(call->x[0]->v + c, s, &k);
    } else {
        k.mean = w[0]->v[c];
        k.variance = w[1]->v[c];
    }
    k.rstd = 1 / sqrt(k.variance + (double)a->epsilon);
    k.rstd_rel = 0.5 * k.variance_e / (k.variance + (double)a->epsilon) + 10 * TLVK__U;
    return k;
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    const tlvk__batch_normalization_attrs *a = call->attrs;
    sizes s = sizes_of(call);
    int first = (a->scale ? 1 : 0) + (a->center ? 1 : 0);
    for (size_t c = 0; c < s.c; c++) {
        channel k = channel_of(call, s, c);
        for (size_t i = c; i < s.count * s.c; i += s.c) {
            double x = call->x[0]->v[i], scaled = (x - k.mean) * k.rstd * k.gamma;
            call->y->v[i] = scaled + k.beta;
            if (call->y->e)
                call->y->e[i] = fabs(k.rstd * k.gamma) * (k.mean_e + TLVK__U * (fabs(x) + fabs(k.mean))) + fabs(scaled) * (k.rstd_rel + 4 * TLVK__U)
                              + 2 * TLVK__U * (fabs(k.beta) + fabs(call->y->v[i]));
        }
        double m = (double)a->momentum, batch[2] = {k.mean, k.variance}, batch_e[2] = {k.mean_e, k.variance_e};
        for (int w = 0; w < 2; w++) {
            tlvk__ref_tensor *after = call->w_after[first + w];
            double before = call->w[first + w]->v[c];
            if (!after)
                continue;
            after->v[c] = before * m + batch[w] * (1 - m);
            if (after->e)
                after->e[c] = (1 - m) * batch_e[w] + 4 * TLVK__U * (fabs(before) + fabs(batch[w]));
        }
    }
    return TLVK_OK;
}

/* Sums over one channel with their bounds, and what follows for its gradients. */
static void channel_backward(const tlvk__ref_call *call, sizes s, size_t c, const channel *k) {
    const tlvk__batch_normalization_attrs *a = call->attrs;
    double plain = 0, plain_e = 0, scaled = 0, scaled_e = 0, count = (double)s.count, spread = 4 * sqrt(count) + 8;
    for (size_t i = c; i < s.count * s.c; i += s.c) {
        double x = call->x[0]->v[i], dy = call->dy->v[i], dy_e = call->dy->e ? call->dy->e[i] : 0, xhat = (x - k->mean) * k->rstd;
        double xhat_e = k->rstd * (k->mean_e + TLVK__U * (fabs(x) + fabs(k->mean))) + fabs(xhat) * k->rstd_rel;
        plain += dy;
        plain_e += spread * TLVK__U * fabs(dy) + dy_e;
        scaled += dy * xhat;
        scaled_e += fabs(dy) * (xhat_e + spread * TLVK__U * fabs(xhat)) + dy_e * fabs(xhat);
    }
    tlvk__ref_tensor *const *dw = call->dw;
    tlvk__ref_tensor *dgamma = a->scale ? *dw++ : NULL, *dbeta = a->center ? *dw++ : NULL, *dx = call->dx[0];
    if (dgamma)
        dgamma->v[c] = scaled;
    if (dgamma && dgamma->e)
        dgamma->e[c] = scaled_e;
    if (dbeta)
        dbeta->v[c] = plain;
    if (dbeta && dbeta->e)
        dbeta->e[c] = plain_e;
    for (size_t i = c; dx && i < s.count * s.c; i += s.c) {
        double x = call->x[0]->v[i], dy = call->dy->v[i], xhat = (x - k->mean) * k->rstd, scale = k->gamma * k->rstd;
        double xhat_e = k->rstd * (k->mean_e + TLVK__U * (fabs(x) + fabs(k->mean))) + fabs(xhat) * k->rstd_rel;
        double inner = call->training ? dy - (plain + xhat * scaled) / count : dy;
        double inner_e = call->training ? (plain_e + fabs(xhat) * scaled_e + xhat_e * fabs(scaled)) / count
                                              + 6 * TLVK__U * (fabs(dy) + (fabs(plain) + fabs(xhat * scaled)) / count)
                                        : 0;
        inner_e += call->dy->e ? call->dy->e[i] : 0;
        dx->v[i] = scale * inner;
        if (dx->e)
            dx->e[i] = fabs(scale) * (inner_e + fabs(inner) * (k->rstd_rel + 4 * TLVK__U));
    }
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    sizes s = sizes_of(call);
    for (size_t c = 0; c < s.c; c++) {
        channel k = channel_of(call, s, c);
        channel_backward(call, s, c, &k);
    }
    return TLVK_OK;
}

/* --- cases ------------------------------------------------------------------------------------------------------------------------------ */

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { bool training, center, scale; tlvk__shape x; } cases[] = {
        {false, true, true, {4, {2, 3, 4, 5}}}, {true, true, true, {4, {3, 5, 4, 6}}}, {true, true, false, {4, {2, 4, 4, 8}}},
        {false, true, false, {4, {2, 4, 4, 3}}}, {true, false, true, {4, {2, 2, 3, 4}}}, {false, false, false, {2, {5, 7}}},
        {true, true, true, {2, {33, 10}}}, {true, false, false, {4, {1, 1, 2, 1}}}, {true, true, true, {4, {3, 19, 17, 9}}},
        {true, true, true, {4, {3, 19, 17, 9}}},
        {true, true, true, {4, {3, 5, 4, 6}}}, {true, true, true, {4, {2, 9, 7, 5}}},
        {true, false, true, {4, {3, 4, 5, 7}}}, {true, true, false, {4, {2, 19, 17, 8}}},
        {false, true, true, {4, {3, 5, 4, 6}}}, {false, true, true, {4, {2, 3, 3, 5}}},
        {true, true, true, {2, {33, 10}}}, {true, true, true, {4, {3, 5, 4, 6}}},
        {true, true, true, {4, {8, 56, 56, 24}}}, {false, true, true, {4, {8, 56, 56, 24}}}, {true, true, false, {4, {2, 35, 35, 288}}},
    };
    /* What stands behind it, of the cases that are there for that. */
    static const struct { tlvk_activation_kind kind; bool residual; } behind[TLVK__COUNT(cases)] = {
        [10] = {TLVK_RELU, false}, [11] = {TLVK_SIGMOID, true}, [12] = {TLVK_SWISH, false}, [13] = {TLVK_RELU6, true}, [14] = {TLVK_RELU, true},
        [15] = {TLVK_ELU, false}, [16] = {TLVK_LEAKY_RELU, false}, [17] = {TLVK_LINEAR, true}};
    if (index >= (int)TLVK__COUNT(cases))
        return false;
    tlvk__batch_normalization_attrs a;
    defaults(&a);
    a.center = cases[index].center;
    a.scale = cases[index].scale;
    a.momentum = 0.9f;
    memcpy(c->attrs.bytes, &a, sizeof a);
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->training = cases[index].training;
    c->offset = index == 9 ? 100 : 0;
    c->epilogue = tlvk__activation_of(behind[index].kind);
    c->residual = behind[index].residual;
    c->real_size = index >= 18;
    snprintf(c->name, sizeof c->name, "%s%s%s %s%s%s %s", c->training ? "training" : "inference", a.scale ? "" : " scale=False", a.center ? "" : " center=False",
             tlvk__shape_text(&c->x[0], (char[64]){0}, 64), c->offset > 0 ? " mean 100" : "", c->residual ? " + residual" : "", tlvk__activation_name(c->epilogue.kind));
    return true;
}

#define AT(member) offsetof(tlvk__batch_normalization_attrs, member)
static const tlvk__field fields[] = {
    {.key = "axis", .type = TLVK__FIELD_AXIS, .offset = AT(axis)},
    {.key = "momentum", .type = TLVK__FIELD_FLOAT, .offset = AT(momentum)},
    {.key = "epsilon", .type = TLVK__FIELD_FLOAT, .offset = AT(epsilon)},
    {.key = "center", .type = TLVK__FIELD_BOOL, .offset = AT(center)},
    {.key = "scale", .type = TLVK__FIELD_BOOL, .offset = AT(scale)},
    {.key = "beta_initializer", .type = TLVK__FIELD_INITIALIZER, .offset = AT(beta_initializer)},
    {.key = "gamma_initializer", .type = TLVK__FIELD_INITIALIZER, .offset = AT(gamma_initializer)},
    {.key = "moving_mean_initializer", .type = TLVK__FIELD_INITIALIZER, .offset = AT(moving_mean_initializer)},
    {.key = "moving_variance_initializer", .type = TLVK__FIELD_INITIALIZER, .offset = AT(moving_variance_initializer)},
    {.key = "beta_regularizer", .type = TLVK__FIELD_REGULARIZER, .offset = AT(beta_regularizer)},
    {.key = "gamma_regularizer", .type = TLVK__FIELD_REGULARIZER, .offset = AT(gamma_regularizer)},
    {.key = "beta_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "gamma_constraint", .type = TLVK__FIELD_MUST, .must = "null"},
    {.key = "synchronized", .type = TLVK__FIELD_IGNORE, .must = "false", .read_only = true},
    {.key = "renorm", .type = TLVK__FIELD_MUST, .must = "false", .read_only = true},
    {.key = "renorm_clipping", .type = TLVK__FIELD_IGNORE, .must = "null", .read_only = true},
    {.key = "renorm_momentum", .type = TLVK__FIELD_IGNORE, .must = "0.99", .read_only = true},
    {.key = "virtual_batch_size", .type = TLVK__FIELD_MUST, .must = "null", .read_only = true},
    {.key = "fused", .type = TLVK__FIELD_IGNORE, .must = "null", .read_only = true},
    {.key = "mode", .type = TLVK__FIELD_MUST, .must = "0", .read_only = true},
    {0},
};

const tlvk__op tlvk__op_batch_normalization = {
    .class_name = "BatchNormalization", .snake_name = "batch_normalization", .flags = TLVK__OP_STATE | TLVK__OP_ACTIVATES | TLVK__OP_SLOPE, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__batch_normalization_attrs), .fields = fields, .defaults = defaults, .shape = shape, .variables = variables,
    .residual = residual, .slices = slices, .halves = halves, .backward_reads = backward_reads, .flops = flops, .needs = needs, .forward = forward, .backward = backward,
    .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
