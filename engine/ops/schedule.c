/* schedule.c - the learning rate of a step, by schedule or by how the loss falls. Host only: the device reads the rate from step_params. */
#include "ops/optimizer.h"

#include <math.h>

#define PI 3.14159265358979323846
#define PLATEAU_MIN_DELTA 1e-4

double tlvk__schedule_rate(const tlvk_optimizer *o, int64_t step, int64_t total_steps, double current) {
    const tlvk_schedule *s = &o->schedule;
    double rate = (double)o->learning_rate, alpha = (double)s->alpha;
    double steps = (double)TLVK__MAX(s->decay_steps > 0 ? s->decay_steps : total_steps, 1);
    switch (s->kind) {
    case TLVK_SCHEDULE_COSINE: return rate * ((1.0 - alpha) * 0.5 * (1.0 + cos(PI * fmin((double)step, steps) / steps)) + alpha);
    case TLVK_SCHEDULE_EXPONENTIAL: return rate * pow((double)s->decay_rate, (double)step / steps);
    case TLVK_SCHEDULE_PLATEAU: return current;
    default: return rate;
    }
}

void tlvk__plateau_begin(tlvk__plateau *p, const tlvk_optimizer *o) {
    *p = (tlvk__plateau){.rate = (double)o->learning_rate};
}

bool tlvk__plateau_epoch_end(tlvk__plateau *p, const tlvk_optimizer *o, double metric) {
    double lowest = (double)o->schedule.min_lr;
    if (!p->seen || metric + PLATEAU_MIN_DELTA < p->best) {
        p->best = metric;
        p->seen = 1;
        p->wait = 0;
        return false;
    }
    if (++p->wait < o->schedule.patience || !(p->rate > lowest))
        return false;
    /* Keras keeps the rate as float32. */
    p->rate = (double)(float)fmax(p->rate * (double)o->schedule.factor, lowest);
    p->wait = 0;
    return true;
}
