/* Optimizers, clipping, regularizers and schedules: the reference against Keras's numbers, the device against the reference. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/elementwise.h"
#include "ops/loss.h"
#include "ops/optimizer.h"
#include "support/device.h"

#include <stdio.h>

#define U 0x1p-24

static tlvk_optimizer resolved(tlvk_optimizer desc) {
    tlvk_optimizer o;
    assert_ok(tlvk__optimizer_resolve(&desc, &o));
    return o;
}

/* --- the reference against Keras ---------------------------------------------------------------------------------------------------------
 * Made with Keras 3.15.1 on TensorFlow 2.21: o = <optimizer>; three times o.apply([gradients of step s], [v0, v1]); the variables after. */
#define FIRST 4
#define ALL 6
static const double start[ALL] = {0.5, (double)-0.3f, (double)0.8f, 0.0, 1.5, -2.0};
static const double gradients[3][ALL] = {{0.1, -0.2, 0.05, 0.0, 0.3, 0.4}, {-0.3, 0.1, 0.02, 0.5, 1.0, -1.0}, {0.07, 0.2, -0.9, 0.1, 0.0, 0.25}};
static const struct { const char *name; tlvk_optimizer o; double w[ALL]; } keras_updates[] = {
    {"Adam(1e-2)", {.kind = TLVK_ADAM, .learning_rate = 1e-2f},
     {0.497290492, -0.290063858, 0.786977768, -0.0143349841, 1.47395039, -2.0036931}},
    {"Adam(1e-2, amsgrad=True, weight_decay=0.1)", {.kind = TLVK_ADAM, .learning_rate = 1e-2f, .amsgrad = true, .weight_decay = 0.1f},
     {0.495807052, -0.289187402, 0.784609079, -0.0143275429, 1.46948755, -1.99768376}},
    {"AdamW(1e-2)", {.kind = TLVK_ADAMW, .learning_rate = 1e-2f},
     {0.497231096, -0.290028751, 0.786882937, -0.0143346861, 1.47377157, -2.00345278}},
    {"SGD(0.1)", {.kind = TLVK_SGD, .learning_rate = 0.1f}, {0.512999952, -0.310000002, 0.883000016, -0.0600000024, 1.37, -1.96499991}},
    {"SGD(0.1, momentum=0.9)", {.kind = TLVK_SGD, .learning_rate = 0.1f, .momentum = 0.9f},
     {0.522900045, -0.284800023, 0.872650027, -0.105000004, 1.22870004, -1.94339991}},
    {"SGD(0.1, momentum=0.9, nesterov=True, clipvalue=0.15)",
     {.kind = TLVK_SGD, .learning_rate = 0.1f, .momentum = 0.9f, .nesterov = true, .clipvalue = 0.15f},
     {0.492960006, -0.30401504, 0.805885017, -0.0596500039, 1.40776503, -2.03943515}},
    {"RMSprop(1e-2)", {.kind = TLVK_RMSPROP, .learning_rate = 1e-2f},
     {0.491309881, -0.30528909, 0.787676334, -0.0381459817, 1.43796241, -2.0096221}},
    {"RMSprop(1e-2, momentum=0.8, centered=True)", {.kind = TLVK_RMSPROP, .learning_rate = 1e-2f, .momentum = 0.8f, .centered = true},
     {0.466918766, -0.267787546, 0.727618814, -0.0669884086, 1.35931349, -2.03473806}},
    {"RMSprop(1e-2, centered=True, clipnorm=0.3)", {.kind = TLVK_RMSPROP, .learning_rate = 1e-2f, .centered = true, .clipnorm = 0.3f},
     {0.489487588, -0.285393983, 0.791929901, -0.0378040224, 1.4393183, -2.03266549}},
    {"Adam(1e-2, global_clipnorm=0.3)", {.kind = TLVK_ADAM, .learning_rate = 1e-2f, .global_clipnorm = 0.3f},
     {0.489881068, -0.284295052, 0.788088799, -0.0148605946, 1.47225857, -2.01167178}},
};

static double global_scale(const tlvk_optimizer *o, double squares) {
    return o->global_clipnorm > 0.0f ? (double)o->global_clipnorm / fmax(sqrt(squares), (double)o->global_clipnorm) : 1.0;
}

