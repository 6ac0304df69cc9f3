/* print.c - hides how programs print what Keras prints by itself: the table of a model, and a line for each epoch. */
#include "core/context.h"

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

tlvk_status tlvk_print_summary(const tlvk_model *model, void *file) {
    char *text = NULL;
    tlvk_status st = tlvk_model_summary(model, &text);
    if (!st && fputs(text, file ? file : stdout) < 0)
        st = tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_FILE, "tlvk_print_summary: the table could not be written"));
    tlvk_free(text);
    return st;
}
