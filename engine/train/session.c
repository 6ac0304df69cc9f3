/* session.c - see session.h: variables, networks, prepared weights and the shared arena. Runners are in runner.c. */
#include "train/session_internal.h"

#include "train/tune.h"

#include <stdlib.h>
#include <string.h>

/* --- which variables move ---------------------------------------------------------------------------------------------------------- */

static bool in_moving_set(const tlvk__variable *v, void *user) {
    const tlvk__session *s = user;
    for (int i = 0; i < s->moving_count; i++) {
        if (s->moving[i] == v) return true;
    }
    return false;
}

static tlvk_status find_moving(tlvk__session *s) {
    const tlvk__flat *flat = &s->flats[TLVK__WHOLE];
    s->moving = tlvk__calloc((size_t)flat->call_count * TLVK__MAX_VARIABLES + 1, sizeof(tlvk__variable *));
    if (!s->moving) return tlvk__fail(TLVK_ERROR_MEMORY, "session: no memory");
    for (int i = 0; s->desc.training && i < flat->call_count; i++) {
        const tlvk__flat_call *c = &flat->calls[i];
        bool state = (c->op->flags & TLVK__OP_STATE) && c->layer_trainable && c->mode != TLVK_CALL_INFERENCE;
        for (int k = 0; k < c->variable_count; k++) {
            bool moves = c->trainable[k] || (state && !c->variables[k]->spec.trainable);
            if (moves && !in_moving_set(c->variables[k], s)) s->moving[s->moving_count++] = c->variables[k];
        }
    }
    return TLVK_OK;
}

/* --- plans ---------------------------------------------------------------------------------------------------------------------------- */

tlvk_status tlvk__session_plan(tlvk__session *s, tlvk__network network, tlvk__plan_mode mode, const tlvk__shape *inputs, tlvk__plan_limits limits, tlvk__plan **out) {
    tlvk__plan_desc d = {
        .flat = &s->flats[network],
        .caps = &s->caps,
        .inputs = inputs,
        .mode = mode,
        .mixed = s->desc.mixed,
        .trained = in_moving_set,
        .user = s,
        .update = mode == TLVK__PLAN_TRAIN && !s->no_update,
        .budget_bytes = limits.budget_bytes,
        .divided = limits.divided,
        .smallest = limits.smallest,
    };
    memcpy(d.objectives, s->desc.objectives, sizeof d.objectives);
    s->caps = *tlvk__device_caps(s->device);
    if (s->choices) s->caps.choices = s->choices;
    return tlvk__plan_create(&d, out);
}

/* --- kernel choices --------------------------------------------------------------------------------------------------------------------- */

/* A plan of the whole network has every key that the session's other plans have: keys know no batch, and its parts are the same layers. */
static tlvk_status make_choices(tlvk__session *s) {
    const tlvk__caps *caps = tlvk__device_caps(s->device);
    if (s->desc.static_choices || caps->choices || caps->forced_choice || !tlvk__tuning(s->model->ctx)) return TLVK_OK;
    tlvk__plan *plan = NULL;
    tlvk__choices *made = tlvk__choices_create();
    tlvk_status st = made ? tlvk__session_plan(s, TLVK__WHOLE, s->desc.training ? TLVK__PLAN_TRAIN : TLVK__PLAN_PREDICT, s->desc.inputs, (tlvk__plan_limits){ 0 }, &plan)
                          : tlvk__fail(TLVK_ERROR_MEMORY, "session: no memory");
    if (!st) st = tlvk__tune(s->model->ctx, s->device, plan, TLVK__TUNE_SECONDS, made);
    tlvk__plan_destroy(plan);
    s->choices = made;
    return st;
}

const tlvk__choices *tlvk__session_choices(const tlvk__session *s) { return s->choices; }

