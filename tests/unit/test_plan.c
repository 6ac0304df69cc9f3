/* test_plan.c - what a plan records, without a device: golden lists of dispatches on a fixed device, freezing as omission, memory in time, and
 * the split at the frozen prefix. TLVK_UPDATE_GOLDEN=1 writes the lists anew; look at the difference before committing it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/platform.h"
#include "plan/program.h"

#define BATCH 4

typedef struct rig {
    tlvk_context *ctx;
    tlvk_model *model;
    tlvk__flat flat;
    tlvk__device *device;
    tlvk__plan *plan;
    tlvk__buffer *blocks[16]; int block_count;
    tlvk__buffer *store;          /* every variable, gradient, prepared weight and host buffer lies somewhere in it */
    uint64_t used;
    struct { const tlvk__variable *v; tlvk__tensor w, dw; tlvk__span ws, dws; } variables[64]; int variable_count;
    tlvk__chunk chunk; tlvk_optimizer optimizer; tlvk__update_call update;
} rig;

static tlvk__span take(rig *r, uint64_t bytes) {
    tlvk__span s = { .buffer = r->store, .offset = r->used, .bytes = bytes };
    r->used += tlvk__round_up(bytes, 4096);
    return s;
}

static bool trained(const tlvk__variable *v, void *user) {
    const rig *r = user;
    for (int i = 0; i < r->flat.call_count; i++) {
        const tlvk__flat_call *c = &r->flat.calls[i];
        bool state = (c->op->flags & TLVK__OP_STATE) && c->layer_trainable && c->mode != TLVK_CALL_INFERENCE;
        for (int k = 0; k < c->variable_count; k++) {
            if (c->variables[k] == v && (c->trainable[k] || state)) return true;
        }
    }
    return false;
}

static tlvk_status variable(void *user, const tlvk__variable *v, const tlvk__tensor **w, const tlvk__tensor **dw) {
    rig *r = user;
    for (int i = 0; i < r->variable_count; i++) {
        if (r->variables[i].v != v) continue;
        *w = &r->variables[i].w;
        *dw = &r->variables[i].dw;
        return TLVK_OK;
    }
    int i = r->variable_count++;
    assert_true(i < 64);
    r->variables[i].v = v;
    tlvk__tensor *t = &r->variables[i].w;
    assert_int_equal(tlvk__variable_layout(&v->spec.shape, v->spec.layout, t), TLVK_OK);
    uint64_t bytes = (uint64_t)(t->n * t->pitch) * sizeof(float);
    r->variables[i].ws = take(r, bytes);
    r->variables[i].dws = take(r, bytes);
    t->segment_n = t->n;
    t->segment_count = 1;
    t->segments = &r->variables[i].ws;
    r->variables[i].dw = *t;
    r->variables[i].dw.segments = &r->variables[i].dws;
    *w = t;
    *dw = &r->variables[i].dw;
    return TLVK_OK;
}

static tlvk__span prepared(void *user, uint64_t key) {
    rig *r = user;
    tlvk__prepared p;
    for (int i = 0; tlvk__plan_prepared(r->plan, i, &p); i++) {
        if (p.key == key) return take(r, p.bytes);
    }
    fail_msg("a prepared key that the plan does not list");
    return (tlvk__span){ 0 };
}

