/* plot.c - see plot.h. Hides: cairo, the layout of a chart and the choice of its ticks. */
#include "train/plot.h"
#include "core/platform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if TLVK_WITH_CAIRO
#include <cairo-svg.h>

/* All sizes in points; a PNG has PIXELS of them along each. */
#define PANEL_WIDTH 520.0
#define PANEL_HEIGHT 380.0
#define PIXELS 2.0
#define LEFT 62.0
#define RIGHT 18.0
#define TOP 34.0
#define BOTTOM 52.0
#define LEGEND_ROW 17.0

typedef struct axis { double low, high, step; } axis;
typedef struct chart { cairo_t *to; const tlvk__plot_panel *panel; double x, y, width, height; axis across, up; int count; } chart;

/* The colours of Okabe and Ito, "Color Universal Design" (2008). */
static const double COLOURS[][3] = {{0.0, 0.447, 0.698}, {0.835, 0.369, 0.0}, {0.0, 0.620, 0.451}, {0.8, 0.475, 0.655}, {0.337, 0.706, 0.914}, {0.902, 0.624, 0.0}};

/* --- axes ------------------------------------------------------------------------------------------------------------------ */

/* The smallest of 1, 2, 5 times a power of ten that makes at most `most` steps of `range`. */
static double nice_step(double range, int most) {
    double step = pow(10, floor(log10(range / most)));
    static const double factors[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++) {
        if (range / (step * factors[i]) <= most)
            return step * factors[i];
    }
    return step * 10;
}

static axis value_axis(const tlvk__plot_panel *p, int count) {
    double low = INFINITY, high = -INFINITY;
    for (int i = 0; i < p->line_count; i++) {
        for (int k = 0; k < count; k++) {
            double v = p->lines[i].y[k];
            low = isfinite(v) ? fmin(low, v) : low;
            high = isfinite(v) ? fmax(high, v) : high;
        }
    }
    if (!(low <= high))
        return (axis){0, 1, 0.2};
    if (low >= 0 && low < 0.5 * high)
        low = 0;
    if (high - low < 1e-6 * fmax(fabs(high), 1e-3)) {
        double room = 0.05 * fmax(fabs(high), 1e-3);
        low -= room;
        high += room;
    }
    axis a = {.step = nice_step(high - low, 6)};
    a.low = a.step * floor(low / a.step + 1e-9);
    a.high = fmin(a.step * ceil(high / a.step - 1e-9), fmax(p->limit, high));
    return a;
}

static axis epoch_axis(int count) {
    double step = fmax(1, nice_step(fmax(count - 1, 1), 9));
    return (axis){1, fmax(count, 2), step};
}

static double place(const axis *a, double v) { return (v - a->low) / (a->high - a->low); }
static double across(const chart *c, double epoch) { return c->x + c->width * place(&c->across, epoch); }
static double up(const chart *c, double v) { return c->y + c->height * (1 - place(&c->up, v)); }

/* --- drawing ---------------------------------------------------------------------------------------------------------------- */

static void grey(const chart *c, double shade) { cairo_set_source_rgb(c->to, shade, shade, shade); }

