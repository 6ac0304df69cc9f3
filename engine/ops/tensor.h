/* tensor.h - device tensors: how numbers lie in device memory, and how one larger than a binding is walked in pieces.
 *
 * Layout: channels last (NHWC). A tensor is n samples x rows x pitch floats; rows = h*w for images (1 for vectors), pitch = c rounded
 * up to 4. The lanes from c to pitch are ZERO in every activation, gradient and variable: each operation keeps them so.
 * A slice is some channels of a larger tensor as a tensor of its own: its rows are `stride` floats apart, and what stands between them is another's.
 * A tensor's numbers are fp32, or fp16 where the planner stores an activation so (docs/precision.md): the order is the same, of half the bytes.
 * Variables use the same struct with n = their rows, rows = 1 (see tlvk__variable_layout).
 * A tensor may be larger than one binding, one allocation or 65,535 workgroups: it lies in segments of segment_n samples, each segment
 * inside one buffer; tlvk__next_piece walks all operands of an operation together in ranges of samples that fit. */
#ifndef TLVK_TENSOR_H
#define TLVK_TENSOR_H

#include "vk/vk.h"

#define TLVK__LANES 4

typedef struct tlvk__tensor {
    int64_t n, rows, c, pitch;
    int64_t h, w;                  /* rows = h*w where the tensor is an image (rank 4); else h = rows, w = 1 */
    tlvk__shape shape;             /* what tlvk__tensor_from_shape was given, for operations that see more axes than these; rank 0 elsewhere */
    int64_t stride;                /* of a slice: floats from row to row, a multiple of 4; 0: pitch. Only where an operation says that it takes slices */
    bool half;                     /* numbers are fp16 */
    int64_t segment_n;             /* samples per segment; n where there is one segment */
    int segment_count;
    const tlvk__span *segments;    /* borrowed; each offset a multiple of 256 bytes, of a slice of one vec4 */
} tlvk__tensor;

static inline int64_t tlvk__pitch(int64_t c) { return (c + TLVK__LANES - 1) / TLVK__LANES * TLVK__LANES; }
static inline int64_t tlvk__sample_floats(const tlvk__tensor *t) { return t->rows * t->pitch; }
/* Bytes of four numbers, and of one. */
static inline uint64_t tlvk__vec_bytes(const tlvk__tensor *t) { return t->half ? 8 : 16; }
static inline uint64_t tlvk__number_bytes(const tlvk__tensor *t) { return tlvk__vec_bytes(t) / TLVK__LANES; }
/* From row to row in vec4. */
static inline int64_t tlvk__row_vecs(const tlvk__tensor *t) { return (t->stride ? t->stride : t->pitch) / TLVK__LANES; }
/* Fills n, rows, c, pitch, h, w from a shape whose dim[0] is the (known) batch; storage left empty. */
tlvk_status tlvk__tensor_from_shape(const tlvk__shape *shape, tlvk__tensor *t);
/* Bytes of `n` samples, of a slice without what is between its rows; false on overflow. */
bool tlvk__tensor_bytes(const tlvk__tensor *t, uint64_t *bytes);

/* Walks samples [0, n) in ranges [p->n0, p->n1): each range lies within one segment of every tensor in `t` (entries may be NULL) and
 * fits a binding of each. Start with p = {0, 0}; *more is false at the end. Tensors with fewer than n samples (n == 1 operands that
 * are broadcast) must not be listed. TLVK_ERROR_MEMORY when one sample alone is larger than a binding (the text names the sizes). */
