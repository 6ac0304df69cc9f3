/* layer_scale.c - LayerScale of keras.applications' ConvNeXt: x * gamma, a trained number per channel. Source: keras/src/applications/convnext.py, where it
 * is a class of its own beside the built-in layers. The gradient of gamma is that of a BatchNormalization whose mean is 0 and deviation 1. */
#include "ops/activation.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdio.h>

#define BLOCK_ROWS 256

static void defaults(void *attrs) { *(tlvk__layer_scale_attrs *)attrs = (tlvk__layer_scale_attrs){.init_values = NAN}; }

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__layer_scale_attrs *a = attrs;
    char text[128];
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "LayerScale takes one input, here it has %d", inputs);
    if (!isfinite(a->init_values) || a->projection_dim < 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "LayerScale with init_values %g and projection_dim %d: neither has a default", (double)a->init_values,
                          a->projection_dim);
    if (x->rank < 2 || x->dim[x->rank - 1] != a->projection_dim)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "LayerScale of %s: its projection_dim is %d, which must be the number of channels",
                          tlvk__shape_text(x, text, sizeof text), a->projection_dim);
    *y = *x;
    return TLVK_OK;
}

static int variables(const void *attrs, int inputs, const tlvk__shape *x, tlvk__variable_spec *specs) {
    const tlvk__layer_scale_attrs *a = attrs;
    (void)inputs, (void)x;
    specs[0] = (tlvk__variable_spec){.name = "gamma", .shape = {1, {a->projection_dim}}, .trainable = true,
                                     .initializer = {.kind = TLVK_CONSTANT, .value = a->init_values}};
    return 1;
}

static unsigned backward_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)attrs, (void)training, (void)want_dx;
    return want_dw ? TLVK__READS_X : 0;
}

/* Scratch of the backward pass: the six vectors of shaders/batch_norm.glsl, of which mean and reciprocal deviation (0 and 1) are read and the sums
 * written, and the partial sums of blocks of rows. */
typedef struct room { uint64_t vectors, partials; int64_t blocks; } room;
#define VECTORS 6
#define FINISH_COLUMNS 8 /* to a workgroup of shaders/batch_norm_backward_finish.comp */

static tlvk_status room_of(const tlvk__tensor *x, room *out) {
    int64_t blocks = tlvk__div_up(x->rows, BLOCK_ROWS), bytes;
    if (!tlvk__mul_i64(x->n, blocks, &bytes) || !tlvk__mul_i64(bytes, x->pitch, &bytes) || !tlvk__mul_i64(bytes, 2 * (int64_t)sizeof(float), &bytes))
        return tlvk__fail(TLVK_ERROR_MEMORY, "LayerScale of %lld samples of %lld x %lld floats is larger than any memory", (long long)x->n,
                          (long long)x->rows, (long long)x->pitch);
    *out = (room){tlvk__round_up(VECTORS * (uint64_t)x->pitch * sizeof(float), 256), (uint64_t)bytes, blocks};
    return TLVK_OK;
}

static tlvk_status needs(const tlvk__caps *caps, const tlvk__op_call *call, bool want_dx, bool want_dw, tlvk__op_needs *n) {
    room m;
    (void)caps, (void)want_dx;
    tlvk_status s = want_dw ? room_of(call->x[0], &m) : TLVK_OK;
    if (!s && want_dw)
        n->backward_scratch_bytes = m.vectors + m.partials;
    return s;
}

static tlvk_status record_product(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *from, const tlvk__tensor *to, bool accumulate) {
    tlvk__activation linear = tlvk__activation_of(TLVK_LINEAR);
    return tlvk__record_activation_slope(r, &linear, NULL, false, from, call->w[0], to, accumulate, call->layer);
}

static tlvk_status forward(tlvk__recorder *r, const tlvk__op_call *call) { return record_product(r, call, call->x[0], call->y, false); }

