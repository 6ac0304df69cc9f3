/* depthwise.c - recording depthwise convolutions: forward, and the gradients with respect to input and kernel.
 * Hides: how many outputs an invocation makes, that the usual kernels go down strips of the picture, that large ones are cut into groups of taps,
 * stride phases, the split sum of the kernel's gradient. Shaders: depthwise_slide, depthwise_conv2d, depthwise_weights, sum_parts. */
#include "ops/depthwise.h"

enum { GROUP = 64, MOST_TAPS = 49, MOST_CHOSEN_TAPS = 9, MOST_PARTS = 256, LEAST_BLOCKS = 32, STRIP_STEPS_W = 4, STRIP_STEPS_H = 16, MOST_SLIDING_STRIDE = 3, MOST_KEPT = 22, MOST_SUMS = 9 };

/* Numbers of shaders/depthwise_conv2d.comp, in its order. */
typedef struct depthwise_push {
    uint32_t a_base, b_base, c_base;
    int32_t items, grid_h, grid_w, blocks_h, blocks_w, h, w, a_pitch, b_pitch, c_vecs, offset_y, offset_x, c_n, c_y, c_x, b_tap_y, b_tap_x;
    tlvk__epilogue_push epilogue;
} depthwise_push;

/* Taps lie next to each other, each channel of x makes one of y, and one dispatch can unroll the kernel. */
static bool can_slide(const tlvk__depthwise_call *g) {
    for (int i = 0; i < 2; i++)
        if ((g->dilation[i] > 1 && g->kernel[i] > 1) || g->stride[i] > MOST_SLIDING_STRIDE)
            return false;
    return g->mult == 1 && g->kernel[0] * g->kernel[1] <= MOST_TAPS;
}

/* --- what a pass runs as -------------------------------------------------------------------------------------------------------------------- */

/* Strips or blocks of h x w steps or outputs per invocation; 0, the standard, leaves that to their rules: strips where the kernel can slide. */
static int32_t strips_of(int h, int w) { return tlvk__choice_of_tile(h, w, 1); }
static int32_t blocks_of(int h, int w) { return tlvk__choice_of_tile(h, w, 0); }

int tlvk__depthwise_candidates(const tlvk__depthwise_call *g, int pass, tlvk__choice_key *key, int32_t candidates[TLVK__MOST_CANDIDATES]) {
    const int32_t strips[] = {strips_of(16, 2), strips_of(4, 4), strips_of(16, 8)};
    const int32_t blocks[] = {blocks_of(2, 4), blocks_of(1, 4), blocks_of(1, 2), blocks_of(2, 2), blocks_of(1, 8)};
    const tlvk__tensor *x = g->call->x[0], *y = g->call->y;
    int64_t taps = g->kernel[0] * g->kernel[1];
    int count = 0;
    *key = (tlvk__choice_key){.kind = TLVK__CHOICE_DEPTHWISE, .pass = pass,
                              .n = {x->h, x->w, y->h, y->w, g->kernel[0], g->kernel[1], g->stride[0], g->stride[1], g->dilation[0], g->dilation[1], g->pad[0], g->pad[1],
                                    x->pitch / TLVK__LANES, y->pitch / TLVK__LANES, g->mult}};
    if (pass == 2 || g->mult > 1 || taps > MOST_TAPS)
        return 0;
    candidates[count++] = 0;
    for (size_t i = 0; can_slide(g) && i < (taps <= MOST_CHOSEN_TAPS ? TLVK__COUNT(strips) : 2); i++)
        candidates[count++] = strips[i];
    for (size_t i = 0; taps <= MOST_CHOSEN_TAPS && i < (can_slide(g) ? 2 : TLVK__COUNT(blocks)); i++)
        candidates[count++] = blocks[i];
    return count;
}

static int32_t choice_of(tlvk__recorder *r, const tlvk__depthwise_call *g, int pass) {
    tlvk__choice_key key;
    int32_t candidates[TLVK__MOST_CANDIDATES];
    int count = tlvk__depthwise_candidates(g, pass, &key, candidates);
    return count ? tlvk__choice_take(tlvk__device_caps(tlvk__recorder_device(r)), &key, candidates, count) : 0;
}

