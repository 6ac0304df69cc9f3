// gemm_core_portable.glsl - the tile core for every device: no subgroup operation, 64 invocations, at most 7 KiB of shared memory.
// Each invocation keeps TM rows x 1 vec4 of C; see gemm_tile.glsl.
const int A_PITCH = TILE_ROWS + 4; // floats per k in shared memory; the 4 spread the banks
shared float a_tile[KC * A_PITCH];
shared vec4 b_tile[KC * TILE_VECS];
vec4 acc[TM];

int tile_row() { return tile_lane() / TILE_VECS * TM; }
int tile_column() { return tile_lane() % TILE_VECS; }

void gemm_chunks(int chunk, int chunk_end, int col0) {
    int lane = tile_lane();
#ifdef B_BY_COLUMNS
    b_begin(lane % K_VECS);
#endif
    for (; chunk < chunk_end; chunk++) {
        vec4 ar[A_SLOTS], br[B_SLOTS];
        [[unroll]] for (int q = 0; q < A_SLOTS; q++)
            ar[q] = a_load(q);
        a_next();
        [[unroll]] for (int q = 0; q < B_SLOTS; q++) {
            int element = q * TILE_LANES + lane;
#ifdef B_BY_COLUMNS
            br[q] = b_load(4 * col0 + element / K_VECS);
#else
            br[q] = b_load(chunk * KC + element / TILE_VECS, col0 + element % TILE_VECS);
#endif
        }
#ifdef B_BY_COLUMNS
        b_next();
#endif
        barrier();
        [[unroll]] for (int q = 0; q < A_SLOTS; q++) {
            int element = q * TILE_LANES + lane;
            [[unroll]] for (int i = 0; i < 4; i++)
#ifdef A_BY_ROWS_OF_K
                a_tile[element / (TILE_ROWS / 4) * A_PITCH + element % (TILE_ROWS / 4) * 4 + i] = ar[q][i];
#else
                a_tile[(element % K_VECS * 4 + i) * A_PITCH + element / K_VECS] = ar[q][i];
#endif
        }
        [[unroll]] for (int q = 0; q < B_SLOTS; q++) {
            int element = q * TILE_LANES + lane;
#ifdef B_BY_COLUMNS
            int column = element / K_VECS;
            [[unroll]] for (int i = 0; i < 4; i++)
                b_tile[(element % K_VECS * 4 + i) * TILE_VECS + column / 4][column % 4] = br[q][i];
#else
            b_tile[element] = br[q];
#endif
        }
        barrier();
        [[unroll]] for (int k = 0; k < KC; k++) {
            vec4 b = b_tile[k * TILE_VECS + tile_column()];
            [[unroll]] for (int i = 0; i < TM; i++)
                acc[i] += a_tile[k * A_PITCH + tile_row() + i] * b;
        }
    }
}

// c_row(r): vec4 index in `c` where row r of this tile begins, negative where the tile reaches over the last row.
void gemm_start() {
    [[unroll]] for (int i = 0; i < TM; i++)
        acc[i] = vec4(0.0);
}

void gemm_store(int col0) {
    int column = col0 + tile_column();
#ifdef EPILOGUE
    Epilogue s = epilogue_of(column, push.c_vecs);
#endif
    [[unroll]] for (int i = 0; i < TM; i++) {
        int row = c_row(tile_row() + i);
        bool inside = row >= 0 && column < push.c_vecs;
        vec4 v = acc[i];
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
