/* reflect.c - what a shader's SPIR-V says of itself. Hides: SPIR-V's encoding.
 * Numbers of instructions, decorations and classes are those of the SPIR-V 1.3 specification, sections 2.3 and 3. */
#include "vk/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { /* section 3.32, instructions */
    OP_NAME = 5, OP_ENTRY_POINT = 15, OP_EXECUTION_MODE = 16, OP_TYPE_BOOL = 20, OP_TYPE_INT = 21, OP_TYPE_FLOAT = 22,
    OP_TYPE_VECTOR = 23, OP_TYPE_MATRIX = 24,
    OP_TYPE_IMAGE = 25, OP_TYPE_SAMPLED_IMAGE = 27, OP_TYPE_ARRAY = 28, OP_TYPE_RUNTIME_ARRAY = 29, OP_TYPE_STRUCT = 30, OP_TYPE_POINTER = 32,
    OP_CONSTANT = 43, OP_SPEC_CONSTANT_TRUE = 48, OP_SPEC_CONSTANT_FALSE = 49, OP_SPEC_CONSTANT = 50, OP_SPEC_CONSTANT_COMPOSITE = 51,
    OP_CONSTANT_COMPOSITE = 44, OP_VARIABLE = 59, OP_STORE = 62, OP_ACCESS_CHAIN = 65, OP_IN_BOUNDS_ACCESS_CHAIN = 66, OP_DECORATE = 71,
    OP_MEMBER_DECORATE = 72, OP_ATOMIC_STORE = 228, OP_ATOMIC_FIRST = 229, OP_ATOMIC_LAST = 242
};
enum { CLASS_UNIFORM_CONSTANT = 0, CLASS_UNIFORM = 2, CLASS_PUSH_CONSTANT = 9, CLASS_STORAGE_BUFFER = 12 };
enum { DECORATION_SPEC_ID = 1, DECORATION_ARRAY_STRIDE = 6, DECORATION_MATRIX_STRIDE = 7, DECORATION_BUILT_IN = 11, DECORATION_BINDING = 33,
      DECORATION_OFFSET = 35 };
enum { BUILT_IN_WORKGROUP_SIZE = 25, DIM_BUFFER = 5, MODE_LOCAL_SIZE = 17, HEADER_WORDS = 5 };
#define NONE UINT32_MAX

typedef struct id { /* what is known of one result id */
    const uint32_t *at; /* its defining instruction; NULL: none of interest */
    uint32_t length, op;
    const char *name;
    uint32_t spec_id, binding, stride;
    bool workgroup_size;
} id;

typedef struct module { const char *name; id *ids; uint32_t bound; const uint32_t *words; size_t count; tlvk__shader_info *out; } module;

static tlvk_status broken(const module *m, const char *what) {
    return tlvk__fail(TLVK_ERROR_INTERNAL, "shader \"%s\": %s", m->name, what);
}

/* The id at word `i` of an instruction; a harmless empty one when out of range. */
static id *at(const module *m, const uint32_t *in, uint32_t length, uint32_t i) {
    return i < length && in[i] < m->bound ? &m->ids[in[i]] : &m->ids[0];
}

/* Word position of the result id of a defining instruction; 0: the instruction defines nothing of interest. */
static uint32_t result_word(uint32_t op) {
    if (op >= OP_TYPE_BOOL && op <= OP_TYPE_POINTER)
        return 1;
    switch (op) {
    case OP_CONSTANT: case OP_CONSTANT_COMPOSITE: case OP_SPEC_CONSTANT: case OP_SPEC_CONSTANT_TRUE: case OP_SPEC_CONSTANT_FALSE:
    case OP_SPEC_CONSTANT_COMPOSITE: case OP_VARIABLE: case OP_ACCESS_CHAIN: case OP_IN_BOUNDS_ACCESS_CHAIN: return 2;
    default: return 0;
    }
}

static void note_decoration(id *target, const uint32_t *in, uint32_t length) {
    uint32_t value = length > 3 ? in[3] : 0;
    switch (in[2]) {
    case DECORATION_SPEC_ID: target->spec_id = value; break;
    case DECORATION_BINDING: target->binding = value; break;
    case DECORATION_ARRAY_STRIDE: target->stride = value; break;
    case DECORATION_BUILT_IN: target->workgroup_size = value == BUILT_IN_WORKGROUP_SIZE; break;
    default: break;
    }
}