static void test_keras(void **state) {
    (void)state;
    for (size_t k = 0; k < TLVK__COUNT(keras_updates); k++) {
        tlvk_optimizer o = resolved(keras_updates[k].o);
        double w[ALL], slots[3][ALL] = {{0}};
        memcpy(w, start, sizeof w);
        for (int64_t step = 1; step <= 3; step++) {
            const double *g = gradients[step - 1];
            double squares = 0.0, *first[3] = {slots[0], slots[1], slots[2]}, *second[3] = {slots[0] + FIRST, slots[1] + FIRST, slots[2] + FIRST};
            for (int i = 0; i < ALL; i++)
                squares += g[i] * g[i];
            double scale = global_scale(&o, squares), rate = (double)o.learning_rate;
            tlvk__optimizer_reference(&o, step, rate, scale, (tlvk_regularizer){0}, FIRST, w, g, first);
            tlvk__optimizer_reference(&o, step, rate, scale, (tlvk_regularizer){0}, ALL - FIRST, w + FIRST, g + FIRST, second);
        }
        for (int i = 0; i < ALL; i++)
            if (fabs(w[i] - keras_updates[k].w[i]) > 4e-7)
                fail_msg("%s: weight %d is %.9g, Keras has %.9g", keras_updates[k].name, i, w[i], keras_updates[k].w[i]);
    }
}

static void test_schedules(void **state) {
    (void)state;
    /* CosineDecay(0.1, 10, alpha=0.05) and ExponentialDecay(0.1, 10, 0.9) at steps 0, 3, 10, 12 */
    const double cosine[] = {0.1, 0.08041980117559433, 0.005, 0.005}, exponential[] = {0.1, 0.09688861668109894, 0.09, 0.08812335133552551};
    const int64_t at[] = {0, 3, 10, 12};
    tlvk_optimizer o = resolved((tlvk_optimizer){.learning_rate = 0.1f, .schedule = {.kind = TLVK_SCHEDULE_COSINE, .decay_steps = 10, .alpha = 0.05f}});
    tlvk_optimizer whole = resolved((tlvk_optimizer){.learning_rate = 0.1f, .schedule = {.kind = TLVK_SCHEDULE_COSINE, .alpha = 0.05f}});
    tlvk_optimizer e = resolved(
        (tlvk_optimizer){.learning_rate = 0.1f, .schedule = {.kind = TLVK_SCHEDULE_EXPONENTIAL, .decay_steps = 10, .decay_rate = 0.9f}});
    for (size_t i = 0; i < TLVK__COUNT(at); i++) {
        assert_true(fabs(tlvk__schedule_rate(&o, at[i], 99, 0) - cosine[i]) < 1e-8);
        assert_true(fabs(tlvk__schedule_rate(&whole, at[i], 10, 0) - cosine[i]) < 1e-8);
        assert_true(fabs(tlvk__schedule_rate(&e, at[i], 99, 0) - exponential[i]) < 1e-8);
    }
    /* ReduceLROnPlateau(factor=0.5, patience=2, min_lr=0.02) on these val_loss from learning rate 0.1: the rate after each epoch */
    const double losses[] = {1.0, 0.9, 0.9, 0.89995, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.7, 0.71, 0.72};
    const double rates[] = {0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02};
    tlvk_optimizer p = resolved(
        (tlvk_optimizer){.learning_rate = 0.1f, .schedule = {.kind = TLVK_SCHEDULE_PLATEAU, .factor = 0.5f, .patience = 2, .min_lr = 0.02f}});
    tlvk__plateau plateau;
    tlvk__plateau_begin(&plateau, &p);
    for (size_t i = 0; i < TLVK__COUNT(losses); i++) {
        double before = plateau.rate;
        bool lowered = tlvk__plateau_epoch_end(&plateau, &p, losses[i]);
        assert_true(lowered == (plateau.rate < before));
        assert_true(fabs(tlvk__schedule_rate(&p, 0, 0, plateau.rate) - rates[i]) < 1e-8);
    }
}

