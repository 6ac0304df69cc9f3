/* winograd.h - 3x3 convolutions of stride 1 by F(4x4, 3x3) and their gradients: a quarter of the multiplications, between transforms.
 * Shapes as in gemm.h. Which convolutions go this way is a static rule on the device and the layer's shape without its batch
 * (docs/kernels.md has the measurements); caps->winograd overrules it. Every element is one fixed sequence of operations whatever the batch:
 * a sample has the same bits in any batch and at any place in it. */
#ifndef TLVK_WINOGRAD_H
#define TLVK_WINOGRAD_H

#include "ops/gemm.h"

enum { TLVK__WINOGRAD_POSITIONS = 36, TLVK__WINOGRAD_TILE = 4, TLVK__WINOGRAD_LANES = 64 /* of the kernels around the products */ };

/* Whether this pass of this convolution can go by Winograd, and whether the static rule says so. */
bool tlvk__winograd_possible(const tlvk__caps *caps, const tlvk__conv_shape *s, enum tlvk__gemm_pass pass, bool *paying);
/* Whether it does, by measured choice or that rule. */
bool tlvk__winograd_chosen(const tlvk__caps *caps, const tlvk__conv_shape *s, enum tlvk__gemm_pass pass);

/* Of a pass that is chosen. Packed weights are those of forward, 4 times as many bytes as w. */
void tlvk__winograd_forward_needs(const tlvk__caps *caps, const tlvk__gemm_call *g, tlvk__op_needs *needs); /* sets packed and forward scratch */
uint64_t tlvk__winograd_data_scratch(const tlvk__caps *caps, const tlvk__gemm_call *g);
uint64_t tlvk__winograd_weights_scratch(const tlvk__caps *caps, const tlvk__gemm_call *g);
tlvk_status tlvk__winograd_pack(tlvk__recorder *r, const tlvk__gemm_call *g);
tlvk_status tlvk__winograd_forward(tlvk__recorder *r, const tlvk__gemm_call *g);       /* y = act(scale * (x*w + bias) + shift) */
tlvk_status tlvk__winograd_backward_data(tlvk__recorder *r, const tlvk__gemm_call *g); /* dx (+)= dy * w' */
tlvk_status tlvk__winograd_backward_weights(tlvk__recorder *r, const tlvk__gemm_call *g); /* dw (+)= x' * dy */

/* Some tiles of a piece of samples in `from` (h x w x vecs vec4) as 36 planes of k_vecs per tile: of inputs, whose position `offset` meets output 0 through
 * tap 0, or of gradients of outputs, whose offset is 0. */
typedef struct tlvk__winograd_tiles {
    const tlvk__tensor *from;
    bool gradient;
    tlvk__piece piece;
    int64_t h, w, vecs, offset[2], tiles_y, tiles_x, first, count, k_vecs;
    const char *operation, *layer;
} tlvk__winograd_tiles;
tlvk_status tlvk__winograd_transform(tlvk__recorder *r, const tlvk__winograd_tiles *t, tlvk__span to);
/* Bytes of one tile in all planes of one tensor of `vecs` vec4 per row. */
static inline uint64_t tlvk__winograd_row_bytes(int64_t vecs) { return (uint64_t)(TLVK__WINOGRAD_POSITIONS * vecs) * 16; }
/* The most tiles done at a time where their planes take `vecs` vec4 per tile and position together, `widest` of them in one tensor: as many as 64 MiB and a
 * binding hold, in whole groups of `group` where there is one. */
int64_t tlvk__winograd_most_tiles(const tlvk__caps *caps, int64_t vecs, int64_t widest, int64_t group);

/* --- the error allowed -------------------------------------------------------------------------------------------------------------------- */

/* A convolution of stride 1 in dense doubles: in (n, h, w, c) with the weights g(tap, channel, column) = weights[tap * tap_step + channel * c_step +
 * column * o_step], tap = 3 * ky + kx, gives out (n, oh, ow, o), where out position i meets in position i + offset + k. */
typedef struct tlvk__winograd_sizes {
    int64_t n, h, w, c, oh, ow, o, offset[2];
    const double *in, *weights;
    int64_t tap_step, c_step, o_step;
} tlvk__winograd_sizes;
/* Per element of out, the bound of the float32 error of F(4x4, 3x3) into e (n, oh, ow, o). */
tlvk_status tlvk__winograd_bound(const tlvk__winograd_sizes *s, double *e);
/* The same of the gradient of the weights, into e (3, 3, c, o), from dy (n, oh, ow, o); s->weights is not read. */
tlvk_status tlvk__winograd_weights_bound(const tlvk__winograd_sizes *s, const double *dy, double *e);

#endif