/* vec4 that an invocation keeps while it goes down a strip of `beside` steps: the kernel, and the rows that meet it. `backward`: a step makes the outputs of all
 * stride phases from one element of dy. */
static int64_t kept_of(const tlvk__depthwise_call *g, bool backward, int64_t beside) {
    int64_t rows = backward ? tlvk__div_up(g->kernel[0], g->stride[0]) : g->kernel[0], columns = backward ? tlvk__div_up(g->kernel[1], g->stride[1]) : g->kernel[1];
    return g->kernel[0] * g->kernel[1] + rows * ((beside - 1) * (backward ? 1 : g->stride[1]) + columns);
}

/* Steps beside each other; 0: the kernel goes by blocks. A processor's registers overflow into its cache. Elsewhere what is kept must leave room for other
 * subgroups on the same unit: RADV of Mesa 22.3.6 compiled 3x3 with four steps to 144 registers, one wave on a Polaris and Vega, and spilled on an RX 7900. */
static int64_t steps_beside(const tlvk__caps *caps, const tlvk__depthwise_call *g, int32_t choice, bool backward) {
    if (choice)
        return tlvk__choice_kc(choice) == 1 ? tlvk__choice_tv(choice) : 0;
    int64_t beside = can_slide(g) ? STRIP_STEPS_W : 0;
    while (beside > 0 && !tlvk__on_processor(caps) && kept_of(g, backward, beside) > MOST_KEPT)
        beside /= 2;
    return beside;
}

/* Outputs per invocation, rows x columns: neighbours share most of what they read. Fewer where the kernel has many taps to unroll or the
 * channels are gathered one by one. */
static void outputs_of(int32_t choice, int64_t taps, bool gathered, int64_t out[2]) {
    out[0] = choice ? tlvk__choice_tm(choice) : taps <= 9 && !gathered ? 2 : 1;
    out[1] = choice ? tlvk__choice_tv(choice) : gathered ? 1 : taps <= 25 ? 4 : 2;
}

/* --- by blocks ------------------------------------------------------------------------------------------------------------------------------ */

/* One axis of a group of taps: picture position of output j's tap t is j * stride + offset + t * dilation; kernel tap w_first + t * w_step. */
typedef struct taps { int64_t count, stride, dilation, offset, w_first, w_step; } taps;

/* `a` convolved into the outputs first + j * apart (j < grid) of `c`. */
typedef struct target {
    const tlvk__tensor *a, *c;
    int64_t grid[2], first[2], apart[2];
    int64_t spread, merge;
    bool accumulate;
    bool epilogue;
    int32_t choice;
    const char *operation;
} target;

