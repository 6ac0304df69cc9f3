/* gemm_backward.c - gradients of the products of Conv2D and Dense: with respect to the input, the weights and the bias.
 * Hides: stride phases, splits of the sum over pixels, weights larger than one binding. Shaders: conv2d_gemm, conv2d_weights, sum_parts. */
#include "ops/gemm.h"

#include <stdio.h>

/* --- with respect to the input -------------------------------------------------------------------------------------------------------------- */

static int64_t gcd(int64_t a, int64_t b) {
    while (b) {
        int64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

tlvk__phase tlvk__backward_phase(int64_t first, int64_t size, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
    tlvk__phase p = {.first = first, .count = first < size ? tlvk__div_up(size - first, stride) : 0};
    int64_t apart = stride / gcd(stride, dilation), k = 0;
    while (k < kernel && (first + pad - k * dilation) % stride != 0)
        k++;
    if (k == kernel)
        return p;
    p.taps = (kernel - 1 - k) / apart + 1;
    p.step = apart * dilation / stride;
    p.w_first = k + (p.taps - 1) * apart;
    p.w_step = -apart;
    p.offset = (first + pad - p.w_first * dilation) / stride;
    return p;
}

typedef struct data_state {
    const tlvk__caps *caps;
    const tlvk__gemm_call *g;
    tlvk__tile tile;
    tlvk__piece piece;
    char operation[48];
} data_state;

/* One phase of dx's columns c0 to c1 from the taps that `y` and `x` name; b holds the weights from tap `b_tap` on, of columns from c0. */
static tlvk_status data_dispatch(tlvk__recorder *r, const data_state *f, const tlvk__phase *y, const tlvk__phase *x, tlvk__binding b, uint32_t b_base,
                                 int64_t c0, int64_t c1, bool accumulate) {
    const tlvk__conv_shape *s = &f->g->shape;
    const tlvk__op_call *call = f->g->call;
    bool none = y->taps == 0 || x->taps == 0;
    if (y->count == 0 || x->count == 0 || (none && accumulate))
        return TLVK_OK;
    int64_t samples = f->piece.n1 - f->piece.n0, tap_vecs = s->cin_vecs * TLVK__LANES * s->cout_vecs, apart = tlvk__row_vecs(call->dx[0]);
    tlvk__gemm_push push = {
        .rows = (int32_t)(samples * y->count * x->count), .grid_h = (int32_t)y->count, .grid_w = (int32_t)x->count, .h = (int32_t)s->oh, .w = (int32_t)s->ow,
        .a_pitch = (int32_t)tlvk__row_vecs(call->dy), .k_vecs = (int32_t)s->cout_vecs, .taps_h = none ? 0 : (int32_t)y->taps, .taps_w = none ? 1 : (int32_t)x->taps,
        .stride_y = 1, .stride_x = 1, .offset_y = (int32_t)y->offset, .offset_x = (int32_t)x->offset, .tap_y = (int32_t)y->step, .tap_x = (int32_t)x->step,
        .c_n = (int32_t)(s->h * s->w * apart), .c_y = (int32_t)(s->stride[0] * s->w * apart), .c_x = (int32_t)(s->stride[1] * apart),
        .c_vecs = (int32_t)(c1 - c0), .b_pitch = (int32_t)s->cout_vecs, .b_tap_y = (int32_t)(y->w_step * s->kw * tap_vecs), .b_tap_x = (int32_t)(x->w_step * tap_vecs)};
    tlvk__epilogue_none(4 * (c1 - c0), &push.epilogue);
    char name[64];
    tlvk__dispatch d = {.bindings = {{.access = 0}, b, {.access = 0}}, .binding_count = 3, .push = &push, .push_bytes = sizeof push,
                        .operation = f->operation, .layer = call->layer};
    tlvk__gemm_dispatch(f->caps, &f->tile, "conv2d_gemm", accumulate ? "columns_residual" : "columns", name, &d);
    d.bindings[0] = tlvk__tensor_window(f->caps, call->dy, f->piece.n0, f->piece.n1, TLVK__READ, &push.a_base);
    d.bindings[2] = tlvk__tensor_window(f->caps, call->dx[0], f->piece.n0, f->piece.n1, TLVK__WRITE, &push.c_base);
    if (accumulate) {
        d.bindings[d.binding_count] = d.bindings[2];
        d.bindings[d.binding_count++].access = TLVK__READ;
    }
    push.b_base = b_base + (uint32_t)((y->w_first * s->kw + x->w_first) * tap_vecs);
    push.c_base += (uint32_t)((y->first * s->w + x->first) * apart + c0);
    d.groups[0] = (uint64_t)tlvk__div_up(push.rows, f->tile.rows_per_group);
    d.groups[1] = (uint64_t)tlvk__div_up(push.c_vecs, f->tile.vecs);
    double m = push.rows, k = (double)push.taps_h * push.taps_w * push.k_vecs, columns = push.c_vecs;
    d.flops = 32.0 * m * k * columns;
    d.bytes = 16.0 * (m * push.k_vecs + 4 * k * columns + m * columns);
    return tlvk__record_dispatch(r, &d);
}

/* The samples of the piece, w in one binding: every phase on its own. */
static tlvk_status data_whole(tlvk__recorder *r, const data_state *f) {
    const tlvk__conv_shape *s = &f->g->shape;
    const tlvk__tensor *w = f->g->call->w[0];
    uint32_t base;
    tlvk__binding b = tlvk__tensor_window(f->caps, w, 0, w->n, TLVK__READ, &base);
    for (int64_t py = 0; py < TLVK__MIN(s->stride[0], s->h); py++)
        for (int64_t px = 0; px < TLVK__MIN(s->stride[1], s->w); px++) {
            tlvk__phase y = tlvk__backward_phase(py, s->h, s->kh, s->stride[0], s->dilation[0], s->pad[0]);
            tlvk__phase x = tlvk__backward_phase(px, s->w, s->kw, s->stride[1], s->dilation[1], s->pad[1]);
            tlvk_status status = data_dispatch(r, f, &y, &x, b, base, 0, s->cin_vecs, f->g->call->dx_accumulate[0]);
            if (status)
                return status;
        }
    return TLVK_OK;
}

/* The phase that kernel tap k alone reaches. */
static tlvk__phase tap_phase(int64_t k, int64_t size, int64_t stride, int64_t dilation, int64_t pad) {
    int64_t first = ((k * dilation - pad) % stride + stride) % stride;
    return (tlvk__phase){.first = first, .count = first < size ? tlvk__div_up(size - first, stride) : 0, .taps = 1, .offset = (first + pad - k * dilation) / stride};
}

/* The same with w in parts: dx starts at zero and every part adds its tap's share to its columns. A slice is never filled so, since its Concatenate has
 * written it before (plan/slice.c) and this adds to it. */
static tlvk_status data_parts(tlvk__recorder *r, const data_state *f) {
    const tlvk__conv_shape *s = &f->g->shape;
    const tlvk__op_call *call = f->g->call;
    if (!call->dx_accumulate[0]) {
        uint32_t base;
        tlvk__binding all = tlvk__tensor_window(f->caps, call->dx[0], f->piece.n0, f->piece.n1, TLVK__WRITE, &base);
        tlvk__span span = {all.span.buffer, all.span.offset + (uint64_t)base * 16, all.span.bytes - (uint64_t)base * 16};
        tlvk_status status = tlvk__record_fill(r, span, 0);
        if (status)
            return status;
    }
    tlvk__weight_part part = {0};
    bool more;
    for (;;) {
        tlvk_status status = tlvk__next_weight_part(f->caps, call->w[0], s->kh * s->kw, s->cin_vecs, &part, &more);
        if (status || !more)
            return status;
        uint32_t base;
        tlvk__binding b = tlvk__tensor_window(f->caps, call->w[0], part.row0, part.row1, TLVK__READ, &base);
        tlvk__phase y = tap_phase(part.tap / s->kw, s->h, s->stride[0], s->dilation[0], s->pad[0]);
        tlvk__phase x = tap_phase(part.tap % s->kw, s->w, s->stride[1], s->dilation[1], s->pad[1]);
        status = data_dispatch(r, f, &y, &x, b, base, part.c0, part.c1, true);
        if (status)
            return status;
    }
}

static tlvk_status backward_data(tlvk__recorder *r, const tlvk__gemm_call *g) {
    const tlvk__conv_shape *s = &g->shape;
    data_state f = {.caps = tlvk__device_caps(tlvk__recorder_device(r)), .g = g};
    f.tile = tlvk__gemm_tile(f.caps, g, TLVK__GEMM_DATA);
    snprintf(f.operation, sizeof f.operation, "%s%s", g->operation, g->transposed ? "" : "_backward_data");
    tlvk__weight_part part = {0};
    bool more;
    tlvk_status status = tlvk__next_weight_part(f.caps, g->call->w[0], s->kh * s->kw, s->cin_vecs, &part, &more);
    bool whole = part.row1 == g->call->w[0]->n;
    const tlvk__tensor *walked[] = {g->call->dy, g->call->dx[0]};
    while (!status) {
        status = tlvk__next_piece(f.caps, walked, 2, g->call->dy->n, &f.piece, &more);
        if (status || !more)
            break;
        status = whole ? data_whole(r, &f) : data_parts(r, &f);
    }
    return status;
}

/* --- with respect to the weights ------------------------------------------------------------------------------------------------------------ */

/* Numbers of shaders/conv2d_weights.comp, in its order. */
typedef struct weights_push {
    uint32_t a_base, b_base, c_base;
    int32_t rows, row_first, pixels, grid_h, grid_w, h, w, a_pitch, k_vecs, taps_w, stride_y, stride_x, offset_y, offset_x, tap_y, tap_x, b_pitch, c_vecs;
    int32_t panels, split_chunks, c_split;
} weights_push;

enum { WANTED_TILES = 512, FEW_TILES = 128, MOST_CHAIN = 16384, LEAST_CHAIN = 256 };
static const uint64_t most_split_bytes = 32u << 20;

typedef struct split_plan { int64_t panels, splits, split_chunks; } split_plan;

/* The sum over pixels is cut so that the device has enough tiles at once and no chain of additions is longer than MOST_CHAIN, as far as the
 * partial sums take no more than most_split_bytes. From the whole batch, so that it does not depend on how that is cut into pieces. */
static split_plan split_plan_of(const tlvk__conv_shape *s, const tlvk__tile *t, int64_t samples) {
    split_plan p = {.panels = tlvk__div_up(s->cout_vecs, t->vecs)};
    int64_t rows = s->kh * s->kw * s->cin_vecs * TLVK__LANES, pixels = samples * s->oh * s->ow;
    int64_t tiles = tlvk__div_up(rows, t->rows) * p.panels;
    int64_t wanted = TLVK__MAX(tlvk__div_up(t->long_sums ? FEW_TILES : WANTED_TILES, tiles), tlvk__div_up(pixels, MOST_CHAIN));
    wanted = TLVK__MIN(wanted, tlvk__div_up(pixels, LEAST_CHAIN));
    int64_t fit = (int64_t)(most_split_bytes / ((uint64_t)(rows * s->cout_vecs) * 16));
    wanted = TLVK__MAX(TLVK__MIN(wanted, fit), 1);
    int64_t chunks = tlvk__div_up(pixels, t->kc);
    p.split_chunks = tlvk__div_up(chunks, wanted);
    p.splits = tlvk__div_up(chunks, p.split_chunks);
    return p;
}

static uint64_t split_bytes(const tlvk__conv_shape *s, const split_plan *p) {
    return p->splits > 1 ? (uint64_t)(p->splits * s->kh * s->kw * s->cin_vecs * TLVK__LANES * s->cout_vecs) * 16 : 0;
}

uint64_t tlvk__gemm_weights_scratch(const tlvk__caps *caps, const tlvk__gemm_call *g) {
    tlvk__tile t = tlvk__gemm_tile(caps, g, TLVK__GEMM_WEIGHTS);
    split_plan p = split_plan_of(&g->shape, &t, g->call->y->n);
    return tlvk__round_up(split_bytes(&g->shape, &p), 256) + tlvk__column_sums_bytes(g->call->y);
}

typedef struct weights_state {
    const tlvk__caps *caps;
    const tlvk__gemm_call *g;
    tlvk__tile tile;
    split_plan plan;
    tlvk__piece piece;
    char operation[48];
} weights_state;

/* Rows row0 to row1 of dw from the samples of the piece. */
static tlvk_status weights_dispatch(tlvk__recorder *r, const weights_state *f, int64_t row0, int64_t row1, bool accumulate) {
    const tlvk__conv_shape *s = &f->g->shape;
    const tlvk__op_call *call = f->g->call;
    int64_t pixels = (f->piece.n1 - f->piece.n0) * s->oh * s->ow, splits = tlvk__div_up(tlvk__div_up(pixels, f->tile.kc), f->plan.split_chunks);
    weights_push push = {.rows = (int32_t)(row1 - row0), .row_first = (int32_t)row0, .pixels = (int32_t)pixels, .grid_h = (int32_t)s->oh, .grid_w = (int32_t)s->ow,
                         .h = (int32_t)s->h, .w = (int32_t)s->w, .a_pitch = (int32_t)tlvk__row_vecs(call->x[0]), .k_vecs = (int32_t)s->cin_vecs, .taps_w = (int32_t)s->kw,
                         .stride_y = (int32_t)s->stride[0], .stride_x = (int32_t)s->stride[1], .offset_y = (int32_t)-s->pad[0], .offset_x = (int32_t)-s->pad[1],
                         .tap_y = (int32_t)s->dilation[0], .tap_x = (int32_t)s->dilation[1], .b_pitch = (int32_t)tlvk__row_vecs(call->dy), .c_vecs = (int32_t)s->cout_vecs,
                         .panels = (int32_t)f->plan.panels, .split_chunks = (int32_t)f->plan.split_chunks, .c_split = (int32_t)((row1 - row0) * s->cout_vecs)};
    char name[64];
    uint32_t to_base;
    tlvk__binding to = tlvk__tensor_window(f->caps, call->dw[0], row0, row1, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, &to_base);
    tlvk__dispatch d = {.bindings = {{.access = 0}, {.access = 0}, to}, .binding_count = 3, .push = &push, .push_bytes = sizeof push,
                        .operation = f->operation, .layer = call->layer};
    int n = tlvk__gemm_dispatch(f->caps, &f->tile, "conv2d_weights", "", name, &d);
    d.specs[n] = (tlvk__spec){"ACCUMULATE", splits == 1 && accumulate};
    d.bindings[0] = tlvk__tensor_window(f->caps, call->x[0], f->piece.n0, f->piece.n1, TLVK__READ, &push.a_base);
    d.bindings[1] = tlvk__tensor_window(f->caps, call->dy, f->piece.n0, f->piece.n1, TLVK__READ, &push.b_base);
    push.c_base = to_base;
    tlvk__span partial = {call->scratch.buffer, call->scratch.offset, (uint64_t)(splits * push.c_split) * 16};
    if (splits > 1)
        d.bindings[2] = tlvk__span_window(f->caps, partial, TLVK__WRITE, &push.c_base);
    d.groups[0] = (uint64_t)tlvk__div_up(push.rows, f->tile.rows_per_group);
    d.groups[1] = (uint64_t)(f->plan.panels * splits);
    d.flops = 8.0 * (double)pixels * (double)(row1 - row0) * (double)s->cout_vecs;
    d.bytes = 16.0 * ((double)pixels * (double)(s->cout_vecs + s->cin_vecs) + (double)splits * (double)push.c_split);
    tlvk_status status = tlvk__record_dispatch(r, &d);
    if (status || splits == 1)
        return status;
    return tlvk__record_sum_parts(r, partial, splits, push.c_split, to, to_base, accumulate, f->operation, call->layer);
}

static tlvk_status backward_weights(tlvk__recorder *r, const tlvk__gemm_call *g) {
    const tlvk__op_call *call = g->call;
    const tlvk__tensor *dw = call->dw[0], *walked[] = {call->x[0], call->dy};
    weights_state f = {.caps = tlvk__device_caps(tlvk__recorder_device(r)), .g = g};
    f.tile = tlvk__gemm_tile(f.caps, g, TLVK__GEMM_WEIGHTS);
    f.tile.halves = call->x[0]->half;
    f.plan = split_plan_of(&g->shape, &f.tile, call->y->n);
    snprintf(f.operation, sizeof f.operation, "%s_backward_weights", g->operation);
    bool more, accumulate = call->dw_accumulate[0];
    for (;;) {
        tlvk_status s = tlvk__next_piece(f.caps, walked, 2, call->dy->n, &f.piece, &more);
        if (s || !more)
            return s;
        tlvk__weight_part rows = {0};
        for (;;) {
            s = tlvk__next_weight_part(f.caps, dw, g->shape.kh * g->shape.kw, g->shape.cin_vecs, &rows, &more);
            if (s)
                return s;
            if (!more)
                break;
            s = weights_dispatch(r, &f, rows.row0, rows.row1, accumulate);
            if (s)
                return s;
        }
        accumulate = true;
    }
}

static tlvk_status backward_bias(tlvk__recorder *r, const tlvk__gemm_call *g) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__op_call *call = g->call;
    char operation[48];
    tlvk__tile t = tlvk__gemm_tile(caps, g, TLVK__GEMM_WEIGHTS);
    split_plan p = split_plan_of(&g->shape, &t, call->y->n);
    uint64_t used = tlvk__round_up(split_bytes(&g->shape, &p), 256);
    tlvk__span scratch = {call->scratch.buffer, call->scratch.offset + used, call->scratch.bytes - used};
    snprintf(operation, sizeof operation, "%s_backward_bias", g->operation);
    return tlvk__record_column_sums(r, call->dy, call->dw[1], call->dw_accumulate[1], scratch, operation, call->layer);
}

tlvk_status tlvk__gemm_backward(tlvk__recorder *r, const tlvk__gemm_call *g) {
    tlvk_status s = TLVK_OK;
    if (g->call->dw[0])
        s = backward_weights(r, g);
    if (!s && g->call->dw[1])
        s = backward_bias(r, g);
    if (!s && g->call->dx[0])
        s = backward_data(r, g);
    return s;
}
