/* gemm.c - the choice of tile core, packing of weights, and the forward product of Conv2D and Dense.
 * Hides: which core a device runs and its tile sizes; that weights may be larger than one binding. Shaders: conv2d_gemm, gemm_pack. */
#include "ops/gemm.h"

#include <stdio.h>

/* The static table, in order of preference: subgroup size, whether for processors or for all others, then TM, TV, KC, SPLIT for layers of pictures. The rows for
 * processors of 8 and 16 were measured (docs/kernels.md). The others are by the registers that compilers say they need (docs/devices.md): a lane keeps 32
 * accumulators, beyond which ANV spills. KC fills every lane with at least one vec4 of A. Packed weights lie in panels of SG*TV vec4 and chunks of KC; a
 * shared kernel is packed once for all calls that want the same of both. */
static const struct { int sg; bool processor; int tm, tv, kc, split; } sgb_tiles[] = {
    {4, true, 8, 1, 8, 1},   {8, true, 32, 2, 4, 4},   {8, true, 32, 1, 8, 1},  {16, true, 32, 1, 8, 1}, {32, true, 8, 1, 16, 1},
    {8, false, 8, 1, 8, 1}, {16, false, 8, 1, 16, 1}, {32, false, 8, 1, 16, 1}};
/* For layers with few rows per sample (Dense), whose cost is reading w: a small TM wastes little where the batch is small. The first row of the subgroup's
 * size that has less than twice as many columns as the layer, or the last one; two vec4 of columns in a lane on processors alone. */
static const struct { int sg, tm, tv, kc; } small_tiles[] = {{4, 8, 1, 8}, {8, 8, 2, 8}, {8, 8, 1, 8}, {16, 8, 1, 16}, {32, 8, 1, 16}};
enum { SMALL_ROWS = 8, PORTABLE_GROUP = 64, PORTABLE_VECS = 8, PORTABLE_KC = 16 };

tlvk__tile tlvk__gemm_portable_tile(bool small) {
    int tm = small ? 2 : 8;
    return (tlvk__tile){.tm = tm, .kc = PORTABLE_KC, .wg = PORTABLE_GROUP, .rows = 8 * tm, .vecs = PORTABLE_VECS, .rows_per_group = 8 * tm};
}

bool tlvk__gemm_mixed(const tlvk__caps *caps, const tlvk__gemm_call *g) {
    return g->call && g->call->mixed && caps->matrix_m;
}

/* 64 x 64 elements by four subgroups, 32 x 32 each; where the layer fills them 128 x 128 by eight, 32 x 64 each, which reads half as much per
 * product. Either fits the 16 or 32 KiB of shared memory that every device with such matrices has. */
enum { COOP_KC = 32, COOP_SIDE = 32, WIDE_COLUMNS = 128, WIDE_ROWS = 196, WIDE_SHARED = 32768 };

bool tlvk__gemm_wide_coop(const tlvk__caps *caps) {
    bool holds = !caps->max_group_subgroups || caps->max_group_subgroups >= 2 * TLVK__GROUP_SUBGROUPS;
    bool fits = 2 * TLVK__GROUP_SUBGROUPS * caps->subgroup_size <= caps->max_invocations && caps->max_shared_bytes >= WIDE_SHARED;
    return holds && fits && caps->subgroup_size >= 16;
}

tlvk__tile tlvk__gemm_coop_tile(const tlvk__caps *caps, bool wide) {
    int sg = (int)caps->subgroup_size;
    tlvk__tile t = {.coop = true, .sg = sg, .kc = COOP_KC, .wg = (wide ? 2 : 1) * TLVK__GROUP_SUBGROUPS * sg, .cm = (int)caps->matrix_m,
                    .cn = (int)caps->matrix_n, .ck = (int)caps->matrix_k};
    t.rm = COOP_SIDE / t.cm;
    t.rn = (wide ? 2 : 1) * COOP_SIDE / t.cn;
    t.subgroups_x = 2;
    t.rows = t.rows_per_group = t.wg / sg / t.subgroups_x * t.rm * t.cm;
    t.vecs = t.subgroups_x * t.rn * t.cn / TLVK__LANES;
    return t;
}

