/* print.c - a ready callback for programs that want Keras's line for each epoch. */
#include "core/core.h"

#include <math.h>
#include <stdio.h>

tlvk_verdict tlvk_print_epoch(const tlvk_event *event, void *file) {
    FILE *to = file ? file : stdout;
    if (!event || event->kind != TLVK_EVENT_EPOCH_END)
        return TLVK_CONTINUE;
    const tlvk_logs *l = &event->logs;
    const struct { const char *name; double value; } all[] = {{"loss", l->loss}, {"accuracy", l->accuracy}, {"val_loss", l->val_loss}, {"val_accuracy", l->val_accuracy}};
    (void)fprintf(to, "Epoch %d/%d - %.1fs", event->epoch + 1, event->epochs, l->seconds);
    for (size_t i = 0; i < TLVK__COUNT(all); i++) {
        if (i == 0 || !isnan(all[i].value)) /* a loss that is not a number is told */
            (void)fprintf(to, " - %s: %.4f", all[i].name, all[i].value);
    }
    (void)fputc('\n', to);
    (void)fflush(to);
    return TLVK_CONTINUE;
}
