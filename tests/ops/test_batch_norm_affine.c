/* test_batch_norm_affine.c - a BatchNormalization in inference mode as scale and shift of the operation before it: every mix of gamma,
 * beta and bias against the same in double. */
#include "ops/attrs.h"
#include "support/device.h"

#define C 7

typedef struct vector { float v[8]; test_floats f; tlvk__tensor t; } vector;

static void make(vector *a, tlvk__device *d, float first, float step) {
    memset(a->v, 0, sizeof a->v);
    for (int i = 0; i < C; i++)
        a->v[i] = first + step * (float)i;
    a->f = test_floats_from(d, a->v, 8);
    assert_ok(tlvk__variable_layout(&(tlvk__shape){1, {C}}, TLVK__LAYOUT_VECTOR, &a->t));
    a->t.segments = &a->f.span;
    a->t.segment_n = 1;
    a->t.segment_count = 1;
}

static void one_mix(tlvk__device *d, bool gamma, bool beta, bool bias) {
    vector in[5], out[2]; /* gamma, beta, mean, variance, bias; scale, shift */
    make(&in[0], d, 0.5f, -0.2f);
    make(&in[1], d, -1, 0.3f);
    make(&in[2], d, 2, -0.7f);
    make(&in[3], d, 0.01f, 0.4f);
    make(&in[4], d, 0.3f, 0.1f);
    make(&out[0], d, NAN, 0);
    make(&out[1], d, NAN, 0);
    tlvk__batch_normalization_attrs attrs;
    memset(&attrs, 0, sizeof attrs);
    tlvk__op_batch_normalization.defaults(&attrs);
    const tlvk__tensor *w[4] = {gamma ? &in[0].t : NULL, beta ? &in[1].t : NULL, &in[2].t, &in[3].t};
    tlvk__recorder *r;
    tlvk__recording *rec;
    assert_ok(tlvk__recorder_create(d, NULL, &r));
    assert_ok(tlvk__record_batch_norm_affine(r, &attrs, w, bias ? &in[4].t : NULL, &out[0].t, &out[1].t, "test"));
    assert_ok(tlvk__recorder_finish(r, &rec));
    assert_ok(tlvk__recording_run(rec));
    tlvk__recording_destroy(rec);
    for (int k = 0; k < 2; k++)
        assert_ok(tlvk__tensor_read(d, &out[k].t, out[k].v));
    for (int i = 0; i < 8; i++) {
        double scale = (gamma ? (double)in[0].v[i] : 1) / sqrt((double)in[3].v[i] + (double)attrs.epsilon);
        double offset = (bias ? (double)in[4].v[i] : 0) - (double)in[2].v[i], shift = (beta ? (double)in[1].v[i] : 0) + offset * scale;
        double bound = 16 * 0x1p-24 * (fabs(scale) * (1 + fabs((double)in[4].v[i]) + fabs((double)in[2].v[i])) + fabs((double)in[1].v[i]));
        assert_true(i < C ? fabs((double)out[0].v[i] - scale) <= bound : out[0].v[i] == 0);
        assert_true(i < C ? fabs((double)out[1].v[i] - shift) <= bound : out[1].v[i] == 0);
    }
    for (int k = 0; k < 5; k++)
        tlvk__buffer_destroy(in[k].f.buffer);
    for (int k = 0; k < 2; k++)
        tlvk__buffer_destroy(out[k].f.buffer);
}

static void every_mix(void **state) {
    (void)state;
    tlvk__device *d = test_device();
    for (int mix = 0; mix < 8; mix++)
        one_mix(d, mix & 1, mix & 2, mix & 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_mix)};
    return cmocka_run_group_tests(tests, test_device_setup, test_device_teardown);
}
