/* recorder.c - from calls to a list of entries. Hides: the checks of a dispatch, the tracking of hazards by byte range, the folding of
 * large group counts, and where the list is cut into submissions. Nothing here calls Vulkan, so a dry device gives the same list. */
#include "vk/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct range { const tlvk__buffer *buffer; uint64_t begin, end; tlvk__access access; } range;

struct tlvk__recorder {
    tlvk__recording *rec;
    tlvk_status failed;
    char *failed_text;
    range *ranges; /* touched since the last barrier */
    size_t range_count, range_capacity;
    int barriers_seen; /* skipped ones too */
    const char *phase, *phase_layer; /* strings of the recording */
};

#define DEFAULT_CUT_MS 100.0
#define ENTRY_OVERHEAD_MS 0.03 /* of one dispatch inside a command buffer, software drivers included */

tlvk_status tlvk__recorder_create(tlvk__device *d, const tlvk__recorder_desc *desc, tlvk__recorder **out) {
    *out = NULL;
    tlvk__recorder *r = tlvk__calloc(1, sizeof *r);
    tlvk__recording *rec = tlvk__calloc(1, sizeof *rec);
    if (!r || !rec) {
        free(r);
        free(rec);
        return tlvk__fail(TLVK_ERROR_MEMORY, "starting a recording: no memory");
    }
    r->rec = rec;
    rec->device = d;
    if (desc)
        rec->desc = *desc;
    rec->timestamps = rec->desc.timestamps && d->caps.timestamps && !d->dry;
    rec->piecewise = rec->desc.timestamps && !d->caps.timestamps && !d->dry;
    r->phase = r->phase_layer = "";
    *out = r;
    return TLVK_OK;
}

void tlvk__recorder_destroy(tlvk__recorder *r) {
    if (!r)
        return;
    tlvk__recording_destroy(r->rec);
    free(r->failed_text);
    free(r->ranges);
    free(r);
}

tlvk__device *tlvk__recorder_device(tlvk__recorder *r) { return r->rec->device; }

/* Remembers the first failure with its text. */
static tlvk_status remember(tlvk__recorder *r, tlvk_status status) {
    if (status != TLVK_OK && r->failed == TLVK_OK) {
        r->failed = status;
        r->failed_text = tlvk__strdup(tlvk__fail_text());
    }
    return status;
}

static tlvk_status repeat_failure(const tlvk__recorder *r) {
    return tlvk__fail(r->failed, "%s", r->failed_text ? r->failed_text : "recording failed, and no memory was left to say why");
}

double tlvk__entry_ms(const tlvk__device *d, const tlvk__entry *e) {
    return ENTRY_OVERHEAD_MS + TLVK__MAX(e->flops / d->flops_per_ms, e->bytes / d->bytes_per_ms);
}

/* --- the list ------------------------------------------------------------------------------------------------------------------- */

/* A lasting copy of a name; equal names of a recording share one. NULL only without memory. */
static const char *keep_string(tlvk__recording *rec, const char *s) {
    if (!s)
        return "";
    for (size_t i = rec->string_count; i-- > 0;)
        if (strcmp(rec->strings[i], s) == 0)
            return rec->strings[i];
    char **grown = tlvk__grow(rec->strings, &rec->string_capacity, rec->string_count + 1, sizeof *grown);
    if (!grown)
        return NULL;
    rec->strings = grown;
    char *copy = tlvk__strdup(s);
    if (copy)
        grown[rec->string_count++] = copy;
    return copy;
}

tlvk_status tlvk__recorder_scope(tlvk__recorder *r, const char *phase, const char *layer) {
    if (r->failed != TLVK_OK)
        return repeat_failure(r);
    const char *kept_phase = keep_string(r->rec, phase), *kept_layer = keep_string(r->rec, layer);
    if (!kept_phase || !kept_layer)
        return remember(r, tlvk__fail(TLVK_ERROR_MEMORY, "recording: no memory behind %zu entries", r->rec->entry_count));
    r->phase = kept_phase;
    r->phase_layer = kept_layer;
    return TLVK_OK;
}

static bool reserve(tlvk__recording *rec, size_t bindings, size_t push) {
    tlvk__entry *entries = tlvk__grow(rec->entries, &rec->entry_capacity, rec->entry_count + 1, sizeof *entries);
    if (entries)
        rec->entries = entries;
    tlvk__binding *b = tlvk__grow(rec->bindings, &rec->binding_capacity, rec->binding_count + bindings, sizeof *b);
    if (b)
        rec->bindings = b;
    unsigned char *p = tlvk__grow(rec->push, &rec->push_capacity, rec->push_count + push, 1);
    if (p)
        rec->push = p;
    return entries && b && p;
}

