/* optimizer.c - defaults and state of the optimizers, and how the update of all chunks is recorded.
 *
 * Hides: which slot plays which part in the kernel, and the passes that clipping by norm and regularizers need before the update
 * (sums per block, norms per variable, clipping factors), which are recorded only where they are wanted. */
#include "ops/optimizer.h"
#include "ops/elementwise.h"
#include "ops/loss.h"

#include <float.h>
#include <math.h>

#define SUM_BYTES 16 /* one vec4 per block */
#define ROW_TEXELS (uint32_t)(sizeof(tlvk__block_row) / 16)          /* of the table, per block */
#define BLOCK_TEXELS (uint32_t)(TLVK__BLOCK * sizeof(float) / 16)    /* of the gradients, per block; more than of the table */
#define TABLE_ALIGN 64

enum { ROLE_FIRST = 0, ROLE_SECOND, ROLE_THIRD, ROLE_COUNT };
enum { KIND_ADAM = 0, KIND_SGD, KIND_RMSPROP };                          /* of shaders/optimizer_update.comp */
enum { CLIP_NONE = 0, CLIP_VALUE, CLIP_NORM, CLIP_GLOBAL };

/* --- numbers ---------------------------------------------------------------------------------------------------------------------------- */

static float number(float given, float otherwise) {
    return given == TLVK_ZERO ? 0.0f : given == 0.0f ? otherwise : given;
}

static tlvk_status in_range(const char *name, double v, double low, double high) {
    if (v >= low && v <= high)
        return TLVK_OK;
    if (high >= (double)FLT_MAX)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s is %g, not at least %g", name, v, low);
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s is %g, not between %g and %g", name, v, low, high);
}

static tlvk_status check_numbers(const tlvk_optimizer *o) {
    const double any = (double)FLT_MAX, below_one = (double)(1.0f - FLT_EPSILON / 2.0f);
    /* Room between variables and unused lanes is zero: a positive epsilon keeps 0 / 0 away from it. */
    const struct { const char *name; float v; double low, high; } checks[] = {
        {"learning_rate", o->learning_rate, 0.0, any}, {"momentum", o->momentum, 0.0, 1.0}, {"beta_1", o->beta_1, 0.0, below_one},
        {"beta_2", o->beta_2, 0.0, below_one}, {"rho", o->rho, 0.0, 1.0}, {"epsilon", o->epsilon, (double)FLT_MIN, any},
        {"weight_decay", o->weight_decay, 0.0, any}, {"clipnorm", o->clipnorm, 0.0, any}, {"global_clipnorm", o->global_clipnorm, 0.0, any},
        {"clipvalue", o->clipvalue, 0.0, any}, {"the schedule's decay_rate", o->schedule.decay_rate, 0.0, any},
        {"the schedule's alpha", o->schedule.alpha, 0.0, 1.0}, {"the schedule's factor", o->schedule.factor, 0.0, below_one},
        {"the schedule's min_lr", o->schedule.min_lr, 0.0, any}, {"the schedule's decay_steps", (float)o->schedule.decay_steps, 0.0, any},
        {"the schedule's patience", (float)o->schedule.patience, 0.0, any}};
    for (size_t i = 0; i < TLVK__COUNT(checks); i++) {
        tlvk_status s = in_range(checks[i].name, (double)checks[i].v, checks[i].low, checks[i].high);
        if (s)
            return s;
    }
    if ((o->clipnorm > 0.0f) + (o->global_clipnorm > 0.0f) + (o->clipvalue > 0.0f) > 1)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "clipnorm is %g, global_clipnorm %g and clipvalue %g; only one of them can be set", (double)o->clipnorm,
                          (double)o->global_clipnorm, (double)o->clipvalue);
    return TLVK_OK;
}

