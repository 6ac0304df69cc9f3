/* pooling2d.c - MaxPooling2D and AveragePooling2D: maximum or mean over windows of an image.
 * Fields: keras/src/layers/pooling/base_pooling.py; sizes: TensorFlow's "valid" and "same", whose odd padding goes below and right.
 * Windows of the usual sizes go down strips of the image (pooling2d_slide), and where a gradient is to come, a maximum keeps which element it was;
 * large ones are looped over, and their backward finds the maximum again in x (pooling2d). */
#include "ops/attrs.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdio.h>

enum { MOST_TAPS = 49, MOST_STRIDE = 4, STRIP_WIDTH = 4, STRIP_HEIGHT = 16, MOST_KEPT = 16 };

/* Sizes of one call, padding resolved. */
typedef struct geometry { int64_t n, h, w, c, oh, ow, kh, kw, sh, sw, top, left; bool zeros; /* elements outside are zeros that count */ } geometry;

static int64_t stride_of(const tlvk__pooling2d_attrs *a, int axis) {
    return a->strides[axis] > 0 ? a->strides[axis] : a->pool_size[axis];
}

static int64_t output_size(const tlvk__pooling2d_attrs *a, int axis, int64_t in) {
    int64_t stride = stride_of(a, axis);
    if (in < 0)
        return -1;
    in += (int64_t)a->zero_padding[2 * axis] + a->zero_padding[2 * axis + 1];
    return a->padding == TLVK_SAME ? tlvk__div_up(in, stride) : in < a->pool_size[axis] ? 0 : (in - a->pool_size[axis]) / stride + 1;
}

static int64_t padding_before(const tlvk__pooling2d_attrs *a, int axis, int64_t in, int64_t out) {
    if (a->padding == TLVK_VALID)
        return a->zero_padding[2 * axis];
    int64_t total = (out - 1) * stride_of(a, axis) + a->pool_size[axis] - in;
    return total > 0 ? total / 2 : 0;
}

static geometry geometry_of(const tlvk__pooling2d_attrs *a, int64_t n, int64_t h, int64_t w, int64_t c) {
    geometry g = {.n = n, .h = h, .w = w, .c = c, .oh = output_size(a, 0, h), .ow = output_size(a, 1, w), .kh = a->pool_size[0],
                  .kw = a->pool_size[1], .sh = stride_of(a, 0), .sw = stride_of(a, 1)};
    g.zeros = a->zero_padding[0] || a->zero_padding[1] || a->zero_padding[2] || a->zero_padding[3];
    g.top = padding_before(a, 0, h, g.oh);
    g.left = padding_before(a, 1, w, g.ow);
    return g;
}

static void defaults(void *attrs) {
    *(tlvk__pooling2d_attrs *)attrs = (tlvk__pooling2d_attrs){.pool_size = {2, 2}, .padding = TLVK_VALID};
}

static tlvk_status shape(const void *attrs, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    const tlvk__pooling2d_attrs *a = attrs;
    char text[128];
    tlvk_status s = tlvk__expect_image("a pooling layer", inputs, x);
    if (s)
        return s;
    if (a->pool_size[0] < 1 || a->pool_size[1] < 1 || a->strides[0] < 0 || a->strides[1] < 0)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "pooling with pool_size (%d, %d) and strides (%d, %d): both must be at least 1", a->pool_size[0],
                          a->pool_size[1], a->strides[0], a->strides[1]);
    *y = (tlvk__shape){4, {x->dim[0], output_size(a, 0, x->dim[1]), output_size(a, 1, x->dim[2]), x->dim[3]}};
    if (y->dim[1] == 0 || y->dim[2] == 0)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "pooling windows of (%d, %d) do not fit into an image of shape %s; a larger image or padding \"same\" would",
                          a->pool_size[0], a->pool_size[1], tlvk__shape_text(x, text, sizeof text));
    return TLVK_OK;
}

static double flops(const tlvk__op_call *call) {
    const tlvk__pooling2d_attrs *a = call->attrs;
    return tlvk__elementwise_flops(call) * a->pool_size[0] * a->pool_size[1];
}

static void geometry_words(const geometry *g, const tlvk__tensor *x, tlvk__walk *walk) {
    const int64_t values[] = {x->pitch / TLVK__LANES, g->h, g->w, g->oh, g->ow, g->kh, g->kw, g->sh, g->sw, g->top, g->left};
    for (size_t i = 0; i < TLVK__COUNT(values); i++)
        walk->words[walk->word_count++] = (uint32_t)values[i];
}