static tlvk_status record_taps(tlvk__recorder *r, const tlvk__depthwise_call *g, const target *t, const tlvk__piece *p, const taps tap[2], bool accumulate, bool last) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *w = g->call->w[0];
    int64_t out[2], samples = p->n1 - p->n0, vecs = t->c->pitch / TLVK__LANES, w_vecs = w->pitch / TLVK__LANES;
    outputs_of(t->choice, tap[0].count * tap[1].count, t->spread > 1 || t->merge > 1, out);
    int64_t blocks_h = tlvk__div_up(t->grid[0], out[0]), blocks_w = tlvk__div_up(t->grid[1], out[1]), items = samples * blocks_h * blocks_w * vecs;
    depthwise_push push = {
        .items = (int32_t)items, .grid_h = (int32_t)t->grid[0], .grid_w = (int32_t)t->grid[1], .blocks_h = (int32_t)blocks_h, .blocks_w = (int32_t)blocks_w,
        .h = (int32_t)t->a->h, .w = (int32_t)t->a->w, .a_pitch = (int32_t)(t->a->pitch / TLVK__LANES), .b_pitch = (int32_t)w_vecs, .c_vecs = (int32_t)vecs,
        .offset_y = (int32_t)tap[0].offset, .offset_x = (int32_t)tap[1].offset, .c_n = (int32_t)(t->c->rows * vecs),
        .c_y = (int32_t)(t->apart[0] * t->c->w * vecs), .c_x = (int32_t)(t->apart[1] * vecs),
        .b_tap_y = (int32_t)(tap[0].w_step * g->kernel[1] * w_vecs), .b_tap_x = (int32_t)(tap[1].w_step * w_vecs)};
    tlvk__dispatch d = {
        .shader = tlvk__texel_operands(caps) ? "depthwise_conv2d_texel" : "depthwise_conv2d_plain",
        .specs = {{"WG", GROUP}, {"KH", (uint32_t)tap[0].count}, {"KW", (uint32_t)tap[1].count}, {"SY", (uint32_t)tap[0].stride}, {"SX", (uint32_t)tap[1].stride},
                  {"DY", (uint32_t)tap[0].dilation}, {"DX", (uint32_t)tap[1].dilation}, {"OY", (uint32_t)out[0]}, {"OX", (uint32_t)out[1]},
                  {"SPREAD", (uint32_t)t->spread}, {"MERGE", (uint32_t)t->merge}, {"ACCUMULATE", accumulate}, {"ACTIVATION", 0}},
        .binding_count = 4, .push = &push, .push_bytes = sizeof push, .groups = {(uint64_t)tlvk__div_up(items, GROUP)},
        .operation = t->operation, .layer = g->call->layer};
    d.bindings[0] = tlvk__tensor_window(caps, t->a, p->n0, p->n1, TLVK__READ, &push.a_base);
    d.bindings[1] = tlvk__tensor_window(caps, w, 0, w->n, TLVK__READ, &push.b_base);
    d.bindings[2] = tlvk__tensor_window(caps, t->c, p->n0, p->n1, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, &push.c_base);
    d.bindings[3] = d.bindings[1];
    tlvk__epilogue_none(t->c->c, &push.epilogue);
    if (last && t->epilogue) {
        tlvk_status s = tlvk__epilogue_bind(r, g->call, g->call->w[1], t->c->c, g->call->scratch, d.bindings[1], t->operation, &d.bindings[3], &push.epilogue,
                                            &d.specs[12].value);
        if (s)
            return s;
    }
    push.b_base += (uint32_t)((tap[0].w_first * g->kernel[1] + tap[1].w_first) * w_vecs);
    push.c_base += (uint32_t)((t->first[0] * t->c->w + t->first[1]) * vecs);
    double outputs = (double)(samples * t->grid[0] * t->grid[1] * vecs);
    d.flops = 8.0 * outputs * (double)(tap[0].count * tap[1].count * t->merge);
    d.bytes = 16.0 * outputs * (1.0 + (double)(tap[0].stride * tap[1].stride));
    return tlvk__record_dispatch(r, &d);
}

/* All taps of a target, in groups that one dispatch unrolls. */
static tlvk_status record_target(tlvk__recorder *r, const tlvk__depthwise_call *g, const target *t, const tlvk__piece *p, const taps all[2]) {
    int64_t most_x = TLVK__MIN(all[1].count, MOST_TAPS), most_y = TLVK__MIN(all[0].count, MOST_TAPS / most_x);
    bool accumulate = t->accumulate;
    for (int64_t ty = 0; ty < all[0].count; ty += most_y)
        for (int64_t tx = 0; tx < all[1].count; tx += most_x) {
            taps part[2] = {all[0], all[1]};
            const int64_t begin[2] = {ty, tx}, most[2] = {most_y, most_x};
            for (int i = 0; i < 2; i++) {
                part[i].count = TLVK__MIN(most[i], all[i].count - begin[i]);
                part[i].offset += begin[i] * all[i].dilation;
                part[i].w_first += begin[i] * all[i].w_step;
            }
            tlvk_status s = record_taps(r, g, t, p, part, accumulate, ty + most_y >= all[0].count && tx + most_x >= all[1].count);
            if (s)
                return s;
            accumulate = true;
        }
    return TLVK_OK;
}

/* --- down a strip --------------------------------------------------------------------------------------------------------------------------- */

