/* plan.c - making, binding and describing a plan; the stages themselves are in lower.c, gradient.c, memory.c and record.c. */
#include "plan/program.h"

#include "ops/elementwise.h"

#include <stdlib.h>
#include <string.h>

static tlvk_status target_sizes(tlvk__plan *plan) {
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && plan->desc.mode != TLVK__PLAN_PREDICT && i < plan->output_count; i++) {
        plan_loss *l = &plan->losses[i];
        tlvk__shape shape = plan->tensors[plan->outputs[i]].shape, weight = { .rank = 2, .dim = { shape.dim[0], 1 } };
        if (l->objective.loss.kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY) shape.dim[shape.rank - 1] = 1;
        st = tlvk__tensor_from_shape(&shape, &l->target);
        if (!st) st = tlvk__tensor_from_shape(&weight, &plan->weight);
    }
    return st;
}

static tlvk_status add_variable(tlvk__plan *plan, tlvk__variable *v, bool trained, size_t *capacity) {
    for (int i = 0; i < plan->variable_count; i++) {
        if (plan->variables[i] != v) continue;
        plan->trained[i] |= trained;
        return TLVK_OK;
    }
    size_t need = (size_t)plan->variable_count + 1;
    if (need > *capacity) {
        size_t room = TLVK__MAX(2 * *capacity, (size_t)64);
        tlvk__variable **variables = realloc(plan->variables, room * sizeof *variables);
        if (variables) plan->variables = variables;
        tlvk__layout *layouts = realloc(plan->layouts, room * sizeof *layouts);
        if (layouts) plan->layouts = layouts;
        bool *flags = realloc(plan->trained, room * sizeof *flags);
        if (flags) plan->trained = flags;
        if (!variables || !layouts || !flags) return tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
        *capacity = room;
    }
    plan->variables[plan->variable_count] = v;
    plan->layouts[plan->variable_count] = v->spec.layout;
    plan->trained[plan->variable_count++] = trained;
    return TLVK_OK;
}

static tlvk_status list_variables(tlvk__plan *plan) {
    size_t capacity = 0;
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < plan->step_count; i++) {
        const plan_step *s = &plan->steps[i];
        for (int k = 0; !st && k < s->variable_count; k++) st = add_variable(plan, s->variables[k], s->trained[k] && s->backward, &capacity);
        for (int k = 0; !st && k < 4 && s->norm_attrs; k++) {
            if (s->norm[k]) st = add_variable(plan, s->norm[k], k < 2 && s->norm_trained[k] && s->backward, &capacity);
        }
    }
    return st;
}

uint64_t tlvk__plan_packed_key(const plan_step *s) { return s->variables[0]->id * 64 + s->needs.packed_form; }
uint64_t tlvk__plan_norm_key(const plan_step *s) { return s->norm[2]->id * 64 + 63; }

static void add_prepared(tlvk__plan *plan, uint64_t key, uint64_t bytes) {
    for (int i = 0; i < plan->prepared_count; i++) {
        if (plan->prepared[i].key == key) return;
    }
    plan->prepared[plan->prepared_count++] = (tlvk__prepared){ .key = key, .bytes = bytes };
}

uint64_t tlvk__plan_norm_vector_bytes(const tlvk__plan *plan, const plan_step *s) {
    return tlvk__round_up((uint64_t)plan->tensors[s->output].t.pitch * sizeof(float), 256);
}

static tlvk_status list_prepared(tlvk__plan *plan) {
    plan->prepared = tlvk__calloc(2 * (size_t)plan->step_count + 1, sizeof *plan->prepared);
    if (!plan->prepared) return tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
    for (int i = 0; i < plan->step_count; i++) {
        const plan_step *s = &plan->steps[i];
        if (s->constant && s->needs.packed_bytes) add_prepared(plan, tlvk__plan_packed_key(s), s->needs.packed_bytes);
        if (s->norm_attrs && !s->norm_moving) add_prepared(plan, tlvk__plan_norm_key(s), 2 * tlvk__plan_norm_vector_bytes(plan, s));
    }
    return TLVK_OK;
}

