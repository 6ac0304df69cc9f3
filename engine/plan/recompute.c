/* recompute.c - which activations are kept for the backward, and which are dropped and made again when it needs them.
 *
 * A tensor that is dropped is made again by the steps that wrote it, just before the first backward that reads it, from what was kept; what those steps
 * read and was not kept is made again too. The same kernels run on the same inputs, so the bits are the same. Without a budget all that the backward
 * reads is kept. With one, tensors are dropped by how far that brings the live bytes under the budget for each unit of work done again; where this alone
 * ends too high, the network is cut into segments, as Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016, of which only the tensors that
 * cross a cut are kept. What turns out not to be needed for the budget is kept again, the dearest first. */
#include "plan/program.h"

#include <stdlib.h>
#include <string.h>

#define WORK_PER_BYTE 4.0 /* floating-point operations that cost as much as moving one byte */
#define MOST_SEGMENTS 64
#define MOST_ROUNDS 8

/* --- the order behind the losses -------------------------------------------------------------------------------------------------------- */

static void append(tlvk__plan *plan, int step, bool again) {
    plan_step *s = &plan->steps[step];
    if (again) {
        s->again_at = plan->end_at++;
    } else {
        s->epilogue_at = plan->end_at;
        if (s->activation.kind != TLVK_LINEAR && plan_changes_dy(s)) plan->end_at++;
        s->back_at = plan->end_at++;
    }
    plan->later[plan->later_count++] = (plan_later){ .step = step, .again = again };
}

/* Second forwards that make tensor `index` there again; nothing where it was kept, or made again before. */
static void make_again(tlvk__plan *plan, int index) {
    int root = plan->tensors[index].root;
    if (plan->tensors[root].kept) return;
    for (int i = plan->tensors[root].first_writer; i <= plan->tensors[root].last_writer; i++) {
        plan_step *s = &plan->steps[i];
        if (!plan_runs(s) || plan->tensors[s->output].root != root || s->again_at != NO_STEP) continue;
        for (int k = 0; k < s->input_count; k++) {
            if (plan->tensors[s->inputs[k]].root != root) make_again(plan, s->inputs[k]);
        }
        if (s->residual_count && plan->tensors[s->residual].root != root) make_again(plan, s->residual);
        append(plan, i, true);
    }
}

void tlvk__plan_schedule(tlvk__plan *plan) {
    plan->later_count = 0;
    plan->end_at = plan_loss_position(plan) + 1;
    for (int i = 0; i < plan->step_count; i++) plan->steps[i].back_at = plan->steps[i].again_at = NO_STEP;
    for (int i = plan->step_count - 1; i >= 0; i--) {
        plan_step *s = &plan->steps[i];
        if (!s->backward) continue;
        unsigned reads = tlvk__plan_backward_reads(s);
        for (int k = 0; (reads & TLVK__READS_X) && k < s->input_count; k++) make_again(plan, s->inputs[k]);
        if (reads & TLVK__READS_Y) make_again(plan, s->output);
        append(plan, i, false);
    }
}

/* --- what a choice comes to ---------------------------------------------------------------------------------------------------------------- */

typedef struct fitting {
    tlvk__plan *plan;
    bool *movable;      /* per tensor: a root that may be dropped */
    bool *best;         /* per tensor: kept, in the best choice so far */
    bool *all, *placed; /* per tensor: kept without a budget; in the smallest arena so far */
    int64_t *change;    /* per position, from -1: live bytes less those of the position before; behind them the end */
    size_t positions;
    uint64_t target;    /* of live bytes */
    double over;        /* of the choice looked at: live bytes above the target, summed over the positions */
    double work;        /* done again in it */
    uint64_t peak;
    double *score; int *order; int candidates;
} fitting;

static double work_of(const tlvk__plan *plan, const plan_step *s) {
    tlvk__op_call call;
    uint64_t bytes = 0;
    tlvk__plan_call(plan, s, PLAN_FORWARD, &call);
    if (!tlvk__tensor_bytes(call.y, &bytes)) bytes = 0;
    return (s->op->flops ? s->op->flops(&call) : 0) + WORK_PER_BYTE * (double)bytes;
}

