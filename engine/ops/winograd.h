/* winograd.h - 3x3 convolutions of stride 1 by F(4x4, 3x3): a quarter of the multiplications, between transforms of input and output.
 * Shapes as in gemm.h. Which convolutions go this way is a static rule on the device and the layer's shape without its batch
 * (docs/kernels.md has the measurements); caps->winograd overrules it. Every element is one fixed sequence of operations whatever the batch:
 * a sample has the same bits in any batch and at any place in it. */
#ifndef TLVK_WINOGRAD_H
#define TLVK_WINOGRAD_H

#include "ops/gemm.h"

/* Whether forward (TLVK__GEMM_FORWARD) or backward-data (TLVK__GEMM_DATA) of this convolution goes by Winograd. */
bool tlvk__winograd_chosen(const tlvk__caps *caps, const tlvk__conv_shape *s, enum tlvk__gemm_pass pass);

/* The three of a pass that is chosen. Packed weights are those of forward, 4 times as many bytes as w. */
void tlvk__winograd_forward_needs(const tlvk__caps *caps, const tlvk__gemm_call *g, tlvk__op_needs *needs); /* sets packed and forward scratch */
uint64_t tlvk__winograd_data_scratch(const tlvk__caps *caps, const tlvk__gemm_call *g);
tlvk_status tlvk__winograd_pack(tlvk__recorder *r, const tlvk__gemm_call *g);
tlvk_status tlvk__winograd_forward(tlvk__recorder *r, const tlvk__gemm_call *g);       /* y = act(scale * (x*w + bias) + shift) */
tlvk_status tlvk__winograd_backward_data(tlvk__recorder *r, const tlvk__gemm_call *g); /* dx (+)= dy * w' */

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

#endif
