// picture.glsl - draws and positions of the layers that vary pictures. The same sums, products and floors stand in engine/ops/picture.h and
// random_affine.c, each rounded once (`precise`), so that both sides read the same pixels.
#include "step_params.h"
#include "philox.glsl"

// A number uniform in [lower, lower + range).
float tlvk_uniform(float u, float lower, float range) {
    precise float part = u * range;
    precise float value = lower + part;
    return value;
}

// cos and sin of `turns` full turns: the quarter turn taken off exactly, then Taylor's series on an eighth of a turn to either side.
vec2 tlvk_cos_sin(float turns) {
    precise float quarters = floor(turns * 4.0 + 0.5);
    precise float away = quarters * 0.25;
    precise float rest = turns - away;
    precise float a = rest * 6.2831855;
    precise float aa = a * a;
    precise float s = aa * 2.7557319e-6;
    s = s - 1.9841270e-4;
    s = s * aa;
    s = s + 8.3333333e-3;
    s = s * aa;
    s = s - 0.16666667;
    s = s * aa;
    s = s * a;
    s = s + a;
    precise float k = aa * -2.7557319e-7;
    k = k + 2.4801587e-5;
    k = k * aa;
    k = k - 1.3888889e-3;
    k = k * aa;
    k = k + 0.041666667;
    k = k * aa;
    k = k - 0.5;
    k = k * aa;
    k = k + 1.0;
    int q = int(quarters) & 3;
    return q == 0 ? vec2(k, s) : q == 1 ? vec2(-s, k) : q == 2 ? vec2(-k, -s) : vec2(s, -k);
}