static bool fills_wide(const tlvk__conv_shape *s, enum tlvk__gemm_pass pass) {
    int64_t columns = TLVK__LANES * (pass == TLVK__GEMM_DATA ? s->cin_vecs : s->cout_vecs);
    int64_t rows = pass == TLVK__GEMM_WEIGHTS ? s->kh * s->kw * s->cin_vecs * TLVK__LANES : pass == TLVK__GEMM_DATA ? s->h * s->w : s->oh * s->ow;
    return columns >= WIDE_COLUMNS && rows >= WIDE_ROWS;
}

tlvk__tile tlvk__gemm_sgb_tile(int sg, int tm, int tv, int kc, int split) {
    return (tlvk__tile){.sgb = true, .sg = sg, .tm = tm, .tv = tv, .kc = kc, .split = split, .wg = TLVK__GROUP_SUBGROUPS * sg, .rows = tm, .vecs = sg * tv,
                        .rows_per_group = TLVK__GROUP_SUBGROUPS * tm};
}

/* Whether a row of the table fits a product of `columns` vec4: two of them beside each other in a lane where that makes no more than a tenth more. */
static bool suits(const tlvk__caps *caps, size_t row, int64_t columns) {
    int64_t vecs = sgb_tiles[row].sg * sgb_tiles[row].tv, narrow = sgb_tiles[row].sg;
    if (sgb_tiles[row].sg != (int)caps->shuffle_size || sgb_tiles[row].processor != tlvk__on_processor(caps))
        return false;
    return sgb_tiles[row].tv == 1 ||
           10 * tlvk__round_up((uint64_t)columns, (uint64_t)vecs) <= 11 * tlvk__round_up((uint64_t)columns, (uint64_t)narrow);
}

static tlvk__tile sgb_tile(const tlvk__caps *caps, int64_t columns) {
    size_t i = 0;
    while (i < TLVK__COUNT(sgb_tiles) && !suits(caps, i, columns))
        i++;
    return i < TLVK__COUNT(sgb_tiles) ? tlvk__gemm_sgb_tile(sgb_tiles[i].sg, sgb_tiles[i].tm, sgb_tiles[i].tv, sgb_tiles[i].kc, sgb_tiles[i].split) : (tlvk__tile){0};
}

static tlvk__tile small_tile(const tlvk__caps *caps, int64_t columns) {
    tlvk__tile t = {0};
    for (size_t i = 0; i < TLVK__COUNT(small_tiles) && (!t.sgb || 2 * columns <= t.vecs); i++)
        if (small_tiles[i].sg == (int)caps->shuffle_size && (small_tiles[i].tv == 1 || tlvk__on_processor(caps)))
            t = tlvk__gemm_sgb_tile(small_tiles[i].sg, small_tiles[i].tm, small_tiles[i].tv, small_tiles[i].kc, 1);
    return t;
}

bool tlvk__gemm_few_rows(const tlvk__gemm_call *g, enum tlvk__gemm_pass pass) {
    return pass != TLVK__GEMM_WEIGHTS && !g->packs && g->shape.oh * g->shape.ow <= SMALL_ROWS;
}

tlvk__tile tlvk__gemm_standard_tile(const tlvk__caps *caps, const tlvk__gemm_call *g, enum tlvk__gemm_pass pass) {
    if (tlvk__gemm_mixed(caps, g))
        return tlvk__gemm_coop_tile(caps, tlvk__gemm_wide_coop(caps) && fills_wide(&g->shape, pass));
    return tlvk__gemm_full_tile(caps, g, pass);
}

tlvk__tile tlvk__gemm_full_tile(const tlvk__caps *caps, const tlvk__gemm_call *g, enum tlvk__gemm_pass pass) {
    const tlvk__conv_shape *s = &g->shape;
    bool small = tlvk__gemm_few_rows(g, pass);
    int64_t columns = pass == TLVK__GEMM_DATA ? s->cin_vecs : s->cout_vecs;
    tlvk__tile t = {0};
    if (caps->subgroup_shuffle)
        t = small ? small_tile(caps, columns) : sgb_tile(caps, columns);
    if (!t.sgb || (t.vecs > PORTABLE_VECS && 2 * columns <= t.vecs)) /* a wide subgroup would idle on half of its columns */
        t = tlvk__gemm_portable_tile(small);
    t.long_sums = pass == TLVK__GEMM_WEIGHTS && tlvk__on_processor(caps);
    return t;
}