/* --- hazards -------------------------------------------------------------------------------------------------------------------- */

static bool overlaps(const range *a, const tlvk__binding *b) {
    return a->buffer == b->span.buffer && a->begin < b->span.offset + b->span.bytes && b->span.offset < a->end;
}

static bool needs_barrier(const tlvk__recorder *r, const tlvk__binding *bindings, int count) {
    for (int i = 0; i < count; i++)
        for (size_t k = 0; bindings[i].span.buffer && k < r->range_count; k++)
            if (((bindings[i].access | r->ranges[k].access) & TLVK__WRITE) && overlaps(&r->ranges[k], &bindings[i]))
                return true;
    return false;
}

static tlvk_status track(tlvk__recorder *r, const tlvk__binding *bindings, int count, bool *barrier) {
    *barrier = needs_barrier(r, bindings, count);
    if (*barrier) {
        r->range_count = 0;
        r->barriers_seen++;
        *barrier = r->barriers_seen != r->rec->desc.skip_barrier;
    }
    range *grown = tlvk__grow(r->ranges, &r->range_capacity, r->range_count + (size_t)count, sizeof *grown);
    if (!grown)
        return tlvk__fail(TLVK_ERROR_MEMORY, "recording: no memory for the tracking of hazards");
    r->ranges = grown;
    for (int i = 0; i < count; i++) {
        const tlvk__span *s = &bindings[i].span;
        if (s->buffer)
            grown[r->range_count++] = (range){s->buffer, s->offset, s->offset + s->bytes, bindings[i].access};
        if (s->buffer && (bindings[i].access & TLVK__WRITE) && s->buffer->kind != TLVK__BUFFER_DEVICE)
            r->rec->host_writes = true;
    }
    return TLVK_OK;
}

/* Appends an entry whose own fields are set: names, bindings, push constants, barrier and submission are added here. */
static tlvk_status append(tlvk__recorder *r, tlvk__entry e, const tlvk__binding *bindings, const void *push, const char *shader,
                          const char *operation, const char *layer) {
    tlvk__recording *rec = r->rec;
    e.shader = keep_string(rec, shader);
    e.operation = keep_string(rec, operation);
    e.layer = keep_string(rec, layer);
    e.phase = r->phase;
    e.phase_layer = r->phase_layer;
    if (!e.shader || !e.operation || !e.layer || !reserve(rec, (size_t)e.binding_count, e.push_bytes))
        return tlvk__fail(TLVK_ERROR_MEMORY, "recording: no memory behind %zu entries", rec->entry_count);
    tlvk_status status = track(r, bindings, e.binding_count, &e.barrier_before);
    if (status != TLVK_OK)
        return status;
    e.first_binding = rec->binding_count;
    if (e.binding_count)
        memcpy(rec->bindings + rec->binding_count, bindings, (size_t)e.binding_count * sizeof *bindings);
    rec->binding_count += (size_t)e.binding_count;
    e.push_at = rec->push_count;
    if (e.push_bytes)
        memcpy(rec->push + rec->push_count, push, e.push_bytes);
    rec->push_count += e.push_bytes;

    rec->estimated_ms += tlvk__entry_ms(rec->device, &e);
    rec->barriers += e.barrier_before;
    rec->entries[rec->entry_count++] = e;
    return TLVK_OK;
}

/* --- dispatches ----------------------------------------------------------------------------------------------------------------- */

static tlvk_status check_span(const tlvk__span *s, const char *what, int index) {
    if (!s->buffer || s->bytes == 0 || s->offset > s->buffer->bytes || s->bytes > s->buffer->bytes - s->offset)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "%s, range %d: bytes %" PRIu64 " + %" PRIu64 " of a buffer of %" PRIu64, what, index,
                          s->offset, s->bytes, s->buffer ? s->buffer->bytes : 0);
    return TLVK_OK;
}

