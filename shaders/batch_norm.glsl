// batch_norm.glsl - what the kernels of BatchNormalization share: their walk is that of row_blocks.glsl, and
// `stats` has vectors of `columns` vec4: mean, 1/sqrt(variance + epsilon), gamma times that, beta, sum of dy, sum of dy * xhat.
#include "row_blocks.glsl"
