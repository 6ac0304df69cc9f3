/* h5_content.c - a Keras file as the rest of the library sees it: the guarded child's stream, checked and laid out as a tree.
 * Hides: the guard. A damaged stream is a damaged file, whoever damaged it: nothing of it is trusted. */
#include "weights/h5_stream.h"

#include "core/platform.h"

#include <stdlib.h>
#include <string.h>

/* --- what kind of file it is, before HDF5 sees it --- */

/* `head` ends in a zero. */
static tlvk_status not_hdf5(const unsigned char *head, size_t size) {
    if (size == 0)
        return tlvk__fail(TLVK_ERROR_FORMAT, "the file is empty");
    if (memchr(head, '{', TLVK__MIN(size, 64)) && strstr((const char *)head, "\"weight_map\""))
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "the list of a model's weights in several files (max_shard_size), which are not read; save them as one "
                                                  ".weights.h5");
    char begin[3 * 8 + 1] = "";
    for (size_t i = 0; i < TLVK__MIN(size, 8); i++)
        snprintf(begin + 3 * i, 4, "%02X ", head[i]);
    begin[strlen(begin) - 1] = '\0';
    return tlvk__fail(TLVK_ERROR_FORMAT, "not an HDF5 file or .keras archive: it begins with %s, where 89 48 44 46 0D 0A 1A 0A was expected", begin);
}

typedef tlvk_status (*child_fn)(void *path, FILE *out);

/* HDF5's signature stands at the beginning, or at 512, 1024, 2048, ... behind a user block. A .keras may be either: Keras before 2.12 took the name
 * for HDF5 too. */
static tlvk_status choose_child(const char *path, child_fn *child) {
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};
    unsigned char head[2048 + 8 + 1];
    if (tlvk__is_folder(path))
        return tlvk__fail(TLVK_ERROR_FILE, "cannot read \"%s\": it is a folder", path);
    FILE *f = tlvk__file_open(path, "rb");
    if (!f)
        return TLVK_ERROR_FILE;
    size_t size = fread(head, 1, sizeof head - 1, f);
    head[size] = '\0';
    bool failed = ferror(f) != 0;
    fclose(f);
    if (failed)
        return tlvk__fail(TLVK_ERROR_FILE, "cannot read \"%s\"", path);
    *child = tlvk__h5_child;
    for (size_t at = 0; at + sizeof signature <= size; at = at ? 2 * at : 512)
        if (memcmp(head + at, signature, sizeof signature) == 0)
            return TLVK_OK;
    *child = tlvk__keras_child;
    if (size >= 4 && (memcmp(head, "PK\003\004", 4) == 0 || memcmp(head, "PK\005\006", 4) == 0))
        return TLVK_OK;
    return not_hdf5(head, size);
}

/* --- the stream --- */

typedef struct cursor { const char *bytes; size_t size, at; } cursor;

static tlvk_status broken(const char *what) { return tlvk__fail(TLVK_ERROR_FORMAT, "a damaged file: what was read of it breaks off at %s", what); }

static bool take_number(cursor *c, uint64_t *v) {
    if (c->size - c->at < sizeof *v)
        return false;
    memcpy(v, c->bytes + c->at, sizeof *v);
    c->at += sizeof *v;
    return true;
}

/* `bytes` bytes, and the cursor at the next multiple of 8 behind them. */
static const void *take_bytes(cursor *c, uint64_t bytes) {
    if (bytes > c->size - c->at || tlvk__round_up(bytes, 8) > c->size - c->at)
        return NULL;
    const void *p = c->bytes + c->at;
    c->at += (size_t)tlvk__round_up(bytes, 8);
    return p;
}

static bool take_text(cursor *c, const char **text) {
    uint64_t size;
    *text = NULL;
    if (!take_number(c, &size))
        return false;
    if (size == 0)
        return true;
    const char *p = take_bytes(c, size);
    if (!p || p[size - 1] != '\0')
        return false;
    *text = p;
    return true;
}

/* A count of things that take at least `each` bytes of the stream. */
static bool take_count(cursor *c, uint64_t each, uint64_t *count) {
    return take_number(c, count) && *count <= (c->size - c->at) / each && *count <= INT32_MAX;
}