tlvk_status tlvk__optimizer_resolve(const tlvk_optimizer *desc, tlvk_optimizer *out) {
    if ((int)desc->kind < TLVK_ADAM || desc->kind > TLVK_ADAMW || (int)desc->schedule.kind < TLVK_SCHEDULE_CONSTANT ||
        desc->schedule.kind > TLVK_SCHEDULE_PLATEAU)
        return tlvk__fail(TLVK_ERROR_ARGUMENT, "there is no optimizer %d with schedule %d", (int)desc->kind, (int)desc->schedule.kind);
    tlvk_optimizer o = *desc;
    o.learning_rate = number(desc->learning_rate, desc->kind == TLVK_SGD ? 1e-2f : 1e-3f);
    o.momentum = number(desc->momentum, 0.0f);
    o.beta_1 = number(desc->beta_1, 0.9f);
    o.beta_2 = number(desc->beta_2, 0.999f);
    o.rho = number(desc->rho, 0.9f);
    o.epsilon = number(desc->epsilon, 1e-7f);
    o.weight_decay = number(desc->weight_decay, desc->kind == TLVK_ADAMW ? 4e-3f : 0.0f);
    o.clipnorm = number(desc->clipnorm, 0.0f);
    o.global_clipnorm = number(desc->global_clipnorm, 0.0f);
    o.clipvalue = number(desc->clipvalue, 0.0f);
    o.schedule.decay_rate = number(desc->schedule.decay_rate, 0.96f);
    o.schedule.alpha = number(desc->schedule.alpha, 0.0f);
    o.schedule.factor = number(desc->schedule.factor, 0.1f);
    o.schedule.min_lr = number(desc->schedule.min_lr, 0.0f);
    o.schedule.patience = desc->schedule.patience == 0 ? 10 : desc->schedule.patience;
    tlvk_status s = check_numbers(&o);
    if (!s)
        *out = o;
    return s;
}

void tlvk__optimizer_step(const tlvk_optimizer *o, int64_t step, double learning_rate, tlvk__step_params *p) {
    p->learning_rate = p->rate = (float)learning_rate;
    if (o->kind != TLVK_ADAM && o->kind != TLVK_ADAMW)
        return;
    /* adam.py takes the powers, and what they leave of 1, in float32; the rounding of 1 - beta_2^t shows in the first steps. */
    float power_1 = (float)pow((double)o->beta_1, (double)step), power_2 = (float)pow((double)o->beta_2, (double)step);
    p->rate = p->learning_rate * sqrtf(1.0f - power_2) / (1.0f - power_1);
}

/* --- slots ------------------------------------------------------------------------------------------------------------------------------ */

/* The slot that plays a part in the kernel, -1 where this optimizer has none such. */
static int slot_of_role(const tlvk_optimizer *o, int role) {
    bool momentum = o->momentum > 0.0f;
    switch (o->kind) {
    case TLVK_SGD: return role == ROLE_FIRST && momentum ? 0 : -1;
    case TLVK_RMSPROP:
        if (role == ROLE_THIRD)
            return o->centered ? 1 + momentum : -1;
        return role == ROLE_FIRST ? 0 : momentum ? 1 : -1;
    default: return role < ROLE_THIRD || o->amsgrad ? role : -1;
    }
}

int tlvk__optimizer_slots(const tlvk_optimizer *o) {
    int count = 0;
    for (int role = 0; role < ROLE_COUNT; role++)
        count += slot_of_role(o, role) >= 0;
    return count;
}

const char *tlvk__optimizer_slot_name(const tlvk_optimizer *o, int slot) {
    static const char *const adam[] = {"momentum", "velocity", "velocity_hat"}, *const rmsprop[] = {"velocity", "momentum", "average_gradient"};
    for (int role = 0; role < ROLE_COUNT; role++)
        if (slot >= 0 && slot_of_role(o, role) == slot)
            return o->kind == TLVK_RMSPROP ? rmsprop[role] : adam[role];
    return NULL;
}

/* --- recording -------------------------------------------------------------------------------------------------------------------------- */

