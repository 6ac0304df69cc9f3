/* bench_ops.c - speed of every operation's cases that are layers of published networks: forward, gradient of the input, of the variables.
 *
 *   bench_ops [--floor] [--all] [--cpu] [--winograd always|never] [--batch N] [--seconds S] [FILTER]
 *
 * FILTER is part of "Class case". --floor: the device with Vulkan 1.1 alone. --all: edge cases too. Each is recorded once and replayed for
 * S seconds (0.5), the fastest run is printed in ms and GFLOP/s; GB/s counts inputs and outputs once. --cpu: time is this process's processor
 * time over the number of processors, for software drivers on a busy machine. */
#include "core/platform.h"
#include "ops/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct options { bool floor, all, cpu; tlvk__winograd winograd; int64_t batch; double seconds; const char *filter; } options;

/* A tensor with storage, filled with numbers in (-1, 1). */
typedef struct stored { tlvk__tensor t; tlvk__span *segments; } stored;

typedef struct bench {
    tlvk__device *d;
    const options *o;
    tlvk__op_call call;
    stored x[TLVK__MAX_INPUTS], dx[TLVK__MAX_INPUTS], w[TLVK__MAX_VARIABLES], dw[TLVK__MAX_VARIABLES], y, dy;
    tlvk__buffer *room[TLVK__MAX_AUX + 3];
} bench;

static tlvk_status allocate(bench *b, stored *s) {
    uint64_t sample = (uint64_t)tlvk__sample_floats(&s->t) * sizeof(float), limit = tlvk__device_caps(b->d)->max_binding_bytes;
    s->t.segment_n = TLVK__MIN(s->t.n, TLVK__MAX((int64_t)(limit / sample), 1));
    s->t.segment_count = (int)tlvk__div_up(s->t.n, s->t.segment_n);
    s->segments = tlvk__calloc((size_t)s->t.segment_count, sizeof *s->segments);
    float *values = tlvk__calloc((size_t)s->t.segment_n, (size_t)sample);
    tlvk_status status = s->segments && values ? TLVK_OK : tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a tensor of %llu samples", (unsigned long long)s->t.n);
    tlvk__rng rng;
    tlvk__rng_seed(&rng, 1, 1);
    for (int64_t i = 0; !status && i < s->t.segment_n * (int64_t)(sample / sizeof(float)); i++)
        values[i] = i % s->t.pitch < s->t.c ? (float)(tlvk__rng_u32(&rng) >> 8) * 0x1p-23f - 1.0f : 0.0f;
    for (int i = 0; !status && i < s->t.segment_count; i++) {
        uint64_t bytes = (uint64_t)TLVK__MIN(s->t.segment_n, s->t.n - i * s->t.segment_n) * sample;
        status = tlvk__buffer_create(b->d, TLVK__BUFFER_DEVICE, bytes, "bench", &s->segments[i].buffer);
        s->segments[i].bytes = bytes;
        if (!status)
            status = tlvk__span_write(b->d, s->segments[i], values);
    }
    s->t.segments = s->segments;
    free(values);
    return status;
}

static void release(stored *s) {
    for (int i = 0; s->segments && i < s->t.segment_count; i++)
        tlvk__buffer_destroy(s->segments[i].buffer);
    free(s->segments);
}

static tlvk_status image(bench *b, const tlvk__shape *shape, stored *s) {
    tlvk_status status = tlvk__tensor_from_shape(shape, &s->t);
    return status ? status : allocate(b, s);
}

static tlvk_status room(bench *b, int slot, uint64_t bytes, tlvk__span *span) {
    *span = (tlvk__span){0};
    if (bytes == 0)
        return TLVK_OK;
    tlvk_status s = tlvk__buffer_create(b->d, TLVK__BUFFER_DEVICE, bytes, "bench", &b->room[slot]);
    *span = (tlvk__span){b->room[slot], 0, bytes};
    return s;
}