static void test_resolve(void **state) {
    (void)state;
    tlvk_optimizer adamw = resolved((tlvk_optimizer){.kind = TLVK_ADAMW}), sgd = resolved((tlvk_optimizer){.kind = TLVK_SGD}),
                   rms = resolved((tlvk_optimizer){.kind = TLVK_RMSPROP, .centered = true}),
                   ams = resolved((tlvk_optimizer){.amsgrad = true, .beta_1 = TLVK_ZERO, .learning_rate = TLVK_ZERO});
    assert_true(adamw.learning_rate == 1e-3f && adamw.beta_1 == 0.9f && adamw.beta_2 == 0.999f && adamw.epsilon == 1e-7f && adamw.weight_decay == 4e-3f);
    assert_true(sgd.learning_rate == 1e-2f && sgd.weight_decay == 0.0f && ams.beta_1 == 0.0f && ams.learning_rate == 0.0f);
    assert_int_equal(tlvk__optimizer_slots(&adamw), 2);
    assert_int_equal(tlvk__optimizer_slots(&sgd), 0);
    assert_int_equal(tlvk__optimizer_slots(&rms), 2);
    assert_string_equal(tlvk__optimizer_slot_name(&rms, 1), "average_gradient");
    assert_int_equal(tlvk__optimizer_slots(&ams), 3);
    assert_string_equal(tlvk__optimizer_slot_name(&ams, 2), "velocity_hat");
    assert_null(tlvk__optimizer_slot_name(&sgd, 0));
    const tlvk_optimizer wrong[] = {{.beta_1 = 1.0f}, {.epsilon = TLVK_ZERO}, {.learning_rate = NAN}, {.kind = TLVK_SGD, .momentum = 1.5f},
                                    {.clipnorm = 1.0f, .clipvalue = 1.0f}, {.weight_decay = -1.0f}, {.schedule = {.factor = 1.0f}},
                                    {.kind = (tlvk_optimizer_kind)9}};
    for (size_t i = 0; i < TLVK__COUNT(wrong); i++) {
        tlvk_optimizer o;
        assert_int_equal(tlvk__optimizer_resolve(&wrong[i], &o), TLVK_ERROR_ARGUMENT);
    }
}

/* --- the device against the reference -------------------------------------------------------------------------------------------------------
 * Five variables in two chunks; the third goes over from the first chunk to the second. */
#define BLOCKS 11
#define FIRST_CHUNK 6
#define FLOATS (BLOCKS * TLVK__BLOCK)
#define VARIABLES 5
#define STEPS 3
static const struct { int first_block, blocks; int64_t used; tlvk_regularizer reg; float rate_factor; } variables[VARIABLES] = {
    {0, 2, 1500, {0, 0}, 1.0f}, {2, 1, 12, {0.01f, 0.02f}, 1.0f}, {3, 5, 4 * 1024 + 700, {0, 0.03f}, 0.5f}, {8, 1, 1024, {0.004f, 0}, 1.0f}, {9, 2, 1028, {0, 0}, 1.0f}};

static const struct { const char *name; tlvk_optimizer o; bool regularized; } updates[] = {
    {"adam", {.kind = TLVK_ADAM}, false},
    {"adam, amsgrad, l1 l2, clipnorm", {.kind = TLVK_ADAM, .amsgrad = true, .clipnorm = 0.7f}, true},
    {"adamw, global_clipnorm", {.kind = TLVK_ADAMW, .weight_decay = 0.1f, .global_clipnorm = 5.0f}, false},
    {"adamw, global_clipnorm that does not bind", {.kind = TLVK_ADAMW, .global_clipnorm = 1e6f}, true},
    {"sgd", {.kind = TLVK_SGD}, false},
    {"sgd, momentum, l1 l2", {.kind = TLVK_SGD, .momentum = 0.9f}, true},
    {"sgd, nesterov, weight decay, clipvalue", {.kind = TLVK_SGD, .momentum = 0.9f, .nesterov = true, .weight_decay = 0.05f, .clipvalue = 0.2f}, true},
    {"rmsprop", {.kind = TLVK_RMSPROP}, false},
    {"rmsprop, momentum, centered, global_clipnorm", {.kind = TLVK_RMSPROP, .momentum = 0.8f, .centered = true, .global_clipnorm = 3.0f}, true},
    {"rmsprop, centered, clipnorm", {.kind = TLVK_RMSPROP, .centered = true, .clipnorm = 1.0f}, false},
    {"rmsprop, momentum", {.kind = TLVK_RMSPROP, .momentum = 0.8f}, false},
};

