/* conv2d.h - the scalar references of Conv2D and DepthwiseConv2D, which SeparableConv2D's is composed of. */
#ifndef TLVK_CONV2D_H
#define TLVK_CONV2D_H

#include "ops/convolution.h"

/* attrs is tlvk__conv2d_attrs; x[0] (n, h, w, cin), w[0] (kh, kw, cin, cout), w[1] (cout) or NULL, y (n, oh, ow, cout). */
tlvk_status tlvk__conv2d_reference_forward(const tlvk__ref_call *call);
tlvk_status tlvk__conv2d_reference_backward(const tlvk__ref_call *call);
/* attrs is tlvk__depthwise_conv2d_attrs; w[0] (kh, kw, cin, mult), y (n, oh, ow, cin * mult). */
tlvk_status tlvk__depthwise_reference_forward(const tlvk__ref_call *call);
tlvk_status tlvk__depthwise_reference_backward(const tlvk__ref_call *call);

#endif
