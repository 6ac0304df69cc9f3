/* shapes.c - hides the geometry of the classes: which points an outline covers. */
#include "shapes.h"

#include <math.h>
#include <stddef.h>

static const double pi = 3.14159265358979323846;

/* --- parts ----------------------------------------------------------------------------------------------------------------------------- */

static double mix(double low, double high, double share) {
    return low + (high - low) * share;
}

static bool disc(double x, double y, double cx, double cy, double radius) {
    return hypot(x - cx, y - cy) <= radius;
}

static bool ellipse(double x, double y, double cx, double cy, double rx, double ry) {
    return hypot((x - cx) / rx, (y - cy) / ry) <= 1.0;
}

static bool box(double x, double y, double cx, double cy, double half_width, double half_height) {
    return fabs(x - cx) <= half_width && fabs(y - cy) <= half_height;
}

/* An upright isosceles triangle or trapezoid: half as wide as `top` at y0, as `bottom` at y1. */
static bool trapezoid(double x, double y, double cx, double y0, double y1, double top, double bottom) {
    return y >= y0 && y <= y1 && fabs(x - cx) <= mix(top, bottom, (y - y0) / (y1 - y0));
}

/* Within `half_width` of the segment from (ax, ay) to (bx, by). */
static bool stroke(double x, double y, double ax, double ay, double bx, double by, double half_width) {
    const double dx = bx - ax, dy = by - ay;
    const double along = fmin(1.0, fmax(0.0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)));
    return hypot(x - ax - along * dx, y - ay - along * dy) <= half_width;
}

/* A regular polygon of radius 1 with a corner on top. */
static bool polygon(double x, double y, int corners) {
    const double sector = 2.0 * pi / corners;
    double angle = fmod(atan2(x, -y) + 2.0 * pi, sector) - 0.5 * sector;
    return hypot(x, y) * cos(angle) <= cos(0.5 * sector);
}

/* --- figures --------------------------------------------------------------------------------------------------------------------------- */

static bool arrow(double x, double y, const double *v) {
    const double neck = mix(-0.3, 0.1, v[0]);
    return trapezoid(x, y, 0.0, -1.0, neck, 0.0, mix(0.5, 0.8, v[1])) || box(x, y, 0.0, 0.5 * (neck + 1.0), mix(0.12, 0.22, v[2]), 0.5 * (1.0 - neck));
}

static bool bar(double x, double y, const double *v) {
    return box(x, y, 0.0, 0.0, 1.0, mix(0.15, 0.35, v[0]));
}

static bool bow_tie(double x, double y, const double *v) {
    return fabs(x) <= 0.9 && fabs(y) <= mix(0.04, 0.12, v[0]) + mix(0.5, 0.8, v[1]) * fabs(x);
}

static bool chevron(double x, double y, const double *v) {
    const double rise = y + mix(0.4, 0.5, v[1]) - mix(0.7, 1.1, v[0]) * fabs(x);
    return fabs(x) <= 0.85 && fabs(rise) <= mix(0.2, 0.32, v[2]);
}

static bool circle(double x, double y, const double *v) {
    return disc(x, y, 0.0, 0.0, mix(0.75, 0.95, v[0]));
}

static bool crescent(double x, double y, const double *v) {
    return disc(x, y, 0.0, 0.0, 0.95) && !disc(x, y, mix(0.35, 0.55, v[0]), 0.0, mix(0.75, 0.85, v[1]));
}

static bool plus(double x, double y, const double *v) {
    const double half_width = mix(0.16, 0.3, v[0]);
    return box(x, y, 0.0, 0.0, 0.95, half_width) || box(x, y, 0.0, 0.0, half_width, 0.95);
}

static bool drop(double x, double y, const double *v) {
    const double radius = mix(0.45, 0.6, v[0]);
    return disc(x, y, 0.0, 0.95 - radius, radius) || trapezoid(x, y, 0.0, -1.0, 0.8 - radius, 0.0, 0.96 * radius);
}

static bool dumbbell(double x, double y, const double *v) {
    const double radius = mix(0.3, 0.42, v[0]);
    return disc(x, y, radius - 1.0, 0.0, radius) || disc(x, y, 1.0 - radius, 0.0, radius) || box(x, y, 0.0, 0.0, 0.6, mix(0.08, 0.16, v[1]));
}

static bool oval(double x, double y, const double *v) {
    return ellipse(x, y, 0.0, 0.0, 1.0, mix(0.4, 0.6, v[0]));
}

