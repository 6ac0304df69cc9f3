/* elementwise.c - recording one shader over tensors of any size. */
#include "ops/elementwise.h"

#include <stdio.h>

static tlvk_status record_piece(tlvk__recorder *r, const tlvk__caps *caps, const tlvk__walk *w, const tlvk__piece *p) {
    uint32_t push[TLVK__WALK_OPERANDS + 1 + TLVK__WALK_WORDS];
    char shader[64];
    bool few = w->few && tlvk__few_buffers(caps, (uint32_t)w->operand_count);
    snprintf(shader, sizeof shader, "%s%s", w->shader, few ? "_few" : !w->texel ? "" : tlvk__texel_operands(caps) ? "_texel" : "_plain");
    tlvk__dispatch d = {.shader = shader, .operation = w->operation, .layer = w->layer, .binding_count = w->operand_count, .push = push};
    memcpy(d.specs, w->specs, sizeof w->specs);
    int readable = -1, writable = -1, least = -1;
    for (int i = 0; i < w->operand_count; i++) {
        const tlvk__operand *o = &w->operands[i];
        if (!o->t)
            continue;
        d.bindings[i] = o->whole ? tlvk__tensor_window(caps, o->t, 0, o->t->n, o->access, &push[i])
                                 : tlvk__tensor_window(caps, o->t, p->n0, p->n1, o->access, &push[i]);
        if (d.bindings[i].span.bytes > caps->max_binding_bytes)
            return tlvk__fail(TLVK_ERROR_MEMORY, "%s: an operand of %llu bytes is larger than what the device binds at once (%llu bytes)",
                              w->operation, (unsigned long long)d.bindings[i].span.bytes, (unsigned long long)caps->max_binding_bytes);
        double own = (double)o->t->pitch / (double)(tlvk__row_vecs(o->t) * TLVK__LANES); /* the rest of a slice's rows is others' */
        d.bytes += (double)d.bindings[i].span.bytes * own * (o->access == TLVK__READ_WRITE ? 2 : 1);
        if (o->access == TLVK__READ && (readable < 0 || (d.bindings[readable].half && !d.bindings[i].half)))
            readable = i;
        if (writable < 0 && (o->access & TLVK__WRITE))
            writable = i;
        if (least < 0 || d.bindings[i].span.bytes < d.bindings[least].span.bytes)
            least = i;
    }
    if (few) /* what stands in for a missing one must fit into a texel buffer too */
        readable = least;
    for (int i = 0; i < w->operand_count; i++)
        if (!w->operands[i].t) {
            d.bindings[i] = d.bindings[w->operands[i].access == TLVK__READ ? readable : writable];
            d.bindings[i].access = w->operands[i].access;
            d.bindings[i].half = d.bindings[i].half && w->operands[i].access == TLVK__READ;
            push[i] = 0;
        }
    uint64_t items = w->items * (uint64_t)(p->n1 - p->n0);
    if (items > UINT32_MAX)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "%s: a piece of %llu items cannot be counted in 32 bits", w->operation, (unsigned long long)items);
    push[w->operand_count] = (uint32_t)items;
    memcpy(push + w->operand_count + 1, w->words, sizeof w->words[0] * (size_t)w->word_count);
    if (w->sample_word)
        push[w->operand_count + w->sample_word] = (uint32_t)(w->first_sample + p->n0);
    d.push_bytes = (uint32_t)(sizeof push[0] * (size_t)(w->operand_count + 1 + w->word_count));
    uint32_t per_group = w->group_items ? w->group_items : 64;
    d.groups[0] = (items + per_group - 1) / per_group;
    d.flops = w->flops * (double)(p->n1 - p->n0) / (double)w->n;
    return tlvk__record_dispatch(r, &d);
}

void tlvk__walk_row_blocks(tlvk__walk *walk, const tlvk__tensor *t, uint32_t block_rows) {
    uint32_t columns = (uint32_t)(t->pitch / TLVK__LANES), blocks = (uint32_t)tlvk__div_up(t->rows, (int64_t)block_rows);
    const uint32_t words[] = {columns, (uint32_t)t->rows, blocks, block_rows};
    memcpy(walk->words, words, sizeof words);
    walk->word_count = (int)TLVK__COUNT(words);
    walk->n = t->n;
    walk->items = (uint64_t)blocks * columns;
}

tlvk_status tlvk__record_walk(tlvk__recorder *r, const tlvk__walk *walk) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *walked[TLVK__WALK_OPERANDS];
    for (int i = 0; i < walk->operand_count; i++)
        walked[i] = walk->operands[i].whole ? NULL : walk->operands[i].t;
    tlvk__piece piece = {0, 0};
    for (bool more = true;;) {
        tlvk_status s = tlvk__next_piece(caps, walked, walk->operand_count, walk->n, &piece, &more);
        if (s || !more)
            return s;
        s = record_piece(r, caps, walk, &piece);
        if (s)
            return s;
    }
}

void tlvk__no_defaults(void *attrs) {
    (void)attrs;
}

double tlvk__elementwise_flops(const tlvk__op_call *call) {
    return (double)call->y->n * (double)call->y->rows * (double)call->y->c;
}

size_t tlvk__ref_count(const tlvk__ref_tensor *t) {
    int64_t count = 0;
    return tlvk__shape_elements(&t->shape, &count) ? (size_t)count : 0;
}

tlvk_status tlvk__expect_image(const char *class_name, int inputs, const tlvk__shape *x) {
    char text[128];
    if (inputs != 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s takes one input, here it has %d", class_name, inputs);
    if (x->rank != 4)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s takes images of shape (batch, height, width, channels), here its input is %s",
                          class_name, tlvk__shape_text(x, text, sizeof text));
    return TLVK_OK;
}
