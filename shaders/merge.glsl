// merge.glsl - two operands into one by a tlvk__merge_kind.
vec4 tlvk_merged(uint kind, vec4 p, vec4 q) {
    switch (kind) {
    case 1: return p * q;
    case 2: return p - q;
    case 3: return max(p, q);
    case 4: return min(p, q);
    case 5: return p;
    default: return p + q;
    }
}