/* conv - norm - relu - depthwise - norm - relu6 - add back - pool - flatten - dropout - dense */
static tlvk_model *small_net(tlvk_context *ctx) {
    tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { 8, 8, 3 }, .name = "in" });
    tlvk_tensor x = tlvk_conv2d(in, &(tlvk_conv2d_desc){ .filters = 8, .kernel_size = { 3 }, .padding = TLVK_SAME, .no_bias = true, .name = "conv" });
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){ .name = "norm" });
    tlvk_tensor short_cut = x = tlvk_relu(x, &(tlvk_relu_desc){ .name = "relu" });
    x = tlvk_depthwise_conv2d(x, &(tlvk_depthwise_conv2d_desc){ .kernel_size = { 3 }, .padding = TLVK_SAME, .no_bias = true, .name = "depthwise" });
    x = tlvk_batch_normalization(x, &(tlvk_batch_normalization_desc){ .name = "depthwise_norm" });
    x = tlvk_relu(x, &(tlvk_relu_desc){ .max_value = 6, .name = "relu6" });
    x = tlvk_add((tlvk_tensor[]){ short_cut, x }, 2, "add");
    x = tlvk_max_pooling2d(x, &(tlvk_pooling2d_desc){ .name = "pool" });
    x = tlvk_flatten(x, "flatten");
    x = tlvk_dropout(x, 0.5f, "dropout");
    x = tlvk_dense(x, &(tlvk_dense_desc){ .units = 5, .activation = TLVK_SOFTMAX, .name = "dense" });
    tlvk_model *model = NULL;
    assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x }, .name = "small" }, &model), TLVK_OK);
    return model;
}

static void open_rig(rig *r, const char *freeze, const char *unfreeze) {
    memset(r, 0, sizeof *r);
    assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = "" }, &r->ctx), TLVK_OK);
    r->model = small_net(r->ctx);
    if (freeze) assert_int_equal(tlvk_model_set_trainable(r->model, freeze, false), TLVK_OK);
    if (unfreeze) assert_int_equal(tlvk_model_set_trainable(r->model, unfreeze, true), TLVK_OK);
    assert_int_equal(tlvk__model_flatten(r->model, &r->flat), TLVK_OK);
    assert_int_equal(tlvk__device_dry(NULL, &r->device), TLVK_OK);
    assert_int_equal(tlvk__buffer_create(r->device, TLVK__BUFFER_DEVICE, 1 << 24, "store", &r->store), TLVK_OK);
}

static void make_plan(rig *r, const tlvk__flat *flat, tlvk__plan_mode mode) {
    tlvk__shape input = { .rank = 4, .dim = { BATCH, 8, 8, 3 } };
    tlvk__plan_desc d = { .flat = flat, .caps = tlvk__device_caps(r->device), .inputs = &input, .mode = mode, .trained = trained, .user = r,
                          .objectives = { { .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, .metric = TLVK_SPARSE_CATEGORICAL_ACCURACY, .weight = 1 } }, .update = true };
    assert_int_equal(tlvk__plan_create(&d, &r->plan), TLVK_OK);
    for (r->block_count = 0; tlvk__plan_block_bytes(r->plan, r->block_count); r->block_count++) {
        assert_int_equal(tlvk__buffer_create(r->device, TLVK__BUFFER_DEVICE, tlvk__plan_block_bytes(r->plan, r->block_count), "block", &r->blocks[r->block_count]), TLVK_OK);
    }
    tlvk__plan_memory m = { .blocks = r->blocks, .block_count = r->block_count, .variable = variable, .prepared = prepared, .user = r };
    assert_int_equal(tlvk__plan_bind(r->plan, &m), TLVK_OK);
}

static void close_plan(rig *r) {
    tlvk__plan_destroy(r->plan);
    r->plan = NULL;
    for (int i = 0; i < r->block_count; i++) tlvk__buffer_destroy(r->blocks[i]);
    r->block_count = 0;
}

static void close_rig(rig *r) {
    close_plan(r);
    tlvk__buffer_destroy(r->store);
    tlvk__flat_free(&r->flat);
    tlvk_model_destroy(r->model);
    tlvk__device_destroy(r->device);
    tlvk_context_destroy(r->ctx);
}

/* --- listings -------------------------------------------------------------------------------------------------------------------------------- */

static bool nothing_done(void *user, uint64_t key) {
    (void)user;
    (void)key;
    return false;
}

static void append(char **text, size_t *size, const char *line) {
    size_t length = strlen(line);
    *text = realloc(*text, *size + length + 1);
    assert_non_null(*text);
    memcpy(*text + *size, line, length + 1);
    *size += length;
}

