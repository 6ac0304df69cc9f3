/* picture.c - draws and checks of the layers that vary pictures. */
#include "ops/picture.h"
#include "ops/rescaling.h"

tlvk__draws tlvk__picture_draws(const tlvk__step_params *step, uint32_t stream, int64_t sample) {
    tlvk__philox_out block = tlvk__philox((tlvk__philox_key){{step->seed[0], step->seed[1]}}, (uint64_t)(uint32_t)sample | (uint64_t)stream << 32,
                                          (uint64_t)step->step[0] | (uint64_t)step->step[1] << 32);
    tlvk__draws d;
    for (int i = 0; i < 4; i++)
        d.u[i] = (float)(block.v[i] >> 8) * 0x1p-24f;
    return d;
}

tlvk_status tlvk__picture_params(const tlvk__op_call *call, tlvk__span *params, tlvk__tensor *tensor) {
    *params = (tlvk__span){call->step_params.buffer, call->step_params.offset, sizeof(tlvk__step_params)};
    *tensor = tlvk__span_tensor(params, 1, 1, sizeof(tlvk__step_params) / sizeof(float));
    if (params->offset % sizeof(tlvk__step_params) != 0)
        return tlvk__fail(TLVK_ERROR_INTERNAL, "the step's parameters are not aligned to %zu bytes", sizeof(tlvk__step_params));
    return TLVK_OK;
}

bool tlvk__picture_view(const void *attrs, bool training, const tlvk__tensor *x, const tlvk__tensor *y) {
    (void)attrs, (void)x, (void)y;
    return !training;
}

tlvk_status tlvk__picture_copy(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *from, const tlvk__tensor *to, bool accumulate) {
    return tlvk__record_affine(r, &(tlvk__affine){"copy", call->layer, tlvk__one_float(1), tlvk__one_float(0)}, from, to, accumulate);
}

tlvk_status tlvk__picture_shape(const char *class_name, int inputs, const tlvk__shape *x, tlvk__shape *y) {
    tlvk_status s = tlvk__expect_image(class_name, inputs, x);
    if (!s)
        *y = *x;
    return s;
}

tlvk_status tlvk__picture_factor(const char *class_name, const char *key, const float factor[2], float least, float most) {
    if (factor[0] >= least && factor[1] <= most && factor[0] <= factor[1])
        return TLVK_OK;
    return tlvk__fail(TLVK_ERROR_ARGUMENT, "%s: its %s is (%g, %g); two numbers from %g to %g, the smaller one first, were expected", class_name, key,
                      (double)factor[0], (double)factor[1], (double)least, (double)most);
}
