/* build_layers.c - the public building calls of layers beyond the common ones: descriptors whose zero means Keras's default. */
#include "graph/internal.h"

tlvk_tensor tlvk_subtract(tlvk_tensor a, tlvk_tensor b, const char *name) {
    return tlvk__build_merge("tlvk_subtract", &tlvk__op_subtract, (tlvk_tensor[2]){a, b}, 2, name);
}
tlvk_tensor tlvk_maximum(const tlvk_tensor *x, int count, const char *name) {
    return tlvk__build_merge("tlvk_maximum", &tlvk__op_maximum, x, count, name);
}
tlvk_tensor tlvk_minimum(const tlvk_tensor *x, int count, const char *name) {
    return tlvk__build_merge("tlvk_minimum", &tlvk__op_minimum, x, count, name);
}
tlvk_tensor tlvk_average(const tlvk_tensor *x, int count, const char *name) {
    return tlvk__build_merge("tlvk_average", &tlvk__op_average, x, count, name);
}
