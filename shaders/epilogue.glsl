// epilogue.glsl - what stands behind a matrix product: y = act(scale * z + shift) per column, with something of y's size added before act where there is any.
// Needs the buffer `e` and push constants e_base, scaled, columns, alpha, max_value, threshold. scaled < 0: scale 1, shift 0, and `e` holds
// anything with as many vec4 as columns; 0: scale 1, shift at e_base; > 0: scale at e_base, shift `scaled` vec4 behind it.
#include "activation.glsl"

// 0: piecewise linear, y > threshold ? min(y, max_value) : alpha * (y - threshold), which covers linear, relu, relu6 and leaky relu with
// one pipeline; else a kind of tlvk_activation_kind.
layout(constant_id = 10) const int ACTIVATION = 0;

// What is read once for all rows of a tile.
struct Epilogue { vec4 scale, shift; bvec4 kept; float alpha, max_value, threshold; };

// For vec4 column `column`; `columns4` is how many there are.
Epilogue epilogue_of(int column, int columns4) {
    Epilogue s;
    int i = push.e_base + min(column, columns4 - 1);
    s.scale = push.scaled > 0 ? e[i] : vec4(1.0);
    s.shift = push.scaled < 0 ? vec4(0.0) : e[i + push.scaled];
    s.kept = lessThan(ivec4(4 * column) + ivec4(0, 1, 2, 3), ivec4(push.columns));
    s.alpha = push.alpha;
    s.max_value = push.max_value;
    s.threshold = push.threshold;
    return s;
}

float epilogue_activate(Epilogue s, float x) { return tlvk_activate(ACTIVATION, s.alpha, s.max_value, s.threshold, x); }

vec4 epilogue_activate(Epilogue s, vec4 v) {
    if (ACTIVATION == 0)
        return mix(s.alpha * (v - s.threshold), min(v, s.max_value), greaterThan(v, vec4(s.threshold)));
    for (int i = 0; i < 4; i++) // left to the driver to unroll, so that the functions stand here once
        v[i] = epilogue_activate(s, v[i]);
    return v;
}

// The lanes behind the last column stay zero.
vec4 epilogue_kept(Epilogue s, vec4 v) {
    return mix(vec4(0.0), epilogue_activate(s, v), s.kept);
}
vec4 epilogue_apply(Epilogue s, vec4 z) { return epilogue_kept(s, z * s.scale + s.shift); }
vec4 epilogue_apply(Epilogue s, vec4 z, vec4 residual) { return epilogue_kept(s, z * s.scale + s.shift + residual); }