/* Numbers of shaders/depthwise_slide.comp, in its order. */
typedef struct slide_push {
    uint32_t a_base, b_base, c_base;
    int32_t items, steps_h, strip_h, blocks_h, blocks_w, h, w, c_h, c_w, vecs, a_y, a_x, c_y, c_x;
    tlvk__epilogue_push epilogue;
} slide_push;

/* One axis of a sliding pass: step s reads from position s * in + a of the operand and makes `out` positions from s * out + c on. */
typedef struct slide { int64_t steps, in, out, a, c; } slide;

static slide forward_slide(const tlvk__depthwise_call *g, int axis, int64_t out_size) {
    return (slide){.steps = out_size, .in = g->stride[axis], .out = 1, .a = -g->pad[axis]};
}

/* Position p of dx meets output q - i through tap r + i * stride, where p + pad = q * stride + r: a step is one q, from the first to the last. */
static slide backward_slide(const tlvk__depthwise_call *g, int axis, int64_t size) {
    int64_t stride = g->stride[axis], pad = g->pad[axis], first = pad / stride;
    return (slide){.steps = (size - 1 + pad) / stride - first + 1, .in = 1, .out = stride, .a = first - (tlvk__div_up(g->kernel[axis], stride) - 1),
                   .c = first * stride - pad};
}

/* Picture `a` into picture `c`; x, y: the axes. An output's sum has one order, however the strips are cut. */
static tlvk_status record_slide(tlvk__recorder *r, const tlvk__depthwise_call *g, const tlvk__tensor *a, const tlvk__tensor *c, const tlvk__piece *p,
                                const slide *y, const slide *x, int64_t beside, int32_t choice, bool backward) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *w = g->call->w[0];
    const char *operation = backward ? "depthwise_conv2d_backward_data" : "depthwise_conv2d";
    bool accumulate = backward && g->call->dx_accumulate[0];
    int64_t samples = p->n1 - p->n0, vecs = c->pitch / TLVK__LANES;
    int64_t blocks_h = tlvk__div_up(y->steps, choice ? tlvk__choice_tm(choice) : STRIP_STEPS_H);
    int64_t blocks_w = tlvk__div_up(x->steps, beside), items = samples * blocks_h * blocks_w * vecs;
    slide_push push = {.items = (int32_t)items, .steps_h = (int32_t)y->steps, .strip_h = (int32_t)tlvk__div_up(y->steps, blocks_h), .blocks_h = (int32_t)blocks_h,
                       .blocks_w = (int32_t)blocks_w, .h = (int32_t)a->h, .w = (int32_t)a->w, .c_h = (int32_t)c->h, .c_w = (int32_t)c->w, .vecs = (int32_t)vecs,
                       .a_y = (int32_t)y->a, .a_x = (int32_t)x->a, .c_y = (int32_t)y->c, .c_x = (int32_t)x->c};
    tlvk__dispatch d = {
        .shader = tlvk__texel_operands(caps) ? "depthwise_slide_texel" : "depthwise_slide_plain",
        .specs = {{"WG", GROUP}, {"KH", (uint32_t)g->kernel[0]}, {"KW", (uint32_t)g->kernel[1]}, {"IN_Y", (uint32_t)y->in}, {"IN_X", (uint32_t)x->in},
                  {"OUT_Y", (uint32_t)y->out}, {"OUT_X", (uint32_t)x->out}, {"BX", (uint32_t)beside}, {"FLIP", backward}, {"ACCUMULATE", accumulate},
                  {"ACTIVATION", 0}},
        .binding_count = 4, .push = &push, .push_bytes = sizeof push, .groups = {(uint64_t)tlvk__div_up(items, GROUP)}, .operation = operation,
        .layer = g->call->layer};
    d.bindings[0] = tlvk__tensor_window(caps, a, p->n0, p->n1, TLVK__READ, &push.a_base);
    d.bindings[1] = tlvk__tensor_window(caps, w, 0, w->n, TLVK__READ, &push.b_base);
    d.bindings[2] = tlvk__tensor_window(caps, c, p->n0, p->n1, accumulate ? TLVK__READ_WRITE : TLVK__WRITE, &push.c_base);
    d.bindings[3] = d.bindings[1];
    tlvk__epilogue_none(c->c, &push.epilogue);
    tlvk_status s = backward ? TLVK_OK : tlvk__epilogue_bind(r, g->call, g->call->w[1], c->c, g->call->scratch, d.bindings[1], operation, &d.bindings[3],
                                                             &push.epilogue, &d.specs[10].value);
    d.flops = 8.0 * (double)(samples * g->call->y->rows * vecs * g->kernel[0] * g->kernel[1]);
    d.bytes = 16.0 * (double)(samples * (a->rows + c->rows) * vecs);
    return s ? s : tlvk__record_dispatch(r, &d);
}