static bool flower(double x, double y, const double *v) {
    return hypot(x, y) <= 0.7 + mix(0.2, 0.3, v[0]) * cos(5.0 * atan2(y, x));
}

static bool frame(double x, double y, const double *v) {
    const double hole = mix(0.4, 0.6, v[0]);
    return box(x, y, 0.0, 0.0, 0.8, 0.8) && !box(x, y, 0.0, 0.0, hole, hole);
}

static bool gear(double x, double y, const double *v) {
    const double radius = hypot(x, y), tooth = cos(8.0 * atan2(y, x)) > 0.0 ? 0.95 : 0.7;
    return radius <= tooth && radius >= mix(0.2, 0.4, v[0]);
}

static bool half_circle(double x, double y, const double *v) {
    return y <= 0.4 && ellipse(x, y, 0.0, 0.4, 0.95, mix(0.8, 1.0, v[0]));
}

static bool heart(double x, double y, const double *v) {
    const double a = x / 0.82, b = (0.15 - y) / mix(0.75, 0.85, v[0]), s = a * a + b * b - 1.0;
    return s * s * s <= a * a * b * b * b;
}

static bool hexagon(double x, double y, const double *v) {
    return polygon(x, y / mix(0.85, 1.0, v[0]), 6);
}

static bool horseshoe(double x, double y, const double *v) {
    const double hole = mix(0.4, 0.55, v[0]), outside = 0.8;
    return y > 0.0 ? y <= 0.95 && fabs(x) <= outside && fabs(x) >= hole : disc(x, y, 0.0, 0.0, outside) && !disc(x, y, 0.0, 0.0, hole);
}

static bool corner(double x, double y, const double *v) {
    const double half_width = mix(0.15, 0.28, v[0]);
    return box(x, y, half_width - 0.7, 0.0, half_width, 0.9) || box(x, y, 0.0, 0.9 - half_width, 0.7, half_width);
}

static bool tee(double x, double y, const double *v) {
    const double half_width = mix(0.14, 0.24, v[0]);
    return box(x, y, 0.0, half_width - 0.9, 0.8, half_width) || box(x, y, 0.0, 0.0, half_width, 0.9);
}

static bool lens(double x, double y, const double *v) {
    const double off = mix(0.6, 0.9, v[0]), radius = hypot(1.0, off);
    return disc(x, y, 0.0, off, radius) && disc(x, y, 0.0, -off, radius);
}

static bool pie(double x, double y, const double *v) {
    return disc(x, y, 0.0, 0.0, 0.9) && fabs(atan2(y, x)) >= mix(0.45, 0.8, v[0]);
}

static bool ring(double x, double y, const double *v) {
    return disc(x, y, 0.0, 0.0, 0.95) && !disc(x, y, 0.0, 0.0, mix(0.5, 0.72, v[0]));
}

static bool square(double x, double y, const double *v) {
    const double half = mix(0.65, 0.8, v[0]);
    return box(x, y, 0.0, 0.0, half, half);
}

static bool star(double x, double y, const double *v) {
    const double sector = 2.0 * pi / 5.0, waist = mix(0.38, 0.5, v[0]);
    const double angle = fabs(fmod(atan2(x, -y) + 2.0 * pi, sector) - 0.5 * sector), radius = hypot(x, y);
    /* In half a point the edge runs from the waist, in the middle of the sector, to the tip at its border. */
    const double edge_x = waist - cos(0.5 * sector), edge_y = sin(0.5 * sector);
    return (radius * cos(angle) - waist) * edge_y + radius * sin(angle) * edge_x <= 0.0;
}

static bool triangle(double x, double y, const double *v) {
    return trapezoid(x, y, 0.0, -0.85, mix(0.5, 0.75, v[0]), 0.0, 0.9);
}

static bool zigzag(double x, double y, const double *v) {
    const double half_width = mix(0.1, 0.18, v[0]), rise = mix(0.3, 0.5, v[1]);
    return stroke(x, y, -0.85, rise, -0.3, -rise, half_width) || stroke(x, y, -0.3, -rise, 0.3, rise, half_width) ||
           stroke(x, y, 0.3, rise, 0.85, -rise, half_width);
}