tlvk_status tlvk__session_go_on(tlvk__session *s, tlvk__choices *choices, int64_t part_limit) {
    tlvk_status st = TLVK_OK;
    tlvk__choices_destroy(s->choices);
    s->choices = choices;
    s->part_limit = part_limit;
    for (int i = 0; !st && i < s->runner_count; i++) st = tlvk__runner_plan_anew(s->runners[i]);
    return st ? st : tlvk__session_fit(s);
}

const struct tlvk__choices *tlvk__session_begin_recording(tlvk__session *s) {
    return s->choices ? tlvk__device_choose(s->device, s->choices) : tlvk__device_caps(s->device)->choices;
}

void tlvk__session_end_recording(tlvk__session *s, const struct tlvk__choices *before) { tlvk__device_choose(s->device, before); }

/* A plan of the whole network, for one sample, tells which variables the loss reaches: only these get gradients and optimizer slots. */
static tlvk_status add_residents(tlvk__session *s) {
    tlvk_status st = TLVK_OK;
    tlvk__plan *plan = NULL;
    if (s->desc.training) {
        tlvk__shape one[TLVK_MAX_IO];
        memcpy(one, s->desc.inputs, sizeof one);
        for (int i = 0; i < s->model->input_count; i++) one[i].dim[0] = 1;
        st = tlvk__session_plan(s, TLVK__WHOLE, TLVK__PLAN_TRAIN, one, (tlvk__plan_limits){ 0 }, &plan);
        if (st) return st;
    }
    const tlvk__flat *flat = &s->flats[s->desc.augmentation ? TLVK__AUGMENTED : TLVK__WHOLE];
    for (int i = 0; !st && i < flat->call_count; i++) {
        for (int k = 0; !st && k < flat->calls[i].variable_count; k++) {
            tlvk__variable *v = flat->calls[i].variables[k];
            st = tlvk__residents_add(&s->residents, flat->calls[i].path, v, false, false);
        }
    }
    tlvk__variable *v;
    tlvk__layout layout;
    bool trained;
    for (int i = 0; !st && plan && tlvk__plan_variable(plan, i, &v, &layout, &trained); i++) {
        bool state = !v->spec.trainable && in_moving_set(v, s);
        if (trained || state) st = tlvk__residents_add(&s->residents, NULL, v, trained, state);
    }
    tlvk__plan_destroy(plan);
    return st;
}

/* --- the arena and prepared weights --------------------------------------------------------------------------------------------------- */

static void wait_runners(tlvk__session *s) {
    for (int i = 0; i < s->runner_count; i++) {
        for (int k = 0; k < TLVK__SLOTS; k++) tlvk__runner_wait(s->runners[i], k);
    }
}

tlvk_status tlvk__session_grow_arena(tlvk__session *s, const tlvk__plan *plan) {
    bool enough = true;
    for (int i = 0; tlvk__plan_block_bytes(plan, i) > 0; i++) {
        enough = enough && i < s->block_count && s->blocks[i] && tlvk__buffer_bytes(s->blocks[i]) >= tlvk__plan_block_bytes(plan, i);
    }
    if (enough) return TLVK_OK;
    wait_runners(s);
    for (int i = 0; i < s->runner_count; i++) tlvk__runner_unbind(s->runners[i]);
    for (int i = 0; tlvk__plan_block_bytes(plan, i) > 0; i++) {
        if (i == s->block_count) {
            tlvk__buffer **grown = realloc(s->blocks, ((size_t)i + 1) * sizeof *grown);
            if (!grown) return tlvk__fail(TLVK_ERROR_MEMORY, "session: no memory");
            s->blocks = grown;
            s->blocks[s->block_count++] = NULL;
        }
        if (s->blocks[i] && tlvk__buffer_bytes(s->blocks[i]) >= tlvk__plan_block_bytes(plan, i)) continue;
        tlvk__buffer_destroy(s->blocks[i]);
        s->blocks[i] = NULL;
        tlvk_status st = tlvk__buffer_create(s->device, TLVK__BUFFER_DEVICE, tlvk__plan_block_bytes(plan, i), "activations and gradients", &s->blocks[i]);
        if (st) return st;
    }
    return TLVK_OK;
}