typedef struct sums_push { uint32_t blocks, w_base, dw_base, table_base, sums_base, scaling_base; } sums_push;
typedef struct scale_push { uint32_t blocks, sums_base, scaling_base, head_base; float decay_1, decay_2; } scale_push;
typedef struct norms_push { uint32_t blocks, variables, sums_base, squares_base; } norms_push;
typedef struct finish_push { uint32_t blocks, variables, sums_base, factors_base, metrics_base; float clip; } finish_push;
typedef struct update_push {
    uint32_t blocks, w_base, dw_base, slot_base[ROLE_COUNT], table_base, params_base, factors_base;
    float decay_1, gain_1, decay_2, gain_2, epsilon, clip;
} update_push;

static uint32_t clip_of(const tlvk_optimizer *o) {
    return o->clipnorm > 0.0f ? CLIP_NORM : o->global_clipnorm > 0.0f ? CLIP_GLOBAL : o->clipvalue > 0.0f ? CLIP_VALUE : CLIP_NONE;
}

static float clip_limit(const tlvk_optimizer *o) {
    return o->clipnorm > 0.0f ? o->clipnorm : o->global_clipnorm > 0.0f ? o->global_clipnorm : o->clipvalue;
}

static uint64_t total_blocks(const tlvk__update_call *call) {
    uint64_t blocks = 0;
    for (int i = 0; i < call->chunk_count; i++)
        blocks += call->chunks[i].blocks;
    return blocks;
}

/* Scratch: the sums of all blocks; where there is a loss scale, a vec4 of loss_scale.comp; one float per variable: squared norms, then factors. */
static tlvk__span sums_span(const tlvk__update_call *call) {
    return (tlvk__span){call->scratch.buffer, call->scratch.offset, total_blocks(call) * SUM_BYTES};
}

static uint64_t head_bytes(const tlvk__update_call *call) { return call->scaling.buffer ? 16 : 0; }

static tlvk__span head_span(const tlvk__update_call *call) {
    return (tlvk__span){call->scratch.buffer, call->scratch.offset + tlvk__round_up(total_blocks(call) * SUM_BYTES, 256), head_bytes(call)};
}

static tlvk__span factors_span(const tlvk__update_call *call) {
    tlvk__span head = head_span(call);
    return (tlvk__span){head.buffer, head.offset + head.bytes, tlvk__round_up((uint64_t)call->variable_count * sizeof(float), 16)};
}

uint64_t tlvk__update_scratch_bytes(const tlvk__update_call *call) {
    if (!call->regularized && !call->scaling.buffer && clip_of(call->optimizer) < CLIP_NORM)
        return 0;
    return tlvk__round_up(total_blocks(call) * SUM_BYTES, 256) + head_bytes(call) + factors_span(call).bytes;
}

static tlvk_status fits_or_fail(bool fits) {
    return fits ? TLVK_OK : tlvk__fail(TLVK_ERROR_INTERNAL, "a span of the optimizer's update is too small, too large or not aligned");
}

static uint64_t chunk_bytes(const tlvk__chunk *c) { return (uint64_t)c->blocks * TLVK__BLOCK * sizeof(float); }

/* What the passes before the update need; also all that an evaluation has. */
static tlvk_status check_passes(const tlvk__caps *caps, const tlvk__update_call *call) {
    bool fits = call->scratch.bytes >= tlvk__update_scratch_bytes(call) && call->metrics.bytes >= TLVK__METRIC_WORDS * sizeof(float) &&
                total_blocks(call) * SUM_BYTES <= caps->max_binding_bytes;
    for (int i = 0; i < call->chunk_count; i++) {
        const tlvk__chunk *c = &call->chunks[i];
        fits = fits && c->table.offset % TABLE_ALIGN == 0 && c->table.bytes >= (uint64_t)c->blocks * sizeof(tlvk__block_row) &&
               c->w.bytes >= chunk_bytes(c) && chunk_bytes(c) <= caps->max_binding_bytes;
    }
    return fits_or_fail(fits);
}

