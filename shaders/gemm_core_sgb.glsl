// gemm_core_sgb.glsl - the tile core for devices with subgroup shuffles; see gemm_tile.glsl. Measured in docs/kernels.md.
// k runs innermost per accumulator and everything is unrolled: on lavapipe (Mesa 22.3.6) k outermost costs 20-30 %.
vec4 acc[TM * TV];
const int K_AT_ONCE = SPLIT == 0 ? 4 : KC;      // of which B stands in registers
const int PARTS_OF_B = SPLIT == 0 ? 1 : SPLIT;

// Element (row i, k) of A's chunk, which lane e % SG holds.
#ifdef A_BY_ROWS_OF_K
#define A_ELEMENT(i, k) ((k) * (TM / 4) + (i) / 4)
#define A_COMPONENT(i, k) ((i) % 4)
#else
#define A_ELEMENT(i, k) ((i) * K_VECS + (k) / 4)
#define A_COMPONENT(i, k) ((k) % 4)
#endif

void gemm_chunks(int chunk, int chunk_end, int col0) {
    int lane = tile_lane();
#ifdef B_BY_COLUMNS
    b_begin(0);
#endif
    for (; chunk < chunk_end; chunk++) {
        vec4 ar[A_SLOTS];
        [[unroll]] for (int q = 0; q < A_SLOTS; q++)
            ar[q] = a_load(q);
        LANES_HOLD_A();
        a_next();
        [[unroll]] for (int k0 = 0; k0 < KC; k0 += K_AT_ONCE) {
            vec4 bv[K_AT_ONCE * TV];
#ifdef B_BY_COLUMNS
            [[unroll]] for (int kv = 0; kv < K_AT_ONCE / 4; kv++) {
                [[unroll]] for (int j = 0; j < TV; j++) {
                    int column = 4 * (col0 + j * SG + lane);
                    vec4 c0 = b_load(column), c1 = b_load(column + 1), c2 = b_load(column + 2), c3 = b_load(column + 3);
                    bv[(4 * kv + 0) * TV + j] = vec4(c0.x, c1.x, c2.x, c3.x);
                    bv[(4 * kv + 1) * TV + j] = vec4(c0.y, c1.y, c2.y, c3.y);
                    bv[(4 * kv + 2) * TV + j] = vec4(c0.z, c1.z, c2.z, c3.z);
                    bv[(4 * kv + 3) * TV + j] = vec4(c0.w, c1.w, c2.w, c3.w);
                }
                b_next();
            }
#else
            [[unroll]] for (int k = 0; k < K_AT_ONCE; k++)
                [[unroll]] for (int j = 0; j < TV; j++)
                    bv[k * TV + j] = b_load(chunk * KC + k0 + k, col0 + j * SG + lane);
#endif
            [[unroll]] for (int part = 0; part < PARTS_OF_B; part++)
                [[unroll]] for (int i = 0; i < TM; i++)
                    [[unroll]] for (int k = 0; k < K_AT_ONCE; k++) {
                        int element = A_ELEMENT(i, k0 + k);
                        float x = LANES_A(element / SG, A_COMPONENT(i, k0 + k), element % SG);
                        [[unroll]] for (int j = 0; j < TV; j++) {
                            vec4 b = bv[k * TV + j];
                            if (part == 0)
                                acc[i * TV + j].x += x * b.x;
                            if (part == PARTS_OF_B / 4)
                                acc[i * TV + j].y += x * b.y;
                            if (part == PARTS_OF_B / 2)
                                acc[i * TV + j].z += x * b.z;
                            if (part == PARTS_OF_B - 1)
                                acc[i * TV + j].w += x * b.w;
                        }
                    }
        }
    }
}

// Where row i of C begins, from what c_row gave the lanes for rows lane, SG + lane, ...; negative: no such row.
#define C_ROW_SLOTS ((TM + SG - 1) / SG)
int c_rows[C_ROW_SLOTS];
#define C_ROW(i) LANES_ROW((i) / SG, (i) % SG)

// c_row(r): vec4 index in `c` where row r of this tile begins, negative where the tile reaches over the last row.
void gemm_start() {
    [[unroll]] for (int q = 0; q < C_ROW_SLOTS; q++)
        c_rows[q] = c_row(q * SG + tile_lane());
    LANES_HOLD_ROWS();
    [[unroll]] for (int i = 0; i < TM * TV; i++)
        acc[i] = vec4(0.0);
}

void gemm_store(int col0) {
    [[unroll]] for (int j = 0; j < TV; j++) {
        int column = col0 + j * SG + tile_lane();
#ifdef EPILOGUE
        Epilogue s = epilogue_of(column, push.c_vecs);
#endif
        [[unroll]] for (int i = 0; i < TM; i++) {
            int row = C_ROW(i);
            bool inside = row >= 0 && column < push.c_vecs;
            vec4 v = acc[i * TV + j];
            if (ACCUMULATE != 0 && inside)
                v = TLVK_READ_BACK(c, row + column) + v;
#ifdef EPILOGUE
            v = C_EPILOGUE(s, v, row + column, inside);
#elif defined(RESIDUAL)
            v += C_RESIDUAL(row + column, inside);
#endif
            if (inside)
                TLVK_WRITE(c, row + column, v);
        }
    }
}
