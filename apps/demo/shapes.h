/* shapes.h - the classes of the demo's pictures: two sets of outlines with no class in common. */
#ifndef DEMO_SHAPES_H
#define DEMO_SHAPES_H

#include <stdbool.h>

#define DEMO_VARIATIONS 3

/* Whether the point (x to the right, y downward, the outline lies within -1..1 in both) is inside. `v` has DEMO_VARIATIONS numbers in 0..1 that
 * make one picture's outline differ from the next one's of the same class. */
typedef bool (*demo_inside_fn)(double x, double y, const double *v);

typedef struct demo_shape { const char *name; demo_inside_fn inside; } demo_shape;

extern const demo_shape demo_figures[]; /* plain geometry, for the pre-training; ends at a NULL name */
extern const demo_shape demo_things[];  /* little things, for the fine-tuning; ends at a NULL name */

#endif