typedef struct bench {
    tlvk_optimizer o;
    bool regularized;
    float w[FLOATS], g[STEPS][FLOATS];
    double wd[FLOATS], gd[FLOATS], slots[3][FLOATS];
    double penalty, norm;            /* of the last step */
    tlvk__block_row table[BLOCKS];
    float result[FLOATS], result_slots[3][FLOATS], metrics[TLVK__METRIC_WORDS];
} bench;

static tlvk_regularizer regularizer(const bench *b, int v) {
    return b->regularized ? variables[v].reg : (tlvk_regularizer){0};
}

static void bench_fill(bench *b, uint64_t seed) {
    tlvk__rng rng;
    tlvk__rng_seed(&rng, seed, 0);
    for (int v = 0; v < VARIABLES; v++) {
        int first = variables[v].first_block * TLVK__BLOCK;
        for (int i = first; i < first + (int)variables[v].used; i++) {
            b->w[i] = i % 97 == 0 ? 0.0f : (float)tlvk__rng_normal(&rng);
            for (int s = 0; s < STEPS; s++)
                b->g[s][i] = (float)(0.3 * tlvk__rng_normal(&rng));
        }
        tlvk_regularizer reg = regularizer(b, v);
        for (int k = 0; k < variables[v].blocks; k++)
            b->table[variables[v].first_block + k] = (tlvk__block_row){.l1 = reg.l1, .l2 = reg.l2, .weight_decay = b->o.weight_decay,
                                                                       .rate_factor = variables[v].rate_factor, .variable = (float)v};
    }
    for (int i = 0; i < FLOATS; i++)
        b->wd[i] = (double)b->w[i];
}

static void bench_reference(bench *b, int step) {
    double squares = 0.0;
    b->penalty = 0.0;
    for (int v = 0; v < VARIABLES; v++) {
        int first = variables[v].first_block * TLVK__BLOCK;
        double l1 = (double)regularizer(b, v).l1, l2 = (double)regularizer(b, v).l2;
        for (int i = first; i < first + (int)variables[v].used; i++) {
            double w = b->wd[i], g = b->gd[i] = (double)b->g[step][i];
            g += l1 * ((w > 0) - (w < 0)) + 2.0 * l2 * w;
            squares += g * g;
            b->penalty += l1 * fabs(w) + l2 * w * w;
        }
    }
    b->norm = sqrt(squares);
    double scale = global_scale(&b->o, squares);
    for (int v = 0; v < VARIABLES; v++) {
        int first = variables[v].first_block * TLVK__BLOCK;
        double *slots[3] = {b->slots[0] + first, b->slots[1] + first, b->slots[2] + first};
        tlvk__optimizer_reference(&b->o, step + 1, (double)b->o.learning_rate * (double)variables[v].rate_factor, scale, regularizer(b, v),
                                  variables[v].used, b->wd + first, b->gd + first, slots);
    }
}

/* The spans of one chunk within the whole arrays. */
static tlvk__chunk chunk_of(test_floats w, test_floats g, const test_floats slots[3], test_floats table, int first, int blocks) {
    const uint64_t block = TLVK__BLOCK * sizeof(float);
    tlvk__chunk c = {.blocks = (uint32_t)blocks};
    c.w = (tlvk__span){w.buffer, w.span.offset + (uint64_t)first * block, (uint64_t)blocks * block};
    c.dw = (tlvk__span){g.buffer, g.span.offset + (uint64_t)first * block, (uint64_t)blocks * block};
    for (int s = 0; s < 3; s++)
        c.slots[s] = (tlvk__span){slots[s].buffer, slots[s].span.offset + (uint64_t)first * block, (uint64_t)blocks * block};
    c.table = (tlvk__span){table.buffer, table.span.offset + (uint64_t)first * sizeof(tlvk__block_row), (uint64_t)blocks * sizeof(tlvk__block_row)};
    return c;
}