static tlvk_status check_trainable(const tlvk__plan *plan) {
    if (plan->desc.mode != TLVK__PLAN_TRAIN) return TLVK_OK;
    for (int i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].want_dw) return TLVK_OK;
    }
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "nothing to train: every layer between the inputs and the loss is frozen or has no weights");
}

static tlvk_status create(tlvk__plan *plan) {
    tlvk_status st = tlvk__plan_lower(plan);
    if (!st) st = target_sizes(plan);
    if (!st) st = tlvk__plan_mark(plan);
    if (!st) st = check_trainable(plan);
    if (!st) st = tlvk__plan_store(plan);
    if (!st) st = tlvk__plan_fit(plan);
    if (!st) st = list_variables(plan);
    if (!st) st = list_prepared(plan);
    return st;
}

tlvk_status tlvk__plan_create(const tlvk__plan_desc *desc, tlvk__plan **out) {
    *out = NULL;
    tlvk__plan *plan = tlvk__calloc(1, sizeof *plan);
    if (!plan) return tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
    plan->desc = *desc;
    plan->caps = *desc->caps;
    tlvk_status st = create(plan);
    if (st) tlvk__plan_destroy(plan);
    else *out = plan;
    return st;
}

void tlvk__plan_destroy(tlvk__plan *plan) {
    if (!plan) return;
    for (int i = 0; i < plan->step_count; i++) {
        plan_step *s = &plan->steps[i];
        free(s->inputs);
        free(s->forward_scratch.segments);
        free(s->backward_scratch.segments);
        free(s->packed.segments);
        free(s->again_scratch.segments);
        free(s->again_packed.segments);
        free(s->norm_vectors.segments);
        free(s->norm_scratch.segments);
        for (int k = 0; k < TLVK__MAX_AUX; k++) free(s->aux[k].segments);
    }
    for (int i = 0; i < plan->tensor_count; i++) {
        free(plan->tensors[i].storage.segments);
        free(plan->tensors[i].grad_storage.segments);
        free(plan->tensors[i].again_storage.segments);
        for (int k = 0; k < 3; k++) free(plan->tensors[i].sliced[k]);
    }
    for (int i = 0; i < TLVK_MAX_IO; i++) free(plan->losses[i].dy_storage.segments);
    free(plan->loss_scratch.segments);
    free(plan->steps);
    free(plan->tensors);
    free(plan->variables);
    free(plan->layouts);
    free(plan->trained);
    free(plan->prepared);
    free(plan->later);
    free(plan->items);
    free(plan->block_bytes);
    free(plan);
}

bool tlvk__plan_divisible(const tlvk__plan *plan, tlvk__hindrance *against) {
    static const char *const other_samples = "does not have the batch's number of samples";
    int64_t n = plan->tensors[plan->inputs[0]].t.n;
    *against = (tlvk__hindrance){ .path = "the input", .why = other_samples, .remedy = "" };
    for (int i = 0; i < plan->input_count; i++) {
        if (plan->tensors[plan->inputs[i]].t.n != n) return false;
    }
    for (int i = 0; i < plan->step_count; i++) {
        const plan_step *s = &plan->steps[i];
        bool statistics = (s->op->flags & TLVK__OP_STATE) && s->training;
        against->path = s->path;
        against->why = statistics ? "takes statistics of the whole batch" : other_samples;
        against->remedy = statistics ? ", or let BatchNormalization stay in inference mode" : "";
        if (statistics || plan->tensors[s->output].t.n != n) return false;
    }
    return true;
}

uint64_t tlvk__plan_arena_bytes(const tlvk__plan *plan) {
    uint64_t sum = 0;
    for (int i = 0; i < plan->block_count; i++) sum += plan->block_bytes[i];
    return sum;
}

int tlvk__plan_recomputed(const tlvk__plan *plan) {
    int count = 0;
    for (int i = 0; i < plan->later_count; i++) count += plan->later[i].again;
    return count;
}

