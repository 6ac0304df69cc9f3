/* test_plan_memory.c - how near the plans of published networks come to the least memory that any placing of the same tensors needs: the largest sum of
 * bytes alive at one time. On a dry device, so that no memory is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "plan/program.h"

enum { BATCH = 32 };

static bool every_variable(const tlvk__variable *v, void *user) {
    (void)user;
    return v->spec.trainable;
}

/* No moment needs more than the first of what begins there: sums change at beginnings alone. */
static uint64_t least_bytes(const tlvk__plan *p) {
    uint64_t least = 0;
    for (size_t i = 0; i < p->item_count; i++) {
        uint64_t alive = 0;
        for (size_t k = 0; k < p->item_count; k++) {
            if (p->items[k].first <= p->items[i].first && p->items[i].first <= p->items[k].last) alive += p->items[k].bytes;
        }
        least = TLVK__MAX(least, alive);
    }
    return least;
}

static double share_of_least(const tlvk__flat *flat, const tlvk__caps *caps, tlvk__plan_mode mode, const char *net) {
    tlvk__shape input = { .rank = 4, .dim = { BATCH, 224, 224, 3 } };
    tlvk__plan_desc d = { .flat = flat, .caps = caps, .inputs = &input, .mode = mode, .trained = mode == TLVK__PLAN_TRAIN ? every_variable : NULL,
                          .objectives = { { .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, .weight = 1 } }, .update = true };
    tlvk__plan *plan;
    if (tlvk__plan_create(&d, &plan)) fail_msg("%s: %s", net, tlvk__fail_text());
    uint64_t bytes = 0, least = least_bytes(plan);
    for (int i = 0; tlvk__plan_block_bytes(plan, i); i++) bytes += tlvk__plan_block_bytes(plan, i);
    tlvk__plan_destroy(plan);
    print_message("%-12s %-8s %8.1f MiB, least %8.1f MiB, %.3f of it\n", net, mode == TLVK__PLAN_TRAIN ? "step" : "forward", (double)bytes / 0x1p20, (double)least / 0x1p20,
                  (double)bytes / (double)least);
    assert_true(bytes >= least);
    return (double)bytes / (double)least;
}

static void test_plans_are_near_the_least(void **state) {
    (void)state;
    static const char *const nets[] = { "vgg16", "resnet50", "inceptionv3", "xception", "mobilenet", "densenet121", "mobilenetv2" };
    for (size_t i = 0; i < TLVK__COUNT(nets); i++) {
        tlvk_context *ctx;
        tlvk_model *base, *model;
        tlvk__flat flat;
        tlvk__device *device;
        assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = "" }, &ctx), TLVK_OK);
        assert_int_equal(tlvk_net(ctx, nets[i], &(tlvk_net_desc){ .no_top = true, .input_shape = { 224, 224, 3 }, .pooling = TLVK_POOLING_AVG }, &base), TLVK_OK);
        tlvk_tensor y = tlvk_dense(tlvk_model_output(base, 0), &(tlvk_dense_desc){ .units = 10, .activation = TLVK_SOFTMAX });
        assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { tlvk_model_input(base, 0) }, .outputs = { y } }, &model), TLVK_OK);
        assert_int_equal(tlvk__model_flatten(model, &flat), TLVK_OK);
        assert_int_equal(tlvk__device_dry(NULL, &device), TLVK_OK);
        assert_true(share_of_least(&flat, tlvk__device_caps(device), TLVK__PLAN_TRAIN, nets[i]) <= 1.1);
        assert_true(share_of_least(&flat, tlvk__device_caps(device), TLVK__PLAN_PREDICT, nets[i]) <= 1.1);
        tlvk__device_destroy(device);
        tlvk__flat_free(&flat);
        tlvk_model_destroy(model);
        tlvk_model_destroy(base);
        tlvk_context_destroy(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_plans_are_near_the_least) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