static void bench_device(tlvk__device *d, bench *b, bool penalty_only) {
    static const float zeros[FLOATS];
    test_floats w = test_floats_from(d, b->w, FLOATS), g = test_floats_make(d, FLOATS), slots[3];
    test_floats table = test_floats_from(d, b->table, BLOCKS * (sizeof(tlvk__block_row) / sizeof(float)));
    test_floats params = test_floats_make(d, sizeof(tlvk__step_params) / sizeof(float));
    for (int s = 0; s < 3; s++)
        slots[s] = test_floats_from(d, zeros, FLOATS);
    for (int i = 0; i < TLVK__METRIC_WORDS; i++)
        b->metrics[i] = 77.0f;
    test_floats metrics = test_floats_from(d, b->metrics, TLVK__METRIC_WORDS);
    const tlvk__chunk chunks[2] = {chunk_of(w, g, slots, table, 0, FIRST_CHUNK), chunk_of(w, g, slots, table, FIRST_CHUNK, BLOCKS - FIRST_CHUNK)};
    tlvk__update_call call = {.optimizer = &b->o, .chunks = chunks, .chunk_count = 2, .variable_count = VARIABLES, .step_params = params.span,
                              .metrics = metrics.span, .regularized = b->regularized};
    test_floats scratch = test_floats_make(d, TLVK__MAX(tlvk__update_scratch_bytes(&call), 16) / sizeof(float));
    call.scratch = scratch.span;
    tlvk__recorder *r;
    tlvk__recording *rec;
    assert_ok(tlvk__recorder_create(d, NULL, &r));
    if (penalty_only)
        assert_ok(tlvk__record_penalty(r, &call));
    else
        assert_ok(tlvk__record_update(r, &call));
    assert_ok(tlvk__recorder_finish(r, &rec));
    for (int step = 0; step < (penalty_only ? 1 : STEPS); step++) {
        tlvk__step_params p = {0};
        tlvk__optimizer_step(&b->o, step + 1, (double)b->o.learning_rate, &p);
        assert_ok(tlvk__span_write(d, (tlvk__span){params.buffer, params.span.offset, sizeof p}, &p));
        assert_ok(tlvk__span_write(d, (tlvk__span){g.buffer, g.span.offset, sizeof b->g[step]}, b->g[step]));
        assert_ok(tlvk__recording_run(rec));
    }
    tlvk__recording_destroy(rec);
    test_floats_read(d, w, b->result, FLOATS);
    for (int s = 0; s < 3; s++)
        test_floats_read(d, slots[s], b->result_slots[s], FLOATS);
    test_floats_read(d, metrics, b->metrics, TLVK__METRIC_WORDS);
    test_floats all[] = {w, g, slots[0], slots[1], slots[2], table, params, metrics, scratch};
    for (size_t i = 0; i < TLVK__COUNT(all); i++)
        tlvk__buffer_destroy(all[i].buffer);
}

static void check_words(const bench *b, bool norms) {
    double penalty = (double)b->metrics[TLVK__METRIC_PENALTY], norm = (double)b->metrics[TLVK__METRIC_NORM];
    assert_true(b->regularized ? fabs(penalty - b->penalty) <= 40.0 * U * b->penalty : penalty == 77.0);
    assert_true(norms ? fabs(norm - b->norm) <= 40.0 * U * b->norm : norm == 77.0);
    assert_true(b->metrics[TLVK__METRIC_LOSS] == 77.0f);
}

