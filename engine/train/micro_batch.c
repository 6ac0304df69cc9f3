/* micro_batch.c - how much of the device's memory the plans of a session may take, and what is done when a batch takes more.
 *
 * Where the device's memory is the host's own, a batch is cut as far as is easy on it, whatever the limit: parts that large keep every core busy, and the
 * host has more to do with its memory. How, depends on the network and the batch alone, so that the bits do not change with what happens to be free.
 *
 * Beyond that, where memory is short: first a training step keeps fewer activations and makes them again (plan/recompute.c), with the same bits. Where that
 * is not enough, the batch is cut into micro-batches of one size, the last perhaps smaller. One after the other they add their gradients to the sums of
 * those before, in fixed order, and the optimizer's update follows the last. So the step is the whole batch's up to the rounding of these sums. A tail of an
 * epoch is cut by the same size, and so is a fit that goes on from a checkpoint. Where a layer looks at the whole batch, as a BatchNormalization in
 * training does, parts would give other numbers, and the batch is refused. */
#include "train/session_internal.h"

#include <stdio.h>
#include <string.h>

#define EASY_BYTES (UINT64_C(768) << 20) /* of the arena: VGG16 at 224 by parts of 11 samples, as fast as 32 at once (lavapipe 22.3.6, 2026-11-21) */

typedef char bytes_text[64];

static const char *in_words(uint64_t bytes, bytes_text text) {
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
    double value = (double)bytes / 1024;
    size_t unit = 0;
    for (; value >= 1000 && unit + 1 < TLVK__COUNT(units); unit++) value /= 1024;
    snprintf(text, sizeof(bytes_text), "%.*f %s (%llu bytes)", value < 10 ? 2 : value < 100 ? 1 : 0, value, units[unit], (unsigned long long)bytes);
    return text;
}

/* --- what the session takes ------------------------------------------------------------------------------------------------------------- */

static uint64_t staging_bytes(const tlvk__session *s, const tlvk__runner *r) {
    bool counts = tlvk__buffer_counts(s->device, TLVK__BUFFER_UPLOAD); /* what the host writes and what it reads lie in one heap */
    return counts ? tlvk__runner_staging_bytes(r) : 0;
}

/* Prepared weights of all runners; the same key in two plans is one region. Those that are there count as they lie. */
static uint64_t prepared_bytes(const tlvk__session *s, uint64_t *missing) {
    *missing = s->allocated ? 0 : s->residents.chunk_count ? tlvk__update_scratch_bytes(&s->update) : 0;
    if (*missing) *missing = tlvk__pool_round(*missing);
    for (int i = 0; i < s->runner_count; i++) {
        tlvk__prepared p;
        for (int k = 0; tlvk__plan_prepared(s->runners[i]->parts.plan, k, &p); k++) {
            bool known = false;
            for (size_t m = 0; !known && m < s->prepared_count; m++) known = s->prepared[m].key == p.key;
            for (int m = 0; !known && m < i; m++) {
                tlvk__prepared other;
                for (int q = 0; !known && tlvk__plan_prepared(s->runners[m]->parts.plan, q, &other); q++) known = other.key == p.key;
            }
            if (!known) *missing += tlvk__pool_round(p.bytes);
        }
    }
    return tlvk__pool_bytes(&s->prepared_pool) + *missing;
}

static uint64_t block_bytes(const tlvk__session *s, int block) { return block < s->block_count && s->blocks[block] ? tlvk__buffer_bytes(s->blocks[block]) : 0; }

/* Runners share the arena's blocks: what they take with those that are there, or that runners which have their place want, and `p` with them, in the
 * place of what `but` wants; both may be NULL. */
static uint64_t arena_with(const tlvk__session *s, const tlvk__runner *but, const tlvk__parts *p) {
    uint64_t sum = 0;
    for (int block = 0;; block++) {
        uint64_t bytes = block_bytes(s, block);
        for (int i = -1; i < s->runner_count; i++) {
            const tlvk__runner *r = i < 0 ? NULL : s->runners[i];
            if (r && (r == but || !r->fitted)) continue;
            const tlvk__parts *parts = r ? &r->parts : p;
            if (!parts) continue;
            bytes = TLVK__MAX(bytes, tlvk__plan_block_bytes(parts->plan, block));
            if (parts->last) bytes = TLVK__MAX(bytes, tlvk__plan_block_bytes(parts->last, block));
        }
        if (bytes == 0) return sum;
        sum += bytes;
    }
}

static uint64_t arena_there(const tlvk__session *s) {
    uint64_t sum = 0;
    for (int i = 0; i < s->block_count; i++) sum += block_bytes(s, i);
    return sum;
}

