#version 450
// Joins the partials of a column in a fixed order (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing
// sample variances", 1979), moves the moving statistics, and leaves what the other kernels read per column:
// stats[j], [columns + j], [2 columns + j], [3 columns + j] = mean, 1/sqrt(variance + epsilon), gamma times that, beta.
// A workgroup takes 8 columns, 8 invocations share a column's partials. The variance is the biased one, in the moving average too (Keras 3).
//@ variant -
//@ variant few -DTEXEL
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "buffers.glsl"

layout(local_size_x = 64) in;
layout(constant_id = 0) const uint HAS_GAMMA = 0;
layout(constant_id = 1) const uint HAS_BETA = 0;
layout(binding = 0) readonly buffer Part { vec4 part[]; };
TLVK_READ_BUFFER(1, gamma);
TLVK_READ_BUFFER(2, beta);
layout(binding = 3) buffer MovingMean { vec4 moving_mean[]; };
layout(binding = 4) buffer MovingVariance { vec4 moving_variance[]; };
layout(binding = 5) writeonly buffer Stats { vec4 stats[]; };
layout(push_constant) uniform Push {
    uint base[6]; uint items; uint columns; uint partials; uint rows; uint blocks; uint block_rows; float momentum; float epsilon;
};

shared vec4 means[64];
shared vec4 squares[64];
shared float counts[64];

void join(inout float count, inout vec4 mean, inout vec4 square, float count_b, vec4 mean_b, vec4 square_b) {
    if (count_b == 0.0)
        return;
    float total = count + count_b;
    vec4 delta = mean_b - mean;
    mean += delta * (count_b / total);
    square += square_b + delta * delta * (count * (count_b / total));
    count = total;
}

void main() {
    uint group = tlvk_group_x(), lane = gl_LocalInvocationID.x, column = group * 8 + lane % 8;
    if (group >= items)
        return;
    bool inside = column < columns;
    float count = 0.0;
    vec4 mean = vec4(0.0), square = vec4(0.0);
    for (uint p = lane / 8; inside && p < partials; p += 8) {
        uint at = base[0] + (p * columns + column) * 2;
        join(count, mean, square, float(min(block_rows, rows - p % blocks * block_rows)), part[at], part[at + 1]);
    }
    means[lane] = mean;
    squares[lane] = square;
    counts[lane] = count;
    for (uint reach = 32; reach >= 8; reach /= 2) {
        barrier();
        if (lane < reach) {
            join(count, mean, square, counts[lane + reach], means[lane + reach], squares[lane + reach]);
            means[lane] = mean;
            squares[lane] = square;
            counts[lane] = count;
        }
    }
    if (lane >= 8 || !inside)
        return;
    vec4 variance = square / count, rstd = 1.0 / sqrt(variance + epsilon);
    moving_mean[base[3] + column] = moving_mean[base[3] + column] * momentum + mean * (1.0 - momentum);
    moving_variance[base[4] + column] = moving_variance[base[4] + column] * momentum + variance * (1.0 - momentum);
    uint to = base[5] + column;
    stats[to] = mean;
    stats[to + columns] = rstd;
    stats[to + 2 * columns] = HAS_GAMMA != 0 ? TLVK_READ(gamma, int(base[1] + column)) * rstd : rstd;
    stats[to + 3 * columns] = HAS_BETA != 0 ? TLVK_READ(beta, int(base[2] + column)) : vec4(0.0);
}