uint64_t tlvk__plan_block_bytes(const tlvk__plan *plan, int block) { return block >= 0 && block < plan->block_count ? plan->block_bytes[block] : 0; }

bool tlvk__plan_variable(const tlvk__plan *plan, int index, tlvk__variable **v, tlvk__layout *layout, bool *trained) {
    if (index < 0 || index >= plan->variable_count) return false;
    *v = plan->variables[index];
    *layout = plan->layouts[index];
    *trained = plan->trained[index];
    return true;
}

bool tlvk__plan_prepared(const tlvk__plan *plan, int index, tlvk__prepared *prepared) {
    if (index < 0 || index >= plan->prepared_count) return false;
    *prepared = plan->prepared[index];
    return true;
}

const tlvk__tensor *tlvk__plan_input(const tlvk__plan *plan, int index) { return &plan->tensors[plan->inputs[index]].t; }
const tlvk__tensor *tlvk__plan_output(const tlvk__plan *plan, int index) { return &plan->tensors[plan->outputs[index]].t; }
const tlvk__shape *tlvk__plan_output_shape(const tlvk__plan *plan, int index) { return &plan->tensors[plan->outputs[index]].shape; }
const tlvk__tensor *tlvk__plan_target(const tlvk__plan *plan, int output) { return plan->desc.mode == TLVK__PLAN_PREDICT ? NULL : &plan->losses[output].target; }

double tlvk__plan_flops(const tlvk__plan *plan) {
    double sum = 0;
    for (int i = 0; i < plan->step_count; i++) {
        const plan_step *s = &plan->steps[i];
        if (s->view || !s->op->flops) continue;
        tlvk__op_call call;
        tlvk__plan_call(plan, s, PLAN_FORWARD, &call);
        sum += s->op->flops(&call) * (1 + (s->again_at != NO_STEP ? 1 : 0) + (s->want_dx ? 1 : 0) + (s->want_dw ? 1 : 0));
    }
    return sum;
}

/* --- binding ------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status bind_storage(tlvk__plan *plan, plan_storage *storage, const tlvk__plan_memory *memory) {
    if (storage->item_count == 0) return TLVK_OK;
    if (!storage->segments) storage->segments = tlvk__calloc((size_t)storage->item_count, sizeof *storage->segments);
    if (!storage->segments) return tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
    for (int i = 0; i < storage->item_count; i++) {
        const plan_memory_item *item = &plan->items[storage->first_item + i];
        if (item->block >= memory->block_count) return tlvk__fail(TLVK_ERROR_INTERNAL, "plan: bound to %d blocks, needs %d", memory->block_count, plan->block_count);
        storage->segments[i] = (tlvk__span){ .buffer = memory->blocks[item->block], .offset = item->offset, .bytes = item->bytes };
    }
    return TLVK_OK;
}

static void bind_tensor(tlvk__tensor *t, const plan_storage *storage) {
    t->segments = storage->segments;
    t->segment_count = storage->item_count;
    t->segment_n = storage->segment_n;
}

/* A slice from channel `at` of what lies in `storage`. */
static tlvk_status bind_slice(tlvk__tensor *t, const plan_storage *storage, int64_t at, tlvk__span **segments) {
    bind_tensor(t, storage);
    if (at == 0 || storage->item_count == 0) return TLVK_OK;
    if (!*segments) *segments = tlvk__calloc((size_t)storage->item_count, sizeof **segments);
    if (!*segments) return tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
    uint64_t before = (uint64_t)at * tlvk__number_bytes(t);
    for (int i = 0; i < storage->item_count; i++) (*segments)[i] = tlvk__span_part(storage->segments[i], before, storage->segments[i].bytes - before);
    t->segments = *segments;
    return TLVK_OK;
}