static tlvk__prepared_region *find_prepared(tlvk__session *s, uint64_t key) {
    for (size_t i = 0; i < s->prepared_count; i++) {
        if (s->prepared[i].key == key) return &s->prepared[i];
    }
    return NULL;
}

static tlvk_status take_prepared(tlvk__session *s, const tlvk__plan *plan) {
    tlvk__prepared p;
    for (int i = 0; tlvk__plan_prepared(plan, i, &p); i++) {
        if (find_prepared(s, p.key)) continue;
        tlvk__prepared_region *grown = tlvk__grow(s->prepared, &s->prepared_capacity, s->prepared_count + 1, sizeof *s->prepared);
        if (!grown) return tlvk__fail(TLVK_ERROR_MEMORY, "session: no memory");
        s->prepared = grown;
        tlvk__prepared_region *region = &s->prepared[s->prepared_count];
        region->key = p.key;
        region->filled = false;
        tlvk_status st = tlvk__pool_take(&s->prepared_pool, p.bytes, &region->span);
        if (st) return st;
        s->prepared_count++;
    }
    return TLVK_OK;
}

static bool prepared_done(void *user, uint64_t key) {
    tlvk__prepared_region *region = find_prepared(user, key);
    bool done = region->filled;
    region->filled = true; /* the same key twice in one plan is recorded once */
    return done;
}

static tlvk_status fill_prepared(tlvk__session *s, tlvk__plan *plan) {
    tlvk__recorder *rec = NULL;
    tlvk__recording *recording = NULL;
    tlvk_status st = tlvk__recorder_create(s->device, NULL, &rec);
    if (st) return st;
    const struct tlvk__choices *before = tlvk__session_begin_recording(s);
    tlvk_status planned = tlvk__plan_record_prepare(plan, rec, prepared_done, s);
    tlvk__session_end_recording(s, before);
    st = tlvk__recorder_finish(rec, &recording);
    if (planned) st = planned;
    if (!st && tlvk__recording_count(recording) > 0) st = tlvk__recording_run(recording);
    tlvk__recording_destroy(recording);
    for (size_t i = 0; st && i < s->prepared_count; i++) s->prepared[i].filled = false; /* whatever it was that was not run */
    return st;
}

static tlvk_status bound_variable(void *user, const tlvk__variable *v, const tlvk__tensor **w, const tlvk__tensor **dw) {
    const tlvk__session *s = user;
    const tlvk__resident *e = tlvk__residents_find(&s->residents, v);
    if (!e) return tlvk__fail(TLVK_ERROR_INTERNAL, "session: variable %s is not on the device", v->name);
    *w = &e->w;
    *dw = e->trained ? &e->dw : NULL;
    return TLVK_OK;
}

static tlvk__span bound_prepared(void *user, uint64_t key) {
    const tlvk__prepared_region *region = find_prepared(user, key);
    return region ? region->span : (tlvk__span){ 0 };
}

tlvk_status tlvk__session_bind(tlvk__session *s, tlvk__plan *plan) {
    tlvk_status st = tlvk__session_allocate(s);
    if (!st) st = tlvk__session_grow_arena(s, plan);
    if (!st) st = take_prepared(s, plan);
    tlvk__plan_memory memory = { .blocks = s->blocks, .block_count = s->block_count, .variable = bound_variable, .prepared = bound_prepared, .user = s };
    if (!st) st = tlvk__plan_bind(plan, &memory);
    return st ? st : fill_prepared(s, plan);
}

/* --- life ----------------------------------------------------------------------------------------------------------------------------- */

