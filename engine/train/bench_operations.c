/* bench_operations.c - every distinct operation of the networks alone: what their plans for inference and for training hold, each pass once. */
#include "train/bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPERATION_EFFORT { .seconds = 0.1, .limit_seconds = 1.5 }

typedef struct found { tlvk__plan_part part; tlvk__bench_text name, kind, networks, last /* of them */; int counts[2]; /* calls in plans for inference and for training */ int count; } found;
typedef struct catalogue { found *list; size_t count, capacity; } catalogue;

/* --- names: all that tells two settings apart ------------------------------------------------------------------------------------------ */

static void add(tlvk__bench_text text, const char *format, ...) TLVK__PRINTF(2, 3);
static void add(tlvk__bench_text text, const char *format, ...) {
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, sizeof(tlvk__bench_text) - used, format, args);
    va_end(args);
}

static void add_shape(tlvk__bench_text text, const tlvk__shape *s) {
    for (int k = 1; k < s->rank; k++) add(text, "%s%lld", k > 1 ? "x" : " ", (long long)s->dim[k]);
}

static void add_window(tlvk__bench_text text, const int size[2], const int strides[2], const int dilation[2], tlvk_padding padding, const int zeros[4]) {
    add(text, " %dx%d", size[0], size[1]);
    if (strides[0] != 1 || strides[1] != 1) add(text, " stride %d", strides[0]);
    if (dilation && (dilation[0] != 1 || dilation[1] != 1)) add(text, " dilated %d", dilation[0]);
    bool padded = zeros && (zeros[0] || zeros[1] || zeros[2] || zeros[3]);
    if (size[0] * size[1] > 1) add(text, "%s", padding == TLVK_SAME ? " same" : padded ? " padded" : " valid");
}

static void add_attributes(tlvk__bench_text text, const tlvk__plan_part *p) {
    const void *attrs = p->setting.attrs.bytes;
    if (p->op == &tlvk__op_conv2d) {
        const tlvk__conv2d_attrs *a = attrs;
        add_window(text, a->kernel_size, a->strides, a->dilation_rate, a->padding, a->zero_padding);
        if (a->groups > 1) add(text, " in %d groups", a->groups);
    } else if (p->op == &tlvk__op_depthwise_conv2d) {
        const tlvk__depthwise_conv2d_attrs *a = attrs;
        add_window(text, a->kernel_size, a->strides, a->dilation_rate, a->padding, a->zero_padding);
    } else if (p->op == &tlvk__op_max_pooling2d || p->op == &tlvk__op_average_pooling2d) {
        const tlvk__pooling2d_attrs *a = attrs;
        add_window(text, a->pool_size, a->strides, NULL, a->padding, NULL);
    } else if (p->op == &tlvk__op_batch_normalization) {
        add(text, "%s", ((const tlvk__batch_normalization_attrs *)attrs)->scale ? "" : " without gamma");
    } else if (p->op == &tlvk__op_activation) {
        add(text, " %s", tlvk__activation_name(((const tlvk__activation_attrs *)attrs)->activation.kind));
    }
}

static void describe(found *f) {
    const tlvk__plan_part *p = &f->part;
    const tlvk__op_case *c = &p->setting;
    add(f->kind, "%s", p->op->class_name);
    if (p->op == &tlvk__op_conv2d) {
        const tlvk__conv2d_attrs *a = (const void *)c->attrs.bytes;
        bool square = a->kernel_size[0] == a->kernel_size[1] && (a->kernel_size[0] == 1 || a->kernel_size[0] == 3);
        if (square) add(f->kind, " %dx%d%s", a->kernel_size[0], a->kernel_size[0], a->strides[0] > 1 ? " strided" : "");
        else add(f->kind, " other");
    }
    add(f->name, "%s", p->op->class_name);
    add_attributes(f->name, p);
    for (int i = 0; i < c->inputs; i++) {
        if (i) add(f->name, " +");
        add_shape(f->name, &c->x[i]);
    }
    if (p->op == &tlvk__op_conv2d || p->op == &tlvk__op_dense) add(f->name, " to %lld", (long long)p->y.dim[p->y.rank - 1]);
    if (c->scale_shift) add(f->name, ", scale and shift");
    if (c->training && (p->op->flags & TLVK__OP_STATE)) add(f->name, ", training");
    if (c->residual) add(f->name, ", residual");
    if (c->epilogue.kind != TLVK_LINEAR) add(f->name, ", %s", tlvk__activation_name(c->epilogue.kind));
}