/* Live bytes and work of what is marked as kept. */
static tlvk_status look(fitting *f) {
    tlvk__plan *plan = f->plan;
    tlvk__plan_schedule(plan);
    tlvk_status st = tlvk__plan_items(plan);
    if (st) return st;
    memset(f->change, 0, f->positions * sizeof *f->change);
    for (size_t i = 0; i < plan->item_count; i++) {
        const plan_memory_item *item = &plan->items[i];
        f->change[item->first + 1] += (int64_t)item->bytes;
        f->change[item->last + 2] -= (int64_t)item->bytes;
    }
    int64_t live = 0;
    f->over = f->work = 0;
    f->peak = 0;
    for (int at = 0; at <= plan->end_at + 1; at++) {
        live += f->change[at];
        f->peak = TLVK__MAX(f->peak, (uint64_t)live);
        if ((uint64_t)live > f->target) f->over += (double)((uint64_t)live - f->target);
    }
    for (int i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].again_at != NO_STEP) f->work += work_of(plan, &plan->steps[i]);
    }
    return TLVK_OK;
}

/* --- choosing --------------------------------------------------------------------------------------------------------------------------------- */

/* A step that reads statistics which another step of the plan updates would find others the second time. One that updates them itself has those of its
 * first forward as long as its own backward wants them, else no longer. */
static bool repeatable(const tlvk__plan *plan, const plan_step *s) {
    if ((s->op->flags & TLVK__OP_STATE) && s->training && !s->needs.aux_bytes[0]) return false;
    for (int i = 0; i < plan->step_count; i++) {
        const plan_step *other = &plan->steps[i];
        if (other == s || !(other->op->flags & TLVK__OP_STATE) || !other->training) continue;
        for (int k = 0; k < other->variable_count; k++) {
            const tlvk__variable *v = other->variables[k];
            for (int m = 0; m < s->variable_count; m++) {
                if (s->variables[m] == v && !v->spec.trainable && !s->training) return false;
            }
            if (s->norm_attrs && (s->norm[2] == v || s->norm[3] == v)) return false;
        }
    }
    return true;
}

/* Who writes each root, what is kept without a budget, and what may be dropped. */
static void begin(fitting *f) {
    tlvk__plan *plan = f->plan;
    for (int i = 0; i < plan->tensor_count; i++) {
        plan->tensors[i].first_writer = plan->step_count;
        plan->tensors[i].last_writer = NO_STEP;
        plan->tensors[i].kept = plan->tensors[i].root == i && plan->tensors[i].producer == NO_STEP;
    }
    for (int i = 0; i < plan->step_count; i++) {
        plan_step *s = &plan->steps[i];
        plan_tensor *y = &plan->tensors[plan->tensors[s->output].root];
        if (!s->view) {
            y->first_writer = TLVK__MIN(y->first_writer, i);
            y->last_writer = i;
            if (!repeatable(plan, s)) y->kept = true;
        }
    }
    for (int i = 0; i < plan->tensor_count; i++) {
        if (plan->tensors[i].root == i && tlvk__plan_read_unfinished(plan, i)) plan->tensors[i].kept = true;
    }
    for (int i = 0; i < plan->tensor_count; i++) f->movable[i] = plan->tensors[i].root == i && !plan->tensors[i].kept;
    for (int i = 0; i < plan->step_count; i++) {
        plan_step *s = &plan->steps[i];
        unsigned reads = tlvk__plan_backward_reads(s);
        for (int k = 0; (reads & TLVK__READS_X) && k < s->input_count; k++) plan->tensors[plan->tensors[s->inputs[k]].root].kept = true;
        if (reads & TLVK__READS_Y) plan->tensors[plan->tensors[s->output].root].kept = true;
    }
}

static void remember(fitting *f) {
    for (int i = 0; i < f->plan->tensor_count; i++) f->best[i] = f->plan->tensors[i].kept;
}

static void restore(fitting *f) {
    for (int i = 0; i < f->plan->tensor_count; i++) f->plan->tensors[i].kept = f->best[i];
}

/* The candidates for a change of `kept` from `from`, ordered by score, the highest first; ties by number. */
static void sort_candidates(fitting *f) {
    for (int i = 1; i < f->candidates; i++) {
        int number = f->order[i], k = i;
        for (; k > 0 && f->score[f->order[k - 1]] < f->score[number]; k--) f->order[k] = f->order[k - 1];
        f->order[k] = number;
    }
}