tlvk_status tlvk__depthwise_forward(tlvk__recorder *r, const tlvk__depthwise_call *g) {
    const tlvk__tensor *x = g->call->x[0], *y = g->call->y, *walked[] = {x, y};
    target t = {.a = x, .c = y, .grid = {y->h, y->w}, .apart = {1, 1}, .spread = g->mult, .merge = 1, .epilogue = true,
                .choice = choice_of(r, g, 0), .operation = "depthwise_conv2d"};
    taps all[2];
    for (int i = 0; i < 2; i++)
        all[i] = (taps){.count = g->kernel[i], .stride = g->stride[i], .dilation = g->dilation[i], .offset = -g->pad[i], .w_step = 1};
    const slide down = forward_slide(g, 0, y->h), across = forward_slide(g, 1, y->w);
    const int64_t beside = steps_beside(tlvk__device_caps(tlvk__recorder_device(r)), g, t.choice, false);
    tlvk__piece p = {0, 0};
    bool more;
    for (;;) {
        tlvk_status s = tlvk__next_piece(tlvk__device_caps(tlvk__recorder_device(r)), walked, 2, y->n, &p, &more);
        if (s || !more)
            return s;
        s = beside ? record_slide(r, g, x, y, &p, &down, &across, beside, t.choice, false) : record_target(r, g, &t, &p, all);
        if (s)
            return s;
    }
}

static tlvk_status backward_data(tlvk__recorder *r, const tlvk__depthwise_call *g, const tlvk__piece *p) {
    const tlvk__tensor *dy = g->call->dy, *dx = g->call->dx[0];
    target t = {.a = dy, .c = dx, .apart = {g->stride[0], g->stride[1]}, .spread = 1, .merge = g->mult, .accumulate = g->call->dx_accumulate[0],
                .choice = choice_of(r, g, 1), .operation = "depthwise_conv2d_backward_data"};
    const int64_t size[2] = {dx->h, dx->w};
    const int64_t beside = steps_beside(tlvk__device_caps(tlvk__recorder_device(r)), g, t.choice, true);
    if (beside) {
        const slide down = backward_slide(g, 0, size[0]), across = backward_slide(g, 1, size[1]);
        return record_slide(r, g, dy, dx, p, &down, &across, beside, t.choice, true);
    }
    for (int64_t py = 0; py < TLVK__MIN(g->stride[0], size[0]); py++)
        for (int64_t px = 0; px < TLVK__MIN(g->stride[1], size[1]); px++) {
            const int64_t first[2] = {py, px};
            taps all[2];
            bool none = false;
            for (int i = 0; i < 2; i++) {
                tlvk__phase f = tlvk__backward_phase(first[i], size[i], g->kernel[i], g->stride[i], g->dilation[i], g->pad[i]);
                t.first[i] = f.first;
                t.grid[i] = f.count;
                all[i] = (taps){.count = f.taps, .stride = 1, .dilation = TLVK__MAX(f.step, 1), .offset = f.offset, .w_first = f.w_first, .w_step = f.w_step};
                none = none || f.taps == 0;
            }
            if (none && t.accumulate)
                continue;
            for (int i = 0; none && i < 2; i++) /* one tap that meets no output: zero */
                all[i] = (taps){.count = 1, .stride = 1, .dilation = 1, .offset = -(1 << 20)};
            tlvk_status s = record_target(r, g, &t, p, all);
            if (s)
                return s;
        }
    return TLVK_OK;
}

