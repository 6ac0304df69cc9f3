/* winograd_weights.c - recording the gradient of the weights by F(4x4, 3x3): x and dy into 36 planes, one product over the tiles per plane, which adds up over
 * parts of the tiles, and dw from the 36 sums. Hides: how many tiles go into a part. Shaders: winograd_input, winograd_gemm_weights,
 * winograd_weights_gradient. */
#include "ops/winograd.h"

#include <stdio.h>

enum { CACHED_TILES = 96, PLANES_PER_SUM = 8 };

typedef struct sums {
    const tlvk__caps *caps;
    const tlvk__gemm_call *g;
    tlvk__tile tile;
    int64_t tiles_y, tiles_x, panels;
    uint64_t sums_bytes; /* of the 36 products */
    char operation[48];
} sums;

static sums sums_of(const tlvk__caps *caps, const tlvk__gemm_call *g) {
    const tlvk__conv_shape *s = &g->shape;
    sums m = {.caps = caps, .g = g, .tile = tlvk__gemm_standard_tile(caps, g, TLVK__GEMM_WEIGHTS), .tiles_y = tlvk__div_up(s->oh, TLVK__WINOGRAD_TILE),
              .tiles_x = tlvk__div_up(s->ow, TLVK__WINOGRAD_TILE), .sums_bytes = (uint64_t)(s->cin_vecs * TLVK__LANES) * tlvk__winograd_row_bytes(s->cout_vecs)};
    m.panels = tlvk__div_up(s->cout_vecs, m.tile.vecs);
    snprintf(m.operation, sizeof m.operation, "%s_backward_weights", g->operation);
    return m;
}

/* Tiles done at a time, of `tiles`. On a processor the planes of a part should stay in its caches, and yet be several times as large as the 36 sums, which
 * every part reads and writes (lavapipe as in winograd.c, 256 channels at 56x56, 8 samples: 168, 131, 117, 113 ms with 1, 2, 4, 8 times). */
static int64_t tiles_at_once(const sums *m, int64_t tiles) {
    const tlvk__conv_shape *s = &m->g->shape;
    int64_t both = s->cin_vecs + s->cout_vecs;
    int64_t most = TLVK__MIN(tlvk__winograd_most_tiles(m->caps, both, TLVK__MAX(s->cin_vecs, s->cout_vecs), m->tile.kc), tiles);
    int64_t wanted = TLVK__MAX((int64_t)CACHED_TILES, PLANES_PER_SUM * TLVK__LANES * s->cin_vecs * s->cout_vecs / both), parts = TLVK__MAX(tiles / wanted, 1);
    if (!tlvk__on_processor(m->caps))
        return most;
    return TLVK__MIN(most, (int64_t)tlvk__round_up((uint64_t)tlvk__div_up(tiles, parts), (uint64_t)m->tile.kc));
}

uint64_t tlvk__winograd_weights_scratch(const tlvk__caps *caps, const tlvk__gemm_call *g) {
    sums m = sums_of(caps, g);
    const tlvk__conv_shape *s = &g->shape;
    int64_t tiles = tlvk__winograd_most_tiles(caps, s->cin_vecs + s->cout_vecs, TLVK__MAX(s->cin_vecs, s->cout_vecs), m.tile.kc);
    tiles = TLVK__MIN(tiles, g->call->y->n * m.tiles_y * m.tiles_x);
    return tlvk__round_up(m.sums_bytes, 256) + tlvk__round_up((uint64_t)tiles * tlvk__winograd_row_bytes(s->cin_vecs), 256) +
           (uint64_t)tiles * tlvk__winograd_row_bytes(s->cout_vecs);
}

/* Some tiles, and where their planes and the sums lie. */
typedef struct part {
    tlvk__piece piece;
    int64_t first, count;
    tlvk__span sums, inputs, gradients;
} part;

static tlvk_status multiply(tlvk__recorder *r, const sums *m, const part *at, bool accumulate) {
    const tlvk__conv_shape *s = &m->g->shape;
    struct { uint32_t a_base, b_base, c_base; int32_t tiles, a_vecs, c_vecs, panels, a_plane, b_plane, c_plane; } push = {
        0, 0, 0, (int32_t)at->count, (int32_t)s->cin_vecs, (int32_t)s->cout_vecs, (int32_t)m->panels, (int32_t)(at->count * s->cin_vecs),
        (int32_t)(at->count * s->cout_vecs), (int32_t)(s->cin_vecs * TLVK__LANES * s->cout_vecs)};
    char name[64];
    tlvk__dispatch d = {.binding_count = 3, .push = &push, .push_bytes = sizeof push, .operation = m->operation, .layer = m->g->call->layer,
                        .groups = {(uint64_t)tlvk__div_up(s->cin_vecs * TLVK__LANES, m->tile.rows_per_group), (uint64_t)(TLVK__WINOGRAD_POSITIONS * m->panels)}};
    int n = tlvk__gemm_dispatch(m->caps, &m->tile, "winograd_gemm_weights", "", name, &d);
    d.specs[n] = (tlvk__spec){"ACCUMULATE", accumulate};
    d.flops = 32.0 * TLVK__WINOGRAD_POSITIONS * (double)at->count * (double)s->cin_vecs * (double)s->cout_vecs;
    d.bytes = (double)at->inputs.bytes + (double)at->gradients.bytes + (double)at->sums.bytes * (accumulate ? 2 : 1);
    d.bindings[0] = tlvk__span_window(m->caps, at->inputs, TLVK__READ, &push.a_base);
    d.bindings[1] = tlvk__span_window(m->caps, at->gradients, TLVK__READ, &push.b_base);
    d.bindings[2] = tlvk__span_window(m->caps, at->sums, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, &push.c_base);
    return tlvk__record_dispatch(r, &d);
}

