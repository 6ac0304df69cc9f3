#version 450
// loss_scale.comp - one workgroup, between the sums of squared gradients and the update of a step in mixed precision: whether every gradient was finite,
// what that makes of the loss scale for the next step, and what the update needs: (applied, 1 / scale of this step, Adam's correction, 0).
// Rules: keras/src/optimizers/loss_scale_optimizer.py; Adam's correction: keras/src/optimizers/adam.py.
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "loss_scaling.glsl"

layout(local_size_x_id = 20) in;
layout(constant_id = 20) const uint WG = 256; // 128 on devices of no more
layout(constant_id = 0) const uint ADAM = 0;

const float GROWTH_STEPS = 2000.0, LARGEST = 16777216.0, SMALLEST = 1.0;

layout(binding = 0) readonly buffer Sums { vec4 sums[]; }; // of optimizer_sums.comp
layout(binding = 1) buffer Scaling { float scaling[]; };
layout(binding = 2) buffer Head { vec4 head[]; };

layout(push_constant) uniform Push { uint blocks, sums_base, scaling_base, head_base; float decay_1, decay_2; }; // bases in vec4 units

shared uint found[WG];

void main() {
    uint lane = gl_LocalInvocationID.x, s = scaling_base * 4;
    uint bad = 0;
    for (uint k = lane; k < blocks; k += WG)
        // Told by its bits, since compilers may assume finite numbers.
        bad |= (floatBitsToUint(sums[sums_base + k].x) & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
    found[lane] = bad;
    barrier();
    for (uint half_width = WG / 2; half_width > 0; half_width /= 2) {
        if (lane < half_width)
            found[lane] |= found[lane + half_width];
        barrier();
    }
    if (lane != 0)
        return;
    bool finite = found[0] == 0;
    float scale = scaling[s + TLVK_SCALE], inverse = scaling[s + TLVK_INVERSE], steps = finite ? scaling[s + TLVK_FINITE_STEPS] + 1.0 : 0.0, correction = 1.0;
    if (finite && ADAM != 0) {
        float power_1 = scaling[s + TLVK_POWER_1] * decay_1, power_2 = scaling[s + TLVK_POWER_2] * decay_2;
        scaling[s + TLVK_POWER_1] = power_1;
        scaling[s + TLVK_POWER_2] = power_2;
        correction = sqrt(1.0 - power_2) / (1.0 - power_1);
    }
    head[head_base] = vec4(finite ? 1.0 : 0.0, inverse, correction, 0.0);
    bool grows = steps >= GROWTH_STEPS, up = grows && scale < LARGEST, down = !finite && scale > SMALLEST;
    scaling[s + TLVK_SCALE] = up ? scale * 2.0 : down ? scale * 0.5 : scale;
    scaling[s + TLVK_INVERSE] = up ? inverse * 0.5 : down ? inverse * 2.0 : inverse;
    scaling[s + TLVK_FINITE_STEPS] = grows ? 0.0 : steps;
    scaling[s + TLVK_SKIPPED] += finite ? 0.0 : 1.0;
}