/* First pass: names, decorations, definitions, the fixed workgroup size. */
static tlvk_status read_definitions(module *m) {
    for (size_t i = HEADER_WORDS; i < m->count;) {
        const uint32_t *in = m->words + i;
        uint32_t op = in[0] & 0xFFFF, length = in[0] >> 16;
        if (length == 0 || length > m->count - i)
            return broken(m, "an instruction reaches past the end of the SPIR-V");
        uint32_t result = result_word(op);
        if (result && result < length && in[result] < m->bound) {
            id *defined = &m->ids[in[result]];
            defined->at = in;
            defined->length = length;
            defined->op = op;
        } else if (op == OP_NAME && length > 2 && memchr(in + 2, 0, (length - 2) * sizeof *in))
            at(m, in, length, 1)->name = (const char *)(in + 2);
        else if (op == OP_DECORATE && length > 2)
            note_decoration(at(m, in, length, 1), in, length);
        else if (op == OP_EXECUTION_MODE && length == 6 && in[2] == MODE_LOCAL_SIZE)
            memcpy(m->out->local_size, in + 3, sizeof m->out->local_size);
        i += length;
    }
    return TLVK_OK;
}

static uint32_t constant_value(const id *c) { return c->op == OP_CONSTANT && c->length > 3 ? c->at[3] : 0; }

/* Bytes of a type in memory; `stride` is the matrix stride of the member it stands in. */
static uint32_t type_bytes(const module *m, const id *t, uint32_t stride, int depth) {
    if (depth > 8 || !t->at)
        return 0;
    switch (t->op) {
    case OP_TYPE_INT: case OP_TYPE_FLOAT: return t->at[2] / 8;
    case OP_TYPE_VECTOR: return t->at[3] * type_bytes(m, at(m, t->at, t->length, 2), 0, depth + 1);
    case OP_TYPE_MATRIX: return t->at[3] * stride;
    case OP_TYPE_ARRAY: return constant_value(at(m, t->at, t->length, 3)) * t->stride;
    default: return 0;
    }
}

/* Size of a struct: the end of its farthest member, by the members' Offset decorations. */
static uint32_t struct_bytes(const module *m, uint32_t type) {
    const id *t = &m->ids[type];
    uint32_t end = 0;
    for (size_t i = HEADER_WORDS; i < m->count; i += m->words[i] >> 16) {
        const uint32_t *in = m->words + i;
        if ((in[0] & 0xFFFF) != OP_MEMBER_DECORATE || in[0] >> 16 != 5 || in[1] != type || in[3] != DECORATION_OFFSET)
            continue;
        uint32_t bytes = type_bytes(m, at(m, t->at, t->length, 2 + in[2]), 16, 0);
        end = TLVK__MAX(end, in[4] + bytes);
    }
    return end;
}

static tlvk__slot slot_of(const module *m, const id *type, uint32_t storage_class) {
    if (storage_class == CLASS_STORAGE_BUFFER || storage_class == CLASS_UNIFORM)
        return type->op == OP_TYPE_STRUCT ? TLVK__SLOT_STORAGE : TLVK__SLOT_NONE;
    if (storage_class == CLASS_UNIFORM_CONSTANT && type->op == OP_TYPE_SAMPLED_IMAGE)
        type = at(m, type->at, type->length, 2);
    return type->op == OP_TYPE_IMAGE && type->length > 3 && type->at[3] == DIM_BUFFER ? TLVK__SLOT_TEXEL : TLVK__SLOT_NONE;
}

/* One OpVariable: a binding or the push constants; others are of no interest. */
static tlvk_status read_variable(module *m, const id *variable) {
    uint32_t storage_class = variable->at[3];
    const id *pointer = at(m, variable->at, variable->length, 1);
    if (pointer->op != OP_TYPE_POINTER || pointer->length != 4)
        return broken(m, "a variable without a pointer type");
    const id *type = at(m, pointer->at, pointer->length, 3);
    if (storage_class == CLASS_PUSH_CONSTANT) {
        m->out->push_bytes = struct_bytes(m, pointer->at[3]);
        return TLVK_OK;
    }
    if (variable->binding == NONE)
        return TLVK_OK;
    if (variable->binding >= TLVK__MAX_BINDINGS)
        return broken(m, "a binding is past TLVK__MAX_BINDINGS");
    tlvk__slot slot = slot_of(m, type, storage_class), *known = &m->out->slots[variable->binding];
    if (slot == TLVK__SLOT_NONE || (*known != TLVK__SLOT_NONE && *known != slot))
        return broken(m, "a binding is neither a storage buffer nor a uniform texel buffer, or both");
    *known = slot;
    if (slot == TLVK__SLOT_STORAGE && strstr(m->name, "_half")) {
        const id *member = at(m, type->at, type->length, type->length - 1);
        m->out->half[variable->binding] = member->op == OP_TYPE_RUNTIME_ARRAY && member->stride == 8;
    }
    m->out->binding_count = TLVK__MAX(m->out->binding_count, (int)variable->binding + 1);
    return TLVK_OK;
}

