#version 450
// Maximum or mean over all pixels. A workgroup takes 8 vec4 columns of one sample; 8 invocations share a column's rows, and their results
// join in a fixed tree: how a sample is summed depends on its shape alone.
//@ variant max_texel -DMAXIMUM=1 -DTEXEL
//@ variant max_plain -DMAXIMUM=1
//@ variant average_texel -DMAXIMUM=0 -DTEXEL
//@ variant average_plain -DMAXIMUM=0
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x = 64) in;
TLVK_READ_BUFFER(0, x);
layout(binding = 1) writeonly buffer Y { vec4 y[]; };
layout(push_constant) uniform Push { uint base[2]; uint items; uint columns; uint rows; };

shared vec4 part[64];

void main() {
    uint group = tlvk_group_x(), lane = gl_LocalInvocationID.x;
    if (group >= items)
        return;
    uint blocks = (columns + 7) / 8, n = group / blocks, column = group % blocks * 8 + lane % 8;
    vec4 v = vec4(MAXIMUM != 0 ? uintBitsToFloat(0xff800000u) : 0.0);
    if (column < columns)
        for (uint row = lane / 8; row < rows; row += 8) {
            vec4 s = TLVK_READ(x, int(base[0] + (n * rows + row) * columns + column));
            v = MAXIMUM != 0 ? max(v, s) : v + s;
        }
    part[lane] = v;
    for (uint reach = 32; reach >= 8; reach /= 2) {
        barrier();
        if (lane < reach)
            part[lane] = MAXIMUM != 0 ? max(part[lane], part[lane + reach]) : part[lane] + part[lane + reach];
    }
    if (lane < 8 && column < columns)
        y[base[1] + n * columns + column] = MAXIMUM != 0 ? part[lane] : part[lane] / float(rows);
}
