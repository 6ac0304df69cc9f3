/* Recomputation: what the planner drops and makes again so that a training step fits a budget, on whole networks and without a device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "plan/program.h"

#define BATCH 32
#define SIDE 96
#define STEPS 4

typedef struct rig { tlvk_context *ctx; tlvk_model *base, *model; tlvk__flat flat; tlvk__caps caps; } rig;

static bool all(const tlvk__variable *v, void *user) {
    (void)user;
    return v != NULL;
}

static void open_rig(rig *r, const char *net) {
    memset(r, 0, sizeof *r);
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = "" }, &r->ctx), TLVK_OK);
    assert_int_equal(tlvk_net(r->ctx, net, &(tlvk_net_desc){ .no_top = true, .input_shape = { SIDE, SIDE, 3 }, .pooling = TLVK_POOLING_AVG }, &r->base), TLVK_OK);
    tlvk_tensor y = tlvk_dense(tlvk_model_output(r->base, 0), &(tlvk_dense_desc){ .units = 10, .activation = TLVK_SOFTMAX });
    assert_int_equal(tlvk_model_create(r->ctx, &(tlvk_model_desc){ .inputs = { tlvk_model_input(r->base, 0) }, .outputs = { y } }, &r->model), TLVK_OK);
    assert_int_equal(tlvk__model_flatten(r->model, &r->flat), TLVK_OK);
    tlvk__caps_fixed(&r->caps);
}

static void close_rig(rig *r) {
    tlvk__flat_free(&r->flat);
    tlvk_model_destroy(r->model);
    tlvk_model_destroy(r->base);
    tlvk_context_destroy(r->ctx);
}

static tlvk__plan *plan_within(const rig *r, uint64_t budget, bool smallest) {
    tlvk__shape input = { .rank = 4, .dim = { BATCH, SIDE, SIDE, 3 } };
    tlvk__plan_desc d = { .flat = &r->flat, .caps = &r->caps, .inputs = &input, .mode = TLVK__PLAN_TRAIN, .trained = all, .update = true, .budget_bytes = budget, .smallest = smallest,
                          .objectives = { { .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, .weight = 1 } } };
    tlvk__plan *plan = NULL;
    if (tlvk__plan_create(&d, &plan)) fail_msg("%s", tlvk__fail_text());
    return plan;
}

/* Nothing that is alive at the same time lies on the same bytes, and each item lies within its block. */
static void assert_apart(const tlvk__plan *plan) {
    for (size_t i = 0; i < plan->item_count; i++) {
        const plan_memory_item *a = &plan->items[i];
        assert_true(a->offset + a->bytes <= plan->block_bytes[a->block]);
        for (size_t k = 0; k < i; k++) {
            const plan_memory_item *b = &plan->items[k];
            bool together = a->first <= b->last && b->first <= a->last && a->block == b->block;
            assert_false(together && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes);
        }
    }
}

/* Where a tensor lies behind the losses, and whether it was written by then and lives at `at`. */
static void assert_there(const tlvk__plan *plan, int index, int at) {
    const plan_tensor *root = &plan->tensors[plan->tensors[index].root];
    const plan_storage *where = root->again_storage.item_count ? &root->again_storage : &root->storage;
    assert_true(where->item_count > 0);
    for (int i = 0; i < where->item_count; i++) {
        const plan_memory_item *item = &plan->items[where->first_item + i];
        assert_true(item->first <= at && at <= item->last);
    }
    for (int i = 0; where == &root->again_storage && i < plan->step_count; i++) {
        const plan_step *s = &plan->steps[i];
        if (plan_runs(s) && &plan->tensors[plan->tensors[s->output].root] == root) assert_true(s->again_at != NO_STEP && s->again_at <= at);
    }
}

/* Whatever a backward or a second forward reads is there, no step runs more than twice, and none is said to run again that has nothing to do. */
static void assert_complete(const tlvk__plan *plan) {
    int again = 0, backward = 0;
    for (int i = 0; i < plan->later_count; i++) {
        const plan_step *s = &plan->steps[plan->later[i].step];
        unsigned reads = plan->later[i].again ? TLVK__READS_X : tlvk__plan_backward_reads(s);
        int at = plan->later[i].again ? s->again_at : s->back_at;
        for (int k = 0; (reads & TLVK__READS_X) && k < s->input_count; k++) assert_there(plan, s->inputs[k], at);
        if (reads & TLVK__READS_Y) assert_there(plan, s->output, s->epilogue_at);
        assert_true(!plan->later[i].again || plan_runs(s));
        if (plan->later[i].again && s->residual_count) assert_there(plan, s->residual, at);
        again += plan->later[i].again;
        backward += !plan->later[i].again;
    }
    for (int i = 0; i < plan->step_count; i++) {
        again -= plan->steps[i].again_at != NO_STEP;
        backward -= plan->steps[i].backward;
    }
    assert_int_equal(again, 0);
    assert_int_equal(backward, 0);
}

