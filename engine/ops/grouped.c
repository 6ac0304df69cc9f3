/* grouped.c - recording a Conv2D of several groups without a matrix product: groups are often of a few channels, on which a tile of a
 * product would idle. One dispatch per piece forward and for the weights, one per stride phase for the input.
 * Shaders: grouped_conv2d, grouped_weights, sum_parts. */
#include "ops/grouped.h"

enum { GROUP = 64, STRIP = 4 /* PIXELS of grouped_conv2d.comp */, WANTED_ITEMS = 16384, MOST_CHAIN = 16384, LEAST_CHAIN = 256 };
static const uint64_t most_part_bytes = 32u << 20;

/* Numbers of shaders/grouped_conv2d.comp, in its order. */
typedef struct grouped_push {
    uint32_t a_base, b_base, c_base;
    int32_t items, grid_h, grid_w, h, w, a_pitch, taps_h, taps_w, stride_y, stride_x, offset_y, offset_x, tap_y, tap_x;
    int32_t c_n, c_y, c_x, c_vecs, b_pitch, b_tap_y, b_tap_x;
    tlvk__epilogue_push epilogue;
    int32_t group_a, group_c;
} grouped_push;
_Static_assert(sizeof(grouped_push) <= 128, "push constants beyond what every device takes");

typedef struct channels { int64_t in, out; bool aligned; } channels; /* of one group */

static channels channels_of(const tlvk__grouped_call *g) {
    channels c = {.in = g->call->x[0]->c / g->groups, .out = g->call->y->c / g->groups};
    c.aligned = c.in % TLVK__LANES == 0 && c.out % TLVK__LANES == 0;
    return c;
}

/* Rows of w per tap. */
static int64_t tap_rows(const channels *c) {
    return tlvk__pitch(c->in);
}

/* The whole kernel as one binding. */
static tlvk__binding kernel_binding(const tlvk__caps *caps, const tlvk__tensor *w, tlvk__access access, uint32_t *base) {
    return tlvk__tensor_window(caps, w, 0, w->n, access, base);
}

/* --- how the weights' sum is cut -------------------------------------------------------------------------------------------------------- */

typedef struct part_plan { int64_t quads, parts, part_pixels; uint64_t part_bytes; } part_plan;

/* From the whole batch, so that the cut does not depend on its pieces. */
static part_plan part_plan_of(const tlvk__grouped_call *g, const channels *c) {
    const tlvk__conv_shape *s = &g->shape;
    part_plan p = {.quads = s->kh * s->kw * tap_rows(c) / TLVK__LANES};
    int64_t pixels = g->call->y->n * s->oh * s->ow;
    p.part_bytes = (uint64_t)(p.quads * TLVK__LANES * s->cout_vecs) * 16;
    int64_t wanted = TLVK__MAX(tlvk__div_up(WANTED_ITEMS, p.quads * s->cout_vecs), tlvk__div_up(pixels, MOST_CHAIN));
    wanted = TLVK__MIN(wanted, tlvk__div_up(pixels, LEAST_CHAIN));
    wanted = TLVK__MAX(TLVK__MIN(wanted, (int64_t)(most_part_bytes / p.part_bytes)), 1);
    p.part_pixels = tlvk__div_up(pixels, wanted);
    p.parts = tlvk__div_up(pixels, p.part_pixels);
    return p;
}

static uint64_t parts_bytes(const part_plan *p) {
    return tlvk__round_up((uint64_t)p->parts * p->part_bytes, 256);
}

tlvk_status tlvk__grouped_needs(const tlvk__caps *caps, const tlvk__grouped_call *g, bool want_dw, tlvk__op_needs *needs) {
    channels c = channels_of(g);
    part_plan p = part_plan_of(g, &c);
    if (p.part_bytes > tlvk__window_room(caps))
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: its kernel of %lld groups takes %llu bytes, more than the device binds at once (%llu)", g->call->layer,
                          (long long)g->groups, (unsigned long long)p.part_bytes, (unsigned long long)caps->max_binding_bytes);
    needs->forward_scratch_bytes = g->call->epilogue.scale ? (uint64_t)g->shape.cout_vecs * 32 : 0;
    if (want_dw)
        needs->backward_scratch_bytes = parts_bytes(&p) + tlvk__column_sums_bytes(g->call->y);
    return TLVK_OK;
}

