/* optimizer_reference.c - the optimizers of optimizer.c in double precision, one variable at a time.
 * Formulas: keras/src/optimizers/{adam,adamw,sgd,rmsprop,base_optimizer}.py. */
#include "ops/optimizer.h"

#include <math.h>

/* Constants written in decimals, held as float: the decimals come back, as Keras's Python has them. */
static double decimal(float v) {
    double d = round((double)v * 1e7) / 1e7;
    return (float)d == v ? d : (double)v;
}

static void adam(const tlvk_optimizer *o, int64_t step, double rate, double g, int64_t i, double *w, double *const slots[3]) {
    /* The powers as adam.py has them, rounded to float32. */
    double power_1 = (double)(float)pow((double)o->beta_1, (double)step), power_2 = (double)(float)pow((double)o->beta_2, (double)step);
    double alpha = rate * sqrt(1.0 - power_2) / (1.0 - power_1), *m = &slots[0][i], *v = &slots[1][i];
    *m += (g - *m) * (1.0 - decimal(o->beta_1));
    *v += (g * g - *v) * (1.0 - decimal(o->beta_2));
    double root = *v;
    if (o->amsgrad)
        root = slots[2][i] = fmax(slots[2][i], *v);
    *w -= *m * alpha / (sqrt(root) + (double)o->epsilon);
}

static void sgd(const tlvk_optimizer *o, double rate, double g, int64_t i, double *w, double *const slots[3]) {
    double momentum = decimal(o->momentum);
    if (!(momentum > 0.0)) {
        *w -= g * rate;
        return;
    }
    double m = slots[0][i] = slots[0][i] * momentum - g * rate;
    *w += o->nesterov ? m * momentum - g * rate : m;
}

static void rmsprop(const tlvk_optimizer *o, double rate, double g, int64_t i, double *w, double *const slots[3]) {
    double rho = decimal(o->rho), momentum = decimal(o->momentum);
    double v = slots[0][i] = rho * slots[0][i] + (1.0 - rho) * g * g, under_root = v + (double)o->epsilon;
    if (o->centered) {
        double *average = &slots[momentum > 0.0 ? 2 : 1][i];
        *average = rho * *average + (1.0 - rho) * g;
        under_root = v - *average * *average + (double)o->epsilon;
    }
    double increment = rate * g / sqrt(under_root);
    if (momentum > 0.0)
        increment = slots[1][i] = momentum * slots[1][i] + increment;
    *w -= increment;
}

static double regularized(tlvk_regularizer reg, double w, double g) {
    return g + (double)reg.l1 * ((w > 0.0) - (w < 0.0)) + 2.0 * (double)reg.l2 * w;
}

void tlvk__optimizer_reference(const tlvk_optimizer *o, int64_t step, double learning_rate, double norm_scale, tlvk_regularizer reg, int64_t count,
                               double *w, const double *g, double *slots[3]) {
    double scale = norm_scale, limit = (double)o->clipvalue, norm = 0.0;
    if (o->clipnorm > 0.0f) {
        for (int64_t i = 0; i < count; i++)
            norm += regularized(reg, w[i], g[i]) * regularized(reg, w[i], g[i]);
        scale = (double)o->clipnorm / fmax(sqrt(norm), (double)o->clipnorm);
    }
    for (int64_t i = 0; i < count; i++) {
        double gradient = regularized(reg, w[i], g[i]) * scale;
        if (limit > 0.0)
            gradient = fmin(fmax(gradient, -limit), limit);
        w[i] -= w[i] * (double)o->weight_decay * learning_rate;
        if (o->kind == TLVK_SGD)
            sgd(o, learning_rate, gradient, i, &w[i], slots);
        else if (o->kind == TLVK_RMSPROP)
            rmsprop(o, learning_rate, gradient, i, &w[i], slots);
        else
            adam(o, step, learning_rate, gradient, i, &w[i], slots);
    }
}
