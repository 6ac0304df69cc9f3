/* history.c - what each epoch gave, and its CSV form. */
#include "train/training.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tlvk_status tlvk__history_fail(const tlvk_history *history, tlvk_status status) {
    if (history && history->ctx) (void)tlvk__context_fail(history->ctx, status);
    return tlvk__context_fail(NULL, status);
}

tlvk_status tlvk__history_add(tlvk_history *h, const tlvk_logs *logs) {
    tlvk_logs *grown = tlvk__grow(h->logs, &h->capacity, h->count + 1, sizeof *h->logs);
    if (!grown) return tlvk__fail(TLVK_ERROR_MEMORY, "history: no memory");
    h->logs = grown;
    h->logs[h->count++] = *logs;
    return TLVK_OK;
}

/* keras/src/models/functional.py, output_names. Where Keras would give two outputs one name, the second gets a number, as layers do. */
tlvk_status tlvk__history_name(tlvk_history *h, const tlvk_model *model) {
    for (int i = 0; model->output_count > 1 && i < model->output_count; i++) {
        const char *name = model->outputs[i].node->layer->name;
        int same = 0;
        for (int k = 0; k < i; k++) same += strcmp(model->outputs[k].node->layer->name, name) == 0;
        h->names[i] = same ? tlvk__format("%s_%d", name, same) : tlvk__strdup(name);
        if (!h->names[i]) return tlvk__fail(TLVK_ERROR_MEMORY, "history: no memory");
    }
    return TLVK_OK;
}

static tlvk_status add_choice(tlvk_history *h, const char *text) {
    char **grown = tlvk__grow(h->choices, &h->choice_capacity, h->choice_count + 1, sizeof *grown);
    if (grown) h->choices = grown;
    char *own = grown ? tlvk__strdup(text) : NULL;
    if (!own) return tlvk__fail(TLVK_ERROR_MEMORY, "history: no memory");
    h->choices[h->choice_count++] = own;
    return TLVK_OK;
}

static bool has_choice(const tlvk_history *h, const char *text) {
    for (size_t i = 0; i < h->choice_count; i++) {
        if (strcmp(h->choices[i], text) == 0) return true;
    }
    return false;
}

tlvk_status tlvk__history_choices(tlvk_history *h, const tlvk__choices *choices) {
    tlvk_status st = TLVK_OK;
    for (size_t i = 0; !st && i < tlvk__choices_count(choices); i++) {
        tlvk__choice_key key;
        int32_t value;
        char text[200];
        tlvk__choices_at(choices, i, &key, &value);
        st = add_choice(h, tlvk__choice_text(&key, value, text, sizeof text));
    }
    return st;
}

const char *tlvk_history_choice(const tlvk_history *history, int index) {
    return history && index >= 0 && (size_t)index < history->choice_count ? history->choices[index] : NULL;
}

int tlvk_history_epochs(const tlvk_history *history) { return history ? (int)history->count : 0; }

