#version 450
// y[oy][ox] = x[oy - top][ox - left] where that is inside, else 0: padding with top, left > 0, cropping with top, left < 0.
//@ variant-and-pairs-and-half texel -DTEXEL
//@ variant plain
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint ACCUMULATE = 0;
TLVK_READ_BUFFER(0, x);
TLVK_WRITE_BUFFER(1, y);
layout(push_constant) uniform Push { uint base[2]; uint items; uint columns; uint h, w, oh, ow; int top, left; };

void main() {
    uint i = tlvk_group_x() * 64 + gl_LocalInvocationID.x;
    if (i >= items)
        return;
    uint column = i % columns, t = i / columns;
    int ix = int(t % ow) - left;
    t /= ow;
    int iy = int(t % oh) - top;
    vec4 v = ACCUMULATE != 0 ? TLVK_READ_BACK(y, base[1] + i) : vec4(0.0);
    if (iy >= 0 && iy < int(h) && ix >= 0 && ix < int(w))
        v += TLVK_READ(x, int(base[0] + ((t / oh * h + uint(iy)) * w + uint(ix)) * columns + column));
    TLVK_WRITE(y, base[1] + i, v);
}
