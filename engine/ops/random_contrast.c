/* random_contrast.c - RandomContrast: in training each picture's channels are drawn apart or together about their mean over the picture, by a factor of its
 * own, and cut to the range of values. Source: keras/src/layers/preprocessing/image_preprocessing/random_contrast.py.
 *
 * The factor lies between 1 - factor[0] and 1 + factor[1]. Files of tf_keras and of early Keras 3 with a single number mean it for both; Keras 3 of today
 * takes a single number for the upper one alone, but never writes one. */
#include "ops/picture.h"

#include <math.h>
#include <stdio.h>

static void defaults(void *attrs) {
    *(tlvk__random_color_attrs *)attrs = (tlvk__random_color_attrs){.factor = {NAN, NAN}, .value_range = {0, 255}};
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__random_color_attrs *a = attrs;
    if (!(a->factor[0] >= 0 && a->factor[0] <= 1 && a->factor[1] >= 0 && isfinite(a->factor[1])))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "RandomContrast: its factor is (%g, %g); two numbers, the first from 0 to 1, the second not negative, "
                          "were expected", (double)a->factor[0], (double)a->factor[1]);
    tlvk_status s = tlvk__picture_factor("RandomContrast", "value_range", a->value_range, -INFINITY, INFINITY);
    return s ? s : tlvk__picture_shape("RandomContrast", inputs, x, y);
}

static unsigned backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)attrs, (void)training, (void)want_dx, (void)want_dw;
    return TLVK__READS_X;
}

static double flops(const tlvk__op_call *call) { return 4 * tlvk__elementwise_flops(call); }

static float lower_of(const tlvk__random_color_attrs *a) { return 1 - a->factor[0]; }
static float range_of(const tlvk__random_color_attrs *a) {
    float upper = 1 + a->factor[1];
    return upper - lower_of(a);
}

