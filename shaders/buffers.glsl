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