static tlvk_status prepare(bench *b, const tlvk__op *op, tlvk__op_case *c) {
    tlvk__shape y;
    tlvk__variable_spec specs[TLVK__MAX_VARIABLES] = {0};
    for (int i = 0; i < c->inputs && b->o->batch > 0; i++)
        c->x[i].dim[0] = b->o->batch;
    tlvk_status s = op->shape(&c->attrs, c->inputs, c->x, &y);
    int variables = s || !op->variables ? 0 : op->variables(&c->attrs, c->inputs, c->x, specs);
    b->call = (tlvk__op_call){.attrs = &c->attrs, .layer = c->name, .training = c->training, .inputs = c->inputs, .epilogue = {.activation = c->epilogue}};
    for (int i = 0; !s && i < c->inputs; i++) {
        s = image(b, &c->x[i], &b->x[i]);
        if (!s && op->backward)
            s = image(b, &c->x[i], &b->dx[i]);
        b->call.x[i] = &b->x[i].t;
    }
    for (int i = 0; !s && i < variables; i++) {
        s = tlvk__variable_layout(&specs[i].shape, specs[i].layout, &b->w[i].t);
        b->dw[i].t = b->w[i].t;
        if (!s)
            s = allocate(b, &b->w[i]);
        if (!s && specs[i].trainable && op->backward)
            s = allocate(b, &b->dw[i]);
        b->call.w[i] = &b->w[i].t;
    }
    if (!s)
        s = image(b, &y, &b->y);
    if (!s)
        s = image(b, &y, &b->dy);
    b->call.y = &b->y.t;
    b->call.dy = &b->dy.t;
    tlvk__op_needs needs = {0};
    if (!s && op->needs)
        s = op->needs(tlvk__device_caps(b->d), &b->call, op->backward != NULL, op->backward && variables > 0, &needs);
    for (int i = 0; !s && i < TLVK__MAX_AUX; i++)
        s = room(b, i, needs.aux_bytes[i], &b->call.aux[i]);
    if (!s)
        s = room(b, TLVK__MAX_AUX, TLVK__MAX(needs.forward_scratch_bytes, needs.backward_scratch_bytes), &b->call.scratch);
    if (!s)
        s = room(b, TLVK__MAX_AUX + 1, needs.packed_bytes, &b->call.packed);
    return s ? s : room(b, TLVK__MAX_AUX + 2, sizeof(tlvk__step_params), &b->call.step_params);
}

typedef enum pass { PASS_PACK, PASS_FORWARD, PASS_DATA, PASS_WEIGHTS } pass;

static tlvk_status record(bench *b, const tlvk__op *op, pass p, tlvk__recording **out) {
    tlvk__recorder *r;
    tlvk__op_call call = b->call;
    tlvk_status s = tlvk__recorder_create(b->d, NULL, &r);
    if (s)
        return s;
    for (int i = 0; i < call.inputs && p == PASS_DATA; i++)
        call.dx[i] = &b->dx[i].t;
    for (int i = 0; i < TLVK__MAX_VARIABLES && p == PASS_WEIGHTS; i++)
        call.dw[i] = b->dw[i].segments ? &b->dw[i].t : NULL;
    s = p == PASS_PACK ? op->pack(r, &call) : p == PASS_FORWARD ? op->forward(r, &call) : op->backward(r, &call);
    if (s) {
        tlvk__recorder_destroy(r);
        return s;
    }
    return tlvk__recorder_finish(r, out);
}

static double now(const options *o) {
    return o->cpu ? (double)clock() / CLOCKS_PER_SEC / tlvk__cpu_count() : tlvk__now_seconds();
}

/* Fastest run in seconds; the first, which compiles, does not count. */
static tlvk_status fastest(bench *b, const tlvk__op *op, pass p, double *best) {
    tlvk__recording *rec = NULL;
    tlvk_status s = record(b, op, p, &rec);
    if (!s)
        s = tlvk__recording_run(rec);
    double begin = tlvk__now_seconds();
    *best = 1e9;
    for (int i = 0; !s && (i < 3 || tlvk__now_seconds() - begin < b->o->seconds); i++) {
        double t = now(b->o);
        s = tlvk__recording_run(rec);
        *best = TLVK__MIN(*best, now(b->o) - t);
    }
    tlvk__recording_destroy(rec);
    return s;
}

static double tensor_gb(const stored *s) {
    return s->segments ? (double)s->t.n * (double)tlvk__sample_floats(&s->t) * 4e-9 : 0;
}