static tlvk_status record(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *dy, const tlvk__tensor *y, bool accumulate) {
    const tlvk__random_color_attrs *a = call->attrs;
    const tlvk__tensor *x = call->x[0];
    uint32_t columns = (uint32_t)(x->pitch / TLVK__LANES);
    if (!call->training)
        return tlvk__picture_copy(r, call, dy ? dy : x, y, accumulate);
    tlvk__span span;
    tlvk__tensor params;
    tlvk_status s = tlvk__picture_params(call, &span, &params);
    if (s)
        return s;
    return tlvk__record_walk(r, &(tlvk__walk){
        .shader = "random_contrast", .operation = "random_contrast", .layer = call->layer, .specs = {{"ACCUMULATE", accumulate}, {"BACKWARD", dy != NULL}},
        .operands = {{x, TLVK__READ, false}, {dy, TLVK__READ, false}, {&params, TLVK__READ, true},
                     {y, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 4,
        .n = x->n, .items = columns, .group_items = 1, .flops = 4.0 * (double)x->n * (double)tlvk__sample_floats(x),
        .words = {(uint32_t)x->c, columns, (uint32_t)x->rows, call->stream, 0, tlvk__float_bits(lower_of(a)), tlvk__float_bits(range_of(a)),
                  tlvk__float_bits(a->value_range[0]), tlvk__float_bits(a->value_range[1])}, .word_count = 9, .sample_word = 5, .first_sample = call->first_sample});
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) { return record(r, call, NULL, call->y, false); }
static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    return call->dx[0] ? record(r, call, call->dy, call->dx[0], call->dx_accumulate[0]) : TLVK_OK;
}

/* --- reference: one channel of one sample at a time; pixels lie c apart ---------------------------------------------------------------------- */

typedef struct channel { double f, least, most, mean, mean_e; int64_t pixels, c; } channel;

static double spread_of(const channel *k) { return (4 * sqrt((double)k->pixels) + 8) * TLVK__U / (double)k->pixels; }
static double before_cut(const channel *k, double x) { return (x - k->mean) * k->f + k->mean; }
static bool uncut(const channel *k, double x) { return before_cut(k, x) >= k->least && before_cut(k, x) <= k->most; }

static void channel_forward(const channel *k, const double *x, double *y, double *e) {
    for (int64_t i = 0; i < k->pixels * k->c; i += k->c) {
        y[i] = fmin(fmax(before_cut(k, x[i]), k->least), k->most);
        if (e)
            e[i] = fabs(1 - k->f) * k->mean_e + 4 * TLVK__U * (fabs(k->f) * (fabs(x[i]) + fabs(k->mean)) + fabs(k->mean));
    }
}

static void channel_backward(const channel *k, const double *x, const double *dy, double *dx, double *e) {
    double sum = 0, size = 0;
    for (int64_t i = 0; i < k->pixels * k->c; i += k->c) {
        sum += uncut(k, x[i]) ? dy[i] : 0;
        size += fabs(dy[i]);
    }
    for (int64_t i = 0; i < k->pixels * k->c; i += k->c) {
        double own = uncut(k, x[i]) ? k->f * dy[i] : 0;
        dx[i] = own + (1 - k->f) * sum / (double)k->pixels;
        if (e)
            e[i] = 4 * TLVK__U * fabs(own) + (fabs(1 - k->f) + TLVK__U) * spread_of(k) * size;
    }
}

static tlvk_status reference(const tlvk__ref_call *call, const tlvk__ref_tensor *dy, tlvk__ref_tensor *y) {
    const tlvk__random_color_attrs *a = call->attrs;
    const tlvk__ref_tensor *x = call->x[0];
    channel k = {.pixels = x->shape.dim[1] * x->shape.dim[2], .c = x->shape.dim[3], .least = (double)a->value_range[0], .most = (double)a->value_range[1]};
    for (int64_t i = 0; i < x->shape.dim[0] * k.c; i++) {
        int64_t sample = i / k.c, first = sample * k.pixels * k.c + i % k.c;
        double sum = 0, size = 0;
        for (int64_t j = 0; j < k.pixels; j++) {
            sum += x->v[first + j * k.c];
            size += fabs(x->v[first + j * k.c]);
        }
        k.mean = sum / (double)k.pixels;
        k.mean_e = spread_of(&k) * size;
        k.f = (double)tlvk__picture_uniform(tlvk__picture_draws(call->step, call->stream, sample).u[0], lower_of(a), range_of(a));
        if (!call->training) {
            k.f = 1;
            k.mean = k.mean_e = 0;
            k.least = -INFINITY;
            k.most = INFINITY;
        }
        if (dy)
            channel_backward(&k, x->v + first, dy->v + first, y->v + first, y->e ? y->e + first : NULL);
        else
            channel_forward(&k, x->v + first, y->v + first, y->e ? y->e + first : NULL);
    }
    return TLVK_OK;
}
static tlvk_status reference_forward(const tlvk__ref_call *call) { return reference(call, NULL, call->y); }
static tlvk_status reference_backward(const tlvk__ref_call *call) { return call->dx[0] ? reference(call, call->dy, call->dx[0]) : TLVK_OK; }

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { tlvk__random_color_attrs a; tlvk__shape x; bool inference, real; } cases[] = {
        {{{0.9f, 0.9f}, {-2, 2}}, {4, {6, 4, 5, 3}}, false, false}, {{{0, 1}, {-0.75f, 0.5f}}, {4, {5, 3, 6, 5}}, false, false},
        {{{0.1f, 0.5f}, {0.25f, 255}}, {4, {5, 13, 17, 6}}, false, false}, {{{0.5f, 0.5f}, {0, 255}}, {4, {3, 2, 3, 3}}, true, false},
        {{{0.5f, 3}, {-4, 4}}, {4, {3, 1, 1, 9}}, false, false}, {{{0.2f, 0.2f}, {-1, 1}}, {4, {8, 224, 224, 3}}, false, true},
    };
    if (index < 0 || (size_t)index >= TLVK__COUNT(cases))
        return false;
    const tlvk__random_color_attrs *a = &cases[index].a;
    memcpy(c->attrs.bytes, a, sizeof *a);
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->training = !cases[index].inference;
    c->real_size = cases[index].real;
    snprintf(c->name, sizeof c->name, "(%g, %g) within (%g, %g) %s", (double)a->factor[0], (double)a->factor[1], (double)a->value_range[0],
             (double)a->value_range[1], tlvk__shape_text(&c->x[0], (char[64]){0}, 64));
    return true;
}

/* tf_keras does not know value_range. */
static const tlvk__field fields[] = {
    {.key = "factor", .type = TLVK__FIELD_FLOAT_PAIR, .offset = offsetof(tlvk__random_color_attrs, factor)},
    {.key = "value_range", .type = TLVK__FIELD_FLOAT_PAIR, .offset = offsetof(tlvk__random_color_attrs, value_range), .unless_default = true},
    TLVK__FIELDS_PICTURE, {0}};

const tlvk__op tlvk__op_random_contrast = {
    .class_name = "RandomContrast", .snake_name = "random_contrast", .flags = TLVK__OP_RANDOM, .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__random_color_attrs), .fields = fields, .defaults = defaults, .shape = shape, .view = tlvk__picture_view,
    .backward_reads = backward_reads, .flops = flops, .forward = forward, .backward = backward,
    .reference_forward = reference_forward, .reference_backward = reference_backward, .test_case = test_case,
};