const demo_shape demo_figures[] = {
    { "arrow", arrow }, { "bar", bar }, { "bow_tie", bow_tie }, { "chevron", chevron }, { "circle", circle }, { "corner", corner },
    { "crescent", crescent }, { "drop", drop }, { "dumbbell", dumbbell }, { "flower", flower }, { "frame", frame }, { "gear", gear },
    { "half_circle", half_circle }, { "heart", heart }, { "hexagon", hexagon }, { "horseshoe", horseshoe }, { "lens", lens }, { "oval", oval },
    { "pie", pie }, { "plus", plus }, { "ring", ring }, { "square", square }, { "star", star }, { "tee", tee }, { "triangle", triangle },
    { "zigzag", zigzag }, { NULL, NULL } };

/* --- things ---------------------------------------------------------------------------------------------------------------------------- */

static bool boat(double x, double y, const double *v) {
    const double mast = mix(-0.2, 0.2, v[0]);
    return trapezoid(x, y, 0.0, 0.35, 0.8, 0.95, mix(0.45, 0.65, v[1])) || box(x, y, mast, -0.2, 0.05, 0.6) ||
           (x >= mast && trapezoid(x, y, mast, -0.95, 0.15, 0.0, mix(0.55, 0.75, v[2])));
}

static bool cat(double x, double y, const double *v) {
    const double ear = mix(0.42, 0.55, v[0]), eye = mix(0.22, 0.32, v[1]);
    const bool head = ellipse(x, y, 0.0, 0.25, 0.8, mix(0.6, 0.7, v[2])) || trapezoid(x, y, ear, -0.85, 0.1, 0.0, 0.35) ||
                      trapezoid(x, y, -ear, -0.85, 0.1, 0.0, 0.35);
    return head && !disc(x, y, eye, 0.15, 0.1) && !disc(x, y, -eye, 0.15, 0.1);
}

static bool cup(double x, double y, const double *v) {
    const double handle = mix(0.26, 0.34, v[0]);
    return trapezoid(x, y, -0.2, -0.7, 0.75, 0.65, mix(0.4, 0.6, v[1])) || (x > 0.2 && disc(x, y, 0.42, -0.05, handle + 0.14) && !disc(x, y, 0.42, -0.05, handle));
}

static bool fish(double x, double y, const double *v) {
    const bool body = ellipse(x, y, -0.2, 0.0, 0.75, mix(0.38, 0.52, v[0]));
    const bool tail = x >= 0.3 && x <= 0.95 && fabs(y) <= mix(0.1, mix(0.5, 0.7, v[1]), (x - 0.3) / 0.65);
    return (body || tail) && !disc(x, y, -0.6, -0.1, mix(0.08, 0.12, v[2]));
}

static bool house(double x, double y, const double *v) {
    const double wall = mix(0.5, 0.65, v[0]), door = mix(-0.2, 0.2, v[1]);
    const bool front = box(x, y, 0.0, 0.4, wall, 0.5) && !box(x, y, door, 0.6, 0.14, 0.3);
    return front || trapezoid(x, y, 0.0, mix(-0.9, -0.7, v[2]), -0.1, 0.0, 0.9) || box(x, y, 0.5, -0.5, 0.1, 0.3);
}

static bool key(double x, double y, const double *v) {
    const double hole = mix(0.16, 0.24, v[0]), bit = mix(0.6, 0.7, v[1]);
    return (disc(x, y, -0.55, 0.0, 0.42) && !disc(x, y, -0.55, 0.0, hole)) || box(x, y, 0.35, 0.0, 0.6, 0.1) || box(x, y, 0.87, 0.2, 0.08, 0.25) ||
           box(x, y, bit, 0.2, 0.08, mix(0.15, 0.25, v[2]));
}

static bool mushroom(double x, double y, const double *v) {
    const bool cap = y <= 0.0 && ellipse(x, y, 0.0, 0.0, 0.9, mix(0.7, 0.9, v[0]));
    return cap || trapezoid(x, y, 0.0, 0.0, 0.85, mix(0.18, 0.28, v[1]), mix(0.22, 0.38, v[2]));
}

static bool tree(double x, double y, const double *v) {
    return trapezoid(x, y, 0.0, -0.95, -0.3, 0.0, 0.42) || trapezoid(x, y, 0.0, -0.5, 0.1, mix(0.1, 0.2, v[0]), 0.6) ||
           trapezoid(x, y, 0.0, -0.1, 0.55, 0.25, mix(0.65, 0.8, v[1])) || box(x, y, 0.0, 0.7, mix(0.1, 0.16, v[2]), 0.25);
}

const demo_shape demo_things[] = {
    { "boat", boat }, { "cat", cat }, { "cup", cup }, { "fish", fish }, { "house", house }, { "key", key }, { "mushroom", mushroom }, { "tree", tree },
    { NULL, NULL } };