static tlvk_status check_binding(const tlvk__device *d, const tlvk__dispatch *dispatch, const tlvk__shader_info *info, int i) {
    const tlvk__binding *b = &dispatch->bindings[i];
    bool texel = info->slots[i] == TLVK__SLOT_TEXEL;
    if (info->slots[i] == TLVK__SLOT_NONE)
        return b->span.buffer ? tlvk__fail(TLVK_ERROR_INTERNAL, "shader \"%s\" has no binding %d", dispatch->shader, i) : TLVK_OK;
    tlvk_status status = check_span(&b->span, dispatch->shader, i);
    if (status != TLVK_OK)
        return status;
    uint32_t align = texel ? d->caps.texel_align : d->caps.storage_align;
    if (b->span.offset % align != 0)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "shader \"%s\", binding %d: offset %" PRIu64 " is no multiple of %u", dispatch->shader, i,
                          b->span.offset, align);
    uint32_t element = b->half ? 8 : 16;
    if (texel && (b->span.bytes % element != 0 || b->span.bytes / element > d->caps.max_texels))
        return tlvk__fail(TLVK_ERROR_INTERNAL, "shader \"%s\", binding %d: %" PRIu64 " bytes do not make 1 to %" PRIu64 " texels",
                          dispatch->shader, i, b->span.bytes, d->caps.max_texels);
    if (!texel && b->span.bytes > d->caps.max_binding_bytes)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "shader \"%s\", binding %d: %" PRIu64 " bytes; the device binds at most %" PRIu64,
                          dispatch->shader, i, b->span.bytes, d->caps.max_binding_bytes);
    if (!texel && b->half != info->half[i])
        return tlvk__fail(TLVK_ERROR_INTERNAL, "shader \"%s\", binding %d: what is bound is %s, the shader's buffer is %s", dispatch->shader, i,
                          b->half ? "fp16" : "fp32", info->half[i] ? "fp16" : "of other numbers");
    if (b->access == 0 || (texel && b->access != TLVK__READ) || (info->written[i] && !(b->access & TLVK__WRITE)))
        return tlvk__fail(TLVK_ERROR_INTERNAL,
                          "shader \"%s\", binding %d: the access %d told is not what the shader does (1 reads, 2 writes)", dispatch->shader, i,
                          (int)b->access);
    return TLVK_OK;
}

static tlvk_status check_interface(const tlvk__device *d, const tlvk__dispatch *dispatch, const tlvk__shader_info *info) {
    if (dispatch->binding_count != info->binding_count)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "shader \"%s\" has %d bindings, %d were told", dispatch->shader, info->binding_count,
                          dispatch->binding_count);
    if (dispatch->push_bytes != info->push_bytes)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "shader \"%s\" has %u bytes of push constants, %u were told", dispatch->shader,
                          info->push_bytes, dispatch->push_bytes);
    uint32_t storage = 0;
    for (int i = 0; i < info->binding_count; i++) {
        tlvk_status status = check_binding(d, dispatch, info, i);
        if (status != TLVK_OK)
            return status;
        storage += info->slots[i] == TLVK__SLOT_STORAGE;
    }
    if (storage > d->caps.max_storage_buffers)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "shader \"%s\" needs %u storage buffers; \"%s\" binds %u", dispatch->shader, storage,
                          d->caps.name, d->caps.max_storage_buffers);
    return TLVK_OK;
}

static tlvk_status fold_groups(const tlvk__device *d, const tlvk__dispatch *dispatch, uint32_t groups[3]) {
    uint64_t x = TLVK__MAX(dispatch->groups[0], 1), y = TLVK__MAX(dispatch->groups[1], 1), z = TLVK__MAX(dispatch->groups[2], 1);
    if (x > d->caps.max_groups[0] && z == 1) {
        z = (x - 1) / d->caps.max_groups[0] + 1;
        x = (x - 1) / z + 1;
    }
    if (x > d->caps.max_groups[0] || y > d->caps.max_groups[1] || z > d->caps.max_groups[2])
        return tlvk__fail(TLVK_ERROR_INTERNAL,
                          "shader \"%s\": %" PRIu64 " x %" PRIu64 " x %" PRIu64 " workgroups; the device takes %u x %u x %u",
                          dispatch->shader, dispatch->groups[0], dispatch->groups[1], dispatch->groups[2], d->caps.max_groups[0],
                          d->caps.max_groups[1], d->caps.max_groups[2]);
    groups[0] = (uint32_t)x;
    groups[1] = (uint32_t)y;
    groups[2] = (uint32_t)z;
    return TLVK_OK;
}

static bool stores_half(const tlvk__dispatch *dispatch) {
    for (int i = 0; i < dispatch->binding_count; i++)
        if (dispatch->bindings[i].half && (dispatch->bindings[i].access & TLVK__WRITE))
            return true;
    return false;
}

static tlvk_status record_as(tlvk__recorder *r, const tlvk__dispatch *dispatch) {
    if (r->failed != TLVK_OK)
        return repeat_failure(r);
    tlvk__device *d = r->rec->device;
    tlvk__entry e = {.kind = TLVK__ENTRY_DISPATCH, .binding_count = dispatch->binding_count, .push_bytes = dispatch->push_bytes,
                     .flops = dispatch->flops, .bytes = dispatch->bytes};
    tlvk_status status = tlvk__pipeline_get(d, dispatch, &e.pipeline);
    if (status == TLVK_OK)
        status = check_interface(d, dispatch, &e.pipeline->shader->info);
    if (status == TLVK_OK)
        status = fold_groups(d, dispatch, e.groups);
    if (status == TLVK_OK)
        status = append(r, e, dispatch->bindings, dispatch->push, dispatch->shader, dispatch->operation, dispatch->layer);
    else if (dispatch->layer || dispatch->operation)
        tlvk__fail_context(status, "%s%s%s", dispatch->operation ? dispatch->operation : "",
                           dispatch->operation && dispatch->layer ? " " : "", dispatch->layer ? dispatch->layer : "");
    return remember(r, status);
}