tlvk_status tlvk_history_logs(const tlvk_history *history, int epoch, tlvk_logs *logs) {
    const int epochs = tlvk_history_epochs(history), index = epoch < 0 ? epoch + epochs : epoch;
    if (!history || !logs || index < 0 || index >= epochs) {
        return tlvk__history_fail(history, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_history_logs: epoch %d of %d", epoch, epochs));
    }
    *logs = history->logs[index];
    return TLVK_OK;
}

tlvk_status tlvk_history_append(tlvk_history *history, const tlvk_history *more) {
    tlvk_status st = history && more ? TLVK_OK : tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_history_append: no history");
    for (size_t i = 0; !st && i < more->count; i++) st = tlvk__history_add(history, &more->logs[i]);
    for (size_t i = 0; !st && i < more->choice_count; i++) {
        if (!has_choice(history, more->choices[i])) st = add_choice(history, more->choices[i]);
    }
    return tlvk__history_fail(history, st);
}

/* --- CSV --------------------------------------------------------------------------------------------------------------------------------- */

typedef struct text { char *at; size_t size, capacity; bool failed; } text;

static void append(text *t, const char *piece) {
    size_t length = strlen(piece);
    char *grown = t->failed ? NULL : tlvk__grow(t->at, &t->capacity, t->size + length + 1, 1);
    t->failed = !grown;
    if (!grown) return;
    t->at = grown;
    memcpy(t->at + t->size, piece, length + 1);
    t->size += length;
}

/* Empty where there is none, else digits enough to tell a float's value. */
static void append_number(text *t, double v) {
    char number[40];
    snprintf(number, sizeof number, ",%.9g", v);
    append(t, isnan(v) ? "," : number);
}

/* A column's name, in quotes where it has what separates columns. */
static void append_name(text *t, const char *name) {
    bool quoted = strpbrk(name, ",\"\r\n") != NULL;
    append(t, quoted ? ",\"" : ",");
    for (const char *c = name; *c; c++) append(t, (char[3]){ *c, *c == '"' ? '"' : '\0', '\0' });
    append(t, quoted ? "\"" : "");
}

#define COLUMNS (4 + 4 * TLVK_MAX_IO)
typedef struct column { char *name; size_t offset; } column; /* of a double in tlvk_logs */

static double value_of(const tlvk_logs *l, size_t offset) {
    double v;
    memcpy(&v, (const char *)l + offset, sizeof v);
    return v;
}

static int by_name(const void *a, const void *b) { return strcmp(((const column *)a)->name, ((const column *)b)->name); }

/* One output: the columns that this file always had. Several: what Keras's CSVLogger writes, sorted by name and without what is never there. */
static int find_columns(const tlvk_history *h, column columns[COLUMNS], bool *ok) {
    static const struct { const char *form; size_t offset; } whole[] = {
        { "loss", offsetof(tlvk_logs, loss) }, { "accuracy", offsetof(tlvk_logs, accuracy) }, { "val_loss", offsetof(tlvk_logs, val_loss) }, { "val_accuracy", offsetof(tlvk_logs, val_accuracy) } };
    static const char *const forms[] = { "%s_loss", "%s_accuracy", "val_%s_loss", "val_%s_accuracy" }; /* in the order of tlvk_logs */
    int outputs = h->count ? h->logs[0].outputs : 0, count = 0;
    for (size_t i = 0; i < TLVK__COUNT(whole); i += outputs > 1 ? 2 : 1) columns[count++] = (column){ tlvk__strdup(whole[i].form), whole[i].offset };
    for (int i = 0; i < outputs; i++) {
        for (size_t k = 0; k < TLVK__COUNT(forms); k++) {
            size_t offset = offsetof(tlvk_logs, output) + (size_t)i * sizeof h->logs->output[0] + k * sizeof(double);
            columns[count++] = (column){ tlvk__format(forms[k], h->names[i] ? h->names[i] : "output"), offset };
        }
    }
    for (int i = 0; i < count; i++) *ok = *ok && columns[i].name;
    if (!*ok || outputs < 2) return count;
    int kept = 0;
    for (int i = 0; i < count; i++) {
        bool any = false;
        for (size_t e = 0; e < h->count; e++) any = any || !isnan(value_of(&h->logs[e], columns[i].offset));
        if (any) columns[kept++] = columns[i];
        else free(columns[i].name);
    }
    qsort(columns, (size_t)kept, sizeof *columns, by_name);
    return kept;
}

tlvk_status tlvk_history_save_csv(const tlvk_history *history, const char *path) {
    if (!history || !path) return tlvk__history_fail(history, tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_history_save_csv: no history or no path"));
    column columns[COLUMNS];
    text t = { 0 };
    bool ok = true;
    int count = find_columns(history, columns, &ok);
    append(&t, "epoch");
    for (int k = 0; ok && k < count; k++) append_name(&t, columns[k].name);
    append(&t, ",seconds,learning_rate\n");
    for (size_t i = 0; ok && i < history->count; i++) {
        const tlvk_logs *l = &history->logs[i];
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        append(&t, number);
        for (int k = 0; k < count; k++) append_number(&t, value_of(l, columns[k].offset));
        append_number(&t, l->seconds);
        append_number(&t, l->learning_rate);
        append(&t, "\n");
    }
    tlvk_status st = ok && !t.failed ? tlvk__file_replace(path, t.at, t.size) : tlvk__fail(TLVK_ERROR_MEMORY, "history: no memory");
    for (int k = 0; k < count; k++) free(columns[k].name);
    free(t.at);
    return tlvk__history_fail(history, st);
}

void tlvk_history_destroy(tlvk_history *history) {
    if (!history) return;
    for (int i = 0; i < TLVK_MAX_IO; i++) free(history->names[i]);
    for (size_t i = 0; i < history->choice_count; i++) free(history->choices[i]);
    free(history->choices);
    free(history->logs);
    tlvk__context_release(history->ctx);
    free(history);
}
