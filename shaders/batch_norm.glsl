// batch_norm.glsl - the slope of the activation behind a BatchNormalization, for its backward passes: told from x.
// Needs the specialization constant KIND and the push constants alpha, max_value, threshold.
#include "activation.glsl"

// dy before the activation. The number the activation was taken of is made as in batch_norm_apply.comp.
vec4 batch_norm_before_activation(vec4 dy, vec4 x, vec4 mean, vec4 scale, vec4 shift) {
    if (KIND == TLVK_ACT_LINEAR)
        return dy;
    precise vec4 z = (x - mean) * scale + shift;
    for (int lane = 0; lane < 4; lane++)
        dy[lane] *= tlvk_activation_slope(KIND, alpha, max_value, threshold, z[lane]);
    return dy;
}