/* --- forward ---------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status record_pixels(tlvk__recorder *r, const channels *c, const char *shader, tlvk__dispatch *d, grouped_push *push, int64_t samples, bool forward) {
    int64_t items = samples * push->grid_h * tlvk__div_up(push->grid_w, STRIP) * push->c_vecs;
    if (items > INT32_MAX)
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s: a piece of %lld fours of outputs is more than one dispatch counts", d->layer, (long long)items);
    push->items = (int32_t)items;
    push->group_a = (int32_t)(forward ? c->in : c->out);
    push->group_c = (int32_t)(forward ? c->out : c->in);
    d->shader = shader;
    d->push = push;
    d->push_bytes = sizeof *push;
    d->groups[0] = (uint64_t)tlvk__div_up(items, GROUP);
    double elements = (double)samples * push->grid_h * push->grid_w * push->c_vecs, k = (double)push->taps_h * push->taps_w * push->group_a;
    d->flops = 8.0 * elements * k;
    d->bytes = 16.0 * elements * 2;
    return tlvk__record_dispatch(r, d);
}

tlvk_status tlvk__grouped_forward(tlvk__recorder *r, const tlvk__grouped_call *g) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__op_call *call = g->call;
    const tlvk__conv_shape *s = &g->shape;
    channels c = channels_of(g);
    uint32_t b_base, activation;
    tlvk__binding b = kernel_binding(caps, call->w[0], TLVK__READ, &b_base), vectors;
    tlvk__epilogue_push epilogue;
    tlvk_status status = tlvk__epilogue_bind(r, call, call->w[1], s->cout, call->scratch, b, "conv2d", &vectors, &epilogue, &activation);
    const tlvk__tensor *walked[] = {call->x[0], call->y};
    tlvk__piece piece = {0, 0};
    for (bool more = true; !status;) {
        status = tlvk__next_piece(caps, walked, 2, call->y->n, &piece, &more);
        if (status || !more)
            break;
        grouped_push push = {
            .b_base = b_base, .grid_h = (int32_t)s->oh, .grid_w = (int32_t)s->ow, .h = (int32_t)s->h, .w = (int32_t)s->w, .a_pitch = (int32_t)s->cin_vecs,
            .taps_h = (int32_t)s->kh, .taps_w = (int32_t)s->kw, .stride_y = (int32_t)s->stride[0], .stride_x = (int32_t)s->stride[1],
            .offset_y = (int32_t)-s->pad[0], .offset_x = (int32_t)-s->pad[1], .tap_y = (int32_t)s->dilation[0], .tap_x = (int32_t)s->dilation[1],
            .c_n = (int32_t)(s->oh * s->ow * s->cout_vecs), .c_y = (int32_t)(s->ow * s->cout_vecs), .c_x = (int32_t)s->cout_vecs,
            .c_vecs = (int32_t)s->cout_vecs, .b_pitch = (int32_t)s->cout_vecs, .b_tap_y = (int32_t)(s->kw * tap_rows(&c) * s->cout_vecs),
            .b_tap_x = (int32_t)(tap_rows(&c) * s->cout_vecs), .epilogue = epilogue};
        tlvk__dispatch d = {.specs = {{"WG", GROUP}, {"ACTIVATION", activation}}, .bindings = {{.access = 0}, b, {.access = 0}, vectors}, .binding_count = 4,
                            .operation = "conv2d", .layer = call->layer};
        d.bindings[0] = tlvk__tensor_window(caps, call->x[0], piece.n0, piece.n1, TLVK__READ, &push.a_base);
        d.bindings[2] = tlvk__tensor_window(caps, call->y, piece.n0, piece.n1, TLVK__WRITE, &push.c_base);
        status = record_pixels(r, &c, c.aligned ? "grouped_conv2d_forward_aligned" : "grouped_conv2d_forward_any", &d, &push, piece.n1 - piece.n0, true);
    }
    return status;
}

/* --- backward --------------------------------------------------------------------------------------------------------------------------- */