static tlvk_status run_case(const options *o, tlvk__device *d, const tlvk__op *op, tlvk__op_case *c) {
    static const char *const pass_names[] = {"pack", "forward", "dx", "dw"};
    bench *b = tlvk__calloc(1, sizeof *b);
    if (!b)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory");
    b->d = d;
    b->o = o;
    tlvk_status s = prepare(b, op, c);
    double gflop = s ? 0 : op->flops(&b->call) * 1e-9, gb = tensor_gb(&b->y);
    for (int i = 0; i < TLVK__MAX_INPUTS; i++)
        gb += tensor_gb(&b->x[i]);
    for (int i = 0; i < TLVK__MAX_VARIABLES; i++)
        gb += tensor_gb(&b->w[i]);
    if (!s)
        printf("%-15s %-52s", op->class_name, c->name);
    for (pass p = PASS_PACK; !s && p <= PASS_WEIGHTS; p++) {
        double t;
        if ((p == PASS_PACK && !b->call.packed.buffer) || (p >= PASS_DATA && !op->backward) || (p == PASS_WEIGHTS && !b->dw[0].segments))
            continue;
        s = fastest(b, op, p, &t);
        if (!s && p == PASS_PACK)
            printf(" pack %6.2f ms", t * 1e3);
        else if (!s)
            printf("  %s %8.2f ms %6.1f GF/s %5.1f GB/s", pass_names[p], t * 1e3, gflop / t, gb / t);
        fflush(stdout);
    }
    printf("\n");
    for (int i = 0; i < TLVK__MAX_INPUTS; i++) {
        release(&b->x[i]);
        release(&b->dx[i]);
    }
    for (int i = 0; i < TLVK__MAX_VARIABLES; i++) {
        release(&b->w[i]);
        release(&b->dw[i]);
    }
    release(&b->y);
    release(&b->dy);
    for (size_t i = 0; i < TLVK__COUNT(b->room); i++)
        tlvk__buffer_destroy(b->room[i]);
    free(b);
    return s;
}

static options options_of(int argc, char **argv) {
    options o = {.seconds = 0.5, .filter = ""};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--floor") == 0)
            o.floor = true;
        else if (strcmp(argv[i], "--all") == 0)
            o.all = true;
        else if (strcmp(argv[i], "--cpu") == 0)
            o.cpu = true;
        else if (strcmp(argv[i], "--winograd") == 0 && i + 1 < argc)
            o.winograd = strcmp(argv[++i], "always") == 0 ? TLVK__WINOGRAD_ALWAYS : TLVK__WINOGRAD_NEVER;
        else if (strcmp(argv[i], "--batch") == 0 && i + 1 < argc)
            o.batch = atoll(argv[++i]);
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            o.seconds = atof(argv[++i]);
        else
            o.filter = argv[i];
    return o;
}

int main(int argc, char **argv) {
    options o = options_of(argc, argv);
    tlvk__device *d;
    char *cache = tlvk__default_cache_folder();
    tlvk_status s = tlvk__device_create(&(tlvk__device_desc){.floor = o.floor, .cache_folder = cache}, &d);
    free(cache);
    if (s) {
        fprintf(stderr, "bench_ops: %s\n", tlvk__fail_text());
        return 1;
    }
    ((tlvk__caps *)tlvk__device_caps(d))->winograd = o.winograd;
    printf("%s, %s\n", tlvk__device_caps(d)->name, tlvk__device_caps(d)->driver);
    const tlvk__op *op;
    for (int k = 0; (op = tlvk__op_at(k)); k++) {
        if (!op->test_case || !op->forward)
            continue;
        tlvk__op_case c;
        for (int i = 0; op->test_case(i, memset(&c, 0, sizeof c)); i++) {
            char name[160];
            snprintf(name, sizeof name, "%s %s", op->class_name, c.name);
            if ((!c.real_size && !o.all) || !strstr(name, o.filter))
                continue;
            s = run_case(&o, d, op, &c);
            if (s)
                printf("%s: %s\n", name, tlvk__fail_text());
        }
    }
    tlvk__device_destroy(d);
    return 0;
}
