/* winograd.c - recording 3x3 convolutions by F(4x4, 3x3) in three steps: inputs into 36 planes, one product per plane, outputs from 36 planes.
 * Hides: where this pays; that tiles are done some at a time, so that the planes take bounded room. Backward-data is the convolution of dy
 * with the weights turned by half a turn, inputs and outputs exchanged. Shaders: winograd_input, winograd_gemm, winograd_output, winograd_weights. */
#include "ops/winograd.h"

#include <stdio.h>

enum { POSITIONS = TLVK__WINOGRAD_POSITIONS, TILE = TLVK__WINOGRAD_TILE, LANES_OF_KERNEL = TLVK__WINOGRAD_LANES, CACHED_TILES = 96 };
static const uint64_t most_plane_bytes = 64u << 20; /* of inputs and products together */

/* One direction: forward, or backward-data as a convolution of its own. */
typedef struct pass {
    const tlvk__gemm_call *g;
    bool data;
    const tlvk__tensor *in, *out;  /* x and y, or dy and dx */
    int64_t h, w, in_vecs;         /* of one sample of `in` */
    int64_t oh, ow, out_vecs, columns;
    int64_t offset[2];             /* position of `in` that output 0 meets through tap 0 */
    int64_t tiles_y, tiles_x;
    int64_t k_vecs, panels;        /* of the products: k padded to whole chunks; panels of columns */
    tlvk__tile tile;
    char operation[48];
} pass;

static pass numbers_of(const tlvk__caps *caps, const tlvk__conv_shape *s, enum tlvk__gemm_pass which) {
    pass p = {.data = which == TLVK__GEMM_DATA, .tile = tlvk__gemm_standard_tile(caps, &(tlvk__gemm_call){.shape = *s, .packs = true}, which)};
    if (p.data) {
        p.h = s->oh, p.w = s->ow, p.in_vecs = s->cout_vecs;
        p.oh = s->h, p.ow = s->w, p.out_vecs = s->cin_vecs, p.columns = s->cin_vecs * TLVK__LANES;
        p.offset[0] = s->pad[0] - (s->kh - 1), p.offset[1] = s->pad[1] - (s->kw - 1);
    } else {
        p.h = s->h, p.w = s->w, p.in_vecs = s->cin_vecs;
        p.oh = s->oh, p.ow = s->ow, p.out_vecs = s->cout_vecs, p.columns = s->cout;
        p.offset[0] = -s->pad[0], p.offset[1] = -s->pad[1];
    }
    p.tiles_y = tlvk__div_up(p.oh, TILE);
    p.tiles_x = tlvk__div_up(p.ow, TILE);
    int64_t chunk = p.tile.kc / TLVK__LANES;
    p.k_vecs = tlvk__div_up(p.in_vecs, chunk) * chunk;
    p.panels = tlvk__div_up(p.out_vecs, p.tile.vecs);
    return p;
}

static pass pass_of(const tlvk__caps *caps, const tlvk__gemm_call *g, enum tlvk__gemm_pass which) {
    pass p = numbers_of(caps, &g->shape, which);
    p.g = g;
    p.in = p.data ? g->call->dy : g->call->x[0];
    p.out = p.data ? g->call->dx[0] : g->call->y;
    snprintf(p.operation, sizeof p.operation, "%s%s", g->operation, p.data ? "_backward_data" : "");
    return p;
}

static uint64_t weight_bytes(const pass *p) {
    return (uint64_t)(POSITIONS * p->panels * p->k_vecs * TLVK__LANES * p->tile.vecs) * 16;
}

int64_t tlvk__winograd_most_tiles(const tlvk__caps *caps, int64_t vecs, int64_t widest, int64_t group) {
    uint64_t binding = tlvk__window_room(caps) / tlvk__winograd_row_bytes(widest);
    int64_t tiles = (int64_t)TLVK__MIN(binding, most_plane_bytes / tlvk__winograd_row_bytes(vecs));
    return tiles > group ? tiles / group * group : tiles;
}

static int64_t most_tiles(const tlvk__caps *caps, const pass *p) {
    return tlvk__winograd_most_tiles(caps, p->k_vecs + p->out_vecs, TLVK__MAX(p->k_vecs, p->out_vecs), p->tile.rows_per_group);
}

