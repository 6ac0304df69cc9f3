// upsampling2d.glsl - which pixels of x a pixel of y lies between, along one axis, s times as long.

struct Neighbours { uint low, high; float share; }; // share: of `high`; low's is 1 - share

// Position o of the s * size of y lies at (2o + 1 - s) / 2s of x. In integers, so that every device finds the same two.
Neighbours neighbours_of(uint o, uint s, uint size) {
    int at = 2 * int(o) + 1 - int(s);
    if (at <= 0)
        return Neighbours(0, 0, 0.0);
    uint low = uint(at) / (2 * s), high = min(low + 1, size - 1);
    return Neighbours(low, high, float(uint(at) - low * 2 * s) / float(2 * s));
}

// How much of x's pixel `i` is in y's pixel `o`.
float share_of(uint i, uint o, uint s, uint size) {
    Neighbours k = neighbours_of(o, s, size);
    return (k.low == i ? 1.0 - k.share : 0.0) + (k.high == i ? k.share : 0.0);
}
