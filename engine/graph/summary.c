/* summary.c - Keras's summary table. Hides: when the column "Connected to" appears, and how cells are wrapped.
 * After keras/src/utils/summary_utils.py (print_summary); widths are those on a terminal wide enough, 88 or 108 columns.
 * Wrapping follows the rich library, which Keras prints with: lines break at spaces, and a word wider than its column ends in an ellipsis. */
#include "graph/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_COLUMNS 4

typedef struct table {
    int columns;
    int width[MAX_COLUMNS];
    bool right[MAX_COLUMNS];
    tlvk__text *text;
} table;

/* What rich makes of Keras's relative positions [.45, .8, 1] of 88 and [.3, .56, .74, 1] of 108 once borders and padding are taken off. */
static const table plain = {.columns = 3, .width = {36, 27, 15}, .right = {false, false, true}};
static const table connected = {.columns = 4, .width = {29, 25, 15, 26}, .right = {false, false, true, false}};

static int cells(const char *s, size_t bytes) { /* one per character of UTF-8 */
    int n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)s[i] & 0xC0) != 0x80;
    return n;
}

static void add_repeated(tlvk__text *t, const char *s, int times) {
    for (int i = 0; i < times; i++)
        tlvk__text_add(t, "%s", s);
}

static void add_rule(const table *t, const char *left, const char *line, const char *cross, const char *right) {
    for (int i = 0; i < t->columns; i++) {
        tlvk__text_add(t->text, "%s", i ? cross : left);
        add_repeated(t->text, line, t->width[i] + 2);
    }
    tlvk__text_add(t->text, "%s\n", right);
}

/* The bytes of the next line of a cell of `width` characters; *skip: the spaces behind them. */
static size_t next_line(const char *s, int width, size_t *skip) {
    size_t fits = 0, at = 0;
    while (s[at]) {
        size_t end = at + strspn(s + at, " ");
        end += strcspn(s + end, " ");
        if (fits && cells(s, end) > width)
            break;
        fits = at = end;
    }
    *skip = strspn(s + fits, " ");
    return fits;
}

static void add_cell(const table *t, int column, const char *s, size_t bytes) {
    int width = t->width[column], used = cells(s, bytes);
    tlvk__text_add(t->text, " ");
    if (used > width) {
        while (cells(s, bytes) > width - 1)
            bytes--;
        tlvk__text_add(t->text, "%.*s…", (int)bytes, s);
        used = width;
    } else {
        if (t->right[column])
            add_repeated(t->text, " ", width - used);
        tlvk__text_add(t->text, "%.*s", (int)bytes, s);
        if (!t->right[column])
            add_repeated(t->text, " ", width - used);
    }
    tlvk__text_add(t->text, " ");
}

static void add_row(const table *t, const char *const *fields, const char *border) {
    const char *rest[MAX_COLUMNS];
    for (int i = 0; i < t->columns; i++)
        rest[i] = fields[i];
    bool more = true;
    while (more && !t->text->failed) {
        more = false;
        for (int i = 0; i < t->columns; i++) {
            size_t skip, bytes = next_line(rest[i], t->width[i], &skip);
            tlvk__text_add(t->text, "%s", border);
            add_cell(t, i, rest[i], bytes);
            rest[i] += bytes + skip;
            more = more || *rest[i];
        }
        tlvk__text_add(t->text, "%s\n", border);
    }
}

/* 1234567 -> "1,234,567". */
static const char *with_commas(int64_t n, char buffer[32]) {
    char digits[24];
    int length = 0, out = 0;
    do
        digits[length++] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    while (length > 0) {
        buffer[out++] = digits[--length];
        if (length && length % 3 == 0)
            buffer[out++] = ',';
    }
    buffer[out] = '\0';
    return buffer;
}

/* A chain without branches and without a layer called twice has no column "Connected to". */
static bool is_chain(const tlvk_model *model, const tlvk__graph_map *map, bool *failed) {
    if (model->sequential)
        return true;
    tlvk__map layers = {0};
    bool *taken = tlvk__calloc((size_t)map->node_count, sizeof *taken); /* by depth, which is less than the number of nodes */
    bool chain = true;
    *failed = !taken;
    for (int i = 0; i < map->node_count && chain && !*failed; i++) {
        const struct tlvk_node *node = map->nodes[i];
        chain = node->input_count <= 1 && !taken[map->depths[i]] && tlvk__map_get(&layers, node->layer) < 0;
        taken[map->depths[i]] = true;
        *failed = !tlvk__map_put(&layers, node->layer, 1);
    }
    tlvk__map_free(&layers);
    free(taken);
    return chain;
}