static void append_recording(char **text, size_t *size, const char *title, tlvk__recording *rec) {
    char line[512];
    snprintf(line, sizeof line, "%s\n", title);
    append(text, size, line);
    for (int i = 0; i < tlvk__recording_count(rec); i++) {
        tlvk__recorded e;
        assert_int_equal(tlvk__recording_entry(rec, i, &e), TLVK_OK);
        snprintf(line, sizeof line, "%c %s %s [%s] %llu,%llu,%llu\n", e.barrier_before ? '|' : ' ', e.operation ? e.operation : "-", e.layer ? e.layer : "-", e.shader,
                 (unsigned long long)e.groups[0], (unsigned long long)e.groups[1], (unsigned long long)e.groups[2]);
        append(text, size, line);
    }
}

static tlvk__recording *record_step(rig *r) {
    tlvk__plan_io io = { .inputs = { take(r, 1 << 16) }, .targets = { take(r, 4096) }, .sample_weight = take(r, 4096), .step_params = take(r, 4096), .metrics = take(r, 4096) };
    for (int i = 0; i < TLVK_MAX_IO; i++) io.outputs[i] = take(r, 1 << 14);
    assert_int_equal(tlvk__optimizer_resolve(&(tlvk_optimizer){ .kind = TLVK_ADAM }, &r->optimizer), TLVK_OK);
    r->chunk = (tlvk__chunk){ .w = take(r, 1 << 16), .dw = take(r, 1 << 16), .slots = { take(r, 1 << 16), take(r, 1 << 16) }, .table = take(r, 4096), .blocks = 16 };
    r->update = (tlvk__update_call){ .optimizer = &r->optimizer, .chunks = &r->chunk, .chunk_count = 1, .variable_count = 2 };
    io.update = &r->update;
    tlvk__recorder *rec;
    tlvk__recording *recording;
    assert_int_equal(tlvk__recorder_create(r->device, NULL, &rec), TLVK_OK);
    tlvk_status st = tlvk__plan_record(r->plan, rec, &io);
    if (st) fail_msg("%s", tlvk__fail_text());
    assert_int_equal(tlvk__recorder_finish(rec, &recording), TLVK_OK);
    return recording;
}

static char *listing(rig *r) {
    char *text = NULL;
    size_t size = 0;
    tlvk__recorder *rec;
    tlvk__recording *recording;
    assert_int_equal(tlvk__recorder_create(r->device, NULL, &rec), TLVK_OK);
    assert_int_equal(tlvk__plan_record_prepare(r->plan, rec, nothing_done, NULL), TLVK_OK);
    assert_int_equal(tlvk__recorder_finish(rec, &recording), TLVK_OK);
    append_recording(&text, &size, "prepare", recording);
    tlvk__recording_destroy(recording);
    recording = record_step(r);
    append_recording(&text, &size, "step", recording);
    tlvk__recording_destroy(recording);
    return text;
}

static void compare_golden(const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s.txt", TLVK_GOLDEN, name);
    if (tlvk__env("TLVK_UPDATE_GOLDEN")) {
        assert_int_equal(tlvk__file_replace(path, text, strlen(text)), TLVK_OK);
        return;
    }
    void *want;
    size_t size;
    assert_int_equal(tlvk__file_read(path, &want, &size, 1 << 20), TLVK_OK);
    if (strcmp(want, text) != 0) {
        print_error("--- recorded now, in place of %s ---\n%s", path, text);
        fail_msg("the dispatches of %s changed", name);
    }
    free(want);
}

static void golden(const char *name, const char *freeze, const char *unfreeze, tlvk__plan_mode mode) {
    rig r;
    open_rig(&r, freeze, unfreeze);
    make_plan(&r, &r.flat, mode);
    char *text = listing(&r);
    compare_golden(name, text);
    free(text);
    close_rig(&r);
}

static void test_golden_predict(void **state) {
    (void)state;
    golden("predict_frozen", "*", NULL, TLVK__PLAN_PREDICT);
}

static void test_golden_head(void **state) {
    (void)state;
    golden("train_head", "*", "dense", TLVK__PLAN_TRAIN);
}

