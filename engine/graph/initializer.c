/* initializer.c - first values of variables. Hides: how Keras's initializers turn fans into a distribution, and how numbers are drawn from it.
 * Formulas: keras/src/initializers/random_initializers.py (VarianceScaling, compute_fans) and constant_initializers.py. */
#include "graph/internal.h"

#include <math.h>

/* Standard deviation of a standard normal cut at two deviations: VarianceScaling divides by it. */
#define TRUNCATED_DEVIATION 0.87962566103423978

typedef enum distribution_kind { FILL, UNIFORM, NORMAL, TRUNCATED } distribution_kind;
typedef struct distribution { distribution_kind kind; double mean, spread; } distribution; /* spread: half range or standard deviation */

static void compute_fans(const tlvk__variable_spec *spec, double *fan_in, double *fan_out) {
    const tlvk__shape *s = &spec->shape;
    double field = 1;
    for (int i = 0; i < s->rank - 2; i++)
        field *= (double)s->dim[i];
    *fan_in = *fan_out = s->rank == 1 ? (double)s->dim[0] : 1;
    if (s->rank >= 2) {
        *fan_in = field * (double)s->dim[s->rank - 2];
        *fan_out = field * (double)s->dim[s->rank - 1];
    }
    if (spec->fan_in > 0)
        *fan_in = (double)spec->fan_in;
    if (spec->fan_out > 0)
        *fan_out = (double)spec->fan_out;
}

enum { FAN_IN, FAN_OUT, FAN_AVG };
enum { SCALED_TRUNCATED, SCALED_NORMAL, SCALED_UNIFORM };

static distribution variance_scaling(const tlvk__variable_spec *spec, double scale, int mode, int kind) {
    double fan_in, fan_out;
    compute_fans(spec, &fan_in, &fan_out);
    double fan = mode == FAN_IN ? fan_in : mode == FAN_OUT ? fan_out : (fan_in + fan_out) / 2;
    scale /= fmax(1, fan);
    if (kind == SCALED_TRUNCATED)
        return (distribution){TRUNCATED, 0, sqrt(scale) / TRUNCATED_DEVIATION};
    if (kind == SCALED_NORMAL)
        return (distribution){NORMAL, 0, sqrt(scale)};
    return (distribution){UNIFORM, 0, sqrt(3 * scale)};
}

static distribution distribution_of(const tlvk__variable_spec *spec) {
    const tlvk__initializer *init = &spec->initializer;
    switch (init->kind) {
    case TLVK_INIT_DEFAULT: /* add_weight's default */
    case TLVK_GLOROT_UNIFORM: return variance_scaling(spec, 1, FAN_AVG, SCALED_UNIFORM);
    case TLVK_GLOROT_NORMAL: return variance_scaling(spec, 1, FAN_AVG, SCALED_TRUNCATED);
    case TLVK_HE_UNIFORM: return variance_scaling(spec, 2, FAN_IN, SCALED_UNIFORM);
    case TLVK_HE_NORMAL: return variance_scaling(spec, 2, FAN_IN, SCALED_TRUNCATED);
    case TLVK_LECUN_UNIFORM: return variance_scaling(spec, 1, FAN_IN, SCALED_UNIFORM);
    case TLVK_LECUN_NORMAL: return variance_scaling(spec, 1, FAN_IN, SCALED_TRUNCATED);
    case TLVK_VARIANCE_SCALING: return variance_scaling(spec, (double)init->value, init->mode, init->distribution);
    case TLVK_ZEROS: return (distribution){FILL, 0, 0};
    case TLVK_ONES: return (distribution){FILL, 1, 0};
    case TLVK_CONSTANT: return (distribution){FILL, (double)init->value, 0};
    case TLVK_RANDOM_UNIFORM: return (distribution){UNIFORM, (double)init->mean, (double)init->value};
    case TLVK_RANDOM_NORMAL: return (distribution){NORMAL, (double)init->mean, (double)init->value};
    case TLVK_TRUNCATED_NORMAL: return (distribution){TRUNCATED, (double)init->mean, (double)init->value};
    }
    return (distribution){FILL, 0, 0};
}

/* Two independent standard normal numbers: Box and Muller, 1958, from 32-bit words, which reach 6.6 deviations. */
static void normal_pair(tlvk__rng *rng, double z[2]) {
    double radius = sqrt(-2 * log(((double)tlvk__rng_u32(rng) + 1) * 0x1p-32));
    double angle = 6.283185307179586476925286766559 * 0x1p-32 * (double)tlvk__rng_u32(rng);
    z[0] = radius * cos(angle);
    z[1] = radius * sin(angle);
}

void tlvk__initialize(const tlvk__variable_spec *spec, size_t elements, uint64_t seed, uint64_t stream, float *values) {
    distribution d = distribution_of(spec);
    tlvk__rng rng;
    tlvk__rng_seed(&rng, seed, stream);
    if (d.kind == FILL) {
        for (size_t i = 0; i < elements; i++)
            values[i] = (float)d.mean;
    } else if (d.kind == UNIFORM) { /* 24 bits, as many as a float holds */
        for (size_t i = 0; i < elements; i++)
            values[i] = (float)(d.mean + d.spread * ((double)(tlvk__rng_u32(&rng) >> 8) * 0x1p-23 - 1));
    } else {
        double z[2];
        for (size_t i = 0; i < elements;) {
            normal_pair(&rng, z);
            for (int k = 0; k < 2 && i < elements; k++)
                if (d.kind == NORMAL || fabs(z[k]) < 2) /* beyond two deviations it is drawn again, as TensorFlow does */
                    values[i++] = (float)(d.mean + d.spread * z[k]);
        }
    }
}