static tlvk_status check_update(const tlvk__caps *caps, const tlvk__update_call *call) {
    bool fits = call->step_params.offset % sizeof(tlvk__step_params) == 0 && (!call->scaling.buffer || call->scaling.bytes >= sizeof(tlvk__loss_scaling));
    for (int i = 0; i < call->chunk_count; i++) {
        const tlvk__chunk *c = &call->chunks[i];
        fits = fits && c->table.offset % TABLE_ALIGN == 0 && c->table.bytes >= (uint64_t)c->blocks * sizeof(tlvk__block_row) &&
               c->w.bytes >= chunk_bytes(c) && c->dw.bytes >= chunk_bytes(c) && chunk_bytes(c) <= caps->max_binding_bytes;
        for (int slot = 0; slot < tlvk__optimizer_slots(call->optimizer); slot++)
            fits = fits && c->slots[slot].bytes >= chunk_bytes(c);
    }
    return fits_or_fail(fits);
}

/* Shaders run as the variants that read the rows of the table, and in the update the gradients too, as texels, for want of bindings. */
static bool sums_by_few(const tlvk__caps *caps) { return tlvk__few_buffers(caps, 5); }
static bool updates_by_few(const tlvk__caps *caps) { return tlvk__few_buffers(caps, tlvk__texel_operands(caps) ? 6 : 8); }

/* --- parts of chunks ---------------------------------------------------------------------------------------------------------------------- */

/* Records one part of a chunk, whose first block is number `first` of all. */
typedef tlvk_status part_recorder(tlvk__recorder *r, const tlvk__update_call *call, const tlvk__chunk *part, uint64_t first);

static tlvk__chunk part_of(const tlvk__update_call *call, const tlvk__chunk *c, uint32_t first, uint32_t blocks) {
    const uint64_t block_bytes = TLVK__BLOCK * sizeof(float), at = first * block_bytes, bytes = blocks * block_bytes;
    tlvk__chunk part = {.w = tlvk__span_part(c->w, at, bytes), .dw = tlvk__span_part(c->dw, at, bytes), .blocks = blocks,
                        .table = tlvk__span_part(c->table, first * sizeof(tlvk__block_row), blocks * sizeof(tlvk__block_row))};
    for (int slot = 0; slot < tlvk__optimizer_slots(call->optimizer); slot++)
        part.slots[slot] = tlvk__span_part(c->slots[slot], at, bytes);
    return part;
}

/* Chunk by chunk all blocks at once, or as many as a texel buffer holds where the shader reads `texels` of each block as such; 0: it reads none. */
static tlvk_status each_part(tlvk__recorder *r, const tlvk__update_call *call, uint32_t texels, part_recorder *record) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const uint64_t held = tlvk__texel_room(caps);
    if (held < texels)
        return tlvk__fail(TLVK_ERROR_UNSUPPORTED, "with %u storage buffers the optimizer's update reads %u texels at once; \"%s\" has texel buffers of %llu",
                          caps->max_storage_buffers, texels, caps->name, (unsigned long long)caps->max_texels);
    const uint32_t most = texels ? (uint32_t)TLVK__MIN(held / texels, UINT32_MAX) : UINT32_MAX;
    uint64_t before = 0;
    tlvk_status s = TLVK_OK;
    for (int i = 0; !s && i < call->chunk_count; i++) {
        const tlvk__chunk *c = &call->chunks[i];
        for (uint32_t first = 0, blocks; !s && first < c->blocks; first += blocks) {
            blocks = TLVK__MIN(most, c->blocks - first);
            tlvk__chunk part = part_of(call, c, first, blocks);
            s = record(r, call, &part, before + first);
        }
        before += c->blocks;
    }
    return s;
}

/* --- the passes before the update --------------------------------------------------------------------------------------------------------- */

