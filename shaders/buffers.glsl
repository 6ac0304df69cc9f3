// buffers.glsl - read-only operands of vec4: RGBA32F uniform texel buffers with TEXEL, storage buffers without.
// On lavapipe (Mesa 22.3.6) a texel fetch costs about a third of a storage buffer load, which is checked per component.
// Variants "few" have what is small as texel buffers, whatever is faster, for devices that bind four storage buffers (Vulkan's least) and no more.
// IN_PLACE: what is written may be the same memory, where each invocation writes the element that it has read and no other.
#ifdef TEXEL
#define TLVK_READ_BUFFER(set_binding, name) layout(binding = set_binding) uniform samplerBuffer name
#define TLVK_READ_BUFFER_IN_PLACE(set_binding, name) layout(binding = set_binding) uniform samplerBuffer name
#define TLVK_READ(name, i) texelFetch(name, i)
#else
#define TLVK_READ_BUFFER(set_binding, name) layout(binding = set_binding, std430) readonly restrict buffer name##_buffer { vec4 name[]; }
#define TLVK_READ_BUFFER_IN_PLACE(set_binding, name) layout(binding = set_binding, std430) readonly buffer name##_buffer { vec4 name[]; }
#define TLVK_READ(name, i) name[i]
#endif

// What is written, of vec4: a declaration without its memory qualifiers, a store, and a load of what a shader has stored there before.
// PAIRS: a vec4 is stored as two 64-bit words. lavapipe (Mesa 22.3.6) stores each component of a vector by a loop over the lanes, whatever the component's
// width; with half of the components 45 % more bytes are stored per second in its caches (2026-11-21).
// HALF: what is written lies in fp16, four numbers in 8 bytes (docs/precision.md): rounded to the nearest, ties to even, numbers beyond the largest become
// the largest; by integers, since Vulkan lets packHalf2x16 round as the device likes. With PAIRS one 64-bit word.
#ifdef HALF
uvec4 tlvk_half(vec4 v) {
    uvec4 bits = floatBitsToUint(v), size = min(bits & 0x7FFFFFFFu, uvec4(0x477FE000u)); // 65504
    uvec4 normal = (size - 0x38000000u + 0xFFFu + (size >> 13 & 1u)) >> 13;
    uvec4 small = floatBitsToUint(uintBitsToFloat(size) + 0.5) - 0x3F000000u;             // below 2^-14 the sum keeps multiples of 2^-24
    uvec4 half_bits = mix(normal, small, lessThan(size, uvec4(0x38800000u)));
    half_bits = mix(half_bits, uvec4(0x7E00u), greaterThan(bits & 0x7FFFFFFFu, uvec4(0x7F800000u))); // no number stays none
    return half_bits | (bits >> 16 & 0x8000u);
}
uvec2 tlvk_half_words(vec4 v) {
    uvec4 h = tlvk_half(v);
    return uvec2(h.x | h.y << 16, h.z | h.w << 16);
}
vec4 tlvk_of_half_words(uvec2 words) { return vec4(unpackHalf2x16(words.x), unpackHalf2x16(words.y)); }
#endif
#if defined(HALF) && defined(PAIRS)
#extension GL_ARB_gpu_shader_int64 : require
#define TLVK_WRITE_BUFFER(set_binding, name) layout(binding = set_binding, std430) buffer name##_buffer { uint64_t name[]; }
#define TLVK_WRITE(name, i, v) name[i] = packUint2x32(tlvk_half_words(v))
#define TLVK_READ_BACK(name, i) tlvk_of_half_words(unpackUint2x32(name[i]))
#elif defined(HALF)
#define TLVK_WRITE_BUFFER(set_binding, name) layout(binding = set_binding, std430) buffer name##_buffer { uvec2 name[]; }
#define TLVK_WRITE(name, i, v) name[i] = tlvk_half_words(v)
#define TLVK_READ_BACK(name, i) tlvk_of_half_words(name[i])
#elif defined(PAIRS)
#extension GL_ARB_gpu_shader_int64 : require
#define TLVK_WRITE_BUFFER(set_binding, name) layout(binding = set_binding, std430) buffer name##_buffer { u64vec2 name[]; }
#define TLVK_WRITE(name, i, v) name[i] = tlvk_pairs(v)
#define TLVK_READ_BACK(name, i) tlvk_vec4(name[i])
u64vec2 tlvk_pairs(vec4 v) {
    uvec4 bits = floatBitsToUint(v);
    return u64vec2(packUint2x32(bits.xy), packUint2x32(bits.zw));
}
vec4 tlvk_vec4(u64vec2 pairs) { return uintBitsToFloat(uvec4(unpackUint2x32(pairs.x), unpackUint2x32(pairs.y))); }
#else
#define TLVK_WRITE_BUFFER(set_binding, name) layout(binding = set_binding, std430) buffer name##_buffer { vec4 name[]; }
#define TLVK_WRITE(name, i, v) name[i] = v
#define TLVK_READ_BACK(name, i) name[i]
#endif