static void check_update(tlvk__device *d, size_t k) {
    bench *b = tlvk__calloc(1, sizeof *b);
    assert_non_null(b);
    b->o = resolved(updates[k].o);
    b->regularized = updates[k].regularized;
    bench_fill(b, 50 + k);
    for (int step = 0; step < STEPS; step++)
        bench_reference(b, step);
    bench_device(d, b, false);
    double moved = 0.0, worst = 0.0;
    for (int i = 0; i < FLOATS; i++) { /* not by fmax: GCC 12.2 for 64-bit ARM breaks off at that */
        const double by = fabs(b->wd[i] - (double)b->w[i]);
        moved = by > moved ? by : moved;
    }
    for (int v = 0; v < VARIABLES; v++) {
        int first = variables[v].first_block * TLVK__BLOCK;
        for (int i = first; i < first + variables[v].blocks * TLVK__BLOCK; i++) {
            /* Weights round once or twice a step; an increment is within 64 roundings of the largest one. */
            double bound = STEPS * 2.0 * U * (fabs(b->wd[i]) + moved) + 64.0 * U * moved, error = fabs((double)b->result[i] - b->wd[i]);
            if (!(error <= bound))
                fail_msg("%s: weight %d is %.9g, the reference has %.9g (bound %.3g)", updates[k].name, i, (double)b->result[i], b->wd[i], bound);
            worst = fmax(worst, error / bound);
            for (int s = 0; s < 3 && i < first + variables[v].used; s++)
                assert_true(fabs((double)b->result_slots[s][i] - b->slots[s][i]) <= 64.0 * U);
            if (i >= first + variables[v].used)
                assert_true(b->result[i] == 0.0f && b->result_slots[0][i] == 0.0f && b->result_slots[1][i] == 0.0f && b->result_slots[2][i] == 0.0f);
        }
    }
    check_words(b, b->o.clipnorm > 0.0f || b->o.global_clipnorm > 0.0f);
    print_message("%-48s %.3f of the bound\n", updates[k].name, worst);
    float *first_run = malloc(sizeof b->result);
    assert_non_null(first_run);
    memcpy(first_run, b->result, sizeof b->result);
    bench_device(d, b, false);
    assert_memory_equal(first_run, b->result, sizeof b->result);
    free(first_run);
    free(b);
}

static void test_device_updates(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    for (size_t k = 0; k < TLVK__COUNT(updates); k++)
        check_update(d, k);
}

static void check_penalty(tlvk__device *d) {
    bench *b = tlvk__calloc(1, sizeof *b);
    assert_non_null(b);
    b->o = resolved((tlvk_optimizer){.clipnorm = 1.0f});
    b->regularized = true;
    bench_fill(b, 3);
    bench_reference(b, 0);
    bench_device(d, b, true);
    check_words(b, false);
    assert_memory_equal(b->w, b->result, sizeof b->w);
    free(b);
}

static void test_device_penalty(void **state) {
    (void)state;
    check_penalty(test_device());
}

/* The device as one that binds four storage buffers and has texel buffers of so many. */
static tlvk__device *few_buffers(uint64_t texels) {
    tlvk__caps limit = *tlvk__device_caps(test_device());
    tlvk__device *d;
    limit.max_storage_buffers = 4;
    limit.max_texels = texels;
    limit.texel_align = 256; /* up to 15 texels before what is read */
    assert_ok(tlvk__device_create(&(tlvk__device_desc){.validation = true, .limit = &limit}, &d));
    return d;
}

static void end_few_buffers(tlvk__device *d) {
    if (tlvk__device_validation_messages(d) > 0)
        fail_msg("validation: %s", tlvk__device_validation_text(d));
    tlvk__device_destroy(d);
}

/* Parts of two blocks each: of their gradients in the update, of their rows of the table in the sums. */
static void test_few_texels(void **state) {
    (void)state;
    tlvk__device *d = few_buffers(15 + 2 * 256 + 40);
    for (size_t k = 0; k < TLVK__COUNT(updates); k++)
        check_update(d, k);
    end_few_buffers(d);
    d = few_buffers(15 + 2 * 2 + 1);
    check_penalty(d);
    end_few_buffers(d);
}

/* The kernel of VGG16's fc1, 25088 x 4096, on a device that has Vulkan's least of everything but what it binds: every block is summed once and updated once,
 * and no texel buffer is too large, which recording checks. Nothing runs. */