/* Tiles done at a time, of `tiles`. On a processor the three steps hand the planes over in its caches where these are few: between CACHED_TILES and twice
 * as many, in even parts (lavapipe on 2 cores with 1 MiB of second level each and 32 MiB of third: 64 channels at 224x224 take 21 ms in parts of 128
 * tiles, 32 ms with all 3136 at once). Other devices want work for all their units instead. */
static int64_t tiles_at_once(const tlvk__caps *caps, const pass *p, int64_t tiles) {
    int64_t most = TLVK__MIN(most_tiles(caps, p), tiles), parts = TLVK__MAX(tiles / CACHED_TILES, 1);
    if (!tlvk__on_processor(caps))
        return most;
    return TLVK__MIN(most, (int64_t)tlvk__round_up((uint64_t)tlvk__div_up(tiles, parts), (uint64_t)p->tile.rows));
}

static uint64_t planes_of(const pass *p, int64_t tiles) {
    return tlvk__round_up((uint64_t)tiles * tlvk__winograd_row_bytes(p->k_vecs), 256) + (uint64_t)tiles * tlvk__winograd_row_bytes(p->out_vecs);
}

/* Room for the planes, however the batch is cut into pieces. */
static uint64_t plane_bytes(const tlvk__caps *caps, const pass *p) {
    int64_t tiles = TLVK__MIN(most_tiles(caps, p), p->g->call->y->n * p->tiles_y * p->tiles_x);
    if (tlvk__on_processor(caps))
        tiles = TLVK__MIN(tiles, (int64_t)tlvk__round_up(2 * CACHED_TILES, (uint64_t)p->tile.rows));
    return planes_of(p, tiles);
}

/* --- the choice ----------------------------------------------------------------------------------------------------------------------------- */

static bool possible(const tlvk__caps *caps, const tlvk__conv_shape *s, const pass *p) {
    if (s->kh != 3 || s->kw != 3 || s->stride[0] != 1 || s->stride[1] != 1 || s->dilation[0] != 1 || s->dilation[1] != 1)
        return false;
    return weight_bytes(p) <= tlvk__window_room(caps) && (uint64_t)(POSITIONS * p->panels) <= caps->max_groups[1] && most_tiles(caps, p) > 0;
}

/* Where it measured faster at 8 samples at a time (docs/kernels.md): enough channels on both sides that the products outweigh the transforms, and
 * enough tiles in a sample that 36 products read their weights for more than a few rows. Backward transforms weights, or their
 * gradient, in every step, which asks for more. */
static bool pays(const tlvk__conv_shape *s, const pass *p, enum tlvk__gemm_pass which) {
    int64_t least_vecs = 8, sum_vecs = 25, least_tiles = which == TLVK__GEMM_FORWARD ? 4 : 16;
    return s->cin_vecs >= least_vecs && s->cout_vecs >= least_vecs && s->cin_vecs + s->cout_vecs >= sum_vecs && p->tiles_y * p->tiles_x >= least_tiles;
}

bool tlvk__winograd_possible(const tlvk__caps *caps, const tlvk__conv_shape *s, enum tlvk__gemm_pass which, bool *paying) {
    pass p = numbers_of(caps, s, which);
    *paying = pays(s, &p, which);
    return caps->winograd != TLVK__WINOGRAD_NEVER && possible(caps, s, &p);
}

bool tlvk__winograd_chosen(const tlvk__caps *caps, const tlvk__conv_shape *s, enum tlvk__gemm_pass which) {
    bool paying;
    if (!tlvk__winograd_possible(caps, s, which, &paying))
        return false;
    tlvk__gemm_call g = {.shape = *s, .packs = true};
    return caps->winograd == TLVK__WINOGRAD_ALWAYS || tlvk__gemm_choice(caps, &g, which) == TLVK__CHOICE_WINOGRAD;
}

/* --- room ------------------------------------------------------------------------------------------------------------------------------------- */

static uint64_t joined_bytes(const tlvk__gemm_call *g) {
    return g->call->epilogue.scale ? tlvk__round_up((uint64_t)g->shape.cout_vecs * 32, 256) : 0;
}