static tlvk_status record_gamma(tlvk__recorder *r, const tlvk__op_call *call) {
    const tlvk__tensor *dy = call->dy;
    uint32_t columns = (uint32_t)(dy->pitch / TLVK__LANES);
    uint64_t vector = (uint64_t)dy->pitch * sizeof(float);
    room m;
    tlvk_status s = room_of(dy, &m);
    if (s)
        return s;
    tlvk__span stats = tlvk__span_part(call->scratch, 0, VECTORS * vector), partials = tlvk__span_part(call->scratch, m.vectors, m.partials);
    tlvk__tensor held = tlvk__span_tensor(&stats, 1, VECTORS, dy->pitch), part = tlvk__span_tensor(&partials, dy->n, m.blocks, 2 * dy->pitch);
    s = tlvk__record_fill(r, tlvk__span_part(stats, 0, vector), 0);
    if (!s)
        s = tlvk__record_fill(r, tlvk__span_part(stats, vector, vector), tlvk__float_bits(1));
    tlvk__walk sums = {
        .shader = "batch_norm_backward_sums", .texel = true, .operation = "layer_scale_sums", .layer = call->layer,
        .operands = {{dy, TLVK__READ, false}, {call->x[0], TLVK__READ, false}, {&held, TLVK__READ, true}, {&part, TLVK__WRITE, false}},
        .operand_count = 4, .flops = 2 * tlvk__elementwise_flops(call)};
    tlvk__walk_row_blocks(&sums, dy, BLOCK_ROWS);
    sums.words[4] = sums.words[5] = columns; /* neither is a slice; then three numbers of an activation that is linear */
    sums.word_count = 9;
    if (!s)
        s = tlvk__record_walk(r, &sums);
    if (!s)
        s = tlvk__record_walk(r, &(tlvk__walk){
            .shader = "batch_norm_backward_finish", .operation = "layer_scale_finish", .layer = call->layer,
            .specs = {{"WRITE_GAMMA", call->dw_accumulate[0] ? 2 : 1}, {"WRITE_BETA", 0}},
            .operands = {{&part, TLVK__READ, true}, {&held, TLVK__WRITE, true}, {call->dw[0], TLVK__READ_WRITE, true}, {NULL, TLVK__READ_WRITE, true}},
            .operand_count = 4, .n = 1, .items = (uint64_t)tlvk__div_up(columns, FINISH_COLUMNS), .group_items = 1, .words = {columns, (uint32_t)(dy->n * m.blocks)}, .word_count = 2});
    return s;
}

static tlvk_status backward(tlvk__recorder *r, const tlvk__op_call *call) {
    tlvk_status s = call->dw[0] ? record_gamma(r, call) : TLVK_OK;
    return s || !call->dx[0] ? s : record_product(r, call, call->dy, call->dx[0], call->dx_accumulate[0]);
}

/* --- reference -------------------------------------------------------------------------------------------------------------------------- */

static void product(const tlvk__ref_call *call, const tlvk__ref_tensor *from, tlvk__ref_tensor *to) {
    const tlvk__layer_scale_attrs *a = call->attrs;
    for (size_t i = 0; i < tlvk__ref_count(to); i++) {
        to->v[i] = from->v[i] * call->w[0]->v[i % (size_t)a->projection_dim];
        if (to->e)
            to->e[i] = 2 * TLVK__U * fabs(to->v[i]);
    }
}

static tlvk_status reference_forward(const tlvk__ref_call *call) {
    product(call, call->x[0], call->y);
    return TLVK_OK;
}

static tlvk_status reference_backward(const tlvk__ref_call *call) {
    const tlvk__layer_scale_attrs *a = call->attrs;
    size_t c = (size_t)a->projection_dim, rows = tlvk__ref_count(call->x[0]) / c;
    for (size_t k = 0; call->dw[0] && k < c; k++) {
        double sum = 0, size = 0;
        for (size_t i = k; i < rows * c; i += c) {
            sum += call->dy->v[i] * call->x[0]->v[i];
            size += fabs(call->dy->v[i] * call->x[0]->v[i]);
        }
        call->dw[0]->v[k] = sum;
        if (call->dw[0]->e)
            call->dw[0]->e[k] = (4 * sqrt((double)rows) + 4) * TLVK__U * size;
    }
    if (call->dx[0])
        product(call, call->dy, call->dx[0]);
    return TLVK_OK;
}

static bool test_case(int index, tlvk__op_case *c) {
    static const struct { int channels; tlvk__shape x; bool real; } cases[] = {
        {5, {4, {3, 4, 5, 5}}, false}, {8, {4, {2, 19, 17, 8}}, false}, {10, {2, {7, 10}}, false}, {1, {2, {3, 1}}, false}, {96, {4, {8, 56, 56, 96}}, true},
    };
    if (index < 0 || (size_t)index >= TLVK__COUNT(cases))
        return false;
    memcpy(c->attrs.bytes, &(tlvk__layer_scale_attrs){1e-6f, cases[index].channels}, sizeof(tlvk__layer_scale_attrs));
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->real_size = cases[index].real;
    snprintf(c->name, sizeof c->name, "%s", tlvk__shape_text(&c->x[0], (char[64]){0}, 64));
    return true;
}

static const tlvk__field fields[] = {
    {.key = "init_values", .type = TLVK__FIELD_FLOAT, .offset = offsetof(tlvk__layer_scale_attrs, init_values)},
    {.key = "projection_dim", .type = TLVK__FIELD_INT, .offset = offsetof(tlvk__layer_scale_attrs, projection_dim)},
    {0},
};

const tlvk__op tlvk__op_layer_scale = {
    .class_name = "LayerScale", .keras3_module = "keras.src.applications.convnext", .snake_name = "layer_scale", .min_inputs = 1, .max_inputs = 1, .attr_bytes = sizeof(tlvk__layer_scale_attrs),
    .fields = fields, .defaults = defaults, .shape = shape, .variables = variables, .backward_reads = backward_reads, .flops = tlvk__elementwise_flops,
    .needs = needs, .forward = forward, .backward = backward, .reference_forward = reference_forward, .reference_backward = reference_backward,
    .test_case = test_case,
};