/* The model's graph, in the modes that this session asks for, and with the picture layers before it. */
static tlvk_status open_graphs(tlvk__session *s) {
    tlvk__flat *whole = &s->flats[TLVK__WHOLE];
    tlvk_status st = tlvk__model_flatten(s->model, whole);
    for (int i = 0; !st && i < whole->call_count; i++) {
        tlvk__flat_call *c = &whole->calls[i];
        if (s->desc.batch_norm_inference && (c->op->flags & TLVK__OP_STATE)) c->mode = TLVK_CALL_INFERENCE;
        if (s->desc.random && (c->op->flags & TLVK__OP_RANDOM) && c->mode == TLVK_CALL_DEFAULT) c->mode = TLVK_CALL_TRAINING;
    }
    if (st || !s->desc.augmentation) return st;
    tlvk__model_retain(s->desc.augmentation);
    s->retained = true;
    st = tlvk__model_flatten(s->desc.augmentation, &s->front);
    return st ? st : tlvk__flat_compose(&s->front, whole, &s->flats[TLVK__AUGMENTED]);
}

/* Never fp32 in silence. */
static tlvk_status check_precision(const tlvk__session *s) {
    const tlvk__caps *caps = tlvk__device_caps(s->device);
    if (!s->desc.mixed || caps->matrix_m || tlvk__texel_operands(caps)) return TLVK_OK;
    const char *why = !caps->cooperative_matrix ? "the device offers no VK_KHR_cooperative_matrix"
                                                : "the device has no cooperative matrix of fp16 with fp32 sums that fits, or this library was built without their shaders";
    return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "mixed precision on %s: neither products nor activations would be of fp16: %s, and its texel buffers hold less than a "
                      "binding; fp32 works there", caps->name, why);
}

static tlvk_status create(tlvk__session *s) {
    tlvk_status st = tlvk__context_device(s->model->ctx, &s->device);
    if (!st) st = check_precision(s);
    if (!st) st = open_graphs(s);
    if (!st) st = find_moving(s);
    if (!st && s->desc.training) st = tlvk__flat_split(&s->flats[TLVK__WHOLE], in_moving_set, s, &s->flats[TLVK__PREFIX], &s->flats[TLVK__SUFFIX], &s->split);
    s->residents.device = s->device;
    s->prepared_pool.device = s->device;
    s->prepared_pool.what = "prepared weights";
    if (!st) st = make_choices(s);
    if (!st) st = add_residents(s);
    if (!st) st = tlvk__residents_lay_out(&s->residents, &s->desc.optimizer);
    if (st) return st;
    s->update = (tlvk__update_call){
        .optimizer = &s->desc.optimizer, .chunks = s->residents.chunks, .chunk_count = s->residents.chunk_count,
        .variable_count = s->residents.trained_count, .regularized = s->residents.regularized,
    };
    if (!s->desc.mixed || !s->desc.training) return TLVK_OK;
    s->prepared_pool.expected = tlvk__pool_round(sizeof(tlvk__loss_scaling));
    st = tlvk__pool_take(&s->prepared_pool, sizeof(tlvk__loss_scaling), &s->update.scaling);
    s->update.scaling.bytes = sizeof(tlvk__loss_scaling);
    const tlvk__loss_scaling scaling = tlvk__loss_scaling_begin(&s->desc.optimizer, 0);
    return st ? st : tlvk__session_write_scaling(s, &scaling);
}

/* What a file's or an earlier session's optimizer had goes into the slots. */
static tlvk_status write_state(tlvk__session *s) {
    const tlvk__optimizer_state *state = s->state;
    tlvk__variable *v;
    tlvk_status st = TLVK_OK;
    for (int i = 0; state && !st && tlvk__session_trained(s, i, &v); i++) {
        float *const *values = tlvk__optimizer_state_of(state, v);
        for (int slot = 0; values && !st && slot < state->slots; slot++) st = tlvk__residents_put(&s->residents, tlvk__residents_trained(&s->residents, i), slot, values[slot]);
    }
    if (!st) s->state = NULL;
    return st;
}

