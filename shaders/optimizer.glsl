// optimizer.glsl - what the shaders of the update share: the row of constants per block, and the gradient with the regularizers' part.

const uint TLVK_BLOCK_VEC4 = 256; // TLVK__BLOCK of engine/ops/optimizer.h, in vec4

struct BlockRow { float l1, l2, weight_decay, rate_factor, variable; uint reserved[3]; };

// d/dw of loss + l1 |w| + l2 w^2; the derivative of |w| at 0 is 0, as TensorFlow has it.
vec4 tlvk_regularized(vec4 g, vec4 w, BlockRow row) {
    return g + row.l1 * sign(w) + 2.0 * row.l2 * w;
}
