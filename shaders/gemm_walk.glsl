// gemm_walk.glsl - the order of K in a convolution: tap rows, tap columns, then vec4 of channels, which run fastest.
// Needs push constants k_vecs (channel vec4 per tap) and taps_w (tap columns).
struct KWalk { int c, x, y; };

// Where vec4 number k lies; k < 2^20.
KWalk k_walk_start(int k) {
    KWalk w;
    int tap = tlvk_small_div(k, push.k_vecs);
    w.c = k - tap * push.k_vecs;
    w.y = tlvk_small_div(tap, push.taps_w);
    w.x = tap - w.y * push.taps_w;
    return w;
}

// `step` vec4 further, where step = k_walk_start(distance).
void k_walk_next(inout KWalk w, KWalk step) {
    w.c += step.c;
    bool over_c = w.c >= push.k_vecs;
    w.c -= over_c ? push.k_vecs : 0;
    w.x += step.x + (over_c ? 1 : 0);
    bool over_x = w.x >= push.taps_w;
    w.x -= over_x ? push.taps_w : 0;
    w.y += step.y + (over_x ? 1 : 0);
}