void tlvk__winograd_forward_needs(const tlvk__caps *caps, const tlvk__gemm_call *g, tlvk__op_needs *needs) {
    pass p = pass_of(caps, g, TLVK__GEMM_FORWARD);
    needs->packed_bytes = weight_bytes(&p);
    needs->packed_form = 1;
    needs->forward_scratch_bytes = joined_bytes(g) + plane_bytes(caps, &p);
}

uint64_t tlvk__winograd_data_scratch(const tlvk__caps *caps, const tlvk__gemm_call *g) {
    pass p = pass_of(caps, g, TLVK__GEMM_DATA);
    return tlvk__round_up(weight_bytes(&p), 256) + plane_bytes(caps, &p);
}

/* --- the steps ------------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status transform_weights(tlvk__recorder *r, const pass *p, tlvk__span to) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__conv_shape *s = &p->g->shape;
    const tlvk__tensor *w = p->g->call->w[0];
    if (w->segment_count != 1)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "%s: the weights of a convolution by Winograd lie in several segments", p->g->call->layer);
    int64_t items = p->panels * p->k_vecs * TLVK__LANES * p->tile.vecs;
    struct { uint32_t w_base, to_base; int32_t cin_vecs, cout_vecs, k_vecs, panel_vecs, panels; } push = {
        0, 0, (int32_t)s->cin_vecs, (int32_t)s->cout_vecs, (int32_t)p->k_vecs, (int32_t)p->tile.vecs, (int32_t)p->panels};
    tlvk__dispatch d = {.shader = p->data ? "winograd_weights_data" : "winograd_weights_forward", .specs = {{"WG", LANES_OF_KERNEL}}, .binding_count = 2,
                        .push = &push, .push_bytes = sizeof push, .groups = {(uint64_t)tlvk__div_up(items, LANES_OF_KERNEL)}, .flops = 4 * 90.0 * (double)items,
                        .bytes = (double)weight_bytes(p) * 1.25, .operation = p->operation, .layer = p->g->call->layer};
    to.bytes = weight_bytes(p);
    d.bindings[0] = tlvk__tensor_window(caps, w, 0, w->n, TLVK__READ, &push.w_base);
    d.bindings[1] = tlvk__span_window(caps, to, TLVK__WRITE, &push.to_base);
    return tlvk__record_dispatch(r, &d);
}

/* Some tiles of a piece of samples, and where their planes lie. */
typedef struct part {
    tlvk__piece piece;
    int64_t first, count;
    tlvk__span inputs, products;
} part;

tlvk_status tlvk__winograd_transform(tlvk__recorder *r, const tlvk__winograd_tiles *t, tlvk__span to) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    struct { uint32_t x_base, to_base; int32_t h, w, x_vecs, x_pitch, tiles_y, tiles_x, offset_y, offset_x, tile_first, tile_count, k_vecs, plane; } push = {
        0, 0, (int32_t)t->h, (int32_t)t->w, (int32_t)t->vecs, (int32_t)tlvk__row_vecs(t->from), (int32_t)t->tiles_y, (int32_t)t->tiles_x, (int32_t)t->offset[0], (int32_t)t->offset[1],
        (int32_t)t->first, (int32_t)t->count, (int32_t)t->k_vecs, (int32_t)(t->count * t->k_vecs)};
    /* A processor's registers overflow into its cache; elsewhere an invocation that keeps half of the transform leaves room for others (RADV of Mesa 22.3.6
     * made 180 registers of the whole, and spilled on an RX 7900). */
    int64_t parts = tlvk__on_processor(caps) ? 1 : 2;
    double items = (double)(t->count * t->k_vecs), side = t->gradient ? TILE : TILE + 2;
    char name[48];
    snprintf(name, sizeof name, "winograd_input_%s%s", t->gradient ? "gradient_" : "", tlvk__texel_operands(caps) ? "texel" : "storage");
    tlvk__dispatch d = {.shader = name, .specs = {{"WG", LANES_OF_KERNEL}, {"PARTS", (uint32_t)parts}}, .binding_count = 2, .push = &push, .push_bytes = sizeof push,
                        .groups = {(uint64_t)tlvk__div_up(t->count * t->k_vecs * parts, LANES_OF_KERNEL)}, .flops = 72 * (side + 6) * items,
                        .bytes = 16 * (side * side + 36) * items, .operation = t->operation, .layer = t->layer};
    d.bindings[0] = tlvk__tensor_window(caps, t->from, t->piece.n0, t->piece.n1, TLVK__READ, &push.x_base);
    d.bindings[1] = tlvk__span_window(caps, to, TLVK__WRITE, &push.to_base);
    return tlvk__record_dispatch(r, &d);
}