tlvk_status tlvk__record_dispatch(tlvk__recorder *r, const tlvk__dispatch *dispatch) {
    if (!stores_half(dispatch))
        return record_as(r, dispatch);
    char name[64];
    tlvk__dispatch half = *dispatch;
    snprintf(name, sizeof name, "%s_half", dispatch->shader);
    half.shader = name;
    return record_as(r, &half);
}

/* --- fills and copies ----------------------------------------------------------------------------------------------------------- */

tlvk_status tlvk__record_fill(tlvk__recorder *r, tlvk__span to, uint32_t word) {
    if (r->failed != TLVK_OK)
        return repeat_failure(r);
    const tlvk__binding b = {.span = to, .access = TLVK__WRITE};
    const tlvk__entry e = {.kind = TLVK__ENTRY_FILL, .binding_count = 1, .groups = {1, 1, 1}, .word = word, .bytes = (double)to.bytes};
    tlvk_status status = check_span(&to, "fill", 0);
    if (status == TLVK_OK && (to.offset % 4 != 0 || to.bytes % 4 != 0))
        status = tlvk__fail(TLVK_ERROR_INTERNAL, "fill: bytes %" PRIu64 " + %" PRIu64 " are no multiples of 4", to.offset, to.bytes);
    if (status == TLVK_OK)
        status = append(r, e, &b, NULL, "fill", "fill", NULL);
    return remember(r, status);
}

tlvk_status tlvk__record_copy(tlvk__recorder *r, tlvk__span from, tlvk__span to) {
    if (r->failed != TLVK_OK)
        return repeat_failure(r);
    const tlvk__binding b[2] = {{.span = from, .access = TLVK__READ}, {.span = to, .access = TLVK__WRITE}};
    const tlvk__entry e = {.kind = TLVK__ENTRY_COPY, .binding_count = 2, .groups = {1, 1, 1}, .bytes = 2.0 * (double)to.bytes};
    tlvk_status status = check_span(&from, "copy", 0);
    if (status == TLVK_OK)
        status = check_span(&to, "copy", 1);
    if (status == TLVK_OK && from.bytes != to.bytes)
        status = tlvk__fail(TLVK_ERROR_INTERNAL, "copy of %" PRIu64 " bytes to %" PRIu64, from.bytes, to.bytes);
    if (status == TLVK_OK && from.buffer == to.buffer && from.offset < to.offset + to.bytes && to.offset < from.offset + from.bytes)
        status = tlvk__fail(TLVK_ERROR_INTERNAL, "copy within one buffer: bytes at %" PRIu64 " and %" PRIu64 " overlap (%" PRIu64 " each)",
                            from.offset, to.offset, to.bytes);
    if (status == TLVK_OK)
        status = append(r, e, b, NULL, "copy", "copy", NULL);
    return remember(r, status);
}

void tlvk__recording_cut(tlvk__recording *rec, double speed) {
    const double most = (rec->desc.cut_ms > 0 ? rec->desc.cut_ms : DEFAULT_CUT_MS) * speed;
    double so_far = 0;
    rec->submissions = 0;
    rec->cut_speed = rec->speed = speed;
    for (size_t i = 0; i < rec->entry_count; i++) {
        double ms = tlvk__entry_ms(rec->device, &rec->entries[i]);
        if (i == 0 || rec->piecewise || (!rec->desc.single_submission && so_far + ms > most)) {
            rec->submissions++;
            so_far = 0;
        }
        so_far += ms;
        rec->entries[i].submission = rec->submissions - 1;
    }
}

tlvk_status tlvk__recorder_finish(tlvk__recorder *r, tlvk__recording **out) {
    *out = NULL;
    tlvk_status status = r->failed != TLVK_OK ? repeat_failure(r) : TLVK_OK;
    tlvk__recording_cut(r->rec, r->rec->device->speed);
    if (status == TLVK_OK && r->rec->device->handle)
        status = tlvk__recording_compile(r->rec);
    if (status == TLVK_OK && !r->rec->device->dry)
        status = tlvk__recording_encode(r->rec);
    if (status == TLVK_OK) {
        *out = r->rec;
        r->rec = NULL;
    }
    tlvk__recorder_destroy(r);
    return status;
}