typedef struct tlvk__piece { int64_t n0, n1; } tlvk__piece;
tlvk_status tlvk__next_piece(const tlvk__caps *caps, const tlvk__tensor *const *t, int count, int64_t n, tlvk__piece *p, bool *more);
/* The device binds fewer storage buffers than `wanted`: a shader that wants them runs as its variant "few", which reads what is small as texels. */
bool tlvk__few_buffers(const tlvk__caps *caps, uint32_t wanted);
/* Invocations of a workgroup that is to be large: 256, or 128 where the device has no more (Vulkan's least). */
uint32_t tlvk__large_group(const tlvk__caps *caps);
/* What the offsets of windows are multiples of: a window is bound as storage or as texels, whichever the shader has. A power of 2. */
static inline uint32_t tlvk__window_align(const tlvk__caps *caps) { return TLVK__MAX(caps->storage_align, caps->texel_align); }
/* Bytes that one window holds wherever they begin. */
static inline uint64_t tlvk__window_room(const tlvk__caps *caps) {
    return caps->max_binding_bytes - TLVK__MIN(caps->max_binding_bytes, tlvk__window_align(caps));
}
/* Texels that one texel buffer holds wherever they begin. */
static inline uint64_t tlvk__texel_room(const tlvk__caps *caps) {
    return caps->max_texels - TLVK__MIN(caps->max_texels, (tlvk__window_align(caps) - 1) / 16);
}
/* Tests: pieces of this thread's walks have at most `samples` samples from now on; 0: no such limit. */
void tlvk__force_pieces(int64_t samples);

/* Binding of samples [n0, n1) of t; *base is where they begin behind the binding's aligned offset, in units of vec4, of fp16 where t is: every shader
 * takes such a base per tensor among its push constants. */
tlvk__binding tlvk__tensor_window(const tlvk__caps *caps, const tlvk__tensor *t, int64_t n0, int64_t n1, tlvk__access access, uint32_t *base);
/* The same for a plain span of fp32, aligned down; base in vec4 units. */
tlvk__binding tlvk__span_window(const tlvk__caps *caps, tlvk__span span, tlvk__access access, uint32_t *base);

/* --- variables: Keras's dense shape on the host and in files, padded on the device ------------------------------------------------ */
typedef enum tlvk__layout {
    TLVK__LAYOUT_VECTOR, /* (c): one row of pitch(c) */
    TLVK__LAYOUT_MATRIX, /* (..., cin, cout): prod(...)*pitch(cin) rows of pitch(cout); Conv2D kernels (kh,kw,cin,cout), Dense (in,out) */
    TLVK__LAYOUT_MERGED  /* (kh, kw, c, mult): kh*kw rows of pitch(c*mult); DepthwiseConv2D kernels */
} tlvk__layout;
/* Fills n (rows), rows = 1, c, pitch for a variable. */
tlvk_status tlvk__variable_layout(const tlvk__shape *shape, tlvk__layout layout, tlvk__tensor *t);
/* Converts between dense host floats (in Keras's order) and the device's rows; `device` holds n*pitch floats. */
void tlvk__variable_pack(const tlvk__shape *shape, tlvk__layout layout, const float *dense, float *device);
void tlvk__variable_unpack(const tlvk__shape *shape, tlvk__layout layout, const float *device, float *dense);
/* The same for activations: dense (n, rows, c) <-> (n, rows, pitch). */
void tlvk__activation_pack(const tlvk__tensor *t, int64_t n, const float *dense, float *device);
void tlvk__activation_unpack(const tlvk__tensor *t, int64_t n, const float *device, float *dense);
/* Blocking, any size; for set-up and tests. Floats on the host's side, whatever the tensor's numbers are: rounded on their way to fp16 as shaders do. */
tlvk_status tlvk__tensor_write(tlvk__device *d, const tlvk__tensor *t, const float *padded);
tlvk_status tlvk__tensor_read(tlvk__device *d, const tlvk__tensor *t, float *padded);
/* To fp16 as shaders/buffers.glsl does it: to the nearest, ties to even, beyond 65504 to 65504, NaN to NaN; and back, exactly. */
uint16_t tlvk__half_of(float v);
float tlvk__float_of_half(uint16_t h);
/* `count` of them in a span of a device, from and to floats. */
tlvk_status tlvk__half_write(tlvk__device *d, tlvk__span span, uint64_t count, const float *from);
tlvk_status tlvk__half_read(tlvk__device *d, tlvk__span span, uint64_t count, float *to);

#endif