static tlvk_status transform_inputs(tlvk__recorder *r, const pass *p, const part *at) {
    tlvk__winograd_tiles t = {.from = p->in, .piece = at->piece, .h = p->h, .w = p->w, .vecs = p->in_vecs, .offset = {p->offset[0], p->offset[1]},
                              .tiles_y = p->tiles_y, .tiles_x = p->tiles_x, .first = at->first, .count = at->count, .k_vecs = p->k_vecs,
                              .operation = p->operation, .layer = p->g->call->layer};
    return tlvk__winograd_transform(r, &t, at->inputs);
}

static tlvk_status multiply(tlvk__recorder *r, const pass *p, const part *at, tlvk__span weights) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    struct { uint32_t a_base, b_base, c_base; int32_t rows, k_vecs, c_vecs, panels, a_plane, c_plane; } push = {
        0, 0, 0, (int32_t)at->count, (int32_t)p->k_vecs, (int32_t)p->out_vecs, (int32_t)p->panels, (int32_t)(at->count * p->k_vecs), (int32_t)(at->count * p->out_vecs)};
    char name[64];
    tlvk__dispatch d = {.binding_count = 3, .push = &push, .push_bytes = sizeof push, .operation = p->operation, .layer = p->g->call->layer,
                        .groups = {(uint64_t)tlvk__div_up(at->count, p->tile.rows_per_group), (uint64_t)(POSITIONS * p->panels)}};
    tlvk__gemm_dispatch(caps, &p->tile, "winograd_gemm", "", name, &d);
    d.flops = 32.0 * POSITIONS * (double)at->count * (double)p->k_vecs * (double)p->out_vecs;
    d.bytes = (double)at->inputs.bytes + (double)at->products.bytes + (double)weight_bytes(p);
    weights.bytes = weight_bytes(p);
    d.bindings[0] = tlvk__span_window(caps, at->inputs, TLVK__READ, &push.a_base);
    d.bindings[1] = tlvk__span_window(caps, weights, TLVK__READ, &push.b_base);
    d.bindings[2] = tlvk__span_window(caps, at->products, TLVK__WRITE, &push.c_base);
    return tlvk__record_dispatch(r, &d);
}

/* What stands behind the product: bound once per pass. */
typedef struct behind { tlvk__binding vectors; tlvk__epilogue_push push; uint32_t activation; const tlvk__tensor *residual; } behind;

static tlvk_status transform_outputs(tlvk__recorder *r, const pass *p, const part *at, const behind *b) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    struct { uint32_t m_base, y_base; int32_t h, w, c_vecs, y_pitch, tiles_y, tiles_x, tile_first, tile_count, plane; tlvk__epilogue_push epilogue; int32_t r_from; } push = {
        0, 0, (int32_t)p->oh, (int32_t)p->ow, (int32_t)p->out_vecs, (int32_t)tlvk__row_vecs(p->out), (int32_t)p->tiles_y, (int32_t)p->tiles_x, (int32_t)at->first, (int32_t)at->count,
        (int32_t)(at->count * p->out_vecs), b->push, 0};
    int64_t items = at->count * p->out_vecs;
    tlvk__dispatch d = {.shader = tlvk__texel_operands(caps) ? "winograd_output_texel" : "winograd_output_storage",
                        .specs = {{"WG", LANES_OF_KERNEL}, {"ACTIVATION", b->activation}, {"RESIDUAL", b->residual != NULL}},
                        .bindings[2] = b->vectors, .bindings[3] = b->vectors, .binding_count = 4, .push = &push, .push_bytes = sizeof push, .groups = {(uint64_t)tlvk__div_up(items, LANES_OF_KERNEL)},
                        .flops = 4 * 170.0 * (double)items, .bytes = 16 * 52.0 * (double)items, .operation = p->operation, .layer = p->g->call->layer};
    d.bindings[0] = tlvk__span_window(caps, at->products, TLVK__READ, &push.m_base);
    d.bindings[1] = tlvk__tensor_window(caps, p->out, at->piece.n0, at->piece.n1, TLVK__WRITE, &push.y_base);
    if (b->residual) {
        uint32_t r_base;
        d.bindings[3] = tlvk__tensor_window(caps, b->residual, at->piece.n0, at->piece.n1, TLVK__READ, &r_base);
        push.r_from = (int32_t)r_base - (int32_t)push.y_base;
    }
    return tlvk__record_dispatch(r, &d);
}