static void font(const chart *c, double size, bool bold) {
    cairo_select_font_face(c->to, "sans-serif", CAIRO_FONT_SLANT_NORMAL, bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(c->to, size);
}

/* Text at (x, y), whose share `align` of the width lies left of x. */
static void text_at(const chart *c, const char *text, double x, double y, double align) {
    cairo_text_extents_t size;
    cairo_text_extents(c->to, text, &size);
    cairo_move_to(c->to, x - align * size.x_advance, y);
    cairo_show_text(c->to, text);
}

static void line(const chart *c, double x0, double y0, double x1, double y1) {
    cairo_move_to(c->to, x0, y0);
    cairo_line_to(c->to, x1, y1);
    cairo_stroke(c->to);
}

static void draw_axes(const chart *c) {
    char text[32];
    int decimals = (int)fmax(0, -floor(log10(c->up.step) + 1e-9));
    cairo_set_line_width(c->to, 0.8);
    font(c, 11, false);
    for (int i = 0; c->up.low + i * c->up.step <= c->up.high + 1e-9 * c->up.step; i++) {
        double v = c->up.low + i * c->up.step;
        grey(c, 0.87);
        line(c, c->x, up(c, v), c->x + c->width, up(c, v));
        grey(c, 0.25);
        (void)snprintf(text, sizeof text, "%.*f", decimals, v + 0.0);
        text_at(c, text, c->x - 7, up(c, v) + 4, 1);
    }
    int step = (int)c->across.step;
    for (int epoch = step == 1 ? 1 : step; epoch <= c->count; epoch += step) {
        grey(c, 0.25);
        line(c, across(c, epoch), c->y + c->height, across(c, epoch), c->y + c->height + 4);
        (void)snprintf(text, sizeof text, "%d", epoch);
        text_at(c, text, across(c, epoch), c->y + c->height + 17, 0.5);
    }
    line(c, c->x, c->y + c->height, c->x + c->width, c->y + c->height);
    line(c, c->x, c->y, c->x, c->y + c->height);
    font(c, 12, false);
    text_at(c, c->panel->x_label, c->x + c->width / 2, c->y + c->height + 37, 0.5);
    font(c, 14, true);
    text_at(c, c->panel->title, c->x + c->width / 2, c->y - 14, 0.5);
}

static void pen(const chart *c, const tlvk__plot_line *l) {
    const double *rgb = COLOURS[(size_t)l->colour % TLVK__COUNT(COLOURS)];
    static const double dashes[] = {6, 4};
    cairo_set_source_rgb(c->to, rgb[0], rgb[1], rgb[2]);
    cairo_set_line_width(c->to, 2);
    cairo_set_line_join(c->to, CAIRO_LINE_JOIN_ROUND);
    cairo_set_dash(c->to, dashes, l->dashed ? 2 : 0, 0);
}

static void draw_line(const chart *c, const tlvk__plot_line *l) {
    pen(c, l);
    bool down = false;
    for (int k = 0; k < c->count; k++) {
        if (!isfinite(l->y[k])) {
            down = false;
            continue;
        }
        (down ? cairo_line_to : cairo_move_to)(c->to, across(c, k + 1), up(c, l->y[k]));
        down = true;
    }
    cairo_stroke(c->to);
    cairo_set_dash(c->to, NULL, 0, 0);
    for (int k = 0; c->count <= 40 && k < c->count; k++) {
        if (!isfinite(l->y[k]))
            continue;
        cairo_arc(c->to, across(c, k + 1), up(c, l->y[k]), 2.6, 0, 6.2832);
        cairo_fill(c->to);
    }
}

/* The last value of a line that is there; NaN: none. */
static double last_value(const chart *c, const tlvk__plot_line *l) {
    for (int k = c->count; k-- > 0;) {
        if (isfinite(l->y[k]))
            return l->y[k];
    }
    return (double)NAN;
}

/* Two entries a row, below the axis so that no curve lies under them. */
static void draw_legend(const chart *c) {
    font(c, 11, false);
    double row = c->y + c->height + BOTTOM;
    for (int i = 0; i < c->panel->line_count; i++) {
        const tlvk__plot_line *l = &c->panel->lines[i];
        double x = c->x + (i % 2) * c->width / 2, y = row + (i / 2) * LEGEND_ROW;
        char text[160];
        (void)snprintf(text, sizeof text, "%s (last %.4g)", l->name, last_value(c, l));
        pen(c, l);
        line(c, x, y - 4, x + 26, y - 4);
        cairo_set_dash(c->to, NULL, 0, 0);
        grey(c, 0.15);
        text_at(c, text, x + 32, y, 0);
    }
}

static void draw_panel(cairo_t *to, const tlvk__plot_panel *p, int count, double x, double height) {
    chart c = {.to = to, .panel = p, .x = x + LEFT, .y = TOP, .width = PANEL_WIDTH - LEFT - RIGHT, .height = height - TOP - BOTTOM, .count = count};
    c.across = epoch_axis(count);
    c.up = value_axis(p, count);
    draw_axes(&c);
    for (int i = 0; i < p->line_count; i++)
        draw_line(&c, &p->lines[i]);
    draw_legend(&c);
}

/* --- files -------------------------------------------------------------------------------------------------------------------- */

typedef struct sink { unsigned char *bytes; size_t used, capacity; } sink;

static cairo_status_t collect(void *user, const unsigned char *bytes, unsigned size) {
    sink *s = user;
    unsigned char *grown = tlvk__grow(s->bytes, &s->capacity, s->used + size, 1);
    if (!grown)
        return CAIRO_STATUS_NO_MEMORY;
    s->bytes = grown;
    memcpy(s->bytes + s->used, bytes, size);
    s->used += size;
    return CAIRO_STATUS_SUCCESS;
}

static cairo_status_t draw(const tlvk__plot_panel *panels, int panel_count, int count, bool svg, sink *out) {
    int most = 0;
    for (int i = 0; i < panel_count; i++)
        most = TLVK__MAX(most, panels[i].line_count);
    double width = PANEL_WIDTH * panel_count, height = PANEL_HEIGHT + LEGEND_ROW * ((most + 1) / 2);
    cairo_surface_t *surface = svg ? cairo_svg_surface_create_for_stream(collect, out, width, height)
                                   : cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)(width * PIXELS), (int)(height * PIXELS));
    cairo_t *to = cairo_create(surface);
    if (!svg)
        cairo_scale(to, PIXELS, PIXELS);
    cairo_set_source_rgb(to, 1, 1, 1);
    cairo_paint(to);
    for (int i = 0; i < panel_count; i++)
        draw_panel(to, &panels[i], count, PANEL_WIDTH * i, PANEL_HEIGHT);
    cairo_status_t st = cairo_status(to);
    cairo_destroy(to);
    if (st == CAIRO_STATUS_SUCCESS && !svg)
        st = cairo_surface_write_to_png_stream(surface, collect, out);
    cairo_surface_finish(surface);
    if (st == CAIRO_STATUS_SUCCESS)
        st = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    return st;
}
#endif

static bool ends_in(const char *path, const char *ending) {
    size_t length = strlen(path), tail = strlen(ending);
    return length > tail && strcmp(path + length - tail, ending) == 0;
}

tlvk_status tlvk__plot_write(const tlvk__plot_panel *panels, int panel_count, int count, const char *path) {
    bool svg = ends_in(path, ".svg");
    if (!svg && !ends_in(path, ".png"))
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: curves are drawn to .png or .svg files", path);
#if TLVK_WITH_CAIRO
    sink out = {0};
    cairo_status_t drawn = draw(panels, panel_count, count, svg, &out);
    tlvk_status st = drawn == CAIRO_STATUS_SUCCESS ? tlvk__file_replace(path, out.bytes, out.used)
                                                   : tlvk__fail(TLVK_ERROR_MEMORY, "%s: the curves could not be drawn: %s", path, cairo_status_to_string(drawn));
    free(out.bytes);
    return st;
#else
    (void)panels;
    (void)panel_count;
    (void)count;
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "%s: this library was built without cairo (TLVK_WITH_CAIRO=OFF) and draws no curves", path);
#endif
}
