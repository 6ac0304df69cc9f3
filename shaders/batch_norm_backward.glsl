// batch_norm_backward.glsl - the gradient before the activation, which is told from x as forward made it: dz = dy * f'(z).
layout(constant_id = 0) const int KIND = 0;

vec4 gradient_before(vec4 dy, vec4 centered, vec4 scale, vec4 shift) {
    if (KIND == TLVK_ACT_LINEAR)
        return dy;
    precise vec4 z = centered * scale + shift;
    for (int k = 0; k < 4; k++)
        z[k] = tlvk_activation_slope(KIND, push.alpha, push.max_value, push.threshold, z[k]);
    return dy * z;
}