tlvk_status tlvk__session_allocate(tlvk__session *s) {
    if (s->allocated) return TLVK_OK;
    tlvk_status st = tlvk__residents_allocate(&s->residents, &s->desc.optimizer);
    uint64_t scratch = s->residents.chunk_count && !s->update.scratch.buffer ? tlvk__update_scratch_bytes(&s->update) : 0;
    if (!st && scratch) st = tlvk__pool_take(&s->prepared_pool, scratch, &s->update.scratch);
    if (!st) st = write_state(s);
    s->allocated = !st;
    if (st) tlvk__residents_release(&s->residents);
    return st;
}

bool tlvk__session_allocated(const tlvk__session *s) { return s->allocated; }

void tlvk__session_set_state(tlvk__session *s, const tlvk__optimizer_state *state) { s->state = state; }

tlvk_status tlvk__session_create(tlvk_model *model, const tlvk__session_desc *desc, tlvk__session **out) {
    *out = NULL;
    tlvk__session *s = tlvk__calloc(1, sizeof *s);
    if (!s) return tlvk__fail(TLVK_ERROR_MEMORY, "session: no memory");
    s->model = model; /* not counted: a model keeps its session */
    s->desc = *desc;
    tlvk_status st = create(s);
    if (st) tlvk__session_destroy(s);
    else *out = s;
    return st;
}

void tlvk__session_destroy(tlvk__session *s) {
    if (!s) return;
    for (int i = 0; i < s->runner_count; i++) tlvk__runner_destroy(s->runners[i]);
    free(s->runners);
    for (int i = 0; i < s->block_count; i++) tlvk__buffer_destroy(s->blocks[i]);
    free(s->blocks);
    tlvk__pool_free(&s->prepared_pool);
    free(s->prepared);
    tlvk__residents_free(&s->residents);
    for (int i = 0; i < TLVK__NETWORK_COUNT; i++) tlvk__flat_free(&s->flats[i]);
    if (s->retained) tlvk__model_release(s->desc.augmentation);
    tlvk__flat_free(&s->front);
    tlvk__choices_destroy(s->choices);
    free(s->moving);
    free(s);
}

bool tlvk__session_same_task(const tlvk__session *s, const tlvk__session_desc *desc) {
    const tlvk__session_desc *d = &s->desc;
    bool same = d->batch_norm_inference == desc->batch_norm_inference && d->augmentation == desc->augmentation && d->random == desc->random &&
                d->mixed == desc->mixed && d->static_choices == desc->static_choices;
    for (int i = 0; i < s->model->output_count; i++) {
        const tlvk__objective *a = &d->objectives[i], *b = &desc->objectives[i];
        same = same && a->loss.kind == b->loss.kind && a->loss.from_logits == b->loss.from_logits && a->loss.label_smoothing == b->loss.label_smoothing &&
               a->metric == b->metric && a->weight == b->weight;
    }
    return same;
}

bool tlvk__session_current(const tlvk__session *s) {
    for (int i = 0; i < s->residents.count; i++) {
        if (s->residents.list[i].version != s->residents.list[i].variable->version) return false;
    }
    return true;
}

bool tlvk__session_regularized(const tlvk__session *s) { return s->residents.regularized; }
bool tlvk__session_has_prefix(const tlvk__session *s) { return s->split; }
const tlvk__flat *tlvk__session_flat(const tlvk__session *s, tlvk__network network) { return &s->flats[network]; }

