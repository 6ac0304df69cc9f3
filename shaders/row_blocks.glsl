// row_blocks.glsl - for kernels that walk whole tensors beside vectors of channels: one invocation takes one vec4 column of a block of rows of one sample,
// columns running fastest, so that a column's vectors are read, and the index divided, once for many rows.
// Needs push.columns, rows, blocks, block_rows. Where a tensor is a slice, its rows are more than `columns` vec4 apart: each has a number of its own, *_apart.

struct Block { int column, picture, row, count; }; // row: the block's first, counted through all samples

Block block_of(int item) {
    int p = item / push.columns, n = p / push.blocks, first = (p - n * push.blocks) * push.block_rows;
    Block b;
    b.column = item - p * push.columns;
    b.picture = n;
    b.count = min(push.block_rows, push.rows - first);
    b.row = n * push.rows + first;
    return b;
}