static void test_large_variable(void **state) {
    (void)state;
    enum { LARGE_BLOCKS = 25088 * 4096 / TLVK__BLOCK };
    tlvk__caps caps;
    tlvk__caps_fixed(&caps);
    caps.max_binding_bytes = caps.max_allocation_bytes = (uint64_t)1 << 30;
    caps.max_storage_buffers = 4;
    caps.max_texels = 65536;
    const tlvk_optimizer o = resolved((tlvk_optimizer){.global_clipnorm = 1.0f});
    const uint64_t bytes = LARGE_BLOCKS * TLVK__BLOCK * sizeof(float), sizes[] = {bytes, bytes, bytes, bytes, LARGE_BLOCKS * sizeof(tlvk__block_row)};
    tlvk__span spans[TLVK__COUNT(sizes)], small;
    tlvk__device *d;
    tlvk__recorder *r;
    tlvk__recording *rec;
    assert_ok(tlvk__device_dry(&caps, &d));
    for (size_t i = 0; i < TLVK__COUNT(sizes); i++) {
        spans[i] = (tlvk__span){.bytes = sizes[i]};
        assert_ok(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, sizes[i], "a test", &spans[i].buffer));
    }
    const tlvk__chunk chunk = {.w = spans[0], .dw = spans[1], .slots = {spans[2], spans[3]}, .table = spans[4], .blocks = LARGE_BLOCKS};
    tlvk__update_call call = {.optimizer = &o, .chunks = &chunk, .chunk_count = 1, .variable_count = 1, .regularized = true};
    small = (tlvk__span){.bytes = 512 + tlvk__update_scratch_bytes(&call)};
    assert_ok(tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, small.bytes, "a test", &small.buffer));
    call.step_params = tlvk__span_part(small, 0, 256);
    call.metrics = tlvk__span_part(small, 256, 256);
    call.scratch = tlvk__span_part(small, 512, small.bytes - 512);
    assert_ok(tlvk__recorder_create(d, NULL, &r));
    assert_ok(tlvk__record_update(r, &call));
    assert_ok(tlvk__record_penalty(r, &call));
    assert_ok(tlvk__recorder_finish(r, &rec));
    uint64_t summed = 0, updated = 0;
    for (int i = 0; i < tlvk__recording_count(rec); i++) {
        tlvk__recorded entry;
        tlvk__binding sums;
        assert_ok(tlvk__recording_entry(rec, i, &entry));
        if (strcmp(entry.operation, "optimizer_sums") == 0) {
            assert_true(tlvk__recording_binding(rec, i, 3, &sums));
            assert_true(sums.span.offset <= 512 + summed % LARGE_BLOCKS * 16 && sums.span.offset + sums.span.bytes == 512 + (summed % LARGE_BLOCKS + entry.groups[0]) * 16);
            summed += entry.groups[0];
        }
        if (strcmp(entry.operation, "optimizer_update") == 0)
            updated += entry.groups[0];
    }
    assert_true(summed == 2 * (uint64_t)LARGE_BLOCKS && updated == LARGE_BLOCKS);
    tlvk__recording_destroy(rec);
    tlvk__buffer_destroy(small.buffer);
    for (size_t i = 0; i < TLVK__COUNT(sizes); i++)
        tlvk__buffer_destroy(spans[i].buffer);
    tlvk__device_destroy(d);
}

/* A texel buffer that does not hold the gradients of one block. */
static void test_too_few_texels(void **state) {
    (void)state;
    tlvk__device *d = few_buffers(15 + 255);
    const tlvk_optimizer o = resolved((tlvk_optimizer){.kind = TLVK_SGD});
    test_floats block = test_floats_make(d, TLVK__BLOCK);
    const tlvk__chunk chunk = {.w = block.span, .dw = block.span, .table = block.span, .blocks = 1};
    const tlvk__update_call call = {.optimizer = &o, .chunks = &chunk, .chunk_count = 1, .variable_count = 1, .step_params = block.span};
    tlvk__recorder *r;
    assert_ok(tlvk__recorder_create(d, NULL, &r));
    assert_int_equal(tlvk__record_update(r, &call), TLVK_ERROR_UNSUPPORTED);
    assert_non_null(strstr(tlvk__fail_text(), "has texel buffers of 270"));
    tlvk__recorder_destroy(r);
    tlvk__buffer_destroy(block.buffer);
    end_few_buffers(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keras), cmocka_unit_test(test_schedules), cmocka_unit_test(test_resolve),
                                       cmocka_unit_test(test_device_updates), cmocka_unit_test(test_device_penalty),
                                       cmocka_unit_test(test_few_texels), cmocka_unit_test(test_large_variable), cmocka_unit_test(test_too_few_texels)};
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