static tlvk_status take_weight(cursor *c, tlvk__h5_array *w) {
    uint64_t rank, dim;
    int64_t elements;
    if (!take_text(c, &w->path) || !w->path || !take_number(c, &rank) || rank > TLVK__MAX_RANK)
        return broken("a weight's name");
    w->shape.rank = (int)rank;
    for (int i = 0; i < w->shape.rank; i++) {
        if (!take_number(c, &dim) || dim > INT64_MAX)
            return broken("a weight's shape");
        w->shape.dim[i] = (int64_t)dim;
    }
    if (!tlvk__shape_elements(&w->shape, &elements) || elements < 0 || (uint64_t)elements > SIZE_MAX / sizeof(float))
        return broken("a weight's shape");
    w->elements = (size_t)elements;
    w->values = take_bytes(c, (uint64_t)elements * sizeof(float));
    return w->values ? TLVK_OK : broken("a weight's values");
}

static tlvk_status take_group(cursor *c, tlvk__h5_group *group) {
    uint64_t count;
    if (!take_text(c, &group->name) || !group->name || !take_count(c, 16, &count))
        return broken("a layer's name");
    group->weights = count ? tlvk__calloc((size_t)count, sizeof *group->weights) : NULL;
    if (count && !group->weights)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for the %llu weights of layer '%s'", (unsigned long long)count, group->name);
    group->weight_count = (int)count;
    tlvk_status status = TLVK_OK;
    for (int i = 0; !status && i < group->weight_count; i++)
        status = take_weight(c, &group->weights[i]);
    return status;
}

static tlvk_status take_layers(cursor *c, tlvk__h5_content *content) {
    uint64_t more;
    size_t capacity = 0;
    tlvk_status status = TLVK_OK;
    while (!status) {
        if (!take_number(c, &more) || more > 1)
            return broken("its layers");
        if (!more)
            return TLVK_OK;
        tlvk__h5_group *grown = content->layer_count < INT32_MAX ? tlvk__grow(content->layers, &capacity, (size_t)content->layer_count + 1, sizeof *grown) : NULL;
        if (!grown)
            return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for layers behind %d", content->layer_count);
        content->layers = grown;
        status = take_group(c, &content->layers[content->layer_count++]);
    }
    return status;
}

static tlvk_status take_content(cursor *c, tlvk__h5_content *content) {
    uint64_t mark, form, archive, optimizer = 0, narrow = 0;
    if (!take_number(c, &mark) || mark != TLVK__H5_MARK || !take_number(c, &form) || form > TLVK__FORM_STATE || !take_number(c, &archive) ||
        !take_text(c, &content->model_config) || !take_text(c, &content->training_config) || !take_text(c, &content->keras_version) ||
        !take_text(c, &content->backend) || !take_text(c, &content->usage))
        return broken("its attributes");
    content->form = (tlvk__h5_form)form;
    content->archive = archive != 0;
    if (!content->keras_version)
        content->keras_version = content->form == TLVK__FORM_STATE ? "3" : "1";
    tlvk_status status = take_layers(c, content);
    if (!status && (!take_number(c, &optimizer) || optimizer > 1))
        status = broken("its optimizer");
    if (!status && optimizer)
        status = take_group(c, &content->optimizer);
    if (!status && !take_number(c, &narrow))
        status = broken("its end");
    if (!status)
        content->narrow = narrow > INT64_MAX ? INT64_MAX : (int64_t)narrow;
    return status;
}

tlvk_status tlvk__h5_read(const char *path, tlvk__h5_content **out) {
    *out = NULL;
    char *copy = tlvk__strdup(path);
    tlvk__h5_content *content = tlvk__calloc(1, sizeof *content);
    size_t size = 0;
    child_fn child = NULL;
    tlvk_status status = copy && content ? choose_child(path, &child) : tlvk__fail(TLVK_ERROR_MEMORY, "no memory");
    if (!status)
        status = tlvk__run_guarded(child, copy, &content->storage, &size);
    if (!status)
        status = take_content(&(cursor){content->storage, size, 0}, content);
    free(copy);
    if (status) {
        tlvk__h5_free(content);
        return status == TLVK_ERROR_FILE ? status : tlvk__fail_context(status, "%s", path); /* texts of the system name the file already */
    }
    *out = content;
    return TLVK_OK;
}

void tlvk__h5_free(tlvk__h5_content *content) {
    if (!content)
        return;
    for (int i = 0; content->layers && i < content->layer_count; i++)
        free(content->layers[i].weights);
    free(content->layers);
    free(content->optimizer.weights);
    free(content->storage);
    free(content);
}