/* All tiles, some at a time, with their planes in `room`. */
static tlvk_status convolve(tlvk__recorder *r, const pass *p, tlvk__span weights, tlvk__span room, const behind *b) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *walked[] = {p->in, p->out, b->residual};
    part at = {.first = 0};
    bool more;
    for (;;) {
        tlvk_status s = tlvk__next_piece(caps, walked, 3, p->out->n, &at.piece, &more);
        if (s || !more)
            return s;
        int64_t tiles = (at.piece.n1 - at.piece.n0) * p->tiles_y * p->tiles_x, most = tiles_at_once(caps, p, tiles);
        for (at.first = 0; !s && at.first < tiles; at.first += at.count) {
            at.count = TLVK__MIN(most, tiles - at.first);
            at.inputs = (tlvk__span){room.buffer, room.offset, (uint64_t)at.count * tlvk__winograd_row_bytes(p->k_vecs)};
            at.products = (tlvk__span){room.buffer, room.offset + tlvk__round_up(at.inputs.bytes, 256), (uint64_t)at.count * tlvk__winograd_row_bytes(p->out_vecs)};
            s = transform_inputs(r, p, &at);
            if (!s)
                s = multiply(r, p, &at, weights);
            if (!s)
                s = transform_outputs(r, p, &at, b);
        }
        if (s)
            return s;
    }
}

/* --- the passes ------------------------------------------------------------------------------------------------------------------------------ */

tlvk_status tlvk__winograd_pack(tlvk__recorder *r, const tlvk__gemm_call *g) {
    pass p = pass_of(tlvk__device_caps(tlvk__recorder_device(r)), g, TLVK__GEMM_FORWARD);
    return transform_weights(r, &p, g->call->packed);
}

tlvk_status tlvk__winograd_forward(tlvk__recorder *r, const tlvk__gemm_call *g) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__op_call *call = g->call;
    pass p = pass_of(caps, g, TLVK__GEMM_FORWARD);
    behind b = {.residual = call->epilogue.residual};
    uint32_t any_base;
    tlvk__binding any = tlvk__tensor_window(caps, call->w[0], 0, 1, TLVK__READ, &any_base);
    tlvk_status s = tlvk__epilogue_bind(r, call, call->w[1], g->shape.cout, call->scratch, any, g->operation, &b.vectors, &b.push, &b.activation);
    if (s)
        return s;
    uint64_t joined = joined_bytes(g);
    tlvk__span room = {call->scratch.buffer, call->scratch.offset + joined, call->scratch.bytes - joined};
    return convolve(r, &p, call->packed, room, &b);
}

tlvk_status tlvk__winograd_backward_data(tlvk__recorder *r, const tlvk__gemm_call *g) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__op_call *call = g->call;
    pass p = pass_of(caps, g, TLVK__GEMM_DATA);
    uint32_t any_base;
    behind b = {.residual = call->dx_accumulate[0] ? p.out : NULL, .vectors = tlvk__tensor_window(caps, call->w[0], 0, 1, TLVK__READ, &any_base)};
    tlvk__epilogue_none(p.columns, &b.push);
    tlvk_status s = transform_weights(r, &p, call->scratch);
    uint64_t weights = tlvk__round_up(weight_bytes(&p), 256);
    tlvk__span room = {call->scratch.buffer, call->scratch.offset + weights, call->scratch.bytes - weights};
    return s ? s : convolve(r, &p, call->scratch, room, &b);
}
