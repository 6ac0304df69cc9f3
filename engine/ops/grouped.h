/* grouped.h - recording a Conv2D of several groups: output channels of a group see the input channels of the same group alone. */
#ifndef TLVK_GROUPED_H
#define TLVK_GROUPED_H

#include "ops/gemm.h"

typedef struct tlvk__grouped_call {
    const tlvk__op_call *call;     /* x[0] (n, h, w, cin), y, w[0] (kh, kw, cin/groups, cout), w[1] bias or NULL, epilogue, scratch, dy, dx[0], dw */
    tlvk__conv_shape shape;        /* cin_vecs, cout_vecs: of x and y */
    int64_t groups;                /* divides the channels of x and of y */
} tlvk__grouped_call;

/* Bytes of scratch. The call's tensors have sizes alone. TLVK_ERROR_MEMORY where the kernel is larger than the device binds at once. */
tlvk_status tlvk__grouped_needs(const tlvk__caps *caps, const tlvk__grouped_call *g, bool want_dw, tlvk__op_needs *needs);
tlvk_status tlvk__grouped_forward(tlvk__recorder *r, const tlvk__grouped_call *g);
/* Whichever of dx, dw and db the call wants. */
tlvk_status tlvk__grouped_backward(tlvk__recorder *r, const tlvk__grouped_call *g);

#endif
