#version 450
// dz = dy * f' * scale[c]; f' from what stands in T: the input x (FROM_X) or the output y. dz may be dy. One vec4 per invocation.
// SLICED: one of them is a slice, whose rows are more than `columns` vec4 apart.
//@ variant texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "activation.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const int KIND = 0;
layout(constant_id = 1) const uint FROM_X = 0;
layout(constant_id = 2) const uint SCALED = 0;
layout(constant_id = 3) const uint ACCUMULATE = 0;
layout(constant_id = 4) const uint SLICED = 0;
TLVK_READ_BUFFER_IN_PLACE(0, t);
TLVK_READ_BUFFER_IN_PLACE(1, dy);
layout(binding = 2) readonly buffer Scale { vec4 scale[]; };
layout(binding = 3) buffer Dz { vec4 dz[]; };
layout(push_constant) uniform Push { uint base[4]; uint items; uint columns; float alpha; float max_value; float threshold; uint t_apart; uint dy_apart; uint dz_apart; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = SLICED != 0 || SCALED != 0 ? i % columns : 0, row = i / columns;
    uint t_at = base[0] + (SLICED != 0 ? row * t_apart + column : i), dy_at = base[1] + (SLICED != 0 ? row * dy_apart + column : i);
    uint dz_at = base[3] + (SLICED != 0 ? row * dz_apart + column : i);
    vec4 v = TLVK_READ(dy, int(dy_at));
    if (KIND != TLVK_ACT_LINEAR) {
        vec4 s = TLVK_READ(t, int(t_at));
        for (int k = 0; k < 4; k++)
            s[k] = FROM_X != 0 ? tlvk_activation_slope(KIND, alpha, max_value, threshold, s[k])
                               : tlvk_activation_slope_from_y(KIND, alpha, max_value, threshold, s[k]);
        v *= s;
    }
    if (SCALED != 0)
        v *= scale[base[2] + column];
    if (ACCUMULATE != 0)
        v += dz[dz_at];
    dz[dz_at] = v;
}