int tlvk__gemm_dispatch(const tlvk__caps *caps, const tlvk__tile *t, const char *base, const char *form, char name[64], tlvk__dispatch *d) {
    int n = 0;
    snprintf(name, 64, "%s_%s%s%s%s", base, t->coop ? "coop" : t->sgb ? "sgb" : "portable", t->halves || (t->sgb && tlvk__texel_operands(caps)) ? "_texel" : "", *form ? "_" : "", form);
    d->shader = name;
    d->specs[n++] = (tlvk__spec){"WG", (uint32_t)t->wg};
    if (t->coop) {
        const tlvk__spec specs[] = {{"SG", (uint32_t)t->sg}, {"CM", (uint32_t)t->cm}, {"CN", (uint32_t)t->cn}, {"CK", (uint32_t)t->ck}, {"RM", (uint32_t)t->rm},
                                    {"RN", (uint32_t)t->rn}, {"SUBGROUPS_X", (uint32_t)t->subgroups_x}};
        for (size_t i = 0; i < TLVK__COUNT(specs); i++)
            d->specs[n++] = specs[i];
        d->required_subgroup_size = (uint32_t)t->sg;
        return n;
    }
    d->specs[n++] = (tlvk__spec){"TM", (uint32_t)t->tm};
    if (t->sgb) {
        d->specs[n++] = (tlvk__spec){"SG", (uint32_t)t->sg};
        d->specs[n++] = (tlvk__spec){"TV", (uint32_t)t->tv};
        d->specs[n++] = (tlvk__spec){"KC", (uint32_t)t->kc};
        d->specs[n++] = (tlvk__spec){"SPLIT", tlvk__on_processor(caps) ? (uint32_t)t->split : 0};
        d->required_subgroup_size = (uint32_t)t->sg;
    }
    return n;
}

tlvk_status tlvk__next_weight_part(const tlvk__caps *caps, const tlvk__tensor *w, int64_t taps, int64_t cin_vecs, tlvk__weight_part *p, bool *more) {
    int64_t tap_rows = cin_vecs * TLVK__LANES;
    tlvk__piece piece = {p->row0, p->row1};
    tlvk_status s = tlvk__next_piece(caps, &w, 1, w->n, &piece, more);
    if (s || !*more)
        return s;
    p->row0 = piece.n0;
    p->tap = piece.n0 / tap_rows;
    if (piece.n0 == 0 && piece.n1 == w->n) {
        p->row1 = w->n;
        p->taps = taps;
        p->c0 = 0;
        p->c1 = cin_vecs;
        return TLVK_OK;
    }
    /* Rows go by fours, the vec4 that the other operand is read in. */
    int64_t rows = TLVK__MAX((piece.n1 - piece.n0) / TLVK__LANES * TLVK__LANES, (int64_t)TLVK__LANES);
    p->row1 = TLVK__MIN(piece.n0 + rows, (p->tap + 1) * tap_rows);
    p->taps = 1;
    p->c0 = (p->row0 - p->tap * tap_rows) / TLVK__LANES;
    p->c1 = (p->row1 - p->tap * tap_rows) / TLVK__LANES;
    if (p->row0 / w->segment_n != (p->row1 - 1) / w->segment_n)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "a weight tensor of %lld rows lies in segments of %lld rows: they must be multiples of 4", (long long)w->n, (long long)w->segment_n);
    return TLVK_OK;
}

/* --- packing ---------------------------------------------------------------------------------------------------------------------------- */

typedef struct packed_order { int64_t k, k_padded, panels, panel_vecs; uint64_t panel_bytes; } packed_order;

static packed_order packed_order_of(const tlvk__conv_shape *s, const tlvk__tile *t) {
    packed_order o = {.k = s->kh * s->kw * s->cin_vecs * TLVK__LANES, .panel_vecs = t->vecs, .panels = tlvk__div_up(s->cout_vecs, t->vecs)};
    o.k_padded = tlvk__div_up(o.k, t->kc) * t->kc;
    o.panel_bytes = (uint64_t)(o.k_padded * o.panel_vecs) * 16;
    return o;
}

static bool is_packed(const tlvk__caps *caps, const tlvk__gemm_call *g, tlvk__tile *t) {
    *t = tlvk__gemm_tile(caps, g, TLVK__GEMM_FORWARD);
    return g->packs && t->sgb;
}

static int64_t panels_per_binding(const tlvk__caps *caps, const packed_order *o) {
    return (int64_t)(tlvk__window_room(caps) / o->panel_bytes);
}