static tlvk_status record_part_sums(tlvk__recorder *r, const tlvk__update_call *call, const tlvk__chunk *c, uint64_t first, bool squares) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__span sums = tlvk__span_part(sums_span(call), first * SUM_BYTES, (uint64_t)c->blocks * SUM_BYTES);
    const bool scaled = squares && call->scaling.buffer;
    sums_push push = {.blocks = c->blocks};
    double floats = (double)c->blocks * TLVK__BLOCK;
    tlvk__dispatch d = {.shader = sums_by_few(caps) ? "optimizer_sums_few" : "optimizer_sums",
                        .specs = {{"SQUARES", squares}, {"REGULARIZED", call->regularized}, {"SCALED", scaled}}, .binding_count = 5,
                        .push = &push, .push_bytes = sizeof push, .groups = {c->blocks, 1, 1}, .flops = 4.0 * floats, .bytes = 8.0 * floats,
                        .operation = "optimizer_sums"};
    d.bindings[0] = tlvk__span_window(caps, c->w, TLVK__READ, &push.w_base);
    /* Without squares the gradients are not read, and in an evaluation there are none. */
    d.bindings[1] = squares ? tlvk__span_window(caps, c->dw, TLVK__READ, &push.dw_base) : d.bindings[0];
    d.bindings[2] = tlvk__span_window(caps, c->table, TLVK__READ, &push.table_base);
    d.bindings[3] = tlvk__span_window(caps, sums, TLVK__WRITE, &push.sums_base);
    d.bindings[4] = scaled ? tlvk__span_window(caps, call->scaling, TLVK__READ, &push.scaling_base) : d.bindings[2];
    return tlvk__record_dispatch(r, &d);
}

static tlvk_status record_part_penalty(tlvk__recorder *r, const tlvk__update_call *call, const tlvk__chunk *part, uint64_t first) {
    return record_part_sums(r, call, part, first, false);
}

static tlvk_status record_part_squares(tlvk__recorder *r, const tlvk__update_call *call, const tlvk__chunk *part, uint64_t first) {
    return record_part_sums(r, call, part, first, true);
}

/* Sums of the blocks of every chunk. */
static tlvk_status record_sums(tlvk__recorder *r, const tlvk__update_call *call, bool squares) {
    bool few = sums_by_few(tlvk__device_caps(tlvk__recorder_device(r)));
    return each_part(r, call, few ? ROW_TEXELS : 0, squares ? record_part_squares : record_part_penalty);
}

static tlvk_status record_norms(tlvk__recorder *r, const tlvk__update_call *call) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    norms_push push = {.blocks = (uint32_t)total_blocks(call), .variables = (uint32_t)call->variable_count};
    double reads = (double)push.blocks * (double)push.variables;
    tlvk__dispatch d = {.shader = "optimizer_norms", .specs = {{"WG", tlvk__large_group(caps)}}, .binding_count = 2, .push = &push, .push_bytes = sizeof push,
                        .groups = {push.variables, 1, 1}, .flops = reads, .bytes = 16.0 * reads, .operation = "optimizer_norms"};
    d.bindings[0] = tlvk__span_window(caps, sums_span(call), TLVK__READ, &push.sums_base);
    d.bindings[1] = tlvk__span_window(caps, factors_span(call), TLVK__WRITE, &push.squares_base);
    return tlvk__record_dispatch(r, &d);
}

static tlvk_status record_finish(tlvk__recorder *r, const tlvk__update_call *call, uint32_t clip) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    finish_push push = {.blocks = (uint32_t)total_blocks(call), .variables = (uint32_t)call->variable_count, .clip = clip_limit(call->optimizer)};
    tlvk__dispatch d = {.shader = "optimizer_finish", .specs = {{"CLIP", clip}, {"REGULARIZED", call->regularized}, {"WG", tlvk__large_group(caps)}}, .binding_count = 3, .push = &push,
                        .push_bytes = sizeof push, .groups = {1, 1, 1}, .flops = (double)push.blocks, .bytes = 16.0 * push.blocks,
                        .operation = "optimizer_finish"};
    tlvk__span words = {call->metrics.buffer, call->metrics.offset, TLVK__METRIC_WORDS * sizeof(float)};
    d.bindings[0] = tlvk__span_window(caps, sums_span(call), TLVK__READ, &push.sums_base);
    d.bindings[1] = tlvk__span_window(caps, factors_span(call), TLVK__READ_WRITE, &push.factors_base);
    d.bindings[2] = tlvk__span_window(caps, words, TLVK__READ_WRITE, &push.metrics_base);
    return tlvk__record_dispatch(r, &d);
}