/* Everything but the arena. */
static void fill_fixed(const tlvk__session *s, tlvk_memory *m) {
    uint64_t missing;
    memset(m, 0, sizeof *m);
    tlvk__residents_bytes(&s->residents, &m->weights_bytes, &m->gradients_bytes, &m->optimizer_bytes);
    m->prepared_bytes = prepared_bytes(s, &missing);
    for (int i = 0; i < s->runner_count; i++) m->staging_bytes += staging_bytes(s, s->runners[i]);
    /* Values go to the device and come back through a buffer of their own, one segment at a time. */
    if (tlvk__buffer_counts(s->device, TLVK__BUFFER_UPLOAD)) m->staging_bytes += TLVK__MIN(s->residents.largest, TLVK__TRANSFER_BYTES);
    m->predicted_bytes = m->weights_bytes + m->gradients_bytes + m->optimizer_bytes + m->prepared_bytes + m->staging_bytes;
}

void tlvk__session_memory(const tlvk__session *s, tlvk_memory *m) {
    fill_fixed(s, m);
    m->activations_bytes = arena_with(s, NULL, NULL);
    m->other_bytes = s->others_bytes;
    m->predicted_bytes += m->activations_bytes + m->other_bytes;
    m->measured_bytes = tlvk__session_peak_bytes(s);
    m->limit_bytes = tlvk__device_caps(s->device)->memory_bytes;
    m->micro_batches = 1;
    for (int i = 0; i < s->runner_count; i++) {
        const tlvk__runner *r = s->runners[i];
        if (r->mode != TLVK__PLAN_TRAIN) continue;
        m->micro_batches = TLVK__MAX(m->micro_batches, r->parts.count);
        m->recomputed = TLVK__MAX(m->recomputed, tlvk__plan_recomputed(r->parts.plan));
        tlvk__plan_halves(r->parts.plan, &m->activations, &m->activations_fp16);
        m->products_fp16 = s->desc.mixed && tlvk__device_caps(s->device)->matrix_m;
    }
}

/* Of the device's memory, what this session has by now. */
static uint64_t own_bytes(const tlvk__session *s) {
    uint64_t weights = 0, gradients = 0, state = 0, sum = tlvk__pool_bytes(&s->prepared_pool) + arena_there(s);
    if (s->allocated) tlvk__residents_bytes(&s->residents, &weights, &gradients, &state);
    for (int i = 0; i < s->runner_count; i++) sum += s->runners[i]->slots ? staging_bytes(s, s->runners[i]) : 0;
    return sum + weights + gradients + state;
}

/* --- fitting one runner ----------------------------------------------------------------------------------------------------------------------- */

static tlvk_status plan_samples(const tlvk__runner *r, int64_t samples, tlvk__plan_limits limits, tlvk__plan **plan) {
    tlvk__shape inputs[TLVK_MAX_IO];
    memcpy(inputs, r->inputs, sizeof inputs);
    for (int i = 0; i < r->input_count; i++) inputs[i].dim[0] = samples;
    return tlvk__session_plan(r->session, r->network, r->mode, inputs, limits, plan);
}

static uint64_t parts_bytes(const tlvk__parts *p) {
    uint64_t bytes = tlvk__plan_arena_bytes(p->plan);
    return p->last ? TLVK__MAX(bytes, tlvk__plan_arena_bytes(p->last)) : bytes;
}

/* Each part's inputs and results are rounded up for themselves. */
static uint64_t more_staging(const tlvk__runner *r, const tlvk__parts *p) {
    tlvk__runner divided = *r;
    divided.parts = *p;
    uint64_t now = staging_bytes(r->session, r), then = staging_bytes(r->session, &divided);
    return then > now ? then - now : 0;
}

/* What an arena may take: of the session's with all that is in it, or of the parts' alone. Where activations may be made again, the plans stay within it if they can. */
typedef struct arena_limit { uint64_t bytes; bool alone, again; } arena_limit;

/* Parts of `size` samples; *fits when all of them stay within the limit. What is too large for one piece of working memory does not fit either. */
static tlvk_status plan_parts(const tlvk__runner *r, int64_t size, arena_limit limit, tlvk__parts *p, bool *fits) {
    tlvk__plan_limits limits = { .budget_bytes = limit.again ? TLVK__MAX(limit.bytes, (uint64_t)1) : 0, .divided = size < r->parts.batch };
    *p = (tlvk__parts){ .batch = r->parts.batch, .size = size, .count = (int)tlvk__div_up(r->parts.batch, size) };
    int64_t rest = p->batch - (p->count - 1) * size;
    tlvk_status st = plan_samples(r, size, limits, &p->plan);
    if (!st && rest < size) st = plan_samples(r, rest, limits, &p->last);
    *fits = !st && (limit.alone ? parts_bytes(p) : arena_with(r->session, r, p) + more_staging(r, p)) <= limit.bytes;
    if (st || !*fits) tlvk__parts_free(p);
    return st == TLVK_ERROR_MEMORY ? TLVK_OK : st;
}