static tlvk_status bind_step_variables(plan_step *s, const tlvk__plan_memory *memory) {
    tlvk_status st = TLVK_OK;
    for (int k = 0; !st && k < s->variable_count; k++) {
        const tlvk__tensor *dw = NULL;
        st = memory->variable(memory->user, s->variables[k], &s->w[k], &dw);
        s->dw[k] = s->trained[k] && s->backward ? dw : NULL;
    }
    for (int k = 0; !st && k < 4 && s->norm_attrs; k++) {
        const tlvk__tensor *dw = NULL;
        s->norm_w[k] = NULL;
        if (s->norm[k]) st = memory->variable(memory->user, s->norm[k], &s->norm_w[k], &dw);
        if (k < 2) s->norm_dw[k] = s->norm_trained[k] && s->backward ? dw : NULL;
    }
    return st;
}

static tlvk_status bind_step(tlvk__plan *plan, plan_step *s, const tlvk__plan_memory *memory) {
    tlvk_status st = bind_step_variables(s, memory);
    for (int k = 0; !st && k < TLVK__MAX_AUX; k++) st = bind_storage(plan, &s->aux[k], memory);
    if (!st) st = bind_storage(plan, &s->forward_scratch, memory);
    if (!st) st = bind_storage(plan, &s->backward_scratch, memory);
    if (!st) st = bind_storage(plan, &s->packed, memory);
    if (!st) st = bind_storage(plan, &s->again_scratch, memory);
    if (!st) st = bind_storage(plan, &s->again_packed, memory);
    if (!st) st = bind_storage(plan, &s->norm_vectors, memory);
    if (!st) st = bind_storage(plan, &s->norm_scratch, memory);
    if (st) return st;
    if (s->constant && s->needs.packed_bytes) s->prepared = memory->prepared(memory->user, tlvk__plan_packed_key(s));
    if (s->norm_attrs) {
        tlvk__span both = s->norm_moving ? s->norm_vectors.segments[0] : memory->prepared(memory->user, tlvk__plan_norm_key(s));
        uint64_t half = tlvk__plan_norm_vector_bytes(plan, s);
        const tlvk__tensor *y = &plan->tensors[s->output].t;
        for (int k = 0; k < 2; k++) {
            tlvk__tensor *v = k ? &s->shift : &s->scale;
            s->norm_spans[k] = (tlvk__span){ .buffer = both.buffer, .offset = both.offset + (uint64_t)k * half, .bytes = half };
            *v = (tlvk__tensor){ .n = 1, .rows = 1, .c = y->c, .pitch = y->pitch, .h = 1, .w = 1, .segment_n = 1, .segment_count = 1, .segments = &s->norm_spans[k] };
        }
    }
    return TLVK_OK;
}

tlvk_status tlvk__plan_bind(tlvk__plan *plan, const tlvk__plan_memory *memory) {
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < plan->tensor_count; i++) {
        st = bind_storage(plan, &plan->tensors[i].storage, memory);
        if (!st) st = bind_storage(plan, &plan->tensors[i].grad_storage, memory);
        if (!st) st = bind_storage(plan, &plan->tensors[i].again_storage, memory);
    }
    for (int i = 0; !st && i < plan->tensor_count; i++) {
        plan_tensor *t = &plan->tensors[i];
        st = bind_slice(&t->t, &plan->tensors[t->root].storage, t->at, &t->sliced[0]);
        if (!st) st = bind_slice(&t->grad, &plan->tensors[t->grad_root].grad_storage, t->grad_at, &t->sliced[1]);
        if (!st) st = bind_slice(&t->again, &plan->tensors[t->root].again_storage, t->at, &t->sliced[2]);
    }
    for (int i = 0; !st && i < plan->output_count; i++) {
        plan_loss *l = &plan->losses[i];
        st = bind_storage(plan, &l->dy_storage, memory);
        if (!st) bind_tensor(&l->dy, &l->dy_storage);
    }
    if (!st) st = bind_storage(plan, &plan->loss_scratch, memory);
    for (int i = 0; !st && i < plan->step_count; i++) st = bind_step(plan, &plan->steps[i], memory);
    plan->bound = !st;
    return st;
}