/* Budgets from all that is kept down to a little above the smallest arena, which must be less than `most_share` of the whole. */
static void fit_into(const char *net, double most_share) {
    rig r;
    open_rig(&r, net);
    tlvk__plan *whole = plan_within(&r, 0, false);
    uint64_t all_bytes = tlvk__plan_arena_bytes(whole);
    double flops = tlvk__plan_flops(whole);
    assert_int_equal(tlvk__plan_recomputed(whole), 0);
    assert_apart(whole);
    assert_complete(whole);
    tlvk__plan_destroy(whole);
    tlvk__plan *smallest = plan_within(&r, 0, true);
    double least_share = 1.15 * (double)tlvk__plan_arena_bytes(smallest) / (double)all_bytes, work = flops;
    tlvk__plan_destroy(smallest);
    assert_true(least_share < most_share);
    for (int i = 0; i <= STEPS; i++) {
        uint64_t budget = (uint64_t)((1 - (1 - least_share) * i / STEPS) * (double)all_bytes);
        tlvk__plan *plan = plan_within(&r, budget, false);
        assert_apart(plan);
        assert_complete(plan);
        if (tlvk__plan_arena_bytes(plan) > budget) fail_msg("%s: %llu bytes within %llu", net, (unsigned long long)tlvk__plan_arena_bytes(plan), (unsigned long long)budget);
        assert_true((tlvk__plan_recomputed(plan) > 0) == (i > 0));
        /* A step costs a forward and twice as much for its gradients, so doing every forward again would be a third more. */
        assert_true(tlvk__plan_flops(plan) < 1.34 * flops);
        work = tlvk__plan_flops(plan);
        tlvk__plan_destroy(plan);
    }
    print_message("%s: %.1f MiB, within %.0f %% of it for %.1f %% more work\n", net, (double)all_bytes / 1048576, 100 * least_share, 100 * (work / flops - 1));
    close_rig(&r);
}

static void test_networks_fit(void **state) {
    (void)state;
    fit_into("vgg16", 0.85);
    fit_into("resnet50", 0.5);
    fit_into("mobilenet", 0.5);
    fit_into("densenet121", 0.4);
    fit_into("inceptionv3", 0.8);
}

/* The smallest plan is whole too; a budget below it is missed, not kept at the cost of something. */
static void test_smallest(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "resnet50");
    tlvk__plan *whole = plan_within(&r, 0, false), *plan = plan_within(&r, 0, true);
    assert_true(2 * tlvk__plan_arena_bytes(plan) < tlvk__plan_arena_bytes(whole));
    assert_apart(plan);
    assert_complete(plan);
    tlvk__plan *missed = plan_within(&r, 1 << 20, false);
    assert_true(tlvk__plan_arena_bytes(missed) >= tlvk__plan_arena_bytes(plan));
    assert_complete(missed);
    tlvk__plan_destroy(missed);
    tlvk__plan_destroy(plan);
    tlvk__plan_destroy(whole);
    close_rig(&r);
}

/* Parts of Concatenates that lie in place, none made from another: the whole is made again by what makes the parts, and its Concatenates have nothing to do. */
static void test_concatenates_in_place(void **state) {
    (void)state;
    rig r = { .base = NULL };
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = "" }, &r.ctx), TLVK_OK);
    const tlvk_conv2d_desc narrow = { .filters = 8, .kernel_size = { 3 }, .padding = TLVK_SAME, .activation = TLVK_RELU };
    tlvk_tensor in = tlvk_input(r.ctx, &(tlvk_input_desc){ .shape = { SIDE, SIDE, 3 } }), x = in;
    for (int i = 0; i < 6; i++) {
        tlvk_tensor both = tlvk_concatenate((tlvk_tensor[]){ tlvk_conv2d(x, &narrow), tlvk_conv2d(x, &narrow) }, 2, NULL);
        x = tlvk_conv2d(tlvk_concatenate((tlvk_tensor[]){ both, tlvk_conv2d(x, &narrow) }, 2, NULL), &narrow);
    }
    tlvk_tensor y = tlvk_dense(tlvk_global_average_pooling2d(x, NULL), &(tlvk_dense_desc){ .units = 10, .activation = TLVK_SOFTMAX });
    assert_int_equal(tlvk_model_create(r.ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { y } }, &r.model), TLVK_OK);
    assert_int_equal(tlvk__model_flatten(r.model, &r.flat), TLVK_OK);
    tlvk__caps_fixed(&r.caps);
    tlvk__plan *plan = plan_within(&r, 0, true);
    int idle = 0;
    for (int i = 0; i < plan->step_count; i++) {
        const plan_step *s = &plan->steps[i];
        idle += !s->view && !plan_runs(s) && plan->tensors[plan->tensors[s->output].root].again_storage.item_count > 0;
    }
    assert_true(idle > 0);
    assert_apart(plan);
    assert_complete(plan);
    tlvk__plan_destroy(plan);
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_networks_fit), cmocka_unit_test(test_smallest),
                                        cmocka_unit_test(test_concatenates_in_place) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