tlvk_status tlvk__session_prefix_hash(tlvk__session *s, tlvk__hash *hash) {
    const tlvk__flat *flat = &s->flats[TLVK__PREFIX];
    tlvk__hash_init(hash);
    for (int i = 0; i < flat->call_count; i++) {
        const tlvk__flat_call *c = &flat->calls[i];
        tlvk__hash_add(hash, c->op->class_name, strlen(c->op->class_name));
        tlvk__hash_add(hash, c->attrs, c->op->attr_bytes);
        tlvk__hash_add(hash, c->inputs, (size_t)c->input_count * sizeof *c->inputs);
        tlvk__hash_add(hash, &c->output, sizeof c->output);
        for (int k = 0; k < c->variable_count; k++) {
            const float *values;
            tlvk_status st = tlvk__variable_values(c->variables[k], &values);
            if (st) return st;
            tlvk__hash_add(hash, values, c->variables[k]->elements * sizeof *values);
        }
    }
    tlvk__hash_add(hash, &s->desc.mixed, sizeof s->desc.mixed);
    tlvk__hash_add(hash, flat->outputs, (size_t)flat->output_count * sizeof *flat->outputs);
    const tlvk__caps *caps = tlvk__device_caps(s->device);
    if (s->desc.mixed && tlvk__texel_operands(caps)) tlvk__hash_add(hash, "activations of fp16", sizeof "activations of fp16");
    tlvk__hash_add(hash, caps->driver, strlen(caps->driver));
    tlvk__hash_add(hash, caps->device_uuid, sizeof caps->device_uuid);
    if (!tlvk__choices_count(s->choices)) return TLVK_OK;
    tlvk__plan *plan;
    tlvk_status st = tlvk__session_plan(s, TLVK__PREFIX, TLVK__PLAN_PREDICT, s->desc.inputs, (tlvk__plan_limits){ 0 }, &plan);
    if (st) return st;
    tlvk__tune_hash(caps, plan, s->choices, hash);
    tlvk__plan_destroy(plan);
    return TLVK_OK;
}

tlvk_status tlvk__session_read(tlvk__session *s) {
    if (!s->allocated) return TLVK_OK; /* the host has all there is */
    wait_runners(s);
    return tlvk__residents_read(&s->residents);
}

tlvk_status tlvk__session_upload(tlvk__session *s) {
    if (!s->allocated) return TLVK_OK; /* as it will be when it is */
    wait_runners(s);
    return tlvk__residents_upload(&s->residents, false);
}

bool tlvk__session_trained(const tlvk__session *s, int index, tlvk__variable **v) {
    tlvk__resident *e = tlvk__residents_trained(&s->residents, index);
    if (e) *v = e->variable;
    return e != NULL;
}

tlvk__variable *tlvk__session_moving(const tlvk__session *s, int index) {
    for (int i = 0; i < s->residents.count; i++) {
        if (s->residents.list[i].moving && index-- == 0) return s->residents.list[i].variable;
    }
    return NULL;
}

tlvk_status tlvk__session_read_slot(tlvk__session *s, int index, int slot, float *dense) {
    wait_runners(s);
    tlvk_status st = tlvk__session_allocate(s);
    return st ? st : tlvk__residents_get(&s->residents, tlvk__residents_trained(&s->residents, index), slot, dense);
}

tlvk_status tlvk__session_write_slot(tlvk__session *s, int index, int slot, const float *dense) {
    wait_runners(s);
    tlvk_status st = tlvk__session_allocate(s);
    return st ? st : tlvk__residents_put(&s->residents, tlvk__residents_trained(&s->residents, index), slot, dense);
}

tlvk_status tlvk__session_read_gradient(tlvk__session *s, int index, float *dense) { return tlvk__session_read_slot(s, index, -1, dense); }

tlvk_status tlvk__session_read_scaling(tlvk__session *s, tlvk__loss_scaling *scaling) {
    *scaling = (tlvk__loss_scaling){ 0 };
    if (!s->update.scaling.buffer) return TLVK_OK;
    wait_runners(s);
    return tlvk__span_read(s->device, s->update.scaling, scaling);
}

tlvk_status tlvk__session_write_scaling(tlvk__session *s, const tlvk__loss_scaling *scaling) {
    if (!s->update.scaling.buffer) return TLVK_OK;
    wait_runners(s);
    return tlvk__span_write(s->device, s->update.scaling, scaling);
}

uint64_t tlvk__session_peak_bytes(const tlvk__session *s) {
    uint64_t now, peak;
    tlvk__device_memory_use(s->device, &now, &peak);
    return peak;
}