static void test_golden_all(void **state) {
    (void)state;
    golden("train_all", NULL, NULL, TLVK__PLAN_TRAIN);
}

/* --- freezing is omission ------------------------------------------------------------------------------------------------------------------------ */

/* With only the last layer trained, no dispatch behind the loss names a layer of the base, and nothing but the head has memory for a gradient. */
static void test_frozen_base_leaves_nothing(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "*", "dense");
    make_plan(&r, &r.flat, TLVK__PLAN_TRAIN);
    tlvk__recording *rec = record_step(&r);
    bool behind_loss = false;
    int behind = 0;
    for (int i = 0; i < tlvk__recording_count(rec); i++) {
        tlvk__recorded e;
        assert_int_equal(tlvk__recording_entry(rec, i, &e), TLVK_OK);
        if (e.layer && strcmp(e.layer, "loss") == 0) behind_loss = true;
        else if (behind_loss) {
            behind++;
            bool of_head = !e.layer || strstr(e.layer, "dense") || strstr(e.layer, "optimizer") || e.layer[0] == '\0';
            if (!of_head) fail_msg("dispatch %d (%s %s) stands behind the loss of a frozen base", i, e.operation, e.layer);
        }
    }
    assert_true(behind_loss && behind > 0);
    for (int i = 0; i < r.plan->step_count; i++) {
        if (strcmp(r.plan->steps[i].path, "dense") != 0) assert_false(r.plan->steps[i].backward);
    }
    int gradients = 0;
    for (int i = 0; i < r.plan->tensor_count; i++) gradients += r.plan->tensors[i].grad_storage.item_count > 0;
    assert_int_equal(gradients, 1);
    tlvk__recording_destroy(rec);
    close_rig(&r);
}

static void test_nothing_to_train(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "*", NULL);
    tlvk__shape input = { .rank = 4, .dim = { BATCH, 8, 8, 3 } };
    tlvk__plan_desc d = { .flat = &r.flat, .caps = tlvk__device_caps(r.device), .inputs = &input, .mode = TLVK__PLAN_TRAIN, .trained = trained, .user = &r,
                          .objectives = { { .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, .weight = 1 } } };
    assert_int_equal(tlvk__plan_create(&d, &r.plan), TLVK_ERROR_ARGUMENT);
    assert_non_null(strstr(tlvk__fail_text(), "nothing to train"));
    close_rig(&r);
}

/* A layer without a gradient stands before what is trained, or in inference mode, or nothing trained stands before it; else it is refused by name. */
static void test_no_gradient_past_pictures(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        tlvk_context *ctx;
        tlvk_model *model;
        tlvk__flat flat;
        rig r = { .device = NULL };
        assert_int_equal(tlvk_context_create(&(tlvk_context_desc){ .cache_folder = "" }, &ctx), TLVK_OK);
        tlvk_tensor in = tlvk_input(ctx, &(tlvk_input_desc){ .shape = { 8, 8, 3 } });
        tlvk_tensor y = tlvk_conv2d(in, &(tlvk_conv2d_desc){ .filters = 4, .kernel_size = { 3 }, .name = "conv", .not_trainable = i == 1 });
        tlvk_tensor x = tlvk_random_rotation(y, &(tlvk_random_rotation_desc){ .factor = { 0.1f }, .name = "turn" });
        if (i == 2) x = tlvk_layer_call(x.node->layer, y, TLVK_CALL_INFERENCE);
        x = tlvk_dense(tlvk_flatten(x, NULL), &(tlvk_dense_desc){ .units = 5, .name = "dense" });
        assert_int_equal(tlvk_model_create(ctx, &(tlvk_model_desc){ .inputs = { in }, .outputs = { x } }, &model), TLVK_OK);
        assert_int_equal(tlvk__model_flatten(model, &flat), TLVK_OK);
        r.flat = flat;
        assert_int_equal(tlvk__device_dry(NULL, &r.device), TLVK_OK);
        tlvk__shape input = { .rank = 4, .dim = { BATCH, 8, 8, 3 } };
        tlvk__plan_desc d = { .flat = &flat, .caps = tlvk__device_caps(r.device), .inputs = &input, .mode = TLVK__PLAN_TRAIN, .trained = trained, .user = &r,
                              .objectives = { { .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, .weight = 1 } } };
        tlvk_status st = tlvk__plan_create(&d, &r.plan);
        assert_int_equal(st, i == 0 ? TLVK_ERROR_UNSUPPORTED : TLVK_OK);
        if (st) assert_non_null(strstr(tlvk__fail_text(), "'turn' (RandomRotation) passes no gradient"));
        tlvk__plan_destroy(r.plan);
        tlvk__device_destroy(r.device);
        tlvk__flat_free(&flat);
        tlvk_model_destroy(model);
        tlvk_context_destroy(ctx);
    }
}

