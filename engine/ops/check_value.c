/* check_value.c - making, filling and comparing the tensors of a check. */
#include "ops/check_value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void tlvk__value_destroy(tlvk__value *a) {
    for (int i = 0; a->buffers && i < a->t.segment_count; i++)
        tlvk__buffer_destroy(a->buffers[i]);
    free(a->buffers);
    free(a->segments);
    free(a->v);
    free(a->e);
    free(a->upload);
    free(a->result);
    free(a->again);
    *a = (tlvk__value){0};
}

tlvk_status tlvk__value_create(tlvk__device *d, const char *name, const tlvk__shape *shape, bool variable, tlvk__layout layout, int64_t segment_n,
                               tlvk__value *out) {
    tlvk__value a = {.shape = *shape, .variable = variable, .layout = layout};
    snprintf(a.name, sizeof a.name, "%s", name);
    uint64_t sample = 0, bytes = 0;
    int64_t dense = 0;
    tlvk_status s = variable ? tlvk__variable_layout(shape, layout, &a.t) : tlvk__tensor_from_shape(shape, &a.t);
    if (s)
        return s;
    if (!tlvk__shape_elements(shape, &dense) || !tlvk__tensor_bytes(&a.t, &bytes))
        return tlvk__fail(TLVK_ERROR_MEMORY, "%s is larger than any memory", name);
    sample = bytes / (uint64_t)a.t.n;
    uint64_t limit = tlvk__device_caps(d)->max_allocation_bytes;
    int64_t fit = (int64_t)TLVK__MAX((limit - TLVK__MIN(limit, 256)) / sample, 1);
    a.t.segment_n = TLVK__MIN(a.t.n, variable || segment_n <= 0 ? fit : TLVK__MIN(segment_n, fit));
    a.t.segment_count = (int)tlvk__div_up(a.t.n, a.t.segment_n);
    a.dense_count = (size_t)dense;
    a.padded_count = (size_t)(bytes / sizeof(float));
    a.buffers = tlvk__calloc((size_t)a.t.segment_count, sizeof(tlvk__buffer *));
    a.segments = tlvk__calloc((size_t)a.t.segment_count, sizeof(tlvk__span));
    a.v = tlvk__calloc(a.dense_count, sizeof(double));
    a.e = tlvk__calloc(a.dense_count, sizeof(double));
    a.upload = tlvk__calloc(a.padded_count, sizeof(float));
    a.result = tlvk__calloc(a.padded_count, sizeof(float));
    a.again = tlvk__calloc(a.padded_count, sizeof(float));
    a.t.segments = a.segments;
    if (!a.buffers || !a.segments || !a.v || !a.e || !a.upload || !a.result || !a.again)
        s = tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a check of %zu floats", a.padded_count);
    for (int i = 0; !s && i < a.t.segment_count; i++) {
        uint64_t size = (uint64_t)TLVK__MIN(a.t.segment_n, a.t.n - i * a.t.segment_n) * sample;
        s = tlvk__buffer_create(d, TLVK__BUFFER_DEVICE, size + 256, name, &a.buffers[i]);
        a.segments[i] = (tlvk__span){a.buffers[i], 256, size};
    }
    if (s)
        tlvk__value_destroy(&a);
    else
        *out = a;
    return s;
}

static void pad(const tlvk__value *a, const float *dense, float *padded) {
    if (a->variable)
        tlvk__variable_pack(&a->shape, a->layout, dense, padded);
    else
        tlvk__activation_pack(&a->t, a->t.n, dense, padded);
}

void tlvk__value_unpad(const tlvk__value *a, const float *padded, float *dense) {
    if (a->variable)
        tlvk__variable_unpack(&a->shape, a->layout, padded, dense);
    else
        tlvk__activation_unpack(&a->t, a->t.n, padded, dense);
}

tlvk_status tlvk__value_set_upload(tlvk__value *a) {
    float *dense = tlvk__calloc(a->dense_count, sizeof(float));
    if (!dense)
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a check of %zu floats", a->dense_count);
    for (size_t i = 0; i < a->dense_count; i++)
        dense[i] = (float)a->v[i];
    pad(a, dense, a->upload);
    free(dense);
    return TLVK_OK;
}

tlvk_status tlvk__value_halve(tlvk__value *a) {
    a->t.half = true;
    for (size_t i = 0; i < a->dense_count; i++)
        a->v[i] = (double)tlvk__float_of_half(tlvk__half_of((float)a->v[i]));
    return tlvk__value_set_upload(a);
}

