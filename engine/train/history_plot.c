/* history_plot.c - the curves of a training: accuracy beside loss, each with its validation. */
#include "train/plot.h"
#include "train/training.h"

#include <math.h>
#include <stdlib.h>

/* One value of an epoch's logs: of output `output`, or -1 for the whole. */
static double value_of(const tlvk_logs *l, int output, bool accuracy, bool validation) {
    if (output < 0)
        return accuracy ? (validation ? l->val_accuracy : l->accuracy) : (validation ? l->val_loss : l->loss);
    if (output >= l->outputs)
        return (double)NAN;
    return accuracy ? (validation ? l->output[output].val_accuracy : l->output[output].accuracy)
                    : (validation ? l->output[output].val_loss : l->output[output].loss);
}

/* Adds a line, unless the training has no such value; *y is where its values go, and moves on. */
static void add_line(tlvk__plot_panel *p, const tlvk_history *h, int output, bool accuracy, bool validation, double **y, char names[][48]) {
    bool any = false;
    for (size_t i = 0; i < h->count; i++) {
        (*y)[i] = value_of(&h->logs[i], output, accuracy, validation);
        any = any || isfinite((*y)[i]);
    }
    if (!any || p->line_count == TLVK__PLOT_MAX_LINES)
        return;
    char *name = names[p->line_count];
    const char *what = accuracy ? "accuracy" : "loss", *before = validation ? "val_" : "";
    if (output < 0)
        (void)snprintf(name, 48, "%s%s", before, what);
    else if (h->names[output])
        (void)snprintf(name, 48, "%s%.30s_%s", before, h->names[output], what);
    else
        (void)snprintf(name, 48, "%soutput %d %s", before, output, what);
    int colour = output >= 0 ? output + 1 : validation && h->logs[0].outputs < 2; /* beside several outputs, the whole has one colour */
    p->lines[p->line_count++] = (tlvk__plot_line){.name = name, .y = *y, .colour = colour, .dashed = validation};
    *y += h->count;
}

tlvk_status tlvk_history_plot(const tlvk_history *history, const char *path) {
    if (!history || !path)
        return tlvk__history_fail(history, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_history_plot: no history or no path"));
    if (history->count == 0)
        return tlvk__history_fail(history, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_history_plot: the history has no epochs"));
    tlvk__plot_panel panels[2] = {{.title = "Accuracy", .x_label = "epoch", .limit = 1.0}, {.title = "Loss", .x_label = "epoch", .limit = INFINITY}};
    char names[2][TLVK__PLOT_MAX_LINES][48];
    double *values = tlvk__calloc(history->count, (4 + 4 * TLVK_MAX_IO) * sizeof *values), *y = values;
    if (!values)
        return tlvk__history_fail(history, tlvk__fail(TLVK_ERROR_MEMORY, "history: no memory for the curves"));
    int outputs = history->logs[0].outputs > 1 ? history->logs[0].outputs : 0;
    int panel_count = 0;
    for (int loss = 0; loss < 2; loss++) {
        tlvk__plot_panel *p = &panels[panel_count];
        *p = panels[loss];
        for (int output = outputs && !loss ? 0 : -1; output < outputs; output++) {
            add_line(p, history, output, !loss, false, &y, names[loss]);
            add_line(p, history, output, !loss, true, &y, names[loss]);
        }
        panel_count += p->line_count > 0; /* no accuracy was measured: the loss alone */
    }
    panel_count = TLVK__MAX(panel_count, 1); /* every loss was NaN: the empty axes say so */
    tlvk_status st = tlvk__plot_write(panels, panel_count, (int)TLVK__MIN(history->count, (size_t)INT32_MAX), path);
    free(values);
    return tlvk__history_fail(history, st);
}
