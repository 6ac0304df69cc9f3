// gemm_a_pixels.glsl - operand A of a convolution's GEMM, gathered from a picture: row = pixel of a grid (n, y, x), k = (tap, channel).
// Pixel (y, x) of the grid reads picture row y * stride_y + offset_y + tap.y * tap_y, zero outside 0..h-1, likewise for columns. The forward
// pass, each stride phase of the backward-data pass and Dense (one tap, 1 x 1 pictures) are all of this form.
// Needs binding `a` and push constants a_base, rows, grid_h, grid_w, h, w, a_pitch (vec4 per pixel), k_vecs, taps_h, taps_w, stride_*,
// offset_*, tap_*.
struct Pixel { int n, y, x; };

// Pixel of grid row number `row0 + r`, given that of row0; 0 <= r < 2^19.
Pixel pixel_after(Pixel p, int r) {
    p.x += r;
    int dy = tlvk_small_div(p.x, push.grid_w);
    p.x -= dy * push.grid_w;
    p.y += dy;
    int dn = tlvk_small_div(p.y, push.grid_h);
    p.y -= dn * push.grid_h;
    p.n += dn;
    return p;
}

Pixel pixel_of(int row) {
    Pixel p;
    int line = row / push.grid_w;
    p.x = row - line * push.grid_w;
    p.n = line / push.grid_h;
    p.y = line - p.n * push.grid_h;
    return p;
}

int a_at[A_SLOTS], a_y[A_SLOTS], a_x[A_SLOTS];
KWalk a_walk, a_step;
int a_tap_y, a_tap_x, a_tap_at;

void a_tap() {
    // Behind the last tap no picture row is met: the chunk's tail is zero.
    a_tap_y = a_walk.y < push.taps_h ? a_walk.y * push.tap_y : 1 << 24;
    a_tap_x = a_walk.x * push.tap_x;
    a_tap_at = (a_walk.y * push.tap_y * push.w + a_tap_x) * push.a_pitch + a_walk.c;
}

// The tile's first row, and the pixel that it is.
void a_begin(int row0, Pixel first) {
    a_walk = k_walk_start(tile_lane() % K_VECS);
    a_step = k_walk_start(K_VECS);
    a_tap();
    [[unroll]] for (int q = 0; q < A_SLOTS; q++) {
        int r = (q * TILE_LANES + tile_lane()) / K_VECS;
        Pixel p = pixel_after(first, r);
        a_y[q] = row0 + r < push.rows ? p.y * push.stride_y + push.offset_y : -(1 << 25);
        a_x[q] = p.x * push.stride_x + push.offset_x;
        a_at[q] = push.a_base + ((p.n * push.h + p.y * push.stride_y + push.offset_y) * push.w + a_x[q]) * push.a_pitch;
    }
}

vec4 a_load(int q) {
    bool inside = uint(a_y[q] + a_tap_y) < uint(push.h) && uint(a_x[q] + a_tap_x) < uint(push.w);
    vec4 v = TLVK_READ(a, inside ? a_at[q] + a_tap_at : push.a_base);
    return inside ? v : vec4(0.0);
}

void a_next() {
    k_walk_next(a_walk, a_step);
    a_tap();
}