void tlvk__value_random(tlvk__value *a, tlvk__rng *rng, double low, double high) {
    for (size_t i = 0; i < a->dense_count; i++)
        a->v[i] = (float)(low + (high - low) * tlvk__rng_uniform(rng));
}

void tlvk__value_distinct(tlvk__value *a, tlvk__rng *rng) {
    for (size_t i = 0; i < a->dense_count; i++)
        a->v[i] = (float)((2.0 * (double)i + 1) / (double)a->dense_count - 1);
    for (size_t i = a->dense_count; i > 1; i--) {
        size_t j = (size_t)tlvk__rng_below(rng, i);
        double t = a->v[i - 1];
        a->v[i - 1] = a->v[j];
        a->v[j] = t;
    }
}

void tlvk__value_poison(tlvk__value *a) {
    const uint32_t bits = TLVK__NAN_BITS;
    for (size_t i = 0; i < a->padded_count; i++)
        memcpy(&a->upload[i], &bits, sizeof bits);
}

tlvk__ref_tensor tlvk__value_ref(tlvk__value *a, bool error) {
    return (tlvk__ref_tensor){.shape = a->shape, .v = a->v, .e = error ? a->e : NULL};
}

void tlvk__check_wrong(tlvk__check *result, const char *format, ...) {
    if (!result->ok)
        return;
    result->ok = false;
    va_list args;
    va_start(args, format);
    vsnprintf(result->message, sizeof result->message, format, args);
    va_end(args);
}

tlvk_status tlvk__value_compare(tlvk__check *result, const tlvk__value *a, const double *prior, const char *when) {
    float *dense = tlvk__calloc(a->dense_count, sizeof(float)), *repadded = tlvk__calloc(a->padded_count, sizeof(float));
    if (!dense || !repadded) {
        free(dense);
        free(repadded);
        return tlvk__fail(TLVK_ERROR_MEMORY, "no memory for a check of %zu floats", a->padded_count);
    }
    tlvk__value_unpad(a, a->result, dense);
    pad(a, dense, repadded);
    for (size_t i = 0; i < a->padded_count; i++)
        if (repadded[i] == 0 && !(a->result[i] == 0)) {
            tlvk__check_wrong(result, "%s, %s: float %zu of the padded tensor is %g; lanes behind the last channel must be zero", when, a->name, i, (double)a->result[i]);
            break;
        }
    for (size_t i = 0; i < a->dense_count; i++) {
        double expected = a->v[i] + (prior ? prior[i] : 0), bound = a->e[i];
        if (prior) /* one rounding for each piece of samples that adds its share */
            bound += 2 * TLVK__U * sqrt((double)TLVK__MAX(a->pieces, 1)) * (fabs(prior[i]) + fabs(a->v[i]));
        double error = (double)dense[i] == expected ? 0 : fabs((double)dense[i] - expected); /* equal where both are infinite */
        double share = bound > 0 ? error / bound : error > 0 ? INFINITY : 0;
        if (isnan(error) || share > result->worst) {
            result->worst = isnan(error) ? INFINITY : share;
            result->max_error = error;
            result->bound = bound;
        }
        if (!(error <= bound))
            tlvk__check_wrong(result, "%s, %s[%zu]: device %.9g, expected %.9g, error %.3g, bound %.3g", when, a->name, i, (double)dense[i], expected, error, bound);
    }
    free(dense);
    free(repadded);
    return TLVK_OK;
}

void tlvk__value_compare_bits(tlvk__check *result, const tlvk__value *a, const char *when) {
    if (memcmp(a->result, a->again, a->padded_count * sizeof(float)) != 0)
        tlvk__check_wrong(result, "%s, %s: two runs gave different bits", when, a->name);
}

void tlvk__value_compare_rounded(tlvk__check *result, const tlvk__value *a, const float *full, const char *when) {
    for (size_t i = 0; i < a->padded_count; i++) {
        float rounded = tlvk__float_of_half(tlvk__half_of(full[i]));
        if (memcmp(&rounded, &a->result[i], sizeof rounded) == 0)
            continue;
        tlvk__check_wrong(result, "%s, %s: float %zu of the padded tensor is %.9g in fp16, %.9g in fp32", when, a->name, i, (double)a->result[i], (double)full[i]);
        return;
    }
}
