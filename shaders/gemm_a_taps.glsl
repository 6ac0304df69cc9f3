// gemm_a_taps.glsl - operand A of the weight gradient: row = (tap, input channel), k = output pixel; a slot is four channels at one pixel.
// Needs TILE_ROWS / 4 to divide TILE_LANES, binding `a` and push constants a_base, row_first, pixels, grid_h, grid_w, h, w, a_pitch,
// k_vecs (channel vec4 per tap), taps_w, stride_*, offset_*, tap_*.
const int GROUPS = TILE_ROWS / 4;            // vec4 of rows
const int PIXELS_APART = TILE_LANES / GROUPS; // between a lane's slots

// Of the lane: where its tap and channels lie relative to a pixel's first tap.
int tap_y, tap_x, tap_at;
// Of each slot: first tap of its pixel as picture row, column and vec4 index; pixels left before the end.
int a_y[A_SLOTS], a_x[A_SLOTS], a_at[A_SLOTS], a_left[A_SLOTS];
// One chunk further, before carries; and what a carry adds to the index.
int step_y, step_x, step_at, carry_x, carry_y, limit_x, limit_y;

int picture_at(int n, int y, int x) { return ((n * push.h + y) * push.w + x) * push.a_pitch; }

void a_begin(int group0, int pixel0, int pixel_end) {
    int group = group0 + tile_lane() % GROUPS;
    int tap = group / push.k_vecs, ky = tap / push.taps_w, kx = tap - ky * push.taps_w;
    tap_y = ky * push.tap_y;
    tap_x = kx * push.tap_x;
    tap_at = picture_at(0, tap_y, tap_x) + group - tap * push.k_vecs;
    int line = KC / push.grid_w, n = line / push.grid_h, y = line - n * push.grid_h, x = KC - line * push.grid_w;
    step_y = y * push.stride_y;
    step_x = x * push.stride_x;
    step_at = picture_at(n, step_y, step_x);
    limit_y = push.grid_h * push.stride_y;
    limit_x = push.grid_w * push.stride_x;
    carry_x = picture_at(0, push.stride_y, -limit_x);
    carry_y = picture_at(1, -limit_y, 0);
    int line0 = pixel0 / push.grid_w, n0 = line0 / push.grid_h;
    [[unroll]] for (int q = 0; q < A_SLOTS; q++) {
        int ahead = q * PIXELS_APART + tile_lane() / GROUPS;
        int px = pixel0 - line0 * push.grid_w + ahead;
        int py = tlvk_small_div(px, push.grid_w);
        px -= py * push.grid_w;
        py += line0 - n0 * push.grid_h;
        int pn = tlvk_small_div(py, push.grid_h);
        py -= pn * push.grid_h;
        a_y[q] = py * push.stride_y;
        a_x[q] = px * push.stride_x;
        a_at[q] = push.a_base + picture_at(n0 + pn, a_y[q] + push.offset_y, a_x[q] + push.offset_x) + tap_at;
        a_left[q] = pixel_end - pixel0 - ahead;
    }
    tap_y += push.offset_y;
    tap_x += push.offset_x;
}

vec4 a_load(int q) {
    bool inside = uint(a_y[q] + tap_y) < uint(push.h) && uint(a_x[q] + tap_x) < uint(push.w) && a_left[q] > 0;
    vec4 v = TLVK_READ(a, inside ? a_at[q] : push.a_base);
    return inside ? v : vec4(0.0);
}

void a_next() {
    [[unroll]] for (int q = 0; q < A_SLOTS; q++) {
        a_left[q] -= KC;
        a_x[q] += step_x;
        bool over_x = a_x[q] >= limit_x;
        a_x[q] -= over_x ? limit_x : 0;
        a_y[q] += step_y + (over_x ? push.stride_y : 0);
        bool over_y = a_y[q] >= limit_y;
        a_y[q] -= over_y ? limit_y : 0;
        a_at[q] += step_at + (over_x ? carry_x : 0) + (over_y ? carry_y : 0);
    }
}