tlvk_status tlvk__gemm_needs(const tlvk__caps *caps, const tlvk__gemm_call *g, bool want_dx, bool want_dw, tlvk__op_needs *needs) {
    (void)want_dx;
    tlvk__tile t;
    if (is_packed(caps, g, &t)) {
        packed_order o = packed_order_of(&g->shape, &t);
        needs->packed_bytes = (uint64_t)o.panels * o.panel_bytes;
        needs->packed_form = (uint32_t)(2 * (t.kc + t.tv)); /* KC is a multiple of 4, TV less than 4: even, so that Winograd's is none of them */
        if (panels_per_binding(caps, &o) < 1)
            return tlvk__fail(TLVK_ERROR_MEMORY, "%s: the weights of %d outputs take %llu bytes, more than the device binds at once (%llu)", g->call->layer,
                              4 * t.vecs, (unsigned long long)o.panel_bytes, (unsigned long long)caps->max_binding_bytes);
    }
    needs->forward_scratch_bytes = g->call->epilogue.scale ? (uint64_t)g->shape.cout_vecs * 32 : 0;
    if (want_dw)
        needs->backward_scratch_bytes = tlvk__gemm_weights_scratch(caps, g);
    return TLVK_OK;
}

tlvk_status tlvk__gemm_pack(tlvk__recorder *r, const tlvk__gemm_call *g) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *w = g->call->w[0];
    tlvk__tile t;
    if (!is_packed(caps, g, &t))
        return TLVK_OK;
    packed_order o = packed_order_of(&g->shape, &t);
    int64_t span = TLVK__MIN(panels_per_binding(caps, &o), o.panels);
    tlvk__weight_part p = {0};
    bool more;
    for (;;) {
        tlvk_status s = tlvk__next_weight_part(caps, w, g->shape.kh * g->shape.kw, g->shape.cin_vecs, &p, &more);
        if (s || !more)
            return s;
        for (int64_t panel = 0; panel < o.panels; panel += span) {
            int64_t panels = TLVK__MIN(span, o.panels - panel), rows = (p.row1 == o.k ? o.k_padded : p.row1) - p.row0;
            int64_t vecs = panels * rows * o.panel_vecs;
            struct { uint32_t from_base, to_base, k_first, k_count, k_from, k_padded, c_vecs, c_first, panel_vecs, panels; } push = {
                0, 0, (uint32_t)p.row0, (uint32_t)rows, (uint32_t)(p.row1 - p.row0), (uint32_t)o.k_padded, (uint32_t)g->shape.cout_vecs,
                (uint32_t)(panel * o.panel_vecs), (uint32_t)o.panel_vecs, (uint32_t)panels};
            tlvk__span to = {g->call->packed.buffer, g->call->packed.offset + (uint64_t)panel * o.panel_bytes, (uint64_t)panels * o.panel_bytes};
            tlvk__dispatch d = {.shader = "gemm_pack", .specs = {{"WG", 64}}, .binding_count = 2, .push = &push, .push_bytes = sizeof push,
                                .groups = {(uint64_t)tlvk__div_up(vecs, 64)}, .flops = 4.0 * (double)vecs, .bytes = 32.0 * (double)vecs,
                                .operation = g->operation, .layer = g->call->layer};
            d.bindings[0] = tlvk__tensor_window(caps, w, p.row0, p.row1, TLVK__READ, &push.from_base);
            d.bindings[1] = tlvk__span_window(caps, to, TLVK__WRITE, &push.to_base);
            s = tlvk__record_dispatch(r, &d);
            if (s)
                return s;
        }
    }
}

/* --- forward ------------------------------------------------------------------------------------------------------------------------------ */

/* A picture of `samples` samples seen by the forward pass, taps and channels of all of w. */
static tlvk__gemm_push forward_push(const tlvk__gemm_call *g, int64_t samples) {
    const tlvk__conv_shape *s = &g->shape;
    int64_t apart = tlvk__row_vecs(g->call->y);
    tlvk__gemm_push p = {.rows = (int32_t)(samples * s->oh * s->ow), .grid_h = (int32_t)s->oh, .grid_w = (int32_t)s->ow, .h = (int32_t)s->h, .w = (int32_t)s->w,
                   .a_pitch = (int32_t)tlvk__row_vecs(g->call->x[0]), .k_vecs = (int32_t)s->cin_vecs, .taps_h = (int32_t)s->kh, .taps_w = (int32_t)s->kw,
                   .stride_y = (int32_t)s->stride[0], .stride_x = (int32_t)s->stride[1], .offset_y = (int32_t)-s->pad[0], .offset_x = (int32_t)-s->pad[1],
                   .tap_y = (int32_t)s->dilation[0], .tap_x = (int32_t)s->dilation[1], .c_n = (int32_t)(s->oh * s->ow * apart),
                   .c_y = (int32_t)(s->ow * apart), .c_x = (int32_t)apart, .c_vecs = (int32_t)s->cout_vecs, .b_pitch = (int32_t)s->cout_vecs};
    tlvk__epilogue_none(s->cout, &p.epilogue);
    return p;
}