/* One round of dropping: every tensor that is kept is tried alone, then they are taken in the order of what they gave. */
static tlvk_status drop_round(fitting *f, bool *changed) {
    tlvk_status st = look(f);
    double over = f->over, work = f->work;
    *changed = false;
    f->candidates = 0;
    for (int i = 0; !st && i < f->plan->tensor_count; i++) {
        if (!f->movable[i] || !f->plan->tensors[i].kept) continue;
        f->plan->tensors[i].kept = false;
        st = look(f);
        f->plan->tensors[i].kept = true;
        f->score[i] = (over - f->over) / (1 + TLVK__MAX(f->work - work, 0));
        if (over > f->over) f->order[f->candidates++] = i;
    }
    sort_candidates(f);
    for (int i = 0; !st && i < f->candidates && over > 0; i++) {
        plan_tensor *t = &f->plan->tensors[f->order[i]];
        t->kept = false;
        st = look(f);
        if (f->over < over) {
            over = f->over;
            *changed = true;
        } else {
            t->kept = true;
        }
    }
    return st ? st : look(f);
}

static tlvk_status drop(fitting *f) {
    bool changed = true;
    tlvk_status st = look(f);
    for (int i = 0; !st && changed && f->over > 0 && i < MOST_ROUNDS; i++) st = drop_round(f, &changed);
    return st;
}

/* Of `segments` equal shares of the activations, what crosses from one to the next. */
static void keep_crossing(fitting *f, int segments) {
    tlvk__plan *plan = f->plan;
    double all = 0, at = 0;
    for (int i = 0; i < plan->tensor_count; i++) {
        if (f->movable[i]) all += (double)(plan->tensors[i].t.n * tlvk__sample_floats(&plan->tensors[i].t));
        if (f->movable[i]) plan->tensors[i].kept = false;
    }
    for (int i = 0, cut = 1; i < plan->step_count; i++) {
        const plan_tensor *y = &plan->tensors[plan->steps[i].output];
        if (f->movable[plan->steps[i].output]) at += (double)(y->t.n * tlvk__sample_floats(&y->t));
        if (cut >= segments || at < all * cut / segments) continue;
        cut++;
        for (int k = i + 1; k < plan->step_count; k++) {
            const plan_step *s = &plan->steps[k];
            for (int m = 0; m < s->input_count + s->residual_count; m++) {
                plan_tensor *x = &plan->tensors[plan->tensors[m < s->input_count ? s->inputs[m] : s->residual].root];
                if (x->first_writer <= i) x->kept = true;
            }
        }
    }
}

/* The number of segments that fits with the least work, or comes nearest; dropping goes on from there. */
static tlvk_status cut_into_segments(fitting *f) {
    double over = f->over, work = f->work;
    remember(f);
    int most = TLVK__MIN(MOST_SEGMENTS, f->plan->step_count);
    for (int segments = 1; segments <= most; segments++) {
        keep_crossing(f, segments);
        tlvk_status st = look(f);
        if (st) return st;
        if (f->over > over || (f->over >= over && f->work >= work)) continue;
        over = f->over;
        work = f->work;
        remember(f);
    }
    restore(f);
    return drop(f);
}

/* Keeps again what need not be dropped, the dearest first. */
static tlvk_status keep_needless(fitting *f) {
    tlvk__plan *plan = f->plan;
    tlvk_status st = look(f);
    uint64_t most = TLVK__MAX(f->target, f->peak);
    double work = f->work;
    f->candidates = 0;
    for (int i = 0; !st && i < plan->tensor_count; i++) {
        if (!f->movable[i] || plan->tensors[i].kept || plan->tensors[i].again_last < plan->tensors[i].again_first) continue;
        plan->tensors[i].kept = true;
        st = look(f);
        plan->tensors[i].kept = false;
        f->score[i] = work - f->work;
        if (f->peak <= most) f->order[f->candidates++] = i;
        if (!st) st = look(f);
    }
    sort_candidates(f);
    for (int i = 0; !st && i < f->candidates; i++) {
        plan_tensor *t = &plan->tensors[f->order[i]];
        t->kept = true;
        st = look(f);
        if (f->peak > most || f->work > work) t->kept = false;
        else work = f->work;
    }
    return st ? st : look(f);
}