/* --- with respect to the kernel ------------------------------------------------------------------------------------------------------------- */

/* Numbers of shaders/depthwise_weights.comp, in its order. */
typedef struct weights_push {
    uint32_t a_base, b_base, c_base;
    int32_t parts, part_blocks, blocks, grid_h, grid_w, blocks_w, h, w, a_pitch, c_vecs, offset_y, offset_x, c_part, c_first, c_tap_y;
} weights_push;

typedef struct split { int64_t outputs, blocks_w, part_blocks, parts; } split;

/* From the whole batch, so that it does not depend on how that is cut into pieces. Outputs side by side share what they read; four of them beside nine sums are
 * more than the registers of a processor's graphics unit (ANV of Mesa 25.0.7 spilled from Skylake to Lunar Lake). */
static split split_of(const tlvk__caps *caps, const tlvk__depthwise_call *g, int64_t samples) {
    const tlvk__tensor *y = g->call->y;
    split s = {.outputs = g->mult > 1 || g->kernel[0] * g->kernel[1] > 25 ? 1 : tlvk__on_processor(caps) ? 4 : 2};
    s.blocks_w = tlvk__div_up(y->w, s.outputs);
    int64_t blocks = y->n * y->h * s.blocks_w;
    s.part_blocks = TLVK__MAX((int64_t)LEAST_BLOCKS, tlvk__div_up(blocks, MOST_PARTS));
    s.parts = tlvk__div_up(samples * y->h * s.blocks_w, s.part_blocks);
    return s;
}

static uint64_t split_bytes(const tlvk__caps *caps, const tlvk__depthwise_call *g) {
    split s = split_of(caps, g, g->call->y->n);
    return (uint64_t)(s.parts * g->kernel[0] * g->kernel[1] * g->call->y->pitch) * sizeof(float);
}

unsigned tlvk__depthwise_halves(const tlvk__depthwise_call *g) { return TLVK__HALF_X | (g->kernel[0] * g->kernel[1] <= MOST_TAPS ? TLVK__HALF_Y : 0); }

tlvk_status tlvk__depthwise_needs(const tlvk__caps *caps, const tlvk__depthwise_call *g, bool want_dw, tlvk__op_needs *needs) {
    needs->forward_scratch_bytes = g->call->epilogue.scale ? (uint64_t)g->call->y->pitch * 2 * sizeof(float) : 0;
    if (want_dw)
        needs->backward_scratch_bytes = TLVK__MAX(split_bytes(caps, g), tlvk__column_sums_bytes(g->call->y));
    return TLVK_OK;
}

/* Partial sums of a group of taps: rows ty to ty + rows, columns tx to tx + columns of the kernel. */
static tlvk_status record_weights(tlvk__recorder *r, const tlvk__depthwise_call *g, const tlvk__piece *p, const split *s, tlvk__span to, int64_t ty, int64_t rows,
                                  int64_t tx, int64_t columns) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *x = g->call->x[0], *dy = g->call->dy;
    int64_t vecs = dy->pitch / TLVK__LANES, blocks = (p->n1 - p->n0) * dy->h * s->blocks_w;
    weights_push push = {
        .parts = (int32_t)s->parts, .part_blocks = (int32_t)s->part_blocks, .blocks = (int32_t)blocks, .grid_h = (int32_t)dy->h, .grid_w = (int32_t)dy->w,
        .blocks_w = (int32_t)s->blocks_w, .h = (int32_t)x->h, .w = (int32_t)x->w, .a_pitch = (int32_t)(x->pitch / TLVK__LANES), .c_vecs = (int32_t)vecs,
        .offset_y = (int32_t)(ty * g->dilation[0] - g->pad[0]), .offset_x = (int32_t)(tx * g->dilation[1] - g->pad[1]),
        .c_part = (int32_t)(g->kernel[0] * g->kernel[1] * vecs), .c_first = (int32_t)((ty * g->kernel[1] + tx) * vecs), .c_tap_y = (int32_t)(g->kernel[1] * vecs)};
    tlvk__dispatch d = {
        .shader = tlvk__texel_operands(caps) ? "depthwise_weights_texel" : "depthwise_weights_plain",
        .specs = {{"WG", GROUP}, {"KH", (uint32_t)rows}, {"KW", (uint32_t)columns}, {"SY", (uint32_t)g->stride[0]}, {"SX", (uint32_t)g->stride[1]},
                  {"DY", (uint32_t)g->dilation[0]}, {"DX", (uint32_t)g->dilation[1]}, {"OX", (uint32_t)s->outputs}, {"SPREAD", (uint32_t)g->mult}},
        .binding_count = 3, .push = &push, .push_bytes = sizeof push, .groups = {(uint64_t)tlvk__div_up(s->parts * vecs, GROUP)},
        .operation = "depthwise_conv2d_backward_weights", .layer = g->call->layer};
    d.bindings[0] = tlvk__tensor_window(caps, x, p->n0, p->n1, TLVK__READ, &push.a_base);
    d.bindings[1] = tlvk__tensor_window(caps, dy, p->n0, p->n1, TLVK__READ, &push.b_base);
    d.bindings[2] = tlvk__span_window(caps, to, TLVK__WRITE, &push.c_base);
    double outputs = (double)((p->n1 - p->n0) * dy->rows * vecs);
    d.flops = 8.0 * outputs * (double)(rows * columns);
    d.bytes = 16.0 * outputs * (1.0 + (double)(g->stride[0] * g->stride[1]));
    return tlvk__record_dispatch(r, &d);
}