static tlvk_status record_forward(tlvk__recorder *r, const tlvk__op_call *call, const char *shader) {
    const tlvk__tensor *x = call->x[0];
    geometry g = geometry_of(call->attrs, x->n, x->h, x->w, x->c);
    tlvk__walk walk = {
        .shader = shader, .operation = shader, .layer = call->layer,
        .operands = {{x, TLVK__READ, false}, {call->y, TLVK__WRITE, false}}, .operand_count = 2,
        .n = x->n, .items = tlvk__sample_vec4s(call->y), .flops = flops(call)};
    geometry_words(&g, x, &walk);
    return tlvk__record_walk(r, &walk);
}

static tlvk_status record_backward(tlvk__recorder *r, const tlvk__op_call *call, const char *shader, bool reads_x) {
    const tlvk__tensor *dx = call->dx[0];
    if (!dx)
        return TLVK_OK;
    geometry g = geometry_of(call->attrs, dx->n, dx->h, dx->w, dx->c);
    tlvk__walk walk = {
        .shader = shader, .operation = shader, .layer = call->layer, .specs = {{"ACCUMULATE", call->dx_accumulate[0]}},
        .operands = {{reads_x ? call->x[0] : NULL, TLVK__READ, false}, {call->dy, TLVK__READ, false},
                     {dx, call->dx_accumulate[0] ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 3,
        .n = dx->n, .items = tlvk__sample_vec4s(dx), .flops = flops(call)};
    geometry_words(&g, dx, &walk);
    return tlvk__record_walk(r, &walk);
}

/* --- down a strip --------------------------------------------------------------------------------------------------------------------------- */

static bool slides(const tlvk__pooling2d_attrs *a) {
    return (int64_t)a->pool_size[0] * a->pool_size[1] <= MOST_TAPS && stride_of(a, 0) <= MOST_STRIDE && stride_of(a, 1) <= MOST_STRIDE;
}

bool tlvk__pooling2d_pads(const tlvk__pooling2d_attrs *a) { return slides(a) && a->padding == TLVK_VALID; }

/* Which element each maximum was: a byte per channel, a word per vec4 of y; samples begin at whole vec4. */
static int64_t index_floats(const tlvk__tensor *y) { return (int64_t)tlvk__round_up((uint64_t)(y->rows * (y->pitch / TLVK__LANES)), TLVK__LANES); }

static tlvk_status max_needs(const tlvk__caps *caps, const tlvk__op_call *call, bool want_dx, bool want_dw, tlvk__op_needs *n) {
    int64_t bytes;
    (void)caps, (void)want_dw;
    if (!want_dx || !slides(call->attrs))
        return TLVK_OK;
    if (!tlvk__mul_i64(call->y->n, index_floats(call->y) * (int64_t)sizeof(float), &bytes))
        return tlvk__fail(TLVK_ERROR_MEMORY, "MaxPooling2D of %lld samples is larger than any memory", (long long)call->y->n);
    n->aux_bytes[0] = (uint64_t)bytes;
    return TLVK_OK;
}

/* Windows beside each other in a strip. A processor's registers overflow into its cache; elsewhere an invocation keeps at most about MOST_KEPT vec4, a maximum's
 * place counted beside it, so that there is room for other subgroups on the same unit: with four windows RADV of Mesa 22.3.6 compiled the 3x3 maximum of
 * stride 2 to 112 to 128 registers, two waves on a Polaris and Vega, and to spills. */
static int64_t strip_width(const tlvk__caps *caps, const geometry *g, bool maximum, bool backward) {
    int64_t width = STRIP_WIDTH;
    while (width > 1 && !tlvk__on_processor(caps)) {
        int64_t forward_kept = g->kh * width * (maximum ? 2 : 1) + (width - 1) * g->sw + g->kw;
        int64_t backward_kept = tlvk__div_up(g->kh, g->sh) * (width + tlvk__div_up(g->kw, g->sw) - 1) * (maximum ? 2 : 1);
        if ((backward ? backward_kept : forward_kept) <= MOST_KEPT)
            break;
        width /= 2;
    }
    return width;
}

/* The words of both directions, for strips over `steps_h` x `steps_w` windows `width` wide, and the constants. */
static void slide_words(const geometry *g, const tlvk__tensor *y, int64_t steps_h, int64_t steps_w, int64_t width, uint32_t last, const char *last_name,
                        tlvk__walk *walk) {
    int64_t columns = y->pitch / TLVK__LANES, blocks_h = tlvk__div_up(steps_h, STRIP_HEIGHT), blocks_w = tlvk__div_up(steps_w, width);
    const int64_t values[] = {columns, g->h, g->w, g->oh, g->ow, g->top, g->left, blocks_h, blocks_w, tlvk__div_up(steps_h, blocks_h), index_floats(y)};
    for (size_t i = 0; i < TLVK__COUNT(values); i++)
        walk->words[walk->word_count++] = (uint32_t)values[i];
    const tlvk__spec specs[] = {{"KH", (uint32_t)g->kh}, {"KW", (uint32_t)g->kw}, {"SY", (uint32_t)g->sh}, {"SX", (uint32_t)g->sw}, {"BX", (uint32_t)width}, {last_name, last}};
    memcpy(walk->specs, specs, sizeof specs);
    walk->items = (uint64_t)(blocks_h * blocks_w * columns);
}

static tlvk_status slide_forward(tlvk__recorder *r, const tlvk__op_call *call, bool maximum) {
    const tlvk__tensor *x = call->x[0], *y = call->y;
    geometry g = geometry_of(call->attrs, x->n, x->h, x->w, x->c);
    bool keep = maximum && call->aux[0].buffer;
    tlvk__tensor index = tlvk__span_tensor(&call->aux[0], y->n, 1, index_floats(y));
    tlvk__walk walk = {
        .shader = maximum ? "pooling2d_slide_max" : "pooling2d_slide_average", .texel = true,
        .operation = maximum ? "pooling2d_max" : "pooling2d_average", .layer = call->layer,
        .operands = {{x, TLVK__READ, false}, {y, TLVK__WRITE, false}, {keep ? &index : NULL, TLVK__WRITE, false}}, .operand_count = 3,
        .n = x->n, .flops = flops(call)};
    slide_words(&g, y, g.oh, g.ow, strip_width(tlvk__device_caps(tlvk__recorder_device(r)), &g, maximum, false), keep, "INDEX", &walk);
    walk.specs[6] = (tlvk__spec){"ZEROS", g.zeros};
    return tlvk__record_walk(r, &walk);
}

static tlvk_status slide_backward(tlvk__recorder *r, const tlvk__op_call *call, bool maximum) {
    const tlvk__tensor *dx = call->dx[0], *dy = call->dy;
    if (!dx)
        return TLVK_OK;
    geometry g = geometry_of(call->attrs, dx->n, dx->h, dx->w, dx->c);
    /* Pixel p is pixel r of step q, where p + padding = q * stride + r. */
    int64_t first_y = g.top / g.sh, first_x = g.left / g.sw, steps_h = (g.h - 1 + g.top) / g.sh - first_y + 1, steps_w = (g.w - 1 + g.left) / g.sw - first_x + 1;
    tlvk__tensor index = tlvk__span_tensor(&call->aux[0], dy->n, 1, index_floats(dy));
    tlvk__walk walk = {
        .shader = maximum ? "pooling2d_slide_backward_max" : "pooling2d_slide_backward_average", .texel = true,
        .operation = maximum ? "pooling2d_backward_max" : "pooling2d_backward_average", .layer = call->layer,
        .operands = {{dy, TLVK__READ, false}, {maximum ? &index : NULL, TLVK__READ, false},
                     {dx, call->dx_accumulate[0] ? TLVK__READ_WRITE : TLVK__WRITE, false}}, .operand_count = 3,
        .n = dx->n, .flops = flops(call)};
    slide_words(&g, dy, steps_h, steps_w, strip_width(tlvk__device_caps(tlvk__recorder_device(r)), &g, maximum, true), call->dx_accumulate[0], "ACCUMULATE", &walk);
    const int64_t more[] = {steps_h, first_y, first_x};
    for (size_t i = 0; i < TLVK__COUNT(more); i++)
        walk.words[walk.word_count++] = (uint32_t)more[i];
    return tlvk__record_walk(r, &walk);
}

/* --- either way ----------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status max_forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return slides(call->attrs) ? slide_forward(r, call, true) : record_forward(r, call, "pooling2d_max");
}
static tlvk_status max_backward(tlvk__recorder *r, const tlvk__op_call *call) {
    return slides(call->attrs) ? slide_backward(r, call, true) : record_backward(r, call, "pooling2d_backward_max", true);
}
static tlvk_status average_forward(tlvk__recorder *r, const tlvk__op_call *call) {
    return slides(call->attrs) ? slide_forward(r, call, false) : record_forward(r, call, "pooling2d_average");
}
static tlvk_status average_backward(tlvk__recorder *r, const tlvk__op_call *call) {
    return slides(call->attrs) ? slide_backward(r, call, false) : record_backward(r, call, "pooling2d_backward_average", false);
}
static unsigned halves(const tlvk__caps *caps, const tlvk__op_call *call) {
    (void)caps;
    return slides(call->attrs) ? TLVK__HALF_X | TLVK__HALF_Y : 0;
}
static unsigned max_reads(const void *attrs, bool training, bool want_dx, bool want_dw) {
    (void)training, (void)want_dx, (void)want_dw;
    return slides(attrs) ? 0 : TLVK__READS_X;
}

/* --- reference -------------------------------------------------------------------------------------------------------------------------- */

/* One window of one channel: calls nothing, tells its bounds. */
typedef struct window { int64_t y0, y1, x0, x1; } window;

static window window_at(const geometry *g, int64_t oy, int64_t ox) {
    if (g->zeros)
        return (window){oy * g->sh - g->top, oy * g->sh - g->top + g->kh, ox * g->sw - g->left, ox * g->sw - g->left + g->kw};
    return (window){TLVK__MAX(oy * g->sh - g->top, 0), TLVK__MIN(oy * g->sh - g->top + g->kh, g->h),
                    TLVK__MAX(ox * g->sw - g->left, 0), TLVK__MIN(ox * g->sw - g->left + g->kw, g->w)};
}

static int64_t at(const geometry *g, int64_t n, int64_t y, int64_t x, int64_t c) {
    return ((n * g->h + y) * g->w + x) * g->c + c;
}

/* Where the first maximum of a window is; -1: it is a zero around the image. */
static int64_t first_maximum(const geometry *g, const double *x, window w, int64_t n, int64_t c) {
    int64_t best = -1;
    double most = 0;
    bool begun = false;
    for (int64_t iy = w.y0; iy < w.y1; iy++)
        for (int64_t ix = w.x0; ix < w.x1; ix++) {
            bool inside = iy >= 0 && iy < g->h && ix >= 0 && ix < g->w;
            double value = inside ? x[at(g, n, iy, ix, c)] : 0;
            if (!begun || value > most) {
                begun = true;
                most = value;
                best = inside ? at(g, n, iy, ix, c) : -1;
            }
        }
    return best;
}

static void mean_window(const geometry *g, const double *x, window w, int64_t n, int64_t c, double *value, double *bound) {
    double sum = 0, size = 0, count = (double)((w.y1 - w.y0) * (w.x1 - w.x0));
    for (int64_t iy = w.y0; iy < w.y1; iy++)
        for (int64_t ix = w.x0; ix < w.x1; ix++) {
            sum += x[at(g, n, iy, ix, c)];
            size += fabs(x[at(g, n, iy, ix, c)]);
        }
    *value = sum / count;
    *bound = (4 * sqrt(count) + 6) * TLVK__U * size / count;
}

/* Calls `one` for each output element, in order. */
typedef void (*each_fn)(const geometry *g, const tlvk__ref_call *call, window w, int64_t n, int64_t c, size_t out);
static void for_each(const geometry *g, const tlvk__ref_call *call, each_fn one) {
    size_t out = 0;
    for (int64_t n = 0; n < g->n; n++)
        for (int64_t oy = 0; oy < g->oh; oy++)
            for (int64_t ox = 0; ox < g->ow; ox++)
                for (int64_t c = 0; c < g->c; c++)
                    one(g, call, window_at(g, oy, ox), n, c, out++);
}

static void max_one(const geometry *g, const tlvk__ref_call *call, window w, int64_t n, int64_t c, size_t out) {
    int64_t best = first_maximum(g, call->x[0]->v, w, n, c);
    call->y->v[out] = best < 0 ? 0 : call->x[0]->v[best];
    if (call->y->e)
        call->y->e[out] = 0;
}
static void average_one(const geometry *g, const tlvk__ref_call *call, window w, int64_t n, int64_t c, size_t out) {
    double bound;
    mean_window(g, call->x[0]->v, w, n, c, &call->y->v[out], &bound);
    if (call->y->e)
        call->y->e[out] = bound;
}

/* Sums of at most this many windows meet in one input element; `e` first gathers the sizes of the terms. */
static double overlap(const geometry *g) {
    return (double)(tlvk__div_up(g->kh, g->sh) * tlvk__div_up(g->kw, g->sw));
}

static void max_back_one(const geometry *g, const tlvk__ref_call *call, window w, int64_t n, int64_t c, size_t out) {
    int64_t best = first_maximum(g, call->x[0]->v, w, n, c);
    if (best < 0)
        return;
    call->dx[0]->v[best] += call->dy->v[out];
    if (call->dx[0]->e)
        call->dx[0]->e[best] += overlap(g) > 1 ? overlap(g) * TLVK__U * fabs(call->dy->v[out]) : 0;
}
static void average_back_one(const geometry *g, const tlvk__ref_call *call, window w, int64_t n, int64_t c, size_t out) {
    double share = call->dy->v[out] / (double)((w.y1 - w.y0) * (w.x1 - w.x0));
    for (int64_t iy = w.y0; iy < w.y1; iy++)
        for (int64_t ix = w.x0; ix < w.x1; ix++) {
            call->dx[0]->v[at(g, n, iy, ix, c)] += share;
            if (call->dx[0]->e)
                call->dx[0]->e[at(g, n, iy, ix, c)] += (6 + overlap(g)) * TLVK__U * fabs(share);
        }
}

static geometry reference_geometry(const tlvk__ref_call *call) {
    const tlvk__shape *x = &call->x[0]->shape;
    return geometry_of(call->attrs, x->dim[0], x->dim[1], x->dim[2], x->dim[3]);
}

static tlvk_status reference_backward(const tlvk__ref_call *call, each_fn one) {
    if (!call->dx[0])
        return TLVK_OK;
    geometry g = reference_geometry(call);
    size_t bytes = tlvk__ref_count(call->dx[0]) * sizeof(double);
    memset(call->dx[0]->v, 0, bytes);
    if (call->dx[0]->e)
        memset(call->dx[0]->e, 0, bytes);
    for_each(&g, call, one);
    return TLVK_OK;
}

static tlvk_status max_reference(const tlvk__ref_call *call) {
    geometry g = reference_geometry(call);
    for_each(&g, call, max_one);
    return TLVK_OK;
}
static tlvk_status average_reference(const tlvk__ref_call *call) {
    geometry g = reference_geometry(call);
    for_each(&g, call, average_one);
    return TLVK_OK;
}
static tlvk_status max_reference_backward(const tlvk__ref_call *call) {
    return reference_backward(call, max_back_one);
}
static tlvk_status average_reference_backward(const tlvk__ref_call *call) {
    return reference_backward(call, average_back_one);
}

/* --- cases ------------------------------------------------------------------------------------------------------------------------------ */

/* The last PADDED cases are with zeros around the image, of a maximum alone. */
enum { PADDED = 4 };

static bool case_of(int index, bool maximum, tlvk__op_case *c) {
    static const struct { tlvk__pooling2d_attrs a; tlvk__shape x; } cases[] = {
        {{{2, 2}, {0, 0}, TLVK_VALID, {0}}, {4, {2, 6, 4, 8}}},
        {{{2, 2}, {2, 2}, TLVK_VALID, {0}}, {4, {3, 7, 5, 5}}},
        {{{3, 3}, {2, 2}, TLVK_SAME, {0}}, {4, {2, 7, 8, 6}}},
        {{{3, 3}, {1, 1}, TLVK_SAME, {0}}, {4, {2, 5, 4, 3}}},
        {{{3, 2}, {1, 3}, TLVK_SAME, {0}}, {4, {3, 6, 8, 7}}},
        {{{2, 3}, {3, 1}, TLVK_VALID, {0}}, {4, {2, 9, 5, 1}}},
        {{{1, 1}, {2, 2}, TLVK_VALID, {0}}, {4, {2, 5, 5, 4}}},
        {{{5, 5}, {2, 2}, TLVK_SAME, {0}}, {4, {1, 3, 2, 4}}},
        {{{3, 3}, {2, 2}, TLVK_SAME, {0}}, {4, {2, 6, 6, 4}}},
        {{{3, 3}, {2, 2}, TLVK_VALID, {0}}, {4, {2, 37, 36, 12}}},
        {{{9, 8}, {2, 3}, TLVK_SAME, {0}}, {4, {2, 11, 10, 5}}},
        {{{2, 2}, {5, 6}, TLVK_VALID, {0}}, {4, {2, 13, 14, 6}}},
        {{{7, 7}, {1, 4}, TLVK_SAME, {0}}, {4, {2, 9, 12, 5}}},
        {{{3, 3}, {2, 2}, TLVK_SAME, {0}}, {4, {2, 7, 8, 5}}},
        {{{2, 2}, {5, 6}, TLVK_VALID, {0}}, {4, {2, 12, 13, 5}}},
        {{{2, 2}, {2, 2}, TLVK_VALID, {0}}, {4, {2, 56, 56, 128}}},
        {{{3, 3}, {2, 2}, TLVK_SAME, {0}}, {4, {1, 112, 112, 64}}},
        {{{3, 3}, {1, 1}, TLVK_SAME, {0}}, {4, {1, 35, 35, 192}}},
        {{{3, 3}, {2, 2}, TLVK_VALID, {1, 1, 1, 1}}, {4, {2, 10, 8, 6}}},
        {{{3, 3}, {2, 2}, TLVK_VALID, {1, 1, 1, 1}}, {4, {2, 10, 11, 8}}},
        {{{3, 2}, {1, 3}, TLVK_VALID, {0, 4, 3, 1}}, {4, {2, 6, 9, 5}}},
        {{{2, 3}, {3, 1}, TLVK_VALID, {2, 0, 0, 2}}, {4, {3, 38, 5, 4}}},
    };
    if (index >= (int)TLVK__COUNT(cases) - (maximum ? 0 : PADDED))
        return false;
    const tlvk__pooling2d_attrs *a = &cases[index].a;
    memcpy(c->attrs.bytes, a, sizeof *a);
    c->inputs = 1;
    c->x[0] = cases[index].x;
    c->coarse = index == 8 || index == 19 || index == 21;
    c->infinite = maximum && (index == 13 || index == 14);
    c->distinct = !c->coarse && !c->infinite;
    c->real_size = index >= 15 && index < 18;
    c->planner_only = index >= 18;
    snprintf(c->name, sizeof c->name, "%s %dx%d s%dx%d %s", a->padding == TLVK_SAME ? "same" : "valid", a->pool_size[0], a->pool_size[1],
             (int)stride_of(a, 0), (int)stride_of(a, 1), tlvk__shape_text(&c->x[0], (char[64]){0}, 64));
    if (c->infinite)
        snprintf(c->name + strlen(c->name), sizeof c->name - strlen(c->name), ", most of it -inf");
    if (c->planner_only)
        snprintf(c->name + strlen(c->name), sizeof c->name - strlen(c->name), ", zeros %d %d %d %d", a->zero_padding[0], a->zero_padding[1], a->zero_padding[2],
                 a->zero_padding[3]);
    return true;
}

static bool max_case(int index, tlvk__op_case *c) { return case_of(index, true, c); }
static bool average_case(int index, tlvk__op_case *c) { return case_of(index, false, c); }

static const tlvk__field fields[] = {
    {.key = "pool_size", .type = TLVK__FIELD_PAIR, .offset = offsetof(tlvk__pooling2d_attrs, pool_size)},
    {.key = "strides", .type = TLVK__FIELD_PAIR, .offset = offsetof(tlvk__pooling2d_attrs, strides)},
    {.key = "padding", .type = TLVK__FIELD_PADDING, .offset = offsetof(tlvk__pooling2d_attrs, padding)},
    {.key = "data_format", .type = TLVK__FIELD_MUST, .must = "\"channels_last\""},
    {0},
};

const tlvk__op tlvk__op_max_pooling2d = {
    .class_name = "MaxPooling2D", .snake_name = "max_pooling2d", .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__pooling2d_attrs), .fields = fields, .defaults = defaults, .shape = shape, .flops = flops,
    .halves = halves, .backward_reads = max_reads, .needs = max_needs, .forward = max_forward, .backward = max_backward,
    .reference_forward = max_reference, .reference_backward = max_reference_backward, .test_case = max_case,
};

const tlvk__op tlvk__op_average_pooling2d = {
    .class_name = "AveragePooling2D", .snake_name = "average_pooling2d", .min_inputs = 1, .max_inputs = 1,
    .attr_bytes = sizeof(tlvk__pooling2d_attrs), .fields = fields, .defaults = defaults, .shape = shape, .flops = flops,
    .halves = halves, .forward = average_forward, .backward = average_backward,
    .reference_forward = average_reference, .reference_backward = average_reference_backward, .test_case = average_case,
};
