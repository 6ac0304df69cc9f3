// gemm_core_coop.glsl - the tile core for devices with cooperative matrices of fp16 and fp32 sums (VK_KHR_cooperative_matrix); see gemm_tile.glsl.
// A and B are fp32 in memory, rounded to fp16 on their way through shared memory; C is fp32. SUBGROUPS_X subgroups stand beside each other along the
// columns, the others below them; each makes RM x RN matrices of CM x CN. The next chunk is read while the products of this one are made.
#ifdef A_BY_ROWS_OF_K
const int A_LINE = TILE_ROWS / 4 + 2; // f16vec4 from line to line; the 2 spread the banks and keep 16 bytes
shared f16vec4 a_tile[KC * A_LINE];
#else
const int A_LINE = K_VECS + 2;
shared f16vec4 a_tile[TILE_ROWS * A_LINE];
#endif
#ifdef B_BY_COLUMNS
const int B_LINE = K_VECS + 2;
shared f16vec4 b_tile[4 * TILE_VECS * B_LINE];
#else
const int B_LINE = TILE_VECS + 2;
shared f16vec4 b_tile[KC * B_LINE];
#endif
const int C_VECS = CM * CN / 4;       // vec4 of one matrix of C
shared vec4 c_tile[WG / SG * C_VECS]; // one matrix per subgroup, on its way out

// An activation beyond fp16 stays at its largest number. A gradient becomes infinite, and the step that sees it is left out.
#if defined(EPILOGUE) || defined(A_BY_ROWS_OF_K)
f16vec4 a_half(vec4 v) { return f16vec4(clamp(v, -65504.0, 65504.0)); }
#else
f16vec4 a_half(vec4 v) { return f16vec4(v); }
#endif

coopmat<float, gl_ScopeSubgroup, CM, CN, gl_MatrixUseAccumulator> acc[RM * RN];
vec4 a_next_slots[A_SLOTS], b_next_slots[B_SLOTS];

int matrix_row() { return int(gl_SubgroupID) / SUBGROUPS_X * RM * CM; }
int matrix_column() { return int(gl_SubgroupID) % SUBGROUPS_X * RN * CN; }

void read_chunk(int chunk, int col0) {
    [[unroll]] for (int q = 0; q < A_SLOTS; q++)
        a_next_slots[q] = a_load(q);
    a_next();
    [[unroll]] for (int q = 0; q < B_SLOTS; q++) {
        int element = q * TILE_LANES + tile_lane();
#ifdef B_BY_COLUMNS
        b_next_slots[q] = b_load(4 * col0 + element / K_VECS);
#else
        b_next_slots[q] = b_load(chunk * KC + element / TILE_VECS, col0 + element % TILE_VECS);
#endif
    }
#ifdef B_BY_COLUMNS
    b_next();
#endif
}

void share_chunk() {
    [[unroll]] for (int q = 0; q < A_SLOTS; q++) {
        int element = q * TILE_LANES + tile_lane();
#ifdef A_BY_ROWS_OF_K
        a_tile[element / (TILE_ROWS / 4) * A_LINE + element % (TILE_ROWS / 4)] = a_half(a_next_slots[q]);
#else
        a_tile[element / K_VECS * A_LINE + element % K_VECS] = a_half(a_next_slots[q]);
#endif
    }
    [[unroll]] for (int q = 0; q < B_SLOTS; q++) {
        int element = q * TILE_LANES + tile_lane();
#ifdef B_BY_COLUMNS
        b_tile[element / K_VECS * B_LINE + element % K_VECS] = f16vec4(b_next_slots[q]);
#else
        b_tile[element / TILE_VECS * B_LINE + element % TILE_VECS] = f16vec4(b_next_slots[q]);
#endif
    }
}

void multiply_chunk() {
    coopmat<float16_t, gl_ScopeSubgroup, CM, CK, gl_MatrixUseA> a[RM];
    coopmat<float16_t, gl_ScopeSubgroup, CK, CN, gl_MatrixUseB> b;
    [[unroll]] for (int k = 0; k < KC; k += CK) {
        [[unroll]] for (int i = 0; i < RM; i++) {
            int row = matrix_row() + i * CM;
#ifdef A_BY_ROWS_OF_K
            coopMatLoad(a[i], a_tile, k * A_LINE + row / 4, A_LINE, gl_CooperativeMatrixLayoutColumnMajor);
#else
            coopMatLoad(a[i], a_tile, row * A_LINE + k / 4, A_LINE, gl_CooperativeMatrixLayoutRowMajor);
#endif
        }
        [[unroll]] for (int j = 0; j < RN; j++) {
            int column = matrix_column() + j * CN;
#ifdef B_BY_COLUMNS
            coopMatLoad(b, b_tile, column * B_LINE + k / 4, B_LINE, gl_CooperativeMatrixLayoutColumnMajor);
#else
            coopMatLoad(b, b_tile, k * B_LINE + column / 4, B_LINE, gl_CooperativeMatrixLayoutRowMajor);
#endif
            [[unroll]] for (int i = 0; i < RM; i++)
                acc[i * RN + j] = coopMatMulAdd(a[i], b, acc[i * RN + j]);
        }
    }
}

// Behind the last chunk one more is read: every operand's b_load and a_load stay inside their buffers there.
void gemm_chunks(int chunk, int chunk_end, int col0) {
#ifdef B_BY_COLUMNS
    b_begin(tile_lane() % K_VECS);
#endif
    read_chunk(chunk, col0);
    for (; chunk < chunk_end; chunk++) {
        barrier();
        share_chunk();
        barrier();
        read_chunk(chunk + 1, col0);
        multiply_chunk();
    }
}

// c_row(r): vec4 index in `c` where row r of this tile begins, negative where the tile reaches over the last row.
void gemm_start() {
    [[unroll]] for (int i = 0; i < RM * RN; i++)
        acc[i] = coopmat<float, gl_ScopeSubgroup, CM, CN, gl_MatrixUseAccumulator>(0.0);
}

void store_element(int row, int column, vec4 v) {
    bool inside = row >= 0 && column < push.c_vecs;
    if (ACCUMULATE != 0 && inside)
        v = TLVK_READ_BACK(c, row + column) + v;
#ifdef EPILOGUE
    v = C_EPILOGUE(epilogue_of(column, push.c_vecs), v, row + column, inside);
#elif defined(RESIDUAL)
    v += C_RESIDUAL(row + column, inside);
#endif
    if (inside)
        TLVK_WRITE(c, row + column, v);
}

void gemm_store(int col0) {
    int lane = int(gl_SubgroupInvocationID), mine = int(gl_SubgroupID) * C_VECS;
    [[unroll]] for (int i = 0; i < RM; i++)
        [[unroll]] for (int j = 0; j < RN; j++) {
            coopMatStore(acc[i * RN + j], c_tile, mine, CN / 4, gl_CooperativeMatrixLayoutRowMajor);
            barrier();
            for (int e = lane; e < C_VECS; e += SG)
                store_element(c_row(matrix_row() + i * CM + e / (CN / 4)), col0 + matrix_column() / 4 + j * (CN / 4) + e % (CN / 4), c_tile[mine + e]);
            barrier();
        }
}