static tlvk_status backward_weights(tlvk__recorder *r, const tlvk__depthwise_call *g, const tlvk__piece *p) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *dw = g->call->dw[0];
    split s = split_of(caps, g, p->n1 - p->n0);
    int64_t count = g->kernel[0] * g->kernel[1] * g->call->dy->pitch / TLVK__LANES;
    int64_t most = tlvk__on_processor(caps) ? MOST_TAPS : MOST_SUMS;
    int64_t most_x = TLVK__MIN(g->kernel[1], most), most_y = TLVK__MIN(g->kernel[0], most / most_x);
    tlvk__span partial = {g->call->scratch.buffer, g->call->scratch.offset, (uint64_t)(s.parts * count) * 16};
    for (int64_t ty = 0; ty < g->kernel[0]; ty += most_y)
        for (int64_t tx = 0; tx < g->kernel[1]; tx += most_x) {
            tlvk_status status = record_weights(r, g, p, &s, partial, ty, TLVK__MIN(most_y, g->kernel[0] - ty), tx, TLVK__MIN(most_x, g->kernel[1] - tx));
            if (status)
                return status;
        }
    uint32_t base;
    tlvk__binding to = tlvk__tensor_window(caps, dw, 0, dw->n, TLVK__WRITE, &base);
    return tlvk__record_sum_parts(r, partial, s.parts, count, to, base, g->call->dw_accumulate[0] || p->n0 > 0, "depthwise_conv2d_backward_weights", g->call->layer);
}

tlvk_status tlvk__depthwise_backward(tlvk__recorder *r, const tlvk__depthwise_call *g) {
    const tlvk__op_call *call = g->call;
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    bool more;
    const tlvk__tensor *weights_walk[] = {call->x[0], call->dy}, *data_walk[] = {call->dy, call->dx[0]};
    tlvk_status s = TLVK_OK;
    for (tlvk__piece p = {0, 0}; !s && call->dw[0];) {
        s = tlvk__next_piece(caps, weights_walk, 2, call->dy->n, &p, &more);
        if (s || !more)
            break;
        s = backward_weights(r, g, &p);
    }
    if (!s && call->dw[1])
        s = tlvk__record_column_sums(r, call->dy, call->dw[1], call->dw_accumulate[1], call->scratch, "depthwise_conv2d_backward_bias", call->layer);
    for (tlvk__piece p = {0, 0}; !s && call->dx[0];) {
        s = tlvk__next_piece(caps, data_walk, 2, call->dy->n, &p, &more);
        if (s || !more)
            break;
        s = backward_data(r, g, &p);
    }
    return s;
}