/* The fewest parts that fit, of sizes as equal as may be; best->count 0 where no number does. Twice as many each time until they fit, then halfway between. */
static tlvk_status fewest_parts(const tlvk__runner *r, arena_limit limit, tlvk__parts *best) {
    int64_t low = r->parts.count, high = r->parts.batch + 1; /* `low` parts do not fit */
    memset(best, 0, sizeof *best);
    while (high - low > 1) {
        int64_t count = best->count ? low + (high - low) / 2 : TLVK__MIN(2 * low, r->parts.batch);
        tlvk__parts p;
        bool fits;
        tlvk_status st = plan_parts(r, tlvk__div_up(r->parts.batch, count), limit, &p, &fits);
        if (st) {
            tlvk__parts_free(best);
            return st;
        }
        if (fits) {
            tlvk__parts_free(best);
            *best = p;
            high = p.count;
        } else {
            low = count;
        }
    }
    return TLVK_OK;
}

/* The largest batch whose step fits at once, where `fixed` bytes beside the arena are for the batch there is; 0: none. */
static tlvk_status largest_batch(const tlvk__runner *r, uint64_t budget, int64_t *largest) {
    uint64_t staging = staging_bytes(r->session, r) / (uint64_t)r->parts.batch;
    int64_t high = r->parts.batch;
    *largest = 0;
    while (high - *largest > 1) {
        int64_t n = *largest + (high - *largest) / 2;
        tlvk__plan *plan = NULL;
        uint64_t room = budget + staging * (uint64_t)(r->parts.batch - n);
        tlvk_status st = plan_samples(r, n, (tlvk__plan_limits){ .budget_bytes = TLVK__MAX(room, (uint64_t)1) }, &plan);
        bool fits = !st && arena_with(r->session, r, &(tlvk__parts){ .plan = plan }) <= room;
        tlvk__plan_destroy(plan);
        if (st && st != TLVK_ERROR_MEMORY) return st;
        if (fits) *largest = n;
        else high = n;
    }
    return TLVK_OK;
}

static const char *step_name(const tlvk__runner *r) {
    return r->mode == TLVK__PLAN_TRAIN ? "a training step" : r->mode == TLVK__PLAN_EVALUATE ? "an evaluation step" : "a forward pass";
}

/* Nothing fits: what is needed, what there is, and what would fit. */
static tlvk_status refuse(const tlvk__runner *r, uint64_t fixed, uint64_t budget, uint64_t available, const tlvk__hindrance *against) {
    tlvk__plan *plan = NULL;
    int64_t samples = against ? r->parts.batch : 1, largest = 0;
    tlvk_status st = plan_samples(r, samples, (tlvk__plan_limits){ .smallest = true, .divided = !against && r->parts.batch > 1 }, &plan);
    if (!st && against) st = largest_batch(r, budget, &largest);
    if (st) {
        tlvk__plan_destroy(plan);
        return st;
    }
    bytes_text needs, has, beside;
    in_words(fixed + tlvk__plan_arena_bytes(plan), needs);
    in_words(available, has);
    in_words(fixed, beside);
    tlvk__plan_destroy(plan);
    if (!against) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s takes at least %s of device memory with a single sample at a time, %s of it for weights and the like; "
                          "the limit is %s: no batch fits", step_name(r), needs, beside, has);
    }
    if (largest == 0) {
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s of %lld samples takes at least %s of device memory, the limit is %s, and it cannot be done in parts, since "
                          "'%s' %s; no batch fits", step_name(r), (long long)r->parts.batch, needs, has, against->path, against->why);
    }
    return tlvk__fail(TLVK_ERROR_MEMORY, "%s of %lld samples takes at least %s of device memory, the limit is %s, and it cannot be done in parts, since '%s' %s; "
                      "the largest batch that fits is %lld%s", step_name(r), (long long)r->parts.batch, needs, has, against->path, against->why, (long long)largest,
                      against->remedy);
}

static void take_parts(tlvk__runner *r, const tlvk__parts *p) {
    tlvk__parts_free(&r->parts);
    r->parts = *p;
}

/* The batch as it is done where memory is not short. */
static tlvk_status divide_easily(tlvk__runner *r) {
    tlvk__parts p;
    tlvk__hindrance against;
    bool easy = !tlvk__device_caps(r->session->device)->unified || tlvk__plan_arena_bytes(r->parts.plan) <= EASY_BYTES;
    if (easy || !tlvk__plan_divisible(r->parts.plan, &against)) return TLVK_OK;
    tlvk_status st = fewest_parts(r, (arena_limit){ EASY_BYTES, .alone = true }, &p);
    if (!st && p.count) take_parts(r, &p);
    return st;
}