/* One stride phase of dx, as gemm_backward.c explains it. */
static tlvk_status data_phase(tlvk__recorder *r, const tlvk__grouped_call *g, const tlvk__piece *piece, const tlvk__phase *y, const tlvk__phase *x) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__op_call *call = g->call;
    const tlvk__conv_shape *s = &g->shape;
    channels c = channels_of(g);
    bool none = y->taps == 0 || x->taps == 0, accumulate = call->dx_accumulate[0];
    if (y->count == 0 || x->count == 0 || (none && accumulate))
        return TLVK_OK;
    int64_t tap_vecs = tap_rows(&c) * s->cout_vecs;
    grouped_push push = {
        .grid_h = (int32_t)y->count, .grid_w = (int32_t)x->count, .h = (int32_t)s->oh, .w = (int32_t)s->ow, .a_pitch = (int32_t)s->cout_vecs,
        .taps_h = none ? 0 : (int32_t)y->taps, .taps_w = (int32_t)x->taps, .stride_y = 1, .stride_x = 1, .offset_y = (int32_t)y->offset,
        .offset_x = (int32_t)x->offset, .tap_y = (int32_t)y->step, .tap_x = (int32_t)x->step, .c_n = (int32_t)(s->h * s->w * s->cin_vecs),
        .c_y = (int32_t)(s->stride[0] * s->w * s->cin_vecs), .c_x = (int32_t)(s->stride[1] * s->cin_vecs), .c_vecs = (int32_t)s->cin_vecs,
        .b_pitch = (int32_t)s->cout_vecs, .b_tap_y = (int32_t)(y->w_step * s->kw * tap_vecs), .b_tap_x = (int32_t)(x->w_step * tap_vecs)};
    tlvk__epilogue_none(call->x[0]->c, &push.epilogue);
    tlvk__dispatch d = {.specs = {{"WG", GROUP}, {"ACCUMULATE", accumulate}}, .binding_count = 3, .operation = "conv2d_backward_data", .layer = call->layer};
    d.bindings[0] = tlvk__tensor_window(caps, call->dy, piece->n0, piece->n1, TLVK__READ, &push.a_base);
    d.bindings[1] = kernel_binding(caps, call->w[0], TLVK__READ, &push.b_base);
    d.bindings[2] = tlvk__tensor_window(caps, call->dx[0], piece->n0, piece->n1, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, &push.c_base);
    push.b_base += (uint32_t)((y->w_first * s->kw + x->w_first) * tap_vecs);
    push.c_base += (uint32_t)((y->first * s->w + x->first) * s->cin_vecs);
    return record_pixels(r, &c, c.aligned ? "grouped_conv2d_data_aligned" : "grouped_conv2d_data_any", &d, &push, piece->n1 - piece->n0, false);
}

static tlvk_status backward_data(tlvk__recorder *r, const tlvk__grouped_call *g) {
    const tlvk__conv_shape *s = &g->shape;
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *walked[] = {g->call->dy, g->call->dx[0]};
    tlvk__piece piece = {0, 0};
    for (bool more = true;;) {
        tlvk_status status = tlvk__next_piece(caps, walked, 2, g->call->dy->n, &piece, &more);
        if (status || !more)
            return status;
        for (int64_t py = 0; py < TLVK__MIN(s->stride[0], s->h); py++)
            for (int64_t px = 0; px < TLVK__MIN(s->stride[1], s->w); px++) {
                tlvk__phase y = tlvk__backward_phase(py, s->h, s->kh, s->stride[0], s->dilation[0], s->pad[0]);
                tlvk__phase x = tlvk__backward_phase(px, s->w, s->kw, s->stride[1], s->dilation[1], s->pad[1]);
                status = data_phase(r, g, &piece, &y, &x);
                if (status)
                    return status;
            }
    }
}

/* Numbers of shaders/grouped_weights.comp, in its order. */
typedef struct weights_push {
    uint32_t a_base, b_base, c_base;
    int32_t items, quads, c_vecs, columns, pixels, part_pixels, grid_h, grid_w, h, w, a_pitch, tap_quads, taps_w;
    int32_t stride_y, stride_x, offset_y, offset_x, tap_y, tap_x, group_a, group_c;
} weights_push;