/* Every call of the layer in this model, in order of calling: "add[0][0], conv2d[1][0]". */
static void add_connections(tlvk__text *t, const tlvk__map *own, const tlvk_layer *layer) {
    size_t before = t->length;
    for (int i = 0; i < layer->call_count; i++) {
        const struct tlvk_node *node = layer->calls[i];
        for (int k = 0; tlvk__map_get(own, node) >= 0 && k < node->input_count; k++) {
            const struct tlvk_node *from = node->inputs[k].node;
            tlvk__text_add(t, "%s%s[%d][%d]", t->length > before ? ", " : "", from->layer->name, from->call_index, node->inputs[k].index);
        }
    }
    if (t->length == before)
        tlvk__text_add(t, "-");
}

static tlvk_status add_layers(const tlvk_model *model, const table *t, const tlvk__map *own) {
    for (int i = 0; i < model->layer_count; i++) {
        const tlvk_layer *layer = model->layers[i];
        int64_t total, trained;
        tlvk_status st = tlvk__count_params(layer->model, layer, &total, &trained);
        if (st)
            return st;
        char params[32], shape[1024] = "?";
        tlvk__text name = {0}, from = {0};
        int last = layer->call_count - 1; /* the shape is that of the last call, as in Keras */
        while (last >= 0 && tlvk__map_get(own, layer->calls[last]) < 0)
            last--;
        if (last >= 0)
            tlvk__output_text(layer->calls[last], shape, sizeof shape);
        tlvk__text_add(&name, "%s (%s)", layer->name, layer->class_name);
        add_connections(&from, own, layer);
        bool failed = name.failed || from.failed;
        if (!failed) {
            const char *fields[MAX_COLUMNS] = {name.data, shape, with_commas(total, params), from.data};
            if (i)
                add_rule(t, "├", "─", "┼", "┤");
            add_row(t, fields, "│");
        }
        free(name.data);
        free(from.data);
        if (failed)
            return tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for its summary", model->name);
    }
    return TLVK_OK;
}

static void add_total(tlvk__text *t, const char *what, int64_t params) {
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
    char number[32];
    double size = (double)params * sizeof(float);
    size_t unit = 0;
    while (size >= 1024 && unit + 1 < TLVK__COUNT(units)) {
        size /= 1024;
        unit++;
    }
    tlvk__text_add(t, " %s: %s (%.2f %s)\n", what, with_commas(params, number), size, units[unit]);
}

static tlvk_status write_table(const tlvk_model *model, const tlvk__graph_map *map, tlvk__text *text) {
    bool failed = false;
    table t = is_chain(model, map, &failed) ? plain : connected;
    t.text = text;
    tlvk__map own = {0};
    for (int i = 0; i < map->node_count && !failed; i++)
        failed = !tlvk__map_put(&own, map->nodes[i], i);
    static const char *const header[MAX_COLUMNS] = {"Layer (type)", "Output Shape", "Param #", "Connected to"};
    tlvk__text_add(text, "Model: \"%s\"\n", model->name);
    add_rule(&t, "┏", "━", "┳", "┓");
    add_row(&t, header, "┃");
    add_rule(&t, "┡", "━", "╇", "┩");
    tlvk_status st = failed ? tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for its summary", model->name) : add_layers(model, &t, &own);
    add_rule(&t, "└", "─", "┴", "┘");
    tlvk__map_free(&own);
    return st;
}

tlvk_status tlvk_model_summary(const tlvk_model *model, char **text) {
    if (!model || !text)
        return tlvk__context_fail(model ? model->ctx : NULL,
                                  tlvk__fail(TLVK_ERROR_ARGUMENT, "tlvk_model_summary: %s is NULL", model ? "text" : "the model"));
    *text = NULL;
    tlvk__text t = {0};
    tlvk__graph_map map;
    int64_t total, trained;
    tlvk_status st = tlvk__map_graph(model->inputs, model->input_count, model->outputs, model->output_count, &map);
    if (st)
        return tlvk__context_fail(model->ctx, st);
    st = write_table(model, &map, &t);
    if (!st)
        st = tlvk_model_count_params(model, &total, &trained);
    if (!st) {
        add_total(&t, "Total params", total);
        add_total(&t, "Trainable params", trained);
        add_total(&t, "Non-trainable params", total - trained);
        if (t.failed)
            st = tlvk__fail(TLVK_ERROR_MEMORY, "%s: no memory for its summary", model->name);
    }
    tlvk__graph_map_free(&map);
    if (st)
        free(t.data);
    else
        *text = t.data;
    return tlvk__context_fail(model->ctx, st);
}
