/* plot.h - charts of lines over the epochs, as PNG or SVG. Hides the drawing library. */
#ifndef TLVK_PLOT_H
#define TLVK_PLOT_H

#include "core/core.h"

#define TLVK__PLOT_MAX_LINES 32

typedef struct tlvk__plot_line {
    const char *name;              /* in the legend, with the last value behind it */
    double *y;                     /* one value an epoch; NaN leaves a gap */
    int colour;                    /* number of the colour; they can be told apart without red and green, and start again after 6 */
    bool dashed;
} tlvk__plot_line;
typedef struct tlvk__plot_panel {
    const char *title, *x_label;
    tlvk__plot_line lines[TLVK__PLOT_MAX_LINES]; int line_count;
    double limit;                  /* the axis ends there at the latest; INFINITY: where the values end */
} tlvk__plot_panel;

/* Panels side by side; every line has `count` points, at x = 1, 2 ... The form is that of the path's ending, .png or .svg.
 * TLVK_ERROR_ARGUMENT for another ending, TLVK_ERROR_FILE with the system's word, TLVK_ERROR_UNSUPPORTED where drawing was left out of the build. */
tlvk_status tlvk__plot_write(const tlvk__plot_panel *panels, int panel_count, int count, const char *path);

#endif
