#version 450
// y = f(x), element by element; y may be x. One vec4 per invocation.
//@ variant-and-half texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"
#include "activation.glsl"
#include "lanes.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const int KIND = 0;
layout(constant_id = 1) const uint MASK = 0; // c is no multiple of 4: f(0) must not show in the lanes behind it
TLVK_READ_BUFFER_IN_PLACE(0, x);
writeonly TLVK_WRITE_BUFFER(1, y);
layout(push_constant) uniform Push { uint base[2]; uint items; uint c; uint columns; float alpha; float max_value; float threshold; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    vec4 v = TLVK_READ(x, int(base[0] + i));
    for (int k = 0; k < 4; k++)
        v[k] = tlvk_activate(KIND, alpha, max_value, threshold, v[k]);
    TLVK_WRITE(y, base[1] + i, MASK != 0 ? tlvk_keep_channels(v, i % columns, c) : v);
}