static tlvk_status weights_piece(tlvk__recorder *r, const tlvk__grouped_call *g, const tlvk__piece *piece, const part_plan *p, bool accumulate) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__op_call *call = g->call;
    const tlvk__conv_shape *s = &g->shape;
    channels c = channels_of(g);
    int64_t pixels = (piece->n1 - piece->n0) * s->oh * s->ow, parts = tlvk__div_up(pixels, p->part_pixels);
    weights_push push = {
        .items = (int32_t)(parts * p->quads * s->cout_vecs), .quads = (int32_t)p->quads, .c_vecs = (int32_t)s->cout_vecs, .columns = (int32_t)call->dy->c,
        .pixels = (int32_t)pixels, .part_pixels = (int32_t)p->part_pixels, .grid_h = (int32_t)s->oh, .grid_w = (int32_t)s->ow, .h = (int32_t)s->h,
        .w = (int32_t)s->w, .a_pitch = (int32_t)s->cin_vecs, .tap_quads = (int32_t)(tap_rows(&c) / TLVK__LANES), .taps_w = (int32_t)s->kw,
        .stride_y = (int32_t)s->stride[0], .stride_x = (int32_t)s->stride[1], .offset_y = (int32_t)-s->pad[0], .offset_x = (int32_t)-s->pad[1],
        .tap_y = (int32_t)s->dilation[0], .tap_x = (int32_t)s->dilation[1], .group_a = (int32_t)c.in, .group_c = (int32_t)c.out};
    tlvk__span partial = {call->scratch.buffer, call->scratch.offset, (uint64_t)parts * p->part_bytes};
    tlvk__dispatch d = {.shader = c.aligned ? "grouped_weights_aligned" : "grouped_weights_any", .specs = {{"WG", GROUP}}, .binding_count = 3, .push = &push,
                        .push_bytes = sizeof push, .groups = {(uint64_t)tlvk__div_up(push.items, GROUP)},
                        .flops = 32.0 * (double)p->quads * (double)s->cout_vecs * (double)pixels, .bytes = 32.0 * (double)pixels * (double)s->cout_vecs,
                        .operation = "conv2d_backward_weights", .layer = call->layer};
    d.bindings[0] = tlvk__tensor_window(caps, call->x[0], piece->n0, piece->n1, TLVK__READ, &push.a_base);
    d.bindings[1] = tlvk__tensor_window(caps, call->dy, piece->n0, piece->n1, TLVK__READ, &push.b_base);
    d.bindings[2] = tlvk__span_window(caps, partial, TLVK__WRITE, &push.c_base);
    tlvk_status status = tlvk__record_dispatch(r, &d);
    if (status)
        return status;
    uint32_t to_base;
    tlvk__binding to = kernel_binding(caps, call->dw[0], accumulate ? TLVK__READ_WRITE : TLVK__WRITE, &to_base);
    return tlvk__record_sum_parts(r, partial, parts, (int64_t)(p->part_bytes / 16), to, to_base, accumulate, "conv2d_backward_weights", call->layer);
}

static tlvk_status backward_weights(tlvk__recorder *r, const tlvk__grouped_call *g, const part_plan *p) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *walked[] = {g->call->x[0], g->call->dy};
    tlvk__piece piece = {0, 0};
    bool accumulate = g->call->dw_accumulate[0];
    for (bool more = true;;) {
        tlvk_status status = tlvk__next_piece(caps, walked, 2, g->call->dy->n, &piece, &more);
        if (!status && more)
            status = weights_piece(r, g, &piece, p, accumulate);
        if (status || !more)
            return status;
        accumulate = true;
    }
}

tlvk_status tlvk__grouped_backward(tlvk__recorder *r, const tlvk__grouped_call *g) {
    const tlvk__op_call *call = g->call;
    channels c = channels_of(g);
    part_plan p = part_plan_of(g, &c);
    uint64_t used = parts_bytes(&p);
    tlvk_status s = call->dw[0] ? backward_weights(r, g, &p) : TLVK_OK;
    if (!s && call->dw[1]) {
        tlvk__span rest = {call->scratch.buffer, call->scratch.offset + used, call->scratch.bytes - used};
        s = tlvk__record_column_sums(r, call->dy, call->dw[1], call->dw_accumulate[1], rest, "conv2d_backward_bias", call->layer);
    }
    return !s && call->dx[0] ? backward_data(r, g) : s;
}
