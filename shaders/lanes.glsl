// lanes.glsl - the lanes behind the last channel stay zero.

// v with the lanes of vec4 column `column` that lie at or behind channel c set to zero.
vec4 tlvk_keep_channels(vec4 v, uint column, uint c) {
    return mix(vec4(0.0), v, lessThan(uvec4(4 * column) + uvec4(0, 1, 2, 3), uvec4(c)));
}