/* 1 - b for a number b that was written in decimals: Keras subtracts in double before it rounds, and 1 - 0.999f is 1.3e-5 off 0.001f. */
static float complement(float b) {
    double decimal = round((double)b * 1e7) / 1e7;
    return (float)(1.0 - ((float)decimal == b ? decimal : (double)b));
}

/* Whether this step is applied, and the next one's scale. */
static tlvk_status record_scale(tlvk__recorder *r, const tlvk__update_call *call) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk_optimizer *o = call->optimizer;
    scale_push push = {.blocks = (uint32_t)total_blocks(call), .decay_1 = o->beta_1, .decay_2 = o->beta_2};
    tlvk__dispatch d = {.shader = "loss_scale", .specs = {{"ADAM", o->kind == TLVK_ADAM || o->kind == TLVK_ADAMW}, {"WG", tlvk__large_group(caps)}}, .binding_count = 3, .push = &push,
                        .push_bytes = sizeof push, .groups = {1, 1, 1}, .flops = (double)push.blocks, .bytes = 16.0 * push.blocks, .operation = "loss_scale"};
    d.bindings[0] = tlvk__span_window(caps, sums_span(call), TLVK__READ, &push.sums_base);
    d.bindings[1] = tlvk__span_window(caps, call->scaling, TLVK__READ_WRITE, &push.scaling_base);
    d.bindings[2] = tlvk__span_window(caps, head_span(call), TLVK__WRITE, &push.head_base);
    return tlvk__record_dispatch(r, &d);
}

tlvk__loss_scaling tlvk__loss_scaling_begin(const tlvk_optimizer *o, int64_t steps) {
    return (tlvk__loss_scaling){.scale = 32768.0f, .inverse = 1.0f / 32768.0f, .power_1 = (float)pow((double)o->beta_1, (double)steps),
                                .power_2 = (float)pow((double)o->beta_2, (double)steps)};
}

bool tlvk__loss_scaling_good(const tlvk__loss_scaling *s) {
    int exponent;
    return s->scale >= 1.0f && s->scale <= 16777216.0f && frexpf(s->scale, &exponent) == 0.5f && s->inverse == 1.0f / s->scale &&
           s->finite_steps >= 0.0f && s->finite_steps < 2000.0f && s->power_1 >= 0.0f && s->power_1 <= 1.0f && s->power_2 >= 0.0f && s->power_2 <= 1.0f &&
           s->skipped >= 0.0f && isfinite(s->skipped);
}

