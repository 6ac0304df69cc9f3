/* test_storage.c - which activations a plan of mixed precision keeps in fp16, and what that saves, without a device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "plan/program.h"

#define BATCH 8
#define SIDE 96

typedef struct rig { tlvk_context *ctx; tlvk_model *base, *model; tlvk__flat flat; tlvk__caps caps; const char *trained; } rig;

/* Variables of the layers whose path begins with rig.trained. */
static bool trained(const tlvk__variable *v, void *user) {
    const rig *r = user;
    for (int i = 0; i < r->flat.call_count; i++) {
        const tlvk__flat_call *c = &r->flat.calls[i];
        for (int k = 0; k < c->variable_count; k++) {
            if (c->variables[k] == v) return strstr(c->path, r->trained) != NULL;
        }
    }
    return false;
}

static void open_rig(rig *r, const char *net) {
    *r = (rig){ .trained = "" };
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = "" }, &r->ctx), TLVK_OK);
    assert_int_equal(tlvk_net(r->ctx, net, &(tlvk_net_desc){ .no_top = true, .input_shape = { SIDE, SIDE, 3 }, .pooling = TLVK_POOLING_AVG }, &r->base), TLVK_OK);
    tlvk_tensor y = tlvk_dense(tlvk_model_output(r->base, 0), &(tlvk_dense_desc){ .units = 10, .activation = TLVK_SOFTMAX });
    assert_int_equal(tlvk_model_create(r->ctx, &(tlvk_model_desc){ .inputs = { tlvk_model_input(r->base, 0) }, .outputs = { y } }, &r->model), TLVK_OK);
    assert_int_equal(tlvk__model_flatten(r->model, &r->flat), TLVK_OK);
    tlvk__caps_fixed(&r->caps);
    r->caps.max_texels = UINT64_C(1) << 27;
}

static void close_rig(rig *r) {
    tlvk__flat_free(&r->flat);
    tlvk_model_destroy(r->model);
    tlvk_model_destroy(r->base);
    tlvk_context_destroy(r->ctx);
}

static tlvk__plan *plan_of(rig *r, tlvk__plan_mode mode, bool mixed) {
    tlvk__shape input = { .rank = 4, .dim = { BATCH, SIDE, SIDE, 3 } };
    tlvk__plan_desc d = { .flat = &r->flat, .caps = &r->caps, .inputs = &input, .mode = mode, .trained = trained, .user = r, .mixed = mixed, .update = true,
                          .objectives = { { .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, .weight = 1 } } };
    tlvk__plan *plan = NULL;
    if (tlvk__plan_create(&d, &plan)) fail_msg("%s", tlvk__fail_text());
    return plan;
}

/* Nothing in fp16 but what its maker stores and every reader reads so; no gradient, input or output. */
static void assert_sound(const tlvk__plan *plan) {
    for (int i = 0; i < plan->input_count; i++) assert_false(plan->tensors[plan->inputs[i]].t.half);
    for (int i = 0; i < plan->output_count; i++) assert_false(plan->tensors[plan->outputs[i]].t.half);
    for (int i = 0; i < plan->tensor_count; i++) {
        assert_false(plan->tensors[i].grad.half);
        assert_true(plan->tensors[i].t.half == plan->tensors[plan->tensors[i].root].t.half);
    }
    for (int i = 0; i < plan->step_count; i++) {
        const plan_step *s = &plan->steps[i];
        tlvk__op_call call;
        tlvk__plan_call(plan, s, PLAN_FORWARD, &call);
        unsigned can = s->op->halves ? s->op->halves(&plan->caps, &call) : 0;
        if (s->view) continue;
        assert_true(!call.y->half || (can & TLVK__HALF_Y));
        for (int k = 0; k < s->input_count; k++) assert_true(!call.x[k]->half || (can & TLVK__HALF_X));
        if (s->residual_count) assert_true(!call.epilogue.residual->half || (can & TLVK__HALF_X));
    }
}

