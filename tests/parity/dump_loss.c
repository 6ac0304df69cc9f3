/* dump_loss.c - what the CPU references of losses and optimizers give, for loss_optimizer.py to hold against Keras.
 *
 * Reads requests from standard input, numbers separated by blanks, and answers each with one line of numbers:
 *   loss KIND LOGITS FROM_LOGITS SMOOTHING METRIC N ROWS C  y... target... weight...    ->  LOSS WEIGHT CORRECT COUNT SQUARED dy...
 *   update KIND LEARNING_RATE MOMENTUM NESTEROV CENTERED AMSGRAD WEIGHT_DECAY CLIPNORM CLIPVALUE L1 L2 STEPS COUNT  w... (g...) per step
 *                                                                                       ->  w...
 * KIND and METRIC are the numbers of the enums in tlvk.h. */
#include "ops/loss.h"
#include "ops/optimizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double next(void) {
    double v;
    if (scanf("%lf", &v) != 1) {
        fprintf(stderr, "dump_loss: the request ends early\n");
        exit(1);
    }
    return v;
}

static double *next_array(int64_t count) {
    double *v = tlvk__calloc((size_t)count, sizeof *v);
    if (!v)
        exit(1);
    for (int64_t i = 0; i < count; i++)
        v[i] = next();
    return v;
}

static void put(const double *v, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        printf("%.17g ", v[i]);
}

static tlvk_status loss(void) {
    tlvk__loss_reference r = {.loss.kind = (tlvk_loss_kind)next()};
    r.logits = next() != 0.0;
    r.loss.from_logits = next() != 0.0;
    r.loss.label_smoothing = (float)next();
    r.metric = (tlvk_metric_kind)next();
    r.n = (int64_t)next();
    r.rows = (int64_t)next();
    r.c = (int64_t)next();
    int64_t rows = r.n * r.rows;
    double *y = next_array(rows * r.c), *t = next_array(r.loss.kind == TLVK_SPARSE_CATEGORICAL_CROSSENTROPY ? rows : rows * r.c), *w = next_array(r.n);
    r.y = y;
    r.target = t;
    r.weight = w;
    r.dy = tlvk__calloc((size_t)(rows * r.c), sizeof(double));
    r.dy_e = tlvk__calloc((size_t)(rows * r.c), sizeof(double));
    tlvk_status s = r.dy && r.dy_e ? tlvk__loss_reference_run(&r) : TLVK_ERROR_MEMORY;
    if (!s) {
        put(r.metrics, TLVK__METRIC_SQUARED + 1);
        put(r.dy, rows * r.c);
    }
    void *all[] = {y, t, w, r.dy, r.dy_e};
    for (size_t i = 0; i < TLVK__COUNT(all); i++)
        free(all[i]);
    return s;
}

static tlvk_status update(void) {
    tlvk_optimizer desc = {.kind = (tlvk_optimizer_kind)next()}, o;
    desc.learning_rate = (float)next();
    desc.momentum = (float)next();
    desc.nesterov = next() != 0.0;
    desc.centered = next() != 0.0;
    desc.amsgrad = next() != 0.0;
    desc.weight_decay = (float)next();
    desc.clipnorm = (float)next();
    desc.clipvalue = (float)next();
    tlvk_regularizer reg = {(float)next(), 0};
    reg.l2 = (float)next();
    int64_t steps = (int64_t)next(), count = (int64_t)next();
    double *w = next_array(count), *slots[3];
    for (int i = 0; i < 3; i++)
        if (!(slots[i] = tlvk__calloc((size_t)count, sizeof(double))))
            exit(1);
    tlvk_status s = tlvk__optimizer_resolve(&desc, &o);
    for (int64_t step = 1; !s && step <= steps; step++) {
        double *g = next_array(count);
        tlvk__optimizer_reference(&o, step, (double)o.learning_rate, 1.0, reg, count, w, g, slots);
        free(g);
    }
    put(w, count);
    for (int i = 0; i < 3; i++)
        free(slots[i]);
    free(w);
    return s;
}

int main(void) {
    char word[16];
    while (scanf("%15s", word) == 1) {
        tlvk_status s = strcmp(word, "loss") == 0 ? loss() : strcmp(word, "update") == 0 ? update() : TLVK_ERROR_ARGUMENT;
        printf("\n");
        if (s) {
            fprintf(stderr, "dump_loss: %s: %s\n", word, tlvk__fail_text());
            return 1;
        }
    }
    return 0;
}
