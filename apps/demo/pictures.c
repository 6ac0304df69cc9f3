/* pictures.c - draws the demo's labelled pictures: one outline each, of random colours, place, size and angle, on a cluttered ground.
 *
 *   demo_pictures figures|things PER_CLASS SEED FOLDER
 *
 * Writes FOLDER/CLASS/NNNN.png, 48x48 RGB. The same arguments give the same pictures. Nothing but the outline tells the class: both colours, the
 * ground's and the outline's own texture, the clutter and the noise are drawn alike for all. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shapes.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>

enum { SIZE = 48, SAMPLES = 4, CLUTTER = 4 }; /* pixels along a side; samples along a pixel's side; strokes and spots in the ground */

/* --- random numbers -------------------------------------------------------------------------------------------------------------------- */

/* SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t next_bits(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double between(uint64_t *state, double low, double high) {
    return low + (high - low) * (double)(next_bits(state) >> 11) * 0x1p-53;
}

/* --- one picture ------------------------------------------------------------------------------------------------------------------------ */

typedef struct color { double c[3]; } color;

/* Two colours in soft waves, stripes or spots. */
typedef struct paint { color a, b; double dx, dy, phase; int kind; } paint;

typedef struct mark { double ax, ay, bx, by, half_width; color ink; } mark;

typedef struct scene {
    paint ground, fill;
    mark clutter[CLUTTER];
    demo_inside_fn inside;
    double variation[DEMO_VARIATIONS];
    double cx, cy, cosine, sine, mirror; /* where the outline lies; cosine and sine are of its angle, divided by its size */
} scene;

static color draw_color(uint64_t *random) {
    color out;
    for (int i = 0; i < 3; i++) {
        out.c[i] = between(random, 0.05, 0.95);
    }
    return out;
}

static double distance(color p, color q) {
    return sqrt(pow(p.c[0] - q.c[0], 2) + pow(p.c[1] - q.c[1], 2) + pow(p.c[2] - q.c[2], 2));
}

/* A colour near another. */
static color near_color(uint64_t *random, color p, double by) {
    for (int i = 0; i < 3; i++) {
        p.c[i] = fmin(1.0, fmax(0.0, p.c[i] + between(random, -by, by)));
    }
    return p;
}

static paint draw_paint(uint64_t *random, color base) {
    paint out = { .a = base, .b = near_color(random, base, 0.2), .phase = between(random, 0.0, 6.3), .kind = (int)(next_bits(random) % 3) };
    const double angle = between(random, 0.0, 6.3), pace = between(random, 2.0, 12.0);
    out.dx = pace * cos(angle);
    out.dy = pace * sin(angle);
    return out;
}

static color paint_at(const paint *p, double x, double y) {
    const double u = sin(p->dx * x + p->dy * y + p->phase), w = sin(p->dx * y - p->dy * x + 2.0 * p->phase);
    const double share = p->kind == 0 ? 0.5 + 0.5 * u : p->kind == 1 ? u > 0.0 : u * w > 0.3;
    color out;
    for (int i = 0; i < 3; i++) {
        out.c[i] = p->a.c[i] + (p->b.c[i] - p->a.c[i]) * share;
    }
    return out;
}

/* The outline is tilted by up to 30 degrees either way, and mirrored half of the time. */
static scene draw_scene(uint64_t *random, demo_inside_fn inside) {
    scene s = { .inside = inside };
    const color ground = draw_color(random);
    color ink = draw_color(random);
    while (distance(ground, ink) < 0.6) {
        ink = draw_color(random);
    }
    s.ground = draw_paint(random, ground);
    s.fill = draw_paint(random, ink);
    for (int i = 0; i < CLUTTER; i++) {
        mark *m = &s.clutter[i];
        m->ax = between(random, -1.0, 1.0);
        m->ay = between(random, -1.0, 1.0);
        m->bx = m->ax + between(random, -0.4, 0.4);
        m->by = m->ay + between(random, -0.4, 0.4);
        m->half_width = between(random, 0.02, 0.07);
        m->ink = draw_color(random);
    }
    for (int i = 0; i < DEMO_VARIATIONS; i++) {
        s.variation[i] = between(random, 0.0, 1.0);
    }
    const double size = between(random, 0.55, 0.85), angle = between(random, -0.52, 0.52), room = 0.95 - size;
    s.cx = between(random, -room, room);
    s.cy = between(random, -room, room);
    s.cosine = cos(angle) / size;
    s.sine = sin(angle) / size;
    s.mirror = next_bits(random) & 1 ? 1.0 : -1.0;
    return s;
}