/* Taps and channels of one part of w: A starts at the part's tap and channel. */
static void narrow_to_part(const tlvk__conv_shape *s, const tlvk__weight_part *part, tlvk__gemm_push *p) {
    if (part->taps == s->kh * s->kw && part->c1 - part->c0 == s->cin_vecs)
        return;
    int64_t ky = part->tap / s->kw, kx = part->tap % s->kw;
    p->taps_h = p->taps_w = 1;
    p->offset_y += (int32_t)(ky * s->dilation[0]);
    p->offset_x += (int32_t)(kx * s->dilation[1]);
    p->a_base += (uint32_t)part->c0;
    p->k_vecs = (int32_t)(part->c1 - part->c0);
}

typedef struct forward_state {
    const tlvk__caps *caps;
    const tlvk__gemm_call *g;
    tlvk__tile tile;
    tlvk__piece piece;             /* samples */
    tlvk__binding vectors;         /* of the epilogue */
    tlvk__epilogue_push epilogue;
    uint32_t activation;
} forward_state;

/* Columns c0 to c1 (vec4) of y, from the k that `part` holds; `last`: the epilogue follows. */
static tlvk_status forward_dispatch(tlvk__recorder *r, const forward_state *f, const tlvk__weight_part *part, tlvk__binding b, uint32_t b_base,
                                    int64_t c0, int64_t c1, bool last) {
    const tlvk__conv_shape *s = &f->g->shape;
    const tlvk__op_call *call = f->g->call;
    const tlvk__tensor *residual = last ? call->epilogue.residual : NULL;
    char name[64], form[24];
    bool first = part->row0 == 0 && !f->g->accumulate, packed = f->g->packs && f->tile.sgb;
    tlvk__gemm_push push = forward_push(f->g, f->piece.n1 - f->piece.n0);
    tlvk__dispatch d = {.bindings = {{.access = 0}, b, {.access = 0}, f->vectors}, .binding_count = 4, .push = &push, .push_bytes = sizeof push,
                        .operation = f->g->operation, .layer = call->layer};
    snprintf(form, sizeof form, "%s%s", packed ? "packed" : "rows", residual ? "_residual" : "");
    int n = tlvk__gemm_dispatch(f->caps, &f->tile, "conv2d_gemm", form, name, &d);
    d.specs[n++] = (tlvk__spec){"ACCUMULATE", !first};
    d.specs[n++] = (tlvk__spec){"ACTIVATION", last ? f->activation : 0};
    d.bindings[0] = tlvk__tensor_window(f->caps, call->x[0], f->piece.n0, f->piece.n1, TLVK__READ, &push.a_base);
    d.bindings[2] = tlvk__tensor_window(f->caps, call->y, f->piece.n0, f->piece.n1, first ? TLVK__WRITE : TLVK__READ_WRITE, &push.c_base);
    if (residual) {
        uint32_t r_base;
        d.bindings[d.binding_count++] = tlvk__tensor_window(f->caps, residual, f->piece.n0, f->piece.n1, TLVK__READ, &r_base);
        push.r_from = (int32_t)r_base - (int32_t)push.c_base;
    }
    push.b_base = b_base;
    narrow_to_part(s, part, &push);
    if (last)
        push.epilogue = f->epilogue;
    push.c_base += (uint32_t)c0;
    push.c_vecs = (int32_t)(c1 - c0);
    push.epilogue.e_base += (int32_t)c0;
    push.epilogue.columns -= (int32_t)(c0 * TLVK__LANES);
    d.groups[0] = (uint64_t)tlvk__div_up(push.rows, f->tile.rows_per_group);
    d.groups[1] = (uint64_t)tlvk__div_up(push.c_vecs, f->tile.vecs);
    double m = push.rows, k = (double)push.taps_h * push.taps_w * push.k_vecs, columns = push.c_vecs;
    d.flops = 32.0 * m * k * columns;
    d.bytes = 16.0 * (m * (double)(s->stride[0] * s->stride[1]) * push.k_vecs + 4 * k * columns + m * columns);
    return tlvk__record_dispatch(r, &d);
}