static tlvk_status add_spec(module *m, uint32_t spec_id, const char *name) {
    tlvk__shader_info *s = m->out;
    int i = 0;
    while (i < s->spec_count && s->specs[i].id < spec_id)
        i++;
    if (i < s->spec_count && s->specs[i].id == spec_id) {
        if (name && *name)
            snprintf(s->specs[i].name, sizeof s->specs[i].name, "%s", name);
        return TLVK_OK;
    }
    if (s->spec_count == TLVK__MAX_SPECS)
        return broken(m, "more specialization constants than TLVK__MAX_SPECS");
    memmove(s->specs + i + 1, s->specs + i, (size_t)(s->spec_count - i) * sizeof *s->specs);
    s->specs[i] = (tlvk__spec_info){.id = spec_id};
    snprintf(s->specs[i].name, sizeof s->specs[i].name, "%s", name ? name : "");
    s->spec_count++;
    return TLVK_OK;
}

/* The workgroup size is a constant of three parts, each possibly specialized; a part without a name of its own goes by
 * local_size_x, _y, _z. */
static void read_workgroup_size(module *m, const id *size) {
    static const char *const names[3] = {"local_size_x", "local_size_y", "local_size_z"};
    tlvk__shader_info *s = m->out;
    for (uint32_t axis = 0; axis < 3 && axis + 3 < size->length; axis++) {
        const id *part = at(m, size->at, size->length, axis + 3);
        if (part->length > 3)
            s->local_size[axis] = part->at[3];
        for (int i = 0; part->spec_id != NONE && i < s->spec_count; i++)
            if (s->specs[i].id == part->spec_id) {
                s->specs[i].local_size = true;
                s->local_size_spec[axis] = i;
                if (!s->specs[i].name[0])
                    snprintf(s->specs[i].name, sizeof s->specs[i].name, "%s", names[axis]);
            }
    }
}

static tlvk_status read_interface(module *m) {
    tlvk_status status = TLVK_OK;
    for (uint32_t i = 0; i < m->bound && status == TLVK_OK; i++) {
        const id *d = &m->ids[i];
        if (d->op == OP_VARIABLE && d->length >= 4)
            status = read_variable(m, d);
        else if (d->at && d->spec_id != NONE)
            status = add_spec(m, d->spec_id, d->name);
    }
    for (uint32_t i = 0; i < m->bound && status == TLVK_OK; i++)
        if (m->ids[i].workgroup_size && m->ids[i].at)
            read_workgroup_size(m, &m->ids[i]);
    return status;
}

/* Which bindings the code stores to: stores and atomics, followed through access chains to their variable. */
static void read_stores(module *m) {
    for (size_t i = HEADER_WORDS; i < m->count; i += m->words[i] >> 16) {
        const uint32_t *in = m->words + i;
        uint32_t op = in[0] & 0xFFFF, length = in[0] >> 16;
        const id *p = NULL;
        if (op == OP_STORE || op == OP_ATOMIC_STORE)
            p = at(m, in, length, 1);
        else if (op >= OP_ATOMIC_FIRST && op <= OP_ATOMIC_LAST)
            p = at(m, in, length, 3);
        for (int depth = 0; p && depth < 8 && (p->op == OP_ACCESS_CHAIN || p->op == OP_IN_BOUNDS_ACCESS_CHAIN); depth++)
            p = at(m, p->at, p->length, 3);
        if (p && p->op == OP_VARIABLE && p->binding < TLVK__MAX_BINDINGS)
            m->out->written[p->binding] = true;
    }
}

tlvk_status tlvk__reflect(const tlvk__shader_source *source, tlvk__shader_info *out) {
    *out = (tlvk__shader_info){.local_size = {1, 1, 1}, .local_size_spec = {-1, -1, -1}};
    module m = {.name = source->name, .words = source->words, .count = source->word_count, .out = out};
    if (m.count < HEADER_WORDS || m.words[0] != 0x07230203u || m.words[3] == 0 || m.words[3] > 1u << 20)
        return broken(&m, "not SPIR-V");
    m.bound = m.words[3];
    m.ids = tlvk__calloc(m.bound, sizeof *m.ids);
    if (!m.ids)
        return tlvk__fail(TLVK_ERROR_MEMORY, "shader \"%s\": no memory", source->name);
    for (uint32_t i = 0; i < m.bound; i++)
        m.ids[i].spec_id = m.ids[i].binding = NONE;
    tlvk_status status = read_definitions(&m);
    if (status == TLVK_OK)
        status = read_interface(&m);
    if (status == TLVK_OK)
        read_stores(&m);
    free(m.ids);
    return status;
}
