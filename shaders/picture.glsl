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
