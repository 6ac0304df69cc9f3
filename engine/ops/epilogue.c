/* epilogue.c - what stands behind a product (bias, scale and shift, activation) as one binding and a few numbers; see shaders/epilogue.glsl.
 * Hides: that a device may bind no more than four storage buffers, so three vectors are joined into one where they do not lie so already. */
#include "ops/gemm.h"

#include <math.h>

void tlvk__epilogue_none(int64_t columns, tlvk__epilogue_push *push) {
    *push = (tlvk__epilogue_push){.scaled = -1, .columns = (int32_t)columns, .max_value = INFINITY, .threshold = -INFINITY};
}

/* The piecewise linear activations share one pipeline: y > threshold ? min(y, max_value) : alpha * (y - threshold). */
static uint32_t activation_numbers(const tlvk__activation *a, tlvk__epilogue_push *push) {
    push->alpha = 0;
    push->max_value = INFINITY;
    push->threshold = 0;
    switch (a->kind) {
    case TLVK_LINEAR:
    case TLVK_SOFTMAX: push->threshold = -INFINITY; return 0;
    case TLVK_RELU6: push->max_value = 6; return 0;
    case TLVK_LEAKY_RELU: push->alpha = a->alpha; return 0;
    case TLVK_RELU:
        push->alpha = a->alpha;
        push->max_value = a->max_value;
        push->threshold = a->threshold;
        return 0;
    default:
        push->alpha = a->alpha;
        push->max_value = a->max_value;
        push->threshold = a->threshold;
        return (uint32_t)a->kind;
    }
}

static tlvk_status record_join(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *bias, int64_t vecs, tlvk__span scratch, const char *operation) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *scale = call->epilogue.scale, *shift = call->epilogue.shift;
    struct { uint32_t scale_base, shift_base, bias_base, to_base, count, biased; } push = {.count = (uint32_t)vecs, .biased = bias != NULL};
    tlvk__dispatch d = {.shader = "epilogue_join", .specs = {{"WG", 64}}, .binding_count = 4, .push = &push, .push_bytes = sizeof push,
                        .groups = {(uint64_t)tlvk__div_up(vecs, 64)}, .flops = 8.0 * (double)vecs, .bytes = 80.0 * (double)vecs,
                        .operation = operation, .layer = call->layer};
    d.bindings[0] = tlvk__tensor_window(caps, scale, 0, 1, TLVK__READ, &push.scale_base);
    d.bindings[1] = tlvk__tensor_window(caps, shift, 0, 1, TLVK__READ, &push.shift_base);
    d.bindings[2] = tlvk__tensor_window(caps, bias ? bias : shift, 0, 1, TLVK__READ, &push.bias_base);
    scratch.bytes = (uint64_t)vecs * 32;
    d.bindings[3] = tlvk__span_window(caps, scratch, TLVK__WRITE, &push.to_base);
    return tlvk__record_dispatch(r, &d);
}

tlvk_status tlvk__epilogue_bind(tlvk__recorder *r, const tlvk__op_call *call, const tlvk__tensor *bias, int64_t columns, tlvk__span scratch,
                                tlvk__binding any, const char *operation, tlvk__binding *binding, tlvk__epilogue_push *push, uint32_t *kind) {
    const tlvk__caps *caps = tlvk__device_caps(tlvk__recorder_device(r));
    const tlvk__tensor *scale = call->epilogue.scale, *shift = call->epilogue.shift;
    int64_t vecs = tlvk__pitch(columns) / TLVK__LANES;
    uint32_t base = 0;
    tlvk__epilogue_none(columns, push);
    *kind = activation_numbers(&call->epilogue.activation, push);
    *binding = any;
    if (!scale) {
        if (bias) {
            *binding = tlvk__tensor_window(caps, bias, 0, 1, TLVK__READ, &base);
            push->scaled = 0;
        }
        push->e_base = (int32_t)base;
        return TLVK_OK;
    }
    tlvk__span a = scale->segments[0], b = shift->segments[0];
    uint64_t apart = b.offset - a.offset;
    bool joined = !bias && a.buffer == b.buffer && b.offset > a.offset && apart % 16 == 0 && apart <= tlvk__round_up((uint64_t)vecs * 16, 256);
    if (joined) {
        *binding = tlvk__span_window(caps, (tlvk__span){a.buffer, a.offset, apart + (uint64_t)vecs * 16}, TLVK__READ, &base);
        push->scaled = (int32_t)(apart / 16);
    } else {
        tlvk_status s = record_join(r, call, bias, vecs, scratch, operation);
        if (s)
            return s;
        scratch.bytes = (uint64_t)vecs * 32;
        *binding = tlvk__span_window(caps, scratch, TLVK__READ, &base);
        push->scaled = (int32_t)vecs;
    }
    push->e_base = (int32_t)base;
    return TLVK_OK;
}