static tlvk_status choose(fitting *f) {
    tlvk_status st = drop(f);
    if (!st && f->over > 0) st = cut_into_segments(f);
    return st ? st : keep_needless(f);
}

/* One try for a target; the arena's bytes, and the choice in `best` where they are fewer than *smallest. */
static tlvk_status try_target(fitting *f, uint64_t target, uint64_t *smallest, uint64_t *arena) {
    for (int i = 0; i < f->plan->tensor_count; i++) f->plan->tensors[i].kept = f->all[i];
    f->target = target;
    tlvk_status st = choose(f);
    if (!st) st = tlvk__plan_place(f->plan);
    *arena = tlvk__plan_arena_bytes(f->plan);
    if (st || *arena >= *smallest) return st;
    *smallest = *arena;
    for (int i = 0; i < f->plan->tensor_count; i++) f->placed[i] = f->plan->tensors[i].kept;
    return TLVK_OK;
}

/* Live bytes are what any placement needs; where gaps make the arena larger, the target is lowered by them. A target that is out of reach misleads the
 * search, so the smallest arena is looked for between it and what is kept without one. */
static tlvk_status choose_and_place(fitting *f) {
    uint64_t budget = f->plan->desc.budget_bytes, smallest = tlvk__plan_arena_bytes(f->plan), target = budget, arena;
    for (int i = 0; i < f->plan->tensor_count; i++) f->all[i] = f->placed[i] = f->plan->tensors[i].kept;
    tlvk_status st = TLVK_OK;
    bool reached = true;
    for (int round = 0; !st && reached && smallest > budget && round < MOST_ROUNDS; round++) {
        st = try_target(f, target, &smallest, &arena);
        reached = f->over <= 0 && arena - budget < target;
        if (reached && arena > budget) target -= arena - budget;
    }
    for (uint64_t low = budget, round = 0; !st && f->plan->desc.smallest && smallest > budget && round < MOST_ROUNDS; round++) {
        target = low + (smallest - low) / 2;
        st = try_target(f, target, &smallest, &arena);
        if (f->over > 0) low = target;
    }
    for (int i = 0; i < f->plan->tensor_count; i++) f->plan->tensors[i].kept = f->placed[i];
    if (!st) st = look(f);
    return st ? st : tlvk__plan_place(f->plan);
}

tlvk_status tlvk__plan_fit(tlvk__plan *plan) {
    size_t tensors = (size_t)plan->tensor_count + 1, steps = (size_t)plan->step_count;
    fitting f = { .plan = plan, .target = UINT64_MAX, .positions = 4 * steps + 6 };
    plan->later = tlvk__calloc(2 * steps + 1, sizeof *plan->later);
    f.movable = tlvk__calloc(tensors, sizeof *f.movable);
    f.best = tlvk__calloc(tensors, sizeof *f.best);
    f.all = tlvk__calloc(tensors, sizeof *f.all);
    f.placed = tlvk__calloc(tensors, sizeof *f.placed);
    f.change = tlvk__calloc(f.positions, sizeof *f.change);
    f.score = tlvk__calloc(tensors, sizeof *f.score);
    f.order = tlvk__calloc(tensors, sizeof *f.order);
    bool ok = plan->later && f.movable && f.best && f.all && f.placed && f.change && f.score && f.order;
    tlvk_status st = ok ? tlvk__plan_needs(plan) : tlvk__fail(TLVK_ERROR_MEMORY, "plan: no memory");
    if (ok) begin(&f);
    if (!st) st = look(&f);
    if (!st) st = tlvk__plan_place(plan);
    bool bounded = (plan->desc.budget_bytes > 0 || plan->desc.smallest) && plan->desc.mode == TLVK__PLAN_TRAIN;
    if (!st && bounded && tlvk__plan_arena_bytes(plan) > plan->desc.budget_bytes) st = choose_and_place(&f);
    free(f.movable);
    free(f.best);
    free(f.all);
    free(f.placed);
    free(f.change);
    free(f.score);
    free(f.order);
    return st;
}