static tlvk_status add_part(tlvk__recorder *r, const sums *m, part *at, bool accumulate) {
    const tlvk__conv_shape *s = &m->g->shape;
    const tlvk__op_call *call = m->g->call;
    tlvk__span room = {call->scratch.buffer, call->scratch.offset + tlvk__round_up(m->sums_bytes, 256), 0};
    at->inputs = (tlvk__span){room.buffer, room.offset, (uint64_t)at->count * tlvk__winograd_row_bytes(s->cin_vecs)};
    at->gradients = (tlvk__span){room.buffer, room.offset + tlvk__round_up(at->inputs.bytes, 256), (uint64_t)at->count * tlvk__winograd_row_bytes(s->cout_vecs)};
    tlvk__winograd_tiles t = {.from = call->x[0], .piece = at->piece, .h = s->h, .w = s->w, .vecs = s->cin_vecs, .offset = {-s->pad[0], -s->pad[1]},
                              .tiles_y = m->tiles_y, .tiles_x = m->tiles_x, .first = at->first, .count = at->count, .k_vecs = s->cin_vecs,
                              .operation = m->operation, .layer = call->layer};
    tlvk_status status = tlvk__winograd_transform(r, &t, at->inputs);
    t.from = call->dy;
    t.gradient = true;
    t.h = s->oh;
    t.w = s->ow;
    t.vecs = t.k_vecs = s->cout_vecs;
    t.offset[0] = t.offset[1] = 0;
    if (!status)
        status = tlvk__winograd_transform(r, &t, at->gradients);
    return status ? status : multiply(r, m, at, accumulate);
}

static tlvk_status finish(tlvk__recorder *r, const sums *m, tlvk__span from) {
    const tlvk__conv_shape *s = &m->g->shape;
    const tlvk__op_call *call = m->g->call;
    const tlvk__tensor *dw = call->dw[0];
    if (dw->segment_count != 1)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "%s: the weights of a convolution by Winograd lie in several segments", call->layer);
    int64_t plane = s->cin_vecs * TLVK__LANES * s->cout_vecs;
    bool accumulate = call->dw_accumulate[0];
    struct { uint32_t m_base, w_base; int32_t plane; } push = {0, 0, (int32_t)plane};
    tlvk__dispatch d = {.shader = tlvk__texel_operands(m->caps) ? "winograd_weights_gradient_texel" : "winograd_weights_gradient_storage",
                        .specs = {{"WG", TLVK__WINOGRAD_LANES}, {"ACCUMULATE", accumulate}}, .binding_count = 2, .push = &push, .push_bytes = sizeof push,
                        .groups = {(uint64_t)tlvk__div_up(plane, TLVK__WINOGRAD_LANES)}, .flops = 4 * 117.0 * (double)plane, .bytes = 16 * 45.0 * (double)plane,
                        .operation = m->operation, .layer = call->layer};
    d.bindings[0] = tlvk__span_window(m->caps, from, TLVK__READ, &push.m_base);
    d.bindings[1] = tlvk__tensor_window(m->caps, dw, 0, dw->n, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, &push.w_base);
    return tlvk__record_dispatch(r, &d);
}

tlvk_status tlvk__winograd_backward_weights(tlvk__recorder *r, const tlvk__gemm_call *g) {
    const tlvk__op_call *call = g->call;
    const tlvk__tensor *walked[] = {call->x[0], call->dy};
    sums m = sums_of(tlvk__device_caps(tlvk__recorder_device(r)), g);
    part at = {.sums = {call->scratch.buffer, call->scratch.offset, m.sums_bytes}};
    bool more, accumulate = false;
    for (;;) {
        tlvk_status s = tlvk__next_piece(m.caps, walked, 2, call->dy->n, &at.piece, &more);
        if (s)
            return s;
        if (!more)
            return finish(r, &m, at.sums);
        int64_t tiles = (at.piece.n1 - at.piece.n0) * m.tiles_y * m.tiles_x, most = tiles_at_once(&m, tiles);
        for (at.first = 0; at.first < tiles; at.first += at.count) {
            at.count = TLVK__MIN(most, tiles - at.first);
            s = add_part(r, &m, &at, accumulate);
            if (s)
                return s;
            accumulate = true;
        }
    }
}