/* --- memory -------------------------------------------------------------------------------------------------------------------------------------- */

static void test_nothing_alive_overlaps(void **state) {
    (void)state;
    static const char *const unfreeze[] = { NULL, "dense", "depthwise*", "*" };
    for (size_t k = 0; k < TLVK__COUNT(unfreeze); k++) {
        rig r;
        open_rig(&r, "*", unfreeze[k]);
        make_plan(&r, &r.flat, unfreeze[k] ? TLVK__PLAN_TRAIN : TLVK__PLAN_PREDICT);
        const tlvk__plan *p = r.plan;
        for (size_t i = 0; i < p->item_count; i++) {
            const plan_memory_item *a = &p->items[i];
            assert_true(a->offset % 256 == 0 && a->offset + a->bytes <= p->block_bytes[a->block]);
            for (size_t j = 0; j < i; j++) {
                const plan_memory_item *b = &p->items[j];
                bool together = a->block == b->block && a->first <= b->last && b->first <= a->last;
                if (together) assert_true(a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset);
            }
        }
        close_rig(&r);
    }
}

/* --- the frozen prefix ------------------------------------------------------------------------------------------------------------------------------ */

static void test_split_at_dropout(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "*", "dense");
    tlvk__flat prefix, suffix;
    bool found;
    assert_int_equal(tlvk__flat_split(&r.flat, trained, &r, &prefix, &suffix, &found), TLVK_OK);
    assert_true(found);
    assert_int_equal(prefix.output_count, 1);
    assert_int_equal(suffix.input_count, 1);
    assert_int_equal(prefix.call_count + suffix.call_count, r.flat.call_count);
    assert_int_equal(suffix.call_count, 2); /* dropout, dense */
    tlvk__flat_free(&prefix);
    tlvk__flat_free(&suffix);
    close_rig(&r);
}

static void test_split_with_two_tensors(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "*", "depthwise");
    tlvk__flat prefix, suffix;
    bool found;
    assert_int_equal(tlvk__flat_split(&r.flat, trained, &r, &prefix, &suffix, &found), TLVK_OK);
    assert_true(found);
    assert_int_equal(prefix.output_count, 1); /* relu's output feeds both the depthwise layer and the sum */
    assert_int_equal(suffix.calls[0].op == &tlvk__op_depthwise_conv2d, 1);
    tlvk__flat_free(&prefix);
    tlvk__flat_free(&suffix);
    close_rig(&r);
}

static void test_no_prefix(void **state) {
    (void)state;
    rig r;
    open_rig(&r, NULL, NULL);
    tlvk__flat prefix, suffix;
    bool found = true;
    assert_int_equal(tlvk__flat_split(&r.flat, trained, &r, &prefix, &suffix, &found), TLVK_OK);
    assert_false(found);
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_predict), cmocka_unit_test(test_golden_head), cmocka_unit_test(test_golden_all),
        cmocka_unit_test(test_frozen_base_leaves_nothing), cmocka_unit_test(test_nothing_to_train), cmocka_unit_test(test_no_gradient_past_pictures),
        cmocka_unit_test(test_nothing_alive_overlaps),
        cmocka_unit_test(test_split_at_dropout), cmocka_unit_test(test_split_with_two_tensors), cmocka_unit_test(test_no_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