/* --- what the networks hold -------------------------------------------------------------------------------------------------------------- */

static tlvk_status collect_part(catalogue *all, const tlvk__plan_part *part, const char *net, bool training) {
    found f;
    memset(&f, 0, sizeof f);
    f.part = *part;
    describe(&f);
    size_t i = 0;
    while (i < all->count && strcmp(all->list[i].name, f.name) != 0) i++;
    if (i == all->count) {
        found *grown = tlvk__grow(all->list, &all->capacity, all->count + 1, sizeof *grown);
        if (!grown) return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for %zu operations", all->count);
        all->list = grown;
        all->list[all->count++] = f;
    }
    found *to = &all->list[i];
    if (!strstr(to->networks, net)) add(to->networks, "%s%s", to->networks[0] ? "," : "", net);
    if (strcmp(to->last, net) != 0) memset(to->counts, 0, sizeof to->counts);
    snprintf(to->last, sizeof to->last, "%s", net);
    int before = TLVK__MAX(to->counts[0], to->counts[1]);
    to->counts[training]++;
    to->count += TLVK__MAX(to->counts[0], to->counts[1]) - before; /* a network's inference and training have the same calls */
    for (int pass = 0; pass < 3; pass++) {
        if (!part->wanted[pass] || (pass > 0 && !training)) continue;
        to->part.wanted[pass] = true;
        to->part.flops[pass] = part->flops[pass];
        to->part.bytes[pass] = part->bytes[pass];
    }
    return TLVK_OK;
}

/* The gradient before an activation that is an epilogue: the planner records it by itself, where the operation's backward does not take the slope. */
static tlvk_status collect_epilogue(catalogue *all, const tlvk__plan_part *part, const char *net) {
    if (part->setting.epilogue.kind == TLVK_LINEAR || !(part->wanted[1] || part->wanted[2])) return TLVK_OK;
    if ((part->op->flags & TLVK__OP_SLOPE) && !part->setting.residual) return TLVK_OK;
    tlvk__plan_part gradient;
    memset(&gradient, 0, sizeof gradient);
    tlvk__activation_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    attrs.activation = part->setting.epilogue;
    memcpy(gradient.setting.attrs.bytes, &attrs, sizeof attrs);
    gradient.op = &tlvk__op_activation;
    gradient.setting.inputs = 1;
    gradient.setting.x[0] = gradient.y = part->y;
    gradient.setting.training = true;
    gradient.wanted[1] = true;
    int64_t elements;
    if (!tlvk__shape_elements(&part->y, &elements)) return tlvk__fail(TLVK_ERROR_INTERNAL, "bench: a shape of a plan is open");
    gradient.flops[1] = (double)elements;
    gradient.bytes[1] = 3.0 * sizeof(float) * (double)elements;
    return collect_part(all, &gradient, net, true);
}

static bool every_variable(const tlvk__variable *v, void *user) {
    (void)user;
    return v->spec.trainable;
}

static tlvk_status collect_plan(const tlvk__bench *b, catalogue *all, const tlvk__flat *flat, const char *net, bool training) {
    tlvk__shape input = { .rank = 4, .dim = { b->batch, b->image_size, b->image_size, 3 } };
    tlvk__plan_desc d = { .flat = flat, .caps = tlvk__device_caps(b->device), .inputs = &input, .mode = training ? TLVK__PLAN_TRAIN : TLVK__PLAN_PREDICT,
                          .trained = training ? every_variable : NULL, .objectives = { { .loss = { .kind = TLVK_SPARSE_CATEGORICAL_CROSSENTROPY }, .weight = 1 } } };
    tlvk__plan *plan;
    tlvk_status st = tlvk__plan_create(&d, &plan);
    if (st) return st;
    tlvk__plan_part part;
    for (int i = 0; !st && tlvk__plan_part_at(plan, i, &part); i++) {
        if (!part.view) st = collect_part(all, &part, net, training);
        if (!st && training) st = collect_epilogue(all, &part, net);
    }
    tlvk__plan_destroy(plan);
    return st;
}

