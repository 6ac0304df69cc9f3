/* elementwise.h - recording one shader over tensors of any size: bases, pieces and group counts in one place.
 *
 * A shader recorded through tlvk__record_walk has as its push constants, in this order:
 *     uint base[K];   per binding: where its piece begins, in vec4 units (K = operand_count)
 *     uint items;     invocations (or workgroups, see group_items) that have work
 *     ...             the walk's own words
 * and local_size_x = 64. Invocation i of the piece is tlvk_group_x() * 64 + gl_LocalInvocationID.x. */
#ifndef TLVK_ELEMENTWISE_H
#define TLVK_ELEMENTWISE_H

#include "ops/op.h"

#include <string.h>

#define TLVK__WALK_OPERANDS 8
#define TLVK__WALK_WORDS 20

typedef struct tlvk__operand {
    const tlvk__tensor *t; /* NULL: not there; another operand of its access is bound in its place, and the shader must leave it alone */
    tlvk__access access;
    bool whole;            /* bound entirely at every piece (vectors of channels), instead of walked */
} tlvk__operand;

typedef struct tlvk__walk {
    const char *shader, *operation, *layer;
    bool texel;                                     /* the shader has variants "_texel" and "_plain", as shaders/buffers.glsl has them */
    bool few;                      /* the shader has a variant "few", for devices that bind fewer storage buffers than there are operands */
    tlvk__spec specs[8];                            /* ends at name NULL */
    tlvk__operand operands[TLVK__WALK_OPERANDS]; int operand_count; /* binding i of the shader */
    int64_t n;                                      /* samples walked */
    uint64_t items;                                 /* per sample */
    uint32_t group_items;                           /* items per workgroup; 0: 64, one per invocation; 1: one item per workgroup */
    uint32_t words[TLVK__WALK_WORDS]; int word_count;
    int sample_word;                                /* 1 + the word that receives the number of the piece's first sample; 0: none */
    int64_t first_sample;                           /* the number of the first of all */
    double flops;                                   /* of the whole walk */
} tlvk__walk;
tlvk_status tlvk__record_walk(tlvk__recorder *r, const tlvk__walk *walk);

enum { TLVK__WRITTEN_ROWS = 32 };                   /* of a column, that one invocation of a kernel by row_blocks.glsl writes */
/* The first words of shaders/row_blocks.glsl, samples and items of a walk over t: an invocation takes `block_rows` rows of one column. */
void tlvk__walk_row_blocks(tlvk__walk *walk, const tlvk__tensor *t, uint32_t block_rows);

static inline uint32_t tlvk__float_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}
static inline uint64_t tlvk__sample_vec4s(const tlvk__tensor *t) { return (uint64_t)tlvk__sample_floats(t) / TLVK__LANES; }

/* A span seen as n samples of rows x c floats in one segment, c a multiple of 4; `span` is borrowed. */
static inline tlvk__tensor tlvk__span_tensor(const tlvk__span *span, int64_t n, int64_t rows, int64_t c) {
    return (tlvk__tensor){.n = n, .rows = rows, .c = c, .pitch = c, .h = rows, .w = 1, .segment_n = n, .segment_count = 1, .segments = span};
}
/* The bytes [offset, offset + bytes) of a span. */
static inline tlvk__span tlvk__span_part(tlvk__span span, uint64_t offset, uint64_t bytes) {
    return (tlvk__span){span.buffer, span.offset + offset, bytes};
}

/* The unit roundoff of float32, for error models. */
#define TLVK__U 0x1p-24
#define TLVK__HALF_MOST 65504.0
/* How far a number of this size may be from what is stored of it in fp16. */
static inline double tlvk__half_error(double size) { return 0x1p-11 * size + 0x1p-25 + (size > TLVK__HALF_MOST ? size - TLVK__HALF_MOST : 0); }

/* Of operations without attributes. */
void tlvk__no_defaults(void *attrs);
/* One operation per element of y. */
double tlvk__elementwise_flops(const tlvk__op_call *call);
/* Number of elements of a reference tensor, whose shape is known and fits. */
size_t tlvk__ref_count(const tlvk__ref_tensor *t);
/* Error text for an operation given something else than one image (n, h, w, c); TLVK_OK for an image. */
tlvk_status tlvk__expect_image(const char *class_name, int inputs, const tlvk__shape *x);

#endif