static bool on_mark(const mark *m, double x, double y) {
    const double dx = m->bx - m->ax, dy = m->by - m->ay, length = dx * dx + dy * dy + 1e-9;
    const double along = fmin(1.0, fmax(0.0, ((x - m->ax) * dx + (y - m->ay) * dy) / length));
    return hypot(x - m->ax - along * dx, y - m->ay - along * dy) <= m->half_width;
}

static color color_at(const scene *s, double x, double y) {
    const double u = s->cosine * (x - s->cx) + s->sine * (y - s->cy), v = s->cosine * (y - s->cy) - s->sine * (x - s->cx);
    if (s->inside(s->mirror * u, v, s->variation)) {
        return paint_at(&s->fill, x, y);
    }
    for (int i = 0; i < CLUTTER; i++) {
        if (on_mark(&s->clutter[i], x, y)) {
            return s->clutter[i].ink;
        }
    }
    return paint_at(&s->ground, x, y);
}

static void render(const scene *s, uint64_t *random, unsigned char *pixels) {
    const double noise = between(random, 0.0, 0.08);
    for (int i = 0; i < SIZE * SIZE; i++) {
        double sum[3] = { 0.0, 0.0, 0.0 };
        for (int k = 0; k < SAMPLES * SAMPLES; k++) {
            const double column = i % SIZE + (k % SAMPLES + 0.5) / SAMPLES, row = i / SIZE + (k / SAMPLES + 0.5) / SAMPLES;
            const color here = color_at(s, 2.0 * column / SIZE - 1.0, 2.0 * row / SIZE - 1.0);
            for (int c = 0; c < 3; c++) {
                sum[c] += here.c[c];
            }
        }
        for (int c = 0; c < 3; c++) {
            const double value = sum[c] / (SAMPLES * SAMPLES) + between(random, -noise, noise);
            pixels[3 * i + c] = (unsigned char)lround(255.0 * fmin(1.0, fmax(0.0, value)));
        }
    }
}

/* --- files ------------------------------------------------------------------------------------------------------------------------------ */

static bool make_folder(const char *path) {
    if (mkdir(path, 0777) == 0 || errno == EEXIST) {
        return true;
    }
    fprintf(stderr, "demo_pictures: %s: %s\n", path, strerror(errno));
    return false;
}

static bool draw_class(const demo_shape *shape, int count, uint64_t seed, const char *folder) {
    static unsigned char pixels[SIZE * SIZE * 3];
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, shape->name);
    if (!make_folder(path)) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        uint64_t random = seed + (uint64_t)i;
        const scene s = draw_scene(&random, shape->inside);
        render(&s, &random, pixels);
        const int length = snprintf(path, sizeof path, "%s/%s/%04d.png", folder, shape->name, i);
        if (length < 0 || (size_t)length >= sizeof path || !stbi_write_png(path, SIZE, SIZE, 3, pixels, 3 * SIZE)) {
            fprintf(stderr, "demo_pictures: %s: cannot be written\n", path);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv) {
    const bool things = argc == 5 && !strcmp(argv[1], "things");
    const int count = argc == 5 ? atoi(argv[2]) : 0;
    if (count < 1 || count > 9999 || (!things && strcmp(argv[1], "figures") != 0)) {
        fprintf(stderr, "usage: demo_pictures figures|things PER_CLASS SEED FOLDER\n");
        return 2;
    }
    uint64_t seed = strtoull(argv[3], NULL, 10);
    const demo_shape *shapes = things ? demo_things : demo_figures;
    bool ok = make_folder(argv[4]);
    for (int i = 0; ok && shapes[i].name; i++) {
        ok = draw_class(&shapes[i], count, next_bits(&seed), argv[4]);
    }
    return !ok;
}
