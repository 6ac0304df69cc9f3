// philox.glsl - Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// The same key and counter give the same four words as tlvk__philox of engine/core/random.c: counter = (low of counter_lo, high of
// counter_lo, low of counter_hi, high of counter_hi).
uvec4 tlvk_philox(uvec2 key, uvec4 counter) {
    for (int round = 0; round < 10; round++) {
        uint high0, low0, high1, low1;
        umulExtended(0xD2511F53u, counter.x, high0, low0);
        umulExtended(0xCD9E8D57u, counter.z, high1, low1);
        counter = uvec4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
        key += uvec2(0x9E3779B9u, 0xBB67AE85u);
    }
    return counter;
}

// Uniform in [0, 1) with 24 bits, exact in float.
vec4 tlvk_philox_uniform(uvec2 key, uvec4 counter) {
    return vec4(tlvk_philox(key, counter) >> 8) * (1.0 / 16777216.0);
}