int64_t tlvk__session_part_samples(const tlvk__session *s, int64_t batch) {
    const tlvk__parts *best = NULL;
    for (int i = 0; i < s->runner_count; i++) {
        const tlvk__runner *r = s->runners[i];
        if (r->fit != s->fits || r->mode != TLVK__PLAN_TRAIN || !r->fitted || r->parts.batch > batch) continue;
        if (!best || r->parts.batch > best->batch) best = &r->parts;
    }
    return best ? best->size : 0;
}

/* The tail of an epoch is cut by the whole batches' size, and a fit that goes on by that of before: how much happens to be free changes no bits then. */
static tlvk_status divide_alike(tlvk__runner *r) {
    tlvk__parts p;
    bool fits = false;
    tlvk__hindrance against;
    const tlvk__session *s = r->session;
    int64_t size = s->part_limit;
    if (r->mode != TLVK__PLAN_TRAIN || s->fits == 0 || r->fit != s->fits) return TLVK_OK;
    for (int i = 0; i < s->runner_count; i++) {
        const tlvk__runner *other = s->runners[i];
        bool larger = other->mode == TLVK__PLAN_TRAIN && other->fit == s->fits && other->fitted && other->parts.batch > r->parts.batch;
        if (larger && (!size || other->parts.size < size)) size = other->parts.size;
    }
    if (!size || r->parts.size <= size || !tlvk__plan_divisible(r->parts.plan, &against)) return TLVK_OK;
    tlvk_status st = plan_parts(r, tlvk__div_up(r->parts.batch, tlvk__div_up(r->parts.batch, size)), (arena_limit){ UINT64_MAX, .alone = true }, &p, &fits);
    if (!st && fits) {
        take_parts(r, &p);
        r->alike = true;
    }
    return st;
}

static tlvk_status fit_runner(tlvk__runner *r, uint64_t fixed, uint64_t budget, uint64_t available) {
    tlvk__parts p;
    bool fits = false;
    tlvk__hindrance against;
    const arena_limit limit = { budget, .again = true };
    tlvk_status st = plan_parts(r, r->parts.size, limit, &p, &fits);
    if (!st && !fits) {
        if (!tlvk__plan_divisible(r->parts.plan, &against)) return refuse(r, fixed, budget, available, &against);
        st = fewest_parts(r, limit, &p);
        if (!st && p.count == 0) return refuse(r, fixed, budget, available, NULL);
    }
    if (!st) take_parts(r, &p);
    return st;
}

/* What does not fit is not asked for again with every other batch, nor is what was to run beside it. */
static void drop_unused(tlvk__session *s) {
    int kept = 0;
    for (int i = 0; i < s->runner_count; i++) {
        if (s->runners[i]->slots) s->runners[kept++] = s->runners[i];
        else tlvk__runner_destroy(s->runners[i]);
    }
    s->runner_count = kept;
}

tlvk_status tlvk__session_fit(tlvk__session *s) {
    tlvk_memory m;
    uint64_t now, own = own_bytes(s), missing;
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && i < s->runner_count; i++) st = s->runners[i]->fitted ? TLVK_OK : divide_easily(s->runners[i]);
    if (st) {
        drop_unused(s);
        return st;
    }
    fill_fixed(s, &m);
    tlvk__device_memory_use(s->device, &now, NULL);
    s->others_bytes = now > own ? now - own : 0;
    uint64_t available = tlvk__device_memory_free(s->device) + own, fixed = m.predicted_bytes;
    uint64_t budget = TLVK__MAX(arena_there(s), available > fixed ? available - fixed : 0);
    if (s->budget_bytes) budget = s->budget_bytes;
    for (int i = 0; i < s->runner_count; i++) {
        tlvk__runner *r = s->runners[i];
        if (r->fitted) continue;
        const uint64_t staging = staging_bytes(s, r);
        st = divide_alike(r); /* those before it may have been cut by now */
        if (!st && arena_with(s, r, &r->parts) + staging_bytes(s, r) - staging > budget) st = fit_runner(r, fixed, budget, available);
        if (st) {
            drop_unused(s);
            return st;
        }
        r->fitted = true;
        const uint64_t more = staging_bytes(s, r) - staging; /* parts only ever get more */
        fixed += more;
        if (!s->budget_bytes) budget -= TLVK__MIN(more, budget);
    }
    prepared_bytes(s, &missing);
    s->prepared_pool.expected = missing;
    return TLVK_OK;
}