/* All of y's columns from packed panels, as many at a time as a binding holds. */
static tlvk_status forward_packed(tlvk__recorder *r, const forward_state *f) {
    const tlvk__conv_shape *s = &f->g->shape;
    tlvk__weight_part all = {.row1 = s->kh * s->kw * s->cin_vecs * TLVK__LANES, .taps = s->kh * s->kw, .c1 = s->cin_vecs};
    packed_order o = packed_order_of(s, &f->tile);
    int64_t span = TLVK__MIN(panels_per_binding(f->caps, &o), o.panels);
    for (int64_t panel = 0; panel < o.panels; panel += span) {
        int64_t panels = TLVK__MIN(span, o.panels - panel);
        tlvk__span from = {f->g->call->packed.buffer, f->g->call->packed.offset + (uint64_t)panel * o.panel_bytes, (uint64_t)panels * o.panel_bytes};
        uint32_t base;
        tlvk__binding b = tlvk__span_window(f->caps, from, TLVK__READ, &base);
        tlvk_status status = forward_dispatch(r, f, &all, b, base, panel * o.panel_vecs, TLVK__MIN((panel + panels) * o.panel_vecs, s->cout_vecs), true);
        if (status)
            return status;
    }
    return TLVK_OK;
}

/* y from w as it lies, the k of one part after the other: the sums go on where the part before left them. */
static tlvk_status forward_rows(tlvk__recorder *r, const forward_state *f) {
    const tlvk__conv_shape *s = &f->g->shape;
    const tlvk__tensor *w = f->g->call->w[0];
    tlvk__weight_part part = {0};
    bool more;
    for (;;) {
        tlvk_status status = tlvk__next_weight_part(f->caps, w, s->kh * s->kw, s->cin_vecs, &part, &more);
        if (status || !more)
            return status;
        uint32_t base;
        tlvk__binding b = tlvk__tensor_window(f->caps, w, part.row0, part.row1, TLVK__READ, &base);
        status = forward_dispatch(r, f, &part, b, base, 0, s->cout_vecs, part.row1 == w->n);
        if (status)
            return status;
    }
}

unsigned tlvk__gemm_halves(const tlvk__caps *caps, const tlvk__gemm_call *g) {
    const tlvk__conv_shape *s = &g->shape;
    uint64_t w = (uint64_t)(s->kh * s->kw * s->cin_vecs * s->cout_vecs) * TLVK__LANES * 16;
    return TLVK__HALF_X | (w > TLVK__MIN(caps->max_binding_bytes, caps->max_allocation_bytes) / 2 ? 0 : TLVK__HALF_Y);
}

bool tlvk__gemm_adds_residual(const tlvk__caps *caps) {
    return caps->max_storage_buffers >= 5;
}

tlvk_status tlvk__gemm_forward(tlvk__recorder *r, const tlvk__gemm_call *g) {
    const tlvk__op_call *call = g->call;
    forward_state f = {.caps = tlvk__device_caps(tlvk__recorder_device(r)), .g = g};
    const tlvk__tensor *residual = call->epilogue.residual;
    bool packed = is_packed(f.caps, g, &f.tile);
    f.tile.halves = call->x[0]->half || call->y->half || (residual && residual->half);
    uint32_t any_base;
    tlvk__binding any = tlvk__tensor_window(f.caps, call->w[0], 0, 1, TLVK__READ, &any_base);
    tlvk_status s = tlvk__epilogue_bind(r, call, call->w[1], g->shape.cout, call->scratch, any, g->operation, &f.vectors, &f.epilogue, &f.activation);
    if (s)
        return s;
    const tlvk__tensor *walked[] = {call->x[0], call->y, residual};
    bool more;
    for (;;) {
        s = tlvk__next_piece(f.caps, walked, 3, call->y->n, &f.piece, &more);
        if (s || !more)
            return s;
        s = packed ? forward_packed(r, &f) : forward_rows(r, &f);
        if (s)
            return s;
    }
}