/* --- the update ----------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status record_part_update(tlvk__recorder *r, const tlvk__update_call *call, const tlvk__chunk *c, uint64_t first) {
    (void)first;
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk_optimizer *o = call->optimizer;
    bool adam = o->kind == TLVK_ADAM || o->kind == TLVK_ADAMW;
    uint32_t clip = clip_of(o), kind = adam ? KIND_ADAM : o->kind == TLVK_SGD ? KIND_SGD : KIND_RMSPROP;
    bool momentum = !adam && o->momentum > 0.0f;
    update_push push = {.blocks = c->blocks, .decay_1 = adam ? o->beta_1 : o->momentum, .gain_1 = complement(o->beta_1),
                        .decay_2 = adam ? o->beta_2 : o->rho, .gain_2 = complement(adam ? o->beta_2 : o->rho), .epsilon = o->epsilon,
                        .clip = clip_limit(o)};
    double floats = (double)c->blocks * TLVK__BLOCK;
    bool few = updates_by_few(caps), texel = tlvk__texel_operands(caps) && !few;
    tlvk__dispatch d = {.shader = few ? "optimizer_update_few" : texel ? "optimizer_update_texel" : "optimizer_update_plain",
                        .binding_count = texel ? 11 : 8, .push = &push, .push_bytes = sizeof push, .groups = {c->blocks, 1, 1},
                        .flops = 12.0 * floats, .bytes = floats * 4.0 * (3.0 + 2.0 * tlvk__optimizer_slots(o)), .operation = "optimizer_update"};
    const tlvk__spec specs[] = {{"KIND", kind}, {"MOMENTUM", momentum}, {"NESTEROV", momentum && o->nesterov},
                                {"CENTERED", kind == KIND_RMSPROP && o->centered}, {"AMSGRAD", adam && o->amsgrad},
                                {"REGULARIZED", call->regularized}, {"CLIP", clip}, {"SCALED", call->scaling.buffer != NULL}, {"WG", tlvk__large_group(caps)}};
    for (size_t i = 0; i < TLVK__COUNT(specs); i++)
        d.specs[i] = specs[i];
    d.bindings[0] = tlvk__span_window(caps, c->w, TLVK__READ_WRITE, &push.w_base);
    d.bindings[1] = tlvk__span_window(caps, c->dw, TLVK__READ, &push.dw_base);
    for (int role = 0; role < ROLE_COUNT; role++) {
        /* A part nobody plays is bound to the weights, which the kernel then does not touch through it. */
        int slot = slot_of_role(o, role);
        d.bindings[2 + role] = tlvk__span_window(caps, slot < 0 ? c->w : c->slots[slot], TLVK__READ_WRITE, &push.slot_base[role]);
    }
    d.bindings[5] = tlvk__span_window(caps, c->table, TLVK__READ, &push.table_base);
    d.bindings[6] = tlvk__span_window(caps, (tlvk__span){call->step_params.buffer, call->step_params.offset, sizeof(tlvk__step_params)}, TLVK__READ,
                                      &push.params_base);
    tlvk__span head = head_span(call), factors = factors_span(call);
    head.bytes += factors.bytes;
    if (call->scaling.buffer)
        d.bindings[7] = tlvk__span_window(caps, head, TLVK__READ, &push.factors_base);
    else
        d.bindings[7] = clip >= CLIP_NORM ? tlvk__span_window(caps, factors_span(call), TLVK__READ, &push.factors_base) : d.bindings[5];
    for (int k = 0; texel && k < 3; k++) {
        static const int read[] = {0, 2, 3}; /* by texel at bindings 8 to 10 */
        d.bindings[8 + k] = d.bindings[read[k]];
        d.bindings[8 + k].access = TLVK__READ;
    }
    return tlvk__record_dispatch(r, &d);
}

tlvk_status tlvk__record_penalty(tlvk__recorder *r, const tlvk__update_call *call) {
    if (!call->regularized || call->chunk_count == 0)
        return TLVK_OK;
    tlvk_status s = check_passes(tlvk__device_caps(tlvk__recorder_device(r)), call);
    if (!s)
        s = record_sums(r, call, false);
    return s ? s : record_finish(r, call, CLIP_NONE);
}

tlvk_status tlvk__record_update(tlvk__recorder *r, const tlvk__update_call *call) {
    if (call->chunk_count == 0)
        return TLVK_OK;
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    uint32_t clip = clip_of(call->optimizer);
    bool norms = clip >= CLIP_NORM, scaled = call->scaling.buffer != NULL, passes = norms || call->regularized, sums = passes || scaled;
    tlvk_status s = check_update(caps, call);
    if (!s && sums)
        s = check_passes(caps, call);
    if (!s && sums)
        s = record_sums(r, call, norms || scaled);
    if (!s && norms)
        s = record_norms(r, call);
    if (!s && passes)
        s = record_finish(r, call, clip);
    if (!s && scaled)
        s = record_scale(r, call);
    return s ? s : each_part(r, call, updates_by_few(caps) ? BLOCK_TEXELS : 0, record_part_update);
}
