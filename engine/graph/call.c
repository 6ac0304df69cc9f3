/* call.c - layers and models called again, on one tensor or several, and the further outputs of a call. Hides: where an error goes when there is neither
 * a layer nor a tensor to carry it. */
#include "graph/internal.h"

static tlvk_tensor first_of(const tlvk_tensor *x, int count) { return x && count > 0 ? x[0] : (tlvk_tensor){NULL, 0}; }

static tlvk_tensor call_layer(const char *call, tlvk_layer *layer, const tlvk_tensor *x, int count, tlvk_call_mode mode) {
    if (!layer)
        return tlvk__build_missing(first_of(x, count), call, "the layer is NULL");
    if (!x || count < 1)
        return tlvk__error_tensor(layer->ctx, TLVK_ERROR_ARGUMENT, "%s: %s: the list of tensors is empty", call, layer->name);
    return tlvk__call(layer, x, count, mode);
}

static tlvk_tensor call_model(const char *call, tlvk_model *model, const tlvk_tensor *x, int count, tlvk_call_mode mode, const char *name) {
    if (!model)
        return tlvk__build_missing(first_of(x, count), call, "the model is NULL");
    tlvk_layer *layer;
    tlvk_status st = tlvk__layer_from_model(model, name, &layer);
    if (st)
        return tlvk__error_tensor(model->ctx, st, "%s: %s", call, tlvk__fail_text());
    tlvk_tensor y = call_layer(call, layer, x, count, mode);
    tlvk__layer_release(layer);
    return y;
}

tlvk_tensor tlvk_layer_call(tlvk_layer *layer, tlvk_tensor x, tlvk_call_mode mode) { return call_layer("tlvk_layer_call", layer, &x, 1, mode); }

tlvk_tensor tlvk_layer_call_inputs(tlvk_layer *layer, const tlvk_tensor *x, int count, tlvk_call_mode mode) {
    return call_layer("tlvk_layer_call_inputs", layer, x, count, mode);
}

tlvk_tensor tlvk_model_call(tlvk_model *model, tlvk_tensor x, tlvk_call_mode mode, const char *name) {
    return call_model("tlvk_model_call", model, &x, 1, mode, name);
}

tlvk_tensor tlvk_model_call_inputs(tlvk_model *model, const tlvk_tensor *x, int count, tlvk_call_mode mode, const char *name) {
    return call_model("tlvk_model_call_inputs", model, x, count, mode, name);
}

tlvk_tensor tlvk_call_output(tlvk_tensor y, int index) {
    if (!y.node)
        return tlvk__build_missing(y, "tlvk_call_output", "the tensor is empty: the call that made it failed");
    return tlvk__node_output(y.node, index);
}