static tlvk_status collect_network(const tlvk__bench *b, catalogue *all, const char *net) {
    tlvk_model *model;
    tlvk__flat flat;
    memset(&flat, 0, sizeof flat);
    tlvk_status st = tlvk__bench_model(b, net, false, &model);
    if (st) return st;
    st = tlvk__model_flatten(model, &flat);
    if (!st) st = collect_plan(b, all, &flat, net, false);
    if (!st) st = collect_plan(b, all, &flat, net, true);
    tlvk__flat_free(&flat);
    tlvk_model_destroy(model);
    return st;
}

/* --- timing -------------------------------------------------------------------------------------------------------------------------------- */

static tlvk_status time_pass(const tlvk__bench *b, const found *f, int pass) {
    static const char *const passes[] = { "forward", "backward data", "backward weights" };
    char name[sizeof f->name + 32];
    snprintf(name, sizeof name, "%s, %s", f->name, passes[pass]);
    if (!tlvk__bench_selected(b, name)) return TLVK_OK;
    tlvk__times times = { .effort = OPERATION_EFFORT };
    if (b->desc->repeats > 0) times.effort = b->effort;
    double flops;
    bool there;
    tlvk_status st = tlvk__time_case(b->device, f->part.op, &f->part.setting, pass, &times, &flops, &there);
    if (st) return tlvk__fail_context(st, "%s", name);
    tlvk_bench_case c = { .name = name, .part = "operation", .kind = f->kind, .network = f->networks, .pass = passes[pass], .count = f->count };
    if (there) tlvk__bench_report(b, &c, &times, f->part.flops[pass], f->part.bytes[pass], b->batch);
    return tlvk__bench_cancelled(b);
}

/* The update does not depend on the pictures: a step on one small one shows it. */
static tlvk_status time_update(const tlvk__bench *b, const char *net) {
    tlvk__bench small = *b;
    small.image_size = 96;
    tlvk__bench_text name = "";
    add(name, "Adam update of %s", net);
    if (!tlvk__bench_selected(b, name)) return TLVK_OK;
    tlvk_model *model;
    tlvk__session *session = NULL;
    tlvk__runner *runner;
    tlvk_status st = tlvk__bench_model(&small, net, false, &model);
    if (st) return st;
    st = tlvk__trial_session(model, &(tlvk__trial){ .batch = 1, .train = true, .timestamps = true }, &session, &runner);
    tlvk__times times = { .effort = OPERATION_EFFORT };
    double flops = 0, bytes = 0;
    for (int run = 0; !st && (run == 0 || !tlvk__times_enough(&times)); run++) {
        st = tlvk__runner_submit(runner, 0);
        if (!st) st = tlvk__runner_wait(runner, 0);
        double ms = 0;
        flops = bytes = 0;
        tlvk__recording *recording = st ? NULL : tlvk__runner_recording(runner, 0);
        for (int i = 0; !st && i < tlvk__recording_count(recording); i++) {
            tlvk__recorded e;
            st = tlvk__recording_entry(recording, i, &e);
            if (st || strcmp(e.phase, "update") != 0) continue;
            ms += e.ms;
            flops += e.flops;
            bytes += e.bytes;
        }
        if (!st && run > 0) tlvk__times_add(&times, ms);
    }
    tlvk_bench_case c = { .name = name, .part = "operation", .kind = "Adam update", .network = net, .pass = "update", .count = 1 };
    if (!st) tlvk__bench_report(b, &c, &times, flops, bytes, 0);
    tlvk__session_destroy(session);
    tlvk_model_destroy(model);
    return st;
}

tlvk_status tlvk__bench_operations(const tlvk__bench *b) {
    catalogue all = { 0 };
    tlvk__bench_text net;
    tlvk_status st = TLVK_OK;
    for (int i = 0; !st && tlvk__bench_net(b, i, net); i++) st = collect_network(b, &all, net);
    for (size_t i = 0; !st && i < all.count; i++) {
        for (int pass = 0; !st && pass < 3; pass++) {
            if (all.list[i].part.wanted[pass]) st = time_pass(b, &all.list[i], pass);
        }
    }
    for (int i = 0; !st && tlvk__bench_net(b, i, net); i++) st = time_update(b, net);
    free(all.list);
    return st;
}
