/* history.c - what each epoch gave, and its CSV form. */
#include "train/training.h"

#include <math.h>
#include <stdlib.h>

tlvk_status tlvk__history_add(tlvk_history *h, const tlvk_logs *logs) {
    tlvk_logs *grown = tlvk__grow(h->logs, &h->capacity, h->count + 1, sizeof *h->logs);
    if (!grown) return tlvk__fail(TLVK_ERROR_MEMORY, "history: no memory");
    h->logs = grown;
    h->logs[h->count++] = *logs;
    return TLVK_OK;
}

int tlvk_history_epochs(const tlvk_history *history) { return history ? (int)history->count : 0; }

tlvk_status tlvk_history_logs(const tlvk_history *history, int epoch, tlvk_logs *logs) {
    if (!history || !logs || epoch < 0 || (size_t)epoch >= history->count) {
        return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_history_logs: epoch %d of %d", epoch, tlvk_history_epochs(history)));
    }
    *logs = history->logs[epoch];
    return TLVK_OK;
}

tlvk_status tlvk_history_append(tlvk_history *history, const tlvk_history *more) {
    tlvk_status st = history && more ? TLVK_OK : tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_history_append: no history");
    for (size_t i = 0; !st && i < more->count; i++) st = tlvk__history_add(history, &more->logs[i]);
    return tlvk__context_fail(NULL, st);
}

/* A number as CSV: empty where there is none, enough digits to give the same double back. */
static int put_number(char *at, size_t room, double v) {
    return isnan(v) ? snprintf(at, room, ",") : snprintf(at, room, ",%.9g", v);
}

tlvk_status tlvk_history_save_csv(const tlvk_history *history, const char *path) {
    if (!history || !path) return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_history_save_csv: no history or no path"));
    size_t room = 128 + history->count * 192, used = 0;
    char *text = tlvk__calloc(room, 1);
    if (!text) return tlvk__context_fail(NULL, tlvk__fail(TLVK_ERROR_MEMORY, "history: no memory"));
    used += (size_t)snprintf(text, room, "epoch,loss,accuracy,val_loss,val_accuracy,seconds,learning_rate\n");
    for (size_t i = 0; i < history->count; i++) {
        const tlvk_logs *l = &history->logs[i];
        const double columns[] = { l->loss, l->accuracy, l->val_loss, l->val_accuracy, l->seconds, l->learning_rate };
        used += (size_t)snprintf(text + used, room - used, "%zu", i);
        for (size_t k = 0; k < TLVK__COUNT(columns); k++) used += (size_t)put_number(text + used, room - used, columns[k]);
        used += (size_t)snprintf(text + used, room - used, "\n");
    }
    tlvk_status st = tlvk__file_replace(path, text, used);
    free(text);
    return tlvk__context_fail(NULL, st);
}

void tlvk_history_destroy(tlvk_history *history) {
    if (!history) return;
    free(history->logs);
    free(history);
}