static double share(const char *net, tlvk__plan_mode mode, int *activations, int *halves) {
    rig r;
    open_rig(&r, net);
    tlvk__plan *full = plan_of(&r, mode, false), *mixed = plan_of(&r, mode, true);
    int none, of;
    tlvk__plan_halves(full, &of, &none);
    tlvk__plan_halves(mixed, activations, halves);
    assert_int_equal(none, 0);
    assert_int_equal(of, *activations);
    assert_sound(full);
    assert_sound(mixed);
    double s = (double)tlvk__plan_arena_bytes(mixed) / (double)tlvk__plan_arena_bytes(full);
    print_message("%s, %s: %.1f MiB, %.1f in fp32, %.0f %%; %d of %d activations in fp16\n", net, mode == TLVK__PLAN_TRAIN ? "step" : "forward",
                  (double)tlvk__plan_arena_bytes(mixed) / 1048576, (double)tlvk__plan_arena_bytes(full) / 1048576, 100 * s, *halves, *activations);
    tlvk__plan_destroy(full);
    tlvk__plan_destroy(mixed);
    close_rig(&r);
    return s;
}

/* Of a forward pass two neighbours lie in memory at a time, and Winograd's planes, which stay fp32; of a step all activations, and of gradients, which
 * stay fp32 too, a few. */
static void test_memory(void **state) {
    (void)state;
    static const struct { const char *net; double forward, step; } rows[] = {
        { "mobilenet", 0.51, 0.55 }, { "mobilenetv2", 0.51, 0.55 }, { "xception", 0.51, 0.55 }, { "resnet50", 0.85, 0.6 }, { "inceptionv3", 0.9, 0.66 }, { "densenet121", 0.75, 0.55 }
    };
    for (size_t i = 0; i < TLVK__COUNT(rows); i++) {
        int activations, halves;
        double forward = share(rows[i].net, TLVK__PLAN_PREDICT, &activations, &halves);
        assert_true(forward < rows[i].forward && 10 * halves > 8 * activations);
        double step = share(rows[i].net, TLVK__PLAN_TRAIN, &activations, &halves);
        assert_true(step < rows[i].step && 10 * halves > 8 * activations);
    }
}

/* Without texel buffers of a binding's size kernels read storage buffers, and all stays fp32. */
static void test_storage_buffers(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "mobilenet");
    r.caps.max_texels = 65536;
    tlvk__plan *plan = plan_of(&r, TLVK__PLAN_TRAIN, true), *full = plan_of(&r, TLVK__PLAN_TRAIN, false);
    int activations, halves;
    tlvk__plan_halves(plan, &activations, &halves);
    assert_int_equal(halves, 0);
    assert_int_equal(tlvk__plan_arena_bytes(plan), tlvk__plan_arena_bytes(full));
    tlvk__plan_destroy(plan);
    tlvk__plan_destroy(full);
    close_rig(&r);
}

/* Where training starts, features are kept in fp32, and so they are made without keeping them. */
static void test_frozen_part(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "mobilenet");
    r.trained = "conv_pw_13";
    assert_int_equal(tlvk_model_set_trainable(r.model, "*", false), TLVK_OK);
    assert_int_equal(tlvk_model_set_trainable(r.model, "conv_pw_13", true), TLVK_OK);
    tlvk__flat_free(&r.flat);
    assert_int_equal(tlvk__model_flatten(r.model, &r.flat), TLVK_OK);
    for (int mode = TLVK__PLAN_EVALUATE; mode <= TLVK__PLAN_TRAIN; mode++) {
        tlvk__plan *plan = plan_of(&r, (tlvk__plan_mode)mode, true);
        int first = 0, before = 0;
        while (first < plan->step_count && !strstr(plan->steps[first].path, "conv_pw_13")) before += plan->tensors[plan->steps[first++].output].t.half;
        assert_true(first < plan->step_count && before > 10);
        assert_false(plan->tensors[plan->steps[first].inputs[0]].t.half);
        assert_true(plan->tensors[plan->steps[first].output].t.half);
        tlvk__plan_destroy(plan);
    }
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_memory), cmocka_unit_test(test_storage_buffers), cmocka_unit_test(test_frozen_part) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
