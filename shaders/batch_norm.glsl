// batch_norm.glsl - what the kernels of BatchNormalization that walk whole tensors share: one invocation takes one vec4 column of a block of
// rows of one sample, columns running fastest, so that a column's vectors are read once for many rows.
// Needs push.columns, rows, blocks, block_rows. Where a tensor is a slice, its rows are more than `columns` vec4 apart: each has a number of its own, *_apart.
// `stats` has vectors of `columns` vec4: mean, 1/sqrt(variance + epsilon), gamma times that, beta, sum of dy, sum of dy * xhat.

struct Block { int column, row, count; }; // row: the block's first, counted through all samples

Block block_of(int item) {
    int p = item / push.columns, n = p / push.blocks, first = (p - n * push.blocks) * push.block_rows;
    Block b;
    b.column = item - p * push.columns;
    b.count = min(push.block_rows, push.rows - first);
    b.row = n * push.rows + first;
    return b;
}
