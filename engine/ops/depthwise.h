/* depthwise.h - recording depthwise convolutions. Channels of y are c * mult + m; a kernel is kh*kw rows of pitch(c*mult). */
#ifndef TLVK_DEPTHWISE_H
#define TLVK_DEPTHWISE_H

#include "ops/gemm.h"

typedef struct tlvk__depthwise_call {
    const tlvk__op_call *call; /* x[0], y, w[0], w[1] or NULL, epilogue, scratch, dy, dx[0], dw[0], dw[1] */
    int64_t kernel[2], stride[2], dilation[2], pad[2];
    int64_t mult;
} tlvk__depthwise_call;

/* What a pass (0 forward, 1 gradient of x, 2 of w) may run as; see tlvk__op.candidates. */
int tlvk__depthwise_candidates(const tlvk__depthwise_call *g, int pass, tlvk__choice_key *key, int32_t candidates[TLVK__MOST_CANDIDATES]);
unsigned tlvk__depthwise_halves(const tlvk__depthwise_call *g); /* TLVK__HALF_*: taps in several groups add to y */
tlvk_status tlvk__depthwise_needs(const tlvk__caps *caps, const tlvk__depthwise_call *g, bool want_dw, tlvk__op_needs *needs);
tlvk_status tlvk__depthwise_forward(tlvk__recorder *r, const tlvk__depthwise_call *g);
tlvk_status tlvk__depthwise_backward(tlvk__recorder *r, const tlvk__depthwise_call *g); /* whichever of dx, dw, db the call wants */

#endif
